//! What `LMPOP` and `ZMPOP` share: `numkeys key [key …] end [COUNT count]`.

use kinovar_command::{Args, CommandError, number};
use std::ops::Range;

/// Arguments of a command that pops from the first key that has anything.
pub(crate) struct MultiPop<E> {
    /// Where the keys stand among the arguments.
    pub keys: Range<usize>,
    /// From which end to pop.
    pub end: E,
    /// How many elements to pop at most; 1 or more.
    pub count: usize,
}

impl<E> MultiPop<E> {
    /// Takes all arguments; `take_end` takes the word that says which end is meant.
    pub fn parse(
        args: &mut Args<'_>,
        take_end: impl FnOnce(&mut Args<'_>) -> Result<E, CommandError>,
    ) -> Result<MultiPop<E>, CommandError> {
        let numkeys = positive(args, "ERR numkeys should be greater than 0")?;
        // The word follows the keys.
        if numkeys >= args.left() {
            return Err(CommandError::Syntax);
        }
        let keys = args.index()..args.index() + numkeys;
        for _ in keys.clone() {
            args.take()?;
        }
        let end = take_end(args)?;
        let mut count = 1;
        if args.left() >= 2 && args.accept("COUNT") {
            count = positive(args, "ERR count should be greater than 0")?;
        }
        args.finish()?;
        Ok(MultiPop { keys, end, count })
    }
}

fn positive(args: &mut Args<'_>, error: &'static str) -> Result<usize, CommandError> {
    let count = number::parse_i64(args.take()?).and_then(|count| usize::try_from(count).ok());
    count.filter(|&count| count > 0).ok_or(CommandError::text(error))
}
