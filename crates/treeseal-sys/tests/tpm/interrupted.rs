//! Enrolling, raising and removing are cut off after every command; what is left is never a lower
//! floor, and can be completed.

use std::collections::BTreeSet;

use treeseal_sys::{Tpm, TpmFloor, TpmFloorError};

use crate::floor::floor;
use crate::proxy::Proxy;
use crate::swtpm::Swtpm;
use crate::{EMPTY, STREAM};

/// What a new connection finds: a floor, none, or how far it got.
fn found(tpm: &Swtpm) -> Result<Option<u64>, String> {
    match TpmFloor::open(&mut tpm.connect(), &STREAM) {
        Ok(floor) => Ok(floor.map(|floor| floor.floor())),
        Err(TpmFloorError::HalfMade { state }) => Err(state.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn enrol(tpm: &Swtpm, sequence: u64) {
    TpmFloor::enrol(&mut tpm.connect(), &STREAM, sequence, EMPTY).unwrap();
    assert_eq!(floor(tpm), Some(sequence));
}

/// Does `work` with the power cut after 0, 1, 2 and so on commands, each time on what `prepare`
/// made, and calls `check` with what was left. Ends with the first time that the work was done.
fn cut_everywhere<T>(
    prepare: impl Fn(&Swtpm),
    work: impl Fn(&mut Tpm) -> Result<T, TpmFloorError>,
    mut check: impl FnMut(&Swtpm, Result<Option<u64>, String>),
) {
    let tpm = Swtpm::start();
    for commands in 0..100 {
        prepare(&tpm);
        let proxy = Proxy::cut_after(&tpm.socket(), commands);
        let mut client = Tpm::open(&proxy.address()).unwrap();
        let is_done = work(&mut client).is_ok();
        drop(client);
        check(&tpm, found(&tpm));
        if is_done {
            assert!(commands >= 4, "it was cut off at several places");
            return;
        }
    }
    panic!("it was never done");
}

fn remove(tpm: &Swtpm) {
    TpmFloor::remove(&mut tpm.connect(), &STREAM, EMPTY).unwrap();
    assert_eq!(floor(tpm), None);
}

#[test]
fn an_enrolment_that_is_interrupted_is_no_floor_and_can_be_completed() {
    let mut seen = BTreeSet::new();
    cut_everywhere(
        remove,
        |client| TpmFloor::enrol(client, &STREAM, 50, EMPTY).map(drop),
        |tpm, found| {
            match found {
                Ok(floor) => assert!(matches!(floor, None | Some(50)), "{floor:?}"),
                Err(state) => _ = seen.insert(state),
            }
            enrol(tpm, 50);
        },
    );
    let expected = ["it has no record", "its record is not locked", "its record is not written"];
    assert_eq!(Vec::from_iter(seen), expected);
}

#[test]
fn an_enrolment_that_is_interrupted_can_be_removed() {
    cut_everywhere(
        remove,
        |client| TpmFloor::enrol(client, &STREAM, 50, EMPTY).map(drop),
        |tpm, _| remove(tpm),
    );
}

#[test]
fn an_interrupted_move_of_a_floor_never_leaves_a_lower_one() {
    cut_everywhere(
        |tpm| {
            remove(tpm);
            enrol(tpm, 50);
        },
        |client| TpmFloor::enrol(client, &STREAM, 9000, EMPTY).map(drop),
        |tpm, found| {
            match found {
                Ok(floor) => assert!(matches!(floor, Some(50 | 9000)), "{floor:?}"),
                Err(state) => assert!(state.starts_with("it"), "{state}"),
            }
            enrol(tpm, 9000);
        },
    );
}

#[test]
fn an_interrupted_removal_leaves_the_floor_or_an_error_or_nothing() {
    cut_everywhere(
        |tpm| enrol(tpm, 50),
        |client| TpmFloor::remove(client, &STREAM, EMPTY),
        |tpm, found| {
            let expected = [Ok(Some(50)), Err("it has no record".to_owned()), Ok(None)];
            assert!(expected.contains(&found), "{found:?}");
            remove(tpm);
        },
    );
}

#[test]
fn an_interrupted_raise_leaves_a_floor_in_between() {
    let mut seen = BTreeSet::new();
    cut_everywhere(
        |tpm| {
            remove(tpm);
            enrol(tpm, 50);
        },
        |client| TpmFloor::open(client, &STREAM)?.unwrap().raise_to(53),
        |_, found| _ = seen.insert(found.unwrap().unwrap()),
    );
    assert_eq!(Vec::from_iter(seen), [50, 51, 52, 53]);
}

#[test]
fn a_record_without_a_counter_is_half_an_enrolment() {
    let tpm = Swtpm::start();
    enrol(&tpm, 50);
    let index = format!("{:#x}", treeseal_sys::TpmIndices::of_stream(&STREAM).counter);
    tpm.tool("tpm2_nvundefine", &[&index, "-C", "o"]);
    let error = TpmFloor::open(&mut tpm.connect(), &STREAM).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this stream is enrolled in the TPM by half: it has no counter; \
         enrol it again, or remove it"
    );
    enrol(&tpm, 50);
}
