//! Reading configurations without touching the machine: one scratch folder, and no directive that opens other files.

use std::io;
use std::path::{Path, PathBuf};

use kinovar_server::config::{WorkingDir, split_words};

/// A working directory that stays where it is.
pub struct PretendDir(pub PathBuf);

impl WorkingDir for PretendDir {
    fn current(&self) -> PathBuf {
        self.0.clone()
    }

    fn change(&mut self, path: &Path) -> io::Result<()> {
        if path == self.0 { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// Whether a line of `text` names a file that would be opened or created.
pub fn names_files(text: &[u8]) -> bool {
    text.split(|&b| b == b'\n').any(|line| {
        let first = split_words(line.trim_ascii()).and_then(|words| words.into_iter().next()).unwrap_or_default();
        first.eq_ignore_ascii_case(b"include") || first.eq_ignore_ascii_case(b"logfile")
    })
}
