//! Messages under concurrency: everybody who was counted gets every message, in one order; caches that are told of changes are
//! right in the end.

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::conn::Conn;
use crate::quote::words;
use crate::resp::Reply;
use crate::rng::Rng;

const PUBLISHERS: usize = 3;
const MESSAGES: usize = 1500;
const CHANNELS: usize = 3;
const STEADY: usize = 3;
const FICKLE: usize = 3;

/// Publishers send to a few channels; some subscribers stay, others come and go. Whoever stays sees the messages of a channel in
/// the same order as the others, those of one publisher in the order in which it sent them. All together get as many messages as
/// the publishers were told.
pub fn published(port: u16) -> Result<()> {
    let (counted, received, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let ready = Barrier::new(PUBLISHERS + STEADY);
    let seen = thread::scope(|scope| -> Result<Vec<Vec<Vec<String>>>> {
        let steady: Vec<_> = (0..STEADY)
            .map(|at| {
                let (ready, received) = (&ready, &received);
                scope.spawn(move || steady(port, at, ready, received))
            })
            .collect();
        let fickle: Vec<_> = (0..FICKLE)
            .map(|at| {
                let (over, received) = (&over, &received);
                scope.spawn(move || fickle(port, at, over, received))
            })
            .collect();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|at| {
                let (ready, counted) = (&ready, &counted);
                scope.spawn(move || publisher(port, at, ready, counted))
            })
            .collect();
        let sent: Result<()> = publishers.into_iter().try_for_each(|thread| thread.join().expect("no panic"));
        over.store(true, SeqCst);
        fickle.into_iter().try_for_each(|thread| thread.join().expect("no panic"))?;
        sent?;
        steady.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })?;
    for (at, channels) in seen.iter().enumerate() {
        ensure!(*channels == seen[0], "subscribers 0 and {at} saw different orders");
    }
    for messages in &seen[0] {
        let mut last = [0; PUBLISHERS];
        for message in messages {
            let (publisher, number) = message.split_once(' ').context("a message of ours")?;
            let (publisher, number): (usize, usize) = (publisher.parse()?, number.parse()?);
            ensure!(number > last[publisher], "publisher {publisher}: {number} after {}", last[publisher]);
            last[publisher] = number;
        }
    }
    let (counted, received) = (counted.load(SeqCst), received.load(SeqCst));
    ensure!(counted == received, "{counted} were counted, {received} received");
    Ok(())
}

fn channel(at: usize) -> String {
    format!("channel:{at}")
}

fn publisher(port: u16, at: usize, ready: &Barrier, counted: &AtomicUsize) -> Result<()> {
    let (mut conn, mut rng) = (Conn::open(port)?, Rng::new(at as u64));
    ready.wait();
    let lines: Vec<_> = (1..=MESSAGES)
        .map(|number| words(&format!("PUBLISH {} '{at} {number}'", channel(rng.below(CHANNELS)))))
        .collect();
    for batch in lines.chunks(20) {
        for reply in conn.pipeline(batch)? {
            counted.fetch_add(reply.int().context("a count")? as usize, SeqCst);
        }
    }
    Ok(())
}

/// Listens to all channels to the end; the messages of each.
fn steady(port: u16, at: usize, ready: &Barrier, received: &AtomicUsize) -> Result<Vec<Vec<String>>> {
    let mut conn = Conn::open(port)?;
    conn.hello(if at.is_multiple_of(2) { 2 } else { 3 })?;
    for at in 0..CHANNELS {
        conn.line(&format!("SUBSCRIBE {}", channel(at)))?;
    }
    ready.wait();
    let mut seen = vec![Vec::new(); CHANNELS];
    for _ in 0..PUBLISHERS * MESSAGES {
        let message = conn.read()?;
        let Some([_, from, text]) = message.items() else { bail!("no message: {message:?}") };
        let at: usize = from.text().strip_prefix("channel:").context("a channel of ours")?.parse()?;
        seen[at].push(text.text());
        received.fetch_add(1, SeqCst);
    }
    Ok(seen)
}

/// Subscribes to channels and patterns and ends that again, until it is `over`.
fn fickle(port: u16, at: usize, over: &AtomicBool, received: &AtomicUsize) -> Result<()> {
    let mut conn = Conn::open(port)?;
    conn.hello(if at.is_multiple_of(2) { 3 } else { 2 })?;
    let mut rng = Rng::new(100 + at as u64);
    let until = |conn: &mut Conn, word: &str| -> Result<()> {
        loop {
            let message = conn.read()?;
            let items = message.items().context("a message")?;
            match items[0].text().as_str() {
                "message" | "pmessage" => drop(received.fetch_add(1, SeqCst)),
                got if got == word => return Ok(()),
                got => bail!("{got} instead of {word}"),
            }
        }
    };
    while !over.load(SeqCst) {
        let (prefix, name) = match rng.below(3) {
            0 => ("P", "channel:*".to_owned()),
            _ => ("", channel(rng.below(CHANNELS))),
        };
        conn.send(&words(&format!("{prefix}SUBSCRIBE {name}")))?;
        until(&mut conn, &format!("{}subscribe", prefix.to_lowercase()))?;
        for _ in 0..rng.below(3) {
            thread::yield_now();
        }
        conn.send(&words(&format!("{prefix}UNSUBSCRIBE {name}")))?;
        until(&mut conn, &format!("{}unsubscribe", prefix.to_lowercase()))?;
        // Nothing may come any more: in RESP2 it would be taken for this reply.
        let pong = conn.line("PING")?;
        ensure!(pong == Reply::Simple(b"PONG".to_vec()), "{pong:?} instead of PONG");
    }
    Ok(())
}

const KEYS: usize = 20;
const READERS: usize = 4;
const WRITERS: usize = 3;
const WRITES: usize = 6000;

/// Readers keep what they have read, and forget it when they are told so, while writers change the keys. When all is quiet, what
/// the readers have kept is what the server has.
pub fn cached(port: u16) -> Result<()> {
    let over = AtomicBool::new(false);
    let quiet = Barrier::new(READERS + 1);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|at| {
                let (over, quiet) = (&over, &quiet);
                scope.spawn(move || Cache::open(port, at).and_then(|cache| cache.run(over, quiet, at as u64)))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS).map(|at| scope.spawn(move || writer(port, at as u64))).collect();
        let written: Result<()> = writers.into_iter().try_for_each(|thread| thread.join().expect("no panic"));
        over.store(true, SeqCst);
        quiet.wait();
        readers.into_iter().try_for_each(|thread| thread.join().expect("no panic"))?;
        written
    })
}

fn key(at: usize) -> String {
    format!("key:{at}")
}

fn writer(port: u16, seed: u64) -> Result<()> {
    let (mut conn, mut rng) = (Conn::open(port)?, Rng::new(seed));
    let mut lines = Vec::new();
    for number in 0..WRITES {
        let (a, b) = (key(rng.below(KEYS)), key(rng.below(KEYS)));
        lines.push(words(&match rng.below(12) {
            0 => format!("DEL {a} {b}"),
            1 => format!("MSET {a} {number} {b} {number}"),
            2 => format!("RENAME {a} {b}"),
            3 => format!("APPEND {a} {}", number % 10),
            4 => format!("SET {a} {number} PX 1"),
            5 => format!("GETEX {a} PX 1"),
            6 => format!("COPY {a} {b} REPLACE"),
            7 if number % 500 == 0 => "FLUSHDB".to_owned(),
            _ => format!("SET {a} {seed}:{number}"),
        }));
    }
    for batch in lines.chunks(8) {
        conn.pipeline(batch)?;
    }
    Ok(())
}

/// A client with a cache.
struct Cache {
    conn: Conn,
    kept: HashMap<String, Reply>,
}

impl Cache {
    /// Every other one is told of all changes.
    fn open(port: u16, at: usize) -> Result<Cache> {
        let mut conn = Conn::open(port)?;
        conn.hello(3)?;
        conn.must(if at.is_multiple_of(2) { "CLIENT TRACKING ON" } else { "CLIENT TRACKING ON BCAST PREFIX key:" })?;
        Ok(Cache { conn, kept: HashMap::new() })
    }

    fn run(mut self, over: &AtomicBool, quiet: &Barrier, seed: u64) -> Result<()> {
        let mut rng = Rng::new(1000 + seed);
        let mut outcome = Ok(());
        while !over.load(SeqCst) && outcome.is_ok() {
            outcome = self.look(&mut rng);
        }
        quiet.wait();
        outcome?;
        // What expires by itself takes a moment; nobody writes any more.
        let mut wrong = String::new();
        for _ in 0..50 {
            wrong = self.compare()?;
            if wrong.is_empty() {
                return Ok(());
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
        bail!("kept, but not there any more: {wrong}")
    }

    /// Reads a few keys that are not kept, all at once.
    fn look(&mut self, rng: &mut Rng) -> Result<()> {
        let mut wanted: Vec<String> = (0..4).map(|_| key(rng.below(KEYS))).collect();
        wanted.retain(|key| !self.kept.contains_key(key));
        wanted.iter().try_for_each(|key| self.conn.send(&words(&format!("GET {key}"))))?;
        for key in wanted {
            let value = self.reply()?;
            self.kept.insert(key, value);
        }
        self.ping()
    }

    /// The next reply; what comes before it is obeyed.
    fn reply(&mut self) -> Result<Reply> {
        loop {
            let reply = self.conn.read()?;
            let Reply::Push(items) = &reply else { return Ok(reply) };
            match items.as_slice() {
                [word, Reply::Null] if word.text() == "invalidate" => self.kept.clear(),
                [word, keys] if word.text() == "invalidate" => {
                    for key in keys.items().context("an array of keys")? {
                        self.kept.remove(&key.text());
                    }
                }
                _ => bail!("an unknown push: {reply:?}"),
            }
        }
    }

    fn ping(&mut self) -> Result<()> {
        self.conn.send(&words("PING"))?;
        self.reply().map(drop)
    }

    /// What is kept and is not what the server has.
    fn compare(&mut self) -> Result<String> {
        self.ping()?;
        let mut wrong = Vec::new();
        for at in 0..KEYS {
            let key = key(at);
            self.conn.send(&words(&format!("GET {key}")))?;
            let value = self.reply()?;
            if let Some(kept) = self.kept.get(&key)
                && *kept != value
            {
                wrong.push(format!("{key}: {kept:?} instead of {value:?}"));
            }
        }
        Ok(wrong.join(", "))
    }
}
