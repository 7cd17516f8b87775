//! Clients that take up too much memory.

use anyhow::{Result, ensure};

use super::{Check, MIB, until};
use crate::conn::Conn;
use crate::control::info;
use crate::server::Server;

pub(super) const CHECKS: &[Check] = &[
    Check { name: "the largest clients are closed", run: largest },
    Check { name: "clients that may not be closed", run: protected },
    Check { name: "replies that nobody reads", run: unread },
    Check { name: "queued commands count", run: queued },
    Check { name: "a share of maxmemory", run: share },
];

/// Has a client keep so much of an unfinished request.
fn bloat(conn: &mut Conn, bytes: u64) -> Result<()> {
    conn.send_raw(format!("*2\r\n$4\r\nECHO\r\n${}\r\n", bytes * 2).as_bytes())?;
    conn.send_raw(&vec![b'x'; bytes as usize])
}

fn evicted(control: &mut Conn) -> Result<i64> {
    info(control, "stats", "evicted_clients")
}

fn clients_bytes(control: &mut Conn) -> Result<i64> {
    info(control, "memory", "mem_clients_normal")
}

fn largest(server: &Server) -> Result<()> {
    let mut control = server.conn()?;
    let mut clients: Vec<Conn> = (0..6).map(|_| server.conn()).collect::<Result<_>>()?;
    for (n, client) in clients.iter_mut().enumerate() {
        bloat(client, (n as u64 + 1) * MIB)?;
    }
    until("21 MiB of requests", || Ok(clients_bytes(&mut control)? > 21 * MIB as i64))?;
    ensure!(evicted(&mut control)? == 0, "a client was closed without a limit");
    control.must("CONFIG SET maxmemory-clients 8mb")?;
    until("the end of the largest", || Ok(clients_bytes(&mut control)? < 8 * MIB as i64))?;
    let closed = evicted(&mut control)?;
    // Buffers may be twice as large as what is in them.
    ensure!((3..=5).contains(&closed), "{closed} clients were closed");
    clients.iter_mut().rev().take(closed as usize).try_for_each(Conn::wait_closed)?;
    ensure!(server.output().contains("Evicting client: id="), "the log does not say so");
    // One more that is larger than the rest together.
    let mut big = server.conn()?;
    let _ = bloat(&mut big, 9 * MIB);
    big.wait_closed()?;
    ensure!(evicted(&mut control)? == closed + 1, "another client was closed, too");
    control.must("CONFIG RESETSTAT")?;
    ensure!(evicted(&mut control)? == 0, "the count was not reset");
    Ok(())
}

fn protected(server: &Server) -> Result<()> {
    let mut control = server.conn()?;
    let (mut kept, mut closed) = (server.conn()?, server.conn()?);
    kept.must("CLIENT NO-EVICT on")?;
    control.must("CLIENT NO-EVICT on")?;
    bloat(&mut kept, 5 * MIB)?;
    bloat(&mut closed, 2 * MIB)?;
    until("7 MiB of requests", || Ok(clients_bytes(&mut control)? > 7 * MIB as i64))?;
    control.must("CONFIG SET maxmemory-clients 3mb")?;
    closed.wait_closed()?;
    ensure!(evicted(&mut control)? == 1, "not one client was closed");
    kept.send_raw(&vec![b'x'; 5 << 20])?;
    kept.send_raw(b"\r\n")?;
    ensure!(kept.read()?.bytes().map(<[u8]>::len) == Some(10 << 20), "the protected client was not served");
    Ok(())
}

fn unread(server: &Server) -> Result<()> {
    let mut control = server.conn()?;
    control.must("CLIENT NO-EVICT on")?;
    control.must(&format!("SET k {}", "v".repeat(100_000)))?;
    control.must("CONFIG SET maxmemory-clients 4mb")?;
    let mut client = server.conn()?;
    client.send_raw(&b"GET k\r\n".repeat(500))?;
    until("the end of the client", || Ok(evicted(&mut control)? == 1))?;
    client.wait_closed()
}

fn queued(server: &Server) -> Result<()> {
    let mut control = server.conn()?;
    control.must("CLIENT NO-EVICT on")?;
    let mut client = server.conn()?;
    client.must("MULTI")?;
    let value = "v".repeat(100_000);
    for _ in 0..20 {
        client.must(&format!("SET k {value}"))?;
    }
    until("2 MB of commands", || Ok(clients_bytes(&mut control)? > 1_900_000))?;
    control.must("CONFIG SET maxmemory-clients 1mb")?;
    client.wait_closed()?;
    ensure!(evicted(&mut control)? == 1, "not one client was closed");
    Ok(())
}

fn share(server: &Server) -> Result<()> {
    let mut control = server.conn()?;
    let mut client = server.conn()?;
    bloat(&mut client, 3 * MIB)?;
    until("3 MiB of requests", || Ok(clients_bytes(&mut control)? > 3 * MIB as i64))?;
    control.must("CONFIG SET maxmemory-clients 2%")?;
    control.must("PING")?;
    ensure!(evicted(&mut control)? == 0, "a share of nothing is no limit");
    control.must("CONFIG SET maxmemory 1gb")?;
    control.must("PING")?;
    ensure!(evicted(&mut control)? == 0, "a client was closed below the limit");
    control.must("CONFIG SET maxmemory 100mb")?;
    client.wait_closed()?;
    ensure!(evicted(&mut control)? == 1, "not one client was closed");
    Ok(())
}
