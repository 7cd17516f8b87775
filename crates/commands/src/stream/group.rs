//! XGROUP: making, changing and removing consumer groups.

use super::{id, no_group, or_unchanged, quoting, see_consumer};
use kinovar_command::keyspace::Update;
use kinovar_command::keyspace::stream::{Stream, StreamId};
use kinovar_command::*;

pub(super) const XGROUP: Command = Command {
    name: "xgroup",
    group: Group::Stream,
    arity: Arity::AtLeast(2),
    summary: "Commands that make, change and remove consumer groups.",
    complexity: "As its subcommands say.",
    since: "5.0.0",
    subcommands: &[CREATE, CREATECONSUMER, DELCONSUMER, DESTROY, HELP, SETID],
    ..Command::DEFAULT
};

const CREATE: Command = Command {
    name: "create",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(2, Access::RW.insert())],
    args: &[
        Arg::key("key", 0),
        Arg::string("group"),
        ID_SELECTOR,
        Arg::word("mkstream", "MKSTREAM").optional(),
        ENTRIES_READ,
    ],
    summary: "Makes a group that receives what is added after an id.",
    complexity: "O(1)",
    since: "5.0.0",
    history: &[("7.0.0", "Takes `ENTRIESREAD`.")],
    handler: create,
    ..Command::DEFAULT
};

const SETID: Command = Command {
    name: "setid",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(2, Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::string("group"), ID_SELECTOR, ENTRIES_READ],
    summary: "Sets the id after which a group goes on.",
    complexity: "O(1)",
    since: "5.0.0",
    history: &[("7.0.0", "Takes `ENTRIESREAD`.")],
    handler: set_id,
    ..Command::DEFAULT
};

const DESTROY: Command = Command {
    name: "destroy",
    group: Group::Stream,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(2, Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("group")],
    summary: "Removes a group.",
    complexity: "O(N) for N pending entries",
    since: "5.0.0",
    handler: destroy,
    ..Command::DEFAULT
};

const CREATECONSUMER: Command = Command {
    name: "createconsumer",
    group: Group::Stream,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(2, Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("group"), Arg::string("consumer")],
    summary: "Makes a consumer of a group.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: create_consumer,
    ..Command::DEFAULT
};

const DELCONSUMER: Command = Command {
    name: "delconsumer",
    group: Group::Stream,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(2, Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("group"), Arg::string("consumer")],
    summary: "Removes a consumer of a group, with what is pending for it.",
    complexity: "O(N log M) for N of M pending entries",
    since: "5.0.0",
    handler: delete_consumer,
    ..Command::DEFAULT
};

const HELP: Command = Command {
    name: "help",
    group: Group::Stream,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Lists the subcommands.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: |ctx, _| help::container(ctx, "xgroup"),
    ..Command::DEFAULT
};

const ID_SELECTOR: Arg = Arg::one_of("id-selector", &[Arg::string("id"), Arg::word("new-id", "$")]);
const ENTRIES_READ: Arg = Arg::integer("entriesread").display("entries-read").token("ENTRIESREAD").optional();

const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to \
     create an empty stream automatically.",
);

/// Opens the stream, if it has the group.
fn open<'d>(db: &'d mut Db<'_>, key: &Key<'_>, group: &[u8]) -> Result<Update<'d, Stream>, CommandError> {
    let mut stream = db.update::<Stream>(key)?.ok_or(NO_KEY)?;
    let found = if stream.group(group).is_some() { Ok(()) } else { Err(no_group(key, group)) };
    or_unchanged(&mut stream, found)?;
    Ok(stream)
}

/// The options of CREATE and SETID.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<i64>,
}

impl Options {
    /// Reads what follows the id. `subcommand` is its name as it was given.
    fn parse(mut args: Args<'_>, subcommand: &[u8], may_make: bool) -> Result<Options, CommandError> {
        let mut options = Options::default();
        while !args.is_empty() {
            if may_make && args.accept("MKSTREAM") {
                options.make_stream = true;
            } else if args.left() > 1 && args.accept("ENTRIESREAD") {
                options.entries_read = match args.integer()? {
                    -1 => None,
                    entries @ 0.. => Some(entries),
                    _ => return Err(CommandError::text("ERR value for ENTRIESREAD must be positive or -1")),
                };
            } else {
                return Err(wrong_arguments(subcommand));
            }
        }
        Ok(options)
    }
}

fn wrong_arguments(subcommand: &[u8]) -> CommandError {
    quoting(&[b"ERR unknown subcommand or wrong number of arguments for '", subcommand, b"'. Try XGROUP HELP."])
}

/// Where a group is to go on; `$` is the last id there is.
fn start(text: &[u8], last_id: StreamId) -> Result<StreamId, CommandError> {
    if until_nul(text) == b"$" { Ok(last_id) } else { id(text) }
}

fn create(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let subcommand = args.at(1);
    let (key, name, from) = (args.key()?, args.take()?, args.take()?);
    let options = Options::parse(args, subcommand, true)?;
    let last_id = ctx.db.exists(&key).then(|| ctx.db.peek_value::<Stream>(&key)).transpose()?.flatten();
    let is_new = last_id.is_none();
    if is_new && !options.make_stream {
        return Err(NO_KEY);
    }
    // Repeated options are too many, which counts less than that the key is missing.
    if args.left() > 3 {
        return Err(wrong_arguments(subcommand));
    }
    let from = start(from, last_id.map_or(StreamId::MIN, Stream::last_id))?;
    let mut stream = ctx.db.upsert(&key, Stream::new)?;
    if !stream.create_group(name, from, options.entries_read) {
        stream.unchanged();
        return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
    }
    if is_new {
        stream.changed("xgroup-create", 1);
    } else {
        stream.noted(Some("xgroup-create"), 1);
    }
    ctx.reply.ok();
    Ok(())
}

fn set_id(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let subcommand = args.at(1);
    let (key, name, from) = (args.key()?, args.take()?, args.take()?);
    let options = Options::parse(args, subcommand, false)?;
    let mut stream = open(&mut ctx.db, &key, name)?;
    let from = match StreamId::parse(from, 0) {
        _ if args.left() > 2 => Err(wrong_arguments(subcommand)),
        // Unlike CREATE, this takes `-` and `+`, too.
        Some(id) => Ok(id),
        None => start(from, stream.last_id()),
    };
    let from = or_unchanged(&mut stream, from)?;
    stream.set_group_id(name, from, options.entries_read);
    stream.noted(Some("xgroup-setid"), 1);
    ctx.reply.ok();
    Ok(())
}

fn destroy(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.take()?);
    let mut stream = ctx.db.update::<Stream>(&key)?.ok_or(NO_KEY)?;
    let group = stream.destroy_group(name);
    if group.is_some() {
        stream.noted(Some("xgroup-destroy"), 1);
        // Consumers of the group that wait get an error.
        stream.call_waiters();
    } else {
        stream.unchanged();
    }
    ctx.reply.flag(group.is_some());
    Ok(())
}

fn create_consumer(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.take()?, args.take()?);
    let now_ms = ctx.now_ms();
    let mut stream = open(&mut ctx.db, &key, name)?;
    stream.unchanged();
    let is_new = stream.group(name).is_some_and(|group| group.find_consumer(consumer).is_none());
    if is_new {
        see_consumer(&mut stream, name, consumer, now_ms);
    }
    ctx.reply.flag(is_new);
    Ok(())
}

fn delete_consumer(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.take()?, args.take()?);
    let mut stream = open(&mut ctx.db, &key, name)?;
    let pending = stream.group_mut(name).and_then(|group| group.delete_consumer(consumer));
    if pending.is_some() {
        stream.noted(Some("xgroup-delconsumer"), 1);
    } else {
        stream.unchanged();
    }
    ctx.reply.count(pending.unwrap_or(0));
    Ok(())
}
