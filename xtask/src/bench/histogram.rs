//! A log-linear histogram of latencies: sixty-four buckets to each power of two, so within 1.6% everywhere.

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// Counts of latencies in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; index(u64::MAX) + 1], total: 0, max: 0 }
    }
}

/// The bucket of a value: linear below 64, then 64 buckets an octave.
fn index(value: u64) -> usize {
    let octave = (63 - (value | 1).leading_zeros()).saturating_sub(SUB_BITS - 1);
    (u64::from(octave) * (SUB / 2) + (value >> octave)) as usize
}

/// The smallest value of a bucket.
fn lower_bound(index: usize) -> u64 {
    let octave = (index as u64 / (SUB / 2)).saturating_sub(1);
    (index as u64 - octave * (SUB / 2)) << octave
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, ns: u64) {
        self.counts[index(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The value that `percent` of all latencies do not exceed, in microseconds.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        let rank = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return lower_bound(i).min(self.max) as f64 / 1000.0;
            }
        }
        self.max as f64 / 1000.0
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        for value in (0..200_000).chain([1 << 40, u64::MAX]) {
            let low = lower_bound(index(value));
            assert!(low <= value && value - low <= value / 32, "{value} is in the bucket of {low}");
            assert!(value == 0 || index(value - 1) <= index(value));
        }
    }

    #[test]
    fn percentiles_are_found() {
        let mut h = Histogram::default();
        (1..=1000).for_each(|us| h.record(us * 1000));
        assert!((h.percentile_us(50.0) - 500.0).abs() < 17.0);
        assert!((h.percentile_us(99.9) - 999.0).abs() < 33.0);
    }
}
