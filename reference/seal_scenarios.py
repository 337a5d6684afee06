"""Scenarios about seals."""

import base64
import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import trust_verify as verify
from trust_parts import *  # noqa: F403


def with_digests(value):
    return {"name": STREAM, "digest": value}


def seal_scenarios():
    """Yields (name, expected class, what it shows, inputs)."""

    def said(name, expect, why, **changes):
        return seal(name, expect, why, envelope(compact(statement(**changes))))

    def raw(name, expect, why, old, new):
        payload = compact(statement()).decode()
        assert payload.count(old) == 1, (name, old)
        return seal(name, expect, why, envelope(payload.replace(old, new).encode()))

    good = compact(statement())
    two = dict(root=plain_root(targets=role(2, REL1, REL2)))

    # Who signed
    yield seal("one-signer", "accept", "One release key signed, one is needed.")
    yield seal("two-of-two", "accept", "Both release keys signed, both are needed.", envelope(good, REL1, REL2), **two)
    yield seal("one-of-two", "threshold", "One stolen key is not enough where two are needed.", **two)
    yield seal(
        "duplicate-signature", "threshold", "The same signature twice is one signer.", envelope(good, REL1, REL1), **two
    )
    other_name = [entry(good, REL1), entry(good, REL1, keyid=REL2.id)]
    yield seal(
        "same-key-under-two-hints", "threshold", "One key that claims two key ids is one signer.",
        envelope(good, signatures=other_name), **two,
    )  # fmt: skip
    ecdsa = P256("hsm")
    low, high = (b64(ecdsa.sign(verify.pae(good), high=flag)) for flag in (False, True))
    with_hsm = [ROOT1, ROOT2, ROOT3, REL1, HSM, ONLINE]
    hsm = dict(root=plain_root(keys=with_hsm, targets=role(1, REL1, HSM)))
    hsm_two = dict(root=plain_root(keys=with_hsm, targets=role(2, REL1, HSM)))
    yield seal(
        "ecdsa-low-s", "accept", "A P-256 key signed.", envelope(good, signatures=[{"sig": low}]), **hsm
    )
    yield seal(
        "ecdsa-high-s", "accept", "The other value of s is accepted as well.",
        envelope(good, signatures=[{"sig": high}]), **hsm,
    )  # fmt: skip
    yield seal(
        "ecdsa-both-s-are-one-signer", "threshold", "Two signatures of one P-256 key, one made from the other.",
        envelope(good, signatures=[{"sig": low}, {"sig": high}]), **hsm_two,
    )  # fmt: skip
    yield seal(
        "mixed-algorithms", "accept", "An Ed25519 key and a P-256 key reach a threshold of two.",
        envelope(good, REL1, HSM), **hsm_two,
    )  # fmt: skip
    yield seal(
        "ecdsa-garbage-after-der", "threshold", "A byte follows the DER of the signature.",
        envelope(good, signatures=[{"sig": b64(base64.b64decode(low) + b"\0")}]), **hsm,
    )  # fmt: skip
    yield seal(
        "ecdsa-raw-signature", "threshold", "r and s without DER are no signature here.",
        envelope(good, signatures=[{"sig": b64(b"".join(
            n.to_bytes(32, "big") for n in decode_dss_signature(base64.b64decode(low))))}]), **hsm,
    )  # fmt: skip
    yield seal("foreign-key", "threshold", "Signed by a key that the root does not have.", envelope(good, FOREIGN))
    yield seal("key-of-another-role", "threshold", "Signed by an online key.", envelope(good, ONLINE))
    yield seal("root-key-cannot-seal", "threshold", "Signed by root keys.", envelope(good, ROOT1, ROOT2))
    yield seal("stripped-seal", "threshold", "All signatures were taken away.", envelope(good, signatures=[]))
    edited = compact(statement(sequence=8))
    yield seal(
        "edited-payload", "threshold", "The payload was changed after it was signed.",
        envelope(edited, signatures=[entry(good, REL1)]),
    )  # fmt: skip
    yield seal(
        "payload-reformatted", "threshold", "The same JSON with other white space is another message.",
        envelope(good + b"\n", signatures=[entry(good, REL1)]),
    )  # fmt: skip
    for length in (0, 63, 65):
        sig = (REL1.sign(verify.pae(good)) + b"\0")[:length]
        yield seal(
            f"signature-of-{length}-bytes", "threshold" if length else "field_length",
            "An Ed25519 signature has 64 bytes.", envelope(good, signatures=[{"sig": b64(sig)}]),
        )  # fmt: skip
    sig = REL1.sign(verify.pae(good))
    larger = int.from_bytes(sig[32:], "little") + verify.ORDER
    yield seal(
        "signature-with-unreduced-scalar", "threshold", "The group's order was added to s: a second spelling.",
        envelope(good, signatures=[{"sig": b64(sig[:32] + larger.to_bytes(32, "little"))}]),
    )  # fmt: skip
    yield seal(
        "signature-of-zeros", "threshold", "R and s are zero.", envelope(good, signatures=[{"sig": b64(bytes(64))}])
    )
    yield seal(
        "signature-with-neutral-r", "threshold", "The equation holds, but R has small order.",
        envelope(good, signatures=[{"sig": b64(REL1.sign_with_neutral_r(verify.pae(good)))}]),
    )  # fmt: skip
    yield seal(
        "bad-signature-beside-a-good-one", "accept", "Signatures that do not count do no harm.",
        envelope(good, signatures=[{"sig": b64(b"x")}, entry(good, FOREIGN), entry(good, REL2)]),
    )  # fmt: skip
    yield seal(
        "signed-without-type", "threshold", "The payload alone was signed, without DSSE's encoding.",
        envelope(good, signatures=[{"sig": b64(REL1.sign(good))}]),
    )  # fmt: skip

    # Key hints
    sig = entry(good, REL1)["sig"]
    for name, changes, why in (
        ("key-hint-missing", {}, "The hint may be missing."),
        ("key-hint-of-another-tool", {"keyid": "SHA256:abc/def"}, "The hint may have any form."),
        ("key-hint-wrong", {"keyid": REL2.id}, "A hint decides nothing, not even when it names another key."),
    ):
        yield seal(name, "accept", why, envelope(good, signatures=[{"sig": sig, **changes}]))
    yield seal("key-hint-not-a-string", "field_type", "The hint is a number.", envelope(good, signatures=[{"sig": sig, "keyid": 1}]))

    # The envelope
    nasty = compact(statement(sources=[{"type": "dir", "name": "\u00ff\u00fe>>>???~~~"}, {"type": "dir", "name": "ab"}]))
    standard = {"payload": b64(nasty), "sig": b64(REL1.sign(verify.pae(nasty)))}
    assert "+" in standard["payload"] + standard["sig"] and "/" in standard["payload"] + standard["sig"]
    for name, change in (
        ("standard-base64", lambda text: text),
        ("url-safe-base64", lambda text: text.replace("+", "-").replace("/", "_")),
        ("base64-without-padding", lambda text: text.rstrip("=")),
        ("url-safe-base64-without-padding", lambda text: text.replace("+", "-").replace("/", "_").rstrip("=")),
    ):
        yield seal(
            name, "accept", "Both alphabets are read, with and without padding.",
            envelope(nasty, payload=change(standard["payload"]), signatures=[{"sig": change(standard["sig"])}]),
        )  # fmt: skip
    yield seal("mixed-base64", "base64", "One text uses one alphabet.", envelope(good, payload=b64(good)[:-4] + "+_AA"))
    yield seal("base64-with-line-feed", "base64", "White space in base64.", envelope(good, payload=b64(good) + "\n"))
    odd = good if len(good) % 3 else good + b" "
    bits = b64(odd).rstrip("=")
    yield seal(
        "base64-with-bits-left", "base64", "Bits after the last byte are not zero.",
        envelope(odd, payload=bits[:-1] + chr(ord(bits[-1]) + 1)),
    )  # fmt: skip
    yield seal("wrong-payload-type", "payload_type", "TUF metadata in DSSE.", envelope(payloadType="application/vnd.tuf+json"))
    yield seal(
        "payload-type-in-capitals", "payload_type", "Types are compared as bytes.",
        envelope(payloadType="application/vnd.in-toto+JSON"),
    )  # fmt: skip
    yield seal(
        "unknown-envelope-fields", "accept", "DSSE: unknown fields outside the payload are ignored.",
        envelope(good, signatures=[entry(good, REL1, cert="x")], extra={"a": [1]}),
    )  # fmt: skip
    yield seal("line-feed-after-envelope", "accept", "White space may follow.", envelope() + b"\n")
    yield seal("trailing-bytes-after-envelope", "json_trailing_bytes", "A second envelope follows.", envelope() + b"{}")
    yield seal(
        "duplicate-key-in-envelope", "json_duplicate_key", "Two payloads.",
        envelope().replace(b'{"payload":', b'{"payload":"QQ==","payload":'),
    )  # fmt: skip
    yield seal("signatures-missing", "field_missing", "No list at all.", compact({"payload": "QQ==", "payloadType": verify.PAYLOAD_TYPE}))
    yield seal("signatures-not-a-list", "field_type", "An object instead of a list.", envelope(signatures={}))
    yield seal("too-many-signatures", "field_length", "65 signatures.", envelope(good, signatures=[{"sig": "QQ=="}] * 65))
    yield seal("huge-signature", "field_length", "A signature of 4097 bytes.", envelope(good, signatures=[{"sig": b64(bytes(4097))}]))
    yield seal("empty-envelope", "json_syntax", "No bytes.", b"")
    yield seal("envelope-not-an-object", "field_type", "A list.", b"[]")
    yield seal("envelope-not-utf-8", "json_not_utf8", "A byte that UTF-8 does not have.", envelope().replace(b"payloadType", b"payload\xffype"))
    yield seal("byte-order-mark", "json_syntax", "A byte order mark before the envelope.", b"\xef\xbb\xbf" + envelope())
    yield seal("oversize-envelope", "json_too_large", "One byte over 256 KiB.", envelopePadTo=verify.MAX_ENVELOPE + 1)
    yield seal("largest-envelope", "accept", "Exactly 256 KiB, most of it white space.", envelopePadTo=verify.MAX_ENVELOPE)
    yield seal("oversize-payload", "field_length", "A payload one byte over 64 KiB.", envelope(good.ljust(verify.MAX_PAYLOAD + 1)))

    # The statement as JSON
    yield seal(
        "payload-with-spaces-and-escapes", "accept", "The payload need not be compact: its bytes are signed.",
        envelope(json.dumps(statement(), indent=2).replace("stable", "st\\u0061ble").encode()),
    )  # fmt: skip
    yield raw("duplicate-key-in-statement", "json_duplicate_key", "Two sequences.", '"sequence":7', '"sequence":7,"sequence":8')
    yield raw("duplicate-key-escaped", "json_duplicate_key", "The second one is spelled with an escape.", '"sequence":7', '"sequence":7,"\\u0073equence":8')
    yield raw("duplicate-key-deep", "json_duplicate_key", "In the image.", '"size":12288', '"size":12288,"size":1')
    yield raw("float-sequence", "json_not_integer", "7.0 is no integer here.", '"sequence":7', '"sequence":7.0')
    yield raw("exponent-sequence", "json_not_integer", "7e0 is no integer here.", '"sequence":7', '"sequence":7e0')
    yield raw("negative-zero", "json_not_integer", "-0 is no integer here.", '"count":3', '"count":-0')
    yield raw("integer-over-64-bits", "json_integer_range", "2^64.", '"count":3', '"count":18446744073709551616')
    yield raw("leading-zero", "json_syntax", "07 is not JSON.", '"sequence":7', '"sequence":07')
    yield raw("not-a-number", "json_syntax", "NaN is not JSON.", '"count":3', '"count":NaN')
    yield raw("deep-nesting", "json_too_deep", "17 arrays and objects.", '"sequence":7', '"sequence":' + "[" * 15 + "]" * 15)
    yield raw("lone-surrogate", "json_syntax", "Half a character.", '"rootfs"', '"\\ud800"')
    yield raw("control-character-in-string", "json_syntax", "A raw line feed in a string.", '"rootfs"', '"root\nfs"')
    yield seal("trailing-bytes-after-statement", "json_trailing_bytes", "Another object follows.", envelope(good + b"{}"))
    yield seal("statement-not-utf-8", "json_not_utf8", "A byte that UTF-8 does not have.", envelope(good.replace(b"rootfs", b"root\xfes")))
    yield seal("statement-not-json", "json_syntax", "Some text.", envelope(b"tree 7"))

    # The statement's fields
    yield said("unknown-predicate-field", "field_unknown", "A field that a newer version may define.", extra=1)
    yield said("unknown-statement-field", "field_unknown", "A fifth field.", comment="x")
    yield said("statement-v0.1", "statement_type", "in-toto's older statement.", _type="https://in-toto.io/Statement/v0.1")
    yield said("other-predicate", "predicate_type", "A statement about provenance.", predicateType="https://slsa.dev/provenance/v1")
    yield said("no-subject", "subject_count", "A statement about nothing.", subject=[])
    yield said("subject-with-more-fields", "field_unknown", "A subject has a name and digests.", subject=[{**subject(), "uri": "x"}])
    yield said("stream-with-dots", "stream_name", "A name that would leave its directory.", stream="acme/../etc")
    yield said("stream-too-long", "stream_name", "More than 255 bytes.", stream="/".join(["a" * 64] * 4))
    yield said("unknown-digest-name", "digest_unknown", "A digest that nobody checks.", subject=[with_digests({**digests(), "sha1": "00" * 20})])
    yield said("no-file-digest", "digest_missing", "SHA-256 of the file alone.", subject=[with_digests({"sha256": digest("image")})])
    yield said("no-sha256", "field_missing", "The file digest alone.", subject=[with_digests({SHA256: digest("verity")})])
    yield said("digest-too-short", "digest_malformed", "62 digits.", subject=[with_digests({**digests(), "sha256": "ab" * 31})])
    yield said("digest-in-capitals", "digest_malformed", "A digest has one spelling.", subject=[with_digests({**digests(), "sha256": "AB" * 32})])
    both = [subject("", SHA256, SHA512)]
    yield said("sha512-beside-sha256", "accept", "Both file digests.", subject=both)
    yield said(
        "sha512-alone", "accept", "The file digest with SHA-512 alone.",
        subject=[subject("", SHA512)], images=[image(objects=SHA512)],
    )  # fmt: skip
    yield said("sequence-zero", "field_range", "Sequences start at 1.", sequence=0)
    yield said("sequence-negative", "field_range", "Sequences start at 1.", sequence=-1)
    yield said("sequence-largest", "accept", "2^53 - 1.", sequence=verify.MAX_INTEGER)
    yield said("sequence-too-large", "field_range", "2^53, which not every JSON reader keeps.", sequence=2**53)
    yield said("sequence-as-text", "field_type", "A number in quotes.", sequence="7")
    yield said("sequence-missing", "field_missing", "No sequence.", sequence=None)
    yield raw("not-after-null", "field_type", "null is not the same as absent.", '"sequence":7', '"sequence":7,"notAfter":null')
    yield said("created-with-offset", "time_malformed", "Times are in UTC.", created="2026-05-01T12:00:00+00:00")
    yield said("created-with-fraction", "time_malformed", "Times are whole seconds.", created="2026-05-01T12:00:00.5Z")
    yield said("created-on-no-day", "time_malformed", "2026 is no leap year.", created="2026-02-29T12:00:00Z")
    yield said("not-after-before-created", "not_after_before_created", "Ends before it starts.", notAfter="2026-05-01T11:59:59Z")
    yield said("composefs-version-1", "accept", "The other version.", images=[image(1)])
    yield said("unknown-image-format", "image_format_unknown", "squashfs.", images=[image(format="squashfs")])
    yield said("unknown-image-version", "image_format_unknown", "Version 2.", images=[image(2)])
    yield said("unknown-object-algorithm", "object_algorithm_unknown", "MD5.", images=[image(objects="md5")])
    yield said("source-with-control-character", "source_malformed", "A terminal escape.", sources=[{"type": "dir", "name": "\x1b[2J"}])
    yield said("source-of-no-name", "source_malformed", "An empty name.", sources=[{"type": "dir", "name": ""}])
    yield said("too-many-sources", "field_length", "65 sources.", sources=[{"type": "dir", "name": "x"}] * 65)
    yield said("previous-malformed", "digest_malformed", "Not a digest.", previous="none")
    yield said(
        "every-field", "accept", "Everything that a statement can say.", subject=both, notAfter="2027-01-01T00:00:00Z",
        previous=digest("previous"), sources=[{"type": "oci", "name": "registry/os:1"}, {"type": "rpm", "name": "Größe"}],
    )  # fmt: skip

    # Streams and roles
    yield said("other-stream", "other_stream", "A seal for the testing channel.", stream="acme/os/x86_64/testing")
    yield seal("stream-without-rule", "stream_not_allowed", "The root has no rule for it.", stream="acme/os/arm64/stable")
    yield seal("root-without-extension", "stream_not_allowed", "A plain TUF root allows no stream.", root=root_file({k: v for k, v in signed_root().items() if k != "x-treeseal"}))
    only2 = {"nightly": role(1, REL2)}

    def under(name, expect, why, extension, *keys, **inputs):
        return seal(name, expect, why, envelope(good, *keys), root=plain_root(extension=extension), **inputs)

    yield under("pattern-all", "accept", "A rule for all streams.", rules(("*", rule())))
    yield under("pattern-prefix", "accept", "A rule for a vendor's streams.", rules(("acme/*", rule())))
    yield under("pattern-prefix-of-a-component", "stream_not_allowed", "`acm/*` is not about `acme/...`.", rules(("acm/*", rule())))
    yield under("pattern-prefix-of-itself", "stream_not_allowed", "`S/*` is not about `S`.", rules((STREAM + "/*", rule())))
    wins = rules(("*", rule()), ("acme/*", rule()), ("acme/os/*", rule("nightly")), roles=only2)
    yield under("longest-prefix-wins", "threshold", "The most specific rule is for another role.", wins, REL1)
    yield under("longest-prefix-wins-for-its-role", "accept", "The most specific rule's role signed.", wins, REL2)
    exact = rules(("acme/os/x86_64/*", rule()), (STREAM, rule("nightly")), roles=only2)
    yield under("exact-rule-wins", "threshold", "The stream's own rule comes before any prefix.", exact, REL1)
    tie = rules(("a/*", rule()), ("a/b", rule("nightly")), roles=only2)
    short = compact(statement(stream="a/b"))
    yield seal(
        "exact-rule-wins-over-equal-length", "threshold", "`a/b` comes before `a/*`, which is as long.",
        envelope(short, REL1), root=plain_root(extension=tie), stream="a/b",
    )  # fmt: skip

    # Rollback
    yield seal("higher-sequence", "accept", "6 was accepted before.", state=state(streams=floor(6)))
    yield seal("lower-sequence", "rolled_back", "8 was accepted before.", state=state(streams=floor(8)))
    yield seal("equal-sequence-same-payload", "accept", "The same seal again.", state=state(streams=floor(7, good)))
    yield seal("equal-sequence-other-payload", "sequence_reused", "Another tree with the same sequence.", state=state(streams=floor(7, b"other")))
    yield seal("equal-sequence-unknown-payload", "accept", "Only the sequence is remembered.", state=state(streams=floor(7)))
    yield seal("floor-of-another-stream", "accept", "Floors are kept for each stream.", state=state(streams={"acme/os/x86_64/testing": {"sequence": 99}}))
    yield under("below-minimum", "below_minimum", "The root wants 8 and later.", rules((STREAM, rule(low=8))))
    yield under("at-minimum", "accept", "The root wants 7 and later.", rules((STREAM, rule(low=7))))
    yield seal("root-rolled-back", "root_rolled_back", "Version 2 of the root was used before.", state=state(root_version=2))

    # Revocation and formats
    one = rules((STREAM, rule()))
    yield under("revoked-by-sha256", "revoked", "SHA-256 of the image is revoked.", {**one, "revokedDigests": [digest("image")]})
    yield under("revoked-by-file-digest", "revoked", "The image's file digest is revoked.", {**one, "revokedDigests": [digest("verity")]})
    yield seal(
        "revoked-by-sha512", "revoked", "The image's file digest with SHA-512 is revoked.",
        envelope(compact(statement(subject=both))), root=plain_root(extension={**one, "revokedDigests": [digests("", SHA512)[SHA512]]}),
    )  # fmt: skip
    yield under("another-image-revoked", "accept", "Another image is revoked.", {**one, "revokedDigests": [digest("x")]})
    yield under("format-allowed", "accept", "The root names the format.", {**one, "formats": ["composefs/1", "composefs/0"]})
    yield under("format-not-allowed", "image_not_allowed", "The root names another format.", {**one, "formats": ["composefs/1"]})

    # Time
    ends = envelope(compact(statement(notAfter="2026-05-31T23:59:59Z")))
    refusing = plain_root(extension={**one, "atBoot": "refuse"})
    late = {"lowerBound": "2031-01-01T00:00:00Z"}
    yield seal("last-second", "accept", "`notAfter` is the last second.", ends, clock={"trusted": "2026-05-31T23:59:59Z"})
    yield seal("expired-seal", "seal_expired", "One second later.", ends, clock={"trusted": NOW})
    yield seal("root-before-expiry", "accept", "The last second of the root.", clock={"trusted": "2029-12-31T23:59:59Z"})
    yield seal("expired-root", "root_expired", "From `expires` on the root is expired.", clock={"trusted": EXPIRES})
    yield seal("expired-root-at-boot", "accept", "At boot expiry is reported.", clock=late)
    yield seal("expired-root-at-boot-refused", "root_expired", "The root says `refuse`.", root=refusing, clock=late)
    yield seal("expired-seal-at-boot", "accept", "At boot expiry is reported.", ends, clock={"lowerBound": NOW})
    yield seal("not-expired-at-boot", "accept", "Nothing shows that anything is expired.", root=refusing, clock={"lowerBound": NOW})
    yield seal("no-clock", "accept", "Nothing is known about the time.", ends, clock="unknown")
    early = envelope(compact(statement(created="2026-06-02T00:00:01Z")))
    yield seal("made-a-day-from-now", "accept", "Clocks may differ by a day.", envelope(compact(statement(created="2026-06-02T00:00:00Z"))))
    yield seal("made-more-than-a-day-from-now", "seal_from_future", "By a second more.", early)
    yield seal("made-from-now-at-boot", "accept", "The clock may be slow.", early, clock={"lowerBound": NOW})
    yield seal("made-from-now-without-clock", "accept", "Nothing is known about the time.", early, clock="unknown")
    yield seal("made-from-now-with-clock-behind", "accept", "The clock is known to be wrong.", early, state=state(newest="2026-06-01T00:00:01Z"))
    yield seal(
        "clock-behind-time-seen", "clock_behind", "The clock was set back behind a time that was seen signed.",
        ends, clock={"trusted": "2026-05-02T00:00:00Z"}, state=state(newest=NOW),
    )  # fmt: skip
    yield seal(
        "no-clock-but-time-seen", "root_expired", "A time that was seen signed shows that the root is expired.",
        root=refusing, clock="unknown", state=state(newest="2030-06-01T00:00:00Z"),
    )  # fmt: skip

    # What other tools write
    foreign = SEAL / "foreign"
    keys = [Raw(line) for line in (foreign / "securesystemslib-ed25519.hex").read_text().split()]
    by_others = lambda members, count, pattern: plain_root(  # noqa: E731
        keys=[ROOT1, ROOT2, ROOT3, ONLINE, *members],
        targets=role(count, *members),
        extension=rules((pattern, rule())),
    )
    yield seal(
        "written-by-securesystemslib", "predicate_type", "Its two signatures count; its predicate is not ours.",
        (foreign / "securesystemslib-two-ed25519.json").read_bytes(),
        root=by_others(keys, 2, "demo/*"), stream="demo/x86_64/stable",
    )  # fmt: skip
    yield seal(
        "written-by-securesystemslib-threshold-3", "threshold", "Two signatures are not three.",
        (foreign / "securesystemslib-two-ed25519.json").read_bytes(),
        root=by_others(keys, 3, "demo/*"), stream="demo/x86_64/stable",
    )  # fmt: skip
    pem = serialization.load_pem_public_key((foreign / "cosign-ed25519.pem").read_bytes())
    cosign = {
        "ed25519": Raw(pem.public_bytes_raw().hex()),
        "p256": Raw((foreign / "cosign-p256.pem").read_text(), "ecdsa", "ecdsa-sha2-nistp256"),
    }
    for name, key in cosign.items():
        yield seal(
            f"accepted-by-cosign-{name}", "predicate_type", "An envelope that cosign accepts; its predicate is not ours.",
            (foreign / f"cosign-{name}.json").read_bytes(),
            root=by_others([key], 1, "fixture/*"), stream="fixture/x86_64/stable",
        )  # fmt: skip


def image_scenarios():
    """Yields (name, expected class, what it shows, inputs): several images, and which of them are allowed."""

    def of_images(*kinds, **changes):
        """A payload with an image of each kind: version, objects, and the digests beside SHA-256."""
        images = [image(version, objects) for version, objects, _ in kinds]
        subjects = [subject(f" {index}", *algorithms) for index, (_, _, algorithms) in enumerate(kinds)]
        return compact(statement(**{"images": images, "subject": subjects, **changes}))

    def under(name, expect, why, payload, **extension):
        root = plain_root(extension={"streams": {STREAM: rule()}, **extension})
        return seal(name, expect, why, envelope(payload), root=root)

    old, new = (0, SHA256, [SHA256]), (1, SHA256, [SHA256])
    two = of_images(old, new)
    four = of_images(old, new, (0, SHA512, [SHA512]), (1, SHA512, [SHA256, SHA512]))

    # The statement
    yield under("two-images", "accept", "Version 0 and version 1 of one tree.", two)
    yield under("two-images-newer-first", "accept", "Images are reported in the statement's order.", of_images(new, old))
    yield under("four-images", "accept", "Both versions, with objects named in both ways.", four)
    yield under(
        "objects-named-otherwise-than-the-image", "accept", "Objects by SHA-512, the image by SHA-256.",
        of_images((0, SHA512, [SHA256])),
    )  # fmt: skip
    yield under("image-kind-repeated", "repeated", "Two images of version 0.", of_images(old, old))
    yield under("image-kind-repeated-among-three", "repeated", "The last is of the kind of the first.", of_images(old, new, old))
    other = [subject(" 0"), subject(" 1", name="acme/os/x86_64/testing")]
    yield under("subject-names-differ", "subject_name", "One subject is of another stream.", of_images(old, new, subject=other))
    yield under(
        "subject-names-differ-in-the-first", "subject_name", "The second subject is of the wanted stream.",
        of_images(old, new, subject=other[::-1]),
    )  # fmt: skip
    yield under("more-subjects-than-images", "subject_count", "Two subjects, one image.", of_images(old, new, images=[image()]))
    yield under("more-images-than-subjects", "subject_count", "One subject, two images.", of_images(old, new, subject=[subject()]))
    yield under("no-images", "subject_count", "One subject, no image.", of_images(old, images=[]))
    yield under("eight-images", "repeated", "Eight are not too many, but there are four kinds.", of_images(*[old, new] * 4))
    yield under("nine-images", "subject_count", "One image too many.", of_images(*[old] * 9))
    yield under("images-missing", "field_missing", "No list of images.", of_images(old, images=None))
    yield under("images-not-a-list", "field_type", "One image instead of a list.", of_images(old, images=image()))
    yield under("image-not-an-object", "field_type", "Text instead of an image.", of_images(old, images=["composefs/0"]))
    yield under("image-with-more-fields", "field_unknown", "A fifth field.", of_images(old, images=[image(colour="red")]))
    bare = {name: value for name, value in image().items() if name != "objects"}
    yield under("image-without-objects", "field_missing", "What the objects are named by is not said.", of_images(old, images=[bare]))
    yield under("image-of-negative-size", "field_range", "A size of -1.", of_images(old, images=[image(size=-1)]))
    yield under("image-version-as-text", "field_type", "A version in quotes.", of_images(old, images=[image("0")]))
    objects = {"count": 3, "bytes": 70000, "algorithm": SHA256}
    yield under("objects-with-algorithm", "field_unknown", "It is said for each image.", of_images(old, objects=objects))
    yield under("second-image-unknown", "image_format_unknown", "Version 2 beside version 0.", of_images(old, (2, SHA256, [SHA256])))
    without = [subject(" 0"), with_digests({"sha256": digest("image 1")})]
    yield under("second-image-without-file-digest", "digest_missing", "SHA-256 of the second file alone.", of_images(old, new, subject=without))
    wrong = [subject(" 0"), with_digests({**digests(" 1"), SHA256: "ab" * 31})]
    yield under("second-image-digest-malformed", "digest_malformed", "62 digits.", of_images(old, new, subject=wrong))

    # Of two rules the earlier one
    late = "2026-05-01T11:59:59Z"
    none = [with_digests({"sha256": digest("image")}), subject(" 1", name="acme/os")]
    yield under("subject-names-before-unknown-field", "subject_name", "Subjects are read before the predicate.", of_images(old, new, subject=other, extra=1))
    yield under("subject-names-before-missing-digest", "subject_name", "Names differ, and a digest is missing.", of_images(old, new, subject=none))
    yield under("missing-digest-before-not-after", "digest_missing", "A digest is missing, and it ends before it starts.", of_images(old, new, subject=without, notAfter=late))
    yield under("image-count-before-not-after", "subject_count", "An image is missing, and it ends before it starts.", of_images(old, new, images=[image()], notAfter=late))
    yield under("image-count-before-repeated", "subject_count", "A kind is repeated, and there are too many.", of_images(old, images=[image()] * 2))

    # What the root allows
    yield under("image-dropped-by-format", "accept", "Version 0 is not allowed, version 1 is used.", two, formats=["composefs/1"])
    yield under("all-formats-allowed", "accept", "Both versions are named.", two, formats=["composefs/0", "composefs/1"])
    yield under("no-format-allowed", "image_not_allowed", "An empty list allows nothing.", two, formats=[])
    yield under("no-image-of-the-format", "image_not_allowed", "Two images of version 0.", of_images(old, (0, SHA512, [SHA512])), formats=["composefs/1"])
    yield under("images-dropped-by-algorithm", "accept", "Only images and objects by SHA-512.", four, algorithms=[SHA512])
    yield under("images-dropped-by-the-other-algorithm", "accept", "Only images and objects by SHA-256.", four, algorithms=[SHA256])
    yield under("both-algorithms-allowed", "accept", "Both are named.", four, algorithms=[SHA512, SHA256])
    yield under("image-dropped-by-both", "accept", "One of four is left.", four, algorithms=[SHA512], formats=["composefs/1"])
    yield under(
        "objects-of-an-unallowed-algorithm", "image_not_allowed", "Its own digest would be allowed, its objects are not.",
        of_images((0, SHA256, [SHA256, SHA512])), algorithms=[SHA512],
    )  # fmt: skip
    yield under(
        "image-without-an-allowed-digest", "image_not_allowed", "Its objects would be allowed, its own digest is not.",
        of_images((0, SHA512, [SHA256])), algorithms=[SHA512],
    )  # fmt: skip
    yield under(
        "image-with-an-allowed-digest-among-two", "accept", "One allowed digest is enough.",
        of_images((0, SHA512, [SHA256, SHA512])), algorithms=[SHA512],
    )  # fmt: skip
    yield under(
        "each-image-unallowed-for-another-reason", "image_not_allowed", "One format and one algorithm, but no image of both.",
        of_images(old, (1, SHA512, [SHA512])), algorithms=[SHA512], formats=["composefs/0"],
    )  # fmt: skip
    second = digests(" 1")["sha256"]
    yield under("revoked-by-second-image", "revoked", "A digest of the second image is revoked.", two, revokedDigests=[second])
    yield under(
        "revoked-by-an-unallowed-image", "revoked", "A digest of an image that would be dropped: the tree is revoked.",
        two, revokedDigests=[second], formats=["composefs/0"],
    )  # fmt: skip

    # Revoked sequences
    good = compact(statement())
    largest = compact(statement(sequence=verify.MAX_INTEGER))
    yield under("sequence-revoked", "sequence_revoked", "This one seal is revoked.", good, revokedSequences={STREAM: [3, 7]})
    yield under("another-sequence-revoked", "accept", "Its neighbours are revoked.", good, revokedSequences={STREAM: [6, 8]})
    yield under("largest-sequence-revoked", "sequence_revoked", "2^53 - 1.", largest, revokedSequences={STREAM: [verify.MAX_INTEGER]})
    yield under(
        "sequence-revoked-in-another-stream", "accept", "Sequences are revoked stream by stream.",
        good, revokedSequences={"acme/os/x86_64/testing": [7], "acme/os/x86_64": [7]},
    )  # fmt: skip


def step_scenarios():
    """Yields (name, expected class, what it shows, inputs): two steps fail, and the earlier one is named."""
    good = compact(statement())
    ends = compact(statement(notAfter="2026-05-31T23:59:59Z"))
    broken = b"[]"

    def extension(low=1, **more):
        return rules((STREAM, rule(low=low)), **more)

    def both(first, second, data, *, of=None, **inputs):
        """Both classes are those of rules that fail; the first must be named."""
        root = plain_root(extension=of or extension(), expires=inputs.pop("expires", EXPIRES))
        name = f"{first}-before-{second}".replace("_", "-")
        return seal(name, first, "Two steps fail, the earlier one is named.", data, root=root, **inputs)

    older = dict(state=state(streams=floor(8)))
    other = dict(state=state(streams=floor(7, b"other")))
    revoked = dict(revokedSequences={STREAM: [7]}, revokedDigests=[digest("image")])
    fresh_needed = rules((STREAM, rule(freshness=("timestamp", 0))))
    yield both("root_rolled_back", "json_syntax", b"", state=state(root_version=2))
    yield both("json_syntax", "stream_not_allowed", b"", stream="other/stream")
    yield both("stream_not_allowed", "threshold", envelope(good, FOREIGN), stream="other/stream")
    yield both("threshold", "field_type", envelope(broken, FOREIGN))
    yield both("field_range", "other_stream", envelope(compact(statement(sequence=0, stream="acme/os"))))
    yield both("other_stream", "below_minimum", envelope(compact(statement(stream="acme/os"))), of=extension(8))
    yield both("below_minimum", "rolled_back", envelope(), of=extension(8), **older)
    yield both("rolled_back", "sequence_revoked", envelope(), of=extension(**revoked), **older)
    yield both("sequence_reused", "sequence_revoked", envelope(), of=extension(**revoked), **other)
    yield both("sequence_revoked", "revoked", envelope(), of=extension(**revoked))
    denied = dict(formats=["composefs/1"])
    yield both("revoked", "image_not_allowed", envelope(), of=extension(revokedDigests=[digest("image")], **denied))
    yield both("image_not_allowed", "seal_expired", envelope(ends), of=extension(**denied))
    early = envelope(compact(statement(created="2026-06-02T00:00:01Z")))
    yield both("image_not_allowed", "seal_from_future", early, of=extension(**denied))
    yield both("seal_from_future", "root_expired", early, expires=NOW)
    yield both("seal_expired", "root_expired", envelope(ends), expires=NOW)
    yield both("seal_expired", "freshness_missing", envelope(ends), of=fresh_needed)
    yield both("root_expired", "freshness_missing", envelope(), of=fresh_needed, expires=NOW)
    yield both("root_expired", "json_syntax", envelope(), of=fresh_needed, expires=NOW, freshness=b"")
    yield both("image_not_allowed", "not_current", envelope(), of=extension(**denied), freshness=fresh(sequence=8))


def limit_scenarios():
    """Yields (name, expected class, what it shows, inputs): values at their limits and one beyond."""

    def said(name, expect, why, **changes):
        return seal(name, expect, why, envelope(compact(statement(**changes))))

    def named(name, expect, why, stream):
        """A seal of this stream under a rule for all."""
        root = plain_root(extension=rules(("*", rule())))
        return seal(name, expect, why, envelope(compact(statement(stream=stream))), root=root, stream=stream)

    # Times
    yield said("created-on-leap-day", "accept", "2024 is a leap year.", created="2024-02-29T00:00:00Z")
    yield said("created-on-leap-day-of-2000", "accept", "Every 400 years there is one.", created="2000-02-29T00:00:00Z")
    yield said("created-on-no-leap-day", "time_malformed", "2100 is no leap year.", created="2100-02-29T00:00:00Z")
    yield said("created-in-1970", "accept", "The first second that there is.", created="1970-01-01T00:00:00Z")
    yield said("created-in-1969", "time_malformed", "A second before it.", created="1969-12-31T23:59:59Z")
    yield said("created-in-month-13", "time_malformed", "There are twelve.", created="2026-13-01T00:00:00Z")
    yield said("created-in-month-0", "time_malformed", "They start at 1.", created="2026-00-01T00:00:00Z")
    yield said("created-on-day-0", "time_malformed", "Days start at 1.", created="2026-05-00T00:00:00Z")
    yield said("created-at-hour-24", "time_malformed", "A day ends at 23:59:59.", created="2026-05-01T24:00:00Z")
    yield said("created-at-minute-60", "time_malformed", "An hour has 60 minutes.", created="2026-05-01T00:60:00Z")
    yield said("created-in-leap-second", "time_malformed", "Leap seconds are not written.", created="2016-12-31T23:59:60Z")
    yield said("created-in-small-letters", "time_malformed", "T and Z are capitals.", created="2026-05-01t12:00:00z")

    # Streams
    longest = "/".join(["a" * 63] * 4)
    assert len(longest) == 255
    yield named("stream-of-255-bytes", "accept", "The longest that there is.", longest)
    yield said("stream-of-256-bytes", "stream_name", "A byte more.", stream=longest + "a")
    yield named("stream-of-16-components", "accept", "The most that there are.", "/".join("a" * 16))
    yield said("stream-of-17-components", "stream_name", "One more.", stream="/".join("a" * 17))
    yield named("stream-component-of-64", "accept", "The longest that there is.", "a" * 64)
    yield said("stream-component-of-65", "stream_name", "A character more.", stream="a" * 65)
    yield said("stream-empty", "stream_name", "No component.", stream="")
    yield said("stream-ends-with-slash", "stream_name", "The last component is empty.", stream=STREAM + "/")
    yield said("stream-with-umlaut", "stream_name", "A letter that is not in the list.", stream="acme/größe")

    # Base64 and lengths
    good = compact(statement())
    two_left = next(text for text in (good, good + b" ", good + b"  ") if len(text) % 3 == 1)
    one_left = next(text for text in (good, good + b" ", good + b"  ") if len(text) % 3 == 2)
    assert b64(two_left).endswith("==") and b64(one_left)[-2:].count("=") == 1
    yield seal("base64-with-half-of-the-padding", "base64", "One `=` where two belong.", envelope(two_left, payload=b64(two_left)[:-1]))
    yield seal("base64-with-too-much-padding", "base64", "Two `=` where one belongs.", envelope(one_left, payload=b64(one_left) + "="))
    whole = next(text for text in (good, good + b" ", good + b"  ") if len(text) % 3 == 0)
    yield seal("base64-with-padding-for-nothing", "base64", "Four `=` where none belongs.", envelope(whole, payload=b64(whole) + "===="))
    yield seal("payload-empty", "field_length", "No bytes.", envelope(b""))
    yield seal("payload-of-64-kib", "accept", "The longest that there is.", envelope(good.ljust(verify.MAX_PAYLOAD)))
    signatures = [{"sig": b64(bytes(4096))}, *[{"sig": "QQ=="}] * 62, entry(good, REL1)]
    yield seal("64-signatures", "accept", "The most that there are, one as long as it may be.", envelope(good, signatures=signatures))

    # The statement
    name = "ß" * 512
    yield said("sources-at-their-limits", "accept", "64 sources, one of the longest names.", sources=[{"type": "x" * 32, "name": name}] + [{"type": "x", "name": "y"}] * 63)
    yield said("source-name-of-1025-bytes", "source_malformed", "Bytes are counted, not characters.", sources=[{"type": "dir", "name": name + "s"}])
    yield said("source-type-of-33", "source_malformed", "A character more.", sources=[{"type": "x" * 33, "name": "y"}])
    yield said("source-type-empty", "source_malformed", "A type has a character.", sources=[{"type": "", "name": "y"}])
    yield said("source-type-in-capitals", "source_malformed", "Small letters.", sources=[{"type": "DIR", "name": "y"}])
    yield said("source-with-more-fields", "field_unknown", "A third field.", sources=[{"type": "dir", "name": "y", "url": "z"}])
    yield said("source-with-next-line", "source_malformed", "U+0085 is a control character.", sources=[{"type": "dir", "name": "a\u0085b"}])
    yield said("no-sources", "accept", "An empty list.", sources=[])
    yield said("not-after-at-created", "seal_expired", "It held for one second.", notAfter=CREATED)
    yield said("objects-of-nothing", "accept", "A tree without content.", objects={"count": 0, "bytes": 0})
    yield said("objects-largest", "accept", "2^53 - 1.", objects={"count": verify.MAX_INTEGER, "bytes": verify.MAX_INTEGER})
    yield said("objects-too-large", "field_range", "2^53.", objects={"count": 3, "bytes": 2**53})
    yield said("objects-negative", "field_range", "-1.", objects={"count": -1, "bytes": 0})
    yield said("image-too-large", "field_range", "2^53.", images=[image(size=2**53)])
    yield said("previous-in-capitals", "digest_malformed", "A digest has one spelling.", previous="AB" * 32)
