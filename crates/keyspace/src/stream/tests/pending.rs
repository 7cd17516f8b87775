//! Ordered maps of what is pending, against a map.

use super::super::pending::IdMap;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn pending(ms: u64, seq: u64, consumer: u32, delivered_ms: u64, deliveries: u64) -> Pending {
    Pending { id: StreamId::new(ms, seq), consumer: ConsumerId(consumer), delivered_ms, deliveries }
}

proptest! {
    /// Runs of ids, so that chunks fill up and split, with some that no packed form can hold.
    #[test]
    fn an_id_map_behaves_like_a_map(
        runs in prop::collection::vec((0u64..600, 1u64..300, any::<bool>(), 0u8..12), 1..30),
        wide in any::<u64>(),
    ) {
        let mut map: IdMap<Pending> = IdMap::default();
        let mut ids: IdMap<StreamId> = IdMap::default();
        let mut model: BTreeMap<StreamId, Pending> = BTreeMap::new();
        for (start, len, insert, kind) in runs {
            for ms in start..start + len {
                let item = match kind {
                    0 => pending(ms, wide, 1, ms, 1),
                    1 => pending(ms, 0, 1 << 20, ms, 1),
                    2 => pending(ms, 0, 1, wide, 1),
                    3 => pending(ms, 0, 1, ms, wide),
                    4 => pending(ms << 33, 0, 1, 1_700_000_000_000, 1),
                    _ => pending(ms, 0, 2, 500 - ms.min(500), u64::from(kind)),
                };
                let key = if kind > 8 { item.id.next().unwrap() } else { item.id };
                let item = Pending { id: key, ..item };
                if insert {
                    prop_assert_eq!(map.insert(item), model.insert(key, item));
                    ids.insert(key);
                } else {
                    prop_assert_eq!(map.remove(key), model.remove(&key));
                    ids.remove(key);
                }
            }
            prop_assert_eq!((map.len(), ids.len()), (model.len(), model.len()));
        }
        for from in [StreamId::MIN, id(300), StreamId::new(450, 1), StreamId::MAX] {
            let expected: Vec<Pending> = model.range(from..).map(|(_, item)| *item).collect();
            prop_assert_eq!(map.iter_from(from).collect::<Vec<_>>(), expected);
            prop_assert!(ids.iter_from(from).eq(model.range(from..).map(|(id, _)| *id)));
        }
        for (key, item) in &model {
            prop_assert_eq!(map.get(*key), Some(*item));
            prop_assert_eq!(map.get(key.next().unwrap()), model.get(&key.next().unwrap()).copied());
        }
    }
}

#[test]
fn a_pending_entry_takes_few_bytes() {
    let mut map: IdMap<Pending> = IdMap::default();
    let mut ids: IdMap<StreamId> = IdMap::default();
    for n in 0..10_000 {
        let item = pending(1_700_000_000_000 + n / 3, n % 3, 1, 1_700_000_001_000 + n, 1);
        map.insert(item);
        ids.insert(item.id);
    }
    let each = (map.memory_bytes() + ids.memory_bytes()) as f64 / 10_000.0;
    assert!(each < 27.0, "{each}");
    // What is left when most is acknowledged takes no more than it needs.
    for n in 0..10_000 {
        if n % 100 > 0 {
            map.remove(StreamId::new(1_700_000_000_000 + n / 3, n % 3));
        }
    }
    assert!(map.memory_bytes() < 100 * 250, "{}", map.memory_bytes());
}
