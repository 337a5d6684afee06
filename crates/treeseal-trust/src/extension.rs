use core::fmt;
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};

use treeseal_verity::HashAlgorithm;

use crate::hex::{self, HexError};
use crate::json::Json;
use crate::key::KeyId;
use crate::role::{Role, RoleName};
use crate::root::{self, RootContent, RootError};
use crate::schema::{Node, SchemaError, check_length};
use crate::statement::{
    Image, ImageDigests, ImageFormat, Sequence, StatementError, algorithm_name, find_algorithm,
};
use crate::stream::{Stream, StreamPattern};

/// `x-treeseal`, the signed part of a trust root that TUF does not have: who may seal what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// The rule of each pattern. A stream that no pattern matches may not be sealed at all.
    pub streams: BTreeMap<StreamPattern, StreamRule>,
    /// Roles besides TUF's four: those that seal, or say what is fresh.
    pub roles: BTreeMap<RoleName, Role>,
    /// What people call the keys: 1 to 64 characters, no name twice.
    pub names: BTreeMap<KeyId, String>,
    /// Seals that are not to be used any more, by stream.
    pub revoked_sequences: BTreeMap<Stream, BTreeSet<Sequence>>,
    /// Images that are not to be used any more, under whichever stream.
    pub revoked: BTreeSet<RevokedDigest>,
    /// The formats that images may have; all that are known here if none are named.
    pub formats: Option<BTreeSet<ImageFormat>>,
    /// The algorithms that images and objects may be named by; all if none are named.
    pub algorithms: Option<BTreeSet<HashAlgorithm>>,
    /// What is done about expiry at boot.
    pub at_boot: AtBoot,
}

/// Who may seal a stream, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRule {
    /// The roles that seal the stream, 1 to 8: `targets` and those of [`Extension::roles`]. The
    /// threshold of each must be met, and no key is in two of them.
    pub roles: Vec<RoleName>,
    /// Statements with a lower sequence are refused.
    pub min_sequence: Sequence,
    /// Whether somebody must say that a seal is the newest.
    pub freshness: Option<FreshnessRule>,
}

/// Seals of a stream need a freshness statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshnessRule {
    /// Who says what is current: `timestamp`, or one of [`Extension::roles`] that seals nothing.
    pub role: RoleName,
    /// Seconds after its end for which a freshness statement may be missing, at most ten years.
    pub tolerance: u64,
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

/// Roles of one rule.
const MAX_RULE_ROLES: usize = 8;

/// Seconds that a freshness statement may be missing: ten years.
const MAX_TOLERANCE: u64 = 10 * 365 * 86_400;

/// Streams of which one root can revoke sequences, and sequences of each.
const MAX_REVOKED_SEQUENCES: usize = 1024;

/// Names that one root can give to keys: as many as it has keys.
const MAX_NAMES: usize = 128;

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

    /// Whether this seal of the stream is revoked.
    pub fn revokes_sequence(&self, stream: &Stream, sequence: Sequence) -> bool {
        self.revoked_sequences.get(stream).is_some_and(|revoked| revoked.contains(&sequence))
    }

    /// Whether an image of this format and these algorithms may be used.
    pub fn allows(&self, image: &Image) -> bool {
        let format = self.formats.as_ref().is_none_or(|formats| formats.contains(&image.format));
        let algorithm = self.algorithms.as_ref().is_none_or(|allowed| {
            allowed.contains(&image.objects)
                && allowed.iter().any(|algorithm| image.digests.file(*algorithm).is_some())
        });
        format && algorithm
    }

    pub(crate) fn parse(node: Node) -> Result<Self, RootError> {
        let mut fields = node.fields()?;
        let streams = parse_streams(fields.required("streams")?)?;
        let roles = match fields.optional("roles") {
            Some(node) => root::parse_roles(node, MAX_ROLES)?,
            None => BTreeMap::new(),
        };
        let names = fields.optional("names").map_or(Ok(BTreeMap::new()), parse_names)?;
        let revoked_sequences = fields
            .optional("revokedSequences")
            .map_or(Ok(BTreeMap::new()), parse_revoked_sequences)?;
        let revoked = match fields.optional("revokedDigests") {
            Some(node) => parse_revoked(node)?,
            None => BTreeSet::new(),
        };
        let formats = match fields.optional("formats") {
            Some(node) => Some(parse_formats(node)?),
            None => None,
        };
        let algorithms = fields.optional("algorithms").map(parse_algorithms).transpose()?;
        let at_boot = match fields.optional("atBoot") {
            Some(node) => AtBoot::parse(node)?,
            None => AtBoot::default(),
        };
        fields.end()?;
        Ok(Self { streams, roles, names, revoked_sequences, revoked, formats, algorithms, at_boot })
    }

    /// The rules that bind fields to each other and to the rest of the root.
    pub(crate) fn check(&self, root: &RootContent) -> Result<(), RootError> {
        if let Some(role) = self.roles.keys().find(|role| role.is_tuf()) {
            return Err(RootError::RoleReserved { role: role.clone() });
        }
        self.check_names(root)?;
        for (pattern, rule) in &self.streams {
            self.check_rule(pattern, rule)?;
            root.check_disjoint(pattern, &rule.roles)?;
            self.check_freshness(pattern, rule)?;
        }
        Ok(())
    }

    fn check_names(&self, root: &RootContent) -> Result<(), RootError> {
        let mut names = BTreeSet::new();
        for (key, name) in &self.names {
            if !root.keys.contains_key(key) {
                return Err(RootError::NamedKey { key: *key, name: name.clone() });
            }
            let length = name.chars().count();
            if !(1..=64).contains(&length) || name.chars().any(char::is_control) {
                return Err(RootError::KeyName { key: *key });
            }
            if !names.insert(name) {
                let path = format!("/signed/x-treeseal/names/{key}");
                return Err(RootError::Repeated { path });
            }
        }
        Ok(())
    }

    fn check_rule(&self, pattern: &StreamPattern, rule: &StreamRule) -> Result<(), RootError> {
        let path = format!("/signed/x-treeseal/streams/{pattern}/roles");
        check_length(&path, 1, MAX_RULE_ROLES, rule.roles.len())?;
        for (index, role) in rule.roles.iter().enumerate() {
            if *role != RoleName::targets() && !self.roles.contains_key(role) {
                let (pattern, role) = (pattern.clone(), role.clone());
                return Err(RootError::StreamRole { pattern, role });
            }
            if rule.roles.iter().take(index).any(|other| other == role) {
                return Err(RootError::Repeated { path: format!("{path}/{index}") });
            }
        }
        Ok(())
    }

    /// Who says what is fresh must exist and must not seal anything.
    fn check_freshness(&self, pattern: &StreamPattern, rule: &StreamRule) -> Result<(), RootError> {
        let Some(freshness) = &rule.freshness else { return Ok(()) };
        let role = &freshness.role;
        let exists = *role == RoleName::timestamp() || self.roles.contains_key(role);
        if !exists || self.streams.values().any(|rule| rule.roles.contains(role)) {
            let (pattern, role) = (pattern.clone(), role.clone());
            return Err(RootError::FreshnessRole { pattern, role });
        }
        if freshness.tolerance > MAX_TOLERANCE {
            let path = format!("/signed/x-treeseal/streams/{pattern}/freshness/tolerance");
            let found = freshness.tolerance.into();
            return Err(SchemaError::Range { path, min: 0, max: MAX_TOLERANCE, found }.into());
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Json {
        let rules =
            self.streams.iter().map(|(pattern, rule)| (pattern.to_string(), rule.to_json()));
        let mut fields = BTreeMap::new();
        let mut add = |name: &str, value| fields.insert(name.to_owned(), value);
        add("streams", Json::Object(rules.collect()));
        if !self.roles.is_empty() {
            add("roles", root::roles_to_json(&self.roles));
        }
        if !self.names.is_empty() {
            let name = |(key, name): (&KeyId, &String)| (key.to_string(), name.as_str().into());
            add("names", Json::Object(self.names.iter().map(name).collect()));
        }
        if !self.revoked_sequences.is_empty() {
            let stream = |(stream, sequences): (&Stream, &BTreeSet<Sequence>)| {
                let numbers = sequences.iter().map(|sequence| sequence.number().into());
                (stream.to_string(), Json::Array(numbers.collect()))
            };
            let streams = self.revoked_sequences.iter().map(stream);
            add("revokedSequences", Json::Object(streams.collect()));
        }
        if !self.revoked.is_empty() {
            add("revokedDigests", texts(self.revoked.iter()));
        }
        if let Some(formats) = &self.formats {
            add("formats", texts(formats.iter()));
        }
        if let Some(algorithms) = &self.algorithms {
            add("algorithms", texts(algorithms.iter().copied().map(algorithm_name)));
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
    let entry = |(pattern, node): (String, Node)| Ok((pattern.parse()?, StreamRule::parse(node)?));
    node.fields()?.entries(MAX_STREAMS)?.into_iter().map(entry).collect()
}

impl StreamRule {
    fn parse(node: Node) -> Result<Self, RootError> {
        let mut fields = node.fields()?;
        let roles = fields.required("roles")?.items(MAX_RULE_ROLES)?;
        let roles = roles.into_iter().map(|node| Ok(node.string()?.parse()?));
        let roles = roles.collect::<Result<_, RootError>>()?;
        let min_sequence = Sequence::parse(fields.required("minSequence")?)?;
        let freshness = fields.optional("freshness").map(FreshnessRule::parse).transpose()?;
        fields.end()?;
        Ok(Self { roles, min_sequence, freshness })
    }

    fn to_json(&self) -> Json {
        let mut fields = BTreeMap::new();
        let mut add = |name: &str, value| fields.insert(name.to_owned(), value);
        add("roles", texts(self.roles.iter()));
        add("minSequence", self.min_sequence.number().into());
        if let Some(FreshnessRule { role, tolerance }) = &self.freshness {
            let role = ("role", role.as_str().into());
            add("freshness", Json::object([role, ("tolerance", (*tolerance).into())]));
        }
        Json::Object(fields)
    }
}

impl FreshnessRule {
    fn parse(node: Node) -> Result<Self, RootError> {
        let mut fields = node.fields()?;
        let role = fields.required("role")?.string()?.parse()?;
        let tolerance = fields.required("tolerance")?.integer(0, MAX_TOLERANCE)?;
        fields.end()?;
        Ok(Self { role, tolerance })
    }
}

fn parse_names(node: Node) -> Result<BTreeMap<KeyId, String>, RootError> {
    let entry = |(key, node): (String, Node)| Ok((key.parse()?, node.string()?));
    node.fields()?.entries(MAX_NAMES)?.into_iter().map(entry).collect()
}

fn parse_revoked_sequences(node: Node) -> Result<BTreeMap<Stream, BTreeSet<Sequence>>, RootError> {
    let entry = |(stream, node): (String, Node)| {
        let path = node.path.clone();
        let items = node.items(MAX_REVOKED_SEQUENCES)?;
        check_length(&path, 1, MAX_REVOKED_SEQUENCES, items.len())?;
        Ok((stream.parse()?, parse_set(items, |node| Ok(Sequence::parse(node)?))?))
    };
    node.fields()?.entries(MAX_REVOKED_SEQUENCES)?.into_iter().map(entry).collect()
}

fn parse_algorithms(node: Node) -> Result<BTreeSet<HashAlgorithm>, RootError> {
    let path = node.path.clone();
    let items = node.items(2)?;
    check_length(&path, 1, 2, items.len())?;
    parse_set(items, |node| {
        let found = node.string()?;
        let algorithm = find_algorithm(&found);
        algorithm.ok_or(RootError::Algorithm(StatementError::Algorithm { found }))
    })
}

/// The values of a list, none of which may be there twice.
fn parse_set<T: Ord>(
    items: Vec<Node>,
    parse: impl Fn(Node) -> Result<T, RootError>,
) -> Result<BTreeSet<T>, RootError> {
    let mut set = BTreeSet::new();
    for node in items {
        let path = node.path.clone();
        if !set.insert(parse(node)?) {
            return Err(RootError::Repeated { path });
        }
    }
    Ok(set)
}

fn parse_revoked(node: Node) -> Result<BTreeSet<RevokedDigest>, RootError> {
    parse_set(node.items(MAX_REVOKED)?, |node| Ok(node.string()?.parse()?))
}

fn parse_formats(node: Node) -> Result<BTreeSet<ImageFormat>, RootError> {
    parse_set(node.items(16)?, |node| Ok(node.string()?.parse()?))
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
