"""fs-verity in plain Python: tree, file digest and the check of one block, after spec/verity.md.

    python3 reference/verity_model.py digest FILE [ALGORITHM [BLOCK_SIZE [SALT_IN_HEX]]]
    python3 reference/verity_model.py write    writes every scenario of vectors/verity
    python3 reference/verity_model.py check    computes every scenario of vectors/verity anew

`digest` prints what `fsverity digest --compact` prints. vectors/README.md explains the scenarios.
"""

import hashlib
import json
import struct
import sys
from array import array
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "verity"
ALGORITHMS = {"sha256": (1, 32, 64), "sha512": (2, 64, 128)}  # number, digest, input block
BLOCK_SIZES = [1024, 2048, 4096, 8192, 16384, 32768, 65536]


# The computation


class Params:
    def __init__(self, algorithm="sha256", block_size=4096, salt=b""):
        assert block_size in BLOCK_SIZES and len(salt) <= 32
        self.algorithm, self.block_size, self.salt = algorithm, block_size, salt
        self.number, self.digest_size, input_block = ALGORITHMS[algorithm]
        self.hashes_per_block = block_size // self.digest_size
        self.prefix = salt + bytes(-len(salt) % input_block)

    def hash(self, message):
        return hashlib.new(self.algorithm, message).digest()

    def hash_block(self, block):
        """The hash of one data or hash block, which may be short."""
        return self.hash(self.prefix + block + bytes(self.block_size - len(block)))


def levels(params, content):
    """The hash levels, leaves first, each as its hashes without padding; the last is the root."""
    found = []
    level = content
    while True:
        starts = range(0, len(level), params.block_size)
        level = b"".join(params.hash_block(level[at : at + params.block_size]) for at in starts)
        found.append(level)
        if len(level) <= params.digest_size:
            return found


def root_and_tree(params, content):
    if not content:
        return bytes(params.digest_size), b""
    *stored, root = levels(params, content)
    padded = [level + bytes(-len(level) % params.block_size) for level in reversed(stored)]
    return root, b"".join(padded)


def descriptor(params, size, root):
    log2 = params.block_size.bit_length() - 1
    head = struct.pack("<BBBBIQ", 1, params.number, log2, len(params.salt), 0, size)
    return head + root.ljust(64, b"\0") + params.salt.ljust(32, b"\0") + bytes(144)


def digest(content, params=None):
    params = params or Params()
    root, _ = root_and_tree(params, content)
    return params.hash(descriptor(params, len(content), root))


def formatted_digest(params, file_digest):
    return b"FSVerity" + struct.pack("<HH", params.number, len(file_digest)) + file_digest


def level_blocks(params, size):
    """Hash blocks in each level, leaves first."""
    counts = []
    blocks = -(-size // params.block_size)
    while blocks > 1:
        blocks = -(-blocks // params.hashes_per_block)
        counts.append(blocks)
    return counts


def path(params, size, index):
    """Where in the tree the hash blocks lie that prove data block `index`, leaf level first."""
    counts = level_blocks(params, size)
    offsets = []
    for level in range(len(counts)):
        index //= params.hashes_per_block
        offsets.append((sum(counts[level + 1 :]) + index) * params.block_size)
    return offsets


def check_block(params, size, file_digest, index, data, blocks):
    """`accept`, or which check refuses the block. `blocks` are the hash blocks of `path`."""
    data_blocks = -(-size // params.block_size)
    if index >= data_blocks:
        return "out-of-range"
    if len(data) != min(params.block_size, size - index * params.block_size):
        return "length"
    if len(blocks) != len(level_blocks(params, size)):
        return "path-length"
    if any(len(block) != params.block_size for block in blocks):
        return "length"
    found = params.hash_block(data)
    for level, block in enumerate(blocks):
        slot = index % params.hashes_per_block * params.digest_size
        if block[slot : slot + params.digest_size] != found:
            return "data" if level == 0 else "tree"
        found = params.hash_block(block)
        index //= params.hashes_per_block
    whole = params.hash(descriptor(params, size, found))
    return "accept" if whole == file_digest else "root"


# Scenarios

LARGEST_CONTENT = 9_000_000
SALTS = {"no-salt": b"", "salt-3": bytes([1, 2, 3]), "salt-32": bytes(range(0xA0, 0xC0))}


def content(length):
    """Counter words: word i, little endian, is i * 0x9e3779b1 modulo 2^32. No two are the same,
    so swapped blocks are noticed."""
    while len(content.bytes) < length:
        first = len(content.bytes) // 4
        words = range(first, max(2 * first, 1 << 18))
        more = array("I", ((word * 0x9E3779B1) & 0xFFFFFFFF for word in words))
        if sys.byteorder == "big":
            more.byteswap()
        content.bytes += more.tobytes()
    return content.bytes[:length]


content.bytes = b""


def boundaries(params):
    """Lengths around every boundary, by name."""
    block = params.block_size
    named = {"empty": 0, "one-byte": 1}
    steps = {
        "block": block,
        "two-blocks": 2 * block,
        "full-hash-block": params.hashes_per_block * block,
        "full-hash-block-and-a-block": (params.hashes_per_block + 1) * block,
        "two-full-hash-blocks": 2 * params.hashes_per_block * block,
        "full-second-level": params.hashes_per_block**2 * block,
        "full-third-level": params.hashes_per_block**3 * block,
    }
    for name, length in steps.items():
        for change in ("less-one", -1), ("", 0), ("plus-one", 1):
            named["-".join(filter(None, (name, change[0])))] = length + change[1]
    return {name: length for name, length in named.items() if length <= LARGEST_CONTENT}


def worked_example():
    params, length = Params(), 5000
    root, tree = root_and_tree(params, content(length))
    whole = descriptor(params, length, root)
    found = params.hash(whole)
    yield "worked-example", {
        "scenario": "The example of the specification.",
        "parameters": parameters(params),
        "length": length,
        "tree": tree.rstrip(b"\0").hex(),
        "descriptor": whole.hex(),
        "digest": found.hex(),
        "formattedDigest": formatted_digest(params, found).hex(),
    }


def parameters(params):
    return {
        "algorithm": params.algorithm,
        "blockSize": params.block_size,
        "salt": params.salt.hex(),
    }


def digest_case(params, name, length):
    root, tree = root_and_tree(params, content(length))
    found = params.hash(descriptor(params, length, root))
    return {
        "name": name,
        "length": length,
        "digest": found.hex(),
        "rootHash": root.hex(),
        "treeSize": len(tree),
        "treeSha256": hashlib.sha256(tree).hexdigest(),
    }


def digest_scenarios():
    for algorithm in ALGORITHMS:
        for block_size in BLOCK_SIZES:
            for salt_name, salt in SALTS.items():
                if salt and block_size not in (1024, 4096, 65536):
                    continue
                params = Params(algorithm, block_size, salt)
                cases = [digest_case(params, *item) for item in boundaries(params).items()]
                name = f"digest-{algorithm}-{block_size}-{salt_name}"
                scenario = "File digests of counter words, at lengths around every boundary."
                yield name, {
                    "scenario": scenario,
                    "parameters": parameters(params),
                    "content": "counter words",
                    "cases": cases,
                }


def geometry_scenarios():
    """Trees of files that are too large to be made."""
    for algorithm, block_size in ("sha256", 4096), ("sha512", 1024), ("sha256", 65536):
        params = Params(algorithm, block_size)
        cases = []
        for size in 0, 1, block_size + 1, 2**32, 2**40 + 1, 2**53, 2**63 - 1:
            last = max(0, -(-size // block_size) - 1)
            cases.append({
                "length": size,
                "levelBlocks": level_blocks(params, size),
                "paths": {str(i): path(params, size, i) for i in sorted({0, last // 2, last})},
            })
        yield f"geometry-{algorithm}-{block_size}", {
            "scenario": "Where the hash blocks of files lie that are too large to be made.",
            "parameters": parameters(params),
            "cases": cases,
        }


# One block: what is done to the block that a reader is given, and what it must answer.
# An edit is [where, offset, xor]: `data` is the block, `path N` the hash block on level N.
BLOCK_SCENARIOS = {
    "block-first": ("The first block.", {}, "accept"),
    "block-last-short": ("The last block, which is short.", {"index": 1056}, "accept"),
    "block-changed-first-byte": ("One bit.", {"edits": [["data", 0, 1]]}, "data"),
    "block-changed-last-byte": ("One bit.", {"index": 1056, "edits": [["data", 4, 128]]}, "data"),
    "block-swapped": ("The content of block 6 for block 5.", {"index": 5, "data": 6}, "data"),
    "block-swapped-with-proof": ("Block 6 and its proof for block 5.",
                                 {"index": 5, "data": 6, "path": 6}, "data"),
    "block-of-other-subtree": ("Block 40 with the proof of block 8.",
                               {"index": 40, "path": 8}, "data"),
    "block-leaf-hash-changed": ("The block's own leaf hash is another.",
                                {"edits": [["path 0", 0, 1]]}, "data"),
    "block-other-leaf-hash-changed": ("A leaf hash beside the block's own is another.",
                                      {"edits": [["path 0", 1023, 1]]}, "tree"),
    "block-hash-on-level-1-changed": ("A hash on level 1 beside the one on the way.",
                                      {"edits": [["path 1", 1023, 1]]}, "tree"),
    "block-root-level-changed": ("The zeros behind the last hash of the root level.",
                                 {"edits": [["path 2", 1023, 1]]}, "root"),
    "block-padding-of-leaf-level-changed": ("The zeros behind the last leaf.",
                                            {"index": 1056, "edits": [["path 0", 1023, 1]]}, "tree"),
    "block-other-digest": ("The digest of another file.", {"digest": "other"}, "root"),
    "block-other-salt": ("A salt that the digest was not made with.", {"salt": "01"}, "data"),
    "block-other-size": ("A size with as many blocks.", {"size": 1081348, "index": 3}, "root"),
    "block-past-the-end": ("A block that the file does not have.", {"index": 1057}, "out-of-range"),
    "block-too-long": ("The last block with its padding.",
                       {"index": 1056, "extend": 1019}, "length"),
    "block-too-short": ("A block without its last byte.", {"extend": -1}, "length"),
    "block-proof-without-root-level": ("A level less.", {"levels": 2}, "path-length"),
    "block-alone": ("A file of one block has no hash blocks.", {"size": 1000, "made": 1000}, "accept"),
    "block-alone-changed": ("It is checked against the digest alone.",
                            {"size": 1000, "made": 1000, "edits": [["data", 999, 1]]}, "root"),
}


def block_scenarios():
    for name, (scenario, change, expect) in BLOCK_SCENARIOS.items():
        yield name, {
            "scenario": scenario,
            "parameters": parameters(Params("sha256", 1024)),
            "made": 1081349,
            "size": 1081349,
            "index": 0,
            **change,
            "expect": expect,
        }


def judge_block(vector):
    """Makes a file and its tree, takes a block and its proof, spoils them, and checks."""
    given = vector["parameters"]
    params = Params(given["algorithm"], given["blockSize"], bytes.fromhex(given["salt"]))
    made = content(vector["made"])
    root, tree = root_and_tree(params, made)
    file_digest = params.hash(descriptor(params, len(made), root))
    if vector.get("digest") == "other":
        file_digest = digest(made + b"other", params)
    index = vector["index"]
    at = vector.get("data", index) * params.block_size
    data = bytearray(made[at : at + params.block_size])
    if vector.get("extend", 0) > 0:
        data += bytes(vector["extend"])
    else:
        del data[len(data) + vector.get("extend", 0) :]
    offsets = path(params, len(made), vector.get("path", index))
    blocks = [bytearray(tree[at : at + params.block_size]) for at in offsets]
    blocks = blocks[: vector.get("levels", len(blocks))]
    for where, offset, change in vector.get("edits", []):
        target = data if where == "data" else blocks[int(where.removeprefix("path "))]
        target[offset] ^= change
    asked = Params(params.algorithm, params.block_size, bytes.fromhex(vector.get("salt", "")))
    return check_block(asked, vector["size"], file_digest, index, bytes(data), blocks)


def scenarios():
    yield from digest_scenarios()
    yield from geometry_scenarios()
    yield from worked_example()
    for name, vector in block_scenarios():
        found = judge_block(vector)
        assert found == vector["expect"], f"{name}: {found}"
        yield name, vector


def to_text(vector):
    """JSON with each case on one line."""
    cases = vector.get("cases")
    if cases is None:
        return json.dumps(vector, indent=2) + "\n"
    head = json.dumps({**vector, "cases": []}, indent=2)
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    return head.replace('"cases": []', f'"cases": [\n    {lines}\n  ]') + "\n"


def write():
    for old in FOLDER.glob("*.json"):
        old.unlink()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, vector in scenarios():
        (FOLDER / f"{name}.json").write_text(to_text(vector))


def check():
    wanted = dict(scenarios())
    stored = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
    wrong = [name for name in sorted(wanted | stored) if wanted.get(name) != stored.get(name)]
    if wrong:
        sys.exit(f"vectors/verity: not what the model computes: {', '.join(wrong)}")
    print(f"vectors/verity: {len(stored)} scenarios are right")


def main(arguments):
    match arguments:
        case ["write"]:
            write()
        case ["check"]:
            check()
        case ["digest", file, *rest] if len(rest) <= 3:
            algorithm, block_size, salt = (rest + ["sha256", "4096", ""][len(rest) :])[:3]
            params = Params(algorithm, int(block_size), bytes.fromhex(salt))
            print(digest(Path(file).read_bytes(), params).hex())
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
