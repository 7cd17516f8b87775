//! What collections in one listpack must keep: elements by twos or threes, the first of each different from the others.

use kinovar_ds::hash::hash;
use kinovar_ds::listpack::{Item, Listpack, Needle};

/// Up to so many names, their hashes are compared each with each.
const FEW: usize = 24;

/// Whether the elements are whole groups of `stride`, whose first elements are all different. O(n log n).
pub(crate) fn are_distinct(list: &Listpack, stride: usize) -> bool {
    let count = list.len();
    count.is_multiple_of(stride) && {
        if count / stride <= FEW {
            have_distinct_hashes(list, stride) || few_distinct(list, stride)
        } else {
            many_distinct(list, stride)
        }
    }
}

/// Whether the names have different hashes, as names that are different have but for an accident.
fn have_distinct_hashes(list: &Listpack, stride: usize) -> bool {
    let mut buffer = [0; 20];
    let (mut hashes, mut len) = ([0; FEW], 0);
    // Some bits of the hashes that were met.
    let mut met = [0u64; 4];
    let mut next = list.first();
    while let Some(pos) = next {
        let (name, after) = list.get_and_next(pos);
        let hash = hash(name.bytes(&mut buffer));
        let (word, bit) = (&mut met[hash as usize >> 6 & 3], 1 << (hash & 63));
        if *word & bit != 0 && hashes[..len].contains(&hash) {
            return false;
        }
        *word |= bit;
        hashes[len] = hash;
        len += 1;
        next = after;
        for _ in 1..stride {
            next = next.and_then(|pos| list.next(pos));
        }
    }
    true
}

#[cold]
fn few_distinct(list: &Listpack, stride: usize) -> bool {
    let mut buffer = [0; 20];
    let mut names = list.iter().step_by(stride);
    while let Some(name) = names.next() {
        let needle = Needle::new(name.bytes(&mut buffer));
        if names.clone().any(|other| needle.matches(&other) || same_text(&name, &other)) {
            return false;
        }
    }
    true
}

/// The text of an integer may be stored as a string.
fn same_text(a: &Item<'_>, b: &Item<'_>) -> bool {
    match (a, b) {
        (Item::Int(_), Item::Str(bytes)) => a.eq_bytes(bytes),
        _ => false,
    }
}

fn many_distinct(list: &Listpack, stride: usize) -> bool {
    let mut buffer = [0; 20];
    let mut names: Vec<(u64, Item<'_>)> =
        list.iter().step_by(stride).map(|name| (hash(name.bytes(&mut buffer)), name)).collect();
    names.sort_unstable_by_key(|(hash, _)| *hash);
    // Names of one hash are the same, but for an accident.
    names.chunk_by(|a, b| a.0 == b.0).all(|alike| {
        let different = |(index, (_, name)): (usize, &(u64, Item<'_>))| {
            let name = name.to_vec();
            !alike[index + 1..].iter().any(|(_, other)| other.to_vec() == name)
        };
        alike.len() == 1 || alike.iter().enumerate().all(different)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinovar_ds::listpack::Writer;

    fn list(items: &[Item<'_>]) -> Listpack {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        items.iter().for_each(|item| writer.push(*item));
        writer.finish();
        Listpack::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn duplicates_are_found() {
        assert!(are_distinct(&list(&[]), 1));
        assert!(are_distinct(&list(&[Item::Int(1), Item::Int(1)]), 2));
        assert!(!are_distinct(&list(&[Item::Int(1), Item::Int(1), Item::Int(1)]), 2));
        assert!(!are_distinct(&list(&[Item::Int(1), Item::Str(b"1")]), 1));
        assert!(!are_distinct(&list(&[Item::Str(b"1"), Item::Int(1)]), 1));
        assert!(!are_distinct(&list(&[Item::Str(b"1"), Item::Str(b"1")]), 1));
        assert!(are_distinct(&list(&[Item::Str(b"01"), Item::Int(1)]), 1));
        let many: Vec<Item<'_>> = (0..400).map(Item::Int).collect();
        assert!(are_distinct(&list(&many), 1));
        for last in [Item::Int(17), Item::Str(b"17")] {
            let mut many = many.clone();
            many.push(last);
            assert!(!are_distinct(&list(&many), 1));
        }
    }
}
