//! Dump text: what is refused and with which words, and what reading it piece by piece gives.
//! Which dumps lead to which images is for the vectors, in `treeseal-erofs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use core::fmt::Write as _;

use treeseal_testkit::{IMAGE_SCENARIOS, load_vectors};
use treeseal_tree::dump::{DumpError, DumpParser, Strictness};
use treeseal_tree::{Content, FileType, Mtime, Payload, Tree};

const ROOT: &str = "/ 4096 40755 2 0 0 0 0.0 - - -\n";

fn lenient(lines: &str) -> Result<Tree, DumpError> {
    DumpParser::parse(format!("{ROOT}{lines}").as_bytes(), Strictness::Lenient)
}

fn strict(lines: &str) -> Result<Tree, DumpError> {
    DumpParser::parse(format!("{ROOT}{lines}").as_bytes(), Strictness::Strict)
}

#[track_caller]
fn assert_refused(lines: &str, text: &str) {
    assert_eq!(lenient(lines).unwrap_err().to_string(), text);
}

#[track_caller]
fn assert_refused_strictly(lines: &str, text: &str) {
    assert!(lenient(lines).is_ok(), "it is read leniently");
    assert_eq!(strict(lines).unwrap_err().to_string(), text);
}

#[test]
fn an_error_names_the_line_the_path_and_the_reason() {
    assert_refused(
        "/d 0 40755 2 0 0 0 0.0 - - -\n/d/x\\x20y 0 100644 1 0 0 1e3 0.0 - - -\n",
        "line 3 (`/d/x y`): field RDEV: `1e3` is not a number",
    );
    assert_refused(
        "/\\x01\\xff 0 644\n",
        "line 2 (`/\\x01\\xff`): field MODE: 644 has no known file type",
    );
}

#[test]
fn refused_lines_say_what_is_wrong() {
    let cases = [
        ("\n", "line 2: empty line"),
        ("/f\0 0 100644\n", "line 2: NUL byte in the line"),
        ("/\\q 0 100644\n", "line 2 (`/\\\\q`): field PATH: unknown or incomplete escape"),
        ("/a\\x00 0 100644\n", "line 2 (`/a\\x00`): field PATH: NUL byte"),
        ("/f x\n", "line 2 (`/f`): field MODE: `` is not a number"),
        ("/f x 100644\n", "line 2 (`/f`): field SIZE: `x` is not a number"),
        ("/f 0 100644 1 0 0 0 7\n", "line 2 (`/f`): field MTIME: `7` is not SECONDS.NANOSECONDS"),
        (
            "/f 0 100644 1 0 0 0 0.1000000000\n",
            "line 2 (`/f`): 1000000000 nanoseconds: expected less than 1000000000",
        ),
        (ROOT, "line 2 (`/`): the first line, and no other, has the path `/`"),
        (
            "/d/f 0 100644 1 0 0 0 0.0 - - -\n",
            "line 2 (`/d/f`): its directory does not come before it",
        ),
        (
            "/f 9 100644 1 0 0 0 0.0 - - 12\n",
            "line 2 (`/f`): field DIGEST: a digest has 64 or 128 hex digits, found 2 characters",
        ),
        ("/l 0 120777 1 0 0 0 0.0 - - -\n", "line 2 (`/l`): symlink without a target"),
        (
            "/l 0 @100644 1 0 0 0 0.0 - - -\n",
            "line 2 (`/l`): hard link without a target, or of a directory",
        ),
        ("/f 2 100644 1 0 0 0 0.0 - abc -\n", "line 2 (`/f`): 3 bytes of content, SIZE says 2"),
        (
            "/f 0 100644 1 0 0 0 0.0 - - - user.a\n",
            "line 2 (`/f`): attribute without a name or without `=`",
        ),
        ("/.. 0 100644 1 0 0 0 0.0 - - -\n", "line 2 (`/..`): `..` is not a file name"),
        (
            "/d/ 0 100644 1 0 0 0 0.0 - - -\n",
            "line 2 (`/d/`): its directory does not come before it",
        ),
        (
            "// 0 40755 1 0 0 0 0.0 - - -\n",
            "line 2 (`//`): the first line, and no other, has the path `/`",
        ),
        (
            "/f 9007199254740993 100644 1 0 0 0 0.0 - - -\n",
            "line 2 (`/f`): file of 9007199254740993 bytes: at most 9007199254740992 are allowed",
        ),
    ];
    for (lines, text) in cases {
        assert_refused(lines, text);
    }
}

#[test]
fn limits_are_named_with_what_was_found() {
    let file = |rest: &str| format!("/f 0 100644 1 0 0 0 0.0 - - - {rest}\n");
    assert_refused(
        &format!("/{} 0 100644 1 0 0 0 0.0 - - -\n", "n".repeat(256)),
        &format!(
            "line 2 (`/{}`): file name of 256 bytes: at most 255 are allowed",
            "n".repeat(256)
        ),
    );
    assert_refused(
        &format!("/l 0 120777 1 0 0 0 0.0 {} - -\n", "t".repeat(4096)),
        "line 2 (`/l`): symlink target or object path of 4096 bytes: expected 1 to 4095 without NUL",
    );
    assert_refused(
        &format!("/f 5001 100644 1 0 0 0 0.0 - {} -\n", "c".repeat(5001)),
        "line 2 (`/f`): inline content of 5001 bytes: at most 5000 are allowed",
    );
    assert_refused(
        &file(&format!("{}=v", "n".repeat(256))),
        "line 2 (`/f`): attribute name of 256 bytes: expected 1 to 255",
    );
    assert_refused(
        &file(&format!("user.a={}", "v".repeat(32768))),
        "line 2 (`/f`): attributes need 32793 bytes: at most 32767 are allowed",
    );
    assert_refused(
        &file(&"v".repeat(65536)),
        "line 2 (`/f`): attributes of 65536 bytes of text: at most 65535 are allowed",
    );
    assert_refused(&"x".repeat(400_000), "line 2: line of more than 315932 bytes");
}

#[test]
fn an_empty_dump_and_a_root_that_is_no_directory_are_refused() {
    let error = |text: &str| {
        DumpParser::parse(text.as_bytes(), Strictness::Lenient).unwrap_err().to_string()
    };
    assert_eq!(error(""), "line 0: the dump is empty");
    assert_eq!(
        error("/ 0 100644 1 0 0 0 0.0 - - -\n"),
        "line 1 (`/`): the root is a regular file, expected a directory"
    );
    assert_eq!(
        error("/f 0 100644 1 0 0 0 0.0 - - -\n"),
        "line 1 (`/f`): the first line, and no other, has the path `/`"
    );
}

#[test]
fn strictness_refuses_what_is_otherwise_ignored() {
    assert_refused_strictly(
        "/f 0 100644 1 0 0 0 0.0 - - -",
        "line 2: the last line does not end in a newline",
    );
    assert_refused_strictly(
        "/f 0 100644 1 0 0 5 0.0 - - -\n",
        "line 2 (`/f`): field RDEV: 5 on a file that is no device",
    );
    assert_refused_strictly(
        "/l 3 120777 1 0 0 0 0.0 abc x -\n",
        "line 2 (`/l`): content on a symlink",
    );
    assert_refused_strictly(
        "/l 4 120777 1 0 0 0 0.0 abc - -\n",
        "line 2 (`/l`): 3 bytes of content, SIZE says 4",
    );
    assert!(strict("/c 0 20644 1 0 0 5 0.0 - - -\n/l 3 120777 1 0 0 0 0.0 abc - -\n").is_ok());
}

#[test]
fn errors_that_are_found_at_the_end_name_both_paths() {
    let file = |name: &str| format!("{name} 0 100644 1 0 0 0 0.0 - - -\n");
    let link = |name: &str, target: &str| format!("{name} 0 @100644 1 0 0 0 0.0 {target} - -\n");
    let directory = "/d 0 40755 2 0 0 0 0.0 - - -\n";
    assert_refused(&(file("/d\\x20") + &file("//d\\x20")), "line 3: `/d ` occurs twice");
    assert_refused(
        &(directory.to_owned() + &link("/d/l", "/gone")),
        "line 3: hard link `/d/l`: its target `/gone` is not in the tree",
    );
    assert_refused(
        &(directory.to_owned() + &link("/l", "/d")),
        "line 3: hard link `/l`: its target `/d` is a directory",
    );
    assert_refused(&link("/l", "/"), "line 2: hard link `/l`: its target `/` is a directory");
    assert_refused(&link("/l", "/l"), "line 2: hard link `/l`: its target `/l` leads back to it");
    let loops = link("/a", "/b") + &link("/b", "/c") + &link("/c", "/b");
    assert_refused(&loops, "line 4: hard link `/a`: its target `/b` leads back to it");
}

/// One after the other: a chain that is walked anew from each of its links would take hours.
#[test]
fn chains_of_100000_hard_links_are_followed_once() {
    const LINKS: usize = 100_000;
    for is_forward in [true, false] {
        let mut lines = String::from("/file 7 100644 1 0 0 0 0.0 - content -\n");
        for number in 0..LINKS {
            let next = if is_forward { number + 1 } else { number.wrapping_sub(1) };
            let target = if next < LINKS { format!("/l{next:06}") } else { "/file".to_owned() };
            writeln!(lines, "/l{number:06} 0 @100644 1 0 0 0 0.0 {target} - -").unwrap();
        }
        let tree = lenient(&lines).unwrap();
        let file = tree.lookup(b"/file").unwrap();
        assert_eq!(tree.entry_count(), LINKS + 1);
        assert_eq!(tree.inode_count(), 2);
        assert!(tree.children(Tree::ROOT).all(|entry| entry.inode == file));
    }
}

#[test]
fn a_loop_at_the_end_of_a_long_chain_is_found() {
    let mut lines = String::new();
    for number in 0..50_000 {
        let target = (number + 1).min(49_990);
        writeln!(lines, "/l{number:06} 0 @100644 1 0 0 0 0.0 /l{target:06} - -").unwrap();
    }
    let error = lenient(&lines).unwrap_err().to_string();
    assert!(error.ends_with("leads back to it"), "{error}");
}

#[test]
fn escapes_give_every_byte() {
    let mut content = String::new();
    (0..=255).for_each(|byte: u8| write!(content, "\\x{byte:02X}").unwrap());
    let tree = lenient(&format!(
        "/f 256 100644 1 0 0 0 0.0 - {content} -\n\
         /n\\n\\t\\r\\\\\\x7f 4 100644 1 0 0 0 0.0 - \\n\\t\\r\\\\ - user.a\\x3db=c=\\x00\n"
    ))
    .unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    let content = |path: &[u8]| tree.inode(tree.lookup(path).unwrap()).content();
    assert_eq!(content(b"/f"), Content::Inline(&every_byte));
    assert_eq!(content(b"/n\n\t\r\\\x7f"), Content::Inline(b"\n\t\r\\"));
    let attributes: Vec<_> = tree.inode(tree.lookup(b"/n\n\t\r\\\x7f").unwrap()).xattrs().collect();
    assert_eq!(attributes, [(&b"user.a=b"[..], &b"c=\0"[..])]);
}

#[test]
fn fields_arrive_in_the_tree() {
    let digest = "ab".repeat(32);
    let tree = lenient(&format!(
        "/f 70000 104755 3 1000 1001 0 -5.000000007 ab/{} - {digest} user.b=2 user.a=1 user.b=3\n\
         /other 70000 100644 1 0 0 0 0.0 some/path - -\n\
         /dev 0 60660 1 0 0 4294967295 0.0 - - -\n",
        "ab".repeat(31)
    ))
    .unwrap();
    let file = tree.inode(tree.lookup(b"f").unwrap());
    assert_eq!(file.mode(), 0o104_755);
    assert_eq!(file.size(), 70000);
    let metadata = file.metadata();
    assert_eq!((metadata.nlink, metadata.uid, metadata.gid), (3, 1000, 1001));
    assert_eq!(metadata.mtime, Mtime { seconds: -5, nanoseconds: 7 });
    assert_eq!(metadata.mtime.to_string(), "-5.7");
    let Content::External { digest: Some(found), payload: Payload::Object(object) } =
        file.content()
    else {
        panic!("{:?}", file.content());
    };
    assert_eq!(tree.digest(found).to_hex(), digest);
    assert_eq!(found, object, "one digest is stored once");
    let attributes: Vec<_> = file.xattrs().collect();
    assert_eq!(attributes, [(&b"user.a"[..], &b"1"[..]), (b"user.b", b"3")]);

    let other = tree.inode(tree.lookup(b"/other").unwrap());
    let Content::External { digest: None, payload } = other.content() else {
        panic!("{:?}", other.content());
    };
    assert_eq!(tree.payload_path(payload).unwrap(), b"some/path");
    let device = tree.inode(tree.lookup(b"/dev").unwrap());
    assert_eq!(device.file_type(), FileType::BlockDevice);
    assert_eq!(device.content(), Content::Device(u32::MAX));
}

#[test]
fn equal_digests_have_one_id_wherever_they_occur() {
    let (a, b) = ("aa".repeat(32), "bb".repeat(32));
    let object = |digest: &str| format!("{}/{}", &digest[..2], &digest[2..]);
    let tree = lenient(&format!(
        "/1 9 100644 1 0 0 0 0.0 {object_b} - {a}\n\
         /2 9 100644 1 0 0 0 0.0 {object_a} - {a}\n\
         /3 9 100644 1 0 0 0 0.0 {object_a} - {b}\n\
         /4 9 100644 1 0 0 0 0.0 {object_b} - -\n",
        object_a = object(&a),
        object_b = object(&b),
    ))
    .unwrap();
    let ids = |path: &str| match tree.inode(tree.lookup(path.as_bytes()).unwrap()).content() {
        Content::External { digest, payload: Payload::Object(object) } => (digest, object),
        other => panic!("{other:?}"),
    };
    let (first, second) = (ids("1").0.unwrap(), ids("1").1);
    assert_eq!([tree.digest(first).to_hex(), tree.digest(second).to_hex()], [a, b]);
    assert_eq!(ids("2"), (Some(first), first));
    assert_eq!(ids("3"), (Some(second), first));
    assert_eq!(ids("4"), (None, second));
    assert_eq!(tree.digest_count(), 2);
}

#[test]
fn names_come_in_byte_order_whatever_the_order_of_the_lines() {
    let mut lines = String::new();
    for name in ["b", "B", "\\xff", "a", "-", "aa", "~"] {
        writeln!(lines, "/{name} 0 100644 1 0 0 0 0.0 - - -").unwrap();
    }
    let tree = lenient(&lines).unwrap();
    let names: Vec<&[u8]> = tree.children(Tree::ROOT).map(|entry| entry.name).collect();
    assert_eq!(names, [&b"-"[..], b"B", b"a", b"aa", b"b", b"~", b"\xff"]);
}

/// A parser that is fed differently must not read differently: neither what it makes of a dump, nor
/// where it says that one is wrong.
#[test]
fn pieces_of_any_size_give_what_the_whole_gives() {
    for vector in load_vectors("image", IMAGE_SCENARIOS) {
        let text = vector.dump();
        let strictness =
            if vector.flag("strict") { Strictness::Strict } else { Strictness::Lenient };
        let whole = outcome(DumpParser::parse(&text, strictness));
        for size in [1, 7, 4096] {
            let mut parser = DumpParser::new(strictness);
            let fed = text.chunks(size).try_for_each(|piece| parser.feed(piece));
            let pieces = outcome(fed.and_then(|()| parser.finish()));
            assert_eq!(pieces, whole, "{} in pieces of {size}", vector.name);
        }
    }
}

/// What can be compared: all that a tree holds, or the error.
fn outcome(read: Result<Tree, DumpError>) -> Result<String, DumpError> {
    read.map(|tree| {
        let mut text = String::new();
        for id in tree.inode_ids() {
            let inode = tree.inode(id);
            let attributes: Vec<_> = inode.xattrs().collect();
            let children: Vec<_> = tree.children(id).collect();
            writeln!(
                text,
                "{} {:?} {:?} {attributes:?} {children:?}",
                inode.size(),
                inode.metadata(),
                inode.content()
            )
            .unwrap();
        }
        text
    })
}
