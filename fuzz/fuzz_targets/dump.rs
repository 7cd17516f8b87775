//! Any bytes as the value of a payload: RESTORE refuses them, or makes a key that other commands can be run on, which DUMP gives
//! back.
#![no_main]

use kinovar_fuzz::sandbox::{Sandbox, repeats_too_often};
use kinovar_rdb::dump;
use kinovar_tests::quote::words;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    small: bool,
    /// Code of the type.
    code: u8,
    calls: Vec<u8>,
    value: &'a [u8],
}

/// What is done to the key: reading and changing of every type.
const CALLS: &[&str] = &[
    "GET k",
    "APPEND k x",
    "SETRANGE k 3 yy",
    "LRANGE k 0 -1",
    "LPUSH k a 5",
    "RPUSH k b 7",
    "LPOP k 2",
    "RPOP k",
    "LSET k 1 other",
    "LINSERT k BEFORE a z",
    "LREM k 0 a",
    "LTRIM k 1 -2",
    "SMEMBERS k",
    "SADD k a 5 77777777777",
    "SREM k a 5",
    "SPOP k",
    "SSCAN k 0",
    "ZRANGE k 0 -1 WITHSCORES",
    "ZADD k 1 a 2.5 b -inf c",
    "ZREM k a",
    "ZRANK k b",
    "ZCOUNT k -1 5",
    "ZPOPMIN k",
    "ZPOPMAX k 2",
    "ZINCRBY k 3 b",
    "HGETALL k",
    "HSET k a 1 b 2",
    "HDEL k a",
    "HPEXPIRE k 100 FIELDS 1 b",
    "HPERSIST k FIELDS 1 b",
    "HINCRBY k a 3",
    "HSCAN k 0",
    "XRANGE k - +",
    "XREVRANGE k + -",
    "XADD k * a 1",
    "XADD k 18446744073709551615-* a 1",
    "XTRIM k MAXLEN 1",
    "XTRIM k MINID 5-0",
    "XINFO STREAM k FULL",
    "XGROUP CREATE k g 0",
    "XREADGROUP GROUP g c COUNT 2 STREAMS k >",
    "XREADGROUP GROUP g c STREAMS k 0",
    "XAUTOCLAIM k g d 0 0",
    "XPENDING k g - + 10",
    "XDEL k 1-1",
    "XSETID k 100-0",
    "VADD k VALUES 3 1 2 3 a SETATTR {}",
    "VADD k VALUES 1 1 b NOQUANT",
    "VREM k a",
    "VREM k b",
    "VSIM k ELE a WITHSCORES COUNT 1000 FILTER .a",
    "VLINKS k a WITHSCORES",
    "VEMB k a RAW",
    "VRANDMEMBER k 5",
    "VSETATTR k a x",
    "VINFO k",
    "COPY k other REPLACE",
    "OBJECT ENCODING k",
    "SORT k ALPHA",
    "TYPE k",
];

fuzz_target!(|input: Input<'_>| {
    let mut sandbox = Sandbox::new(input.small);
    // Nothing expires: expired fields of a hash count until they are removed, which nobody does here.
    sandbox.now_ms = 1;
    let mut payload = vec![input.code % 30];
    payload.extend_from_slice(input.value);
    dump::seal(&mut payload);
    let restore = |payload: &[u8]| {
        let mut words = words("RESTORE k 0");
        words.extend([payload.to_vec(), b"REPLACE".to_vec()]);
        words
    };
    if sandbox.run(&restore(&payload)).is_error() {
        return;
    }
    sandbox.check();
    for call in &input.calls {
        let command = words(CALLS[usize::from(*call) % CALLS.len()]);
        if !repeats_too_often(&command) {
            sandbox.run(&command);
        }
    }
    sandbox.check();
    let dumped = sandbox.run(&words("DUMP k"));
    if let Some(payload) = dumped.bytes() {
        assert!(sandbox.run(&restore(payload)).is_ok(), "what DUMP gives RESTORE takes");
        sandbox.check();
    }
});
