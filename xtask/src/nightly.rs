//! Commands that need a nightly toolchain: fuzzing, and the unsafe crates under AddressSanitizer and Miri.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::build::{root, target};

/// The target triple that AddressSanitizer wants to be told.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Targets that link the server, whose allocator cannot live beside AddressSanitizer's. Their code is free of `unsafe`.
const WITHOUT_SANITIZER: &[&str] = &["inline", "config", "arguments", "acl"];
/// An input that takes longer is a finding, s.
const INPUT_SECONDS_MAX: u32 = 20;
/// The modules of `ds` with unsafe code: the others would only take time.
const MIRI_MODULES: &[&str] = &["elem::", "entry::", "intset::", "listpack::", "lock::", "sorted_set::", "table::"];
/// Models of random operations, under an interpreter a thousand times slower.
const MIRI_CASES: &str = "3";

/// `cargo xtask fuzz TARGET`: one target, from its seeds and what earlier runs found.
pub fn fuzz(args: &Args) -> Result<()> {
    let targets = fuzz_targets()?;
    let Some(name) = args.words.first().filter(|name| targets.contains(name)) else {
        bail!("name one of the targets: {}", targets.join(" "));
    };
    need_nightly()?;
    let found = nightly(&["cargo", "fuzz", "--version"]).output();
    ensure!(found.is_ok_and(|out| out.status.success()), "cargo-fuzz is missing: cargo install cargo-fuzz");
    let seconds = args.number("seconds", 180)?;
    let plain = WITHOUT_SANITIZER.contains(&name.as_str());
    let (sanitizer, build) = if plain { ("none", "fuzz-plain") } else { ("address", "fuzz") };
    fs::create_dir_all(root().join("fuzz/corpus").join(name))?;
    let corpora = [format!("fuzz/corpus/{name}"), format!("fuzz/seeds/{name}")];
    let limits = [
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        "-rss_limit_mb=3000".into(),
        "-print_final_stats=1".into(),
    ];
    let mut command =
        nightly(&["cargo", "fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", sanitizer, "--target-dir"]);
    command.arg(target().join(build)).arg(name).args(corpora).arg("--").args(limits);
    run(command)
}

/// The names of the targets: the files of `fuzz/fuzz_targets`.
fn fuzz_targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        if let Some(stem) = path.file_stem().filter(|_| path.is_file()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `cargo xtask sanitize [asan] [miri]`: the tests of the crates that have unsafe code.
pub fn sanitize(args: &Args) -> Result<()> {
    need_nightly()?;
    let wanted = |name: &str| args.words.is_empty() || args.words.iter().any(|word| word == name);
    if wanted("asan") {
        let mut command = nightly(&["cargo", "test", "-p", "kinovar-ds", "-p", "kinovar-io", "--target", TRIPLE]);
        command.args(["--lib", "--tests", "--target-dir"]).arg(target().join("asan"));
        command.env("RUSTFLAGS", "-Zsanitizer=address");
        run(command)?;
    }
    if wanted("miri") {
        let found = nightly(&["cargo", "miri", "--version"]).output();
        let found = found.is_ok_and(|out| out.status.success());
        ensure!(found, "Miri is missing: rustup component add --toolchain nightly miri rust-src");
        let mut command = nightly(&["cargo", "miri", "test", "-p", "kinovar-ds", "--lib", "--target-dir"]);
        command.arg(target().join("miri")).arg("--").args(MIRI_MODULES);
        command.env("PROPTEST_CASES", MIRI_CASES).env("MIRIFLAGS", "-Zmiri-disable-isolation");
        run(command)?;
    }
    Ok(())
}

fn need_nightly() -> Result<()> {
    let found = nightly(&["cargo", "--version"]).output();
    let found = found.is_ok_and(|out| out.status.success());
    ensure!(found, "a nightly toolchain is missing: rustup toolchain install nightly");
    Ok(())
}

/// A command of the nightly toolchain, free of what the stable cargo that runs us has set.
fn nightly(words: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(words).current_dir(root());
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTDOC").env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn run(mut command: Command) -> Result<()> {
    println!("$ {command:?}");
    let status = command.status().context("run rustup")?;
    ensure!(status.success(), "that failed ({status})");
    Ok(())
}
