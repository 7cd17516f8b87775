//! The digits of a double: Grisu2.
//!
//! Source: F. Loitsch, "Printing floating-point numbers quickly and accurately with integers" (PLDI 2010), the variant
//! called Grisu2. It always finds digits that read back as the same double and nearly always the fewest. Where it does not
//! find the fewest, which digits it finds depends on the powers of ten it works with; these are the ones that the
//! reference's printer uses, every eighth from 10^-348 on, since its replies are compared byte for byte.
//!
//! The value and the middles between it and its neighbours are multiplied by a power of ten that brings the binary
//! exponent into [-60, -32]: then the whole part fits 32 bits, and digits come off it by division and off the fraction by
//! multiplication. Digits are produced until what is left lies within the neighbours' middles, then the last one is moved
//! towards the true value.

/// A number `frac * 2^exp`.
#[derive(Clone, Copy)]
struct Float {
    frac: u64,
    exp: i32,
}

const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;
const EXP_MIN: i32 = -60;
const EXP_MAX: i32 = -32;

/// 10^(-348 + 8 i), rounded to 64 bits: fraction and binary exponent.
#[rustfmt::skip]
const POWERS: [(u64, i32); 87] = [
    (0xfa8fd5a0081c0288, -1220), (0xbaaee17fa23ebf76, -1193), (0x8b16fb203055ac76, -1166),
    (0xcf42894a5dce35ea, -1140), (0x9a6bb0aa55653b2d, -1113), (0xe61acf033d1a45df, -1087),
    (0xab70fe17c79ac6ca, -1060), (0xff77b1fcbebcdc4f, -1034), (0xbe5691ef416bd60c, -1007),
    (0x8dd01fad907ffc3c, -980), (0xd3515c2831559a83, -954), (0x9d71ac8fada6c9b5, -927),
    (0xea9c227723ee8bcb, -901), (0xaecc49914078536d, -874), (0x823c12795db6ce57, -847),
    (0xc21094364dfb5637, -821), (0x9096ea6f3848984f, -794), (0xd77485cb25823ac7, -768),
    (0xa086cfcd97bf97f4, -741), (0xef340a98172aace5, -715), (0xb23867fb2a35b28e, -688),
    (0x84c8d4dfd2c63f3b, -661), (0xc5dd44271ad3cdba, -635), (0x936b9fcebb25c996, -608),
    (0xdbac6c247d62a584, -582), (0xa3ab66580d5fdaf6, -555), (0xf3e2f893dec3f126, -529),
    (0xb5b5ada8aaff80b8, -502), (0x87625f056c7c4a8b, -475), (0xc9bcff6034c13053, -449),
    (0x964e858c91ba2655, -422), (0xdff9772470297ebd, -396), (0xa6dfbd9fb8e5b88f, -369),
    (0xf8a95fcf88747d94, -343), (0xb94470938fa89bcf, -316), (0x8a08f0f8bf0f156b, -289),
    (0xcdb02555653131b6, -263), (0x993fe2c6d07b7fac, -236), (0xe45c10c42a2b3b06, -210),
    (0xaa242499697392d3, -183), (0xfd87b5f28300ca0e, -157), (0xbce5086492111aeb, -130),
    (0x8cbccc096f5088cc, -103), (0xd1b71758e219652c, -77), (0x9c40000000000000, -50),
    (0xe8d4a51000000000, -24), (0xad78ebc5ac620000, 3), (0x813f3978f8940984, 30),
    (0xc097ce7bc90715b3, 56), (0x8f7e32ce7bea5c70, 83), (0xd5d238a4abe98068, 109),
    (0x9f4f2726179a2245, 136), (0xed63a231d4c4fb27, 162), (0xb0de65388cc8ada8, 189),
    (0x83c7088e1aab65db, 216), (0xc45d1df942711d9a, 242), (0x924d692ca61be758, 269),
    (0xda01ee641a708dea, 295), (0xa26da3999aef774a, 322), (0xf209787bb47d6b85, 348),
    (0xb454e4a179dd1877, 375), (0x865b86925b9bc5c2, 402), (0xc83553c5c8965d3d, 428),
    (0x952ab45cfa97a0b3, 455), (0xde469fbd99a05fe3, 481), (0xa59bc234db398c25, 508),
    (0xf6c69a72a3989f5c, 534), (0xb7dcbf5354e9bece, 561), (0x88fcf317f22241e2, 588),
    (0xcc20ce9bd35c78a5, 614), (0x98165af37b2153df, 641), (0xe2a0b5dc971f303a, 667),
    (0xa8d9d1535ce3b396, 694), (0xfb9b7cd9a4a7443c, 720), (0xbb764c4ca7a44410, 747),
    (0x8bab8eefb6409c1a, 774), (0xd01fef10a657842c, 800), (0x9b10a4e5e9913129, 827),
    (0xe7109bfba19c0c9d, 853), (0xac2820d9623bf429, 880), (0x80444b5e7aa7cf85, 907),
    (0xbf21e44003acdd2d, 933), (0x8e679c2f5e44ff8f, 960), (0xd433179d9c8cb841, 986),
    (0x9e19db92b4e31ba9, 1013), (0xeb96bf6ebadf77d9, 1039), (0xaf87023b9bf0ee6b, 1066),
];

impl Float {
    /// The parts of a positive, finite double.
    fn of(value: f64) -> Float {
        const HIDDEN: u64 = 1 << 52;
        const BIAS: i32 = 1023 + 52;
        let bits = value.to_bits();
        let (exp, frac) = ((bits >> 52) as i32 & 0x7FF, bits & (HIDDEN - 1));
        if exp == 0 { Float { frac, exp: 1 - BIAS } } else { Float { frac: frac + HIDDEN, exp: exp - BIAS } }
    }

    fn normalized(self) -> Float {
        let shift = self.frac.leading_zeros();
        Float { frac: self.frac << shift, exp: self.exp - shift as i32 }
    }

    /// The middles between this double and its neighbours, below and above, with the exponent of the upper one.
    fn boundaries(self) -> (Float, Float) {
        let upper = Float { frac: (self.frac << 1) + 1, exp: self.exp - 1 }.normalized();
        // Below a power of two the neighbour is only half as far away.
        let shift = if self.frac == 1 << 52 { 2 } else { 1 };
        let lower = Float { frac: (self.frac << shift) - 1, exp: self.exp - shift };
        let lower = Float { frac: lower.frac << (lower.exp - upper.exp), exp: upper.exp };
        (lower, upper)
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Float) -> Float {
        let product = u128::from(self.frac) * u128::from(other.frac) + (1 << 63);
        Float { frac: (product >> 64) as u64, exp: self.exp + other.exp + 64 }
    }
}

/// The power of ten that brings numbers of this exponent into range, and its decimal exponent.
fn power_for(exp: i32) -> (Float, i32) {
    const LOG10_OF_2: f64 = std::f64::consts::LOG10_2;
    let approximate = -f64::from(exp + POWERS.len() as i32) * LOG10_OF_2;
    let mut index = ((approximate - f64::from(FIRST_POWER)) / f64::from(POWER_STEP)) as usize;
    loop {
        let (frac, power_exp) = POWERS[index];
        match exp + power_exp + 64 {
            ..EXP_MIN => index += 1,
            result if result > EXP_MAX => index -= 1,
            _ => return (Float { frac, exp: power_exp }, FIRST_POWER + index as i32 * POWER_STEP),
        }
    }
}

/// Appends the decimal digits of a positive, finite double, the first of them not zero; returns the power of ten that the
/// last one stands for.
pub fn digits(value: f64, out: &mut Vec<u8>) -> i32 {
    let float = Float::of(value);
    let (lower, upper) = float.boundaries();
    let float = float.normalized();
    let (power, decimal) = power_for(upper.exp);
    let (float, lower, upper) = (float.times(power), lower.times(power), upper.times(power));
    // One unit inwards, for the rounding of the products.
    let (low, high) = (lower.frac + 1, upper.frac - 1);
    generate(float.frac, low, high, upper.exp, out) - decimal
}

/// The digits of a number between `low` and `high`, near `value`, all `* 2^exp`; returns the power of the last digit.
fn generate(value: u64, low: u64, high: u64, exp: i32, out: &mut Vec<u8>) -> i32 {
    let start = out.len();
    let bits = -exp as u32;
    let one = 1u64 << bits;
    let distance = high - value;
    let mut delta = high - low;
    let (mut whole, mut fraction) = ((high >> bits) as u32, high & (one - 1));
    let mut divisor = 1_000_000_000u32;
    for kappa in (0..10).rev() {
        let digit = whole / divisor;
        if digit > 0 || out.len() > start {
            out.push(b'0' + digit as u8);
        }
        whole -= digit * divisor;
        let rest = (u64::from(whole) << bits) + fraction;
        if rest <= delta {
            approach(out, delta, rest, u64::from(divisor) << bits, distance);
            return kappa;
        }
        divisor /= 10;
    }
    let (mut unit, mut kappa) = (1u64, 0);
    loop {
        fraction *= 10;
        delta *= 10;
        unit *= 10;
        kappa -= 1;
        let digit = (fraction >> bits) as u8;
        if digit > 0 || out.len() > start {
            out.push(b'0' + digit);
        }
        fraction &= one - 1;
        if fraction < delta {
            approach(out, delta, fraction, one, distance.wrapping_mul(unit));
            return kappa;
        }
    }
}

/// Lowers the last digit while that brings the number closer to the true value, `distance` below the upper end.
fn approach(out: &mut [u8], delta: u64, mut rest: u64, unit: u64, distance: u64) {
    let last = out.last_mut().expect("a digit was produced");
    while rest < distance
        && delta - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        *last -= 1;
        rest += unit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        let power = digits(value, &mut out);
        format!("{}e{power}", String::from_utf8(out).unwrap())
    }

    #[test]
    fn digits_of_the_reference() {
        assert_eq!(text(1e23), "9999999999999999e7");
        assert_eq!(text(12345678901234567890.0), "12345678901234567e3");
        assert_eq!(text(0.1), "1e-1");
        assert_eq!(text(3.0), "3e0");
        assert_eq!(text(5e-324), "5e-324");
    }

    #[test]
    fn digits_read_back() {
        let mut bits = 1u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = f64::from_bits(bits & !(1 << 63));
            if value.is_finite() && value > 0.0 {
                assert_eq!(text(value).parse::<f64>().unwrap(), value);
            }
        }
        for value in [f64::MAX, f64::MIN_POSITIVE, 1.0, 1024.0, 2f64.powi(-1074), 1e22, 1e21] {
            assert_eq!(text(value).parse::<f64>().unwrap(), value);
        }
    }
}
