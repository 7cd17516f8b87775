//! Lists over their encodings.
//!
//! | encoding | when | storage |
//! |---|---|---|
//! | `listpack` | the whole list fits one node | one listpack |
//! | `quicklist` | otherwise | linked listpacks ([`Quicklist`]) |
//!
//! `list-max-listpack-size` says what fits a node: a size class when negative, a number of elements when positive. A list
//! grows into a quicklist when an addition would exceed one node; it shrinks back only when it has come down to half of
//! that, so that one element more or less does not convert it again and again.

use crate::Text;
use crate::settings::Settings;
use kinovar_ds::listpack::{Item, Listpack, Needle};
use kinovar_ds::quicklist::{self, NodeRef, Quicklist};
use std::ops::Range;

/// A list of byte strings.
#[derive(Debug)]
pub struct List(Encoding);

#[derive(Debug)]
enum Encoding {
    Listpack(Listpack),
    Quicklist(Box<Quicklist>),
}

const _: () = assert!(size_of::<List>() == 16);

/// One end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

impl Default for List {
    fn default() -> Self {
        List(Encoding::Listpack(Listpack::new()))
    }
}

/// Elements from this size on have a node of their own; 0 restores the rule of the node size.
pub fn set_packed_threshold(bytes: usize) {
    quicklist::set_packed_threshold(bytes);
}

/// `list-max-listpack-size` as a quicklist remembers it and `DEBUG OBJECT` shows it.
fn fill(settings: &Settings) -> i16 {
    settings.list_max_listpack_size.clamp(-5, i16::MAX.into()) as i16
}

/// Bytes and elements of a node at most; see `list-max-listpack-size`.
fn node_limit(fill: i16) -> (usize, usize) {
    const SIZES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
    match fill {
        0 => (usize::MAX, 1),
        1.. => (usize::MAX, fill as usize),
        _ => (SIZES[(fill.unsigned_abs() as usize).min(SIZES.len()) - 1], usize::MAX),
    }
}

fn as_text(item: Item<'_>) -> Text<'_> {
    match item {
        Item::Str(bytes) => Text::Bytes(bytes),
        Item::Int(value) => Text::Int(value),
    }
}

impl List {
    /// The list as a listpack, if it is one.
    pub(crate) fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Encoding::Listpack(pack) => Some(pack),
            Encoding::Quicklist(_) => None,
        }
    }

    /// Number of elements. O(1).
    pub fn len(&self) -> usize {
        match &self.0 {
            Encoding::Listpack(pack) => pack.len(),
            Encoding::Quicklist(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As `OBJECT ENCODING` reports it.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Encoding::Listpack(_) => "listpack",
            Encoding::Quicklist(_) => "quicklist",
        }
    }

    /// Makes the encoding fit before `count` elements of `bytes` in total are added.
    #[inline]
    pub fn make_room(&mut self, bytes: usize, count: usize, settings: &Settings) {
        if let Encoding::Listpack(pack) = &mut self.0
            && quicklist::exceeds_fill(fill(settings), pack.bytes_len() + bytes, pack.len() + count)
        {
            let pack = std::mem::take(pack);
            self.0 = Encoding::Quicklist(Box::new(Quicklist::from_listpack(fill(settings), pack)));
        }
    }

    /// Goes back to a listpack when the list has become half as large as one may be. To be called after removals.
    pub fn shrink(&mut self, settings: &Settings) {
        self.make_listpack(settings, 2);
    }

    /// Makes a list of one packed node a listpack, if the limits of one, divided by `parts`, are kept.
    fn make_listpack(&mut self, settings: &Settings, parts: usize) {
        let Encoding::Quicklist(list) = &mut self.0 else { return };
        let (bytes_max, count_max) = node_limit(fill(settings));
        let fits = {
            let mut nodes = list.nodes();
            match (nodes.next(), nodes.next()) {
                (Some(NodeRef::Packed(pack)), None) => {
                    pack.bytes_len() <= bytes_max / parts && pack.len() <= count_max / parts
                }
                _ => false,
            }
        };
        if fits {
            let list = std::mem::replace(&mut **list, Quicklist::new(0));
            match list.into_listpack() {
                Ok(pack) => self.0 = Encoding::Listpack(pack),
                Err(list) => self.0 = Encoding::Quicklist(Box::new(list)),
            }
        }
    }

    /// Adds an element at one end; [`List::make_room`] was called for it.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8]) {
        match (&mut self.0, end) {
            (Encoding::Listpack(pack), End::Left) => pack.push_front(value),
            (Encoding::Listpack(pack), End::Right) => pack.push_back(value),
            (Encoding::Quicklist(list), End::Left) => list.push_front(value),
            (Encoding::Quicklist(list), End::Right) => list.push_back(value),
        }
    }

    /// Removes the element at one end after showing it to `read`; `None` when the list is empty.
    pub fn pop<R>(&mut self, end: End, read: impl FnOnce(Text<'_>) -> R) -> Option<R> {
        match (&mut self.0, end) {
            (Encoding::Listpack(pack), _) => {
                let pos = if end == End::Left { pack.first()? } else { pack.last()? };
                let result = read(as_text(pack.get(pos)));
                pack.delete(pos);
                Some(result)
            }
            (Encoding::Quicklist(list), End::Left) => list.pop_front(|item| read(as_text(item))),
            (Encoding::Quicklist(list), End::Right) => list.pop_back(|item| read(as_text(item))),
        }
    }

    /// Removes up to `count` elements from one end after showing them to `read`, the outermost first; returns how many.
    /// O(count), one copy of each node concerned.
    pub fn pop_many(&mut self, end: End, count: usize, mut read: impl FnMut(Text<'_>)) -> usize {
        let len = self.len();
        let count = count.min(len);
        let (gone, kept) = match end {
            End::Left => (0..count, count..len),
            End::Right => (len - count..len, 0..len - count),
        };
        self.visit(gone, end == End::Right, |element| {
            read(element);
            true
        });
        self.trim(kept);
        count
    }

    /// Moves the element at one end to the same or the other end.
    pub fn rotate(&mut self, from: End, to: End, settings: &Settings) {
        if let Some(value) = self.pop(from, |element| element.to_vec()) {
            self.make_room(value.len(), 1, settings);
            self.push(to, &value);
        }
    }

    /// The element at one end. O(1).
    pub fn end(&self, end: End) -> Option<Text<'_>> {
        self.get(if end == End::Left { 0 } else { -1 })
    }

    /// The element at `index`, counted from the end when negative, if there is one.
    pub fn get(&self, index: i64) -> Option<Text<'_>> {
        match &self.0 {
            Encoding::Listpack(pack) => pack.seek(index).map(|pos| as_text(pack.get(pos))),
            Encoding::Quicklist(list) => list.get(self.absolute(index)?).map(as_text),
        }
    }

    /// An index from the head, if it is one of the list's.
    fn absolute(&self, index: i64) -> Option<usize> {
        let len = self.len() as i64;
        let index = if index < 0 { index.checked_add(len)? } else { index };
        (0..len).contains(&index).then_some(index as usize)
    }

    /// Replaces the element at `index`, counted from the end when negative; false when there is none.
    pub fn set(&mut self, index: i64, value: &[u8]) -> bool {
        let Some(at) = self.absolute(index) else { return false };
        match &mut self.0 {
            Encoding::Listpack(pack) => {
                let pos = pack.seek(at as i64).expect("the index was checked");
                pack.replace(pos, value);
                true
            }
            Encoding::Quicklist(list) => list.set(at, value),
        }
    }

    /// Inserts beside the first element equal to `pivot`; false when there is none.
    pub fn insert(&mut self, pivot: &[u8], after: bool, value: &[u8]) -> bool {
        match &mut self.0 {
            Encoding::Listpack(pack) => match pack.find(pivot, 0) {
                None => false,
                Some(pos) if after => {
                    pack.insert_after(pos, value);
                    true
                }
                Some(pos) => {
                    pack.insert_before(pos, value);
                    true
                }
            },
            Encoding::Quicklist(list) => match list.position(pivot) {
                None => false,
                Some(index) if after => {
                    list.insert_after(index, value);
                    true
                }
                Some(index) => {
                    list.insert_before(index, value);
                    true
                }
            },
        }
    }

    /// Removes elements equal to `value`, at most `limit` of them, from the head or from the tail; returns how many.
    pub fn remove(&mut self, value: &[u8], limit: usize, from_tail: bool) -> usize {
        match &mut self.0 {
            Encoding::Listpack(pack) => {
                let needle = Needle::new(value);
                let mut found = Vec::new();
                let mut cursor = if from_tail { pack.last() } else { pack.first() };
                while let Some(pos) = cursor
                    && found.len() < limit
                {
                    if needle.matches(&pack.get(pos)) {
                        found.push(pos);
                    }
                    cursor = if from_tail { pack.prev(pos) } else { pack.next(pos) };
                }
                if from_tail {
                    found.reverse();
                }
                pack.delete_all(&found);
                found.len()
            }
            Encoding::Quicklist(list) => list.remove(value, limit, from_tail),
        }
    }

    /// Keeps only the elements with these indices.
    pub fn trim(&mut self, keep: Range<usize>) {
        match &mut self.0 {
            Encoding::Listpack(pack) => {
                let len = pack.len();
                pack.delete_range(keep.end.min(len) as i64, len.saturating_sub(keep.end));
                pack.delete_range(0, keep.start.min(len));
            }
            Encoding::Quicklist(list) => list.trim(keep),
        }
    }

    /// Shows the elements with these indices, the last one first if `reverse`, until `visit` returns false.
    pub fn visit(&self, indices: Range<usize>, reverse: bool, mut visit: impl FnMut(Text<'_>) -> bool) {
        self.visit_items(indices, reverse, |item| visit(as_text(item)));
    }

    fn visit_items(&self, indices: Range<usize>, reverse: bool, mut visit: impl FnMut(Item<'_>) -> bool) {
        let indices = indices.start..indices.end.min(self.len());
        if indices.is_empty() {
            return;
        }
        match &self.0 {
            Encoding::Listpack(pack) if reverse => {
                let end = pack.seek(indices.end as i64).unwrap_or(pack.end());
                pack.iter_to(end).rev().take(indices.len()).all(&mut visit);
            }
            Encoding::Listpack(pack) => {
                let start = pack.seek(indices.start as i64).expect("the range is in the list");
                pack.iter_from(start).take(indices.len()).all(&mut visit);
            }
            Encoding::Quicklist(list) if reverse => {
                list.range(indices).rev().all(&mut visit);
            }
            Encoding::Quicklist(list) => {
                list.range(indices).all(&mut visit);
            }
        }
    }

    /// Shows the indices of the elements equal to `value` among the first `len_max` elements, or among the last ones and
    /// from the tail if `reverse`, until `found` returns false. O(elements looked at).
    pub fn positions(&self, value: &[u8], len_max: usize, reverse: bool, mut found: impl FnMut(usize) -> bool) {
        let len = self.len();
        let len_max = len_max.min(len);
        let indices = if reverse { len - len_max..len } else { 0..len_max };
        let needle = Needle::new(value);
        let mut passed = 0;
        self.visit_items(indices, reverse, |item| {
            let index = if reverse { len - 1 - passed } else { passed };
            passed += 1;
            !needle.matches(&item) || found(index)
        });
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Encoding::Listpack(_) => 1,
            Encoding::Quicklist(list) => list.node_count(),
        }
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> List {
        match &self.0 {
            Encoding::Listpack(pack) => List(Encoding::Listpack(pack.clone())),
            Encoding::Quicklist(list) => {
                let mut copy = Box::new(Quicklist::new(list.fill()));
                for node in list.nodes() {
                    match node {
                        NodeRef::Packed(pack) => copy.push_packed_node(pack.clone()),
                        NodeRef::Plain(value) => copy.push_plain_node(value.into()),
                    }
                }
                List(Encoding::Quicklist(copy))
            }
        }
    }

    /// Number of nodes that the list is stored as in RDB files. O(1).
    pub fn node_count(&self) -> usize {
        match &self.0 {
            Encoding::Listpack(_) => 1,
            Encoding::Quicklist(list) => list.node_count(),
        }
    }

    /// One of these nodes. O(1).
    pub fn node(&self, index: usize) -> Option<NodeRef<'_>> {
        match &self.0 {
            Encoding::Listpack(pack) => (index == 0).then_some(NodeRef::Packed(pack)),
            Encoding::Quicklist(list) => list.node(index),
        }
    }

    /// Shows the elements of the node with this index. O(elements in it).
    pub fn visit_node(&self, index: usize, mut visit: impl FnMut(Text<'_>)) {
        match self.node(index) {
            Some(NodeRef::Packed(pack)) => pack.iter().for_each(|item| visit(as_text(item))),
            Some(NodeRef::Plain(element)) => visit(Text::Bytes(element)),
            None => {}
        }
    }

    /// An empty quicklist, to which the nodes of an RDB file are appended.
    pub fn of_nodes(settings: &Settings) -> List {
        List(Encoding::Quicklist(Box::new(Quicklist::new(fill(settings)))))
    }

    /// Appends a node to [`List::of_nodes`]; an empty one is dropped.
    pub fn push_node(&mut self, pack: Listpack) {
        self.quicklist_mut().push_packed_node(pack);
    }

    /// Appends a node of one large element to [`List::of_nodes`].
    pub fn push_plain_node(&mut self, element: &[u8]) {
        self.quicklist_mut().push_plain_node(element.into());
    }

    fn quicklist_mut(&mut self) -> &mut Quicklist {
        match &mut self.0 {
            Encoding::Quicklist(list) => list,
            Encoding::Listpack(_) => panic!("nodes are appended to a quicklist"),
        }
    }

    /// Makes a list of one node a listpack, if that is not larger than one may be. To be called when all nodes were appended.
    pub fn compact(&mut self, settings: &Settings) {
        self.make_listpack(settings, 1);
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`]. Exact whatever `samples` says: nodes know their size.
    pub fn memory_bytes(&self, _samples: usize) -> usize {
        match &self.0 {
            Encoding::Listpack(pack) => pack.memory_bytes(),
            Encoding::Quicklist(list) => list.memory_bytes(),
        }
    }

    /// What `DEBUG OBJECT` adds for a quicklist.
    pub fn debug_details(&self) -> String {
        let Encoding::Quicklist(list) = &self.0 else { return String::new() };
        let nodes = list.node_count();
        let average = list.len() as f64 / nodes.max(1) as f64;
        let bytes: usize = list
            .nodes()
            .map(|node| match node {
                NodeRef::Packed(pack) => pack.bytes_len(),
                NodeRef::Plain(value) => value.len(),
            })
            .sum();
        format!(
            " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{} ql_compressed:0 ql_uncompressed_size:{bytes}",
            list.fill(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn listed(list: &List, indices: Range<usize>, reverse: bool) -> Vec<Vec<u8>> {
        let mut elements = Vec::new();
        list.visit(indices, reverse, |element| {
            elements.push(element.to_vec());
            true
        });
        elements
    }

    proptest! {
        /// The same operations on a list in either encoding and on a model.
        #[test]
        fn behaves_like_a_deque(
            ops in prop::collection::vec((0u8..10, 0u8..12, 0usize..30), 1..120),
            size in prop_oneof![Just(-2), Just(4), Just(1)],
        ) {
            let settings = Settings { list_max_listpack_size: size, ..Settings::default() };
            let (mut list, mut model) = (List::default(), VecDeque::<Vec<u8>>::new());
            for (kind, id, index) in ops {
                let value = if id % 2 == 0 { id.to_string().into_bytes() } else { vec![b'v'; id.into()] };
                match kind {
                    0..3 => {
                        list.make_room(value.len(), 1, &settings);
                        list.push(End::Left, &value);
                        model.push_front(value);
                    }
                    3..6 => {
                        list.make_room(value.len(), 1, &settings);
                        list.push(End::Right, &value);
                        model.push_back(value);
                    }
                    6 => prop_assert_eq!(list.pop(End::Left, |element| element.to_vec()), model.pop_front()),
                    7 => prop_assert_eq!(list.pop(End::Right, |element| element.to_vec()), model.pop_back()),
                    8 => {
                        let removed = list.remove(&value, 2, index % 2 == 0);
                        let mut positions: Vec<usize> = (0..model.len()).filter(|&i| model[i] == value).collect();
                        if index % 2 == 0 {
                            positions.reverse();
                        }
                        positions.truncate(2);
                        prop_assert_eq!(removed, positions.len());
                        positions.sort();
                        positions.iter().rev().for_each(|&i| drop(model.remove(i)));
                    }
                    _ => {
                        let pivot = model.get(index).cloned();
                        if let Some(pivot) = pivot {
                            list.make_room(value.len(), 1, &settings);
                            prop_assert!(list.insert(&pivot, index % 2 == 0, &value));
                            let at = model.iter().position(|other| *other == pivot).unwrap();
                            model.insert(at + usize::from(index % 2 == 0), value);
                        }
                    }
                }
                list.shrink(&settings);
                prop_assert_eq!(list.len(), model.len());
            }
            let expected: Vec<Vec<u8>> = model.iter().cloned().collect();
            prop_assert_eq!(listed(&list, 0..usize::MAX, false), expected.clone());
            prop_assert_eq!(listed(&list.deep_copy(), 0..usize::MAX, true), expected.iter().rev().cloned().collect::<Vec<_>>());
            for (index, value) in expected.iter().enumerate() {
                prop_assert_eq!(&list.get(index as i64).unwrap().to_vec(), value);
                prop_assert_eq!(&list.get(index as i64 - expected.len() as i64).unwrap().to_vec(), value);
            }
            let keep = 1..expected.len().saturating_sub(1).max(1);
            list.trim(keep.clone());
            prop_assert_eq!(listed(&list, 0..usize::MAX, false), expected.get(keep).unwrap_or_default().to_vec());
        }
    }
}
