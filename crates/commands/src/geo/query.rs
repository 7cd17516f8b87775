//! The arguments of a search.

use super::area::{Area, Shape};
use super::cell::Position;
use super::read::position;
use super::{parse_position, parse_unit};
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::{Args, CommandError, Key, until_nul};

/// Which command of the family searches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The centre is a position.
    Radius { may_store: bool },
    /// The centre is a member.
    RadiusByMember { may_store: bool },
    /// Options say.
    Search,
    /// The same, and the result is stored.
    SearchStore,
}

/// The order of what is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As it comes.
    None,
    /// The nearest first.
    Ascending,
    /// The farthest first.
    Descending,
}

/// What to show of each member.
#[derive(Clone, Copy, Default, Debug)]
pub struct Shown {
    pub distance: bool,
    pub hash: bool,
    pub position: bool,
}

impl Shown {
    fn any(&self) -> bool {
        self.distance || self.hash || self.position
    }
}

/// A parsed search.
pub struct Query<'a> {
    /// Where; `None` only if the index does not exist.
    pub area: Option<Area>,
    /// Most members wanted; `None` for all.
    pub count: Option<usize>,
    /// Whether any that many will do.
    pub any: bool,
    pub order: Order,
    pub shown: Shown,
    /// Where the result is to go.
    pub store: Option<Key<'a>>,
    /// Whether distances are stored, not geohashes.
    pub store_distance: bool,
}

/// Looks a centre up.
fn center_of(zset: &ZSet, member: &[u8]) -> Result<Position, CommandError> {
    position(zset, member).ok_or(CommandError::text("ERR could not decode requested zset member"))
}

fn number(args: &mut Args<'_>, error: &'static str) -> Result<f64, CommandError> {
    args.double().map_err(|_| CommandError::text(error))
}

/// Takes a radius and its unit.
fn circle(args: &mut Args<'_>) -> Result<(Shape, f64), CommandError> {
    let radius = number(args, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, parse_unit(args.take()?)?))
}

/// Takes a width, a height and their unit.
fn rectangle(args: &mut Args<'_>) -> Result<(Shape, f64), CommandError> {
    let width = number(args, "ERR need numeric width")?;
    let height = number(args, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    Ok((Shape::Box { width, height }, parse_unit(args.take()?)?))
}

/// What is known of the search so far.
struct Parser<'a, 'z> {
    family: Family,
    zset: Option<&'z ZSet>,
    /// Both were given; the centre stays unknown where there is no index to look a member up in.
    from: Option<From>,
    center: Option<Position>,
    shape: Option<(Shape, f64)>,
    query: Query<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Member,
    Position,
}

impl<'a> Query<'a> {
    /// Parses what follows the key of the index. Errors come in the order of the reference.
    pub fn parse(args: &mut Args<'a>, family: Family, zset: Option<&ZSet>) -> Result<Query<'a>, CommandError> {
        let query = Query {
            area: None,
            count: None,
            any: false,
            order: Order::None,
            shown: Shown::default(),
            store: None,
            store_distance: false,
        };
        let mut parser = Parser { family, zset, from: None, center: None, shape: None, query };
        parser.fixed(args)?;
        while !args.is_empty() {
            if !(parser.option(args)? || parser.store(args)? || parser.area(args)?) {
                return Err(CommandError::Syntax);
            }
        }
        parser.finish(args.at(0))
    }
}

impl<'a> Parser<'a, '_> {
    /// What stands in front of the options.
    fn fixed(&mut self, args: &mut Args<'a>) -> Result<(), CommandError> {
        match (self.family, self.zset) {
            (Family::Radius { .. }, _) => self.center = Some(parse_position(args)?),
            (Family::RadiusByMember { .. }, Some(zset)) => self.center = Some(center_of(zset, args.take()?)?),
            (Family::RadiusByMember { .. }, None) => {
                // Nobody looks at the radius either.
                for _ in 0..3 {
                    args.take()?;
                }
                return Ok(());
            }
            (Family::Search | Family::SearchStore, _) => return Ok(()),
        }
        self.shape = Some(circle(args)?);
        Ok(())
    }

    fn searches(&self) -> bool {
        matches!(self.family, Family::Search | Family::SearchStore)
    }

    /// An option of all commands; whether there was one.
    fn option(&mut self, args: &mut Args<'a>) -> Result<bool, CommandError> {
        let query = &mut self.query;
        if args.accept("WITHDIST") {
            query.shown.distance = true;
        } else if args.accept("WITHHASH") {
            query.shown.hash = true;
        } else if args.accept("WITHCOORD") {
            query.shown.position = true;
        } else if args.accept("ANY") {
            query.any = true;
        } else if args.accept("ASC") {
            query.order = Order::Ascending;
        } else if args.accept("DESC") {
            query.order = Order::Descending;
        } else if args.left() > 1 && args.accept("COUNT") {
            let count = args.integer()?;
            if count <= 0 {
                return Err(CommandError::text("ERR COUNT must be > 0"));
            }
            query.count = Some(count as usize);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Where to store, and what.
    fn store(&mut self, args: &mut Args<'a>) -> Result<bool, CommandError> {
        let may_store =
            matches!(self.family, Family::Radius { may_store: true } | Family::RadiusByMember { may_store: true });
        let query = &mut self.query;
        if may_store && args.left() > 1 && args.accept("STORE") {
            (query.store, query.store_distance) = (Some(args.key()?), false);
        } else if may_store && args.left() > 1 && args.accept("STOREDIST") {
            (query.store, query.store_distance) = (Some(args.key()?), true);
        } else if self.family == Family::SearchStore && args.accept("STOREDIST") {
            query.store_distance = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Centre and shape of GEOSEARCH.
    fn area(&mut self, args: &mut Args<'a>) -> Result<bool, CommandError> {
        if !self.searches() {
            return Ok(false);
        }
        let is_circle = matches!(self.shape, Some((Shape::Circle { .. }, _)));
        let is_box = self.shape.is_some() && !is_circle;
        if self.from != Some(From::Position) && args.left() > 1 && args.accept("FROMMEMBER") {
            let member = args.take()?;
            self.center = self.zset.map(|zset| center_of(zset, member)).transpose()?;
            self.from = Some(From::Member);
        } else if self.from != Some(From::Member) && args.left() > 2 && args.accept("FROMLONLAT") {
            self.center = Some(parse_position(args)?);
            self.from = Some(From::Position);
        } else if !is_box && args.left() > 2 && args.accept("BYRADIUS") {
            self.shape = Some(circle(args)?);
        } else if !is_circle && args.left() > 3 && args.accept("BYBOX") {
            self.shape = Some(rectangle(args)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn finish(self, command: &[u8]) -> Result<Query<'a>, CommandError> {
        let mut query = self.query;
        let stores = query.store.is_some() || self.family == Family::SearchStore;
        if stores && query.shown.any() {
            return Err(CommandError::text(if self.family == Family::SearchStore {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        let searches = matches!(self.family, Family::Search | Family::SearchStore);
        let exactly_one = |options: &str| {
            let text = format!("ERR exactly one of {options} can be specified for ");
            CommandError::Bytes([text.as_bytes(), until_nul(command)].concat())
        };
        if searches && self.from.is_none() {
            return Err(exactly_one("FROMMEMBER or FROMLONLAT"));
        }
        if searches && self.shape.is_none() {
            return Err(exactly_one("BYRADIUS and BYBOX"));
        }
        if query.any && query.count.is_none() {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        if query.count.is_some() && query.order == Order::None && !query.any {
            // The nearest ones, as nothing else is said.
            query.order = Order::Ascending;
        }
        query.area = self.center.zip(self.shape).map(|(center, (shape, unit_m))| Area { center, shape, unit_m });
        Ok(query)
    }
}
