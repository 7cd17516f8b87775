//! Sorted sets over their encodings.
//!
//! | encoding | when | storage |
//! |---|---|---|
//! | `listpack` | few and short members | member and score by turns, in order |
//! | `skiplist` | otherwise | a table and an order-statistic tree ([`SortedSet`]); the name is what Redis reports |
//!
//! Everything about order is expressed in ranks: a range of scores or of members becomes a range of ranks first.

use crate::Text;
use crate::settings::Settings;
use kinovar_ds::listpack::{Item, Listpack};
use kinovar_ds::number;
use kinovar_ds::sorted_set::{Inserted, SortedSet};
use std::ops::Range;

/// A sorted set.
#[derive(Debug)]
pub struct ZSet(Encoding);

#[derive(Debug)]
enum Encoding {
    Listpack(Listpack),
    Tree(Box<SortedSet>),
}

const _: () = assert!(size_of::<ZSet>() == 16);

impl Default for ZSet {
    fn default() -> Self {
        ZSet(Encoding::Listpack(Listpack::new()))
    }
}

/// One end of a range of scores.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreBound {
    /// The score.
    pub score: f64,
    /// Whether the score itself is outside.
    pub exclusive: bool,
}

/// One end of a range of members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LexBound<'a> {
    /// Before every member (`-`).
    Lowest,
    /// After every member (`+`).
    Highest,
    /// This member is inside.
    Inclusive(&'a [u8]),
    /// This member is outside.
    Exclusive(&'a [u8]),
}

impl ScoreBound {
    /// Whether `score` lies before a range that starts here.
    fn is_after(&self, score: f64) -> bool {
        if self.exclusive { score <= self.score } else { score < self.score }
    }

    /// Whether `score` lies in a range that ends here.
    fn admits_below(&self, score: f64) -> bool {
        if self.exclusive { score < self.score } else { score <= self.score }
    }
}

impl LexBound<'_> {
    /// Whether `member` lies before a range that starts here.
    fn is_after(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => member < *bound,
            LexBound::Exclusive(bound) => member <= *bound,
        }
    }

    /// Whether `member` lies in a range that ends here.
    fn admits_below(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => member <= *bound,
            LexBound::Exclusive(bound) => member < *bound,
        }
    }
}

/// The score stored at a place of a listpack.
fn score_at(pack: &Listpack, pos: usize) -> f64 {
    match pack.get(pos) {
        Item::Int(value) => value as f64,
        Item::Str(text) => parse_stored(text),
    }
}

/// A score that [`number::push_f64`] has written.
fn parse_stored(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("stored scores are numbers")
}

fn as_text(item: Item<'_>) -> Text<'_> {
    match item {
        Item::Str(bytes) => Text::Bytes(bytes),
        Item::Int(value) => Text::Int(value),
    }
}

/// Writes a score as it is stored in a listpack.
fn stored(score: f64, out: &mut Vec<u8>) {
    out.clear();
    // A listpack knows no negative zero: integral scores are stored as integers.
    number::push_f64(out, if score == 0.0 { 0.0 } else { score });
}

impl ZSet {
    /// An empty set that `members` members, the longest of `longest` bytes, are going to fill.
    pub fn for_members(members: usize, longest: usize, settings: &Settings) -> ZSet {
        if members <= settings.zset_max_listpack_entries && longest <= settings.zset_max_listpack_value {
            ZSet::default()
        } else {
            ZSet(Encoding::Tree(Box::default()))
        }
    }

    /// Members and scores by turns, as RDB stores them, if it is a listpack.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Encoding::Listpack(pack) => Some(pack),
            Encoding::Tree(_) => None,
        }
    }

    /// A set of these members and scores by turns; too many make a tree. The caller knows that the members are different and
    /// in order, and the scores what [`number::push_f64`] writes: see [`ZSet::stored_score`].
    pub fn from_listpack(pack: Listpack, settings: &Settings) -> ZSet {
        let too_many = pack.len() / 2 > settings.zset_max_listpack_entries;
        let mut set = ZSet(Encoding::Listpack(pack));
        if too_many {
            set.convert_to_tree();
        }
        set
    }

    /// The score that an element of a listpack is, if it is one.
    pub fn stored_score(item: Item<'_>) -> Option<f64> {
        match item {
            Item::Int(value) => Some(value as f64),
            Item::Str(text) => {
                let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
                (!value.is_nan()).then_some(value)
            }
        }
    }

    /// An empty tree, to be filled in whatever order and then [compacted](ZSet::compact).
    pub fn new_tree() -> ZSet {
        ZSet(Encoding::Tree(Box::default()))
    }

    /// Adds a member that the caller knows to be greater than all others to [`ZSet::new_tree`]; false if it is there under
    /// another score. O(log n), without a comparison.
    pub fn push_greatest(&mut self, member: &[u8], score: f64) -> bool {
        match &mut self.0 {
            Encoding::Tree(tree) => {
                let is_new = tree.score(member).is_none();
                if is_new {
                    tree.push_last(member, score);
                }
                is_new
            }
            Encoding::Listpack(_) => panic!("members are appended to a tree"),
        }
    }

    /// Brings the set into the encoding that suits `members` members to come. As in the reference, those that are there
    /// already do not count, and those to come count even if they are not added after all.
    pub fn expect_members(&mut self, members: usize, settings: &Settings) {
        if members > settings.zset_max_listpack_entries {
            self.convert_to_tree();
        }
    }

    /// Number of members. O(1).
    pub fn len(&self) -> usize {
        match &self.0 {
            Encoding::Listpack(pack) => pack.len() / 2,
            Encoding::Tree(tree) => tree.len(),
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
            Encoding::Tree(_) => "skiplist",
        }
    }

    /// The score of a member. O(1), in a listpack O(n).
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Encoding::Listpack(pack) => {
                let pos = pack.find(member, 1)?;
                Some(score_at(pack, pack.next(pos).expect("a score follows its member")))
            }
            Encoding::Tree(tree) => tree.score(member),
        }
    }

    /// Adds a member or gives it another score, which is not NaN. The two zeros are the same score: a member keeps the sign it
    /// came with. O(log n).
    pub fn insert(&mut self, member: &[u8], score: f64, settings: &Settings) -> Inserted {
        let pack = match &mut self.0 {
            Encoding::Tree(tree) => return tree.insert(member, score),
            Encoding::Listpack(pack) => pack,
        };
        if let Some(pos) = pack.find(member, 1) {
            let score_pos = pack.next(pos).expect("a score follows its member");
            let before = score_at(pack, score_pos);
            if before == score {
                return Inserted::Unchanged;
            }
            pack.delete_at(pos, 2);
            insert_into_pack(pack, member, score);
            return Inserted::Updated;
        }
        let fits = pack.len() / 2 < settings.zset_max_listpack_entries
            && member.len() <= settings.zset_max_listpack_value
            && pack.fits(member.len());
        if fits {
            insert_into_pack(pack, member, score);
            return Inserted::Added;
        }
        self.convert_to_tree();
        match &mut self.0 {
            Encoding::Tree(tree) => tree.insert(member, score),
            Encoding::Listpack(_) => unreachable!("converted just now"),
        }
    }

    fn convert_to_tree(&mut self) {
        if let Encoding::Listpack(_) = &self.0 {
            let mut tree = Box::<SortedSet>::default();
            self.for_each(0..self.len(), false, |member, score| member.with(|bytes| tree.push_last(bytes, score)));
            self.0 = Encoding::Tree(tree);
        }
    }

    /// Removes a member; its score. O(log n).
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Encoding::Listpack(pack) => {
                let pos = pack.find(member, 1)?;
                let score = score_at(pack, pack.next(pos).expect("a score follows its member"));
                pack.delete_at(pos, 2);
                Some(score)
            }
            Encoding::Tree(tree) => tree.remove(member),
        }
    }

    /// The rank (0 for the smallest) and score of a member. O(log n).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Encoding::Listpack(pack) => {
                let mut cursor = pack.first();
                let mut rank = 0;
                while let Some(pos) = cursor {
                    let score_pos = pack.next(pos).expect("a score follows its member");
                    if pack.get(pos).eq_bytes(member) {
                        return Some((rank, score_at(pack, score_pos)));
                    }
                    cursor = pack.next(score_pos);
                    rank += 1;
                }
                None
            }
            Encoding::Tree(tree) => tree.rank(member),
        }
    }

    /// Number of leading members for which `before` holds.
    fn partition_point(&self, before: impl Fn(&[u8], f64) -> bool) -> usize {
        match &self.0 {
            Encoding::Listpack(_) => {
                let mut count = 0;
                self.visit(0..self.len(), false, &mut |member, score| {
                    let is_before = member.with(|bytes| before(bytes, score));
                    count += usize::from(is_before);
                    is_before
                });
                count
            }
            Encoding::Tree(tree) => tree.partition_point(before),
        }
    }

    /// The ranks of the members whose scores lie between two bounds. O(log n).
    pub fn score_ranks(&self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        let start = self.partition_point(|_, score| min.is_after(score));
        let end = self.partition_point(|_, score| max.admits_below(score));
        start..end.max(start)
    }

    /// The ranks of the members that lie between two bounds, in a set whose scores are all the same. O(log n).
    pub fn lex_ranks(&self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let start = self.partition_point(|member, _| min.is_after(member));
        let end = self.partition_point(|member, _| max.admits_below(member));
        start..end.max(start)
    }

    /// Shows the members of these ranks with their scores, the last one first if `reverse`. O(k + log n).
    pub fn for_each(&self, ranks: Range<usize>, reverse: bool, mut visit: impl FnMut(Text<'_>, f64)) {
        self.visit(ranks, reverse, &mut |member, score| {
            visit(member, score);
            true
        });
    }

    /// Like [`ZSet::for_each`], until `visit` returns false.
    pub fn visit(&self, ranks: Range<usize>, reverse: bool, visit: &mut dyn FnMut(Text<'_>, f64) -> bool) {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.start >= ranks.end {
            return;
        }
        match &self.0 {
            Encoding::Listpack(pack) => visit_pack(pack, ranks, reverse, visit),
            Encoding::Tree(tree) if reverse => {
                tree.range(ranks).rev().all(|(member, score)| visit(Text::Bytes(member), score));
            }
            Encoding::Tree(tree) => {
                tree.range(ranks).all(|(member, score)| visit(Text::Bytes(member), score));
            }
        }
    }

    /// Shows the members with scores from `scores.start` on and below `scores.end` for whose score `wants` has something
    /// to say, in order, until `take` returns false. O(k + log n) for k scores in the range, in a listpack O(n).
    pub fn select<'a, T>(
        &'a self,
        scores: Range<f64>,
        mut wants: impl FnMut(f64) -> Option<T>,
        mut take: impl FnMut(Text<'a>, f64, T) -> bool,
    ) {
        match &self.0 {
            Encoding::Tree(tree) => {
                tree.select(scores, wants, |member, score, wanted| take(Text::Bytes(member), score, wanted));
            }
            Encoding::Listpack(pack) => {
                let mut cursor = pack.first();
                while let Some(pos) = cursor {
                    let score_pos = pack.next(pos).expect("a score follows its member");
                    let score = score_at(pack, score_pos);
                    if score >= scores.end {
                        return;
                    }
                    let wanted = if score >= scores.start { wants(score) } else { None };
                    if wanted.is_some_and(|wanted| !take(as_text(pack.get(pos)), score, wanted)) {
                        return;
                    }
                    cursor = pack.next(score_pos);
                }
            }
        }
    }

    /// Removes the members of these ranks; `removed` sees each first, in ascending order. O(k + log n).
    pub fn remove_range(&mut self, ranks: Range<usize>, mut removed: impl FnMut(Text<'_>, f64)) -> usize {
        let ranks = ranks.start..ranks.end.min(self.len());
        if ranks.start >= ranks.end {
            return 0;
        }
        let count = ranks.len();
        if let Encoding::Listpack(_) = &self.0 {
            self.for_each(ranks.clone(), false, &mut removed);
        }
        match &mut self.0 {
            Encoding::Listpack(pack) => {
                pack.delete_range(2 * ranks.start as i64, 2 * count);
            }
            Encoding::Tree(tree) => tree.remove_range(ranks, |member, score| removed(Text::Bytes(member), score)),
        }
        count
    }

    /// A member chosen evenly, with its score. O(1), in a listpack O(n).
    pub fn random(&self, rng: &mut fastrand::Rng) -> Option<(Text<'_>, f64)> {
        match &self.0 {
            Encoding::Listpack(pack) => {
                let count = pack.len() as u64 / 2;
                let index = rng.u64(..count.max(1));
                let pos = pack.seek(2 * index as i64)?;
                Some((as_text(pack.get(pos)), score_at(pack, pack.next(pos).expect("a score follows its member"))))
            }
            Encoding::Tree(tree) => tree.random(|| rng.u64(..)).map(|(member, score)| (Text::Bytes(member), score)),
        }
    }

    /// Shows some members and returns the cursor for the next call: 0 when all were shown. A listpack is shown whole.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Text<'_>, f64)) -> u64 {
        match &self.0 {
            Encoding::Listpack(_) => {
                self.for_each(0..self.len(), false, visit);
                0
            }
            Encoding::Tree(tree) => tree.scan(cursor, &mut |member, score| visit(Text::Bytes(member), score)),
        }
    }

    /// Brings a set that was built by [`ZSet::for_members`] for more or longer members than came into the encoding it would
    /// have had otherwise.
    pub fn compact(&mut self, settings: &Settings) {
        let Encoding::Tree(tree) = &self.0 else { return };
        let longest = tree.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
        if tree.len() > settings.zset_max_listpack_entries || longest > settings.zset_max_listpack_value {
            return;
        }
        let (mut pack, mut text) = (Listpack::new(), Vec::new());
        for (member, score) in tree.iter() {
            stored(score, &mut text);
            pack.push_back_all([member, &text]);
        }
        self.0 = Encoding::Listpack(pack);
    }

    /// Starts loading what a lookup of a member of this hash reads first or, with `deep`, what it reads next.
    #[inline]
    pub fn prefetch(&self, hash: u64, deep: bool) {
        match &self.0 {
            Encoding::Tree(tree) if deep => tree.prefetch_slots(hash),
            Encoding::Tree(tree) => tree.prefetch(hash),
            Encoding::Listpack(_) => {}
        }
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Encoding::Listpack(_) => 1,
            Encoding::Tree(tree) => tree.len(),
        }
    }

    /// A copy that shares nothing.
    pub fn deep_copy(&self) -> ZSet {
        match &self.0 {
            Encoding::Listpack(pack) => ZSet(Encoding::Listpack(pack.clone())),
            Encoding::Tree(tree) => {
                let mut copy = Box::<SortedSet>::default();
                tree.iter().for_each(|(member, score)| copy.push_last(member, score));
                ZSet(Encoding::Tree(copy))
            }
        }
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`].
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Encoding::Listpack(pack) => pack.memory_bytes(),
            Encoding::Tree(tree) => size_of::<SortedSet>() + tree.memory_bytes(samples),
        }
    }
}

/// Puts a member that is not there into its place.
fn insert_into_pack(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut text = Vec::with_capacity(24);
    stored(score, &mut text);
    let mut cursor = pack.first();
    while let Some(pos) = cursor {
        let score_pos = pack.next(pos).expect("a score follows its member");
        let other = score_at(pack, score_pos);
        if other > score || other == score && as_text(pack.get(pos)).with(|name| name > member) {
            pack.insert_all_before(pos, [member, &text]);
            return;
        }
        cursor = pack.next(score_pos);
    }
    pack.push_back_all([member, &text]);
}

fn visit_pack(pack: &Listpack, ranks: Range<usize>, reverse: bool, visit: &mut dyn FnMut(Text<'_>, f64) -> bool) {
    let from = if reverse { ranks.end - 1 } else { ranks.start };
    let mut cursor = pack.seek(2 * from as i64);
    for _ in ranks {
        let Some(pos) = cursor else { return };
        let score_pos = pack.next(pos).expect("a score follows its member");
        if !visit(as_text(pack.get(pos)), score_at(pack, score_pos)) {
            return;
        }
        cursor = if reverse { pack.prev(pos).and_then(|pos| pack.prev(pos)) } else { pack.next(score_pos) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn listed(set: &ZSet, ranks: Range<usize>, reverse: bool) -> Vec<(Vec<u8>, f64)> {
        let mut members = Vec::new();
        set.for_each(ranks, reverse, |member, score| members.push((member.to_vec(), score)));
        members
    }

    proptest! {
        /// The same operations on both encodings and on a model.
        #[test]
        fn both_encodings_behave_alike(
            ops in prop::collection::vec((0u8..40, -9i8..9, 0u8..10), 1..150),
            limit in prop_oneof![Just(1000usize), Just(0), Just(20)],
        ) {
            let settings = Settings { zset_max_listpack_entries: limit, ..Settings::default() };
            let mut set = ZSet::default();
            let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
            for (id, score, kind) in ops {
                let (member, score) = (id.to_string().into_bytes(), f64::from(score) / 2.0);
                if kind < 7 {
                    set.insert(&member, score, &settings);
                    model.insert(member, score);
                } else if kind < 9 {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                } else {
                    let start = usize::from(id);
                    set.remove_range(start..start + 2, |member, _| {
                        model.remove(&member.to_vec());
                    });
                }
            }
            let mut sorted: Vec<(Vec<u8>, f64)> = model.into_iter().collect();
            sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
            prop_assert_eq!(listed(&set, 0..set.len(), false), sorted.clone());
            for (rank, (member, score)) in sorted.iter().enumerate() {
                prop_assert_eq!(set.rank(member), Some((rank, *score)));
                prop_assert_eq!(set.score(member), Some(*score));
            }
            let (min, max) = (ScoreBound { score: -1.0, exclusive: true }, ScoreBound { score: 2.0, exclusive: false });
            let within: Vec<_> = sorted.iter().filter(|(_, s)| *s > -1.0 && *s <= 2.0).cloned().collect();
            prop_assert_eq!(listed(&set, set.score_ranks(min, max), false), within.clone());
            let mut selected = Vec::new();
            set.select(-1.0..2.0, |score| (score != 0.5).then_some(()), |member, score, ()| {
                selected.push((member.to_vec(), score));
                selected.len() < 4
            });
            let wanted = |(_, s): &&(Vec<u8>, f64)| (-1.0..2.0).contains(s) && *s != 0.5;
            prop_assert_eq!(selected, sorted.iter().filter(wanted).take(4).cloned().collect::<Vec<_>>());
            let back: Vec<_> = within.into_iter().rev().collect();
            prop_assert_eq!(listed(&set, set.score_ranks(min, max), true), back);
            prop_assert_eq!(listed(&set.deep_copy(), 0..set.len(), false), sorted);
        }
    }

    #[test]
    fn lex_ranges() {
        let settings = Settings::default();
        let mut set = ZSet::default();
        for member in ["a", "b", "c", "d"] {
            set.insert(member.as_bytes(), 0.0, &settings);
        }
        assert_eq!(set.lex_ranks(LexBound::Lowest, LexBound::Highest), 0..4);
        assert_eq!(set.lex_ranks(LexBound::Exclusive(b"a"), LexBound::Inclusive(b"c")), 1..3);
        assert_eq!(set.lex_ranks(LexBound::Inclusive(b"c"), LexBound::Exclusive(b"c")), 2..2);
        assert_eq!(set.lex_ranks(LexBound::Highest, LexBound::Lowest), 4..4);
    }

    #[test]
    fn encodings_follow_the_thresholds() {
        let settings = Settings { zset_max_listpack_entries: 3, ..Settings::default() };
        let mut set = ZSet::default();
        for n in 0..3 {
            set.insert(format!("{n}").as_bytes(), 1.0, &settings);
        }
        assert_eq!(set.encoding(), "listpack");
        set.insert(b"3", 1.0, &settings);
        assert_eq!(set.encoding(), "skiplist");
        set.remove(b"3");
        assert_eq!(set.encoding(), "skiplist");
        set.compact(&settings);
        assert_eq!(set.encoding(), "listpack");
        let mut set = ZSet::default();
        set.insert(&[b'x'; 65], 1.0, &settings);
        assert_eq!(set.encoding(), "skiplist");
    }
}
