//! Tests of the module above.

use super::*;
use proptest::prelude::*;

/// Handles here are numbers that compare by their decimal text, so that handle order differs from numeric order.
fn compare(left: u64, right: u64) -> Ordering {
    left.to_string().cmp(&right.to_string())
}

fn item(score: f64, handle: u64) -> Item<u64> {
    Item { score, handle }
}

/// Number of leaves, after checking every invariant of the tree.
fn check(tree: &BpTree<u64>) -> usize {
    let mut leaves = Vec::new();
    if tree.root != NONE {
        let (_, count) = check_node(tree, tree.root, tree.height, &mut leaves);
        assert_eq!(count, tree.len);
    } else {
        assert_eq!((tree.len, tree.height), (0, 0));
    }
    for (at, &leaf) in leaves.iter().enumerate() {
        assert_eq!(tree.leaves[leaf].prev, if at == 0 { NONE } else { leaves[at - 1] });
        assert_eq!(tree.leaves[leaf].next, leaves.get(at + 1).copied().unwrap_or(NONE));
    }
    assert!(tree.iter().is_sorted_by(|&left, &right| order(left, right, &compare).is_lt()));
    leaves.len()
}

/// First item and number of items below a node; appends the leaves below it.
fn check_node(tree: &BpTree<u64>, node: u32, height: usize, leaves: &mut Vec<u32>) -> (Item<u64>, usize) {
    if height == 0 {
        leaves.push(node);
        return (tree.leaves[node].item(0), tree.leaves[node].len());
    }
    let inner = &tree.inners[node];
    assert!(inner.len() > usize::from(node == tree.root));
    let mut total = 0;
    for slot in 0..inner.len() {
        let (first, count) = check_node(tree, inner.child(slot), height - 1, leaves);
        assert_eq!(inner.first(slot), first);
        assert_eq!(inner.counts()[slot] as usize, count);
        total += count;
    }
    (inner.first(0), total)
}

/// 0..n in a fixed random order.
fn random_order(n: usize) -> Vec<u64> {
    let mut order: Vec<u64> = (0..n as u64).collect();
    let mut state = 0x1234_5678_9abc_def1u64;
    for at in (1..n).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order
}

fn bytes_per_item(tree: &BpTree<u64>) -> f64 {
    tree.memory_bytes() as f64 / tree.len() as f64
}

#[test]
fn every_insertion_order_is_dense() {
    const N: usize = 300_000;
    let orders: [(&str, Vec<u64>, f64); 3] = [
        ("ascending", (0..N as u64).collect(), 17.6),
        ("descending", (0..N as u64).rev().collect(), 17.6),
        ("random", random_order(N), 22.0),
    ];
    for (name, order, bytes_max) in orders {
        let mut tree = BpTree::new();
        for &number in &order {
            tree.insert(item(number as f64, number), compare);
        }
        let leaves = check(&tree);
        assert_eq!(tree.len(), N);
        let fill = N as f64 / (leaves * node::LEAF_MAX) as f64;
        assert!(bytes_per_item(&tree) < bytes_max, "{name}: {} bytes, fill {fill}", bytes_per_item(&tree));
        assert!(tree.iter().map(|item| item.handle).eq(0..N as u64));
        assert_eq!(tree.rank(item(777.0, 777), compare), 777);
    }
}

#[test]
fn removal_gives_memory_back() {
    const N: usize = 50_000;
    let mut tree = BpTree::from_sorted((0..N as u64).map(|number| item(number as f64, number)));
    assert!(check(&tree) == N.div_ceil(node::LEAF_MAX));
    let full = tree.memory_bytes();
    for (step, &number) in random_order(N).iter().enumerate() {
        assert!(tree.remove(item(number as f64, number), compare));
        assert!(!tree.contains(item(number as f64, number), compare));
        if step % 5_000 == 0 {
            let leaves = check(&tree);
            assert!(
                tree.len() * 3 > leaves * node::LEAF_MAX * 9 / 10 || tree.len() < 100,
                "{} in {leaves}",
                tree.len()
            );
        }
    }
    assert_eq!(check(&tree), 0);
    assert!(tree.memory_bytes() < full / 30);
    tree.insert(item(1.0, 1), compare);
    assert_eq!((tree.first(), tree.last()), (Some(item(1.0, 1)), Some(item(1.0, 1))));
}

#[test]
fn equal_scores_are_ordered_by_member() {
    let mut tree = BpTree::new();
    let mut model: Vec<u64> = random_order(5_000);
    model.iter().for_each(|&number| tree.insert(item(if number % 2 == 0 { 0.0 } else { -0.0 }, number), compare));
    model.sort_by(|&left, &right| compare(left, right));
    assert!(tree.iter().map(|item| item.handle).eq(model.iter().copied()));
    let start = tree.partition_point(|probe| probe.handle.to_string().as_str() < "30");
    assert_eq!(model[start].to_string(), "30");
    check(&tree);
}

#[derive(Clone, Debug)]
enum Op {
    Insert(i8, u64),
    Run(i8, u64, usize, bool),
    Remove(usize),
    RemoveAbsent(i8, u64),
    Update(usize, i16),
    Pop(bool),
    DeleteRange(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<i8>(), 0u64..5_000).prop_map(|(score, handle)| Op::Insert(score, handle)),
        3 => (any::<i8>(), 5_000u64..1_000_000, 1usize..400, any::<bool>())
            .prop_map(|(score, handle, count, up)| Op::Run(score, handle, count, up)),
        6 => any::<usize>().prop_map(Op::Remove),
        1 => (any::<i8>(), 0u64..5_000).prop_map(|(score, handle)| Op::RemoveAbsent(score, handle)),
        4 => (any::<usize>(), -300i16..300).prop_map(|(at, by)| Op::Update(at, by)),
        2 => any::<bool>().prop_map(Op::Pop),
        2 => (any::<usize>(), 0usize..300).prop_map(|(at, count)| Op::DeleteRange(at, count)),
    ]
}

fn place(model: &[Item<u64>], item: Item<u64>) -> Result<usize, usize> {
    model.binary_search_by(|&probe| order(probe, item, &compare))
}

fn insert(tree: &mut BpTree<u64>, model: &mut Vec<Item<u64>>, item: Item<u64>) {
    if let Err(at) = place(model, item) {
        assert_eq!(tree.rank(item, compare), at);
        tree.insert(item, compare);
        model.insert(at, item);
    }
}

fn apply(tree: &mut BpTree<u64>, model: &mut Vec<Item<u64>>, op: Op) {
    let wrap = |at: usize| (!model.is_empty()).then(|| at % model.len().max(1));
    match op {
        Op::Insert(score, handle) => insert(tree, model, item(f64::from(score), handle)),
        Op::Run(score, start, count, up) => {
            for step in 0..count as u64 {
                let handle = if up { start + step } else { start - step };
                insert(tree, model, item(f64::from(score), handle));
            }
        }
        Op::Remove(at) => {
            let Some(at) = wrap(at) else { return };
            assert!(tree.remove(model.remove(at), compare));
        }
        Op::RemoveAbsent(score, handle) => {
            let item = item(f64::from(score) + 0.5, handle);
            if place(model, item).is_err() {
                assert!(!tree.remove(item, compare));
            }
        }
        Op::Update(at, by) => {
            let Some(at) = wrap(at) else { return };
            let old = model[at];
            // Small steps mostly stay in place, large ones move.
            let new = item(old.score + f64::from(by) / 16.0, old.handle);
            if place(model, new).is_ok() && by != 0 {
                return;
            }
            model.remove(at);
            assert!(tree.update_score(old, new.score, compare));
            model.insert(place(model, new).unwrap_err(), new);
        }
        Op::Pop(true) => assert_eq!(tree.pop_first(), (!model.is_empty()).then(|| model.remove(0))),
        Op::Pop(false) => assert_eq!(tree.pop_last(), model.pop()),
        Op::DeleteRange(at, count) => {
            let start = wrap(at).unwrap_or(0);
            let end = (start + count).min(model.len());
            let mut removed = Vec::new();
            tree.delete_range(start..start + count, |item| removed.push(item));
            assert_eq!(removed, model.drain(start..end).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn behaves_like_a_sorted_vector(
        start in 0usize..6_000,
        ops in proptest::collection::vec(op(), 0..60),
        ends in (any::<usize>(), any::<usize>()),
        bound in any::<i8>(),
    ) {
        // Scores in bulk repeat every few hundred items, so that runs of equal scores cross leaves.
        let mut model: Vec<_> = (0..start as u64).map(|at| item((at / 300) as f64, at + 10_000_000)).collect();
        let mut tree = BpTree::from_sorted(model.iter().copied());
        for op in ops {
            apply(&mut tree, &mut model, op);
        }
        check(&tree);
        prop_assert!(tree.iter().eq(model.iter().copied()));
        prop_assert!(tree.iter().rev().eq(model.iter().rev().copied()));
        prop_assert_eq!((tree.first(), tree.last()), (model.first().copied(), model.last().copied()));
        let (from, to) = (ends.0 % (model.len() + 1), ends.1 % (model.len() + 2));
        prop_assert!(tree.range(from..to).eq(model.iter().take(to).skip(from).copied()));
        let mut both = tree.range(from..to);
        while let (Some(_), Some(_)) = (both.next(), both.next_back()) {}
        prop_assert_eq!(both.len(), 0);
        for rank in (0..=model.len()).step_by(97) {
            prop_assert_eq!(tree.by_rank(rank), model.get(rank).copied());
        }
        let bound = f64::from(bound);
        prop_assert_eq!(tree.partition_point(|item| item.score < bound), model.partition_point(|item| item.score < bound));
        prop_assert_eq!(tree.partition_point(|item| item.score <= bound), model.partition_point(|item| item.score <= bound));
    }

    #[test]
    fn many_removals_in_any_order(n in 1usize..9_000, seed in any::<u64>()) {
        let mut tree = BpTree::new();
        random_order(n).into_iter().for_each(|number| tree.insert(item((number / 7) as f64, number), compare));
        let mut model: Vec<_> = tree.iter().collect();
        check(&tree);
        let mut state = seed;
        while !model.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 33) as usize % model.len();
            let count = (state >> 20) as usize % 150;
            let end = (at + count).min(model.len());
            tree.delete_range(at..end, |_| {});
            model.drain(at..end);
            if (state >> 10).is_multiple_of(4) {
                check(&tree);
                prop_assert!(tree.iter().eq(model.iter().copied()));
            }
        }
        check(&tree);
    }
}
