//! Sorting of which only the beginning is wanted.
//!
//! Members at the same distance have an order, too: the one that the reference's algorithm happens to leave them in. When all
//! are wanted it keeps them as they were found. When a `COUNT` cuts the result it is the quicksort of Jon L. Bentley and
//! M. Douglas McIlroy, "Engineering a Sort Function" (1993), which leaves out parts that nobody asked for.

use std::cmp::Ordering;

/// Brings the first `wanted` items into order; the others follow in any order. O(n log n) at worst.
pub fn sort_first<T>(items: &mut [T], wanted: usize, compare: impl Fn(&T, &T) -> Ordering) {
    if wanted >= items.len() {
        items.sort_by(compare);
    } else {
        let rounds = 4 * items.len().ilog2() + 4;
        quicksort(items, wanted, rounds, &compare);
    }
}

fn quicksort<T>(mut items: &mut [T], mut wanted: usize, mut rounds: u32, compare: &impl Fn(&T, &T) -> Ordering) {
    loop {
        let len = items.len();
        if len < 7 {
            return insertion_sort(items, compare);
        }
        // Only what was made to be slow to sort comes here.
        let Some(left) = rounds.checked_sub(1) else { return items.sort_by(compare) };
        rounds = left;
        items.swap(0, middle(items, compare));
        let (less, greater) = partition(items, compare);
        let before = len - greater;
        let (left, right) = items.split_at_mut(before);
        let left = &mut left[..less];
        let right = if before < wanted { right } else { &mut [] };
        let wanted_right = wanted.saturating_sub(before);
        // The shorter one recursively, so that the stack holds O(log n) of them.
        if left.len() < right.len() {
            quicksort(left, wanted, rounds, compare);
            (items, wanted) = (right, wanted_right);
        } else {
            quicksort(right, wanted_right, rounds, compare);
            items = left;
        }
    }
}

fn insertion_sort<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The item to compare with: the median of three, or of three medians of three.
fn middle<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let median = |a: usize, b: usize, c: usize| {
        let less = |x: usize, y: usize| compare(&items[x], &items[y]).is_lt();
        if less(a, b) {
            if less(b, c) {
                b
            } else if less(a, c) {
                c
            } else {
                a
            }
        } else if compare(&items[b], &items[c]).is_gt() {
            b
        } else if less(a, c) {
            a
        } else {
            c
        }
    };
    let half = len / 2;
    match len {
        0..=7 => half,
        8..=40 => median(0, half, len - 1),
        _ => {
            let step = len / 8;
            let (last, low) = (len - 1, median(0, step, 2 * step));
            let high = median(last - 2 * step, last - step, last);
            median(low, median(half - step, half, half + step), high)
        }
    }
}

/// Brings what is less than the first item to the front and what is greater to the back; how many they are.
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    // Equal ones gather at both ends: [0, a) and (d, len). [b, c] is still to be looked at.
    let (mut a, mut b, mut c, mut d) = (1, 1, len - 1, len - 1);
    loop {
        while b <= c {
            match compare(&items[b], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(a, b);
                    a += 1;
                }
                Ordering::Less => {}
            }
            b += 1;
        }
        while b <= c {
            match compare(&items[c], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    items.swap(c, d);
                    d -= 1;
                }
                Ordering::Greater => {}
            }
            c -= 1;
        }
        if b > c {
            break;
        }
        items.swap(b, c);
        b += 1;
        c -= 1;
    }
    let (less, greater) = (b - a, d - c);
    for at in 0..a.min(less) {
        items.swap(at, b - a.min(less) + at);
    }
    let moved = greater.min(len - 1 - d);
    for at in 0..moved {
        items.swap(b + at, len - moved + at);
    }
    (less, greater)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_are_those_of_a_full_sort(
            keys in prop::collection::vec(0u16..60, 0..300),
            wanted in 1usize..320,
        ) {
            let mut items: Vec<(u16, usize)> = keys.iter().copied().zip(0..).collect();
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            sort_first(&mut items, wanted, |a, b| a.0.cmp(&b.0));
            let found: Vec<u16> = items.iter().take(wanted).map(|item| item.0).collect();
            prop_assert_eq!(found, sorted.iter().copied().take(wanted).collect::<Vec<_>>());
            let mut left: Vec<usize> = items.iter().map(|item| item.1).collect();
            left.sort_unstable();
            prop_assert!(left.into_iter().eq(0..keys.len()), "nothing is lost");
        }
    }
}
