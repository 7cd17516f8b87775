//! Expiry options as commands take them: `EX`, `PX`, `EXAT`, `PXAT`, `PERSIST`, `KEEPTTL`.
//!
//! Words and numbers are read in two steps because the reference does so: syntax errors are reported before anything is
//! looked up, a number that is no time only when the command is about to use it.

use crate::{Arg, Args, CommandError, number};

/// The condition of EXPIRE and HEXPIRE and their variants.
pub const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional();

/// A new expiry, or none any more: of commands that read.
pub const TIME_OR_PERSIST: Arg = Arg::one_of(
    "expiration",
    &[
        Arg::integer("seconds").token("EX"),
        Arg::integer("milliseconds").token("PX"),
        Arg::unix_time("unix-time-seconds").token("EXAT"),
        Arg::unix_time("unix-time-milliseconds").token("PXAT"),
        Arg::word("persist", "PERSIST"),
    ],
)
.optional();

/// A new expiry, or the one there is: of commands that write.
pub const TIME_OR_KEEPTTL: Arg = Arg::one_of(
    "expiration",
    &[
        Arg::integer("seconds").token("EX"),
        Arg::integer("milliseconds").token("PX"),
        Arg::unix_time("unix-time-seconds").token("EXAT"),
        Arg::unix_time("unix-time-milliseconds").token("PXAT"),
        Arg::word("keepttl", "KEEPTTL"),
    ],
)
.optional();

/// A word that says what happens to an expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpiryWord {
    /// In so many seconds.
    Ex,
    /// In so many milliseconds.
    Px,
    /// At this Unix time, in seconds.
    ExAt,
    /// At this Unix time, in milliseconds.
    PxAt,
    /// The expiry goes.
    Persist,
    /// The expiry stays.
    KeepTtl,
}

impl ExpiryWord {
    /// The word that `arg` is, in any case.
    pub fn of(arg: &[u8]) -> Option<ExpiryWord> {
        use ExpiryWord::*;
        let is = |word: &[u8]| arg.eq_ignore_ascii_case(word);
        match arg.len() {
            2 if is(b"EX") => Some(Ex),
            2 if is(b"PX") => Some(Px),
            4 if is(b"EXAT") => Some(ExAt),
            4 if is(b"PXAT") => Some(PxAt),
            7 if is(b"PERSIST") => Some(Persist),
            7 if is(b"KEEPTTL") => Some(KeepTtl),
            _ => None,
        }
    }

    /// Whether a number follows it.
    pub fn takes_time(self) -> bool {
        !matches!(self, ExpiryWord::Persist | ExpiryWord::KeepTtl)
    }

    /// The unit of the number.
    pub fn unit(self) -> TimeUnit {
        if matches!(self, ExpiryWord::Ex | ExpiryWord::ExAt) { TimeUnit::Seconds } else { TimeUnit::Millis }
    }

    /// What the number counts from, Unix ms: now, or the beginning of the calendar.
    pub fn base_ms(self, now_ms: u64) -> u64 {
        if matches!(self, ExpiryWord::Ex | ExpiryWord::Px) { now_ms } else { 0 }
    }
}

/// Unit of a time that a client names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeUnit {
    /// 1000 ms.
    Seconds,
    /// 1 ms.
    Millis,
}

/// Latest time at which a key can expire, Unix ms.
pub const KEY_MS_MAX: i64 = i64::MAX;
/// Latest time at which a hash field can expire, Unix ms: 46 bits.
pub const FIELD_MS_MAX: i64 = (1 << 46) - 1;

/// The Unix time in ms that is `value` units after `base_ms`; `None` when it lies beyond `limit_ms` (either way) or
/// overflows. May be in the past, and negative.
pub fn deadline_ms(value: i64, unit: TimeUnit, base_ms: u64, limit_ms: i64) -> Option<i64> {
    let value_ms = match unit {
        TimeUnit::Seconds => value.checked_mul(1000)?,
        TimeUnit::Millis => value,
    };
    let at_ms = value_ms.checked_add(i64::try_from(base_ms).ok()?)?;
    (at_ms <= limit_ms).then_some(at_ms)
}

/// What a command does to a key's expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpiryChange {
    /// Nothing was said.
    Unspecified,
    /// It stays.
    Keep,
    /// It goes.
    Persist,
    /// It becomes this, Unix ms; may be in the past.
    At(u64),
}

/// The expiry option of a command as its arguments are read. The last time named wins, but two words exclude each other.
#[derive(Clone, Copy, Default, Debug)]
pub struct ExpiryOption<'a> {
    word: Option<ExpiryWord>,
    value: &'a [u8],
}

impl<'a> ExpiryOption<'a> {
    /// Takes the option that comes next: `false`, taking nothing, if the next argument is no such word. `excluded` is the
    /// word that this command does not know.
    pub fn accept(&mut self, args: &mut Args<'a>, excluded: ExpiryWord) -> Result<bool, CommandError> {
        let Some(word) = args.peek().and_then(ExpiryWord::of).filter(|&word| word != excluded) else {
            return Ok(false);
        };
        if self.word.is_some_and(|other| other != word) {
            return Err(CommandError::Syntax);
        }
        args.take()?;
        if word.takes_time() {
            self.value = args.take()?;
        }
        self.word = Some(word);
        Ok(true)
    }

    /// Whether it names a Unix time in milliseconds, which means the same at any time.
    pub fn is_unix_ms(&self) -> bool {
        self.word == Some(ExpiryWord::PxAt)
    }

    /// The change asked for. A time must be positive and within the calendar; `command` names the command in the error.
    pub fn resolve(&self, now_ms: u64, command: &'static str) -> Result<ExpiryChange, CommandError> {
        match self.word {
            None => Ok(ExpiryChange::Unspecified),
            Some(ExpiryWord::Persist) => Ok(ExpiryChange::Persist),
            Some(ExpiryWord::KeepTtl) => Ok(ExpiryChange::Keep),
            Some(word) => {
                let at_ms = positive_deadline_ms(self.value, word.unit(), word.base_ms(now_ms), command)?;
                Ok(ExpiryChange::At(at_ms))
            }
        }
    }
}

/// The Unix time in ms that is `value` (a positive number of units) after `base_ms`; `command` names the command in the
/// error.
pub fn positive_deadline_ms(
    value: &[u8],
    unit: TimeUnit,
    base_ms: u64,
    command: &'static str,
) -> Result<u64, CommandError> {
    let value = number::parse_i64(value).ok_or(CommandError::NotInteger)?;
    let at_ms = if value > 0 { deadline_ms(value, unit, base_ms, KEY_MS_MAX) } else { None };
    at_ms.map(|at_ms| at_ms as u64).ok_or(CommandError::InvalidExpire(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn parse(line: &str) -> Result<ExpiryChange, CommandError> {
        let mut spans = Vec::new();
        let mut at = 0;
        for word in line.split(' ') {
            spans.push(kinovar_resp::Span { start: at, len: word.len() as u32 });
            at += word.len() as u32 + 1;
        }
        let mut args = Args::new(line.as_bytes(), &spans, 1);
        let mut option = ExpiryOption::default();
        while option.accept(&mut args, ExpiryWord::Persist)? {}
        args.finish()?;
        option.resolve(NOW_MS, "set")
    }

    #[test]
    fn options_resolve_to_a_point_in_time() {
        for (line, expected) in [
            ("SET", Ok(ExpiryChange::Unspecified)),
            ("SET keepttl", Ok(ExpiryChange::Keep)),
            ("SET KEEPTTL KEEPTTL", Ok(ExpiryChange::Keep)),
            ("SET EX 10", Ok(ExpiryChange::At(NOW_MS + 10_000))),
            ("SET px 10", Ok(ExpiryChange::At(NOW_MS + 10))),
            ("SET EX 10 EX 20", Ok(ExpiryChange::At(NOW_MS + 20_000))),
            ("SET EXAT 1", Ok(ExpiryChange::At(1000))),
            ("SET PXAT 9223372036854775807", Ok(ExpiryChange::At(i64::MAX as u64))),
            ("SET EX 10 PX 10", Err(CommandError::Syntax)),
            ("SET EX 10 KEEPTTL", Err(CommandError::Syntax)),
            ("SET EX", Err(CommandError::Syntax)),
            ("SET PERSIST", Err(CommandError::Syntax)),
            ("SET EX x", Err(CommandError::NotInteger)),
            ("SET EX 0", Err(CommandError::InvalidExpire("set"))),
            ("SET EX -1", Err(CommandError::InvalidExpire("set"))),
            ("SET EX 9223372036854775", Err(CommandError::InvalidExpire("set"))),
            ("SET PX 9223372036854775807", Err(CommandError::InvalidExpire("set"))),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn deadlines_know_their_limits() {
        assert_eq!(deadline_ms(-5, TimeUnit::Seconds, 0, KEY_MS_MAX), Some(-5000));
        assert_eq!(deadline_ms(i64::MIN, TimeUnit::Seconds, 0, KEY_MS_MAX), None);
        assert_eq!(deadline_ms(FIELD_MS_MAX, TimeUnit::Millis, 0, FIELD_MS_MAX), Some(FIELD_MS_MAX));
        assert_eq!(deadline_ms(FIELD_MS_MAX, TimeUnit::Millis, 1, FIELD_MS_MAX), None);
    }
}
