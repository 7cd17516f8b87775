//! BITFIELD: integers of any width at any place of a string.

use super::{EVENT, NOT_AN_OFFSET, OffsetLimit, open};
use kinovar_command::keyspace::Text;
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeyAt, KeySpec, Outcome, number, until_nul,
};
use std::ops::Range;

const GET_ARGS: &[Arg] = &[Arg::string("encoding"), Arg::integer("offset")];

pub(super) const BITFIELD: Command = Command {
    name: "bitfield",
    group: Group::Bitmap,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.access().update().or(Access::VARIABLE_FLAGS))
        .with_notes("The string is changed only by other operations than `GET`")],
    key_finder: Some(bitfield_keys),
    args: &[
        Arg::key("key", 0),
        Arg::one_of(
            "operation",
            &[
                Arg::block("get-block", GET_ARGS).token("GET"),
                Arg::block(
                    "write",
                    &[
                        Arg::one_of(
                            "overflow-block",
                            &[Arg::word("wrap", "WRAP"), Arg::word("sat", "SAT"), Arg::word("fail", "FAIL")],
                        )
                        .token("OVERFLOW")
                        .optional(),
                        Arg::one_of(
                            "write-operation",
                            &[
                                Arg::block(
                                    "set-block",
                                    &[Arg::string("encoding"), Arg::integer("offset"), Arg::integer("value")],
                                )
                                .token("SET"),
                                Arg::block(
                                    "incrby-block",
                                    &[Arg::string("encoding"), Arg::integer("offset"), Arg::integer("increment")],
                                )
                                .token("INCRBY"),
                            ],
                        ),
                    ],
                ),
            ],
        )
        .multiple()
        .optional(),
    ],
    summary: "Reads, sets and increments integers of any width inside a string.",
    complexity: "O(1) for each operation.",
    since: "3.2.0",
    handler: bitfield,
    ..Command::DEFAULT
};

pub(super) const BITFIELD_RO: Command = Command {
    name: "bitfield_ro",
    group: Group::Bitmap,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::block("get-block", GET_ARGS).token("GET").optional().multiple_token()],
    summary: "Reads integers of any width inside a string.",
    complexity: "O(1) for each operation.",
    since: "6.0.0",
    handler: bitfield_ro,
    ..Command::DEFAULT
};

const NOT_A_TYPE: CommandError = CommandError::text(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
const NOT_AN_OVERFLOW: CommandError = CommandError::text("ERR Invalid OVERFLOW type specified");
const ONLY_GET: CommandError = CommandError::text("ERR BITFIELD_RO only supports the GET subcommand");

/// BITFIELD changes nothing if it has no other operations than GET.
fn bitfield_keys(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    let mut rest = Args::skipping(args, 2);
    let reads = loop {
        let word = rest.next().unwrap_or_default();
        let skipped = if word.eq_ignore_ascii_case(b"GET") && rest.left() >= 2 {
            2
        } else if word.eq_ignore_ascii_case(b"OVERFLOW") && rest.left() >= 1 {
            1
        } else {
            break word.is_empty() && rest.is_empty();
        };
        rest = Args::skipping(args, rest.index() + skipped);
    };
    let access = if reads { Access::RO.access() } else { Access::RW.access().update() };
    keys.push(KeyAt { index: 1, access });
}

/// Where an integer is, and how it is read.
#[derive(Clone, Copy)]
struct Field {
    /// Its most significant bit.
    offset: u64,
    /// How many it has: up to 64, or 63 without sign.
    bits: u32,
    is_signed: bool,
}

/// What is done to a field.
#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// What becomes of results that do not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    /// Their lowest bits count.
    Wrap,
    /// The nearest number that fits.
    Saturate,
    /// Nothing is changed.
    Fail,
}

/// Calls `run` for each operation in turn. Offsets are below `limit`.
fn each_operation(
    limit: OffsetLimit,
    mut args: Args<'_>,
    mut run: impl FnMut(Field, Action, Overflow),
) -> Result<(), CommandError> {
    let mut overflow = Overflow::Wrap;
    while let Some(word) = args.next() {
        let is = |expected: &str| word.eq_ignore_ascii_case(expected.as_bytes());
        if is("OVERFLOW") && !args.is_empty() {
            overflow = parse_overflow(&mut args)?;
            continue;
        }
        let values = if is("GET") { 0 } else { 1 };
        if !(is("GET") || is("SET") || is("INCRBY")) || args.left() < 2 + values {
            return Err(CommandError::Syntax);
        }
        let field = Field::parse(limit, &mut args)?;
        let action = match values {
            0 => Action::Get,
            _ if is("SET") => Action::Set(args.integer()?),
            _ => Action::Add(args.integer()?),
        };
        run(field, action, overflow);
    }
    Ok(())
}

fn parse_overflow(args: &mut Args<'_>) -> Result<Overflow, CommandError> {
    if args.accept("WRAP") {
        Ok(Overflow::Wrap)
    } else if args.accept("SAT") {
        Ok(Overflow::Saturate)
    } else if args.accept("FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(NOT_AN_OVERFLOW)
    }
}

fn bitfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    run(ctx, args, true)
}

fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    run(ctx, args, false)
}

fn run(ctx: &mut Ctx<'_>, mut args: Args<'_>, may_write: bool) -> Outcome {
    let key = args.key()?;
    let limit = OffsetLimit::new(ctx);
    // Everything is parsed before anything is done, and then once more: that costs less than to keep it.
    let (mut operations, mut written_bits) = (0, 0);
    each_operation(limit, args, |field, action, _| {
        operations += 1;
        if !matches!(action, Action::Get) {
            written_bits = written_bits.max(field.offset + u64::from(field.bits));
        }
    })?;
    if written_bits == 0 {
        let text = ctx.db.read_text(&key)?.unwrap_or(Text::Bytes(b""));
        let reply = &mut ctx.reply;
        reply.array(operations);
        return text.with(|bytes| each_operation(limit, args, |field, _, _| reply.integer(field.read(bytes) as i64)));
    }
    if !may_write {
        return Err(ONLY_GET);
    }
    let (mut update, grows) = open(&mut ctx.db, &key, written_bits.div_ceil(8) as usize)?;
    let reply = &mut ctx.reply;
    reply.array(operations);
    let mut changes = 0;
    let bytes = update.bytes_mut(0);
    each_operation(limit, args, |field, action, overflow| {
        let old = field.read(bytes);
        let (new, shown) = match action {
            Action::Get => return reply.integer(old as i64),
            Action::Set(value) => (field.fit(field.value(value), 0, overflow), Some(old)),
            Action::Add(increment) => (field.fit(old, increment, overflow), None),
        };
        let Some(new) = new else { return reply.null() };
        reply.integer(shown.unwrap_or(new) as i64);
        field.write(bytes, new);
        changes += usize::from(grows || new != old);
    })?;
    if changes > 0 {
        update.changed_often(EVENT, changes);
    } else if grows {
        // Nobody is told in the reference. But the string is there.
        drop(update);
        ctx.effects().anyway();
    }
    Ok(())
}

impl Field {
    fn parse(limit: OffsetLimit, args: &mut Args<'_>) -> Result<Field, CommandError> {
        let (is_signed, bits) = match until_nul(args.take()?) {
            [b'i', bits @ ..] => (true, number::parse_i64(bits)),
            [b'u', bits @ ..] => (false, number::parse_i64(bits)),
            _ => return Err(NOT_A_TYPE),
        };
        let bits_max = if is_signed { 64 } else { 63 };
        let bits = bits.filter(|bits| (1..=bits_max).contains(bits)).ok_or(NOT_A_TYPE)?;
        let offset = match args.take()? {
            // Counted in fields. The reference lets the product wrap around.
            [b'#', index @ ..] => limit.check(number::parse_i64(index).ok_or(NOT_AN_OFFSET)?.wrapping_mul(bits))?,
            offset => limit.parse(offset)?,
        };
        Ok(Field { offset, bits: bits as u32, is_signed })
    }

    /// The lowest bits of a number as a value of the field.
    fn wrap(self, number: i128) -> i128 {
        let unused = 128 - self.bits;
        if self.is_signed { number << unused >> unused } else { ((number as u128) << unused >> unused) as i128 }
    }

    /// What is given as a value: negative numbers are large ones without sign.
    fn value(self, given: i64) -> i128 {
        if self.is_signed { i128::from(given) } else { i128::from(given as u64) }
    }

    /// `value + increment`, if it fits or is made to. Either fits, or `increment` is 0.
    fn fit(self, value: i128, increment: i64, overflow: Overflow) -> Option<i128> {
        let (min, max) = match (self.is_signed, 1i128 << (self.bits - u32::from(self.is_signed))) {
            (true, end) => (-end, end - 1),
            (false, end) => (0, end - 1),
        };
        let sum = value + i128::from(increment);
        // The reference finds a number too large as well if it is too small by more than an integer holds.
        let is_far = value < min && max - value > i128::from(i64::MAX);
        let is_above = sum > max || is_far;
        if !is_above && sum >= min {
            return Some(sum);
        }
        match overflow {
            Overflow::Wrap => Some(self.wrap(sum)),
            Overflow::Saturate => Some(if is_above { max } else { min }),
            Overflow::Fail => None,
        }
    }

    /// The bytes with the field, as many of them as there are, and how far it is from the end of [`WINDOW`] bytes.
    fn window(self, len: usize) -> (Range<usize>, u32) {
        let start = (self.offset / 8).min(len as u64) as usize;
        let shift = 8 * WINDOW as u32 - (self.offset % 8) as u32 - self.bits;
        (start..len.min(start + WINDOW), shift)
    }

    /// The field in a string that goes on with zeros.
    fn read(self, bytes: &[u8]) -> i128 {
        let (range, shift) = self.window(bytes.len());
        let mut window = [0; WINDOW];
        window[..range.len()].copy_from_slice(&bytes[range]);
        self.wrap((u128::from_be_bytes(window) >> shift) as i128)
    }

    /// Changes the field, which must be inside the string.
    fn write(self, bytes: &mut [u8], value: i128) {
        let (range, shift) = self.window(bytes.len());
        let mut window = [0; WINDOW];
        window[..range.len()].copy_from_slice(&bytes[range.clone()]);
        let mask = (1u128 << self.bits) - 1;
        let changed = u128::from_be_bytes(window) & !(mask << shift) | (value as u128 & mask) << shift;
        bytes[range.clone()].copy_from_slice(&changed.to_be_bytes()[..range.len()]);
    }
}

/// Bytes that hold any field, wherever it starts in the first of them.
const WINDOW: usize = size_of::<u128>();
