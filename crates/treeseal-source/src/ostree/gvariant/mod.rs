//! `GVariant`, as far as OSTree's objects need it: strings, numbers, arrays, tuples and dictionaries.
//!
//! Only *normal form* is read: the one serialization that a value has. GLib reads any bytes, and puts
//! default values where they make no sense; two programs that read different things in the same signed
//! bytes are an attack, so what is not normal is refused.
//!
//! Framing, after GLib's "`GVariant` specification 1.0": a container ends with a table of the ends of
//! those of its members whose size is not fixed, little-endian, in the fewest bytes of 1, 2, 4 and 8 that
//! can count the container. A tuple's table is in reverse order and leaves its last member out. A member
//! begins at a multiple of its alignment, after bytes of zero.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Dictionary, array, dictionary, string, tuple, u32_be, u64_be};
pub(crate) use write::{write_array, write_dictionary, write_string, write_tuple};

/// How a member of a tuple is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// So many bytes, at a multiple of as many: a number.
    Fixed(usize),
    /// Any number of bytes, at a multiple of this.
    Variable(usize),
}

/// A number of 32 bits.
pub(crate) const U32: Layout = Layout::Fixed(4);
/// A number of 64 bits.
pub(crate) const U64: Layout = Layout::Fixed(8);
/// Bytes, a string, or a container of such.
pub(crate) const BYTES: Layout = Layout::Variable(1);
/// A dictionary of variants, `a{sv}`, or what contains one.
pub(crate) const DICTIONARY: Layout = Layout::Variable(DICTIONARY_ALIGNMENT);

const DICTIONARY_ALIGNMENT: usize = 8;

impl Layout {
    const fn alignment(self) -> usize {
        match self {
            Self::Fixed(alignment) | Self::Variable(alignment) => alignment,
        }
    }

    const fn is_variable(self) -> bool {
        matches!(self, Self::Variable(_))
    }
}

/// Bytes that are no normal form of the type that they should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GvariantError {
    /// The bytes end too early, or go on where they should end.
    #[error("a value has another size than its type or its container says")]
    Size,
    /// The table of a container's members is wrong.
    #[error("a container's table of its members is not in order")]
    Table,
    /// Bytes between two members are not zero.
    #[error("there is something between two members of a container")]
    Padding,
    /// A string that does not end with its only NUL, or is no UTF-8.
    #[error("a string is not UTF-8 that ends with its only NUL byte")]
    String,
    /// A variant that does not name its type.
    #[error("a variant does not name its type")]
    Variant,
    /// A value in a dictionary has another type than it should have.
    #[error("a value in a dictionary has another type than it should have")]
    Kind,
    /// A dictionary has a key twice.
    #[error("a dictionary has a key twice")]
    Key,
}

/// The bytes that a number in the table of a container has, where the members take `body` bytes and the
/// table has `count` numbers.
const fn offset_size(body: usize, count: usize) -> usize {
    // As GLib does it: the first size that can count the whole.
    if body.saturating_add(count) <= 0xff {
        1
    } else if body.saturating_add(count.saturating_mul(2)) <= 0xffff {
        2
    } else if body.saturating_add(count.saturating_mul(4)) <= 0xffff_ffff {
        4
    } else {
        8
    }
}
