//! Changes to a trust root, as people ask for them.
//!
//! They change what a root says and nothing else: [`RootFile::new`](crate::RootFile::new) checks the
//! whole, and only signatures make it a root. What would lock everybody out is refused here already,
//! where the way out can be named.

use core::num::NonZeroU32;

use crate::extension::{Extension, FreshnessRule, RevokedDigest, StreamRule};
use crate::key::{KeyId, TufKey};
use crate::role::{Role, RoleName};
use crate::root::RootContent;
use crate::statement::Sequence;
use crate::stream::{Stream, StreamPattern};

/// A change to a trust root cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The role has the key already.
    #[error("the role `{role}` has the key {key} already")]
    KeyPresent {
        /// The role.
        role: RoleName,
        /// The key.
        key: KeyId,
    },
    /// No key is meant by this.
    #[error("the trust root has no key `{text}`: give its id, the start of its id, or its name")]
    KeyAbsent {
        /// What was given.
        text: String,
    },
    /// Several keys are meant by this.
    #[error("`{text}` is the start of the ids of several keys: give more of it")]
    KeyAmbiguous {
        /// What was given.
        text: String,
    },
    /// The role does not have the key.
    #[error("the role `{role}` does not have the key {key}")]
    NotInRole {
        /// The role.
        role: RoleName,
        /// The key.
        key: KeyId,
    },
    /// The trust root has no such role.
    #[error("the trust root has no role `{role}`")]
    RoleAbsent {
        /// The role.
        role: RoleName,
    },
    /// Without the key nobody would have the role.
    #[error(
        "the key {key} is the last one of the role `{role}`, and without it nobody could sign: add \
         another key first"
    )]
    LastKey {
        /// The role.
        role: RoleName,
        /// The key.
        key: KeyId,
    },
    /// More keys would have to sign than there are.
    #[error(
        "the role `{role}` would need {threshold} signers and have {keys} keys, so nobody could \
         sign: lower its threshold, or add a key first"
    )]
    Unreachable {
        /// The role.
        role: RoleName,
        /// How many would have to sign.
        threshold: NonZeroU32,
        /// How many keys there would be.
        keys: usize,
    },
    /// No rule has this pattern.
    #[error("the trust root has no rule for `{pattern}`")]
    NoRule {
        /// The pattern.
        pattern: StreamPattern,
    },
    /// A floor is only raised.
    #[error(
        "the floor of `{pattern}` is {present}, and a floor is not lowered: older trees would be \
         accepted again; change the rule itself if that is meant (`root allow --min-sequence`)"
    )]
    FloorLowered {
        /// The pattern.
        pattern: StreamPattern,
        /// The floor that there is.
        present: Sequence,
    },
    /// It is revoked already.
    #[error("{what} is revoked already")]
    Revoked {
        /// What.
        what: String,
    },
}

impl RootContent {
    /// What the next version starts from.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// The key that is meant by an id, the start of one with 8 digits or more, or a name.
    pub fn find_key(&self, text: &str) -> Result<KeyId, EditError> {
        let names = self.extension.iter().flat_map(|extension| &extension.names);
        if let Some((key, _)) = names.into_iter().find(|(_, name)| *name == text) {
            return Ok(*key);
        }
        let is_meant = |key: &&KeyId| text.len() >= 8 && key.to_string().starts_with(text);
        let mut keys = self.keys.keys().filter(is_meant);
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(*key),
            (None, _) => Err(EditError::KeyAbsent { text: text.to_owned() }),
            (Some(_), Some(_)) => Err(EditError::KeyAmbiguous { text: text.to_owned() }),
        }
    }

    /// Gives a role a further key. A role that does not exist is made, with a threshold of 1.
    pub fn add_key(&mut self, role: &RoleName, key: &TufKey) -> Result<(), EditError> {
        let id = key.id();
        let mut changed = self.role(role).cloned();
        if changed.as_ref().is_some_and(|role| role.key_ids.contains(&id)) {
            return Err(EditError::KeyPresent { role: role.clone(), key: id });
        }
        self.keys.insert(id, key.clone());
        let fresh = Role { key_ids: Vec::new(), threshold: NonZeroU32::MIN };
        let mut changed = changed.take().unwrap_or(fresh);
        changed.key_ids.push(id);
        self.put_role(role, changed);
        Ok(())
    }

    /// Takes a key from one role, or from all that have it.
    pub fn remove_key(&mut self, key: &KeyId, role: Option<&RoleName>) -> Result<(), EditError> {
        if let Some(role) = role {
            return self.remove_from_role(key, role);
        }
        // One by one, because TUF's other roles follow the root role and lose the key with it.
        while let Some(role) = self.roles_of(key).first() {
            self.remove_from_role(key, role)?;
        }
        Ok(())
    }

    fn remove_from_role(&mut self, key: &KeyId, name: &RoleName) -> Result<(), EditError> {
        let mut role = self.role_or_error(name)?.clone();
        let before = role.key_ids.len();
        role.key_ids.retain(|other| other != key);
        if role.key_ids.len() == before {
            return Err(EditError::NotInRole { role: name.clone(), key: *key });
        }
        if role.key_ids.is_empty() {
            return Err(EditError::LastKey { role: name.clone(), key: *key });
        }
        check_reachable(name, role.threshold, role.key_ids.len())?;
        self.put_role(name, role);
        Ok(())
    }

    /// Sets how many of a role's keys must sign.
    pub fn set_threshold(
        &mut self,
        role: &RoleName,
        threshold: NonZeroU32,
    ) -> Result<(), EditError> {
        let changed = Role { threshold, ..self.role_or_error(role)?.clone() };
        check_reachable(role, threshold, changed.key_ids.len())?;
        self.put_role(role, changed);
        Ok(())
    }

    /// Gives a key a name for people, in the place of an older one.
    pub fn name_key(&mut self, key: KeyId, name: &str) {
        self.extension.get_or_insert_default().names.insert(key, name.to_owned());
    }

    /// Lets these roles, all of them together, seal the streams of a pattern.
    pub fn allow(
        &mut self,
        pattern: StreamPattern,
        roles: Vec<RoleName>,
        min_sequence: Option<Sequence>,
        freshness: Option<FreshnessRule>,
    ) {
        let streams = &mut self.extension.get_or_insert_default().streams;
        let present = streams.get(&pattern).map(|rule| rule.min_sequence);
        let min_sequence = min_sequence.or(present).unwrap_or(Sequence::FIRST);
        streams.insert(pattern, StreamRule { roles, min_sequence, freshness });
    }

    /// Takes the rule of a pattern away.
    pub fn disallow(&mut self, pattern: &StreamPattern) -> Result<(), EditError> {
        let streams = self.extension.as_mut().map(|extension| &mut extension.streams);
        match streams.and_then(|streams| streams.remove(pattern)) {
            Some(_) => Ok(()),
            None => Err(EditError::NoRule { pattern: pattern.clone() }),
        }
    }

    /// Refuses all sequences of a stream below this one. A stream without a rule of its own gets
    /// that of the pattern that matched it.
    pub fn raise_floor(&mut self, stream: &Stream, floor: Sequence) -> Result<(), EditError> {
        let pattern = StreamPattern::from(stream.clone());
        let extension = self.extension.get_or_insert_default();
        let Some(rule) = extension.rule(stream).cloned() else {
            return Err(EditError::NoRule { pattern });
        };
        if floor < rule.min_sequence {
            return Err(EditError::FloorLowered { pattern, present: rule.min_sequence });
        }
        extension.streams.insert(pattern, StreamRule { min_sequence: floor, ..rule });
        Ok(())
    }

    /// Revokes the image with this digest, under whichever stream.
    pub fn revoke_digest(&mut self, digest: RevokedDigest) -> Result<(), EditError> {
        let what = format!("the image {digest}");
        let is_new = self.extension.get_or_insert_default().revoked.insert(digest);
        if is_new { Ok(()) } else { Err(EditError::Revoked { what }) }
    }

    /// Revokes one seal of a stream.
    pub fn revoke_sequence(
        &mut self,
        stream: &Stream,
        sequence: Sequence,
    ) -> Result<(), EditError> {
        let revoked = &mut self.extension.get_or_insert_default().revoked_sequences;
        if revoked.entry(stream.clone()).or_default().insert(sequence) {
            return Ok(());
        }
        Err(EditError::Revoked { what: format!("sequence {sequence} of the stream `{stream}`") })
    }

    /// The roles that have a key, by name.
    pub fn roles_of(&self, key: &KeyId) -> Vec<RoleName> {
        let having = self.all_roles().filter(|(_, role)| role.key_ids.contains(key));
        having.map(|(name, _)| name.clone()).collect()
    }

    fn role_or_error(&self, name: &RoleName) -> Result<&Role, EditError> {
        self.role(name).ok_or_else(|| EditError::RoleAbsent { role: name.clone() })
    }

    /// Puts a role in its place. Those of TUF's roles that were the root role's stay so, and keys
    /// that no role has any more are dropped, with their names.
    fn put_role(&mut self, name: &RoleName, role: Role) {
        let root = RoleName::root();
        if *name == root {
            for follower in [RoleName::snapshot(), RoleName::timestamp()] {
                if self.roles.get(&follower) == self.roles.get(&root) {
                    self.roles.insert(follower, role.clone());
                }
            }
        }
        if name.is_tuf() {
            self.roles.insert(name.clone(), role);
        } else {
            self.extension.get_or_insert_default().roles.insert(name.clone(), role);
        }
        self.drop_unused_keys();
    }
}

fn check_reachable(role: &RoleName, threshold: NonZeroU32, keys: usize) -> Result<(), EditError> {
    match usize::try_from(threshold.get()) {
        Ok(needed) if needed <= keys => Ok(()),
        _ => Err(EditError::Unreachable { role: role.clone(), threshold, keys }),
    }
}

impl Extension {
    /// Forgets the names of keys that are gone.
    pub(crate) fn keep_names(&mut self, has_key: impl Fn(&KeyId) -> bool) {
        self.names.retain(|key, _| has_key(key));
    }
}
