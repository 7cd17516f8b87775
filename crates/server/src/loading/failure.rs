//! What can go wrong with a load.

use kinovar_rdb::ErrorKind;

/// Why data could not be loaded.
#[derive(Debug)]
pub enum Failure {
    /// The bytes are wrong.
    Rdb(kinovar_rdb::Error),
    /// A key comes twice.
    Duplicate {
        /// Its database.
        db: u32,
        /// Its name.
        key: Vec<u8>,
        /// Where its value begins in the file.
        offset: u64,
    },
    /// There are more databases in the file than here.
    Databases {
        /// How many there are here.
        here: u32,
        /// Where the file selects another.
        offset: u64,
    },
    /// A module has written something that concerns no key.
    ModuleAux {
        /// The name of its type.
        name: String,
        /// Where.
        offset: u64,
    },
    /// A library of functions cannot be loaded.
    Library(Vec<u8>),
    /// The snapshot at the beginning of an append-only file is wrong.
    Base {
        /// What is wrong with it.
        cause: Box<Failure>,
        /// What the log says after that.
        line: String,
    },
    /// An append-only file cannot be loaded; what the log says of it.
    Aof(Vec<String>),
    /// What was to be saved before is not. The log knows already.
    NotSaved,
    /// There is no file.
    NoFile,
    /// The file cannot be opened.
    NotOpened(std::io::Error),
    /// The system has no thread for the reader.
    NoThread(std::io::Error),
    /// The server is stopping.
    Stopped,
}

impl From<kinovar_rdb::Error> for Failure {
    fn from(error: kinovar_rdb::Error) -> Failure {
        Failure::Rdb(error)
    }
}

impl Failure {
    /// What the log says about it. `file` is the name of the file.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let at = |offset: u64, what: &dyn std::fmt::Display| {
            format!("Internal error in RDB reading offset {offset} of {file} -> {what}")
        };
        match self {
            Failure::Rdb(error) => match &error.kind {
                ErrorKind::NotRdb => vec![format!("Wrong signature trying to load DB from file {file}")],
                ErrorKind::Version(version) => vec![format!("Can't handle RDB format version {version} of {file}")],
                ErrorKind::Truncated | ErrorKind::Io(_) => vec![
                    "Short read or OOM loading DB. Unrecoverable error, aborting now.".into(),
                    at(error.offset, &error.kind),
                ],
                ErrorKind::Checksum { stored, computed } => vec![
                    format!("Wrong RDB checksum expected: ({computed:x}) but got ({stored:x}). Aborting now."),
                    at(error.offset, &"RDB CRC error"),
                ],
                kind => vec![at(error.offset, kind)],
            },
            Failure::Duplicate { db, key, offset } => vec![
                format!("RDB has duplicated key '{}' in DB {db}", key.escape_ascii()),
                at(*offset, &"the key is there already"),
            ],
            Failure::Databases { here, offset } => vec![
                format!(
                    "FATAL: Data file was created with a Redis server configured to handle more than {here} databases. \
                     Exiting"
                ),
                at(*offset, &"no such database"),
            ],
            Failure::ModuleAux { name, offset } => vec![
                format!("The RDB file contains AUX module data I can't load: no matching module '{name}'"),
                at(*offset, &"data of a module"),
            ],
            Failure::Library(text) => vec![
                format!("Failed loading library, {}", String::from_utf8_lossy(text)),
                format!("A library of functions in {file} cannot be loaded"),
            ],
            Failure::Base { cause, line } => {
                let mut lines = cause.lines(file);
                lines.push(line.clone());
                lines
            }
            Failure::Aof(lines) => lines.clone(),
            Failure::NoThread(error) => vec![format!("Can't start a thread to read {file}: {error}")],
            Failure::NotOpened(error) => {
                let reason = kinovar_io::net::error_text(error);
                vec![format!("Fatal error: can't open the RDB file {file} for reading: {reason}")]
            }
            Failure::Stopped | Failure::NotSaved | Failure::NoFile => Vec::new(),
        }
    }
}
