//! `cargo xtask compat`: COMPAT.md, which commands of Redis 8.2.3 this server has.
//!
//! The facts about Redis are `xtask/data/commands-8.2.3.tsv` (name, kind, group, since: read from that server); what we
//! have is asked of the running server with COMMAND LIST and COMMAND INFO, so the page cannot claim more than the
//! command table holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use kinovar_tests::conn::Conn;
use kinovar_tests::quote::words;
use kinovar_tests::resp::Reply;
use kinovar_tests::server::Program;

use crate::args::Args;
use crate::build;

const FACTS: &str = include_str!("../data/commands-8.2.3.tsv");

/// Writes COMPAT.md, or with `--check` fails when it is not what would be written.
pub fn run(args: &Args) -> Result<()> {
    let subject = build::subject(args, "test-release")?;
    if args.switch("check") {
        check(&subject)?;
        println!("COMPAT.md is up to date");
        return Ok(());
    }
    let page = page(&ours(&subject)?)?;
    fs::write(path(), &page).context("write COMPAT.md")?;
    let summary = page.lines().skip_while(|l| !l.starts_with('|')).take_while(|l| !l.is_empty());
    summary.for_each(|line| println!("{line}"));
    Ok(())
}

/// Fails when COMPAT.md is not what this server's command table makes of it.
pub fn check(subject: &Program) -> Result<()> {
    let current = fs::read_to_string(path()).unwrap_or_default();
    ensure!(current == page(&ours(subject)?)?, "COMPAT.md is stale: run `cargo xtask compat`");
    Ok(())
}

fn path() -> PathBuf {
    build::root().join("COMPAT.md")
}

/// The names of all commands and subcommands of a server, in upper case, subcommands as `CONFIG GET`; with each the version that
/// it says it came with, as far as it is no command of 8.2.3.
fn ours(subject: &Program) -> Result<BTreeMap<String, String>> {
    let server = subject.start(&[])?;
    let mut conn = server.conn()?;
    let list = conn.must("COMMAND LIST")?;
    let names: Vec<String> = list.items().context("COMMAND LIST answers an array")?.iter().map(Reply::text).collect();
    let mut found: BTreeSet<String> = names.iter().map(|name| spelled(name)).collect();
    for name in names.iter().filter(|n| !n.contains('|')) {
        found.extend(subcommands(&mut conn, name)?);
    }
    let known: BTreeSet<&str> = facts()?.iter().map(|fact| fact.name).collect();
    let versions = found.into_iter().map(|name| {
        let version = if known.contains(name.as_str()) { String::new() } else { version(&mut conn, &name)? };
        Ok((name, version))
    });
    versions.collect()
}

/// `since` in COMMAND DOCS.
fn version(conn: &mut Conn, name: &str) -> Result<String> {
    let full_name = name.replace(' ', "|").to_lowercase();
    let reply = conn.call(&[words("COMMAND DOCS"), vec![full_name.into_bytes()]].concat())?;
    let fields = reply.items().and_then(|reply| reply.get(1)).and_then(Reply::items).unwrap_or_default();
    let since = fields.chunks(2).find(|field| field[0].text() == "since").map(|field| field[1].text());
    since.with_context(|| format!("COMMAND DOCS {name} answers {}", kinovar_tests::show::show(&reply)))
}

fn spelled(name: &str) -> String {
    name.replace('|', " ").to_uppercase()
}

/// The tenth element of a COMMAND INFO entry lists subcommands in the same form.
fn subcommands(conn: &mut Conn, name: &str) -> Result<Vec<String>> {
    let reply = conn.call(&[words("COMMAND INFO"), vec![name.as_bytes().to_vec()]].concat())?;
    let entry = reply.items().and_then(|r| r.first()).and_then(Reply::items);
    let Some(entry) = entry else { bail!("COMMAND INFO {name} answers {}", kinovar_tests::show::show(&reply)) };
    let list = entry.get(9).and_then(Reply::items).unwrap_or_default();
    let name_of = |sub: &Reply| sub.items().and_then(|s| s.first()).map(|n| spelled(&n.text()));
    Ok(list.iter().filter_map(name_of).collect())
}

struct Fact {
    name: &'static str,
    group: &'static str,
    since: &'static str,
}

fn facts() -> Result<Vec<Fact>> {
    let fact = |line: &'static str| match line.split('\t').collect::<Vec<_>>()[..] {
        [name, _, group, since] => Ok(Fact { name, group, since }),
        _ => bail!("commands-8.2.3.tsv: not four columns: {line:?}"),
    };
    FACTS.lines().skip(1).map(fact).collect()
}

fn page(ours: &BTreeMap<String, String>) -> Result<String> {
    let facts = facts()?;
    let mut groups: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    facts.iter().for_each(|fact| groups.entry(fact.group).or_default().push(fact));
    let has = |fact: &&&Fact| ours.contains_key(fact.name);
    let mut page = String::from(INTRODUCTION);
    for (group, facts) in &groups {
        let done = facts.iter().filter(has).count();
        writeln!(page, "| {group} | {done} | {} | {}% |", facts.len(), 100 * done / facts.len())?;
    }
    let done = facts.iter().filter(|f| ours.contains_key(f.name)).count();
    writeln!(page, "| **all** | {done} | {} | {}% |", facts.len(), 100 * done / facts.len())?;
    for (group, facts) in &groups {
        writeln!(page, "\n## {group}\n\n| command | since | state |\n| --- | --- | --- |")?;
        for fact in facts {
            let state = if ours.contains_key(fact.name) { "done" } else { "not yet" };
            writeln!(page, "| {} | {} | {state} |", fact.name, fact.since)?;
        }
    }
    let known: BTreeSet<&str> = facts.iter().map(|f| f.name).collect();
    let extra: Vec<_> = ours.iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
    if !extra.is_empty() {
        writeln!(page, "{BEYOND}")?;
        for (name, version) in extra {
            writeln!(page, "| {name} | {version} |")?;
        }
    }
    Ok(page)
}

const INTRODUCTION: &str = "\
# Compatibility with Redis 8.2.3

Written by `cargo xtask compat` from the server's own command table; do not edit. *Done* means that the command is in the
table and answers; that its replies agree with 8.2.3 is what the differential tests hold (`docs/testing.md`).

| group | done | of | |
| --- | ---: | ---: | ---: |
";

const BEYOND: &str = "
## not in Redis 8.2.3

In the form of later versions of Redis: `docs/beyond-redis-8.2.md`.

| command | as of |
| --- | --- |";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_complete() {
        let facts = facts().unwrap();
        assert!(facts.len() > 380 && facts.iter().any(|f| f.name == "CONFIG GET"));
    }

    #[test]
    fn the_page_counts_what_is_there() {
        let ours = [("GET", ""), ("CONFIG GET", ""), ("OURS", "8.4.0")];
        let page = page(&ours.map(|(name, version)| (name.into(), version.into())).into()).unwrap();
        assert!(page.contains("| GET | 1.0.0 | done |") && page.contains("| SET | 1.0.0 | not yet |"));
        assert!(page.ends_with("| command | as of |\n| --- | --- |\n| OURS | 8.4.0 |\n"));
    }
}
