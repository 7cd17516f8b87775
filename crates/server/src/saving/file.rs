//! A snapshot's file.

use crate::config::Config;
use crate::server::Server;

use kinovar_command::keyspace::snapshot::{LargeEntry, Sink};
use kinovar_command::keyspace::stream;
use kinovar_command::keyspace::{Db, Entry, Payload, access};
use kinovar_commands::rebuild;
use kinovar_io::net::error_text;
use kinovar_rdb::encode::{Encoder, Options, Pieces, Usage};
use kinovar_rdb::file::{Facts, Writer};
use kinovar_rdb::wire;
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes on their way to the file beyond which it is not given more where that can wait.
const BEHIND_BYTES: usize = 16 << 20;
/// The file is synced so often, bytes (`rdb-save-incremental-fsync`): not everything at its end.
const SYNC_BYTES: usize = 4 << 20;
/// What is collected of commands before it is written.
const BUFFER_BYTES: usize = 64 << 10;
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
    Rewrite(Base),
}

/// What the base of an append-only file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// A snapshot.
    Rdb,
    /// Commands.
    Commands,
}

impl Base {
    /// The one that the configuration asks for.
    pub fn of(config: &Config) -> Base {
        if config.aof_use_rdb_preamble { Base::Rdb } else { Base::Commands }
    }
}

/// How entries are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Rdb(Options),
    Commands,
}

/// Encodes entries and hands them to the thread that writes the file.
pub struct FileSink {
    form: Form,
    now_ms: u64,
    /// How usage is noted.
    usage: Usages,
    sender: Sender<Option<Vec<Vec<u8>>>>,
    /// Partitions that are not done.
    left: AtomicUsize,
    shared: std::sync::Arc<Shared>,
    /// Keys handed over.
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
    /// A sink, and what a thread has to do for it. Everything is locked, so nothing is done yet that could take long.
    pub fn new(
        server: &'static Server,
        config: &Config,
        purpose: Purpose,
        sizes: Vec<Size>,
        now_ms: u64,
    ) -> (FileSink, Work) {
        let version = if sizes.iter().any(|size| size.field_expires > 0) {
            wire::VERSION
        } else if stream::consumers_apart() > 0 {
            11
        } else {
            VERSION_MIN
        };
        let form = match purpose {
            Purpose::Rewrite(Base::Commands) => Form::Commands,
            Purpose::Save | Purpose::Rewrite(Base::Rdb) => {
                Form::Rdb(Options { compress: config.rdb_compression, version })
            }
        };
        let usage = match config.maxmemory_policy {
            policy if policy.is_lfu() => Usages::Freq,
            policy if policy.is_lru() => Usages::Idle,
            _ => Usages::None,
        };
        let (temp, target, sync) = match purpose {
            Purpose::Save => (
                PathBuf::from(format!("temp-{}.rdb", std::process::id())),
                Some(config.dbfilename.clone()),
                config.rdb_save_incremental_fsync,
            ),
            Purpose::Rewrite(_) => (crate::journal::rewrite::temp_name(), None, config.aof_rewrite_incremental_fsync),
        };
        let keys_total = sizes.iter().map(|size| size.keys).sum();
        let libraries: Vec<Box<[u8]>> =
            server.scripting.libraries.shelf().libraries().map(|library| library.text.clone()).collect();
        let (sender, receiver) = channel();
        let shared = std::sync::Arc::new(Shared::default());
        let work = Work {
            temp,
            target,
            purpose,
            form,
            checksum: config.rdb_checksum,
            annotates: config.aof_timestamp_enabled,
            sync,
            facts: Facts {
                created_s: now_ms / 1000,
                used_memory: crate::memory::used(),
                aof_base: purpose != Purpose::Save,
                ..Facts::default()
            },
            libraries,
            sizes,
            receiver,
            is_walked: Cell::new(false),
            shared: shared.clone(),
        };
        let (keys, left) = (AtomicU64::new(0), AtomicUsize::new(0));
        (FileSink { form, now_ms, usage, sender, left, shared, keys, keys_total }, work)
    }

    /// So many partitions are going to be walked through; none has been yet.
    pub fn expect(&self, partitions: usize) {
        self.left.store(partitions, SeqCst);
        if partitions == 0 {
            self.end();
        }
    }

    /// Nobody will write the file: nothing more is needed.
    pub fn give_up(&self) {
        self.shared.failed.store(true, Relaxed);
    }

    /// Whether all partitions have been walked through.
    pub fn is_over(&self) -> bool {
        self.left.load(SeqCst) == 0
    }

    /// Whether it should not be given more, where that can wait.
    pub fn is_behind(&self) -> bool {
        self.shared.queued.load(Relaxed) > BEHIND_BYTES
    }

    /// Keys handed over to be written, and how many there are in all.
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
    pieces: LargePieces,
    shared: std::sync::Arc<Shared>,
}

enum LargePieces {
    Rdb { options: Options, usage: Usage, pieces: Pieces, is_begun: bool },
    Commands(rebuild::Pieces),
}

impl LargeEntry for Large {
    fn write(&mut self, entry: &Entry, bytes: usize, out: &mut Vec<u8>) -> bool {
        if self.shared.failed.load(Relaxed) {
            return false;
        }
        match &mut self.pieces {
            LargePieces::Commands(pieces) => pieces.next(entry, bytes, out),
            LargePieces::Rdb { options, usage, pieces, is_begun } => {
                let Payload::Object(object) = entry.payload() else { return false };
                with_encoder(*options, |encoder| {
                    if !std::mem::replace(is_begun, true) {
                        encoder.record_head(entry, *usage, out);
                    }
                    pieces.next(object, bytes, encoder, out)
                })
            }
        }
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
        let Payload::Object(_) = entry.payload() else { return None };
        let pieces = match self.form {
            Form::Rdb(options) => {
                let (usage, pieces) = (self.usage_of(entry), Pieces::default());
                LargePieces::Rdb { options, usage, pieces, is_begun: false }
            }
            Form::Commands => LargePieces::Commands(rebuild::Pieces::default()),
        };
        Some(Box::new(Large { pieces, shared: self.shared.clone() }))
    }

    fn select(&self, db: u32, out: &mut Vec<u8>) {
        match self.form {
            Form::Rdb(_) => {
                out.push(wire::opcode::SELECT_DB);
                wire::push_len(out, u64::from(db));
            }
            Form::Commands => rebuild::select(db, out),
        }
    }

    fn write(&self, entry: &Entry, out: &mut Vec<u8>) {
        if self.shared.failed.load(Relaxed) {
            return;
        }
        match self.form {
            Form::Rdb(options) => with_encoder(options, |encoder| encoder.record(entry, self.usage_of(entry), out)),
            Form::Commands => rebuild::entry(entry, out),
        }
    }

    fn take(&self, pieces: Vec<Vec<u8>>, keys: usize) {
        self.shared.queued.fetch_add(pieces.iter().map(Vec::len).sum(), Relaxed);
        self.keys.fetch_add(keys as u64, Relaxed);
        let _ = self.sender.send(Some(pieces));
    }

    fn partition_done(&self) {
        if self.left.fetch_sub(1, SeqCst) == 1 {
            self.end();
        }
    }
}

/// What the thread has to do.
pub struct Work {
    temp: PathBuf,
    /// What it is called when it is complete; else somebody else sees to that.
    target: Option<PathBuf>,
    purpose: Purpose,
    form: Form,
    /// RDB files end in a checksum.
    checksum: bool,
    /// Files of commands begin with the time.
    annotates: bool,
    sync: bool,
    facts: Facts,
    libraries: Vec<Box<[u8]>>,
    sizes: Vec<Size>,
    receiver: Receiver<Option<Vec<Vec<u8>>>>,
    /// All of them have come.
    is_walked: Cell<bool>,
    shared: std::sync::Arc<Shared>,
}

impl Work {
    /// Makes the file and writes it.
    pub fn run(self) -> Outcome {
        let outcome = self.create().and_then(|file| {
            let written = match self.form {
                Form::Rdb(options) => self.write_rdb(&file, options),
                Form::Commands => self.write_commands(&file),
            };
            written.map_err(|error| {
                let (temp, reason) = (self.temp.display(), error_text(&error));
                match self.purpose {
                    Purpose::Save => format!("Write error while saving DB to the disk({temp}): {reason}"),
                    Purpose::Rewrite(_) => format!("Write error writing append only file on disk: {reason}"),
                }
            })
        });
        if outcome.is_err() {
            self.shared.failed.store(true, Relaxed);
            // The walk goes on, so that it comes to its end, if it has not yet.
            while !self.is_walked.get() {
                self.is_walked.set(!matches!(self.receiver.recv(), Ok(Some(_))));
            }
        }
        let outcome = outcome.and_then(|()| self.put_in_place());
        if outcome.is_err() {
            let _ = fs::remove_file(&self.temp);
        }
        outcome
    }

    fn create(&self) -> Result<File, String> {
        File::create(&self.temp).map_err(|error| {
            let reason = error_text(&error);
            match self.purpose {
                Purpose::Save => format!(
                    "Failed opening the temp RDB file {} (in server root dir {}) for saving: {reason}",
                    self.temp.display(),
                    root_dir()
                ),
                Purpose::Rewrite(_) => {
                    format!("Opening the temp file for AOF rewrite in rewriteAppendOnlyFile(): {reason}")
                }
            }
        })
    }

    fn write_rdb(&self, file: &File, options: Options) -> io::Result<()> {
        let mut writer = Writer::new(self.synced(file), options.version, self.checksum, options.compress);
        writer.facts(&self.facts)?;
        for text in &self.libraries {
            writer.function(text)?;
        }
        for (number, size) in self.sizes.iter().enumerate().filter(|(_, size)| size.keys > 0) {
            writer.select_db(number as u32)?;
            writer.resize_db(size.keys, size.expires)?;
        }
        self.each_piece(|piece| writer.bytes(piece))?;
        writer.finish()?.file.sync_all()
    }

    fn write_commands(&self, file: &File) -> io::Result<()> {
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, self.synced(file));
        if self.annotates {
            write!(writer, "#TS:{}\r\n", self.facts.created_s)?;
        }
        let mut command = Vec::new();
        for text in &self.libraries {
            command.clear();
            rebuild::library(text, &mut command);
            writer.write_all(&command)?;
        }
        self.each_piece(|piece| writer.write_all(piece))?;
        writer.into_inner()?.file.sync_all()
    }

    fn synced<'f>(&self, file: &'f File) -> Synced<'f> {
        Synced { file, sync: self.sync, unsynced: 0 }
    }

    fn each_piece(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        while let Ok(Some(pieces)) = self.receiver.recv() {
            for piece in pieces {
                let written = write(&piece);
                self.shared.queued.fetch_sub(piece.len(), Relaxed);
                written?;
            }
        }
        self.is_walked.set(true);
        Ok(())
    }

    fn put_in_place(&self) -> Outcome {
        let Some(target) = &self.target else { return Ok(()) };
        fs::rename(&self.temp, target).map_err(|error| {
            format!(
                "Error moving temp DB file {} on the final destination {} (in server root dir {}): {}",
                self.temp.display(),
                target.display(),
                root_dir(),
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

/// Where the server runs, as the log shows it.
fn root_dir() -> String {
    std::env::current_dir().map_or("unknown".to_owned(), |dir| dir.display().to_string())
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
