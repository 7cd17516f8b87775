//! The reader's side for append-only files.

use super::commands::{Step, step};
use super::rdb::{self, Counting, Rest};
use super::replay::{Call, Commands, has_effect};
use super::run::{Feeder, Portion};
use super::{Failure, Options, Source};
use crate::config::Config;
use crate::journal::manifest::{Kind, Layout, Manifest, Part};
use crate::log;
use crate::server::Server;
use kinovar_command::dispatch::{self, KeyScratch};
use kinovar_command::registry::Entry;
use kinovar_command::{Args, HashedKey, Lock};
use kinovar_io::net::error_text;
use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, Read};
use std::time::Instant;

/// So many bytes are read at once, and make a portion.
const CHUNK: usize = 1 << 20;
/// Places in what is read are 32 bits wide.
const UNIT_MAX: usize = u32::MAX as usize;
/// What a snapshot begins with.
const RDB_MAGIC: &[u8] = b"REDIS";
/// The last line of a server that could not load its data.
const FATAL: &str = "Fatal error loading the append-only file, check server logs. Exiting.";

/// Loads the append-only file when the server starts, and has the journal go on with it. Whether there is anything: if so, clients may
/// come when it is loaded.
///
/// # Errors
/// What the log should say before the process ends.
pub fn at_start(server: &'static Server, config: &Config) -> Result<bool, String> {
    let layout = Layout::of(config);
    let mut manifest = layout.load()?;
    layout.upgrade(&mut manifest)?;
    let started = Instant::now();
    let done = move || log::notice(&format!("DB loaded from append only file: {:.3} seconds", seconds(started)));
    if manifest.is_empty() {
        server.journal.begin(server, layout, manifest)?;
        return Ok(false);
    }
    let total = total_bytes(&layout, &manifest)?;
    if total == 0 {
        done();
        server.journal.begin(server, layout, manifest)?;
        return Ok(false);
    }
    let name = manifest.parts().next().map_or(String::new(), |part| part.name.display().to_string());
    let (from, files, truncates) = (layout.clone(), manifest.clone(), config.aof_load_truncated);
    let reader = move |feeder: &mut Feeder| read(feeder, &from, &files, truncates);
    let done = move |server: &'static Server, result: Result<(), Failure>| {
        let begun = result.map_err(|_| FATAL.to_owned()).and_then(|()| {
            done();
            server.journal.begin(server, layout, manifest)
        });
        match begun {
            Ok(()) => crate::lifecycle::ready(&server.config()),
            Err(reason) => server.fail(reason),
        }
        None
    };
    let options = Options { replay: true, ..Options::default() };
    Ok(super::start(server, name, total, options, Box::new(reader), Box::new(done)).is_ok())
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// The bytes of all files.
pub fn total_bytes(layout: &Layout, manifest: &Manifest) -> Result<u64, String> {
    manifest.parts().try_fold(0, |total, part| match fs::metadata(layout.path(part)) {
        Ok(metadata) => Ok(total + metadata.len()),
        Err(error) => {
            let reason = error_text(&error);
            Err(format!("Unable to obtain the AOF file {} length. stat: {reason}", part.name.display()))
        }
    })
}

/// Reads all files of a manifest.
///
/// # Errors
/// What is wrong with them.
pub fn read(feeder: &mut Feeder, layout: &Layout, manifest: &Manifest, truncates: bool) -> Result<(), Failure> {
    let count = manifest.parts().count();
    for (index, part) in manifest.parts().enumerate() {
        let started = Instant::now();
        let is_empty = read_part(feeder, layout, part, index + 1 == count, truncates)?;
        if !is_empty {
            let kind = if part.kind == Kind::Base { "base" } else { "incr" };
            let name = part.name.display();
            log::notice(&format!("DB loaded from {kind} file {name}: {:.3} seconds", seconds(started)));
        }
    }
    Ok(())
}

/// Reads a file. Whether it is empty.
fn read_part(
    feeder: &mut Feeder,
    layout: &Layout,
    part: &Part,
    is_last: bool,
    truncates: bool,
) -> Result<bool, Failure> {
    let name = part.name.display().to_string();
    let failed =
        |what: String| move |error: std::io::Error| Failure::Aof(vec![format!("{what}: {}", error_text(&error))]);
    let path = layout.path(part);
    let mut file =
        File::open(&path).map_err(failed(format!("Fatal error: can't open the append log file {name} for reading")))?;
    let unreadable = failed(format!("Unrecoverable error reading the append only file {name}"));
    let bytes = file.metadata().map_err(&unreadable)?.len();
    let mut head = Vec::new();
    (&mut file).take(RDB_MAGIC.len() as u64).read_to_end(&mut head).map_err(&unreadable)?;
    if head.is_empty() {
        return Ok(true);
    }
    let is_rdb = head == RDB_MAGIC;
    let from = Box::new(Cursor::new(head).chain(file));
    let rest = if is_rdb {
        let source = Source { name: name.clone(), bytes, from };
        read_snapshot(feeder, source, part.name == std::path::Path::new(&layout.prefix))?
    } else {
        Rest { offset: 0, bytes: Vec::new(), from: Counting { run: feeder.run.clone(), from } }
    };
    let mut scan = Scan {
        feeder,
        name: &name,
        from: rest.from,
        offset: rest.offset,
        commands: Commands { bytes: rest.bytes, is_first: true, ..Commands::default() },
        at: 0,
        valid: 0,
        begun: None,
        scratch: KeyScratch::default(),
    };
    let end = scan.run();
    let valid_to = scan.offset + scan.valid as u64;
    let in_transaction = scan.begun.is_some();
    if end? {
        feeder.settle()?;
        return Ok(false);
    }
    let mut lines = Vec::new();
    if in_transaction {
        lines.push(format!("Revert incomplete MULTI/EXEC transaction in AOF file {name}"));
    }
    if !truncates {
        lines.push(format!(
            "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, \
             then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
             'aof-load-truncated' configuration option to yes and restart the server."
        ));
        return Err(Failure::Aof(lines));
    }
    lines.push(format!("!!! Warning: short read while loading the AOF file {name}!!!"));
    // What is missing there, the files behind it were written after: cutting would hide it.
    if !is_last {
        lines.push("Fatal error: the truncated file is not the last file".into());
        return Err(Failure::Aof(lines));
    }
    feeder.settle()?;
    lines.iter().for_each(|line| log::warning(line));
    log::warning(&format!("!!! Truncating the AOF {name} at offset {valid_to} !!!"));
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(valid_to).and_then(|()| file.sync_all()))
        .map_err(failed(format!("Error truncating the AOF file {name}")))?;
    log::warning(&format!("AOF {name} loaded anyway because aof-load-truncated is enabled"));
    Ok(false)
}

/// Reads the snapshot that a file begins with. It is in the memory when this returns.
fn read_snapshot(feeder: &mut Feeder, source: Source, is_old: bool) -> Result<Rest, Failure> {
    let name = source.name.clone();
    log::notice(match is_old {
        true => "Reading RDB preamble from AOF file...",
        false => "Reading RDB base file on AOF loading...",
    });
    let rest = rdb::read(feeder, source).map_err(|cause| match cause {
        Failure::Stopped => Failure::Stopped,
        cause => {
            let what = if is_old { "preamble of the AOF" } else { "base" };
            let line = format!("Error reading the RDB {what} file {name}, AOF loading aborted");
            Failure::Base { cause: Box::new(cause), line }
        }
    })?;
    feeder.load_libraries()?;
    feeder.settle()?;
    feeder.run.report(feeder.server);
    if is_old {
        log::notice("Reading the remaining AOF tail...");
    }
    Ok(rest)
}

/// A transaction that has begun.
struct Begun {
    spans: usize,
    calls: usize,
    hashed: usize,
}

/// What finds the commands of a file and hands them over.
struct Scan<'s> {
    feeder: &'s Feeder,
    name: &'s str,
    from: Counting,
    /// Where what was read begins in the file.
    offset: u64,
    /// What was read, and the commands that were found in it.
    commands: Commands,
    /// What is looked at next.
    at: usize,
    /// Up to here everything is complete.
    valid: usize,
    begun: Option<Begun>,
    scratch: KeyScratch,
}

impl Scan<'_> {
    /// Reads to the end. Whether the end is that of a command, and of a transaction if it is in one.
    fn run(&mut self) -> Result<bool, Failure> {
        let server = self.feeder.server;
        let mut key_delay = self.feeder.key_delay();
        loop {
            let first = self.commands.spans.len();
            let found = step(&self.commands.bytes, self.at, &mut self.commands.spans);
            match found.map_err(|_| self.bad_format())? {
                Step::Command(end) => {
                    self.at = end;
                    self.command(server, first)?;
                    key_delay.wait(self.feeder)?;
                }
                Step::Note(end) => self.at = end,
                Step::Incomplete => {
                    if !self.read_more()? {
                        return Ok(self.at == self.commands.bytes.len() && self.begun.is_none());
                    }
                    continue;
                }
            }
            if self.begun.is_none() {
                self.valid = self.at;
            }
        }
    }

    fn bad_format(&self) -> Failure {
        let (name, at) = (self.name, self.offset + self.at as u64);
        Failure::Aof(vec![
            format!(
                "Bad file format reading the append only file {name}: make a backup of your AOF file, then use \
                 ./redis-check-aof --fix <filename.manifest>"
            ),
            format!("What is wrong begins at offset {at}"),
        ])
    }

    /// A command was found, whose words begin with span number `first`.
    fn command(&mut self, server: &Server, first: usize) -> Result<(), Failure> {
        let Commands { bytes, spans, calls, hashed, .. } = &mut self.commands;
        let args = Args::new(bytes, &spans[first..], 0);
        let Ok(entry) = server.registry.resolve(&args) else {
            let command = String::from_utf8_lossy(args.at(0)).into_owned();
            let name = self.name;
            return Err(Failure::Aof(vec![format!("Unknown command '{command}' reading the append only file {name}")]));
        };
        if entry.check_arity(args.argc()).is_err() {
            return Err(self.bad_format());
        }
        match entry.command.name {
            "multi" if self.begun.is_none() => {
                self.begun = Some(Begun { spans: first, calls: calls.len(), hashed: hashed.len() });
            }
            "exec" => self.begun = None,
            _ if has_effect(entry) => {
                let keys_from = hashed.len() as u32;
                hash(entry, &args, &mut self.scratch, hashed);
                calls.push(Call {
                    command: entry.id as u32,
                    first: first as u32,
                    argc: args.argc() as u32,
                    keys_from,
                    keys_to: hashed.len() as u32,
                });
                return Ok(());
            }
            _ => {}
        }
        self.commands.spans.truncate(first);
        Ok(())
    }

    /// Hands over what is complete, and reads on. Whether there is more.
    fn read_more(&mut self) -> Result<bool, Failure> {
        self.hand_over()?;
        let Commands { bytes, .. } = &mut self.commands;
        // What is not complete is looked at again only when it has doubled.
        let wanted = (bytes.len() - self.at).max(CHUNK).min(UNIT_MAX - bytes.len());
        if wanted == 0 {
            let (name, at) = (self.name, self.offset + self.valid as u64);
            return Err(Failure::Aof(vec![format!("The transaction at offset {at} of {name} is too large")]));
        }
        let count = (&mut self.from).take(wanted as u64).read_to_end(bytes).map_err(|error| {
            let (name, reason) = (self.name, error_text(&error));
            Failure::Aof(vec![format!("Unrecoverable error reading the append only file {name}: {reason}")])
        })?;
        if count == 0 {
            // What a transaction that does not end has come to is not run.
            if let Some(begun) = &self.begun {
                self.commands.spans.truncate(begun.spans);
                self.commands.calls.truncate(begun.calls);
                self.commands.hashed.truncate(begun.hashed);
            }
            self.hand_over()?;
        }
        Ok(count > 0)
    }

    /// Hands over all commands up to the transaction that has begun, if one has.
    fn hand_over(&mut self) -> Result<(), Failure> {
        // What is in a transaction stays where it is until that ends, with everything before it.
        if self.begun.as_ref().is_some_and(|begun| self.commands.calls.len() > begun.calls) || self.valid == 0 {
            return Ok(());
        }
        let rest = self.commands.bytes[self.valid..].to_vec();
        let next = Commands { bytes: rest, is_first: false, ..Commands::default() };
        let full = std::mem::replace(&mut self.commands, next);
        self.offset += self.valid as u64;
        self.at -= self.valid;
        self.valid = 0;
        if let Some(begun) = &mut self.begun {
            *begun = Begun { spans: 0, calls: 0, hashed: 0 };
        }
        if full.calls.is_empty() {
            self.commands.is_first = full.is_first;
            return Ok(());
        }
        self.feeder.feed(0, Portion::Commands(full))
    }
}

fn hash(entry: &Entry, args: &Args<'_>, scratch: &mut KeyScratch, hashed: &mut Vec<HashedKey>) {
    match entry.single_key() {
        Some((index, _)) if index < args.argc() => hashed.push(HashedKey::new(args, index as u32)),
        _ if entry.command.lock == Lock::Keys => dispatch::hash_keys(entry, args, scratch, hashed),
        _ => {}
    }
}
