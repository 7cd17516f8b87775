//! `cargo xtask bench`: the server beside Redis 8.2.3 in one run, on this machine.
//!
//! Both servers run side by side and are measured in interleaved rounds, so that what else the machine does hits both;
//! the median round counts. The portable figure is the server's CPU time per request. `docs/bench.md` tells how to read
//! the tables.

mod coordination;
mod cpu;
mod engines;
mod eviction;

mod fill;
mod histogram;
mod journal;
mod load;
mod memory;
mod pauses;
mod process;
mod rows;
mod snapshots;
mod table;
mod threads;
mod tls;

use anyhow::{Context, Result, ensure};
use kinovar_tests::pair::Sides;
use kinovar_tests::server::Server;

use crate::args::Args;
use crate::{build, diff, sys};
use table::Table;

/// How a run is made.
pub struct Plan {
    /// The two programs.
    pub sides: Sides,
    /// Extra arguments of the subject alone.
    pub subject_args: Vec<String>,
    /// Interleaved rounds; the median counts.
    pub rounds: usize,
    /// Length of a round in milliseconds.
    pub round_ms: u64,
    /// Smaller loads and fewer rounds: a look, not a result.
    pub quick: bool,
    /// Only rows whose name contains one of these; all when empty.
    pub only: Vec<String>,
}

impl Plan {
    /// True when a row is to be run.
    pub fn wants(&self, row: &str) -> bool {
        let plain = |s: &str| s.to_lowercase().replace([' ', ','], "");
        self.only.is_empty() || self.only.iter().any(|o| plain(row).contains(&plain(o)))
    }

    /// `full`, or a tenth of it in a quick run.
    pub fn size(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

/// Runs the tables named on the command line, or all.
pub fn run(args: &Args) -> Result<()> {
    let cpus = std::thread::available_parallelism()?.get();
    ensure!(cpus >= 2, "the bench needs a core for the server and one for the load generator");
    sys::raise_file_limit()?;
    let plan = plan(args)?;
    println!("{}\n", machine()?);
    let mut tables = Vec::new();
    for (name, make) in SECTIONS {
        let named = args.words.is_empty() && plan.only.is_empty() || args.words.iter().any(|w| w == name);
        let by_rows = args.words.is_empty() && !plan.only.is_empty() && *name == "cpu";
        if named || by_rows {
            let table = make(&plan).with_context(|| format!("the {name} table"))?;
            println!("{}", table.markdown());
            tables.push(table);
        }
    }
    match args.option("json") {
        Some(path) => std::fs::write(path, table::json(&tables)).with_context(|| format!("write {path}")),
        None => Ok(()),
    }
}

type Section = (&'static str, fn(&Plan) -> Result<Table>);

const SECTIONS: &[Section] = &[
    ("cpu", cpu::run),
    ("threads", threads::run),
    ("engines", engines::run),
    ("coordination", coordination::run),
    ("memory", memory::run),
    ("pauses", pauses::run),
    ("snapshots", snapshots::run),
    ("journal", journal::run),
    ("tls", tls::run),
    ("eviction", eviction::run),
];

fn plan(args: &Args) -> Result<Plan> {
    let quick = args.switch("quick");
    let engine = args.option("engine").map(|e| vec!["--io-engine".to_string(), e.to_string()]);
    let list = |text: &str| text.split(',').map(|s| s.trim().to_string()).filter(|s| !s.is_empty()).collect();
    Ok(Plan {
        sides: diff::sides(args, "release")?,
        subject_args: engine.unwrap_or_default(),
        rounds: args.number("rounds", if quick { 1 } else { 3 })? as usize,
        round_ms: args.number("round-ms", if quick { 500 } else { 2000 })?,
        quick,
        only: args.option("rows").map(list).unwrap_or_default(),
    })
}

/// One line on what was measured where; figures without it mean nothing.
fn machine() -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown processor");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let commit = build::output(
        std::path::Path::new("git"),
        &["-C", &build::root().to_string_lossy(), "rev-parse", "--short", "HEAD"],
    );
    let words: Vec<String> = std::env::args().skip(1).collect();
    Ok(format!(
        "`cargo xtask {}` at {}, {}, {} cores, Linux {}",
        words.join(" "),
        commit.unwrap_or_default().trim(),
        model.trim_start_matches([' ', '\t', ':']),
        std::thread::available_parallelism()?,
        kernel.trim()
    ))
}

/// The first of the commands that a server does not have.
fn lacking(server: &Server, commands: &[&'static str]) -> Result<Option<&'static str>> {
    let mut conn = server.conn()?;
    for command in commands {
        let reply = conn.must(&format!("COMMAND INFO {command}"))?;
        if reply.items().is_none_or(|items| items.iter().all(|item| item.is_nil())) {
            return Ok(Some(command));
        }
    }
    Ok(None)
}

/// The median of a few figures.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
