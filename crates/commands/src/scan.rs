//! What the commands that walk a collection with a cursor (`SSCAN`, `HSCAN`, `ZSCAN`) have in common.

use kinovar_command::{Args, CommandError, glob};

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
    /// Parses `[MATCH pattern] [COUNT count] [NOVALUES]`, the last only for a hash.
    pub fn parse(args: &mut Args<'a>, of_hash: bool) -> Result<ScanOptions<'a>, CommandError> {
        let mut options = ScanOptions { count: 10, pattern: None, no_values: false };
        while !args.is_empty() {
            if args.accept("COUNT") {
                let count = args.integer()?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if args.accept("MATCH") {
                options.pattern = Some(args.take()?).filter(|pattern| *pattern != b"*");
            } else if args.accept("NOVALUES") {
                if !of_hash {
                    return Err(NO_VALUES_ONLY_IN_HSCAN);
                }
                options.no_values = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether an element is to be shown.
    #[inline]
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element))
    }
}

/// Takes a cursor: an unsigned number as C's `strtoull` reads it, that is with blanks or a plus sign in front if it likes.
pub fn cursor(args: &mut Args<'_>) -> Result<u64, CommandError> {
    let text = args.take()?;
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let parsed = digits.first().filter(|first| first.is_ascii_digit()).and_then(|_| std::str::from_utf8(digits).ok());
    parsed.and_then(|digits| digits.parse().ok()).ok_or(CommandError::InvalidCursor)
}
