//! `MIGRATE` between the server and the reference in all four combinations: values of every type, errors, targets that misbehave,
//! and what becomes of keys that change meanwhile, or when the server or the client goes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::poll_for;
use crate::interchange::data;
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};
use crate::show::show;

mod hot;
mod targets;

/// How long a step may take, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);
/// Keys moved by one command.
const BATCH: usize = 25;

/// Runs every check.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    for source in [&sides.subject, &sides.oracle] {
        for target in [&sides.subject, &sides.oracle] {
            let name = format!("values from {} to {}", source.name, target.name);
            report.step(&name, values(source, target));
        }
    }
    for target in [&sides.subject, &sides.oracle] {
        report.step(&format!("replies with {} as the target", target.name), replies(sides, target));
        report.step(&format!("a password, {} as the target", target.name), password(sides, target));
    }
    targets::run(sides, &mut report);
    for threads in ["1", "2"] {
        let mut step = |name: &str, outcome: Result<()>| report.step(&format!("{threads} threads: {name}"), outcome);
        step("keys that change", hot::counters(sides, threads));
        step("keys that go", hot::removed(sides, threads));
        step("to itself", hot::to_itself(sides, threads));
        step("others meanwhile", targets::others_meanwhile(sides, threads));
        step("clients that go", targets::clients_that_go(sides, threads));
        step("the journal", hot::journal(sides, threads));
    }
    Ok(report)
}

/// Options of a program.
fn start(program: &Program, extra: &[&str]) -> Result<Server> {
    program.start(&[&["--save", "", "--enable-debug-command", "yes"], extra].concat())
}

fn words_of(line: &str, port: u16) -> Vec<Vec<u8>> {
    words(&line.replace("PORT", &port.to_string()))
}

/// What the commands that look at a value say; sets without an order are sorted.
pub(crate) fn reads(conn: &mut Conn, value: &data::Value) -> Result<Vec<String>> {
    let mut replies = Vec::new();
    for line in &value.reads {
        let line = line.replace("KEY", &value.key);
        let mut lines: Vec<String> = show(&conn.line(&line)?).lines().map(|line| line.to_owned()).collect();
        if line.starts_with("SMEMBERS") || line.starts_with("HGETALL") {
            // Numbered lines, whose numbers say nothing then.
            lines = lines.iter().map(|line| line.split_once(") ").map_or(line.clone(), |line| line.1.into())).collect();
            lines.sort();
        }
        replies.push(format!("{line}: {}", lines.join("\n")));
    }
    Ok(replies)
}

/// Every type, encoding and size arrives as it was, with its time, and is gone where it came from.
fn values(source: &Program, target: &Program) -> Result<()> {
    let (source, target) = (start(source, &[])?, start(target, &[])?);
    let (mut here, mut there) = (source.conn()?, target.conn()?);
    here.set_timeout(DEADLINE)?;
    let values = data::values();
    for value in &values {
        for line in &value.commands {
            let reply = here.call(line)?;
            ensure!(!reply.is_error(), "{line:?}: {}", show(&reply));
        }
    }
    let before = values.iter().map(|value| reads(&mut here, value)).collect::<Result<Vec<_>>>()?;
    let digests = values.iter().map(|value| digest(&mut here, &value.key)).collect::<Result<Vec<_>>>()?;
    for some in values.chunks(BATCH) {
        let mut command = words_of("MIGRATE 127.0.0.1 PORT '' 3 20000 KEYS", target.port());
        command.extend(some.iter().map(|value| value.key.clone().into_bytes()));
        let reply = here.call(&command)?;
        ensure!(reply.is_ok(), "MIGRATE: {}", show(&reply));
    }
    ensure!(here.must("DBSIZE")? == Reply::Int(0), "keys are left: {}", show(&here.must("DBSIZE")?));
    there.must("SELECT 3")?;
    for ((value, before), expected) in values.iter().zip(&before).zip(&digests) {
        let after = reads(&mut there, value)?;
        ensure!(*before == after, "{}: {before:?} before, {after:?} after", value.key);
        let after = digest(&mut there, &value.key)?;
        ensure!(*expected == after, "{}: digest {expected} before, {after} after", value.key);
    }
    // With a time to live, and one after the other.
    here.must("SET expiring soon PX 100000")?;
    here.must("HSET fields a 1 b 2")?;
    here.must("HPEXPIRE fields 100000 FIELDS 1 a")?;
    for key in ["expiring", "fields"] {
        let reply = here.call(&words_of(&format!("MIGRATE 127.0.0.1 PORT {key} 3 20000"), target.port()))?;
        ensure!(reply.is_ok(), "MIGRATE {key}: {}", show(&reply));
    }
    let left = there.must("PTTL expiring")?;
    ensure!(matches!(left, Reply::Int(80_000..=100_000)), "PTTL: {}", show(&left));
    let left = there.must("HPTTL fields FIELDS 2 a b")?;
    let left = left.items().context("HPTTL")?;
    ensure!(matches!(left[0], Reply::Int(80_000..=100_000)) && left[1] == Reply::Int(-1), "HPTTL: {left:?}");
    Ok(())
}

pub(crate) fn digest(conn: &mut Conn, key: &str) -> Result<String> {
    let digests = conn.must(&format!("DEBUG DIGEST-VALUE {key}"))?;
    Ok(digests.items().context("digests")?[0].text())
}

/// What is answered, here and by the reference as the source.
const LINES: &[&str] = &[
    "MIGRATE 127.0.0.1 PORT k 0 1000",
    "MIGRATE 127.0.0.1 x k 0 1000",
    "MIGRATE 127.0.0.1 PORT k x 1000",
    "MIGRATE 127.0.0.1 PORT k 0 x",
    "MIGRATE 127.0.0.1 PORT k 0 1000 FOO",
    "MIGRATE 127.0.0.1 PORT k 0 1000 AUTH",
    "MIGRATE 127.0.0.1 PORT k 0 1000 AUTH2 a",
    "MIGRATE 127.0.0.1 PORT k 0 1000 KEYS a",
    "MIGRATE 127.0.0.1 PORT k x y FOO",
    "MIGRATE 127.0.0.1 PORT k 0 1000 KEYS",
    "MIGRATE 127.0.0.1 PORT '' 0 1000 KEYS a b",
    "MIGRATE 127.0.0.1 PORT '' x 1000 KEYS a b",
    "MIGRATE 127.0.0.1 PORT '' 0 1000",
    "MIGRATE 127.0.0.1 PORT '' 0 1000 KEYS",
    "MIGRATE 127.0.0.1 PORT k 0",
    "MSET a 1 b 2 c 3",
    "MIGRATE 127.0.0.1 1 a 0 1000",
    "MIGRATE 127.0.0.1 xx a 0 1000",
    "MIGRATE 127.0.0.1 65537 a 0 1000",
    "MIGRATE no-such-host.invalid PORT a 0 1000",
    "MIGRATE 127.0.0.1 PORT a 99 1000",
    "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH x",
    "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH2 x y",
    "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH2 x y AUTH z",
    "MGET a b c",
    "MIGRATE 127.0.0.1 PORT a 0 1000 COPY",
    "GET a",
    "MIGRATE 127.0.0.1 PORT a 0 1000",
    "MIGRATE 127.0.0.1 PORT '' 0 1000 KEYS a b c d",
    "MGET a b c",
    "MIGRATE 127.0.0.1 PORT a 0 1000 replace copy COPY",
    "MIGRATE 127.0.0.1 PORT a 5 1000 AUTH x COPY",
    "MIGRATE 127.0.0.1 PORT a 5 100000000000000 COPY",
    "MIGRATE 127.0.0.1 PORT a 99999999999 -1 COPY",
    "MIGRATE 127.0.0.1 PORT a 6 0 KEYS b c",
    "EVAL \"return redis.call('MIGRATE', '127.0.0.1', ARGV[1], 'a', '7', '1000')\" 1 a PORT",
    "EVAL \"return redis.call('MIGRATE', '127.0.0.1', ARGV[1], 'a', '7', '1000')\" 1 a PORT",
    "EVAL \"redis.call('SET', 'a', 1) return redis.call('MIGRATE', '127.0.0.1', ARGV[1], 'a', '7', '1000')\" 1 a PORT",
    "DBSIZE",
    "MULTI",
    "SET x 1",
    "MIGRATE 127.0.0.1 PORT x 3 1000",
    "GET x",
    "MIGRATE 127.0.0.1 PORT x 3 1000",
    "EXEC",
    "SET same 1",
    "MIGRATE 127.0.0.1 PORT '' 2 1000 KEYS same same",
    "SET same 2",
    "MIGRATE 127.0.0.1 PORT '' 2 1000 REPLACE KEYS same same",
    "EXISTS same",
    "SET gone soon PX 1",
    "MIGRATE 127.0.0.1 PORT gone 2 1000",
    "CLIENT REPLY SKIP",
    "COMMAND GETKEYS MIGRATE 127.0.0.1 1 '' 0 1000 COPY KEYS a b c d",
    "COMMAND GETKEYS MIGRATE 127.0.0.1 1 k 0 1000 COPY",
    "COMMAND GETKEYSANDFLAGS MIGRATE 127.0.0.1 1 '' 0 1000 KEYS a b",
    "COMMAND GETKEYS MIGRATE 127.0.0.1 1 k 0 1000 AUTH2 keys keys KEYS x y",
    "COMMAND GETKEYS MIGRATE 127.0.0.1 1 k 0 1000 AUTH keys COPY",
];

fn replies(sides: &Sides, target: &Program) -> Result<()> {
    let sources = sides.start(&["--save", ""])?;
    let (for_subject, for_oracle) = (start(target, &[])?, start(target, &[])?);
    let mut conn = sources.conn()?;
    for line in LINES {
        if *line == "MIGRATE 127.0.0.1 PORT gone 2 1000" {
            std::thread::sleep(Duration::from_millis(5));
        }
        if *line == "CLIENT REPLY SKIP" {
            // What is moved behind it is not answered.
            for (conn, port) in [(&mut conn.subject, for_subject.port()), (&mut conn.oracle, for_oracle.port())] {
                conn.must("SET silent 1")?;
                conn.send(&words(line))?;
                conn.send(&words_of("MIGRATE 127.0.0.1 PORT silent 0 1000", port))?;
            }
            continue;
        }
        let subject = conn.subject.call(&words_of(line, for_subject.port()))?;
        let oracle = conn.oracle.call(&words_of(line, for_oracle.port()))?;
        ensure!(subject == oracle, "{line}: {} here, {} there", show(&subject), show(&oracle));
    }
    for (line, section) in
        [("INFO stats", "migrate_cached"), ("INFO errorstats", "errorstat"), ("INFO commandstats", "migrate")]
    {
        let pick = |text: String| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains(section));
            // Of the counts, those that are no times.
            lines
                .map(|line| line.split(',').filter(|part| !part.contains("usec")).collect::<Vec<_>>().join(","))
                .collect()
        };
        let (subject, oracle) = (conn.subject.must(line)?.text(), conn.oracle.must(line)?.text());
        let (subject, oracle) = (pick(subject), pick(oracle));
        ensure!(subject == oracle, "{line}: {subject:?} here, {oracle:?} there");
    }
    let (mut ours, mut theirs) = (for_subject.conn()?, for_oracle.conn()?);
    for db in 0..8 {
        ours.must(&format!("SELECT {db}"))?;
        theirs.must(&format!("SELECT {db}"))?;
    }
    let (ours, theirs) = (ours.must("DEBUG DIGEST")?, theirs.must("DEBUG DIGEST")?);
    ensure!(ours == theirs, "the targets have other data: {} and {}", show(&ours), show(&theirs));
    Ok(())
}

fn password(sides: &Sides, target: &Program) -> Result<()> {
    let sources = sides.start(&["--save", ""])?;
    let protected = ["--requirepass", "secret"];
    let (for_subject, for_oracle) = (start(target, &protected)?, start(target, &protected)?);
    let mut conn = sources.conn()?;
    for line in [
        "SET a 1",
        "MIGRATE 127.0.0.1 PORT a 0 1000",
        "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH wrong",
        "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH secret",
        "SET a 1",
        "MIGRATE 127.0.0.1 PORT a 0 1000 AUTH2 default secret",
        "MIGRATE 127.0.0.1 PORT a 0 1000 REPLACE AUTH2 default secret",
        "SET a 1",
        // Over the connection that has logged in.
        "MIGRATE 127.0.0.1 PORT a 1 1000",
        "EXISTS a",
    ] {
        let subject = conn.subject.call(&words_of(line, for_subject.port()))?;
        let oracle = conn.oracle.call(&words_of(line, for_oracle.port()))?;
        ensure!(subject == oracle, "{line}: {} here, {} there", show(&subject), show(&oracle));
    }
    Ok(())
}

/// Waits until a source has closed the connections that it kept.
fn wait_unlinked(conn: &mut Conn) -> Result<()> {
    poll_for(
        DEADLINE,
        || "connections are still kept".into(),
        || Ok(crate::control::info(conn, "stats", "migrate_cached_sockets")? == 0),
    )
}
