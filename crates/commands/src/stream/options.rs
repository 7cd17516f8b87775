//! The options that XADD and XTRIM share.

use super::{INVALID_ID, id};
use kinovar_command::keyspace::stream::{NewId, References, Trim, TrimBy};
use kinovar_command::{Arg, Args, CommandError, Ctx, until_nul};

/// What is to be trimmed away, as `COMMAND DOCS` has it.
const STRATEGY: Arg =
    Arg::one_of("strategy", &[Arg::word("maxlen", "MAXLEN"), Arg::word("minid", "MINID").since("6.2.0")]);
const OPERATOR: Arg = Arg::one_of("operator", &[Arg::word("equal", "="), Arg::word("approximately", "~")]).optional();
const LIMIT: Arg = Arg::integer("count").token("LIMIT").optional().since("6.2.0");

/// The arguments of XADD's trimming.
pub(super) const ADD_TRIM: Arg = Arg::block("trim", &[STRATEGY, OPERATOR, Arg::string("threshold"), LIMIT]).optional();
/// The arguments of XTRIM.
pub(super) const TRIM: Arg = Arg::block("trim", &[STRATEGY, OPERATOR, Arg::string("threshold"), LIMIT, CONDITION]);
/// What to do about references to what is deleted.
pub(super) const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("keepref", "KEEPREF"), Arg::word("delref", "DELREF"), Arg::word("acked", "ACKED")],
)
.optional();

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Add,
    Trim,
}

/// The options of XADD and XTRIM.
pub(super) struct Options {
    /// XADD's id; none when the arguments ended before it.
    pub id: Option<NewId>,
    /// `NOMKSTREAM`: not if there is no stream yet.
    pub no_stream_made: bool,
    /// How to trim, if at all.
    pub trim: Option<Trim>,
    /// Which argument is the `~` in front of the threshold.
    pub approximately_at: Option<usize>,
}

/// How a stream is to be trimmed, while it is being read.
#[derive(Default)]
struct Parsed {
    by: Option<TrimBy>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
    approximately_at: Option<usize>,
}

/// The word for what happens to references.
pub(super) fn references(word: &[u8]) -> Option<References> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match word.len() {
        7 if is("KEEPREF") => Some(References::Keep),
        6 if is("DELREF") => Some(References::Delete),
        5 if is("ACKED") => Some(References::Acked),
        _ => None,
    }
}

impl Options {
    /// Reads options up to XADD's id, which is taken too, or to XTRIM's end.
    ///
    /// In an effect that is run again `LIMIT` may stand without `~`, which an exact threshold has taken the place of.
    pub fn parse(args: &mut Args<'_>, ctx: &Ctx<'_>, asked: For) -> Result<Options, CommandError> {
        let (mut id, mut no_stream_made, mut parsed) = (None, false, Parsed::default());
        while let Some(word) = args.next() {
            if asked == For::Add && until_nul(word) == b"*" {
                id = Some(NewId::Auto);
                break;
            }
            if parsed.option(word, args)? {
                continue;
            }
            if asked == For::Trim {
                return Err(CommandError::Syntax);
            }
            if word.eq_ignore_ascii_case(b"NOMKSTREAM") {
                no_stream_made = true;
                continue;
            }
            id = Some(NewId::parse(word).ok_or(INVALID_ID)?);
            break;
        }
        let approximately_at = parsed.approximately_at;
        Ok(Options { id, no_stream_made, trim: parsed.finish(ctx, asked)?, approximately_at })
    }
}

impl Parsed {
    /// Reads an option with its values; false if `word` is none.
    fn option(&mut self, word: &[u8], args: &mut Args<'_>) -> Result<bool, CommandError> {
        let has_value = !args.is_empty();
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if has_value && is("MAXLEN") {
            self.operator(args)?;
            let len = args.integer()?;
            let len = u64::try_from(len).map_err(|_| CommandError::text("ERR The MAXLEN argument must be >= 0."))?;
            self.by = Some(TrimBy::MaxLen(len));
        } else if has_value && is("MINID") {
            self.operator(args)?;
            self.by = Some(TrimBy::MinId(id(args.take()?)?));
        } else if has_value && is("LIMIT") {
            let limit = args.integer()?;
            let limit = u64::try_from(limit).map_err(|_| CommandError::text("ERR The LIMIT argument must be >= 0."))?;
            self.limit = Some(limit);
        } else if self.references.is_none()
            && let Some(references) = references(word)
        {
            self.references = Some(references);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads what may stand between the strategy and its threshold.
    fn operator(&mut self, args: &mut Args<'_>) -> Result<(), CommandError> {
        if self.by.is_some() {
            return Err(CommandError::text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        self.approximate = false;
        // The last argument is a threshold, whatever it looks like.
        if args.left() > 1 {
            self.approximate = args.accept("~");
            if self.approximate {
                self.approximately_at = Some(args.index() - 1);
            } else {
                args.accept("=");
            }
        }
        Ok(())
    }

    fn finish(self, ctx: &Ctx<'_>, asked: For) -> Result<Option<Trim>, CommandError> {
        let Some(by) = self.by else {
            if self.limit.is_some_and(|limit| limit > 0) {
                return Err(CommandError::text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            if asked == For::Trim {
                return Err(CommandError::text("ERR syntax error, XTRIM must be called with a trimming strategy"));
            }
            return if self.limit.is_some() { Err(NEEDS_APPROXIMATE) } else { Ok(None) };
        };
        let limit = match self.limit {
            Some(_) if !self.approximate && !ctx.is_replay() => return Err(NEEDS_APPROXIMATE),
            Some(limit) => limit,
            None if self.approximate => Trim::default_limit(ctx.db.settings()),
            None => 0,
        };
        let references = self.references.unwrap_or_default();
        Ok(Some(Trim { by, approximate: self.approximate, limit, references }))
    }
}

const NEEDS_APPROXIMATE: CommandError =
    CommandError::text("ERR syntax error, LIMIT cannot be used without the special ~ option");
