//! Insertion and removal: what happens to full and to thin nodes.
//!
//! A full leaf first hands items to a neighbour under the same parent that has room, and is split only if neither has;
//! that keeps random insertion at about 80 % full. A full leaf at either edge of the tree is not split but given a new
//! neighbour, so ascending and descending insertion fill leaves completely.

use super::node::{Entry, INNER_MAX, Inner, LEAF_MAX, Leaf, NONE, Node, balance};
use super::{BpTree, Item, Spot};

/// A neighbour takes items of a full leaf if it has room for this many; less would only put the split off.
const ROOM_MIN: usize = LEAF_MAX / 8;

/// A node with fewer elements is merged or evened out with a neighbour.
const fn thin(max: usize) -> usize {
    max / 3
}

/// Neighbours are merged up to this many elements, which leaves room for some insertions before the next split.
const fn merged_max(max: usize) -> usize {
    max * 7 / 8
}

impl<H: Copy> BpTree<H> {
    /// Inserts at a place found by a search.
    pub(super) fn insert_at(&mut self, spot: Spot, item: Item<H>) {
        self.len += 1;
        if self.root == NONE {
            let mut leaf = Leaf::new(item.handle);
            leaf.insert(0, item);
            self.root = self.leaves.add(leaf);
            return;
        }
        for &(node, slot) in spot.steps() {
            *self.inners[node].count_mut(slot as usize) += 1;
        }
        if self.leaves[spot.leaf].is_full() {
            self.insert_into_full(&spot, item);
        } else {
            self.put(&spot, spot.leaf, spot.at, item);
        }
    }

    /// Inserts into a leaf with room, which is the spot's or its right neighbour.
    fn put(&mut self, spot: &Spot, leaf: u32, at: usize, item: Item<H>) {
        self.leaves[leaf].insert(at, item);
        if at == 0 && leaf == spot.leaf {
            self.set_first(spot, self.height, item);
        }
    }

    fn insert_into_full(&mut self, spot: &Spot, item: Item<H>) {
        let leaf = &self.leaves[spot.leaf];
        let (first_of_all, last_of_all) = (leaf.prev == NONE && spot.at == 0, leaf.next == NONE && spot.at == LEAF_MAX);
        if last_of_all {
            self.add_leaf(spot, LEAF_MAX, LEAF_MAX, item);
        } else if first_of_all {
            // The new leaf takes the items, and the old one, at the edge, only the new item.
            self.add_leaf(spot, 0, 0, item);
        } else if !self.lend_left(spot, item) && !self.lend_right(spot, item) {
            self.add_leaf(spot, LEAF_MAX / 2, spot.at, item);
        }
    }

    /// Moves the full leaf's items from `keep` on to a new right neighbour, and inserts at `at`.
    fn add_leaf(&mut self, spot: &Spot, keep: usize, at: usize, item: Item<H>) {
        let next = self.leaves[spot.leaf].next;
        let mut right = Leaf::new(item.handle);
        (right.prev, right.next) = (spot.leaf, next);
        let added = self.leaves.add(right);
        self.leaves[spot.leaf].next = added;
        if next != NONE {
            self.leaves[next].prev = added;
        }
        let (left, right) = self.leaves.pair(spot.leaf, added);
        balance(left, right, keep);
        if at < LEAF_MAX && at <= keep {
            self.put(spot, spot.leaf, at, item);
        } else {
            self.put(spot, added, at - keep, item);
        }
        let (left_count, right) = (self.leaves[spot.leaf].len() as u32, &self.leaves[added]);
        let entry = Entry { first: right.item(0), child: added, count: right.len() as u32 };
        self.add_child(spot, self.height, left_count, entry);
    }

    fn lend_left(&mut self, spot: &Spot, item: Item<H>) -> bool {
        let Some(&(parent, slot)) = spot.steps().last().filter(|step| step.1 > 0) else { return false };
        let left = self.inners[parent].child(slot as usize - 1);
        let len = self.leaves[left].len();
        if len + ROOM_MIN > LEAF_MAX {
            return false;
        }
        let moved = (LEAF_MAX - len) / 2;
        let (left_leaf, leaf) = self.leaves.pair(left, spot.leaf);
        balance(left_leaf, leaf, len + moved);
        if spot.at <= moved {
            left_leaf.insert(len + spot.at, item);
        } else {
            leaf.insert(spot.at - moved, item);
        }
        self.refresh_leaves(parent, slot as usize);
        true
    }

    fn lend_right(&mut self, spot: &Spot, item: Item<H>) -> bool {
        let Some(&(parent, slot)) = spot.steps().last() else { return false };
        let slot = slot as usize;
        if slot + 1 == self.inners[parent].len() {
            return false;
        }
        let right = self.inners[parent].child(slot + 1);
        let len = self.leaves[right].len();
        if len + ROOM_MIN > LEAF_MAX {
            return false;
        }
        let kept = LEAF_MAX - (LEAF_MAX - len) / 2;
        let (leaf, right_leaf) = self.leaves.pair(spot.leaf, right);
        balance(leaf, right_leaf, kept);
        if spot.at <= kept {
            self.put(spot, spot.leaf, spot.at, item);
        } else {
            right_leaf.insert(spot.at - kept, item);
        }
        self.refresh_leaves(parent, slot + 1);
        true
    }

    /// Corrects what `parent` says about the leaves at `slot - 1` and `slot` after items moved between them.
    fn refresh_leaves(&mut self, parent: u32, slot: usize) {
        let inner = &mut self.inners[parent];
        let (left, right) = (&self.leaves[inner.child(slot - 1)], &self.leaves[inner.child(slot)]);
        *inner.count_mut(slot - 1) = left.len() as u32;
        *inner.count_mut(slot) = right.len() as u32;
        inner.set_first(slot, right.item(0));
    }

    /// Records that the first item below the node at `depth` of the path is now `item`.
    pub(super) fn set_first(&mut self, spot: &Spot, depth: usize, item: Item<H>) {
        for &(node, slot) in spot.steps()[..depth].iter().rev() {
            self.inners[node].set_first(slot as usize, item);
            if slot > 0 {
                break;
            }
        }
    }

    /// Adds `entry` behind the node at `depth` of the path, which keeps `left_count` items.
    fn add_child(&mut self, spot: &Spot, depth: usize, left_count: u32, entry: Entry<H>) {
        let Some(above) = depth.checked_sub(1) else {
            return self.add_root(left_count, entry);
        };
        let (node, slot) = spot.steps()[above];
        let at = slot as usize + 1;
        *self.inners[node].count_mut(slot as usize) = left_count;
        if self.inners[node].len() < INNER_MAX {
            return self.inners[node].insert(at, entry);
        }
        let keep = match at {
            INNER_MAX => INNER_MAX - INNER_MAX / 8,
            1 => INNER_MAX / 8,
            _ => INNER_MAX / 2,
        };
        let left = &mut self.inners[node];
        let mut right = left.split_off(keep);
        if at <= keep {
            left.insert(at, entry);
        } else {
            right.insert(at - keep, entry);
        }
        let left_count = left.total();
        let (first, count) = (right.first(0), right.total());
        let child = self.inners.add(right);
        self.add_child(spot, above, left_count, Entry { first, child, count });
    }

    fn add_root(&mut self, left_count: u32, entry: Entry<H>) {
        let first = if self.height == 0 { self.leaves[self.root].item(0) } else { self.inners[self.root].first(0) };
        let left = Entry { first, child: self.root, count: left_count };
        self.root = self.inners.add(Inner::new(&[left, entry]));
        self.height += 1;
    }

    /// Removes `count` items of one leaf, the first of them at the spot.
    pub(super) fn remove_at(&mut self, spot: &Spot, count: usize) {
        self.len -= count;
        for &(node, slot) in spot.steps() {
            *self.inners[node].count_mut(slot as usize) -= count as u32;
        }
        let leaf = &mut self.leaves[spot.leaf];
        leaf.remove(spot.at, count);
        if leaf.len() == 0 {
            self.drop_leaf(spot.leaf);
            return self.remove_child(spot, self.height, None);
        }
        if spot.at == 0 {
            let first = leaf.item(0);
            self.set_first(spot, self.height, first);
        }
        if self.leaves[spot.leaf].len() < thin(LEAF_MAX) && self.height > 0 {
            self.even_out_leaf(spot);
        }
    }

    fn drop_leaf(&mut self, id: u32) {
        let (prev, next) = (self.leaves[id].prev, self.leaves[id].next);
        if prev != NONE {
            self.leaves[prev].next = next;
        }
        if next != NONE {
            self.leaves[next].prev = prev;
        }
        self.leaves.free(id);
    }

    /// The slots of the node at `slot` and of a neighbour, left one first, and the numbers of both.
    fn neighbours(&self, parent: u32, slot: usize) -> Option<(usize, u32, u32)> {
        let inner = &self.inners[parent];
        let right = if slot > 0 { slot } else { 1 };
        (right < inner.len()).then(|| (right, inner.child(right - 1), inner.child(right)))
    }

    fn even_out_leaf(&mut self, spot: &Spot) {
        let (parent, slot) = spot.steps()[self.height - 1];
        let Some((right_slot, left, right)) = self.neighbours(parent, slot as usize) else { return };
        let merged = even_out(self.leaves.pair(left, right));
        if merged {
            *self.inners[parent].count_mut(right_slot - 1) = self.leaves[left].len() as u32;
            self.drop_leaf(right);
            self.remove_child(spot, self.height, Some(right_slot));
        } else {
            self.refresh_leaves(parent, right_slot);
        }
    }

    /// Takes the node at `depth` of the path, or the one at `slot` beside it, out of its parent, and sees to a parent
    /// that has become thin. The items below are gone, or counted elsewhere already.
    fn remove_child(&mut self, spot: &Spot, depth: usize, slot: Option<usize>) {
        let Some(above) = depth.checked_sub(1) else {
            self.root = NONE;
            self.height = 0;
            return;
        };
        let (node, path_slot) = spot.steps()[above];
        let slot = slot.unwrap_or(path_slot as usize);
        let inner = &mut self.inners[node];
        inner.remove(slot, 1);
        if inner.len() == 0 {
            self.inners.free(node);
            return self.remove_child(spot, above, None);
        }
        if slot == 0 {
            let first = inner.first(0);
            self.set_first(spot, above, first);
        }
        if above == 0 {
            self.lower_root();
        } else if self.inners[node].len() < thin(INNER_MAX) {
            self.even_out_inner(spot, above);
        }
    }

    /// A root with one child gives way to it.
    fn lower_root(&mut self) {
        while self.height > 0 && self.inners[self.root].len() == 1 {
            let child = self.inners[self.root].child(0);
            self.inners.free(self.root);
            self.root = child;
            self.height -= 1;
        }
    }

    fn even_out_inner(&mut self, spot: &Spot, depth: usize) {
        let (parent, slot) = spot.steps()[depth - 1];
        let Some((right_slot, left, right)) = self.neighbours(parent, slot as usize) else { return };
        let merged = even_out(self.inners.pair(left, right));
        *self.inners[parent].count_mut(right_slot - 1) = self.inners[left].total();
        if merged {
            self.inners.free(right);
            self.remove_child(spot, depth, Some(right_slot));
        } else {
            let (first, count) = (self.inners[right].first(0), self.inners[right].total());
            self.inners[parent].set_first(right_slot, first);
            *self.inners[parent].count_mut(right_slot) = count;
        }
    }
}

/// Merges the right node into the left one if there is room (true), or gives each half.
fn even_out<N: Node>((left, right): (&mut N, &mut N)) -> bool {
    let total = left.len() + right.len();
    let merge = total <= merged_max(N::MAX);
    balance(left, right, if merge { total } else { total / 2 });
    merge
}
