//! What goes through a connection: much, little, at odd moments, and to those that do not read.

use std::io::{Read, Write};
use std::net::Shutdown;

use anyhow::{Context, Result, ensure};

use super::{Papers, Secure};
use crate::conn::Conn;
use crate::report::Report;
use crate::resp::{Reply, encode};
use crate::server::Program;

const MIB: usize = 1 << 20;

/// All checks.
pub fn run(program: &Program, papers: &Papers, options: &[&str], report: &mut Report) {
    let start = |extra: &[&str]| papers.start(program, &[options, extra].concat());
    let mut step = |name: &str, outcome: Result<()>| report.step(&format!("TLS, {name} {options:?}"), outcome);
    step("large values", start(&[]).and_then(|secure| large(&secure, papers)));
    step("pipelines", start(&[]).and_then(|secure| pipelines(&secure, papers)));
    step("records cut anywhere", start(&[]).and_then(|secure| cut(&secure, papers)));
    step("goodbyes", start(&[]).and_then(|secure| goodbyes(&secure, papers)));
    step("waiting and listening", start(&[]).and_then(|secure| from_elsewhere(&secure, papers)));
    step("those that do not read", start(&[]).and_then(|secure| no_reader(&secure, papers)));
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    step("replies that wait for the disk", start(&always).and_then(|secure| held(&secure, papers)));
    step("transactions and scripts", start(&[]).and_then(|secure| messages(&secure, papers)));
}

fn words(list: &[&[u8]]) -> Vec<Vec<u8>> {
    list.iter().map(|word| word.to_vec()).collect()
}

/// Bytes that do not repeat with any period of a buffer.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn large(secure: &Secure, papers: &Papers) -> Result<()> {
    let mut conn = papers.trusted()?.conn(secure.port)?;
    for len in [1, 16 << 10, (16 << 10) + 1, 300_000, 64 * MIB] {
        let value = pattern(len);
        conn.call(&words(&[b"SET", b"large", &value]))?;
        let got = conn.call(&words(&[b"GET", b"large"]))?;
        ensure!(got == Reply::Bulk(value), "a value of {len} bytes came back as another");
    }
    // What was read is plaintext, and counted as such.
    let sent: usize = secure.info("total_net_output_bytes")?.parse()?;
    ensure!((64 * MIB..66 * MIB).contains(&sent), "{sent} bytes are said to be sent");
    Ok(())
}

fn pipelines(secure: &Secure, papers: &Papers) -> Result<()> {
    let mut conn = papers.trusted()?.conn(secure.port)?;
    let value = pattern(100);
    let batch: Vec<_> = (0..8000).map(|n| words(&[b"SET", format!("key:{n}").as_bytes(), &value])).collect();
    for reply in conn.pipeline(&batch)? {
        ensure!(reply == Reply::Simple(b"OK".to_vec()), "{reply:?}");
    }
    let batch: Vec<_> = (0..8000).map(|n| words(&[b"GET", format!("key:{n}").as_bytes()])).collect();
    for reply in conn.pipeline(&batch)? {
        ensure!(reply == Reply::Bulk(value.clone()), "{reply:?}");
    }
    Ok(())
}

/// Records arrive in pieces, and requests in several records.
fn cut(secure: &Secure, papers: &Papers) -> Result<()> {
    let mut stream = papers.trusted()?.stream(secure.port)?;
    let mut request = Vec::new();
    encode(&mut request, &words(&[b"SET", b"cut", &pattern(50)]));
    for byte in &request {
        stream.conn.writer().write_all(&[*byte])?;
        let mut record = Vec::new();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut record)?;
        }
        let (first, rest) = record.split_at(record.len() / 2);
        stream.sock.write_all(first)?;
        stream.sock.write_all(rest)?;
    }
    let mut conn = Conn::over_tls(stream);
    ensure!(conn.read()? == Reply::Simple(b"OK".to_vec()), "no OK");
    ensure!(conn.must("GET cut")? == Reply::Bulk(pattern(50)), "another value was stored");
    Ok(())
}

fn goodbyes(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    // QUIT is answered, and the stream is ended as TLS wants it: reading says 0, not "unexpected end".
    let mut conn = client.conn(secure.port)?;
    conn.must("QUIT")?;
    conn.wait_closed().context("after QUIT")?;
    // The client ends its side behind its requests, and reads on: all replies come, however long they are.
    secure.server.conn()?.call(&words(&[b"SET", b"long", &pattern(8 * MIB)]))?;
    let mut conn = client.conn(secure.port)?;
    conn.send_all(&[words(&[b"GET", b"long"]), words(&[b"ECHO", b"last"])])?;
    let stream = conn.tls().context("it is over TLS")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    ensure!(conn.read()? == Reply::Bulk(pattern(8 * MIB)), "a part of a long reply is missing");
    ensure!(conn.read()? == Reply::Bulk(b"last".to_vec()), "the last reply is missing");
    conn.wait_closed().context("after the client's goodbye")?;
    // The end without a goodbye, at once and in the middle of a record.
    for cut in [false, true] {
        let stream = client.stream(secure.port)?;
        if cut {
            (&stream.sock).write_all(&[0x17, 3, 3, 1, 0, 1])?;
        }
        stream.sock.shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        let _ = (&stream.sock).read_to_end(&mut rest);
    }
    // Garbage behind a good handshake.
    let mut stream = client.stream(secure.port)?;
    stream.sock.write_all(&[0x17, 3, 3, 0, 32])?;
    stream.sock.write_all(&[7; 32])?;
    let end = stream.read(&mut [0; 64]);
    ensure!(end.is_err(), "a forged record was taken: {end:?}");
    // A killed client is told.
    let mut conn = client.conn(secure.port)?;
    let id = crate::control::client_id(&mut conn)?;
    secure.server.conn()?.must(&format!("CLIENT KILL ID {id}"))?;
    conn.wait_closed().context("after CLIENT KILL")?;
    crate::control::poll(|| "one client".into(), || Ok(secure.info("connected_clients")? == "1"))
}

fn from_elsewhere(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    let mut control = secure.server.conn()?;
    let mut waits = client.conn(secure.port)?;
    let id = crate::control::client_id(&mut waits)?;
    waits.send(&crate::quote::words("BLPOP list 0"))?;
    crate::control::poll(|| "BLPOP".into(), || crate::control::is_blocked(&mut control, id))?;
    client.conn(secure.port)?.must("RPUSH list element")?;
    let got = crate::show::show(&waits.read()?);
    ensure!(got.contains("element"), "BLPOP got {got}");
    waits.send(&crate::quote::words("BLPOP list 0.01"))?;
    ensure!(waits.read()?.is_nil(), "no end in time");
    // Messages, many at once.
    let mut listens = client.conn(secure.port)?;
    listens.must("SUBSCRIBE news")?;
    let text = "x".repeat(1000);
    for n in 0..500 {
        control.must(&format!("PUBLISH news {n}{text}"))?;
    }
    for n in 0..500 {
        let got = crate::show::show(&listens.read()?);
        ensure!(got.contains(&format!("{n}{text}")), "message {n} is {got}");
    }
    // MONITOR.
    let mut watches = client.conn(secure.port)?;
    watches.must("MONITOR")?;
    client.conn(secure.port)?.must("ECHO seen")?;
    loop {
        let line = crate::show::show(&watches.read()?);
        if line.contains("ECHO") && line.contains("seen") {
            return Ok(());
        }
    }
}

/// What they leave unread takes up a bounded amount of memory, and the limits hold.
fn no_reader(secure: &Secure, papers: &Papers) -> Result<()> {
    let client = papers.trusted()?;
    let mut control = secure.server.conn()?;
    let value = pattern(MIB);
    control.call(&words(&[b"SET", b"value", &value]))?;
    let before = secure.server.rss_bytes()?;
    let mut lazy = client.conn(secure.port)?;
    let gets: Vec<_> = (0..1000).map(|_| words(&[b"GET", b"value"])).collect();
    lazy.send_all(&gets)?;
    // The rest of the requests waits; nobody else does.
    let mut other = client.conn(secure.port)?;
    for _ in 0..200 {
        other.must("GET key")?;
    }
    let grown = secure.server.rss_bytes()?.saturating_sub(before);
    ensure!(grown < 200 * MIB as u64, "{} MiB wait for one that does not read", grown >> 20);
    for n in 0..1000 {
        ensure!(lazy.read()? == Reply::Bulk(value.clone()), "reply {n}");
    }
    control.must("CONFIG SET client-output-buffer-limit \"pubsub 4mb 0 0\"")?;
    let mut deaf = client.conn(secure.port)?;
    deaf.must("SUBSCRIBE noise")?;
    let noise = words(&[b"PUBLISH", b"noise", &value]);
    crate::control::poll(
        || "the limit".into(),
        || {
            control.call(&noise)?;
            Ok(crate::control::info(&mut control, "stats", "client_output_buffer_limit_disconnections")? > 0)
        },
    )
}

/// With `appendfsync always` nothing is said before it is on the disk.
fn held(secure: &Secure, papers: &Papers) -> Result<()> {
    let mut conn = papers.trusted()?.conn(secure.port)?;
    for n in 0..200 {
        ensure!(conn.must("INCR counter")? == Reply::Int(n + 1), "the counter");
    }
    let batch: Vec<_> = (0..1000).map(|_| words(&[b"INCR", b"counter"])).collect();
    ensure!(conn.pipeline(&batch)?.last() == Some(&Reply::Int(1200)), "the counter");
    // A goodbye behind a reply that is held back.
    conn.send(&crate::quote::words("INCR counter"))?;
    let stream = conn.tls().context("it is over TLS")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    ensure!(conn.read()? == Reply::Int(1201), "the reply that was held back");
    conn.wait_closed()
}

fn messages(secure: &Secure, papers: &Papers) -> Result<()> {
    let mut conn = papers.trusted()?.conn(secure.port)?;
    conn.hello(3)?;
    conn.must("MULTI")?;
    conn.must("SET a 1")?;
    conn.must("INCR a")?;
    let got = crate::show::show(&conn.must("EXEC")?);
    ensure!(got.contains('2'), "EXEC: {got}");
    let got = conn.call(&words(&[b"EVAL", b"return redis.call('GET', KEYS[1])", b"1", b"a"]))?;
    ensure!(got == Reply::Bulk(b"2".to_vec()), "{got:?}");
    // A script that takes long leaves and comes back.
    let script = b"local n = 0 while n < 30000000 do n = n + 1 end return n";
    ensure!(conn.call(&words(&[b"EVAL", script, b"0"]))? == Reply::Int(30_000_000), "a long script");
    conn.must("CLIENT TRACKING ON")?;
    conn.must("GET a")?;
    secure.server.conn()?.must("SET a 3")?;
    let got = conn.read()?;
    ensure!(matches!(got, Reply::Push(_)), "no invalidation, but {got:?}");
    Ok(())
}
