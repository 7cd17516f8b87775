//! Consumer groups.

use super::StreamId;

/// A consumer group.
#[derive(Debug)]
pub struct Group {
    last_id: StreamId,
    entries_read: Option<i64>,
}

/// Names a consumer of a group for as long as it is not deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConsumerId(u32);

/// Who reads for a group.
#[derive(Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to read or claim, Unix ms.
    pub seen_ms: u64,
    /// When it last got something, Unix ms.
    pub active_ms: Option<u64>,
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
        todo!()
    }
}

impl Group {
    /// The last id that was delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// How many entries it has read of all that ever were, if known (`entries-read`).
    pub fn entries_read(&self) -> Option<i64> {
        self.entries_read
    }

    /// Makes it go on after `last_id` (`XGROUP SETID`).
    pub fn set_last_id(&mut self, last_id: StreamId, entries_read: Option<i64>) {
        self.last_id = last_id;
        self.entries_read = entries_read;
    }

    /// Moves the last delivered id forward, if `id` is above it, without touching the counter (`XCLAIM … LASTID`).
    pub fn raise_last_id(&mut self, id: StreamId) {
        self.last_id = self.last_id.max(id);
    }

    /// Its consumers, by name. O(1) each.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        std::iter::empty()
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        todo!()
    }

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        let _ = name;
        todo!()
    }

    /// The consumer of this name, made (and seen at `now_ms`) if there was none; whether it was made.
    pub fn create_consumer(&mut self, name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
        let _ = (name, now_ms);
        todo!()
    }

    /// Removes a consumer and what is pending for it; how much that was, `None` if there is none of this name.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let _ = name;
        todo!()
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        let _ = id;
        todo!()
    }

    /// A consumer, to set its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        let _ = id;
        todo!()
    }

    /// Number of pending entries. O(1).
    pub fn pending_count(&self) -> usize {
        todo!()
    }

    /// The pending entry with this id. O(log n).
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        let _ = id;
        todo!()
    }

    /// Pending entries from `from` to `to`, both included, in order. O(log n) to begin.
    pub fn pending_range(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Pending> {
        let _ = (from, to);
        std::iter::empty()
    }

    /// The same of one consumer.
    pub fn consumer_pending_range(
        &self,
        consumer: ConsumerId,
        from: StreamId,
        to: StreamId,
    ) -> impl Iterator<Item = Pending> {
        let _ = (consumer, from, to);
        std::iter::empty()
    }

    /// Acknowledges: the entry is no longer pending; whether it was (`XACK`). O(log n).
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let _ = id;
        todo!()
    }

    /// Makes an entry pending as told, whether or not it was, and whosever it was. O(log n).
    pub fn set_pending(&mut self, pending: Pending) {
        let _ = pending;
        todo!()
    }
}
