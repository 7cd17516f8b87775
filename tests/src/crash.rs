//! Clients that keep a server busy until it is killed, and books of what it has told them: what its files must have then.
//!
//! Each writer raises a counter, a twin of it and the length of a list, together, and tells of it in a message. Others look at
//! those in all ways there are: reading, scripts, messages, keyspace events, invalidations of caches. One list is a queue, with one
//! client that fills it and one that waits for its elements.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::conn::Conn;
use crate::quote::words;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::server::Server;
use crate::show::show;

/// Clients that write, and clients that read what those write.
const WRITERS: usize = 5;
const READERS: usize = 2;
/// What `everysec` may lose.
const LOSS_MAX: Duration = Duration::from_secs(2);

/// What must have survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// All that was acknowledged or shown.
    Everything,
    /// All that was acknowledged two seconds before the end.
    Older,
    /// Nothing; but what there is must be whole, and nothing else.
    Nothing,
}

/// What is known of a counter that one client raises.
#[derive(Default)]
struct Counter {
    /// The last value that was asked for.
    asked: AtomicI64,
    /// The last value that was acknowledged.
    acknowledged: AtomicI64,
    /// The largest value that another client was shown, and how.
    seen: Mutex<(i64, &'static str)>,
    /// When which value was acknowledged.
    history: Mutex<BTreeMap<Instant, i64>>,
}

impl Counter {
    fn acknowledge(&self, value: i64) {
        self.acknowledged.store(value, SeqCst);
        self.history.lock().expect("no panic").insert(Instant::now(), value);
    }

    fn see(&self, value: i64, how: &'static str) {
        let mut seen = self.seen.lock().expect("no panic");
        if value > seen.0 {
            *seen = (value, how);
        }
    }

    /// Compares what was kept with what is known.
    fn check(&self, kept: i64, promise: Promise, ended: Instant) -> Result<()> {
        let asked = self.asked.load(SeqCst);
        ensure!(kept <= asked, "{kept} was kept, and only {asked} was asked for");
        match promise {
            Promise::Everything => {
                let acknowledged = self.acknowledged.load(SeqCst);
                ensure!(kept >= acknowledged, "{acknowledged} was acknowledged, and {kept} was kept");
                let (seen, how) = *self.seen.lock().expect("no panic");
                ensure!(kept >= seen, "{seen} was shown by {how}, and {kept} was kept");
            }
            Promise::Older => {
                let history = self.history.lock().expect("no panic");
                let old = history.range(..ended - LOSS_MAX).next_back().map_or(0, |(_, &value)| value);
                ensure!(kept >= old, "{old} was acknowledged {LOSS_MAX:?} before the end, and {kept} was kept");
            }
            Promise::Nothing => {}
        }
        Ok(())
    }
}

/// What is known of everything.
pub struct Books {
    counters: Vec<Counter>,
    /// The numbers that went into the queue, and those that came out.
    filled: Counter,
    emptied: Counter,
}

impl Default for Books {
    fn default() -> Self {
        let counters = (0..WRITERS).map(|_| Counter::default()).collect();
        Books { counters, filled: Counter::default(), emptied: Counter::default() }
    }
}

impl Books {
    /// How much was acknowledged.
    pub fn acknowledged(&self) -> i64 {
        self.counters.iter().map(|counter| counter.acknowledged.load(SeqCst)).sum()
    }
}

/// Has clients at work until they lose their connections; `meanwhile` ends the server. When that was.
pub fn work(server: &Server, books: &Books, seed: u64, meanwhile: impl FnOnce() -> Result<()>) -> Result<Instant> {
    let conn = || server.conn();
    let mut writers: Vec<Conn> = (0..WRITERS).map(|_| conn()).collect::<Result<_>>()?;
    let mut readers: Vec<Conn> = (0..READERS).map(|_| conn()).collect::<Result<_>>()?;
    let (mut subscriber, mut listener, mut cache, mut filler, mut emptier) =
        (conn()?, conn()?, conn()?, conn()?, conn()?);
    filler.must("CONFIG SET notify-keyspace-events KEA")?;
    subscriber.must("PSUBSCRIBE told:*")?;
    listener.must("PSUBSCRIBE __keyspace@0__:list:*")?;
    cache.hello(3)?;
    cache.must("CLIENT TRACKING ON")?;
    let mut rng = Rng::new(seed);
    let mut next_seed = || rng.next_u64();
    std::thread::scope(|scope| -> Result<Instant> {
        let mut clients = Vec::new();
        for (writer, conn) in writers.iter_mut().enumerate() {
            let (counter, seed) = (&books.counters[writer], next_seed());
            clients.push(scope.spawn(move || write(conn, writer, counter, seed)));
        }
        for conn in &mut readers {
            let seed = next_seed();
            clients.push(scope.spawn(move || read(conn, books, seed)));
        }
        clients.push(scope.spawn(|| take_messages(&mut subscriber, books)));
        clients.push(scope.spawn(|| take_events(&mut listener, books)));
        let (seed, filler_seed) = (next_seed(), next_seed());
        clients.push(scope.spawn(move || keep_cache(&mut cache, books, seed)));
        clients.push(scope.spawn(move || fill(&mut filler, &books.filled, filler_seed)));
        let moves = next_seed() % 2 == 0;
        clients.push(scope.spawn(move || empty(&mut emptier, &books.emptied, moves)));
        let outcome = meanwhile();
        let ended = Instant::now();
        if outcome.is_err() {
            let _ = kill(server);
        }
        for client in clients {
            client.join().expect("no panic")?;
        }
        outcome.map(|()| ended)
    })
}

/// Ends a server at once.
pub fn kill(server: &Server) -> Result<()> {
    // One that has died by itself must not pass for one that was killed.
    let answers = server.conn().and_then(|mut conn| conn.line("PING"));
    answers.with_context(|| format!("it does not live any more:\n{}", server.output()))?;
    let sent = std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status()?;
    ensure!(sent.success(), "kill failed");
    Ok(())
}

/// Raises a counter until the connection ends, in batches of different sizes.
fn write(conn: &mut Conn, writer: usize, counter: &Counter, seed: u64) -> Result<()> {
    const SCRIPT: &str = "redis.call('INCR', KEYS[1]) redis.call('PUBLISH', ARGV[1], ARGV[2]) \
                          redis.call('INCR', KEYS[2]) return redis.call('RPUSH', KEYS[3], ARGV[3])";
    let mut rng = Rng::new(seed);
    let mut value = 0;
    loop {
        let count = if rng.below(4) == 0 { 1 + rng.below(20) as i64 } else { 1 };
        let mut commands = Vec::new();
        for value in value + 1..=value + count {
            let element = "x".repeat(1 + rng.below(200));
            if rng.chance(50) {
                commands.push(words("MULTI"));
                commands.push(words(&format!("INCR counter:{writer}")));
                commands.push(words(&format!("PUBLISH told:{writer} {value}")));
                commands.push(words(&format!("INCR twin:{writer}")));
                commands.push(words(&format!("RPUSH list:{writer} {element}")));
                commands.push(words("EXEC"));
            } else {
                let rest = format!("3 counter:{writer} twin:{writer} list:{writer} told:{writer} {value} {element}");
                commands.push([vec![b"EVAL".to_vec(), SCRIPT.as_bytes().to_vec()], words(&rest)].concat());
            }
        }
        counter.asked.store(value + count, SeqCst);
        let Ok(replies) = conn.pipeline(&commands) else { return Ok(()) };
        ensure!(replies.iter().all(|reply| !reply.is_error()), "{replies:?}");
        value += count;
        counter.acknowledge(value);
    }
}

fn read(conn: &mut Conn, books: &Books, seed: u64) -> Result<()> {
    const SHOUT: &str =
        "local value = redis.call('GET', KEYS[1]) redis.call('PUBLISH', ARGV[1], value or 0) return value";
    let mut rng = Rng::new(seed);
    loop {
        let writer = rng.below(WRITERS);
        let counter = &books.counters[writer];
        let (line, how) = match rng.below(6) {
            0 => (format!("GET counter:{writer}"), "GET"),
            1 => (format!("EVAL \"return redis.call('GET', KEYS[1])\" 1 counter:{writer}"), "EVAL"),
            2 => (format!("EVAL \"{SHOUT}\" 1 twin:{writer} told:{writer}"), "a script that tells"),
            3 => (format!("LLEN list:{writer}"), "LLEN"),
            4 => (format!("MGET counter:{writer} counter:{}", (writer + 1) % WRITERS), "MGET"),
            _ => (format!("EVAL_RO \"return redis.call('LLEN', KEYS[1])\" 1 list:{writer}"), "EVAL_RO"),
        };
        if rng.chance(20) {
            let commands = ["MULTI".into(), line, "EXEC".into()].map(|line: String| words(&line));
            let Ok(replies) = conn.pipeline(&commands) else { return Ok(()) };
            let items = replies[2].items().with_context(|| show(&replies[2]))?;
            note_shown(counter, &items[0], "a transaction");
        } else {
            let Ok(reply) = conn.line(&line) else { return Ok(()) };
            note_shown(counter, &reply, how);
        }
    }
}

fn note_shown(counter: &Counter, reply: &Reply, how: &'static str) {
    let reply = reply.items().and_then(|items| items.first()).unwrap_or(reply);
    if let Some(value) = reply.int().or_else(|| reply.text().parse().ok()) {
        counter.see(value, how);
    }
}

/// The next message: its channel and its content.
fn message(conn: &mut Conn) -> Option<(String, String)> {
    let message = conn.read().ok()?;
    let items = message.items()?;
    let at = items.len().checked_sub(2)?;
    Some((items[at].text().to_string(), items[at + 1].text().to_string()))
}

fn writer_of(channel: &str) -> Result<usize> {
    channel.rsplit(':').next().and_then(|number| number.parse().ok()).with_context(|| channel.to_owned())
}

fn take_messages(conn: &mut Conn, books: &Books) -> Result<()> {
    while let Some((channel, value)) = message(conn) {
        books.counters[writer_of(&channel)?].see(value.parse()?, "a message");
    }
    Ok(())
}

fn take_events(conn: &mut Conn, books: &Books) -> Result<()> {
    let mut counts = [0; WRITERS];
    while let Some((channel, event)) = message(conn) {
        if event == "rpush" {
            let writer = writer_of(&channel)?;
            counts[writer] += 1;
            books.counters[writer].see(counts[writer], "an event");
        }
    }
    Ok(())
}

/// Reads a counter, and waits until it hears that it has changed since.
fn keep_cache(conn: &mut Conn, books: &Books, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    loop {
        let writer = rng.below(WRITERS);
        let counter = &books.counters[writer];
        let Ok(()) = conn.send(&words(&format!("GET counter:{writer}"))) else { return Ok(()) };
        let mut value = None;
        loop {
            let Ok(reply) = conn.read() else { return Ok(()) };
            match (&reply, value) {
                (Reply::Push(_), None) => {}
                (Reply::Push(items), Some(value)) => {
                    if show(&items[1]).contains(&format!("counter:{writer}")) {
                        counter.see(value + 1, "an invalidation");
                        break;
                    }
                }
                (other, _) => {
                    let shown = other.text().parse().unwrap_or(0);
                    counter.see(shown, "GET with tracking");
                    value = Some(shown);
                }
            }
        }
    }
}

fn fill(conn: &mut Conn, filled: &Counter, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    for value in 1.. {
        filled.asked.store(value, SeqCst);
        let Ok(reply) = conn.line(&format!("RPUSH queue {value}")) else { return Ok(()) };
        ensure!(!reply.is_error(), "{}", show(&reply));
        filled.acknowledge(value);
        if rng.chance(10) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}

fn empty(conn: &mut Conn, emptied: &Counter, moves: bool) -> Result<()> {
    let line = if moves { "BLMOVE queue done LEFT RIGHT 0" } else { "BLPOP queue 0" };
    for expected in 1.. {
        emptied.asked.store(expected, SeqCst);
        let Ok(reply) = conn.line(line) else { return Ok(()) };
        let value = reply.items().map_or(&reply, |items| &items[1]).text().parse();
        let Ok(value) = value else { bail!("{line}: {}", show(&reply)) };
        ensure!(value == expected, "{value} comes out of the queue, not {expected}");
        emptied.acknowledge(value);
    }
    Ok(())
}

/// The values of keys, 0 for absent ones.
pub fn numbers(conn: &mut Conn, keys: &[String]) -> Result<Vec<i64>> {
    let reply = conn.must(&format!("MGET {}", keys.join(" ")))?;
    let items = reply.items().context("MGET")?;
    items
        .iter()
        .map(|item| match item {
            other if other.is_nil() => Ok(0),
            other => other.text().parse().with_context(|| show(other)),
        })
        .collect()
}

/// The numbers in a list.
fn list(conn: &mut Conn, key: &str) -> Result<Vec<i64>> {
    let reply = conn.must(&format!("LRANGE {key} 0 -1"))?;
    reply.items().context(key.to_owned())?.iter().map(|item| item.text().parse().with_context(|| show(item))).collect()
}

/// Compares what a server has loaded with what is known. A text of all that it has.
pub fn check(conn: &mut Conn, books: &Books, promise: Promise, ended: Instant) -> Result<String> {
    let keys = |name: &str| (0..WRITERS).map(|writer| format!("{name}:{writer}")).collect::<Vec<_>>();
    let kept = numbers(conn, &keys("counter"))?;
    let twins = numbers(conn, &keys("twin"))?;
    ensure!(kept == twins, "a transaction is torn: {kept:?}, {twins:?}");
    for (writer, (counter, &kept)) in books.counters.iter().zip(&kept).enumerate() {
        let length = conn.must(&format!("LLEN list:{writer}"))?;
        ensure!(length == Reply::Int(kept), "a transaction is torn: a list has {}, not {kept}", show(&length));
        counter.check(kept, promise, ended).with_context(|| format!("counter {writer}"))?;
    }
    let (done, left) = (list(conn, "done")?, list(conn, "queue")?);
    let first = left.first().or(done.last()).copied();
    ensure!(left.windows(2).all(|pair| pair[0] + 1 == pair[1]), "the queue has a gap");
    ensure!(done.iter().zip(1..).all(|(&value, expected)| value == expected), "what came out of the queue has a gap");
    match (left.first(), left.last().or(done.last())) {
        (Some(&first), Some(&last)) => {
            ensure!(done.is_empty() || first == done.len() as i64 + 1, "{first} follows {} in the queue", done.len());
            books.filled.check(last, promise, ended).context("what went into the queue")?;
            books.emptied.check(first - 1, promise, ended).context("what came out of the queue")?;
        }
        // All of it is out again, as far as that can be seen.
        (_, Some(&last)) => {
            books.filled.check(last, promise, ended).context("what went into the queue")?;
            books.emptied.check(last, promise, ended).context("what came out of the queue")?;
        }
        _ => {}
    }
    let lists = (0..WRITERS).map(|writer| conn.must(&format!("LRANGE list:{writer} 0 -1")).map(|reply| show(&reply)));
    let lists = lists.collect::<Result<Vec<_>>>()?;
    Ok(format!("{kept:?} {first:?} {done:?} {left:?} {lists:?}"))
}
