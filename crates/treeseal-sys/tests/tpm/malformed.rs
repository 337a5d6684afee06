//! Responses that no TPM gives. Those of a real one are changed on their way.

use std::time::{Duration, Instant};

use treeseal_sys::{Tpm, TpmError, TpmFloor, TpmFloorError};

use crate::proxy::{Answer, MOMENT, Proxy};
use crate::swtpm::Swtpm;
use crate::{EMPTY, STREAM};

/// How long a client waits for what comes, however busy the machine is.
const PATIENT: Duration = Duration::from_secs(60);

/// How long a client waits for what does not come.
const SHORT: Duration = Duration::from_millis(400);

/// Commands of an open: for each index its kind, and its data.
const COMMANDS: usize = 4;

fn enrolled() -> Swtpm {
    let tpm = Swtpm::start();
    TpmFloor::enrol(&mut tpm.connect(), &STREAM, 50, EMPTY).unwrap();
    tpm
}

/// Opens the floor while response `number` is changed.
fn open_with(
    tpm: &Swtpm,
    number: usize,
    change: impl Fn(Vec<u8>) -> Answer + Send + 'static,
) -> Result<Option<u64>, TpmFloorError> {
    open_within(PATIENT, tpm, number, change)
}

fn open_within(
    timeout: Duration,
    tpm: &Swtpm,
    number: usize,
    change: impl Fn(Vec<u8>) -> Answer + Send + 'static,
) -> Result<Option<u64>, TpmFloorError> {
    let proxy = Proxy::start(&tpm.socket(), move |current, response| {
        if current == number { change(response) } else { Answer::Send(response) }
    });
    let mut client = Tpm::open_with_timeout(&proxy.address(), timeout).unwrap();
    TpmFloor::open(&mut client, &STREAM).map(|floor| floor.map(|floor| floor.floor()))
}

fn set_size(mut response: Vec<u8>, size: usize) -> Vec<u8> {
    response[2..6].copy_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
    response
}

/// The length of each response, as the real TPM gives it.
fn lengths(tpm: &Swtpm) -> Vec<usize> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let proxy = Proxy::start(&tpm.socket(), move |_, response| {
        sender.send(response.len()).unwrap();
        Answer::Send(response)
    });
    let mut client = Tpm::open(&proxy.address()).unwrap();
    assert_eq!(TpmFloor::open(&mut client, &STREAM).unwrap().unwrap().floor(), 50);
    drop(client);
    let lengths: Vec<usize> = receiver.iter().collect();
    assert_eq!(lengths.len(), COMMANDS);
    lengths
}

#[test]
fn a_response_cut_anywhere_is_an_error() {
    let tpm = enrolled();
    for (number, length) in lengths(&tpm).into_iter().enumerate() {
        for keep in 0..length {
            let error = open_with(&tpm, number, move |mut response| {
                response.truncate(keep);
                Answer::Last(response)
            });
            let error = error.unwrap_err();
            assert!(matches!(error, TpmFloorError::Tpm(TpmError::Closed { .. })), "{error}");
        }
        for keep in 6..length {
            let error = open_with(&tpm, number, move |mut response| {
                response.truncate(keep);
                Answer::Send(set_size(response, keep))
            });
            let error = error.unwrap_err();
            assert!(matches!(error, TpmFloorError::Tpm(TpmError::Response { .. })), "{error}");
        }
    }
}

#[test]
fn no_changed_byte_leads_to_more_than_an_error() {
    let tpm = enrolled();
    for (number, length) in lengths(&tpm).into_iter().enumerate() {
        for index in 0..length {
            for mask in [0x01, 0x80] {
                let result = open_with(&tpm, number, move |mut response| {
                    response[index] ^= mask;
                    Answer::Last(response)
                });
                // Values are not authenticated. What is checked is the header, the length that
                // follows, and of the even responses the kind of the index.
                let checked = if number % 2 == 0 { 26 } else { 16 };
                if index < checked {
                    result.unwrap_err();
                }
            }
        }
    }
}

#[test]
fn trailing_bytes_are_an_error() {
    let tpm = enrolled();
    for number in 0..COMMANDS {
        for extra in [1, 4096, 100_000] {
            let result = open_with(&tpm, number, move |mut response| {
                response.resize(response.len() + extra, 0xaa);
                Answer::Send(response)
            });
            let error = result.unwrap_err();
            assert!(error.to_string().contains(" bytes or more follow its end"), "{error}");
        }
    }
}

#[test]
fn bytes_that_come_late_are_an_error_of_the_next_command() {
    let tpm = enrolled();
    let proxy = Proxy::start(&tpm.socket(), |number, response| {
        let is_last = number + 1 == COMMANDS;
        if is_last { Answer::OneMore(response) } else { Answer::Send(response) }
    });
    let mut client = Tpm::open_with_timeout(&proxy.address(), PATIENT).unwrap();
    TpmFloor::open(&mut client, &STREAM).unwrap().unwrap();
    std::thread::sleep(MOMENT * 5);
    let error = TpmFloor::open(&mut client, &STREAM).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the TPM's response to TPM2_NV_ReadPublic is malformed: 1 bytes or more follow its end"
    );
}

#[test]
fn sizes_that_no_response_has_are_an_error() {
    let tpm = enrolled();
    for size in [0, 9, 4097, 0xffff_ffff] {
        let result = open_with(&tpm, 1, move |response| Answer::Send(set_size(response, size)));
        let error = result.unwrap_err();
        assert!(error.to_string().contains(&format!("it announces {size} bytes")), "{error}");
    }
    let result = open_with(&tpm, 1, |mut response| {
        response.resize(4096, 0);
        Answer::Send(set_size(response, 4096))
    });
    let error = result.unwrap_err();
    assert!(matches!(error, TpmFloorError::Tpm(TpmError::Response { .. })), "{error}");
}

#[test]
fn a_response_about_another_index_is_an_error() {
    let tpm = enrolled();
    let result = open_with(&tpm, 0, |mut response| {
        response[12..16].copy_from_slice(&[0x01, 0x80, 0, 0]);
        Answer::Send(response)
    });
    assert_eq!(
        result.unwrap_err().to_string(),
        "the TPM's response to TPM2_NV_ReadPublic is malformed: \
         it is about index 0x01800000, expected 0x018c4c8c"
    );
}

#[test]
fn garbage_is_an_error() {
    let tpm = enrolled();
    // xorshift32: the same bytes each time.
    let mut state = 0x1234_5678_u32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    for length in [1, 10, 11, 50, 4096, 70_000] {
        for has_header in [false, true] {
            let mut garbage: Vec<u8> = (0..length).map(|_| next()).collect();
            if has_header && length >= 10 {
                garbage[..10].copy_from_slice(&[0x80, 0x02, 0, 0, 0, 0, 0, 0, 0, 0]);
                garbage = set_size(garbage, length);
            }
            let answer = move |_| Answer::Last(garbage.clone());
            let error = open_with(&tpm, 1, answer).unwrap_err();
            assert!(matches!(error, TpmFloorError::Tpm(_)), "{error}");
        }
    }
}

#[test]
fn a_tpm_that_says_nothing_more_is_not_waited_for_without_end() {
    let tpm = enrolled();
    for number in 0..COMMANDS {
        let error = open_within(SHORT, &tpm, number, |_| Answer::Silence).unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with(" within 400 ms"), "{text}");
        let half = |mut response: Vec<u8>| {
            response.truncate(12);
            Answer::Send(response)
        };
        let error = open_within(SHORT, &tpm, number, half).unwrap_err();
        assert!(matches!(error, TpmFloorError::Tpm(TpmError::Timeout { .. })), "{error}");
    }
}

#[test]
fn a_server_that_accepts_nothing_is_not_waited_for_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let address = treeseal_sys::TpmAddress::Unix(path);
    let start = Instant::now();
    let mut client = Tpm::open_with_timeout(&address, SHORT).unwrap();
    let error = TpmFloor::open(&mut client, &STREAM).unwrap_err();
    assert!(matches!(error, TpmFloorError::Tpm(TpmError::Timeout { .. })), "{error}");
    assert!(start.elapsed() < PATIENT);
}

#[test]
fn after_a_failure_a_connection_is_of_no_more_use() {
    let tpm = enrolled();
    let proxy = Proxy::start(&tpm.socket(), |number, response| {
        if number == 0 { Answer::Silence } else { Answer::Send(response) }
    });
    let mut client = Tpm::open_with_timeout(&proxy.address(), SHORT).unwrap();
    TpmFloor::open(&mut client, &STREAM).unwrap_err();
    let error = TpmFloor::open(&mut client, &STREAM).unwrap_err();
    assert!(error.to_string().ends_with("failed before; open it again"), "{error}");
}

/// TPM_RC_RETRY.
const BUSY: [u8; 10] = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x09, 0x22];

#[test]
fn a_busy_tpm_is_asked_again() {
    let tpm = enrolled();
    let result = open_with(&tpm, 0, |_| Answer::Send(BUSY.to_vec()));
    assert_eq!(result.unwrap(), Some(50));
}

#[test]
fn a_tpm_that_is_always_busy_is_not_asked_without_end() {
    let tpm = enrolled();
    let proxy = Proxy::start(&tpm.socket(), |_, _| Answer::Send(BUSY.to_vec()));
    let mut client = Tpm::open_with_timeout(&proxy.address(), SHORT).unwrap();
    let error = TpmFloor::open(&mut client, &STREAM).unwrap_err();
    assert!(error.to_string().ends_with("still busy; try again later (0x922)"), "{error}");
}

/// A counter that answers as if it counted, and does not, must not be asked for ever.
#[test]
fn a_counter_that_does_not_count_is_an_error() {
    let tpm = enrolled();
    let mut first = None;
    let proxy = Proxy::start(&tpm.socket(), move |number, response| {
        // Every reading of the counter gives what the first one did.
        if response.len() != 10 + 4 + 2 + 8 + 5 {
            return Answer::Send(response);
        }
        assert!(number > 0);
        Answer::Send(first.get_or_insert(response).clone())
    });
    let mut client = Tpm::open_with_timeout(&proxy.address(), PATIENT).unwrap();
    let mut floor = TpmFloor::open(&mut client, &STREAM).unwrap().unwrap();
    let error = floor.raise_to(60).unwrap_err();
    assert!(matches!(error, TpmFloorError::Counter { .. }), "{error}");
    assert_eq!(floor.floor(), 50);
}
