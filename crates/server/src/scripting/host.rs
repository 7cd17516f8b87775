//! What scripts reach the server by.

use super::runs::{Details, Running};
use super::runtime::{self, Surroundings};
use crate::acl::enforce;
use crate::busy::Runs as What;
use crate::cmdstats::bump;
use crate::exec::note_slow_from;
use crate::log;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Ctx, Flags, KeyAt, Lock, Protocol};
use kinovar_io::clock::Ticks;
use kinovar_io::fiber;
use kinovar_script::{Host, LogLevel, Words};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// Time that a run which keeps everybody waiting may take of a turn, us.
const SLICE_US: u64 = 2000;
/// Time that loading a library may take, ms.
const LOAD_MS: u64 = 500;
/// The flag of `redis.set_repl` for the append-only file.
const REPL_AOF: u8 = 1;
/// What a run ends with that is killed.
const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";

/// The host of one run.
pub struct ScriptHost<'h, 'c> {
    ctx: &'h mut Ctx<'c>,
    server: &'static Server,
    running: Running<'static>,
    run: RunInfo<'h>,
    started: Ticks,
    /// When it was gone on with.
    resumed: Ticks,
    /// It keeps everybody waiting.
    is_slow: bool,
    keys: Vec<KeyAt>,
    reactor: usize,
    surroundings: Rc<Surroundings>,
    /// What counts as slow, ns.
    slow_ns: u64,
}

/// What is run.
#[derive(Clone, Copy)]
pub struct RunInfo<'h> {
    /// Of which kind.
    pub what: What,
    /// What it is called.
    pub name: &'h str,
    /// The command that runs it.
    pub args: Args<'h>,
    /// It may use more memory when there is none left.
    pub allow_oom: bool,
    /// It may not write.
    pub read_only: bool,
    /// Which of the arguments are its keys, if it touches no others.
    pub declared: Option<(usize, usize)>,
}

impl<'h, 'c> ScriptHost<'h, 'c> {
    /// A host for a run that begins; `ctx` holds the locks.
    pub fn new(ctx: &'h mut Ctx<'c>, server: &'static Server, reactor: usize, run: RunInfo<'h>) -> Self {
        let running = server.scripting.runs.begin(reactor, run.what, ctx.now_ms());
        let started = Ticks::now();
        let surroundings = runtime::surroundings();
        ScriptHost {
            ctx,
            server,
            running,
            run,
            started,
            resumed: started,
            is_slow: false,
            keys: Vec::new(),
            reactor,
            slow_ns: crate::exec::slow_ns(&surroundings.config),
            surroundings,
        }
    }

    /// The run is over.
    pub fn end(self) {
        self.ctx.db.env().work.effects.mute(false);
        self.running.end(self.server);
    }

    /// Finds the command, if the script may run it.
    fn admit(&mut self, args: &Args<'_>) -> Result<&'static Entry, Cow<'static, [u8]>> {
        let entry = self.find(args)?;
        let refused = self.server.journal.admit(entry);
        refused.map_err(|error| error.message().into_owned())?;
        if self.lacks_memory(entry) { Err(crate::eviction::OOM_TEXT.as_bytes().into()) } else { Ok(entry) }
    }

    /// Whether the command needs memory, and there was none left when the run began. Whoever has begun to write may go on.
    fn lacks_memory(&mut self, entry: &Entry) -> bool {
        entry.command.flags.has(Flags::DENYOOM)
            && !self.run.allow_oom
            && Session::of(self.ctx).out_of_memory
            && !self.running.run.wrote.load(Relaxed)
    }

    fn find(&mut self, args: &Args<'_>) -> Result<&'static Entry, Cow<'static, [u8]>> {
        let refuse = |text: &'static str| Err(text.as_bytes().into());
        let Ok(entry) = self.server.registry.resolve(args) else {
            return refuse("ERR Unknown Redis command called from script");
        };
        let command = entry.command;
        if !command.arity.accepts(args.argc()) {
            return refuse("ERR Wrong number of args calling Redis command from script");
        }
        if command.flags.has(Flags::NOSCRIPT) {
            return refuse("ERR This Redis command is not allowed from script");
        }
        enforce::admit_in_script(self.server, Session::of(self.ctx), entry, args)?;
        // What may have an effect elsewhere counts as writing here.
        let writes = command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE);
        if writes && self.run.read_only {
            return refuse("ERR Write commands are not allowed from read-only scripts.");
        }
        if self.server.saving.refuses(entry) {
            return refuse(crate::saving::MISCONF);
        }
        if self.run.declared.is_some() && !self.touches_declared_keys(entry, args) {
            return refuse("ERR Script attempted to access a key that it has not declared");
        }
        Ok(entry)
    }

    fn touches_declared_keys(&mut self, entry: &Entry, args: &Args<'_>) -> bool {
        let Some((first, end)) = self.run.declared else { return true };
        match entry.command.lock {
            Lock::None => true,
            Lock::All | Lock::Walk => false,
            Lock::Keys => {
                self.keys.clear();
                entry.keys(*args, &mut self.keys);
                let is_declared = |name: &[u8]| (first..end).any(|index| self.run.args.at(index) == name);
                self.keys.iter().all(|key| is_declared(args.at(key.index as usize)))
            }
        }
    }

    /// Runs the command; where its reply begins, at the end of the context's own.
    fn run(&mut self, entry: &Entry, args: Args<'_>) -> usize {
        let ctx = &mut *self.ctx;
        let stats = &self.server.reactors[self.reactor];
        let flags = entry.command.flags;
        if self.server.monitors.any() && !flags.has(Flags::SKIP_MONITOR) && !flags.has(Flags::ADMIN) {
            self.server.feed_monitors_from("lua", ctx.db.index(), &args);
        }
        if flags.has(Flags::WRITE) {
            self.running.run.wrote.store(true, Relaxed);
        }
        let (start, position) = (Ticks::now(), ctx.reply.position());
        let words = Args::skipping(args, entry.name_words());
        ctx.reaches_every_key = enforce::reaches_every_key(Session::of(ctx), entry, &args);
        let begun = ctx.begin_effect();
        let outcome = crate::tracking::by_script(|| (entry.command.handler)(ctx, words));
        ctx.note_effect(begun, &args);
        if flags.has(Flags::READONLY) && Session::of(ctx).tracks_reads {
            crate::tracking::remember(ctx, entry, &words);
        }
        let ns = Ticks::now().ns_since(start);
        let config = &self.surroundings.config;
        stats.commands[entry.id].record(ns, config.latency_tracking);
        if ns >= self.slow_ns {
            note_slow_from(self.server, config, None, &args, entry, ns);
        }
        if let Err(error) = &outcome {
            bump(&stats.commands[entry.id].failed, 1);
            ctx.reply.truncate(position);
            ctx.reply.error(&error.message());
            self.server.count_error(stats, &error.code());
        }
        // What SELECT has changed holds for the commands that follow.
        let db = Session::of(ctx).db;
        ctx.db.select(db);
        position
    }
}

impl Host for ScriptHost<'_, '_> {
    fn call(&mut self, command: &Words, protocol: Protocol, reader: &mut dyn FnMut(&[u8])) {
        let args = Args::new(command.bytes(), command.spans(), 1);
        Session::of(self.ctx).protocol = protocol;
        self.ctx.reply.set_protocol(protocol);
        let position = match self.admit(&args) {
            Ok(entry) => self.run(entry, args),
            Err(text) => {
                let code = text.split(|&byte| byte == b' ').next().unwrap_or_default();
                self.server.count_error(&self.server.reactors[self.reactor], &String::from_utf8_lossy(code));
                let position = self.ctx.reply.position();
                self.ctx.reply.error(&text);
                position
            }
        };
        reader(self.ctx.reply.since(position));
        self.ctx.reply.truncate(position);
    }

    fn is_allowed(&mut self, command: &Words) -> Option<bool> {
        let args = Args::new(command.bytes(), command.spans(), 1);
        let entry = self.server.registry.resolve(&args).ok()?;
        Some(enforce::is_allowed(self.server, Session::of(self.ctx), entry, &args))
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        write_log(level, text);
    }

    fn set_replication(&mut self, flags: u8) {
        // There are no replicas that could be told of more, or less, than the file.
        self.ctx.db.env().work.effects.mute(flags & REPL_AOF == 0);
    }

    fn watch(&mut self) -> Option<&'static str> {
        let now = Ticks::now();
        if !self.is_slow {
            let threshold_ms = self.server.config().busy_reply_threshold_ms;
            let elapsed_ms = now.us_since(self.started) / 1000;
            if threshold_ms > 0 && elapsed_ms >= threshold_ms {
                self.is_slow = true;
                let command = (0..self.run.args.argc()).map(|index| self.run.args.at(index).to_vec()).collect();
                let details = Details { name: self.run.name.to_owned(), command };
                self.running.becomes_slow(self.server, self.run.what, details);
                let kind = if self.run.what == What::Script { "SCRIPT" } else { "FUNCTION" };
                log::warning(&format!(
                    "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the script \
                     using the {kind} KILL command. Script name is: {}.",
                    self.run.name
                ));
                fiber::suspend();
                self.resumed = Ticks::now();
            }
        } else if now.us_since(self.resumed) >= SLICE_US {
            fiber::suspend();
            self.resumed = Ticks::now();
        }
        if !self.running.run.is_killed() {
            return None;
        }
        log::notice("Lua script killed by user with SCRIPT KILL.");
        Some(KILLED)
    }
}

fn write_log(level: LogLevel, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        LogLevel::Debug => log::write(log::Level::Debug, format_args!("{text}")),
        LogLevel::Verbose => log::verbose(&text),
        LogLevel::Notice => log::notice(&text),
        LogLevel::Warning => log::warning(&text),
    }
}

/// The host of a library that is being loaded: there is nothing but the log and the time.
pub struct LoadHost {
    started: Ticks,
}

impl LoadHost {
    /// Loading begins.
    pub fn new() -> LoadHost {
        LoadHost { started: Ticks::now() }
    }
}

impl Default for LoadHost {
    fn default() -> Self {
        LoadHost::new()
    }
}

impl Host for LoadHost {
    fn call(&mut self, _: &Words, _: Protocol, reader: &mut dyn FnMut(&[u8])) {
        reader(b"-ERR commands cannot be called while a library is loaded\r\n");
    }

    fn is_allowed(&mut self, _: &Words) -> Option<bool> {
        None
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        write_log(level, text);
    }

    fn set_replication(&mut self, _: u8) {}

    fn watch(&mut self) -> Option<&'static str> {
        (Ticks::now().us_since(self.started) / 1000 > LOAD_MS).then_some("ERR FUNCTION LOAD timeout")
    }
}
