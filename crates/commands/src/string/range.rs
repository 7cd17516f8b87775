//! Parts of strings: APPEND, GETRANGE, SETRANGE, STRLEN.

use kinovar_command::keyspace::{NewPayload, string};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Deprecated, Flags, Group, KeySpec, Outcome,
};

pub(super) const APPEND: Command = Command {
    name: "append",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("value")],
    summary: "Adds bytes to the end of a string, which is made if it does not exist.",
    complexity: "O(1) amortized, for values that are short beside the string.",
    since: "2.0.0",
    handler: append,
    ..Command::DEFAULT
};

fn append(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let value = args.take()?;
    let len_max = ctx.db.settings().proto_max_bulk_len;
    let (mut update, created) = ctx.db.upsert_text(&key, string::payload(value))?;
    let len = if created {
        update.changed("append");
        value.len()
    } else {
        check_len(update.text().len(), value.len(), len_max)?;
        update.append(value, "append")
    };
    ctx.reply.count(len);
    Ok(())
}

/// An error if `len` and `more` bytes together exceed the limit.
fn check_len(len: usize, more: usize, len_max: u64) -> Outcome {
    match len.checked_add(more) {
        Some(sum) if sum as u64 <= len_max => Ok(()),
        _ => Err(CommandError::StringTooLong),
    }
}

pub(super) const STRLEN: Command = Command {
    name: "strlen",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Tells how long a string is, in bytes.",
    complexity: "O(1)",
    since: "2.2.0",
    handler: strlen,
    ..Command::DEFAULT
};

fn strlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let len = ctx.db.read_text(&args.key()?)?.map_or(0, |text| text.len());
    ctx.reply.count(len);
    Ok(())
}

pub(super) const GETRANGE: Command = Command {
    name: "getrange",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("end")],
    summary: "Reads a part of a string.",
    complexity: "O(N) in the length of the part.",
    since: "2.4.0",
    handler: getrange,
    ..Command::DEFAULT
};

pub(super) const SUBSTR: Command = Command {
    name: "substr",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("end")],
    summary: "Reads a part of a string.",
    complexity: "O(N) in the length of the part.",
    since: "1.0.0",
    deprecated: Some(Deprecated { since: "2.0.0", replaced_by: "`GETRANGE`" }),
    handler: getrange,
    ..Command::DEFAULT
};

fn getrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (start, end) = (args.integer()?, args.integer()?);
    let reply = &mut ctx.reply;
    match ctx.db.read_text(&key)? {
        Some(text) => text.with(|bytes| reply.bulk(part(bytes, start, end))),
        None => reply.bulk(b""),
    }
    Ok(())
}

/// The bytes from `start` to `end`, both included; negative numbers count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if bytes.is_empty() || (start < 0 && end < 0 && start > end) {
        return b"";
    }
    let from_start = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { b"" } else { &bytes[start as usize..=end as usize] }
}

pub(super) const SETRANGE: Command = Command {
    name: "setrange",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::integer("offset"), Arg::string("value")],
    summary: "Overwrites a part of a string, which is made or filled up with zeros as needed.",
    complexity: "O(N) in the length of the value, when the string need not grow.",
    since: "2.2.0",
    handler: setrange,
    ..Command::DEFAULT
};

const OFFSET_OUT_OF_RANGE: CommandError = CommandError::text("ERR offset is out of range");

fn setrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    const EVENT: &str = "setrange";
    let key = args.key()?;
    let offset = usize::try_from(args.integer()?).map_err(|_| OFFSET_OUT_OF_RANGE)?;
    let value = args.take()?;
    let len_max = ctx.db.settings().proto_max_bulk_len;
    if let Some(mut update) = ctx.db.update_text(&key)? {
        // Writing nothing changes nothing, not even the length.
        let len = if value.is_empty() {
            update.text().len()
        } else {
            check_len(offset, value.len(), len_max)?;
            update.write_at(offset, value, EVENT)
        };
        ctx.reply.count(len);
        return Ok(());
    }
    if value.is_empty() {
        ctx.reply.count(0);
        return Ok(());
    }
    check_len(offset, value.len(), len_max)?;
    let (mut update, _) = ctx.db.upsert_text(&key, NewPayload::Bytes(b""))?;
    let len = update.write_at(offset, value, EVENT);
    ctx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_are_clamped() {
        for (start, end, expected) in [
            (0, 4, "Hello"),
            (-5, -1, "World"),
            (-1, -5, ""),
            (5, 2, ""),
            (-100, 100, "Hello World"),
            (100, 200, ""),
            // The reference clamps an end before the string to its first byte.
            (0, -100, "H"),
            (-100, -50, "H"),
            (-50, -100, ""),
            (i64::MIN, i64::MAX, "Hello World"),
        ] {
            assert_eq!(part(b"Hello World", start, end), expected.as_bytes(), "{start} {end}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
