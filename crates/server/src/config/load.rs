//! Reading the configuration at start: the file, then standard input, then the options of the command line.
//!
//! The three are one text to the reader, in that order, so that the last word wins and every refusal has a line number. A file
//! that is included is read where its directive stands and numbers its own lines.

use std::fs;
use std::path::{Path, PathBuf};

use kinovar_command::glob;

use crate::acl::Declared;

use super::kind::Value;
use super::lexer::split_words;
use super::store::{Store, WorkingDir, bytes_path, os_reason, path_bytes, split_argument};
use super::table::{self, FORGOTTEN, PARAMS};
use super::{COMPATIBLE_VERSION, param::Meaning};

/// Files may include files, but not for ever.
const INCLUDE_DEPTH_MAX: usize = 16;

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The file that the first argument names.
    pub file: Option<PathBuf>,
    /// What standard input said, if it was to be read.
    pub stdin: Option<Vec<u8>>,
    /// The options of the command line as lines of a file.
    pub options: Vec<u8>,
}

/// Why the server cannot start with this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A directive that does not make sense.
    Directive {
        /// Its number in the text that holds it, from 1.
        line: usize,
        /// The line, without the blanks around it.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Directives that make no sense together.
    Combination(String),
    /// A file that cannot be read.
    File {
        /// Its name as given.
        path: String,
        /// What the operating system says.
        reason: String,
    },
}

impl LoadError {
    /// Whether the message belongs into the log, as the reference has it, rather than bare on standard error.
    pub fn is_logged(&self) -> bool {
        matches!(self, LoadError::File { .. })
    }
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Directive { line, text, reason } => write!(
                f,
                "\n*** FATAL CONFIG FILE ERROR (Redis {COMPATIBLE_VERSION}) ***\n\
                 Reading the configuration file, at line {line}\n>>> '{text}'\n{reason}\n"
            ),
            LoadError::Combination(reason) => {
                write!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {COMPATIBLE_VERSION}) ***\n{reason}\n")
            }
            LoadError::File { path, reason } => write!(f, "Fatal error, can't open config file '{path}': {reason}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A configuration that has been read.
pub struct Loaded {
    /// All values.
    pub store: Store,
    /// The absolute path of the file, for CONFIG REWRITE and INFO.
    pub file: Option<PathBuf>,
    /// What `rename-command` asks for: the command's own name and its new one, empty to remove it.
    pub renames: Vec<(String, String)>,
    /// What `user` lines declare.
    pub users: Vec<Declared>,
}

/// Reads everything.
///
/// `is_command` tells whether a command of this lower-case name exists; `rename-command` needs to know.
///
/// # Errors
/// The first thing that is wrong.
pub fn load(
    sources: &Sources,
    dir: Box<dyn WorkingDir>,
    is_command: &dyn Fn(&str) -> bool,
) -> Result<Loaded, LoadError> {
    let file = sources.file.as_ref().map(|path| dir.current().join(path));
    let mut reader = Reader { store: Store::new(dir), renames: Vec::new(), users: Vec::new(), is_command };
    let mut text = Vec::new();
    if let Some(path) = &file {
        text = read_file(path, &path.display().to_string())?;
    }
    if let Some(stdin) = &sources.stdin {
        text.extend(stdin);
    }
    if !sources.options.is_empty() {
        text.push(b'\n');
        text.extend(&sources.options);
    }
    reader.read_text(&text, 0)?;
    reader.check_log_file()?;
    reader.check_combinations()?;
    Ok(Loaded { store: reader.store, file, renames: reader.renames, users: reader.users })
}

fn read_file(path: &Path, shown: &str) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|error| LoadError::File { path: shown.to_owned(), reason: os_reason(error) })
}

struct Reader<'a> {
    store: Store,
    renames: Vec<(String, String)>,
    users: Vec<Declared>,
    is_command: &'a dyn Fn(&str) -> bool,
}

/// A refusal of one directive, or a failure of a file that it includes.
enum Refusal {
    Reason(String),
    Nested(LoadError),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal::Reason(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Refusal {
        Refusal::Reason(reason.to_owned())
    }
}

const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

impl Reader<'_> {
    fn read_text(&mut self, text: &[u8], depth: usize) -> Result<(), LoadError> {
        for (at, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.read_line(line, depth).map_err(|refusal| match refusal {
                Refusal::Reason(reason) => {
                    LoadError::Directive { line: at + 1, text: String::from_utf8_lossy(line).into_owned(), reason }
                }
                Refusal::Nested(error) => error,
            })?;
        }
        Ok(())
    }

    fn read_line(&mut self, line: &[u8], depth: usize) -> Result<(), Refusal> {
        let mut words = split_words(line).ok_or("Unbalanced quotes in configuration line")?;
        if words.is_empty() {
            return Ok(());
        }
        let name = words.remove(0).to_ascii_lowercase();
        if let Some(at) = table::find(&name) {
            return self.read_parameter(at, words);
        }
        match (name.as_slice(), words.as_slice()) {
            (b"include", [pattern]) => self.include(pattern, depth),
            (b"rename-command", [from, to]) => self.rename(from, to),
            (b"user", [_, ..]) => self.user(&words),
            (b"loadmodule", [_, ..]) => Err("modules are not supported: loadmodule has to go".into()),
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            (old, [_]) if FORGOTTEN.iter().any(|name| name.as_bytes() == old) => Ok(()),
            _ => Err(BAD_DIRECTIVE.into()),
        }
    }

    fn read_parameter(&mut self, at: usize, words: Vec<Vec<u8>>) -> Result<(), Refusal> {
        let kind = &PARAMS[at].kind;
        let words = match words.as_slice() {
            [one] if kind.takes_many() && !one.is_empty() => split_argument(kind, one),
            _ => words,
        };
        Ok(self.store.direct(at, &words)?)
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), Refusal> {
        if depth == INCLUDE_DEPTH_MAX {
            return Err("include files are nested too deeply".into());
        }
        let here = self.store.current_dir();
        for path in included_files(&here, pattern) {
            let shown = String::from_utf8_lossy(&path).into_owned();
            let text = read_file(&here.join(bytes_path(&path)), &shown).map_err(Refusal::Nested)?;
            self.read_text(&text, depth + 1).map_err(Refusal::Nested)?;
        }
        Ok(())
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), Refusal> {
        let from = String::from_utf8_lossy(from).to_lowercase();
        let to = String::from_utf8_lossy(to).to_lowercase();
        let known = self.current_command(&from).ok_or("No such command in rename-command")?;
        if !to.is_empty() && self.current_command(&to).is_some() {
            return Err("Target command name already exists".into());
        }
        match self.renames.iter_mut().find(|(original, _)| *original == known) {
            Some((_, name)) => *name = to,
            None => self.renames.push((known, to)),
        }
        Ok(())
    }

    /// The original name of the command that goes by this name after the renames so far.
    fn current_command(&self, name: &str) -> Option<String> {
        if let Some((original, _)) = self.renames.iter().find(|(_, new)| new == name) {
            return Some(original.clone());
        }
        let moved = self.renames.iter().any(|(original, _)| original == name);
        (!moved && (self.is_command)(name)).then(|| name.to_owned())
    }

    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), Refusal> {
        let declared = Declared::parse(words, &self.users).map_err(|(error, blamed)| {
            format!("Error in user declaration '{}': {}", String::from_utf8_lossy(&blamed), error.text())
        })?;
        self.users.push(declared);
        Ok(())
    }

    fn check_log_file(&self) -> Result<(), LoadError> {
        let name = self.store.text("logfile");
        if name.is_empty() {
            return Ok(());
        }
        let path = self.store.current_dir().join(bytes_path(name));
        let opened = fs::OpenOptions::new().append(true).create(true).open(path);
        opened.map(drop).map_err(|e| LoadError::Combination(format!("Can't open the log file: {}", os_reason(e))))
    }

    fn check_combinations(&self) -> Result<(), LoadError> {
        if self.store.flag("cluster-enabled") && *self.store.special("replicaof") != Value::Primary(None) {
            return Err(LoadError::Combination("replicaof directive not allowed in cluster mode".into()));
        }
        Ok(())
    }
}

/// The files that an include names: itself, or what its pattern finds, sorted; a pattern that finds nothing includes nothing.
fn included_files(here: &Path, pattern: &[u8]) -> Vec<Vec<u8>> {
    if !pattern.iter().any(|b| b"*?[".contains(b)) {
        return vec![pattern.to_vec()];
    }
    let absolute = pattern.first() == Some(&b'/');
    let mut found: Vec<Vec<u8>> = vec![if absolute { b"/".to_vec() } else { Vec::new() }];
    for part in pattern.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|base| matching_entries(here, base, part)).collect();
    }
    found.sort();
    found
}

/// Entries of the directory `base` that the pattern's one path component `part` names.
fn matching_entries(here: &Path, base: &[u8], part: &[u8]) -> Vec<Vec<u8>> {
    let join = |name: &[u8]| match base {
        b"" => name.to_vec(),
        b"/" => [b"/", name].concat(),
        _ => [base, b"/", name].concat(),
    };
    if !part.iter().any(|b| b"*?[".contains(b)) {
        let path = join(part);
        return if here.join(bytes_path(&path)).exists() { vec![path] } else { Vec::new() };
    }
    let Ok(entries) = fs::read_dir(here.join(bytes_path(base))) else { return Vec::new() };
    let names = entries.flatten().map(|entry| path_bytes(Path::new(&entry.file_name())));
    let visible = |name: &Vec<u8>| !name.starts_with(b".") || part.starts_with(b".");
    names.filter(|name| visible(name) && glob::matches(part, name)).map(|name| join(&name)).collect()
}

/// Names of parameters that were set to switch something on that is not built yet.
pub fn not_built_yet(store: &Store) -> Vec<&'static str> {
    let off: [&[u8]; 3] = [b"", b"no", b"0"];
    let asked = |(at, param): &(usize, &super::Param)| {
        let shown = store.show(*at);
        param.meaning == Meaning::Later
            && store.is_given(*at)
            && shown != param.kind.show(&param.kind.default_value())
            && !off.contains(&shown.as_slice())
    };
    PARAMS.iter().enumerate().filter(asked).map(|(_, param)| param.name).collect()
}
