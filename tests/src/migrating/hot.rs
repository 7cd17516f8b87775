//! Keys that change while they are moved.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{DEADLINE, start, words_of};
use crate::pair::Sides;
use crate::quote::words;
use crate::resp::Reply;
use crate::server::Server;
use crate::show::show;

/// Counters are moved while clients count: every count is at one of the two places.
pub fn counters(sides: &Sides, threads: &str) -> Result<()> {
    let source = start(&sides.subject, &["--io-threads", threads])?;
    let target = start(&sides.subject, &["--io-threads", threads])?;
    let (mut conn, mut there) = (source.conn()?, target.conn()?);
    conn.set_timeout(DEADLINE)?;
    for round in 0..20 {
        let keys: Vec<String> = (0..3).map(|key| format!("counter:{round}:{key}")).collect();
        for key in &keys {
            conn.must(&format!("SET {key} 0"))?;
        }
        let (ended, counted) = (AtomicBool::new(false), AtomicI64::new(0));
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| count(&source, &keys, &ended, &counted))).collect();
            while counted.load(Relaxed) < 100 && !clients.iter().any(|client| client.is_finished()) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let line = format!("MIGRATE 127.0.0.1 PORT '' 0 10000 KEYS {}", keys.join(" "));
            let reply = conn.call(&words_of(&line, target.port()));
            ended.store(true, Relaxed);
            for client in clients {
                client.join().expect("no panic")?;
            }
            let reply = reply?;
            ensure!(reply.is_ok(), "MIGRATE: {}", show(&reply));
            Ok(())
        })?;
        let mut sum = 0;
        for key in &keys {
            let at = |reply: Reply| -> i64 { reply.text().parse().unwrap_or(0) };
            let moved = there.must(&format!("GET {key}"))?;
            ensure!(!moved.is_nil(), "{key} was not moved");
            sum += at(moved) + at(conn.must(&format!("GET {key}"))?);
        }
        let counted = counted.load(Relaxed);
        ensure!(sum == counted, "{counted} counted, {sum} found");
    }
    Ok(())
}

fn count(server: &Server, keys: &[String], ended: &AtomicBool, counted: &AtomicI64) -> Result<()> {
    let mut conn = server.conn()?;
    conn.set_timeout(DEADLINE)?;
    let lines: Vec<_> = keys.iter().map(|key| words(&format!("INCR {key}"))).collect();
    while !ended.load(Relaxed) {
        for reply in conn.pipeline(&lines)? {
            ensure!(matches!(reply, Reply::Int(_)), "INCR: {}", show(&reply));
            counted.fetch_add(1, Relaxed);
        }
    }
    Ok(())
}

/// Keys that are removed, renamed and made anew while they are moved: none is at both places, and none comes back.
pub fn removed(sides: &Sides, threads: &str) -> Result<()> {
    let source = start(&sides.subject, &["--io-threads", threads])?;
    let target = start(&sides.subject, &["--io-threads", threads])?;
    let (mut conn, mut other, mut there) = (source.conn()?, source.conn()?, target.conn()?);
    let mut removed_first = 0;
    for round in 0..300 {
        let key = format!("key:{round}");
        // Large enough for the transfer to take a moment.
        conn.must(&format!("SET {key} {}", "x".repeat(20_000)))?;
        conn.send(&words_of(&format!("MIGRATE 127.0.0.1 PORT {key} 0 10000"), target.port()))?;
        std::thread::sleep(Duration::from_micros(round % 60 * 40));
        let was_there = other.must(&format!("DEL {key}"))? == Reply::Int(1);
        let reply = conn.read()?;
        ensure!(!reply.is_error(), "MIGRATE: {}", show(&reply));
        let is_moved = there.must(&format!("EXISTS {key}"))? == Reply::Int(1);
        ensure!(is_moved != was_there, "{key}: removed {was_there}, moved {is_moved}: {}", show(&reply));
        ensure!(conn.must(&format!("EXISTS {key}"))? == Reply::Int(0), "{key} is back");
        removed_first += usize::from(was_there);
    }
    ensure!((1..300).contains(&removed_first), "removed before it was moved: {removed_first} of 300");
    Ok(())
}

/// A server is its own target: nothing is lost.
pub fn to_itself(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(&sides.subject, &["--io-threads", threads])?;
    let mut conn = server.conn()?;
    conn.set_timeout(DEADLINE)?;
    conn.must("SET a 1")?;
    let reply = conn.call(&words_of("MIGRATE 127.0.0.1 PORT a 0 1000", server.port()))?;
    ensure!(show(&reply).contains("BUSYKEY"), "{}", show(&reply));
    let reply = conn.call(&words_of("MIGRATE 127.0.0.1 PORT a 0 500 REPLACE", server.port()))?;
    ensure!(reply.is_error(), "{}", show(&reply));
    ensure!(conn.must("GET a")?.text() == "1", "the key is gone");
    // Writers do not wait for it any more.
    conn.must("SET b 1")?;
    let reply = conn.call(&words_of("MIGRATE 127.0.0.1 PORT a 1 1000", server.port()))?;
    ensure!(reply.is_ok(), "{}", show(&reply));
    ensure!(conn.must("EXISTS a")? == Reply::Int(0), "it is still here");
    conn.must("SELECT 1")?;
    ensure!(conn.must("GET a")?.text() == "1", "it is not in the other database");
    Ok(())
}

/// What was moved does not come back after a crash; what the target has refused does.
pub fn journal(sides: &Sides, threads: &str) -> Result<()> {
    let options = ["--io-threads", threads, "--appendonly", "yes", "--appendfsync", "always"];
    let mut server = start(&sides.subject, &options)?;
    let target = start(&sides.oracle, &[])?;
    target.conn()?.must("SET b there")?;
    let mut conn = server.conn()?;
    conn.must("MSET a 1 b 2 c 3 d 4 e 5")?;
    let reply = conn.call(&words_of("MIGRATE 127.0.0.1 PORT '' 0 1000 KEYS a b c x", target.port()))?;
    ensure!(show(&reply).contains("BUSYKEY"), "{}", show(&reply));
    let lines = ["MULTI", "MIGRATE 127.0.0.1 PORT d 0 1000", "EXEC"].map(|line| words_of(line, target.port()));
    let replies = conn.pipeline(&lines)?;
    ensure!(replies.iter().all(|reply| !reply.is_error()), "{replies:?}");
    let dir = server.dir().to_path_buf();
    server.end("KILL")?;
    let copy = std::path::PathBuf::from(format!("{}-copy", dir.display()));
    std::fs::create_dir_all(copy.join("appendonlydir"))?;
    for file in std::fs::read_dir(dir.join("appendonlydir"))?.flatten() {
        std::fs::copy(file.path(), copy.join("appendonlydir").join(file.file_name()))?;
    }
    let outcome = after_crash(sides, &[&options[..], &["--dir", &copy.to_string_lossy()]].concat());
    std::fs::remove_dir_all(&copy)?;
    outcome
}

fn after_crash(sides: &Sides, options: &[&str]) -> Result<()> {
    let server = start(&sides.subject, options)?;
    let mut conn = crate::loading::loaded(&server)?;
    let left = conn.must("MGET a b c d e")?;
    let left: Vec<String> = left.items().context("MGET")?.iter().map(Reply::text).collect();
    ensure!(left == ["", "2", "", "", "5"], "after the crash: {left:?}");
    Ok(())
}
