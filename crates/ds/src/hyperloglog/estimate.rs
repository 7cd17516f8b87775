//! From how often each register value occurs to the number of elements: the improved raw estimator of O. Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, section 2.4 (algorithm 6).

use super::{REGISTERS, VALUE_BITS};

/// How many registers have each value.
pub(super) type Histogram = [u32; 64];

/// 1 / (2 ln 2), as many digits as the reference has.
#[allow(clippy::excessive_precision, reason = "the published constant")]
const ALPHA: f64 = 0.721347520444481703680;

/// The number of elements. Where it is beyond all bounds it is what the reference makes of that, 2^63.
pub(super) fn estimate(histogram: &Histogram) -> u64 {
    let m = REGISTERS as f64;
    let count = |value: u32| f64::from(histogram[value as usize]);
    let mut z = m * tau((m - count(VALUE_BITS + 1)) / m);
    for value in (1..=VALUE_BITS).rev() {
        z = (z + count(value)) * 0.5;
    }
    z += m * sigma(count(0) / m);
    let estimate = ALPHA * m * m / z;
    if estimate < i64::MAX as f64 { estimate.round() as u64 } else { 1 << 63 }
}

/// The sum of x^(2^k) 2^(k-1) over all k from 1 on, and x.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// A third of 1 - x - the sum of (1 - x^(2^-k))^2 2^-k over all k from 1 on.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
