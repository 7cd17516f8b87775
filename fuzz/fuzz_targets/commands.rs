//! Any words as commands on a small keyspace: no panic, one well-formed reply each, and a keyspace that is whole.
#![no_main]

use kinovar_command::Protocol;
use kinovar_fuzz::sandbox::{Sandbox, repeats_too_often};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    small: bool,
    calls: Vec<Call<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Call<'a> {
    command: Option<u8>,
    resp3: bool,
    words: Vec<Word<'a>>,
    /// Time that passes afterwards, ms.
    pause_ms: u8,
}

#[derive(Arbitrary, Debug)]
enum Word<'a> {
    Key(u8),
    Member(u8),
    Small(i8),
    Medium(i16),
    Extreme(u8),
    Float(f32),
    Option(u8),
    Repeat(u8, u8),
    Bytes(&'a [u8]),
}

/// Words that mean something to some command, blanks between them.
const OPTIONS: &str = "NX XX GT LT CH INCR EX PX EXAT PXAT KEEPTTL PERSIST GET WITHSCORES LIMIT BYSCORE BYLEX REV WEIGHTS \
    AGGREGATE SUM MIN MAX COUNT MATCH TYPE LEFT RIGHT BEFORE AFTER RANK MAXLEN FIELDS NOVALUES WITHVALUES WITHSCORE ASC DESC \
    ALPHA BY STORE REPLACE DB FNX FXX LEN IDX MINMATCHLEN WITHMATCHLEN ASYNC SYNC -inf +inf (1 [a (a - + * k* # k*->m1 nan \
    1e400 0x10 00 +1 string hash encoding";

const EXTREMES: &[i64] = &[
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
    i64::MAX - 1,
    1 << 31,
    -(1 << 31),
    1 << 32,
    1 << 53,
    4_102_444_800_000,
    1 << 62,
];

fn word(word: &Word<'_>) -> Vec<u8> {
    match *word {
        Word::Key(number) => format!("k{}", number % 8).into_bytes(),
        Word::Member(number) => format!("m{}", number % 16).into_bytes(),
        Word::Small(number) => number.to_string().into_bytes(),
        Word::Medium(number) => number.to_string().into_bytes(),
        Word::Extreme(number) => EXTREMES[usize::from(number) % EXTREMES.len()].to_string().into_bytes(),
        Word::Float(number) => number.to_string().into_bytes(),
        Word::Option(number) => OPTIONS.split(' ').nth(usize::from(number) % 80).unwrap_or_default().into(),
        Word::Repeat(byte, count) => vec![byte; usize::from(count)],
        Word::Bytes(bytes) => bytes.to_vec(),
    }
}

fuzz_target!(|input: Input<'_>| {
    let mut sandbox = Sandbox::new(input.small);
    for call in input.calls.iter().take(64) {
        let mut words = call.command.map_or_else(Vec::new, |number| sandbox.command_words(usize::from(number)));
        words.extend(call.words.iter().map(word));
        if words.is_empty() || repeats_too_often(&words) {
            continue;
        }
        sandbox.protocol = if call.resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        sandbox.run(&words);
        sandbox.now_ms += u64::from(call.pause_ms);
    }
    sandbox.check();
});
