//! Two steps in one: `HGETDEL`, `HGETEX`, `HSETEX`.

use super::expiry::parse_deadline;
use super::{FIELD_COUNT_NOT_POSITIVE, FIELDS, reply_text, take_names};
use kinovar_command::expiry::{ExpiryChange, ExpiryWord, TIME_OR_KEEPTTL, TIME_OR_PERSIST};
use kinovar_command::keyspace::{FieldTtl, Hash, Teller};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome, number, until_nul,
};

pub(super) const HGETDEL: Command = Command {
    name: "hgetdel",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    args: &[Arg::key("key", 0), FIELDS],
    summary: "Reads fields of a hash and removes them.",
    complexity: "O(N) for N fields named",
    since: "8.0.0",
    handler: hgetdel,
    ..Command::DEFAULT
};

fn hgetdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (now_ms, effects) = (ctx.expiry_ms(), ctx.effects());
    let mut hash = ctx.db.update::<Hash>(&key)?;
    if let Some(hash) = &mut hash {
        hash.unchanged();
    }
    take_names(&mut args, FIELD_COUNT_NOT_POSITIVE)?;
    ctx.reply.array(args.left());
    let Some(hash) = &mut hash else {
        args.rest().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    let (mut removed, mut expired) = (0, 0);
    for name in args.rest() {
        expired += usize::from(hash.remove_expired(name, now_ms));
        reply_text(&mut ctx.reply, hash.get(name, now_ms));
        removed += usize::from(hash.remove(name));
    }
    if expired > 0 {
        hash.expired(expired);
    }
    if removed > 0 {
        hash.changed("hdel", removed);
        if effects.is_on() {
            tell_of_fields(effects, &[b"HDEL", key.name], args);
        }
    }
    Ok(())
}

/// Says something of the fields left in `args`.
#[cold]
fn tell_of_fields(effects: Teller<'_>, head: &[&[u8]], args: Args<'_>) {
    let mut words = head.to_vec();
    words.extend(args.rest());
    effects.instead(&words);
}

pub(super) const HGETEX: Command = Command {
    name: "hgetex",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update()).with_notes("The expiry may change.")],
    args: &[Arg::key("key", 0), TIME_OR_PERSIST, FIELDS],
    summary: "Reads fields of a hash and sets, changes or drops their expiry.",
    complexity: "O(N) for N fields named",
    since: "8.0.0",
    handler: hgetex,
    ..Command::DEFAULT
};

fn hgetex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (started_ms, now_ms, effects) = (ctx.now_ms(), ctx.expiry_ms(), ctx.effects());
    let mut hash = ctx.db.update::<Hash>(&key)?;
    if let Some(hash) = &mut hash {
        hash.unchanged();
    }
    let change = take_read_change(&mut args, started_ms)?;
    take_names(&mut args, FIELD_COUNT_NOT_POSITIVE)?;
    ctx.reply.array(args.left());
    let Some(hash) = &mut hash else {
        args.rest().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    if change != ExpiryChange::Unspecified {
        hash.expect_expiries();
    }
    let (mut changed, mut event, mut expired) = (0, "hexpire", 0);
    for name in args.rest() {
        expired += usize::from(hash.remove_expired(name, now_ms));
        let field = hash.find_live(name, now_ms);
        reply_text(&mut ctx.reply, field.map(|field| field.value));
        let Some(before_ms) = field.map(|field| field.expire_at_ms) else { continue };
        match change {
            ExpiryChange::At(at_ms) if at_ms <= now_ms => {
                hash.remove(name);
                effects.part(&[b"HDEL", key.name, name]);
                event = "hdel";
            }
            ExpiryChange::At(at_ms) => {
                hash.set_expiry(name, Some(at_ms));
            }
            ExpiryChange::Persist if before_ms.is_some() => {
                hash.set_expiry(name, None);
                event = "hpersist";
            }
            ExpiryChange::Persist | ExpiryChange::Keep | ExpiryChange::Unspecified => continue,
        }
        changed += 1;
    }
    if expired > 0 {
        hash.expired(expired);
    }
    if changed > 0 {
        hash.changed(event, changed);
        if effects.is_on() {
            tell_change(effects, &key, change, now_ms, args);
        }
    }
    Ok(())
}

/// Says what HGETEX has done to the expiry of the fields left in `args`. Of those that it has removed was told already.
#[cold]
fn tell_change(effects: Teller<'_>, key: &Key<'_>, change: ExpiryChange, now_ms: u64, args: Args<'_>) {
    let count = args.left().to_string();
    match change {
        ExpiryChange::At(at_ms) if at_ms > now_ms => {
            let time = at_ms.to_string();
            let head = [&b"HPEXPIREAT"[..], key.name, time.as_bytes(), b"FIELDS", count.as_bytes()];
            tell_of_fields(effects, &head, args);
        }
        ExpiryChange::Persist => {
            tell_of_fields(effects, &[b"HPERSIST", key.name, b"FIELDS", count.as_bytes()], args);
        }
        _ => {}
    }
}

/// Takes the option of `HGETEX`, after which at least `FIELDS` and a number must follow.
fn take_read_change(args: &mut Args<'_>, now_ms: u64) -> Result<ExpiryChange, CommandError> {
    let word = args.peek().and_then(ExpiryWord::of).filter(|&word| word != ExpiryWord::KeepTtl);
    let Some(word) = word else { return Ok(ExpiryChange::Unspecified) };
    args.take()?;
    let change = if word == ExpiryWord::Persist {
        ExpiryChange::Persist
    } else {
        ExpiryChange::At(parse_deadline(args.take()?, word, now_ms, "hgetex")?)
    };
    if args.left() < 2 { Err(CommandError::WrongArity("hgetex".into())) } else { Ok(change) }
}

pub(super) const HSETEX: Command = Command {
    name: "hsetex",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[
        Arg::key("key", 0),
        Arg::one_of("condition", &[Arg::word("fnx", "FNX"), Arg::word("fxx", "FXX")]).optional(),
        TIME_OR_KEEPTTL,
        Arg::block(
            "fields",
            &[Arg::integer("numfields"), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()],
        )
        .token("FIELDS"),
    ],
    summary: "Sets fields of a hash together with their expiry, on a condition if wanted.",
    complexity: "O(N) for N fields named",
    since: "8.0.0",
    handler: hsetex,
    ..Command::DEFAULT
};

const TWO_CONDITIONS: CommandError = CommandError::text("ERR Only one of FXX or FNX arguments can be specified");
const TWO_EXPIRIES: CommandError =
    CommandError::text("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const FIELD_COUNT_INVALID: CommandError = CommandError::text("ERR invalid number of fields");

fn hsetex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (now_ms, settings, effects) = (ctx.expiry_ms(), ctx.db.settings(), ctx.effects());
    let options = SetOptions::take(&mut args, ctx.now_ms())?;
    if let Some(must_exist) = options.must_exist
        && !all_exist_or_none(ctx, &key, args, must_exist)?
    {
        ctx.reply.flag(false);
        return Ok(());
    }
    let mut update = ctx.db.upsert::<Hash>(&key, Hash::default)?;
    let (hash, pairs) = (&mut *update, args.left() / 2);
    hash.expect_fields(args.rest(), settings);
    let (mut expiring, mut event) = (options.expiry, None);
    if let ExpiryChange::At(at_ms) = options.expiry {
        hash.expect_expiries();
        event = Some(if at_ms <= now_ms { "hdel" } else { "hexpire" });
    } else if options.expiry == ExpiryChange::Unspecified {
        expiring = ExpiryChange::Persist;
    }
    // A time that is set below takes the place of the old one.
    let ttl = if expiring == ExpiryChange::Persist { FieldTtl::Clear } else { FieldTtl::Keep };
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        hash.set(name, value, ttl, settings);
        match expiring {
            ExpiryChange::At(at_ms) if at_ms <= now_ms => {
                hash.remove(name);
                effects.part(&[b"HDEL", key.name, name]);
            }
            ExpiryChange::At(at_ms) => {
                hash.set_expiry(name, Some(at_ms));
            }
            _ => {}
        }
    }
    update.changed("hset", pairs);
    if let Some(event) = event {
        update.changed(event, 0);
    }
    if effects.is_on() {
        options.tell(effects, &args, now_ms);
    }
    ctx.reply.flag(true);
    Ok(())
}

/// Whether all fields named in `args`, or none, exist. Those that have expired are removed up to the first that decides it.
fn all_exist_or_none(ctx: &mut Ctx<'_>, key: &Key<'_>, args: Args<'_>, must_exist: bool) -> Result<bool, CommandError> {
    let now_ms = ctx.expiry_ms();
    let Some(mut hash) = ctx.db.update::<Hash>(key)? else { return Ok(!must_exist) };
    hash.unchanged();
    let mut expired = 0;
    let holds = args.rest().step_by(2).all(|name| {
        expired += usize::from(hash.remove_expired(name, now_ms));
        hash.find(name).is_some() == must_exist
    });
    if expired > 0 {
        hash.expired(expired);
    }
    Ok(holds)
}

/// The options of `HSETEX`.
struct SetOptions {
    /// Whether all fields, or none, must exist.
    must_exist: Option<bool>,
    expiry: ExpiryChange,
    /// Which argument is the word for the time, if the time is not an absolute one in ms.
    word_at: Option<usize>,
}

impl SetOptions {
    /// Takes everything up to the fields, of which exactly the number announced is left then.
    fn take(args: &mut Args<'_>, now_ms: u64) -> Result<SetOptions, CommandError> {
        let mut options = SetOptions { must_exist: None, expiry: ExpiryChange::Unspecified, word_at: None };
        while !args.accept("FIELDS") {
            let Some(word) = args.next() else { return Err(wrong_arity()) };
            options.accept(word, args, now_ms)?;
        }
        if args.left() < 3 {
            return Err(wrong_arity());
        }
        let count =
            number::parse_i64(args.take()?).and_then(|count| i32::try_from(count).ok()).filter(|&count| count > 0);
        let count = count.ok_or(FIELD_COUNT_INVALID)? as usize;
        if args.left() == 2 * count { Ok(options) } else { Err(wrong_arity()) }
    }

    /// Says what the command with the words `args` comes to. Of fields that were removed at once was told already.
    #[cold]
    fn tell(&self, effects: Teller<'_>, args: &Args<'_>, now_ms: u64) {
        if let ExpiryChange::At(at_ms) = self.expiry
            && at_ms > now_ms
            && let Some(word_at) = self.word_at
        {
            let time = at_ms.to_string();
            let mut words: Vec<&[u8]> = (0..args.argc()).map(|index| args.at(index)).collect();
            words[word_at] = b"PXAT";
            words[word_at + 1] = time.as_bytes();
            effects.instead(&words);
        }
    }

    fn accept(&mut self, word: &[u8], args: &mut Args<'_>, now_ms: u64) -> Result<(), CommandError> {
        if word.eq_ignore_ascii_case(b"FNX") || word.eq_ignore_ascii_case(b"FXX") {
            let earlier = self.must_exist.replace(word.eq_ignore_ascii_case(b"FXX"));
            return if earlier.is_some() { Err(TWO_CONDITIONS) } else { Ok(()) };
        }
        let expiry = ExpiryWord::of(word).filter(|&word| word != ExpiryWord::Persist);
        let Some(expiry) = expiry else {
            return Err(CommandError::Bytes([b"ERR unknown argument: ", until_nul(word)].concat()));
        };
        if self.expiry != ExpiryChange::Unspecified {
            return Err(TWO_EXPIRIES);
        }
        self.expiry = if expiry == ExpiryWord::KeepTtl {
            ExpiryChange::Keep
        } else {
            let value = args.next().ok_or_else(wrong_arity)?;
            if expiry != ExpiryWord::PxAt {
                self.word_at = Some(args.index() - 2);
            }
            ExpiryChange::At(parse_deadline(value, expiry, now_ms, "hsetex")?)
        };
        Ok(())
    }
}

fn wrong_arity() -> CommandError {
    CommandError::WrongArity("hsetex".into())
}
