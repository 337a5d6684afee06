//! Attacks on names and attributes: the image.
//!
//! The attacker writes an image of the tree as they would like it, enables fs-verity on it, and puts it
//! where the store has the right one.

use std::fs;

use treeseal_erofs::{
    Image, ImageError, ImageWriter, Index, VersionChoice, WalkOptions, write_dump,
};
use treeseal_tree::dump::{DumpParser, Strictness};
use treeseal_verity::{Digester, Params};

use super::Attack;
use super::objects::{overwrite_own_copy, replace_without_end};
use super::victim::{Victim, config_of, forged_config, link_over, replace_with_verity};

const ADDED_FILE: &str = "added file";
const CHANGED_ATTRIBUTES: &str = "changed mode, owner, setuid, xattr, time";
const OTHER_NAME: &str = "hard link or copy under another name";
const MALFORMED: &str = "malformed image";
const CHANGED_BLOCK: &str = "changed block";

/// Fields of a line of a dump.
const MODE: usize = 2;
const OWNER: usize = 4;
const TIME: usize = 7;
const PAYLOAD: usize = 8;
const DIGEST: usize = 10;
const XATTR: usize = 11;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        threat: CHANGED_BLOCK,
        way: "the image names other content, which is in the store",
        carry_out: |victim| {
            let object = victim.object(&forged_config());
            fs::create_dir_all(object.parent().unwrap()).unwrap();
            replace_with_verity(&object, &forged_config());
            name_content(victim, &forged_config());
        },
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "a block of the image is overwritten on the disk",
        carry_out: |victim| {
            let image = fs::read(victim.image(2)).unwrap();
            overwrite_own_copy(victim, &victim.image(2), &image, 1200);
        },
    },
    Attack {
        threat: "one old file back",
        way: "the image names the content of the release before",
        carry_out: |victim| name_content(victim, &config_of(1)),
    },
    Attack {
        threat: ADDED_FILE,
        way: "the image has one more",
        carry_out: |victim| change_image(victim, |tree| tree.copy("/etc/config", "/etc/added")),
    },
    Attack {
        threat: "deleted file",
        way: "the image has one less",
        carry_out: |victim| change_image(victim, |tree| tree.remove("/etc/config")),
    },
    Attack {
        threat: CHANGED_ATTRIBUTES,
        way: "the mode, in the image",
        carry_out: |victim| change_field(victim, "/etc/shadow", MODE, "100666"),
    },
    Attack {
        threat: CHANGED_ATTRIBUTES,
        way: "the owner, in the image",
        carry_out: |victim| change_field(victim, "/etc/shadow", OWNER, "1000"),
    },
    Attack {
        threat: CHANGED_ATTRIBUTES,
        way: "setuid, in the image",
        carry_out: |victim| change_field(victim, "/bin/large", MODE, "104755"),
    },
    Attack {
        threat: CHANGED_ATTRIBUTES,
        way: "an extended attribute, in the image",
        carry_out: |victim| change_field(victim, "/bin/large", XATTR, "user.origin=evil"),
    },
    Attack {
        threat: CHANGED_ATTRIBUTES,
        way: "the time, in the image",
        carry_out: |victim| change_field(victim, "/etc/config", TIME, "1.0"),
    },
    Attack {
        threat: OTHER_NAME,
        way: "a hard link, in the image",
        carry_out: |victim| change_image(victim, |tree| tree.link("/bin/su", "/tmp/su")),
    },
    Attack {
        threat: OTHER_NAME,
        way: "a copy, in the image",
        carry_out: |victim| change_image(victim, |tree| tree.copy("/bin/su", "/tmp/su")),
    },
    Attack {
        threat: "mixed releases",
        way: "the image of the release before under the name of its successor",
        carry_out: |victim| link_over(&victim.image(1), &victim.image(2)),
    },
    Attack {
        threat: "filesystem without fs-verity",
        way: "the image says of a file that it needs none",
        carry_out: |victim| change_field(victim, "/etc/config", DIGEST, "-"),
    },
    Attack {
        threat: MALFORMED,
        way: "zeros",
        carry_out: |victim| replace_with_verity(&victim.image(2), &[0; 8192]),
    },
    Attack {
        threat: MALFORMED,
        way: "its first half",
        carry_out: |victim| {
            let image = fs::read(victim.image(2)).unwrap();
            replace_with_verity(&victim.image(2), &image[..image.len() / 2]);
        },
    },
    Attack {
        threat: MALFORMED,
        way: "inodes beyond its end",
        carry_out: |victim| {
            let mut image = fs::read(victim.image(2)).unwrap();
            // The superblock's number of the root directory's inode.
            image[1024 + 14..][..2].copy_from_slice(&[0xff; 2]);
            replace_with_verity(&victim.image(2), &image);
        },
    },
    Attack {
        threat: MALFORMED,
        way: "the size of a disk, and no content",
        carry_out: |victim| replace_without_end(&victim.image(2)),
    },
];

/// Has the image say that the file that differs between releases has this content.
fn name_content(victim: &Victim, content: &[u8]) {
    let digest = Digester::digest_of(&Params::default(), content);
    change_image(victim, |tree| {
        let fields = tree.fields("/etc/config");
        fields[PAYLOAD] = digest.object_path();
        fields[DIGEST] = digest.to_hex();
    });
}

fn change_field(victim: &Victim, path: &str, field: usize, value: &str) {
    change_image(victim, |tree| value.clone_into(&mut tree.fields(path)[field]));
}

fn change_image(victim: &Victim, change: impl FnOnce(&mut Lines)) {
    let path = victim.image(2);
    let image = fs::read(&path).unwrap();
    let parsed = Image::parse(&image).unwrap();
    let version = VersionChoice::Fixed(parsed.version());
    let mut dump = Vec::new();
    let mut append = |piece: &[u8]| -> Result<(), ImageError> {
        dump.extend_from_slice(piece);
        Ok(())
    };
    write_dump(&Index::new(parsed).unwrap(), &WalkOptions::default(), &mut append).unwrap();
    let mut lines = Lines::parse(&String::from_utf8(dump).unwrap());
    change(&mut lines);
    let tree = DumpParser::parse(lines.to_text().as_bytes(), Strictness::Strict).unwrap();
    replace_with_verity(&path, &ImageWriter::new(&tree, version).unwrap().to_bytes());
}

/// The lines of a dump, in fields.
struct Lines(Vec<Vec<String>>);

impl Lines {
    fn parse(dump: &str) -> Self {
        Self(dump.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect())
    }

    fn to_text(&self) -> String {
        self.0.iter().map(|fields| fields.join(" ") + "\n").collect()
    }

    fn fields(&mut self, path: &str) -> &mut Vec<String> {
        self.0.iter_mut().find(|fields| fields[0] == path).unwrap()
    }

    fn remove(&mut self, path: &str) {
        self.0.retain(|fields| fields[0] != path);
    }

    fn copy(&mut self, from: &str, to: &str) {
        let mut fields = self.fields(from).clone();
        to.clone_into(&mut fields[0]);
        self.0.push(fields);
    }

    fn link(&mut self, target: &str, name: &str) {
        self.copy(target, name);
        let fields = self.fields(name);
        fields[MODE].insert(0, '@');
        target.clone_into(&mut fields[PAYLOAD]);
    }
}
