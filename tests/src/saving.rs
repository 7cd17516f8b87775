//! Files that the server saves: what the reference reads in them, what is in them when clients go on writing meanwhile, what
//! happens when they cannot be written, and when they are written by themselves. With one thread and with two.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::poll_for;
use crate::interchange::data;
use crate::money::Bank;
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::Server;
use crate::show::show;

mod large;

const DEADLINE: Duration = Duration::from_secs(60);

/// Runs every check.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        let mut step = |name: &str, outcome: Result<()>| report.step(&format!("{threads} threads: {name}"), outcome);
        step("all values", all_values(sides, threads));
        step("transfers while saving", transfers(sides, threads));
        step("emptied and exchanged while saving", emptied(sides, threads));
        step("large values while saving", large::changed(sides, threads));
        step("large values removed while saving", large::removed(sides, threads));
        step("large values and clients that go", large::left(sides, threads));
        step("nowhere to save to", nowhere(sides, threads));
        step("rules and the end", rules(sides, threads));
    }
    Ok(report)
}

fn start(sides: &Sides, threads: &str, extra: &[&str]) -> Result<Server> {
    sides.subject.start(&[&["--io-threads", threads], extra].concat())
}

/// A file's keys in the reference.
fn load(sides: &Sides, dir: &Path) -> Result<Server> {
    // In a folder of its own, so that it cannot touch ours.
    let copy = PathBuf::from(format!("{}-copy", dir.display()));
    fs::create_dir_all(&copy)?;
    fs::copy(dir.join("dump.rdb"), copy.join("dump.rdb")).context("no file was saved")?;
    let server =
        sides.oracle.start(&["--dir", &copy.to_string_lossy()]).context("the reference does not load the file");
    let outcome = server.and_then(|server| {
        let mut conn = server.conn()?;
        poll_for(DEADLINE, || "the reference is loading".into(), || Ok(!conn.line("PING")?.is_error()))?;
        Ok(server)
    });
    fs::remove_dir_all(&copy)?;
    outcome
}

/// Waits for the end of a `BGSAVE`.
fn wait_saved(conn: &mut Conn) -> Result<()> {
    let running = || "it is still saving".into();
    poll_for(DEADLINE, running, || Ok(crate::control::info(conn, "persistence", "rdb_bgsave_in_progress")? == 0))
}

fn payload(conn: &mut Conn, key: &str) -> Result<Vec<u8>> {
    let reply = conn.call(&words(&format!("DUMP {key}")))?;
    Ok(reply.bytes().with_context(|| format!("DUMP {key}: {}", show(&reply)))?.to_vec())
}

/// Every type, encoding and size: the reference finds what we have, and we do after a restart.
fn all_values(sides: &Sides, threads: &str) -> Result<()> {
    let mut server = start(sides, threads, &["--save", "3600 1000000"])?;
    let mut conn = server.conn()?;
    let values = data::values();
    for value in &values {
        for line in &value.commands {
            let reply = conn.call(line)?;
            ensure!(!reply.is_error(), "{line:?}: {}", show(&reply));
        }
    }
    conn.must("SET expiring soon PX 100000000")?;
    conn.must("FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"")?;
    conn.must("SELECT 9")?;
    conn.must("SET other database")?;
    conn.must("SELECT 0")?;
    conn.must("SAVE")?;
    let size = show(&conn.must("DBSIZE")?);
    let oracle = load(sides, server.dir())?;
    let mut theirs = oracle.conn()?;
    ensure!(show(&theirs.must("DBSIZE")?) == size, "{} keys, not {size}", show(&theirs.must("DBSIZE")?));
    for value in &values {
        let restored = [
            b"RESTORE".to_vec(),
            b"ours".to_vec(),
            b"0".to_vec(),
            payload(&mut conn, &value.key)?,
            b"REPLACE".to_vec(),
        ];
        let reply = theirs.call(&restored)?;
        ensure!(reply.is_ok(), "RESTORE of {}: {}", value.key, show(&reply));
        let digests = theirs.must(&format!("DEBUG DIGEST-VALUE {} ours", value.key))?;
        let digests = digests.items().context("no digests")?;
        ensure!(digests[0] == digests[1], "{} is not the same in the file", value.key);
    }
    let ttl = theirs.must("PTTL expiring")?;
    ensure!(matches!(ttl, Reply::Int(99_000_000..=100_000_000)), "PTTL: {}", show(&ttl));
    ensure!(theirs.must("FCALL f 0")? == Reply::Int(7), "the function");
    theirs.must("SELECT 9")?;
    ensure!(theirs.must("GET other")?.text() == "database", "the other database");
    // What we find after a restart.
    let before: Vec<_> = reads(&mut conn, &values)?;
    let file = fs::read(server.dir().join("dump.rdb"))?;
    let saved = server.dir().to_path_buf();
    server.end("TERM")?;
    ensure!(fs::read(saved.join("dump.rdb"))?.len() > file.len() / 2, "nothing was saved at the end");
    let copy = PathBuf::from(format!("{}-again", saved.display()));
    fs::create_dir_all(&copy)?;
    fs::copy(saved.join("dump.rdb"), copy.join("dump.rdb"))?;
    let again = start(sides, threads, &["--dir", &copy.to_string_lossy()])?;
    poll_for(DEADLINE, || "it is loading".into(), || Ok(!again.conn()?.line("PING")?.is_error()))?;
    let after = reads(&mut again.conn()?, &values)?;
    fs::remove_dir_all(&copy)?;
    for (before, after) in before.iter().zip(&after) {
        ensure!(before == after, "{before:?} before the restart, {after:?} after it");
    }
    Ok(())
}

fn reads(conn: &mut Conn, values: &[data::Value]) -> Result<Vec<(String, String)>> {
    let mut replies = Vec::new();
    for value in values {
        for line in &value.reads {
            let line = line.replace("KEY", &value.key);
            let mut lines: Vec<String> = show(&conn.line(&line)?).lines().map(|line| line.to_owned()).collect();
            if line.starts_with("SMEMBERS") || line.starts_with("HGETALL") {
                lines.sort();
            }
            replies.push((line, lines.join("\n")));
        }
    }
    Ok(replies)
}

/// Clients move money between accounts in transactions while files are saved: the sum in each is right.
fn transfers(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &[])?;
    let mut conn = server.conn()?;
    let bank = Bank { accounts: 2000 };
    bank.open(&mut conn, 200)?;
    let moved = bank.while_moving(&server, || {
        (0..5).try_for_each(|round| {
            conn.must("BGSAVE")?;
            wait_saved(&mut conn)?;
            let oracle = load(sides, server.dir())?;
            let sum: i64 = bank.balances(&mut oracle.conn()?)?.iter().sum();
            ensure!(sum == bank.sum(), "round {round}: {sum} in the file, not {}", bank.sum());
            Ok(())
        })
    })?;
    ensure!(moved > 1000, "only {moved} transfers");
    Ok(())
}

/// What the snapshot has is what there was at its beginning, whatever becomes of the databases.
fn emptied(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &[])?;
    let mut conn = server.conn()?;
    for number in 0..300 {
        let pairs: String = (0..500).map(|at| format!(" key:{number}:{at} {number}")).collect();
        conn.must(&format!("MSET{pairs}"))?;
    }
    conn.must("SELECT 1")?;
    conn.must("MSET a 1 b 2")?;
    let lines =
        ["MULTI", "BGSAVE", "SWAPDB 0 1", "SET a changed", "FLUSHDB", "SWAPDB 0 2", "SET new key", "EXEC", "FLUSHALL"];
    let replies = conn.pipeline(&lines.map(words))?;
    ensure!(replies.iter().all(|reply| !reply.is_error()), "{replies:?}");
    wait_saved(&mut conn)?;
    let oracle = load(sides, server.dir())?;
    let mut theirs = oracle.conn()?;
    ensure!(theirs.must("DBSIZE")? == Reply::Int(150_000), "database 0 has {}", show(&theirs.must("DBSIZE")?));
    ensure!(theirs.must("GET key:299:499")?.text() == "299", "a key of database 0");
    theirs.must("SELECT 1")?;
    ensure!(theirs.must("DBSIZE")? == Reply::Int(2), "database 1 has {}", show(&theirs.must("DBSIZE")?));
    ensure!(theirs.must("GET a")?.text() == "1", "a key of database 1");
    theirs.must("SELECT 2")?;
    ensure!(theirs.must("DBSIZE")? == Reply::Int(0), "database 2 has {}", show(&theirs.must("DBSIZE")?));
    Ok(())
}

/// A file that cannot be written: reported, writes refused while rules ask for saving, and all well again afterwards.
fn nowhere(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(sides, threads, &["--save", "1 100000"])?;
    let mut conn = server.conn()?;
    conn.must("SET a 1")?;
    conn.must("SAVE")?;
    // A folder in the file's place: renaming onto it fails.
    let file = server.dir().join("dump.rdb");
    fs::remove_file(&file)?;
    fs::create_dir_all(file.join("in the way"))?;
    let reply = conn.line("SAVE")?;
    ensure!(reply.is_error(), "SAVE: {}", show(&reply));
    for (line, refused) in
        [("SET a 2", true), ("GET a", false), ("EVAL \"return redis.call('SET', 'a', 3)\" 0", true), ("PING", true)]
    {
        let reply = conn.line(line)?;
        ensure!(show(&reply).contains("MISCONF") == refused, "{line}: {}", show(&reply));
    }
    let status = show(&conn.must("INFO persistence")?);
    ensure!(status.contains("rdb_last_bgsave_status:err"), "{status}");
    conn.must("CONFIG SET stop-writes-on-bgsave-error no")?;
    conn.must("SET a 4")?;
    fs::remove_dir_all(&file)?;
    conn.must("SAVE")?;
    // The same where the file that is being written cannot even be made, which whoever asks for it is not told.
    let temp = server.dir().join(format!("temp-{}.rdb", server.pid()));
    fs::create_dir(&temp)?;
    ensure!(conn.must("BGSAVE")?.text() == "Background saving started", "BGSAVE");
    wait_saved(&mut conn)?;
    let status = show(&conn.must("INFO persistence")?);
    ensure!(status.contains("rdb_last_bgsave_status:err"), "{status}");
    ensure!(conn.line("SAVE")?.is_error(), "SAVE without a file");
    fs::remove_dir(&temp)?;
    let temp = server.dir().join(format!("temp-rewriteaof-bg-{}.aof", server.pid()));
    fs::create_dir(&temp)?;
    ensure!(conn.must("BGREWRITEAOF")?.text() == "Background append only file rewriting started", "BGREWRITEAOF");
    poll_for(
        DEADLINE,
        || "it is still rewriting".into(),
        || Ok(crate::control::info(&mut conn, "persistence", "aof_rewrite_in_progress")? == 0),
    )?;
    let status = show(&conn.must("INFO persistence")?);
    ensure!(status.contains("aof_last_bgrewrite_status:err"), "{status}");
    fs::remove_dir(&temp)?;
    fs::remove_file(&file)?;
    fs::create_dir_all(file.join("in the way"))?;
    conn.must("CONFIG SET stop-writes-on-bgsave-error yes")?;
    ensure!(conn.line("SET a 5")?.is_error(), "writes are accepted again");
    fs::remove_dir_all(&file)?;
    conn.must("SAVE")?;
    conn.must("SET a 6")?;
    ensure!(
        !fs::read_dir(server.dir())?.flatten().any(|file| file.file_name().to_string_lossy().starts_with("temp")),
        "a temporary file is left"
    );
    Ok(())
}

/// Saved by a rule, and at the end.
fn rules(sides: &Sides, threads: &str) -> Result<()> {
    let mut server = start(sides, threads, &["--save", "1 10"])?;
    let file = server.dir().join("dump.rdb");
    let mut conn = server.conn()?;
    for number in 0..10 {
        conn.must(&format!("SET key:{number} value"))?;
    }
    poll_for(DEADLINE, || "nothing is saved".into(), || Ok(file.exists()))?;
    poll_for(
        DEADLINE,
        || "changes are left".into(),
        || Ok(crate::control::info(&mut conn, "persistence", "rdb_changes_since_last_save")? == 0),
    )?;
    conn.must("SET last one")?;
    let oracle = {
        conn.send(&words("SHUTDOWN"))?;
        server.wait_end()?;
        load(sides, server.dir())?
    };
    ensure!(oracle.conn()?.must("GET last")?.text() == "one", "what came last is not in the file");
    Ok(())
}
