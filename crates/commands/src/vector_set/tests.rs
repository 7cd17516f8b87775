//! Replies as the reference gives them.

use crate::testing::check;

#[test]
fn elements_come_and_go() {
    check(&[
        ("VADD k VALUES 2 1 0 a", ":1"),
        ("VADD k VALUES 2 0 1 b SETATTR x", ":1"),
        ("VADD k VALUES 2 1 1 a", ":0"),
        ("VCARD k", ":2"),
        ("VDIM k", ":2"),
        ("VISMEMBER k a", ":1"),
        ("VISMEMBER k c", ":0"),
        ("TYPE k", "+vectorset"),
        ("OBJECT ENCODING k", "$3 raw"),
        ("VGETATTR k b", "$1 x"),
        ("VSETATTR k b \"\"", ":1"),
        ("VGETATTR k b", "$-1"),
        ("VSETATTR k c y", ":0"),
        ("VREM k c", ":0"),
        ("VREM k a", ":1"),
        ("VREM k b", ":1"),
        ("EXISTS k", ":0"),
        ("VREM k b", ":0"),
    ]);
}

#[test]
fn searches() {
    check(&[
        ("VADD k VALUES 2 1 0 a", ":1"),
        ("VADD k VALUES 2 0 1 b SETATTR '{\"n\":1}'", ":1"),
        ("VADD k VALUES 2 -1 0 c SETATTR '{\"n\":2}'", ":1"),
        ("VSIM k VALUES 2 1 0.5", "*3 $1 a $1 b $1 c"),
        ("VSIM k ELE c WITHSCORES COUNT 2", "*4 $1 c $1 1 $1 b $3 0.5"),
        ("VSIM k ELE c WITHSCORES WITHATTRIBS EPSILON 0.6", "*6 $1 c $1 1 $7 {\"n\":2} $1 b $3 0.5 $7 {\"n\":1}"),
        ("VSIM k ELE c FILTER '.n > 1'", "*1 $1 c"),
        ("VSIM k ELE c FILTER .n TRUTH EF 1 FILTER-EF 5 NOTHREAD", "*2 $1 c $1 b"),
        ("VSIM nokey ELE c FOO", "*0"),
        ("VSIM k ELE d", "-ERR element not found in set"),
        ("VSIM k ELE c FILTER '1 ~ 2'", "-ERR syntax error in FILTER expression near: ~ 2"),
        ("VSIM k ELE c FILTER (1", "-ERR syntax error in FILTER expression near: (1"),
        ("VSIM k ELE c COUNT 0", "-ERR invalid COUNT"),
        ("VSIM k ELE c EPSILON 0", "-ERR invalid EPSILON"),
        ("VSIM k ELE c EF 1000001 COUNT 1", "*1 $1 c"),
        ("VSIM k ELE c EF 0", "-ERR invalid EF"),
        ("VSIM k ELE c FILTER-EF 0", "-ERR invalid FILTER-EF"),
        ("VSIM k ELE c EF", "-ERR syntax error in VSIM command"),
        ("VSIM k FOO c", "-ERR invalid vector specification"),
        ("VSIM k VALUES 3 1 2 3", "-ERR Vector dimension mismatch - got 3 but set has 2"),
    ]);
}

#[test]
fn errors() {
    check(&[
        ("VADD k VALUES 2 1", "-ERR invalid vector specification"),
        ("VADD k VALUES 2 1 2", "-ERR wrong number of arguments for 'VADD' command"),
        ("VADD k FP32 abc a", "-ERR invalid vector specification"),
        ("VADD k VALUES 2 1 nan a", "-ERR invalid vector specification"),
        ("VADD k VALUES 2 1 2 a FOO", "-ERR invalid option after element"),
        ("VADD k VALUES 2 1 2 a EF", "-ERR invalid option after element"),
        ("VADD k VALUES 2 1 2 a EF 0", "-ERR invalid EF"),
        ("VADD k VALUES 2 1 2 a M 3", "-ERR invalid M"),
        ("EXISTS k", ":0"),
        ("VADD k VALUES 2 1 2 a CAS Q8 EF 5 M 16", ":1"),
        ("VADD k VALUES 2 1 2 a BIN M 8", "-ERR asked quantization mismatch with existing vector set"),
        ("VADD k VALUES 3 1 2 3 a M 8", "-ERR asked M value mismatch with existing vector set"),
        ("VADD k VALUES 3 1 2 3 a", "-ERR Vector dimension mismatch - got 3 but set has 2"),
        ("VADD k REDUCE 2 VALUES 2 1 2 a", "-ERR cannot add projection to existing set without projection"),
        ("VADD p REDUCE 2 VALUES 4 1 2 3 4 a", ":1"),
        (
            "VADD p REDUCE 2 VALUES 3 1 2 3 a",
            "-ERR Input dimension mismatch for projection - got 3 but projection expects 4",
        ),
        ("VADD p VALUES 2 1 2 a", "-ERR Vector dimension mismatch - got 2 but set has 2"),
        ("SET s x", "+OK"),
        ("VADD s VALUES 1 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("VREM s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("VDIM nokey", "-ERR key does not exist"),
        ("VLINKS k a FOO", "-ERR wrong number of arguments for 'VLINKS' command"),
        ("VEMB k a FOO", "-ERR invalid option"),
        ("VRANDMEMBER k x", "-ERR COUNT value is not an integer"),
        ("VCARD", "-ERR wrong number of arguments for 'VCARD' command"),
    ]);
}

#[test]
fn vectors_and_links() {
    check(&[
        ("VADD k VALUES 2 3 4 a NOQUANT", ":1"),
        ("VEMB k a", "*2 $1 3 $1 4"),
        ("VEMB k b", "$-1"),
        ("VADD k VALUES 2 4 3 b NOQUANT", ":1"),
        ("VRANDMEMBER k 0", "*0"),
        ("VRANDMEMBER nokey", "$-1"),
        ("VRANDMEMBER nokey 3", "*0"),
        ("VINFO nokey", "*-1"),
        ("VLINKS nokey a", "$-1"),
        ("COPY k k2", "-ERR not supported for this module key"),
        ("COPY nokey k2", ":0"),
        ("SET s x", "+OK"),
        ("COPY k s", ":0"),
    ]);
}
