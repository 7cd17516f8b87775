//! Commands that Redis 8.2.3 does not have: no reference to ask, so each script says what is right.
//!
//! ```text
//! SET k hello IFEQ x            a command
//! < (nil)                       its reply as redis-cli shows it, over several lines if need be
//! <3 (null)                     in RESP3, where that is another one
//! > SET k hello PXAT *          what goes to the append-only file; * is any number
//! ```
//!
//! A command without a line of its own for the file must not write to it. Each script is run in both protocols, against an
//! empty server. The examples of `docs/beyond-redis-8.2.md` are in the scripts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::effects::{ARGUMENTS, Tail, Words};
use crate::quote::{join, split, words};
use crate::report::Report;
use crate::server::Program;
use crate::show::show;

/// A command and what it leads to.
#[derive(Debug, Default)]
struct Step {
    line: usize,
    args: Words,
    reply: Vec<String>,
    /// Empty where it is the same as in RESP2.
    reply3: Vec<String>,
    effects: Vec<String>,
}

/// Runs all scripts, or the one that `filter` names.
pub fn run(subject: &Program, filter: Option<&str>) -> Result<Report> {
    let mut report = Report::default();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(crate::tests_dir().join("beyond"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if filter.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let steps = load(&path)?;
        ensure!(!steps.is_empty(), "{}: nothing to do", path.display());
        for protocol in [2, 3] {
            report.merge(run_one(subject, &name, &steps, protocol)?);
        }
    }
    Ok(report)
}

fn load(path: &Path) -> Result<Vec<Step>> {
    parse(&fs::read_to_string(path)?).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        let last = steps.last_mut().with_context(|| format!("line {}: nothing before it", at + 1));
        match mark {
            "<" => last?.reply.push(rest.to_string()),
            "<3" => last?.reply3.push(rest.to_string()),
            ">" => last?.effects.push(rest.to_string()),
            _ => {
                let args = split(line).with_context(|| format!("line {}: quotes do not match", at + 1))?;
                steps.push(Step { line: at + 1, args, ..Step::default() });
            }
        }
    }
    if let Some(step) = steps.iter().find(|step| step.reply.is_empty()) {
        bail!("line {}: no reply is given", step.line);
    }
    Ok(steps)
}

fn run_one(subject: &Program, name: &str, steps: &[Step], protocol: u8) -> Result<Report> {
    let mut report = Report::default();
    let server = subject.start(ARGUMENTS)?;
    let mut conn = server.conn()?;
    conn.hello(protocol)?;
    let mut tail = Tail::of(server.dir())?;
    for step in steps {
        let place = format!("{name}.txt:{} (RESP{protocol}): {}", step.line, join(&step.args));
        let reply = show(&conn.call(&step.args)?);
        let expected = if protocol == 3 && !step.reply3.is_empty() { &step.reply3 } else { &step.reply };
        report.check(reply == expected.join("\n"), || {
            format!("{place}\n--- expected\n{}\n--- found\n{reply}", expected.join("\n"))
        });
        // With `appendfsync always` a reply means that what it is about is in the file.
        let effects: Vec<Words> = tail.read()?.into_iter().filter(|words| words[0] != b"SELECT").collect();
        let same = effects.len() == step.effects.len()
            && effects.iter().zip(&step.effects).all(|(found, expected)| agrees(found, &words(expected)));
        report.check(same, || {
            let found: Vec<String> = effects.iter().map(|words| join(words)).collect();
            format!("{place}\n--- expected in the file\n{}\n--- found\n{}", step.effects.join("\n"), found.join("\n"))
        });
    }
    Ok(report)
}

fn agrees(found: &Words, expected: &Words) -> bool {
    let same = |(found, expected): (&Vec<u8>, &Vec<u8>)| {
        found == expected || expected == b"*" && !found.is_empty() && found.iter().all(u8::is_ascii_digit)
    };
    found.len() == expected.len() && found.iter().zip(expected).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_whole() {
        let steps = parse("# note\nSET a 1\n< OK\n> SET a 1\n\nGET a\n< \"1\"\n<3 x\n").unwrap();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].line, steps[0].effects.len(), steps[1].reply3.len()), (2, 1, 1));
        assert!(parse("< OK").is_err() && parse("SET a 1").is_err() && parse("SET \"a 1\n< OK").is_err());
    }

    #[test]
    fn a_star_is_a_number() {
        assert!(agrees(&words("SET a 1 PXAT 17"), &words("SET a 1 PXAT *")));
        assert!(!agrees(&words("SET a 1 PXAT x"), &words("SET a 1 PXAT *")));
        assert!(!agrees(&words("SET a 1"), &words("SET a")));
    }
}
