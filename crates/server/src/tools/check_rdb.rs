//! Checking an RDB file: each value is decoded, and the checksum compared.

use super::{Terminal, counted};
use kinovar_command::keyspace::Settings;
use kinovar_io::clock;
use kinovar_rdb::ErrorKind;
use kinovar_rdb::file::{Doing, Event, Reader};
use kinovar_rdb::wire::kind;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The mark and the version that a file begins with.
const HEADER_BYTES: u64 = 9;
/// The first version with a checksum.
const CHECKSUM_SINCE: u32 = 5;

/// What the program is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Check this file.
    Check(std::path::PathBuf),
    /// It was called in another way.
    Misused,
}

/// Does as told; the exit code.
pub fn run(program: &str, order: &Order, terminal: &mut Terminal<'_>) -> u8 {
    match order {
        Order::Check(path) => {
            let checked = check(path, terminal);
            u8::from(checked.is_none())
        }
        Order::Misused => {
            terminal.complain(format_args!("Usage: {program} <rdb-file-name>"));
            1
        }
    }
}

/// What was found in a file.
#[derive(Default)]
pub struct Found {
    /// Where the snapshot ends.
    pub end: u64,
    version: u32,
    writer: String,
    keys: u64,
    expires: u64,
    expired: u64,
    /// Keys with fields that expire.
    subexpires: u64,
    /// Keys with nothing in them.
    empty: u64,
    libraries: u64,
    /// What could not be read.
    broken: Option<Broken>,
    /// The code of the type that the reference names then: of the first key before any was read.
    named_type: Option<u8>,
    /// Keys of each database.
    databases: BTreeMap<u32, u64>,
    /// Keys of each type.
    types: BTreeMap<&'static str, u64>,
}

/// What could not be read, as the reference tells it.
#[derive(Default)]
struct Broken {
    doing: &'static str,
    /// Up to where all was read.
    offset: u64,
    key: Option<String>,
}

/// Checks a file. What was found, if it is sound.
pub fn check(path: &Path, terminal: &mut Terminal<'_>) -> Option<Found> {
    let name = path.display();
    terminal.line(format_args!("[offset 0] Checking RDB file {name}"));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            if terminal.summary {
                let reason = kinovar_io::net::error_text(&error);
                terminal.complain(format_args!("Cannot open file {name}: {reason}"));
            }
            return None;
        }
    };
    // As in the reference, which reads a string until it knows better.
    let mut found = Found { named_type: Some(0), ..Found::default() };
    let checked = read(file, &mut found, terminal);
    if let Err(error) = &checked {
        terminal.line("--- RDB ERROR DETECTED ---");
        let broken = found.broken.take().unwrap_or_else(|| Broken { doing: "start", ..Broken::default() });
        let (offset, text) = match &error.kind {
            ErrorKind::NotRdb => wrong_head(path),
            ErrorKind::Version(version) => (HEADER_BYTES, format!("Can't handle RDB format version {version}")),
            ErrorKind::Truncated if broken.doing == FUNCTIONS => {
                (broken.offset, "Failed loading library, Failed loading library payload".to_owned())
            }
            ErrorKind::Truncated => (broken.offset, "Unexpected EOF reading RDB file".to_owned()),
            ErrorKind::UnknownType(code) => (broken.offset, format!("Invalid object type: {code}")),
            ErrorKind::Checksum { .. } => (broken.offset, "RDB CRC error".to_owned()),
            kind => (broken.offset, kind.to_string()),
        };
        terminal.line(format_args!("[offset {offset}] {text}"));
        terminal.line(format_args!("[additional info] While doing: {}", broken.doing));
        if let Some(key) = &broken.key {
            terminal.line(format_args!("[additional info] Reading key '{key}'"));
        }
        if let Some(code) = found.named_type {
            terminal.line(format_args!("[additional info] Reading type {code} ({})", encoding_name(code)));
        }
    }
    terminal.line(format_args!("[info] {} keys read", found.keys));
    terminal.line(format_args!("[info] {} expires", found.expires));
    terminal.line(format_args!("[info] {} already expired", found.expired));
    terminal.line(format_args!("[info] {} subexpires", found.subexpires));
    if terminal.summary {
        summarize(path, &found, checked.as_ref().err(), terminal);
    }
    checked.is_ok().then_some(found)
}

/// What the reference says of a file that does not begin like one.
fn wrong_head(path: &Path) -> (u64, String) {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut head));
    match head.strip_prefix(b"REDIS") {
        _ if read.is_err() || (head.len() as u64) < HEADER_BYTES => (0, "Unexpected EOF reading RDB file".to_owned()),
        None => (HEADER_BYTES, "Wrong signature trying to load DB from file".to_owned()),
        Some(digits) => {
            let version = super::walk::leading_number(digits).0;
            (HEADER_BYTES, format!("Can't handle RDB format version {version}"))
        }
    }
}

/// The reference's name for what it does when it reads functions.
const FUNCTIONS: &str = "read-functions";

/// The reference's names for what it does.
fn doing_name(doing: Doing) -> &'static str {
    match doing {
        Doing::Type => "read-type",
        Doing::Expiry => "read-expire",
        Doing::Number => "read-len",
        Doing::Aux => "read-aux",
        Doing::ModuleAux => "read-module-aux",
        Doing::Function => FUNCTIONS,
        Doing::Key(_) => "read-key",
        Doing::Value(_) => "read-object-value",
        Doing::Checksum => "check-sum",
    }
}

impl Found {
    /// Something could not be read.
    fn fail(&mut self, reader: &Reader<impl Read>) {
        let doing = reader.doing();
        let key = reader.broken_key().map(|key| key.escape_ascii().to_string());
        if let Doing::Key(code) | Doing::Value(code) = doing {
            self.named_type = Some(code);
        }
        self.keys += u64::from(matches!(doing, Doing::Value(_)));
        self.broken = Some(Broken { doing: doing_name(doing), offset: reader.offset(), key });
    }
}

fn read(file: impl Read, found: &mut Found, terminal: &mut Terminal<'_>) -> Result<(), kinovar_rdb::Error> {
    let now_ms = clock::unix_ms();
    let settings = Settings::default();
    let mut reader = Reader::new(file, true)?;
    found.version = reader.version();
    let mut aux = Vec::new();
    loop {
        let mut selected = None;
        let event = match reader.next_event() {
            Ok(event) => event,
            Err(error) => {
                found.fail(&reader);
                return Err(error);
            }
        };
        match event {
            Event::Aux { name, value } => {
                if *name == *b"redis-ver" {
                    found.writer = String::from_utf8_lossy(&value).into_owned();
                }
                let (name, value) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&value));
                aux.push(format!("AUX FIELD {name} = '{value}'"));
            }
            Event::SelectDb(db) => selected = Some(db),
            Event::Function(_) => found.libraries += 1,
            Event::ModuleAux { name } => aux.push(format!("MODULE AUX for: {name}")),
            Event::ResizeDb { .. } | Event::SlotInfo { .. } => {}
            Event::Record(record) => {
                found.keys += 1;
                *found.databases.entry(record.db).or_default() += 1;
                *found.types.entry(type_name(record.kind)).or_default() += 1;
                match record.decode(&settings) {
                    Ok(_) => {}
                    Err(error) if matches!(error.kind, ErrorKind::EmptyCollection) => found.empty += 1,
                    Err(error) => {
                        let key = Some(record.key.escape_ascii().to_string());
                        found.named_type = Some(record.kind);
                        found.broken = Some(Broken { doing: "read-object-value", offset: error.offset, key });
                        return Err(error);
                    }
                }
                found.named_type = None;
                if let Some(at_ms) = record.expire_at_ms {
                    found.expires += 1;
                    found.expired += u64::from(at_ms < now_ms);
                }
                found.subexpires += u64::from(has_field_expiry(record.kind));
            }
            Event::Eof => break,
        }
        let offset = reader.offset();
        aux.drain(..).for_each(|line| terminal.line(format_args!("[offset {offset}] {line}")));
        if let Some(db) = selected {
            terminal.line(format_args!("[offset {offset}] Selecting DB ID {db}"));
        }
    }
    found.end = reader.offset();
    let offset = found.end;
    if reader.lacks_checksum() {
        terminal.line("RDB file was saved with checksum disabled: no check performed.");
    } else if found.version >= CHECKSUM_SINCE {
        terminal.line(format_args!("[offset {offset}] Checksum OK"));
    }
    terminal.line(format_args!("[offset {offset}] \\o/ RDB looks OK! \\o/"));
    Ok(())
}

fn has_field_expiry(code: u8) -> bool {
    matches!(
        code,
        kind::HASH_METADATA_PRE_GA | kind::HASH_LISTPACK_EX_PRE_GA | kind::HASH_METADATA | kind::HASH_LISTPACK_EX
    )
}

/// The reference's name for the way in which a value is written.
fn encoding_name(code: u8) -> &'static str {
    const NAMES: [&str; 26] = [
        "string",
        "list-linked",
        "set-hashtable",
        "zset-v1",
        "hash-hashtable",
        "zset-v2",
        "module-pre-release",
        "module-value",
        "",
        "hash-zipmap",
        "list-ziplist",
        "set-intset",
        "zset-ziplist",
        "hash-ziplist",
        "quicklist",
        "stream",
        "hash-listpack",
        "zset-listpack",
        "quicklist-v2",
        "stream-v2",
        "set-listpack",
        "stream-v3",
        "hash-hashtable-md-pre-release",
        "hash-listpack-md-pre-release",
        "hash-hashtable-md",
        "hash-listpack-md",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("unknown")
}

fn type_name(code: u8) -> &'static str {
    match code {
        0 => "string",
        1 | 10 | 14 | 18 => "list",
        2 | 11 | 20 => "set",
        3 | 5 | 12 | 17 => "zset",
        4 | 9 | 13 | 16 | 22..=25 => "hash",
        15 | 19 | 21 => "stream",
        _ => "module",
    }
}

fn summarize(path: &Path, found: &Found, error: Option<&kinovar_rdb::Error>, terminal: &mut Terminal<'_>) {
    terminal.line("");
    terminal.line(format_args!("Summary of {}", path.display()));
    match error {
        None => terminal.line("  sound: it can be loaded"),
        Some(error) => {
            terminal.line(format_args!("  BROKEN at offset {}: {}", error.offset, error.kind));
        }
    }
    let writer = if found.writer.is_empty() { "unknown".into() } else { format!("version {}", found.writer) };
    terminal.line(format_args!("  format version {}, written by: {writer}", found.version));
    let databases = counted(found.databases.len() as u64, "database", "databases");
    terminal.line(format_args!("  {} in {databases}", counted(found.keys, "key", "keys")));
    for (db, keys) in &found.databases {
        terminal.line(format_args!("    database {db}: {}", counted(*keys, "key", "keys")));
    }
    for (name, keys) in &found.types {
        terminal.line(format_args!("    type {name}: {}", counted(*keys, "key", "keys")));
    }
    let expired = found.expired;
    terminal
        .line(format_args!("  {} will expire, {expired} of them in the past", counted(found.expires, "key", "keys")));
    if found.subexpires > 0 {
        terminal.line(format_args!("  {} may have fields that expire", counted(found.subexpires, "hash", "hashes")));
    }
    if found.empty > 0 {
        terminal
            .line(format_args!("  {} with nothing in it: left out when loaded", counted(found.empty, "key", "keys")));
    }
    if found.libraries > 0 {
        terminal.line(format_args!("  {} of functions", counted(found.libraries, "library", "libraries")));
    }
}
