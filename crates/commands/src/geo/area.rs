//! Areas: circles and boxes on a sphere, and the cells to look for their members in.
//!
//! Distances are those of the haversine formula on a sphere of the earth's mean radius. What clients see depends on them to
//! the last digit, and so on the order of operations; it is that of the reference.
//!
//! A search looks at nine cells: the one with the centre, so small that it and those around it just cover the area, and those of
//! its eight neighbours that the area reaches. Most of what they hold lies outside, so a member is first compared with
//! bounds that need no trigonometry ([`Filter`]).

use super::cell::{Bounds, Cell, Position, STEPS_MAX, Span};
use std::f64::consts::{FRAC_PI_2, PI};

/// Mean radius of the earth, metres.
const EARTH_RADIUS_M: f64 = 6_372_797.560856;
/// Half the width of the projection, metres.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const RADIANS: f64 = PI / 180.0;

/// A shape, in units of the area.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// All within this distance.
    Circle { radius: f64 },
    /// All whose distance along the meridian is at most half the height, and along their parallel half the width.
    Box { width: f64, height: f64 },
}

/// A shape around a centre.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Area {
    /// Its middle.
    pub center: Position,
    /// Its shape.
    pub shape: Shape,
    /// Metres in a unit.
    pub unit_m: f64,
}

/// The distance of two positions along their meridian, metres, whatever their longitudes.
fn latitude_distance_m(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (b * RADIANS - a * RADIANS).abs()
}

/// The distance of two positions, metres.
pub fn distance_m(a: Position, b: Position) -> f64 {
    From::new(a).distance_m(b)
}

/// What the haversine formula needs of the first position.
#[derive(Clone, Copy)]
struct From {
    position: Position,
    longitude_rad: f64,
    latitude_rad: f64,
    cos_latitude: f64,
}

impl From {
    fn new(position: Position) -> From {
        let (longitude_rad, latitude_rad) = (position.longitude * RADIANS, position.latitude * RADIANS);
        From { position, longitude_rad, latitude_rad, cos_latitude: latitude_rad.cos() }
    }

    fn distance_m(&self, to: Position) -> f64 {
        let v = ((to.longitude * RADIANS - self.longitude_rad) / 2.0).sin();
        // Not merely a shortcut: it gives other digits.
        if v == 0.0 {
            return latitude_distance_m(self.position.latitude, to.latitude);
        }
        let latitude_rad = to.latitude * RADIANS;
        let u = ((latitude_rad - self.latitude_rad) / 2.0).sin();
        let a = u * u + self.cos_latitude * latitude_rad.cos() * v * v;
        // Rounding must not lead beyond the far side of the earth, where there is no arc.
        2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
    }
}

impl Area {
    /// Half the extent, metres: to the east and to the north.
    fn reach_m(&self) -> (f64, f64) {
        match self.shape {
            Shape::Circle { radius } => (self.unit_m * radius, self.unit_m * radius),
            Shape::Box { width, height } => (self.unit_m * (width / 2.0), self.unit_m * (height / 2.0)),
        }
    }

    /// What the area lies in, degrees. On the far side of a pole it means nothing, but decides which cells are looked at.
    fn bounds(&self) -> Bounds {
        let Position { longitude, latitude } = self.center;
        let (reach_x, reach_y) = self.reach_m();
        let dy = reach_y / EARTH_RADIUS_M / RADIANS;
        // The parallel that is nearer to the pole is the shorter one.
        let parallel = if latitude < 0.0 { latitude - dy } else { latitude + dy };
        let dx = reach_x / EARTH_RADIUS_M / (parallel * RADIANS).cos() / RADIANS;
        Bounds {
            longitude: Span { min: longitude - dx, max: longitude + dx },
            latitude: Span { min: latitude - dy, max: latitude + dy },
        }
    }

    /// Steps of a grid whose cells are about as large as the area. Near the poles there are more of them to a degree.
    fn steps(&self) -> u32 {
        let reach_m = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt(),
        } * self.unit_m;
        if reach_m == 0.0 {
            return STEPS_MAX;
        }
        let (mut covered_m, mut steps) = (reach_m, 1i32);
        while covered_m < MERCATOR_MAX_M {
            covered_m *= 2.0;
            steps += 1;
        }
        let latitude = self.center.latitude.abs();
        let fewer = 2 + i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        (steps - fewer).clamp(1, STEPS_MAX as i32) as u32
    }

    /// The cells that may hold members, in the order in which they are looked at. None comes twice.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let bounds = self.bounds();
        let steps = self.steps();
        let mut own = Cell::at(self.center, steps);
        // Spelled so that bounds that are not numbers, of an area without end, count as covered.
        let is_cut = own.neighbour(0, 1).bounds().latitude.max < bounds.latitude.max
            || own.neighbour(0, -1).bounds().latitude.min > bounds.latitude.min
            || own.neighbour(1, 0).bounds().longitude.max < bounds.longitude.max
            || own.neighbour(-1, 0).bounds().longitude.min > bounds.longitude.min;
        let steps = if steps > 1 && is_cut { steps - 1 } else { steps };
        own = Cell::at(self.center, steps);
        let cell = own.bounds();
        let reaches = move |east: i32, north: i32| {
            // In the coarsest grid every cell is a neighbour on several sides.
            steps < 2
                || !(north < 0 && cell.latitude.min < bounds.latitude.min
                    || north > 0 && cell.latitude.max > bounds.latitude.max
                    || east < 0 && cell.longitude.min < bounds.longitude.min
                    || east > 0 && cell.longitude.max > bounds.longitude.max)
        };
        const AROUND: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let around = AROUND.into_iter().filter(move |&(east, north)| reaches(east, north));
        let mut last = None;
        let around = around.map(move |(east, north)| own.neighbour(east, north)).filter(move |&cell| {
            let is_new = last != Some(cell);
            last = Some(cell);
            is_new
        });
        std::iter::once(own).chain(around)
    }
}

/// An arc from the centre, and the same as haversines (the square of the sine of half the angle) that are surely smaller or
/// surely larger, whatever rounding does. Between those only the arc itself decides.
#[derive(Clone, Copy)]
struct Limit {
    arc_m: f64,
    below: f64,
    above: f64,
}

impl Limit {
    /// Far beyond the rounding errors of all operations together, relative.
    const MARGIN: f64 = 1e-12;

    fn new(arc_m: f64) -> Limit {
        let half_angle = arc_m / EARTH_RADIUS_M / 2.0;
        let (below, above) = if half_angle > FRAC_PI_2 * (1.0 + Limit::MARGIN) {
            (f64::INFINITY, f64::INFINITY)
        } else {
            let haversine = half_angle.min(FRAC_PI_2).sin().powi(2);
            (haversine * (1.0 - Limit::MARGIN), haversine * (1.0 + Limit::MARGIN))
        };
        Limit { arc_m, below, above }
    }

    /// Whether an arc is within the limit: `haversine` is its own, and `arc_m` computes it.
    #[inline]
    fn admits(&self, haversine: f64, arc_m: impl FnOnce() -> f64) -> bool {
        haversine < self.below || haversine <= self.above && arc_m() <= self.arc_m
    }
}

/// Finds out which positions lie in an area.
pub struct Filter {
    from: From,
    /// Positions outside are not in the area.
    latitude: Span,
    /// Nor are those whose longitudes differ by more degrees, in both directions around the earth.
    reach_longitude: f64,
    /// Of the distance from the centre, or along the parallel.
    limit: Limit,
    /// Half the height of a box, metres.
    half_height_m: Option<f64>,
}

/// A little more than a bound in degrees that was computed exactly.
fn widened(degrees: f64) -> f64 {
    degrees * (1.0 + 1e-9) + 1e-9
}

impl Filter {
    /// For an area.
    pub fn new(area: &Area) -> Filter {
        let Position { latitude, .. } = area.center;
        let reach = widened(area.reach_m().1 / EARTH_RADIUS_M / RADIANS);
        let span = Span { min: latitude - reach, max: latitude + reach };
        // A circle touches two meridians; on a box's northern or southern edge a meridian is as far as half the width.
        let (arc_m, half_height_m, reach_longitude) = match area.shape {
            Shape::Circle { radius } => {
                let arc_m = radius * area.unit_m;
                let angle = arc_m / EARTH_RADIUS_M;
                (arc_m, None, meridians(angle, (latitude * RADIANS).cos()))
            }
            Shape::Box { width, height } => {
                let half_width_m = width * area.unit_m / 2.0;
                let farthest = span.min.abs().max(span.max.abs()).min(90.0);
                let angle = half_width_m / EARTH_RADIUS_M / 2.0;
                let degrees = 2.0 * meridians(angle, (farthest * RADIANS).cos());
                (half_width_m, Some(height * area.unit_m / 2.0), degrees)
            }
        };
        Filter {
            from: From::new(area.center),
            latitude: span,
            reach_longitude: widened(reach_longitude),
            limit: Limit::new(arc_m),
            half_height_m,
        }
    }

    /// False if a position is surely outside. Cheap.
    #[inline]
    fn may_hold(&self, position: Position) -> bool {
        let apart = (position.longitude - self.from.position.longitude).abs();
        self.latitude.contains(position.latitude)
            && (apart <= self.reach_longitude || apart >= 360.0 - self.reach_longitude)
    }

    /// Whether a position lies in the area.
    pub fn holds(&self, position: Position) -> bool {
        self.may_hold(position) && self.surely_holds(position)
    }

    fn surely_holds(&self, position: Position) -> bool {
        let latitude_rad = position.latitude * RADIANS;
        let cos_latitude = latitude_rad.cos();
        let v = ((position.longitude * RADIANS - self.from.longitude_rad) / 2.0).sin();
        let Some(half_height_m) = self.half_height_m else {
            let u = ((latitude_rad - self.from.latitude_rad) / 2.0).sin();
            let haversine = u * u + self.from.cos_latitude * cos_latitude * v * v;
            return self.limit.admits(haversine, || self.from.distance_m(position));
        };
        let haversine = cos_latitude * cos_latitude * v * v;
        let center = Position { longitude: self.from.position.longitude, ..position };
        latitude_distance_m(position.latitude, self.from.position.latitude) <= half_height_m
            && self.limit.admits(haversine, || distance_m(position, center))
    }

    /// The distance of a position from the centre, metres, if it lies in the area.
    pub fn distance_m(&self, position: Position) -> Option<f64> {
        self.holds(position).then(|| self.from.distance_m(position))
    }
}

/// Degrees of longitude between a point on a parallel whose cosine of latitude is this, and the meridians that touch a circle
/// of this angle around it. Infinite where the circle comes near a pole.
fn meridians(angle: f64, cos_latitude: f64) -> f64 {
    let sine = angle.sin() / cos_latitude;
    if angle < FRAC_PI_2 && (0.0..0.999).contains(&sine) { sine.asin() / RADIANS } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::super::cell::LATITUDE;
    use super::*;
    use proptest::prelude::*;

    fn positions() -> impl Strategy<Value = Position> {
        let longitude = prop_oneof![-180.0..=180.0f64, -180.0..-179.9f64, 179.9..=180.0f64, Just(0.0), -0.01..0.01f64];
        let latitude = prop_oneof![LATITUDE.min..=LATITUDE.max, 84.9..85.05f64, -85.05..-84.9f64, -0.01..0.01f64];
        (longitude, latitude).prop_map(|(longitude, latitude)| Position { longitude, latitude })
    }

    fn areas() -> impl Strategy<Value = Area> {
        let length = || (0.0..7.5f64).prop_map(|exponent| 10f64.powf(exponent));
        let circle = length().prop_map(|radius| Shape::Circle { radius });
        let shape = prop_oneof![circle, (length(), length()).prop_map(|(width, height)| Shape::Box { width, height })];
        let unit_m = prop_oneof![Just(1.0), Just(0.3048)];
        (positions(), shape, unit_m).prop_map(|(center, shape, unit_m)| Area { center, shape, unit_m })
    }

    /// The definition, without a bound.
    fn holds(area: &Area, at: Position) -> bool {
        match area.shape {
            Shape::Circle { radius } => distance_m(area.center, at) <= radius * area.unit_m,
            Shape::Box { width, height } => {
                let beside = Position { longitude: area.center.longitude, ..at };
                latitude_distance_m(at.latitude, area.center.latitude) <= height * area.unit_m / 2.0
                    && distance_m(at, beside) <= width * area.unit_m / 2.0
            }
        }
    }

    #[test]
    fn distances_of_the_reference() {
        // GEODIST in Redis 8.2.3, from positions of cells.
        let at = |longitude, latitude| Position { longitude, latitude };
        let palermo = at(13.361389338970184, 38.1155563954963);
        let catania = at(15.087267458438873, 37.50266842333162);
        assert_eq!(format!("{:.4}", distance_m(palermo, catania)), "166274.1516");
        assert_eq!(distance_m(palermo, palermo), 0.0);
        let across = distance_m(at(-180.0, 10.0), at(180.0, 10.0));
        assert!(across < 1e-6, "{across}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The quick bounds leave nothing out and let nothing in, near the area's edge most of all.
        #[test]
        fn the_filter_agrees_with_the_definition(area in areas(), others in prop::collection::vec(positions(), 8)) {
            let filter = Filter::new(&area);
            let (dx, dy) = (area.bounds().longitude.max - area.center.longitude, area.bounds().latitude.max - area.center.latitude);
            let near = (-10..=10).flat_map(|x| (-10..=10).map(move |y| (f64::from(x) / 10.0, f64::from(y) / 10.0)));
            let near = near.map(|(x, y)| Position {
                longitude: (area.center.longitude + 1.001 * x * dx).clamp(-180.0, 180.0),
                latitude: (area.center.latitude + y * dy).clamp(LATITUDE.min, LATITUDE.max),
            });
            for at in others.into_iter().chain(near).filter(|at| !at.longitude.is_nan() && !at.latitude.is_nan()) {
                prop_assert_eq!(filter.holds(at), holds(&area, at), "{:?} in {:?}", at, area);
                prop_assert_eq!(filter.distance_m(at), holds(&area, at).then(|| distance_m(area.center, at)));
            }
        }

        #[test]
        fn no_cell_comes_twice_and_the_first_has_the_centre(area in areas()) {
            let cells: Vec<Cell> = area.cells().collect();
            prop_assert_eq!(cells[0].bounds().longitude.contains(area.center.longitude), true);
            prop_assert!(cells.len() <= 9);
            for (index, cell) in cells.iter().enumerate() {
                prop_assert!(!cells[..index].contains(cell), "{:?}", cells);
            }
        }
    }
}
