//! Streams: entries in the order of their ids, and consumer groups that read them.
//!
//! | module | what it is |
//! |---|---|
//! | [`id`] | ids and how they are written |
//! | `block` | a run of entries in one piece of memory: `docs/formats/stream.md` |
//! | `cursor` | walking over a block |
//! | `log` | all blocks of a stream in order: appending, finding, deleting |
//! | [`node`] | a stream in pieces as RDB files have it, taken apart and put together |
//! | [`range`] | entries by turns, forwards and backwards |
//! | `trim` | dropping the oldest entries |
//! | [`group`] | groups, consumers, what is pending |
//! | `pending` | an ordered map of pending entries |
//! | `progress` | how far a group has read: counters and lag |
//! | `text` | names and values as bytes |
//!
//! An empty stream is a value like any other: it keeps its last id and its groups.

mod block;
mod cursor;
pub mod group;
pub mod id;
mod log;
pub mod node;
mod pending;
mod progress;
pub mod range;
#[cfg(test)]
mod tests;
mod text;
mod trim;

use crate::settings::Settings;
use block::NewFields;
pub use group::{Consumer, ConsumerId, Group, Pending, consumers_apart};
pub use id::{NewId, STREAM_ID_TEXT_MAX, StreamId};
use kinovar_ds::entry::size_class;
use log::Log;
pub use range::{Fields, Range, RangeRev, StreamEntry};
use std::collections::BTreeMap;
pub use trim::{Trim, TrimBy};

/// A stream.
#[derive(Clone, Debug, Default)]
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
    /// See [`Stream::settle_floor`].
    floor: Option<StreamId>,
}

impl From<Box<Group>> for Stream {
    /// A stream of nothing but a group that was destroyed, to be freed where large values are.
    fn from(group: Box<Group>) -> Stream {
        Stream { groups: BTreeMap::from([(Box::default(), group)]), ..Stream::default() }
    }
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
        self.log.len()
    }

    /// Whether there are no entries. Such a stream is kept.
    pub fn is_empty(&self) -> bool {
        self.log.len() == 0
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

    /// The first id that is kept: of an entry, or of one that was deleted since.
    pub fn first_kept_id(&self) -> Option<StreamId> {
        self.log.first_block().map(|(first, _)| first)
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
        self.log.block_count()
    }

    /// How many nodes the reference's radix tree has over these blocks (`radix-tree-nodes`). O(blocks).
    pub fn radix_tree_nodes(&self) -> usize {
        log::radix_tree_nodes(self.log.blocks().map(|(first, _)| first))
    }

    /// The id that an entry would get now.
    ///
    /// # Errors
    /// All of [`AppendError`] except `TooLarge`.
    #[inline]
    pub fn next_id(&self, id: NewId, now_ms: u64) -> Result<StreamId, AppendError> {
        if id == NewId::Exact(StreamId::MIN) {
            return Err(AppendError::Zero);
        }
        let after_last = self.last_id.next().ok_or(AppendError::Exhausted)?;
        match id {
            NewId::Auto if now_ms > self.last_id.ms => Ok(StreamId::new(now_ms, 0)),
            NewId::Auto => Ok(after_last),
            // When all numbers of a ms are taken, the next id is not of that ms.
            NewId::AutoSeq(ms) if ms == self.last_id.ms && after_last.ms == ms => Ok(after_last),
            NewId::AutoSeq(ms) if ms > self.last_id.ms => Ok(StreamId::new(ms, 0)),
            NewId::Exact(id) if id > self.last_id => Ok(id),
            NewId::AutoSeq(_) | NewId::Exact(_) => Err(AppendError::NotAbove),
        }
    }

    /// Adds an entry; returns its id. `fields` are names and values by turns. Does not trim. O(bytes of the entry).
    pub fn append<'a>(
        &mut self,
        id: NewId,
        now_ms: u64,
        fields: impl Iterator<Item = &'a [u8]> + Clone,
        settings: &Settings,
    ) -> Result<StreamId, AppendError> {
        let id = self.next_id(id, now_ms)?;
        let fields = NewFields::new(fields);
        if !fields.fit() {
            return Err(AppendError::TooLarge);
        }
        self.log.push(id, &fields, settings);
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.log.len() == 1 {
            self.first_id = id;
        }
        Ok(id)
    }

    /// The entries from `from` to `to`, both included, oldest first. O(log n) to begin.
    pub fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        self.log.range(from, to)
    }

    /// The entries from `from` to `to`, both included, newest first. O(log n) to begin.
    pub fn range_rev(&self, from: StreamId, to: StreamId) -> RangeRev<'_> {
        self.log.range_rev(from, to)
    }

    /// The entry with this id. O(log n).
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.log.get(id)
    }

    /// Whether there is an entry with this id. O(log n).
    pub fn contains(&self, id: StreamId) -> bool {
        self.log.contains(id)
    }

    /// Deletes an entry, whether or not it is pending; whether it was there (`XDEL`). O(log n).
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.log.delete(id) {
            return false;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id || self.log.len() == 0 {
            self.first_id = self.log.find_first().unwrap_or_default();
        }
        true
    }

    /// Deletes an entry (`XDELEX`). What happens about references happens also when the entry is gone already. O(log n),
    /// times the number of groups unless references are kept.
    pub fn delete_with(&mut self, id: StreamId, references: References) -> Deletion {
        match references {
            References::Acked if self.is_referenced(id) => return Deletion::Referenced,
            References::Delete => {
                self.drop_references(id);
            }
            References::Acked | References::Keep => {}
        }
        if self.delete(id) { Deletion::Deleted } else { Deletion::Absent }
    }

    /// Sets the counters (`XSETID`), whose plausibility the caller has checked: `entries_added` and `max_deleted_id` stay
    /// as they are when absent.
    pub fn set_id(&mut self, last_id: StreamId, entries_added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        let groups = self.groups.values().map(|group| 2 + group.free_effort());
        1 + 2 * self.log.block_count() + groups.sum::<usize>()
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> Stream {
        Stream { floor: None, ..self.clone() }
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`]. `samples` blocks are looked at.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let groups = self.groups.iter().map(|(name, group)| {
            let index = (size_of::<Box<[u8]>>() + size_of::<Box<Group>>()) * 11 / 6;
            size_class(name.len()) + index + group.memory_bytes()
        });
        size_of::<Stream>() + self.log.memory_bytes(samples) + groups.sum::<usize>()
    }
}

/// Groups.
impl Stream {
    /// All groups, by name. O(1) each.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// The group whose name comes after this one, or the first. O(log n).
    pub fn group_after(&self, name: Option<&[u8]>) -> Option<(&[u8], &Group)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = name.map_or(Unbounded, Excluded);
        self.groups.range::<[u8], _>((after, Unbounded)).next().map(|(name, group)| (&**name, &**group))
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

    /// Makes a group that has received everything up to `last_id`; false if there is one of this name. It cannot have read
    /// more than there ever was: `entries_read` is cut to that.
    pub fn create_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<i64>) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        let group = Group::new(last_id, self.possibly_read(entries_read));
        self.groups.insert(name.into(), Box::new(group));
        true
    }

    /// Makes a group go on after `last_id` (`XGROUP SETID`), with `entries_read` as in [`Stream::create_group`]; false if
    /// there is none of this name.
    pub fn set_group_id(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<i64>) -> bool {
        let entries_read = self.possibly_read(entries_read);
        self.group_mut(name).map(|group| group.set_last_id(last_id, entries_read)).is_some()
    }

    fn possibly_read(&self, entries_read: Option<i64>) -> Option<i64> {
        let added = i64::try_from(self.entries_added).unwrap_or(i64::MAX);
        entries_read.map(|read| read.min(added))
    }

    /// Removes a group, with its consumers and all that is pending; `None` if there is none of this name.
    pub fn destroy_group(&mut self, name: &[u8]) -> Option<Box<Group>> {
        // Where the group holds the floor now, it will stay, as in the reference.
        self.follow_groups();
        self.groups.remove(name)
    }

    /// Entries that a group has still to receive, if that can be told (`lag`). May be negative where a caller of
    /// `XGROUP SETID` claimed to have read more than there was. O(1).
    pub fn lag(&self, group: &Group) -> Option<i64> {
        self.counters().lag(group)
    }

    /// How many entries up to `id` there ever were, if that can be told. O(1).
    pub fn entries_until(&self, id: StreamId) -> Option<i64> {
        self.counters().entries_until(id)
    }

    /// Whether an entry's deletion with [`References::Acked`] has to wait: a group has it pending or has not received it.
    /// O(groups · log n).
    pub fn is_referenced(&mut self, id: StreamId) -> bool {
        if self.groups.is_empty() {
            return false;
        }
        let floor = self.settle_floor();
        self.is_needed(id, floor)
    }

    /// Whether a group has an entry pending, or it is above `floor`.
    fn is_needed(&self, id: StreamId, floor: StreamId) -> bool {
        id > floor || self.groups.values().any(|group| group.pending(id).is_some())
    }

    /// The id up to which every group has received everything. Once known, it stays until a group that is at it is moved or
    /// one gets behind it; a destroyed group holds it back, as in the reference. O(groups).
    fn settle_floor(&mut self) -> StreamId {
        self.follow_groups();
        *self.floor.insert(match self.floor {
            Some(floor) => floor,
            None => self.lowest_group_id(),
        })
    }

    /// Forgets the floor if groups have moved since the last call so that it may be another.
    fn follow_groups(&mut self) {
        self.floor = self.floor.filter(|floor| !self.groups.values().any(|group| group.moves_floor(*floor)));
        self.groups.values_mut().for_each(|group| group.settle());
    }

    fn lowest_group_id(&self) -> StreamId {
        self.groups.values().map(|group| group.last_id()).min().unwrap_or(StreamId::MAX)
    }

    /// Makes an entry no longer pending in any group; in how many it was. O(groups · log n).
    pub fn drop_references(&mut self, id: StreamId) -> usize {
        self.groups.values_mut().filter_map(|group| group.acknowledge(id).then_some(())).count()
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
        let counters = self.counters();
        let group = self.groups.get_mut(group).expect("callers name a group that is there");
        let Some(from) = group.last_id().next() else { return 0 };
        let mut shown = 0;
        for entry in self.log.range(from, StreamId::MAX).take(count) {
            visit(entry);
            shown += 1;
            group.set_last_id(entry.id, counters.entries_read_after(group, entry.id));
            if !noack {
                group.deliver(entry.id, consumer, now_ms);
            }
        }
        shown
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
        let group = self.groups.get_mut(group).expect("callers name a group that is there");
        let Some(from) = after.next() else { return 0 };
        let pending: Vec<Pending> = group.consumer_pending_range(consumer, from, StreamId::MAX).take(count).collect();
        for pending in &pending {
            let entry = self.log.get(pending.id);
            visit(pending.id, entry);
            if entry.is_some() {
                group.set_pending(Pending { delivered_ms: now_ms, deliveries: pending.deliveries + 1, ..*pending });
            }
        }
        pending.len()
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
        self.log.get(id)
    }

    /// Whether there is an entry with this id. O(log n).
    pub fn contains(self, id: StreamId) -> bool {
        self.log.contains(id)
    }
}
