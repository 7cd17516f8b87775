//! Whole scripts, against a host that answers with what it is told.

use std::cell::RefCell;
use std::rc::Rc;

use kinovar_io::fiber::{self, Step};
use kinovar_resp::Protocol;

use crate::host::TooLong;
use crate::*;

/// Notes what it is asked. The command `reply` answers with its argument as it is.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) commands: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) targets: Vec<u8>,
    pub(crate) watch: Vec<Watched>,
}

/// What happens when the host is asked whether a script may go on.
#[derive(Clone, Copy)]
pub(crate) enum Watched {
    GoesOn,
    Waits,
    Ends,
}

pub(crate) struct TestHost(pub(crate) Rc<RefCell<Notes>>);

impl Host for TestHost {
    fn call(&mut self, command: &Words, protocol: Protocol, reader: &mut dyn FnMut(&[u8])) {
        let words: Vec<_> = command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        match &words[..] {
            [name, raw] if name == "reply" => reader(raw.as_bytes()),
            [name] if name == "protocol" => reader(if protocol == Protocol::Resp3 { b":3\r\n" } else { b":2\r\n" }),
            _ => reader(b"+OK\r\n"),
        }
        self.0.borrow_mut().commands.push(words.join(" "));
    }

    fn is_allowed(&mut self, command: &Words) -> Option<bool> {
        match command.iter().next() {
            Some(b"get") => Some(true),
            Some(b"set") => Some(false),
            _ => None,
        }
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.0.borrow_mut().log.push(format!("{level:?} {}", String::from_utf8_lossy(text)));
    }

    fn set_replication(&mut self, targets: u8) {
        self.0.borrow_mut().targets.push(targets);
    }

    fn watch(&mut self) -> Option<&'static str> {
        let next = self.0.borrow_mut().watch.pop();
        match next {
            None | Some(Watched::GoesOn) => None,
            Some(Watched::Ends) => Some("ERR killed"),
            Some(Watched::Waits) => {
                kinovar_io::fiber::suspend();
                None
            }
        }
    }
}

pub(crate) const VERSION: Version = Version { text: "8.2.3", number: 0x0008_0203 };

pub(crate) fn engine(kind: Kind) -> Rc<Engine> {
    Rc::new(Engine::new(kind, &VERSION, 64 << 20).unwrap())
}

/// Runs a script called `sha`; its reply.
pub(crate) fn run(engine: &Engine, script: &str, protocol: Protocol, notes: &Rc<RefCell<Notes>>) -> String {
    let code = engine.compile(script.as_bytes()).unwrap_or_else(|error| panic!("{script}: {error:?}"));
    let parameters = Parameters::new([&b"key 1"[..], b"key 2"].into_iter(), [&b"argument"[..]].into_iter());
    let invocation = Invocation { code: &code, name: "sha", parameters: &parameters, protocol };
    let mut reply = Vec::new();
    engine.run(&invocation, &mut TestHost(notes.clone()), &mut reply);
    shown(&reply)
}

/// The same in a fiber.
fn start(engine: &Rc<Engine>, script: &'static str, notes: &Rc<RefCell<Notes>>) -> Step<String> {
    let (engine, notes) = (engine.clone(), notes.clone());
    fiber::start(move || run(&engine, script, Protocol::Resp2, &notes))
}

/// The reply of a script, its line breaks as spaces.
pub(crate) fn reply_in(protocol: Protocol, script: &str) -> String {
    run(&engine(Kind::Scripts), script, protocol, &Rc::default())
}

pub(crate) fn shown(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).replace("\r\n", " ").trim_end().to_string()
}

/// Scripts and their replies.
pub(crate) fn check(cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        assert_eq!(reply_in(Protocol::Resp2, script), *expected, "{script}");
    }
}

#[test]
fn values_become_replies() {
    check(&[
        ("return 1", ":1"),
        ("return 3.99", ":3"),
        ("return -3.99", ":-3"),
        ("return 1e20", ":-9223372036854775808"),
        ("return 0/0", ":-9223372036854775808"),
        ("return 'x'", "$1 x"),
        ("return nil", "$-1"),
        ("return true", ":1"),
        ("return false", "$-1"),
        ("return {1, 2, 'a', nil, 5}", "*3 :1 :2 $1 a"),
        ("return {[1] = 'a', [3] = 'c', [2] = 'b'}", "*3 $1 a $1 b $1 c"),
        ("return {[1] = 'a', [3] = 'c'}", "*1 $1 a"),
        ("return {ok = 'fine'}", "+fine"),
        ("return {ok = 1}", "*0"),
        ("return {err = 'bad thing'}", "-bad thing"),
        ("return {1, ok = 'x'}", "+x"),
        ("return {double = 3.5}", "$3 3.5"),
        ("return {map = {a = 1}}", "*2 $1 a :1"),
        ("return {set = {a = true}}", "*1 $1 a"),
        ("return {big_number = '12'}", "$2 12"),
        ("return {verbatim_string = {format = 'txt', string = 'hello'}}", "$5 hello"),
        ("return {verbatim_string = {format = 'txt'}}", "*0"),
        ("return {1, {2, {3, {}}}}", "*2 :1 *2 :2 *2 :3 *0"),
        ("return function() end", "$-1"),
        ("return cjson.null", "$-1"),
        ("return {KEYS[1], KEYS[2], #KEYS, ARGV[1], #ARGV}", "*5 $5 key 1 $5 key 2 :2 $8 argument :1"),
    ]);
    for (script, expected) in [
        ("return true", ":1"),
        ("return false", "_"),
        ("redis.setresp(3) return true", "#t"),
        ("redis.setresp(3) return {true, false, nil}", "*2 #t #f"),
        ("return {double = 3.5}", ",3.5"),
        ("return {map = {a = 1}}", "%1 $1 a :1"),
        ("return {set = {a = true}}", "~1 $1 a"),
        ("return {big_number = '12'}", "(12"),
        ("return {verbatim_string = {format = 't', string = 'hello'}}", "=9 t  :hello"),
    ] {
        assert_eq!(reply_in(Protocol::Resp3, script), expected, "{script}");
    }
}

#[test]
fn replies_of_commands_become_values() {
    check(&[
        (r"return redis.call('reply', ':5\r\n') + 1", ":6"),
        (r"return redis.call('reply', '$3\r\nabc\r\n') .. 'd'", "$4 abcd"),
        (r"return redis.call('reply', '$-1\r\n') == false", ":1"),
        (r"return redis.call('reply', '*-1\r\n') == false", ":1"),
        (r"return redis.call('reply', '_\r\n') == nil", ":1"),
        (r"return redis.call('reply', '+FINE\r\n').ok", "$4 FINE"),
        (r"return redis.call('reply', '*2\r\n:1\r\n*1\r\n$1\r\na\r\n')[2][1]", "$1 a"),
        (r"return redis.call('reply', ',1.5\r\n').double * 2", ":3"),
        (r"return redis.call('reply', '#t\r\n')", ":1"),
        (r"return redis.call('reply', '%1\r\n$1\r\na\r\n:7\r\n').map.a", ":7"),
        (r"return redis.call('reply', '~1\r\n$1\r\na\r\n').set.a", ":1"),
        (r"return redis.call('reply', '(123\r\n').big_number", "$3 123"),
        (r"return redis.call('reply', '=5\r\ntxt:a\r\n').verbatim_string.string", "$1 a"),
        (r"return redis.call('reply', '=5\r\ntxt:a\r\n').verbatim_string.format", "$3 txt"),
        (r"redis.call('reply', '-MY error\r\n')", "-MY error script: sha, on @user_script:1."),
        (r"return redis.pcall('reply', '-MY error\r\n').err", "$8 MY error"),
        (
            r"local ok, e = pcall(redis.call, 'reply', '-MY error\r\n') return {tostring(ok), e}",
            "*2 $5 false $8 MY error",
        ),
        ("return redis.call('protocol')", ":2"),
        ("redis.setresp(3) return redis.call('protocol')", ":3"),
    ]);
}

#[test]
fn words_of_commands_keep_their_digits() {
    let notes = Rc::default();
    let script = "redis.call('x', 1, 1.5, 1e17, 1/3, -0, 2^63, 'a b') redis.log(2, 'a', 1, {}, 'b') redis.set_repl(1)";
    run(&engine(Kind::Scripts), script, Protocol::Resp2, &notes);
    let expected = "x 1 1.5 100000000000000000 0.3333333333333333 0 9223372036854776000 a b";
    assert_eq!(notes.borrow().commands, [expected]);
    assert_eq!(notes.borrow().log, ["Notice a 1 b"]);
    assert_eq!(notes.borrow().targets, [1]);
}

#[test]
fn errors_say_where_they_come_from() {
    check(&[
        ("error('x')", "-ERR user_script:1: x script: sha, on @user_script:1."),
        ("\n\nerror('x')", "-ERR user_script:3: x script: sha, on @user_script:3."),
        ("error('x', 0)", "-ERR x script: sha, on @user_script:1."),
        ("error({err = 'MY err'})", "-MY err script: sha, on @user_script:1."),
        ("error({foo = 'MY err'})", "-ERR unknown error script: sha, on @user_script:1."),
        ("error()", "-ERR nil script: sha, on @user_script:1."),
        ("error({err = 5})", "-5 script: sha, on @user_script:1."),
        (
            "error(redis)",
            "-ERR err_handler_def:10: Attempt to modify a readonly table script: sha, on @err_handler_def:10.",
        ),
        ("loadstring('error(1)', '@foo')()", "-ERR foo:1: 1 script: sha, on @foo:1."),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this redis lib call script: sha, on @user_script:1.",
        ),
        ("return redis.sha1hex()", "-ERR wrong number of arguments script: sha, on @user_script:1."),
        ("return redis.error_reply('My')", "-ERR My"),
        ("return redis.error_reply('-My x')", "-My x"),
        ("return redis.error_reply(1)", "-ERR wrong number or type of arguments"),
        ("return redis.status_reply('a')", "+a"),
    ]);
}

#[test]
fn what_all_scripts_share_cannot_be_changed() {
    let readonly = "Attempt to modify a readonly table script: sha, on @user_script:1.";
    for script in [
        "x = 1",
        "redis.call = nil",
        "string.foo = 1",
        "cjson.x = 1",
        "KEYS = 5",
        "getmetatable(_G).__index = nil",
        "getmetatable('').__index = nil",
        "getmetatable('').__index.foo = 1",
    ] {
        assert_eq!(reply_in(Protocol::Resp2, script), format!("-ERR user_script:1: {readonly}"), "{script}");
    }
    for script in ["rawset(_G, 'x', 1)", "table.insert(redis, 1)", "setmetatable(_G, {})", "rawset(redis, 1, 1)"] {
        assert_eq!(reply_in(Protocol::Resp2, script), format!("-ERR {readonly}"), "{script}");
    }
    check(&[
        (
            "return x",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: sha, on \
             @user_script:1.",
        ),
        ("KEYS.x = 1 return KEYS.x", ":1"),
        ("return rawget(_G, 'print')", "$-1"),
    ]);
}

#[test]
fn globals_are_those_of_the_reference() {
    let list = "local t = {} for k, v in pairs(_G) do t[#t + 1] = k .. ':' .. type(v) end table.sort(t) \
                return table.concat(t, ' ')";
    let expected = "ARGV:table KEYS:table _G:table _VERSION:string __redis__err__handler:function assert:function \
                    bit:table cjson:table cmsgpack:table collectgarbage:function coroutine:table error:function \
                    gcinfo:function getmetatable:function ipairs:function load:function loadstring:function math:table \
                    next:function os:table pairs:function pcall:function rawequal:function rawget:function \
                    rawset:function redis:table select:function setmetatable:function string:table struct:table \
                    table:table tonumber:function tostring:function type:function unpack:function xpcall:function";
    assert_eq!(reply_in(Protocol::Resp2, list), format!("${} {expected}", expected.len()));
}

#[test]
fn hostile_code_ends_in_an_error() {
    let place = "script: sha, on @user_script:1.";
    for (script, text) in [
        ("return (string.gsub(string.rep('a', 300000), string.rep('a?', 300000), ''))", "pattern too complex"),
        ("return unpack({}, 0, 2147483647)", "too many results to unpack"),
        ("local function f() return f() + 1 end return f()", "stack overflow"),
        ("local function f() return coroutine.wrap(f)() end return f()", "C stack overflow"),
        ("local t = {} t[1] = t return cjson.encode(t)", "Cannot serialise, excessive nesting (1001)"),
    ] {
        let reply = reply_in(Protocol::Resp2, script);
        assert!(reply.ends_with(&format!("user_script:1: {text} {place}")), "{script}: {reply}");
    }
    for script in [
        "return string.rep('x', 1e9)",
        "local s = 'x' for i = 1, 40 do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local t = {} while true do t = {t} end",
        "local t = {} for i = 1, 40 do t = {t, t} end return t",
    ] {
        let reply = reply_in(Protocol::Resp2, script);
        assert!(reply.starts_with("-ERR not enough memory"), "{script}: {reply}");
    }
    check(&[(
        "return select(2, loadstring(string.dump(function() end)))",
        "$53 [string \"\u{1b}LuaQ\"]:1: unexpected symbol near 'char(27)'",
    )]);
}

#[test]
fn memory_is_free_again_after_a_script_that_took_too_much() {
    let engine = engine(Kind::Scripts);
    let reply = |script: &str| run(&engine, script, Protocol::Resp2, &Rc::default());
    for _ in 0..3 {
        assert_eq!(reply("local t = {} for i = 1, 1e9 do t[i] = {} end"), "-ERR not enough memory");
        assert_eq!(reply("local t = {} for i = 1, 1e5 do t[i] = {} end return #t"), ":100000");
    }
}

#[test]
fn a_run_is_left_in_the_middle_and_goes_on() {
    let engine = engine(Kind::Scripts);
    let notes = Rc::new(RefCell::new(Notes::default()));
    notes.borrow_mut().watch = vec![Watched::Waits, Watched::GoesOn, Watched::Waits];
    let script = "local n = 0 for i = 1, 1e6 do n = n + 1 end error({err = 'counted ' .. n})";
    let Step::Suspended(fiber) = start(&engine, script, &notes) else { panic!("it waits") };
    assert!(engine.is_busy());
    let Step::Suspended(fiber) = fiber.resume() else { panic!("it waits once more") };
    let Step::Done(reply) = fiber.resume() else { panic!("it comes to its end") };
    assert_eq!(reply, "-counted 1000000 script: sha, on @user_script:1.");
    assert!(!engine.is_busy());
}

#[test]
fn nothing_outlives_being_killed() {
    let engine = engine(Kind::Scripts);
    let notes = Rc::new(RefCell::new(Notes::default()));
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function(e) return e end) end",
        "local co = coroutine.wrap(function() while true do pcall(function() while true do end end) end end) co()",
        "while true do pcall(error, 'x') end",
    ] {
        notes.borrow_mut().watch = vec![Watched::Ends, Watched::GoesOn];
        let reply = run(&engine, script, Protocol::Resp2, &notes);
        assert!(reply.starts_with("-ERR killed script: sha, on @user_script:1."), "{script}: {reply}");
    }
    assert_eq!(run(&engine, "return 1", Protocol::Resp2, &notes), ":1");
}

#[test]
fn random_numbers_follow_from_the_seed() {
    check(&[
        ("return tostring(math.random())", "$16 0.39646477363839"),
        (
            "math.randomseed(5) return tostring(math.random()) .. ' ' .. math.random(10) .. ' ' .. math.random(5, 8)",
            "$20 0.52483957937213 3 8",
        ),
    ]);
}

#[test]
fn text_that_is_not_code_says_why() {
    let error = engine(Kind::Scripts).compile(b"return 1 +").unwrap_err();
    assert_eq!(error, CompileError(b"user_script:1: unexpected symbol near '<eof>'".into()));
}

#[test]
fn words_are_bounded() {
    let mut words = Words::new();
    assert_eq!(words.push(b"a"), Ok(()));
    assert_eq!(words.iter().collect::<Vec<_>>(), [b"a"]);
    assert_ne!(Err(TooLong), words.push(b""));
}

fn load(engine: &Engine, code: &str) -> Result<Vec<library::Registered>, String> {
    let loaded = engine.load(code.as_bytes(), &mut TestHost(Rc::default()));
    loaded.map_err(|text| String::from_utf8_lossy(&text).into_owned())
}

fn call_function(engine: &Engine, function: &library::Registered) -> String {
    let parameters = Parameters::new([&b"key"[..]].into_iter(), [&b"a"[..], b"b"].into_iter());
    let (code, name) = (&*function.code, &function.name[..]);
    let invocation = Invocation { code, name, parameters: &parameters, protocol: Protocol::Resp2 };
    let mut reply = Vec::new();
    engine.run(&invocation, &mut TestHost(Rc::default()), &mut reply);
    shown(&reply)
}

#[test]
fn libraries_register_functions() {
    let engine = engine(Kind::Functions);
    let functions = load(
        &engine,
        "local n = 0
         redis.register_function('count', function() n = n + 1 return n end)
         redis.register_function('echo', function(keys, args) return {keys, args} end)
         redis.register_function{function_name = 'fail', callback = function() error('boo') end, description = 'd',
                                 flags = {'no-writes', 'ALLOW-OOM'}}
         redis.register_function('call', function() return redis.call('x') end)
         redis.register_function('keys', function() return KEYS end)
         redis.register_function('global', function() x = 1 end)
         local before = redis
         redis.register_function('late', function() before.register_function('y', function() end) end)",
    )
    .unwrap();
    let replies: Vec<_> = functions.iter().map(|function| call_function(&engine, function)).collect();
    assert_eq!(
        replies,
        [
            ":1",
            "*2 *1 $3 key *2 $1 a $1 b",
            "-ERR user_function:4: boo script: fail, on @user_function:4.",
            "+OK",
            "-ERR user_function:7: Script attempted to access nonexistent global variable 'KEYS' script: keys, on \
             @user_function:7.",
            "-ERR user_function:8: Attempt to modify a readonly table script: global, on @user_function:8.",
            "-ERR redis.register_function can only be called on FUNCTION LOAD command script: late, on \
             @user_function:10.",
        ]
    );
    assert_eq!(call_function(&engine, &functions[0]), ":2");
    assert_eq!(functions[2].description.as_deref(), Some(&b"d"[..]));
    assert_eq!(functions[2].flags, Flags::NO_WRITES.or(Flags::ALLOW_OOM));
}

#[test]
fn libraries_that_do_not_load_say_why() {
    let engine = engine(Kind::Functions);
    let registering = |text: &str| format!("ERR Error registering functions: ERR {text}");
    for (code, expected) in [
        ("return 1", "ERR No functions registered".to_string()),
        ("\nreturn +", "ERR Error compiling function: user_function:2: unexpected symbol near '+'".to_string()),
        (
            "\nredis.call('x')",
            registering("user_function:2: Script attempted to access nonexistent global variable 'call'"),
        ),
        ("x = 1", registering("user_function:1: Attempt to modify a readonly table")),
        ("redis.register_function()", registering("wrong number of arguments to redis.register_function")),
        (
            "redis.register_function('a', 'b')",
            registering("second argument to redis.register_function must be a function"),
        ),
        (
            "redis.register_function{callback = function() end}",
            registering("redis.register_function must get a function name argument"),
        ),
        (
            "redis.register_function{function_name = 'a', callback = function() end, flags = {'foo'}}",
            registering("unknown flag given"),
        ),
        (
            "redis.register_function('a', function() end) redis.register_function('a', function() end)",
            registering("Function already exists in the library"),
        ),
        ("redis.register_function('a-b', function() end)", registering(shebang::WRONG_NAME)),
    ] {
        assert_eq!(load(&engine, code).unwrap_err(), expected, "{code}");
    }
    // Nothing of it stays.
    assert_eq!(load(&engine, "redis.register_function('a', function() end)").unwrap().len(), 1);
}
