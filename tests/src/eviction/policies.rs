//! Which keys give way under each policy.

use anyhow::{Result, ensure};

use super::{Check, MIB, evicted, is_reference, send_all, until, used};
use crate::conn::Conn;
use crate::quote::words;
use crate::resp::Reply;
use crate::server::Server;

/// Keys, of which a part gives way.
const KEYS: usize = 4000;
/// Bytes of each value.
const VALUE: usize = 4096;

pub(super) const CHECKS: &[Check] = &[
    Check { name: "allkeys-lru", run: |server| by_age(server, "allkeys-lru") },
    Check { name: "volatile-lru", run: |server| by_age(server, "volatile-lru") },
    Check { name: "allkeys-lfu", run: |server| by_age(server, "allkeys-lfu") },
    Check { name: "volatile-lfu", run: |server| by_age(server, "volatile-lfu") },
    Check { name: "allkeys-random", run: random },
    Check { name: "volatile-random", run: |server| only_volatile(server, "volatile-random") },
    Check { name: "volatile-ttl", run: first_to_expire },
    Check { name: "few keys are compared with each other", run: few },
    Check { name: "keys that are used stay", run: used_stay },
];

/// The serialised value, with room for a number that makes it unlike others.
fn payload(conn: &mut Conn) -> Result<Vec<u8>> {
    conn.must(&format!("SET model {}", "v".repeat(VALUE)))?;
    let payload = conn.must("DUMP model")?.bytes().unwrap_or_default().to_vec();
    conn.must("DEL model")?;
    Ok(payload)
}

/// Lets keys give way until a third of them is gone.
fn squeeze(conn: &mut Conn, policy: &str) -> Result<()> {
    conn.must(&format!("CONFIG SET maxmemory-policy {policy}"))?;
    let limit = used(conn)? - (KEYS * VALUE / 3) as u64;
    conn.must(&format!("CONFIG SET maxmemory {limit}"))?;
    until("room", || Ok(used(conn)? <= limit + MIB / 8))?;
    conn.must("CONFIG SET maxmemory 0")?;
    Ok(())
}

/// Which keys are left, by number.
fn left(conn: &mut Conn) -> Result<Vec<bool>> {
    let replies = send_all(conn, KEYS, |n| words(&format!("EXISTS key:{n}")))?;
    Ok(replies.iter().map(|reply| *reply == Reply::Int(1)).collect())
}

/// Half of the keys, those with even numbers, have long been unused: these go.
fn by_age(server: &Server, policy: &str) -> Result<()> {
    let mut conn = server.conn()?;
    let payload = payload(&mut conn)?;
    let ttl = if policy.starts_with("volatile") { "1000000000" } else { "0" };
    let age = |n: usize| match (policy.ends_with("lfu"), n % 2) {
        (true, 0) => ["FREQ", "1"],
        (true, _) => ["FREQ", "200"],
        (false, 0) => ["IDLETIME", "5000"],
        (false, _) => ["IDLETIME", "1"],
    };
    conn.must(&format!("CONFIG SET maxmemory-policy {policy} lfu-decay-time 0"))?;
    send_all(&mut conn, KEYS, |n| {
        let [word, value] = age(n);
        let mut command = words(&format!("RESTORE key:{n} {ttl}"));
        command.push(payload.clone());
        command.extend(words(&format!("{word} {value}")));
        command
    })?;
    // What never expires stays under a policy that is about expiry, however old it is.
    let mut command = words("RESTORE eternal 0");
    command.push(payload.clone());
    command.extend(words(&age(0).join(" ")));
    if ttl != "0" {
        conn.call(&command)?;
    }
    squeeze(&mut conn, policy)?;
    let left = left(&mut conn)?;
    let gone = left.iter().filter(|left| !**left).count();
    let wrong = left.iter().skip(1).step_by(2).filter(|left| !**left).count();
    ensure!((KEYS / 5..KEYS / 2).contains(&gone), "{gone} keys are gone");
    ensure!(wrong <= gone / 50, "{wrong} of the {gone} keys that are gone were in use");
    ensure!(ttl == "0" || conn.must("EXISTS eternal")? == Reply::Int(1), "a key without expiry is gone");
    Ok(())
}

fn fill(conn: &mut Conn) -> Result<()> {
    let value = "v".repeat(VALUE);
    send_all(conn, KEYS, |n| words(&format!("SET key:{n} {value}")))?;
    Ok(())
}

fn random(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    fill(&mut conn)?;
    squeeze(&mut conn, "allkeys-random")?;
    let left = left(&mut conn)?;
    for part in left.chunks(KEYS / 4) {
        let gone = part.iter().filter(|left| !**left).count();
        ensure!((KEYS / 20..KEYS / 6).contains(&gone), "{gone} keys of a quarter are gone");
    }
    Ok(())
}

/// Only keys with an expiry go, one in sixteen, and commands that need memory fail when none of them is left.
fn only_volatile(server: &Server, policy: &str) -> Result<()> {
    let mut conn = server.conn()?;
    fill(&mut conn)?;
    send_all(&mut conn, KEYS / 16, |n| words(&format!("EXPIRE key:{} 100000", n * 16)))?;
    conn.must(&format!("CONFIG SET maxmemory-policy {policy}"))?;
    let few = used(&mut conn)? - (KEYS / 32 * VALUE) as u64;
    conn.must(&format!("CONFIG SET maxmemory {few}"))?;
    until("room", || Ok(used(&mut conn)? <= few + MIB / 8))?;
    let some = evicted(&mut conn)?;
    ensure!((KEYS as i64 / 40..KEYS as i64 / 20).contains(&some), "{some} keys were evicted");
    conn.must(&format!("CONFIG SET maxmemory {}", MIB))?;
    until("the last one", || Ok(evicted(&mut conn)? == KEYS as i64 / 16))?;
    ensure!(conn.line("SET a b")?.is_error(), "a write was let through");
    conn.must("CONFIG SET maxmemory 0")?;
    for (n, left) in left(&mut conn)?.into_iter().enumerate() {
        ensure!(left == (n % 16 != 0), "key {n} should {}be there", if left { "not " } else { "" });
    }
    Ok(())
}

/// The order in which they go is about that in which they would expire.
fn first_to_expire(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    let value = "v".repeat(VALUE);
    // In an order that has nothing to do with it.
    let nth = |n: usize| n * 1237 % KEYS;
    send_all(&mut conn, KEYS, |n| words(&format!("SET key:{0} {value} EX {1}", nth(n), 10_000 + nth(n))))?;
    squeeze(&mut conn, "volatile-ttl")?;
    let left = left(&mut conn)?;
    let gone = left.iter().filter(|left| !**left).count();
    let early = left.iter().take(gone).filter(|left| !**left).count();
    ensure!((KEYS / 5..KEYS / 2).contains(&gone), "{gone} keys are gone");
    // The reference compares few of them at a time; ours finds the first one.
    let at_least = if is_reference(&mut conn)? { gone / 2 } else { gone };
    ensure!(early >= at_least, "{} of {gone} keys went too early", gone - early);
    Ok(())
}

/// As many keys as are compared at a time: the choice is exact.
fn few(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    let payload = payload(&mut conn)?;
    for victim in 0..5 {
        conn.must("CONFIG SET maxmemory-policy allkeys-lru")?;
        for n in 0..5 {
            let mut command = words(&format!("RESTORE key:{n} 0"));
            command.push(payload.clone());
            command.extend(words(&format!("REPLACE IDLETIME {}", if n == victim { 100 } else { 50 - n })));
            conn.call(&command)?;
        }
        let limit = used(&mut conn)? - VALUE as u64 / 2;
        // Connections and the like make memory waver by more than a key.
        let before = evicted(&mut conn)?;
        conn.must(&format!("CONFIG SET maxmemory {limit}"))?;
        until("the eviction", || {
            conn.must("PING")?;
            Ok(conn.must(&format!("EXISTS key:{victim}"))? == Reply::Int(0))
        })?;
        conn.must("CONFIG SET maxmemory 0")?;
        let gone = evicted(&mut conn)? - before;
        // The others follow by age if more room was wanted.
        for n in 0..5i64 {
            let is_left = conn.must(&format!("EXISTS key:{n}"))? == Reply::Int(1);
            let older = (0..5).filter(|&other| other != victim && other < n).count() as i64;
            let should = n != victim && older >= gone - 1;
            ensure!(is_left == should, "victim {victim}, {gone} gone: key {n} is {is_left}");
        }
    }
    Ok(())
}

/// A key that is read all the time is there after everything else has been replaced several times.
fn used_stay(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    conn.must("CONFIG SET maxmemory-policy allkeys-lfu")?;
    let limit = used(&mut conn)? + 16 * MIB;
    conn.must(&format!("CONFIG SET maxmemory {limit}"))?;
    let value = "v".repeat(VALUE);
    send_all(&mut conn, 100, |n| words(&format!("SET used:{n} {value}")))?;
    send_all(&mut conn, 5000, |n| words(&format!("GET used:{}", n % 100)))?;
    send_all(&mut conn, 20_000, |n| words(&format!("SET key:{n} {value}")))?;
    let replies = send_all(&mut conn, 100, |n| words(&format!("EXISTS used:{n}")))?;
    let left = replies.iter().filter(|reply| **reply == Reply::Int(1)).count();
    ensure!(evicted(&mut conn)? > 10_000, "hardly anything was evicted");
    ensure!(left >= 98, "{} of a hundred keys that are used are gone", 100 - left);
    Ok(())
}
