//! Long strings of bits and HyperLogLogs, with the machine's widest vectors and without: `cargo bench -p kinovar-ds --bench bits`.

use kinovar_ds::bits::{self, Operation};
use kinovar_ds::hyperloglog::{self as hll, Hit};
use kinovar_ds::wide::use_vectors;
use std::hint::black_box;
use std::time::Instant;

/// The best of several rounds, us for each call.
fn measure(name: &str, mut run: impl FnMut()) {
    const ROUNDS: usize = 20;
    const CALLS: u32 = 50;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..CALLS).for_each(|_| run());
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    println!("{name:40} {best:9.2} us");
}

fn scattered(len: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn main() {
    const LEN: usize = 1 << 20;
    let strings: Vec<Vec<u8>> = (0..3).map(|seed| scattered(LEN, seed)).collect();
    let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    let zeros = vec![0; LEN];
    let hlls: Vec<Vec<u8>> = (0..3u64).map(|seed| hyperloglog(seed << 32, 30_000)).collect();
    let sparse = hyperloglog(0, 900);
    assert!(!hll::is_dense(&sparse));
    for on in [true, false] {
        use_vectors(on);
        println!("{}", if on { "widest vectors" } else { "baseline" });
        measure("count, 1 MB", || _ = black_box(bits::count(black_box(strings[0]))));
        measure("position, 1 MB", || _ = black_box(bits::position(black_box(&zeros), true)));
        for (operation, sources) in [
            (Operation::Not, 1),
            (Operation::And, 2),
            (Operation::And, 3),
            (Operation::Xor, 3),
            (Operation::Diff1, 3),
            (Operation::One, 3),
        ] {
            let sources = &strings[..sources];
            measure(&format!("{operation:?} of {}, 1 MB", sources.len()), || {
                drop(black_box(bits::combine(operation, black_box(sources))));
            });
        }
        measure("estimate, dense", || _ = black_box(hll::estimate(black_box(&hlls[0]))));
        measure("estimate, sparse", || _ = black_box(hll::estimate(black_box(&sparse))));
        measure("estimate of 3, dense", || {
            let mut registers = [0; hll::REGISTERS];
            hlls.iter().for_each(|hll| hll::merge(&mut registers, black_box(hll)).expect("valid"));
            black_box(hll::estimate_of(&registers));
        });
        let mut n = 0;
        measure("1000 elements, dense", || {
            for _ in 0..1000 {
                n += 1;
                black_box(hll::would_raise(&hlls[0], Hit::of(&element(n)))).expect("valid");
            }
        });
        measure("1000 elements, sparse", || {
            for _ in 0..1000 {
                n += 1;
                black_box(hll::would_raise(&sparse, Hit::of(&element(n)))).expect("valid");
            }
        });
    }
}

fn element(n: u64) -> [u8; 16] {
    let mut element = *b"ele:000000000000";
    element[8..].copy_from_slice(&n.to_le_bytes());
    element
}

fn hyperloglog(first: u64, elements: u64) -> Vec<u8> {
    let mut hll = hll::EMPTY.to_vec();
    for n in first..first + elements {
        hll::raise(&mut hll, Hit::of(&element(n)), 3000).expect("valid");
    }
    hll
}
