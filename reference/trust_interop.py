"""Trades seals and trust roots between Treeseal and the libraries of in-toto and TUF.

    trust_interop.py check DIR    verifies what `interop make DIR` wrote
    trust_interop.py make DIR     writes files for `interop check DIR`
    trust_interop.py run PROGRAM  both directions, with PROGRAM = the built example `interop`

Needs the Python packages securesystemslib, in-toto, tuf and cryptography. The keys that are made here
are fresh; those of the example are for TESTS ONLY.
"""

import base64
import copy
import hashlib
import json
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from in_toto.models.metadata import Envelope as InTotoEnvelope
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization.json import JSONSerializer
from tuf.ngclient.config import EnvelopeType
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from cryptography.hazmat.primitives.serialization import load_pem_public_key

STREAM = "acme/os/x86_64/stable"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def check(folder):
    check_seal(folder)
    check_roots(folder)


def check_seal(folder):
    data = json.loads((folder / "seal.json").read_text())
    envelope = Envelope.from_dict(copy.deepcopy(data))
    assert envelope.payload_type == PAYLOAD_TYPE, envelope.payload_type
    paths = sorted(folder.glob("release-*.pem"))
    keys = [SSlibKey.from_crypto(load_pem_public_key(path.read_bytes())) for path in paths]
    # securesystemslib finds a signature by the key id in it: ours is TUF's id of the key.
    ids = {signature["keyid"] for signature in data["signatures"]}
    assert {key.keyid for key in keys} == ids, (keys, ids)
    assert len(keys) >= 2 and len(envelope.verify(keys, len(keys))) == len(keys)
    envelope.payload += b" "
    refused(VerificationError, lambda: envelope.verify(keys, 1))
    assert InTotoEnvelope.from_dict(copy.deepcopy(data)).payload_type == PAYLOAD_TYPE
    kinds = ", ".join(key.scheme for key in keys)
    print(f"securesystemslib and in-toto: seal.json verified with {kinds}, a changed one refused")


def check_roots(folder):
    first, second = ((folder / f"{n}.root.json").read_bytes() for n in (1, 2))
    trusted = TrustedMetadataSet(first, EnvelopeType.METADATA)
    trusted.update_root(second)
    assert trusted.root.version == 2
    one, two = Metadata[Root].from_bytes(first), Metadata[Root].from_bytes(second)
    for judge, judged in ((one, one), (one, two), (two, two)):
        judge.signed.verify_delegate(Root.type, judged.signed_bytes, judged.signatures)
    assert two.signed.unrecognized_fields["x-treeseal"]["atBoot"] == "refuse"
    one.signed.unrecognized_fields["x-treeseal"]["atBoot"] = "warn"
    refused(UnsignedMetadataError, lambda: one.signed.verify_delegate(Root.type, one.signed_bytes, one.signatures))
    print("tuf: root versions 1 and 2 verified, a changed x-treeseal refused")


def refused(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError("accepted, but should have been refused")


def make(folder):
    """Two roots and a seal that need every algorithm."""
    root_keys = [
        CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa(),
        CryptoSigner.generate_ed25519(), CryptoSigner.generate_mldsa(),
    ]  # fmt: skip
    release = [CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa()]
    post_quantum = CryptoSigner.generate_mldsa()
    root = Root(expires=datetime(2030, 1, 1, tzinfo=timezone.utc))
    root.keys[post_quantum.public_key.keyid] = post_quantum.public_key
    root.unrecognized_fields["x-treeseal"] = {
        "streams": {"acme/*": {"roles": ["targets", "post-quantum"], "minSequence": 1}},
        "roles": {"post-quantum": {"keyids": [post_quantum.public_key.keyid], "threshold": 1}},
    }
    for signer in root_keys[:3]:
        root.add_key(signer.public_key, "root")
    for signer in release:
        root.add_key(signer.public_key, "targets")
    for name in ("snapshot", "timestamp"):
        root.add_key(root_keys[0].public_key, name)
    root.roles["root"].threshold = root.roles["targets"].threshold = 2
    write_root(folder, root, root_keys[:2])
    root.version = 2
    root.revoke_key(root_keys[2].public_key.keyid, "root")
    root.add_key(root_keys[3].public_key, "root")
    write_root(folder, root, [root_keys[0], root_keys[2], root_keys[3]])

    predicate = {
        "sequence": 1,
        "created": "2026-05-01T12:00:00Z",
        "images": [
            {"format": "composefs", "version": version, "size": 12288, "objects": "fsverity-sha256-4096"}
            for version in (0, 1)
        ],
        "objects": {"count": 3, "bytes": 70000},
        "sources": [],
    }
    subjects = [
        {
            "name": STREAM,
            "digest": {
                name: hashlib.sha256(f"{name} {version}".encode()).hexdigest()
                for name in ("sha256", "fsverity-sha256-4096")
            },
        }
        for version in (0, 1)
    ]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "treeseal:tree/v1",
        "predicate": predicate,
    }
    envelope = Envelope(json.dumps(statement, indent=1).encode(), PAYLOAD_TYPE, {})
    for signer in [*release, post_quantum]:
        envelope.sign(signer)
    written = envelope.to_dict()
    assert base64.b64decode(written["payload"]) == envelope.payload
    (folder / "seal.json").write_text(json.dumps(written, indent=1))


def write_root(folder, root, signers):
    metadata = Metadata(root)
    for signer in signers:
        metadata.sign(signer, append=True)
    metadata.to_file(str(folder / f"{root.version}.root.json"), JSONSerializer(compact=root.version == 1))


def run(program):
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([program, "make", name], check=True)
        check(Path(name))
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        subprocess.run([program, "check", name], check=True)
        seal = Path(name) / "seal.json"
        whole = json.loads(seal.read_text())
        for index in range(len(whole["signatures"])):
            fewer = {**whole, "signatures": [*whole["signatures"]]}
            del fewer["signatures"][index]
            seal.write_text(json.dumps(fewer))
            done = subprocess.run([program, "check", name], capture_output=True, text=True)
            assert done.returncode == 1 and "is not trusted" in done.stderr, done
    print("treeseal: what the libraries wrote is accepted, and refused with any signature less")


if __name__ == "__main__":
    commands = {"check": lambda name: check(Path(name)), "make": lambda name: make(Path(name)), "run": run}
    if len(sys.argv) != 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](sys.argv[2])
