//! Single members: adding, removing, moving, asking; and walking through all of them.

use crate::scan::{self, ScanOptions};
use kinovar_command::keyspace::Set;
use kinovar_command::{Access, Arg, Args, Arity, Command, Ctx, Flags, Group, KeySpec, Outcome};

pub(super) const SADD: Command = Command {
    name: "sadd",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("member").multiple()],
    summary: "Adds members to a set, making it if need be.",
    complexity: "O(N) for N members",
    since: "1.0.0",
    history: &[("2.4.0", "Several members at once.")],
    member: 2,
    handler: sadd,
    ..Command::DEFAULT
};

fn sadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let members = args.rest();
    let (settings, first) = (ctx.db.settings(), args.peek().unwrap_or_default());
    let mut set = ctx.db.upsert(&key, || Set::for_members(first, members.len(), settings))?;
    set.expect_members(members.len(), settings);
    let mut added = 0;
    for member in members {
        added += usize::from(set.add(member, settings));
    }
    if added > 0 {
        set.changed("sadd", added);
    } else {
        set.unchanged();
    }
    drop(set);
    ctx.reply.count(added);
    Ok(())
}

pub(super) const SREM: Command = Command {
    name: "srem",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("member").multiple()],
    summary: "Removes members from a set, and the key with the last one.",
    complexity: "O(N) for N members",
    since: "1.0.0",
    history: &[("2.4.0", "Several members at once.")],
    member: 2,
    handler: srem,
    ..Command::DEFAULT
};

fn srem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut removed = 0;
    if let Some(mut set) = ctx.db.update::<Set>(&key)? {
        removed = args.rest().filter(|member| set.remove(member)).count();
        if removed > 0 {
            set.changed("srem", removed);
        } else {
            set.unchanged();
        }
    }
    ctx.reply.count(removed);
    Ok(())
}

pub(super) const SMOVE: Command = Command {
    name: "smove",
    group: Group::Set,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::RW.insert())],
    args: &[Arg::key("source", 0), Arg::key("destination", 1), Arg::string("member")],
    summary: "Takes a member out of one set and puts it into another.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: smove,
    ..Command::DEFAULT
};

fn smove(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (source, destination, member) = (args.key()?, args.key()?, args.take()?);
    // Without a source the destination's type is of no interest.
    if !ctx.db.exists(&source) {
        ctx.reply.flag(false);
        return Ok(());
    }
    ctx.db.exists(&destination);
    let found = ctx.db.peek_value::<Set>(&source)?.is_some_and(|set| set.contains(member));
    ctx.db.peek_value::<Set>(&destination)?;
    if found && source.name != destination.name {
        if let Some(mut set) = ctx.db.update::<Set>(&source)? {
            set.remove(member);
            set.changed("srem", 1);
        }
        let settings = ctx.db.settings();
        let mut set = ctx.db.upsert(&destination, || Set::for_members(member, 1, settings))?;
        if set.add(member, settings) {
            set.changed("sadd", 1);
        } else {
            set.unchanged();
        }
    }
    ctx.reply.flag(found);
    Ok(())
}

pub(super) const SCARD: Command = Command {
    name: "scard",
    group: Group::Set,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Counts the members of a set.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: scard,
    ..Command::DEFAULT
};

fn scard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    ctx.reply.count(ctx.db.read_value::<Set>(&key)?.map_or(0, Set::len));
    Ok(())
}

pub(super) const SISMEMBER: Command = Command {
    name: "sismember",
    group: Group::Set,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0), Arg::string("member")],
    summary: "Tells whether a set has a member.",
    complexity: "O(1)",
    since: "1.0.0",
    member: 2,
    handler: sismember,
    ..Command::DEFAULT
};

fn sismember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, member) = (args.key()?, args.take()?);
    let found = ctx.db.read_value::<Set>(&key)?.is_some_and(|set| set.contains(member));
    ctx.reply.flag(found);
    Ok(())
}

pub(super) const SMISMEMBER: Command = Command {
    name: "smismember",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member").multiple()],
    summary: "Tells for each of several members whether a set has it.",
    complexity: "O(N) for N members asked for",
    since: "6.2.0",
    handler: smismember,
    ..Command::DEFAULT
};

fn smismember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let set = ctx.db.read_value::<Set>(&key)?;
    ctx.reply.array(args.left());
    for member in args.rest() {
        ctx.reply.flag(set.is_some_and(|set| set.contains(member)));
    }
    Ok(())
}

pub(super) const SMEMBERS: Command = Command {
    name: "smembers",
    group: Group::Set,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0)],
    summary: "Shows all members of a set.",
    complexity: "O(N) for a set of N members",
    since: "1.0.0",
    handler: smembers,
    ..Command::DEFAULT
};

fn smembers(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    match ctx.db.read_value::<Set>(&key)? {
        Some(set) => super::reply_members(&mut ctx.reply, set),
        None => ctx.reply.set(0),
    }
    Ok(())
}

pub(super) const SSCAN: Command = Command {
    name: "sscan",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Walks through the members of a set with a cursor.",
    complexity: "O(1) a call; O(N) a whole walk over N members",
    since: "2.8.0",
    handler: sscan,
    ..Command::DEFAULT
};

fn sscan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let cursor = scan::cursor(&mut args)?;
    let Some(set) = ctx.db.read_value::<Set>(&key)? else {
        // As in the reference, nobody has looked at the options by now.
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(&mut args, false)?;
    // The cursor comes first but is known last, so the members are written aside.
    let (mut members, mut shown) = (Vec::new(), 0);
    let mut aside = kinovar_command::Reply::new(&mut members, ctx.reply.protocol());
    let next = set.scan(cursor, options.count, &mut |member| {
        let mut buf = [0; 24];
        let bytes = member.bytes(&mut buf);
        if options.matches(bytes) {
            aside.bulk(bytes);
            shown += 1;
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk_integer(next as i64);
    ctx.reply.array(shown);
    ctx.reply.raw(&members);
    Ok(())
}
