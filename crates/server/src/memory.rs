//! What memory is used for, from the allocator's statistics.

use crate::server::Server;
use kinovar_command::Db;
use std::sync::atomic::Ordering::Relaxed;
use tikv_jemalloc_ctl::{epoch, stats};

/// The allocator's figures, bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    /// Asked for by the program, rounded up to size classes.
    pub allocated: u64,
    /// In pages that hold something.
    pub active: u64,
    /// In physical memory.
    pub resident: u64,
    /// Mapped.
    pub mapped: u64,
    /// Kept for later.
    pub retained: u64,
    /// The allocator's own.
    pub metadata: u64,
}

/// The figures as of now.
pub fn figures() -> Figures {
    // The statistics are a copy that is refreshed on demand.
    let _ = epoch::advance();
    let read = |value: Result<usize, tikv_jemalloc_ctl::Error>| value.unwrap_or(0) as u64;
    Figures {
        allocated: read(stats::allocated::read()),
        active: read(stats::active::read()),
        resident: read(stats::resident::read()),
        mapped: read(stats::mapped::read()),
        retained: read(stats::retained::read()),
        metadata: read(stats::metadata::read()),
    }
}

/// Bytes in use.
pub fn used() -> u64 {
    figures().allocated
}

/// Has the allocator give unused pages back by itself, from a thread of its own (`jemalloc-bg-thread`). Without it pages go
/// back only while memory is being allocated and freed, so an idle server would keep them.
pub fn purge_in_background(on: bool) {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(on) {
        crate::log::warning(&format!("The allocator's background thread can't be switched: {error}"));
    }
}

/// Gives unused pages back to the operating system.
pub fn purge() {
    let _ = kinovar_io::allocator::purge();
}

/// Memory in use, by purpose, bytes.
pub struct Usage {
    /// The allocator's figures.
    pub figures: Figures,
    /// In use.
    pub used: u64,
    /// In physical memory.
    pub rss: u64,
    /// Most ever in use.
    pub peak: u64,
    /// When that was, Unix seconds.
    pub peak_at_s: u64,
    /// In use right after the start.
    pub startup: u64,
    /// Buffers of connections.
    pub clients: u64,
    /// Everything but data.
    pub overhead: u64,
    /// Data.
    pub dataset: u64,
    /// Tables of keys, per database that has keys.
    pub tables: Vec<TableUsage>,
}

/// A database's tables.
#[derive(Clone, Copy)]
pub struct TableUsage {
    /// The database.
    pub index: u32,
    /// Its keys.
    pub keys: usize,
    /// Bytes of its tables of keys.
    pub bytes: u64,
    /// Bytes of its index of expiries.
    pub expires_bytes: u64,
    /// Tables that are growing or shrinking.
    pub migrating: u64,
    /// What they take up that goes when they are done, bytes.
    pub migrating_bytes: u64,
}

impl Usage {
    /// As of now.
    pub fn of(server: &Server, db: &Db<'_>) -> Usage {
        let figures = figures();
        let used = figures.allocated;
        let before = server.peak_memory.fetch_max(used, Relaxed);
        if used > before {
            server.peak_memory_at_s.store(kinovar_io::clock::unix_ms() / 1000, Relaxed);
        }
        let startup = server.startup_memory.load(Relaxed);
        let clients: usize = server.clients.all().iter().map(|client| client.memory_bytes()).sum();
        let tables = table_usage(db);
        let table_bytes: u64 = tables.iter().map(|table| table.bytes + table.expires_bytes).sum();
        let overhead = startup + clients as u64 + table_bytes;
        Usage {
            figures,
            used,
            rss: kinovar_io::process::resident_bytes().unwrap_or(0),
            peak: before.max(used),
            peak_at_s: server.peak_memory_at_s.load(Relaxed),
            startup,
            clients: clients as u64,
            overhead,
            dataset: used.saturating_sub(overhead),
            tables,
        }
    }

    /// Data, as a percentage of what is in use beyond the start.
    pub fn dataset_percentage(&self) -> f64 {
        let net = self.used.saturating_sub(self.startup);
        if net == 0 { 0.0 } else { self.dataset as f64 * 100.0 / net as f64 }
    }
}

fn table_usage(db: &Db<'_>) -> Vec<TableUsage> {
    /// Bytes per item of an ordered index, nodes being three quarters full.
    const INDEX_ITEM: u64 = 24;
    let keyspace = db.keyspace();
    let mut tables = Vec::new();
    for index in 0..keyspace.databases() {
        let mut usage = TableUsage { index, keys: 0, bytes: 0, expires_bytes: 0, migrating: 0, migrating_bytes: 0 };
        for partition in 0..keyspace.partitions() {
            db.look(partition, |partition| {
                let Some(db) = partition.db(index) else { return };
                usage.keys += db.len();
                usage.bytes += db.table().memory_bytes() as u64;
                usage.expires_bytes += (db.expires_len() + db.field_expires_len()) as u64 * INDEX_ITEM;
                usage.migrating += u64::from(db.table().is_migrating());
                usage.migrating_bytes += db.table().migrating_bytes() as u64;
            });
        }
        if usage.keys > 0 {
            tables.push(usage);
        }
    }
    tables
}

/// The allocator's own report.
pub fn allocator_report() -> String {
    let mut report = Vec::new();
    let _ = tikv_jemalloc_ctl::stats_print::stats_print(&mut report, Default::default());
    String::from_utf8_lossy(&report).into_owned()
}
