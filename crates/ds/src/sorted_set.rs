//! A large sorted set: members by name and by score.
//!
//! A [`Table`] owns the members, each an [`Entry`] holding its score; a [`BpTree`] orders them, holding the score and the
//! entry's address. The table answers "which score has this member", the tree everything about order and rank.
//!
//! # Ownership
//! The table owns the entries. An address in the tree is that of an entry in the table: an entry never moves while it lives
//! (tables move handles, not entries), and it leaves the tree before it leaves the table. So an address taken from the
//! tree may be looked through as long as the set is borrowed.

use crate::bptree::{self, BpTree, Item};
use crate::entry::{Entry, NewPayload, Payload};
use crate::hash::hash;
use crate::table::Table;
use std::cmp::Ordering;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;

/// The address of a member's entry.
type Handle = NonNull<u8>;

/// Members with scores, ordered by score, then by bytes.
#[derive(Default)]
pub struct SortedSet {
    members: Table<Entry<f64>>,
    order: BpTree<Handle>,
}

// SAFETY: the addresses in the tree are those of entries that the set owns; they go where the set goes.
unsafe impl Send for SortedSet {}
// SAFETY: nothing is changed through a shared reference.
unsafe impl Sync for SortedSet {}

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Inserted {
    /// The member is new.
    Added,
    /// It had another score.
    Updated,
    /// It had this score.
    Unchanged,
}

/// The member at an address of the tree.
///
/// # Safety
/// The address comes from the tree of a set that is borrowed for `'a`.
#[inline]
unsafe fn name<'a>(handle: Handle) -> &'a [u8] {
    // SAFETY: the address is that of a living entry (see the module's page), which is not dropped here.
    let entry = ManuallyDrop::new(unsafe { Entry::<f64>::from_raw(handle) });
    let key: *const [u8] = entry.key();
    // SAFETY: the key lies in the entry's allocation, not in the handle on this stack.
    unsafe { &*key }
}

#[inline]
fn compare(a: Handle, b: Handle) -> Ordering {
    // SAFETY: only called by the tree, for addresses in it or for that of an entry being inserted or removed.
    unsafe { name(a).cmp(name(b)) }
}

fn score_of(entry: &Entry<f64>) -> f64 {
    match entry.payload() {
        Payload::Object(score) => *score,
        _ => unreachable!("members are made with a score"),
    }
}

impl SortedSet {
    /// An empty set.
    pub fn new() -> SortedSet {
        SortedSet::default()
    }

    /// Number of members. O(1).
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The score of a member. O(1).
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.find(hash(member), |entry| entry.key_eq(member)).map(score_of)
    }

    /// Adds a member or gives it another score, which is not NaN. The two zeros are the same score: a member keeps the sign it
    /// came with. O(log n).
    pub fn insert(&mut self, member: &[u8], score: f64) -> Inserted {
        debug_assert!(!score.is_nan());
        let hash = hash(member);
        if let Some(entry) = self.members.find_mut(hash, |entry| entry.key_eq(member)) {
            let before = score_of(entry);
            if before == score {
                return Inserted::Unchanged;
            }
            let handle = entry.as_ptr();
            *entry.object_mut().expect("members are made with a score") = score;
            self.order.update_score(Item { score: before, handle }, score, compare);
            return Inserted::Updated;
        }
        let entry = Entry::new(member, NewPayload::Object(score), None, None);
        let handle = entry.as_ptr();
        self.members.insert_unique(hash, entry);
        self.order.insert(Item { score, handle }, compare);
        Inserted::Added
    }

    /// Adds a member that the caller knows to be new and greater than all others. O(log n), without a comparison.
    pub fn push_last(&mut self, member: &[u8], score: f64) {
        let entry = Entry::new(member, NewPayload::Object(score), None, None);
        let handle = entry.as_ptr();
        self.members.insert_unique(hash(member), entry);
        self.order.push_last(Item { score, handle });
    }

    /// Removes a member; its score. O(log n).
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = hash(member);
        let position = self.members.locate(hash, |entry| entry.key_eq(member))?;
        let entry = self.members.at(position);
        let item = Item { score: score_of(entry), handle: entry.as_ptr() };
        self.order.remove(item, compare);
        self.members.remove_at(position);
        Some(item.score)
    }

    /// The rank (0 for the smallest) and score of a member. O(log n).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let entry = self.members.find(hash(member), |entry| entry.key_eq(member))?;
        let score = score_of(entry);
        Some((self.order.rank(Item { score, handle: entry.as_ptr() }, compare), score))
    }

    /// Number of leading members for which `before` holds; it must hold for no member after one for which it does not.
    /// O(log n).
    pub fn partition_point(&self, before: impl Fn(&[u8], f64) -> bool) -> usize {
        // SAFETY: the tree calls with its own items, and the set is borrowed.
        self.order.partition_point(|item| before(unsafe { name(item.handle) }, item.score))
    }

    /// The members of these ranks with their scores, from both ends. O(log n) to start, O(1) a step.
    pub fn range(&self, ranks: Range<usize>) -> Members<'_> {
        Members { items: self.order.range(ranks) }
    }

    /// All members with their scores.
    pub fn iter(&self) -> Members<'_> {
        self.range(0..self.len())
    }

    /// Shows the members with scores from `scores.start` on and below `scores.end` for whose score `wants` has something
    /// to say, in order, until `take` returns false. A member that is not wanted is not touched. O(k + log n) for k scores in the range.
    #[inline]
    pub fn select<'a, T>(
        &'a self,
        scores: Range<f64>,
        mut wants: impl FnMut(f64) -> Option<T>,
        mut take: impl FnMut(&'a [u8], f64, T) -> bool,
    ) {
        let before = |item: Item<Handle>| item.score < scores.start;
        self.order.visit_from(before, |item| {
            if item.score >= scores.end {
                return false;
            }
            // SAFETY: an address of the tree, whose set is borrowed for `'a`.
            wants(item.score).is_none_or(|wanted| take(unsafe { name(item.handle) }, item.score, wanted))
        });
    }

    /// Removes the members of these ranks; `removed` sees each first. O(k + log n).
    pub fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(&[u8], f64)) {
        let members = &mut self.members;
        self.order.delete_range(ranks, |item| {
            // SAFETY: the entry is still in the table: it is removed from it below.
            let member = unsafe { name(item.handle) };
            removed(member, item.score);
            let hash = hash(member);
            members.remove(hash, |entry| entry.as_ptr() == item.handle);
        });
    }

    /// A member chosen evenly, with its score; `random` gives evenly distributed words. Expected O(1).
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<(&[u8], f64)> {
        self.members.random(random).map(|entry| (entry.key(), score_of(entry)))
    }

    /// Shows some members; see [`Table::scan`].
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], f64)) -> u64 {
        self.members.scan(cursor, &mut |entry| visit(entry.key(), score_of(entry)))
    }

    /// Starts loading the table's bucket of a member of this hash.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.members.prefetch(hash);
    }

    /// Starts loading the members that a lookup of this hash will compare. Reads the bucket, so prefetch that first.
    #[inline]
    pub fn prefetch_slots(&self, hash: u64) {
        self.members.prefetch_slots(hash);
    }

    /// Bytes allocated; all members are looked at when `samples` is 0, else so many, and the mean is taken for the rest.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let count = if samples == 0 { self.len() } else { samples.min(self.len()) };
        let looked_at: usize = self.members.iter().take(count).map(Entry::allocated_size).sum();
        let members = (looked_at * self.len()).checked_div(count).unwrap_or(0);
        self.members.memory_bytes() + self.order.memory_bytes() + members
    }
}

impl std::fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Members of a range of ranks with their scores.
pub struct Members<'a> {
    items: bptree::Range<'a, Handle>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: an item of the tree of a set borrowed for 'a.
        self.items.next().map(|item| (unsafe { name(item.handle) }, item.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl DoubleEndedIterator for Members<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        // SAFETY: as in `next`.
        self.items.next_back().map(|item| (unsafe { name(item.handle) }, item.score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};

    #[derive(Debug, Clone)]
    enum Op {
        Insert(u8, i8),
        Remove(u8),
        RemoveRange(u8, u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (any::<u8>(), any::<i8>()).prop_map(|(member, score)| Op::Insert(member, score)),
            2 => any::<u8>().prop_map(Op::Remove),
            1 => (any::<u8>(), 0u8..20).prop_map(|(start, len)| Op::RemoveRange(start, len)),
        ]
    }

    fn member(id: u8) -> Vec<u8> {
        format!("member:{}", id.wrapping_mul(37)).into_bytes()
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_and_an_ordered_set(ops in prop::collection::vec(op(), 1..400)) {
            let mut set = SortedSet::new();
            let mut model: HashMap<Vec<u8>, i8> = HashMap::new();
            for op in ops {
                match op {
                    Op::Insert(id, score) => {
                        let expected = match model.insert(member(id), score) {
                            None => Inserted::Added,
                            Some(before) if before == score => Inserted::Unchanged,
                            Some(_) => Inserted::Updated,
                        };
                        prop_assert_eq!(set.insert(&member(id), score.into()), expected);
                    }
                    Op::Remove(id) => {
                        prop_assert_eq!(set.remove(&member(id)), model.remove(&member(id)).map(f64::from));
                    }
                    Op::RemoveRange(start, len) => {
                        let ranks = usize::from(start)..usize::from(start) + usize::from(len);
                        let mut removed = Vec::new();
                        set.remove_range(ranks, |member, _| removed.push(member.to_vec()));
                        removed.iter().for_each(|member| assert!(model.remove(member).is_some()));
                    }
                }
            }
            let sorted: BTreeSet<(i8, Vec<u8>)> = model.iter().map(|(member, &score)| (score, member.clone())).collect();
            let found: Vec<(i8, Vec<u8>)> = set.iter().map(|(member, score)| (score as i8, member.to_vec())).collect();
            prop_assert_eq!(&found, &sorted.iter().cloned().collect::<Vec<_>>());
            for (rank, (score, member)) in sorted.iter().enumerate() {
                prop_assert_eq!(set.rank(member), Some((rank, f64::from(*score))));
                prop_assert_eq!(set.partition_point(|name, s| (s, name) < (f64::from(*score), member)), rank);
            }
            let mut selected = Vec::new();
            set.select(-2.0..3.0, |score| (score != 1.0).then_some(()), |member, score, ()| {
                selected.push((score as i8, member.to_vec()));
                selected.len() < 5
            });
            let wanted = |(score, _): &&(i8, Vec<u8>)| (-2..3).contains(score) && *score != 1;
            prop_assert_eq!(selected, sorted.iter().filter(wanted).take(5).cloned().collect::<Vec<_>>());
            let back: Vec<_> = set.iter().rev().map(|(member, _)| member.to_vec()).collect();
            prop_assert_eq!(back, sorted.iter().rev().map(|(_, member)| member.clone()).collect::<Vec<_>>());
        }
    }
}
