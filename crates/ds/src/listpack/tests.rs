//! Tests of the module above.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn contents(list: &Listpack) -> Vec<Vec<u8>> {
    list.iter().map(|item| item.to_vec()).collect()
}

/// What every list must satisfy after any change: valid bytes, and the same elements from either end.
fn check(list: &Listpack, expected: &[Vec<u8>]) {
    assert_eq!(validate(&list.to_bytes()), Ok(list.len()));
    assert_eq!(contents(list), expected);
    let mut backwards: Vec<_> = list.iter().rev().map(|item| item.to_vec()).collect();
    backwards.reverse();
    assert_eq!(backwards, expected);
    assert_eq!(list.len(), expected.len());
    assert_eq!(list.iter().map(|item| item.encoded_size()).sum::<usize>(), list.body().len());
    assert!(list.iter().zip(expected).all(|(item, bytes)| item.len() == bytes.len() && item.eq_bytes(bytes)));
}

#[test]
fn bytes_are_those_of_the_reference() {
    // RPUSH of these to Redis 8.2.3, then DUMP: the listpack inside.
    let y = [b'y'; 63];
    let z = [b'z'; 64];
    let items: [&[u8]; 30] = [
        b"0",
        b"127",
        b"128",
        b"-1",
        b"-4096",
        b"4095",
        b"4096",
        b"-4097",
        b"32767",
        b"-32768",
        b"32768",
        b"-8388608",
        b"8388607",
        b"8388608",
        b"2147483647",
        b"-2147483649",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"9223372036854775808",
        b"-0",
        b"00",
        b"+1",
        b"",
        b"-",
        b"a",
        &y,
        &z,
        b"01",
        b" 1",
        b"1 ",
    ];
    let dump = hex(&format!(
        "
        19010000 1e00 0001 7f01 c08002 dfff02 d00002 cfff02 f1001003 f1ffef03 f1ff7f03 f1008003 f200800004
        f200008004 f2ffff7f04 f30000800005 f3ffffff7f05 f4ffffff7fffffffff09 f4ffffffffffffff7f09
        f4000000000000008009 933932323333373230333638353437373538303814 822d3003 82303003 822b3103 8001 812d02 816102
        bf{}40
        e040{}42
        82303103 82203103 82312003 ff",
        "79".repeat(63),
        "7a".repeat(64)
    ));
    let mut list = Listpack::new();
    items.iter().for_each(|item| list.push_back(item));
    assert_eq!(list.to_bytes(), dump);
    assert_eq!(Listpack::from_items(items).to_bytes(), dump);
    assert_eq!(Listpack::from_bytes(&dump).unwrap(), list);
    check(&list, &items.map(<[u8]>::to_vec));
}

#[test]
fn back_lengths_widen_where_the_reference_widens_them() {
    // HSET h f <n times x> in Redis 8.2.3 ends in these bytes (end mark included).
    for (len, tail) in [(122, "7cff"), (126, "0180ff"), (16_377, "7ffeff"), (16_378, "00ffffff"), (16_379, "018080ff")]
        .into_iter()
        .chain(LONG_TAILS)
    {
        let mut list = Listpack::new();
        list.push_back(&vec![b'x'; len]);
        let mut expected = b"x".to_vec();
        expected.extend(hex(tail));
        assert!(list.to_bytes().ends_with(&expected), "{len}");
        assert_eq!(list.last(), list.first());
        assert_eq!(validate(&list.to_bytes()), Ok(list.len()));
    }
}

const LONG_TAILS: [(usize, &str); 3] = [(2_097_145, "7ffffeff"), (2_097_146, "00ffffffff"), (2_097_147, "01808080ff")];

/// The count field of the serialised form.
fn serialised_count(list: &Listpack) -> u16 {
    let bytes = list.to_bytes();
    u16::from_le_bytes([bytes[4], bytes[5]])
}

#[test]
#[cfg_attr(miri, ignore = "walks 65,535 elements again and again")]
fn serialised_counts_beyond_the_field_are_unknown() {
    let mut list = Listpack::new();
    list.append(std::iter::repeat_n(&b"7"[..], 65_534));
    assert_eq!((serialised_count(&list), list.len()), (65_534, 65_534));
    list.push_back(b"7");
    assert_eq!((serialised_count(&list), list.len()), (SERIAL_COUNT_UNKNOWN, 65_535));
    list.push_front(b"x");
    assert_eq!((serialised_count(&list), list.len()), (SERIAL_COUNT_UNKNOWN, 65_536));
    assert_eq!(list.seek(-65_536), list.first());
    let copy = Listpack::from_bytes(&list.to_bytes()).unwrap();
    assert_eq!((copy.stored_count(), &copy), (65_536, &list));
    assert_eq!(list.delete_range(10, 65_530), 65_526);
    assert_eq!((serialised_count(&list), list.len()), (10, 10));
    // A reader takes "unknown" of a short list too, and counts.
    let mut bytes = list.to_bytes();
    bytes[4..6].copy_from_slice(&[255, 255]);
    assert_eq!(Listpack::from_bytes(&bytes).unwrap().to_bytes(), list.to_bytes());
}

#[test]
#[cfg_attr(miri, ignore = "walks millions of elements")]
fn counts_beyond_the_handle_are_walked() {
    let mut list = Listpack::from_items(std::iter::repeat_n(&b"7"[..], 1 << 12));
    for _ in 12..24 {
        list.append_listpack(&list.clone());
    }
    assert_eq!((list.stored_count(), list.len()), (COUNT_UNKNOWN, 1 << 24));
    assert_eq!(validate(&list.to_bytes()), Ok(1 << 24));
    list.delete(0);
    assert_eq!((list.stored_count(), list.len()), (COUNT_UNKNOWN, (1 << 24) - 1));
    list.delete(0);
    assert_eq!((list.stored_count(), list.len()), (COUNT_UNKNOWN - 1, (1 << 24) - 2));
    list.push_front(b"x");
    assert_eq!((list.stored_count(), list.len()), (COUNT_UNKNOWN, (1 << 24) - 1));
    list.delete_range(5, usize::MAX);
    assert_eq!((list.stored_count(), list.len()), (5, 5));
}

#[test]
fn an_empty_list_of_unknown_count_is_empty() {
    let list = Listpack::from_bytes(&[7, 0, 0, 0, 0xff, 0xff, END]).unwrap();
    assert_eq!((list.stored_count(), list.len()), (0, 0));
    assert!(list.is_empty());
}

#[test]
fn find_skips_values() {
    let list = Listpack::from_items([&b"f"[..], b"g", b"g", b"12", b"12", b"x"]);
    assert_eq!(list.find(b"g", 0), list.seek(1));
    assert_eq!(list.find(b"g", 1), list.seek(2));
    assert_eq!(list.find(b"12", 0), list.seek(3));
    assert_eq!(list.find(b"12", 1), list.seek(4));
    assert_eq!(list.find(b"x", 1), None);
    assert_eq!(list.find(b"012", 0), None);
}

#[test]
fn corrupt_bytes_are_refused() {
    let good = Listpack::from_items([&b"abc"[..], b"1000", b"70000"]).to_bytes();
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Listpack::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(Listpack::from_bytes(&[]), Err(ListpackError::Length));
    assert_eq!(Listpack::from_bytes(&[6, 0, 0, 0, 0, 0]), Err(ListpackError::Length));
    assert_eq!(error(&|bytes| bytes.push(END)), ListpackError::Length);
    assert_eq!(error(&|bytes| *bytes.last_mut().unwrap() = 0), ListpackError::End);
    assert_eq!(error(&|bytes| bytes[4] = 2), ListpackError::Count);
    assert_eq!(error(&|bytes| bytes[6] = 0xbf), ListpackError::Entry(6));
    assert_eq!(error(&|bytes| bytes[6] = 0xf5), ListpackError::Entry(6));
    assert_eq!(error(&|bytes| bytes[10] = 3), ListpackError::Entry(6));
    assert_eq!(error(&|bytes| bytes[6..11].copy_from_slice(&[0xf0, 255, 255, 255, 255])), ListpackError::Entry(6));
}

#[test]
fn memory_follows_the_size_class_both_ways() {
    let mut list = Listpack::new();
    assert_eq!((list.bytes_len(), list.memory_bytes()), (7, 0));
    (0..1000).for_each(|value| list.push_back_int(value));
    assert!((list.body().len()..list.body().len() * 5 / 4).contains(&list.memory_bytes()));
    list.delete_range(0, 1000);
    assert_eq!((list.memory_bytes(), list.is_empty()), (0, true));
    // Nothing is set aside but for the entries.
    list.push_back(&[b'x'; 62]);
    assert_eq!((list.bytes_len(), list.memory_bytes()), (71, 64));
}

#[test]
fn the_mark_is_left_alone() {
    let mut list = Listpack::from_items([&b"a"[..], b"b"]);
    assert_eq!(list.mark(), Mark::Off);
    let unmarked = list.clone();
    list.set_mark(Mark::On);
    list.push_front(b"c");
    list.delete(0);
    assert_eq!((list.mark(), list.clone().mark(), list == unmarked), (Mark::On, Mark::On, true));
    assert_eq!(list.split_off(0).mark(), Mark::Off);
    list.clear();
    assert_eq!((list.mark(), list.len(), list.first(), list.last()), (Mark::On, 0, None, None));
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Replace(usize, Vec<u8>),
    ReplaceInt(usize, i64),
    Delete(usize),
    DeleteRange(i64, usize),
    Append(Vec<Vec<u8>>),
    Split(usize, bool),
    /// Elements put in at once.
    InsertAll(usize, [Vec<u8>; 2]),
    /// The count is taken to be one that the handle has no room for.
    ForgetCount,
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..12),
        2 => (0u32..64, any::<i64>()).prop_map(|(shift, value)| (value >> shift).to_string().into_bytes()),
        1 => proptest::collection::vec(b'0'..=b'9', 0..22),
        1 => (60usize..140, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        1 => (4_080usize..4_110, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => value().prop_map(Op::PushBack),
        2 => value().prop_map(Op::PushFront),
        3 => (any::<usize>(), any::<bool>(), value()).prop_map(|(at, after, value)| Op::Insert(at, after, value)),
        2 => (any::<usize>(), value()).prop_map(|(at, value)| Op::Replace(at, value)),
        1 => (any::<usize>(), any::<i64>()).prop_map(|(at, value)| Op::ReplaceInt(at, value)),
        2 => any::<usize>().prop_map(Op::Delete),
        1 => (-20i64..20, 0usize..5).prop_map(|(at, count)| Op::DeleteRange(at, count)),
        1 => proptest::collection::vec(value(), 0..5).prop_map(Op::Append),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, swap)| Op::Split(at, swap)),
        1 => (any::<usize>(), [value(), value()]).prop_map(|(at, values)| Op::InsertAll(at, values)),
        1 => Just(Op::ForgetCount),
    ]
}

/// Applies `op` to both; indices wrap around the length, and an empty list ignores what needs an element.
fn apply(list: &mut Listpack, model: &mut Vec<Vec<u8>>, op: Op) {
    let wrap = |at: usize| (!model.is_empty()).then(|| at % model.len().max(1));
    match op {
        Op::PushBack(value) => {
            list.push_back(&value);
            model.push(value);
        }
        Op::PushFront(value) => {
            list.push_front(&value);
            model.insert(0, value);
        }
        Op::Insert(at, after, value) => {
            let Some(at) = wrap(at) else { return };
            let pos = list.seek(at as i64).unwrap();
            let new = if after { list.insert_after(pos, &value) } else { list.insert_before(pos, &value) };
            assert!(list.get(new).eq_bytes(&value));
            model.insert(at + usize::from(after), value);
        }
        Op::Replace(at, value) => {
            let Some(at) = wrap(at) else { return };
            list.replace(list.seek(at as i64).unwrap(), &value);
            model[at] = value;
        }
        Op::ReplaceInt(at, value) => {
            let Some(at) = wrap(at) else { return };
            list.replace_int(list.seek(at as i64 - model.len() as i64).unwrap(), value);
            model[at] = value.to_string().into_bytes();
        }
        Op::Delete(at) => {
            let Some(at) = wrap(at) else { return };
            let next = list.delete(list.seek(at as i64).unwrap());
            model.remove(at);
            assert_eq!(next.map(|pos| list.get(pos).to_vec()), model.get(at).cloned());
        }
        Op::DeleteRange(at, count) => {
            let start = if at < 0 { model.len() as i64 + at } else { at };
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(model.len());
            let end = (start + count).min(model.len());
            model.drain(start..end);
            assert_eq!(list.delete_range(at, count), end - start);
        }
        Op::Append(values) => {
            list.append(values.iter().map(Vec::as_slice));
            model.extend(values);
        }
        Op::Split(at, swap) => {
            let Some(at) = wrap(at) else { return };
            let mut tail = list.split_off(list.seek(at as i64).unwrap());
            check(&tail, &model[at..]);
            if swap {
                tail.append_listpack(list);
                model.rotate_left(at);
                *list = tail;
            } else {
                tail.prepend_listpack(list);
                *list = tail;
            }
        }
        Op::InsertAll(at, values) => {
            let at = at % (model.len() + 1);
            let pos = list.seek(at as i64).unwrap_or(list.end());
            list.insert_all_before(pos, [&values[0], &values[1]]);
            model.splice(at..at, values);
        }
        Op::ForgetCount => list.count = [0xff; 3],
    }
}

proptest! {
    #[test]
    fn behaves_like_a_vector(ops in proptest::collection::vec(op(), 0..60), needle in value(), skip in 0usize..3) {
        let (mut list, mut model) = (Listpack::new(), Vec::new());
        for op in ops {
            apply(&mut list, &mut model, op);
            check(&list, &model);
        }
        let copy = Listpack::from_bytes(&list.to_bytes());
        prop_assert_eq!(&copy, &Ok(list.clone()));
        prop_assert_eq!(copy.map(|copy| copy.stored_count() as usize), Ok(model.len()));
        for needle in model.iter().chain([&needle]) {
            let expected = (0..model.len()).step_by(skip + 1).find(|&at| model[at] == *needle);
            prop_assert_eq!(list.find(needle, skip), expected.and_then(|at| list.seek(at as i64)));
        }
        let doomed: Vec<usize> = (0..model.len()).step_by(skip + 1).map(|at| list.seek(at as i64).unwrap()).collect();
        let mut rest = list.clone();
        rest.delete_all(&doomed);
        let kept = model.iter().enumerate().filter(|(at, _)| at % (skip + 1) != 0);
        check(&rest, &kept.map(|(_, item)| item.clone()).collect::<Vec<_>>());
        // The bytes depend on the contents only, not on how they came about.
        prop_assert_eq!(Listpack::from_items(model.iter().map(Vec::as_slice)), list);
    }

    #[test]
    fn integers_are_recognised_as_printing_them_back_would(text in "-?[0-9]{0,21}| ?[0-9]{1,3}|[-+][0-9]{1,2}") {
        let expected = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
        prop_assert_eq!(parse_integer(text.as_bytes()), expected);
    }

    #[test]
    fn any_bytes_are_safe_to_check(
        items in proptest::collection::vec(value(), 0..6),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Listpack::from_items(items.iter().map(Vec::as_slice)).to_bytes();
        for (at, byte) in changes {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        if let Ok(list) = Listpack::from_bytes(&bytes) {
            prop_assert_eq!(list.iter().count(), list.iter().rev().count());
            prop_assert_eq!(list.bytes_len(), bytes.len());
            prop_assert_eq!(list.body(), &bytes[HEADER..bytes.len() - 1]);
        }
    }
}

#[test]
fn the_slack_is_where_the_list_grows() {
    let moves = |push: fn(&mut Listpack, &[u8])| {
        let mut list = Listpack::new();
        let (mut relocations, mut start, mut end) = (0, 0, 0);
        for number in 0..2000 {
            push(&mut list, format!("element {number}").as_bytes());
            let range = list.body().as_ptr_range();
            relocations += usize::from(range.start.addr() != start && range.end.addr() != end);
            (start, end) = (range.start.addr(), range.end.addr());
        }
        relocations
    };
    assert!(moves(|list, value| list.push_front(value)) < 50, "one for each size class on the way");
    assert!(moves(|list, value| list.push_back(value)) < 50);
}
