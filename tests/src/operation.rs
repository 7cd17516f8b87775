//! How a server starts and ends: at once, on a port that was in use a moment ago, with the files and arguments people have.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::report::Report;
use crate::server::Program;
use crate::show::show;

/// A start may take this long: far more than it does, for machines that are busy.
const START_MAX: Duration = Duration::from_secs(10);

/// Runs every check.
pub fn run(subject: &Program) -> Result<Report> {
    let mut report = Report::default();
    report.step("a restart after SIGTERM", restart(subject, "TERM"));
    report.step("a restart after SIGKILL", restart(subject, "KILL"));
    report.step("a port that is in use", port_in_use(subject));
    report.step("other addresses", other_addresses(subject));
    report.step("typical directives", typical_directives(subject));
    report.step("counters of the event loop", event_loop_counters(subject));
    Ok(report)
}

/// Servers that follow each other on one port, each ended under clients that are busy.
fn restart(subject: &Program, signal: &str) -> Result<()> {
    let mut server = subject.start(&[])?;
    for _ in 0..5 {
        let mut clients = (0..50).map(|_| server.conn()).collect::<Result<Vec<_>>>()?;
        for client in &mut clients {
            client.line("SET k v")?;
        }
        let port = server.port();
        server.end(signal)?;
        let start = Instant::now();
        server = subject.start_on(port, &[])?;
        ensure!(start.elapsed() < START_MAX, "it took {:?}", start.elapsed());
    }
    Ok(())
}

fn port_in_use(subject: &Program) -> Result<()> {
    let taken = TcpListener::bind("0.0.0.0:0")?;
    let port = taken.local_addr()?.port();
    let text = subject.fail_on(port)?;
    for line in [
        format!("Warning: Could not create server TCP listening socket *:{port}: bind: Address already in use"),
        format!("Failed listening on port {port} (tcp), aborting."),
    ] {
        ensure!(text.contains(&line), "{line:?} is missing in {text}");
    }
    Ok(())
}

/// CONFIG SET bind and port take effect at once, and clients stay.
fn other_addresses(subject: &Program) -> Result<()> {
    let server = subject.start(&[])?;
    let mut conn = server.conn()?;
    for bind in ["127.0.0.1", "127.0.0.1 -::1", "127.0.0.1"] {
        conn.must(&format!("CONFIG SET bind \"{bind}\""))?;
        // The listeners are replaced by a thread that may not have come to it yet.
        let deadline = Instant::now() + START_MAX;
        while server.conn().and_then(|mut other| other.must("PING")).is_err() {
            ensure!(Instant::now() < deadline, "nobody listens after CONFIG SET bind {bind:?}: {}", server.output());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    conn.must("PING")?;
    Ok(())
}

/// What people write into their files; a command renamed to something long hides it.
fn typical_directives(subject: &Program) -> Result<()> {
    let hidden = "b840fc02d524045429941cc15f59e41cb7be6c52";
    let server = subject.start_with_file(&format!(
        "# a comment\n\nbind 127.0.0.1 -::1\nprotected-mode yes\ntcp-backlog 511\ntimeout 0\ntcp-keepalive 300\n\
             loglevel notice\ndatabases 16\nalways-show-logo no\nset-proc-title yes\n\
             proc-title-template \"{{title}} {{listen-addr}} {{server-mode}}\"\nlocale-collate \"\"\n\
             stop-writes-on-bgsave-error yes\nrdbcompression yes\ndbfilename dump.rdb\nreplica-serve-stale-data yes\n\
             repl-diskless-sync yes\nacllog-max-len 128\nmaxmemory 1gb\nmaxmemory-policy noeviction\n\
             lazyfree-lazy-eviction no\noom-score-adj no\noom-score-adj-values 0 200 800\nappendfilename \"a.aof\"\n\
             appendfsync everysec\nauto-aof-rewrite-min-size 64mb\nslowlog-log-slower-than 10000\n\
             notify-keyspace-events \"\"\nclient-output-buffer-limit replica 256mb 64mb 60\n\
             client-output-buffer-limit pubsub 32mb 8mb 60\nhz 10\ndynamic-hz yes\njemalloc-bg-thread yes\n\
             rename-command CONFIG {hidden}\nrename-command KEYS \"\"\n"
    ))?;
    let mut conn = server.conn()?;
    let mut says = |line: &str, expected: &str| -> Result<()> {
        let reply = show(&conn.line(line)?);
        ensure!(reply.contains(expected), "{line}: {reply}");
        Ok(())
    };
    says("SET k v", "OK")?;
    says("KEYS *", "unknown command")?;
    says("CONFIG GET hz", "unknown command")?;
    says(&format!("{hidden} GET hz"), "hz")
}

/// What the loop has done is counted, and starts again from zero when asked to.
fn event_loop_counters(subject: &Program) -> Result<()> {
    let server = subject.start(&["--io-threads", "1"])?;
    let mut conn = server.conn()?;
    let gets = (0..100).map(|n| vec![b"GET".to_vec(), format!("key:{n}").into_bytes()]).collect::<Vec<_>>();
    for _ in 0..50 {
        conn.pipeline(&gets)?;
    }
    let field = |text: &str, name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| anyhow::anyhow!("{name} is missing in INFO"))?.trim().parse()?)
    };
    let before = conn.must("INFO stats")?.text();
    let spent_us = field(&before, "eventloop_duration_sum")?;
    ensure!(field(&before, "eventloop_cycles")? >= 50, "fewer turns than round trips");
    ensure!(spent_us > 0 && spent_us >= field(&before, "eventloop_duration_cmd_sum")?, "commands are a part of turns");
    field(&before, "instantaneous_eventloop_duration_usec")?;
    field(&before, "expire_cycle_cpu_milliseconds")?;
    let batches = field(&before, "io_threaded_total_prefetch_batches")?;
    let entries = field(&before, "io_threaded_total_prefetch_entries")?;
    // The reference loads ahead only with more threads.
    ensure!(batches <= entries, "a batch has at least one key");
    conn.must("CONFIG RESETSTAT")?;
    let after = conn.must("INFO stats")?.text();
    ensure!(field(&after, "eventloop_duration_sum")? < spent_us, "CONFIG RESETSTAT starts again");
    Ok(())
}
