//! What the reference answered to these lines, in both protocols and for both encodings.

use crate::testing::Fixture;
use kinovar_command::Protocol;

/// Recorded in RESP2.
const RESP2: &[(&str, &str)] = &[
    ("LPUSH k a b c", ":3"),
    ("LPUSH k", "-ERR wrong number of arguments for 'lpush' command"),
    ("RPUSH k 1 2 3", ":6"),
    ("LRANGE k 0 -1", "*6 $1 c $1 b $1 a $1 1 $1 2 $1 3"),
    ("LPUSHX nosuch a", ":0"),
    ("RPUSHX nosuch a b", ":0"),
    ("RPUSHX k x y", ":8"),
    ("LPUSHX k x y", ":10"),
    ("LPOP nosuch", "$-1"),
    ("LPOP nosuch 0", "*-1"),
    ("LPOP nosuch 3", "*-1"),
    ("LPOP k 0", "*0"),
    ("LPOP k -1", "-ERR value is out of range, must be positive"),
    ("LPOP k a", "-ERR value is out of range, must be positive"),
    ("LPOP nosuch -1", "-ERR value is out of range, must be positive"),
    ("LPOP nosuch a", "-ERR value is out of range, must be positive"),
    ("LPOP k 1 2", "-ERR wrong number of arguments for 'lpop' command"),
    ("RPOP k 1 2", "-ERR wrong number of arguments for 'rpop' command"),
    ("LPOP k", "$1 y"),
    ("RPOP k", "$1 y"),
    ("LPOP k 2", "*2 $1 x $1 c"),
    ("RPOP k 2", "*2 $1 x $1 3"),
    ("LPOP k 9223372036854775807", "*4 $1 b $1 a $1 1 $1 2"),
    ("LPOP k 9223372036854775808", "-ERR value is out of range, must be positive"),
    ("EXISTS k", ":0"),
    ("SET s x", "+OK"),
    ("LPUSH s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LPUSHX s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LPOP s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LPOP s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LPOP s -1", "-ERR value is out of range, must be positive"),
    ("LLEN s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LLEN nosuch", ":0"),
    ("LRANGE s 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LRANGE s a 1", "-ERR value is not an integer or out of range"),
    ("LRANGE nosuch 0 b", "-ERR value is not an integer or out of range"),
    ("LRANGE nosuch 0 1", "*0"),
    ("LINDEX s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LINDEX s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LINDEX nosuch a", "$-1"),
    ("LINDEX nosuch 1", "$-1"),
    ("RPUSH k a b c 10 -5 a", ":6"),
    ("LINDEX k a", "-ERR value is not an integer or out of range"),
    ("LINDEX k 0", "$1 a"),
    ("LINDEX k 3", "$2 10"),
    ("LINDEX k -2", "$2 -5"),
    ("LINDEX k 6", "$-1"),
    ("LINDEX k -7", "$-1"),
    ("LINDEX k -9223372036854775808", "$-1"),
    ("LRANGE k 1 2", "*2 $1 b $1 c"),
    ("LRANGE k -3 -2", "*2 $2 10 $2 -5"),
    ("LRANGE k 5 2", "*0"),
    ("LRANGE k -100 1", "*2 $1 a $1 b"),
    ("LRANGE k 4 100", "*2 $2 -5 $1 a"),
    ("LRANGE k 6 100", "*0"),
    ("LRANGE k 0 -7", "*0"),
    ("LRANGE k -9223372036854775808 9223372036854775807", "*6 $1 a $1 b $1 c $2 10 $2 -5 $1 a"),
    ("LRANGE k 0 x", "-ERR value is not an integer or out of range"),
    ("LLEN k", ":6"),
    ("LSET nosuch 0 a", "-ERR no such key"),
    ("LSET nosuch a a", "-ERR no such key"),
    ("LSET s a a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LSET s 0 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LSET k a a", "-ERR value is not an integer or out of range"),
    ("LSET k 6 a", "-ERR index out of range"),
    ("LSET k -7 a", "-ERR index out of range"),
    ("LSET k 4294967295 x", "+OK"),
    ("LSET k 2147483648 x", "-ERR index out of range"),
    ("LSET k -4294967296 x", "+OK"),
    ("LSET k 0 A", "+OK"),
    ("LSET k -1 Z", "+OK"),
    ("LRANGE k 0 -1", "*6 $1 A $1 b $1 c $2 10 $2 -5 $1 Z"),
    ("LINSERT k FOO a b", "-ERR syntax error"),
    ("LINSERT nosuch FOO a b", "-ERR syntax error"),
    ("LINSERT nosuch BEFORE a b", ":0"),
    ("LINSERT s BEFORE a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LINSERT s FOO a b", "-ERR syntax error"),
    ("LINSERT k before nosuch b", ":-1"),
    ("LINSERT k after 10 11", ":7"),
    ("LINSERT k BEFORE A 0", ":8"),
    ("LINSERT k AFTER Z zz", ":9"),
    ("LRANGE k 0 -1", "*9 $1 0 $1 A $1 b $1 c $2 10 $2 11 $2 -5 $1 Z $2 zz"),
    ("LREM nosuch a a", "-ERR value is not an integer or out of range"),
    ("LREM nosuch 1 a", ":0"),
    ("LREM s a x", "-ERR value is not an integer or out of range"),
    ("LREM s 0 x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("DEL k", ":1"),
    ("RPUSH k a b a c a d a", ":7"),
    ("LREM k 2 a", ":2"),
    ("LRANGE k 0 -1", "*5 $1 b $1 c $1 a $1 d $1 a"),
    ("LREM k -1 a", ":1"),
    ("LRANGE k 0 -1", "*4 $1 b $1 c $1 a $1 d"),
    ("LREM k 0 zz", ":0"),
    ("LREM k 0 a", ":1"),
    (
        "LREM k -9223372036854775808 b",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    ),
    ("LRANGE k 0 -1", "*3 $1 b $1 c $1 d"),
    ("LREM k 0 c", ":1"),
    ("LREM k 0 d", ":1"),
    ("EXISTS k", ":1"),
    ("LTRIM nosuch a 1", "-ERR value is not an integer or out of range"),
    ("LTRIM nosuch 0 1", "+OK"),
    ("LTRIM s 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LTRIM s a 1", "-ERR value is not an integer or out of range"),
    ("RPUSH k a b c d e f", ":7"),
    ("LTRIM k 0 -1", "+OK"),
    ("LTRIM k 1 -2", "+OK"),
    ("LRANGE k 0 -1", "*5 $1 a $1 b $1 c $1 d $1 e"),
    ("LTRIM k -2 100", "+OK"),
    ("LRANGE k 0 -1", "*2 $1 d $1 e"),
    ("LTRIM k 5 1", "+OK"),
    ("EXISTS k", ":0"),
    ("RPUSH p a b c 1 2 3 c c", ":8"),
    ("LPOS nosuch a", "$-1"),
    ("LPOS nosuch a COUNT 0", "*0"),
    (
        "LPOS nosuch a RANK 0",
        "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    ),
    ("LPOS s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LPOS s a COUNT -1", "-ERR COUNT can't be negative"),
    ("LPOS p c", ":2"),
    ("LPOS p zz", "$-1"),
    ("LPOS p zz COUNT 2", "*0"),
    ("LPOS p zz COUNT 0 RANK -1", "*0"),
    ("LPOS p c RANK 2", ":6"),
    ("LPOS p c RANK -1", ":7"),
    ("LPOS p c RANK 4", "$-1"),
    ("LPOS p c COUNT 2", "*2 :2 :6"),
    ("LPOS p c COUNT 0", "*3 :2 :6 :7"),
    ("LPOS p c COUNT 0 RANK 2", "*2 :6 :7"),
    ("LPOS p c COUNT 0 RANK -2", "*2 :6 :2"),
    ("LPOS p c COUNT 0 MAXLEN 7", "*2 :2 :6"),
    ("LPOS p c COUNT 0 MAXLEN 7 RANK -1", "*3 :7 :6 :2"),
    ("LPOS p c COUNT 0 MAXLEN 0", "*3 :2 :6 :7"),
    (
        "LPOS p c RANK 0",
        "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    ),
    ("LPOS p c RANK a", "-ERR value is not an integer or out of range"),
    (
        "LPOS p c RANK -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    ),
    ("LPOS p c RANK -9223372036854775807", "$-1"),
    ("LPOS p c COUNT a", "-ERR COUNT can't be negative"),
    ("LPOS p c COUNT -1", "-ERR COUNT can't be negative"),
    ("LPOS p c MAXLEN -1", "-ERR MAXLEN can't be negative"),
    ("LPOS p c MAXLEN a", "-ERR MAXLEN can't be negative"),
    ("LPOS p c MAXLEN", "-ERR syntax error"),
    ("LPOS p c FOO 1", "-ERR syntax error"),
    ("LPOS p c RANK 1 RANK 2", ":6"),
    ("LPOS p c COUNT 1 COUNT 2", "*2 :2 :6"),
    ("LPOS p 1", ":3"),
    ("LPOS p 01", "$-1"),
    (
        "LPOS p c RANK 0 COUNT a",
        "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
    ),
    ("LPOS p c rank 1 count 1 maxlen 3", "*1 :2"),
    ("LMOVE nosuch d LEFT RIGHT", "$-1"),
    ("LMOVE nosuch s LEFT RIGHT", "$-1"),
    ("LMOVE nosuch d FOO RIGHT", "-ERR syntax error"),
    ("LMOVE s d FOO RIGHT", "-ERR syntax error"),
    ("LMOVE s d LEFT FOO", "-ERR syntax error"),
    ("LMOVE s d LEFT RIGHT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LMOVE p s LEFT RIGHT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LMOVE p d left right", "$1 a"),
    ("LMOVE p d RIGHT LEFT", "$1 c"),
    ("LRANGE p 0 -1", "*6 $1 b $1 c $1 1 $1 2 $1 3 $1 c"),
    ("LRANGE d 0 -1", "*2 $1 c $1 a"),
    ("LMOVE p p LEFT LEFT", "$1 b"),
    ("LMOVE p p RIGHT RIGHT", "$1 c"),
    ("LMOVE p p LEFT RIGHT", "$1 b"),
    ("LRANGE p 0 -1", "*6 $1 c $1 1 $1 2 $1 3 $1 c $1 b"),
    ("LMOVE p p RIGHT LEFT", "$1 b"),
    ("LRANGE p 0 -1", "*6 $1 b $1 c $1 1 $1 2 $1 3 $1 c"),
    ("RPUSH one x", ":1"),
    ("LMOVE one one LEFT RIGHT", "$1 x"),
    ("LMOVE one one RIGHT RIGHT", "$1 x"),
    ("RPOPLPUSH one one", "$1 x"),
    ("LRANGE one 0 -1", "*1 $1 x"),
    ("LMOVE one d RIGHT RIGHT", "$1 x"),
    ("EXISTS one", ":0"),
    ("RPOPLPUSH nosuch d", "$-1"),
    ("RPOPLPUSH nosuch s", "$-1"),
    ("RPOPLPUSH s d", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("RPOPLPUSH p s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("RPOPLPUSH p d", "$1 c"),
    ("LRANGE d 0 -1", "*4 $1 c $1 c $1 a $1 x"),
    ("RPOPLPUSH p", "-ERR wrong number of arguments for 'rpoplpush' command"),
    ("LMPOP 0 p LEFT", "-ERR numkeys should be greater than 0"),
    ("LMPOP a p LEFT", "-ERR numkeys should be greater than 0"),
    ("LMPOP -1 p LEFT", "-ERR numkeys should be greater than 0"),
    ("LMPOP 1 p", "-ERR wrong number of arguments for 'lmpop' command"),
    ("LMPOP 1 p FOO", "-ERR syntax error"),
    ("LMPOP 2 p LEFT", "-ERR syntax error"),
    ("LMPOP 2 p q", "-ERR syntax error"),
    ("LMPOP 1 p LEFT COUNT", "-ERR syntax error"),
    ("LMPOP 1 p LEFT COUNT 0", "-ERR count should be greater than 0"),
    ("LMPOP 1 p LEFT COUNT a", "-ERR count should be greater than 0"),
    ("LMPOP 1 p LEFT COUNT 1 COUNT 2", "-ERR syntax error"),
    ("LMPOP 1 p LEFT FOO 2", "-ERR syntax error"),
    ("LMPOP 1 p LEFT COUNT 1 FOO", "-ERR syntax error"),
    ("LMPOP 4294967296 p LEFT", "-ERR syntax error"),
    ("LMPOP 9223372036854775807 p LEFT", "-ERR syntax error"),
    ("LMPOP 1 nosuch LEFT", "*-1"),
    ("LMPOP 1 s LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LMPOP 2 nosuch s LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LMPOP 2 p s LEFT", "*2 $1 p *1 $1 b"),
    ("LMPOP 2 s p LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("LMPOP 2 nosuch p RIGHT COUNT 2", "*2 $1 p *2 $1 3 $1 2"),
    ("LMPOP 2 nosuch p LEFT COUNT 100", "*2 $1 p *2 $1 c $1 1"),
    ("LMPOP 2 nosuch p LEFT", "*-1"),
    ("LINSERT d BEFORE", "-ERR wrong number of arguments for 'linsert' command"),
    ("LLEN", "-ERR wrong number of arguments for 'llen' command"),
    ("LSET d 0", "-ERR wrong number of arguments for 'lset' command"),
];

/// Lines of the above whose replies differ in RESP3.
const RESP3: &[(&str, &str)] = &[
    ("LPOP nosuch", "_"),
    ("LPOP nosuch 0", "_"),
    ("LPOP nosuch 3", "_"),
    ("LINDEX nosuch a", "_"),
    ("LINDEX nosuch 1", "_"),
    ("LINDEX k 6", "_"),
    ("LINDEX k -7", "_"),
    ("LINDEX k -9223372036854775808", "_"),
    ("LPOS nosuch a", "_"),
    ("LPOS p zz", "_"),
    ("LPOS p c RANK 4", "_"),
    ("LPOS p c RANK -9223372036854775807", "_"),
    ("LPOS p 01", "_"),
    ("LMOVE nosuch d LEFT RIGHT", "_"),
    ("LMOVE nosuch s LEFT RIGHT", "_"),
    ("RPOPLPUSH nosuch d", "_"),
    ("RPOPLPUSH nosuch s", "_"),
    ("LMPOP 1 nosuch LEFT", "_"),
    ("LMPOP 2 nosuch p LEFT", "_"),
];

/// One node for all, nodes of two elements, and a node for each.
fn fixtures() -> [Fixture; 3] {
    [-2, 2, 1].map(fixture)
}

fn fixture(list_max_listpack_size: i32) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.settings.list_max_listpack_size = list_max_listpack_size;
    fixture
}

#[test]
fn replies_in_resp2() {
    for mut fixture in fixtures() {
        fixture.check(RESP2);
    }
}

#[test]
fn replies_in_resp3() {
    for mut fixture in fixtures() {
        fixture.protocol = Protocol::Resp3;
        for &(line, resp2) in RESP2 {
            let expected = RESP3.iter().find(|(differs, _)| *differs == line).map_or(resp2, |&(_, resp3)| resp3);
            assert_eq!(fixture.run(line), expected, "{line}");
        }
    }
}

/// The encoding of `k` after each line, four elements being a node.
const ENCODINGS_BY_COUNT: &[(&str, &str)] = &[
    ("RPUSH k a b c d", "listpack"),
    ("RPUSH k e", "quicklist"),
    ("RPOP k", "quicklist"),
    ("LPOP k", "quicklist"),
    ("LPOP k", "listpack"),
    ("RPUSH k c d e", "quicklist"),
    ("LTRIM k 0 2", "quicklist"),
    ("LTRIM k 0 1", "listpack"),
    ("RPUSH k c d", "listpack"),
    ("LINSERT k BEFORE nosuch e", "quicklist"),
    ("LREM k 0 zz", "quicklist"),
    ("LREM k 0 d", "listpack"),
    ("LREM k 0 b", "listpack"),
    ("RPUSH k a b c", "quicklist"),
    ("LSET k 9 z", "quicklist"),
    ("LSET k 0 z", "quicklist"),
    ("LPOP k 0", "quicklist"),
    ("LPOP k 2", "quicklist"),
    ("DEL k", "none"),
    ("RPUSH k a", "listpack"),
    ("LSET k 9 HUGE", "quicklist"),
    ("LMOVE k k LEFT RIGHT", "listpack"),
    ("RPUSH k a b", "listpack"),
    ("LINSERT k AFTER a b", "listpack"),
    ("LMPOP 1 k LEFT", "listpack"),
    ("LMPOP 1 k LEFT COUNT 2", "listpack"),
    ("LSET k 9 HUGE", "quicklist"),
    ("LPUSHX k a", "quicklist"),
    ("LMOVE k other RIGHT LEFT", "listpack"),
];

/// The same with nodes of 8 KB; HALF has 4,000 bytes and HUGE 9,000.
const ENCODINGS_BY_BYTES: &[(&str, &str)] = &[
    ("RPUSH k HALF", "listpack"),
    ("RPUSH k HALF", "listpack"),
    ("RPUSH k HALF", "quicklist"),
    ("LPOP k", "quicklist"),
    ("LPOP k", "listpack"),
    ("RPUSH k b", "listpack"),
    ("LSET k 0 HUGE", "quicklist"),
    ("LSET k 0 a", "listpack"),
    ("LINSERT k AFTER a HUGE", "quicklist"),
    ("LREM k 1 HUGE", "quicklist"),
    ("LREM k 1 b", "listpack"),
    ("LPUSH k HALF HALF c", "listpack"),
    ("LTRIM k 0 0", "listpack"),
    ("RPUSH k HALF", "listpack"),
    ("RPUSH other HALF HALF", "listpack"),
    ("LMOVE other k LEFT LEFT", "listpack"),
    ("LMOVE other k LEFT LEFT", "quicklist"),
    ("RPOP k 2", "quicklist"),
];

/// The same with a node for each element: nothing is small enough to become a listpack again.
const ENCODINGS_OF_ONE: &[(&str, &str)] =
    &[("RPUSH k a", "listpack"), ("RPUSH k b", "quicklist"), ("LPOP k", "quicklist")];

#[test]
fn encodings() {
    for (size, cases) in
        [(4, ENCODINGS_BY_COUNT), (-2, ENCODINGS_BY_BYTES), (1, ENCODINGS_OF_ONE), (0, ENCODINGS_OF_ONE)]
    {
        let mut fixture = fixture(size);
        for (line, encoding) in cases {
            fixture.run(&line.replace("HALF", &"x".repeat(4000)).replace("HUGE", &"y".repeat(9000)));
            let reply = fixture.run("OBJECT ENCODING k");
            assert_eq!(reply.split(' ').nth(1).unwrap_or("none"), *encoding, "{line} with nodes of {size}");
        }
    }
}

/// What each line tells observers, and how many changes it counts.
const EVENTS: &[(&str, &str, u64)] = &[
    ("RPUSH k a b c", "k=rpush", 3),
    ("LPUSHX nosuch a", "", 0),
    ("LPUSHX k a b", "k=lpush", 2),
    ("LMOVE k k LEFT RIGHT", "k=rpush k=lpop", 1),
    ("LMOVE k d LEFT RIGHT", "d=rpush k=lpop", 1),
    ("LMOVE nosuch d LEFT RIGHT", "", 0),
    ("RPOPLPUSH k d", "d=lpush k=rpop", 1),
    ("RPUSH one x", "one=rpush", 1),
    ("LMOVE one one LEFT LEFT", "one=lpush one=lpop", 1),
    ("LMOVE one d LEFT LEFT", "d=lpush one=lpop one=del", 1),
    ("LTRIM k 0 -1", "k=ltrim", 0),
    ("LTRIM k 1 1", "k=ltrim", 2),
    ("LREM k 1 zz", "", 0),
    ("LREM k 1 b", "k=lrem k=del", 1),
    ("LPOP d 0", "", 0),
    ("LPOP d 2", "d=lpop", 2),
    ("LPOP d 9", "d=lpop d=del", 1),
    ("RPUSH d a b", "d=rpush", 2),
    ("LSET d 0 q", "d=lset", 1),
    ("LSET d 7 q", "", 0),
    ("LINSERT d AFTER q r", "d=linsert", 1),
    ("LINSERT d AFTER zz r", "", 0),
    ("LMPOP 2 nosuch d RIGHT COUNT 2", "d=rpop", 2),
    ("LTRIM d 1 0", "d=ltrim d=del", 1),
];

#[test]
fn events() {
    for mut fixture in fixtures() {
        for &(line, events, changes) in EVENTS {
            let before = fixture.changes();
            fixture.run(line);
            assert_eq!(fixture.take_events(), events, "{line}");
            assert_eq!(fixture.changes() - before, changes, "{line}");
        }
    }
}
