//! Choosing fields by chance, every choice equally likely. Expired fields are never chosen.

use super::{Field, Hash, Repr};
use fastrand::Rng;
use std::collections::HashSet;

/// Wanting more than one in three, it is cheaper to pass over all fields than to draw and to reject repetitions.
const DENSE_FACTOR: usize = 3;

impl Hash {
    /// A field chosen by chance. Expected O(1) in a table none of whose fields has expired, else O(n).
    pub fn random(&self, rng: &mut Rng, now_ms: u64) -> Option<Field<'_>> {
        match &self.0 {
            Repr::Table(fields) if !self.has_expired(now_ms) => fields.random(rng),
            _ => {
                let len = self.live_len(now_ms);
                self.live(now_ms).nth(if len == 0 { 0 } else { rng.usize(..len) })
            }
        }
    }

    /// Visits `count` fields chosen by chance, again and again if it so happens; none of an empty hash. Expected O(count) in a
    /// table, else O(n + count).
    pub fn draw(&self, count: usize, rng: &mut Rng, now_ms: u64, visit: &mut dyn FnMut(Field<'_>)) {
        if let Repr::Table(fields) = &self.0
            && !self.has_expired(now_ms)
        {
            for _ in 0..count {
                visit(fields.random(rng).expect("a stored hash is not empty"));
            }
            return;
        }
        let live: Vec<Field<'_>> = self.live(now_ms).collect();
        if !live.is_empty() {
            (0..count).for_each(|_| visit(live[rng.usize(..live.len())]));
        }
    }

    /// Visits `count` different fields chosen by chance, all of them if there are no more. Expected O(count) for a small part of
    /// a table, else O(n).
    pub fn sample(&self, count: usize, rng: &mut Rng, now_ms: u64, visit: &mut dyn FnMut(Field<'_>)) {
        let len = self.live_len(now_ms);
        match &self.0 {
            Repr::Table(fields) if len == self.len() && count.saturating_mul(DENSE_FACTOR) <= len => {
                // Names are different, and nothing moves meanwhile: an address stands for a field.
                let mut seen = HashSet::with_capacity(count);
                while seen.len() < count {
                    let field = fields.random(rng).expect("there are more than are wanted");
                    let crate::Text::Bytes(name) = field.name else { unreachable!("names in a table are bytes") };
                    if seen.insert(name.as_ptr().addr()) {
                        visit(field);
                    }
                }
            }
            _ => {
                let (mut left, mut wanted) = (len, count.min(len));
                for field in self.live(now_ms) {
                    if rng.usize(..left) < wanted {
                        visit(field);
                        wanted -= 1;
                    }
                    left -= 1;
                }
            }
        }
    }
}
