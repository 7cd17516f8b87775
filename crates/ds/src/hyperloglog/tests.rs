use super::*;
use proptest::prelude::*;

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: if cfg!(miri) { 2 } else { count }, failure_persistence: None, ..ProptestConfig::default() }
}

fn registers_of(bytes: &[u8]) -> Box<Registers> {
    let mut registers = Box::new([0; REGISTERS]);
    merge(&mut registers, bytes).expect("valid");
    registers
}

/// Raised one after the other, by the definition.
fn model(hits: &[Hit]) -> Box<Registers> {
    let mut registers = Box::new([0; REGISTERS]);
    hits.iter().for_each(|hit| registers[hit.index] = hit.value.max(registers[hit.index]));
    registers
}

/// Few registers beside each other, so that runs meet; or anywhere.
fn hit(value_max: u8) -> impl Strategy<Value = Hit> {
    let index = prop_oneof![0usize..12, 16_370..REGISTERS, 100usize..300, 0..REGISTERS];
    let value = prop_oneof![1u8..4, 1..=value_max];
    (index, value).prop_map(|(index, value)| Hit { index, value })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn registers_are_those_of_the_model(hits in proptest::collection::vec(hit(51), 0..400), limit in 0usize..700) {
        let mut bytes = EMPTY.to_vec();
        for (step, &hit) in hits.iter().enumerate() {
            let before = bytes.clone();
            let expected = model(&hits[..step])[hit.index] < hit.value;
            prop_assert_eq!(would_raise(&bytes, hit), Ok(expected));
            prop_assert_eq!(raise(&mut bytes, hit, limit), Ok(expected));
            prop_assert!(expected || bytes == before, "nothing was raised");
            prop_assert!(is_hyperloglog(&bytes));
            prop_assert!(is_dense(&bytes) || bytes.len() <= limit.max(EMPTY.len()));
        }
        prop_assert_eq!(&registers_of(&bytes), &model(&hits));
        let sparse = estimate(&bytes);
        let mut dense = bytes.clone();
        prop_assert_eq!(make_dense(&mut dense), Ok(!is_dense(&bytes)));
        prop_assert_eq!(&registers_of(&dense), &model(&hits));
        prop_assert_eq!(estimate(&dense), sparse);
        prop_assert_eq!(estimate_of(&model(&hits)), sparse.unwrap());
        for index in [0, 1, 2, 3, 4, 16_383] {
            prop_assert_eq!(dense::get(&dense[HEADER..], index), model(&hits)[index]);
        }
    }

    #[test]
    fn merged_registers_are_the_larger_ones(
        a in proptest::collection::vec(hit(32), 0..200),
        b in proptest::collection::vec(hit(51), 0..200),
        dense in any::<bool>(),
    ) {
        let make = |hits: &[Hit]| {
            let mut bytes = EMPTY.to_vec();
            hits.iter().for_each(|&hit| { raise(&mut bytes, hit, 3000).unwrap(); });
            bytes
        };
        let (mut target, source) = (make(&a), make(&b));
        if dense {
            make_dense(&mut target).unwrap();
        }
        let both = model(&[a, b].concat());
        let mut registers = registers_of(&target);
        merge(&mut registers, &source).unwrap();
        prop_assert_eq!(&registers, &both);
        raise_all(&mut target, &registers, 3000).unwrap();
        prop_assert_eq!(&registers_of(&target), &both);
        if is_dense(&target) {
            let raised = target.clone();
            replace_dense(&mut target, &both);
            prop_assert!(target == raised);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_work(
        mut tail in proptest::collection::vec(any::<u8>(), 0..200),
        hits in proptest::collection::vec(hit(51), 1..20),
        zeros in any::<bool>(),
    ) {
        if zeros {
            // Enough zeros behind it that most registers are there.
            tail.extend(sparse::long_zeros(REGISTERS - 100));
        }
        let mut bytes = [&EMPTY[..HEADER], &tail].concat();
        prop_assert!(is_hyperloglog(&bytes));
        let (mut runs, mut all) = (0, 0);
        each_run(&bytes, |run| { runs += run.size; all += run.len; });
        prop_assert!(runs == tail.len() || runs == tail.len() + 1);
        prop_assert_eq!(estimate(&bytes).is_ok(), all == REGISTERS);
        for hit in hits {
            let would = would_raise(&bytes, hit);
            let before = bytes.clone();
            match raise(&mut bytes, hit, 3000) {
                Err(Invalid) => prop_assert!(bytes == before, "what is invalid stays as it is"),
                Ok(raised) => prop_assert_eq!(would, Ok(raised)),
            }
        }
        _ = make_dense(&mut bytes.clone());
    }

    #[test]
    fn runs_are_found_as_one_by_one(
        runs in proptest::collection::vec(
            prop_oneof![0u8..4, 0x40u8..0x44, 0x80u8..0xff, any::<u8>()], 0..300),
        index in 0usize..3000,
    ) {
        let bytes = [&EMPTY[..HEADER], &runs].concat();
        let (mut start, mut expected) = (0, Err(Invalid));
        each_run(&bytes, |run| {
            if (start..start + run.len).contains(&index) {
                expected = Ok(run.value);
            }
            start += run.len;
        });
        for value in [1, 2, 3, 17, 32] {
            prop_assert_eq!(would_raise(&bytes, Hit { index, value }), expected.map(|found| found < value));
        }
    }

    #[test]
    fn vectors_change_nothing(packed in proptest::collection::vec(any::<u8>(), DENSE_REGISTERS), ones in 0usize..DENSE_REGISTERS) {
        let mut packed: dense::Packed = packed.try_into().unwrap();
        packed[..ones].fill(0x41);
        let run = |on| {
            use_vectors(on);
            let mut registers = [0; REGISTERS];
            dense::unpack(&packed, &mut registers);
            let mut again = [0; DENSE_REGISTERS];
            dense::pack(&registers, &mut again);
            let mut merged = [7; REGISTERS];
            dense::merge(&mut merged, &packed);
            use_vectors(true);
            (registers, again, merged, dense::histogram(&registers))
        };
        let (wide, plain) = (run(true), run(false));
        prop_assert!(wide == plain);
        let (registers, again, merged, histogram) = wide;
        prop_assert!(again == packed);
        for index in 0..REGISTERS {
            prop_assert_eq!(registers[index], dense::get(&packed, index));
            prop_assert_eq!(merged[index], registers[index].max(7));
        }
        for (value, &count) in histogram.iter().enumerate() {
            prop_assert_eq!(count as usize, registers.iter().filter(|&&register| usize::from(register) == value).count());
        }
    }
}

#[test]
fn hashes_are_those_of_the_published_function() {
    // Recorded from the reference: `PFADD h ELEMENT`, then `PFDEBUG DECODE h`.
    for (element, index, value) in RECORDED {
        assert_eq!(Hit::of(element.as_bytes()), Hit { index: *index, value: *value }, "{element:?}");
    }
}

const RECORDED: &[(&str, usize, u8)] = &[
    ("", 5938, 2),
    ("a", 12711, 2),
    ("ab", 719, 1),
    ("abc", 9474, 1),
    ("abcd", 11070, 8),
    ("abcde", 3726, 4),
    ("abcdef", 13647, 2),
    ("abcdefg", 5634, 2),
    ("abcdefgh", 1383, 1),
    ("abcdefghi", 6903, 1),
    ("foo", 7348, 5),
    ("bar", 10007, 1),
    ("element:12345", 7446, 1),
    ("The quick brown fox jumps over the lazy dog", 6862, 4),
    ("äöü", 6042, 1),
];

#[test]
fn estimates_are_those_of_the_reference() {
    for (value, expected) in [(0, 0), (1, 23_637), (51, 1 << 63), (52, 1 << 63), (63, 1 << 63)] {
        assert_eq!(estimate_of(&[value; REGISTERS]), expected, "all {value}");
    }
}

#[test]
fn estimates_are_near_the_truth() {
    let mut bytes = EMPTY.to_vec();
    let mut added = 0u64;
    for goal in [1, 10, 100, 1000, 10_000, if cfg!(miri) { 10_000 } else { 300_000 }] {
        for n in added..goal {
            raise(&mut bytes, Hit::of(&n.to_le_bytes()), 3000).unwrap();
        }
        added = added.max(goal);
        let error = estimate(&bytes).unwrap().abs_diff(goal);
        assert!(error * 1000 <= goal * 25, "{goal}: off by {error}");
    }
    assert!(is_dense(&bytes));
}

#[test]
fn what_is_no_hyperloglog_is_told_apart() {
    assert!(is_hyperloglog(&EMPTY));
    let mut dense = EMPTY.to_vec();
    make_dense(&mut dense).unwrap();
    assert!(is_hyperloglog(&dense));
    dense.push(0);
    assert!(!is_hyperloglog(&dense), "too long");
    for wrong in [
        &b""[..],
        b"HYLL",
        b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0",
        b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0",
        b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert!(!is_hyperloglog(wrong), "{wrong:?}");
    }
}

#[test]
fn the_estimate_is_kept_until_it_is_out_of_date() {
    let mut bytes = EMPTY.to_vec();
    assert_eq!(cached_estimate(&bytes), None);
    cache_estimate(&mut bytes, 0x0102_0304);
    assert_eq!(&bytes[8..16], &[4, 3, 2, 1, 0, 0, 0, 0]);
    assert_eq!(cached_estimate(&bytes), Some(0x0102_0304));
    outdate(&mut bytes);
    assert_eq!(cached_estimate(&bytes), None);
    cache_estimate(&mut bytes, 1 << 63);
    assert_eq!(cached_estimate(&bytes), None);
}
