//! Members as they come out of a set, and as they are looked for.

use kinovar_ds::elem::{Elem, ElemKey};
use kinovar_ds::listpack::parse_integer;
use kinovar_ds::number::format_i64;
use std::cell::OnceCell;

/// A member as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// The decimal text of an integer.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An element of a hash table.
    Elem(&'a Elem),
}

impl<'a> Member<'a> {
    /// The bytes a client sees; `buf` is the place for those that are not stored as such.
    #[inline]
    pub fn bytes<'b>(self, buf: &'b mut [u8; 24]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Member::Int(value) => format_i64(value, buf.first_chunk_mut().expect("24 bytes hold 20")),
            Member::Bytes(bytes) => bytes,
            Member::Elem(elem) => elem.bytes(buf),
        }
    }

    /// The integer whose canonical text the member is.
    pub fn as_int(self) -> Option<i64> {
        match self {
            Member::Int(value) => Some(value),
            Member::Bytes(bytes) => parse_integer(bytes),
            Member::Elem(elem) => elem.as_int(),
        }
    }
}

/// A member to look for, in one set after another: its integer and its hash are computed when first needed.
pub struct Probe<'a> {
    bytes: &'a [u8],
    int: OnceCell<Option<i64>>,
    key: OnceCell<ElemKey<'a>>,
}

impl<'a> Probe<'a> {
    /// A member of these bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Probe<'a> {
        Probe { bytes, int: OnceCell::new(), key: OnceCell::new() }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(super) fn int(&self) -> Option<i64> {
        *self.int.get_or_init(|| parse_integer(self.bytes))
    }

    #[inline]
    pub(super) fn key(&self) -> &ElemKey<'a> {
        self.key.get_or_init(|| ElemKey::new(self.bytes))
    }
}
