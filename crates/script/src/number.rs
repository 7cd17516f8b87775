//! Numbers as texts, the ways Lua and its libraries have them.

/// Appends `value` as C's `printf("%.*g", precision, value)` does.
pub(crate) fn push_g(out: &mut Vec<u8>, value: f64, precision: usize) {
    if value.is_nan() {
        out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
        return;
    }
    // Whole numbers need no search for digits as long as they fit into the precision.
    if value.fract() == 0.0
        && value.abs() < 10f64.powi(precision.min(15) as i32)
        && (value != 0.0 || value.is_sign_positive())
    {
        kinovar_resp::number::push_i64(out, value as i64);
        return;
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("that format has an exponent");
    let exponent: i32 = exponent.parse().expect("that format has a number as exponent");
    if exponent < -4 || exponent >= precision as i32 {
        out.extend_from_slice(without_zeros(mantissa));
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    } else {
        let fixed = format!("{value:.*}", (precision as i32 - 1 - exponent) as usize);
        out.extend_from_slice(without_zeros(&fixed));
    }
}

/// Without the zeros at the end of a fraction.
fn without_zeros(text: &str) -> &[u8] {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').as_bytes() } else { text.as_bytes() }
}

/// Appends `value` as `tostring` has it.
pub(crate) fn push_lua(out: &mut Vec<u8>, value: f64) {
    push_g(out, value, 14);
}

/// What C's conversion to a 64-bit integer makes of a number on the reference's processors: the smallest one of those that do
/// not fit.
pub(crate) fn to_c_integer(number: f64) -> i64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if (-HALF..HALF).contains(&number) { number as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_like_those_of_printf() {
        // From `printf "%.14g"`, `%.3g`, `%.1g`.
        let cases: &[(f64, usize, &str)] = &[
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.0, 14, "1"),
            (-17.0, 14, "-17"),
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (2.0 / 3.0, 3, "0.667"),
            (1e15, 14, "1e+15"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (99_999_999_999_999.5, 14, "1e+14"),
            (123_456_789_012_345_680.0, 14, "1.2345678901235e+17"),
            (1e100, 14, "1e+100"),
            (0.0001, 14, "0.0001"),
            (0.000_01, 14, "1e-05"),
            (1.5e-300, 14, "1.5e-300"),
            (1234.0, 3, "1.23e+03"),
            (999.6, 3, "1e+03"),
            (0.96, 1, "1"),
            (5e-324, 14, "4.9406564584125e-324"),
            (f64::MAX, 17, "1.7976931348623157e+308"),
            (f64::INFINITY, 14, "inf"),
            (f64::NEG_INFINITY, 14, "-inf"),
            (f64::NAN, 14, "nan"),
            (-f64::NAN, 14, "-nan"),
        ];
        for &(value, precision, expected) in cases {
            let mut out = Vec::new();
            push_g(&mut out, value, precision);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
