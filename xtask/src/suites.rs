//! `cargo xtask test`: the checks, then every system suite against a server built for tests.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kinovar_tests::pair::Sides;
use kinovar_tests::report::Report;
use kinovar_tests::{
    aof, aof_loading, apps, beyond, busy, chaos, clients, concurrency, crowds, effects, eviction, faults, garbage,
    interchange, limits, loading, migrating, observability, operation, reloading, saving, script, tests_dir, tls,
    users, workshop,
};

use crate::args::Args;
use crate::{build, checks, compat, diff, metadata, sys, tools};

/// The suites in the order they run: the cheapest proof first.
const SUITES: &[&str] = &[
    "compat",
    "scripts",
    "effects",
    "workshop",
    "beyond",
    "random",
    "interchange",
    "migrating",
    "reloading",
    "saving",
    "aof",
    "faults",
    "concurrency",
    "chaos",
    "crowds",
    "busy",
    "limits",
    "eviction",
    "operation",
    "users",
    "loading",
    "aof-loading",
    "observability",
    "tls",
    "clients",
    "apps",
    "garbage",
];
/// How long the random multi-key commands run: enough for a lock order mistake to show, short enough for CI.
const STRESS_SECONDS: u64 = 15;
/// Random commands of each group between which data is saved and loaded again.
const RELOADED: u64 = 5_000;
/// How often a server is killed.
const CRASH_ROUNDS: u64 = 10;
/// How long chaos reigns in `test`, and when it is run alone.
const CHAOS_SECONDS: u64 = 10;
const CHAOS_SECONDS_FULL: u64 = 60;

/// Runs all suites, or those named; ends with the line `N passed, N failed`.
pub fn run(args: &Args) -> Result<()> {
    let unknown = args.words.iter().find(|word| !SUITES.contains(&word.as_str()));
    ensure!(unknown.is_none(), "there is no suite {unknown:?}, but {}", SUITES.join(", "));
    let mut report = Report::default();
    if !args.switch("no-check") && args.words.is_empty() {
        report.step("check", checks::run());
    }
    match diff::sides(args, "test-release") {
        Ok(sides) => run_suites(args, &sides, &mut report),
        Err(error) => missing(&mut report, "the system suites", &error),
    }
    diff::finish(report)
}

fn run_suites(args: &Args, sides: &Sides, report: &mut Report) {
    for suite in SUITES {
        if !args.words.is_empty() && !args.words.iter().any(|w| w == suite) {
            continue;
        }
        println!("== {suite}");
        let start = Instant::now();
        let before = report.failures.len();
        match suite_report(suite, args, sides) {
            Ok(one) => report.merge(one),
            Err(error) => report.failures.push(format!("{suite}: {error:#}")),
        }
        let failed = report.failures.len() - before;
        println!("== {suite}: {failed} failed, {:.1} s", start.elapsed().as_secs_f64());
    }
}

fn suite_report(suite: &str, args: &Args, sides: &Sides) -> Result<Report> {
    match suite {
        "compat" => {
            let mut report = Report::default();
            report.step("COMPAT.md", compat::check(&sides.subject));
            report.merge(metadata::run(sides)?);
            Ok(report)
        }
        "scripts" => script::run_folder(&tests_dir().join("diff"), None, sides),
        "effects" => all_effects(args, sides),
        "workshop" => workshop::run(sides),
        // The reference does not know these commands.
        "beyond" if sides.subject.prefix.is_empty() => Ok(Report::default()),
        "beyond" => beyond::run(&sides.subject, args.option("script")),
        "random" => diff::random_groups(args, sides),
        "interchange" => all_interchange(sides),
        "migrating" => migrating::run(sides),
        "reloading" => reloading::run(sides, args.number("count", RELOADED)?, args.number("seed", 1)?),
        "saving" => saving::run(sides),
        "aof" => aof::run(sides, args.number("rounds", CRASH_ROUNDS)?, args.number("seed", 1)?),
        "faults" => {
            faults::run(sides, args.number("rounds", CRASH_ROUNDS)?, args.number("seed", 1)?, args.option("only"))
        }
        "concurrency" => concurrency::run(&sides.subject, Duration::from_secs(args.number("seconds", STRESS_SECONDS)?)),
        "chaos" => chaos::run(&sides.subject, &chaos_plan(args, CHAOS_SECONDS)?),
        "crowds" => {
            sys::raise_file_limit()?;
            crowds::run(&sides.subject)
        }
        "busy" => busy::run(sides),
        "eviction" => eviction::run(&sides.subject),
        "limits" => limits::run(&sides.subject),
        "operation" => operation::run(&sides.subject),
        "users" => users::run(sides),
        "loading" => loading::run(sides),
        "aof-loading" => aof_loading::run(sides),
        "observability" => observability::run(&sides.subject),
        "tls" => tls::run(&sides.subject),
        "clients" => all_clients(sides),
        "apps" => all_apps(sides),
        _ => {
            let limit = sys::raise_file_limit()?;
            let duration = Duration::from_secs(5);
            let mut plan = garbage::Plan { connections: 400, duration, file_limit: limit, options: &[] };
            let mut report = garbage::run(&sides.subject, &plan)?;
            // The reference has no choice of engines.
            if !sides.subject.prefix.is_empty() {
                plan.options = &["--io-engine", "epoll"];
                report.merge(garbage::run(&sides.subject, &plan)?);
            }
            Ok(report)
        }
    }
}

/// The scripts, or one of them (`--script`); random commands, or those of one group (`--group`); and `--group replay`.
fn all_effects(args: &Args, sides: &Sides) -> Result<Report> {
    let (script, group, seed) = (args.option("script"), args.option("group"), args.number("seed", 1)?);
    let mut report = Report::default();
    if group.is_none() {
        report.merge(effects::run(sides, script)?);
    }
    if script.is_none() {
        report.merge(effects::run_random(sides, group, seed)?);
    }
    if script.is_none() && group.is_none_or(|group| group == "replay") {
        report.merge(effects::replay::run(sides, seed));
    }
    Ok(report)
}

/// With 8.2.3, and with the version of before.
fn all_interchange(sides: &Sides) -> Result<Report> {
    let mut report = interchange::run(sides)?;
    if sides.subject.prefix.is_empty() {
        // 8.2.3 writes nothing that the other one reads.
        return Ok(report);
    }
    match tools::redis_7() {
        Ok(older) => report.merge(interchange::with_version(&sides.subject, &older)?),
        Err(error) => missing(&mut report, "interchange with redis 7.0.15", &error),
    }
    Ok(report)
}

fn all_clients(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    match tools::redis_py() {
        Ok(python) => report.merge(clients::redis_py(&sides.subject, &python)?),
        Err(error) => missing(&mut report, "redis-py", &error),
    }
    match tools::redis_tool("redis-benchmark") {
        Ok(tool) => report.merge(clients::redis_benchmark(&sides.subject, &tool)?),
        Err(error) => missing(&mut report, "redis-benchmark", &error),
    }
    match tools::redis_tool("redis-cli") {
        Ok(tool) => report.merge(clients::redis_cli(sides, &tool)?),
        Err(error) => missing(&mut report, "redis-cli", &error),
    }
    Ok(report)
}

fn all_apps(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    match tools::app_python() {
        Ok(python) => report.merge(apps::python(&sides.subject, &python)?),
        Err(error) => missing(&mut report, "redis-py, Celery and RQ", &error),
    }
    match tools::bullmq() {
        Ok((node, modules)) => report.merge(apps::bullmq(&sides.subject, &node, &modules)?),
        Err(error) => missing(&mut report, "BullMQ", &error),
    }
    Ok(report)
}

/// A tool could not be had: a failure in CI, a loud line elsewhere.
fn missing(report: &mut Report, what: &str, error: &anyhow::Error) {
    if build::in_ci() {
        report.failures.push(format!("{what}: {error:#}"));
    } else {
        println!("\n!!! SKIPPED {what}: {error:#}\n");
    }
}

/// `cargo xtask garbage`: the hostile input run alone, by default in full.
pub fn garbage_alone(args: &Args) -> Result<()> {
    let limit = sys::raise_file_limit()?;
    let connections = args.number("connections", 10_000)? as usize;
    let duration = Duration::from_secs(args.number("seconds", 60)?);
    let subject = build::subject(args, "release")?;
    let options: Vec<&str> = args.option("engine").into_iter().flat_map(|engine| ["--io-engine", engine]).collect();
    let plan = garbage::Plan { connections, duration, file_limit: limit, options: &options };
    diff::finish(garbage::run(&subject, &plan)?)
}

/// `cargo xtask chaos`: chaos alone, for longer.
pub fn chaos_alone(args: &Args) -> Result<()> {
    let subject = build::subject(args, "test-release")?;
    diff::finish(chaos::run(&subject, &chaos_plan(args, CHAOS_SECONDS_FULL)?)?)
}

fn chaos_plan(args: &Args, seconds: u64) -> Result<chaos::Plan> {
    let duration = Duration::from_secs(args.number("seconds", seconds)?);
    Ok(chaos::Plan { duration, seed: args.number("seed", 1)? })
}
