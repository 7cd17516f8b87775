//! Running code: an engine is one interpreter; a script or function is code in it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use kinovar_ds::loan::Loan;
use kinovar_resp::{Protocol, Reply};
use mlua::{Function, LuaString};

use crate::Version;
use crate::host::{Host, Hosts, KEPT_BYTES, Parameters, WATCH_PERIOD, Words};
use crate::library::Registered;
use crate::options::until_nul;
use crate::sandbox::{Kind, Sandbox};
use crate::to_resp::{self, Spelling};
use crate::values::{Reader, Value};

/// What functions of the interpreter share with its engine.
pub(crate) struct State {
    /// The host of the code that runs.
    host: Loan<Hosts>,
    /// What replies of commands are spelled in.
    pub(crate) protocol: Cell<Protocol>,
    /// Words of the command that is called.
    pub(crate) words: RefCell<Words>,
    /// Keys and arguments of the code that is about to run, packed.
    parameters: RefCell<Vec<u8>>,
    /// What has come of the code that ran, packed.
    pub(crate) result: RefCell<Vec<u8>>,
    /// Set when code that runs must end.
    killed: Cell<Option<&'static str>>,
    /// Functions of the library that is being loaded.
    pub(crate) loading: RefCell<Option<Vec<Registered>>>,
}

impl State {
    /// Lets `visit` have the host; without one, nothing happens.
    pub(crate) fn with_host(&self, visit: impl FnOnce(&mut dyn Host)) {
        self.host.with(|host| visit(&mut **host));
    }

    /// Whether the code that runs must end, and why.
    fn watch(&self) -> Option<&'static str> {
        if self.killed.get().is_none() {
            self.with_host(|host| self.killed.set(host.watch()));
        }
        self.killed.get()
    }
}

/// An interpreter. Scripts and function libraries have one each, on every thread that runs them.
pub struct Engine {
    pub(crate) sandbox: Sandbox,
    pub(crate) state: Rc<State>,
    run: Function,
    compile: Function,
    is_busy: Cell<bool>,
}

/// Code that an engine can run. It must not outlive its engine.
pub struct Code {
    pub(crate) function: Function,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// One run of a script or function.
pub struct Invocation<'a> {
    /// What is run.
    pub code: &'a Code,
    /// What it is called in errors: the digest of a script, the name of a function.
    pub name: &'a str,
    /// Its keys and arguments.
    pub parameters: &'a Parameters,
    /// The protocol of the client that waits for the reply.
    pub protocol: Protocol,
}

/// The reply is an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Whether it is that of a command, which has been counted as an error where it happened.
    pub counted: bool,
}

/// Why text is not code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompileError(pub Vec<u8>);

/// Why there is no interpreter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoEngine(String);

impl fmt::Display for NoEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Engine {
    /// An interpreter with nothing loaded. `memory_bytes` is what its values may take up; 0 is no limit.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(kind: Kind, version: &Version, memory_bytes: usize) -> Result<Engine, NoEngine> {
        Self::make(kind, version, memory_bytes).map_err(|error| NoEngine(reason(&error)))
    }

    fn make(kind: Kind, version: &Version, memory_bytes: usize) -> mlua::Result<Engine> {
        let state = Rc::new(State {
            host: Loan::default(),
            protocol: Cell::new(Protocol::Resp2),
            words: RefCell::default(),
            parameters: RefCell::default(),
            result: RefCell::default(),
            killed: Cell::new(None),
            loading: RefCell::default(),
        });
        let sandbox = Sandbox::new(kind, version, &state)?;
        let host = &sandbox.host;
        host.raw_get::<Function>("limit")?.call::<()>(memory_bytes as f64)?;
        let watching = state.clone();
        let watch = sandbox.lua.create_function(move |lua, ()| match watching.watch() {
            None => Ok(None),
            Some(text) => {
                let error = lua.create_table()?;
                error.raw_set("err", text)?;
                Ok(Some(error))
            }
        })?;
        host.raw_get::<Function>("watch")?.call::<()>(watch)?;
        let (run, compile) = (runner(&sandbox, &state)?, host.raw_get("compile")?);
        Ok(Engine { sandbox, state, run, compile, is_busy: Cell::new(false) })
    }

    /// Turns a script's text into code.
    ///
    /// # Errors
    /// What the compiler says about it.
    pub fn compile(&self, text: &[u8]) -> Result<Code, CompileError> {
        self.compile_as(text, "@user_script").map(|function| Code { function })
    }

    pub(crate) fn compile_as(&self, text: &[u8], name: &str) -> Result<Function, CompileError> {
        let source = self.sandbox.lua.create_string(text).map_err(internal)?;
        match self.compile.call::<(Option<Function>, Option<LuaString>)>((source, name)).map_err(internal)? {
            (Some(function), _) => Ok(function),
            (None, text) => Err(CompileError(text.map_or_else(Vec::new, |text| text.as_bytes().to_vec()))),
        }
    }

    /// Bytes that the interpreter's values take up, garbage included.
    pub fn used_memory_bytes(&self) -> usize {
        self.sandbox.lua.used_memory()
    }

    /// Whether code is running: even if it has been left in the middle, no other can.
    pub fn is_busy(&self) -> bool {
        self.is_busy.get()
    }

    /// Runs code and appends its reply to `reply`. The failure, if that is an error.
    ///
    /// # Panics
    /// When the engine is busy.
    pub fn run(&self, invocation: &Invocation<'_>, host: &mut dyn Host, reply: &mut Vec<u8>) -> Option<Failure> {
        let Invocation { code, name, parameters, protocol } = invocation;
        let (keys, arguments) = (i64::from(parameters.keys()), parameters.arguments());
        let outcome = self.with_host(host, || self.enter(&code.function, keys, arguments, parameters.packed()));
        let packed = self.state.result.borrow();
        match outcome {
            Ok(0) => {
                let value = Reader::new(&packed).next().unwrap_or(Value::Nil);
                let start = reply.len();
                to_resp::write(value, Spelling { client: *protocol, script: self.state.protocol.get() }, reply);
                (reply.get(start) == Some(&b'-')).then(|| Failure { counted: to_resp::is_counted(value) })
            }
            Ok(_) => {
                let error = ScriptError::read(Reader::new(&packed));
                Reply::new(reply, *protocol).error(&error.line(name));
                Some(Failure { counted: error.counted })
            }
            Err(error) => {
                Reply::new(reply, *protocol).error(format!("ERR {}", reason(&error)).as_bytes());
                Some(Failure { counted: false })
            }
        }
    }

    /// Lets `work` run code that reaches `host`, and forgets what the code before has left behind.
    pub(crate) fn with_host<R>(&self, host: &mut dyn Host, work: impl FnOnce() -> R) -> R {
        assert!(!self.is_busy.replace(true), "an engine runs one thing at a time");
        self.state.protocol.set(Protocol::Resp2);
        self.state.killed.set(None);
        let mut host: &mut dyn Host = host;
        let result = self.state.host.lend(&mut host, work);
        self.is_busy.set(false);
        result
    }

    /// Calls `function` under protection, with so many keys and arguments; fewer than no keys are no parameters at all. Its
    /// result, or the error, is left in [`State::result`]; 0 if it is a result.
    pub(crate) fn enter(&self, function: &Function, keys: i64, arguments: u32, packed: &[u8]) -> mlua::Result<i64> {
        let mut parameters = self.state.parameters.borrow_mut();
        parameters.clear();
        parameters.shrink_to(KEPT_BYTES);
        parameters.extend_from_slice(packed);
        drop(parameters);
        self.run.call((function, keys, arguments))
    }
}

/// What runs code.
fn runner(sandbox: &Sandbox, state: &Rc<State>) -> mlua::Result<Function> {
    let from = state.clone();
    let parameters = sandbox.board.add(move |_, out| {
        out.swap(&mut from.parameters.borrow_mut());
        Ok(())
    });
    let to = state.clone();
    let result = sandbox.board.add(move |packed, _| {
        let mut result = to.result.borrow_mut();
        result.clear();
        result.shrink_to(KEPT_BYTES);
        result.extend_from_slice(packed.bytes());
        Ok(())
    });
    let (entry, port) = sandbox.board.place();
    let global = sandbox.kind == Kind::Scripts;
    let make: Function = sandbox.host.raw_get("runner")?;
    make.call((&sandbox.error_handler, entry, port, parameters, result, to_resp::DEPTH, WATCH_PERIOD, global))
}

fn internal(error: mlua::Error) -> CompileError {
    CompileError(reason(&error).into())
}

/// The first line of what the interpreter says about an error outside of any script.
pub(crate) fn reason(error: &mlua::Error) -> String {
    match error {
        mlua::Error::MemoryError(_) => "not enough memory".into(),
        mlua::Error::RuntimeError(text) => text.lines().next().unwrap_or_default().into(),
        error => error.to_string().lines().next().unwrap_or_default().into(),
    }
}

/// An error that nothing caught.
pub(crate) struct ScriptError {
    /// What clients see, its code first.
    pub(crate) text: Vec<u8>,
    place: Option<(Vec<u8>, i64)>,
    counted: bool,
}

impl ScriptError {
    /// From what `khost.c` says about it: the text, source and line, whether it has been counted.
    pub(crate) fn read(mut values: Reader<'_>) -> ScriptError {
        let mut buf = Vec::new();
        let text =
            values.next().and_then(|value| crate::redis::text(value, &mut buf).map(|text| until_nul(text).to_vec()));
        let Some(source) = values.next() else {
            // The interpreter gives up without asking the error handler when it has no memory.
            let text = [b"ERR ", &text.unwrap_or_default()[..]].concat();
            return ScriptError { text, place: None, counted: false };
        };
        let (line, counted) = (values.next(), values.next());
        let place = match (source, line) {
            (Value::String(source), Some(Value::Number(line))) => Some((source.to_vec(), line as i64)),
            _ => None,
        };
        ScriptError {
            text: text.unwrap_or_else(|| b"ERR unknown error".to_vec()),
            place,
            counted: counted == Some(Value::Boolean(true)),
        }
    }

    /// The error with the name of what ran and the place, if it has one.
    fn line(&self, name: &str) -> Vec<u8> {
        let mut line = self.text.clone();
        if let Some((source, number)) = &self.place {
            line.extend_from_slice(format!(" script: {name}, on ").as_bytes());
            line.extend_from_slice(source);
            line.extend_from_slice(format!(":{number}.").as_bytes());
        }
        line
    }
}
