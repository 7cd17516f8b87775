//! Commands on a keyspace without a server, as connections run them, with what must hold after each.

use std::cell::RefCell;
use std::sync::LazyLock;

use kinovar_command::dispatch;
use kinovar_command::keyspace::{Env, Keyspace, Settings, Stats, Work};
use kinovar_command::{Args, Flags, Protocol, Registry};
use kinovar_resp::Span;
use kinovar_tests::resp;

/// Databases that commands see.
const DATABASES: u32 = 2;
/// Longest string that commands may build: LCS takes the product of two lengths.
const STRING_MAX: u64 = 4096;

/// Made once: it is a large part of what an input would cost.
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(kinovar_commands::TABLES, &[]));

/// A command that repeats elements as often as it is told would fill the memory with what is asked for.
pub fn repeats_too_often(words: &[Vec<u8>]) -> bool {
    let name = words[0].to_ascii_uppercase();
    let count = |word: &Vec<u8>| std::str::from_utf8(word).ok().and_then(|text| text.parse::<i64>().ok());
    (name.ends_with(b"MEMBER") || name.ends_with(b"FIELD")) && words.iter().filter_map(count).any(|n| n < -10_000)
}

/// Words end to end, and where each is.
fn joined(words: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let (mut buf, mut spans) = (Vec::new(), Vec::new());
    for word in words {
        spans.push(Span { start: buf.len() as u32, len: word.len() as u32 });
        buf.extend_from_slice(word);
    }
    (buf, spans)
}

/// One client, and a clock that moves when told.
pub struct Sandbox {
    keyspace: Keyspace,
    settings: Settings,
    stats: Stats,
    work: Work,
    /// Unix ms.
    pub now_ms: u64,
    /// How replies are spelled.
    pub protocol: Protocol,
}

impl Sandbox {
    /// An empty keyspace. `small`: with thresholds so low that few elements change an encoding.
    pub fn new(small: bool) -> Sandbox {
        let mut settings = Settings { proto_max_bulk_len: STRING_MAX, ..Settings::default() };
        if small {
            settings.hash_max_listpack_entries = 3;
            settings.set_max_intset_entries = 3;
            settings.set_max_listpack_entries = 4;
            settings.zset_max_listpack_entries = 3;
            settings.list_max_listpack_size = 3;
            settings.list_compress_depth = 1;
        }
        Sandbox {
            keyspace: Keyspace::new(4, DATABASES),
            settings,
            stats: Stats::default(),
            work: Work { rng: RefCell::new(fastrand::Rng::with_seed(7)), ..Work::default() },
            now_ms: 1_700_000_000_000,
            protocol: Protocol::Resp2,
        }
    }

    /// The words that call the command with this number, counted round.
    pub fn command_words(&self, number: usize) -> Vec<Vec<u8>> {
        let entries = REGISTRY.entries();
        let name = &entries[number % entries.len()].full_name;
        name.split('|').map(|word| word.as_bytes().to_vec()).collect()
    }

    /// Runs one command and checks it: a reply that is exactly one value, no change by a reading command or a refused one.
    pub fn run(&mut self, words: &[Vec<u8>]) -> resp::Reply {
        let (buf, spans) = joined(words);
        let before = self.stats.dirty.get();
        let (reply, may_write) = self.run_spans(&buf, &spans);
        let (value, len) = resp::decode(&reply).expect("a well-formed reply").expect("a whole reply");
        assert_eq!(len, reply.len(), "more than one reply");
        let changed = self.stats.dirty.get() != before;
        assert!(!changed || may_write && !value.is_error(), "changed something and should not");
        value
    }

    /// Runs one command; its reply as it is.
    pub fn reply(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        let (buf, spans) = joined(words);
        self.run_spans(&buf, &spans).0
    }

    fn run_spans(&mut self, buf: &[u8], spans: &[Span]) -> (Vec<u8>, bool) {
        let env = Env {
            now_ms: self.now_ms,
            expiry_ms: self.now_ms,
            settings: &self.settings,
            stats: &self.stats,
            work: &self.work,
            observer: None,
            no_touch: false,
        };
        let (args, mut out) = (Args::new(buf, spans, 1), Vec::new());
        let entry = dispatch::run_alone(&REGISTRY, &self.keyspace, 0, env, self.protocol, args, &mut out);
        (out, entry.is_some_and(|entry| entry.command.flags.has(Flags::WRITE)))
    }

    fn line(&mut self, command: &str, key: &[u8], rest: &[&str]) -> resp::Reply {
        let mut words = vec![command.as_bytes().to_vec(), key.to_vec()];
        words.extend(rest.iter().map(|word| word.as_bytes().to_vec()));
        self.run(&words)
    }

    /// Reads everything back: no collection is empty, and each says the size that it shows.
    pub fn check(&mut self) {
        self.protocol = Protocol::Resp2;
        let keys = self.line("KEYS", b"*", &[]);
        for key in keys.items().expect("an array") {
            let key = key.bytes().expect("a key");
            let (len, all, per_element) = match self.line("TYPE", key, &[]).text().as_str() {
                "string" => (self.line("STRLEN", key, &[]), self.line("GET", key, &[]), 1),
                "list" => (self.line("LLEN", key, &[]), self.line("LRANGE", key, &["0", "-1"]), 1),
                "set" => (self.line("SCARD", key, &[]), self.line("SMEMBERS", key, &[]), 1),
                "zset" => (self.line("ZCARD", key, &[]), self.line("ZRANGE", key, &["0", "-1", "WITHSCORES"]), 2),
                "hash" => (self.line("HLEN", key, &[]), self.line("HGETALL", key, &[]), 2),
                // Gone since KEYS, with the time of its last field.
                _ => continue,
            };
            let len = len.int().expect("a length") as usize;
            match all.items() {
                None => assert_eq!(all.bytes().map(<[u8]>::len), Some(len)),
                Some(items) => {
                    assert_eq!(items.len(), len * per_element, "{} says {len}", key.escape_ascii());
                    assert!(len > 0, "{} is empty", key.escape_ascii());
                }
            }
        }
    }
}
