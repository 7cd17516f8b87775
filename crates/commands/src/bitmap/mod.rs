//! Strings as arrays of bits. Bit 0 is the most significant bit of the first byte.

mod combine;
mod field;
mod range;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::{Key, NewPayload, StringUpdate, WrongType, string};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Db, Flags, Group, KeySpec, Outcome, number,
};

/// The commands of this group.
pub const COMMANDS: &[Command] =
    &[range::BITCOUNT, field::BITFIELD, field::BITFIELD_RO, combine::BITOP, range::BITPOS, GETBIT, SETBIT];

const NOT_AN_OFFSET: CommandError = CommandError::text("ERR bit offset is not an integer or out of range");
const NOT_A_BIT: CommandError = CommandError::text("ERR bit is not an integer or out of range");

/// What is told of every change.
const EVENT: &str = "setbit";

/// How many bytes a string may have: bits beyond them are refused.
#[derive(Clone, Copy)]
struct OffsetLimit(u64);

impl OffsetLimit {
    #[inline]
    fn new(ctx: &Ctx<'_>) -> OffsetLimit {
        /// The longest string that the format of files knows, bytes.
        const REPLAY_MAX: u64 = u32::MAX as u64;
        let limit = ctx.db.settings().proto_max_bulk_len;
        // An effect may be about a string from when the limit was another.
        OffsetLimit(if ctx.is_replay() { limit.max(REPLAY_MAX) } else { limit })
    }

    #[inline]
    fn check(self, offset: i64) -> Result<u64, CommandError> {
        u64::try_from(offset).ok().filter(|offset| offset / 8 < self.0).ok_or(NOT_AN_OFFSET)
    }

    /// The number of a bit.
    #[inline]
    fn parse(self, text: &[u8]) -> Result<u64, CommandError> {
        self.check(number::parse_i64(text).ok_or(NOT_AN_OFFSET)?)
    }
}

/// Opens a string that is to have at least `len` bytes, and makes it if it is missing. Also: whether it was shorter.
#[inline]
fn open<'d>(db: &'d mut Db<'_>, key: &Key<'_>, len: usize) -> Result<(StringUpdate<'d>, bool), WrongType> {
    static ZEROS: [u8; string::INLINE_MAX] = [0; string::INLINE_MAX];
    let (mut update, is_new) = db.upsert_text(key, NewPayload::Bytes(&ZEROS[..len.min(ZEROS.len())]))?;
    let grows = is_new || update.text().len() < len;
    update.bytes_mut(len);
    Ok((update, grows))
}

const SETBIT: Command = Command {
    name: "setbit",
    group: Group::Bitmap,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::integer("offset"), Arg::integer("value")],
    summary: "Sets or clears one bit of a string, which is made or filled up with zeros as needed.",
    complexity: "O(1)",
    since: "2.2.0",
    handler: setbit,
    ..Command::DEFAULT
};

fn setbit(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let offset = OffsetLimit::new(ctx).parse(args.take()?)?;
    let is_set = match number::parse_i64(args.take()?) {
        Some(bit @ 0..=1) => bit == 1,
        _ => return Err(NOT_A_BIT),
    };
    let (at, mask) = place(offset);
    let (mut update, grows) = open(&mut ctx.db, &key, at + 1)?;
    let byte = &mut update.bytes_mut(at + 1)[at];
    let was_set = *byte & mask != 0;
    if was_set != is_set {
        *byte ^= mask;
    }
    if was_set != is_set || grows {
        update.changed(EVENT);
    }
    ctx.reply.integer(i64::from(was_set));
    Ok(())
}

const GETBIT: Command = Command {
    name: "getbit",
    group: Group::Bitmap,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::integer("offset")],
    summary: "Reads one bit of a string.",
    complexity: "O(1)",
    since: "2.2.0",
    handler: getbit,
    ..Command::DEFAULT
};

fn getbit(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (at, mask) = place(OffsetLimit::new(ctx).parse(args.take()?)?);
    let text = ctx.db.read_text(&key)?;
    let byte = text.and_then(|text| text.with(|bytes| bytes.get(at).copied())).unwrap_or(0);
    ctx.reply.integer(i64::from(byte & mask != 0));
    Ok(())
}

/// Which byte a bit is in, and which of its bits it is.
#[inline]
fn place(offset: u64) -> (usize, u8) {
    ((offset / 8) as usize, 0x80 >> (offset % 8))
}
