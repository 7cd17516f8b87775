//! A client that may lose its connection at any moment, and those who take it away.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::conn::Conn;
use crate::control::client_id;
use crate::resp::Reply;
use crate::rng::Rng;

/// How long a reply may take. Commands wait for half a second at most, or until they are released.
const REPLY_LIMIT: Duration = Duration::from_secs(15);

/// What all clients share.
pub struct World {
    port: u16,
    stop: AtomicBool,
    /// The server's ids of those who have a connection, by slot.
    ids: Mutex<BTreeMap<usize, i64>>,
    kills: AtomicUsize,
    unblocked: AtomicUsize,
}

impl World {
    /// A world around a server.
    pub fn new(port: u16) -> World {
        let (kills, unblocked) = (AtomicUsize::new(0), AtomicUsize::new(0));
        World { port, stop: AtomicBool::new(false), ids: Mutex::default(), kills, unblocked }
    }

    /// True until [`World::stop`].
    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    /// Asks everybody to come to an end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// A connection on which a late reply is an error.
    pub fn connect(&self) -> Result<Conn> {
        let conn = Conn::open(self.port)?;
        conn.set_timeout(REPLY_LIMIT)?;
        Ok(conn)
    }

    /// The ids of all who are connected.
    pub fn ids(&self) -> Vec<i64> {
        self.ids.lock().expect("nobody panics with the lock held").values().copied().collect()
    }

    /// Connections that CLIENT KILL has ended.
    pub fn kills(&self) -> usize {
        self.kills.load(Ordering::Relaxed)
    }

    /// Clients that CLIENT UNBLOCK has released while the world went on.
    pub fn unblocked(&self) -> usize {
        self.unblocked.load(Ordering::Relaxed)
    }
}

/// One client; its connection is replaced whenever it is gone.
pub struct Client<'a> {
    world: &'a World,
    slot: usize,
    conn: Option<Conn>,
    /// What it draws.
    pub rng: Rng,
}

impl<'a> Client<'a> {
    /// A client without a connection yet.
    pub fn new(world: &'a World, slot: usize, rng: Rng) -> Client<'a> {
        Client { world, slot, conn: None, rng }
    }

    /// True until the world stops.
    pub fn goes_on(&self) -> bool {
        self.world.goes_on()
    }

    /// What it shares with all others.
    pub fn world(&self) -> &'a World {
        self.world
    }

    /// The number that no other client has.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Does something with the connection. Nothing comes back when the connection was lost meanwhile: what was asked for
    /// may then have happened or not. A reply that does not come in time is an error.
    pub fn attempt<T>(&mut self, work: impl FnOnce(&mut Conn, &mut Rng) -> Result<T>) -> Result<Option<T>> {
        if self.conn.is_none() {
            let mut conn = self.world.connect()?;
            let id = client_id(&mut conn)?;
            self.world.ids.lock().expect("nobody panics with the lock held").insert(self.slot, id);
            self.conn = Some(conn);
        }
        let conn = self.conn.as_mut().context("the connection was opened above")?;
        match work(conn, &mut self.rng) {
            Ok(done) => Ok(Some(done)),
            Err(error) if was_lost(&error) => {
                self.vanish();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// [`Client::attempt`] of one command.
    pub fn line(&mut self, line: &str) -> Result<Option<Reply>> {
        self.attempt(|conn, _| conn.line(line))
    }

    /// Closes the connection, whatever is under way on it.
    pub fn vanish(&mut self) {
        self.world.ids.lock().expect("nobody panics with the lock held").remove(&self.slot);
        self.conn = None;
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.vanish();
    }
}

/// True for what a connection that was killed looks like from this end.
fn was_lost(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
        Some(_) => true,
        None => error.chain().any(|cause| cause.to_string() == "the server closed the connection"),
    }
}

/// Kills and unblocks clients at random until the world stops.
pub fn killer(world: &World, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed ^ 0x6b69_6c6c);
    let mut conn = world.connect()?;
    while world.goes_on() {
        let ids = world.ids();
        if !ids.is_empty() {
            let id = rng.pick(&ids);
            let (line, count) = match rng.below(10) {
                0..3 => (format!("CLIENT KILL ID {id}"), &world.kills),
                3..6 => (format!("CLIENT UNBLOCK {id} ERROR"), &world.unblocked),
                _ => (format!("CLIENT UNBLOCK {id}"), &world.unblocked),
            };
            match conn.line(&line)? {
                Reply::Int(n) => _ = count.fetch_add(n as usize, Ordering::Relaxed),
                other => bail!("{line}: {}", crate::show::show(&other)),
            }
        }
        thread::sleep(Duration::from_micros(rng.below(10_000) as u64));
    }
    Ok(())
}
