//! Strings: set and get.
//!
//! | module | commands |
//! |---|---|
//! | here | GET, SET and their variants, for one key and for several |
//! | [`counter`] | INCR, DECR and their variants |
//! | [`range`] | APPEND, GETRANGE, SETRANGE, STRLEN |
//! | [`lcs`] | LCS |
//! | [`compare`] | DIGEST, DELEX, and the conditions that SET shares with it |
//! | [`increx`] | INCREX |
//! | [`msetex`] | MSETEX |

mod compare;
mod counter;
mod increx;
mod lcs;
mod msetex;
mod range;

use compare::{COMPARISONS, Comparison, DELEX, DIGEST};
use counter::{DECR, DECRBY, INCR, INCRBY, INCRBYFLOAT};
use increx::INCREX;
use kinovar_command::expiry::{
    ExpiryChange, ExpiryOption, ExpiryWord, TIME_OR_PERSIST, TimeUnit, positive_deadline_ms,
};
use kinovar_command::keyspace::{Text, Ttl, object};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Deprecated, Flags, Group, Key, KeyAt, KeySpec, Outcome, Reply,
};
use lcs::LCS;
use msetex::MSETEX;
use range::{APPEND, GETRANGE, SETRANGE, STRLEN, SUBSTR};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    APPEND,
    DECR,
    DECRBY,
    DELEX,
    DIGEST,
    GET,
    GETDEL,
    GETEX,
    GETRANGE,
    GETSET,
    INCR,
    INCRBY,
    INCRBYFLOAT,
    INCREX,
    LCS,
    MGET,
    MSET,
    MSETEX,
    MSETNX,
    PSETEX,
    SET,
    SETEX,
    SETNX,
    SETRANGE,
    STRLEN,
    SUBSTR,
];

/// Replies with a string as a bulk string.
#[inline]
fn bulk_text(reply: &mut Reply<'_>, text: Text<'_>) {
    match text {
        Text::Bytes(bytes) => reply.bulk(bytes),
        Text::Int(value) => reply.bulk_integer(value),
    }
}

/// Reads a string and replies with it, or with null; whether the key exists.
#[inline]
fn reply_value(ctx: &mut Ctx<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    match ctx.db.read_text(key)? {
        Some(text) => {
            bulk_text(&mut ctx.reply, text);
            Ok(true)
        }
        None => {
            ctx.reply.null();
            Ok(false)
        }
    }
}

const GET: Command = Command {
    name: "get",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0)],
    summary: "Reads a string.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: get,
    ..Command::DEFAULT
};

fn get(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    reply_value(ctx, &args.key()?)?;
    Ok(())
}

const GETDEL: Command = Command {
    name: "getdel",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    args: &[Arg::key("key", 0)],
    summary: "Reads a string and deletes its key.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: getdel,
    ..Command::DEFAULT
};

fn getdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    if reply_value(ctx, &key)? {
        ctx.db.delete(&key);
        ctx.effects().instead(&[b"DEL", key.name]);
    }
    Ok(())
}

const GETEX: Command = Command {
    name: "getex",
    group: Group::String,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update()).with_notes("The key is written because its expiry changes")],
    args: &[Arg::key("key", 0), TIME_OR_PERSIST],
    summary: "Reads a string and sets or removes its expiry.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: getex,
    ..Command::DEFAULT
};

fn getex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut expiry = ExpiryOption::default();
    while expiry.accept(&mut args, ExpiryWord::KeepTtl)? {}
    args.finish()?;
    if !reply_value(ctx, &key)? {
        return Ok(());
    }
    // The number is looked at only now: a missing key or one of another type comes first.
    match expiry.resolve(ctx.now_ms(), "getex")? {
        ExpiryChange::At(at_ms) if at_ms <= ctx.expiry_ms() => {
            ctx.db.delete(&key);
            ctx.effects().instead(&[ctx.db.settings().word_of_expiry(), key.name]);
        }
        ExpiryChange::At(at_ms) => {
            ctx.db.set_expiry(&key, Some(at_ms));
            if ctx.effects().is_on() {
                ctx.effects().instead(&[b"PEXPIREAT", key.name, at_ms.to_string().as_bytes()]);
            }
        }
        ExpiryChange::Persist => {
            if ctx.db.peek(&key).is_some_and(|entry| entry.expire_at_ms().is_some()) {
                ctx.db.set_expiry(&key, None);
                ctx.effects().instead(&[b"PERSIST", key.name]);
            }
        }
        ExpiryChange::Unspecified | ExpiryChange::Keep => {}
    }
    Ok(())
}

const GETSET: Command = Command {
    name: "getset",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::string("value")],
    summary: "Sets a string and replies with what it was before.",
    complexity: "O(1)",
    since: "1.0.0",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`SET` with the `!GET` argument" }),
    handler: getset,
    ..Command::DEFAULT
};

fn getset(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_value(ctx, &key)?;
    let value = args.take()?;
    ctx.db.set_text(&key, value, Ttl::Clear);
    ctx.effects().instead(&[b"SET", key.name, value]);
    Ok(())
}

const SET: Command = Command {
    name: "set",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.access().update().or(Access::VARIABLE_FLAGS))
        .with_notes("The value is read only with the option `GET`")],
    key_finder: Some(set_keys),
    args: &[
        Arg::key("key", 0),
        Arg::string("value"),
        Arg::one_of(
            "condition",
            &[
                Arg::word("nx", "NX"),
                Arg::word("xx", "XX"),
                COMPARISONS[0].since("8.4.0"),
                COMPARISONS[1].since("8.4.0"),
                COMPARISONS[2].since("8.4.0"),
                COMPARISONS[3].since("8.4.0"),
            ],
        )
        .optional()
        .since("2.6.12"),
        Arg::word("get", "GET").optional().since("6.2.0"),
        Arg::one_of(
            "expiration",
            &[
                Arg::integer("seconds").token("EX").since("2.6.12"),
                Arg::integer("milliseconds").token("PX").since("2.6.12"),
                Arg::unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                Arg::unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                Arg::word("keepttl", "KEEPTTL").since("6.0.0"),
            ],
        )
        .optional(),
    ],
    summary: "Sets a string, whatever the key held before.",
    complexity: "O(1)",
    since: "1.0.0",
    history: &[
        ("2.6.12", "New options `EX`, `PX`, `NX` and `XX`."),
        ("6.0.0", "New option `KEEPTTL`."),
        ("6.2.0", "New options `GET`, `EXAT` and `PXAT`."),
        ("7.0.0", "`GET` may be combined with `NX`."),
        ("8.4.0", "New options `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE`."),
    ],
    handler: set,
    ..Command::DEFAULT
};

/// Whether SET reads the value depends on its options.
fn set_keys(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    let is_read_by = |word: &[u8]| word.eq_ignore_ascii_case(b"GET") || Comparison::is_word(word);
    let reads = (3..args.argc()).any(|index| is_read_by(args.at(index)));
    let access = if reads { Access::RW.access().update() } else { Access::OW.update() };
    keys.push(KeyAt { index: 1, access });
}

fn set(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let value = args.take()?;
    if !args.is_empty() {
        return set_with_options(ctx, &key, value, args);
    }
    ctx.db.set_text(&key, value, Ttl::Clear);
    ctx.reply.ok();
    Ok(())
}

/// On what condition SET sets.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Always,
    IfAbsent,
    IfPresent,
    If(Comparison<'a>),
}

impl Condition<'_> {
    /// Whether the two may stand in one command: the later one counts then.
    fn admits(&self, other: &Condition<'_>) -> bool {
        use Condition::*;
        match (self, other) {
            (Always, _) | (IfAbsent, IfAbsent) | (IfPresent, IfPresent) => true,
            (If(one), If(other)) => one.is_like(other),
            _ => false,
        }
    }
}

#[derive(Clone, Copy)]
struct SetOptions<'a> {
    condition: Condition<'a>,
    /// Reply with the old value.
    get: bool,
    expiry: ExpiryOption<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(mut args: Args<'a>) -> Result<Self, CommandError> {
        let mut options = SetOptions { condition: Condition::Always, get: false, expiry: ExpiryOption::default() };
        while !args.is_empty() {
            if options.expiry.accept(&mut args, ExpiryWord::Persist)? {
                continue;
            }
            let condition = if let Some(comparison) = Comparison::accept(&mut args)? {
                Condition::If(comparison)
            } else if args.accept("NX") {
                Condition::IfAbsent
            } else if args.accept("XX") {
                Condition::IfPresent
            } else if args.accept("GET") {
                options.get = true;
                continue;
            } else {
                return Err(CommandError::Syntax);
            };
            if !options.condition.admits(&condition) {
                return Err(CommandError::Syntax);
            }
            options.condition = condition;
        }
        Ok(options)
    }
}

fn set_with_options(ctx: &mut Ctx<'_>, key: &Key<'_>, value: &[u8], args: Args<'_>) -> Outcome {
    let options = SetOptions::parse(args)?;
    let ttl = match options.expiry.resolve(ctx.now_ms(), "set")? {
        ExpiryChange::At(at_ms) => Ttl::At(at_ms),
        ExpiryChange::Keep => Ttl::Keep,
        ExpiryChange::Unspecified | ExpiryChange::Persist => Ttl::Clear,
    };
    let existed = match (options.get, options.condition) {
        (true, _) => reply_value(ctx, key)?,
        (false, Condition::Always | Condition::If(_)) => false,
        (false, _) => ctx.db.exists(key),
    };
    let wanted = match options.condition {
        Condition::Always => true,
        Condition::IfAbsent => !existed,
        Condition::IfPresent => existed,
        Condition::If(comparison) => {
            // With `GET` it was read already, and is of the right type.
            let value = match options.get {
                true => ctx.db.peek(key).and_then(|entry| object::text(entry).ok()),
                false => ctx.db.read_text(key)?,
            };
            value.map_or(Ok(comparison.holds_of_nothing()), |value| comparison.holds(value))?
        }
    };
    if wanted {
        ctx.db.set_text(key, value, ttl);
        if ctx.effects().is_on() {
            tell_set(ctx, &args, key, value, &options, ttl);
        }
    }
    match (options.get, wanted) {
        (true, _) => {}
        (false, true) => ctx.reply.ok(),
        (false, false) => ctx.reply.null(),
    }
    Ok(())
}

/// Says what SET with options comes to: a time to live depends on when it is read, and nobody reads a reply to `GET`.
#[cold]
fn tell_set(ctx: &Ctx<'_>, args: &Args<'_>, key: &Key<'_>, value: &[u8], options: &SetOptions<'_>, ttl: Ttl) {
    // A value that is compared is known by now, and older servers do not know how to.
    let compares = matches!(options.condition, Condition::If(_));
    match ttl {
        Ttl::At(at_ms) if !options.expiry.is_unix_ms() || compares => tell_set_until(ctx, key, value, at_ms),
        Ttl::Keep if compares => ctx.effects().instead(&[b"SET", key.name, value, b"KEEPTTL"]),
        Ttl::Clear if compares => ctx.effects().instead(&[b"SET", key.name, value]),
        Ttl::Keep | Ttl::Clear if options.get => {
            let is_get = |index: usize| index >= 3 && args.at(index).eq_ignore_ascii_case(b"GET");
            let words: Vec<_> = (0..args.argc()).filter(|&index| !is_get(index)).map(|index| args.at(index)).collect();
            ctx.effects().instead(&words);
        }
        _ => {}
    }
}

/// Says that a string was set that expires at a Unix time.
fn tell_set_until(ctx: &Ctx<'_>, key: &Key<'_>, value: &[u8], at_ms: u64) {
    ctx.effects().instead(&[b"SET", key.name, value, b"PXAT", at_ms.to_string().as_bytes()]);
}

const SETEX: Command = Command {
    name: "setex",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update())],
    args: &[Arg::key("key", 0), Arg::integer("seconds"), Arg::string("value")],
    summary: "Sets a string that expires after some seconds.",
    complexity: "O(1)",
    since: "2.0.0",
    deprecated: Some(Deprecated { since: "2.6.12", replaced_by: "`SET` with the `EX` argument" }),
    handler: setex,
    ..Command::DEFAULT
};

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_for(ctx, args, TimeUnit::Seconds, "setex")
}

const PSETEX: Command = Command {
    name: "psetex",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update())],
    args: &[Arg::key("key", 0), Arg::integer("milliseconds"), Arg::string("value")],
    summary: "Sets a string that expires after some milliseconds.",
    complexity: "O(1)",
    since: "2.6.0",
    deprecated: Some(Deprecated { since: "2.6.12", replaced_by: "`SET` with the `PX` argument" }),
    handler: psetex,
    ..Command::DEFAULT
};

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_for(ctx, args, TimeUnit::Millis, "psetex")
}

fn set_for(ctx: &mut Ctx<'_>, mut args: Args<'_>, unit: TimeUnit, command: &'static str) -> Outcome {
    let key = args.key()?;
    let at_ms = positive_deadline_ms(args.take()?, unit, ctx.now_ms(), command)?;
    let value = args.take()?;
    ctx.db.set_text(&key, value, Ttl::At(at_ms));
    if ctx.effects().is_on() {
        tell_set_until(ctx, &key, value, at_ms);
    }
    ctx.reply.ok();
    Ok(())
}

const SETNX: Command = Command {
    name: "setnx",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::OW.insert())],
    args: &[Arg::key("key", 0), Arg::string("value")],
    summary: "Sets a string unless the key exists.",
    complexity: "O(1)",
    since: "1.0.0",
    deprecated: Some(Deprecated { since: "2.6.12", replaced_by: "`SET` with the `NX` argument" }),
    handler: setnx,
    ..Command::DEFAULT
};

fn setnx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let existed = ctx.db.exists(&key);
    if !existed {
        ctx.db.set_text(&key, args.take()?, Ttl::Clear);
    }
    ctx.reply.flag(!existed);
    Ok(())
}

const MGET: Command = Command {
    name: "mget",
    group: Group::String,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, Access::RO.access())],
    tips: &["request_policy:multi_shard"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Reads several strings at once.",
    complexity: "O(N) in the number of keys.",
    since: "1.0.0",
    handler: mget,
    ..Command::DEFAULT
};

fn mget(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    ctx.reply.array(args.left());
    while !args.is_empty() {
        match ctx.db.read_text(&args.key()?) {
            Ok(Some(text)) => bulk_text(&mut ctx.reply, text),
            // Another type is no error here.
            Ok(None) | Err(_) => ctx.reply.null(),
        }
    }
    Ok(())
}

const MSET: Command = Command {
    name: "mset",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::range(1, -1, 2, Access::OW.update())],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    args: &[Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multiple()],
    summary: "Sets several strings at once.",
    complexity: "O(N) in the number of keys.",
    since: "1.0.1",
    handler: mset,
    ..Command::DEFAULT
};

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_pairs(&args, "mset")?;
    set_pairs(ctx, args)?;
    ctx.reply.ok();
    Ok(())
}

fn check_pairs(args: &Args<'_>, command: &str) -> Outcome {
    if args.left().is_multiple_of(2) { Ok(()) } else { Err(CommandError::WrongArity(command.into())) }
}

fn set_pairs(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    while !args.is_empty() {
        let key = args.key()?;
        ctx.db.set_text(&key, args.take()?, Ttl::Clear);
    }
    Ok(())
}

const MSETNX: Command = Command {
    name: "msetnx",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::range(1, -1, 2, Access::OW.insert())],
    args: &[Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multiple()],
    summary: "Sets several strings at once unless one of the keys exists.",
    complexity: "O(N) in the number of keys.",
    since: "1.0.1",
    handler: msetnx,
    ..Command::DEFAULT
};

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_pairs(&args, "msetnx")?;
    let mut keys = args;
    while !keys.is_empty() {
        if ctx.db.exists(&keys.key()?) {
            ctx.reply.flag(false);
            return Ok(());
        }
        keys.take()?;
    }
    set_pairs(ctx, args)?;
    ctx.reply.flag(true);
    Ok(())
}

#[cfg(test)]
mod tests;
