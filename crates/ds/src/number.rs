//! Integers and doubles as text.
//!
//! Redis accepts only *canonical* integers: no sign `+`, no leading zeros, no spaces, nothing outside `i64`. Doubles are
//! printed with the fewest digits that read back as the same value; integral values in the `i64` range print as integers.

/// Longest text of an `i64`.
pub const I64_TEXT_MAX: usize = 20;

/// Parses a canonical decimal `i64`; `None` for anything else.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [] => return None,
        [b'0'] => return if negative { None } else { Some(0) },
        [b'0', ..] => return None,
        _ => {}
    }
    if digits.len() > 19 {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits cannot overflow a u64.
        value = value * 10 + u64::from(digit);
    }
    if negative {
        // i64::MIN has no positive twin, hence the wrapping negation.
        (value <= 1 << 63).then(|| (value as i64).wrapping_neg())
    } else {
        i64::try_from(value).ok()
    }
}

/// Parses a canonical decimal `u64`; `None` for anything else.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Writes `value` in decimal at the end of `buf` and returns the text.
pub fn format_i64(value: i64, buf: &mut [u8; I64_TEXT_MAX]) -> &[u8] {
    let mut at = I64_TEXT_MAX;
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    &buf[at..]
}

/// Appends `value` in decimal.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    if (0..10).contains(&value) {
        out.push(b'0' + value as u8);
        return;
    }
    let mut buf = [0u8; I64_TEXT_MAX];
    out.extend_from_slice(format_i64(value, &mut buf));
}

/// Parses a double the way Redis reads scores and increments: decimal or exponent form, `inf`, `+inf`, `-inf`,
/// `infinity` in any case, hexadecimal (`0x1.8p3`). `None` for `nan`, for surrounding space and for anything else.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let first = *text.first()?;
    if first.is_ascii_whitespace() {
        return None;
    }
    if parses_as_hex(text) {
        return parse_hex_f64(text);
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if value.is_nan() {
        return None;
    }
    // A finite literal too large for a double is a range error, not infinity.
    if value.is_infinite() && !text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'i')) {
        return None;
    }
    Some(value)
}

/// Whether `text`, which reads as `value`, is a number other than zero that a double cannot tell from it.
pub fn is_underflow(text: &[u8], value: f64) -> bool {
    let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next().unwrap_or_default();
    value == 0.0 && !parses_as_hex(text) && mantissa.iter().any(|byte| (b'1'..=b'9').contains(byte))
}

fn parses_as_hex(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x'))
}

/// Parses a hexadecimal double as C's `strtod` does: `0x` digits, with a point and a binary exponent if it likes. `None` also for
/// what is too large or too small for a double.
fn parse_hex_f64(text: &[u8]) -> Option<f64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let rest = rest.strip_prefix(b"0x").or_else(|| rest.strip_prefix(b"0X"))?;
    let (digits, exponent) = match rest.iter().position(|byte| byte.eq_ignore_ascii_case(&b'p')) {
        Some(at) => (&rest[..at], parse_exponent(&rest[at + 1..])?),
        None => (rest, 0),
    };
    // The leading sixty bits, the lowest of which also stands for every bit behind it.
    const FULL: u64 = 1 << 56;
    let (mut value, mut scale, mut after_point, mut count) = (0u64, 0i64, false, 0usize);
    for &byte in digits {
        match char::from(byte).to_digit(16) {
            Some(digit) => {
                if value < FULL {
                    value = value << 4 | u64::from(digit);
                } else {
                    value |= u64::from(digit != 0);
                    scale += 4;
                }
                scale -= if after_point { 4 } else { 0 };
                count += 1;
            }
            None if byte == b'.' && !after_point => after_point = true,
            None => return None,
        }
    }
    if count == 0 {
        return None;
    }
    // In two steps, so that neither leaves the range before the other brings it back.
    let scale = scale.saturating_add(exponent).clamp(-4000, 4000) as i32;
    let scaled = value as f64 * 2f64.powi(scale / 2) * 2f64.powi(scale - scale / 2);
    let magnitude = if value == 0 { 0.0 } else { Some(scaled).filter(|v| v.is_finite() && *v != 0.0)? };
    Some(if negative { -magnitude } else { magnitude })
}

/// A decimal exponent with an optional sign; far away ones are cut off.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let cut = |sum: i64, byte: &u8| (sum * 10 + i64::from(byte - b'0')).min(1 << 40);
    let exponent = digits.iter().fold(0, cut);
    Some(if text[0] == b'-' { -exponent } else { exponent })
}

/// Appends a double with the fewest digits that read back the same: `3`, `0.1`, `1e-7`, `1.5e+300`, `inf`, `-inf`, `nan`.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    // Half of the i64 range, so that the cast is exact and reversible.
    const EXACT: f64 = (i64::MAX / 2) as f64;
    if value != 0.0 && value.abs() < EXACT && value == (value as i64) as f64 {
        push_i64(out, value as i64);
    } else {
        push_f64_shortest(out, value);
    }
}

/// The same, with an exponent for large integers as well: `1e+8`.
pub fn push_f64_shortest(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
        return;
    }
    if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
        return;
    }
    push_shortest(out, value);
}

/// A finite, non-zero double in fixed or exponent form, whichever the reference's printer picks.
fn push_shortest(out: &mut Vec<u8>, value: f64) {
    if value < 0.0 {
        out.push(b'-');
    }
    let mut digits = Vec::with_capacity(20);
    let trailing = crate::grisu::digits(value.abs(), &mut digits);
    let count = digits.len() as i32;
    // value = d1.d2d3… * 10^exponent = d1d2d3… * 10^trailing
    let exponent = trailing + count - 1;
    if trailing >= 0 && exponent.abs() < count + 7 {
        out.extend_from_slice(&digits);
        out.extend(std::iter::repeat_n(b'0', trailing as usize));
    } else if trailing < 0 && (trailing > -7 || exponent.abs() < 4) {
        push_fixed(out, &digits, count + trailing);
    } else {
        push_scientific(out, &digits, exponent);
    }
}

/// `digits` with the point after the first `point` of them, zeros in front where it is not positive.
fn push_fixed(out: &mut Vec<u8>, digits: &[u8], point: i32) {
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-point) as usize));
        out.extend_from_slice(digits);
    } else {
        out.extend_from_slice(&digits[..point as usize]);
        out.push(b'.');
        out.extend_from_slice(&digits[point as usize..]);
    }
}

fn push_scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    push_i64(out, i64::from(exponent.abs()));
}

/// Appends a double with seventeen significant digits, zeros at the end left out: C's `%.17g`, which a few replies use.
pub fn push_f64_17(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() || value == 0.0 {
        return push_f64(out, value);
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let scientific = format!("{:.16e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("LowerExp prints an exponent");
    let exponent: i32 = exponent.parse().expect("LowerExp prints a decimal exponent");
    let mut digits: Vec<u8> = mantissa.bytes().filter(|&byte| byte != b'.').collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    if (-4..17).contains(&exponent) {
        if exponent >= 0 && exponent as usize + 1 >= digits.len() {
            out.extend_from_slice(&digits);
            out.extend(std::iter::repeat_n(b'0', exponent as usize + 1 - digits.len()));
        } else {
            push_fixed(out, &digits, exponent + 1);
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_integers_with_and_without_an_exponent() {
        let shortest = |value| {
            let mut out = Vec::new();
            push_f64_shortest(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!((text(1e7), shortest(1e7)), ("10000000".into(), "10000000".into()));
        assert_eq!((text(-1e8), shortest(-1e8)), ("-100000000".into(), "-1e+8".into()));
        assert_eq!((text(-0.0), shortest(0.0)), ("-0".into(), "0".into()));
    }

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_canonical() {
        for (input, expected) in [
            ("0", Some(0)),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("", None),
            ("-", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("12a", None),
        ] {
            assert_eq!(parse_i64(input.as_bytes()), expected, "{input}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }

    #[test]
    fn integers_round_trip() {
        for value in [0, 7, -7, 10, 99, i64::MAX, i64::MIN, 1_000_000] {
            let mut buf = [0; I64_TEXT_MAX];
            assert_eq!(format_i64(value, &mut buf), value.to_string().as_bytes());
        }
    }

    #[test]
    fn hexadecimal_doubles_read_like_the_reference() {
        // ZADD z <text> m in Redis 8.2.3.
        let long = format!("0x0.{}1p300", "0".repeat(79));
        for (input, expected) in [
            ("0x0p99999", Some(0.0)),
            ("0x0p99999999999", Some(0.0)),
            ("0x1p99999", None),
            ("0x1p99999999999", None),
            ("0x1p-2000", None),
            ("0x1p-1074", Some(5e-324)),
            ("0x1p-1075", None),
            ("0x1.8p-1075", Some(5e-324)),
            (long.as_str(), Some(2f64.powi(-20))),
            ("0X1.8", Some(1.5)),
            ("0x1.P1", Some(2.0)),
            ("-0x10p-4", Some(-1.0)),
            ("0x1234567890123456789p0", Some(5373003641998676936585.0)),
            ("0x1fffffffffffff800001", Some(2f64.powi(77))),
            ("0x", None),
            ("0x.", None),
            ("0x1p", None),
            ("0x1p+", None),
            ("0xinf", None),
        ] {
            assert_eq!(parse_f64(input.as_bytes()), expected, "{input}");
        }
    }

    #[test]
    fn what_vanishes_is_seen() {
        let underflows = |text: &str| is_underflow(text.as_bytes(), parse_f64(text.as_bytes()).unwrap());
        assert!(underflows("1e-400") && underflows("-0.5E-330") && underflows("2e-324"));
        assert!(!underflows("0e-999") && !underflows("-0.00") && !underflows("4.9e-324") && !underflows("0x0p7"));
    }

    #[test]
    fn seventeen_digits() {
        for (value, expected) in [
            (18.973, "18.972999999999999"),
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (1e-5, "1.0000000000000001e-05"),
            (123456.0, "123456"),
            (1e17, "1e+17"),
            (-2.5, "-2.5"),
        ] {
            let mut out = Vec::new();
            push_f64_17(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn doubles_print_like_the_reference() {
        for (value, expected) in [
            (3.0, "3"),
            (1e8, "100000000"),
            (1e20, "1e+20"),
            (123456789012345678.0, "123456789012345680"),
            (12345678901234567890.0, "12345678901234567000"),
            (0.00001, "0.00001"),
            (1e-7, "1e-7"),
            (1.5e300, "1.5e+300"),
            (1e23, "99999999999999990000000"),
            (0.1, "0.1"),
            (-0.25, "-0.25"),
            (2.000_000_000_000_000_4, "2.0000000000000004"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(value), expected);
        }
    }
}
