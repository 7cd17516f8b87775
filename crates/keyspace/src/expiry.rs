//! The time-ordered index of what expires.
//!
//! An exact index, not a sample: whatever is due is found in O(log n) and nothing else is looked at. An item is the
//! pair (time, hash of the key); two keys with the same 64-bit hash and the same millisecond share one item, and the
//! key left out then goes when it is next accessed.
//!
//! Items are kept in sorted *runs* of bounded length, and the runs in order. A binary search finds the run and another
//! one the place in it; what has to move then is at most 2 KB. Unlike a tree, this can also name an item chosen evenly,
//! as eviction wants.

/// Items of a run at most.
const RUN_MAX: usize = 128;
/// A run this short is joined with a neighbour, if both together fill no more than half.
const RUN_SHORT: usize = RUN_MAX / 4;

/// When a key expires, Unix ms, and its hash.
type Item = (u64, u64);

/// Hashes of keys, ordered by when they expire.
#[derive(Default, Debug)]
pub struct ExpiryIndex {
    /// In order, none of them empty.
    runs: Vec<Run>,
    len: usize,
}

#[derive(Debug)]
struct Run {
    /// No item of this run is below, and none of the runs before is not; of no meaning in the first run.
    from: Item,
    /// In order.
    items: Vec<Item>,
}

impl ExpiryIndex {
    /// How many are indexed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The run in which an item is or would be; there must be one.
    fn run_of(&self, item: Item) -> usize {
        self.runs[1..].partition_point(|run| run.from <= item)
    }

    /// Adds a key that expires at `at_ms`. O(log n).
    pub fn insert(&mut self, at_ms: u64, hash: u64) {
        let item = (at_ms, hash);
        if self.runs.is_empty() {
            self.runs.push(Run { from: item, items: vec![item] });
            self.len = 1;
            return;
        }
        let at = self.run_of(item);
        let Err(place) = self.runs[at].items.binary_search(&item) else { return };
        self.len += 1;
        let items = &mut self.runs[at].items;
        if items.len() < RUN_MAX {
            items.insert(place, item);
        } else if place == RUN_MAX {
            // Times mostly rise: runs that stay as they are should be full.
            self.runs.insert(at + 1, Run { from: item, items: vec![item] });
        } else {
            let upper = items.split_off(RUN_MAX / 2);
            let from = upper[0];
            self.runs.insert(at + 1, Run { from, items: upper });
            let (at, place) = if place <= RUN_MAX / 2 { (at, place) } else { (at + 1, place - RUN_MAX / 2) };
            self.runs[at].items.insert(place, item);
        }
    }

    /// Takes a key out again. O(log n).
    pub fn remove(&mut self, at_ms: u64, hash: u64) {
        if self.runs.is_empty() {
            return;
        }
        let at = self.run_of((at_ms, hash));
        if let Ok(place) = self.runs[at].items.binary_search(&(at_ms, hash)) {
            self.take(at, place);
        }
    }

    fn take(&mut self, at: usize, place: usize) -> Item {
        self.len -= 1;
        let item = self.runs[at].items.remove(place);
        if self.runs[at].items.len() < RUN_SHORT {
            self.tidy(at);
        }
        item
    }

    /// Joins a short run with a neighbour if they fit well, or removes an empty one.
    fn tidy(&mut self, at: usize) {
        let len = |at: usize| self.runs.get(at).map_or(RUN_MAX, |run| run.items.len());
        if len(at) == 0 {
            self.runs.remove(at);
        } else if len(at) + len(at + 1) <= RUN_MAX / 2 {
            let next = self.runs.remove(at + 1);
            self.runs[at].items.extend(next.items);
        } else if at > 0 && len(at - 1) + len(at) <= RUN_MAX / 2 {
            let run = self.runs.remove(at);
            self.runs[at - 1].items.extend(run.items);
        }
        if self.runs.is_empty() {
            self.runs = Vec::new();
        }
    }

    /// Moves a key from one time to another, either of which may be none.
    pub fn change(&mut self, hash: u64, from_ms: Option<u64>, to_ms: Option<u64>) {
        if from_ms == to_ms {
            return;
        }
        if let Some(at_ms) = from_ms {
            self.remove(at_ms, hash);
        }
        if let Some(at_ms) = to_ms {
            self.insert(at_ms, hash);
        }
    }

    /// The first one: its time and hash.
    pub fn first(&self) -> Option<(u64, u64)> {
        self.runs.first()?.items.first().copied()
    }

    /// When the first one is due, Unix ms.
    pub fn next_ms(&self) -> Option<u64> {
        self.first().map(|(at_ms, _)| at_ms)
    }

    /// Takes out the first one that is due at `now_ms`: its time and hash.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<(u64, u64)> {
        let (at_ms, _) = self.first()?;
        (at_ms <= now_ms).then(|| self.take(0, 0))
    }

    /// One chosen evenly, its time and hash; `random` gives evenly distributed words. Expected O(1).
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<(u64, u64)> {
        /// Runs are a quarter full, most of them: so many misses in a row happen once in a hundred million times.
        const TRIES: usize = 64;
        if self.runs.is_empty() {
            return None;
        }
        // Every place of every run is equally likely, and an empty one means another throw.
        let places = (self.runs.len() * RUN_MAX) as u64;
        for _ in 0..TRIES {
            let place = ((u128::from(random()) * u128::from(places)) >> 64) as usize;
            if let Some(&item) = self.runs[place / RUN_MAX].items.get(place % RUN_MAX) {
                return Some(item);
            }
        }
        self.runs[random() as usize % self.runs.len()].items.first().copied()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.runs.iter().flat_map(|run| run.items.iter().copied())
    }

    /// Mean time left of up to `sample` items, ms; 0 when empty.
    pub fn mean_ttl_ms(&self, now_ms: u64, sample: usize) -> u64 {
        let times: Vec<u64> = self.iter().take(sample).map(|(at_ms, _)| at_ms.saturating_sub(now_ms)).collect();
        if times.is_empty() { 0 } else { times.iter().sum::<u64>() / times.len() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};

    #[derive(Debug, Clone)]
    enum Op {
        Insert(u64, u64),
        Append(u64),
        Remove(u64, u64),
        RemoveNth(usize),
        PopDue(u64),
        Change(usize, Option<u64>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let (ms, hash) = (0..2000u64, 0..8u64);
        prop_oneof![
            6 => (ms.clone(), hash.clone()).prop_map(|(ms, hash)| Op::Insert(ms, hash)),
            3 => hash.clone().prop_map(Op::Append),
            1 => (ms.clone(), hash).prop_map(|(ms, hash)| Op::Remove(ms, hash)),
            4 => any::<usize>().prop_map(Op::RemoveNth),
            1 => (0..300u64).prop_map(Op::PopDue),
            2 => (any::<usize>(), proptest::option::of(ms)).prop_map(|(nth, ms)| Op::Change(nth, ms)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(rounds in proptest::collection::vec((op(), 1..40usize), 0..120)) {
            let (mut index, mut model) = (ExpiryIndex::default(), BTreeSet::new());
            for (op, times) in rounds {
                for n in 0..times {
                    let nth = |nth: usize| model.iter().nth(nth.wrapping_add(n) % model.len().max(1)).copied();
                    match op {
                        Op::Insert(ms, hash) => {
                            index.insert(ms + n as u64 * 7, hash);
                            model.insert((ms + n as u64 * 7, hash));
                        }
                        Op::Append(hash) => {
                            let ms = model.last().map_or(0, |&(ms, _): &Item| ms) + 1;
                            index.insert(ms, hash);
                            model.insert((ms, hash));
                        }
                        Op::Remove(ms, hash) => {
                            index.remove(ms, hash);
                            model.remove(&(ms, hash));
                        }
                        Op::RemoveNth(at) => {
                            if let Some((ms, hash)) = nth(at) {
                                index.remove(ms, hash);
                                model.remove(&(ms, hash));
                            }
                        }
                        Op::PopDue(ms) => {
                            let due = model.first().copied().filter(|first| first.0 <= ms);
                            prop_assert_eq!(index.pop_due(ms), due);
                            due.map(|first| model.remove(&first));
                        }
                        Op::Change(at, to) => {
                            if let Some((ms, hash)) = nth(at) {
                                index.change(hash, Some(ms), to);
                                model.remove(&(ms, hash));
                                to.map(|to| model.insert((to, hash)));
                            }
                        }
                    }
                }
                prop_assert_eq!(index.len(), model.len());
                prop_assert!(index.iter().eq(model.iter().copied()));
                prop_assert_eq!(index.next_ms(), model.first().map(|first| first.0));
                prop_assert!(index.runs.iter().all(|run| !run.items.is_empty() && run.items.len() <= RUN_MAX));
            }
        }
    }

    #[test]
    fn every_item_is_equally_likely() {
        const ITEMS: u64 = 3000;
        let (mut index, mut rng) = (ExpiryIndex::default(), fastrand::Rng::with_seed(5));
        assert_eq!(index.random(|| 0), None);
        for n in 0..ITEMS {
            index.insert(n % 2 * 1_000_000_000 + n * n, n);
        }
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for _ in 0..ITEMS * 100 {
            let (_, hash) = index.random(|| rng.u64(..)).unwrap();
            *counts.entry(hash).or_default() += 1;
        }
        assert_eq!(counts.len() as u64, ITEMS);
        // A Poisson distribution's deviation is the root of its mean.
        let squares: f64 = counts.values().map(|&count| (count as f64 - 100.0).powi(2)).sum::<f64>() / ITEMS as f64;
        assert!((squares.sqrt() - 10.0).abs() < 1.0, "deviation {}", squares.sqrt());
    }
}
