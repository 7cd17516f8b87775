//! Channels with the subscribers that they have on each reactor, under one lock for each part of them.

use super::Name;
use super::inbox::Inbox;
use super::seats::{Seats, Subscriber};
use kinovar_command::Key;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts that are locked on their own.
const PARTS: usize = 64;

/// All channels of a namespace that somebody listens to.
pub struct Channels {
    parts: Box<[Mutex<Part>]>,
    count: AtomicUsize,
}

type Part = HashMap<Name, Listeners>;

/// How many connections of each reactor listen to something, and where their seat is.
pub struct Listeners(Box<[ReactorSeat]>);

/// Those of one reactor.
#[derive(Clone, Copy, Default)]
pub struct ReactorSeat {
    /// How many; 0: there is no seat.
    pub count: u32,
    /// The place in the reactor's [`Seats`].
    pub place: u32,
}

impl Default for Channels {
    fn default() -> Self {
        Channels { parts: (0..PARTS).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }
}

impl Channels {
    /// Number of channels that somebody listens to. One relaxed load.
    #[inline]
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether nobody listens to any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, name: &[u8]) -> MutexGuard<'_, Part> {
        let part = (Key::hash_of(name) >> 32) as usize % PARTS;
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at who listens to a channel, while it is locked.
    pub fn with<R>(&self, name: &[u8], look: impl FnOnce(Option<&Listeners>) -> R) -> R {
        look(self.part(name).get(name))
    }

    /// How many connections listen to a channel.
    pub fn subscribers(&self, name: &[u8]) -> usize {
        self.with(name, |listeners| listeners.map_or(0, Listeners::total))
    }

    /// Names of the channels that `wanted` is true for, in no order.
    pub fn names(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Name> {
        let mut names = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            names.extend(part.keys().filter(|name| wanted(name)).cloned());
        }
        names
    }

    /// See [`PubSub::subscribe`](super::PubSub::subscribe).
    pub(super) fn subscribe(
        &self,
        reactor: usize,
        conn: u32,
        name: &[u8],
        seats: &mut Seats,
        inbox: &Inbox,
        reactors: usize,
    ) -> Name {
        let mut part = self.part(name);
        let name = match part.get_key_value(name) {
            Some((name, _)) => name.clone(),
            None => {
                self.count.fetch_add(1, Relaxed);
                Name::from(name)
            }
        };
        let listeners = part.entry(name.clone()).or_insert_with(|| Listeners::none(reactors));
        listeners.add(reactor, conn, seats, inbox, Box::default);
        name
    }

    /// See [`PubSub::unsubscribe`](super::PubSub::unsubscribe).
    pub(super) fn unsubscribe(&self, reactor: usize, conn: u32, name: &[u8], seats: &mut Seats, inbox: &Inbox) {
        let mut part = self.part(name);
        let listeners = part.get_mut(name).expect("a channel with a subscriber is listed");
        if listeners.remove(reactor, conn, seats, inbox) {
            part.remove(name);
            self.count.fetch_sub(1, Relaxed);
        }
    }
}

impl Listeners {
    /// Nobody, on so many reactors.
    pub(super) fn none(reactors: usize) -> Listeners {
        Listeners((0..reactors).map(|_| ReactorSeat::default()).collect())
    }

    /// How many there are on all reactors.
    pub fn total(&self) -> usize {
        self.0.iter().map(|seat| seat.count as usize).sum()
    }

    /// The reactors that have some.
    pub fn listening(&self) -> impl Iterator<Item = (usize, ReactorSeat)> {
        self.0.iter().copied().enumerate().filter(|(_, seat)| seat.count > 0)
    }

    /// The seat on one reactor, if it has some.
    pub fn listening_on(&self, reactor: usize) -> Option<ReactorSeat> {
        Some(self.0[reactor]).filter(|seat| seat.count > 0)
    }

    /// Adds a connection, in a new seat with this head if it is the reactor's first.
    pub(super) fn add(
        &mut self,
        reactor: usize,
        conn: u32,
        seats: &mut Seats,
        inbox: &Inbox,
        head: impl FnOnce() -> Box<[u8]>,
    ) {
        let seat = &mut self.0[reactor];
        if seat.count == 0 {
            seat.place = seats.take(head());
        }
        seat.count += 1;
        seats.add(seat.place, Subscriber { conn, since: inbox.posted() });
    }

    /// Removes a connection; whether nobody is left.
    pub(super) fn remove(&mut self, reactor: usize, conn: u32, seats: &mut Seats, inbox: &Inbox) -> bool {
        let seat = &mut self.0[reactor];
        seats.remove(seat.place, conn, (inbox.waiting() > 0).then(|| inbox.posted()));
        seat.count -= 1;
        if seat.count == 0 {
            seats.give_up(seat.place);
        }
        self.0.iter().all(|seat| seat.count == 0)
    }
}
