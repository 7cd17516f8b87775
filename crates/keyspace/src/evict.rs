//! Which keys give way when memory is short.
//!
//! Nothing is kept in order for this. A few keys are looked at, those are remembered that seem to be missed least (the
//! *pool*), and the best of all that were looked at so far goes: the published approximation of LRU, whose choices come
//! close to exact ones after a while. Where keys are compared, it is across partitions: a partition is chosen by how
//! much it holds (the *map*), some keys are taken from it, and each step locks one partition only. A key in the pool is
//! looked at again before it goes: it may have been used since.
//!
//! The next key to expire needs no samples: each partition knows its first one, and all partitions are compared.

use crate::{Db, Entry, Settings, access};

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rank {
    /// The time of the last access.
    Lru,
    /// How often a key is used.
    Lfu,
    /// Nothing.
    Random,
    /// The time at which a key expires.
    Ttl,
}

/// How keys are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Only keys that expire.
    pub volatile: bool,
    /// What decides between them.
    pub rank: Rank,
    /// Keys looked at for each one that goes, at least.
    pub samples: usize,
}

/// What came of an eviction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A key has gone; so many bytes of it will be free only later.
    Evicted(usize),
    /// There is no key that may go.
    Nothing,
    /// A script that takes long has them.
    Unavailable,
}

/// Keys that are next to each other in a table, and cost little more than one of them.
const NEIGHBOURS: usize = 7;
/// Candidates remembered.
const POOL_MAX: usize = 16;
/// Evictions between two looks at how keys are spread.
const MAP_USES: u32 = 1000;
/// Such a look holds for so long, ms.
const MAP_AGE_MS: u64 = 100;
/// Rounds of samples without success after which the first key found goes.
const ROUNDS_MAX: usize = 32;

/// A key that may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Candidate {
    /// The higher, the less it is missed.
    score: u64,
    hash: u64,
    partition: u32,
    db: u32,
}

/// The best candidates seen so far, the best one last.
#[derive(Default, Debug)]
struct Pool {
    candidates: Vec<Candidate>,
}

impl Pool {
    fn offer(&mut self, new: Candidate) {
        let known = |old: &Candidate| (old.hash, old.partition, old.db) == (new.hash, new.partition, new.db);
        if let Some(at) = self.candidates.iter().position(known) {
            self.candidates.remove(at);
        } else if self.candidates.len() == POOL_MAX {
            if self.candidates[0].score >= new.score {
                return;
            }
            self.candidates.remove(0);
        }
        let at = self.candidates.partition_point(|old| old.score < new.score);
        self.candidates.insert(at, new);
    }

    fn take_best(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }
}

/// A database's part of a partition that has keys which may go.
#[derive(Clone, Copy, Debug)]
struct Part {
    partition: u32,
    db: u32,
    /// Its keys and those of all parts before it.
    keys_to_here: u64,
}

/// How keys that may go are spread.
#[derive(Default, Debug)]
struct Map {
    parts: Vec<Part>,
    uses: u32,
    made_ms: u64,
}

impl Map {
    fn keys(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.keys_to_here)
    }

    /// The part of key number `nth`, counted through all of them.
    fn part_of(&self, nth: u64) -> Part {
        self.parts[self.parts.partition_point(|part| part.keys_to_here <= nth)]
    }

    fn look(&mut self, db: &Db<'_>, volatile: bool) {
        self.parts.clear();
        let mut keys_to_here = 0;
        for index in 0..db.keyspace().partitions() {
            let parts: Vec<(u32, usize)> = db.look(index, |partition| {
                let len = |at: u32| partition.db(at).map_or(0, |db| if volatile { db.expires_len() } else { db.len() });
                partition.databases().map(|at| (at, len(at))).filter(|&(_, keys)| keys > 0).collect()
            });
            for (at, keys) in parts {
                keys_to_here += keys as u64;
                self.parts.push(Part { partition: index as u32, db: at, keys_to_here });
            }
        }
        self.made_ms = db.now_ms();
        self.uses = 0;
    }
}

/// Chooses keys and removes them; one for each thread that does so.
#[derive(Default, Debug)]
pub struct Evictor {
    pool: Pool,
    map: Map,
    /// What both are about.
    policy: Option<Policy>,
}

impl Evictor {
    /// Removes the key that is missed least, as far as `policy` can tell. No partition may be locked but by `db`, which
    /// selects and locks what it likes.
    pub fn evict(&mut self, db: &mut Db<'_>, policy: Policy) -> Outcome {
        if self.policy != Some(policy) {
            *self = Evictor { policy: Some(policy), ..Evictor::default() };
        }
        match policy.rank {
            Rank::Ttl => self.evict_first_to_expire(db),
            Rank::Random => self.evict_any(db, policy),
            Rank::Lru | Rank::Lfu => self.evict_by_score(db, policy),
        }
    }

    fn evict_by_score(&mut self, db: &mut Db<'_>, policy: Policy) -> Outcome {
        for _ in 0..ROUNDS_MAX {
            if !self.has_keys(db, policy) {
                return Outcome::Nothing;
            }
            if self.add_samples(db, policy).is_none() {
                return Outcome::Unavailable;
            }
            while let Some(best) = self.pool.take_best() {
                let index = best.partition as usize;
                db.select(best.db);
                if db.visit(index).is_err() {
                    return Outcome::Unavailable;
                }
                let Some(part) = db.part(index) else { continue };
                let is_meant =
                    |entry: &Entry| entry.hash() == best.hash && (!policy.volatile || entry.expire_at_ms().is_some());
                let Some(place) = part.table().locate(best.hash, is_meant) else { continue };
                let score = score(part.table().at(place), policy.rank, db.now_ms(), db.settings());
                if score >= best.score {
                    return Outcome::Evicted(db.evict_at(index, best.hash, place));
                }
                // It was used since. There may be better ones by now.
                if self.pool.candidates.last().is_none_or(|next| next.score <= score) {
                    self.pool.offer(Candidate { score, ..best });
                    break;
                }
            }
        }
        self.evict_any(db, policy)
    }

    /// Looks at some keys. `None` when a script has them.
    fn add_samples(&mut self, db: &mut Db<'_>, policy: Policy) -> Option<()> {
        let wanted = policy.samples.next_multiple_of(NEIGHBOURS);
        let mut left = wanted as u64;
        if self.map.keys() <= left {
            // So few that they can all be compared.
            for at in 0..self.map.parts.len() {
                let part = self.map.parts[at];
                self.add_samples_of(db, part, policy, wanted)?;
            }
            return Some(());
        }
        for _ in 0..wanted * 2 {
            let part = self.map.part_of(db.random_below(self.map.keys()));
            left = left.saturating_sub(self.add_samples_of(db, part, policy, left as usize)? as u64);
            if left == 0 {
                break;
            }
        }
        Some(())
    }

    /// Looks at some keys of one part; how many.
    fn add_samples_of(&mut self, db: &mut Db<'_>, at: Part, policy: Policy, max: usize) -> Option<usize> {
        let index = at.partition as usize;
        db.select(at.db);
        db.visit(index).ok()?;
        let (now_ms, settings, env) = (db.now_ms(), db.settings(), db.env());
        let Some(part) = db.part(index) else { return Some(0) };
        let mut rng = env.work.rng.borrow_mut();
        let mut seen = 0;
        let mut see = |entry: &Entry| {
            let score = score(entry, policy.rank, now_ms, settings);
            self.pool.offer(Candidate { score, hash: entry.hash(), partition: at.partition, db: at.db });
            seen += 1;
        };
        if !policy.volatile {
            part.table().sample(max, || rng.u64(..), &mut see);
        } else if part.expires_len() <= max {
            part.expires.iter().filter_map(|item| expiring(part, item)).for_each(&mut see);
        } else {
            let picks = (0..max).filter_map(|_| part.expires.random(|| rng.u64(..)));
            picks.filter_map(|item| expiring(part, item)).for_each(&mut see);
        }
        Some(seen)
    }

    /// Removes a key chosen evenly.
    fn evict_any(&mut self, db: &mut Db<'_>, policy: Policy) -> Outcome {
        for _ in 0..ROUNDS_MAX {
            if !self.has_keys(db, policy) {
                return Outcome::Nothing;
            }
            let part = self.map.part_of(db.random_below(self.map.keys()));
            match evict_any_of(db, part, policy) {
                Some(Outcome::Evicted(later)) => return Outcome::Evicted(later),
                Some(other) => return other,
                // It has none any more.
                None => self.map.uses = MAP_USES,
            }
        }
        Outcome::Nothing
    }

    /// Removes the key that expires first.
    fn evict_first_to_expire(&mut self, db: &mut Db<'_>) -> Outcome {
        // What partitions say is never too late, and true for those looked at here: each is looked at once, unless
        // others change them all the time.
        for _ in 0..db.keyspace().partitions() * 2 + 1 {
            let (index, at_ms) = db.keyspace().first_key_due();
            if at_ms == u64::MAX {
                return Outcome::Nothing;
            }
            if db.visit(index).is_err() {
                return Outcome::Unavailable;
            }
            let Some((first_ms, hash, selected)) = first_of(db, index) else {
                db.keyspace().set_key_due(index, u64::MAX);
                continue;
            };
            db.keyspace().set_key_due(index, first_ms);
            // Others may have come before it now.
            if first_ms > at_ms && db.keyspace().first_key_due().1 < first_ms {
                continue;
            }
            db.select(selected);
            let Some(part) = db.part(index) else { continue };
            let Some(place) = part.table().locate(hash, is_item(first_ms, hash)) else {
                // Another key with the same hash has shared the item, and has gone.
                db.forget_expiry(index, first_ms, hash);
                continue;
            };
            return Outcome::Evicted(db.evict_at(index, hash, place));
        }
        Outcome::Nothing
    }

    /// Whether there is any key that may go, as of the last look at least.
    fn has_keys(&mut self, db: &Db<'_>, policy: Policy) -> bool {
        let is_old = db.now_ms().abs_diff(self.map.made_ms) > MAP_AGE_MS || self.map.keys() <= POOL_MAX as u64;
        if self.map.uses >= MAP_USES || is_old || self.map.parts.is_empty() {
            self.map.look(db, policy.volatile);
        }
        self.map.uses += 1;
        !self.map.parts.is_empty()
    }
}

/// Removes a key of one part, chosen evenly; `None` when it has none.
fn evict_any_of(db: &mut Db<'_>, at: Part, policy: Policy) -> Option<Outcome> {
    let index = at.partition as usize;
    db.select(at.db);
    if db.visit(index).is_err() {
        return Some(Outcome::Unavailable);
    }
    let env = db.env();
    let part = db.part(index)?;
    let entry = {
        let mut rng = env.work.rng.borrow_mut();
        if policy.volatile {
            part.expires.random(|| rng.u64(..)).and_then(|item| expiring(part, item))
        } else {
            part.table().random(|| rng.u64(..))
        }
    }?;
    let (hash, at_ms) = (entry.hash(), entry.expire_at_ms());
    let place = part.table().locate(hash, |entry| entry.hash() == hash && entry.expire_at_ms() == at_ms)?;
    Some(Outcome::Evicted(db.evict_at(index, hash, place)))
}

/// The key of an item of the index of expiries.
fn expiring(part: &crate::PartitionDb, (at_ms, hash): (u64, u64)) -> Option<&Entry> {
    part.table().find(hash, is_item(at_ms, hash))
}

/// Tells the key of such an item. A table asks about other keys, too.
fn is_item(at_ms: u64, hash: u64) -> impl Fn(&Entry) -> bool {
    move |entry| entry.expire_at_ms() == Some(at_ms) && entry.hash() == hash
}

/// When the first key of a partition expires that does in any database, its hash, and which database that is.
fn first_of(db: &Db<'_>, index: usize) -> Option<(u64, u64, u32)> {
    db.look(index, |partition| {
        let first = |at: u32| partition.db(at)?.expires.first().map(|(at_ms, hash)| (at_ms, hash, at));
        partition.databases().filter_map(first).min()
    })
}

/// How little a key is missed.
fn score(entry: &Entry, rank: Rank, now_ms: u64, settings: &Settings) -> u64 {
    let bits = entry.meta();
    match rank {
        Rank::Lru => access::idle_s(bits, now_ms),
        Rank::Lfu => u64::from(255 - access::decayed(bits, now_ms, settings)),
        Rank::Random | Rank::Ttl => 0,
    }
}

#[cfg(test)]
mod tests;
