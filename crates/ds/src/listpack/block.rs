//! A thin block of bytes: one pointer, at most one allocation, and a capacity that is a pure function of the length.
//!
//! The owner keeps the length (that is what makes a block eight bytes wide) and passes it to every call. The capacity is
//! the allocator's [`size_class`] of that length, so a push moves the bytes only when the length enters another class, and
//! freeing knows the size without storing it. Without bytes there is no allocation.
//!
//! Ownership: a `Block` owns its allocation alone and does not free it by itself; the owner's `Drop` calls
//! [`Block::free`] once. Invariant behind every unsafe function: `len` is the length left by the call that last changed
//! the block, and the first `len` bytes are initialised. The pointer dangles while the length is 0.

use crate::entry::size_class;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

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

    /// A block that holds a copy of `bytes`.
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

    /// Replaces `removed` bytes at `at` by a gap of `added` bytes and returns the gap. No byte moves twice.
    /// O(bytes behind `at`), plus a copy of the others when the size class changes.
    ///
    /// # Safety
    /// `len` is the block's length. The caller fills the whole gap, and records `len - removed + added` as the block's
    /// length.
    #[inline]
    pub(crate) unsafe fn open(
        &mut self,
        len: usize,
        at: usize,
        removed: usize,
        added: usize,
    ) -> &mut [MaybeUninit<u8>] {
        assert!(at <= len && removed <= len - at, "gap outside of the block");
        if capacity(len) != capacity(len - removed + added) {
            // SAFETY: `len` is the block's length, and the rest was checked above.
            unsafe { self.relocate(len, at, removed, added) };
        } else if added != removed && at + removed < len {
            // SAFETY: the bytes behind those removed lie within `len`, where they go within the new length; the
            // allocation has room for both.
            unsafe {
                let gap = self.0.as_ptr().add(at);
                ptr::copy(gap.add(removed), gap.add(added), len - at - removed);
            }
        }
        // SAFETY: the gap lies within the new length, which the allocation has room for. The exclusive borrow makes this
        // the only access, and bytes of this type need not be initialised.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(at).cast(), added) }
    }

    /// [`Block::open`] into another size class: what stays is copied to a new allocation.
    ///
    /// # Safety
    /// `len` is the block's length, and `at + removed` is at most `len`.
    unsafe fn relocate(&mut self, len: usize, at: usize, removed: usize, added: usize) {
        let target = allocate(len - removed + added);
        // SAFETY: both copies read within `len` and write within the new length, to an allocation just made. The old one
        // is freed once, as the pointer to it goes.
        unsafe {
            let (from, to) = (self.0.as_ptr(), target.as_ptr());
            ptr::copy_nonoverlapping(from, to, at);
            ptr::copy_nonoverlapping(from.add(at + removed), to.add(at + added), len - at - removed);
            self.free(len);
        }
        self.0 = target;
    }

    /// Replaces `removed` bytes at `at` by `added`. Cost as of [`Block::open`].
    ///
    /// # Safety
    /// `len` is the block's length. The caller records `len - removed + added.len()` as the block's length.
    pub(crate) unsafe fn splice(&mut self, len: usize, at: usize, removed: usize, added: &[u8]) {
        // SAFETY: the caller's promise, and the gap is filled at once.
        unsafe { self.open(len, at, removed, added.len()) }.write_copy_of_slice(added);
    }

    /// Frees the allocation.
    ///
    /// # Safety
    /// `len` is the block's length, and the block is never used again.
    #[inline]
    pub(crate) unsafe fn free(&mut self, len: usize) {
        if len > 0 {
            // SAFETY: allocated with the layout of its length, and not freed before, as the caller promises.
            unsafe { dealloc(self.0.as_ptr(), layout(len)) };
        }
    }
}

const _: () = assert!(size_of::<Option<Block>>() == 8);
