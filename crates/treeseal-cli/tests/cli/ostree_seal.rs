//! Sealed commits: `seal --from ostree`, `ostree embed`, and `ostree verify --stream`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal::source::ostree::DetachedMetadata;
use treeseal_testkit::{peer, program};

use crate::ostree::{FIRST, REF, SECOND, change_last_byte, machine, metadata, object};
use crate::support::{Machine, Run, assert_unchanged, snapshot};

pub(crate) const STREAM: &str = "acme/os/x86_64/stable";

/// The keys under which seal and roots lie beside a commit.
const STATEMENT: &str = "treeseal.statement";
const ROOTS: &str = "treeseal.roots";

/// The rule by which alice seals all streams of acme.
pub(crate) const ONE_SEALER: &str = "--root-key alice.pub --seal-key alice.pub --stream acme/*";

/// A machine with the repository of the vectors, and a pinned root with these sealers.
pub(crate) fn sealer(options: &str) -> Machine {
    let machine = machine();
    machine.keys(&["alice", "bob"]);
    machine.pinned_root(options, &["alice"]);
    machine
}

/// Runs `treeseal` with the store of the repository.
pub(crate) fn does(machine: &Machine, words: &str) -> Run {
    let mut command = machine.command_of(words);
    Run::of(command.env_remove("TREESEAL_STORE"))
}

#[track_caller]
fn seal(machine: &Machine, name: &str, rest: &str) -> Run {
    let words = format!("seal --from ostree archive {name} --stream {STREAM} --key alice.pem");
    does(machine, &format!("{words} {rest}")).ok()
}

fn put_metadata(machine: &Machine, checksum: &str, metadata: &DetachedMetadata) {
    fs::write(object(machine, checksum, "commitmeta"), metadata.to_bytes()).unwrap();
}

/// The seal beside a commit.
fn embedded(machine: &Machine, checksum: &str) -> Vec<u8> {
    metadata(machine, checksum).bytes(STATEMENT).unwrap().unwrap().to_vec()
}

/// Puts another seal beside a commit.
fn embed(machine: &Machine, checksum: &str, envelope: &[u8]) {
    let mut metadata = metadata(machine, checksum);
    metadata.set_bytes(STATEMENT, envelope);
    put_metadata(machine, checksum, &metadata);
}

/// Verifies with a memory of its own, as a machine does that sees the repository for the first time.
fn verify_afresh(machine: &Machine, name: &str) -> Run {
    let state = machine.path("other-state");
    let _ = fs::remove_dir_all(&state);
    does(machine, &format!("ostree verify archive {name} --stream {STREAM} --state other-state"))
}

/// Takes the seal from beside a commit that lies in the repository's store as well.
fn remove_store(machine: &Machine) {
    fs::remove_dir_all(machine.path("archive/extensions")).unwrap();
}

#[test]
fn a_sealed_commit_is_verified_by_its_seal() {
    let machine = sealer(ONE_SEALER);
    let text = seal(&machine, REF, "").text();
    assert!(text.starts_with(&format!("sealed {STREAM} sequence 1: ")), "{text}");
    let text =
        verify_afresh(&machine, REF).ok().says("nothing was remembered of earlier seals in").text();
    assert!(text.starts_with(&format!("verified commit {SECOND}\n")), "{text}");
    let sealed =
        format!("  sealed     {STREAM} sequence 1, sequence 1 in the repository's store\n");
    assert!(text.contains(&sealed), "{text}");
    // OSTree's signatures were not asked for, and are shown by nobody.
    assert!(!text.contains("signed by"), "{text}");
    let json = machine.json(&format!("ostree verify archive {REF} --stream {STREAM}"));
    assert_eq!(json["seal"]["sequence"], 1);
    assert_eq!(json["seal"]["place"], "store");
}

#[test]
fn keys_that_are_named_must_have_signed_as_well() {
    let machine = sealer(ONE_SEALER);
    let wanted = |keys: &str| {
        does(&machine, &format!("ostree verify archive {REF} --stream {STREAM} {keys}"))
    };
    wanted("--key good.pub").expect_code(1).says("has no seal of the stream");
    seal(&machine, REF, "");
    wanted("--key good.pub").ok();
    wanted("--key wrong.pub").expect_code(1).says(&format!("commit {SECOND} is not accepted\n"));
}

#[test]
fn the_image_that_is_sealed_is_the_one_that_the_commit_states() {
    let machine = sealer(ONE_SEALER);
    let json = does(
        &machine,
        &format!("seal --from ostree archive {FIRST} --stream {STREAM} --key alice.pem --json"),
    );
    let json: serde_json::Value = serde_json::from_slice(&json.ok().stdout).unwrap();
    let stated = fs::read(machine.path("stable-1.0.cfs")).unwrap();
    let stated =
        treeseal::verity::Digester::digest_of(&treeseal::verity::Params::default(), &stated);
    assert_eq!(json["images"][0]["fsverity"], serde_json::json!([stated.to_string()]));
    assert_eq!(json["images"].as_array().unwrap().len(), 1);
    let store = machine.path("archive/extensions/treeseal");
    let image = store.join("images").join(stated.object_path());
    assert_eq!(fs::read(image).unwrap(), fs::read(machine.path("stable-1.0.cfs")).unwrap());
}

#[test]
fn an_embedded_seal_needs_no_store_and_leaves_signatures_as_they_are() {
    let machine = sealer(ONE_SEALER);
    let before = metadata(&machine, SECOND);
    seal(&machine, REF, "--embed");
    remove_store(&machine);
    let text = verify_afresh(&machine, REF).ok().text();
    assert!(text.contains(&format!("{STREAM} sequence 1, beside the commit\n")), "{text}");
    let after = metadata(&machine, SECOND);
    let signatures = "ostree.sign.ed25519";
    assert_eq!(before.list(signatures), after.list(signatures));
    does(&machine, &format!("ostree verify archive {REF} --key good.pub")).ok();
}

#[test]
fn a_seal_that_was_signed_elsewhere_is_put_beside_its_commit() {
    let machine = sealer(
        "--root-key alice.pub --seal-key alice.pub --seal-key bob.pub --seal-threshold 2 --stream acme/*",
    );
    let store = "--store archive/extensions/treeseal";
    let prepared =
        format!("seal --from ostree archive {REF} --stream {STREAM} --unsigned seal.json");
    does(&machine, &prepared).ok();
    let embed = format!("ostree embed archive {REF} --stream {STREAM}");
    does(&machine, &embed).expect_code(1).says("none is beside it or in the repository's store");
    machine.does("sign seal.json --key alice.pem").ok();
    machine.does(&format!("submit seal.json {store}")).expect_code(1);
    machine.does("sign seal.json --key bob.pem").ok();
    machine.does(&format!("submit seal.json {store}")).ok();
    let text = does(&machine, &embed).ok().text();
    assert_eq!(text, format!("{STREAM} sequence 1 is beside commit {SECOND}\n"));
    remove_store(&machine);
    verify_afresh(&machine, REF).ok();
}

/// Replaces the owner's release key, bob, by carol.
fn rotate(machine: &Machine) {
    machine.keys(&["carol"]);
    machine.does("root add-key next.json targets carol.pub").ok();
    machine.does("root remove-key next.json bob").ok();
    machine.does("root sign next.json --key alice.pem").ok();
    machine.does("submit next.json --store archive/extensions/treeseal").ok();
}

#[test]
fn a_seal_of_another_commit_is_refused() {
    let machine = sealer(ONE_SEALER);
    seal(&machine, FIRST, "--embed");
    seal(&machine, SECOND, "--embed");
    remove_store(&machine);
    embed(&machine, SECOND, &embedded(&machine, FIRST));
    verify_afresh(&machine, SECOND)
        .expect_code(1)
        .says(&format!("error: commit {SECOND} has no seal of the stream `{STREAM}`"))
        .says("beside the commit: it seals another image: ");
}

#[test]
fn a_changed_seal_is_refused() {
    let machine = sealer(ONE_SEALER);
    seal(&machine, REF, "--embed");
    remove_store(&machine);
    let envelope = String::from_utf8(embedded(&machine, SECOND)).unwrap();
    // One character of the signature.
    let place = envelope.find("\"sig\":\"").unwrap() + 10;
    let other = if &envelope[place..=place] == "A" { "B" } else { "A" };
    let changed = [&envelope[..place], other, &envelope[place + 1..]].concat();
    embed(&machine, SECOND, changed.as_bytes());
    verify_afresh(&machine, REF)
        .expect_code(1)
        .says("beside the commit: the seal is not trusted: 0");
    embed(&machine, SECOND, &envelope.as_bytes()[..envelope.len() - 1]);
    verify_afresh(&machine, REF).expect_code(1).says("beside the commit: ");
    embed(&machine, SECOND, envelope.as_bytes());
    verify_afresh(&machine, REF).ok();
}

#[test]
fn a_seal_of_another_stream_is_refused() {
    let machine = sealer(ONE_SEALER);
    let other = "acme/os/x86_64/testing";
    let words =
        format!("seal --from ostree archive {REF} --stream {other} --key alice.pem --embed");
    does(&machine, &words).ok();
    verify_afresh(&machine, REF)
        .expect_code(1)
        .says(&format!("the seal is for the stream `{other}`, expected `{STREAM}`"));
}

#[test]
fn an_older_commit_is_refused_once_a_newer_seal_was_accepted() {
    let machine = sealer(ONE_SEALER);
    seal(&machine, FIRST, "--embed");
    seal(&machine, SECOND, "--embed");
    let fresh = verify_afresh(&machine, FIRST).ok();
    assert!(fresh.text().contains(" sequence 1, beside the commit\n"));
    let seen = |name: &str| {
        let words = format!("ostree verify archive {name} --stream {STREAM} --state other-state");
        does(&machine, &words)
    };
    seen(SECOND).ok();
    seen(FIRST)
        .expect_code(1)
        .says("the seal has sequence 1, but 2 was accepted before: it is an older tree");
}

#[test]
fn a_key_that_was_replaced_counts_for_nothing_where_the_new_root_is_seen() {
    let machine = sealer("--root-key alice.pub --seal-key bob.pub --stream acme/*");
    let seal_by = |name: &str, key: &str| {
        let words =
            format!("seal --from ostree archive {name} --stream {STREAM} --embed --key {key}");
        does(&machine, &words).ok();
    };
    seal_by(FIRST, "bob.pem");
    rotate(&machine);
    seal_by(SECOND, "carol.pem");
    remove_store(&machine);
    let words =
        |name: &str| format!("ostree verify archive {name} --stream {STREAM} --state third-state");
    // Who has never seen the new root is shown the old one alone, and cannot know of it.
    does(&machine, &words(FIRST)).ok();
    does(&machine, &words(SECOND)).ok();
    does(&machine, &words(FIRST))
        .expect_code(1)
        .says("the trust root has version 1, but version 2");
    let mut with_roots = metadata(&machine, FIRST);
    with_roots.set_list(ROOTS, &metadata(&machine, SECOND).list(ROOTS).unwrap());
    put_metadata(&machine, FIRST, &with_roots);
    verify_afresh(&machine, FIRST).expect_code(1).says("the seal is not trusted: 0 of the role");
}

#[test]
fn a_seal_under_the_threshold_is_refused() {
    let two = "--root-key alice.pub --seal-key alice.pub --seal-key bob.pub --seal-threshold 2 \
               --stream acme/*";
    let machine = sealer(two);
    let unsigned =
        format!("seal --from ostree archive {REF} --stream {STREAM} --unsigned seal.json");
    does(&machine, &unsigned).ok();
    machine.does("sign seal.json --key bob.pem").ok();
    embed(&machine, SECOND, &fs::read(machine.path("seal.json")).unwrap());
    verify_afresh(&machine, REF).expect_code(1).says("the seal is not trusted: 1 of the role");
    let alone =
        format!("seal --from ostree archive {REF} --stream {STREAM} --key alice.pem --embed");
    does(&machine, &alone).expect_code(1).says("so it was not stored");
}

#[test]
fn a_commit_is_sealed_in_one_format_and_by_a_name_that_is_given() {
    let machine = sealer(ONE_SEALER);
    let refused = |words: &str, message: &str| {
        does(&machine, &format!("seal {words} --key alice.pem")).expect_code(2).says(message);
    };
    let commit = format!("--from ostree archive {REF}");
    refused(
        &format!("{commit} --stream {STREAM} --format-version 1"),
        "format version 0 and no other",
    );
    refused(&commit, "--stream");
    refused(&format!("--from ostree archive --stream {STREAM}"), "<REF>");
    refused(&format!("archive {REF}"), "give --from ostree to seal a commit");
    refused("archive --embed", "give --from ostree and a REF");
    let wrong = format!("--from ostree archive no/such --stream {STREAM}");
    refused(&wrong, "has no ref `no/such`");
}

#[test]
fn a_damaged_commit_is_not_sealed() {
    let machine = sealer(ONE_SEALER);
    let store = machine.path("archive/extensions/treeseal/seals/acme");
    change_last_byte(&object(&machine, SECOND, "commit"));
    let words = format!("seal --from ostree archive {REF} --stream {STREAM} --key alice.pem");
    does(&machine, &words).expect_code(1).says("is damaged or another object");
    assert!(!store.exists());
}

#[test]
fn the_store_of_a_repository_misses_and_removes_nothing() {
    let machine = sealer(ONE_SEALER);
    seal(&machine, FIRST, "");
    seal(&machine, SECOND, "");
    let store = "--store archive/extensions/treeseal";
    machine.does(&format!("store fsck {store}")).ok();
    let before = snapshot(&machine.path("archive"));
    machine.does(&format!("store gc {store}")).ok();
    assert_unchanged(&before, &snapshot(&machine.path("archive")));
    let text = machine.does(&format!("verify {STREAM} {store}")).ok().text();
    assert!(text.contains("the image; its files lie in an OSTree repository: `"), "{text}");
    machine.does(&format!("ls {STREAM} {store}")).ok();
}

#[test]
fn what_would_read_the_files_says_where_they_are() {
    let machine = sealer(ONE_SEALER);
    seal(&machine, REF, "");
    let store = "--store archive/extensions/treeseal";
    for words in [
        format!("verify {STREAM} --deep"),
        format!("cat {STREAM} /usr/share/sizes/1"),
        format!("extract {STREAM} copy --unprivileged"),
        format!("mount {STREAM} archive"),
    ] {
        machine
            .does(&format!("{words} {store}"))
            .expect_code(2)
            .says(&format!("error: the files of `{STREAM}` are those of a commit of OSTree"))
            .says(&format!("hint: `treeseal ostree verify REPO REF --stream {STREAM}`"));
    }
    assert!(!machine.path("copy").exists());
}

/// Debian's `ostree`, and a newer one that makes images.
fn programs() -> [PathBuf; 2] {
    [program("ostree", "ostree"), peer("ostree")]
}

fn ostree(program: &Path, machine: &Machine, words: &str) -> Run {
    let mut command = Command::new(program);
    Run::of(command.args(words.split_whitespace()).current_dir(machine.home.path())).ok()
}

#[test]
fn seal_and_roots_are_pulled_with_the_commit() {
    for program in programs() {
        let machine = sealer("--root-key alice.pub --seal-key bob.pub --stream acme/*");
        rotate(&machine);
        let words = format!("seal --from ostree archive {REF} --stream {STREAM} --embed");
        does(&machine, &format!("{words} --key carol.pem")).ok();
        let from = machine.path("archive");
        ostree(&program, &machine, "init --repo=client --mode=bare-user");
        let add =
            format!("remote add --repo=client --no-gpg-verify acme file://{}", from.display());
        ostree(&program, &machine, &add);
        ostree(&program, &machine, &format!("pull --repo=client acme {REF}"));
        assert!(!machine.path("client/extensions/treeseal").exists());
        let show =
            format!("show --repo=client --print-detached-metadata-key={STATEMENT} acme:{REF}");
        let text = ostree(&program, &machine, &show).text();
        assert!(text.starts_with("[byte 0x7b, "), "{text}");
        let words =
            format!("ostree verify client acme:{REF} --stream {STREAM} --state other-state");
        let text = does(&machine, &words).ok().text();
        assert!(text.contains(&format!("{STREAM} sequence 1, beside the commit\n")), "{text}");
        assert!(text.contains("  root       version 2, "), "{text}");
    }
}

#[test]
fn what_others_keep_beside_a_commit_stays() {
    let machine = sealer(ONE_SEALER);
    let tree = machine.sample_tree();
    let [program, _] = programs();
    ostree(&program, &machine, "init --repo=mine --mode=bare-user");
    let commit = "commit --repo=mine --branch=my/branch --subject=one --add-detached-metadata-string=note=hello";
    ostree(&program, &machine, &format!("{commit} {}", tree.display()));
    let words =
        format!("seal --from ostree mine my/branch --stream {STREAM} --key alice.pem --embed");
    does(&machine, &words).ok();
    machine.does("ostree sign mine my/branch --key alice.pem").ok();
    let note = "show --repo=mine --print-detached-metadata-key=note my/branch";
    assert_eq!(ostree(&program, &machine, note).text(), "'hello'\n");
    let wanted = format!("ostree verify mine my/branch --stream {STREAM} --key alice.pub");
    does(&machine, &wanted).ok();
    // A second seal takes the place of the first, and of nothing else.
    does(&machine, &words).ok();
    let text = does(&machine, &wanted).ok().text();
    assert!(text.contains(&format!("{STREAM} sequence 2, beside the commit\n")), "{text}");
    assert_eq!(ostree(&program, &machine, note).text(), "'hello'\n");
}

#[test]
fn the_store_of_a_repository_says_which_commit_is_the_newest() {
    let machine = sealer(ONE_SEALER);
    seal(&machine, FIRST, "--embed");
    verify_afresh(&machine, FIRST).ok();
    seal(&machine, SECOND, "--embed");
    let store = "--store archive/extensions/treeseal";
    machine.does(&format!("freshen {STREAM} --key alice.pem {store}")).ok();
    verify_afresh(&machine, SECOND).ok();
    verify_afresh(&machine, FIRST)
        .expect_code(1)
        .says("says that 2 (")
        .says(") is current: a newer seal is kept back");
}
