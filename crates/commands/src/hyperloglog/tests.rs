use crate::testing::{Fixture, check};
use proptest::prelude::*;

#[test]
fn elements_are_added_and_counted() {
    check(&[
        ("PFADD h", ":1"),
        ("PFADD h", ":0"),
        ("STRLEN h", ":18"),
        ("OBJECT ENCODING h", "$3 raw"),
        ("PFADD h a b c", ":1"),
        ("PFADD h a", ":0"),
        ("PFDEBUG DECODE h", "$44 Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"),
        ("PFCOUNT h", ":3"),
        ("PFADD g c d", ":1"),
        ("PFCOUNT h g nosuch", ":4"),
        ("PFCOUNT nosuch", ":0"),
        ("PFMERGE m h g", "+OK"),
        ("PFCOUNT m", ":4"),
        ("PFDEBUG ENCODING m", "+sparse"),
        ("PFDEBUG TODENSE m", ":1"),
        ("PFDEBUG TODENSE m", ":0"),
        ("PFCOUNT m", ":4"),
        ("PFMERGE h m", "+OK"),
        ("PFDEBUG ENCODING h", "+dense"),
        ("PFDEBUG DECODE h", "-ERR HLL encoding is not sparse"),
        ("PFDEBUG FOO h", "-ERR Unknown PFDEBUG subcommand 'FOO'"),
        ("PFDEBUG FOO nosuch", "-ERR The specified key does not exist"),
        ("PFDEBUG SIMD x", "-ERR Argument must be ON or OFF"),
        ("PFDEBUG SIMD off", "+disabled"),
        ("PFDEBUG SIMD on", "+enabled"),
        ("PFSELFTEST", "+OK"),
    ]);
}

#[test]
fn other_values_are_refused() {
    const OTHER_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const OTHER_STRING: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
    check(&[
        ("SET s foo", "+OK"),
        ("SET n 12", "+OK"),
        ("RPUSH l a", ":1"),
        ("PFADD h a", ":1"),
        ("PFADD l a", OTHER_TYPE),
        ("PFADD s a", OTHER_STRING),
        ("PFADD n a", OTHER_STRING),
        ("PFCOUNT s", OTHER_STRING),
        ("PFCOUNT h l", OTHER_TYPE),
        ("PFMERGE h s l", OTHER_STRING),
        ("PFMERGE s h", OTHER_STRING),
        ("PFDEBUG ENCODING l", OTHER_TYPE),
        ("GET s", "$3 foo"),
    ]);
}

#[test]
fn counting_is_a_change_if_the_estimate_is_new() {
    let mut fixture = Fixture::new();
    let mut told = |line: &str| fixture.told(line);
    let event = |text: &str, count| (text.to_string(), count);
    assert_eq!(told("PFADD h a b c"), event("h=pfadd", 4));
    assert_eq!(told("PFCOUNT h"), event("", 1));
    assert_eq!(told("PFCOUNT h"), event("", 0));
    assert_eq!(told("PFCOUNT h h"), event("", 0));
    assert_eq!(told("PFADD h a b c"), event("", 0));
    assert_eq!(told("PFADD h d"), event("h=pfadd", 1));
    assert_eq!(told("PFMERGE m h"), event("m=pfadd", 1));
    assert_eq!(told("PFDEBUG TODENSE m"), event("", 1));
    assert_eq!(told("PFDEBUG GETREG m"), event("", 0));
}

#[test]
fn the_limit_of_sparse_ones_is_a_setting() {
    let mut fixture = Fixture::new();
    fixture.settings.hll_sparse_max_bytes = 20;
    fixture.check(&[
        ("PFADD h", ":1"),
        ("PFDEBUG ENCODING h", "+sparse"),
        ("PFADD h a", ":1"),
        ("PFDEBUG ENCODING h", "+dense"),
        ("STRLEN h", ":12304"),
        ("PFCOUNT h", ":1"),
    ]);
}

/// A word in quotes, byte by byte.
fn quoted(bytes: &[u8]) -> String {
    bytes.iter().fold("\"".to_string(), |text, byte| format!("{text}\\x{byte:02x}")) + "\""
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a string holds, every command has an answer, and changes nothing if that is an error.
    #[test]
    fn any_bytes_have_an_answer(
        header in prop_oneof![
            6 => Just(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80".to_vec()),
            1 => Just(b"HYLL\x01\0\0\0\x05\0\0\0\0\0\0\0".to_vec()),
            1 => Just(b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80".to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..17),
        ],
        runs in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            proptest::collection::vec(0x7cu8..0x84, 0..60),
        ],
        long in prop_oneof![4 => Just(0usize), 1 => Just(12_288usize), 1 => 1000usize..13_000],
        commands in proptest::collection::vec(0usize..9, 1..12),
        fits in any::<bool>(),
    ) {
        let mut bytes = [header, runs].concat();
        if long > 0 {
            bytes.resize(16 + long, 0x5a);
        } else if fits {
            bytes.extend(b"\x7f\x00\x3f\x3f\x3f");
        }
        let mut fixture = Fixture::new();
        prop_assert_eq!(fixture.run(&format!("SET h {}", quoted(&bytes))), "+OK");
        fixture.run("PFADD good a b c");
        for command in commands {
            let line = [
                "PFADD h a b c d e f g h i j k l m n o p q r s t u v w x y z",
                "PFADD h",
                "PFCOUNT h",
                "PFCOUNT good h",
                "PFMERGE h good",
                "PFMERGE good h",
                "PFDEBUG DECODE h",
                "PFDEBUG TODENSE h",
                "PFDEBUG GETREG h",
            ][command];
            let before = fixture.run("GET h");
            let reply = fixture.run(line);
            let is_error = reply.starts_with('-');
            prop_assert!(
                !is_error || reply.contains("WRONGTYPE Key") || reply.contains("INVALIDOBJ") || reply.contains("not sparse"),
                "{}", reply
            );
            // Elements in front of the one that finds the value corrupted are added.
            prop_assert!(!is_error || command == 0 || fixture.run("GET h") == before, "{} changed the value", line);
        }
    }

    /// Sparse or dense, in one step or in many, with or without merging: the same estimate.
    #[test]
    fn the_way_does_not_matter(elements in proptest::collection::vec(0u32..4000, 1..300), limit in 18usize..400) {
        let mut fixture = Fixture::new();
        fixture.settings.hll_sparse_max_bytes = limit;
        let words = elements.iter().map(|element| format!(" {element}")).collect::<String>();
        fixture.run(&format!("PFADD once{words}"));
        for (index, element) in elements.iter().enumerate() {
            fixture.run(&format!("PFADD each {element}"));
            fixture.run(&format!("PFADD part{} {element}", index % 3));
        }
        prop_assert_eq!(fixture.run("GET once"), fixture.run("GET each"));
        fixture.run("PFMERGE merged part0 part1 part2");
        let counts: Vec<String> = ["once", "each", "merged", "part0 part1 part2"]
            .iter()
            .map(|keys| fixture.run(&format!("PFCOUNT {keys}")))
            .collect();
        prop_assert!(counts.iter().all(|count| *count == counts[0]), "{:?}", counts);
    }
}
