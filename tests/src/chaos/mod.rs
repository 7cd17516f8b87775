//! Chaos: dozens of clients that wait, push, transfer, watch, publish and are killed in the middle of it, and what must be
//! true all the same.
//!
//! Every role ([`roles`]) states what it must see while it runs; [`books`] adds up at the end. Elements move along chains
//! and none is lost; an element of a queue reaches one consumer, and goes astray only with one that was killed while it
//! asked; sums over accounts never change; no update of a counter is lost; messages of a publisher come in their order and
//! without a gap; an entry of a stream goes to one consumer of its group. A reply that does not come in time is a deadlock
//! or a client that nobody woke.

mod books;
mod client;
mod roles;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll};
use crate::report::Report;
use crate::rng::Rng;
use crate::server::{Program, Server};
use crate::show::show;
use books::Books;
use client::{Client, World};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long clients go on.
    pub duration: Duration,
    /// Decides what each client draws; not in which order they come.
    pub seed: u64,
}

/// A role: how many clients play it, and what one of them does until the world stops.
struct Role {
    name: &'static str,
    clients: usize,
    play: fn(&mut Client<'_>, usize, &Books) -> Result<()>,
    /// Commands without which nobody plays it.
    needs: &'static [&'static str],
}

const ROLES: &[Role] = &[
    Role { name: "chain", clients: 10, play: roles::chain, needs: &["BLMOVE"] },
    Role { name: "producer", clients: 4, play: roles::producer, needs: &["BLPOP"] },
    Role { name: "patient consumer", clients: roles::QUEUES, play: roles::patient_consumer, needs: &["BLPOP"] },
    Role { name: "consumer", clients: 7, play: roles::consumer, needs: &["BLPOP", "BLMOVE", "BLMPOP"] },
    Role { name: "transfer", clients: 4, play: roles::transfer, needs: &["MULTI"] },
    Role { name: "scripted transfer", clients: 2, play: roles::scripted_transfer, needs: &["EVAL"] },
    Role { name: "auditor", clients: 3, play: roles::auditor, needs: &["MULTI"] },
    Role { name: "counter", clients: 5, play: roles::counter, needs: &["WATCH"] },
    Role { name: "publisher", clients: roles::PUBLISHERS, play: roles::publisher, needs: &["PUBLISH"] },
    Role { name: "subscriber", clients: 4, play: roles::subscriber, needs: &["SUBSCRIBE", "PSUBSCRIBE"] },
    Role { name: "stream producer", clients: 2, play: roles::stream_producer, needs: &["XADD"] },
    Role { name: "stream consumer", clients: 4, play: roles::stream_consumer, needs: &["XADD", "XREADGROUP"] },
];

/// Runs it with one thread and with two.
pub fn run(program: &Program, plan: &Plan) -> Result<Report> {
    let mut report = Report::default();
    // The reference has no choice that would matter.
    let runs: &[&str] = if program.prefix.is_empty() { &["1"] } else { &["1", "2"] };
    for threads in runs {
        // Races need two threads, so most of the time is theirs.
        let share = match (runs.len(), *threads) {
            (1, _) => plan.duration,
            (_, "1") => plan.duration / 4,
            _ => plan.duration * 3 / 4,
        };
        let mut server = program.start(&["--io-threads", threads])?;
        let plan = Plan { duration: share, ..*plan };
        run_on(&mut server, &plan, &format!("{threads} threads"), &mut report)?;
    }
    Ok(report)
}

fn run_on(server: &mut Server, plan: &Plan, name: &str, report: &mut Report) -> Result<()> {
    let mut control = server.conn()?;
    let books = Books::open(&mut control)?;
    let world = World::new(server.port());
    let mut playing = Vec::new();
    for role in ROLES {
        match lacking(&mut control, role.needs)? {
            None => playing.push(role),
            Some(command) => report.check(false, || format!("{name}: {}: the server lacks {command}", role.name)),
        }
    }
    let outcomes = play(&world, &playing, plan, &books, &mut control);
    ensure!(server.alive(), "{name}: the server died:\n{}", server.output());
    for (role, outcome) in outcomes? {
        report.step(&format!("{name}: {role}"), outcome);
    }
    books.settle(&mut control, name, report);
    report.step(&format!("{name}: nothing is left"), nothing_left(&mut control));
    println!("  {name}: {}, {} kills, {} unblocked", books.summary(), world.kills(), world.unblocked());
    Ok(())
}

/// The first of the commands that the server does not have.
fn lacking(control: &mut Conn, commands: &'static [&'static str]) -> Result<Option<&'static str>> {
    for command in commands {
        let reply = control.must(&format!("COMMAND INFO {command}"))?;
        if reply.items().is_none_or(|items| items.iter().all(|item| item.is_nil())) {
            return Ok(Some(command));
        }
    }
    Ok(None)
}

/// How one client ended.
type Ended = (&'static str, Result<()>);

/// All clients at once, and what they came to.
fn play(world: &World, playing: &[&Role], plan: &Plan, books: &Books, control: &mut Conn) -> Result<Vec<Ended>> {
    let all_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut handles = Vec::new();
        let mut slot = 0;
        for role in playing {
            for number in 0..role.clients {
                let mut client = Client::new(world, slot, Rng::new(plan.seed ^ ((slot as u64 + 1) << 20)));
                slot += 1;
                let work = move || (role.name, (role.play)(&mut client, number, books));
                handles.push(scope.spawn(work));
            }
        }
        let killer = scope.spawn(|| ("killer", client::killer(world, plan.seed)));
        let watched = watch(world, plan.duration);
        world.stop();
        let queues_ran_dry = if watched.is_ok() { books.wait_queues_dry(control) } else { Ok(()) };
        let releaser = scope.spawn(|| release(world, &all_ended));
        let mut ended: Vec<Ended> = vec![("PING", watched), ("queues run dry", queues_ran_dry)];
        handles.push(killer);
        ended.extend(handles.into_iter().map(|h| h.join().expect("a client thread does not panic")));
        all_ended.store(true, Ordering::Release);
        ended.push(("release", releaser.join().expect("the releasing thread does not panic")));
        Ok(ended)
    })
}

/// PING must be answered all the time.
fn watch(world: &World, duration: Duration) -> Result<()> {
    let mut conn = world.connect()?;
    let end = Instant::now() + duration;
    while Instant::now() < end {
        conn.must("PING")?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Once the world has stopped: unblocks everybody who still waits, until nobody is left.
fn release(world: &World, all_ended: &AtomicBool) -> Result<()> {
    let mut conn = world.connect()?;
    while !all_ended.load(Ordering::Acquire) {
        for id in world.ids() {
            conn.must(&format!("CLIENT UNBLOCK {id}"))?;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// When all clients are gone, nothing that was kept for them is.
fn nothing_left(control: &mut Conn) -> Result<()> {
    for (name, expected) in [
        ("connected_clients", 1),
        ("blocked_clients", 0),
        ("pubsub_clients", 0),
        ("watching_clients", 0),
        ("total_watched_keys", 0),
        ("total_blocking_keys", 0),
        ("total_blocking_keys_on_nokey", 0),
        ("clients_in_timeout_table", 0),
        ("tracking_clients", 0),
    ] {
        let text = || format!("{name} in INFO does not become {expected}");
        poll(text, || Ok(info(control, "clients", name)? == expected))?;
    }
    for line in ["PUBSUB CHANNELS", "PUBSUB NUMPAT"] {
        let reply = control.must(line)?;
        ensure!(reply.int() == Some(0) || reply.items() == Some(&[]), "{line}: {}", show(&reply));
    }
    Ok(())
}
