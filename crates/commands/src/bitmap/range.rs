//! Counting and searching: BITCOUNT, BITPOS.

use kinovar_command::keyspace::bits;
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome};

const UNIT: Arg = Arg::one_of("unit", &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")]).optional().since("7.0.0");

pub(super) const BITCOUNT: Command = Command {
    name: "bitcount",
    group: Group::Bitmap,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::block("range", &[Arg::integer("start"), Arg::integer("end"), UNIT]).optional()],
    summary: "Counts the bits that are set in a string or in a part of it.",
    complexity: "O(N) in the length of the part.",
    since: "2.6.0",
    history: &[("7.0.0", "New option `BYTE|BIT`.")],
    handler: bitcount,
    ..Command::DEFAULT
};

/// In what a range is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

/// The unit, if one is given.
fn unit(args: &mut Args<'_>) -> Result<Unit, CommandError> {
    if args.is_empty() || args.accept("BYTE") {
        Ok(Unit::Byte)
    } else if args.accept("BIT") {
        Ok(Unit::Bit)
    } else {
        Err(CommandError::Syntax)
    }
}

fn bitcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let range = match args.left() {
        0 => None,
        2 | 3 => {
            let (start, end) = (args.integer()?, args.integer()?);
            Some((start, end, unit(&mut args)?))
        }
        _ => return Err(CommandError::Syntax),
    };
    let text = ctx.db.read_text(&key)?;
    let count = text.map_or(0, |text| {
        text.with(|bytes| match range {
            None => bits::count(bytes),
            // Otherwise an end before the string would count as its first byte.
            Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
            Some((start, end, unit)) => Part::new(bytes, start, end, unit).map_or(0, |part| part.count()),
        })
    });
    ctx.reply.integer(count as i64);
    Ok(())
}

pub(super) const BITPOS: Command = Command {
    name: "bitpos",
    group: Group::Bitmap,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::integer("bit"),
        Arg::block(
            "range",
            &[Arg::integer("start"), Arg::block("end-unit-block", &[Arg::integer("end"), UNIT]).optional()],
        )
        .optional(),
    ],
    summary: "Finds the first bit that is set, or clear, in a string or in a part of it.",
    complexity: "O(N) in the length of the part.",
    since: "2.8.7",
    history: &[("7.0.0", "New option `BYTE|BIT`.")],
    handler: bitpos,
    ..Command::DEFAULT
};

const NEITHER_BIT: CommandError = CommandError::text("ERR The bit argument must be 1 or 0.");

fn bitpos(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let is_set = match args.integer()? {
        bit @ 0..=1 => bit == 1,
        _ => return Err(NEITHER_BIT),
    };
    if args.left() > 3 {
        return Err(CommandError::Syntax);
    }
    let start = if args.is_empty() { 0 } else { args.integer()? };
    // A wrong unit is told before a wrong end.
    let mut after_end = args;
    _ = after_end.next();
    let unit = unit(&mut after_end)?;
    let end = if args.is_empty() { None } else { Some(args.integer()?) };
    let position = match ctx.db.read_text(&key)? {
        // As if it was an infinite string of zeros.
        None => (!is_set).then_some(0),
        Some(text) => text.with(|bytes| {
            let part = Part::new(bytes, start, end.unwrap_or(-1), unit)?;
            let zeros_follow = !is_set && end.is_none();
            part.position(is_set).or(zeros_follow.then_some(bytes.len() as u64 * 8))
        }),
    };
    ctx.reply.integer(position.map_or(-1, |position| position as i64));
    Ok(())
}

/// Bits of a string that follow each other: at least one.
struct Part<'a> {
    /// All bytes with any of them.
    bytes: &'a [u8],
    /// How many bits were left out in front of the bytes.
    skipped: u64,
    /// Which bits of the first byte belong to it.
    first: u8,
    /// Which bits of the last byte belong to it.
    last: u8,
}

impl<'a> Part<'a> {
    /// From `start` to `end`, both inside, negative ones counted from the end; `None` if there is nothing.
    fn new(bytes: &'a [u8], start: i64, end: i64, unit: Unit) -> Option<Part<'a>> {
        let len = bytes.len() as i64 * if unit == Unit::Bit { 8 } else { 1 };
        let from_start = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
        let (start, end) = (from_start(start), from_start(end).min(len - 1));
        if start > end {
            return None;
        }
        let (start, end, first, last) = match unit {
            Unit::Byte => (start, end, !0, !0),
            Unit::Bit => (start / 8, end / 8, !0 >> (start % 8), !0 << (7 - end % 8)),
        };
        Some(Part { bytes: &bytes[start as usize..=end as usize], skipped: start as u64 * 8, first, last })
    }

    fn count(&self) -> u64 {
        let outside = match self.bytes {
            [only] => u64::from((only & !(self.first & self.last)).count_ones()),
            [first, .., last] => u64::from((first & !self.first).count_ones() + (last & !self.last).count_ones()),
            [] => unreachable!("a part has a bit"),
        };
        bits::count(self.bytes) - outside
    }

    /// Where the first bit is, counted from the start of the string.
    fn position(&self, is_set: bool) -> Option<u64> {
        let in_byte = |byte: u8, mask: u8| {
            let wanted = if is_set { byte & mask } else { !byte & mask };
            (wanted != 0).then(|| u64::from(wanted.leading_zeros()))
        };
        let found = match self.bytes {
            [only] => in_byte(*only, self.first & self.last),
            [first, between @ .., last] => in_byte(*first, self.first)
                .or_else(|| bits::position(between, is_set).map(|at| at + 8))
                .or_else(|| in_byte(*last, self.last).map(|at| at + 8 * (between.len() as u64 + 1))),
            [] => unreachable!("a part has a bit"),
        };
        found.map(|at| self.skipped + at)
    }
}
