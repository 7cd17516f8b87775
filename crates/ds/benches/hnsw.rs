//! The index of vectors alone: time of an insertion, time and recall of a search.
//!
//! ```text
//! cargo bench -p kinovar-ds --bench hnsw -- [vectors] [dimensions]
//! ```

use kinovar_ds::hnsw::{Hnsw, Quantization};
use std::time::Instant;

const QUERIES: usize = 200;
const WANTED: usize = 10;

/// Numbers that look like chance, always the same ones.
struct Chance(u64);

impl Chance {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1 << 24) as f32
    }

    /// About normally distributed.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.unit() - 0.5).sum::<f32>() * std::f32::consts::SQRT_2
    }

    fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.normal()).collect()
    }
}

/// In all directions alike: there is nothing to go by, so it is the hardest case.
fn noise(count: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut chance = Chance(1);
    (0..count).map(|_| chance.vector(dim)).collect()
}

/// Mixtures of a few directions with some noise, as embeddings are.
fn mixtures(count: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut chance = Chance(2);
    let centres: Vec<Vec<f32>> = (0..200).map(|_| chance.vector(dim)).collect();
    let mix = |_| {
        let parts: Vec<(usize, f32)> = (0..3).map(|_| (chance.word() as usize % 200, chance.unit())).collect();
        let at = |at: usize| parts.iter().map(|(centre, share)| share * centres[*centre][at]).sum::<f32>();
        (0..dim).map(|index| at(index) + 0.25 * chance.normal()).collect()
    };
    (0..count).map(mix).collect()
}

fn measure(name: &str, vectors: &[Vec<f32>], quantization: Quantization) {
    let (stored, queries) = vectors.split_at(vectors.len() - QUERIES);
    let mut index = Hnsw::new(stored[0].len(), quantization, 16, 1);
    let start = Instant::now();
    for vector in stored {
        let prepared = index.prepare(vector);
        index.insert(&prepared, 200);
    }
    let insertion = start.elapsed().as_secs_f64() * 1e6 / stored.len() as f64;
    print!("{name:9} {quantization:?}: insertion {insertion:.0} us");
    let queries: Vec<_> = queries.iter().map(|query| index.prepare(query)).collect();
    let truths: Vec<_> = queries.iter().map(|query| index.scan(query, WANTED, &mut |_| true)).collect();
    for ef in [10, 50, 100, 200] {
        let start = Instant::now();
        let found: Vec<_> = queries.iter().map(|query| index.search(query, ef)).collect();
        let search = start.elapsed().as_secs_f64() * 1e6 / QUERIES as f64;
        let hits = found.iter().zip(&truths).map(|(found, truth)| {
            let farthest = truth.last().map_or(0.0, |last| last.distance);
            found.iter().take(WANTED).filter(|found| found.distance <= farthest).count()
        });
        let recall = hits.sum::<usize>() as f64 / (QUERIES * WANTED) as f64;
        print!("; ef {ef}: {search:.0} us, {recall:.4}");
    }
    println!("; {} bytes each", index.memory_bytes(0) / index.len());
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (count, dim) = (*numbers.first().unwrap_or(&10_000), *numbers.get(1).unwrap_or(&384));
    for (name, vectors) in [("noise", noise(count + QUERIES, dim)), ("mixtures", mixtures(count + QUERIES, dim))] {
        for quantization in [Quantization::Q8, Quantization::None, Quantization::Bin] {
            measure(name, &vectors, quantization);
        }
    }
}
