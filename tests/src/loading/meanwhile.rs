//! What clients see while data is being loaded.

use super::*;

/// What is loaded, and what slows that down: it takes as long as the case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// An RDB file.
    Rdb,
    /// An append-only file, of commands alone. The reference looks at its clients after every 1024 of them.
    Aof,
}

impl Form {
    fn options(self) -> &'static [&'static str] {
        match self {
            Form::Rdb => &["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"],
            Form::Aof => &["--key-load-delay", "20", "--appendonly", "yes"],
        }
    }

    fn keys(self) -> i64 {
        match self {
            Form::Rdb => 100_000,
            Form::Aof => 400_000,
        }
    }
}

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

fn slow_file(sides: &Sides, folder: &Folder, form: Form) -> Result<PathBuf> {
    if form == Form::Aof {
        return slow_commands(folder);
    }
    let path = folder.0.join("slow.rdb");
    if path.exists() {
        return Ok(path);
    }
    saved(sides, folder, "slow.rdb", |conn| {
        conn.must("DEBUG POPULATE 100000 key 100")?;
        Ok(())
    })
}

/// An append-only file; its path is that of its only increment.
fn slow_commands(folder: &Folder) -> Result<PathBuf> {
    let dir = folder.0.join("appendonlydir");
    let path = dir.join("appendonly.aof.1.incr.aof");
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(&dir)?;
    let mut text = String::from("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
    for number in 0..Form::Aof.keys() {
        let key = format!("key:{number}");
        text.push_str(&format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\nv\r\n", key.len()));
    }
    fs::write(&path, text)?;
    fs::write(dir.join("appendonly.aof.manifest"), "file appendonly.aof.1.incr.aof seq 1 type i\n")?;
    Ok(path)
}

/// Starts a server that loads what was made. Each has a folder of its own: it goes on with an append-only file.
fn start(program: &Program, folder: &Folder, path: &Path, form: Form, options: &[&str]) -> Result<Server> {
    let options = [options, form.options()].concat();
    let server = match form {
        Form::Rdb => program.start(&[&folder.load(path)?, &options[..]].concat())?,
        Form::Aof => program.start_filled(&options, |dir| {
            let from = path.parent().context("a folder")?;
            let to = dir.join("appendonlydir");
            fs::create_dir_all(&to)?;
            for file in fs::read_dir(from)? {
                let file = file?;
                fs::copy(file.path(), to.join(file.file_name()))?;
            }
            Ok(())
        })?,
    };
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
pub fn replies(sides: &Sides, folder: &Folder, form: Form) -> Result<()> {
    let path = slow_file(sides, folder, form)?;
    let expected = transcript(&start(&sides.oracle, folder, &path, form, &[])?)?;
    for options in variants(&sides.subject) {
        let server = start(&sides.subject, folder, &path, form, options)?;
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
        ensure!(conn.must("DBSIZE")?.int() == Some(form.keys()), "keys are missing");
        ensure!(server.output().contains("Ready to accept connections tcp"), "clients may come now");
    }
    Ok(())
}

/// INFO tells how far it is.
pub fn progress(sides: &Sides, folder: &Folder, form: Form) -> Result<()> {
    let path = slow_file(sides, folder, form)?;
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    let expected = names(&start(&sides.oracle, folder, &path, form, &[])?.conn()?.must("INFO persistence")?.text());
    for options in variants(&sides.subject) {
        let server = start(&sides.subject, folder, &path, form, options)?;
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
        ensure!((info(&mut conn, "persistence", "loading_rdb_used_mem")? > 0) == (form == Form::Rdb));
        ensure!(info(&mut conn, "persistence", "loading_eta_seconds")? >= 0);
    }
    Ok(())
}

/// A signal ends the process at once, with success; SHUTDOWN does too.
pub fn end(sides: &Sides, folder: &Folder) -> Result<()> {
    let form = Form::Rdb;
    let path = slow_file(sides, folder, form)?;
    for options in variants(&sides.subject) {
        let mut server = start(&sides.subject, folder, &path, form, options)?;
        server.end("TERM")?;
        ensure!(server.exit_code()? == Some(0), "it fails: {}", server.output());
        let line = "Received shutdown signal during loading, exiting now.";
        ensure!(server.output().contains(line), "{line:?} is missing in {}", server.output());
        let mut server = start(&sides.subject, folder, &path, form, options)?;
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
