//! Keys on tokens of SoftHSM, made with the tools that owners of tokens use. What SoftHSM never does
//! (being locked or pulled out, signing wrongly) is done by a module that passes all else on to it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use treeseal_testkit::{counter_words, program, run};
use treeseal_token::{PinTries, TokenError, TokenKey, TokenSummary, TokenUri};

use world::{MODULE, PIN, SoftHsm, alone, open, open_through, open_with, pin};

const ED25519: &str = "EC:edwards25519";
const P256: &str = "EC:prime256v1";

/// Lengths around those that a token's buffers could have.
const LENGTHS: [usize; 7] = [0, 1, 31, 32, 4096, 65_537, 300_000];

#[test]
fn keys_of_both_types_sign() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "edwards", "01");
        softhsm.key("A", P256, "nist", "02");
        for (object, scheme) in [("edwards", "ed25519"), ("nist", "ecdsa-sha2-nistp256")] {
            let key = open(&format!("pkcs11:token=A;object={object}")).unwrap();
            assert_eq!(key.public_key().algorithm().scheme(), scheme);
            for length in LENGTHS {
                let message = &counter_words(300_000)[..length];
                let signature = key.sign(message).unwrap();
                assert_eq!(key.public_key().verify(message, &signature), Ok(()));
                assert!(key.public_key().verify(b"another message", &signature).is_err());
            }
        }
    });
}

#[test]
fn openssl_verifies_the_signatures_with_the_key_that_pkcs11_tool_exports() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "nist", "02");
        let key = open("pkcs11:token=A;id=%02").unwrap();
        let pem = exported_pem(softhsm, "02");
        assert_eq!(fs::read_to_string(&pem).unwrap(), key.public_key().to_pem());
        // r or s is one byte shorter in DER once in a hundred times, and one longer half of the time.
        for number in 0..20 {
            let message = softhsm.file("message");
            let signature = softhsm.file("signature");
            fs::write(&message, format!("message {number}")).unwrap();
            fs::write(&signature, key.sign(&fs::read(&message).unwrap()).unwrap()).unwrap();
            let mut openssl = Command::new(program("openssl", "openssl"));
            openssl.args(["dgst", "-sha256", "-verify"]).arg(&pem).arg("-signature");
            let output = run(openssl.arg(&signature).arg(&message));
            assert_eq!(output.stdout, b"Verified OK\n");
        }
    });
}

#[test]
fn openssl_verifies_ed25519_signatures() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "edwards", "01");
        let key = open("pkcs11:token=A;id=%01").unwrap();
        let [pem, message, signature] = ["pem", "message", "signature"].map(|n| softhsm.file(n));
        fs::write(&pem, key.public_key().to_pem()).unwrap();
        fs::write(&message, "message").unwrap();
        fs::write(&signature, key.sign(b"message").unwrap()).unwrap();
        let mut openssl = Command::new(program("openssl", "openssl"));
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(&pem);
        openssl.arg("-in").arg(&message).arg("-sigfile").arg(&signature);
        assert_eq!(run(&mut openssl).stdout, b"Signature Verified Successfully\n");
    });
}

#[test]
fn a_wrong_pin_is_given_to_the_token_once() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        let logins = softhsm.file("logins");
        let module = softhsm.faulty(&[format!("LOGINS=\"{}\"", logins.display())]);

        let mut prompts = Vec::new();
        let error = open_with(&module, "pkcs11:token=A", &mut |prompt| {
            prompts.push((prompt.token.label.clone(), prompt.tries));
            Ok(pin("0000"))
        });
        let error = error.unwrap_err();
        assert!(matches!(error, TokenError::WrongPin { tries: PinTries::Fewer, .. }));
        let text = error.to_string();
        assert!(text.starts_with("the PIN for the token \"A\" (serial "), "{text}");
        assert!(
            text.ends_with(
                "is wrong, and is not tried again; the token has fewer tries left than usual"
            ),
            "{text}"
        );
        assert_eq!(prompts, [("A".to_owned(), PinTries::Unknown)]);
        assert_eq!(fs::read_to_string(&logins).unwrap(), "login\n");

        // The next prompt can say that something went wrong before; the right PIN still opens.
        let mut tries = None;
        let key = open_with(&module, "pkcs11:token=A", &mut |prompt| {
            tries = Some(prompt.tries);
            Ok(pin(PIN))
        });
        assert_eq!(tries, Some(PinTries::Fewer));
        key.unwrap().sign(b"message").unwrap();
    });
}

#[test]
fn a_pin_that_nobody_gives_is_not_tried() {
    alone(|softhsm| {
        softhsm.token("A");
        let logins = softhsm.file("logins");
        let module = softhsm.faulty(&[format!("LOGINS=\"{}\"", logins.display())]);

        let error = open_with(&module, "pkcs11:token=A", &mut |_| Err("no terminal".into()));
        let error = error.unwrap_err();
        assert!(error.to_string().ends_with("wants a PIN, and none was given"), "{error}");
        let TokenError::NoPin { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), "no terminal");

        let error = open_with(&module, "pkcs11:token=A", &mut |_| Ok(pin(""))).unwrap_err();
        assert!(error.to_string().ends_with("is empty; it was not given to the token"), "{error}");
        assert!(!logins.exists());
    });
}

#[test]
fn a_locked_token_is_not_asked() {
    alone(|softhsm| {
        softhsm.token("A");
        // CKF_USER_PIN_LOCKED
        let module = softhsm.faulty(&["FLAGS=0x40000".to_owned()]);
        let error = open_with(&module, "pkcs11:token=A", &mut |_| panic!("a PIN was asked for"));
        let error = error.unwrap_err();
        assert!(matches!(error, TokenError::PinLocked { .. }));
        assert!(error.to_string().contains("unlock it as its security officer"), "{error}");
    });
}

#[test]
fn a_token_that_turns_out_to_be_locked_says_so() {
    alone(|softhsm| {
        softhsm.token("A");
        // CKR_PIN_LOCKED; CKF_USER_PIN_FINAL_TRY
        let module =
            softhsm.faulty(&["LOGIN_ANSWER=0xa4UL".to_owned(), "FLAGS=0x20000".to_owned()]);
        let mut tries = None;
        let error = open_with(&module, "pkcs11:token=A", &mut |prompt| {
            tries = Some(prompt.tries);
            Ok(pin(PIN))
        });
        assert!(matches!(error.unwrap_err(), TokenError::PinLocked { .. }));
        assert_eq!(tries, Some(PinTries::Last));
    });
}

#[test]
fn a_token_with_a_keypad_is_given_no_pin() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        // CKF_PROTECTED_AUTHENTICATION_PATH
        let module = softhsm.faulty(&["FLAGS=0x100".to_owned(), format!("KEYPAD=\"{PIN}\"")]);
        let key = open_with(&module, "pkcs11:token=A", &mut |_| panic!("a PIN was asked for"));
        key.unwrap().sign(b"message").unwrap();
    });
}

#[test]
fn a_pin_that_is_not_typed_on_the_keypad_is_none() {
    alone(|softhsm| {
        softhsm.token("A");
        // CKR_FUNCTION_CANCELED
        let module = softhsm.faulty(&["FLAGS=0x100".to_owned(), "LOGIN_ANSWER=0x50UL".to_owned()]);
        let error = open_with(&module, "pkcs11:token=A", &mut |_| panic!("a PIN was asked for"));
        let TokenError::NoPin { source, .. } = error.unwrap_err() else { panic!() };
        assert_eq!(source.to_string(), "C_Login answered FunctionCanceled");
    });
}

#[test]
fn a_pin_that_must_be_changed_is_reported_as_one() {
    alone(|softhsm| {
        softhsm.token("A");
        // CKR_PIN_EXPIRED
        let module = softhsm.faulty(&["LOGIN_ANSWER=0xa3UL".to_owned()]);
        let error = open_through(&module, "pkcs11:token=A").unwrap_err();
        assert!(matches!(error, TokenError::PinExpired { .. }), "{error}");
        assert!(error.to_string().ends_with("`pkcs11-tool --change-pin`"), "{error}");
    });
}

#[test]
fn other_failures_name_what_was_done_and_the_answer() {
    alone(|softhsm| {
        softhsm.token("A");
        // CKR_DEVICE_ERROR
        let module = softhsm.faulty(&["LOGIN_ANSWER=0x30UL".to_owned()]);
        let error = open_through(&module, "pkcs11:token=A").unwrap_err();
        assert!(error.to_string().starts_with("logging in failed on the token \"A\""), "{error}");
        let TokenError::Token { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), "C_Login answered DeviceError");
    });
}

#[test]
fn a_token_without_a_user_pin_is_refused() {
    alone(|_| {
        let mut pkcs11_tool = Command::new(program("pkcs11-tool", "opensc"));
        pkcs11_tool.args(["--module", MODULE, "--init-token", "--slot-index", "0"]);
        run(pkcs11_tool.args(["--label", "A", "--so-pin", "0815"]));
        let error = open("pkcs11:token=A").unwrap_err();
        assert!(matches!(error, TokenError::PinNotSet { .. }), "{error}");
    });
}

#[test]
fn a_module_without_tokens_is_reported_as_one() {
    alone(|_| {
        let text = open("pkcs11:token=B").unwrap_err().to_string();
        assert_eq!(
            text,
            "no token matches `pkcs11:token=B`: the module sees no token at all; is it plugged in?"
        );
    });
}

#[test]
fn a_missing_token_is_reported_with_those_that_are_there() {
    alone(|softhsm| {
        softhsm.token("A");
        let error = open("pkcs11:token=B").unwrap_err();
        let TokenError::NoToken { found, .. } = &error else { panic!("{error}") };
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].label, "A");
        assert_eq!(
            error.to_string(),
            format!("no token matches `pkcs11:token=B`: the module sees {}", found[0])
        );
    });
}

#[test]
fn two_tokens_of_one_label_are_told_apart_by_serial() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        softhsm.token("A");
        let error = open("pkcs11:token=A").unwrap_err();
        assert!(error.to_string().contains("name one by `serial`; there are \"A\""), "{error}");
        let TokenError::SeveralTokens { found, .. } = error else { panic!("{error}") };
        assert_eq!(found.len(), 2);

        let by_serial = |token: &TokenSummary| format!("pkcs11:token=A;serial={}", token.serial);
        let by_slot = |token: &TokenSummary| format!("pkcs11:slot-id={}", token.slot);
        for uris in [found.iter().map(by_serial).collect(), found.iter().map(by_slot).collect()] {
            let uris: Vec<String> = uris;
            // The key is on one of them alone.
            let results = uris.iter().map(|uri| open(uri).map(|key| key.token().clone()));
            let (with, without): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
            assert!(found.contains(with[0].as_ref().unwrap()));
            assert!(matches!(without[..], [Err(TokenError::NoKey { .. })]), "{without:?}");
        }
    });
}

#[test]
fn a_token_is_also_known_by_what_it_is() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        assert!(open("pkcs11:manufacturer=SoftHSM%20project;model=SoftHSM%20v2").is_ok());
        for uri in ["pkcs11:manufacturer=SoftHSM", "pkcs11:model=SoftHSM%20v3", "pkcs11:slot-id=1"]
        {
            assert!(matches!(open(uri).unwrap_err(), TokenError::NoToken { .. }), "{uri}");
        }
    });
}

#[test]
fn a_missing_key_is_reported_with_those_that_are_there() {
    alone(|softhsm| {
        softhsm.token("A");
        let text = open("pkcs11:token=A;object=seal").unwrap_err().to_string();
        assert!(text.ends_with("it has none; make one with `pkcs11-tool --keypairgen`"), "{text}");
        softhsm.key("A", ED25519, "release", "0102");
        for uri in ["pkcs11:token=A;object=seal", "pkcs11:object=release;id=%01"] {
            let error = open(uri).unwrap_err();
            assert!(matches!(error, TokenError::NoKey { .. }), "{error}");
            let text = error.to_string();
            let there = "there are \"release\" (id 0102, CKK_EC_EDWARDS)";
            assert!(text.ends_with(&format!("matches `{uri}`: {there}")), "{text}");
        }
    });
}

#[test]
fn two_keys_of_one_label_are_told_apart_by_id() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "seal", "01");
        softhsm.key("A", P256, "seal", "02");
        let error = open("pkcs11:token=A;object=seal").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TokenError::SeveralKeys { .. }), "{text}");
        for part in ["name one by `id`", "\"seal\" (id 01, CKK_EC)", "\"seal\" (id 02, CKK_EC)"] {
            assert!(text.contains(part), "{text}");
        }

        let one = open("pkcs11:token=A;object=seal;id=%01").unwrap();
        let two = open("pkcs11:token=A;object=seal;id=%02").unwrap();
        assert_ne!(one.public_key(), two.public_key());
        let signature = one.sign(b"message").unwrap();
        assert!(two.public_key().verify(b"message", &signature).is_err());
    });
}

#[test]
fn a_key_that_may_not_sign_is_refused() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "k", "01");
        softhsm.forbid_signing(&[1]);
        let error = open("pkcs11:token=A;object=k").unwrap_err();
        assert!(matches!(error, TokenError::KeyMayNotSign { .. }));
        let text = error.to_string();
        let there = "there matches \"k\" (id 01, CKK_EC, may not sign)";
        assert!(text.contains("may not sign (CKA_SIGN)") && text.ends_with(there), "{text}");
    });
}

#[test]
fn a_key_that_may_not_sign_is_passed_over_for_one_that_may() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "k", "01");
        softhsm.key("A", P256, "k", "02");
        softhsm.forbid_signing(&[1]);
        let key = open("pkcs11:token=A;object=k").unwrap();
        assert_eq!(key.public_key().to_pem(), read(&exported_pem(softhsm, "02")));
    });
}

#[test]
fn a_key_that_wants_its_pin_each_time_is_refused() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key_with("A", P256, "k", "01", &["--always-auth"]);
        let error = open("pkcs11:token=A").unwrap_err();
        assert!(matches!(error, TokenError::AsksEachTime { .. }), "{error}");
        assert!(error.to_string().contains("CKA_ALWAYS_AUTHENTICATE"), "{error}");
    });
}

#[test]
fn keys_that_seals_are_not_signed_with_are_refused() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", "rsa:2048", "rsa", "01");
        softhsm.key("A", "EC:secp384r1", "p384", "02");
        let error = open("pkcs11:token=A;object=rsa").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the private key \"rsa\" (id 01, CKK_RSA) is of no type that seals are signed with: \
             make an Ed25519 or P-256 key, with `pkcs11-tool --keypairgen --key-type \
             EC:edwards25519` or `EC:prime256v1`"
        );
        let error = open("pkcs11:token=A;object=p384").unwrap_err();
        assert!(matches!(error, TokenError::UnsupportedKey { .. }));
        assert!(error.to_string().contains("(curve 06052b81040022 in DER)"), "{error}");
    });
}

#[test]
fn a_key_without_its_public_half_is_refused() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "0a0b");
        softhsm.pkcs11_tool("A", &["--delete-object", "--type", "pubkey", "--id", "0a0b"]);
        let error = open("pkcs11:token=A").unwrap_err();
        assert!(matches!(error, TokenError::NoPublicKey { .. }));
        assert!(error.to_string().ends_with("--type pubkey --id 0a0b`"), "{error}");
    });
}

#[test]
fn the_public_half_is_also_read_from_the_private_key() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "k", "01");
        let expected = open("pkcs11:token=A").unwrap().public_key().to_pem();
        softhsm.pkcs11_tool("A", &["--set-id", "02", "--type", "pubkey", "--id", "01"]);
        let error = open("pkcs11:token=A").unwrap_err();
        assert!(matches!(error, TokenError::NoPublicKey { .. }), "{error}");

        let module = softhsm.faulty(&["PRIVATE_KEYS_SHOW_POINTS".to_owned()]);
        let key = open_through(&module, "pkcs11:token=A").unwrap();
        assert_eq!(key.public_key().to_pem(), expected);
        key.sign(b"message").unwrap();
    });
}

#[test]
fn the_public_half_of_another_key_is_found_out() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "k", "01");
        softhsm.key("A", P256, "other", "02");
        let other = exported(softhsm, "02");
        let other = other.to_str().unwrap();
        let write = ["--write-object", other, "--type", "pubkey", "--id", "01", "--label", "wrong"];
        softhsm.pkcs11_tool("A", &write);
        let error = open("pkcs11:token=A;id=%01").unwrap_err();
        assert!(matches!(error, TokenError::SeveralPublicKeys { .. }), "{error}");

        let delete = ["--delete-object", "--type", "pubkey", "--id", "01", "--label", "k"];
        softhsm.pkcs11_tool("A", &delete);
        let error = open("pkcs11:token=A;id=%01").unwrap().sign(b"message").unwrap_err();
        assert!(matches!(error, TokenError::WrongSignature { .. }), "{error}");
    });
}

#[test]
fn a_token_that_signs_wrongly_is_found_out() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "nist", "01");
        softhsm.key("A", ED25519, "edwards", "02");
        let module = softhsm.faulty(&["WRONG_SIGNATURE".to_owned()]);
        for id in ["%01", "%02"] {
            let key = open_through(&module, &format!("pkcs11:token=A;id={id}")).unwrap();
            let error = key.sign(b"message").unwrap_err();
            assert!(matches!(error, TokenError::WrongSignature { .. }), "{error}");
            assert!(error.to_string().ends_with("the signature was thrown away"), "{error}");
        }
    });
}

#[test]
fn a_signature_of_another_length_is_found_out() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "nist", "01");
        softhsm.key("A", ED25519, "edwards", "02");
        let module = softhsm.faulty(&["SHORT_SIGNATURE".to_owned()]);
        for id in ["%01", "%02"] {
            let key = open_through(&module, &format!("pkcs11:token=A;id={id}")).unwrap();
            let error = key.sign(b"message").unwrap_err();
            assert!(matches!(error, TokenError::WrongSignature { .. }), "{error}");
        }
    });
}

#[test]
fn a_token_that_is_pulled_out_says_so() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", P256, "k", "01");
        // CKR_DEVICE_REMOVED
        let module = softhsm.faulty(&["SIGN_ANSWER=0x32UL".to_owned()]);
        let key = open_through(&module, "pkcs11:token=A").unwrap();
        let error = key.sign(b"message").unwrap_err();
        assert!(error.to_string().ends_with("nothing was signed"), "{error}");
        let TokenError::Removed { token, source } = error else { panic!("{error}") };
        assert_eq!(token.label, "A");
        assert_eq!(source.to_string(), "C_Sign answered DeviceRemoved");
    });
}

#[test]
fn a_token_whose_files_go_away_gives_an_error() {
    alone(|softhsm| {
        softhsm.token("A");
        for (key_type, id) in [(ED25519, "01"), (P256, "02")] {
            softhsm.key("A", key_type, "k", id);
        }
        let keys = ["%01", "%02"].map(|id| open(&format!("pkcs11:id={id}")).unwrap());
        for key in &keys {
            key.sign(b"message").unwrap();
        }
        fs::remove_dir_all(softhsm.tokens()).unwrap();
        for key in &keys {
            let error = key.sign(b"message").unwrap_err();
            assert!(matches!(error, TokenError::Removed { .. }), "{error:?}");
        }
    });
}

#[test]
fn a_token_that_takes_short_messages_names_the_way_out() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        // CKR_DATA_LEN_RANGE
        let module = softhsm.faulty(&["SIGN_ANSWER=0x21UL".to_owned()]);
        let error = open_through(&module, "pkcs11:token=A").unwrap().sign(&[0; 5000]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("does not sign a message of 5000 bytes: use a P-256 key"), "{text}");
    });
}

#[test]
fn two_keys_of_one_token_want_one_pin() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "one", "01");
        softhsm.key("A", P256, "two", "02");
        let mut asked = 0;
        let mut open_counted = |uri: &str| {
            open_with(Path::new(MODULE), uri, &mut |_| {
                asked += 1;
                Ok(pin(PIN))
            })
            .unwrap()
        };
        let one = open_counted("pkcs11:object=one");
        let two = open_counted("pkcs11:object=two");
        drop(one);
        two.sign(b"message").unwrap();
        drop(two);
        // With the last key the login ended.
        open_counted("pkcs11:object=one").sign(b"message").unwrap();
        assert_eq!(asked, 2);
    });
}

#[test]
fn a_key_can_move_to_another_thread() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        let key = open("pkcs11:token=A").unwrap();
        let signing = thread::spawn(move || {
            let signature = key.sign(b"message").unwrap();
            (key, signature)
        });
        let (key, signature) = signing.join().unwrap();
        assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
    });
}

#[test]
fn the_module_of_the_uri_comes_before_the_callers() {
    alone(|softhsm| {
        softhsm.token("A");
        softhsm.key("A", ED25519, "k", "01");
        let open = |uri: &str, module: Option<&Path>| {
            TokenKey::open(&uri.parse::<TokenUri>().unwrap(), module, &mut |_| Ok(pin(PIN)))
        };
        let named = format!("pkcs11:token=A?module-path={MODULE}");
        assert!(open(&named, None).is_ok());
        assert!(open(&named, Some(Path::new("/nonexistent.so"))).is_ok());
        let error = open("pkcs11:token=A", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing says which PKCS#11 module knows the token: add its path to the token URI, \
             like `?module-path=/usr/lib/softhsm/libsofthsm2.so`"
        );
    });
}

#[test]
fn what_is_no_module_is_refused() {
    alone(|softhsm| {
        let refused = |module: &Path| open_through(module, "pkcs11:token=A").unwrap_err();

        let error = refused(Path::new("/nonexistent/module.so"));
        assert!(matches!(error, TokenError::ModuleMissing { .. }));
        assert_eq!(
            error.to_string(),
            "the PKCS#11 module `/nonexistent/module.so` cannot be found: install the token's \
             software, or correct `module-path`"
        );

        let error = refused(Path::new("libsofthsm2.so"));
        assert!(matches!(error, TokenError::ModuleNotAbsolute { .. }), "{error}");

        let text = softhsm.file("text.so");
        fs::write(&text, "no library").unwrap();
        assert!(matches!(refused(&text), TokenError::NotAModule { .. }));
        assert!(matches!(refused(Path::new("/")), TokenError::NotAModule { .. }));

        let source = softhsm.file("other.c");
        fs::write(&source, "int answer(void) { return 42; }\n").unwrap();
        let error = refused(&softhsm.compile(&source, &[]));
        let TokenError::NotAModule { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), "it has no function C_GetFunctionList");
    });
}

/// The public key that pkcs11-tool reads from the token, in DER.
fn exported(softhsm: &SoftHsm, id: &str) -> PathBuf {
    let file = softhsm.file("public.der");
    let output = file.to_str().unwrap();
    softhsm.pkcs11_tool("A", &["--read-object", "--type", "pubkey", "--id", id, "-o", output]);
    file
}

/// The same, in PEM.
fn exported_pem(softhsm: &SoftHsm, id: &str) -> PathBuf {
    let file = softhsm.file("public.pem");
    let mut openssl = Command::new(program("openssl", "openssl"));
    openssl.args(["pkey", "-pubin", "-inform", "DER", "-in"]).arg(exported(softhsm, id));
    run(openssl.arg("-pubout").arg("-out").arg(&file));
    file
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
