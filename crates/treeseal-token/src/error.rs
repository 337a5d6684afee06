use std::fmt;
use std::io;
use std::path::PathBuf;

use cryptoki::error::{Error, RvError};

use crate::login::PinTries;
use crate::point::PointError;
use crate::search::{Hex, KeySummary};
use crate::token::TokenSummary;

/// Why whoever is asked for a PIN does not give one.
pub type PinError = Box<dyn std::error::Error + Send + Sync>;

/// A key on a token cannot be opened, or does not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Neither the URI nor the caller names a module.
    #[error(
        "nothing says which PKCS#11 module knows the token: add its path to the token URI, like \
         `?module-path=/usr/lib/softhsm/libsofthsm2.so`"
    )]
    NoModule,
    /// The module's path would be looked for in several places.
    #[error("the path `{}` of the PKCS#11 module is relative: write it from `/` on", path.display())]
    ModuleNotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// There is no such file.
    #[error(
        "the PKCS#11 module `{}` cannot be found: install the token's software, or correct \
         `module-path`",
        path.display()
    )]
    ModuleMissing {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no library, or none that speaks PKCS#11.
    #[error(
        "`{}` is not a PKCS#11 module for this program: name the library that comes with the \
         token's software",
        path.display()
    )]
    NotAModule {
        /// The path.
        path: PathBuf,
        /// What loading it says.
        source: ModuleFault,
    },
    /// The module does not work.
    #[error("{action} failed in the PKCS#11 module")]
    Module {
        /// What was done.
        action: &'static str,
        /// What the module answered.
        source: ModuleFault,
    },
    /// No token is the wanted one.
    #[error(
        "no token matches `{wanted}`: {}",
        list("the module sees", found, "the module sees no token at all; is it plugged in?")
    )]
    NoToken {
        /// The URI.
        wanted: String,
        /// The tokens there are.
        found: Vec<TokenSummary>,
    },
    /// Several tokens may be the wanted one.
    #[error(
        "several tokens match `{wanted}`: name one by `serial`; {}",
        list("there are", found, "none")
    )]
    SeveralTokens {
        /// The URI.
        wanted: String,
        /// The tokens that match.
        found: Vec<TokenSummary>,
    },
    /// Nobody gave a PIN.
    #[error("the token {token} wants a PIN, and none was given")]
    NoPin {
        /// The token.
        token: TokenSummary,
        /// Why there is none.
        source: PinError,
    },
    /// The PIN has no characters.
    #[error("the PIN for the token {token} is empty; it was not given to the token")]
    EmptyPin {
        /// The token.
        token: TokenSummary,
    },
    /// The PIN is wrong.
    #[error("the PIN for the token {token} is wrong, and is not tried again; {}", tries.text())]
    WrongPin {
        /// The token.
        token: TokenSummary,
        /// What the token says about further tries.
        tries: PinTries,
    },
    /// Too many wrong PINs were given before.
    #[error(
        "the token {token} is locked after wrong PINs: unlock it as its security officer, with \
         `pkcs11-tool --login --login-type so --init-pin` or its vendor's tool"
    )]
    PinLocked {
        /// The token.
        token: TokenSummary,
    },
    /// The token has no PIN of a user yet.
    #[error(
        "the token {token} has no user PIN yet: set one as its security officer, with `pkcs11-tool \
         --login --login-type so --init-pin`"
    )]
    PinNotSet {
        /// The token.
        token: TokenSummary,
    },
    /// The token wants another PIN before it does anything.
    #[error("the PIN of the token {token} must be changed first: `pkcs11-tool --change-pin`")]
    PinExpired {
        /// The token.
        token: TokenSummary,
    },
    /// No private key is the wanted one.
    #[error(
        "no private key on the token {token} matches `{wanted}`: {}",
        list("there are", found, "it has none; make one with `pkcs11-tool --keypairgen`")
    )]
    NoKey {
        /// The URI.
        wanted: String,
        /// The token.
        token: TokenSummary,
        /// The private keys there are.
        found: Vec<KeySummary>,
    },
    /// Several private keys may be the wanted one.
    #[error(
        "several private keys on the token {token} match `{wanted}`: name one by `id`; {}",
        list("there are", found, "none")
    )]
    SeveralKeys {
        /// The URI.
        wanted: String,
        /// The token.
        token: TokenSummary,
        /// The private keys that match and can sign.
        found: Vec<KeySummary>,
    },
    /// The token does not let the key sign.
    #[error(
        "the private key on the token {token} may not sign (CKA_SIGN): name or make one that may; \
         {}",
        list("there matches", found, "none")
    )]
    KeyMayNotSign {
        /// The token.
        token: TokenSummary,
        /// The private keys that match.
        found: Vec<KeySummary>,
    },
    /// The key wants a login for each signature.
    #[error(
        "the private key {key} wants the PIN again for each signature (CKA_ALWAYS_AUTHENTICATE), \
         which is not done here: use a key that wants it once, on a PIV card one outside slot 9c"
    )]
    AsksEachTime {
        /// The key.
        key: KeySummary,
    },
    /// Seals are not signed with keys of this type.
    #[error(
        "the private key {key} is of no type that seals are signed with{}: make an Ed25519 or \
         P-256 key, with `pkcs11-tool --keypairgen --key-type EC:edwards25519` or `EC:prime256v1`",
        on_curve(curve.as_deref())
    )]
    UnsupportedKey {
        /// The key.
        key: KeySummary,
        /// The DER of its curve, if it has one.
        curve: Option<Vec<u8>>,
    },
    /// The token has only the private half.
    #[error(
        "the token does not show the public half of the key {key}: write it there under the same \
         id, with `pkcs11-tool --write-object PUBLIC.der --type pubkey --id {}`",
        Hex(&key.id)
    )]
    NoPublicKey {
        /// The key.
        key: KeySummary,
    },
    /// The token has different public keys for one private key.
    #[error(
        "the token has several public keys with the id of the key {key}: delete those that are \
         not its own"
    )]
    SeveralPublicKeys {
        /// The key.
        key: KeySummary,
    },
    /// The token's public key cannot be used.
    #[error("the public half of the key {key} cannot be used: make another key pair")]
    PublicKey {
        /// The key.
        key: KeySummary,
        /// Why not.
        source: PointError,
    },
    /// The token does not sign so many bytes with Ed25519.
    #[error(
        "the token {token} does not sign a message of {length} bytes: use a P-256 key, of which it \
         gets the hash alone"
    )]
    MessageTooLong {
        /// The token.
        token: TokenSummary,
        /// Number of bytes in the message.
        length: usize,
    },
    /// The token is gone, or was out meanwhile.
    #[error(
        "the token {token} was removed or reset while it was in use: plug it in and start again; \
         nothing was signed"
    )]
    Removed {
        /// The token.
        token: TokenSummary,
        /// What the module answered.
        source: ModuleFault,
    },
    /// The token's signature is not by its public key.
    #[error(
        "the token {token} gave a signature that its public key does not verify: the public key \
         is another one's, or the token is broken; the signature was thrown away"
    )]
    WrongSignature {
        /// The token.
        token: TokenSummary,
    },
    /// The token does not work.
    #[error("{action} failed on the token {token}")]
    Token {
        /// What was done.
        action: &'static str,
        /// The token.
        token: TokenSummary,
        /// What the module answered.
        source: ModuleFault,
    },
}

impl TokenError {
    pub(crate) fn module(action: &'static str, error: Error) -> Self {
        Self::Module { action, source: ModuleFault(error) }
    }

    /// What a failure during work with a token means.
    pub(crate) fn during(action: &'static str, token: &TokenSummary) -> impl Fn(Error) -> Self {
        move |error| {
            let token = token.clone();
            match &error {
                Error::Pkcs11(RvError::PinExpired, _) => Self::PinExpired { token },
                Error::Pkcs11(code, _) if is_removal(code) => {
                    Self::Removed { token, source: ModuleFault(error) }
                }
                _ => Self::Token { action, token, source: ModuleFault(error) },
            }
        }
    }
}

/// Whether an answer means that the token is not the one any more that we logged in to. After a
/// removal some modules only know that the login or the handles are gone.
const fn is_removal(code: &RvError) -> bool {
    matches!(
        code,
        RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::UserNotLoggedIn
    )
}

/// What a module answers when something is wrong.
#[derive(Debug)]
pub struct ModuleFault(pub(crate) Error);

impl fmt::Display for ModuleFault {
    /// The function and the name of the code alone: the library's own texts are paragraphs of the
    /// standard.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::Pkcs11(code, function) => write!(f, "C_{function:?} answered {code:?}"),
            Error::LibraryLoading(error) => error.fmt(f),
            Error::MissingSymbol(name) => write!(f, "it has no function {name}"),
            Error::NullFunctionPointer => f.write_str("it lacks a function that is needed"),
            error => write!(f, "its answer makes no sense: {error}"),
        }
    }
}

impl std::error::Error for ModuleFault {}

/// How many tokens or keys a message names.
const MAX_LISTED: usize = 8;

fn list(before: &str, found: &[impl fmt::Display], none: &str) -> String {
    if found.is_empty() {
        return none.to_owned();
    }
    let names: Vec<_> = found.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    let more = match found.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{before} {}{more}", names.join(", "))
}

fn on_curve(curve: Option<&[u8]>) -> String {
    curve.map(|der| format!(" (curve {} in DER)", Hex(der))).unwrap_or_default()
}
