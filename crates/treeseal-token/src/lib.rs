//! Private keys on PKCS#11 tokens: hardware tokens, smart cards, HSMs, and SoftHSM.
//!
//! [`TokenUri`] names a key as RFC 7512 does; [`TokenKey::open`] finds it and logs in, and
//! [`TokenKey::sign`] makes signatures as `spec/seal.md`, section 4, wants them. A signature is
//! verified with the token's public key before it is handed out.
//!
//! Talking to a token means to load its vendor's library, which then runs with all the rights of
//! the process. So the path of that library must come from whoever runs the command, never from
//! what is signed or verified. No environment variable is read here; the library may read some.

mod error;
mod login;
mod module;
mod point;
mod search;
mod sign;
mod token;
mod uri;

pub use error::{ModuleFault, PinError, TokenError};
pub use login::{AskPin, PinPrompt, PinTries};
pub use point::PointError;
pub use search::KeySummary;
pub use sign::TokenKey;
pub use token::TokenSummary;
pub use uri::{TokenUri, TokenUriError};
