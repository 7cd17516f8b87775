//! Transactions: what a connection has queued, which keys it watches, and running it all as one.
//!
//! `EXEC` locks the partitions of all keys of all queued commands, and of the watched keys, as one command of several keys does.
//! Under these locks it looks whether a watched key was touched, and runs the commands one after the other. Commands that walk
//! the keyspace or name no keys lock everything. So a transaction is one moment to everybody else, on whichever thread.

use crate::busy::{self, Interest, Leftover};
use crate::server::Server;
use crate::session::Session;
use kinovar_command::keyspace::{Db, Env, Locked, Unavailable, Watch};
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Ctx, Key, KeyAt, Lock, Outcome};
use kinovar_resp::Span;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// The commands queued since `MULTI`.
#[derive(Default)]
pub struct Queue {
    buf: Vec<u8>,
    spans: Vec<Span>,
    calls: Vec<Call>,
    /// A command was refused: `EXEC` will refuse them all.
    pub is_doomed: bool,
}

/// A queued command.
#[derive(Clone, Copy)]
struct Call {
    /// Its registry id.
    command: u32,
    first: u32,
    argc: u32,
}

impl Queue {
    /// Adds a command. `args` is all of its words.
    pub fn push(&mut self, entry: &Entry, args: &Args<'_>) {
        let first = self.spans.len() as u32;
        for index in 0..args.argc() {
            let word = args.at(index);
            self.spans.push(Span { start: self.buf.len() as u32, len: word.len() as u32 });
            self.buf.extend_from_slice(word);
        }
        self.calls.push(Call { command: entry.id as u32, first, argc: args.argc() as u32 });
    }

    /// Each command and all of its words.
    pub fn commands<'q>(&'q self, server: &'q Server) -> impl Iterator<Item = (&'q Entry, Args<'q>)> {
        let entries = server.registry.entries();
        self.calls.iter().map(|call| (&entries[call.command as usize], self.args(*call)))
    }

    /// Whether one of the commands may write.
    pub fn writes(&self, server: &Server) -> bool {
        self.commands(server).any(|(entry, args)| crate::pause::may_write(server, entry, &args))
    }

    /// Whether one of the commands says that it writes.
    pub fn says_that_it_writes(&self, server: &Server) -> bool {
        self.commands(server).any(|(entry, args)| says_that_it_writes(server, entry, &args))
    }

    /// Whether all of the commands have a flag.
    pub fn all_have(&self, server: &Server, flag: kinovar_command::Flags) -> bool {
        self.commands(server).all(|(entry, _)| entry.command.flags.has(flag))
    }

    /// Whether one of the commands runs code.
    pub fn runs_code(&self, server: &Server) -> bool {
        self.commands(server).any(|(entry, _)| crate::scripting::runs_code(entry))
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Bytes that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.buf.capacity() + self.spans.capacity() * size_of::<Span>() + self.calls.capacity() * size_of::<Call>()
    }

    /// Whether `bytes` more would make it larger than one request may be.
    pub fn is_full(&self, args: &Args<'_>) -> bool {
        /// Positions in the buffer are 32 bits wide.
        const BYTES_MAX: usize = u32::MAX as usize;
        let bytes: usize = (0..args.argc()).map(|index| args.at(index).len()).sum();
        self.buf.len() + bytes > BYTES_MAX
    }

    fn clear(&mut self) {
        /// Capacity kept for the next transaction, bytes.
        const KEPT: usize = 16 << 10;
        if self.memory_bytes() > KEPT {
            *self = Queue::default();
        }
        self.buf.clear();
        self.spans.clear();
        self.calls.clear();
        self.is_doomed = false;
    }

    fn args(&self, call: Call) -> Args<'_> {
        Args::new(&self.buf, &self.spans[call.first as usize..(call.first + call.argc) as usize], 1)
    }
}

/// Keys that a connection watches.
#[derive(Default)]
pub struct Watching {
    watch: Arc<Watch>,
    /// Databases and names.
    keys: Vec<(u32, Box<[u8]>)>,
}

impl Watching {
    /// Whether one of the keys is known to have changed.
    pub fn is_touched(&self) -> bool {
        self.watch.is_touched()
    }
}

/// Watches a key of the selected database, which is locked.
pub fn watch(ctx: &mut Ctx<'_>, key: &Key<'_>) {
    // One that has expired already is absent from now on: that it goes is no change.
    ctx.db.exists(key);
    let db = ctx.db.index();
    let session = Session::of(ctx);
    let watching = session.watching.get_or_insert_default();
    if watching.keys.iter().any(|(at, name)| *at == db && **name == *key.name) {
        return;
    }
    watching.keys.push((db, key.name.into()));
    let watch = watching.watch.clone();
    if watching.keys.len() == 1 {
        *session.info.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch.clone());
    }
    session.info.watched.store(watching.keys.len(), Relaxed);
    ctx.db.watch(key, &watch);
}

/// Forgets the watched keys; locks their partitions where they are not locked.
fn forget(server: &Server, db: &mut Db<'_>, watching: &Watching) {
    let selected = db.index();
    for (at, name) in &watching.keys {
        let interest = Interest::Watch(watching.watch.clone());
        busy::forget(server, db, Leftover { db: *at, name: name.clone(), interest });
    }
    db.select(selected);
}

/// `UNWATCH`.
pub fn unwatch(ctx: &mut Ctx<'_>) {
    let server = Server::of(ctx);
    let session = Session::of(ctx);
    session.info.watched.store(0, Relaxed);
    if let Some(watching) = session.watching.take() {
        forget(server, &mut ctx.db, &watching);
    }
}

/// Leaves the transaction, if there is one, and forgets the watched keys. Whether there was one.
pub fn discard(ctx: &mut Ctx<'_>) -> bool {
    let was_open = close(Session::of(ctx)).is_some();
    unwatch(ctx);
    was_open
}

/// Forgets what a connection that is gone has watched. No partition is locked.
pub fn abandon(server: &Server, session: &mut Session, env: Env<'_>) {
    if let Some(watching) = session.watching.take() {
        forget(server, &mut Db::new(&server.keyspace, Locked::None, 0, env), &watching);
    }
}

/// Opens a transaction.
pub fn open(session: &mut Session) {
    session.queue = Some(session.spare_queue.take().unwrap_or_default());
    session.info.queued.store(0, Relaxed);
}

fn close(session: &mut Session) -> Option<Box<Queue>> {
    session.info.queued.store(-1, Relaxed);
    session.info.queued_bytes.store(0, Relaxed);
    session.queue.take()
}

/// Runs what was queued, and replies. The caller has checked that a transaction is open and not doomed.
pub fn execute(ctx: &mut Ctx<'_>) -> Outcome {
    let server = Server::of(ctx);
    let Some(mut queue) = close(Session::of(ctx)) else { return Ok(()) };
    let watching = Session::of(ctx).watching.take();
    Session::of(ctx).info.watched.store(0, Relaxed);
    if lock(server, &mut ctx.db, &queue, watching.as_deref()).is_err() {
        if let Some(watching) = watching {
            forget(server, &mut ctx.db, &watching);
        }
        return Err(server.busy.error());
    }
    if watching.is_some_and(|watching| was_touched(server, &mut ctx.db, &watching)) {
        ctx.reply.null_array();
    } else {
        ctx.may_wait = false;
        if !Session::of(ctx).replies.is_silent() {
            ctx.reply.array(queue.len());
        }
        let info = Session::of(ctx).info.clone();
        let own = info.command.load(Relaxed);
        for &call in &queue.calls {
            let entry = &server.registry.entries()[call.command as usize];
            let args = queue.args(call);
            // The permissions may be others than when it was queued.
            match crate::acl::enforce::admit_queued(server, Session::of(ctx), entry, &args) {
                Ok(()) => {
                    crate::nested::call(server, ctx, entry, args);
                }
                Err(error) => {
                    server.count_error(&server.reactors[info.reactor], &error.code());
                    if !Session::of(ctx).replies.is_silent() {
                        ctx.reply.error(&error.message());
                    }
                }
            }
        }
        info.command.store(own, Relaxed);
        ctx.effects().none();
    }
    queue.clear();
    Session::of(ctx).spare_queue = Some(queue);
    Ok(())
}

/// Locks what the queued commands and the watched keys need.
fn lock(server: &Server, db: &mut Db<'_>, queue: &Queue, watching: Option<&Watching>) -> Result<(), Unavailable> {
    let (mut partitions, mut keys): (Vec<usize>, Vec<KeyAt>) = (Vec::new(), Vec::new());
    let names = watching.iter().flat_map(|watching| &watching.keys);
    partitions.extend(names.map(|(_, name)| server.keyspace.partition_of(&Key::new(name))));
    for &call in &queue.calls {
        let entry = &server.registry.entries()[call.command as usize];
        match entry.command.lock {
            Lock::None => {}
            Lock::All | Lock::Walk => return db.lock_all_or_give_up(),
            Lock::Keys => {
                let args = queue.args(call);
                keys.clear();
                entry.keys(args, &mut keys);
                let slot = |key: &KeyAt| kinovar_command::keyspace::key::slot(args.at(key.index as usize));
                partitions.extend(keys.iter().map(|key| server.keyspace.partition_of_slot(slot(key))));
            }
        }
    }
    db.lock_or_give_up(&mut partitions)
}

/// Whether a watched key has changed; forgets them. Their partitions are locked.
fn was_touched(server: &Server, db: &mut Db<'_>, watching: &Watching) -> bool {
    let selected = db.index();
    for (at, name) in &watching.keys {
        db.select(*at);
        // Removes it if its time has come, which is a change.
        db.exists(&Key::new(name));
    }
    db.select(selected);
    forget(server, db, watching);
    watching.is_touched()
}

/// Whether a command says that it writes: a script does with its flags. `args` is all of its words.
pub fn says_that_it_writes(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    if crate::scripting::runs_code(entry) {
        return crate::scripting::says_that_it_writes(server, entry, args);
    }
    entry.command.flags.has(kinovar_command::Flags::WRITE)
}
