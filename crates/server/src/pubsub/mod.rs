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
//! | [`subscriptions`] | what one connection listens to |
//!
//! # Order
//! Messages are posted while the channel is locked, so all subscribers of a channel see one order, and a publisher's messages
//! come in the order in which it sent them. A subscription begins with a number: how many messages its reactor's inbox has
//! ever been given, read while the channel (or the list of patterns) is locked. Messages below it were published earlier and
//! are not for this subscriber. The same number keeps a seat apart from an earlier use of it. A subscription ends in the same
//! way: what was posted before is still delivered, in front of the confirmation, so that whoever was counted by a publisher
//! gets the message.
//!
//! Locks are taken in this order: seats, channel, patterns, inbox. A partition may be locked before any of them.

pub mod channels;
pub mod inbox;
pub mod message;
pub mod patterns;
pub mod seats;
pub mod subscriptions;

use crate::server::Server;
use channels::{Channels, Listeners};
use inbox::{Inbox, Post};
use message::Encoded;
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

    /// The subscribers of a reactor, which alone asks for them.
    pub fn seats(&self, reactor: usize) -> MutexGuard<'_, Seats> {
        self.seats[reactor].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message to a channel of `PUBLISH` could have a receiver at all. Two relaxed loads.
    #[inline]
    pub fn any(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty()
    }

    /// Sends `payload` to everyone who listens to `channel`; how many subscriptions it reaches. `posted` is called for each
    /// reactor that got something: it is to be woken, but not before all locks are released. O(reactors) for a channel and
    /// O(patterns).
    pub fn publish(&self, shard: bool, channel: &[u8], payload: &[u8], mut posted: impl FnMut(usize)) -> usize {
        let channels = self.channels(shard);
        let patterns = if shard { 0 } else { self.patterns.len() };
        if channels.is_empty() && patterns == 0 {
            return 0;
        }
        let mut encoded = None;
        let mut post = |reactor: usize, place: Option<u32>, places: Box<[u32]>| {
            let message: &Arc<Encoded> = encoded.get_or_insert_with(|| Arc::new(Encoded::new(shard, channel, payload)));
            self.inboxes[reactor].post(Post::Message(message.clone(), place, places));
            posted(reactor);
        };
        channels.with(channel, |listeners| {
            if patterns == 0 {
                let Some(listeners) = listeners else { return 0 };
                listeners.listening().for_each(|(reactor, seat)| post(reactor, Some(seat.place), Box::default()));
                return listeners.total();
            }
            self.patterns.matching(channel, |matching| {
                let total = matching.total + listeners.map_or(0, Listeners::total);
                for reactor in 0..self.inboxes.len() {
                    let seat = listeners.and_then(|listeners| listeners.listening_on(reactor));
                    let places = matching.places_on(reactor);
                    if seat.is_some() || !places.is_empty() {
                        post(reactor, seat.map(|seat| seat.place), places);
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

    /// Ends a subscription that was begun with [`PubSub::subscribe`]. What is on its way for it will still be delivered.
    pub fn unsubscribe(&self, kind: Kind, reactor: usize, conn: u32, name: &[u8]) {
        let (seats, inbox) = (&mut *self.seats(reactor), &self.inboxes[reactor]);
        match kind {
            Kind::Pattern => self.patterns.unsubscribe(reactor, conn, name, seats, inbox),
            Kind::Channel => self.channels.unsubscribe(reactor, conn, name, seats, inbox),
            Kind::ShardChannel => self.shard_channels.unsubscribe(reactor, conn, name, seats, inbox),
        }
    }
}

impl Server {
    /// Sends a message to everyone who listens to a channel; how many subscriptions it reaches. Partitions may be locked.
    pub fn publish(&self, shard: bool, channel: &[u8], payload: &[u8]) -> usize {
        self.announce_message();
        self.pubsub.publish(shard, channel, payload, crate::message::note_posted)
    }
}

#[cfg(test)]
mod tests;
