//! Cells: the geohash of Gustavo Niemeyer, over the square of the Web Mercator projection (EPSG:3857).
//!
//! Each step halves the range of longitudes and that of latitudes, and appends a bit for either. The bits of both alternate,
//! that of the longitude first (it is the more significant of a pair), so cells that are near each other mostly have numbers
//! with a common beginning. A member's score is its cell of 26 steps, 52 bits: a double holds that exactly.
//!
//! What lies on the last longitude or latitude gets a number with one bit more. It is kept as it is: clients see it.

/// Degrees that a position may have; latitudes end where the projection does.
pub const LONGITUDE: Span = Span { min: -180.0, max: 180.0 };
/// See [`LONGITUDE`].
pub const LATITUDE: Span = Span { min: -85.05112878, max: 85.05112878 };
/// Latitudes in geohashes as text, which are the published ones.
const LATITUDE_OF_TEXT: Span = Span { min: -90.0, max: 90.0 };
/// Steps of a score.
pub const STEPS_MAX: u32 = 26;

/// Longitudes have the odd bits.
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
/// Latitudes have the even ones.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// A place, degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Position {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// A range of degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span {
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
}

impl Span {
    /// Whether it holds `degrees`, the ends included.
    pub fn contains(&self, degrees: f64) -> bool {
        self.min <= degrees && degrees <= self.max
    }

    /// How many parts of 2^`steps` lie before `degrees`.
    fn index(&self, degrees: f64, steps: u32) -> u32 {
        ((degrees - self.min) / (self.max - self.min) * (1u64 << steps) as f64) as u32
    }

    /// The part with this number. The number after the largest is 0, as in the reference: only scores that are no
    /// geohashes get there.
    fn part(&self, index: u32, steps: u32) -> Span {
        let (size, parts) = (self.max - self.min, (1u64 << steps) as f64);
        let edge = |index: u32| self.min + f64::from(index) / parts * size;
        Span { min: edge(index), max: edge(index.wrapping_add(1)) }
    }

    fn middle(&self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

/// A cell of the grid of some number of steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    bits: u64,
    steps: u32,
}

/// What a cell covers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    pub longitude: Span,
    pub latitude: Span,
}

impl Cell {
    /// The cell that holds a position, which is one.
    pub fn at(position: Position, steps: u32) -> Cell {
        Cell::in_spans(position, steps, LATITUDE)
    }

    fn in_spans(position: Position, steps: u32, latitude: Span) -> Cell {
        let (x, y) = (LONGITUDE.index(position.longitude, steps), latitude.index(position.latitude, steps));
        Cell { bits: spread(y) | spread(x) << 1, steps }
    }

    /// The cell that a score stands for, whatever it is.
    #[inline]
    pub fn of_score(score: f64) -> Cell {
        Cell { bits: to_u64(score), steps: STEPS_MAX }
    }

    /// Its number, in 52 bits: the lowest score in it.
    pub fn first_score(self) -> u64 {
        self.bits << (2 * (STEPS_MAX - self.steps))
    }

    /// The lowest score in it, and the lowest above all in it.
    pub fn scores(self) -> std::ops::Range<f64> {
        let next = Cell { bits: self.bits + 1, ..self };
        self.first_score() as f64..next.first_score() as f64
    }

    /// What it covers.
    #[inline]
    pub fn bounds(self) -> Bounds {
        let (x, y) = (gather(self.bits >> 1), gather(self.bits));
        Bounds { longitude: LONGITUDE.part(x, self.steps), latitude: LATITUDE.part(y, self.steps) }
    }

    /// Its middle, moved into the range of positions.
    #[inline]
    pub fn middle(self) -> Position {
        let Bounds { longitude, latitude } = self.bounds();
        Position {
            longitude: longitude.middle().clamp(LONGITUDE.min, LONGITUDE.max),
            latitude: latitude.middle().clamp(LATITUDE.min, LATITUDE.max),
        }
    }

    /// The cell so many columns to the east and rows to the north, -1, 0 or 1 each. Beyond the last one is the first one.
    pub fn neighbour(self, east: i32, north: i32) -> Cell {
        let mut bits = self.bits;
        for (by, own, others) in [(east, ODD, EVEN), (north, EVEN, ODD)] {
            let ones = others >> (64 - 2 * self.steps);
            // With ones in all bits between, a carry or a borrow reaches the next of its own bits.
            let moved = match by {
                0 => continue,
                1 => (bits & own).wrapping_add(ones + 1),
                _ => (bits & own | ones).wrapping_sub(ones + 1),
            };
            bits = moved & (own >> (64 - 2 * self.steps)) | bits & others;
        }
        Cell { bits, ..self }
    }
}

/// A position's geohash as text: eleven letters, the last of which is always zero, as 52 bits are ten letters and a bit.
pub fn text(position: Position) -> [u8; 11] {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = Cell::in_spans(position, STEPS_MAX, LATITUDE_OF_TEXT).bits;
    let mut text = [LETTERS[0]; 11];
    for (index, letter) in text[..10].iter_mut().enumerate() {
        *letter = LETTERS[(bits >> (47 - 5 * index)) as usize & 31];
    }
    text
}

/// Puts a zero bit before each bit.
fn spread(value: u32) -> u64 {
    let mut bits = u64::from(value);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & EVEN
}

/// Takes the even bits together.
#[inline]
fn gather(bits: u64) -> u32 {
    let mut bits = bits & EVEN;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

/// A double as a signed integer, as x86-64 converts it: what is out of range becomes the lowest.
pub fn to_i64(value: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&value) { value as i64 } else { i64::MIN }
}

/// A double as an unsigned integer, as compilers for x86-64 convert it. Scores that are no geohashes have places, too.
#[inline]
fn to_u64(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if (0.0..HALF).contains(&value) {
        return value as i64 as u64;
    }
    if value >= HALF { to_i64(value - HALF) as u64 ^ 1 << 63 } else { to_i64(value) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(longitude: f64, latitude: f64) -> Position {
        Position { longitude, latitude }
    }

    #[test]
    fn published_geohashes() {
        // The examples of the format's descriptions, which go on with other letters where they are longer.
        for (longitude, latitude, expected) in [(10.40744, 57.64911, "u4pruydqqv"), (-5.6, 42.6, "ezs42")] {
            let found = text(position(longitude, latitude));
            assert!(found.starts_with(expected.as_bytes()), "{expected}: {}", found.escape_ascii());
            assert_eq!(found[10], b'0');
        }
    }

    #[test]
    fn scores_that_are_no_geohashes_have_places() {
        // GEOPOS in Redis 8.2.3.
        let place = |score| Cell::of_score(score).middle();
        assert_eq!(place(-1.0), position(180.0, 85.05112878));
        assert_eq!(place(9_223_372_036_854_775_807.0), position(180.0, -85.05112751263943));
        assert_eq!(place(f64::NEG_INFINITY), position(180.0, -85.05112751263943));
        assert_eq!(place(f64::INFINITY), position(-179.99999731779099, -85.05112751263943));
        assert_eq!(place(1e16), position(180.0, -35.096437349001874));
    }

    #[test]
    fn neighbours_wrap_around() {
        let corner = Cell::at(position(-180.0, LATITUDE.min), 3);
        assert_eq!(corner.bits, 0);
        assert_eq!(corner.neighbour(-1, 0).bits, 0b10_10_10);
        assert_eq!(corner.neighbour(0, -1).bits, 0b01_01_01);
        assert_eq!(corner.neighbour(-1, -1).bits, 0b11_11_11);
        assert_eq!(corner.neighbour(1, 1).bits, 0b11);
        assert_eq!(corner.neighbour(-1, -1).neighbour(1, 1), corner);
    }

    proptest! {
        #[test]
        fn a_cell_holds_its_positions(
            longitude in -180.0..180.0f64,
            latitude in LATITUDE.min..LATITUDE.max,
            steps in 1u32..=26,
        ) {
            let at = position(longitude, latitude);
            let cell = Cell::at(at, steps);
            let Bounds { longitude: x, latitude: y } = cell.bounds();
            prop_assert!(x.contains(longitude) && y.contains(latitude));
            let finest = Cell::at(at, STEPS_MAX);
            prop_assert!(cell.scores().contains(&(finest.first_score() as f64)));
            prop_assert_eq!(Cell::of_score(finest.first_score() as f64), finest);
            for (east, north) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1)] {
                let beside = cell.neighbour(east, north);
                prop_assert_eq!(beside.neighbour(-east, -north), cell);
                if east == 1 && steps > 1 && x.max < 180.0 {
                    prop_assert_eq!(beside.bounds().longitude.min, x.max);
                }
            }
        }
    }
}
