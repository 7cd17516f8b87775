//! Memory that is short: hit rates of each policy on the same trace, and what a flood of writes does to memory and
//! latency.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kinovar_tests::conn::Conn;
use kinovar_tests::rng::Rng;
use kinovar_tests::server::{Program, Server};

use super::fill::{key, request, scattered};
use super::load::{Batches, Generator};
use super::table::{Table, verdict};
use super::{Plan, median};
use crate::sys;

/// Keys that the trace may ask for.
const KEYS: usize = 1_000_000;
/// Requests of the trace before hits are counted, and those that are counted.
const REQUESTS: usize = 1_000_000;
/// How quickly popularity falls: that of the key on place n is proportional to n to the power of minus this.
const SKEW: f64 = 0.99;
/// The share of all keys that fits into memory.
const SHARE: f64 = 0.2;
/// Bytes of a value of the trace.
const VALUE: usize = 200;
/// Requests sent together; the misses among them are set together, too.
const TOGETHER: usize = 64;
/// What a flood may use, and the bytes of each value.
const FLOOD_MIB: u64 = 256;
const FLOOD_VALUE: usize = 1024;
const FLOOD_CLIENTS: usize = 50;

/// A policy, and the time to live that each key is set with, ms: at least, and by chance more.
const POLICIES: &[(&str, Option<(usize, usize)>)] = &[
    ("allkeys-lru", None),
    ("allkeys-lfu", None),
    ("allkeys-random", None),
    ("volatile-lru", Some((3_600_000, 3_600_000))),
    ("volatile-lfu", Some((3_600_000, 3_600_000))),
    ("volatile-ttl", Some((3_600_000, 60_000))),
];

/// Runs both parts; a tenth of the keys in a quick run.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = ["memory that is short, two threads", "Redis 8.2.3", "Kinovar", "ratio", "target", ""];
    let mut table = Table::new("Eviction beside Redis 8.2.3", &columns);
    sys::unpin(std::thread::available_parallelism()?.get())?;
    hit_rates(plan, &mut table)?;
    if plan.wants("flood") {
        flood(plan, &mut table)?;
    }
    Ok(table)
}

/// Numbers of keys, the popular ones often: by inversion of the distribution.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(keys: usize) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|n| {
            sum += 1.0 / (n as f64).powf(SKEW);
            sum
        });
        Zipf { sums: sums.collect() }
    }

    fn key(&self, rng: &mut Rng) -> usize {
        let at = rng.next_u64() as f64 / u64::MAX as f64 * self.sums[self.sums.len() - 1];
        let place = self.sums.partition_point(|&sum| sum < at);
        // Neighbours in popularity are none by name.
        place * 618_033 % self.sums.len()
    }
}

fn start(program: &Program, extra: &[String], options: &[&str]) -> Result<Server> {
    let mut args = vec!["--io-threads", "2"];
    args.extend(extra.iter().map(String::as_str));
    args.extend(options);
    program.start(&args)
}

fn used(conn: &mut Conn) -> Result<u64> {
    let text = conn.must("INFO memory")?.text();
    let line = text.lines().find_map(|line| line.strip_prefix("used_memory:")).context("INFO has no used_memory")?;
    Ok(line.trim().parse()?)
}

fn set(key_number: usize, ttl: Option<(usize, usize)>, rng: &mut Rng, out: &mut Vec<u8>) {
    let value = "v".repeat(VALUE);
    match ttl {
        None => request(out, &["SET", &key(key_number), &value]),
        Some((least_ms, more_ms)) => {
            let ttl_ms = (least_ms + rng.below(more_ms)).to_string();
            request(out, &["SET", &key(key_number), &value, "PX", &ttl_ms]);
        }
    }
}

fn hit_rates(plan: &Plan, table: &mut Table) -> Result<()> {
    let (keys, requests) = (plan.size(KEYS), plan.size(REQUESTS));
    let zipf = Zipf::new(keys);
    for &(policy, ttl) in POLICIES {
        let name = format!("hit rate of {policy}, %");
        if !plan.wants(&name) {
            continue;
        }
        let (mut rates, mut held): ([Vec<f64>; 2], [f64; 2]) = Default::default();
        for round in 0..plan.rounds {
            let programs = [(&plan.sides.oracle, &[][..]), (&plan.sides.subject, &plan.subject_args[..])];
            for (side, (program, extra)) in programs.into_iter().enumerate() {
                let trace = Trace { zipf: &zipf, keys, requests, ttl, seed: round as u64 };
                let (rate, keys) = trace.run(&start(program, extra, &["--maxmemory-policy", policy])?)?;
                rates[side].push(rate);
                held[side] = keys;
            }
        }
        let [oracle, subject] = rates.map(median);
        let cells = [format!("{oracle:.2}"), format!("{subject:.2}")];
        let verdict = verdict_of_rate(subject / oracle);
        let name = format!("{name} ({:.1}k and {:.1}k keys fit)", held[0] / 1000.0, held[1] / 1000.0);
        table.push([vec![name], cells.to_vec(), verdict].concat());
    }
    Ok(())
}

/// Here more is better.
fn verdict_of_rate(ratio: f64) -> Vec<String> {
    let ratio = (ratio * 1000.0).round() / 1000.0;
    vec![format!("{ratio:.3}x"), ">= 1.000x".into(), if ratio >= 1.0 { "met" } else { "missed" }.into()]
}

struct Trace<'a> {
    zipf: &'a Zipf,
    keys: usize,
    requests: usize,
    ttl: Option<(usize, usize)>,
    seed: u64,
}

impl Trace<'_> {
    /// The hit rate in percent, and how many keys fit in the end.
    fn run(&self, server: &Server) -> Result<(f64, f64)> {
        let mut rng = Rng::new(self.seed);
        let mut conns = [server.conn()?, server.conn()?];
        // As many keys are to fit on both sides, whatever one costs there.
        let fitting = (self.keys as f64 * SHARE) as usize;
        let before = used(&mut conns[0])?;
        for first in (0..fitting).step_by(TOGETHER) {
            let mut bytes = Vec::new();
            let numbers = first..fitting.min(first + TOGETHER);
            numbers.clone().for_each(|n| set(n, self.ttl, &mut rng, &mut bytes));
            conns[0].send_raw(&bytes)?;
            for _ in numbers {
                ensure!(conns[0].read()?.is_ok(), "a key could not be set");
            }
        }
        let limit = used(&mut conns[0])?;
        conns[0].must("FLUSHALL")?;
        ensure!(limit > before, "keys cost nothing");
        conns[0].must(&format!("CONFIG SET maxmemory {limit}"))?;
        self.ask(&mut conns, self.requests, &mut rng)?;
        // What else takes up memory has changed meanwhile: let it be as many keys again.
        let missing = fitting as i64 - conns[0].must("DBSIZE")?.int().unwrap_or_default();
        let each = ((limit - before) / fitting as u64) as i64;
        conns[0].must(&format!("CONFIG SET maxmemory {}", limit as i64 + missing * each))?;
        let hits = self.ask(&mut conns, self.requests, &mut rng)?;
        let held = conns[0].must("DBSIZE")?.int().unwrap_or_default();
        Ok((hits as f64 * 100.0 / self.requests as f64, held as f64))
    }

    /// Asks for keys, and sets those that are not there; how many were.
    fn ask(&self, conns: &mut [Conn; 2], requests: usize, rng: &mut Rng) -> Result<usize> {
        let mut hits = 0;
        for batch in 0..requests / TOGETHER {
            let conn = &mut conns[batch % 2];
            let numbers: Vec<usize> = (0..TOGETHER).map(|_| self.zipf.key(rng)).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|&n| request(&mut bytes, &["GET", &key(n)]));
            conn.send_raw(&bytes)?;
            bytes.clear();
            let mut misses = 0;
            for n in numbers {
                if conn.read()?.is_nil() {
                    set(n, self.ttl, rng, &mut bytes);
                    misses += 1;
                } else {
                    hits += 1;
                }
            }
            conn.send_raw(&bytes)?;
            for _ in 0..misses {
                ensure!(conn.read()?.is_ok(), "a key could not be set");
            }
        }
        Ok(hits)
    }
}

/// What a flood of writes came to.
#[derive(Default)]
struct Flood {
    p50_us: Vec<f64>,
    p999_us: Vec<f64>,
    rps: Vec<f64>,
    /// The most that was resident, as a multiple of what was allowed.
    resident: f64,
}

fn flood(plan: &Plan, table: &mut Table) -> Result<()> {
    let value = "v".repeat(FLOOD_VALUE);
    let batches = Batches::render(1, |n, out| request(out, &["SET", &key(scattered(n, 100_000_000)), &value]));
    let limit = format!("{FLOOD_MIB}mb");
    let programs = [(&plan.sides.oracle, &[][..]), (&plan.sides.subject, &plan.subject_args[..])];
    let mut figures: [[Flood; 2]; 2] = Default::default();
    for _ in 0..plan.rounds {
        for (side, (program, extra)) in programs.into_iter().enumerate() {
            for bounded in [false, true] {
                let options: &[&str] =
                    if bounded { &["--maxmemory", &limit, "--maxmemory-policy", "allkeys-lru"] } else { &[] };
                one_flood(plan, &start(program, extra, options)?, &batches, &mut figures[side][usize::from(bounded)])?;
            }
        }
    }
    let [oracle, subject] = figures;
    let cells = |name: &str, oracle: String, subject: String, verdict: Vec<String>| {
        [vec![format!("flood of 1 KB values: {name}"), oracle, subject], verdict].concat()
    };
    let growth = |side: &[Flood; 2]| median(side[1].p999_us.clone()) / median(side[0].p999_us.clone());
    let resident = |side: &[Flood; 2]| format!("{:.3}", side[1].resident);
    let pair = |side: &[Flood; 2], of: fn(&Flood) -> &Vec<f64>| {
        format!("{:.0} / {:.0}", median(of(&side[0]).clone()), median(of(&side[1]).clone()))
    };
    let none = || vec![String::new(); 3];
    table.push(cells(
        "most resident, of maxmemory",
        resident(&oracle),
        resident(&subject),
        verdict(subject[1].resident, 1.05),
    ));
    let ratios = (growth(&oracle), growth(&subject));
    let shown = (format!("{:.2}x", ratios.0), format!("{:.2}x", ratios.1));
    table.push(cells("p99.9 with a limit, of that without", shown.0, shown.1, verdict(ratios.1, 3.0)));
    for (name, of) in [
        ("p50 us without / with", (|flood| &flood.p50_us) as fn(&Flood) -> &Vec<f64>),
        ("p99.9 us without / with", |flood| &flood.p999_us),
        ("requests/s without / with", |flood| &flood.rps),
    ] {
        table.push(cells(name, pair(&oracle, of), pair(&subject, of), none()));
    }
    Ok(())
}

/// Fills the server with twice what is allowed, then measures.
fn one_flood(plan: &Plan, server: &Server, batches: &Batches, figures: &mut Flood) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(120);
    let mut generator = Generator::new(&[server.port()], FLOOD_CLIENTS, batches)?;
    let mut written = 0;
    while written < 2 * (FLOOD_MIB << 20) as usize / FLOOD_VALUE {
        written += generator.run(Duration::from_millis(300))?.requests as usize;
        ensure!(Instant::now() < end, "the server takes too long to fill");
    }
    let outcome = generator.run(Duration::from_millis(plan.round_ms))?;
    figures.p50_us.push(outcome.latency.percentile_us(50.0));
    figures.p999_us.push(outcome.latency.percentile_us(99.9));
    figures.rps.push(outcome.requests as f64 / outcome.seconds);
    let peak = server.rss_peak_bytes()? as f64 / (FLOOD_MIB << 20) as f64;
    figures.resident = figures.resident.max(peak);
    Ok(())
}
