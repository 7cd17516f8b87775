//! `CLIENT PAUSE`: requests of other clients wait until the pause is over.

use crate::server::Server;
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Flags};
use kinovar_io::clock;
use kinovar_io::engine::ConnId;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// What clients have asked for.
    what: Mutex<Option<Paused>>,
    /// Migrations that hold writers up, and until when, Unix ms.
    migrations: Mutex<(usize, u64)>,
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

    /// The next connection to go on, if it is one of reactor `own`; else the reactor whose turn it is. It stays the next one until
    /// [`Pause::went_on`] is called, so that no other reactor goes on with those behind it meanwhile.
    pub fn next_held(&self, own: usize) -> Result<ConnId, Option<usize>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.front() {
            Some(first) if first.reactor == own => Ok(first.conn),
            other => Err(other.map(|first| first.reactor)),
        }
    }

    /// The request of the next connection has been run, or held up again behind all others.
    pub fn went_on(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// Whether a pause was begun and not found to be over yet.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// When it ends at the latest, Unix ms. It may end before.
    pub fn until_ms(&self) -> u64 {
        self.until_ms.load(Relaxed).max(self.migrations().1)
    }

    fn migrations(&self) -> MutexGuard<'_, (usize, u64)> {
        self.migrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a pause. One that is on already is made neither shorter nor weaker.
    pub fn begin(&self, until_ms: u64, what: Paused) {
        let mut current = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        if clock::unix_ms() >= self.until_ms.load(Relaxed) {
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
        self.until_ms.store(0, Relaxed);
        self.look_again();
    }

    /// Has writers wait until then, or for longer, for the sake of a migration, `is_another` one or one that has done so before.
    pub fn begin_for_migration(&self, until_ms: u64, is_another: bool) {
        let mut migrations = self.migrations();
        migrations.0 += usize::from(is_another);
        migrations.1 = migrations.1.max(until_ms);
        drop(migrations);
        self.is_on.store(true, Release);
    }

    /// One of them is over.
    pub fn end_for_migration(&self) {
        let mut migrations = self.migrations();
        migrations.0 = migrations.0.saturating_sub(1);
        if migrations.0 == 0 {
            migrations.1 = 0;
        }
        drop(migrations);
        self.look_again();
    }

    fn look_again(&self) {
        let what = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        let is_on = clock::unix_ms() < self.until_ms();
        self.is_on.store(is_on, Release);
        drop(what);
    }

    /// What clients have paused now.
    pub fn by_clients(&self) -> Option<Paused> {
        if !self.is_on.load(Acquire) || clock::unix_ms() >= self.until_ms.load(Relaxed) {
            return None;
        }
        *self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is paused now.
    #[cold]
    pub fn now(&self) -> Option<Paused> {
        if !self.is_on.load(Acquire) {
            return None;
        }
        let for_migration = (clock::unix_ms() < self.migrations().1).then_some(Paused::Writes);
        let paused = self.by_clients().max(for_migration);
        if paused.is_none() {
            self.look_again();
        }
        paused
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

    #[test]
    fn migrations_and_clients_pause_each_for_itself() {
        let (pause, until_ms) = (Pause::default(), clock::unix_ms() + 60_000);
        pause.begin_for_migration(until_ms, true);
        assert_eq!((pause.now(), pause.by_clients()), (Some(Paused::Writes), None));
        pause.begin(until_ms, Paused::All);
        pause.begin_for_migration(until_ms + 1, true);
        pause.begin_for_migration(until_ms + 2, false);
        assert_eq!(pause.until_ms(), until_ms + 2);
        pause.end_for_migration();
        pause.end();
        assert_eq!((pause.now(), pause.by_clients()), (Some(Paused::Writes), None));
        pause.begin(until_ms, Paused::All);
        pause.end_for_migration();
        assert_eq!(pause.now(), Some(Paused::All));
        pause.end();
        assert!(pause.now().is_none() && !pause.is_on());
    }
}
