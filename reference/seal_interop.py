"""Checks a seal as someone without Treeseal would: with tuf, securesystemslib and hashlib.

    seal_interop.py ROOT SEAL IMAGE

The root must meet its own threshold (tuf), the seal must be signed in every role that the root's rule for
the stream names (securesystemslib, in-toto), and the statement must name the image by its SHA-256, as one
of those that the tree can be written as.
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

    text = Path(seal_path).read_text()
    envelope = Envelope.from_dict(json.loads(text))
    statement = json.loads(envelope.payload)
    (stream,) = {subject["name"] for subject in statement["subject"]}
    for name in roles_for(root.signed, stream):
        keys, threshold = keys_and_threshold(root.signed, name)
        assert len(envelope.verify(keys, threshold)) >= threshold
    assert InTotoEnvelope.from_dict(json.loads(text)).payload_type == "application/vnd.in-toto+json"

    image = hashlib.sha256(Path(image_path).read_bytes()).hexdigest()
    images = [subject["digest"]["sha256"] for subject in statement["subject"]]
    assert len(images) == len(statement["predicate"]["images"])
    assert image in images, (images, image)
    print(stream, statement["predicate"]["sequence"], image)


def roles_for(root, stream):
    """The roles of the most specific rule."""
    streams = root.unrecognized_fields["x-treeseal"]["streams"]
    parts = stream.split("/")
    prefixes = ["/".join(parts[:count]) + "/*" for count in range(len(parts) - 1, 0, -1)]
    pattern = next(pattern for pattern in (stream, *prefixes, "*") if pattern in streams)
    assert streams[pattern]["roles"]
    return streams[pattern]["roles"]


def keys_and_threshold(root, name):
    if name in root.roles:
        role = root.roles[name].to_dict()
    else:
        role = root.unrecognized_fields["x-treeseal"]["roles"][name]
    return [root.keys[keyid] for keyid in role["keyids"]], role["threshold"]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
