//! Delta debugging: thins out a list of steps as long as the same difference shows.
//!
//! After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002): chunks are left out, each
//! half as long as before, down to single steps.

use std::time::{Duration, Instant};

use super::Difference;

/// Replays and time that one difference is worth.
const REPLAYS_MAX: usize = 400;
const TIME_MAX: Duration = Duration::from_secs(40);

/// The shortest list found, and the difference it still shows. `replay` runs a list and returns its differences; `batch`
/// steps are under way at a time, so the cause may stand that far behind.
pub fn shrink<T: Clone>(
    steps: &[T],
    difference: &Difference,
    batch: usize,
    replay: impl FnMut(&[T]) -> Vec<Difference>,
) -> (Vec<T>, Difference) {
    let until = (difference.at + batch).min(steps.len());
    let mut best = (steps[..until].to_vec(), difference.clone());
    let exact = (difference.at + 1).min(steps.len());
    let mut trial = Trial { replay, signature: &difference.signature, left: REPLAYS_MAX, start: Instant::now() };
    if let Some(found) = trial.shows(&steps[..exact]) {
        best = (steps[..exact].to_vec(), found);
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

struct Trial<'a, R> {
    replay: R,
    signature: &'a str,
    left: usize,
    start: Instant,
}

impl<R> Trial<'_, R> {
    fn spent(&self) -> bool {
        self.left == 0 || self.start.elapsed() > TIME_MAX
    }

    /// The same difference, if these steps still show it.
    fn shows<T>(&mut self, steps: &[T]) -> Option<Difference>
    where
        R: FnMut(&[T]) -> Vec<Difference>,
    {
        self.left = self.left.saturating_sub(1);
        (self.replay)(steps).into_iter().find(|d| d.signature == self.signature)
    }

    /// Tries to leave out each chunk of `size` steps; true if any could go.
    fn pass<T: Clone>(&mut self, best: &mut (Vec<T>, Difference), size: usize) -> bool
    where
        R: FnMut(&[T]) -> Vec<Difference>,
    {
        let mut removed = false;
        let mut at = 0;
        while at < best.0.len() && !self.spent() {
            let end = (at + size).min(best.0.len());
            let without: Vec<T> = [&best.0[..at], &best.0[end..]].concat();
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
