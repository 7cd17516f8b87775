//! Resident bytes per key or element over the empty server, after the same load on both sides.

use anyhow::{Context, Result};
use kinovar_tests::server::Program;

use super::Plan;
use super::fill::{element, fill, key, request, scattered, settled_rss};
use super::table::{Table, verdict};

struct Load {
    name: &'static str,
    /// Keys or elements; the figure is per one of them.
    count: usize,
    render: fn(usize, &mut Vec<u8>),
    target: f64,
}

const MILLION: usize = 1_000_000;

const LOADS: &[Load] = &[
    Load { name: "string, 3 B value, 1M keys", count: MILLION, render: |n, out| string(n, out, 3), target: 0.65 },
    Load { name: "string, 3 B value, 5M keys", count: 5 * MILLION, render: |n, out| string(n, out, 3), target: 0.65 },
    Load { name: "string, 64 B value, 1M keys", count: MILLION, render: |n, out| string(n, out, 64), target: 0.80 },
    Load { name: "string, 64 B value, 5M keys", count: 5 * MILLION, render: |n, out| string(n, out, 64), target: 0.80 },
    Load { name: "hash of 1M fields", count: MILLION, render: hash, target: 0.70 },
    Load { name: "set of 1M integers", count: MILLION, render: integers, target: 0.50 },
    Load { name: "set of 1M strings", count: MILLION, render: strings, target: 0.90 },
    Load { name: "sorted set of 1M members", count: MILLION, render: zset, target: 0.65 },
    Load { name: "list of 1M elements", count: MILLION, render: list, target: 1.0 },
    Load { name: "stream of 1M small entries", count: MILLION, render: stream, target: 0.80 },
    Load { name: "100k streams of 10 small entries", count: MILLION, render: small_stream, target: 0.80 },
    Load { name: "100k hashes of 8 small fields", count: MILLION / 10, render: small_hash, target: 0.95 },
];

fn string(n: usize, out: &mut Vec<u8>, len: usize) {
    let value = "x".repeat(len);
    request(out, &["SET", &key(n), &value]);
}

fn hash(n: usize, out: &mut Vec<u8>) {
    request(out, &["HSET", "hash", &element(n), "xxx"]);
}

fn integers(n: usize, out: &mut Vec<u8>) {
    request(out, &["SADD", "set", &n.to_string()]);
}

fn strings(n: usize, out: &mut Vec<u8>) {
    request(out, &["SADD", "set", &element(n)]);
}

fn zset(n: usize, out: &mut Vec<u8>) {
    request(out, &["ZADD", "zset", &scattered(n, 100 * MILLION).to_string(), &element(n)]);
}

fn list(n: usize, out: &mut Vec<u8>) {
    request(out, &["RPUSH", "list", &element(n)]);
}

fn stream(n: usize, out: &mut Vec<u8>) {
    request(out, &["XADD", "stream", "*", "sensor", &scattered(n, 1000).to_string(), "value", "12.5"]);
}

fn small_stream(n: usize, out: &mut Vec<u8>) {
    request(out, &["XADD", &key(n / 10), "*", "sensor", &scattered(n, 1000).to_string(), "value", "12.5"]);
}

/// `HSET` of the n-th key with eight small fields.
pub fn small_hash(n: usize, out: &mut Vec<u8>) {
    let fields: Vec<(String, String)> =
        (0..8).map(|f| (format!("f{f}"), format!("v{:05}", scattered(n * 8 + f, 100_000)))).collect();
    let name = key(n);
    let mut args = vec!["HSET", &name];
    fields.iter().for_each(|(field, value)| args.extend([field.as_str(), value.as_str()]));
    request(out, &args);
}

/// Measures each load in a fresh server of each side.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = ["resident bytes per key or element", "Redis 8.2.3", "Kinovar", "ratio", "target", ""];
    let mut table = Table::new("Memory over an empty server", &columns);
    for load in LOADS.iter().filter(|l| plan.wants(l.name)) {
        if plan.quick && load.count > MILLION {
            continue;
        }
        let Some(subject) = bytes_per_element(&plan.sides.subject, &plan.subject_args, load)? else {
            eprintln!("  {}: not there yet", load.name);
            continue;
        };
        let oracle = bytes_per_element(&plan.sides.oracle, &[], load)?.context("the reference has all commands")?;
        let mut cells = vec![load.name.into(), format!("{oracle:.1}"), format!("{subject:.1}")];
        cells.extend(verdict(subject / oracle, load.target));
        table.push(cells);
    }
    Ok(table)
}

/// Nothing when the server lacks the command.
fn bytes_per_element(program: &Program, extra: &[String], load: &Load) -> Result<Option<f64>> {
    let mut args = vec!["--io-threads", "1"];
    args.extend(extra.iter().map(String::as_str));
    let server = program.start(&args)?;
    let mut first = Vec::new();
    (load.render)(0, &mut first);
    if server.conn()?.line(&format!("COMMAND INFO {}", command_name(&first)))?.items().is_none_or(|i| i[0].is_nil()) {
        return Ok(None);
    }
    // One small load first, so that what every connection costs once is not counted as data.
    fill(server.port(), 200, |_, out| request(out, &["PING"]))?;
    let empty = settled_rss(&server)?;
    fill(server.port(), load.count, load.render)?;
    let full = settled_rss(&server)?;
    Ok(Some(full.saturating_sub(empty) as f64 / load.count as f64))
}

/// The name in a rendered request: behind its length of arguments and its own length.
fn command_name(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    text.split("\r\n").nth(2).unwrap_or_default().to_string()
}
