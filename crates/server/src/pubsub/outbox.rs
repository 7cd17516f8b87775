//! Reactors that were posted something and are to be woken: not at once, since that may be a system call and locks are held.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whom one reactor has to wake. Only that reactor uses it.
pub struct Outbox {
    any: AtomicBool,
    reactors: Box<[AtomicBool]>,
}

impl Outbox {
    /// Nobody; there are so many reactors.
    pub fn new(reactors: usize) -> Outbox {
        Outbox { any: AtomicBool::new(false), reactors: (0..reactors).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Remembers a reactor.
    pub fn note(&self, reactor: usize) {
        self.reactors[reactor].store(true, Relaxed);
        self.any.store(true, Relaxed);
    }

    /// Calls `wake` for each reactor remembered, and forgets them.
    #[inline]
    pub fn flush(&self, wake: impl FnMut(usize)) {
        if self.any.load(Relaxed) {
            self.flush_some(wake);
        }
    }

    #[cold]
    fn flush_some(&self, mut wake: impl FnMut(usize)) {
        self.any.store(false, Relaxed);
        for (index, reactor) in self.reactors.iter().enumerate() {
            if reactor.load(Relaxed) {
                reactor.store(false, Relaxed);
                wake(index);
            }
        }
    }
}
