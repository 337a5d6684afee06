"""Random dumps for comparing image writers: the same seed always gives the same dump.

    python3 reference/image_fuzz.py SEED > DUMP

Dumps of seeds that are 4 modulo 5 also hold SHA-512 digests, which `mkcomposefs` does not read.
Now and then a dump breaks a limit, and is to be refused.
"""

import random
import sys

NAME_BYTES = bytes(byte for byte in range(1, 256) if byte != ord("/"))
PLAIN_BYTES = bytes(byte for byte in range(33, 127) if byte != ord("/"))
ALL_BYTES = bytes(range(256))



def escapes(is_xattr, has_letters):
    """How each byte is written; line feeds by letter or as hex."""
    table = [bytes([byte]) if 33 <= byte <= 126 else b"\\x%02x" % byte for byte in range(256)]
    table[ord("\\")] = b"\\\\"
    if is_xattr:
        table[ord("=")] = b"\\x3d"
    if has_letters:
        table[ord("\n")] = b"\\n"
    return table


ESCAPES = {(i, j): escapes(i, j) for i in (False, True) for j in (False, True)}

XATTR_NAMES = [
    b"user.a", b"user.b", b"security.selinux", b"security.capability", b"trusted.x",
    b"trusted.overlay.redirect", b"trusted.overlay.opaque", b"trusted.overlay.overlay.metacopy",
    b"trusted.overlay.overlay.overlay.q", b"system.posix_acl_access", b"system.posix_acl_default",
    b"system.posix_acl_accessory", b"system.nfs4_acl", b"foo.bar", b"lustre.z",
    b"user.overlay.opaque", b"user.overlay.metacopy",
]  # fmt: skip
XATTR_VALUES = [b"", b"a", b"xyz", b"system_u:object_r:t:s0\0", b"1234567", b"12345678", b"y" * 40]
MANY_NAMES = [b"user.m%03d" % i for i in range(150)]
NAME_LENGTHS = [1, 2, 3, 8, 8, 8, 20, 100, 255]
LONG_NAME_LENGTHS = [30, 200, 255]
TARGET_LENGTHS = [1, 5, 30, 200, 1000, 2000, 3900, 4000, 4030, 4040, 4060, 4064, 4090, 4095]
CONTENT_LENGTHS = [0, 1, 5, 64, 65, 100, 500, 2047, 2048, 2049, 4095, 4096, 4097, 5000]
FILE_SIZES = [
    1, 2, 4095, 4096, 4097, 8192, 8193, 65536, 2**20 + 1, 2**31, 2**32 - 1, 2**32, 2**43,
    2**43 + 1, 2**44, 2**50, 2**53 - 1, 2**53,
]  # fmt: skip
PERMISSIONS = [0o644, 0o755, 0o4755, 0o1777, 0]
IDS = [0, 0, 0, 1000, 65535, 65536, 4294967294]
NLINKS = [1, 1, 1, 2, 65535, 65536, 70000]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sha512 = seed % 5 == 4
        chance = self.random
        self.has_long_names = chance.random() < 0.15
        self.xattr_density = chance.choice([0.1, 0.5, 0.9])
        self.base_time = chance.choice([0, 1, 1633950376, -5, 2**33])
        self.has_one_time = chance.random() < 0.5
        self.lines = []
        self.files = []
        self.directories = [b""]

    def bytes(self, length, alphabet=NAME_BYTES):
        return bytes(self.random.choices(alphabet, k=length))

    def escape(self, plain, is_xattr=False):
        table = ESCAPES[is_xattr, self.random.random() < 0.5]
        text = b"".join(table[byte] for byte in plain)
        return b"\\x2d" if text == b"-" else text

    def xattrs(self):
        chance, found = self.random, {}
        if chance.random() < self.xattr_density:
            for _ in range(chance.randrange(6)):
                value = chance.choice(XATTR_VALUES)
                if chance.random() < 0.2:
                    value = self.bytes(chance.randrange(300), ALL_BYTES)
                found[chance.choice(XATTR_NAMES)] = value
        if chance.random() < 0.02:
            found.update((name, b"v") for name in MANY_NAMES)
        if chance.random() < 0.01:
            found[b"user.big"] = self.bytes(1, PLAIN_BYTES) * chance.randrange(3000, 31000)
        items = list(found.items())
        chance.shuffle(items)
        return [self.escape(name, True) + b"=" + self.escape(value, True) for name, value in items]

    def mtime(self):
        chance = self.random
        if self.has_one_time or chance.random() < 0.3:
            return b"%d.7" % self.base_time
        return b"%d.%d" % (self.base_time + chance.randrange(100), chance.choice([0, 1, 999999999, 123]))

    def emit(self, path, mode, size=0, nlink=1, rdev=0, payload=b"-", content=b"-", digest=b"-"):
        uid, gid = self.random.choice(IDS), self.random.choice(IDS)
        numbers = b"%d %o %d %d %d %d" % (size, mode, nlink, uid, gid, rdev)
        fields = [path, numbers, self.mtime(), payload, content, digest, *self.xattrs()]
        self.lines.append(b" ".join(fields))

    def path(self):
        """A new path, or `None` when it is taken."""
        chance = self.random
        parent = chance.choice(self.directories) if chance.random() < 0.5 else self.directories[-1]
        length = chance.choice(LONG_NAME_LENGTHS if self.has_long_names else NAME_LENGTHS)
        name = self.bytes(length, NAME_BYTES if chance.random() < 0.5 else PLAIN_BYTES)
        if chance.random() < 0.02:
            name = b"%02x" % chance.randrange(256)
        if name in (b".", b"..") or (parent, name) in self.taken:
            return None
        self.taken.add((parent, name))
        return parent + b"/" + self.escape(name)

    def dump(self):
        self.taken = set()
        self.emit(b"/", 0o40755, 4096, 2)
        for _ in range(self.random.choice([5, 30, 30, 200, 200, 1000])):
            path = self.path()
            if path is not None:
                self.add(path)
        return b"\n".join(self.lines) + b"\n"

    def add(self, path):
        chance = self.random
        kind, permissions = chance.random(), chance.choice(PERMISSIONS)
        nlink = chance.choice(NLINKS)
        if kind < 0.12 and len(path) < 3000:
            self.emit(path, 0o40000 | permissions, 0, 2)
            self.directories.append(path)
            return
        if kind < 0.25:
            target = self.bytes(chance.choice(TARGET_LENGTHS))
            self.emit(path, 0o120777, len(target), nlink, payload=self.escape(target))
        elif kind < 0.30:
            rdev = chance.choice([0, 0, 259, 1281, 0xFFFFFFFF])
            self.emit(path, 0o20000 | permissions, 0, chance.choice([1, 1, 3]), rdev)
        elif kind < 0.33:
            self.emit(path, 0o60000 | permissions, 0, nlink, chance.choice([0, 259, 1281]))
        elif kind < 0.36:
            mode = chance.choice([0o10000, 0o140000]) | permissions
            self.emit(path, mode, chance.choice([0, 0, 2**32, 2**40]), nlink)
        elif kind < 0.55:
            length = chance.randrange(5001)
            if chance.random() < 0.8:
                length = chance.choice(CONTENT_LENGTHS)
            content = self.escape(self.bytes(length, ALL_BYTES)) or b"-"
            self.emit(path, 0o100000 | permissions, length, nlink, content=content)
        elif kind < 0.62 and self.files:
            target = chance.choice(self.files)
            self.lines.append(b"%s 0 @100644 1 0 0 0 0.0 %s - -" % (path, target))
            if chance.random() < 0.9:
                return
        else:
            self.add_external(path, 0o100000 | permissions, nlink)
        self.files.append(path)

    def add_external(self, path, mode, nlink):
        chance = self.random
        size = chance.choice(FILE_SIZES) if chance.random() < 0.5 else chance.randrange(1, 10**7)
        bits = 512 if self.sha512 and chance.random() < 0.5 else 256
        digest = b"%0*x" % (bits // 4, chance.getrandbits(bits))
        payload = chance.choice([
            b"-",
            self.escape(self.bytes(chance.randrange(1, 80), PLAIN_BYTES)),
            digest[:2] + b"/" + digest[2:],
            b"ab/%062x" % chance.getrandbits(248),
        ])
        if chance.random() < 0.4:
            digest = b"-"
        self.emit(path, mode, size, nlink, payload=payload, digest=digest)


def dump(seed):
    """The dump of a seed."""
    return Maker(seed).dump()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit(__doc__)
    sys.stdout.buffer.write(dump(int(sys.argv[1])))
