//! What the append-only file costs: requests per second with each policy, and readers beside those who write.
//!
//! Two threads on both sides, nothing pinned; the same disk. The servers stand ready side by side, rounds alternate.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use kinovar_tests::server::{Program, Server};

use super::cpu::{CONNECTIONS, Figures};
use super::fill::{key, request, scattered};
use super::load::{Batches, Generator};
use super::rows::{self, Data, KEYS};
use super::table::{Table, verdict, verdict_at_least};
use super::{Plan, median};
use crate::sys;

/// Clients that read while others write.
const READERS: usize = 10;
const POLICIES: [&str; 3] = ["none", "everysec", "always"];

/// One side with each policy.
struct Side {
    servers: Vec<Server>,
}

impl Side {
    fn start(program: &Program, extra: &[String]) -> Result<Side> {
        let start = |policy: &str| -> Result<Server> {
            let mut args = vec!["--io-threads", "2"];
            args.extend(extra.iter().map(String::as_str));
            if policy != "none" {
                args.extend(["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0"]);
            }
            let server = program.start(&args)?;
            rows::load(server.port(), Data::Strings(3), KEYS)?;
            Ok(server)
        };
        Ok(Side { servers: POLICIES.iter().map(|policy| start(policy)).collect::<Result<_>>()? })
    }
}

/// Measures all rows that the plan wants.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = ["append-only file, two threads", "Redis 8.2.3", "Kinovar", "ratio", "target", ""];
    let mut table = Table::new("The append-only file beside Redis 8.2.3", &columns);
    sys::unpin(thread::available_parallelism()?.get())?;
    let sides = [Side::start(&plan.sides.oracle, &[])?, Side::start(&plan.sides.subject, &plan.subject_args)?];
    for pipeline in [1, 16] {
        let name = format!("SET, P{pipeline}");
        if plan.wants(&name) {
            throughput(plan, &sides, pipeline, &mut table).context(name)?;
        }
    }
    if plan.wants("readers") {
        readers(plan, &sides, &mut table)?;
    }
    Ok(table)
}

fn set(n: usize, out: &mut Vec<u8>) {
    request(out, &["SET", &key(scattered(n, KEYS)), "yyy"]);
}

fn get(n: usize, out: &mut Vec<u8>) {
    request(out, &["GET", &key(scattered(n + KEYS, KEYS))]);
}

fn throughput(plan: &Plan, sides: &[Side; 2], pipeline: usize, table: &mut Table) -> Result<()> {
    let batches = Batches::render(pipeline, set);
    let mut rates: [[Vec<f64>; 3]; 2] = Default::default();
    for _ in 0..plan.rounds {
        for (policy, _) in POLICIES.iter().enumerate() {
            for (side, rates) in sides.iter().zip(&mut rates) {
                let mut figures = Figures::default();
                super::cpu::one_round(&side.servers[policy], &batches, plan.round_ms, &mut figures)?;
                rates[policy].push(figures.rps());
            }
        }
    }
    let [theirs, ours] = rates.map(|rates| rates.map(median));
    let thousands = |rate: f64| format!("{:.0}", rate / 1e3);
    for (at, policy) in POLICIES.iter().enumerate() {
        let mut cells = vec![format!("SET, P{pipeline}, 50 clients, {policy}, thousand/s")];
        cells.extend([theirs[at], ours[at]].map(thousands));
        let ratio = ours[at] / theirs[at];
        if *policy == "always" {
            cells.extend(verdict_at_least(ratio, 1.5));
        } else {
            cells.extend([format!("{ratio:.2}x"), String::new(), String::new()]);
        }
        table.push(cells);
    }
    let kept = |rates: [f64; 3]| rates[1] / rates[0];
    let mut cells = vec![format!("SET, P{pipeline}, everysec over none")];
    cells.extend([theirs, ours].map(|rates| format!("{:.2}", kept(rates))));
    cells.extend(verdict_at_least(kept(ours), 0.9));
    table.push(cells);
    Ok(())
}

/// The median of clients that read while others write, without a file and with one that is synced always.
fn readers(plan: &Plan, sides: &[Side; 2], table: &mut Table) -> Result<()> {
    let (sets, gets) = (Batches::render(1, set), Batches::render(1, get));
    let mut medians: [[Vec<f64>; 3]; 2] = Default::default();
    let mut rates: [[Vec<f64>; 3]; 2] = Default::default();
    let round = Duration::from_millis(plan.round_ms);
    for _ in 0..plan.rounds {
        for (policy, _) in POLICIES.iter().enumerate() {
            for ((side, medians), rates) in sides.iter().zip(&mut medians).zip(&mut rates) {
                let port = side.servers[policy].port();
                let reads = thread::scope(|scope| -> Result<_> {
                    let writers = scope.spawn(|| Generator::new(&[port], CONNECTIONS, &sets)?.run(round));
                    let readers = Generator::new(&[port], READERS, &gets)?.run(round)?;
                    writers.join().expect("no panic")?;
                    Ok(readers)
                })?;
                medians[policy].push(reads.latency.percentile_us(50.0));
                rates[policy].push(reads.requests as f64 / reads.seconds / 1e3);
            }
        }
    }
    let pairs = medians.map(|medians| medians.map(median));
    let show = |[none, _, always]: [f64; 3]| format!("{none:.0} -> {always:.0} ({:.2}x)", always / none);
    let mut cells = vec!["median of 10 readers beside 50 writers, none -> always, us".to_string()];
    cells.extend(pairs.map(show));
    let ratio = pairs[1][2] / pairs[1][0];
    let rates = rates.map(|rates| rates.map(median));
    let mut more = vec!["what these read, none -> always, thousand/s".to_string()];
    more.extend(rates.map(show));
    more.extend([format!("{:.2}x", rates[1][2] / rates[1][0]), String::new(), String::new()]);
    cells.extend(verdict(ratio, 1.5));
    table.push(cells);
    table.push(more);
    Ok(())
}
