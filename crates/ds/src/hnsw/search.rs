//! Looking for what is near.
//!
//! A search on one layer goes on from the nearest node that it has not gone on from, until it knows `ef` nodes that are nearer than
//! any that is left. Two ways to keep what it knows:
//!
//! - *A pool*: the `ef` nearest in order, with a mark on those it has gone on from. What falls out of the pool would never have been
//!   gone on from, so no other queue is needed; and an insertion moves a few hundred bytes at most.
//! - *Two heaps*, the usual way, where `ef` is large or a filter decides which nodes count: then the search has to go on from
//!   others as well.
//!
//! What nodes a search has seen it marks in bytes of the thread: one that differs from the search's own number is an old mark.

use super::Hnsw;
use super::vectors::Query;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many nodes a search goes on from to the layer below, on all layers but the lowest.
const EF_ABOVE: usize = 8;
/// A larger `ef` has heaps.
const POOL_MAX: usize = 512;

/// A distance and the node that it is of, as a number: less is nearer. Distances that are no numbers are the farthest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Near(u64);

/// In the pool of a search: it has been gone on from.
const DONE: u64 = 1;
/// Nodes have numbers below this.
pub(super) const NODES_MAX: usize = 1 << 31;

impl Near {
    #[inline(always)]
    pub(super) fn new(distance: f32, node: u32) -> Near {
        let distance = if distance.is_nan() { f32::NAN.abs() } else { distance };
        let bits = distance.to_bits();
        // Negative numbers are in reverse order, and before the others.
        let ordered = bits ^ ((bits as i32 >> 31) as u32 | 1 << 31);
        Near(u64::from(ordered) << 32 | u64::from(node) << 1)
    }

    #[inline(always)]
    pub(super) fn node(self) -> u32 {
        (self.0 as u32) >> 1
    }

    #[inline(always)]
    pub(super) fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(ordered ^ (!(ordered as i32 >> 31) as u32 | 1 << 31))
    }

    #[inline(always)]
    fn is_done(self) -> bool {
        self.0 & DONE != 0
    }
}

/// What a search needs beside the index; kept from one to the next.
#[derive(Default)]
pub(super) struct Scratch {
    marks: Vec<u8>,
    mark: u8,
    /// Neighbours that were not seen before, and their distances.
    fresh: Vec<u32>,
    distances: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// Runs `f` with the thread's own.
    pub(super) fn with<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
        SCRATCH.with_borrow_mut(f)
    }

    /// Begins a search among so many nodes: none is seen.
    fn begin(&mut self, nodes: usize) {
        if self.marks.len() < nodes {
            self.marks.resize(nodes.next_multiple_of(1024), 0);
        }
        self.mark = self.mark.wrapping_add(1);
        if self.mark == 0 {
            self.marks.fill(0);
            self.mark = 1;
        }
    }

    /// Marks a node; whether it was not seen before.
    #[inline(always)]
    fn see(&mut self, node: u32) -> bool {
        let mark = &mut self.marks[node as usize];
        let is_fresh = *mark != self.mark;
        *mark = self.mark;
        is_fresh
    }

    /// Finds the neighbours that were not seen before, and how far they are.
    #[inline]
    fn look(&mut self, index: &Hnsw, query: &Query<'_>, neighbours: &[u32]) {
        self.fresh.clear();
        for &node in neighbours {
            if self.see(node) {
                self.fresh.push(node);
            }
        }
        if self.distances.len() < self.fresh.len() {
            self.distances.resize(self.fresh.len(), 0.0);
        }
        index.store.distances(query, &self.fresh, &mut self.distances);
    }

    fn found(&self) -> impl Iterator<Item = (u32, f32)> {
        self.fresh.iter().copied().zip(self.distances.iter().copied())
    }
}

/// The nearest nodes that a search knows, the nearest first.
struct Pool {
    nearest: Vec<u64>,
    room: usize,
    /// All before this one have been gone on from.
    next: usize,
}

impl Pool {
    #[inline]
    fn offer(&mut self, near: Near) {
        if self.nearest.len() == self.room {
            if self.nearest.last().is_some_and(|&last| near.0 >= last & !DONE) {
                return;
            }
            self.nearest.pop();
        }
        let at = self.nearest.partition_point(|&other| other < near.0);
        self.nearest.insert(at, near.0);
        self.next = self.next.min(at);
    }

    /// The nearest that has not been gone on from; now it has.
    #[inline]
    fn advance(&mut self) -> Option<u32> {
        while let Some(item) = self.nearest.get_mut(self.next) {
            self.next += 1;
            let near = Near(*item);
            if !near.is_done() {
                *item |= DONE;
                return Some(near.node());
            }
        }
        None
    }
}

impl Hnsw {
    /// Nodes on layer `bottom` to begin a search at: a few that searches on all layers above have found near, from `entry` on.
    ///
    /// One would do, but where vectors are in clusters the nearest node of a sparse layer may be in the wrong one.
    pub(super) fn descend(&self, query: &Query<'_>, entry: u32, bottom: usize, scratch: &mut Scratch) -> Vec<Near> {
        let mut starts = vec![Near::new(self.store.distance(query, entry), entry)];
        for layer in (bottom + 1..=self.level(entry)).rev() {
            starts = self.search_layer(query, &starts, EF_ABOVE, layer, scratch);
        }
        starts
    }

    /// Up to `ef` nodes on a layer that are near, in order.
    pub(super) fn search_layer(
        &self,
        query: &Query<'_>,
        starts: &[Near],
        ef: usize,
        layer: usize,
        scratch: &mut Scratch,
    ) -> Vec<Near> {
        if ef > POOL_MAX {
            return self.search_heaps(query, starts, ef, layer, &mut Limit::None, &mut |_| true, scratch);
        }
        scratch.begin(self.nodes.len());
        let mut pool = Pool { nearest: Vec::with_capacity(ef + 1), room: ef, next: 0 };
        for &start in starts {
            scratch.see(start.node());
            pool.offer(start);
        }
        while let Some(node) = pool.advance() {
            scratch.look(self, query, self.links(node, layer).ids());
            for (node, distance) in scratch.found() {
                pool.offer(Near::new(distance, node));
            }
        }
        pool.nearest.into_iter().map(|item| Near(item & !DONE)).collect()
    }

    /// The same, of those nodes alone that `accepts` accepts, going on from no more than `limit` nodes.
    #[allow(clippy::too_many_arguments, reason = "all of them differ from call to call")]
    pub(super) fn search_heaps(
        &self,
        query: &Query<'_>,
        starts: &[Near],
        ef: usize,
        layer: usize,
        limit: &mut Limit,
        accepts: &mut dyn FnMut(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Vec<Near> {
        scratch.begin(self.nodes.len());
        starts.iter().for_each(|start| {
            scratch.see(start.node());
        });
        let mut candidates: BinaryHeap<_> = starts.iter().map(|&start| Reverse(start)).collect();
        let mut results: BinaryHeap<Near> = starts.iter().copied().filter(|start| accepts(start.node())).collect();
        while results.len() > ef {
            results.pop();
        }
        while let Some(Reverse(nearest)) = candidates.pop() {
            let is_over = results.len() >= ef && results.peek().is_some_and(|farthest| nearest > *farthest);
            if is_over || !limit.goes_on() {
                break;
            }
            scratch.look(self, query, self.links(nearest.node(), layer).ids());
            for (node, distance) in scratch.found() {
                let near = Near::new(distance, node);
                let is_near = results.len() < ef || results.peek().is_some_and(|farthest| near < *farthest);
                if !is_near {
                    continue;
                }
                candidates.push(Reverse(near));
                if accepts(node) {
                    results.push(near);
                    if results.len() > ef {
                        results.pop();
                    }
                }
            }
        }
        results.into_sorted_vec()
    }
}

/// How much more a search may do.
pub(super) enum Limit {
    None,
    /// Go on from so many more nodes.
    Nodes(usize),
}

impl Limit {
    fn goes_on(&mut self) -> bool {
        match self {
            Limit::None => true,
            Limit::Nodes(0) => false,
            Limit::Nodes(left) => {
                *left -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_in_the_order_of_distances() {
        let distances = [f32::NEG_INFINITY, -1.0, -1e-9, 0.0, 1e-9, 0.5, 2.0, f32::INFINITY, f32::NAN];
        let nears: Vec<Near> = distances.iter().map(|&distance| Near::new(distance, 7)).collect();
        assert!(nears.is_sorted() && nears.windows(2).all(|pair| pair[0] < pair[1]));
        for (near, distance) in nears.iter().zip(distances) {
            assert_eq!(near.node(), 7);
            assert!(near.distance() == distance || near.distance().is_nan() && distance.is_nan());
        }
        assert!(Near::new(-f32::NAN, 0) > Near::new(f32::INFINITY, NODES_MAX as u32 - 1));
    }
}
