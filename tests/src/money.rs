//! Clients that move money between accounts in transactions: the sum is the same at every moment.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Result;

use crate::conn::Conn;
use crate::crash::numbers;
use crate::quote::words;
use crate::rng::Rng;
use crate::server::Server;

/// What each account has at first.
const BALANCE: i64 = 1000;
const CLIENTS: u64 = 4;

/// Accounts of a server.
pub struct Bank {
    /// How many there are.
    pub accounts: usize,
}

impl Bank {
    /// Opens the accounts, and adds so many times five hundred other keys, so that saving takes a while.
    pub fn open(&self, conn: &mut Conn, filler: usize) -> Result<()> {
        for account in 0..self.accounts {
            conn.must(&format!("SET account:{account} {BALANCE}"))?;
        }
        for number in 0..filler {
            let pairs: String = (0..500).map(|at| format!(" filler:{number}:{at} {}", "x".repeat(100))).collect();
            conn.must(&format!("MSET{pairs}"))?;
        }
        Ok(())
    }

    /// What all accounts have together.
    pub fn sum(&self) -> i64 {
        self.accounts as i64 * BALANCE
    }

    /// What each has.
    pub fn balances(&self, conn: &mut Conn) -> Result<Vec<i64>> {
        let keys: Vec<String> = (0..self.accounts).map(|account| format!("account:{account}")).collect();
        numbers(conn, &keys)
    }

    /// Does `work` while clients move money. How many transfers there were.
    pub fn while_moving(&self, server: &Server, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        let ended = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let client = |seed| scope.spawn(move || self.transfers(server, seed, ended));
            let clients: Vec<_> = (0..CLIENTS).map(client).collect();
            let outcome = work();
            ended.store(true, Relaxed);
            let moved: Result<Vec<u64>> = clients.into_iter().map(|client| client.join().expect("no panic")).collect();
            outcome?;
            Ok(moved?.iter().sum())
        })
    }

    fn transfers(&self, server: &Server, seed: u64, ended: &AtomicBool) -> Result<u64> {
        let mut conn = server.conn()?;
        let mut rng = Rng::new(seed);
        let mut count = 0;
        while !ended.load(Relaxed) {
            let (from, to, amount) = (rng.below(self.accounts), rng.below(self.accounts), rng.below(50));
            let lines = [
                "MULTI".into(),
                format!("DECRBY account:{from} {amount}"),
                format!("INCRBY account:{to} {amount}"),
                "EXEC".into(),
            ];
            conn.pipeline(&lines.map(|line: String| words(&line)))?;
            count += 1;
        }
        Ok(count)
    }
}
