//! Starting the server, running it and stopping it.

use crate::background::Background;
use crate::clients::Clients;
use crate::config::{ConfigHandle, IoEngine};
use crate::mailbox::Mailbox;
use crate::pubsub::PubSub;
use crate::reactor::Reactor;
use crate::server::{ReactorStats, Server};
use crate::tls::Tls;
use kinovar_command::Registry;
use kinovar_command::keyspace::Keyspace;
use kinovar_io::clock;
use kinovar_io::engine::{Engine, EngineKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// Every command, some under other names.
pub fn registry(renames: &[(String, String)]) -> Registry {
    let tables: Vec<&'static [kinovar_command::Command]> =
        kinovar_commands::TABLES.iter().chain(crate::commands::TABLES).copied().collect();
    Registry::new(&tables, renames)
}

/// Everything that is not a socket: data, commands, counters.
///
/// # Errors
/// The background thread could not be started.
pub fn build(config: ConfigHandle, renames: &[(String, String)]) -> std::io::Result<Server> {
    let current = config.snapshot();
    let registry = registry(renames);
    let commands = registry.entries().len();
    Ok(Server {
        keyspace: Keyspace::new(current.partitions, current.databases as u32),
        registry,
        acl: Default::default(),
        clients: Clients::default(),
        monitors: Default::default(),
        loading: Default::default(),
        failed: OnceLock::new(),
        journal: crate::journal::Journal::new(current.io_threads),
        tracking: Default::default(),
        metrics: Default::default(),
        tls: Default::default(),
        pubsub: PubSub::new(current.io_threads),
        slowlog: Default::default(),
        latency: Default::default(),
        defrag: Default::default(),
        eviction: crate::eviction::Eviction::new(current.io_threads),
        background: Background::start()?,
        reactors: (0..current.io_threads).map(|_| ReactorStats::new(commands)).collect(),
        alert: AtomicBool::new(false),
        busy: Default::default(),
        scripting: crate::scripting::Scripting::new(current.io_threads),
        pause: Default::default(),
        waits: Default::default(),
        mailboxes: OnceLock::new(),
        errors: Mutex::default(),
        samples: Mutex::default(),
        started_ms: clock::unix_ms(),
        run_id: random_hex(),
        io_engine: OnceLock::new(),
        stopping: AtomicBool::new(false),
        active_expire: AtomicBool::new(true),
        peak_memory: AtomicU64::new(0),
        peak_memory_at_s: AtomicU64::new(0),
        startup_memory: AtomicU64::new(0),
        dirty_at_last_save: AtomicU64::new(0),
        saving: crate::saving::Saving::default(),
        migrating: Default::default(),
        config,
    })
}

/// 40 random hexadecimal digits.
fn random_hex() -> String {
    let mut rng = fastrand::Rng::new();
    (0..40).map(|_| char::from_digit(rng.u32(..16), 16).expect("a hexadecimal digit")).collect()
}

/// Opens the sockets and serves until the server is told to stop. The calling thread becomes reactor 0.
///
/// # Errors
/// What the log should say before the process exits with status 1.
pub fn serve(server: &'static Server) -> Result<(), String> {
    let config = server.config();
    let kind = match config.io_engine {
        IoEngine::Auto => EngineKind::Auto,
        IoEngine::IoUring => EngineKind::IoUring,
        IoEngine::Epoll => EngineKind::Epoll,
    };
    if kind == EngineKind::Auto
        && let Some(reason) = kinovar_io::engine::io_uring_refusal()
    {
        crate::log::notice(&format!("io_uring is not available ({reason}), using epoll"));
    }
    let failed = |error: std::io::Error| format!("Can't create the event loop: {error}");
    let mut engines = Vec::new();
    for _ in 0..server.reactors.len() {
        engines.push(Engine::new(kind).map_err(failed)?);
    }
    let _ = server.io_engine.set(engines[0].kind().name());
    crate::lifecycle::watch_signals(&engines[0].waker());
    let mailboxes = engines.iter().map(|engine| Mailbox::new(engine.waker())).collect();
    assert!(server.mailboxes.set(mailboxes).is_ok(), "a server is served once");
    if let Some(prepared) = Tls::prepare(&config).map_err(|_| "TLS can't be configured, aborting.".to_owned())? {
        server.tls.adopt(prepared);
    }
    crate::listen::hand_over(engines[0].net(), crate::listen::open_at_start(&config)?).map_err(failed)?;
    crate::metrics::start(server, &config)?;
    // From here on the data is touched by the reactors alone; with one of them its locks need not be real.
    let _ = kinovar_command::keyspace::set_single_threaded(server.reactors.len() == 1);
    crate::lifecycle::initialized(server, &config);
    if !crate::loading::at_start(server, &config)? {
        crate::lifecycle::ready(&config);
    }
    let others = engines.split_off(1);
    let threads: Vec<_> = others
        .into_iter()
        .enumerate()
        .map(|(index, engine)| spawn(server, index + 1, engine))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let result = Reactor::new(server, 0).run(&mut engines[0]);
    crate::listen::release(crate::listen::TOKENS);
    server.stop();
    for thread in threads {
        let _ = thread.join();
    }
    result.map_err(|error| format!("The event loop failed: {error}"))?;
    server.journal.finish();
    server.failed.get().cloned().map_or(Ok(()), Err)
}

fn spawn(server: &'static Server, index: usize, mut engine: Engine) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("io_thd_{index}")).spawn(move || {
        let reactor = Reactor::new(server, index);
        if let Err(error) = reactor.run(&mut engine) {
            crate::log::warning(&format!("The event loop failed: {error}"));
            server.stop();
        }
    })
}

impl Server {
    /// What the server samples ten times a second: rates and the peak of memory.
    pub fn sample(&self, now_ms: u64) {
        let sum = |counter: fn(&ReactorStats) -> &AtomicU64| crate::server::sum(&self.reactors, counter);
        let mut samples = self.samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        samples.commands.sample(now_ms, sum(|reactor| &reactor.processed));
        samples.net_in.sample(now_ms, sum(|reactor| &reactor.net_in));
        samples.net_out.sample(now_ms, sum(|reactor| &reactor.net_out));
        samples.turns.sample(now_ms, sum(|reactor| &reactor.turns));
        samples.busy_ns.sample(now_ms, sum(|reactor| &reactor.busy_ns));
        drop(samples);
        let (figures, config) = (crate::memory::figures(), self.config.load());
        let used = figures.allocated;
        self.eviction.adjust(used, &config);
        self.defrag.look(self, &config, &figures, now_ms * 1000);
        if self.peak_memory.fetch_max(used, Relaxed) < used {
            self.peak_memory_at_s.store(now_ms / 1000, Relaxed);
        }
    }
}
