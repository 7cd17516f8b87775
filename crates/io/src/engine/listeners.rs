//! The listening sockets of one engine and their back-off after a failed accept.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a listener rests after the process ran out of descriptors or memory. The connections
/// wait in the kernel's backlog meanwhile; without the rest, a level-triggered loop would spin.
const BACK_OFF: Duration = Duration::from_millis(100);

pub(super) struct Listener {
    pub token: usize,
    pub fd: OwnedFd,
    /// Watched by epoll, or an accept is armed in the ring.
    pub armed: bool,
    pub removing: bool,
    pub retry_at: Option<Instant>,
}

/// Slots keep their position while the kernel may still report about them.
#[derive(Default)]
pub(super) struct Listeners {
    pub slots: Vec<Option<Listener>>,
    /// Something is to be armed or removed at the next flush.
    pub changed: bool,
    /// The earliest `retry_at`.
    retry_at: Option<Instant>,
}

impl Listeners {
    pub fn add(&mut self, fd: OwnedFd, token: usize) {
        let listener = Listener { token, fd, armed: false, removing: false, retry_at: None };
        match self.slots.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(listener),
            None => self.slots.push(Some(listener)),
        }
        self.changed = true;
    }

    pub fn remove(&mut self, token: usize) {
        for listener in self.slots.iter_mut().flatten() {
            if listener.token == token {
                listener.removing = true;
                self.changed = true;
            }
        }
    }

    /// The listener that an event is about, unless it is being removed.
    pub fn active(&mut self, slot: usize) -> Option<&mut Listener> {
        self.slots.get_mut(slot)?.as_mut().filter(|listener| !listener.removing)
    }

    /// Puts a listener to rest after an accept failed for want of resources.
    pub fn back_off(&mut self, slot: usize) {
        let until = Instant::now() + BACK_OFF;
        if let Some(listener) = self.active(slot) {
            listener.retry_at = Some(until);
            self.retry_at = Some(self.retry_at.map_or(until, |earliest| earliest.min(until)));
            self.changed = true;
        }
    }

    /// Ends the rests that are over; true if any listener needs the flush's attention.
    pub fn is_due(&mut self) -> bool {
        if let Some(earliest) = self.retry_at {
            let now = Instant::now();
            if earliest <= now {
                self.end_rests(now);
            }
        }
        self.changed
    }

    fn end_rests(&mut self, now: Instant) {
        self.retry_at = None;
        for listener in self.slots.iter_mut().flatten() {
            match listener.retry_at {
                Some(until) if until <= now => listener.retry_at = None,
                Some(until) => {
                    self.retry_at = Some(self.retry_at.map_or(until, |earliest| earliest.min(until)));
                }
                None => {}
            }
        }
        self.changed = true;
    }

    /// Time until a resting listener is due, to bound the reactor's wait.
    pub fn rest_left(&self) -> Option<Duration> {
        self.retry_at.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

/// What a failed accept means for the listener.
pub(super) enum AcceptFailure {
    /// This one connection was lost; go on.
    Connection,
    /// The process or the system lacks something; rest and report.
    Resources,
}

/// Classifies an accept error as accept(2) describes them.
pub(super) fn classify(error: &io::Error) -> AcceptFailure {
    match error.raw_os_error() {
        Some(
            libc::ECONNABORTED
            | libc::EPROTO
            | libc::EPERM
            | libc::EINTR
            | libc::EAGAIN
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::ETIMEDOUT,
        ) => AcceptFailure::Connection,
        _ => AcceptFailure::Resources,
    }
}
