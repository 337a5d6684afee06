"""Scenarios about trust roots."""

import hashlib
import json

from cryptography.hazmat.primitives.asymmetric import mldsa

import trust_verify as verify
from trust_parts import *  # noqa: F403


def root_scenarios():
    """Yields (name, expected class, what it shows, chain of roots)."""
    first = plain_root()
    base = signed_root()

    def next_root(*signers, **changes):
        """Version 2: ROOT1 is replaced by ROOT4."""
        changes.setdefault("keys", [ROOT2, ROOT3, ROOT4, REL1, REL2, ONLINE])
        changes.setdefault("root", role(2, ROOT2, ROOT3, ROOT4))
        changes.setdefault("version", 2)
        return root_file(signed_root(**changes), *signers)

    def changed(name, expect, why, **changes):
        return name, expect, why, [root_file(signed_root(**changes))]

    def raw(name, expect, why, old, new):
        """Text replaced in the file; it is refused before signatures are looked at."""
        text = first.decode()
        assert text.count(old) >= 1, (name, old)
        return name, expect, why, [text.replace(old, new, 1).encode()]

    # Chains
    yield "pinned", "accept", "A root that two of its three root keys signed.", [first]
    yield "rotation", "accept", "One key replaced, signed by old and new keys.", [first, next_root(ROOT1, ROOT2, ROOT4)]
    yield "rotation-by-keys-that-stay", "accept", "The keys in both roots meet both thresholds.", [first, next_root(ROOT2, ROOT3)]
    all_new = dict(keys=[ROOT4, FOREIGN, REL1, REL2, ONLINE], root=role(2, ROOT4, FOREIGN))
    yield "rotation-of-all-keys", "accept", "Two old and two new keys.", [first, next_root(ROOT1, ROOT3, ROOT4, FOREIGN, **all_new)]
    yield "signed-only-by-old-keys", "new_threshold", "The new keys did not sign.", [first, next_root(ROOT1, ROOT2, **all_new)]
    yield "signed-only-by-new-keys", "old_threshold", "The old keys did not sign.", [first, next_root(ROOT4, FOREIGN, **all_new)]
    yield "one-old-key", "old_threshold", "One old key and one new one.", [first, next_root(ROOT2, ROOT4)]
    yield "skipped-version", "root_version", "Version 3 after version 1.", [first, next_root(ROOT2, ROOT3, version=3)]
    yield "replayed-old-root", "root_version", "Version 1 after version 2.", [first, next_root(ROOT2, ROOT3), root_file(base, ROOT2, ROOT3)]
    yield "same-version-again", "root_version", "Another version 1.", [first, plain_root(expires="2031-01-01T00:00:00Z")]
    yield "key-of-release-role-signs-root", "old_threshold", "Release keys cannot make a root.", [first, next_root(REL1, REL2)]
    yield "three-steps", "accept", "Versions 1, 2, 3.", [
        first, next_root(ROOT1, ROOT2, ROOT4), next_root(ROOT2, ROOT4, version=3)]  # fmt: skip
    yield "expired-roots-can-be-followed", "accept", "Expiry of a root on the way does not matter.", [
        plain_root(expires="2020-01-01T00:00:00Z"), next_root(ROOT2, ROOT3)]  # fmt: skip
    yield "pinned-below-its-threshold", "threshold", "One root key signed.", [root_file(base, ROOT1)]
    yield "pinned-without-signatures", "threshold", "Nobody signed.", [compact({"signatures": [], "signed": base})]
    yield "pinned-signed-by-foreign-keys", "threshold", "Others signed.", [root_file(base, FOREIGN, ONLINE)]
    file = json.loads(first)
    file["signatures"].append(dict(file["signatures"][0]))
    yield "duplicate-signature", "repeated", "A key id that signs twice.", [compact(file)]
    lying = {"keyid": ROOT2.id, "sig": root_signature(base, ROOT1)["sig"]}
    yield "signature-under-another-key-id", "threshold", "One key signs for two.", [
        compact({"signatures": [root_signature(base, ROOT1), lying], "signed": base})]  # fmt: skip
    yield "signature-over-file-bytes", "accept", "A file with other white space: the canonical form is signed.", [
        json.dumps(json.loads(first), indent=1).encode()]  # fmt: skip
    edited = json.loads(first)
    edited["signed"]["x-treeseal"]["streams"][STREAM]["minSequence"] = 2
    yield "edited-extension", "threshold", "`x-treeseal` is signed too.", [compact(edited)]
    mixed = dict(keys=[ROOT1, ROOT2, HSM, REL1, REL2, ONLINE], root=role(2, ROOT1, ROOT2, HSM))
    yield "mixed-algorithms", "accept", "An Ed25519 key and a P-256 key.", [root_file(signed_root(**mixed), ROOT1, HSM)]
    bare = dict(keys=[ROOT1, ROOT2, HSM_BARE, REL1, REL2, ONLINE], root=role(2, ROOT1, ROOT2, HSM_BARE))
    yield "pem-without-last-line-feed", "accept", "The other spelling of a P-256 key.", [root_file(signed_root(**bare), ROOT1, HSM_BARE)]
    both = dict(keys=[ROOT1, HSM, HSM_BARE, REL1, REL2, ONLINE], root=role(2, ROOT1, HSM, HSM_BARE))
    yield "same-key-under-two-ids", "key_under_two_ids", "Two spellings of one key, which could meet a threshold of two.", [
        root_file(signed_root(**both), HSM, HSM_BARE)]  # fmt: skip
    escaped = json.dumps(json.loads(first)).replace("acme", "\\u0061cme").encode()
    yield "escaped-text", "accept", "Escapes in the file do not change the canonical form.", [escaped]

    # Keys
    def with_key(name, expect, why, key):
        keys = [ROOT1, ROOT2, ROOT3, REL1, REL2, ONLINE, key]
        return name, expect, why, [root_file(signed_root(keys=keys, targets=role(1, REL1, key)))]

    yield with_key("all-zero-key", "key_weak", "A point of order 4: anybody can sign.", Raw("00" * 32))
    yield with_key("identity-key", "key_weak", "The neutral point: anybody can sign.", Raw("01" + "00" * 31))
    yield with_key("order-eight-key", "key_weak", "A point of order 8.", Raw("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
    shifted = verify.edwards_add(verify.edwards_decode(bytes.fromhex("58" + "66" * 31)), (0, verify.P - 1))
    encoded = (shifted[1] | (shifted[0] & 1) << 255).to_bytes(32, "little").hex()
    yield with_key("key-with-a-part-of-order-two", "key_weak", "The same private key signs for several such keys.", Raw(encoded))
    yield with_key("key-not-reduced", "key_not_a_point", "p + 1 instead of 1.", Raw("ee" + "ff" * 30 + "7f"))
    yield with_key("key-off-the-curve", "key_not_a_point", "y = 2 has no x.", Raw("02" + "00" * 31))
    yield with_key("key-of-31-bytes", "key_hex", "A key has 32 bytes.", Raw("ab" * 31))
    yield with_key("key-in-capitals", "key_hex", "A key has one spelling.", Raw(FOREIGN.object["keyval"]["public"].upper()))
    yield with_key("rsa-key", "key_unknown_algorithm", "RSA is not known.", Raw("x", "rsa", "rsassa-pss-sha256"))
    yield with_key("mismatched-scheme", "key_unknown_algorithm", "Type and scheme belong together.", Raw("ab" * 32, "ed25519", "ecdsa-sha2-nistp256"))
    pem = HSM.object["keyval"]["public"]
    yield with_key("pem-with-carriage-returns", "key_pem", "Another spelling of the PEM.", Raw(pem.replace("\n", "\r\n"), "ecdsa", "ecdsa-sha2-nistp256"))
    yield with_key("pem-of-ed25519-as-ecdsa", "key_pem", "The PEM holds a key of another type.", Raw(
        ed25519_pem(), "ecdsa", "ecdsa-sha2-nistp256"))  # fmt: skip
    more = Raw(FOREIGN.object["keyval"]["public"])
    more.object["keyval"]["private"] = ""
    more.id = verify.key_id(more.object)
    yield with_key("key-object-with-more-fields", "field_unknown", "A key object has three fields.", more)
    wrong = signed_root()
    wrong["keys"][FOREIGN.id] = wrong["keys"].pop(REL2.id)
    wrong["roles"]["targets"] = role(1, REL1)
    yield "key-under-another-id", "key_id_mismatch", "The id is not the hash of the key.", [root_file(wrong)]

    # Roles
    yield changed("threshold-zero", "field_range", "Nobody would have to sign.", targets=role(0, REL1))
    yield changed("threshold-over-keys", "threshold_unreachable", "Three of two.", targets=role(3, REL1, REL2))
    yield changed("role-without-keys", "field_length", "A role for nobody.", targets=role(1))
    yield changed("role-repeats-a-key", "repeated", "Two of one key.", targets=role(2, REL1, REL1))
    yield changed("role-with-unknown-key", "role_key_unknown", "A key that the root does not have.", targets=role(1, FOREIGN))
    five = signed_root()
    five["roles"]["mirrors"] = role(1, ONLINE)
    yield "fifth-role", "field_length", "TUF has four roles; others go into x-treeseal.", [root_file(five)]
    four = signed_root()
    four["roles"]["mirrors"] = four["roles"].pop("snapshot")
    yield "role-replaced", "role_set", "snapshot is missing.", [root_file(four)]
    extra = signed_root()
    extra["roles"]["targets"]["paths"] = []
    yield "role-with-more-fields", "field_unknown", "A role has keys and a threshold.", [root_file(extra)]

    # The extension
    yield extended("extension-with-everything", "accept", "Roles, revoked images, formats, boot.",
        {STREAM: rule(), "acme/*": rule("nightly", low=9), "*": rule()},
        roles={"nightly": role(1, REL2)}, revokedDigests=["ab" * 32, "cd" * 64], formats=["composefs/0"], atBoot="refuse")  # fmt: skip
    without = signed_root()
    del without["x-treeseal"]
    yield "without-extension", "accept", "A plain TUF root; no stream may be sealed.", [root_file(without)]
    yield extended("unknown-extension-field", "field_unknown", "A field of a newer version.", colour="red")
    yield extended("unknown-rule-field", "field_unknown", "A rule has two fields.", {STREAM: {**rule(), "until": 9}})
    yield extended("rule-without-minimum", "field_missing", "minSequence must be there.", {STREAM: {"roles": ["targets"]}})
    yield extended("minimum-zero", "field_range", "Sequences start at 1.", {STREAM: rule(low=0)})
    yield extended("pattern-malformed", "stream_name", "A star in the middle.", {"acme/*/stable": rule()})
    yield extended("stream-for-timestamp-role", "stream_role", "An online role cannot seal.", {STREAM: rule("timestamp")})
    yield extended("stream-for-root-role", "stream_role", "The root role cannot seal.", {STREAM: rule("root")})
    yield extended("stream-for-undefined-role", "stream_role", "Nobody has this role.", {STREAM: rule("nightly")})
    yield extended("tuf-role-redefined", "role_reserved", "x-treeseal cannot give `targets` to others.", roles={"targets": role(1, ONLINE)})
    yield extended("role-name-malformed", "role_name", "A space in a role's name.", roles={"my role": role(1, REL1)})
    yield extended("added-role-threshold-over-keys", "threshold_unreachable", "Two of one.", roles={"nightly": role(2, REL1)})
    yield extended("revoked-digest-malformed", "hex_malformed", "62 digits.", revokedDigests=["ab" * 31])
    yield extended("revoked-digest-repeated", "repeated", "The same digest twice.", revokedDigests=["ab" * 32] * 2)
    yield extended("unknown-format", "image_format_unknown", "composefs/2.", formats=["composefs/2"])
    yield extended("at-boot-unknown", "at_boot_unknown", "Neither warn nor refuse.", atBoot="ignore")

    # The file
    yield changed("unknown-signed-field", "field_unknown", "Only x-treeseal is added to TUF.", **{"x-other": 1})
    yield changed("other-type", "root_type", "TUF metadata of another role.", _type="targets")
    yield changed("spec-version-2", "root_spec_version", "Another TUF.", spec_version="2.0.0")
    yield changed("spec-version-short", "accept", "Two numbers are enough.", spec_version="1.0")
    yield changed("version-zero", "field_range", "Versions start at 1.", version=0)
    yield changed("expires-malformed", "time_malformed", "An offset.", expires="2030-01-01T00:00:00+01:00")
    yield changed("consistent-snapshot-missing", "field_missing", "TUF wants it.", consistent_snapshot=None)
    yield raw("duplicate-json-keys", "json_duplicate_key", "Two versions.", '"version":1', '"version":1,"version":2')
    yield raw("float-version", "json_not_integer", "1.0 is no integer here.", '"version":1', '"version":1.0')
    yield raw("float-threshold", "json_not_integer", "2e0 is no integer here.", '"threshold":2', '"threshold":2e0')
    yield raw("deep-nesting", "json_too_deep", "17 arrays and objects.", '"version":1', '"version":' + "[" * 15 + "]" * 15)
    yield "trailing-bytes", "json_trailing_bytes", "Another object follows.", [first + b"{}"]
    yield "not-utf-8", "json_not_utf8", "A byte that UTF-8 does not have.", [first.replace(b"stable", b"stab\xfee")]
    yield "fourth-field-in-file", "field_unknown", "A file has signatures and a signed part.", [first[:-1] + b',"unsigned":{}}']
    yield raw("key-id-malformed", "hex_malformed", "A key id has 64 digits.", f'"keyid":"{ROOT1.id}', f'"keyid":"{ROOT1.id[:-2]}')
    yield "oversize", "json_too_large", "One byte over 256 KiB.", [first.ljust(verify.MAX_ROOT + 1)]
    yield "empty", "json_syntax", "No bytes.", [b""]

    # What other tools write
    foreign = ROOT / "foreign"
    load = lambda name: (foreign / f"python-tuf-{name}.root.json").read_bytes()  # noqa: E731
    yield "python-tuf-root", "accept", "Version 1 as python-tuf wrote it.", [load("1")]
    yield "python-tuf-rotation", "accept", "python-tuf's versions 1 and 2, which tough accepts too.", [load("1"), load("2")]
    yield "python-tuf-rotation-by-one-old-key", "old_threshold", "tough and python-tuf refuse it too.", [load("1"), load("2.one-old-key")]
    yield "python-tuf-ml-dsa", "accept", "With ML-DSA keys among the root and release keys (randomised signatures).", [load("1.ml-dsa")]
    yield "python-tuf-extension", "accept", "With x-treeseal and a P-256 key.", [load("1.extension")]
    yield "python-tuf-extension-changed", "threshold", "A changed x-treeseal.", [load("1.extension-changed")]


def extended(name, expect, why, streams=None, *, more=(), root=None, targets=None, **fields):
    """A root of one version; `streams` and the other fields are those of its extension."""
    extension = {"streams": streams or {STREAM: rule()}, **fields}
    signed = signed_root(extension=extension, more=more, root=root, targets=targets)
    return name, expect, why, [root_file(signed)]


def extension_scenarios():
    """Yields (name, expected class, what it shows, chain of roots)."""
    yield extended(
        "extension-with-every-field", "accept", "Everything that an extension can say.",
        {STREAM: rule("targets", "second", freshness=("heartbeat", 86400)), "acme/*": rule("second", low=9), "*": rule(freshness=("timestamp", 0))},
        roles={"second": role(1, HSM), "heartbeat": role(1, ONLINE)}, names={REL1.id: "Größe 1", HSM.id: "HSM"},
        revokedSequences={STREAM: [1, 3], "acme/os": [verify.MAX_INTEGER]}, revokedDigests=["ab" * 32],
        formats=["composefs/0", "composefs/1"], algorithms=[SHA256, SHA512], atBoot="warn", more=[HSM],
    )  # fmt: skip
    yield from rule_scenarios()
    yield from freshness_role_scenarios()
    yield from name_scenarios()
    yield from list_scenarios()


def rule_scenarios():
    one_field = {"role": "targets", "minSequence": 1}
    members = [Ed25519(f"member {n}") for n in range(9)]
    roles = {f"group-{n}": role(1, member) for n, member in enumerate(members)}
    eight = dict(roles=roles, more=members)
    yield extended("rule-with-one-role-field", "field_missing", "`role` is no field; `roles` is.", {STREAM: one_field})
    yield extended("rule-with-both-role-fields", "field_unknown", "`role` is no field.", {STREAM: {**rule(), "role": "targets"}})
    yield extended("rule-roles-not-a-list", "field_type", "A name instead of a list.", {STREAM: {**rule(), "roles": "targets"}})
    yield extended("rule-role-not-text", "field_type", "A number in the list.", {STREAM: rule(1)})
    yield extended("rule-without-roles", "field_length", "Nobody would have to sign.", {STREAM: {**rule(), "roles": []}})
    yield extended("rule-of-eight-roles", "accept", "The most that there are.", {STREAM: rule(*list(roles)[:8])}, **eight)
    yield extended("rule-of-nine-roles", "field_length", "One too many.", {STREAM: rule(*roles)}, **eight)
    yield extended("rule-repeats-a-role", "repeated", "The same role twice.", {STREAM: rule("targets", "targets")})
    yield extended("rule-role-malformed", "role_name", "A space in a role's name.", {STREAM: rule("my role")})
    yield extended("rule-second-role-undefined", "stream_role", "Nobody has the second role.", {STREAM: rule("targets", "nightly")})
    yield extended("rule-with-snapshot-role", "stream_role", "An online role cannot seal.", {STREAM: rule("targets", "snapshot")})
    shared = dict(roles={"second": role(1, REL2, HSM)}, more=[HSM])
    yield extended("roles-share-a-key", "roles_share_key", "One signature would count in both roles.", {STREAM: rule("targets", "second")}, **shared)
    yield extended("roles-of-another-rule-share-a-key", "roles_share_key", "Every rule is looked at.", {STREAM: rule(), "*": rule("second", "targets")}, **shared)
    yield extended("roles-of-two-rules-share-a-key", "accept", "No rule names both roles.", {STREAM: rule(), "*": rule("second")}, **shared)
    yield extended("roles-share-no-key", "accept", "The two roles have keys of their own.", {STREAM: rule("targets", "second")}, roles={"second": role(1, HSM)}, more=[HSM])


def freshness_role_scenarios():
    heartbeat = dict(roles={"heartbeat": role(1, ONLINE), "second": role(1, HSM)}, more=[HSM])

    def by(name, why, role_name, expect="freshness_role", **changes):
        freshness = {"role": role_name, "tolerance": 0, **changes}
        freshness = {name: value for name, value in freshness.items() if value is not None}
        return extended(f"freshness-{name}", expect, why, {STREAM: {**rule(), "freshness": freshness}}, **heartbeat)

    yield by("by-timestamp", "TUF's own role for it.", "timestamp", "accept")
    yield by("by-added-role", "A role of the extension.", "heartbeat", "accept")
    yield by("by-targets", "Who seals does not say what is fresh.", "targets")
    yield by("by-root", "Nor does the root role.", "root")
    yield by("by-snapshot", "Nor does `snapshot`.", "snapshot")
    yield by("by-undefined-role", "Nobody has this role.", "nightly")
    yield by("role-malformed", "A space in a role's name.", "my role", "role_name")
    yield by("without-role", "Who says it?", None, "field_missing")
    yield by("without-tolerance", "It has no default.", "timestamp", "field_missing", tolerance=None)
    yield by("tolerance-negative", "Less than nothing.", "timestamp", "field_range", tolerance=-1)
    yield by("tolerance-of-ten-years", "The most that there is.", "timestamp", "accept", tolerance=315360000)
    yield by("tolerance-too-large", "A second more than ten years of 365 days.", "timestamp", "field_range", tolerance=315360001)
    yield by("with-more-fields", "Two fields.", "timestamp", "field_unknown", colour="red")
    yield extended("freshness-null", "field_type", "null is not the same as absent.", {STREAM: {**rule(), "freshness": None}})
    own = rule("second", freshness=("second", 0))
    yield extended("freshness-by-its-own-role", "freshness_role", "The rule's own role seals.", {STREAM: own}, **heartbeat)
    other = {STREAM: rule(freshness=("second", 0)), "acme/*": rule("second")}
    yield extended("freshness-by-a-role-of-another-rule", "freshness_role", "Another rule's role seals.", other, **heartbeat)
    same_key = {STREAM: rule("heartbeat"), "acme/*": rule(freshness=("timestamp", 0))}
    yield extended("freshness-role-shares-a-key", "accept", "Roles are told apart by their names.", same_key, **heartbeat)


def name_scenarios():
    def named(name, expect, why, names, **more):
        return extended(f"names-{name}", expect, why, names=names, **more)

    yield named("of-two-keys", "accept", "People see names.", {REL1.id: "Release 1", ROOT1.id: "Root 1"})
    yield named("of-no-key", "accept", "An empty object.", {})
    yield named("of-unknown-key", "role_key_unknown", "A key that the root does not have.", {FOREIGN.id: "Foreign"})
    yield named("of-64-characters", "accept", "Characters are counted, not bytes.", {REL1.id: "ß" * 64})
    yield named("of-65-characters", "key_name", "One too many.", {REL1.id: "s" * 65})
    yield named("empty", "key_name", "A name has a character.", {REL1.id: ""})
    yield named("with-line-feed", "key_name", "A control character.", {REL1.id: "Release\n1"})
    yield named("with-terminal-escape", "key_name", "U+009B, which terminals obey.", {REL1.id: "\u009b2J"})
    yield named("repeated", "repeated", "Two keys of one name.", {REL1.id: "Release", REL2.id: "Release"})
    yield named("key-id-malformed", "hex_malformed", "A key id has 64 digits.", {REL1.id[:-2]: "Release"})
    yield named("not-text", "field_type", "A number.", {REL1.id: 1})
    yield named("not-an-object", "field_type", "A list.", ["Release"])
    yield named("of-129-keys", "field_length", "One too many.", {digest(str(n)): str(n) for n in range(129)})


def list_scenarios():
    def revoking(name, expect, why, value):
        return extended(f"revoked-sequences-{name}", expect, why, revokedSequences=value)

    yield revoking("of-two-streams", "accept", "Each stream has its own.", {STREAM: [2, 1], "acme/os": [1]})
    yield revoking("of-no-stream", "accept", "An empty object.", {})
    yield revoking("empty", "field_length", "A stream without sequences.", {STREAM: []})
    yield revoking("repeated", "repeated", "The same twice.", {STREAM: [3, 4, 3]})
    yield revoking("zero", "field_range", "Sequences start at 1.", {STREAM: [0]})
    yield revoking("too-large", "field_range", "2^53.", {STREAM: [2**53]})
    yield revoking("as-text", "field_type", "A number in quotes.", {STREAM: ["3"]})
    yield revoking("not-a-list", "field_type", "A number instead of a list.", {STREAM: 3})
    yield revoking("of-a-pattern", "stream_name", "Single seals of one stream, not of many.", {"acme/*": [3]})
    yield revoking("of-all-streams", "stream_name", "`*` is no stream.", {"*": [3]})
    yield revoking("1024", "accept", "The most that there are.", {STREAM: list(range(1, 1025))})
    yield revoking("1025", "field_length", "One too many.", {STREAM: list(range(1, 1026))})

    def allowing(name, expect, why, value):
        return extended(f"algorithms-{name}", expect, why, algorithms=value)

    yield allowing("sha512-alone", "accept", "Only SHA-512.", [SHA512])
    yield allowing("empty", "field_length", "No algorithm.", [])
    yield allowing("unknown", "object_algorithm_unknown", "SHA-1.", ["fsverity-sha1-4096"])
    yield allowing("repeated", "repeated", "The same twice.", [SHA256, SHA256])
    yield allowing("three", "field_length", "There are two.", [SHA256, SHA512, SHA256])
    yield allowing("not-a-list", "field_type", "A name instead of a list.", SHA512)
    yield extended("formats-empty", "accept", "No format is allowed, and no seal.", formats=[])
    yield extended("formats-repeated", "repeated", "The same twice.", formats=["composefs/1", "composefs/1"])
    yield extended("at-boot-empty", "at_boot_unknown", "Empty is not the same as absent.", atBoot="")


def order_scenarios():
    """Yields (name, expected class, what it shows, chain of roots): two rules fail, the earlier one is named."""

    def both(first, second, streams=None, *, changes=None, **fields):
        name = f"{first}-before-{second}".replace("_", "-")
        fields.setdefault("more", [HSM])
        keys = [*USUAL_KEYS, *fields.pop("more")]
        signed = signed_root(keys=keys, extension={"streams": streams or {STREAM: rule()}, **fields}, **(changes or {}))
        return name, first, "Two rules fail, the earlier one is named.", signed

    def file(made):
        name, expect, why, signed = made
        return name, expect, why, [root_file(signed)]

    unknown = {FOREIGN.id: "Foreign"}
    shared = {"second": role(1, REL1), "third": role(1, HSM)}
    share, undefined = rule("targets", "second"), rule("nightly")
    late = rule(freshness=("targets", 0))
    yield file(both("field_unknown", "root_spec_version", colour="red", changes={"spec_version": "2.0"}))
    mismatched = both("root_spec_version", "key_id_mismatch", changes={"spec_version": "2.0"})
    mismatched[3]["keys"][FOREIGN.id] = mismatched[3]["keys"].pop(HSM.id)
    yield file(mismatched)
    twice = both("key_id_mismatch", "key_under_two_ids")
    twice[3]["keys"][FOREIGN.id] = REL1.object
    yield file(twice)
    three = both("key_under_two_ids", "role_set", more=[HSM, HSM_BARE])
    three[3]["roles"]["mirrors"] = three[3]["roles"].pop("snapshot")
    yield file(three)
    four = both("role_set", "role_key_unknown", changes={"targets": role(1, FOREIGN)})
    four[3]["roles"]["mirrors"] = four[3]["roles"].pop("snapshot")
    yield file(four)
    yield file(both("repeated", "role_key_unknown", changes={"targets": role(1, FOREIGN, FOREIGN)}))
    yield file(both("role_key_unknown", "threshold_unreachable", changes={"targets": role(2, FOREIGN)}))
    yield file(both("threshold_unreachable", "role_key_unknown", roles={"nightly": role(1, FOREIGN)}, changes={"targets": role(3, REL1)}))
    yield file(both("role_key_unknown", "role_reserved", roles={"targets": role(1, FOREIGN)}))
    yield file(both("role_reserved", "role_key_unknown", roles={"targets": role(1, HSM)}, names=unknown))
    same_key = both("role_key_unknown", "key_name", names={FOREIGN.id: ""})
    yield file(same_key)
    yield file(both("key_name", "stream_role", {STREAM: undefined}, names={REL1.id: ""}))
    yield file(both("stream_role", "roles_share_key", {STREAM: rule("targets", "second", "nightly")}, roles=shared))
    yield file(both("roles_share_key", "freshness_role", {STREAM: rule("targets", "second", freshness=("targets", 0))}, roles=shared))
    yield file(both("freshness_role", "stream_role", {"acme/os": late, "acme/os/a": undefined}))
    yield file(both("roles_share_key", "stream_role", {"*": share, STREAM: undefined}, roles=shared))


def post_quantum_scenarios():
    """Yields (name, expected class, what it shows, chain of roots)."""
    pair = dict(keys=[PQ1, PQ2, REL1, REL2, ONLINE], root=role(2, PQ1, PQ2))
    mixed = dict(keys=[ROOT1, PQ1, REL1, REL2, ONLINE], root=role(2, ROOT1, PQ1))

    def signed_by(name, expect, why, signature, content=None):
        """The root of ROOT1 and PQ1, with this signature for that of PQ1."""
        signed = content or signed_root(**mixed)
        message = verify.canonical(signed).encode()
        signatures = [root_signature(signed, ROOT1), {"keyid": PQ1.id, "sig": signature(message).hex()}]
        return f"ml-dsa-{name}", expect, why, [compact({"signatures": signatures, "signed": signed})]

    def flipped(position):
        def sign(message):
            signature = bytearray(PQ1.sign(message))
            signature[position] ^= 0x80
            return bytes(signature)

        return sign

    first = root_file(signed_root(**mixed), ROOT1, PQ1)
    yield "ml-dsa-alone", "accept", "Both root keys are of ML-DSA-65.", [root_file(signed_root(**pair), PQ1, PQ2)]
    yield "ml-dsa-one-of-two", "threshold", "One of two ML-DSA keys signed.", [root_file(signed_root(**pair), PQ1)]
    yield signed_by("beside-ed25519", "accept", "An Ed25519 key and an ML-DSA key.", PQ1.sign)
    yield signed_by("truncated", "threshold", "The signature lacks a byte.", lambda message: PQ1.sign(message)[:-1])
    yield signed_by("extended", "threshold", "A byte follows the signature.", lambda message: PQ1.sign(message) + b"\0")
    yield signed_by("flipped-bit", "threshold", "A bit of the signature was changed.", flipped(2000))
    yield signed_by("without-digest-message", "threshold", "The canonical form was signed directly.", PQ1.sign_directly)
    yield signed_by("by-another-key", "threshold", "Another key signed under this id.", PQ2.sign)
    yield signed_by("as-ed25519", "threshold", "An Ed25519 signature under the id of an ML-DSA key.", ROOT1.sign)
    to_quantum = dict(version=2, keys=[PQ1, PQ2, REL1, REL2, ONLINE], root=role(2, PQ1, PQ2))
    yield "ml-dsa-rotation", "accept", "From Ed25519 keys to ML-DSA keys, signed by both.", [
        plain_root(), root_file(signed_root(**to_quantum), ROOT1, ROOT2, PQ1, PQ2)]  # fmt: skip
    yield "ml-dsa-rotation-by-new-keys-only", "old_threshold", "The old keys did not sign.", [
        plain_root(), root_file(signed_root(**to_quantum), PQ1, PQ2)]  # fmt: skip
    yield "ml-dsa-rotation-by-old-keys-only", "new_threshold", "The new keys did not sign.", [
        first, root_file(signed_root(**to_quantum), ROOT1, PQ1)]  # fmt: skip
    yield from post_quantum_key_scenarios()


def post_quantum_key_scenarios():
    def with_key(name, expect, why, key):
        signed = signed_root(more=[key], targets=role(1, REL1, key))
        return f"ml-dsa-{name}", expect, why, [root_file(signed)]

    def pem(name, expect, why, text, keytype="ml-dsa", scheme="ml-dsa-65/1"):
        return with_key(name, expect, why, Raw(text, keytype, scheme))

    text = PQ1.object["keyval"]["public"]
    yield with_key("pem-without-last-line-feed", "accept", "The other spelling.", PQ_BARE)
    both = signed_root(more=[PQ1, PQ_BARE], targets=role(2, PQ1, PQ_BARE))
    yield "ml-dsa-same-key-under-two-ids", "key_under_two_ids", "Two spellings of one key, which could meet a threshold of two.", [root_file(both)]
    yield pem("scheme-without-version", "key_unknown_algorithm", "The scheme has a version.", text, scheme="ml-dsa-65")
    yield pem("scheme-of-another-version", "key_unknown_algorithm", "Version 2.", text, scheme="ml-dsa-65/2")
    yield pem("44", "key_unknown_algorithm", "A smaller parameter set.", mldsa44_pem(), scheme="ml-dsa-44/1")
    yield pem("44-as-65", "key_pem", "The PEM holds a key of another parameter set.", mldsa44_pem())
    yield pem("ed25519-as-65", "key_pem", "The PEM holds an Ed25519 key.", ed25519_pem())
    yield pem("p256-as-65", "key_pem", "The PEM holds a P-256 key.", HSM.object["keyval"]["public"])
    yield pem("as-ecdsa", "key_pem", "The PEM holds an ML-DSA key.", text, "ecdsa", "ecdsa-sha2-nistp256")
    yield pem("type-of-ed25519", "key_unknown_algorithm", "Type and scheme belong together.", text, "ed25519")
    yield pem("key-in-hex", "key_pem", "Hex is for Ed25519.", PQ1.raw.hex())
    yield pem("key-too-short", "key_pem", "1951 bytes of key.", spki_pem(PQ1.raw[:-1]))
    yield pem("key-too-long", "key_pem", "1953 bytes of key.", spki_pem(PQ1.raw + b"\0"))
    assert spki_pem(PQ1.raw) == text
    yield pem("key-with-parameters", "key_pem", "The algorithm has a NULL beside it.", spki_pem(PQ1.raw, parameters=b"\x05\x00"))
    yield pem("key-of-prehashed-signatures", "key_pem", "HashML-DSA-65 with SHA-512.", spki_pem(PQ1.raw, algorithm=0x21))
    yield pem("key-with-unused-bits", "key_pem", "The last byte of the key has fewer bits.", spki_pem(PQ1.raw[:-1] + b"\0", unused=1))
    yield pem("key-of-zeros", "accept", "Every string of 1952 bytes is a key.", spki_pem(bytes(1952)))
    yield pem("pem-with-carriage-returns", "key_pem", "Another spelling of the PEM.", text.replace("\n", "\r\n"))
    yield pem("pem-with-two-last-line-feeds", "key_pem", "Another spelling of the PEM.", text + "\n")
    yield pem("pem-in-one-line", "key_pem", "Another spelling of the PEM.", spki_pem(PQ1.raw, width=4096))
    yield pem("pem-in-long-lines", "key_pem", "76 characters in a line.", spki_pem(PQ1.raw, width=76))
    yield pem("pem-after-text", "key_pem", "A comment before the PEM.", "Key 1\n" + text)
    yield pem("pem-of-two-keys", "key_pem", "A second key follows.", text + PQ2.object["keyval"]["public"])
    yield pem("pem-with-another-label", "key_pem", "ML-DSA PUBLIC KEY.", text.replace("PUBLIC KEY", "ML-DSA PUBLIC KEY"))


def mldsa44_pem():
    seed = hashlib.sha256(b"treeseal TEST ONLY ml-dsa-44").digest()
    return pem_of(mldsa.MLDSA44PrivateKey.from_seed_bytes(seed).public_key())


def ed25519_pem():
    return pem_of(ONLINE.secret.public_key())


def spki_pem(key, parameters=b"", algorithm=0x12, unused=0, width=64):
    """A SubjectPublicKeyInfo as PEM; the algorithm is the last number of its object identifier."""

    def der(tag, content):
        length = len(content)
        size = (length.bit_length() + 7) // 8
        head = bytes([length]) if length < 128 else bytes([0x80 | size]) + length.to_bytes(size, "big")
        return bytes([tag]) + head + content

    identifier = der(0x06, bytes.fromhex("608648016503040312")[:-1] + bytes([algorithm]))
    data = b64(der(0x30, der(0x30, identifier + parameters) + der(0x03, bytes([unused]) + key)))
    lines = [data[start : start + width] for start in range(0, len(data), width)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def limit_scenarios():
    """Yields (name, expected class, what it shows, chain of roots): values at their limits and one beyond."""

    def file(name, expect, why, change):
        """The first root, changed after it was signed."""
        made = json.loads(plain_root())
        change(made)
        return name, expect, why, [compact(made)]

    def signature(name, expect, why, **changes):
        return file(f"signature-{name}", expect, why, lambda made: made["signatures"][0].update(changes))

    yield signature("of-odd-length", "hex_malformed", "Half a byte is left.", sig="abc")
    yield signature("in-capitals", "hex_malformed", "Hex is in small letters.", sig="AB" * 64)
    yield signature("empty", "field_length", "No bytes.", sig="")
    yield signature("of-4096-bytes", "threshold", "The longest that there is; it counts for nothing.", sig="ab" * 4096)
    yield signature("of-4097-bytes", "field_length", "A byte more.", sig="ab" * 4097)
    yield signature("with-more-fields", "field_unknown", "A signature has two fields.", method="x")
    others = [{"keyid": digest(str(n)), "sig": "ab"} for n in range(63)]
    yield file("signatures-64", "accept", "The most that there are, 62 by keys that the root does not have.", lambda made: made["signatures"].extend(others[:62]))
    yield file("signatures-65", "field_length", "One more.", lambda made: made["signatures"].extend(others))

    members = [Ed25519(f"member {n}") for n in range(122)]
    names = {key.id: f"Key {n}" for n, key in enumerate([*USUAL_KEYS, *members])}
    yield extended("keys-128", "accept", "The most that there are, each with a name.", names=names, more=members)
    yield file("keys-129", "field_length", "One more.", lambda made: made["signed"].update(keys={digest(str(n)): {} for n in range(129)}))
    yield extended("role-of-32-keys", "accept", "The most that there are.", more=members[:32], targets=role(1, *members[:32]))
    yield extended("role-of-33-keys", "field_length", "One more.", more=members[:33], targets=role(1, *members[:33]))
    groups = {f"group-{n}": role(1, REL1) for n in range(33)}
    yield extended("added-roles-32", "accept", "The most that there are.", roles=dict(list(groups.items())[:32]))
    yield extended("added-roles-33", "field_length", "One more.", roles=groups)
    yield extended("role-name-of-64", "accept", "The longest that there is.", {STREAM: rule("r" * 64)}, roles={"r" * 64: role(1, REL1)})
    yield extended("role-name-of-65", "role_name", "A character more.", roles={"r" * 65: role(1, REL1)})
    short = role(1, REL1)
    short["keyids"][0] = short["keyids"][0][:-2]
    yield extended("role-key-id-malformed", "hex_malformed", "A key id has 64 digits.", targets=short)
    streams = {f"s/{n}": rule() for n in range(1025)}
    yield extended("streams-1024", "accept", "The most that there are.", dict(list(streams.items())[:1024]))
    yield extended("streams-1025", "field_length", "One more.", streams)
    yield "streams-none", "accept", "No stream may be sealed.", [plain_root(extension={"streams": {}})]
    revoked = {f"s/{n}": [1] for n in range(1025)}
    yield extended("revoked-sequences-of-1024-streams", "accept", "The most that there are.", revokedSequences=dict(list(revoked.items())[:1024]))
    yield extended("revoked-sequences-of-1025-streams", "field_length", "One more.", revokedSequences=revoked)
    yield extended("names-of-one-character", "accept", "The shortest that there is.", names={REL1.id: "R"})
    yield extended("revoked-digest-of-96-digits", "hex_malformed", "64 or 128.", revokedDigests=["ab" * 48])

    def with_key(name, expect, why, key):
        return extended(name, expect, why, more=[key], targets=role(1, REL1, key))

    more = Raw(FOREIGN.object["keyval"]["public"])
    more.object["keyid_hash_algorithms"] = ["sha256"]
    more.id = verify.key_id(more.object)
    yield with_key("key-with-a-fourth-field", "field_unknown", "A key object has three fields.", more)
    yield with_key("key-that-is-p", "key_not_a_point", "p instead of 0.", Raw("ed" + "ff" * 30 + "7f"))
    yield with_key("key-with-sign-on-zero", "key_not_a_point", "x is 0 and has a sign.", Raw("01" + "00" * 30 + "80"))
    for name, text, expect in (
        ("of-one-number", "1", "root_spec_version"), ("with-last-dot", "1.", "root_spec_version"),
        ("of-four-numbers", "1.0.31.1", "root_spec_version"), ("of-five-digits", "1.12345", "root_spec_version"),
        ("of-four-digits", "1.0000.9999", "accept"),
    ):  # fmt: skip
        yield f"spec-version-{name}", expect, "`1.` and one or two numbers of 1 to 4 digits.", [plain_root(spec_version=text)]
    yield "version-largest", "accept", "2^53 - 1.", [plain_root(version=verify.MAX_INTEGER)]
    yield "version-too-large", "field_range", "2^53.", [plain_root(version=2**53)]
    yield "consistent-snapshot-false", "accept", "It means nothing here.", [plain_root(consistent_snapshot=False)]
    yield "consistent-snapshot-as-number", "field_type", "1 is no boolean.", [plain_root(consistent_snapshot=1)]
