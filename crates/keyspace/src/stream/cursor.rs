//! Walking over the entries of a block.

use super::StreamId;
use super::text::{self, read_number};

/// The head of an entry: deleted.
pub(super) const DELETED: u8 = 0x80;
/// The head of an entry: it has names of its own.
pub(super) const OWN_NAMES: u8 = 0x40;
/// How the id follows from the one before it: the next number of the same ms.
pub(super) const NEXT_SEQ: u8 = 0x00;
/// A number at least two above, of the same ms.
pub(super) const LATER_SEQ: u8 = 0x10;
/// Number 0 of a later ms.
pub(super) const LATER_MS: u8 = 0x20;
/// Another number of a later ms.
pub(super) const LATER_BOTH: u8 = 0x30;
pub(super) const ID_FORM: u8 = 0x30;
/// The head of an entry: its values have the sizes of the first entry's values, and are stored without them.
pub(super) const SAME_SIZES: u8 = 0x08;
/// Bits with the difference in ms, less one.
pub(super) const MS_STEP: u8 = 0x07;

/// Where an entry begins, and what its id counts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) before: StreamId,
}

/// Walks over a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    /// Bytes from the place `base` on.
    pub(super) piece: &'a [u8],
    pub(super) base: u32,
    /// Bytes after those.
    pub(super) rest: &'a [u8],
    pub(super) name_count: u32,
    pub(super) sizes_sum: u32,
    pub(super) names: &'a [u8],
    pub(super) first_values: &'a [u8],
    pub(super) place: Place,
}

impl Cursor<'_> {
    /// Nothing to walk over.
    pub(super) const DONE: Cursor<'static> = Cursor {
        piece: &[],
        base: 0,
        rest: &[],
        name_count: 0,
        sizes_sum: 0,
        names: &[],
        first_values: &[],
        place: Place { at: 0, before: StreamId::MIN },
    };
}

/// An entry in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) id: StreamId,
    /// Where it begins.
    pub(super) at: u32,
    pub(super) deleted: bool,
    /// Number of fields.
    pub(super) count: u32,
    /// Names, if they are not between the values.
    pub(super) names: Option<&'a [u8]>,
    /// Texts with the sizes of the values, if these stand without.
    pub(super) sizes: Option<&'a [u8]>,
    /// Values, or names and values by turns.
    pub(super) values: &'a [u8],
}

impl<'a> Iterator for Cursor<'a> {
    type Item = Found<'a>;

    #[inline]
    fn next(&mut self) -> Option<Found<'a>> {
        let begin = self.place.at;
        let mut start = (begin - self.base) as usize;
        if start == self.piece.len() {
            (self.piece, self.base, self.rest) = (self.rest, begin, &[]);
            start = 0;
        }
        let data = self.piece;
        let head = *data.get(start)?;
        let (id, mut at) = read_id(data, start, self.place.before);
        let mut found = Found {
            id,
            at: begin,
            deleted: head & DELETED != 0,
            count: self.name_count,
            names: Some(self.names),
            sizes: None,
            values: &[],
        };
        let mut texts = self.name_count;
        if head & OWN_NAMES != 0 {
            let (count, end) = read_number(data, at);
            at = end;
            found.names = None;
            found.count = count as u32;
            texts = 2 * found.count;
        }
        found.values = &data[at..];
        if head & SAME_SIZES != 0 {
            found.sizes = Some(self.first_values);
            at += self.sizes_sum as usize;
        } else {
            for _ in 0..texts {
                at = text::skip(data, at);
            }
        }
        self.place = Place { at: begin + (at - start) as u32, before: id };
        Some(found)
    }
}

/// The id of the entry that begins at `at`, and where its head ends.
#[inline]
fn read_id(data: &[u8], at: usize, before: StreamId) -> (StreamId, usize) {
    let head = data[at];
    let at = at + 1;
    match head & ID_FORM {
        NEXT_SEQ => (StreamId { ms: before.ms, seq: before.seq.wrapping_add(1) }, at),
        LATER_SEQ => {
            let (step, at) = read_number(data, at);
            (StreamId { ms: before.ms, seq: before.seq.wrapping_add(step).wrapping_add(2) }, at)
        }
        form => {
            let (step, at) = match head & MS_STEP {
                MS_STEP => {
                    let (step, at) = read_number(data, at);
                    (step + 7, at)
                }
                step => (u64::from(step), at),
            };
            // Only the last entry is read without knowing the one before it: then this is no id, but must not overflow.
            let ms = before.ms.wrapping_add(step).wrapping_add(1);
            let (seq, at) = if form == LATER_MS { (0, at) } else { read_number(data, at) };
            (StreamId { ms, seq }, at)
        }
    }
}
