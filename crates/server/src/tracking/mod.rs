//! Client-side caching: telling clients that what they have read has changed since (`CLIENT TRACKING`).
//!
//! Two kinds of clients. Those of the first have the server remember which keys they read (`keyspace::readers`), and are told once
//! when such a key changes. Those of the second name prefixes, or nothing, which stands for every key, and are told of all
//! changes: what has changed in a turn of a reactor is put together and sent at its end ([`broadcast`]).
//!
//! ```text
//!   a client reads a key ──> the partition's table of readers
//!   anybody changes it   ──> the write door takes the readers out ──> Caches::stale, here ──> their inboxes (pubsub::inbox)
//! ```
//! All of it happens while the key's partition is locked, so no change falls between reading and remembering.
//!
//! A client that changes a key itself is told behind the reply, and behind the messages that the command has published. So its
//! own invalidations wait here until the command is over.

pub mod broadcast;
pub mod session;

use crate::clients::ClientInfo;
use crate::message::note_posted;
use crate::pubsub::inbox::Post;
use crate::server::Server;
use crate::session::Session;
use broadcast::Prefixes;
use kinovar_command::keyspace::{All, Caches, Reader};
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Ctx, Protocol, Reply};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What others see of a connection's tracking.
#[derive(Default)]
pub struct Shown {
    /// It is on.
    pub on: AtomicBool,
    /// All changes to keys with its prefixes are meant.
    pub broadcast: AtomicBool,
    /// Its own changes are not.
    pub noloop: AtomicBool,
    /// The client that invalidations are redirected to is gone.
    pub broken: AtomicBool,
    /// The client that invalidations are redirected to; 0 for none.
    pub redirect: AtomicU64,
}

/// A client that tracks keys, or did: it stays the same for the life of its connection.
pub struct Tracker {
    /// The client.
    pub client: Arc<ClientInfo>,
    /// The client that invalidations are redirected to.
    target: Mutex<Option<Arc<ClientInfo>>>,
}

impl Tracker {
    /// The one behind a reader.
    pub fn of(reader: &Reader) -> &Tracker {
        reader.client.downcast_ref().expect("readers are made here")
    }
}

/// All clients that track keys.
#[derive(Default)]
pub struct Tracking {
    all: Mutex<BTreeMap<u64, Arc<Reader>>>,
    count: AtomicUsize,
    /// Those that are told of all changes.
    pub prefixes: Prefixes,
}

impl Tracking {
    /// Number of clients. One relaxed load.
    #[inline]
    pub fn clients(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, Arc<Reader>>)) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        self.count.store(all.len(), Relaxed);
    }

    fn readers(&self) -> Vec<Arc<Reader>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

thread_local! {
    /// The client whose command this thread runs, and which is told of its own changes behind the reply; 0 for none.
    static SERVED: Cell<u64> = const { Cell::new(0) };
    /// The client whose command this thread runs, for itself or on its behalf; 0 for none.
    static CHANGER: Cell<u64> = const { Cell::new(0) };
    /// A script runs the command.
    static SCRIPTED: Cell<bool> = const { Cell::new(false) };
    /// What the client that is served is to be told behind the reply.
    static OWN: RefCell<Vec<Post>> = const { RefCell::new(Vec::new()) };
}

/// This thread runs a command of a client that may track keys, until [`served`].
pub fn serve(client: u64) {
    SERVED.set(client);
    CHANGER.set(client);
}

/// The command is over.
pub fn served() {
    serve(0);
}

/// Runs a command on behalf of another client, which waited for it.
pub fn on_behalf<R>(client: u64, run: impl FnOnce() -> R) -> R {
    let (served, changer) = (SERVED.replace(0), CHANGER.replace(client));
    let result = run();
    SERVED.set(served);
    CHANGER.set(changer);
    result
}

/// Runs a command for a script.
pub fn by_script<R>(run: impl FnOnce() -> R) -> R {
    let before = SCRIPTED.replace(true);
    let result = run();
    SCRIPTED.set(before);
    result
}

/// The array with one key that an invalidation carries.
fn encoded<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    let mut reply = Reply::new(&mut bytes, Protocol::Resp2);
    reply.array(keys.len());
    keys.for_each(|key| reply.bulk(key));
    bytes.into()
}

impl Caches for Server {
    #[cold]
    fn stale(&self, key: &[u8], readers: &[Arc<Reader>], all: All) {
        let mut keys = None;
        for reader in readers {
            let shown = &Tracker::of(reader).client.tracking;
            let is_own = shown.noloop.load(Relaxed) && Tracker::of(reader).client.id == CHANGER.get();
            if shown.on.load(Relaxed) && !shown.broadcast.load(Relaxed) && !is_own {
                let keys = keys.get_or_insert_with(|| encoded([key].into_iter()));
                self.invalidate(reader, keys.clone(), 0);
            }
        }
        if let All::Told { alone } = all {
            // A script's changes are not its client's own here.
            let changer = if alone || SCRIPTED.get() { 0 } else { CHANGER.get() };
            self.tracking.prefixes.note(key, changer);
        }
    }
}

impl Server {
    /// Gives a post to a reactor. Partitions may be locked.
    pub fn post_message(&self, reactor: usize, post: Post) {
        self.announce_message();
        self.pubsub.inbox(reactor).post(post);
        note_posted(reactor);
    }

    /// Tells a client, or the one that it redirects to, that some of what it has read is out of date. What is for client `own`
    /// waits until its command is over.
    fn invalidate(&self, reader: &Arc<Reader>, keys: Arc<[u8]>, own: u64) {
        let tracker = Tracker::of(reader);
        let is_redirected = tracker.client.tracking.redirect.load(Relaxed) != 0;
        let post = if is_redirected {
            let target = tracker.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match target {
                Some(to) if !to.gone.load(Relaxed) => Post::Invalidation { to, keys, redirected: Some(reader.clone()) },
                _ => return self.redirect_is_broken(reader),
            }
        } else {
            Post::Invalidation { to: tracker.client.clone(), keys, redirected: None }
        };
        self.tell(tracker, post, own);
    }

    /// The client that another one redirects to is gone.
    #[cold]
    pub fn redirect_is_broken(&self, reader: &Arc<Reader>) {
        let tracker = Tracker::of(reader);
        tracker.client.tracking.broken.store(true, Relaxed);
        let redirect = tracker.client.tracking.redirect.load(Relaxed);
        self.tell(tracker, Post::RedirectBroken { to: tracker.client.clone(), redirect }, 0);
    }

    fn tell(&self, tracker: &Tracker, post: Post, own: u64) {
        let (Post::Invalidation { to, .. } | Post::RedirectBroken { to, .. }) = &post else { return };
        if SERVED.get() == tracker.client.id || to.id == own {
            OWN.with_borrow_mut(|own| own.push(post));
        } else {
            self.post_message(to.reactor, post);
        }
    }

    /// Tells all clients that track keys that everything is out of date: a database was emptied. What is for client `own`
    /// waits until its command is over.
    pub fn invalidate_everything(&self, own: u64) {
        // The client that runs the command comes last.
        let mut readers = self.tracking.readers();
        readers.sort_by_key(|reader| Tracker::of(reader).client.id == SERVED.get());
        for reader in readers {
            let is_resp3 = Tracker::of(&reader).client.resp.load(Relaxed) == 3;
            let nothing: &[u8] = if is_resp3 { b"_\r\n" } else { b"$-1\r\n" };
            self.invalidate(&reader, nothing.into(), own);
        }
    }
}

/// Appends an invalidation for a connection.
pub fn write_invalidation(session: &Session, out: &mut Vec<u8>, keys: &[u8], is_redirected: bool) {
    match session.protocol {
        Protocol::Resp3 => out.extend_from_slice(b">2\r\n$10\r\ninvalidate\r\n"),
        Protocol::Resp2 if is_redirected && session.subscriptions.is_some() => {
            out.extend_from_slice(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n");
        }
        // Nothing could tell it from a reply.
        Protocol::Resp2 => return,
    }
    out.extend_from_slice(keys);
}

/// Appends that the client which invalidations were redirected to is gone.
pub fn write_redirect_broken(session: &Session, out: &mut Vec<u8>, redirect: u64) {
    if session.protocol == Protocol::Resp3 {
        let mut reply = Reply::new(out, Protocol::Resp3);
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(redirect as i64);
    }
}

/// Appends what a client is to be told of its own changes. Behind what the command has published.
#[inline]
pub fn tell_own(server: &Server, session: &Session, out: &mut Vec<u8>) {
    if OWN.with_borrow(|own| !own.is_empty()) {
        let is_behind = server.pubsub.inbox(session.info.reactor).waiting() > 0;
        tell_own_now(server, session, out, is_behind);
    }
}

/// Appends it, or has it come behind what is in the inbox.
#[cold]
pub fn tell_own_now(server: &Server, session: &Session, out: &mut Vec<u8>, is_behind: bool) {
    OWN.with_borrow_mut(|own| {
        for post in own.drain(..) {
            match post {
                Post::Invalidation { ref to, .. } | Post::RedirectBroken { ref to, .. }
                    if is_behind || to.id != session.info.id =>
                {
                    server.post_message(to.reactor, post);
                }
                Post::Invalidation { keys, redirected, .. } => {
                    write_invalidation(session, out, &keys, redirected.is_some());
                }
                Post::RedirectBroken { redirect, .. } => write_redirect_broken(session, out, redirect),
                Post::Message(..) | Post::Bytes { .. } => unreachable!("only invalidations wait here"),
            }
        }
    });
}

/// Remembers that the connection has read the keys of a command; their partitions are locked.
#[cold]
pub fn remember(ctx: &mut Ctx<'_>, entry: &Entry, args: &Args<'_>) {
    let Some(tracked) = &Session::of(ctx).tracked else { return };
    let reader = tracked.reader.clone();
    remember_for(ctx, &reader, entry, args);
}

/// The same for another client, which waited. Only some of its keys are locked; the others have not changed since.
pub fn remember_for(ctx: &mut Ctx<'_>, reader: &Arc<Reader>, entry: &Entry, args: &Args<'_>) {
    if !args.hashed().is_empty() {
        args.hashed().iter().for_each(|key| ctx.db.remember_reader(&key.of(args), reader));
        return;
    }
    let mut keys = Vec::new();
    entry.keys(*args, &mut keys);
    for key in keys {
        let key = args.key_at(key.index as usize);
        if ctx.db.is_locked(&key) {
            ctx.db.remember_reader(&key, reader);
        }
    }
}
