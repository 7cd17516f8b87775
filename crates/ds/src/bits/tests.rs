use super::*;
use crate::wide::{self, Vectors};
use proptest::prelude::*;

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: if cfg!(miri) { 4 } else { count }, failure_persistence: None, ..ProptestConfig::default() }
}

fn bit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

/// The operation on one bit, as its description says.
fn expected(operation: Operation, bits: &[bool]) -> bool {
    let set = bits.iter().filter(|&&bit| bit).count();
    let others = bits[1..].iter().any(|&bit| bit);
    match operation {
        Operation::And => set == bits.len(),
        Operation::Or => set > 0,
        Operation::Xor => set % 2 == 1,
        Operation::Not => !bits[0],
        Operation::Diff => bits[0] && !others,
        Operation::Diff1 => !bits[0] && others,
        Operation::AndOr => bits[0] && others,
        Operation::One => set == 1,
    }
}

const OPERATIONS: [Operation; 8] = [
    Operation::And,
    Operation::Or,
    Operation::Xor,
    Operation::Not,
    Operation::Diff,
    Operation::Diff1,
    Operation::AndOr,
    Operation::One,
];

/// Long enough for several blocks now and then, and full of runs.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let run = (prop_oneof![Just(0u8), Just(255), any::<u8>()], prop_oneof![1usize..20, 100usize..300, 8000usize..8400]);
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..600),
        proptest::collection::vec(run, 0..5)
            .prop_map(|runs| { runs.into_iter().flat_map(|(byte, len)| std::iter::repeat_n(byte, len)).collect() }),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn counts_and_positions_agree_with_single_bits(bytes in string(), from in 0usize..20) {
        let bytes = &bytes[from.min(bytes.len())..];
        let bits = || (0..bytes.len() * 8).map(|at| bit(bytes, at));
        prop_assert_eq!(count(bytes), bits().filter(|&bit| bit).count() as u64);
        for is_set in [false, true] {
            prop_assert_eq!(position(bytes, is_set), bits().position(|bit| bit == is_set).map(|at| at as u64));
        }
        prop_assert_eq!(count_body(bytes), count(bytes));
    }

    #[test]
    fn combining_agrees_with_single_bits(sources in proptest::collection::vec(string(), 1..6)) {
        let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        for operation in OPERATIONS {
            let needs = match operation {
                Operation::Not => sources.len() == 1,
                Operation::Diff | Operation::Diff1 | Operation::AndOr => sources.len() > 1,
                _ => true,
            };
            if !needs {
                continue;
            }
            let result = combine(operation, &sources);
            prop_assert_eq!(result.len(), sources.iter().map(|source| source.len()).max().unwrap());
            for at in 0..result.len() * 8 {
                let bits: Vec<bool> = sources.iter().map(|source| bit(source, at)).collect();
                prop_assert_eq!(bit(&result, at), expected(operation, &bits), "{:?} at {}", operation, at);
            }
        }
    }
}

#[test]
fn nothing_is_an_empty_string() {
    assert_eq!((count(b""), position(b"", true), position(b"", false)), (0, None, None));
    assert!(combine(Operation::Or, &[b"", b""]).is_empty());
}

/// Without wider vectors the results are the same: the portable code is not left to other machines to test.
#[test]
fn the_portable_code_agrees() {
    let sources: Vec<Vec<u8>> = (1..4u8).map(|seed| (0..20_000).map(|i| (i % 251) as u8 ^ seed).collect()).collect();
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    for operation in OPERATIONS.into_iter().filter(|&operation| operation != Operation::Not) {
        let mut portable = Vec::new();
        while portable.len() < 20_000 {
            let start = portable.len();
            combine::append_block_body(operation, &sources, start, 20_000.min(start + combine::BLOCK), &mut portable);
        }
        assert!(combine(operation, &sources) == portable, "{operation:?}");
    }
    assert!(wide::vectors() >= Vectors::Baseline);
}
