//! Strings over their storage: an integer, bytes inside the entry, or a separate buffer.
//!
//! | storage | when | `OBJECT ENCODING` |
//! |---|---|---|
//! | integer | set to the canonical text of an `i64` | `int` |
//! | inline bytes | up to [`INLINE_MAX`] | `embstr` up to 44 bytes set in one go, else `raw` |
//! | buffer | longer | `raw` |

use crate::Entry;
use crate::object::{Object, Text};
use kinovar_ds::entry::{NewPayload, Payload};
use kinovar_ds::number::parse_i64;

/// Longest string kept inside its key's allocation, bytes.
pub const INLINE_MAX: usize = 1024;

/// What happens to the expiry when a string is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// Stays.
    Keep,
    /// Goes.
    Clear,
    /// Becomes this, Unix ms.
    At(u64),
}

/// How a string that is set in one go is stored.
#[inline]
pub fn payload(value: &[u8]) -> NewPayload<'_, Object> {
    match parse_i64(value) {
        Some(int) => NewPayload::Int(int),
        None if value.len() <= INLINE_MAX => NewPayload::Bytes(value),
        None => NewPayload::Object(Object::Raw(value.to_vec())),
    }
}

/// Overwrites a string without a separate buffer.
#[inline]
pub(crate) fn overwrite(entry: &mut Entry, value: &[u8]) {
    match payload(value) {
        NewPayload::Int(int) => entry.set_int(int),
        NewPayload::Bytes(bytes) => entry.set_bytes(bytes),
        NewPayload::Object(object) => entry.set_object(object),
        NewPayload::None => unreachable!("a string is never nothing"),
    }
}

/// Appends to a string; its new length.
pub(crate) fn append(entry: &mut Entry, bytes: &[u8]) -> usize {
    let len = as_text(entry).len();
    write_at(entry, len, bytes)
}

/// Writes into a string, extending it as needed; its new length.
pub(crate) fn write_at(entry: &mut Entry, offset: usize, bytes: &[u8]) -> usize {
    let end = offset + bytes.len();
    if let Some(Object::Raw(buffer)) = entry.object_mut() {
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        buffer[offset..end].copy_from_slice(bytes);
        return buffer.len();
    }
    let old_len = as_text(entry).len();
    if let Some(inline) = entry.bytes_mut()
        && inline.len() >= end
    {
        inline[offset..end].copy_from_slice(bytes);
    } else {
        // Zeroed by the allocator, which need not touch fresh memory for that.
        let mut longer = vec![0; end.max(old_len)];
        as_text(entry).with(|text| longer[..text.len()].copy_from_slice(text));
        longer[offset..end].copy_from_slice(bytes);
        if longer.len() <= INLINE_MAX {
            entry.set_bytes(&longer);
        } else {
            entry.set_object(Object::Raw(longer));
        }
    }
    entry.set_raw(true);
    old_len.max(end)
}

/// The bytes of a string, at least `len_min` of them.
pub(crate) fn bytes_mut(entry: &mut Entry, len_min: usize) -> &mut [u8] {
    write_at(entry, len_min, b"");
    let is_object = matches!(entry.payload(), Payload::Object(_));
    if is_object {
        match entry.object_mut() {
            Some(Object::Raw(buffer)) => return buffer,
            _ => unreachable!("the type was checked"),
        }
    }
    entry.bytes_mut().expect("what was written is bytes")
}

/// Lets `edit` change a string.
pub(crate) fn edit<R>(entry: &mut Entry, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    /// Room for what is added to a short string.
    const ROOM: usize = 16;
    if let Some(Object::Raw(buffer)) = entry.object_mut() {
        return edit(buffer);
    }
    let text = as_text(entry);
    let mut copy = Vec::with_capacity(text.len() + ROOM);
    text.with(|bytes| copy.extend_from_slice(bytes));
    let result = edit(&mut copy);
    if copy.len() <= INLINE_MAX {
        entry.set_bytes(&copy);
    } else {
        entry.set_object(Object::Raw(copy));
    }
    entry.set_raw(true);
    result
}

fn as_text(entry: &Entry) -> Text<'_> {
    match entry.payload() {
        Payload::Bytes(bytes) => Text::Bytes(bytes),
        Payload::Int(value) => Text::Int(value),
        Payload::Object(Object::Raw(bytes)) => Text::Bytes(bytes),
        Payload::Object(_) | Payload::None => unreachable!("the type was checked"),
    }
}
