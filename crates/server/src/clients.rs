//! What is known about every connection, readable from any thread.
//!
//! Each connection belongs to one reactor, which alone writes the counters of its [`ClientInfo`] (relaxed stores, no
//! read-modify-write); `CLIENT LIST` on another thread reads them. Names change rarely and sit behind a mutex.

use kinovar_command::keyspace::{Waiter, Watch};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// A connection as others see it.
pub struct ClientInfo {
    /// Unique for the life of the server, rising.
    pub id: u64,
    /// Peer address, as text.
    pub addr: String,
    /// Local address, as text.
    pub laddr: String,
    /// Descriptor number, for `CLIENT LIST`.
    pub fd: i32,
    /// Whether it came through the Unix socket.
    pub is_unix: bool,
    /// Whether its peer's address is a loopback one.
    pub is_loopback: bool,
    /// The reactor it belongs to.
    pub reactor: usize,
    /// Its engine's id for it, as bits.
    pub conn: AtomicU64,
    /// When it was accepted, Unix ms.
    pub created_ms: u64,
    /// When it last sent something, Unix ms.
    pub active_ms: AtomicU64,
    /// Selected database.
    pub db: AtomicU32,
    /// 2 or 3.
    pub resp: AtomicU32,
    /// Id of the latest command plus one; 0 for none.
    pub command: AtomicUsize,
    /// Bytes received.
    pub net_in: AtomicU64,
    /// Bytes of replies.
    pub net_out: AtomicU64,
    /// Commands processed.
    pub commands: AtomicU64,
    /// Bytes received and not yet executed.
    pub query_buffer: AtomicUsize,
    /// Capacity of the query buffer.
    pub query_buffer_capacity: AtomicUsize,
    /// Bytes of replies not yet taken by the kernel.
    pub output_pending: AtomicUsize,
    /// In `MONITOR` mode.
    pub monitor: AtomicBool,
    /// Will be closed once its replies are out.
    pub closing: AtomicBool,
    /// Bytes of the commands queued for a transaction.
    pub queued_bytes: AtomicUsize,
    /// It is being closed because all connections took up too much.
    pub evicted: AtomicBool,
    /// `CLIENT NO-EVICT`.
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: AtomicBool,
    /// The tracking of keys that it has read.
    pub tracking: crate::tracking::Shown,
    /// Its connection has ended.
    pub gone: AtomicBool,
    /// How many channels, patterns and shard channels it listens to.
    pub subscriptions: [AtomicU32; 3],
    /// Number of commands queued for a transaction; -1 outside of one.
    pub queued: AtomicI64,
    /// Number of keys watched.
    pub watched: AtomicUsize,
    /// Whether one of them has changed.
    pub watch: Mutex<Option<Arc<Watch>>>,
    /// Its next request waits for the end of a pause.
    pub held: AtomicBool,
    /// Its wait, while it waits for keys.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
    /// The number of its user; 0 for none, who may do everything.
    pub user: AtomicU64,
    /// What it calls itself.
    pub names: Mutex<Names>,
}

/// What a connection calls itself.
#[derive(Default, Clone)]
pub struct Names {
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_version: Vec<u8>,
    /// Its user; empty for none.
    pub user: Vec<u8>,
}

impl ClientInfo {
    /// Stands for the server itself, which has no connection.
    pub fn nobody() -> ClientInfo {
        ClientInfo {
            id: u64::MAX,
            addr: String::new(),
            laddr: String::new(),
            fd: -1,
            is_unix: false,
            is_loopback: true,
            reactor: 0,
            conn: AtomicU64::new(u64::MAX),
            created_ms: 0,
            active_ms: AtomicU64::new(0),
            db: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            command: AtomicUsize::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            query_buffer: AtomicUsize::new(0),
            query_buffer_capacity: AtomicUsize::new(0),
            output_pending: AtomicUsize::new(0),
            monitor: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            queued_bytes: AtomicUsize::new(0),
            evicted: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            held: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            tracking: Default::default(),
            gone: AtomicBool::new(false),
            subscriptions: Default::default(),
            queued: AtomicI64::new(-1),
            watched: AtomicUsize::new(0),
            watch: Mutex::new(None),
            waiter: Mutex::new(None),
            user: AtomicU64::new(0),
            names: Mutex::new(Names::default()),
        }
    }

    /// Bytes that the connection takes up: buffers, what it has queued, watches and listens to, and what is kept of each.
    pub fn memory_bytes(&self) -> usize {
        /// A name in a set, and what says so at its key or channel.
        const NAME: usize = 128;
        let names: usize = self.subscriptions.iter().map(|count| count.load(Relaxed) as usize).sum();
        size_of::<crate::connection::Connection>()
            + size_of::<ClientInfo>()
            + self.query_buffer_capacity.load(Relaxed)
            + self.output_pending.load(Relaxed)
            + self.queued_bytes.load(Relaxed)
            + (names + self.watched.load(Relaxed)) * NAME
    }

    /// Whether the peer is on this machine.
    pub fn is_local(&self) -> bool {
        self.is_unix || self.is_loopback
    }

    /// Whether it listens to anything.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions.iter().any(|count| count.load(Relaxed) > 0)
    }

    /// Number of keys watched, unless one of them has changed: then nobody watches any more.
    pub fn watched_keys(&self) -> usize {
        if self.is_touched() { 0 } else { self.watched.load(Relaxed) }
    }

    /// Whether a watched key has changed.
    pub fn is_touched(&self) -> bool {
        self.watched.load(Relaxed) > 0
            && self
                .watch
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_some_and(|watch| watch.is_touched())
    }

    /// A copy of the names.
    pub fn names(&self) -> Names {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the names.
    pub fn rename(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Adds to a counter that only the calling thread writes.
#[inline]
pub fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Every connection, by id.
#[derive(Default)]
pub struct Clients {
    all: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    count: AtomicUsize,
    next_id: AtomicU64,
}

impl Clients {
    /// A new id, from 1 on.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed) + 1
    }

    /// Adds a connection.
    pub fn insert(&self, client: Arc<ClientInfo>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(client.id, client);
        self.count.store(all.len(), Relaxed);
    }

    /// Removes a connection.
    pub fn remove(&self, id: u64) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&id);
        self.count.store(all.len(), Relaxed);
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One connection.
    pub fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All connections, oldest first.
    pub fn all(&self) -> Vec<Arc<ClientInfo>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
