//! Append-only files: those of the reference give the same data, and go on as ours; what is cut off or broken is found. The
//! programs that check files print what the reference's print.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::loading::data::{LINES, expanded, same, seen};
use crate::loading::{loaded, variants};
use crate::pair::Sides;
use crate::report::Report;
use crate::rng::Rng;
use crate::server::{Program, Server};
use crate::show::show;

mod restore;
mod tools;

/// How long a rewrite may take.
const REWRITE_MAX: Duration = Duration::from_secs(60);
/// The folder of an append-only file, and its manifest.
const AOF_DIR: &str = "appendonlydir";
const MANIFEST: &str = "appendonly.aof.manifest";
/// The last increment of what [`made`] makes.
const LAST: &str = "appendonly.aof.2.incr.aof";

/// Runs every check.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    let folder = Folder::new()?;
    for (name, options) in FORMS {
        report.step(name, same_data(sides, &folder, options));
    }
    report.step("an old single file", old_file(sides, &folder));
    report.step("several increments", several(sides, &folder));
    report.step("cut at every byte", cut(sides, &folder));
    report.step("bytes changed", changed(sides, &folder));
    report.step("files that cannot be loaded", refused(sides, &folder));
    report.step("programs that check files", tools::same_output(sides, &folder));
    report.step("snapshots that are cut off", tools::cut_snapshots(sides, &folder));
    report.step("going back to a moment", tools::moments(sides, &folder));
    // The reference has no such program.
    if !sides.subject.prefix.is_empty() {
        report.step("restored: every moment", restore::every_moment(sides, &folder));
        report.step("restored: what servers write", restore::of_servers(sides, &folder));
        report.step("restored: what is refused", restore::refused(sides, &folder));
    }
    Ok(report)
}

/// How the reference writes.
const FORMS: &[(&str, &[&str])] = &[
    ("with a snapshot", &[]),
    ("commands only", &["--aof-use-rdb-preamble", "no"]),
    ("with times", &["--aof-timestamp-enabled", "yes"]),
];

/// A folder for files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("kinovar-aof-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// A server's folder with a copy of the files of another one.
    fn copy(&self, from: &Path, name: &str) -> Result<PathBuf> {
        let to = self.0.join(name);
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(to.join(AOF_DIR))?;
        for entry in fs::read_dir(from.join(AOF_DIR))? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(AOF_DIR).join(entry.file_name()))?;
        }
        Ok(to)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn with_dir<'a>(dir: &'a Path, more: &[&'a str]) -> Result<Vec<&'a str>> {
    let dir = dir.to_str().context("a folder's name")?;
    Ok([&["--dir", dir, "--appendonly", "yes"], more].concat())
}

fn rewrite(conn: &mut Conn) -> Result<()> {
    conn.must("BGREWRITEAOF")?;
    poll_for(
        REWRITE_MAX,
        || "a rewrite does not end".into(),
        || Ok(info(conn, "persistence", "aof_rewrite_in_progress")? == 0),
    )
}

/// Has the reference make an append-only file: half of the data in its base, the other half behind it.
fn made(sides: &Sides, folder: &Folder, name: &str, options: &[&str]) -> Result<PathBuf> {
    let dir = folder.0.join(name);
    fs::create_dir_all(&dir)?;
    let mut server = sides.oracle.start(&with_dir(&dir, options)?)?;
    let mut conn = server.conn()?;
    let (before, after) = LINES.split_at(LINES.len() / 2);
    let call = |lines: &[&str]| -> Result<Conn> {
        let mut conn = server.conn()?;
        for line in lines {
            let reply = conn.call(&expanded(line))?;
            ensure!(!reply.is_error(), "{line}: {}", show(&reply));
        }
        Ok(conn)
    };
    call(before)?;
    rewrite(&mut conn)?;
    let mut last = call(after)?;
    for line in [
        "SET gone v PX 1",
        "MULTI",
        "INCR counter",
        "INCR counter",
        "EXEC",
        "EVAL \"redis.call('incr', 'counter') redis.call('select', 3) redis.call('set', 'deep', 'v')\" 0",
        "SADD popped a b c d",
        "SPOP popped 2",
        "INCRBYFLOAT float 3.25",
        "SET short v EX 100000",
        "HSETEX fields EX 100000 FIELDS 1 f v",
    ] {
        let reply = last.line(line)?;
        ensure!(!reply.is_error(), "{line}: {}", show(&reply));
    }
    std::thread::sleep(Duration::from_millis(10));
    last.line("GET gone")?;
    server.end("TERM")?;
    Ok(dir)
}

/// What is there, but for what depends on when it was loaded.
fn lasting(conn: &mut Conn) -> Result<Vec<String>> {
    Ok(seen(conn)?.into_iter().filter(|line| !line.starts_with("XINFO STREAM stream FULL")).collect())
}

fn load(program: &Program, dir: &Path, options: &[&str]) -> Result<(Server, Vec<String>)> {
    let server = program.start(&with_dir(dir, options)?)?;
    let seen = lasting(&mut loaded(&server)?)?;
    Ok((server, seen))
}

/// All the data is there; and the reference reads what we add.
fn same_data(sides: &Sides, folder: &Folder, form: &[&str]) -> Result<()> {
    let dir = made(sides, folder, &format!("made{}", form.join("")), form)?;
    check_data(sides, folder, &dir)
}

fn check_data(sides: &Sides, folder: &Folder, dir: &Path) -> Result<()> {
    let (_, expected) = load(&sides.oracle, &folder.copy(dir, "oracle")?, &[])?;
    for options in variants(&sides.subject) {
        let copy = folder.copy(dir, "subject")?;
        let (mut server, found) = load(&sides.subject, &copy, options)?;
        same(&expected, &found).with_context(|| options.join(" "))?;
        let log = server.output();
        for line in ["DB loaded from base file ", "DB loaded from incr file ", "DB loaded from append only file: "] {
            ensure!(log.contains(line), "{line:?} is missing in {log}");
        }
        let mut conn = server.conn()?;
        for line in ["SET added 1", "MULTI", "RPUSH pair a", "RPUSH pair b", "EXEC", "DEL int"] {
            let reply = conn.line(line)?;
            ensure!(!reply.is_error(), "{line}: {}", show(&reply));
        }
        let ours = lasting(&mut conn)?;
        server.end("TERM")?;
        let (_, theirs) = load(&sides.oracle, &copy, &[])?;
        same(&theirs, &ours).context("the reference reads what was added")?;
    }
    Ok(())
}

/// Before 7.0 there was one file, beside the folder.
fn old_file(sides: &Sides, folder: &Folder) -> Result<()> {
    let dir = made(sides, folder, "new", &[])?;
    let (_, expected) = load(&sides.oracle, &folder.copy(&dir, "oracle")?, &[])?;
    let read = |name: &str| fs::read(dir.join(AOF_DIR).join(name));
    let bytes = [read("appendonly.aof.2.base.rdb")?, read(LAST)?].concat();
    for options in variants(&sides.subject) {
        let old = folder.0.join("old");
        let _ = fs::remove_dir_all(&old);
        fs::create_dir_all(&old)?;
        fs::write(old.join("appendonly.aof"), &bytes)?;
        let (mut server, found) = load(&sides.subject, &old, options)?;
        same(&expected, &found)?;
        let log = server.output();
        for line in [
            "Successfully migrated an old-style AOF file (appendonly.aof) into the AOF directory (appendonlydir).",
            "Reading RDB preamble from AOF file...",
            "Reading the remaining AOF tail...",
        ] {
            ensure!(log.contains(line), "{line:?} is missing in {log}");
        }
        server.end("TERM")?;
        let (_, found) = load(&sides.subject, &old, options)?;
        same(&expected, &found).context("a second time")?;
    }
    Ok(())
}

/// More increments than one, some of them empty.
fn several(sides: &Sides, folder: &Folder) -> Result<()> {
    let dir = made(sides, folder, "one", &[])?;
    let aof = dir.join(AOF_DIR);
    fs::write(aof.join("appendonly.aof.3.incr.aof"), "")?;
    // A file begins in database 0, whatever was selected.
    fs::write(aof.join("four"), "*3\r\n$3\r\nSET\r\n$4\r\nfour\r\n$1\r\n4\r\n")?;
    let mut manifest = fs::read_to_string(aof.join(MANIFEST))?;
    manifest.push_str("file appendonly.aof.3.incr.aof seq 3 type i\nfile four seq 4 type i\n");
    fs::write(aof.join(MANIFEST), manifest)?;
    check_data(sides, folder, &dir)
}

/// An increment of ten units of which some are transactions: its bytes, and where each unit ends.
fn units() -> (Vec<u8>, Vec<usize>) {
    let command = |words: &[&str]| {
        let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        words
    };
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for n in 0..10 {
        let number = n.to_string();
        let push = format!("*3\r\n{}", command(&["RPUSH", "log", &number]));
        if n % 3 == 2 {
            bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
            bytes.extend_from_slice(format!("*2\r\n{}", command(&["INCR", "sum"])).as_bytes());
            bytes.extend_from_slice(push.as_bytes());
            bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        } else {
            bytes.extend_from_slice(format!("#TS:170000000{n}\r\n{push}").as_bytes());
        }
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn write_units(folder: &Folder, bytes: &[u8]) -> Result<PathBuf> {
    let dir = folder.0.join("units");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join(AOF_DIR))?;
    fs::write(dir.join(AOF_DIR).join(MANIFEST), format!("file {LAST} seq 2 type i\n"))?;
    fs::write(dir.join(AOF_DIR).join(LAST), bytes)?;
    Ok(dir)
}

/// Of a file that is cut off anywhere, each unit that is whole is loaded, and nothing of the others.
fn cut(sides: &Sides, folder: &Folder) -> Result<()> {
    let (bytes, ends) = units();
    let from = ends[ends.len() - 4];
    for len in (1..from).step_by(29).chain(from..=bytes.len()) {
        let whole = ends.iter().filter(|&&end| end <= len).count();
        let choice = variants(&sides.subject);
        let options = choice[len % choice.len()];
        let dir = write_units(folder, &bytes[..len])?;
        if len % 5 == 0 && !ends.contains(&len) {
            let more = [options, &["--aof-load-truncated", "no"]].concat();
            let note_end = bytes[..len].ends_with(b"\n") && bytes[..len].rsplit(|&byte| byte == b'\n').nth(1).is_some();
            let is_after_note = note_end
                && bytes[..len - 2].rsplit(|&byte| byte == b'\n').next().is_some_and(|line| line.starts_with(b"#"));
            if !is_after_note {
                let (code, log) = sides.subject.end_of(&with_dir(&dir, &more)?)?;
                let line = format!("Unexpected end of file reading the append only file {LAST}. You can: 1)");
                ensure!(code == Some(1) && log.contains(&line), "cut at {len}: {code:?} {log}");
                ensure!(fs::read(dir.join(AOF_DIR).join(LAST))?.len() == len, "the file is as it was");
            }
        }
        let mut server = sides.subject.start(&with_dir(&dir, options)?)?;
        let mut conn = loaded(&server)?;
        let log = show(&conn.must("LRANGE log 0 -1")?);
        let (count, sum) = (conn.must("LLEN log")?.int(), conn.line("GET sum")?.text());
        ensure!(count == Some(whole as i64), "cut at {len}: {whole} units are whole, {log} was loaded");
        let sums = (0..whole).filter(|n| n % 3 == 2).count();
        ensure!(sums == sum.parse().unwrap_or(0), "cut at {len}: the sum of {whole} units is {sums}, not {sum}");
        // What is written then can be read.
        conn.must("RPUSH log more")?;
        server.end("TERM")?;
        let server = sides.oracle.start(&with_dir(&dir, &[])?)?;
        let count = loaded(&server)?.must("LLEN log")?.int();
        ensure!(
            count == Some(whole as i64 + 1),
            "cut at {len}: the reference reads {count:?} after {whole} and one more"
        );
    }
    Ok(())
}

/// A byte changed anywhere is an error, or other data, never more than that.
fn changed(sides: &Sides, folder: &Folder) -> Result<()> {
    let dir = made(sides, folder, "right", &["--aof-timestamp-enabled", "yes"])?;
    let bytes = fs::read(dir.join(AOF_DIR).join(LAST))?;
    let mut rng = Rng::new(3);
    for n in 0..60 {
        let at = rng.below(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= 1 << rng.below(8);
        let copy = folder.copy(&dir, "changed")?;
        fs::write(copy.join(AOF_DIR).join(LAST), &changed)?;
        let choice = variants(&sides.subject);
        let mut log = String::new();
        match sides.subject.start(&with_dir(&copy, choice[n % choice.len()])?) {
            Ok(mut server) => {
                if loaded(&server).and_then(|mut conn| conn.must("PING")).is_err() {
                    server.wait_end().with_context(|| format!("byte {at} changed"))?;
                    ensure!(server.exit_code()? == Some(1), "byte {at} changed: {}", server.output());
                }
                log.push_str(&server.output());
            }
            Err(error) => {
                log = format!("{error:#}");
                ensure!(log.contains(LAST), "byte {at} changed: the file is not named in {log}");
            }
        }
        ensure!(!log.contains("panicked"), "byte {at} changed: {log}");
    }
    Ok(())
}

/// What keeps a server from starting: the files, and what the log says.
fn refused(sides: &Sides, folder: &Folder) -> Result<()> {
    let (bytes, _) = units();
    let manifests: [(&str, &str); 8] = [
        ("", "Found an empty AOF manifest"),
        ("\n", "Invalid AOF manifest file format"),
        ("file a seq 1 type b", "The AOF manifest file contains too long line"),
        ("file a seq 1 type x\n", "Unknown AOF file type"),
        ("file ../a seq 1 type b\n", "File can't be a path, just a filename"),
        ("file a seq 1 type b\nfile b seq 2 type b\n", "Found duplicate base file information"),
        ("file a seq 2 type i\nfile b seq 1 type i\n", "Found a non-monotonic sequence number"),
        ("file a seq 1 type b\n", "Unable to obtain the AOF file a length. stat: No such file or directory"),
    ];
    let refuses = |program: &Program, dir: &Path, line: &str| -> Result<()> {
        let (code, log) = program.end_of(&with_dir(dir, &[])?)?;
        ensure!(code == Some(1) && log.contains(line), "{}: {line:?} is missing: {code:?} {log}", program.name);
        ensure!(!log.contains("Ready to accept") && !log.contains("panicked"), "{log}");
        Ok(())
    };
    for (manifest, line) in manifests {
        let dir = write_units(folder, &bytes)?;
        fs::write(dir.join(AOF_DIR).join(MANIFEST), manifest)?;
        for program in [&sides.oracle, &sides.subject] {
            refuses(program, &dir, line)?;
        }
    }
    let bad_format =
        format!("Bad file format reading the append only file {LAST}: make a backup of your AOF file, then use");
    let files: [(&[u8], &str); 6] = [
        (b"*0\r\n", &bad_format),
        (b"SET a b\r\n", &bad_format),
        (b"*1\r\n:1\r\n", &bad_format),
        (b"\0\0\0\0", &bad_format),
        (b"*1\r\n$4\r\nNONE\r\n", "Unknown command 'NONE' reading the append only file"),
        (b"REDIS0012\xff", "Internal error in RDB reading offset "),
    ];
    for (file, line) in files {
        for program in [&sides.oracle, &sides.subject] {
            refuses(program, &write_units(folder, file)?, line)?;
        }
    }
    // A file in the middle must be whole.
    for program in [&sides.oracle, &sides.subject] {
        let dir = write_units(folder, &bytes[..bytes.len() - 3])?;
        fs::write(dir.join(AOF_DIR).join("next"), &bytes)?;
        let manifest = format!("file {LAST} seq 2 type i\nfile next seq 3 type i\n");
        fs::write(dir.join(AOF_DIR).join(MANIFEST), manifest)?;
        refuses(program, &dir, "Fatal error: the truncated file is not the last file")?;
    }
    Ok(())
}
