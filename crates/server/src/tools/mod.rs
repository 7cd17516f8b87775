//! Programs beside the server: what looks at its files, and what brings back the state of a moment.
//!
//! By the names of Redis's programs (`redis-check-rdb`, `redis-check-aof`) they print what those print. By Kinovar's own
//! (`kinovar check-rdb`, `kinovar check-aof`) they add a summary.
//!
//! | module | what it is |
//! |---|---|
//! | [`check_rdb`], [`check_aof`] | checking files |
//! | [`restore`] | going back to a moment |
//! | [`walk`] | going through the commands of an append-only file |

pub mod check_aof;
pub mod check_rdb;
pub mod restore;
pub mod walk;

use std::io::{BufRead, Write};

/// What a program prints to, and asks.
pub struct Terminal<'t> {
    /// Standard output.
    pub out: &'t mut dyn Write,
    /// Standard error.
    pub err: &'t mut dyn Write,
    /// Standard input.
    pub input: &'t mut dyn BufRead,
    /// Whether a summary is wanted.
    pub summary: bool,
}

impl Terminal<'_> {
    /// Prints a line. That nobody reads it is no reason to stop.
    pub fn line(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Prints a line of what is wrong with how the program was called.
    pub fn complain(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Asks whether to go on.
    pub fn confirm(&mut self) -> bool {
        let _ = write!(self.out, "Continue? [y/N]: ");
        let _ = self.out.flush();
        let mut answer = String::new();
        self.input.read_line(&mut answer).is_ok() && answer.to_ascii_lowercase().starts_with('y')
    }
}

/// A count with what is counted.
fn counted(count: u64, one: &str, more: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {more}") }
}

/// A moment for people, of Unix seconds.
fn date(unix_s: i64) -> String {
    jiff::Timestamp::from_second(unix_s)
        .map_or_else(|_| format!("Unix time {unix_s}"), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
