//! Random comparison: seeded commands of one group to both servers, in epochs that start from empty servers.
//!
//! The commands of an epoch depend on the seed alone, never on replies, so an epoch can be replayed and thinned out:
//! a difference is shrunk to a short list of commands before it is reported ([`shrink`]). At the end of an epoch the
//! whole keyspace of both sides is compared ([`state`]).

mod acl;
mod events;
mod grammar;
mod interleaved;
mod lua;
mod shrink;
pub(crate) mod state;
mod words;

use std::collections::HashSet;

use anyhow::{Result, ensure};

use crate::compare::{Rule, agree};
use crate::effects::{self, Found, Watch};
use crate::known::Known;
use crate::pair::{Pair, PairConn, Replies, Sides};
use crate::quote::join;
use crate::report::Report;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::show::show;
use events::{Events, Heard};
use grammar::{Command, Grammar};
use words::Words;

/// The groups there are grammars for.
pub const GROUPS: &[&str] = &[
    "string",
    "list",
    "set",
    "zset",
    "hash",
    "stream",
    "bitmap",
    "hyperloglog",
    "geo",
    "vector_set",
    "generic",
    "server",
    "scripting",
    "acl",
    "memory",
];
/// The group of several clients in one interleaving, whose steps cost as much as dozens of pipelined commands.
pub const COORDINATION: &str = "coordination";
/// Commands between two empty servers; short enough to replay hundreds of times while shrinking.
const EPOCH: usize = 2500;
/// Commands sent before replies are read.
const BATCH: usize = 100;
/// After so many different failures a group stops.
const FAILURES_MAX: usize = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One of [`GROUPS`], or [`COORDINATION`].
    pub group: String,
    /// How many commands.
    pub count: usize,
    /// Decides everything that follows.
    pub seed: u64,
}

/// The commands of an epoch and the setting they run in.
#[derive(Clone, Debug)]
struct Epoch {
    protocol: u8,
    settings: &'static [&'static str],
    /// What else is compared.
    heard: Heard,
    commands: Vec<Command>,
}

/// A difference, with enough to recognise it while shrinking.
#[derive(Clone, Debug)]
struct Difference {
    signature: String,
    /// Index of the command; past the end when only the final state differs.
    at: usize,
    command: String,
    subject: String,
    oracle: String,
}

/// Low thresholds, so that a few dozen elements cross every conversion; and the defaults.
const SMALL: &[&str] = &[
    "hash-max-listpack-entries 8",
    "hash-max-listpack-value 20",
    "set-max-intset-entries 8",
    "set-max-listpack-entries 8",
    "set-max-listpack-value 20",
    "zset-max-listpack-entries 8",
    "zset-max-listpack-value 20",
    "list-max-listpack-size 4",
    "list-compress-depth 0",
    "stream-node-max-entries 4",
    "stream-node-max-bytes 4096",
    "hll-sparse-max-bytes 60",
];
const COMPRESSED: &[&str] = &[
    "hash-max-listpack-entries 16",
    "hash-max-listpack-value 64",
    "set-max-intset-entries 16",
    "set-max-listpack-entries 16",
    "set-max-listpack-value 64",
    "zset-max-listpack-entries 16",
    "zset-max-listpack-value 64",
    "list-max-listpack-size -1",
    "list-compress-depth 1",
    "stream-node-max-entries 0",
    "stream-node-max-bytes 200",
    "hll-sparse-max-bytes 300",
];
const DEFAULTS: &[&str] = &[
    "hash-max-listpack-entries 128",
    "hash-max-listpack-value 64",
    "set-max-intset-entries 512",
    "set-max-listpack-entries 128",
    "set-max-listpack-value 64",
    "zset-max-listpack-entries 128",
    "zset-max-listpack-value 64",
    "list-max-listpack-size -2",
    "list-compress-depth 0",
    "stream-node-max-entries 100",
    "stream-node-max-bytes 4096",
    "hll-sparse-max-bytes 3000",
];

/// The grammar files of a group.
fn files(group: &str) -> Vec<&str> {
    if ["server", "acl"].contains(&group) { vec![group] } else { vec!["common", group] }
}

/// Runs a plan on fresh servers.
pub fn run(plan: &Plan, sides: &Sides) -> Result<Report> {
    if plan.group == COORDINATION {
        return interleaved::run(plan, sides);
    }
    ensure!(GROUPS.contains(&plan.group.as_str()), "no group {:?}; there are {}", plan.group, GROUPS.join(", "));
    run_in(plan, &mut Arena::new(sides, false)?)
}

/// Runs a plan on fresh servers that keep append-only files, which are compared, too.
pub fn run_for_effects(plan: &Plan, sides: &Sides) -> Result<Report> {
    run_in(plan, &mut Arena::new(sides, true)?)
}

/// Runs a plan on fresh servers, which save their data and load it again now and then.
pub fn run_reloading(plan: &Plan, sides: &Sides) -> Result<Report> {
    let mut arena = Arena::new(sides, false)?;
    arena.reloads = true;
    run_in(plan, &mut arena)
}

fn run_in(plan: &Plan, arena: &mut Arena<'_>) -> Result<Report> {
    let grammar = Grammar::load(&files(&plan.group))?;
    let mut report = Report::default();
    let mut seen = HashSet::new();
    let mut done = 0;
    while done < plan.count && report.failures.len() < FAILURES_MAX {
        let mut epoch = epoch(&grammar, plan, done / EPOCH);
        if arena.reloads {
            reload_meanwhile(&mut epoch);
        }
        let differences = arena.replay(&epoch);
        report.passed += epoch.commands.len().saturating_sub(differences.len());
        done += epoch.commands.len();
        for difference in differences {
            if seen.insert(difference.signature.clone()) && report.failures.len() < FAILURES_MAX {
                let (cause, failure) = arena.explain(&epoch, &difference, plan);
                // What only follows from a difference that has been reported is not one more.
                if cause == difference.signature || seen.insert(cause) {
                    report.failures.push(failure);
                }
            }
        }
    }
    report.known = arena.known_count;
    println!("  random {}: {done} commands, {} differences, {} known", plan.group, seen.len(), report.known);
    Ok(report)
}

fn epoch(grammar: &Grammar, plan: &Plan, number: usize) -> Epoch {
    let seed = Rng::new(plan.seed ^ ((number as u64) << 32)).next_u64();
    let settings = [SMALL, DEFAULTS, COMPRESSED][number % 3];
    let mut words = Words::new(seed, [40, 300, 60][number % 3]);
    let mut commands = Vec::with_capacity(EPOCH + 4);
    while commands.len() < EPOCH.min(plan.count) {
        grammar.draw(&mut words, &mut commands);
    }
    // Users come and go there, and with them the rights of who listens.
    let quiet = ["server", "acl"].contains(&plan.group.as_str());
    // Every fourth time, so that all settings have their turn; commands of the group "server" change which events there are.
    let heard = match number % 4 {
        1 if !quiet => Heard::Events,
        3 if !quiet => Heard::Invalidations,
        _ => Heard::Nothing,
    };
    Epoch { protocol: if number.is_multiple_of(2) { 2 } else { 3 }, settings, heard, commands }
}

/// Adds a few times of saving and loading to an epoch, the last one at its end.
fn reload_meanwhile(epoch: &mut Epoch) {
    // In the middle of a transaction it is not possible here; what is loaded concerns everything that is watched and cached.
    epoch.heard = Heard::Nothing;
    let reload = Command { args: vec![b"DEBUG".to_vec(), b"RELOAD".to_vec()], rule: Rule::Exact };
    let discard = Command { args: vec![b"RESET".to_vec()], rule: Rule::Exact };
    let mut commands = Vec::new();
    for part in epoch.commands.chunks(EPOCH / 5) {
        commands.extend(part.iter().cloned());
        commands.extend([discard.clone(), reload.clone()]);
    }
    epoch.commands = commands;
    epoch.protocol = 2;
}

/// Both servers, replaced when one dies.
struct Arena<'a> {
    sides: &'a Sides,
    pair: Pair,
    known: Known,
    known_count: usize,
    /// Data is saved and loaded again now and then.
    reloads: bool,
    /// What is written into append-only files, if that is compared.
    watch: Option<Watch>,
}

impl<'a> Arena<'a> {
    fn new(sides: &'a Sides, writes_effects: bool) -> Result<Arena<'a>> {
        let pair = sides.start(if writes_effects { effects::ARGUMENTS } else { &[] })?;
        let watch = if writes_effects { Some(Watch::new(&pair)?) } else { None };
        Ok(Arena { sides, pair, known: Known::load()?, known_count: 0, reloads: false, watch })
    }

    /// Starts both servers again.
    fn restart(&mut self) -> Result<()> {
        self.pair = self.sides.start(if self.watch.is_some() { effects::ARGUMENTS } else { &[] })?;
        if self.watch.is_some() {
            self.watch = Some(Watch::new(&self.pair)?);
        }
        Ok(())
    }

    /// Runs an epoch from empty servers and returns its differences. A server that dies or hangs is a difference too,
    /// and the last one.
    fn replay(&mut self, epoch: &Epoch) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut at = 0;
        if let Err(error) = self.replay_into(epoch, &mut differences, &mut at) {
            differences.push(self.broken(epoch, at, &error));
        }
        differences
    }

    fn replay_into(&mut self, epoch: &Epoch, differences: &mut Vec<Difference>, at: &mut usize) -> Result<()> {
        let mut conn = self.prepare(epoch)?;
        let mut events = Events::listen(&self.pair, &mut conn, epoch.heard)?;
        for batch in epoch.commands.chunks(BATCH) {
            let mark = events.as_ref().map(|_| Events::mark());
            let args: Vec<Vec<Vec<u8>>> =
                batch.iter().flat_map(|command| std::iter::once(command.args.clone()).chain(mark.clone())).collect();
            let replies = conn.pipeline(&args)?;
            let heard = events.as_mut().map(|events| events.read(batch)).transpose()?;
            for (index, (command, replies)) in
                batch.iter().zip(replies.iter().step_by(args.len() / batch.len())).enumerate()
            {
                let line = join(&command.args);
                if !agree(command.rule, &replies.subject, &replies.oracle) {
                    self.note(differences, *at, line, replies);
                } else if let Some(heard) = heard.as_ref().map(|heard| &heard[index])
                    && !agree(events::rule(command), &heard.subject, &heard.oracle)
                {
                    self.note(differences, *at, format!("(heard) {line}"), heard);
                }
                *at += 1;
            }
            self.compare_effects(batch, *at, differences)?;
        }
        *at = epoch.commands.len();
        let mut conn = self.pair.conn()?;
        if let Some((command, replies)) = state::compare(&mut conn)? {
            self.note(differences, *at, format!("(state) {command}"), &replies);
        }
        Ok(())
    }

    /// Compares what a batch that ends before `at` has written into append-only files.
    fn compare_effects(&mut self, batch: &[Command], at: usize, differences: &mut Vec<Difference>) -> Result<()> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let text = batch.iter().map(|command| join(&command.args)).collect::<Vec<_>>().join("\n");
        if let Found::Differ { subject, oracle } = watch.difference(&text)? {
            let first = |lines: &str| name(lines.lines().next().unwrap_or_default());
            let signature = format!("effects|{}|{}", first(&subject), first(&oracle));
            differences.push(Difference { signature, at: at - 1, command: "(effects)".into(), subject, oracle });
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: &Epoch) -> Result<PairConn> {
        if !self.pair.alive() {
            self.restart()?;
        }
        let mut conn = self.pair.conn()?;
        conn.must("FLUSHALL")?;
        forget_users(&mut conn)?;
        conn.must("CONFIG SET notify-keyspace-events ''")?;
        for setting in epoch.settings {
            conn.must(&format!("CONFIG SET {setting}"))?;
        }
        if epoch.protocol == 3 {
            conn.hello(3)?;
        }
        if let Some(watch) = &mut self.watch {
            watch.skip()?;
        }
        Ok(conn)
    }

    fn note(&mut self, differences: &mut Vec<Difference>, at: usize, command: String, replies: &Replies) {
        if self.known.covers(&command) {
            self.known_count += 1;
            return;
        }
        let signature = format!("{}|{}|{}", name(&command), kind(&replies.subject), kind(&replies.oracle));
        let (subject, oracle) = (show(&replies.subject), show(&replies.oracle));
        differences.push(Difference { signature, at, command, subject, oracle });
    }

    /// A side stopped answering; both are started again.
    fn broken(&mut self, epoch: &Epoch, at: usize, error: &anyhow::Error) -> Difference {
        let output = self.pair.subject.output();
        let tail: Vec<&str> = output.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        let command = epoch.commands.get(at).map_or_else(|| "(state)".into(), |c| join(&c.args));
        let died = if self.pair.subject.alive() { "still runs" } else { "died" };
        // If it fails, the next epoch tries again.
        let _ = self.restart();
        Difference {
            signature: format!("broken|{died}"),
            at,
            command: format!("(somewhere from) {command}"),
            subject: format!("{error:#}; the server {died}\n{}", tail.join("\n")),
            oracle: String::new(),
        }
    }

    /// Shrinks a difference and puts it into words, as a script for `xtask diff --script`. When it follows
    /// from another one before it, that one is explained. Returns the signature of what it explains, too.
    fn explain(&mut self, epoch: &Epoch, difference: &Difference, plan: &Plan) -> (String, String) {
        let (commands, difference) = shrink::shrink(&epoch.commands, difference, BATCH, |commands| {
            let known_count = self.known_count;
            let found = self.replay(&Epoch { commands: commands.to_vec(), ..epoch.clone() });
            self.known_count = known_count;
            found
        });
        let shrunk = Epoch { commands, ..epoch.clone() };
        let known_count = self.known_count;
        let difference = self.replay(&shrunk).into_iter().next().unwrap_or(difference);
        self.known_count = known_count;
        let settings = epoch.settings.iter().map(|setting| format!("  @config {setting}"));
        let script: Vec<String> =
            settings.chain(shrunk.commands.iter().map(|c| format!("  {}", join(&c.args)))).collect();
        let text = format!(
            "random {} (seed {}, RESP{}): {}\n--- subject\n{}\n--- oracle\n{}\n--- script\n{}",
            plan.group,
            plan.seed,
            epoch.protocol,
            difference.command,
            difference.subject,
            difference.oracle,
            script.join("\n")
        );
        (difference.signature, text)
    }
}

/// Deletes all users but the default one.
fn forget_users(conn: &mut PairConn) -> Result<()> {
    let listed = conn.pipeline(&[vec![b"ACL".to_vec(), b"USERS".to_vec()]])?;
    let names = |reply: &Reply| reply.items().into_iter().flatten().map(Reply::text).collect::<Vec<_>>();
    let mut command = vec![b"ACL".to_vec(), b"DELUSER".to_vec()];
    for name in listed.iter().flat_map(|replies| [names(&replies.subject), names(&replies.oracle)]).flatten() {
        if name != "default" {
            command.push(name.into_bytes());
        }
    }
    if command.len() > 2 {
        conn.pipeline(&[command])?;
    }
    conn.must("ACL LOG RESET")?;
    conn.must("CONFIG SET acl-pubsub-default resetchannels acllog-max-len 128")?;
    Ok(())
}

/// The command's name; for a state difference the reading command.
fn name(command: &str) -> String {
    command.split(' ').take(if command.starts_with('(') { 2 } else { 1 }).collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The kind of a reply, and for errors the text: what makes two differences look alike.
fn kind(reply: &Reply) -> String {
    match reply {
        Reply::Error(text) => String::from_utf8_lossy(text).chars().take(60).collect(),
        Reply::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}").chars().take_while(|c| c.is_alphabetic()).collect(),
    }
}
