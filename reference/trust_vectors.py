"""Writes and checks the scenarios in vectors/seal and vectors/root.

    python3 reference/trust_vectors.py make     writes every scenario, always the same bytes
    python3 reference/trust_vectors.py check    judges every scenario with trust_verify.py

All private keys come from fixed seeds. They are for TESTS ONLY: everybody knows them.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

import trust_verify as verify

TOP = Path(__file__).resolve().parent.parent / "vectors"
SEAL, ROOT = TOP / "seal", TOP / "root"
NOTE = "The private keys are known to everybody: for TESTS ONLY."
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
STREAM = "acme/os/x86_64/stable"
NOW = "2026-06-01T00:00:00Z"
CREATED = "2026-05-01T12:00:00Z"
EXPIRES = "2030-01-01T00:00:00Z"


# Test keys


class Ed25519:
    def __init__(self, name):
        seed = hashlib.sha256(b"treeseal TEST ONLY ed25519 " + name.encode()).digest()
        self.secret = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        raw = self.secret.public_key().public_bytes_raw()
        self.object = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": raw.hex()}}
        self.id = verify.key_id(self.object)

    def sign(self, message):
        return self.secret.sign(message)

    def sign_with_neutral_r(self, message):
        """With r = 0, which RFC 8032 never gives: R is the neutral point, s = k a."""
        secret = int.from_bytes(hashlib.sha512(self.secret.private_bytes_raw()).digest()[:32], "little")
        secret = secret & ((1 << 254) - 8) | (1 << 254)
        neutral = (1).to_bytes(32, "little")
        public = bytes.fromhex(self.object["keyval"]["public"])
        k = int.from_bytes(hashlib.sha512(neutral + public + message).digest(), "little")
        return neutral + (k * secret % verify.ORDER).to_bytes(32, "little")


class P256:
    def __init__(self, name, line_feed=True):
        seed = hashlib.sha256(b"treeseal TEST ONLY p256 " + name.encode()).digest()
        self.secret = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP256R1())
        pem = self.secret.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = pem.decode() if line_feed else pem.decode()[:-1]
        self.object = {"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": text}}
        self.id = verify.key_id(self.object)

    def sign(self, message, high=False):
        """RFC 6979, with the low or the high of the two values of s."""
        sig = self.secret.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(sig)
        low = min(s, P256_ORDER - s)
        return encode_dss_signature(r, P256_ORDER - low if high else low)


class Raw:
    """A public key that nobody can sign with, or not honestly."""

    def __init__(self, public, keytype="ed25519", scheme="ed25519"):
        self.object = {"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}
        self.id = verify.key_id(self.object)


ROOT1, ROOT2, ROOT3, ROOT4 = (Ed25519(f"root {n}") for n in "1234")
REL1, REL2, REL3 = (Ed25519(f"release {n}") for n in "123")
HSM, HSM_BARE = P256("hsm"), P256("hsm", line_feed=False)
ONLINE, FOREIGN = Ed25519("online"), Ed25519("foreign")


# Building blocks


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def role(threshold, *keys):
    return {"keyids": [key.id for key in keys], "threshold": threshold}


def signed_root(version=1, root=None, targets=None, extension=None, keys=None, **changes):
    """The signed part of a root: 2 of 3 root keys, 1 of 2 release keys, unless told otherwise."""
    if keys is None:
        keys = [ROOT1, ROOT2, ROOT3, REL1, REL2, ONLINE]
    signed = {
        "_type": "root",
        "spec_version": "1.0.31",
        "version": version,
        "expires": EXPIRES,
        "consistent_snapshot": True,
        "keys": {key.id: key.object for key in keys},
        "roles": {
            "root": root or role(2, ROOT1, ROOT2, ROOT3),
            "targets": targets or role(1, REL1, REL2),
            "snapshot": role(1, ONLINE),
            "timestamp": role(1, ONLINE),
        },
        "x-treeseal": extension or {"streams": {STREAM: {"role": "targets", "minSequence": 1}}},
    }
    signed.update(changes)
    return {name: value for name, value in signed.items() if value is not None}


def root_signature(signed, key):
    return {"keyid": key.id, "sig": key.sign(verify.canonical(signed).encode()).hex()}


def root_file(signed, *signers):
    signers = signers or (ROOT1, ROOT2)
    return compact({"signatures": [root_signature(signed, key) for key in signers], "signed": signed})


def plain_root(**changes):
    return root_file(signed_root(**changes))


def statement(**changes):
    predicate = {
        "sequence": 7,
        "created": CREATED,
        "image": {"format": "composefs", "version": 0, "size": 12288},
        "objects": {"count": 3, "bytes": 70000, "algorithm": "fsverity-sha256-4096"},
        "sources": [{"type": "dir", "name": "rootfs"}],
    }
    for name in list(changes):
        if name in ("sequence", "created", "notAfter", "image", "objects", "sources", "previous", "extra"):
            predicate[name] = changes.pop(name)
    for name in [name for name, value in predicate.items() if value is None]:
        del predicate[name]
    value = {
        "_type": verify.STATEMENT_TYPE,
        "subject": [
            {
                "name": changes.pop("stream", STREAM),
                "digest": changes.pop(
                    "digests", {"sha256": digest("image"), "fsverity-sha256-4096": digest("verity")}
                ),
            }
        ],
        "predicateType": verify.PREDICATE_TYPE,
        "predicate": predicate,
    }
    value.update(changes)
    return value


def b64(data):
    return base64.b64encode(data).decode()


def entry(payload, key, **changes):
    made = {"keyid": key.id, "sig": b64(key.sign(verify.pae(payload)))}
    made.update(changes)
    return made


def envelope(payload=None, /, *keys, signatures=None, **changes):
    payload = compact(statement()) if payload is None else payload
    if signatures is None:
        signatures = [entry(payload, key) for key in keys or (REL1,)]
    value = {"payload": b64(payload), "payloadType": verify.PAYLOAD_TYPE, "signatures": signatures}
    value.update(changes)
    return compact(value)


def state(root_version=1, newest=None, **floors):
    value = {"_type": verify.STATE_TYPE, "rootVersion": root_version, "streams": floors.get("streams", {})}
    if newest:
        value["newestTime"] = newest
    return compact(value).decode()


def floor(sequence, payload=None):
    value = {"sequence": sequence}
    if payload is not None:
        value["payload"] = hashlib.sha256(payload).hexdigest()
    return {STREAM: value}


def text_or_base64(name, data, to):
    try:
        to[name] = data.decode()
    except UnicodeDecodeError:
        to[name + "Base64"] = b64(data)


# Scenarios about seals


def seal_scenarios():
    """Yields (name, expected class, what it shows, inputs)."""

    def seal(name, expect, why, data=None, **inputs):
        return name, expect, why, {"envelope": envelope() if data is None else data, **inputs}

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
    subject = statement()["subject"]
    yield said("no-subject", "subject_count", "A statement about nothing.", subject=[])
    yield said("two-subjects", "subject_count", "A statement about two trees.", subject=subject * 2)
    yield said("subject-with-more-fields", "field_unknown", "A subject has a name and digests.", subject=[{**subject[0], "uri": "x"}])
    yield said("stream-with-dots", "stream_name", "A name that would leave its directory.", stream="acme/../etc")
    yield said("stream-too-long", "stream_name", "More than 255 bytes.", stream="/".join(["a" * 64] * 4))
    yield said("unknown-digest-name", "digest_unknown", "A digest that nobody checks.", digests={**subject[0]["digest"], "sha1": "00" * 20})
    yield said("no-file-digest", "digest_missing", "SHA-256 of the file alone.", digests={"sha256": digest("image")})
    yield said("no-sha256", "field_missing", "The file digest alone.", digests={"fsverity-sha256-4096": digest("verity")})
    yield said("digest-too-short", "digest_malformed", "62 digits.", digests={**subject[0]["digest"], "sha256": "ab" * 31})
    yield said("digest-in-capitals", "digest_malformed", "A digest has one spelling.", digests={**subject[0]["digest"], "sha256": "AB" * 32})
    both = {**subject[0]["digest"], "fsverity-sha512-4096": "cd" * 64}
    yield said("sha512-beside-sha256", "accept", "Both file digests.", digests=both)
    yield said(
        "sha512-alone", "accept", "The file digest with SHA-512 alone.",
        digests={"sha256": digest("image"), "fsverity-sha512-4096": "cd" * 64},
        objects={"count": 0, "bytes": 0, "algorithm": "fsverity-sha512-4096"},
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
    yield said("composefs-version-1", "accept", "The other version.", image={"format": "composefs", "version": 1, "size": 1})
    yield said("unknown-image-format", "image_format_unknown", "squashfs.", image={"format": "squashfs", "version": 0, "size": 1})
    yield said("unknown-image-version", "image_format_unknown", "Version 2.", image={"format": "composefs", "version": 2, "size": 1})
    yield said(
        "unknown-object-algorithm", "object_algorithm_unknown", "MD5.", objects={"count": 1, "bytes": 1, "algorithm": "md5"}
    )
    yield said("source-with-control-character", "source_malformed", "A terminal escape.", sources=[{"type": "dir", "name": "\x1b[2J"}])
    yield said("source-of-no-name", "source_malformed", "An empty name.", sources=[{"type": "dir", "name": ""}])
    yield said("too-many-sources", "field_length", "65 sources.", sources=[{"type": "dir", "name": "x"}] * 65)
    yield said("previous-malformed", "digest_malformed", "Not a digest.", previous="none")
    yield said(
        "every-field", "accept", "Everything that a statement can say.", digests=both, notAfter="2027-01-01T00:00:00Z",
        previous=digest("previous"), sources=[{"type": "oci", "name": "registry/os:1"}, {"type": "rpm", "name": "Größe"}],
    )  # fmt: skip

    # Streams and roles
    yield said("other-stream", "other_stream", "A seal for the testing channel.", stream="acme/os/x86_64/testing")
    yield seal("stream-without-rule", "stream_not_allowed", "The root has no rule for it.", stream="acme/os/arm64/stable")
    yield seal("root-without-extension", "stream_not_allowed", "A plain TUF root allows no stream.", root=root_file({k: v for k, v in signed_root().items() if k != "x-treeseal"}))
    rules = lambda *pairs, **more: {  # noqa: E731
        "streams": {pattern: {"role": name, "minSequence": low} for pattern, name, low in pairs}, **more
    }  # fmt: skip
    only2 = {"nightly": role(1, REL2)}

    def under(name, expect, why, extension, *keys, **inputs):
        return seal(name, expect, why, envelope(good, *keys), root=plain_root(extension=extension), **inputs)

    yield under("pattern-all", "accept", "A rule for all streams.", rules(("*", "targets", 1)))
    yield under("pattern-prefix", "accept", "A rule for a vendor's streams.", rules(("acme/*", "targets", 1)))
    yield under("pattern-prefix-of-a-component", "stream_not_allowed", "`acm/*` is not about `acme/...`.", rules(("acm/*", "targets", 1)))
    yield under("pattern-prefix-of-itself", "stream_not_allowed", "`S/*` is not about `S`.", rules((STREAM + "/*", "targets", 1)))
    wins = rules(("*", "targets", 1), ("acme/*", "targets", 1), ("acme/os/*", "nightly", 1), roles=only2)
    yield under("longest-prefix-wins", "threshold", "The most specific rule is for another role.", wins, REL1)
    yield under("longest-prefix-wins-for-its-role", "accept", "The most specific rule's role signed.", wins, REL2)
    exact = rules(("acme/os/x86_64/*", "targets", 1), (STREAM, "nightly", 1), roles=only2)
    yield under("exact-rule-wins", "threshold", "The stream's own rule comes before any prefix.", exact, REL1)
    tie = rules(("a/*", "targets", 1), ("a/b", "nightly", 1), roles=only2)
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
    yield under("below-minimum", "below_minimum", "The root wants 8 and later.", rules((STREAM, "targets", 8)))
    yield under("at-minimum", "accept", "The root wants 7 and later.", rules((STREAM, "targets", 7)))
    yield seal("root-rolled-back", "root_rolled_back", "Version 2 of the root was used before.", state=state(root_version=2))

    # Revocation and formats
    one = rules((STREAM, "targets", 1))
    yield under("revoked-by-sha256", "revoked", "SHA-256 of the image is revoked.", {**one, "revokedDigests": [digest("image")]})
    yield under("revoked-by-file-digest", "revoked", "The image's file digest is revoked.", {**one, "revokedDigests": [digest("verity")]})
    yield seal(
        "revoked-by-sha512", "revoked", "The image's file digest with SHA-512 is revoked.",
        envelope(compact(statement(digests=both))), root=plain_root(extension={**one, "revokedDigests": ["cd" * 64]}),
    )  # fmt: skip
    yield under("another-image-revoked", "accept", "Another image is revoked.", {**one, "revokedDigests": [digest("x")]})
    yield under("format-allowed", "accept", "The root names the format.", {**one, "formats": ["composefs/1", "composefs/0"]})
    yield under("format-not-allowed", "format_not_allowed", "The root names another format.", {**one, "formats": ["composefs/1"]})

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
    yield seal(
        "clock-behind-time-seen", "seal_expired", "The clock was set back behind a time that was seen signed.",
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
        extension=rules((pattern, "targets", 1)),
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


# Scenarios about roots


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
    rule = {"role": "targets", "minSequence": 1}

    def extended(name, expect, why, streams=None, **fields):
        return changed(name, expect, why, extension={"streams": streams or {STREAM: rule}, **fields})

    yield extended("extension-with-everything", "accept", "Roles, revoked images, formats, boot.",
        {STREAM: rule, "acme/*": {"role": "nightly", "minSequence": 9}, "*": rule},
        roles={"nightly": role(1, REL2)}, revokedDigests=["ab" * 32, "cd" * 64], formats=["composefs/0"], atBoot="refuse")  # fmt: skip
    without = signed_root()
    del without["x-treeseal"]
    yield "without-extension", "accept", "A plain TUF root; no stream may be sealed.", [root_file(without)]
    yield extended("unknown-extension-field", "field_unknown", "A field of a newer version.", colour="red")
    yield extended("unknown-rule-field", "field_unknown", "A rule has two fields.", {STREAM: {**rule, "until": 9}})
    yield extended("rule-without-minimum", "field_missing", "minSequence must be there.", {STREAM: {"role": "targets"}})
    yield extended("minimum-zero", "field_range", "Sequences start at 1.", {STREAM: {"role": "targets", "minSequence": 0}})
    yield extended("pattern-malformed", "stream_name", "A star in the middle.", {"acme/*/stable": rule})
    yield extended("stream-for-timestamp-role", "stream_role", "An online role cannot seal.", {STREAM: {**rule, "role": "timestamp"}})
    yield extended("stream-for-root-role", "stream_role", "The root role cannot seal.", {STREAM: {**rule, "role": "root"}})
    yield extended("stream-for-undefined-role", "stream_role", "Nobody has this role.", {STREAM: {**rule, "role": "nightly"}})
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


# Files


def seal_file(name, expect, why, inputs):
    made = {"scenario": why, "note": NOTE, "expect": expect, "stream": inputs.get("stream", STREAM)}
    made["clock"] = inputs.get("clock", {"trusted": NOW})
    if "state" in inputs:
        made["state"] = inputs["state"]
    made["root"] = inputs.get("root", plain_root()).decode()
    text_or_base64("envelope", inputs["envelope"], made)
    if "envelopePadTo" in inputs:
        made["envelopePadTo"] = inputs["envelopePadTo"]
    if expect == "accept":
        made["accepted"] = judge_seal(made)
    return made


def root_vector(name, expect, why, chain):
    made = {"scenario": why, "note": NOTE, "expect": expect, "chain": []}
    for data in chain:
        item = {}
        text_or_base64("root", data.rstrip(b" "), item)
        if data.endswith(b" "):
            item["padTo"] = len(data)
        made["chain"].append(item)
    if expect == "accept":
        made["accepted"] = judge_root(made)
    return made


def embedded(name, holder):
    if name + "Base64" in holder:
        return base64.b64decode(holder[name + "Base64"])
    return holder[name].encode()


def judge_seal(vector):
    data = embedded("envelope", vector).ljust(vector.get("envelopePadTo", 0))
    state_ = verify.read_state(vector["state"].encode()) if "state" in vector else None
    clock, now = "unknown", None
    if vector["clock"] != "unknown":
        ((clock, now),) = vector["clock"].items()
        clock = {"trusted": "trusted", "lowerBound": "lower_bound"}[clock]
    root = verify.pin_root(vector["root"].encode())
    return verify.verify_seal(data, root, vector["stream"], state_, clock, now)


def judge_root(vector):
    chain = [embedded("root", item).ljust(item.get("padTo", 0)) for item in vector["chain"]]
    if len(chain) > 1:
        verify.follow_roots(chain[:-1])  # only the last root of a chain is refused
    return {"version": verify.follow_roots(chain)["version"]}


def make():
    for folder, scenarios, build in ((SEAL, seal_scenarios, seal_file), (ROOT, root_scenarios, root_vector)):
        for old in folder.glob("*.json"):
            old.unlink()
        for name, expect, why, inputs in scenarios():
            path = folder / f"{name}.json"
            assert not path.exists(), path
            text = json.dumps(build(name, expect, why, inputs), indent=2, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
    return check()


def check():
    failed = 0
    for folder, judge in ((SEAL, judge_seal), (ROOT, judge_root)):
        paths = sorted(folder.glob("*.json"))
        for path in paths:
            vector = json.loads(path.read_text(encoding="utf-8"))
            try:
                accepted, found = judge(vector), "accept"
            except verify.Refused as refused:
                accepted, found = None, str(refused)
            if (found, accepted) != (vector["expect"], vector.get("accepted")):
                failed += 1
                print(f"{path}: expected {vector['expect']}, found {found} {accepted}", file=sys.stderr)
        print(f"{folder.name}: {len(paths)} scenarios")
        failed += not paths
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["make"], ["check"]):
        sys.exit(__doc__)
    sys.exit(make() if sys.argv[1] == "make" else check())
