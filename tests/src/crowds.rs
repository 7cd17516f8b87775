//! Crowds: a thousand clients that wait for one key, watch it, or listen to one channel; and what happens to those who leave,
//! or do not keep up.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll};
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};
use crate::show::show;

const CROWD: usize = 1000;
/// What a client of a crowd may cost with its share of everything, bytes: an idle one, and what it waits for.
const BYTES_MAX: u64 = 9 * 1024;

type Check = fn(&Program, &[&str]) -> Result<()>;
const CHECKS: &[(&str, Check)] = &[
    ("a thousand wait for one key", wait_for_one_key),
    ("a thousand leave while they wait", leave),
    ("a thousand watch one key", watch_one_key),
    ("a thousand listen to one channel", listen),
    ("a subscriber that does not keep up is closed", slow_subscriber),
    ("who waits or listens is not idle", not_idle),
    ("a transaction of 50,000 commands", long_transaction),
];

/// Runs every check with one thread and with two.
pub fn run(program: &Program) -> Result<Report> {
    let mut report = Report::default();
    // The reference has no choice that would matter.
    let threads: &[&str] = if program.prefix.is_empty() { &["1"] } else { &["1", "2"] };
    for threads in threads {
        for (name, check) in CHECKS {
            report.step(&format!("{threads} threads: {name}"), check(program, &["--io-threads", threads]));
        }
    }
    Ok(report)
}

/// A crowd of which each has sent this and is known to be blocked before the next one does.
fn blocked_crowd(server: &Server, control: &mut Conn, line: &str) -> Result<Vec<Conn>> {
    let mut crowd = Vec::with_capacity(CROWD);
    for i in 1..=CROWD as i64 {
        let mut conn = server.conn()?;
        conn.send(&words(line))?;
        crowd.push(conn);
        poll(|| format!("{i} clients are not blocked"), || Ok(info(control, "clients", "blocked_clients")? == i))?;
    }
    Ok(crowd)
}

fn nobody_is_blocked(control: &mut Conn) -> Result<()> {
    for name in ["blocked_clients", "total_blocking_keys"] {
        poll(|| format!("{name} in INFO does not become 0"), || Ok(info(control, "clients", name)? == 0))?;
    }
    Ok(())
}

/// One push serves them all, in the order in which they came.
fn wait_for_one_key(program: &Program, options: &[&str]) -> Result<()> {
    let server = program.start(options)?;
    let mut control = server.conn()?;
    control.must("PING")?;
    let before = server.rss_bytes()?;
    let mut crowd = blocked_crowd(&server, &mut control, "BLPOP nosuch queue 0")?;
    let each = server.rss_bytes()?.saturating_sub(before) / CROWD as u64;
    println!("  a client that waits costs {each} bytes");
    // The reference keeps a reply buffer of 16 KB for each.
    ensure!(each < BYTES_MAX || program.prefix.is_empty(), "a client that waits costs {each} bytes");
    let elements: String = (0..CROWD).map(|i| format!(" {i}")).collect();
    control.must(&format!("RPUSH queue{elements}"))?;
    for (i, conn) in crowd.iter_mut().enumerate() {
        let reply = conn.read()?;
        let got = reply.items().and_then(|items| items.get(1)).map(Reply::text);
        ensure!(got == Some(i.to_string()), "client {i} got {}", show(&reply));
    }
    ensure!(control.must("EXISTS queue")? == Reply::Int(0), "something is left");
    nobody_is_blocked(&mut control)
}

fn leave(program: &Program, options: &[&str]) -> Result<()> {
    let server = program.start(options)?;
    let mut control = server.conn()?;
    let crowd = blocked_crowd(&server, &mut control, "BLMOVE queue other LEFT RIGHT 1000")?;
    drop(crowd);
    nobody_is_blocked(&mut control)?;
    control.must("RPUSH queue a b")?;
    ensure!(control.must("LLEN queue")? == Reply::Int(2), "an element went to one that had left");
    Ok(())
}

/// One change ends all their transactions, and the next ones go through.
fn watch_one_key(program: &Program, options: &[&str]) -> Result<()> {
    let server = program.start(options)?;
    let mut control = server.conn()?;
    let mut crowd = (0..CROWD).map(|_| server.conn()).collect::<Result<Vec<_>>>()?;
    for change in [true, false] {
        for conn in &mut crowd {
            conn.must("WATCH key other")?;
            conn.must("MULTI")?;
            conn.must("PING")?;
        }
        ensure!(info(&mut control, "clients", "watching_clients")? == CROWD as i64, "all of them watch");
        if change {
            control.must("SET key value")?;
        }
        for conn in &mut crowd {
            let reply = conn.must("EXEC")?;
            ensure!(reply.is_nil() == change, "EXEC: {}", show(&reply));
        }
        ensure!(info(&mut control, "clients", "total_watched_keys")? == 0, "nothing is watched any more");
    }
    Ok(())
}

/// Every message reaches every one of them once.
fn listen(program: &Program, options: &[&str]) -> Result<()> {
    let server = program.start(options)?;
    let mut control = server.conn()?;
    let mut crowd = (0..CROWD).map(|_| server.conn()).collect::<Result<Vec<_>>>()?;
    for conn in &mut crowd {
        conn.must("SUBSCRIBE channel")?;
    }
    for n in 0..20 {
        let reached = control.must(&format!("PUBLISH channel {n}"))?;
        ensure!(reached == Reply::Int(CROWD as i64), "PUBLISH reached {}", show(&reached));
    }
    for conn in &mut crowd {
        for n in 0..20 {
            let message = conn.read()?;
            let payload = message.items().and_then(|items| items.get(2)).map(Reply::text);
            ensure!(payload == Some(n.to_string()), "message {n} is {}", show(&message));
        }
    }
    drop(crowd);
    let gone = |reply: Reply| reply.items() == Some(&[]);
    poll(|| "the channel stays".into(), || Ok(gone(control.must("PUBSUB CHANNELS")?)))
}

/// It does not hold up the others, nor the memory.
fn slow_subscriber(program: &Program, options: &[&str]) -> Result<()> {
    const MESSAGES: usize = 64;
    let limit = ["--client-output-buffer-limit", "pubsub 4mb 0 0"];
    let server = program.start(&[options, &limit].concat())?;
    let (mut control, mut slow, mut good) = (server.conn()?, server.conn()?, server.conn()?);
    slow.must("SUBSCRIBE channel")?;
    good.must("SUBSCRIBE channel")?;
    let message = "m".repeat(1 << 20);
    for n in 0..MESSAGES {
        control.must(&format!("PUBLISH channel {n}-{message}"))?;
        let got = good.read()?;
        let payload = got.items().and_then(|items| items.get(2)).map(Reply::text).context("a message")?;
        ensure!(payload.starts_with(&format!("{n}-")), "message {n} is missing");
    }
    poll(|| "it is still there".into(), || Ok(control.must("PUBLISH channel x")? == Reply::Int(1)))?;
    slow.wait_closed()?;
    good.set_timeout(Duration::from_secs(5))?;
    ensure!(good.read()?.items().is_some(), "the good one goes on");
    Ok(())
}

/// `timeout` closes idle clients, but nobody who waits or listens.
fn not_idle(program: &Program, options: &[&str]) -> Result<()> {
    let server = program.start(&[options, &["--timeout", "1"]].concat())?;
    let (mut control, mut waits, mut listens, mut idle) =
        (server.conn()?, server.conn()?, server.conn()?, server.conn()?);
    waits.send(&words("BLPOP queue 0"))?;
    listens.must("SUBSCRIBE channel")?;
    // Later than the others, so that its time is up last.
    poll(|| "nobody is blocked".into(), || Ok(info(&mut control, "clients", "blocked_clients")? == 1))?;
    idle.must("PING")?;
    idle.set_timeout(Duration::from_millis(20))?;
    poll(
        || "an idle client is not closed".into(),
        || {
            control.must("PING")?;
            Ok(idle.wait_closed().is_ok())
        },
    )?;
    control.must("RPUSH queue x")?;
    ensure!(waits.read()?.items().is_some(), "the one that waits is served");
    ensure!(control.must("PUBLISH channel x")? == Reply::Int(1), "the one that listens is there");
    ensure!(listens.read()?.items().is_some(), "and gets its message");
    Ok(())
}

fn long_transaction(program: &Program, options: &[&str]) -> Result<()> {
    const COMMANDS: usize = 50_000;
    let server = program.start(options)?;
    let (mut control, mut conn) = (server.conn()?, server.conn()?);
    let commands: Vec<_> = (0..COMMANDS).map(|i| words(&format!("SET key:{i} value"))).collect();
    for end in ["DISCARD", "EXEC"] {
        conn.must("MULTI")?;
        for batch in commands.chunks(1000) {
            let queued = conn.pipeline(batch)?;
            ensure!(queued.iter().all(|reply| reply.text() == "QUEUED"), "a command was not queued");
        }
        let reply = conn.must(end)?;
        let done = reply.items().map_or(0, |items| items.iter().filter(|item| item.is_ok()).count());
        ensure!(end == "DISCARD" || done == COMMANDS, "{done} commands were run");
        let keys = control.must("DBSIZE")?;
        ensure!(keys == Reply::Int(done as i64), "{} keys", show(&keys));
    }
    Ok(())
}
