//! Choosing members by chance, every choice equally likely.

use super::{Member, Repr, Set};
use crate::Settings;
use fastrand::Rng;
use kinovar_ds::intset::Intset;
use std::collections::HashSet;

/// A pop that leaves fewer than a fifth of what it takes picks what stays instead of what goes. The same figure as the
/// reference's, because the encoding of what stays depends on it.
const KEEP_FACTOR: usize = 5;
/// Wanting more than one in three, it is cheaper to pass over all members than to draw and to reject repetitions.
const DENSE_FACTOR: usize = 3;

impl Set {
    /// A member chosen by chance. Expected O(1); O(n) in a listpack.
    pub fn random(&self, rng: &mut Rng) -> Option<Member<'_>> {
        match &self.0 {
            Repr::Intset(ints) => ints.random(rng.u64(..)).map(Member::Int),
            Repr::Listpack(list) => {
                let len = list.len();
                let pos = list.seek(if len == 0 { 0 } else { rng.usize(..len) as i64 })?;
                Some(list.get(pos).into())
            }
            Repr::Table(table) => table.random(|| rng.u64(..)).map(Member::Elem),
        }
    }

    /// Visits `count` different members chosen by chance, all of them if there are no more. Expected O(count); O(n) in a
    /// listpack.
    pub fn sample(&self, count: usize, rng: &mut Rng, visit: &mut dyn FnMut(Member<'_>)) {
        let len = self.len();
        if count >= len {
            self.iter().for_each(visit);
            return;
        }
        match &self.0 {
            Repr::Intset(ints) => {
                for index in choose(len, count, rng) {
                    visit(Member::Int(ints.get(index).expect("chosen below the length")));
                }
            }
            Repr::Table(table) if count.saturating_mul(DENSE_FACTOR) <= len => {
                // Nothing moves meanwhile, so an address stands for an element.
                let mut seen = HashSet::with_capacity(count);
                while seen.len() < count {
                    let elem = table.random(|| rng.u64(..)).expect("there are more than are wanted");
                    if seen.insert(std::ptr::from_ref(elem).addr()) {
                        visit(Member::Elem(elem));
                    }
                }
            }
            Repr::Listpack(_) | Repr::Table(_) => {
                let (mut left, mut wanted) = (len, count);
                for member in self.iter() {
                    if rng.usize(..left) < wanted {
                        visit(member);
                        wanted -= 1;
                    }
                    left -= 1;
                }
            }
        }
    }

    /// Takes out a member chosen by chance, after showing it to `visit`; whether there was one. Expected O(1) in a table,
    /// else O(n).
    pub fn pop(&mut self, rng: &mut Rng, visit: impl FnOnce(Member<'_>)) -> bool {
        match &mut self.0 {
            Repr::Intset(ints) => {
                let Some(value) = ints.random(rng.u64(..)) else { return false };
                visit(Member::Int(value));
                ints.remove(value)
            }
            Repr::Listpack(list) => {
                if list.is_empty() {
                    return false;
                }
                let pos = list.seek(rng.usize(..list.len()) as i64).expect("below the length");
                visit(list.get(pos).into());
                list.delete(pos);
                true
            }
            Repr::Table(table) => {
                let Some(elem) = table.remove_random(|| rng.u64(..)) else { return false };
                visit(Member::Elem(&elem));
                true
            }
        }
    }

    /// Takes out `count` members chosen by chance, fewer than there are, showing each to `visit`. Expected O(count) in a
    /// table, else O(n). When most of a table goes, the few that stay are put into a new set, and the old one comes back to
    /// be dropped where there is time for it.
    pub fn pop_many(
        &mut self,
        count: usize,
        rng: &mut Rng,
        settings: &Settings,
        visit: &mut dyn FnMut(Member<'_>),
    ) -> Option<Set> {
        let len = self.len();
        let remaining = len.checked_sub(count).expect("fewer than there are");
        match &mut self.0 {
            Repr::Intset(ints) => pop_from_intset(ints, &choose(len, count, rng), visit),
            Repr::Listpack(list) => {
                let mut chosen = choose(len, count, rng).into_iter().peekable();
                let mut positions = Vec::with_capacity(count);
                let (mut at, mut index) = (list.first(), 0);
                while let (Some(pos), Some(&wanted)) = (at, chosen.peek()) {
                    let (item, next) = list.get_and_next(pos);
                    if index == wanted {
                        visit(item.into());
                        positions.push(pos);
                        chosen.next();
                    }
                    (at, index) = (next, index + 1);
                }
                list.delete_all(&positions);
            }
            Repr::Table(_) if remaining.saturating_mul(KEEP_FACTOR) <= count => {
                return Some(self.pop_all_but(remaining, rng, settings, visit));
            }
            Repr::Table(table) => {
                for _ in 0..count {
                    let elem = table.remove_random(|| rng.u64(..)).expect("fewer than there are");
                    visit(Member::Elem(&elem));
                }
            }
        }
        None
    }

    fn pop_all_but(
        &mut self,
        remaining: usize,
        rng: &mut Rng,
        settings: &Settings,
        visit: &mut dyn FnMut(Member<'_>),
    ) -> Set {
        let mut kept = Set::new_listpack();
        for _ in 0..remaining {
            self.pop(rng, |member| {
                kept.add(member.bytes(&mut [0; 24]), settings);
            });
        }
        self.iter().for_each(visit);
        std::mem::replace(self, kept)
    }
}

/// Shows and removes the integers at these ascending indices. O(n).
fn pop_from_intset(ints: &mut Intset, indices: &[usize], visit: &mut dyn FnMut(Member<'_>)) {
    let mut kept = Intset::new();
    let mut next = 0;
    for (index, value) in ints.iter().enumerate() {
        if indices.get(next) == Some(&index) {
            visit(Member::Int(value));
            next += 1;
        } else {
            kept.add(value);
        }
    }
    *ints = kept;
}

/// `count` different indices below `len`, ascending. O(count log count) expected, and never more than O(len).
fn choose(len: usize, count: usize, rng: &mut Rng) -> Vec<usize> {
    if count.saturating_mul(DENSE_FACTOR) <= len {
        let mut chosen = HashSet::with_capacity(count);
        while chosen.len() < count {
            chosen.insert(rng.usize(..len));
        }
        let mut chosen: Vec<usize> = chosen.into_iter().collect();
        chosen.sort_unstable();
        return chosen;
    }
    let mut wanted = count;
    let keep = |index: &usize| {
        let taken = rng.usize(..len - index) < wanted;
        wanted -= usize::from(taken);
        taken
    };
    (0..len).filter(keep).collect()
}
