//! Sets.
//!
//! | module | commands |
//! |---|---|
//! | [`members`] | adding, removing, moving, asking; walking through all members |
//! | [`random`] | `SPOP`, `SRANDMEMBER` |
//! | [`algebra`] | union, intersection, difference |

mod algebra;
mod members;
mod random;
#[cfg(test)]
mod tests;

use algebra::{SDIFF, SDIFFSTORE, SINTER, SINTERCARD, SINTERSTORE, SUNION, SUNIONSTORE};
use kinovar_command::keyspace::Set;
use kinovar_command::{Command, Reply};
use members::{SADD, SCARD, SISMEMBER, SMEMBERS, SMISMEMBER, SMOVE, SREM, SSCAN};
use random::{SPOP, SRANDMEMBER};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    SADD,
    SCARD,
    SDIFF,
    SDIFFSTORE,
    SINTER,
    SINTERCARD,
    SINTERSTORE,
    SISMEMBER,
    SMEMBERS,
    SMISMEMBER,
    SMOVE,
    SPOP,
    SRANDMEMBER,
    SREM,
    SSCAN,
    SUNION,
    SUNIONSTORE,
];

/// Replies with all members.
fn reply_members(reply: &mut Reply<'_>, set: &Set) {
    reply.set(set.len());
    reply_each(reply, set);
}

/// Writes all members, without a head.
fn reply_each(reply: &mut Reply<'_>, set: &Set) {
    let mut buf = [0; 24];
    for member in set.iter() {
        reply.bulk(member.bytes(&mut buf));
    }
}
