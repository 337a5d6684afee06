//! Private keys in files: encrypted PKCS#8 (RFC 5958) with PBES2 (RFC 8018), scrypt (RFC 7914) and
//! AES-256-CBC, in PEM.
//!
//! One scheme is written and read. The usual default of other tools, PBKDF2 with few rounds, gives
//! a stolen file away too cheaply; it is refused with the command that converts it.

use ed25519_dalek::pkcs8::{EncodePrivateKey as _, KeypairBytes};
use pkcs8::der::{Decode as _, EncodePem as _, pem::LineEnding};
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, ScryptParams};
use pkcs8::pkcs5::{EncryptionScheme, scrypt};
use pkcs8::{Document, EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use crate::signing::SigningKey;

/// What must be fresh and random for each key file that is written.
#[derive(Clone, Copy, Debug)]
pub struct KeyFileRandom {
    /// The salt of scrypt.
    pub salt: [u8; 16],
    /// The initialisation vector of AES-256-CBC.
    pub iv: [u8; 16],
}

/// A private key cannot be read from its file or written to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The text is longer than any key file.
    #[error("the text has {found} bytes; a key file has at most {MAX_FILE_SIZE}")]
    TooLarge {
        /// Number of bytes in the text.
        found: usize,
    },
    /// The key lies in the file unencrypted.
    #[error("the private key is not encrypted: {CONVERT}")]
    NotEncrypted,
    /// The file is no PEM text of an encrypted private key.
    #[error("the text is not an encrypted private key in PEM: {CONVERT}")]
    Malformed,
    /// The key is encrypted in another way than the one that is read here.
    #[error("the private key is not encrypted with scrypt and AES-256-CBC: {CONVERT}")]
    Scheme,
    /// Opening the file would take more memory or time than is sensible.
    #[error(
        "scrypt with N={cost}, r={block_size}, p={parallelization} needs more memory or time than \
         allowed (128 N r <= {MAX_MEMORY} bytes, N r p <= {MAX_WORK}): encrypt the key again with \
         smaller ones"
    )]
    TooCostly {
        /// scrypt's N.
        cost: u64,
        /// scrypt's r.
        block_size: u64,
        /// scrypt's p.
        parallelization: u64,
    },
    /// The password is wrong, or the file is damaged; nothing can tell which.
    #[error("the private key cannot be decrypted: the password is wrong or the file damaged")]
    Decrypt,
    /// What was encrypted is no Ed25519 private key.
    #[error(
        "the file does not hold an Ed25519 private key: make one with `openssl genpkey -algorithm ed25519`"
    )]
    NotEd25519,
    /// A password of no characters protects nothing.
    #[error("the password is empty")]
    EmptyPassword,
    /// The library could not encrypt.
    #[error("the private key cannot be encrypted")]
    Encrypt,
}

const CONVERT: &str =
    "convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -scrypt -in KEY -out NEWKEY`";

/// Bytes of a key file. One with an Ed25519 key has some 400.
const MAX_FILE_SIZE: usize = 16 * 1024;

/// Memory that opening a key file may take, in bytes: N = 2^17 at r = 8, OWASP's first choice.
const MAX_MEMORY: u64 = 128 * 1024 * 1024;

/// Steps that opening a key file may take, a second or two: N = 2^17, r = 8, p = 2.
const MAX_WORK: u64 = 1 << 21;

/// N = 2^14, r = 8, p = 5: OWASP's choice for 16 MiB. OpenSSL opens no file that takes 32 MiB.
const WRITE_COST: (u8, u32, u32) = (14, 8, 5);

impl SigningKey {
    /// The key as encrypted PKCS#8 in PEM, for `openssl pkey` and every PKCS#8 reader.
    ///
    /// `random` must never have been used before.
    pub fn to_encrypted_pem(
        &self,
        password: &[u8],
        random: &KeyFileRandom,
    ) -> Result<String, KeyFileError> {
        if password.is_empty() {
            return Err(KeyFileError::EmptyPassword);
        }
        let plain = self.to_pkcs8()?;
        let parameters = parameters(random).ok_or(KeyFileError::Encrypt)?;
        let info =
            PrivateKeyInfoRef::from_der(plain.as_bytes()).map_err(|_| KeyFileError::Encrypt)?;
        let encrypted =
            info.encrypt_with_params(parameters, password).map_err(|_| KeyFileError::Encrypt)?;
        let text = EncryptedPrivateKeyInfoRef::from_der(encrypted.as_bytes())
            .and_then(|info| info.to_pem(LineEnding::LF));
        text.map_err(|_| KeyFileError::Encrypt)
    }

    /// Reads what [`SigningKey::to_encrypted_pem`] or the `openssl` command in the errors writes.
    ///
    /// Takes at most 128 MiB and a second or two, whatever the file says.
    pub fn from_encrypted_pem(text: &str, password: &[u8]) -> Result<Self, KeyFileError> {
        if text.len() > MAX_FILE_SIZE {
            return Err(KeyFileError::TooLarge { found: text.len() });
        }
        let (label, document) = Document::from_pem(text).map_err(|_| KeyFileError::Malformed)?;
        match label {
            "ENCRYPTED PRIVATE KEY" => {}
            "PRIVATE KEY" | "OPENSSH PRIVATE KEY" => return Err(KeyFileError::NotEncrypted),
            _ => return Err(KeyFileError::Malformed),
        }
        let info = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
            .map_err(|_| KeyFileError::Scheme)?;
        check_scheme(&info.encryption_algorithm)?;
        let plain = info.decrypt(password).map_err(|_| KeyFileError::Decrypt)?;
        from_pkcs8(&plain)
    }

    /// The key alone, without its public half: OpenSSL refuses the form that has both.
    fn to_pkcs8(&self) -> Result<SecretDocument, KeyFileError> {
        let pair = KeypairBytes { secret_key: self.secret().to_bytes(), public_key: None };
        pair.to_pkcs8_der().map_err(|_| KeyFileError::Encrypt)
    }
}

fn from_pkcs8(document: &SecretDocument) -> Result<SigningKey, KeyFileError> {
    let info =
        PrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|_| KeyFileError::Decrypt)?;
    let pair = KeypairBytes::try_from(info).map_err(|_| KeyFileError::NotEd25519)?;
    let seed = Zeroizing::new(pair.secret_key);
    let key = SigningKey::from_seed(&seed);
    let matches = pair
        .public_key
        .as_ref()
        .is_none_or(|public| public.to_bytes() == key.secret().verifying_key().to_bytes());
    if matches { Ok(key) } else { Err(KeyFileError::NotEd25519) }
}

fn parameters(random: &KeyFileRandom) -> Option<Parameters> {
    let (log_cost, block_size, parallelization) = WRITE_COST;
    let cost = scrypt::Params::new(log_cost, block_size, parallelization).ok()?;
    let kdf = ScryptParams::from_params_and_salt(cost, &random.salt).ok()?;
    Some(Parameters { kdf: Kdf::Scrypt(kdf), encryption: Cipher::Aes256Cbc { iv: random.iv } })
}

/// Looks at the scheme before any of it is carried out.
fn check_scheme(scheme: &EncryptionScheme) -> Result<(), KeyFileError> {
    let parameters = scheme.pbes2().ok_or(KeyFileError::Scheme)?;
    let scrypt = parameters.kdf.scrypt().ok_or(KeyFileError::Scheme)?;
    if !matches!(parameters.encryption, Cipher::Aes256Cbc { .. }) {
        return Err(KeyFileError::Scheme);
    }
    let cost = scrypt.cost_parameter;
    let block_size = u64::from(scrypt.block_size);
    let parallelization = u64::from(scrypt.parallelization);
    let size = cost.saturating_mul(block_size);
    let memory = size.saturating_mul(128);
    if memory > MAX_MEMORY || size.saturating_mul(parallelization) > MAX_WORK {
        return Err(KeyFileError::TooCostly { cost, block_size, parallelization });
    }
    Ok(())
}
