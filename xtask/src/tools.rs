//! Third-party programs that some suites drive: redis-cli and redis-benchmark, the server of Redis 7.0.15, a Python with
//! redis-py, Celery and RQ, and Node.js with BullMQ. Each is looked for, then fetched below `target/`; a suite that still lacks
//! one is skipped loudly, or fails in CI.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use kinovar_tests::server::Program;
use kinovar_tests::tests_dir;

use crate::build::{output, target};

/// A program of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The system's Python 3.
pub fn python() -> Result<PathBuf> {
    on_path("python3").context("python3 is not on PATH")
}

/// `redis-cli` or `redis-benchmark`: from PATH, installed by apt when we are root, or unpacked below `target/`.
pub fn redis_tool(name: &str) -> Result<PathBuf> {
    let unpacked = target().join("redis-tools/usr/bin").join(name);
    if let Some(found) = on_path(name).or_else(|| unpacked.exists().then_some(unpacked.clone())) {
        return Ok(found);
    }
    install_redis_tools().with_context(|| format!("{name} is missing and redis-tools could not be installed"))?;
    on_path(name).or_else(|| unpacked.exists().then_some(unpacked)).with_context(|| format!("no {name} in redis-tools"))
}

fn install_redis_tools() -> Result<()> {
    let apt = on_path("apt-get").context("no apt-get here")?;
    if is_root() && output(&apt, &["install", "-y", "--no-install-recommends", "redis-tools"]).is_ok() {
        return Ok(());
    }
    let dir = target().join("redis-tools");
    fs::create_dir_all(&dir)?;
    let download = format!("cd '{}' && apt-get download redis-tools", dir.display());
    output(Path::new("/bin/sh"), &["-c", &download])?;
    let unpack = format!("cd '{}' && for deb in *.deb; do dpkg -x \"$deb\" .; done", dir.display());
    output(Path::new("/bin/sh"), &["-c", &unpack])?;
    Ok(())
}

/// The release that Debian 12 has, the last one before the formats of today.
const REDIS_7: &str = "7.0.15";

/// The server of Redis 7.0.15. Debian's `redis-server` is a link to a program of `redis-tools`, whose name says which part it plays.
pub fn redis_7() -> Result<Program> {
    if let Some(path) = std::env::var_os("KINOVAR_REDIS_7") {
        return checked_redis_7(Path::new(&path));
    }
    let dir = target().join("redis-7");
    fs::create_dir_all(&dir)?;
    let link = dir.join("redis-server");
    let made = |program: &Path| -> Result<Program> {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(program, &link)?;
        checked_redis_7(&link)
    };
    let unpacked = dir.join("usr/bin/redis-check-rdb");
    let here = on_path("redis-check-rdb").into_iter().chain(unpacked.exists().then_some(unpacked.clone()));
    if let Some(found) = here.into_iter().find_map(|program| made(&program).ok()) {
        return Ok(found);
    }
    let fetch = format!(
        "cd '{}' && apt-get download redis-tools && for deb in *.deb; do dpkg-deb -x \"$deb\" .; done",
        dir.display()
    );
    output(Path::new("/bin/sh"), &["-c", &fetch]).context("fetch redis-tools of Debian 12 (or set KINOVAR_REDIS_7)")?;
    made(&unpacked)
}

fn checked_redis_7(path: &Path) -> Result<Program> {
    let said = output(path, &["--version"])?;
    if !said.contains(&format!("v={REDIS_7} ")) {
        bail!("{} is not {REDIS_7}: {said}", path.display());
    }
    Ok(Program::new("redis 7.0.15", path))
}

/// A Python with what `tests/clients/requirements.txt` names, in a virtual environment below `target/apps`.
pub fn app_python() -> Result<PathBuf> {
    let venv = target().join("apps/venv");
    let python = venv.join("bin/python");
    let wanted = tests_dir().join("clients/requirements.txt");
    let mark = venv.join("installed.txt");
    if is_same(&wanted, &mark) {
        return Ok(python);
    }
    output(&self::python()?, &["-m", "venv", "--clear", &venv.to_string_lossy()])
        .context("make a virtual environment")?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    output(&python, &[&install[..], &[&wanted.to_string_lossy()]].concat()).context("install Celery and RQ")?;
    fs::copy(&wanted, &mark).context("note what is installed")?;
    Ok(python)
}

/// Node.js, and the folder of the modules that the lock file of `tests/clients/bullmq` names, installed below `target/apps`.
pub fn bullmq() -> Result<(PathBuf, PathBuf)> {
    let node = on_path("node").context("node is not on PATH")?;
    let dir = target().join("apps/bullmq");
    let modules = dir.join("node_modules");
    let mark = dir.join("installed.json");
    let lock = tests_dir().join("clients/bullmq/package-lock.json");
    if is_same(&lock, &mark) {
        return Ok((node, modules));
    }
    let npm = on_path("npm").context("npm is not on PATH")?;
    fs::create_dir_all(&dir)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(tests_dir().join("clients/bullmq").join(file), dir.join(file))?;
    }
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", &dir.to_string_lossy()];
    output(&npm, &install).context("install BullMQ")?;
    fs::copy(&lock, &mark).context("note what is installed")?;
    Ok((node, modules))
}

/// True when both files are there and alike.
fn is_same(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|s| s.lines().any(|l| l.starts_with("Uid:\t0\t")))
}

/// A Python that can `import redis`: a virtual environment below `target/venv`.
pub fn redis_py() -> Result<PathBuf> {
    let venv = target().join("venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        output(&self::python()?, &["-m", "venv", &venv.to_string_lossy()]).context("make a virtual environment")?;
    }
    if output(&python, &["-c", "import redis"]).is_err() {
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "redis>=5"];
        output(&python, &install).context("install redis-py")?;
    }
    if output(&python, &["-c", "import redis"]).is_ok() { Ok(python) } else { bail!("redis-py cannot be imported") }
}
