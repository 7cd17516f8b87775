//! Building and finding the server under test, and running cargo and other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use kinovar_tests::server::Program;

use crate::args::Args;

/// The root of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// The build folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// True where a missing tool must not be skipped.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false")
}

/// Runs a program in the checkout's root; its output goes to ours.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    println!("$ {program} {}", args.join(" "));
    let status = Command::new(program).args(args).current_dir(root()).status();
    let status = status.with_context(|| format!("run {program}"))?;
    if status.success() { Ok(()) } else { bail!("{program} {} failed ({status})", args.join(" ")) }
}

/// Runs a program and returns what it printed; its errors become ours.
pub fn output(program: &Path, args: &[&str]) -> Result<String> {
    let out = Command::new(program).args(args).output().with_context(|| format!("run {}", program.display()))?;
    if !out.status.success() {
        let errors = String::from_utf8_lossy(&out.stderr);
        bail!("{} {}: {}\n{errors}", program.display(), args.join(" "), out.status);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The server under test: `--subject`, KINOVAR_SUBJECT, or our own built with `profile`.
pub fn subject(args: &Args, profile: &str) -> Result<Program> {
    let given =
        args.option("subject").map(PathBuf::from).or_else(|| std::env::var_os("KINOVAR_SUBJECT").map(PathBuf::from));
    let path = match given {
        Some(path) if path.exists() => path,
        Some(path) => bail!("the subject {} does not exist", path.display()),
        None => {
            run("cargo", &["build", "--package", "kinovar-server", "--profile", profile])?;
            target().join(profile).join("kinovar")
        }
    };
    Ok(Program::new("kinovar", &path))
}
