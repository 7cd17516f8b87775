//! Time: the wall clock for what clients see, ticks for what we measure.
//!
//! The wall clock is read once per turn by the caller and passed on; nothing here caches it. Ticks
//! are the processor's time stamp counter where it is invariant (calibrated once by `quanta`), else
//! the monotonic clock: a few nanoseconds to read, no system call.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. A clock before 1970 reads as 0.
pub fn unix_ms() -> u64 {
    unix_time().as_millis() as u64
}

/// Microseconds since the Unix epoch.
pub fn unix_us() -> u64 {
    unix_time().as_micros() as u64
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn source() -> &'static quanta::Clock {
    static SOURCE: OnceLock<quanta::Clock> = OnceLock::new();
    SOURCE.get_or_init(quanta::Clock::new)
}

/// Calibrates the tick counter now instead of at its first use (which may take some tens of
/// milliseconds once per process).
pub fn calibrate() {
    source();
}

/// A point in monotonic time in units of the machine's own; only differences mean something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticks(u64);

impl Ticks {
    /// Reads the counter.
    #[inline]
    pub fn now() -> Ticks {
        Ticks(source().raw())
    }

    /// Nanoseconds from `earlier` to this; 0 if it is not earlier.
    #[inline]
    pub fn ns_since(self, earlier: Ticks) -> u64 {
        source().delta_as_nanos(earlier.0, self.0)
    }

    /// Whole microseconds from `earlier` to this.
    #[inline]
    pub fn us_since(self, earlier: Ticks) -> u64 {
        self.ns_since(earlier) / 1000
    }

    /// Raw ticks from `earlier` to this, to sum up cheaply and convert once with [`ticks_to_ns`].
    #[inline]
    pub fn ticks_since(self, earlier: Ticks) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Converts a number of raw ticks to nanoseconds.
#[inline]
pub fn ticks_to_ns(ticks: u64) -> u64 {
    source().delta_as_nanos(0, ticks)
}

/// Converts a number of raw ticks to whole microseconds.
#[inline]
pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks_to_ns(ticks) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn ticks_agree_with_the_monotonic_clock() {
        calibrate();
        let (start, ticks) = (Instant::now(), Ticks::now());
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let (ns, expected) = (Ticks::now().ns_since(ticks), start.elapsed().as_nanos() as u64);
        assert!(ns.abs_diff(expected) < expected / 50, "{ns} ns by ticks, {expected} ns by the clock");
    }

    #[test]
    fn going_back_in_time_is_zero() {
        let early = Ticks::now();
        let late = Ticks::now();
        assert_eq!(early.ns_since(late), 0);
        assert_eq!(early.ticks_since(Ticks(u64::MAX)), 0);
    }

    #[test]
    fn wall_clock_is_of_this_century() {
        let ms = unix_ms();
        assert!(ms > 1_700_000_000_000);
        assert!(unix_us() / 1000 >= ms);
    }
}
