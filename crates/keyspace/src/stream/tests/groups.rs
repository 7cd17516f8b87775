//! Groups and consumers.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What is pending of a group: id, consumer's name, time, count.
fn pending_of(group: &Group) -> Vec<(u64, Vec<u8>, u64, u64)> {
    let pending = group.pending_range(StreamId::MIN, StreamId::MAX);
    pending.map(|p| (p.id.ms, group.consumer(p.consumer).name().to_vec(), p.delivered_ms, p.deliveries)).collect()
}

fn read(stream: &mut Stream, name: &[u8], count: usize, now_ms: u64) -> Vec<u64> {
    let consumer = stream.group_mut(b"g").unwrap().create_consumer(name, now_ms).0;
    let mut ids = Vec::new();
    stream.read_new(b"g", consumer, count, false, now_ms, &mut |entry| ids.push(entry.id.ms));
    ids
}

#[test]
fn reading_makes_pending_and_acknowledging_ends_it() {
    let mut stream = stream_of(10, 4);
    assert!(stream.create_group(b"g", StreamId::MIN, None));
    assert!(!stream.create_group(b"g", id(3), None));
    assert_eq!(read(&mut stream, b"a", 3, 100), [1, 2, 3]);
    assert_eq!(read(&mut stream, b"b", 2, 101), [4, 5]);
    let group = stream.group_mut(b"g").unwrap();
    let (a, made) = group.create_consumer(b"a", 999);
    assert!(!made && group.consumer(a).seen_ms() == 100 && group.consumer(a).active_ms().is_none());
    assert_eq!((group.pending_count(), group.consumer(a).pending_count()), (5, 3));
    assert!(group.acknowledge(id(2)) && !group.acknowledge(id(2)));
    let at = |ms, name: &str, time| (ms, name.as_bytes().to_vec(), time, 1);
    assert_eq!(pending_of(group), [at(1, "a", 100), at(3, "a", 100), at(4, "b", 101), at(5, "b", 101)]);
    let of_a: Vec<u64> = group.consumer_pending_range(a, id(2), StreamId::MAX).map(|p| p.id.ms).collect();
    assert_eq!(of_a, [3]);
    assert_eq!(group.last_pending().map(|p| p.id), Some(id(5)));
    assert_eq!(group.delete_consumer(b"a"), Some(2));
    assert_eq!(group.delete_consumer(b"a"), None);
    assert_eq!(pending_of(group), [at(4, "b", 101), at(5, "b", 101)]);
    // Its place is used again, and its entries are not.
    let (c, _) = group.create_consumer(b"c", 5);
    assert_eq!(group.consumer(c).pending_count(), 0);
    let names: Vec<&[u8]> = group.consumers().map(|(_, consumer)| consumer.name()).collect();
    assert_eq!(names, [b"b", b"c"]);
}

#[test]
fn history_shows_what_is_gone_without_counting_it() {
    let mut stream = stream_of(4, 2);
    stream.create_group(b"g", StreamId::MIN, None);
    read(&mut stream, b"a", 4, 100);
    stream.delete(id(2));
    let consumer = stream.group(b"g").unwrap().find_consumer(b"a").unwrap();
    let mut shown = Vec::new();
    let mut visit = |id: StreamId, entry: Option<StreamEntry<'_>>| shown.push((id.ms, entry.is_some()));
    assert_eq!(stream.read_pending(b"g", consumer, id(1), 2, 200, &mut visit), 2);
    assert_eq!(shown, [(2, false), (3, true)]);
    let times: Vec<_> = pending_of(stream.group(b"g").unwrap()).iter().map(|p| (p.0, p.2, p.3)).collect();
    assert_eq!(times, [(1, 100, 1), (2, 100, 1), (3, 200, 2), (4, 100, 1)]);
}

#[test]
fn what_is_delivered_again_changes_hands() {
    let mut stream = stream_of(3, 100);
    stream.create_group(b"g", StreamId::MIN, None);
    read(&mut stream, b"a", 3, 100);
    stream.set_group_id(b"g", id(1), None);
    assert_eq!(read(&mut stream, b"b", 1, 200), [2]);
    let group = stream.group(b"g").unwrap();
    let at = |ms, name: &str, time| (ms, name.as_bytes().to_vec(), time, 1);
    assert_eq!(pending_of(group), [at(1, "a", 100), at(2, "b", 200), at(3, "a", 100)]);
    let counts: Vec<usize> = group.consumers().map(|(_, consumer)| consumer.pending_count()).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn a_stream_without_entries_is_kept() {
    let mut stream = Stream::new();
    stream.create_group(b"g", StreamId::MIN, None);
    assert!(stream.is_empty() && !crate::Value::is_empty(&stream));
    assert!(stream.destroy_group(b"g").is_some() && stream.destroy_group(b"g").is_none());
    assert_eq!(stream.group_count(), 0);
}

proptest! {
    /// Claims and acknowledgements in two groups against maps.
    #[test]
    fn consumers_agree_with_their_group(
        ops in prop::collection::vec((any::<bool>(), 0u64..40, 0u8..4, 0u64..10, 0u8..10), 1..300)
    ) {
        let mut stream = stream_of(40, 7);
        let mut models: [BTreeMap<StreamId, Pending>; 2] = Default::default();
        let names = [b"g", b"h"];
        names.iter().for_each(|name| assert!(stream.create_group(*name, id(40), None)));
        for (which, ms, consumer, count, kind) in ops {
            let which = usize::from(which);
            let model = &mut models[which];
            let group = stream.group_mut(names[which]).unwrap();
            match kind {
                0 => {
                    let consumer_id = group.find_consumer(&[consumer]);
                    let before = model.len();
                    model.retain(|_, pending| Some(pending.consumer) != consumer_id);
                    let removed = consumer_id.map(|_| before - model.len());
                    prop_assert_eq!(group.delete_consumer(&[consumer]), removed);
                }
                1..4 => prop_assert_eq!(group.acknowledge(id(ms)), model.remove(&id(ms)).is_some()),
                4 => {
                    let removed = models.iter_mut().filter_map(|model| model.remove(&id(ms))).count();
                    prop_assert_eq!(stream.drop_references(id(ms)), removed);
                }
                _ => {
                    let consumer = group.create_consumer(&[consumer], 1).0;
                    let pending = Pending { id: id(ms), consumer, delivered_ms: ms * count, deliveries: count };
                    group.set_pending(pending);
                    model.insert(pending.id, pending);
                }
            }
            let needed = models.iter().any(|model| model.contains_key(&id(ms)));
            prop_assert_eq!(stream.is_referenced(id(ms)), needed);
        }
        let copy = stream.deep_copy();
        for (name, model) in names.iter().zip(&models) {
            let group = copy.group(*name).unwrap();
            prop_assert!(group.pending_range(StreamId::MIN, StreamId::MAX).eq(model.values().copied()));
            for (consumer_id, consumer) in group.consumers() {
                let expected: Vec<Pending> = model.values().filter(|p| p.consumer == consumer_id).copied().collect();
                prop_assert_eq!(consumer.pending_count(), expected.len());
                prop_assert!(group.consumer_pending_range(consumer_id, StreamId::MIN, StreamId::MAX).eq(expected));
            }
        }
    }
}
