//! Delta debugging: thins out a list of commands as long as the same difference shows.
//!
//! After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002): chunks are left out, each
//! half as long as before, down to single commands.

use std::time::{Duration, Instant};

use super::{Arena, Command, Difference, Epoch};

/// Replays and time that one difference is worth.
const REPLAYS_MAX: usize = 400;
const TIME_MAX: Duration = Duration::from_secs(40);

/// The shortest list found, and the difference it still shows.
pub fn shrink(arena: &mut Arena<'_>, epoch: &Epoch, difference: &Difference) -> (Vec<Command>, Difference) {
    let until = (difference.at + super::BATCH).min(epoch.commands.len());
    let mut best = (epoch.commands[..until].to_vec(), difference.clone());
    let exact = (difference.at + 1).min(epoch.commands.len());
    let mut trial = Trial { arena, epoch, signature: &difference.signature, left: REPLAYS_MAX, start: Instant::now() };
    if let Some(found) = trial.shows(&epoch.commands[..exact]) {
        best = (epoch.commands[..exact].to_vec(), found);
    }
    let mut size = best.0.len().div_ceil(2);
    while size >= 1 {
        let removed = trial.pass(&mut best, size);
        if size == 1 && !removed {
            break;
        }
        size = (size / 2).max(1);
        if trial.spent() {
            break;
        }
    }
    best
}

struct Trial<'a, 'b> {
    arena: &'a mut Arena<'b>,
    epoch: &'a Epoch,
    signature: &'a str,
    left: usize,
    start: Instant,
}

impl Trial<'_, '_> {
    fn spent(&self) -> bool {
        self.left == 0 || self.start.elapsed() > TIME_MAX
    }

    /// The same difference, if these commands still show it.
    fn shows(&mut self, commands: &[Command]) -> Option<Difference> {
        self.left = self.left.saturating_sub(1);
        let known = self.arena.known_count;
        let epoch = Epoch { commands: commands.to_vec(), ..self.epoch.clone() };
        let found = self.arena.replay(&epoch);
        self.arena.known_count = known;
        found.into_iter().find(|d| d.signature == self.signature)
    }

    /// Tries to leave out each chunk of `size` commands; true if any could go.
    fn pass(&mut self, best: &mut (Vec<Command>, Difference), size: usize) -> bool {
        let mut removed = false;
        let mut at = 0;
        while at < best.0.len() && !self.spent() {
            let end = (at + size).min(best.0.len());
            let without: Vec<Command> = [&best.0[..at], &best.0[end..]].concat();
            match self.shows(&without) {
                Some(found) => {
                    *best = (without, found);
                    removed = true;
                }
                None => at = end,
            }
        }
        removed
    }
}
