//! Loading RDB files: those of the reference give the same data, broken ones an error, and clients are told to wait meanwhile.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::server::{Program, Server};
use crate::show::show;
use meanwhile::Form;

mod broken;
pub(crate) mod data;
mod meanwhile;

/// How long a load may take, on a machine that is busy.
const LOAD_MAX: Duration = Duration::from_secs(60);
/// Keys of the large file.
const MANY_KEYS: usize = 200_000;

/// Runs every check.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    let folder = Folder::new()?;
    report.step("files of the reference", data::same_data(sides, &folder));
    report.step("many keys", data::many_keys(sides, &folder));
    report.step("hints that lie", data::lying_hints(sides, &folder));
    report.step("a file that is not there", data::no_file(sides));
    report.step("keys that have expired", data::expired(sides, &folder));
    report.step("names of the file", data::names(sides, &folder));
    report.step("errors", broken::errors(sides, &folder));
    report.step("files cut off", broken::cut(sides, &folder));
    report.step("bytes changed", broken::changed(sides, &folder));
    for form in [Form::Rdb, Form::Aof] {
        report.step(&format!("clients meanwhile, {form:?}"), meanwhile::replies(sides, &folder, form));
        report.step(&format!("INFO meanwhile, {form:?}"), meanwhile::progress(sides, &folder, form));
    }
    report.step("SIGTERM meanwhile", meanwhile::end(sides, &folder));
    Ok(report)
}

/// Threads, where there is a choice.
pub(crate) fn variants(program: &Program) -> &'static [&'static [&'static str]] {
    if program.prefix.is_empty() { &[&[]] } else { &[&["--io-threads", "1"], &["--io-threads", "2"]] }
}

/// A folder for files, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("kinovar-loading-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// Makes this the content of a file.
    fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Arguments of a server that loads this file.
    fn load<'a>(&'a self, path: &'a Path) -> Result<Vec<&'a str>> {
        let name = path.file_name().and_then(|name| name.to_str()).context("a file's name")?;
        Ok(vec!["--dir", self.0.to_str().context("a folder's name")?, "--dbfilename", name])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until nothing is being loaded.
pub(crate) fn loaded(server: &Server) -> Result<Conn> {
    let mut conn = server.conn()?;
    conn.set_timeout(LOAD_MAX)?;
    poll_for(
        LOAD_MAX,
        || format!("{} does not come to the end of loading: {}", server.name(), server.output()),
        || Ok(info(&mut conn, "persistence", "loading")? == 0),
    )?;
    Ok(conn)
}

/// A file of the reference with what these lines make.
fn saved(sides: &Sides, folder: &Folder, name: &str, make: impl FnOnce(&mut Conn) -> Result<()>) -> Result<PathBuf> {
    let dir = folder.0.to_str().context("a folder's name")?;
    let server = sides.oracle.start(&["--dir", dir, "--dbfilename", name])?;
    let mut conn = server.conn()?;
    conn.set_timeout(LOAD_MAX)?;
    make(&mut conn)?;
    conn.must("SAVE")?;
    Ok(folder.0.join(name))
}
