//! Loading while the server runs, `DEBUG RELOAD` and `DEBUG LOADAOF`: nothing is lost of what there is, whatever clients do meanwhile,
//! and everybody is told what the reference tells. With one thread and with two.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::interchange::data;
use crate::migrating::{digest, reads};
use crate::pair::{PairConn, Sides};
use crate::quote::words;
use crate::random::{self, Plan};
use crate::report::Report;
use crate::resp::Reply;
use crate::server::Server;
use crate::show::show;

/// How long a step may take, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);
/// Both servers keep an append-only file.
const WITH_AOF: &[&str] = &["--appendonly", "yes", "--appendfsync", "no"];
/// Clients that count meanwhile, and how often data is loaded.
const CLIENTS: usize = 4;
const LOADS: usize = 25;

/// Runs every check; `count` random commands of each group.
pub fn run(sides: &Sides, count: u64, seed: u64) -> Result<Report> {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        let mut step = |name: &str, outcome: Result<()>| report.step(&format!("{threads} threads: {name}"), outcome);
        for (line, options) in [("DEBUG RELOAD", &[][..]), ("DEBUG LOADAOF", WITH_AOF)] {
            step(&format!("all values, {line}"), all_values(sides, threads, line, options));
            step(&format!("clients count, {line}"), clients_count(sides, threads, line, options));
            step(&format!("who waits and watches, {line}"), who_waits(sides, threads, line, options));
        }
        step("while a file is saved or written anew", with_others(sides, threads));
        step("replies", replies(sides, threads));
        step("without a file", no_aof(sides, threads));
        step("a file that is broken", broken(sides, threads));
    }
    for group in random::GROUPS.iter().filter(|group| **group != "server") {
        report.merge(random::run_reloading(&Plan { group: group.to_string(), count: count as usize, seed }, sides)?);
    }
    Ok(report)
}

/// Both, the subject with so many threads.
fn start(sides: &Sides, threads: &str, options: &[&str]) -> Result<(crate::pair::Pair, PairConn)> {
    let subject = sides.subject.start(&[&["--io-threads", threads], options].concat())?;
    let pair = crate::pair::Pair { subject, oracle: sides.oracle.start(options)? };
    let conn = pair.conn()?;
    conn.set_timeout(DEADLINE)?;
    Ok((pair, conn))
}

/// Every type, encoding and size, times, groups of streams, functions and several databases.
fn all_values(sides: &Sides, threads: &str, line: &str, options: &[&str]) -> Result<()> {
    let (_pair, mut conn) = start(sides, threads, options)?;
    let values = data::values();
    for value in &values {
        for line in &value.commands {
            let replies = conn.call(line)?;
            ensure!(!replies.subject.is_error(), "{line:?}: {}", show(&replies.subject));
        }
    }
    for line in [
        "SET expiring soon PX 100000000",
        "HSET fields a 1 b 2",
        "HPEXPIRE fields 100000000 FIELDS 1 a",
        "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"",
        "XADD stream:groups 1-1 a b",
        "XADD stream:groups 2-1 c d",
        "XGROUP CREATE stream:groups g 0",
        "XREADGROUP GROUP g reader COUNT 1 STREAMS stream:groups >",
        "XGROUP CREATECONSUMER stream:groups g idle",
        "SELECT 9",
        "SET other database",
        "SELECT 0",
    ] {
        conn.must(line)?;
    }
    let before = values.iter().map(|value| reads(&mut conn.subject, value)).collect::<Result<Vec<_>>>()?;
    let digests = [digest_of_all(&mut conn.subject)?, digest_of_all(&mut conn.oracle)?];
    for round in 0..2 {
        let replies = conn.call(&words(line))?;
        ensure!(replies.subject.is_ok() && replies.oracle.is_ok(), "{line}: {}", show(&replies.subject));
        let after = [digest_of_all(&mut conn.subject)?, digest_of_all(&mut conn.oracle)?];
        ensure!(digests == after, "round {round}: {digests:?} before, {after:?} after");
    }
    for (value, before) in values.iter().zip(&before) {
        let after = reads(&mut conn.subject, value)?;
        ensure!(*before == after, "{before:?} before, {after:?} after");
        if value.timeless {
            let (ours, theirs) = (digest(&mut conn.subject, &value.key)?, digest(&mut conn.oracle, &value.key)?);
            ensure!(ours == theirs, "{}: digest {ours} here, {theirs} there", value.key);
        }
    }
    for line in ["FCALL f 0", "DBSIZE", "XINFO GROUPS stream:groups", "XPENDING stream:groups g", "EXISTS other"] {
        conn.agree(line)?;
    }
    for line in ["PTTL expiring", "HPTTL fields FIELDS 1 a"] {
        let reply = conn.subject.must(line)?;
        let left = reply.items().map_or(reply.int(), |items| items[0].int());
        ensure!(left.is_some_and(|ms| (90_000_000..=100_000_000).contains(&ms)), "{line}: {}", show(&reply));
    }
    usage(&mut conn, line)
}

/// How long a key was not used, and how often it was, as the file tells.
fn usage(conn: &mut PairConn, line: &str) -> Result<()> {
    for (policy, option, command) in [
        ("allkeys-lru", "IDLETIME", "OBJECT IDLETIME used"),
        ("allkeys-lfu", "FREQ", "OBJECT FREQ used"),
        ("noeviction", "IDLETIME", "OBJECT IDLETIME used"),
    ] {
        conn.must(&format!("CONFIG SET maxmemory-policy {policy}"))?;
        for side in [&mut conn.subject, &mut conn.oracle] {
            side.must("SET used value")?;
            let payload = side.must("DUMP used")?.bytes().context("DUMP")?.to_vec();
            let head = [&b"RESTORE"[..], b"used", b"0", &payload, b"REPLACE", option.as_bytes(), b"100"];
            let reply = side.call(&head.map(<[u8]>::to_vec))?;
            ensure!(reply.is_ok(), "RESTORE: {}", show(&reply));
        }
        for _ in 0..2 {
            conn.must(line)?;
            let replies = conn.call(&words(command))?;
            let (ours, theirs) = (replies.subject.int(), replies.oracle.int());
            let is_near = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= 2);
            ensure!(is_near, "{policy}, {command}: {} here, {} there", show(&replies.subject), show(&replies.oracle));
        }
    }
    Ok(())
}

fn digest_of_all(conn: &mut Conn) -> Result<String> {
    Ok(conn.must("DEBUG DIGEST")?.text())
}

/// Clients count in counters of their own while data is loaded: whatever was answered is there, and whatever was refused is not.
fn clients_count(sides: &Sides, threads: &str, line: &str, options: &[&str]) -> Result<()> {
    let server = sides.subject.start(&[&["--io-threads", threads], options].concat())?;
    let mut conn = server.conn()?;
    conn.set_timeout(DEADLINE)?;
    for number in 0..100 {
        let pairs: String = (0..200).map(|at| format!(" filler:{number}:{at} {}", "x".repeat(100))).collect();
        conn.must(&format!("MSET{pairs}"))?;
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (server, ended) = (&server, &ended);
                scope.spawn(move || count(server, client, ended))
            })
            .collect();
        let mut outcome = Ok(());
        for round in 0..LOADS {
            let reply = conn.line(line)?;
            if !reply.is_ok() {
                outcome = Err(anyhow::anyhow!("round {round}: {}", show(&reply)));
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        ended.store(true, Relaxed);
        let mut counted = Vec::new();
        for client in clients {
            counted.push(client.join().expect("no panic")?);
        }
        outcome?;
        let mut refused = 0;
        for (client, (count, loading)) in counted.iter().enumerate() {
            refused += loading;
            for key in [format!("counter:{client}"), format!("{{{client}}}other")] {
                let found = conn.must(&format!("GET {key}"))?.text();
                ensure!(found == count.to_string(), "{key}: {count} counted, {found} found");
            }
            ensure!(*count > 100, "only {count} counted");
        }
        ensure!(refused > 0, "nobody has noticed that data was loaded");
        Ok(())
    })
}

/// Counts twice in each transaction. How often that was answered, and how often refused.
fn count(server: &Server, client: usize, ended: &AtomicBool) -> Result<(u64, u64)> {
    let mut conn = server.conn()?;
    conn.set_timeout(DEADLINE)?;
    let lines = ["MULTI".into(), format!("INCR counter:{client}"), format!("INCR {{{client}}}other"), "EXEC".into()];
    let lines = lines.map(|line: String| words(&line));
    let (mut counted, mut refused) = (0, 0);
    while !ended.load(Relaxed) {
        let replies = conn.pipeline(&lines)?;
        match &replies[3] {
            Reply::Error(_) => refused += 1,
            reply => {
                ensure!(reply.items().is_some_and(|items| items.len() == 2), "EXEC: {}", show(reply));
                counted += 1;
                ensure!(
                    reply.items().is_some_and(|items| items[0] == Reply::Int(counted)),
                    "EXEC: {}, not {counted}",
                    show(reply)
                );
            }
        }
    }
    Ok((counted as u64, refused))
}

/// Clients that wait for keys go on waiting; transactions whose keys were there fail; caches are out of date.
fn who_waits(sides: &Sides, threads: &str, line: &str, options: &[&str]) -> Result<()> {
    let (pair, mut conn) = start(sides, threads, options)?;
    for line in ["RPUSH list a", "XADD stream 1-1 a b", "XGROUP CREATE stream g $", "SET key 1"] {
        conn.must(line)?;
    }
    let (mut blocked, mut reader) = (pair.conn()?, pair.conn()?);
    let (mut watcher, mut other, mut tracker) = (pair.conn()?, pair.conn()?, pair.conn()?);
    tracker.hello(3)?;
    for (conn, lines) in [
        (&mut watcher, &["WATCH key", "MULTI", "PING"][..]),
        (&mut other, &["WATCH absent", "MULTI", "PING"]),
        (&mut tracker, &["CLIENT TRACKING ON", "GET key"]),
    ] {
        for line in lines {
            conn.must(line)?;
        }
    }
    for side in [&mut blocked.subject, &mut blocked.oracle] {
        side.send(&words("BLPOP absent 0"))?;
    }
    for side in [&mut reader.subject, &mut reader.oracle] {
        side.send(&words("XREADGROUP GROUP g c BLOCK 0 STREAMS stream >"))?;
    }
    let is_blocked = |conn: &mut Conn| -> Result<bool> { Ok(info(conn, "clients", "blocked_clients")? == 2) };
    poll_for(
        DEADLINE,
        || "nobody waits".into(),
        || Ok(is_blocked(&mut conn.subject)? && is_blocked(&mut conn.oracle)?),
    )?;
    conn.must(line)?;
    for conn in [&mut watcher, &mut other] {
        conn.agree("EXEC")?;
    }
    let pushed = tracker.read()?;
    ensure!(pushed.subject == pushed.oracle, "{} here, {} there", show(&pushed.subject), show(&pushed.oracle));
    std::thread::sleep(Duration::from_millis(150));
    ensure!(is_blocked(&mut conn.subject)? && is_blocked(&mut conn.oracle)?, "they do not wait any more");
    conn.must("RPUSH absent value")?;
    conn.must("XADD stream 2-1 c d")?;
    for conn in [&mut blocked, &mut reader] {
        let replies = conn.read()?;
        ensure!(replies.subject == replies.oracle, "{} here, {} there", show(&replies.subject), show(&replies.oracle));
    }
    // What is written now is written down.
    conn.must("SET later 1")?;
    conn.must(line)?;
    ensure!(conn.subject.must("GET later")?.text() == "1", "what was written after the load is gone");
    Ok(())
}

/// A snapshot is under way, or a rewrite, or both are asked for at the same time.
fn with_others(sides: &Sides, threads: &str) -> Result<()> {
    let server = sides.subject.start(&[&["--io-threads", threads], WITH_AOF].concat())?;
    let mut conn = server.conn()?;
    conn.set_timeout(DEADLINE)?;
    conn.must("DEBUG POPULATE 100000 key 50")?;
    // Written down by nobody.
    conn.must("BGREWRITEAOF")?;
    let idle = |conn: &mut Conn| -> Result<()> {
        poll_for(
            DEADLINE,
            || "a file is still written".into(),
            || {
                // All of one moment: what is scheduled begins when something else has ended.
                let text = conn.must("INFO persistence")?.text();
                let any = ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"];
                Ok(!any.iter().any(|name| text.contains(name)))
            },
        )
    };
    idle(&mut conn)?;
    let before = digest_of_all(&mut conn)?;
    for (first, line) in [
        ("BGSAVE", "DEBUG RELOAD"),
        ("BGSAVE", "DEBUG LOADAOF"),
        ("BGREWRITEAOF", "DEBUG RELOAD"),
        ("BGREWRITEAOF", "DEBUG LOADAOF"),
        ("DEBUG RELOAD", "DEBUG LOADAOF"),
    ] {
        for round in 0..3 {
            let replies = conn.pipeline(&[words(first), words(line), words("BGREWRITEAOF")])?;
            // The last one is refused if the first one is not over.
            let [begun, reloaded, _] = &replies[..] else { anyhow::bail!("replies are missing") };
            ensure!(!begun.is_error() && reloaded.is_ok(), "{first}, {line}: {} {}", show(begun), show(reloaded));
            let after = digest_of_all(&mut conn)?;
            ensure!(before == after, "{first}, {line}, round {round}: {before} before, {after} after");
            idle(&mut conn)?;
        }
    }
    // Two at the same time: one of them may be told that data is being loaded.
    let mut other = server.conn()?;
    other.set_timeout(DEADLINE)?;
    for _ in 0..10 {
        conn.send(&words("DEBUG RELOAD"))?;
        other.send(&words("DEBUG LOADAOF"))?;
        let (one, two) = (conn.read()?, other.read()?);
        ensure!(one.is_ok() || two.is_ok(), "{} and {}", show(&one), show(&two));
        poll_for(DEADLINE, || "it is still loading".into(), || Ok(!conn.line("PING")?.is_error()))?;
        let after = digest_of_all(&mut conn)?;
        ensure!(before == after, "two at the same time: {before} before, {after} after");
    }
    Ok(())
}

fn replies(sides: &Sides, threads: &str) -> Result<()> {
    let (pair, mut conn) = start(sides, threads, &[])?;
    for line in [
        "DEBUG DIGEST",
        "DEBUG DIGEST x",
        "DEBUG DIGEST-VALUE",
        "DEBUG DIGEST-VALUE a b",
        "DEBUG RELOAD FOO",
        "DEBUG RELOAD NOSAVE FOO",
        "DEBUG RELOAD",
        "DEBUG RELOAD MERGE",
        "SET a 1",
        "SET b 1",
        "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"",
        "DEBUG RELOAD nosave",
        "DBSIZE",
        "FUNCTION LIST",
        "SET a 1",
        "SET b 1",
        "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"",
        "DEBUG RELOAD NOFLUSH MERGE",
        "FCALL f 0",
        "SET a 2",
        "SET c 2",
        "DEBUG RELOAD NOSAVE NOFLUSH MERGE",
        "MGET a b c",
        "DEBUG RELOAD NOSAVE MERGE",
        "MGET a b c",
        "SELECT 3",
        "SET there 1",
        "DEBUG RELOAD",
        "GET there",
        "DEBUG DIGEST",
        "SELECT 0",
        "DEBUG DIGEST",
        "EVAL \"return redis.call('DEBUG', 'RELOAD')\" 0",
    ] {
        conn.agree(line)?;
    }
    for name in ["rdb_changes_since_last_save", "rdb_saves", "loading", "rdb_last_load_keys_loaded"] {
        let (ours, theirs) =
            (info(&mut conn.subject, "persistence", name)?, info(&mut conn.oracle, "persistence", name)?);
        ensure!(ours == theirs, "{name}: {ours} here, {theirs} there");
    }
    let lines = |text: String| -> Vec<String> {
        let from = text.rfind("DB saved on disk").unwrap_or(0);
        let said = text[from..].lines().map(|line| line.split_once(" * ").map_or(line, |line| line.1).to_owned());
        said.filter(|line| !line.contains("version") && !line.contains("age") && !line.contains("memory usage"))
            .collect()
    };
    let (ours, theirs) = (lines(pair.subject.output()), lines(pair.oracle.output()));
    ensure!(ours == theirs, "the log says {ours:?} here, {theirs:?} there");
    // Here it is refused inside a transaction, and the transaction goes on.
    let replies = conn.subject.pipeline(&["MULTI", "SET t 1", "DEBUG RELOAD", "GET t", "EXEC"].map(words))?;
    let items = replies[4].items().context("EXEC")?;
    ensure!(items[1].is_error() && items[2].text() == "1", "{}", show(&replies[4]));
    Ok(())
}

/// There is no append-only file.
fn no_aof(sides: &Sides, threads: &str) -> Result<()> {
    let (_pair, mut conn) = start(sides, threads, &[])?;
    conn.must("SET a 1")?;
    for line in ["DEBUG LOADAOF", "DBSIZE", "DEBUG LOADAOF x", "CONFIG SET appendonly yes"] {
        conn.agree(line)?;
    }
    for side in [&mut conn.subject, &mut conn.oracle] {
        poll_for(
            DEADLINE,
            || "it is still written".into(),
            || Ok(info(side, "persistence", "aof_rewrite_in_progress")? == 0),
        )?;
    }
    for line in
        ["SET b 1", "DEBUG LOADAOF", "GET b", "CONFIG SET appendonly no", "SET c 1", "DEBUG LOADAOF", "MGET b c"]
    {
        conn.agree(line)?;
    }
    Ok(())
}

/// A file that cannot be loaded: an error, and the server goes on.
fn broken(sides: &Sides, threads: &str) -> Result<()> {
    let server = sides.subject.start(&["--io-threads", threads])?;
    let mut conn = server.conn()?;
    conn.must("MSET a 1 b 2")?;
    conn.must("SAVE")?;
    let error = "Error trying to load the RDB dump, check server logs.";
    // A key of the file is there already, and nobody has said that it may be replaced.
    for (line, key) in [("DEBUG RELOAD NOSAVE NOFLUSH", "a"), ("DEBUG RELOAD NOFLUSH", "b")] {
        let reply = conn.line(line)?;
        ensure!(show(&reply).contains(error), "{line}: {}", show(&reply));
        conn.must(&format!("GET {key}"))?;
        conn.must("FLUSHALL")?;
        conn.must("MSET a 1 b 2")?;
    }
    let file = server.dir().join("dump.rdb");
    let bytes = fs::read(&file)?;
    for len in [0, 5, 9, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..len])?;
        let reply = conn.line("DEBUG RELOAD NOSAVE")?;
        ensure!(show(&reply).contains(error), "{len} bytes: {}", show(&reply));
        conn.must("SET c 1")?;
    }
    fs::remove_file(&file)?;
    let reply = conn.line("DEBUG RELOAD NOSAVE")?;
    ensure!(show(&reply).contains(error), "no file: {}", show(&reply));
    // It cannot be saved: nothing is lost.
    conn.must("MSET a 1 b 2")?;
    fs::create_dir_all(file.join("in the way"))?;
    let reply = conn.line("DEBUG RELOAD")?;
    ensure!(reply.is_error(), "DEBUG RELOAD: {}", show(&reply));
    ensure!(conn.must("DBSIZE")? == Reply::Int(2), "keys are lost that could not be saved");
    Ok(())
}
