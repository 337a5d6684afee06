use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::digest::Sha256Digest;
use crate::freshness::FreshStatement;
use crate::json::{self, Json, JsonError};
use crate::key::{SignatureError, TufKey};
use crate::schema::{Node, SchemaError, check_length};
use crate::signing::SigningKey;
use crate::statement::{self, Statement, StatementError};
use crate::threshold::{Claim, Signature, SignedMessage};

/// The type of the payload: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Bytes of an envelope. Base64 of the largest payload takes a third of it.
pub const MAX_ENVELOPE_SIZE: usize = 256 * 1024;

/// Signatures in an envelope or a root: 32 keys of a role, and as many of the one before.
pub(crate) const MAX_SIGNATURES: usize = 64;

/// Bytes of one signature. The longest in sight, ML-DSA-65, has 3309.
pub(crate) const MAX_SIGNATURE_SIZE: usize = 4096;

/// A DSSE envelope as it was read or is being made. Nothing in it is trusted.
///
/// [`verify_seal`](crate::verify_seal) makes trusted data of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// A signature in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// The hint on whose it is, in whatever form the signer's tool likes; may be empty.
    pub key_hint: String,
    /// The bytes, in the form of the key's algorithm.
    pub bytes: Vec<u8>,
}

/// The bytes are no envelope, or a signature does not belong into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The envelope is not the strict JSON that is read here.
    #[error("the seal is malformed: {0}")]
    Json(#[from] JsonError),
    /// The envelope lacks a field or has one of the wrong kind.
    #[error("the seal is malformed: {0}")]
    Schema(#[from] SchemaError),
    /// The payload is not a statement.
    #[error("the seal's payload is of type `{found}`, expected `{PAYLOAD_TYPE}`")]
    PayloadType {
        /// The type that the envelope names.
        found: String,
    },
    /// The payload or a signature is not base64.
    #[error("{path} of the seal is not base64")]
    Base64 {
        /// Which field.
        path: String,
    },
    /// The signature to be added is not by the key over this payload.
    #[error(
        "the signature to attach is not by this key over this seal: sign exactly the bytes of the \
         signing request ({0})"
    )]
    Attach(#[from] SignatureError),
}

impl EnvelopeError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Schema(error) => error.code(),
            Self::PayloadType { .. } => "payload_type",
            Self::Base64 { .. } => "base64",
            Self::Attach(_) => "signature",
        }
    }
}

impl Envelope {
    /// An envelope over `statement` that nobody has signed yet.
    pub fn unsigned(statement: &Statement) -> Result<Self, StatementError> {
        Ok(Self { payload: statement.to_payload()?, signatures: Vec::new() })
    }

    /// An envelope over a freshness statement that nobody has signed yet.
    pub fn unsigned_freshness(statement: &FreshStatement) -> Result<Self, StatementError> {
        Ok(Self { payload: statement.to_payload()?, signatures: Vec::new() })
    }

    /// Reads an envelope.
    ///
    /// As DSSE demands, fields that it does not know are ignored here: nothing outside the payload
    /// is signed, so nothing there can matter. Both base64 alphabets are read, with or without
    /// padding.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut fields = Node::top(json::parse(bytes, MAX_ENVELOPE_SIZE)?).fields()?;
        let found = fields.required("payloadType")?.string()?;
        if found != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType { found });
        }
        let payload = fields.required("payload")?;
        let path = payload.path.clone();
        let payload = base64(payload)?;
        check_length(&path, 1, statement::MAX_PAYLOAD_SIZE, payload.len())?;
        let signatures = fields.required("signatures")?.items(MAX_SIGNATURES)?;
        let signatures = signatures.into_iter().map(signature).collect::<Result<_, _>>()?;
        Ok(Self { payload, signatures })
    }

    /// The envelope as compact JSON, standard base64 with padding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signature = |signature: &EnvelopeSignature| {
            Json::object([
                ("keyid", signature.key_hint.as_str().into()),
                ("sig", STANDARD.encode(&signature.bytes).into()),
            ])
        };
        let envelope = Json::object([
            ("payload", STANDARD.encode(&self.payload).into()),
            ("payloadType", PAYLOAD_TYPE.into()),
            ("signatures", Json::Array(self.signatures.iter().map(signature).collect())),
        ]);
        envelope.to_text().into_bytes()
    }

    /// The bytes that are signed: DSSE's pre-authentication encoding of type and payload.
    ///
    /// Whoever signs apart from the build signs these and [attaches](Self::attach) the result.
    pub fn pae_bytes(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &self.payload)
    }

    /// The statement's bytes. They say nothing before the seal is verified.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the payload, which names the statement in floors and audit chains.
    pub fn payload_digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.payload)
    }

    /// The signatures as they were found.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// Signs with `key`, unless its signature is there already.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), EnvelopeError> {
        let signature = key.sign(&self.pae_bytes());
        self.attach(&TufKey::new(key.public_key().clone()), &signature)
    }

    /// Adds a signature that `key` made elsewhere over [`Envelope::pae_bytes`], after checking it.
    ///
    /// Does nothing if a signature by that key is there already.
    pub fn attach(&mut self, key: &TufKey, signature: &[u8]) -> Result<(), EnvelopeError> {
        let message = self.pae_bytes();
        key.public().verify(&message, signature)?;
        let signed =
            |old: &EnvelopeSignature| matches!(key.public().verify(&message, &old.bytes), Ok(()));
        if self.signatures.iter().any(signed) {
            return Ok(());
        }
        check_length("/signatures", 0, MAX_SIGNATURES, self.signatures.len() + 1)?;
        let key_hint = key.id().to_string();
        self.signatures.push(EnvelopeSignature { key_hint, bytes: signature.to_vec() });
        Ok(())
    }

    /// The envelope for counting.
    pub(crate) fn signed_message(&self) -> SignedMessage {
        let signature = |found: &EnvelopeSignature| {
            let hint = found.key_hint.clone();
            Signature { claim: Claim::Anyone { hint }, bytes: found.bytes.clone() }
        };
        SignedMessage::new(self.pae_bytes(), self.signatures.iter().map(signature).collect())
    }
}

/// Makes a statement and signs it with all of `keys`.
pub fn sign_statement(
    statement: &Statement,
    keys: &[&SigningKey],
) -> Result<Envelope, SignStatementError> {
    let mut envelope = Envelope::unsigned(statement)?;
    for key in keys {
        envelope.sign(key)?;
    }
    Ok(envelope)
}

/// A statement cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignStatementError {
    /// The statement breaks a rule of its format.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// There are more keys than an envelope has room for.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// DSSE 1.0.2: `PAE(type, body) = "DSSEv1" + SP + LEN(type) + SP + type + SP + LEN(body) + SP + body`
fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn signature(node: Node) -> Result<EnvelopeSignature, EnvelopeError> {
    let mut fields = node.fields()?;
    // DSSE: "An unset field MUST be treated the same as set-but-empty."
    let key_hint = fields.optional("keyid").map_or(Ok(String::new()), Node::string)?;
    let node = fields.required("sig")?;
    let path = node.path.clone();
    let bytes = base64(node)?;
    check_length(&path, 1, MAX_SIGNATURE_SIZE, bytes.len())?;
    Ok(EnvelopeSignature { key_hint, bytes })
}

/// "Either standard or URL-safe base64 encodings are allowed. Signers may use either, and verifiers
/// MUST accept either." One text is in one of them, padded or not; bits after the
/// last byte must be zero.
fn base64(node: Node) -> Result<Vec<u8>, EnvelopeError> {
    const PADDED: GeneralPurposeConfig = GeneralPurposeConfig::new();
    const BARE: GeneralPurposeConfig =
        PADDED.with_decode_padding_mode(DecodePaddingMode::RequireNone);
    const ENGINES: [GeneralPurpose; 4] = [
        GeneralPurpose::new(&alphabet::STANDARD, PADDED),
        GeneralPurpose::new(&alphabet::STANDARD, BARE),
        GeneralPurpose::new(&alphabet::URL_SAFE, PADDED),
        GeneralPurpose::new(&alphabet::URL_SAFE, BARE),
    ];
    let path = node.path.clone();
    let text = node.string()?;
    ENGINES
        .iter()
        .find_map(|engine| engine.decode(&text).ok())
        .ok_or(EnvelopeError::Base64 { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Envelope, EnvelopeError> {
        Envelope::parse(text.as_bytes())
    }

    fn with_payload(payload: &str) -> String {
        format!(r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"{payload}","signatures":[]}}"#)
    }

    #[test]
    fn the_pre_authentication_encoding_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        for payload in ["+/+/+w==", "-_-_-w==", "+/+/+w", "-_-_-w"] {
            assert_eq!(parse(&with_payload(payload)).unwrap().payload(), [0xfb, 0xff, 0xbf, 0xfb]);
        }
        for payload in ["+/-_", "+/+/+x==", "+/+/+w=", "+/+/+w===", "+/+\\n/+w==", " +/+/"] {
            let error = parse(&with_payload(payload)).unwrap_err();
            assert_eq!(error.to_string(), "/payload of the seal is not base64", "{payload}");
        }
    }

    #[test]
    fn unknown_fields_outside_the_payload_are_ignored() {
        let text = format!(
            r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"QQ==","new":1,
            "signatures":[{{"sig":"QQ==","cert":"x"}}]}}"#
        );
        let envelope = parse(&text).unwrap();
        let signature = EnvelopeSignature { key_hint: String::new(), bytes: b"A".to_vec() };
        assert_eq!(envelope.signatures(), [signature]);
        assert_eq!(Envelope::parse(&envelope.to_bytes()), Ok(envelope));
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let payload = STANDARD.encode(vec![b' '; statement::MAX_PAYLOAD_SIZE + 1]);
        assert_eq!(
            parse(&with_payload(&payload)).unwrap_err().to_string(),
            "the seal is malformed: /payload must have a length from 1 to 65536, found 65537"
        );
        assert_eq!(parse(&with_payload("")).unwrap_err().code(), "field_length");
        let signatures = vec![r#"{"sig":"QQ=="}"#; 65].join(",");
        let text = with_payload("QQ==").replace("[]", &format!("[{signatures}]"));
        assert_eq!(parse(&text).unwrap_err().code(), "field_length");
        let large = " ".repeat(MAX_ENVELOPE_SIZE + 1);
        assert_eq!(parse(&large).unwrap_err().code(), "json_too_large");
    }

    #[test]
    fn another_payload_type_is_refused() {
        let text = with_payload("QQ==").replace("in-toto+json", "tuf+json");
        assert_eq!(
            parse(&text).unwrap_err().to_string(),
            "the seal's payload is of type `application/vnd.tuf+json`, expected \
             `application/vnd.in-toto+json`"
        );
    }

    #[test]
    fn only_a_signature_by_the_named_key_can_be_attached_and_only_once() {
        let mut envelope = parse(&with_payload("QQ==")).unwrap();
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let signature = key.sign(&envelope.pae_bytes());
        let error =
            envelope.attach(&TufKey::new(other.public_key().clone()), &signature).unwrap_err();
        assert_eq!(error, EnvelopeError::Attach(SignatureError::Mismatch));
        envelope.attach(&TufKey::new(key.public_key().clone()), &signature).unwrap();
        envelope.sign(&key).unwrap();
        assert_eq!(envelope.signatures().len(), 1);
        assert_eq!(envelope.signatures()[0].key_hint, key.key_id().to_string());
    }
}
