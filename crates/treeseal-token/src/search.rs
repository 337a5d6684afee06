//! Finding the one private key, and its public half.

use std::fmt;

use cryptoki::error::{Error, Result as ModuleResult};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use treeseal_trust::PublicKey;

use crate::error::TokenError;
use crate::point::{self, Algorithm};
use crate::token::TokenSummary;
use crate::uri::TokenUri;

/// A private key as the token describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySummary {
    /// The name that its owner gave it (`CKA_LABEL`); bytes that are no UTF-8 are replaced.
    pub label: String,
    /// The bytes that it shares with its public half (`CKA_ID`).
    pub id: Vec<u8>,
    /// The name of its type, like `CKK_EC`.
    pub key_type: String,
    /// Whether the token lets it sign.
    pub signs: bool,
}

impl fmt::Display for KeySummary {
    /// Quoted, since nothing says which characters a token has in its names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signs = if self.signs { "" } else { ", may not sign" };
        write!(f, "{:?} (id {}, {}{signs})", self.label, Hex(&self.id), self.key_type)
    }
}

/// Bytes for a message.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A private key that can sign, and what its signatures are.
pub(crate) struct Found {
    pub(crate) handle: ObjectHandle,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: PublicKey,
}

/// The one private key that the URI is about.
pub(crate) fn find(
    session: &Session,
    token: &TokenSummary,
    uri: &TokenUri,
) -> Result<Found, TokenError> {
    let failed = TokenError::during("looking for the key", token);
    let matching = private_keys(session, template(uri)).map_err(&failed)?;
    if matching.is_empty() {
        let found = private_keys(session, Vec::new()).map_err(&failed)?;
        return Err(TokenError::NoKey {
            wanted: uri.to_string(),
            token: token.clone(),
            found: summaries(found),
        });
    }
    let (mut signing, others): (Vec<_>, Vec<_>) =
        matching.into_iter().partition(|key| key.summary.signs);
    let Some(key) = signing.pop() else {
        return Err(TokenError::KeyMayNotSign { token: token.clone(), found: summaries(others) });
    };
    if !signing.is_empty() {
        signing.push(key);
        return Err(TokenError::SeveralKeys {
            wanted: uri.to_string(),
            token: token.clone(),
            found: summaries(signing),
        });
    }
    if key.asks_each_time {
        return Err(TokenError::AsksEachTime { key: key.summary });
    }
    let (algorithm, public) = public_half(session, token, &key)?;
    Ok(Found { handle: key.handle, algorithm, public })
}

struct PrivateKey {
    handle: ObjectHandle,
    key_type: Option<KeyType>,
    /// Whether each signature wants a login of its own (`CKA_ALWAYS_AUTHENTICATE`).
    asks_each_time: bool,
    summary: KeySummary,
}

fn template(uri: &TokenUri) -> Vec<Attribute> {
    let label = uri.object.clone().map(Attribute::Label);
    let id = uri.id.clone().map(Attribute::Id);
    label.into_iter().chain(id).collect()
}

fn private_keys(session: &Session, mut template: Vec<Attribute>) -> ModuleResult<Vec<PrivateKey>> {
    template.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    let handles = session.find_objects(&template)?;
    handles.into_iter().map(|handle| private_key(session, handle)).collect()
}

fn private_key(session: &Session, handle: ObjectHandle) -> ModuleResult<PrivateKey> {
    let key_type = key_type(session, handle)?;
    let name =
        key_type.map_or_else(|| "a type of its vendor".to_owned(), |known| known.to_string());
    let mut summary =
        KeySummary { label: String::new(), id: Vec::new(), key_type: name, signs: false };
    let mut asks_each_time = false;
    let wanted = [
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::Sign,
        AttributeType::AlwaysAuthenticate,
    ];
    // What a token does not say is absent from the answer.
    for attribute in session.get_attributes(handle, &wanted)? {
        match attribute {
            Attribute::Label(label) => summary.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::Id(id) => summary.id = id,
            Attribute::Sign(signs) => summary.signs = signs,
            Attribute::AlwaysAuthenticate(asks) => asks_each_time = asks,
            _ => {}
        }
    }
    Ok(PrivateKey { handle, key_type, asks_each_time, summary })
}

/// The key's type; `None` when it is of a vendor's own.
fn key_type(session: &Session, handle: ObjectHandle) -> ModuleResult<Option<KeyType>> {
    match session.get_attributes(handle, &[AttributeType::KeyType]) {
        Ok(attributes) => Ok(attributes.into_iter().find_map(|attribute| match attribute {
            Attribute::KeyType(found) => Some(found),
            _ => None,
        })),
        Err(error @ Error::Pkcs11(..)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The algorithm and the public key, from the public object of the same id or, where there is none,
/// from the private object itself.
fn public_half(
    session: &Session,
    token: &TokenSummary,
    key: &PrivateKey,
) -> Result<(Algorithm, PublicKey), TokenError> {
    let failed = TokenError::during("reading the public key", token);
    let own = curve_and_point(session, key.handle).map_err(&failed)?;
    let mut public = public_objects(session, key).map_err(&failed)?.into_iter();
    let shared = public.next().unwrap_or_default();
    if public.any(|other| other != shared) {
        return Err(TokenError::SeveralPublicKeys { key: key.summary.clone() });
    }
    let curve = own.curve.or(shared.curve);
    let algorithm = Algorithm::of(key.key_type, curve.as_deref())
        .ok_or_else(|| TokenError::UnsupportedKey { key: key.summary.clone(), curve })?;
    let point = shared.point.or(own.point);
    let point = point.ok_or_else(|| TokenError::NoPublicKey { key: key.summary.clone() })?;
    let public = point::public_key(algorithm, &point)
        .map_err(|source| TokenError::PublicKey { key: key.summary.clone(), source })?;
    Ok((algorithm, public))
}

/// What a token says of a key on a curve, as it says it.
#[derive(Default, PartialEq, Eq)]
struct CurveAndPoint {
    curve: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
}

/// The public keys of a private key's id and type. An empty id stands for none.
fn public_objects(session: &Session, key: &PrivateKey) -> ModuleResult<Vec<CurveAndPoint>> {
    let Some(key_type) = key.key_type.filter(|_| !key.summary.id.is_empty()) else {
        return Ok(Vec::new());
    };
    let template = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Id(key.summary.id.clone()),
        Attribute::KeyType(key_type),
    ];
    let handles = session.find_objects(&template)?;
    handles.into_iter().map(|handle| curve_and_point(session, handle)).collect()
}

fn curve_and_point(session: &Session, handle: ObjectHandle) -> ModuleResult<CurveAndPoint> {
    let mut found = CurveAndPoint::default();
    for attribute in
        session.get_attributes(handle, &[AttributeType::EcParams, AttributeType::EcPoint])?
    {
        match attribute {
            Attribute::EcParams(curve) if !curve.is_empty() => found.curve = Some(curve),
            Attribute::EcPoint(point) if !point.is_empty() => found.point = Some(point),
            _ => {}
        }
    }
    Ok(found)
}

fn summaries(keys: Vec<PrivateKey>) -> Vec<KeySummary> {
    keys.into_iter().map(|key| key.summary).collect()
}
