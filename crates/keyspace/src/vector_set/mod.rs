//! Vector sets: elements with vectors and attributes, over an index of their directions ([`kinovar_ds::hnsw`]).
//!
//! An element is a *node* of the index. Its name and attributes stand beside it under the node's number; a table finds the number by
//! the name. Vectors may be [projected](Projection) to fewer dimensions before they are stored.

mod projection;
#[cfg(test)]
mod tests;

pub use kinovar_ds::hnsw::{self, Found, Hnsw, Prepared, Quantization};
pub use projection::Projection;

use fastrand::Rng;
use kinovar_ds::hash;
use kinovar_ds::paged::Paged;
use kinovar_ds::table::{Indexed, Slot, Table};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Components that a vector may have.
pub const DIM_MAX: usize = 1 << 16;

/// A set of elements with vectors.
pub struct VectorSet {
    index: Hnsw,
    /// By the numbers of their nodes.
    elements: Paged<Option<Element>>,
    by_name: Table<Indexed>,
    projection: Option<Projection>,
    /// Elements with attributes.
    attributes: usize,
    id: u64,
}

/// A number for an index to make its levels of.
pub fn seed() -> u64 {
    fastrand::u64(..)
}

/// What belongs to an element beside its vector.
#[derive(Clone, Debug)]
struct Element {
    name: Box<[u8]>,
    /// May be empty.
    attributes: Option<Box<[u8]>>,
}

impl std::fmt::Debug for VectorSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorSet")
            .field("index", &self.index)
            .field("elements", &self.elements)
            .finish_non_exhaustive()
    }
}

/// Tells vector sets apart, as long as the process runs.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl VectorSet {
    /// A set without elements for vectors of `dim` components, after their projection if there is one.
    pub fn new(dim: usize, quantization: Quantization, m: usize, projection: Option<Projection>) -> VectorSet {
        VectorSet::of(Hnsw::new(dim, quantization, m, seed()), projection)
    }

    /// A set over an index, whose nodes are to be [named](VectorSet::name_node).
    pub fn of(index: Hnsw, projection: Option<Projection>) -> VectorSet {
        VectorSet {
            index,
            elements: Paged::default(),
            by_name: Table::new(),
            projection,
            attributes: 0,
            id: NEXT_ID.fetch_add(1, Relaxed),
        }
    }

    /// Number of elements. O(1).
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The index.
    pub fn index(&self) -> &Hnsw {
        &self.index
    }

    /// How vectors are projected.
    pub fn projection(&self) -> Option<&Projection> {
        self.projection.as_ref()
    }

    /// Elements with attributes.
    pub fn attributes_count(&self) -> usize {
        self.attributes
    }

    /// What tells the set from others of this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The node of an element. Expected O(1).
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.find_hashed(Indexed::spread(hash::hash(name)), name)
    }

    fn find_hashed(&self, spread: u64, name: &[u8]) -> Option<u32> {
        self.by_name.find(spread, |slot| self.name(slot.index()) == name).map(|slot| slot.index())
    }

    /// The name of a node's element.
    pub fn name(&self, node: u32) -> &[u8] {
        self.element(node).map_or(&[], |element| &element.name)
    }

    /// The attributes of a node's element.
    pub fn attributes(&self, node: u32) -> Option<&[u8]> {
        self.element(node)?.attributes.as_deref()
    }

    fn element(&self, node: u32) -> Option<&Element> {
        self.elements.get(node as usize)?.as_ref()
    }

    /// A vector in the dimension of the set, projected if it has another one and is the input of the projection.
    pub fn project<'v>(&self, vector: &'v [f32]) -> Cow<'v, [f32]> {
        match &self.projection {
            Some(projection) if projection.input_dim() == vector.len() => Cow::Owned(projection.apply(vector)),
            _ => Cow::Borrowed(vector),
        }
    }

    /// Adds an element, or gives it another vector; whether it is new. `attributes` are set if there are any, and removed from an
    /// element that is there if they are empty. O(`ef` m) distances.
    pub fn add(&mut self, name: &[u8], vector: &[f32], ef: usize, attributes: Option<&[u8]>) -> bool {
        let prepared = self.index.prepare(vector);
        let Some(node) = self.find(name) else {
            let node = self.index.insert(&prepared, ef);
            self.put(node, name.into(), attributes.map(Box::from));
            return true;
        };
        self.index.remove(node);
        let again = self.index.insert(&prepared, ef);
        // The index uses the number next that was given back last.
        assert_eq!(node, again, "the element keeps its number");
        if let Some(attributes) = attributes {
            self.set_attributes(node, attributes);
        }
        false
    }

    /// Names a node of the index that has no element yet; false if another one has this name.
    pub fn name_node(&mut self, node: u32, name: Box<[u8]>, attributes: Option<Box<[u8]>>) -> bool {
        let is_new = self.find(&name).is_none() && self.element(node).is_none();
        if is_new {
            self.put(node, name, attributes);
        }
        is_new
    }

    fn put(&mut self, node: u32, name: Box<[u8]>, attributes: Option<Box<[u8]>>) {
        let slot = Indexed::new(hash::hash(&name), node);
        while self.elements.len() <= node as usize {
            self.elements.push(None);
        }
        self.attributes += usize::from(attributes.is_some());
        self.elements[node as usize] = Some(Element { name, attributes });
        self.by_name.insert_unique(slot.hash(), slot);
    }

    /// Sets the attributes of an element, or removes them by empty ones.
    pub fn set_attributes(&mut self, node: u32, attributes: &[u8]) {
        let Some(element) = &mut self.elements[node as usize] else { return };
        self.attributes -= usize::from(element.attributes.is_some());
        element.attributes = (!attributes.is_empty()).then(|| attributes.into());
        self.attributes += usize::from(element.attributes.is_some());
    }

    /// Removes an element; whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let spread = Indexed::spread(hash::hash(name));
        let Some(node) = self.find_hashed(spread, name) else { return false };
        self.by_name.remove(spread, |slot| slot.index() == node);
        self.index.remove(node);
        let element = self.elements[node as usize].take();
        self.attributes -= usize::from(element.is_some_and(|element| element.attributes.is_some()));
        true
    }

    /// The nodes from a number on, in ascending order.
    pub fn nodes_from(&self, node: u32) -> impl Iterator<Item = u32> {
        (node..self.index.bound() as u32).filter(|&node| self.index.has(node))
    }

    /// The node of an element chosen by chance. Expected O(1).
    pub fn random(&self, rng: &mut Rng) -> Option<u32> {
        self.by_name.random(|| rng.u64(..)).map(|slot| slot.index())
    }

    /// The nodes of `count` different elements chosen by chance, or of all if there are no more. O(count), or O(n) where they are a
    /// large part.
    pub fn sample(&self, count: usize, rng: &mut Rng) -> Vec<u32> {
        /// Wanting more than one in three, it is cheaper to pass over all of them.
        const DENSE_FACTOR: usize = 3;
        if count.saturating_mul(DENSE_FACTOR) <= self.len() {
            let (mut seen, mut chosen) = (std::collections::HashSet::new(), Vec::with_capacity(count));
            while chosen.len() < count {
                let node = self.random(rng).expect("there are more than are wanted");
                if seen.insert(node) {
                    chosen.push(node);
                }
            }
            return chosen;
        }
        let mut nodes: Vec<u32> = self.nodes_from(0).collect();
        let count = count.min(nodes.len());
        for at in 0..count {
            let other = rng.usize(at..nodes.len());
            nodes.swap(at, other);
        }
        nodes.truncate(count);
        nodes
    }

    /// About how many allocations freeing it takes.
    pub fn free_effort(&self) -> usize {
        3 * self.len() + 1
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> VectorSet {
        let mut copy = VectorSet::of(self.index.clone(), self.projection.clone());
        for node in self.nodes_from(0) {
            copy.put(node, self.name(node).into(), self.attributes(node).map(Box::from));
        }
        copy
    }

    /// Bytes it holds; `samples` elements are looked at (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let size = kinovar_ds::entry::size_class;
        let of_element =
            |node: u32| size(self.name(node).len()) + self.attributes(node).map_or(0, |text| size(text.len()));
        let looked_at = if samples == 0 { usize::MAX } else { samples };
        let (mut count, mut texts) = (0usize, 0usize);
        for node in self.nodes_from(0).take(looked_at) {
            count += 1;
            texts += of_element(node);
        }
        let texts = if count == 0 { 0 } else { (texts as u128 * self.len() as u128 / count as u128) as usize };
        let projection = self.projection.as_ref().map_or(0, Projection::memory_bytes);
        size(size_of::<VectorSet>())
            + self.index.memory_bytes(samples)
            + self.elements.memory_bytes()
            + self.by_name.memory_bytes()
            + projection
            + texts
    }
}
