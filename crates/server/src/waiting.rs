//! Clients that wait for keys: how a wait begins, how it is served, and how else it ends.
//!
//! # The life of a wait
//! A command that has nothing to answer calls [`Ctx::wait`]. While its partitions are still locked the client is put into the
//! queues of its keys (`keyspace::interest`), and its connection stops executing requests.
//!
//! Whoever changes a key that has a queue *serves* it before the partitions are released, so that nobody can come in between:
//! the waiting commands are run again, first come first, by the thread that made the change. What they answer is sent to the
//! client's own reactor, which appends it to the connection's output and goes on with its requests. A transaction or a script
//! serves at its end.
//!
//! A command may need a partition that is not locked (`BLMOVE` its destination). Then the locks are released, and those that the
//! first client in the queue needs are taken, in order. It may find the key empty again; then it goes on waiting.
//!
//! # Exactly once
//! A client may stand in several queues, and its time may run out, or its connection end, at any moment. Its [`Waiter`] is
//! the one thing that all of them meet at: only who takes it may run its command, and a client that is killed or gone has been
//! given up before anything was taken out for it. Its own reactor removes it from the queues, whoever ended the wait.

use crate::acl::enforce;
use crate::acl::user::User;
use crate::busy::{self, Interest, Leftover};
use crate::clients::ClientInfo;
use crate::cmdstats::bump;
use crate::message::Message;
use crate::server::Server;
use crate::session::{Replies, Session};
use crate::tracking;
use kinovar_command::keyspace::{self, Db, Env, Locked, Reader, Ready, Taken, Unavailable, Waiter, object};
use kinovar_command::registry::Entry;
use kinovar_command::{Absent, Args, Ctx, Flags, Group, Key, Protocol, Reply, Wait};
use kinovar_resp::Span;
use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// A waiting client, as those see it who end its wait.
struct Waiting {
    client: Arc<ClientInfo>,
    /// Whose it is.
    user: Option<Arc<User>>,
    db: u32,
    protocol: Protocol,
    /// Registry id of its command.
    command: usize,
    /// The command's arguments.
    buf: Vec<u8>,
    spans: Vec<Span>,
    /// Which of them are waited for.
    keys: Vec<u32>,
    /// Which others are keys.
    others: Vec<u32>,
    /// Partitions of those: needed, whichever key has changed.
    needed: Vec<usize>,
    /// It does not want the reply.
    silent: bool,
    /// It, if the keys that it reads are remembered.
    reader: Option<Arc<Reader>>,
}

/// A client's wait, as its own reactor sees it.
pub struct Pending {
    /// The wait.
    pub waiter: Arc<Waiter>,
    /// The last millisecond of it, Unix ms; `u64::MAX` for never.
    pub deadline_ms: u64,
}

/// Counts of waiting clients.
#[derive(Default)]
pub struct WaitStats {
    /// How many wait.
    pub clients: AtomicUsize,
    /// How many of them do not wait for ever.
    pub with_timeout: AtomicUsize,
    /// How many of them wait for keys and name others besides.
    pub with_other_keys: AtomicUsize,
}

impl Waiting {
    fn of(waiter: &Waiter) -> &Waiting {
        waiter.client.downcast_ref().expect("waiters are made here")
    }

    fn args(&self) -> Args<'_> {
        Args::new(&self.buf, &self.spans, 1)
    }

    /// The type of value that it waits for.
    fn kind(&self, server: &Server) -> Option<&'static str> {
        match server.registry.entries()[self.command].command.group {
            Group::List => Some("list"),
            Group::SortedSet => Some("zset"),
            Group::Stream => Some("stream"),
            _ => None,
        }
    }

    /// The keys waited for.
    fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        self.keys.iter().map(|&index| self.args().key_at(index as usize))
    }
}

/// After a command: lets its client wait if it has to, and serves those that waited for what it has changed. The command's
/// partitions are still locked.
#[cold]
pub fn settle(server: &Server, ctx: &mut Ctx<'_>, entry: &Entry, args: &Args<'_>) {
    if let Some(wait) = ctx.waiting.take() {
        begin(server, ctx, entry, args, *wait);
    }
    let env = ctx.db.env();
    serve(server, ctx.db.hand_over(), &env);
}

/// Lets the client wait; the partitions of its keys are locked.
fn begin(server: &Server, ctx: &mut Ctx<'_>, entry: &Entry, args: &Args<'_>, wait: Wait) {
    let (mut buf, mut spans) = (Vec::new(), Vec::new());
    for index in 0..args.argc() {
        let resolved = wait.resolved.iter().find(|(at, _)| *at as usize == index);
        let word = resolved.map_or(args.at(index), |(_, word)| word);
        spans.push(Span { start: buf.len() as u32, len: word.len() as u32 });
        buf.extend_from_slice(word);
    }
    let mut keys = Vec::new();
    entry.keys(*args, &mut keys);
    let others: Vec<u32> = keys.iter().map(|key| key.index).filter(|index| !wait.keys.contains(index)).collect();
    let needed = others.iter().map(|&index| server.keyspace.partition_of(&args.key_at(index as usize))).collect();
    let session = Session::of(ctx);
    let (info, db) = (session.info.clone(), session.db);
    let waiting = Waiting {
        client: info.clone(),
        user: session.user.clone(),
        db,
        protocol: session.protocol,
        command: entry.id,
        buf,
        spans,
        keys: wait.keys,
        others,
        needed,
        silent: session.replies != Replies::On,
        reader: session.tracked.as_ref().filter(|_| session.tracks_reads).map(|tracked| tracked.reader.clone()),
    };
    let waiter = Arc::new(Waiter::new(wait.heeds_loss, Box::new(waiting)));
    ctx.db.select(db);
    for key in Waiting::of(&waiter).keys() {
        ctx.db.wait_for(&key, &waiter);
    }
    *info.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiter.clone());
    server.waits.clients.fetch_add(1, Relaxed);
    if !Waiting::of(&waiter).others.is_empty() {
        server.waits.with_other_keys.fetch_add(1, Relaxed);
    }
    let deadline_ms = match wait.timeout_ms {
        0 => u64::MAX,
        timeout_ms => {
            server.waits.with_timeout.fetch_add(1, Relaxed);
            ctx.now_ms().saturating_add(timeout_ms)
        }
    };
    Session::of(ctx).pending = Some(Pending { waiter, deadline_ms });
}

/// Serves the queues of all keys that have changed, as [`Env::ready`] says; their partitions are locked in `db`.
pub fn serve(server: &Server, db: Db<'_>, env: &Env<'_>) {
    let mut out = Vec::new();
    let mut ctx = Ctx {
        db,
        reply: Reply::new(&mut out, Protocol::Resp2),
        registry: &server.registry,
        session: &mut (),
        server,
        may_wait: true,
        reaches_every_key: true,
        waiting: None,
    };
    // Queues that need partitions which are not locked.
    let mut later: VecDeque<Ready> = VecDeque::new();
    loop {
        let next = {
            let mut ready = env.work.ready.borrow_mut();
            if ready.is_empty() { None } else { Some(ready.remove(0)) }
        };
        match next {
            Some(ready) => serve_queue(server, &mut ctx, ready, &mut later),
            None => match later.pop_front() {
                None => return,
                Some(ready) => match lock_for_queue(server, &mut ctx.db, &ready) {
                    Ok(()) => env.work.ready.borrow_mut().push(ready),
                    Err(Unavailable) => server.busy.serve_later(ready),
                },
            },
        }
    }
}

/// Locks what the clients in the queue of a key need.
fn lock_for_queue(server: &Server, db: &mut Db<'_>, ready: &Ready) -> Result<(), Unavailable> {
    let key = Key::new(&ready.name);
    let own = server.keyspace.partition_of(&key);
    let mut partitions = vec![own];
    db.lock_or_give_up(&mut partitions)?;
    db.select(ready.db);
    for waiter in db.waiters(&key).iter().filter(|waiter| !waiter.is_over()) {
        partitions.extend_from_slice(&Waiting::of(waiter).needed);
    }
    if partitions.len() > 1 {
        db.lock_or_give_up(&mut partitions)?;
    }
    Ok(())
}

fn serve_queue(server: &Server, ctx: &mut Ctx<'_>, ready: Ready, later: &mut VecDeque<Ready>) {
    let key = Key::new(&ready.name);
    if !ctx.db.is_locked(&key) {
        later.push_back(ready);
        return;
    }
    ctx.db.select(ready.db);
    for waiter in ctx.db.waiters(&key) {
        let waiting = Waiting::of(&waiter);
        // A key that is gone or holds something else is nothing to most commands. (An expired one cannot be here: it was
        // changed a moment ago.)
        let holds = ctx.db.peek(&key).map(object::value_type);
        if !waiter.heeds_loss && holds.is_none_or(|kind| Some(kind.name()) != waiting.kind(server)) {
            continue;
        }
        if !waiting.needed.iter().all(|&partition| ctx.db.has_locked(partition)) {
            // Whoever stands behind it has to wait as well.
            if !waiter.is_over() {
                later.push_back(ready);
                return;
            }
            continue;
        }
        if waiter.take() != Taken::Yes {
            continue;
        }
        // What is in its other keys may matter, so they are locked if they can be had. (Another type of value there is an
        // error; a stream that has changed in the same transaction has something as well.) But nothing is released for them:
        // then somebody else could come in between.
        for other in waiting.keys() {
            ctx.db.try_lock_also(server.keyspace.partition_of(&other));
        }
        let after = server.pubsub.inbox(waiting.client.reactor).posted();
        match run_again(server, ctx, waiting) {
            Some(reply) => {
                waiter.finish();
                let client = waiting.client.clone();
                let (reactor, position) = (client.reactor, keyspace::effects::dependency());
                let waiter = waiter.clone();
                server.post(reactor, Message::Unblock { client, waiter, reply, position, after });
            }
            None => {
                if waiter.put_back() {
                    // Another of its keys has changed, and whoever changed it could not take it.
                    later.extend(waiting.keys().map(|key| Ready { db: waiting.db, name: key.name.into() }));
                }
            }
        }
        ctx.db.select(ready.db);
    }
}

/// Runs the command of a waiting client; its reply, unless it has to go on waiting.
fn run_again(server: &Server, ctx: &mut Ctx<'_>, waiting: &Waiting) -> Option<Vec<u8>> {
    let entry = &server.registry.entries()[waiting.command];
    ctx.db.select(waiting.db);
    ctx.reply.set_protocol(waiting.protocol);
    let start = ctx.reply.position();
    let args = Args::skipping(waiting.args(), entry.name_words());
    let begun = ctx.begin_effect();
    let admitted = match &waiting.user {
        None => Ok(()),
        Some(user) => enforce::admit_waiting(server, &waiting.client, user, entry, &args),
    };
    if admitted.is_err() {
        bump(&server.reactors[waiting.client.reactor].commands[entry.id].rejected, 1);
    }
    let outcome = admitted.and_then(|()| tracking::on_behalf(waiting.client.id, || (entry.command.handler)(ctx, args)));
    ctx.note_effect(begun, &args);
    ctx.hand_effects_over();
    if let Some(reader) = &waiting.reader
        && entry.command.flags.has(Flags::READONLY)
    {
        tracking::remember_for(ctx, reader, entry, &args);
    }
    if let Err(error) = outcome {
        ctx.reply.truncate(start);
        ctx.reply.error(&error.message());
        server.count_error(&server.reactors[waiting.client.reactor], &error.code());
    }
    let goes_on = ctx.waiting.take().is_some();
    let reply = if waiting.silent { Vec::new() } else { ctx.reply.since(start).to_vec() };
    ctx.reply.truncate(start);
    (!goes_on).then_some(reply)
}

/// The keys that a waiting client names besides those that it waits for, and their database.
pub fn other_keys(waiter: &Waiter, mut f: impl FnMut(u32, &Key<'_>)) {
    let waiting = Waiting::of(waiter);
    waiting.others.iter().for_each(|&index| f(waiting.db, &waiting.args().key_at(index as usize)));
}

/// Why a wait is ended from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its time is over.
    TimeOut,
    /// `CLIENT UNBLOCK … ERROR`.
    Error,
}

/// The reply to a command whose wait ends without anything.
pub fn reply_without(waiter: &Waiter, end: End) -> Vec<u8> {
    let (waiting, mut out) = (Waiting::of(waiter), Vec::new());
    if !waiting.silent {
        let mut reply = Reply::new(&mut out, waiting.protocol);
        match end {
            End::TimeOut => Absent::NullArray.write(&mut reply),
            End::Error => reply.error(b"UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        }
    }
    out
}

/// Gives a wait up; whether it was still on. Waits while somebody acts for it, which takes no longer than a command.
pub fn give_up(waiter: &Waiter) -> bool {
    loop {
        match waiter.give_up() {
            Some(given_up) => return given_up,
            None => std::thread::yield_now(),
        }
    }
}

/// Ends the wait of another client, if it waits; whether it did.
pub fn unblock(server: &Server, client: &Arc<ClientInfo>, end: End) -> bool {
    let waiter = client.waiter.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(waiter) = waiter else { return false };
    if !give_up(&waiter) {
        return false;
    }
    let reply = reply_without(&waiter, end);
    let after = server.pubsub.inbox(client.reactor).posted();
    let (reactor, client) = (client.reactor, client.clone());
    server.post(reactor, Message::Unblock { client, waiter, reply, position: 0, after });
    true
}

/// Removes a wait that is over from all queues. No partition is locked.
pub fn leave(server: &Server, session: &mut Session, env: Env<'_>) {
    let Some(pending) = session.pending.take() else { return };
    let waiting = Waiting::of(&pending.waiter);
    let mut db = Db::new(&server.keyspace, Locked::None, waiting.db, env);
    for key in waiting.keys() {
        let interest = Interest::Wait(pending.waiter.clone());
        busy::forget(server, &mut db, Leftover { db: waiting.db, name: key.name.into(), interest });
    }
    *session.info.waiter.lock().unwrap_or_else(PoisonError::into_inner) = None;
    server.waits.clients.fetch_sub(1, Relaxed);
    if !waiting.others.is_empty() {
        server.waits.with_other_keys.fetch_sub(1, Relaxed);
    }
    if pending.deadline_ms != u64::MAX {
        server.waits.with_timeout.fetch_sub(1, Relaxed);
    }
}
