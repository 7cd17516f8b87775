//! Developer commands: `cargo xtask help` lists them.
//!
//! Everything that a contributor or CI runs is here, so that both run the same. Tests live in the `tests` crate; this
//! one finds the programs they need, builds the server and measures it.
#![deny(unsafe_code)]

mod args;
mod bench;
mod build;
mod checks;
mod compat;
mod diff;
mod metadata;
mod nightly;
mod oracle;
mod suites;
mod sys;
mod tidy;
mod tools;

use anyhow::{Result, bail};
use args::Args;

const HELP: &str = "\
cargo xtask COMMAND

  check                 formatting, lints, architecture rules, unit tests
  test [SUITE…]         all of check, then the system suites:
                        compat scripts effects workshop beyond random interchange migrating reloading saving aof faults
                        concurrency chaos crowds busy limits eviction operation users loading aof-loading observability
                        tls clients apps garbage
       [--subject PATH] [--count N] [--seconds N] [--rounds N] [--only NAME] [--no-check]
  diff [--group G] [--count N] [--seed S] [--script FILE|NAME] [--subject PATH]
                        one differential run: random groups and scripts
  oracle                fetch the reference server and print its path
  tidy                  architecture rules only
  compat [--check]      write COMPAT.md from the server's command table, or fail if it is stale
  bench [--rows A,B] [--quick] [--rounds N] [--json FILE] [--engine E] [--subject PATH]
        [cpu] [threads] [engines] [coordination] [memory] [pauses]
                        side by side with the reference; all tables when none is named
  garbage [--connections N] [--seconds N] [--engine E]
                        the hostile input run alone; 10000 for 60 seconds is the full one
  chaos [--seconds N] [--seed S]
                        clients that wait, watch, publish and are killed, run alone
  loom                  every interleaving of the locks, the waker and the mailbox; part of check
  fuzz TARGET [--seconds N]
                        one fuzz target (nightly, cargo-fuzz); without a name it lists them
  sanitize [asan] [miri]
                        tests of the crates with unsafe code under AddressSanitizer and Miri (nightly)

Environment: KINOVAR_ORACLE (a redis-server 8.2.3), KINOVAR_SUBJECT (a server to test instead of building one), CI
(set: a missing tool fails instead of skipping).";

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_else(|| "help".into());
    let args = Args::parse(words);
    if args.switch("help") {
        println!("{HELP}");
        return Ok(());
    }
    match command.as_str() {
        "check" => checks::run(),
        "test" => suites::run(&args),
        "diff" => diff::run(&args),
        "garbage" => suites::garbage_alone(&args),
        "chaos" => suites::chaos_alone(&args),
        "oracle" => {
            println!("{}", oracle::require()?.path.display());
            Ok(())
        }
        "tidy" => tidy::run(),
        "compat" => compat::run(&args),
        "bench" => bench::run(&args),
        "loom" => build::run("cargo", &["test", "--package", "kinovar-models"]),
        "fuzz" => nightly::fuzz(&args),
        "sanitize" => nightly::sanitize(&args),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("unknown command {other:?}\n\n{HELP}"),
    }
}
