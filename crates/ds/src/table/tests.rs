//! Model tests of the table, with hashes good and bad.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::bucket::SLOTS;
use super::*;
use crate::elem::ElemKey;
use crate::entry::NewPayload;

/// An element that owns memory (so that miri and the address sanitizer see every mistake) and has whatever hash a test wants.
#[derive(Debug)]
struct Item(Box<(u64, u32)>);

// SAFETY: eight bytes, and the hash is stored.
unsafe impl Slot for Item {
    fn hash(&self) -> u64 {
        self.0.0
    }
}

fn item(hash: u64, id: u32) -> Item {
    Item(Box::new((hash, id)))
}

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ x >> 32
}

/// Ways to hash, from the expected to the hostile.
#[derive(Clone, Copy, Debug)]
enum Hashing {
    Good,
    /// All in the last buckets: probes wrap around.
    High,
    /// All in the first bucket.
    Low,
    /// All equal.
    Equal,
    /// All equal and last.
    EqualHigh,
    /// Two heaps, in the middle and at the end, with few tags.
    Heaps,
}

impl Hashing {
    fn of(self, id: u32) -> u64 {
        let good = mix(u64::from(id) + 1);
        match self {
            Hashing::Good => good,
            Hashing::High => u64::MAX << 52 | good >> 12,
            Hashing::Low => good >> 12,
            Hashing::Equal => 0x5555_5555_5555_5555,
            Hashing::EqualHigh => u64::MAX,
            Hashing::Heaps => [1 << 63, u64::MAX << 16][(good & 1) as usize] | (good >> 8 & 3),
        }
    }
}

fn hashing() -> impl Strategy<Value = Hashing> {
    prop_oneof![
        5 => Just(Hashing::Good),
        2 => Just(Hashing::High),
        1 => Just(Hashing::Low),
        1 => Just(Hashing::Equal),
        1 => Just(Hashing::EqualHigh),
        2 => Just(Hashing::Heaps),
    ]
}

/// Checks every invariant that the table's documents name.
fn check<S: Slot>(table: &Table<S>) {
    let mut len = 0;
    let old = table.migration.as_ref().map(|migration| (&migration.old, migration.frontier));
    for (array, is_old) in old.iter().map(|&(old, _)| (old, true)).chain([(&table.array, false)]) {
        let n = array.buckets();
        let mut passers = vec![0usize; n];
        for index in 0..n {
            for place in array.places(index) {
                // SAFETY: the place was found just now.
                let hash = unsafe { array.get(place) }.hash();
                let mut passed = array.home(hash);
                while passed != index {
                    passers[passed] += 1;
                    passed = (passed + 1) % n;
                }
                if let Some((old, frontier)) = old {
                    assert_eq!(old.home(hash) >= frontier, is_old, "on the wrong side of the frontier");
                }
                len += 1;
            }
        }
        for (index, &passed) in passers.iter().enumerate() {
            let bucket = array.bucket(index);
            if bucket.saturated() {
                continue;
            }
            assert_eq!(usize::from(bucket.overflow()), passed, "bucket {index} of {n}");
        }
    }
    assert_eq!(len, table.len());
    if table.migration.is_none() {
        assert!(table.len() <= capacity(table.array.buckets()).max(table.grow_at));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32),
    /// Many in a row, so that tables grow and migrate.
    InsertRun(u32, u32),
    Remove(u32),
    RemoveRun(u32, u32),
    Find(u32),
    Random(u64),
    RemoveRandom(u64),
    Retain(u32),
    Migrate(usize),
    Clear,
    Drain(usize),
}

fn step(ids: u32) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..ids).prop_map(Step::Insert),
        4 => (0..ids, 0..ids / 2).prop_map(|(at, count)| Step::InsertRun(at, count)),
        8 => (0..ids).prop_map(Step::Remove),
        3 => (0..ids, 0..ids / 2).prop_map(|(at, count)| Step::RemoveRun(at, count)),
        6 => (0..ids).prop_map(Step::Find),
        2 => any::<u64>().prop_map(Step::Random),
        2 => any::<u64>().prop_map(Step::RemoveRandom),
        1 => (2..9u32).prop_map(Step::Retain),
        2 => (0..40usize).prop_map(Step::Migrate),
        1 => Just(Step::Clear),
        1 => (0..20usize).prop_map(Step::Drain),
    ]
}

struct Model {
    hashing: Hashing,
    table: Table<Item>,
    ids: HashSet<u32>,
}

impl Model {
    fn insert(&mut self, id: u32) {
        let hash = self.hashing.of(id);
        let (found, new) = self.table.find_or_insert_with(hash, |item| item.0.1 == id, || item(hash, id));
        assert_eq!(found.0.1, id);
        assert_eq!(new, self.ids.insert(id));
    }

    fn remove(&mut self, id: u32) {
        let removed = self.table.remove(self.hashing.of(id), |item| item.0.1 == id);
        assert_eq!(removed.map(|item| item.0.1), self.ids.remove(&id).then_some(id));
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Insert(id) => self.insert(id),
            Step::InsertRun(at, count) => (at..at + count).for_each(|id| self.insert(id)),
            Step::Remove(id) => self.remove(id),
            Step::RemoveRun(at, count) => (at..at + count).for_each(|id| self.remove(id)),
            Step::Find(id) => {
                let hash = self.hashing.of(id);
                self.table.prefetch(hash);
                self.table.prefetch_slots(hash);
                self.table.hint().prefetch(hash);
                let found = self.table.find(hash, |item| item.0.1 == id).is_some();
                assert_eq!(found, self.ids.contains(&id));
                assert_eq!(self.table.find_mut(hash, |item| item.0.1 == id).is_some(), found);
            }
            Step::Random(seed) => {
                let mut state = seed;
                let found = self.table.random(|| {
                    state = mix(state + 1);
                    state
                });
                assert!(found.map_or(self.ids.is_empty(), |item| self.ids.contains(&item.0.1)));
            }
            Step::RemoveRandom(seed) => {
                let mut state = seed;
                match self.table.remove_random(|| {
                    state = mix(state + 1);
                    state
                }) {
                    Some(item) => assert!(self.ids.remove(&item.0.1)),
                    None => assert!(self.ids.is_empty()),
                }
            }
            Step::Retain(modulus) => {
                self.table.retain(|item| item.0.1 % modulus != 0);
                self.ids.retain(|id| id % modulus != 0);
            }
            Step::Migrate(buckets) => {
                let pending = self.table.migrate_step(buckets);
                assert_eq!(pending, self.table.is_migrating());
            }
            Step::Clear => {
                self.table.clear();
                self.ids.clear();
                assert_eq!(self.table.memory_bytes(), 0);
            }
            Step::Drain(count) => {
                let mut drain = self.table.drain();
                assert_eq!(drain.len(), self.ids.len());
                for item in drain.by_ref().take(count) {
                    assert!(self.ids.remove(&item.0.1));
                }
                self.ids.clear();
            }
        }
    }

    fn check(&self) {
        check(&self.table);
        let seen: HashSet<u32> = self.table.iter().map(|item| item.0.1).collect();
        assert_eq!(seen, self.ids);
        assert_eq!(self.table.iter().len(), self.ids.len());
        for &id in &self.ids {
            let hash = self.hashing.of(id);
            assert!(self.table.find(hash, |item| item.0.1 == id).is_some());
        }
    }
}

const CASES: u32 = if cfg!(miri) { 6 } else { 300 };

fn config() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn behaves_like_a_hash_set(
        hashing in hashing(), salted: bool, steps in prop::collection::vec(step(if cfg!(miri) { 150 } else { 700 }), 1..40),
    ) {
        salt::FIXED.set((!salted).then_some(salt::NEUTRAL));
        let mut model = Model { hashing, table: Table::new(), ids: HashSet::new() };
        for step in steps {
            model.run(step);
            model.check();
        }
    }

    /// Elements of the first half stay; the others come and go between the calls of the cursor.
    #[test]
    fn scan_sees_what_stays_exactly_once(
        hashing in hashing(), salted: bool, stable in 1..400u32, start_with in 0..3000u32,
        churn in prop::collection::vec((any::<bool>(), 0..3000u32, 0..600u32), 1..60),
    ) {
        let (start_with, scale) = if cfg!(miri) { (start_with / 20, 20) } else { (start_with, 1) };
        salt::FIXED.set((!salted).then_some(salt::NEUTRAL));
        let mut model = Model { hashing, table: Table::new(), ids: HashSet::new() };
        (0..stable / scale + start_with).for_each(|id| model.insert(id));
        let mut seen: HashMap<u32, u32> = HashMap::new();
        let mut cursor = 0;
        let mut churn = churn.iter().cycle();
        for call in 0.. {
            let from = cursor;
            let mut in_interval = true;
            let mut in_call = Vec::new();
            let table = &model.table;
            cursor = table.scan(cursor, &mut |item| {
                *seen.entry(item.0.1).or_default() += 1;
                in_call.push(table.scan_position(item.0.0));
            });
            in_interval &= in_call.iter().all(|&at| at >= from && (cursor == 0 || at < cursor));
            prop_assert!(in_interval);
            if cursor == 0 {
                break;
            }
            prop_assert!(cursor > from && cursor < 1 << 48);
            prop_assert!(call < 1_000_000, "does not end");
            let &(grow, at, count) = churn.next().expect("endless");
            let first = stable / scale + at / scale;
            for id in first..first + count / scale {
                if grow { model.insert(id) } else { model.remove(id) }
            }
            check(&model.table);
        }
        for id in 0..stable / scale {
            prop_assert_eq!(seen.get(&id), Some(&1), "element {} of {}", id, stable);
        }
    }
}

#[test]
fn an_empty_table_answers_without_memory() {
    let mut table: Table<Item> = Table::new();
    assert_eq!((table.memory_bytes(), table.hint().buckets), (0, 0));
    assert!(table.find(7, |_| true).is_none() && table.find_mut(u64::MAX, |_| true).is_none());
    assert!(table.remove(7, |_| true).is_none() && table.random(|| 1).is_none());
    assert!(table.remove_random(|| 1).is_none() && table.iter().next().is_none());
    assert_eq!(table.scan(0, &mut |_| unreachable!()), 0);
    assert_eq!(table.scan(u64::MAX, &mut |_| unreachable!()), 0);
    table.retain(|_| false);
    table.prefetch(7);
    table.prefetch_slots(7);
    assert!(!table.migrate_step(10));
    assert_eq!(table.stats(), TableStats::default());
}

#[test]
fn up_to_seven_elements_fit_one_line() {
    let mut table = Table::new();
    for id in 0..7 {
        table.insert_unique(mix(id), item(mix(id), id as u32));
        assert_eq!(table.memory_bytes(), 64);
    }
    table.insert_unique(mix(8), item(mix(8), 8));
    assert_eq!(table.memory_bytes(), 128);
}

/// The cost of the table beside its elements' own memory, at sizes that the project's figures are taken at and at all others.
#[test]
fn memory_per_element_is_as_promised() {
    let mut table: Table<Elem> = Table::new();
    let mut total = (0.0, 0u32);
    let max = if cfg!(miri) { 300 } else { 1_000_000 };
    for len in 1..=max {
        let elem = Elem::new((len + 1_000_000).to_string().as_bytes());
        table.insert_unique(elem.hash(), elem);
        if len < 200 || table.is_migrating() {
            continue;
        }
        let each = table.memory_bytes() as f64 / len as f64;
        assert!(each <= 12.9, "{each} bytes at {len}");
        total = (total.0 + each, total.1 + 1);
        if [3_906, 19_531, 1_000_000].contains(&len) {
            assert!(each <= 12.0, "{each} bytes at {len}");
        }
    }
    assert!(total.0 / f64::from(total.1) < 11.6, "mean {}", total.0 / f64::from(total.1));
}

/// At the highest load still most elements are at home, and no probe is long.
#[test]
#[cfg_attr(miri, ignore = "long")]
fn probes_stay_short_at_full_load() {
    let n = 40_960;
    let mut table: Table<Item> = Table::with_capacity(capacity(n));
    assert_eq!(table.hint().buckets, n);
    for id in 0..capacity(n) as u32 {
        table.insert_unique(mix(u64::from(id)), item(mix(u64::from(id)), id));
    }
    assert!(!table.is_migrating());
    let stats = table.stats();
    let mean: f64 = stats.distances.iter().enumerate().map(|(distance, &count)| (distance * count) as f64).sum::<f64>()
        / stats.len as f64;
    assert!(stats.distances[0] as f64 / stats.len as f64 > 0.84, "{stats:?}");
    assert!(mean < 0.8, "{mean} {stats:?}");
    assert!(stats.max_distance < 250 && stats.saturated_buckets == 0, "{stats:?}");
}

#[test]
fn a_table_shrinks_in_steps_and_gives_its_memory_back() {
    let count = if cfg!(miri) { 500 } else { 50_000 };
    let mut table = Table::new();
    for id in 0..count {
        table.insert_unique(mix(id), item(mix(id), id as u32));
    }
    let full = table.memory_bytes();
    for id in 0..count {
        assert!(table.remove(mix(id), |item| item.0.1 == id as u32).is_some());
        let slots = table.array.buckets() * SLOTS;
        assert!(table.is_migrating() || table.len() * 8 >= slots || slots == SLOTS, "{} in {slots}", table.len());
    }
    assert!(full > 0 && table.memory_bytes() == 0);
}

#[test]
fn a_table_emptied_at_once_takes_insertions_while_it_shrinks() {
    let count = if cfg!(miri) { 400 } else { 30_000 };
    let mut table = Table::new();
    for id in 0..count {
        table.insert_unique(mix(id), item(mix(id), id as u32));
    }
    table.migrate_step(usize::MAX);
    table.retain(|item| item.0.1 < 5);
    assert!(table.is_migrating());
    let frontier = table.migration.as_ref().expect("shrinking").frontier;
    for id in count..2 * count {
        table.insert_unique(mix(id), item(mix(id), id as u32));
        if let Some(migration) = &table.migration {
            assert!(migration.frontier <= frontier + (id - count + 1) as usize * 128, "a step is bounded");
        }
    }
    check(&table);
    assert_eq!(table.len() as u64, count + 5);
}

/// Every element equally likely, wherever it lies: chi-squared with 699 degrees of freedom (mean 699, sigma 37).
#[test]
#[cfg_attr(miri, ignore = "long")]
fn random_choice_is_even_also_while_migrating() {
    let mut table = Table::new();
    for id in 0..700u64 {
        table.insert_unique(mix(id), item(mix(id), id as u32));
    }
    table.migrate_step(usize::MAX);
    table.resize_for_test(160);
    table.migrate_step(40);
    assert!(table.is_migrating());
    let mut state = 1;
    let mut counts = vec![0u32; 700];
    for _ in 0..140_000 {
        let chosen = table
            .random(|| {
                state = mix(state + 1);
                state
            })
            .expect("not empty");
        counts[chosen.0.1 as usize] += 1;
    }
    let chi: f64 = counts.iter().map(|&count| (f64::from(count) - 200.0).powi(2) / 200.0).sum();
    assert!(chi < 890.0, "{chi}");
}

#[test]
fn entries_and_elements_are_found_by_their_bytes() {
    let mut entries: Table<Entry<Box<u32>>> = Table::new();
    let mut elems: Table<Elem> = Table::new();
    let count = if cfg!(miri) { 100 } else { 5000u32 };
    let key = |id: u32| format!("{}{id}", ["", "long-prefix-", "k:"][id as usize % 3]);
    for id in 0..count {
        let key = key(id);
        let entry = Entry::new(key.as_bytes(), NewPayload::Object(Box::new(id)), None, Some(1));
        entries.insert_unique(entry.hash(), entry);
        let probe = ElemKey::new(key.as_bytes());
        elems.insert_unique(probe.hash(), probe.to_elem());
    }
    for id in 0..count {
        let key = key(id);
        let hash = crate::hash::hash(key.as_bytes());
        let entry = entries.find_mut(hash, |entry| entry.key_eq(key.as_bytes())).expect("there");
        entry.set_bytes(&[7; 100]);
        entry.set_object(Box::new(id + 1));
        let probe = ElemKey::new(key.as_bytes());
        assert!(elems.find(probe.hash(), |elem| probe.matches(elem)).is_some());
        let absent = ElemKey::new(b"absent");
        assert!(elems.find(absent.hash(), |elem| absent.matches(elem)).is_none());
    }
    for id in (0..count).step_by(2) {
        let key = key(id);
        let hash = crate::hash::hash(key.as_bytes());
        assert!(entries.remove(hash, |entry| entry.key_eq(key.as_bytes())).is_some());
        assert!(elems.remove(hash, |elem| elem.eq_bytes(key.as_bytes())).is_some());
    }
    check(&entries);
    check(&elems);
}

#[test]
fn positions_and_homes_agree_at_every_border() {
    for n in (1..3000).chain([1 << 20, (1 << 20) + 1, 12_345_678]) {
        for index in [0, 1, n / 3, n / 2, n - 1] {
            let first = array::first_position(index, n);
            if first < 1 << 48 {
                assert!(home_of(first << 16, n) >= index && home_of(first << 16 | 0xffff, n) >= index);
            }
            if first > 0 {
                assert!(home_of((first - 1) << 16 | 0xffff, n) < index, "{n} {index}");
            }
        }
        assert_eq!(array::first_position(n, n), 1 << 48);
        assert_eq!(home_of(u64::MAX, n), n - 1);
    }
}

/// Additions in the order of another table, or of a walk through it, meet no crowds in a table that grows meanwhile.
#[test]
fn the_order_of_one_table_is_none_in_another() {
    let hashes = (0..if cfg!(miri) { 500 } else { 20_000 }).map(|n| mix(n + 1));
    let mut source = Table::new();
    for hash in hashes {
        source.insert_unique(hash, item(hash, 0));
    }
    let mut walked = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = source.scan(cursor, &mut |item| walked.push(item.hash()));
        if cursor == 0 {
            break;
        }
    }
    let iterated: Vec<u64> = source.iter().map(Slot::hash).collect();
    for order in [walked, iterated] {
        assert_eq!(order.len(), source.len());
        let mut copy = Table::new();
        for (index, &hash) in order.iter().enumerate() {
            copy.insert_unique(hash, item(hash, 0));
            if index % 1000 == 999 {
                let stats = copy.stats();
                // One in a hundred is usual; in the source's own order it would be nearly all.
                assert!(stats.distances[stats::DISTANCES - 1] * 10 <= stats.len, "{index}: {stats:?}");
            }
        }
    }
}
