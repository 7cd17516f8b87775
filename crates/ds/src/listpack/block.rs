//! A thin block of bytes: one pointer, one allocation, and a capacity that is a pure function of the length.
//!
//! The owner keeps the length in its own header bytes (that is what makes the handle eight bytes wide) and passes it to
//! every call. The capacity is the allocator's [`size_class`] of that length, so a push reallocates only when the length enters another
//! class, and freeing knows the size without storing it.
//!
//! Ownership: a `Block` owns its allocation alone and does not free it by itself; the owner's `Drop` calls
//! [`Block::free`] once. Invariant behind every unsafe function: `len` is the length given to the call that last
//! changed the block, and the first `len` bytes are initialised.

use crate::entry::size_class;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::{self, NonNull};

/// The pointer to a thin allocation; see the module's text for who frees it.
pub(crate) struct Block(NonNull<u8>);

// SAFETY: a block owns its bytes alone, like a `Box<[u8]>`.
unsafe impl Send for Block {}
// SAFETY: shared access only reads.
unsafe impl Sync for Block {}

fn layout(len: usize) -> Layout {
    Layout::from_size_align(size_class(len), 8).expect("lengths are bounded by 32-bit headers")
}

impl Block {
    /// Allocates a block that holds the concatenation of `parts`.
    pub(crate) fn from_parts(parts: &[&[u8]]) -> Block {
        let len = parts.iter().map(|part| part.len()).sum();
        let layout = layout(len);
        // SAFETY: the layout's size is at least 8.
        let raw = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(raw) else { handle_alloc_error(layout) };
        // SAFETY: the allocation holds `len` bytes and the parts, being borrowed, lie outside of it.
        unsafe { write_parts(start.as_ptr(), parts) };
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

    /// Replaces `removed` bytes at `at` by the concatenation of `parts`; returns the new length.
    /// O(bytes behind `at`), plus a copy when the size class changes.
    ///
    /// # Safety
    /// `len` is the block's length. The caller records the returned length as the block's length.
    pub(crate) unsafe fn splice(&mut self, len: usize, at: usize, removed: usize, parts: &[&[u8]]) -> usize {
        assert!(at <= len && removed <= len - at, "splice outside of the block");
        let added: usize = parts.iter().map(|part| part.len()).sum();
        let new_len = len - removed + added;
        let tail = len - at - removed;
        if new_len > len {
            // SAFETY: `len` is the current length.
            unsafe { self.resize(len, new_len) };
        }
        // SAFETY: here the block has room for both lengths: it grew above, and shrinks only below. The tail's source
        // is within `len`, its destination within `new_len`; the gap of `added` bytes at `at` is within `new_len`,
        // and `parts`, being borrowed beside `&mut self`, lie outside of the block.
        unsafe {
            let start = self.0.as_ptr();
            if tail > 0 && added != removed {
                ptr::copy(start.add(at + removed), start.add(at + added), tail);
            }
            write_parts(start.add(at), parts);
        }
        if new_len < len {
            // SAFETY: the allocation is still that of `len`.
            unsafe { self.resize(len, new_len) };
        }
        new_len
    }

    /// Moves the block to the size class of `new_len`, keeping the bytes up to the shorter length.
    ///
    /// # Safety
    /// The allocation is that of `len`.
    unsafe fn resize(&mut self, len: usize, new_len: usize) {
        let (old, new) = (layout(len), layout(new_len));
        if old.size() == new.size() {
            return;
        }
        // SAFETY: the block was allocated with `old`, as the capacity is a function of the length; `new` is not empty.
        let raw = unsafe { realloc(self.0.as_ptr(), old, new.size()) };
        let Some(start) = NonNull::new(raw) else { handle_alloc_error(new) };
        self.0 = start;
    }

    /// Frees the allocation.
    ///
    /// # Safety
    /// `len` is the block's length, and the block is never used again.
    pub(crate) unsafe fn free(&mut self, len: usize) {
        // SAFETY: allocated with the layout of its length, and not freed before, as the caller promises.
        unsafe { dealloc(self.0.as_ptr(), layout(len)) };
    }
}

/// Copies `parts` one behind the other to `target`.
///
/// # Safety
/// `target` is valid for writing as many bytes as the parts have together, and none of them overlaps it.
#[inline]
unsafe fn write_parts(mut target: *mut u8, parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: the caller's promise, part by part.
        unsafe {
            ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
            target = target.add(part.len());
        }
    }
}

const _: () = assert!(size_of::<Option<Block>>() == 8);
