//! Logging in, with one try.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use crate::error::{ModuleFault, PinError, TokenError};
use crate::token::{Token, TokenSummary};

/// What is known when a PIN is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PinPrompt<'a> {
    /// The token that the PIN is for.
    pub token: &'a TokenSummary,
    /// What a wrong PIN would do.
    pub tries: PinTries,
}

/// How many wrong PINs a token still takes. Tokens do not give a number, and some give nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinTries {
    /// The token says nothing.
    Unknown,
    /// A wrong PIN was given since the last right one.
    Fewer,
    /// The next wrong PIN locks the token.
    Last,
    /// The token takes no PIN any more.
    Locked,
}

impl PinTries {
    fn of(info: &TokenInfo) -> Self {
        if info.user_pin_locked() {
            Self::Locked
        } else if info.user_pin_final_try() {
            Self::Last
        } else if info.user_pin_count_low() {
            Self::Fewer
        } else {
            Self::Unknown
        }
    }

    /// What a message says about it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "the token does not say how many tries are left",
            Self::Fewer => "the token has fewer tries left than usual",
            Self::Last => "the next wrong PIN locks the token",
            Self::Locked => "the token is now locked",
        }
    }
}

/// Who gives the PIN.
pub type AskPin<'a> = dyn FnMut(&PinPrompt<'_>) -> Result<Zeroizing<Vec<u8>>, PinError> + 'a;

/// A session in which the token's private keys can be used.
pub(crate) fn log_in(
    module: &Pkcs11,
    token: &Token,
    ask_pin: &mut AskPin<'_>,
) -> Result<Session, TokenError> {
    let failed = TokenError::during("opening a session", &token.summary);
    let session = module.open_ro_session(token.slot).map_err(&failed)?;
    // A login holds for all sessions that the process has with the token.
    let state = session.get_session_info().map_err(&failed)?.session_state();
    let is_logged_in = matches!(state, SessionState::RoUser | SessionState::RwUser);
    if is_logged_in || !token.info.login_required() {
        return Ok(session);
    }
    let tries = tries(token)?;
    let answer = if token.info.protected_authentication_path() {
        // The PIN is typed on the token.
        session.login(UserType::User, None)
    } else {
        session.login_with_raw(UserType::User, &pin(token, tries, ask_pin)?)
    };
    match answer {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(refused(module, token, error)),
    }
}

/// Refuses a token that no PIN can open, before anyone is asked for one.
fn tries(token: &Token) -> Result<PinTries, TokenError> {
    if !token.info.user_pin_initialized() {
        return Err(TokenError::PinNotSet { token: token.summary.clone() });
    }
    match PinTries::of(&token.info) {
        PinTries::Locked => Err(TokenError::PinLocked { token: token.summary.clone() }),
        tries => Ok(tries),
    }
}

fn pin(token: &Token, tries: PinTries, ask_pin: &mut AskPin<'_>) -> Result<RawAuthPin, TokenError> {
    let prompt = PinPrompt { token: &token.summary, tries };
    let mut pin = ask_pin(&prompt)
        .map_err(|source| TokenError::NoPin { token: token.summary.clone(), source })?;
    if pin.is_empty() {
        // It would count as a wrong one.
        return Err(TokenError::EmptyPin { token: token.summary.clone() });
    }
    Ok(RawAuthPin::new(Box::new(std::mem::take(&mut *pin))))
}

/// Why the token did not let us in. There is no second try: it could be the last one.
fn refused(module: &Pkcs11, token: &Token, error: Error) -> TokenError {
    let Error::Pkcs11(code, _) = error else {
        return TokenError::during("logging in", &token.summary)(error);
    };
    let summary = token.summary.clone();
    match code {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
            let tries = module
                .get_token_info(token.slot)
                .map_or(PinTries::Unknown, |info| PinTries::of(&info));
            TokenError::WrongPin { token: summary, tries }
        }
        RvError::PinLocked => TokenError::PinLocked { token: summary },
        RvError::UserPinNotInitialized => TokenError::PinNotSet { token: summary },
        RvError::FunctionCanceled | RvError::FunctionRejected => {
            TokenError::NoPin { token: summary, source: Box::new(ModuleFault(error)) }
        }
        _ => TokenError::during("logging in", &token.summary)(error),
    }
}
