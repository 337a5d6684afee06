"""Test keys, and the parts of which scenarios about seals and trust roots are made.

All private keys come from fixed seeds. They are for TESTS ONLY: everybody knows them.
"""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

import mldsa65
import trust_verify as verify

TOP = Path(__file__).resolve().parent.parent / "vectors"
SEAL, ROOT = TOP / "seal", TOP / "root"
NOTE = "The private keys are known to everybody: for TESTS ONLY."
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
STREAM = "acme/os/x86_64/stable"
NOW = "2026-06-01T00:00:00Z"
UNTIL = "2026-06-02T00:00:00Z"
CREATED = "2026-05-01T12:00:00Z"
EXPIRES = "2030-01-01T00:00:00Z"


# Test keys


def pem_of(public_key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public_key.public_bytes(serialization.Encoding.PEM, form).decode()


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
        text = pem_of(self.secret.public_key())
        text = text if line_feed else text[:-1]
        self.object = {"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": text}}
        self.id = verify.key_id(self.object)

    def sign(self, message, high=False):
        """RFC 6979, with the low or the high of the two values of s."""
        sig = self.secret.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(sig)
        low = min(s, P256_ORDER - s)
        return encode_dss_signature(r, P256_ORDER - low if high else low)


class MlDsa65:
    def __init__(self, name, line_feed=True):
        self.seed = hashlib.sha256(b"treeseal TEST ONLY ml-dsa-65 " + name.encode()).digest()
        self.raw = mldsa65.public_key(self.seed)
        text = pem_of(mldsa.MLDSA65PublicKey.from_public_bytes(self.raw))
        text = text if line_feed else text[:-1]
        self.object = {"keytype": "ml-dsa", "scheme": "ml-dsa-65/1", "keyval": {"public": text}}
        self.id = verify.key_id(self.object)

    def sign(self, message):
        return self.sign_directly(verify.digest_message(message))

    def sign_directly(self, message, prefix=mldsa65.PURE):
        """Without the digest message."""
        return mldsa65.sign(self.seed, message, prefix)


class Raw:
    """A public key that nobody can sign with, or not honestly."""

    def __init__(self, public, keytype="ed25519", scheme="ed25519"):
        self.object = {"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}
        self.id = verify.key_id(self.object)


ROOT1, ROOT2, ROOT3, ROOT4 = (Ed25519(f"root {n}") for n in "1234")
REL1, REL2, REL3 = (Ed25519(f"release {n}") for n in "123")
HSM, HSM_BARE = P256("hsm"), P256("hsm", line_feed=False)
PQ1, PQ2, PQ_BARE = MlDsa65("post-quantum 1"), MlDsa65("post-quantum 2"), MlDsa65("post-quantum 1", line_feed=False)
ONLINE, ONLINE2, FOREIGN = Ed25519("online"), Ed25519("online 2"), Ed25519("foreign")


# Building blocks


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def role(threshold, *keys):
    return {"keyids": [key.id for key in keys], "threshold": threshold}


def rule(*roles, low=1, freshness=None):
    """A rule for a stream; `freshness` is a role and the tolerance in seconds."""
    made = {"roles": list(roles or ["targets"]), "minSequence": low}
    if freshness is not None:
        made["freshness"] = {"role": freshness[0], "tolerance": freshness[1]}
    return made


def rules(*pairs, **more):
    """An extension; the pairs are patterns and rules."""
    return {"streams": dict(pairs), **more}


USUAL_KEYS = [ROOT1, ROOT2, ROOT3, REL1, REL2, ONLINE]


def signed_root(version=1, root=None, targets=None, extension=None, keys=None, more=(), **changes):
    """The signed part of a root: 2 of 3 root keys, 1 of 2 release keys, unless told otherwise."""
    keys = [*USUAL_KEYS, *more] if keys is None else keys
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
        "x-treeseal": extension or rules((STREAM, rule())),
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


SHA256, SHA512 = "fsverity-sha256-4096", "fsverity-sha512-4096"


def image(version=0, objects=SHA256, **changes):
    return {"format": "composefs", "version": version, "size": 12288, "objects": objects, **changes}


def digests(label="", *algorithms):
    """Digests of an image that the label tells from others."""
    made = {"sha256": digest(f"image{label}")}
    for algorithm in algorithms or [SHA256]:
        hasher = hashlib.sha256 if algorithm == SHA256 else hashlib.sha512
        made[algorithm] = hasher(f"verity{label}".encode()).hexdigest()
    return made


def subject(label="", *algorithms, name=STREAM):
    return {"name": name, "digest": digests(label, *algorithms)}


PREDICATE = ("sequence", "created", "notAfter", "images", "objects", "sources", "previous", "extra")


def statement(stream=STREAM, **changes):
    """One image of version 0 at sequence 7, unless told otherwise; a field that is None is left out."""
    predicate = {
        "sequence": 7,
        "created": CREATED,
        "images": [image()],
        "objects": {"count": 3, "bytes": 70000},
        "sources": [{"type": "dir", "name": "rootfs"}],
    }
    value = {
        "_type": verify.STATEMENT_TYPE,
        "subject": [subject(name=stream)],
        "predicateType": verify.PREDICATE_TYPE,
        "predicate": predicate,
    }
    for name, change in changes.items():
        (predicate if name in PREDICATE else value)[name] = change
    for holder in (predicate, value):
        for name in [name for name, field in holder.items() if field is None]:
            del holder[name]
    return value


def fresh_statement(seal=None, stream=STREAM, sequence=7, created=NOW, until=UNTIL, **changes):
    """Says that the seal of this payload is current: for a day from `NOW` on, unless told otherwise."""
    seal = compact(statement()) if seal is None else seal
    value = {
        "_type": verify.STATEMENT_TYPE,
        "subject": [{"name": stream, "digest": {"sha256": hashlib.sha256(seal).hexdigest()}}],
        "predicateType": verify.FRESH_TYPE,
        "predicate": {"sequence": sequence, "created": created, "until": until},
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


def fresh(*keys, **changes):
    """The envelope of a freshness statement, by the online key unless told otherwise."""
    return envelope(compact(fresh_statement(**changes)), *(keys or (ONLINE,)))


def state(root_version=1, newest=None, **floors):
    value = {"_type": verify.STATE_TYPE, "rootVersion": root_version, "streams": floors.get("streams", {})}
    if newest:
        value["newestTime"] = newest
    return compact(value).decode()


def floor(sequence, payload=None, fresh_until=None):
    value = {"sequence": sequence}
    if fresh_until is not None:
        value["freshUntil"] = fresh_until
    if payload is not None:
        value["payload"] = hashlib.sha256(payload).hexdigest()
    return {STREAM: value}


def seal(name, expect, why, data=None, /, **inputs):
    """A scenario about a seal: by one release key at sequence 7, unless another envelope is given."""
    return name, expect, why, {"envelope": envelope() if data is None else data, **inputs}


def text_or_base64(name, data, to):
    try:
        to[name] = data.decode()
    except UnicodeDecodeError:
        to[name + "Base64"] = b64(data)
