//! Files that are wrong: an error that names file and place, exit code 1, and no crash.

use super::*;

/// A file without its end and checksum, to which records may be added.
const START: &[u8] = b"REDIS0012\xFE\x00\x00\x01k\x01v";

/// What is wrong, the bytes, and what the log says about it.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let with = |more: &[u8]| [START, more, b"\xFF", &[0; 8]].concat();
    const FATAL: &str = "Fatal error loading the DB, check server logs. Exiting.";
    const OFFSET: &str = "Internal error in RDB reading offset ";
    vec![
        ("no RDB file", b"SQLite format 3".to_vec(), &["Wrong signature trying to load DB from file", FATAL]),
        ("version", b"REDIS0099\xFF".to_vec(), &["Can't handle RDB format version 99", FATAL]),
        ("no digits", b"REDIS00x2\xFF".to_vec(), &[FATAL]),
        ("empty", Vec::new(), &[FATAL]),
        ("duplicate", with(b"\x00\x01k\x01w"), &["RDB has duplicated key 'k' in DB 0", OFFSET]),
        ("type", with(b"\x63\x01y\x01q"), &[OFFSET, "unknown type of value 99"]),
        (
            "database",
            with(b"\xFE\x10\x00\x01z\x01q"),
            &["FATAL: Data file was created with a Redis server configured to handle more than 16 databases. Exiting"],
        ),
        ("library", with(b"\xF5\x05hello"), &["Failed loading library, Missing library metadata"]),
        (
            "module",
            with(b"\xF7\x81\x12\x34\x56\x78\x90\xAB\xCD\xEF\x02\x01\x00"),
            &["The RDB file contains AUX module data I can't load: no matching module 'EjRWeJCrz'"],
        ),
        ("module's value", with(b"\x07\x01m\x81\x12\x34\x56\x78\x90\xAB\xCD\xEF\x02\x01\x00"), &["'EjRWeJCrz'"]),
        ("intset", with(b"\x0B\x01e\x03abc"), &[OFFSET]),
        ("listpack", with(b"\x10\x01h\x07\x07\x00\x00\x00\x01\x00\xFF"), &[OFFSET]),
        ("announced", with(b"\x01\x01l\x81\x00\x00\x00\xFF\x00\x00\x00\x00\x01a"), &[OFFSET]),
        (
            "checksum",
            [START, b"\xFF12345678"].concat(),
            &["Wrong RDB checksum expected: (", "but got (3837363534333231)"],
        ),
    ]
}

/// Starts a server that cannot load its file; the exit code, and what it has said.
fn fails(subject: &Program, folder: &Folder, path: &Path, options: &[&str]) -> Result<(Option<i32>, String)> {
    subject.end_of(&[&folder.load(path)?, options].concat())
}

pub fn errors(sides: &Sides, folder: &Folder) -> Result<()> {
    for (name, bytes, lines) in cases() {
        let path = folder.file("broken.rdb", &bytes)?;
        for options in variants(&sides.subject) {
            let (code, log) = fails(&sides.subject, folder, &path, options)?;
            ensure!(code == Some(1), "{name}: exit code {code:?}: {log}");
            for line in lines {
                ensure!(log.contains(line), "{name}: {line:?} is missing in {log}");
            }
            ensure!(log.contains("broken.rdb"), "{name}: the file is not named in {log}");
            ensure!(!log.contains("Ready to accept"), "{name}: it is not ready");
        }
    }
    let looped = folder.0.join("loop.rdb");
    std::os::unix::fs::symlink("loop.rdb", &looped)?;
    let (code, log) = fails(&sides.subject, folder, &looped, &[])?;
    let line = "Fatal error: can't open the RDB file loop.rdb for reading: Too many levels of symbolic links";
    ensure!(code == Some(1) && log.contains(line), "{line:?} is missing in {log}");
    let dir = folder.0.join("folder.rdb");
    fs::create_dir(&dir)?;
    let (code, log) = fails(&sides.subject, folder, &dir, &[])?;
    ensure!(code == Some(1) && log.contains("folder.rdb"), "a folder: {code:?} {log}");
    Ok(())
}

/// Every prefix is refused.
pub fn cut(sides: &Sides, folder: &Folder) -> Result<()> {
    let bytes = fs::read(data::every_type(sides, folder, "whole.rdb")?)?;
    let mut rng = Rng::new(1);
    let near_the_end = bytes.len() - 12..bytes.len();
    let places = (0..20).chain((0..40).map(|_| rng.below(bytes.len()))).chain(near_the_end);
    for (n, len) in places.enumerate() {
        let path = folder.file("cut.rdb", &bytes[..len])?;
        let options = variants(&sides.subject)[n % variants(&sides.subject).len()];
        let (code, log) = fails(&sides.subject, folder, &path, options)?;
        ensure!(
            code == Some(1) && log.contains("cut.rdb"),
            "cut at {len} of {}: exit code {code:?}: {log}",
            bytes.len()
        );
        ensure!(!log.contains("panicked"), "cut at {len}: {log}");
    }
    Ok(())
}

/// A byte changed anywhere is an error, if only because of the checksum; without the checksum the server may start.
pub fn changed(sides: &Sides, folder: &Folder) -> Result<()> {
    let bytes = fs::read(data::every_type(sides, folder, "right.rdb")?)?;
    let mut rng = Rng::new(2);
    for n in 0..100 {
        let at = rng.below(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= 1 << rng.below(8);
        let verify = n % 2 == 0;
        let path = folder.file("changed.rdb", &changed)?;
        let options = variants(&sides.subject)[n / 2 % variants(&sides.subject).len()];
        if verify {
            let (code, log) = fails(&sides.subject, folder, &path, options)?;
            ensure!(code == Some(1), "byte {at} changed: exit code {code:?}: {log}");
            ensure!(!log.contains("panicked"), "byte {at} changed: {log}");
            continue;
        }
        let more = [options, &["--rdbchecksum", "no"]].concat();
        match sides.subject.start(&[&folder.load(&path)?, &more[..]].concat()) {
            Ok(mut server) => {
                let outcome = loaded(&server).and_then(|mut conn| data::seen(&mut conn).map(|_| ()));
                if outcome.is_err() {
                    // It ends while it is waited for.
                    server.wait_end().with_context(|| format!("byte {at} changed: {outcome:?}"))?;
                    ensure!(server.output().contains("Fatal error loading the DB"), "byte {at}: {}", server.output());
                }
                let log = server.output();
                ensure!(!log.contains("panicked"), "byte {at} changed: {log}");
            }
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains("Fatal error loading the DB"), "byte {at} changed: {text}");
                ensure!(!text.contains("panicked"), "byte {at} changed: {text}");
            }
        }
    }
    Ok(())
}
