//! GET over TLS. The builds of Redis 8.2.3 that can be fetched have no TLS, so Redis 7.0.15 stands beside ours, with OpenSSL;
//! redis-benchmark, with OpenSSL as well, makes the load. What encryption costs is what the plain port of the same server costs less.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use kinovar_tests::server::{Program, Server};
use kinovar_tests::tls::{Papers, Secure};

use super::Plan;
use super::process;
use super::rows::{self, Data};
use super::table::{Table, verdict};
use crate::tools;

/// Keys of 16 bytes, as redis-benchmark writes them.
const KEYS: usize = 1_000_000;
/// Requests of a round.
const REQUESTS: usize = 400_000;

/// CPU time per request and requests per second of a round.
type Round = (f64, f64);

/// GET one by one and in pipelines of 16, in the clear and over TLS 1.3.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = [
        "server CPU us/request",
        "Redis 7.0.15",
        "Kinovar",
        "ratio",
        "target",
        "",
        "Redis k/s",
        "Kinovar k/s",
        "Redis, what TLS adds",
        "Kinovar, what TLS adds",
    ];
    let mut table = Table::new("GET over TLS 1.3, one thread against one, 50 clients", &columns);
    let tool = tools::redis_tool("redis-benchmark")?;
    let papers = Papers::new("bench")?;
    let start = |program: &Program, extra: &[&str]| -> Result<Secure> {
        let secure = papers.start(program, extra)?;
        rows::load(secure.server.port(), Data::Strings(3), plan.size(KEYS))?;
        Ok(secure)
    };
    let subject = start(&plan.sides.subject, &["--io-threads", "1"])?;
    let oracle = start(&tools::redis_7()?, &[])?;
    for pipeline in ["1", "16"] {
        let round = |secure: &Secure, tls: bool| {
            let (port, options) =
                if tls { (secure.port, &papers.options()[..]) } else { (secure.server.port(), &[][..]) };
            one_round(&tool, &secure.server, port, pipeline, options, plan.size(REQUESTS))
        };
        let mut figures: [Vec<Round>; 4] = Default::default();
        for _ in 0..plan.rounds {
            for (at, (server, tls)) in
                [(&oracle, true), (&subject, true), (&oracle, false), (&subject, false)].into_iter().enumerate()
            {
                figures[at].push(round(server, tls)?);
            }
        }
        let [oracle_tls, subject_tls, oracle_plain, subject_plain] = figures.map(median);
        let mut cells = vec![format!("GET, P{pipeline}, TLS")];
        cells.extend([oracle_tls.0, subject_tls.0].map(|us| format!("{us:.2}")));
        cells.extend(verdict(subject_tls.0 / oracle_tls.0, 1.0));
        cells.extend([oracle_tls.1, subject_tls.1].map(|rps| format!("{:.0}", rps / 1000.0)));
        cells.extend([oracle_tls.0 - oracle_plain.0, subject_tls.0 - subject_plain.0].map(|us| format!("{us:.2}")));
        table.push(cells);
    }
    Ok(table)
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds[rounds.len() / 2]
}

fn one_round(
    tool: &std::path::Path,
    server: &Server,
    port: u16,
    pipeline: &str,
    options: &[&str],
    requests: usize,
) -> Result<Round> {
    let before = process::cpu_ns(server.pid())?;
    let mut command = Command::new(tool);
    command.args(["-p", &port.to_string(), "-t", "get", "-P", pipeline, "-r", "1000000", "--csv"]);
    command.args(["-c", "50", "-n", &requests.to_string()]).args(options).stdin(Stdio::null());
    let out = command.output().context("run redis-benchmark")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success(), "redis-benchmark: {text}");
    let spent = process::cpu_ns(server.pid())? - before;
    let rate = text.lines().last().and_then(|line| line.split(',').nth(1)).context("redis-benchmark tells no rate")?;
    Ok((spent as f64 / 1000.0 / requests as f64, rate.trim_matches('"').parse()?))
}
