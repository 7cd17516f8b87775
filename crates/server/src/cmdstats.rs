//! Per-command counters and latency histograms. One instance per reactor, written by it alone, read by anyone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Counters of one command on one reactor.
#[derive(Default)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: AtomicU64,
    /// Time it took in total, ns.
    pub ns: AtomicU64,
    /// Times it was refused before it ran.
    pub rejected: AtomicU64,
    /// Times it answered with an error.
    pub failed: AtomicU64,
    histogram: OnceLock<Box<Histogram>>,
}

impl CommandStats {
    /// Counts a call that took `ns`.
    #[inline]
    pub fn record(&self, ns: u64, track_latency: bool) {
        bump(&self.calls, 1);
        bump(&self.ns, ns);
        if track_latency {
            self.histogram.get_or_init(Default::default).record(ns);
        }
    }

    /// The latencies, if any were recorded.
    pub fn histogram(&self) -> Option<&Histogram> {
        self.histogram.get().map(|histogram| &**histogram)
    }

    /// Forgets everything (`CONFIG RESETSTAT`). A call counted meanwhile may be lost.
    pub fn reset(&self) {
        for counter in [&self.calls, &self.ns, &self.rejected, &self.failed] {
            counter.store(0, Relaxed);
        }
        self.reset_latency();
    }

    /// Forgets the latencies (`LATENCY HISTOGRAM` is reset with the statistics).
    pub fn reset_latency(&self) {
        if let Some(histogram) = self.histogram.get() {
            histogram.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
        }
    }
}

/// Adds to a counter that only the calling thread writes.
#[inline]
pub fn bump(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Latencies in ns, in log-linear buckets: 8 to an octave (12.5 % wide), from 0 to about 18 minutes.
pub struct Histogram {
    buckets: [AtomicU32; BUCKETS],
}

const SUB_BITS: u32 = 3;
const BUCKETS: usize = 38 << SUB_BITS;

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: std::array::from_fn(|_| AtomicU32::new(0)) }
    }
}

impl Histogram {
    #[inline]
    fn record(&self, ns: u64) {
        let bucket = &self.buckets[bucket_of(ns)];
        bucket.store(bucket.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Adds the counts to `counts`, a slice of [`Latencies::new`].
    pub fn add_to(&self, latencies: &mut Latencies) {
        for (sum, bucket) in latencies.counts.iter_mut().zip(&self.buckets) {
            *sum += u64::from(bucket.load(Relaxed));
        }
    }
}

#[inline]
fn bucket_of(ns: u64) -> usize {
    if ns < 1 << SUB_BITS {
        return ns as usize;
    }
    let octave = 63 - ns.leading_zeros() - SUB_BITS;
    let sub = (ns >> octave) as usize & ((1 << SUB_BITS) - 1);
    (((octave as usize + 1) << SUB_BITS) + sub).min(BUCKETS - 1)
}

/// Upper end of a bucket, ns.
fn bucket_end(index: usize) -> u64 {
    let (octave, sub) = (index >> SUB_BITS, (index & ((1 << SUB_BITS) - 1)) as u64);
    match octave {
        0 => sub,
        _ => (((1 << SUB_BITS) + sub + 1) << (octave - 1)) - 1,
    }
}

/// Latencies of a command, summed over reactors.
pub struct Latencies {
    counts: Vec<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { counts: vec![0; BUCKETS] }
    }
}

impl Latencies {
    /// Number of calls.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The latency that `percentile` of 100 calls stay within, ns; 0 when there was none.
    pub fn percentile_ns(&self, percentile: f64) -> u64 {
        let total = self.total();
        let rank = ((percentile / 100.0 * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && total > 0 {
                return bucket_end(index);
            }
        }
        0
    }

    /// How many calls took less than this.
    pub fn within_us(&self, us: u64) -> u64 {
        let within = |&(index, _): &(usize, &u64)| bucket_end(index) < us * 1000;
        self.counts.iter().enumerate().take_while(within).map(|(_, count)| count).sum()
    }

    /// Pairs of (microseconds, calls that took no longer), for powers of two from the first that has any call up to the
    /// one that has them all: what `LATENCY HISTOGRAM` prints.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let total = self.total();
        let mut pairs = Vec::new();
        let mut us = 1u64;
        while pairs.last().is_none_or(|&(_, count)| count < total) && us < 1 << 40 {
            let count = self.within_us(us);
            if count > 0 {
                pairs.push((us, count));
            }
            us *= 2;
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_what_they_say() {
        let mut previous = None;
        for ns in (0..5000).chain([1 << 20, 999_999_999, u64::MAX]) {
            let index = bucket_of(ns);
            assert!(index == BUCKETS - 1 || ns <= bucket_end(index), "{ns}");
            assert!(index == 0 || ns > bucket_end(index - 1) || index == BUCKETS - 1, "{ns}");
            assert!(previous.is_none_or(|p| p <= index));
            previous = Some(index);
        }
    }

    #[test]
    fn percentiles_and_cumulative_counts() {
        let stats = CommandStats::default();
        for us in 1..=100u64 {
            stats.record(us * 1000, true);
        }
        let mut latencies = Latencies::default();
        stats.histogram().unwrap().add_to(&mut latencies);
        assert_eq!(latencies.total(), 100);
        let median = latencies.percentile_ns(50.0);
        assert!((50_000..=57_000).contains(&median), "{median}");
        let pairs = latencies.cumulative_us();
        assert_eq!(pairs.last(), Some(&(128, 100)));
        assert!(pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        stats.reset();
        assert_eq!(stats.calls.load(Relaxed), 0);
    }
}
