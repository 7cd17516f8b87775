//! Holding memory to `maxmemory`: keys give way, or commands that need more memory are refused.
//!
//! | module | what it is |
//! |---|---|
//! | [`clients`] | holding the memory of connections to `maxmemory-clients` |
//! | [`meter`] | how much memory is in use |
//! | [`room`] | making room, before a request and at the end of a turn |
//!
//! Every reactor does this for itself, before each request, when it holds no lock: while more is used than there should
//! be, it evicts keys wherever they are ([`kinovar_keyspace::evict`]), one partition after the other. A request waits
//! for that no longer than `maxmemory-eviction-tenacity` says; what is left to do then is gone on with at the end of
//! the turn. So with many reactors each evicts as much as it adds, and none waits for another.
//!
//! Nothing is evicted inside a transaction or a script. What they may do was decided before:
//! [`Session::out_of_memory`].
//!
//! [`Session::out_of_memory`]: crate::session::Session::out_of_memory

pub mod clients;
pub mod meter;
pub mod room;

use crate::config::{Config, EvictionPolicy};
use crate::server::Server;
use crate::session::Session;
use kinovar_command::keyspace::Trash;
use kinovar_command::keyspace::evict::{Policy, Rank};
use kinovar_command::registry::Entry;
use kinovar_command::{Args, CommandError, Flags};
use kinovar_io::clock;
use meter::Meter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The error of commands that are refused.
pub const OOM: CommandError = CommandError::text(OOM_TEXT);
/// Its text.
pub const OOM_TEXT: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// What the server knows of memory that is short.
pub struct Eviction {
    /// How much is in use.
    pub meter: Meter,
    /// Since when more is in use than there should be, Unix us; 0 when it is not.
    exceeded_since_us: AtomicU64,
    /// How long that was the case before, us.
    exceeded_us: AtomicU64,
    /// By how much data is held to less than `maxmemory`, bytes.
    reserve: AtomicU64,
    /// What the connections of each reactor take up, bytes.
    clients_bytes: Box<[AtomicU64]>,
    /// Connections closed because all of them took up too much.
    evicted_clients: AtomicU64,
}

impl Eviction {
    /// For so many reactors.
    pub fn new(reactors: usize) -> Eviction {
        Eviction {
            meter: Meter::new(reactors),
            exceeded_since_us: AtomicU64::new(0),
            exceeded_us: AtomicU64::new(0),
            reserve: AtomicU64::new(0),
            clients_bytes: (0..reactors).map(|_| AtomicU64::new(0)).collect(),
            evicted_clients: AtomicU64::new(0),
        }
    }

    /// Notes whether more is in use than there should be, after something was done about it.
    #[inline]
    pub fn note(&self, exceeded: bool) {
        if (self.exceeded_since_us.load(Relaxed) != 0) != exceeded {
            self.note_change(exceeded);
        }
    }

    #[cold]
    fn note_change(&self, exceeded: bool) {
        let now_us = clock::unix_us();
        if exceeded {
            let _ = self.exceeded_since_us.compare_exchange(0, now_us, Relaxed, Relaxed);
        } else {
            let since_us = self.exceeded_since_us.swap(0, Relaxed);
            if since_us != 0 {
                self.exceeded_us.fetch_add(now_us.saturating_sub(since_us), Relaxed);
            }
        }
    }

    /// How long more was in use than there should be: now without a break, and in all, ms.
    pub fn exceeded_ms(&self) -> (u64, u64) {
        let now_ms = match self.exceeded_since_us.load(Relaxed) {
            0 => 0,
            since_us => clock::unix_us().saturating_sub(since_us) / 1000,
        };
        (now_ms, self.exceeded_us.load(Relaxed) / 1000 + now_ms)
    }

    /// Takes over what the allocator says is in use.
    pub fn adjust(&self, used: u64, config: &Config) {
        self.meter.adjust(used);
        let reserve = match config.maxmemory_bytes {
            0..SMALL => 0,
            limit => reserve(limit, used, kinovar_io::process::resident_bytes().unwrap_or(used)),
        };
        self.reserve.store(reserve, Relaxed);
    }

    /// By how much data is held to less than `maxmemory`, bytes: physical memory is not used as well as possible.
    #[inline]
    pub fn reserve(&self) -> u64 {
        self.reserve.load(Relaxed)
    }

    /// Connections closed because all of them took up too much.
    pub fn evicted_clients(&self) -> u64 {
        self.evicted_clients.load(Relaxed)
    }

    /// Starts counting again from 0.
    pub fn reset_stats(&self) {
        self.evicted_clients.store(0, Relaxed);
        self.exceeded_us.store(0, Relaxed);
        self.exceeded_since_us.store(0, Relaxed);
    }
}

/// Of so small a limit the program itself would take most: only data is held to it, bytes.
const SMALL: u64 = 64 << 20;

/// How much less than `limit` should be in use, when so much of physical memory is: what is resident beyond what is in
/// use may be a thirtieth of the limit, and takes the place of data beyond that. A limit that fragments cannot be held
/// to by evicting more and more, so an eighth is as far as this goes.
fn reserve(limit: u64, used: u64, resident: u64) -> u64 {
    resident.saturating_sub(used).saturating_sub(limit / 30).min(limit / 8)
}

/// How keys are chosen; `None` where none may go.
pub fn policy(config: &Config) -> Option<Policy> {
    use EvictionPolicy::*;
    let (volatile, rank) = match config.maxmemory_policy {
        NoEviction => return None,
        VolatileLru => (true, Rank::Lru),
        VolatileLfu => (true, Rank::Lfu),
        VolatileRandom => (true, Rank::Random),
        VolatileTtl => (true, Rank::Ttl),
        AllkeysLru => (false, Rank::Lru),
        AllkeysLfu => (false, Rank::Lfu),
        AllkeysRandom => (false, Rank::Random),
    };
    Some(Policy { volatile, rank, samples: config.maxmemory_samples })
}

/// How long a request waits at most for others' keys to be evicted, us.
pub fn budget_us(config: &Config) -> u64 {
    match config.maxmemory_eviction_tenacity {
        tenacity @ 0..=10 => 50 * u64::from(tenacity),
        // 15 percent more for each step, up to two minutes.
        tenacity @ 11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

/// Whether a command is refused when memory is short: one that may need more of it, or the end of a transaction with
/// such a command. `args` is all of its words.
#[cold]
pub fn refuses(server: &Server, session: &Session, entry: &Entry, args: &Args<'_>) -> bool {
    let refused = needs_memory(server, entry, args);
    if entry.command.name == "exec"
        && entry.command.is_never_queued
        && let Some(queue) = &session.queue
    {
        return refused || queue.commands(server).any(|(entry, args)| needs_memory(server, entry, &args));
    }
    refused
}

fn needs_memory(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    if crate::scripting::runs_code(entry) {
        return crate::scripting::says_that_it_needs_memory(server, entry, args);
    }
    entry.command.flags.has(Flags::DENYOOM)
}

impl Server {
    /// Hands what was taken out of the keyspace to the background. It counts as free from here on: who empties a database
    /// may write at once.
    pub fn free(&self, trash: Vec<Trash>) {
        let promised = trash.iter().map(|value| value.bytes() as u64).sum();
        self.eviction.meter.promise(promised);
        self.background.free(trash, promised);
    }
}

/// Says that memory is over its new limit.
pub fn warn_of_limit(server: &Server, config: &Config) {
    let used = crate::memory::used();
    if config.maxmemory_bytes > 0 && config.maxmemory_bytes < used {
        crate::log::warning(&format!(
            "WARNING: the new maxmemory value set via CONFIG SET ({}) is smaller than the current memory usage ({used}). This will \
             result in key eviction and/or the inability to accept new write commands depending on the maxmemory-policy.",
            config.maxmemory_bytes
        ));
    }
    server.eviction.adjust(used, config);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn physical_memory_is_held_to_the_limit() {
        const MIB: u64 = 1 << 20;
        assert_eq!(reserve(300 * MIB, 300 * MIB, 310 * MIB), 0);
        assert_eq!(reserve(300 * MIB, 300 * MIB, 316 * MIB), 6 * MIB);
        assert_eq!(reserve(300 * MIB, 294 * MIB, 310 * MIB), 6 * MIB);
        assert_eq!(reserve(200 * MIB, 200 * MIB, 400 * MIB), 25 * MIB);
        assert_eq!(reserve(200 * MIB, 200 * MIB, 100 * MIB), 0);
    }

    #[test]
    fn time_over_the_limit_adds_up() {
        let eviction = Eviction::new(1);
        assert_eq!(eviction.exceeded_ms(), (0, 0));
        eviction.note(false);
        eviction.note(true);
        eviction.exceeded_since_us.fetch_sub(5_000_000, Relaxed);
        eviction.note(true);
        let (now_ms, total_ms) = eviction.exceeded_ms();
        assert!((5000..6000).contains(&now_ms) && now_ms == total_ms);
        eviction.note(false);
        let (now_ms, total_ms) = eviction.exceeded_ms();
        assert!(now_ms == 0 && (5000..6000).contains(&total_ms));
        eviction.reset_stats();
        assert_eq!(eviction.exceeded_ms(), (0, 0));
    }
}
