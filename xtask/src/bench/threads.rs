//! Two threads against Redis with io-threads 2, sharing both cores with the load; and what the second thread costs.

use anyhow::Result;
use kinovar_tests::server::{Program, Server};

use super::cpu::{Both, Figures, measure, one_round, prepare};
use super::load::Batches;
use super::rows::{ROWS, Row};
use super::table::Table;
use super::{Plan, rows};
use crate::sys;

/// CPU per request with two threads over that with one: DESIGN.md allows no contention tax beyond this.
const TAX_TARGET: f64 = 1.15;
const NAMES: &[&str] = &["GET, P1", "GET, P16", "SET 3 B, P16"];

/// Measures the rows with two threads on each side, and ours with one thread on the same two cores.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = [
        "two threads",
        "Redis k/s",
        "Kinovar k/s",
        "Redis us",
        "Kinovar us",
        "Kinovar, one thread, us",
        "tax",
        "target",
        "",
        "Redis p50/p99/p99.9 us",
        "Kinovar p50/p99/p99.9 us",
    ];
    let mut table = Table::new("io-threads 2 on both sides, two cores shared with the load generator", &columns);
    let cpus = std::thread::available_parallelism()?.get().max(2);
    sys::unpin(cpus)?;
    let both = Both {
        subject: start(&plan.sides.subject, "2", &plan.subject_args)?,
        oracle: start(&plan.sides.oracle, "2", &[])?,
    };
    let single = start(&plan.sides.subject, "1", &plan.subject_args)?;
    let mut loaded = None;
    for row in ROWS.iter().filter(|r| NAMES.contains(&r.name)) {
        if loaded.is_none() {
            rows::load(single.port(), row.data, rows::KEYS)?;
        }
        prepare(&both, row.data, &mut loaded)?;
        let (subject, oracle) = measure(plan, &both, row)?;
        let alone = rounds(plan, &single, row)?;
        let tax = subject.us() / alone.us();
        let mut cells = vec![row.name.into()];
        cells.extend([oracle.rps(), subject.rps()].map(|r| format!("{:.0}", r / 1000.0)));
        cells.extend([oracle.us(), subject.us(), alone.us()].map(|us| format!("{us:.2}")));
        cells.extend(super::table::verdict(tax, TAX_TARGET));
        cells.extend([oracle.percentiles(), subject.percentiles()]);
        table.push(cells);
    }
    Ok(table)
}

fn start(program: &Program, threads: &str, extra: &[String]) -> Result<Server> {
    let mut args = vec!["--io-threads", threads];
    args.extend(extra.iter().map(String::as_str));
    program.start(&args)
}

fn rounds(plan: &Plan, server: &Server, row: &Row) -> Result<Figures> {
    let batches = Batches::render(row.pipeline, row.render);
    let mut figures = Figures::default();
    for _ in 0..plan.rounds {
        one_round(server, &batches, plan.round_ms, &mut figures)?;
    }
    Ok(figures)
}
