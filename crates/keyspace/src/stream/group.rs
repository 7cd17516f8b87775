//! Consumer groups.

use super::StreamId;
use super::pending::IdMap;
use kinovar_ds::entry::size_class;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    last_id: StreamId,
    /// The lowest id that `last_id` was moved away from since [`Group::settle`].
    left_id: StreamId,
    /// Whether it was made since then. To the reference, a new group has come from `0-0`.
    is_new: bool,
    entries_read: Option<i64>,
    /// All that is pending.
    pending: IdMap<Pending>,
    /// By name.
    names: BTreeMap<Box<[u8]>, ConsumerId>,
    /// By [`ConsumerId`].
    consumers: Vec<Option<Consumer>>,
}

/// Names a consumer of a group for as long as it is not deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConsumerId(pub(super) u32);

/// Who reads for a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    seen_ms: u64,
    active_ms: Option<u64>,
    /// Counted where these are not the same.
    apart: Option<Counted>,
    /// Ids of what is pending for it. The rest is in [`Group::pending`].
    pending: IdMap<StreamId>,
}

/// An entry that a consumer has received and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The entry's id; the entry may be deleted already.
    pub id: StreamId,
    /// Whose it is.
    pub consumer: ConsumerId,
    /// When it was last delivered, Unix ms.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Number of entries that are pending for it. O(1).
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// When it last tried to read or claim, Unix ms.
    pub fn seen_ms(&self) -> u64 {
        self.seen_ms
    }

    /// When it last got something, Unix ms.
    pub fn active_ms(&self) -> Option<u64> {
        self.active_ms
    }

    /// Says when it was seen, Unix ms.
    pub fn set_seen(&mut self, at_ms: u64) {
        self.seen_ms = at_ms;
        self.count();
    }

    /// Says when it got something, Unix ms.
    pub fn set_active(&mut self, at_ms: Option<u64>) {
        self.active_ms = at_ms;
        self.count();
    }

    fn count(&mut self) {
        let is_apart = self.active_ms != Some(self.seen_ms);
        if is_apart != self.apart.is_some() {
            self.apart = is_apart.then(Counted::one);
        }
    }
}

/// How many consumers got nothing when they were last seen, in all keyspaces of the process.
static APART: AtomicUsize = AtomicUsize::new(0);

/// Something that is counted while it lives.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn one() -> Counted {
        APART.fetch_add(1, Relaxed);
        Counted
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted::one()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        APART.fetch_sub(1, Relaxed);
    }
}

/// How many consumers of groups there are in this process that got nothing when they were last seen; those included that are about
/// to be freed. Old versions of the RDB format cannot tell their two times apart.
pub fn consumers_apart() -> usize {
    APART.load(Relaxed)
}

/// The names say whose id it is.
const LIVING: &str = "ids of deleted consumers are not used";

impl Group {
    pub(super) fn new(last_id: StreamId, entries_read: Option<i64>) -> Group {
        Group {
            last_id,
            left_id: StreamId::MAX,
            is_new: true,
            entries_read,
            pending: IdMap::default(),
            names: BTreeMap::new(),
            consumers: Vec::new(),
        }
    }

    /// The last id that was delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many entries it has read of all that ever were, if known (`entries-read`).
    pub fn entries_read(&self) -> Option<i64> {
        self.entries_read
    }

    /// Makes it go on after `last_id`, with whatever counter; for `XGROUP SETID` see [`super::Stream::set_group_id`].
    pub fn set_last_id(&mut self, last_id: StreamId, entries_read: Option<i64>) {
        self.move_to(last_id);
        self.entries_read = entries_read;
    }

    /// Moves the last delivered id forward, if `id` is above it, without touching the counter (`XCLAIM … LASTID`).
    pub fn raise_last_id(&mut self, id: StreamId) {
        if id > self.last_id {
            self.move_to(id);
        }
    }

    fn move_to(&mut self, last_id: StreamId) {
        self.left_id = self.left_id.min(self.last_id);
        self.last_id = last_id;
    }

    /// Whether `floor` is no longer what all groups have received, because this one was there or is behind it.
    pub(super) fn moves_floor(&self, floor: StreamId) -> bool {
        self.left_id <= floor || self.last_id < floor || self.is_new && floor == StreamId::MIN
    }

    /// Forgets where it was.
    pub(super) fn settle(&mut self) {
        self.left_id = StreamId::MAX;
        self.is_new = false;
    }

    /// Its consumers, by name. O(1) each.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|&id| (id, self.consumer(id)))
    }

    /// The consumer whose name comes after this one, or the first. O(log n).
    pub fn consumer_after(&self, name: Option<&[u8]>) -> Option<(ConsumerId, &Consumer)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = name.map_or(Unbounded, Excluded);
        self.names.range::<[u8], _>((after, Unbounded)).next().map(|(_, &id)| (id, self.consumer(id)))
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.names.len()
    }

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// The consumer of this name, made (and seen at `now_ms`) if there was none; whether it was made.
    pub fn create_consumer(&mut self, name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
        if let Some(id) = self.find_consumer(name) {
            return (id, false);
        }
        let name: Box<[u8]> = name.into();
        let apart = Some(Counted::one());
        let consumer =
            Consumer { name: name.clone(), seen_ms: now_ms, active_ms: None, apart, pending: IdMap::default() };
        // As many are free as were deleted.
        let free = if self.names.len() < self.consumers.len() {
            self.consumers.iter().position(Option::is_none)
        } else {
            None
        };
        let index = free.unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() - 1
        });
        self.consumers[index] = Some(consumer);
        let id = ConsumerId(u32::try_from(index).expect("memory for so many consumers there is not"));
        self.names.insert(name, id);
        (id, true)
    }

    /// Removes a consumer and what is pending for it; how much that was, `None` if there is none of this name.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers[id.0 as usize].take().expect(LIVING);
        for id in consumer.pending.iter_from(StreamId::MIN) {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect(LIVING)
    }

    /// A consumer, to set its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect(LIVING)
    }

    /// Number of pending entries. O(1).
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry with this id. O(log n).
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(id)
    }

    /// Pending entries from `from` to `to`, both included, in order. O(log n) to begin.
    pub fn pending_range(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Pending> {
        self.pending.iter_from(from).take_while(move |pending| pending.id <= to)
    }

    /// The pending entry with the highest id. O(log n).
    pub fn last_pending(&self) -> Option<Pending> {
        self.pending.last()
    }

    /// Pending entries of one consumer from `from` to `to`, both included, in order. O(log n) for each.
    pub fn consumer_pending_range(
        &self,
        consumer: ConsumerId,
        from: StreamId,
        to: StreamId,
    ) -> impl Iterator<Item = Pending> {
        let ids = self.consumer(consumer).pending.iter_from(from).take_while(move |id| *id <= to);
        ids.map(|id| self.pending.get(id).expect("what a consumer has pending, its group has"))
    }

    /// Ids of what is pending for one consumer, in order. O(1) each.
    pub fn consumer_pending_ids(&self, consumer: ConsumerId) -> impl Iterator<Item = StreamId> {
        self.consumer(consumer).pending.iter_from(StreamId::MIN)
    }

    /// Acknowledges: the entry is no longer pending; whether it was (`XACK`). O(log n).
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.consumer_mut(pending.consumer).pending.remove(id);
        true
    }

    /// Makes an entry pending as told, whether or not it was, and whosever it was. O(log n).
    pub fn set_pending(&mut self, pending: Pending) {
        let before = self.pending.insert(pending);
        if let Some(before) = before {
            if before.consumer == pending.consumer {
                return;
            }
            self.consumer_mut(before.consumer).pending.remove(pending.id);
        }
        self.consumer_mut(pending.consumer).pending.insert(pending.id);
    }

    /// Notes that a consumer received an entry as a new one. It may be pending already, where the group was set back.
    pub(super) fn deliver(&mut self, id: StreamId, consumer: ConsumerId, now_ms: u64) {
        self.set_pending(Pending { id, consumer, delivered_ms: now_ms, deliveries: 1 });
    }

    /// Frees needed to drop it, roughly.
    pub(super) fn free_effort(&self) -> usize {
        let consumers = self.consumers.iter().flatten().map(|consumer| 3 + consumer.pending.chunk_count());
        1 + self.pending.chunk_count() + consumers.sum::<usize>()
    }

    /// Bytes it holds, its own included.
    pub(super) fn memory_bytes(&self) -> usize {
        let consumers = self.consumers.iter().flatten().map(|consumer| {
            // The name is there twice: with the consumer and in the index.
            let index = (size_of::<Box<[u8]>>() + size_of::<ConsumerId>()) * 11 / 6;
            2 * size_class(consumer.name.len()) + index + consumer.pending.memory_bytes()
        });
        size_of::<Group>()
            + size_class(self.consumers.capacity() * size_of::<Option<Consumer>>())
            + self.pending.memory_bytes()
            + consumers.sum::<usize>()
    }
}
