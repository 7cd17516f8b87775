//! Bringing back the state of a moment.

use super::tools::called;
use super::*;

/// When the base was written, and the first of [`units`].
const BASE_S: i64 = 1_699_999_990;
const FIRST_S: i64 = 1_700_000_000;
/// A base of commands.
const BASE: &str = "appendonly.aof.1.base.aof";

/// Runs `kinovar restore`; what it prints, and its exit code.
fn restore(sides: &Sides, dir: &Path, words: &[&str]) -> Result<(String, Option<i32>)> {
    called(&sides.subject, "kinovar", dir, &[&["restore"], words].concat(), "")
}

/// A folder with a base and two increments with the units. `tail`: what the last one ends with.
fn noted(folder: &Folder, tail: &[u8]) -> Result<PathBuf> {
    let dir = folder.0.join("noted");
    let _ = fs::remove_dir_all(&dir);
    let aof = dir.join(AOF_DIR);
    fs::create_dir_all(&aof)?;
    let (bytes, ends) = units();
    let half = ends[3];
    fs::write(aof.join(BASE), format!("#TS:{BASE_S}\r\n*3\r\n$3\r\nSET\r\n$4\r\nbase\r\n$1\r\n1\r\n"))?;
    fs::write(aof.join(LAST), &bytes[..half])?;
    fs::write(aof.join("appendonly.aof.3.incr.aof"), [&bytes[half..], tail].concat())?;
    let manifest = format!(
        "file {BASE} seq 1 type b\nfile {LAST} seq 2 type i startoffset 0\nfile appendonly.aof.3.incr.aof seq 3 type i\n"
    );
    fs::write(aof.join(MANIFEST), manifest)?;
    Ok(dir)
}

/// All files below a folder.
fn files(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push((path.clone(), fs::read(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

/// An empty place for the result, below `dir`.
fn place(dir: &Path) -> Result<PathBuf> {
    let to = dir.join("restored");
    let _ = fs::remove_dir_all(&to);
    Ok(to)
}

/// Each moment gives what was there at its end, to us and to the reference.
pub fn every_moment(sides: &Sides, folder: &Folder) -> Result<()> {
    for tail in [&b""[..], b"*2\r\n$3\r\nDEL\r\n$4\r\nba", b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$4\r\nbase\r\n"] {
        let dir = noted(folder, tail)?;
        let before = files(&dir)?;
        for until in (BASE_S..FIRST_S + 12).filter(|until| !(BASE_S + 2..FIRST_S - 1).contains(until)) {
            let to = place(&folder.0)?;
            let to_name = to.to_str().context("a folder's name")?;
            let (text, code) = restore(sides, &dir, &["--until", &until.to_string(), "--to", to_name])?;
            ensure!(code == Some(0), "{until}: {code:?} {text}");
            ensure!(text.contains("reach from 2023-11-14T22:13:10Z to 2023-11-14T22:13:29Z"), "{text}");
            ensure!(files(&dir)? == before, "{until}: the files have changed");
            // A transaction has the time of what is before it.
            let wanted = (0..10i64).filter(|n| FIRST_S + n - i64::from(n % 3 == 2) <= until).count() as i64;
            let is_torn = text.contains("is not whole");
            ensure!(is_torn == (!tail.is_empty() && until >= FIRST_S + 9), "{until}: {text}");
            for program in [&sides.subject, &sides.oracle] {
                let server = program.start(&with_dir(&to, &[])?)?;
                let mut conn = loaded(&server)?;
                let (base, count) = (conn.line("GET base")?.text(), conn.must("LLEN log")?.int());
                ensure!(base == "1", "{until}: the base is there, not {base}");
                ensure!(count == Some(wanted), "{until}: {wanted} units, not {count:?} in {}: {text}", program.name);
                conn.must("SET after 1")?;
            }
        }
    }
    Ok(())
}

/// What a server has written, with a snapshot as its base and with commands.
pub fn of_servers(sides: &Sides, folder: &Folder) -> Result<()> {
    for (program, preamble) in
        [(&sides.subject, "yes"), (&sides.subject, "no"), (&sides.oracle, "yes"), (&sides.oracle, "no")]
    {
        let dir = folder.0.join("served");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let options = ["--aof-timestamp-enabled", "yes", "--aof-use-rdb-preamble", preamble, "--appendfsync", "always"];
        let mut server = program.start(&with_dir(&dir, &options)?)?;
        let mut conn = server.conn()?;
        let began_s = second(&mut conn)?;
        conn.must("SET key old")?;
        conn.must("RPUSH list a b c")?;
        rewrite(&mut conn)?;
        next_second(&mut conn)?;
        conn.must("SET key good")?;
        let good_s = second(&mut conn)?;
        next_second(&mut conn)?;
        conn.must("FLUSHALL")?;
        server.end("TERM")?;
        let to = place(&folder.0)?;
        let words = |until: i64| -> Result<Vec<String>> {
            let to = to.to_str().context("a folder's name")?;
            Ok(["--until", &until.to_string(), "--from", AOF_DIR, "--to", to].map(String::from).into())
        };
        let run = |until: i64| {
            let words = words(until)?;
            restore(sides, &dir, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let (text, code) = run(began_s - 100)?;
        ensure!(code == Some(1), "before everything: {code:?} {text}");
        let (text, code) = run(good_s)?;
        ensure!(code == Some(0), "{code:?} {text}");
        for reader in [&sides.subject, &sides.oracle] {
            let server = reader.start(&with_dir(&to, &[])?)?;
            let mut conn = loaded(&server)?;
            let found = (conn.line("GET key")?.text(), conn.must("LLEN list")?.int());
            ensure!(found == ("good".into(), Some(3)), "{} preamble {preamble}: {found:?} {text}", program.name);
        }
    }
    Ok(())
}

fn second(conn: &mut Conn) -> Result<i64> {
    let time = conn.must("TIME")?;
    time.items().and_then(|items| items.first()?.text().parse().ok()).context("TIME")
}

fn next_second(conn: &mut Conn) -> Result<()> {
    let now_s = second(conn)?;
    poll_for(REWRITE_MAX, || "time does not pass".into(), || Ok(second(conn)? > now_s))
}

/// What cannot be brought back, and what is said then.
pub fn refused(sides: &Sides, folder: &Folder) -> Result<()> {
    let dir = noted(folder, b"")?;
    let to = place(&folder.0)?;
    let to_name = to.to_str().context("a folder's name")?;
    let aof = dir.join(AOF_DIR);
    let refuses = |words: &[&str], reason: &str| -> Result<()> {
        let output = Command::new(sides.subject.path.canonicalize()?)
            .arg("restore")
            .args(words)
            .current_dir(&dir)
            .output()
            .context("start kinovar restore")?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1) && text.contains(reason), "{words:?}: {reason:?} is missing in {text}");
        ensure!(!to.exists() || fs::read_dir(&to)?.next().is_none(), "{words:?}: nothing is left behind");
        Ok(())
    };
    let moment = |until: &'static str| vec!["--until", until, "--to", to_name];
    refuses(&moment("1699999989"), "the files begin with the state of 2023-11-14T22:13:10Z, which is later than")?;
    refuses(&moment("yesterday"), "'yesterday' is no time")?;
    refuses(&["--until", "1700000000"], "--to DIR is missing")?;
    refuses(&["--until", "1700000000", "--to", "."], "is not empty: name a new one")?;
    refuses(&[&moment("1700000000")[..], &["--from", "none"]].concat(), "can't read the folder")?;
    let (units, ends) = units();
    fs::write(aof.join(LAST), &units[..ends[3] - 1])?;
    refuses(&moment("1700000009"), "ends in the middle of a command, and is not the last file")?;
    fs::write(aof.join(LAST), "garbage\n")?;
    refuses(&moment("1700000009"), "is broken behind offset 0")?;
    // Times since the second increment only.
    fs::write(aof.join(BASE), "")?;
    fs::write(aof.join(LAST), "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n")?;
    refuses(&moment("1700000003"), "1 command is in front of the first time")?;
    fs::write(aof.join("appendonly.aof.3.incr.aof"), "")?;
    refuses(&moment("1700000003"), "no time is noted in the files")?;
    fs::remove_file(aof.join(BASE))?;
    refuses(&moment("1700000003"), "can't open")?;
    fs::write(aof.join(MANIFEST), "file a seq 1 type x\n")?;
    refuses(&moment("1700000003"), "Unknown AOF file type")
}
