//! Members chosen by chance: `SPOP` and `SRANDMEMBER`.

use kinovar_command::keyspace::{Set, Teller};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome, check_reply_size,
};

/// The lowest count of `SRANDMEMBER` has no positive twin.
const COUNT_OUT_OF_RANGE: CommandError =
    CommandError::text("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

pub(super) const SPOP: Command = Command {
    name: "spop",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0), Arg::integer("count").optional().since("3.2.0")],
    summary: "Takes random members out of a set and shows them.",
    complexity: "O(N) for N members taken",
    since: "1.0.0",
    history: &[("3.2.0", "The count.")],
    handler: spop,
    ..Command::DEFAULT
};

fn spop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    if !args.is_empty() {
        let count = args.integer().ok().and_then(|count| usize::try_from(count).ok());
        args.finish()?;
        return pop_many(ctx, &key, count.ok_or(CommandError::MustBePositive)?);
    }
    let effects = ctx.effects();
    let Some(mut set) = ctx.db.update::<Set>(&key)? else {
        ctx.reply.null();
        return Ok(());
    };
    let rng = &set.env().work.rng;
    set.pop(&mut rng.borrow_mut(), |member| {
        let mut buf = [0; 24];
        let member = member.bytes(&mut buf);
        ctx.reply.bulk(member);
        effects.instead(&[b"SREM", key.name, member]);
    });
    set.changed("spop", 1);
    Ok(())
}

fn pop_many(ctx: &mut Ctx<'_>, key: &Key<'_>, count: usize) -> Outcome {
    let effects = ctx.effects();
    let Some(mut set) = ctx.db.update::<Set>(key)? else {
        ctx.reply.set(0);
        return Ok(());
    };
    let count = count.min(set.len());
    ctx.reply.set(count);
    if count == 0 {
        set.unchanged();
        return Ok(());
    }
    let env = set.env();
    let old = if count == set.len() {
        super::reply_each(&mut ctx.reply, &set);
        effects.part(&[if env.settings.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" }, key.name]);
        Some(std::mem::take(&mut *set))
    } else {
        let reply = &mut ctx.reply;
        let mut popped = Vec::new();
        let old = set.pop_many(count, &mut env.work.rng.borrow_mut(), env.settings, &mut |member| {
            let mut buf = [0; 24];
            let member = member.bytes(&mut buf);
            reply.bulk(member);
            if effects.is_on() {
                popped.push(member.to_vec());
            }
        });
        tell_removed(effects, key, &popped);
        old
    };
    if let Some(old) = old {
        set.discard(old);
    }
    set.changed("spop", count);
    Ok(())
}

/// Says that members were removed, so many at a time.
fn tell_removed(effects: Teller<'_>, key: &Key<'_>, members: &[Vec<u8>]) {
    const AT_A_TIME: usize = 1024;
    for members in members.chunks(AT_A_TIME) {
        let mut words = vec![&b"SREM"[..], key.name];
        words.extend(members.iter().map(Vec::as_slice));
        effects.part(&words);
    }
}

pub(super) const SRANDMEMBER: Command = Command {
    name: "srandmember",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0), Arg::integer("count").optional().since("2.6.0")],
    summary: "Shows random members of a set.",
    complexity: "O(N) for N members shown",
    since: "1.0.0",
    history: &[("2.6.0", "The count.")],
    handler: srandmember,
    ..Command::DEFAULT
};

fn srandmember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CommandError::Syntax);
    }
    let count = if args.is_empty() { None } else { Some(args.integer()?) };
    if count == Some(i64::MIN) {
        return Err(COUNT_OUT_OF_RANGE);
    }
    let rng = &ctx.db.env().work.rng;
    let set = ctx.db.read_value::<Set>(&key)?;
    let rng = &mut rng.borrow_mut();
    let Some(count) = count else {
        match set.and_then(|set| set.random(rng)) {
            Some(member) => ctx.reply.bulk(member.bytes(&mut [0; 24])),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let Some(set) = set else {
        ctx.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        ctx.reply.array(wanted);
        for _ in 0..wanted {
            let member = set.random(rng).expect("a stored set is not empty");
            ctx.reply.bulk(member.bytes(&mut [0; 24]));
            check_reply_size(&ctx.reply)?;
        }
    } else {
        ctx.reply.array(wanted.min(set.len()));
        let reply = &mut ctx.reply;
        set.sample(wanted, rng, &mut |member| reply.bulk(member.bytes(&mut [0; 24])));
    }
    Ok(())
}
