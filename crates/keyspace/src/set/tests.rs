//! Tests of the module above.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Shows every member to the function it is given.
type Visitor<'a> = dyn FnMut(&mut dyn FnMut(&[u8])) + 'a;

fn settings() -> Settings {
    Settings { set_max_intset_entries: 12, set_max_listpack_entries: 8, ..Settings::default() }
}

fn of<'a>(members: impl IntoIterator<Item = &'a str>, settings: &Settings) -> Set {
    let mut set = Set::default();
    for member in members {
        set.add(member.as_bytes(), settings);
    }
    set
}

fn texts(set: &Set) -> BTreeSet<String> {
    set.iter().map(|member| String::from_utf8(member.bytes(&mut [0; 24]).to_vec()).unwrap()).collect()
}

fn ints(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n}")).collect()
}

fn strs(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(String::as_str)
}

/// Compared with OBJECT ENCODING of Redis 8.2.3.
#[test]
fn encodings_follow_the_thresholds() {
    let settings = Settings::default();
    let encoding = |texts: &[String], more: &[&str]| of(strs(texts).chain(more.iter().copied()), &settings).encoding();
    let long = "x".repeat(65);
    assert_eq!(encoding(&ints(512), &[]), "intset");
    assert_eq!(encoding(&ints(513), &[]), "hashtable");
    assert_eq!(encoding(&ints(127), &["a"]), "listpack");
    assert_eq!(encoding(&ints(127), &["a", "b"]), "hashtable");
    assert_eq!(encoding(&ints(128), &["a"]), "hashtable");
    assert_eq!(encoding(&ints(1), &[&long]), "hashtable");
    assert_eq!(encoding(&ints(1), &[&long[1..]]), "listpack");

    let begun = |first: &str, count| Set::for_members(first.as_bytes(), count, &settings).encoding();
    assert_eq!(begun("1", 512), "intset");
    assert_eq!(begun("1", 513), "hashtable");
    assert_eq!(begun("01", 128), "listpack");
    assert_eq!(begun("a", 129), "hashtable");

    let mut set = of(["1"], &settings);
    set.expect_members(512, &settings);
    assert_eq!(set.encoding(), "intset");
    set.expect_members(513, &settings);
    assert_eq!((set.encoding(), set.len()), ("hashtable", 1));
}

/// Compared with OBJECT ENCODING of Redis 8.2.3 after the STORE commands.
#[test]
fn results_are_encoded_anew() {
    let settings = Settings::default();
    let table_of_ints = {
        let mut set = of(strs(&ints(300)).chain(["x"]), &settings);
        set.remove(b"x");
        set
    };
    assert_eq!(table_of_ints.encoding(), "hashtable");
    assert_eq!(union(&[&table_of_ints], &settings).encoding(), "intset");
    assert_eq!(intersection(&[&table_of_ints], &settings).encoding(), "intset");
    assert_eq!(difference(&table_of_ints, &[], &settings).encoding(), "intset");
    let (a, b) = (of(["1", "2", "a"], &settings), of(["1", "2", "b"], &settings));
    assert_eq!(intersection(&[&a, &b], &settings).encoding(), "intset");
    assert_eq!(difference(&a, &[&table_of_ints], &settings).encoding(), "listpack");

    // Subtracting three sets from 150 members costs less by set than by member, and then all 150 have been in the result.
    let all = of(strs(&names(150)), &settings);
    let most = of(strs(&names(150)[50..]), &settings);
    let [m1, m2, m3] = ["m1", "m2", "m3"].map(|name| of([name], &settings));
    assert_eq!(difference(&all, &[&most, &m1], &settings).encoding(), "listpack");
    let result = difference(&all, &[&most, &m1, &m2, &m3], &settings);
    assert_eq!((result.encoding(), result.len()), ("hashtable", 47));
}

#[test]
fn popping_most_of_a_table_encodes_the_rest_anew() {
    let settings = Settings::default();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut pop = |count| {
        let mut set = of(strs(&names(200)), &settings);
        let mut popped = 0;
        let old = set.pop_many(count, &mut rng, &settings, &mut |_| popped += 1);
        assert_eq!((popped, set.len()), (count, 200 - count));
        (set.encoding(), old.is_some())
    };
    assert_eq!(pop(160), ("hashtable", false));
    assert_eq!(pop(166), ("hashtable", false));
    assert_eq!(pop(167), ("listpack", true));
}

/// How often each of ten members is chosen in 10,000 rounds stays near its expectation.
#[test]
fn choices_are_even() {
    let settings = Settings::default();
    let table = Settings { set_max_intset_entries: 0, set_max_listpack_entries: 0, ..Settings::default() };
    for (texts, settings) in [(ints(10), &settings), (names(10), &settings), (names(10), &table)] {
        let set = of(strs(&texts), settings);
        let mut rng = fastrand::Rng::with_seed(3);
        for (count, expected) in [(1, 1000), (3, 3000), (7, 7000)] {
            let mut sampled = vec![0; 10];
            let mut popped = vec![0; 10];
            let note = |tally: &mut Vec<i32>, member: Member<'_>| {
                let text = member.bytes(&mut [0; 24]).to_vec();
                tally[texts.iter().position(|name| name.as_bytes() == text).unwrap()] += 1;
            };
            for _ in 0..10_000 {
                set.sample(count, &mut rng, &mut |member| note(&mut sampled, member));
                set.deep_copy().pop_many(count, &mut rng, settings, &mut |member| note(&mut popped, member));
            }
            for tally in sampled.iter().chain(&popped) {
                // Five standard deviations are at most 230.
                assert!((tally - expected).abs() < 240, "{} {count}: {sampled:?} {popped:?}", set.encoding());
            }
        }
    }
}

#[test]
fn memory_covers_the_members() {
    let settings = Settings::default();
    let short = of(strs(&names(1000)), &settings);
    let long: Vec<String> = names(1000).into_iter().map(|name| name.repeat(20)).collect();
    let long = of(strs(&long), &settings);
    assert!(short.memory_bytes(0) >= 8000);
    assert!(long.memory_bytes(0) > short.memory_bytes(0) + 60_000);
    let (sampled, exact) = (long.memory_bytes(5), long.memory_bytes(0));
    assert!(sampled.abs_diff(exact) < exact / 4, "{sampled} {exact}");
    assert_eq!((short.free_effort(), of(["1"], &settings).free_effort()), (1000, 1));
}

#[derive(Clone, Debug)]
enum Op {
    Add(String),
    Remove(String),
    Pop,
    PopMany(usize),
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..30i32).prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => (0..20u8).prop_map(|n| format!("m{n}")),
        1 => (0..3usize).prop_map(|n| "long".repeat(16 + n)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => member().prop_map(Op::Add),
        4 => member().prop_map(Op::Remove),
        1 => Just(Op::Pop),
        1 => (0..40usize).prop_map(Op::PopMany),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn behaves_like_a_set(ops in prop::collection::vec(op(), 0..80), seed: u64) {
        let settings = settings();
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut set, mut model) = (Set::default(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Add(member) => prop_assert_eq!(set.add(member.as_bytes(), &settings), model.insert(member)),
                Op::Remove(member) => prop_assert_eq!(set.remove(member.as_bytes()), model.remove(&member)),
                Op::Pop => {
                    let mut shown = None;
                    set.pop(&mut rng, |member| shown = Some(member.bytes(&mut [0; 24]).to_vec()));
                    let removed = shown.map(|member| model.remove(&String::from_utf8(member).unwrap()));
                    prop_assert_ne!(removed, Some(false));
                }
                Op::PopMany(count) => {
                    let count = count.min(model.len());
                    let mut shown = BTreeSet::new();
                    set.pop_many(count, &mut rng, &settings, &mut |member| {
                        shown.insert(String::from_utf8(member.bytes(&mut [0; 24]).to_vec()).unwrap());
                    });
                    prop_assert_eq!(shown.len(), count);
                    for member in &shown {
                        prop_assert!(model.remove(member));
                    }
                }
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(&texts(&set), &model);
            prop_assert_eq!(&texts(&set.deep_copy()), &model);
            prop_assert!(model.iter().all(|member| set.contains(member.as_bytes())));
            prop_assert!(set.encoding() != "listpack" || set.len() <= 8);
            prop_assert!(set.encoding() != "intset" || set.len() <= 12);
        }
    }

    #[test]
    fn algebra_agrees_with_the_model(
        members in prop::collection::vec(prop::collection::btree_set(member(), 0..20), 1..7)
    ) {
        let settings = settings();
        let sets: Vec<Set> = members.iter().map(|members| of(members.iter().map(String::as_str), &settings)).collect();
        let sets: Vec<&Set> = sets.iter().collect();
        let collect = |run: &mut Visitor<'_>| {
            let mut all = Vec::new();
            run(&mut |member: &[u8]| all.push(String::from_utf8(member.to_vec()).unwrap()));
            let distinct: BTreeSet<String> = all.iter().cloned().collect();
            assert_eq!(distinct.len(), all.len(), "a member is visited once");
            distinct
        };
        let model = members.iter().fold(BTreeSet::new(), |all, more| &all | more);
        prop_assert_eq!(&texts(&union(&sets, &settings)), &model);
        prop_assert_eq!(&collect(&mut |visit| union_each(&sets, &settings, visit)), &model);
        let model = members[1..].iter().fold(members[0].clone(), |all, more| &all & more);
        prop_assert_eq!(&texts(&intersection(&sets, &settings)), &model);
        let visited = collect(&mut |visit| intersect_each(&sets, |member| { visit(member); true }));
        prop_assert_eq!(&visited, &model);
        let model = members[1..].iter().fold(members[0].clone(), |all, less| &all - less);
        prop_assert_eq!(&texts(&difference(sets[0], &sets[1..], &settings)), &model);
        prop_assert_eq!(&collect(&mut |visit| difference_each(sets[0], &sets[1..], &settings, visit)), &model);
    }
}
