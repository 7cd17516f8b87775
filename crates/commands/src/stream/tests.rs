//! What the reference answered to these lines, which events it told of and how many changes it counted.

use crate::testing::{Fixture, check};
use kinovar_command::Protocol;

const INVALID_ID: &str = "-ERR Invalid stream ID specified as stream command argument";

#[test]
fn adding() {
    check(&[
        ("XADD s", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD s NOMKSTREAM 1-1 a 1", "$-1"),
        ("XADD s NOMKSTREAM 1-1 a", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD s 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("EXISTS s", ":0"),
        ("XADD s 0-* a 1", "$3 0-1"),
        ("XADD s 1-1 a 1", "$3 1-1"),
        ("XADD s 1-1 a 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
        ("XADD s 1-* a 1", "$3 1-2"),
        ("XADD s - a 1", INVALID_ID),
        ("XADD s KEEPREF DELREF 5 a 1", INVALID_ID),
        ("XADD s * a 1", "$15 1700000000000-0"),
        ("XADD s * a 1", "$15 1700000000000-1"),
        ("XADD s 1700000000000-* a 1", "$15 1700000000000-2"),
        ("XADD s 18446744073709551615-18446744073709551615 a 1", "$41 18446744073709551615-18446744073709551615"),
        ("XADD s * a 1", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
        ("XADD t MAXLEN -1 * a 1", "-ERR The MAXLEN argument must be >= 0."),
        ("XADD t MAXLEN 2 LIMIT 1 * a 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
        ("XADD t LIMIT 1 * a 1", "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
        (
            "XADD t MAXLEN 1 MINID 1 * a 1",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        ("XADD t MAXLEN 1 5 a 1", "$3 5-0"),
        ("XADD t MAXLEN 1 6 a 1", "$3 6-0"),
        ("XRANGE t - +", "*1 *2 $3 6-0 *2 $1 a $1 1"),
        ("XTRIM t FOO 1", "-ERR syntax error"),
        ("XTRIM t LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy"),
        ("XTRIM t MINID 7", ":1"),
        ("XLEN t", ":0"),
        ("TYPE t", "+stream"),
        ("SET str 1", "+OK"),
        ("XADD str 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("XADD str 1-1 a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XSETID t 5-0", "+OK"),
        ("XSETID t 10-0 ENTRIESADDED -1", "-ERR entries_added must be positive"),
        (
            "XSETID t 10-0 MAXDELETEDID 11-0",
            "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        ),
        ("XSETID none 1-1", "-ERR no such key"),
    ]);
}

#[test]
fn reading() {
    check(&[
        ("XADD s 1-1 a 1", "$3 1-1"),
        ("XADD s 2-2 b 2 c 3", "$3 2-2"),
        ("XRANGE s - + COUNT", "-ERR syntax error"),
        ("XRANGE s - + COUNT 0", "*-1"),
        ("XRANGE none - + COUNT 0", "*0"),
        ("XRANGE s (1-1 +", "*1 *2 $3 2-2 *4 $1 b $1 2 $1 c $1 3"),
        ("XRANGE s - (0-0", "-ERR invalid end ID for the interval"),
        ("XREVRANGE s + - COUNT 1", "*1 *2 $3 2-2 *4 $1 b $1 2 $1 c $1 3"),
        ("XREAD STREAMS s 1", "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-2 *4 $1 b $1 2 $1 c $1 3"),
        ("XREAD COUNT 1 STREAMS none s 0 +", "*1 *2 $1 s *1 *2 $3 2-2 *4 $1 b $1 2 $1 c $1 3"),
        ("XREAD STREAMS s $", "*-1"),
        ("XREAD BLOCK 0 STREAMS s $", "*-1"),
        ("XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative"),
        (
            "XREAD STREAMS s t 0",
            "-ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.",
        ),
        ("XREAD NOACK STREAMS s 0", "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."),
        ("XREADGROUP GROUP g c STREAMS s >", {
            "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"
        }),
        ("XREADGROUP NOACK NOACK NOACK STREAMS s >", "-ERR Missing GROUP option for XREADGROUP"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1"),
        ("XDEL s 1-1", ":1"),
        ("XREADGROUP GROUP g c STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-1 *-1"),
        ("XPENDING s g", "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 c $1 1"),
        ("XPENDING s g - + 10", "*1 *4 $3 1-1 $1 c :0 :1"),
        ("XACK s g 1-1 1-1", ":1"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
    ]);
    let mut fixture = Fixture::new();
    fixture.protocol = Protocol::Resp3;
    fixture.check(&[
        ("XADD s 1-1 a 1", "$3 1-1"),
        ("XREAD STREAMS s 0", "%1 $1 s *1 *2 $3 1-1 *2 $1 a $1 1"),
        ("XREAD STREAMS s $", "_"),
        ("XGROUP CREATE s g $", "+OK"),
        ("XPENDING s g", "*4 :0 _ _ _"),
        ("XREADGROUP GROUP g c STREAMS s 0", "%1 $1 s *0"),
        ("XINFO CONSUMERS s g", "*1 %4 $4 name $1 c $7 pending :0 $4 idle :0 $8 inactive :-1"),
    ]);
}

#[test]
fn claiming() {
    let mut fixture = Fixture::new();
    fixture.check(&[
        ("XADD s 1-1 a 1", "$3 1-1"),
        ("XADD s 2-1 a 2", "$3 2-1"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XREADGROUP GROUP g c STREAMS s >", "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *2 $1 a $1 2"),
    ]);
    fixture.now_ms += 1000;
    fixture.check(&[
        ("XCLAIM s g d x 1-1", "-ERR Invalid min-idle-time argument for XCLAIM"),
        ("XCLAIM s nog d x 1-1", "-NOGROUP No such key 's' or consumer group 'nog'"),
        ("XCLAIM s g d 0 x", "-ERR Unrecognized XCLAIM option 'x'"),
        ("XCLAIM s g d 0 1-1 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
        ("XCLAIM s g d 1001 1-1", "*0"),
        ("XCLAIM s g d 1000 1-1 IDLE 500", "*1 *2 $3 1-1 *2 $1 a $1 1"),
        ("XPENDING s g - + 10", "*2 *4 $3 1-1 $1 d :500 :2 *4 $3 2-1 $1 c :1000 :1"),
        ("XPENDING s g IDLE 600 - + 10", "*1 *4 $3 2-1 $1 c :1000 :1"),
        ("XPENDING s g - + 10 d", "*1 *4 $3 1-1 $1 d :500 :2"),
        ("XCLAIM s g d 0 2-1 JUSTID RETRYCOUNT 7 TIME 1699999999999", "*1 $3 2-1"),
        ("XPENDING s g - + 10", "*2 *4 $3 1-1 $1 d :500 :2 *4 $3 2-1 $1 d :1001 :7"),
        ("XDEL s 1-1", ":1"),
        ("XAUTOCLAIM s g e 0 0 COUNT 1", "*3 $3 2-1 *0 *1 $3 1-1"),
        ("XAUTOCLAIM s g e 0 (1-1 JUSTID", "*3 $3 0-0 *1 $3 2-1 *0"),
        ("XAUTOCLAIM s g e 0 0 COUNT 0", "-ERR COUNT must be > 0"),
        ("XCLAIM s g e 0 9-9 FORCE LASTID 50-0", "*0"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :3 $7 pending :1 $17 last-delivered-id $4 50-0 $12 entries-read :2 $3 lag :0",
        ),
    ]);
}

#[test]
fn deleting() {
    check(&[
        ("XADD s 1-1 a 1", "$3 1-1"),
        ("XADD s 2-1 a 2", "$3 2-1"),
        ("XADD s 3-1 a 3", "$3 3-1"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XGROUP CREATE s h 0", "+OK"),
        ("XREADGROUP GROUP g c COUNT 2 STREAMS s >", "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *2 $1 a $1 2"),
        ("XREADGROUP GROUP h c COUNT 2 STREAMS s >", "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *2 $1 a $1 2"),
        ("XDELEX s IDS 0 1", "-ERR Number of IDs must be a positive integer"),
        ("XDELEX s IDS 2 1-1", "-ERR The `numids` parameter must match the number of arguments"),
        ("XDELEX s IDS 1 1-1 2-1", "-ERR syntax error"),
        ("XDELEX none IDS 2 1-1 x", "*2 :-1 :-1"),
        ("XDELEX s ACKED IDS 2 1-1 3-1", "*2 :2 :2"),
        ("XACKDEL s g ACKED IDS 2 1-1 9-9", "*2 :2 :-1"),
        ("XACKDEL s h ACKED IDS 1 1-1", "*1 :1"),
        ("XDELEX s DELREF IDS 1 2-1", "*1 :1"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        ("XRANGE s - +", "*1 *2 $3 3-1 *2 $1 a $1 3"),
    ]);
}

#[test]
fn events_and_changes() {
    let mut fixture = Fixture::new();
    // A line, its events, and how many changes it counts as.
    let cases: &[(&str, &str, u64)] = &[
        ("XADD s 1-1 a 1", "s=new s=xadd", 1),
        ("XADD s 2-1 a 1", "s=xadd", 1),
        ("XADD s MAXLEN 2 3-1 a 1", "s=xadd s=xtrim", 1),
        ("XADD s 4-1 a 1", "s=xadd", 1),
        ("XADD s 5-1 a 1", "s=xadd", 1),
        ("XTRIM s MAXLEN 3", "s=xtrim", 1),
        ("XTRIM s MAXLEN 3", "", 0),
        ("XGROUP CREATE s g 0", "s=xgroup-create", 1),
        ("XGROUP CREATE new g 0 MKSTREAM", "new=new new=xgroup-create", 1),
        ("XGROUP CREATECONSUMER s g b", "s=xgroup-createconsumer", 1),
        ("XGROUP CREATECONSUMER s g b", "", 0),
        ("XREADGROUP GROUP g c COUNT 2 STREAMS s >", "s=xgroup-createconsumer", 2),
        ("XREADGROUP GROUP g c STREAMS s >", "", 1),
        ("XREADGROUP GROUP g c STREAMS s >", "", 0),
        ("XREADGROUP GROUP g c STREAMS s 0", "", 0),
        ("XREADGROUP GROUP g d STREAMS s 0", "s=xgroup-createconsumer", 1),
        ("XCLAIM s g d 0 3-1 4-1", "", 2),
        ("XCLAIM s g d 0 9-9 LASTID 50-1", "", 1),
        ("XCLAIM s g d 0 9-9 LASTID 50-1", "", 0),
        ("XCLAIM s g d 0 3-1 LASTID 60-1", "", 1),
        ("XAUTOCLAIM s g e 0 0", "s=xgroup-createconsumer", 4),
        ("XACK s g 3-1 3-1", "", 1),
        ("XACK s g 3-1", "", 0),
        ("XDEL s 4-1", "s=xdel", 1),
        ("XDEL s 4-1", "", 0),
        ("XACKDEL s g IDS 1 4-1", "", 1),
        ("XACKDEL s g IDS 2 5-1 9-9", "s=xdel", 1),
        ("XDELEX s IDS 2 3-1 9-9", "s=xdel", 1),
        ("XSETID s 70-1", "s=xsetid", 1),
        ("XGROUP SETID s g 0", "s=xgroup-setid", 1),
        ("XGROUP DELCONSUMER s g d", "s=xgroup-delconsumer", 1),
        ("XGROUP DELCONSUMER s g d", "", 0),
        ("XGROUP DESTROY s g", "s=xgroup-destroy", 1),
        ("XGROUP DESTROY s g", "", 0),
        ("XACK none g 1-1", "none=keymiss", 0),
        ("DEL s", "s=del", 1),
    ];
    for (line, events, changes) in cases {
        let before = fixture.changes();
        let reply = fixture.run(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
        assert_eq!((fixture.take_all_events().as_str(), fixture.changes() - before), (*events, *changes), "{line}");
    }
}

#[test]
fn errors_leave_no_trace() {
    let mut fixture = Fixture::new();
    fixture.check(&[
        ("XADD s 1-1 a 1", "$3 1-1"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XREADGROUP GROUP g c STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1"),
    ]);
    let state = |fixture: &mut Fixture| fixture.run("XINFO STREAM s FULL");
    let before = (state(&mut fixture), fixture.changes());
    fixture.now_ms += 100;
    fixture.take_all_events();
    for line in [
        "XADD s 1-1 a 1",
        "XADD s 5-1 a",
        "XDEL s 1-1 x",
        "XDELEX s IDS 2 1-1 x",
        "XACK s g 1-1 x",
        "XACKDEL s g IDS 2 1-1 x",
        "XCLAIM s g new 0 1-1 FORCE FOO",
        "XCLAIM s g new x 1-1",
        "XAUTOCLAIM s g new 0 x",
        "XREADGROUP GROUP g new STREAMS s x",
        "XREADGROUP GROUP g new STREAMS s none > >",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE s h x",
        "XGROUP SETID s g x",
        "XSETID s 0-1",
        "XTRIM s MAXLEN 0 FOO",
    ] {
        let reply = fixture.run(line);
        assert!(reply.starts_with('-'), "{line}: {reply}");
    }
    assert_eq!((state(&mut fixture), fixture.changes()), before);
    assert_eq!(fixture.take_all_events(), "none=keymiss");
}
