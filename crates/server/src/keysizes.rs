//! How large values are: the histograms of `INFO keysizes`.
//!
//! They are counted when someone asks, so that no command pays for them. The walk holds a partition for a few hundred keys
//! at a time. When there are more keys than the caller wants to wait for, an equal share of each partition stands for all
//! of it: hash tables keep keys in no particular order, so that any part of one is a fair sample.

use kinovar_command::Db;
use kinovar_command::keyspace::object::{self, Object, ValueType};
use kinovar_command::keyspace::{Entry, Partition, Payload};

/// Types in the order in which they are shown, with their histograms' names.
const TYPES: [(ValueType, &str); 5] = [
    (ValueType::String, "strings_sizes"),
    (ValueType::List, "lists_items"),
    (ValueType::Set, "sets_items"),
    (ValueType::ZSet, "zsets_items"),
    (ValueType::Hash, "hashes_items"),
];

/// One bin for nothing, then one for each power of two.
const BINS: usize = 1 + u64::BITS as usize;

/// Keys looked at while a partition is locked.
const SLICE: usize = 512;

/// Bytes of strings, elements of collections: how many values of one database there are of each size.
struct Histograms {
    /// Not whole numbers when a sample stands for all.
    counts: [[f64; BINS]; TYPES.len()],
}

/// The histograms of database `index`, one line for each type that occurs: its name and `size=count` pairs, where a size is
/// the lower end of a bin. Exact when the database has at most `keys_max` keys. O(min(keys, `keys_max`)).
pub fn lines(db: &Db<'_>, index: u32, keys_max: usize) -> Vec<(String, String)> {
    let histograms = Histograms::of(db, index, keys_max);
    let used = TYPES.iter().zip(&histograms.counts).filter(|(_, bins)| bins.iter().any(|&count| count > 0.0));
    used.map(|((_, name), bins)| (format!("db{index}_distrib_{name}"), show(bins))).collect()
}

impl Histograms {
    fn of(look: &Db<'_>, index: u32, keys_max: usize) -> Histograms {
        let mut histograms = Histograms { counts: [[0.0; BINS]; TYPES.len()] };
        let keyspace = look.keyspace();
        let len = |at| look.look(at, |partition| partition.db(index).map_or(0, |db| db.len()));
        let all: usize = (0..keyspace.partitions()).map(len).sum();
        for at in 0..keyspace.partitions() {
            let keys = len(at);
            let wanted = if all <= keys_max { usize::MAX } else { (keys * keys_max).div_ceil(all) };
            let mut part = [[0u64; BINS]; TYPES.len()];
            let (mut cursor, mut seen) = (0, 0);
            while seen < wanted && keys > 0 {
                cursor = look.look(at, |partition| {
                    slice(partition, index, cursor, &mut |entry| {
                        let (kind, size) = measure(entry);
                        part[kind][bin(size)] += 1;
                        seen += 1;
                        seen < wanted
                    })
                });
                if cursor == 0 {
                    break;
                }
            }
            // What was seen of a partition stands for all of it.
            let weight = if cursor == 0 { 1.0 } else { keys as f64 / seen as f64 };
            for (sums, counts) in histograms.counts.iter_mut().flatten().zip(part.iter().flatten()) {
                *sums += *counts as f64 * weight;
            }
        }
        histograms
    }
}

/// Shows up to about [`SLICE`] entries from `cursor` on, or until `visit` returns false; the cursor after them, zero at the end.
fn slice(partition: &Partition, index: u32, mut cursor: u64, visit: &mut dyn FnMut(&Entry) -> bool) -> u64 {
    let Some(db) = partition.db(index) else { return 0 };
    let (mut seen, mut goes_on) = (0, true);
    loop {
        cursor = db.table().scan(cursor, &mut |entry| {
            goes_on &= visit(entry);
            seen += 1;
        });
        if cursor == 0 || seen >= SLICE || !goes_on {
            return cursor;
        }
    }
}

/// The place of an entry's type in [`TYPES`], and its bytes or elements.
fn measure(entry: &Entry) -> (usize, usize) {
    let size = match entry.payload() {
        Payload::Object(Object::List(list)) => list.len(),
        Payload::Object(Object::Set(set)) => set.len(),
        Payload::Object(Object::ZSet(zset)) => zset.len(),
        Payload::Object(Object::Hash(hash)) => hash.len(),
        _ => object::text(entry).map_or(0, |text| text.len()),
    };
    let kind = object::value_type(entry);
    (TYPES.iter().position(|(other, _)| *other == kind).expect("all types are listed"), size)
}

fn bin(size: usize) -> usize {
    size.checked_ilog2().map_or(0, |power| 1 + power as usize)
}

/// `1=2,16=1,1K=7`
fn show(bins: &[f64; BINS]) -> String {
    let mut pairs = Vec::new();
    for (bin, &count) in bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        // A value that was seen exists: it is never rounded away.
        pairs.push(format!("{}={}", label(bin), (count.round() as u64).max(1)));
    }
    pairs.join(",")
}

/// The smallest size in a bin, in units of 1024.
fn label(bin: usize) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    match bin.checked_sub(1) {
        None => "0".to_owned(),
        Some(power) => format!("{}{}", 1 << (power % 10), UNITS[power / 10]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_by_powers_of_two() {
        // Labels and limits as Redis 8.2.3 shows them.
        let cases = [
            (0, "0"),
            (1, "1"),
            (2, "2"),
            (3, "2"),
            (1023, "512"),
            (1024, "1K"),
            (65_537, "64K"),
            (1 << 20, "1M"),
            ((1 << 27) + 1, "128M"),
            (1 << 30, "1G"),
            (usize::MAX, "8E"),
        ];
        for (size, expected) in cases {
            assert_eq!(label(bin(size)), expected, "{size}");
        }
        let mut bins = [0.0; BINS];
        (bins[0], bins[1], bins[12]) = (1.0, 0.2, 2.6);
        assert_eq!(show(&bins), "0=1,1=1,2K=3");
    }
}
