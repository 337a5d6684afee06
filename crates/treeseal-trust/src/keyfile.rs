//! Private keys in files: encrypted PKCS#8 (RFC 5958) with PBES2 (RFC 8018), scrypt (RFC 7914) and
//! AES-256-CBC, in PEM.
//!
//! One scheme is written and read. The usual default of other tools, PBKDF2 with few rounds, gives
//! a stolen file away too cheaply; it is refused with the command that converts it.

use pkcs8::der::{Decode as _, EncodePem as _, pem::LineEnding};
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, ScryptParams};
use pkcs8::pkcs5::{EncryptionScheme, scrypt};
use pkcs8::{
    Document, EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument,
};
use zeroize::Zeroizing;

use crate::key::{KeyAlgorithm, PublicKey};
use crate::signing::SigningKey;

/// What must be fresh and random for each key file that is written.
#[derive(Clone, Copy, Debug)]
pub struct KeyFileRandom {
    /// The salt of scrypt.
    pub salt: [u8; 16],
    /// The initialisation vector of AES-256-CBC.
    pub iv: [u8; 16],
}

/// Who thought of the password that a key file is encrypted with: what guessing it must cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordOrigin {
    /// A person: passwords of people are guessed, so each attempt is made expensive.
    Person,
    /// A random generator, with at least 128 bits: nobody guesses that at any price.
    Generator,
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
         allowed (128 r (N + p) <= {MAX_MEMORY} bytes, N r p <= {MAX_WORK}): encrypt the key again with \
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
    /// What was encrypted is no private key of a known algorithm.
    #[error(
        "the file holds no Ed25519, P-256 or ML-DSA-65 private key, or a damaged one: make one with \
         `treeseal key new`"
    )]
    NotAKey,
    /// An ML-DSA key without its seed, or with more than it.
    #[error(
        "the file does not hold an ML-DSA-65 key as its seed alone: convert it with `openssl pkey \
         -provparam ml-dsa.output_formats=seed-only`"
    )]
    NotASeed,
    /// A password of no characters protects nothing.
    #[error("the password is empty")]
    EmptyPassword,
    /// The library could not encrypt.
    #[error("the private key cannot be encrypted")]
    Encrypt,
}

const CONVERT: &str =
    "convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -scrypt -in KEY -out NEWKEY`";

/// Bytes of a key file. Ours have some 400; one that names a P-256 key's public half has 600.
const MAX_FILE_SIZE: usize = 16 * 1024;

/// Memory that opening a key file may take, in bytes. OWASP's first choice, N = 2^17 at r = 8,
/// takes 128 MiB and a little.
const MAX_MEMORY: u64 = 160 * 1024 * 1024;

/// Steps that opening a key file may take, a second or two: N = 2^17, r = 8, p = 2.
const MAX_WORK: u64 = 1 << 21;

impl PasswordOrigin {
    /// scrypt's log2 N, r and p. For passwords of people OWASP's choice for 16 MiB: OpenSSL opens no
    /// file that takes 32 MiB.
    const fn write_cost(self) -> (u8, u32, u32) {
        match self {
            Self::Person => (14, 8, 5),
            Self::Generator => (10, 8, 1),
        }
    }
}

impl SigningKey {
    /// The key as encrypted PKCS#8 in PEM, for `openssl pkey` and every PKCS#8 reader.
    ///
    /// `random` must never have been used before.
    pub fn to_encrypted_pem(
        &self,
        password: &[u8],
        origin: PasswordOrigin,
        random: &KeyFileRandom,
    ) -> Result<String, KeyFileError> {
        if password.is_empty() {
            return Err(KeyFileError::EmptyPassword);
        }
        let plain = self.to_pkcs8();
        let parameters = parameters(origin, random).ok_or(KeyFileError::Encrypt)?;
        let info = PrivateKeyInfoRef::from_der(&plain).map_err(|_| KeyFileError::Encrypt)?;
        let encrypted =
            info.encrypt_with_params(parameters, password).map_err(|_| KeyFileError::Encrypt)?;
        let text = EncryptedPrivateKeyInfoRef::from_der(encrypted.as_bytes())
            .and_then(|info| info.to_pem(LineEnding::LF));
        text.map_err(|_| KeyFileError::Encrypt)
    }

    /// Reads what [`SigningKey::to_encrypted_pem`] or the `openssl` command in the errors writes.
    ///
    /// Takes at most 160 MiB and a second or two, whatever the file says.
    pub fn from_encrypted_pem(text: &str, password: &[u8]) -> Result<Self, KeyFileError> {
        let document = encrypted_document(text)?;
        let info = encrypted_info(&document)?;
        let plain = info.decrypt(password).map_err(|_| KeyFileError::Decrypt)?;
        from_pkcs8(&plain)
    }

    /// Whether a text is one that [`SigningKey::from_encrypted_pem`] may read with the right password.
    pub fn check_encrypted_pem(text: &str) -> Result<(), KeyFileError> {
        encrypted_info(&encrypted_document(text)?).map(drop)
    }

    /// The key alone, without its public half: OpenSSL refuses the form of Ed25519 that has both.
    fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let prefix = match self.public_key().algorithm() {
            KeyAlgorithm::Ed25519 => PKCS8_ED25519,
            KeyAlgorithm::EcdsaP256 => PKCS8_P256,
            KeyAlgorithm::MlDsa65 => PKCS8_ML_DSA_65,
        };
        // With its full capacity from the start: a vector that grows leaves a copy behind.
        let mut der = Zeroizing::new(Vec::with_capacity(prefix.len() + 32));
        der.extend_from_slice(prefix);
        der.extend_from_slice(self.to_secret().as_slice());
        der
    }
}

fn encrypted_document(text: &str) -> Result<Document, KeyFileError> {
    if text.len() > MAX_FILE_SIZE {
        return Err(KeyFileError::TooLarge { found: text.len() });
    }
    let (label, document) = Document::from_pem(text).map_err(|_| KeyFileError::Malformed)?;
    match label {
        "ENCRYPTED PRIVATE KEY" => Ok(document),
        "PRIVATE KEY" | "OPENSSH PRIVATE KEY" => Err(KeyFileError::NotEncrypted),
        _ => Err(KeyFileError::Malformed),
    }
}

fn encrypted_info(document: &Document) -> Result<EncryptedPrivateKeyInfoRef<'_>, KeyFileError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
        .map_err(|_| KeyFileError::Scheme)?;
    check_scheme(&info.encryption_algorithm)?;
    Ok(info)
}

/// DER of an unencrypted Ed25519 private key up to its 32 bytes (RFC 8410, section 7).
const PKCS8_ED25519: &[u8] = &[0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 34, 4, 32];

/// DER of an unencrypted P-256 private key without its public half, up to its 32 bytes (RFC 5915).
const PKCS8_P256: &[u8] = &[
    0x30, 65, 2, 1, 0, 0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 3, 1, 7, 4, 39, 0x30, 37, 2, 1, 1, 4, 32,
];

/// DER of an unencrypted ML-DSA-65 private key up to its 32 bytes of seed (RFC 9881, section 6).
const PKCS8_ML_DSA_65: &[u8] =
    &[0x30, 52, 2, 1, 0, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 0x12, 4, 34, 0x80, 32];

/// `id-Ed25519` (RFC 8410).
const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// `id-ml-dsa-65` (RFC 9881).
const ML_DSA_65_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");

fn from_pkcs8(document: &SecretDocument) -> Result<SigningKey, KeyFileError> {
    let info =
        PrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|_| KeyFileError::Decrypt)?;
    match info.algorithm.oid {
        ED25519_OID => ed25519_from_pkcs8(&info),
        ML_DSA_65_OID => ml_dsa_65_from_pkcs8(&info),
        // The library looks at the curve, and at the public half if there is one.
        _ => {
            let key = p256::SecretKey::try_from(info).map_err(|_| KeyFileError::NotAKey)?;
            from_secret(KeyAlgorithm::EcdsaP256, &key.to_bytes())
        }
    }
}

fn ed25519_from_pkcs8(info: &PrivateKeyInfoRef<'_>) -> Result<SigningKey, KeyFileError> {
    // The private key is an OCTET STRING in an OCTET STRING.
    let [4, 32, seed @ ..] = info.private_key.as_bytes() else {
        return Err(KeyFileError::NotAKey);
    };
    let key = from_secret(KeyAlgorithm::Ed25519, seed)?;
    // A file that names another public half is damaged, or was made to confuse.
    let is_own = |public: &PublicKey, named: Option<&[u8]>| match public {
        PublicKey::Ed25519(key) => named == Some(key.as_bytes()),
        _ => false,
    };
    let named = info.public_key.map(|public| is_own(key.public_key(), public.as_bytes()));
    let sound = info.algorithm.parameters.is_none() && named != Some(false);
    sound.then_some(key).ok_or(KeyFileError::NotAKey)
}

fn ml_dsa_65_from_pkcs8(info: &PrivateKeyInfoRef<'_>) -> Result<SigningKey, KeyFileError> {
    // Of the three forms that RFC 9881 has, the one that holds the seed alone.
    let [0x80, 32, seed @ ..] = info.private_key.as_bytes() else {
        return Err(KeyFileError::NotASeed);
    };
    let sound = info.algorithm.parameters.is_none() && info.public_key.is_none();
    if sound { from_secret(KeyAlgorithm::MlDsa65, seed) } else { Err(KeyFileError::NotAKey) }
}

fn from_secret(algorithm: KeyAlgorithm, secret: &[u8]) -> Result<SigningKey, KeyFileError> {
    let secret = secret.try_into().map_err(|_| KeyFileError::NotAKey)?;
    SigningKey::from_secret(algorithm, secret).ok_or(KeyFileError::NotAKey)
}

fn parameters(origin: PasswordOrigin, random: &KeyFileRandom) -> Option<Parameters> {
    let (log_cost, block_size, parallelization) = origin.write_cost();
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
    let memory =
        cost.saturating_add(parallelization).saturating_mul(block_size).saturating_mul(128);
    let work = cost.saturating_mul(block_size).saturating_mul(parallelization);
    if memory > MAX_MEMORY || work > MAX_WORK {
        return Err(KeyFileError::TooCostly { cost, block_size, parallelization });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pkcs8::EncryptedPrivateKeyInfoOwned;
    use pkcs8::der::asn1::OctetString;
    use pkcs8::pkcs5::pbes2::Pbkdf2Params;

    use super::*;

    const RANDOM: KeyFileRandom = KeyFileRandom { salt: [1; 16], iv: [2; 16] };

    fn read_with(parameters: Parameters) -> Result<SigningKey, KeyFileError> {
        let info = EncryptedPrivateKeyInfoOwned {
            encryption_algorithm: parameters.into(),
            encrypted_data: OctetString::new([0; 64]).unwrap(),
        };
        SigningKey::from_encrypted_pem(&info.to_pem(LineEnding::LF).unwrap(), b"password")
    }

    fn scrypt(log_cost: u8, block_size: u32, parallelization: u32) -> Parameters {
        let cost = scrypt::Params::new(log_cost, block_size, parallelization).unwrap();
        let kdf = ScryptParams::from_params_and_salt(cost, &[0; 16]).unwrap();
        Parameters { kdf: Kdf::Scrypt(kdf), encryption: Cipher::Aes256Cbc { iv: [0; 16] } }
    }

    #[test]
    fn a_hostile_file_is_refused_before_it_costs_memory_or_time() {
        for (log_cost, block_size, parallelization) in
            [(18, 8, 1), (30, 8, 1), (1, 65535, 32), (14, 8, 17), (20, 1, 3)]
        {
            let too_costly = KeyFileError::TooCostly {
                cost: 1 << log_cost,
                block_size: block_size.into(),
                parallelization: parallelization.into(),
            };
            let error = read_with(scrypt(log_cost, block_size, parallelization)).unwrap_err();
            assert_eq!(error, too_costly);
        }
        assert_eq!(
            read_with(scrypt(20, 8, 1)).unwrap_err().to_string(),
            "scrypt with N=1048576, r=8, p=1 needs more memory or time than allowed (128 r (N + \
             p) <= 167772160 bytes, N r p <= 2097152): encrypt the key again with smaller ones"
        );
        assert_eq!(read_with(scrypt(4, 8, 1)).unwrap_err(), KeyFileError::Decrypt);
    }

    #[test]
    fn other_schemes_are_refused_with_the_command_that_converts() {
        let kdf = Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(100_000_000, &[0; 16]).unwrap());
        let pbkdf2 = Parameters { kdf, ..scrypt(4, 8, 1) };
        assert_eq!(
            read_with(pbkdf2).unwrap_err().to_string(),
            "the private key is not encrypted with scrypt and AES-256-CBC: convert it with \
             `openssl pkcs8 -topk8 -v2 aes-256-cbc -scrypt -in KEY -out NEWKEY`"
        );
        let encryption = Cipher::Aes128Cbc { iv: [0; 16] };
        let short = Parameters { encryption, ..scrypt(4, 8, 1) };
        assert_eq!(read_with(short).unwrap_err(), KeyFileError::Scheme);
    }

    #[test]
    fn a_key_reads_back_with_its_password_only() {
        for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256, KeyAlgorithm::MlDsa65] {
            let key = SigningKey::from_secret(algorithm, &[9; 32]).unwrap();
            let text = key.to_encrypted_pem(b"password", PasswordOrigin::Person, &RANDOM).unwrap();
            assert_eq!(
                key.to_encrypted_pem(b"password", PasswordOrigin::Person, &RANDOM),
                Ok(text.clone())
            );
            let read = SigningKey::from_encrypted_pem(&text, b"password").unwrap();
            assert_eq!(read.public_key(), key.public_key());
            let cheap =
                key.to_encrypted_pem(b"password", PasswordOrigin::Generator, &RANDOM).unwrap();
            assert_ne!(cheap, text);
            let read = SigningKey::from_encrypted_pem(&cheap, b"password").unwrap();
            assert_eq!(read.public_key(), key.public_key());
        }
        let key = SigningKey::from_seed(&[9; 32]);
        let text = key.to_encrypted_pem(b"password", PasswordOrigin::Person, &RANDOM).unwrap();
        for wrong in [b"passwort".as_slice(), b"", b"password\n"] {
            let error = SigningKey::from_encrypted_pem(&text, wrong).unwrap_err();
            assert_eq!(error, KeyFileError::Decrypt);
        }
        assert_eq!(
            key.to_encrypted_pem(b"", PasswordOrigin::Person, &RANDOM),
            Err(KeyFileError::EmptyPassword)
        );
    }

    #[test]
    fn texts_that_are_no_key_files_are_refused() {
        let read = |text: &str| SigningKey::from_encrypted_pem(text, b"password").unwrap_err();
        let public = SigningKey::from_seed(&[9; 32]).public_key().to_pem();
        assert_eq!(read(""), KeyFileError::Malformed);
        assert_eq!(read(&public), KeyFileError::Malformed);
        let found = MAX_FILE_SIZE + 1;
        assert_eq!(read(&" ".repeat(found)), KeyFileError::TooLarge { found });
        assert_eq!(
            read(&public.replace("PUBLIC", "PRIVATE")).to_string(),
            "the private key is not encrypted: convert it with `openssl pkcs8 -topk8 -v2 \
             aes-256-cbc -scrypt -in KEY -out NEWKEY`"
        );
        let empty = public.replace("PUBLIC", "ENCRYPTED PRIVATE");
        assert_eq!(read(&empty), KeyFileError::Scheme);
    }
}
