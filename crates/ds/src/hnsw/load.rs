//! An index from its parts, which may be anything: they come from files.

use super::{Hnsw, LEVEL_MAX, LINKS_MAX, Prepared, Quantization};
use crate::hash;
use crate::table::{Indexed, Table};

/// The parts do not make an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid(pub &'static str);

/// An index that is being put together. Links are given as uids, and need not be known yet.
pub struct Loader {
    index: Hnsw,
    by_uid: Table<Indexed>,
    /// The uids of the neighbours, node by node and layer by layer, each layer with their number in front.
    uids: Vec<u64>,
}

impl Loader {
    /// For an index without nodes.
    pub fn new(dim: usize, quantization: Quantization, m: usize, seed: u64) -> Loader {
        Loader { index: Hnsw::new(dim, quantization, m, seed), by_uid: Table::new(), uids: Vec::new() }
    }

    /// A vector from its stored form.
    pub fn vector(&self, stored: &[u8], range: f32, l2: f32) -> Result<Prepared, Invalid> {
        self.index.store.restore(stored, range, l2).ok_or(Invalid("a vector of another dimension"))
    }

    fn find(&self, uid: u64) -> Option<u32> {
        let hash = Indexed::spread(hash::hash(&uid.to_ne_bytes()));
        self.by_uid.find(hash, |slot| self.index.uid(slot.index()) == uid).map(|slot| slot.index())
    }

    /// Adds a node on the layers up to `level`; returns its number. Its links follow, layer by layer from 0.
    pub fn node(&mut self, vector: &Prepared, uid: u64, level: usize) -> Result<u32, Invalid> {
        if uid == 0 || level > LEVEL_MAX {
            return Err(Invalid("a node that cannot be"));
        }
        if self.find(uid).is_some() {
            return Err(Invalid("two nodes with one id"));
        }
        let node = self.index.add(vector, level, uid);
        let slot = Indexed::new(hash::hash(&uid.to_ne_bytes()), node);
        self.by_uid.insert_unique(crate::table::Slot::hash(&slot), slot);
        if self.index.entry.is_none_or(|entry| self.index.level(entry) < level) {
            self.index.entry = Some(node);
        }
        Ok(node)
    }

    /// Adds the neighbours of the last node on its next layer, by their uids; there may be `max`.
    pub fn links(&mut self, layer: usize, uids: &[u64], max: usize) -> Result<(), Invalid> {
        if uids.len() > max || max > LINKS_MAX {
            return Err(Invalid("more links than a node may have"));
        }
        let node = self.index.bound() as u32 - 1;
        let links = self.index.links_mut(node, layer);
        links.set_max(max.max(links.max()) as u16);
        self.uids.push(uids.len() as u64);
        self.uids.extend_from_slice(uids);
        Ok(())
    }

    /// The index, once all of its nodes are there and all links lead to some.
    pub fn finish(mut self) -> Result<Hnsw, Invalid> {
        let mut uids = std::mem::take(&mut self.uids).into_iter();
        let mut nodes = Vec::new();
        for node in 0..self.index.bound() as u32 {
            for layer in 0..=self.index.level(node) {
                let count = uids.next().ok_or(Invalid("a node without links"))? as usize;
                nodes.clear();
                for uid in uids.by_ref().take(count) {
                    let other = self.find(uid).ok_or(Invalid("a link to no node"))?;
                    if other == node || self.index.level(other) < layer {
                        return Err(Invalid("a link that leads nowhere"));
                    }
                    nodes.push(other);
                }
                let links = self.index.links_mut(node, layer);
                nodes.iter().for_each(|&other| links.push(other, 0.0));
                nodes.sort_unstable();
                if nodes.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(Invalid("two links to one node"));
                }
            }
        }
        self.index.check_mutual()?;
        self.index.measure_links();
        Ok(self.index)
    }
}

impl Hnsw {
    /// A link counts for one direction what it counts against the other: whatever is not mutual is left over. What it counts
    /// nobody outside can know.
    fn check_mutual(&self) -> Result<(), Invalid> {
        let mut sum = 0u64;
        for node in 0..self.bound() as u32 {
            for layer in 0..=self.level(node) {
                for &other in self.links(node, layer).ids() {
                    let mut link = [0; 9];
                    link[..4].copy_from_slice(&node.min(other).to_ne_bytes());
                    link[4..8].copy_from_slice(&node.max(other).to_ne_bytes());
                    link[8] = layer as u8;
                    let weight = hash::hash(&link);
                    sum = if node < other { sum.wrapping_add(weight) } else { sum.wrapping_sub(weight) };
                }
            }
        }
        if sum == 0 { Ok(()) } else { Err(Invalid("a link that is not mutual")) }
    }

    /// Computes the distances of all links.
    fn measure_links(&mut self) {
        let mut distances = Vec::new();
        for node in 0..self.bound() as u32 {
            for layer in 0..=self.level(node) {
                let ids = self.links(node, layer).ids();
                distances.resize(ids.len(), 0.0);
                self.store.distances(&self.store.query(node), ids, &mut distances);
                let links = self.links_mut(node, layer);
                distances.iter().enumerate().for_each(|(at, &distance)| links.set_distance(at, distance));
            }
        }
    }
}
