//! How long the thread lets units gather before it writes again.
//!
//! Writing and syncing at once whatever is there would be quickest for a single client. With many it is wasteful: each turn of a
//! reactor would cost a wake-up and a write, and each sync would serve the few that happened to come during the one before, while
//! the clients that it released are only about to ask again.
//!
//! - `always`: a sync that ends releases clients, and most of those come back soon. So the next one is not begun before half as many
//!   units are there as were under way lately, or a part of the time that a sync takes has passed: one half is synced while the other
//!   half is served. A single client never waits for others, since its one unit is half of one, rounded up.
//! - Otherwise nobody waits for the file, and what has gathered is written a thousand times a second at most.

use super::{NOBODY, Pause};
use crate::config::AppendFsync;
use std::time::Duration;

/// Between two writes when nobody waits for them.
const WRITE_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause before a sync.
const SYNC_PAUSE_MAX: Duration = Duration::from_millis(1);
/// A pause is this part of what a sync takes.
const SYNC_PART: u32 = 3;

/// What the latest rounds were like.
#[derive(Debug, Default)]
pub struct Gather {
    /// How many units there were when the latest round had taken everything.
    seen: u64,
    /// How many units that round has.
    taken: u64,
    /// How many units have lately been under way at a time.
    active: u64,
    /// How long a sync takes.
    sync: Duration,
}

impl Gather {
    /// A round has taken everything up to `units`.
    pub fn took(&mut self, units: u64) {
        self.taken = units - self.seen;
        self.seen = units;
    }

    /// A sync has taken so long, at the end of which there are `units`.
    pub fn synced(&mut self, took: Duration, units: u64) {
        self.sync = if self.sync.is_zero() { took } else { (self.sync * 7 + took) / 8 };
        // Up at once, and slowly down: fewer are there when others were too late.
        let active = self.taken + (units - self.seen);
        self.active = active.max(self.active - self.active.div_ceil(16));
    }

    /// What to wait for before the next round.
    pub fn pause(&self, policy: AppendFsync) -> Pause {
        match policy {
            AppendFsync::Always => Pause::Gather {
                wake_at: self.seen + self.active.div_ceil(2),
                at_most: (self.sync / SYNC_PART).min(SYNC_PAUSE_MAX),
            },
            _ => Pause::Gather { wake_at: NOBODY, at_most: WRITE_PAUSE },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(300);

    fn wanted(gather: &Gather) -> (u64, Duration) {
        let Pause::Gather { wake_at, at_most } = gather.pause(AppendFsync::Always) else {
            panic!("it does not gather")
        };
        (wake_at - gather.seen, at_most)
    }

    #[test]
    fn one_client_waits_for_nobody_and_many_for_half_of_them() {
        let mut gather = Gather::default();
        gather.took(1);
        gather.synced(SYNC, 1);
        assert_eq!(wanted(&gather), (1, SYNC / SYNC_PART));
        // Thirty come while twenty are being synced.
        gather.took(21);
        gather.synced(SYNC, 51);
        assert_eq!(wanted(&gather), (25, SYNC / SYNC_PART));
    }

    #[test]
    fn clients_that_are_gone_are_forgotten() {
        let mut gather = Gather::default();
        gather.took(50);
        gather.synced(SYNC, 50);
        for units in 51..120 {
            gather.took(units);
            gather.synced(SYNC, units);
        }
        assert_eq!(wanted(&gather).0, 1);
    }

    #[test]
    fn a_slow_disk_does_not_make_pauses_long() {
        let mut gather = Gather::default();
        gather.took(1);
        gather.synced(Duration::from_secs(1), 1);
        assert_eq!(wanted(&gather).1, SYNC_PAUSE_MAX);
    }
}
