//! What is wrong with bytes, and where.

use std::{fmt, io};

/// Reading failed.
#[derive(Debug)]
pub struct Error {
    /// Where, in bytes from the beginning of the file or the payload.
    pub offset: u64,
    /// Why.
    pub kind: ErrorKind,
}

/// Why reading failed.
#[derive(Debug)]
pub enum ErrorKind {
    /// The source failed.
    Io(io::Error),
    /// The bytes end in the middle of something.
    Truncated,
    /// The bytes are not what they have to be here.
    Corrupt(&'static str),
    /// There is no type of value with this code.
    UnknownType(u8),
    /// A collection without elements, which no key may hold. The value has been read: what follows can be read on.
    EmptyCollection,
    /// A value of a module's type, which is not supported. Where the value ends is known: a loader may skip it.
    Module {
        /// The type's name, nine characters.
        name: String,
    },
    /// A value or an auxiliary field that a module wrote before modules were released: it cannot even be skipped.
    PreReleaseModule,
    /// A function in the format before its release, which the reference does not read either.
    PreReleaseFunction,
    /// The file does not begin like an RDB file.
    NotRdb,
    /// A version that is not known.
    Version(u32),
    /// The checksum at the end of the file is of other bytes.
    Checksum {
        /// What the file says.
        stored: u64,
        /// What its bytes give.
        computed: u64,
    },
}

/// What reading gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl ErrorKind {
    /// An error of this kind at an offset.
    pub const fn at(self, offset: u64) -> Error {
        Error { offset, kind: self }
    }
}

impl Error {
    /// Whether the bytes of the value are whole, so that a loader may leave this one out and go on.
    pub fn may_skip_value(&self) -> bool {
        matches!(self.kind, ErrorKind::EmptyCollection | ErrorKind::Module { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.kind, self.offset)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Io(error) => write!(f, "cannot read: {error}"),
            ErrorKind::Truncated => f.write_str("unexpected end"),
            ErrorKind::Corrupt(what) => f.write_str(what),
            ErrorKind::UnknownType(code) => write!(f, "unknown type of value {code}"),
            ErrorKind::EmptyCollection => f.write_str("a collection without elements"),
            ErrorKind::Module { name } => write!(f, "values of the module type '{name}' are not supported"),
            ErrorKind::PreReleaseModule => f.write_str("data of a module from before modules were released"),
            ErrorKind::PreReleaseFunction => f.write_str("a function from before functions were released"),
            ErrorKind::NotRdb => f.write_str("not an RDB file"),
            ErrorKind::Version(version) => write!(f, "RDB version {version} cannot be read"),
            ErrorKind::Checksum { stored, computed } => {
                write!(f, "wrong checksum: the file says {stored:016x}, its bytes give {computed:016x}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
