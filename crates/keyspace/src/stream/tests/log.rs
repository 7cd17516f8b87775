//! Entries against a map, and blocks against the nodes that the reference would have.

use super::*;
use kinovar_ds::listpack::{Item, Listpack};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::HashSet;

#[derive(Clone, Debug)]
enum Op {
    /// How far the id is ahead, in ms and in number, and the fields.
    Add(u64, u64, Vec<(Vec<u8>, Vec<u8>)>),
    /// The n-th entry, or the id after it.
    Delete(usize, bool),
    Trim(TrimTo, bool, u64),
    /// Blocks from now on: entries, bytes.
    Blocks(usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum TrimTo {
    /// So many fewer than there are.
    Shorter(usize),
    /// The n-th entry.
    From(usize),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => any::<i64>().prop_flat_map(|n| (0u32..64).prop_map(move |shift| (n >> shift).to_string().into_bytes())),
        3 => prop::collection::vec(any::<u8>(), 0..20),
        4 => prop::collection::vec(any::<u8>(), 10),
        2 => (1i64 << 20..1 << 22).prop_map(|n| n.to_string().into_bytes()),
        1 => (60usize..200).prop_map(|len| vec![b'x'; len]),
        1 => (4000usize..5000).prop_map(|len| vec![b'y'; len]),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => Just(b"name".to_vec()), 3 => Just(b"17".to_vec()), 1 => text()]
}

fn step() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0u64), 4 => 0u64..20, 2 => 0u64..100_000, 1 => (0u32..50).prop_map(|bits| 1 << bits)]
}

fn op() -> impl Strategy<Value = Op> {
    let fields = prop_oneof![4 => 1usize..2, 2 => 1usize..4, 1 => 0usize..1];
    let fields = fields.prop_flat_map(|count| prop::collection::vec((name(), text()), count));
    let to = prop_oneof![(0usize..30).prop_map(TrimTo::Shorter), any::<usize>().prop_map(TrimTo::From)];
    prop_oneof![
        20 => (step(), step(), fields).prop_map(|(ms, seq, fields)| Op::Add(ms, seq, fields)),
        6 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(n, after)| Op::Delete(n, after)),
        1 => (to, any::<bool>(), 0u64..20).prop_map(|(to, approximate, limit)| Op::Trim(to, approximate, limit)),
        1 => (0usize..9, prop_oneof![Just(0usize), 50usize..5000]).prop_map(|(n, bytes)| Op::Blocks(n, bytes)),
    ]
}

/// A node as the reference has it, from the description in `docs/formats/stream.md`.
fn reference_node(first: StreamId, block: &super::super::block::Block) -> Listpack {
    let mut pack = Listpack::new();
    let entries: Vec<_> = block.cursor(block.start(first)).collect();
    let names: Vec<Vec<u8>> = owned(StreamEntry::from(entries[0])).1.into_iter().step_by(2).collect();
    let live = entries.iter().filter(|entry| !entry.deleted).count();
    for number in [live, entries.len() - live, names.len()] {
        pack.push_back_int(number as i64);
    }
    names.iter().for_each(|name| pack.push_back(name));
    pack.push_back_int(0);
    for found in &entries {
        let (id, texts) = owned(StreamEntry::from(*found));
        let same = found.names.is_some();
        assert_eq!(same, texts.iter().step_by(2).eq(names.iter()), "names are shared where they are the same");
        pack.push_back_int(i64::from(found.deleted) + 2 * i64::from(same));
        pack.push_back_int(id.ms.wrapping_sub(first.ms) as i64);
        pack.push_back_int(id.seq.wrapping_sub(first.seq) as i64);
        if same {
            texts.iter().skip(1).step_by(2).for_each(|value| pack.push_back(value));
            pack.push_back_int(texts.len() as i64 / 2 + 3);
        } else {
            pack.push_back_int(texts.len() as i64 / 2);
            texts.iter().for_each(|text| pack.push_back(text));
            pack.push_back_int(texts.len() as i64 + 4);
        }
    }
    pack
}

fn check_blocks(stream: &Stream) {
    let mut live = 0;
    for (first, block) in stream.log.blocks() {
        let entries: Vec<_> = block.cursor(block.start(first)).collect();
        assert_eq!(entries[0].id, first);
        assert_eq!(block.last().id, entries[entries.len() - 1].id);
        assert_eq!(block.last().at, entries[entries.len() - 1].at);
        assert_eq!(block.last().deleted, entries[entries.len() - 1].deleted);
        assert_eq!((block.live + block.deleted) as usize, entries.len());
        assert_eq!(block.live as usize, entries.iter().filter(|entry| !entry.deleted).count());
        assert_eq!(block.node_bytes(), reference_node(first, block).bytes_len());
        live += block.live as usize;
    }
    assert_eq!(stream.len(), live);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_stream_behaves_like_a_map(ops in prop::collection::vec(op(), 1..200), ends in any::<[usize; 8]>()) {
        let mut stream = Stream::new();
        let mut model: BTreeMap<StreamId, Vec<Vec<u8>>> = BTreeMap::new();
        let mut settings = blocks_of(5);
        let (mut added, mut max_deleted) = (0, StreamId::MIN);
        let nth = |model: &BTreeMap<StreamId, _>, n: usize| {
            model.keys().nth(n % model.len().max(1)).copied().unwrap_or(StreamId::new(3, 0))
        };
        for op in ops {
            match op {
                Op::Add(ms, seq, fields) => {
                    let last = stream.last_id();
                    let new = StreamId::new(last.ms + ms, if ms == 0 { last.seq.saturating_add(1 + seq) } else { seq });
                    let texts: Vec<Vec<u8>> = fields.into_iter().flat_map(|(name, value)| [name, value]).collect();
                    let result = stream.append(NewId::Exact(new), 0, texts.iter().map(|text| &text[..]), &settings);
                    prop_assert_eq!(result, Ok(new));
                    model.insert(new, texts);
                    added += 1;
                }
                Op::Delete(n, after) => {
                    let id = nth(&model, n);
                    let id = if after { id.next().unwrap() } else { id };
                    let expected = model.remove(&id).is_some();
                    prop_assert_eq!(stream.contains(id), expected);
                    prop_assert_eq!(stream.get(id).is_some(), expected);
                    prop_assert_eq!(stream.delete(id), expected);
                    if expected {
                        max_deleted = max_deleted.max(id);
                    }
                }
                Op::Trim(to, approximate, limit) => {
                    let by = match to {
                        TrimTo::Shorter(n) => TrimBy::MaxLen((model.len() as u64).saturating_sub(n as u64)),
                        TrimTo::From(n) => TrimBy::MinId(nth(&model, n)),
                    };
                    let doomed: HashSet<StreamId> = match by {
                        TrimBy::MaxLen(max) => model.keys().take(model.len().saturating_sub(max as usize)).copied().collect(),
                        TrimBy::MinId(id) => model.range(..id).map(|(id, _)| *id).collect(),
                    };
                    let limit = if approximate { limit } else { 0 };
                    let trim = Trim { by, approximate, limit, references: References::Keep };
                    let dropped = stream.trim(&trim);
                    if approximate {
                        prop_assert!(dropped <= doomed.len() && (limit == 0 || dropped as u64 <= limit));
                    } else {
                        prop_assert_eq!(dropped, doomed.len());
                    }
                    (0..dropped).for_each(|_| { model.pop_first(); });
                }
                Op::Blocks(entries, bytes) => {
                    settings.stream_node_max_entries = entries;
                    settings.stream_node_max_bytes = bytes;
                }
            }
        }
        check_blocks(&stream);
        let expected: Vec<Owned> = model.clone().into_iter().collect();
        prop_assert_eq!(all(&stream), expected.clone());
        prop_assert_eq!(all(&stream.deep_copy()), expected);
        prop_assert_eq!(stream.entries_added(), added);
        prop_assert_eq!(stream.max_deleted_id(), max_deleted);
        prop_assert_eq!(stream.recorded_first_id(), model.keys().next().copied().unwrap_or_default());
        prop_assert_eq!(stream.first().map(|entry| entry.id), model.keys().next().copied());
        prop_assert_eq!(stream.last().map(|entry| entry.id), model.keys().next_back().copied());
        for pair in ends.chunks(2) {
            // One end of some ranges lies between two entries.
            let (from, to) = (nth(&model, pair[0]), nth(&model, pair[1]));
            let to = if pair[0] % 2 == 0 { to } else { to.prev().unwrap() };
            let within = model.iter().filter(|(id, _)| **id >= from && **id <= to);
            let expected: Vec<Owned> = within.map(|(id, texts)| (*id, texts.clone())).collect();
            prop_assert_eq!(stream.range(from, to).map(owned).collect::<Vec<_>>(), expected.clone());
            let backwards: Vec<Owned> = expected.into_iter().rev().collect();
            prop_assert_eq!(stream.range_rev(from, to).map(owned).collect::<Vec<_>>(), backwards);
        }
    }

    /// Ids that have long and short runs of bytes in common.
    #[test]
    fn radix_tree_nodes_are_counted(ids in prop::collection::btree_set(
        (prop::sample::select(vec![0u64, 1, 2, 255, 256, 257, 65_536, 1 << 32, 1 << 63]), 0u64..4, prop::sample::select(vec![0u64, 1, 256, 1 << 40])),
        0..30,
    )) {
        let ids: std::collections::BTreeSet<StreamId> =
            ids.into_iter().map(|(ms, near, seq)| StreamId::new(ms + near, seq)).collect();
        let keys: Vec<[u8; 16]> = ids.iter().map(|id| id.to_bytes()).collect();
        prop_assert_eq!(super::super::log::radix_tree_nodes(ids.into_iter()), nodes_of(&keys, 0));
    }
}

/// Nodes below one that stands for the first `depth` bytes, and this one: a run of bytes without a fork is one node.
fn nodes_of(keys: &[[u8; 16]], depth: usize) -> usize {
    if keys.is_empty() || depth == 16 {
        return 1;
    }
    let forks = |at: usize| keys.iter().any(|key| key[at] != keys[0][at]);
    if !forks(depth) {
        let end = (depth..16).find(|&at| forks(at)).unwrap_or(16);
        return 1 + nodes_of(keys, end);
    }
    1 + keys.chunk_by(|a, b| a[depth] == b[depth]).map(|part| nodes_of(part, depth + 1)).sum::<usize>()
}

#[test]
fn a_block_takes_smaller_entries_again_when_the_one_after_it_is_gone() {
    let mut stream = Stream::new();
    let settings = Settings { stream_node_max_bytes: 200, ..Settings::default() };
    let big = [b'x'; 190];
    add(&mut stream, 1, &settings);
    stream.append(NewId::Exact(id(2)), 0, [&b"f"[..], &big].into_iter(), &settings).unwrap();
    assert_eq!(stream.block_count(), 2);
    stream.delete(id(2));
    assert_eq!(stream.block_count(), 1);
    add(&mut stream, 3, &settings);
    assert_eq!((stream.block_count(), all_ids(&stream)), (1, vec![1, 3]));
}

#[test]
fn an_entry_has_a_gibibyte_at_most() {
    let mebibyte = vec![b'x'; 1 << 20];
    let mut stream = Stream::new();
    let too_long = std::iter::repeat_n(&mebibyte[..], 1024).chain([&b""[..], b"v"]);
    assert_eq!(stream.append(NewId::Auto, 1, too_long, &Settings::default()), Err(AppendError::TooLarge));
    assert_eq!((stream.len(), stream.last_id()), (0, StreamId::MIN));
}

#[test]
fn large_streams_are_freed_elsewhere_and_small_ones_here() {
    assert!(stream_of(50, 100).free_effort() < crate::object::FREE_INLINE_MAX);
    assert!(stream_of(1000, 10).free_effort() > crate::object::FREE_INLINE_MAX);
}

#[test]
fn memory_is_what_the_parts_take() {
    let empty = Stream::new().memory_bytes(0);
    let stream = stream_of(10_000, 100);
    let each = (stream.memory_bytes(0) - empty) as f64 / 10_000.0;
    // The head with the id, and the value with its length: three bytes, and a share of a block.
    assert!((3.0..5.0).contains(&each), "{each}");
    assert!(stream.memory_bytes(5).abs_diff(stream.memory_bytes(0)) < stream.memory_bytes(0) / 10);
    assert!(matches!(owned(stream.first().unwrap()).1[..], [ref name, _] if Item::Str(name).len() == 1));
}
