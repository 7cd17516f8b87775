//! The number at the start of a text, as C's `strtod` finds it.

use kinovar_resp::number::parse_f64;

/// The number that all of `text` is, space around it aside: what Lua takes for a number.
pub(crate) fn whole(text: &[u8]) -> Option<f64> {
    let (value, len) = strtod(text)?;
    text[len..].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12)).then_some(value)
}

/// The number that `text` begins with, space aside, and the bytes it takes; `None` if there is none.
pub(crate) fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let space = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12)).count();
    let number = &text[space..];
    let sign = usize::from(matches!(number.first(), Some(b'-' | b'+')));
    let body = &number[sign..];
    let negative = number.first() == Some(&b'-');
    let signed = |value: f64| if negative { -value } else { value };
    if let Some(len) = word(body) {
        let value = if body[0].eq_ignore_ascii_case(&b'n') { f64::NAN } else { f64::INFINITY };
        return Some((signed(value), space + sign + len));
    }
    let len = if matches!(body, [b'0', b'x' | b'X', ..]) { hexadecimal(body) } else { decimal(body) };
    // Of `0x` without a digit, the zero is a number.
    let len = if len == 0 { decimal(body) } else { len };
    if len == 0 {
        return None;
    }
    let value = magnitude(&body[..len])?;
    Some((signed(value), space + sign + len))
}

fn magnitude(text: &[u8]) -> Option<f64> {
    if matches!(text, [b'0', b'x' | b'X', ..]) {
        // What the other reader refuses is too large or too small.
        let tiny = text.windows(2).any(|pair| pair.eq_ignore_ascii_case(b"p-"));
        return Some(parse_f64(text).unwrap_or(if tiny { 0.0 } else { f64::INFINITY }));
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Length of `inf`, `infinity`, `nan` or `nan(...)` at the start.
fn word(text: &[u8]) -> Option<usize> {
    let starts = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if starts(b"infinity") {
        return Some(8);
    }
    if starts(b"inf") {
        return Some(3);
    }
    if !starts(b"nan") {
        return None;
    }
    let inside = text.get(4..).filter(|_| text[3] == b'(').unwrap_or_default();
    let len = inside.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    Some(if inside.get(len) == Some(&b')') { len + 5 } else { 3 })
}

fn decimal(text: &[u8]) -> usize {
    let whole = digits(text, u8::is_ascii_digit);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(&text[len + 1..], u8::is_ascii_digit);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return 0;
    }
    len + exponent(&text[len..], b'e')
}

fn hexadecimal(text: &[u8]) -> usize {
    let whole = digits(&text[2..], u8::is_ascii_hexdigit);
    let mut len = 2 + whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(&text[len + 1..], u8::is_ascii_hexdigit);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return 0;
    }
    len + exponent(&text[len..], b'p')
}

/// Length of an exponent with at least one digit.
fn exponent(text: &[u8], mark: u8) -> usize {
    if !text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&mark)) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    match digits(&text[1 + sign..], u8::is_ascii_digit) {
        0 => 0,
        count => 1 + sign + count,
    }
}

fn digits(text: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_c_library_finds() {
        // Values and lengths from `strtod`.
        let cases: &[(&str, Option<(f64, usize)>)] = &[
            ("1", Some((1.0, 1))),
            ("-1.5e3x", Some((-1500.0, 6))),
            ("1.", Some((1.0, 2))),
            (".5", Some((0.5, 2))),
            (".", None),
            ("", None),
            ("-", None),
            ("+7", Some((7.0, 2))),
            ("1e", Some((1.0, 1))),
            ("1e+", Some((1.0, 1))),
            ("1e400", Some((f64::INFINITY, 5))),
            ("0x10", Some((16.0, 4))),
            ("0x1.8p1]", Some((3.0, 7))),
            ("0x", Some((0.0, 1))),
            ("0xg", Some((0.0, 1))),
            ("infinity!", Some((f64::INFINITY, 8))),
            ("INFINIT", Some((f64::INFINITY, 3))),
            ("-inf", Some((f64::NEG_INFINITY, 4))),
            ("  12,", Some((12.0, 4))),
            ("e5", None),
        ];
        for (text, expected) in cases {
            assert_eq!(strtod(text.as_bytes()), *expected, "{text}");
        }
        for (text, len) in [("nan", 3), ("-NaN]", 4), ("nan(x1)", 7), ("nan(x", 3)] {
            let (value, found) = strtod(text.as_bytes()).unwrap();
            assert!(value.is_nan() && found == len, "{text}");
        }
    }
}
