//! HyperLogLogs: estimates of how many different elements there were. The strings themselves are the business of
//! [`kinovar_command::keyspace::hyperloglog`].

mod debug;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::hyperloglog::{self as hll, Hit, Invalid, REGISTERS};
use kinovar_command::keyspace::{NewPayload, Text};
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[PFADD, PFCOUNT, debug::PFDEBUG, PFMERGE, debug::PFSELFTEST];

const NOT_A_HYPERLOGLOG: CommandError = CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPTED: CommandError = CommandError::text("INVALIDOBJ Corrupted HLL object detected");

/// What is told of every change.
const EVENT: &str = "pfadd";

/// The bytes of a HyperLogLog.
#[inline]
fn hyperloglog(text: Text<'_>) -> Result<&[u8], CommandError> {
    match text {
        Text::Bytes(bytes) if hll::is_hyperloglog(bytes) => Ok(bytes),
        _ => Err(NOT_A_HYPERLOGLOG),
    }
}

fn corrupted(_: Invalid) -> CommandError {
    CORRUPTED
}

const PFADD: Command = Command {
    name: "pfadd",
    group: Group::HyperLogLog,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("element").optional().multiple()],
    summary: "Adds elements to a HyperLogLog, which is made if it does not exist.",
    complexity: "O(1) for each element.",
    since: "2.8.9",
    handler: pfadd,
    ..Command::DEFAULT
};

fn pfadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let sparse_max_bytes = ctx.db.settings().hll_sparse_max_bytes;
    let (mut update, is_new) = ctx.db.upsert_text(&key, NewPayload::Bytes(&hll::EMPTY))?;
    let bytes = hyperloglog(update.text())?;
    let mut elements = args.rest();
    // Most elements change nothing: the first that does is found without touching anything.
    let mut raised = Ok(0);
    while let Some(element) = elements.next() {
        let hit = Hit::of(element);
        match hll::would_raise(bytes, hit) {
            Ok(false) => {}
            Ok(true) => {
                raised = update.edit(|bytes| {
                    let hits = std::iter::once(hit).chain(elements.map(Hit::of));
                    raise_each(bytes, hits, sparse_max_bytes)
                });
                break;
            }
            Err(Invalid) => {
                raised = Err(0);
                break;
            }
        }
    }
    let is_corrupted = raised.is_err();
    let (Ok(raised) | Err(raised)) = raised;
    let changes = raised + usize::from(is_new);
    if raised == 0 {
        // Even so it is kept as if it had been built in place.
        update.bytes_mut(0);
    }
    if is_corrupted {
        drop(update);
        if changes > 0 {
            // Nobody is told in the reference. But some elements were added.
            ctx.effects().anyway();
        }
        return Err(CORRUPTED);
    }
    if changes > 0 {
        update.changed_often(EVENT, changes);
    }
    ctx.reply.integer(i64::from(changes > 0));
    Ok(())
}

/// Raises the registers of all `hits`, and returns how many there were to raise: of those before it, if the bytes turn out not
/// to make sense.
fn raise_each(bytes: &mut Vec<u8>, hits: impl Iterator<Item = Hit>, sparse_max_bytes: usize) -> Result<usize, usize> {
    let mut raised = 0;
    for hit in hits {
        match hll::raise(bytes, hit, sparse_max_bytes) {
            Ok(is_raised) => raised += usize::from(is_raised),
            Err(Invalid) => return Err(raised),
        }
        if raised == 1 {
            hll::outdate(bytes);
        }
    }
    Ok(raised)
}

const PFCOUNT: Command = Command {
    name: "pfcount",
    group: Group::HyperLogLog,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::MAY_REPLICATE),
    keys: &[KeySpec::range(1, -1, 1, Access::RW.access())
        .with_notes("The estimate is kept in the value, which is a change like any other")],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Estimates how many different elements were added to a HyperLogLog, or to any of several.",
    complexity: "O(1) for one key. O(N) for N keys, and much slower.",
    since: "2.8.9",
    handler: pfcount,
    ..Command::DEFAULT
};

fn pfcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 1 {
        let (registers, _) = merged(ctx, args)?;
        ctx.reply.integer(hll::estimate_of(&registers) as i64);
        return Ok(());
    }
    let Some(mut update) = ctx.db.read_text_to_update(&args.key()?)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    hyperloglog(update.text())?;
    let bytes = update.bytes_mut(0);
    let estimate = match hll::cached_estimate(bytes) {
        Some(estimate) => estimate,
        None => {
            let estimate = hll::estimate(bytes).map_err(corrupted)?;
            hll::cache_estimate(bytes, estimate);
            update.changed_silently(1);
            estimate
        }
    };
    ctx.reply.integer(estimate as i64);
    Ok(())
}

const PFMERGE: Command = Command {
    name: "pfmerge",
    group: Group::HyperLogLog,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.access().insert()), KeySpec::range(2, -1, 1, Access::RO.access())],
    args: &[Arg::key("destkey", 0), Arg::key("sourcekey", 1).optional().multiple()],
    summary: "Adds all that was added to several HyperLogLogs to one, which is made if it does not exist.",
    complexity: "O(N) for N HyperLogLogs, with a high constant.",
    since: "2.8.9",
    handler: pfmerge,
    ..Command::DEFAULT
};

fn pfmerge(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    // The destination is one of those that are merged.
    let (registers, any_dense) = merged(ctx, args)?;
    let sparse_max_bytes = ctx.db.settings().hll_sparse_max_bytes;
    let (mut update, _) = ctx.db.upsert_text(&args.key()?, NewPayload::Bytes(&hll::EMPTY))?;
    let result = update.edit(|bytes| {
        if any_dense {
            hll::make_dense(bytes)?;
            hll::replace_dense(bytes, &registers);
        } else {
            hll::raise_all(bytes, &registers, sparse_max_bytes)?;
        }
        hll::outdate(bytes);
        Ok(())
    });
    result.map_err(corrupted)?;
    update.changed(EVENT);
    ctx.reply.ok();
    Ok(())
}

/// The largest registers of the HyperLogLogs under all keys, and whether any of those is dense.
fn merged(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Result<([u8; REGISTERS], bool), CommandError> {
    let (mut registers, mut any_dense) = ([0; REGISTERS], false);
    while !args.is_empty() {
        let key: Key<'_> = args.key()?;
        if let Some(text) = ctx.db.read_text(&key)? {
            let bytes = hyperloglog(text)?;
            any_dense |= hll::is_dense(bytes);
            hll::merge(&mut registers, bytes).map_err(corrupted)?;
        }
    }
    Ok((registers, any_dense))
}
