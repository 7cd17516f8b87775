//! Geospatial indexes: sorted sets whose scores are geohashes.
//!
//! | module | what it is |
//! |---|---|
//! | [`add`] | GEOADD |
//! | [`read`] | GEODIST, GEOHASH, GEOPOS |
//! | [`search`] | GEOSEARCH, GEORADIUS and their variants: finding, showing and storing |
//! | [`query`] | the arguments of a search |
//! | [`cell`] | positions as numbers and back |
//! | [`area`] | which cells an area touches, and which positions it holds |
//! | [`order`] | sorting as far as is asked for |

mod add;
mod area;
mod cell;
mod order;
mod query;
mod read;
mod search;
#[cfg(test)]
mod tests;

use cell::{LATITUDE, LONGITUDE, Position};
use kinovar_command::{Arg, Args, Command, CommandError, Reply, number};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    add::GEOADD,
    read::GEODIST,
    read::GEOHASH,
    read::GEOPOS,
    search::GEORADIUS,
    search::GEORADIUSBYMEMBER,
    search::GEORADIUSBYMEMBER_RO,
    search::GEORADIUS_RO,
    search::GEOSEARCH,
    search::GEOSEARCHSTORE,
];

const UNIT: Arg =
    Arg::one_of("unit", &[Arg::word("m", "M"), Arg::word("km", "KM"), Arg::word("ft", "FT"), Arg::word("mi", "MI")]);

/// Metres in a unit.
fn parse_unit(word: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&[u8], f64); 4] = [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let found = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found
        .map(|&(_, metres)| metres)
        .ok_or(CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Takes a longitude and a latitude.
fn parse_position(args: &mut Args<'_>) -> Result<Position, CommandError> {
    let (longitude, latitude) = (args.double()?, args.double()?);
    if LONGITUDE.contains(longitude) && LATITUDE.contains(latitude) {
        return Ok(Position { longitude, latitude });
    }
    Err(CommandError::owned(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// A distance: a bulk string with four decimals in both protocols.
fn write_distance(reply: &mut Reply<'_>, distance: f64) {
    let scaled = cell::to_i64((distance * 10_000.0).round_ties_even());
    let mut text = Vec::with_capacity(24);
    if scaled < 0 {
        text.push(b'-');
    }
    let scaled = scaled.unsigned_abs();
    number::push_i64(&mut text, (scaled / 10_000) as i64);
    text.push(b'.');
    let mut decimals = scaled % 10_000;
    for power in [1000, 100, 10, 1] {
        text.push(b'0' + (decimals / power) as u8);
        decimals %= power;
    }
    reply.bulk(&text);
}

/// A longitude and a latitude.
fn write_position(reply: &mut Reply<'_>, position: Position) {
    reply.array(2);
    reply.double(position.longitude);
    reply.double(position.latitude);
}
