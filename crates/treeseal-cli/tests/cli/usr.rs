//! A whole real system: `/usr` of the machine, sealed, checked, and taken out again.

use std::fs;

use crate::support::{Machine, require_root, rsync_differences};

#[test]
fn usr_comes_back_as_it_was() {
    require_root("devices, owners and mounts");
    let machine = Machine::new();
    let tree = std::path::Path::new("/usr");
    let stream = "test/usr/any/stable";
    let first = machine.seal(tree, stream).text();

    // Sealed again, nearly all of it is known, and it is the same tree.
    let again: serde_json::Value = serde_json::from_slice(
        &machine.run(["seal", "/usr", "--stream", stream, "--json"]).ok().stdout,
    )
    .unwrap();
    let digest = again["images"][0]["fsverity"][0].as_str().unwrap();
    assert!(first.contains(&format!("image {digest}\n")), "{first}\n{again}");
    let count = |what: &str, unit: &str| again[what][unit].as_u64().unwrap();
    assert!(count("known", "bytes") * 10 > count("objects", "bytes") * 9, "{again}");

    let verified = machine.run(["verify", stream, "--deep"]).ok().text();
    assert!(verified.contains("scan: every byte of"), "{verified}");

    let copy = machine.path("copy");
    machine.run(["extract".as_ref(), stream.as_ref(), copy.as_os_str()]).ok();
    assert!(fs::read_dir(copy.join("share")).unwrap().count() > 10);

    // An independent program compares content by checksum, and owners, modes, times, links,
    // attributes and access control lists.
    assert_eq!(rsync_differences("-aHAX", tree, &copy), "");
    machine.run(["diff".as_ref(), stream.as_ref(), copy.as_os_str()]).ok();
}
