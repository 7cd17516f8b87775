//! Numbers as text: reading agrees with the standard library, and what is written is read back.
#![no_main]

use kinovar_command::long_double::LongDouble;
use kinovar_ds::number::{I64_TEXT_MAX, format_i64, parse_f64, parse_i64, parse_u64, push_f64, push_f64_17};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    integer: i64,
    double: f64,
    text: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let text = std::str::from_utf8(input.text).unwrap_or("?");
    let canonical = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
    assert_eq!(parse_i64(input.text), canonical);
    let canonical = text.parse::<u64>().ok().filter(|value| value.to_string() == text);
    assert_eq!(parse_u64(input.text), canonical);
    assert_eq!(parse_i64(format_i64(input.integer, &mut [0; I64_TEXT_MAX])), Some(input.integer));

    let parsed = parse_f64(input.text);
    assert!(parsed.is_none_or(|value| !value.is_nan()));
    for value in [Some(input.double), parsed].into_iter().flatten() {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        push_f64(&mut short, value);
        push_f64_17(&mut long, value);
        if !value.is_nan() {
            assert_eq!(parse_f64(&short), Some(value), "{}", short.escape_ascii());
            assert_eq!(parse_f64(&long), Some(value), "{}", long.escape_ascii());
        }
    }
    // A sum is finite, and only a sum is ever shown.
    let finite = LongDouble::parse(input.text).and_then(|number| number.checked_add(LongDouble::ZERO));
    let Some(number) = finite else { return };
    let sums = [Some(number), number.checked_add(LongDouble::from_i64(input.integer)), number.checked_add(number)];
    for sum in sums.into_iter().flatten() {
        let mut shown = Vec::new();
        sum.push_text(&mut shown);
        assert!(LongDouble::parse(&shown).is_some(), "{}", shown.escape_ascii());
    }
});
