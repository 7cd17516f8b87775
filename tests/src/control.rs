//! Looking at clients from the side: who is blocked, who is gone. Whatever a suite waits for, it polls here and never
//! sleeps in the hope that a moment was long enough.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::conn::Conn;
use crate::pair::{Pair, PairConn};
use crate::resp::Reply;
use crate::show::show;

/// How long a condition may take to come true.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_STEP: Duration = Duration::from_micros(200);

/// Calls `done` until it says so; past the deadline the text of `what` is the error.
pub fn poll(what: impl Fn() -> String, done: impl FnMut() -> Result<bool>) -> Result<()> {
    poll_for(POLL_TIMEOUT, what, done)
}

/// [`poll`] with a deadline of its own.
pub fn poll_for(limit: Duration, what: impl Fn() -> String, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !done()? {
        ensure!(Instant::now() < deadline, "{}", what());
        std::thread::sleep(POLL_STEP);
    }
    Ok(())
}

/// The line of CLIENT LIST of one client, if there is such a client.
pub fn client_line(control: &mut Conn, id: i64) -> Result<Option<String>> {
    let text = control.must(&format!("CLIENT LIST ID {id}"))?.text();
    Ok(text.lines().find(|line| !line.is_empty()).map(str::to_string))
}

/// A field of a line of CLIENT LIST.
pub fn client_field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

/// True while the client waits in a blocking command, or because of CLIENT PAUSE.
pub fn is_blocked(control: &mut Conn, id: i64) -> Result<bool> {
    let line = client_line(control, id)?;
    Ok(line.is_some_and(|line| client_field(&line, "flags").is_some_and(|flags| flags.contains('b'))))
}

/// A number that INFO shows.
pub fn info(control: &mut Conn, section: &str, name: &str) -> Result<i64> {
    let text = control.must(&format!("INFO {section}"))?.text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.with_context(|| format!("INFO {section} has no {name}"))?.trim().parse().context(format!("{name} in INFO"))
}

/// The id a connection has on its server.
pub fn client_id(conn: &mut Conn) -> Result<i64> {
    let reply = conn.must("CLIENT ID")?;
    reply.int().with_context(|| format!("CLIENT ID answers {}", show(&reply)))
}

/// What became of a command that ought to block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client waits.
    Blocked,
    /// It got this instead.
    Answered(Reply),
}

/// Waits until a client that has just sent a command is blocked or has its reply.
pub fn outcome(control: &mut Conn, conn: &mut Conn, id: i64) -> Result<Outcome> {
    let deadline = Instant::now() + POLL_TIMEOUT;
    loop {
        if let Some(reply) = conn.try_read()? {
            return Ok(Outcome::Answered(reply));
        }
        if is_blocked(control, id)? {
            return Ok(Outcome::Blocked);
        }
        if Instant::now() > deadline {
            bail!("the client is neither blocked nor answered");
        }
        std::thread::sleep(POLL_STEP);
    }
}

/// A connection to each server that no script knows of.
pub struct Control {
    conn: PairConn,
}

impl Control {
    /// Opens it.
    pub fn open(pair: &Pair) -> Result<Control> {
        Ok(Control { conn: pair.conn()? })
    }

    /// Waits until the command under way on `conn` has blocked or was answered, on each side.
    pub fn outcomes(&mut self, conn: &mut PairConn) -> Result<[Outcome; 2]> {
        let ids = conn.known_ids()?;
        let oracle = outcome(&mut self.conn.oracle, &mut conn.oracle, ids.oracle).context("oracle")?;
        let subject = outcome(&mut self.conn.subject, &mut conn.subject, ids.subject).context("subject")?;
        Ok([subject, oracle])
    }

    /// True while both servers show the client as blocked and nothing has come for it.
    pub fn still_blocked(&mut self, conn: &mut PairConn) -> Result<[Outcome; 2]> {
        let ids = conn.known_ids()?;
        let look = |control: &mut Conn, conn: &mut Conn, id: i64| {
            let blocked = is_blocked(control, id)?;
            Ok::<_, anyhow::Error>(match conn.try_read()? {
                Some(reply) => Outcome::Answered(reply),
                None if blocked => Outcome::Blocked,
                // The reply is on its way.
                None => Outcome::Answered(conn.read()?),
            })
        };
        Ok([
            look(&mut self.conn.subject, &mut conn.subject, ids.subject).context("subject")?,
            look(&mut self.conn.oracle, &mut conn.oracle, ids.oracle).context("oracle")?,
        ])
    }

    /// Waits until both servers have noticed that the client with these ids is gone.
    pub fn wait_gone(&mut self, ids: Ids) -> Result<()> {
        let conn = &mut self.conn;
        poll(
            || "the client does not go away".into(),
            || {
                let subject = client_line(&mut conn.subject, ids.subject)?.is_none();
                Ok(subject && client_line(&mut conn.oracle, ids.oracle)?.is_none())
            },
        )
    }

    /// Waits until INFO shows this many blocked clients on both sides.
    pub fn wait_blocked_clients(&mut self, count: i64) -> Result<()> {
        let conn = &mut self.conn;
        let seen = std::cell::Cell::new((0, 0));
        poll(
            || format!("blocked clients (subject, oracle): {:?}, not {count}", seen.get()),
            || {
                let subject = info(&mut conn.subject, "clients", "blocked_clients")?;
                let oracle = info(&mut conn.oracle, "clients", "blocked_clients")?;
                seen.set((subject, oracle));
                Ok(subject == count && oracle == count)
            },
        )
    }
}

/// What each server calls one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The server under test.
    pub subject: i64,
    /// The reference.
    pub oracle: i64,
}
