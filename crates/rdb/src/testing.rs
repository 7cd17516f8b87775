//! Values for tests, of every type and encoding, and what is in them.

use kinovar_keyspace::hash::{FieldTtl, Hash};
use kinovar_keyspace::list::{End, List};
use kinovar_keyspace::set::Set;
use kinovar_keyspace::stream::{NewId, Pending, Stream, StreamId};
use kinovar_keyspace::vector_set::{Projection, Quantization, VectorSet};
use kinovar_keyspace::zset::ZSet;
use kinovar_keyspace::{Object, Settings};
use proptest::prelude::*;

/// Low thresholds, so that every encoding comes up.
pub fn tight() -> Settings {
    Settings {
        hash_max_listpack_entries: 6,
        hash_max_listpack_value: 12,
        list_max_listpack_size: 5,
        set_max_intset_entries: 6,
        set_max_listpack_entries: 6,
        set_max_listpack_value: 12,
        zset_max_listpack_entries: 6,
        zset_max_listpack_value: 12,
        stream_node_max_entries: 4,
        ..Settings::default()
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-200i64..200).prop_map(|value| value.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        4 => "[a-c]{0,14}".prop_map(String::into_bytes),
        1 => (any::<u8>(), 0usize..300).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(text(), 1..40)
}

/// Values made under [`tight`] settings.
pub fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        text().prop_map(Object::Raw),
        texts().prop_map(|texts| Object::List(list(&texts))),
        texts().prop_map(|texts| Object::Set(set(&texts))),
        prop::collection::vec(any::<i64>(), 1..12).prop_map(|ints| Object::Set(set(&ints
            .iter()
            .map(|int| int.to_string().into_bytes())
            .collect::<Vec<_>>()))),
        (texts(), any::<u64>()).prop_map(|(texts, seed)| Object::ZSet(zset(&texts, seed))),
        (texts(), 0u64..4).prop_map(|(texts, expiring)| Object::Hash(hash(&texts, expiring))),
        (texts(), any::<u64>()).prop_map(|(texts, seed)| Object::Stream(Box::new(stream(&texts, seed)))),
        (texts(), any::<u64>()).prop_map(|(texts, seed)| Object::VectorSet(Box::new(vector_set(&texts, seed)))),
    ]
}

fn list(texts: &[Vec<u8>]) -> List {
    let settings = tight();
    let mut list = List::default();
    for (index, text) in texts.iter().enumerate() {
        list.make_room(text.len(), 1, &settings);
        list.push(if index % 3 == 0 { End::Left } else { End::Right }, text);
    }
    list
}

fn set(texts: &[Vec<u8>]) -> Set {
    let mut set = Set::for_members(&texts[0], 1, &tight());
    for text in texts {
        set.add(text, &tight());
    }
    set
}

fn zset(texts: &[Vec<u8>], seed: u64) -> ZSet {
    let mut zset = ZSet::default();
    let mut rng = fastrand::Rng::with_seed(seed);
    for text in texts {
        let score = match rng.u8(..8) {
            0 => f64::INFINITY,
            1 => -0.1 * rng.f64(),
            2 => 1e300 * rng.f64(),
            _ => f64::from(rng.i8(..)),
        };
        zset.insert(text, score, &tight());
    }
    zset
}

fn hash(texts: &[Vec<u8>], expiring: u64) -> Hash {
    let mut hash = Hash::default();
    for (index, text) in texts.iter().enumerate() {
        hash.set(text, &texts[texts.len() - 1 - index], FieldTtl::Clear, &tight());
        if expiring > 0 && (index as u64).is_multiple_of(expiring) {
            hash.set_expiry(text, Some(1_800_000_000_000 + text.len() as u64 * 1000));
        }
    }
    hash
}

fn stream(texts: &[Vec<u8>], seed: u64) -> Stream {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut stream = Stream::new();
    let mut ids = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let mut fields: Vec<&[u8]> = vec![b"name", text];
        if rng.u8(..4) == 0 {
            fields.extend([&text[..], b"7"]);
        }
        let id = NewId::Exact(StreamId::new(100 + index as u64 / 3, index as u64 + 1));
        ids.push(stream.append(id, 0, fields.into_iter(), &tight()).expect("ascending"));
    }
    for group in 0..rng.u8(..3) {
        let name = [b'g', group];
        stream.create_group(&name, StreamId::MIN, None);
        for consumer in 0..rng.u8(..3) {
            let group = stream.group_mut(&name).expect("made just now");
            let (id, _) = group.create_consumer(&[b'c', consumer], 1000 + u64::from(consumer));
            if rng.bool() {
                group.consumer_mut(id).set_active(Some(2000));
            }
            for &pending in &ids {
                if rng.bool() {
                    continue;
                }
                group.set_pending(Pending { id: pending, consumer: id, delivered_ms: rng.u64(..9999), deliveries: 3 });
            }
        }
    }
    for &id in ids.iter().filter(|_| rng.u8(..4) == 0) {
        stream.delete(id);
    }
    stream
}

/// All that is in a value, whatever its encoding.
pub fn contents(object: &Object) -> Vec<String> {
    let mut lines = Vec::new();
    match object {
        Object::Raw(bytes) => lines.push(bytes.escape_ascii().to_string()),
        Object::List(list) => list.visit(0..usize::MAX, false, |text| {
            lines.push(text.to_vec().escape_ascii().to_string());
            true
        }),
        Object::Set(set) => {
            lines.extend(set.iter().map(|member| member.bytes(&mut [0; 24]).escape_ascii().to_string()));
            lines.sort();
        }
        Object::ZSet(zset) => zset.for_each(0..usize::MAX, false, |member, score| {
            lines.push(format!("{score:?} {}", member.to_vec().escape_ascii()));
        }),
        Object::Hash(hash) => {
            lines.extend(hash.iter().map(|field| {
                let (name, value) = (field.name.to_vec(), field.value.to_vec());
                format!("{} {} {:?}", name.escape_ascii(), value.escape_ascii(), field.expire_at_ms)
            }));
            lines.sort();
        }
        Object::Stream(stream) => stream_contents(stream, &mut lines),
        Object::VectorSet(set) => vector_set_contents(set, &mut lines),
    }
    lines
}

fn stream_contents(stream: &Stream, lines: &mut Vec<String>) {
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let texts: Vec<String> = entry.texts().map(|text| text.to_vec().escape_ascii().to_string()).collect();
        lines.push(format!("{} {texts:?}", entry.id));
    }
    let (last, first, deleted) = (stream.last_id(), stream.recorded_first_id(), stream.max_deleted_id());
    lines.push(format!("{} {last} {first} {deleted} {}", stream.len(), stream.entries_added()));
    for (name, group) in stream.groups() {
        lines.push(format!("{} {} {:?}", name.escape_ascii(), group.last_id(), group.entries_read()));
        for (id, consumer) in group.consumers() {
            let name = consumer.name().escape_ascii();
            lines.push(format!("{name} {} {:?}", consumer.seen_ms(), consumer.active_ms()));
            for pending in group.consumer_pending_range(id, StreamId::MIN, StreamId::MAX) {
                lines.push(format!("{} {} {}", pending.id, pending.delivered_ms, pending.deliveries));
            }
        }
    }
}

fn vector_set(texts: &[Vec<u8>], seed: u64) -> VectorSet {
    let mut rng = fastrand::Rng::with_seed(seed);
    let quantization = [Quantization::None, Quantization::Q8, Quantization::Bin][rng.usize(..3)];
    let projection = rng.bool().then(|| Projection::new(7, 4));
    let mut set = VectorSet::new(4, quantization, rng.usize(2..20), projection);
    for text in texts {
        let vector: Vec<f32> = (0..4).map(|_| rng.f32() - 0.5).collect();
        set.add(text, &vector, 20, Some(&text[..]).filter(|_| rng.bool() && !text.is_empty()));
    }
    for text in texts.iter().skip(1).filter(|text| **text != texts[0] && rng.u8(..4) == 0) {
        set.remove(text);
    }
    set
}

fn vector_set_contents(set: &VectorSet, lines: &mut Vec<String>) {
    let index = set.index();
    lines.push(format!("{index:?} {:?} {:?} {}", index.quantization(), set.projection(), set.attributes_count()));
    for node in set.nodes_from(0) {
        let name = |node| set.name(node).escape_ascii().to_string();
        let attributes = set.attributes(node).map(|text| text.escape_ascii().to_string());
        let (uid, l2, range) = (index.uid(node), index.l2(node), index.range(node));
        lines.push(format!("{} {attributes:?} {uid} {l2} {range} {:?}", name(node), index.stored(node)));
        for layer in 0..=index.level(node) {
            let links: Vec<_> = index.neighbours(node, layer).map(|found| (name(found.node), found.distance)).collect();
            lines.push(format!("{} {layer} {:?} {links:?}", name(node), index.degree(node, layer)));
        }
    }
    lines.sort();
}
