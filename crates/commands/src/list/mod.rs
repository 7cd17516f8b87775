//! Lists.
//!
//! | module | commands |
//! |---|---|
//! | [`blocking`] | popping and moving, with patience |
//! | [`ends`] | pushing, popping and moving at the ends |
//! | [`inside`] | looking at, changing and removing elements anywhere |

mod blocking;
mod ends;
mod inside;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::Text;
use kinovar_command::keyspace::list::{End, List};
use kinovar_command::{Args, Command, CommandError, Reply, keyspace};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    blocking::BLMOVE,
    blocking::BLMPOP,
    blocking::BLPOP,
    blocking::BRPOP,
    blocking::BRPOPLPUSH,
    inside::LINDEX,
    inside::LINSERT,
    inside::LLEN,
    ends::LMOVE,
    ends::LMPOP,
    ends::LPOP,
    inside::LPOS,
    ends::LPUSH,
    ends::LPUSHX,
    inside::LRANGE,
    inside::LREM,
    inside::LSET,
    inside::LTRIM,
    ends::RPOP,
    ends::RPOPLPUSH,
    ends::RPUSH,
    ends::RPUSHX,
];

/// An element as a bulk string.
fn write_element(reply: &mut Reply<'_>, element: Text<'_>) {
    match element {
        Text::Bytes(bytes) => reply.bulk(bytes),
        Text::Int(value) => reply.bulk_integer(value),
    }
}

/// Takes `LEFT` or `RIGHT`.
fn take_end(args: &mut Args<'_>) -> Result<End, CommandError> {
    if args.accept("LEFT") {
        Ok(End::Left)
    } else if args.accept("RIGHT") {
        Ok(End::Right)
    } else {
        Err(CommandError::Syntax)
    }
}

/// Says that `count` elements were removed from a list, and lets it shrink.
fn removed(list: &mut keyspace::Update<'_, List>, event: &'static str, count: usize) {
    let settings = list.env().settings;
    list.shrink(settings);
    list.changed(event, count);
}
