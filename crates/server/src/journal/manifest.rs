//! The manifest of an append-only file: the files that it consists of, and their order.
//!
//! One line is one file: `file NAME seq N type T`, where T is `b` for the base (a snapshot, or commands), `i` for the increments
//! that follow it, and `h` for history, which a rewrite has made superfluous and somebody has yet to delete. Lines that begin with
//! `#` are comments. A name that has unusual bytes is quoted.
//!
//! All files of one append-only file lie in one directory, which is theirs alone. What the manifest names is what counts; it is
//! replaced as a whole, so that at any moment a reader finds the old state or the new one.

use crate::config::{Config, quote_into, split_words};
use crate::log;
use kinovar_io::net::error_text;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest line, with its end.
const LINE_MAX: usize = 1024;
/// What the names of files that are not complete begin with.
const TEMP_PREFIX: &str = "temp-";

/// What a file is to the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What everything begins with: a snapshot, or commands.
    Base,
    /// Commands that follow.
    Incr,
    /// Superfluous.
    History,
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its name, without a directory.
    pub name: PathBuf,
    /// Its number among those of its kind.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// The replication offset of its first byte.
    pub start_offset: Option<i64>,
    /// The replication offset behind its last byte.
    pub end_offset: Option<i64>,
}

impl Part {
    /// A file without offsets.
    pub fn new(name: impl Into<PathBuf>, seq: i64, kind: Kind) -> Part {
        Part { name: name.into(), seq, kind, start_offset: None, end_offset: None }
    }

    fn push_line(&self, out: &mut Vec<u8>) {
        let name = self.name.as_os_str().as_bytes();
        out.extend_from_slice(b"file ");
        if name.is_empty() || name.iter().any(|&byte| !byte.is_ascii_graphic() || b"\\\"'".contains(&byte)) {
            quote(out, name);
        } else {
            out.extend_from_slice(name);
        }
        let kind = match self.kind {
            Kind::Base => 'b',
            Kind::Incr => 'i',
            Kind::History => 'h',
        };
        let mut rest = format!(" seq {} type {kind}", self.seq);
        for (key, offset) in [("startoffset", self.start_offset), ("endoffset", self.end_offset)] {
            if let Some(offset) = offset {
                let _ = write!(rest, " {key} {offset}");
            }
        }
        rest.push('\n');
        out.extend_from_slice(rest.as_bytes());
    }
}

/// Longest name that file systems have.
const NAME_MAX: usize = 255;
/// Longest form of a quoted name: what else is in its line has room behind it.
const QUOTED_MAX: usize = LINE_MAX - 128;
const _: () = assert!(2 * NAME_MAX + 2 <= QUOTED_MAX);

/// Appends a name with unusual bytes in quotes; with no more escapes than needed if the line would be too long to be read else.
fn quote(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    quote_into(out, name);
    if out.len() - start <= QUOTED_MAX {
        return;
    }
    out.truncate(start);
    out.push(b'"');
    for &byte in name {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Which files there are.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Manifest {
    /// The base.
    pub base: Option<Part>,
    /// Files to be deleted.
    pub history: Vec<Part>,
    /// The increments in their order. The last one is written to.
    pub incr: Vec<Part>,
    /// The number of the last base.
    pub base_seq: i64,
    /// The number of the last increment.
    pub incr_seq: i64,
}

/// Why a text is no manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestError {
    /// Which line it is, from 1; 0 if it is none.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong.
    pub reason: &'static str,
}

impl ManifestError {
    /// What the log says about it.
    pub fn report(&self) -> String {
        let mut text = String::from("\n*** FATAL AOF MANIFEST FILE ERROR ***\n");
        if self.line > 0 {
            let _ = write!(text, "Reading the manifest file, at line {}\n>>> '{}'\n", self.line, self.text);
        }
        text.push_str(self.reason);
        text.push('\n');
        text
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        let mut rest = text;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            // A comment may be longer than a line: what is left of it counts as lines of their own.
            let window = &rest[..rest.len().min(LINE_MAX)];
            let end = window.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let (line, after) = rest.split_at(end.unwrap_or(window.len()));
            rest = after;
            if line[0] == b'#' {
                continue;
            }
            let error = |text: &[u8], reason| ManifestError {
                line: number,
                text: String::from_utf8_lossy(text).into_owned(),
                reason,
            };
            if end.is_none() {
                return Err(ManifestError { line: 0, ..error(b"", "The AOF manifest file contains too long line") });
            }
            let line = trim(line);
            let part = parse_line(line).and_then(|part| manifest.add(part));
            part.map_err(|reason| error(line, reason))?;
        }
        if number == 0 {
            return Err(ManifestError { line: 0, text: String::new(), reason: "Found an empty AOF manifest" });
        }
        Ok(manifest)
    }

    fn add(&mut self, part: Part) -> Result<(), &'static str> {
        match part.kind {
            Kind::Base if self.base.is_some() => return Err("Found duplicate base file information"),
            Kind::Base => {
                self.base_seq = part.seq;
                self.base = Some(part);
            }
            Kind::Incr if part.seq <= self.incr_seq => return Err("Found a non-monotonic sequence number"),
            Kind::Incr => {
                self.incr_seq = part.seq;
                self.incr.push(part);
            }
            Kind::History => self.history.push(part),
        }
        Ok(())
    }

    /// The manifest as text.
    pub fn format(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let parts = self.base.iter().chain(&self.history).chain(&self.incr);
        parts.for_each(|part| part.push_line(&mut out));
        out
    }

    /// Whether no file is to be loaded.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// The files to be loaded, in their order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.incr)
    }

    /// Adds a new base, named after `prefix`; the one that was becomes history. Returns it.
    pub fn next_base(&mut self, prefix: &str, is_rdb: bool) -> &Part {
        if let Some(base) = self.base.take() {
            self.history.insert(0, Part { kind: Kind::History, ..base });
        }
        self.base_seq += 1;
        let ending = if is_rdb { "rdb" } else { "aof" };
        let name = format!("{prefix}.{}.base.{ending}", self.base_seq);
        self.base.insert(Part::new(name, self.base_seq, Kind::Base))
    }

    /// Adds a new increment, named after `prefix`, behind all others. Returns it.
    pub fn next_incr(&mut self, prefix: &str) -> &Part {
        self.incr_seq += 1;
        let part = Part::new(format!("{prefix}.{}.incr.aof", self.incr_seq), self.incr_seq, Kind::Incr);
        self.incr.push(part);
        &self.incr[self.incr.len() - 1]
    }

    /// Makes all increments history but the last `kept`: a new base has what they hold.
    pub fn retire_incr(&mut self, kept: usize) {
        let count = self.incr.len().saturating_sub(kept);
        for part in self.incr.drain(..count) {
            self.history.insert(0, Part { kind: Kind::History, ..part });
        }
    }
}

/// Without white space at both ends.
fn trim(line: &[u8]) -> &[u8] {
    let is_space = |byte: &&u8| b" \t\r\n".contains(byte);
    let start = line.iter().take_while(is_space).count();
    let end = line.len() - line[start..].iter().rev().take_while(is_space).count();
    &line[start..end]
}

fn parse_line(line: &[u8]) -> Result<Part, &'static str> {
    const INVALID: &str = "Invalid AOF manifest file format";
    let words = split_words(line).ok_or(INVALID)?;
    if words.len() < 6 || words.len() % 2 != 0 {
        return Err(INVALID);
    }
    let (mut name, mut seq, mut kind) = (None, 0, None);
    let (mut start_offset, mut end_offset) = (None, None);
    for pair in words.chunks_exact(2) {
        let value = &pair[1];
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if value.contains(&b'/') || value.contains(&b'\\') => {
                return Err("File can't be a path, just a filename");
            }
            b"file" => name = Some(PathBuf::from(OsStr::from_bytes(value))),
            b"seq" => seq = leading_integer(value),
            b"type" => kind = value.first().copied(),
            b"startoffset" => start_offset = Some(leading_integer(value)),
            b"endoffset" => end_offset = Some(leading_integer(value)),
            // Later versions may have more to say.
            _ => {}
        }
    }
    let (Some(name), Some(kind)) = (name, kind) else { return Err(INVALID) };
    if seq == 0 {
        return Err(INVALID);
    }
    let kind = match kind {
        b'b' => Kind::Base,
        b'i' => Kind::Incr,
        b'h' => Kind::History,
        _ => return Err("Unknown AOF file type"),
    };
    Ok(Part { name, seq, kind, start_offset, end_offset })
}

/// The integer at the beginning of a text, 0 if there is none, as far as it can be represented.
fn leading_integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0i64, |value, &digit| {
        let digit = i64::from(digit - b'0');
        value.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    })
}

/// Where the files are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The directory of the server (`dir`).
    pub home: PathBuf,
    /// The directory of the files, below it (`appenddirname`).
    pub dir: PathBuf,
    /// What all names begin with (`appendfilename`).
    pub prefix: String,
}

impl Layout {
    /// The one that the configuration names.
    pub fn of(config: &Config) -> Layout {
        Layout {
            home: config.dir.clone(),
            dir: config.dir.join(&config.appenddirname),
            prefix: config.appendfilename.clone(),
        }
    }

    /// The name of the manifest.
    pub fn manifest_name(&self) -> String {
        format!("{}.manifest", self.prefix)
    }

    /// Where a file is.
    pub fn path(&self, part: &Part) -> PathBuf {
        self.dir.join(&part.name)
    }

    /// How large the files of a manifest are together, bytes. What is not there counts nothing.
    pub fn size_of(&self, manifest: &Manifest) -> u64 {
        manifest.parts().map(|part| fs::metadata(self.path(part)).map_or(0, |metadata| metadata.len())).sum()
    }

    /// Reads the manifest; an empty one if there is none.
    ///
    /// # Errors
    /// What the log is to say before the process ends.
    pub fn load(&self) -> Result<Manifest, String> {
        if !self.dir.is_dir() {
            log!(log::Level::Debug, "The AOF directory {} doesn't exist", file_name(&self.dir).display());
            return Ok(Manifest::default());
        }
        let name = self.manifest_name();
        let path = self.dir.join(&name);
        match read_manifest(&path) {
            Ok(text) => Manifest::parse(&text).map_err(|error| error.report()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                log!(log::Level::Debug, "The AOF manifest file {name} doesn't exist");
                Ok(Manifest::default())
            }
            Err(error) => {
                let reason = error_text(&error);
                Err(format!("Fatal error: can't open the AOF manifest file {name} for reading: {reason}"))
            }
        }
    }

    /// Makes the directory, if it is not there.
    ///
    /// # Errors
    /// What the log is to say.
    pub fn make_dir(&self) -> Result<(), String> {
        let made = match fs::create_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.dir.is_dir() => return Ok(()),
            Err(error) => Err(error),
            // Its name must outlive a crash as the files in it do.
            Ok(()) => sync_dir(&self.home),
        };
        made.map_err(|error| {
            let dir = file_name(&self.dir);
            format!("Can't open or create append-only dir {}: {}", dir.display(), error_text(&error))
        })
    }

    /// Puts a manifest in the place of the one that is there. When this returns, it outlives a crash.
    ///
    /// # Errors
    /// What the log is to say. Unless it is about the directory's own sync, the old manifest is still there.
    pub fn store(&self, manifest: &Manifest) -> Result<(), String> {
        let name = self.manifest_name();
        let temp_name = format!("{TEMP_PREFIX}{name}");
        let (path, temp) = (self.dir.join(&name), self.dir.join(&temp_name));
        let failed = |what: String| move |error: io::Error| format!("{what}: {}", error_text(&error));
        let mut file = File::create(&temp).map_err(failed(format!("Can't open the AOF manifest file {temp_name}")))?;
        file.write_all(&manifest.format())
            .map_err(failed(format!("Error trying to write the temporary AOF manifest file {temp_name}")))?;
        file.sync_all().map_err(failed(format!("Fail to fsync the temp AOF file {temp_name}")))?;
        fs::rename(&temp, &path).map_err(failed(format!(
            "Error trying to rename the temporary AOF manifest file {temp_name} into {name}"
        )))?;
        let dir = file_name(&self.dir).display();
        sync_dir(&self.dir).map_err(failed(format!("Fail to fsync AOF directory {dir}")))
    }

    /// Whether this manifest is the one that is there, whatever a crash would leave.
    pub fn has_stored(&self, manifest: &Manifest) -> bool {
        fs::read(self.dir.join(self.manifest_name())).is_ok_and(|text| text == manifest.format())
    }

    /// Deletes what is history, and forgets it. Whatever cannot be deleted is forgotten as well. It must not be named in the
    /// stored manifest any more before it is deleted: [`Layout::store`] comes first.
    pub fn delete(&self, history: &[Part]) {
        for part in history {
            match fs::remove_file(self.path(part)) {
                Ok(()) => log::notice(&format!("Removing the history file {}", part.name.display())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warning(&format!(
                    "Can't remove the history file {}: {}",
                    part.name.display(),
                    error_text(&error)
                )),
            }
        }
    }

    /// Takes over an append-only file of versions before 7.0, a single file beside the directory: it becomes the base of a new
    /// manifest. Whether there is one.
    ///
    /// # Errors
    /// What the log is to say before the process ends.
    pub fn upgrade(&self, manifest: &mut Manifest) -> Result<bool, String> {
        let old = self.home.join(&self.prefix);
        if !old.exists() || !self.lacks_files(manifest) {
            return Ok(false);
        }
        self.make_dir()?;
        let base = Part::new(&self.prefix, 1, Kind::Base);
        manifest.base_seq = base.seq;
        manifest.base = Some(base);
        // In this order: a crash in between leaves a manifest whose only file is not there yet, and this is tried again.
        self.store(manifest)?;
        let dir = file_name(&self.dir).display();
        fs::rename(&old, self.dir.join(&self.prefix))
            .and_then(|()| sync_dir(&self.dir))
            .and_then(|()| sync_dir(&self.home))
            .map_err(|error| {
                let reason = error_text(&error);
                format!("Error trying to move the old AOF file {} into dir {dir}: {reason}", self.prefix)
            })?;
        let old = &self.prefix;
        log::notice(&format!("Successfully migrated an old-style AOF file ({old}) into the AOF directory ({dir})."));
        Ok(true)
    }

    /// Whether a manifest stands for nothing, or for a single file that has yet to be moved.
    fn lacks_files(&self, manifest: &Manifest) -> bool {
        match &manifest.base {
            _ if !self.dir.is_dir() || manifest.is_empty() => true,
            Some(base) => manifest.incr.is_empty() && base.name == Path::new(&self.prefix) && !self.path(base).exists(),
            None => false,
        }
    }
}

/// Reads a manifest, which is small: more than this is none.
fn read_manifest(path: &Path) -> io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 64 << 20;
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, BYTES_MAX), &mut text)?;
    Ok(text)
}

fn file_name(path: &Path) -> &Path {
    path.file_name().map_or(path, Path::new)
}

/// Has the names of a directory outlive a crash.
///
/// # Errors
/// The system's. A file system that has nothing to sync is none.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match File::open(path)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
