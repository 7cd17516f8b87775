//! A thin block of bytes: one pointer, at most one allocation, and a capacity that is a pure function of the length.
//!
//! The owner keeps the length and the side (that is what makes a block eight bytes wide) and passes them to every call. The
//! capacity is the allocator's [`size_class`] of that length, so a push moves the bytes only when the length enters another
//! class, and freeing knows the size without storing it. Without bytes there is no allocation.
//!
//! ```text
//! Side::Left    │ bytes ………………… │ slack │        a change moves the bytes behind it
//! Side::Right   │ slack │ bytes ………………… │        a change moves the bytes before it
//!                 ^ or    ^ the pointer: always to the first byte
//! ```
//!
//! So pushing is cheap at the end where the slack is. A block gets its side with its allocation.
//!
//! Ownership: a `Block` owns its allocation alone and does not free it by itself; the owner's `Drop` calls
//! [`Block::free`] once. Invariant behind every unsafe function: `len` and `side` are what the call that last changed the
//! block left, and the first `len` bytes are initialised. The pointer dangles while the length is 0.

use crate::entry::size_class;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Where in their allocation the bytes lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// At its start.
    Left,
    /// At its end.
    Right,
}

/// The pointer to a thin allocation; see the module's text for who frees it.
pub(crate) struct Block(NonNull<u8>);

// SAFETY: a block owns its bytes alone, like a `Box<[u8]>`.
unsafe impl Send for Block {}
// SAFETY: shared access only reads.
unsafe impl Sync for Block {}

/// The bytes that are set aside for a block of this length.
#[inline]
pub(crate) const fn capacity(len: usize) -> usize {
    if len == 0 { 0 } else { size_class(len) }
}

fn layout(len: usize) -> Layout {
    Layout::from_size_align(capacity(len), 8).expect("lengths are bounded by 32-bit fields")
}

/// Room for `len` bytes, not initialised.
fn allocate(len: usize) -> NonNull<u8> {
    let layout = layout(len);
    if layout.size() == 0 {
        return NonNull::dangling();
    }
    // SAFETY: the layout's size is not 0.
    let raw = unsafe { alloc(layout) };
    NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Block {
    /// A block of length 0.
    pub(crate) const fn new() -> Block {
        Block(NonNull::dangling())
    }

    /// A block that holds a copy of `bytes`, on the left side.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Block {
        let start = allocate(bytes.len());
        // SAFETY: the allocation is new, hence apart from `bytes`, and has room for as many.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), bytes.len()) };
        Block(start)
    }

    /// The first `len` bytes.
    ///
    /// # Safety
    /// `len` is at most the block's length.
    #[inline]
    pub(crate) unsafe fn bytes(&self, len: usize) -> &[u8] {
        // SAFETY: the caller promises that this many bytes are initialised; the borrow of `self` keeps them unchanged.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), len) }
    }

    /// The first `len` bytes, for overwriting in place.
    ///
    /// # Safety
    /// `len` is at most the block's length.
    #[inline]
    pub(crate) unsafe fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the exclusive borrow makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), len) }
    }

    /// Replaces `removed` bytes at `at` by a gap of `added` bytes; returns the gap and the side that the bytes are on now,
    /// which is `fresh` if that took a new allocation. No byte moves twice. O(bytes behind `at`, or before it), plus a copy
    /// of the others when the size class changes.
    ///
    /// # Safety
    /// `len` and `side` are the block's. The caller fills the whole gap, and records `len - removed + added` and the side
    /// returned as the block's.
    #[inline]
    pub(crate) unsafe fn open(
        &mut self,
        (len, side): (usize, Side),
        at: usize,
        removed: usize,
        added: usize,
        fresh: Side,
    ) -> (&mut [MaybeUninit<u8>], Side) {
        assert!(at <= len && removed <= len - at, "gap outside of the block");
        let side = if capacity(len) != capacity(len - removed + added) {
            // SAFETY: `len` and `side` are the block's, and the rest was checked above.
            unsafe { self.relocate((len, side), at, removed, added, fresh) };
            fresh
        } else {
            // SAFETY: as above, and the size class stays.
            unsafe { self.shift((len, side), at, removed, added) };
            side
        };
        // SAFETY: the gap lies within the new length, which the allocation has room for from the pointer on. The exclusive
        // borrow makes this the only access, and bytes of this type need not be initialised.
        (unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(at).cast(), added) }, side)
    }

    /// [`Block::open`] in the same allocation.
    ///
    /// # Safety
    /// `len` and `side` are the block's, `at + removed` is at most `len`, and the new length is of the same size class.
    #[inline]
    unsafe fn shift(&mut self, (len, side): (usize, Side), at: usize, removed: usize, added: usize) {
        if added == removed {
            return;
        }
        let start = self.0.as_ptr();
        // SAFETY: the bytes that move lie within the old length, and where they go within the new one; the allocation has
        // room for both, on the left from its start, on the right up to its end. The new start is inside for the same reason.
        unsafe {
            match side {
                Side::Left if at + removed < len => {
                    ptr::copy(start.add(at + removed), start.add(at + added), len - at - removed);
                }
                Side::Left => {}
                Side::Right => {
                    let moved = start.add(removed).sub(added);
                    if at > 0 {
                        ptr::copy(start, moved, at);
                    }
                    self.0 = NonNull::new_unchecked(moved);
                }
            }
        }
    }

    /// [`Block::open`] into another size class: what stays is copied to a new allocation.
    ///
    /// # Safety
    /// `len` and `side` are the block's, and `at + removed` is at most `len`.
    unsafe fn relocate(&mut self, (len, side): (usize, Side), at: usize, removed: usize, added: usize, fresh: Side) {
        let new_len = len - removed + added;
        let target = allocate(new_len);
        // SAFETY: the offset is within the allocation just made; both copies read within `len` and write within the new
        // length from there. The old allocation is freed once, as the pointer to it goes.
        unsafe {
            let target = match fresh {
                Side::Left => target,
                Side::Right => target.add(capacity(new_len) - new_len),
            };
            let (from, to) = (self.0.as_ptr(), target.as_ptr());
            ptr::copy_nonoverlapping(from, to, at);
            ptr::copy_nonoverlapping(from.add(at + removed), to.add(at + added), len - at - removed);
            self.free((len, side));
            self.0 = target;
        }
    }

    /// Frees the allocation.
    ///
    /// # Safety
    /// `len` and `side` are the block's, and the block is never used again.
    #[inline]
    pub(crate) unsafe fn free(&mut self, (len, side): (usize, Side)) {
        if len == 0 {
            return;
        }
        // SAFETY: the bytes end where the allocation does on the right side, and begin with it on the left. It was allocated
        // with the layout of its length, and not freed before, as the caller promises.
        unsafe {
            let start = match side {
                Side::Left => self.0,
                Side::Right => self.0.sub(capacity(len) - len),
            };
            dealloc(start.as_ptr(), layout(len));
        }
    }
}

const _: () = assert!(size_of::<Option<Block>>() == 8);
