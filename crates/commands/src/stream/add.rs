//! Adding entries, trimming, and setting counters.

use super::options::{ADD_TRIM, CONDITION, For, Options, TRIM};
use super::{id, write_id};
use kinovar_command::keyspace::Teller;
use kinovar_command::keyspace::stream::{AppendError, NewId, STREAM_ID_TEXT_MAX, Stream, StreamId, Trim, TrimBy};
use kinovar_command::*;

pub(super) const XADD: Command = Command {
    name: "xadd",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())
        .with_notes("UPDATE instead of INSERT because of the optional trimming feature")],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::word("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
        CONDITION,
        ADD_TRIM,
        Arg::one_of("id-selector", &[Arg::word("auto-id", "*"), Arg::string("id")]),
        Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
    ],
    summary: "Adds an entry to a stream, and may trim it.",
    complexity: "O(1); trimming takes O(N) for N entries removed",
    since: "5.0.0",
    history: &[
        ("6.2.0", "Takes `NOMKSTREAM`, `MINID` and `LIMIT`."),
        ("7.0.0", "Takes ids of the form `ms-*`."),
        ("8.2.0", "Takes `KEEPREF`, `DELREF` and `ACKED`."),
    ],
    handler: xadd,
    ..Command::DEFAULT
};

pub(super) const XTRIM: Command = Command {
    name: "xtrim",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::first(Access::RW.delete())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0), TRIM],
    summary: "Removes the oldest entries of a stream.",
    complexity: "O(N) for N entries removed; whole blocks of them take one step",
    since: "5.0.0",
    history: &[("6.2.0", "Takes `MINID` and `LIMIT`."), ("8.2.0", "Takes `KEEPREF`, `DELREF` and `ACKED`.")],
    handler: xtrim,
    ..Command::DEFAULT
};

pub(super) const XSETID: Command = Command {
    name: "xsetid",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[
        Arg::key("key", 0),
        Arg::string("last-id"),
        Arg::integer("entries-added").token("ENTRIESADDED").optional().since("7.0.0"),
        Arg::string("max-deleted-id").token("MAXDELETEDID").optional().since("7.0.0"),
    ],
    summary: "Sets the last id and the counters of a stream; for replication.",
    complexity: "O(1)",
    since: "5.0.0",
    history: &[("7.0.0", "Takes `ENTRIESADDED` and `MAXDELETEDID`.")],
    handler: xsetid,
    ..Command::DEFAULT
};

const ZERO_ID: CommandError = CommandError::text("ERR The ID specified in XADD must be greater than 0-0");

fn append_error(error: AppendError) -> CommandError {
    match error {
        AppendError::Zero => ZERO_ID,
        AppendError::Exhausted => {
            CommandError::text("ERR The stream has exhausted the last possible ID, unable to add more items")
        }
        AppendError::NotAbove => {
            CommandError::text("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        }
        AppendError::TooLarge => CommandError::text("ERR Elements are too large to be stored"),
    }
}

fn xadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (now_ms, settings) = (ctx.now_ms(), ctx.db.settings());
    let key = args.key()?;
    let effects = ctx.effects();
    let Options { id, no_stream_made, trim, approximately_at } = Options::parse(&mut args, ctx, For::Add)?;
    let id_at = args.index() - 1;
    let (Some(id), true) = (id, args.left() >= 2 && args.left().is_multiple_of(2)) else {
        return Err(CommandError::WrongArity("xadd".into()));
    };
    if id == NewId::Exact(StreamId::MIN) {
        return Err(ZERO_ID);
    }
    let opened = if no_stream_made { ctx.db.update(&key)? } else { Some(ctx.db.upsert(&key, Stream::new)?) };
    let Some(mut guard) = opened else {
        ctx.reply.null();
        return Ok(());
    };
    let stream: &mut Stream = &mut guard;
    let is_chosen = !matches!(id, NewId::Exact(_));
    let id = match stream.append(id, now_ms, args.rest(), settings) {
        Ok(id) => id,
        Err(error) => {
            guard.unchanged();
            return Err(append_error(error));
        }
    };
    let trimmed = trim.is_some_and(|trim| stream.trim(&trim) > 0);
    if effects.is_on() && (is_chosen || approximately_at.is_some()) {
        let at = approximately_at.zip(trim.as_ref());
        tell(effects, &args, at, stream, is_chosen.then_some((id_at, id)));
    }
    guard.changed("xadd", 1);
    if trimmed {
        guard.changed("xtrim", 0);
    }
    write_id(&mut ctx.reply, id);
    Ok(())
}

/// Says what XADD or XTRIM has come to: an exact threshold at which the stream is as long as it is now, in the place of an
/// approximate one; and the id that was chosen.
#[cold]
fn tell(
    effects: Teller<'_>,
    args: &Args<'_>,
    approximately: Option<(usize, &Trim)>,
    stream: &Stream,
    id: Option<(usize, StreamId)>,
) {
    let mut words: Vec<&[u8]> = (0..args.argc()).map(|index| args.at(index)).collect();
    let (mut threshold_text, mut id_text) = ([0; STREAM_ID_TEXT_MAX], [0; STREAM_ID_TEXT_MAX]);
    let len = stream.len().to_string();
    if let Some((at, trim)) = approximately {
        words[at] = b"=";
        words[at + 1] = match trim.by {
            TrimBy::MaxLen(_) => len.as_bytes(),
            TrimBy::MinId(_) => stream.first_kept_id().unwrap_or(StreamId::MAX).text(&mut threshold_text),
        };
    }
    if let Some((at, id)) = id {
        words[at] = id.text(&mut id_text);
    }
    effects.instead(&words);
}

fn xtrim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let effects = ctx.effects();
    let key = args.key()?;
    let options = Options::parse(&mut args, ctx, For::Trim)?;
    let trim = options.trim.expect("demanded of XTRIM");
    let Some(mut stream) = ctx.db.update::<Stream>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let removed = stream.trim(&trim);
    if removed > 0 {
        stream.changed("xtrim", removed);
        if effects.is_on() && options.approximately_at.is_some() {
            let at = options.approximately_at.zip(Some(&trim));
            tell(effects, &args, at, &stream, None);
        }
    } else {
        stream.unchanged();
    }
    ctx.reply.count(removed);
    Ok(())
}

/// What XSETID is given.
struct Counters {
    last_id: StreamId,
    entries_added: Option<u64>,
    max_deleted_id: Option<StreamId>,
}

impl Counters {
    fn parse(args: &mut Args<'_>) -> Result<Counters, CommandError> {
        let mut counters = Counters { last_id: id(args.take()?)?, entries_added: None, max_deleted_id: None };
        while !args.is_empty() {
            if args.left() > 1 && args.accept("ENTRIESADDED") {
                let entries = u64::try_from(args.integer()?);
                counters.entries_added =
                    Some(entries.map_err(|_| CommandError::text("ERR entries_added must be positive"))?);
            } else if args.left() > 1 && args.accept("MAXDELETEDID") {
                let max_deleted_id = id(args.take()?)?;
                if counters.last_id < max_deleted_id {
                    return Err(CommandError::text(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
                counters.max_deleted_id = Some(max_deleted_id);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(counters)
    }

    /// Whether they can be true of the stream.
    fn check(&self, stream: &Stream) -> Outcome {
        if self.last_id < stream.max_deleted_id() {
            return Err(CommandError::text(
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
            ));
        }
        if stream.last().is_some_and(|entry| self.last_id < entry.id) {
            return Err(CommandError::text(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if self.entries_added.is_some_and(|added| added < stream.len() as u64) {
            return Err(CommandError::text(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
        Ok(())
    }
}

fn xsetid(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let counters = Counters::parse(&mut args)?;
    let mut stream = ctx.db.update::<Stream>(&key)?.ok_or(CommandError::NoSuchKey)?;
    if let Err(error) = counters.check(&stream) {
        stream.unchanged();
        return Err(error);
    }
    // As in the reference, `0-0` leaves what is there.
    let max_deleted_id = counters.max_deleted_id.filter(|id| *id != StreamId::MIN);
    stream.set_id(counters.last_id, counters.entries_added, max_deleted_id);
    stream.noted(Some("xsetid"), 1);
    ctx.reply.ok();
    Ok(())
}
