//! When fields expire: setting, showing and dropping it.
//!
//! All of these look at the key's type before anything else, and answer one number for each field named.

use super::{FIELD_COUNT_NOT_POSITIVE, FIELDS, NEGATIVE_TIME, take_names};
use kinovar_command::expiry::{CONDITION, ExpiryWord, FIELD_MS_MAX, deadline_ms};
use kinovar_command::keyspace::{Hash, Teller};
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome};

const FIELD_COUNT_TOO_SMALL: CommandError = CommandError::text("ERR Parameter `numFields` should be greater than 0");

/// No such field.
const ABSENT: i64 = -2;
/// The field has no expiry.
const PERSISTENT: i64 = -1;
/// The condition is not met.
const REFUSED: i64 = 0;
/// Done.
const CHANGED: i64 = 1;
/// The time has come already, so the field is gone.
const REMOVED: i64 = 2;

pub(super) const HEXPIRE: Command = Command {
    name: "hexpire",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::integer("seconds"), CONDITION, FIELDS],
    summary: "Has fields of a hash expire in so many seconds.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hexpire,
    ..Command::DEFAULT
};

fn hexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_expiry(ctx, args, ExpiryWord::Ex, "hexpire")
}

pub(super) const HPEXPIRE: Command = Command {
    name: "hpexpire",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::integer("milliseconds"), CONDITION, FIELDS],
    summary: "Has fields of a hash expire in so many milliseconds.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hpexpire,
    ..Command::DEFAULT
};

fn hpexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_expiry(ctx, args, ExpiryWord::Px, "hpexpire")
}

pub(super) const HEXPIREAT: Command = Command {
    name: "hexpireat",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::unix_time("unix-time-seconds"), CONDITION, FIELDS],
    summary: "Has fields of a hash expire at a Unix time in seconds.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hexpireat,
    ..Command::DEFAULT
};

fn hexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_expiry(ctx, args, ExpiryWord::ExAt, "hexpireat")
}

pub(super) const HPEXPIREAT: Command = Command {
    name: "hpexpireat",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::unix_time("unix-time-milliseconds"), CONDITION, FIELDS],
    summary: "Has fields of a hash expire at a Unix time in milliseconds.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hpexpireat,
    ..Command::DEFAULT
};

fn hpexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_expiry(ctx, args, ExpiryWord::PxAt, "hpexpireat")
}

/// When an expiry may be set.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    /// If there is none.
    Nx,
    /// If there is one.
    Xx,
    /// If there is one and it is earlier.
    Gt,
    /// If there is none or it is later.
    Lt,
}

impl Condition {
    fn take(args: &mut Args<'_>) -> Condition {
        let words = [("NX", Condition::Nx), ("XX", Condition::Xx), ("GT", Condition::Gt), ("LT", Condition::Lt)];
        let found = words.into_iter().find(|(word, _)| args.accept(word));
        found.map_or(Condition::Always, |(_, condition)| condition)
    }

    fn allows(self, before_ms: Option<u64>, at_ms: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Nx => before_ms.is_none(),
            Condition::Xx => before_ms.is_some(),
            Condition::Gt => before_ms.is_some_and(|before_ms| before_ms < at_ms),
            Condition::Lt => before_ms.is_none_or(|before_ms| before_ms > at_ms),
        }
    }
}

/// Parses a time that fields may expire at, Unix ms; `command` names the command in the error.
pub(super) fn parse_deadline(
    value: &[u8],
    word: ExpiryWord,
    now_ms: u64,
    command: &'static str,
) -> Result<u64, CommandError> {
    let value = kinovar_command::number::parse_i64(value).ok_or(CommandError::NotInteger)?;
    if value < 0 {
        return Err(NEGATIVE_TIME);
    }
    let at_ms = deadline_ms(value, word.unit(), word.base_ms(now_ms), FIELD_MS_MAX);
    at_ms.map(|at_ms| at_ms as u64).ok_or(CommandError::InvalidExpire(command))
}

fn set_expiry(ctx: &mut Ctx<'_>, mut args: Args<'_>, word: ExpiryWord, command: &'static str) -> Outcome {
    let key = args.key()?;
    let (now_ms, expiry_ms, effects) = (ctx.now_ms(), ctx.expiry_ms(), ctx.effects());
    let mut hash = ctx.db.update::<Hash>(&key)?;
    if let Some(hash) = &mut hash {
        hash.unchanged();
    }
    let at_ms = parse_deadline(args.take()?, word, now_ms, command)?;
    let condition_at = args.index();
    let condition = Condition::take(&mut args);
    take_names(&mut args, FIELD_COUNT_TOO_SMALL)?;
    ctx.reply.array(args.left());
    let Some(hash) = &mut hash else {
        args.rest().for_each(|_| ctx.reply.integer(ABSENT));
        return Ok(());
    };
    hash.expect_expiries();
    let (mut changed, mut removed) = (0, 0);
    let mut told = Vec::new();
    for name in args.rest() {
        let code = set_field_expiry(hash, name, at_ms, condition, expiry_ms);
        changed += usize::from(code == CHANGED);
        removed += usize::from(code == REMOVED);
        if effects.is_on() {
            match code {
                CHANGED => told.push(name),
                REMOVED => effects.part(&[b"HDEL", key.name, name]),
                _ => {}
            }
        }
        ctx.reply.integer(code);
    }
    if !told.is_empty() {
        let head: Vec<&[u8]> = (condition_at..args.index() - 1).map(|index| args.at(index)).collect();
        tell_expiry(effects, &args, at_ms, word, &head, &told);
    }
    if changed > 0 {
        hash.changed("hexpire", changed);
    }
    if removed > 0 {
        hash.changed("hdel", removed);
    }
    Ok(())
}

/// Says that fields expire at a Unix time: those alone whose expiry was set. `head` is what stood between the time and their
/// number.
#[cold]
fn tell_expiry(effects: Teller<'_>, args: &Args<'_>, at_ms: u64, word: ExpiryWord, head: &[&[u8]], fields: &[&[u8]]) {
    let (time, count) = (at_ms.to_string(), fields.len().to_string());
    let mut words = match word {
        ExpiryWord::PxAt => vec![args.at(0), args.at(1), args.at(2)],
        _ => vec![&b"HPEXPIREAT"[..], args.at(1), time.as_bytes()],
    };
    words.extend_from_slice(head);
    words.push(count.as_bytes());
    words.extend_from_slice(fields);
    effects.instead(&words);
}

fn set_field_expiry(hash: &mut Hash, name: &[u8], at_ms: u64, condition: Condition, expiry_ms: u64) -> i64 {
    let Some(field) = hash.find(name) else { return ABSENT };
    if !condition.allows(field.expire_at_ms, at_ms) {
        return REFUSED;
    }
    if at_ms <= expiry_ms {
        hash.remove(name);
        return REMOVED;
    }
    hash.set_expiry(name, Some(at_ms));
    CHANGED
}

pub(super) const HTTL: Command = Command {
    name: "httl",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0), FIELDS],
    summary: "Shows how many seconds fields of a hash have left.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: httl,
    ..Command::DEFAULT
};

fn httl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let now_ms = ctx.now_ms();
    show_expiry(ctx, args, |at_ms| whole_seconds(at_ms - now_ms))
}

pub(super) const HPTTL: Command = Command {
    name: "hpttl",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0), FIELDS],
    summary: "Shows how many milliseconds fields of a hash have left.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hpttl,
    ..Command::DEFAULT
};

fn hpttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let now_ms = ctx.now_ms();
    show_expiry(ctx, args, |at_ms| at_ms - now_ms)
}

pub(super) const HEXPIRETIME: Command = Command {
    name: "hexpiretime",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), FIELDS],
    summary: "Shows when fields of a hash expire, as Unix times in seconds.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hexpiretime,
    ..Command::DEFAULT
};

fn hexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    show_expiry(ctx, args, whole_seconds)
}

pub(super) const HPEXPIRETIME: Command = Command {
    name: "hpexpiretime",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), FIELDS],
    summary: "Shows when fields of a hash expire, as Unix times in milliseconds.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hpexpiretime,
    ..Command::DEFAULT
};

fn hpexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    show_expiry(ctx, args, |at_ms| at_ms)
}

/// Seconds, begun ones counted.
fn whole_seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

/// Replies with what `show` makes of the expiry of each field named.
fn show_expiry(ctx: &mut Ctx<'_>, mut args: Args<'_>, show: impl Fn(u64) -> u64) -> Outcome {
    let key = args.key()?;
    let now_ms = ctx.now_ms();
    let hash = ctx.db.read_value::<Hash>(&key)?;
    take_names(&mut args, FIELD_COUNT_NOT_POSITIVE)?;
    ctx.reply.array(args.left());
    for name in args.rest() {
        let field = hash.and_then(|hash| hash.find_live(name, now_ms));
        ctx.reply.integer(match field.map(|field| field.expire_at_ms) {
            None => ABSENT,
            Some(None) => PERSISTENT,
            Some(Some(at_ms)) => show(at_ms) as i64,
        });
    }
    Ok(())
}

pub(super) const HPERSIST: Command = Command {
    name: "hpersist",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), FIELDS],
    summary: "Drops the expiry of fields of a hash.",
    complexity: "O(N) for N fields named",
    since: "7.4.0",
    handler: hpersist,
    ..Command::DEFAULT
};

fn hpersist(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let now_ms = ctx.expiry_ms();
    let mut hash = ctx.db.update::<Hash>(&key)?;
    if let Some(hash) = &mut hash {
        hash.unchanged();
    }
    take_names(&mut args, FIELD_COUNT_NOT_POSITIVE)?;
    ctx.reply.array(args.left());
    let Some(hash) = &mut hash else {
        args.rest().for_each(|_| ctx.reply.integer(ABSENT));
        return Ok(());
    };
    let mut changed = 0;
    for name in args.rest() {
        ctx.reply.integer(match hash.find_live(name, now_ms).map(|field| field.expire_at_ms) {
            None => ABSENT,
            Some(None) => PERSISTENT,
            Some(Some(_)) => {
                hash.set_expiry(name, None);
                changed += 1;
                CHANGED
            }
        });
    }
    if changed > 0 {
        hash.changed("hpersist", changed);
    }
    Ok(())
}
