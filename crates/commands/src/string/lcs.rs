//! LCS: the longest common subsequence of two strings.
//!
//! The classic table over all pairs of prefixes. Only one row of lengths is kept; what the way back needs is one bit for each
//! cell, whether dropping the first string's byte is better than dropping the second's, a 32nd of the memory of the lengths.

use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome, Reply};

pub(super) const LCS: Command = Command {
    name: "lcs",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, 1, 1, Access::RO.access())],
    args: &[
        Arg::key("key1", 0),
        Arg::key("key2", 0),
        Arg::word("len", "LEN").optional(),
        Arg::word("idx", "IDX").optional(),
        Arg::integer("min-match-len").token("MINMATCHLEN").optional(),
        Arg::word("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    summary: "Finds the longest common subsequence of two strings.",
    complexity: "O(N*M) in the lengths of the two strings.",
    since: "7.0.0",
    handler: lcs,
    ..Command::DEFAULT
};

const NOT_STRINGS: CommandError = CommandError::text("ERR The specified keys must contain string values");
const LEN_AND_IDX: CommandError =
    CommandError::text("ERR If you want both the length and indexes, please just use IDX.");
const TOO_LARGE: CommandError =
    CommandError::text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    match_len_min: usize,
    with_match_len: bool,
}

impl Options {
    fn parse(mut args: Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        while !args.is_empty() {
            if args.accept("IDX") {
                options.idx = true;
            } else if args.accept("LEN") {
                options.len = true;
            } else if args.accept("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.accept("MINMATCHLEN") {
                options.match_len_min = args.integer()?.max(0) as usize;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.len && options.idx { Err(LEN_AND_IDX) } else { Ok(options) }
    }
}

fn lcs(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (mut texts, mut are_strings) = ([Vec::new(), Vec::new()], true);
    for text in &mut texts {
        match ctx.db.read_text(&args.key()?) {
            Ok(Some(found)) => *text = found.to_vec(),
            Ok(None) => {}
            Err(_) => are_strings = false,
        }
    }
    if !are_strings {
        return Err(NOT_STRINGS);
    }
    let options = Options::parse(args)?;
    let [a, b] = &texts;
    // What the reference would need: it is part of the contract which strings are too long.
    let table_bytes = (a.len() as u128 + 1) * (b.len() as u128 + 1) * 4;
    if table_bytes > u128::from(ctx.db.settings().proto_max_bulk_len) {
        return Err(TOO_LARGE);
    }
    if options.len {
        ctx.reply.count(fill(a, b, |_| {}));
        return Ok(());
    }
    let mut drop_a = Bits::new(a.len() * b.len());
    let len = fill(a, b, |cell| drop_a.set(cell));
    let runs = runs(a, b, &drop_a);
    if options.idx {
        reply_indexes(&mut ctx.reply, &runs, len, &options);
    } else {
        let subsequence: Vec<u8> = runs.iter().rev().flat_map(|run| &a[run.a..run.a + run.len]).copied().collect();
        debug_assert_eq!(subsequence.len(), len);
        ctx.reply.bulk(&subsequence);
    }
    Ok(())
}

fn reply_indexes(reply: &mut Reply<'_>, runs: &[Run], len: usize, options: &Options) {
    reply.map(2);
    reply.bulk(b"matches");
    let shown = runs.iter().filter(|run| run.len >= options.match_len_min);
    reply.array(shown.clone().count());
    for run in shown {
        reply.array(2 + usize::from(options.with_match_len));
        for start in [run.a, run.b] {
            reply.array(2);
            reply.count(start);
            reply.count(start + run.len - 1);
        }
        if options.with_match_len {
            reply.count(run.len);
        }
    }
    reply.bulk(b"len");
    reply.count(len);
}

/// Fills the table row by row: the length of the longest common subsequence. `drop_a` is told the cells `(i * b.len() + j)`
/// whose bytes differ and where leaving out `a[i]` is better than leaving out `b[j]`.
fn fill(a: &[u8], b: &[u8], mut drop_a: impl FnMut(usize)) -> usize {
    let mut row = vec![0u32; b.len() + 1];
    for (i, byte) in a.iter().enumerate() {
        // The cell up and to the left, which this row has overwritten already.
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let (left, up) = (row[j], row[j + 1]);
            row[j + 1] = if byte == other {
                diagonal + 1
            } else if up > left {
                drop_a(i * b.len() + j);
                up
            } else {
                left
            };
            diagonal = up;
        }
    }
    row[b.len()] as usize
}

/// Bytes that follow each other in both strings.
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

/// The way back through the table: the runs, from the last to the first.
fn runs(a: &[u8], b: &[u8], drop_a: &Bits) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    let mut in_run = false;
    while i > 0 && j > 0 {
        let equal = a[i - 1] == b[j - 1];
        if equal {
            (i, j) = (i - 1, j - 1);
            match runs.last_mut().filter(|_| in_run) {
                Some(run) => *run = Run { a: i, b: j, len: run.len + 1 },
                None => runs.push(Run { a: i, b: j, len: 1 }),
            }
        } else if drop_a.has((i - 1) * b.len() + j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
        in_run = equal;
    }
    runs
}

/// A set of small integers.
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
}
