//! The hash of every table in the process: foldhash, keyed once per process with bytes from the operating system.
//!
//! The *quality* flavour is used although it costs one multiplication more than *fast*: [`crate::table`] takes the bucket
//! from the high bits and the tag from the low ones, so every bit has to be good. Both the accumulator and the shared
//! seeds are random; with the crate's fixed shared seeds a client could craft keys that cancel a known constant.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

struct Seeds {
    accumulator: u64,
    shared: SharedSeed,
}

impl Seeds {
    fn from_u64s(a: u64, b: u64) -> Self {
        Self {
            accumulator: a,
            shared: SharedSeed::from_u64(b),
        }
    }
}

/// Read on every hash: an initialised `OnceLock` costs one plain load and a predicted branch, and its data has a fixed
/// address.
static SEEDS: OnceLock<Seeds> = OnceLock::new();

/// The 64-bit hash of `bytes`, stable for the life of the process and different in the next one.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let seeds = match SEEDS.get() {
        Some(seeds) => seeds,
        None => seed_from_system(),
    };
    let mut hasher = FoldHasher::with_seed(seeds.accumulator, &seeds.shared);
    hasher.write(bytes);
    hasher.finish()
}

/// Keys the hash with `seed`, so that a test's layout can be replayed. Returns false, changing nothing, once anything has
/// been hashed or seeded in this process.
pub fn seed_for_tests(seed: u64) -> bool {
    SEEDS.set(Seeds::from_u64s(seed, !seed)).is_ok()
}

#[cold]
#[inline(never)]
fn seed_from_system() -> &'static Seeds {
    // `RandomState` takes its keys from the operating system and adds one per instance: two independent words.
    SEEDS.get_or_init(|| {
        Seeds::from_u64s(
            RandomState::new().hash_one(1u8),
            RandomState::new().hash_one(2u8),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_hash_equally_and_the_seed_is_set_once() {
        let first = hash(b"key");
        assert!(!seed_for_tests(7), "already seeded");
        assert_eq!(hash(b"key"), first);
        assert_ne!(hash(b"kez"), first);
        assert_ne!(hash(b""), hash(b"\0"));
    }

    /// The table needs both ends of the hash: fill 1024 cells by the top and by the bottom ten bits from key shapes that
    /// people use, and compare with what chance allows (chi-squared of 1023 degrees of freedom: mean 1023, sigma 45).
    #[test]
    fn common_key_shapes_spread_over_high_and_low_bits() {
        let shapes: [fn(u32) -> String; 4] = [
            |i| format!("key:{i:012}"),
            |i| format!("{i}"),
            |i| format!("user:{}:profile:settings:{}", i % 100, i / 100),
            |i| format!("{i:07}"),
        ];
        for shape in shapes {
            let mut high = [0u32; 1024];
            let mut low = [0u32; 1024];
            let count = 200_000;
            for i in 0..count {
                let h = hash(shape(i).as_bytes());
                high[(h >> 54) as usize] += 1;
                low[(h & 1023) as usize] += 1;
            }
            for cells in [high, low] {
                let mean = f64::from(count) / 1024.0;
                let chi: f64 = cells
                    .iter()
                    .map(|&c| (f64::from(c) - mean).powi(2) / mean)
                    .sum();
                assert!(chi < 1400.0, "chi-squared {chi} for {}", shape(1));
            }
        }
    }
}
