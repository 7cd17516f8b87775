//! The two servers of a differential run and one connection to each, driven in step.

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::control::{self, Ids};
use crate::quote::{join, words};
use crate::resp::Reply;
use crate::server::{Program, Server};
use crate::show::show;

/// Which programs stand on the two sides.
#[derive(Clone, Debug)]
pub struct Sides {
    /// The server under test.
    pub subject: Program,
    /// The reference.
    pub oracle: Program,
}

/// Both servers, running.
pub struct Pair {
    /// The server under test.
    pub subject: Server,
    /// The reference.
    pub oracle: Server,
}

impl Sides {
    /// Starts both with the same extra arguments.
    pub fn start(&self, extra: &[&str]) -> Result<Pair> {
        Ok(Pair { subject: self.subject.start(extra)?, oracle: self.oracle.start(extra)? })
    }
}

impl Pair {
    /// A connection to each.
    pub fn conn(&self) -> Result<PairConn> {
        Ok(PairConn { subject: self.subject.conn()?, oracle: self.oracle.conn()?, ids: None })
    }

    /// True while both processes run.
    pub fn alive(&mut self) -> bool {
        self.subject.alive() && self.oracle.alive()
    }
}

/// One connection to each side.
pub struct PairConn {
    /// To the server under test.
    pub subject: Conn,
    /// To the reference.
    pub oracle: Conn,
    ids: Option<Ids>,
}

/// The replies of both sides to one command.
#[derive(Clone, Debug)]
pub struct Replies {
    /// Of the server under test.
    pub subject: Reply,
    /// Of the reference.
    pub oracle: Reply,
}

impl PairConn {
    /// The same command to both. The subject is asked first, so that a hang is blamed on the right side.
    pub fn call(&mut self, args: &[Vec<u8>]) -> Result<Replies> {
        self.subject.send(args)?;
        self.oracle.send(args)?;
        self.read().with_context(|| format!("reply to {}", join(args)))
    }

    /// Asks both servers for the client's id, which they cannot tell while it is blocked.
    pub fn learn_ids(&mut self) -> Result<Ids> {
        let subject = control::client_id(&mut self.subject).context("subject")?;
        let oracle = control::client_id(&mut self.oracle).context("oracle")?;
        self.ids = Some(Ids { subject, oracle });
        self.known_ids()
    }

    /// What [`PairConn::learn_ids`] found.
    pub fn known_ids(&self) -> Result<Ids> {
        self.ids.context("nobody asked for the id of this connection")
    }

    /// The next reply of both.
    pub fn read(&mut self) -> Result<Replies> {
        let subject = self.subject.read().context("subject")?;
        let oracle = self.oracle.read().context("oracle")?;
        Ok(Replies { subject, oracle })
    }

    /// A command that must succeed on both.
    pub fn must(&mut self, line: &str) -> Result<()> {
        self.subject.must(line).context("subject")?;
        self.oracle.must(line).context("oracle")?;
        Ok(())
    }

    /// A command that both must answer alike.
    pub fn agree(&mut self, line: &str) -> Result<()> {
        let Replies { subject, oracle } = self.call(&words(line))?;
        ensure!(subject == oracle, "{line}: {} here, {} there", show(&subject), show(&oracle));
        Ok(())
    }

    /// A batch to both, replies pairwise.
    pub fn pipeline(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Replies>> {
        let subject = self.subject.pipeline(commands).context("subject")?;
        let oracle = self.oracle.pipeline(commands).context("oracle")?;
        Ok(subject.into_iter().zip(oracle).map(|(subject, oracle)| Replies { subject, oracle }).collect())
    }

    /// Changes how long a reply of either may take.
    pub fn set_timeout(&self, limit: std::time::Duration) -> Result<()> {
        self.subject.set_timeout(limit)?;
        self.oracle.set_timeout(limit)
    }

    /// Switches both to RESP `version`.
    pub fn hello(&mut self, version: u8) -> Result<()> {
        self.subject.call(&words(&format!("HELLO {version}"))).context("subject")?;
        self.oracle.hello(version).context("oracle")
    }
}
