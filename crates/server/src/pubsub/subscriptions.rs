//! What one connection listens to.

use super::{KINDS, Kind, Name, PubSub};
use crate::session::Session;
use kinovar_command::Protocol;
use kinovar_io::engine::ConnId;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

/// The channels and patterns of one connection.
#[derive(Default)]
pub struct Subscriptions {
    of_kind: [HashSet<Name>; 3],
}

impl Subscriptions {
    /// Those of one kind.
    pub fn of(&self, kind: Kind) -> &HashSet<Name> {
        &self.of_kind[kind as usize]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of_kind.iter().all(HashSet::is_empty)
    }
}

impl Session {
    /// Index of the connection in its engine.
    pub(crate) fn conn_index(&self) -> u32 {
        ConnId::from_bits(self.info.conn.load(Relaxed)).index() as u32
    }

    /// Subscribes, unless it is so already.
    pub fn subscribe(&mut self, pubsub: &PubSub, kind: Kind, name: &[u8]) {
        let (reactor, conn) = (self.info.reactor, self.conn_index());
        let subscriptions = self.subscriptions.get_or_insert_default();
        if !subscriptions.of(kind).contains(name) {
            let name = pubsub.subscribe(kind, reactor, conn, name);
            subscriptions.of_kind[kind as usize].insert(name);
            self.subscriptions_changed();
        }
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, pubsub: &PubSub, kind: Kind, name: &[u8]) {
        let (reactor, conn) = (self.info.reactor, self.conn_index());
        let Some(subscriptions) = &mut self.subscriptions else { return };
        if subscriptions.of_kind[kind as usize].remove(name) {
            pubsub.unsubscribe(kind, reactor, conn, name);
            self.subscriptions_changed();
        }
    }

    /// Ends all subscriptions; what is on its way does not matter any more.
    pub fn unsubscribe_all(&mut self, pubsub: &PubSub) {
        if self.subscriptions.is_some() {
            for kind in KINDS {
                for name in self.subscribed_names(kind) {
                    self.unsubscribe(pubsub, kind, &name);
                }
            }
        }
        let mut seats = pubsub.seats(self.info.reactor);
        if seats.any_leaving() {
            seats.forget(self.conn_index());
        }
    }

    /// The names that it is subscribed to, in no order.
    pub fn subscribed_names(&self, kind: Kind) -> Vec<Name> {
        self.subscriptions.iter().flat_map(|subscriptions| subscriptions.of(kind)).cloned().collect()
    }

    /// The number of subscriptions that replies about this kind show: channels and patterns are counted together.
    pub fn subscription_count(&self, kind: Kind) -> usize {
        let Some(subscriptions) = &self.subscriptions else { return 0 };
        let len = |kind| subscriptions.of(kind).len();
        match kind {
            Kind::ShardChannel => len(kind),
            Kind::Channel | Kind::Pattern => len(Kind::Channel) + len(Kind::Pattern),
        }
    }

    fn subscriptions_changed(&mut self) {
        if let Some(subscriptions) = &self.subscriptions {
            for (shown, names) in self.info.subscriptions.iter().zip(&subscriptions.of_kind) {
                shown.store(names.len() as u32, Relaxed);
            }
            if subscriptions.is_empty() {
                self.subscriptions = None;
            }
        }
        self.listening_changed();
    }

    /// Derives what follows from the subscriptions and the protocol.
    pub fn listening_changed(&mut self) {
        self.is_plain = false;
        let subscribed = self.subscriptions.is_some();
        self.only_listens = subscribed && self.protocol == Protocol::Resp2;
        self.takes_pushes = subscribed || self.is_tracking();
    }
}
