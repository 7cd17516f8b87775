//! Many clients change the same keys on several threads, keys and fields expire meanwhile, and what was written is loaded by the
//! reference: it must hold the same. An effect that went to the file in another order than the changes were made, or not at
//! all, shows.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::ARGUMENTS;
use crate::pair::{Pair, Sides};
use crate::quote::words;
use crate::random::state;
use crate::report::Report;
use crate::rng::Rng;
use crate::server::Server;
use crate::show::show;

const CLIENTS: usize = 10;
/// Commands sent before replies are read.
const BATCH: usize = 25;
const BATCHES: usize = 400;
/// How long what has a short time to live may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What clients do: `{s}` and the like are a key of one type, `{n}` a number, `{ms}` a short time. `;` stands between commands
/// that are sent one after the other.
const ACTIONS: &[&str] = &[
    "INCR {s}",
    "INCR {s}",
    "SET {s} {n} PX {ms}",
    "SET {s} {n} KEEPTTL GET",
    "SET {s} {n}",
    "APPEND {s} {n}",
    "INCRBYFLOAT {s} 0.5",
    "GETDEL {s}",
    "PEXPIRE {s} {ms}",
    "PERSIST {s}",
    "GETEX {s} PX {ms}",
    "SETNX {s} {n}",
    "MSET {s} {n} {s} {n}",
    "RENAMENX {s} {s}",
    "COPY {s} {s} REPLACE",
    "MOVE {s} 1",
    "RPUSH {l} {n} {n} {n}",
    "LMOVE {l} {l} LEFT RIGHT",
    "LMPOP 2 {l} {l} LEFT COUNT 2",
    "PEXPIRE {l} {ms}",
    "BLPOP {l} {l} 0.002",
    "BLMOVE {l} {l} RIGHT LEFT 0.002",
    "BLMPOP 0.002 2 {l} {l} RIGHT COUNT 3",
    "HSET {h} {f} {n} {f} {n}",
    "HINCRBY {h} {f} 1",
    "HPEXPIRE {h} {ms} FIELDS 2 {f} {f}",
    "HSETNX {h} {f} {n}",
    "HGETEX {h} PX {ms} FIELDS 1 {f}",
    "HSETEX {h} FNX PX {ms} FIELDS 1 {f} {n}",
    "HGET {h} {f}",
    "HGETDEL {h} FIELDS 1 {f}",
    "SADD {t} {n} {n} {n}",
    "SPOP {t}",
    "SPOP {t} 2",
    "SMOVE {t} {t} {n}",
    "ZADD {z} {n} m{n} {n} m{n}",
    "BZPOPMIN {z} {z} 0.002",
    "ZMPOP 2 {z} {z} MAX COUNT 2",
    "XADD y MAXLEN ~ 20 * a {n}",
    "XADD y * a {n}",
    "XADD x * a {n}",
    "MULTI; XGROUP CREATE x g 0 MKSTREAM; XGROUP CREATECONSUMER x g c0; XGROUP CREATECONSUMER x g c1; EXEC",
    "XREADGROUP GROUP g c0 COUNT 3 STREAMS x >",
    "XREADGROUP GROUP g c1 COUNT 3 BLOCK 2 STREAMS x >",
    "XAUTOCLAIM x g c1 0 0 COUNT 2",
    "MULTI; INCR {s}; RPUSH {l} {n}; SPOP {t}; EXEC",
    "MULTI; SELECT 1; INCR {s}; PEXPIRE {s} {ms}; SELECT 0; EXEC",
    "EVAL \"redis.call('incr', KEYS[1]) redis.call('pexpire', KEYS[1], 20) redis.call('spop', KEYS[2])\" 2 {s} {t}",
    "EVAL \"#!lua flags=declared-keys-only\\nredis.call('rpush', KEYS[1], ARGV[1])\" 1 {l} {n}",
];
/// What happens now and then: to everything.
const RARE: &[&str] = &[
    "FLUSHDB",
    "SWAPDB 0 1",
    "FUNCTION LOAD REPLACE \"#!lua name=lib\\nredis.register_function('f{n}', function() return {n} end)\"",
    "FUNCTION FLUSH",
];

/// Runs it with one thread and with two.
pub fn run(sides: &Sides, seed: u64) -> Report {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        let outcome = replay(sides, threads, seed);
        report.step(&format!("what {threads} threads have written, loaded by the reference"), outcome);
    }
    report
}

fn replay(sides: &Sides, threads: &str, seed: u64) -> Result<()> {
    let mut extra = vec!["--io-threads", threads];
    extra.extend(ARGUMENTS);
    let subject = sides.subject.start(&extra)?;
    thread::scope(|scope| {
        let subject = &subject;
        let clients: Vec<_> =
            (0..CLIENTS).map(|index| scope.spawn(move || client(subject, seed + index as u64))).collect();
        clients.into_iter().try_for_each(|client| client.join().expect("a client thread does not panic"))
    })?;
    let oracle = sides.oracle.start_filled(ARGUMENTS, |dir| copy(subject.dir(), dir))?;
    let pair = Pair { subject, oracle };
    let mut conn = pair.conn()?;
    let start = Instant::now();
    loop {
        let loading = conn.oracle.line("PING")?.is_error();
        let different = if loading { None } else { state::compare_content(&mut conn)? };
        let Some((command, replies)) = different else {
            if loading {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            break;
        };
        if start.elapsed() > PATIENCE {
            bail!("{command}\n--- subject\n{}\n--- oracle\n{}", show(&replies.subject), show(&replies.oracle));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    conn.must("SELECT 0")?;
    let keys = conn.call(&words("DBSIZE"))?.oracle.int().unwrap_or(0);
    ensure!(keys >= 5, "{keys} keys are left, which proves little");
    let libraries = conn.call(&words("FUNCTION LIST WITHCODE"))?;
    ensure!(libraries.subject == libraries.oracle, "{}\n{}", show(&libraries.subject), show(&libraries.oracle));
    Ok(())
}

/// Copies the folder with the append-only files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.join("appendonlydir"), to.join("appendonlydir"));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn client(server: &Server, seed: u64) -> Result<()> {
    let mut conn = server.conn()?;
    let mut rng = Rng::new(seed);
    for _ in 0..BATCHES {
        let mut commands = Vec::new();
        for _ in 0..BATCH {
            let actions = if rng.below(2000) == 0 { RARE } else { ACTIONS };
            let action = *rng.pick(actions);
            commands.extend(action.split("; ").map(|line| words(&filled(line, &mut rng))));
        }
        // Many of them are errors: of other types, of groups that are gone.
        conn.pipeline(&commands)?;
    }
    Ok(())
}

/// A command with its placeholders filled in.
fn filled(action: &str, rng: &mut Rng) -> String {
    let mut text = String::new();
    let mut rest = action;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("braces are closed");
        text.push_str(before);
        match name {
            "n" => text.push_str(&rng.below(10).to_string()),
            "ms" => text.push_str(&(1 + rng.below(30)).to_string()),
            name => text.push_str(&format!("{name}{}", rng.below(4))),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let mut rng = Rng::new(1);
        for action in ACTIONS.iter().chain(RARE) {
            for line in action.split("; ") {
                assert!(!filled(line, &mut rng).contains('{') && words(&filled(line, &mut rng)).len() < 12, "{line}");
            }
        }
        assert!(filled("GET {s}", &mut rng).starts_with("GET s"));
    }
}
