//! Hashes.
//!
//! | module | commands |
//! |---|---|
//! | [`fields`] | setting, reading and removing fields |
//! | [`number`] | `HINCRBY`, `HINCRBYFLOAT` |
//! | [`whole`] | all fields, walking, random fields |
//! | [`expiry`] | when fields expire: `HEXPIRE`, `HTTL`, `HPERSIST` and their variants |
//! | [`combined`] | `HGETDEL`, `HGETEX`, `HSETEX` |
//!
//! Fields whose time has come are treated as in the reference: reads, increments and conditions do not see them, while `HLEN`
//! counts and `HDEL`, `HSET` and `HEXPIRE` find them for as long as they are there.

mod combined;
mod expiry;
mod fields;
mod number;
#[cfg(test)]
mod tests;
mod whole;

use combined::{HGETDEL, HGETEX, HSETEX};
use expiry::{HEXPIRE, HEXPIREAT, HEXPIRETIME, HPERSIST, HPEXPIRE, HPEXPIREAT, HPEXPIRETIME, HPTTL, HTTL};
use fields::{HDEL, HEXISTS, HGET, HLEN, HMGET, HMSET, HSET, HSETNX, HSTRLEN};
use kinovar_command::keyspace::Text;
use kinovar_command::{Arg, Args, Command, CommandError, Reply, number as numbers};
use number::{HINCRBY, HINCRBYFLOAT};
use whole::{HGETALL, HKEYS, HRANDFIELD, HSCAN, HVALS};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    HDEL,
    HEXISTS,
    HEXPIRE,
    HEXPIREAT,
    HEXPIRETIME,
    HGET,
    HGETALL,
    HGETDEL,
    HGETEX,
    HINCRBY,
    HINCRBYFLOAT,
    HKEYS,
    HLEN,
    HMGET,
    HMSET,
    HPERSIST,
    HPEXPIRE,
    HPEXPIREAT,
    HPEXPIRETIME,
    HPTTL,
    HRANDFIELD,
    HSCAN,
    HSET,
    HSETEX,
    HSETNX,
    HSTRLEN,
    HTTL,
    HVALS,
];

const FIELDS_MISSING: CommandError =
    CommandError::text("ERR Mandatory argument FIELDS is missing or not at the right position");
/// The fields that a command names.
const FIELDS: Arg = Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()]).token("FIELDS");

const FIELD_COUNT_MISMATCH: CommandError =
    CommandError::text("ERR The `numfields` parameter must match the number of arguments");
const FIELD_COUNT_NOT_POSITIVE: CommandError = CommandError::text("ERR Number of fields must be a positive integer");
const NEGATIVE_TIME: CommandError = CommandError::text("ERR invalid expire time, must be >= 0");

/// Writes a name or a value; what is absent as null.
#[inline]
fn reply_text(reply: &mut Reply<'_>, text: Option<Text<'_>>) {
    match text {
        Some(Text::Bytes(bytes)) => reply.bulk(bytes),
        Some(Text::Int(value)) => reply.bulk_integer(value),
        None => reply.null(),
    }
}

/// Takes `FIELDS numfields`: what is left then are exactly so many names. `not_positive` is the error for a count that is none.
fn take_names(args: &mut Args<'_>, not_positive: CommandError) -> Result<(), CommandError> {
    if !args.accept("FIELDS") {
        return Err(FIELDS_MISSING);
    }
    let count = args.next().and_then(numbers::parse_i64).filter(|&count| count > 0).ok_or(not_positive)?;
    if usize::try_from(count).is_ok_and(|count| count == args.left()) { Ok(()) } else { Err(FIELD_COUNT_MISMATCH) }
}
