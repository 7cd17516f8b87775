//! Looking at a few elements chosen by chance, for whoever wants to know what the others may be like.

use super::{Slot, Table};

impl<S: Slot> Table<S> {
    /// Calls `visit` for about `count` elements, no fewer unless the table has fewer: those of buckets chosen evenly.
    /// Every element is nearly as likely to be visited as any other (one in a full bucket a little less), but
    /// neighbours come together, and one may come twice when several buckets are needed. Costs one cache miss for a
    /// bucket and one for each element, the latter overlapping. `random` gives evenly distributed words.
    pub fn sample(&self, count: usize, mut random: impl FnMut() -> u64, mut visit: impl FnMut(&S)) {
        /// Buckets looked at for each element wanted, at most: a table that was made with too great a capacity is
        /// mostly empty.
        const TRIES: usize = 16;
        if self.len() <= count {
            for element in self.iter() {
                visit(element);
            }
            return;
        }
        let old = self.migration.as_ref().map(|migration| &migration.old);
        let total = self.array.buckets() + old.map_or(0, super::Array::buckets);
        let mut left = count;
        for _ in 0..count * TRIES {
            let index = ((u128::from(random()) * total as u128) >> 64) as usize;
            let (array, bucket) = match old {
                Some(old) if index >= self.array.buckets() => (old, index - self.array.buckets()),
                _ => (&self.array, index),
            };
            array.prefetch_bucket_slots(bucket);
            // Where more are there than are wanted, those that come first must not be preferred.
            let here = array.places(bucket).count();
            let skipped = if here > left { random() as usize % here } else { 0 };
            let places = array.places(bucket).chain(array.places(bucket));
            for place in places.skip(skipped).take(here.min(left)) {
                // SAFETY: an occupied slot of this array, which nobody has changed meanwhile.
                visit(unsafe { array.get(place) });
            }
            left -= here.min(left);
            if left == 0 {
                return;
            }
        }
        while left > 0 {
            let Some(element) = self.random(&mut random) else { return };
            visit(element);
            left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::elem::Elem;
    use crate::table::Table;
    use std::collections::HashMap;

    /// Evenly distributed words, always the same.
    fn words(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ x >> 31
        }
    }

    fn table(len: u32) -> Table<Elem> {
        let mut table = Table::new();
        for n in 0..len {
            let elem = Elem::new(format!("element {n}").as_bytes());
            table.insert_unique(elem.hash(), elem);
        }
        table
    }

    #[test]
    fn a_small_table_is_seen_whole() {
        for len in 0..8 {
            let mut hashes = Vec::new();
            table(len).sample(7, || unreachable!("nothing is left to chance"), |elem| hashes.push(elem.hash()));
            hashes.sort_unstable();
            hashes.dedup();
            assert_eq!(hashes.len(), len as usize);
        }
    }

    #[test]
    fn as_many_are_seen_as_are_wanted() {
        let mut random = words(3);
        for len in [8, 100, 1000, 5000] {
            let table = table(len);
            for count in [1, 5, 7] {
                let mut seen = 0;
                table.sample(count, &mut random, |_| seen += 1);
                assert_eq!(seen, count);
            }
        }
    }

    #[test]
    fn every_element_is_about_equally_likely() {
        const ROUNDS: usize = 200_000;
        let mut random = words(9);
        // While it grows, too.
        for len in [500, 4000] {
            let table = table(len);
            let mut counts: HashMap<u64, usize> = HashMap::new();
            for _ in 0..ROUNDS {
                table.sample(5, &mut random, |elem| *counts.entry(elem.hash()).or_default() += 1);
            }
            assert_eq!(counts.len(), len as usize);
            let mean = (ROUNDS * 5) as f64 / f64::from(len);
            let squares: f64 =
                counts.values().map(|&count| (count as f64 - mean).powi(2)).sum::<f64>() / f64::from(len);
            // Crowded buckets give each of theirs less often than others, but not much.
            assert!(squares.sqrt() < mean * 0.35, "{len}: deviation {} of {mean}", squares.sqrt());
        }
    }
}
