//! `MIGRATE`: keys on their way to another server.
//!
//! Nothing waits for a socket under a lock. What is to be sent is serialised under the locks of the keys. Then a thread, which
//! exists while there is something for it to do, talks with the target, and the client waits meanwhile ([`crate::errand`]).
//! What the target has acknowledged is removed by the client's reactor, under the locks of those keys again:
//!
//! ```text
//! reactor             thread                        reactor
//! serialise, watch ─> RESTORE …, read replies ────> not touched: remove, answer
//!                          ^                        touched: serialise again ─┐
//!                          └──── RESTORE … REPLACE, or DEL if it is gone ─────┘
//! ```
//!
//! A key that has changed since it was serialised is not removed: what the target has is out of date. It is sent again as it is
//! now, in place of what the target has of it. (If it is gone by now, the target is told to remove it.) Clients that change a key all the
//! time would keep it here for ever; so after [`ROUNDS`] attempts commands that write have to wait until it has moved, as in a
//! [pause](crate::pause). What changes nevertheless ends with an error after [`ROUNDS_MAX`]: then the key is in both places, as
//! after any other error on the way.
//!
//! Where a client cannot be made to wait, in transactions and scripts, everything is done at once by the reactor, locks held:
//! what follows must find the keys gone, and nobody may see anything in between.
//!
//! If the client goes meanwhile, the rest is done without it. If the server ends meanwhile, the keys stay, and the target may
//! have them as well.
//!
//! | module | what it is |
//! |---|---|
//! | [`transfer`] | what is said to the target |
//! | [`link`] | a connection to it, with patience |
//! | [`settle`] | what is removed, and what is sent again |

mod link;
pub mod settle;
mod transfer;

use crate::errand::Origin;
use crate::message::Message;
use crate::server::Server;
use kinovar_command::CommandError;
use kinovar_command::keyspace::Watch;
use link::Link;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub use transfer::exchange;

/// Attempts for a key that changes meanwhile, before writers have to wait.
const ROUNDS: usize = 8;
/// The same, before it is given up.
const ROUNDS_MAX: usize = 16;
/// Connections are kept so long for the next migration.
const LINK_IDLE: Duration = Duration::from_secs(10);
/// So many of them.
const LINKS_MAX: usize = 64;
/// What cannot be done at once is tried again after this time.
const LATER: Duration = Duration::from_millis(10);

/// What is asked for.
pub struct Request {
    /// The target's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database there.
    pub db: i64,
    /// For each step of the conversation.
    pub timeout: Duration,
    /// The keys stay here.
    pub copies: bool,
    /// They take the place of those of the same names.
    pub replaces: bool,
    /// User, if one is given, and password.
    pub auth: Option<(Option<Vec<u8>>, Vec<u8>)>,
}

/// A key.
pub struct Item {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its value as a payload; `None` when it is gone.
    pub payload: Option<Vec<u8>>,
    /// When it expires, Unix ms.
    pub expire_at_ms: Option<u64>,
    /// Whether it has changed since.
    pub watch: Arc<Watch>,
    /// The target has it.
    pub is_acknowledged: bool,
    /// It was sent before.
    pub is_known: bool,
}

/// What went wrong.
pub enum Trouble {
    /// The target's answer.
    Refused(Vec<u8>),
    /// There is no connection.
    NotConnected,
    /// It is broken, or the time was over: while writing, or reading.
    Broken(&'static str),
    /// A key has changed again and again.
    Unsteady,
}

impl Trouble {
    /// What the client is told.
    pub fn error(&self) -> CommandError {
        match self {
            Trouble::Refused(text) => {
                CommandError::Bytes([b"ERR Target instance replied with error: ", &text[..]].concat())
            }
            Trouble::NotConnected => CommandError::text("IOERR error or timeout connecting to the client"),
            Trouble::Broken(what) => CommandError::owned(format!("IOERR error or timeout {what} to target instance")),
            Trouble::Unsteady => CommandError::text("IOERR a key was changed each time that it was sent"),
        }
    }
}

/// A migration whose client waits.
pub struct Job {
    /// What is asked for.
    pub request: Request,
    /// The keys that are not done.
    pub items: Vec<Item>,
    /// Their database.
    pub db: u32,
    /// Whose it is.
    pub origin: Origin,
    /// What went wrong first.
    pub trouble: Option<Trouble>,
    /// How often something was sent.
    pub rounds: usize,
    /// Writers wait for it.
    pub pauses: bool,
    /// The position in the journal that the reply depends on.
    pub position: u64,
}

/// All migrations.
#[derive(Default)]
pub struct Migrating {
    state: Mutex<State>,
    /// The state has changed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<Job>>,
    /// Those that wait for the data to be free again, and until when.
    later: Vec<(Instant, Box<Job>)>,
    links: Vec<Link>,
    has_thread: bool,
}

impl Migrating {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are kept.
    pub fn links(&self) -> usize {
        self.state().links.len()
    }

    /// A connection that was kept.
    fn take_link(&self, request: &Request) -> Option<Link> {
        let links = &mut self.state().links;
        let at = links.iter().position(|link| link.leads_to(request))?;
        Some(links.swap_remove(at))
    }
}

/// Keeps a connection for a while.
fn keep_link(server: &'static Server, link: Link) {
    let mut state = server.migrating.state();
    if state.links.len() >= LINKS_MAX {
        let oldest = (0..state.links.len()).min_by_key(|&at| state.links[at].used_at);
        oldest.map(|at| state.links.swap_remove(at));
    }
    state.links.push(link);
    // To be closed in time.
    start_thread(server, &mut state);
}

/// Has the thread talk with a target.
pub fn submit(server: &'static Server, job: Box<Job>) {
    let mut state = server.migrating.state();
    state.jobs.push_back(job);
    start_thread(server, &mut state);
    drop(state);
    server.migrating.changed.notify_one();
}

/// Has the client's reactor look at a job again a little later.
pub fn postpone(server: &'static Server, job: Box<Job>) {
    let mut state = server.migrating.state();
    state.later.push((Instant::now() + LATER, job));
    start_thread(server, &mut state);
    drop(state);
    server.migrating.changed.notify_one();
}

fn start_thread(server: &'static Server, state: &mut State) {
    if state.has_thread {
        return;
    }
    let thread = std::thread::Builder::new().name("kinovar-migrate".into());
    match thread.spawn(move || run(server)) {
        Ok(_) => state.has_thread = true,
        Err(error) => crate::log::warning(&format!("Can't start a thread: {error}")),
    }
    if !state.has_thread {
        state.links.clear();
        for mut job in state.jobs.drain(..) {
            job.trouble.get_or_insert(Trouble::NotConnected);
            hand_back(server, job);
        }
    }
}

/// Gives a job to the reactor of its client.
fn hand_back(server: &Server, job: Box<Job>) {
    server.mailbox(job.origin.client.reactor).send(Message::Migrated(job));
}

fn run(server: &'static Server) {
    let mut state = server.migrating.state();
    loop {
        let now = Instant::now();
        // Outside of the lock, as closing may take a while.
        let mut idle = Vec::new();
        while let Some(at) = state.links.iter().position(|link| now.duration_since(link.used_at) > LINK_IDLE) {
            idle.push(state.links.swap_remove(at));
        }
        let due: Vec<_> = {
            let (due, later) = std::mem::take(&mut state.later).into_iter().partition(|(at, _)| *at <= now);
            state.later = later;
            due
        };
        let next = state.jobs.pop_front();
        if !idle.is_empty() || !due.is_empty() || next.is_some() {
            drop(state);
            drop(idle);
            due.into_iter().for_each(|(_, job)| hand_back(server, job));
            if let Some(mut job) = next {
                job.rounds += 1;
                let trouble = exchange(server, &job.request, &mut job.items);
                if job.trouble.is_none() {
                    job.trouble = trouble;
                }
                hand_back(server, job);
            }
            state = server.migrating.state();
            continue;
        }
        if state.links.is_empty() && state.later.is_empty() {
            state.has_thread = false;
            return;
        }
        let links = state.links.iter().map(|link| link.used_at + LINK_IDLE + Duration::from_millis(1));
        let next = state.later.iter().map(|(at, _)| *at).chain(links).min().unwrap_or(now);
        let wait = next.saturating_duration_since(now).max(Duration::from_millis(1));
        state = server.migrating.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}
