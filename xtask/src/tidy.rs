//! Agreements made into tests: which crate may use which, where unsafe code may stand, what every file must have.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build::root;

/// The arrows between our crates: a crate and the siblings it may name. `server` may know everyone; crates that are not
/// listed may know nobody. Each may also use what its own arrows lead to.
const ARROWS: &[(&str, &[&str])] = &[
    ("io", &[]),
    ("resp", &["ds"]),
    ("ds", &[]),
    ("keyspace", &["ds"]),
    ("command", &["keyspace", "resp"]),
    ("rdb", &["keyspace"]),
    ("commands", &["command", "rdb"]),
    ("lua", &[]),
    ("script", &["lua", "resp"]),
    ("server", &["commands", "command", "keyspace", "rdb", "script", "ds", "io", "resp"]),
];

/// Crates that may contain unsafe code; in all others it is forbidden.
const UNSAFE_CRATES: &[&str] = &["ds", "io"];
/// Workspace members outside `crates/`: tools and tests may use any crate.
const TOOLS: &[&str] = &["xtask", "tests"];
/// The only file of the tools with unsafe code: affinity, limits and epoll for the load generator.
const UNSAFE_TOOL_FILE: &str = "xtask/src/sys.rs";
/// A longer file has more than one subject.
const LINES_MAX: usize = 1500;
/// The start of an absolute path of somebody's machine has no place in the repository. Some are put together here so that
/// this list is not itself an example of one.
const MACHINE_PATHS: &[&str] = &["/home/", concat!("/", "root", "/"), "/Users/", concat!("/", "work", "/"), "C:\\\\"];

/// Checks everything and reports all violations together.
pub fn run() -> Result<()> {
    let mut wrong = Vec::new();
    for crate_dir in crate_dirs()? {
        check_arrows(&crate_dir, &mut wrong)?;
    }
    for file in tracked_files()? {
        check_file(&file, &mut wrong)?;
    }
    check_unsafe_policy(&mut wrong)?;
    if wrong.is_empty() {
        println!("tidy: nothing to report");
        return Ok(());
    }
    wrong.iter().for_each(|w| eprintln!("tidy: {w}"));
    bail!("tidy: {} violations", wrong.len())
}

fn crate_dirs() -> Result<Vec<PathBuf>> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(root().join("crates"))?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    dirs.retain(|d| d.join("Cargo.toml").exists());
    dirs.sort();
    Ok(dirs)
}

fn check_arrows(dir: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = fs::read_to_string(dir.join("Cargo.toml"))?;
    let allowed = allowed_siblings(&name);
    for sibling in siblings(&manifest) {
        if !allowed.contains(&sibling.as_str()) {
            wrong.push(format!("crates/{name} must not depend on {sibling}"));
        }
    }
    Ok(())
}

/// The arrows of a crate and everything they lead to.
fn allowed_siblings(name: &str) -> Vec<&'static str> {
    let mut allowed: Vec<&str> = Vec::new();
    let direct = |name: &str| ARROWS.iter().find(|(from, _)| *from == name).map_or(&[][..], |(_, to)| *to);
    let mut open: Vec<&str> = direct(name).to_vec();
    while let Some(next) = open.pop() {
        if !allowed.contains(&next) {
            allowed.push(next);
            open.extend(direct(next));
        }
    }
    allowed
}

/// The siblings a manifest names outside its dev-dependencies.
fn siblings(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let counts = section.contains("dependencies") && !section.contains("dev-dependencies");
        if let Some(rest) = line.strip_prefix("kinovar-").filter(|_| counts) {
            found.push(rest.split(['.', ' ', '=']).next().unwrap_or(rest).to_string());
        }
    }
    found
}

/// Files git knows or would add.
fn tracked_files() -> Result<Vec<PathBuf>> {
    let list = crate::build::output(
        Path::new("git"),
        &["-C", &root().to_string_lossy(), "ls-files", "--cached", "--others", "--exclude-standard"],
    )
    .context("list the files of the checkout")?;
    Ok(list.lines().map(PathBuf::from).filter(|p| root().join(p).is_file()).collect())
}

fn check_file(file: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let Ok(text) = fs::read_to_string(root().join(file)) else {
        return Ok(());
    };
    let shown = file.display();
    let is_rust = file.extension().is_some_and(|e| e == "rs");
    if is_rust && text.lines().count() > LINES_MAX {
        wrong.push(format!("{shown} has more than {LINES_MAX} lines: look for a second subject"));
    }
    // `x/tests.rs` is the test module of `x.rs`, which says what it is for.
    let is_test_module = file.file_name().is_some_and(|n| n == "tests.rs");
    if is_rust && !is_test_module && !text.lines().take(3).any(|l| l.starts_with("//!")) {
        wrong.push(format!("{shown} does not say what it is for (no //! at its top)"));
    }
    if file != Path::new("xtask/src/tidy.rs") {
        for (i, line) in text.lines().enumerate() {
            if let Some(path) = MACHINE_PATHS.iter().find(|p| names_machine_path(line, p)) {
                wrong.push(format!("{shown}:{}: a path of one machine ({path})", i + 1));
            }
        }
    }
    Ok(())
}

/// True when the path starts a word: `https://x/home/` is an address, not a folder.
fn names_machine_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '-' | '_' | '}' | ')' | '*' | '~'))
    })
}

fn check_unsafe_policy(wrong: &mut Vec<String>) -> Result<()> {
    let crates = crate_dirs()?.into_iter().map(|d| (d, true));
    for (dir, is_crate) in crates.chain(TOOLS.iter().map(|t| (root().join(t), false))) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if (is_crate && UNSAFE_CRATES.contains(&name.as_str())) || name == "xtask" {
            continue;
        }
        for top in ["src/lib.rs", "src/main.rs"] {
            let Ok(text) = fs::read_to_string(dir.join(top)) else {
                continue;
            };
            if !text.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{name}/{top} lacks #![forbid(unsafe_code)]"));
            }
        }
    }
    for file in tracked_files()?.iter().filter(|f| f.starts_with("xtask") && f.extension().is_some_and(|e| e == "rs")) {
        let text = fs::read_to_string(root().join(file))?;
        if text.contains("unsafe {") && file != Path::new(UNSAFE_TOOL_FILE) && file != Path::new("xtask/src/tidy.rs") {
            wrong.push(format!("{}: unsafe code belongs in {UNSAFE_TOOL_FILE}", file.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_read_from_a_manifest() {
        let manifest =
            "[dependencies]\nkinovar-ds.workspace = true\nlibc = \"1\"\n[dev-dependencies]\nkinovar-resp = {}\n";
        assert_eq!(siblings(manifest), ["ds"]);
    }

    #[test]
    fn arrows_lead_on_but_never_back() {
        assert!(allowed_siblings("commands").contains(&"ds"));
        assert!(!allowed_siblings("ds").contains(&"keyspace"));
        assert!(allowed_siblings("io").is_empty());
    }

    #[test]
    fn addresses_are_not_machine_paths() {
        assert!(names_machine_path("open(\"/home/me/x\")", "/home/"));
        assert!(!names_machine_path("see https://example.org/home/x", "/home/"));
    }
}
