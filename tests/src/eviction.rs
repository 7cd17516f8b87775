//! Memory that is short: which keys give way, what stays in memory, and which clients are closed.

mod clients;
mod policies;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::conn::Conn;
use crate::control::info;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};

const MIB: u64 = 1 << 20;
/// How long anything that must come may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Commands sent together.
const BATCH: usize = 32;

/// Runs every check, with one thread and with two.
pub fn run(program: &Program) -> Result<Report> {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        let start = |options: &[&str]| program.start(&[&["--io-threads", threads], options].concat());
        let mut step = |name: &str, outcome| report.step(&format!("{threads} threads: {name}"), outcome);
        for check in policies::CHECKS {
            step(check.name, start(&[]).and_then(|server| (check.run)(&server)));
        }
        step("nothing gives way", nothing_gives_way(&start(&[])?));
        step("a flood of writes", flood(&start(&["--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru"])?));
        step("large values give way", large_values(&start(&[])?));
        step("what is recorded of it", recorded(&start));
        for check in clients::CHECKS {
            step(check.name, start(&[]).and_then(|server| (check.run)(&server)));
        }
    }
    Ok(report)
}

/// Something to be checked on a new server.
struct Check {
    name: &'static str,
    run: fn(&Server) -> Result<()>,
}

/// Polls until it holds, or fails saying what was waited for.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    while !holds()? {
        ensure!(Instant::now() < end, "{what} did not happen within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Sends so many commands in batches; the replies.
fn send_all(conn: &mut Conn, count: usize, command: impl Fn(usize) -> Vec<Vec<u8>>) -> Result<Vec<Reply>> {
    let mut replies = Vec::with_capacity(count);
    for first in (0..count).step_by(BATCH) {
        let batch: Vec<_> = (first..count.min(first + BATCH)).map(&command).collect();
        replies.extend(conn.pipeline(&batch)?);
    }
    Ok(replies)
}

/// Whether it is the reference that is tested.
fn is_reference(conn: &mut Conn) -> Result<bool> {
    Ok(!conn.must("INFO server")?.text().contains("kinovar"))
}

fn used(conn: &mut Conn) -> Result<u64> {
    Ok(info(conn, "memory", "used_memory")? as u64)
}

fn evicted(conn: &mut Conn) -> Result<i64> {
    info(conn, "stats", "evicted_keys")
}

/// With `noeviction` writes end when memory does, and begin again when there is some.
fn nothing_gives_way(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    let limit = used(&mut conn)? + 8 * MIB;
    conn.must(&format!("CONFIG SET maxmemory {limit}"))?;
    let value = "v".repeat(1000);
    let replies = send_all(&mut conn, 20_000, |n| words(&format!("SET key:{n} {value}")))?;
    let refused = Reply::Error(b"OOM command not allowed when used memory > 'maxmemory'.".to_vec());
    let stored = replies.iter().filter(|reply| reply.is_ok()).count();
    ensure!(replies.iter().all(|reply| reply.is_ok() || *reply == refused), "another error");
    ensure!((3000..12_000).contains(&stored), "{stored} keys of 1 KB fit into 8 MiB");
    ensure!(replies.last() == Some(&refused), "the last write was let through");
    ensure!(conn.must("DBSIZE")? == Reply::Int(stored as i64), "not all that was stored is there");
    ensure!(evicted(&mut conn)? == 0, "something was evicted");
    ensure!(used(&mut conn)? < limit + limit / 20, "more is used than allowed");
    ensure!(info(&mut conn, "stats", "current_eviction_exceeded_time")? >= 0, "no time");
    conn.must("GET key:0")?;
    send_all(&mut conn, stored / 2, |n| words(&format!("DEL key:{n}")))?;
    until("the next write", || Ok(conn.line("SET again 1")?.is_ok()))?;
    ensure!(info(&mut conn, "stats", "current_eviction_exceeded_time")? == 0, "memory is still short");
    // What is emptied makes room at once, whoever frees it.
    for command in ["FLUSHALL", "FLUSHALL SYNC", "EVAL \"return redis.call('flushall')\" 0"] {
        send_all(&mut conn, 20_000, |n| words(&format!("SET key:{n} {value}")))?;
        ensure!(conn.line("SET again 1")? == refused, "there is still room");
        conn.must(command)?;
        ensure!(conn.line("SET again 1")?.is_ok(), "{command} makes no room");
    }
    Ok(())
}

/// Resident memory stays where it should while many clients write.
fn flood(server: &Server) -> Result<()> {
    const WRITERS: u64 = 8;
    const WRITES: usize = 60_000;
    let limit = 200 * MIB;
    let value = "v".repeat(1024);
    std::thread::scope(|scope| -> Result<()> {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let value = &value;
                scope.spawn(move || -> Result<()> {
                    let mut conn = server.conn()?;
                    let write = |n| words(&format!("SET key:{writer}:{n} {value}"));
                    let replies = send_all(&mut conn, WRITES, write)?;
                    ensure!(replies.iter().all(Reply::is_ok), "a write failed");
                    Ok(())
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("no writer panics"))
    })?;
    let (peak, mut conn) = (server.rss_peak_bytes()?, server.conn()?);
    let (used, evicted) = (used(&mut conn)?, evicted(&mut conn)?);
    println!("  {evicted} keys evicted; resident {} KiB at most, {} KiB used", peak >> 10, used >> 10);
    ensure!(evicted > 100_000, "only {evicted} keys were evicted");
    ensure!(used > limit * 85 / 100, "only {used} bytes are used");
    // The reference counts what it has asked for, whatever the allocator makes of it.
    ensure!(peak < limit + limit / 20 || is_reference(&mut conn)?, "resident memory came to {peak} bytes");
    Ok(())
}

/// Values that are freed elsewhere are counted as gone, but do not pile up.
fn large_values(server: &Server) -> Result<()> {
    const MEMBERS: usize = 20_000;
    let mut conn = server.conn()?;
    let limit = used(&mut conn)? + 40 * MIB;
    conn.must(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-lru"))?;
    for set in 0..60 {
        for first in (0..MEMBERS).step_by(1000) {
            let members: Vec<String> = (first..first + 1000).map(|n| format!("member:{set}:{n:030}")).collect();
            ensure!(
                conn.must(&format!("SADD set:{set} {}", members.join(" ")))? == Reply::Int(1000),
                "members are lost"
            );
        }
    }
    let sets = conn.must("DBSIZE")?.int().unwrap_or_default();
    let peak = server.rss_peak_bytes()?;
    ensure!((5..40).contains(&sets), "{sets} sets are left");
    // One that is being filled may go as well, and begin again.
    ensure!(evicted(&mut conn)? >= 60 - sets, "keys are gone that were not evicted");
    ensure!(peak < 100 * MIB, "resident memory came to {peak} bytes");
    Ok(())
}

/// The append-only file has what is left in the end, and nothing else.
fn recorded(start: &dyn Fn(&[&str]) -> Result<Server>) -> Result<()> {
    let server = start(&["--appendonly", "yes"])?;
    let mut conn = server.conn()?;
    let limit = used(&mut conn)? + 3 * MIB;
    conn.must(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random"))?;
    let value = "v".repeat(200);
    let command = |n: usize| match n % 4 {
        0 => words(&format!("SET key:{n} {value}")),
        1 => words(&format!("RPUSH list:{} {value}", n % 97)),
        2 => words(&format!("HSET hash:{} field:{n} {value}", n % 89)),
        _ => words(&format!("INCR counter:{}", n % 1000)),
    };
    let replies = send_all(&mut conn, 60_000, command)?;
    ensure!(!replies.iter().any(Reply::is_error), "a write failed");
    ensure!(evicted(&mut conn)? > 1000, "hardly anything was evicted");
    conn.must("CONFIG SET maxmemory 0")?;
    let (keys, digest) = (conn.must("DBSIZE")?, conn.must("DEBUG DIGEST")?);
    conn.must("DEBUG LOADAOF")?;
    ensure!(conn.must("DBSIZE")? == keys && conn.must("DEBUG DIGEST")? == digest, "the file has other data");
    Ok(())
}
