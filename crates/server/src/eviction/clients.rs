//! Holding the memory of connections to `maxmemory-clients`: the largest ones are closed.

use super::Eviction;
use crate::clients::ClientInfo;
use crate::config::{ClientsMemory, Config};
use crate::message::Message;
use crate::server::Server;
use kinovar_io::clock;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError, TryLockError};

/// No limit is lower, bytes: nobody could talk to the server any more to correct it.
const LIMIT_MIN: u64 = 128 << 10;

/// How many bytes all connections together may take; `None` for any number.
pub fn limit(config: &Config) -> Option<u64> {
    limit_of(config.maxmemory_clients, config.maxmemory_bytes)
}

fn limit_of(share: ClientsMemory, maxmemory: u64) -> Option<u64> {
    let bytes = match share {
        ClientsMemory::Unlimited => return None,
        ClientsMemory::PercentOfMaxmemory(_) if maxmemory == 0 => return None,
        ClientsMemory::Bytes(bytes) => bytes,
        ClientsMemory::PercentOfMaxmemory(percent) => (u128::from(maxmemory) * u128::from(percent) / 100) as u64,
    };
    Some(bytes.max(LIMIT_MIN))
}

impl Eviction {
    /// A connection of reactor `reactor`, which is this thread, takes up `after` bytes instead of `before`.
    #[inline]
    pub fn count_client(&self, reactor: usize, before: u64, after: u64) {
        if before != after {
            let bytes = &self.clients_bytes[reactor];
            bytes.store(bytes.load(Relaxed).wrapping_add(after).wrapping_sub(before), Relaxed);
        }
    }

    /// What all connections take up, bytes.
    #[inline]
    pub fn clients_bytes(&self) -> u64 {
        self.clients_bytes.iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    fn count_evicted_client(&self) {
        self.evicted_clients.fetch_add(1, Relaxed);
    }
}

/// Closes the largest connections until the others take up no more than `limit` bytes. To be called when they seem to.
#[cold]
pub fn evict(server: &Server, limit: u64) {
    /// One reactor does so at a time: another one would see what this one has not closed yet.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = match TURN.try_lock() {
        Err(TryLockError::WouldBlock) => return,
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => PoisonError::into_inner(turn),
    };
    let is_staying = |client: &Arc<ClientInfo>| !client.evicted.load(Relaxed) && !client.gone.load(Relaxed);
    let mut clients: Vec<(u64, Arc<ClientInfo>)> = server
        .clients
        .all()
        .into_iter()
        .filter(is_staying)
        .map(|client| (client.memory_bytes() as u64, client))
        .collect();
    let mut total: u64 = clients.iter().map(|(bytes, _)| bytes).sum();
    clients.retain(|(_, client)| !client.no_evict.load(Relaxed));
    // The largest first; among those of a size the one that has come last stays.
    clients.sort_by_key(|(bytes, client)| (std::cmp::Reverse(*bytes), client.id));
    for (bytes, client) in clients {
        if total <= limit {
            break;
        }
        total -= bytes;
        client.evicted.store(true, Relaxed);
        server.eviction.count_evicted_client();
        let mut line = Vec::new();
        crate::commands::client::describe(&server.registry, clock::unix_ms(), &client, 0, &mut line);
        crate::log::notice(&format!("Evicting client: {}", String::from_utf8_lossy(line.trim_ascii_end())));
        let message = Message::Kill { conn: client.conn.load(Relaxed), client: client.id };
        server.mailbox(client.reactor).send(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bytes_or_a_share_of_maxmemory() {
        const MIB: u64 = 1 << 20;
        assert_eq!(limit_of(ClientsMemory::Unlimited, MIB), None);
        assert_eq!(limit_of(ClientsMemory::Bytes(MIB), 0), Some(MIB));
        assert_eq!(limit_of(ClientsMemory::Bytes(1), 0), Some(LIMIT_MIN));
        assert_eq!(limit_of(ClientsMemory::PercentOfMaxmemory(5), 0), None);
        assert_eq!(limit_of(ClientsMemory::PercentOfMaxmemory(5), 100 * MIB), Some(5 * MIB));
        assert_eq!(limit_of(ClientsMemory::PercentOfMaxmemory(5), 1000), Some(LIMIT_MIN));
    }

    #[test]
    fn what_connections_take_up_is_summed() {
        let eviction = Eviction::new(2);
        eviction.count_client(0, 0, 1000);
        eviction.count_client(1, 0, 500);
        eviction.count_client(0, 1000, 200);
        assert_eq!(eviction.clients_bytes(), 700);
        eviction.count_client(1, 500, 0);
        assert_eq!(eviction.clients_bytes(), 200);
    }
}
