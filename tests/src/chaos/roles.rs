//! What clients do until the world stops.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::books::{Books, entry_ids};
use super::client::Client;
use crate::conn::Conn;
use crate::quote::words;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::show::show;

/// Lists that elements go round.
pub const RING: usize = 5;
/// Elements that go round: fewer than clients, so that most of them wait.
pub const ELEMENTS: usize = 6;
/// Queues of work.
pub const QUEUES: usize = 3;
/// Accounts, and what is on each at first.
pub const ACCOUNTS: usize = 8;
pub const OPENING: i64 = 1000;
/// Counters that are raised with WATCH.
pub const COUNTERS: usize = 2;
/// Publishers, each with a count of its own.
pub const PUBLISHERS: usize = 3;
const CHANNELS: usize = 2;

/// In so many of a hundred turns a client disappears while its command is under way.
const VANISH_PERCENT: usize = 3;

/// Publishers never pause for so long.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

const LOCK: &str = "nobody panics with the lock held";

/// True for a reply that says: nothing came, go on.
fn came_to_nothing(reply: &Reply) -> Result<bool> {
    match reply {
        Reply::Error(text) if text.starts_with(b"UNBLOCKED") => Ok(true),
        Reply::Error(_) => bail!("{}", show(reply)),
        other => Ok(other.is_nil()),
    }
}

fn side(rng: &mut Rng) -> &'static str {
    ["LEFT", "RIGHT"][rng.below(2)]
}

/// Moves elements from each list of the ring to the next, at times onto itself.
pub fn chain(client: &mut Client<'_>, _: usize, books: &Books) -> Result<()> {
    while client.goes_on() {
        let from = client.rng.below(RING);
        let to = (from + client.rng.below(3)) % RING;
        let (out, into) = (side(&mut client.rng), side(&mut client.rng));
        let line = match client.rng.below(4) {
            0 => format!("LMOVE ring:{from} ring:{to} {out} {into}"),
            1 => format!("BRPOPLPUSH ring:{from} ring:{to} 0.2"),
            _ => format!("BLMOVE ring:{from} ring:{to} {out} {into} 0.2"),
        };
        if client.rng.chance(VANISH_PERCENT) {
            client.attempt(|conn, _| conn.send(&words(&line)))?;
            client.vanish();
        } else if let Some(reply) = client.line(&line)?
            && !came_to_nothing(&reply)?
        {
            books.deed();
        }
    }
    Ok(())
}

/// Pushes elements that no other has the name of.
pub fn producer(client: &mut Client<'_>, number: usize, books: &Books) -> Result<()> {
    let mut count = 0;
    while client.goes_on() {
        let queue = client.rng.below(QUEUES);
        let several = 1 + client.rng.below(3);
        let elements: Vec<String> = (count..count + several).map(|n| format!("job-{number}-{n}")).collect();
        count += several;
        let command = ["LPUSH", "RPUSH"][client.rng.below(2)];
        let push = format!("{command} queue:{queue} {}", elements.join(" "));
        let pushed = match client.rng.below(3) {
            // The last reply of a transaction tells of the push as well.
            0 => client.attempt(|conn, _| {
                conn.pipeline(&["MULTI", &push, "EXEC"].map(words)).map(|replies| replies[2].clone())
            }),
            _ => client.line(&push),
        }?;
        match pushed {
            Some(reply) if reply.is_error() => bail!("{push}: {}", show(&reply)),
            Some(_) => books.pushed.lock().expect(LOCK).extend(elements),
            None => books.maybe_pushed.lock().expect(LOCK).extend(elements),
        }
        if client.rng.chance(30) {
            thread::sleep(Duration::from_micros(client.rng.below(3000) as u64));
        }
    }
    Ok(())
}

/// Waits for one queue for ever, until it is released after the end.
pub fn patient_consumer(client: &mut Client<'_>, number: usize, books: &Books) -> Result<()> {
    let line = format!("BLPOP queue:{number} 0");
    loop {
        match client.line(&line)? {
            Some(reply) if came_to_nothing(&reply)? && !client.goes_on() => return Ok(()),
            Some(reply) => receive(&reply, books),
            None => _ = books.astray_max.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Waits for several queues with every command there is, and is killed now and then.
pub fn consumer(client: &mut Client<'_>, _: usize, books: &Books) -> Result<()> {
    let mut times_vanished = 0;
    while client.goes_on() {
        let (a, b) = (client.rng.below(QUEUES), client.rng.below(QUEUES));
        let (line, most) = match client.rng.below(3) {
            0 => (format!("BLPOP queue:{a} queue:{b} 0.2"), 1),
            1 => (format!("BRPOP queue:{a} queue:{b} 0.2"), 1),
            _ => (format!("BLMPOP 0.2 2 queue:{a} queue:{b} LEFT COUNT 2"), 2),
        };
        if client.rng.chance(VANISH_PERCENT) {
            // Where the element goes instead can be looked up, so none may go astray.
            times_vanished += 1;
            let taken = format!("taken:{}:{times_vanished}", client.slot());
            books.taken.lock().expect(LOCK).insert(taken.clone());
            client.attempt(|conn, _| conn.send(&words(&format!("BLMOVE queue:{a} {taken} LEFT LEFT 0"))))?;
            client.vanish();
        } else if client.rng.below(1000) == 0 {
            // Rarely, so that few may.
            client.attempt(|conn, _| conn.send(&words(&line)))?;
            client.vanish();
            books.astray_max.fetch_add(most, Ordering::Relaxed);
        } else {
            match client.line(&line)? {
                Some(reply) if came_to_nothing(&reply)? => {}
                Some(reply) => receive(&reply, books),
                None => _ = books.astray_max.fetch_add(most, Ordering::Relaxed),
            }
        }
    }
    Ok(())
}

/// `[key, element]`, or `[key, [element, …]]`.
fn receive(reply: &Reply, books: &Books) {
    let Some([_, found]) = reply.items() else { return };
    let elements = found.items().map_or_else(|| vec![found.text()], |all| all.iter().map(Reply::text).collect());
    let mut received = books.received.lock().expect(LOCK);
    for element in elements {
        *received.entry(element).or_default() += 1;
    }
}

/// Moves money between accounts in a transaction, at times breaking off in the middle.
pub fn transfer(client: &mut Client<'_>, _: usize, books: &Books) -> Result<()> {
    while client.goes_on() {
        let (from, to) = (client.rng.below(ACCOUNTS), client.rng.below(ACCOUNTS));
        let amount = client.rng.below(50);
        let lines =
            ["MULTI".into(), format!("DECRBY account:{from} {amount}"), format!("INCRBY account:{to} {amount}")];
        let mut commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
        let breaks_off = client.rng.chance(VANISH_PERCENT);
        if !breaks_off || client.rng.chance(50) {
            commands.push(words("EXEC"));
        }
        if breaks_off {
            client.attempt(|conn, _| commands.iter().try_for_each(|command| conn.send(command)))?;
            client.vanish();
            continue;
        }
        if let Some(replies) = client.attempt(|conn, _| conn.pipeline(&commands))? {
            let wrong = replies.iter().find(|reply| reply.is_error());
            ensure!(wrong.is_none(), "a transfer: {}", show(&replies[replies.len() - 1]));
            books.deed();
        }
    }
    Ok(())
}

/// The same in a script.
pub fn scripted_transfer(client: &mut Client<'_>, _: usize, books: &Books) -> Result<()> {
    const SCRIPT: &str = "redis.call('DECRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])";
    while client.goes_on() {
        let (from, to) = (client.rng.below(ACCOUNTS), client.rng.below(ACCOUNTS));
        let amount = client.rng.below(50);
        let line = format!("EVAL \"{SCRIPT}\" 2 account:{from} account:{to} {amount}");
        if let Some(reply) = client.line(&line)? {
            ensure!(reply.int().is_some(), "a scripted transfer: {}", show(&reply));
            books.deed();
        }
    }
    Ok(())
}

/// Reads all accounts at one moment, in two ways: the sum is always the same.
pub fn auditor(client: &mut Client<'_>, _: usize, books: &Books) -> Result<()> {
    let keys: Vec<String> = (0..ACCOUNTS).map(|i| format!("account:{i}")).collect();
    let mget = words(&format!("MGET {}", keys.join(" ")));
    let mut transaction = vec![words("MULTI")];
    transaction.extend(keys.iter().map(|key| words(&format!("GET {key}"))));
    transaction.push(words("EXEC"));
    while client.goes_on() {
        let in_transaction = client.rng.chance(70);
        let read = |conn: &mut Conn, _: &mut Rng| match in_transaction {
            true => conn.pipeline(&transaction).map(|mut replies| replies.pop()),
            false => conn.call(&mget).map(Some),
        };
        if let Some(reply) = client.attempt(read)? {
            let reply = reply.context("a transaction has replies")?;
            let balances = reply.items().with_context(|| format!("an audit: {}", show(&reply)))?;
            let sum: i64 = balances.iter().filter_map(|balance| balance.text().parse::<i64>().ok()).sum();
            let expected = OPENING * ACCOUNTS as i64;
            ensure!(sum == expected, "an audit finds {sum}, not {expected}: {}", show(&reply));
            books.deed();
        }
    }
    Ok(())
}

/// Raises a counter with WATCH, GET, MULTI, SET, EXEC.
pub fn counter(client: &mut Client<'_>, _: usize, books: &Books) -> Result<()> {
    while client.goes_on() {
        let which = client.rng.below(COUNTERS);
        let breaks_off = client.rng.chance(VANISH_PERCENT);
        let mut exec_sent = false;
        // One attempt, so that all of it is on the connection that watches.
        let outcome = client.attempt(|conn, _| {
            conn.must(&format!("WATCH counter:{which}"))?;
            let old = conn.must(&format!("GET counter:{which}"))?.text().parse::<i64>().unwrap_or(0);
            let set = format!("SET counter:{which} {}", old + 1);
            if breaks_off {
                conn.send(&words("MULTI"))?;
                conn.send(&words(&set))?;
                return Ok(None);
            }
            exec_sent = true;
            Ok(conn.pipeline(&[words("MULTI"), words(&set), words("EXEC")])?.pop())
        })?;
        match outcome {
            Some(Some(reply)) if reply.is_nil() => {}
            Some(Some(reply)) => {
                let done = reply.items().is_some_and(|items| items.len() == 1 && items[0].is_ok());
                ensure!(done, "EXEC: {}", show(&reply));
                books.counted[which].fetch_add(1, Ordering::Relaxed);
            }
            Some(None) => client.vanish(),
            None if exec_sent => _ = books.maybe_counted[which].fetch_add(1, Ordering::Relaxed),
            None => {}
        }
    }
    Ok(())
}

/// Publishes a count; it begins anew under another name whenever it does not know what became of the last message.
pub fn publisher(client: &mut Client<'_>, number: usize, books: &Books) -> Result<()> {
    let (mut life, mut counts) = (0, [0; CHANNELS]);
    while client.goes_on() {
        let channel = client.rng.below(CHANNELS);
        let line = format!("PUBLISH channel:{channel} {number}.{life}.{}", counts[channel]);
        match client.line(&line)? {
            Some(reply) => {
                ensure!(reply.int().is_some(), "{line}: {}", show(&reply));
                counts[channel] += 1;
            }
            None => (life, counts) = (life + 1, [0; CHANNELS]),
        }
        books.deed();
        thread::sleep(Duration::from_micros(client.rng.below(1000) as u64));
    }
    Ok(())
}

/// Listens by name or by pattern, in either protocol: each publisher's messages come in their order, none left out.
pub fn subscriber(client: &mut Client<'_>, number: usize, books: &Books) -> Result<()> {
    let by_pattern = number % 2 == 1;
    let subscribe = if by_pattern { "PSUBSCRIBE channel:*" } else { "SUBSCRIBE channel:0 channel:1" };
    while client.goes_on() {
        // What came last from each publisher on each channel.
        let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut messages = 20 + client.rng.below(2000);
        let world = client.world();
        client.attempt(|conn, _| {
            if number >= 2 {
                conn.hello(3)?;
            }
            conn.send(&words(subscribe))?;
            let mut heard = Instant::now();
            while messages > 0 && world.goes_on() {
                let Some(message) = conn.try_read()? else {
                    ensure!(heard.elapsed() < SILENCE_LIMIT, "no message for {SILENCE_LIMIT:?}");
                    thread::sleep(Duration::from_micros(200));
                    continue;
                };
                heard = Instant::now();
                messages -= 1;
                books.deed();
                follow(&message, &mut last)?;
            }
            Ok(())
        })?;
        client.vanish();
    }
    Ok(())
}

/// A message must have the number after the one before it.
fn follow(message: &Reply, last: &mut BTreeMap<(String, String), u64>) -> Result<()> {
    let items: Vec<String> = message.items().unwrap_or_default().iter().map(Reply::text).collect();
    if !items.first().is_some_and(|kind| kind.ends_with("message")) {
        return Ok(());
    }
    let [.., channel, payload] = &items[..] else { bail!("a message: {}", show(message)) };
    let (publisher, count) = payload.rsplit_once('.').context("a message has a count")?;
    let count: u64 = count.parse().context("a count is a number")?;
    if let Some(before) = last.insert((channel.clone(), publisher.into()), count) {
        ensure!(count == before + 1, "{publisher} on {channel}: {count} after {before}");
    }
    Ok(())
}

/// Adds entries.
pub fn stream_producer(client: &mut Client<'_>, number: usize, books: &Books) -> Result<()> {
    while client.goes_on() {
        if let Some(reply) = client.line(&format!("XADD stream * producer {number}"))? {
            ensure!(!reply.is_error(), "XADD: {}", show(&reply));
            books.added.lock().expect(LOCK).insert(reply.text());
        }
        thread::sleep(Duration::from_micros(client.rng.below(2000) as u64));
    }
    Ok(())
}

/// Reads as a consumer of a group and acknowledges some of it.
pub fn stream_consumer(client: &mut Client<'_>, number: usize, books: &Books) -> Result<()> {
    while client.goes_on() {
        let count = 1 + client.rng.below(3);
        let line = format!("XREADGROUP GROUP group consumer-{number} COUNT {count} BLOCK 200 STREAMS stream >");
        if client.rng.chance(VANISH_PERCENT) {
            client.attempt(|conn, _| conn.send(&words(&line)))?;
            client.vanish();
            continue;
        }
        let Some(reply) = client.line(&line)? else { continue };
        if came_to_nothing(&reply)? {
            continue;
        }
        let ids = entry_ids(&reply);
        for id in &ids {
            *books.delivered.lock().expect(LOCK).entry(id.clone()).or_default() += 1;
        }
        if client.rng.chance(80) {
            client.line(&format!("XACK stream group {}", ids.join(" ")))?;
        }
    }
    Ok(())
}
