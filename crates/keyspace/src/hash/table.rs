//! Large hashes: a table of fields, one allocation each, and an index of expiries if there are any.
//!
//! A value lies in its field's allocation: as bytes or, when that is shorter, as an integer. What HINCRBY has touched is an integer as well:
//! the next increment then neither parses nor moves it.
//!
//! Invariant: a field with an expiry is in the index under that time and its hash, and the index holds nothing else.

use super::{Field, FieldTtl, IncrementError};
use crate::expiry::ExpiryIndex;
use crate::object::Text;
use fastrand::Rng;
use kinovar_ds::entry::{Entry, NewPayload, Payload, size_class};
use kinovar_ds::hash::hash;
use kinovar_ds::number::{I64_TEXT_MAX, parse_i64};
use kinovar_ds::table::{self, Table};

/// A name with its value and its expiry; there are no objects.
type FieldEntry = Entry<()>;

/// Texts of integers are kept as such from this length on: an `i64` then takes no more than length and text.
const INT_TEXT_MIN: usize = 8;
/// Bytes of the expiry index for each field in it: 16 of its own, and the tree's slack.
const INDEX_BYTES: usize = 24;

/// The fields of a large hash.
pub(super) struct Fields {
    table: Table<FieldEntry>,
    /// `None` when no field has an expiry.
    expiries: Option<Box<ExpiryIndex>>,
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[inline]
fn payload(value: &[u8]) -> NewPayload<'_, ()> {
    if (INT_TEXT_MIN..=I64_TEXT_MAX).contains(&value.len())
        && let Some(int) = parse_i64(value)
    {
        return NewPayload::Int(int);
    }
    NewPayload::Bytes(value)
}

#[inline]
fn value(entry: &FieldEntry) -> Text<'_> {
    match entry.payload() {
        Payload::Bytes(bytes) => Text::Bytes(bytes),
        Payload::Int(int) => Text::Int(int),
        Payload::None | Payload::Object(()) => unreachable!("a field holds bytes or an integer"),
    }
}

#[inline]
fn field(entry: &FieldEntry) -> Field<'_> {
    Field { name: Text::Bytes(entry.key()), value: value(entry), expire_at_ms: entry.expire_at_ms() }
}

impl Fields {
    /// Starts loading the bucket of a field of this hash or, with `deep`, the fields that a lookup will compare.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64, deep: bool) {
        if deep {
            self.table.prefetch_slots(hash);
        } else {
            self.table.prefetch(hash);
        }
    }

    pub(super) fn with_capacity(capacity: usize) -> Fields {
        Fields { table: Table::with_capacity(capacity), expiries: None }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<Field<'_>> {
        self.table.find(hash(name), |entry| entry.key_eq(name)).map(field)
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter(self.table.iter())
    }

    /// See [`super::Hash::scan`]; expired fields are visited.
    pub(super) fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Field<'_>)) -> u64 {
        let (mut cursor, mut visited) = (cursor, 0);
        // The bound on the steps is for a table that is almost empty.
        for _ in 0..count.saturating_mul(10) {
            cursor = self.table.scan(cursor, &mut |entry| {
                visited += 1;
                visit(field(entry));
            });
            if cursor == 0 || visited >= count {
                break;
            }
        }
        cursor
    }

    /// A field chosen by chance, expired or not. Expected O(1).
    pub(super) fn random(&self, rng: &mut Rng) -> Option<Field<'_>> {
        self.table.random(|| rng.u64(..)).map(field)
    }

    /// Adds a field that is known to be absent.
    pub(super) fn insert_unique(&mut self, field: &Field<'_>) {
        let at_ms = field.expire_at_ms;
        field.name.with(|name| {
            let hash = hash(name);
            field.value.with(|value| {
                self.table.insert_unique(hash, Entry::new(name, payload(value), at_ms, None));
            });
            self.reindex(hash, None, at_ms);
        });
    }

    #[inline]
    pub(super) fn set(&mut self, name: &[u8], value: &[u8], ttl: FieldTtl) -> bool {
        let hash = hash(name);
        let Some(entry) = self.table.find_mut(hash, |entry| entry.key_eq(name)) else {
            self.table.insert_unique(hash, Entry::new(name, payload(value), None, None));
            return true;
        };
        match payload(value) {
            NewPayload::Int(int) => entry.set_int(int),
            _ => entry.set_bytes(value),
        }
        if ttl == FieldTtl::Clear
            && let Some(at_ms) = entry.expire_at_ms()
        {
            entry.set_expire(None);
            self.reindex(hash, Some(at_ms), None);
        }
        false
    }

    /// See [`super::Hash::increment`]; `None` when the field is absent or has expired.
    pub(super) fn increment(&mut self, name: &[u8], delta: i64, now_ms: u64) -> Option<Result<i64, IncrementError>> {
        let entry = self.table.find_mut(hash(name), |entry| entry.key_eq(name))?;
        if field(entry).is_expired(now_ms) {
            return None;
        }
        let sum = value(entry).to_int().ok_or(IncrementError::NotInteger);
        let sum = sum.and_then(|value| value.checked_add(delta).ok_or(IncrementError::Overflow));
        Some(sum.inspect(|&sum| entry.set_int(sum)))
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let hash = hash(name);
        let Some(entry) = self.table.remove(hash, |entry| entry.key_eq(name)) else { return false };
        self.reindex(hash, entry.expire_at_ms(), None);
        true
    }

    pub(super) fn set_expiry(&mut self, name: &[u8], at_ms: Option<u64>) -> bool {
        let hash = hash(name);
        let Some(entry) = self.table.find_mut(hash, |entry| entry.key_eq(name)) else { return false };
        let before_ms = entry.expire_at_ms();
        entry.set_expire(at_ms);
        self.reindex(hash, before_ms, at_ms);
        true
    }

    /// Keeps the index true: a field's expiry changed.
    #[inline]
    fn reindex(&mut self, hash: u64, from_ms: Option<u64>, to_ms: Option<u64>) {
        if from_ms == to_ms {
            return;
        }
        let index = self.expiries.get_or_insert_default();
        index.change(hash, from_ms, to_ms);
        if index.is_empty() {
            self.expiries = None;
        }
    }

    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        self.expires()?.next_ms()
    }

    #[inline]
    fn expires(&self) -> Option<&ExpiryIndex> {
        self.expiries.as_deref()
    }

    pub(super) fn expire(&mut self, now_ms: u64, max: usize, visit: &mut dyn FnMut(&[u8])) -> usize {
        let Some(index) = &mut self.expiries else { return 0 };
        let mut removed = 0;
        while removed < max
            && let Some((at_ms, hash)) = index.pop_due(now_ms.saturating_sub(1))
        {
            let gone = self.table.remove(hash, |entry| entry.expire_at_ms() == Some(at_ms));
            if let Some(entry) = gone {
                visit(entry.key());
                removed += 1;
            }
        }
        if index.is_empty() {
            self.expiries = None;
        }
        removed
    }

    pub(super) fn deep_copy(&self) -> Fields {
        let mut copy = Fields::with_capacity(self.len());
        for field in self.iter() {
            copy.insert_unique(&field);
        }
        copy
    }

    /// Bytes of it all; `samples` fields are measured (0: all).
    pub(super) fn memory_bytes(&self, samples: usize) -> usize {
        let looked_at = if samples == 0 { self.len() } else { samples.min(self.len()) };
        let sampled: usize = self.table.iter().take(looked_at).map(FieldEntry::allocated_size).sum();
        let entries = (sampled * self.len()).checked_div(looked_at).unwrap_or(0);
        let index = self.expires().map_or(0, |index| size_of::<ExpiryIndex>() + index.len() * INDEX_BYTES);
        size_class(size_of::<Fields>()) + self.table.memory_bytes() + entries + index
    }
}

/// The fields, in no order.
pub struct Iter<'a>(table::Iter<'a, FieldEntry>);

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.0.next().map(field)
    }
}
