//! How reactors and other threads reach a reactor's connections: a queue and a wake-up.

use kinovar_io::engine::Waker;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// What a reactor is asked to do.
pub enum Message {
    /// Take over a connection that was accepted elsewhere, on the listener with this token.
    Adopt(OwnedFd, usize),
    /// Close a connection, if it is still the client with this id.
    Kill {
        /// The engine's id for it, as bits.
        conn: u64,
        /// The client.
        client: u64,
    },
    /// Send bytes to a connection, if it is still the client with this id.
    Deliver {
        /// The engine's id for it, as bits.
        conn: u64,
        /// The client.
        client: u64,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// These are the new listeners (only to the reactor that accepts).
    Listen(Vec<(OwnedFd, usize)>),
    /// Close the listeners and open those of the configuration (only to the reactor that accepts).
    Relisten,
}

/// The queue of one reactor.
pub struct Mailbox {
    queue: Mutex<Vec<Message>>,
    waker: Waker,
}

impl Mailbox {
    /// An empty mailbox whose reactor `waker` wakes.
    pub fn new(waker: Waker) -> Mailbox {
        Mailbox { queue: Mutex::new(Vec::new()), waker }
    }

    /// Adds a message and wakes the reactor.
    pub fn send(&self, message: Message) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        self.waker.wake();
    }

    /// Wakes the reactor without a message.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Takes all messages, in the order in which they were sent.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
