//! Growing and shrinking in small steps.
//!
//! The frontier goes through the homes of the old array in order. Invariant: an element is in the old array iff its home there is at or
//! beyond the frontier. One step moves all elements of a few homes (`Array::drain_homes`) wherever they lie, also if they wrapped around the
//! array's end, and keeps the old array's overflow counts exact; so both arrays are valid at any time.

use super::array::{Array, capacity, home_of};
use super::bucket::SLOTS;
use super::salt::new_salt;
use super::{Slot, Table};
use crate::entry::size_class;

/// Homes that are moved together, at least once per insertion or removal. At the start of a growth 1/9 of the old array's slots are
/// empty, 0.77 per bucket, and after at most a quarter of an insertion per bucket all is moved: it never gets full, even if all of
/// them go there.
const STEP: usize = 4;
/// Elements moved per insertion or removal that make a second batch unnecessary …
const STEP_MOVED: usize = 16;
/// … and homes that are enough even if they were empty, which limits a step of a shrinking table.
const STEP_SEEN: usize = 64;
/// Arrays up to this many buckets are rebuilt at once: that is quicker than a step of a large one is long.
const AT_ONCE: usize = 16;
/// Elements per bucket that a table shrinks to, 0.57 of the slots; it does so when there is less than one (1/7).
const SHRINK_TO: usize = 4;

/// The array that is being left.
pub(super) struct Migration<S> {
    pub(super) old: Array<S>,
    /// Homes of `old` below this are empty.
    pub(super) frontier: usize,
}

impl<S: Slot> Migration<S> {
    /// Whether elements of this hash are still in the old array.
    #[inline(always)]
    pub(super) fn keeps(&self, hash: u64) -> bool {
        self.old.home(hash) >= self.frontier
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.old.memory_bytes() + size_class(size_of::<Self>())
    }
}

/// The number of buckets that fills the allocator's next size class: up to eight one more, then 10, 12, 14, 16, 20, 24, …
fn next_buckets(n: usize) -> usize {
    size_class((n + 1) * 64) / 64
}

/// The smallest number of buckets that fills a size class and holds `len` elements.
pub(super) fn buckets_for(len: usize) -> usize {
    let mut n = size_class(len.div_ceil(SLOTS).max(1) * 64) / 64;
    while capacity(n) < len {
        n = next_buckets(n);
    }
    n
}

/// The number of buckets that `len` elements in `n` shrink to. Moving takes at most `len / STEP_MOVED + n / STEP_SEEN` calls, each of which may
/// insert: hence the share of `n`, which only counts when the table emptied faster than by single removals.
fn shrunk_buckets(len: usize, n: usize) -> usize {
    size_class((len + n / 16).div_ceil(SHRINK_TO).max(1) * 64) / 64
}

impl<S: Slot> Table<S> {
    /// Called by an insertion when the array is full or a migration under way.
    #[cold]
    #[inline(never)]
    pub(super) fn make_room(&mut self) {
        if self.migration.is_some() {
            self.migrate(STEP_MOVED, STEP_SEEN);
            // Cannot happen at the pace above; a full array must not be met with a panic even so.
            if self.migration.is_some() && self.len >= capacity(self.array.buckets()) {
                self.migrate(usize::MAX, usize::MAX);
            }
        }
        if self.migration.is_none() && self.len >= self.grow_at {
            self.resize(next_buckets(self.array.buckets()));
        }
    }

    /// Called after a removal: moves a migration on, or starts one to a smaller array.
    #[inline(always)]
    pub(super) fn after_removal(&mut self) {
        if self.migration.is_some() || self.len < self.array.buckets() {
            self.shrink();
        }
    }

    #[cold]
    #[inline(never)]
    fn shrink(&mut self) {
        if self.len == 0 {
            *self = Self::new();
        } else if self.migration.is_some() {
            self.migrate(STEP_MOVED, STEP_SEEN);
        } else {
            let wanted = shrunk_buckets(self.len, self.array.buckets());
            if wanted < self.array.buckets() {
                self.resize(wanted);
            }
        }
    }

    /// Starts moving to an array of `n` buckets, and finishes if the array is small.
    fn resize(&mut self, n: usize) {
        debug_assert!(self.migration.is_none());
        let salt = if self.array.buckets() == 0 { new_salt() } else { self.array.salt() };
        let old = std::mem::replace(&mut self.array, Array::new(n, salt));
        if old.buckets() == 0 {
            self.grow_at = capacity(n);
            return;
        }
        let at_once = old.buckets() <= AT_ONCE;
        self.migration = Some(Box::new(Migration { old, frontier: 0 }));
        self.grow_at = 0;
        if at_once {
            self.migrate(usize::MAX, usize::MAX);
        } else {
            self.migrate(STEP_MOVED, STEP_SEEN);
        }
    }

    #[cfg(test)]
    pub(super) fn resize_for_test(&mut self, n: usize) {
        self.resize(n);
    }

    /// Whether elements are being moved to another array.
    #[inline(always)]
    pub fn is_migrating(&self) -> bool {
        self.migration.is_some()
    }

    /// Bytes of the array that elements are being moved from. O(1).
    pub fn migrating_bytes(&self) -> usize {
        self.migration.as_ref().map_or(0, |migration| migration.memory_bytes())
    }

    /// Moves the elements of up to `buckets` buckets on to the new array, if a migration is under way; returns whether it still
    /// is. For idle time: insertions and removals do it by themselves. O(`buckets`).
    pub fn migrate_step(&mut self, buckets: usize) -> bool {
        self.migrate(usize::MAX, buckets);
        self.migration.is_some()
    }

    /// Moves batches of homes until `moved_max` elements are moved or `seen_max` homes done.
    fn migrate(&mut self, moved_max: usize, seen_max: usize) {
        let Some(migration) = &mut self.migration else {
            return;
        };
        let Migration { old, frontier } = &mut **migration;
        let end = old.buckets().min(frontier.saturating_add(seen_max));
        let mut moved = 0;
        while *frontier < end && moved < moved_max {
            let batch = *frontier..end.min(*frontier + STEP);
            // The next batch's memory is fetched while this one is moved, or until the next call: first the lines of buckets,
            // one batch later what their slots point at.
            let next = batch.end..old.buckets().min(batch.end + STEP);
            for index in next.clone() {
                old.prefetch_bucket_slots(index);
                old.prefetch_bucket(index + STEP);
            }
            let target = home_of_bucket(next.start, old.buckets(), self.array.buckets());
            for index in target..target + STEP + 1 {
                self.array.prefetch_bucket(index);
            }
            // The frontier goes first: should `hash` panic in between, elements may be missed, but none is owned twice.
            *frontier = batch.end;
            moved += old.drain_homes(batch, |hash, value| {
                self.array.insert(hash, value);
            });
        }
        if *frontier < old.buckets() {
            return;
        }
        debug_assert!((0..old.buckets()).all(|index| old.first_place(index).is_none()));
        self.migration = None;
        self.grow_at = capacity(self.array.buckets());
    }
}

/// About where, among `new` buckets, the elements of bucket `index` among `old` go.
#[inline(always)]
fn home_of_bucket(index: usize, old: usize, new: usize) -> usize {
    // Bucket counts are far below 2^32, so the product fits.
    index * new / old
}

/// The first hash position that is still in the old array.
pub(super) fn frontier_position<S: Slot>(migration: &Migration<S>) -> u64 {
    let position = super::array::first_position(migration.frontier, migration.old.buckets());
    debug_assert!(position >> 48 != 0 || home_of(position << 16, migration.old.buckets()) >= migration.frontier);
    position
}
