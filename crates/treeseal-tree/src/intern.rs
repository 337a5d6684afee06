//! Byte strings and number lists that are stored once.

use core::hash::BuildHasher;
use std::hash::RandomState;

use hashbrown::HashTable;

use crate::TreeError;

/// Byte strings in one allocation, by offset and length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
}

/// Where a byte string lies in an [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Arena {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Span, TreeError> {
        let offset = number(self.bytes.len(), "bytes of names and values")?;
        let length = number(bytes.len(), "bytes of names and values")?;
        number(self.bytes.len() + bytes.len(), "bytes of names and values")?;
        self.bytes.extend_from_slice(bytes);
        Ok(Span { offset, length })
    }

    pub(crate) fn get(&self, span: Span) -> &[u8] {
        let start = index(span.offset);
        &self.bytes[start..start + index(span.length)]
    }
}

/// Values of one kind, each stored once and numbered in order of first appearance.
///
/// The tables are seeded by the standard library, so that crafted input cannot make every lookup
/// collide; no result depends on the seed.
#[derive(Clone, Debug)]
pub(crate) struct Interner<S> {
    store: S,
    table: HashTable<u32>,
    seed: RandomState,
}

/// Where an [`Interner`] keeps its values.
pub(crate) trait Store: Default {
    type Item: ?Sized + core::hash::Hash + PartialEq;
    fn len(&self) -> usize;
    fn at(&self, number: u32) -> &Self::Item;
    fn push(&mut self, item: &Self::Item) -> Result<(), TreeError>;
}

impl<S: Store> Default for Interner<S> {
    fn default() -> Self {
        Self { store: S::default(), table: HashTable::new(), seed: RandomState::new() }
    }
}

impl<S: Store> Interner<S> {
    /// The number of `item`, which is stored when it is new.
    pub(crate) fn intern(&mut self, item: &S::Item) -> Result<u32, TreeError> {
        let Self { store, table, seed } = self;
        let hash = seed.hash_one(item);
        if let Some(found) = table.find(hash, |&other| store.at(other) == item) {
            return Ok(*found);
        }
        let new = number(store.len(), "distinct values")?;
        store.push(item)?;
        table.insert_unique(hash, new, |&other| seed.hash_one(store.at(other)));
        Ok(new)
    }

    /// Gives up the lookup table, for a value that nothing is added to any more.
    pub(crate) fn freeze(self) -> S {
        self.store
    }
}

/// Byte strings of any length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    arena: Arena,
    spans: Vec<Span>,
}

impl Strings {
    /// Keeps only the strings whose numbers `is_wanted`, numbered anew in the same order.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(u32) -> bool) {
        let bytes = &mut self.arena.bytes;
        let mut end = 0;
        let mut number = 0;
        self.spans.retain_mut(|span| {
            let is_kept = is_wanted(number);
            number += 1;
            if is_kept {
                let start = index(span.offset);
                bytes.copy_within(start..start + index(span.length), index(end));
                span.offset = end;
                end += span.length;
            }
            is_kept
        });
        bytes.truncate(index(end));
    }
}

impl Store for Strings {
    type Item = [u8];

    fn len(&self) -> usize {
        self.spans.len()
    }

    fn at(&self, number: u32) -> &[u8] {
        self.arena.get(self.spans[index(number)])
    }

    fn push(&mut self, item: &[u8]) -> Result<(), TreeError> {
        self.spans.push(self.arena.push(item)?);
        Ok(())
    }
}

/// Lists of numbers. List 0 is the empty one and always there.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    numbers: Vec<u32>,
    spans: Vec<Span>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { numbers: Vec::new(), spans: vec![Span { offset: 0, length: 0 }] }
    }
}

impl Store for Lists {
    type Item = [u32];

    fn len(&self) -> usize {
        self.spans.len()
    }

    fn at(&self, number: u32) -> &[u32] {
        let span = self.spans[index(number)];
        &self.numbers[index(span.offset)..][..index(span.length)]
    }

    fn push(&mut self, item: &[u32]) -> Result<(), TreeError> {
        let offset = number(self.numbers.len(), "attributes")?;
        let length = number(item.len(), "attributes")?;
        self.numbers.extend_from_slice(item);
        self.spans.push(Span { offset, length });
        Ok(())
    }
}

/// Values of a fixed size.
#[derive(Clone, Debug)]
pub(crate) struct Values<T>(Vec<T>);

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone + core::hash::Hash + PartialEq> Store for Values<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, number: u32) -> &T {
        &self.0[index(number)]
    }

    fn push(&mut self, item: &T) -> Result<(), TreeError> {
        self.0.push(item.clone());
        Ok(())
    }
}

/// A count as a 32-bit number; the last few are kept free for marks and the like.
pub(crate) fn number(count: usize, what: &'static str) -> Result<u32, TreeError> {
    u32::try_from(count)
        .ok()
        .filter(|number| *number <= u32::MAX - 1024)
        .ok_or(TreeError::TooLarge(what))
}

/// A 32-bit number as an index. Targets with narrower pointers than 32 bits are not supported.
#[allow(clippy::cast_possible_truncation, reason = "usize has at least 32 bits here")]
pub(crate) const fn index(number: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    number as usize
}
