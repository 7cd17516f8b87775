//! When keys expire: EXPIRE, PERSIST, TTL and their variants.

use kinovar_command::expiry::{self, KEY_MS_MAX, TimeUnit, deadline_ms};
use kinovar_command::{
    Access, Acl, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome, number,
};

const CONDITION: Arg = expiry::CONDITION.since("7.0.0");

const HISTORY: &[(&str, &str)] = &[("7.0.0", "New options `NX`, `XX`, `GT` and `LT`.")];

pub(super) const EXPIRE: Command = Command {
    name: "expire",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::integer("seconds"), CONDITION],
    summary: "Lets a key expire after some seconds.",
    complexity: "O(1)",
    since: "1.0.0",
    history: HISTORY,
    handler: expire,
    ..Command::DEFAULT
};

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let base_ms = ctx.now_ms();
    expire_at(ctx, args, TimeUnit::Seconds, base_ms, "expire")
}

pub(super) const EXPIREAT: Command = Command {
    name: "expireat",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::unix_time("unix-time-seconds"), CONDITION],
    summary: "Lets a key expire at a Unix time.",
    complexity: "O(1)",
    since: "1.2.0",
    history: HISTORY,
    handler: expireat,
    ..Command::DEFAULT
};

fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    expire_at(ctx, args, TimeUnit::Seconds, 0, "expireat")
}

pub(super) const PEXPIRE: Command = Command {
    name: "pexpire",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::integer("milliseconds"), CONDITION],
    summary: "Lets a key expire after some milliseconds.",
    complexity: "O(1)",
    since: "2.6.0",
    history: HISTORY,
    handler: pexpire,
    ..Command::DEFAULT
};

fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let base_ms = ctx.now_ms();
    expire_at(ctx, args, TimeUnit::Millis, base_ms, "pexpire")
}

pub(super) const PEXPIREAT: Command = Command {
    name: "pexpireat",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::unix_time("unix-time-milliseconds"), CONDITION],
    summary: "Lets a key expire at a Unix time in milliseconds.",
    complexity: "O(1)",
    since: "2.6.0",
    history: HISTORY,
    handler: pexpireat,
    ..Command::DEFAULT
};

fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    expire_at(ctx, args, TimeUnit::Millis, 0, "pexpireat")
}

const NX_AND_OTHERS: CommandError =
    CommandError::text("ERR NX and XX, GT or LT options at the same time are not compatible");
const GT_AND_LT: CommandError = CommandError::text("ERR GT and LT options at the same time are not compatible");

/// On what condition an expiry is set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Conditions {
    /// Only if there is none.
    absent: bool,
    /// Only if there is one.
    present: bool,
    /// Only if it becomes later.
    later: bool,
    /// Only if it becomes earlier.
    earlier: bool,
}

impl Conditions {
    fn parse(mut args: Args<'_>) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        while let Some(word) = args.peek() {
            if args.accept("NX") {
                conditions.absent = true;
            } else if args.accept("XX") {
                conditions.present = true;
            } else if args.accept("GT") {
                conditions.later = true;
            } else if args.accept("LT") {
                conditions.earlier = true;
            } else {
                return Err(CommandError::Bytes([b"ERR Unsupported option ", word].concat()));
            }
        }
        let Conditions { absent, present, later, earlier } = conditions;
        if absent && (present || later || earlier) {
            return Err(NX_AND_OTHERS);
        }
        if later && earlier { Err(GT_AND_LT) } else { Ok(conditions) }
    }

    /// Whether a key that expires at `current_ms` may be made to expire at `at_ms`. No expiry is the latest of all.
    fn allow(self, current_ms: Option<u64>, at_ms: i64) -> bool {
        let is_later = current_ms.is_some_and(|current_ms| at_ms > 0 && at_ms as u64 > current_ms);
        let is_earlier = current_ms.is_none_or(|current_ms| at_ms < 0 || (at_ms as u64) < current_ms);
        (!self.absent || current_ms.is_none())
            && (!self.present || current_ms.is_some())
            && (!self.later || is_later)
            && (!self.earlier || is_earlier)
    }
}

fn expire_at(ctx: &mut Ctx<'_>, mut args: Args<'_>, unit: TimeUnit, base_ms: u64, command: &'static str) -> Outcome {
    let key = args.key()?;
    let value = args.take()?;
    let conditions = Conditions::parse(args)?;
    let value = number::parse_i64(value).ok_or(CommandError::NotInteger)?;
    let at_ms = deadline_ms(value, unit, base_ms, KEY_MS_MAX).ok_or(CommandError::InvalidExpire(command))?;
    let allowed = conditions == Conditions::default()
        || ctx.db.peek(&key).is_some_and(|entry| conditions.allow(entry.expire_at_ms(), at_ms));
    let set = allowed
        && if at_ms <= ctx.expiry_ms() as i64 {
            ctx.db.delete(&key)
        } else {
            ctx.db.set_expiry(&key, Some(at_ms as u64))
        };
    if set && ctx.effects().is_on() {
        tell_expiry(ctx, &args, at_ms, command);
    }
    ctx.reply.flag(set);
    Ok(())
}

/// Says what has become of the key: gone, or to expire at a Unix time. `args` stands at the conditions.
#[cold]
fn tell_expiry(ctx: &Ctx<'_>, args: &Args<'_>, at_ms: i64, command: &str) {
    let key = args.at(1);
    if at_ms <= ctx.expiry_ms() as i64 {
        ctx.effects().instead(&[ctx.db.settings().word_of_expiry(), key]);
    } else if command != "pexpireat" {
        let time = at_ms.to_string();
        let mut words = vec![&b"PEXPIREAT"[..], key, time.as_bytes()];
        words.extend(args.rest());
        ctx.effects().instead(&words);
    }
}

pub(super) const PERSIST: Command = Command {
    name: "persist",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0)],
    summary: "Removes a key's expiry.",
    complexity: "O(1)",
    since: "2.2.0",
    handler: persist,
    ..Command::DEFAULT
};

fn persist(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let expires = ctx.db.peek(&key).is_some_and(|entry| entry.expire_at_ms().is_some());
    ctx.reply.flag(expires && ctx.db.set_expiry(&key, None));
    Ok(())
}

pub(super) const TTL: Command = Command {
    name: "ttl",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Tells in how many seconds a key expires.",
    complexity: "O(1)",
    since: "1.0.0",
    history: &[("2.8.0", "Replies -2 if the key does not exist.")],
    handler: ttl,
    ..Command::DEFAULT
};

fn ttl(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_time(ctx, &key, |at_ms, now_ms| to_seconds(at_ms.saturating_sub(now_ms)))
}

pub(super) const PTTL: Command = Command {
    name: "pttl",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Tells in how many milliseconds a key expires.",
    complexity: "O(1)",
    since: "2.6.0",
    history: &[("2.8.0", "Replies -2 if the key does not exist.")],
    handler: pttl,
    ..Command::DEFAULT
};

fn pttl(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_time(ctx, &key, |at_ms, now_ms| at_ms.saturating_sub(now_ms))
}

pub(super) const EXPIRETIME: Command = Command {
    name: "expiretime",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0)],
    summary: "Tells at what Unix time a key expires.",
    complexity: "O(1)",
    since: "7.0.0",
    handler: expiretime,
    ..Command::DEFAULT
};

fn expiretime(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_time(ctx, &key, |at_ms, _| to_seconds(at_ms))
}

pub(super) const PEXPIRETIME: Command = Command {
    name: "pexpiretime",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0)],
    summary: "Tells at what Unix time, in milliseconds, a key expires.",
    complexity: "O(1)",
    since: "7.0.0",
    handler: pexpiretime,
    ..Command::DEFAULT
};

fn pexpiretime(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_time(ctx, &key, |at_ms, _| at_ms)
}

/// Rounds to the nearest second.
fn to_seconds(ms: u64) -> u64 {
    (ms + 500) / 1000
}

/// Replies with what `show` makes of the key's expiry and the time now; -1 without expiry, -2 without key.
fn reply_time(ctx: &mut Ctx<'_>, key: &kinovar_command::Key<'_>, show: impl FnOnce(u64, u64) -> u64) -> Outcome {
    let now_ms = ctx.now_ms();
    let time = match ctx.db.inspect(key).map(|entry| entry.expire_at_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => show(at_ms, now_ms) as i64,
    };
    ctx.reply.integer(time);
    Ok(())
}
