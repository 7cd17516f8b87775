//! An array of buckets with linear probing: the table without its growth.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::Slot;
use super::bucket::{Bucket, SLOTS, tag_of};
use super::salt::NEUTRAL;
use crate::entry::{prefetch, size_class};

/// Bits of a hash that make up its position: all but the sixteen lowest.
pub(super) const POSITION_BITS: u32 = 48;
const POSITION_MASK: u64 = !((1 << (64 - POSITION_BITS)) - 1);
/// Arrays of this many bytes and more go to the garbage sink.
const GARBAGE_MIN_BYTES: usize = 1 << 20;

/// The bucket that an array of none points at, so that looking up needs no test for it.
#[repr(align(64))]
struct EmptyBucket(#[expect(dead_code, reason = "read as a bucket")] [u64; 8]);
static EMPTY: EmptyBucket = EmptyBucket([0; 8]);

/// `n` buckets, zero or more. Owns them and the values in them, but the values are dropped only by [`Array::drop_values`]:
/// the table decides when.
pub(super) struct Array<S> {
    ptr: NonNull<Bucket<S>>,
    n: usize,
    /// What hashes are multiplied by; see [`super::salt`].
    salt: u64,
    owns: PhantomData<S>,
}

/// A slot of an array.
pub(super) struct Place<S> {
    bucket: NonNull<Bucket<S>>,
    /// Index of the bucket.
    index: usize,
    slot: usize,
}

impl<S> Clone for Place<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Place<S> {}

impl<S> Place<S> {
    /// Index of the bucket.
    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.index
    }

    /// Which of the bucket's slots.
    #[inline(always)]
    pub(super) fn slot(self) -> usize {
        self.slot
    }

    /// Takes the value out without telling the buckets that it passed.
    ///
    /// # Safety
    /// The place is an occupied slot of an array that nobody else has access to, and that is only walked and dropped from here on.
    #[inline(always)]
    pub(super) unsafe fn take(mut self) -> S {
        // SAFETY: the caller's promise.
        unsafe { self.bucket.as_mut().take(self.slot) }
    }
}

/// The home of a position (shifted up) or salted hash among `n` buckets: monotone in the hash, and the same for all hashes of a position.
#[inline(always)]
pub(super) fn home_of(hash: u64, n: usize) -> usize {
    ((u128::from(hash & POSITION_MASK) * n as u128) >> 64) as usize
}

/// The lowest position whose home among `n` buckets is `index` or above; 2^48 for `index == n`.
pub(super) fn first_position(index: usize, n: usize) -> u64 {
    ((index as u128) << POSITION_BITS).div_ceil(n as u128) as u64
}

impl<S: Slot> Array<S> {
    /// No buckets and no allocation.
    pub(super) const fn none() -> Self {
        let ptr = std::ptr::from_ref(&EMPTY).cast::<Bucket<S>>().cast_mut();
        // SAFETY: the address of a static. It is only read through: with `n == 0` nothing is ever inserted.
        let ptr = unsafe { NonNull::new_unchecked(ptr) };
        Self { ptr, n: 0, salt: NEUTRAL, owns: PhantomData }
    }

    /// `n` empty buckets. Big allocations come as zero pages from the system, so this does not touch them.
    pub(super) fn new(n: usize, salt: u64) -> Self {
        const { assert!(size_of::<S>() == 8 && align_of::<S>() <= 8, "a slot is a handle of eight bytes") };
        if n == 0 {
            return Self::none();
        }
        let layout = Self::layout(n);
        // SAFETY: the layout is not empty.
        let ptr = unsafe { alloc_zeroed(layout) };
        let Some(ptr) = NonNull::new(ptr.cast()) else { handle_alloc_error(layout) };
        Self { ptr, n, salt, owns: PhantomData }
    }

    fn layout(n: usize) -> Layout {
        Layout::array::<Bucket<S>>(n).expect("a table fits the address space")
    }

    #[inline(always)]
    pub(super) fn buckets(&self) -> usize {
        self.n
    }

    /// Address of the first bucket.
    pub(super) fn base(&self) -> usize {
        self.ptr.as_ptr().addr()
    }

    /// Bytes that the allocator has set aside.
    pub(super) fn memory_bytes(&self) -> usize {
        if self.n == 0 { 0 } else { size_class(self.n * size_of::<Bucket<S>>()) }
    }

    #[inline(always)]
    pub(super) fn salt(&self) -> u64 {
        self.salt
    }

    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        home_of(hash.wrapping_mul(self.salt), self.n)
    }

    /// The position of a hash: what orders the elements of a table.
    #[inline(always)]
    pub(super) fn position(&self, hash: u64) -> u64 {
        hash.wrapping_mul(self.salt) >> (64 - POSITION_BITS)
    }

    #[inline(always)]
    fn at(&self, index: usize) -> NonNull<Bucket<S>> {
        debug_assert!(index < self.n || (index == 0 && self.n == 0));
        // SAFETY: in bounds: a home is below n, and `next` wraps. Without buckets index 0 is the static one.
        unsafe { self.ptr.add(index) }
    }

    #[inline(always)]
    pub(super) fn bucket(&self, index: usize) -> &Bucket<S> {
        // SAFETY: `at` is in bounds, and buckets are valid from their zeros on.
        unsafe { self.at(index).as_ref() }
    }

    #[inline(always)]
    fn bucket_mut(&mut self, index: usize) -> &mut Bucket<S> {
        debug_assert!(self.n > 0, "the shared empty bucket is never written");
        // SAFETY: as in `bucket`; `&mut self` makes it the only reference.
        unsafe { self.at(index).as_mut() }
    }

    /// The bucket probed after `index`.
    #[inline(always)]
    pub(super) fn next(&self, index: usize) -> usize {
        let next = index + 1;
        if next >= self.n { 0 } else { next }
    }

    /// Where the element of this hash is that `eq` accepts.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, mut eq: impl FnMut(&S) -> bool) -> Option<Place<S>> {
        let tag = tag_of(hash);
        let home = self.home(hash);
        let mut index = home;
        loop {
            let bucket = self.bucket(index);
            for slot in bucket.matches(tag) {
                // SAFETY: a slot with a tag is occupied.
                if eq(unsafe { bucket.get(slot) }) {
                    return Some(Place { bucket: self.at(index), index, slot });
                }
            }
            if !bucket.overflowed() {
                return None;
            }
            index = self.next(index);
            if index == home {
                return None;
            }
        }
    }

    /// The place at this bucket and slot.
    ///
    /// # Panics
    /// When there is no element.
    #[inline(always)]
    pub(super) fn checked_place(&self, index: usize, slot: usize) -> Place<S> {
        assert!(index < self.n, "a position of this array");
        self.place_at(index, slot).expect("an element at this position")
    }

    /// The value at a place.
    ///
    /// # Safety
    /// The place comes from this array, which has not been changed since.
    #[inline(always)]
    pub(super) unsafe fn get(&self, place: Place<S>) -> &S {
        // SAFETY: the caller's promise: the place is an occupied slot.
        unsafe { place.bucket.as_ref().get(place.slot) }
    }

    /// The value at a place, for change.
    ///
    /// # Safety
    /// As in [`Array::get`].
    #[inline(always)]
    pub(super) unsafe fn get_mut(&mut self, mut place: Place<S>) -> &mut S {
        // SAFETY: the caller's promise.
        unsafe { place.bucket.as_mut().get_mut(place.slot) }
    }

    /// Adds an element. The array must have an empty slot.
    #[inline(always)]
    pub(super) fn insert(&mut self, hash: u64, value: S) -> Place<S> {
        let home = self.home(hash);
        let mut index = home;
        loop {
            let bucket = self.bucket_mut(index);
            if let Some(slot) = bucket.empty().first() {
                bucket.put(slot, tag_of(hash), value);
                return Place { bucket: self.at(index), index, slot };
            }
            bucket.add_overflow();
            index = self.next(index);
            assert!(index != home, "an array is never full");
        }
    }

    /// Takes the element at a place out; `hash` is its hash, which says what way it took from home.
    ///
    /// # Safety
    /// As in [`Array::get`].
    #[inline(always)]
    pub(super) unsafe fn remove(&mut self, hash: u64, mut place: Place<S>) -> S {
        // SAFETY: the caller's promise.
        let value = unsafe { place.bucket.as_mut().take(place.slot) };
        let mut index = self.home(hash);
        while index != place.index {
            self.bucket_mut(index).remove_overflow();
            index = self.next(index);
        }
        value
    }

    /// Moves every element whose home is in `homes` out, to `sink`, and says how many. `homes` is not empty and inside the array.
    ///
    /// Such an element lies in an unbroken chain of overflowed buckets from its home on, among elements of other homes, so each one's
    /// hash is asked for. Counts are kept exact, so the array stays a valid one of the elements that remain.
    pub(super) fn drain_homes(&mut self, homes: Range<usize>, mut sink: impl FnMut(u64, S)) -> usize {
        debug_assert!(homes.start < homes.end && homes.end <= self.n);
        let last = homes.end - 1;
        let mut moved = 0;
        let mut index = homes.start;
        let mut beyond = false;
        loop {
            for place in self.places(index) {
                // SAFETY: the slot is occupied: it was when its bucket was looked at, and only its own turn empties it.
                let hash = unsafe { self.get(place) }.hash();
                if homes.contains(&self.home(hash)) {
                    // SAFETY: the same.
                    sink(hash, unsafe { self.remove(hash, place) });
                    moved += 1;
                }
            }
            beyond |= index == last;
            // Behind the last home the chain ends with the first bucket that nobody passed, and nobody of these homes is there if all
            // who passed the last home have been found.
            if beyond && !(self.bucket(index).overflowed() && self.bucket(last).overflowed()) {
                return moved;
            }
            index = self.next(index);
            if index == homes.start {
                return moved;
            }
        }
    }

    /// Calls `visit` for every element whose home is `home` and whose position is `from` or above; says how many.
    pub(super) fn visit_home(&self, home: usize, from: u64, visit: &mut dyn FnMut(&S)) -> usize {
        let mut visited = 0;
        let mut index = home;
        loop {
            let bucket = self.bucket(index);
            self.prefetch_bucket_slots(index);
            for slot in bucket.occupied() {
                // SAFETY: the slot is occupied.
                let value = unsafe { bucket.get(slot) };
                let hash = value.hash();
                if self.home(hash) == home && self.position(hash) >= from {
                    visit(value);
                    visited += 1;
                }
            }
            if !bucket.overflowed() {
                return visited;
            }
            index = self.next(index);
            if index == home {
                return visited;
            }
        }
    }

    /// The same for elements that may be changed.
    pub(super) fn visit_home_mut(&mut self, home: usize, from: u64, visit: &mut dyn FnMut(&mut S)) -> usize {
        let mut visited = 0;
        let mut index = home;
        loop {
            self.prefetch_bucket_slots(index);
            for place in self.places(index) {
                // SAFETY: the slot is occupied, and `visit` cannot empty it.
                let value = unsafe { self.get_mut(place) };
                let hash = value.hash();
                if self.home(hash) == home && self.position(hash) >= from {
                    // SAFETY: as before.
                    visit(unsafe { self.get_mut(place) });
                    visited += 1;
                }
            }
            if !self.bucket(index).overflowed() {
                return visited;
            }
            index = self.next(index);
            if index == home {
                return visited;
            }
        }
    }

    /// The occupied slots of a bucket.
    #[inline(always)]
    pub(super) fn places(&self, index: usize) -> impl Iterator<Item = Place<S>> + use<S> {
        let bucket = self.at(index);
        self.bucket(index).occupied().map(move |slot| Place { bucket, index, slot })
    }

    /// The slot number `slot` of a bucket, if it is occupied.
    #[inline]
    pub(super) fn place_at(&self, index: usize, slot: usize) -> Option<Place<S>> {
        let occupied = self.bucket(index).occupied();
        occupied.contains(slot).then(|| Place { bucket: self.at(index), index, slot })
    }

    /// The first occupied slot of a bucket from number `slot` on.
    #[inline]
    pub(super) fn place_from(&self, index: usize, slot: usize) -> Option<(usize, Place<S>)> {
        let slot = self.bucket(index).occupied().from(slot).first()?;
        Some((slot, Place { bucket: self.at(index), index, slot }))
    }

    /// The first occupied slot of a bucket.
    #[inline]
    pub(super) fn first_place(&self, index: usize) -> Option<Place<S>> {
        let slot = self.bucket(index).occupied().first()?;
        Some(Place { bucket: self.at(index), index, slot })
    }

    /// Starts loading what the slots of a bucket point at.
    #[inline(always)]
    pub(super) fn prefetch_bucket_slots(&self, index: usize) {
        let bucket = self.bucket(index);
        for slot in bucket.occupied() {
            // SAFETY: the slot is occupied.
            unsafe { bucket.get(slot) }.prefetch();
        }
    }

    /// Starts loading the bucket at home of `hash`.
    #[inline(always)]
    pub(super) fn prefetch_home(&self, hash: u64) {
        prefetch(self.at(self.home(hash)).as_ptr());
    }

    /// Starts loading a bucket.
    #[inline(always)]
    pub(super) fn prefetch_bucket(&self, index: usize) {
        prefetch(self.ptr.as_ptr().wrapping_add(index));
    }

    /// Starts loading what those slots point at that a lookup will compare first: in the home bucket, or in the next one if none
    /// fits there.
    #[inline(always)]
    pub(super) fn prefetch_matches(&self, hash: u64) {
        let home = self.home(hash);
        let mut bucket = self.bucket(home);
        let mut matches = bucket.matches(tag_of(hash));
        if matches.is_empty() && bucket.overflowed() {
            bucket = self.bucket(self.next(home));
            matches = bucket.matches(tag_of(hash));
        }
        for slot in matches {
            // SAFETY: a slot with a tag is occupied.
            unsafe { bucket.get(slot) }.prefetch();
        }
    }

    /// Drops all values, emptying their slots.
    pub(super) fn drop_values(&mut self) {
        if !std::mem::needs_drop::<S>() {
            return;
        }
        for index in 0..self.n {
            if index + 2 < self.n {
                self.prefetch_bucket_slots(index + 2);
            }
            for place in self.places(index) {
                // SAFETY: the place is occupied. Its count of passers is of no interest any more.
                drop(unsafe { self.bucket_mut(place.index).take(place.slot) });
            }
        }
    }
}

impl<S> Drop for Array<S> {
    fn drop(&mut self) {
        if self.n == 0 {
            return;
        }
        let bytes = self.n * size_of::<Bucket<S>>();
        let garbage = Garbage { ptr: self.ptr.cast(), bytes };
        match SINK.get() {
            Some(sink) if bytes >= GARBAGE_MIN_BYTES => sink(garbage),
            _ => drop(garbage),
        }
    }
}

/// The memory of an array that is no longer needed, holding no values. Dropping it gives the memory back, which for hundreds of
/// megabytes is a matter of milliseconds.
pub struct Garbage {
    ptr: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Garbage {}

impl Garbage {
    /// Bytes that dropping it will free.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        // SAFETY: `Array::new` allocated it with this size and alignment, and the array that owned it is gone.
        unsafe { dealloc(self.ptr.as_ptr(), Layout::from_size_align_unchecked(self.bytes, align_of::<Bucket<u64>>())) }
    }
}

static SINK: OnceLock<fn(Garbage)> = OnceLock::new();

/// Has the memory of big arrays (1 MiB and more) handed to `sink`, for example to send it to a background thread, instead of
/// being freed on the spot. May be set once; returns false if it was.
pub fn set_garbage_sink(sink: fn(Garbage)) -> bool {
    SINK.set(sink).is_ok()
}

/// Elements that `n` buckets hold before the array grows: 8/9 of the slots, and all of a single bucket.
pub(super) const fn capacity(n: usize) -> usize {
    if n == 1 { SLOTS } else { n * SLOTS * 8 / 9 }
}
