//! Positions and distances of members.

use super::cell::{Cell, Position, text};
use super::{UNIT, area, parse_unit, write_distance, write_position};
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::*;

pub(super) const GEODIST: Command = Command {
    name: "geodist",
    group: Group::Geo,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member1"), Arg::string("member2"), UNIT.optional()],
    summary: "Tells how far two members of a geospatial index are from each other.",
    complexity: "O(1)",
    since: "3.2.0",
    member: 2,
    handler: geodist,
    ..Command::DEFAULT
};

pub(super) const GEOHASH: Command = Command {
    name: "geohash",
    group: Group::Geo,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member").optional().multiple()],
    summary: "Tells the geohashes of members of a geospatial index.",
    complexity: "O(1) for each member",
    since: "3.2.0",
    member: 2,
    handler: geohash,
    ..Command::DEFAULT
};

pub(super) const GEOPOS: Command = Command {
    name: "geopos",
    group: Group::Geo,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member").optional().multiple()],
    summary: "Tells longitudes and latitudes of members of a geospatial index.",
    complexity: "O(1) for each member",
    since: "3.2.0",
    member: 2,
    handler: geopos,
    ..Command::DEFAULT
};

/// Where a member is; its score may be any.
pub(super) fn position(zset: &ZSet, member: &[u8]) -> Option<Position> {
    zset.score(member).map(|score| Cell::of_score(score).middle())
}

fn geodist(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (first, second) = (args.take()?, args.take()?);
    let unit_m = match args.left() {
        0 => 1.0,
        1 => parse_unit(args.take()?)?,
        _ => return Err(CommandError::Syntax),
    };
    let zset = ctx.db.read_value::<ZSet>(&key)?;
    let positions = zset.and_then(|zset| Some((position(zset, first)?, position(zset, second)?)));
    match positions {
        Some((first, second)) => write_distance(&mut ctx.reply, area::distance_m(first, second) / unit_m),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let zset = ctx.db.read_value::<ZSet>(&args.key()?)?;
    ctx.reply.array(args.left());
    for member in args.rest() {
        match zset.and_then(|zset| position(zset, member)) {
            Some(position) => ctx.reply.bulk(&text(position)),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn geopos(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let zset = ctx.db.read_value::<ZSet>(&args.key()?)?;
    ctx.reply.array(args.left());
    for member in args.rest() {
        match zset.and_then(|zset| position(zset, member)) {
            Some(position) => write_position(&mut ctx.reply, position),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}
