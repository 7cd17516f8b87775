//! What the reference does not have: scripts that lock their keys only, and a limit to the memory of scripts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{DEADLINE, LOOP, Stage, is_busy};
use crate::conn::Conn;
use crate::control::{info, poll, poll_for};
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::Program;
use crate::show::show;

type Case = fn(&mut Stage) -> Result<()>;

const MIB: u64 = 1 << 20;
/// A threshold with time enough to look around before.
const LATE: Duration = Duration::from_millis(3000);
const LATE_MS: &str = "3000";
const DECLARED: &str = "#!lua flags=declared-keys-only\\n";

pub(super) fn run(program: &Program) -> Report {
    let mut report = Report::default();
    let mut step = |name: &str, threads: &str, threshold_ms: &str, case: Case| {
        let options = ["--io-threads", threads, "--busy-reply-threshold", threshold_ms];
        let outcome = Stage::start(program, &options).and_then(|mut stage| case(&mut stage));
        report.step(&format!("{threads} threads: {name}"), outcome);
    };
    for threads in ["1", "2"] {
        step("keys that are not declared", threads, "200", undeclared);
        step("declared keys, after the threshold", threads, "200", declared_and_slow);
        step("single steps that take long", threads, "200", stubborn);
    }
    step("other keys before the threshold", "2", LATE_MS, others_go_on);
    step("two at a time", "2", "1000", two_at_a_time);
    step("a script that fills the memory", "2", "60000", fills_the_memory);
    report
}

fn undeclared(stage: &mut Stage) -> Result<()> {
    const TOLD: &str = "ERR Script attempted to access a key that it has not declared script: ";
    let mut conn = stage.conn()?;
    for call in ["'get', 'other'", "'set', 'other', 'x'", "'mget', KEYS[1], 'other'", "'keys', '*'", "'flushall'"] {
        let reply = conn.line(&format!("EVAL \"{DECLARED}return redis.call({call})\" 1 key"))?;
        let Reply::Error(text) = &reply else { anyhow::bail!("{call}: {}", show(&reply)) };
        let text = String::from_utf8_lossy(text);
        ensure!(text.starts_with(TOLD) && text.ends_with(", on @user_script:2."), "{call}: {text}");
    }
    let fine = "redis.call('set', KEYS[1], 'x') return {redis.call('mget', KEYS[1], KEYS[2]), redis.call('ping')}";
    let reply = conn.must(&format!("EVAL \"{DECLARED}{fine}\" 2 key other"))?;
    ensure!(show(&reply) == "1) 1) \"x\"\n   2) (nil)\n2) PONG", "{}", show(&reply));
    ensure!(conn.must("EXISTS other")? == Reply::Int(0), "another key was written");
    Ok(())
}

/// Then everybody is told, and it is ended like any other.
fn declared_and_slow(stage: &mut Stage) -> Result<()> {
    let mut victim = stage.begin(&format!("EVAL \"{DECLARED}while true do end\" 1 key"))?;
    for line in ["GET key", "GET other", "DBSIZE"] {
        let reply = stage.note_new(line)?;
        ensure!(is_busy(&reply), "{line}: {}", show(&reply));
    }
    stage.end("SCRIPT KILL", &mut victim)?;
    stage.control.must("SET key value")?;
    Ok(())
}

/// Connections one after the other are dealt out to both threads in turn.
fn two_conns(stage: &Stage) -> Result<[Conn; 2]> {
    Ok([stage.conn()?, stage.conn()?])
}

/// The thread that does not run the script serves its connections; only who needs the script's key has to wait.
fn others_go_on(stage: &mut Stage) -> Result<()> {
    let script = format!("EVAL \"{DECLARED}while true do end\" 1 key");
    stage.control.must("SET other 0")?;
    for is_killed in [true, false] {
        let [mut victim, mut other] = two_conns(stage)?;
        let [mut same_thread, mut waits] = two_conns(stage)?;
        // The thread that accepts them may be the one that runs the script.
        for conn in [&mut victim, &mut other, &mut same_thread, &mut waits] {
            conn.must("PING")?;
        }
        let start = Instant::now();
        victim.send(&words(&script))?;
        std::thread::sleep(Duration::from_millis(50));
        for _ in 0..200 {
            other.must("INCR other")?;
        }
        let reply = other.must(&format!("EVAL \"{DECLARED}return redis.call('incr', KEYS[1])\" 1 other"))?;
        ensure!(reply.int() > Some(200), "{}", show(&reply));
        ensure!(start.elapsed() < LATE / 2, "others are kept waiting");
        if is_killed {
            other.must("SCRIPT KILL")?;
            ensure!(victim.read()?.is_error(), "it was killed");
            ensure!(start.elapsed() < LATE / 2, "the kill had to wait");
            continue;
        }
        same_thread.send(&words("PING"))?;
        waits.send(&words("SET key value"))?;
        std::thread::sleep(Duration::from_millis(200));
        for conn in [&mut same_thread, &mut waits] {
            let early = conn.try_read()?;
            ensure!(early.is_none(), "the script does not run or its key is free: {early:?}");
        }
        // Until its time is up: then who waits gives up.
        stage.until_busy("a script of declared keys")?;
        for conn in [&mut same_thread, &mut waits] {
            let reply = conn.read()?;
            ensure!(is_busy(&reply), "{}", show(&reply));
        }
        ensure!(start.elapsed() >= LATE, "others were told too early");
        stage.end("SCRIPT KILL", &mut victim)?;
        waits.must("SET key value")?;
    }
    Ok(())
}

/// A script and a function, each on its own thread: each KILL ends its own kind.
fn two_at_a_time(stage: &mut Stage) -> Result<()> {
    let library = "FUNCTION LOAD \"#!lua name=declared\\nredis.register_function{function_name = 'declared', \
     callback = function() while true do end end, flags = {'declared-keys-only'}}\"";
    stage.control.must(library)?;
    let script = format!("EVAL \"{DECLARED}while true do end\" 1 key");
    for (second, first_kill, second_kill) in [
        ("FCALL declared 1 other".to_string(), "SCRIPT KILL", Some("FUNCTION KILL")),
        (script.replace("1 key", "1 other"), "SCRIPT KILL", None),
    ] {
        let [mut first, mut other] = two_conns(stage)?;
        first.must("PING")?;
        other.must("PING")?;
        first.send(&words(&script))?;
        other.send(&words(&second))?;
        stage.until_busy("one of two")?;
        stage.control.must(first_kill)?;
        first.read().context("the first one")?;
        if let Some(kill) = second_kill {
            poll(|| "nobody is told of the second one".into(), || Ok(is_busy(&stage.control.line("PING")?)))?;
            ensure!(other.try_read()?.is_none(), "the second one has ended, too");
            stage.control.must(kill)?;
        }
        let reply = other.read().context("the second one")?;
        ensure!(reply.is_error() && !is_busy(&reply), "{}", show(&reply));
        stage.until_free()?;
    }
    Ok(())
}

/// Strings and tables without end: an error, and the memory is free again.
fn fills_the_memory(stage: &mut Stage) -> Result<()> {
    stage.control.must("PING")?;
    let before = stage.server.rss_bytes()?;
    let mut conn = stage.conn()?;
    conn.set_timeout(Duration::from_secs(60))?;
    for text in [
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 2^31 - 1) .. 'x'",
        "local s = string.rep('x', 2^20) local t = {} for i = 1, 4000 do t[i] = s .. i end return #t",
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "local t = string.rep('x', 5e8) return {struct.pack('s', t), t, t, t, t, t}",
        "local t = {} for i = 1, 30 do t = {t, t} end return cjson.encode(t)",
        "local t = {} for i = 1, 40 do t = {t, t} end return t",
        "local s = string.rep('x', 4e8) return #cmsgpack.pack(s, s)",
        "local s = string.rep('\\0', 4e8) return cjson.encode(s) .. 'x'",
        "local s = string.rep('x', 1e8) redis.call('set', KEYS[1], s) local t = {} for i = 1, 50 do t[i] = redis.call('get', KEYS[1]) .. i end",
        "return assert(loadstring('return ' .. string.rep('{', 3e8)))",
    ] {
        let start = Instant::now();
        let reply = conn.line(&format!("EVAL \"{text}\" 1 key")).with_context(|| text.to_string())?;
        let Reply::Error(line) = &reply else { anyhow::bail!("{text}: no error") };
        let line = String::from_utf8_lossy(line);
        println!(
            "  {:.1} s, {} MiB at most: {text}: {line}",
            start.elapsed().as_secs_f64(),
            stage.server.rss_peak_bytes()? / MIB
        );
        ensure!(line.contains("not enough memory") || line.contains("too"), "{text}: {line}");
        ensure!(conn.must("EVAL \"return 'next'\" 0")?.text() == "next", "the next script");
    }
    let peak = stage.server.rss_peak_bytes()?;
    ensure!(peak < before + 3000 * MIB, "it took {} MiB", peak / MIB);
    conn.must("FLUSHALL")?;
    let server = &stage.server;
    poll_for(
        DEADLINE,
        || format!("{} MiB are still used", server.rss_bytes().unwrap_or(0) / MIB),
        || {
            conn.must("EVAL \"collectgarbage() return 1\" 0")?;
            Ok(server.rss_bytes()? < before + 200 * MIB)
        },
    )?;
    let vm_bytes = info(&mut conn, "memory", "used_memory_vm_eval")?;
    ensure!(vm_bytes < 16 * MIB as i64, "interpreters take {vm_bytes} bytes");
    Ok(())
}

/// Single steps of these take long, or go round what the interpreter counts. Nevertheless others are told, and they can be ended.
const STUBBORN: &[&str] = &[
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "while true do pcall(coroutine.wrap(function() while true do end end)) end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "xpcall(function() while true do end end, coroutine.wrap(function() while true do end end))",
    "local function f() for i = 1, 10 do pcall(coroutine.wrap(f)) end end f()",
    "local c = {} while true do local f = coroutine.create(function() while true do coroutine.yield() end end) \
     for i = 1, 50 do coroutine.resume(f) end end",
    "return string.find(string.rep('a', 60), string.rep('a-', 30) .. 'b')",
    "return string.gsub(string.rep('a', 1e5), '.-.-.-.-b', '')",
    "return string.rep('(', 1e6):find('%b()')",
    "return string.rep('a', 4e7):find(string.rep('a', 2e7) .. 'b', 1, true)",
    "local t = {} for i = 1, 3e5 do table.insert(t, 1, i) end while true do table.insert(t, 1, 1) table.remove(t, 1) end",
    "table.insert({}, -2^31, 1) while true do end",
    "local s, t = string.rep('a', 1e6), {} for i = 1, 1e5 do t[i] = s end table.sort(t)",
    "local s = string.rep('x', 2^26) while true do local t = s .. 'x' end",
    "while true do string.rep('x', 2^26) end",
    "local s = string.rep('x', 2^24) while true do cjson.encode(s) cmsgpack.pack(s) struct.pack('s', s) redis.sha1hex(s) end",
    "while true do pcall(string.rep, 'x', 2^30) end",
    "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
    "local function f(n) if n > 0 then return 1 + f(n - 1) end while true do end end \
     while true do for n = 16000, 16400 do pcall(f, n) end end",
];

fn stubborn(stage: &mut Stage) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    for text in STUBBORN {
        let mut victim = stage.conn()?;
        victim.set_timeout(PATIENCE)?;
        let control = &mut stage.control;
        control.set_timeout(PATIENCE)?;
        let start = Instant::now();
        victim.send(&words(&format!("EVAL \"{text}\" 0")))?;
        let told = || format!("{text}: nobody is told");
        poll_for(PATIENCE, told, || Ok(is_busy(&control.line("PING").with_context(told)?)))?;
        let told = start.elapsed();
        let start = Instant::now();
        control.must("SCRIPT KILL")?;
        let reply = victim.read().context(text)?;
        println!("  told after {told:.2?}, ended after {:.2?}: {text}", start.elapsed());
        let Reply::Error(line) = &reply else { anyhow::bail!("{text}: {}", show(&reply)) };
        ensure!(!is_busy(&reply), "{text}: {}", String::from_utf8_lossy(line));
        stage.until_free()?;
    }
    let mut victim = stage.begin(LOOP)?;
    stage.end("SCRIPT KILL", &mut victim)
}
