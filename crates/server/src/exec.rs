//! Executing requests: the hot path.
//!
//! The requests that came in together are parsed together. Then up to four passes run over the batch, so that a cache miss of one
//! request is waited for while the next ones are prepared:
//!
//! 1. look the command up, hash its keys, start loading their buckets;
//! 2. start loading the keys' entries (from here on only in batches);
//! 3. where the request names a field or member of a large value, start loading that: its bucket, then its element;
//! 4. lock, execute, reply.

use crate::acl::enforce;
use crate::clients::ClientInfo;
use crate::cmdstats::bump;
use crate::config::Config;
use crate::connection::Connection;
use crate::eviction::{self, room::Room};
use crate::migrating::{self, Job, settle::Next};
use crate::notify::Notifier;
use crate::pause::{self, Paused};
use crate::saving::parking;
use crate::scripting::fiber::{Done, Left};
use crate::server::Server;
use crate::session::{Replies, Session};
use crate::tracking;
use crate::waiting;
use crate::worst_pause::{COMMAND_NS, Cause, Longest};
use kinovar_command::dispatch::{self, KeyScratch};
use kinovar_command::keyspace::{self, Db, Env, Locked, Observer, Settings, Work, bytes_eq};
use kinovar_command::registry::Entry;
use kinovar_command::{Args, CommandError, Ctx, Flags, HashedKey, Key, Lock, Reply};
use kinovar_io::clock::Ticks;
use kinovar_resp::parser::Stop;
use kinovar_resp::{Batch, Frame, ParseError, Parser, RequestLimits};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Requests that are prepared together.
const BATCH: usize = 64;
/// Keys of one request that are loaded ahead: what a first-level cache holds.
const PREFETCHED_KEYS: usize = 256;
/// Room for so many keys is kept from one batch to the next.
const KEPT_KEYS: usize = 4096;
/// Replies are handed to the engine in pieces of about this size, bytes.
pub const OUTPUT_PIECE: usize = 256 << 10;
/// Replies not yet read by the peer beyond which its requests wait, bytes. Large, because there are clients that send all
/// their requests before they read the first reply.
pub const STALL_BYTES: usize = 64 << 20;

/// What a reactor needs to execute requests, reused from one to the next.
pub struct Executor {
    /// Which reactor this is.
    pub reactor: usize,
    /// The parameters as of this turn.
    pub config: Arc<Config>,
    /// Their part that concerns data.
    pub settings: Settings,
    /// Which version of the parameters that is.
    generation: u64,
    /// What counts as slow, for the slow log, the latency monitor or the longest turn, ns.
    slow_ns: u64,
    /// What has taken longest in this turn.
    pub longest: Longest,
    /// Whether changes to keys are published.
    notifies: bool,
    batch: Batch,
    prepared: Vec<Prepared>,
    /// The keys of all prepared requests.
    hashed: Vec<HashedKey>,
    /// Hash and slot of keys that were seen ahead of their requests.
    previewed: Vec<(u64, u16)>,
    scratch: KeyScratch,
    pub(crate) work: Work,
    /// How many bytes all connections together may take.
    pub clients_limit: Option<u64>,
    /// What it knows of memory.
    pub room: Room,
}

/// What pass 1 found out about a request.
#[derive(Clone, Copy)]
struct Prepared {
    /// Registry id; [`UNRESOLVED`] when the request calls no command or with the wrong number of arguments.
    id: u32,
    /// Where its keys stand among those of the batch.
    keys_start: u32,
    keys_end: u32,
    /// Hash of the field or member that the request names; 0 for none.
    member: u64,
}

const UNRESOLVED: u32 = u32::MAX;

/// What became of a connection's input.
pub enum Progress {
    /// Consumed up to here; the rest is an unfinished request.
    Consumed(usize),
    /// Consumed up to here; there are more requests, but the replies should be sent first.
    More(usize),
    /// Consumed up to here; there are messages for the connection, which come before further replies.
    Messages(usize),
    /// Not a request: to be answered and closed.
    Broken(ParseError),
}

impl Executor {
    /// An executor for reactor `reactor`.
    pub fn new(reactor: usize, server: &'static Server) -> Executor {
        let (generation, config) = (server.config.generation(), server.config());
        let settings = config.data_settings();
        let slow_ns = slow_ns(&config).min(COMMAND_NS);
        Executor {
            generation,
            slow_ns,
            longest: Longest::default(),
            notifies: crate::notify::is_on(&config),
            reactor,
            clients_limit: eviction::clients::limit(&config),
            room: Room::new(config.maxmemory_bytes),
            config,
            settings,
            batch: Batch::default(),
            prepared: Vec::with_capacity(BATCH),
            hashed: Vec::with_capacity(BATCH),
            previewed: Vec::new(),
            scratch: KeyScratch::default(),
            work: server.work(),
        }
    }

    /// Takes over new parameters, if there are any.
    #[inline]
    pub fn refresh(&mut self, server: &Server) {
        let generation = server.config.generation();
        if generation != self.generation {
            self.generation = generation;
            self.configure(server.config());
        }
    }

    #[cold]
    fn configure(&mut self, config: Arc<Config>) {
        self.settings = config.data_settings();
        self.slow_ns = slow_ns(&config).min(COMMAND_NS);
        self.notifies = crate::notify::is_on(&config);
        self.clients_limit = eviction::clients::limit(&config);
        self.room.reconsider(config.maxmemory_bytes);
        self.config = config;
    }

    /// Looks at input that is about to come: hashes what is probably a key and starts loading its bucket.
    #[inline]
    pub fn preview(&mut self, server: &Server, bytes: &[u8]) {
        if let Some(name) = kinovar_resp::parser::peek_second(bytes) {
            let key = Key::new(name);
            server.keyspace.prefetch(&key);
            self.previewed.push((key.hash, key.slot));
        }
    }

    /// Starts loading the entries of all keys previewed, whose buckets should have arrived.
    #[inline]
    pub fn previewed(&mut self, server: &Server) {
        for (hash, slot) in self.previewed.drain(..) {
            server.keyspace.prefetch_entry(&Key { name: &[], hash, slot }, 0);
        }
    }

    /// Executes the requests in `buf`, replies into the connection's output.
    pub fn run(&mut self, server: &Server, conn: &mut Connection, buf: &[u8], now_ms: u64) -> Progress {
        let mut at = 0;
        // What this thread has done besides concerns no client.
        keyspace::effects::take_dependency();
        conn.session.follow_users(&server.acl);
        conn.session.look_again();
        let mut batch = std::mem::take(&mut self.batch);
        let progress = loop {
            batch.clear();
            let limits = RequestLimits {
                bulk_len_max: self.config.proto_max_bulk_len as i64,
                authenticated: !conn.session.needs_auth,
            };
            let (next, stop) = conn.parser.parse(buf, at, &mut batch, &limits, BATCH);
            let ran_to = self.run_batch(server, conn, buf, &batch, at, now_ms);
            at = next;
            match stop {
                _ if conn.session.close_after_reply => break Progress::Consumed(at),
                _ if conn.session.waits() => {
                    // What was parsed beyond the request that waits is looked at again afterwards.
                    conn.parser = Parser::default();
                    break Progress::Consumed(ran_to);
                }
                _ if !batch.frames.is_empty() && self.has_messages(server, &conn.session) => {
                    conn.parser = Parser::default();
                    break Progress::Messages(ran_to);
                }
                Stop::Full if conn.output.len() < OUTPUT_PIECE => {}
                Stop::Full => break Progress::More(at),
                Stop::Done | Stop::Incomplete => break Progress::Consumed(at),
                Stop::Error(error) => break Progress::Broken(error),
            }
        };
        self.batch = batch;
        self.free_trash(server);
        progress
    }

    /// Whether there may be messages for the connection itself.
    #[inline]
    fn has_messages(&self, server: &Server, session: &Session) -> bool {
        (session.takes_pushes || session.has_mail) && server.pubsub.inbox(self.reactor).waiting() > 0
    }

    /// Executes the requests of a batch, unless one of them closes the connection or has to wait. Returns where the last one
    /// executed ends.
    fn run_batch(
        &mut self,
        server: &Server,
        conn: &mut Connection,
        buf: &[u8],
        batch: &Batch,
        start_at: usize,
        now_ms: u64,
    ) -> usize {
        self.prepared.clear();
        let mut hashed = std::mem::take(&mut self.hashed);
        hashed.clear();
        let mut previous: &[u8] = &[];
        for frame in &batch.frames {
            let prepared = self.prepare(server, &args_of(buf, batch, frame), &mut hashed, &mut previous);
            self.prepared.push(prepared);
        }
        if batch.frames.len() > 1 || hashed.len() > 1 {
            let entries = self.prefetch(server, buf, batch, &hashed, conn.session.db);
            let stats = &server.reactors[self.reactor];
            bump(&stats.prefetch_batches, 1);
            bump(&stats.prefetch_entries, entries);
        }
        let start = Ticks::now();
        let mut clock = Clock { start, now_ms, started: now_ms, elapsed_ns: 0 };
        let mut executed = 0;
        for (index, frame) in batch.frames.iter().enumerate() {
            let prepared = self.prepared[index];
            let args = args_of(buf, batch, frame).with_hashed(prepared.keys(&hashed));
            self.run_one(server, &mut conn.session, &mut conn.output, args, prepared, &mut clock);
            let session = &conn.session;
            if !session.is_plain && (session.held || session.parked.is_some()) {
                break;
            }
            executed = index + 1;
            if !session.is_plain && (session.close_after_reply || session.waits() || self.has_messages(server, session))
            {
                break;
            }
        }
        if hashed.capacity() <= KEPT_KEYS {
            self.hashed = hashed;
        }
        let stats = &server.reactors[self.reactor];
        bump(&stats.processed, executed as u64);
        crate::clients::add(&conn.session.info.commands, executed as u64);
        batch.frames[..executed].last().map_or(start_at, |frame| frame.end as usize)
    }

    /// Pass 1 for one request. `previous` is the name of the last key hashed: batches often stay with one.
    #[inline]
    fn prepare<'a>(
        &mut self,
        server: &Server,
        args: &Args<'a>,
        hashed: &mut Vec<HashedKey>,
        previous: &mut &'a [u8],
    ) -> Prepared {
        let keys_start = hashed.len() as u32;
        let none = Prepared { id: UNRESOLVED, keys_start, keys_end: keys_start, member: 0 };
        let Ok(entry) = server.registry.resolve(args) else { return none };
        if !entry.command.arity.accepts(args.argc()) {
            return none;
        }
        let member = match entry.single_key() {
            Some((index, _)) if index < args.argc() => {
                let name = args.at(index);
                match hashed.last() {
                    Some(last) if bytes_eq(name, previous) => {
                        hashed.push(HashedKey { index: index as u32, ..*last });
                    }
                    _ => {
                        let key = HashedKey::new(args, index as u32);
                        server.keyspace.prefetch(&key.of(args));
                        hashed.push(key);
                        *previous = name;
                    }
                }
                match usize::from(entry.command.member) {
                    at if at > 0 && at < args.argc() => Key::hash_of(args.at(at)),
                    _ => 0,
                }
            }
            _ => {
                if let Lock::Keys = entry.command.lock {
                    dispatch::hash_keys(entry, args, &mut self.scratch, hashed);
                    if let Some(last) = hashed[keys_start as usize..].last() {
                        *previous = args.at(last.index as usize);
                    }
                    for key in hashed[keys_start as usize..].iter().take(PREFETCHED_KEYS) {
                        server.keyspace.prefetch(&key.of(args));
                    }
                }
                0
            }
        };
        Prepared { id: entry.id as u32, keys_start, keys_end: hashed.len() as u32, member }
    }

    /// Passes 2 and 3; how many keys' entries were loaded.
    fn prefetch(&self, server: &Server, buf: &[u8], batch: &Batch, hashed: &[HashedKey], db: u32) -> u64 {
        let (mut last, mut entries) = (None, 0);
        for (frame, prepared) in batch.frames.iter().zip(&self.prepared) {
            let args = args_of(buf, batch, frame);
            for key in prepared.keys(hashed).iter().take(PREFETCHED_KEYS) {
                if last.replace(key.hash) != Some(key.hash) {
                    server.keyspace.prefetch_entry(&key.of(&args), db);
                    entries += 1;
                }
            }
        }
        if self.prepared.iter().all(|prepared| prepared.member == 0) {
            return entries;
        }
        for deep in [false, true] {
            for (frame, prepared) in batch.frames.iter().zip(&self.prepared) {
                if prepared.member != 0 {
                    let key = prepared.keys(hashed)[0].of(&args_of(buf, batch, frame));
                    server.keyspace.prefetch_member(&key, db, prepared.member, deep);
                }
            }
        }
        entries
    }

    /// Executes one request.
    #[inline]
    fn run_one(
        &mut self,
        server: &Server,
        session: &mut Session,
        out: &mut Vec<u8>,
        args: Args<'_>,
        prepared: Prepared,
        clock: &mut Clock,
    ) {
        let is_starved = self.room.is_limited() && self.make_room(server, clock.now_ms);
        session.out_of_memory = is_starved;
        let users_changed = session.users_version != server.acl.version();
        let is_special = !session.is_plain || users_changed || is_starved;
        if is_special || server.alert.load(Relaxed) || prepared.id == UNRESOLVED {
            self.run_with_care(server, session, out, args, prepared, clock);
            return;
        }
        let start_of_reply = out.len();
        let entry = &server.registry.entries()[prepared.id as usize];
        let args = Args::skipping(args, entry.name_words());
        if server.saving.is_active() {
            let copy = args;
            if self.parks(server, session, entry, &copy, clock.now_ms) {
                return;
            }
        }
        if let Err(error) = self.call::<false>(server, session, out, args, entry, clock) {
            self.write_error(server, session, out, start_of_reply, &error);
        }
        if !session.is_plain {
            finish(session, out, start_of_reply, false);
        }
    }

    /// Executes one request where more than the command itself has a say.
    #[cold]
    fn run_with_care(
        &mut self,
        server: &Server,
        session: &mut Session,
        out: &mut Vec<u8>,
        args: Args<'_>,
        prepared: Prepared,
        clock: &mut Clock,
    ) {
        session.follow_users(&server.acl);
        if session.close_after_reply {
            // Its user is gone, and so is the right to an answer.
            return;
        }
        let (was_silent, took_pushes) = (session.replies.is_silent(), session.takes_pushes);
        if took_pushes && self.has_too_many_readers(server) {
            // The client's own keys among them are reported in front of the reply.
            tracking::serve(session.info.id);
            self.limit_readers(server);
            tracking::served();
            tracking::tell_own(server, session, out);
        }
        let start_of_reply = out.len();
        let outcome = if prepared.id == UNRESOLVED {
            self.refuse_unresolved(server, session, &args)
        } else {
            let entry = &server.registry.entries()[prepared.id as usize];
            let args = Args::skipping(args, entry.name_words());
            match self.admit(server, session, entry, &args) {
                Ok(()) if server.pause.is_on() && holds(server, session, entry, &args) => {
                    session.info.command.store(entry.id + 1, Relaxed);
                    session.held = true;
                    session.is_plain = false;
                    return;
                }
                Ok(())
                    if (session.queue.is_none() || entry.command.is_never_queued)
                        && server.saving.is_active()
                        && self.parks(server, session, entry, &args, clock.now_ms) =>
                {
                    return;
                }
                Ok(()) if session.queue.is_some() && !entry.command.is_never_queued => {
                    enqueue(session, out, &args, entry)
                }
                Ok(()) => {
                    let flags = entry.command.flags;
                    if server.monitors.any() && !flags.has(Flags::SKIP_MONITOR) && !flags.has(Flags::ADMIN) {
                        server.feed_monitors(&session.info, session.db, &args);
                    }
                    // A transaction may turn tracking on and change keys after that.
                    if took_pushes || session.queue.is_some() {
                        tracking::serve(session.info.id);
                    }
                    let outcome = self.call::<true>(server, session, out, args, entry, clock);
                    tracking::served();
                    outcome
                }
                Err(error) => {
                    bump(&server.reactors[self.reactor].commands[entry.id].rejected, 1);
                    Err(self.refused(server, session, entry.command.name, error))
                }
            }
        };
        if let Err(error) = outcome {
            self.write_error(server, session, out, start_of_reply, &error);
        }
        finish(session, out, start_of_reply, was_silent);
        if took_pushes | session.takes_pushes {
            tracking::tell_own(server, session, out);
            if session.caching && session.queue.is_none() {
                let entry = server.registry.entries().get(prepared.id as usize);
                session.set_caching(entry.is_some_and(crate::commands::client::is_about_clients));
            }
        }
    }

    /// Parks the connection if the request has to wait until a snapshot has written a large value.
    fn parks(&self, server: &Server, session: &mut Session, entry: &Entry, args: &Args<'_>, now_ms: u64) -> bool {
        if !parking::concerns(server, entry, args) {
            return false;
        }
        let partition = parking::awaited(server, session, entry, args, self.env(server, now_ms));
        if partition.is_some() {
            session.info.command.store(entry.id + 1, Relaxed);
            session.parked = partition;
            session.is_plain = false;
        }
        partition.is_some()
    }

    /// Whether clients may have more keys in their caches than they should.
    #[inline]
    pub fn has_too_many_readers(&self, server: &Server) -> bool {
        let max = self.config.tracking_table_max_keys;
        server.tracking.clients() > 0 && max > 0 && server.keyspace.read_counts().0 > max
    }

    /// Holds the number of keys that clients may have in their caches to its limit.
    #[cold]
    pub fn limit_readers(&self, server: &Server) {
        /// Keys forgotten at a time, before the next request is looked at.
        const KEYS_MAX: usize = 1000;
        let max = self.config.tracking_table_max_keys;
        let mut db = Db::new(&server.keyspace, Locked::None, 0, self.env(server, kinovar_io::clock::unix_ms()));
        let partitions = server.keyspace.partitions();
        let first = self.work.rng.borrow_mut().usize(..partitions);
        let mut forgotten = 0;
        // One of each partition in turn: keys are spread over them at random.
        while forgotten < KEYS_MAX && server.keyspace.read_counts().0 > max {
            let before = forgotten;
            for index in (first..partitions).chain(0..first) {
                if forgotten >= KEYS_MAX || server.keyspace.read_counts().0 <= max {
                    return;
                }
                forgotten += usize::from(db.forget_some_readers(index));
            }
            if forgotten == before {
                return;
            }
        }
    }

    #[cold]
    fn write_error(
        &self,
        server: &Server,
        session: &Session,
        out: &mut Vec<u8>,
        start_of_reply: usize,
        error: &CommandError,
    ) {
        out.truncate(start_of_reply);
        Reply::new(out, session.protocol).error(&error.message());
        server.count_error(&server.reactors[self.reactor], &error.code());
    }

    /// The error for a request that calls no command, or with the wrong number of arguments.
    #[cold]
    fn refuse_unresolved(&self, server: &Server, session: &mut Session, args: &Args<'_>) -> Result<(), CommandError> {
        let refused = match dispatch::resolve(&server.registry, args) {
            Ok(_) => unreachable!("it was not resolved a moment ago"),
            Err(error) => error,
        };
        let mut name = "";
        if let Ok(entry) = server.registry.resolve(args) {
            bump(&server.reactors[self.reactor].commands[entry.id].rejected, 1);
            name = entry.command.name;
        }
        Err(self.refused(server, session, name, refused))
    }

    /// What becomes of the transaction, if one is open, when a command is refused before it runs.
    #[cold]
    fn refused(&self, server: &Server, session: &mut Session, name: &str, error: CommandError) -> CommandError {
        if let Some(queue) = &mut session.queue {
            queue.is_doomed = true;
        }
        if name != "exec" {
            return error;
        }
        session.queue = None;
        session.info.queued.store(-1, Relaxed);
        session.info.queued_bytes.store(0, Relaxed);
        crate::transaction::abandon(server, session, self.env(server, kinovar_io::clock::unix_ms()));
        let message = error.message();
        let reason = message.strip_prefix(b"ERR ").unwrap_or(&message);
        CommandError::Bytes([b"EXECABORT Transaction discarded because of: ", reason].concat())
    }

    /// Whether the connection may run the command now.
    #[inline]
    fn admit(&self, server: &Server, session: &Session, entry: &Entry, args: &Args<'_>) -> Result<(), CommandError> {
        if session.needs_auth && !entry.command.flags.has(Flags::NO_AUTH) {
            return Err(CommandError::NoAuth);
        }
        if session.queue.is_some() && entry.command.flags.has(Flags::NO_MULTI) {
            return Err(CommandError::text("ERR Command not allowed inside a transaction"));
        }
        if !session.is_unrestricted {
            enforce::admit(server, session, entry, args)?;
        }
        if session.out_of_memory && eviction::refuses(server, session, entry, args) {
            return Err(eviction::OOM);
        }
        if session.only_listens && !entry.command.while_subscribed {
            return Err(CommandError::owned(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
                 context",
                entry.full_name
            )));
        }
        let ends_script = || server.busy.is_on() && entry.command.flags.has(Flags::ALLOW_BUSY);
        if server.loading.is_on() && !may_run_while_loading(server, session, entry) && !ends_script() {
            return Err(CommandError::Loading);
        }
        if server.busy.is_on() && !entry.command.flags.has(Flags::ALLOW_BUSY) {
            return Err(server.busy.error());
        }
        if (server.saving.refuses_writes() || server.journal.refuses_writes())
            && needs_a_disk(server, session, entry, args)
        {
            return Err(match server.saving.refuses_writes() {
                true => CommandError::text(crate::saving::MISCONF),
                false => server.journal.misconf(),
            });
        }
        Ok(())
    }

    /// Locks, calls the handler, counts. With `CARE` for a connection that may not be plain.
    #[inline]
    fn call<const CARE: bool>(
        &mut self,
        server: &Server,
        session: &mut Session,
        out: &mut Vec<u8>,
        args: Args<'_>,
        entry: &Entry,
        clock: &mut Clock,
    ) -> Result<(), CommandError> {
        let stats = &server.reactors[self.reactor];
        session.info.command.store(entry.id + 1, Relaxed);
        let keyspace = &server.keyspace;
        let locked = match (entry.command.lock, args.hashed()) {
            (Lock::Keys, [only]) => keyspace.lock_one_or_give_up(keyspace.partition_of_slot(only.slot)),
            (Lock::None | Lock::Walk, _) => Some(Locked::None),
            _ => dispatch::lock(entry, &args, keyspace, &mut self.scratch).ok(),
        };
        let Some(locked) = locked else { return Err(server.busy.error()) };
        let notifier = if self.notifies { Notifier::new(server, &self.config) } else { None };
        let env = Env {
            now_ms: clock.now_ms,
            expiry_ms: clock.now_ms,
            settings: &self.settings,
            stats: &stats.keyspace,
            work: &self.work,
            observer: notifier.as_ref().map(|notifier| notifier as &dyn Observer),
            no_touch: session.no_touch,
        };
        let (db, tracks_reads) = (session.db, session.tracks_reads);
        let reaches_every_key = !CARE || enforce::reaches_every_key(session, entry, &args);
        // A scope, so that the locks are released where `ctx` stands: `drop` would move it first.
        let outcome = {
            let mut ctx = Ctx {
                db: Db::new(&server.keyspace, locked, db, env),
                reply: Reply::new(out, session.protocol),
                registry: &server.registry,
                session,
                server,
                may_wait: true,
                reaches_every_key,
                waiting: None,
            };
            let begun = ctx.begin_effect();
            let outcome = (entry.command.handler)(&mut ctx, args);
            ctx.note_effect(begun, &args);
            ctx.hand_effects_over();
            if CARE && tracks_reads && entry.command.flags.has(Flags::READONLY) {
                tracking::remember(&mut ctx, entry, &args);
            }
            if ctx.waiting.is_some() || !self.work.ready.borrow().is_empty() {
                waiting::settle(server, &mut ctx, entry, &args);
            }
            outcome
        };
        if self.work.effects.is_on() {
            session.take_dependency();
        }
        // What CONFIG SET has changed holds from here on, for the rest of the batch too.
        self.refresh(server);
        if session.task.is_some() {
            return outcome;
        }
        let stats = &server.reactors[self.reactor];
        let ns = clock.lap();
        let command_stats = &stats.commands[entry.id];
        command_stats.record(ns, self.config.latency_tracking);
        if outcome.is_err() {
            bump(&command_stats.failed, 1);
        }
        if ns >= self.slow_ns {
            self.longest.note(ns, Cause::Command(entry.id));
            note_slow(server, &self.config, &session.info, &args, entry, ns);
        }
        outcome
    }

    /// Ends a command that was left in the middle: its session is the connection's again, and its reply is written.
    #[cold]
    pub fn finish(&mut self, server: &Server, session: &mut Session, out: &mut Vec<u8>, left: Left, done: Done) {
        let args = done.args();
        let entry = &server.registry.entries()[left.command];
        let stats = &server.reactors[self.reactor].commands[entry.id];
        let ns = Ticks::now().ns_since(left.started);
        stats.record(ns, self.config.latency_tracking);
        note_slow(server, &self.config, &session.info, &args, entry, ns);
        let start_of_reply = out.len();
        out.extend_from_slice(&done.reply);
        if let Err(error) = &done.outcome {
            bump(&stats.failed, 1);
            self.write_error(server, &done.session, out, start_of_reply, error);
        }
        let position = session.position;
        *session = done.session;
        session.position = session.position.max(position);
        session.take_dependency();
        finish(session, out, start_of_reply, left.was_silent);
    }

    /// What surrounds work on the data that no command does.
    pub fn env<'a>(&'a self, server: &'a Server, now_ms: u64) -> Env<'a> {
        Env {
            now_ms,
            expiry_ms: now_ms,
            settings: &self.settings,
            stats: &server.reactors[self.reactor].keyspace,
            work: &self.work,
            observer: None,
            no_touch: true,
        }
    }

    /// Removes keys of this reactor's partitions whose time has come, for about `budget_us`. Whether more are due.
    pub fn expire(&mut self, server: &Server, now_ms: u64, budget_us: u64, reactors: usize) -> bool {
        /// Keys removed between two looks at the clock.
        const SLICE: usize = 64;
        let start = Ticks::now();
        let stats = &server.reactors[self.reactor];
        let mut due = false;
        for index in (self.reactor..server.keyspace.partitions()).step_by(reactors) {
            while server.keyspace.may_be_due(index, now_ms.saturating_sub(1)) && !server.busy.is_on() {
                if Ticks::now().us_since(start) >= budget_us {
                    due = true;
                    break;
                }
                let notifier = Notifier::new(server, &self.config);
                let observer = notifier.as_ref().map(|notifier| notifier as &dyn Observer);
                let env = Env { observer, ..self.env(server, now_ms) };
                let mut db = Db::new(&server.keyspace, Locked::None, 0, env);
                if db.expire_due(index, SLICE).is_none() {
                    break;
                }
                if !self.work.ready.borrow().is_empty() {
                    waiting::serve(server, db, &env);
                }
            }
        }
        self.free_trash(server);
        bump(&stats.expire_ns, Ticks::now().ns_since(start));
        due
    }

    /// Moves tables of this reactor's partitions that are changing their size on, for about `budget_us`. Whether one is left.
    pub fn resize_tables(&self, server: &Server, budget_us: u64) -> bool {
        /// Buckets moved between two looks at the clock.
        const SLICE: usize = 64;
        let start = Ticks::now();
        for index in (self.reactor..server.keyspace.partitions()).step_by(server.reactors.len()) {
            while server.keyspace.migrate_tables(index, SLICE) {
                if Ticks::now().us_since(start) >= budget_us {
                    return true;
                }
            }
        }
        false
    }

    /// Goes on with a snapshot in this reactor's partitions, from the one with number `next` among them on, for about
    /// `budget_us`. Whether anything is left to do.
    pub fn snapshot(&self, server: &Server, next: &mut usize, budget_us: u64) -> bool {
        let is_left = crate::saving::step(server, self.reactor, next, budget_us, &self.work.trash);
        self.free_trash(server);
        is_left
    }

    /// Goes on with a migration whose keys were sent.
    #[cold]
    pub fn settle_migration(&self, server: &'static Server, mut job: Box<Job>) {
        let notifier = Notifier::new(server, &self.config);
        let observer = notifier.as_ref().map(|notifier| notifier as &dyn Observer);
        let env = Env { observer, ..self.env(server, kinovar_io::clock::unix_ms()) };
        let after = server.pubsub.inbox(self.reactor).posted();
        let next = tracking::on_behalf(job.origin.client.id, || job.settle(server, env));
        job.pause_writers(server, &next);
        self.free_trash(server);
        match next {
            Next::Send => migrating::submit(server, job),
            Next::Wait => migrating::postpone(server, job),
            Next::Answer => job.answer(server, env, after),
        }
    }

    /// Serves those who wait for keys that were gone for a while.
    #[cold]
    pub fn serve_after_load(&self, server: &Server, now_ms: u64) {
        let notifier = Notifier::new(server, &self.config);
        let observer = notifier.as_ref().map(|notifier| notifier as &dyn Observer);
        let env = Env { observer, ..self.env(server, now_ms) };
        waiting::serve(server, Db::new(&server.keyspace, Locked::None, 0, env), &env);
    }

    /// Begins the snapshot of a rewrite of the append-only file.
    pub fn cut_journal(&self, server: &'static Server) {
        let mut db = Db::new(&server.keyspace, Locked::None, 0, self.env(server, kinovar_io::clock::unix_ms()));
        crate::journal::rewrite::cut(server, &mut db);
    }

    /// Saves the data if a `save` rule asks for it.
    pub fn look_at_save_rules(&self, server: &'static Server, now_ms: u64) {
        let mut db = Db::new(&server.keyspace, Locked::None, 0, self.env(server, now_ms));
        crate::saving::look_at_rules(server, &mut db);
    }

    /// Ends the server when a signal asked for it.
    pub fn obey_signals(&self, server: &'static Server) {
        if crate::lifecycle::signal_came(server) {
            let mut db = Db::new(&server.keyspace, Locked::None, 0, self.env(server, kinovar_io::clock::unix_ms()));
            crate::lifecycle::obey_signal(server, &mut db);
        }
    }

    /// Hands what commands detached to the background.
    pub fn free_trash(&self, server: &Server) {
        if !self.work.trash.borrow().is_empty() {
            server.free(self.work.trash.take());
        }
    }
}

/// Whether the command may run while data is loaded: what a transaction has queued must be such, too.
#[cold]
fn may_run_while_loading(server: &Server, session: &Session, entry: &Entry) -> bool {
    let runs_queue = entry.command.name == "exec" && entry.command.is_never_queued;
    let queue = session.queue.as_ref().filter(|_| runs_queue);
    entry.command.flags.has(Flags::LOADING) && queue.is_none_or(|queue| queue.all_have(server, Flags::LOADING))
}

/// Whether a command is refused while nothing can be written: `PING` is, too, for those who look whether all is well.
#[cold]
fn needs_a_disk(server: &Server, session: &Session, entry: &Entry, args: &Args<'_>) -> bool {
    let runs_queue = entry.command.name == "exec" && entry.command.is_never_queued;
    entry.command.name == "ping"
        || crate::transaction::says_that_it_writes(server, entry, args)
        || runs_queue && session.queue.as_ref().is_some_and(|queue| queue.says_that_it_writes(server))
}

/// Whether a pause holds the command back.
#[cold]
fn holds(server: &Server, session: &Session, entry: &Entry, args: &Args<'_>) -> bool {
    match server.pause.now() {
        None => false,
        Some(Paused::All) => true,
        Some(Paused::Writes) => {
            let runs_queue = entry.command.name == "exec" && entry.command.is_never_queued;
            let writes = runs_queue && session.queue.as_ref().is_some_and(|queue| queue.writes(server));
            writes || pause::may_write(server, entry, args)
        }
    }
}

/// After a command of a connection that is not plain. Takes back the reply that its client does not want: not that of the
/// command that says it wants replies again; and what a transaction has written before one of its commands said it does not
/// want them any more stays. Then come the messages that the command has for its own client.
#[cold]
fn finish(session: &mut Session, out: &mut Vec<u8>, start_of_reply: usize, was_silent: bool) {
    if was_silent && session.replies.is_silent() {
        out.truncate(start_of_reply);
    }
    session.replies = match session.replies {
        Replies::Skip if was_silent => Replies::On,
        Replies::SkipNext => Replies::Skip,
        other => other,
    };
    out.append(&mut session.pushes);
    session.look_again();
}

/// Queues a command for the transaction.
#[cold]
fn enqueue(session: &mut Session, out: &mut Vec<u8>, args: &Args<'_>, entry: &Entry) -> Result<(), CommandError> {
    let Some(queue) = &mut session.queue else { return Ok(()) };
    if queue.is_full(args) {
        queue.is_doomed = true;
        return Err(CommandError::text("ERR the transaction is too large"));
    }
    // A transaction that cannot run any more need not be remembered.
    if !queue.is_doomed {
        queue.push(entry, args);
        session.info.command.store(entry.id + 1, Relaxed);
        session.info.queued.store(queue.len() as i64, Relaxed);
        session.info.queued_bytes.store(queue.memory_bytes(), Relaxed);
    }
    out.extend_from_slice(b"+QUEUED\r\n");
    Ok(())
}

/// Records a command that took `ns`, if that is long.
#[cold]
pub fn note_slow(server: &Server, config: &Config, client: &ClientInfo, args: &Args<'_>, entry: &Entry, ns: u64) {
    note_slow_from(server, config, Some(client), args, entry, ns);
}

/// The same; a command of a script has no client.
#[cold]
pub fn note_slow_from(
    server: &Server,
    config: &Config,
    client: Option<&ClientInfo>,
    args: &Args<'_>,
    entry: &Entry,
    ns: u64,
) {
    let us = ns / 1000;
    let flags = entry.command.flags;
    let threshold = config.slowlog_log_slower_than_us;
    if threshold >= 0 && us >= threshold as u64 && !flags.has(Flags::SKIP_SLOWLOG) {
        let words = entry.command.shown(args).into_iter();
        let len_max = config.slowlog_max_len as usize;
        let (addr, name) = client.map_or(("", Vec::new()), |client| (&client.addr, client.names().name));
        server.slowlog.push(us, words, addr, name, len_max);
    }
    let threshold_ms = config.latency_monitor_threshold_ms;
    if threshold_ms > 0 && us / 1000 >= threshold_ms {
        let event = if flags.has(Flags::FAST) { "fast-command" } else { "command" };
        server.latency.record(event, kinovar_io::clock::unix_ms() / 1000, us / 1000);
    }
}

/// The smaller of the two thresholds that are set.
pub fn slow_ns(config: &Config) -> u64 {
    let slowlog = u64::try_from(config.slowlog_log_slower_than_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
    let latency = match config.latency_monitor_threshold_ms {
        0 => u64::MAX,
        ms => ms.saturating_mul(1_000_000),
    };
    slowlog.min(latency)
}

/// Time within a batch: every command sees when it started, at the price of one look at the clock each.
struct Clock {
    /// Unix time at which the batch was started, ms.
    started: u64,
    /// Time since then, ns.
    elapsed_ns: u64,
    start: Ticks,
    now_ms: u64,
}

impl Clock {
    /// Time since the last lap, ns. Moves the wall clock on when the batch has taken a while.
    #[inline]
    fn lap(&mut self) -> u64 {
        let now = Ticks::now();
        let ns = now.ns_since(self.start);
        self.start = now;
        self.elapsed_ns += ns;
        if self.elapsed_ns >= 1_000_000 {
            self.now_ms = self.started + self.elapsed_ns / 1_000_000;
        }
        ns
    }
}

#[inline]
fn args_of<'a>(buf: &'a [u8], batch: &'a Batch, frame: &Frame) -> Args<'a> {
    let source = if frame.inline { &batch.scratch } else { buf };
    Args::new(source, batch.args(frame), 1)
}

impl Prepared {
    /// Its keys among those of the batch.
    #[inline]
    fn keys<'a>(&self, hashed: &'a [HashedKey]) -> &'a [HashedKey] {
        &hashed[self.keys_start as usize..self.keys_end as usize]
    }
}
