//! The present value of every parameter.

use std::io;
use std::path::{Path, PathBuf};

use super::kind::{Kind, Origin, Value};
use super::table::{self, PARAMS};

/// The working directory as the configuration sees it: real in the server, pretended in tests.
pub trait WorkingDir: Send {
    /// Where relative paths start.
    fn current(&self) -> PathBuf;
    /// Moves there.
    ///
    /// # Errors
    /// Those of the operating system.
    fn change(&mut self, path: &Path) -> io::Result<()>;
}

/// The working directory of this process.
pub struct ProcessDir;

impl WorkingDir for ProcessDir {
    fn current(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
    }

    fn change(&mut self, path: &Path) -> io::Result<()> {
        std::env::set_current_dir(path)
    }
}

/// Values of all parameters, in the order of [`PARAMS`].
pub struct Store {
    values: Vec<Value>,
    /// Which parameters a file or the command line has named.
    given: Vec<bool>,
    dir: Box<dyn WorkingDir>,
}

impl Store {
    /// Defaults everywhere.
    pub fn new(dir: Box<dyn WorkingDir>) -> Store {
        Store { values: PARAMS.iter().map(|p| p.kind.default_value()).collect(), given: vec![false; PARAMS.len()], dir }
    }

    /// The value of the parameter at a position of [`PARAMS`].
    pub fn value(&self, at: usize) -> &Value {
        &self.values[at]
    }

    /// Whether a file or the command line has set the parameter.
    pub fn is_given(&self, at: usize) -> bool {
        self.given[at]
    }

    /// The value as CONFIG GET shows it.
    pub fn show(&self, at: usize) -> Vec<u8> {
        match PARAMS[at].kind {
            Kind::Dir => path_bytes(&self.dir.current()),
            kind => kind.show(&self.values[at]),
        }
    }

    /// The working directory.
    pub fn current_dir(&self) -> PathBuf {
        self.dir.current()
    }

    /// Reads a directive's words into the parameter.
    ///
    /// # Errors
    /// The reason for a refusal; then nothing has changed.
    pub fn direct(&mut self, at: usize, words: &[Vec<u8>]) -> Result<(), String> {
        let first = !self.given[at];
        self.read(at, words, Origin::Directive { first })?;
        self.given[at] = true;
        Ok(())
    }

    /// Reads the one argument of CONFIG SET into the parameter; tells whether the value is another one now.
    ///
    /// # Errors
    /// The reason for a refusal; then nothing has changed.
    pub fn set(&mut self, at: usize, argument: &[u8]) -> Result<bool, String> {
        let words = split_argument(&PARAMS[at].kind, argument);
        let before = self.show(at);
        self.read(at, &words, Origin::Set)?;
        Ok(self.show(at) != before)
    }

    fn read(&mut self, at: usize, words: &[Vec<u8>], origin: Origin) -> Result<(), String> {
        let param = &PARAMS[at];
        let mut value = param.kind.parse(words, &self.values[at], origin)?;
        if let Value::Int(number) = &mut value {
            *number = (param.settle)(*number);
            if origin == Origin::Set {
                *number = (param.settle_on_set)(*number);
            }
        }
        if let (Kind::Dir, Value::Text(path)) = (param.kind, &value) {
            self.dir.change(&bytes_path(path)).map_err(os_reason)?;
        }
        self.values[at] = value;
        Ok(())
    }

    /// Puts a value back, or one that the server itself has settled on.
    pub fn put(&mut self, at: usize, value: Value) {
        if let (Kind::Dir, Value::Text(path)) = (PARAMS[at].kind, &value) {
            // Going back where we came from; if that is impossible, where we are is the only truth left.
            let _ = self.dir.change(&bytes_path(path));
        }
        self.values[at] = value;
    }

    /// What [`put`](Self::put) needs to restore the parameter.
    pub fn keepsake(&self, at: usize) -> Value {
        match PARAMS[at].kind {
            Kind::Dir => Value::Text(path_bytes(&self.dir.current())),
            _ => self.values[at].clone(),
        }
    }

    fn at(name: &str) -> usize {
        table::find(name.as_bytes()).expect("code names only parameters of the table")
    }

    /// A `yes`/`no` parameter by its name, which must be in the table, as in the next ones.
    pub fn flag(&self, name: &str) -> bool {
        match self.value(Self::at(name)) {
            Value::Bool(value) => *value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    /// A number, or the number of an enumerated name.
    pub fn number(&self, name: &str) -> i64 {
        match self.value(Self::at(name)) {
            Value::Int(value) | Value::Enum(value) => *value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    /// A number that the range of its parameter keeps from being negative.
    pub fn size(&self, name: &str) -> u64 {
        u64::try_from(self.number(name)).expect("the table's range starts at 0 or above")
    }

    /// A text.
    pub fn text(&self, name: &str) -> &[u8] {
        match self.value(Self::at(name)) {
            Value::Text(value) => value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    /// A value of a kind of its own.
    pub fn special(&self, name: &str) -> &Value {
        self.value(Self::at(name))
    }
}

/// The words that one argument stands for: where many are taken, they are separated by single blanks.
pub fn split_argument(kind: &Kind, argument: &[u8]) -> Vec<Vec<u8>> {
    match (kind.takes_many(), argument.is_empty()) {
        (false, _) => vec![argument.to_vec()],
        (true, true) => Vec::new(),
        (true, false) => argument.split(|&b| b == b' ').map(<[u8]>::to_vec).collect(),
    }
}

/// The reason of an operating system error, without the number that the standard library adds.
pub fn os_reason(error: io::Error) -> String {
    kinovar_io::net::error_text(&error)
}

/// A path as the operating system spells it.
pub fn bytes_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// The other way round.
pub fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}
