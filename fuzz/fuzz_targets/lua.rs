//! Scripts and libraries of any text, and any bytes for the libraries that scripts have: an answer within bounds of time and
//! memory, and always a well-formed one.
//!
//! The first byte says what the rest is: `e` the text of a script, `f` that of a library, `E` and `F` the same with bytes above
//! 127 standing for the snippets below, anything else arguments, a line each, of one of the calls below.
#![no_main]

use std::cell::Cell;
use std::rc::Rc;

use kinovar_command::Protocol;
use kinovar_fuzz::sandbox::{Sandbox, repeats_too_often};
use kinovar_script::{Engine, Host, Invocation, Kind, LogLevel, Parameters, Version, Words, shebang};
use kinovar_tests::resp;
use libfuzzer_sys::fuzz_target;

/// What values may take up, bytes. Little, so that no instruction takes long.
const MEMORY_BYTES: usize = 1 << 20;
/// Garbage may double it, and the replies of commands come on top.
const MEMORY_BYTES_MAX: usize = 3 * MEMORY_BYTES;
const VERSION: Version = Version { text: "1.2.3", number: 0x0001_0203 };

/// A script, and the most arguments that are read from an input.
const CALLS: &[(&str, usize)] = &[
    ("local v = cjson.decode(ARGV[1]) local t = cjson.encode(v) assert(cjson.encode(cjson.decode(t)) ~= nil) return v", 1),
    ("return cjson.encode(cjson.decode(ARGV[1]))", 1),
    ("cjson.decode_array_with_array_mt(true) cjson.decode_invalid_numbers(true) cjson.encode_invalid_numbers('null')
      cjson.encode_sparse_array(true, 1, 1) cjson.encode_keep_buffer(false) return cjson.encode(cjson.decode(ARGV[1]))", 1),
    ("cjson.decode_max_depth(tonumber(ARGV[1])) cjson.encode_max_depth(tonumber(ARGV[2]))
      cjson.encode_number_precision(tonumber(ARGV[3])) return cjson.encode(cjson.decode(ARGV[4]))", 4),
    ("return {cmsgpack.unpack(ARGV[1])}", 1),
    ("local t = {cmsgpack.unpack(ARGV[1])} local p = cmsgpack.pack(unpack(t)) cmsgpack.unpack(p) return p", 1),
    ("return {cmsgpack.unpack_one(ARGV[2], tonumber(ARGV[1]))}", 2),
    ("return {cmsgpack.unpack_limit(ARGV[3], tonumber(ARGV[1]), tonumber(ARGV[2]))}", 3),
    ("local n = 0 for o, v in cmsgpack.unpack and ipairs({cmsgpack.unpack(ARGV[1])}) do n = n + o end return n", 1),
    ("return {struct.unpack(ARGV[1], ARGV[2])}", 2),
    ("return {struct.unpack(ARGV[1], ARGV[3], tonumber(ARGV[2]))}", 3),
    ("return struct.pack(unpack(ARGV))", 12),
    ("return {struct.unpack(ARGV[1], struct.pack(unpack(ARGV)))}", 12),
    ("return struct.size(ARGV[1])", 1),
    ("local r = {} for name, f in pairs(bit) do r[#r + 1] = select(2, pcall(f, unpack(ARGV))) end return r", 3),
    ("return string.format(unpack(ARGV))", 6),
    ("return {string.find(ARGV[2], ARGV[1])}", 2),
    ("return {string.gsub(ARGV[3], ARGV[1], ARGV[2])}", 3),
    ("local t = {} for a, b in string.gmatch(ARGV[2], ARGV[1]) do t[#t + 1] = a end return t", 2),
    ("return {tonumber(ARGV[2], tonumber(ARGV[1]))}", 2),
    ("return {loadstring(ARGV[1])()}", 1),
    ("return redis.pcall(unpack(ARGV))", 12),
    ("redis.setresp(3) return redis.pcall(unpack(ARGV))", 12),
    ("return {redis.error_reply(ARGV[1]), redis.status_reply(ARGV[1]), redis.sha1hex(ARGV[1])}", 1),
    ("return {{ok = ARGV[1]}, {err = ARGV[1]}, {double = tonumber(ARGV[1])}, {big_number = ARGV[1]}, {map = {[ARGV[1]] = 1}},
      {verbatim_string = {format = ARGV[1], string = ARGV[1]}}, {set = {[ARGV[1]] = true}}}", 1),
    ("redis.log(tonumber(ARGV[1]), ARGV[2]) redis.set_repl(tonumber(ARGV[1])) return redis.acl_check_cmd(unpack(ARGV))", 4),
    ("math.randomseed(tonumber(ARGV[1])) return {math.random(tonumber(ARGV[1])), math.random(ARGV[1], ARGV[2])}", 2),
];

const SNIPPETS: &[&str] = &[
    "local t = {}\n",
    "while true do ",
    " end ",
    "for i = 1, 100 do ",
    "for k, v in pairs(t) do ",
    "function f(...) ",
    "if x then ",
    " else ",
    "return ",
    "pcall(",
    "error(",
    "string.rep('x', 1000)",
    "string.rep(",
    "setmetatable(",
    "{__index = ",
    "getmetatable(''",
    "rawset(",
    "_G",
    "KEYS[1]",
    "ARGV[1]",
    "redis.call('set', KEYS[1], ",
    "redis.call('get', KEYS[1])",
    "redis.pcall(",
    "redis.call(",
    "redis.register_function('f', ",
    "redis.register_function{function_name='g', callback=",
    "function(keys, args) ",
    "flags={'no-writes'}",
    "cjson.encode(",
    "cjson.decode(",
    "cmsgpack.pack(",
    "cmsgpack.unpack(",
    "struct.pack('>I4hs', ",
    "struct.unpack(",
    "bit.bor(",
    "bit.tohex(",
    "coroutine.wrap(",
    "coroutine.yield(",
    "select('#', ",
    "unpack(",
    "table.concat(t, ",
    "table.insert(t, ",
    "table.sort(t, ",
    "table.remove(t",
    "string.gsub(",
    "string.format('%q%5.3f', ",
    "string.byte(",
    "string.char(",
    "tostring(",
    "tonumber(",
    "loadstring(",
    "#t",
    "t[#t + 1] = ",
    "..",
    "'%a+'",
    "0x7fffffff",
    "1e308",
    "0/0",
    "{1, 2, {3}}",
    "nil",
    "math.huge",
    "[==[",
    "]==]",
    "--[[",
    "]]",
    "#!lua flags=no-writes\n",
    "#!lua name=lib\n",
    "redis.setresp(3)\n",
    "collectgarbage('count')",
    "collectgarbage('step', ",
    "next(t",
    "string.dump(",
    "xpcall(",
    "local a <const> = ",
    "goto x",
    "repeat ",
    " until ",
    "...",
    ", ",
    ")",
    "(",
    "}",
    "{",
    " = ",
    "t",
];

struct World {
    sandbox: Sandbox,
    asked: Rc<Cell<u32>>,
}

impl Host for World {
    fn call(&mut self, command: &Words, protocol: Protocol, reader: &mut dyn FnMut(&[u8])) {
        let words: Vec<Vec<u8>> = command.iter().map(<[u8]>::to_vec).collect();
        if repeats_too_often(&words) {
            return reader(b"-ERR too often\r\n");
        }
        self.sandbox.protocol = protocol;
        reader(&self.sandbox.reply(&words));
    }

    fn is_allowed(&mut self, command: &Words) -> Option<bool> {
        (command.len() % 2 == 1).then_some(command.len() % 3 == 1)
    }

    fn log(&mut self, _level: LogLevel, _text: &[u8]) {}

    fn set_replication(&mut self, _targets: u8) {}

    /// It ends the first time.
    fn watch(&mut self) -> Option<&'static str> {
        self.asked.set(self.asked.get() + 1);
        Some("ERR Script killed")
    }
}

/// The text with its snippets in place.
fn expand(text: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::new();
    for &byte in text {
        match byte.checked_sub(128) {
            None => expanded.push(byte),
            Some(number) => expanded.extend_from_slice(SNIPPETS[usize::from(number) % SNIPPETS.len()].as_bytes()),
        }
    }
    expanded
}

fn run(engine: &Engine, code: &kinovar_script::Code, arguments: &[&[u8]], protocol: Protocol, world: &mut World) {
    let parameters = Parameters::new([&b"key:1"[..], b"key:2"].into_iter(), arguments.iter().copied());
    let invocation = Invocation { code, name: "sha", parameters: &parameters, protocol };
    let mut reply = b"before".to_vec();
    let failure = engine.run(&invocation, world, &mut reply);
    let reply = reply.strip_prefix(b"before").expect("what was there stays");
    assert!(!engine.is_busy());
    let used = engine.used_memory_bytes();
    assert!(used < MEMORY_BYTES_MAX, "{used} bytes are used");
    match resp::decode(reply) {
        Ok(Some((value, len))) => {
            assert_eq!(len, reply.len(), "more than one reply: {}", reply.escape_ascii());
            assert_eq!(value.is_error(), failure.is_some());
        }
        Err(error) if error.0.contains("too deeply") => {}
        other => panic!("{other:?}: {}", reply.escape_ascii()),
    }
}

fn script(text: &[u8], arguments: &[&[u8]], protocol: Protocol) {
    let Ok(header) = shebang::of_script(text) else { return };
    let engine = Engine::new(Kind::Scripts, &VERSION, MEMORY_BYTES).expect("an interpreter");
    let Ok(code) = engine.compile(&text[header.code..]) else { return };
    let mut world = World { sandbox: Sandbox::new(true), asked: Rc::default() };
    for _ in 0..2 {
        run(&engine, &code, arguments, protocol, &mut world);
    }
    // Whatever it has done, the next script finds everything in its place.
    let next =
        engine.compile(b"redis.call('set', KEYS[1], 'x') return cjson.encode({redis.call('get', KEYS[1]), #ARGV})");
    let next = next.unwrap_or_else(|error| panic!("{error:?}"));
    let parameters = Parameters::new([&b"other"[..]].into_iter(), std::iter::empty());
    let invocation = Invocation { code: &next, name: "next", parameters: &parameters, protocol: Protocol::Resp2 };
    let mut reply = Vec::new();
    engine.run(&invocation, &mut world, &mut reply);
    let shown = reply.escape_ascii().to_string();
    // Garbage of settings that scripts may change lives on, as elsewhere; memory may be short.
    assert!(shown.starts_with("$7\\r\\n[\\\"x\\\",0]") || shown.contains("not enough memory"), "{shown}");
}

fn library(text: &[u8], protocol: Protocol) {
    let Ok(header) = shebang::of_library(text) else { return };
    let engine = Engine::new(Kind::Functions, &VERSION, MEMORY_BYTES).expect("an interpreter");
    let mut world = World { sandbox: Sandbox::new(true), asked: Rc::default() };
    let Ok(functions) = engine.load(&text[header.code..], &mut world) else { return };
    for function in functions.iter().take(8) {
        assert!(!function.name.is_empty());
        run(&engine, &function.code, &[b"1", b"text"], protocol, &mut world);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&what, rest)) = data.split_first() else { return };
    let protocol = if data.len() % 2 == 0 { Protocol::Resp2 } else { Protocol::Resp3 };
    match what {
        b'e' => script(rest, &[b"1", b"text"], protocol),
        b'E' => script(&expand(rest), &[b"1", b"text"], protocol),
        b'f' => library(rest, protocol),
        b'F' => library(&expand(rest), protocol),
        _ => {
            let (text, most) = CALLS[usize::from(what) % CALLS.len()];
            let arguments: Vec<&[u8]> = rest.splitn(most, |&byte| byte == b'\n').collect();
            script(text.as_bytes(), &arguments, protocol);
        }
    }
});
