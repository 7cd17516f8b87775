//! What the allocator says about memory.

use tikv_jemalloc_ctl::{epoch, stats};

/// The allocator's figures, bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    /// Asked for by the program, rounded up to size classes.
    pub allocated: u64,
    /// In pages that hold something.
    pub active: u64,
    /// In physical memory.
    pub resident: u64,
    /// Mapped.
    pub mapped: u64,
    /// Kept for later.
    pub retained: u64,
    /// The allocator's own.
    pub metadata: u64,
}

/// The figures as of now.
pub fn figures() -> Figures {
    // The statistics are a copy that is refreshed on demand.
    let _ = epoch::advance();
    let read = |value: Result<usize, tikv_jemalloc_ctl::Error>| value.unwrap_or(0) as u64;
    Figures {
        allocated: read(stats::allocated::read()),
        active: read(stats::active::read()),
        resident: read(stats::resident::read()),
        mapped: read(stats::mapped::read()),
        retained: read(stats::retained::read()),
        metadata: read(stats::metadata::read()),
    }
}

/// Bytes in use.
pub fn used() -> u64 {
    figures().allocated
}
