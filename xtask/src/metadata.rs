//! What `COMMAND INFO` and `COMMAND DOCS` say of each command, compared with Redis 8.2.3.
//!
//! Texts are our own (summaries, costs, remarks), all else is to be the same: arity, flags, categories, tips, key
//! specifications, argument trees, versions. What a later version of Redis has added says so: an argument, or a line of
//! history, with a version beyond 8.2.3 is left out of the comparison. The reference has no documentation of its modules'
//! commands but their names: ours is more. Nothing else is left out.

use anyhow::{Context, Result, bail};
use kinovar_tests::conn::Conn;
use kinovar_tests::pair::Sides;
use kinovar_tests::quote::words;
use kinovar_tests::report::Report;
use kinovar_tests::resp::Reply;
use kinovar_tests::show::show;

/// The version that everything is compared with.
const REFERENCE: [u32; 3] = [8, 2, 3];
/// Texts in words of our own.
const PROSE: &[&str] = &["summary", "complexity", "notes"];

/// Compares every command that both servers have.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    let (subject, oracle) = (sides.subject.start(&[])?, sides.oracle.start(&[])?);
    let (mut ours, mut theirs) = (subject.conn()?, oracle.conn()?);
    ours.hello(3)?;
    theirs.hello(3)?;
    let known = names(&mut theirs)?;
    for name in names(&mut ours)?.iter().filter(|name| known.contains(name)) {
        for ask in [info, documentation] {
            let (mut found, expected) = (ask(&mut ours, name)?, ask(&mut theirs, name)?);
            if field(&expected, "group") == Some("module".into()) {
                found = only_fields_of(&expected, &found);
            }
            report.check(found == expected, || {
                format!("metadata of {name}\n--- subject\n{}\n--- oracle\n{}", show(&found), show(&expected))
            });
        }
    }
    Ok(report)
}

/// The text of a field of a map.
fn field(reply: &Reply, name: &str) -> Option<String> {
    let Reply::Map(fields) = reply else { return None };
    fields.iter().find(|(field, _)| field.text() == name).map(|(_, value)| value.text())
}

/// What `found` has of the fields of `expected`.
fn only_fields_of(expected: &Reply, found: &Reply) -> Reply {
    let (Reply::Map(expected), Reply::Map(found)) = (expected, found) else { return found.clone() };
    let is_asked = |name: &Reply| expected.iter().any(|(field, _)| field == name);
    Reply::Map(found.iter().filter(|(field, _)| is_asked(field)).cloned().collect())
}

fn names(conn: &mut Conn) -> Result<Vec<String>> {
    let reply = conn.must("COMMAND LIST")?;
    let mut names: Vec<String> = reply.items().context("an array")?.iter().map(Reply::text).collect();
    names.sort();
    Ok(names)
}

/// All but the subcommands, which are asked for by themselves.
fn info(conn: &mut Conn, name: &str) -> Result<Reply> {
    let reply = ask(conn, "COMMAND INFO", name)?;
    let Some([Reply::Array(fields)]) = reply.items() else { bail!("COMMAND INFO {name}: {}", show(&reply)) };
    Ok(Reply::Array(fields[..fields.len().min(9)].iter().map(in_order).collect()))
}

fn documentation(conn: &mut Conn, name: &str) -> Result<Reply> {
    let reply = ask(conn, "COMMAND DOCS", name)?;
    let Reply::Map(entries) = &reply else { bail!("COMMAND DOCS {name}: {}", show(&reply)) };
    let Some((_, Reply::Map(fields))) = entries.first() else { bail!("COMMAND DOCS {name}: {}", show(&reply)) };
    let fields = fields.iter().filter(|(field, _)| field.text() != "subcommands");
    Ok(in_order(&Reply::Map(fields.map(|(field, value)| (field.clone(), documented(field, value))).collect())))
}

fn ask(conn: &mut Conn, command: &str, name: &str) -> Result<Reply> {
    conn.call(&[words(command), vec![name.as_bytes().to_vec()]].concat())
}

/// The value of a field without what came after the reference, and without prose.
fn documented(field: &Reply, value: &Reply) -> Reply {
    let Some(items) = value.items() else { return value.clone() };
    match field.text().as_str() {
        "history" => {
            let versions = items.iter().filter_map(|line| line.items()?.first());
            Reply::Array(versions.filter(|version| !is_later(&version.text())).cloned().collect())
        }
        "arguments" => Reply::Array(items.iter().filter_map(argument).collect()),
        _ => value.clone(),
    }
}

/// An argument, unless it came after the reference.
fn argument(argument: &Reply) -> Option<Reply> {
    let Reply::Map(fields) = argument else { return Some(argument.clone()) };
    if fields.iter().any(|(field, value)| field.text() == "since" && is_later(&value.text())) {
        return None;
    }
    Some(Reply::Map(fields.iter().map(|(field, value)| (field.clone(), documented(field, value))).collect()))
}

fn is_later(version: &str) -> bool {
    let mut numbers = [0; 3];
    for (number, text) in numbers.iter_mut().zip(version.split('.')) {
        *number = text.parse().unwrap_or(0);
    }
    numbers > REFERENCE
}

/// The same with everything that has no order sorted, and without prose.
fn in_order(reply: &Reply) -> Reply {
    match reply {
        Reply::Set(items) => {
            let mut items: Vec<Reply> = items.iter().map(in_order).collect();
            items.sort();
            Reply::Set(items)
        }
        Reply::Array(items) => Reply::Array(items.iter().map(in_order).collect()),
        Reply::Map(fields) => {
            let told = fields.iter().filter(|(field, _)| !PROSE.contains(&field.text().as_str()));
            let mut fields: Vec<(Reply, Reply)> = told.map(|(field, value)| (field.clone(), in_order(value))).collect();
            fields.sort();
            Reply::Map(fields)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    #[test]
    fn later_versions_are_left_out_and_nothing_else() {
        let argument = |name: &str, since: &str| {
            Reply::Map(vec![(text("name"), text(name)), (text("since"), text(since)), (text("summary"), text("x"))])
        };
        let tree = Reply::Array(vec![argument("old", "6.2.0"), argument("this", "8.2.3"), argument("new", "8.4.0")]);
        let kept = in_order(&documented(&text("arguments"), &tree));
        let expected =
            |name: &str, since: &str| Reply::Map(vec![(text("name"), text(name)), (text("since"), text(since))]);
        assert_eq!(kept, Reply::Array(vec![expected("old", "6.2.0"), expected("this", "8.2.3")]));
        let history =
            Reply::Set(["7.0.0", "8.10.0"].map(|version| Reply::Array(vec![text(version), text("x")])).into());
        assert_eq!(documented(&text("history"), &history), Reply::Array(vec![text("7.0.0")]));
    }
}
