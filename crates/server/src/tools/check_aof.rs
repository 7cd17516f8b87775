//! Checking an append-only file, cutting off what is broken at its end, and going back to a moment.

use super::walk::{NOTE_MAX, Walk, Word};
use super::{Terminal, check_rdb, counted, date};
use crate::journal::manifest::{Kind, Manifest, Part};
use kinovar_io::net::error_text;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// What the program is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Look at this file, or at those of this manifest.
    Check(PathBuf),
    /// The same, and cut off what is broken at the end.
    Fix(PathBuf),
    /// Cut off what was written after a moment, Unix seconds.
    Until(i64, PathBuf),
    /// The moment is no number.
    BadTime,
    /// It was called in another way.
    Misused,
}

/// The program has said why it ends.
struct Failed;

/// Does as told; the exit code.
pub fn run(program: &str, order: &Order, terminal: &mut Terminal<'_>) -> u8 {
    let (path, fix, until) = match order {
        Order::Check(path) => (path, false, None),
        Order::Fix(path) => (path, true, None),
        // As in the reference, 0 is none.
        Order::Until(until, path) => (path, false, Some(*until).filter(|&until| until != 0)),
        Order::BadTime => {
            terminal.line("Invalid timestamp, aborting...");
            return 1;
        }
        Order::Misused => {
            terminal.line(format_args!(
                "Usage: {program} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>"
            ));
            return 1;
        }
    };
    let mut check = Check { terminal, fix, until, lines: 1, totals: Vec::new() };
    let checked = check.all(path);
    if check.terminal.summary {
        check.summarize(checked.is_ok());
    }
    u8::from(checked.is_err())
}

/// What a file is by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Manifest,
    Rdb,
    Commands,
}

/// How the check of a file that can be loaded has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    Empty,
    /// What was broken at its end is cut off.
    Cut,
    /// What was later is.
    CutToMoment,
}

/// What was counted in a file.
#[derive(Default)]
struct Totals {
    name: String,
    commands: u64,
    transactions: u64,
    bytes: u64,
    /// The first and the last moment that a note names, Unix seconds.
    moments: Option<(i64, i64)>,
    /// It begins with a snapshot.
    has_snapshot: bool,
    /// What is wrong, and up to where it is right.
    error: Option<(String, u64)>,
}

struct Check<'c, 't> {
    terminal: &'c mut Terminal<'t>,
    fix: bool,
    until: Option<i64>,
    /// Lines seen in all files, from 1.
    lines: u64,
    totals: Vec<Totals>,
}

impl Check<'_, '_> {
    fn all(&mut self, path: &Path) -> Result<(), Failed> {
        match self.form_of(path)? {
            Form::Manifest => self.multi_part(path),
            form => {
                self.terminal.line("Start checking Old-Style AOF");
                let name = path.to_string_lossy().into_owned();
                let verdict = self.one(&name, path, true, form == Form::Rdb)?;
                self.tell("AOF", &name, verdict);
                Ok(())
            }
        }
    }

    fn form_of(&mut self, path: &Path) -> Result<Form, Failed> {
        let name = path.display();
        let file = File::open(path).map_err(|error| {
            self.terminal.line(format_args!("Cannot open file {name}: {}", error_text(&error)));
            Failed
        })?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        let head = loop {
            line.clear();
            match (&mut reader).take(NOTE_MAX as u64).read_until(b'\n', &mut line) {
                Ok(_) if line.first() == Some(&b'#') => {}
                other => break other.map(|_| line),
            }
        };
        match head {
            Ok(line) if line.starts_with(b"file") => Ok(Form::Manifest),
            Ok(line) if line.starts_with(b"REDIS") => Ok(Form::Rdb),
            Ok(_) => Ok(Form::Commands),
            Err(_) => {
                self.terminal.line(format_args!("Cannot read file: {name}"));
                Err(Failed)
            }
        }
    }

    fn multi_part(&mut self, path: &Path) -> Result<(), Failed> {
        self.terminal.line("Start checking Multi Part AOF");
        let manifest = match std::fs::read(path) {
            Ok(text) => Manifest::parse(&text).map_err(|error| error.report()),
            Err(error) => {
                let (name, reason) = (path.display(), error_text(&error));
                Err(format!("Fatal error: can't open the AOF manifest file {name} for reading: {reason}"))
            }
        };
        let manifest = manifest.map_err(|report| {
            self.terminal.line(report);
            Failed
        })?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let count = manifest.parts().count();
        for (index, part) in manifest.parts().enumerate() {
            let is_first_incr = part.kind == Kind::Incr && manifest.incr.first() == Some(part);
            if is_first_incr {
                self.terminal.line("Start to check INCR files.");
            }
            self.part(dir, part, index + 1 == count)?;
        }
        self.terminal.line("All AOF files and manifest are valid");
        Ok(())
    }

    fn part(&mut self, dir: &Path, part: &Part, is_last: bool) -> Result<(), Failed> {
        let (path, name) = (dir.join(&part.name), part.name.to_string_lossy().into_owned());
        let mut has_snapshot = false;
        let is_base = part.kind == Kind::Base;
        if is_base {
            has_snapshot = self.form_of(&path)? == Form::Rdb;
            let form = if has_snapshot { "RDB" } else { "RESP" };
            self.terminal.line(format_args!("Start to check BASE AOF ({form} format)."));
        }
        let verdict = self.one(&name, &path, is_last, has_snapshot)?;
        self.tell(if is_base { "BASE AOF" } else { "INCR AOF" }, &name, verdict);
        Ok(())
    }

    fn tell(&mut self, what: &str, name: &str, verdict: Verdict) {
        match verdict {
            Verdict::Valid => self.terminal.line(format_args!("{what} {name} is valid")),
            Verdict::Empty => self.terminal.line(format_args!("{what} {name} is empty")),
            Verdict::Cut => self.terminal.line(format_args!("Successfully truncated AOF {name}")),
            Verdict::CutToMoment => {
                let until = self.until.unwrap_or(0);
                self.terminal.line(format_args!("Successfully truncated AOF {name} to timestamp {until}"));
            }
        }
    }

    /// Checks a file.
    fn one(&mut self, name: &str, path: &Path, is_last: bool, has_snapshot: bool) -> Result<Verdict, Failed> {
        let shown = path.display();
        let writes = self.fix || self.until.is_some();
        let opened = OpenOptions::new().read(true).write(writes).open(path);
        let opened = opened.and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
        let (file, size) = opened.map_err(|error| {
            self.terminal.line(format_args!("Cannot open file {shown}: {}, aborting...", error_text(&error)));
            Failed
        })?;
        self.totals.push(Totals { name: name.to_owned(), bytes: size, has_snapshot, ..Totals::default() });
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let mut start = 0;
        if has_snapshot {
            let summary = std::mem::replace(&mut self.terminal.summary, false);
            let checked = check_rdb::check(path, self.terminal);
            self.terminal.summary = summary;
            let Some(found) = checked else {
                self.terminal.line("RDB preamble of AOF file is not sane, aborting.");
                self.note_error("its snapshot is broken".into(), 0);
                return Err(Failed);
            };
            start = found.end;
            self.terminal.line("RDB preamble is OK, proceeding with AOF tail...");
        }
        let mut walk = Walk::begin(&file, start, self.lines).map_err(|error| self.unreadable(name, &error))?;
        let walked = self.walk(name, path, is_last, &mut walk);
        self.lines = walk.lines;
        let (valid_to, cut) = walked?;
        if let Some(cut) = cut {
            return self.cut_to_moment(name, &file, cut);
        }
        let error = walk.error;
        if let Some((text, at)) = &error {
            match at {
                Some(at) => self.terminal.line(format_args!("0x{at:>16x}: {text}")),
                None => self.terminal.line(text),
            }
        }
        let left = size.saturating_sub(valid_to);
        if let Some(until) = self.until.filter(|_| left == 0) {
            self.terminal.line(format_args!("Truncate nothing in AOF {name} to timestamp {until}"));
            return Ok(Verdict::Valid);
        }
        let lines = self.lines;
        self.terminal.line(format_args!(
            "AOF analyzed: filename={name}, size={size}, ok_up_to={valid_to}, ok_up_to_line={lines}, diff={left}"
        ));
        if left == 0 {
            return Ok(Verdict::Valid);
        }
        let reason = error.map_or("it was cut off".into(), |(text, _)| text);
        self.note_error(reason, valid_to);
        if !self.fix {
            self.terminal.line(format_args!("AOF {name} is not valid. Use the --fix option to try fixing it."));
            return Err(Failed);
        }
        if !is_last {
            self.terminal.line(format_args!("Failed to truncate AOF {name} because it is not the last file"));
            return Err(Failed);
        }
        self.terminal.line(format_args!(
            "This will shrink the AOF {name} from {size} bytes, with {left} bytes, to {valid_to} bytes"
        ));
        if !self.terminal.confirm() {
            self.terminal.line("Aborting...");
            return Err(Failed);
        }
        if file.set_len(valid_to).and_then(|()| file.sync_all()).is_err() {
            self.terminal.line(format_args!("Failed to truncate AOF {name}"));
            return Err(Failed);
        }
        self.set_bytes(valid_to);
        Ok(Verdict::Cut)
    }

    fn cut_to_moment(&mut self, name: &str, file: &File, cut: u64) -> Result<Verdict, Failed> {
        if file.set_len(cut).and_then(|()| file.sync_all()).is_err() {
            let until = self.until.unwrap_or(0);
            self.terminal.line(format_args!("Failed to truncate AOF {name} to timestamp {until}"));
            return Err(Failed);
        }
        self.set_bytes(cut);
        Ok(Verdict::CutToMoment)
    }

    /// Goes through commands and notes. Up to where all is complete, and where the file is to be cut for the sake of a moment.
    fn walk(
        &mut self,
        name: &str,
        path: &Path,
        is_last: bool,
        walk: &mut Walk<'_>,
    ) -> Result<(u64, Option<u64>), Failed> {
        let mut valid_to = walk.at;
        let mut in_transaction = false;
        let shown = path.display();
        loop {
            if !in_transaction {
                valid_to = walk.at;
            }
            let mark = walk.peek().map_err(|error| self.unreadable(name, &error))?;
            match mark {
                None => break,
                Some(b'#') => match self.note(name, path, is_last, walk)? {
                    Next::GoOn => {}
                    Next::Stop => return Ok((valid_to, None)),
                    Next::Cut(at) => return Ok((valid_to, Some(at))),
                },
                Some(b'*') => {
                    let word = walk.command().map_err(|error| self.unreadable(name, &error))?;
                    let Some(word) = word else {
                        if walk.error.is_none() {
                            break;
                        }
                        return Ok((valid_to, None));
                    };
                    let is_multi = word == Word::Multi;
                    if word != Word::Other && is_multi == in_transaction {
                        let word = if is_multi { "MULTI" } else { "EXEC" };
                        walk.error = Some((format!("Unexpected {word} in AOF {shown}"), Some(walk.last_word)));
                        return Ok((valid_to, None));
                    }
                    in_transaction = is_multi || in_transaction && word != Word::Exec;
                    if let Some(totals) = self.totals.last_mut() {
                        totals.commands += u64::from(word == Word::Other);
                        totals.transactions += u64::from(word == Word::Exec);
                    }
                }
                Some(_) => {
                    walk.error = Some((format!("AOF {name} format error"), None));
                    return Ok((valid_to, None));
                }
            }
        }
        if in_transaction {
            walk.error = Some(("Reached EOF before reading EXEC for MULTI".into(), Some(walk.last)));
        }
        Ok((valid_to, None))
    }

    /// Looks at a note.
    fn note(&mut self, name: &str, path: &Path, is_last: bool, walk: &mut Walk<'_>) -> Result<Next, Failed> {
        let at = walk.at;
        let line = walk.line(NOTE_MAX).map_err(|error| self.unreadable(name, &error))?;
        let Some(moment) = line.strip_prefix(b"#TS:") else { return Ok(Next::after(walk.is_whole(&line, at))) };
        let digits = std::str::from_utf8(moment).ok().and_then(|text| text.strip_suffix("\r\n"));
        let Some(moment) = digits.and_then(|digits| digits.trim_start().parse::<i64>().ok()) else {
            // Without a moment to go back to, nobody needs to know.
            if self.until.is_some() {
                self.terminal.line("Invalid timestamp annotation");
                return Err(Failed);
            }
            return Ok(Next::after(walk.is_whole(&line, at)));
        };
        if let Some(until) = self.until.filter(|&until| moment > until) {
            let shown = path.display();
            if at == 0 {
                self.terminal.line(format_args!("AOF {shown} has nothing before timestamp {until}, aborting..."));
                return Err(Failed);
            }
            if !is_last {
                self.terminal.line(format_args!(
                    "Failed to truncate AOF {shown} to timestamp {until} to offset {at} because it is not the last file."
                ));
                self.terminal.line(
                    "If you insist, please delete all files after this file according to the manifest file and delete \
                     the corresponding records in manifest file manually. Then re-run redis-check-aof.",
                );
                return Err(Failed);
            }
            return Ok(Next::Cut(at));
        }
        if let Some(totals) = self.totals.last_mut() {
            let first = totals.moments.map_or(moment, |(first, _)| first);
            totals.moments = Some((first, moment));
        }
        Ok(Next::GoOn)
    }

    fn unreadable(&mut self, name: &str, error: &io::Error) -> Failed {
        self.note_error(error_text(error), 0);
        self.terminal.line(format_args!("Failed to read from AOF {name}, aborting..."));
        Failed
    }

    fn note_error(&mut self, reason: String, valid_to: u64) {
        if let Some(totals) = self.totals.last_mut() {
            totals.error = Some((reason, valid_to));
        }
    }

    fn set_bytes(&mut self, bytes: u64) {
        if let Some(totals) = self.totals.last_mut() {
            totals.bytes = bytes;
            totals.error = None;
        }
    }

    fn summarize(&mut self, is_sound: bool) {
        self.terminal.line("");
        self.terminal.line("Summary");
        for totals in std::mem::take(&mut self.totals) {
            let bytes = counted(totals.bytes, "byte", "bytes");
            let commands = counted(totals.commands, "command", "commands");
            let transactions = counted(totals.transactions, "transaction", "transactions");
            let snapshot = if totals.has_snapshot { "a snapshot, " } else { "" };
            self.terminal.line(format_args!("  {}: {bytes}: {snapshot}{commands}, {transactions}", totals.name));
            if let Some((first, last)) = totals.moments {
                self.terminal.line(format_args!("    written from {} to {} (UTC)", date(first), date(last)));
            }
            if let Some((reason, valid_to)) = totals.error {
                self.terminal.line(format_args!("    BROKEN after offset {valid_to}: {reason}"));
            }
        }
        self.terminal.line(if is_sound { "  sound: it can be loaded" } else { "  it cannot be loaded as it is" });
    }
}

/// How to go on.
enum Next {
    GoOn,
    Stop,
    Cut(u64),
}

impl Next {
    fn after(is_whole: bool) -> Next {
        if is_whole { Next::GoOn } else { Next::Stop }
    }
}
