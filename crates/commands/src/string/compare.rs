//! Doing something to a string only if its value is, or is not, an expected one: DIGEST, DELEX, and the conditions of SET.
//!
//! They are commands of Redis 8.4. A digest is the XXH3 hash of a value, 64 bits, as sixteen hexadecimal digits: a client that
//! knows a large value's digest need not send the value.

use kinovar_command::keyspace::{Text, object};
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeyAt, KeySpec, Outcome};
use twox_hash::XxHash3_64;

/// Hexadecimal digits of a digest.
const DIGITS: usize = 16;

/// The words of [`Comparison`], for the declarations of the commands that take one.
pub(super) const COMPARISONS: [Arg; 4] = [
    Arg::string("ifeq-value").token("IFEQ"),
    Arg::string("ifne-value").token("IFNE"),
    Arg::string("ifdeq-digest").token("IFDEQ"),
    Arg::string("ifdne-digest").token("IFDNE"),
];

/// What a value is compared by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Value,
    Digest,
}

/// A condition on the value of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Comparison<'a> {
    by: By,
    /// Whether it is to be this, or anything else.
    equal: bool,
    expected: &'a [u8],
}

impl<'a> Comparison<'a> {
    /// Whether `word` begins a comparison.
    pub(super) fn is_word(word: &[u8]) -> bool {
        Comparison::of(word).is_some()
    }

    fn of(word: &[u8]) -> Option<(By, bool)> {
        const WORDS: [(&[u8], By, bool); 4] = [
            (b"IFEQ", By::Value, true),
            (b"IFNE", By::Value, false),
            (b"IFDEQ", By::Digest, true),
            (b"IFDNE", By::Digest, false),
        ];
        WORDS.iter().find(|(name, ..)| word.eq_ignore_ascii_case(name)).map(|&(_, by, equal)| (by, equal))
    }

    /// Takes a comparison, if one comes next.
    pub(super) fn accept(args: &mut Args<'a>) -> Result<Option<Comparison<'a>>, CommandError> {
        let Some((by, equal)) = args.peek().and_then(Comparison::of) else { return Ok(None) };
        args.take()?;
        Ok(Some(Comparison { by, equal, expected: args.take()? }))
    }

    /// Whether the same word began both.
    pub(super) fn is_like(&self, other: &Comparison<'_>) -> bool {
        (self.by, self.equal) == (other.by, other.equal)
    }

    /// Whether it holds where there is no value: that is not equal to anything.
    pub(super) fn holds_of_nothing(&self) -> bool {
        !self.equal
    }

    /// Whether it holds of a value. A digest of the wrong length is an error, other letters in it are none.
    pub(super) fn holds(&self, value: Text<'_>) -> Result<bool, CommandError> {
        let equal = match self.by {
            By::Value => value.with(|bytes| bytes == self.expected),
            By::Digest if self.expected.len() != DIGITS => {
                return Err(CommandError::text("ERR must be exactly 16 hexadecimal characters"));
            }
            By::Digest => digest(value).eq_ignore_ascii_case(self.expected),
        };
        Ok(equal == self.equal)
    }
}

/// The digest of a value.
fn digest(value: Text<'_>) -> [u8; DIGITS] {
    let hash = value.with(XxHash3_64::oneshot);
    let mut text = [0; DIGITS];
    for (index, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (60 - 4 * index)) as usize & 15];
    }
    text
}

pub(super) const DIGEST: Command = Command {
    name: "digest",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0)],
    summary: "Tells the XXH3 hash of a string.",
    complexity: "O(N) in the length of the string",
    since: "8.4.0",
    handler: run_digest,
    ..Command::DEFAULT
};

fn run_digest(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    match ctx.db.read_text(&args.key()?)? {
        Some(value) => ctx.reply.bulk(&digest(value)),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) const DELEX: Command = Command {
    name: "delex",
    group: Group::String,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete().or(Access::VARIABLE_FLAGS))],
    key_finder: Some(find_key),
    args: &[Arg::key("key", 0), Arg::one_of("condition", &COMPARISONS).optional()],
    summary: "Deletes a key, if it holds a certain string or does not.",
    complexity: "O(1), with a digest O(N) in the length of the string",
    since: "8.4.0",
    handler: delex,
    ..Command::DEFAULT
};

/// Without a condition the value does not matter.
fn find_key(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    let access = if args.argc() > 2 { Access::RW.access().delete() } else { Access::RM.delete() };
    keys.push(KeyAt { index: 1, access });
}

fn delex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    if !matches!(args.left(), 0 | 2) {
        return Err(CommandError::WrongArity("delex".into()));
    }
    // Whatever the condition is, a missing key comes first, and then its type.
    let wanted = ctx.db.exists(&key)
        && match args.left() {
            0 => true,
            _ => {
                let value = ctx.db.peek(&key).map(object::text).transpose();
                let value = value
                    .map_err(|_| CommandError::text("ERR Key should be of string type if conditions are specified"))?;
                let comparison = Comparison::accept(&mut args)?
                    .ok_or(CommandError::text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
                value.map(|value| comparison.holds(value)).transpose()?.unwrap_or(false)
            }
        };
    if wanted {
        ctx.db.delete(&key);
        ctx.effects().instead(&[b"DEL", key.name]);
    }
    ctx.reply.flag(wanted);
    Ok(())
}
