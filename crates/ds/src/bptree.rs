//! Order-statistic B+ tree: the ordered half of a large sorted set.
//!
//! Items are pairs of a score and a handle, ordered by score, then by what the handle stands for. The tree does not own
//! members: a handle is any small `Copy` value (the address of a table entry, say), and whoever calls passes a
//! comparison of handles, which is asked only where scores are equal.
//!
//! ```text
//!             [ first, count, child | first, count, child | ... ]          inner nodes, up to 42 children
//!                  |                       |
//!      [ first, count, child | ... ]   [ ... ]
//!           |             |
//!       [ items ] <-> [ items ] <-> ...                                    leaves, up to 63 items, linked both ways
//! ```
//!
//! Invariants: an entry's `first` is the very first item below it and its `count` the number of items below it. Since
//! `first` is always an item of the tree, no node mentions a handle after its item was removed: the caller may free
//! what it stands for. All leaves are at the same depth. Unused slots of a node hold stale handles that nobody reads.
//!
//! Why this shape: a search for one of a million items touches four nodes instead of the twenty of a skiplist, rank is
//! a sum over a row of counts on the way, and an item costs 20 bytes instead of a node with towers. Numbers of nodes
//! instead of pointers keep all of it safe Rust.

mod edit;
mod node;

use node::{Arena, Inner, Leaf, NONE, Node};
use std::cmp::Ordering;
use std::ops::Range as RankRange;

/// A score and the handle of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<H> {
    /// The score; never NaN. The two zeros are equal.
    pub score: f64,
    /// What stands for the member.
    pub handle: H,
}

/// Most levels of inner nodes. None but the root ever has fewer than five children, so this many are out of reach.
const HEIGHT_MAX: usize = 16;

/// A place in a leaf and the way down to it.
struct Spot {
    /// Inner node and slot taken, from the root.
    steps: [(u32, u8); HEIGHT_MAX],
    height: usize,
    leaf: u32,
    at: usize,
}

impl Spot {
    fn new(height: usize) -> Spot {
        Spot { steps: [(NONE, 0); HEIGHT_MAX], height, leaf: NONE, at: 0 }
    }

    fn steps(&self) -> &[(u32, u8)] {
        &self.steps[..self.height]
    }
}

/// The tree. `H` is the handle: eight bytes, `Copy`.
pub struct BpTree<H> {
    leaves: Arena<Leaf<H>>,
    inners: Arena<Inner<H>>,
    /// A leaf if `height` is 0, else an inner node; NONE if the tree is empty.
    root: u32,
    /// Levels of inner nodes.
    height: usize,
    len: usize,
}

#[inline(always)]
fn order<H: Copy>(left: Item<H>, right: Item<H>, compare: &impl Fn(H, H) -> Ordering) -> Ordering {
    if left.score < right.score {
        Ordering::Less
    } else if left.score > right.score {
        Ordering::Greater
    } else {
        compare(left.handle, right.handle)
    }
}

impl<H: Copy> BpTree<H> {
    /// An empty tree; allocates nothing.
    pub const fn new() -> BpTree<H> {
        BpTree { leaves: Arena::new(), inners: Arena::new(), root: NONE, height: 0, len: 0 }
    }

    /// A tree of items that come in ascending order, leaves full. O(n), without a comparison.
    pub fn from_sorted(items: impl IntoIterator<Item = Item<H>>) -> BpTree<H> {
        let mut tree = BpTree::new();
        items.into_iter().for_each(|item| tree.push_last(item));
        tree
    }

    /// Appends an item that the caller knows to be greater than all. O(log n), without a comparison.
    pub fn push_last(&mut self, item: Item<H>) {
        let mut spot = self.seek_rank(self.len.saturating_sub(1));
        spot.at += usize::from(self.len > 0);
        self.insert_at(spot, item);
    }

    /// Number of items. O(1).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none. O(1).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated, this struct included. O(1).
    pub fn memory_bytes(&self) -> usize {
        size_of::<BpTree<H>>() + self.leaves.memory_bytes() + self.inners.memory_bytes()
    }

    // ---- search ----

    /// Way to the first item for which `before` does not hold; `at` is the leaf's length if it is the next leaf's first.
    fn seek(&self, before: impl Fn(Item<H>) -> bool) -> Spot {
        let mut spot = Spot::new(self.height);
        if self.root == NONE {
            return spot;
        }
        let mut node = self.root;
        for step in &mut spot.steps[..self.height] {
            let inner = &self.inners[node];
            let slot = inner.slot_for(&before);
            *step = (node, slot as u8);
            node = inner.child(slot);
        }
        spot.leaf = node;
        spot.at = self.leaves[node].partition(&before);
        spot
    }

    /// Way to the item of this rank, which exists unless the tree is empty.
    fn seek_rank(&self, rank: usize) -> Spot {
        let mut spot = Spot::new(self.height);
        let (mut node, mut rest) = (self.root, rank);
        for step in &mut spot.steps[..self.height] {
            let inner = &self.inners[node];
            let mut slot = 0;
            while let count = inner.counts()[slot] as usize
                && rest >= count
            {
                rest -= count;
                slot += 1;
            }
            *step = (node, slot as u8);
            node = inner.child(slot);
        }
        spot.leaf = node;
        spot.at = rest;
        spot
    }

    fn rank_of(&self, spot: &Spot) -> usize {
        let before = |&(node, slot): &(u32, u8)| {
            let counts = &self.inners[node].counts()[..slot as usize];
            counts.iter().map(|&count| count as usize).sum::<usize>()
        };
        spot.steps().iter().map(before).sum::<usize>() + spot.at
    }

    /// Way to `item` itself. Seeks the place behind it: the item is then right before, in the same leaf.
    fn locate(&self, item: Item<H>, compare: &impl Fn(H, H) -> Ordering) -> Option<Spot> {
        let mut spot = self.seek(|probe| order(probe, item, compare).is_le());
        spot.at = spot.at.checked_sub(1)?;
        let found = self.leaves[spot.leaf].item(spot.at);
        order(found, item, compare).is_eq().then_some(spot)
    }

    /// Number of items below `item`, that is its rank, or the rank it would get. O(log n).
    pub fn rank(&self, item: Item<H>, compare: impl Fn(H, H) -> Ordering) -> usize {
        self.partition_point(|probe| order(probe, item, &compare).is_lt())
    }

    /// Whether the tree holds `item`. O(log n).
    pub fn contains(&self, item: Item<H>, compare: impl Fn(H, H) -> Ordering) -> bool {
        self.locate(item, &compare).is_some()
    }

    /// Number of leading items for which `before` holds; it must hold for a prefix of the order. With a predicate on
    /// the score or on the member this gives the ranks at which a score or lex range starts and ends. O(log n).
    pub fn partition_point(&self, before: impl Fn(Item<H>) -> bool) -> usize {
        self.rank_of(&self.seek(before))
    }

    /// The item of this rank, 0 being the smallest. O(log n).
    pub fn by_rank(&self, rank: usize) -> Option<Item<H>> {
        if rank >= self.len {
            return None;
        }
        let spot = self.seek_rank(rank);
        Some(self.leaves[spot.leaf].item(spot.at))
    }

    /// The smallest item. O(log n).
    pub fn first(&self) -> Option<Item<H>> {
        self.by_rank(0)
    }

    /// The largest item. O(log n).
    pub fn last(&self) -> Option<Item<H>> {
        self.by_rank(self.len.checked_sub(1)?)
    }

    /// All items, from both ends.
    pub fn iter(&self) -> Range<'_, H> {
        self.range(0..self.len)
    }

    /// The items of these ranks, clamped to the tree, from both ends. O(log n) to start, O(1) a step.
    pub fn range(&self, ranks: RankRange<usize>) -> Range<'_, H> {
        let end = ranks.end.min(self.len);
        let mut range = Range { tree: self, front: None, front_at: 0, back: None, back_at: 0, left: 0 };
        if ranks.start < end {
            let (first, last) = (self.seek_rank(ranks.start), self.seek_rank(end - 1));
            range.front = Some(&self.leaves[first.leaf]);
            range.front_at = first.at;
            range.back = Some(&self.leaves[last.leaf]);
            range.back_at = last.at + 1;
            range.left = end - ranks.start;
        }
        range
    }

    /// Shows the items from the first one on for which `before` does not hold, in order, until `visit` returns false.
    /// O(log n) to start, O(1) a step: without the ranks that a [`BpTree::range`] needs.
    #[inline]
    pub fn visit_from(&self, before: impl Fn(Item<H>) -> bool, mut visit: impl FnMut(Item<H>) -> bool) {
        let spot = self.seek(before);
        let (mut leaf, mut at) = (spot.leaf, spot.at);
        while leaf != NONE {
            let items = &self.leaves[leaf];
            if !(at..items.len()).all(|at| visit(items.item(at))) {
                return;
            }
            (leaf, at) = (items.next, 0);
        }
    }

    // ---- changes ----

    /// Inserts an item that is not in the tree. O(log n).
    pub fn insert(&mut self, item: Item<H>, compare: impl Fn(H, H) -> Ordering) {
        debug_assert!(!item.score.is_nan(), "NaN has no place in an order");
        let spot = self.seek(|probe| order(probe, item, &compare).is_lt());
        self.insert_at(spot, item);
    }

    /// Removes an item; false if it was not there. Afterwards no node mentions its handle. O(log n).
    pub fn remove(&mut self, item: Item<H>, compare: impl Fn(H, H) -> Ordering) -> bool {
        let Some(spot) = self.locate(item, &compare) else { return false };
        self.remove_at(&spot, 1);
        true
    }

    /// Gives `item` another score, in place where the order stays the same; false if it was not there. O(log n).
    pub fn update_score(&mut self, item: Item<H>, score: f64, compare: impl Fn(H, H) -> Ordering) -> bool {
        let Some(spot) = self.locate(item, &compare) else { return false };
        let handle = self.leaves[spot.leaf].item(spot.at).handle;
        let updated = Item { score, handle };
        let (before, after) = self.around(&spot);
        let stays = before.is_none_or(|before| order(before, updated, &compare).is_lt())
            && after.is_none_or(|after| order(updated, after, &compare).is_lt());
        if !stays {
            self.remove_at(&spot, 1);
            self.insert(updated, compare);
            return true;
        }
        self.leaves[spot.leaf].set_score(spot.at, score);
        if spot.at == 0 {
            self.set_first(&spot, self.height, updated);
        }
        true
    }

    /// The items before and behind the one at the spot.
    fn around(&self, spot: &Spot) -> (Option<Item<H>>, Option<Item<H>>) {
        let leaf = &self.leaves[spot.leaf];
        let before = match spot.at.checked_sub(1) {
            Some(at) => Some(leaf.item(at)),
            None if leaf.prev == NONE => None,
            None => {
                let prev = &self.leaves[leaf.prev];
                Some(prev.item(prev.len() - 1))
            }
        };
        let after = match spot.at + 1 {
            at if at < leaf.len() => Some(leaf.item(at)),
            _ if leaf.next == NONE => None,
            _ => Some(self.leaves[leaf.next].item(0)),
        };
        (before, after)
    }

    /// Removes and returns the smallest item. O(log n).
    pub fn pop_first(&mut self) -> Option<Item<H>> {
        self.remove_rank(0)
    }

    /// Removes and returns the largest item. O(log n).
    pub fn pop_last(&mut self) -> Option<Item<H>> {
        self.remove_rank(self.len.checked_sub(1)?)
    }

    /// Removes and returns the item of this rank. O(log n).
    pub fn remove_rank(&mut self, rank: usize) -> Option<Item<H>> {
        let item = self.by_rank(rank)?;
        self.remove_at(&self.seek_rank(rank), 1);
        Some(item)
    }

    /// Removes the items of these ranks, clamped to the tree, and shows each to `on_removed`, in ascending order. The
    /// callback may free what the handle stands for. O(k + k/leaf log n).
    pub fn delete_range(&mut self, ranks: RankRange<usize>, mut on_removed: impl FnMut(Item<H>)) {
        let mut left = ranks.end.min(self.len).saturating_sub(ranks.start);
        while left > 0 {
            let spot = self.seek_rank(ranks.start);
            let leaf = &self.leaves[spot.leaf];
            let count = left.min(leaf.len() - spot.at);
            (spot.at..spot.at + count).for_each(|at| on_removed(leaf.item(at)));
            self.remove_at(&spot, count);
            left -= count;
        }
    }
}

impl<H: Copy> Default for BpTree<H> {
    fn default() -> Self {
        BpTree::new()
    }
}

impl<H: Copy + std::fmt::Debug> std::fmt::Debug for BpTree<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Items of a range of ranks, from both ends.
pub struct Range<'a, H> {
    tree: &'a BpTree<H>,
    front: Option<&'a Leaf<H>>,
    front_at: usize,
    back: Option<&'a Leaf<H>>,
    /// One behind the next item from the back.
    back_at: usize,
    left: usize,
}

// Not derived: that would ask for `H: Clone`, which nothing here needs.
impl<H> Clone for Range<'_, H> {
    fn clone(&self) -> Self {
        Range { ..*self }
    }
}

impl<H: Copy> Iterator for Range<'_, H> {
    type Item = Item<H>;

    #[inline]
    fn next(&mut self) -> Option<Item<H>> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.front?;
        if self.front_at == leaf.len() {
            leaf = &self.tree.leaves[leaf.next];
            self.front = Some(leaf);
            self.front_at = 0;
        }
        self.front_at += 1;
        Some(leaf.item(self.front_at - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<H: Copy> DoubleEndedIterator for Range<'_, H> {
    #[inline]
    fn next_back(&mut self) -> Option<Item<H>> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.back?;
        if self.back_at == 0 {
            leaf = &self.tree.leaves[leaf.prev];
            self.back = Some(leaf);
            self.back_at = leaf.len();
        }
        self.back_at -= 1;
        Some(leaf.item(self.back_at))
    }
}

impl<H: Copy> ExactSizeIterator for Range<'_, H> {}
impl<H: Copy> std::iter::FusedIterator for Range<'_, H> {}

#[cfg(test)]
mod tests;
