//! Which trees are started: never one that is refused, never for ever, and the same after a power cut.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use treeseal_store::Store;
use treeseal_sys::{DurableOptions, StepHook};
use treeseal_testkit::{CrashingDisk, Loss};
use treeseal_trust::{
    Clock, Envelope, Extension, FreshStatement, FreshnessRule, Image, ImageDigests, ImageFormat,
    Objects, RootContent, RootFile, Sequence, Sha256Digest, SigningKey, Statement, Stream,
    StreamRule, TufKey, sign_statement,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

use super::*;
use crate::Error;

const STREAM: &str = "acme/os/x86_64/stable";
const TRIES: u32 = 3;

const ROOT_KEY: u8 = 1;
const RELEASE_KEY: u8 = 2;
const STRANGER: u8 = 3;
const TIME_KEY: u8 = 4;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn stream() -> Stream {
    STREAM.parse().unwrap()
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

/// A statement whose content the `edition` tells from others of its sequence.
fn statement(number: u64, edition: &str) -> Statement {
    let sha256 = Sha256Digest::of(format!("{number} {edition}").as_bytes());
    let digests = ImageDigests {
        sha256,
        fsverity_sha256: FileDigest::from_bytes(HashAlgorithm::Sha256, sha256.as_bytes()),
        fsverity_sha512: None,
    };
    let format = ImageFormat::ComposefsV0;
    Statement {
        stream: stream(),
        images: vec![Image { digests, format, size: 8192, objects: HashAlgorithm::Sha256 }],
        sequence: sequence(number),
        created: "2026-05-01T12:00:00Z".parse().unwrap(),
        not_after: None,
        objects: Objects { count: 1, bytes: 100 },
        sources: Vec::new(),
        previous: None,
    }
}

fn envelope(statement: &Statement, signer: u8) -> Vec<u8> {
    sign_statement(statement, &[&key(signer)]).unwrap().to_bytes()
}

/// The root of the machine's owner; `change` changes it before it is signed.
fn root_content(version: u64) -> RootContent {
    let public = |seed| TufKey::new(key(seed).public_key().clone());
    let expires = "2030-01-01T00:00:00Z".parse().unwrap();
    let (root, targets) = ([public(ROOT_KEY)], [public(RELEASE_KEY)]);
    let mut content =
        RootContent::new(expires, (NonZeroU32::MIN, &root), (NonZeroU32::MIN, &targets));
    content.set_role("timestamp".parse().unwrap(), NonZeroU32::MIN, &[public(TIME_KEY)]);
    content.version = version;
    let roles = vec!["targets".parse().unwrap()];
    let rule = StreamRule { roles, min_sequence: Sequence::FIRST, freshness: None };
    let extension = content.extension.get_or_insert_with(Extension::default);
    extension.streams.insert(STREAM.parse().unwrap(), rule);
    content
}

fn root_bytes(content: RootContent) -> Vec<u8> {
    let mut root = RootFile::new(content).unwrap();
    root.sign(&key(ROOT_KEY)).unwrap();
    root.to_bytes()
}

/// A machine: its disk, what is in its initramfs, and what is handed over.
struct Machine {
    home: tempfile::TempDir,
    store: Store,
    config: Config,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::create_or_open(&home.path().join("store")).unwrap();
        fs::write(home.path().join("root.json"), root_bytes(root_content(1))).unwrap();
        fs::create_dir(home.path().join("disk")).unwrap();
        let config = format!(
            r#"{{"_type": "treeseal:boot/v1", "stream": "{STREAM}", "tries": {TRIES},
            "store": {{"device": "/dev/vda", "filesystem": "ext4", "directory": "store"}},
            "state": {{"directory": "treeseal/boot"}}}}"#
        );
        Self { home, store, config: Config::from_bytes(config.as_bytes()).unwrap() }
    }

    fn with(sequences: impl IntoIterator<Item = u64>) -> Self {
        let machine = Self::new();
        sequences.into_iter().for_each(|number| machine.publish(number));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn publish(&self, number: u64) {
        self.put(number, &envelope(&statement(number, ""), RELEASE_KEY));
    }

    /// Puts a seal where the store has the one of this number.
    fn put(&self, number: u64, envelope: &[u8]) {
        let path = self.path("store/seals").join(STREAM).join(format!("@{number}.seal.json"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, envelope).unwrap();
    }

    fn remove(&self, number: u64) {
        fs::remove_file(self.path("store/seals").join(STREAM).join(format!("@{number}.seal.json")))
            .unwrap();
    }

    fn state(&self) -> BootState {
        self.state_with(DurableOptions::default()).unwrap()
    }

    fn state_with(&self, options: DurableOptions) -> Result<BootState, Error> {
        BootState::open_with(&self.path("disk"), &self.config.state_directory, options)
    }

    fn criteria(&self, command_line: &str) -> Criteria<'_> {
        let command_line = CommandLine::parse(command_line.as_bytes()).unwrap();
        Criteria { clock: Clock::Unknown, ..Criteria::new(&self.config, command_line).unwrap() }
    }

    fn select(&self, state: &BootState, criteria: &Criteria<'_>) -> Result<Selection, Error> {
        select(&self.store, &self.path("root.json"), state, criteria)
    }

    /// Boots, and gives the sequence that was started. `mounts` says what can be mounted.
    fn boot_if(
        &self,
        command_line: &str,
        mounts: impl Fn(u64) -> bool,
    ) -> Result<u64, Vec<String>> {
        let mut state = self.state();
        let selection = match self.select(&state, &self.criteria(command_line)) {
            Ok(selection) => selection,
            Err(error) => return Err(vec![crate::causes(&error).join(": ")]),
        };
        let started = selection.start(&mut state, |candidate| {
            if mounts(candidate.statement.sequence.number()) { Ok(()) } else { Err(Error::NoTpm) }
        });
        let attempt = started
            .map_err(|refused| refused.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let disk = self.path("disk");
        let places = ("/store", disk.to_str().unwrap());
        let handover = Handover::new(&attempt, &self.config, "kernel", places);
        handover.write(&self.path("run")).unwrap();
        assert_eq!(Handover::read(&self.path("run")).unwrap(), handover);
        Ok(attempt.candidate.statement.sequence.number())
    }

    fn boot(&self) -> Result<u64, Vec<String>> {
        self.boot_if("", |_| true)
    }

    fn mark_good(&self) -> Status {
        mark_good(&self.path("run")).unwrap()
    }

    #[track_caller]
    fn refuses(&self, expected: &str) {
        let refused = self.boot().unwrap_err().join("\n");
        assert!(refused.contains(expected), "expected `{expected}`, found `{refused}`");
    }
}

#[test]
fn the_newest_tree_is_started_whatever_the_store_points_to() {
    let machine = Machine::with([7, 8, 9]);
    machine.store.writer().unwrap().set_current(&stream(), sequence(7)).unwrap();
    assert_eq!(machine.boot(), Ok(9));
}

#[test]
fn a_tree_that_is_never_marked_good_is_tried_and_then_the_one_before_it() {
    let machine = Machine::with([7]);
    assert_eq!(machine.boot(), Ok(7));
    machine.mark_good();
    machine.publish(8);
    machine.publish(9);
    let started: Vec<_> = (0..9).map(|_| machine.boot().unwrap()).collect();
    assert_eq!(started, [9, 9, 9, 8, 8, 8, 7, 7, 7]);
    let status = status(&machine.path("run")).unwrap();
    assert!(status.is_good);
    assert_eq!(status.attempts.all().collect::<Vec<_>>(), [(sequence(9), 3), (sequence(8), 3)]);
}

#[test]
fn a_tree_that_was_marked_good_is_not_counted_and_nothing_before_it_is_started() {
    let machine = Machine::with([7, 8]);
    assert_eq!(machine.boot(), Ok(8));
    let status = machine.mark_good();
    assert!(status.is_good);
    assert_eq!(status.floor.unwrap().sequence, sequence(8));
    for _ in 0..2 * TRIES {
        assert_eq!(machine.boot(), Ok(8));
    }
    machine.remove(8);
    machine.refuses(
        "the store has no seal for the stream `acme/os/x86_64/stable` with sequence 8 or later",
    );
    let refused = machine.boot_if("treeseal.sequence=7", |_| true).unwrap_err();
    assert!(refused[0].contains("has sequence 7, but 8 was accepted before"), "{refused:?}");
}

#[test]
fn looking_at_a_newer_tree_without_marking_it_good_raises_nothing() {
    let machine = Machine::with([7]);
    machine.boot().unwrap();
    machine.mark_good();
    machine.publish(8);
    assert_eq!(machine.boot(), Ok(8));
    assert_eq!(machine.state().floors().floor(&stream()).unwrap().sequence, sequence(7));
    assert!(!status(&machine.path("run")).unwrap().is_good);
    machine.remove(8);
    assert_eq!(machine.boot(), Ok(7));
}

#[test]
fn the_only_tree_is_tried_for_ever_because_there_is_none_to_go_back_to() {
    let machine = Machine::with([7]);
    for _ in 0..2 * TRIES {
        assert_eq!(machine.boot(), Ok(7));
    }
    assert_eq!(machine.state().attempts().all().count(), 0);
}

#[test]
fn a_tree_that_cannot_be_mounted_costs_a_try_and_gives_way_to_the_one_before_it() {
    let machine = Machine::with([7, 8]);
    assert_eq!(machine.boot_if("", |number| number == 7), Ok(7));
    assert_eq!(machine.state().attempts().all().collect::<Vec<_>>(), [(sequence(8), 1)]);
    let refused = machine.boot_if("", |_| false).unwrap_err();
    assert_eq!(refused, ["sequence 8: no TPM is named", "sequence 7: no TPM is named"]);
}

#[test]
fn trees_out_of_tries_are_named_when_nothing_can_be_started() {
    let machine = Machine::with([7, 8]);
    for _ in 0..TRIES {
        machine.boot().unwrap();
    }
    let refused = machine.boot_if("", |_| false).unwrap_err();
    let expected = "sequence 8: tried 3 times and never marked good; 3 tries are allowed";
    assert_eq!(refused, [expected, "sequence 7: no TPM is named"]);
}

#[test]
fn seals_that_policy_refuses_are_passed_over_and_named() {
    let machine = Machine::with([7]);
    machine.put(8, &envelope(&statement(8, ""), STRANGER));
    machine.put(9, b"no seal");
    machine.put(10, &envelope(&statement(7, ""), RELEASE_KEY));
    assert_eq!(machine.boot(), Ok(7));
    machine.remove(7);
    let refused = machine.boot().unwrap_err();
    assert!(refused[0].contains("sequence 10: the store has the seal 7"), "{refused:?}");
    assert!(refused[1].starts_with("sequence 9: the seal 9 of the stream"), "{refused:?}");
    assert!(refused[2].contains("the seal is not trusted"), "{refused:?}");
    assert_eq!(refused.len(), 3);
}

#[test]
fn another_tree_with_the_sequence_that_was_marked_good_is_refused() {
    let machine = Machine::with([7]);
    machine.boot().unwrap();
    machine.mark_good();
    machine.put(7, &envelope(&statement(7, "another"), RELEASE_KEY));
    machine.refuses("another statement with sequence 7 was accepted before");
}

#[test]
fn another_tree_with_a_sequence_that_was_tried_has_tries_of_its_own() {
    let machine = Machine::with([7, 8]);
    for _ in 0..TRIES {
        machine.boot().unwrap();
    }
    machine.put(8, &envelope(&statement(8, "repaired"), RELEASE_KEY));
    assert_eq!(machine.boot(), Ok(8));
    assert_eq!(machine.state().attempts().all().collect::<Vec<_>>(), [(sequence(8), 1)]);
}

#[test]
fn the_command_line_names_a_tree_and_cannot_widen_what_is_accepted() {
    let machine = Machine::with([6, 7, 8]);
    assert_eq!(machine.boot_if("treeseal.sequence=7", |_| true), Ok(7));
    machine.mark_good();
    let refused = machine.boot_if("treeseal.sequence=6", |_| true).unwrap_err();
    assert!(refused[0].contains("sequence 6, but 7 was accepted before"), "{refused:?}");
    let refused = machine.boot_if("treeseal.sequence=9", |_| true).unwrap_err();
    assert!(refused[0].contains("sequence 9: "), "{refused:?}");
    machine.put(9, &envelope(&statement(9, ""), STRANGER));
    let refused = machine.boot_if("treeseal.sequence=9", |_| true).unwrap_err();
    assert!(refused[0].contains("not trusted"), "{refused:?}");
    for _ in 0..TRIES {
        assert_eq!(machine.boot_if("treeseal.sequence=8 treeseal.tries=99", |_| true), Ok(8));
    }
    let refused = machine.boot_if("treeseal.sequence=8 treeseal.tries=99", |_| true).unwrap_err();
    assert!(refused[0].contains("tried 3 times"), "{refused:?}");
}

#[test]
fn without_tries_only_the_tree_that_works_is_started() {
    let machine = Machine::with([7]);
    machine.boot().unwrap();
    machine.mark_good();
    machine.publish(8);
    assert_eq!(machine.boot_if("treeseal.tries=0", |_| true), Ok(7));
    assert_eq!(machine.boot(), Ok(8));
}

#[test]
fn the_floor_of_the_tpm_holds_where_the_state_is_gone() {
    let machine = Machine::with([7, 8]);
    let criteria = Criteria { floor: Some(sequence(8)), ..machine.criteria("") };
    let selected = machine.select(&machine.state(), &criteria).unwrap();
    let sequences: Vec<_> = selected.candidates.iter().map(|c| c.statement.sequence).collect();
    assert_eq!(sequences, [sequence(8)]);
    assert!(!selected.candidates[0].is_counted);
    let criteria = Criteria { floor: Some(sequence(9)), ..criteria };
    let error = machine.select(&machine.state(), &criteria).unwrap_err();
    assert!(matches!(error, Error::NothingToBoot { .. }), "{error}");
}

#[test]
fn the_root_of_the_store_is_followed_and_does_not_go_back() {
    let machine = Machine::with([7]);
    let mut next = root_content(2);
    next.extension
        .as_mut()
        .unwrap()
        .streams
        .get_mut(&STREAM.parse().unwrap())
        .unwrap()
        .min_sequence = sequence(8);
    let next = root_bytes(next);
    machine.store.writer().unwrap().put_root(2, &next).unwrap();
    machine.refuses("the trust root accepts 8 and later");
    machine.publish(8);
    assert_eq!(machine.boot(), Ok(8));
    assert_eq!(Handover::read(&machine.path("run")).unwrap().root, next);
    machine.mark_good();
    fs::remove_file(machine.path("store/roots/2.root.json")).unwrap();
    machine.refuses("the trust root has version 1, but version 2 was used before");
}

#[test]
fn a_freshness_statement_is_used_only_where_it_is_needed() {
    let machine = Machine::with([7]);
    machine.boot().unwrap();
    machine.mark_good();
    machine.publish(8);
    let fresh = FreshStatement {
        stream: stream(),
        sequence: sequence(8),
        payload: Sha256Digest::of(&statement(8, "").to_payload().unwrap()),
        created: "2026-05-01T12:00:00Z".parse().unwrap(),
        until: "2026-05-20T12:00:00Z".parse().unwrap(),
    };
    let mut fresh = Envelope::unsigned_freshness(&fresh).unwrap();
    fresh.sign(&key(TIME_KEY)).unwrap();
    let fresh = fresh.to_bytes();
    machine.store.writer().unwrap().put_freshness(&stream(), &fresh).unwrap();
    // The update fails: the tree before it is there, although something newer is current.
    assert_eq!(machine.boot_if("", |number| number == 7), Ok(7));
    // Whoever trusts the clock and demands freshness gets it.
    let mut root = root_content(1);
    let rule = FreshnessRule { role: "timestamp".parse().unwrap(), tolerance: 0 };
    root.extension.as_mut().unwrap().streams.get_mut(&STREAM.parse().unwrap()).unwrap().freshness =
        Some(rule);
    fs::write(machine.path("root.json"), root_bytes(root)).unwrap();
    let now = "2026-05-02T12:00:00Z".parse().unwrap();
    let criteria = Criteria { clock: Clock::Trusted(now), ..machine.criteria("") };
    let selected = machine.select(&machine.state(), &criteria).unwrap();
    assert_eq!(selected.candidates.len(), 1);
    assert_eq!(selected.candidates[0].statement.sequence, sequence(8));
    assert_eq!(selected.candidates[0].freshness.as_deref(), Some(&fresh[..]));
    assert!(selected.refused[0].to_string().contains("a newer seal is kept back"));
}

#[test]
fn of_too_many_seals_the_newest_and_the_oldest_are_looked_at() {
    let machine = Machine::with(1..=200);
    let selected = machine.select(&machine.state(), &machine.criteria("")).unwrap();
    let sequences: Vec<_> =
        selected.candidates.iter().map(|candidate| candidate.statement.sequence.number()).collect();
    let expected: Vec<_> = (138..=200).rev().chain([1]).collect();
    assert_eq!(sequences, expected);
    assert_eq!(machine.boot_if("treeseal.sequence=50", |_| true), Ok(50));
}

#[test]
fn damaged_state_stops_the_boot_and_missing_state_does_not() {
    let machine = Machine::with([7, 8]);
    machine.boot().unwrap();
    machine.mark_good();
    machine.publish(9);
    machine.boot().unwrap();
    let directory = machine.path("disk/treeseal/boot");
    for name in ["floors.json", "tries.json"] {
        let whole = fs::read(directory.join(name)).unwrap();
        let torn = &whole[..whole.len() / 2];
        let large = vec![b' '; 2 << 20];
        let forged = String::from_utf8(whole.clone()).unwrap().replace("\"_type\"", "\"type\"");
        for bytes in [b"".as_slice(), torn, &vec![0; whole.len()], &large, forged.as_bytes()] {
            fs::write(directory.join(name), bytes).unwrap();
            let error = machine.state_with(DurableOptions::default()).unwrap_err();
            let said = crate::causes(&error).join(": ");
            assert!(said.contains(name), "{said}");
            assert!(!matches!(error, Error::Durable(_)), "{said}");
        }
        fs::write(directory.join(name), whole).unwrap();
    }
    fs::remove_dir_all(&directory).unwrap();
    // Without state there are only the floors of the root.
    assert_eq!(machine.boot_if("treeseal.sequence=7", |_| true), Ok(7));
}

#[test]
fn symlinks_in_the_way_to_the_state_are_refused() {
    let machine = Machine::with([7]);
    fs::create_dir(machine.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(machine.path("elsewhere"), machine.path("disk/treeseal")).unwrap();
    machine.state_with(DurableOptions::default()).unwrap_err();
    assert_eq!(fs::read_dir(machine.path("elsewhere")).unwrap().count(), 0);
}

#[test]
fn a_system_that_was_booted_otherwise_has_nothing_to_mark() {
    let machine = Machine::with([7]);
    let error = mark_good(&machine.path("run")).unwrap_err();
    assert!(matches!(error, Error::NotBooted { .. }), "{error}");
}

#[test]
fn what_is_handed_over_is_verified_again_before_it_is_marked_good() {
    let machine = Machine::with([7]);
    machine.boot().unwrap();
    let seal = envelope(&statement(99, ""), STRANGER);
    fs::write(machine.path("run/seal.json"), seal).unwrap();
    let error = mark_good(&machine.path("run")).unwrap_err();
    assert!(matches!(error, Error::Seal { .. }), "{error}");
    assert_eq!(machine.state().floors().floor(&stream()), None);
}

const LOSSES: [Loss; 7] = [
    Loss::Nothing,
    Loss::Everything,
    Loss::Content,
    Loss::ContentZeroed,
    Loss::Some(1),
    Loss::Some(2),
    Loss::Some(3),
];

/// Cuts the power before each step of `work`, and has `check` look at what is left.
fn cut_everywhere(
    prepare: impl Fn() -> Machine,
    work: impl Fn(&Machine, DurableOptions) -> Result<(), Error>,
    check: impl Fn(&Machine, bool),
) {
    let mut cuts = 0;
    for loss in LOSSES {
        for stop_at in 0.. {
            let machine = prepare();
            let disk = Arc::new(CrashingDisk::new(&machine.path("aside"), stop_at));
            let hook = Some(Arc::clone(&disk) as Arc<dyn StepHook>);
            let result = work(&machine, DurableOptions { barrier: None, hook });
            assert!(disk.crashed() || result.is_ok(), "{loss:?} at {stop_at}: {result:?}");
            disk.lose(loss);
            check(&machine, result.is_ok());
            if !disk.crashed() {
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts >= 5 * LOSSES.len(), "only {cuts} cuts");
}

#[test]
fn a_power_cut_while_a_try_is_counted_leaves_the_old_count_or_the_new_one() {
    let mounted = Cell::new(false);
    cut_everywhere(
        || {
            let machine = Machine::with([7, 8]);
            machine.boot().unwrap();
            machine
        },
        |machine, options| {
            mounted.set(false);
            let mut state = machine.state_with(options)?;
            let selection = machine.select(&state, &machine.criteria(""))?;
            let started = selection.start(&mut state, |candidate| {
                mounted.set(mounted.get() || candidate.statement.sequence == sequence(8));
                if mounted.get() { Ok(()) } else { Err(Error::NoTpm) }
            });
            started.map(drop).map_err(|_| Error::NoTpm)
        },
        |machine, _| {
            let tries = machine.state().attempts().all().collect::<Vec<_>>();
            let counted = tries == [(sequence(8), 2)];
            assert!(counted || tries == [(sequence(8), 1)], "{tries:?}");
            // What was mounted was counted before.
            assert!(counted || !mounted.get());
            assert_eq!(machine.boot(), Ok(8));
        },
    );
}

#[test]
fn a_power_cut_while_a_tree_is_marked_good_leaves_the_old_floor_or_the_new_one() {
    cut_everywhere(
        || {
            let machine = Machine::with([7]);
            machine.boot().unwrap();
            machine.mark_good();
            machine.publish(8);
            machine.boot().unwrap();
            machine
        },
        |machine, options| mark::mark_good_on(&machine.path("run"), options).map(drop),
        |machine, is_done| {
            let floor = machine.state().floors().floor(&stream()).unwrap().sequence;
            assert!(floor == sequence(8) || (!is_done && floor == sequence(7)));
            assert_eq!(machine.boot(), Ok(8));
            machine.mark_good();
        },
    );
}

#[test]
fn a_power_cut_at_the_very_first_boot_leaves_nothing_in_the_way() {
    cut_everywhere(
        || Machine::with([7]),
        |machine, options| machine.state_with(options).map(drop),
        |machine, _| assert_eq!(machine.boot(), Ok(7)),
    );
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A seal is put into the store, or replaced.
    Publish {
        number: u64,
        edition: u8,
        signer: u8,
    },
    Remove {
        number: u64,
    },
    Boot {
        mounts: u16,
        named: Option<u64>,
        tries: Option<u32>,
    },
    MarkGood,
    LoseState,
}

const NUMBERS: std::ops::Range<u64> = 1..9;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let signer = prop_oneof![4 => Just(RELEASE_KEY), 1 => Just(STRANGER)];
    let event = prop_oneof![
        4 => (NUMBERS, 0..2_u8, signer)
            .prop_map(|(number, edition, signer)| Event::Publish { number, edition, signer }),
        1 => NUMBERS.prop_map(|number| Event::Remove { number }),
        8 => (any::<u16>(), prop::option::weighted(0.2, NUMBERS), prop::option::weighted(0.2, 0..6_u32))
            .prop_map(|(mounts, named, tries)| Event::Boot { mounts, named, tries }),
        2 => Just(Event::MarkGood),
        1 => Just(Event::LoseState),
    ];
    prop::collection::vec(event, 1..40)
}

/// What must be so, kept beside the machine and in the plainest way.
#[derive(Default)]
struct Model {
    /// The seals in the store: edition, and who signed.
    seals: HashMap<u64, (u8, u8)>,
    /// What was marked good last.
    good: Option<(u64, u8)>,
    /// What runs.
    running: Option<(u64, u8)>,
    /// How often a mount was tried since it last had none before it.
    tries: HashMap<(u64, u8), u32>,
}

impl Model {
    /// The seals that may be started, the newest first.
    fn accepted(&self) -> Vec<(u64, u8)> {
        let signed = self.seals.iter().filter(|(_, (_, signer))| *signer == RELEASE_KEY);
        let mut accepted: Vec<_> =
            signed.map(|(number, (edition, _))| (*number, *edition)).collect();
        accepted.retain(|(number, edition)| match self.good {
            Some((floor, good)) => *number > floor || (*number == floor && *edition == good),
            None => true,
        });
        accepted.sort_unstable_by(|a, b| b.cmp(a));
        accepted
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_only_accepted_trees_are_started_and_each_only_so_often(events in events()) {
        let machine = Machine::new();
        let mut model = Model::default();
        for event in events {
            match event {
                Event::Publish { number, edition, signer } => {
                    machine.put(number, &envelope(&statement(number, &edition.to_string()), signer));
                    model.seals.insert(number, (edition, signer));
                }
                Event::Remove { number } => {
                    if model.seals.remove(&number).is_some() {
                        machine.remove(number);
                    }
                }
                Event::Boot { mounts, named, tries } => boot(&machine, &mut model, (mounts, named, tries)),
                Event::MarkGood => {
                    if let Some(running) = model.running {
                        machine.mark_good();
                        model.good = Some(running);
                    }
                }
                Event::LoseState => {
                    let _ = fs::remove_dir_all(machine.path("disk/treeseal"));
                    let _ = fs::remove_dir_all(machine.path("run"));
                    (model.good, model.running) = (None, None);
                    model.tries.clear();
                }
            }
        }
    }
}

/// Boots the machine, and checks everything that was mounted on the way against the model.
fn boot(
    machine: &Machine,
    model: &mut Model,
    (mounts, named, tries): (u16, Option<u64>, Option<u32>),
) {
    let mut words = Vec::new();
    words.extend(named.map(|number| format!("treeseal.sequence={number}")));
    words.extend(tries.map(|tries| format!("treeseal.tries={tries}")));
    let accepted = model.accepted();
    let allowed = tries.unwrap_or(TRIES).min(TRIES);
    let is_mountable = |number: u64| mounts >> number & 1 == 1;
    let mounted = std::cell::RefCell::new(Vec::new());
    let started = machine.boot_if(&words.join(" "), |number| {
        mounted.borrow_mut().push(number);
        is_mountable(number)
    });
    // Tries of trees that are no longer accepted are forgotten with the next that is counted.
    let counted: Vec<_> = accepted.iter().rev().skip(1).rev().copied().collect();
    let tried = |model: &Model, tree: &(u64, u8)| model.tries.get(tree).copied().unwrap_or(0);
    let mut expected = Vec::new();
    for tree in &accepted {
        let has_tries = !counted.contains(tree) || tried(model, tree) < allowed;
        if has_tries && named.is_none_or(|named| named == tree.0) {
            expected.push(*tree);
            if counted.contains(tree) {
                *model.tries.entry(*tree).or_default() += 1;
                model.tries.retain(|tree, _| accepted.contains(tree));
            }
            if is_mountable(tree.0) {
                break;
            }
        }
    }
    let numbers: Vec<_> = expected.iter().map(|(number, _)| *number).collect();
    assert_eq!(mounted.into_inner(), numbers);
    let last = expected.last().copied().filter(|(number, _)| is_mountable(*number));
    assert_eq!(started.ok(), last.map(|(number, _)| number));
    // Where the boot fails the machine stands still, and what ran before runs no more.
    model.running = last;
    if last.is_none() {
        let _ = fs::remove_dir_all(machine.path("run"));
    }
    for (tree, tries) in &model.tries {
        assert!(*tries <= TRIES, "{tree:?} was tried {tries} times");
    }
}
