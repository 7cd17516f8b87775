//! What the commands that walk with a cursor (`SCAN`, `SSCAN`, `HSCAN`, `ZSCAN`) have in common.

use kinovar_command::{Args, CommandError, glob, number, until_nul};

/// `NOVALUES` where there are no values.
const NO_VALUES_ONLY_IN_HSCAN: CommandError = CommandError::text("ERR NOVALUES option can only be used in HSCAN");

/// The options behind the cursor.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions<'a> {
    /// About how many elements to visit; not 0.
    pub count: usize,
    /// The glob that elements must match; `None` when all do.
    pub pattern: Option<&'a [u8]>,
    /// Whether a hash's values are left out.
    pub no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// What holds if nothing is said.
    pub const DEFAULT: ScanOptions<'static> = ScanOptions { count: 10, pattern: None, no_values: false };

    /// Parses `[MATCH pattern] [COUNT count] [NOVALUES]`, the last only for a hash.
    pub fn parse(args: &mut Args<'a>, of_hash: bool) -> Result<ScanOptions<'a>, CommandError> {
        let mut options = ScanOptions::DEFAULT;
        while !args.is_empty() {
            if !options.accept(args, of_hash)? {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Takes one option; `false`, taking nothing, if it is none of those that [`ScanOptions::parse`] knows.
    pub fn accept(&mut self, args: &mut Args<'a>, of_hash: bool) -> Result<bool, CommandError> {
        if args.accept("COUNT") {
            let count = args.integer()?;
            self.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
        } else if args.accept("MATCH") {
            self.pattern = Some(args.take()?).filter(|pattern| *pattern != b"*");
        } else if args.accept("NOVALUES") {
            if !of_hash {
                return Err(NO_VALUES_ONLY_IN_HSCAN);
            }
            self.no_values = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether an element is to be shown.
    #[inline]
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element))
    }
}

/// Takes a cursor.
pub fn cursor(args: &mut Args<'_>) -> Result<u64, CommandError> {
    parse_cursor(args.take()?).ok_or(CommandError::InvalidCursor)
}

/// A cursor as C's `strtoull` reads it: space and a sign may stand in front, and a NUL ends it. A plain negative number is
/// none.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    if let Some(value) = number::parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let text = until_nul(text);
    let space = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[space..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, digit| {
        let digit = (*digit as char).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}
