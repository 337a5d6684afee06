"""The composefs image writer in plain Python, after spec/image.md.

    python3 reference/image_model.py build [--version 0|1|auto] [--strict] DUMP IMAGE
    python3 reference/image_model.py batch FIRST END DIRECTORY

`build` writes the image of a dump and prints its SHA-256 and its file digest.

`batch` is for tests of another implementation: for each seed from FIRST up to but without END it
writes `SEED.dump`, from image_fuzz.py, and lastly `expected.txt` with a line for each seed:

    SEED AUTO SHA256-OF-VERSION-0 SHA256-OF-VERSION-1
    SEED refused CLASS

AUTO is the version that is written when none is asked for. The classes of refusal are those of
vectors/README.md.
"""

import hashlib
import itertools
import multiprocessing
import re
import struct
import sys
from pathlib import Path

import verity_model

BLOCK, SLOT = 4096, 32
U16, U32, U64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
REG, DIR, LNK, BLK, CHR, FIFO, SOCK = (
    0o100000, 0o040000, 0o120000, 0o060000, 0o020000, 0o010000, 0o140000
)  # fmt: skip
TYPES = (REG, DIR, CHR, BLK, FIFO, SOCK, LNK)  # a directory entry's code is the place here, from 1


class Refused(Exception):
    """The dump is none, or the tree breaks a rule; says the class of refusal."""


def refuse_if(condition, refusal):
    if condition:
        raise Refused(refusal)


# The dump text


LONGEST_LINE = 4 * (2 * 4096 + 5000 + 65535) + 1024
FIELDS = ("path size mode nlink uid gid rdev mtime payload content digest").split()


class File:
    """One inode of the tree."""

    def __init__(self):
        self.type, self.permissions = REG, 0
        self.nlink, self.uid, self.gid, self.rdev, self.size = 1, 0, 0, 0, 0
        self.mtime = (0, 0)
        self.payload = self.content = self.digest = None
        self.xattrs = {}
        self.children = {}

    def is_whiteout(self):
        return self.type == CHR and self.rdev == 0


class Link:
    """A further name of an inode; `file` is found when everything has been read."""

    def __init__(self, target):
        self.target, self.file = target, None


def parse(text, strict=False):
    """The root of the tree that a dump describes."""
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    else:
        refuse_if(strict, "no-newline")
    refuse_if(not lines, "empty-dump")
    root, links = None, []
    for line in lines:
        refuse_if(line == b"", "empty-line")
        refuse_if(len(line) > LONGEST_LINE, "long-line")
        refuse_if(0 in line, "nul-byte")
        values = line.split(b" ", 11)
        values += [b""] * (11 - len(values))
        field = dict(zip(FIELDS, values))
        path = without_nul(unescape(field["path"]))
        is_link = field["mode"].startswith(b"@")
        mode = number(field["mode"].removeprefix(b"@"), 8)
        refuse_if(mode & 0o170000 not in TYPES, "file-type")
        if is_link:
            target = optional_text(field["payload"])
            refuse_if(target is None or mode & 0o170000 == DIR, "link")
            node = Link(target)
            links.append(node)
        else:
            node = read_file(field, mode, values[11] if len(values) > 11 else b"", strict)
        if root is None:
            refuse_if(path != b"/" or is_link, "root-path")
            refuse_if(node.type != DIR, "root")
            root = node
        else:
            place(root, path, node)
    resolve(root, links)
    return root


def read_file(field, mode, xattrs, strict):
    file = File()
    file.type, file.permissions = mode & 0o170000, mode & 0o7777
    file.size = number(field["size"])
    file.nlink, file.uid, file.gid, rdev = (
        number(field[name]) & U32 for name in ("nlink", "uid", "gid", "rdev")
    )
    file.mtime = time(field["mtime"])
    payload = optional_text(field["payload"])
    refuse_if(len(payload or b"") > 4095, "payload")
    content = None if field["content"] == b"-" else unescape(field["content"])
    digest = optional_text(field["digest"])
    if digest == b"" and (file.size == 0 or file.type != REG or content):
        digest = None
    if digest is not None:
        file.digest = digest_bytes(digest)
    if strict:
        is_device = file.type in (CHR, BLK)
        refuse_if(number(field["rdev"]) != 0 and not is_device, "rdev")
        if file.type == LNK:
            refuse_if(content, "symlink-content")
            refuse_if(len(payload or b"") != file.size, "content-size")
    file.xattrs = read_xattrs(xattrs)
    if file.type == LNK:
        refuse_if(payload is None, "no-target")
        check_payload(payload)
        file.payload, file.size = payload, len(payload)
    elif content is not None:
        refuse_if(len(content) != file.size, "content-size")
        refuse_if(len(content) > 5000, "inline-content")
    if file.type in (CHR, BLK):
        file.rdev = rdev
    if file.type == REG and file.size > 0:
        file.content = content or None
        if file.content is None:
            refuse_if(file.size > 1 << 53, "file-size")
            if payload:
                check_payload(payload)
                file.payload = payload
    if file.type == DIR:
        file.size = 0
    return file


HEX_DIGITS = b"0123456789abcdefABCDEF"
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
ESCAPED = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
ESCAPED.update((b"x" + bytes(pair), bytes.fromhex(bytes(pair).decode()))
               for pair in itertools.product(HEX_DIGITS, repeat=2))  # fmt: skip


def unescape(raw):
    def plain(match):
        refuse_if(match[1] not in ESCAPED, "escape")
        return ESCAPED[match[1]]

    return ESCAPE.sub(plain, raw) if b"\\" in raw else raw


def without_nul(text):
    refuse_if(0 in text, "escaped-nul")
    return text


def optional_text(raw):
    return None if raw == b"-" else without_nul(unescape(raw))


def number(raw, base=10, refusal="number"):
    """As C's strtoull has it: blanks, a sign, saturation; negative ones are taken modulo 2^64."""
    digits = raw.lstrip(b" \t\v\f\r")
    negative = digits.startswith(b"-")
    if digits[:1] in (b"-", b"+"):
        digits = digits[1:]
    allowed = b"01234567" if base == 8 else b"0123456789"
    refuse_if(not digits or any(digit not in allowed for digit in digits), refusal)
    # Python limits the length of what int() takes; anything long has saturated anyway.
    value = int(digits.lstrip(b"0")[:30] or b"0", base)
    if value > U64:
        return U64
    return -value & U64 if negative else value


def time(raw):
    seconds, point, nanoseconds = raw.partition(b".")
    refuse_if(not point, "mtime")
    seconds = number(seconds, refusal="mtime")
    nanoseconds = number(nanoseconds, refusal="mtime") & U32
    refuse_if(nanoseconds >= 1_000_000_000, "nanoseconds")
    return (seconds - (1 << 64) if seconds >> 63 else seconds, nanoseconds)


def digest_bytes(text):
    refuse_if(len(text) not in (64, 128), "digest")
    refuse_if(any(digit not in HEX_DIGITS for digit in text), "digest")
    return bytes.fromhex(text.decode())


def check_payload(payload):
    refuse_if(not 1 <= len(payload) <= 4095, "payload")


def read_xattrs(raw):
    if not raw:
        return {}
    refuse_if(len(raw) > 65535, "xattr-text")
    found = {}
    for item in raw.removesuffix(b" ").split(b" "):
        name, equals, value = item.partition(b"=")
        refuse_if(not equals, "xattr")
        name, value = without_nul(unescape(name)), unescape(value)
        refuse_if(not name, "xattr")
        refuse_if(len(name) > 255 or len(value) > 65535, "xattr-limit")
        found[name] = value
    room = 12 + sum(7 + len(name) + len(value) for name, value in found.items())
    refuse_if(room > 32767, "xattr-limit")
    return found


def place(root, path, node):
    """Gives a node its name in the tree."""
    *directories, name = path.split(b"/")
    refuse_if(not path.strip(b"/"), "root-path")
    parent = root
    for directory in filter(None, directories):
        parent = parent.children.get(directory)
        refuse_if(not isinstance(parent, File) or parent.type != DIR, "no-parent")
    refuse_if(name in (b"", b".", b"..") or len(name) > 255, "name")
    refuse_if(name in parent.children, "duplicate")
    parent.children[name] = node


def find(root, path):
    node = root
    for name in filter(None, path.split(b"/")):
        refuse_if(not isinstance(node, File) or name not in node.children, "link-target")
        node = node.children[name]
    return node


def resolve(root, links):
    """Leads every link to a file. Each is followed once, however long the chains are."""
    for link in links:
        way = []
        while isinstance(link, Link) and link.file is None:
            refuse_if(len(way) == len(links), "link-loop")
            way.append(link)
            link = find(root, link.target)
        file = link.file if isinstance(link, Link) else link
        refuse_if(file.type == DIR, "link-to-directory")
        for passed in way:
            passed.file = file


# What is written: the tree made ready for overlayfs, breadth first


OVERLAY, ESCAPED_OVERLAY = b"trusted.overlay.", b"trusted.overlay.overlay."


class Node:
    """One inode of the image."""

    def __init__(self, file):
        self.type, self.permissions = file.type, file.permissions
        self.nlink, self.uid, self.gid = file.nlink, file.uid, file.gid
        self.rdev, self.size, self.mtime = file.rdev, file.size, file.mtime
        self.content, self.target = file.content, file.payload if file.type == LNK else None
        self.is_external = file.type == REG and file.size > 0 and file.content is None
        self.xattrs = {escape_xattr(name): value for name, value in file.xattrs.items()}
        if self.is_external:
            self.xattrs[OVERLAY + b"metacopy"] = metacopy(file.digest)
            if file.payload is not None:
                self.xattrs[OVERLAY + b"redirect"] = b"/" + file.payload
        self.parent = None
        self.entries = {}  # name -> (node, whether the node is written because of this name)


def escape_xattr(name):
    if name.startswith(OVERLAY):
        return ESCAPED_OVERLAY + name.removeprefix(OVERLAY)
    return name


def metacopy(digest):
    if digest is None:
        return b""
    algorithm = {32: 1, 64: 2}[len(digest)]
    return bytes([0, 4 + len(digest), 0, algorithm]) + digest


def version_by_default(root):
    waiting = [root]
    while waiting:
        file = waiting.pop()
        if file.is_whiteout():
            return 1
        waiting += [child for child in file.children.values() if isinstance(child, File)]
    return 0


def make_nodes(root, version):
    """The nodes of the image in the order in which they are written, with their entries."""
    made = {}  # file -> node
    top = make_node(root, made, version)
    top.parent = top
    waiting = [root]
    while waiting:
        file = waiting.pop()
        for child in file.children.values():
            if isinstance(child, File):
                make_node(child, made, version, made[file])
                waiting.append(child)
    for file, node in made.items():
        for name, child in file.children.items():
            is_link = isinstance(child, Link)
            node.entries[name] = (made[child.file if is_link else child], not is_link)
    top.xattrs[OVERLAY + b"opaque"] = b"y"
    add_stubs(top)
    order = [top]
    for node in order:  # which grows on the way
        if node.type == DIR:
            node.nlink = 2 + sum(first and n.type == DIR for n, first in node.entries.values())
            primary = [name for name, (_, first) in node.entries.items() if first]
            order += [node.entries[name][0] for name in sorted(primary)]
            node.entries[b"."], node.entries[b".."] = (node, False), (node.parent, False)
    for node in order:
        node.entries = [(name, node.entries[name][0]) for name in sorted(node.entries)]
        node.xattrs = dict(sorted(node.xattrs.items()))
    return order


def make_node(file, made, version, parent=None):
    node = made[file] = Node(file)
    node.parent = parent
    if file.is_whiteout():
        node.type, node.size = REG, 0
        node.xattrs[ESCAPED_OVERLAY + b"whiteout"] = b""
        node.xattrs[b"user.overlay.whiteout"] = b""
        parent.xattrs[ESCAPED_OVERLAY + b"whiteouts"] = b""
        parent.xattrs[b"user.overlay.whiteouts"] = b""
        if version == 1:
            parent.xattrs[ESCAPED_OVERLAY + b"opaque"] = b"x"
            parent.xattrs[b"user.overlay.opaque"] = b"x"
    return node


def add_stubs(root):
    for i in range(256):
        name = b"%02x" % i
        if name not in root.entries:
            file = File()
            file.type, file.permissions = CHR, 0o644
            file.uid, file.gid, file.mtime = root.uid, root.gid, root.mtime
            if b"security.selinux" in root.xattrs:
                file.xattrs[b"security.selinux"] = root.xattrs[b"security.selinux"]
            root.entries[name] = (Node(file), True)


# Extended attributes


PREFIXES = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
]
MOST_SHARED = 128


def split_prefix(name):
    for index, prefix in PREFIXES:
        if name.startswith(prefix):
            return index, name.removeprefix(prefix)
    return 0, name


def xattr_entry(name, value):
    index, suffix = split_prefix(name)
    entry = struct.pack("<BBH", len(suffix), index, len(value)) + suffix + value
    return entry + bytes(-len(entry) % 4)


def filter_bit(name, known={}):
    if name not in known:
        index, suffix = split_prefix(name)
        known[name] = 1 << xxh32(suffix, 0x25BBE08F + index) % 32
    return known[name]


def xxh32(data, seed):
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393

    def rotate(word, bits):
        return (word << bits | word >> (32 - bits)) & U32

    at = 0
    if len(data) >= 16:
        lanes = [(seed + p1 + p2) & U32, (seed + p2) & U32, seed, (seed - p1) & U32]
        while at + 16 <= len(data):
            for lane, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[lane] = rotate((lanes[lane] + word * p2) & U32, 13) * p1 & U32
            at += 16
        value = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & U32
    else:
        value = (seed + p5) & U32
    value = (value + len(data)) & U32
    while at + 4 <= len(data):
        (word,) = struct.unpack_from("<I", data, at)
        value = rotate((value + word * p3) & U32, 17) * p4 & U32
        at += 4
    for byte in data[at:]:
        value = rotate((value + byte * p5) & U32, 11) * p1 & U32
    value = (value ^ value >> 15) * p2 & U32
    value = (value ^ value >> 13) * p3 & U32
    return value ^ value >> 16


def share(order):
    """The shared table, and where in it each shared attribute lies."""
    count = {}
    for node in order:
        for item in node.xattrs.items():
            count[item] = count.get(item, 0) + 1
    shared = [item for item, times in count.items() if times > 1]
    shared.sort(key=lambda item: (item[0], len(item[1]), item[1]), reverse=True)
    table, offsets = bytearray(), {}
    for item in shared:
        offsets[item] = len(table)
        table += xattr_entry(*item)
    return bytes(table), offsets


def split_xattrs(node, offsets):
    """Offsets of the shared attributes of a node, and its other attributes."""
    node.shared, node.unshared = [], []
    for item in node.xattrs.items():
        if item in offsets and len(node.shared) < MOST_SHARED:
            node.shared.append(offsets[item])
        else:
            node.unshared.append(item)
    entries = sum(len(xattr_entry(*item)) for item in node.unshared)
    node.xattr_size = 12 + 4 * len(node.shared) + entries if node.xattrs else 0


# Layout


def place_all(order):
    """Splits each node's data and places it. Gives the end of the last inode."""
    earliest = min(node.mtime for node in order)
    position = 1024 + 128
    for node in order:
        split_data(node)
        size = node.blocks * BLOCK + node.tail if node.type == DIR else node.size
        node.is_compact = (
            node.mtime == earliest
            and max(node.nlink, node.uid, node.gid) <= U16
            and size <= U32
        )
        position = place_node(node, position)
    return position + -position % SLOT


def split_data(node):
    node.blocks = node.tail = 0
    node.chunk_bits = None
    if node.type == DIR:
        *full, last = directory_groups(node)
        split_tail(node, len(full), sum(12 + len(name) for name, _ in last))
    elif node.type == LNK:
        node.tail = len(node.target)
    elif node.is_external:
        node.chunk_bits = min(max((node.size - 1).bit_length(), 12), 43)
        node.tail = 4 * -(-node.size // (1 << node.chunk_bits))
    elif node.content is not None:
        split_tail(node, *divmod(len(node.content), BLOCK))


def split_tail(node, blocks, tail):
    if tail > BLOCK // 2:
        blocks, tail = blocks + 1, 0
    node.blocks, node.tail = blocks, tail


def directory_groups(node):
    groups, size = [[]], 0
    for name, child in node.entries:
        size += 12 + len(name)
        if size > BLOCK:
            groups.append([])
            size = 12 + len(name)
        groups[-1].append((name, child))
    return groups


def place_node(node, position):
    """Gives a node its place at or behind `position`; returns where it ends."""
    position += -position % SLOT
    fixed = (32 if node.is_compact else 64) + node.xattr_size
    total = fixed + node.tail
    if node.type == LNK:
        if position // BLOCK != (position + total - 1) // BLOCK:
            position += -position % BLOCK
        if total >= BLOCK:
            node.blocks, node.tail = node.blocks + 1, 0
    else:
        room = BLOCK - (position + fixed) % BLOCK
        if room < node.tail:
            moved = position + room + -room % SLOT
            if BLOCK - (moved + fixed) % BLOCK >= node.tail:
                position = moved
            else:
                node.blocks, node.tail = node.blocks + 1, 0
                position += -position % BLOCK
    node.offset = position
    return position + fixed + node.tail


# Bytes


def build(root, version):
    """The image of a tree in format version 0 or 1."""
    order = make_nodes(root, version)
    table, offsets = share(order)
    for node in order:
        split_xattrs(node, offsets)
    inodes_end = place_all(order)
    data_start = inodes_end + len(table)
    data_start += -data_start % BLOCK

    image = bytearray(data_start + BLOCK * sum(node.blocks for node in order))
    acl = any(
        name in node.xattrs
        for node in order
        for name in (b"system.posix_acl_access", b"system.posix_acl_default")
    )
    struct.pack_into("<IIII", image, 0, 0xD078629A, 1, int(acl), version)
    build_time = min(node.mtime for node in order)
    struct.pack_into(
        "<IIIBBHQqIIII", image, 1024, 0xE0F5E1E2, 0, 6, 12, 0, order[0].offset // SLOT,
        len(order), *build_time, len(image) // BLOCK, 0, inodes_end // BLOCK,
    )  # fmt: skip
    next_block = data_start // BLOCK
    for ino, node in enumerate(order):
        blocks, tail = data_of(node)
        assert len(blocks) == node.blocks * BLOCK and len(tail) == node.tail
        whole = inode(node, ino, next_block) + xattr_area(node, inodes_end) + tail
        image[node.offset : node.offset + len(whole)] = whole
        at = next_block * BLOCK
        image[at : at + len(blocks)] = blocks
        next_block += node.blocks
    image[inodes_end : inodes_end + len(table)] = table
    return bytes(image)


def data_of(node):
    """The full blocks of a node's data, and the tail behind the inode."""
    if node.type == DIR:
        groups = [group_bytes(group) for group in directory_groups(node)]
        tail = groups.pop() if node.tail else b""
        return b"".join(pad(group) for group in groups), tail
    if node.type == LNK:
        return (b"", node.target) if node.tail else (pad(node.target), b"")
    if node.is_external:
        # No chunk has an address. A spilled table is a whole block of such.
        return b"\xff" * BLOCK * node.blocks, b"\xff" * node.tail
    if node.content is not None:
        cut = len(node.content) - node.tail
        return pad(node.content[:cut]), node.content[cut:]
    return b"", b""


def pad(data):
    return data + bytes(-len(data) % BLOCK)


def group_bytes(group):
    records, names = b"", b""
    for name, child in group:
        code = TYPES.index(child.type) + 1
        offset = 12 * len(group) + len(names)
        records += struct.pack("<QHBB", child.offset // SLOT, offset, code, 0)
        names += name
    return records + names


def inode(node, ino, next_block):
    layout = 4 if node.is_external else 2 if node.tail else 0
    form = layout << 1 | (0 if node.is_compact else 1)
    xattr_count = (node.xattr_size - 12) // 4 + 1 if node.xattrs else 0
    mode = node.type | node.permissions
    size = 0
    if node.type == DIR:
        size = node.blocks * BLOCK + node.tail
    elif node.type in (REG, LNK):
        size = node.size
    union = next_block if node.blocks else 0
    if node.type in (CHR, BLK):
        union = node.rdev
    if node.is_external:
        union = union & 0xFFFF0000 | (node.chunk_bits - 12)
    if node.is_compact:
        return struct.pack(
            "<HHHHIIIIHHI", form, xattr_count, mode, node.nlink, size, 0, union, ino,
            node.uid, node.gid, 0,
        )  # fmt: skip
    return struct.pack(
        "<HHHHQIIIIqII16x", form, xattr_count, mode, 0, size, union, ino,
        node.uid, node.gid, *node.mtime, node.nlink,
    )  # fmt: skip


def xattr_area(node, inodes_end):
    if not node.xattrs:
        return b""
    name_filter = U32
    for name in node.xattrs:
        name_filter &= ~filter_bit(name)
    ids = [(inodes_end % BLOCK + offset) // 4 for offset in node.shared]
    area = struct.pack(f"<IB7x{len(ids)}I", name_filter, len(ids), *ids)
    return area + b"".join(xattr_entry(*item) for item in node.unshared)


# Commands


def batch_line(job):
    seed, folder = job
    import image_fuzz

    text = image_fuzz.dump(seed)
    (folder / f"{seed}.dump").write_bytes(text)
    try:
        root = parse(text)
    except Refused as refusal:
        return f"{seed} refused {refusal}"
    hashes = [hashlib.sha256(build(root, version)).hexdigest() for version in (0, 1)]
    return " ".join([str(seed), str(version_by_default(root)), *hashes])


def batch(first, end, folder):
    with multiprocessing.Pool() as pool:
        jobs = [(seed, folder) for seed in range(first, end)]
        lines = pool.map(batch_line, jobs, chunksize=4)
    (folder / "expected.txt").write_text("\n".join(lines) + "\n")


def build_file(source, image, version, strict):
    try:
        root = parse(Path(source).read_bytes(), strict)
    except Refused as refusal:
        sys.exit(f"{source}: refused: {refusal}")
    made = build(root, version_by_default(root) if version == "auto" else int(version))
    Path(image).write_bytes(made)
    print(hashlib.sha256(made).hexdigest())
    print(verity_model.digest(made).hex())


def main(arguments):
    match arguments:
        case ["batch", first, end, folder]:
            return batch(int(first), int(end), Path(folder))
        case ["build", *rest]:
            strict = "--strict" in rest
            rest = [word for word in rest if word != "--strict"]
            version = "auto"
            if rest[:1] == ["--version"]:
                version, rest = rest[1], rest[2:]
            if len(rest) == 2 and version in ("0", "1", "auto"):
                return build_file(*rest, version, strict)
    sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
