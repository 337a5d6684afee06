//! What a floor does when nothing is interrupted, and who may change it.

use treeseal_sys::{
    TPM_MAX_SEQUENCE, Tpm, TpmAddress, TpmCode, TpmError, TpmFloor, TpmFloorError, TpmIndices,
};

use crate::swtpm::{Device, Swtpm, address};
use crate::{EMPTY, NEIGHBOUR, STREAM};

/// The floor that a new connection sees.
pub(crate) fn floor(tpm: &Swtpm) -> Option<u64> {
    TpmFloor::open(&mut tpm.connect(), &STREAM).unwrap().map(|floor| floor.floor())
}

fn enrol(tpm: &Swtpm, sequence: u64) {
    let mut client = tpm.connect();
    let floor = TpmFloor::enrol(&mut client, &STREAM, sequence, EMPTY).unwrap();
    assert_eq!(floor.floor(), sequence);
}

fn raise(tpm: &Swtpm, sequence: u64) -> Result<u64, TpmFloorError> {
    let mut client = tpm.connect();
    let mut floor = TpmFloor::open(&mut client, &STREAM)?.unwrap();
    floor.raise_to(sequence)?;
    Ok(floor.floor())
}

/// The counter as another program reads it.
fn counter(tpm: &Swtpm) -> u64 {
    let index = format!("{:#x}", TpmIndices::of_stream(&STREAM).counter);
    u64::from_be_bytes(tpm.tool("tpm2_nvread", &[&index]).try_into().unwrap())
}

#[test]
fn a_floor_grows_and_does_not_fall() {
    let tpm = Swtpm::start();
    assert_eq!(floor(&tpm), None);
    enrol(&tpm, 41);
    assert_eq!(floor(&tpm), Some(41));
    assert_eq!(raise(&tpm, 44).unwrap(), 44);
    for lower in [0, 40, 43, 44] {
        assert_eq!(raise(&tpm, lower).unwrap(), 44);
    }
    assert_eq!(floor(&tpm), Some(44));
}

#[test]
fn a_floor_outlives_power_cuts() {
    let mut tpm = Swtpm::start();
    enrol(&tpm, 7);
    for sequence in [7, 8, 12] {
        raise(&tpm, sequence).unwrap();
        tpm.restart();
        assert_eq!(floor(&tpm), Some(sequence));
    }
}

#[test]
fn streams_have_floors_of_their_own() {
    let tpm = Swtpm::start();
    let mut client = tpm.connect();
    let streams: [[u8; 32]; 3] = [STREAM, [0; 32], [0xff; 32]];
    for (stream, sequence) in streams.iter().zip([5, 100, TPM_MAX_SEQUENCE - 1]) {
        let mut floor = TpmFloor::enrol(&mut client, stream, sequence, EMPTY).unwrap();
        floor.raise_to(sequence + 1).unwrap();
    }
    for (stream, sequence) in streams.iter().zip([6, 101, TPM_MAX_SEQUENCE]) {
        let floor = TpmFloor::open(&mut client, stream).unwrap().unwrap();
        assert_eq!(floor.floor(), sequence);
    }
}

#[test]
fn enrolling_again_moves_a_floor_up_and_never_down() {
    let tpm = Swtpm::start();
    enrol(&tpm, 10);
    raise(&tpm, 12).unwrap();
    enrol(&tpm, 12);
    let error = TpmFloor::enrol(&mut tpm.connect(), &STREAM, 11, EMPTY).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stream is enrolled with floor 12, and enrolling it at 11 would lower it; \
         if that is meant, remove it first"
    );
    assert_eq!(floor(&tpm), Some(12));
    enrol(&tpm, 1_000_000);
    assert_eq!(floor(&tpm), Some(1_000_000));
}

#[test]
fn a_removed_floor_is_gone_and_its_counter_is_never_used_again() {
    let tpm = Swtpm::start();
    enrol(&tpm, 10);
    raise(&tpm, 15).unwrap();
    let before = counter(&tpm);
    assert!(TpmFloor::remove(&mut tpm.connect(), &STREAM, EMPTY).unwrap());
    assert_eq!(floor(&tpm), None);
    assert!(!TpmFloor::remove(&mut tpm.connect(), &STREAM, EMPTY).unwrap());
    enrol(&tpm, 3);
    assert!(counter(&tpm) > before);
}

#[test]
fn clearing_the_tpm_removes_the_enrolment_as_a_whole() {
    let tpm = Swtpm::start();
    enrol(&tpm, 10);
    let before = counter(&tpm);
    tpm.tool("tpm2_clear", &[]);
    assert_eq!(floor(&tpm), None);
    enrol(&tpm, 3);
    assert!(counter(&tpm) > before);
}

#[test]
fn a_floor_is_not_raised_too_far_at_once() {
    let tpm = Swtpm::start();
    enrol(&tpm, 1);
    let error = raise(&tpm, 1026).unwrap_err();
    assert_eq!(
        error.to_string(),
        "raising the floor from 1 to 1026 takes more than 1024 writes to the TPM; \
         enrol the stream again at 1026"
    );
    assert_eq!(floor(&tpm), Some(1));
    assert_eq!(raise(&tpm, 1025).unwrap(), 1025);
    enrol(&tpm, 5000);
}

#[test]
fn a_sequence_that_no_stream_has_is_refused() {
    let tpm = Swtpm::start();
    let mut client = tpm.connect();
    let above = TPM_MAX_SEQUENCE + 1;
    let error = TpmFloor::enrol(&mut client, &STREAM, above, EMPTY).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sequence 9007199254740992 is above 9007199254740991, the highest that a stream can have"
    );
    let mut floor = TpmFloor::enrol(&mut client, &STREAM, 1, EMPTY).unwrap();
    let error = floor.raise_to(above).unwrap_err();
    assert!(matches!(error, TpmFloorError::Sequence { .. }), "{error}");
}

#[test]
fn a_counter_beyond_the_last_sequence_is_an_error() {
    let tpm = Swtpm::start();
    enrol(&tpm, TPM_MAX_SEQUENCE);
    let index = format!("{:#x}", TpmIndices::of_stream(&STREAM).counter);
    tpm.tool("tpm2_nvincrement", &[&index]);
    let error = TpmFloor::open(&mut tpm.connect(), &STREAM).unwrap_err();
    assert!(matches!(error, TpmFloorError::Counter { .. }), "{error}");
    assert!(TpmFloor::remove(&mut tpm.connect(), &STREAM, EMPTY).unwrap());
}

/// That an error is the TPM's refusal of a password.
fn assert_wrong_password<T>(result: Result<T, TpmFloorError>) {
    let Err(TpmFloorError::Tpm(error)) = result else { panic!("not refused") };
    assert!(error.code().is_some_and(TpmCode::is_wrong_password), "{error}");
    let text = error.to_string();
    assert!(text.ends_with("TPM_RC_BAD_AUTH: the password is wrong (0x9a2)"), "{text}");
}

#[test]
fn only_the_owner_enrols_and_removes() {
    let tpm = Swtpm::start();
    tpm.set_owner_password("secret");
    for wrong in [EMPTY, b"guess"] {
        assert_wrong_password(TpmFloor::enrol(&mut tpm.connect(), &STREAM, 4, wrong));
        assert_eq!(floor(&tpm), None);
    }
    TpmFloor::enrol(&mut tpm.connect(), &STREAM, 4, b"secret").unwrap();
    for wrong in [EMPTY, b"guess"] {
        assert_wrong_password(TpmFloor::remove(&mut tpm.connect(), &STREAM, wrong));
        assert_wrong_password(TpmFloor::enrol(&mut tpm.connect(), &STREAM, 9, wrong));
        assert_eq!(floor(&tpm), Some(4));
    }
    assert_eq!(raise(&tpm, 6).unwrap(), 6, "raising needs no password");
    TpmFloor::remove(&mut tpm.connect(), &STREAM, b"secret").unwrap();
    assert_wrong_password(TpmFloor::enrol(&mut tpm.connect(), &STREAM, 1, EMPTY));
    assert_eq!(floor(&tpm), None);
}

#[test]
fn nobody_writes_the_record_again() {
    let tpm = Swtpm::start();
    enrol(&tpm, 4);
    let index = format!("{:#x}", TpmIndices::of_stream(&STREAM).record);
    let attributes = String::from_utf8(tpm.tool("tpm2_nvreadpublic", &[&index])).unwrap();
    for word in ["ownerwrite|writelocked|writedefine|authread|no_da|written", "size: 49"] {
        assert!(attributes.contains(word), "{attributes}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let input = file.path().to_str().unwrap();
    std::fs::write(input, [0; 49]).unwrap();
    let refusal = tpm.tool_refused("tpm2_nvwrite", &[&index, "-C", "o", "-i", input]);
    assert!(refusal.contains("0x148"), "{refusal}");
    let index = format!("{:#x}", TpmIndices::of_stream(&STREAM).counter);
    let attributes = String::from_utf8(tpm.tool("tpm2_nvreadpublic", &[&index])).unwrap();
    assert!(attributes.contains("authwrite|nt=0x1|authread|no_da|written"), "{attributes}");
}

#[test]
fn another_program_reads_the_same_record() {
    let tpm = Swtpm::start();
    enrol(&tpm, 0x0102_0304_0506);
    let index = format!("{:#x}", TpmIndices::of_stream(&STREAM).record);
    let record = tpm.tool("tpm2_nvread", &[&index]);
    let numbers = [0x0102_0304_0506_u64, counter(&tpm)].map(u64::to_be_bytes).concat();
    assert_eq!(record, [&[1], &STREAM[..], &numbers].concat());
}

#[test]
fn the_floor_of_another_stream_is_recognised_and_left_alone() {
    let tpm = Swtpm::start();
    assert_eq!(TpmIndices::of_stream(&STREAM), TpmIndices::of_stream(&NEIGHBOUR));
    enrol(&tpm, 4);
    let mut client = tpm.connect();
    let errors = [
        TpmFloor::open(&mut client, &NEIGHBOUR).map(drop).unwrap_err(),
        TpmFloor::enrol(&mut client, &NEIGHBOUR, 9, EMPTY).map(drop).unwrap_err(),
        TpmFloor::remove(&mut client, &NEIGHBOUR, EMPTY).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            error.to_string(),
            "index 0x018c4c8d of the TPM holds the floor of another stream, whose name has the \
             SHA-256 3132333435363738393031323334353637383930313233343536373839303132; \
             only one of the two can have its floor there"
        );
    }
    drop(client);
    assert_eq!(floor(&tpm), Some(4));
}

#[test]
fn an_index_with_other_rights_is_not_ours() {
    let indices = TpmIndices::of_stream(&STREAM);
    let cases = [
        (indices.counter, "ownerwrite|authread|no_da|nt=0x1", "8"),
        (indices.counter, "authwrite|authread|no_da", "8"),
        (indices.record, "ownerwrite|authwrite|writedefine|authread|no_da", "49"),
        (indices.record, "ownerwrite|writedefine|authread|no_da", "48"),
        (indices.record, "ownerwrite|authread|no_da", "49"),
    ];
    let tpm = Swtpm::start();
    for (index, attributes, size) in cases {
        let index = format!("{index:#x}");
        tpm.tool("tpm2_nvdefine", &[&index, "-C", "o", "-a", attributes, "-s", size]);
        let mut client = tpm.connect();
        let errors = [
            TpmFloor::open(&mut client, &STREAM).map(drop).unwrap_err(),
            TpmFloor::enrol(&mut client, &STREAM, 9, EMPTY).map(drop).unwrap_err(),
            TpmFloor::remove(&mut client, &STREAM, EMPTY).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, TpmFloorError::ForeignIndex { .. }), "{attributes}: {error}");
        }
        drop(client);
        // It is still there.
        tpm.tool("tpm2_nvundefine", &[&index, "-C", "o"]);
    }
}

#[test]
fn a_record_of_a_newer_format_is_left_alone() {
    let tpm = Swtpm::start();
    let index = format!("{:#x}", TpmIndices::of_stream(&STREAM).record);
    let attributes = "ownerwrite|writedefine|authread|no_da";
    tpm.tool("tpm2_nvdefine", &[&index, "-C", "o", "-a", attributes, "-s", "49"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("record");
    std::fs::write(&file, [2; 49]).unwrap();
    tpm.tool("tpm2_nvwrite", &[&index, "-C", "o", "-i", file.to_str().unwrap()]);
    let mut client = tpm.connect();
    let error = TpmFloor::remove(&mut client, &STREAM, EMPTY).unwrap_err();
    let text = "the record in index 0x018c4c8d of the TPM has format 2, expected 1";
    assert_eq!(error.to_string(), text);
    let error = TpmFloor::enrol(&mut client, &STREAM, 1, EMPTY).unwrap_err();
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_device_is_used_as_a_socket_is() {
    let tpm = Swtpm::start();
    let device = Device::new(&tpm);
    let address = address(device.path.to_str().unwrap());
    assert_eq!(address, TpmAddress::Device(device.path.clone()));
    let mut client = Tpm::open(&address).unwrap();
    TpmFloor::enrol(&mut client, &STREAM, 20, EMPTY).unwrap().raise_to(23).unwrap();
    drop(client);
    let mut client = Tpm::open(&address).unwrap();
    assert_eq!(TpmFloor::open(&mut client, &STREAM).unwrap().unwrap().floor(), 23);
    drop((client, device));
    assert_eq!(floor(&tpm), Some(23));
}

#[test]
fn what_is_no_tpm_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Tpm::open(&TpmAddress::Device(file.clone())).unwrap_err();
    let text = "is no character device; a socket is named as unix:PATH";
    assert_eq!(error.to_string(), format!("`{}` {text}", file.display()));
    for missing in ["/nonexistent/tpm", "unix:/nonexistent/tpm"] {
        let error = Tpm::open(&address(missing)).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot open the TPM `{missing}`"));
        assert!(std::error::Error::source(&error).is_some());
    }
    let long = TpmAddress::Unix("x".repeat(200).into());
    assert!(matches!(Tpm::open(&long).unwrap_err(), TpmError::Open { .. }));
}

#[test]
fn devices_that_are_no_tpm_give_errors() {
    for (path, text) in [
        ("/dev/null", "the TPM `/dev/null` closed the connection during TPM2_NV_ReadPublic"),
        ("/dev/zero", "malformed: 64 bytes or more follow its end"),
        ("/dev/full", "follow its end"),
    ] {
        let mut client = Tpm::open(&address(path)).unwrap();
        let error = TpmFloor::open(&mut client, &STREAM).unwrap_err();
        assert!(error.to_string().ends_with(text), "{path}: {error}");
    }
}
