//! Sorted sets.
//!
//! | module | commands |
//! |---|---|
//! | [`add`] | ZADD, ZINCRBY, ZREM |
//! | [`read`] | scores, ranks, counts, ZSCAN, ZRANDMEMBER |
//! | [`range`] | ZRANGE and its relatives, ZRANGESTORE, ZREMRANGEBY… |
//! | [`pop`] | ZPOPMIN, ZPOPMAX, ZMPOP |
//! | [`algebra`] | union, intersection, difference |

mod add;
mod algebra;
mod pop;
mod range;
mod read;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::Text;
use kinovar_command::{Command, Reply};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    add::ZADD,
    add::ZINCRBY,
    add::ZREM,
    algebra::ZDIFF,
    algebra::ZDIFFSTORE,
    algebra::ZINTER,
    algebra::ZINTERCARD,
    algebra::ZINTERSTORE,
    algebra::ZUNION,
    algebra::ZUNIONSTORE,
    pop::BZMPOP,
    pop::BZPOPMAX,
    pop::BZPOPMIN,
    pop::ZMPOP,
    pop::ZPOPMAX,
    pop::ZPOPMIN,
    range::ZRANGE,
    range::ZRANGEBYLEX,
    range::ZRANGEBYSCORE,
    range::ZRANGESTORE,
    range::ZREMRANGEBYLEX,
    range::ZREMRANGEBYRANK,
    range::ZREMRANGEBYSCORE,
    range::ZREVRANGE,
    range::ZREVRANGEBYLEX,
    range::ZREVRANGEBYSCORE,
    read::ZCARD,
    read::ZCOUNT,
    read::ZLEXCOUNT,
    read::ZMSCORE,
    read::ZRANDMEMBER,
    read::ZRANK,
    read::ZREVRANK,
    read::ZSCAN,
    read::ZSCORE,
];

/// A member as a bulk string.
fn write_member(reply: &mut Reply<'_>, member: Text<'_>) {
    match member {
        Text::Bytes(bytes) => reply.bulk(bytes),
        Text::Int(value) => reply.bulk_integer(value),
    }
}

/// The head of `len` members, each followed by its score if so wanted: RESP3 nests the pairs, RESP2 does not.
fn write_head(reply: &mut Reply<'_>, len: usize, with_scores: bool) {
    let flat = with_scores && !reply.is_resp3();
    reply.array(if flat { 2 * len } else { len });
}

/// A member, with its score if so wanted.
fn write_pair(reply: &mut Reply<'_>, member: Text<'_>, score: f64, with_scores: bool) {
    if with_scores && reply.is_resp3() {
        reply.array(2);
    }
    write_member(reply, member);
    if with_scores {
        reply.double(score);
    }
}
