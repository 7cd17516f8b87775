//! Waking a reactor from another thread (or a signal handler).
//!
//! A reactor is in one of three states, held in one byte:
//!
//! ```text
//!            wake()                        wake()
//!   AWAKE ------------> NOTIFIED <--------------------- SLEEPING
//!     |  ^                 |      (+ write to eventfd)      ^
//!     |  +-----------------+                                |
//!     |      take() -> woken()                              |
//!     +-----------------------------------------------------+
//!                       try_sleep()
//! ```
//!
//! Only the step from SLEEPING costs a system call, so a burst of wake-ups is one write and waking a
//! reactor that is running anyway is one atomic swap. Every step is a read-modify-write of the same
//! byte, hence totally ordered: either `wake` precedes the reactor's `take`, which then reports it
//! (and sees what was published before `wake`), or it follows and finds AWAKE, turning it to
//! NOTIFIED, so that the next `try_sleep` refuses. No wake-up is lost.
//!
//! The eventfd is never read: both back ends watch it edge-triggered, and each write is an edge.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::sys;

const AWAKE: u8 = 0;
const SLEEPING: u8 = 1;
const NOTIFIED: u8 = 2;

/// A handle that wakes one reactor; cheap to clone, usable from any thread.
///
/// [`Waker::wake`] only uses an atomic and `write(2)`, so it is safe inside a signal handler.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Cell>);

#[derive(Debug)]
struct Cell {
    state: AtomicU8,
    eventfd: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        // SAFETY: no pointers; the call creates a descriptor or fails.
        let fd = sys::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just made this descriptor for us.
        let eventfd = unsafe { sys::own(fd) };
        Ok(Waker(Arc::new(Cell { state: AtomicU8::new(AWAKE), eventfd })))
    }

    /// Makes the reactor call [`Handler::woken`](super::Handler::woken) soon; whatever the caller
    /// published before is visible to it. Coalesced: many calls may give one `woken`.
    #[inline]
    pub fn wake(&self) {
        if self.0.state.swap(NOTIFIED, Ordering::AcqRel) == SLEEPING {
            self.write_eventfd();
        }
    }

    #[cold]
    fn write_eventfd(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of a live integer. A failure (counter full after 2^64 writes) is
        // impossible in practice and harmless: the descriptor is readable then.
        unsafe { libc::write(self.0.eventfd.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// The reactor is about to wait; false if a wake-up came in and it must not.
    #[inline]
    pub(super) fn try_sleep(&self) -> bool {
        self.0.state.compare_exchange(AWAKE, SLEEPING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The reactor runs again; true if somebody woke it since the last call.
    #[inline]
    pub(super) fn take(&self) -> bool {
        self.0.state.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    pub(super) fn eventfd(&self) -> BorrowedFd<'_> {
        self.0.eventfd.as_fd()
    }
}
