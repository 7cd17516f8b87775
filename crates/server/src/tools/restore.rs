//! Bringing back the state of a moment: a new folder with as much of an append-only file as was written until then.
//!
//! The files that are read are opened for reading only. What they say of time: a snapshot knows when it was made, and with
//! `aof-timestamp-enabled` there is a note wherever a new second begins. So the state is that of the end of a second.

use super::walk::{NOTE_MAX, Walk, Word};
use super::{Terminal, counted};
use crate::config::{self, Config, ProcessDir, Sources};
use crate::journal::manifest::{Kind, Layout, Manifest, Part, sync_dir};
use jiff::Timestamp;
use kinovar_io::net::error_text;
use kinovar_rdb::file::{Event, Reader};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What the program is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// To bring back a moment.
    Restore(Wish),
    /// It was called in another way; what is wrong with that.
    Misused(String),
}

/// What is to be brought back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// The moment, Unix seconds.
    pub until_s: i64,
    /// The folder of the append-only file; else the one that the configuration names.
    pub from: Option<PathBuf>,
    /// The folder to be made, which is to be a server's `dir`.
    pub to: PathBuf,
    /// The configuration file of the server.
    pub config: Option<PathBuf>,
}

/// How it is called.
pub const USAGE: &str = "\
Usage: kinovar restore --until TIME [--from DIR] --to DIR [/path/to/redis.conf]

Brings back the state of a moment from an append-only file that was written with aof-timestamp-enabled.
  --until TIME  Unix seconds, or as in 2026-11-25T12:00:00Z
  --from DIR    the folder with the manifest: by default that of the configuration, or ./appendonlydir
  --to DIR      a new folder; afterwards: kinovar --dir DIR --appendonly yes
What is in the first folder is left as it is.
";

/// Does as told; the exit code.
pub fn run(order: &Order, terminal: &mut Terminal<'_>) -> u8 {
    let done = match order {
        Order::Restore(wish) => restore(wish, terminal),
        Order::Misused(reason) => Err(format!("{reason}\n\n{USAGE}")),
    };
    match done {
        Ok(()) => 0,
        Err(reason) => {
            terminal.complain(format_args!("kinovar restore: {}", reason.trim_end()));
            1
        }
    }
}

/// A moment as Unix seconds: that, or RFC 3339.
///
/// # Errors
/// What is wrong with it.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let unix_s = text.parse::<i64>().ok().filter(|&unix_s| Timestamp::from_second(unix_s).is_ok());
    let time = || text.parse::<Timestamp>().ok().map(|at| at.as_millisecond().div_euclid(1000));
    unix_s.or_else(time).ok_or_else(|| {
        format!("'{text}' is no time: Unix seconds, or a date and a time with its offset, as in 2026-11-25T12:00:00Z")
    })
}

/// A moment for people, in a form that can be given again.
fn shown(unix_s: i64) -> String {
    Timestamp::from_second(unix_s).map_or_else(|_| unix_s.to_string(), |at| at.to_string())
}

fn restore(wish: &Wish, terminal: &mut Terminal<'_>) -> Result<(), String> {
    // Before the configuration moves elsewhere.
    let here = std::env::current_dir().unwrap_or_default();
    let (from, to) = (wish.from.as_ref().map(|from| here.join(from)), here.join(&wish.to));
    let config = configuration(wish)?;
    let from = from.unwrap_or_else(|| config.dir.join(&config.appenddirname));
    let prefix = prefix_in(&from, &config.appendfilename)?;
    let source = Layout { home: PathBuf::new(), dir: from, prefix };
    let manifest = source.load()?;
    let mut files = open_all(&source, &manifest)?;
    let scan = scan_all(&mut files, wish.until_s)?;
    scan.refuse(wish.until_s, &files)?;
    let target = Layout { home: to.clone(), dir: to.join(&config.appenddirname), prefix: source.prefix.clone() };
    write(&target, &files, &manifest)?;
    report(wish, &config, &source, &target, &files, &scan, terminal);
    Ok(())
}

fn configuration(wish: &Wish) -> Result<Config, String> {
    let names = crate::start::registry(&[]);
    let sources = Sources { file: wish.config.clone(), ..Sources::default() };
    let loaded = config::load(&sources, Box::new(ProcessDir), &|name| names.find(name.as_bytes()).is_some());
    loaded.map(|loaded| Config::from_store(&loaded.store)).map_err(|error| error.to_string())
}

/// What the names of the files begin with: that is in the name of the manifest.
fn prefix_in(dir: &Path, configured: &str) -> Result<String, String> {
    let shown = dir.display();
    if dir.join(format!("{configured}.manifest")).exists() {
        return Ok(configured.to_owned());
    }
    let entries =
        fs::read_dir(dir).map_err(|error| format!("can't read the folder {shown}: {}", error_text(&error)))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut prefixes = names.filter_map(|name| Some(name.strip_suffix(".manifest")?.to_owned()));
    match (prefixes.next(), prefixes.next()) {
        (Some(prefix), None) => Ok(prefix),
        (None, _) => Err(format!("there is no manifest in {shown}")),
        (Some(_), Some(_)) => Err(format!("there are several manifests in {shown}, and none is {configured}.manifest")),
    }
}

/// A file that is read.
struct Source {
    part: Part,
    file: File,
    /// Its size when it was opened.
    bytes: u64,
    /// It begins with a snapshot.
    snapshot: Option<Snapshot>,
    /// So much of it is restored.
    kept: u64,
    /// Commands that are left out of it.
    left_out: u64,
}

/// What a snapshot says of itself.
struct Snapshot {
    /// When it was made, Unix seconds.
    created_s: Option<i64>,
    /// Where it ends.
    end: u64,
}

impl Source {
    fn name(&self) -> String {
        self.part.name.display().to_string()
    }

    fn failed(&self, what: &str, error: &io::Error) -> String {
        format!("can't {what} {}: {}", self.part.name.display(), error_text(error))
    }
}

/// Opens all files at once: so a server that goes on may delete them.
fn open_all(layout: &Layout, manifest: &Manifest) -> Result<Vec<Source>, String> {
    let open = |part: &Part| {
        let path = layout.path(part);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(|error| format!("can't open {}: {}", path.display(), error_text(&error)))?;
        Ok(Source { part: part.clone(), file, bytes, snapshot: None, kept: bytes, left_out: 0 })
    };
    let mut files = manifest.parts().map(open).collect::<Result<Vec<_>, String>>()?;
    if files.is_empty() {
        return Err(format!("the manifest in {} names no files", layout.dir.display()));
    }
    for file in &mut files {
        file.snapshot = snapshot(file)?;
    }
    Ok(files)
}

/// Reads the snapshot that a file begins with, if it does.
fn snapshot(source: &Source) -> Result<Option<Snapshot>, String> {
    let mut file = &source.file;
    let mut magic = Vec::new();
    file.take(5).read_to_end(&mut magic).map_err(|error| source.failed("read", &error))?;
    file.seek(SeekFrom::Start(0)).map_err(|error| source.failed("read", &error))?;
    if magic != b"REDIS" {
        return Ok(None);
    }
    let broken = |error: kinovar_rdb::Error| format!("the snapshot in {} is broken: {error}", source.name());
    let mut reader = Reader::new(file.take(source.bytes), true).map_err(broken)?;
    let mut created_s = None;
    loop {
        match reader.next_event().map_err(broken)? {
            Event::Aux { name, value } if *name == *b"ctime" => {
                created_s = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
            }
            Event::Eof => return Ok(Some(Snapshot { created_s, end: reader.offset() })),
            _ => {}
        }
    }
}

/// What the files say.
#[derive(Default)]
struct Scan {
    /// When the base was made, Unix seconds.
    base_s: Option<i64>,
    /// The first and the last moment that a note names, Unix seconds.
    notes: Option<(i64, i64)>,
    /// Commands in front of the first note.
    unnoted: u64,
    /// Commands that are restored.
    kept: u64,
    /// The first moment that is left out.
    cut_s: Option<i64>,
    /// What is missing at the end: a command or transaction that is not whole.
    torn: Option<(String, u64)>,
}

fn scan_all(files: &mut [Source], until_s: i64) -> Result<Scan, String> {
    let mut scan = Scan::default();
    let count = files.len();
    for (index, source) in files.iter_mut().enumerate() {
        if scan.cut_s.is_some() {
            source.kept = 0;
        }
        if let Some(snapshot) = source.snapshot.as_ref().filter(|_| index == 0) {
            scan.base_s = snapshot.created_s;
        }
        scan.file(source, index, index + 1 == count, until_s)?;
    }
    Ok(scan)
}

impl Scan {
    /// Goes through the commands of a file.
    fn file(&mut self, source: &mut Source, index: usize, is_last: bool, until_s: i64) -> Result<(), String> {
        let start = source.snapshot.as_ref().map_or(0, |snapshot| snapshot.end);
        let file = source.file.try_clone().map_err(|error| source.failed("read", &error))?;
        let mut walk = Walk::begin(&file, start, 0).map_err(|error| source.failed("read", &error))?;
        let (mut whole_to, mut in_transaction, mut pending) = (start, false, 0);
        let was_cut = self.cut_s.is_some();
        let is_whole = loop {
            if !in_transaction {
                whole_to = walk.at;
                let counted = if self.cut_s.is_some() { &mut source.left_out } else { &mut self.kept };
                *counted += std::mem::take(&mut pending);
            }
            if walk.at >= source.bytes {
                break !in_transaction && walk.at == source.bytes;
            }
            let at = walk.at;
            match walk.peek().map_err(|error| source.failed("read", &error))? {
                None => break !in_transaction,
                Some(b'#') => {
                    let line = walk.line(NOTE_MAX).map_err(|error| source.failed("read", &error))?;
                    if !walk.is_whole(&line, at) {
                        break false;
                    }
                    let Some(moment_s) = moment(&line) else { continue };
                    let first = self.notes.map_or(moment_s, |(first, _)| first);
                    self.notes = Some((first, moment_s));
                    if index == 0 && at == 0 {
                        self.base_s = Some(moment_s);
                    }
                    if moment_s > until_s && self.cut_s.is_none() {
                        self.cut_s = Some(moment_s);
                        // A transaction counts when it is complete.
                        source.kept = whole_to;
                    }
                }
                Some(b'*') => match walk.command().map_err(|error| source.failed("read", &error))? {
                    None => break false,
                    Some(word) if word != Word::Other && (word == Word::Multi) == in_transaction => break false,
                    Some(word) => {
                        in_transaction = word == Word::Multi || in_transaction && word != Word::Exec;
                        pending += u64::from(word == Word::Other);
                        self.unnoted += u64::from(self.notes.is_none());
                    }
                },
                Some(_) => break false,
            }
        };
        if is_whole || was_cut || self.cut_s.is_some() {
            return Ok(());
        }
        let name = source.name();
        let is_at_end = walk.at >= source.bytes || walk.peek().is_ok_and(|byte| byte.is_none());
        if !is_at_end {
            return Err(format!("{name} is broken behind offset {whole_to}: see kinovar check-aof"));
        }
        if !is_last {
            return Err(format!("{name} ends in the middle of a command, and is not the last file: a part is missing"));
        }
        source.kept = whole_to;
        self.torn = Some((name, source.bytes - whole_to));
        Ok(())
    }

    /// Whether the state of that moment is not in the files.
    fn refuse(&self, until_s: i64, files: &[Source]) -> Result<(), String> {
        let until = shown(until_s);
        if let Some(base_s) = self.base_s.filter(|&base_s| base_s > until_s) {
            return Err(format!(
                "the files begin with the state of {}, which is later than {until}: an older copy may reach back there",
                shown(base_s)
            ));
        }
        let Some((first, _)) = self.notes else {
            if self.unnoted == 0 && self.base_s.is_some() {
                return Ok(());
            }
            return Err("no time is noted in the files: they were written with aof-timestamp-enabled no".into());
        };
        if first > until_s && self.unnoted > 0 {
            return Err(format!(
                "{} in front of the first time, as aof-timestamp-enabled was no: the earliest moment that can be told is {}",
                counted(self.unnoted, "command is", "commands are"),
                shown(first)
            ));
        }
        if files.iter().all(|file| file.kept == 0) {
            return Err(format!("the files begin at {}, which is later than {until}", shown(first)));
        }
        Ok(())
    }
}

/// The moment that a note names, Unix seconds.
fn moment(line: &[u8]) -> Option<i64> {
    let digits = line.strip_prefix(b"#TS:")?;
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// Makes the new folder.
fn write(target: &Layout, files: &[Source], manifest: &Manifest) -> Result<(), String> {
    let to = target.home.display();
    let failed = |error: io::Error| format!("can't make the folder {to}: {}", error_text(&error));
    fs::create_dir_all(&target.home).map_err(failed)?;
    if fs::read_dir(&target.home).map_err(failed)?.next().is_some() {
        return Err(format!("the folder {to} is not empty: name a new one"));
    }
    let written = write_files(target, files, manifest);
    if written.is_err() {
        // It was empty.
        let _ = fs::remove_dir_all(&target.home);
    }
    written
}

fn write_files(target: &Layout, files: &[Source], manifest: &Manifest) -> Result<(), String> {
    target.make_dir()?;
    let mut restored = Manifest { base_seq: manifest.base_seq, incr_seq: manifest.incr_seq, ..Manifest::default() };
    for source in files {
        if source.kept == 0 && source.part.kind == Kind::Incr {
            continue;
        }
        copy(source, &target.path(&source.part)).map_err(|error| source.failed("copy", &error))?;
        let is_whole = source.kept == source.bytes;
        let part = Part { end_offset: source.part.end_offset.filter(|_| is_whole), ..source.part.clone() };
        match part.kind {
            Kind::Base => restored.base = Some(part),
            _ => restored.incr.push(part),
        }
    }
    target.store(&restored)?;
    let home = &target.home;
    sync_dir(home).map_err(|error| format!("can't sync the folder {}: {}", home.display(), error_text(&error)))
}

fn copy(source: &Source, to: &Path) -> io::Result<()> {
    let mut from = &source.file;
    from.seek(SeekFrom::Start(0))?;
    let mut target = File::create_new(to)?;
    let copied = io::copy(&mut from.take(source.kept), &mut target)?;
    if copied != source.kept {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    target.sync_all()
}

fn report(
    wish: &Wish,
    config: &Config,
    source: &Layout,
    target: &Layout,
    files: &[Source],
    scan: &Scan,
    terminal: &mut Terminal<'_>,
) {
    let until = shown(wish.until_s);
    let begin = scan.base_s.or(scan.notes.map(|(first, _)| first)).map_or_else(String::new, shown);
    let end = scan.notes.map(|(_, last)| last).or(scan.base_s).unwrap_or_default();
    terminal.line(format_args!("The files in {} reach from {begin} to {}.", source.dir.display(), shown(end)));
    for file in files {
        let (name, bytes, kept) = (file.name(), file.bytes, file.kept);
        let outcome = match (kept, file.left_out) {
            _ if kept == bytes => format!("whole, {bytes} bytes"),
            (0, left_out) => format!("left out, with {}", counted(left_out, "command", "commands")),
            (_, left_out) => {
                let left_out = counted(left_out, "command", "commands");
                format!("cut at offset {kept} of {bytes}, with {left_out} behind it")
            }
        };
        terminal.line(format_args!("  {name}: {outcome}"));
    }
    if let Some((name, bytes)) = &scan.torn {
        terminal
            .line(format_args!("The last command or transaction in {name} is not whole: {bytes} bytes are left out."));
    }
    match scan.cut_s {
        Some(cut_s) => terminal.line(format_args!("What was written from {} on is left out.", shown(cut_s))),
        None => terminal.line("Nothing in them is later: what was written after they were copied is in none of them."),
    }
    let home = target.home.display();
    terminal.line(format_args!("The state of {until} is in {home}. To start from it:"));
    let mut options = String::new();
    if source.prefix != config.appendfilename {
        options = format!(" --appendfilename '{}'", source.prefix);
    }
    let file = wish.config.as_ref().map_or_else(String::new, |file| format!(" {}", file.display()));
    terminal.line(format_args!("  kinovar server{file} --dir '{home}' --appendonly yes{options}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (text, unix_s) in [
            ("1700000000", 1_700_000_000),
            ("-1", -1),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000),
            ("2023-11-14 22:13:20Z", 1_700_000_000),
            ("2023-11-14T22:13:20.999Z", 1_700_000_000),
            ("1969-12-31T23:59:59.5Z", -1),
        ] {
            assert_eq!(parse_time(text), Ok(unix_s), "{text}");
        }
        for text in ["", "x", "2023-11-14", "2023-11-14T22:13:20", "99999999999999999", "1.5"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(shown(1_700_000_000), "2023-11-14T22:13:20Z");
    }
}
