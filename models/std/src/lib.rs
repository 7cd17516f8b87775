//! The parts of `std` and `libc` that the modelled sources name, with everything that threads meet at taken from loom.
//!
//! `kinovar-models` links this crate under both names, so that it compiles the real files unchanged.

pub mod os;
pub mod parking_lot;
pub mod sync;

mod eventfd;

pub use eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, eventfd, wait, write};
pub use parking_lot::{Mutex, MutexGuard};
pub use std::{cell, io, marker, mem, ops, ptr, time};

/// Thread-locals of loom's threads.
#[macro_export]
macro_rules! thread_local {
    (static $name:ident: $kind:ty = const { $initial:expr };) => {
        $crate::loom::thread_local! { static $name: $kind = $initial; }
    };
}

#[doc(hidden)]
pub use loom;
