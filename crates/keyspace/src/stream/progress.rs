//! How far a group has read: the counters behind `entries-read` and `lag`.
//!
//! A stream counts the entries it ever got. With that, the number of entries up to some ids is known without looking: up to
//! the last and, as long as nothing was deleted from the middle, up to the first. A group counts what it reads as long as
//! nothing ahead of it was deleted. `None` says that a number is not known. All rules are the reference's, found by asking.

use super::{Group, Stream, StreamId};

/// What a stream says about its entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    pub(super) len: usize,
    pub(super) first_id: StreamId,
    pub(super) last_id: StreamId,
    pub(super) max_deleted_id: StreamId,
    pub(super) entries_added: u64,
}

impl Stream {
    pub(super) fn counters(&self) -> Counters {
        Counters {
            len: self.log.len(),
            first_id: self.first_id,
            last_id: self.last_id,
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
        }
    }
}

impl Counters {
    fn any_deleted(&self) -> bool {
        self.max_deleted_id != StreamId::MIN
    }

    /// Whether an entry from `from` on was deleted, as far as that is known.
    fn has_gap_from(&self, from: StreamId) -> bool {
        self.len > 0 && self.any_deleted() && from <= self.max_deleted_id
    }

    /// How many entries there ever were up to `id`.
    pub(super) fn entries_until(&self, id: StreamId) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(added);
        }
        if self.any_deleted() && self.max_deleted_id >= self.first_id {
            return None;
        }
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(added - self.len as i64),
            std::cmp::Ordering::Equal => Some(added - self.len as i64 + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has still to read.
    pub(super) fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 || self.len == 0 {
            return Some(0);
        }
        let last_id = group.last_id();
        if self.first_id > self.max_deleted_id && last_id < self.first_id {
            return Some(self.len as i64);
        }
        match group.entries_read() {
            Some(read) if !self.has_gap_from(last_id) => Some(added.wrapping_sub(read)),
            _ => self.entries_until(last_id).map(|read| added - read),
        }
    }

    /// A group's counter after it has received the entry `id`, which comes after its last id.
    pub(super) fn entries_read_after(&self, group: &Group, id: StreamId) -> Option<i64> {
        match group.entries_read() {
            Some(read) if group.last_id() >= self.first_id && !self.has_gap_from(group.last_id()) => {
                Some(read.wrapping_add(1))
            }
            read if self.entries_added == 0 => read,
            _ => self.entries_until(id),
        }
    }
}
