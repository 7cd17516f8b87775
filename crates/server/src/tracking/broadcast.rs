//! Clients that are told of all changes to keys with certain prefixes.

use super::{Tracker, encoded};
use crate::server::Server;
use kinovar_command::Db;
use kinovar_command::keyspace::{Env, Locked, Reader, Unavailable};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// A prefix with the clients that named it.
type ByPrefix = BTreeMap<Box<[u8]>, Vec<Arc<Reader>>>;

/// All prefixes.
#[derive(Default)]
pub struct Prefixes {
    by_prefix: RwLock<ByPrefix>,
    count: AtomicUsize,
    /// Number of clients with prefixes.
    clients: AtomicUsize,
    /// Some partitions report all changes.
    reported: AtomicBool,
}

/// The changed keys of a prefix, each with the client that changed it last.
type Changed = BTreeMap<Box<[u8]>, u64>;

thread_local! {
    /// What has changed in this turn of the thread's reactor.
    static CHANGED: RefCell<BTreeMap<Box<[u8]>, Changed>> = const { RefCell::new(BTreeMap::new()) };
}

impl Prefixes {
    /// Number of different prefixes.
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has all partitions report all changes, for one more client, which adds its prefixes then.
    ///
    /// # Errors
    /// A script has a partition.
    pub(super) fn join(&self, db: &mut Db<'_>) -> Result<(), Unavailable> {
        // Counted first: whoever finds that nobody is left does so under the partition's lock.
        self.clients.fetch_add(1, Relaxed);
        self.reported.store(true, Relaxed);
        for index in 0..db.keyspace().partitions() {
            if let Err(unavailable) = db.report_all_changes(index, || true) {
                self.leave();
                return Err(unavailable);
            }
        }
        Ok(())
    }

    /// A client that has joined is no more.
    pub(super) fn leave(&self) {
        self.clients.fetch_sub(1, Relaxed);
    }

    /// Has no partition report all changes any more if nobody wants to know. To be called now and then; no partition is locked.
    pub fn settle(&self, server: &Server, env: Env<'_>) {
        if !self.reported.load(Relaxed) || self.clients.load(Relaxed) > 0 {
            return;
        }
        self.reported.store(false, Relaxed);
        let mut db = Db::new(&server.keyspace, Locked::None, 0, env);
        for index in 0..server.keyspace.partitions() {
            if db.report_all_changes(index, || self.clients.load(Relaxed) > 0).is_err() {
                self.reported.store(true, Relaxed);
            }
        }
    }

    pub(super) fn add(&self, prefix: &[u8], reader: &Arc<Reader>) {
        let mut by_prefix = self.by_prefix.write().unwrap_or_else(PoisonError::into_inner);
        by_prefix.entry(prefix.into()).or_default().push(reader.clone());
        self.count.store(by_prefix.len(), Relaxed);
    }

    pub(super) fn remove(&self, prefix: &[u8], reader: &Arc<Reader>) {
        let mut by_prefix = self.by_prefix.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(readers) = by_prefix.get_mut(prefix) {
            readers.retain(|other| !Arc::ptr_eq(other, reader));
            if readers.is_empty() {
                by_prefix.remove(prefix);
            }
        }
        self.count.store(by_prefix.len(), Relaxed);
    }

    /// A key was changed by a client; 0 for none.
    pub(super) fn note(&self, key: &[u8], changer: u64) {
        let by_prefix = self.by_prefix.read().unwrap_or_else(PoisonError::into_inner);
        for prefix in by_prefix.keys().filter(|prefix| key.starts_with(prefix)) {
            CHANGED.with_borrow_mut(|changed| {
                if !changed.contains_key(prefix) {
                    changed.insert(prefix.clone(), Changed::new());
                }
                let keys = changed.get_mut(prefix).expect("it is there now");
                match keys.get_mut(key) {
                    Some(last) => *last = changer,
                    None => drop(keys.insert(key.into(), changer)),
                }
            });
        }
    }

    /// Tells of what has changed in this turn.
    #[inline]
    pub fn tell(&self, server: &Server) {
        if self.reported.load(Relaxed) {
            self.tell_some(server);
        }
    }

    #[cold]
    fn tell_some(&self, server: &Server) {
        let changed = CHANGED.take();
        if changed.is_empty() {
            return;
        }
        let by_prefix = self.by_prefix.read().unwrap_or_else(PoisonError::into_inner);
        for (prefix, keys) in &changed {
            let all = encoded(keys.keys().map(|key| &**key));
            for reader in by_prefix.get(prefix).into_iter().flatten() {
                let client = &Tracker::of(reader).client;
                let is_own = |&changer: &u64| changer == client.id;
                if !client.tracking.noloop.load(Relaxed) || !keys.values().any(is_own) {
                    server.invalidate(reader, all.clone(), 0);
                    continue;
                }
                let others: Vec<&[u8]> =
                    keys.iter().filter(|(_, changer)| !is_own(changer)).map(|(key, _)| &**key).collect();
                if !others.is_empty() {
                    server.invalidate(reader, encoded(others.into_iter()), 0);
                }
            }
        }
    }
}
