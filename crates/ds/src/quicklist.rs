//! Quicklist: a long list as a row of listpacks, each up to a few kilobytes, split and merged by the rules of Redis 8.2,
//! so that `DUMP`, RDB files and `DEBUG OBJECT` show the same nodes for the same history of commands.
//!
//! - A node is *packed* (a listpack) or *plain* (one element too large for a listpack of the list's fill).
//! - `fill` < 0 bounds a node's bytes (-1 … -5: 4, 8, 16, 32, 64 KiB); `fill` >= 0 bounds its elements, and its bytes by
//!   8 KiB. It is fixed when the list is created, as in Redis.
//! - Deleting never merges nodes; splitting a full node, and replacing by a plain element, do.
//! - Invariants: no node is empty; `len` is the sum of the nodes' counts; a plain node counts one.
//!
//! The nodes stand in a ring buffer: O(1) at both ends, and finding an index walks 24-byte records of counts (2,300 of
//! them for a million small elements at the default fill), not the elements. A node that `list-compress-depth` lets be
//! compressed would be a third variant of [`Node`].

use crate::listpack::{self, Item, Listpack, Needle};
use std::collections::VecDeque;
use std::ops::Range as IndexRange;

/// Most bytes of a node whose `fill` counts elements.
const COUNTED_BYTES_MAX: usize = 8192;
/// What an entry's head and back length are taken to add before it is encoded. A guess, but one that decides where nodes
/// begin, hence part of the behaviour.
const ENTRY_OVERHEAD: usize = 8;
/// Bytes of a listpack that a merge saves: one header and one end mark.
const MERGE_SAVES: usize = 7;

mod threshold;
pub use threshold::set_packed_threshold;

/// One node of a quicklist, as RDB stores it.
#[derive(Clone, Debug)]
enum Node {
    Packed(Listpack),
    Plain(Box<[u8]>),
}

const _: () = assert!(size_of::<Node>() <= 24);

/// A node seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRef<'a> {
    /// Elements in a listpack.
    Packed(&'a Listpack),
    /// One large element.
    Plain(&'a [u8]),
}

impl Node {
    fn count(&self) -> usize {
        match self {
            Node::Packed(list) => list.len(),
            Node::Plain(_) => 1,
        }
    }

    fn bytes_len(&self) -> usize {
        match self {
            Node::Packed(list) => list.bytes_len(),
            Node::Plain(bytes) => bytes.len(),
        }
    }

    fn item(&self, offset: usize) -> Option<Item<'_>> {
        match self {
            Node::Packed(list) => list.seek(offset as i64).map(|pos| list.get(pos)),
            Node::Plain(bytes) => (offset == 0).then_some(Item::Str(bytes)),
        }
    }

    /// The listpack. Panics on a plain node: callers have asked [`Limits::admits`] or looked.
    fn packed_mut(&mut self) -> &mut Listpack {
        match self {
            Node::Packed(list) => list,
            Node::Plain(_) => panic!("a plain node holds one element"),
        }
    }

    fn iter(&self) -> NodeIter<'_> {
        match self {
            Node::Packed(list) => NodeIter::Packed(list.iter()),
            Node::Plain(bytes) => NodeIter::Plain(Some(bytes)),
        }
    }

    /// Elements from the `offset`-th on.
    fn iter_from(&self, offset: usize) -> NodeIter<'_> {
        match self {
            Node::Packed(list) => {
                let pos = list.seek(offset as i64).unwrap_or(list.end());
                NodeIter::Packed(list.iter_from(pos))
            }
            Node::Plain(bytes) => NodeIter::Plain((offset == 0).then_some(bytes)),
        }
    }

    /// The first `count` elements.
    fn iter_to(&self, count: usize) -> NodeIter<'_> {
        match self {
            Node::Packed(list) => {
                let pos = list.seek(count as i64).unwrap_or(list.end());
                NodeIter::Packed(list.iter_to(pos))
            }
            Node::Plain(bytes) => NodeIter::Plain((count > 0).then_some(bytes)),
        }
    }
}

/// When a node is full and an element is large.
#[derive(Clone, Copy)]
struct Limits {
    fill: i16,
}

impl Limits {
    fn bytes_max(self) -> usize {
        match self.fill {
            0.. => COUNTED_BYTES_MAX,
            -1 => 4 << 10,
            -2 => 8 << 10,
            -3 => 16 << 10,
            -4 => 32 << 10,
            _ => 64 << 10,
        }
    }

    fn exceeded_by(self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes_max() || (self.fill >= 0 && count > self.fill.max(1) as usize)
    }

    fn is_large(self, value_len: usize) -> bool {
        match threshold::packed_threshold() {
            0 => value_len > self.bytes_max(),
            threshold => value_len >= threshold,
        }
    }

    /// Whether an element may join this node.
    fn admits(self, node: Option<&Node>, value_len: usize) -> bool {
        match node {
            Some(Node::Packed(list)) if !self.is_large(value_len) => {
                !self.exceeded_by(list.bytes_len() + value_len + ENTRY_OVERHEAD, list.len() + 1)
            }
            _ => false,
        }
    }

    fn merges(self, left: &Node, right: &Node) -> bool {
        let both_packed = matches!((left, right), (Node::Packed(_), Node::Packed(_)));
        both_packed
            && !self.exceeded_by(left.bytes_len() + right.bytes_len() - MERGE_SAVES, left.count() + right.count())
    }

    fn new_node(self, value: &[u8]) -> Node {
        if self.is_large(value.len()) {
            return Node::Plain(value.into());
        }
        let mut list = Listpack::new();
        list.push_back(value);
        Node::Packed(list)
    }
}

/// Whether a listpack of this many bytes and elements is beyond what one node of this `fill` may hold: the rule by which
/// a small list stops being a bare listpack.
pub fn exceeds_fill(fill: i16, bytes: usize, count: usize) -> bool {
    Limits { fill }.exceeded_by(bytes, count)
}

/// A list of byte strings.
#[derive(Clone, Debug)]
pub struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
    limits: Limits,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fill {}", self.fill)
    }
}

impl Quicklist {
    /// An empty list. `fill` is `list-max-listpack-size`; below -5 means -5.
    pub fn new(fill: i16) -> Quicklist {
        Quicklist { nodes: VecDeque::new(), len: 0, limits: Limits { fill } }
    }

    /// A list of one node, taken over as it is; no node if it is empty.
    pub fn from_listpack(fill: i16, list: Listpack) -> Quicklist {
        let mut quicklist = Quicklist::new(fill);
        quicklist.push_packed_node(list);
        quicklist
    }

    /// The only node's listpack; gives the list back if there are more nodes, or a plain one.
    pub fn into_listpack(mut self) -> Result<Listpack, Quicklist> {
        match self.nodes.pop_back() {
            None => Ok(Listpack::new()),
            Some(Node::Packed(list)) if self.nodes.is_empty() => Ok(list),
            Some(node) => {
                self.nodes.push_back(node);
                Err(self)
            }
        }
    }

    /// Appends a node as it is, whatever its size: what an RDB file holds. Empty ones are dropped.
    pub fn push_packed_node(&mut self, list: Listpack) {
        if !list.is_empty() {
            self.len += list.len();
            self.nodes.push_back(Node::Packed(list));
        }
    }

    /// Appends a plain node, whatever its size: what an RDB file holds.
    pub fn push_plain_node(&mut self, value: Box<[u8]>) {
        self.nodes.push_back(Node::Plain(value));
        self.len += 1;
    }

    /// The nodes from the head.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.nodes.iter().map(|node| match node {
            Node::Packed(list) => NodeRef::Packed(list),
            Node::Plain(bytes) => NodeRef::Plain(bytes),
        })
    }

    /// The node at `index`. O(1).
    pub fn node(&self, index: usize) -> Option<NodeRef<'_>> {
        self.nodes.get(index).map(|node| match node {
            Node::Packed(list) => NodeRef::Packed(list),
            Node::Plain(bytes) => NodeRef::Plain(bytes),
        })
    }

    /// Number of elements. O(1).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none. O(1).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of nodes. O(1).
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The `list-max-listpack-size` that the list was created with.
    pub fn fill(&self) -> i16 {
        self.limits.fill
    }

    /// Bytes allocated, this struct included. O(nodes).
    pub fn memory_bytes(&self) -> usize {
        let node_bytes = |node: &Node| match node {
            Node::Packed(list) => list.memory_bytes(),
            Node::Plain(bytes) => bytes.len(),
        };
        let ring = self.nodes.capacity() * size_of::<Node>();
        size_of::<Quicklist>() + ring + self.nodes.iter().map(node_bytes).sum::<usize>()
    }

    // ---- reading ----

    /// The element at `index`. O(nodes + a node's elements).
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        let (node, offset) = self.locate(index)?;
        self.nodes[node].item(offset)
    }

    /// The first element. O(1).
    pub fn front(&self) -> Option<Item<'_>> {
        self.nodes.front()?.item(0)
    }

    /// The last element. O(1).
    pub fn back(&self) -> Option<Item<'_>> {
        let node = self.nodes.back()?;
        node.item(node.count() - 1)
    }

    /// All elements.
    pub fn iter(&self) -> Range<'_> {
        self.range(0..self.len)
    }

    /// The elements with these indices, clamped to the list, from either end: `range(i..len)` goes forward from `i`,
    /// `range(0..i + 1).rev()` backward. O(nodes) to start.
    pub fn range(&self, indices: IndexRange<usize>) -> Range<'_> {
        let end = indices.end.min(self.len);
        Range { list: self, next: indices.start.min(end), end, front: None, back: None }
    }

    /// Index of the first element equal to `value`. O(n).
    pub fn position(&self, value: &[u8]) -> Option<usize> {
        let needle = Needle::new(value);
        self.iter().position(|item| needle.matches(&item))
    }

    /// Node and offset in it of `index`; walks the counts from the nearer end.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut before = 0;
            for (at, node) in self.nodes.iter().enumerate() {
                if index < before + node.count() {
                    return Some((at, index - before));
                }
                before += node.count();
            }
        } else {
            let mut start = self.len;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                start -= node.count();
                if start <= index {
                    return Some((at, index - start));
                }
            }
        }
        unreachable!("len is the sum of the counts")
    }

    // ---- ends ----

    /// Prepends an element. O(bytes of a node).
    pub fn push_front(&mut self, value: &[u8]) {
        self.len += 1;
        match self.nodes.front_mut() {
            Some(node) if self.limits.admits(Some(node), value.len()) => node.packed_mut().push_front(value),
            _ => self.nodes.push_front(self.limits.new_node(value)),
        }
    }

    /// Appends an element. O(1), amortised.
    pub fn push_back(&mut self, value: &[u8]) {
        self.len += 1;
        match self.nodes.back_mut() {
            Some(node) if self.limits.admits(Some(node), value.len()) => node.packed_mut().push_back(value),
            _ => self.nodes.push_back(self.limits.new_node(value)),
        }
    }

    /// Removes the first element after showing it to `read`. O(bytes of a node).
    pub fn pop_front<R>(&mut self, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let result = read(self.front()?);
        self.delete_in_node(0, 0, 1);
        Some(result)
    }

    /// Removes the last element after showing it to `read`. O(1).
    pub fn pop_back<R>(&mut self, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let result = read(self.back()?);
        let last = self.nodes.len() - 1;
        self.delete_in_node(last, self.nodes[last].count() - 1, 1);
        Some(result)
    }

    // ---- the middle ----

    /// Inserts before the element at `index`. Panics if there is none. O(nodes + bytes of a node).
    pub fn insert_before(&mut self, index: usize, value: &[u8]) {
        let (at, offset) = self.locate(index).expect("the caller has found the pivot");
        self.insert(at, offset, value, false);
    }

    /// Inserts behind the element at `index`. Panics if there is none. O(nodes + bytes of a node).
    pub fn insert_after(&mut self, index: usize, value: &[u8]) {
        let (at, offset) = self.locate(index).expect("the caller has found the pivot");
        self.insert(at, offset, value, true);
    }

    fn insert(&mut self, at: usize, offset: usize, value: &[u8], after: bool) {
        self.len += 1;
        let limits = self.limits;
        if limits.admits(Some(&self.nodes[at]), value.len()) {
            self.nodes[at].packed_mut().insert_at(offset + usize::from(after), value);
            return;
        }
        let at_tail = after && offset + 1 == self.nodes[at].count();
        let at_head = !after && offset == 0;
        let neighbour = if after { Some(at + 1) } else { at.checked_sub(1) };
        if at_tail || at_head {
            match neighbour.and_then(|neighbour| self.nodes.get_mut(neighbour)) {
                Some(node) if limits.admits(Some(node), value.len()) => {
                    let list = node.packed_mut();
                    if after { list.push_front(value) } else { list.push_back(value) }
                }
                _ => self.nodes.insert(at + usize::from(after), limits.new_node(value)),
            }
            return;
        }
        self.split_and_insert(at, offset + usize::from(after), value, after);
    }

    /// Splits the packed node before `offset`, with the element between the halves. A small one joins the half that
    /// does not hold the pivot, and neighbours that fit together are merged.
    fn split_and_insert(&mut self, at: usize, offset: usize, value: &[u8], after: bool) {
        let right = self.split(at, offset);
        self.nodes.insert(at + 1, right);
        if self.limits.is_large(value.len()) {
            self.nodes.insert(at + 1, self.limits.new_node(value));
        } else if after {
            self.nodes[at + 1].packed_mut().push_front(value);
            self.merge_around(at);
        } else {
            self.nodes[at].packed_mut().push_back(value);
            self.merge_around(at + 1);
        }
    }

    /// Cuts the packed node before `offset` and returns the right part, which is not in the list any more.
    fn split(&mut self, at: usize, offset: usize) -> Node {
        let list = self.nodes[at].packed_mut();
        let pos = list.seek(offset as i64).expect("neither half is empty");
        Node::Packed(list.split_off(pos))
    }

    /// Merges, where the limits allow: the two nodes before `center`, the two behind it, then `center` with what is now
    /// before it, then the result with what is behind.
    fn merge_around(&mut self, mut center: usize) {
        self.merge_with_next(center + 1);
        if center >= 2 && self.merge_with_next(center - 2) {
            center -= 1;
        }
        if center >= 1 && self.merge_with_next(center - 1) {
            center -= 1;
        }
        self.merge_with_next(center);
    }

    fn merge_with_next(&mut self, at: usize) -> bool {
        match (self.nodes.get(at), self.nodes.get(at + 1)) {
            (Some(left), Some(right)) if self.limits.merges(left, right) => {}
            _ => return false,
        }
        if let Some(Node::Packed(list)) = self.nodes.remove(at + 1) {
            self.nodes[at].packed_mut().append_listpack(&list);
        }
        true
    }

    /// Replaces the element at `index`; false if there is none. A packed node may outgrow its limit by this, as in Redis.
    /// O(nodes + bytes of a node).
    pub fn set(&mut self, index: usize, value: &[u8]) -> bool {
        let Some((at, offset)) = self.locate(index) else { return false };
        let large = self.limits.is_large(value.len());
        match &mut self.nodes[at] {
            Node::Packed(list) if !large => {
                let pos = list.seek(offset as i64).expect("the offset is in the node");
                list.replace(pos, value);
            }
            Node::Packed(_) => self.replace_by_plain(at, offset, value),
            Node::Plain(bytes) if large => *bytes = value.into(),
            Node::Plain(_) => {
                self.insert(at, 0, value, true);
                self.nodes.remove(at);
                self.len -= 1;
            }
        }
        true
    }

    fn replace_by_plain(&mut self, at: usize, offset: usize, value: &[u8]) {
        if offset + 1 < self.nodes[at].count() {
            let right = self.split(at, offset + 1);
            self.nodes.insert(at + 1, right);
        }
        self.nodes.insert(at + 1, Node::Plain(value.into()));
        self.len += 1;
        if !self.delete_in_node(at, offset, 1) {
            self.merge_around(at + 1);
        }
    }

    // ---- removal ----

    /// Deletes `count` elements of one node; true if the node went with them.
    fn delete_in_node(&mut self, at: usize, offset: usize, count: usize) -> bool {
        self.len -= count;
        if count == self.nodes[at].count() {
            self.nodes.remove(at);
            return true;
        }
        let list = self.nodes[at].packed_mut();
        let pos = list.seek(offset as i64).expect("the offset is in the node");
        list.delete_at(pos, count);
        false
    }

    /// Deletes the elements with these indices, clamped to the list. O(nodes + bytes of two nodes).
    pub fn delete_range(&mut self, indices: IndexRange<usize>) {
        let end = indices.end.min(self.len);
        let mut rest = end.saturating_sub(indices.start);
        let Some((mut at, offset)) = self.locate(indices.start).filter(|_| rest > 0) else { return };
        if offset > 0 {
            let count = rest.min(self.nodes[at].count() - offset);
            self.delete_in_node(at, offset, count);
            rest -= count;
            at += 1;
        }
        let first_whole = at;
        while rest > 0 && self.nodes[at].count() <= rest {
            rest -= self.nodes[at].count();
            self.len -= self.nodes[at].count();
            at += 1;
        }
        self.nodes.drain(first_whole..at);
        if rest > 0 {
            self.delete_in_node(first_whole, 0, rest);
        }
    }

    /// Keeps only the elements with these indices. O(nodes + bytes of two nodes).
    pub fn trim(&mut self, indices: IndexRange<usize>) {
        self.delete_range(indices.end.max(indices.start)..self.len);
        self.delete_range(0..indices.start);
    }

    /// Deletes elements equal to `value`, at most `limit` of them, from the head or from the tail; returns how many.
    /// O(n), one copy of each node concerned.
    pub fn remove(&mut self, value: &[u8], limit: usize, from_tail: bool) -> usize {
        let needle = Needle::new(value);
        let mut removed = 0;
        for step in 0..self.nodes.len() {
            let at = if from_tail { self.nodes.len() - 1 - step } else { step };
            if removed == limit {
                break;
            }
            removed += remove_in_node(&mut self.nodes[at], &needle, limit - removed, from_tail);
        }
        self.len -= removed;
        if removed > 0 {
            self.nodes.retain(|node| !matches!(node, Node::Packed(list) if list.is_empty()));
        }
        removed
    }
}

/// Deletes matches of one node. A plain node that matches becomes an empty packed one, for the caller to drop.
fn remove_in_node(node: &mut Node, needle: &Needle<'_>, limit: usize, from_tail: bool) -> usize {
    match node {
        Node::Plain(bytes) => {
            if !needle.matches(&Item::Str(bytes)) {
                return 0;
            }
            *node = Node::Packed(Listpack::new());
            1
        }
        Node::Packed(list) => {
            let mut positions = matches(list, needle);
            let excess = positions.len().saturating_sub(limit);
            if from_tail {
                positions.drain(..excess);
            } else {
                positions.truncate(positions.len() - excess);
            }
            if !positions.is_empty() {
                list.delete_all(&positions);
            }
            positions.len()
        }
    }
}

/// Positions of all elements equal to the needle.
fn matches(list: &Listpack, needle: &Needle<'_>) -> Vec<usize> {
    let mut positions = Vec::new();
    let mut from = list.first();
    while let Some(pos) = from {
        let (item, next) = list.get_and_next(pos);
        if needle.matches(&item) {
            positions.push(pos);
        }
        from = next;
    }
    positions
}

#[derive(Clone)]
enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> NodeIter<'a> {
    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            NodeIter::Packed(iter) => iter.next(),
            NodeIter::Plain(value) => value.take().map(Item::Str),
        }
    }

    fn next_back(&mut self) -> Option<Item<'a>> {
        match self {
            NodeIter::Packed(iter) => iter.next_back(),
            NodeIter::Plain(value) => value.take().map(Item::Str),
        }
    }
}

/// Elements of a range of indices, from both ends; each end finds its node when it is first asked.
#[derive(Clone)]
pub struct Range<'a> {
    list: &'a Quicklist,
    next: usize,
    end: usize,
    front: Option<(usize, NodeIter<'a>)>,
    back: Option<(usize, NodeIter<'a>)>,
}

impl<'a> Iterator for Range<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.next == self.end {
            return None;
        }
        let list = self.list;
        let (at, iter) = match &mut self.front {
            Some(front) => front,
            none => {
                let (at, offset) = list.locate(self.next)?;
                none.insert((at, list.nodes[at].iter_from(offset)))
            }
        };
        self.next += 1;
        loop {
            if let Some(item) = iter.next() {
                return Some(item);
            }
            *at += 1;
            *iter = list.nodes[*at].iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let list = self.list;
        let (at, iter) = match &mut self.back {
            Some(back) => back,
            none => {
                let (at, offset) = list.locate(self.end - 1)?;
                none.insert((at, list.nodes[at].iter_to(offset + 1)))
            }
        };
        self.end -= 1;
        loop {
            if let Some(item) = iter.next_back() {
                return Some(item);
            }
            *at -= 1;
            *iter = list.nodes[*at].iter();
        }
    }
}

impl ExactSizeIterator for Range<'_> {}
impl std::iter::FusedIterator for Range<'_> {}

#[cfg(test)]
mod tests;
