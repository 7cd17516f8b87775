//! `CLIENT PAUSE`: requests of other clients wait until the pause is over.

use crate::server::Server;
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Flags};
use kinovar_io::clock;
use kinovar_io::engine::ConnId;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};

/// What waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Paused {
    /// Commands that may write, and expiry.
    Writes,
    /// All commands.
    All,
}

/// The server's pause.
#[derive(Default)]
pub struct Pause {
    /// Connections held up, in the order in which their requests came: they go on in this order, on whichever reactor they are.
    held: Mutex<VecDeque<Held>>,
    /// Whether there may be one: asked for every command.
    is_on: AtomicBool,
    /// When it ends, Unix ms.
    until_ms: AtomicU64,
    what: Mutex<Option<Paused>>,
}

/// A connection that is held up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its reactor.
    pub reactor: usize,
    /// The engine's id for it.
    pub conn: ConnId,
}

impl Pause {
    /// Adds a connection behind those that are held up.
    pub fn hold(&self, held: Held) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push_back(held);
    }

    /// The next connection to go on, if it is one of reactor `own`; else the reactor whose turn it is.
    pub fn next_held(&self, own: usize) -> Result<ConnId, Option<usize>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.front() {
            Some(first) if first.reactor == own => Ok(held.pop_front().expect("there is one").conn),
            other => Err(other.map(|first| first.reactor)),
        }
    }

    /// Whether a pause was begun and not found to be over yet.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// When it ends, Unix ms.
    pub fn until_ms(&self) -> u64 {
        self.until_ms.load(Relaxed)
    }

    /// Begins a pause. One that is on already is made neither shorter nor weaker.
    pub fn begin(&self, until_ms: u64, what: Paused) {
        let mut current = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over() {
            *current = None;
            self.until_ms.store(0, Relaxed);
        }
        *current = (*current).max(Some(what));
        self.until_ms.fetch_max(until_ms, Relaxed);
        self.is_on.store(true, Release);
    }

    /// Ends it.
    pub fn end(&self) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.is_on.store(false, Release);
    }

    fn is_over(&self) -> bool {
        !self.is_on.load(Acquire) || clock::unix_ms() >= self.until_ms()
    }

    /// What is paused now.
    #[cold]
    pub fn now(&self) -> Option<Paused> {
        if self.is_over() {
            self.is_on.store(false, Relaxed);
            return None;
        }
        *self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a command may change data or be passed on to replicas. `args` is all of its words.
pub fn may_write(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    if crate::scripting::runs_code(entry) {
        return crate::scripting::may_write(server, entry, args);
    }
    let flags = entry.command.flags;
    flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_only() {
        let (pause, now_ms) = (Pause::default(), clock::unix_ms());
        assert!(pause.now().is_none() && !pause.is_on());
        pause.begin(now_ms + 60_000, Paused::All);
        pause.begin(now_ms + 1, Paused::Writes);
        assert_eq!(pause.now(), Some(Paused::All));
        assert_eq!(pause.until_ms(), now_ms + 60_000);
        pause.end();
        pause.begin(now_ms + 60_000, Paused::Writes);
        assert_eq!(pause.now(), Some(Paused::Writes));
        pause.end();
        pause.begin(now_ms, Paused::All);
        assert_eq!(pause.now(), None);
        assert!(!pause.is_on());
    }
}
