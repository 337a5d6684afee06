"""Checks a seal as someone without Treeseal would: with tuf, securesystemslib and hashlib.

    seal_interop.py ROOT SEAL IMAGE

The root must meet its own threshold (tuf), the seal must be signed by the release keys that the root
names (securesystemslib, in-toto), and the statement must name the image by its SHA-256.
"""

import hashlib
import json
import sys
from pathlib import Path

from in_toto.models.metadata import Envelope as InTotoEnvelope
from securesystemslib.dsse import Envelope
from tuf.api.metadata import Metadata, Root


def main(root_path, seal_path, image_path):
    root = Metadata[Root].from_bytes(Path(root_path).read_bytes())
    root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    role = root.signed.roles["targets"]
    keys = [root.signed.keys[keyid] for keyid in role.keyids]

    data = json.loads(Path(seal_path).read_text())
    accepted = Envelope.from_dict(json.loads(json.dumps(data))).verify(keys, role.threshold)
    assert len(accepted) >= role.threshold
    assert InTotoEnvelope.from_dict(data).payload_type == "application/vnd.in-toto+json"

    statement = json.loads(Envelope.from_dict(json.loads(Path(seal_path).read_text())).payload)
    (subject,) = statement["subject"]
    image = hashlib.sha256(Path(image_path).read_bytes()).hexdigest()
    assert subject["digest"]["sha256"] == image, (subject, image)
    print(subject["name"], statement["predicate"]["sequence"], image)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
