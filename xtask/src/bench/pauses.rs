//! The worst PING of another client while something large goes on: deletions, mass expiry, growth.
//!
//! Each scenario runs three times and the median of the three worst PINGs counts: what the server does it does every time, while
//! the machine's own hiccups come and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use kinovar_tests::conn::Conn;
use kinovar_tests::server::Server;

use super::cpu::start_pinned;
use super::fill::{element, fill, key, request, scattered};
use super::table::Table;
use super::{Plan, median};

/// The issue allows other clients no longer delay than this.
const TARGET_MS: f64 = 5.0;
/// Runs of each scenario.
const RUNS: usize = 3;

type Scenario = (&'static str, fn(&Plan, &Server) -> Result<f64>);

const SCENARIOS: &[Scenario] = &[
    ("nothing: the noise of this machine", quiet),
    ("DEL of a set", |plan, server| remove(plan, server, load_set, "DEL big")),
    ("DEL of a sorted set", |plan, server| remove(plan, server, load_zset, "DEL big")),
    ("UNLINK of a set", |plan, server| remove(plan, server, load_set, "UNLINK big")),
    ("UNLINK of a sorted set", |plan, server| remove(plan, server, load_zset, "UNLINK big")),
    ("FLUSHALL of a set", |plan, server| remove(plan, server, load_set, "FLUSHALL")),
    ("FLUSHALL of a sorted set", |plan, server| remove(plan, server, load_zset, "FLUSHALL")),
    ("expiry of all keys within one second", expiry),
    ("growth through five times as many keys", growth),
];

/// Runs every scenario on each side; 1M members or keys, a tenth of it in a quick run.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = ["worst PING of another client, ms", "Redis 8.2.3", "Kinovar", "target", ""];
    let title = format!("Pauses, {} members or keys", plan.size(1_000_000));
    let mut table = Table::new(&title, &columns);
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| plan.wants(name)) {
        let one = vec!["--io-threads".to_string(), "1".to_string()];
        let args = [one.clone(), plan.subject_args.clone()].concat();
        let (mut oracle, mut subject) = (Vec::new(), Vec::new());
        for _ in 0..if plan.quick { 1 } else { RUNS } {
            oracle.push(scenario(plan, &start_pinned(&plan.sides.oracle, &one)?)?);
            subject.push(scenario(plan, &start_pinned(&plan.sides.subject, &args)?)?);
        }
        let (oracle, subject) = (median(oracle), median(subject));
        let mark = if subject <= TARGET_MS { "met" } else { "missed" };
        let cells = [format!("{oracle:.1}"), format!("{subject:.1}"), format!("<= {TARGET_MS}"), mark.into()];
        table.push([vec![name.to_string()], cells.to_vec()].concat());
    }
    Ok(table)
}

/// The longest PING, in milliseconds, from before `work` starts until it is over.
fn worst_ping(port: u16, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let stop = AtomicBool::new(false);
    let started = AtomicBool::new(false);
    thread::scope(|scope| {
        let pinger = scope.spawn(|| ping_until(port, &started, &stop));
        while !started.load(Ordering::Acquire) && !pinger.is_finished() {
            thread::yield_now();
        }
        let outcome = work();
        stop.store(true, Ordering::Release);
        let worst = pinger.join().expect("the pinging thread does not panic")?;
        outcome.map(|()| worst)
    })
}

fn ping_until(port: u16, started: &AtomicBool, stop: &AtomicBool) -> Result<f64> {
    let mut conn = Conn::open(port)?;
    let mut worst = 0f64;
    while !stop.load(Ordering::Acquire) {
        let sent = Instant::now();
        conn.must("PING")?;
        worst = worst.max(sent.elapsed().as_secs_f64() * 1000.0);
        started.store(true, Ordering::Release);
    }
    Ok(worst)
}

/// What PING takes at worst while the server has nothing else to do: no figure below can be better.
fn quiet(_: &Plan, server: &Server) -> Result<f64> {
    worst_ping(server.port(), || {
        thread::sleep(Duration::from_secs(2));
        Ok(())
    })
}

fn load_set(port: u16, count: usize) -> Result<()> {
    fill(port, count, |n, out| request(out, &["SADD", "big", &element(n)]))
}

fn load_zset(port: u16, count: usize) -> Result<()> {
    fill(port, count, |n, out| request(out, &["ZADD", "big", &scattered(n, 100_000_000).to_string(), &element(n)]))
}

/// Loads a large value, then removes it while another client pings; the pings go on until half a second later, since
/// lazy freeing comes after the reply.
fn remove(plan: &Plan, server: &Server, load: fn(u16, usize) -> Result<()>, command: &str) -> Result<f64> {
    load(server.port(), plan.size(1_000_000))?;
    let mut conn = server.conn()?;
    worst_ping(server.port(), || {
        conn.must(command)?;
        thread::sleep(Duration::from_millis(500));
        Ok(())
    })
}

/// Keys that all expire within one second; pings until the last is gone.
fn expiry(plan: &Plan, server: &Server) -> Result<f64> {
    let count = plan.size(1_000_000);
    let lead = Duration::from_millis(2000 + 10 * (count as u64 / 1000));
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let first_ms = (now + lead).as_millis() as usize;
    fill(server.port(), count, |n, out| {
        let at = (first_ms + scattered(n, 1000)).to_string();
        request(out, &["SET", &key(n), "xxx", "PXAT", &at]);
    })?;
    let loaded = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as usize;
    ensure!(loaded < first_ms, "loading took longer than the keys live");
    let mut conn = server.conn()?;
    worst_ping(server.port(), || {
        let deadline = Instant::now() + lead + Duration::from_secs(60);
        while conn.must("DBSIZE")?.int() != Some(0) {
            ensure!(Instant::now() < deadline, "the keys did not go away");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })
}

/// SETs of new keys in pipelines; tables grow many times meanwhile.
fn growth(plan: &Plan, server: &Server) -> Result<f64> {
    let port = server.port();
    worst_ping(port, || fill(port, plan.size(5_000_000), |n, out| request(out, &["SET", &key(n), "xxx"])))
}
