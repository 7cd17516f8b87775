//! What `cargo xtask check` runs, and the first half of `cargo xtask test`.

use anyhow::Result;

use crate::build::run as command;
use crate::tidy;

/// Formatting, lints, architecture rules, unit tests: stops at the first that fails.
pub fn run() -> Result<()> {
    command("cargo", &["fmt", "--all", "--check"])?;
    command("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    tidy::run()?;
    command("cargo", &["test", "--workspace"])
}
