//! The two I/O back ends of our server beside each other. The reference has one, so it is not in this table.

use anyhow::Result;

use super::Plan;
use super::cpu::{Figures, one_round, start_pinned};
use super::load::Batches;
use super::rows::{self, KEYS, ROWS};
use super::table::Table;

const NAMES: &[&str] = &["GET, P1", "SET 3 B, P1", "GET, P16", "SET 3 B, P16", "GET, P64"];

/// Measures a few rows with each back end; a back end that cannot start here (containers often forbid io_uring) is
/// shown as such.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = ["server CPU us/request", "io_uring", "epoll", "io_uring over epoll", "io_uring k/s", "epoll k/s"];
    let mut table = Table::new("The two back ends, one thread", &columns);
    if !plan.sides.subject.prefix.iter().any(|p| p == "server") {
        eprintln!("  skipped: the subject knows no io-engine");
        return Ok(table);
    }
    let start = |engine: &str| {
        let args = ["--io-threads", "1", "--io-engine", engine].map(String::from);
        start_pinned(&plan.sides.subject, &args).inspect_err(|error| eprintln!("  {engine}: {error:#}")).ok()
    };
    let servers = [start("io_uring"), start("epoll")];
    for server in servers.iter().flatten() {
        rows::load(server.port(), rows::Data::Strings(3), KEYS)?;
    }
    for row in ROWS.iter().filter(|r| NAMES.contains(&r.name)) {
        let batches = Batches::render(row.pipeline, row.render);
        let mut figures = [Figures::default(), Figures::default()];
        for _ in 0..plan.rounds {
            for (server, figures) in servers.iter().zip(&mut figures) {
                if let Some(server) = server {
                    one_round(server, &batches, plan.round_ms, figures)?;
                }
            }
        }
        let [uring, epoll] = figures;
        let mut cells = vec![row.name.into(), format!("{:.2}", uring.us()), format!("{:.2}", epoll.us())];
        cells.push(format!("{:.2}x", uring.us() / epoll.us()));
        cells.extend([uring.rps(), epoll.rps()].map(|r| format!("{:.0}", r / 1000.0)));
        table.push(cells);
    }
    Ok(table)
}
