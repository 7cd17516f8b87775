//! The longest turn of the event loops: how long nobody else was served, and what the time was spent on.
//!
//! Every turn is timed as a whole in any case. What it was spent on is found out from what takes long by itself, which notes how long
//! it took: commands of a millisecond and more, and the work that a reactor does beside requests. So a turn of short requests costs
//! one comparison.

use kinovar_io::clock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// A command that takes so long is worth noting as a possible cause, ns.
pub const COMMAND_NS: u64 = 1_000_000;

/// What a turn was spent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cause {
    /// Nothing that took long by itself: many requests, or a thread that did not get the processor.
    #[default]
    Requests,
    /// A command, by registry id.
    Command(usize),
    /// Scripts that go on in slices.
    Scripts,
    /// Removing what has expired.
    Expiry,
    /// Writing a snapshot.
    Snapshot,
    /// Loading data.
    Loading,
    /// Moving tables on that are growing.
    Tables,
    /// TLS handshakes.
    Handshakes,
    /// Delivering messages.
    Messages,
    /// Going on with connections that were held up.
    Released,
}

/// What has taken longest in the present turn.
#[derive(Clone, Copy, Default, Debug)]
pub struct Longest {
    ns: u64,
    cause: Cause,
}

impl Longest {
    /// Something took `ns`.
    pub fn note(&mut self, ns: u64, cause: Cause) {
        if ns > self.ns {
            *self = Longest { ns, cause };
        }
    }

    /// What a turn of `ns` was spent on: what has taken longest, if that was the better part of it.
    fn cause_of(&self, ns: u64) -> Cause {
        if self.ns >= ns / 2 { self.cause } else { Cause::Requests }
    }
}

/// The longest turn so far.
#[derive(Clone, Copy, Default, Debug)]
pub struct Pause {
    /// How long it took, ns.
    pub ns: u64,
    /// When it ended, Unix ms.
    pub at_ms: u64,
    /// What it was spent on.
    pub cause: Cause,
}

/// The longest turn of one reactor, which writes it; anyone may read it.
#[derive(Default)]
pub struct WorstPause {
    ns: AtomicU64,
    pause: Mutex<Pause>,
}

impl WorstPause {
    /// A turn has taken `ns`. What took longest in it is forgotten.
    #[inline]
    pub fn end_turn(&self, ns: u64, longest: &mut Longest) {
        if ns > self.ns.load(Relaxed) {
            self.record(Pause { ns, at_ms: clock::unix_ms(), cause: longest.cause_of(ns) });
        }
        longest.ns = 0;
    }

    #[cold]
    fn record(&self, pause: Pause) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause;
        self.ns.store(pause.ns, Relaxed);
    }

    /// The longest turn.
    pub fn get(&self) -> Pause {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets it (`CONFIG RESETSTAT`).
    pub fn reset(&self) {
        self.record(Pause::default());
    }
}

impl crate::server::Server {
    /// The longest turn of all reactors.
    pub fn worst_pause(&self) -> Pause {
        self.reactors.iter().map(|reactor| reactor.worst_pause.get()).max_by_key(|pause| pause.ns).unwrap_or_default()
    }

    /// A cause in a word or two, such as `command:keys`.
    pub fn cause_name(&self, cause: Cause) -> String {
        let name = match cause {
            Cause::Command(id) => return format!("command:{}", self.registry.entries()[id].full_name),
            Cause::Requests => "requests",
            Cause::Scripts => "scripts",
            Cause::Expiry => "expiry",
            Cause::Snapshot => "snapshot",
            Cause::Loading => "loading",
            Cause::Tables => "tables",
            Cause::Handshakes => "tls-handshakes",
            Cause::Messages => "messages",
            Cause::Released => "held-up-requests",
        };
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_is_kept_with_its_cause() {
        let worst = WorstPause::default();
        let turn = |ns: u64, parts: &[(u64, Cause)]| {
            let mut longest = Longest::default();
            parts.iter().for_each(|&(ns, cause)| longest.note(ns, cause));
            worst.end_turn(ns, &mut longest);
            assert_eq!(longest.ns, 0, "the next turn starts afresh");
        };
        turn(1000, &[(600, Cause::Expiry), (300, Cause::Command(7))]);
        assert_eq!((worst.get().ns, worst.get().cause), (1000, Cause::Expiry));
        turn(999, &[(999, Cause::Snapshot)]);
        assert_eq!(worst.get().cause, Cause::Expiry);
        turn(5000, &[(600, Cause::Expiry), (3000, Cause::Command(7))]);
        assert_eq!((worst.get().ns, worst.get().cause), (5000, Cause::Command(7)));
        turn(9000, &[(100, Cause::Expiry)]);
        assert_eq!(worst.get().cause, Cause::Requests, "nothing took long by itself");
        worst.reset();
        assert_eq!((worst.get().ns, worst.get().at_ms), (0, 0));
        turn(10, &[]);
        assert_eq!(worst.get().ns, 10);
    }
}
