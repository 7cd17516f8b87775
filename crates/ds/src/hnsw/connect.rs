//! Which nodes are linked.
//!
//! Links are mutual: a new node is linked to one that is full only if that one gives another link up, whose other end must be able
//! to do without. A new node is linked in up to three passes over its candidates, the nearest first, each less choosy:
//!
//! 1. *Spread.* A candidate that is nearer to a neighbour chosen before than to the new node is passed over: a search that comes
//!    to that neighbour finds it from there. So links lead in different directions.
//! 2. *Near*, if there are fewer than half of the links that there should be: whatever is near.
//! 3. *At any price*, if there are fewer than a quarter of `m`: candidates that are full get room for one link more.

use super::Hnsw;
use super::search::{Near, Scratch};

/// How choosy a pass is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Spread,
    Near,
    AnyPrice,
}

/// So many others are looked at to find one for a node: all of them, unless nodes have very many links.
const PAIRS_MAX: usize = 128;
/// Nodes looked at to give a node links that lost one of its own.
const EF_REPAIR: usize = 200;

impl Hnsw {
    /// Links a node on a layer to some of `candidates`, which are in order.
    pub(super) fn connect(&mut self, node: u32, candidates: &[Near], layer: usize) {
        // On layer 0, where a node may have twice as many links, it pays to begin with a few more: measured.
        let wanted = if layer == 0 { self.m * 3 / 2 } else { self.m };
        self.pass(node, candidates, layer, wanted, Pass::Spread);
        if layer == 0 && self.links(node, layer).len() < wanted / 2 {
            self.pass(node, candidates, layer, wanted / 2, Pass::Near);
        }
        // On the upper layers as well a node must have a link, or nothing leads away from it.
        let least = if layer == 0 { (self.m / 4).max(1) } else { 1 };
        if self.links(node, layer).len() < least {
            self.pass(node, candidates, layer, least, Pass::AnyPrice);
        }
    }

    fn pass(&mut self, node: u32, candidates: &[Near], layer: usize, wanted: usize, pass: Pass) {
        let mut left: Vec<Near> = candidates.iter().copied().filter(|near| near.node() != node).collect();
        if pass != Pass::Spread {
            let links = self.links(node, layer);
            left.retain(|near| !links.has(near.node()));
        }
        let (mut ids, mut distances) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < left.len() && self.links(node, layer).len() < wanted {
            let near = left[at];
            at += 1;
            if !self.try_link(node, near, layer, pass) || pass != Pass::Spread {
                continue;
            }
            // Those that are nearer to this one than to the node are not needed any more.
            ids.clear();
            ids.extend(left[at..].iter().map(|other| other.node()));
            distances.resize(ids.len(), 0.0);
            self.store.distances(&self.store.query(near.node()), &ids, &mut distances);
            let mut kept = at;
            for (other, &distance) in (at..left.len()).zip(&distances) {
                let candidate = left[other];
                if distance >= candidate.distance() {
                    left[kept] = candidate;
                    kept += 1;
                }
            }
            left.truncate(kept);
        }
    }

    /// Links a node with a candidate, if that has room or can make some.
    fn try_link(&mut self, node: u32, near: Near, layer: usize, pass: Pass) -> bool {
        let other = near.node();
        if self.links(node, layer).len() >= super::LINKS_MAX {
            return false;
        }
        if self.links(other, layer).is_full() {
            match self.dispensable(other, near.distance(), layer, pass) {
                Some(victim) => self.unlink(other, victim, layer),
                None => {
                    let limit = if layer == 0 { 3 * self.m } else { 2 * self.m };
                    if pass != Pass::AnyPrice || self.links(other, layer).len() >= limit {
                        return false;
                    }
                }
            }
        }
        self.links_mut(other, layer).push(node, near.distance());
        self.links_mut(node, layer).push(other, near.distance());
        true
    }

    /// The farthest neighbour of a node that can do without this link: for a new neighbour at `distance`.
    fn dispensable(&self, node: u32, distance: f32, layer: usize, pass: Pass) -> Option<u32> {
        // Whoever has no more than so many links keeps them.
        let keeps = if pass == Pass::Spread { self.m / 2 } else { self.m / 4 };
        let may_go = |&(id, far): &(u32, f32)| {
            (pass != Pass::Spread || far > distance) && self.links(id, layer).len() > keeps.max(1)
        };
        let candidates = self.links(node, layer).iter().filter(may_go);
        candidates.max_by(|a, b| Near::new(a.1, a.0).cmp(&Near::new(b.1, b.0))).map(|(id, _)| id)
    }

    fn unlink(&mut self, a: u32, b: u32, layer: usize) {
        let both = self.links_mut(a, layer).remove(b) & self.links_mut(b, layer).remove(a);
        debug_assert!(both, "links are mutual");
    }

    /// Takes a node out of the graph: its neighbours lose their links to it. Who they were, layer by layer.
    pub(super) fn isolate(&mut self, node: u32) -> Vec<Vec<u32>> {
        let layers: Vec<Vec<u32>> =
            (0..=self.level(node)).map(|layer| self.links(node, layer).ids().to_vec()).collect();
        for (layer, neighbours) in layers.iter().enumerate() {
            neighbours.iter().for_each(|&other| self.unlink(node, other, layer));
        }
        layers
    }

    /// Gives those that lost a neighbour another one: each other, the nearest pairs first, and who is left over and has few links
    /// somebody found by searching.
    pub(super) fn reconnect(&mut self, orphans: &[u32], layer: usize) {
        let mut pairs = Vec::new();
        let mut distances = Vec::new();
        for (at, &orphan) in orphans.iter().enumerate() {
            let others = &orphans[at + 1..];
            let others = &others[..others.len().min(PAIRS_MAX)];
            distances.resize(others.len(), 0.0);
            self.store.distances(&self.store.query(orphan), others, &mut distances);
            let links = self.links(orphan, layer);
            let fresh = others.iter().enumerate().filter(|(_, other)| !links.has(**other));
            pairs.extend(fresh.map(|(other, _)| (Near::new(distances[other], 0), at, at + 1 + other)));
        }
        pairs.sort_unstable();
        let mut is_served = vec![false; orphans.len()];
        for (near, a, b) in pairs {
            let is_full = |at: usize| self.links(orphans[at], layer).is_full();
            if is_served[a] || is_served[b] || is_full(a) || is_full(b) {
                continue;
            }
            self.links_mut(orphans[a], layer).push(orphans[b], near.distance());
            self.links_mut(orphans[b], layer).push(orphans[a], near.distance());
            (is_served[a], is_served[b]) = (true, true);
        }
        for (&orphan, is_served) in orphans.iter().zip(is_served) {
            if !is_served && self.links(orphan, layer).len() < (self.m / 2).max(1) {
                self.repair(orphan, layer);
            }
        }
    }

    /// Gives a node one link more, to one of those that a search from the top finds.
    fn repair(&mut self, node: u32, layer: usize) {
        let Some(entry) = self.entry else { return };
        let candidates = Scratch::with(|scratch| {
            let query = self.store.query(node);
            let starts = self.descend(&query, entry, layer, scratch);
            self.search_layer(&query, &starts, EF_REPAIR, layer, scratch)
        });
        let wanted = self.links(node, layer).len() + 1;
        self.pass(node, &candidates, layer, wanted, Pass::Near);
        if self.links(node, layer).len() < wanted.min((self.m / 4).max(1)) {
            self.pass(node, &candidates, layer, wanted, Pass::AnyPrice);
        }
    }
}
