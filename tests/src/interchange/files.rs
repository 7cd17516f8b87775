//! Files that go from the reference to us and back: what it finds in them then is what was in them before.

use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{command, data, text};
use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::loading::{loaded, variants};
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};
use crate::show::show;

/// How long a save may take, on a machine that is busy.
const SAVE_MAX: Duration = Duration::from_secs(60);

/// How data is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// `SAVE`.
    Rdb,
    /// An append-only file, whose base is a snapshot.
    Aof,
    /// One whose base is commands, with the time now and then.
    Commands,
}

impl Way {
    fn options(self) -> &'static [&'static str] {
        match self {
            Way::Rdb => &[],
            Way::Aof => &["--appendonly", "yes"],
            Way::Commands => &["--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--aof-timestamp-enabled", "yes"],
        }
    }

    /// What such a file keeps of times.
    fn keeps(self) -> Keeps {
        match self {
            Way::Rdb => Keeps::All,
            Way::Aof | Way::Commands => Keeps::Deliveries,
        }
    }
}

/// Which times of streams are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    All,
    /// When entries were delivered, not when consumers were seen.
    Deliveries,
    /// None.
    None,
}

/// Sends files there and back, for a version of the reference.
pub fn run(subject: &Program, reference: &Program, report: &mut Report) -> Result<()> {
    let folder = Folder::new()?;
    for way in [Way::Rdb, Way::Aof, Way::Commands] {
        let name = |what: &str| format!("{}: {way:?}, {what}", reference.name);
        let there = there_and_back(subject, reference, &folder, way);
        report.step(&name("there and back"), there);
        report.step(&name("ours"), ours(subject, reference, &folder, way));
    }
    Ok(())
}

/// A folder for files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("kinovar-interchange-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// An empty folder in it.
    fn empty(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A copy of another one.
    fn copy(&self, from: &Path, name: &str) -> Result<PathBuf> {
        let to = self.empty(name)?;
        copy_all(from, &to)?;
        Ok(to)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_all(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn start(program: &Program, dir: &Path, way: Way, more: &[&str]) -> Result<(Server, Conn)> {
    let dir = dir.to_str().context("a folder's name")?;
    let server = program.start(&[&["--dir", dir], way.options(), more].concat())?;
    let conn = loaded(&server)?;
    conn.set_timeout(SAVE_MAX)?;
    Ok((server, conn))
}

/// Has everything written down anew.
fn write_down(conn: &mut Conn, way: Way) -> Result<()> {
    if way == Way::Rdb {
        conn.must("SAVE")?;
        return Ok(());
    }
    conn.must("BGREWRITEAOF")?;
    poll_for(
        SAVE_MAX,
        || "a rewrite does not end".into(),
        || Ok(info(conn, "persistence", "aof_rewrite_in_progress")? == 0),
    )
}

/// The values that a server can make; streams with groups that are read are among them if `groups`.
fn known(conn: &mut Conn, groups: bool, way: Way) -> Result<Vec<data::Value>> {
    let mut values = data::values();
    // The reference ends when it has to write a vector set as commands.
    values.retain(|value| way != Way::Commands || !value.key.starts_with(VECTORS));
    values.retain(|value| groups || !value.key.starts_with("stream:groups"));
    let mut commands = BTreeMap::new();
    for name in values.iter().flat_map(|value| &value.commands).map(|words| words[0].clone()) {
        if let Entry::Vacant(place) = commands.entry(name) {
            let reply = conn.call(&command(&[b"COMMAND", b"INFO", place.key()]))?;
            let is_known = reply.items().is_some_and(|found| found.first().is_some_and(|one| one.items().is_some()));
            place.insert(is_known);
        }
    }
    values.retain(|value| value.commands.iter().all(|words| commands[&words[0]]));
    Ok(values)
}

fn make(conn: &mut Conn, values: &[data::Value]) -> Result<()> {
    const FAR_MS: usize = 33_177_117_420_123;
    for (at, value) in values.iter().enumerate() {
        let key = value.key.as_bytes();
        let mut lines = value.commands.clone();
        // The module of vector sets cannot copy them.
        if at % 3 == 0 && !value.key.starts_with(VECTORS) {
            lines.push(command(&[b"COPY", key, key, b"DB", b"9"]));
        }
        if at % 4 == 0 {
            lines.push(command(&[b"PEXPIREAT", key, (FAR_MS + at).to_string().as_bytes()]));
        }
        for line in lines {
            let reply = conn.call(&line)?;
            ensure!(!reply.is_error(), "{}: {}", value.key, show(&reply));
        }
    }
    Ok(())
}

/// Makes everything, and these lines at the end. Half of it is written down before the other half is made; a file of RDB is of all.
fn make_all(conn: &mut Conn, values: &[data::Value], way: Way, afterwards: &[&str]) -> Result<()> {
    let (before, after) = values.split_at(values.len() / 2);
    for name in LIBRARIES {
        let library = format!("#!lua name={name}\nredis.register_function('f{name}', function() return 42 end)");
        conn.call(&command(&[b"FUNCTION", b"LOAD", library.as_bytes()]))?;
    }
    make(conn, before)?;
    if way != Way::Rdb {
        write_down(conn, way)?;
    }
    make(conn, after)?;
    for line in afterwards {
        let reply = conn.line(line)?;
        ensure!(!reply.is_error(), "{line}: {}", show(&reply));
    }
    if way == Way::Rdb { write_down(conn, way) } else { Ok(()) }
}

/// Keys of vector sets begin like this.
const VECTORS: &str = "vectors:";

const LIBRARIES: [&str; 2] = ["one", "two"];

/// What comes last: effects that are not their commands.
const AFTERWARDS: &[&str] = &[
    "SET changed 1 EX 100000000",
    "MULTI",
    "INCR changed",
    "INCRBYFLOAT changed 0.5",
    "EXEC",
    "SADD popped a b c d e",
    "SPOP popped 3",
    "EVAL \"redis.call('incr', 'scripted') redis.call('select', 3) redis.call('set', 'deep', 'v')\" 0",
    "XADD automatic * a 1",
    "XADD automatic * a 1",
    "GETEX changed PERSIST",
];

/// What a server of the reference holds.
struct Picture(Vec<String>);

impl Picture {
    fn of(conn: &mut Conn, keeps: Keeps) -> Result<Picture> {
        let mut lines = Vec::new();
        for db in 0..16 {
            conn.must(&format!("SELECT {db}"))?;
            let keys = conn.must("KEYS *")?;
            let mut keys: Vec<&[u8]> = keys.items().context("keys")?.iter().filter_map(Reply::bytes).collect();
            keys.sort_unstable();
            for key in keys {
                let mut ask = |words: &[&[u8]]| conn.call(&command(words));
                let digest = show(&ask(&[b"DEBUG", b"DIGEST-VALUE", key])?);
                let (kind, expiry) = (ask(&[b"TYPE", key])?.text(), ask(&[b"PEXPIRETIME", key])?);
                let encoding = ask(&[b"OBJECT", b"ENCODING", key])?.text();
                // A hash once had fields that expired: a file does not say so.
                let encoding = if keeps == Keeps::None { encoding.replace("listpackex", "listpack") } else { encoding };
                let more = match kind.as_str() {
                    "stream" => masked(&ask(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"])?, keeps),
                    "hash" => times(&mut ask, key)?,
                    _ => String::new(),
                };
                let name = key.escape_ascii();
                lines.push(format!("{db} {name}: {kind} {encoding} {} {digest} {more}", show(&expiry)));
            }
        }
        conn.must("SELECT 0")?;
        lines.push(format!("all: {}", text(conn, "DEBUG DIGEST")?));
        for library in LIBRARIES {
            lines.push(text(conn, &format!("FUNCTION LIST LIBRARYNAME {library} WITHCODE"))?);
        }
        Ok(Picture(lines))
    }

    fn ensure_is(&self, expected: &Picture, what: &str) -> Result<()> {
        let different = self.0.iter().zip(&expected.0).find(|(ours, theirs)| ours != theirs);
        if let Some((ours, theirs)) = different {
            let cut = |line: &str| line.chars().take(3000).collect::<String>();
            anyhow::bail!("{what}: {}\nnot {}", cut(ours), cut(theirs));
        }
        ensure!(self.0.len() == expected.0.len(), "{what}: {} lines, not {}", self.0.len(), expected.0.len());
        Ok(())
    }
}

/// When the fields of a hash expire, in the order of their names; nothing where that is not known.
fn times(ask: &mut dyn FnMut(&[&[u8]]) -> Result<Reply>, key: &[u8]) -> Result<String> {
    let names = ask(&[b"HKEYS", key])?;
    let mut names: Vec<&[u8]> = names.items().context("names")?.iter().filter_map(Reply::bytes).collect();
    names.sort_unstable();
    let count = names.len().to_string();
    let head: [&[u8]; 4] = [b"HPEXPIRETIME", key, b"FIELDS", count.as_bytes()];
    let reply = ask(&[&head[..], &names].concat())?;
    Ok(if reply.is_error() { String::new() } else { format!("{reply:?}") })
}

/// A reply without the times that are not compared.
fn masked(reply: &Reply, keeps: Keeps) -> String {
    // Times of today, ms.
    const NOW: std::ops::Range<i64> = 1_500_000_000_000..5_000_000_000_000;
    match reply {
        Reply::Array(items) => {
            let mut is_masked = false;
            let texts = items.iter().map(|item| {
                let text = if is_masked { "-".into() } else { masked(item, keeps) };
                is_masked = match item.bytes() {
                    Some(b"seen-time" | b"active-time") => keeps != Keeps::All,
                    // Entries are packed anew by commands.
                    Some(b"radix-tree-keys" | b"radix-tree-nodes") => keeps == Keeps::None,
                    _ => false,
                };
                text
            });
            format!("[{}]", texts.collect::<Vec<_>>().join(" "))
        }
        Reply::Int(number) if keeps == Keeps::None && NOW.contains(number) => "-".into(),
        other => format!("{other:?}"),
    }
}

/// Whether a version tells when consumers got something from when they were seen.
fn knows_activity(reference: &Program) -> bool {
    !reference.name.contains(" 7.0")
}

/// From the reference to us and back.
fn there_and_back(subject: &Program, reference: &Program, folder: &Folder, way: Way) -> Result<()> {
    let theirs = folder.empty("theirs")?;
    let (mut server, mut conn) = start(reference, &theirs, way, &[])?;
    // Before version 11, RDB files could not tell of consumers that get nothing, which these commands make.
    let values = known(&mut conn, way != Way::Aof || knows_activity(reference), way)?;
    make_all(&mut conn, &values, way, AFTERWARDS)?;
    server.end("TERM")?;
    let again = folder.copy(&theirs, "again")?;
    let (mut server, mut conn) = start(reference, &again, way, &[])?;
    if way != Way::Rdb {
        // What a base of commands cannot tell, the reference loses as well.
        write_down(&mut conn, way)?;
        server.end("TERM")?;
        (server, conn) = start(reference, &again, way, &[])?;
    }
    let expected = Picture::of(&mut conn, way.keeps())?;
    drop(server);
    ensure!(expected.0.len() > 400, "there is something to compare");
    for options in variants(subject) {
        let there = folder.copy(&theirs, "there")?;
        let (mut server, mut conn) = start(subject, &there, way, options)?;
        write_down(&mut conn, way)?;
        server.end("TERM")?;
        ensure!(!server.output().contains("CRITICAL"), "{}", server.output());
        let (_server, mut conn) = start(reference, &there, way, &[])?;
        Picture::of(&mut conn, way.keeps())?.ensure_is(&expected, &options.join(" "))?;
    }
    Ok(())
}

/// What we write by ourselves, the reference reads as its own.
fn ours(subject: &Program, reference: &Program, folder: &Folder, way: Way) -> Result<()> {
    let theirs = folder.empty("theirs")?;
    let (mut server, mut conn) = start(reference, &theirs, way, &[])?;
    // Nor did increments say how many entries a group has read.
    let values = known(&mut conn, knows_activity(reference), way)?;
    make_all(&mut conn, &values, way, &[])?;
    server.end("TERM")?;
    let (server, mut conn) = start(reference, &theirs, way, &[])?;
    let expected = Picture::of(&mut conn, Keeps::None)?;
    drop(server);
    for options in variants(subject) {
        let dir = folder.empty("ours")?;
        let (mut server, mut conn) = start(subject, &dir, way, options)?;
        make_all(&mut conn, &values, way, &[])?;
        server.end("TERM")?;
        let (server, mut conn) = start(reference, &folder.copy(&dir, "read")?, way, &[])?;
        Picture::of(&mut conn, Keeps::None)?.ensure_is(&expected, &options.join(" "))?;
        drop(server);
        // The same files, loaded by us and written again.
        let (mut server, mut conn) = start(subject, &dir, way, options)?;
        write_down(&mut conn, way)?;
        server.end("TERM")?;
        let (_server, mut conn) = start(reference, &dir, way, &[])?;
        let again = Picture::of(&mut conn, Keeps::None)?;
        again.ensure_is(&expected, &format!("{} written again", options.join(" ")))?;
    }
    Ok(())
}
