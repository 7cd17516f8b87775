//! Differences that are meant: `tests/diff/known.txt`, one pattern and its reason a line.

use std::fs;

use anyhow::{Context, Result, bail};

/// The list, read once per run.
#[derive(Debug, Default)]
pub struct Known {
    patterns: Vec<String>,
}

impl Known {
    /// Reads `tests/diff/known.txt`: `PATTERN -- REASON`, where the pattern is matched against the whole command line
    /// without regard to case and `*` stands for anything. A pattern without a reason is an error.
    pub fn load() -> Result<Known> {
        let path = crate::tests_dir().join("diff/known.txt");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Known::parse(&text)
    }

    fn parse(text: &str) -> Result<Known> {
        let mut patterns = Vec::new();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            match line.split_once(" -- ") {
                Some((pattern, reason)) if !reason.trim().is_empty() => patterns.push(pattern.trim().to_lowercase()),
                _ => bail!("known.txt: no reason given in {line:?}"),
            }
        }
        Ok(Known { patterns })
    }

    /// True when a difference in the reply to this command is listed.
    pub fn covers(&self, command_line: &str) -> bool {
        let line = command_line.to_lowercase();
        self.patterns.iter().any(|p| glob(p.as_bytes(), line.as_bytes()))
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|n| glob(rest, &text[n..])),
        Some((c, rest)) => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_need_reasons_and_match_whole_lines() {
        let known = Known::parse("# note\nmemory usage * -- another layout\n").unwrap();
        assert!(known.covers("MEMORY USAGE k"));
        assert!(!known.covers("MEMORY STATS"));
        assert!(Known::parse("lolwut").is_err());
    }
}
