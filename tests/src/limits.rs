//! What clients may cost: many that are idle, that send without reading, that die in the middle; and the limits they meet.
//!
//! Everything is held against memory as the kernel counts it, so that a promise of bounded memory is one about the process.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::conn::Conn;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};

const MIB: u64 = 1 << 20;
/// How long anything that must come may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Idle connections, and what one may cost with its share of everything, bytes.
const IDLE_CLIENTS: usize = 1000;
const IDLE_BYTES_MAX: u64 = 8 * 1024;
/// Replies that may wait for a client before its requests do, with slack for the allocator and the sockets, bytes.
const UNREAD_BYTES_MAX: u64 = 110 * MIB;

/// Runs every check on each engine.
pub fn run(program: &Program) -> Result<Report> {
    let mut report = Report::default();
    // The reference has no choice of engines.
    let engines: &[&[&str]] =
        if program.prefix.is_empty() { &[&[]] } else { &[&["--io-engine", "auto"], &["--io-engine", "epoll"]] };
    for engine in engines {
        let mut step = |name: &str, outcome| report.step(&format!("{}: {name}", engine.join(" ")), outcome);
        step("idle clients cost little", idle_clients(program, engine));
        step("replies nobody reads wait", unread_replies(program, engine));
        step("a client dies mid-bulk", dies_mid_bulk(program, engine));
        step("a value of 512 MB", largest_value(program, engine));
        step("one client too many", too_many(program, engine));
        step("idle clients are closed", timeout(program, engine));
        step("a socket in the file system", unix_socket(program, engine));
    }
    Ok(report)
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

fn start(program: &Program, engine: &[&str], options: &[&str]) -> Result<Server> {
    program.start(&[engine, options].concat())
}

fn grown(server: &Server, before: u64) -> Result<u64> {
    Ok(server.rss_bytes()?.saturating_sub(before))
}

fn idle_clients(program: &Program, engine: &[&str]) -> Result<()> {
    let server = start(program, engine, &[])?;
    // Something to fill the pools that all connections share.
    server.conn()?.must("PING")?;
    let before = server.rss_bytes()?;
    let mut conns: Vec<Conn> = (0..IDLE_CLIENTS).map(|_| server.conn()).collect::<Result<_>>()?;
    for conn in &mut conns {
        conn.must("PING")?;
    }
    let each = grown(&server, before)? / IDLE_CLIENTS as u64;
    println!("  an idle client costs {each} bytes");
    // The reference keeps a reply buffer of 16 KB for each.
    ensure!(each < IDLE_BYTES_MAX || program.prefix.is_empty(), "an idle client costs {each} bytes");
    Ok(())
}

fn unread_replies(program: &Program, engine: &[&str]) -> Result<()> {
    const REQUESTS: usize = 100_000;
    let server = start(program, engine, &[])?;
    let mut other = server.conn()?;
    other.must(&format!("SET k {}", "v".repeat(4096)))?;
    let before = server.rss_bytes()?;
    let mut conn = server.conn()?;
    conn.send_raw(&b"GET k\r\n".repeat(REQUESTS))?;
    let mut last = 0;
    until("the end of growth", || {
        std::thread::sleep(Duration::from_millis(50));
        let now = grown(&server, before)?;
        Ok(std::mem::replace(&mut last, now) == now && now > 16 * MIB)
    })?;
    let others = other.must("PING")?;
    ensure!(others == Reply::Simple(b"PONG".to_vec()), "others are not served");
    println!("  {} MiB wait for a client that does not read", last / MIB);
    // The reference has no such limit unless it is told one.
    ensure!(last < UNREAD_BYTES_MAX || program.prefix.is_empty(), "{} MiB of replies wait", last / MIB);
    for _ in 0..REQUESTS {
        ensure!(conn.read()?.bytes().map(<[u8]>::len) == Some(4096), "a reply that waited is not whole");
    }
    Ok(())
}

fn dies_mid_bulk(program: &Program, engine: &[&str]) -> Result<()> {
    let server = start(program, engine, &[])?;
    let mut other = server.conn()?;
    let before = server.rss_bytes()?;
    let mut conn = server.conn()?;
    conn.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$500000000\r\nabc")?;
    other.must("PING")?;
    let announced = grown(&server, before)?;
    ensure!(announced < 4 * MIB || program.prefix.is_empty(), "an announcement costs {announced} bytes");
    let piece = vec![b'z'; MIB as usize];
    for _ in 0..64 {
        conn.send_raw(&piece)?;
    }
    drop(conn);
    until("the release of the half value", || Ok(grown(&server, before)? < 16 * MIB))?;
    ensure!(other.must("EXISTS half")? == Reply::Int(0), "half a value was stored");
    Ok(())
}

fn largest_value(program: &Program, engine: &[&str]) -> Result<()> {
    let server = start(program, engine, &[])?;
    let mut conn = server.conn()?;
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    let lines = [
        ("SETRANGE v 536870911 x", ":536870912"),
        ("APPEND v x", too_long),
        ("SETRANGE v 536870912 x", too_long),
        ("STRLEN v", ":536870912"),
        ("GETRANGE v -2 -1", "$\0x"),
        ("DEL v", ":1"),
    ];
    for (line, expected) in lines {
        let reply = conn.line(line)?;
        let got = match &reply {
            Reply::Int(number) => format!(":{number}"),
            Reply::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
            other => format!("${}", other.text()),
        };
        ensure!(got == expected, "{line}: {got:?}");
    }
    conn.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$536870913\r\n")?;
    ensure!(conn.read()?.is_error(), "a value beyond the limit was not refused");
    conn.wait_closed()
}

fn too_many(program: &Program, engine: &[&str]) -> Result<()> {
    let server = start(program, engine, &["--maxclients", "10"])?;
    // The connections of the start may still be going.
    until("ten connections", || {
        let mut conns = Vec::new();
        for _ in 0..10 {
            let mut conn = server.conn()?;
            if conn.line("PING").map_or(true, |reply| reply.is_error()) {
                return Ok(false);
            }
            conns.push(conn);
        }
        let mut extra = server.conn()?;
        let refusal = extra.read()?;
        ensure!(refusal == Reply::Error(b"ERR max number of clients reached".to_vec()), "the eleventh was let in");
        extra.wait_closed()?;
        conns.iter_mut().try_for_each(|conn| conn.must("PING").map(|_| ()))?;
        Ok(true)
    })
}

fn timeout(program: &Program, engine: &[&str]) -> Result<()> {
    let server = start(program, engine, &["--timeout", "1"])?;
    let (mut busy, mut idle) = (server.conn()?, server.conn()?);
    idle.must("PING")?;
    let since = Instant::now();
    idle.set_timeout(Duration::from_millis(20))?;
    until("the closing of an idle client", || {
        busy.must("PING")?;
        Ok(idle.wait_closed().is_ok())
    })?;
    ensure!(since.elapsed() > Duration::from_millis(900), "an idle client was closed after {:?}", since.elapsed());
    Ok(())
}

fn unix_socket(program: &Program, engine: &[&str]) -> Result<()> {
    let path = std::env::temp_dir().join(format!("kinovar-limits-{}.sock", std::process::id()));
    let shown = path.to_string_lossy().into_owned();
    let server = start(program, engine, &["--unixsocket", &shown, "--unixsocketperm", "700"])?;
    let mut stream = UnixStream::connect(&path)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(b"SET u 1\r\nGET u\r\n")?;
    let mut reply = [0; 12];
    stream.read_exact(&mut reply)?;
    ensure!(&reply == b"+OK\r\n$1\r\n1\r\n", "the socket answered {:?}", String::from_utf8_lossy(&reply));
    ensure!(server.conn()?.must("GET u")?.text() == "1", "both sockets lead to the same data");
    drop(server);
    let _ = std::fs::remove_file(&path);
    Ok(())
}
