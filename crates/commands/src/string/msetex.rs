//! MSETEX: several strings at once with one expiry, a command of Redis 8.4.

use kinovar_command::expiry::{ExpiryChange, ExpiryOption, ExpiryWord, TIME_OR_KEEPTTL};
use kinovar_command::keyspace::Ttl;
use kinovar_command::{
    Access, Arg, Args, Arity, Begin, Command, CommandError, Ctx, Find, Flags, Group, KeySpec, Outcome, number,
};

/// Pairs after their number, at 1.
const PAIRS: KeySpec = KeySpec {
    access: Access::OW.update(),
    begin: Begin::Index(1),
    find: Find::KeyNum { num_index: 0, first: 1, step: 2 },
    notes: "",
};

pub(super) const MSETEX: Command = Command {
    name: "msetex",
    group: Group::String,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &[PAIRS],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    args: &[
        Arg::integer("numkeys"),
        Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multiple(),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
        TIME_OR_KEEPTTL,
    ],
    summary: "Sets several strings at once, with one expiry for all, if all of the keys exist or none.",
    complexity: "O(N) in the number of keys.",
    since: "8.4.0",
    handler: msetex,
    ..Command::DEFAULT
};

/// Which keys have to exist: all (`XX`) or none (`NX`).
fn parse_options<'a>(args: &mut Args<'a>) -> Result<(Option<bool>, ExpiryOption<'a>), CommandError> {
    let (mut exist, mut expiry) = (None, ExpiryOption::default());
    while !args.is_empty() {
        if expiry.accept(args, ExpiryWord::Persist)? {
            continue;
        }
        let condition = match () {
            () if args.accept("NX") => false,
            () if args.accept("XX") => true,
            () => return Err(CommandError::Syntax),
        };
        if exist.is_some_and(|other| other != condition) {
            return Err(CommandError::Syntax);
        }
        exist = Some(condition);
    }
    Ok((exist, expiry))
}

fn msetex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = number::parse_i64(args.take()?).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let count = count.ok_or(CommandError::text("ERR invalid numkeys value"))? as usize;
    if args.left() / 2 < count {
        return Err(CommandError::text("ERR wrong number of key-value pairs"));
    }
    let pairs = args;
    let mut options = Args::skipping(args, args.index() + 2 * count);
    let (exist, expiry) = parse_options(&mut options)?;
    let ttl = match expiry.resolve(ctx.now_ms(), "msetex")? {
        ExpiryChange::At(at_ms) => Ttl::At(at_ms),
        ExpiryChange::Keep => Ttl::Keep,
        ExpiryChange::Unspecified | ExpiryChange::Persist => Ttl::Clear,
    };
    if let Some(exist) = exist {
        let mut keys = pairs;
        for _ in 0..count {
            if ctx.db.exists(&keys.key()?) != exist {
                ctx.reply.flag(false);
                return Ok(());
            }
            keys.take()?;
        }
    }
    set_all(ctx, pairs, count, ttl)?;
    ctx.reply.flag(true);
    Ok(())
}

/// Sets the pairs. What the journal is told are commands that older servers know.
fn set_all(ctx: &mut Ctx<'_>, mut pairs: Args<'_>, count: usize, ttl: Ttl) -> Outcome {
    let tells = ctx.effects().is_on();
    for _ in 0..count {
        let (key, value) = (pairs.key()?, pairs.take()?);
        ctx.db.set_text(&key, value, ttl);
        if tells {
            match ttl {
                Ttl::At(at_ms) => {
                    ctx.effects().part(&[b"SET", key.name, value, b"PXAT", at_ms.to_string().as_bytes()]);
                }
                Ttl::Keep => ctx.effects().part(&[b"SET", key.name, value, b"KEEPTTL"]),
                Ttl::Clear => ctx.effects().part(&[b"SET", key.name, value]),
            }
        }
    }
    Ok(())
}
