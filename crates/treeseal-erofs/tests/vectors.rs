//! Every scenario in `vectors/image`, which `reference/image_vectors.py` wrote.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_testkit::{
    IMAGE_SCENARIOS, Vector, load_vectors, refusal_class, repository, sha256_hex,
};
use treeseal_tree::Tree;
use treeseal_tree::dump::{DumpParser, Strictness};
use treeseal_verity::Params;

#[test]
fn dumps_lead_to_the_images_and_refusals_of_the_vectors() {
    let mut failures = Vec::new();
    for vector in load_vectors("image", IMAGE_SCENARIOS) {
        let strictness =
            if vector.flag("strict") { Strictness::Strict } else { Strictness::Lenient };
        let expected = vector.text("expect");
        match DumpParser::parse(&vector.dump(), strictness) {
            Ok(tree) if expected == "image" => failures.extend(differences(&vector, &tree)),
            Err(error) if expected == refusal_class(&error) => {}
            Ok(_) => failures.push(format!("{}: read, expected {expected}", vector.name)),
            Err(error) => failures.push(format!("{}: {error}, expected {expected}", vector.name)),
        }
    }
    assert_eq!(failures, Vec::<String>::new());
}

#[test]
fn the_worked_example_stands_in_the_specification() {
    let vectors = load_vectors("image", IMAGE_SCENARIOS);
    let smallest = vectors.iter().find(|vector| vector.name == "smallest").unwrap();
    let document = std::fs::read_to_string(repository().join("spec/image.md")).unwrap();
    for version in ["0", "1"] {
        for field in ["sha256", "fsverity-sha256-4096"] {
            let digest = smallest.value["images"][version][field].as_str().unwrap();
            assert!(document.contains(digest), "{field} of version {version}");
        }
    }
}

/// Where the images of a tree are not those of its vector.
fn differences(vector: &Vector, tree: &Tree) -> Vec<String> {
    let automatic = ImageWriter::new(tree, VersionChoice::Auto).unwrap();
    let expected_version = u32::try_from(vector.number("auto")).unwrap();
    let mut found = Vec::new();
    if automatic.version().number() != expected_version {
        found.push(format!("{}: version {:?}", vector.name, automatic.version()));
    }
    for version in [FormatVersion::V0, FormatVersion::V1] {
        let writer = ImageWriter::new(tree, VersionChoice::Fixed(version)).unwrap();
        let image = writer.to_bytes();
        let expected = &vector.value["images"][version.number().to_string()];
        let is_equal = sha256_hex(&image) == expected["sha256"]
            && writer.digest(Params::default()).to_hex() == expected["fsverity-sha256-4096"]
            && expected["size"] == image.len()
            && expected["size"] == writer.size();
        if !is_equal {
            found.push(format!("{}: other bytes in version {}", vector.name, version.number()));
        }
        if version == automatic.version() && automatic.to_bytes() != image {
            found.push(format!("{}: the automatic version has other bytes", vector.name));
        }
    }
    found
}
