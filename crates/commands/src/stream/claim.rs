//! Taking pending entries over from other consumers.

use super::{
    Told, id, no_key_or_group, or_unchanged, quoting, range_start, see_consumer, tell_pending, tell_progress,
    write_entry, write_id,
};
use kinovar_command::keyspace::Update;
use kinovar_command::keyspace::stream::{ConsumerId, Entries, Group as ConsumerGroup, Pending, Stream, StreamId};
use kinovar_command::*;

pub(super) const XCLAIM: Command = Command {
    name: "xclaim",
    group: Group::Stream,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("id").multiple(),
        Arg::integer("ms").token("IDLE").optional(),
        Arg::unix_time("unix-time-milliseconds").token("TIME").optional(),
        Arg::integer("count").token("RETRYCOUNT").optional(),
        Arg::word("force", "FORCE").optional(),
        Arg::word("justid", "JUSTID").optional(),
        Arg::string("lastid").token("LASTID").optional(),
    ],
    summary: "Makes pending entries those of another consumer, as if it had received them.",
    complexity: "O(log N) for each id, with N pending entries",
    since: "5.0.0",
    handler: xclaim,
    ..Command::DEFAULT
};

pub(super) const XAUTOCLAIM: Command = Command {
    name: "xautoclaim",
    group: Group::Stream,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("start"),
        Arg::integer("count").token("COUNT").optional(),
        Arg::word("justid", "JUSTID").optional(),
    ],
    summary: "Looks for entries that are pending for too long, and makes them those of another consumer.",
    complexity: "O(M log N) for M entries looked at",
    since: "6.2.0",
    history: &[("7.0.0", "Replies with the ids of deleted entries, too, which are no longer pending.")],
    handler: xautoclaim,
    ..Command::DEFAULT
};

/// Reads the time that an entry must have been pending; negative is 0.
fn min_idle(text: &[u8], command: &str) -> Result<u64, CommandError> {
    let invalid = || CommandError::owned(format!("ERR Invalid min-idle-time argument for {command}"));
    Ok(u64::try_from(number::parse_i64(text).ok_or_else(invalid)?).unwrap_or(0))
}

/// The options of XCLAIM.
struct Options {
    /// When the entries were delivered, Unix ms.
    delivered_ms: u64,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn new(now_ms: u64) -> Options {
        Options { delivered_ms: now_ms, deliveries: None, force: false, just_id: false, last_id: StreamId::MIN }
    }

    fn parse(args: &mut Args<'_>, now_ms: u64) -> Result<Options, CommandError> {
        let mut options = Options::new(now_ms);
        // A time that is negative or still to come is now.
        let past = |ms: Option<i64>| ms.and_then(|ms| u64::try_from(ms).ok()).map_or(now_ms, |ms| ms.min(now_ms));
        while let Some(word) = args.next() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let has_value = !args.is_empty();
            if is("FORCE") {
                options.force = true;
            } else if is("JUSTID") {
                options.just_id = true;
            } else if has_value && is("IDLE") {
                let idle_ms = integer(args, "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_ms = past((now_ms as i64).checked_sub(idle_ms));
            } else if has_value && is("TIME") {
                options.delivered_ms = past(Some(integer(args, "ERR Invalid TIME option argument for XCLAIM")?));
            } else if has_value && is("RETRYCOUNT") {
                let count = integer(args, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if has_value && is("LASTID") {
                options.last_id = id(args.take()?)?;
            } else {
                return Err(quoting(&[b"ERR Unrecognized XCLAIM option '", word, b"'"]));
            }
        }
        Ok(options)
    }
}

fn integer(args: &mut Args<'_>, error: &'static str) -> Result<i64, CommandError> {
    number::parse_i64(args.take()?).ok_or(CommandError::text(error))
}

/// Opens the stream if it has the group. Both commands count as readers.
fn open<'d>(db: &'d mut Db<'_>, key: &Key<'_>, group: &[u8]) -> Result<Update<'d, Stream>, CommandError> {
    let missing = || no_key_or_group(key, group);
    let mut stream = db.update::<Stream>(key)?.ok_or_else(missing)?;
    let found = if stream.group(group).is_some() { Ok(()) } else { Err(missing()) };
    or_unchanged(&mut stream, found)?;
    Ok(stream)
}

/// What became of an entry that was to be claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claimed {
    Yes,
    No,
    /// It was pending, but is deleted: it is pending no more.
    Gone,
}

/// Claims one entry after the other.
struct Claim<'s> {
    told: Told<'s>,
    group: &'s mut ConsumerGroup,
    entries: Entries<'s>,
    consumer: ConsumerId,
    now_ms: u64,
    min_idle_ms: u64,
    options: Options,
}

impl<'s> Claim<'s> {
    /// Begins: the consumer is made if it is not there.
    fn new(
        guard: &'s mut Update<'_, Stream>,
        told: Told<'s>,
        consumer: &[u8],
        (now_ms, min_idle_ms): (u64, u64),
        options: Options,
    ) -> Claim<'s> {
        let (consumer, _) = see_consumer(guard, told.group, consumer, now_ms);
        let stream: &mut Stream = guard;
        let (group, entries) = stream.group_and_entries(told.group).expect("callers made sure of the group");
        // What matters of it is said for each entry.
        told.effects.none();
        Claim { told, group, entries, consumer, now_ms, min_idle_ms, options }
    }

    fn take(&mut self, id: StreamId) -> Claimed {
        let pending = self.group.pending(id);
        if !self.entries.contains(id) {
            let Some(pending) = pending else { return Claimed::No };
            // Where this is run again, the entry is deleted as well.
            self.tell(&pending);
            self.group.acknowledge(id);
            return Claimed::Gone;
        }
        let deliveries = match pending {
            Some(pending) if self.now_ms.saturating_sub(pending.delivered_ms) < self.min_idle_ms => return Claimed::No,
            Some(pending) => pending.deliveries,
            None if self.options.force => 1,
            None => return Claimed::No,
        };
        let once_more = if self.options.just_id { 0 } else { 1 };
        let pending = Pending {
            id,
            consumer: self.consumer,
            delivered_ms: self.options.delivered_ms,
            deliveries: self.options.deliveries.unwrap_or(deliveries.wrapping_add(once_more)),
        };
        self.group.set_pending(pending);
        self.tell(&pending);
        self.group.consumer_mut(self.consumer).set_active(Some(self.now_ms));
        Claimed::Yes
    }

    /// Says that an entry is pending.
    fn tell(&self, pending: &Pending) {
        if self.told.effects.is_on() {
            let consumer = self.group.consumer(pending.consumer).name();
            tell_pending(&self.told, consumer, pending, self.group.last_id());
        }
    }

    /// Replies with a claimed entry, or its id alone.
    fn write(&self, reply: &mut Reply<'_>, id: StreamId) {
        match self.entries.get(id) {
            Some(entry) if !self.options.just_id => write_entry(reply, entry),
            _ => write_id(reply, id),
        }
    }
}

fn xclaim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.take()?, args.take()?);
    let (now_ms, effects) = (ctx.now_ms(), ctx.effects());
    ctx.db.touch(&key);
    let mut guard = open(&mut ctx.db, &key, name)?;
    let min_idle_ms = or_unchanged(&mut guard, min_idle(args.take()?, "XCLAIM"))?;
    // The first word that is no id ends the ids.
    let ids = args.rest().map_while(|text| StreamId::parse_strict(text, 0));
    let mut rest = Args::skipping(args, args.index() + ids.clone().count());
    let options = or_unchanged(&mut guard, Options::parse(&mut rest, now_ms))?;

    let told = Told { effects, key: key.name, group: name };
    let group = guard.group_mut(name).expect("its group was found");
    let raised = group.last_id() < options.last_id;
    group.raise_last_id(options.last_id);
    let mut claim = Claim::new(&mut guard, told, consumer, (now_ms, min_idle_ms), options);
    let mut changes = 0;
    ctx.reply.array_of(|reply| {
        let mut len = 0;
        for id in ids {
            let claimed = claim.take(id);
            changes += usize::from(claimed != Claimed::No);
            if claimed == Claimed::Yes {
                claim.write(reply, id);
                len += 1;
            }
        }
        len
    });
    // The last id alone is a change, with others it comes along.
    if raised && changes == 0 && effects.is_on() {
        tell_progress(&claim.told, claim.group);
    }
    let count = if raised { changes.max(1) } else { changes };
    guard.noted(None, count);
    Ok(())
}

/// How many pending entries XAUTOCLAIM looks at for each that it may claim.
const LOOKED_AT_MAX: u64 = 10;
/// How many it claims when not told.
const CLAIMED_MAX: u64 = 100;

/// The options of XAUTOCLAIM: a count and whether ids suffice.
fn auto_options(args: &mut Args<'_>) -> Result<(u64, bool), CommandError> {
    /// The reference makes room for so many ids of 16 bytes.
    const COUNT_MAX: i64 = i64::MAX / 16;
    let (mut count, mut just_id) = (CLAIMED_MAX, false);
    while !args.is_empty() {
        if args.left() > 1 && args.accept("COUNT") {
            let given = number::parse_i64(args.take()?).filter(|count| (1..=COUNT_MAX).contains(count));
            count = given.ok_or(CommandError::text("ERR COUNT must be > 0"))? as u64;
        } else if args.accept("JUSTID") {
            just_id = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((count, just_id))
}

fn xautoclaim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.take()?, args.take()?);
    let (now_ms, effects) = (ctx.now_ms(), ctx.effects());
    // The key is looked up before anything else, and what is found counts after everything else.
    ctx.db.touch(&key);
    let min_idle_ms = min_idle(args.take()?, "XAUTOCLAIM")?;
    let start = range_start(args.take()?)?;
    let (count, just_id) = auto_options(&mut args)?;

    let mut guard = open(&mut ctx.db, &key, name)?;
    let options = Options { just_id, ..Options::new(now_ms) };
    let told = Told { effects, key: key.name, group: name };
    let mut claim = Claim::new(&mut guard, told, consumer, (now_ms, min_idle_ms), options);
    let (mut claimed, mut gone) = (Vec::new(), Vec::new());
    let mut next = claim.group.pending_range(start, StreamId::MAX).next();
    let mut looks_left = count * LOOKED_AT_MAX;
    while let Some(pending) = next
        && looks_left > 0
        && (claimed.len() + gone.len()) as u64 != count
    {
        looks_left -= 1;
        match claim.take(pending.id) {
            Claimed::Yes => claimed.push(pending.id),
            Claimed::Gone => gone.push(pending.id),
            Claimed::No => {}
        }
        next = pending.id.next().and_then(|after| claim.group.pending_range(after, StreamId::MAX).next());
    }
    ctx.reply.array(3);
    write_id(&mut ctx.reply, next.map_or(StreamId::MIN, |pending| pending.id));
    ctx.reply.array(claimed.len());
    claimed.iter().for_each(|&id| claim.write(&mut ctx.reply, id));
    ctx.reply.array(gone.len());
    gone.iter().for_each(|&id| write_id(&mut ctx.reply, id));
    guard.noted(None, claimed.len() + gone.len());
    Ok(())
}
