//! The journal: every change, in order, for those who keep what this server holds.

pub mod manifest;

use crate::config::Config;
use kinovar_command::keyspace::{self, Unit};
use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// All changes in order.
#[derive(Default)]
pub struct Journal {
    is_on: AtomicBool,
    log: Mutex<Log>,
}

/// Where the changes go.
#[derive(Default)]
struct Log {
    file: Option<File>,
    /// The database that is selected at the end of the file.
    selected: Option<u32>,
    buffer: Vec<u8>,
}

impl Journal {
    /// Whether anybody wants to know of changes.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// The same, to be looked at for every command.
    pub fn switch(&self) -> &AtomicBool {
        &self.is_on
    }

    /// Begins an append-only file, where one is wanted. Called before anything can change.
    ///
    /// # Errors
    /// There is one already: it cannot be loaded yet, and must not be lost.
    pub fn open(&self, config: &Config) -> io::Result<()> {
        if !config.appendonly {
            return Ok(());
        }
        let dir = config.dir.join(&config.appenddirname);
        fs::create_dir_all(&dir)?;
        let name = &config.appendfilename;
        File::create_new(dir.join(format!("{name}.manifest")))?
            .write_all(format!("file {name}.1.incr.aof seq 1 type i\n").as_bytes())?;
        let file = File::create_new(dir.join(format!("{name}.1.incr.aof")))?;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).file = Some(file);
        self.is_on.store(true, Relaxed);
        Ok(())
    }
}

impl keyspace::Journal for Journal {
    fn record(&self, unit: &Unit) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { file: Some(file), selected, buffer } = &mut *log else { return };
        buffer.clear();
        unit.write(selected, buffer);
        if let Err(error) = file.write_all(buffer) {
            crate::log::warning(&format!("The append-only file cannot be written: {error}"));
        }
    }
}
