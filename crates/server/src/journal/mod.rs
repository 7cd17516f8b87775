//! The journal: every change, in order, for those who keep what this server holds.

pub mod manifest;

use crate::server::Server;
use kinovar_command::keyspace::{self, Unit};
use kinovar_io::net::error_text;
use manifest::{Layout, Manifest};
use std::fs::File;
use std::io::Write;
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

    /// Begins to write: goes on with the files of `manifest`, which have been loaded, or makes new ones if it is empty. Called
    /// when everything has been loaded, and before anything can change.
    ///
    /// # Errors
    /// What the log should say before the process ends.
    pub fn begin(&self, server: &Server, mut manifest: Manifest) -> Result<(), String> {
        let layout = Layout::of(&server.config());
        layout.make_dir()?;
        if manifest.incr.is_empty() {
            manifest.next_incr(&layout.prefix);
            layout.store(&manifest)?;
        }
        let Some(last) = manifest.incr.last() else { return Ok(()) };
        let file = File::options().create(true).append(true).open(layout.path(last)).map_err(|error| {
            format!("Can't open the append-only file {}: {}", last.name.display(), error_text(&error))
        })?;
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
