//! Objects that are not what their names say.

use super::*;
use std::fs;

use treeseal_source::ostree::archived_checksum;

/// Objects of the first commit, by their extension in the archive: those that a walk meets.
fn objects(unpacked: &Unpacked, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for prefix in fs::read_dir(unpacked.path.join("objects")).unwrap() {
        for object in fs::read_dir(prefix.unwrap().path()).unwrap() {
            let path = object.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read_error(unpacked: &Unpacked) -> String {
    messages(&read(&unpacked.open(), FIRST).map(|_| ()).unwrap_err())
}

/// The objects of this kind of which a commit is read no more when `change` was done to them.
fn refused_after(mode: &str, extension: &str, change: impl Fn(&Path)) -> Vec<(PathBuf, String)> {
    let unpacked = Unpacked::new(mode);
    let mut refused = Vec::new();
    for object in objects(&unpacked, extension) {
        let kept = unpacked.path.join("kept");
        fs::rename(&object, &kept).unwrap();
        fs::copy(&kept, &object).unwrap();
        change(&object);
        if let Err(error) = read(&unpacked.open(), FIRST) {
            refused.push((object.clone(), messages(&error)));
        }
        fs::rename(&kept, &object).unwrap();
    }
    assert!(read(&unpacked.open(), FIRST).is_ok(), "everything is as it was");
    refused
}

fn change_last_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_byte_of_metadata_is_found() {
    for (extension, at_least) in [("commit", 1), ("dirtree", 8), ("dirmeta", 2)] {
        let refused = refused_after("archive", extension, change_last_byte);
        assert!(refused.len() >= at_least, "{extension}: {}", refused.len());
        for (path, message) in refused {
            let expected =
                format!("`{}` is damaged or another object: its checksum is ", path.display());
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}

#[test]
fn a_changed_byte_of_a_file_is_found() {
    let refused = refused_after("archive", "filez", change_last_byte);
    assert!(refused.len() >= 10, "{}", refused.len());
    for (path, message) in refused {
        assert!(message.contains(&path.display().to_string()), "{message}");
    }
}

#[test]
fn a_changed_mode_of_a_bare_file_is_found() {
    use std::os::unix::fs::PermissionsExt as _;
    let unpacked = Unpacked::new("bare");
    let object = objects(&unpacked, "file").into_iter().find(|path| path.is_file()).unwrap();
    fs::set_permissions(&object, fs::Permissions::from_mode(0o4755)).unwrap();
    let error = read_error(&unpacked);
    assert!(error.contains("is damaged or another object: its checksum is"), "{error}");
}

#[test]
fn a_missing_object_is_named() {
    let unpacked = Unpacked::new("archive");
    let object = objects(&unpacked, "dirmeta").remove(0);
    fs::remove_file(&object).unwrap();
    assert_eq!(read_error(&unpacked), format!("the object `{}` is missing", object.display()));
}

#[test]
fn an_object_in_the_place_of_another_is_found() {
    let unpacked = Unpacked::new("archive");
    fs::copy(unpacked.object(SECOND, "commit"), unpacked.object(FIRST, "commit")).unwrap();
    let error = read_error(&unpacked);
    let expected = format!("is damaged or another object: its checksum is {SECOND}");
    assert!(error.ends_with(&expected), "{error}");
}

#[test]
fn a_symlink_leads_to_no_other_object() {
    let unpacked = Unpacked::new("archive");
    let object = unpacked.object(FIRST, "commit");
    fs::rename(&object, unpacked.path.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(unpacked.path.join("elsewhere"), &object).unwrap();
    let error = read_error(&unpacked);
    assert!(error.contains("cannot open"), "{error}");
}

#[test]
fn a_file_that_unpacks_to_more_than_it_says_is_not_read_on() {
    // The header says so many bytes, and what is compressed has more: nothing is kept of them.
    let unpacked = Unpacked::new("archive");
    for object in objects(&unpacked, "filez") {
        let mut bytes = fs::read(&object).unwrap();
        let size: [u8; 8] = bytes[8..16].try_into().unwrap();
        let size = u64::from_be_bytes(size);
        if size > 1 {
            bytes[8..16].copy_from_slice(&(size - 1).to_be_bytes());
            fs::write(&object, bytes).unwrap();
        }
    }
    let error = read_error(&unpacked);
    assert!(error.contains("it has more than its "), "{error}");
}

#[test]
fn the_bytes_of_an_archived_file_give_its_name() {
    let unpacked = Unpacked::new("archive");
    for object in objects(&unpacked, "filez") {
        let bytes = fs::read(&object).unwrap();
        let checksum = archived_checksum(&bytes).unwrap();
        assert_eq!(object, unpacked.object(&checksum.to_string(), "filez"));
        assert!(archived_checksum(&bytes[..bytes.len() - 1]).is_err(), "{}", object.display());
    }
}
