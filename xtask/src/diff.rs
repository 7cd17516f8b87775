//! `cargo xtask diff`: differential runs against the reference, scripted and random.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kinovar_tests::known::Known;
use kinovar_tests::pair::Sides;
use kinovar_tests::random::{self, Plan};
use kinovar_tests::report::Report;
use kinovar_tests::script::{self, Script};
use kinovar_tests::tests_dir;

use crate::args::Args;
use crate::{build, oracle};

/// Commands of a random run per group unless `--count` says otherwise.
pub const COUNT: u64 = 100_000;
/// Steps of several clients unless `--count` says otherwise.
const STEPS: u64 = 40_000;

/// Both programs, built and fetched.
pub fn sides(args: &Args, profile: &str) -> Result<Sides> {
    Ok(Sides { subject: build::subject(args, profile)?, oracle: oracle::require()? })
}

/// Runs what the options name: one script, one random group, or everything.
pub fn run(args: &Args) -> Result<()> {
    let sides = sides(args, "test-release")?;
    let mut report = Report::default();
    match (args.option("script"), args.option("group")) {
        (Some(file), _) => report.merge(one_script(file, &sides)?),
        (None, Some(group)) => report.merge(random_group(group, args, &sides)?),
        (None, None) => {
            report.merge(script::run_folder(&tests_dir().join("diff"), None, &sides)?);
            report.merge(random_groups(args, &sides)?);
        }
    }
    finish(report)
}

fn one_script(file: &str, sides: &Sides) -> Result<Report> {
    let path =
        if Path::new(file).exists() { PathBuf::from(file) } else { tests_dir().join(format!("diff/{file}.txt")) };
    script::run(&Script::load(&path)?, sides, &Known::load()?)
}

/// All random groups.
pub fn random_groups(args: &Args, sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    for group in random::GROUPS.iter().chain([&random::COORDINATION]) {
        report.merge(random_group(group, args, sides)?);
    }
    Ok(report)
}

/// One random group with the seed and count of the options.
fn random_group(group: &str, args: &Args, sides: &Sides) -> Result<Report> {
    let count = args.number("count", if group == random::COORDINATION { STEPS } else { COUNT })? as usize;
    let plan = Plan { group: group.into(), count, seed: args.number("seed", 1)? };
    random::run(&plan, sides)
}

/// Prints the failures and the closing line; an error when there is one failure or more.
pub fn finish(report: Report) -> Result<()> {
    for failure in &report.failures {
        println!("\nFAILED {failure}");
    }
    if report.known > 0 {
        println!("{} differences are listed in tests/diff/known.txt", report.known);
    }
    println!("{} passed, {} failed", report.passed, report.failures.len());
    if report.failures.is_empty() { Ok(()) } else { bail!("{} failures", report.failures.len()) }
}
