//! The ring of receive buffers that io_uring picks from (`IORING_REGISTER_PBUF_RING`).
//!
//! One anonymous mapping holds, page-aligned, the ring of descriptors and behind it the buffers:
//!
//! ```text
//!   | BUFFERS x 16-byte descriptor | BUFFERS x BUFFER_BYTES |
//! ```
//!
//! Ownership of a buffer passes to the kernel by [`BufferRing::recycle`] + [`BufferRing::publish`]
//! and back to us by a completion that names it. Between the two only one side touches it. The ring's
//! tail is shared with the kernel and lies in the first descriptor's reserved field; we are its only
//! writer.
//!
//! The kernel takes buffers in turn, so all that are on offer come to be used, however few bytes arrive: each
//! costs its pages, and a longer round means more cache misses. So only a few are on offer at first, and twice as
//! many each time the kernel runs out of them.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// Number of buffers; a power of two. More sockets than this being ready at once costs a re-arm.
const BUFFERS: u16 = 512;
/// Buffers on offer at first.
const OFFERED_AT_FIRST: u16 = 4;
/// Size of one buffer: holds a deep pipeline, or a page-sized value, in one completion. Not a power of two, so that the
/// first lines of neighbouring buffers, often the only ones used, lie in different sets of a cache.
const BUFFER_BYTES: usize = 17 * 1024 + 64;

const RING_BYTES: usize = BUFFERS as usize * size_of::<BufRingEntry>();
const MAP_BYTES: usize = RING_BYTES + BUFFERS as usize * BUFFER_BYTES;

const _: () = assert!(BUFFERS.is_power_of_two());
const _: () = assert!(size_of::<BufRingEntry>() == 16);
// The buffers start on a page, like the ring.
const _: () = assert!(RING_BYTES.is_multiple_of(4096));

pub(super) struct BufferRing {
    map: NonNull<u8>,
    tail: u16,
    /// Buffers that take part; the others were never touched.
    offered: u16,
    leaked: bool,
}

// SAFETY: the mapping is owned by this value alone (the kernel aside) and not tied to a thread.
unsafe impl Send for BufferRing {}

impl BufferRing {
    /// The buffer group's number; there is only one.
    pub const GROUP: u16 = 0;

    /// Maps the memory and offers the first few buffers.
    pub fn new() -> io::Result<BufferRing> {
        // SAFETY: a fresh anonymous mapping; no existing memory is named.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MAP_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast()).expect("a successful mapping is not at address zero");
        let mut ring = BufferRing { map, tail: 0, offered: 0, leaked: false };
        ring.offer(OFFERED_AT_FIRST);
        ring.publish();
        Ok(ring)
    }

    /// The kernel has run out of buffers: it gets as many again, while there are any, with the next
    /// [`BufferRing::publish`].
    pub fn grow(&mut self) {
        self.offer((self.offered * 2).min(BUFFERS));
    }

    fn offer(&mut self, count: u16) {
        for buffer in self.offered..count {
            self.recycle(buffer);
        }
        self.offered = count;
    }

    /// Makes the buffers known to a ring. The mapping must stay until that ring is closed and all its
    /// requests are over; the back end sees to that in its drop order and `quiesce`.
    pub fn register(&self, submitter: &io_uring::Submitter<'_>) -> io::Result<()> {
        // SAFETY: the address is page-aligned, holds BUFFERS descriptors and outlives the ring (see
        // above).
        unsafe { submitter.register_buf_ring_with_flags(self.map.as_ptr() as u64, BUFFERS, BufferRing::GROUP, 0) }
    }

    fn address(&self, buffer: u16) -> *mut u8 {
        assert!(buffer < BUFFERS);
        // SAFETY: in bounds of the mapping, as just checked.
        unsafe { self.map.as_ptr().add(RING_BYTES + usize::from(buffer) * BUFFER_BYTES) }
    }

    /// The bytes of a buffer that a completion has just handed to us.
    ///
    /// # Safety
    /// The buffer must have come from a completion that said that it holds `len` bytes, and not have
    /// been recycled since.
    #[inline]
    pub unsafe fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(len <= BUFFER_BYTES);
        // SAFETY: in bounds; written by the kernel, which owns it no more (the caller's word), and
        // `recycle` takes `&mut self`, so not while this borrow lasts.
        unsafe { std::slice::from_raw_parts(self.address(buffer), len) }
    }

    /// Puts a buffer back; the kernel sees it after the next [`BufferRing::publish`].
    #[inline]
    pub fn recycle(&mut self, buffer: u16) {
        let address = self.address(buffer) as u64;
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: the slot is in bounds, and lies beyond the published tail minus BUFFERS: the kernel
        // has consumed what it held, since it handed the buffer of this turn to us.
        let entry = unsafe { &mut *self.map.as_ptr().cast::<BufRingEntry>().add(slot) };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel all buffers recycled so far.
    #[inline]
    pub fn publish(&mut self) {
        // SAFETY: the tail is an aligned u16 inside the mapping that the kernel only reads.
        let tail = unsafe { &*BufRingEntry::tail(self.map.as_ptr().cast()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    /// Never unmaps the memory: the kernel may go on writing to it.
    pub fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: our own mapping, whole; the ring that used it is closed (see `register`).
            unsafe { libc::munmap(self.map.as_ptr().cast(), MAP_BYTES) };
        }
    }
}
