//! The programs that check files.

use super::*;

/// Calls a program by a name of the reference's; what it prints, and its exit code.
pub fn called(
    program: &Program,
    name: &str,
    dir: &Path,
    words: &[&str],
    answer: &str,
) -> Result<(String, Option<i32>)> {
    let mut child = Command::new(program.path.canonicalize()?)
        .arg0(name)
        .args(words)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {name}"))?;
    if let Some(mut input) = child.stdin.take() {
        // It may not ask.
        let _ = std::io::Write::write_all(&mut input, answer.as_bytes());
    }
    let output = child.wait_with_output()?;
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

/// Both print the same and leave the same file.
fn agree(sides: &Sides, folder: &Folder, bytes: &[u8], name: &str, words: &[&str], answer: &str) -> Result<String> {
    let mut results = Vec::new();
    for program in [&sides.oracle, &sides.subject] {
        let dir = write_units(folder, bytes)?.join(AOF_DIR);
        let (text, code) = called(program, name, &dir, words, answer)?;
        results.push((text, code, fs::read(dir.join(LAST))?));
    }
    let shown = bytes.escape_ascii();
    let (oracle, subject) = (&results[0], &results[1]);
    ensure!(
        oracle == subject,
        "{name} {} of {shown}: the oracle gives {:?} {}\nthe subject {:?} {}",
        words.join(" "),
        oracle.1,
        oracle.0,
        subject.1,
        subject.0
    );
    Ok(results.swap_remove(1).0)
}

/// Whole files, cut ones, changed ones.
pub fn same_output(sides: &Sides, folder: &Folder) -> Result<()> {
    let (bytes, ends) = units();
    for words in [&[MANIFEST][..], &[LAST], &["--fix", MANIFEST], &["none"], &["--what", LAST], &[]] {
        agree(sides, folder, &bytes, "redis-check-aof", words, "")?;
    }
    let is_in_note =
        |len: usize| bytes[..len].rsplit(|&byte| byte == b'\n').next().is_some_and(|line| line.starts_with(b"#"));
    for len in ends[5]..bytes.len() {
        // The reference takes a note that is cut off for a whole one.
        if is_in_note(len) {
            continue;
        }
        agree(sides, folder, &bytes[..len], "redis-check-aof", &[MANIFEST], "")?;
        let answer = if len % 2 == 0 { "y\n" } else { "n\n" };
        agree(sides, folder, &bytes[..len], "redis-check-aof", &["--fix", MANIFEST], answer)?;
    }
    for more in [
        &b"garbage\n"[..],
        b"*1\r\n$4\r\nEXEC\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nmulti\r\n",
        b"*1\r\n$x\r\nPING\r\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*1\r\n:4\r\nPING\r\n",
        b"*1\r\n$-4\r\nPING\r\n",
        b"*1\r\n$99999999999999999999\r\nPING\r\n",
        b"*1\n$4\nPING\n",
    ] {
        agree(sides, folder, &[&bytes, more].concat(), "redis-check-aof", &[MANIFEST], "")?;
    }
    let dir = made(sides, folder, "checked", &[])?.join(AOF_DIR);
    let base = "appendonly.aof.2.base.rdb";
    for (name, words) in [
        ("redis-check-rdb", &[base][..]),
        ("redis-check-rdb", &[LAST]),
        ("redis-check-aof", &[MANIFEST]),
        ("redis-check-aof", &[base]),
    ] {
        let oracle = called(&sides.oracle, name, &dir, words, "")?;
        let subject = called(&sides.subject, name, &dir, words, "")?;
        ensure!(oracle == subject, "{name} {words:?}: the oracle gives {oracle:?}\nthe subject {subject:?}");
    }
    Ok(())
}

/// Of a snapshot that is cut off anywhere, both say up to where and in what.
pub fn cut_snapshots(sides: &Sides, folder: &Folder) -> Result<()> {
    let dir = folder.0.join("snapshot");
    fs::create_dir_all(&dir)?;
    let name = dir.to_str().context("a folder's name")?;
    let server = sides.oracle.start(&["--dir", name])?;
    let mut conn = server.conn()?;
    for line in SMALL {
        let reply = conn.line(line)?;
        ensure!(!reply.is_error(), "{line}: {}", show(&reply));
    }
    conn.must("SAVE")?;
    drop(server);
    let file = dir.join("dump.rdb");
    let bytes = fs::read(&file)?;
    for len in (0..bytes.len()).filter(|len| len % 2 == 1 || len % 7 == 0) {
        fs::write(&file, &bytes[..len])?;
        let said = |program: &Program| -> Result<(String, Option<i32>)> {
            let (text, code) = called(program, "redis-check-rdb", &dir, &["dump.rdb"], "")?;
            // Of some values the reference tells the line of its own source, in the log as well.
            let lines = text.lines().filter(|line| !line.contains(" # "));
            let lines =
                lines.map(|line| match line.split_once(" Internal error in RDB reading offset 0, function at ") {
                    Some((offset, _)) => format!("{offset} Unexpected EOF reading RDB file\n"),
                    None => format!("{line}\n"),
                });
            Ok((lines.collect(), code))
        };
        let (expected, subject) = (said(&sides.oracle)?, said(&sides.subject)?);
        ensure!(subject == expected, "cut at {len}: the oracle gives {expected:?}\nthe subject {subject:?}");
    }
    Ok(())
}

/// What is in that snapshot.
const SMALL: &[&str] = &[
    "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 42 end)\"",
    "SET string v PX 100000000",
    "SET number 12345",
    "RPUSH list a b c 1 2 3",
    "SADD ints 1 2 3",
    "SADD set a b c",
    "ZADD zset 1 a 2 b",
    "HSET hash f v g w",
    "HPEXPIRE hash 100000000 FIELDS 1 f",
    "XADD stream 1-1 a b",
    "XGROUP CREATE stream g 0",
    "XREADGROUP GROUP g c STREAMS stream >",
    "CONFIG SET hash-max-listpack-entries 0 zset-max-listpack-entries 0 set-max-listpack-entries 0",
    "HSET hash:table f v g w",
    "HSET hash:times f v g w",
    "HPEXPIRE hash:times 100000000 FIELDS 1 f",
    "ZADD tree 1 a 2 b",
    "SADD table a b c",
    "SELECT 5",
    "SET other v",
];

/// Cutting off what was written after a moment.
pub fn moments(sides: &Sides, folder: &Folder) -> Result<()> {
    let (bytes, _) = units();
    for moment in ["1699999999", "1700000000", "1700000003", "1700000009", "1800000000", "x", "-1", "0"] {
        for file in [MANIFEST, LAST] {
            agree(sides, folder, &bytes, "redis-check-aof", &["--truncate-to-timestamp", moment, file], "")?;
        }
    }
    let dir = write_units(folder, &bytes)?;
    let words = ["--truncate-to-timestamp", "1700000004", MANIFEST];
    let (text, code) = called(&sides.subject, "redis-check-aof", &dir.join(AOF_DIR), &words, "")?;
    ensure!(code == Some(0), "{code:?} {text}");
    let server = sides.subject.start(&with_dir(&dir, &[])?)?;
    let log = show(&loaded(&server)?.must("LRANGE log 0 -1")?);
    ensure!(log.contains("\"5\"") && !log.contains("\"6\""), "the state of that moment is {log}");
    Ok(())
}
