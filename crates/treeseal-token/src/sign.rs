//! The key, and what it signs.

use std::fmt;
use std::path::Path;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use sha2::{Digest as _, Sha256};
use treeseal_trust::PublicKey;

use crate::error::TokenError;
use crate::login::{self, AskPin};
use crate::point::Algorithm;
use crate::token::{self, TokenSummary};
use crate::uri::TokenUri;
use crate::{module, search};

/// A private key on a token, ready to sign.
///
/// It can move to another thread, but two threads cannot share it. Dropping it ends its session;
/// with its last session the process is logged out of the token.
pub struct TokenKey {
    session: Session,
    key: ObjectHandle,
    algorithm: Algorithm,
    public: PublicKey,
    token: TokenSummary,
}

impl TokenKey {
    /// Finds the one key that `uri` is about, and logs in to its token.
    ///
    /// The module is that of the URI, or else `default_module`; it is loaded into this process and
    /// stays there. `ask_pin` is called at most once, and its PIN is given to the token once: a
    /// wrong one is never tried again. It is not called when the process is logged in already, or
    /// when the token has a keypad of its own.
    pub fn open(
        uri: &TokenUri,
        default_module: Option<&Path>,
        ask_pin: &mut AskPin<'_>,
    ) -> Result<Self, TokenError> {
        let module = module::load(module::path(uri, default_module)?)?;
        let token = token::find(&module, uri)?;
        let session = login::log_in(&module, &token, ask_pin)?;
        let found = search::find(&session, &token.summary, uri)?;
        Ok(Self {
            session,
            key: found.handle,
            algorithm: found.algorithm,
            public: found.public,
            token: token.summary,
        })
    }

    /// The public half, as the token gives it.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The token that the key is on.
    pub const fn token(&self) -> &TokenSummary {
        &self.token
    }

    /// Signs `message` as it is.
    ///
    /// With Ed25519 the whole message goes to the token, and some tokens take a few KiB at most; with
    /// P-256 only its SHA-256. The signature is verified before it is given.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let signature = match self.algorithm {
            Algorithm::Ed25519 => {
                let scheme = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                self.ask(&Mechanism::Eddsa(scheme), message)?
            }
            Algorithm::EcdsaP256 => {
                let raw = self.ask(&Mechanism::Ecdsa, &Sha256::digest(message))?;
                self.to_der(&raw)?
            }
        };
        match self.public.verify(message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(self.wrong_signature()),
        }
    }

    fn ask(&self, mechanism: &Mechanism<'_>, data: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.session.sign(mechanism, self.key, data).map_err(|error| match error {
            Error::Pkcs11(RvError::DataLenRange, _) => {
                TokenError::MessageTooLong { token: self.token.clone(), length: data.len() }
            }
            error => TokenError::during("signing", &self.token)(error),
        })
    }

    /// From r and s in 32 bytes each, as tokens write it.
    fn to_der(&self, raw: &[u8]) -> Result<Vec<u8>, TokenError> {
        let signature = p256::ecdsa::Signature::from_slice(raw);
        Ok(signature.map_err(|_| self.wrong_signature())?.to_der().as_bytes().to_vec())
    }

    fn wrong_signature(&self) -> TokenError {
        TokenError::WrongSignature { token: self.token.clone() }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("token", &self.token)
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}
