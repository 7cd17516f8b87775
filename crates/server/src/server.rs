//! What all reactors share.

use crate::background::Background;
use crate::clients::Clients;
use crate::cmdstats::{CommandStats, bump};
use crate::config::{Config, ConfigHandle};
use crate::mailbox::Mailbox;
use crate::message::Message;
use crate::monitor::Monitors;
use crate::pubsub::PubSub;
use crate::slowlog::SlowLog;
use kinovar_command::keyspace::{Effects, Keyspace, Stats, Work};
use kinovar_command::{Ctx, Registry};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The server: data, commands, configuration, connections and counters.
pub struct Server {
    /// The parameters.
    pub config: ConfigHandle,
    /// The data.
    pub keyspace: Keyspace,
    /// The commands.
    pub registry: Registry,
    /// Users, and what they may do.
    pub acl: crate::acl::Acl,
    /// The connections.
    pub clients: Clients,
    /// Those in `MONITOR` mode.
    pub monitors: Monitors,
    /// Whether anything concerns commands of all connections: monitors, a pause, a script that keeps everybody waiting. It may
    /// say so for nothing for a while.
    pub alert: AtomicBool,
    /// A script that keeps everybody waiting.
    pub busy: crate::busy::Busy,
    /// Saving the data to a file.
    pub saving: crate::saving::Saving,
    /// Keys on their way to other servers.
    pub migrating: crate::migrating::Migrating,
    /// What is being loaded.
    pub loading: crate::loading::Loading,
    /// Why the process is to end with an error.
    pub failed: OnceLock<String>,
    /// What has changed, for the append-only file.
    pub journal: crate::journal::Journal,
    /// Giving memory back.
    pub defrag: crate::defrag::Defrag,
    /// Memory that is short.
    pub eviction: crate::eviction::Eviction,
    /// Who is told of changes to keys.
    pub tracking: crate::tracking::Tracking,
    /// Lua scripts and functions.
    pub scripting: crate::scripting::Scripting,
    /// Who listens to what.
    pub pubsub: PubSub,
    /// The metrics endpoint.
    pub metrics: crate::metrics::Metrics,
    /// What TLS connections are made of.
    pub tls: crate::tls::Tls,
    /// `CLIENT PAUSE`.
    pub pause: crate::pause::Pause,
    /// Those that wait for keys.
    pub waits: crate::waiting::WaitStats,
    /// Commands that took long.
    pub slowlog: SlowLog,
    /// Events that took long, by name.
    pub latency: crate::latency::LatencyMonitor,
    /// Frees large values.
    pub background: Background,
    /// What each reactor counts.
    pub reactors: Vec<ReactorStats>,
    /// How to reach each reactor; filled once they exist.
    pub mailboxes: OnceLock<Vec<Mailbox<Message>>>,
    /// Error replies by code.
    pub errors: Mutex<BTreeMap<String, u64>>,
    /// What the server's own clock samples.
    pub samples: Mutex<crate::samples::Samples>,
    /// When it started, Unix ms.
    pub started_ms: u64,
    /// 40 hexadecimal digits, new for each run.
    pub run_id: String,
    /// The back end that drives the sockets: `epoll` or `io_uring`.
    pub io_engine: OnceLock<&'static str>,
    /// Commands and connections are ending: reactors stop at the end of their turn.
    pub stopping: AtomicBool,
    /// Whether keys expire by themselves (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: AtomicBool,
    /// Largest memory use seen, bytes.
    pub peak_memory: AtomicU64,
    /// When that was, Unix seconds.
    pub peak_memory_at_s: AtomicU64,
    /// Memory in use right after the start, bytes.
    pub startup_memory: AtomicU64,
    /// [`Server::dirty`] when the data was last saved.
    pub dirty_at_last_save: AtomicU64,
}

/// Counters that one reactor writes and anyone reads.
pub struct ReactorStats {
    /// Counters about the keyspace.
    pub keyspace: Stats,
    /// Counters per command, by registry id.
    pub commands: Box<[CommandStats]>,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused for `maxclients`.
    pub rejected_connections: AtomicU64,
    /// Commands processed.
    pub processed: AtomicU64,
    /// Bytes received.
    pub net_in: AtomicU64,
    /// Bytes sent.
    pub net_out: AtomicU64,
    /// Error replies.
    pub error_replies: AtomicU64,
    /// Reads from sockets.
    pub reads: AtomicU64,
    /// Buffers written to sockets.
    pub writes: AtomicU64,
    /// Turns of the event loop.
    pub turns: AtomicU64,
    /// Time spent in turns from when events came, waiting excluded, ns.
    pub busy_ns: AtomicU64,
    /// The longest turn.
    pub worst_pause: crate::worst_pause::WorstPause,
    /// Time spent removing what has expired, ns.
    pub expire_ns: AtomicU64,
    /// Batches of requests whose keys were loaded ahead.
    pub prefetch_batches: AtomicU64,
    /// Keys loaded ahead.
    pub prefetch_entries: AtomicU64,
    /// Connections closed because their output grew too long.
    pub output_limit_disconnections: AtomicU64,
    /// Connections closed because their query buffer grew too long.
    pub query_limit_disconnections: AtomicU64,
    /// What its interpreter for scripts takes up, bytes.
    pub script_memory: AtomicU64,
    /// What its interpreter for functions takes up, bytes.
    pub function_memory: AtomicU64,
}

impl ReactorStats {
    /// All zero, for `commands` commands.
    pub fn new(commands: usize) -> ReactorStats {
        ReactorStats {
            keyspace: Stats::default(),
            commands: (0..commands).map(|_| CommandStats::default()).collect(),
            connections: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            processed: AtomicU64::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            error_replies: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            worst_pause: Default::default(),
            expire_ns: AtomicU64::new(0),
            prefetch_batches: AtomicU64::new(0),
            prefetch_entries: AtomicU64::new(0),
            output_limit_disconnections: AtomicU64::new(0),
            query_limit_disconnections: AtomicU64::new(0),
            script_memory: AtomicU64::new(0),
            function_memory: AtomicU64::new(0),
        }
    }

    /// Starts again from 0 (`CONFIG RESETSTAT`).
    pub fn reset(&self) {
        let keyspace = &self.keyspace;
        for counter in
            [&keyspace.hits, &keyspace.misses, &keyspace.expired_keys, &keyspace.expired_fields, &keyspace.evicted_keys]
        {
            counter.reset();
        }
        self.commands.iter().for_each(CommandStats::reset);
        self.worst_pause.reset();
        let counters = [
            &self.connections,
            &self.rejected_connections,
            &self.processed,
            &self.net_in,
            &self.net_out,
            &self.error_replies,
            &self.reads,
            &self.writes,
            &self.turns,
            &self.busy_ns,
            &self.expire_ns,
            &self.prefetch_batches,
            &self.prefetch_entries,
            &self.output_limit_disconnections,
            &self.query_limit_disconnections,
        ];
        counters.iter().for_each(|counter| counter.store(0, Relaxed));
    }
}

/// A sum over all reactors.
pub fn sum(reactors: &[ReactorStats], counter: impl Fn(&ReactorStats) -> &AtomicU64) -> u64 {
    reactors.iter().map(|reactor| counter(reactor).load(Relaxed)).sum()
}

impl Server {
    /// The server behind a command.
    ///
    /// # Panics
    /// When the command was not called by a server.
    pub fn of<'a>(ctx: &Ctx<'a>) -> &'a Server {
        ctx.server.downcast_ref().expect("commands of the server crate are called by the server")
    }

    /// The configuration as of now.
    pub fn config(&self) -> Arc<Config> {
        self.config.snapshot()
    }

    /// `CONFIG REWRITE`.
    ///
    /// # Errors
    /// Why the file is as it was.
    pub fn rewrite_config(&self) -> Result<(), String> {
        let users = self.acl.users();
        // Where there is a file of users, they are to stand there and nowhere else.
        let in_file = !self.config().aclfile.is_empty();
        let lines: Vec<Vec<u8>> = users.all().filter(|_| !in_file).map(|user| user.config_line()).collect();
        self.config.rewrite(&lines, false)
    }

    /// How to reach a reactor.
    pub fn mailbox(&self, reactor: usize) -> &Mailbox<Message> {
        &self.mailboxes.get().expect("reactors exist before connections do")[reactor]
    }

    /// What work on the data needs, for one thread.
    pub fn work(&'static self) -> Work {
        let effects = Effects::to(&self.journal, self.journal.switch());
        Work { caches: Some(self), effects, ..Work::default() }
    }

    /// Counts an error reply by its code.
    pub fn count_error(&self, reactor: &ReactorStats, code: &str) {
        bump(&reactor.error_replies, 1);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        // A client can make up codes only by way of scripts, but the table stays bounded in any case.
        if errors.len() < 128 || errors.contains_key(code) {
            *errors.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Finds out anew whether there is an [alert](Server::alert). To be called by whoever changes one of its reasons.
    pub fn look_for_alerts(&self) {
        /// One at a time: what is stored must not be older than what another has stored.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let any = self.monitors.any()
            || self.pause.is_on()
            || self.busy.is_on()
            || self.loading.is_on()
            || self.saving.refuses_writes()
            || self.journal.refuses_writes();
        self.alert.store(any, Relaxed);
    }

    /// Asks every reactor to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        self.mailboxes.get().into_iter().flatten().for_each(Mailbox::wake);
    }

    /// Asks every reactor to stop, and the process to end with an error that the log shows.
    pub fn fail(&self, reason: String) {
        let _ = self.failed.set(reason);
        self.stop();
    }

    /// Starts the statistics again from 0 (`CONFIG RESETSTAT`).
    pub fn reset_stats(&self) {
        self.reactors.iter().for_each(ReactorStats::reset);
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.samples.lock().unwrap_or_else(PoisonError::into_inner) = crate::samples::Samples::default();
        self.background.reset_freed();
        self.scripting.cache.reset_stats();
        self.eviction.reset_stats();
        self.defrag.reset_stats();
    }

    /// When the data was last saved, Unix seconds: the start, when it never was.
    pub fn last_save_s(&self) -> u64 {
        self.saving.last_save_s().unwrap_or(self.started_ms / 1000)
    }

    /// Changes made to the data since the start.
    pub fn dirty(&self) -> u64 {
        self.reactors.iter().map(|reactor| reactor.keyspace.dirty.get()).sum()
    }
}
