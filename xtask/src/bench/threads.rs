//! Two threads against Redis with io-threads 2, sharing both cores with the load; and what the second thread costs.
//!
//! The cost is told in two ways. *Over one thread*: CPU per request over that of a server with one thread, which has a core for
//! itself while the load generator has the other. *Over two servers*: over that of two servers with one thread each, which
//! crowd the two cores as much but share nothing. The second is contention alone; the first adds what three threads on two
//! cores lose in caches, switches and smaller batches.

use anyhow::Result;
use kinovar_tests::server::{Program, Server};

use super::cpu::{Figures, one_round_of};
use super::load::Batches;
use super::rows::{Data, ROWS, Row};
use super::table::Table;
use super::{Plan, rows};
use crate::sys;

/// CPU per request with two threads over that with one: DESIGN.md allows no contention tax beyond this.
const TAX_TARGET: f64 = 1.15;
const NAMES: &[&str] = &["GET, P1", "GET, P16", "SET 3 B, P16"];

/// The servers of the table.
struct Servers {
    oracle: Server,
    /// Ours with two threads.
    subject: Server,
    /// Ours with one.
    single: Server,
    /// Two of ours with one each.
    pair: [Server; 2],
}

impl Servers {
    fn start(plan: &Plan) -> Result<Servers> {
        let start = |program: &Program, threads: &str, extra: &[String]| {
            let mut args = vec!["--io-threads", threads];
            args.extend(extra.iter().map(String::as_str));
            program.start(&args)
        };
        let ours = |threads| start(&plan.sides.subject, threads, &plan.subject_args);
        Ok(Servers {
            oracle: start(&plan.sides.oracle, "2", &[])?,
            subject: ours("2")?,
            single: ours("1")?,
            pair: [ours("1")?, ours("1")?],
        })
    }

    fn groups(&self) -> [Vec<&Server>; 4] {
        [vec![&self.oracle], vec![&self.subject], vec![&self.single], self.pair.iter().collect()]
    }

    fn load(&self, data: Data) -> Result<()> {
        for server in self.groups().into_iter().flatten() {
            rows::load(server.port(), data, rows::KEYS)?;
        }
        Ok(())
    }
}

/// Measures the rows in interleaved rounds.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = [
        "two threads",
        "Redis k/s",
        "Kinovar k/s",
        "Redis us",
        "Kinovar us",
        "one thread, us",
        "two servers, us",
        "over two servers",
        "over one thread",
        "target",
        "",
        "Redis p50/p99/p99.9 us",
        "Kinovar p50/p99/p99.9 us",
    ];
    let mut table = Table::new("io-threads 2 on both sides, two cores shared with the load generator", &columns);
    let cpus = std::thread::available_parallelism()?.get().max(2);
    sys::unpin(cpus)?;
    let servers = Servers::start(plan)?;
    servers.load(Data::Strings(3))?;
    for row in ROWS.iter().filter(|r| NAMES.contains(&r.name)) {
        let [oracle, subject, single, pair] = measure(plan, &servers, row)?;
        let mut cells = vec![row.name.into()];
        cells.extend([oracle.rps(), subject.rps()].map(|r| format!("{:.0}", r / 1000.0)));
        cells.extend([&oracle, &subject, &single, &pair].map(|figures| format!("{:.2}", figures.us())));
        cells.push(format!("{:.2}x", subject.us() / pair.us()));
        cells.extend(super::table::verdict(subject.us() / single.us(), TAX_TARGET));
        cells.extend([oracle.percentiles(), subject.percentiles()]);
        table.push(cells);
    }
    Ok(table)
}

fn measure(plan: &Plan, servers: &Servers, row: &Row) -> Result<[Figures; 4]> {
    let batches = Batches::render(row.pipeline, row.render);
    let mut figures: [Figures; 4] = Default::default();
    for _ in 0..plan.rounds {
        for (group, figures) in servers.groups().iter().zip(&mut figures) {
            one_round_of(group, &batches, plan.round_ms, figures)?;
        }
    }
    Ok(figures)
}
