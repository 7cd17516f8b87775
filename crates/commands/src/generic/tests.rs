//! Recorded from the reference, unless a test says otherwise.

use crate::testing::{Fixture, check};

#[test]
fn existence() {
    check(&[
        ("SET a 1", "+OK"),
        ("SADD s m", ":1"),
        ("EXISTS a a s none", ":3"),
        ("TOUCH a a s none", ":3"),
        ("TYPE a", "+string"),
        ("TYPE s", "+set"),
        ("TYPE none", "+none"),
        ("DEL a a s none", ":2"),
        ("SET a 1", "+OK"),
        ("UNLINK a a none", ":1"),
        ("EXISTS a", ":0"),
        ("DEL", "-ERR wrong number of arguments for 'del' command"),
        ("DEL none", ":0"),
    ]);
}

#[test]
fn copies() {
    check(&[
        ("COPY a b", ":0"),
        ("SET a 1 EX 100", "+OK"),
        ("COPY a a", "-ERR source and destination objects are the same"),
        ("COPY a a DB 0", "-ERR source and destination objects are the same"),
        ("COPY a a DB 1", ":1"),
        ("COPY a b DB 16", "-ERR DB index is out of range"),
        ("COPY a b DB -1", "-ERR DB index is out of range"),
        ("COPY a b DB abc", "-ERR value is not an integer or out of range"),
        ("COPY a b DB", "-ERR syntax error"),
        ("COPY a b FOO", "-ERR syntax error"),
        ("COPY a b REPLACE REPLACE DB 2 DB 3", ":1"),
        ("EXISTS b", ":0"),
        ("COPY a b", ":1"),
        ("COPY a b", ":0"),
        ("COPY a b REPLACE", ":1"),
        ("TTL b", ":100"),
        ("GET b", "$1 1"),
        ("COPY none b DB 99", "-ERR DB index is out of range"),
        ("COPY none none", "-ERR source and destination objects are the same"),
        ("COPY none b FOO DB 99", "-ERR syntax error"),
        ("COPY a b DB 99 FOO", "-ERR DB index is out of range"),
        ("COPY a b DB 99999999999999999999", "-ERR value is not an integer or out of range"),
        ("COPY a b DB 4294967296", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("APPEND r x", ":1"),
        ("APPEND r y", ":2"),
        ("COPY r r2", ":1"),
        ("OBJECT ENCODING r2", "$3 raw"),
        ("SADD s m", ":1"),
        ("COPY s s2", ":1"),
        ("SADD s n", ":1"),
        ("SCARD s2", ":1"),
    ]);
}

#[test]
fn moves() {
    check(&[
        ("SET a 1 EX 100", "+OK"),
        ("MOVE a 0", "-ERR source and destination objects are the same"),
        ("MOVE a 16", "-ERR DB index is out of range"),
        ("MOVE a abc", "-ERR value is not an integer or out of range"),
        ("MOVE a 99999999999999999999", "-ERR value is not an integer or out of range"),
        ("MOVE a 4294967297", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("MOVE a -1", "-ERR DB index is out of range"),
        ("MOVE none 1", ":0"),
        ("MOVE none 0", "-ERR source and destination objects are the same"),
        ("MOVE a 1", ":1"),
        ("EXISTS a", ":0"),
        ("SET a 2", "+OK"),
        ("MOVE a 1", ":0"),
        ("GET a", "$1 2"),
    ]);
}

#[test]
fn names() {
    check(&[
        ("RENAME none b", "-ERR no such key"),
        ("RENAME none none", "-ERR no such key"),
        ("SET a 1 EX 100", "+OK"),
        ("RENAME a a", "+OK"),
        ("RENAMENX a a", ":0"),
        ("RENAMENX none none", "-ERR no such key"),
        ("RENAMENX none a", "-ERR no such key"),
        ("SADD b m", ":1"),
        ("RENAME a b", "+OK"),
        ("EXISTS a", ":0"),
        ("TTL b", ":100"),
        ("GET b", "$1 1"),
        ("RENAMENX b z", ":1"),
        ("TTL z", ":100"),
        ("SET y 1", "+OK"),
        ("RENAMENX z y", ":0"),
        ("RENAME y z", "+OK"),
        ("TTL z", ":-1"),
        ("RENAME z", "-ERR wrong number of arguments for 'rename' command"),
    ]);
}

#[test]
fn expiries() {
    check(&[
        ("EXPIRE none abc", "-ERR value is not an integer or out of range"),
        ("EXPIRE none 10 GT", ":0"),
        ("EXPIRE none 10", ":0"),
        ("SET k v", "+OK"),
        ("EXPIRE k 10 GT", ":0"),
        ("EXPIRE k 10 XX", ":0"),
        ("EXPIRE k 10 LT", ":1"),
        ("TTL k", ":10"),
        ("EXPIRE k 10 LT", ":0"),
        ("EXPIRE k 10 GT", ":0"),
        ("EXPIRE k 20 GT", ":1"),
        ("EXPIRE k 20 NX", ":0"),
        ("EXPIRE k 5 XX LT", ":1"),
        ("EXPIRE k 5 XX XX LT LT", ":0"),
        ("EXPIRE k 30 XX gt", ":1"),
        ("EXPIRE k 3 XX LT", ":1"),
        ("EXPIRE k 5 NX NX", ":0"),
        ("EXPIRE k 5 XX GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 5 GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 5 LT GT NX", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k 5 \"\"", "-ERR Unsupported option"),
        ("EXPIRE k 5 NX FOO", "-ERR Unsupported option FOO"),
        ("EXPIRE k 5 FOO NX XX", "-ERR Unsupported option FOO"),
        ("EXPIRE k 5 NX XX FOO", "-ERR Unsupported option FOO"),
        ("EXPIRE k abc NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k abc", "-ERR value is not an integer or out of range"),
        ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE k 9223372036854775", "-ERR invalid expire time in 'expire' command"),
        ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("EXPIREAT k 9223372036854775807", "-ERR invalid expire time in 'expireat' command"),
        ("EXPIRE none 9223372036854775", "-ERR invalid expire time in 'expire' command"),
        ("EXPIRE k 100", ":1"),
        ("TTL k", ":100"),
        ("PEXPIRE k 100400", ":1"),
        ("TTL k", ":100"),
    ]);
}

#[test]
fn expiries_in_the_past() {
    check(&[
        ("SET k v", "+OK"),
        ("EXPIRE k 0", ":1"),
        ("EXISTS k", ":0"),
        ("SET k v", "+OK"),
        ("PEXPIRE k -1", ":1"),
        ("EXISTS k", ":0"),
        ("SET k v", "+OK"),
        ("EXPIREAT k 1", ":1"),
        ("EXISTS k", ":0"),
        ("SET k v", "+OK"),
        ("PEXPIRE k -9223372036854775808", ":1"),
        ("EXISTS k", ":0"),
        ("SET k v", "+OK"),
        ("EXPIRE k -1 GT", ":0"),
        ("EXPIRE k -1 XX", ":0"),
        ("EXPIRE k -1 LT", ":1"),
        ("EXISTS k", ":0"),
        ("EXPIRE k -1", ":0"),
    ]);
}

#[test]
fn times() {
    check(&[
        ("TTL none", ":-2"),
        ("PTTL none", ":-2"),
        ("EXPIRETIME none", ":-2"),
        ("PEXPIRETIME none", ":-2"),
        ("PERSIST none", ":0"),
        ("SET k v", "+OK"),
        ("TTL k", ":-1"),
        ("PTTL k", ":-1"),
        ("EXPIRETIME k", ":-1"),
        ("PEXPIRETIME k", ":-1"),
        ("PERSIST k", ":0"),
        ("PEXPIREAT k 33177117420999", ":1"),
        ("EXPIRETIME k", ":33177117421"),
        ("PEXPIRETIME k", ":33177117420999"),
        ("PEXPIREAT k 33177117420499", ":1"),
        ("EXPIRETIME k", ":33177117420"),
        ("PEXPIREAT k 9223372036854775807", ":1"),
        ("EXPIRETIME k", ":9223372036854776"),
        ("PEXPIRETIME k", ":9223372036854775807"),
        ("EXPIREAT k 33177117420", ":1"),
        ("PEXPIRETIME k", ":33177117420000"),
        ("PERSIST k", ":1"),
        ("PERSIST k", ":0"),
        ("TTL k", ":-1"),
    ]);
}

#[test]
fn objects() {
    check(&[
        ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ("OBJECT foo", "-ERR unknown subcommand 'foo'. Try OBJECT HELP."),
        ("OBJECT foo bar", "-ERR unknown subcommand 'foo'. Try OBJECT HELP."),
        ("OBJECT encoding", "-ERR wrong number of arguments for 'object|encoding' command"),
        ("OBJECT encoding none", "$-1"),
        ("OBJECT refcount none", "$-1"),
        ("OBJECT idletime none", "$-1"),
        ("OBJECT freq none", "$-1"),
        ("SET i 5", "+OK"),
        (
            "OBJECT freq i",
            "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
        ("OBJECT idletime i", ":0"),
        ("OBJECT refcount i", ":1"),
        ("OBJECT encoding i", "$3 int"),
        ("OBJECT encoding a b", "-ERR wrong number of arguments for 'object|encoding' command"),
        ("OBJECT help a", "-ERR wrong number of arguments for 'object|help' command"),
    ]);
}

#[test]
fn scan_arguments() {
    check(&[
        ("SCAN 0", "*2 $1 0 *0"),
        ("SCAN abc", "-ERR invalid cursor"),
        ("SCAN -1", "-ERR invalid cursor"),
        ("SCAN 18446744073709551615", "*2 $1 0 *0"),
        ("SCAN 18446744073709551616", "-ERR invalid cursor"),
        ("SCAN \"\"", "-ERR invalid cursor"),
        ("SCAN \" 1\"", "*2 $1 0 *0"),
        ("SCAN \"1 \"", "-ERR invalid cursor"),
        ("SCAN +1", "*2 $1 0 *0"),
        ("SCAN 01", "*2 $1 0 *0"),
        ("SCAN 0x1", "-ERR invalid cursor"),
        ("SCAN -01", "*2 $1 0 *0"),
        ("SCAN \"\\t1\"", "*2 $1 0 *0"),
        ("SCAN \" -1\"", "*2 $1 0 *0"),
        ("SCAN \"1\\x00a\"", "*2 $1 0 *0"),
        ("SCAN -0", "*2 $1 0 *0"),
        ("SCAN -99999999999999999999", "-ERR invalid cursor"),
        ("SCAN 0 COUNT 0", "-ERR syntax error"),
        ("SCAN 0 COUNT -1", "-ERR syntax error"),
        ("SCAN 0 COUNT abc", "-ERR value is not an integer or out of range"),
        ("SCAN 0 COUNT", "-ERR syntax error"),
        ("SCAN 0 FOO", "-ERR syntax error"),
        ("SCAN 0 FOO 1", "-ERR syntax error"),
        ("SCAN 0 TYPE foo", "*2 $1 0 *0"),
        ("SCAN abc FOO 1", "-ERR invalid cursor"),
        ("SCAN 0 COUNT abc FOO 1", "-ERR value is not an integer or out of range"),
        ("SCAN 0 MATCH a COUNT 1 MATCH b", "*2 $1 0 *0"),
        ("SCAN 0 MATCH", "-ERR syntax error"),
        ("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN"),
        ("SET a 1", "+OK"),
        ("SCAN 0", "*2 $1 0 *1 $1 a"),
        ("SCAN 0 MATCH a* TYPE STRING COUNT 1000", "*2 $1 0 *1 $1 a"),
        ("SCAN 0 MATCH b*", "*2 $1 0 *0"),
        ("SCAN 0 TYPE hash", "*2 $1 0 *0"),
        ("SCAN 0 TYPE nosuch", "*2 $1 0 *0"),
    ]);
}

#[test]
fn keys_and_chance() {
    check(&[
        ("RANDOMKEY", "$-1"),
        ("KEYS *", "*0"),
        ("KEYS \"\"", "*0"),
        ("SET abc 1", "+OK"),
        ("RANDOMKEY", "$3 abc"),
        ("KEYS a?c", "*1 $3 abc"),
        ("KEYS [^a]bc", "*0"),
        ("KEYS *", "*1 $3 abc"),
        ("KEYS b*", "*0"),
    ]);
}

/// All keys that SCAN names, with the options given, and the number of calls.
fn scan_all(fixture: &mut Fixture, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut keys, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = fixture.run(&format!("SCAN {cursor} {options}"));
        let words: Vec<&str> = reply.split(' ').collect();
        // *2 $n cursor *count, then a length and a key at a time.
        cursor = words[2].to_owned();
        keys.extend(words[4..].chunks(2).map(|pair| pair[1].to_owned()));
        calls += 1;
        if cursor == "0" {
            keys.sort();
            return (keys, calls);
        }
    }
}

#[test]
fn scan_names_every_key_once() {
    let mut fixture = Fixture::new();
    let mut expected: Vec<String> = (0..500).map(|n| format!("key:{n}")).collect();
    for key in &expected {
        fixture.run(&format!("SET {key} 1"));
    }
    fixture.check(&[("SADD other m", ":1"), ("SET gone 1 PX 10", "+OK")]);
    fixture.now_ms += 11;
    expected.sort();
    for options in ["MATCH key:*", "TYPE string", "COUNT 1 TYPE String", "COUNT 10000 MATCH key:*"] {
        let (keys, calls) = scan_all(&mut fixture, options);
        assert_eq!(keys, expected, "{options}");
        assert_eq!(calls == 1, options.contains("10000"), "{options}");
    }
    assert_eq!(scan_all(&mut fixture, "TYPE set").0, ["other"]);
    fixture.db = 1;
    assert_eq!(scan_all(&mut fixture, ""), (vec![], 1));
}

#[test]
fn what_has_expired_is_not_shown() {
    let mut fixture = Fixture::new();
    fixture.check(&[("SET a 1 PX 10", "+OK"), ("KEYS *", "*1 $1 a"), ("RANDOMKEY", "$1 a")]);
    fixture.now_ms += 10;
    fixture.check(&[("KEYS *", "*1 $1 a"), ("PTTL a", ":0")]);
    fixture.now_ms += 1;
    fixture.check(&[("KEYS *", "*0"), ("SCAN 0", "*2 $1 0 *0"), ("RANDOMKEY", "$-1"), ("EXISTS a", ":0")]);
    fixture.check(&[("SET b 1", "+OK"), ("SET a 1 PX 1", "+OK")]);
    fixture.now_ms += 2;
    fixture.check(&[("RANDOMKEY", "$1 b"), ("RENAMENX b a", ":1"), ("TTL a", ":-1")]);
}

#[test]
fn every_key_can_be_drawn() {
    let mut fixture = Fixture::new();
    let mut left: std::collections::BTreeSet<String> = (0..20).map(|n| format!("{n:02}")).collect();
    for key in &left {
        fixture.run(&format!("SET {key} 1"));
    }
    for _ in 0..1000 {
        left.remove(&fixture.run("RANDOMKEY")[3..]);
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn use_is_told_by_policy() {
    let mut fixture = Fixture::new();
    fixture.check(&[("SET a 1", "+OK")]);
    fixture.now_ms += 5000;
    fixture.check(&[("OBJECT IDLETIME a", ":5"), ("TYPE a", "+string"), ("EXISTS a", ":1"), ("TTL a", ":-1")]);
    fixture.check(&[("OBJECT IDLETIME a", ":5"), ("TOUCH a", ":1"), ("OBJECT IDLETIME a", ":0")]);
    fixture.settings.lfu = true;
    fixture.check(&[("SET b 1", "+OK"), ("OBJECT FREQ b", ":5"), ("OBJECT FREQ none", "$-1")]);
    fixture.check(&[("OBJECT IDLETIME none", "$-1")]);
    assert!(fixture.run("OBJECT IDLETIME b").starts_with("-ERR An LFU maxmemory policy is selected"));
}

#[test]
fn help_lists_every_subcommand() {
    let help = Fixture::new().run("OBJECT HELP");
    for word in ["ENCODING", "FREQ", "HELP", "IDLETIME", "REFCOUNT"] {
        assert!(help.contains(&format!("+{word}")), "{word}");
    }
}
#[test]
fn sorting() {
    check(&[
        ("RPUSH l 3 1 2 10", ":4"),
        ("SORT l LIMIT x 1 FOO", "-ERR value is not an integer or out of range"),
        ("SORT l FOO LIMIT x 1", "-ERR syntax error"),
        ("SORT none LIMIT x 1", "-ERR value is not an integer or out of range"),
        ("SORT l LIMIT 0", "-ERR syntax error"),
        ("SORT l LIMIT 1 9223372036854775807", "*3 $1 2 $1 3 $2 10"),
        ("SORT l LIMIT 9223372036854775807 1", "*0"),
        ("SORT l LIMIT 2 0", "*0"),
        ("SORT l LIMIT -5 -5", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT l LIMIT 99 5", "*0"),
        ("SORT l BY nosort LIMIT 1 2", "*2 $1 1 $1 2"),
        ("SORT l BY nosort DESC LIMIT 1 2", "*2 $1 2 $1 1"),
        ("SORT l BY nosort DESC", "*4 $2 10 $1 2 $1 1 $1 3"),
        ("RPUSH w a b 1", ":3"),
        ("SORT w", "-ERR One or more scores can't be converted into double"),
        ("SORT w LIMIT 0 1", "-ERR One or more scores can't be converted into double"),
        ("SORT w BY nosort", "*3 $1 a $1 b $1 1"),
        ("SORT w BY nosort GET none GET # GET n_*", "*9 $-1 $1 a $-1 $-1 $1 b $-1 $-1 $1 1 $-1"),
        ("SET w_a 5", "+OK"),
        ("SORT w BY w_* ALPHA", "*3 $1 b $1 1 $1 a"),
        ("SET w_b x", "+OK"),
        ("SORT w BY w_*", "-ERR One or more scores can't be converted into double"),
        ("SORT w BY w_* ALPHA", "*3 $1 1 $1 a $1 b"),
        ("SORT w BY w_* ALPHA DESC", "*3 $1 b $1 a $1 1"),
        ("SADD s 3 1 2", ":3"),
        ("SORT s BY nosort STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $1 1 $1 2 $1 3"),
        ("SORT s BY nosort", "*3 $1 1 $1 2 $1 3"),
        ("SADD ss c a b", ":3"),
        ("SORT ss BY nosort", "*3 $1 c $1 a $1 b"),
        ("SORT ss BY nosort STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $1 a $1 b $1 c"),
        ("ZADD z 1 c 2 b 3 a", ":3"),
        ("SORT z BY nosort", "*3 $1 c $1 b $1 a"),
        ("SORT z BY nosort DESC", "*3 $1 a $1 b $1 c"),
        ("SORT z BY nosort DESC LIMIT 1 1", "*1 $1 b"),
        ("SORT z BY nosort LIMIT 1 5", "*2 $1 b $1 a"),
        ("SORT z ALPHA", "*3 $1 a $1 b $1 c"),
        ("SORT z BY nosort STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $1 c $1 b $1 a"),
        ("SORT z BY nosort GET w_* STORE d", ":3"),
        ("LRANGE d 0 -1", "*3 $0  $1 x $1 5"),
        ("OBJECT ENCODING d", "$8 listpack"),
        ("SORT l STORE l", ":4"),
        ("LRANGE l 0 -1", "*4 $1 1 $1 2 $1 3 $2 10"),
        ("SORT l STORE d STORE e", ":4"),
        ("EXISTS e", ":1"),
        ("COMMAND GETKEYS SORT l STORE d STORE e", "*2 $1 l $1 e"),
        ("COMMAND GETKEYSANDFLAGS SORT l STORE d STORE e", "*2 *2 $1 l *2 +RO +access *2 $1 e *2 +OW +update"),
        ("COMMAND GETKEYS SORT l BY STORE GET store STORE f LIMIT store 1", "*2 $1 l $1 f"),
        ("COMMAND GETKEYS SORT l", "*1 $1 l"),
        ("COMMAND GETKEYS SORT l STORE", "*1 $1 l"),
        ("COMMAND GETKEYS SORT_RO l STORE d", "*1 $1 l"),
        ("SORT_RO l STORE d", "-ERR syntax error"),
        ("SORT l BY", "-ERR syntax error"),
        ("SORT l GET", "-ERR syntax error"),
        ("SORT l STORE", "-ERR syntax error"),
        ("HSET h_1 f 9 g 1", ":2"),
        ("HSET h_2 f 8", ":1"),
        (
            "SORT l BY h_*->f GET h_*->f GET h_*->g GET h_*-> GET h_*->none",
            "*16 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $1 8 $-1 $-1 $-1 $1 9 $1 1 $-1 $-1",
        ),
        ("SET k->f 1", "+OK"),
        (
            "SORT l GET h_*-> GET *->f GET #x GET *#",
            "*16 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1",
        ),
        ("SET h_1-> 5", "+OK"),
        ("SORT l GET h_*->", "*4 $1 5 $-1 $-1 $-1"),
        ("SORT l GET h_*->f->g", "*4 $-1 $-1 $-1 $-1"),
        ("SADD num 1 2 3", ":3"),
        ("SORT num GET l", "*3 $-1 $-1 $-1"),
        ("SORT str", "*0"),
        ("SET str 1", "+OK"),
        ("SORT str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SORT l ASC DESC", "*4 $2 10 $1 3 $1 2 $1 1"),
        ("SORT l DESC ASC ALPHA", "*4 $1 1 $2 10 $1 2 $1 3"),
        ("RPUSH f 1.5 1e3 -2 0x10 inf nan", ":6"),
        ("LREM f 0 nan", ":1"),
        ("RPUSH f \" 3\"", ":6"),
        ("RPUSH f \"3 \"", ":7"),
        ("RPUSH eq 1 1.0 01 1.00", ":4"),
        ("SORT eq", "*4 $2 01 $1 1 $3 1.0 $4 1.00"),
        ("SORT eq DESC", "*4 $4 1.00 $3 1.0 $1 1 $2 01"),
        ("RPUSH al B a A b", ":4"),
        ("SORT al ALPHA", "*4 $1 A $1 B $1 a $1 b"),
        ("SORT al ALPHA DESC", "*4 $1 b $1 a $1 B $1 A"),
        ("RPUSH em \"\" 1", ":2"),
        ("SORT em", "*2 $0  $1 1"),
        ("SORT em ALPHA", "*2 $0  $1 1"),
        ("DEL l", ":1"),
        ("SORT l STORE d", ":0"),
        ("SORT l STORE d", ":0"),
        ("RPUSH many 5 3 1 4 2", ":5"),
        ("SORT many BY nosuch_*", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("SORT many BY nosuch_* DESC", "*5 $1 5 $1 4 $1 3 $1 2 $1 1"),
        ("SORT many BY nosuch_* ALPHA", "*5 $1 5 $1 3 $1 1 $1 4 $1 2"),
        ("SORT many BY nosuch_* ALPHA DESC LIMIT 1 3", "*3 $1 3 $1 1 $1 4"),
        ("SORT many BY x_*_y", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("SORT many BY *", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("DEL x", ":0"),
        ("RPUSH x 0x10", ":1"),
        ("SORT x", "-ERR One or more scores can't be converted into double"),
        ("DEL x", ":1"),
        ("RPUSH x inf", ":1"),
        ("SORT x", "*1 $3 inf"),
        ("DEL x", ":1"),
        ("RPUSH x 1e400", ":1"),
        ("SORT x", "*1 $5 1e400"),
        ("DEL x", ":1"),
        ("RPUSH x \" 3\"", ":1"),
        ("SORT x", "-ERR One or more scores can't be converted into double"),
        ("DEL x", ":1"),
        ("RPUSH x \"\"", ":1"),
        ("SORT x", "*1 $0"),
        ("DEL x", ":1"),
        ("RPUSH x +", ":1"),
        ("SORT x", "-ERR One or more scores can't be converted into double"),
        ("DEL x", ":1"),
        ("RPUSH x .5", ":1"),
        ("SORT x", "*1 $2 .5"),
        ("DEL x", ":1"),
        ("RPUSH x 5.", ":1"),
        ("SORT x", "*1 $2 5."),
        ("DEL x", ":1"),
        ("RPUSH x .", ":1"),
        ("SORT x", "-ERR One or more scores can't be converted into double"),
        ("DEL x", ":1"),
        ("RPUSH x 1e", ":1"),
        ("SORT x", "-ERR One or more scores can't be converted into double"),
        ("DEL x", ":1"),
        ("RPUSH x \"1\\x00x\"", ":1"),
        ("SORT x", "*1 $3 1\0x"),
        ("DEL x", ":1"),
        ("RPUSH x nan", ":1"),
        ("SORT x", "-ERR One or more scores can't be converted into double"),
    ]);
}

/// Events that go with others: of new keys, of what was overwritten, of keys that are not there.
#[test]
fn events_beside_the_change_come_in_order() {
    let mut fixture = Fixture::new();
    for (line, events) in [
        ("SET a 1", "a=new a=set"),
        ("SET a 2 EX 100", "a=overwritten a=set a=expire"),
        ("GET none", "none=keymiss"),
        ("OBJECT ENCODING none", ""),
        ("LPUSH l 1", "l=new l=lpush"),
        ("SET l 1", "l=overwritten l=type_changed l=set"),
        ("RENAME a b", "b=new a=rename_from b=rename_to"),
        ("SADD s 1", "s=new s=sadd"),
        ("RENAME s b", "b=new s=rename_from b=rename_to b=overwritten b=type_changed"),
        ("COPY l c", "c=new c=copy_to"),
        ("COPY l c REPLACE", "c=new c=copy_to c=overwritten"),
        ("SUNIONSTORE l b", "l=overwritten l=type_changed l=sunionstore"),
        ("INCR n", "n=new n=incrby"),
        ("INCR n", "n=incrby"),
    ] {
        fixture.run(line);
        assert_eq!(fixture.take_all_events(), events, "{line}");
    }
}

/// What is run again, later, must come to the same: nothing goes because its time has come meanwhile. Our own.
#[test]
fn time_does_not_pass_while_effects_are_run_again() {
    let mut fixture = Fixture::new();
    fixture.replays = true;
    for (line, reply) in [
        ("SET a 1 PXAT 1000", "+OK"),
        ("INCR a", ":2"),
        ("PEXPIREAT a 2000", ":1"),
        ("PEXPIRETIME a", ":2000"),
        ("INCR a", ":3"),
        ("HSET h f 1", ":1"),
        ("HPEXPIREAT h 1000 FIELDS 1 f", "*1 :1"),
        ("HINCRBY h f 1", ":2"),
        ("HSETNX h f 7", ":0"),
        ("HSETEX h FXX PXAT 2000 FIELDS 1 f 5", ":1"),
        ("HINCRBY h f 1", ":6"),
        ("XADD x MAXLEN = 2 LIMIT 100 1-1 a 1", "$3 1-1"),
        ("XTRIM x MAXLEN = 0 LIMIT 1", ":1"),
    ] {
        assert_eq!(fixture.run(line), reply, "{line}");
    }
    fixture.replays = false;
    assert_eq!(fixture.run("EXISTS a"), ":0");
    assert_eq!(fixture.run("HGET h f"), "$-1");
    let refused = fixture.run("XTRIM x MAXLEN = 0 LIMIT 1");
    assert_eq!(refused, "-ERR syntax error, LIMIT cannot be used without the special ~ option");
}
