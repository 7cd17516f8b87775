//! Deleting entries and acknowledging them.

use super::options::{CONDITION, references};
use super::{id, ids, or_unchanged};
use kinovar_command::keyspace::stream::{Deletion, References, Stream};
use kinovar_command::*;

pub(super) const XDEL: Command = Command {
    name: "xdel",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("id").multiple()],
    summary: "Removes entries from a stream.",
    complexity: "O(log N) for each id",
    since: "5.0.0",
    handler: xdel,
    ..Command::DEFAULT
};

pub(super) const XDELEX: Command = Command {
    name: "xdelex",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), CONDITION, IDS],
    summary: "Removes entries from a stream, and says what happens to groups that have them pending.",
    complexity: "O(log N) for each id",
    since: "8.2.0",
    handler: xdelex,
    ..Command::DEFAULT
};

pub(super) const XACK: Command = Command {
    name: "xack",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::string("group"), Arg::string("id").multiple()],
    summary: "Acknowledges entries: they are no longer pending in the group.",
    complexity: "O(log N) for each id",
    since: "5.0.0",
    handler: xack,
    ..Command::DEFAULT
};

pub(super) const XACKDEL: Command = Command {
    name: "xackdel",
    group: Group::Stream,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update().delete())],
    args: &[Arg::key("key", 0), Arg::string("group"), CONDITION, IDS],
    summary: "Acknowledges entries and removes them from the stream.",
    complexity: "O(log N) for each id",
    since: "8.2.0",
    handler: xackdel,
    ..Command::DEFAULT
};

const IDS: Arg = Arg::block("ids", &[Arg::integer("numids"), Arg::string("id").multiple()]).token("IDS");

fn xdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let Some(mut stream) = ctx.db.update::<Stream>(&args.key()?)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    or_unchanged(&mut stream, ids(args))?;
    let deleted = args.rest().filter(|text| id(text).is_ok_and(|id| stream.delete(id))).count();
    if deleted > 0 {
        stream.changed("xdel", deleted);
    } else {
        stream.unchanged();
    }
    ctx.reply.count(deleted);
    Ok(())
}

fn xack(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.take()?);
    let Some(mut guard) = ctx.db.read_to_update::<Stream>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let stream: &mut Stream = &mut guard;
    // Without a group nobody looks at the ids.
    let acknowledged = stream.group_mut(name).map_or(Ok(0), |group| {
        let first = ids(args)?;
        let others = args.rest().skip(1).filter_map(|text| id(text).ok());
        Ok(std::iter::once(first).chain(others).filter(|&id| group.acknowledge(id)).count())
    });
    let acknowledged = or_unchanged(&mut guard, acknowledged)?;
    guard.noted(None, acknowledged);
    ctx.reply.count(acknowledged);
    Ok(())
}

/// What XDELEX and XACKDEL are told: ids, and what to do about references.
struct Deletions<'a> {
    references: References,
    /// Starts at the first id.
    ids: Args<'a>,
    count: usize,
}

impl<'a> Deletions<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Deletions<'a>, CommandError> {
        let (mut condition, mut ids) = (None, None);
        while let Some(word) = args.next() {
            if condition.is_none()
                && let Some(references) = references(word)
            {
                condition = Some(references);
            } else if !args.is_empty() && word.eq_ignore_ascii_case(b"IDS") {
                ids = Some(Deletions::counted(args)?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (ids, count) = ids.ok_or(CommandError::Syntax)?;
        Ok(Deletions { references: condition.unwrap_or_default(), ids, count })
    }

    /// Passes a count and as many ids; where these begin.
    fn counted(args: &mut Args<'a>) -> Result<(Args<'a>, usize), CommandError> {
        let count = number::parse_i64(args.take()?).and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|&count| count > 0);
        let count = count.ok_or(CommandError::text("ERR Number of IDs must be a positive integer"))?;
        if count > args.left() {
            return Err(CommandError::text("ERR The `numids` parameter must match the number of arguments"));
        }
        let ids = *args;
        *args = Args::skipping(ids, ids.index() + count);
        Ok((ids, count))
    }

    fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.ids.rest().take(self.count)
    }

    /// An error when one of the ids is none.
    fn check(&self) -> Outcome {
        self.texts().try_for_each(|text| id(text).map(drop))
    }

    /// Replies that none of them is there.
    fn write_absent(&self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        (0..self.count).for_each(|_| reply.integer(Self::ABSENT));
    }

    const ABSENT: i64 = -1;
}

fn outcome(deletion: Deletion) -> i64 {
    match deletion {
        Deletion::Absent => Deletions::ABSENT,
        Deletion::Deleted => 1,
        Deletion::Referenced => 2,
    }
}

fn xdelex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    // The type counts before the options.
    ctx.db.peek_value::<Stream>(&key)?;
    let deletions = Deletions::parse(&mut args)?;
    let Some(mut guard) = ctx.db.update::<Stream>(&key)? else {
        deletions.write_absent(&mut ctx.reply);
        return Ok(());
    };
    or_unchanged(&mut guard, deletions.check())?;
    let stream: &mut Stream = &mut guard;
    let mut deleted = 0;
    ctx.reply.array(deletions.count);
    for id in deletions.texts().filter_map(|text| id(text).ok()) {
        let deletion = stream.delete_with(id, deletions.references);
        deleted += usize::from(deletion == Deletion::Deleted);
        ctx.reply.integer(outcome(deletion));
    }
    if deleted > 0 {
        guard.changed("xdel", deleted);
    } else {
        // References of absent entries may have been dropped, which counts as nothing.
        guard.noted(None, 0);
    }
    Ok(())
}

fn xackdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.take()?);
    let has_group = ctx.db.read_value::<Stream>(&key)?.is_some_and(|stream| stream.group(name).is_some());
    let deletions = Deletions::parse(&mut args)?;
    if !has_group {
        deletions.write_absent(&mut ctx.reply);
        return Ok(());
    }
    deletions.check()?;
    let mut guard = ctx.db.update::<Stream>(&key)?.expect("it was just read");
    let stream: &mut Stream = &mut guard;
    let (mut acknowledged, mut deleted) = (0, 0);
    ctx.reply.array(deletions.count);
    for id in deletions.texts().filter_map(|text| id(text).ok()) {
        if !stream.group_mut(name).is_some_and(|group| group.acknowledge(id)) {
            ctx.reply.integer(Deletions::ABSENT);
            continue;
        }
        acknowledged += 1;
        let deletion = stream.delete_with(id, deletions.references);
        deleted += usize::from(deletion == Deletion::Deleted);
        // An entry that was deleted before counts as deleted: it is what was wanted.
        ctx.reply.integer(if deletion == Deletion::Referenced { 2 } else { 1 });
    }
    if deleted > 0 {
        guard.changed("xdel", acknowledged);
    } else {
        guard.noted(None, acknowledged);
    }
    Ok(())
}
