//! Nodes of the tree and the arena they live in. Everything here is arrays and lengths; no node knows its parent.

use super::Item;

/// Items of a leaf: with the links, exactly 1 KiB of eight-byte handles.
pub(super) const LEAF_MAX: usize = 63;
/// Children of an inner node: 1 KiB as well.
pub(super) const INNER_MAX: usize = 42;
/// "No such node."
pub(super) const NONE: u32 = u32::MAX;

const _: () = assert!(size_of::<Leaf<u64>>() == 1024);
const _: () = assert!(size_of::<Inner<u64>>() <= 1024);

/// A leaf: scores and handles apart, so that a search reads half the cache lines.
pub(super) struct Leaf<H> {
    scores: [f64; LEAF_MAX],
    handles: [H; LEAF_MAX],
    len: u32,
    pub(super) prev: u32,
    pub(super) next: u32,
}

/// One child as its parent sees it.
#[derive(Clone, Copy)]
pub(super) struct Entry<H> {
    /// The first item below; it is in the tree, never one that was removed.
    pub(super) first: Item<H>,
    pub(super) child: u32,
    /// Items below.
    pub(super) count: u32,
}

/// An inner node: its entries, field by field.
pub(super) struct Inner<H> {
    scores: [f64; INNER_MAX],
    handles: [H; INNER_MAX],
    children: [u32; INNER_MAX],
    counts: [u32; INNER_MAX],
    len: u32,
}

/// What leaves and inner nodes have in common: a short array to cut and paste.
pub(super) trait Node: Sized {
    /// Most elements.
    const MAX: usize;

    fn len(&self) -> usize;

    /// Removes `count` elements from `at` on.
    fn remove(&mut self, at: usize, count: usize);

    /// Inserts a copy of `from`'s elements `start..end` at `at`.
    fn paste(&mut self, at: usize, from: &Self, start: usize, end: usize);
}

/// Moves elements between neighbours until the left one has `left_len`.
pub(super) fn balance<N: Node>(left: &mut N, right: &mut N, left_len: usize) {
    let len = left.len();
    if len < left_len {
        let moved = left_len - len;
        left.paste(len, right, 0, moved);
        right.remove(0, moved);
    } else {
        right.paste(0, left, left_len, len);
        left.remove(left_len, len - left_len);
    }
}

/// Opens a gap at `at` in the first `len` elements and fills it.
fn open<T: Copy>(array: &mut [T], len: usize, at: usize, values: &[T]) {
    array.copy_within(at..len, at + values.len());
    array[at..at + values.len()].copy_from_slice(values);
}

fn close<T: Copy>(array: &mut [T], len: usize, at: usize, count: usize) {
    array.copy_within(at + count..len, at);
}

/// Number of leading items for which `before` holds.
#[inline]
fn partition<H: Copy>(scores: &[f64], handles: &[H], before: &impl Fn(Item<H>) -> bool) -> usize {
    let (mut low, mut high) = (0, scores.len().min(handles.len()));
    while low < high {
        let middle = (low + high) / 2;
        if before(Item { score: scores[middle], handle: handles[middle] }) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

impl<H: Copy> Leaf<H> {
    /// A leaf without items; `filler` stands in the unused slots, which nothing reads.
    pub(super) fn new(filler: H) -> Leaf<H> {
        Leaf { scores: [0.0; LEAF_MAX], handles: [filler; LEAF_MAX], len: 0, prev: NONE, next: NONE }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == LEAF_MAX
    }

    #[inline]
    pub(super) fn item(&self, at: usize) -> Item<H> {
        Item { score: self.scores[at], handle: self.handles[at] }
    }

    pub(super) fn insert(&mut self, at: usize, item: Item<H>) {
        let len = self.len();
        open(&mut self.scores, len, at, &[item.score]);
        open(&mut self.handles, len, at, &[item.handle]);
        self.len += 1;
    }

    pub(super) fn set_score(&mut self, at: usize, score: f64) {
        self.scores[at] = score;
    }

    pub(super) fn partition(&self, before: &impl Fn(Item<H>) -> bool) -> usize {
        partition(&self.scores[..self.len()], &self.handles, before)
    }
}

impl<H: Copy> Node for Leaf<H> {
    const MAX: usize = LEAF_MAX;

    #[inline]
    fn len(&self) -> usize {
        self.len as usize
    }

    fn remove(&mut self, at: usize, count: usize) {
        let len = self.len();
        close(&mut self.scores, len, at, count);
        close(&mut self.handles, len, at, count);
        self.len -= count as u32;
    }

    fn paste(&mut self, at: usize, from: &Self, start: usize, end: usize) {
        let len = self.len();
        open(&mut self.scores, len, at, &from.scores[start..end]);
        open(&mut self.handles, len, at, &from.handles[start..end]);
        self.len += (end - start) as u32;
    }
}

impl<H: Copy> Inner<H> {
    /// A node of these children, at most [`INNER_MAX`], at least one.
    pub(super) fn new(entries: &[Entry<H>]) -> Inner<H> {
        let mut inner = Inner {
            scores: [0.0; INNER_MAX],
            handles: [entries[0].first.handle; INNER_MAX],
            children: [NONE; INNER_MAX],
            counts: [0; INNER_MAX],
            len: 0,
        };
        entries.iter().enumerate().for_each(|(at, entry)| inner.insert(at, *entry));
        inner
    }

    pub(super) fn insert(&mut self, at: usize, entry: Entry<H>) {
        let len = self.len();
        open(&mut self.scores, len, at, &[entry.first.score]);
        open(&mut self.handles, len, at, &[entry.first.handle]);
        open(&mut self.children, len, at, &[entry.child]);
        open(&mut self.counts, len, at, &[entry.count]);
        self.len += 1;
    }

    /// The upper part from `at` on, as a node of its own.
    pub(super) fn split_off(&mut self, at: usize) -> Inner<H> {
        let len = self.len();
        let mut right = Inner { len: 0, ..*self };
        right.paste(0, self, at, len);
        self.remove(at, len - at);
        right
    }

    #[inline]
    pub(super) fn child(&self, slot: usize) -> u32 {
        self.children[slot]
    }

    pub(super) fn first(&self, slot: usize) -> Item<H> {
        Item { score: self.scores[slot], handle: self.handles[slot] }
    }

    pub(super) fn set_first(&mut self, slot: usize, item: Item<H>) {
        self.scores[slot] = item.score;
        self.handles[slot] = item.handle;
    }

    pub(super) fn counts(&self) -> &[u32] {
        &self.counts[..self.len()]
    }

    pub(super) fn count_mut(&mut self, slot: usize) -> &mut u32 {
        &mut self.counts[slot]
    }

    /// Items below all children together.
    pub(super) fn total(&self) -> u32 {
        self.counts().iter().sum()
    }

    /// The last child whose first item is before the place sought, or the first child.
    pub(super) fn slot_for(&self, before: &impl Fn(Item<H>) -> bool) -> usize {
        partition(&self.scores[1..self.len()], &self.handles[1..], before)
    }
}

impl<H: Copy> Node for Inner<H> {
    const MAX: usize = INNER_MAX;

    #[inline]
    fn len(&self) -> usize {
        self.len as usize
    }

    fn remove(&mut self, at: usize, count: usize) {
        let len = self.len();
        close(&mut self.scores, len, at, count);
        close(&mut self.handles, len, at, count);
        close(&mut self.children, len, at, count);
        close(&mut self.counts, len, at, count);
        self.len -= count as u32;
    }

    fn paste(&mut self, at: usize, from: &Self, start: usize, end: usize) {
        let len = self.len();
        open(&mut self.scores, len, at, &from.scores[start..end]);
        open(&mut self.handles, len, at, &from.handles[start..end]);
        open(&mut self.children, len, at, &from.children[start..end]);
        open(&mut self.counts, len, at, &from.counts[start..end]);
        self.len += (end - start) as u32;
    }
}

/// Nodes by number. A node is one allocation and never moves; what grows is a table of pointers, 160 KB for a million
/// items, and a freed node's memory goes back at once.
pub(super) struct Arena<N> {
    slots: Vec<Option<Box<N>>>,
    free: Vec<u32>,
}

impl<N> Arena<N> {
    pub(super) const fn new() -> Arena<N> {
        Arena { slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn add(&mut self, node: N) -> u32 {
        let node = Some(Box::new(node));
        if let Some(id) = self.free.pop() {
            self.slots[id as usize] = node;
            return id;
        }
        self.slots.push(node);
        u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 nodes fit into memory")
    }

    pub(super) fn free(&mut self, id: u32) {
        self.slots[id as usize] = None;
        self.free.push(id);
    }

    /// Both of two different nodes.
    pub(super) fn pair(&mut self, left: u32, right: u32) -> (&mut N, &mut N) {
        let [left, right] =
            self.slots.get_disjoint_mut([left as usize, right as usize]).expect("two nodes of the arena");
        (left.as_mut().expect(IN_USE), right.as_mut().expect(IN_USE))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let nodes = (self.slots.len() - self.free.len()) * size_of::<N>();
        nodes + self.slots.capacity() * size_of::<Option<Box<N>>>() + self.free.capacity() * size_of::<u32>()
    }
}

const IN_USE: &str = "the tree holds numbers of nodes in use only";

impl<N> std::ops::Index<u32> for Arena<N> {
    type Output = N;

    #[inline]
    fn index(&self, id: u32) -> &N {
        self.slots[id as usize].as_ref().expect(IN_USE)
    }
}

impl<N> std::ops::IndexMut<u32> for Arena<N> {
    #[inline]
    fn index_mut(&mut self, id: u32) -> &mut N {
        self.slots[id as usize].as_mut().expect(IN_USE)
    }
}
