//! Faults while a server runs: what clients are told, what the log says, and how it goes on. Compared with the reference where that
//! has an answer.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::disk::{Disk, EIO, ENOSPC, Fault, Loss};
use super::{DEADLINE, start};
use crate::aof::{await_rewrite, compare_loaded, load_with};
use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::crash;
use crate::pair::Sides;
use crate::quote::words;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::server::{Program, Server};
use crate::show::show;

/// A fault, and what it is called in reports.
type Named = (&'static str, Fault, i64);

/// What keeps an increment from being written.
const UNWRITABLE: [Named; 3] = [
    ("a full disk", Fault::Room, 0),
    ("no room for all of it", Fault::Room, 9),
    ("an I/O error", Fault::WriteError, EIO),
];
const UNSYNCABLE: Named = ("a failed sync", Fault::SyncError, EIO);

fn status(conn: &mut Conn, name: &str) -> Result<String> {
    let text = conn.must("INFO persistence")?.text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("INFO has no {name}"))?.trim().to_owned())
}

fn await_status(conn: &mut Conn, name: &str, wanted: &str) -> Result<()> {
    poll_for(DEADLINE, || format!("{name} is not {wanted}"), || Ok(status(conn, name)? == wanted))
}

/// What the log says of errors, without times and numbers.
fn complaints(server: &Server) -> BTreeSet<String> {
    let output = server.output();
    let texts = output.lines().filter_map(|line| line.split_once(" # ")).map(|(_, text)| text);
    let about = |text: &&str| ["AOF", "append", "fsync", "write", "ftruncate"].iter().any(|word| text.contains(word));
    texts.filter(about).map(|text| text.replace(|letter: char| letter.is_ascii_digit(), "")).collect()
}

/// What each complains about and the other does not.
fn compare_complaints(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<_> = theirs.difference(ours).collect();
    ensure!(missing.is_empty(), "the log does not say {missing:?}, but {ours:?}");
    Ok(())
}

/// What a server tells its clients.
#[derive(PartialEq, Eq, Debug, Default)]
struct Told {
    refusals: Vec<String>,
    reads: Vec<String>,
}

/// With `everysec`: writes are refused, reads are not, and it heals; nothing that was acknowledged is missing.
pub fn refused(sides: &Sides, threads: &str) -> Result<()> {
    for fault in UNWRITABLE.into_iter().chain([UNSYNCABLE]) {
        let (ours, said) =
            refuse(sides, &sides.subject, &["--io-threads", threads], fault, threads).context(fault.0)?;
        let (theirs, expected) =
            refuse(sides, &sides.oracle, &[], fault, threads).with_context(|| format!("{}: the reference", fault.0))?;
        ensure!(ours == theirs, "{}: {ours:?}, and not {theirs:?}", fault.0);
        compare_complaints(&said, &expected).context(fault.0)?;
    }
    Ok(())
}

fn refuse(
    sides: &Sides,
    program: &Program,
    extra: &[&str],
    (_, fault, value): Named,
    threads: &str,
) -> Result<(Told, BTreeSet<String>)> {
    let disk = Disk::new(false)?;
    let mut server =
        disk.start(program, &[&["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"], extra].concat())?;
    let mut conn = server.conn()?;
    conn.must("SET before 1")?;
    let (mut queued, mut only_reads) = (server.conn()?, server.conn()?);
    queued.pipeline(&["MULTI", "GET before", "SET refused 1"].map(words))?;
    only_reads.pipeline(&["MULTI", "GET before", "EVAL \"return 1\" 0"].map(words))?;
    disk.only(".incr.aof")?;
    disk.set(fault, value)?;
    let mut acknowledged = 0;
    poll_for(
        DEADLINE,
        || "writes are not refused".into(),
        || {
            std::thread::sleep(Duration::from_millis(5));
            let reply = conn.line(&format!("SET key:{acknowledged} {acknowledged}"))?;
            acknowledged += u32::from(reply.is_ok());
            Ok(reply.is_error())
        },
    )?;
    let mut told = Told::default();
    let script = "redis.call('SET', KEYS[1], 1)";
    for line in [
        "SET refused 1",
        "EVAL_RO \"return 1\" 0",
        &format!("EVAL \"#!lua\n{script}\" 1 refused"),
        &format!("EVAL \"{script}\" 1 refused"),
        "LPOP nothing",
        "PING",
        "PUBLISH a b",
        "FLUSHALL",
        "FUNCTION FLUSH",
        "CONFIG SET maxmemory 0",
    ] {
        told.refusals.push(show(&conn.line(line)?));
    }
    let block = ["MULTI", "GET before", "SET refused 1", "EXEC"].map(words);
    told.refusals.extend(conn.pipeline(&block)?.iter().map(show));
    told.refusals.push(show(&queued.line("EXEC")?));
    told.refusals.push(show(&only_reads.line("EXEC")?));
    for line in ["GET before", "EXISTS refused", "EVAL \"return redis.call('GET', 'before')\" 0", "DBSIZE"] {
        let reply = show(&conn.line(line)?);
        told.reads.push(if line == "DBSIZE" { String::new() } else { reply });
    }
    told.reads.push(status(&mut conn, "aof_last_write_status")?);
    if program.name == sides.oracle.name && fault == Fault::SyncError {
        // The reference never tries again if nothing is written, which it refuses.
        return Ok((told, complaints(&server)));
    }
    disk.heal()?;
    let heals = || "it does not heal".into();
    poll_for(DEADLINE, heals, || Ok(conn.line("SET after 1")?.is_ok()))?;
    await_status(&mut conn, "aof_last_write_status", "ok")?;
    await_status(&mut conn, "aof_rewrite_scheduled", "0")?;
    await_status(&mut conn, "aof_rewrite_in_progress", "0")?;
    conn.must("WAITAOF 1 0 10000")?;
    let said = complaints(&server);
    crash::kill(&server)?;
    server.wait_end()?;
    compare_loaded(sides, &disk.dir(), threads, |conn| {
        for number in 0..acknowledged {
            let found = conn.must(&format!("GET key:{number}"))?.text();
            ensure!(found == number.to_string(), "key:{number} is {found:?}, and it was acknowledged");
        }
        ensure!(conn.must("GET after")?.text() == "1", "what was written after that");
        Ok(conn.must("GET before")?.text())
    })?;
    Ok((told, said))
}

/// With `always` the process ends, as nobody may see what was promised to nobody.
pub fn ended(sides: &Sides, threads: &str) -> Result<()> {
    for fault in UNWRITABLE.into_iter().chain([UNSYNCABLE]) {
        let (ours, said) = end(sides, &sides.subject, &["--io-threads", threads], fault, threads).context(fault.0)?;
        let (theirs, expected) = end(sides, &sides.oracle, &[], fault, threads).context(fault.0)?;
        ensure!(ours == theirs, "{}: exit code {ours:?}, and not {theirs:?}", fault.0);
        compare_complaints(&said, &expected).context(fault.0)?;
    }
    Ok(())
}

fn end(
    sides: &Sides,
    program: &Program,
    extra: &[&str],
    (_, fault, value): Named,
    threads: &str,
) -> Result<(Option<i32>, BTreeSet<String>)> {
    let disk = Disk::new(false)?;
    let mut server = disk.start(program, &[&["--appendonly", "yes", "--appendfsync", "always"], extra].concat())?;
    let mut conn = server.conn()?;
    conn.must("SET before 1")?;
    disk.only(".incr.aof")?;
    disk.set(fault, value)?;
    let reply = conn.line("SET lost 1");
    ensure!(reply.is_err(), "it is acknowledged: {reply:?}");
    server.wait_end()?;
    compare_loaded(sides, &disk.dir(), threads, |conn| Ok(conn.must("GET before")?.text()))?;
    Ok((server.exit_code()?, complaints(&server)))
}

/// After a failed sync only a rewrite can tell that all is on disk.
pub fn doubtful(sides: &Sides, threads: &str) -> Result<()> {
    let disk = Disk::new(true)?;
    let mut server = start(&disk, sides, threads, &["--auto-aof-rewrite-percentage", "0"])?;
    let mut conn = server.conn()?;
    conn.must("SET before 1")?;
    ensure!(waitaof(&mut conn, 10_000)? == 1, "a disk that works");
    disk.set(Fault::SyncError, EIO)?;
    conn.must("SET doubtful 1")?;
    await_status(&mut conn, "aof_last_write_status", "err")?;
    // It heals, but there is no room for a rewrite.
    disk.only("temp-rewriteaof")?;
    disk.set(Fault::WriteError, ENOSPC)?;
    poll_for(DEADLINE, || "it does not heal".into(), || Ok(conn.line("SET after 1")?.is_ok()))?;
    await_status(&mut conn, "aof_last_bgrewrite_status", "err")?;
    conn.must("SET later 1")?;
    std::thread::sleep(Duration::from_millis(1200));
    ensure!(waitaof(&mut conn, 1)? == 0, "WAITAOF trusts a sync that came after one which has failed");
    let dir = disk.lose_power(Loss::All, &mut Rng::new(1))?;
    ensure!(
        compare_loaded(sides, &dir, threads, |conn| Ok(conn.must("GET later")?.text())).is_err(),
        "the disk does not forget what a failed sync was about"
    );
    disk.heal()?;
    ensure!(waitaof(&mut conn, 20_000)? == 1, "no rewrite comes: {}", server.output());
    crash::kill(&server)?;
    server.wait_end()?;
    let log = server.output();
    ensure!(log.contains("A rewrite is scheduled."), "the log does not tell of it: {log}");
    let dir = disk.lose_power(Loss::All, &mut Rng::new(1))?;
    let expected = "1 1 1 1";
    let found = compare_loaded(sides, &dir, threads, |conn| {
        let keys = ["before", "doubtful", "after", "later"].map(String::from);
        let numbers = crash::numbers(conn, &keys)?;
        Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
    })?;
    ensure!(found == expected, "{found}, and not {expected}");
    Ok(())
}

fn waitaof(conn: &mut Conn, timeout_ms: u32) -> Result<i64> {
    let reply = conn.must(&format!("WAITAOF 1 0 {timeout_ms}"))?;
    reply.items().and_then(|items| items[0].int()).with_context(|| show(&reply))
}

/// Rewrites that fail at each step: nothing is lost meanwhile, whenever the power is, and the next one works.
pub fn failed_rewrites(sides: &Sides, threads: &str) -> Result<()> {
    use Fault::*;
    const MANIFEST: &str = "temp-appendonly.aof.manifest$";
    let faults = [
        ("the base is too large", "temp-rewriteaof", Room, 3),
        ("the base cannot be synced", "temp-rewriteaof", SyncError, EIO),
        ("the base cannot be opened", "temp-rewriteaof", OpenError, ENOSPC),
        ("the base cannot be renamed", "temp-rewriteaof", RenameError, EIO),
        ("the manifest cannot be opened", MANIFEST, OpenError, ENOSPC),
        ("the manifest cannot be written", MANIFEST, WriteError, ENOSPC),
        ("the manifest cannot be synced", MANIFEST, SyncError, EIO),
        ("the manifest cannot be renamed", MANIFEST, RenameError, EIO),
        ("the folder cannot be synced", "/appendonlydir$", SyncError, EIO),
        ("the increment cannot be opened", ".incr.aof$", OpenError, ENOSPC),
    ];
    for policy in ["always", "everysec"] {
        let disk = Disk::new(true)?;
        let mut server = start(&disk, sides, threads, &["--appendfsync", policy])?;
        let mut conn = server.conn()?;
        let mut value = 0;
        for (name, filter, fault, error) in faults {
            let context = || format!("{policy}, {name}");
            let before = info(&mut conn, "persistence", "aof_rewrites").with_context(context)?;
            disk.only(filter)?;
            disk.set(fault, error)?;
            conn.must("BGREWRITEAOF").with_context(context)?;
            await_end(&mut conn, before + 1).with_context(context)?;
            ensure!(status(&mut conn, "aof_last_bgrewrite_status")? == "err", "{}: it does not fail", context());
            ensure!(status(&mut conn, "aof_last_write_status")? == "ok", "{}: writes fail", context());
            for healed in [false, true] {
                if healed {
                    disk.heal()?;
                    conn.must("BGREWRITEAOF").with_context(context)?;
                    await_rewrite(&mut conn, before + 2).with_context(context)?;
                }
                value += 1;
                conn.must(&format!("SET value {value}")).with_context(context)?;
                ensure!(waitaof(&mut conn, 10_000)? == 1, "{}: it is not synced", context());
                let loss = if value % 3 == 0 { Loss::All } else { Loss::Some };
                let dir = disk.lose_power(loss, &mut Rng::new(value))?;
                let found = compare_loaded(sides, &dir, threads, |conn| Ok(conn.must("GET value")?.text()));
                let found = found.with_context(|| format!("{}, {loss:?} is lost", context()))?;
                ensure!(found == value.to_string(), "{}: {found} is left of {value}", context());
            }
        }
        server.end("TERM")?;
    }
    Ok(())
}

/// Turned on while the disk has a fault: it is tried again, and until that works WAITAOF promises nothing.
pub fn turned_on(sides: &Sides, threads: &str) -> Result<()> {
    let faults = [
        ("the base cannot be written", "temp-rewriteaof", Fault::WriteError, ENOSPC),
        ("the manifest cannot be renamed", "temp-appendonly.aof.manifest$", Fault::RenameError, EIO),
        ("the folder cannot be synced", "/appendonlydir$", Fault::SyncError, EIO),
        ("the increment cannot be opened", ".incr.aof$", Fault::OpenError, ENOSPC),
    ];
    for (name, filter, fault, error) in faults {
        let disk = Disk::new(true)?;
        let mut server = disk.start(&sides.subject, &["--io-threads", threads, "--appendfsync", "always"])?;
        let mut conn = server.conn()?;
        conn.must("SET before 1")?;
        disk.only(filter)?;
        disk.set(fault, error)?;
        conn.must("CONFIG SET appendonly yes")?;
        await_status(&mut conn, "aof_last_bgrewrite_status", "err").context(name)?;
        conn.must("SET during 1")?;
        ensure!(waitaof(&mut conn, 1)? == 0, "{name}: WAITAOF relies on files that are not there");
        disk.heal()?;
        ensure!(waitaof(&mut conn, 20_000)? == 1, "{name}: it is not tried again: {}", server.output());
        crash::kill(&server)?;
        server.wait_end()?;
        let dir = disk.lose_power(Loss::All, &mut Rng::new(1))?;
        let found = compare_loaded(sides, &dir, threads, |conn| {
            Ok(format!("{:?}", crash::numbers(conn, &["before".into(), "during".into()])?))
        });
        let found = found.context(name)?;
        ensure!(found == "[1, 1]", "{name}: {found} is left");
    }
    Ok(())
}

/// Waits for the end of rewrite number `count`, however it ends.
fn await_end(conn: &mut Conn, count: i64) -> Result<()> {
    poll_for(
        DEADLINE,
        || "the rewrite goes on".into(),
        || {
            Ok(info(conn, "persistence", "aof_rewrites")? >= count
                && info(conn, "persistence", "aof_rewrite_in_progress")? == 0)
        },
    )
}

/// Snapshots that fail: writes are refused until one works.
pub fn failed_saves(sides: &Sides, threads: &str) -> Result<()> {
    let faults =
        [("rename", Fault::RenameError, EIO), ("sync", Fault::SyncError, EIO), ("write", Fault::WriteError, ENOSPC)];
    for (name, fault, error) in faults {
        let ours = fail_to_save(&sides.subject, &["--io-threads", threads], fault, error).context(name)?;
        if name == "write" {
            // The reference writes by ways that cannot be made to fail here.
            continue;
        }
        let theirs =
            fail_to_save(&sides.oracle, &[], fault, error).with_context(|| format!("{name}: the reference"))?;
        ensure!(ours == theirs, "{name}: {ours:?}, and not {theirs:?}");
    }
    Ok(())
}

fn fail_to_save(program: &Program, extra: &[&str], fault: Fault, error: i64) -> Result<Vec<String>> {
    let disk = Disk::new(false)?;
    let server = disk.start(program, &[&["--save", "3600 1000000"], extra].concat())?;
    let mut conn = server.conn()?;
    conn.must("SET a 1")?;
    disk.only(".rdb")?;
    disk.set(fault, error)?;
    let mut told = vec![show(&conn.line("SAVE")?), show(&conn.line("BGSAVE")?)];
    await_status(&mut conn, "rdb_last_bgsave_status", "err")?;
    for line in ["SET a 2", "GET a", "EVAL \"return redis.call('SET', KEYS[1], 1)\" 1 a", "PING", "CONFIG GET save"] {
        told.push(show(&conn.line(line)?));
    }
    conn.must("CONFIG SET stop-writes-on-bgsave-error no")?;
    told.push(show(&conn.line("SET a 3")?));
    conn.must("CONFIG SET stop-writes-on-bgsave-error yes")?;
    told.push(show(&conn.line("SET a 4")?));
    disk.heal()?;
    poll_for(DEADLINE, || "no BGSAVE".into(), || Ok(!conn.line("BGSAVE")?.is_error()))?;
    await_status(&mut conn, "rdb_last_bgsave_status", "ok")?;
    told.push(show(&conn.line("SET a 5")?));
    Ok(told)
}

/// Syncs that take long, with `always`: who reads what nobody has written lately does not wait.
pub fn slow_syncs(sides: &Sides, threads: &str) -> Result<()> {
    const SYNC: Duration = Duration::from_millis(200);
    let disk = Disk::new(false)?;
    let server = start(&disk, sides, threads, &["--appendfsync", "always"])?;
    server.conn()?.must("SET {read}key value")?;
    disk.set(Fault::SyncUs, SYNC.as_micros() as i64)?;
    let until = Instant::now() + 6 * SYNC;
    let times = |line: String| -> Result<Duration> {
        let mut conn = server.conn()?;
        let mut times = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            conn.must(&line)?;
            times.push(begun.elapsed());
            // The processor is for the others, too.
            std::thread::sleep(Duration::from_micros(200));
        }
        times.sort();
        Ok(times[times.len() / 2])
    };
    let (writing, reading) = std::thread::scope(|scope| -> Result<_> {
        let clients: Vec<_> =
            (0..4).map(|client| scope.spawn(move || times(format!("INCR {{write}}:{client}")))).collect();
        let reading = times("GET {read}key".into())?;
        let written: Vec<Duration> =
            clients.into_iter().map(|client| client.join().expect("no panic")).collect::<Result<_>>()?;
        Ok((written, reading))
    })?;
    ensure!(reading < SYNC / 8, "reading takes {reading:?} where syncs take {SYNC:?}");
    ensure!(writing.iter().all(|time| *time > SYNC / 2), "writing takes {writing:?} where syncs take {SYNC:?}");
    Ok(())
}

/// `appendfsync` and `appendonly` change while replies are kept back.
pub fn changed_policies(sides: &Sides, threads: &str) -> Result<()> {
    const SLOW_US: i64 = 300_000;
    let disk = Disk::new(true)?;
    let mut server = start(&disk, sides, threads, &["--appendfsync", "no"])?;
    let (mut conn, mut other) = (server.conn()?, server.conn()?);
    conn.set_timeout(Duration::from_secs(5))?;
    other.set_timeout(Duration::from_secs(5))?;
    // What was never to be synced is to be now, and nobody writes any more.
    conn.must("SET a 1")?;
    poll_for(
        DEADLINE,
        || "it is not written".into(),
        || Ok(info(&mut other, "persistence", "aof_buffer_length")? == 0),
    )?;
    other.must("CONFIG SET appendfsync always")?;
    ensure!(other.must("GET a").context("a reply that nobody wakes")?.text() == "1", "what was written before");
    for setting in ["appendfsync everysec", "appendfsync no", "appendonly no"] {
        disk.set(Fault::SyncUs, SLOW_US)?;
        conn.send(&words("INCR held"))?;
        std::thread::sleep(Duration::from_millis(20));
        ensure!(conn.try_read()?.is_none(), "the reply does not wait");
        other.must(&format!("CONFIG SET {setting}"))?;
        conn.read().with_context(|| format!("a reply that is kept back, and {setting}"))?;
        disk.set(Fault::SyncUs, 0)?;
        other.must("CONFIG SET appendfsync always")?;
    }
    let before = info(&mut other, "persistence", "aof_rewrites")?;
    other.must("CONFIG SET appendonly yes")?;
    await_rewrite(&mut other, before + 1)?;
    conn.must("INCR held")?;
    crash::kill(&server)?;
    server.wait_end()?;
    let dir = disk.lose_power(Loss::All, &mut Rng::new(1))?;
    let found = compare_loaded(sides, &dir, threads, |conn| Ok(conn.must("GET held")?.text()))?;
    ensure!(found == "4", "{found} is left of 4");
    Ok(())
}

/// A file that cannot be written any more is turned off: writes are accepted again.
pub fn turned_off(sides: &Sides, threads: &str) -> Result<()> {
    for (name, fault, value) in UNWRITABLE.into_iter().chain([UNSYNCABLE]) {
        let disk = Disk::new(false)?;
        let server = start(&disk, sides, threads, &[])?;
        let mut conn = server.conn()?;
        disk.only(".incr.aof")?;
        disk.set(fault, value)?;
        poll_for(DEADLINE, || "writes are not refused".into(), || Ok(conn.line("SET a 1")?.is_error()))?;
        conn.must("CONFIG SET appendonly no")?;
        let limit = Duration::from_secs(5);
        poll_for(limit, || format!("{name}: writes are still refused"), || Ok(conn.line("SET a 2")?.is_ok()))?;
        disk.heal()?;
        let before = info(&mut conn, "persistence", "aof_rewrites")?;
        conn.must("CONFIG SET appendonly yes")?;
        await_rewrite(&mut conn, before + 1).context(name)?;
        ensure!(waitaof(&mut conn, 10_000)? == 1, "{name}: it is not synced after that");
        compare_loaded(sides, &disk.dir(), threads, |conn| Ok(conn.must("GET a")?.text()))
            .and_then(|found| if found == "2" { Ok(()) } else { bail!("{found} is left") })
            .context(name)?;
    }
    Ok(())
}

/// Connections that end while something is kept back for them.
pub fn kept_back(sides: &Sides, threads: &str) -> Result<()> {
    const SLOW_US: i64 = 100_000;
    let disk = Disk::new(true)?;
    let mut server = start(&disk, sides, threads, &["--appendfsync", "always"])?;
    let mut control = server.conn()?;
    disk.set(Fault::SyncUs, SLOW_US)?;
    // What comes before QUIT is answered.
    let mut conn = server.conn()?;
    let replies = conn.pipeline(&["INCR a", "QUIT"].map(words)).context("QUIT behind a reply that is kept back")?;
    ensure!(replies[0] == Reply::Int(1) && replies[1].is_ok(), "{replies:?}");
    conn.wait_closed().context("QUIT")?;
    // So is what comes before something that is no request.
    let mut conn = server.conn()?;
    conn.send_raw(b"INCR a\r\n*x\r\n")?;
    ensure!(conn.read()? == Reply::Int(2), "the reply before a protocol error");
    ensure!(conn.read()?.is_error(), "a protocol error");
    conn.wait_closed().context("a protocol error")?;
    // Who is killed gets nothing, and nobody else misses anything.
    let (mut killed, mut conn) = (server.conn()?, server.conn()?);
    let id = crate::control::client_id(&mut killed)?;
    killed.send(&words("INCR a"))?;
    conn.send(&words("INCR b"))?;
    control.must(&format!("CLIENT KILL ID {id}"))?;
    killed.wait_closed().context("CLIENT KILL")?;
    ensure!(conn.read()? == Reply::Int(1), "the reply to somebody else");
    // Replies that are kept back when the server is told to end are sent before it does.
    conn.send(&words("INCR b"))?;
    std::thread::sleep(Duration::from_millis(20));
    control.send(&words("SHUTDOWN"))?;
    ensure!(conn.read().context("SHUTDOWN")? == Reply::Int(2), "the reply before SHUTDOWN");
    server.wait_end()?;
    let dir = disk.lose_power(Loss::All, &mut Rng::new(1))?;
    let found = compare_loaded(sides, &dir, threads, |conn| Ok(conn.must("GET b")?.text()))?;
    ensure!(found == "2", "{found} is left of 2");
    Ok(())
}

/// The server's own file, cut off at every byte of its last units: each of them is whole or absent, for the reference too.
pub fn cut_anywhere(sides: &Sides, threads: &str) -> Result<()> {
    const UNITS: i64 = 13;
    /// Bytes from the end at which it is cut.
    const CUTS: usize = 180;
    const SCRIPT: &str = "redis.call('INCR', KEYS[1]) return redis.call('RPUSH', KEYS[2], ARGV[1])";
    let disk = Disk::new(false)?;
    let mut server = start(&disk, sides, threads, &["--appendfsync", "always"])?;
    let (mut conn, mut waits) = (server.conn()?, server.conn()?);
    for unit in 0..UNITS {
        match unit % 3 {
            0 => {
                let script = vec![b"EVAL".to_vec(), SCRIPT.as_bytes().to_vec()];
                let reply = conn.call(&[script, words(&format!("2 count log {unit}"))].concat())?;
                ensure!(!reply.is_error(), "{}", show(&reply));
            }
            kind => {
                // Somebody may wait for what the transaction brings.
                if kind == 1 {
                    waits.send(&words("BLPOP queue 0"))?;
                    let blocked = || "it does not wait".into();
                    poll_for(DEADLINE, blocked, || Ok(info(&mut conn, "clients", "blocked_clients")? == 1))?;
                }
                let push = format!("RPUSH queue {unit}");
                // Without anybody who waits, nothing may be left for the next one.
                let keep = if kind == 1 { "LTRIM queue 0 0" } else { "DEL queue" };
                let block = ["MULTI", "INCR count", &push, "RPUSH log x", keep, "EXEC"].map(words);
                conn.pipeline(&block)?;
                if kind == 1 {
                    waits.read()?;
                }
            }
        }
    }
    crash::kill(&server)?;
    server.wait_end()?;
    let path = disk.dir().join("appendonlydir/appendonly.aof.1.incr.aof");
    let whole = fs::read(&path)?;
    let (mut last, mut seen) = (0, BTreeSet::new());
    for len in whole.len() - CUTS..=whole.len() {
        let check = |conn: &mut Conn| {
            let count = crash::numbers(conn, &["count".into()])?[0];
            let (log, queue) = (conn.must("LLEN log")?, conn.must("LLEN queue")?);
            ensure!(log == Reply::Int(count), "a transaction is torn: {} of {count}", show(&log));
            ensure!(matches!(queue, Reply::Int(0 | 1)), "a transaction is torn: {} in the queue", show(&queue));
            Ok(format!("{count}"))
        };
        fs::write(&path, &whole[..len])?;
        let count = if len % 20 == 0 {
            compare_loaded(sides, &disk.dir(), threads, check)
        } else {
            load_with(&sides.subject, &disk.dir(), &["--io-threads", threads])
                .and_then(|server| check(&mut server.conn()?))
        };
        let count: i64 = count.with_context(|| format!("cut at {len} of {}", whole.len()))?.parse()?;
        ensure!(count >= last, "cut at {len}: {count} units, and {last} where less was left");
        last = count;
        seen.insert(count);
    }
    ensure!(last == UNITS && seen.len() > 2, "{seen:?} units were found of {UNITS}");
    Ok(())
}
