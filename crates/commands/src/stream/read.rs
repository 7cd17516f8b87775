//! Reading what is new in several streams, or waiting for it: by everybody, or shared by the consumers of a group.

use super::{Told, id, no_key_or_group, quoting, see_consumer, tell_pending, tell_progress, write_entry, write_id};
use kinovar_command::keyspace::Update;
use kinovar_command::keyspace::stream::{ConsumerId, Pending, STREAM_ID_TEXT_MAX, Stream, StreamId};
use kinovar_command::*;

pub(super) const XREAD: Command = Command {
    name: "xread",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: &[keys_after_streams(1)],
    key_finder: Some(find_keys),
    args: &[
        Arg::integer("count").token("COUNT").optional(),
        Arg::integer("milliseconds").token("BLOCK").optional(),
        STREAMS,
    ],
    summary: "Reads entries beyond given ids from several streams, or waits for some.",
    complexity: "O(log N + M) for each stream with M entries returned",
    since: "5.0.0",
    handler: xread,
    ..Command::DEFAULT
};

pub(super) const XREADGROUP: Command = Command {
    name: "xreadgroup",
    group: Group::Stream,
    arity: Arity::AtLeast(7),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: &[keys_after_streams(4)],
    key_finder: Some(find_keys),
    args: &[
        Arg::block("group-block", &[Arg::string("group"), Arg::string("consumer")]).token("GROUP"),
        Arg::integer("count").token("COUNT").optional(),
        Arg::integer("milliseconds").token("BLOCK").optional(),
        Arg::word("noack", "NOACK").optional(),
        STREAMS,
    ],
    summary: "Reads new or pending entries from several streams as a consumer of a group, or waits for new ones.",
    complexity: "O(log N + M) for each stream with M entries returned",
    since: "5.0.0",
    handler: xreadgroup,
    ..Command::DEFAULT
};

const STREAMS: Arg =
    Arg::block("streams", &[Arg::key("key", 0).multiple(), Arg::string("id").multiple()]).token("STREAMS");

/// The first half of what follows `STREAMS`.
const fn keys_after_streams(start_from: i16) -> KeySpec {
    KeySpec {
        access: ACCESS,
        begin: Begin::Keyword { keyword: "STREAMS", start_from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }
}

const ACCESS: Access = Access::RO.access();

/// Finds the keys that a call reads; none if it is wrong. The first `STREAMS` is not always the one that counts: a group can be
/// called so.
fn find_keys(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    let mut rest = Args::skipping(args, 1);
    while let Some(word) = rest.next() {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let values = match () {
            () if is("STREAMS") => break,
            () if is("COUNT") || is("BLOCK") => 1,
            () if is("GROUP") => 2,
            () if is("NOACK") => 0,
            () => return,
        };
        rest = Args::skipping(rest, (rest.index() + values).min(rest.argc()));
    }
    if rest.left().is_multiple_of(2) {
        let streams = rest.index()..rest.index() + rest.left() / 2;
        keys.extend(streams.map(|index| KeyAt { index: index as u32, access: ACCESS }));
    }
}

/// A call of XREAD or XREADGROUP.
struct Reading<'a> {
    /// Entries of each stream.
    count: usize,
    block_ms: Option<u64>,
    group: Option<Reader<'a>>,
    /// Index of the first key.
    first_key: usize,
    streams: usize,
}

/// Who reads.
#[derive(Clone, Copy)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    /// Whether what is read does not become pending.
    noack: bool,
}

/// From where a stream is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// After this id; of a group, what is pending after it.
    After(StreamId),
    /// After the last id that the group has received.
    New,
}

impl<'a> Reading<'a> {
    /// Reads options, which end with the streams.
    fn parse(mut args: Args<'a>, of_group: bool, now_ms: u64) -> Result<Reading<'a>, CommandError> {
        let (mut count, mut block_ms, mut group, mut noack) = (usize::MAX, None, None, false);
        let first_key = loop {
            let word = args.take()?;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let has_value = !args.is_empty();
            if has_value && is("STREAMS") {
                break args.index();
            } else if has_value && is("COUNT") {
                count = match args.integer()? {
                    ..=0 => usize::MAX,
                    count => count as usize,
                };
            } else if has_value && is("BLOCK") {
                block_ms = Some(block_time_ms(&mut args, now_ms)?);
            } else if args.left() > 1 && is("GROUP") {
                only_of_group(of_group, "GROUP")?;
                group = Some((args.take()?, args.take()?));
            } else if is("NOACK") {
                only_of_group(of_group, "NOACK")?;
                noack = true;
            } else {
                return Err(CommandError::Syntax);
            }
        };
        if !args.left().is_multiple_of(2) {
            return Err(CommandError::text(if of_group {
                "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
            } else {
                "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
            }));
        }
        if of_group && group.is_none() {
            return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
        }
        let group = group.map(|(group, consumer)| Reader { group, consumer, noack });
        Ok(Reading { count, block_ms, group, first_key, streams: args.left() / 2 })
    }

    /// The places of each key and its id.
    fn streams(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (first, streams) = (self.first_key, self.streams);
        (first..first + streams).map(move |key| (key, key + streams))
    }

    /// Waits if so wanted; else replies that there is nothing.
    fn wait(&self, ctx: &mut Ctx<'_>, resolved: Vec<(u32, Vec<u8>)>) {
        match self.block_ms {
            None => ctx.reply.null_array(),
            Some(timeout_ms) => ctx.wait(Wait {
                keys: self.streams().map(|(key, _)| key as u32).collect(),
                timeout_ms,
                absent: Absent::NullArray,
                heeds_loss: self.group.is_some(),
                resolved,
            }),
        }
    }
}

/// A time in ms; 0 is for ever.
fn block_time_ms(args: &mut Args<'_>, now_ms: u64) -> Result<u64, CommandError> {
    let ms = number::parse_i64(args.take()?);
    let ms = ms.ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    if ms > i64::MAX as u64 - now_ms { Err(CommandError::text("ERR timeout is out of range")) } else { Ok(ms) }
}

fn only_of_group(of_group: bool, option: &str) -> Outcome {
    if of_group {
        return Ok(());
    }
    let text = format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead.");
    Err(CommandError::owned(text))
}

/// What the id of XREAD stands for in a stream as it is now.
fn after(text: &[u8], stream: Option<&Stream>) -> Result<StreamId, CommandError> {
    match until_nul(text) {
        b"$" => Ok(stream.map_or(StreamId::MIN, Stream::last_id)),
        // Before the newest entry. An empty stream has none: later, all of its entries are new.
        b"+" => Ok(stream.and_then(Stream::last).and_then(|entry| entry.id.prev()).unwrap_or(StreamId::MIN)),
        b">" => Err(CommandError::text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => id(text),
    }
}

fn xread(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let reading = Reading::parse(args, false, ctx.now_ms())?;
    let mut resolved = Vec::new();
    for (key, id) in reading.streams() {
        let key = args.key_at(key);
        if ctx.db.is_locked(&key) {
            let after = after(args.at(id), ctx.db.read_value::<Stream>(&key)?)?;
            if reading.block_ms.is_some() && until_nul(args.at(id)) == b"$" {
                resolved.push((id as u32, after.text(&mut [0; STREAM_ID_TEXT_MAX]).to_vec()));
            }
        }
    }
    let found = reply_by_stream(&mut ctx.reply, |reply| {
        let mut found = 0;
        for (key, id) in reading.streams() {
            let key = args.key_at(key);
            if !ctx.db.is_locked(&key) {
                continue;
            }
            let Ok(Some(stream)) = ctx.db.read_value::<Stream>(&key) else { continue };
            let Some(from) = after(args.at(id), Some(stream)).ok().and_then(StreamId::next) else { continue };
            // Most of those who poll find nothing new, and this tells without looking at an entry.
            if from > stream.last_id() {
                continue;
            }
            let mut entries = stream.range(from, StreamId::MAX).take(reading.count).peekable();
            if entries.peek().is_some() {
                write_stream(reply, key.name, |reply| entries.map(|entry| write_entry(reply, entry)).count());
                found += 1;
            }
        }
        found
    });
    if !found {
        reading.wait(ctx, resolved);
    }
    Ok(())
}

/// Replies with what `body` writes for each stream; nothing, and false, when there are none.
fn reply_by_stream(reply: &mut Reply<'_>, body: impl FnOnce(&mut Reply<'_>) -> usize) -> bool {
    let (start, mut found) = (reply.position(), 0);
    let body = |reply: &mut Reply<'_>| {
        found = body(reply);
        found
    };
    if reply.is_resp3() {
        reply.map_of(body);
    } else {
        reply.array_of(body);
    }
    if found == 0 {
        reply.truncate(start);
    }
    found > 0
}

/// A stream's name and its entries; `body` writes these and returns how many.
fn write_stream(reply: &mut Reply<'_>, key: &[u8], body: impl FnOnce(&mut Reply<'_>) -> usize) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
    reply.array_of(body);
}

/// What the id of XREADGROUP stands for.
fn from(text: &[u8]) -> Result<From, CommandError> {
    let meaningless = |id: &[u8]| {
        quoting(&[
            b"ERR The ",
            id,
            b" ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying \
              a proper ID, or use the > ID to get new messages. The ",
            id,
            b" ID would just return an empty result set.",
        ])
    };
    match until_nul(text) {
        b">" => Ok(From::New),
        edge @ (b"$" | b"+") => Err(meaningless(edge)),
        _ => match id(text)? {
            // The reference takes the last possible id for `>`.
            StreamId::MAX => Ok(From::New),
            id => Ok(From::After(id)),
        },
    }
}

fn xreadgroup(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let reading = Reading::parse(args, true, ctx.now_ms())?;
    let reader = reading.group.expect("demanded of XREADGROUP");
    for (key, id) in reading.streams() {
        let key = args.key_at(key);
        if !ctx.db.is_locked(&key) {
            continue;
        }
        if ctx.db.read_value::<Stream>(&key)?.and_then(|stream| stream.group(reader.group)).is_none() {
            let error = no_key_or_group(&key, reader.group);
            return Err(quoting(&[&error.message(), b" in XREADGROUP with GROUP option"]));
        }
        from(args.at(id))?;
    }
    let (now_ms, effects) = (ctx.now_ms(), ctx.effects());
    // What matters of it is said for each entry and group.
    effects.none();
    let found = reply_by_stream(&mut ctx.reply, |reply| {
        let mut found = 0;
        for (key, id) in reading.streams() {
            let key = args.key_at(key);
            if !ctx.db.is_locked(&key) {
                continue;
            }
            let (Ok(Some(mut stream)), Ok(from)) = (ctx.db.read_to_update::<Stream>(&key), from(args.at(id))) else {
                continue;
            };
            stream.unchanged();
            let told = Told { effects, key: key.name, group: reader.group };
            found += usize::from(reader.read(reply, &told, &mut stream, from, reading.count, now_ms));
        }
        found
    });
    if !found {
        reading.wait(ctx, Vec::new());
    }
    Ok(())
}

impl Reader<'_> {
    /// Reads one stream; whether there is something to reply.
    fn read(
        &self,
        reply: &mut Reply<'_>,
        told: &Told<'_>,
        guard: &mut Update<'_, Stream>,
        from: From,
        count: usize,
        now_ms: u64,
    ) -> bool {
        let (consumer, is_new) = see_consumer(guard, self.group, self.consumer, now_ms);
        if is_new && self.noack {
            told.effects.part(&[b"XGROUP", b"CREATECONSUMER", told.key, told.group, self.consumer]);
        }
        let stream: &mut Stream = guard;
        let after = match from {
            From::After(after) => after,
            From::New => {
                return self.read_new(reply, told, guard, consumer, count, now_ms);
            }
        };
        write_stream(reply, told.key, |reply| {
            stream.read_pending(self.group, consumer, after, count, now_ms, &mut |id, entry| match entry {
                Some(entry) => write_entry(reply, entry),
                None => {
                    reply.array(2);
                    write_id(reply, id);
                    reply.null_array();
                }
            })
        });
        true
    }

    fn read_new(
        &self,
        reply: &mut Reply<'_>,
        told: &Told<'_>,
        guard: &mut Update<'_, Stream>,
        consumer: ConsumerId,
        count: usize,
        now_ms: u64,
    ) -> bool {
        let stream: &mut Stream = guard;
        let group = stream.group(self.group).expect("callers made sure of the group");
        // Most of those who poll find nothing new, and this tells without looking at an entry.
        if stream.last_id() <= group.last_id() {
            return false;
        }
        let (start, mut delivered) = (reply.position(), 0);
        write_stream(reply, told.key, |reply| {
            delivered = stream.read_new(self.group, consumer, count, self.noack, now_ms, &mut |entry| {
                if told.effects.is_on() && !self.noack {
                    let pending = Pending { id: entry.id, consumer, delivered_ms: now_ms, deliveries: 1 };
                    tell_pending(told, self.consumer, &pending, entry.id);
                }
                write_entry(reply, entry);
            });
            delivered
        });
        if delivered == 0 {
            reply.truncate(start);
            return false;
        }
        let group = stream.group_mut(self.group).expect("callers made sure of the group");
        if !self.noack {
            group.consumer_mut(consumer).set_active(Some(now_ms));
        }
        if told.effects.is_on() {
            tell_progress(told, group);
        }
        guard.noted(None, 1);
        true
    }
}
