//! `MONITOR`: every command, as text, to those who asked.

use crate::clients::ClientInfo;
use crate::message::Message;
use crate::server::Server;
use kinovar_command::Args;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections in `MONITOR` mode.
#[derive(Default)]
pub struct Monitors {
    list: Mutex<Vec<Arc<ClientInfo>>>,
    count: AtomicUsize,
}

impl Monitors {
    /// Whether anybody watches. One relaxed load: asked for every command.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Number of watchers.
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a connection.
    pub fn insert(&self, client: Arc<ClientInfo>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.iter().any(|other| other.id == client.id) {
            client.monitor.store(true, Relaxed);
            list.push(client);
        }
        self.count.store(list.len(), Relaxed);
    }

    /// Removes a connection.
    pub fn remove(&self, id: u64) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|client| {
            client.monitor.store(client.id != id, Relaxed);
            client.id != id
        });
        self.count.store(list.len(), Relaxed);
    }
}

impl Server {
    /// Shows a command to those who watch.
    #[cold]
    pub fn feed_monitors(&self, client: &ClientInfo, db: u32, args: &Args<'_>) {
        let from =
            if client.is_unix { format!("unix:{}", client.addr.trim_end_matches(":0")) } else { client.addr.clone() };
        self.feed_monitors_from(&from, db, args);
    }

    /// The same for a command that no client has sent.
    pub fn feed_monitors_from(&self, from: &str, db: u32, args: &Args<'_>) {
        let words = match self.registry.resolve(args) {
            Ok(entry) => entry.command.shown(args),
            Err(_) => (0..args.argc()).map(|index| args.at(index)).collect(),
        };
        let line = line(from, db, &words);
        for monitor in self.monitors.list.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.mailbox(monitor.reactor).send(Message::Deliver {
                conn: monitor.conn.load(Relaxed),
                client: monitor.id,
                bytes: line.clone(),
            });
        }
    }
}

/// `+1700000000.000000 [0 127.0.0.1:1234] "set" "a" "1"`
fn line(from: &str, db: u32, words: &[&[u8]]) -> Vec<u8> {
    let now_us = kinovar_io::clock::unix_us();
    let mut line = format!("+{}.{:06} [{db} {from}]", now_us / 1_000_000, now_us % 1_000_000).into_bytes();
    for word in words {
        line.push(b' ');
        quote(word, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Appends bytes in double quotes, escaped so that they are printable ASCII on one line.
pub fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_reversible() {
        let all: Vec<u8> = (0..=255).collect();
        let mut quoted = Vec::new();
        quote(&all, &mut quoted);
        assert!(quoted.iter().all(|byte| (0x20..=0x7e).contains(byte)));
        let mut back = Vec::new();
        kinovar_resp::parser::next_word(&quoted, &mut back).unwrap();
        assert_eq!(back, all);
    }
}
