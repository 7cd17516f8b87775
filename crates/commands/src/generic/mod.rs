//! Keys of any type.
//!
//! | module | commands |
//! |---|---|
//! | here | existence, deletion, copies and names: COPY, DEL, EXISTS, MOVE, RENAME, TOUCH, TYPE, UNLINK |
//! | [`expiry`] | EXPIRE, PERSIST, TTL and their variants |
//! | [`object`] | OBJECT and its subcommands |
//! | [`sort`] | SORT, SORT_RO |
//! | [`walk`] | KEYS, RANDOMKEY, SCAN |

mod expiry;
mod object;
mod sort;
mod walk;

use expiry::{EXPIRE, EXPIREAT, EXPIRETIME, PERSIST, PEXPIRE, PEXPIREAT, PEXPIRETIME, PTTL, TTL};
use kinovar_command::keyspace::{Event, ValueType, access, object as value};
use kinovar_command::{
    Access, Acl, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome, number,
};
use object::OBJECT;
use sort::{SORT, SORT_RO};
use walk::{KEYS, RANDOMKEY, SCAN};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    COPY,
    DEL,
    EXISTS,
    EXPIRE,
    EXPIREAT,
    EXPIRETIME,
    KEYS,
    MOVE,
    OBJECT,
    PERSIST,
    PEXPIRE,
    PEXPIREAT,
    PEXPIRETIME,
    PTTL,
    RANDOMKEY,
    RENAME,
    RENAMENX,
    SCAN,
    SORT,
    SORT_RO,
    TOUCH,
    TTL,
    TYPE,
    UNLINK,
];

/// How many of the keys that are left satisfy `check`; a key named twice counts twice.
fn count_keys(mut args: Args<'_>, mut check: impl FnMut(&Key<'_>) -> bool) -> Result<usize, CommandError> {
    let mut count = 0;
    while !args.is_empty() {
        count += usize::from(check(&args.key()?));
    }
    Ok(count)
}

const DEL: Command = Command {
    name: "del",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::RM.delete())],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Deletes keys.",
    complexity: "O(N) in the number of keys; large values are freed in the background.",
    since: "1.0.0",
    handler: del,
    ..Command::DEFAULT
};

const UNLINK: Command = Command {
    name: "unlink",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::RM.delete())],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Deletes keys and frees their values in the background.",
    complexity: "O(1) for each key; large values are freed in the background.",
    since: "4.0.0",
    handler: del,
    ..Command::DEFAULT
};

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = count_keys(args, |key| ctx.db.delete(key))?;
    ctx.reply.count(count);
    Ok(())
}

const EXISTS: Command = Command {
    name: "exists",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::RO)],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Counts the keys that exist.",
    complexity: "O(N) in the number of keys.",
    since: "1.0.0",
    history: &[("3.0.3", "Takes several keys.")],
    handler: exists,
    ..Command::DEFAULT
};

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = count_keys(args, |key| ctx.db.inspect(key).is_some())?;
    ctx.reply.count(count);
    Ok(())
}

const TOUCH: Command = Command {
    name: "touch",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::RO)],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Marks keys as just used and counts those that exist.",
    complexity: "O(N) in the number of keys.",
    since: "3.2.1",
    handler: touch,
    ..Command::DEFAULT
};

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = count_keys(args, |key| ctx.db.touch(key))?;
    ctx.reply.count(count);
    Ok(())
}

const TYPE: Command = Command {
    name: "type",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Tells the type of a key's value.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: type_of,
    ..Command::DEFAULT
};

fn type_of(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let found = ctx.db.inspect(&args.key()?).map(value::value_type);
    ctx.reply.simple(found.map_or("none", |found| found.name()));
    Ok(())
}

/// A number that is no database.
const DB_OUT_OF_RANGE: CommandError = CommandError::text("ERR DB index is out of range");
/// A number that is not even 32 bits.
const NOT_32_BITS: CommandError =
    CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647");

/// A database's number.
fn parse_db(ctx: &Ctx<'_>, arg: &[u8]) -> Result<u32, CommandError> {
    let value = number::parse_i64(arg).ok_or(CommandError::NotInteger)?;
    let value = i32::try_from(value).map_err(|_| NOT_32_BITS)?;
    u32::try_from(value).ok().filter(|&db| db < ctx.db.keyspace().databases()).ok_or(DB_OUT_OF_RANGE)
}

const COPY: Command = Command {
    name: "copy",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO.access()), KeySpec::at(2, Access::OW.update())],
    args: &[
        Arg::key("source", 0),
        Arg::key("destination", 1),
        Arg::integer("destination-db").token("DB").optional(),
        Arg::word("replace", "REPLACE").optional(),
    ],
    summary: "Copies a value and its expiry to another key.",
    complexity: "O(N) in the number of elements of a collection.",
    since: "6.2.0",
    handler: copy,
    ..Command::DEFAULT
};

fn copy(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    let from_db = ctx.db.index();
    let (mut to_db, mut replace) = (from_db, false);
    while !args.is_empty() {
        if args.accept("REPLACE") {
            replace = true;
        } else if args.accept("DB") {
            to_db = parse_db(ctx, args.take()?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if from_db == to_db && from.name == to.name {
        return Err(CommandError::SameObject);
    }
    let meta = access::initial(ctx.now_ms(), ctx.db.settings());
    // The module of the reference that vector sets belong to has no way to copy one; DUMP and RESTORE do.
    let copy = ctx.db.read(&from).map(|entry| match value::value_type(entry) {
        ValueType::VectorSet => Err(CommandError::text("ERR not supported for this module key")),
        _ => Ok(value::copy(entry, to.name, meta)),
    });
    ctx.db.select(to_db);
    let copied = match copy {
        Some(copy) if replace || !ctx.db.exists(&to) => {
            copy.map(|copy| ctx.db.put_copy(&to, copy, Event::generic("copy_to"))).map(|()| true)
        }
        _ => Ok(false),
    };
    ctx.db.select(from_db);
    let copied = copied?;
    ctx.reply.flag(copied);
    Ok(())
}

const MOVE: Command = Command {
    name: "move",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::integer("db")],
    summary: "Moves a key to another database.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: move_key,
    ..Command::DEFAULT
};

fn move_key(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let from_db = ctx.db.index();
    let to_db = parse_db(ctx, args.take()?)?;
    if from_db == to_db {
        return Err(CommandError::SameObject);
    }
    ctx.db.select(to_db);
    let blocked = ctx.db.exists(&key);
    ctx.db.select(from_db);
    let moved = if blocked { None } else { ctx.db.take(&key, Event::generic("move_from")) };
    ctx.reply.flag(moved.is_some());
    if let Some(entry) = moved {
        ctx.db.select(to_db);
        // One change, already counted where the key was taken from.
        ctx.db.put_moved(&key, entry, Event::generic("move_to"));
        ctx.db.select(from_db);
    }
    Ok(())
}

const RENAME: Command = Command {
    name: "rename",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::OW.update())],
    args: &[Arg::key("key", 0), Arg::key("newkey", 1)],
    summary: "Gives a key another name, whatever that name held.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: rename,
    ..Command::DEFAULT
};

fn rename(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    if from.name == to.name {
        return if ctx.db.exists(&from) {
            ctx.reply.ok();
            Ok(())
        } else {
            Err(CommandError::NoSuchKey)
        };
    }
    rename_to(ctx, &from, &to)?;
    ctx.reply.ok();
    Ok(())
}

fn rename_to(ctx: &mut Ctx<'_>, from: &Key<'_>, to: &Key<'_>) -> Outcome {
    let entry = ctx.db.take(from, Event::generic("rename_from")).ok_or(CommandError::NoSuchKey)?;
    // One change, already counted where the key was taken from.
    ctx.db.put_moved(to, entry, Event::generic("rename_to"));
    Ok(())
}

const RENAMENX: Command = Command {
    name: "renamenx",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::OW.insert())],
    args: &[Arg::key("key", 0), Arg::key("newkey", 1)],
    summary: "Gives a key another name unless that name is taken.",
    complexity: "O(1)",
    since: "1.0.0",
    history: &[("3.2.0", "The same name twice is no error.")],
    handler: renamenx,
    ..Command::DEFAULT
};

fn renamenx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    if !ctx.db.exists(&from) {
        return Err(CommandError::NoSuchKey);
    }
    let taken = ctx.db.exists(&to);
    if !taken {
        rename_to(ctx, &from, &to)?;
    }
    ctx.reply.flag(!taken);
    Ok(())
}

#[cfg(test)]
mod tests;
