//! The hash table: cache-line buckets, byte tags compared by SIMD, growth in small steps, and a cursor without state.
//!
//! `docs/table.md` has the pictures and the proofs. In short:
//!
//! - **Buckets** (`bucket.rs`) are 64 bytes: seven slots of eight bytes, a tag (eight bits of the hash) for each, and a count of the
//!   elements that found this bucket full and went further (F14's idea: no tombstones, and a lookup ends at a bucket that
//!   nobody passed).
//! - **Order.** The home of a hash is `(hash * salt mod 2^64) * n >> 64`: any number of buckets will do, and buckets are in the order
//!   of salted hashes. The salt is the table's own ([`salt`]), lest copying one table into another be quadratic. So
//!   arrays grow from one allocator size class to the next, a fifth on average, which keeps the load between 0.72 and 0.89.
//! - **Migration** goes through the old array in that order, a few buckets per insertion or removal. Elements whose home in
//!   the old array is below the frontier are in the new one, the others in the old one: a lookup probes one array.
//! - **Scan** hands out the elements of an interval of hash positions and returns its end. Positions do not depend on the size
//!   of the table, so an iteration sees every element that stays exactly once, whatever happens between the calls.
//!
//! # Ownership
//! A slot with a nonzero tag owns its value; `Table` drops the values, `Array` only the memory. Places (pointer into
//! an array) live only inside one method and are not used after a change of the array.

mod array;
mod bucket;
mod iter;
mod migrate;
mod position;
mod salt;
mod sample;
mod scan;
mod stats;

pub use array::{Garbage, set_garbage_sink};
pub use iter::{IntoIter, Iter};
pub use position::Position;
pub use stats::TableStats;

use array::{Array, Place, capacity, home_of};
use migrate::Migration;

use crate::elem::Elem;
use crate::entry::Entry;

/// What a table holds: an owning handle of eight bytes that knows its hash.
///
/// # Safety
/// The type is eight bytes with an alignment of at most eight (asserted when a table is made). `hash` must be a function of the
/// element that does not change while it is in a table; breaking this loses elements and may panic, but is not undefined.
pub unsafe trait Slot: Sized {
    /// The element's hash, the one that it was inserted with.
    fn hash(&self) -> u64;

    /// Starts loading what `hash` and comparisons read.
    #[inline(always)]
    fn prefetch(&self) {}
}

// SAFETY: eight bytes (asserted there); an entry's key does not change behind `&mut`, except by replacing the entry.
unsafe impl<T> Slot for Entry<T> {
    #[inline(always)]
    fn hash(&self) -> u64 {
        Entry::hash(self)
    }

    #[inline(always)]
    fn prefetch(&self) {
        Entry::prefetch(self);
    }
}

// SAFETY: eight bytes (asserted there); an element is immutable.
unsafe impl Slot for Elem {
    #[inline(always)]
    fn hash(&self) -> u64 {
        Elem::hash(self)
    }

    #[inline(always)]
    fn prefetch(&self) {
        Elem::prefetch(self);
    }
}

/// A hash table of owning handles. It does not compare elements itself: lookups bring the hash and a test for equality.
pub struct Table<S: Slot> {
    array: Array<S>,
    len: usize,
    /// Insertions go through `make_room` from this length on; zero while a migration is under way.
    grow_at: usize,
    /// The previous array, while its elements are being moved.
    migration: Option<Box<Migration<S>>>,
}

// SAFETY: a table owns its values and nothing else.
unsafe impl<S: Slot + Send> Send for Table<S> {}
// SAFETY: `&Table` gives out `&S` and changes nothing.
unsafe impl<S: Slot + Sync> Sync for Table<S> {}

/// Where the buckets of a table are: enough to start loading one without access to the table, say before its lock is taken. A
/// stale hint does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableHint {
    /// Address of the first bucket.
    pub base: usize,
    /// Number of buckets.
    pub buckets: usize,
    /// What the table multiplies hashes by.
    pub salt: u64,
}

impl TableHint {
    /// Starts loading the bucket of `hash`.
    #[inline(always)]
    pub fn prefetch(self, hash: u64) {
        let offset = home_of(hash.wrapping_mul(self.salt), self.buckets) * 64;
        crate::entry::prefetch(std::ptr::without_provenance::<u8>(self.base.wrapping_add(offset)));
    }
}

impl<S: Slot> Table<S> {
    /// An empty table, which allocates nothing.
    pub const fn new() -> Self {
        Self { array: Array::none(), len: 0, grow_at: 0, migration: None }
    }

    /// An empty table with room for `len` elements.
    pub fn with_capacity(len: usize) -> Self {
        let mut table = Self::new();
        if len > 0 {
            table.set_array(Array::new(migrate::buckets_for(len), salt::new_salt()));
        }
        table
    }

    fn set_array(&mut self, array: Array<S>) {
        self.grow_at = capacity(array.buckets());
        self.array = array;
    }

    /// Number of elements.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The array in which an element of this hash is or would be.
    #[inline(always)]
    fn array_of(&self, hash: u64) -> &Array<S> {
        match &self.migration {
            Some(migration) if migration.keeps(hash) => &migration.old,
            _ => &self.array,
        }
    }

    #[inline(always)]
    fn array_of_mut(&mut self, hash: u64) -> &mut Array<S> {
        match &mut self.migration {
            Some(migration) if migration.keeps(hash) => &mut migration.old,
            _ => &mut self.array,
        }
    }

    /// The element of this hash that `eq` accepts. Expected O(1): 1.1 cache lines and one call of `eq` that succeeds; one
    /// that fails in 40 lookups.
    #[inline(always)]
    pub fn find(&self, hash: u64, eq: impl FnMut(&S) -> bool) -> Option<&S> {
        let array = self.array_of(hash);
        let place = array.find(hash, eq)?;
        // SAFETY: found in this array just now.
        Some(unsafe { array.get(place) })
    }

    /// The same for change. The element must keep its hash.
    #[inline(always)]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&S) -> bool) -> Option<&mut S> {
        let array = self.array_of_mut(hash);
        let place = array.find(hash, eq)?;
        // SAFETY: found in this array just now.
        Some(unsafe { array.get_mut(place) })
    }

    /// Adds an element that is known not to be there, and returns it in its place. Amortised O(1); never more than a few
    /// microseconds, as a table that grows moves four buckets' elements per call.
    #[inline]
    pub fn insert_unique(&mut self, hash: u64, value: S) -> &mut S {
        let place = self.insert_place(hash, value);
        // SAFETY: put into this array just now.
        unsafe { self.array_of_mut(hash).get_mut(place) }
    }

    #[inline(always)]
    fn insert_place(&mut self, hash: u64, value: S) -> Place<S> {
        if self.len >= self.grow_at {
            self.make_room();
        }
        self.len += 1;
        self.array_of_mut(hash).insert(hash, value)
    }

    #[inline(always)]
    fn note_removal(&mut self) {
        self.len -= 1;
        self.after_removal();
    }

    /// The element of this hash that `eq` accepts, and false; or, if there is none, the one that `make` makes, added, and
    /// true.
    #[inline]
    pub fn find_or_insert_with(
        &mut self,
        hash: u64,
        eq: impl FnMut(&S) -> bool,
        make: impl FnOnce() -> S,
    ) -> (&mut S, bool) {
        if let Some(place) = self.array_of(hash).find(hash, eq) {
            // SAFETY: found in this array just now.
            return (unsafe { self.array_of_mut(hash).get_mut(place) }, false);
        }
        (self.insert_unique(hash, make()), true)
    }

    /// Takes out the element of this hash that `eq` accepts. Cost as for [`Table::insert_unique`], the table shrinking in steps.
    #[inline]
    pub fn remove(&mut self, hash: u64, eq: impl FnMut(&S) -> bool) -> Option<S> {
        let array = self.array_of_mut(hash);
        let place = array.find(hash, eq)?;
        // SAFETY: found in this array just now.
        let value = unsafe { array.remove(hash, place) };
        self.len -= 1;
        self.after_removal();
        Some(value)
    }

    /// An element chosen evenly, `random` giving evenly distributed words. Expected O(1) at any load the table keeps; in a
    /// table that was made with too great a capacity O(buckets).
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&S> {
        let (array, place) = self.random_place(&mut random)?;
        // SAFETY: found in this array just now.
        Some(unsafe { array.get(place) })
    }

    /// Takes out an element chosen as by [`Table::random`].
    pub fn remove_random(&mut self, mut random: impl FnMut() -> u64) -> Option<S> {
        let (array, place) = self.random_place(&mut random)?;
        // SAFETY: found in this array just now.
        let hash = unsafe { array.get(place) }.hash();
        // SAFETY: an element is in the array that its hash says.
        let value = unsafe { self.array_of_mut(hash).remove(hash, place) };
        self.len -= 1;
        self.after_removal();
        Some(value)
    }

    fn random_place(&self, random: &mut dyn FnMut() -> u64) -> Option<(&Array<S>, Place<S>)> {
        if self.len == 0 {
            return None;
        }
        let old = self.migration.as_ref().map(|migration| &migration.old);
        let total = self.array.buckets() + old.map_or(0, Array::buckets);
        let bucket_at = |index: usize| match old {
            Some(old) if index >= self.array.buckets() => (old, index - self.array.buckets()),
            _ => (&self.array, index),
        };
        // Every slot of both arrays is equally likely, and an empty one means another throw: exactly even. The arrays are
        // more than a tenth full, so 128 misses in a row have a probability of one in a million.
        let mut index = 0;
        for _ in 0..128 {
            let word = random();
            index = ((u128::from(word) * (total * bucket::SLOTS) as u128) >> 64) as usize;
            let (array, bucket) = bucket_at(index / bucket::SLOTS);
            if let Some(place) = array.place_at(bucket, index % bucket::SLOTS) {
                return Some((array, place));
            }
        }
        (0..total).find_map(|step| {
            let (array, bucket) = bucket_at((index / bucket::SLOTS + step) % total);
            array.first_place(bucket).map(|place| (array, place))
        })
    }

    /// Keeps the elements that `keep` accepts and drops the others. O(buckets). The kept ones may be changed, but not their
    /// hashes.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut S) -> bool) {
        let old = self.migration.as_mut().map(|migration| &mut migration.old);
        for array in old.into_iter().chain([&mut self.array]) {
            for index in 0..array.buckets() {
                for place in array.places(index) {
                    // SAFETY: occupied, and only this slot is taken while its bucket is iterated.
                    unsafe {
                        if !keep(array.get_mut(place)) {
                            let hash = array.get(place).hash();
                            self.len -= 1;
                            drop(array.remove(hash, place));
                        }
                    }
                }
            }
        }
        self.after_removal();
    }

    /// Drops all elements and frees the arrays. O(buckets).
    pub fn clear(&mut self) {
        drop(std::mem::take(self));
    }

    /// Empties the table, handing the elements out by value. O(1) here and O(buckets) over the iteration.
    pub fn drain(&mut self) -> IntoIter<S> {
        std::mem::take(self).into_iter()
    }

    /// Where the buckets are now; changes when a migration starts or ends.
    #[inline(always)]
    pub fn hint(&self) -> TableHint {
        TableHint { base: self.array.base(), buckets: self.array.buckets(), salt: self.array.salt() }
    }

    /// Starts loading the bucket of `hash`.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        self.array_of(hash).prefetch_home(hash);
    }

    /// Starts loading the elements that a lookup of `hash` will compare. Reads the bucket, so prefetch that first.
    #[inline(always)]
    pub fn prefetch_slots(&self, hash: u64) {
        self.array_of(hash).prefetch_matches(hash);
    }

    /// Bytes of the bucket arrays, the elements' own allocations not included. O(1).
    pub fn memory_bytes(&self) -> usize {
        self.array.memory_bytes() + self.migration.as_ref().map_or(0, |migration| migration.memory_bytes())
    }
}

impl<S: Slot> Default for Table<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Slot> Drop for Table<S> {
    fn drop(&mut self) {
        self.array.drop_values();
        if let Some(migration) = &mut self.migration {
            migration.old.drop_values();
        }
    }
}

#[cfg(test)]
mod tests;
