//! Random rules of users, and the words of calls that are checked against them.
//!
//! Left out are commands that the server under test does not have, and first arguments with blanks: the reference accepts
//! such a rule and ends when it is to be shown.

use crate::rng::Rng;

/// Commands that rules are about, some with many categories and keys in odd places.
const COMMANDS: &[&str] = &[
    "get",
    "set",
    "append",
    "mget",
    "mset",
    "getdel",
    "getex",
    "incr",
    "lcs",
    "strlen",
    "del",
    "unlink",
    "exists",
    "type",
    "touch",
    "rename",
    "copy",
    "expire",
    "persist",
    "ttl",
    "dump",
    "restore",
    "scan",
    "keys",
    "randomkey",
    "sort",
    "sort_ro",
    "object",
    "migrate",
    "lpush",
    "rpush",
    "lpop",
    "lrange",
    "lmove",
    "blmove",
    "blpop",
    "lmpop",
    "blmpop",
    "sadd",
    "srem",
    "smembers",
    "sinter",
    "sinterstore",
    "sintercard",
    "sdiffstore",
    "sunion",
    "smove",
    "zadd",
    "zrange",
    "zrangestore",
    "zunion",
    "zunionstore",
    "zinterstore",
    "zmpop",
    "bzmpop",
    "bzpopmin",
    "hset",
    "hget",
    "hdel",
    "hgetall",
    "hexpire",
    "xadd",
    "xread",
    "xreadgroup",
    "xgroup",
    "xinfo",
    "xlen",
    "xack",
    "eval",
    "evalsha",
    "eval_ro",
    "fcall",
    "fcall_ro",
    "script",
    "function",
    "publish",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "spublish",
    "unsubscribe",
    "pubsub",
    "multi",
    "exec",
    "discard",
    "watch",
    "unwatch",
    "ping",
    "echo",
    "select",
    "client",
    "config",
    "command",
    "acl",
    "auth",
    "hello",
    "reset",
    "quit",
    "info",
    "debug",
    "memory",
    "slowlog",
    "latency",
    "flushall",
    "flushdb",
    "dbsize",
    "swapdb",
    "move",
    "save",
    "bgsave",
    "lastsave",
    "shutdown",
    "monitor",
    "time",
];

const SUBCOMMANDS: &[&str] = &[
    "config|get",
    "config|set",
    "config|resetstat",
    "client|list",
    "client|id",
    "client|kill",
    "acl|whoami",
    "acl|setuser",
    "acl|log",
    "object|encoding",
    "object|freq",
    "xinfo|stream",
    "xgroup|create",
    "memory|usage",
    "script|load",
    "function|list",
    "command|docs",
    "pubsub|channels",
    "slowlog|get",
    "latency|reset",
];

const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
    "all",
];

const PATTERNS: &[&str] =
    &["*", "k*", "k1", "k[0-3]", "w?", "w*", "", "*1", "k\\*", "**", "nosuch", "K*", "k1*", "[kw]?", "?"];

const BROKEN: &[&str] = &[
    "",
    "foo",
    "+",
    "-",
    "+@",
    "-@",
    "@read",
    "+nosuch",
    "-nosuch",
    "+@nosuch",
    "+config|nosuch",
    "-select|0",
    "+select|",
    "+config|",
    "+config|get|x",
    "+get|a|b",
    "%",
    "%R",
    "%~k*",
    "%RR~k*",
    "%X~k*",
    "%R k*",
    "~a b",
    "&a b",
    "#abc",
    "!abc",
    "#F64551FCD6F07823CB87971CFB91446425DA18286B3AB1EF935E0CBD7A69F68A",
    "<nosuch",
    ")",
    "(",
    "(foo)",
    "(+get",
    "((+get))",
    "(on)",
    "(+get 'x)",
    "(+get \"~k\\x31\")",
    "+get\0x",
    "~k\0x",
    "\x01",
    "+|get",
    "%RW",
    "~",
    "&",
];

/// SHA-256 of `p0`, `p1` and `p2`.
const DIGESTS: &[&str] = &[
    "169b5b823c62b64ca7e5f8456a13c8d5d06f4ece522a58bc2b8a784dcf3609b0",
    "f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a",
    "3946ca64ff78d93ca61090a437cbb6b3d2ca0d488f5f9ccf3059608368b27693",
];

fn pick<'a>(rng: &mut Rng, items: &[&'a str]) -> &'a str {
    items[rng.below(items.len())]
}

fn any_case(rng: &mut Rng, word: &str) -> String {
    if rng.chance(8) { word.to_uppercase() } else { word.to_owned() }
}

/// A rule.
pub fn rule(rng: &mut Rng) -> Vec<u8> {
    match rng.below(100) {
        0..14 => {
            let words = [
                "on",
                "on",
                "on",
                "off",
                "nopass",
                "resetpass",
                "reset",
                "clearselectors",
                "sanitize-payload",
                "skip-sanitize-payload",
            ];
            let word = pick(rng, &words);
            any_case(rng, word).into_bytes()
        }
        14..24 => {
            let sign = pick(rng, &[">", ">", ">", "<", "#", "!"]);
            let which = rng.below(3);
            match sign {
                ">" | "<" => format!("{sign}p{which}").into_bytes(),
                _ => format!("{sign}{}", DIGESTS[which]).into_bytes(),
            }
        }
        24..34 => selector(rng).into_bytes(),
        34..38 => pick(rng, BROKEN).as_bytes().to_vec(),
        _ => plain_rule(rng).into_bytes(),
    }
}

fn selector(rng: &mut Rng) -> String {
    let rules: Vec<String> = (0..rng.below(5)).map(|_| plain_rule(rng)).collect();
    format!("({})", rules.join(" "))
}

/// A rule about commands, keys or channels.
fn plain_rule(rng: &mut Rng) -> String {
    let sign = pick(rng, &["+", "+", "-"]);
    match rng.below(20) {
        0..5 => {
            let name = pick(rng, COMMANDS);
            any_case(rng, &format!("{sign}{name}"))
        }
        5..8 => {
            let name = pick(rng, SUBCOMMANDS);
            any_case(rng, &format!("{sign}{name}"))
        }
        8 => {
            let (name, argument) = (pick(rng, COMMANDS), pick(rng, &["0", "k1", "X", "get", "list"]));
            format!("+{name}|{argument}")
        }
        9..13 => {
            let name = pick(rng, CATEGORIES);
            any_case(rng, &format!("{sign}@{name}"))
        }
        13 => {
            let words =
                ["allcommands", "nocommands", "allkeys", "resetkeys", "allchannels", "resetchannels", "resetkeys"];
            pick(rng, &words).to_owned()
        }
        14..18 => {
            let permissions = pick(rng, &["~", "~", "%R~", "%W~", "%RW~", "%wr~", "%r~"]);
            let pattern = pick(rng, PATTERNS);
            format!("{permissions}{pattern}")
        }
        _ => {
            let pattern = pick(rng, &["*", "ch*", "ch1", "c?1", "", "nosuch"]);
            format!("&{pattern}")
        }
    }
}

/// The name of a command.
pub fn command(rng: &mut Rng) -> Vec<u8> {
    let name = pick(rng, COMMANDS);
    any_case(rng, name).into_bytes()
}

/// A word of a call: a key, a number, or one that key specifications look for.
pub fn word(rng: &mut Rng) -> Vec<u8> {
    let words = [
        "0", "1", "1", "2", "2", "3", "-1", "k0", "k1", "k2", "k3", "w0", "w1", "nosuch", "", "STORE", "KEYS", "keys",
        "STREAMS", "BY", "GET", "LIMIT", "COUNT", "GROUP", "BLOCK", "ch1", "get", "list", "x", "abc", "k*", "#",
    ];
    pick(rng, &words).as_bytes().to_vec()
}
