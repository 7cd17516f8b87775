//! The rows of the CPU table: what is loaded, what is asked, and what DESIGN.md wants of it.

use anyhow::Result;

use super::fill::{element, fill, key, request, scattered};

/// Keys, fields or members that requests choose from.
pub const KEYS: usize = 1_000_000;

/// What stands in the server before a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// A million strings of so many bytes.
    Strings(usize),
    /// The same, asked for by a user with a hundred rules.
    GuardedStrings(usize),
    /// A million counters.
    Counters,
    /// One hash of a million fields.
    Hash,
    /// One set of a million members.
    Set,
    /// One sorted set of a million members.
    Zset,
    /// Nothing; the row makes its own and it is dropped after each round.
    Nothing,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As DESIGN.md names it.
    pub name: &'static str,
    /// Requests in a batch.
    pub pipeline: usize,
    /// What is loaded.
    pub data: Data,
    /// Appends the n-th request.
    pub render: fn(usize, &mut Vec<u8>),
    /// CPU time of ours over that of Redis 8.2.3 that DESIGN.md asks for.
    pub target: f64,
}

/// The table of DESIGN.md; rows that need the same data stand together.
pub const ROWS: &[Row] = &[
    Row { name: "GET, P1", pipeline: 1, data: Data::Strings(3), render: get, target: 0.80 },
    Row { name: "SET 3 B, P1", pipeline: 1, data: Data::Strings(3), render: set, target: 0.80 },
    Row { name: "GET, P16", pipeline: 16, data: Data::Strings(3), render: get, target: 0.50 },
    Row { name: "GET, P64", pipeline: 64, data: Data::Strings(3), render: get, target: 0.35 },
    Row { name: "SET 3 B, P16", pipeline: 16, data: Data::Strings(3), render: set, target: 0.50 },
    Row { name: "MSET of 10, P16", pipeline: 16, data: Data::Strings(3), render: mset, target: 0.45 },
    Row { name: "GET, 100 ACL rules, P1", pipeline: 1, data: Data::GuardedStrings(3), render: get, target: 0.80 },
    Row { name: "GET, 100 ACL rules, P16", pipeline: 16, data: Data::GuardedStrings(3), render: get, target: 0.65 },
    Row {
        name: "MSET of 10, 100 ACL rules, P16",
        pipeline: 16,
        data: Data::GuardedStrings(3),
        render: mset,
        target: 0.65,
    },
    Row { name: "GET 512 B, P16", pipeline: 16, data: Data::Strings(512), render: get, target: 0.55 },
    Row { name: "INCR, P16", pipeline: 16, data: Data::Counters, render: incr, target: 0.50 },
    Row { name: "HSET, P16", pipeline: 16, data: Data::Hash, render: hset, target: 0.55 },
    Row { name: "SADD, P16", pipeline: 16, data: Data::Set, render: sadd, target: 0.55 },
    Row { name: "LPUSH, P16", pipeline: 16, data: Data::Nothing, render: lpush, target: 0.70 },
    Row { name: "ZADD, P16", pipeline: 16, data: Data::Zset, render: zadd, target: 0.50 },
];

/// Loads a row's data into an empty server.
pub fn load(port: u16, data: Data, keys: usize) -> Result<()> {
    match data {
        Data::Strings(len) => {
            let value = "x".repeat(len);
            fill(port, keys, |n, out| request(out, &["SET", &key(n), &value]))
        }
        Data::GuardedStrings(len) => {
            load(port, Data::Strings(len), keys)?;
            fill(port, 1, |_, out| set_default_user(out, &hundred_rules()))
        }
        Data::Counters => fill(port, keys, |n, out| request(out, &["SET", &key(n), "100"])),
        Data::Hash => fill(port, keys, |n, out| request(out, &["HSET", "hash", &element(n), "xxx"])),
        Data::Set => fill(port, keys, |n, out| request(out, &["SADD", "set", &element(n)])),
        Data::Zset => {
            fill(port, keys, |n, out| request(out, &["ZADD", "zset", &scattered(n + 7, KEYS).to_string(), &element(n)]))
        }
        Data::Nothing => Ok(()),
    }
}

/// Undoes what loading has done besides filling the keyspace.
pub fn unload(port: u16, data: Data) -> Result<()> {
    match data {
        Data::GuardedStrings(_) => {
            fill(port, 1, |_, out| set_default_user(out, &["allkeys".to_owned(), "allcommands".to_owned()]))
        }
        _ => Ok(()),
    }
}

fn set_default_user(out: &mut Vec<u8>, rules: &[String]) {
    let mut words = vec!["ACL", "SETUSER", "default"];
    words.extend(rules.iter().map(String::as_str));
    request(out, &words);
}

/// Fifty about commands and fifty patterns of keys, of which the last allows the keys that are asked for.
fn hundred_rules() -> Vec<String> {
    let forbidden = ["debug", "keys", "migrate", "monitor", "lastsave", "swapdb", "move", "dump", "restore", "object"];
    let allowed = ["get", "set", "mget", "mset", "del", "incr", "hset", "hget", "sadd", "zadd"];
    let mut rules: Vec<String> = vec!["resetkeys".into(), "+@all".into()];
    rules.extend(forbidden.iter().map(|name| format!("-{name}")));
    rules.extend(allowed.iter().map(|name| format!("+{name}")));
    rules.extend((0..27).map(|n| format!("+select|{n}")));
    rules.push("-@admin".into());
    rules.extend(["+acl", "+config"].map(str::to_owned));
    rules.extend((0..47).map(|n| format!("~tenant:{n}:*")));
    rules.push("%R~shared:*".into());
    rules.push("~key:*".into());
    rules
}

fn any_key(n: usize) -> String {
    key(scattered(n, KEYS))
}

fn any_element(n: usize) -> String {
    element(scattered(n, KEYS))
}

fn get(n: usize, out: &mut Vec<u8>) {
    request(out, &["GET", &any_key(n)]);
}

fn set(n: usize, out: &mut Vec<u8>) {
    request(out, &["SET", &any_key(n), "xxx"]);
}

fn incr(n: usize, out: &mut Vec<u8>) {
    request(out, &["INCR", &any_key(n)]);
}

fn hset(n: usize, out: &mut Vec<u8>) {
    request(out, &["HSET", "hash", &any_element(n), "xxx"]);
}

fn sadd(n: usize, out: &mut Vec<u8>) {
    request(out, &["SADD", "set", &any_element(n)]);
}

fn lpush(_: usize, out: &mut Vec<u8>) {
    request(out, &["LPUSH", "list", "xxx"]);
}

/// A new score each time: the member moves.
fn zadd(n: usize, out: &mut Vec<u8>) {
    request(out, &["ZADD", "zset", &scattered(n ^ 0x5555, KEYS).to_string(), &any_element(n)]);
}

fn mset(n: usize, out: &mut Vec<u8>) {
    let keys: Vec<String> = (0..10).map(|i| any_key(n * 10 + i)).collect();
    let mut args = vec!["MSET"];
    keys.iter().for_each(|key| args.extend([key.as_str(), "xxx"]));
    request(out, &args);
}
