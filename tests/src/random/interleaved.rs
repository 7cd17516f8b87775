//! Several clients in one fixed interleaving: after every step both servers must have sent the same replies to the same
//! clients, and the same clients must be blocked.
//!
//! The reference has one thread, so three replies on a connection of our own prove that all it had to say is on its way.
//! The server under test may take a moment longer: it is given time to come to the same, and what it sends beyond that is
//! found by the next step at the latest. Nothing depends on the clock: commands wait for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::grammar::{Command, Grammar};
use super::words::Words;
use super::{Difference, FAILURES_MAX, Plan, kind, name, shrink, state};
use crate::compare::{Rule, agree};
use crate::conn::Conn;
use crate::control::{Control, Ids, client_field, poll_for};
use crate::known::Known;
use crate::pair::{Pair, PairConn, Sides};
use crate::quote::{join, words};
use crate::report::Report;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::show::show;

/// Clients that act. The first one never waits of its own will, so that there is always one to go on.
const CLIENTS: usize = 5;
/// Steps between two empty servers.
const EPOCH: usize = 400;
/// How long the server under test may take to send what the reference has sent, and how long while shrinking.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_SHRINKING: Duration = Duration::from_millis(500);
/// In so many of a hundred steps the client's connection is closed and replaced.
const REPLACED_PERCENT: usize = 2;
/// In so many of a hundred steps a client that waits sends a command all the same.
const IMPATIENT_PERCENT: usize = 4;

#[derive(Clone, Debug)]
enum Act {
    Send(Command),
    /// Close the connection, whatever it waits for, and open another.
    Replace,
}

#[derive(Clone, Debug)]
struct Step {
    client: usize,
    act: Act,
    /// Send even while the client waits; the command is then served after the one it waits for.
    impatient: bool,
}

/// How clients are set up; the steps of an epoch follow.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// The protocol of each client.
    protocols: [u8; CLIENTS],
    /// Another client listens to all keyspace events.
    listener: bool,
}

/// Runs a plan, half of it with one thread in the server under test and half with two.
pub fn run(plan: &Plan, sides: &Sides) -> Result<Report> {
    let any = Grammar::load(&["coordination"])?;
    let blocking = Grammar::load(&["coordination_blocking"])?;
    let mut report = Report::default();
    let lacking = lacking(sides)?;
    let (mut met, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut differences, mut taken) = (0, 0);
    // The reference has no choice.
    let threads: &[&str] = if sides.subject.prefix.is_empty() { &["1"] } else { &["1", "2"] };
    for (half, threads) in threads.iter().enumerate() {
        let mut arena = Arena::new(sides, threads)?;
        let share = plan.count.div_ceil(if sides.subject.prefix.is_empty() { 1 } else { 2 });
        let (mut done, mut number) = (0, half << 16);
        while done < share && report.failures.len() < FAILURES_MAX {
            let (mut setting, mut steps) = epoch(&any, &blocking, plan, number);
            steps.retain(|step| !step.is_one_of(&lacking, &mut met));
            setting.listener &= !lacking.contains("psubscribe");
            let outcome = arena.replay(setting, &steps);
            taken += outcome.taken;
            report.passed += outcome.taken.saturating_sub(usize::from(outcome.difference.is_some()));
            if let Some(difference) = outcome.difference.filter(|d| seen.insert(d.signature.clone())) {
                differences += 1;
                report.failures.push(arena.explain(setting, &steps, &difference, plan));
            }
            done += EPOCH;
            number += 1;
        }
        report.known += arena.known_count;
    }
    // One failure for all of them, and the rest is still compared.
    report.check(met.is_empty(), || format!("random {}: the subject lacks {met:?}", plan.group));
    println!("  random {}: {taken} steps, {differences} differences, {} known", plan.group, report.known);
    Ok(report)
}

impl Step {
    /// True for a command among `names`, which then goes into `met`.
    fn is_one_of(&self, names: &BTreeSet<String>, met: &mut BTreeSet<String>) -> bool {
        let Act::Send(command) = &self.act else { return false };
        let word = |i: usize| command.args.get(i).map_or(String::new(), |w| String::from_utf8_lossy(w).to_lowercase());
        let found = [word(0), format!("{}|{}", word(0), word(1))].into_iter().find(|name| names.contains(name));
        found.map(|name| met.insert(name)).is_some()
    }
}

/// Commands of the reference that the server under test does not know.
fn lacking(sides: &Sides) -> Result<BTreeSet<String>> {
    let pair = sides.start(&[])?;
    let names = pair.oracle.conn()?.must("COMMAND LIST")?;
    let names: Vec<String> = names.items().unwrap_or_default().iter().map(Reply::text).collect();
    let known = pair.subject.conn()?.must(&format!("COMMAND INFO {}", names.join(" ")))?;
    let known = known.items().context("COMMAND INFO answers an array")?;
    ensure!(known.len() == names.len(), "COMMAND INFO has an entry for each name");
    Ok(names.into_iter().zip(known).filter(|(_, entry)| entry.is_nil()).map(|(name, _)| name).collect())
}

/// The steps of an epoch, which the seed alone decides.
fn epoch(any: &Grammar, blocking: &Grammar, plan: &Plan, number: usize) -> (Setting, Vec<Step>) {
    let mut rng = Rng::new(plan.seed ^ ((number as u64) << 32));
    let mut words = Words::new(rng.next_u64(), 40);
    let protocols = match number % 3 {
        0 => [3; CLIENTS],
        1 => [2; CLIENTS],
        _ => std::array::from_fn(|client| if client % 2 == 0 { 2 } else { 3 }),
    };
    // What is left of the templates that each client is in the middle of.
    let mut begun: [Vec<Command>; CLIENTS] = Default::default();
    let mut steps = Vec::new();
    while steps.len() < EPOCH.min(plan.count) {
        let client = rng.below(CLIENTS);
        if rng.chance(REPLACED_PERCENT) {
            begun[client].clear();
            steps.push(Step { client, act: Act::Replace, impatient: false });
            continue;
        }
        if begun[client].is_empty() {
            let grammar = if client > 0 && rng.chance(30) { blocking } else { any };
            grammar.draw(&mut words, &mut begun[client]);
        }
        let act = Act::Send(begun[client].remove(0));
        steps.push(Step { client, act, impatient: rng.chance(IMPATIENT_PERCENT) });
    }
    (Setting { protocols, listener: number.is_multiple_of(2) }, steps)
}

/// What has come for one client of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Arrived {
    replies: Vec<Reply>,
    closed: bool,
}

/// One replay: the first difference, and the steps up to there as a script.
#[derive(Default)]
struct Outcome {
    difference: Option<Difference>,
    script: Vec<String>,
    /// Steps that were not left out because their client was waiting.
    taken: usize,
}

/// Both servers.
struct Arena<'a> {
    sides: &'a Sides,
    threads: &'a str,
    pair: Pair,
    known: Known,
    known_count: usize,
    patience: Duration,
}

impl<'a> Arena<'a> {
    fn new(sides: &'a Sides, threads: &'a str) -> Result<Arena<'a>> {
        let pair = Arena::start(sides, threads)?;
        Ok(Arena { sides, threads, pair, known: Known::load()?, known_count: 0, patience: PATIENCE })
    }

    fn start(sides: &Sides, threads: &str) -> Result<Pair> {
        let subject = sides.subject.start(&["--io-threads", threads])?;
        Ok(Pair { subject, oracle: sides.oracle.start(&["--io-threads", "1"])? })
    }

    /// Runs steps from empty servers up to the first difference. A server that dies or hangs is a difference too.
    fn replay(&mut self, setting: Setting, steps: &[Step]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut at = 0;
        if let Err(error) = self.replay_into(setting, steps, &mut outcome, &mut at) {
            outcome.difference = Some(self.broken(at, &error));
        }
        outcome
    }

    fn replay_into(&mut self, setting: Setting, steps: &[Step], outcome: &mut Outcome, at: &mut usize) -> Result<()> {
        if !self.pair.alive() {
            self.pair = Arena::start(self.sides, self.threads)?;
        }
        let mut stage = Stage::open(&self.pair, setting, self.patience)?;
        for (i, step) in steps.iter().enumerate() {
            *at = i;
            let length = outcome.script.len();
            let difference = stage.step(step, i, &mut outcome.script)?;
            outcome.taken += usize::from(outcome.script.len() > length);
            let Some(difference) = difference else { continue };
            if self.known.covers(&difference.command) {
                self.known_count += 1;
                continue;
            }
            outcome.difference = Some(difference);
            return Ok(());
        }
        *at = steps.len();
        stage.close()?;
        let mut conn = self.pair.conn()?;
        if let Some((command, replies)) = state::compare(&mut conn)? {
            let command = format!("(state) {command}");
            let texts = (show(&replies.subject), show(&replies.oracle));
            let kinds = [kind(&replies.subject), kind(&replies.oracle)];
            outcome.difference = Some(difference(steps.len(), &command, &kinds, texts));
        }
        Ok(())
    }

    fn broken(&mut self, at: usize, error: &anyhow::Error) -> Difference {
        let died = if self.pair.subject.alive() { "still runs" } else { "died" };
        let output = self.pair.subject.output();
        let tail = output.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        if let Ok(pair) = Arena::start(self.sides, self.threads) {
            self.pair = pair;
        }
        let text = format!("{error:#}; the server {died}\n{tail}");
        difference(at, "(broken)", &[died.to_string()], (text, String::new()))
    }

    /// Leaves out what can be left out, and shows the rest.
    fn explain(&mut self, setting: Setting, steps: &[Step], difference: &Difference, plan: &Plan) -> String {
        self.patience = PATIENCE_SHRINKING;
        let (steps, difference) =
            shrink::shrink(steps, difference, 1, |steps| self.replay(setting, steps).difference.into_iter().collect());
        self.patience = PATIENCE;
        let script = self.replay(setting, &steps).script;
        let listener = if setting.listener { "\n  CONFIG SET notify-keyspace-events KEA" } else { "" };
        format!(
            "random {} (seed {}, {} threads, protocols {:?}): {}\n--- subject\n{}\n--- oracle\n{}\n--- script{}\n{}",
            plan.group,
            plan.seed,
            self.threads,
            setting.protocols,
            difference.command,
            difference.subject,
            difference.oracle,
            listener,
            script.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        )
    }
}

fn difference(at: usize, command: &str, kinds: &[String], texts: (String, String)) -> Difference {
    let signature = format!("{}|{}", name(command), kinds.join("|"));
    Difference { signature, at, command: command.into(), subject: texts.0, oracle: texts.1 }
}

/// A client, and whether the reference last showed it as waiting.
struct Client {
    conn: PairConn,
    ids: Ids,
    waits: bool,
    /// The same before the step under way.
    waited: bool,
    /// The rules for the replies that are due: to its last command, or to the one it waits for and those behind that.
    due: Vec<Rule>,
}

/// The clients of an epoch, and a connection to each server to look at them from.
struct Stage<'a> {
    pair: &'a Pair,
    setting: Setting,
    patience: Duration,
    clients: Vec<Client>,
    control: Control,
    looks: PairConn,
}

impl<'a> Stage<'a> {
    fn open(pair: &'a Pair, setting: Setting, patience: Duration) -> Result<Stage<'a>> {
        let mut looks = pair.conn()?;
        looks.must("FLUSHALL")?;
        // FUNCTION FLUSH is not used: the reference may crash when it counts memory meanwhile.
        looks.call(&words("FUNCTION DELETE m"))?;
        let events = if setting.listener { "KEA" } else { "\"\"" };
        looks.must(&format!("CONFIG SET notify-keyspace-events {events}"))?;
        let control = Control::open(pair)?;
        let mut stage = Stage { pair, setting, patience, clients: Vec::new(), control, looks };
        for client in 0..CLIENTS {
            let client = stage.connect(setting.protocols[client])?;
            stage.clients.push(client);
        }
        if setting.listener {
            let mut listener = stage.connect(2)?;
            let subscribed = listener.conn.call(&words("PSUBSCRIBE __key*__:*"))?;
            ensure!(subscribed.subject == subscribed.oracle, "PSUBSCRIBE: {}", show(&subscribed.subject));
            stage.clients.push(listener);
        }
        Ok(stage)
    }

    fn connect(&self, protocol: u8) -> Result<Client> {
        let mut conn = self.pair.conn()?;
        conn.set_timeout(self.patience)?;
        let ids = conn.learn_ids()?;
        if protocol == 3 {
            conn.hello(3)?;
        }
        Ok(Client { conn, ids, waits: false, waited: false, due: Vec::new() })
    }

    /// Ends all clients, so that the next epoch does not meet them.
    fn close(mut self) -> Result<()> {
        while let Some(client) = self.clients.pop() {
            drop(client.conn);
            self.control.wait_gone(client.ids)?;
        }
        Ok(())
    }

    /// Takes a step unless it makes no sense now; what was different, if anything.
    fn step(&mut self, step: &Step, at: usize, script: &mut Vec<String>) -> Result<Option<Difference>> {
        // Two clients that are served together race with what is behind.
        let may_be_impatient = self.clients.iter().all(|client| !client.waits || client.due.len() == 1);
        self.clients.iter_mut().for_each(|client| client.waited = client.waits);
        let client = &mut self.clients[step.client];
        let command = match &step.act {
            Act::Send(_) if client.waits && !(step.impatient && may_be_impatient) => return Ok(None),
            Act::Send(command) => {
                let args = command.args.clone();
                if !client.waits {
                    client.due.clear();
                }
                client.due.push(command.rule);
                self.send(step.client, &args)?;
                join(&args)
            }
            Act::Replace => {
                self.replace(step.client)?;
                format!("@kill c{}", step.client)
            }
        };
        let oracle = self.settle_oracle()?;
        let subject = self.settle_subject(&oracle)?;
        self.write_script(step, &command, &oracle, script);
        Ok(self.compare(at, &command, &subject, &oracle))
    }

    /// Sends a command to both, with the ids that each of them knows.
    fn send(&mut self, client: usize, args: &[Vec<u8>]) -> Result<()> {
        let resolve = |id: fn(&Ids) -> i64| -> Vec<Vec<u8>> {
            let ids: Vec<i64> = self.clients.iter().map(|c| id(&c.ids)).collect();
            args.iter().map(|arg| placeholder(arg).map_or(arg.clone(), |i| ids[i].to_string().into_bytes())).collect()
        };
        let (subject, oracle) = (resolve(|ids| ids.subject), resolve(|ids| ids.oracle));
        let conn = &mut self.clients[client].conn;
        conn.subject.send(&subject).context("subject")?;
        conn.oracle.send(&oracle).context("oracle")
    }

    fn replace(&mut self, client: usize) -> Result<()> {
        let fresh = self.connect(self.setting.protocols[client])?;
        let old = std::mem::replace(&mut self.clients[client], fresh);
        drop(old.conn);
        self.control.wait_gone(old.ids)
    }

    /// Everything the reference has sent by now, for each client. A flush frees in another thread there, while its client
    /// looks as if it were waiting; what is behind it comes later.
    fn settle_oracle(&mut self) -> Result<Vec<Arrived>> {
        let looks = &mut self.looks.oracle;
        let (mut list, mut flushes) = (String::new(), true);
        while flushes {
            let before = list;
            looks.must("PING").context("oracle")?;
            list = looks.must("CLIENT LIST").context("oracle")?.text();
            looks.must("PING").context("oracle")?;
            flushes = [&before, &list].iter().any(|list| list.lines().any(is_flushing));
        }
        let blocked = blocked(&list)?;
        let mut all = Vec::new();
        for client in &mut self.clients {
            client.waits = blocked.contains(&client.ids.oracle);
            all.push(drain(&mut client.conn.oracle));
        }
        Ok(all)
    }

    /// What the server under test has sent once it has sent as much, or has been given enough time, and then some.
    fn settle_subject(&mut self, oracle: &[Arrived]) -> Result<Vec<Arrived>> {
        let mut all = Vec::new();
        for (client, expected) in self.clients.iter_mut().zip(oracle) {
            let conn = &mut client.conn.subject;
            let mut arrived = Arrived::default();
            while arrived.replies.len() < expected.replies.len() {
                match conn.read() {
                    Ok(reply) => arrived.replies.push(reply),
                    Err(_) => break,
                }
            }
            if expected.closed && arrived.replies.len() == expected.replies.len() {
                arrived.closed = conn.wait_closed().is_ok();
            }
            all.push(arrived);
        }
        self.await_blocked()?;
        for (client, arrived) in self.clients.iter_mut().zip(&mut all) {
            if !arrived.closed {
                let more = drain(&mut client.conn.subject);
                arrived.replies.extend(more.replies);
                arrived.closed = more.closed;
            }
        }
        Ok(all)
    }

    /// Waits until the same clients are blocked.
    fn await_blocked(&mut self) -> Result<()> {
        let (clients, looks) = (&self.clients, &mut self.looks);
        let seen = std::cell::RefCell::new(Vec::new());
        let words =
            |waits: &dyn Fn(usize) -> bool| -> Vec<usize> { (0..clients.len()).filter(|&i| waits(i)).collect() };
        let expected = words(&|i| clients[i].waits);
        let text = || format!("blocked are clients {:?} of the subject, {expected:?} of the oracle", seen.borrow());
        poll_for(self.patience, text, || {
            let blocked = blocked(&looks.subject.must("CLIENT LIST").context("subject")?.text())?;
            *seen.borrow_mut() = words(&|i| blocked.contains(&clients[i].ids.subject));
            Ok(*seen.borrow() == expected)
        })
    }

    fn compare(&mut self, at: usize, command: &str, subject: &[Arrived], oracle: &[Arrived]) -> Option<Difference> {
        let mut found = None;
        let crowded = self.clients.iter().any(|client| client.due.len() > 1);
        for (i, (subject, oracle)) in subject.iter().zip(oracle).enumerate() {
            let client = &mut self.clients[i];
            let loose = Looseness { served: client.waited, crowded };
            if !same(subject, oracle, &mut client.due, loose) && found.is_none() {
                let kinds = |a: &Arrived| a.replies.iter().map(kind).collect::<Vec<_>>().join(",");
                let text = |a: &Arrived| {
                    let replies: Vec<String> = a.replies.iter().map(show).collect();
                    format!("client {i}: {}{}", replies.join("\n"), if a.closed { "\n(closed)" } else { "" })
                };
                let kinds = [kinds(subject), kinds(oracle)];
                found = Some(difference(at, command, &kinds, (text(subject), text(oracle))));
            }
            if oracle.closed {
                match self.connect(self.setting.protocols.get(i).copied().unwrap_or(2)) {
                    Ok(fresh) => self.clients[i] = fresh,
                    Err(error) => {
                        let text = (format!("{error:#}"), String::new());
                        return found.or(Some(difference(at, "(connect)", &[], text)));
                    }
                }
            }
        }
        found
    }

    /// What happened, in the language of scripts.
    fn write_script(&self, step: &Step, command: &str, oracle: &[Arrived], script: &mut Vec<String>) {
        if matches!(step.act, Act::Replace) {
            script.push(command.to_string());
        } else {
            script.push(format!("@conn c{}", step.client));
            let prefix = match (&self.clients[step.client], oracle[step.client].replies.len()) {
                (client, 0) if client.waits && client.due.len() == 1 => "@blocks ",
                (_, 0) => "@send ",
                _ => "",
            };
            script.push(format!("{prefix}{}", command.replace("{id:", "{id:c")));
        }
        for (i, arrived) in oracle.iter().enumerate() {
            let own = i == step.client && matches!(step.act, Act::Send(_));
            let reads = arrived.replies.len() - usize::from(own && !arrived.replies.is_empty());
            if (reads > 0 || arrived.closed) && !own {
                script.push(format!("@conn c{i}"));
            }
            script.extend((0..reads).map(|_| "@read".to_string()));
            script.extend(arrived.closed.then(|| "@closed".to_string()));
        }
    }
}

/// The client named by `{id:N}`.
fn placeholder(arg: &[u8]) -> Option<usize> {
    let number = arg.strip_prefix(b"{id:")?.strip_suffix(b"}")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The ids of all clients that wait, by a CLIENT LIST.
fn blocked(list: &str) -> Result<Vec<i64>> {
    let id = |line: &str| client_field(line, "id").and_then(|id| id.parse().ok()).context("a client without an id");
    list.lines().filter(|line| is_waiting(line)).map(id).collect()
}

fn is_waiting(line: &str) -> bool {
    client_field(line, "flags").is_some_and(|flags| flags.contains('b'))
}

fn is_flushing(line: &str) -> bool {
    is_waiting(line) && client_field(line, "cmd").is_some_and(|name| name.starts_with("flush"))
}

/// What is there to read. A connection that ends says so instead of failing.
fn drain(conn: &mut Conn) -> Arrived {
    let mut arrived = Arrived::default();
    loop {
        match conn.try_read() {
            Ok(Some(reply)) => arrived.replies.push(reply),
            Ok(None) => return arrived,
            Err(_) => {
                arrived.closed = true;
                return arrived;
            }
        }
    }
}

/// How far what one client gets in a step has an order.
#[derive(Clone, Copy, Debug, Default)]
struct Looseness {
    /// The client was waiting before the step: whether it hears of what happens while it is served before its reply or after
    /// is not compared.
    served: bool,
    /// Commands that had to wait behind others ran in the same step: how many invalidations go into one message depends on
    /// who ran in the same turn of the loop.
    crowded: bool,
}

/// True when a client has got the same from both: replies by the rules of its commands, everything else exactly. Where a
/// message matches several patterns their order is nobody's promise, nor is that of leaving several channels at once.
fn same(subject: &Arrived, oracle: &Arrived, due: &mut Vec<Rule>, loose: Looseness) -> bool {
    let (mut subject, mut oracle, closed) =
        (ordered(&subject.replies), ordered(&oracle.replies), [subject.closed, oracle.closed]);
    for replies in [&mut subject, &mut oracle] {
        if loose.served {
            replies.sort_by_key(|reply| !is_message(reply));
        }
        if loose.crowded {
            join_invalidations(replies);
        }
    }
    let agrees = |(s, o): (&Reply, &Reply)| {
        let rule = if is_message(o) || due.is_empty() { Rule::Exact } else { due.remove(0) };
        agree(rule, s, o)
    };
    closed[0] == closed[1] && subject.len() == oracle.len() && subject.iter().zip(&oracle).all(agrees)
}

/// True for what is no reply to a command of this client.
fn is_message(reply: &Reply) -> bool {
    matches!(reply, Reply::Push(_)) || matches!(first(reply), Some(b"pmessage" | b"message" | b"smessage"))
}

/// Puts the keys of all invalidations of a step into the first, sorted.
fn join_invalidations(replies: &mut Vec<Reply>) {
    let mut keys = Vec::new();
    let mut place = None;
    let mut at = 0;
    replies.retain(|reply| {
        let found = match reply.items() {
            Some([kind, Reply::Array(found)]) if kind.bytes() == Some(b"invalidate") => found,
            _ => {
                at += 1;
                return true;
            }
        };
        place.get_or_insert(at);
        keys.extend(found.iter().cloned());
        false
    });
    if let Some(at) = place {
        keys.sort();
        replies.insert(at, Reply::Push(keys));
    }
}

fn first(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Map(entries) => entries.first()?.0.bytes(),
        _ => reply.items()?.first()?.bytes(),
    }
}

/// Replies in an order that does not depend on the order in a hash table: of a message that several patterns match, and of
/// channels that are left together, where the counts keep their places. Replies inside EXEC too.
fn ordered(replies: &[Reply]) -> Vec<Reply> {
    let mut all = Vec::with_capacity(replies.len());
    for run in replies.chunk_by(|a, b| unordered_key(a).is_some() && unordered_key(a) == unordered_key(b)) {
        let mut run = run.to_vec();
        match first(&run[0]) {
            // The other client's id follows, which each server has its own of.
            Some(b"tracking-redir-broken") => run[0] = Reply::Push(Vec::new()),
            Some(b"pmessage") => run.sort(),
            Some(b"unsubscribe" | b"punsubscribe" | b"sunsubscribe") => sort_names(&mut run),
            // The answer to HELLO has the client's id, and the modules of the reference.
            Some(b"server") => run[0] = Reply::Array(Vec::new()),
            _ => {
                if let [Reply::Array(items)] = &mut run[..] {
                    *items = ordered(items);
                }
            }
        }
        all.extend(run);
    }
    all
}

/// What replies that may change places with their neighbours have in common with them.
fn unordered_key(reply: &Reply) -> Option<&[Reply]> {
    match first(reply)? {
        b"pmessage" => reply.items()?.get(2..),
        b"unsubscribe" | b"punsubscribe" | b"sunsubscribe" => reply.items()?.get(..1),
        _ => None,
    }
}

fn sort_names(run: &mut [Reply]) {
    let mut names: Vec<Reply> = run.iter().filter_map(|r| r.items()?.get(1).cloned()).collect();
    names.sort();
    for (reply, name) in run.iter_mut().zip(names) {
        if let Reply::Push(items) | Reply::Array(items) = reply {
            items[1] = name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulks(words: &[&str]) -> Reply {
        Reply::Array(words.iter().map(|w| Reply::Bulk(w.as_bytes().to_vec())).collect())
    }

    fn arrived(replies: &[Reply]) -> Arrived {
        Arrived { replies: replies.to_vec(), closed: false }
    }

    #[test]
    fn patterns_of_one_message_have_no_order_and_messages_have() {
        let [a, b] = ["a*", "*"].map(|pattern| bulks(&["pmessage", pattern, "a", "1"]));
        let next = bulks(&["pmessage", "*", "a", "2"]);
        let same =
            |x: &[Reply], y: &[Reply]| super::same(&arrived(x), &arrived(y), &mut Vec::new(), Looseness::default());
        assert!(same(&[a.clone(), b.clone(), next.clone()], &[b.clone(), a.clone(), next.clone()]));
        assert!(!same(&[a.clone(), next.clone()], &[next.clone(), a.clone()]));
        assert!(!same(std::slice::from_ref(&a), std::slice::from_ref(&b)));
        assert!(!same(&[a.clone(), b], &[a]));
    }

    #[test]
    fn channels_that_are_left_together_have_no_order_even_inside_exec() {
        let bulk = |word: &str| Reply::Bulk(word.as_bytes().to_vec());
        let left = |name: &str, count| Reply::Array(vec![bulk("unsubscribe"), bulk(name), Reply::Int(count)]);
        let [x, y] = [("a", "b"), ("b", "a")].map(|(one, two)| vec![left(one, 1), left(two, 0)]);
        assert_eq!(ordered(&x), ordered(&y));
        assert_eq!(ordered(&[Reply::Array(x.clone())]), ordered(&[Reply::Array(y)]));
        assert_ne!(ordered(&x), ordered(&[left("a", 1), left("c", 0)]));
    }

    #[test]
    fn an_epoch_depends_on_the_seed_alone() {
        let any = Grammar::load(&["coordination"]).unwrap();
        let blocking = Grammar::load(&["coordination_blocking"]).unwrap();
        let plan = |seed| Plan { group: "coordination".into(), count: EPOCH, seed };
        let text = |seed| format!("{:?}", epoch(&any, &blocking, &plan(seed), 3));
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn looseness_is_for_those_who_were_served() {
        let (message, reply) = (bulks(&["message", "c", "x"]), Reply::NilArray);
        let invalid = |keys: &[&str]| Reply::Push(vec![Reply::Bulk(b"invalidate".to_vec()), bulks(keys)]);
        let same = |x: &[Reply], y: &[Reply], loose| super::same(&arrived(x), &arrived(y), &mut Vec::new(), loose);
        let (one, other) = ([message.clone(), reply.clone()], [reply, message]);
        assert!(same(&one, &other, Looseness { served: true, crowded: false }));
        assert!(!same(&one, &other, Looseness { served: false, crowded: true }));
        let (joined, apart) = ([invalid(&["a", "b"])], [invalid(&["b"]), invalid(&["a"])]);
        assert!(same(&apart, &joined, Looseness { served: false, crowded: true }));
        assert!(!same(&apart, &joined, Looseness { served: true, crowded: false }));
        assert!(!same(&[invalid(&["c"])], &joined, Looseness { served: false, crowded: true }));
    }

    #[test]
    fn clients_are_named_by_number() {
        assert_eq!(placeholder(b"{id:3}"), Some(3));
        assert_eq!(placeholder(b"id:3"), None);
    }
}
