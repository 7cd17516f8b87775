//! Concurrency, counted: what many clients do at once must add up as if they had gone one after another.
//!
//! Each check states an invariant that a lost update, a torn read or an element in two places would break, and a
//! minute of random multi-key commands is watched from the side, so that a deadlock is seen and not waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::conn::Conn;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::server::{Program, Server};

const CLIENTS: usize = 8;
/// Connections of the stress run.
const STRESS_CLIENTS: usize = 50;
/// How long a PING may take before the server counts as deadlocked.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// What must add up, and who adds.
type Check = fn(u16) -> Result<()>;
const CHECKS: &[(&str, Check)] = &[
    ("counters", counters),
    ("MSET is seen whole", mset_whole),
    ("RENAME keeps every key", renames),
    ("SMOVE keeps every member", moved_members),
    ("LMOVE keeps every element", moved_elements),
    ("SUNIONSTORE sees one moment", unions),
    ("PUBLISH reaches whom it counts", crate::messages::published),
    ("caches are right in the end", crate::messages::cached),
];

/// Runs every check with one thread and with two, on each engine; the random commands run for `stress` in all.
pub fn run(program: &Program, stress: Duration) -> Result<Report> {
    let mut report = Report::default();
    // The reference has no choice of engines.
    let engines: &[&[&str]] =
        if program.prefix.is_empty() { &[&[]] } else { &[&["--io-engine", "auto"], &["--io-engine", "epoll"]] };
    for threads in ["1", "2"] {
        for engine in engines {
            let options = [&["--io-threads", threads][..], engine].concat();
            run_with(program, &options, stress / (2 * engines.len() as u32), &mut report)?;
        }
    }
    Ok(report)
}

fn run_with(program: &Program, options: &[&str], stress: Duration, report: &mut Report) -> Result<()> {
    let mut step = |name: &str, outcome| report.step(&format!("{}: {name}", options.join(" ")), outcome);
    for (name, check) in CHECKS {
        // A server of its own, so that one that breaks does not fail the others.
        let server = program.start(options)?;
        step(name, check(server.port()));
    }
    step("no deadlock", no_deadlock(&mut program.start(options)?, stress));
    Ok(())
}

/// Runs `work` on as many threads as there are clients; the first error of any becomes ours.
fn clients(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..count).map(|i| scope.spawn(move || work(i))).collect();
        let join = |h: thread::ScopedJoinHandle<'_, Result<()>>| h.join().expect("a client thread does not panic");
        handles.into_iter().try_for_each(join)
    })
}

/// Sends the lines as one pipeline; any error reply fails.
fn pipeline(conn: &mut Conn, lines: &[String]) -> Result<Vec<Reply>> {
    let commands: Vec<_> = lines.iter().map(|l| words(l)).collect();
    let replies = conn.pipeline(&commands)?;
    match replies.iter().position(Reply::is_error) {
        Some(i) => bail!("{}: {}", lines[i], crate::show::show(&replies[i])),
        None => Ok(replies),
    }
}

/// Eight clients raise the same ten counters of four kinds; every sum must be exact.
fn counters(port: u16) -> Result<()> {
    const ROUNDS: usize = 200;
    const KEYS: usize = 10;
    clients(CLIENTS, |_| {
        let mut conn = Conn::open(port)?;
        for _ in 0..ROUNDS {
            let lines = |i: usize| {
                [
                    format!("INCR n{i}"),
                    format!("HINCRBY h{i} f 2"),
                    format!("ZINCRBY z{i} 3 m"),
                    format!("INCRBYFLOAT f{i} 0.5"),
                ]
            };
            pipeline(&mut conn, &(0..KEYS).flat_map(lines).collect::<Vec<_>>())?;
        }
        Ok(())
    })?;
    let total = CLIENTS * ROUNDS;
    let mut conn = Conn::open(port)?;
    for i in 0..KEYS {
        let expected = [
            (format!("GET n{i}"), total),
            (format!("HGET h{i} f"), 2 * total),
            (format!("ZSCORE z{i} m"), 3 * total),
            (format!("GET f{i}"), total / 2),
        ];
        for (line, sum) in expected {
            let got = conn.must(&line)?.text();
            ensure!(got == sum.to_string(), "{line}: {got} instead of {sum}");
        }
    }
    Ok(())
}

/// Writers set ten keys to one value by MSET; readers must never see two values in one MGET.
fn mset_whole(port: u16) -> Result<()> {
    let keys: Vec<String> = (0..10).map(|i| format!("mset:{i}")).collect();
    let mset = |v: usize| format!("MSET {}", keys.iter().map(|k| format!("{k} {v}")).collect::<Vec<_>>().join(" "));
    Conn::open(port)?.must(&mset(0))?;
    clients(CLIENTS, |me| {
        let mut conn = Conn::open(port)?;
        for round in 0..1200 {
            if me % 2 == 0 {
                conn.must(&mset(me * 1_000_000 + round))?;
                continue;
            }
            let reply = conn.must(&format!("MGET {}", keys.join(" ")))?;
            let items = reply.items().context("MGET answers an array")?;
            ensure!(items.iter().all(|i| *i == items[0]), "a torn MSET: {}", crate::show::show(&reply));
        }
        Ok(())
    })
}

/// A hundred keys change names all the time, never onto each other: all values are there in the end.
fn renames(port: u16) -> Result<()> {
    const KEYS: usize = 100;
    let mut conn = Conn::open(port)?;
    conn.must("FLUSHALL")?;
    pipeline(&mut conn, &(0..KEYS).map(|i| format!("SET ren:{i} value-{i}")).collect::<Vec<_>>())?;
    clients(CLIENTS, |me| {
        let mut rng = Rng::new(me as u64);
        let mut conn = Conn::open(port)?;
        for _ in 0..3000 {
            // Twice as many names as keys; RENAMENX refuses a name that is taken. A name that is free is an error.
            let reply = conn.line(&format!("RENAMENX ren:{} ren:{}", rng.below(2 * KEYS), rng.below(2 * KEYS)))?;
            let fine = matches!(reply, Reply::Int(0 | 1) | Reply::Error(_));
            ensure!(fine, "RENAMENX answered {}", crate::show::show(&reply));
        }
        Ok(())
    })?;
    let names: Vec<String> = (0..2 * KEYS).map(|i| format!("GET ren:{i}")).collect();
    let mut values: Vec<String> =
        pipeline(&mut conn, &names)?.iter().filter(|r| !r.is_nil()).map(Reply::text).collect();
    values.sort();
    let mut expected: Vec<String> = (0..KEYS).map(|i| format!("value-{i}")).collect();
    expected.sort();
    ensure!(values == expected, "{} values are left of {KEYS}", values.len());
    let size = conn.must("DBSIZE")?;
    ensure!(size == Reply::Int(KEYS as i64), "DBSIZE is {}", crate::show::show(&size));
    Ok(())
}

/// Members wander between ten sets by SMOVE; each must be in exactly one in the end.
fn moved_members(port: u16) -> Result<()> {
    const MEMBERS: usize = 200;
    const SETS: usize = 10;
    let mut conn = Conn::open(port)?;
    conn.must("FLUSHALL")?;
    pipeline(&mut conn, &(0..MEMBERS).map(|i| format!("SADD s{} member-{i}", i % SETS)).collect::<Vec<_>>())?;
    clients(CLIENTS, |me| {
        let mut rng = Rng::new(100 + me as u64);
        let mut conn = Conn::open(port)?;
        for _ in 0..100 {
            let line = |_| format!("SMOVE s{} s{} member-{}", rng.below(SETS), rng.below(SETS), rng.below(MEMBERS));
            pipeline(&mut conn, &(0..50).map(line).collect::<Vec<_>>())?;
        }
        Ok(())
    })?;
    let cards = pipeline(&mut conn, &(0..SETS).map(|i| format!("SCARD s{i}")).collect::<Vec<_>>())?;
    let total: i64 = cards.iter().filter_map(Reply::int).sum();
    let sets: Vec<String> = (0..SETS).map(|i| format!("s{i}")).collect();
    let union = conn.must(&format!("SUNION {}", sets.join(" ")))?.items().map_or(0, <[Reply]>::len);
    ensure!(total == MEMBERS as i64 && union == MEMBERS, "{total} members, {union} different, instead of {MEMBERS}");
    Ok(())
}

/// Elements wander between five lists by LMOVE and RPOPLPUSH; none may be lost or doubled.
fn moved_elements(port: u16) -> Result<()> {
    const ELEMENTS: usize = 300;
    const LISTS: usize = 5;
    let mut conn = Conn::open(port)?;
    conn.must("FLUSHALL")?;
    pipeline(&mut conn, &(0..ELEMENTS).map(|i| format!("RPUSH l{} e{i}", i % LISTS)).collect::<Vec<_>>())?;
    clients(CLIENTS, |me| {
        let mut rng = Rng::new(200 + me as u64);
        let mut conn = Conn::open(port)?;
        for _ in 0..100 {
            let line = |i: usize| {
                let (a, b) = (rng.below(LISTS), rng.below(LISTS));
                if i.is_multiple_of(2) { format!("LMOVE l{a} l{b} LEFT RIGHT") } else { format!("RPOPLPUSH l{a} l{b}") }
            };
            pipeline(&mut conn, &(0..50).map(line).collect::<Vec<_>>())?;
        }
        Ok(())
    })?;
    let lists = pipeline(&mut conn, &(0..LISTS).map(|i| format!("LRANGE l{i} 0 -1")).collect::<Vec<_>>())?;
    let mut elements: Vec<&Reply> = lists.iter().flat_map(|l| l.items().unwrap_or_default()).collect();
    let count = elements.len();
    elements.sort();
    elements.dedup();
    ensure!(count == ELEMENTS && elements.len() == ELEMENTS, "{count} elements, {} different", elements.len());
    Ok(())
}

/// One member wanders between two sets while others store their union: the union has it exactly once, always.
fn unions(port: u16) -> Result<()> {
    const FIXED: usize = 100;
    let mut setup = Conn::open(port)?;
    setup.must("FLUSHALL")?;
    // Enough members that a union takes a while.
    let fixed = |set: &str| (0..FIXED).map(|i| format!(" {set}-{i}")).collect::<String>();
    setup.must(&format!("SADD u:a wanderer{}", fixed("a")))?;
    setup.must(&format!("SADD u:b{}", fixed("b")))?;
    clients(CLIENTS, |me| {
        let mut conn = Conn::open(port)?;
        for round in 0..800 {
            if me < 2 {
                let (from, to) = if round % 2 == 0 { ("u:a", "u:b") } else { ("u:b", "u:a") };
                conn.must(&format!("SMOVE {from} {to} wanderer"))?;
                continue;
            }
            let size = conn.must(&format!("SUNIONSTORE u:dst{me} u:a u:b"))?;
            let expected = 2 * FIXED as i64 + 1;
            ensure!(size == Reply::Int(expected), "a union of {} members, not {expected}", crate::show::show(&size));
            let shared = conn.must("SINTERCARD 2 u:a u:b")?;
            ensure!(shared == Reply::Int(0), "the wanderer is in both sets");
        }
        Ok(())
    })
}

/// Random multi-key commands from fifty connections while PING on a connection of its own must keep answering.
fn no_deadlock(server: &mut Server, duration: Duration) -> Result<()> {
    let port = server.port();
    let stop = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let stop = &stop;
        let workers: Vec<_> = (0..STRESS_CLIENTS).map(|i| scope.spawn(move || stress(port, i as u64, stop))).collect();
        let watched = watch(port, duration);
        stop.store(true, Ordering::Relaxed);
        let done = workers.into_iter().map(|w| w.join().expect("a client thread does not panic"));
        let done: Result<usize> = done.sum();
        watched.and(done)
    });
    ensure!(server.alive(), "the server died:\n{}", server.output());
    let commands = outcome?;
    println!("  {commands} random multi-key commands in {duration:?}");
    ensure!(commands > 0, "no command was answered");
    Ok(())
}

fn watch(port: u16, duration: Duration) -> Result<()> {
    let mut conn = Conn::open(port)?;
    conn.set_timeout(PING_LIMIT)?;
    let end = Instant::now() + duration;
    while Instant::now() < end {
        conn.must("PING").context("PING was not answered in time: a deadlock")?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// One client's random commands; returns how many were answered.
fn stress(port: u16, seed: u64, stop: &AtomicBool) -> Result<usize> {
    const TEMPLATES: &[&str] = &[
        "MSET K 1 K 2 K 3",
        "MGET K K K K",
        "RENAME K K",
        "COPY K K REPLACE",
        "DEL K K",
        "SUNIONSTORE S S S",
        "SINTERSTORE S S S",
        "SDIFFSTORE S S S",
        "SMOVE S S 5",
        "SADD S 1 2 3 4 5",
        "LMOVE L L LEFT RIGHT",
        "RPUSH L a b",
        "ZUNIONSTORE Z 2 Z Z",
        "ZADD Z 1 a 2 b",
        "ZRANGESTORE Z Z 0 5",
        "LMPOP 2 L L LEFT",
        "MSETNX K 1 K 2",
        "UNLINK K L",
        "EXISTS K S L Z",
        "SUNION S S S",
        "SINTERCARD 2 S S",
        "PEXPIRE K 5",
        "DBSIZE",
        "LTRIM L 0 20",
        "ZPOPMIN Z 3",
    ];
    let mut rng = Rng::new(seed);
    let mut conn = Conn::open(port)?;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<Vec<Vec<u8>>> = (0..10).map(|_| words(&fill(TEMPLATES, &mut rng))).collect();
        count += batch.len();
        // Errors are fine here: keys change their types all the time.
        conn.pipeline(&batch)?;
    }
    Ok(count)
}

/// A template with keys of a pool of twenty in the place of its single letters.
fn fill(templates: &[&str], rng: &mut Rng) -> String {
    let template = *rng.pick(templates);
    let word = |w: &str| match w {
        "K" | "S" | "L" | "Z" => format!("{w}{}", rng.below(20)),
        other => other.to_string(),
    };
    template.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
