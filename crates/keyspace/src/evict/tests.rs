//! The pool against a list, and what goes under each policy.

use super::*;
use crate::{Env, Key, Keyspace, Locked, NewPayload, Settings, Stats, Work};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW_MS: u64 = 1_900_000_000_000;

fn candidate() -> impl Strategy<Value = Candidate> {
    (0..50u64, 0..30u64, 0..2u32).prop_map(|(score, hash, db)| Candidate { score, hash, partition: 0, db })
}

proptest! {
    /// `None` takes the best one out.
    #[test]
    fn a_pool_keeps_the_best(steps in proptest::collection::vec(proptest::option::weighted(0.8, candidate()), 0..300)) {
        let (mut pool, mut model) = (Pool::default(), Vec::<Candidate>::new());
        for step in steps {
            match step {
                Some(new) => {
                    pool.offer(new);
                    model.retain(|old| (old.hash, old.db) != (new.hash, new.db));
                    // The sort is stable: those of the same score that have come before stay behind it, to be taken
                    // first.
                    model.insert(0, new);
                    model.sort_by_key(|candidate| candidate.score);
                    if model.len() > POOL_MAX {
                        model.remove(0);
                    }
                }
                None => prop_assert_eq!(pool.take_best(), model.pop()),
            }
            prop_assert_eq!(&pool.candidates, &model);
        }
    }
}

/// A keyspace of sixteen partitions and what surrounds work on it.
struct Fixture {
    keyspace: Keyspace,
    settings: Settings,
    stats: Stats,
    work: Work,
}

impl Fixture {
    fn new() -> Fixture {
        let work = Work::default();
        work.rng.borrow_mut().seed(7);
        Fixture { keyspace: Keyspace::new(16, 4), settings: Settings::default(), stats: Stats::default(), work }
    }

    fn db(&self, index: u32) -> Db<'_> {
        let env = Env {
            now_ms: NOW_MS,
            expiry_ms: NOW_MS,
            settings: &self.settings,
            stats: &self.stats,
            work: &self.work,
            observer: None,
            no_touch: false,
        };
        Db::new(&self.keyspace, Locked::None, index, env)
    }

    /// Adds `key:n` with this access clock.
    fn add(&self, index: u32, n: u64, expire_at_ms: Option<u64>, meta: u32) {
        let name = format!("key:{n}");
        let key = Key::new(name.as_bytes());
        let mut db = self.db(index);
        db.visit(self.keyspace.partition_of(&key)).unwrap();
        db.load(&key, NewPayload::Int(1), expire_at_ms, meta, false);
    }

    /// Touches `key:n`.
    fn read(&self, n: u64) {
        let name = format!("key:{n}");
        let key = Key::new(name.as_bytes());
        let mut db = self.db(0);
        db.visit(self.keyspace.partition_of(&key)).unwrap();
        assert!(db.read(&key).is_some());
    }

    fn evict(&self, evictor: &mut Evictor, policy: Policy) -> Outcome {
        evictor.evict(&mut self.db(0), policy)
    }

    /// The numbers of the keys that are left in a database.
    fn left(&self, index: u32) -> BTreeSet<u64> {
        let mut left = BTreeSet::new();
        for partition in 0..self.keyspace.partitions() {
            self.keyspace.read(partition, |part| {
                let entries = part.db(index).into_iter().flat_map(|db| db.table().iter());
                left.extend(entries.map(|entry| String::from_utf8_lossy(&entry.key()[4..]).parse::<u64>().unwrap()));
            });
        }
        left
    }
}

fn policy(volatile: bool, rank: Rank) -> Policy {
    Policy { volatile, rank, samples: 5 }
}

#[test]
fn the_first_to_expire_goes_first() {
    let fixture = Fixture::new();
    let mut order: Vec<(u64, u64)> = (0..500).map(|n| (NOW_MS + 1000 + n * 7919 % 5000, n)).collect();
    for &(at_ms, n) in &order {
        fixture.add(n as u32 % 3, n, Some(at_ms), 0);
    }
    fixture.add(0, 1000, None, 0);
    // One that expires later after all, and one that does not any more: what is known of them must follow.
    for (n, at_ms) in [(order[0].1, Some(NOW_MS + 9000)), (order[3].1, None)] {
        let name = format!("key:{n}");
        let key = Key::new(name.as_bytes());
        let mut db = fixture.db(n as u32 % 3);
        db.visit(fixture.keyspace.partition_of(&key)).unwrap();
        assert!(db.set_expiry(&key, at_ms));
    }
    order[0].0 = NOW_MS + 9000;
    let kept = order.remove(3).1;
    order.sort_unstable();
    let mut evictor = Evictor::default();
    for (_, n) in order {
        assert!(fixture.left(n as u32 % 3).contains(&n));
        assert_eq!(fixture.evict(&mut evictor, policy(true, Rank::Ttl)), Outcome::Evicted(0));
        assert!(!fixture.left(n as u32 % 3).contains(&n), "key {n} is still there");
    }
    assert_eq!(fixture.evict(&mut evictor, policy(true, Rank::Ttl)), Outcome::Nothing);
    assert_eq!(fixture.left(0), BTreeSet::from([kept, 1000]));
    assert_eq!(fixture.stats.evicted_keys.get(), 499);
}

/// Keys are the older the lower their number.
fn fill_by_age(fixture: &Fixture, keys: u64, volatile: bool) {
    for n in 0..keys {
        let expire_at_ms = volatile.then_some(NOW_MS + 1_000_000 + n * 31 % keys);
        let meta = access::lru_clock(NOW_MS) - 10 * (keys - n) as u32;
        fixture.add(0, n, expire_at_ms, meta);
    }
}

#[test]
fn the_oldest_go_first() {
    for volatile in [false, true] {
        let fixture = Fixture::new();
        fill_by_age(&fixture, 2000, volatile);
        if volatile {
            (5000..5100).for_each(|n| fixture.add(1, n, None, 0));
        }
        let mut evictor = Evictor::default();
        for _ in 0..500 {
            assert_eq!(fixture.evict(&mut evictor, policy(volatile, Rank::Lru)), Outcome::Evicted(0));
        }
        let left = fixture.left(0);
        assert_eq!(left.len(), 1500);
        let young_gone = (1000..2000).filter(|n| !left.contains(n)).count();
        let old_gone = (0..500).filter(|n| !left.contains(n)).count();
        assert!(young_gone <= 5, "{young_gone} of the younger half are gone");
        assert!(old_gone > 350, "only {old_gone} of the oldest quarter are gone");
        assert_eq!(fixture.left(1).len(), if volatile { 100 } else { 0 });
    }
}

#[test]
fn a_candidate_that_is_used_meanwhile_stays() {
    let fixture = Fixture::new();
    fill_by_age(&fixture, 1000, false);
    let mut evictor = Evictor::default();
    assert!(matches!(fixture.evict(&mut evictor, policy(false, Rank::Lru)), Outcome::Evicted(_)));
    let left = fixture.left(0);
    let pooled: Vec<u64> = evictor.pool.candidates.iter().map(|candidate| candidate.hash).collect();
    let used: Vec<u64> =
        left.iter().copied().filter(|n| pooled.contains(&Key::new(format!("key:{n}").as_bytes()).hash)).collect();
    assert!(!used.is_empty());
    used.iter().for_each(|&n| fixture.read(n));
    for _ in 0..300 {
        fixture.evict(&mut evictor, policy(false, Rank::Lru));
    }
    let left = fixture.left(0);
    assert!(used.iter().all(|n| left.contains(n)));
}

#[test]
fn the_least_used_go_first() {
    let mut fixture = Fixture::new();
    fixture.settings.lfu = true;
    for n in 0..1000 {
        fixture.add(0, n, None, access::with_freq(if n < 300 { 2 } else { 100 }, NOW_MS));
    }
    let mut evictor = Evictor::default();
    for _ in 0..200 {
        assert!(matches!(fixture.evict(&mut evictor, policy(false, Rank::Lfu)), Outcome::Evicted(_)));
    }
    let left = fixture.left(0);
    let wrong = (300..1000).filter(|n| !left.contains(n)).count();
    assert!(wrong <= 10, "{wrong} keys that are used are gone");
}

#[test]
fn of_few_keys_the_right_one_goes() {
    for rank in [Rank::Lru, Rank::Ttl] {
        let fixture = Fixture::new();
        for n in 0..5 {
            let meta = access::lru_clock(NOW_MS) - [30, 50, 10, 40, 20][n as usize];
            fixture.add(n as u32 % 2, n, Some(NOW_MS + 1000 - u64::from(meta & 0xFF)), meta);
        }
        let by_clock = [1, 3, 0, 4, 2];
        let mut left: Vec<u64> = by_clock.to_vec();
        if rank == Rank::Ttl {
            // Later, the lower the clock.
            let clock = |n: u64| access::lru_clock(NOW_MS) - [30, 50, 10, 40, 20][n as usize];
            left.sort_by_key(|&n| 1000 - (clock(n) & 0xFF));
        }
        let mut evictor = Evictor::default();
        for n in left {
            assert!(matches!(fixture.evict(&mut evictor, policy(true, rank)), Outcome::Evicted(_)));
            assert!(!fixture.left(n as u32 % 2).contains(&n), "{rank:?}: key {n} is there");
        }
    }
}

#[test]
fn chance_prefers_nothing() {
    let fixture = Fixture::new();
    fill_by_age(&fixture, 1000, true);
    (2000..3000).for_each(|n| fixture.add(2, n, None, 0));
    let mut evictor = Evictor::default();
    for _ in 0..500 {
        assert!(matches!(fixture.evict(&mut evictor, policy(true, Rank::Random)), Outcome::Evicted(_)));
    }
    assert_eq!(fixture.left(2).len(), 1000);
    let left = fixture.left(0);
    let old_left = left.range(..500).count();
    assert!(left.len() == 500 && (200..300).contains(&old_left), "{old_left} of the older half are left");
    for _ in 0..1500 {
        assert!(matches!(fixture.evict(&mut evictor, policy(false, Rank::Random)), Outcome::Evicted(_)));
    }
    assert_eq!(fixture.evict(&mut evictor, policy(false, Rank::Random)), Outcome::Nothing);
    assert_eq!(fixture.evict(&mut evictor, policy(false, Rank::Lru)), Outcome::Nothing);
}

#[test]
fn large_values_are_freed_elsewhere() {
    let fixture = Fixture::new();
    let mut db = fixture.db(0);
    let key = Key::new(b"large");
    db.visit(fixture.keyspace.partition_of(&key)).unwrap();
    let mut list = crate::list::List::of_nodes(&fixture.settings);
    for n in 0..100_000 {
        list.push(crate::list::End::Right, format!("element {n}").as_bytes());
    }
    db.store(&key, list, "rpush");
    drop(db);
    let Outcome::Evicted(later) = fixture.evict(&mut Evictor::default(), policy(false, Rank::Lru)) else {
        panic!("it stays")
    };
    assert!(later > 500_000, "{later} bytes are left");
    assert_eq!(fixture.work.trash.borrow().len(), 1);
}
