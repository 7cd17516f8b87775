//! What random commands bring about for others: keyspace events, or invalidations of what the client has read. A listener on
//! each side, and what each command had it hear.

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

/// What is listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// Keyspace events.
    Events,
    /// Which keys the client has read that have changed since.
    Invalidations,
}

impl Events {
    /// Listens to what the commands of `conn` bring about, if anything is to be heard.
    pub fn listen(pair: &Pair, conn: &mut PairConn, heard: Heard) -> Result<Option<Events>> {
        if heard == Heard::Nothing {
            return Ok(None);
        }
        let mut ears = pair.conn()?;
        ears.hello(3)?;
        ears.call(&words(&format!("PSUBSCRIBE {MARK}")))?;
        if heard == Heard::Events {
            ears.must("CONFIG SET notify-keyspace-events KEAnocm")?;
            ears.call(&words("PSUBSCRIBE __key*"))?;
        } else {
            for (conn, ears) in [(&mut conn.subject, &mut ears.subject), (&mut conn.oracle, &mut ears.oracle)] {
                let id = ears.line("CLIENT ID")?.int().context("no number")?;
                conn.must(&format!("CLIENT TRACKING ON REDIRECT {id}"))?;
            }
        }
        Ok(Some(Events(ears)))
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
    let name = command.args[0].to_ascii_lowercase();
    // Keys that give way when memory is short do so in an order of each server's own.
    if name.starts_with(b"sort") || name == b"config" { Rule::Unordered } else { Rule::Exact }
}

/// `channel message` of each message, or the keys of an invalidation, up to the mark.
fn until_mark(conn: &mut crate::conn::Conn) -> Result<Reply> {
    let mut events = Vec::new();
    loop {
        let message = conn.read()?;
        let (pattern, channel, text) = match message.items() {
            Some([_, pattern, channel, text]) => (pattern, channel, text),
            Some([word, keys]) if word.text() == "invalidate" => {
                events.push(keys.clone());
                continue;
            }
            _ => bail!("no message: {message:?}"),
        };
        if pattern.text() == MARK {
            return Ok(Reply::Array(events));
        }
        let (channel, text) = (channel.bytes().unwrap_or_default(), text.bytes().unwrap_or_default());
        events.push(Reply::Bulk([channel, text].join(&b' ')));
    }
}
