//! The waker, and a reactor's turn as far as it concerns it.

#[path = "../../crates/io/src/engine/waker.rs"]
mod waker;

use std::os::fd::BorrowedFd;

pub use waker::Waker;

/// A waker that is awake.
pub fn new_waker() -> Waker {
    Waker::new().expect("nothing can fail in a model")
}

/// The steps of `turn` in `crates/io/src/engine/mod.rs` that touch the waker; whether the handler's `woken` would be called.
/// Unless it is `busy` with something else, only a wake-up ends its wait.
pub fn turn(waker: &Waker, busy: bool) -> bool {
    let must_not_wait = busy || !waker.try_sleep();
    let BorrowedFd(eventfd, ..) = waker.eventfd();
    libc::wait(eventfd, !must_not_wait);
    let woken = waker.take();
    // Events are delivered here.
    woken | waker.take()
}
