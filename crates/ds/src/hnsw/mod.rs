//! Vectors found by their direction: a navigable graph in layers.
//!
//! A *hierarchical navigable small world* (Yu. A. Malkov, D. A. Yashunin, 2016) has every node on layer 0, and each node of a layer
//! on the next with a probability of one in [`m`](Hnsw::m). A search begins at a node of the topmost layer and walks to nearer
//! neighbours until there are none, then goes on from the nearest few one layer below; on layer 0 it keeps the `ef` nearest.
//! The more, the likelier that what it finds is what is nearest.
//!
//! ```text
//! layer 2            A ------------------------------- F
//!                    |                                 |
//! layer 1            A ------ C ---------------------- F ------ H
//!                    |        |                        |        |
//! layer 0    B ----- A - D -- C - E - G --- I -- K --- F - L -- H ---- J
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `vectors` | how vectors are stored |
//! | `kernels` | distances, by the instructions that the processor has |
//! | `links` | a node's neighbours on one layer |
//! | `search` | looking for what is near |
//! | `connect` | which nodes are linked, and who replaces a neighbour that goes |
//! | `load` | an index from its parts |
//!
//! Nodes are known by numbers. A number that is given back is used again; what does not come again is a node's [`uid`](Hnsw::uid).
//!
//! # Invariants
//! - Links are mutual, join two different nodes that both are on the layer, and occur once.
//! - A node that was given back has no links, and none leads to it.
//! - The entry is on the topmost layer that has nodes. There is one iff there are nodes.
//!
//! # Cost
//! An insertion or a search looks at some `ef * m` vectors, whose loads overlap. Removing a node costs about `(2 m)^2 / 2` distances,
//! and a search for each neighbour that is left with few links. Memory for a node, with `m` 16 and 384 dimensions in eight bits: 384
//! bytes of vector, 256 of links at most, 60 of other things.

mod connect;
mod kernels;
mod links;
mod load;
mod search;
#[cfg(test)]
mod tests;
mod vectors;

pub use load::{Invalid, Loader};
pub use vectors::{Prepared, Quantization};

use crate::paged::Paged;
use links::Links;
use search::{Limit, NODES_MAX, Near, Scratch};
use vectors::Store;

/// The topmost layer that a node can be on.
pub const LEVEL_MAX: usize = 16;
/// So many links a node may have on a layer.
pub const LINKS_MAX: usize = 4 * M_MAX;
/// The largest number of links that can be asked for.
pub const M_MAX: usize = 4096;

/// An index of vectors.
#[derive(Clone)]
pub struct Hnsw {
    /// Links that a new node gets on each layer. On layer 0 it may have twice as many later.
    m: usize,
    store: Store,
    nodes: Paged<Node>,
    /// Numbers that were given back.
    free: Vec<u32>,
    entry: Option<u32>,
    /// How many nodes have each level.
    levels: [u32; LEVEL_MAX + 1],
    last_uid: u64,
    /// What the next level is made of.
    seed: u64,
}

/// A node beside its vector.
#[derive(Clone)]
struct Node {
    /// 0 for one that was given back.
    uid: u64,
    l2: f32,
    base: Links,
    /// On layers 1, 2, …
    upper: Box<[Links]>,
}

/// A node that was found, and how far it is: 0 is the same direction, 2 the opposite one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// Its number.
    pub node: u32,
    /// How far it is.
    pub distance: f32,
}

impl From<Near> for Found {
    fn from(near: Near) -> Found {
        Found { node: near.node(), distance: near.distance() }
    }
}

impl std::fmt::Debug for Hnsw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hnsw").field("len", &self.len()).field("dim", &self.dim()).field("m", &self.m).finish()
    }
}

impl Hnsw {
    /// An index of no vectors. Panics without a dimension, or if `m` is no number from 1 to [`M_MAX`]. `seed` decides the
    /// levels of its nodes.
    pub fn new(dim: usize, quantization: Quantization, m: usize, seed: u64) -> Hnsw {
        assert!((1..=M_MAX).contains(&m), "a number of links");
        Hnsw {
            m,
            store: Store::new(quantization, dim),
            nodes: Paged::default(),
            free: Vec::new(),
            entry: None,
            levels: [0; LEVEL_MAX + 1],
            last_uid: 0,
            seed,
        }
    }

    /// Number of vectors. O(1).
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entry.is_none()
    }

    /// Components of each vector.
    pub fn dim(&self) -> usize {
        self.store.dim()
    }

    /// Links that a new node gets.
    pub fn m(&self) -> usize {
        self.m
    }

    /// How vectors are stored.
    pub fn quantization(&self) -> Quantization {
        self.store.quantization()
    }

    /// The topmost layer that has nodes; 0 without any.
    pub fn top(&self) -> usize {
        self.entry.map_or(0, |entry| self.level(entry))
    }

    /// The highest [`uid`](Hnsw::uid) that was given out.
    pub fn last_uid(&self) -> u64 {
        self.last_uid
    }

    /// Numbers of nodes are below this.
    pub fn bound(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is a node of this number.
    pub fn has(&self, node: u32) -> bool {
        self.nodes.get(node as usize).is_some_and(|node| node.uid > 0)
    }

    /// What tells a node from all others that the index has had.
    pub fn uid(&self, node: u32) -> u64 {
        self.nodes[node as usize].uid
    }

    /// The length that a node's vector had before it was normalised.
    pub fn l2(&self, node: u32) -> f32 {
        self.nodes[node as usize].l2
    }

    /// What the components of a node's vector were divided by before they became eight-bit integers, times 127.
    pub fn range(&self, node: u32) -> f32 {
        self.store.range(node)
    }

    /// The topmost layer that a node is on.
    #[inline]
    pub fn level(&self, node: u32) -> usize {
        self.nodes[node as usize].upper.len()
    }

    /// A node's vector as it is stored.
    pub fn stored(&self, node: u32) -> &[u8] {
        self.store.bytes(node)
    }

    /// The components of a node's vector, about as they were given.
    pub fn vector(&self, node: u32) -> Vec<f32> {
        self.store.components(node, self.l2(node))
    }

    /// A node's neighbours on a layer that it is on, with their distances.
    pub fn neighbours(&self, node: u32, layer: usize) -> impl Iterator<Item = Found> {
        self.links(node, layer).iter().map(|(node, distance)| Found { node, distance })
    }

    /// How many neighbours a node has on a layer, and how many it may have.
    pub fn degree(&self, node: u32, layer: usize) -> (usize, usize) {
        let links = self.links(node, layer);
        (links.len(), links.max())
    }

    /// Which of a node's neighbours on a layer is the farthest, and how far it is; `(0, 0)` if there is none.
    pub fn farthest(&self, node: u32, layer: usize) -> (usize, f32) {
        self.links(node, layer).farthest()
    }

    #[inline(always)]
    fn links(&self, node: u32, layer: usize) -> &Links {
        let node = &self.nodes[node as usize];
        if layer == 0 { &node.base } else { &node.upper[layer - 1] }
    }

    fn links_mut(&mut self, node: u32, layer: usize) -> &mut Links {
        let node = &mut self.nodes[node as usize];
        if layer == 0 { &mut node.base } else { &mut node.upper[layer - 1] }
    }

    /// A vector in the form in which it is stored and looked for. Panics if it is of another dimension.
    pub fn prepare(&self, vector: &[f32]) -> Prepared {
        self.store.prepare(vector)
    }

    /// The next level: each further one with a probability of one in `m`.
    fn draw_level(&mut self) -> usize {
        // The generator `SplitMix64` (G. L. Steele, D. Lea, C. H. Flood, 2014).
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.seed;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let fraction = ((word ^ word >> 31) >> 11) as f64 / (1u64 << 53) as f64;
        let level = -(1.0 - fraction).ln() / (self.m.max(2) as f64).ln();
        (level as usize).min(LEVEL_MAX)
    }

    /// Adds a vector; returns its number. `ef` nodes are looked at to find its neighbours among them.
    pub fn insert(&mut self, vector: &Prepared, ef: usize) -> u32 {
        let level = self.draw_level();
        let node = self.add(vector, level, self.last_uid + 1);
        let Some(entry) = self.entry.replace(node) else { return node };
        let top = self.level(entry);
        if level <= top {
            self.entry = Some(entry);
        }
        let layers = Scratch::with(|scratch| {
            let query = self.store.query_of(vector);
            let mut layers = vec![self.descend(&query, entry, level.min(top), scratch)];
            for layer in (0..=level.min(top)).rev() {
                let starts = layers.last().expect("there is the first");
                layers.push(self.search_layer(&query, starts, ef.max(1), layer, scratch));
            }
            layers.split_off(1)
        });
        for (layer, candidates) in (0..layers.len()).rev().zip(layers) {
            self.connect(node, &candidates, layer);
        }
        node
    }

    /// Adds a node without links.
    fn add(&mut self, vector: &Prepared, level: usize, uid: u64) -> u32 {
        let links = |layer| Links::new(if layer == 0 { 2 * self.m } else { self.m } as u16);
        let node = Node { uid, l2: vector.l2(), base: links(0), upper: (1..=level).map(links).collect() };
        let number = match self.free.pop() {
            Some(number) => {
                self.nodes[number as usize] = node;
                number
            }
            None => {
                assert!(self.nodes.len() < NODES_MAX, "more vectors than an index can have");
                self.nodes.push(node) as u32
            }
        };
        self.store.put(number, vector);
        self.levels[level] += 1;
        self.last_uid = self.last_uid.max(uid);
        number
    }

    /// Removes a node, and links those that were its neighbours anew. Panics if there is none of this number.
    pub fn remove(&mut self, node: u32) {
        assert!(self.has(node), "a node of the index");
        let level = self.level(node);
        let orphans = self.isolate(node);
        self.levels[level] -= 1;
        if self.entry == Some(node) {
            self.entry = self.next_entry(node, &orphans);
        }
        let gone = &mut self.nodes[node as usize];
        (gone.uid, gone.base, gone.upper) = (0, Links::new(0), Box::default());
        self.free.push(node);
        for (layer, orphans) in orphans.iter().enumerate() {
            self.reconnect(orphans, layer);
        }
    }

    /// A node on the topmost layer, other than `gone`, whose neighbours were `orphans`.
    fn next_entry(&self, gone: u32, orphans: &[Vec<u32>]) -> Option<u32> {
        let top = self.levels.iter().rposition(|&count| count > 0)?;
        let near = orphans.get(top).into_iter().flatten().copied().find(|&node| self.level(node) == top);
        near.or_else(|| {
            (0..self.bound() as u32).find(|&node| node != gone && self.has(node) && self.level(node) == top)
        })
    }

    /// Up to `ef` nodes that are near, the nearest first. The search keeps a few more than that, which helps most where `ef` is small.
    pub fn search(&self, vector: &Prepared, ef: usize) -> Vec<Found> {
        const SPARE: usize = 8;
        let kept = ef.saturating_add(ef / 4 + SPARE);
        let mut found = self.search_with(vector, ef, |index, query, starts, scratch| {
            index.search_layer(query, starts, kept, 0, scratch)
        });
        found.truncate(ef);
        found
    }

    /// Up to `ef` nodes that are near and that `accepts` accepts, going on from no more than `visits` nodes.
    pub fn search_filtered(
        &self,
        vector: &Prepared,
        ef: usize,
        visits: usize,
        accepts: &mut dyn FnMut(u32) -> bool,
    ) -> Vec<Found> {
        let mut limit = Limit::Nodes(visits);
        self.search_with(vector, ef, |index, query, starts, scratch| {
            index.search_heaps(query, starts, ef, 0, &mut limit, accepts, scratch)
        })
    }

    fn search_with(
        &self,
        vector: &Prepared,
        ef: usize,
        search: impl FnOnce(&Hnsw, &vectors::Query<'_>, &[Near], &mut Scratch) -> Vec<Near>,
    ) -> Vec<Found> {
        let Some(entry) = self.entry.filter(|_| ef > 0) else { return Vec::new() };
        let found = Scratch::with(|scratch| {
            let query = self.store.query_of(vector);
            let starts = self.descend(&query, entry, 0, scratch);
            search(self, &query, &starts, scratch)
        });
        found.into_iter().map(Found::from).collect()
    }

    /// The `count` nearest nodes that `accepts` accepts, from looking at all. O(n).
    pub fn scan(&self, vector: &Prepared, count: usize, accepts: &mut dyn FnMut(u32) -> bool) -> Vec<Found> {
        /// Nodes whose distances are computed together.
        const BATCH: usize = 256;
        let query = self.store.query_of(vector);
        let mut nearest = std::collections::BinaryHeap::new();
        let (mut nodes, mut distances) = (Vec::with_capacity(BATCH), [0.0; BATCH]);
        let mut all = (0..self.bound() as u32).filter(|&node| self.has(node) && accepts(node));
        loop {
            nodes.clear();
            nodes.extend(all.by_ref().take(BATCH));
            if nodes.is_empty() {
                break;
            }
            self.store.distances(&query, &nodes, &mut distances);
            for (&node, &distance) in nodes.iter().zip(&distances) {
                let near = Near::new(distance, node);
                if nearest.len() < count {
                    nearest.push(near);
                } else if nearest.peek().is_some_and(|farthest| near < *farthest) {
                    nearest.pop();
                    nearest.push(near);
                }
            }
        }
        let mut found: Vec<Found> = nearest.into_sorted_vec().into_iter().map(Found::from).collect();
        // Of those that are equally far the older ones come first.
        found
            .chunk_by_mut(|a, b| a.distance == b.distance)
            .for_each(|same| same.sort_by_key(|found| self.uid(found.node)));
        found
    }

    /// How far two nodes are from each other.
    pub fn distance(&self, a: u32, b: u32) -> f32 {
        self.store.distance(&self.store.query(a), b)
    }

    /// Bytes of memory; the links of `samples` nodes are looked at (0: of all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let count = if samples == 0 { self.bound() } else { samples.min(self.bound()) };
        let of_node = |node: &Node| {
            let upper: usize = node.upper.iter().map(Links::memory_bytes).sum();
            node.base.memory_bytes() + upper + size_of_val(&*node.upper)
        };
        let links: usize = self.nodes.iter().take(count).map(of_node).sum();
        let links = if count == 0 { 0 } else { (links as u128 * self.bound() as u128 / count as u128) as usize };
        size_of::<Hnsw>() + links + self.nodes.memory_bytes() + self.store.memory_bytes() + self.free.capacity() * 4
    }
}
