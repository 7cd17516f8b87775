//! Graphs against their invariants and against looking at everything.

use super::kernels::Kernels;
use super::*;
use proptest::prelude::*;

/// Numbers that look like chance, always the same ones.
struct Chance(u64);

impl Chance {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// About normally distributed.
    fn normal(&mut self) -> f32 {
        let word = self.word();
        (0..4).map(|part| (word >> (16 * part) & 0xffff) as f32 / 65536.0 - 0.5).sum::<f32>() * 1.7
    }

    fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.normal()).collect()
    }
}

/// Vectors around a few centres, as embeddings are.
fn clusters(count: usize, dim: usize, centres: usize, chance: &mut Chance) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> = (0..centres).map(|_| chance.vector(dim)).collect();
    let around = |_| {
        let centre = &centres[chance.word() as usize % centres.len()];
        centre.iter().map(|x| x + 0.6 * chance.normal()).collect()
    };
    (0..count).map(around).collect()
}

fn index_of(vectors: &[Vec<f32>], quantization: Quantization, m: usize, ef: usize) -> Hnsw {
    let mut index = Hnsw::new(vectors[0].len(), quantization, m, 1);
    for vector in vectors {
        let prepared = index.prepare(vector);
        index.insert(&prepared, ef);
    }
    index
}

/// Fails unless the invariants hold.
fn check(index: &Hnsw) {
    let live: Vec<u32> = (0..index.bound() as u32).filter(|&node| index.has(node)).collect();
    assert_eq!(live.len(), index.len());
    assert_eq!(index.is_empty(), live.is_empty());
    assert_eq!(index.top(), live.iter().map(|&node| index.level(node)).max().unwrap_or(0));
    for &node in &live {
        for layer in 0..=index.level(node) {
            let (len, max) = index.degree(node, layer);
            assert!(len <= max && max <= if layer == 0 { 3 * index.m() } else { 2 * index.m() }.max(2));
            let mut ids: Vec<u32> = index.neighbours(node, layer).map(|found| found.node).collect();
            for found in index.neighbours(node, layer) {
                assert!(found.node != node && index.has(found.node) && index.level(found.node) >= layer);
                assert!(index.links(found.node, layer).has(node), "links are mutual");
                assert_eq!(found.distance, index.distance(node, found.node));
            }
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), len, "links occur once");
        }
    }
    for node in 0..index.bound() as u32 {
        assert!(index.has(node) || index.degree(node, 0) == (0, 0));
    }
}

/// The share of the `count` nearest that searches find.
fn recall(index: &Hnsw, queries: &[Vec<f32>], count: usize, ef: usize) -> f64 {
    let mut hits = 0;
    for query in queries {
        let query = index.prepare(query);
        let truth = index.scan(&query, count, &mut |_| true);
        let found = index.search(&query, ef);
        // Of those that are equally far any will do.
        let farthest = truth.last().map_or(0.0, |found| found.distance);
        hits += found.iter().take(count).filter(|found| found.distance <= farthest).count();
    }
    hits as f64 / (queries.len() * count) as f64
}

#[test]
fn searches_find_what_is_near() {
    let mut chance = Chance(7);
    let vectors = clusters(3000, 48, 30, &mut chance);
    let queries = clusters(100, 48, 30, &mut Chance(7));
    for (quantization, least) in [(Quantization::None, 0.98), (Quantization::Q8, 0.98), (Quantization::Bin, 0.9)] {
        let index = index_of(&vectors, quantization, 16, 200);
        check(&index);
        let recall = recall(&index, &queries, 10, 100);
        assert!(recall >= least, "{quantization:?}: {recall}");
    }
}

#[test]
fn what_remains_after_removals_is_found() {
    let mut chance = Chance(3);
    let vectors = clusters(2000, 24, 12, &mut chance);
    let mut index = index_of(&vectors, Quantization::Q8, 8, 100);
    let mut live: Vec<u32> = (0..2000).collect();
    for _ in 0..1500 {
        let at = chance.word() as usize % live.len();
        index.remove(live.swap_remove(at));
    }
    check(&index);
    assert!(recall(&index, &clusters(100, 24, 12, &mut Chance(3)), 10, 100) > 0.95);
    // Numbers are used again, uids are not.
    let prepared = index.prepare(&vectors[0]);
    let node = index.insert(&prepared, 100);
    assert!(index.bound() == 2000 && index.uid(node) == 2001 && index.last_uid() == 2001);
    while let Some(node) = live.pop() {
        index.remove(node);
    }
    index.remove(node);
    assert!(index.is_empty() && index.search(&prepared, 10).is_empty());
    check(&index);
}

#[test]
fn filters_choose_and_limits_end_a_search() {
    let vectors = clusters(1000, 16, 10, &mut Chance(5));
    let index = index_of(&vectors, Quantization::None, 16, 200);
    let query = index.prepare(&vectors[3]);
    let even = |node: u32| node.is_multiple_of(2);
    let truth = index.scan(&query, 10, &mut { even });
    let found = index.search_filtered(&query, 50, 1000, &mut { even });
    assert_eq!(found[..10], truth);
    assert!(found.iter().all(|found| even(found.node)));
    let mut looked = 0;
    index.search_filtered(&query, 50, 1, &mut |_| {
        looked += 1;
        false
    });
    assert!(looked <= 1 + 48, "one node and its neighbours: {looked}");
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut index = Hnsw::new(2, Quantization::None, 4, 1);
    for vector in [[f32::NAN, 1.0], [f32::INFINITY, 1.0], [0.0, 0.0], [1.0, 2.0], [-1.0, f32::MAX]] {
        let prepared = index.prepare(&vector);
        index.insert(&prepared, 10);
        index.search(&prepared, 10);
    }
    for node in 0..5 {
        index.remove(node);
    }
}

fn parts(index: &Hnsw) -> Result<Hnsw, Invalid> {
    let mut loader = Loader::new(index.dim(), index.quantization(), index.m(), 9);
    for node in (0..index.bound() as u32).filter(|&node| index.has(node)) {
        let vector = loader.vector(index.stored(node), index.range(node), index.l2(node))?;
        loader.node(&vector, index.uid(node), index.level(node))?;
        for layer in 0..=index.level(node) {
            let uids: Vec<u64> = index.neighbours(node, layer).map(|found| index.uid(found.node)).collect();
            loader.links(layer, &uids, index.degree(node, layer).1)?;
        }
    }
    loader.finish()
}

#[test]
fn an_index_comes_back_from_its_parts() {
    let vectors = clusters(500, 16, 10, &mut Chance(11));
    for quantization in [Quantization::None, Quantization::Q8, Quantization::Bin] {
        let mut index = index_of(&vectors, quantization, 4, 50);
        (100..200).for_each(|node| index.remove(node));
        let back = parts(&index).expect("a whole index");
        check(&back);
        let query = index.prepare(&vectors[7]);
        let uids = |index: &Hnsw| -> Vec<u64> {
            index.scan(&query, 20, &mut |_| true).iter().map(|found| index.uid(found.node)).collect()
        };
        assert_eq!(uids(&index), uids(&back));
        assert_eq!(index.last_uid(), back.last_uid());
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let loader = || Loader::new(1, Quantization::Q8, 4, 0);
    let vector = loader().vector(&[127], 1.0, 1.0).unwrap();
    assert!(loader().vector(&[1, 2], 1.0, 1.0).is_err());
    assert!(loader().node(&vector, 0, 0).is_err() && loader().node(&vector, 1, LEVEL_MAX + 1).is_err());
    let try_links = |links: &[(u64, usize, &[u64])]| {
        let mut loader = loader();
        for &(uid, level, uids) in links {
            loader.node(&vector, uid, level)?;
            for layer in 0..=level {
                loader.links(layer, uids, uids.len())?;
            }
        }
        loader.finish().map(drop)
    };
    assert_eq!(try_links(&[(1, 0, &[2]), (2, 0, &[1])]), Ok(()));
    assert!(try_links(&[(1, 0, &[]), (1, 0, &[])]).is_err(), "two of one uid");
    assert!(try_links(&[(1, 0, &[2])]).is_err(), "to no node");
    assert!(try_links(&[(1, 0, &[1])]).is_err(), "to itself");
    assert!(try_links(&[(1, 0, &[2]), (2, 0, &[])]).is_err(), "not mutual");
    assert!(try_links(&[(1, 0, &[2, 2]), (2, 0, &[1, 1])]).is_err(), "twice");
    assert!(try_links(&[(1, 1, &[2]), (2, 0, &[1])]).is_err(), "above the other's level");
}

#[test]
fn all_kernels_agree() {
    let mut chance = Chance(13);
    for dim in [1, 3, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 384, 1000] {
        for quantization in [Quantization::None, Quantization::Q8, Quantization::Bin] {
            let mut index = Hnsw::new(dim, quantization, 4, 0);
            for _ in 0..9 {
                let prepared = index.prepare(&chance.vector(dim));
                index.insert(&prepared, 10);
            }
            let nodes: Vec<u32> = (0..9).collect();
            let distances = |index: &Hnsw| {
                let mut out = [0.0; 9];
                index.store.distances(&index.store.query(4), &nodes, &mut out);
                out
            };
            let expected = distances(&index);
            for kernels in Kernels::all() {
                index.store.kernels = kernels;
                for (got, expected) in distances(&index).iter().zip(expected) {
                    let close = (got - expected).abs() <= if quantization == Quantization::None { 1e-5 } else { 0.0 };
                    assert!(close, "{quantization:?} {dim}: {got} and {expected}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_insertions_and_removals_keeps_the_invariants(
        steps in prop::collection::vec((any::<u16>(), prop::array::uniform3(-3i8..4)), 1..200),
        m in 1usize..6,
        ef in 1usize..30,
    ) {
        let mut index = Hnsw::new(3, Quantization::Q8, m, 5);
        let mut live: Vec<u32> = Vec::new();
        for (step, vector) in steps {
            if step % 3 == 0 && !live.is_empty() {
                index.remove(live.swap_remove(usize::from(step) % live.len()));
            } else {
                let prepared = index.prepare(&vector.map(f32::from));
                live.push(index.insert(&prepared, ef));
            }
        }
        check(&index);
        prop_assert!(parts(&index).is_ok());
        if let Some(&node) = live.first() {
            let vector = index.vector(node);
            let near = index.search(&index.prepare(&vector), 10);
            prop_assert!(near.is_sorted_by(|a, b| a.distance <= b.distance) && !near.is_empty());
        }
    }
}
