//! Elements anywhere in a list: looking at them, changing and removing them.

use super::{removed, write_element};
use crate::clamp_indices;
use kinovar_command::keyspace::list::List;
use kinovar_command::*;

pub(super) const LLEN: Command = Command {
    name: "llen",
    group: Group::List,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Counts the elements of a list.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: llen,
    ..Command::DEFAULT
};

pub(super) const LINDEX: Command = Command {
    name: "lindex",
    group: Group::List,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::integer("index")],
    summary: "Tells the element at an index.",
    complexity: "O(N) for N elements up to it, O(1) at either end",
    since: "1.0.0",
    handler: lindex,
    ..Command::DEFAULT
};

pub(super) const LRANGE: Command = Command {
    name: "lrange",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("stop")],
    summary: "Lists the elements in a range of indices.",
    complexity: "O(S + N): S elements from the nearer end, N listed",
    since: "1.0.0",
    handler: lrange,
    ..Command::DEFAULT
};

pub(super) const LPOS: Command = Command {
    name: "lpos",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::string("element"),
        Arg::integer("rank").token("RANK").optional(),
        Arg::integer("num-matches").token("COUNT").optional(),
        Arg::integer("len").token("MAXLEN").optional(),
    ],
    summary: "Tells at which indices a value is found.",
    complexity: "O(N) for N elements looked at",
    since: "6.0.6",
    handler: lpos,
    ..Command::DEFAULT
};

pub(super) const LSET: Command = Command {
    name: "lset",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::integer("index"), Arg::string("element")],
    summary: "Replaces the element at an index.",
    complexity: "O(N) for N elements up to it, O(1) at either end",
    since: "1.0.0",
    handler: lset,
    ..Command::DEFAULT
};

pub(super) const LINSERT: Command = Command {
    name: "linsert",
    group: Group::List,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[
        Arg::key("key", 0),
        Arg::one_of("where", &[Arg::word("before", "BEFORE"), Arg::word("after", "AFTER")]),
        Arg::string("pivot"),
        Arg::string("element"),
    ],
    summary: "Inserts an element beside another.",
    complexity: "O(N) for N elements up to it",
    since: "2.2.0",
    handler: linsert,
    ..Command::DEFAULT
};

pub(super) const LREM: Command = Command {
    name: "lrem",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::integer("count"), Arg::string("element")],
    summary: "Removes elements of a value.",
    complexity: "O(N) for N elements looked at",
    since: "1.0.0",
    handler: lrem,
    ..Command::DEFAULT
};

pub(super) const LTRIM: Command = Command {
    name: "ltrim",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("stop")],
    summary: "Keeps only the elements in a range of indices.",
    complexity: "O(N) for N elements removed",
    since: "1.0.0",
    handler: ltrim,
    ..Command::DEFAULT
};

fn llen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = ctx.db.read_value::<List>(&key)?.map_or(0, List::len);
    ctx.reply.count(len);
    Ok(())
}

fn lindex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(list) = ctx.db.read_value::<List>(&key)? else {
        ctx.reply.null();
        return Ok(());
    };
    match list.get(args.integer()?) {
        Some(element) => write_element(&mut ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (start, end) = (args.integer()?, args.integer()?);
    let Some(list) = ctx.db.read_value::<List>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let indices = clamp_indices(start, end, list.len());
    ctx.reply.array(indices.len());
    list.visit(indices, false, |element| {
        write_element(&mut ctx.reply, element);
        true
    });
    Ok(())
}

/// What LPOS looks for.
struct Search {
    /// How many matches to pass over first.
    skip: u64,
    from_tail: bool,
    /// How many matches to tell; 0 for all. Without COUNT there is one, told by itself.
    count: Option<u64>,
    /// How many elements to compare; 0 for all.
    max_len: u64,
}

impl Search {
    fn parse(args: &mut Args<'_>) -> Result<Search, CommandError> {
        let mut search = Search { skip: 0, from_tail: false, count: None, max_len: 0 };
        while !args.is_empty() {
            if args.left() < 2 {
                return Err(CommandError::Syntax);
            }
            if args.accept("RANK") {
                let rank = directed(args)?;
                if rank == 0 {
                    return Err(CommandError::text(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                         negative to start from the end of the list",
                    ));
                }
                search.skip = rank.unsigned_abs() - 1;
                search.from_tail = rank < 0;
            } else if args.accept("COUNT") {
                search.count = Some(natural(args, "ERR COUNT can't be negative")?);
            } else if args.accept("MAXLEN") {
                search.max_len = natural(args, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(search)
    }

    /// Shows the indices to tell.
    fn run(&self, list: &List, value: &[u8], mut tell: impl FnMut(usize)) {
        let mut skip = self.skip;
        let mut left = match self.count {
            None => 1,
            Some(0) => u64::MAX,
            Some(count) => count,
        };
        let len_max = if self.max_len == 0 { usize::MAX } else { self.max_len as usize };
        list.positions(value, len_max, self.from_tail, |index| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            tell(index);
            left -= 1;
            left > 0
        });
    }

    fn first(&self, list: &List, value: &[u8]) -> Option<usize> {
        let mut first = None;
        self.run(list, value, |index| first = Some(index));
        first
    }
}

/// Takes an integer whose sign is a direction: the lowest one has no opposite and is refused.
fn directed(args: &mut Args<'_>) -> Result<i64, CommandError> {
    match args.integer()? {
        i64::MIN => Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        value => Ok(value),
    }
}

fn natural(args: &mut Args<'_>, error: &'static str) -> Result<u64, CommandError> {
    number::parse_i64(args.take()?).and_then(|value| u64::try_from(value).ok()).ok_or(CommandError::text(error))
}

fn lpos(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let value = args.take()?;
    let search = Search::parse(&mut args)?;
    let list = ctx.db.read_value::<List>(&key)?;
    match search.count {
        None => match list.and_then(|list| search.first(list, value)) {
            Some(index) => ctx.reply.count(index),
            None => ctx.reply.null(),
        },
        Some(_) => ctx.reply.array_of(|reply| {
            let mut found = 0;
            if let Some(list) = list {
                search.run(list, value, |index| {
                    reply.count(index);
                    found += 1;
                });
            }
            found
        }),
    }
    Ok(())
}

fn lset(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (index, value) = (args.take()?, args.at(3));
    let Some(mut list) = ctx.db.update::<List>(&key)? else { return Err(CommandError::NoSuchKey) };
    let Some(index) = number::parse_i64(index) else {
        list.unchanged();
        return Err(CommandError::NotInteger);
    };
    let settings = list.env().settings;
    list.make_room(value.len(), 1, settings);
    // The reference cuts the index down to a C int, here alone.
    if !list.set((index as i32).into(), value) {
        list.unchanged();
        return Err(CommandError::IndexOutOfRange);
    }
    list.shrink(settings);
    list.changed("lset", 1);
    drop(list);
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let after = args.accept("AFTER");
    if !after && !args.accept("BEFORE") {
        return Err(CommandError::Syntax);
    }
    let (pivot, value) = (args.take()?, args.take()?);
    let Some(mut list) = ctx.db.update::<List>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let settings = list.env().settings;
    list.make_room(value.len(), 1, settings);
    if list.insert(pivot, after, value) {
        list.changed("linsert", 1);
        ctx.reply.count(list.len());
    } else {
        list.unchanged();
        ctx.reply.integer(-1);
    }
    Ok(())
}

fn lrem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let count = directed(&mut args)?;
    let value = args.take()?;
    let Some(mut list) = ctx.db.update::<List>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    match list.remove(value, limit, count < 0) {
        0 => {
            list.unchanged();
            ctx.reply.integer(0);
        }
        gone => {
            removed(&mut list, "lrem", gone);
            ctx.reply.count(gone);
        }
    }
    Ok(())
}

fn ltrim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (start, end) = (args.integer()?, args.integer()?);
    if let Some(mut list) = ctx.db.update::<List>(&key)? {
        let len = list.len();
        let keep = clamp_indices(start, end, len);
        let gone = len - keep.len();
        list.trim(keep);
        removed(&mut list, "ltrim", gone);
    }
    ctx.reply.ok();
    Ok(())
}
