//! What clients see while data is being loaded.

use super::*;

/// Slows a load down: it takes as long as the case.
const SLOW: &[&str] = &["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];

/// What clients send meanwhile; `|` begins a new connection.
const LINES: &[&str] = &[
    "PING",
    "GET key:1",
    "SET a b",
    "ECHO a",
    "DBSIZE",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "FLUSHALL",
    "TYPE a",
    "EXISTS a",
    "SELECT 1",
    "SELECT 0",
    "AUTH x",
    "CLIENT ID",
    "CLIENT GETNAME",
    "CLIENT SETNAME me",
    "CLIENT GETNAME",
    "CLIENT REPLY ON",
    "CLIENT NO-EVICT ON",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING OFF",
    "COMMAND COUNT",
    "CONFIG GET dbfilename",
    "CONFIG SET hz 11",
    "CONFIG GET hz",
    "OBJECT HELP",
    "OBJECT ENCODING key:1",
    "MEMORY USAGE key:1",
    "MEMORY DOCTOR",
    "LATENCY LATEST",
    "LATENCY RESET",
    "SLOWLOG LEN",
    "SLOWLOG RESET",
    "SWAPDB 0 1",
    "LASTSAVE x",
    "TIME x",
    "LOLWUT",
    "SCRIPT LOAD \"return 1\"",
    "SCRIPT HELP",
    "SCRIPT EXISTS a",
    "EVAL \"return 1\" 0",
    "EVAL_RO \"return 1\" 0",
    "FUNCTION LIST",
    "FUNCTION STATS",
    "FUNCTION DUMP",
    "FUNCTION FLUSH",
    "FCALL f 0",
    "PUBLISH c m",
    "SPUBLISH c m",
    "PUBSUB CHANNELS",
    "XINFO HELP",
    "XREAD BLOCK 1 STREAMS s 0",
    "BLPOP l 0",
    "MULTI",
    "GET a",
    "CLIENT ID",
    "EXEC",
    "MULTI",
    "CLIENT GETNAME",
    "PUBLISH c m",
    "EXEC",
    "MULTI",
    "SET a b",
    "DISCARD",
    "WATCH a",
    "UNWATCH",
    "DUMP a",
    "RESTORE a 0 x",
    "NOSUCH",
    "GET",
    "CLIENT",
    "CONFIG",
    "DEBUG HELP x",
    "RESET",
    "HELLO 3",
    "PING",
    "HELLO 2",
    "SUBSCRIBE c",
    "PING",
    "UNSUBSCRIBE c",
    "PSUBSCRIBE p*",
    "PUNSUBSCRIBE p*",
    "SSUBSCRIBE s",
    "SUNSUBSCRIBE s",
    "RESET",
    "QUIT",
];

fn slow_file(sides: &Sides, folder: &Folder) -> Result<PathBuf> {
    let path = folder.0.join("slow.rdb");
    if path.exists() {
        return Ok(path);
    }
    saved(sides, folder, "slow.rdb", |conn| {
        conn.must("DEBUG POPULATE 100000 key 100")?;
        Ok(())
    })
}

fn start(program: &Program, folder: &Folder, path: &Path, options: &[&str]) -> Result<Server> {
    let server = program.start(&[&folder.load(path)?, options, SLOW].concat())?;
    let mut conn = server.conn()?;
    ensure!(info(&mut conn, "persistence", "loading")? == 1, "nothing is being loaded");
    Ok(server)
}

fn transcript(server: &Server) -> Result<Vec<String>> {
    let mut conn = server.conn()?;
    conn.set_timeout(LOAD_MAX)?;
    let mut seen = Vec::new();
    for line in LINES {
        let reply = conn.line(line)?;
        // Ids, texts and numbers of another kind of server are not compared; that they are no errors is.
        let text = match line.split(' ').next().unwrap_or_default() {
            "HELLO" | "COMMAND" | "OBJECT" | "XINFO" | "SCRIPT" | "LATENCY" if !reply.is_error() => "a reply".into(),
            "MEMORY" | "LASTSAVE" | "TIME" | "ROLE" | "DEBUG" if !reply.is_error() => "a reply".into(),
            _ if *line == "CLIENT ID" && !reply.is_error() => "an id".into(),
            "EXEC" => show(&reply).lines().map(|line| line.replace("(integer)", "")).collect::<Vec<_>>().join("; "),
            _ => show(&reply),
        };
        seen.push(format!("{line}: {text}"));
    }
    Ok(seen)
}

/// Commands that touch data are refused, the others are not.
pub fn replies(sides: &Sides, folder: &Folder) -> Result<()> {
    let path = slow_file(sides, folder)?;
    let expected = transcript(&start(&sides.oracle, folder, &path, &[])?)?;
    for options in variants(&sides.subject) {
        let server = start(&sides.subject, folder, &path, options)?;
        let seen = transcript(&server)?;
        let differing: Vec<String> = std::iter::zip(&expected, &seen)
            .filter(|(expected, seen)| expected != seen)
            .map(|(expected, seen)| format!("the oracle says\n  {expected}\nthe subject\n  {seen}"))
            .collect();
        ensure!(differing.is_empty(), "{}", differing.join("\n"));
        ensure!(!server.output().contains("Ready to accept"), "clients may not come yet");
        let mut conn = server.conn()?;
        ensure!(info(&mut conn, "persistence", "loading")? == 1, "the load has ended too early for the case");
        // What was delayed goes on at full speed.
        conn.must("CONFIG SET key-load-delay 0")?;
        let mut conn = loaded(&server)?;
        ensure!(conn.must("DBSIZE")?.int() == Some(100_000), "keys are missing");
        ensure!(server.output().contains("Ready to accept connections tcp"), "clients may come now");
    }
    Ok(())
}

/// INFO tells how far it is.
pub fn progress(sides: &Sides, folder: &Folder) -> Result<()> {
    let path = slow_file(sides, folder)?;
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    let expected = names(&start(&sides.oracle, folder, &path, &[])?.conn()?.must("INFO persistence")?.text());
    for options in variants(&sides.subject) {
        let server = start(&sides.subject, folder, &path, options)?;
        let mut conn = server.conn()?;
        let seen = names(&conn.must("INFO persistence")?.text());
        ensure!(seen == expected, "the oracle has {expected:?}, the subject {seen:?}");
        let total = fs::metadata(&path)?.len() as i64;
        ensure!(info(&mut conn, "persistence", "loading_total_bytes")? == total);
        let mut loaded_bytes = 0;
        poll_for(
            LOAD_MAX,
            || "nothing is read".into(),
            || {
                loaded_bytes = info(&mut conn, "persistence", "loading_loaded_bytes")?;
                Ok(loaded_bytes > 0)
            },
        )?;
        ensure!(loaded_bytes <= total, "{loaded_bytes} of {total}");
        ensure!(info(&mut conn, "persistence", "loading_rdb_used_mem")? > 0);
        ensure!(info(&mut conn, "persistence", "loading_eta_seconds")? >= 0);
    }
    Ok(())
}

/// A signal ends the process at once, with success; SHUTDOWN does too.
pub fn end(sides: &Sides, folder: &Folder) -> Result<()> {
    let path = slow_file(sides, folder)?;
    for options in variants(&sides.subject) {
        let mut server = start(&sides.subject, folder, &path, options)?;
        server.end("TERM")?;
        ensure!(server.exit_code()? == Some(0), "it fails: {}", server.output());
        let line = "Received shutdown signal during loading, exiting now.";
        ensure!(server.output().contains(line), "{line:?} is missing in {}", server.output());
        let mut server = start(&sides.subject, folder, &path, options)?;
        server.conn()?.send(&words("SHUTDOWN"))?;
        server.wait_end()?;
        ensure!(server.exit_code()? == Some(0), "it fails: {}", server.output());
    }
    // A load may wait for its bytes for ever.
    let fifo = folder.0.join("fifo.rdb");
    ensure!(Command::new("mkfifo").arg(&fifo).status()?.success(), "mkfifo failed");
    for options in variants(&sides.subject) {
        let name = fifo.clone();
        let (sender, writer) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(OpenOptions::new().write(true).open(name)));
        let mut server = sides.subject.start(&[&folder.load(&fifo)?, *options].concat())?;
        let mut file = writer.recv()??;
        file.write_all(b"REDIS0012\xFE\x00\x00\x01k\x01v")?;
        let mut conn = server.conn()?;
        let refused = conn.line("PING")?;
        ensure!(show(&refused).contains("LOADING Redis is loading the dataset in memory"), "{}", show(&refused));
        file.write_all(b"\x00\x01l\x01w\xFF\0\0\0\0\0\0\0\0")?;
        drop(file);
        let mut conn = loaded(&server)?;
        ensure!(conn.must("GET l")?.bytes() == Some(b"w"), "what came through the pipe");
        server.end("TERM")?;
    }
    Ok(())
}
