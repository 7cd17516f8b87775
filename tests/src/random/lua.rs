//! Random Lua: short scripts that call every library with arguments that fit, nearly fit, or do not.
//!
//! Left out is what differs between two runs of one server: addresses, the order of a hash table, the clock, the state of the random generator, what a script
//! leaves behind in a library's settings; line breaks, which the reference puts into errors as they are; and what takes long or much
//! memory.

use crate::rng::Rng;

/// A script.
pub fn script(rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    if rng.chance(3) {
        out.push_str(pick(
            rng,
            &["#!lua\n", "#!lua flags=no-writes\n", "#!lua flags=allow-oom,no-writes\n", "#!lua flags=x\n"],
        ));
    }
    if rng.chance(25) {
        out.push_str("redis.setresp(3) ");
    }
    let body = match rng.below(10) {
        0 | 1 => format!("return {}", value(rng, 3)),
        2..=5 => format!("return {}", call(rng)),
        6 => format!("local r = {{pcall(function() return {} end)}} r[1] = tostring(r[1]) return r", call(rng)),
        7 => format!("local a = {} local b = {} return {{{}, {}}}", value(rng, 2), call(rng), operation(rng), "#ARGV"),
        8 => format!("return {}", command(rng)),
        _ => statements(rng),
    };
    out.push_str(&body);
    out.into_bytes()
}

fn pick(rng: &mut Rng, items: &[&'static str]) -> &'static str {
    items[rng.below(items.len())]
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-0",
    "7",
    "10",
    "100",
    "255",
    "256",
    "65536",
    "1.5",
    "-2.5",
    "0.1",
    "1e15",
    "1e17",
    "1e100",
    "2^31",
    "2^32",
    "2^53",
    "2^63",
    "-2^63",
    "1/3",
    "1/0",
    "-1/0",
    "0/0",
    "0x10",
    "12345",
    "4294967295",
];

const STRINGS: &[&str] = &[
    "''",
    "'a'",
    "'abc'",
    "'1'",
    "'1.5'",
    "'0x10'",
    "' 5 '",
    "'a b'",
    "'\\0'",
    "'a\\0b'",
    "'\\255\\254'",
    "'\"'",
    "'\\\\'",
    "'h\\195\\169'",
    "'%d'",
    "'%w+'",
    "'key:1'",
    "'ERR x'",
    "'-ERR x'",
    "'nosuch'",
    "'[1,2]'",
    "'{\"a\":1}'",
    "'ok'",
];

/// An expression without a call. Tables nest up to `depth`.
fn value(rng: &mut Rng, depth: usize) -> String {
    let table = if depth == 0 { 0 } else { 4 };
    match rng.below(8 + table) {
        0..=2 => (pick(rng, NUMBERS)).to_string(),
        3..=5 => (pick(rng, STRINGS)).to_string(),
        6 => (pick(
            rng,
            &["true", "false", "nil", "cjson.null", "KEYS[1]", "ARGV[1]", "KEYS", "ARGV", "redis.sha1hex", "print"],
        ))
        .to_string(),
        7 => (pick(
            rng,
            &["{}", "{ok='x'}", "{err='E x'}", "{double=1.5}", "{map={a=1}}", "{set={a=true}}", "{big_number='12'}"],
        ))
        .to_string(),
        _ => table_of(rng, depth - 1),
    }
}

fn table_of(rng: &mut Rng, depth: usize) -> String {
    let mut out = String::from("{");
    for _ in 0..rng.below(5) {
        match rng.below(6) {
            0..=2 => {}
            3 => out.push_str(pick(rng, &["a=", "b=", "ok=", "err=", "x1=", "map="])),
            4 => {
                out.push_str(&format!("[{}]=", pick(rng, &["1", "2", "3", "5", "0", "-1", "1.5", "'1'", "true", "20"])))
            }
            _ => out.push_str(&format!("[{}]=", pick(rng, STRINGS))),
        }
        out.push_str(&value(rng, depth));
        out.push(',');
    }
    out + "}"
}

/// What an argument should be.
#[derive(Clone, Copy)]
enum Kind {
    Any,
    Number,
    Small,
    Text,
    Table,
    Pattern,
    Format,
    Struct,
    Json,
    Pack,
}

use Kind::{Any, Format, Json, Number, Pack, Pattern, Small, Struct, Table, Text};

const CALLS: &[(&str, &[Kind])] = &[
    ("bit.tobit", &[Number]),
    ("bit.tohex", &[Number, Small]),
    ("bit.bnot", &[Number]),
    ("bit.band", &[Number, Number, Number]),
    ("bit.bor", &[Number, Number]),
    ("bit.bxor", &[Number, Number]),
    ("bit.lshift", &[Number, Small]),
    ("bit.rshift", &[Number, Small]),
    ("bit.arshift", &[Number, Small]),
    ("bit.rol", &[Number, Small]),
    ("bit.ror", &[Number, Small]),
    ("bit.bswap", &[Number]),
    ("struct.pack", &[Struct, Number, Number, Text]),
    ("struct.pack", &[Struct, Any, Any]),
    ("struct.unpack", &[Struct, Text]),
    ("struct.unpack", &[Struct, Pack, Small]),
    ("struct.size", &[Struct]),
    ("cjson.encode", &[Any]),
    ("cjson.encode", &[Table]),
    ("cjson.decode", &[Json]),
    ("cmsgpack.pack", &[Any, Table]),
    ("cmsgpack.pack", &[Any]),
    ("cmsgpack.unpack", &[Pack]),
    ("cmsgpack.unpack_one", &[Pack, Small]),
    ("cmsgpack.unpack_limit", &[Pack, Small, Small]),
    ("redis.error_reply", &[Text]),
    ("redis.status_reply", &[Text]),
    ("redis.sha1hex", &[Any]),
    ("redis.setresp", &[Small]),
    ("redis.set_repl", &[Small]),
    ("redis.acl_check_cmd", &[Text]),
    ("string.byte", &[Text, Small, Small]),
    ("string.char", &[Small, Small]),
    ("string.find", &[Text, Pattern]),
    ("string.match", &[Text, Pattern]),
    ("string.gsub", &[Text, Pattern, Text]),
    ("string.format", &[Format, Number]),
    ("string.format", &[Format, Any, Any]),
    ("string.len", &[Text]),
    ("string.rep", &[Text, Small]),
    ("string.sub", &[Text, Small, Small]),
    ("string.upper", &[Text]),
    ("table.concat", &[Table, Text]),
    ("table.getn", &[Table]),
    ("table.maxn", &[Table]),
    ("math.floor", &[Number]),
    ("math.ceil", &[Number]),
    ("math.fmod", &[Number, Number]),
    ("math.modf", &[Number]),
    ("math.frexp", &[Number]),
    ("math.pow", &[Number, Small]),
    ("math.max", &[Number, Number]),
    ("math.log", &[Number]),
    ("tonumber", &[Text]),
    ("tonumber", &[Text, Small]),
    ("type", &[Any]),
    ("unpack", &[Table]),
    ("select", &[Small, Any, Any]),
    ("next", &[Table]),
    ("rawequal", &[Any, Any]),
    ("rawget", &[Table, Text]),
    ("assert", &[Any, Text]),
    ("error", &[Text]),
    ("error", &[Table]),
    ("loadstring", &[Text]),
];

/// A call of a function.
fn call(rng: &mut Rng) -> String {
    let (name, kinds) = *rng.pick(CALLS);
    let mut arguments: Vec<String> = kinds.iter().map(|&kind| argument(rng, kind)).collect();
    match rng.below(20) {
        0 => {
            arguments.pop();
        }
        1 => arguments.push(value(rng, 1)),
        _ => {}
    }
    let list = arguments.join(", ");
    // Several results, or one that is no text, become a list.
    if rng.chance(30) { format!("{{{name}({list})}}") } else { format!("{name}({list})") }
}

fn argument(rng: &mut Rng, kind: Kind) -> String {
    if rng.chance(8) {
        return value(rng, 1);
    }
    let text = match kind {
        Any => return value(rng, 3),
        Table => return table_of(rng, 2),
        Number => pick(rng, NUMBERS),
        Small => pick(rng, &["0", "1", "2", "3", "4", "-1", "-2", "8", "16", "31", "33", "1.5"]),
        Text => pick(rng, STRINGS),
        Pattern => pick(
            rng,
            &[
                "'.'",
                "'a*'",
                "'%w+'",
                "'(%a)(%d)'",
                "'^a'",
                "'b$'",
                "'[^a]'",
                "'%'",
                "'['",
                "'('",
                "'%1'",
                "'()'",
                "'%f[%w]'",
                "'a-b'",
                "'%bab'",
                "''",
            ],
        ),
        Format => pick(
            rng,
            &[
                "'%d'",
                "'%5.2f'",
                "'%s'",
                "'%q'",
                "'%x'",
                "'%c'",
                "'%e'",
                "'%g'",
                "'%i'",
                "'%u'",
                "'%o'",
                "'%%'",
                "'%10s|'",
                "'%-5d|'",
                "'%y'",
                "'%'",
                "'%s%s%s'",
                "'%.3s'",
                "'%+d'",
                "'%99.99f'",
                "'%100d'",
            ],
        ),
        Struct => pick(
            rng,
            &[
                "'b'", "'B'", "'h'", "'<i4'", "'>I2'", "'i'", "'l'", "'T'", "'f'", "'d'", "'s'", "'c3'", "'c0'", "'x'",
                "'bbs'", "'!4bi'", "'!bd'", "'>i3'", "'I8'", "'i16'", "'bc0'", "'!3b'", "'z'", "' '", "'i33'",
                "'<d>d'", "'hhxs'",
            ],
        ),
        Json => return json(rng),
        Pack => return format!("cmsgpack.pack({}, {})", value(rng, 3), value(rng, 1)),
    };
    text.to_string()
}

/// A JSON text, quoted; sometimes it is broken.
fn json(rng: &mut Rng) -> String {
    let mut text = json_value(rng, 3);
    if rng.chance(20) {
        let at = rng.below(text.len() + 1);
        if text.is_char_boundary(at) {
            text.insert_str(at, pick(rng, &[",", "]", "}", "\"", "x", "0", ":", " ", "-", "\\\\"]));
        }
    }
    format!("'{text}'")
}

fn json_value(rng: &mut Rng, depth: usize) -> String {
    let nested = if depth == 0 { 0 } else { 3 };
    match rng.below(6 + nested) {
        0..=2 => (pick(
            rng,
            &[
                "0",
                "-1",
                "1.5",
                "1e5",
                "-0.25e-2",
                "01",
                "1.",
                "-",
                "0x1f",
                "inf",
                "NaN",
                "+1",
                "123456789012345678",
                "1e400",
                "-0",
            ],
        ))
        .to_string(),
        3 | 4 => (pick(
            rng,
            &[
                "\"\"",
                "\"a\"",
                "\"\\\\n\\\\t\"",
                "\"\\\\u00e9\"",
                "\"\\\\ud83d\\\\ude00\"",
                "\"\\\\ud83d\"",
                "\"\\\\x\"",
                "\"\\\\/\"",
                "\"a b\"",
                "\"\\\\u12\"",
            ],
        ))
        .to_string(),
        5 => (pick(rng, &["true", "false", "null", "tru", "[]", "{}"])).to_string(),
        6 => {
            let parts: Vec<String> = (0..rng.below(4)).map(|_| json_value(rng, depth - 1)).collect();
            format!("[{}]", parts.join(pick(rng, &[",", ", ", " ,"])))
        }
        _ => {
            let mut parts = Vec::new();
            for _ in 0..rng.below(4) {
                let name = pick(rng, &["\"a\"", "\"b\"", "\"1\"", "\"\"", "\"long name\"", "a", "1"]);
                parts.push(format!("{name}:{}", json_value(rng, depth - 1)));
            }
            format!("{{{}}}", parts.join(","))
        }
    }
}

/// An operation on two variables, `a` and `b`.
fn operation(rng: &mut Rng) -> String {
    (pick(
        rng,
        &[
            "a", "b", "a == b", "a ~= b", "a + b", "a - b", "a * b", "a / b", "a % b", "a ^ b", "a .. b", "a < b",
            "a <= b", "#a", "-a", "not a", "a and b", "a or b", "a.x", "a[1]", "a[b]", "a()", "a:x()",
        ],
    ))
    .to_string()
}

/// A command, called in one of the two ways.
fn command(rng: &mut Rng) -> String {
    let words = match rng.below(12) {
        0 => format!("'set', 'key:1', {}", value(rng, 1)),
        1 => "'get', 'key:1'".to_string(),
        2 => format!("'rpush', 'list', {}, {}", pick(rng, STRINGS), pick(rng, NUMBERS)),
        3 => "'lrange', 'list', 0, -1".to_string(),
        4 => format!("'hset', 'hash', {}, {}", pick(rng, STRINGS), pick(rng, STRINGS)),
        5 => "'hgetall', 'h1'".to_string(),
        6 => format!("'zadd', 'zset', {}, {}", pick(rng, NUMBERS), pick(rng, STRINGS)),
        7 => "'zrange', 'zset', 0, -1, 'withscores'".to_string(),
        8 => format!("'sadd', 'set', {}", pick(rng, STRINGS)),
        9 => format!("'incrbyfloat', 'key:1', {}", pick(rng, NUMBERS)),
        10 => "unpack(ARGV)".to_string(),
        _ => value(rng, 1),
    };
    let way = if rng.chance(60) { "call" } else { "pcall" };
    let result = format!("redis.{way}({words})");
    match rng.below(8) {
        0 => format!("{{{result}, 1}}"),
        1 => format!("type({result})"),
        2 => format!("cjson.encode({result})"),
        3 => format!("cmsgpack.pack({result})"),
        _ => result,
    }
}

/// A script of several statements.
fn statements(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => format!(
            "local t = {} for i = 1, {} do t[i] = {} end return t",
            table_of(rng, 1),
            rng.below(6),
            value(rng, 1)
        ),
        1 => format!("local s = 0 for k, v in pairs({}) do s = s + 1 end return s", table_of(rng, 2)),
        2 => format!("local t = {{}} for k, v in pairs({}) do t[#t + 1] = k end return t", table_of(rng, 1)),
        3 => format!("math.randomseed({}) return {{math.random(100), math.random(5, 10)}}", pick(rng, NUMBERS)),
        4 => format!(
            "local f = function(...) return select('#', ...), ... end return {{f({}, {})}}",
            value(rng, 1),
            value(rng, 1)
        ),
        _ => format!("x = {} return x", value(rng, 1)),
    }
}
