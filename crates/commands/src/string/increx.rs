//! INCREX: a counter with bounds and an expiry, in one step. A command of Redis 8.8.
//!
//! ```text
//! INCREX key [BYINT increment | BYFLOAT increment] [LBOUND lowerbound] [UBOUND upperbound] [SATURATE]
//!            [EX seconds | PX milliseconds | EXAT … | PXAT … | PERSIST] [ENX]
//! ```
//!
//! The reply is the value and what was added to it. A result beyond a bound, or beyond the range of the type, is not stored:
//! nothing changes, and nothing was added. With `SATURATE` it is the bound that is stored.

use kinovar_command::expiry::{ExpiryWord, TIME_OR_PERSIST, positive_deadline_ms};
use kinovar_command::keyspace::{Event, EventClass, NewPayload};
use kinovar_command::long_double::LongDouble;
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome, Reply, number,
};

pub(super) const INCREX: Command = Command {
    name: "increx",
    group: Group::String,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[
        Arg::key("key", 0),
        Arg::one_of("increment", &[Arg::double("float").token("BYFLOAT"), Arg::integer("integer").token("BYINT")])
            .optional(),
        Arg::word("saturate", "SATURATE").optional().summary("What lies beyond a bound becomes the bound."),
        Arg::string("lowerbound").token("LBOUND").optional().summary("An integer, or with `BYFLOAT` any number."),
        Arg::string("upperbound").token("UBOUND").optional().summary("An integer, or with `BYFLOAT` any number."),
        TIME_OR_PERSIST,
        Arg::word("enx", "ENX").optional().summary("An expiry that is there stays."),
    ],
    summary: "Adds to a number within bounds, which starts at 0, and sets or removes its expiry.",
    complexity: "O(1)",
    since: "8.8.0",
    handler: increx,
    ..Command::DEFAULT
};

/// The arguments as they are spelled. Each may be there once.
#[derive(Default)]
struct Words<'a> {
    by_int: Option<&'a [u8]>,
    by_float: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    expiry: Option<(ExpiryWord, &'a [u8])>,
    enx: bool,
}

impl<'a> Words<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Words<'a>, CommandError> {
        let mut words = Words::default();
        while !args.is_empty() {
            if let Some(word) = args.peek().and_then(ExpiryWord::of).filter(|&word| word != ExpiryWord::KeepTtl) {
                args.take()?;
                let value = if word.takes_time() { args.take()? } else { b"" };
                once(&mut words.expiry, (word, value))?;
                continue;
            }
            if args.accept("SATURATE") {
                flag(&mut words.saturate)?;
                continue;
            }
            if args.accept("ENX") {
                flag(&mut words.enx)?;
                continue;
            }
            let place = match () {
                () if args.accept("BYINT") => &mut words.by_int,
                () if args.accept("BYFLOAT") => &mut words.by_float,
                () if args.accept("LBOUND") => &mut words.lower,
                () if args.accept("UBOUND") => &mut words.upper,
                () => return Err(CommandError::Syntax),
            };
            once(place, args.take()?)?;
        }
        let persists = matches!(words.expiry, Some((ExpiryWord::Persist, _)));
        if words.by_int.is_some() && words.by_float.is_some() || persists && words.enx {
            return Err(CommandError::Syntax);
        }
        if words.enx && words.expiry.is_none() {
            return Err(CommandError::text("ERR ENX flag requires an expiration"));
        }
        Ok(words)
    }

    fn lifetime(&self, now_ms: u64) -> Result<Lifetime, CommandError> {
        match self.expiry {
            None => Ok(Lifetime::Keep),
            Some((ExpiryWord::Persist, _)) => Ok(Lifetime::Persist),
            Some((word, value)) => {
                positive_deadline_ms(value, word.unit(), word.base_ms(now_ms), "increx").map(Lifetime::Until)
            }
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), CommandError> {
    if place.replace(value).is_some() { Err(CommandError::Syntax) } else { Ok(()) }
}

fn flag(place: &mut bool) -> Result<(), CommandError> {
    if std::mem::replace(place, true) { Err(CommandError::Syntax) } else { Ok(()) }
}

/// What becomes of the expiry.
#[derive(Clone, Copy)]
enum Lifetime {
    Keep,
    Persist,
    /// Unix ms.
    Until(u64),
}

/// What is added, and where it has to end.
struct Step<N> {
    increment: N,
    lower: N,
    upper: N,
    saturate: bool,
}

/// A kind of number to count with.
trait Number: Copy {
    const MIN: Self;
    const MAX: Self;
    const ZERO: Self;
    /// What the kind is called in the error for an argument.
    const EXPECTED: &'static str;
    const EVENT: &'static str;

    /// An argument. Bounds may be infinite, which is as good as none.
    fn argument(text: &[u8]) -> Option<Self>;
    fn stored(text: &[u8]) -> Result<Self, CommandError>;
    fn is_less(self, other: Self) -> bool;
    /// The sum; whether it is too large if it is beyond the range.
    fn add(self, other: Self) -> Result<Self, bool>;
    /// How far it is from `before`; `None` if that cannot be said.
    fn since(self, before: Self) -> Option<Self>;
    fn text(self) -> Vec<u8>;
    fn reply(self, reply: &mut Reply<'_>);
    fn store(self, ctx: &mut Ctx<'_>, key: &Key<'_>) -> Outcome;
}

impl Number for i64 {
    const MIN: i64 = i64::MIN;
    const MAX: i64 = i64::MAX;
    const ZERO: i64 = 0;
    const EXPECTED: &'static str = "an integer or out of range";
    const EVENT: &'static str = "incrby";

    fn argument(text: &[u8]) -> Option<i64> {
        number::parse_i64(text)
    }

    fn stored(text: &[u8]) -> Result<i64, CommandError> {
        number::parse_i64(text).ok_or(CommandError::NotInteger)
    }

    fn is_less(self, other: i64) -> bool {
        self < other
    }

    fn add(self, other: i64) -> Result<i64, bool> {
        self.checked_add(other).ok_or(other > 0)
    }

    fn since(self, before: i64) -> Option<i64> {
        self.checked_sub(before)
    }

    fn text(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn reply(self, reply: &mut Reply<'_>) {
        reply.integer(self);
    }

    fn store(self, ctx: &mut Ctx<'_>, key: &Key<'_>) -> Outcome {
        let (mut update, created) = ctx.db.upsert_text(key, NewPayload::Int(self))?;
        if created {
            update.changed(Self::EVENT);
        } else {
            update.set_int(self, Self::EVENT);
        }
        Ok(())
    }
}

impl Number for LongDouble {
    const MIN: LongDouble = LongDouble::MIN;
    const MAX: LongDouble = LongDouble::MAX;
    const ZERO: LongDouble = LongDouble::ZERO;
    const EXPECTED: &'static str = "a valid float";
    const EVENT: &'static str = "incrbyfloat";

    fn argument(text: &[u8]) -> Option<LongDouble> {
        LongDouble::parse(text)
    }

    fn stored(text: &[u8]) -> Result<LongDouble, CommandError> {
        let value = LongDouble::parse(text).ok_or(CommandError::NotFloat)?;
        if value.is_infinite() { Err(CommandError::text("ERR value cannot be Infinity")) } else { Ok(value) }
    }

    fn is_less(self, other: LongDouble) -> bool {
        self.compare(&other).is_lt()
    }

    fn add(self, other: LongDouble) -> Result<LongDouble, bool> {
        self.checked_add(other).ok_or(LongDouble::ZERO.is_less(other))
    }

    fn since(self, before: LongDouble) -> Option<LongDouble> {
        self.checked_add(before.negated())
    }

    fn text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(32);
        self.push_text(&mut text);
        text
    }

    fn reply(self, reply: &mut Reply<'_>) {
        let text = self.text();
        if reply.is_resp3() {
            reply.raw(&[b",", text.as_slice(), b"\r\n"].concat());
        } else {
            reply.bulk(&text);
        }
    }

    fn store(self, ctx: &mut Ctx<'_>, key: &Key<'_>) -> Outcome {
        // The number is stored as text, even if it is an integer's.
        let text = self.text();
        if let Some(mut update) = ctx.db.update_text(key)? {
            update.set_literal(&text, Self::EVENT);
            return Ok(());
        }
        let event = Event { class: EventClass::String, name: Self::EVENT };
        ctx.db.put(key, NewPayload::Bytes(&text), None, event);
        Ok(())
    }
}

impl<N: Number> Step<N> {
    fn parse(words: &Words<'_>, increment: N) -> Result<Step<N>, CommandError> {
        let bound = |name: &str, text: Option<&[u8]>, default: N| match text {
            None => Ok(default),
            // Infinity is beyond the last number, which is bound enough.
            Some(text) => N::argument(text)
                .map(|bound| if bound.is_less(N::MIN) { N::MIN } else { bound })
                .map(|bound| if N::MAX.is_less(bound) { N::MAX } else { bound })
                .ok_or_else(|| not_a_number::<N>(name)),
        };
        let (lower, upper) = (bound("LBOUND", words.lower, N::MIN)?, bound("UBOUND", words.upper, N::MAX)?);
        if upper.is_less(lower) {
            return Err(CommandError::text("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok(Step { increment, lower, upper, saturate: words.saturate })
    }

    /// The next value and how far it is from `value`; `None` if it must not be taken.
    fn take(&self, value: N) -> Result<Option<(N, N)>, CommandError> {
        let bound = match value.add(self.increment) {
            Ok(sum) if self.upper.is_less(sum) => self.upper,
            Ok(sum) if sum.is_less(self.lower) => self.lower,
            Ok(sum) => return Ok(Some((sum, self.increment))),
            Err(true) => self.upper,
            Err(false) => self.lower,
        };
        if !self.saturate {
            return Ok(None);
        }
        let applied = bound.since(value).ok_or(CommandError::text("ERR applied increment would overflow"))?;
        Ok(Some((bound, applied)))
    }
}

fn not_a_number<N: Number>(name: &str) -> CommandError {
    CommandError::owned(format!("ERR {name} is not {}", N::EXPECTED))
}

fn increx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let words = Words::parse(&mut args)?;
    if let Some(text) = words.by_float {
        let increment = LongDouble::parse(text).ok_or_else(|| not_a_number::<LongDouble>("Increment"))?;
        if increment.is_infinite() {
            return Err(CommandError::text("ERR BYFLOAT increment cannot be Infinity"));
        }
        return run(ctx, &key, &words, Step::parse(&words, increment)?);
    }
    let increment = match words.by_int {
        Some(text) => number::parse_i64(text).ok_or_else(|| not_a_number::<i64>("Increment"))?,
        None => 1,
    };
    run(ctx, &key, &words, Step::parse(&words, increment)?)
}

fn run<N: Number>(ctx: &mut Ctx<'_>, key: &Key<'_>, words: &Words<'_>, step: Step<N>) -> Outcome {
    let lifetime = words.lifetime(ctx.now_ms())?;
    let (value, expires) = match ctx.db.update_text(key)? {
        Some(string) => (Some(string.text().with(N::stored)?), string.entry().expire_at_ms().is_some()),
        None => (None, false),
    };
    let before = value.unwrap_or(N::ZERO);
    let taken = step.take(before)?;
    let (after, applied) = taken.unwrap_or((before, N::ZERO));
    if taken.is_some() {
        let lifetime = if expires && words.enx { Lifetime::Keep } else { lifetime };
        match lifetime {
            Lifetime::Until(at_ms) if at_ms <= ctx.expiry_ms() => expire(ctx, key),
            _ => store(ctx, key, after, lifetime, expires)?,
        }
    }
    ctx.reply.array(2);
    after.reply(&mut ctx.reply);
    applied.reply(&mut ctx.reply);
    Ok(())
}

/// The value's time is over before it is stored.
fn expire(ctx: &mut Ctx<'_>, key: &Key<'_>) {
    if ctx.db.delete(key) {
        ctx.effects().instead(&[ctx.db.settings().word_of_expiry(), key.name]);
    }
}

fn store<N: Number>(ctx: &mut Ctx<'_>, key: &Key<'_>, value: N, lifetime: Lifetime, expires: bool) -> Outcome {
    value.store(ctx, key)?;
    match lifetime {
        Lifetime::Until(at_ms) => {
            ctx.db.set_expiry(key, Some(at_ms));
        }
        Lifetime::Persist if expires => {
            ctx.db.set_expiry(key, None);
        }
        Lifetime::Persist | Lifetime::Keep => {}
    }
    if ctx.effects().is_on() {
        let text = value.text();
        match lifetime {
            Lifetime::Until(at_ms) => {
                ctx.effects().instead(&[b"SET", key.name, &text, b"PXAT", at_ms.to_string().as_bytes()]);
            }
            Lifetime::Persist => ctx.effects().instead(&[b"SET", key.name, &text]),
            Lifetime::Keep => ctx.effects().instead(&[b"SET", key.name, &text, b"KEEPTTL"]),
        }
    }
    Ok(())
}
