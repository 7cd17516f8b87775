//! Values that take long to be written, changed or removed while a snapshot has not come to them.
//!
//! Whoever changes one waits until it is written, and nobody else does. No time is measured: it is enough that others have got
//! something done while somebody was seen waiting.

use super::{load, start, wait_saved};
use crate::conn::Conn;
use crate::control::{info, poll};
use crate::pair::Sides;
use crate::quote::words;
use crate::resp::Reply;
use crate::server::Server;
use crate::show::show;
use anyhow::{Context, Result, ensure};

/// Elements of each value.
const LEN: i64 = 200_000;
/// Snapshots in which somebody must be seen waiting at least once.
const ROUNDS: usize = 30;

fn fill(conn: &mut Conn) -> Result<()> {
    const COMMANDS: [&str; 5] = [
        "'HSET', 'hash', 'field:' .. i, 'value:' .. i",
        "'ZADD', 'zset', i, 'member:' .. i",
        "'RPUSH', 'list', 'element:' .. i",
        "'SADD', 'set', 'member:' .. i",
        "'XADD', 'stream', i, 'field', 'value:' .. i",
    ];
    for command in COMMANDS {
        // In parts, since a script must not take long.
        for first in (1..=LEN).step_by(20_000) {
            let last = first + 19_999;
            let script = format!("for i = {first}, {last} do redis.call({command}) end");
            conn.call(&[b"EVAL".to_vec(), script.into_bytes(), b"0".to_vec()])?;
        }
    }
    conn.must("XGROUP CREATE stream group 0")?;
    Ok(())
}

/// How large the values are, what has been added to them, and when they expire.
fn state(conn: &mut Conn) -> Result<Vec<(String, String)>> {
    let lines = [
        "DBSIZE",
        "HLEN hash",
        "ZCARD zset",
        "LLEN list",
        "SCARD set",
        "XLEN stream",
        "HGET hash new",
        "ZSCORE zset new",
        "LINDEX list -1",
        "LINDEX list 0",
        "SISMEMBER set new",
        "XPENDING stream group",
        "EXPIRETIME set",
        "TYPE renamed",
        "GET hash",
        "HGET hash field:77",
        "ZSCORE zset member:77",
        "LINDEX list 77",
        "SISMEMBER set member:77",
        "XRANGE stream 77 77",
    ];
    lines.iter().map(|line| Ok((line.to_string(), show(&conn.line(line)?)))).collect()
}

/// What the reference finds in the file is what there was.
fn check_file(sides: &Sides, server: &Server, expected: &[(String, String)]) -> Result<()> {
    let oracle = load(sides, server.dir())?;
    for (theirs, ours) in state(&mut oracle.conn()?)?.iter().zip(expected) {
        ensure!(theirs == ours, "{theirs:?} in the file, {ours:?} at the cut");
    }
    Ok(())
}

/// Each of these requests changes large values, in one way or another. What is answered to them.
const CHANGES: [(&[&str], &[&str]); 8] = [
    (
        &["HSET hash new 1", "HGET hash new", "HDEL hash new", "HGET hash new"],
        &["(integer) 1", "\"1\"", "(integer) 1", "(nil)"],
    ),
    (
        &["MULTI", "ZADD zset 5 new", "SET other 1", "ZREM zset new", "EXEC"],
        &["OK", "QUEUED", "QUEUED", "QUEUED", "1) (integer) 1"],
    ),
    (&["EVAL \"return redis.call('SADD', KEYS[1], 'new')\" 1 set", "SREM set new"], &["(integer) 1", "(integer) 1"]),
    (&["EXPIRE set 100000", "PERSIST set"], &["(integer) 1", "(integer) 1"]),
    (
        &["XREADGROUP GROUP group consumer COUNT 1 STREAMS stream >", "XGROUP DELCONSUMER stream group consumer"],
        &["", "(integer) 1"],
    ),
    (&["RENAME list renamed", "RENAME renamed list"], &["OK", "OK"]),
    (&["LPUSH source moved", "LLEN source"], &["(integer) 1", "(integer) 0"]),
    (
        &["SELECT 1", "MULTI", "SELECT 0", "HSETNX hash newer 2", "HDEL hash newer", "SELECT 1", "EXEC", "DBSIZE"],
        &["OK", "OK", "QUEUED", "QUEUED", "QUEUED", "QUEUED", "", "(integer) 0"],
    ),
];

/// Clients that change large values wait, and only they do.
pub fn changed(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &[])?;
    let mut conn = server.conn()?;
    fill(&mut conn)?;
    let (mut seen, mut most) = (0, 0);
    for round in 0..ROUNDS {
        let mut clients = CHANGES.iter().map(|_| server.conn()).collect::<Result<Vec<_>>>()?;
        // One that waits already, for whom another one's request changes a large value.
        let mut blocked = server.conn()?;
        blocked.send(&words("BLMOVE source list LEFT RIGHT 0"))?;
        poll(|| "BLMOVE does not wait".into(), || Ok(info(&mut conn, "clients", "blocked_clients")? == 1))?;
        let expected = state(&mut conn)?;
        conn.must("BGSAVE")?;
        for (client, (lines, _)) in clients.iter_mut().zip(CHANGES) {
            client.send_all(&lines.iter().map(|line| words(line)).collect::<Vec<_>>())?;
        }
        loop {
            let before = info(&mut conn, "clients", "blocked_clients")?;
            let served = ["SET free 1", "GET free", "HGET hash field:5", "ZCARD zset", "DEL free"];
            for (line, reply) in served.iter().zip(conn.pipeline(&served.map(words))?) {
                ensure!(!reply.is_error() && reply != Reply::Null, "{line}: {}", show(&reply));
            }
            let after = info(&mut conn, "clients", "blocked_clients")?;
            most = most.max(before);
            // Nobody new has come: whoever waits now has waited all the time.
            seen += usize::from(before > 1 && after > 1);
            if after == 0 {
                break;
            }
        }
        for (client, (lines, replies)) in clients.iter_mut().zip(CHANGES) {
            for (line, expected) in lines.iter().zip(replies) {
                let reply = show(&client.read()?);
                ensure!(reply.starts_with(expected), "round {round}: {line}: {reply}, not {expected}");
            }
        }
        ensure!(blocked.read()?.text() == "moved", "BLMOVE");
        wait_saved(&mut conn)?;
        if round == 0 || seen > 0 {
            check_file(sides, &server, &expected)?;
        }
        conn.must("RPOP list")?;
        if seen > 0 {
            ensure!(most > 2, "only {most} have waited together");
            return Ok(());
        }
    }
    anyhow::bail!("nobody was seen waiting in {ROUNDS} rounds")
}

/// What is removed or overwritten need not be waited for, and is in the file all the same. So is what a script changes that has not
/// said so.
pub fn removed(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &[])?;
    let mut conn = server.conn()?;
    let batches: [&[&str]; 3] = [
        &[
            "BGSAVE",
            "DEL zset",
            "UNLINK list",
            "SET hash text",
            "SUNIONSTORE set nothing",
            "PEXPIREAT stream 1",
            "DBSIZE",
        ],
        &[
            "BGSAVE",
            "EVAL \"return redis.call('HSET', 'hash', 'new', 1)\" 0",
            "EVAL \"redis.call('DEL', 'hash')\" 0",
            "FLUSHALL",
        ],
        &["BGSAVE", "SWAPDB 0 1", "FLUSHDB", "SELECT 1", "FLUSHDB", "SELECT 0", "DBSIZE"],
    ];
    for lines in batches {
        conn.must("FLUSHALL")?;
        fill(&mut conn)?;
        let expected = state(&mut conn)?;
        let replies = conn.pipeline(&lines.iter().map(|line| words(line)).collect::<Vec<_>>())?;
        for (line, reply) in lines.iter().zip(&replies) {
            ensure!(!reply.is_error(), "{line}: {}", show(reply));
        }
        wait_saved(&mut conn)?;
        check_file(sides, &server, &expected).with_context(|| lines.join(", "))?;
    }
    Ok(())
}

/// Clients that go while they wait, and a server that ends.
pub fn left(sides: &Sides, threads: &str) -> Result<()> {
    let mut server = start(sides, threads, &["--save", "3600 1000000"])?;
    let mut conn = server.conn()?;
    fill(&mut conn)?;
    conn.must("BGSAVE")?;
    let clients = (0..4).map(|_| server.conn()).collect::<Result<Vec<_>>>()?;
    for (mut client, line) in
        clients.into_iter().zip(["HSET hash new 1", "ZADD zset 5 new", "RPUSH list new", "SADD set new"])
    {
        // Gone before its reply can come.
        client.send(&words(line))?;
    }
    poll(|| "somebody waits still".into(), || Ok(info(&mut conn, "clients", "blocked_clients")? == 0))?;
    wait_saved(&mut conn)?;
    let mut killed = server.conn()?;
    // It is there, so that it can be killed.
    killed.must("PING")?;
    conn.must("BGSAVE")?;
    killed.send(&words("HSET hash newer 1"))?;
    conn.must("CLIENT KILL SKIPME yes TYPE normal")?;
    killed.wait_closed()?;
    ensure!(info(&mut conn, "clients", "blocked_clients")? == 0, "one that was killed waits");
    conn.must("SET at last")?;
    wait_saved(&mut conn)?;
    conn.must("BGSAVE")?;
    let mut last = server.conn()?;
    last.send(&words("HSET hash last 1"))?;
    server.end("TERM")?;
    let oracle = load(sides, server.dir())?;
    let mut theirs = oracle.conn()?;
    ensure!(theirs.must("GET at")?.text() == "last", "what came before the end");
    ensure!(matches!(theirs.must("HLEN hash")?, Reply::Int(LEN..)), "the hash");
    Ok(())
}
