//! The command line: words, and options written `--name value` or `--name` alone.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// Options that stand alone; every other one takes a value.
const SWITCHES: &[&str] = &["quick", "check", "no-check", "help"];

/// A parsed command line.
#[derive(Debug, Default)]
pub struct Args {
    options: HashMap<String, String>,
    /// What is not an option, in order.
    pub words: Vec<String>,
}

impl Args {
    /// Sorts the words of a command line.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Args {
        let mut args = Args::default();
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(name) if SWITCHES.contains(&name) => {
                    args.options.insert(name.into(), String::new());
                }
                Some(name) => {
                    args.options.insert(name.into(), words.next().unwrap_or_default());
                }
                None => args.words.push(word),
            }
        }
        args
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// True when a switch is given.
    pub fn switch(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// A numeric option, or the default.
    pub fn number(&self, name: &str, default: u64) -> Result<u64> {
        match self.option(name) {
            None => Ok(default),
            Some(text) => text.parse().with_context(|| format!("--{name} {text}: not a number")),
        }
    }
}
