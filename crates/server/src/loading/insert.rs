//! The reactor's side: records into the keyspace.

use super::Failure;
use super::replay::Replayer;
use super::run::{Next, Portion, Run, no_locks};
use crate::server::Server;
use kinovar_command::Key;
use kinovar_command::keyspace::{Db, Env, Settings, access};
use kinovar_io::clock::Ticks;
use kinovar_rdb::encode::Usage;
use kinovar_rdb::file::Record;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Keys whose buckets are loaded ahead together.
const AHEAD: usize = 32;
/// Values from this size on are decoded while their partition is not locked, bytes.
const LARGE_BYTES: usize = 16 << 10;
/// Empty keys that the log names.
const NAMED_EMPTY_KEYS: u64 = 10;
/// Stands for no expiry.
const NEVER: u64 = u64::MAX;

/// Records of several keys, undecoded, for one reactor.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

/// Where a record is, and what is beside key and value.
struct Head {
    at: usize,
    key_len: usize,
    value_len: usize,
    /// Where the value begins in the file.
    offset: u64,
    expire_at_ms: u64,
    usage: Usage,
    db: u32,
    partition: u16,
    kind: u8,
}

impl Batch {
    /// Adds a record.
    pub fn push(&mut self, partition: usize, record: &Record<'_>) {
        self.heads.push(Head {
            at: self.bytes.len(),
            key_len: record.key.len(),
            value_len: record.value.len(),
            offset: record.offset,
            expire_at_ms: record.expire_at_ms.unwrap_or(NEVER),
            usage: record.usage,
            db: record.db,
            partition: partition as u16,
            kind: record.kind,
        });
        self.bytes.extend_from_slice(&record.key);
        self.bytes.extend_from_slice(record.value);
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Empties it. Room for a usual batch stays.
    pub fn clear(&mut self) {
        const KEPT_BYTES: usize = 512 << 10;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.heads.clear();
    }

    fn key(&self, head: &Head) -> &[u8] {
        &self.bytes[head.at..head.at + head.key_len]
    }

    fn record(&self, head: &Head) -> Record<'_> {
        let value_at = head.at + head.key_len;
        Record {
            db: head.db,
            key: Cow::Borrowed(self.key(head)),
            kind: head.kind,
            expire_at_ms: Some(head.expire_at_ms).filter(|&at_ms| at_ms != NEVER),
            usage: head.usage,
            value: &self.bytes[value_at..value_at + head.value_len],
            offset: head.offset,
        }
    }
}

/// A reactor's part in a load.
#[derive(Default)]
pub struct Part {
    run: Option<Arc<Run>>,
    batch: Batch,
    /// The batch's records in the order of their partitions.
    order: Vec<u32>,
    /// How many of these are done.
    done: usize,
    hashes: Vec<u64>,
    /// The number of the last load that it has left.
    left: u64,
    /// Databases that room was made for.
    reserved: Vec<u32>,
    /// What runs commands.
    replayer: Replayer,
}

impl Part {
    /// Does its share for about `budget_us`. Whether there is more to be done at once.
    pub fn work(&mut self, server: &'static Server, reactor: usize, env: Env<'_>, budget_us: u64) -> bool {
        let start = Ticks::now();
        let run = match &self.run {
            Some(run) => run.clone(),
            None => {
                // Others may still be at the one that this reactor has left.
                let Some(run) = server.loading.run().filter(|run| run.number != self.left) else { return false };
                // A script that was left in the middle holds its locks. It goes on between turns.
                if server.busy.is_on() {
                    return false;
                }
                self.run = Some(run.clone());
                run.arrive(server);
                run
            }
        };
        loop {
            if run.is_cancelled() {
                self.forget_batch(&run);
            }
            while self.done < self.order.len() {
                if let Err(failure) = self.insert_some(server, &run, env) {
                    run.fail(failure);
                    self.forget_batch(&run);
                } else if Ticks::now().us_since(start) >= budget_us {
                    return true;
                }
            }
            self.forget_batch(&run);
            while self.replayer.is_busy() && !run.is_cancelled() {
                if let Err(failure) = self.replayer.run_some(server, env) {
                    run.fail(failure);
                } else if Ticks::now().us_since(start) >= budget_us {
                    return true;
                }
            }
            self.replayer.forget(&run);
            match run.next(reactor) {
                Next::Portion(Portion::Batch(batch)) => self.take(batch, server.keyspace.partitions()),
                Next::Portion(Portion::Commands(commands)) => self.replayer.take(commands),
                Next::Portion(Portion::Reserve { db, keys }) => {
                    self.reserve(server, reactor, env, db, keys);
                    run.portion_done();
                }
                Next::Portion(Portion::Work(work)) => {
                    if let Err(failure) = work(server, env) {
                        run.fail(failure);
                    }
                    run.portion_done();
                }
                Next::Portion(Portion::Functions(texts)) => {
                    if let Err(text) = crate::commands::function::restore(server, &texts, run.options.merge) {
                        run.fail(Failure::Library(text));
                    }
                    run.portion_done();
                }
                Next::Later => return false,
                Next::End => break,
            }
        }
        self.release_reserves(server, reactor, env);
        *self = Part { left: run.number, ..Part::default() };
        run.leave(server);
        false
    }

    fn forget_batch(&mut self, run: &Run) {
        self.order.clear();
        self.done = 0;
        if !self.batch.is_empty() {
            run.recycle(std::mem::take(&mut self.batch));
            run.portion_done();
        }
    }

    /// Takes a batch, and finds out the order in which partitions are to be visited.
    fn take(&mut self, batch: Batch, partitions: usize) {
        let mut starts = vec![0u32; partitions + 1];
        for head in &batch.heads {
            starts[usize::from(head.partition) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        self.order.clear();
        self.order.resize(batch.heads.len(), 0);
        for (index, head) in batch.heads.iter().enumerate() {
            let place = &mut starts[usize::from(head.partition)];
            self.order[*place as usize] = index as u32;
            *place += 1;
        }
        self.done = 0;
        self.batch = batch;
    }

    /// Puts the next few records in.
    fn insert_some(&mut self, server: &'static Server, run: &Run, env: Env<'_>) -> Result<(), Failure> {
        let end = self.order.len().min(self.done + AHEAD);
        let next = &self.order[self.done..end];
        self.hashes.clear();
        for &index in next {
            let head = &self.batch.heads[index as usize];
            let name = self.batch.key(head);
            let hash = Key::hash_of(name);
            server.keyspace.prefetch(&Key { name, hash, slot: head.partition });
            self.hashes.push(hash);
        }
        let mut counts = Counts::default();
        let mut db = no_locks(server, env);
        let mut outcome = Ok(());
        for (&index, &hash) in next.iter().zip(&self.hashes) {
            let head = &self.batch.heads[index as usize];
            outcome = insert(&mut db, &self.batch.record(head), head.partition, hash, run, env.settings, &mut counts);
            if outcome.is_err() {
                break;
            }
        }
        db.unlock();
        server.loading.keys_loaded.fetch_add(counts.loaded, Relaxed);
        server.loading.keys_expired.fetch_add(counts.expired, Relaxed);
        self.done = end;
        outcome
    }

    /// Makes room in the reactor's partitions.
    fn reserve(&mut self, server: &'static Server, reactor: usize, env: Env<'_>, index: u32, keys: usize) {
        self.reserved.push(index);
        visit_all(server, reactor, env, |db, partition| {
            db.select(index);
            db.reserve(partition, keys);
        });
    }

    /// Gives back what was not needed.
    fn release_reserves(&mut self, server: &'static Server, reactor: usize, env: Env<'_>) {
        if self.reserved.is_empty() {
            return;
        }
        visit_all(server, reactor, env, |db, partition| {
            for &index in &self.reserved {
                db.select(index);
                db.release_reserve(partition);
            }
        });
    }
}

/// Calls `work` for each of the reactor's partitions, locked.
fn visit_all(server: &'static Server, reactor: usize, env: Env<'_>, mut work: impl FnMut(&mut Db<'_>, usize)) {
    let mut db = no_locks(server, env);
    for partition in (reactor..server.keyspace.partitions()).step_by(server.reactors.len()) {
        // Scripts run neither while data is loaded nor when it begins.
        if db.visit(partition).is_ok() {
            work(&mut db, partition);
        }
    }
    db.unlock();
}

#[derive(Default)]
struct Counts {
    loaded: u64,
    expired: u64,
}

/// Puts one record in.
fn insert(
    db: &mut Db<'_>,
    record: &Record<'_>,
    partition: u16,
    hash: u64,
    run: &Run,
    settings: &Settings,
    counts: &mut Counts,
) -> Result<(), Failure> {
    if record.value.len() >= LARGE_BYTES {
        db.unlock();
    }
    let value = match record.decode(settings) {
        Ok(value) => value,
        Err(error) if matches!(error.kind, kinovar_rdb::ErrorKind::EmptyCollection) => {
            if run.keys_empty.fetch_add(1, Relaxed) < NAMED_EMPTY_KEYS {
                let key = String::from_utf8_lossy(&record.key);
                crate::log::notice(&format!("rdbLoadObject skipping empty key: {key}"));
            }
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    // The commands that follow a base may be about what has expired since; they say when it went.
    if !run.options.replay && record.expire_at_ms.is_some_and(|at_ms| at_ms < run.started_ms) {
        counts.expired += 1;
        return Ok(());
    }
    let now_ms = db.now_ms();
    let meta = match record.usage {
        Usage::Freq(freq) if settings.lfu => access::with_freq(freq, now_ms),
        Usage::IdleS(idle_s) if !settings.lfu => access::with_idle(i64::try_from(idle_s).unwrap_or(i64::MAX), now_ms),
        _ => access::initial(now_ms, settings),
    };
    if db.visit(partition.into()).is_err() {
        return Err(Failure::Stopped);
    }
    db.select(record.db);
    // A partition is some low bits of its slots.
    let key = Key { name: &record.key, hash, slot: partition };
    let replace = run.options.merge;
    let is_new = value.with_payload(|payload| db.load(&key, payload, record.expire_at_ms, meta, replace));
    if !is_new && !replace {
        return Err(Failure::Duplicate { db: record.db, key: record.key.to_vec(), offset: record.offset });
    }
    counts.loaded += 1;
    Ok(())
}
