"""Trades seals and trust roots between Treeseal and the libraries of in-toto and TUF.

    trust_interop.py check DIR           verifies what `interop make DIR` wrote
    trust_interop.py make DIR            writes files for `interop check DIR`
    trust_interop.py run PROGRAM TOUGH   both directions, with PROGRAM = the built example `interop`;
                                         and chains of roots, walked by tuf, by TOUGH = the built
                                         `tough-walk`, and by PROGRAM

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
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
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


def walk_chains(folder, walkers):
    """All walkers must come to trust the same versions of each chain."""
    chain = [folder / "chain" / f"{version}.root.json" for version in range(1, 7)]
    old_keys, new_keys = (folder / "chain" / f"{name}-keys.root.json" for name in ("old", "new"))
    chains = {
        "the whole chain": (chain, [1, 2, 3, 4, 5, 6], True),
        "version 3 is missing": (chain[:2] + chain[3:], [1, 2], False),
        "version 3 comes twice": (chain[:3] + chain[2:], [1, 2, 3], False),
        "the last version comes first": (chain[5:] + chain[:5], [6], False),
        "version 4 signed by old keys only": (chain[:3] + [old_keys] + chain[4:], [1, 2, 3], False),
        "version 4 signed by new keys only": (chain[:3] + [new_keys] + chain[4:], [1, 2, 3], False),
        "what make wrote beside the chain": ([folder / "1.root.json", folder / "2.root.json"], [1, 2], True),
    }
    for name, (paths, *expected) in chains.items():
        for walker, walk in walkers.items():
            assert list(walk(paths)) == expected, (name, walker, walk(paths), expected)
    print(f"{', '.join(walkers)}: {len(chains)} chains of roots, the same versions trusted")


def tuf_walk(paths):
    """The versions that tuf comes to trust, and whether it trusts the last one."""
    first, *others = (path.read_bytes() for path in paths)
    trusted = TrustedMetadataSet(first, EnvelopeType.METADATA)
    versions = [trusted.root.version]
    for data in others:
        try:
            trusted.update_root(data)
        except RepositoryError:
            return versions, False
        versions.append(trusted.root.version)
    return versions, True


def program_walk(*command):
    """The same by a program that prints the versions and fails with 1 where it refuses."""

    def walk(paths):
        done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True)
        assert done.returncode in (0, 1), done
        return [int(line) for line in done.stdout.split()], done.returncode == 0

    return walk


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


def run(program, tough):
    walkers = {"tuf": tuf_walk, "tough": program_walk(tough), "treeseal": program_walk(program, "walk")}
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([program, "make", name], check=True)
        check(Path(name))
        walk_chains(Path(name), walkers)
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        subprocess.run([program, "check", name], check=True)
        roots = [Path(name) / f"{version}.root.json" for version in (1, 2)]
        for walker in ("tuf", "treeseal"):  # tough does not know ML-DSA
            assert walkers[walker](roots) == ([1, 2], True), walker
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
    match sys.argv[1:]:
        case ["check", folder]:
            check(Path(folder))
        case ["make", folder]:
            make(Path(folder))
        case ["run", program, tough]:
            run(program, tough)
        case _:
            sys.exit(__doc__)
