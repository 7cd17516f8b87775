//! Hostile input: many connections that send garbage, half frames and absurd lengths, while others work normally.
//!
//! The server must stay up, keep serving the good half and not let the bad half make it allocate: a length header is a
//! promise, not data. The seed is fixed, so a crash can be had again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::report::Report;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::server::{Program, Server};

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Connections, half of them good.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
    /// How many files the process may open; bounds the connections.
    pub file_limit: u64,
    /// Further options of the server.
    pub options: &'a [&'a str],
}

/// What the bad half may cost at most, in bytes: a query buffer each and slack for the allocator.
const BYTES_PER_CONNECTION: u64 = 64 * 1024;
const BYTES_SLACK: u64 = 96 << 20;
/// Threads that drive the good and the bad half.
const DRIVERS: usize = 4;
/// The reply to a good client may take this long even now.
const GOOD_LIMIT: Duration = Duration::from_secs(10);

/// Runs the plan against a fresh server.
pub fn run(program: &Program, plan: &Plan<'_>) -> Result<Report> {
    let mut report = Report::default();
    let connections = plan.connections.min((plan.file_limit as usize).saturating_sub(200));
    if connections < plan.connections {
        println!("!!! only {connections} of {} connections: the limit on open files", plan.connections);
    }
    let mut server = program.start(&[&["--maxclients", "20000"], plan.options].concat())?;
    let served = AtomicUsize::new(0);
    let outcome = storm(&server, connections, plan.duration, &served);
    report.step("the good half is served", outcome.map(|_| ()));
    report.check(served.load(Ordering::Relaxed) > 0, || "no good client was served".into());
    report.check(server.alive(), || format!("the server died:\n{}", server.output()));
    report.step("memory stays bounded", bounded(&server, connections));
    report.step("commands still work", still_works(&server));
    println!("  {connections} connections, {} good commands served", served.load(Ordering::Relaxed));
    Ok(report)
}

fn bounded(server: &Server, connections: usize) -> Result<()> {
    let (now, peak) = (server.rss_bytes()?, server.rss_peak_bytes()?);
    let limit = BYTES_SLACK + connections as u64 * BYTES_PER_CONNECTION;
    println!("  resident after the storm: {} MiB, {} MiB at most", now >> 20, peak >> 20);
    ensure!(peak < limit, "{} MiB were resident, more than {} MiB", peak >> 20, limit >> 20);
    Ok(())
}

fn still_works(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    conn.must("SET after storm")?;
    let got = conn.must("GET after")?.text();
    ensure!(got == "storm", "GET after the storm answered {got:?}");
    Ok(())
}

fn storm(server: &Server, connections: usize, duration: Duration, served: &AtomicUsize) -> Result<()> {
    let (port, stop) = (server.port(), AtomicBool::new(false));
    let half = connections / 2 / DRIVERS;
    thread::scope(|scope| {
        let stop = &stop;
        let bad: Vec<_> = (0..DRIVERS).map(|i| scope.spawn(move || bad_half(port, half, i as u64, stop))).collect();
        let good: Vec<_> = (0..DRIVERS).map(|i| scope.spawn(move || good_half(port, half, i, stop, served))).collect();
        let end = Instant::now() + duration;
        while Instant::now() < end && !good.iter().any(|g| g.is_finished()) {
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
        bad.into_iter().for_each(|b| b.join().expect("a bad client does not panic"));
        good.into_iter().try_for_each(|g| g.join().expect("a good client does not panic"))
    })
}

/// Sets and gets on every connection in turn and checks each reply.
fn good_half(port: u16, count: usize, driver: usize, stop: &AtomicBool, served: &AtomicUsize) -> Result<()> {
    let mut conns = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let conn = Conn::open(port).context("a good client is not let in")?;
        conn.set_timeout(GOOD_LIMIT)?;
        conns.push(conn);
    }
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        for (i, conn) in conns.iter_mut().enumerate() {
            let (key, value) = (format!("good:{driver}:{i}"), round.to_string());
            let replies = conn.pipeline(&[
                vec![b"SET".to_vec(), key.clone().into_bytes(), value.clone().into_bytes()],
                vec![b"GET".to_vec(), key.into_bytes()],
            ])?;
            ensure!(
                replies[0].is_ok() && replies[1] == Reply::Bulk(value.into_bytes()),
                "a good client was answered {replies:?}"
            );
            served.fetch_add(2, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        round += 1;
    }
    Ok(())
}

/// Keeps `count` bad connections open; those the server closes are opened anew.
fn bad_half(port: u16, count: usize, seed: u64, stop: &AtomicBool) {
    let mut rng = Rng::new(seed);
    let mut conns: Vec<Option<TcpStream>> = (0..count.max(1)).map(|_| None).collect();
    while !stop.load(Ordering::Relaxed) {
        for slot in &mut conns {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if slot.is_none() {
                *slot = bad_connection(port);
            }
            let Some(stream) = slot else { continue };
            if !offend(stream, &mut rng) {
                *slot = None;
            }
        }
    }
}

fn bad_connection(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

/// Sends one piece of nonsense and drops what comes back; false when the connection is over.
fn offend(stream: &mut TcpStream, rng: &mut Rng) -> bool {
    let alive = |result: std::io::Result<usize>| match result {
        Ok(n) => n > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    };
    let sent = alive(stream.write(&nonsense(rng)));
    let read = alive(stream.read(&mut [0; 4096]));
    // Now and then one leaves in the middle of its sentence.
    sent && read && !rng.chance(10)
}

fn nonsense(rng: &mut Rng) -> Vec<u8> {
    match rng.below(9) {
        0 => (0..1 + rng.below(300)).map(|_| rng.next_u64() as u8).collect(),
        1 => b"*2\r\n$3\r\nGET\r\n$1000000000\r\nabc".to_vec(),
        2 => b"*1000000\r\n$3\r\nfoo\r\n".to_vec(),
        3 => b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\npartial".to_vec(),
        4 => vec![b'a'; 1 + rng.below(20_000)],
        5 => b"*1\r\n$4\r\nPI".to_vec(),
        6 => b"*-5\r\n$-5\r\n:x\r\n%%%\r\n".to_vec(),
        7 => b"*2\r\n$99999999999999999999\r\n".to_vec(),
        _ => b"GET \"\\x00 ' unbalanced\r\n".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_never_empty() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| !nonsense(&mut rng).is_empty()));
    }
}
