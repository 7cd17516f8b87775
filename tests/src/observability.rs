//! What operators look at: the metrics endpoint, structured log lines, the longest turn and its cause, LATENCY DOCTOR.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{info, poll};
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server, free_port};
use crate::show::show;

/// The suite.
pub fn run(program: &Program) -> Result<Report> {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        report.step(&format!("metrics, {threads} threads"), metrics(program, threads));
        report.step(&format!("metrics beside a script, {threads} threads"), beside_a_script(program, threads));
    }
    report.step("metrics: what is not served", not_served(program));
    report.step("metrics: ports come and go", ports(program));
    report.step("log lines as JSON", log_lines(program, "json", r#"{"ts":""#, "\"}"));
    report.step("log lines as logfmt", log_lines(program, "logfmt", "ts=", "\""));
    report.step("the longest turn", longest_turn(program));
    report.step("LATENCY DOCTOR", doctor(program));
    Ok(report)
}

/// Status line and body of an answer.
fn get(port: u16, path: &str) -> Result<(String, String)> {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

fn ask(port: u16, request: &str) -> Result<(String, String)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).context("connect to the metrics port")?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}

/// Values by name and labels. Every line must be as the format has it.
fn samples(port: u16) -> Result<BTreeMap<String, f64>> {
    let (status, body) = get(port, "/metrics")?;
    ensure!(status == "HTTP/1.1 200 OK", "{status}");
    let (mut values, mut typed, mut seen) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut family = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').with_context(|| line.to_owned())?;
            ensure!(seen.insert(name.to_owned()), "{name} comes twice");
            ensure!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            typed.insert(name.to_owned(), kind.to_owned());
            family = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            let plain = name.split('{').next().unwrap_or_default();
            ensure!(plain.starts_with(&family) && plain.starts_with("kinovar_"), "{line} below {family}");
            ensure!(plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
            let value = value.parse().with_context(|| line.to_owned())?;
            ensure!(values.insert(name.to_owned(), value).is_none(), "{name} comes twice");
        }
    }
    let is_whole = values.get("kinovar_info_available") == Some(&1.0);
    ensure!(!is_whole || typed.len() > 100, "there are {} metrics", typed.len());
    Ok(values)
}

fn value(values: &BTreeMap<String, f64>, name: &str) -> Result<f64> {
    values.get(name).copied().with_context(|| format!("there is no {name}"))
}

fn start(program: &Program, extra: &[&str]) -> Result<(Server, u16)> {
    let port = free_port()?;
    let port_text = port.to_string();
    let server = program.start(&[&["--metrics-port", &port_text], extra].concat())?;
    Ok((server, port))
}

fn metrics(program: &Program, threads: &str) -> Result<()> {
    let (server, port) = start(program, &["--io-threads", threads, "--requirepass", "hush-hush"])?;
    let mut conn = server.conn()?;
    conn.must("AUTH hush-hush")?;
    for n in 0..10 {
        conn.must(&format!("SET key:{n} value"))?;
    }
    conn.must("GET key:1")?;
    conn.must("GET nosuch")?;
    conn.must("SELECT 3")?;
    conn.must("SET other 1 EX 1000")?;
    ensure!(conn.line("LPUSH other x")?.is_error(), "WRONGTYPE");
    let values = samples(port)?;
    for (name, wanted) in [
        ("kinovar_info_available", 1.0),
        ("kinovar_db_keys{db=\"0\"}", 10.0),
        ("kinovar_db_expires{db=\"3\"}", 1.0),
        ("kinovar_keyspace_hits", 1.0),
        ("kinovar_keyspace_misses", 1.0),
        ("kinovar_command_calls_total{command=\"set\"}", 11.0),
        ("kinovar_command_calls_total{command=\"get\"}", 2.0),
        ("kinovar_command_failed_calls_total{command=\"lpush\"}", 1.0),
        ("kinovar_command_duration_seconds_count{command=\"set\"}", 11.0),
        ("kinovar_command_duration_seconds_bucket{command=\"set\",le=\"+Inf\"}", 11.0),
        ("kinovar_errors_count{error=\"WRONGTYPE\"}", 1.0),
        ("kinovar_connected_clients", 1.0),
        ("kinovar_rdb_last_bgsave_status", 1.0),
    ] {
        let shown = value(&values, name)?;
        ensure!(shown == wanted, "{name} is {shown}, not {wanted}");
    }
    ensure!(value(&values, "kinovar_used_memory")? > 100_000.0, "memory");
    // Whatever is a number in INFO is there.
    let Reply::Bulk(text) = conn.must("INFO")? else { anyhow::bail!("INFO is no bulk") };
    for line in String::from_utf8_lossy(&text).lines() {
        if let Some((field, shown)) = line.split_once(':')
            && shown.parse::<f64>().is_ok()
        {
            ensure!(values.contains_key(&format!("kinovar_{field}")) || is_text(field), "{field} is no metric");
        }
    }
    let (_, body) = get(port, "/metrics")?;
    ensure!(!body.contains("hush-hush"), "the password is shown");
    ensure!(get(port, "/healthz")? == ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()), "/healthz");
    // Many at once, beside clients.
    std::thread::scope(|scope| -> Result<()> {
        let scrapers: Vec<_> = (0..8).map(|_| scope.spawn(move || samples(port).map(drop))).collect();
        for _ in 0..2000 {
            conn.must("INCR counter")?;
        }
        scrapers.into_iter().try_for_each(|scraper| scraper.join().expect("it does not panic"))
    })
}

/// Numbers that are names, or labels.
fn is_text(field: &str) -> bool {
    ["redis_git_sha1", "redis_build_id", "master_replid2", "redis_version", "kinovar_version", "run_id"]
        .contains(&field)
}

/// A script that keeps everybody waiting does not keep the endpoint.
fn beside_a_script(program: &Program, threads: &str) -> Result<()> {
    let (server, port) = start(program, &["--io-threads", threads, "--busy-reply-threshold", "50"])?;
    let mut runs = server.conn()?;
    let mut other = server.conn()?;
    runs.send(&["EVAL", "while true do end", "0"].map(|word| word.as_bytes().to_vec()))?;
    poll(|| "-BUSY".into(), || Ok(show(&other.line("PING")?).contains("BUSY")))?;
    let started = Instant::now();
    let (status, body) = get(port, "/metrics")?;
    ensure!(status == "HTTP/1.1 200 OK" && started.elapsed() < Duration::from_secs(10), "{status}");
    ensure!(body.contains("kinovar_info_available 0\n"), "INFO was written under the script's locks");
    ensure!(body.contains("kinovar_command_calls_total{command=\"ping\"}"), "counters of commands");
    other.must("SCRIPT KILL")?;
    ensure!(runs.read()?.is_error(), "the script was killed");
    poll(|| "INFO again".into(), || Ok(value(&samples(port)?, "kinovar_info_available")? == 1.0))
}

fn not_served(program: &Program) -> Result<()> {
    let (server, port) = start(program, &[])?;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("GET /metrics/../config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 405 Method Not Allowed",
        ),
        ("DELETE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"),
        ("*1\r\n$4\r\nPING\r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ] {
        let (shown, body) = ask(port, request)?;
        ensure!(shown == status, "{request:?}: {shown}");
        ensure!(!request.starts_with("HEAD") || body.is_empty(), "HEAD has a body");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(64 << 10));
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut answer = Vec::new();
    // It may be closed before all is sent.
    let _ = socket.write_all(long.as_bytes());
    let _ = socket.read_to_end(&mut answer);
    ensure!(!answer.starts_with(b"HTTP/1.1 200"), "a head of 64 KiB was taken");
    // Heads that never end are given up, and others are served meanwhile.
    let mut slow: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(("127.0.0.1", port))).collect::<Result<_, _>>()?;
    for socket in &mut slow {
        socket.write_all(b"GET /metrics HTTP/1.1\r\nX: ")?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    }
    samples(port)?;
    for socket in &mut slow {
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        ensure!(!answer.starts_with(b"HTTP/1.1 200"), "a head without an end was answered");
    }
    server.conn()?.must("PING")?;
    Ok(())
}

fn ports(program: &Program) -> Result<()> {
    let (server, first) = start(program, &[])?;
    let mut conn = server.conn()?;
    samples(first)?;
    let second = free_port()?;
    conn.must(&format!("CONFIG SET metrics-port {second}"))?;
    samples(second)?;
    ensure!(get(first, "/metrics").is_err(), "the old port is still served");
    for line in [format!("CONFIG SET metrics-port {}", server.port()), "CONFIG SET metrics-bind 203.0.113.1".to_owned()]
    {
        let reply = show(&conn.line(&line)?);
        ensure!(reply.contains("Unable to listen on this port"), "{line}: {reply}");
        samples(second).with_context(|| format!("after {line}"))?;
    }
    conn.must("CONFIG SET metrics-bind 0.0.0.0")?;
    samples(second)?;
    conn.must("CONFIG SET metrics-port 0")?;
    ensure!(get(second, "/metrics").is_err(), "it is still served");
    let (code, output) = program.end_of(&["--metrics-port", &server.port().to_string()])?;
    ensure!(code == Some(1) && output.contains("metrics endpoint"), "{code:?}: {output}");
    Ok(())
}

fn log_lines(program: &Program, format: &str, start: &str, end: &str) -> Result<()> {
    let server = program.start(&["--log-format", format])?;
    let mut conn = server.conn()?;
    // A message that a client can choose.
    conn.call(&["DEBUG", "LOG", "a \"b\"\r\n\\c\u{1}"].map(|word| word.as_bytes().to_vec()))?;
    let escaped = r#"a \"b\"\r\n\\c\u0001"#;
    poll(|| escaped.into(), || Ok(server.output().contains(escaped))).with_context(|| server.output())?;
    let output = server.output();
    ensure!(output.lines().count() > 3, "{output}");
    for line in output.lines() {
        ensure!(line.starts_with(start) && line.ends_with(end), "{line}");
        ensure!(line.contains("level") && line.contains("role"), "{line}");
    }
    conn.must("CONFIG SET log-format redis")?;
    conn.must("DEBUG LOG plain")?;
    poll(
        || "a plain line".into(),
        || Ok(server.output().lines().last().is_some_and(|line| line.contains(":M ") && line.ends_with("plain"))),
    )
}

fn text_field(conn: &mut Conn, field: &str) -> Result<String> {
    let Reply::Bulk(text) = conn.must("INFO stats")? else { anyhow::bail!("INFO is no bulk") };
    let text = String::from_utf8_lossy(&text).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).map(str::to_owned);
    found.with_context(|| format!("INFO has no {field}"))
}

fn longest_turn(program: &Program) -> Result<()> {
    let server = program.start(&["--io-threads", "2"])?;
    let mut conn = server.conn()?;
    conn.must("DEBUG SLEEP 0.2")?;
    // It is known when the turn is over, and this reply is part of it.
    poll(|| "the pause".into(), || Ok(info(&mut conn, "stats", "worst_pause_usec")? >= 200_000))?;
    let cause = text_field(&mut conn, "worst_pause_cause")?;
    ensure!(cause == "command:debug", "the cause is {cause}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() as i64;
    let at = info(&mut conn, "stats", "worst_pause_at")?;
    ensure!((now - 60..=now + 1).contains(&at), "it was at {at}, and it is {now}");
    conn.must("CONFIG RESETSTAT")?;
    poll(|| "the reset".into(), || Ok(info(&mut conn, "stats", "worst_pause_usec")? < 200_000))?;
    // A script that goes on in slices holds up nobody for long, however long it runs.
    let batch: Vec<_> =
        (0..100_000).map(|n| ["SET", &format!("k{n}"), "v"].map(|word| word.as_bytes().to_vec()).to_vec()).collect();
    for part in batch.chunks(1000) {
        conn.pipeline(part)?;
    }
    conn.must("CONFIG RESETSTAT")?;
    conn.must("KEYS *nosuch*")?;
    poll(|| "KEYS".into(), || Ok(text_field(&mut conn, "worst_pause_cause")? == "command:keys"))
}

fn doctor(program: &Program) -> Result<()> {
    let server = program.start(&[])?;
    let mut conn = server.conn()?;
    let mut report = || -> Result<String> { Ok(show(&conn.must("LATENCY DOCTOR")?)) };
    let off = report()?;
    ensure!(off.contains("latency-monitor-threshold"), "{off}");
    server.conn()?.must("CONFIG SET latency-monitor-threshold 10")?;
    let none = report()?;
    ensure!(none.contains("no latency spike was observed"), "{none}");
    server.conn()?.must("DEBUG SLEEP 0.05")?;
    let some = report()?;
    for part in ["1. command: 1 latency spikes (average 5", "Worst all time event 5", "SLOWLOG GET", "longest turn"] {
        ensure!(some.contains(part), "{part} is not in {some}");
    }
    Ok(())
}
