//! What reactors are asked to do, and how they are asked while partitions are locked.

use crate::clients::ClientInfo;
use crate::config::Config;
use crate::errand::Answer;
use crate::metrics::Scrape;
use crate::migrating::Job;
use crate::server::Server;
use kinovar_command::keyspace::Waiter;
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A connection that was accepted and belongs to no reactor yet.
pub struct Accepted {
    /// Its socket.
    pub socket: OwnedFd,
    /// The token of its listener.
    pub listener: usize,
    /// The id of the client: given when it is accepted, so that ids rise in that order whichever reactors adopt them.
    pub client: u64,
}

/// What a reactor is asked to do.
pub enum Message {
    /// Take over a connection that was accepted elsewhere.
    Adopt(Accepted),
    /// Close a connection, if it is still the client with this id.
    Kill {
        /// The engine's id for it, as bits.
        conn: u64,
        /// The client.
        client: u64,
    },
    /// Close the connections of a user that listen to channels he may not listen to any more.
    Expel(Arc<crate::acl::enforce::Expelled>),
    /// Send bytes to a connection, if it is still the client with this id.
    Deliver {
        /// The engine's id for it, as bits.
        conn: u64,
        /// The client.
        client: u64,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// End a client's wait with this reply, if it is still this wait.
    Unblock {
        /// The client.
        client: Arc<ClientInfo>,
        /// The wait.
        waiter: Arc<Waiter>,
        /// The reply.
        reply: Vec<u8>,
        /// The position in the journal that the reply depends on.
        position: u64,
        /// Messages with numbers below this come before the reply.
        after: u64,
    },
    /// End a client's errand.
    Answer(Box<Answer>),
    /// Go on with a migration: its keys were sent, or could not be looked at before.
    Migrated(Box<Job>),
    /// Write a page of INFO (only to the first reactor).
    Scrape(Scrape),
    /// These are the new listeners with this token (only to the reactor that accepts).
    Listen(usize, Vec<(OwnedFd, usize)>),
    /// Close the listeners and open those of this configuration (only to the reactor that accepts).
    Relisten(Box<Config>),
}

thread_local! {
    /// Reactors that this thread has posted to and not woken yet.
    static POSTED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// The reactor that this thread is.
    static OWN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread is a reactor.
pub fn begin_reactor(index: usize) {
    OWN.set(Some(index));
}

/// Remembers that this thread has posted something to a reactor, for [`Server::wake_posted`].
pub fn note_posted(reactor: usize) {
    POSTED.with_borrow_mut(|posted| {
        if !posted.contains(&reactor) {
            posted.push(reactor);
        }
    });
}

impl Server {
    /// Sends a message to a reactor while partitions are locked: the order of messages is that of the changes, and whoever
    /// holds the locks calls [`Server::wake_posted`] when they are released, as nobody may be woken before.
    pub fn post(&self, reactor: usize, message: Message) {
        self.mailbox(reactor).push(message);
        note_posted(reactor);
    }

    /// This thread is about to give a message to an inbox, which may be about what it is changing.
    #[inline]
    pub fn announce_message(&self) {
        if let Some(own) = OWN.get() {
            self.journal.open_unit(own);
        }
    }

    /// Whether this thread has posted anything since it last woke.
    pub fn has_posted(&self) -> bool {
        POSTED.with_borrow(|posted| !posted.is_empty())
    }

    /// Wakes the reactors that this thread has posted to. Whether it has posted to reactor `own`, which is its own and awake.
    pub fn wake_posted(&self, own: usize) -> bool {
        POSTED.with_borrow_mut(|posted| {
            let mut to_own = false;
            for reactor in posted.drain(..) {
                if reactor == own {
                    to_own = true;
                } else {
                    self.mailbox(reactor).wake();
                }
            }
            to_own
        })
    }
}
