//! Grammar files: one command template a line, from which random commands are drawn.
//!
//! ```text
//! expire = EX <ttl> | PX <ttl-ms>          # a definition: alternatives of words
//! 5 SET <key> <value> [ <expire> ] [ ( NX | XX ) ]
//! 2 @unordered SMEMBERS <key>
//! 1 @shape SPOP <key> && DEL <=>
//! ```
//!
//! A template starts with its weight and the rule for comparing its reply, as in scripts. `<name>` is a definition or a
//! generator of [`super::words`], `[ … ]` comes in half of all cases, `{ … }` one to four times, `( a | b )` is a
//! choice; these marks are words of their own. `&&` adds a command that always follows, and `<=>` repeats the first key.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::words::Words;
use crate::compare::Rule;
use crate::quote::split;

/// One command of a random run and how its reply is compared.
#[derive(Clone, Debug)]
pub struct Command {
    /// The name and its arguments.
    pub args: Vec<Vec<u8>>,
    /// The rule for its reply.
    pub rule: Rule,
}

#[derive(Clone, Debug)]
enum Node {
    Literal(Vec<u8>),
    Name(String),
    Optional(Box<Node>),
    Repeated(Box<Node>),
    Choice(Vec<Node>),
    Sequence(Vec<Node>),
}

#[derive(Debug)]
struct Template {
    weight: usize,
    rule: Rule,
    commands: Vec<Node>,
    /// Only its tail may be mutated: another value in the middle could make a key expire during the run, ask for
    /// billions of random members, give a key for lexicographic ranges another score, leave no memory for writes, ask for a set
    /// unsorted, block for a moment, take an id from the clock, name another client on each side, ask for huge vectors, or let a
    /// string grow unnoticed.
    delicate: bool,
}

/// The templates of one group.
#[derive(Debug, Default)]
pub struct Grammar {
    templates: Vec<Template>,
    definitions: HashMap<String, Node>,
    total_weight: usize,
}

impl Grammar {
    /// Reads `tests/random/NAME.grammar` for each name.
    pub fn load(names: &[&str]) -> Result<Grammar> {
        let mut grammar = Grammar::default();
        for name in names {
            let path = crate::tests_dir().join(format!("random/{name}.grammar"));
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            for (i, line) in text.lines().enumerate() {
                grammar.line(line.trim()).with_context(|| format!("{}:{}: {line}", path.display(), i + 1))?;
            }
        }
        ensure!(!grammar.templates.is_empty(), "a grammar without templates");
        grammar.check_names()?;
        Ok(grammar)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let words = split(line).context("quotes do not match")?;
        if words.get(1).is_some_and(|w| w == b"=") {
            let name = String::from_utf8(words[0].clone())?;
            self.definitions.insert(name, parse(&words[2..])?);
            return Ok(());
        }
        let weight: usize =
            String::from_utf8(words[0].clone())?.parse().context("a template starts with its weight")?;
        let (rule, rest) = rule(&words[1..])?;
        let commands = rest.split(|w| w == b"&&").map(parse).collect::<Result<Vec<_>>>()?;
        let delicate = !matches!(rule, Rule::Exact) || rest.iter().any(|w| is_delicate(w));
        self.total_weight += weight;
        self.templates.push(Template { weight, rule, commands, delicate });
        Ok(())
    }

    /// Every name is a definition or a generator.
    fn check_names(&self) -> Result<()> {
        let mut names = Vec::new();
        self.templates.iter().flat_map(|t| &t.commands).for_each(|n| collect_names(n, &mut names));
        self.definitions.values().for_each(|n| collect_names(n, &mut names));
        for name in names {
            if name != "=" && !self.definitions.contains_key(name) && !Words::knows(name) {
                bail!("<{name}> is neither defined nor a generator");
            }
        }
        Ok(())
    }

    /// Draws one template and appends its commands.
    pub fn draw(&self, words: &mut Words, out: &mut Vec<Command>) {
        let mut at = words.rng.below(self.total_weight);
        let template = self.templates.iter().find(|t| {
            let hit = at < t.weight;
            at = at.wrapping_sub(if hit { 0 } else { t.weight });
            hit
        });
        let template = template.expect("the weights add up to the total");
        words.forget_key();
        for (i, node) in template.commands.iter().enumerate() {
            let mut args = Vec::new();
            self.expand(node, words, &mut args);
            if i == 0 && words.rng.chance(4) {
                words.mutate(&mut args, template.delicate);
            }
            let rule = if i == 0 { template.rule } else { Rule::Exact };
            out.push(Command { args, rule });
        }
    }

    fn expand(&self, node: &Node, words: &mut Words, out: &mut Vec<Vec<u8>>) {
        match node {
            Node::Literal(word) => out.push(word.clone()),
            Node::Name(name) => match self.definitions.get(name) {
                Some(definition) => self.expand(definition, words, out),
                None => out.push(words.generate(name)),
            },
            Node::Optional(inner) if words.rng.chance(50) => self.expand(inner, words, out),
            Node::Optional(_) => {}
            Node::Repeated(inner) => {
                let times = words.repetitions();
                (0..times).for_each(|_| self.expand(inner, words, out));
            }
            Node::Choice(options) => {
                let at = words.rng.below(options.len());
                self.expand(&options[at], words, out);
            }
            Node::Sequence(nodes) => nodes.iter().for_each(|n| self.expand(n, words, out)),
        }
    }
}

fn collect_names<'a>(node: &'a Node, names: &mut Vec<&'a str>) {
    match node {
        Node::Literal(_) => {}
        Node::Name(name) => names.push(name),
        Node::Optional(inner) | Node::Repeated(inner) => collect_names(inner, names),
        Node::Choice(nodes) | Node::Sequence(nodes) => nodes.iter().for_each(|n| collect_names(n, names)),
    }
}

fn is_delicate(word: &[u8]) -> bool {
    const DELICATE: [&[u8]; 15] = [
        b"REDUCE",
        b"VALUES",
        b"<vector",
        b"<ttl",
        b"<abs",
        b"<expire",
        b"<lex",
        b"<idle",
        b"<new-id",
        b"maxmemory",
        b"h_*",
        b"<timeout",
        b"<block-ms",
        b"<client",
        b"FAIL",
    ];
    DELICATE.iter().any(|t| word.starts_with(t))
}

fn rule(words: &[Vec<u8>]) -> Result<(Rule, &[Vec<u8>])> {
    let Some(first) = words.first() else { bail!("a template without a command") };
    let rule = match first.as_slice() {
        b"@unordered" => Rule::Unordered,
        b"@pairs" => Rule::Pairs,
        b"@scan" => Rule::Scan,
        b"@scan-pairs" => Rule::ScanPairs,
        b"@shape" => Rule::Shape,
        b"@types-only" => Rule::Type,
        b"@ignore-reply" => Rule::Ignore,
        b"@near" | b"@clock" => {
            let n = words.get(1).context("a tolerance is a number")?;
            let n = String::from_utf8_lossy(n).parse()?;
            return Ok((if first == b"@near" { Rule::Near(n) } else { Rule::Clock(n) }, &words[2..]));
        }
        w if w.starts_with(b"@") => bail!("unknown rule {}", String::from_utf8_lossy(w)),
        _ => return Ok((Rule::Exact, words)),
    };
    Ok((rule, &words[1..]))
}

/// Parses words, which may be alternatives.
fn parse(words: &[Vec<u8>]) -> Result<Node> {
    let mut at = 0;
    let node = alternatives(words, &mut at)?;
    ensure!(at == words.len(), "a closing mark without an opening one");
    Ok(node)
}

fn alternatives(words: &[Vec<u8>], at: &mut usize) -> Result<Node> {
    let mut options = vec![sequence(words, at)?];
    while words.get(*at).is_some_and(|w| w == b"|") {
        *at += 1;
        options.push(sequence(words, at)?);
    }
    Ok(if options.len() == 1 { options.remove(0) } else { Node::Choice(options) })
}

fn sequence(words: &[Vec<u8>], at: &mut usize) -> Result<Node> {
    let mut nodes = Vec::new();
    while let Some(word) = words.get(*at) {
        match word.as_slice() {
            b"|" | b"]" | b"}" | b")" => break,
            b"[" => nodes.push(Node::Optional(Box::new(group(words, at, b"]")?))),
            b"{" => nodes.push(Node::Repeated(Box::new(group(words, at, b"}")?))),
            b"(" => nodes.push(group(words, at, b")")?),
            w if w.starts_with(b"<") && w.ends_with(b">") && w.len() > 2 => {
                nodes.push(Node::Name(String::from_utf8(w[1..w.len() - 1].to_vec())?));
            }
            w => nodes.push(Node::Literal(w.to_vec())),
        }
        *at += 1;
    }
    Ok(Node::Sequence(nodes))
}

/// The inside of a bracket; leaves `at` on the closing mark.
fn group(words: &[Vec<u8>], at: &mut usize, close: &[u8]) -> Result<Node> {
    *at += 1;
    let node = alternatives(words, at)?;
    ensure!(words.get(*at).is_some_and(|w| w == close), "{:?} is missing", String::from_utf8_lossy(close));
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_draws_well_formed_commands() {
        let mut groups: Vec<Vec<&str>> =
            crate::random::GROUPS.iter().map(|group| crate::random::files(group)).collect();
        groups.extend([vec!["coordination"], vec!["coordination_blocking"]]);
        for files in groups {
            let grammar = Grammar::load(&files).unwrap();
            let mut words = Words::new(7, 40);
            let mut commands = Vec::new();
            while commands.len() < 3000 {
                grammar.draw(&mut words, &mut commands);
            }
            assert!(commands.iter().all(|c| !c.args.is_empty()), "{files:?}");
        }
    }

    #[test]
    fn mistakes_are_found() {
        let mut grammar = Grammar::default();
        assert!(grammar.line("SET <key>").is_err());
        assert!(grammar.line("1 SET [ <key>").is_err());
        assert!(grammar.line("1 SET <key> ]").is_err());
        grammar.line("1 SET <nosuch>").unwrap();
        assert!(grammar.check_names().is_err());
    }
}
