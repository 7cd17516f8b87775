//! The real files with which threads meet, compiled against loom: `tests/` runs them through every interleaving.
//!
//! The crate `std` is another one here, and so is `libc`: see `kinovar-models-std`.
// The files' own unit tests are for the real thing.
#![cfg(not(test))]

#[macro_use]
extern crate kinovar_models_std as std;
extern crate kinovar_models_std as libc;
extern crate kinovar_models_std as parking_lot;
// The mailbox knows the waker as the `io` crate's.
extern crate self as kinovar_io;

#[path = "../../crates/ds/src/lock.rs"]
pub mod lock;
#[path = "../../crates/server/src/mailbox.rs"]
pub mod mailbox;

pub mod engine;

mod sys {
    //! What the waker uses of the `io` crate's module of this name.

    use std::io;
    use std::os::fd::OwnedFd;

    pub fn check(result: i32) -> io::Result<i32> {
        Ok(result)
    }

    pub unsafe fn own(fd: i32) -> OwnedFd {
        OwnedFd(fd)
    }
}
