//! Publish and subscribe: who listens where, and how messages get there.
//!
//! ```text
//!   PUBLISH, on any reactor
//!     lock the channel ──> subscribers on reactor 0: seat 7, three of them; on reactor 1: seat 2, one
//!     match the patterns
//!     post one message to the inbox of reactor 0, one to that of reactor 1
//!     unlock, answer the number of subscribers; wake the reactors once no lock is held
//!
//!   reactor 0, at the end of its turn at the latest
//!     take the inbox; copy the bytes of each message into the output of each connection of seat 7
//!     hand the outputs to the engine
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`channels`] | all channels with their subscribers on each reactor |
//! | [`patterns`] | the same for patterns |
//! | [`seats`] | a reactor's own subscribers, by seat |
//! | [`inbox`] | messages on their way to a reactor |
//! | [`message`] | a message as subscribers read it |
//! | [`outbox`] | reactors to be woken |
//! | [`subscriptions`] | what one connection listens to |
//!
//! # Order
//! Messages are posted while the channel is locked, so all subscribers of a channel see one order, and a publisher's messages
//! come in the order in which it sent them. A subscription begins with a number: how many messages its reactor's inbox has
//! ever been given, read while the channel (or the list of patterns) is locked. Messages below it were published earlier and
//! are not for this subscriber. The same number keeps a seat apart from an earlier use of it.
//!
//! Locks are taken in this order: seats, channel, patterns, inbox. A partition may be locked before any of them.

pub mod channels;
pub mod inbox;
pub mod message;
pub mod outbox;
pub mod patterns;
pub mod seats;
pub mod subscriptions;

use channels::Channels;
use inbox::{Inbox, Post};
use message::Encoded;
use outbox::Outbox;
use patterns::Patterns;
use seats::Seats;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be subscribed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A channel of `PUBLISH`.
    Channel,
    /// A pattern over those channels.
    Pattern,
    /// A channel of `SPUBLISH`.
    ShardChannel,
}

/// Every kind, in the order in which they are undone when a connection ends.
pub const KINDS: [Kind; 3] = [Kind::Channel, Kind::ShardChannel, Kind::Pattern];

/// A name that is shared by everyone who keeps it.
pub type Name = Arc<[u8]>;

/// All subscriptions of the server.
pub struct PubSub {
    channels: Channels,
    shard_channels: Channels,
    patterns: Patterns,
    seats: Box<[Mutex<Seats>]>,
    inboxes: Box<[Inbox]>,
    outboxes: Box<[Outbox]>,
}

impl PubSub {
    /// Nobody listens; for so many reactors.
    pub fn new(reactors: usize) -> PubSub {
        PubSub {
            channels: Channels::default(),
            shard_channels: Channels::default(),
            patterns: Patterns::default(),
            seats: (0..reactors).map(|_| Mutex::default()).collect(),
            inboxes: (0..reactors).map(|_| Inbox::default()).collect(),
            outboxes: (0..reactors).map(|_| Outbox::new(reactors)).collect(),
        }
    }

    /// The channels of `PUBLISH`, or those of `SPUBLISH`.
    pub fn channels(&self, shard: bool) -> &Channels {
        if shard { &self.shard_channels } else { &self.channels }
    }

    /// All patterns.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Messages on their way to a reactor.
    pub fn inbox(&self, reactor: usize) -> &Inbox {
        &self.inboxes[reactor]
    }

    /// Whom a reactor has to wake.
    pub fn outbox(&self, reactor: usize) -> &Outbox {
        &self.outboxes[reactor]
    }

    /// The subscribers of a reactor, which alone asks for them.
    pub fn seats(&self, reactor: usize) -> MutexGuard<'_, Seats> {
        self.seats[reactor].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message to a channel of `PUBLISH` could have a receiver at all. Two relaxed loads.
    #[inline]
    pub fn any(&self) -> bool {
        self.channels.len() > 0 || self.patterns.len() > 0
    }

    /// Sends `payload` to everyone who listens to `channel`, for reactor `from`, which has to wake the others of its
    /// [`outbox`](PubSub::outbox) when it holds no lock. How many subscriptions it reaches. O(1) for a channel and O(patterns).
    pub fn publish(&self, from: usize, shard: bool, channel: &[u8], payload: &[u8]) -> usize {
        let channels = self.channels(shard);
        let patterns = if shard { 0 } else { self.patterns.len() };
        if channels.len() == 0 && patterns == 0 {
            return 0;
        }
        let encode = || Arc::new(Encoded::new(shard, channel, payload));
        let post = |reactor: usize, message: Post| {
            self.inboxes[reactor].post(message);
            if reactor != from {
                self.outboxes[from].note(reactor);
            }
        };
        channels.with(channel, |seats| {
            if patterns == 0 {
                return seats.map_or(0, |seats| {
                    let message = encode();
                    seats
                        .listening()
                        .map(|(reactor, seat)| {
                            post(reactor, Post::Message(message.clone(), Some(seat.place), Box::default()));
                            seat.count as usize
                        })
                        .sum()
                });
            }
            self.patterns.matching(channel, |matching| {
                let of_channel = |reactor: usize| seats.and_then(|seats| seats.listening_on(reactor));
                let total = matching.total + seats.map_or(0, |seats| seats.total());
                if total > 0 {
                    let message = encode();
                    for reactor in 0..self.inboxes.len() {
                        let place = of_channel(reactor).map(|seat| seat.place);
                        let places = matching.places_on(reactor);
                        if place.is_some() || !places.is_empty() {
                            post(reactor, Post::Message(message.clone(), place, places));
                        }
                    }
                }
                total
            })
        })
    }

    /// Adds a subscription of the connection with index `conn` on reactor `reactor`, which has none to `name` yet. The name to
    /// remember it by.
    pub fn subscribe(&self, kind: Kind, reactor: usize, conn: u32, name: &[u8]) -> Name {
        let (seats, inbox) = (&mut *self.seats(reactor), &self.inboxes[reactor]);
        match kind {
            Kind::Pattern => self.patterns.subscribe(reactor, conn, name, seats, inbox, self.inboxes.len()),
            Kind::Channel | Kind::ShardChannel => {
                let channels = self.channels(kind == Kind::ShardChannel);
                channels.subscribe(reactor, conn, name, seats, inbox, self.inboxes.len())
            }
        }
    }

    /// Ends a subscription that was begun with [`PubSub::subscribe`].
    pub fn unsubscribe(&self, kind: Kind, reactor: usize, conn: u32, name: &[u8]) {
        let seats = &mut *self.seats(reactor);
        match kind {
            Kind::Pattern => self.patterns.unsubscribe(reactor, conn, name, seats),
            Kind::Channel => self.channels.unsubscribe(reactor, conn, name, seats),
            Kind::ShardChannel => self.shard_channels.unsubscribe(reactor, conn, name, seats),
        }
    }
}

#[cfg(test)]
mod tests;
