//! Statements, seals and what is remembered of them, through the public interface.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{STREAM, key, number, public, root_bytes, root_content, seal, sequence, statement};
use treeseal_trust::{
    AtBoot, Clock, Envelope, Expiry, Floor, FreshStatement, FreshnessRule, ImageFormat,
    KeyAlgorithm, RoleName, RollbackState, RootFile, SealError, SealRequest, Sha256Digest,
    SigningKey, Source, Standing, Statement, StatementError, Stream, TrustRoot, TufKey,
    sign_statement, verify_seal,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

fn stream() -> Stream {
    STREAM.parse().unwrap()
}

fn clock() -> Clock {
    Clock::Trusted("2026-06-01T00:00:00Z".parse().unwrap())
}

fn message(error: &SealError) -> String {
    error.to_string()
}

#[test]
fn a_statement_reads_back_and_always_has_the_same_bytes() {
    let mut full = statement(7);
    full.not_after = Some("2026-05-01T12:00:00Z".parse().unwrap());
    full.previous = Some(Sha256Digest::of(b"previous"));
    full.images.push(common::image(ImageFormat::ComposefsV1));
    full.images[1].digests.fsverity_sha512 =
        FileDigest::from_bytes(HashAlgorithm::Sha512, &[2; 64]);
    for statement in [statement(1), statement((1 << 53) - 1), full] {
        let payload = statement.to_payload().unwrap();
        assert_eq!(payload, statement.to_payload().unwrap());
        assert_eq!(Statement::parse(&payload).unwrap(), statement);
    }
}

#[test]
fn a_statement_that_breaks_a_rule_is_not_written() {
    let broken = |change: fn(&mut Statement)| {
        let mut statement = statement(7);
        change(&mut statement);
        statement.to_payload().unwrap_err()
    };
    let code = |change| broken(change).code();
    assert_eq!(code(|s| s.images[0].digests.fsverity_sha256 = None), "digest_missing");
    let swapped = |s: &mut Statement| {
        s.images[0].digests.fsverity_sha512 = s.images[0].digests.fsverity_sha256;
    };
    assert_eq!(code(swapped), "digest_malformed");
    assert_eq!(code(|s| s.images.clear()), "subject_count");
    assert_eq!(code(|s| s.images = vec![s.images[0].clone(); 9]), "subject_count");
    assert_eq!(code(|s| s.images = vec![s.images[0].clone(); 2]), "repeated");
    assert_eq!(
        code(|s| s.not_after = "2026-05-01T11:59:59Z".parse().ok()),
        "not_after_before_created"
    );
    assert_eq!(code(|s| s.images[0].size = 1 << 53), "field_range");
    assert_eq!(code(|s| s.objects.bytes = u64::MAX), "field_range");
    assert_eq!(code(|s| s.sources[0].kind = "Dir".to_owned()), "source_malformed");
    assert_eq!(code(|s| s.sources[0].name = "a\tb".to_owned()), "source_malformed");
    assert_eq!(code(|s| s.sources = vec![s.sources[0].clone(); 65]), "field_length");
    let long = Source { kind: "dir".to_owned(), name: "\u{1f332}".repeat(256) };
    let mut large = statement(7);
    large.sources = vec![long.clone(); 64];
    assert_eq!(large.to_payload().unwrap_err().code(), "json_too_large");
    large.sources = vec![long; 60];
    assert!(large.to_payload().is_ok());
    let missing = broken(|s| s.images[0].digests.fsverity_sha256 = None);
    assert_eq!(missing, StatementError::NoFileDigest);
}

#[test]
fn a_seal_is_accepted_and_says_who_signed() {
    let seal = verify_seal(
        &seal(7),
        &common::trust_root(),
        &SealRequest::first_contact(&stream(), clock()),
    )
    .unwrap();
    assert_eq!(*seal.get(), statement(7));
    let [signers] = seal.signers() else { panic!() };
    assert_eq!(signers.keys(), [public(4)]);
    assert_eq!(signers.role().as_str(), "targets");
    assert_eq!(signers.threshold(), number(1));
    assert_eq!(seal.freshness().standing, Standing::NotRequired);
    assert_eq!(seal.root_version(), 1);
    assert_eq!(seal.expiry(), Expiry::InForce);
    assert_eq!(seal.payload_digest(), Sha256Digest::of(&statement(7).to_payload().unwrap()));
}

#[test]
fn signing_elsewhere_gives_the_same_seal() {
    let mut envelope = Envelope::unsigned(&statement(7)).unwrap();
    let request = envelope.pae_bytes();
    let signature = key(4).sign(&request);
    envelope.attach(&public(4), &signature).unwrap();
    assert_eq!(envelope.to_bytes(), seal(7));
    assert_eq!(sign_statement(&statement(7), &[&key(4), &key(4)]).unwrap().to_bytes(), seal(7));
}

#[test]
fn what_was_accepted_is_remembered_and_nothing_older_is_accepted() {
    let (root, stream) = (common::trust_root(), stream());
    let mut state = RollbackState::default();
    let accept = |number, state: &RollbackState| {
        verify_seal(&seal(number), &root, &SealRequest::new(&stream, state, clock()))
    };
    state.raise(&accept(7, &state).unwrap());
    assert_eq!(state.root_version(), 1);
    assert_eq!(state.newest_time(), "2026-05-01T12:00:00Z".parse().ok());
    assert_eq!(state.floor(&stream).unwrap().sequence, sequence(7));
    let seven = state.clone();
    state.raise(&accept(7, &state).unwrap());
    assert_eq!(state, seven);
    state.raise(&accept(9, &state).unwrap());
    assert_eq!(
        message(&accept(8, &state).unwrap_err()),
        "the seal has sequence 8, but 9 was accepted before: it is an older tree"
    );
    // Raising with something older changes nothing.
    let nine = state.clone();
    state.raise(&accept(8, &RollbackState::default()).unwrap());
    assert_eq!(state, nine);
    assert_eq!(RollbackState::from_bytes(&state.to_bytes()), Ok(state));
}

#[test]
fn the_first_payload_of_a_sequence_stays_remembered() {
    let (root, stream) = (common::trust_root(), stream());
    let mut other = statement(7);
    other.images[0].size += 1;
    let other = sign_statement(&other, &[&key(4)]).unwrap().to_bytes();
    let mut state = RollbackState::default();
    // Neither request knows of the other seal.
    for envelope in [seal(7), other] {
        let request = SealRequest::first_contact(&stream, clock());
        state.raise(&verify_seal(&envelope, &root, &request).unwrap());
    }
    let payload = Some(Sha256Digest::of(&statement(7).to_payload().unwrap()));
    assert_eq!(
        state.floor(&stream),
        Some(Floor { sequence: sequence(7), payload, fresh_until: None })
    );
}

#[test]
fn a_floor_without_payload_takes_the_first_payload_it_sees() {
    let text = format!(
        r#"{{"_type":"treeseal:rollback-state/v1","rootVersion":0,"streams":{{"{STREAM}":{{"sequence":7}}}}}}"#
    );
    let mut state = RollbackState::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(state.to_bytes(), text.as_bytes());
    let (root, stream) = (common::trust_root(), stream());
    let request = SealRequest::new(&stream, &state, clock());
    let seal = verify_seal(&seal(7), &root, &request).unwrap();
    state.raise(&seal);
    let payload = Some(seal.payload_digest());
    assert_eq!(
        state.floor(&stream),
        Some(Floor { sequence: sequence(7), payload, fresh_until: None })
    );
}

#[test]
fn malformed_states_are_refused() {
    let good = r#"{"_type":"treeseal:rollback-state/v1","rootVersion":3,"newestTime":"2026-05-01T12:00:00Z","streams":{"a":{"sequence":7}}}"#;
    assert!(RollbackState::from_bytes(good.as_bytes()).is_ok());
    for (old, new, code) in [
        ("state/v1", "state/v2", "field_value"),
        ("3", "-3", "field_range"),
        (":7", ":0", "field_range"),
        ("\"a\"", "\"/\"", "stream_name"),
        ("12:00:00Z", "12:00Z", "time_malformed"),
        (":7", ":7,\"payload\":\"ab\"", "hex_malformed"),
        (":7", ":7,\"x\":1", "field_unknown"),
        ("3,", "3,\"x\":1,", "field_unknown"),
        ("\"rootVersion\":3,", "", "field_missing"),
        ("}}}", "}}}x", "json_trailing_bytes"),
    ] {
        let text = good.replacen(old, new, 1);
        assert_eq!(RollbackState::from_bytes(text.as_bytes()).unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn a_clock_that_is_behind_is_named_when_something_seems_to_have_ended() {
    let (root, stream) = (common::trust_root(), stream());
    let state = |newest: &str| {
        let text = format!(
            r#"{{"_type":"treeseal:rollback-state/v1","newestTime":"{newest}","rootVersion":1,"streams":{{}}}}"#
        );
        RollbackState::from_bytes(text.as_bytes()).unwrap()
    };
    let verify =
        |newest| verify_seal(&seal(7), &root, &SealRequest::new(&stream, &state(newest), clock()));
    let accepted = verify("2029-12-31T23:59:59Z").unwrap();
    assert_eq!(accepted.expiry(), Expiry::Unknown);
    assert_eq!(
        message(&verify("2030-01-01T00:00:00Z").unwrap_err()),
        "the clock shows 2026-06-01T00:00:00Z, but something that was signed at \
         2030-01-01T00:00:00Z has been seen: set the clock, which is wrong; whether the trust root \
         has expired cannot be told by it"
    );
}

#[test]
fn each_role_of_a_rule_must_be_met_by_keys_of_its_own() {
    let stream = stream();
    let quantum = SigningKey::from_secret(KeyAlgorithm::MlDsa65, &[6; 32]).unwrap();
    let quantum_key = TufKey::new(quantum.public_key().clone());
    let mut content = root_content();
    content.set_role("post-quantum".parse().unwrap(), number(1), &[quantum_key]);
    let rules = &mut content.extension.as_mut().unwrap().streams;
    rules.get_mut(&STREAM.parse().unwrap()).unwrap().roles.push("post-quantum".parse().unwrap());
    let root = TrustRoot::pinned(&root_bytes(&content, &[1, 2])).unwrap();
    let verify = |keys: &[&SigningKey]| {
        let seal = sign_statement(&statement(7), keys).unwrap().to_bytes();
        verify_seal(&seal, &root, &SealRequest::first_contact(&stream, clock()))
    };
    let both = verify(&[&key(4), &quantum]).unwrap();
    let roles: Vec<&str> = both.signers().iter().map(|role| role.role().as_str()).collect();
    assert_eq!(roles, ["targets", "post-quantum"]);
    for alone in [key(4), quantum] {
        assert_eq!(verify(&[&alone]).unwrap_err().code(), "threshold");
    }
    // With one key in both roles one signature would do.
    content.set_role("post-quantum".parse().unwrap(), number(1), &[public(4)]);
    let error = RootFile::new(content).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the roles of the streams `{STREAM}` share the key {}: give them different keys",
            public(4).id()
        )
    );
}

#[test]
fn a_seal_that_is_kept_back_shows_by_freshness() {
    let stream = stream();
    let mut content = root_content();
    let rules = &mut content.extension.as_mut().unwrap().streams;
    let rule = rules.get_mut(&STREAM.parse().unwrap()).unwrap();
    rule.freshness = Some(FreshnessRule { role: RoleName::timestamp(), tolerance: 3600 });
    let root = TrustRoot::pinned(&root_bytes(&content, &[1, 2])).unwrap();
    let fresh = |number| {
        let statement = FreshStatement {
            stream: stream.clone(),
            payload: Sha256Digest::of(&statement(number).to_payload().unwrap()),
            sequence: sequence(number),
            created: "2026-06-01T00:00:00Z".parse().unwrap(),
            until: "2026-06-02T00:00:00Z".parse().unwrap(),
        };
        let mut envelope = Envelope::unsigned_freshness(&statement).unwrap();
        // TUF's other roles have the root keys, two of which must sign.
        envelope.sign(&key(1)).unwrap();
        envelope.sign(&key(2)).unwrap();
        envelope.to_bytes()
    };
    let verify = |fresh: Option<&[u8]>, state: &RollbackState, now: &str| {
        let clock = Clock::Trusted(now.parse().unwrap());
        let request = SealRequest::new(&stream, state, clock).with_freshness(fresh);
        verify_seal(&seal(7), &root, &request)
    };
    let mut state = RollbackState::default();
    assert_eq!(
        verify(None, &state, "2026-06-01T12:00:00Z").unwrap_err().code(),
        "freshness_missing"
    );
    let newer = verify(Some(&fresh(8)), &state, "2026-06-01T12:00:00Z").unwrap_err();
    assert_eq!(newer.code(), "not_current");
    assert!(message(&newer).ends_with("is current: a newer seal is kept back"), "{newer}");
    let seal = verify(Some(&fresh(7)), &state, "2026-06-01T12:00:00Z").unwrap();
    assert_eq!(seal.freshness().standing, Standing::Current);
    // It is remembered, so the statement may be missing for the time that the root tolerates.
    state.raise(&seal);
    assert_eq!(RollbackState::from_bytes(&state.to_bytes()).as_ref(), Ok(&state));
    let tolerated = verify(None, &state, "2026-06-02T01:00:00Z").unwrap();
    assert_eq!(tolerated.freshness().standing, Standing::Tolerated);
    let stale = verify(None, &state, "2026-06-02T01:00:01Z").unwrap_err();
    assert_eq!(
        message(&stale),
        "the proof that the seal is the newest expired at 2026-06-02T01:00:00Z, and it is \
         2026-06-02T01:00:01Z or later: get a newer one"
    );
}

#[test]
fn expiry_at_boot_is_reported_or_refused_as_the_root_says() {
    let stream = stream();
    let late = "2031-01-01T00:00:00Z".parse().unwrap();
    let request = SealRequest::first_contact(&stream, Clock::LowerBound(late));
    let mut content = root_content();
    for at_boot in [AtBoot::Warn, AtBoot::Refuse] {
        content.extension.as_mut().unwrap().at_boot = at_boot;
        let root = TrustRoot::pinned(&root_bytes(&content, &[1, 2])).unwrap();
        let text = "the trust root expired at 2030-01-01T00:00:00Z, and it is 2031-01-01T00:00:00Z \
                    or later";
        match verify_seal(&seal(7), &root, &request) {
            Ok(seal) => {
                assert_eq!(at_boot, AtBoot::Warn);
                let Expiry::Expired(expired) = seal.expiry() else { panic!() };
                assert_eq!(expired.to_string(), text);
            }
            Err(error) => {
                assert_eq!(at_boot, AtBoot::Refuse);
                assert_eq!(message(&error), format!("{text}: get a newer one"));
            }
        }
    }
}

#[test]
fn refusals_say_what_was_expected_and_what_was_found() {
    let (root, stream) = (common::trust_root(), stream());
    let refuse = |envelope: &[u8], request: &SealRequest<'_>| {
        message(&verify_seal(envelope, &root, request).unwrap_err())
    };
    let request = SealRequest::first_contact(&stream, clock());
    let other: Stream = "acme/os/x86_64/testing".parse().unwrap();
    assert_eq!(
        refuse(&seal(7), &SealRequest::first_contact(&other, clock())),
        "the trust root has no rule for the stream `acme/os/x86_64/testing`: nobody may seal it"
    );
    let mut testing = statement(7);
    testing.stream = other;
    assert_eq!(
        refuse(&sign_statement(&testing, &[&key(4)]).unwrap().to_bytes(), &request),
        "the seal is for the stream `acme/os/x86_64/testing`, expected `acme/os/x86_64/stable`"
    );
    let foreign: &SigningKey = &key(9);
    assert_eq!(
        refuse(&sign_statement(&statement(7), &[foreign]).unwrap().to_bytes(), &request),
        "the seal is not trusted: 0 of the role `targets`'s 2 keys signed this, 1 must: it is \
         signed by other keys or was changed after it was signed"
    );
    let other = Sha256Digest::of(b"other");
    let text = format!(
        r#"{{"_type":"treeseal:rollback-state/v1","rootVersion":0,"streams":{{"{STREAM}":{{"payload":"{other}","sequence":7}}}}}}"#
    );
    let state = RollbackState::from_bytes(text.as_bytes()).unwrap();
    let error =
        verify_seal(&seal(7), &root, &SealRequest::new(&stream, &state, clock())).unwrap_err();
    assert_eq!(error.code(), "sequence_reused");
    assert!(message(&error).ends_with("whoever seals the stream must use each sequence once"));
    assert_eq!(
        refuse(&seal(7), &request.not_below(sequence(8))),
        "the seal has sequence 7, but 8 was accepted before: it is an older tree"
    );
    assert_eq!(refuse(b"{}", &request), "the seal is malformed: /payloadType is missing");
    assert_eq!(
        refuse(b"[]", &request),
        "the seal is malformed: the document must be an object, found an array"
    );
}
