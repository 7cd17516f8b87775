//! Tests of the module above.

use super::*;
use proptest::prelude::*;

fn contents(list: &Quicklist) -> Vec<Vec<u8>> {
    list.iter().map(|item| item.to_vec()).collect()
}

fn check_shape(list: &Quicklist) {
    assert_eq!(list.nodes.iter().map(Node::count).sum::<usize>(), list.len);
    for node in &list.nodes {
        assert!(node.count() > 0);
    }
}

/// `c37` is 37 times the letter c.
fn value_of(token: &str) -> Vec<u8> {
    let (letter, len) = token.split_at(1);
    letter.repeat(len.parse().unwrap()).into_bytes()
}

fn layout(list: &Quicklist) -> String {
    let shown: Vec<String> = list
        .nodes()
        .map(|node| match node {
            NodeRef::Packed(list) => list.len().to_string(),
            NodeRef::Plain(_) => "P".to_string(),
        })
        .collect();
    shown.join(" ")
}

/// One line of `vectors.txt`; the same in a plain vector.
fn replay(list: &mut Quicklist, model: &mut Vec<Vec<u8>>, words: &[&str]) {
    let index = || words[1].parse::<usize>().unwrap();
    match words[0] {
        "rpush" => words[1..].iter().for_each(|token| {
            list.push_back(&value_of(token));
            model.push(value_of(token));
        }),
        "lpush" => {
            list.push_front(&value_of(words[1]));
            model.insert(0, value_of(words[1]));
        }
        "before" => {
            list.insert_before(index(), &value_of(words[2]));
            model.insert(index(), value_of(words[2]));
        }
        "after" => {
            list.insert_after(index(), &value_of(words[2]));
            model.insert(index() + 1, value_of(words[2]));
        }
        "lset" => {
            assert!(list.set(index(), &value_of(words[2])));
            model[index()] = value_of(words[2]);
        }
        "lpop" => assert_eq!(list.pop_front(|item| item.to_vec()), Some(model.remove(0))),
        "rpop" => assert_eq!(list.pop_back(|item| item.to_vec()), model.pop()),
        "lrem" => {
            let count = words[1].parse::<i64>().unwrap();
            let (limit, from_tail) =
                if count == 0 { (usize::MAX, false) } else { (count.unsigned_abs() as usize, count < 0) };
            let removed = remove_from(model, &value_of(words[2]), limit, from_tail);
            assert_eq!(list.remove(&value_of(words[2]), limit, from_tail), removed);
        }
        "ltrim" => {
            let end = model.len() - words[2].parse::<usize>().unwrap();
            list.trim(index()..end);
            *model = model[index()..end].to_vec();
        }
        other => panic!("unknown step {other}"),
    }
}

fn remove_from(model: &mut Vec<Vec<u8>>, value: &[u8], limit: usize, from_tail: bool) -> usize {
    let mut doomed: Vec<usize> = (0..model.len()).filter(|&at| model[at] == value).collect();
    if from_tail {
        doomed.reverse();
    }
    doomed.truncate(limit);
    doomed.sort_unstable();
    doomed.iter().rev().for_each(|&at| drop(model.remove(at)));
    doomed.len()
}

#[test]
fn nodes_are_those_of_the_reference() {
    // Random RPUSH, LPUSH, LINSERT, LSET, LPOP, RPOP, LREM and LTRIM on Redis 8.2.3 under several fills and packed
    // thresholds, each with the nodes that DUMP shows afterwards.
    let mut list = Quicklist::new(-2);
    let mut model = Vec::new();
    let mut steps = 0;
    for (number, line) in include_str!("vectors.txt").lines().enumerate() {
        let (step, nodes) = line.split_once(" -> ").unwrap_or((line, ""));
        let words: Vec<&str> = step.split_whitespace().collect();
        if words[0] == "new" {
            list = Quicklist::new(words[1].parse().unwrap());
            model.clear();
            set_packed_threshold(words[2].parse().unwrap());
            continue;
        }
        replay(&mut list, &mut model, &words);
        assert_eq!(layout(&list), nodes, "line {} {step}", number + 1);
        assert_eq!(contents(&list), model, "line {} {step}", number + 1);
        check_shape(&list);
        steps += 1;
    }
    assert!(steps > 400);
}

#[test]
fn a_million_small_elements_stay_dense() {
    let mut list = Quicklist::new(-2);
    for number in 0..1_000_000 {
        list.push_back(format!("element:{number:08}").as_bytes());
    }
    // Each takes 18 bytes in its listpack: 16 of text, one of head, one of back length.
    let per_element = list.memory_bytes() as f64 / list.len() as f64;
    assert!(per_element < 18.7, "{per_element}");
    assert!(list.get(765_432).unwrap().eq_bytes(b"element:00765432"));
}

#[test]
fn single_nodes_convert_to_listpacks_and_back() {
    let mut list = Quicklist::new(-2);
    (0..5u8).for_each(|digit| list.push_back(&[digit]));
    let packed = list.into_listpack().unwrap();
    let mut list = Quicklist::from_listpack(2, packed);
    assert_eq!((list.len(), list.node_count(), list.fill()), (5, 1, 2));
    list.push_back(b"x");
    assert_eq!(layout(&list), "5 1");
    let mut list = list.into_listpack().unwrap_err();
    assert_eq!(list.len(), 6);
    list.push_plain_node(b"large".as_slice().into());
    assert_eq!((layout(&list).as_str(), list.back()), ("5 1 P", Some(Item::Str(b"large"))));
    assert!(Quicklist::new(1).into_listpack().unwrap().is_empty());
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    Pop(bool),
    Insert(usize, bool, Vec<u8>),
    Set(usize, Vec<u8>),
    Remove(usize, usize, bool),
    DeleteRange(usize, usize),
    Trim(usize, usize),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0u8..4).prop_map(|letter| vec![b'a' + letter]),
        3 => (-200i64..200).prop_map(|value| value.to_string().into_bytes()),
        2 => (500usize..2_000).prop_map(|len| vec![b'm'; len]),
        1 => (4_000usize..4_200).prop_map(|len| vec![b'l'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (any::<bool>(), value()).prop_map(|(front, value)| Op::Push(front, value)),
        1 => any::<bool>().prop_map(Op::Pop),
        6 => (any::<usize>(), any::<bool>(), value()).prop_map(|(at, after, value)| Op::Insert(at, after, value)),
        3 => (any::<usize>(), value()).prop_map(|(at, value)| Op::Set(at, value)),
        1 => (any::<usize>(), 0usize..4, any::<bool>()).prop_map(|(at, limit, tail)| Op::Remove(at, limit, tail)),
        1 => (any::<usize>(), 0usize..6).prop_map(|(at, count)| Op::DeleteRange(at, count)),
        1 => (0usize..3, 0usize..3).prop_map(|(head, tail)| Op::Trim(head, tail)),
    ]
}

fn apply(list: &mut Quicklist, model: &mut VecDeque<Vec<u8>>, op: Op) {
    let wrap = |at: usize| at % model.len().max(1);
    match op {
        Op::Push(true, value) => {
            list.push_front(&value);
            model.push_front(value);
        }
        Op::Push(false, value) => {
            list.push_back(&value);
            model.push_back(value);
        }
        Op::Pop(true) => assert_eq!(list.pop_front(|item| item.to_vec()), model.pop_front()),
        Op::Pop(false) => assert_eq!(list.pop_back(|item| item.to_vec()), model.pop_back()),
        Op::DeleteRange(at, count) => {
            let start = wrap(at);
            list.delete_range(start..start + count);
            model.drain(start..(start + count).min(model.len()));
        }
        Op::Trim(head, tail) => {
            let end = model.len().saturating_sub(tail);
            list.trim(head..end);
            model.truncate(end.max(head.min(model.len())));
            model.drain(..head.min(model.len()));
        }
        _ if model.is_empty() => assert!(!list.set(0, b"x")),
        Op::Insert(at, after, value) => {
            let at = wrap(at);
            if after {
                list.insert_after(at, &value)
            } else {
                list.insert_before(at, &value)
            }
            model.insert(at + usize::from(after), value);
        }
        Op::Set(at, value) => {
            let at = wrap(at);
            assert!(list.set(at, &value));
            model[at] = value;
        }
        Op::Remove(at, limit, from_tail) => {
            let value = model[wrap(at)].clone();
            assert_eq!(list.position(&value), model.iter().position(|item| *item == value));
            let mut rest: Vec<_> = model.drain(..).collect();
            let removed = remove_from(&mut rest, &value, limit, from_tail);
            assert_eq!(list.remove(&value, limit, from_tail), removed);
            *model = rest.into();
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_deque(
        fill in prop_oneof![Just(-1i16), Just(-2), Just(1), Just(3), Just(0)],
        ops in proptest::collection::vec(op(), 0..80),
        ends in (any::<usize>(), any::<usize>()),
    ) {
        let (mut list, mut model) = (Quicklist::new(fill), VecDeque::new());
        for op in ops {
            apply(&mut list, &mut model, op);
            check_shape(&list);
            prop_assert_eq!(list.len(), model.len());
            prop_assert!(list.iter().zip(&model).all(|(item, bytes)| item.eq_bytes(bytes)));
        }
        let (start, end) = (ends.0 % (model.len() + 1), ends.1 % (model.len() + 2));
        let expected: Vec<_> = model.iter().take(end).skip(start).cloned().collect();
        let forward: Vec<_> = list.range(start..end).map(|item| item.to_vec()).collect();
        prop_assert_eq!(&forward, &expected);
        let mut backward: Vec<_> = list.range(start..end).rev().map(|item| item.to_vec()).collect();
        backward.reverse();
        prop_assert_eq!(&backward, &expected);
        let mut both = list.range(start..end);
        let mut met = Vec::new();
        while let Some(item) = both.next() {
            met.push(item.to_vec());
            met.extend(both.next_back().map(|item| item.to_vec()));
        }
        met.sort();
        let mut expected = expected;
        expected.sort();
        prop_assert_eq!(met, expected);
        for at in 0..=model.len() {
            prop_assert_eq!(list.get(at).map(|item| item.to_vec()), model.get(at).cloned());
        }
    }
}
