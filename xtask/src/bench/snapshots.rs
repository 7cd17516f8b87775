//! Snapshots: how long they take, how long loading them takes, and what they cost those who write meanwhile.
//!
//! Two threads on both sides, nothing pinned. Latency and memory are measured in runs of their own, since looking at the memory of
//! a process holds it up.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kinovar_tests::conn::Conn;
use kinovar_tests::control::{info, poll_for};
use kinovar_tests::server::{Program, Server};

use super::fill::{fill, key, request, scattered, settled_rss};
use super::histogram::Histogram;
use super::load::{Batches, Generator};
use super::memory::small_hash;
use super::table::{Table, verdict, verdict_at_least};
use super::{Plan, cpu, median};
use crate::sys;

/// Longest wait for anything that is under way.
const DEADLINE: Duration = Duration::from_secs(120);
/// Length of a value.
const VALUE: usize = 64;
/// What a latency may rise by.
const LATENCY_TARGET: f64 = 1.5;

struct Data {
    name: &'static str,
    count: usize,
    render: fn(usize, &mut Vec<u8>),
}

const STRINGS: Data = Data { name: "5M strings of 64 B", count: 5_000_000, render: |n, out| string(n, n, out) };
const HASHES: Data = Data { name: "500k hashes of 8 fields", count: 500_000, render: small_hash };

/// `SET` of the n-th key to a value that does not compress.
fn string(n: usize, seed: usize, out: &mut Vec<u8>) {
    let value: String = (0..VALUE / 16).map(|at| format!("{:016x}", scattered(seed * 4 + at, usize::MAX))).collect();
    request(out, &["SET", &key(n), &value]);
}

/// Measures all rows that the plan wants.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = ["snapshots, two threads", "Redis 8.2.3", "Kinovar", "ratio", "target", ""];
    let mut table = Table::new("Snapshots beside Redis 8.2.3", &columns);
    sys::unpin(thread::available_parallelism()?.get())?;
    for data in [STRINGS, HASHES] {
        let names = [format!("SAVE of {}, s", data.name), format!("loading {}, s", data.name)];
        if names.iter().any(|name| plan.wants(name)) {
            let [(their_save, their_load), (our_save, our_load)] = save_and_load(plan, &data)?;
            for (name, theirs, ours, target) in
                [(&names[0], their_save, our_save, 0.5), (&names[1], their_load, our_load, 1.0 / 3.0)]
            {
                let mut cells = vec![name.clone(), format!("{theirs:.2}"), format!("{ours:.2}")];
                cells.extend(verdict(ours / theirs, target));
                table.push(cells);
            }
        }
    }
    let name = "memory that BGSAVE adds under SETs, % of before";
    if plan.wants(name) {
        let [theirs, ours] = both(plan, &[], |server| added_memory(plan, server))?;
        let mut cells = vec![name.into(), format!("{theirs:.1}"), format!("{ours:.1}"), String::new()];
        cells.extend(["< 5".into(), if ours < 5.0 { "met" } else { "missed" }.into()]);
        table.push(cells);
    }
    let with_file: &[&str] = &["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    for (command, done, args) in
        [("BGSAVE", "rdb_bgsave_in_progress", &[][..]), ("BGREWRITEAOF", "aof_rewrite_in_progress", with_file)]
    {
        let name = format!("SETs of 50 clients during {command}");
        if plan.wants(&name) {
            let [theirs, ours] = both(plan, args, |server| during(plan, server, command, done))?;
            push_latencies(&mut table, command, &theirs, &ours);
        }
    }
    Ok(table)
}

/// Both sides one after the other, each a fresh server with the strings.
fn both<T>(plan: &Plan, args: &[&str], measure: impl Fn(&Server) -> Result<T>) -> Result<[T; 2]> {
    let one = |program: &Program, extra: &[String]| -> Result<T> {
        let server = start(program, extra, args)?;
        fill(server.port(), plan.size(STRINGS.count), STRINGS.render)?;
        settled_rss(&server)?;
        measure(&server).with_context(|| server.name().to_string())
    };
    Ok([one(&plan.sides.oracle, &[])?, one(&plan.sides.subject, &plan.subject_args)?])
}

fn start(program: &Program, extra: &[String], more: &[&str]) -> Result<Server> {
    let mut args = vec!["--io-threads", "2"];
    args.extend(extra.iter().map(String::as_str));
    args.extend(more);
    program.start(&args)
}

/// Median times of `SAVE` and of loading its file, of both sides.
fn save_and_load(plan: &Plan, data: &Data) -> Result<[(f64, f64); 2]> {
    let sides = [(&plan.sides.oracle, &[][..]), (&plan.sides.subject, &plan.subject_args[..])];
    let servers: Vec<Server> =
        sides.iter().map(|(program, extra)| start(program, extra, &[])).collect::<Result<_>>()?;
    for server in &servers {
        fill(server.port(), plan.size(data.count), data.render)?;
    }
    let mut saves = [Vec::new(), Vec::new()];
    for _ in 0..plan.rounds {
        for (server, times) in servers.iter().zip(&mut saves) {
            let mut conn = patient(server)?;
            let begun = Instant::now();
            conn.must("SAVE")?;
            times.push(begun.elapsed().as_secs_f64());
        }
    }
    let files: Vec<Vec<u8>> = servers
        .iter()
        .map(|server| fs::read(server.dir().join("dump.rdb")).context("read the file"))
        .collect::<Result<_>>()?;
    drop(servers);
    let mut loads = [Vec::new(), Vec::new()];
    for _ in 0..plan.rounds {
        for ((file, (program, extra)), times) in files.iter().zip(sides).zip(&mut loads) {
            times.push(load_time(program, extra, file, plan.size(data.count))?);
        }
    }
    let [their_saves, our_saves] = saves.map(median);
    let [their_loads, our_loads] = loads.map(median);
    Ok([(their_saves, their_loads), (our_saves, our_loads)])
}

/// How long a server says that loading a file took, s.
fn load_time(program: &Program, extra: &[String], file: &[u8], keys: usize) -> Result<f64> {
    let mut args = vec!["--io-threads", "2"];
    args.extend(extra.iter().map(String::as_str));
    let server = program.start_filled(&args, |dir| Ok(fs::write(dir.join("dump.rdb"), file)?))?;
    let mut conn = patient(&server)?;
    poll_for(DEADLINE, || "the file is being loaded".into(), || Ok(!conn.line("PING")?.is_error()))?;
    ensure!(conn.must("DBSIZE")?.int() == Some(keys as i64), "not all keys were loaded");
    let log = server.output();
    let line = log.lines().find(|line| line.contains("DB loaded from disk:")).context("the log does not say so")?;
    let seconds = line.rsplit("disk: ").next().and_then(|rest| rest.split(' ').next()).context("no time")?;
    seconds.parse().with_context(|| line.to_string())
}

fn patient(server: &Server) -> Result<Conn> {
    let conn = server.conn()?;
    conn.set_timeout(DEADLINE)?;
    Ok(conn)
}

/// Random keys of those that are there, each with a new value of the same length.
fn sets(plan: &Plan) -> Batches {
    let keys = plan.size(STRINGS.count);
    Batches::render(1, move |n, out| string(scattered(n, keys), n + keys, out))
}

/// The most memory while a snapshot is made under SETs, over what there was before, in percent.
fn added_memory(plan: &Plan, server: &Server) -> Result<f64> {
    let batches = sets(plan);
    let mut generator = Generator::new(&[server.port()], cpu::CONNECTIONS, &batches)?;
    generator.run(Duration::from_millis(plan.round_ms))?;
    let before = memory(server.pid());
    let mut conn = patient(server)?;
    let (is_over, peak) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(before));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                peak.fetch_max(memory(server.pid()), Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = under_way(&mut conn, &mut generator, "BGSAVE", "rdb_bgsave_in_progress");
        is_over.store(true, Relaxed);
        outcome
    })?;
    let peak = peak.into_inner();
    Ok((peak - before) as f64 * 100.0 / before as f64)
}

/// What a process and its children have for themselves, or their share of, KiB.
fn memory(pid: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|child| child.parse().ok()).chain([pid]);
    let share = |pid: u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    pids.filter_map(share).sum()
}

/// Load until what a command begins is over.
fn under_way(conn: &mut Conn, generator: &mut Generator<'_>, command: &str, field: &str) -> Result<Histogram> {
    let mut latency = Histogram::default();
    conn.must(command)?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        latency.merge(&generator.run(Duration::from_millis(250))?.latency);
        if info(conn, "persistence", field)? == 0 {
            return Ok(latency);
        }
        ensure!(Instant::now() < deadline, "{command} goes on");
    }
}

/// What clients see before and while something is under way.
struct Seen {
    before: Histogram,
    during: Histogram,
    rates: [f64; 2],
}

fn during(plan: &Plan, server: &Server, command: &str, field: &str) -> Result<Seen> {
    let batches = sets(plan);
    let mut conn = patient(server)?;
    let mut generator = Generator::new(&[server.port()], cpu::CONNECTIONS, &batches)?;
    generator.run(Duration::from_millis(500))?;
    let mut seen = Seen { before: Histogram::default(), during: Histogram::default(), rates: [0.0; 2] };
    let mut seconds = [0.0; 2];
    for _ in 0..plan.rounds {
        let begun = Instant::now();
        for _ in 0..(plan.round_ms / 250).max(1) {
            seen.before.merge(&generator.run(Duration::from_millis(250))?.latency);
        }
        seconds[0] += begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        seen.during.merge(&under_way(&mut conn, &mut generator, command, field)?);
        seconds[1] += begun.elapsed().as_secs_f64();
        // What follows it, such as the files that are deleted, is not of the next round.
        generator.run(Duration::from_millis(500))?;
    }
    seen.rates = [seen.before.count() as f64 / seconds[0], seen.during.count() as f64 / seconds[1]];
    Ok(seen)
}

fn push_latencies(table: &mut Table, command: &str, theirs: &Seen, ours: &Seen) {
    for (name, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("worst", 100.0)] {
        let pair = |seen: &Seen| [seen.before.percentile_us(percent), seen.during.percentile_us(percent)];
        let show = |[before, during]: [f64; 2]| {
            format!("{:.2} -> {:.2} ({:.1}x)", before / 1e3, during / 1e3, during / before)
        };
        let (their_pair, our_pair) = (pair(theirs), pair(ours));
        let mut cells =
            vec![format!("{name} of SETs before and during {command}, ms"), show(their_pair), show(our_pair)];
        let ratio = our_pair[1] / our_pair[0];
        match percent {
            99.9.. => cells.extend(verdict(ratio, LATENCY_TARGET)),
            _ => cells.extend([format!("{ratio:.2}x"), String::new(), String::new()]),
        }
        table.push(cells);
    }
    let show =
        |[before, during]: [f64; 2]| format!("{:.0} -> {:.0} ({:.2}x)", before / 1e3, during / 1e3, during / before);
    let ratio = ours.rates[1] / ours.rates[0];
    let mut cells = vec![format!("SETs before and during {command}, thousand/s"), show(theirs.rates), show(ours.rates)];
    cells.extend(verdict_at_least(ratio, 0.7));
    table.push(cells);
}
