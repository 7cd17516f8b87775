//! Walks over the database: KEYS, RANDOMKEY, SCAN.
//!
//! # The cursor of SCAN
//! Partitions are walked one after the other, each locked only while its part of a call is done. A cursor is a partition's
//! number and a position in its table (see `kinovar_ds::table`), `position * partitions + partition`: 48 and at most 14 bits. It stays
//! valid whatever happens to the table in between, and 0 is both the first position and the end.

use crate::scan::{self, ScanOptions};
use kinovar_command::keyspace::{Db, Entry, Unavailable, object};
use kinovar_command::{Acl, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Lock, Outcome, Reply, glob};

pub(super) const KEYS: Command = Command {
    name: "keys",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    args: &[Arg::pattern("pattern")],
    summary: "Lists all keys that match a pattern.",
    complexity: "O(N) in the number of keys of the database.",
    since: "1.0.0",
    lock: Lock::All,
    handler: keys,
    ..Command::DEFAULT
};

fn keys(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let pattern = args.take()?;
    let (db, now_ms) = (&ctx.db, ctx.db.now_ms());
    ctx.reply.array_of(|reply| {
        let mut count = 0;
        for part in (0..db.keyspace().partitions()).filter_map(|index| db.part(index)) {
            for entry in part.table() {
                if !has_expired(entry, now_ms) && (pattern == b"*" || glob::matches(pattern, entry.key())) {
                    reply.bulk(entry.key());
                    count += 1;
                }
            }
        }
        count
    });
    Ok(())
}

fn has_expired(entry: &Entry, now_ms: u64) -> bool {
    entry.expire_at_ms().is_some_and(|at_ms| at_ms < now_ms)
}

pub(super) const RANDOMKEY: Command = Command {
    name: "randomkey",
    group: Group::Generic,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    summary: "Picks a key by chance.",
    complexity: "O(1)",
    since: "1.0.0",
    lock: Lock::Walk,
    handler: randomkey,
    ..Command::DEFAULT
};

/// Draws that may hit expired keys or a partition that was emptied meanwhile, before the keys are looked at one by one.
const DRAWS_MAX: usize = 100;

fn randomkey(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let now_ms = ctx.now_ms();
    for _ in 0..DRAWS_MAX {
        let Some(index) = random_partition(&mut ctx.db)? else { break };
        ctx.db.visit(index)?;
        let db = &ctx.db;
        let drawn = db.part(index).and_then(|part| part.table().random(|| db.random_below(u64::MAX)));
        if let Some(entry) = drawn.filter(|entry| !has_expired(entry, now_ms)) {
            ctx.reply.bulk(entry.key());
            return Ok(());
        }
    }
    for index in 0..ctx.db.keyspace().partitions() {
        ctx.db.visit(index)?;
        let mut entries = ctx.db.part(index).into_iter().flat_map(|part| part.table());
        if let Some(entry) = entries.find(|entry| !has_expired(entry, now_ms)) {
            ctx.reply.bulk(entry.key());
            return Ok(());
        }
    }
    ctx.reply.null();
    Ok(())
}

/// A partition, each as likely as it has keys; `None` when there is no key at all.
fn random_partition(db: &mut Db<'_>) -> Result<Option<usize>, Unavailable> {
    let (mut total, mut chosen) = (0, None);
    for index in 0..db.keyspace().partitions() {
        db.visit(index)?;
        let len = db.part(index).map_or(0, |part| part.len() as u64);
        total += len;
        if len > 0 && db.random_below(total) < len {
            chosen = Some(index);
        }
    }
    Ok(chosen)
}

pub(super) const SCAN: Command = Command {
    name: "scan",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    args: &[
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::string("type").token("TYPE").optional().since("6.0.0"),
    ],
    summary: "Walks over the keys of the database, some at a time.",
    complexity: "O(1) for a call, O(N) for a whole walk over N keys.",
    since: "2.8.0",
    history: &[("6.0.0", "New option `TYPE`.")],
    lock: Lock::Walk,
    handler: scan_keys,
    ..Command::DEFAULT
};

/// The options of SCAN: those of its relatives and a type.
struct KeyScan<'a> {
    options: ScanOptions<'a>,
    type_name: Option<&'a [u8]>,
}

impl<'a> KeyScan<'a> {
    fn parse(mut args: Args<'a>) -> Result<KeyScan<'a>, CommandError> {
        let mut scan = KeyScan { options: ScanOptions::DEFAULT, type_name: None };
        while !args.is_empty() {
            if args.accept("TYPE") {
                scan.type_name = Some(args.take()?);
            } else if !scan.options.accept(&mut args, false)? {
                return Err(CommandError::Syntax);
            }
        }
        Ok(scan)
    }

    fn wants(&self, entry: &Entry, now_ms: u64) -> bool {
        let is_type = |name: &[u8]| object::value_type(entry).name().as_bytes().eq_ignore_ascii_case(name);
        self.options.matches(entry.key()) && self.type_name.is_none_or(is_type) && !has_expired(entry, now_ms)
    }
}

/// Calls of the table's scan, for each key asked for: sparse tables must not make a call long.
const STEPS_PER_KEY: usize = 10;

fn scan_keys(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let mut cursor = scan::cursor(&mut args)?;
    let wanted = KeyScan::parse(args)?;
    let count = wanted.options.count;
    let now_ms = ctx.now_ms();
    let mut written = Vec::new();
    let mut keys = Reply::new(&mut written, ctx.reply.protocol());
    let (mut visited, mut shown) = (0, 0);
    let mut steps = count.saturating_mul(STEPS_PER_KEY);
    loop {
        let passed_empty = step(&mut ctx.db, &mut cursor, &mut |entry| {
            visited += 1;
            if wanted.wants(entry, now_ms) {
                keys.bulk(entry.key());
                shown += 1;
            }
        })?;
        steps -= usize::from(!passed_empty);
        if cursor == 0 || visited >= count || steps == 0 {
            break;
        }
    }
    ctx.reply.array(2);
    ctx.reply.bulk(cursor.to_string().as_bytes());
    ctx.reply.array(shown);
    ctx.reply.raw(&written);
    Ok(())
}

/// Visits some keys at `cursor` and moves it on; whether all there was is a partition without keys.
fn step(db: &mut Db<'_>, cursor: &mut u64, visit: &mut dyn FnMut(&Entry)) -> Result<bool, Unavailable> {
    let partitions = db.keyspace().partitions() as u64;
    let (position, index) = (*cursor / partitions, *cursor % partitions);
    db.visit(index as usize)?;
    let part = db.part(index as usize).filter(|part| !part.is_empty());
    let position = part.map_or(0, |part| part.table().scan(position, visit));
    *cursor = match position {
        // The end of this partition. That of the last one is the end of the walk.
        0 if index + 1 == partitions => 0,
        0 => index + 1,
        _ => position * partitions + index,
    };
    Ok(part.is_none())
}
