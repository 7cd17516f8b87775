//! A keyspace to run commands against, without a server.
//!
//! ```text
//! check(&[("SET a 1", "+OK"), ("GET a", "$1 1"), ("GET b", "$-1")]);
//! ```
//! Replies are written as on the wire, line ends as spaces. Words are quoted as in redis-cli.

use kinovar_command::dispatch;
use kinovar_command::keyspace::{Env, Event, EventClass, Keyspace, Observer, Settings, Stats, Work};
use kinovar_command::{Args, Protocol, Registry};
use std::cell::RefCell;

/// One client of an in-process keyspace with a clock that stands still.
pub struct Fixture {
    keyspace: Keyspace,
    registry: Registry,
    /// Thresholds; tests may lower them.
    pub settings: Settings,
    stats: Stats,
    events: Recorder,
    work: Work,
    /// The time, Unix ms; tests may move it.
    pub now_ms: u64,
    /// Whether commands are effects that are run again.
    pub replays: bool,
    /// How replies are spelled.
    pub protocol: Protocol,
    /// The selected database.
    pub db: u32,
}

/// The events of a fixture's commands.
#[derive(Default)]
struct Recorder(RefCell<Vec<(EventClass, String)>>);

impl Observer for Recorder {
    fn changed(&self, _db: u32, key: &[u8], event: Event) {
        self.0.borrow_mut().push((event.class, format!("{}={}", key.escape_ascii(), event.name)));
    }
}

impl Fixture {
    /// An empty keyspace.
    pub fn new() -> Fixture {
        Fixture {
            keyspace: Keyspace::new(16, 16),
            registry: Registry::new(crate::TABLES, &[]),
            settings: Settings::default(),
            stats: Stats::default(),
            events: Recorder::default(),
            work: Work { rng: RefCell::new(fastrand::Rng::with_seed(7)), ..Work::default() },
            now_ms: 1_700_000_000_000,
            replays: false,
            protocol: Protocol::Resp2,
            db: 0,
        }
    }

    /// Runs one command line; the reply, line ends as spaces.
    pub fn run(&mut self, line: &str) -> String {
        let (mut words, mut spans) = (Vec::new(), Vec::new());
        let mut rest = line.as_bytes();
        loop {
            let start = words.len();
            match kinovar_resp::parser::next_word(rest, &mut words).expect("balanced quotes") {
                Some(next) => rest = next,
                None => break,
            }
            spans.push(kinovar_resp::Span { start: start as u32, len: (words.len() - start) as u32 });
        }
        let reply = self.run_args(&words, &spans);
        String::from_utf8_lossy(&reply).trim_end().replace("\r\n", " ")
    }

    /// Runs a command of these words; the reply as that of [`Fixture::run`].
    pub fn run_words(&mut self, words: &[String]) -> String {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for word in words {
            spans.push(kinovar_resp::Span { start: bytes.len() as u32, len: word.len() as u32 });
            bytes.extend_from_slice(word.as_bytes());
        }
        let reply = self.run_args(&bytes, &spans);
        String::from_utf8_lossy(&reply).trim_end().replace("\r\n", " ")
    }

    /// The words of commands as clients send them, which are text.
    pub fn split(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut text = std::str::from_utf8(bytes).expect("words are text");
        let number = |text: &mut &str, mark: char| -> Option<usize> {
            let (line, rest) = text.split_once("\r\n")?;
            *text = rest;
            Some(line.strip_prefix(mark).expect("a number").parse().expect("a number"))
        };
        let mut commands = Vec::new();
        while let Some(count) = number(&mut text, '*') {
            let words = (0..count).map(|_| {
                let len = number(&mut text, '$').expect("a word");
                let (word, rest) = text.split_at(len);
                text = rest.strip_prefix("\r\n").expect("the end of a word");
                word.to_owned()
            });
            commands.push(words.collect());
        }
        commands
    }

    /// Shows all keys of all databases.
    pub fn each_entry(&mut self, visit: &mut dyn FnMut(&kinovar_command::keyspace::Entry)) {
        let locked = self.keyspace.lock_all();
        for index in 0..self.keyspace.partitions() {
            let partition = locked.partition(index);
            let databases = partition.databases().filter_map(|number| partition.db(number));
            databases.flat_map(|db| db.table().iter()).for_each(&mut *visit);
        }
    }

    fn run_args(&mut self, buf: &[u8], spans: &[kinovar_resp::Span]) -> Vec<u8> {
        let env = Env {
            now_ms: self.now_ms,
            expiry_ms: if self.replays { 0 } else { self.now_ms },
            settings: &self.settings,
            stats: &self.stats,
            work: &self.work,
            observer: Some(&self.events),
            no_touch: false,
        };
        let (args, mut out) = (Args::new(buf, spans, 1), Vec::new());
        dispatch::run_alone(&self.registry, &self.keyspace, self.db, env, self.protocol, args, &mut out);
        out
    }

    /// The events since the last call, as `key=event`, a space between two; without those that go with others or with reading.
    pub fn take_events(&mut self) -> String {
        let aside = [EventClass::New, EventClass::Overwritten, EventClass::TypeChanged, EventClass::KeyMiss];
        let events = self.events.0.take().into_iter().filter(|(class, _)| !aside.contains(class));
        events.map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    /// All events since the last call.
    pub fn take_all_events(&mut self) -> String {
        self.events.0.take().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    /// How many changes were counted so far.
    pub fn changes(&self) -> u64 {
        self.stats.dirty.get()
    }

    /// Runs a command line. Its events, as [`Fixture::take_events`] has them, and how many changes it counted.
    pub fn told(&mut self, line: &str) -> (String, u64) {
        let before = self.changes();
        self.run(line);
        (self.take_events(), self.changes() - before)
    }

    /// Runs command lines and compares their replies.
    #[track_caller]
    pub fn check(&mut self, cases: &[(&str, &str)]) {
        for (index, (line, expected)) in cases.iter().enumerate() {
            assert_eq!(self.run(line), *expected, "case {index}: {line}");
        }
    }
}

/// Runs command lines on an empty keyspace, in RESP2, and compares their replies.
#[track_caller]
pub fn check(cases: &[(&str, &str)]) {
    Fixture::new().check(cases);
}
