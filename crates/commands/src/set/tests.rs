//! What the reference answers: recorded from Redis 8.2.3, except where chance decides.

use crate::testing::{Fixture, check};
use kinovar_command::Protocol;
use std::collections::BTreeSet;

#[test]
fn members_come_and_go() {
    check(&[
        ("SADD s 1 2 3", ":3"),
        ("SADD s 3 4 a a", ":2"),
        ("SADD s a", ":0"),
        ("SCARD s", ":5"),
        ("SCARD nosuch", ":0"),
        ("SMEMBERS s", "*5 $1 1 $1 2 $1 3 $1 4 $1 a"),
        ("SMEMBERS nosuch", "*0"),
        ("SISMEMBER s a", ":1"),
        ("SISMEMBER s nosuch", ":0"),
        ("SISMEMBER nosuch a", ":0"),
        ("SMISMEMBER s a x 2 02", "*4 :1 :0 :1 :0"),
        ("SMISMEMBER nosuch a b", "*2 :0 :0"),
        ("SREM s 2 x", ":1"),
        ("SREM s x", ":0"),
        ("SREM nosuch x", ":0"),
        ("SMEMBERS s", "*4 $1 1 $1 3 $1 4 $1 a"),
        ("SREM s 1 3 4 a b", ":4"),
        ("SCARD s", ":0"),
        ("SADD i 30 -5 7 100000 9223372036854775807", ":5"),
        ("SMEMBERS i", "*5 $2 -5 $1 7 $2 30 $6 100000 $19 9223372036854775807"),
        ("SADD i 007", ":1"),
        ("SMEMBERS i", "*6 $2 -5 $1 7 $2 30 $6 100000 $19 9223372036854775807 $3 007"),
        ("SET str v", "+OK"),
        ("SADD str a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SREM str a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SCARD str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SISMEMBER str a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMISMEMBER str a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMEMBERS str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SADD s", "-ERR wrong number of arguments for 'sadd' command"),
        ("SMISMEMBER s", "-ERR wrong number of arguments for 'smismember' command"),
    ]);
}

#[test]
fn members_move() {
    check(&[
        ("SADD a 1 2 3", ":3"),
        ("SADD b 3 4", ":2"),
        ("SET str v", "+OK"),
        ("SMOVE a b 1", ":1"),
        ("SMOVE a b 3", ":1"),
        ("SMOVE a b nosuch", ":0"),
        ("SMOVE nosuch b 1", ":0"),
        ("SMOVE a a 2", ":1"),
        ("SMOVE a a nosuch", ":0"),
        ("SMEMBERS a", "*1 $1 2"),
        ("SMEMBERS b", "*3 $1 1 $1 3 $1 4"),
        ("SMOVE a new 2", ":1"),
        ("SCARD a", ":0"),
        ("SMEMBERS new", "*1 $1 2"),
        ("SMOVE nosuch str 1", ":0"),
        ("SMOVE b str zzz", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMOVE b str 3", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMOVE str b 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMOVE str str 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMEMBERS b", "*3 $1 1 $1 3 $1 4"),
    ]);
}

#[test]
fn sets_combine() {
    check(&[
        ("SADD a 1 2 3 4 5", ":5"),
        ("SADD b 3 4 5 6 7", ":5"),
        ("SADD c 5 x", ":2"),
        ("SET str v", "+OK"),
        ("SUNION a b", "*7 $1 1 $1 2 $1 3 $1 4 $1 5 $1 6 $1 7"),
        ("SUNION a nosuch", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("SUNION nosuch", "*0"),
        ("SINTER a b", "*3 $1 3 $1 4 $1 5"),
        ("SINTER a b c", "*1 $1 5"),
        ("SINTER c b a", "*1 $1 5"),
        ("SINTER a nosuch", "*0"),
        ("SINTER a a", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("SDIFF a b", "*2 $1 1 $1 2"),
        ("SDIFF a nosuch", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("SDIFF nosuch a", "*0"),
        ("SDIFF a a", "*0"),
        ("SDIFF a b a", "*0"),
        ("SINTER nosuch str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SINTER str nosuch", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SUNION nosuch str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SDIFF nosuch str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SDIFF a str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SINTERSTORE d nosuch str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SDIFFSTORE d nosuch str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SUNIONSTORE d str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SUNIONSTORE d a b", ":7"),
        ("SMEMBERS d", "*7 $1 1 $1 2 $1 3 $1 4 $1 5 $1 6 $1 7"),
        ("SINTERSTORE d a b", ":3"),
        ("SMEMBERS d", "*3 $1 3 $1 4 $1 5"),
        ("SDIFFSTORE d a b c", ":2"),
        ("SMEMBERS d", "*2 $1 1 $1 2"),
        ("SUNIONSTORE d c a", ":6"),
        ("SMEMBERS d", "*6 $1 5 $1 x $1 1 $1 2 $1 3 $1 4"),
        ("SINTERSTORE d a nosuch", ":0"),
        ("SMEMBERS d", "*0"),
        ("SDIFFSTORE d nosuch a", ":0"),
        ("SUNIONSTORE d nosuch", ":0"),
        ("SUNIONSTORE str a nosuch", ":5"),
        ("SMEMBERS str", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"),
        ("SUNIONSTORE a a b", ":7"),
        ("SMEMBERS a", "*7 $1 1 $1 2 $1 3 $1 4 $1 5 $1 6 $1 7"),
        ("SDIFFSTORE a a a", ":0"),
        ("SMEMBERS a", "*0"),
    ]);
}

#[test]
fn intersections_are_counted() {
    check(&[
        ("SADD a 1 2 3 4 5", ":5"),
        ("SADD b 3 4 5 6 7", ":5"),
        ("SET str v", "+OK"),
        ("SINTERCARD 2 a b", ":3"),
        ("SINTERCARD 1 a", ":5"),
        ("SINTERCARD 2 a nosuch", ":0"),
        ("SINTERCARD 2 a b LIMIT 1", ":1"),
        ("SINTERCARD 2 a b limit 0", ":3"),
        ("SINTERCARD 2 a b LIMIT 100", ":3"),
        ("SINTERCARD 1 a LIMIT 2 LIMIT 1", ":1"),
        ("SINTERCARD 0 a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD x a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD -1 a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 2 a b LIMIT", "-ERR syntax error"),
        ("SINTERCARD 2 a b LIMIT -1", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 2 a b LIMIT x", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 str LIMIT x", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 2 a b FOO 1", "-ERR syntax error"),
        ("SINTERCARD 2 nosuch str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn chance_has_its_rules() {
    check(&[
        ("SADD s 7", ":1"),
        ("SADD t 5 6", ":2"),
        ("SET str v", "+OK"),
        ("SPOP s -1", "-ERR value is out of range, must be positive"),
        ("SPOP s x", "-ERR value is out of range, must be positive"),
        ("SPOP s 1 2", "-ERR syntax error"),
        ("SPOP s x 2", "-ERR syntax error"),
        ("SPOP str -1", "-ERR value is out of range, must be positive"),
        ("SPOP str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SPOP str 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SPOP nosuch", "$-1"),
        ("SPOP nosuch 0", "*0"),
        ("SPOP nosuch 3", "*0"),
        ("SPOP s 0", "*0"),
        ("SPOP s 9223372036854775808", "-ERR value is out of range, must be positive"),
        ("SRANDMEMBER s", "$1 7"),
        ("SRANDMEMBER s 1", "*1 $1 7"),
        ("SRANDMEMBER s 0", "*0"),
        ("SRANDMEMBER s 5", "*1 $1 7"),
        ("SRANDMEMBER s -3", "*3 $1 7 $1 7 $1 7"),
        ("SRANDMEMBER s x", "-ERR value is not an integer or out of range"),
        ("SRANDMEMBER s x y", "-ERR syntax error"),
        (
            "SRANDMEMBER s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("SRANDMEMBER t 9223372036854775807", "*2 $1 5 $1 6"),
        ("SRANDMEMBER nosuch", "$-1"),
        ("SRANDMEMBER nosuch 2", "*0"),
        ("SRANDMEMBER nosuch -2", "*0"),
        ("SRANDMEMBER nosuch x", "-ERR value is not an integer or out of range"),
        ("SRANDMEMBER str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SRANDMEMBER str 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SPOP s", "$1 7"),
        ("SCARD s", ":0"),
        ("SPOP t 9223372036854775807", "*2 $1 5 $1 6"),
        ("SCARD t", ":0"),
    ]);
}

#[test]
fn walks() {
    check(&[
        ("SADD s 1 2 3 a", ":4"),
        ("SET str v", "+OK"),
        ("SSCAN s 0", "*2 $1 0 *4 $1 1 $1 2 $1 3 $1 a"),
        ("SSCAN s 5", "*2 $1 0 *4 $1 1 $1 2 $1 3 $1 a"),
        ("SSCAN s +5", "*2 $1 0 *4 $1 1 $1 2 $1 3 $1 a"),
        ("SSCAN s \" 5\"", "*2 $1 0 *4 $1 1 $1 2 $1 3 $1 a"),
        ("SSCAN s 18446744073709551615", "*2 $1 0 *4 $1 1 $1 2 $1 3 $1 a"),
        ("SSCAN s 18446744073709551616", "-ERR invalid cursor"),
        ("SSCAN s 5x", "-ERR invalid cursor"),
        ("SSCAN s -1", "-ERR invalid cursor"),
        ("SSCAN s \"\"", "-ERR invalid cursor"),
        ("SSCAN s 0 MATCH a* COUNT 1", "*2 $1 0 *1 $1 a"),
        ("SSCAN s 0 match * count 100", "*2 $1 0 *4 $1 1 $1 2 $1 3 $1 a"),
        ("SSCAN s 0 MATCH x", "*2 $1 0 *0"),
        ("SSCAN s 0 COUNT 0", "-ERR syntax error"),
        ("SSCAN s 0 COUNT -1", "-ERR syntax error"),
        ("SSCAN s 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("SSCAN s 0 COUNT", "-ERR syntax error"),
        ("SSCAN s 0 MATCH", "-ERR syntax error"),
        ("SSCAN s 0 FOO 1", "-ERR syntax error"),
        ("SSCAN s 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN"),
        ("SSCAN nosuch 0 FOO", "*2 $1 0 *0"),
        ("SSCAN nosuch x", "-ERR invalid cursor"),
        ("SSCAN str 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SSCAN str x", "-ERR invalid cursor"),
    ]);
}

#[test]
fn replies_are_sets_in_resp3() {
    let mut fixture = Fixture::new();
    fixture.protocol = Protocol::Resp3;
    fixture.check(&[
        ("SADD s 1 2 3", ":3"),
        ("SET str v", "+OK"),
        ("SMEMBERS s", "~3 $1 1 $1 2 $1 3"),
        ("SMEMBERS nosuch", "~0"),
        ("SINTER s s", "~3 $1 1 $1 2 $1 3"),
        ("SINTER s nosuch", "~0"),
        ("SUNION s nosuch", "~3 $1 1 $1 2 $1 3"),
        ("SUNION nosuch", "~0"),
        ("SDIFF s nosuch", "~3 $1 1 $1 2 $1 3"),
        ("SDIFF nosuch", "~0"),
        ("SPOP s 0", "~0"),
        ("SPOP nosuch 0", "~0"),
        ("SPOP nosuch", "_"),
        ("SRANDMEMBER s 5", "*3 $1 1 $1 2 $1 3"),
        ("SRANDMEMBER nosuch 2", "*0"),
        ("SRANDMEMBER nosuch", "_"),
        ("SISMEMBER s 1", ":1"),
        ("SMISMEMBER s 1 9", "*2 :1 :0"),
        ("SSCAN s 0", "*2 $1 0 *3 $1 1 $1 2 $1 3"),
        ("SSCAN nosuch 0", "*2 $1 0 *0"),
        ("SPOP s 5", "~3 $1 1 $1 2 $1 3"),
    ]);
}

/// The bulk strings of an array or set reply.
fn elements(reply: &str) -> Vec<String> {
    let mut words = reply.split(' ');
    assert!(words.next().unwrap().starts_with(['*', '~']), "{reply}");
    let words: Vec<&str> = words.collect();
    words.chunks(2).map(|pair| pair[1].to_owned()).collect()
}

fn numbered(prefix: &str, count: usize) -> String {
    (0..count).map(|n| format!(" {prefix}{n}")).collect()
}

/// For the encodings in turn: an intset, a listpack, a hash table of 100 members, and what their names begin with.
fn hundreds() -> Vec<(Fixture, &'static str)> {
    let prepare = |prefix: &'static str, listpack_max| {
        let mut fixture = Fixture::new();
        fixture.settings.set_max_listpack_entries = listpack_max;
        assert_eq!(fixture.run(&format!("SADD s{}", numbered(prefix, 100))), ":100");
        (fixture, prefix)
    };
    vec![prepare("", 128), prepare("m", 128), prepare("m", 0), prepare("a-member-of-some-length-", 0)]
}

#[test]
fn popped_members_leave_the_set() {
    for (mut fixture, _) in hundreds() {
        let all: BTreeSet<_> = elements(&fixture.run("SMEMBERS s")).into_iter().collect();
        let mut popped = BTreeSet::new();
        // One, few, most of what is left, all the rest.
        for (line, count) in [("SPOP s 1", 1), ("SPOP s 9", 9), ("SPOP s 85", 85), ("SPOP s 50", 5)] {
            let members = elements(&fixture.run(line));
            assert_eq!(members.len(), count, "{line}");
            for member in members {
                assert_eq!(fixture.run(&format!("SISMEMBER s {member}")), ":0");
                assert!(popped.insert(member));
            }
            assert_eq!(fixture.run("SCARD s"), format!(":{}", 100 - popped.len()));
        }
        assert_eq!(popped, all);
        assert_eq!(fixture.run("SPOP s"), "$-1");
    }
}

#[test]
fn samples_are_distinct_members() {
    for (mut fixture, _) in hundreds() {
        for count in [1, 2, 20, 60, 99, 100, 200] {
            let members = elements(&fixture.run(&format!("SRANDMEMBER s {count}")));
            assert_eq!(members.len(), count.min(100));
            let distinct: BTreeSet<_> = members.iter().collect();
            assert_eq!(distinct.len(), members.len());
            for member in members {
                assert_eq!(fixture.run(&format!("SISMEMBER s {member}")), ":1");
            }
        }
        assert_eq!(elements(&fixture.run("SRANDMEMBER s -500")).len(), 500);
    }
}

#[test]
fn walks_meet_every_member_once() {
    for (mut fixture, prefix) in hundreds() {
        fixture.run(&format!("SADD s{}", numbered(&format!("{prefix}9"), 500)));
        let len = fixture.run("SCARD s")[1..].parse::<usize>().unwrap();
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
        loop {
            let reply = fixture.run(&format!("SSCAN s {cursor} COUNT 7"));
            let mut words = reply.splitn(4, ' ').skip(2);
            cursor = words.next().unwrap().to_owned();
            for member in elements(words.next().unwrap()) {
                assert!(seen.insert(member));
            }
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), len);
    }
}

#[test]
fn algebra_does_not_depend_on_the_encoding() {
    // The same members, once in compact encodings and once in tables.
    let run = |listpack_max, intset_max| {
        let mut fixture = Fixture::new();
        fixture.settings.set_max_listpack_entries = listpack_max;
        fixture.settings.set_max_intset_entries = intset_max;
        for line in [
            "SADD a 1 2 3 4 5 6 7 8",
            "SADD b 2 4 6 8 10",
            "SADD c 1 2 x y a-long-member",
            "SADD d y 8",
            "SADD e a-long-member z",
        ] {
            fixture.run(line);
        }
        let mut results = Vec::new();
        for keys in ["a", "a b", "c a", "a c d e", "c a b d e", "a d e c b", "e d d d d d d"] {
            for command in ["SUNION", "SINTER", "SDIFF"] {
                let mut members = elements(&fixture.run(&format!("{command} {keys}")));
                members.sort();
                let stored = fixture.run(&format!("{command}STORE result {keys}"));
                assert_eq!(stored, format!(":{}", members.len()), "{command} {keys}");
                let mut kept = elements(&fixture.run("SMEMBERS result"));
                kept.sort();
                assert_eq!(kept, members, "{command} {keys}");
                results.push(members);
            }
        }
        results
    };
    let compact = run(128, 512);
    assert_eq!(compact, run(0, 0));
    assert_eq!(compact, run(128, 0));
    assert_eq!(compact, run(0, 512));
}
