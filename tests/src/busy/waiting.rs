//! Those who wait for something else while a script keeps everybody waiting.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{LOOP, Stage};
use crate::control::{client_id, info, poll};
use crate::quote::words;
use crate::resp::Reply;
use crate::show::show;

/// Polls until INFO shows these numbers, and notes that.
fn until_counts(stage: &mut Stage, expected: &[(&str, i64)]) -> Result<()> {
    for (name, count) in expected {
        let control = &mut stage.control;
        let last = std::cell::Cell::new(0);
        poll(
            || format!("{name} in INFO is {}, not {count}", last.get()),
            || {
                last.set(info(control, "clients", name)?);
                Ok(last.get() == *count)
            },
        )?;
    }
    Ok(())
}

/// Clients in BLPOP and with WATCH that leave meanwhile, or whose time is up: nothing remains of them, the others are served.
pub(super) fn those_who_wait(stage: &mut Stage) -> Result<()> {
    let (mut stays, mut leaves, mut times_out, mut unblocked) =
        (stage.conn()?, stage.conn()?, stage.conn()?, stage.conn()?);
    let (mut watches, mut watcher_leaves) = (stage.conn()?, stage.conn()?);
    let id = client_id(&mut unblocked)?;
    let lines = ["BLPOP queue 0", "BLMPOP 0 2 queue only LEFT", "BLPOP queue timed 0.4", "BRPOP queue 0"];
    let conns = [&mut stays, &mut leaves, &mut times_out, &mut unblocked];
    for (i, (conn, line)) in conns.into_iter().zip(lines).enumerate() {
        conn.send(&words(line))?;
        until_counts(stage, &[("blocked_clients", i as i64 + 1)])?;
    }
    for conn in [&mut watches, &mut watcher_leaves] {
        conn.must("WATCH watched other")?;
    }
    until_counts(stage, &[("watching_clients", 2), ("total_blocking_keys", 3), ("total_watched_keys", 2)])?;

    let mut victim = stage.begin(LOOP)?;
    drop(leaves);
    drop(watcher_leaves);
    let told = stage.conn()?.line(&format!("CLIENT UNBLOCK {id}"))?;
    stage.write("CLIENT UNBLOCK", &told);
    stage.note_new("RPUSH queue x")?;
    // The time of one is up long before the script is ended.
    std::thread::sleep(Duration::from_millis(600));
    stage.end("SCRIPT KILL", &mut victim)?;

    stage.note_next(&mut times_out, "the one whose time was up")?;
    until_counts(stage, &[("blocked_clients", 2), ("total_blocking_keys", 1)])?;
    until_counts(stage, &[("watching_clients", 1), ("total_watched_keys", 2)])?;
    let answer = stage.conn()?.line(&format!("CLIENT UNBLOCK {id} ERROR"))?;
    ensure!(answer == Reply::Int(1), "CLIENT UNBLOCK: {}", show(&answer));
    stage.note_next(&mut unblocked, "the one that was unblocked")?;
    stage.note_new("RPUSH queue x y")?;
    stage.note_next(&mut stays, "the one that stayed")?;
    stage.note_new("LRANGE queue 0 -1")?;
    until_counts(stage, &[("blocked_clients", 0), ("total_blocking_keys", 0)])?;

    // A script that writes touches what is watched, and serves who waits, when it has ended.
    stage.note(&mut watches, "MULTI")?;
    stage.note(&mut watches, "PING")?;
    stays.send(&words("BLPOP fed 0"))?;
    until_counts(stage, &[("blocked_clients", 1)])?;
    let text = "redis.call('set', KEYS[1], 1) redis.call('rpush', KEYS[2], 'a', 'b') \
        local last = os.clock() + 0.5 while os.clock() < last do end return redis.call('llen', KEYS[2])";
    let mut victim = stage.begin(&format!("EVAL \"{text}\" 2 watched fed"))?;
    stage.note_next(&mut victim, "the script that feeds")?;
    stage.until_free()?;
    stage.note_next(&mut stays, "the one that was fed")?;
    stage.note(&mut watches, "EXEC")?;
    stage.note_new("LRANGE fed 0 -1")?;
    until_counts(stage, &[("blocked_clients", 0), ("total_blocking_keys", 0), ("watching_clients", 0)])?;

    // All at once: nobody is forgotten.
    let mut crowd = (0..50).map(|_| stage.conn()).collect::<Result<Vec<_>>>()?;
    for (i, conn) in crowd.iter_mut().enumerate() {
        conn.must(&format!("WATCH watched:{i} watched"))?;
        conn.send(&words(&format!("BLPOP one:{i} all 0")))?;
    }
    until_counts(stage, &[("blocked_clients", 50), ("watching_clients", 50), ("total_blocking_keys", 51)])?;
    let mut victim = stage.begin("FCALL endless 0")?;
    drop(crowd);
    stage.end("FUNCTION KILL", &mut victim)?;
    until_counts(stage, &[("blocked_clients", 0), ("watching_clients", 0)])?;
    until_counts(stage, &[("total_blocking_keys", 0), ("total_watched_keys", 0)])?;
    stage.note_new("RPUSH all x")?;
    stage.note_new("LLEN all")?;
    Ok(())
}

/// What a client has sent behind its script waits for it, and is then done in order.
pub(super) fn requests_behind(stage: &mut Stage) -> Result<()> {
    let lines =
        ["SET a 1", LOOP, "INCR a", "GET a", "MULTI", "INCR a", "EXEC", "FCALL endless 0", "APPEND a !", "GET a"];
    let mut victim = stage.conn()?;
    victim.send_all(&lines.map(words))?;
    stage.until_busy("the first script")?;
    // Of others, each request gets its answer, in order.
    let mut other = stage.conn()?;
    let told =
        other.pipeline(&["GET a", "MULTI", "DISCARD", "SET b 1", "UNWATCH", "SCRIPT KILL", "UNWATCH"].map(words))?;
    told.iter().for_each(|reply| stage.write("together", reply));
    // The reference keeps the replies of the first ones until the second script is over.
    stage.until_busy_with("FUNCTION")?;
    // What comes meanwhile waits as well.
    victim.send_all(&["INCR n", "INCR n"].map(words))?;
    stage.note_new("FUNCTION KILL")?;
    for line in lines.iter().chain(&["INCR n", "INCR n"]) {
        stage.note_next(&mut victim, line)?;
    }
    // More than a batch.
    let mut victim = stage.conn()?;
    victim.send(&words(LOOP))?;
    victim.send_all(&vec![words("INCR many"); 1000])?;
    stage.until_busy("the third script")?;
    victim.send_all(&vec![words("INCR many"); 1000])?;
    stage.end("SCRIPT KILL", &mut victim)?;
    for n in 1..=2000 {
        let reply = victim.read()?;
        ensure!(reply == Reply::Int(n), "request {n}: {}", show(&reply));
    }
    Ok(())
}

/// To a script, time stands still. Afterwards it goes on.
pub(super) fn expiry(stage: &mut Stage) -> Result<()> {
    let spin = "local last = os.clock() + 0.6 while os.clock() < last do end";
    stage.control.must("SET soon value PX 300")?;
    let mut victim = stage.begin(&format!(
        "EVAL \"local a = redis.call('get', KEYS[1]) {spin} return {{a, redis.call('get', KEYS[1])}}\" 1 soon"
    ))?;
    stage.note_next(&mut victim, "a key whose time comes meanwhile")?;
    stage.until_free()?;
    stage.note_new("GET soon")?;
    for i in 0..100 {
        stage.control.must(&format!("SET key:{i} value PX {}", 250 + i))?;
    }
    let mut victim = stage.begin(LOOP)?;
    std::thread::sleep(Duration::from_millis(300));
    stage.end("SCRIPT KILL", &mut victim)?;
    let control = &mut stage.control;
    poll(|| "keys do not expire".into(), || Ok(control.must("DBSIZE")? == Reply::Int(0)))?;
    stage.note_new("SET key value PX 50")?;
    let control = &mut stage.control;
    poll(|| "a key does not expire".into(), || Ok(control.must("DBSIZE")? == Reply::Int(0)))
}
