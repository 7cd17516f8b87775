//! Third-party clients against the server: redis-py, redis-benchmark and redis-cli, as their users run them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::pair::Sides;
use crate::report::Report;
use crate::server::{Program, Server};
use crate::tls::Papers;

/// Requests per test of redis-benchmark: enough for every connection to come round many times.
const BENCHMARK_REQUESTS: &str = "20000";

/// What a client printed; an error when it failed.
fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("run {command:?}"))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{command:?}: {}\n{text}{errors}", out.status);
    Ok(text)
}

/// The redis-py suite in both protocols and the workshop's Python listing.
pub fn redis_py(program: &Program, python: &Path) -> Result<Report> {
    let mut report = Report::default();
    let dir = crate::tests_dir().join("clients");
    let papers = Papers::new("redis-py")?;
    for protocol in ["2", "3"] {
        let mut suite = |how: &str, port: u16, certificates: &[&Path]| -> Result<()> {
            let mut command = Command::new(python);
            command.arg(dir.join("redis_py_suite.py")).args([&port.to_string(), protocol]).args(certificates);
            let out = command.output()?;
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            for line in text.lines() {
                report.check(line.starts_with("ok "), || format!("redis-py{how}, RESP{protocol}: {line}"));
            }
            report.check(text.contains("ok "), || {
                format!("redis-py{how} did not run: {text}{}", String::from_utf8_lossy(&out.stderr))
            });
            Ok(())
        };
        suite("", program.start(&[])?.port(), &[])?;
        suite(" over TLS", papers.start(program, &[])?.port, &papers.of_client())?;
    }
    let server = program.start(&[])?;
    report.step("the workshop's Python listing", workshop_listing(&server, python, &dir));
    Ok(report)
}

fn workshop_listing(server: &Server, python: &Path, dir: &Path) -> Result<()> {
    let port = server.port().to_string();
    let printed = output(Command::new(python).env("PYTHONIOENCODING", "utf-8").arg(dir.join("workshop.py")).arg(port))?;
    let expected = fs::read_to_string(dir.join("workshop.expected"))?;
    ensure!(printed == expected, "it printed\n{printed}\ninstead of\n{expected}");
    Ok(())
}

/// The default tests of redis-benchmark, without and with pipelining.
pub fn redis_benchmark(program: &Program, tool: &Path) -> Result<Report> {
    let mut report = Report::default();
    let server = program.start(&[])?;
    let port = server.port().to_string();
    let papers = Papers::new("redis-benchmark")?;
    let secure = papers.start(program, &[])?;
    for pipeline in ["1", "16"] {
        let run = |port: &str, tls: &[&str]| {
            let mut command = Command::new(tool);
            command.args(["-p", port, "-q", "-n", BENCHMARK_REQUESTS, "-P", pipeline, "-r", "10000"]).args(tls);
            benchmark(&mut command)
        };
        report.step("redis-benchmark", run(&port, &[]));
        report.step("redis-benchmark over TLS", run(&secure.port.to_string(), &papers.options()));
    }
    Ok(report)
}

fn benchmark(command: &mut Command) -> Result<()> {
    let text = output(command)?;
    let rates = text.matches("requests per second").count();
    ensure!(rates >= 18, "only {rates} tests were reported:\n{text}");
    ensure!(!text.to_lowercase().contains("error"), "an error was reported:\n{text}");
    Ok(())
}

/// The workshop typed into redis-cli, on both servers: the transcripts must be the same.
pub fn redis_cli(sides: &Sides, tool: &Path) -> Result<Report> {
    let mut report = Report::default();
    let typed = typed_lines()?;
    let papers = Papers::new("redis-cli")?;
    for protocol in ["-2", "-3"] {
        let pair = sides.start(&[])?;
        let oracle = transcript(tool, pair.oracle.port(), protocol, &[], &typed)?;
        let oracle: Vec<&str> = oracle.lines().collect();
        let secure = papers.start(&sides.subject, &[])?;
        for (port, options) in [(pair.subject.port(), &[][..]), (secure.port, &papers.options())] {
            let subject = transcript(tool, port, protocol, options, &typed)?;
            let subject: Vec<&str> = subject.lines().collect();
            let differing = subject.iter().zip(&oracle).find(|(a, b)| a != b);
            let same = differing.is_none() && subject.len() == oracle.len();
            report.check(same, || format!("redis-cli {protocol} {options:?} transcripts differ: {differing:?}"));
        }
        report.check(oracle.len() > 50, || format!("redis-cli printed only {} lines", oracle.len()));
    }
    Ok(report)
}

/// The workshop's commands whose replies have an order and do not depend on the clock.
fn typed_lines() -> Result<String> {
    let text = fs::read_to_string(crate::tests_dir().join("workshop.txt"))?;
    let plain = |l: &&str| !l.starts_with('#') && !l.starts_with('@') && !l.is_empty();
    Ok(text.lines().filter(plain).map(|l| format!("{l}\n")).collect())
}

fn transcript(tool: &Path, port: u16, protocol: &str, tls: &[&str], typed: &str) -> Result<String> {
    let mut command = Command::new(tool);
    command.args([protocol, "-p", &port.to_string()]).args(tls).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
    child.stdin.take().context("redis-cli has a standard input")?.write_all(typed.as_bytes())?;
    let out = child.wait_with_output()?;
    ensure!(out.status.success(), "redis-cli: {}", out.status);
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
