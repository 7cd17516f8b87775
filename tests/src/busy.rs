//! Scripts that take long: what everybody else is told meanwhile, how they are ended, and what is left behind.
//!
//! A case writes down what its clients see. The reference and the server under test, with one thread and with two on each
//! engine, must have seen the same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{client_id, info, poll};
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};
use crate::show::show;

mod alone;
mod waiting;

/// When others are told, ms. Long enough that a case can make its arrangements before.
const THRESHOLD_MS: &str = "200";
/// How long any reply may take.
const DEADLINE: Duration = Duration::from_secs(8);
/// What a client may be kept waiting by a script that everybody knows to be slow: its slices, and then some.
const PROMPT: Duration = Duration::from_secs(2);

const LOOP: &str = r#"EVAL "while true do end" 0"#;
const LIBRARY: &str = "FUNCTION LOAD \"#!lua name=lib\\n\
    local function endless() while true do end end\\n\
    redis.register_function('endless', endless)\\n\
    redis.register_function{function_name = 'endless_ro', callback = endless, flags = {'no-writes'}}\"";

type Case = fn(&mut Stage) -> Result<()>;
const CASES: &[(&str, Case)] = &[
    ("everybody is told", everybody_is_told),
    ("what may be done meanwhile", what_may_be_done),
    ("transactions meanwhile", transactions),
    ("the wrong KILL, and none at all", kill_what),
    ("who has written cannot be killed", has_written),
    ("FUNCTION STATS shows it", function_stats),
    ("nothing outlives the kill", nothing_outlives),
    ("its client leaves", client_leaves),
    ("clients that wait and watch", waiting::those_who_wait),
    ("requests behind it are run", waiting::requests_behind),
    ("keys expire afterwards", waiting::expiry),
    ("SHUTDOWN NOSAVE", shutdown),
];

/// Runs every case on both sides, and then what only the server under test has.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    for (name, case) in CASES {
        let expected = transcript(&sides.oracle, &[], *case).with_context(|| format!("{name}, on the oracle"))?;
        for options in variants(&sides.subject) {
            let outcome = transcript(&sides.subject, options, *case).and_then(|seen| same(&expected, &seen));
            report.step(&format!("{}: {name}", options.join(" ")), outcome);
        }
    }
    if !sides.subject.prefix.is_empty() {
        report.merge(alone::run(&sides.subject));
    }
    Ok(report)
}

/// Threads and engines, where there is a choice.
fn variants(program: &Program) -> &'static [&'static [&'static str]] {
    if program.prefix.is_empty() {
        return &[&[]];
    }
    &[
        &["--io-threads", "1", "--io-engine", "auto"],
        &["--io-threads", "2", "--io-engine", "auto"],
        &["--io-threads", "1", "--io-engine", "epoll"],
        &["--io-threads", "2", "--io-engine", "epoll"],
    ]
}

fn transcript(program: &Program, options: &[&str], case: Case) -> Result<Vec<String>> {
    let mut stage = Stage::start(program, &[options, &["--busy-reply-threshold", THRESHOLD_MS]].concat())?;
    case(&mut stage)?;
    Ok(stage.seen)
}

fn same(expected: &[String], seen: &[String]) -> Result<()> {
    let differing = expected.iter().zip(seen).find(|(expected, seen)| expected != seen);
    if let Some((expected, seen)) = differing {
        anyhow::bail!("the oracle saw\n  {expected}\nthe subject\n  {seen}");
    }
    ensure!(expected.len() == seen.len(), "the oracle saw {} replies, the subject {}", expected.len(), seen.len());
    Ok(())
}

/// A server with a connection that no case uses otherwise, and what clients have seen.
struct Stage {
    server: Server,
    control: Conn,
    seen: Vec<String>,
    is_reference: bool,
}

impl Stage {
    fn start(program: &Program, options: &[&str]) -> Result<Stage> {
        let server = program.start(options)?;
        let mut control = server.conn()?;
        control.set_timeout(DEADLINE)?;
        control.must(LIBRARY)?;
        Ok(Stage { server, control, seen: Vec::new(), is_reference: program.prefix.is_empty() })
    }

    fn conn(&self) -> Result<Conn> {
        let conn = self.server.conn()?;
        conn.set_timeout(DEADLINE)?;
        Ok(conn)
    }

    /// A client sends what takes long; everybody is told when this returns.
    fn begin(&mut self, line: &str) -> Result<Conn> {
        let mut conn = self.conn()?;
        conn.send(&words(line))?;
        self.until_busy(line)?;
        Ok(conn)
    }

    fn until_busy(&mut self, what: &str) -> Result<()> {
        let control = &mut self.control;
        poll(|| format!("{what} keeps nobody waiting"), || Ok(is_busy(&control.line("PING")?)))
    }

    /// The same where something else kept everybody waiting before: `SCRIPT` or `FUNCTION`.
    fn until_busy_with(&mut self, kind: &str) -> Result<()> {
        let end = format!("{kind} KILL or SHUTDOWN NOSAVE.");
        let control = &mut self.control;
        let mut told = || Ok(matches!(control.line("PING")?, Reply::Error(text) if text.ends_with(end.as_bytes())));
        poll(|| format!("nobody is told of a {kind}"), &mut told)
    }

    fn until_free(&mut self) -> Result<()> {
        let control = &mut self.control;
        poll(|| "the server stays busy".into(), || Ok(!is_busy(&control.line("PING")?)))
    }

    /// Sends it and notes the reply, which may not take long.
    fn note(&mut self, conn: &mut Conn, line: &str) -> Result<Reply> {
        let start = Instant::now();
        let reply = conn.line(line)?;
        ensure!(start.elapsed() < PROMPT, "{line} took {:?}", start.elapsed());
        self.write(line, &reply);
        Ok(reply)
    }

    /// The same from a client that has just come.
    fn note_new(&mut self, line: &str) -> Result<Reply> {
        let mut conn = self.conn()?;
        self.note(&mut conn, line)
    }

    /// Notes a reply to what was sent before.
    fn note_next(&mut self, conn: &mut Conn, what: &str) -> Result<Reply> {
        let reply = conn.read().with_context(|| what.to_string())?;
        self.write(what, &reply);
        Ok(reply)
    }

    fn write(&mut self, what: &str, reply: &Reply) {
        self.seen.push(format!("{what}: {}", show(reply)));
    }

    /// Ends it with this command, and notes what its client gets.
    fn end(&mut self, kill: &str, victim: &mut Conn) -> Result<()> {
        self.note_new(kill)?;
        self.note_next(victim, "the client of the script")?;
        self.until_free()
    }
}

fn is_busy(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(b"BUSY "))
}

/// Whatever runs, and whoever asks: clients that were there, and new ones.
fn everybody_is_told(stage: &mut Stage) -> Result<()> {
    let digest = stage.control.must("SCRIPT LOAD \"while true do end\"")?.text();
    let ways = [
        (LOOP.to_string(), "SCRIPT KILL"),
        (format!("EVALSHA {digest} 0"), "SCRIPT KILL"),
        ("EVAL_RO \"while true do end\" 1 key".into(), "SCRIPT KILL"),
        ("EVAL \"#!lua flags=no-writes\\nwhile true do end\" 0".into(), "SCRIPT KILL"),
        ("FCALL endless 0".into(), "FUNCTION KILL"),
        ("FCALL_RO endless_ro 0".into(), "FUNCTION KILL"),
    ];
    let mut others = (0..4).map(|_| stage.conn()).collect::<Result<Vec<_>>>()?;
    for (line, kill) in ways {
        let mut victim = stage.begin(&line)?;
        for other in &mut others {
            let reply = stage.note(other, "GET key")?;
            ensure!(is_busy(&reply), "{line}: GET got {}", show(&reply));
        }
        stage.note_new("SET key value")?;
        stage.end(kill, &mut victim)?;
        for other in &mut others {
            stage.note(other, "PING")?;
        }
        stage.note(&mut victim, "PING")?;
    }
    // In a transaction, what comes before and after the script is done all the same.
    let mut conn = stage.conn()?;
    for line in ["MULTI", "SET a 1", LOOP, "INCR a", "FCALL endless 0", "INCR a"] {
        stage.note(&mut conn, line)?;
    }
    conn.send(&words("EXEC"))?;
    stage.until_busy("EXEC")?;
    stage.note_new("GET a")?;
    stage.note_new("SCRIPT KILL")?;
    // Now the function runs.
    stage.until_busy_with("FUNCTION")?;
    stage.note_new("SCRIPT KILL")?;
    stage.note_new("FUNCTION KILL")?;
    stage.note_next(&mut conn, "EXEC")?;
    stage.note(&mut conn, "GET a")?;
    Ok(())
}

/// Each from a client of its own. Of WATCH see below.
const MEANWHILE: &[&str] = &[
    "AUTH password",
    "AUTH default password",
    "RESET",
    "QUIT",
    "MULTI",
    "DISCARD",
    "EXEC",
    "UNWATCH",
    "UNWATCH now",
    "SUBSCRIBE channel other",
    "UNSUBSCRIBE",
    "PSUBSCRIBE pattern*",
    "PUNSUBSCRIBE pattern*",
    "SSUBSCRIBE channel",
    "SUNSUBSCRIBE channel",
    "PUBLISH channel message",
    "SPUBLISH channel message",
    "PUBSUB CHANNELS",
    "PING",
    "ECHO text",
    "SELECT 1",
    "GET",
    "GET key",
    "NOSUCH command",
    "INFO",
    "CONFIG GET port",
    "CONFIG SET busy-reply-threshold 5000",
    "CLIENT ID",
    "CLIENT LIST",
    "CLIENT KILL ID 1",
    "CLIENT NOSUCH",
    "CLIENT SETINFO lib-name x",
    "CLIENT REPLY ON",
    "CLIENT PAUSE 1",
    "CLIENT UNPAUSE",
    "COMMAND COUNT",
    "DBSIZE",
    "TIME",
    "SLOWLOG LEN",
    "MONITOR",
    "EVAL \"return 1\" 0",
    "FCALL endless 0",
    "SCRIPT EXISTS x",
    "SCRIPT FLUSH",
    "SCRIPT LOAD \"return 1\"",
    "SCRIPT HELP",
    "FUNCTION LIST",
    "FUNCTION FLUSH",
    "FUNCTION KILL",
    "SHUTDOWN SAVE",
    "SHUTDOWN nosuch",
    "FLUSHALL",
];

fn what_may_be_done(stage: &mut Stage) -> Result<()> {
    let mut victim = stage.begin(LOOP)?;
    for line in MEANWHILE {
        stage.note_new(line)?;
    }
    for version in [2, 3] {
        // What it says differs: the number of the client, for one.
        let reply = stage.conn()?.line(&format!("HELLO {version}"))?;
        ensure!(!reply.is_error(), "HELLO {version}: {}", show(&reply));
    }
    stage.note_new("HELLO 4")?;
    // The reference can note a watch, for nothing holds its keys; here they are locked.
    let reply = stage.conn()?.line("WATCH key")?;
    ensure!(is_busy(&reply) || stage.is_reference, "WATCH: {}", show(&reply));
    stage.end("SCRIPT KILL", &mut victim)?;
    stage.note_new("DBSIZE")?;
    stage.note_new("PUBSUB NUMSUB channel")?;
    Ok(())
}

fn transactions(stage: &mut Stage) -> Result<()> {
    let (mut ready, mut half, mut watching, mut new) = (stage.conn()?, stage.conn()?, stage.conn()?, stage.conn()?);
    for line in ["MULTI", "SET ready 1"] {
        ready.must(line)?;
        half.must(line)?;
    }
    for line in ["WATCH ready", "MULTI", "GET ready"] {
        watching.must(line)?;
    }
    let mut victim = stage.begin(LOOP)?;
    for line in ["EXEC", "EXEC", "MULTI", "PING", "EXEC"] {
        stage.note(&mut ready, line)?;
    }
    stage.note(&mut half, "SET half 1")?;
    for line in ["MULTI", "MULTI", "SET new 1", "SELECT 1", "DISCARD", "MULTI", "EXEC", "MULTI"] {
        stage.note(&mut new, line)?;
    }
    stage.note(&mut watching, "DISCARD")?;
    stage.end("SCRIPT KILL", &mut victim)?;
    stage.note(&mut half, "EXEC")?;
    for line in ["SET new 2", "EXEC", "GET new"] {
        stage.note(&mut new, line)?;
    }
    stage.note_new("EXISTS ready half")?;
    let control = &mut stage.control;
    poll(|| "somebody watches".into(), || Ok(info(control, "clients", "watching_clients")? == 0))
}

fn kill_what(stage: &mut Stage) -> Result<()> {
    for line in ["SCRIPT KILL", "FUNCTION KILL", "SCRIPT KILL now", "FUNCTION KILL now"] {
        stage.note_new(line)?;
    }
    for (line, wrong, right) in
        [(LOOP, "FUNCTION KILL", "SCRIPT KILL"), ("FCALL endless 0", "SCRIPT KILL", "FUNCTION KILL")]
    {
        let mut victim = stage.begin(line)?;
        stage.note_new(wrong)?;
        let reply = stage.note_new("GET key")?;
        ensure!(is_busy(&reply), "{wrong} ended it");
        stage.end(right, &mut victim)?;
        stage.note_new(wrong)?;
        stage.note_new(right)?;
    }
    Ok(())
}

/// Once it has written, it is left to end by itself.
fn has_written(stage: &mut Stage) -> Result<()> {
    let text = "redis.call('set', KEYS[1], 'x') local last = os.clock() + 0.8 while os.clock() < last do end \
        return {redis.call('get', KEYS[1]), 'done'}";
    let mut victim = stage.begin(&format!("EVAL \"{text}\" 1 written"))?;
    stage.note_new("SCRIPT KILL")?;
    stage.note_new("FUNCTION KILL")?;
    stage.note_next(&mut victim, "who has written")?;
    stage.until_free()?;
    stage.note_new("SCRIPT KILL")?;
    stage.note_new("GET written")?;
    // To try is to write, even if nothing came of it; to read is not.
    for (call, what) in [("redis.pcall('incr', KEYS[1])", "INCR fails"), ("redis.call('get', KEYS[1])", "GET")] {
        let text = format!("{call} local last = os.clock() + 0.8 while os.clock() < last do end return 'done'");
        let mut victim = stage.begin(&format!("EVAL \"{text}\" 1 written"))?;
        stage.note_new("SCRIPT KILL")?;
        stage.note_next(&mut victim, what)?;
        stage.until_free()?;
    }
    Ok(())
}

fn function_stats(stage: &mut Stage) -> Result<()> {
    stage.note_new("FUNCTION STATS")?;
    for line in ["FCALL endless 1 key argument", "FCALL_RO endless_ro 0"] {
        let mut victim = stage.begin(line)?;
        for _ in 0..2 {
            let text = show(&stage.conn()?.line("FUNCTION STATS")?);
            let (ms, rest) = cut_number(&text, "\"duration_ms\"").context(text.clone())?;
            ensure!((200..8000).contains(&ms), "it has been running for {ms} ms");
            stage.seen.push(rest);
        }
        stage.end("FUNCTION KILL", &mut victim)?;
        stage.note_new("FUNCTION STATS")?;
    }
    // Of scripts it does not tell.
    let mut victim = stage.begin(LOOP)?;
    stage.note_new("FUNCTION STATS")?;
    stage.end("SCRIPT KILL", &mut victim)
}

/// The first integer behind a name, and the text without it.
fn cut_number(text: &str, name: &str) -> Option<(i64, String)> {
    const MARK: &str = "(integer) ";
    let start = text.find(name)?;
    let start = start + text[start..].find(MARK)? + MARK.len();
    let len = text[start..].find(|c: char| !c.is_ascii_digit())?;
    let number = text[start..start + len].parse().ok()?;
    Some((number, format!("{}{}", &text[..start], &text[start + len..])))
}

/// Ways to catch the error that ends a script, none of which does.
const CATCHING: &[&str] = &[
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(pcall, function() while true do end end) end",
    "local function f() pcall(f) return f() end f()",
    "while true do pcall(redis.call, 'ping') end",
    "while true do pcall(redis.call, 'nosuch') end",
    "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do f() end",
    "local t = setmetatable({}, {__index = function(t, k) while true do end end}) while true do pcall(function() return t.x end) end",
    "local t = {} for i = 1, 100 do t[i] = i end while true do pcall(table.sort, t, function(a, b) return a < b end) end",
    "string.gsub('x', '.', function() while true do pcall(error) end end)",
];

fn nothing_outlives(stage: &mut Stage) -> Result<()> {
    for text in CATCHING {
        let mut victim = stage.begin(&format!("EVAL \"{text}\" 0"))?;
        stage.note_new("SCRIPT KILL")?;
        let reply = victim.read().with_context(|| text.to_string())?;
        let Reply::Error(line) = &reply else { anyhow::bail!("{text}: {}", show(&reply)) };
        let line = String::from_utf8_lossy(line).into_owned();
        // What catches it may say something of its own about it.
        ensure!(line.contains("killed by user") || stage.is_reference, "{text}: {line}");
        stage.until_free()?;
        stage.note(&mut victim, "EVAL \"return 'next'\" 0")?;
    }
    Ok(())
}

/// It goes on without its client, and can be ended.
fn client_leaves(stage: &mut Stage) -> Result<()> {
    for (line, kill) in [(LOOP, "SCRIPT KILL"), ("FCALL endless 0", "FUNCTION KILL")] {
        let before = info(&mut stage.control, "clients", "connected_clients")?;
        for leaves_first in [true, false] {
            let mut victim = stage.conn()?;
            victim.send(&words(line))?;
            if !leaves_first {
                stage.until_busy(line)?;
            }
            drop(victim);
            stage.until_busy(line)?;
            let reply = stage.note_new("GET key")?;
            ensure!(is_busy(&reply), "it ended with its client");
            stage.note_new(kill)?;
            stage.until_free()?;
            let control = &mut stage.control;
            poll(
                || "the client that left stays".into(),
                || Ok(info(control, "clients", "connected_clients")? == before),
            )?;
        }
    }
    // One that writes goes through to its end.
    let text = "redis.call('set', KEYS[1], 'x') local last = os.clock() + 0.5 while os.clock() < last do end \
        redis.call('append', KEYS[1], 'y')";
    drop(stage.begin(&format!("EVAL \"{text}\" 1 left"))?);
    stage.until_free()?;
    stage.note_new("GET left")?;
    // In a transaction, so does the rest of it.
    let mut conn = stage.conn()?;
    for line in ["MULTI", "SET before 1", LOOP, "SET after 1"] {
        conn.must(line)?;
    }
    conn.send(&words("EXEC"))?;
    stage.until_busy("EXEC")?;
    drop(conn);
    stage.note_new("SCRIPT KILL")?;
    stage.until_free()?;
    stage.note_new("MGET before after")?;
    Ok(())
}

/// The one thing that ends a script that has written, with the whole server.
fn shutdown(stage: &mut Stage) -> Result<()> {
    let mut conn = stage.conn()?;
    let id = client_id(&mut conn)?;
    ensure!(id > 0, "a client has a number");
    let mut victim = stage.begin("EVAL \"redis.call('set', KEYS[1], 'x') while true do end\" 1 key")?;
    stage.note_new("SCRIPT KILL")?;
    conn.send(&words("SHUTDOWN NOSAVE"))?;
    conn.wait_closed()?;
    victim.wait_closed()?;
    stage.server.wait_end()
}
