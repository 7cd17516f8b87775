//! Patterns with the subscribers that they have on each reactor. There are few of them, and each may match any channel, so
//! they are one list, which publishers read side by side.

use super::Name;
use super::channels::Listeners;
use super::inbox::Inbox;
use super::message::pattern_head;
use super::seats::Seats;
use kinovar_command::glob;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

/// All patterns that somebody listens to.
#[derive(Default)]
pub struct Patterns {
    all: RwLock<All>,
    count: AtomicUsize,
}

#[derive(Default)]
struct All {
    list: Vec<Pattern>,
    /// Where each is in the list.
    positions: HashMap<Name, usize>,
}

struct Pattern {
    text: Name,
    listeners: Listeners,
}

/// The patterns that match a channel.
pub struct Matching<'a> {
    patterns: Vec<&'a Pattern>,
    /// How many connections listen to them, each counted for each of its patterns.
    pub total: usize,
}

impl Patterns {
    /// Number of different patterns. One relaxed load.
    #[inline]
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at the patterns that match `channel`, while the list is locked for reading.
    pub fn matching<R>(&self, channel: &[u8], look: impl FnOnce(&Matching<'_>) -> R) -> R {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let patterns: Vec<&Pattern> = all.list.iter().filter(|pattern| glob::matches(&pattern.text, channel)).collect();
        let total = patterns.iter().map(|pattern| pattern.listeners.total()).sum();
        look(&Matching { patterns, total })
    }

    /// See [`PubSub::subscribe`](super::PubSub::subscribe).
    pub(super) fn subscribe(
        &self,
        reactor: usize,
        conn: u32,
        text: &[u8],
        seats: &mut Seats,
        inbox: &Inbox,
        reactors: usize,
    ) -> Name {
        let All { list, positions } = &mut *self.all.write().unwrap_or_else(PoisonError::into_inner);
        let at = positions.get(text).copied().unwrap_or_else(|| {
            let text = Name::from(text);
            positions.insert(text.clone(), list.len());
            list.push(Pattern { text, listeners: Listeners::none(reactors) });
            list.len() - 1
        });
        self.count.store(list.len(), Relaxed);
        list[at].listeners.add(reactor, conn, seats, inbox, || pattern_head(text));
        list[at].text.clone()
    }

    /// See [`PubSub::unsubscribe`](super::PubSub::unsubscribe).
    pub(super) fn unsubscribe(&self, reactor: usize, conn: u32, text: &[u8], seats: &mut Seats, inbox: &Inbox) {
        let All { list, positions } = &mut *self.all.write().unwrap_or_else(PoisonError::into_inner);
        let at = *positions.get(text).expect("a pattern with a subscriber is listed");
        if !list[at].listeners.remove(reactor, conn, seats, inbox) {
            return;
        }
        positions.remove(text);
        list.swap_remove(at);
        if let Some(moved) = list.get(at) {
            positions.insert(moved.text.clone(), at);
        }
        self.count.store(list.len(), Relaxed);
    }
}

impl Matching<'_> {
    /// Places of their seats on one reactor.
    pub fn places_on(&self, reactor: usize) -> Box<[u32]> {
        self.patterns
            .iter()
            .filter_map(|pattern| pattern.listeners.listening_on(reactor))
            .map(|seat| seat.place)
            .collect()
    }
}
