//! The append-only file: what is in it after `kill -9` under load, what the reference loads from it, rewrites, and being turned on
//! and off. With one thread and with two.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::crash::{self, Books, Promise, numbers};
use crate::interchange::data;
use crate::money::Bank;
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::rng::Rng;
use crate::server::{Program, Server};
use crate::show::show;

const DEADLINE: Duration = Duration::from_secs(60);

/// Runs every check; `rounds` crashes for `always`, a third of that for `everysec`: half of each with one thread.
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
    load_with(&sides.oracle, dir, &[])
}

/// Any program with such a copy.
pub(crate) fn load_with(program: &Program, dir: &Path, extra: &[&str]) -> Result<Server> {
    let copy = PathBuf::from(format!("{}-copy", dir.display()));
    let (from, to) = (dir.join("appendonlydir"), copy.join("appendonlydir"));
    fs::create_dir_all(&to)?;
    for file in fs::read_dir(from).context("there is no append-only file")?.flatten() {
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    let copied = copy.to_string_lossy();
    let arguments = [&["--dir", &copied, "--appendonly", "yes"], extra].concat();
    let failure = || format!("{} does not load the files", program.name);
    let outcome = program.start(&arguments).with_context(failure).and_then(|server| {
        let mut conn = server.conn()?;
        poll_for(DEADLINE, || "it is loading".into(), || Ok(!conn.line("PING")?.is_error()))?;
        Ok(server)
    });
    fs::remove_dir_all(&copy)?;
    outcome
}

/// A server that is killed while clients write: what the reference finds in its files, and what a restart does.
fn crash(sides: &Sides, threads: &str, policy: &str, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut server = start(sides, threads, &["--appendfsync", policy])?;
    let books = Books::default();
    let run_ms = if policy == "always" { 30 + rng.below(250) } else { 2200 + rng.below(800) } as u64;
    let rewrites = rng.below(3) == 0;
    let ended = crash::work(&server, &books, seed, || {
        if rewrites {
            std::thread::sleep(Duration::from_millis(run_ms / 2));
            server.conn()?.must("BGREWRITEAOF")?;
            std::thread::sleep(Duration::from_millis(run_ms / 2));
        } else {
            std::thread::sleep(Duration::from_millis(run_ms));
        }
        crash::kill(&server)
    })?;
    server.wait_end()?;
    ensure!(books.acknowledged() > 0 || run_ms < 100, "nothing was acknowledged in {run_ms} ms");
    let promise = if policy == "always" { Promise::Everything } else { Promise::Older };
    compare_loaded(sides, server.dir(), threads, |conn| crash::check(conn, &books, promise, ended)).map(drop)
}

/// Has the reference and the server under test load the files of a server that is gone: both must find the same, which
/// `check` gives as a text.
pub(crate) fn compare_loaded(
    sides: &Sides,
    dir: &Path,
    threads: &str,
    check: impl Fn(&mut Conn) -> Result<String>,
) -> Result<String> {
    let oracle = load(sides, dir)?;
    let theirs = check(&mut oracle.conn()?).context("loaded by the reference")?;
    let ours = load_with(&sides.subject, dir, &["--io-threads", threads])?;
    let ours = check(&mut ours.conn()?).context("loaded again")?;
    ensure!(ours == theirs, "not what the reference loads: {}", first_difference(&ours, &theirs));
    Ok(ours)
}

pub(crate) fn first_difference(ours: &str, theirs: &str) -> String {
    let at = ours.bytes().zip(theirs.bytes()).take_while(|(ours, theirs)| ours == theirs).count().saturating_sub(20);
    let part = |text: &str| text.chars().skip(at).take(60).collect::<String>();
    format!("{:?}, and not {:?}", part(ours), part(theirs))
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
    // An automatic one may be under way.
    poll_for(DEADLINE, || "no rewrite begins".into(), || Ok(!conn.line("BGREWRITEAOF")?.is_error()))?;
    await_rewrite(conn, before + 1)
}

pub(crate) fn await_rewrite(conn: &mut Conn, count: i64) -> Result<()> {
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
    let server = start(sides, threads, &["--auto-aof-rewrite-min-size", "1mb"])?;
    let mut conn = server.conn()?;
    let bank = Bank { accounts: 500 };
    bank.open(&mut conn, 50)?;
    bank.while_moving(&server, || (0..10).try_for_each(|_| rewrite(&mut conn)))?;
    await_rewrite(&mut conn, 0)?;
    settle(&mut conn)?;
    let ours = bank.balances(&mut conn)?;
    let oracle = load(sides, server.dir())?;
    let theirs = bank.balances(&mut oracle.conn()?)?;
    ensure!(theirs.iter().sum::<i64>() == bank.sum(), "the sum in the files is wrong");
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
