//! Recorded from the reference, unless a test says otherwise.

use crate::testing::{Fixture, check};

#[test]
fn get_and_set() {
    check(&[
        ("GET a", "$-1"),
        ("SET a 1", "+OK"),
        ("GET a", "$1 1"),
        ("SET a \"two words\"", "+OK"),
        ("GET a", "$9 two words"),
        ("SADD s m", ":1"),
        ("GET s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET s x", "+OK"),
        ("TYPE s", "+string"),
        ("SET a", "-ERR wrong number of arguments for 'set' command"),
        ("SET a 1 FOO", "-ERR syntax error"),
        ("GET a b", "-ERR wrong number of arguments for 'get' command"),
        ("GETSET a b", "$9 two words"),
        ("GETSET new b", "$-1"),
        ("GET new", "$1 b"),
        ("SADD t m", ":1"),
        ("GETSET t 6", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETDEL t", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETDEL new", "$1 b"),
        ("GETDEL new", "$-1"),
        ("SETNX q1 5", ":1"),
        ("SETNX q1 6", ":0"),
        ("GET q1", "$1 5"),
    ]);
}

#[test]
fn set_conditions() {
    check(&[
        ("SET k v", "+OK"),
        ("SET k w NX", "$-1"),
        ("SET k w NX GET", "$1 v"),
        ("SET nk w NX GET", "$-1"),
        ("GET nk", "$1 w"),
        ("SET nk2 w XX GET", "$-1"),
        ("SET nk2 w XX", "$-1"),
        ("SET nk x XX GET", "$1 w"),
        ("SET nk y XX", "+OK"),
        ("GET nk", "$1 y"),
        ("SADD s m", ":1"),
        ("SET s x NX GET", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET s x XX GET", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET s x GET", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET s x NX", "$-1"),
        ("SET k v XX NX", "-ERR syntax error"),
        ("SET k v NX XX", "-ERR syntax error"),
        ("SET k v XX XX", "+OK"),
        ("SET k v GET GET", "$1 v"),
        ("SET k v nx ex", "-ERR syntax error"),
        ("SET k v NX EX 10 XX", "-ERR syntax error"),
        ("SET k v FOO", "-ERR syntax error"),
    ]);
}

#[test]
fn set_expiry() {
    check(&[
        ("SET k v EX 10 EX 20", "+OK"),
        ("TTL k", ":20"),
        ("SET k v EX 10 PX 10", "-ERR syntax error"),
        ("SET k v KEEPTTL KEEPTTL", "+OK"),
        ("TTL k", ":20"),
        ("SET k w", "+OK"),
        ("TTL k", ":-1"),
        ("SET k w KEEPTTL", "+OK"),
        ("TTL k", ":-1"),
        ("SET k v EX", "-ERR syntax error"),
        ("SET k v EX abc", "-ERR value is not an integer or out of range"),
        ("SET k v EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET k v EX -1", "-ERR invalid expire time in 'set' command"),
        ("SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SET k v EX 9223372036854775", "-ERR invalid expire time in 'set' command"),
        ("SET k v EXAT 9223372036854775", "+OK"),
        ("SET k v PXAT 9223372036854775807", "+OK"),
        ("PEXPIRETIME k", ":9223372036854775807"),
        ("SET k v PXAT 1", "+OK"),
        ("EXISTS k", ":0"),
        ("SET k v EX 10 KEEPTTL", "-ERR syntax error"),
        ("SET k v PERSIST", "-ERR syntax error"),
        ("SET k v GET PXAT 1", "$-1"),
        ("SET k v", "+OK"),
        ("SET k w GET PXAT 1", "$1 v"),
        ("GET k", "$-1"),
        ("SADD l a", ":1"),
        ("SET l v GET EX abc", "-ERR value is not an integer or out of range"),
        ("SET l v GET EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET k v PXAT 1 NX", "+OK"),
        ("GET k", "$-1"),
        ("SET k v PXAT 1 XX", "$-1"),
        ("SETEX k 100 v", "+OK"),
        ("TTL k", ":100"),
        ("PSETEX k 200000 v", "+OK"),
        ("TTL k", ":200"),
        ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
        ("SETEX k -1 v", "-ERR invalid expire time in 'setex' command"),
        ("SETEX k abc v", "-ERR value is not an integer or out of range"),
        ("PSETEX k 0 v", "-ERR invalid expire time in 'psetex' command"),
        ("PSETEX k 9223372036854775807 v", "-ERR invalid expire time in 'psetex' command"),
        ("SETEX l 10 v", "+OK"),
        ("TYPE l", "+string"),
        ("APPEND l 3", ":2"),
        ("TTL l", ":10"),
    ]);
}

#[test]
fn getex() {
    check(&[
        ("SET k v", "+OK"),
        ("GETEX k", "$1 v"),
        ("GETEX k EX 100", "$1 v"),
        ("TTL k", ":100"),
        ("GETEX k PERSIST", "$1 v"),
        ("TTL k", ":-1"),
        ("GETEX k PERSIST", "$1 v"),
        ("GETEX k px 100000", "$1 v"),
        ("TTL k", ":100"),
        ("GETEX k EXAT 99999999999", "$1 v"),
        ("EXPIRETIME k", ":99999999999"),
        ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
        ("GETEX k EX abc", "-ERR value is not an integer or out of range"),
        ("GETEX k KEEPTTL", "-ERR syntax error"),
        ("GETEX k PERSIST EX 1", "-ERR syntax error"),
        ("GETEX k PXAT 1", "$1 v"),
        ("EXISTS k", ":0"),
        ("GETEX none EX 0", "$-1"),
        ("GETEX none foo", "-ERR syntax error"),
        ("SADD l a", ":1"),
        ("GETEX l EX 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETEX l", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETEX l foo", "-ERR syntax error"),
    ]);
}

#[test]
fn several_at_once() {
    check(&[
        ("MSET a 1 b 2 a 3", "+OK"),
        ("MGET a b", "*2 $1 3 $1 2"),
        ("SADD s m", ":1"),
        ("MGET s none a", "*3 $-1 $-1 $1 3"),
        ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command"),
        ("MSETNX a 1 zz 2", ":0"),
        ("EXISTS zz", ":0"),
        ("MSETNX q1 1 q2 2 q1 3", ":1"),
        ("MGET q1 q2", "*2 $1 3 $1 2"),
        ("SET q1 v EX 100", "+OK"),
        ("MSET q1 w s x", "+OK"),
        ("TTL q1", ":-1"),
        ("MGET q1 s", "*2 $1 w $1 x"),
    ]);
}

#[test]
fn counters() {
    check(&[
        ("INCR n", ":1"),
        ("INCRBY n 10", ":11"),
        ("DECR n", ":10"),
        ("DECRBY n 3", ":7"),
        ("INCRBY n -4", ":3"),
        ("OBJECT ENCODING n", "$3 int"),
        ("SADD l m", ":1"),
        ("INCRBY n abc", "-ERR value is not an integer or out of range"),
        ("DECRBY n abc", "-ERR value is not an integer or out of range"),
        ("INCRBY l abc", "-ERR value is not an integer or out of range"),
        ("INCRBY l 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("INCR l", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
        ("SET big 9223372036854775807", "+OK"),
        ("INCR big", "-ERR increment or decrement would overflow"),
        ("DECRBY big -1", "-ERR increment or decrement would overflow"),
        ("SET neg -9223372036854775808", "+OK"),
        ("DECR neg", "-ERR increment or decrement would overflow"),
        ("SET sp \" 1\"", "+OK"),
        ("INCR sp", "-ERR value is not an integer or out of range"),
        ("SET sp 01", "+OK"),
        ("INCR sp", "-ERR value is not an integer or out of range"),
        ("SET sp \"\"", "+OK"),
        ("INCR sp", "-ERR value is not an integer or out of range"),
        ("SET sp 1.5", "+OK"),
        ("INCR sp", "-ERR value is not an integer or out of range"),
        ("SET big 9223372036854775808", "+OK"),
        ("INCR big", "-ERR value is not an integer or out of range"),
        ("APPEND m 12", ":2"),
        ("APPEND m 3", ":3"),
        ("INCR m", ":124"),
        ("OBJECT ENCODING m", "$3 int"),
        ("SET x 5 EX 100", "+OK"),
        ("INCR x", ":6"),
        ("TTL x", ":100"),
    ]);
}

#[test]
fn decimal_counters() {
    check(&[
        ("SET a 0.1", "+OK"),
        ("INCRBYFLOAT a 0.2", "$3 0.3"),
        ("SET a 3.0e3", "+OK"),
        ("INCRBYFLOAT a 200", "$4 3200"),
        ("INCRBYFLOAT a 1e1", "$4 3210"),
        ("OBJECT ENCODING a", "$6 embstr"),
        ("INCRBYFLOAT b 1.5", "$3 1.5"),
        ("INCRBYFLOAT b -1.5", "$1 0"),
        ("OBJECT ENCODING b", "$6 embstr"),
        ("INCR b", ":1"),
        ("OBJECT ENCODING b", "$3 int"),
        ("INCRBYFLOAT b 0.5", "$3 1.5"),
        ("TTL b", ":-1"),
        ("SET b 1 EX 100", "+OK"),
        ("INCRBYFLOAT b 0.5", "$3 1.5"),
        ("TTL b", ":100"),
        ("INCRBYFLOAT a inf", "-ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT none inf", "-ERR increment would produce NaN or Infinity"),
        ("EXISTS none", ":0"),
        ("INCRBYFLOAT none abc", "-ERR value is not a valid float"),
        ("EXISTS none", ":0"),
        ("SET a abc", "+OK"),
        ("INCRBYFLOAT a 1", "-ERR value is not a valid float"),
        ("INCRBYFLOAT b \" 1\"", "-ERR value is not a valid float"),
        ("INCRBYFLOAT b nan", "-ERR value is not a valid float"),
        ("SADD l a", ":1"),
        ("INCRBYFLOAT l abc", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("INCRBYFLOAT l 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET a 12", "+OK"),
        ("INCRBYFLOAT a 0", "$2 12"),
        ("OBJECT ENCODING a", "$6 embstr"),
    ]);
}

#[test]
fn appending() {
    check(&[
        ("SET a 12", "+OK"),
        ("APPEND a \"\"", ":2"),
        ("OBJECT ENCODING a", "$3 raw"),
        ("APPEND n \"\"", ":0"),
        ("EXISTS n", ":1"),
        ("GET n", "$0"),
        ("APPEND m 12", ":2"),
        ("OBJECT ENCODING m", "$3 int"),
        ("APPEND m 3", ":3"),
        ("OBJECT ENCODING m", "$3 raw"),
        ("GET m", "$3 123"),
        ("SET e hello", "+OK"),
        ("APPEND e \"\"", ":5"),
        ("OBJECT ENCODING e", "$3 raw"),
        ("SADD l a", ":1"),
        ("APPEND l a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("STRLEN l", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("STRLEN m", ":3"),
        ("SET i -12345", "+OK"),
        ("STRLEN i", ":6"),
        ("STRLEN none", ":0"),
    ]);
}

#[test]
fn ranges() {
    check(&[
        ("SADD l a", ":1"),
        ("GETRANGE l 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETRANGE l a 1", "-ERR value is not an integer or out of range"),
        ("GETRANGE none 0 1", "$0"),
        ("SET s \"Hello World\"", "+OK"),
        ("GETRANGE s 0 4", "$5 Hello"),
        ("GETRANGE s -5 -1", "$5 World"),
        ("SUBSTR s 1 2", "$2 el"),
        ("SUBSTR s a 2", "-ERR value is not an integer or out of range"),
        ("SET i 12345", "+OK"),
        ("GETRANGE i 1 -2", "$3 234"),
        ("SETRANGE e 0 \"\"", ":0"),
        ("SETRANGE z 5 \"\"", ":0"),
        ("EXISTS z", ":0"),
        ("SETRANGE z 3 ab", ":5"),
        ("GET z", "$5 \0\0\0ab"),
        ("SETRANGE z 0 xyz", ":5"),
        ("GET z", "$5 xyzab"),
        ("SETRANGE z -1 ab", "-ERR offset is out of range"),
        ("SETRANGE z abc ab", "-ERR value is not an integer or out of range"),
        ("SETRANGE z 536870911 ab", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE none 536870911 ab", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("EXISTS none", ":0"),
        ("SETRANGE none 9223372036854775807 a", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE none 9223372036854775807 \"\"", ":0"),
        ("SETRANGE none 536870912 \"\"", ":0"),
        ("SETRANGE z 536870912 \"\"", ":5"),
        ("SETRANGE i 1 3", ":5"),
        ("OBJECT ENCODING i", "$3 raw"),
        ("GET i", "$5 13345"),
        ("SETRANGE l -1 a", "-ERR offset is out of range"),
        ("SETRANGE l 0 \"\"", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SETRANGE l 0 \"a\"", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SETRANGE l 536870912 \"a\"", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET s abc", "+OK"),
        ("OBJECT ENCODING s", "$6 embstr"),
        ("SETRANGE s 0 \"\"", ":3"),
        ("OBJECT ENCODING s", "$6 embstr"),
        ("SETRANGE s 0 b", ":3"),
        ("OBJECT ENCODING s", "$3 raw"),
    ]);
}

#[test]
fn longest_common_subsequence() {
    check(&[
        ("MSET key1 ohmytext key2 mynewtext", "+OK"),
        ("LCS key1 key2", "$6 mytext"),
        ("LCS key1 key2 LEN", ":6"),
        ("LCS key1 key2 IDX", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"),
        ("LCS key1 key2 IDX LEN", "-ERR If you want both the length and indexes, please just use IDX."),
        ("LCS key1 key2 IDX MINMATCHLEN 4", "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6"),
        ("LCS key1 key2 IDX MINMATCHLEN 4 WITHMATCHLEN", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"),
        (
            "LCS key1 key2 IDX MINMATCHLEN -1 WITHMATCHLEN",
            "*4 $7 matches *2 *3 *2 :4 :7 *2 :5 :8 :4 *3 *2 :2 :3 *2 :0 :1 :2 $3 len :6",
        ),
        ("LCS key1 key2 IDX MINMATCHLEN 10 WITHMATCHLEN", "*4 $7 matches *0 $3 len :6"),
        ("LCS key1 key2 MINMATCHLEN", "-ERR syntax error"),
        ("LCS key1 key2 MINMATCHLEN a", "-ERR value is not an integer or out of range"),
        ("LCS key1 key2 MINMATCHLEN 4", "$6 mytext"),
        ("LCS key1 key2 LEN MINMATCHLEN 4", ":6"),
        ("LCS key1 key2 WITHMATCHLEN", "$6 mytext"),
        ("LCS key1 key2 FOO", "-ERR syntax error"),
        ("LCS key1 key2 LEN IDX FOO", "-ERR syntax error"),
        ("LCS none1 none2", "$0"),
        ("LCS none1 none2 IDX", "*4 $7 matches *0 $3 len :0"),
        ("LCS none1 none2 LEN", ":0"),
        ("LCS key1 none IDX", "*4 $7 matches *0 $3 len :0"),
        ("SADD l a", ":1"),
        ("LCS l key1 FOO", "-ERR The specified keys must contain string values"),
        ("LCS key1 l", "-ERR The specified keys must contain string values"),
        ("LCS key1 key1 IDX WITHMATCHLEN", "*4 $7 matches *1 *3 *2 :0 :7 *2 :0 :7 :8 $3 len :8"),
        ("SET n1 12345", "+OK"),
        ("SET n2 2245", "+OK"),
        ("LCS n1 n2 IDX WITHMATCHLEN", "*4 $7 matches *2 *3 *2 :3 :4 *2 :2 :3 :2 *3 *2 :1 :1 *2 :0 :0 :1 $3 len :3"),
        ("SET a abcabcabc", "+OK"),
        ("SET b acbacbacb", "+OK"),
        ("LCS a b", "$6 acbabc"),
        (
            "LCS a b IDX",
            "*4 $7 matches *6 *2 *2 :8 :8 *2 :7 :7 *2 *2 :7 :7 *2 :5 :5 *2 *2 :6 :6 *2 :3 :3 *2 *2 :4 :4 *2 :2 :2 *2 *2 :2 :2 *2 :1 :1 *2 *2 :0 :0 *2 :0 :0 $3 len :6",
        ),
        ("SETRANGE big1 200000 a", ":200001"),
        ("SETRANGE big2 200000 a", ":200001"),
        ("LCS big1 big2", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"),
    ]);
}

#[test]
fn encodings() {
    check(&[
        ("SET a 12345678901234567890123456789012345678901234", "+OK"),
        ("OBJECT ENCODING a", "$3 raw"),
        ("SET a 123456789012345678901234567890123456789012345", "+OK"),
        ("OBJECT ENCODING a", "$3 raw"),
        ("SET a 9223372036854775807", "+OK"),
        ("OBJECT ENCODING a", "$3 int"),
        ("SET a 9223372036854775808", "+OK"),
        ("OBJECT ENCODING a", "$6 embstr"),
        ("SET a \"\"", "+OK"),
        ("OBJECT ENCODING a", "$6 embstr"),
        ("SET a -0", "+OK"),
        ("OBJECT ENCODING a", "$6 embstr"),
    ]);
}

#[test]
fn embedded_strings() {
    check(&[
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("EXPIRE k 100", ":1"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv KEEPTTL", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("PERSIST k", ":1"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv EX 100", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv EX 100", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("COPY k z", ":1"),
        ("OBJECT ENCODING z", "$3 raw"),
        ("RENAME k q", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("SET q vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("RENAME q k", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("RENAME k q", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("DEL q z k", ":2"),
        ("SETEX k 100 vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("GETSET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "$41 vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("EXPIRE k 10", ":1"),
        ("RENAME k w", "+OK"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("PERSIST w", ":1"),
        ("SETRANGE w 0 a", ":41"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("COPY w u", ":1"),
        ("OBJECT ENCODING u", "$3 raw"),
        ("DEL u w", ":2"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING k", "$6 embstr"),
        ("EXPIRE k 100", ":1"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv KEEPTTL", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("PERSIST k", ":1"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv EX 100", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv EX 100", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("COPY k z", ":1"),
        ("OBJECT ENCODING z", "$3 raw"),
        ("RENAME k q", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("SET q vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("RENAME q k", "+OK"),
        ("OBJECT ENCODING k", "$6 embstr"),
        ("RENAME k q", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("DEL q z k", ":2"),
        ("SETEX k 100 vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("GETSET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "$33 vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"),
        ("OBJECT ENCODING k", "$6 embstr"),
        ("EXPIRE k 10", ":1"),
        ("RENAME k w", "+OK"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("PERSIST w", ":1"),
        ("SETRANGE w 0 a", ":33"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("COPY w u", ":1"),
        ("OBJECT ENCODING u", "$3 raw"),
        ("DEL u w", ":2"),
        ("SET llllllllllllllllllllllllllllllll vvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("EXPIRE llllllllllllllllllllllllllllllll 100", ":1"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("SET llllllllllllllllllllllllllllllll vvvvvvvvvv KEEPTTL", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("PERSIST llllllllllllllllllllllllllllllll", ":1"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("SET llllllllllllllllllllllllllllllll vvvvvvvvvv EX 100", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("SET llllllllllllllllllllllllllllllll vvvvvvvvvv EX 100", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("COPY llllllllllllllllllllllllllllllll z", ":1"),
        ("OBJECT ENCODING z", "$3 raw"),
        ("RENAME llllllllllllllllllllllllllllllll q", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("SET q vvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("RENAME q llllllllllllllllllllllllllllllll", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("RENAME llllllllllllllllllllllllllllllll q", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("DEL q z llllllllllllllllllllllllllllllll", ":2"),
        ("SETEX llllllllllllllllllllllllllllllll 100 vvvvvvvvvv", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("GETSET llllllllllllllllllllllllllllllll vvvvvvvvvv", "$10 vvvvvvvvvv"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("EXPIRE llllllllllllllllllllllllllllllll 10", ":1"),
        ("RENAME llllllllllllllllllllllllllllllll w", "+OK"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("PERSIST w", ":1"),
        ("SETRANGE w 0 a", ":10"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("COPY w u", ":1"),
        ("OBJECT ENCODING u", "$3 raw"),
        ("DEL u w", ":2"),
        ("SET llllllllllllllllllllllllllllllll v", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("EXPIRE llllllllllllllllllllllllllllllll 100", ":1"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("SET llllllllllllllllllllllllllllllll v KEEPTTL", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("PERSIST llllllllllllllllllllllllllllllll", ":1"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("SET llllllllllllllllllllllllllllllll v EX 100", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("SET llllllllllllllllllllllllllllllll v EX 100", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("COPY llllllllllllllllllllllllllllllll z", ":1"),
        ("OBJECT ENCODING z", "$6 embstr"),
        ("RENAME llllllllllllllllllllllllllllllll q", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("SET q v", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("RENAME q llllllllllllllllllllllllllllllll", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("RENAME llllllllllllllllllllllllllllllll q", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("DEL q z llllllllllllllllllllllllllllllll", ":2"),
        ("SETEX llllllllllllllllllllllllllllllll 100 v", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("GETSET llllllllllllllllllllllllllllllll v", "$1 v"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("EXPIRE llllllllllllllllllllllllllllllll 10", ":1"),
        ("RENAME llllllllllllllllllllllllllllllll w", "+OK"),
        ("OBJECT ENCODING w", "$6 embstr"),
        ("PERSIST w", ":1"),
        ("SETRANGE w 0 a", ":1"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("COPY w u", ":1"),
        ("OBJECT ENCODING u", "$3 raw"),
        ("DEL u w", ":2"),
        ("SET llllllllllllllllllllllllllllllll vv", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("EXPIRE llllllllllllllllllllllllllllllll 100", ":1"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("SET llllllllllllllllllllllllllllllll vv KEEPTTL", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("PERSIST llllllllllllllllllllllllllllllll", ":1"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("SET llllllllllllllllllllllllllllllll vv EX 100", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("SET llllllllllllllllllllllllllllllll vv EX 100", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("COPY llllllllllllllllllllllllllllllll z", ":1"),
        ("OBJECT ENCODING z", "$3 raw"),
        ("RENAME llllllllllllllllllllllllllllllll q", "+OK"),
        ("OBJECT ENCODING q", "$3 raw"),
        ("SET q vv", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("RENAME q llllllllllllllllllllllllllllllll", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("RENAME llllllllllllllllllllllllllllllll q", "+OK"),
        ("OBJECT ENCODING q", "$6 embstr"),
        ("DEL q z llllllllllllllllllllllllllllllll", ":2"),
        ("SETEX llllllllllllllllllllllllllllllll 100 vv", "+OK"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$3 raw"),
        ("GETSET llllllllllllllllllllllllllllllll vv", "$2 vv"),
        ("OBJECT ENCODING llllllllllllllllllllllllllllllll", "$6 embstr"),
        ("EXPIRE llllllllllllllllllllllllllllllll 10", ":1"),
        ("RENAME llllllllllllllllllllllllllllllll w", "+OK"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("PERSIST w", ":1"),
        ("SETRANGE w 0 a", ":2"),
        ("OBJECT ENCODING w", "$3 raw"),
        ("COPY w u", ":1"),
        ("OBJECT ENCODING u", "$3 raw"),
        ("DEL u w", ":2"),
        ("SETRANGE n 0 a", ":1"),
        ("OBJECT ENCODING n", "$3 raw"),
        ("SET n 0", "+OK"),
        ("INCRBYFLOAT n 1.5", "$3 1.5"),
        ("OBJECT ENCODING n", "$6 embstr"),
    ]);
}

#[test]
fn long_strings() {
    let mut fixture = Fixture::new();
    fixture.settings.proto_max_bulk_len = 4000;
    let part = "x".repeat(1000);
    for len in [1000, 2000, 3000, 4000] {
        assert_eq!(fixture.run(&format!("APPEND a {part}")), format!(":{len}"));
        assert_eq!(fixture.run("STRLEN a"), format!(":{len}"));
    }
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    fixture.check(&[
        ("APPEND a x", too_long),
        ("SETRANGE a 4000 x", too_long),
        ("SETRANGE a 3999 y", ":4000"),
        ("GETRANGE a 3998 -1", "$2 xy"),
        ("SETRANGE b 1500 z", ":1501"),
        ("GETRANGE b 1498 1501", "$3 \0\0z"),
        ("SET b short", "+OK"),
        ("GET b", "$5 short"),
        ("INCRBYFLOAT b 1", "-ERR value is not a valid float"),
        ("SETRANGE c 1023 q", ":1024"),
        ("APPEND c r", ":1025"),
        ("GETRANGE c 1022 -1", "$3 \0qr"),
        ("COPY c d", ":1"),
        ("RENAME c e", "+OK"),
        ("GETRANGE d 1022 -1", "$3 \0qr"),
        ("GETRANGE e 1022 -1", "$3 \0qr"),
    ]);
}

#[test]
fn maps_and_nulls_in_resp3() {
    let mut fixture = Fixture::new();
    fixture.protocol = kinovar_command::Protocol::Resp3;
    fixture.check(&[
        ("GET a", "_"),
        ("SET a 1 XX", "_"),
        ("GETDEL a", "_"),
        ("GETEX a", "_"),
        ("MSET a ohmytext b mynewtext", "+OK"),
        ("MGET a none", "*2 $8 ohmytext _"),
        ("LCS a b IDX", "%2 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"),
        ("RANDOMKEY x", "-ERR wrong number of arguments for 'randomkey' command"),
    ]);
}

#[test]
fn what_has_expired_is_gone() {
    let mut fixture = Fixture::new();
    for write in
        ["INCR a", "APPEND a 1", "INCRBYFLOAT a 1", "SETRANGE a 0 1", "SET a 1 KEEPTTL", "SETNX a 1", "MSETNX a 1"]
    {
        fixture.check(&[("SET a 41 PX 10", "+OK")]);
        fixture.now_ms += 11;
        fixture.run(write);
        fixture.check(&[("GET a", "$1 1"), ("TTL a", ":-1")]);
    }
}

// Not recorded: Redis 8.2.3 does not know these. From the pages and tests of 8.4 to 8.10 (docs/beyond-redis-8.2.md).

const DIGEST_LENGTH: &str = "-ERR must be exactly 16 hexadecimal characters";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn digests() {
    check(&[
        ("DIGEST a", "$-1"),
        ("SET a hello", "+OK"),
        ("DIGEST a", "$16 9555e8555c62dcfd"),
        ("SET a \"\"", "+OK"),
        ("DIGEST a", "$16 2d06800538d394c2"),
        ("SET a 123", "+OK"),
        ("OBJECT ENCODING a", "$3 int"),
        ("DIGEST a", "$16 404a763b3f4c8c9a"),
        ("SET a v8", "+OK"),
        ("DIGEST a", "$16 0cc76dbb41381419"),
        ("SET a v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd", "+OK"),
        ("DIGEST a", "$16 00006c38adf31777"),
        ("LPUSH l x", ":1"),
        ("DIGEST l", WRONG_TYPE),
        ("DIGEST a b", "-ERR wrong number of arguments for 'digest' command"),
    ]);
}

#[test]
fn delete_if() {
    const TYPE: &str = "-ERR Key should be of string type if conditions are specified";
    const ARITY: &str = "-ERR wrong number of arguments for 'delex' command";
    check(&[
        ("DELEX a", ":0"),
        ("LPUSH l x", ":1"),
        ("DELEX l IFEQ x", TYPE),
        ("DELEX l FOO x", TYPE),
        ("DELEX l", ":1"),
        ("DELEX a IFNE x", ":0"),
        ("DELEX a FOO x", ":0"),
        ("DELEX a IFDEQ x", ":0"),
        ("SET a hello", "+OK"),
        ("DELEX a IFEQ", ARITY),
        ("DELEX a IFEQ hello extra", ARITY),
        ("DELEX a FOO hello", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
        ("DELEX a IFEQ other", ":0"),
        ("DELEX a IFNE hello", ":0"),
        ("DELEX a IFDEQ 555e8555c62dcfd", DIGEST_LENGTH),
        ("DELEX a IFDNE 09555e8555c62dcfd", DIGEST_LENGTH),
        ("DELEX a IFDEQ zzzzzzzzzzzzzzzz", ":0"),
        ("DELEX a IFDNE 9555E8555C62DCFD", ":0"),
        ("DELEX a ifdeq 9555E8555C62DCFD", ":1"),
        ("SET a 0123", "+OK"),
        ("DELEX a IFEQ 123", ":0"),
        ("DELEX a IFNE 123", ":1"),
        ("SET a 12", "+OK"),
        ("DELEX a IFEQ 12", ":1"),
        ("EXISTS a", ":0"),
    ]);
    let mut fixture = Fixture::new();
    fixture.run("SET a 1");
    fixture.take_events();
    fixture.check(&[("DELEX a IFNE 1", ":0"), ("DELEX a IFEQ 1", ":1")]);
    assert_eq!(fixture.take_events(), "a=del");
}

#[test]
fn set_if() {
    check(&[
        ("SET a 1 IFEQ x", "$-1"),
        ("EXISTS a", ":0"),
        ("SET a 1 IFDEQ x", "$-1"),
        ("SET a 1 IFNE x GET", "$-1"),
        ("GET a", "$1 1"),
        ("SET a 2 IFNE 1", "$-1"),
        ("SET a 2 IFEQ 1 EX 100", "+OK"),
        ("TTL a", ":100"),
        ("SET a 3 KEEPTTL ifeq 2", "+OK"),
        ("TTL a", ":100"),
        ("SET a 4 IFEQ 9 GET", "$1 3"),
        ("SET a 4 GET IFNE 9", "$1 3"),
        ("GET a", "$1 4"),
        ("TTL a", ":-1"),
        ("SET a hello", "+OK"),
        ("SET a x IFDEQ 0", DIGEST_LENGTH),
        ("SET a x IFDNE 0 GET", DIGEST_LENGTH),
        ("SET a x IFDNE 9555e8555c62dcfd", "$-1"),
        ("SET a x IFDEQ 9555e8555c62dcfd", "+OK"),
        ("SET a y IFEQ x NX", "-ERR syntax error"),
        ("SET a y XX IFEQ x", "-ERR syntax error"),
        ("SET a y IFEQ x IFNE x", "-ERR syntax error"),
        ("SET a y IFEQ", "-ERR syntax error"),
        ("LPUSH l x", ":1"),
        ("SET l x IFEQ x", WRONG_TYPE),
        ("SET l x IFDNE x", WRONG_TYPE),
        ("COMMAND GETKEYSANDFLAGS SET a 1 IFEQ x", "*1 *2 $1 a *3 +RW +access +update"),
    ]);
}

#[test]
fn set_several_for_a_while() {
    let mut fixture = Fixture::new();
    fixture.check(&[
        ("MSETEX 2 a 1 b 2", ":1"),
        ("MGET a b", "*2 $1 1 $1 2"),
        ("MSETEX 2 a 3 b 4 EX 100", ":1"),
        ("TTL b", ":100"),
        ("MSETEX 2 a 5 c 6 NX", ":0"),
        ("MSETEX 2 c 6 a 5 XX PX 5", ":0"),
        ("EXISTS c", ":0"),
        ("MSETEX 2 a 7 b 8 KEEPTTL XX", ":1"),
        ("MGET a b", "*2 $1 7 $1 8"),
        ("TTL a", ":100"),
        ("MSETEX 1 a 9", ":1"),
        ("TTL a", ":-1"),
        ("MSETEX 2 d 1 e 2 nx px 5000", ":1"),
        ("PTTL e", ":5000"),
        ("LPUSH l x", ":1"),
        ("MSETEX 1 l x", ":1"),
        ("TYPE l", "+string"),
        ("MSETEX a 1 EX 10", "-ERR invalid numkeys value"),
        ("MSETEX 0 a 1", "-ERR invalid numkeys value"),
        ("MSETEX 2147483648 a 1", "-ERR invalid numkeys value"),
        ("MSETEX 2147483647 a 1", "-ERR wrong number of key-value pairs"),
        ("MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs"),
        ("MSETEX 1 a 1 FOO", "-ERR syntax error"),
        ("MSETEX 1 a 1 NX XX", "-ERR syntax error"),
        ("MSETEX 1 a 1 EX 10 KEEPTTL", "-ERR syntax error"),
        ("MSETEX 1 a 1 PERSIST", "-ERR syntax error"),
        ("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command"),
        ("MSETEX 1 a 1 EX x", "-ERR value is not an integer or out of range"),
        ("MSETEX 1 a", "-ERR wrong number of arguments for 'msetex' command"),
        ("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 5", "*2 $1 a $1 b"),
        ("COMMAND GETKEYS MSETEX 3 a 1 b 2", "-ERR Invalid arguments specified for command"),
        ("MSETEX 1 a 1 EXAT 1", ":1"),
        ("EXISTS a", ":0"),
    ]);
    fixture.take_events();
    fixture.run("MSETEX 2 a 1 b 2 EX 5");
    assert_eq!(fixture.take_events(), "a=set a=expire b=set b=expire");
}

#[test]
fn count_within_bounds() {
    check(&[
        ("INCREX a", "*2 :1 :1"),
        ("INCREX a BYINT 104", "*2 :105 :104"),
        ("INCREX a BYINT -10", "*2 :95 :-10"),
        ("INCREX a BYINT 0", "*2 :95 :0"),
        ("INCREX a UBOUND 95", "*2 :95 :0"),
        ("INCREX a BYINT 100 UBOUND 100 SATURATE", "*2 :100 :5"),
        ("INCREX a BYINT -500 LBOUND 0", "*2 :100 :0"),
        ("INCREX a LBOUND 0 SATURATE BYINT -500", "*2 :0 :-100"),
        ("INCREX a BYINT 10 UBOUND 10 LBOUND 10", "*2 :10 :10"),
        ("OBJECT ENCODING a", "$3 int"),
        // From beyond the bounds: back inside is fine, and only the result counts.
        ("SET b 50", "+OK"),
        ("INCREX b BYINT 5 UBOUND 30", "*2 :50 :0"),
        ("INCREX b BYINT 5 UBOUND 30 SATURATE", "*2 :30 :-20"),
        ("SET b 50", "+OK"),
        ("INCREX b BYINT -25 UBOUND 30", "*2 :25 :-25"),
        ("INCREX new BYINT 5 LBOUND 10", "*2 :0 :0"),
        ("EXISTS new", ":0"),
        ("SET c 9223372036854775800", "+OK"),
        ("INCREX c BYINT 9223372036854775800", "*2 :9223372036854775800 :0"),
        ("INCREX c BYINT 1 SATURATE UBOUND -9223372036854775808", "-ERR applied increment would overflow"),
        ("INCREX c BYINT 9223372036854775800 SATURATE", "*2 :9223372036854775807 :7"),
        ("SET c -9223372036854775800", "+OK"),
        ("INCREX c BYINT -9223372036854775800 SATURATE", "*2 :-9223372036854775808 :-8"),
        ("SET s hello", "+OK"),
        ("INCREX s", "-ERR value is not an integer or out of range"),
        ("INCREX s BYFLOAT 1", "-ERR value is not a valid float"),
        ("LPUSH l x", ":1"),
        ("INCREX l", WRONG_TYPE),
    ]);
}

#[test]
fn count_with_decimals() {
    let cases: &[(&str, &str)] = &[
        ("INCREX a BYFLOAT 1.5", "*2 $3 1.5 $3 1.5"),
        ("INCREX a BYFLOAT 0.25", "*2 $4 1.75 $4 0.25"),
        ("INCREX a BYFLOAT 100 UBOUND 42.5", "*2 $4 1.75 $1 0"),
        ("INCREX a BYFLOAT 100 UBOUND 42.5 SATURATE", "*2 $4 42.5 $5 40.75"),
        ("INCREX a BYFLOAT -100 LBOUND -5.5 SATURATE", "*2 $4 -5.5 $3 -48"),
        ("GET a", "$4 -5.5"),
        ("INCREX a", "-ERR value is not an integer or out of range"),
        ("SET b 6", "+OK"),
        ("INCREX b BYFLOAT 2.5 UBOUND 7.4", "*2 $1 6 $1 0"),
        ("INCREX b BYFLOAT 2.5 UBOUND 7.4 SATURATE", "*2 $3 7.4 $3 1.4"),
        ("INCREX b BYFLOAT inf", "-ERR BYFLOAT increment cannot be Infinity"),
        ("INCREX b BYFLOAT nan", "-ERR Increment is not a valid float"),
        ("INCREX b BYFLOAT 1 LBOUND -inf UBOUND +inf", "*2 $3 8.4 $1 1"),
        ("SET c inf", "+OK"),
        ("INCREX c BYFLOAT 1", "-ERR value cannot be Infinity"),
        ("INCREX new BYFLOAT -0.5 UBOUND -1.5", "*2 $1 0 $1 0"),
        ("EXISTS new", ":0"),
        ("SET d 1e4932", "+OK"),
        ("INCREX e BYFLOAT -1 LBOUND 0 SATURATE", "*2 $1 0 $1 0"),
    ];
    check(cases);
    let mut fixture = Fixture::new();
    fixture.protocol = kinovar_command::Protocol::Resp3;
    fixture.check(&[("INCREX a BYFLOAT 1.5", "*2 ,1.5 ,1.5"), ("INCREX b", "*2 :1 :1")]);
    // Beyond the largest number there is nothing.
    fixture.run("SET huge 1.1e4932");
    let refused = fixture.run("INCREX huge BYFLOAT 1e4932");
    assert!(refused.starts_with("*2 ,10999999") && refused.ends_with(" ,0"), "{refused}");
    let largest = fixture.run("INCREX huge BYFLOAT 1e4932 SATURATE");
    assert!(largest.starts_with("*2 ,11897"), "{largest}");
}

#[test]
fn count_for_a_while() {
    let mut fixture = Fixture::new();
    fixture.check(&[
        ("INCREX a EX 100", "*2 :1 :1"),
        ("TTL a", ":100"),
        ("INCREX a", "*2 :2 :1"),
        ("TTL a", ":100"),
        ("INCREX a ENX PX 5000", "*2 :3 :1"),
        ("TTL a", ":100"),
        ("INCREX a PX 5000 UBOUND 3", "*2 :3 :0"),
        ("TTL a", ":100"),
        ("INCREX a PERSIST", "*2 :4 :1"),
        ("TTL a", ":-1"),
        ("INCREX a ENX EX 7", "*2 :5 :1"),
        ("TTL a", ":7"),
        ("INCREX a EXAT 1 ENX", "*2 :6 :1"),
        ("TTL a", ":7"),
        ("INCREX a EXAT 1", "*2 :7 :1"),
        ("EXISTS a", ":0"),
        ("INCREX a PXAT 1", "*2 :1 :1"),
        ("EXISTS a", ":0"),
        ("INCREX a FOO", "-ERR syntax error"),
        ("INCREX a KEEPTTL", "-ERR syntax error"),
        ("INCREX a BYINT", "-ERR syntax error"),
        ("INCREX a BYINT 1 BYFLOAT 1", "-ERR syntax error"),
        ("INCREX a BYINT 1 BYINT 2", "-ERR syntax error"),
        ("INCREX a UBOUND 9 UBOUND 8", "-ERR syntax error"),
        ("INCREX a SATURATE SATURATE", "-ERR syntax error"),
        ("INCREX a EX 10 EX 20", "-ERR syntax error"),
        ("INCREX a EX 10 PX 20", "-ERR syntax error"),
        ("INCREX a PERSIST EX 10", "-ERR syntax error"),
        ("INCREX a PERSIST PERSIST", "-ERR syntax error"),
        ("INCREX a PERSIST ENX", "-ERR syntax error"),
        ("INCREX a ENX", "-ERR ENX flag requires an expiration"),
        ("INCREX a BYINT 1.5", "-ERR Increment is not an integer or out of range"),
        ("INCREX a BYFLOAT abc", "-ERR Increment is not a valid float"),
        ("INCREX a LBOUND 1.5", "-ERR LBOUND is not an integer or out of range"),
        ("INCREX a BYFLOAT 1 UBOUND abc", "-ERR UBOUND is not a valid float"),
        ("INCREX a LBOUND 10 UBOUND 5", "-ERR LBOUND can't be greater than UBOUND"),
        ("INCREX a EX 0", "-ERR invalid expire time in 'increx' command"),
        ("INCREX a EX x", "-ERR value is not an integer or out of range"),
        ("INCREX", "-ERR wrong number of arguments for 'increx' command"),
    ]);
    fixture.take_events();
    for (line, events) in [
        ("INCREX k BYINT 5", "k=incrby"),
        ("INCREX k BYFLOAT 0.5", "k=incrbyfloat"),
        ("SET k 10 EX 100", "k=set k=expire"),
        ("INCREX k PERSIST", "k=incrby k=persist"),
        ("INCREX k PERSIST", "k=incrby"),
        ("INCREX k EX 100", "k=incrby k=expire"),
        ("INCREX k EX 200 ENX", "k=incrby"),
        ("INCREX k UBOUND 1", ""),
        ("INCREX k EXAT 1", "k=del"),
        ("INCREX k EXAT 1", ""),
    ] {
        fixture.run(line);
        assert_eq!(fixture.take_events(), events, "{line}");
    }
}
