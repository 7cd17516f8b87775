//! Streams: entries in the order of their ids, and consumer groups that read them.
//!
//! | module | what it is |
//! |---|---|
//! | [`id`] | ids and how they are written |
//! | `block` | a run of entries in one piece of memory: `docs/formats/stream.md` |
//! | `log` | all blocks of a stream in order: appending, finding, deleting |
//! | [`range`] | entries by turns, forwards and backwards |
//! | `trim` | dropping the oldest entries |
//! | [`group`] | groups, consumers, what is pending |
//! | `pending` | an ordered map of pending entries |
//! | `progress` | how far a group has read: counters and lag |
//!
//! An empty stream is a value like any other: it keeps its last id and its groups.

mod block;
pub mod group;
pub mod id;
mod log;
mod pending;
mod progress;
pub mod range;
#[cfg(test)]
mod tests;
mod trim;

use crate::settings::Settings;
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{NewId, STREAM_ID_TEXT_MAX, StreamId};
use log::Log;
pub use range::{Fields, Range, RangeRev, StreamEntry};
use std::collections::BTreeMap;
pub use trim::{Trim, TrimBy};

/// A stream.
#[derive(Debug, Default)]
pub struct Stream {
    log: Log,
    /// The highest id that ever was.
    last_id: StreamId,
    /// The oldest entry's id as it is recorded: of an entry that is there, or `0-0`.
    first_id: StreamId,
    /// The highest id among those that were deleted one by one.
    max_deleted_id: StreamId,
    entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Box<Group>>,
}

/// Why an entry was not added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendError {
    /// `0-0` is no entry's id.
    Zero,
    /// The last possible id is taken.
    Exhausted,
    /// The id is not above the last one.
    NotAbove,
    /// More bytes than an entry may have.
    TooLarge,
}

/// What deleting an entry does about groups that have it pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum References {
    /// `KEEPREF`: it stays pending.
    #[default]
    Keep,
    /// `DELREF`: it is no longer pending anywhere.
    Delete,
    /// `ACKED`: it is deleted only when every group has received it and none has it pending.
    Acked,
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// There is no such entry.
    Absent,
    /// It is gone.
    Deleted,
    /// A group still needs it.
    Referenced,
}

impl Stream {
    /// An empty stream.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Number of entries. O(1).
    pub fn len(&self) -> usize {
        todo!()
    }

    /// The highest id that ever was, `0-0` in the beginning.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The highest id among those deleted one by one (not trimmed); `0-0` when there was none.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries there ever were.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The oldest entry's id as it is recorded (`recorded-first-entry-id`); `0-0` when empty.
    pub fn recorded_first_id(&self) -> StreamId {
        self.first_id
    }

    /// The oldest entry.
    pub fn first(&self) -> Option<StreamEntry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The newest entry.
    pub fn last(&self) -> Option<StreamEntry<'_>> {
        self.range_rev(StreamId::MIN, StreamId::MAX).next()
    }

    /// Number of blocks (`radix-tree-keys`): the reference has as many nodes with entries.
    pub fn block_count(&self) -> usize {
        todo!()
    }

    /// How many nodes the reference's radix tree has over these blocks (`radix-tree-nodes`). O(blocks).
    pub fn radix_tree_nodes(&self) -> usize {
        todo!()
    }

    /// The id that an entry would get now.
    ///
    /// # Errors
    /// All of [`AppendError`] except `TooLarge`.
    pub fn next_id(&self, id: NewId, now_ms: u64) -> Result<StreamId, AppendError> {
        let _ = (id, now_ms);
        todo!()
    }

    /// Adds an entry; returns its id. `fields` are names and values by turns. Does not trim. O(bytes of the entry).
    pub fn append<'a>(
        &mut self,
        id: NewId,
        now_ms: u64,
        fields: impl Iterator<Item = &'a [u8]> + Clone,
        settings: &Settings,
    ) -> Result<StreamId, AppendError> {
        let _ = (id, now_ms, fields, settings);
        todo!()
    }

    /// The entries from `from` to `to`, both included, oldest first. O(log n) to begin.
    pub fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        let _ = (from, to);
        todo!()
    }

    /// The entries from `from` to `to`, both included, newest first. O(log n) to begin.
    pub fn range_rev(&self, from: StreamId, to: StreamId) -> RangeRev<'_> {
        let _ = (from, to);
        todo!()
    }

    /// The entry with this id. O(log n).
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.range(id, id).next()
    }

    /// Whether there is an entry with this id. O(log n).
    pub fn contains(&self, id: StreamId) -> bool {
        let _ = id;
        todo!()
    }

    /// Deletes an entry, whether or not it is pending; whether it was there (`XDEL`). O(log n).
    pub fn delete(&mut self, id: StreamId) -> bool {
        self.delete_with(id, References::Keep) == Deletion::Deleted
    }

    /// Deletes an entry (`XDELEX`). O(log n), times the number of groups unless references are kept.
    pub fn delete_with(&mut self, id: StreamId, references: References) -> Deletion {
        let _ = (id, references);
        todo!()
    }

    /// Drops the oldest entries; how many.
    pub fn trim(&mut self, trim: &Trim) -> usize {
        let _ = trim;
        todo!()
    }

    /// Sets the counters (`XSETID`), whose plausibility the caller has checked: `entries_added` and `max_deleted_id` stay
    /// as they are when absent.
    pub fn set_id(&mut self, last_id: StreamId, entries_added: Option<u64>, max_deleted_id: Option<StreamId>) {
        let _ = (last_id, entries_added, max_deleted_id);
        todo!()
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        todo!()
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> Stream {
        todo!()
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`]. `samples` blocks are looked at.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let _ = samples;
        todo!()
    }
}

/// Groups.
impl Stream {
    /// All groups, by name. O(1) each.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// Number of groups.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// The group of this name, to be changed.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name).map(|group| &mut **group)
    }

    /// Makes a group that has received everything up to `last_id`; false if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<i64>) -> bool {
        let _ = (name, last_id, entries_read);
        todo!()
    }

    /// Removes a group, with its consumers and all that is pending; `None` if there is none of this name.
    pub fn destroy_group(&mut self, name: &[u8]) -> Option<Box<Group>> {
        self.groups.remove(name)
    }

    /// Entries that a group has still to receive, if that can be told (`lag`). May be negative where a caller of
    /// `XGROUP SETID` claimed to have read more than there was. O(1).
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let _ = group;
        todo!()
    }

    /// How many entries up to `id` there ever were, if that can be told. O(1).
    pub fn entries_until(&self, id: StreamId) -> Option<i64> {
        let _ = id;
        todo!()
    }

    /// Whether an entry's deletion with [`References::Acked`] has to wait: a group has it pending or has not received it.
    /// O(groups · log n).
    pub fn is_referenced(&self, id: StreamId) -> bool {
        let _ = id;
        todo!()
    }

    /// Makes an entry no longer pending in any group; in how many it was. O(groups · log n).
    pub fn drop_references(&mut self, id: StreamId) -> usize {
        let _ = id;
        todo!()
    }

    /// Shows a group's next entries, at most `count`, and notes that it has received them: they become pending for
    /// `consumer` unless `noack`. `visit` sees each. Returns how many. The group must exist. (`XREADGROUP … >`; the times of
    /// the consumer are the caller's to set.)
    pub fn read_new(
        &mut self,
        group: &[u8],
        consumer: ConsumerId,
        count: usize,
        noack: bool,
        now_ms: u64,
        visit: &mut dyn FnMut(StreamEntry<'_>),
    ) -> usize {
        let _ = (group, consumer, count, noack, now_ms, visit);
        todo!()
    }

    /// Shows what is pending for `consumer` after the id `after`, at most `count`. Entries that are still there count as
    /// delivered once more; of others `visit` gets the id alone. Returns how many. The group must exist.
    /// (`XREADGROUP` with an id.)
    pub fn read_pending(
        &mut self,
        group: &[u8],
        consumer: ConsumerId,
        after: StreamId,
        count: usize,
        now_ms: u64,
        visit: &mut dyn FnMut(StreamId, Option<StreamEntry<'_>>),
    ) -> usize {
        let _ = (group, consumer, after, count, now_ms, visit);
        todo!()
    }

    /// The group and what is needed to look up entries while it is being changed.
    pub fn group_and_entries(&mut self, name: &[u8]) -> Option<(&mut Group, Entries<'_>)> {
        let group = self.groups.get_mut(name)?;
        Some((group, Entries { log: &self.log }))
    }
}

/// The entries of a stream whose groups are borrowed.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    log: &'a Log,
}

impl<'a> Entries<'a> {
    /// The entry with this id. O(log n).
    pub fn get(self, id: StreamId) -> Option<StreamEntry<'a>> {
        let _ = (id, self.log);
        todo!()
    }

    /// Whether there is an entry with this id. O(log n).
    pub fn contains(self, id: StreamId) -> bool {
        let _ = (id, self.log);
        todo!()
    }
}
