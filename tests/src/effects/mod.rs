//! What goes to the append-only file: the same commands to both servers, and after each of them what each has written.
//!
//! Scripts of `tests/diff` and `tests/effects` are run as they are, with `appendfsync always`, so that effects are in the file
//! when the reply has come. Times and ids made of times may differ a little. Keys and fields expire by themselves at moments
//! that nobody promises: where the two files differ by such removals alone, these are put aside and compared at the end.

pub mod replay;

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::known::Known;
use crate::pair::{Pair, Sides};
use crate::quote::join;
use crate::random::{self, Plan};
use crate::report::Report;
use crate::script::{self, Script};

/// Arguments that make a server write effects as they happen.
pub const ARGUMENTS: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--aof-use-rdb-preamble",
    "no",
    "--auto-aof-rewrite-percentage",
    "0",
];
/// Scripts that are about something else, and change what this suite relies on.
/// And one where the reference forgets effects: a VADD of an element that is there does not go to its file. `effects/vectors` has the
/// others.
const SKIPPED: &[&str] = &["known", VECTORS];
/// Both the script and the random group.
const VECTORS: &str = "vector_set";
/// How far times may be apart, ms.
const TIME_TOLERANCE_MS: i64 = 2500;
/// Numbers from here on are Unix times in ms, or ids of streams.
const UNIX_MS_MIN: i64 = 1_600_000_000_000;
/// Effects may come after the reply where nobody waits for one.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long both servers may take to remove what has expired.
const PATIENCE_AT_END: Duration = Duration::from_secs(5);

pub(crate) type Words = Vec<Vec<u8>>;

/// Random commands of each group.
const RANDOM_COUNT: usize = 20_000;

/// Runs random commands of each group, or of the one that `filter` names.
pub fn run_random(sides: &Sides, filter: Option<&str>, seed: u64) -> Result<Report> {
    let mut report = Report::default();
    // What the group "server" does to the configuration goes to no file.
    for group in random::GROUPS
        .iter()
        .filter(|&&group| group != "server" && group != VECTORS && filter.is_none_or(|wanted| wanted == group))
    {
        let plan = Plan { group: group.to_string(), count: RANDOM_COUNT, seed };
        report.merge(random::run_for_effects(&plan, sides)?);
    }
    Ok(report)
}

/// Runs all scripts, or the one that `filter` names.
pub fn run(sides: &Sides, filter: Option<&str>) -> Result<Report> {
    let mut report = Report::default();
    let known = Known::load()?;
    for folder in ["diff", "effects"] {
        let entries = fs::read_dir(crate::tests_dir().join(folder))?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.sort();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) || filter.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let one = script::run_for_effects(&Script::load(&path)?, sides, &known)?;
            println!("  effects of {folder}/{name}: {} passed, {} failed", one.passed, one.failures.len());
            report.merge(one);
        }
    }
    Ok(report)
}

/// The effects of both servers, as they are written.
pub struct Watch {
    subject: Tail,
    oracle: Tail,
    /// What was put aside, in the order of the files.
    aside: [Vec<String>; 2],
    /// What was found.
    pub report: Report,
}

impl Watch {
    /// Begins where the files end now.
    pub fn new(pair: &Pair) -> Result<Watch> {
        let mut watch = Watch {
            subject: Tail::of(pair.subject.dir())?,
            oracle: Tail::of(pair.oracle.dir())?,
            aside: Default::default(),
            report: Report::default(),
        };
        watch.subject.read()?;
        watch.oracle.read()?;
        Ok(watch)
    }

    /// Compares what was written since the last time. `place` says where that is, `text` what was done.
    pub fn compare(&mut self, place: &str, text: &str) -> Result<()> {
        match self.difference(text)? {
            Found::Agree(count) => self.report.passed += count,
            Found::Differ { subject, oracle } => {
                self.report.failures.push(format!("{place}: {text}\n--- subject\n{subject}\n--- oracle\n{oracle}"));
            }
        }
        Ok(())
    }

    /// Passes over what was written since the last time.
    pub fn skip(&mut self) -> Result<()> {
        self.subject.read()?;
        self.oracle.read()?;
        self.aside = Default::default();
        Ok(())
    }

    /// What was written since the last time, where the two differ. `text` is what was done.
    pub fn difference(&mut self, text: &str) -> Result<Found> {
        let start = Instant::now();
        let (mut subject, mut oracle) = (Vec::new(), Vec::new());
        loop {
            subject.extend(self.subject.read().context("subject")?);
            oracle.extend(self.oracle.read().context("oracle")?);
            if agree(text, &subject, &oracle) {
                return Ok(Found::Agree(oracle.len()));
            }
            if start.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let ([subject_rest, oracle_rest], aside) =
            ([without_removals(&subject)?, without_removals(&oracle)?], [removals(&subject)?, removals(&oracle)?]);
        if !agree(text, &subject_rest, &oracle_rest) {
            return Ok(Found::differ(text, &subject, &oracle));
        }
        for (all, new) in self.aside.iter_mut().zip(aside) {
            all.extend(new);
        }
        Ok(Found::Agree(oracle_rest.len()))
    }

    /// Compares what was put aside: each key or field must have gone in both.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn finish(&mut self, place: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            for list in &mut self.aside {
                list.sort();
                list.dedup();
            }
            // Each removes what has expired in its own time.
            if self.aside[0] == self.aside[1] || start.elapsed() > PATIENCE_AT_END {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
            let new = [self.subject.read().context("subject")?, self.oracle.read().context("oracle")?];
            for (all, new) in self.aside.iter_mut().zip(&new) {
                all.extend(removals(new)?);
            }
        }
        let [subject, oracle] = &self.aside;
        self.report.check(subject == oracle, || {
            let only = |one: &[String], other: &[String]| {
                one.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>().join("\n")
            };
            format!(
                "{place}: removed by one server alone\n--- subject\n{}\n--- oracle\n{}",
                only(subject, oracle),
                only(oracle, subject)
            )
        });
        Ok(())
    }
}

/// What a comparison has found.
pub enum Found {
    /// So many effects agree.
    Agree(usize),
    /// They do not.
    Differ {
        /// Those of the server under test, from the first that differs.
        subject: String,
        /// Those of the reference.
        oracle: String,
    },
}

impl Found {
    fn differ(text: &str, subject: &[Words], oracle: &[Words]) -> Found {
        const SHOWN_MAX: usize = 12;
        let equal = subject.iter().zip(oracle).take_while(|(a, b)| same(text, a, b)).count();
        let lines = |list: &[Words]| {
            list.iter().skip(equal).take(SHOWN_MAX).map(|words| join(words)).collect::<Vec<_>>().join("\n")
        };
        Found::Differ { subject: lines(subject), oracle: lines(oracle) }
    }
}

/// An append-only file that is being written.
pub(crate) struct Tail {
    path: PathBuf,
    at: u64,
    /// The beginning of a command that was not complete.
    rest: Vec<u8>,
}

impl Tail {
    /// That of a server with this folder, from its beginning.
    pub(crate) fn of(dir: &Path) -> Result<Tail> {
        let path = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
        if !path.exists() {
            bail!("{} is missing", path.display());
        }
        Ok(Tail { path, at: 0, rest: Vec::new() })
    }

    /// The commands that were added.
    pub(crate) fn read(&mut self) -> Result<Vec<Words>> {
        let mut file = fs::File::open(&self.path).with_context(|| format!("open {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.at))?;
        self.at += file.read_to_end(&mut self.rest)? as u64;
        let (mut commands, mut used) = (Vec::new(), 0);
        while let Some((words, length)) = command(&self.rest[used..])? {
            commands.push(words);
            used += length;
        }
        self.rest.drain(..used);
        Ok(commands)
    }
}

/// The command at the beginning of `bytes` and its length; nothing if it is not complete.
fn command(bytes: &[u8]) -> Result<Option<(Words, usize)>> {
    let mut at = 0;
    let Some(count) = length(bytes, b'*', &mut at)? else { return Ok(None) };
    let mut words = Vec::new();
    for _ in 0..count {
        let Some(length) = length(bytes, b'$', &mut at)? else { return Ok(None) };
        let Some(word) = bytes.get(at..at + length + 2) else { return Ok(None) };
        if !word.ends_with(b"\r\n") {
            bail!("a word without its end: {}", String::from_utf8_lossy(word));
        }
        words.push(word[..length].to_vec());
        at += length + 2;
    }
    Ok(Some((words, at)))
}

/// Reads `*3\r\n` or the like.
fn length(bytes: &[u8], kind: u8, at: &mut usize) -> Result<Option<usize>> {
    let rest = &bytes[*at..];
    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&rest[..end]);
    let Some(digits) = text.strip_prefix(char::from(kind)) else { bail!("not a length: {text:?}") };
    *at += end + 2;
    Ok(Some(digits.parse().with_context(|| format!("not a length: {text:?}"))?))
}

fn agree(text: &str, subject: &[Words], oracle: &[Words]) -> bool {
    subject.len() == oracle.len() && subject.iter().zip(oracle).all(|(a, b)| same(text, a, b))
}

/// Whether two commands are the same, up to what time and chance decide.
fn same(text: &str, a: &[Vec<u8>], b: &[Vec<u8>]) -> bool {
    let by_chance = a[0] == b"SREM" && text.to_ascii_lowercase().contains("spop");
    a.len() == b.len() && a.iter().zip(b).enumerate().all(|(at, (a, b))| same_word(a, b) || by_chance && at > 1)
}

fn same_word(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let time = |word: &[u8]| {
        let text = std::str::from_utf8(word).ok()?;
        let ms = text.split_once('-').map_or(text, |(ms, _)| ms);
        ms.parse().ok().filter(|ms: &i64| *ms >= UNIX_MS_MIN)
    };
    matches!((time(a), time(b)), (Some(a), Some(b)) if (a - b).abs() <= TIME_TOLERANCE_MS)
}

/// Whether a command is what expiry leads to.
fn is_removal(words: &[Vec<u8>]) -> bool {
    match words {
        [word, _] => word == b"DEL" || word == b"UNLINK",
        [word, _, _] => word == b"HDEL",
        _ => false,
    }
}

/// The commands with their databases, without what expiry leads to, and without the transactions that remain with less than
/// two commands.
fn without_removals(commands: &[Words]) -> Result<Vec<Words>> {
    let mut kept = Vec::new();
    for unit in units(commands)? {
        let rest: Vec<Words> = unit.into_iter().filter(|words| !is_removal(&words[1..])).collect();
        let marks = if rest.len() > 1 {
            ["MULTI", "EXEC"].map(|mark| vec![vec![vec![], mark.into()]])
        } else {
            [vec![], vec![]]
        };
        let [begin, end] = marks;
        kept.extend(begin.into_iter().chain(rest).chain(end));
    }
    Ok(kept)
}

fn removals(commands: &[Words]) -> Result<Vec<String>> {
    let removals = units(commands)?.into_iter().flatten().filter(|words| is_removal(&words[1..]));
    Ok(removals.map(|words| join(&words)).collect())
}

/// The commands that are together, each with its database in front, as far as that is said.
fn units(commands: &[Words]) -> Result<Vec<Vec<Words>>> {
    let (mut units, mut db, mut open) = (Vec::new(), Vec::new(), None::<Vec<Words>>);
    for words in commands {
        match words[0].as_slice() {
            b"SELECT" => db.clone_from(&words[1]),
            b"MULTI" => open = Some(Vec::new()),
            b"EXEC" => units.push(open.take().context("EXEC without MULTI")?),
            _ => {
                let words = [&[db.clone()][..], words].concat();
                match &mut open {
                    Some(unit) => unit.push(words),
                    None => units.push(vec![words]),
                }
            }
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quote::words;

    fn list(lines: &[&str]) -> Vec<Words> {
        lines.iter().map(|line| words(line)).collect()
    }

    #[test]
    fn times_may_differ_and_nothing_else() {
        let same = |a: &str, b: &str| same("SPOP s", &words(a), &words(b));
        assert!(same("SET a b PXAT 1795598828396", "SET a b PXAT 1795598828399"));
        assert!(!same("SET a b PXAT 1795598828", "SET a b PXAT 1795598829"));
        assert!(!same("SET a b PXAT 1795598828396", "SET a b PXAT 1795599928396"));
        assert!(same("XADD s 1795598828396-0 a b", "XADD s 1795598828396-1 a b"));
        assert!(!same("SET a b", "set a b"));
        assert!(same("SREM s a b", "SREM s c d") && !same("SREM s a", "SREM s c d") && !same("SREM s a", "SREM t a"));
    }

    #[test]
    fn removals_are_put_aside_with_their_marks() {
        let commands = list(&["MULTI", "SELECT 3", "DEL a", "SET a b", "EXEC", "HDEL h f", "DEL a b"]);
        let rest = without_removals(&commands).unwrap();
        assert_eq!(rest.len(), 2, "{rest:?}");
        assert_eq!(removals(&commands).unwrap(), ["3 DEL a", "3 HDEL h f"]);
        let whole = list(&["MULTI", "DEL a", "SET a b", "SET b c", "EXEC"]);
        assert_eq!(without_removals(&whole).unwrap().len(), 4);
    }

    #[test]
    fn commands_are_read_when_they_are_complete() {
        let bytes = b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n";
        for end in 0..bytes.len() {
            assert!(command(&bytes[..end]).unwrap().is_none());
        }
        assert_eq!(command(bytes).unwrap(), Some((words("DEL a"), bytes.len())));
        assert!(command(b"+OK\r\n").is_err());
    }
}
