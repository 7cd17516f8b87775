use crate::testing::{Fixture, check};
use proptest::prelude::*;

#[test]
fn bits() {
    check(&[
        ("SETBIT a 7 1", ":0"),
        ("SETBIT a 7 1", ":1"),
        ("SETBIT a 100 0", ":0"),
        ("STRLEN a", ":13"),
        ("GETBIT a 7", ":1"),
        ("GETBIT a 4294967295", ":0"),
        ("GETBIT nosuch 0", ":0"),
        ("SETBIT a 4294967296 1", "-ERR bit offset is not an integer or out of range"),
        ("SETBIT a -1 1", "-ERR bit offset is not an integer or out of range"),
        ("SETBIT a x 2", "-ERR bit offset is not an integer or out of range"),
        ("SETBIT a 0 2", "-ERR bit is not an integer or out of range"),
        ("RPUSH l a", ":1"),
        ("SETBIT l 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SETBIT l 0 2", "-ERR bit is not an integer or out of range"),
    ]);
}

#[test]
fn what_is_kept_as_a_number_becomes_bytes() {
    check(&[
        ("SET n 7", "+OK"),
        ("GETBIT n 2", ":1"),
        ("OBJECT ENCODING n", "$3 int"),
        ("SETBIT n 2 1", ":1"),
        ("OBJECT ENCODING n", "$3 raw"),
        ("SETBIT n 15 1", ":0"),
        ("GET n", "$2 7\u{1}"),
        ("SET m 65", "+OK"),
        ("BITFIELD m INCRBY u8 8 1", "*1 :54"),
        ("GET m", "$2 66"),
    ]);
}

#[test]
fn only_what_changes_something_is_told() {
    let mut fixture = Fixture::new();
    let mut told = |line: &str| fixture.told(line);
    let event = |text: &str, count| (text.to_string(), count);
    assert_eq!(told("SETBIT a 100 0"), event("a=setbit", 1));
    assert_eq!(told("SETBIT a 100 0"), event("", 0));
    assert_eq!(told("BITFIELD a SET u8 0 5 SET u8 8 3 SET u8 8 3"), event("a=setbit", 2));
    assert_eq!(told("BITFIELD new SET u8 0 0 SET u8 8 0"), event("new=setbit", 2));
    assert_eq!(told("BITFIELD fails OVERFLOW FAIL INCRBY u2 100 5"), event("", 0));
    assert_eq!(told("BITFIELD a GET u8 0"), event("", 0));
    assert_eq!(told("BITOP NOT d a"), event("d=set", 1));
    assert_eq!(told("BITOP NOT d nosuch"), event("d=del", 1));
    assert_eq!(told("BITOP NOT d nosuch"), event("", 0));
}

#[test]
fn effects_that_are_run_again_may_exceed_the_limit() {
    let mut fixture = Fixture::new();
    fixture.settings.proto_max_bulk_len = 100;
    fixture.check(&[("SETBIT a 800 1", "-ERR bit offset is not an integer or out of range"), ("SETBIT a 799 1", ":0")]);
    fixture.replays = true;
    fixture.check(&[("SETBIT a 800 1", ":0"), ("STRLEN a", ":101")]);
    assert!(fixture.run("SETBIT a 34359738360 1").starts_with("-ERR bit offset"), "beyond what files can hold");
}

/// A string as a list of bits, to which everything is done bit by bit.
#[derive(Clone, Default)]
struct Model(Vec<bool>);

impl Model {
    fn get(&self, at: usize) -> bool {
        self.0.get(at).copied().unwrap_or(false)
    }

    fn grow(&mut self, bits: usize) {
        let len = self.0.len().max(bits.next_multiple_of(8));
        self.0.resize(len, false);
    }

    fn field(&self, offset: usize, bits: usize, signed: bool) -> i128 {
        let value = (offset..offset + bits).fold(0, |value, at| value << 1 | i128::from(self.get(at)));
        if signed && self.get(offset) { value - (1 << bits) } else { value }
    }

    fn set_field(&mut self, offset: usize, bits: usize, value: i128) {
        for (at, bit) in (offset..offset + bits).zip((0..bits).rev()) {
            self.0[at] = value >> bit & 1 == 1;
        }
    }

    /// The bits of a range as BITCOUNT and BITPOS take it.
    fn range(&self, start: i64, end: i64, unit: usize) -> std::ops::Range<usize> {
        let len = (self.0.len() / unit) as i64;
        let index = |at: i64| if at < 0 { (at + len).max(0) } else { at };
        let (start, end) = (index(start), index(end).min(len - 1));
        if start > end { 0..0 } else { start as usize * unit..(end as usize + 1) * unit }
    }
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![-300i64..300, Just(i64::MAX), Just(i64::MIN), any::<i64>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fields_agree_with_single_bits(
        operations in proptest::collection::vec(
            (0usize..3, any::<bool>(), 1usize..65, 0usize..8300, int(), 0usize..3), 1..30),
    ) {
        let (mut fixture, mut model) = (Fixture::new(), Model::default());
        for (action, signed, bits, offset, operand, overflow) in operations {
            let bits = if signed { bits } else { bits.min(63) };
            let (min, max) = if signed { (-1i128 << (bits - 1), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
            let old = model.field(offset, bits, signed);
            let sign = if signed { 'i' } else { 'u' };
            let word = ["WRAP", "SAT", "FAIL"][overflow];
            let (line, sum) = match action {
                0 => (format!("GET {sign}{bits} {offset}"), old),
                1 => {
                    let value = if signed { i128::from(operand) } else { i128::from(operand as u64) };
                    (format!("OVERFLOW {word} SET {sign}{bits} {offset} {operand}"), value)
                }
                _ => (format!("OVERFLOW {word} INCRBY {sign}{bits} {offset} {operand}"), old + i128::from(operand)),
            };
            // A rule of the reference's: a difference beyond 63 bits counts as one upwards.
            let is_above = sum > max || (action == 1 && sum < min && max - sum > i128::from(i64::MAX));
            let new = match word {
                _ if !is_above && sum >= min => Some(sum),
                "WRAP" => {
                    let low = sum.rem_euclid(1 << bits);
                    Some(if low > max { low - (1 << bits) } else { low })
                }
                "SAT" => Some(if is_above { max } else { min }),
                _ => None,
            };
            if action > 0 {
                model.grow(offset + bits);
            }
            let expected = match (action, new) {
                (0, _) => format!("*1 :{old}"),
                (_, None) => "*1 $-1".to_string(),
                (_, Some(new)) => {
                    model.set_field(offset, bits, new);
                    format!("*1 :{}", if action == 1 { old } else { new })
                }
            };
            prop_assert_eq!(fixture.run(&format!("BITFIELD f {line}")), expected, "{}", line);
            prop_assert_eq!(fixture.run("STRLEN f"), format!(":{}", model.0.len() / 8));
        }
        prop_assert_eq!(fixture.run("BITCOUNT f"), format!(":{}", model.0.iter().filter(|&&bit| bit).count()));
    }

    #[test]
    fn ranges_agree_with_single_bits(
        runs in proptest::collection::vec((any::<bool>(), 1usize..90), 0..30),
        ranges in proptest::collection::vec((-1100i64..1100, -1100i64..1100, any::<bool>()), 1..20),
    ) {
        let (mut fixture, mut model) = (Fixture::new(), Model::default());
        fixture.run("SET f \"\"");
        for (bit, len) in runs {
            for _ in 0..len {
                model.0.push(bit);
                fixture.run(&format!("SETBIT f {} {}", model.0.len() - 1, u8::from(bit)));
            }
        }
        let bits = model.0.len();
        model.grow(bits);
        for (start, end, by_bit) in ranges {
            let unit = if by_bit { "BIT" } else { "BYTE" };
            let range = model.range(start, end, if by_bit { 1 } else { 8 });
            // Another rule of the reference's, of BITCOUNT alone.
            let counted = if start < 0 && end < 0 && start > end { 0..0 } else { range.clone() };
            let count = model.0[counted].iter().filter(|&&bit| bit).count();
            prop_assert_eq!(fixture.run(&format!("BITCOUNT f {start} {end} {unit}")), format!(":{count}"));
            for wanted in [false, true] {
                let at = range.clone().find(|&at| model.0[at] == wanted).map_or(-1, |at| at as i64);
                let line = format!("BITPOS f {} {start} {end} {unit}", u8::from(wanted));
                prop_assert_eq!(fixture.run(&line), format!(":{at}"), "{}", line);
                let tail = model.range(start, -1, 8);
                let after = if !wanted && !tail.is_empty() { model.0.len() as i64 } else { -1 };
                let at = tail.clone().find(|&at| model.0[at] == wanted).map_or(after, |at| at as i64);
                let line = format!("BITPOS f {} {start}", u8::from(wanted));
                prop_assert_eq!(fixture.run(&line), format!(":{at}"), "{}", line);
            }
        }
    }
}
