//! Union, intersection and difference.
//!
//! Each comes twice: visiting the result, for a reply, without building a set where that can be helped; and building it,
//! for storing, adding members in the reference's order, on which the result's encoding depends.

use super::{Probe, Set};
use crate::Settings;

/// A union of more sets than this is collected in a set of its own rather than by looking back into all earlier ones.
const LOOK_BACK_MAX: usize = 4;

/// The union as a set. O(n) for n members in all.
pub fn union(sets: &[&Set], settings: &Settings) -> Set {
    let mut result = Set::default();
    add_all(&mut result, sets, settings);
    result
}

fn add_all(result: &mut Set, sets: &[&Set], settings: &Settings) {
    for member in sets.iter().flat_map(|set| set.iter()) {
        result.add(member.bytes(&mut [0; 24]), settings);
    }
}

/// Visits the union, ascending if all sets are intsets. O(n) for n members in all.
pub fn union_each(sets: &[&Set], settings: &Settings, visit: &mut dyn FnMut(&[u8])) {
    let all_ints = sets.iter().all(|set| set.is_intset());
    if sets.len() > 1 && (all_ints || sets.len() > LOOK_BACK_MAX) {
        let mut result = if all_ints { Set::default() } else { Set::new_table(0) };
        add_all(&mut result, sets, settings);
        result.iter().for_each(|member| visit(member.bytes(&mut [0; 24])));
        return;
    }
    for (index, set) in sets.iter().enumerate() {
        for member in set.iter() {
            let mut buf = [0; 24];
            let probe = Probe::new(member.bytes(&mut buf));
            if !sets[..index].iter().any(|earlier| earlier.has(&probe)) {
                visit(probe.bytes());
            }
        }
    }
}

/// Visits the intersection of one or more sets, in the order of the smallest, until `visit` returns false. O(m n) for m sets
/// and the smallest's n members.
pub fn intersect_each(sets: &[&Set], mut visit: impl FnMut(&[u8]) -> bool) {
    let mut sets = sets.to_vec();
    // The smaller a set, the sooner it says no.
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        let mut buf = [0; 24];
        let probe = Probe::new(member.bytes(&mut buf));
        if others.iter().all(|set| std::ptr::eq(*set, *smallest) || set.has(&probe)) && !visit(probe.bytes()) {
            return;
        }
    }
}

/// The intersection as a set; an intset if it may be one. Cost as of [`intersect_each`].
pub fn intersection(sets: &[&Set], settings: &Settings) -> Set {
    let smallest_is_intset = sets.iter().min_by_key(|set| set.len()).is_some_and(|set| set.is_intset());
    let mut result = if smallest_is_intset { Set::default() } else { Set::new_listpack() };
    let mut only_ints = true;
    intersect_each(sets, |member| {
        let probe = Probe::new(member);
        only_ints = only_ints && probe.int().is_some();
        result.add(member, settings);
        true
    });
    if only_ints {
        result.convert_to_intset(settings);
    }
    result
}

/// How to subtract `others` from `first`. Both ways are the reference's, with its estimate of their costs, because they
/// leave the result in different encodings.
enum Subtraction {
    /// Each member is looked for in the others.
    ByMember,
    /// Everything is put into a set, from which the others' members are removed.
    BySet,
}

fn subtraction(first: &Set, others: &[&Set]) -> Subtraction {
    let by_member = first.len() * (others.len() + 1) / 2;
    let by_set = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    if by_member <= by_set { Subtraction::ByMember } else { Subtraction::BySet }
}

/// Visits the members of `first` that are in none of `others`. O(min(m n, total)).
pub fn difference_each(first: &Set, others: &[&Set], settings: &Settings, visit: &mut dyn FnMut(&[u8])) {
    match subtraction(first, others) {
        Subtraction::ByMember => subtract_members(first, others, visit),
        Subtraction::BySet => {
            let all_ints = first.is_intset() && others.iter().all(|set| set.is_intset());
            let mut result = if all_ints { Set::default() } else { Set::new_table(first.len()) };
            subtract_sets(&mut result, first, others, settings);
            result.iter().for_each(|member| visit(member.bytes(&mut [0; 24])));
        }
    }
}

/// The members of `first` that are in none of `others`, as a set. Cost as of [`difference_each`].
pub fn difference(first: &Set, others: &[&Set], settings: &Settings) -> Set {
    let mut result = Set::default();
    match subtraction(first, others) {
        Subtraction::ByMember => subtract_members(first, others, &mut |member| {
            result.add(member, settings);
        }),
        Subtraction::BySet => subtract_sets(&mut result, first, others, settings),
    }
    result
}

fn subtract_members(first: &Set, others: &[&Set], visit: &mut dyn FnMut(&[u8])) {
    if others.iter().any(|set| std::ptr::eq(*set, first)) {
        return;
    }
    let mut others = others.to_vec();
    // The larger a set, the sooner it rules a member out.
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    for member in first.iter() {
        let mut buf = [0; 24];
        let probe = Probe::new(member.bytes(&mut buf));
        if !others.iter().any(|set| set.has(&probe)) {
            visit(probe.bytes());
        }
    }
}

fn subtract_sets(result: &mut Set, first: &Set, others: &[&Set], settings: &Settings) {
    if others.iter().any(|set| std::ptr::eq(*set, first)) {
        return;
    }
    add_all(result, &[first], settings);
    for set in others {
        for member in set.iter() {
            result.remove(member.bytes(&mut [0; 24]));
        }
        if result.is_empty() {
            return;
        }
    }
}
