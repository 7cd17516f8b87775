//! A snapshot's file.

use crate::config::Config;
use crate::server::Server;

use kinovar_command::keyspace::snapshot::{LargeEntry, Sink};
use kinovar_command::keyspace::stream::Stream;
use kinovar_command::keyspace::{Db, Entry, Payload, access};
use kinovar_io::net::error_text;
use kinovar_rdb::encode::{Encoder, Options, Pieces, Usage};
use kinovar_rdb::file::{Facts, Writer};
use kinovar_rdb::wire;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes on their way to the file beyond which it is not given more where that can wait.
const BEHIND_BYTES: usize = 16 << 20;
/// The file is synced so often, bytes (`rdb-save-incremental-fsync`): not everything at its end.
const SYNC_BYTES: usize = 4 << 20;
/// The oldest version that is written. Older ones have no packed values, which would cost every reader more than it would help
/// the few that are so old.
pub const VERSION_MIN: u32 = 10;

/// Ok, or what the log is to say.
pub type Outcome = Result<(), String>;

/// What a snapshot is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The file that is loaded at the start.
    Save,
    /// The base of an append-only file.
    Rewrite,
}

/// Encodes entries and hands them to the thread that writes the file.
pub struct FileSink {
    options: Options,
    now_ms: u64,
    /// How usage is noted.
    usage: Usages,
    sender: Sender<Option<Vec<u8>>>,
    /// Partitions that are not done.
    left: AtomicUsize,
    shared: std::sync::Arc<Shared>,
    keys: AtomicU64,
    keys_total: u64,
}

/// What the thread shares with the sink.
#[derive(Default)]
struct Shared {
    /// Bytes handed over and not written.
    queued: AtomicUsize,
    /// It cannot be written: nothing more is needed.
    failed: AtomicBool,
}

#[derive(Clone, Copy)]
enum Usages {
    None,
    Idle,
    Freq,
}

/// How large a database is.
pub struct Size {
    keys: u64,
    expires: u64,
    field_expires: u64,
}

impl Size {
    /// Of database `number`; everything is locked.
    pub fn of(db: &Db<'_>, number: u32) -> Size {
        let (keys, expires, field_expires) = db.size_of(number);
        Size { keys: keys as u64, expires: expires as u64, field_expires: field_expires as u64 }
    }
}

thread_local! {
    /// Encoders have large tables, so each thread keeps one.
    static ENCODER: RefCell<Option<(Options, Encoder)>> = const { RefCell::new(None) };
}

impl FileSink {
    /// Makes the file and starts the thread that writes it.
    ///
    /// # Errors
    /// What the log is to say.
    pub fn begin(
        server: &'static Server,
        config: &Config,
        purpose: Purpose,
        sizes: Vec<Size>,
        now_ms: u64,
        foreground: bool,
    ) -> Result<FileSink, String> {
        let version = if sizes.iter().any(|size| size.field_expires > 0) {
            wire::VERSION
        } else if Stream::alive() > 0 {
            11
        } else {
            VERSION_MIN
        };
        let options = Options { compress: config.rdb_compression, version };
        let usage = match config.maxmemory_policy {
            policy if policy.is_lfu() => Usages::Freq,
            policy if policy.is_lru() => Usages::Idle,
            _ => Usages::None,
        };
        let dir = std::env::current_dir().unwrap_or_default();
        let (temp, target, sync) = match purpose {
            Purpose::Save => (
                PathBuf::from(format!("temp-{}.rdb", std::process::id())),
                Some(config.dbfilename.clone()),
                config.rdb_save_incremental_fsync,
            ),
            Purpose::Rewrite => (crate::journal::rewrite::temp_name(), None, config.aof_rewrite_incremental_fsync),
        };
        let file = File::create(&temp).map_err(|error| {
            format!(
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {}",
                temp.display(),
                dir.display(),
                error_text(&error)
            )
        })?;
        let keys_total = sizes.iter().map(|size| size.keys).sum();
        let libraries: Vec<Box<[u8]>> =
            server.scripting.libraries.shelf().libraries().map(|library| library.text.clone()).collect();
        let (sender, receiver) = channel();
        let shared = std::sync::Arc::new(Shared::default());
        let work = Work {
            file,
            temp,
            target,
            version,
            checksum: config.rdb_checksum,
            compress: config.rdb_compression,
            sync,
            facts: Facts {
                created_s: now_ms / 1000,
                used_memory: crate::memory::used(),
                aof_base: purpose == Purpose::Rewrite,
                ..Facts::default()
            },
            libraries,
            sizes,
            receiver,
            is_walked: false,
            shared: shared.clone(),
        };
        std::thread::Builder::new()
            .name("kinovar-save".into())
            .spawn(move || {
                if !foreground {
                    // Not worth refusing to save for: the file then merely competes with the reactors.
                    let _ = kinovar_io::process::lower_priority();
                }
                super::finished(server, work.run());
            })
            .map_err(|error| format!("Can't save in background: {error}"))?;
        Ok(FileSink {
            options,
            now_ms,
            usage,
            sender,
            left: AtomicUsize::new(0),
            shared,
            keys: AtomicU64::new(0),
            keys_total,
        })
    }

    /// So many partitions are going to be walked through; none has been yet.
    pub fn expect(&self, partitions: usize) {
        self.left.store(partitions, SeqCst);
        if partitions == 0 {
            self.end();
        }
    }

    /// Whether it should not be given more, where that can wait.
    pub fn is_behind(&self) -> bool {
        self.shared.queued.load(Relaxed) > BEHIND_BYTES
    }

    /// Keys written, and keys to be written.
    pub fn keys(&self) -> (u64, u64) {
        (self.keys.load(Relaxed), self.keys_total)
    }

    fn end(&self) {
        // The thread ends only after this.
        let _ = self.sender.send(None);
    }

    fn usage_of(&self, entry: &Entry) -> Usage {
        match (self.usage, entry.meta()) {
            (Usages::Idle, meta) => Usage::IdleS(access::idle_s(meta, self.now_ms)),
            (Usages::Freq, meta) => Usage::Freq((meta & 0xff) as u8),
            _ => Usage::None,
        }
    }
}

/// A large entry on its way to the file.
struct Large {
    options: Options,
    usage: Usage,
    pieces: Pieces,
    is_begun: bool,
    shared: std::sync::Arc<Shared>,
}

impl LargeEntry for Large {
    fn write(&mut self, entry: &Entry, bytes: usize, out: &mut Vec<u8>) -> bool {
        let Payload::Object(object) = entry.payload() else { return false };
        if self.shared.failed.load(Relaxed) {
            return false;
        }
        with_encoder(self.options, |encoder| {
            if !std::mem::replace(&mut self.is_begun, true) {
                encoder.record_head(entry, self.usage, out);
            }
            self.pieces.next(object, bytes, encoder, out)
        })
    }
}

/// Calls `f` with this thread's encoder.
fn with_encoder<R>(options: Options, f: impl FnOnce(&mut Encoder) -> R) -> R {
    ENCODER.with_borrow_mut(|encoder| match encoder {
        Some((theirs, encoder)) if *theirs == options => f(encoder),
        other => f(&mut other.insert((options, Encoder::new(options))).1),
    })
}

impl Sink for FileSink {
    fn begin_large(&self, entry: &Entry) -> Option<Box<dyn LargeEntry>> {
        let Payload::Object(object) = entry.payload() else { return None };
        if !kinovar_rdb::encode::is_large(object) {
            return None;
        }
        self.keys.store(self.keys.load(Relaxed) + 1, Relaxed);
        let (options, usage, shared) = (self.options, self.usage_of(entry), self.shared.clone());
        Some(Box::new(Large { options, usage, pieces: Pieces::default(), is_begun: false, shared }))
    }

    fn select(&self, db: u32, out: &mut Vec<u8>) {
        out.push(wire::opcode::SELECT_DB);
        wire::push_len(out, u64::from(db));
    }

    fn write(&self, entry: &Entry, out: &mut Vec<u8>) {
        if self.shared.failed.load(Relaxed) {
            return;
        }
        with_encoder(self.options, |encoder| encoder.record(entry, self.usage_of(entry), out));
        self.keys.store(self.keys.load(Relaxed) + 1, Relaxed);
    }

    fn take(&self, piece: Vec<u8>) {
        self.shared.queued.fetch_add(piece.len(), Relaxed);
        let _ = self.sender.send(Some(piece));
    }

    fn partition_done(&self) {
        if self.left.fetch_sub(1, SeqCst) == 1 {
            self.end();
        }
    }
}

/// What the thread has to do.
struct Work {
    file: File,
    temp: PathBuf,
    /// What it is called when it is complete; else somebody else sees to that.
    target: Option<PathBuf>,
    version: u32,
    checksum: bool,
    compress: bool,
    sync: bool,
    facts: Facts,
    libraries: Vec<Box<[u8]>>,
    sizes: Vec<Size>,
    receiver: Receiver<Option<Vec<u8>>>,
    /// All of them have come.
    is_walked: bool,
    shared: std::sync::Arc<Shared>,
}

impl Work {
    fn run(mut self) -> Outcome {
        let outcome = self.write().map_err(|error| {
            format!("Write error while saving DB to the disk({}): {}", self.temp.display(), error_text(&error))
        });
        if outcome.is_err() {
            self.shared.failed.store(true, Relaxed);
            // The walk goes on, so that it comes to its end, if it has not yet.
            while !self.is_walked {
                self.is_walked = !matches!(self.receiver.recv(), Ok(Some(_)));
            }
        }
        let outcome = outcome.and_then(|()| self.put_in_place());
        if outcome.is_err() {
            let _ = fs::remove_file(&self.temp);
        }
        outcome
    }

    fn write(&mut self) -> io::Result<()> {
        let file = Synced { file: &self.file, sync: self.sync, unsynced: 0 };
        let mut writer = Writer::new(file, self.version, self.checksum, self.compress);
        writer.facts(&self.facts)?;
        for text in &self.libraries {
            writer.function(text)?;
        }
        for (number, size) in self.sizes.iter().enumerate().filter(|(_, size)| size.keys > 0) {
            writer.select_db(number as u32)?;
            writer.resize_db(size.keys, size.expires)?;
        }
        while let Ok(Some(piece)) = self.receiver.recv() {
            let written = writer.bytes(&piece);
            self.shared.queued.fetch_sub(piece.len(), Relaxed);
            written?;
        }
        self.is_walked = true;
        writer.finish()?.file.sync_all()
    }

    fn put_in_place(&self) -> Outcome {
        let Some(target) = &self.target else { return Ok(()) };
        fs::rename(&self.temp, target).map_err(|error| {
            format!(
                "Error moving temp DB file {} on the final destination {} (in server root dir {}): {}",
                self.temp.display(),
                target.display(),
                std::env::current_dir().unwrap_or_default().display(),
                error_text(&error)
            )
        })?;
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What has no directory to be synced is in place nevertheless.
        if let Ok(dir) = File::open(dir) {
            let _ = dir.sync_all();
        }
        Ok(())
    }
}

/// A file that is synced as it grows.
struct Synced<'f> {
    file: &'f File,
    sync: bool,
    unsynced: usize,
}

impl Write for Synced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.sync && self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
