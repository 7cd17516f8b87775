//! The main table: server CPU per request, one thread against one, server on core 0 and load on core 1.

use std::time::Duration;

use anyhow::{Context, Result};
use kinovar_tests::server::{Program, Server};

use super::histogram::Histogram;
use super::load::{Batches, Generator};
use super::rows::{self, Data, KEYS, ROWS, Row};
use super::table::{Table, verdict};
use super::{Plan, median, process};
use crate::sys;

/// Clients of every row.
pub const CONNECTIONS: usize = 50;

/// The rounds of one row on one side.
#[derive(Default)]
pub struct Figures {
    us: Vec<f64>,
    rps: Vec<f64>,
    latency: Histogram,
}

impl Figures {
    /// Median CPU time per request in microseconds.
    pub fn us(&self) -> f64 {
        median(self.us.clone())
    }

    /// Median requests per second.
    pub fn rps(&self) -> f64 {
        median(self.rps.clone())
    }

    /// Takes a round down.
    pub fn add(&mut self, us: f64, rps: f64, latency: &Histogram) {
        self.us.push(us);
        self.rps.push(rps);
        self.latency.merge(latency);
    }

    /// p50, p99 and p99.9 of all rounds in microseconds.
    pub fn percentiles(&self) -> String {
        let p = |percent| self.latency.percentile_us(percent);
        format!("{:.0} / {:.0} / {:.0}", p(50.0), p(99.0), p(99.9))
    }
}

/// Starts a server that runs on core 0 alone; the calling thread ends up on core 1.
pub fn start_pinned(program: &Program, args: &[String]) -> Result<Server> {
    sys::pin(0, 0)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let server = program.start(&args);
    sys::pin(0, 1)?;
    server
}

/// Both servers of a plan with one thread each, pinned.
pub struct Both {
    /// The server under test.
    pub subject: Server,
    /// The reference.
    pub oracle: Server,
}

/// Measures all rows that the plan wants.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = [
        "server CPU us/request",
        "Redis 8.2.3",
        "Kinovar",
        "ratio",
        "target",
        "",
        "Redis k/s",
        "Kinovar k/s",
        "Redis p50/p99/p99.9 us",
        "Kinovar p50/p99/p99.9 us",
    ];
    let mut table = Table::new("One thread against one, 50 clients, 16-byte keys out of 1M", &columns);
    let one = vec!["--io-threads".to_string(), "1".to_string()];
    let subject = start_pinned(&plan.sides.subject, &[one.clone(), plan.subject_args.clone()].concat())?;
    let both = Both { subject, oracle: start_pinned(&plan.sides.oracle, &one)? };
    let mut loaded = None;
    for row in ROWS.iter().filter(|r| plan.wants(r.name)) {
        prepare(&both, row.data, &mut loaded)?;
        let (subject, oracle) = measure(plan, &both, row)?;
        let mut cells = vec![row.name.into(), format!("{:.2}", oracle.us()), format!("{:.2}", subject.us())];
        cells.extend(verdict(subject.us() / oracle.us(), row.target));
        cells.extend([oracle.rps(), subject.rps()].map(|rps| format!("{:.0}", rps / 1000.0)));
        cells.extend([oracle.percentiles(), subject.percentiles()]);
        table.push(cells);
    }
    Ok(table)
}

/// Empties both servers and loads what a row needs, unless it is there already.
pub fn prepare(both: &Both, data: Data, loaded: &mut Option<Data>) -> Result<()> {
    if *loaded == Some(data) {
        return Ok(());
    }
    for server in [&both.subject, &both.oracle] {
        if let Some(before) = loaded {
            rows::unload(server.port(), *before)?;
        }
        server.conn()?.must("FLUSHALL")?;
        rows::load(server.port(), data, KEYS).with_context(|| format!("load {data:?} into {}", server.name()))?;
    }
    *loaded = Some(data);
    Ok(())
}

/// Interleaved rounds of one row.
pub fn measure(plan: &Plan, both: &Both, row: &Row) -> Result<(Figures, Figures)> {
    let batches = Batches::render(row.pipeline, row.render);
    let (mut subject, mut oracle) = (Figures::default(), Figures::default());
    for round in 0..plan.rounds {
        // Who goes first alternates, so that a drift of the machine favours nobody.
        let mut order = [(&both.subject, &mut subject), (&both.oracle, &mut oracle)];
        if round % 2 == 1 {
            order.reverse();
        }
        for (server, figures) in order {
            one_round(server, &batches, plan.round_ms, figures)
                .with_context(|| format!("{} on {}", row.name, server.name()))?;
            if row.data == Data::Nothing {
                server.conn()?.must("FLUSHALL")?;
            }
        }
    }
    Ok((subject, oracle))
}

/// A short warm-up, then one measured round.
pub fn one_round(server: &Server, batches: &Batches, round_ms: u64, figures: &mut Figures) -> Result<()> {
    one_round_of(&[server], batches, round_ms, figures)
}

/// The same with several servers that share the connections: their CPU time together.
pub fn one_round_of(servers: &[&Server], batches: &Batches, round_ms: u64, figures: &mut Figures) -> Result<()> {
    let ports: Vec<u16> = servers.iter().map(|server| server.port()).collect();
    let cpu_ns = || servers.iter().map(|server| process::cpu_ns(server.pid())).sum::<Result<u64>>();
    let mut generator = Generator::new(&ports, CONNECTIONS, batches)?;
    generator.run(Duration::from_millis(round_ms / 5))?;
    let before = cpu_ns()?;
    let outcome = generator.run(Duration::from_millis(round_ms))?;
    let spent = cpu_ns()? - before;
    let requests = outcome.requests as f64;
    figures.add(spent as f64 / 1000.0 / requests, requests / outcome.seconds, &outcome.latency);
    Ok(())
}
