//! The append-only file: what is in it after `kill -9` under load, what the reference loads from it, rewrites, and being turned on
//! and off. With one thread and with two.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::interchange::data;
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::server::Server;
use crate::show::show;

const DEADLINE: Duration = Duration::from_secs(60);
/// Clients that write in a crash round, and clients that read what those write.
const WRITERS: usize = 6;
const READERS: usize = 2;
/// What `everysec` may lose.
const LOSS_MAX: Duration = Duration::from_secs(2);

/// Runs every check; `rounds` crashes for `always`, a third of that for `everysec`.
pub fn run(sides: &Sides, rounds: u64, seed: u64) -> Result<Report> {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        let mut step = |name: &str, outcome: Result<()>| report.step(&format!("{threads} threads: {name}"), outcome);
        step("all values", all_values(sides, threads));
        step("turned on and off", turned_on_and_off(sides, threads));
        step("rewrites under load", rewrites(sides, threads));
        step("times", times(sides, threads));
        for (policy, rounds) in [("always", rounds.div_ceil(2)), ("everysec", rounds.div_ceil(6))] {
            step(
                &format!("{rounds} crashes with {policy}"),
                (0..rounds).try_for_each(|round| {
                    crash(sides, threads, policy, seed + round).with_context(|| format!("seed {}", seed + round))
                }),
            );
        }
    }
    Ok(report)
}

fn start(sides: &Sides, threads: &str, extra: &[&str]) -> Result<Server> {
    sides.subject.start(&[&["--io-threads", threads, "--appendonly", "yes"], extra].concat())
}

/// The reference with a copy of a server's files.
fn load(sides: &Sides, dir: &Path) -> Result<Server> {
    let copy = PathBuf::from(format!("{}-copy", dir.display()));
    let (from, to) = (dir.join("appendonlydir"), copy.join("appendonlydir"));
    fs::create_dir_all(&to)?;
    for file in fs::read_dir(from).context("there is no append-only file")?.flatten() {
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    let arguments = ["--dir", &copy.to_string_lossy(), "--appendonly", "yes"];
    let outcome = sides.oracle.start(&arguments).context("the reference does not load the files").and_then(|server| {
        let mut conn = server.conn()?;
        poll_for(DEADLINE, || "the reference is loading".into(), || Ok(!conn.line("PING")?.is_error()))?;
        Ok(server)
    });
    fs::remove_dir_all(&copy)?;
    outcome
}

/// The values of keys, 0 for absent ones.
fn numbers(conn: &mut Conn, keys: &[String]) -> Result<Vec<i64>> {
    let reply = conn.must(&format!("MGET {}", keys.join(" ")))?;
    let items = reply.items().context("MGET")?;
    items
        .iter()
        .map(|item| match item {
            Reply::Null => Ok(0),
            other => other.text().parse().with_context(|| show(other)),
        })
        .collect()
}

/// What is known of a counter that one client raises.
#[derive(Default)]
struct Counter {
    /// The last value that was asked for.
    asked: AtomicI64,
    /// The last value that was acknowledged.
    acknowledged: AtomicI64,
    /// The largest value that another client was shown.
    seen: AtomicI64,
    /// When which value was acknowledged.
    history: Mutex<BTreeMap<Instant, i64>>,
}

fn counter_key(writer: usize) -> String {
    format!("counter:{writer}")
}

/// Raises a counter until the connection ends, in batches of different sizes and in transactions of several databases' worth.
fn write(server: &Server, writer: usize, counter: &Counter, seed: u64) -> Result<()> {
    let mut conn = server.conn()?;
    let mut rng = Rng::new(seed);
    let mut value = 0;
    loop {
        let count = if rng.below(4) == 0 { 1 + rng.below(20) as i64 } else { 1 };
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.extend([
                "MULTI".to_owned(),
                format!("INCR {}", counter_key(writer)),
                format!("INCR twin:{writer}"),
                format!("RPUSH list:{writer} {}", "x".repeat(1 + rng.below(200))),
                "EXEC".to_owned(),
            ]);
        }
        counter.asked.store(value + count, SeqCst);
        let lines: Vec<_> = lines.iter().map(|line| words(line)).collect();
        let Ok(replies) = conn.pipeline(&lines) else { return Ok(()) };
        ensure!(replies.iter().all(|reply| !reply.is_error()), "{replies:?}");
        value += count;
        counter.acknowledged.store(value, SeqCst);
        counter.history.lock().expect("no panic").insert(Instant::now(), value);
    }
}

fn read(server: &Server, counters: &[Counter], seed: u64) -> Result<()> {
    let mut conn = server.conn()?;
    let mut rng = Rng::new(seed);
    loop {
        let writer = rng.below(counters.len());
        let line = match rng.below(3) {
            0 => format!("GET {}", counter_key(writer)),
            1 => format!("EVAL \"return redis.call('GET', KEYS[1])\" 1 {}", counter_key(writer)),
            _ => format!("LLEN list:{writer}"),
        };
        let Ok(reply) = conn.line(&line) else { return Ok(()) };
        if let Ok(value) = reply.text().parse() {
            counters[writer].seen.fetch_max(value, SeqCst);
        }
    }
}

/// A server that is killed while clients write: what the reference finds in its files.
fn crash(sides: &Sides, threads: &str, policy: &str, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut server = start(sides, threads, &["--appendfsync", policy])?;
    let counters: Vec<Counter> = (0..WRITERS).map(|_| Counter::default()).collect();
    let run_ms = if policy == "always" { 30 + rng.below(250) } else { 2200 + rng.below(800) };
    let rewrites = rng.below(3) == 0;
    let ended = std::thread::scope(|scope| -> Result<Instant> {
        let (shared, counters) = (&server, &counters);
        let mut clients: Vec<_> = counters
            .iter()
            .enumerate()
            .map(|(writer, counter)| scope.spawn(move || write(shared, writer, counter, seed ^ writer as u64)))
            .collect();
        clients.extend((0..READERS).map(|reader| scope.spawn(move || read(shared, counters, seed ^ reader as u64))));
        if rewrites {
            std::thread::sleep(Duration::from_millis(run_ms as u64 / 2));
            server.conn()?.must("BGREWRITEAOF")?;
            std::thread::sleep(Duration::from_millis(run_ms as u64 / 2));
        } else {
            std::thread::sleep(Duration::from_millis(run_ms as u64));
        }
        let at = Instant::now();
        kill(&server)?;
        for client in clients {
            client.join().expect("no panic")?;
        }
        Ok(at)
    })?;
    server.wait_end()?;
    let oracle = load(sides, server.dir())?;
    let mut conn = oracle.conn()?;
    let keys: Vec<String> = (0..WRITERS).map(counter_key).collect();
    let kept = numbers(&mut conn, &keys)?;
    let twins = numbers(&mut conn, &(0..WRITERS).map(|writer| format!("twin:{writer}")).collect::<Vec<_>>())?;
    ensure!(kept == twins, "a transaction is torn: {kept:?}, {twins:?}");
    for (writer, (counter, &kept)) in counters.iter().zip(&kept).enumerate() {
        let length = conn.must(&format!("LLEN list:{writer}"))?;
        ensure!(length == Reply::Int(kept), "a transaction is torn: a list has {}, not {kept}", show(&length));
        let asked = counter.asked.load(SeqCst);
        ensure!(kept <= asked, "{kept} is in the file, and only {asked} was asked for");
        if policy == "always" {
            let acknowledged = counter.acknowledged.load(SeqCst);
            ensure!(kept >= acknowledged, "{acknowledged} was acknowledged, and {kept} is in the file");
            let seen = counter.seen.load(SeqCst);
            ensure!(kept >= seen, "{seen} was shown, and {kept} is in the file");
            ensure!(acknowledged > 0 || run_ms < 100, "nothing was acknowledged in {run_ms} ms");
        } else {
            let history = counter.history.lock().expect("no panic");
            let old = history.range(..ended - LOSS_MAX).next_back().map_or(0, |(_, &value)| value);
            ensure!(kept >= old, "{old} was acknowledged {LOSS_MAX:?} before the end, and {kept} is in the file");
        }
    }
    Ok(())
}

fn kill(server: &Server) -> Result<()> {
    let sent = std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status()?;
    ensure!(sent.success(), "kill failed");
    Ok(())
}

/// Every type, encoding and size, as commands and as a base.
fn all_values(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &[])?;
    let mut conn = server.conn()?;
    let values = data::values();
    for (at, value) in values.iter().enumerate() {
        for line in &value.commands {
            let reply = conn.call(line)?;
            ensure!(!reply.is_error(), "{line:?}: {}", show(&reply));
        }
        if at == values.len() / 2 {
            rewrite(&mut conn)?;
        }
    }
    conn.must("SET expiring soon PX 100000000")?;
    conn.must("SELECT 9")?;
    conn.must("SET other database")?;
    conn.must("SELECT 0")?;
    for rewrites in [false, true] {
        if rewrites {
            rewrite(&mut conn)?;
        }
        settle(&mut conn)?;
        let oracle = load(sides, server.dir())?;
        let mut theirs = oracle.conn()?;
        let (ours, size) = (conn.must("DBSIZE")?, theirs.must("DBSIZE")?);
        ensure!(ours == size, "{} keys, not {}", show(&size), show(&ours));
        for value in &values {
            let dump = conn.call(&words(&format!("DUMP {}", value.key)))?;
            let dump = dump.bytes().with_context(|| format!("DUMP {}: {}", value.key, show(&dump)))?.to_vec();
            let restore = [b"RESTORE".to_vec(), b"ours".to_vec(), b"0".to_vec(), dump, b"REPLACE".to_vec()];
            let reply = theirs.call(&restore)?;
            ensure!(reply.is_ok(), "RESTORE of {}: {}", value.key, show(&reply));
            let digests = theirs.must(&format!("DEBUG DIGEST-VALUE {} ours", value.key))?;
            let digests = digests.items().context("no digests")?;
            ensure!(digests[0] == digests[1], "{} is not the same in the files", value.key);
        }
        theirs.must("SELECT 9")?;
        ensure!(theirs.must("GET other")?.text() == "database", "the other database");
    }
    Ok(())
}

/// Waits until everything is written.
fn settle(conn: &mut Conn) -> Result<()> {
    poll_for(
        DEADLINE,
        || "something is not written".into(),
        || Ok(info(conn, "persistence", "aof_buffer_length")? == 0),
    )
}

fn rewrite(conn: &mut Conn) -> Result<()> {
    let before = info(conn, "persistence", "aof_rewrites")?;
    conn.must("BGREWRITEAOF")?;
    await_rewrite(conn, before + 1)
}

fn await_rewrite(conn: &mut Conn, count: i64) -> Result<()> {
    poll_for(
        DEADLINE,
        || "the rewrite goes on".into(),
        || {
            Ok(info(conn, "persistence", "aof_rewrites")? >= count
                && info(conn, "persistence", "aof_rewrite_in_progress")? == 0
                && info(conn, "persistence", "aof_rewrite_scheduled")? == 0)
        },
    )?;
    let status = show(&conn.must("INFO persistence")?);
    ensure!(status.contains("aof_last_bgrewrite_status:ok"), "{status}");
    Ok(())
}

fn manifest(server: &Server) -> Result<String> {
    fs::read_to_string(server.dir().join("appendonlydir/appendonly.aof.manifest")).context("read the manifest")
}

/// Turned on and off while the server runs.
fn turned_on_and_off(sides: &Sides, threads: &str) -> Result<()> {
    let server = sides.subject.start(&["--io-threads", threads])?;
    let mut conn = server.conn()?;
    conn.must("SET before 1")?;
    ensure!(!server.dir().join("appendonlydir").exists(), "there are files already");
    for round in 1..=3 {
        conn.must("CONFIG SET appendonly yes")?;
        await_rewrite(&mut conn, round)?;
        conn.must(&format!("SET during {round}"))?;
        settle(&mut conn)?;
        let expected = format!(
            "file appendonly.aof.{round}.base.rdb seq {round} type b\nfile appendonly.aof.{round}.incr.aof seq {round} type i\n"
        );
        ensure!(manifest(&server)? == expected, "the manifest is {}", manifest(&server)?);
        ensure!(fs::read_dir(server.dir().join("appendonlydir"))?.count() == 3, "superfluous files are left");
        let oracle = load(sides, server.dir())?;
        let mut theirs = oracle.conn()?;
        ensure!(numbers(&mut theirs, &["before".into(), "during".into()])? == [1, round], "round {round}");
        conn.must("CONFIG SET appendonly no")?;
        conn.must("SET during 100")?;
        let oracle = load(sides, server.dir())?;
        ensure!(numbers(&mut oracle.conn()?, &["during".into()])? == [round], "it goes on after it was turned off");
    }
    Ok(())
}

/// Rewrites while clients move money in transactions: the sum in the files is right, and nothing is lost.
fn rewrites(sides: &Sides, threads: &str) -> Result<()> {
    const ACCOUNTS: usize = 500;
    const BALANCE: i64 = 1000;
    let server = start(sides, threads, &["--auto-aof-rewrite-min-size", "1mb"])?;
    let mut conn = server.conn()?;
    for account in 0..ACCOUNTS {
        conn.must(&format!("SET account:{account} {BALANCE}"))?;
    }
    for number in 0..50 {
        let pairs: String = (0..500).map(|at| format!(" filler:{number}:{at} {}", "x".repeat(100))).collect();
        conn.must(&format!("MSET{pairs}"))?;
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|seed| {
                let (server, ended) = (&server, &ended);
                scope.spawn(move || -> Result<()> {
                    let mut conn = server.conn()?;
                    let mut rng = Rng::new(seed);
                    while !ended.load(SeqCst) {
                        let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
                        let lines = [
                            "MULTI".into(),
                            format!("DECRBY account:{from} 7"),
                            format!("INCRBY account:{to} 7"),
                            "EXEC".into(),
                        ];
                        conn.pipeline(&lines.map(|line: String| words(&line)))?;
                    }
                    Ok(())
                })
            })
            .collect();
        let outcome = (0..10).try_for_each(|_| rewrite(&mut conn).or_else(|_| rewrite(&mut conn)));
        ended.store(true, SeqCst);
        for client in clients {
            client.join().expect("no panic")?;
        }
        outcome
    })?;
    await_rewrite(&mut conn, 0)?;
    settle(&mut conn)?;
    let keys: Vec<String> = (0..ACCOUNTS).map(|account| format!("account:{account}")).collect();
    let ours = numbers(&mut conn, &keys)?;
    let oracle = load(sides, server.dir())?;
    let theirs = numbers(&mut oracle.conn()?, &keys)?;
    ensure!(theirs.iter().sum::<i64>() == ACCOUNTS as i64 * BALANCE, "the sum in the files is wrong");
    ensure!(ours == theirs, "something is lost or doubled");
    Ok(())
}

/// `aof-timestamp-enabled`.
fn times(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &["--aof-timestamp-enabled", "yes"])?;
    let mut conn = server.conn()?;
    conn.must("SET a 1")?;
    conn.must("SET a 2")?;
    std::thread::sleep(Duration::from_millis(1100));
    conn.must("SET a 3")?;
    conn.must("CONFIG SET aof-timestamp-enabled no")?;
    std::thread::sleep(Duration::from_millis(1100));
    conn.must("SET a 4")?;
    settle(&mut conn)?;
    let text = fs::read(server.dir().join("appendonlydir/appendonly.aof.1.incr.aof"))?;
    let text = String::from_utf8_lossy(&text);
    let count = text.lines().filter(|line| line.starts_with("#TS:")).count();
    ensure!(text.starts_with("#TS:") && (2..=3).contains(&count), "{count} times in {text}");
    let oracle = load(sides, server.dir())?;
    ensure!(numbers(&mut oracle.conn()?, &["a".into()])? == [4], "what the reference loads");
    Ok(())
}
