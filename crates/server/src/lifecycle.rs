//! From the command line to the last log line: what surrounds the serving of clients.
//!
//! Order matters at the start: the process goes to the background and makes room for its title while it has one thread.

use crate::cli_args::ServerArgs;
use crate::config::{self, Config, ConfigHandle, ProcessDir, Supervised};
use crate::log;
use crate::saving;
use crate::server::Server;
use kinovar_command::keyspace::Db;
use kinovar_io::engine::Waker;
use kinovar_io::process::{self, signal, syslog, title};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

/// Descriptors that the server needs beside those of its clients.
const RESERVED_DESCRIPTORS: u64 = 32;
/// Where the process id goes when the server is in the background and nobody said where.
const DEFAULT_PID_FILE: &str = "/var/run/redis.pid";

/// Runs a server until it is told to stop; the process's exit code.
pub fn run(arguments: &ServerArgs) -> ExitCode {
    let names = crate::start::registry(&[]);
    let is_command = |name: &str| names.find(name.as_bytes()).is_some();
    let loaded = match config::load(&arguments.sources, Box::new(ProcessDir), &is_command) {
        Ok(loaded) => loaded,
        Err(error) if error.is_logged() => {
            log::warning(&error.to_string());
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprint!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (renames, users) = (loaded.renames.clone(), loaded.users.clone());
    let not_built_yet = config::not_built_yet(&loaded.store);
    let handle = ConfigHandle::new(loaded);
    let config = handle.snapshot();
    prepare_process(&config);
    log::starting(&arguments.program, handle.file().as_deref());
    crate::memory::purge_in_background(config.jemalloc_bg_thread);
    for name in not_built_yet {
        log::warning(&format!("'{name}' is set, but this version does not do what it asks for yet"));
    }
    limit_clients(&handle);
    let server = match crate::start::build(handle, &renames) {
        // There is one server, and it lasts as long as the process: a script that was left in the middle may hold on to it.
        Ok(server) => &*Box::leak(Box::new(server)),
        Err(error) => return fail(&format!("Can't start a thread: {error}")),
    };
    log::set_role(b'M');
    if let Err(reason) = server.acl.start(&server.config(), &users) {
        return fail(&reason);
    }
    follow_changes(server);
    server.background.report_to(&server.eviction.meter, &server.defrag);
    server.startup_memory.store(crate::memory::used(), Relaxed);
    let outcome = crate::start::serve(server);
    clean_up(&server.config());
    match outcome {
        Ok(()) => {
            log::bye();
            ExitCode::SUCCESS
        }
        Err(reason) => fail(&reason),
    }
}

fn fail(reason: &str) -> ExitCode {
    log::warning(reason);
    ExitCode::FAILURE
}

/// Background, title, logs: everything that needs a process with a single thread.
fn prepare_process(config: &Config) {
    log::configure(config);
    if config.syslog_enabled {
        syslog::open(&config.syslog_ident, syslog::Facility::from_code(config.syslog_facility));
        log::set_syslog(std::sync::Arc::new(|level, message| syslog::write(priority(level), message)));
    }
    if config.daemonize && config.supervised == Supervised::No {
        match process::daemonize() {
            Ok(()) => log::detach(),
            Err(error) => log::warning(&format!("Can't go to the background: {error}")),
        }
    }
    if config.set_proc_title
        && let Err(error) = title::prepare()
    {
        log::verbose(&format!("The process title stays as it is: {error}"));
    }
    // Huge pages make the copies that other programs' forks and the allocator's purging cause larger.
    let _ = process::disable_huge_pages();
}

fn priority(level: log::Level) -> syslog::Priority {
    match level {
        log::Level::Debug => syslog::Priority::Debug,
        log::Level::Verbose => syslog::Priority::Info,
        log::Level::Notice => syslog::Priority::Notice,
        log::Level::Warning => syslog::Priority::Warning,
    }
}

/// Raises the limit of open files to what `maxclients` needs, or lowers `maxclients` to what the limit allows.
fn limit_clients(handle: &ConfigHandle) {
    let wanted = u64::from(handle.snapshot().maxclients) + RESERVED_DESCRIPTORS;
    let limit = match kinovar_io::net::raise_open_files(wanted) {
        Ok(limits) => limits.now,
        Err(error) => {
            log::warning(&format!("The limit of open files stays as it is: {error}"));
            return;
        }
    };
    if limit < wanted {
        let clients = limit.saturating_sub(RESERVED_DESCRIPTORS).max(1);
        log::warning(&format!(
            "You requested maxclients of {} requiring at least {wanted} max file descriptors. The limit is {limit}, so \
             maxclients has been reduced to {clients}.",
            wanted - RESERVED_DESCRIPTORS
        ));
        if let Err(reason) = handle.settle("maxclients", &clients.to_string()) {
            log::warning(&reason);
        }
    }
}

/// Has signals end the server: `SIGTERM` and `SIGINT`, a second `SIGINT` at once.
pub fn watch_signals(waker: &Waker) {
    let message = format!("{}:signal-handler You insist... exiting now.\n", std::process::id());
    let installed = std::fs::OpenOptions::new()
        .append(true)
        .open("/dev/stderr")
        .or_else(|_| std::fs::OpenOptions::new().append(true).open("/dev/null"))
        .and_then(|log| signal::install(waker, message, log));
    if let Err(error) = installed {
        log::warning(&format!("Signals will end the process at once: {error}"));
    }
}

/// Whether a signal asks for the end of the server. Cheap: asked in every turn of the first reactor.
#[inline]
pub fn signal_came(server: &Server) -> bool {
    signal::shutdown_request().is_some() && !server.stopping.load(Relaxed)
}

/// Ends the server as the signal and the parameters say.
pub fn obey_signal(server: &'static Server, db: &mut Db<'_>) {
    let Some(signal) = signal::shutdown_request() else { return };
    if server.loading.is_on() {
        log::warning("Received shutdown signal during loading, exiting now.");
        server.stop();
        return;
    }
    let config = server.config();
    let (name, options) = match signal {
        signal::ShutdownSignal::Terminate => ("SIGTERM", config.shutdown_on_sigterm),
        signal::ShutdownSignal::Interrupt => ("SIGINT", config.shutdown_on_sigint),
    };
    log::signal_received(name);
    log::shutdown_requested();
    let saves = options.save || !options.nosave && !config.save.is_empty();
    if saves && !save_at_the_end(server, db) && !options.force {
        log::warning("Error trying to save the DB, can't exit.");
        log::warning("Errors trying to shut down the server. Check the logs for more information.");
        signal::clear_shutdown_request();
        return;
    }
    server.stop();
}

/// Saves the data before the server ends. Whether it could be.
pub fn save_at_the_end(server: &'static Server, db: &mut Db<'_>) -> bool {
    log::notice("Saving the final RDB snapshot before exiting.");
    loop {
        match saving::save(server, db) {
            Ok(saved) => return saved,
            // Everything that has changed since must be in the file.
            Err(saving::Refusal::Running) => saving::drive(server),
            Err(saving::Refusal::Failed) => return false,
        }
    }
}

/// Tells everyone who the process is.
pub fn initialized(server: &Server, config: &Config) {
    if let Some(path) = pid_file(config)
        && let Err(error) = std::fs::write(&path, format!("{}\n", std::process::id()))
    {
        log::warning(&format!("Failed to write PID file: {}: {error}", path.display()));
    }
    set_title(config);
    let addresses: Vec<String> =
        config.bind.iter().map(|address| format!("{address}:{}", config.main_port())).collect();
    log::banner(config, &addresses);
    log::initialized();
    let io = server.io_engine.get().copied().unwrap_or("none");
    log::verbose(&format!("{} reactors on {io}", server.reactors.len()));
}

/// Tells everyone that clients may come.
pub fn ready(config: &Config) {
    if config.port != 0 {
        log::ready("tcp");
    }
    if config.tls_port != 0 {
        log::ready("tls");
    }
    if config.unixsocket.is_some() {
        log::ready("unix");
    }
    tell_supervisor(config);
}

fn tell_supervisor(config: &Config) {
    let systemd = || process::notify_systemd("STATUS=Ready to accept connections\nREADY=1\n");
    let told = match config.supervised {
        Supervised::No => return,
        Supervised::Systemd => systemd(),
        Supervised::Upstart => process::stop_for_upstart(),
        Supervised::Auto => match systemd() {
            Ok(false) => process::stop_for_upstart(),
            told => told,
        },
    };
    match told {
        Ok(true) => {}
        Ok(false) => log::warning("supervised is set, but no supervisor is waiting"),
        Err(error) => log::warning(&format!("The supervisor could not be told: {error}")),
    }
}

fn set_title(config: &Config) {
    if !config.set_proc_title {
        return;
    }
    let address = config.bind.first().map_or("*", String::as_str).trim_start_matches('-');
    let value = |name: &str| match name {
        "title" => "kinovar server".to_owned(),
        "listen-addr" => format!("{address}:{}", config.main_port()),
        "port" => config.port.to_string(),
        "unixsocket" => config.unixsocket.as_deref().unwrap_or(Path::new("")).display().to_string(),
        "tls-port" if config.tls_port != 0 => config.tls_port.to_string(),
        "config-file" | "server-mode" | "tls-port" => String::new(),
        _ => String::new(),
    };
    if let Some(text) = config::expand_title(&config.proc_title_template, value) {
        title::set(&text);
    }
}

fn pid_file(config: &Config) -> Option<PathBuf> {
    let default = || config.daemonize.then(|| PathBuf::from(DEFAULT_PID_FILE));
    config.pidfile.as_ref().map(|path| config.dir.join(path)).or_else(default)
}

fn clean_up(config: &Config) {
    // What is not there any more need not be removed.
    if let Some(path) = pid_file(config) {
        log::notice("Removing the pid file.");
        let _ = std::fs::remove_file(path);
    }
    if let Some(path) = &config.unixsocket {
        log::notice("Removing the unix socket file.");
        let _ = std::fs::remove_file(path);
    }
}

/// Carries out what changed parameters ask for.
fn follow_changes(server: &'static Server) {
    let config = &server.config;
    config.on_change(&["loglevel", "logfile", "log-format"], |_: &[&'static str], new: &Config| {
        log::configure(new);
        Ok(())
    });
    config.on_change(&["requirepass"], |_: &[&'static str], new: &Config| {
        server.acl.require_password(&new.requirepass);
        Ok(())
    });
    config.on_change(&["jemalloc-bg-thread"], |_: &[&'static str], new: &Config| {
        crate::memory::purge_in_background(new.jemalloc_bg_thread);
        Ok(())
    });
    config.on_change(&["maxmemory"], |_: &[&'static str], new: &Config| {
        crate::eviction::warn_of_limit(server, new);
        Ok(())
    });
    config.on_change(&["proc-title-template"], |_: &[&'static str], new: &Config| {
        set_title(new);
        Ok(())
    });
    config.on_change(&["save", "stop-writes-on-bgsave-error"], |_: &[&'static str], new: &Config| {
        server.saving.reconsider(new);
        server.look_for_alerts();
        Ok(())
    });
    config.on_change(&["appendfsync", "aof-timestamp-enabled"], |_: &[&'static str], new: &Config| {
        server.journal.reconsider(new);
        Ok(())
    });
    config.on_change(&["appendonly"], move |_: &[&'static str], new: &Config| {
        // At the start the files are seen to by those who load them.
        if server.mailboxes.get().is_none() {
            return Ok(());
        }
        if new.appendonly {
            return crate::journal::rewrite::turn_on(server);
        }
        crate::journal::rewrite::turn_off(server);
        Ok(())
    });
    config.on_change(&["maxclients"], |_: &[&'static str], new: &Config| {
        let wanted = u64::from(new.maxclients) + RESERVED_DESCRIPTORS;
        let limits = kinovar_io::net::raise_open_files(wanted).map_err(|error| error.to_string())?;
        if limits.now >= wanted {
            return Ok(());
        }
        Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {}",
            limits.now.saturating_sub(RESERVED_DESCRIPTORS)
        ))
    });
    config.on_change(crate::metrics::PARAMETERS, crate::metrics::Follow(server));
    let listening: Vec<&str> = ["port", "bind"].iter().chain(crate::tls::PARAMETERS).copied().collect();
    config.on_change(&listening, crate::listen::Follow(server));
}
