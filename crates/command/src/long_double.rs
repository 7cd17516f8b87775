//! Arithmetic of `INCRBYFLOAT` and `HINCRBYFLOAT`: the 80-bit extended format of the x87, in software.
//!
//! The reference computes in C's `long double` and prints seventeen decimals, so `0.1 + 0.2` is `0.3`. Clients see those
//! digits, hence the same format here: a 64-bit significand and a 15-bit exponent, every operation rounded once to the
//! nearest (ties to even).
//!
//! A value is `significand * 2^exponent`. The significand has its highest bit set unless the exponent is the smallest one
//! (subnormals and zero). Source: IEEE 754, sections 3 and 4; Intel SDM volume 1, chapter 4.2.

use std::cmp::Ordering;

/// Exponent of the lowest bit of the smallest numbers.
const EXPONENT_MIN: i32 = -16445;
/// Exponent of the lowest bit of the largest numbers.
const EXPONENT_MAX: i32 = 16383 - 63;
/// Longer texts are not numbers.
const TEXT_MAX: usize = 5 * 1024;
/// Digits after the point when printed.
const DECIMALS: u32 = 17;

/// An extended-precision number; not NaN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongDouble {
    negative: bool,
    significand: u64,
    exponent: i32,
    infinite: bool,
}

impl LongDouble {
    /// Zero.
    pub const ZERO: LongDouble =
        LongDouble { negative: false, significand: 0, exponent: EXPONENT_MIN, infinite: false };
    /// The largest finite number.
    pub const MAX: LongDouble =
        LongDouble { negative: false, significand: u64::MAX, exponent: EXPONENT_MAX, infinite: false };
    /// The smallest finite number: the opposite of the largest.
    pub const MIN: LongDouble = LongDouble { negative: true, ..LongDouble::MAX };

    /// Parses what C's `strtold` accepts in full: decimal or hexadecimal, with or without exponent, `inf`, `infinity`. `None`
    /// for anything else, for space around it, for `nan`, and for what is too large or too small to be told from infinity
    /// or zero. O(length²) at worst, of at most 5 KB.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let magnitude = if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            LongDouble { infinite: true, ..LongDouble::ZERO }
        } else if let [b'0', b'x' | b'X', digits @ ..] = text {
            parse_hexadecimal(digits)?
        } else {
            parse_decimal(text)?
        };
        Some(LongDouble { negative, ..magnitude })
    }

    /// The number `value`, exactly.
    pub fn from_i64(value: i64) -> LongDouble {
        let magnitude = round(u128::from(value.unsigned_abs()), 0, false);
        LongDouble { negative: value < 0, ..magnitude }
    }

    /// Whether it is beyond all numbers, at either end.
    pub fn is_infinite(&self) -> bool {
        self.infinite
    }

    /// The opposite.
    pub fn negated(self) -> LongDouble {
        LongDouble { negative: !self.negative, ..self }
    }

    /// Which of two is larger. The two zeros are equal.
    pub fn compare(&self, other: &LongDouble) -> Ordering {
        let is_zero = |number: &LongDouble| number.significand == 0 && !number.infinite;
        // Larger exponents mean larger numbers: but for the smallest one, the highest bit of a significand is set.
        let magnitude = |number: &LongDouble| (number.infinite, number.exponent, number.significand);
        match (self.negative, other.negative) {
            _ if is_zero(self) && is_zero(other) => Ordering::Equal,
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitude(self).cmp(&magnitude(other)),
            (true, true) => magnitude(other).cmp(&magnitude(self)),
        }
    }

    /// The sum, rounded; `None` when it is infinite or not a number.
    pub fn checked_add(self, other: LongDouble) -> Option<LongDouble> {
        if self.infinite || other.infinite {
            return None;
        }
        let (large, small) = if (self.exponent, self.significand) >= (other.exponent, other.significand) {
            (self, other)
        } else {
            (other, self)
        };
        // 62 bits below the larger one's lowest bit, and one above its highest for the carry.
        const GUARD: u32 = 62;
        let base = u128::from(large.significand) << GUARD;
        let distance = (large.exponent - small.exponent) as u32;
        let aligned = u128::from(small.significand) << GUARD;
        let (aligned, lost) = if distance < 128 {
            (aligned >> distance, distance > 0 && aligned << (128 - distance) != 0)
        } else {
            (0, aligned != 0)
        };
        let sum = if large.negative == small.negative {
            base + aligned
        } else {
            // What was lost is part of the subtrahend: one less, and something is left over again.
            base - aligned - u128::from(lost)
        };
        let rounded = round(sum, large.exponent - GUARD as i32, lost);
        // An exact zero is positive unless both were negative.
        let negative = if rounded.significand == 0 { self.negative && other.negative } else { large.negative };
        (!rounded.infinite).then_some(LongDouble { negative, ..rounded })
    }

    /// Appends the number with up to seventeen decimals, no exponent and no trailing zeros. It must be finite.
    pub fn push_text(&self, out: &mut Vec<u8>) {
        assert!(!self.infinite, "infinity is never stored");
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        if self.exponent >= 0 {
            let mut integer = Big::from_u64(self.significand);
            integer.shift_left(self.exponent as u32);
            integer.push_decimal(out);
        } else {
            self.push_fraction(out);
        }
        if out[start..] == *b"-0" {
            out.truncate(start);
            out.push(b'0');
        }
    }

    /// Like [`LongDouble::push_text`], the sign left out, for a number with bits below the point.
    fn push_fraction(&self, out: &mut Vec<u8>) {
        let below = self.exponent.unsigned_abs();
        let (mut integer, fraction) = if below < 64 {
            (self.significand >> below, self.significand & ((1 << below) - 1))
        } else {
            (0, self.significand)
        };
        let unit = 10u64.pow(DECIMALS);
        // Below 2^121. With 128 bits below the point nothing is left of it.
        let scaled = u128::from(fraction) * u128::from(unit);
        let mut decimals = 0;
        if below < 128 {
            decimals = (scaled >> below) as u64;
            let rest = scaled & ((1 << below) - 1);
            let half = 1 << (below - 1);
            decimals += u64::from(rest > half || (rest == half && decimals % 2 == 1));
        }
        if decimals == unit {
            decimals = 0;
            integer += 1;
        }
        out.extend_from_slice(integer.to_string().as_bytes());
        if decimals > 0 {
            let digits = format!(".{decimals:017}");
            out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
        }
    }
}

/// The number nearest to `value * 2^exponent`, a little more when `more` is set.
fn round(value: u128, exponent: i32, more: bool) -> LongDouble {
    if value == 0 {
        return LongDouble::ZERO;
    }
    let bits = 128 - value.leading_zeros() as i32;
    // How far the lowest bit kept is above the lowest bit there.
    let drop = (bits - 64).max(EXPONENT_MIN - exponent);
    let (mut significand, mut exponent) = if drop <= 0 {
        ((value << -drop) as u64, exponent + drop)
    } else if drop > 128 {
        (0, EXPONENT_MIN)
    } else {
        let kept = if drop == 128 { 0 } else { (value >> drop) as u64 };
        let half = 1u128 << (drop - 1);
        let rest = if drop == 128 { value } else { value & ((1 << drop) - 1) };
        let up = match rest.cmp(&half) {
            Ordering::Greater => true,
            Ordering::Equal => more || kept % 2 == 1,
            Ordering::Less => false,
        };
        match kept.checked_add(u64::from(up)) {
            Some(sum) => (sum, exponent + drop),
            None => (1 << 63, exponent + drop + 1),
        }
    };
    if significand == 0 {
        exponent = EXPONENT_MIN;
    }
    let infinite = exponent > EXPONENT_MAX;
    if infinite {
        (significand, exponent) = (0, EXPONENT_MIN);
    }
    LongDouble { negative: false, significand, exponent, infinite }
}

/// A parsed magnitude, unless it was too large or too small.
fn in_range(value: LongDouble) -> Option<LongDouble> {
    (!value.infinite && value.significand != 0).then_some(value)
}

/// Splits `digits [. digits] [marker exponent]`, at least one digit in all; the exponent is cut off at a million.
fn split(text: &[u8], marker: u8, is_digit: impl Fn(&u8) -> bool) -> Option<(&[u8], &[u8], i64)> {
    let run = |text: &[u8]| text.iter().take_while(|byte| is_digit(byte)).count();
    let (integer, mut rest) = text.split_at(run(text));
    let mut fraction: &[u8] = &[];
    if let [b'.', after @ ..] = rest {
        (fraction, rest) = after.split_at(run(after));
    }
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [first, exponent @ ..] if first.eq_ignore_ascii_case(&marker) => {
            let (sign, digits) = match exponent {
                [b'-', digits @ ..] => (-1, digits),
                [b'+', digits @ ..] => (1, digits),
                _ => (1, exponent),
            };
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let value = digits.iter().fold(0, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000));
            sign * value
        }
        _ => return None,
    };
    Some((integer, fraction, exponent))
}

fn parse_hexadecimal(text: &[u8]) -> Option<LongDouble> {
    let (integer, fraction, mut exponent) = split(text, b'p', u8::is_ascii_hexdigit)?;
    exponent -= 4 * fraction.len() as i64;
    let (mut value, mut more) = (0u128, false);
    for &digit in integer.iter().chain(fraction) {
        let digit = (digit as char).to_digit(16).expect("a hexadecimal digit");
        if value >> 120 == 0 {
            value = value << 4 | u128::from(digit);
        } else {
            more |= digit != 0;
            exponent += 4;
        }
    }
    if value == 0 {
        return Some(LongDouble::ZERO);
    }
    in_range(round(value, exponent.clamp(-100_000, 100_000) as i32, more))
}

fn parse_decimal(text: &[u8]) -> Option<LongDouble> {
    let (integer, fraction, exponent) = split(text, b'e', u8::is_ascii_digit)?;
    let fraction = &fraction[..fraction.len() - fraction.iter().rev().take_while(|&&digit| digit == b'0').count()];
    let power = exponent - fraction.len() as i64;
    let skip = integer.iter().chain(fraction).take_while(|&&digit| digit == b'0').count();
    let digits = integer.iter().chain(fraction).skip(skip).map(|digit| digit - b'0');
    let count = integer.len() + fraction.len() - skip;
    match count as i64 + power {
        _ if count == 0 => return Some(LongDouble::ZERO),
        // Below the smallest subnormal, and above the largest number, whatever the digits.
        ..-4960 | 4940.. => return None,
        _ => {}
    }
    if count <= 19 && (-18..=0).contains(&power) {
        let value = digits.fold(0u64, |value, digit| value * 10 + u64::from(digit));
        return Some(quotient(value, 10u64.pow(-power as u32)));
    }
    let mut value = Big::from_u64(0);
    for digit in digits {
        value.multiply_add(10, u32::from(digit));
    }
    let mut divisor = Big::from_u64(1);
    let target = if power > 0 { &mut value } else { &mut divisor };
    for _ in 0..power.unsigned_abs() {
        target.multiply_add(10, 0);
    }
    in_range(big_quotient(value, divisor))
}

/// `value / divisor`, where the divisor is below 2^60 and the value is not 0.
fn quotient(value: u64, divisor: u64) -> LongDouble {
    let shift = value.leading_zeros() + 64;
    let dividend = u128::from(value) << shift;
    let divisor = u128::from(divisor);
    // At least 68 bits, so the remainder matters only for ties.
    round(dividend / divisor, -(shift as i32), !dividend.is_multiple_of(divisor))
}

/// `value / divisor`, neither being 0: bit by bit, as many as rounding needs.
fn big_quotient(mut value: Big, mut divisor: Big) -> LongDouble {
    let shift = value.bits() as i32 - divisor.bits() as i32;
    if shift >= 0 {
        divisor.shift_left(shift as u32);
    } else {
        value.shift_left(shift.unsigned_abs());
    }
    const BITS: i32 = 70;
    let mut quotient = 0u128;
    for _ in 0..BITS {
        quotient <<= 1;
        if value.cmp(&divisor) != Ordering::Less {
            value.subtract(&divisor);
            quotient |= 1;
        }
        value.shift_left(1);
    }
    round(quotient, shift - (BITS - 1), value.bits() != 0)
}

/// An unsigned integer of any size: limbs of 32 bits, lowest first, the highest not 0.
struct Big(Vec<u32>);

impl Big {
    fn from_u64(value: u64) -> Big {
        let mut big = Big(vec![value as u32, (value >> 32) as u32]);
        big.trim();
        big
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |limb| self.0.len() * 32 - limb.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u32, add: u32) {
        let mut carry = u64::from(add);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn shift_left(&mut self, by: u32) {
        if self.0.is_empty() {
            return;
        }
        self.multiply_add(1 << (by % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, by as usize / 32));
    }

    fn cmp(&self, other: &Big) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Takes `other`, which is not larger, off.
    fn subtract(&mut self, other: &Big) {
        let mut borrow = false;
        for (at, limb) in self.0.iter_mut().enumerate() {
            let (difference, under) = limb.overflowing_sub(other.0.get(at).copied().unwrap_or(0));
            let (difference, under_again) = difference.overflowing_sub(u32::from(borrow));
            *limb = difference;
            borrow = under || under_again;
        }
        debug_assert!(!borrow, "the subtrahend was larger");
        self.trim();
    }

    /// Divides by `divisor`; the remainder.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for limb in self.0.iter_mut().rev() {
            rest = rest << 32 | u64::from(*limb);
            *limb = (rest / u64::from(divisor)) as u32;
            rest %= u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn push_decimal(mut self, out: &mut Vec<u8>) {
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            groups.push(self.divide(1_000_000_000));
        }
        let first = groups.pop().unwrap_or(0);
        out.extend_from_slice(first.to_string().as_bytes());
        for group in groups.iter().rev() {
            out.extend_from_slice(format!("{group:09}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let sum = LongDouble::parse(a.as_bytes())?.checked_add(LongDouble::parse(b.as_bytes())?);
        let Some(sum) = sum else { return Some("infinite".to_owned()) };
        let mut out = Vec::new();
        sum.push_text(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn sums_are_those_of_the_reference() {
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("3.0e3", "200", "3200"),
            ("1", "0x10", "17"),
            ("1", "0x1p-3", "1.125"),
            ("1", "0X.8", "1.5"),
            ("1", "+1", "2"),
            ("1", ".5", "1.5"),
            ("1", "5.", "6"),
            ("-0", "0", "0"),
            ("-0.0", "-0.0", "0"),
            ("-1e-20", "0", "0"),
            ("1.23456789012345678901234567890", "0", "1.23456789012345679"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e20", "1e25", "10000100000000000000000000"),
            ("3.0e3", "-3.0e3", "0"),
            ("99999999999999999.99999999999999999", "0", "100000000000000000"),
            ("1.5", "0.00000000000000000500000000000000001", "1.5"),
            ("0.000000000000000015", "0", "0.00000000000000002"),
            ("0.000000000000000005", "0", "0"),
            ("1e-4950", "0", "0"),
            ("0e999999", "1", "1"),
            ("1e4932", "1e4932", "infinite"),
            ("inf", "1", "infinite"),
            ("-Infinity", "1", "infinite"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
    }

    #[test]
    fn other_texts_are_not_numbers() {
        let long = "1".repeat(TEXT_MAX);
        for text in [
            "", " 1", "1 ", "abc", "nan", ".", "e5", "1e", "1e+", "0x", "0x.p1", "1_0", "1\0", "--1", "1e5000",
            "1e-5000", "infin", &long,
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert!(LongDouble::parse(&long.as_bytes()[..4000]).is_some());
    }

    #[test]
    fn long_division_agrees_with_short_division() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let value = rng.u64(1..);
            let power = rng.u32(0..=18);
            let divisor = 10u64.pow(power);
            assert_eq!(quotient(value, divisor), big_quotient(Big::from_u64(value), Big::from_u64(divisor)));
        }
    }

    #[test]
    fn numbers_have_an_order() {
        let texts = ["-inf", "-1e4932", "-1.5", "-1e-4940", "0", "1e-4950", "1e-4940", "0.1", "1", "1e4932", "inf"];
        let parsed: Vec<LongDouble> = texts.iter().map(|text| LongDouble::parse(text.as_bytes()).unwrap()).collect();
        for (a, x) in parsed.iter().enumerate() {
            for (b, y) in parsed.iter().enumerate() {
                assert_eq!(x.compare(y), a.cmp(&b), "{} and {}", texts[a], texts[b]);
                assert_eq!(x.negated().compare(&y.negated()), b.cmp(&a));
            }
        }
        assert_eq!(LongDouble::ZERO.negated().compare(&LongDouble::ZERO), Ordering::Equal);
        assert!(LongDouble::MAX.compare(&parsed[9]).is_gt() && LongDouble::MAX.compare(&parsed[10]).is_lt());
        assert_eq!(LongDouble::MAX.checked_add(LongDouble::MIN), Some(LongDouble::ZERO));
        assert_eq!(LongDouble::MAX.checked_add(LongDouble::MAX), None);
    }

    #[test]
    fn integers_survive() {
        for value in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53] {
            let mut out = Vec::new();
            LongDouble::from_i64(value).push_text(&mut out);
            assert_eq!(out, value.to_string().as_bytes());
            assert_eq!(LongDouble::parse(&out), Some(LongDouble::from_i64(value)));
        }
    }
}
