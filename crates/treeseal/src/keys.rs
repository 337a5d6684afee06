//! Private keys: where they lie, how they are opened, and every signature that is made with one.

mod log;
mod passphrase;

#[cfg(feature = "token")]
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "token")]
use treeseal_token::{PinPrompt, TokenKey};
use treeseal_trust::{
    Envelope, KeyAlgorithm, KeyFileRandom, KeyId, PasswordOrigin, PublicKey, SigningKey, TufKey,
};
use zeroize::Zeroizing;

use crate::Error;
use crate::files::{self, Readable};

pub use log::{Signature, SigningLog};
pub(crate) use passphrase::password_file;
pub use passphrase::{Passphrases, Wanted, passphrase_beside};
#[cfg(feature = "token")]
pub use treeseal_token::{TokenUri, TokenUriError};

/// Largest key or password file that is read, in bytes.
pub(crate) const MAX_KEY_FILE: usize = 16 * 1024;

/// Where a private key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPlace {
    /// In a file: encrypted PKCS#8 in PEM.
    File(PathBuf),
    /// On a PKCS#11 token.
    #[cfg(feature = "token")]
    Token {
        /// Which token and which key.
        uri: TokenUri,
        /// The module to load where the URI names none.
        default_module: Option<PathBuf>,
    },
}

/// A private key that can sign.
pub struct Signer {
    place: KeyPlace,
    key: PrivateKey,
}

enum PrivateKey {
    InMemory(SigningKey),
    #[cfg(feature = "token")]
    OnToken(Box<TokenUri>, TokenKey),
}

impl Signer {
    /// Opens a key, with the passphrase that `passphrases` gives for it.
    pub fn open(place: &KeyPlace, passphrases: &mut dyn Passphrases) -> Result<Self, Error> {
        let key = match place {
            KeyPlace::File(path) => PrivateKey::InMemory(load_key(path, passphrases)?),
            #[cfg(feature = "token")]
            KeyPlace::Token { uri, default_module } => {
                let mut ask =
                    |prompt: &PinPrompt<'_>| Ok(passphrases.passphrase(&Wanted::pin(prompt))?);
                let key = TokenKey::open(uri, default_module.as_deref(), &mut ask);
                let key = key.map_err(|source| Error::token(uri, source))?;
                PrivateKey::OnToken(Box::new(uri.clone()), key)
            }
        };
        Ok(Self { place: place.clone(), key })
    }

    /// A key that was made or read here.
    pub(crate) const fn of_file(path: PathBuf, key: SigningKey) -> Self {
        Self { place: KeyPlace::File(path), key: PrivateKey::InMemory(key) }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        match &self.key {
            PrivateKey::InMemory(key) => key.public_key(),
            #[cfg(feature = "token")]
            PrivateKey::OnToken(_, key) => key.public_key(),
        }
    }

    /// The public half as trust roots list it.
    pub fn tuf_key(&self) -> TufKey {
        TufKey::new(self.public_key().clone())
    }

    /// Signs `message`, after the log has a line about it: no signature leaves without one.
    ///
    /// The signature is in the form that [`PublicKey::verify`] reads.
    pub(crate) fn sign(
        &self,
        message: &[u8],
        what: &Signature<'_>,
        log: &SigningLog,
    ) -> Result<Vec<u8>, Error> {
        log.record(&self.tuf_key().id(), &self.place, what, message)?;
        match &self.key {
            PrivateKey::InMemory(key) => Ok(key.sign(message)),
            #[cfg(feature = "token")]
            PrivateKey::OnToken(uri, key) => {
                key.sign(message).map_err(|source| Error::token(uri, source))
            }
        }
    }

    /// Signs an envelope's payload as [`sign`](Self::sign) does, and adds the signature to it.
    pub(crate) fn sign_envelope(
        &self,
        envelope: &mut Envelope,
        what: &Signature<'_>,
        log: &SigningLog,
    ) -> Result<(), Error> {
        let signature = self.sign(&envelope.pae_bytes(), what, log)?;
        envelope.attach(&self.tuf_key(), &signature).map_err(Error::Attach)
    }
}

/// Opens all of these keys.
pub(crate) fn open_all(
    places: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
) -> Result<Vec<Signer>, Error> {
    places.iter().map(|place| Signer::open(place, passphrases)).collect()
}

#[cfg(feature = "token")]
impl KeyPlace {
    /// What a person means by `text`: a token's key where it is a `pkcs11:` URI, else the path of a
    /// file. `default_module` is loaded where the URI names no module.
    pub fn new(text: &OsStr, default_module: Option<&Path>) -> Result<Self, TokenUriError> {
        match text.to_str().filter(|text| TokenUri::is_meant_by(text)) {
            Some(uri) => {
                let default_module = default_module.map(Path::to_owned);
                Ok(Self::Token { uri: uri.parse()?, default_module })
            }
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "token")]
            Self::Token { uri, .. } => uri.fmt(f),
        }
    }
}

/// A key pair that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The id of the public half.
    pub id: KeyId,
    /// The encrypted private key.
    pub private: PathBuf,
    /// The public key, in PEM: what others need.
    pub public: PathBuf,
}

/// Makes a key pair: the private half in `path`, encrypted with the passphrase that `passphrases`
/// gives, the public half beside it with the ending `.pub`. Neither file may exist.
pub fn new_key(
    path: &Path,
    algorithm: KeyAlgorithm,
    passphrases: &mut dyn Passphrases,
) -> Result<NewKey, Error> {
    let public = path.with_extension("pub");
    if public == path {
        return Err(Error::NameOfPublicKey { path: path.to_owned() });
    }
    for path in [path, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
    }
    let passphrase = passphrases.passphrase(&Wanted::new_key_file(path))?;
    if passphrase.is_empty() {
        return Err(Error::EmptyPassphrase);
    }
    let key = random_key(algorithm)?;
    // The public half first: a private key whose public half is unknown is of no use to anyone.
    files::create(&public, key.public_key().to_pem().as_bytes(), Readable::ByAll)?;
    write_key(path, &key, (&passphrase, PasswordOrigin::Person), files::create).inspect_err(
        |_| {
            // Nothing is left behind; that this may fail too does not matter to the caller.
            let _ = std::fs::remove_file(&public);
        },
    )?;
    Ok(NewKey { id: key.key_id(), private: path.to_owned(), public })
}

/// Draws a key.
pub(crate) fn random_key(algorithm: KeyAlgorithm) -> Result<SigningKey, Error> {
    loop {
        let secret = Zeroizing::new(random()?);
        // One in 2^32 is no key of P-256.
        if let Some(key) = SigningKey::from_secret(algorithm, &secret) {
            return Ok(key);
        }
    }
}

/// Encrypts a key, and writes it where nobody else may read it.
pub(crate) fn write_key(
    path: &Path,
    key: &SigningKey,
    (passphrase, origin): (&[u8], PasswordOrigin),
    write: impl Fn(&Path, &[u8], Readable) -> Result<(), Error>,
) -> Result<(), Error> {
    let random = KeyFileRandom { salt: random()?, iv: random()? };
    let pem = key.to_encrypted_pem(passphrase, origin, &random).map_err(Error::key_file(path))?;
    write(path, pem.as_bytes(), Readable::ByOwner)
}

/// Reads an encrypted private key.
pub fn load_key(path: &Path, passphrases: &mut dyn Passphrases) -> Result<SigningKey, Error> {
    let pem = files::read(path, MAX_KEY_FILE)?;
    let pem = pem.ok_or_else(|| Error::NoKey { path: path.to_owned() })?;
    let pem = String::from_utf8_lossy(&pem);
    // Nobody is asked for the passphrase of something else.
    SigningKey::check_encrypted_pem(&pem).map_err(Error::key_file(path))?;
    let passphrase = passphrases.passphrase(&Wanted::key_file(path))?;
    SigningKey::from_encrypted_pem(&pem, &passphrase).map_err(Error::key_file(path))
}

/// Reads a public key from a file in PEM.
pub fn load_public_key(path: &Path) -> Result<PublicKey, Error> {
    let pem = files::read(path, MAX_KEY_FILE)?;
    let pem = pem.ok_or_else(|| Error::NoKey { path: path.to_owned() })?;
    let failed = |source| Error::PublicKey { path: path.to_owned(), source };
    PublicKey::from_pem(&String::from_utf8_lossy(&pem)).map_err(failed)
}

/// Random bytes that are fit for keys.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random { source: error.into() })?;
    Ok(bytes)
}
