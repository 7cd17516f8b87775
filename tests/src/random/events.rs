//! Keyspace events of random commands: a listener on each side, and which events each command had.

use anyhow::{Context, Result, bail};

use super::Command;
use crate::compare::Rule;
use crate::pair::{Pair, PairConn, Replies};
use crate::quote::words;
use crate::resp::Reply;

/// Published after each command, so that its events can be told from those of the next.
const MARK: &str = "mark";

/// A listener on each side.
pub struct Events(PairConn);

impl Events {
    /// Turns events of all classes on and listens to them.
    pub fn listen(pair: &Pair) -> Result<Events> {
        let mut conn = pair.conn()?;
        conn.must("CONFIG SET notify-keyspace-events KEAnocm")?;
        conn.hello(3)?;
        for pattern in ["__key*", MARK] {
            conn.call(&words(&format!("PSUBSCRIBE {pattern}")))?;
        }
        Ok(Events(conn))
    }

    /// What is to be sent after each command.
    pub fn mark() -> Vec<Vec<u8>> {
        words(&format!("PUBLISH {MARK} x"))
    }

    /// The events of so many commands, each followed by a mark.
    pub fn read(&mut self, commands: &[Command]) -> Result<Vec<Replies>> {
        let mut read = |side: fn(&mut PairConn) -> &mut crate::conn::Conn| -> Result<Vec<Reply>> {
            commands.iter().map(|_| until_mark(side(&mut self.0))).collect()
        };
        let subject = read(|conn| &mut conn.subject).context("events of the subject")?;
        let oracle = read(|conn| &mut conn.oracle).context("events of the oracle")?;
        Ok(subject.into_iter().zip(oracle).map(|(subject, oracle)| Replies { subject, oracle }).collect())
    }
}

/// How the events of a command are compared: sorting looks up keys in the order of a set that has none.
pub fn rule(command: &Command) -> Rule {
    let sorts = command.args[0].to_ascii_lowercase().starts_with(b"sort");
    if sorts { Rule::Unordered } else { Rule::Exact }
}

/// `channel message` of each message up to the mark.
fn until_mark(conn: &mut crate::conn::Conn) -> Result<Reply> {
    let mut events = Vec::new();
    loop {
        let message = conn.read()?;
        let Some([_, pattern, channel, text]) = message.items() else { bail!("no message: {message:?}") };
        if pattern.text() == MARK {
            return Ok(Reply::Array(events));
        }
        let (channel, text) = (channel.bytes().unwrap_or_default(), text.bytes().unwrap_or_default());
        events.push(Reply::Bulk([channel, text].join(&b' ')));
    }
}
