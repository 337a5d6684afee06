use core::fmt;
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};

use crate::hex::{self, HexError};
use crate::json::Json;
use crate::role::{Role, RoleName};
use crate::root::{self, RootError};
use crate::schema::Node;
use crate::statement::{ImageDigests, ImageFormat, Sequence};
use crate::stream::{Stream, StreamPattern};

/// `x-treeseal`, the signed part of a trust root that TUF does not have: who may seal what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// The rule of each pattern. A stream that no pattern matches may not be sealed at all.
    pub streams: BTreeMap<StreamPattern, StreamRule>,
    /// Roles that seal, besides TUF's `targets`.
    pub roles: BTreeMap<RoleName, Role>,
    /// Images that are not to be used any more.
    pub revoked: BTreeSet<RevokedDigest>,
    /// The formats that images may have; all that are known here if none are named.
    pub formats: Option<BTreeSet<ImageFormat>>,
    /// What is done about expiry at boot.
    pub at_boot: AtBoot,
}

/// Who may seal a stream, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRule {
    /// The role whose keys seal the stream: `targets` or one of [`Extension::roles`].
    pub role: RoleName,
    /// Statements with a lower sequence are refused.
    pub min_sequence: Sequence,
}

/// What is done about expiry at boot, where there may be no clock to trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtBoot {
    /// `warn`: boot, and report it.
    #[default]
    Warn,
    /// `refuse`: do not boot.
    Refuse,
}

/// A digest of an image that is revoked: SHA-256 of the file, or one of its file digests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevokedDigest(Vec<u8>);

/// Patterns that one root can have rules for.
const MAX_STREAMS: usize = 1024;

/// Roles that one root can add to TUF's four.
const MAX_ROLES: usize = 32;

/// Images that one root can revoke. A higher `minSequence` revokes any number.
const MAX_REVOKED: usize = 2048;

impl Extension {
    /// The rule for `stream`: that of the most specific pattern.
    pub fn rule(&self, stream: &Stream) -> Option<&StreamRule> {
        let matching = self.streams.iter().filter(|(pattern, _)| pattern.matches(stream));
        matching.max_by_key(|(pattern, _)| pattern.specificity()).map(|(_, rule)| rule)
    }

    /// Whether any digest of the image is revoked.
    pub fn revokes(&self, digests: &ImageDigests) -> bool {
        digests.all().any(|digest| self.revoked.iter().any(|revoked| revoked.0 == digest))
    }

    /// Whether images may have this format.
    pub fn allows(&self, format: ImageFormat) -> bool {
        self.formats.as_ref().is_none_or(|formats| formats.contains(&format))
    }

    pub(crate) fn parse(node: Node) -> Result<Self, RootError> {
        let mut fields = node.fields()?;
        let streams = parse_streams(fields.required("streams")?)?;
        let roles = match fields.optional("roles") {
            Some(node) => root::parse_roles(node, MAX_ROLES)?,
            None => BTreeMap::new(),
        };
        let revoked = match fields.optional("revokedDigests") {
            Some(node) => parse_revoked(node)?,
            None => BTreeSet::new(),
        };
        let formats = match fields.optional("formats") {
            Some(node) => Some(parse_formats(node)?),
            None => None,
        };
        let at_boot = match fields.optional("atBoot") {
            Some(node) => AtBoot::parse(node)?,
            None => AtBoot::default(),
        };
        fields.end()?;
        Ok(Self { streams, roles, revoked, formats, at_boot })
    }

    /// The rules that bind fields to each other.
    pub(crate) fn check(&self) -> Result<(), RootError> {
        if let Some(role) = self.roles.keys().find(|role| role.is_tuf()) {
            return Err(RootError::RoleReserved { role: role.clone() });
        }
        for (pattern, rule) in &self.streams {
            if rule.role != RoleName::targets() && !self.roles.contains_key(&rule.role) {
                let (pattern, role) = (pattern.clone(), rule.role.clone());
                return Err(RootError::StreamRole { pattern, role });
            }
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Json {
        let rule = |(pattern, rule): (&StreamPattern, &StreamRule)| {
            let role = ("role", rule.role.as_str().into());
            let min_sequence = ("minSequence", rule.min_sequence.number().into());
            (pattern.to_string(), Json::object([role, min_sequence]))
        };
        let mut fields = BTreeMap::new();
        let mut add = |name: &str, value| fields.insert(name.to_owned(), value);
        add("streams", Json::Object(self.streams.iter().map(rule).collect()));
        if !self.roles.is_empty() {
            add("roles", root::roles_to_json(&self.roles));
        }
        if !self.revoked.is_empty() {
            add("revokedDigests", texts(self.revoked.iter()));
        }
        if let Some(formats) = &self.formats {
            add("formats", texts(formats.iter()));
        }
        match self.at_boot {
            AtBoot::Warn => {}
            AtBoot::Refuse => {
                add("atBoot", "refuse".into());
            }
        }
        Json::Object(fields)
    }
}

fn texts<T: fmt::Display>(items: impl Iterator<Item = T>) -> Json {
    Json::Array(items.map(|item| item.to_string().into()).collect())
}

fn parse_streams(node: Node) -> Result<BTreeMap<StreamPattern, StreamRule>, RootError> {
    let entry = |(pattern, node): (String, Node)| {
        let mut fields = node.fields()?;
        let role = fields.required("role")?.string()?.parse()?;
        let min_sequence = Sequence::parse(fields.required("minSequence")?)?;
        fields.end()?;
        Ok((pattern.parse()?, StreamRule { role, min_sequence }))
    };
    node.fields()?.entries(MAX_STREAMS)?.into_iter().map(entry).collect()
}

fn parse_revoked(node: Node) -> Result<BTreeSet<RevokedDigest>, RootError> {
    let mut revoked = BTreeSet::new();
    for node in node.items(MAX_REVOKED)? {
        let path = node.path.clone();
        if !revoked.insert(node.string()?.parse()?) {
            return Err(RootError::Repeated { path });
        }
    }
    Ok(revoked)
}

fn parse_formats(node: Node) -> Result<BTreeSet<ImageFormat>, RootError> {
    let mut formats = BTreeSet::new();
    for node in node.items(16)? {
        let path = node.path.clone();
        if !formats.insert(node.string()?.parse()?) {
            return Err(RootError::Repeated { path });
        }
    }
    Ok(formats)
}

impl AtBoot {
    fn parse(node: Node) -> Result<Self, RootError> {
        let found = node.string()?;
        match found.as_str() {
            "warn" => Ok(Self::Warn),
            "refuse" => Ok(Self::Refuse),
            _ => Err(RootError::AtBoot { found }),
        }
    }
}

impl FromStr for RevokedDigest {
    type Err = HexError;

    /// Reads 64 or 128 lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, HexError> {
        let bytes = hex::decode(text)?;
        match bytes.len() {
            32 | 64 => Ok(Self(bytes)),
            _ => Err(HexError::Length { expected: 64, found: text.len() }),
        }
    }
}

impl fmt::Display for RevokedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for RevokedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevokedDigest({self})")
    }
}
