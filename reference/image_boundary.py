"""A dump in which directories, symlinks, content and chunk tables have every size around a limit.

    python3 reference/image_boundary.py > DUMP

Directories: bytes of entries around half a block, one block, one and a half, two blocks. Symlinks:
every target length from 3990 to 4095, once in each form of inode. Inline content: around half a
block, a block and the most that is allowed. External files: chunk tables around what fits a block.
"""

import itertools
import sys

DIRECTORY_SIZES = [*range(2040, 2060), *range(4088, 4102), *range(6140, 6150), *range(8185, 8200)]
TARGET_LENGTHS = range(3990, 4096)
CONTENT_LENGTHS = [1, 64, 65, *range(2040, 2057), *range(4090, 4101), 4998, 4999, 5000]
CHUNK_COUNTS = [1, 2, 3, 500, 511, 512, 513, *range(1000, 1025)]


def line(path, mode, size=0, mtime=0, payload="-", content="-"):
    return f"{path} {size} {mode:o} 1 0 0 0 {mtime}.0 {payload} {content} -"


def directory(path, size):
    """A directory whose entries need `size` bytes, 27 of them for `.` and `..`."""
    yield line(path, 0o40755)
    rest, number = size - 27, 0
    while rest > 0:
        length = min(200, rest - 12)
        if 0 < rest - 12 - length < 12 + 5:  # what is left must hold another entry
            length -= 20
        name = f"{number:04}".ljust(length, "x")[:length]
        yield line(f"{path}/{name}", 0o100644, mtime=number % 3)
        rest -= 12 + length
        number += 1
    assert rest == 0, (path, rest)


def lines():
    yield line("/", 0o40755)
    for size, copy in itertools.product(DIRECTORY_SIZES, range(3)):
        yield from directory(f"/d{size:04}-{copy}", size)
    yield line("/links", 0o40755)
    for length, mtime in itertools.product(TARGET_LENGTHS, range(2)):
        yield line(f"/links/{length}-{mtime}", 0o120777, length, mtime, payload="t" * length)
    yield line("/content", 0o40755)
    for length, mtime in itertools.product(CONTENT_LENGTHS, range(2)):
        yield line(f"/content/{length}-{mtime}", 0o100644, length, mtime, content="c" * length)
    yield line("/chunks", 0o40755)
    for count, mtime in itertools.product(CHUNK_COUNTS, range(2)):
        size = (count - 1) * 2**43 + 1 if count > 1 else 2**43
        yield line(f"/chunks/{count}-{mtime}", 0o100644, size, mtime)


def dump():
    """The dump as bytes."""
    return "\n".join(lines()).encode() + b"\n"


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    sys.stdout.buffer.write(dump())
