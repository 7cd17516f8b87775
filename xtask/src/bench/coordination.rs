//! What clients do together: streams, publishing, transactions, scripts, handing over to a client that waits, telling one
//! that caches. Server CPU per operation, one thread against one; an operation may be several requests.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kinovar_tests::conn::Conn;
use kinovar_tests::quote::words;
use kinovar_tests::resp::Reply;
use kinovar_tests::server::Server;
use kinovar_tests::show::show;

use super::cpu::{Figures, start_pinned};
use super::fill::{fill, key, request, scattered};
use super::histogram::Histogram;
use super::load::{Batches, Generator};
use super::rows::{self, Data, KEYS};
use super::table::{Table, verdict};
use super::{Plan, lacking, process};

/// Clients of the rows that the load generator drives.
const CONNECTIONS: usize = 50;
/// Entries that are in a stream before a group reads it.
const ENTRIES: usize = 500_000;
/// Clients that a message goes to, and those who publish.
const SUBSCRIBERS: usize = 100;
const PUBLISHERS: usize = 10;
/// Keys that are read and then written at a time.
const TRACKED: usize = 16;
/// Elements that one client pushes at a time.
const TOGETHER: usize = 16;

/// How a row is measured.
enum Way {
    /// By the load generator: how many requests are under way on a connection, how many of them make one operation, and
    /// what the n-th is.
    Load { pipeline: usize, requests: usize, setup: Setup, render: fn(usize, &mut Vec<u8>) },
    /// Each of a group's entries once.
    Group,
    /// With all subscribers in the same loop; so many messages are under way from each who publishes.
    Publish(usize),
    /// By so many pairs of clients, in step; the time of each operation is measured.
    Stepwise(usize, fn(&mut Steps) -> Result<u64>),
}

/// What stands in the server before a row is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// A million strings.
    Strings,
    /// The same, and a function that reads one.
    Function,
    /// Nothing; what the row makes is dropped after each round.
    Nothing,
}

struct Row {
    name: &'static str,
    needs: &'static [&'static str],
    way: Way,
    target: f64,
}

const ROWS: &[Row] = &[
    Row {
        name: "MULTI, 5 SETs, EXEC; P1",
        needs: &["MULTI"],
        way: Way::Load { pipeline: 7, requests: 7, setup: Setup::Strings, render: transaction },
        target: 0.65,
    },
    Row {
        name: "EVAL of one GET, P16",
        needs: &["EVAL"],
        way: Way::Load { pipeline: 16, requests: 1, setup: Setup::Strings, render: eval },
        target: 0.90,
    },
    Row {
        name: "FCALL of one GET, P16",
        needs: &["FCALL", "FUNCTION"],
        way: Way::Load { pipeline: 16, requests: 1, setup: Setup::Function, render: fcall },
        target: 0.90,
    },
    Row {
        name: "XADD, P16",
        needs: &["XADD"],
        way: Way::Load { pipeline: 16, requests: 1, setup: Setup::Nothing, render: xadd },
        target: 0.65,
    },
    Row { name: "XREADGROUP and XACK, P16", needs: &["XADD", "XREADGROUP", "XACK"], way: Way::Group, target: 0.65 },
    Row {
        name: "PUBLISH to 100 subscribers, P16",
        needs: &["PUBLISH", "SUBSCRIBE"],
        way: Way::Publish(16),
        target: 0.65,
    },
    // Without a pipeline nearly all of the time goes to the network, as for a GET: so it has the target of that.
    Row { name: "PUBLISH to 100 subscribers, P1", needs: &["PUBLISH", "SUBSCRIBE"], way: Way::Publish(1), target: 0.8 },
    Row {
        name: "LPUSH to waiting BLPOPs, 16 at once",
        needs: &["BLPOP"],
        way: Way::Stepwise(3 * TOGETHER, hand_over_together),
        target: 0.8,
    },
    Row {
        name: "LPUSH to a waiting BLPOP, 50 pairs",
        needs: &["BLPOP"],
        way: Way::Stepwise(CONNECTIONS, hand_over),
        target: 0.8,
    },
    // A server that has one request at a time is idle in between, and pays for each wake-up: this row is for its latency.
    Row {
        name: "LPUSH to a waiting BLPOP, one pair",
        needs: &["BLPOP"],
        way: Way::Stepwise(1, hand_over),
        target: 1.1,
    },
    Row {
        name: "GET, SET by another, invalidation; 50 pairs, P16",
        needs: &["CLIENT|TRACKING"],
        way: Way::Stepwise(CONNECTIONS, invalidate),
        target: 0.65,
    },
];

/// Measures all rows that the plan wants, and for which the subject has the commands.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns = [
        "server CPU us/operation",
        "Redis 8.2.3",
        "Kinovar",
        "ratio",
        "target",
        "",
        "Redis k/s",
        "Kinovar k/s",
        "Redis p50/p99/p99.9 us",
        "Kinovar p50/p99/p99.9 us",
    ];
    let mut table = Table::new("Clients together, one thread against one", &columns);
    let one = vec!["--io-threads".to_string(), "1".to_string()];
    let subject = start_pinned(&plan.sides.subject, &[one.clone(), plan.subject_args.clone()].concat())?;
    let oracle = start_pinned(&plan.sides.oracle, &one)?;
    for row in ROWS.iter().filter(|r| plan.wants(r.name)) {
        if let Some(command) = lacking(&subject, row.needs)? {
            eprintln!("  {}: not there yet (the subject lacks {command})", row.name);
            continue;
        }
        let (subject, oracle) = measure(plan, row, &subject, &oracle)?;
        let mut cells = vec![row.name.into(), format!("{:.2}", oracle.us()), format!("{:.2}", subject.us())];
        cells.extend(verdict(subject.us() / oracle.us(), row.target));
        cells.extend([oracle.rps(), subject.rps()].map(|rps| format!("{:.0}", rps / 1000.0)));
        cells.extend([oracle.percentiles(), subject.percentiles()]);
        table.push(cells);
    }
    Ok(table)
}

/// Interleaved rounds of one row.
fn measure(plan: &Plan, row: &Row, subject: &Server, oracle: &Server) -> Result<(Figures, Figures)> {
    let batches = match row.way {
        Way::Load { pipeline, render, .. } => Some(Batches::render(pipeline, render)),
        Way::Group => Some(Batches::render(16, read_and_acknowledge)),
        Way::Publish(pipeline) => Some(Batches::render(pipeline, publish)),
        Way::Stepwise(..) => None,
    };
    for server in [subject, oracle] {
        server.conn()?.must("FLUSHALL")?;
        if let Way::Load { setup, .. } = row.way {
            prepare(server, setup)?;
        }
    }
    let (mut ours, mut theirs) = (Figures::default(), Figures::default());
    for round in 0..plan.rounds {
        // Who goes first alternates, so that a drift of the machine favours nobody.
        let mut order = [(subject, &mut ours), (oracle, &mut theirs)];
        if round % 2 == 1 {
            order.reverse();
        }
        for (server, figures) in order {
            one_round(plan, row, server, batches.as_ref(), figures)
                .with_context(|| format!("{} on {}", row.name, server.name()))?;
        }
    }
    Ok((ours, theirs))
}

fn one_round(plan: &Plan, row: &Row, server: &Server, batches: Option<&Batches>, figures: &mut Figures) -> Result<()> {
    let round = Duration::from_millis(plan.round_ms);
    let batches = || batches.context("the requests of this row are rendered");
    match row.way {
        Way::Load { requests, setup, .. } => {
            let mut generator = Generator::new(&[server.port()], CONNECTIONS, batches()?)?;
            generator.run(round / 5)?;
            timed(server, figures, requests, || generator.run(round))?;
            if setup == Setup::Nothing {
                server.conn()?.must("FLUSHALL")?;
            }
        }
        Way::Group => {
            fill_stream(server)?;
            let mut generator = Generator::new(&[server.port()], CONNECTIONS, batches()?)?.once();
            timed(server, figures, 2, || generator.run(round))?;
            server.conn()?.must("FLUSHALL")?;
        }
        Way::Publish(_) => {
            let mut generator = Generator::new(&[server.port()], PUBLISHERS, batches()?)?;
            let (mut subscribe, mut message) = (Vec::new(), Vec::new());
            request(&mut subscribe, &["SUBSCRIBE", "channel"]);
            request(&mut message, &["message", "channel", PAYLOAD]);
            let confirmation = b"*3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n".len();
            generator.listen(server.port(), SUBSCRIBERS, &subscribe, confirmation)?;
            timed(server, figures, 1, || {
                let outcome = generator.run(round)?;
                generator.hear_out(outcome.requests * (message.len() * SUBSCRIBERS) as u64)?;
                Ok(outcome)
            })?;
        }
        Way::Stepwise(pairs, step) => {
            let mut steps = Steps::open(server, pairs)?;
            let warm_up = Instant::now() + round / 5;
            while Instant::now() < warm_up {
                step(&mut steps)?;
            }
            steps.latency = Histogram::default();
            let (start, before) = (Instant::now(), process::cpu_ns(server.pid())?);
            let mut operations = 0;
            while start.elapsed() < round {
                operations += step(&mut steps)?;
            }
            let spent = process::cpu_ns(server.pid())? - before;
            let count = operations as f64;
            figures.add(spent as f64 / 1000.0 / count, count / start.elapsed().as_secs_f64(), &steps.latency);
        }
    }
    Ok(())
}

/// CPU time and rate of what `work` does, where `requests` of them are one operation.
fn timed(
    server: &Server,
    figures: &mut Figures,
    requests: usize,
    work: impl FnOnce() -> Result<super::load::Outcome>,
) -> Result<()> {
    let before = process::cpu_ns(server.pid())?;
    let outcome = work()?;
    let spent = process::cpu_ns(server.pid())? - before;
    let operations = outcome.requests as f64 / requests as f64;
    figures.add(spent as f64 / 1000.0 / operations, operations / outcome.seconds, &outcome.latency);
    Ok(())
}

fn prepare(server: &Server, setup: Setup) -> Result<()> {
    const LIBRARY: &str = "#!lua name=bench\nredis.register_function{function_name='read', flags={'no-writes'}, \
        callback=function(keys) return redis.call('GET', keys[1]) end}";
    if setup != Setup::Nothing {
        rows::load(server.port(), Data::Strings(3), KEYS)?;
    }
    if setup == Setup::Function {
        let load = ["FUNCTION", "LOAD", "REPLACE", LIBRARY].map(|word| word.as_bytes().to_vec());
        let reply = server.conn()?.call(&load)?;
        ensure!(!reply.is_error(), "FUNCTION LOAD: {}", show(&reply));
    }
    Ok(())
}

fn any_key(n: usize) -> String {
    key(scattered(n, KEYS))
}

fn transaction(n: usize, out: &mut Vec<u8>) {
    match n % 7 {
        0 => request(out, &["MULTI"]),
        6 => request(out, &["EXEC"]),
        _ => request(out, &["SET", &any_key(n), "xxx"]),
    }
}

fn eval(n: usize, out: &mut Vec<u8>) {
    request(out, &["EVAL", "return redis.call('GET', KEYS[1])", "1", &any_key(n)]);
}

fn fcall(n: usize, out: &mut Vec<u8>) {
    request(out, &["FCALL", "read", "1", &any_key(n)]);
}

fn xadd(n: usize, out: &mut Vec<u8>) {
    request(out, &["XADD", "stream", "*", "sensor", &scattered(n, 1000).to_string(), "value", "12.5"]);
}

fn fill_stream(server: &Server) -> Result<()> {
    server.conn()?.must("XGROUP CREATE stream group 0 MKSTREAM")?;
    fill(server.port(), ENTRIES, |n, out| {
        request(out, &["XADD", "stream", &format!("{}-1", n + 1), "sensor", "417", "value", "12.5"]);
    })
}

/// Pairs of a reading and an acknowledgement, of an entry that was read so long ago that its reply is in.
fn read_and_acknowledge(n: usize, out: &mut Vec<u8>) {
    if n.is_multiple_of(2) {
        request(out, &["XREADGROUP", "GROUP", "group", "consumer", "COUNT", "1", "STREAMS", "stream", ">"]);
    } else {
        let behind = 2 * CONNECTIONS * 16;
        request(out, &["XACK", "stream", "group", &format!("{}-1", (n / 2).saturating_sub(behind) + 1)]);
    }
}

const PAYLOAD: &str = "0123456789abcdef";

fn publish(_: usize, out: &mut Vec<u8>) {
    request(out, &["PUBLISH", "channel", PAYLOAD]);
}

/// Pairs of clients: one waits or caches, the other pushes or writes.
struct Steps {
    pairs: Vec<(Conn, Conn)>,
    latency: Histogram,
    count: usize,
    tracks: bool,
}

impl Steps {
    fn open(server: &Server, pairs: usize) -> Result<Steps> {
        let pairs = (0..pairs).map(|_| Ok((server.conn()?, server.conn()?))).collect::<Result<_>>()?;
        Ok(Steps { pairs, latency: Histogram::default(), count: 0, tracks: false })
    }
}

/// From sending the push to the reply of the client that waits. The PING between makes sure that all of them do.
fn hand_over(steps: &mut Steps) -> Result<u64> {
    for (at, (waiter, _)) in steps.pairs.iter_mut().enumerate() {
        waiter.send(&words(&format!("BLPOP queue:{at} 0")))?;
    }
    steps.pairs[0].1.must("PING")?;
    let sent = Instant::now();
    for (at, (_, pusher)) in steps.pairs.iter_mut().enumerate() {
        pusher.send(&words(&format!("LPUSH queue:{at} element")))?;
    }
    for (waiter, pusher) in &mut steps.pairs {
        let reply = waiter.read()?;
        steps.latency.record(sent.elapsed().as_nanos() as u64);
        ensure!(reply.items().is_some_and(|items| items.len() == 2), "BLPOP: {}", show(&reply));
        ensure!(pusher.read()? == Reply::Int(1), "LPUSH found the queue in use");
    }
    Ok(steps.pairs.len() as u64)
}

/// The same where one client of sixteen pushes for all of them.
fn hand_over_together(steps: &mut Steps) -> Result<u64> {
    for (at, (waiter, _)) in steps.pairs.iter_mut().enumerate() {
        waiter.send(&words(&format!("BLPOP queue:{at} 0")))?;
    }
    steps.pairs[0].1.must("PING")?;
    let sent = Instant::now();
    for (at, pairs) in steps.pairs.chunks_mut(TOGETHER).enumerate() {
        let first = at * TOGETHER;
        let pushes: Vec<_> =
            (first..first + pairs.len()).map(|at| words(&format!("LPUSH queue:{at} element"))).collect();
        pairs[0].1.send_all(&pushes)?;
    }
    for pairs in steps.pairs.chunks_mut(TOGETHER) {
        for at in 0..pairs.len() {
            let reply = pairs[at].0.read()?;
            steps.latency.record(sent.elapsed().as_nanos() as u64);
            ensure!(reply.items().is_some_and(|items| items.len() == 2), "BLPOP: {}", show(&reply));
            ensure!(pairs[0].1.read()? == Reply::Int(1), "LPUSH found the queue in use");
        }
    }
    Ok(steps.pairs.len() as u64)
}

/// From sending SETs of keys that the other client of each pair has read to its last invalidation.
fn invalidate(steps: &mut Steps) -> Result<u64> {
    if !steps.tracks {
        for (reader, _) in &mut steps.pairs {
            reader.hello(3)?;
            reader.must("CLIENT TRACKING ON")?;
        }
        steps.tracks = true;
    }
    let (first, pairs) = (steps.count * TRACKED * steps.pairs.len(), steps.pairs.len());
    steps.count += 1;
    let requests = |at: usize, command: &str, value: &str| -> Vec<Vec<Vec<u8>>> {
        let keys = (0..TRACKED).map(|i| key((first + at * TRACKED + i) % KEYS));
        keys.map(|key| words(&format!("{command} {key}{value}"))).collect()
    };
    for at in 0..pairs {
        steps.pairs[at].0.send_all(&requests(at, "GET", ""))?;
    }
    for (reader, _) in &mut steps.pairs {
        for _ in 0..TRACKED {
            reader.read()?;
        }
    }
    let sent = Instant::now();
    for at in 0..pairs {
        steps.pairs[at].1.send_all(&requests(at, "SET", " xxx"))?;
    }
    for (reader, writer) in &mut steps.pairs {
        for _ in 0..TRACKED {
            let push = reader.read()?;
            ensure!(matches!(push, Reply::Push(_)), "not an invalidation: {}", show(&push));
            writer.read()?;
        }
        steps.latency.record(sent.elapsed().as_nanos() as u64);
    }
    Ok((TRACKED * pairs) as u64)
}
