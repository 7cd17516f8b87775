//! Units that others may hear of before they are recorded.
//!
//! What a command publishes, and what it tells those who listen to its keys, goes to the inboxes of other reactors while it runs:
//! its unit is recorded only when it is over. Another reactor that delivers such a message in between cannot know the position
//! that it depends on. So with `appendfsync always` each reactor has a number, which is odd from before its first message until
//! its commands are over. Whoever takes messages out of an inbox looks at all numbers *afterwards*:
//!
//! - A message is put into the inbox after its reactor's number has become odd, and taken out before the numbers are looked at.
//!   So its reactor's number is seen odd, or it has risen since.
//! - If it has risen, the unit is recorded, and whoever has seen that sees its position in [`Journal::recorded`] too: the number
//!   is stored after it, and loaded before it.
//! - If it is odd, what was taken out is kept back until that number has risen.
//!
//! Nobody waits for a lock or for another thread, and numbers rise when the commands that a reactor runs are over; so nothing is
//! kept back for longer than that.

use super::Journal;
use crate::server::Server;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// A reactor's number.
#[derive(Default)]
pub(super) struct Unit {
    /// Odd while its commands have told of something that may not be recorded. It alone changes that.
    number: AtomicU64,
    /// It waits for a number of another one to rise.
    waits: AtomicBool,
}

/// The reactors whose units are not recorded yet, and their numbers.
pub type Open = Rc<[(usize, u64)]>;

impl Journal {
    /// Reactor `index` is about to tell others of what may be recorded only later.
    #[inline]
    pub fn open_unit(&self, index: usize) {
        if self.is_always() {
            let number = &self.open_units[index].number;
            number.store(number.load(Relaxed) | 1, SeqCst);
        }
    }

    /// The commands of reactor `index` are over, none of them is left in the middle.
    #[inline]
    pub fn close_unit(&self, server: &Server, index: usize) {
        if self.is_always() && self.open_units[index].number.load(Relaxed) % 2 == 1 {
            self.close_open_unit(server, index);
        }
    }

    #[cold]
    fn close_open_unit(&self, server: &Server, index: usize) {
        let number = &self.open_units[index].number;
        number.store(number.load(Relaxed) + 1, SeqCst);
        for (reactor, unit) in self.open_units.iter().enumerate() {
            if unit.waits.load(SeqCst) && unit.waits.swap(false, SeqCst) {
                server.mailbox(reactor).wake();
            }
        }
    }

    /// The units that messages may be about which were taken out of an inbox before. Without any, [`Journal::recorded`] covers
    /// all that these depend on.
    pub fn open_units(&self) -> Option<Open> {
        if !self.is_always() {
            return None;
        }
        let numbers = self.open_units.iter().map(|unit| unit.number.load(SeqCst)).enumerate();
        let open: Vec<_> = numbers.filter(|(_, number)| number % 2 == 1).collect();
        (!open.is_empty()).then(|| open.into())
    }

    /// Whether one of these is still not recorded. If so, reactor `index` is woken when that may have changed.
    pub fn waits_for_units(&self, index: usize, open: &Open) -> bool {
        let any = || {
            self.is_always()
                && open.iter().any(|&(reactor, number)| self.open_units[reactor].number.load(SeqCst) == number)
        };
        // Looked at again after that, so that no wake-up is missed.
        any() && {
            self.open_units[index].waits.store(true, SeqCst);
            any()
        }
    }
}
