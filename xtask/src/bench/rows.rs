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
    /// Two strings of a megabyte, `bits:0` and `bits:1`.
    Bitmaps,
    /// A hundred HyperLogLogs of thirty thousand elements each.
    HyperLogLogs,
    /// One geospatial index of a million members, spread over central Europe.
    Geo,
    /// Nothing; the row makes its own and it is dropped after each round.
    Nothing,
}

/// Length of each string of [`Data::Bitmaps`].
const BITMAP_BYTES: usize = 1 << 20;
/// By how many bytes at a time it is loaded.
const CHUNK: usize = 4096;
/// How many HyperLogLogs there are.
const HLLS: usize = 100;

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
    Row { name: "BITCOUNT 1 MB, P1", pipeline: 1, data: Data::Bitmaps, render: bitcount, target: 0.65 },
    Row { name: "BITOP of two 1 MB, P1", pipeline: 1, data: Data::Bitmaps, render: bitop, target: 0.65 },
    Row { name: "GETBIT, P16", pipeline: 16, data: Data::Bitmaps, render: getbit, target: 0.65 },
    Row { name: "SETBIT, P16", pipeline: 16, data: Data::Bitmaps, render: setbit, target: 0.65 },
    Row { name: "PFADD, P16", pipeline: 16, data: Data::HyperLogLogs, render: pfadd, target: 0.65 },
    Row { name: "PFCOUNT, P16", pipeline: 16, data: Data::HyperLogLogs, render: pfcount, target: 0.65 },
    Row { name: "PFCOUNT of changed, P16", pipeline: 16, data: Data::HyperLogLogs, render: pfcount_anew, target: 0.65 },
    Row { name: "PFCOUNT of 3, P16", pipeline: 16, data: Data::HyperLogLogs, render: pfcount_three, target: 0.65 },
    Row { name: "GEOSEARCH 10 km, P16", pipeline: 16, data: Data::Geo, render: geosearch, target: 0.65 },
    Row { name: "GEOSEARCH nearest 10, P16", pipeline: 16, data: Data::Geo, render: nearest, target: 0.65 },
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
        Data::Bitmaps => fill(port, BITMAP_BYTES / CHUNK * 2, |n, out| {
            let (half, offset) = (n % 2, n / 2 * CHUNK);
            let chunk: String = (0..CHUNK).map(|i| scattered(n * CHUNK + i, 128) as u8 as char).collect();
            request(out, &["SETRANGE", &format!("bits:{half}"), &offset.to_string(), &chunk]);
        }),
        Data::HyperLogLogs => fill(port, HLLS * 30, |n, out| {
            let elements: Vec<String> = (0..1000).map(|i| element(scattered(n * 1000 + i, usize::MAX))).collect();
            let key = hll(n);
            let mut args = vec!["PFADD", key.as_str()];
            args.extend(elements.iter().map(String::as_str));
            request(out, &args);
        }),
        Data::Geo => fill(port, keys, |n, out| {
            let [longitude, latitude] = place(n);
            request(out, &["GEOADD", "geo", &longitude, &latitude, &element(n)])
        }),
        Data::Nothing => Ok(()),
    }
}

/// A place in 20 by 16 degrees, some 2.6 million square kilometres.
fn place(n: usize) -> [String; 2] {
    let degrees = |salt: usize, from: f64, width: f64| from + width * scattered(n ^ salt, KEYS) as f64 / KEYS as f64;
    [degrees(0x1234, 0.0, 20.0), degrees(0xabcd, 40.0, 16.0)].map(|degrees| degrees.to_string())
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

/// Finds somewhat more than a hundred members.
fn geosearch(n: usize, out: &mut Vec<u8>) {
    let [longitude, latitude] = place(n ^ 0x777);
    request(out, &["GEOSEARCH", "geo", "FROMLONLAT", &longitude, &latitude, "BYRADIUS", "10", "km"]);
}

fn nearest(n: usize, out: &mut Vec<u8>) {
    let [longitude, latitude] = place(n ^ 0x777);
    let circle = ["FROMLONLAT", &longitude, &latitude, "BYRADIUS", "10", "km"];
    request(out, &[&["GEOSEARCH", "geo"][..], &circle, &["ASC", "COUNT", "10", "WITHDIST"]].concat());
}

fn mset(n: usize, out: &mut Vec<u8>) {
    let keys: Vec<String> = (0..10).map(|i| any_key(n * 10 + i)).collect();
    let mut args = vec!["MSET"];
    keys.iter().for_each(|key| args.extend([key.as_str(), "xxx"]));
    request(out, &args);
}

fn any_bit(n: usize) -> (String, String) {
    (format!("bits:{}", n % 2), scattered(n, BITMAP_BYTES * 8).to_string())
}

fn bitcount(n: usize, out: &mut Vec<u8>) {
    request(out, &["BITCOUNT", &format!("bits:{}", n % 2)]);
}

fn bitop(_: usize, out: &mut Vec<u8>) {
    request(out, &["BITOP", "XOR", "result", "bits:0", "bits:1"]);
}

fn getbit(n: usize, out: &mut Vec<u8>) {
    let (key, bit) = any_bit(n);
    request(out, &["GETBIT", &key, &bit]);
}

fn setbit(n: usize, out: &mut Vec<u8>) {
    let (key, bit) = any_bit(n);
    request(out, &["SETBIT", &key, &bit, if scattered(n + 1, 2) == 0 { "0" } else { "1" }]);
}

fn hll(n: usize) -> String {
    format!("hll:{}", n % HLLS)
}

fn pfadd(n: usize, out: &mut Vec<u8>) {
    request(out, &["PFADD", &hll(n), &any_element(n)]);
}

fn pfcount(n: usize, out: &mut Vec<u8>) {
    request(out, &["PFCOUNT", &hll(n)]);
}

/// Half of the requests mark the estimate as out of date, by its highest bit.
fn pfcount_anew(n: usize, out: &mut Vec<u8>) {
    match n % 2 {
        0 => request(out, &["SETBIT", &hll(n / 2), "120", "1"]),
        _ => request(out, &["PFCOUNT", &hll(n / 2)]),
    }
}

fn pfcount_three(n: usize, out: &mut Vec<u8>) {
    request(out, &["PFCOUNT", &hll(n), &hll(n + 1), &hll(n + 2)]);
}
