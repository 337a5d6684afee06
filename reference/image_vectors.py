"""The scenarios of vectors/image: dumps, and the images or refusals that they lead to.

    python3 reference/image_vectors.py write    writes every scenario, always the same bytes
    python3 reference/image_vectors.py check    computes every scenario anew with image_model.py

vectors/README.md explains the files.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import image_model
import verity_model

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "image"
LARGEST_DUMP = 6000  # longer dumps are given by a rule, where that is shorter
ROOT = "/ 4096 40755 2 0 0 0 0.0 - - -\n"
HEX = "".join("%02x" % (0x11 * (i % 16)) for i in range(32))
OBJECT = f"{HEX[:2]}/{HEX[2:]}"
SHA512 = "c0ffee" + "5a" * 61
SCENARIOS = {}


def line(path, mode="100644", size=0, nlink=1, uid=0, gid=0, rdev=0, mtime="0.0",
         payload="-", content="-", digest="-", xattrs=()):  # fmt: skip
    numbers = f"{size} {mode} {nlink} {uid} {gid} {rdev} {mtime}"
    return " ".join([path, numbers, payload, content, digest, *xattrs]) + "\n"


def directory(path, **more):
    return line(path, "40755", **more)


def symlink(path, target, **more):
    return line(path, "120777", len(target), payload=target, **more)


def inline(path, content, **more):
    return line(path, size=len(content), content=content, **more)


def external(path, size=70000, digest=HEX, payload=OBJECT, **more):
    return line(path, size=size, digest=digest, payload=payload, **more)


def link(path, target, mode="@100644"):
    return line(path, mode, payload=target)


def whiteout(path, **more):
    return line(path, "20000", **more)


def add(name, scenario, *lines, root=ROOT, **more):
    """A scenario that leads to an image. `mkcomposefs` is what that program makes of the dump:
    the same image, another image, or none (`refuses`)."""
    assert name not in SCENARIOS, name
    text = root + "".join(lines)
    SCENARIOS[name] = {"scenario": scenario, "text": text.encode("latin-1"), "expect": "image",
                       "mkcomposefs": "same", **more}  # fmt: skip


def refuse(name, expect, scenario, *lines, **more):
    """A scenario that is refused. `mkcomposefs` then `refuses` too, `accepts`, or
    `does-not-end`."""
    add(name, scenario, *lines, **{"expect": expect, "mkcomposefs": "refuses", **more})


# The tree

add("smallest", "Only the root: the smallest image there is.")
add("every-type", "One file of every type.",
    directory("/dir"), inline("/file", "content"), line("/empty"), symlink("/link", "file"),
    line("/block", "60660", rdev=259), line("/char", "20666", rdev=1281),
    line("/fifo", "10600"), line("/socket", "140755"), external("/large"))
add("permissions", "Set-id bits, the sticky bit, and no permission at all.",
    line("/setuid", "104755"), line("/setgid", "102755"), directory("/none"),
    line("/sticky", "101777"), line("/zero", "100000"), directory("/tmp").replace("40755", "41777"))
add("ids-over-65535", "Owners and groups for which a compact inode has no room.",
    line("/65535", uid=65535, gid=65535), line("/65536", uid=65536), line("/group", gid=65536),
    line("/nobody", uid=4294967294, gid=4294967294))
add("nlink-over-65535", "Link counts are taken as stated, but for directories.",
    line("/1", nlink=65535), line("/2", nlink=65536), line("/3", nlink=4294967295),
    line("/4", nlink=0), line("/dir", "40755", nlink=70000))
add("nlink-of-directories", "Two, and one for each directory inside; hard links do not count.",
    directory("/a"), directory("/a/b"), directory("/a/c"), line("/a/f"), link("/a/g", "/a/f"))
add("nanosecond-mtimes", "The least time is the image's; files that have it are compact.",
    line("/a", mtime="5.999999999"), line("/b", mtime="5.1"), line("/c", mtime="5.1"),
    line("/d", mtime="6.0"), root=ROOT.replace("0.0", "5.2"))
add("negative-mtimes", "Times before 1970; the nanoseconds count forward from the second.",
    line("/a", mtime="-1.999999999"), line("/b", mtime="-2.0"), line("/c", mtime="-2.0"),
    line("/d", mtime="-9223372036854775808.0"), line("/e", mtime="9223372036854775807.0"))
add("deep-directories", "Forty levels.",
    *(directory("/d" * depth) for depth in range(1, 41)), line("/d" * 40 + "/file"))
add("longest-name", "A name of 255 bytes.", line("/" + "n" * 255), directory("/" + "d" * 255))
add("names-before-dot", "Names that sort before `.` and between `.` and `..`.",
    directory("/d"), line("/d/+"), line("/d/-x"), line("/d/.-"), line("/d/.a"), line("/d/..a"),
    line("/d/..."), line("/d/\\x20"), line("/-x"))
add("bytes-in-names", "Every kind of byte that a name may hold, escaped or raw.",
    line("/space\\x20tab\\tnewline\\nreturn\\r"), line("/back\\\\slash"), line("/\\x01\\x7f\\x80\\xFF"),
    line("/raw\x01\x7f\x80\xff"), line("/equals=\"quote'"), line("/\\x2d"), line("/raw\ttab"))
add("order-forward", "Siblings in byte order.",
    directory("/a"), line("/a/1"), line("/a/2"), directory("/b"), line("/b/1"), line("/c"),
    mkcomposefs="same")
add("order-reverse", "Siblings in reverse order give the same image as order-forward.",
    line("/c"), directory("/b"), line("/b/1"), directory("/a"), line("/a/2"), line("/a/1"))

# Hard links

add("hard-link", "A second name in another directory.",
    directory("/a"), inline("/a/file", "x", nlink=2), directory("/b"), link("/b/name", "/a/file"))
add("hard-link-before-its-target", "The first name in the dump need not be the file's own.",
    link("/a", "/z"), line("/z", nlink=2))
add("hard-link-chain", "Links to links lead to the file at the end.",
    link("/a", "/b"), link("/b", "/c"), link("/c", "/d"), line("/d", nlink=4), link("/e", "/a"))
add("hard-link-fields-are-ignored", "Of a link only the mode's type and the target count.",
    line("/f"), "/l x @120000 x x x x x /f \\q \\q q q\n")
add("hard-link-of-every-type", "Links to whatever is not a directory.",
    symlink("/link", "f"), whiteout("/white"), line("/char", "20644", rdev=5), line("/fifo", "10644"),
    link("/1", "/link"), link("/2", "/white"), link("/3", "/char"), link("/4", "//fifo"))
add("hard-link-shadows-no-whiteout", "A link to a whiteout does not mark its own directory.",
    directory("/a"), whiteout("/a/gone"), directory("/b"), link("/b/gone", "/a/gone"))

# Content

add("metacopy-with-digest", "A digest and the path of its object.", external("/file"))
add("metacopy-without-digest", "A path alone: the metacopy attribute is empty.",
    external("/file", digest="-"))
add("metacopy-without-payload", "A digest alone: no redirect.", external("/file", payload="-"))
add("metacopy-alone", "Neither a digest nor a path.", external("/file", payload="-", digest="-"))
add("metacopy-sha512", "A SHA-512 digest, of which mkcomposefs reads the first half.",
    external("/a", digest=SHA512, payload=f"{SHA512[:2]}/{SHA512[2:]}"), external("/b"),
    external("/c", digest=SHA512, payload="-"), mkcomposefs="other-image")
add("metacopy-shared", "Two files of one content share both attributes.",
    external("/a"), external("/b"), external("/c", payload="other/path"))
add("payload-of-another-digest", "A path that is not the digest's own.",
    external("/a", payload="ab/" + "0" * 62), external("/b", payload="AB/" + "0" * 62),
    external("/c", payload="ab/" + "0" * 61), external("/d", payload="ab0" + "0" * 62))
add("payload-absolute", "The redirect has two slashes then.", external("/file", payload="/x/y"))
add("payload-longest", "4095 bytes.", external("/file", payload="p" * 4095))
add("digest-in-capitals", "Hex digits of either case.", external("/file", digest="AbCdEf01" * 8))
add("inline-with-digest", "Content in the image needs no object, whatever else is said.",
    inline("/file", "here", payload=OBJECT, digest=HEX))
add("empty-with-digest", "Nor does a file of no bytes.", line("/file", payload=OBJECT, digest=HEX))
for length in 1, 64, 65, 2048, 2049, 4096, 4097, 5000:
    add(f"inline-{length}", f"Content of {length} bytes in the image.", inline("/file", "c" * length))
add("inline-between-others", "Tails that may not cross a block move their inodes.",
    *(inline(f"/{i}", "c" * (300 * i)) for i in range(1, 8)), line("/empty"))
add("inline-every-byte", "All 256 bytes, NUL among them.",
    line("/file", size=256, content="".join(f"\\x{byte:02x}" for byte in range(256))))
add("chunk-sizes", "The chunk is the least power of two that holds the file, from 2^12 to 2^43.",
    *(external(f"/{size}", size) for size in (1, 4096, 4097, 2**32 - 1, 2**32, 2**43)))
add("chunk-table", "Larger files have a table of chunks.",
    *(external(f"/{size}", size) for size in (2**43 + 1, 2**44, 2**46 + 1)))
add("chunk-table-longest", "2^53 bytes: the table spills into a block.", external("/f", 2**53))
add("chunk-table-spill-boundary", "Tables that just fit behind their inode, and that do not.",
    *(external(f"/{count}", count * 2**43, "-", "-") for count in range(1006, 1016)))

# Symlinks

add("symlinks", "Short and long targets.",
    symlink("/a", "x"), symlink("/b", "t" * 300), symlink("/c", "../with\\x20blank"[:12]))
for length in 4031, 4032, 4063, 4064, 4095:
    add(f"symlink-{length}", f"A target of {length} bytes: both forms of inode, and attributes.",
        symlink("/compact", "t" * length), symlink("/extended", "t" * length, mtime="1.0"),
        symlink("/xattr", "t" * length, xattrs=["user.a=b"]))
add("symlinks-near-a-block-end", "An inode and its inline target lie in one block.",
    *(symlink(f"/{i}", "t" * (700 + i), mtime=f"{i}.0") for i in range(12)))
add("symlink-content-is-ignored", "Unless read strictly.",
    line("/l", "120777", 3, payload="abc", content="xyz"))
add("symlink-content-of-another-length", "mkcomposefs 1.0.8 compares it with SIZE.",
    line("/l", "120777", 3, payload="abc", content="junk"), mkcomposefs="refuses")
add("symlink-size-is-ignored", "The target's length counts, unless read strictly.",
    line("/l", "120777", 999, payload="abc"))

# Directories


def filled_directory(path, size):
    """A directory whose entries need `size` bytes, with `.` and `..`."""
    rest, number = size - 27, 0
    yield directory(path)
    while rest > 0:
        length = rest - 12 if rest <= 267 else min(200, rest - 12 - 40)
        yield line(f"{path}/" + f"{number:02}".ljust(length, "n"))
        rest -= 12 + length
        number += 1


for size in 2048, 2049, 4096, 4097, 6144, 6145, 8192, 8193:
    add(f"directory-{size}", f"Entries of {size} bytes.", *filled_directory("/d", size))
add("directory-empty", "Only `.` and `..`.", directory("/d"))
add("directory-many", "Three hundred files: several blocks.",
    directory("/d"), *(line(f"/d/{i:03}-{'x' * 20}") for i in range(300)))
add("root-many", "The root's own entries lie among the stubs.",
    *(line(f"/{chr(ord('A') + i % 26)}{i:03}") for i in range(60)), line("/zz"), line("/0"))

# Stubs

add("stub-names-in-the-root", "A name of the tree takes the place of a stub.",
    line("/00"), directory("/ff"), symlink("/0a", "x"), whiteout("/a0"), line("/0A"), line("/000"))
add("stub-name-is-a-hard-link", "Also as a further name.", line("/file"), link("/7f", "/file"))
add("stubs-have-the-roots-owner", "Owner, group, time and label.",
    root=line("/", "40700", 0, 2, 70000, 80000, 0, "7.8", xattrs=["security.selinux=label"]))
add("root-with-selinux", "The stubs share the root's label.", line("/f"),
    root=directory("/", xattrs=["security.selinux=u:r:t\\x00", "user.x=1"]))
add("root-opaque-already", "The root's own opaque attribute is escaped, and opaque is added.",
    root=directory("/", xattrs=["trusted.overlay.opaque=y"]))

# Whiteouts

add("whiteout", "A whiteout becomes a marked file, and its directory is marked.",
    directory("/d"), whiteout("/d/gone"), line("/d/here"))
add("whiteout-in-the-root", "Then the root is marked.", whiteout("/gone"))
add("whiteout-permissions-and-size", "Permissions stay, a size does not.",
    directory("/d"), line("/d/gone", "20644", 1, 3, 1000, 1000, mtime="9.9"))
add("whiteout-with-marks", "Marks that a file or directory already has are replaced.",
    directory("/d", xattrs=["user.overlay.opaque=n", "user.overlay.whiteouts=", "user.z=z"]),
    whiteout("/d/gone", xattrs=["user.overlay.whiteout=", "trusted.overlay.whiteout="]))
add("whiteout-with-a-long-mark", "mkcomposefs fails when the replaced value is long.",
    directory("/d"), whiteout("/d/gone", xattrs=["user.overlay.whiteout=" + "v" * 100]),
    mkcomposefs="refuses")
add("whiteout-by-wrapped-number", "Of a device number the low 32 bits count.",
    whiteout("/gone", rdev=4294967296), line("/dev", "20644", rdev=4294967295))
add("block-device-0-is-no-whiteout", "Only a character device is one.", line("/b", "60644"))

# Extended attributes

add("xattr-prefixes", "Every prefix that has an index, and names without one.",
    line("/f", xattrs=["user.a=1", "trusted.b=2", "security.c=3", "system.posix_acl_access=4",
                       "system.posix_acl_default=5", "lustre.d=6", "other=7", "system.e=8",
                       "user.=9", "trusted.=10"]))
add("acl-flag", "An ACL is announced in the header.",
    directory("/d", xattrs=["system.posix_acl_default=acl"]))
add("acl-prefix-quirk", "Names that only begin as an ACL's does take its index, and set no flag.",
    line("/f", xattrs=["system.posix_acl_accessory=1", "system.posix_acl_defaults=2"]))
add("xattr-shared", "What two inodes have is stored once.",
    line("/a", xattrs=["user.same=value", "user.other=1"]),
    line("/b", xattrs=["user.same=value", "user.other=2"]))
add("xattr-shared-order", "The table: names descending, then longer values, then greater ones.",
    *(line(f"/{i}", xattrs=["user.a=b", "user.b=", "security.z=1"]) for i in range(2)),
    *(line(f"/x{i}", xattrs=[f"user.a={v}", "trusted.q=" + v])
      for i, v in enumerate(["c", "c", "aaa", "aaa", "zz", "zz", "a", "a"])))
for count in 128, 129, 200:
    add(f"xattr-shared-{count}", f"{count} shared attributes on one inode: 128 by reference.",
        *(line(f"/{i}", xattrs=[f"user.{n:03}=v" for n in range(count)]) for i in range(2)))
add("xattr-escape", "What overlayfs would read itself is put out of its way.",
    directory("/d", xattrs=["trusted.overlay.opaque=y", "trusted.overlay.overlay.opaque=x",
                            "user.overlay.opaque=y", "trusted.overlayfs=1", "trusted.overlay=2"]),
    external("/f", xattrs=["trusted.overlay.redirect=/elsewhere", "trusted.overlay.metacopy="]))
add("xattr-escape-longest-name", "A name of 255 bytes may grow by being escaped.",
    line("/f", xattrs=["trusted.overlay." + "n" * 239 + "=v", "user." + "n" * 250 + "=v",
                       "x" * 255 + "=v"]))
add("xattr-bytes", "Values of any bytes, names of any but NUL and `=`, which are escaped.",
    line("/f", xattrs=["user.\\x01\\x20\\xff=\\x00\\n\\\\\\x3d", "user.\\x3d=a=b=c", "user.empty="]))
add("xattr-repeated-name", "Of several values the last counts.",
    line("/f", xattrs=["user.a=1", "user.b=2", "user.a=3"]))
add("xattr-trailing-space", "One space after the last attribute is tolerated.",
    line("/f", xattrs=["user.a=1", ""]))
add("xattr-most-room", "12, and for each attribute 7 and both lengths, make 32767.",
    line("/f", xattrs=["user.a=" + "v" * (32767 - 12 - 7 - 6)]))
add("xattr-filter", "Long names, for every part of the name filter's hash.",
    line("/f", xattrs=[f"user.{'abcdefghijklmnopqrstuvwxyz0123456789'[:n]}=v" for n in range(36)]))
add("xattr-on-everything", "Attributes before a tail, a target, a table.",
    directory("/d", xattrs=["user.d=1"]), inline("/f", "c", xattrs=["user.f=12"]),
    symlink("/l", "t", xattrs=["trusted.l=123"]), external("/x", 2**44, xattrs=["user.x=1234"]),
    line("/fifo", "10644", xattrs=["security.p=12345"]))

# The text

add("text-missing-fields", "A line may end early; what is missing is empty.",
    "/a 0 100644 1 0 0 0 0.0\n", "/b 0 100644 1 0 0 0 0.0 -\n", "/c 0 100644 1 0 0 0 0.0 - -\n",
    "/l 0 120777 1 0 0 0 0.0 target\n", "/d 0 40755 2 0 0 0 0.0\n", "/n 0 10644 1 0 0 0 1.2\n")
add("text-numbers", "Numbers are read as C's strtoull reads them.",
    "/plus +3 100644 +1 +1 +2 +0 +0.+5 - abc -\n", "/tab 0 100644 1 \t7 \t\v8 0 \t1.\t5 - - -\n",
    "/zeros 000 00100644 01 007 0 0 00.00 - - -\n", "/minus 0 100644 -1 -2 -3 -0 -5.-0 - - -\n",
    "/wide 0 100644 4294967297 4294967298 8589934592 0 0.4294967296 - - -\n",
    "/mode 0 37777700100644 1 0 0 0 0.0 - - -\n",
    "/large 99999999999999999999 10644 1 0 0 0 99999999999999999999.0 - - -\n")
add("text-paths", "Leading slashes may be missing or many; a slash may be escaped.",
    directory("a"), directory("a/b"), line("//a///b//c"), line("/a\\x2fb\\x2fd"), line("e"))
add("text-empty-fields", "An empty field is an empty text, which is as good as none.",
    "/a 0 100644 1 0 0 0 0.0   \n", "/b 5 100644 1 0 0 0 0.0  hello \n",
    "/d 0 40755 2 0 0 0 0.0   \n", "/p 70000 100644 1 0 0 0 0.0  - -\n")
add("text-escaped-minus", "A lone minus means absent, an escaped one is a minus.",
    symlink("/l", "-").replace(" - - -", " \\x2d - -"), line("/f", size=1, content="\\x2d"),
    external("/x", payload="\\x2d"))
add("text-content-of-other-types", "Content on other types must fit SIZE, and is ignored.",
    line("/d", "40755", 3, content="abc"), line("/fifo", "10644", 3, content="abc"))
add("text-sizes-of-other-types", "They decide the form of the inode, and are not stored.",
    line("/a", "10644", 2**32), line("/b", "140644", 2**32 - 1), line("/c", "60644", 2**40, rdev=1),
    directory("/d", size=2**40))
add("text-no-newline", "Unless read strictly.", line("/f")[:-1])
add("text-rdev-without-device", "Ignored, unless read strictly.", line("/f", rdev=17))
add("strict", "What is right is right when read strictly.", directory("/d"), external("/f"),
    symlink("/l", "abc"), line("/c", "20644", rdev=17), strict=True)

# Refusals: the lines

refuse("refuse-empty-dump", "empty-dump", "No line.", root="")
refuse("refuse-empty-line", "empty-line", "A line without a field.", "\n", line("/f"))
refuse("refuse-long-line", "long-line", "A line longer than any valid one.",
       line("/f"), link("/l", "/f").replace(" - -", " - " + "d" * 316000), mkcomposefs="accepts")
refuse("refuse-nul-byte", "nul-byte", "A NUL byte in the text.", line("/f\0x"))
refuse("refuse-no-newline", "no-newline", "Read strictly.", line("/f")[:-1], strict=True)
refuse("refuse-unknown-escape", "escape", "An escape that there is not.", line("/\\q"))
refuse("refuse-octal-escape", "escape", "Nor those of C.", line("/\\101"))
refuse("refuse-short-escape", "escape", "An escape that is cut short.", line("/\\x4"))
refuse("refuse-final-backslash", "escape", "A backslash at the end.", symlink("/l", "\\"))
refuse("refuse-signed-escape", "escape", "Digits only.", line("/\\x+1"))
refuse("refuse-escape-in-content", "escape", "In content too.", inline("/f", "\\xzz"))
refuse("refuse-escape-in-xattr", "escape", "In values too.", line("/f", xattrs=["user.a=\\x"]))
refuse("refuse-nul-in-path", "escaped-nul", "mkcomposefs ends the path there.",
       line("/a\\x00b"), mkcomposefs="accepts")
refuse("refuse-nul-in-target", "escaped-nul", "mkcomposefs ends the target there.",
       line("/l", "120777", 1, payload="a\\x00b"), mkcomposefs="accepts")
refuse("refuse-nul-in-xattr-name", "escaped-nul", "mkcomposefs ends the name there.",
       line("/f", xattrs=["user.a\\x00b=c"]), mkcomposefs="accepts")

# Refusals: the fields

refuse("refuse-size-with-junk", "number", "A number with something behind it.", line("/f", size="0x"))
refuse("refuse-size-empty", "number", "No number.", line("/f", size=""))
refuse("refuse-size-sign-alone", "number", "A sign alone.", line("/f", size="+"))
refuse("refuse-size-hex", "number", "Not in base 16.", line("/f", size="0x10"))
refuse("refuse-uid-with-junk", "number", "An owner that is none.", line("/f", uid="root"))
refuse("refuse-gid-with-junk", "number", "mkcomposefs overlooks it if UID is not 0.",
       line("/f", uid=1, gid="1x"), mkcomposefs="accepts")
refuse("refuse-rdev-with-junk", "number", "mkcomposefs overlooks it if UID is not 0.",
       line("/f", uid=1, rdev="1x"), mkcomposefs="accepts")
refuse("refuse-mode-with-digit-8", "number", "Not octal.", line("/f", "100648"))
refuse("refuse-missing-numbers", "number", "A line may not end as early as that.", "/f 0 100644 1\n")
refuse("refuse-mtime-without-point", "mtime", "Seconds alone.", line("/f", mtime="5"))
refuse("refuse-mtime-without-nanoseconds", "mtime", "Nothing behind the point.", line("/f", mtime="5."))
refuse("refuse-mtime-without-seconds", "mtime", "Nothing before the point.", line("/f", mtime=".5"))
refuse("refuse-nanoseconds", "nanoseconds", "A second or more; mkcomposefs writes it.",
       line("/f", mtime="0.1000000000"), mkcomposefs="accepts")
refuse("refuse-type-0", "file-type", "A mode without a type.", line("/f", "644"))
refuse("refuse-type-of-two", "file-type", "A mode with two types.", line("/f", "110644"))
refuse("refuse-link-of-no-type", "file-type", "Of a link too.", line("/f"), link("/l", "/f", "@644"))
refuse("refuse-digest-short", "digest", "mkcomposefs then writes what its memory holds.",
       external("/f", digest="abcd"), mkcomposefs="accepts")
refuse("refuse-digest-long", "digest", "66 digits.", external("/f", digest=HEX + "00"),
       mkcomposefs="accepts")
refuse("refuse-digest-not-hex", "digest", "Not hex.", external("/f", digest="x" * 64),
       mkcomposefs="accepts")
refuse("refuse-digest-missing", "digest", "An empty one, where there is content to digest.",
       external("/f", digest="").rstrip() + "\n", mkcomposefs="accepts")
refuse("refuse-digest-of-directory", "digest", "Of whatever type the file is.",
       directory("/d", digest="none"), mkcomposefs="accepts")
refuse("refuse-content-too-short", "content-size", "Less than SIZE.", line("/f", size=4, content="abc"))
refuse("refuse-content-too-long", "content-size", "More than SIZE.", line("/f", size=2, content="abc"))
refuse("refuse-content-missing-field", "content-size", "An empty field is no content.",
       "/f 3 100644 1 0 0 0 0.0 -  -\n")
refuse("refuse-content-of-fifo", "content-size", "Of other types too.", line("/f", "10644", 4, content="abc"))
refuse("refuse-content-5001", "inline-content", "More than an image takes.", inline("/f", "c" * 5001))
refuse("refuse-file-size", "file-size", "One byte more than 2^53.", external("/f", 2**53 + 1))
refuse("refuse-file-size-that-wraps", "file-size", "mkcomposefs computes no chunk for it.",
       external("/f", 2**64 - 1), mkcomposefs="accepts")
refuse("refuse-symlink-without-target", "no-target", "No payload.", line("/l", "120777"))
refuse("refuse-symlink-empty-target", "payload", "An empty payload.",
       "/l 0 120777 1 0 0 0 0.0  - -\n")
refuse("refuse-symlink-4096", "payload", "A target of 4096 bytes.", symlink("/l", "t" * 4096))
refuse("refuse-payload-4096", "payload", "An object path of 4096 bytes.", external("/f", payload="p" * 4096))
refuse("refuse-payload-4096-of-directory", "payload", "Also where it would be ignored.",
       directory("/d", payload="p" * 4096))
refuse("refuse-xattr-without-equals", "xattr", "No value.", line("/f", xattrs=["user.a"]))
refuse("refuse-xattr-without-name", "xattr", "No name.", line("/f", xattrs=["=value"]))
refuse("refuse-xattr-two-spaces", "xattr", "One space at the end is tolerated, two are not.",
       line("/f", xattrs=["user.a=1", "", ""]))
refuse("refuse-xattr-name-256", "xattr-limit", "A name of 256 bytes.",
       line("/f", xattrs=["user." + "n" * 251 + "=v"]))
refuse("refuse-xattr-room", "xattr-limit", "One byte more than 32767.",
       line("/f", xattrs=["user.a=" + "v" * (32767 - 12 - 7 - 6 + 1)]))
refuse("refuse-xattr-text", "xattr-text", "More than 65535 bytes of text.",
       line("/f", xattrs=["user.a=" + "v" * 40000, "user.b=" + "v" * 26000]))
refuse("refuse-strict-rdev", "rdev", "Read strictly.", line("/f", rdev=17), strict=True)
refuse("refuse-strict-symlink-content", "symlink-content", "Read strictly.",
       line("/l", "120777", 3, payload="abc", content="junk"), strict=True)
refuse("refuse-strict-symlink-size", "content-size", "Read strictly.",
       line("/l", "120777", 999, payload="abc"), strict=True)

# Refusals: the tree

refuse("refuse-first-path", "root-path", "The first line is not the root's.", root=line("/f"))
refuse("refuse-first-path-without-slash", "root-path", "Nor is the empty path the root.",
       root=directory(""))
refuse("refuse-second-root", "root-path", "The root occurs again.", ROOT)
refuse("refuse-second-root-slashes", "root-path", "In another form.", directory("//"))
refuse("refuse-root-is-a-file", "root", "The root is no directory.", root=line("/"))
refuse("refuse-root-is-a-link", "root-path", "The root is no link.", root=link("/", "/f"))
refuse("refuse-no-parent", "no-parent", "The directory comes after what is in it.",
       line("/d/f"), directory("/d"))
refuse("refuse-parent-is-a-file", "no-parent", "A file holds nothing.", line("/f"), line("/f/g"))
refuse("refuse-parent-is-dot", "no-parent", "No directory is named `.`.", line("/./f"))
refuse("refuse-dot", "name", "The name `.`.", directory("/."))
refuse("refuse-dot-dot", "name", "The name `..`.", directory("/d"), line("/d/.."))
refuse("refuse-empty-name", "name", "A slash at the end.", directory("/d"), directory("/d/"))
refuse("refuse-name-256", "name", "A name of 256 bytes.", line("/" + "n" * 256))
refuse("refuse-duplicate", "duplicate", "A name twice.", line("/f"), directory("/f"))
refuse("refuse-duplicate-spelled-otherwise", "duplicate", "However it is written.",
       line("/f"), line("//\\x66"))
refuse("refuse-duplicate-link", "duplicate", "A link is a name too.", line("/f"), line("/g"), link("/f", "/g"))
refuse("refuse-link-without-target", "link", "No payload.", line("/l", "@100644"))
refuse("refuse-link-of-directory-type", "link", "The mode is a directory's.",
       directory("/d"), link("/l", "/d", "@40755"))
refuse("refuse-link-to-nothing", "link-target", "The target is not in the tree.", link("/l", "/f"))
refuse("refuse-link-below-a-file", "link-target", "A file holds nothing.", line("/f"), link("/l", "/f/g"))
refuse("refuse-link-to-a-directory", "link-to-directory",
       "mkcomposefs makes a directory of two names.", directory("/d"), link("/l", "/d"),
       mkcomposefs="accepts")
refuse("refuse-link-to-the-root", "link-to-directory", "The root is one too.", link("/l", "/"),
       mkcomposefs="accepts")
refuse("refuse-link-to-itself", "link-loop", "A link to itself.", link("/l", "/l"))
refuse("refuse-link-loop-of-two", "link-loop", "Two links that lead to each other.",
       link("/a", "/b"), link("/b", "/a"))
refuse("refuse-link-into-a-loop", "link-loop", "mkcomposefs may not come to an end.",
       link("/a", "/b"), link("/b", "/c"), link("/c", "/d"), link("/d", "/b"),
       mkcomposefs="does-not-end")


def vector(scenario):
    text = scenario["text"]
    made = {name: value for name, value in scenario.items() if name not in ("text", "expect")}
    if len(text) > LARGEST_DUMP and len(runs(text)) > 1:
        made["dump"] = runs(text)
    try:
        root = image_model.parse(text, scenario.get("strict", False))
    except image_model.Refused as refusal:
        return {**made, "expect": str(refusal)}
    images = {str(version): describe(image_model.build(root, version)) for version in (0, 1)}
    auto = image_model.version_by_default(root)
    return {**made, "expect": "image", "auto": auto, "images": images}


def describe(image):
    return {
        "size": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
        "fsverity-sha256-4096": verity_model.digest(image).hex(),
    }


def runs(text):
    """The text as a list of parts: text, or a byte and how often it occurs."""
    text = text.decode("latin-1")
    parts, at = [], 0
    for run in re.finditer(r"(.)\1{100,}", text, re.DOTALL):
        parts += [text[at : run.start()], [run[1], len(run[0])]]
        at = run.end()
    return [part for part in [*parts, text[at:]] if part]


def all_vectors():
    made = {name: vector(scenario) for name, scenario in SCENARIOS.items()}
    found = {name: vector["expect"] for name, vector in made.items()}
    other = {name: found[name] for name in found if found[name] != SCENARIOS[name]["expect"]}
    assert not other, other
    assert made["order-forward"]["images"] == made["order-reverse"]["images"]
    return made


def to_text(made):
    """JSON with each part of a dump on one line."""
    if "dump" not in made:
        return json.dumps(made, indent=2) + "\n"
    parts = ",\n    ".join(json.dumps(part) for part in made["dump"])
    text = json.dumps({**made, "dump": []}, indent=2)
    return text.replace('"dump": []', f'"dump": [\n    {parts}\n  ]') + "\n"


def write():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in [*FOLDER.glob("*.json"), *FOLDER.glob("*.dump")]:
        old.unlink()
    for name, made in all_vectors().items():
        (FOLDER / f"{name}.json").write_text(to_text(made))
        if "dump" not in made:
            (FOLDER / f"{name}.dump").write_bytes(SCENARIOS[name]["text"])


def check():
    wanted = all_vectors()
    stored = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
    dumps = {file.stem: file.read_bytes() for file in FOLDER.glob("*.dump")}
    texts = {name: SCENARIOS[name]["text"] for name in wanted if "dump" not in wanted[name]}
    wrong = {name for name in wanted | stored if wanted.get(name) != stored.get(name)}
    wrong |= {name for name in texts | dumps if texts.get(name) != dumps.get(name)}
    if wrong:
        sys.exit(f"vectors/image: not what the model computes: {', '.join(sorted(wrong))}")
    print(f"vectors/image: {len(stored)} scenarios are right")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            write()
        case ["check"]:
            check()
        case _:
            sys.exit(__doc__)
