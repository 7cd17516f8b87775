//! `activedefrag`: memory that is mapped and holds nothing goes back to the operating system.
//!
//! Values are not moved. What the allocator offers is to give back pages that hold nothing; it does so by itself after
//! a while, as long as memory is allocated and freed or its own thread runs (`jemalloc-bg-thread`). With `activedefrag
//! yes` the server has it do so whenever such pages come to more than `active-defrag-ignore-bytes` and to more than
//! `active-defrag-threshold-lower` percent of what is in use. That takes `active-defrag-cycle-min` to
//! `active-defrag-cycle-max` percent of the time of one thread, which is not one that serves requests.

use crate::config::{Config, Defragmentation};
use crate::memory::Figures;
use crate::server::Server;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What is under way, and what was done.
#[derive(Default)]
pub struct Defrag {
    /// The share of its time that it takes now, percent; 0 while there is nothing to do.
    share: AtomicU64,
    /// Since when there is, Unix us.
    since_us: AtomicU64,
    /// How long there was before, us.
    before_us: AtomicU64,
    /// The thread that does it has not done yet.
    is_busy: AtomicBool,
    /// Not before this again, Unix us.
    not_before_us: AtomicU64,
}

impl Defrag {
    /// Looks whether there is something to do, ten times a second.
    pub fn look(&self, server: &Server, config: &Config, figures: &Figures, now_us: u64) {
        let share = if config.defragmentation.is_on { share(&config.defragmentation, figures) } else { 0 };
        let before = self.share.swap(share, Relaxed);
        if before == 0 && share > 0 {
            self.since_us.store(now_us, Relaxed);
        } else if before > 0 && share == 0 {
            self.before_us.fetch_add(now_us.saturating_sub(self.since_us.load(Relaxed)), Relaxed);
        }
        let may_begin = now_us >= self.not_before_us.load(Relaxed) && !self.is_busy.load(Relaxed);
        if share > 0 && may_begin {
            self.is_busy.store(true, Relaxed);
            server.background.purge();
        }
    }

    /// It was done, and has taken so long.
    pub fn done(&self, took_us: u64, now_us: u64) {
        let share = self.share.load(Relaxed).clamp(1, 99);
        self.not_before_us.store(now_us + took_us * (100 - share) / share, Relaxed);
        self.is_busy.store(false, Relaxed);
    }

    /// The share of one thread's time that it takes now, percent; how long there has been something to do, now without
    /// a break and in all, ms.
    pub fn report(&self, now_us: u64) -> (u64, u64, u64) {
        let share = self.share.load(Relaxed);
        let now_ms = if share > 0 { now_us.saturating_sub(self.since_us.load(Relaxed)) / 1000 } else { 0 };
        (share, now_ms, self.before_us.load(Relaxed) / 1000 + now_ms)
    }

    /// Starts counting again from 0.
    pub fn reset_stats(&self) {
        self.before_us.store(0, Relaxed);
    }
}

/// The share of time that the pages which hold nothing are worth, percent.
fn share(settings: &Defragmentation, figures: &Figures) -> u64 {
    let unused = figures.resident.saturating_sub(figures.active + figures.metadata);
    let percent = unused * 100 / figures.allocated.max(1);
    if unused < settings.ignore_bytes || percent < settings.threshold_lower {
        return 0;
    }
    let (low, high) = (settings.cycle_min, settings.cycle_max.max(settings.cycle_min));
    let width = settings.threshold_upper.saturating_sub(settings.threshold_lower).max(1);
    (low + (percent - settings.threshold_lower) * (high - low) / width).min(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_with_what_is_unused() {
        let settings = Defragmentation {
            is_on: true,
            cycle_min: 1,
            cycle_max: 25,
            threshold_lower: 10,
            threshold_upper: 100,
            ignore_bytes: 1000,
        };
        let of = |unused: u64| {
            let figures = Figures { allocated: 10_000, active: 11_000, metadata: 500, ..Figures::default() };
            share(&settings, &Figures { resident: 11_500 + unused, ..figures })
        };
        assert_eq!((of(0), of(999), of(1000)), (0, 0, 1));
        assert_eq!((of(5500), of(10_000), of(90_000)), (13, 25, 25));
        let few = Figures { allocated: 1_000_000, active: 1_000_000, resident: 1_005_000, ..Figures::default() };
        assert_eq!(share(&settings, &few), 0);
    }

    #[test]
    fn a_round_is_followed_by_a_pause() {
        let defrag = Defrag::default();
        defrag.share.store(25, Relaxed);
        defrag.since_us.store(1_000_000, Relaxed);
        assert_eq!(defrag.report(3_000_000), (25, 2000, 2000));
        defrag.is_busy.store(true, Relaxed);
        defrag.done(1000, 5_000_000);
        assert_eq!(defrag.not_before_us.load(Relaxed), 5_003_000);
        assert!(!defrag.is_busy.load(Relaxed));
    }
}
