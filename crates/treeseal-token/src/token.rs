//! Finding the one token.

use std::fmt;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use crate::error::TokenError;
use crate::uri::TokenUri;

/// A token as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSummary {
    /// The name that its owner gave it.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// What it is.
    pub model: String,
    /// Its serial number, which is a text.
    pub serial: String,
    /// The slot that it is in; it may be in another one next time.
    pub slot: u64,
}

pub(crate) struct Token {
    pub(crate) slot: Slot,
    pub(crate) info: TokenInfo,
    pub(crate) summary: TokenSummary,
}

impl Token {
    fn new(slot: Slot, info: TokenInfo) -> Self {
        let summary = TokenSummary {
            label: info.label().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            serial: info.serial_number().to_owned(),
            slot: slot.id(),
        };
        Self { slot, info, summary }
    }
}

/// The one token that the URI is about.
pub(crate) fn find(module: &Pkcs11, uri: &TokenUri) -> Result<Token, TokenError> {
    let (mut matching, others): (Vec<_>, Vec<_>) =
        all(module)?.into_iter().partition(|token| token.summary.matches(uri));
    let Some(token) = matching.pop() else {
        return Err(TokenError::NoToken { wanted: uri.to_string(), found: summaries(others) });
    };
    if matching.is_empty() {
        return Ok(token);
    }
    matching.push(token);
    Err(TokenError::SeveralTokens { wanted: uri.to_string(), found: summaries(matching) })
}

impl TokenSummary {
    fn matches(&self, uri: &TokenUri) -> bool {
        let is = |wanted: &Option<Vec<u8>>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found.as_bytes())
        };
        is(&uri.token, &self.label)
            && is(&uri.manufacturer, &self.manufacturer)
            && is(&uri.model, &self.model)
            && is(&uri.serial, &self.serial)
            && uri.slot.is_none_or(|slot| slot == self.slot)
    }
}

impl fmt::Display for TokenSummary {
    /// Quoted, since nothing says which characters a token has in its names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (serial {:?}, slot {})", self.label, self.serial, self.slot)
    }
}

/// All tokens that have been set up.
fn all(module: &Pkcs11) -> Result<Vec<Token>, TokenError> {
    let failed = |error| TokenError::module("listing tokens", error);
    let mut tokens = Vec::new();
    for slot in module.get_slots_with_token().map_err(failed)? {
        match module.get_token_info(slot) {
            Ok(info) if info.token_initialized() => tokens.push(Token::new(slot, info)),
            Ok(_) => {}
            // Pulled out meanwhile, or a card of a kind that the module does not know.
            Err(Error::Pkcs11(
                RvError::TokenNotPresent | RvError::TokenNotRecognized | RvError::DeviceRemoved,
                _,
            )) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(tokens)
}

fn summaries(tokens: Vec<Token>) -> Vec<TokenSummary> {
    tokens.into_iter().map(|token| token.summary).collect()
}
