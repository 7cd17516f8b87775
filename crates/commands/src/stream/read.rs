//! Reading what is new in several streams, or waiting for it: by everybody, or shared by the consumers of a group.

use super::{INVALID_ID, id, no_key_or_group, quoting, see_consumer, write_entry, write_id};
use kinovar_command::keyspace::Update;
use kinovar_command::keyspace::stream::{STREAM_ID_TEXT_MAX, Stream, StreamId};
use kinovar_command::*;

pub(super) const XREAD: Command = Command {
    name: "xread",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: &[KEYS_OF_XREAD],
    key_finder: Some(|args, keys| find_keys(args, &KEYS_OF_XREAD, keys)),
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
    keys: &[KEYS_OF_XREADGROUP],
    key_finder: Some(|args, keys| find_keys(args, &KEYS_OF_XREADGROUP, keys)),
    args: &[
        Arg::block("group-block", &[Arg::string("group"), Arg::string("consumer")]).token("GROUP"),
        Arg::integer("count").token("COUNT").optional(),
        Arg::integer("milliseconds").token("BLOCK").optional(),
        Arg::word("noack", "NOACK").optional(),
        STREAMS,
    ],
    summary: "Reads entries from several streams as a consumer of a group, new ones or what is pending, or waits for new ones.",
    complexity: "O(log N + M) for each stream with M entries returned",
    since: "5.0.0",
    handler: xreadgroup,
    ..Command::DEFAULT
};

const KEYS_OF_XREAD: KeySpec = keys_after_streams(1);
const KEYS_OF_XREADGROUP: KeySpec = keys_after_streams(4);
const STREAMS: Arg =
    Arg::block("streams", &[Arg::key("key", 0).multiple(), Arg::string("id").multiple()]).token("STREAMS");

/// The first half of what follows `STREAMS`.
const fn keys_after_streams(start_from: i16) -> KeySpec {
    KeySpec {
        access: Access::RO.access(),
        begin: Begin::Keyword { keyword: "STREAMS", start_from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }
}

/// Finds the keys that a call reads. The first `STREAMS` is not always the one that counts: a group can be called so.
fn find_keys(args: Args<'_>, spec: &KeySpec, keys: &mut Vec<KeyAt>) {
    let of_group = args.at(0).len() == XREADGROUP.name.len();
    match Reading::parse(Args::skipping(args, 1), of_group) {
        Ok(reading) => keys.extend(reading.streams().map(|(key, _)| KeyAt { index: key as u32, access: spec.access })),
        Err(_) => spec.find(args, keys),
    }
}

/// A call of XREAD or XREADGROUP.
struct Reading<'a> {
    args: Args<'a>,
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
    fn parse(mut args: Args<'a>, of_group: bool) -> Result<Reading<'a>, CommandError> {
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
                block_ms = Some(block_time_ms(&mut args)?);
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
        Ok(Reading { args, count, block_ms, group, first_key, streams: args.left() / 2 })
    }

    /// The places of each key and its id.
    fn streams(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (first, streams) = (self.first_key, self.streams);
        (first..first + streams).map(move |key| (key, key + streams))
    }

    /// The keys that are locked, with the places of their ids: all of them, unless this is run again after waiting.
    fn locked_streams(&self, db: &Db<'_>) -> impl Iterator<Item = (Key<'a>, usize)> + use<'a> {
        let args = self.args;
        let keys = self.streams().map(move |(key, id)| (args.key_at(key), id));
        let keyspace = db.keyspace();
        let locked: Vec<bool> = Vec::new();
        let _ = (keyspace, locked);
        keys
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
