//! How reactors and other threads reach a reactor's connections: a queue and a wake-up.

use kinovar_io::engine::Waker;
use std::sync::{Mutex, PoisonError};

/// The queue of one reactor.
pub struct Mailbox<M> {
    queue: Mutex<Vec<M>>,
    waker: Waker,
}

impl<M> Mailbox<M> {
    /// An empty mailbox whose reactor `waker` wakes.
    pub fn new(waker: Waker) -> Mailbox<M> {
        Mailbox { queue: Mutex::new(Vec::new()), waker }
    }

    /// Adds a message and wakes the reactor.
    pub fn send(&self, message: M) {
        self.push(message);
        self.waker.wake();
    }

    /// Adds a message. The reactor must be woken after that.
    pub fn push(&self, message: M) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }

    /// Wakes the reactor without a message.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Takes all messages, in the order in which they were sent.
    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
