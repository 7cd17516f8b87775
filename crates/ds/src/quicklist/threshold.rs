//! The size from which an element gets a node of its own, where tests of the server ask for another one than the fill
//! implies (`DEBUG QUICKLIST-PACKED-THRESHOLD`). One setting for the whole process, existing lists included.

/// Sets the size in bytes from which an element is plain; 0 returns to the rule of the fill.
pub fn set_packed_threshold(bytes: usize) {
    store::set(bytes);
}

pub(super) fn packed_threshold() -> usize {
    store::get()
}

#[cfg(not(test))]
mod store {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    static THRESHOLD: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn set(bytes: usize) {
        THRESHOLD.store(bytes, Relaxed);
    }

    pub(super) fn get() -> usize {
        THRESHOLD.load(Relaxed)
    }
}

// Tests run side by side in one process, so each has its own.
#[cfg(test)]
mod store {
    use std::cell::Cell;

    thread_local!(static THRESHOLD: Cell<usize> = const { Cell::new(0) });

    pub(super) fn set(bytes: usize) {
        THRESHOLD.set(bytes);
    }

    pub(super) fn get() -> usize {
        THRESHOLD.get()
    }
}
