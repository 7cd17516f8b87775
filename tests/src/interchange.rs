//! Values that go from one server to the other as payloads of DUMP and in files: of every type, encoding and size, with their times,
//! both ways, and as old versions have written them.

pub mod data;
mod files;
mod old;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::pair::{PairConn, Sides};
use crate::quote::{quoted_text, words};
use crate::report::Report;
use crate::resp::Reply;
use crate::server::Program;
use crate::show::show;

/// Settings under which the values are made and restored.
const SETTINGS: &[&[&str]] = &[
    &[],
    &["rdbcompression no"],
    &[
        "hash-max-listpack-entries 4",
        "hash-max-listpack-value 8",
        "list-max-listpack-size 4",
        "set-max-intset-entries 4",
        "set-max-listpack-entries 4",
        "set-max-listpack-value 8",
        "zset-max-listpack-entries 4",
        "zset-max-listpack-value 8",
        "stream-node-max-entries 5",
    ],
    &["list-max-listpack-size -1", "stream-node-max-bytes 200"],
];

/// Runs every check of the values, and of the files of this version of the reference.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    files::run(&sides.subject, &sides.oracle, &mut report)?;
    for settings in SETTINGS {
        values(sides, settings, &mut report).with_context(|| format!("with {settings:?}"))?;
        old::run(sides, settings, &mut report).with_context(|| format!("with {settings:?}"))?;
    }
    // What was made under one setting is restored under another.
    other_settings(sides, &mut report)?;
    Ok(report)
}

/// Files that go to another version of the reference and back.
pub fn with_version(subject: &Program, reference: &Program) -> Result<Report> {
    let mut report = Report::default();
    files::run(subject, reference, &mut report)?;
    Ok(report)
}

fn start(sides: &Sides, settings: &[&str]) -> Result<(crate::pair::Pair, PairConn)> {
    let options = ["--enable-debug-command", "yes", "--save", "", "--sanitize-dump-payload", "yes"];
    let pair = sides.start(&options)?;
    let mut conn = pair.conn()?;
    for setting in settings {
        conn.must(&format!("CONFIG SET {setting}"))?;
    }
    Ok((pair, conn))
}

fn command(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

fn dump(conn: &mut Conn, key: &str) -> Result<Vec<u8>> {
    let reply = conn.call(&words(&format!("DUMP {key}")))?;
    Ok(reply.bytes().with_context(|| format!("DUMP {key}: {}", show(&reply)))?.to_vec())
}

fn restore(conn: &mut Conn, key: &str, payload: &[u8]) -> Result<Reply> {
    conn.call(&command(&[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"]))
}

fn must_restore(conn: &mut Conn, key: &str, payload: &[u8]) -> Result<()> {
    let reply = restore(conn, key, payload)?;
    ensure!(reply.is_ok(), "RESTORE {key} {}: {}", quoted_text(payload), show(&reply));
    Ok(())
}

fn text(conn: &mut Conn, line: &str) -> Result<String> {
    Ok(show(&conn.call(&words(line))?))
}

/// Makes the values on both servers and sends them both ways.
fn values(sides: &Sides, settings: &[&str], report: &mut Report) -> Result<()> {
    let (_pair, mut conn) = start(sides, settings)?;
    for value in data::values() {
        for line in &value.commands {
            let replies = conn.call(line)?;
            ensure!(!replies.oracle.is_error(), "{line:?}: {}", show(&replies.oracle));
            ensure!(!replies.subject.is_error(), "{line:?}: {}", show(&replies.subject));
        }
        report.step(&format!("{} with {settings:?}", value.key), there_and_back(&mut conn, &value));
    }
    Ok(())
}

fn there_and_back(conn: &mut PairConn, value: &data::Value) -> Result<()> {
    let key = &value.key;
    let (oracle, subject) = (dump(&mut conn.oracle, key)?, dump(&mut conn.subject, key)?);
    if value.exact && value.timeless && !is_table(&mut conn.oracle, key)? {
        ensure_same("DUMP", &subject, &oracle)?;
    }
    // From the reference to us and back.
    must_restore(&mut conn.subject, "there", &oracle)?;
    must_restore(&mut conn.oracle, "there", &oracle)?;
    let encoding = "OBJECT ENCODING there";
    let encodings = (text(&mut conn.subject, encoding)?, text(&mut conn.oracle, encoding)?);
    ensure!(encodings.0 == encodings.1, "{encoding}: {} here, {} there", encodings.0, encodings.1);
    let again = dump(&mut conn.subject, "there")?;
    if value.exact && !is_table(&mut conn.oracle, "there")? {
        let expected = dump(&mut conn.oracle, "there")?;
        ensure_same("DUMP of what was restored", &again, &expected)?;
    }
    must_restore(&mut conn.oracle, "back", &again)?;
    same_value(&mut conn.oracle, key, "back")?;
    // From us to the reference and back.
    must_restore(&mut conn.oracle, "back", &subject)?;
    if value.timeless {
        same_value(&mut conn.oracle, key, "back")?;
    }
    let again = dump(&mut conn.oracle, "back")?;
    must_restore(&mut conn.subject, "there", &again)?;
    for line in &value.reads {
        let (ours, theirs) = (line.replace("KEY", "there"), line.replace("KEY", key));
        let (ours, theirs) = (text(&mut conn.subject, &ours)?, text(&mut conn.subject, &theirs)?);
        ensure!(ours == theirs, "{line}: {ours} after all, {theirs} before");
    }
    Ok(())
}

/// Whether a value's elements have no order.
fn is_table(oracle: &mut Conn, key: &str) -> Result<bool> {
    Ok(text(oracle, &format!("OBJECT ENCODING {key}"))?.contains("hashtable"))
}

fn ensure_same(what: &str, subject: &[u8], oracle: &[u8]) -> Result<()> {
    let cut = |bytes: &[u8]| quoted_text(&bytes[..bytes.len().min(600)]);
    ensure!(subject == oracle, "{what}: {} here, {} there", cut(subject), cut(oracle));
    Ok(())
}

/// Whether the reference takes two keys for the same value.
fn same_value(oracle: &mut Conn, a: &str, b: &str) -> Result<()> {
    let digests = oracle.call(&words(&format!("DEBUG DIGEST-VALUE {a} {b}")))?;
    let digests = digests.items().context("digests")?;
    ensure!(digests[0] == digests[1], "{a} and {b} are different");
    let kind = text(oracle, &format!("TYPE {a}"))?;
    if kind.contains("stream") {
        // The digest is of entries alone.
        let full = |key: &str| format!("XINFO STREAM {key} FULL COUNT 0");
        let (one, other) = (text(oracle, &full(a))?, text(oracle, &full(b))?);
        ensure!(one == other, "XINFO: {one} and {other}");
    }
    if kind.contains("hash") {
        let times = |key: &str, names: &Reply| -> Vec<Vec<u8>> {
            let names: Vec<&[u8]> = names.items().unwrap_or_default().iter().filter_map(Reply::bytes).collect();
            let count = names.len().to_string();
            let head: [&[u8]; 4] = [b"HPEXPIRETIME", key.as_bytes(), b"FIELDS", count.as_bytes()];
            command(&[&head[..], &names].concat())
        };
        let names = oracle.call(&words(&format!("HKEYS {a}")))?;
        let (one, other) = (oracle.call(&times(a, &names))?, oracle.call(&times(b, &names))?);
        ensure!(one == other, "HPEXPIRETIME: {} and {}", show(&one), show(&other));
    }
    Ok(())
}

/// Restores what was made under generous settings under tight ones, and the reverse: encodings follow the settings.
fn other_settings(sides: &Sides, report: &mut Report) -> Result<()> {
    for (made, restored) in [(0, 2), (2, 0), (0, 3)] {
        let (_pair, mut maker) = start(sides, SETTINGS[made])?;
        let (_other_pair, mut taker) = start(sides, SETTINGS[restored])?;
        for value in data::values() {
            for line in &value.commands {
                maker.oracle.call(line)?;
            }
            let payload = dump(&mut maker.oracle, &value.key)?;
            let name = format!("{} made with {:?}, restored with {:?}", value.key, SETTINGS[made], SETTINGS[restored]);
            report.step(&name, same_restored(&mut taker, &payload, value.exact));
        }
    }
    Ok(())
}

/// Restores a payload on both servers: both take or refuse it, with the same encoding, and dump the same again.
fn same_restored(conn: &mut PairConn, payload: &[u8], exact: bool) -> Result<()> {
    let (subject, oracle) = (restore(&mut conn.subject, "k", payload)?, restore(&mut conn.oracle, "k", payload)?);
    ensure!(subject == oracle, "RESTORE: {} here, {} there", show(&subject), show(&oracle));
    if !oracle.is_ok() {
        return Ok(());
    }
    let line = "OBJECT ENCODING k";
    let (ours, theirs) = (text(&mut conn.subject, line)?, text(&mut conn.oracle, line)?);
    ensure!(ours == theirs, "{line}: {ours} here, {theirs} there");
    let again = dump(&mut conn.subject, "k")?;
    if exact && !is_table(&mut conn.oracle, "k")? {
        ensure_same("DUMP", &again, &dump(&mut conn.oracle, "k")?)?;
    }
    must_restore(&mut conn.oracle, "back", &again)?;
    same_value(&mut conn.oracle, "k", "back")
}
