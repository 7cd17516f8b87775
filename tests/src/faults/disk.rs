//! A disk that fails and forgets: `tests/disk/disk.c` between a server and the C library.
//!
//! While a server runs, its [`Disk`] fails as it is told. The trace says what has happened to its files, so that the state after
//! a power loss can be made up: what was synced is there, and of the rest whatever chance wants.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};

use crate::rng::Rng;
use crate::server::{Program, Server};

/// The error of a disk that is broken.
pub const EIO: i64 = 5;
/// The error of one that is full.
pub const ENOSPC: i64 = 28;

/// Where the fields of `struct control` are, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Bytes that can still be written, -1 for any number.
    Room = 0,
    /// What writes fail with, 0 for nothing.
    WriteError = 8,
    /// Bytes that a write takes at most, 0 for any number.
    Piece = 16,
    /// What syncs fail with.
    SyncError = 24,
    /// How long a sync takes, us.
    SyncUs = 32,
    /// What opening a file to write to it fails with.
    OpenError = 40,
    /// What renaming fails with.
    RenameError = 48,
    /// What cutting fails with.
    CutError = 56,
}

/// Counters behind them, and the filter.
const SYNCS: u64 = 64;
const FAULTS: u64 = 72;
const FILTER: u64 = 80;
const FILTER_BYTES: usize = 256;
const CONTROL_BYTES: usize = 4096;

/// What a power loss leaves of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Nothing.
    All,
    /// A part of each file and of the names: what was done first.
    Some,
}

/// The shared library, built once.
fn library() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> Result<PathBuf> {
    let source = crate::tests_dir().join("disk/disk.c");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::tests_dir().parent().expect("it is in the checkout").join("target"), PathBuf::from);
    fs::create_dir_all(&target)?;
    let (path, temp) = (target.join("disk.so"), target.join(format!("disk-{}.so", std::process::id())));
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&temp, &source])
        .args(["-ldl", "-lpthread"])
        .status()
        .context("run cc")?;
    ensure!(status.success(), "{} cannot be built", source.display());
    fs::rename(&temp, &path)?;
    Ok(path)
}

/// A folder for a server's files, on a disk that fails and forgets. Dropping it removes everything.
pub struct Disk {
    home: PathBuf,
    control: File,
    forgets: bool,
}

impl Disk {
    /// One that works for now. `forgets`: what is not synced is kept only until the power is lost.
    pub fn new(forgets: bool) -> Result<Disk> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kinovar-disk-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let home = std::env::temp_dir().canonicalize()?.join(name);
        fs::create_dir_all(home.join("files"))?;
        let control =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(home.join("control"))?;
        control.write_all_at(&[0; CONTROL_BYTES], 0)?;
        let disk = Disk { home, control, forgets };
        disk.set(Fault::Room, -1)?;
        Ok(disk)
    }

    /// The folder.
    pub fn dir(&self) -> PathBuf {
        self.home.join("files")
    }

    /// Starts a server in the folder.
    pub fn start(&self, program: &Program, extra: &[&str]) -> Result<Server> {
        let preload = format!("LD_PRELOAD={}", library()?.display());
        let dir = format!("FAULTS_DIR={}", self.dir().display());
        let control = format!("FAULTS_CONTROL={}", self.home.join("control").display());
        let trace = format!("FAULTS_TRACE={}", self.home.join("trace").display());
        let mut wrapper = vec!["env", &preload, &dir, &control];
        if self.forgets {
            self.repair_trace()?;
            wrapper.push(&trace);
        }
        let files = self.dir();
        let files = files.to_string_lossy();
        program.start_under(&wrapper, &[&["--dir", &files], extra].concat())
    }

    /// From now on the disk has this fault.
    pub fn set(&self, fault: Fault, value: i64) -> Result<()> {
        Ok(self.control.write_all_at(&value.to_le_bytes(), fault as u64)?)
    }

    /// Faults concern only files with this in their paths; with a `$` behind it, those whose paths end in it.
    pub fn only(&self, part: &str) -> Result<()> {
        let mut bytes = [0; FILTER_BYTES];
        bytes[..part.len()].copy_from_slice(part.as_bytes());
        Ok(self.control.write_all_at(&bytes, FILTER)?)
    }

    /// The disk has no fault any more.
    pub fn heal(&self) -> Result<()> {
        use Fault::*;
        for fault in [WriteError, Piece, SyncError, SyncUs, OpenError, RenameError, CutError] {
            self.set(fault, 0)?;
        }
        self.set(Room, -1)?;
        self.only("")
    }

    /// Completes the trace of a process that was killed: between what it did and the record of that, perhaps.
    fn repair_trace(&self) -> Result<()> {
        let path = self.home.join("trace");
        if !path.exists() {
            return Ok(());
        }
        let bytes = fs::read(&path)?;
        let mut records = Records::of(&bytes);
        records.by_ref().try_for_each(|record| record.map(drop))?;
        let mut whole = bytes[..records.at].to_vec();
        let trace = Trace::read(&whole, &self.dir())?;
        for (name, file) in &trace.named {
            let known = trace.files.get(file).map_or(Vec::new(), |history| history.all());
            let content = fs::read(self.dir().join(name)).unwrap_or_default();
            if let Some(rest) = content.strip_prefix(&known[..]).filter(|rest| !rest.is_empty()) {
                whole.extend_from_slice(format!("W {file} {} 0 {}\n", known.len(), rest.len()).as_bytes());
                whole.extend_from_slice(rest);
                whole.push(b'\n');
            }
        }
        Ok(fs::write(path, whole)?)
    }

    fn counter(&self, at: u64) -> Result<i64> {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, at)?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> Result<i64> {
        self.counter(SYNCS)
    }

    /// How often something has failed.
    pub fn faults(&self) -> Result<i64> {
        self.counter(FAULTS)
    }

    /// Makes up the folder after a power loss at this moment, when no server runs in it.
    pub fn lose_power(&self, loss: Loss, rng: &mut Rng) -> Result<PathBuf> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let to = self.home.join(format!("after-{}", NEXT.fetch_add(1, Relaxed)));
        let trace = fs::read(self.home.join("trace")).context("read the trace")?;
        let after = Trace::read(&trace, &self.dir())?.after(loss, rng);
        fs::create_dir_all(&to)?;
        for dir in &after.dirs {
            fs::create_dir_all(to.join(dir))?;
        }
        for (name, bytes) in &after.files {
            // What is in a folder that is gone is gone as well.
            if to.join(name).parent().is_some_and(Path::is_dir) {
                fs::write(to.join(name), bytes)?;
            }
        }
        Ok(to)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// What is there after a power loss.
#[derive(PartialEq, Eq, Debug)]
struct After {
    dirs: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// What has happened to files.
#[derive(Default)]
struct Trace {
    files: HashMap<u64, History>,
    names: Vec<Naming>,
    /// Which files have names in the end.
    named: HashMap<PathBuf, u64>,
}

/// What has happened to one file.
#[derive(Default)]
struct History {
    changes: Vec<(u64, Change)>,
    /// All changes with numbers below were synced.
    synced: u64,
    /// Changes that a sync was about which has failed.
    doubtful: Vec<(u64, u64)>,
}

enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// A change to names.
struct Naming {
    /// The folder was synced after it.
    is_synced: bool,
    number: u64,
    gone: Option<PathBuf>,
    /// A name for a file; without a number, for a folder.
    comes: Option<(PathBuf, Option<u64>)>,
}

/// A record, and the records of a trace; the last one may be incomplete, and is left out then.
struct Record<'t> {
    kind: &'t str,
    file: u64,
    a: u64,
    payload: &'t [u8],
}

struct Records<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Records<'_> {
    fn of(bytes: &[u8]) -> Records<'_> {
        Records { bytes, at: 0 }
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Result<Record<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n')?;
        let parse = || -> Result<(Record<'t>, usize)> {
            let words: Vec<&str> = std::str::from_utf8(&rest[..len])?.split(' ').collect();
            let &[kind, file, a, _, payload] = &words[..] else { bail!("the trace has {words:?}") };
            Ok((Record { kind, file: file.parse()?, a: a.parse()?, payload: &[] }, payload.parse()?))
        };
        let (record, payload_len) = match parse() {
            Ok(parsed) => parsed,
            Err(error) => return Some(Err(error)),
        };
        let end = len + 1 + payload_len + 1;
        let payload = rest.get(..end)?;
        self.at += end;
        Some(Ok(Record { payload: &payload[len + 1..end - 1], ..record }))
    }
}

impl Trace {
    fn read(bytes: &[u8], dir: &Path) -> Result<Trace> {
        let mut trace = Trace::default();
        let mut named: HashMap<PathBuf, u64> = HashMap::new();
        // Other numbers that later processes have for files.
        let mut known: HashMap<u64, u64> = HashMap::new();
        let mut base = 0;
        for (number, record) in Records::of(bytes).enumerate() {
            let number = number as u64;
            let Record { kind, file, a, payload } = record?;
            let file = known.get(&file).copied().unwrap_or(file);
            let a = if matches!(kind, "S" | "F" | "D") { base + a } else { a };
            let path = |bytes: &[u8]| -> Result<PathBuf> {
                let path = PathBuf::from(std::str::from_utf8(bytes)?);
                Ok(path.strip_prefix(dir).context("a file elsewhere")?.to_path_buf())
            };
            let mut name = |gone, comes| {
                trace.names.push(Naming { is_synced: false, number, gone, comes });
            };
            match kind {
                "B" => base = number,
                "C" => {
                    named.insert(path(payload)?, file);
                    name(None, Some((path(payload)?, Some(file))));
                }
                "K" => {
                    let first = named.get(&path(payload)?);
                    known.insert(file, *first.with_context(|| format!("{} comes from nowhere", file))?);
                }
                "W" => trace.file(file).changes.push((number, Change::Write(a, payload.to_vec()))),
                "T" => trace.file(file).changes.push((number, Change::Cut(a))),
                "S" => {
                    let file = trace.file(file);
                    file.synced = file.synced.max(a);
                }
                "F" => {
                    let file = trace.file(file);
                    let synced = file.synced;
                    file.doubtful.push((synced, a));
                }
                "D" => {
                    let dir = path(payload)?;
                    let is_in = |path: &Path| path.parent() == Some(&dir);
                    for naming in trace.names.iter_mut().filter(|naming| naming.number < a) {
                        let comes = naming.comes.as_ref().map(|(path, _)| path);
                        naming.is_synced |= comes.or(naming.gone.as_ref()).is_some_and(|path| is_in(path));
                    }
                }
                "R" => {
                    let mut parts = payload.split(|&byte| byte == 0);
                    let (Some(from), Some(to)) = (parts.next(), parts.next()) else { bail!("a name is missing") };
                    let (from, to) = (path(from)?, path(to)?);
                    let file = named.remove(&from).context("something unknown is renamed")?;
                    named.insert(to.clone(), file);
                    name(Some(from), Some((to, Some(file))));
                }
                "U" => {
                    named.remove(&path(payload)?);
                    name(Some(path(payload)?), None);
                }
                "M" => name(None, Some((path(payload)?, None))),
                _ => bail!("the trace has a record of kind {kind:?}"),
            }
        }
        trace.named = named;
        Ok(trace)
    }

    fn file(&mut self, file: u64) -> &mut History {
        self.files.entry(file).or_default()
    }

    fn after(&self, loss: Loss, rng: &mut Rng) -> After {
        let unsynced = self.names.iter().filter(|naming| !naming.is_synced).count();
        let mut kept = if loss == Loss::All { 0 } else { rng.below(unsynced + 1) };
        let (mut names, mut dirs) = (BTreeMap::new(), HashSet::new());
        for naming in &self.names {
            if !naming.is_synced {
                if kept == 0 {
                    continue;
                }
                kept -= 1;
            }
            if let Some(gone) = &naming.gone {
                names.remove(gone);
            }
            match &naming.comes {
                Some((path, Some(file))) => drop(names.insert(path.clone(), *file)),
                Some((path, None)) => drop(dirs.insert(path.clone())),
                None => {}
            }
        }
        let mut dirs: Vec<_> = dirs.into_iter().collect();
        dirs.sort();
        let nothing = History::default();
        let files = names
            .into_iter()
            .map(|(path, file)| (path, self.files.get(&file).unwrap_or(&nothing).content(loss, rng)))
            .collect();
        After { dirs, files }
    }
}

impl History {
    fn all(&self) -> Vec<u8> {
        replay(&self.changes, |_, bytes| (bytes.len(), true))
    }

    fn content(&self, loss: Loss, rng: &mut Rng) -> Vec<u8> {
        let synced = self.changes.iter().filter(|(number, _)| *number < self.synced).count();
        let kept = if loss == Loss::All { synced } else { synced + rng.below(self.changes.len() - synced + 1) };
        let last = self.changes[..kept].last().map(|(number, _)| *number).filter(|_| kept > synced);
        replay(&self.changes[..kept], |number, bytes| {
            let is_last = last == Some(number);
            // What a failed sync was about may be anything, and most likely is what was there before.
            let is_doubtful = self.doubtful.iter().any(|(from, to)| (*from..*to).contains(&number));
            (if is_last { rng.below(bytes.len() + 1) } else { bytes.len() }, !is_doubtful)
        })
    }
}

/// A file after some changes. `part` says how much of a write there is, and whether that is more than its place.
fn replay(changes: &[(u64, Change)], mut part: impl FnMut(u64, &[u8]) -> (usize, bool)) -> Vec<u8> {
    let mut content = Vec::new();
    for (number, change) in changes {
        match change {
            Change::Cut(size) => content.resize(*size as usize, 0),
            Change::Write(start, bytes) => {
                let (len, is_there) = part(*number, bytes);
                let (start, end) = (*start as usize, *start as usize + len);
                content.resize(content.len().max(end), 0);
                if is_there {
                    content[start..end].copy_from_slice(&bytes[..len]);
                }
            }
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(records: &[(&str, &str)]) -> Trace {
        let text: String =
            records.iter().map(|(head, payload)| format!("{head} {}\n{payload}\n", payload.len())).collect();
        Trace::read(text.as_bytes(), Path::new("/d")).unwrap()
    }

    fn lost(trace: &Trace) -> Vec<(String, String)> {
        let after = trace.after(Loss::All, &mut Rng::new(1));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        after.files.iter().map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect()
    }

    #[test]
    fn what_is_synced_stays() {
        let records = [("C 1 0 0", "/d/a"), ("W 1 0 0", "one"), ("W 1 3 0", "two"), ("S 1 2 0", ""), ("D 0 1 0", "/d")];
        assert_eq!(lost(&trace(&records)), [("a".into(), "one".into())]);
        assert_eq!(lost(&trace(&records[..4])), [], "the name was not synced");
        let mut seen = HashSet::new();
        for seed in 0..100 {
            let after = trace(&records).after(Loss::Some, &mut Rng::new(seed));
            seen.insert(after.files[Path::new("a")].clone());
        }
        let expected: [&[u8]; 4] = [b"one", b"onet", b"onetw", b"onetwo"];
        assert_eq!(seen, expected.map(<[u8]>::to_vec).into());
    }

    #[test]
    fn a_new_name_replaces_an_old_one_when_its_folder_is_synced() {
        let records = [
            ("M 0 0 0", "/d/e"),
            ("C 1 0 0", "/d/e/a"),
            ("D 0 2 0", "/d/e"),
            ("D 0 2 0", "/d"),
            ("C 2 0 0", "/d/t"),
            ("W 2 0 0", "new"),
            ("S 2 6 0", ""),
            ("R 0 0 0", "/d/t\0/d/e/a"),
            ("D 0 9 0", "/d/e"),
        ];
        assert_eq!(lost(&trace(&records[..8])), [("e/a".into(), "".into())]);
        assert_eq!(lost(&trace(&records)), [("e/a".into(), "new".into())]);
    }

    #[test]
    fn what_a_failed_sync_was_about_is_not_there() {
        let records = [
            ("C 1 0 0", "/d/a"),
            ("D 0 1 0", "/d"),
            ("W 1 0 0", "one"),
            ("S 1 3 0", ""),
            ("W 1 3 0", "two"),
            ("F 1 5 0", ""),
            ("W 1 6 0", "three"),
            ("S 1 7 0", ""),
        ];
        assert_eq!(lost(&trace(&records)), [("a".into(), "one\0\0\0three".into())]);
    }
}
