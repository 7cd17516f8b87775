//! Scripted comparison: text files of commands, run on both servers in RESP2 and in RESP3.
//!
//! One command a line, quoted as in redis-cli; `#` starts a comment line. Directives in front of a command loosen the
//! comparison of its reply, directives alone on a line steer the run; `docs/testing.md` lists them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::compare::{Rule, agree, normalize};
use crate::control::{Control, Outcome};
use crate::effects::{self, Watch};
use crate::known::Known;
use crate::pair::{Pair, PairConn, Replies, Sides};
use crate::quote::{join, split};
use crate::report::Report;
use crate::resp::Reply;
use crate::show::show;

/// How long a polling directive waits.
const POLL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a reply may take in a script that blocks, where waiting for one that never comes is a likely failure.
const BLOCKED_REPLY_TIMEOUT: Duration = Duration::from_secs(8);
/// After so many differences in one file the rest is not run: they have one cause, or the servers have diverged.
const DIFFERENCES_MAX: usize = 25;

/// One line of a script.
#[derive(Debug)]
struct Step {
    line: usize,
    text: String,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Command(Check),
    /// Send one command line several times with `{i}` replaced by 0, 1, 2, …
    Repeat(usize, String, Rule),
    /// Walk a cursor to its end and compare everything found.
    ScanAll(Vec<Vec<u8>>),
    Raw(usize, Vec<u8>),
    Config(String, String),
    Flush,
    Protocol(u8),
    Connection(String),
    Read(Check),
    /// Send a command, if any, and read all that is there.
    All(Check),
    Closed(Vec<Vec<u8>>),
    /// Poll a command until both sides give the reply shown.
    Until(String, Vec<Vec<u8>>),
    /// Send a command and wait until it has blocked the connection.
    Blocks(Vec<Vec<u8>>),
    /// Send a command; its reply is read later.
    Send(Vec<Vec<u8>>),
    /// Nothing has come on this connection.
    Silent,
    /// Close a connection and wait until both servers have noticed.
    Kill(String),
    /// Poll INFO until so many clients are blocked.
    BlockedClients(i64),
    /// The reply to a command may not come before so many milliseconds have passed.
    Takes(Since, u64, Check),
}

/// From when on a wait is measured.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// From sending the command itself.
    Sending,
    /// From the start of the step before it.
    StepBefore,
}

#[derive(Debug)]
struct Check {
    args: Vec<Vec<u8>>,
    rule: Rule,
    patterns: Vec<Vec<u8>>,
}

/// A parsed script.
#[derive(Debug)]
pub struct Script {
    path: PathBuf,
    start_args: Vec<String>,
    protocols: Vec<u8>,
    steps: Vec<Step>,
}

impl Script {
    /// Reads and parses a file; every mistake names its line.
    pub fn load(path: &Path) -> Result<Script> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Script::parse(path, &text)
    }

    /// Parses the text of a script.
    pub fn parse(path: &Path, text: &str) -> Result<Script> {
        let mut script =
            Script { path: path.to_path_buf(), start_args: Vec::new(), protocols: vec![2, 3], steps: Vec::new() };
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            script.add(i + 1, line).with_context(|| format!("{}:{}: {line}", path.display(), i + 1))?;
        }
        Ok(script)
    }

    /// True when it needs to know clients by their ids.
    fn blocks(&self) -> bool {
        const DIRECTIVES: &[&str] = &["@blocks", "@silent", "@kill", "@blocked"];
        self.steps.iter().any(|s| DIRECTIVES.iter().any(|d| s.text.starts_with(d)) || s.text.contains("{id:"))
    }

    fn add(&mut self, line: usize, text: &str) -> Result<()> {
        let args = split(text).context("quotes do not match")?;
        let word = |i: usize| String::from_utf8_lossy(args.get(i).map(Vec::as_slice).unwrap_or_default()).into_owned();
        match word(0).as_str() {
            "@start" => self.start_args = (1..args.len()).map(word).collect(),
            "@protocols" => self.protocols = (1..args.len()).map(|i| word(i).parse()).collect::<Result<_, _>>()?,
            _ => self.steps.push(Step { line, text: text.to_string(), action: action(&args, text)? }),
        }
        Ok(())
    }
}

fn action(args: &[Vec<u8>], text: &str) -> Result<Action> {
    let word = |i: usize| args.get(i).map(|w| String::from_utf8_lossy(w).into_owned()).context("too few words");
    Ok(match word(0)?.as_str() {
        "@repeat" => {
            let rest = text.splitn(3, ' ').nth(2).context("nothing to repeat")?;
            match rest.strip_prefix("@ignore-reply ") {
                Some(rest) => Action::Repeat(word(1)?.parse()?, rest.to_string(), Rule::Ignore),
                None => Action::Repeat(word(1)?.parse()?, rest.to_string(), Rule::Exact),
            }
        }
        "@scan" => Action::ScanAll(args[1..].to_vec()),
        "@raw" => Action::Raw(word(1)?.parse()?, args.get(2).context("no bytes")?.clone()),
        "@config" => Action::Config(word(1)?, word(2)?),
        "@flush" => Action::Flush,
        "@resp2" => Action::Protocol(2),
        "@resp3" => Action::Protocol(3),
        "@conn" => Action::Connection(word(1)?),
        "@read" => Action::Read(check(&args[1..])?),
        "@all" => Action::All(check(&args[1..])?),
        "@closed" => Action::Closed(args[1..].to_vec()),
        "@until-gone" => Action::Until("(integer) 0".into(), vec![b"EXISTS".to_vec(), args[1].clone()]),
        "@until" => Action::Until(word(1)?, args[2..].to_vec()),
        "@blocks" => Action::Blocks(args[1..].to_vec()),
        "@send" => Action::Send(args[1..].to_vec()),
        "@silent" => Action::Silent,
        "@kill" => Action::Kill(word(1)?),
        "@blocked" => Action::BlockedClients(word(1)?.parse()?),
        "@takes" => Action::Takes(Since::Sending, word(1)?.parse()?, check(&args[2..])?),
        "@since" => Action::Takes(Since::StepBefore, word(1)?.parse()?, check(&args[2..])?),
        _ => Action::Command(check(args)?),
    })
}

/// Reads the loosening directives in front of a command.
fn check(args: &[Vec<u8>]) -> Result<Check> {
    let mut check = Check { args: Vec::new(), rule: Rule::Exact, patterns: Vec::new() };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_slice() {
            b"@unordered" => check.rule = Rule::Unordered,
            b"@pairs" => check.rule = Rule::Pairs,
            b"@shape" => check.rule = Rule::Shape,
            b"@types-only" => check.rule = Rule::Type,
            b"@ignore-reply" => check.rule = Rule::Ignore,
            b"@near" | b"@clock" => {
                let n = words.next().context("a tolerance is a number")?;
                let n = String::from_utf8_lossy(n).parse()?;
                check.rule = if word == b"@near" { Rule::Near(n) } else { Rule::Clock(n) };
            }
            b"@normalize" => check.patterns.push(words.next().context("@normalize needs a pattern")?.clone()),
            w if w.first() == Some(&b'@') => {
                bail!("unknown directive {}", String::from_utf8_lossy(w))
            }
            _ => {
                check.args.push(word.clone());
                check.args.extend(words.by_ref().cloned());
            }
        }
    }
    Ok(check)
}

/// Runs a script against fresh servers, once per protocol.
pub fn run(script: &Script, sides: &Sides, known: &Known) -> Result<Report> {
    let mut report = Report::default();
    for &protocol in &script.protocols {
        let extra: Vec<&str> = script.start_args.iter().map(String::as_str).collect();
        let mut pair = sides.start(&extra)?;
        let mut run = Run::new(script, &pair, protocol, known)?;
        let outcome = run.all(script);
        report.merge(run.report);
        if let Err(error) = outcome {
            let died =
                if pair.alive() { String::new() } else { format!("\nserver output:\n{}", pair.subject.output()) };
            report.failures.push(format!("RESP{protocol}: {error:#}{died}"));
        }
    }
    Ok(report)
}

/// Runs a script once, and compares what the servers write into their append-only files instead of what they answer.
pub fn run_for_effects(script: &Script, sides: &Sides, known: &Known) -> Result<Report> {
    let mut extra: Vec<&str> = script.start_args.iter().map(String::as_str).collect();
    extra.extend(effects::ARGUMENTS);
    let mut pair = sides.start(&extra)?;
    let mut watch = Watch::new(&pair)?;
    let mut run = Run::new(script, &pair, script.protocols[0], known)?;
    let outcome = run.all_for_effects(script, &mut watch);
    let path = run.path;
    if let Err(error) = outcome {
        let died = if pair.alive() { String::new() } else { format!("\nserver output:\n{}", pair.subject.output()) };
        watch.report.failures.push(format!("{path}: {error:#}{died}"));
    }
    watch.finish(&path)?;
    Ok(watch.report)
}

/// Runs every `*.txt` of a folder that is a script; `filter` narrows it to one name.
pub fn run_folder(dir: &Path, filter: Option<&str>, sides: &Sides) -> Result<Report> {
    let known = Known::load()?;
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "txt") && p.file_name().is_some_and(|n| n != "known.txt"));
    paths.sort();
    let mut report = Report::default();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if filter.is_some_and(|f| f != stem) {
            continue;
        }
        let one = run(&Script::load(&path)?, sides, &known)?;
        println!("  script {stem}: {} passed, {} failed, {} known", one.passed, one.failures.len(), one.known);
        report.merge(one);
    }
    Ok(report)
}

struct Run<'a> {
    pair: &'a Pair,
    conns: HashMap<String, PairConn>,
    current: String,
    protocol: u8,
    report: Report,
    known: &'a Known,
    path: String,
    control: Option<Control>,
    /// Connections in a blocking command whose reply has not been read.
    waiting: HashSet<String>,
    step_started: Instant,
}

impl<'a> Run<'a> {
    fn new(script: &Script, pair: &'a Pair, protocol: u8, known: &'a Known) -> Result<Run<'a>> {
        let path = script.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let control = if script.blocks() { Some(Control::open(pair)?) } else { None };
        Ok(Run {
            pair,
            conns: HashMap::new(),
            current: "main".into(),
            protocol,
            report: Report::default(),
            known,
            path,
            control,
            waiting: HashSet::new(),
            step_started: Instant::now(),
        })
    }

    fn all(&mut self, script: &Script) -> Result<()> {
        for step in &script.steps {
            self.step(step).with_context(|| format!("{}:{}: {}", self.path, step.line, step.text))?;
            if self.report.failures.len() >= DIFFERENCES_MAX {
                bail!("{}: stopped after {DIFFERENCES_MAX} differences", self.path);
            }
        }
        Ok(())
    }

    fn all_for_effects(&mut self, script: &Script, watch: &mut Watch) -> Result<()> {
        for step in &script.steps {
            let place = format!("{}:{}", self.path, step.line);
            self.step(step).with_context(|| format!("{place}: {}", step.text))?;
            watch.compare(&place, &step.text)?;
            if watch.report.failures.len() >= DIFFERENCES_MAX {
                bail!("{}: stopped after {DIFFERENCES_MAX} differences", self.path);
            }
        }
        Ok(())
    }

    /// The current connection, opened on first use with the protocol of this run.
    fn conn(&mut self) -> Result<&mut PairConn> {
        if !self.conns.contains_key(&self.current) {
            let mut conn = self.pair.conn()?;
            if self.control.is_some() {
                conn.learn_ids()?;
                conn.set_timeout(BLOCKED_REPLY_TIMEOUT)?;
            }
            if self.protocol == 3 {
                conn.hello(3)?;
            }
            self.conns.insert(self.current.clone(), conn);
        }
        Ok(self.conns.get_mut(&self.current).expect("the connection was put in above"))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let before = self.step_started;
        // Going on with another connection is not a step that time is measured from.
        if !matches!(step.action, Action::Connection(_)) {
            self.step_started = Instant::now();
        }
        match &step.action {
            Action::Command(check) => {
                self.send(&check.args)?;
                self.read(step, check)?;
            }
            Action::Read(check) => self.read(step, check)?,
            Action::Blocks(args) => self.blocks(step, args)?,
            Action::Send(args) => self.send(args)?,
            Action::Silent => self.silent(step)?,
            Action::Kill(name) => self.kill(name)?,
            Action::BlockedClients(count) => {
                self.control()?.wait_blocked_clients(*count)?;
                self.report.passed += 1;
            }
            Action::Takes(since, ms, check) => {
                let start = if matches!(since, Since::StepBefore) { before } else { Instant::now() };
                self.takes(step, start + Duration::from_millis(*ms), check)?;
            }
            Action::All(check) => {
                let conn = self.conn()?;
                let replies = Replies {
                    subject: all(&mut conn.subject, &check.args)?,
                    oracle: all(&mut conn.oracle, &check.args)?,
                };
                self.judge(step, check, &replies);
            }
            Action::Repeat(count, line, rule) => self.repeat(step, *count, line, *rule)?,
            Action::ScanAll(args) => self.scan_all(step, args)?,
            Action::Raw(count, bytes) => self.raw(step, *count, bytes)?,
            Action::Config(name, value) => self.conn()?.must(&join(&[
                b"CONFIG".into(),
                b"SET".into(),
                name.clone().into(),
                value.clone().into(),
            ]))?,
            Action::Flush => self.conn()?.must("FLUSHALL")?,
            Action::Protocol(version) => self.conn()?.hello(*version)?,
            Action::Connection(name) => self.current = name.clone(),
            Action::Closed(args) => self.closed(args)?,
            Action::Until(text, args) => self.until(text, args)?,
        }
        Ok(())
    }

    fn control(&mut self) -> Result<&mut Control> {
        self.control.as_mut().context("only a script that blocks has a control connection")
    }

    /// Sends a command on the current connection, with the ids that each server knows where it says `{id:NAME}`.
    fn send(&mut self, args: &[Vec<u8>]) -> Result<()> {
        let (mut subject, mut oracle) = (args.to_vec(), args.to_vec());
        for i in 0..args.len() {
            if let Some(name) = placeholder(&args[i]) {
                let conn = self.conns.get(&name).with_context(|| format!("no connection {name:?} yet"))?;
                let ids = conn.known_ids()?;
                subject[i] = ids.subject.to_string().into_bytes();
                oracle[i] = ids.oracle.to_string().into_bytes();
            }
        }
        let conn = self.conn()?;
        conn.subject.send(&subject)?;
        conn.oracle.send(&oracle)
    }

    fn read(&mut self, step: &Step, check: &Check) -> Result<()> {
        let replies = self.conn()?.read()?;
        self.waiting.remove(&self.current);
        self.judge(step, check, &replies);
        Ok(())
    }

    /// Afterwards both servers show this client as blocked. If one does not, the two have parted and the script ends.
    fn blocks(&mut self, step: &Step, args: &[Vec<u8>]) -> Result<()> {
        self.send(args)?;
        self.blocked(step, Control::outcomes)?;
        self.waiting.insert(self.current.clone());
        Ok(())
    }

    fn blocked(
        &mut self,
        step: &Step,
        look: impl Fn(&mut Control, &mut PairConn) -> Result<[Outcome; 2]>,
    ) -> Result<()> {
        let control = self.control.as_mut().context("no control connection")?;
        let conn = self.conns.get_mut(&self.current).context("the connection is open")?;
        match look(control, conn)? {
            [Outcome::Blocked, Outcome::Blocked] => {
                self.report.passed += 1;
                Ok(())
            }
            [subject, oracle] => {
                let words = |outcome: &Outcome| match outcome {
                    Outcome::Blocked => "(blocked)".to_string(),
                    Outcome::Answered(reply) => show(reply),
                };
                bail!("{}\n--- subject\n{}\n--- oracle\n{}", step.text, words(&subject), words(&oracle))
            }
        }
    }

    /// A client that waits is still blocked; any other one gets the reply to a PING and nothing before it.
    fn silent(&mut self, step: &Step) -> Result<()> {
        if self.waiting.contains(&self.current) {
            return self.blocked(step, Control::still_blocked);
        }
        for _ in 0..2 {
            let ping = Check { args: vec![b"PING".to_vec()], rule: Rule::Exact, patterns: Vec::new() };
            self.send(&ping.args)?;
            let replies = self.conn()?.read()?;
            let is_pong = |reply: &Reply| reply.items().map_or_else(|| reply.text(), |items| items[0].text());
            let silent = [&replies.subject, &replies.oracle].iter().all(|r| is_pong(r).eq_ignore_ascii_case("pong"));
            if !silent {
                self.differ(step, "PING", &replies);
                bail!("something came before the reply to PING");
            }
            self.judge(step, &ping, &replies);
        }
        Ok(())
    }

    fn kill(&mut self, name: &str) -> Result<()> {
        let conn = self.conns.remove(name).with_context(|| format!("no connection {name:?}"))?;
        self.waiting.remove(name);
        let ids = conn.known_ids()?;
        drop(conn);
        self.control()?.wait_gone(ids)?;
        self.report.passed += 1;
        Ok(())
    }

    /// Sends a command, or only reads when there is none, and looks at the clock when the subject has answered.
    fn takes(&mut self, step: &Step, earliest: Instant, check: &Check) -> Result<()> {
        if !check.args.is_empty() {
            self.send(&check.args)?;
        }
        let conn = self.conn()?;
        let subject = conn.subject.read().context("subject")?;
        let early = Instant::now() < earliest;
        let oracle = conn.oracle.read().context("oracle")?;
        self.waiting.remove(&self.current);
        self.judge(step, check, &Replies { subject, oracle });
        self.report.check(!early, || format!("{}:{}: {}: the reply came early", self.path, step.line, step.text));
        Ok(())
    }

    fn judge(&mut self, step: &Step, check: &Check, replies: &Replies) {
        let subject = normalize(&replies.subject, &check.patterns);
        let oracle = normalize(&replies.oracle, &check.patterns);
        if agree(check.rule, &subject, &oracle) {
            self.report.passed += 1;
        } else {
            self.differ(step, &join(&check.args), &Replies { subject, oracle });
        }
    }

    fn differ(&mut self, step: &Step, command: &str, replies: &Replies) {
        if self.known.covers(command) {
            self.report.known += 1;
            return;
        }
        let failure = format!(
            "{}:{} (RESP{}): {}\n--- subject\n{}\n--- oracle\n{}",
            self.path,
            step.line,
            self.protocol,
            step.text,
            show(&replies.subject),
            show(&replies.oracle)
        );
        self.report.failures.push(failure);
    }

    fn repeat(&mut self, step: &Step, count: usize, line: &str, rule: Rule) -> Result<()> {
        let command = |i: usize| split(&line.replace("{i}", &i.to_string())).context("quotes do not match");
        let commands: Vec<Vec<Vec<u8>>> = (0..count).map(command).collect::<Result<_>>()?;
        for batch in commands.chunks(200) {
            let replies = self.conn()?.pipeline(batch)?;
            let wrong = replies.iter().position(|r| !agree(rule, &r.subject, &r.oracle));
            match wrong {
                None => self.report.passed += 1,
                Some(i) => self.differ(step, &join(&batch[i]), &replies[i]),
            }
        }
        Ok(())
    }

    /// The cursor is the first argument that is `0`; both sides are walked to the end on their own.
    fn scan_all(&mut self, step: &Step, args: &[Vec<u8>]) -> Result<()> {
        let protocol = self.protocol;
        let conn = self.conn()?;
        let subject = walk(&mut conn.subject, args, protocol).context("subject")?;
        let oracle = walk(&mut conn.oracle, args, protocol).context("oracle")?;
        if subject == oracle {
            self.report.passed += 1;
        } else {
            let replies = Replies { subject: Reply::Array(subject), oracle: Reply::Array(oracle) };
            self.differ(step, &join(args), &replies);
        }
        Ok(())
    }

    fn raw(&mut self, step: &Step, count: usize, bytes: &[u8]) -> Result<()> {
        let conn = self.conn()?;
        conn.subject.send_raw(bytes)?;
        conn.oracle.send_raw(bytes)?;
        for _ in 0..count {
            let replies = self.conn()?.read()?;
            self.judge(step, &Check { args: vec![bytes.to_vec()], rule: Rule::Exact, patterns: Vec::new() }, &replies);
        }
        Ok(())
    }

    /// Sends the command, if any, and expects both servers to hang up; the connection is opened anew when used again.
    fn closed(&mut self, args: &[Vec<u8>]) -> Result<()> {
        let conn = self.conn()?;
        if !args.is_empty() {
            conn.subject.send(args)?;
            conn.oracle.send(args)?;
        }
        conn.oracle.wait_closed().context("oracle keeps the connection")?;
        conn.subject.wait_closed().context("subject keeps the connection")?;
        self.conns.remove(&self.current);
        self.waiting.remove(&self.current);
        self.report.passed += 1;
        Ok(())
    }

    fn until(&mut self, text: &str, args: &[Vec<u8>]) -> Result<()> {
        let deadline = Instant::now() + POLL_TIMEOUT;
        loop {
            let replies = self.conn()?.call(args)?;
            let (subject, oracle) = (show(&replies.subject), show(&replies.oracle));
            if subject == text && oracle == text {
                self.report.passed += 1;
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("never became {text}: subject {subject}, oracle {oracle}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The name in `{id:NAME}`.
fn placeholder(arg: &[u8]) -> Option<String> {
    let name = arg.strip_prefix(b"{id:")?.strip_suffix(b"}")?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Sends a command, if any, and reads its reply and everything else that was sent before a PING is answered.
fn all(conn: &mut crate::conn::Conn, args: &[Vec<u8>]) -> Result<Reply> {
    const MARK: &[u8] = b"that is all";
    if !args.is_empty() {
        conn.send(args)?;
    }
    conn.send(&[b"PING".to_vec(), MARK.to_vec()])?;
    let mut replies = Vec::new();
    loop {
        let reply = conn.read()?;
        // In RESP2 those who listen to channels are answered otherwise.
        let text = reply.items().and_then(<[Reply]>::last).unwrap_or(&reply);
        if text.bytes() == Some(MARK) {
            return Ok(Reply::Array(replies));
        }
        replies.push(reply);
    }
}

/// Everything a cursor command finds, sorted, each element once.
fn walk(conn: &mut crate::conn::Conn, args: &[Vec<u8>], protocol: u8) -> Result<Vec<Reply>> {
    let cursor_at = args.iter().position(|a| a == b"0").context("no cursor 0 in the command")?;
    let paired = scans_pairs(args);
    let mut args = args.to_vec();
    let mut found = Vec::new();
    for _ in 0..100_000 {
        let reply = conn.call(&args)?;
        let Some([Reply::Bulk(cursor), items]) = reply.items() else {
            return Ok(vec![reply]);
        };
        let items = items.items().context("elements are not an array")?;
        let width = if paired { 2 } else { 1 };
        found.extend(items.chunks(width).map(|c| Reply::Array(c.to_vec())));
        if cursor == b"0" {
            found.sort();
            found.dedup();
            return Ok(found);
        }
        args[cursor_at] = cursor.clone();
    }
    bail!("the cursor never came back to 0 (RESP{protocol})")
}

fn scans_pairs(args: &[Vec<u8>]) -> bool {
    let name = args[0].to_ascii_uppercase();
    let novalues = args.iter().any(|a| a.eq_ignore_ascii_case(b"NOVALUES"));
    name == b"ZSCAN" || (name == b"HSCAN" && !novalues)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_parses() {
        let mut count = 0;
        for entry in fs::read_dir(crate::tests_dir().join("diff")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|n| n != "known.txt") {
                assert!(!Script::load(&path).unwrap().steps.is_empty(), "{}", path.display());
                count += 1;
            }
        }
        assert!(count >= 8, "only {count} scripts found");
    }

    #[test]
    fn scripts_that_block_are_recognised() {
        let blocks = |text| Script::parse(Path::new("x.txt"), text).unwrap().blocks();
        assert!(blocks("@blocks BLPOP a 0") && blocks("CLIENT UNBLOCK {id:w}") && blocks("@silent"));
        assert!(!blocks("BLPOP a 0"));
        assert_eq!(placeholder(b"{id:w}"), Some("w".into()));
    }

    #[test]
    fn mistakes_are_reported() {
        let parse = |text| Script::parse(Path::new("x.txt"), text);
        assert!(parse("GET \"a").is_err());
        assert!(parse("@nonsense GET a").is_err());
        assert!(parse("@near x TTL a").is_err());
        assert!(parse("@blocked many").is_err());
        assert!(parse("@takes soon PING").is_err());
        assert!(parse("@kill").is_err());
        assert_eq!(parse("# c\n\n@unordered KEYS *").unwrap().steps.len(), 1);
    }
}
