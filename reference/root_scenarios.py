"""Scenarios about trust roots."""

import json

from cryptography.hazmat.primitives import serialization

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
        ONLINE.secret.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
        "ecdsa", "ecdsa-sha2-nistp256"))  # fmt: skip
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
    def extended(name, expect, why, streams=None, **fields):
        return changed(name, expect, why, extension={"streams": streams or {STREAM: rule()}, **fields})

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
    yield "python-tuf-extension", "accept", "With x-treeseal and a P-256 key.", [load("1.extension")]
    yield "python-tuf-extension-changed", "threshold", "A changed x-treeseal.", [load("1.extension-changed")]
