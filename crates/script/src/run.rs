//! Running code: an engine is one interpreter, a script or function is code in it, a task is code that runs.
//!
//! Code runs in a fiber. When its host asks for it, the fiber is left where it stands, and the thread goes on with other
//! things; until the task is resumed and done, nothing else can run in its engine.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use kinovar_io::fiber::{self, Fiber, Step};
use kinovar_resp::{Protocol, Reply};
use mlua::{Function, LuaString};

use crate::Version;
use crate::host::{Host, Parameters, WATCH_PERIOD, Watch, Words};
use crate::library::Registered;
use crate::sandbox::{Kind, Sandbox};
use crate::to_resp::{self, Spelling};
use crate::values::{Reader, Value};

/// What functions of the interpreter share with its engine.
pub(crate) struct State {
    /// The host of the code that runs.
    host: RefCell<Option<Box<dyn Host>>>,
    /// What replies of commands are spelled in.
    pub(crate) protocol: Cell<Protocol>,
    /// Words of the command that is called.
    pub(crate) words: RefCell<Words>,
    /// Its reply.
    pub(crate) reply: RefCell<Vec<u8>>,
    /// Set when code that runs must end.
    killed: Cell<Option<&'static str>>,
    /// Functions of the library that is being loaded.
    pub(crate) loading: RefCell<Option<Vec<Registered>>>,
}

impl State {
    /// Lets `visit` have the host; without one, nothing happens.
    pub(crate) fn with_host(&self, visit: impl FnOnce(&mut dyn Host)) {
        if let Some(host) = self.host.borrow_mut().as_mut() {
            visit(host.as_mut());
        }
    }

    /// Whether the code that runs may go on; suspends it first if its host wants that.
    fn watch(&self) -> Option<&'static str> {
        loop {
            if let Some(text) = self.killed.get() {
                return Some(text);
            }
            let mut answer = Watch::Continue;
            self.with_host(|host| answer = host.watch());
            match answer {
                Watch::Continue => return None,
                Watch::Kill(text) => self.killed.set(Some(text)),
                Watch::Suspend if fiber::is_active() => fiber::suspend(),
                Watch::Suspend => return None,
            }
        }
    }
}

/// An interpreter. Scripts and function libraries have one each, on every thread that runs them.
pub struct Engine {
    pub(crate) sandbox: Sandbox,
    pub(crate) state: Rc<State>,
    run: Function,
    compile: Function,
}

/// Code that an engine can run.
pub struct Code {
    pub(crate) function: Function,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// One run of a script or function.
pub struct Invocation {
    /// What is run.
    pub code: Rc<Code>,
    /// What it is called in errors: the digest of a script, the name of a function.
    pub name: String,
    /// Its keys and arguments.
    pub parameters: Parameters,
    /// The protocol of the client that waits for the reply.
    pub protocol: Protocol,
    /// What commands and the log are reached through.
    pub host: Box<dyn Host>,
    /// A buffer for the reply; what it holds is forgotten.
    pub reply: Vec<u8>,
}

/// How far a run has come.
pub enum Progress {
    /// It is done.
    Done(Finished),
    /// Its host wanted it to wait.
    Suspended(Task),
}

/// What comes of a run.
pub struct Finished {
    /// The reply for the client.
    pub reply: Vec<u8>,
    /// Set if the reply is an error that ended the run.
    pub failure: Option<Failure>,
    /// The host that the run was given.
    pub host: Box<dyn Host>,
}

/// An error that ended a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Whether a command failed, which has been counted as an error where it happened.
    pub counted: bool,
}

/// A run that waits to be resumed.
pub struct Task {
    fiber: Option<Fiber<Finished>>,
    state: Rc<State>,
}

impl Task {
    /// Goes on where it was left.
    pub fn resume(mut self) -> Progress {
        let fiber = self.fiber.take().expect("only `resume` takes it, and consumes the task");
        progress(fiber.resume(), &self.state)
    }

    /// Makes it end with the error `text` as soon as it is resumed.
    pub fn kill(&self, text: &'static str) {
        self.state.killed.set(Some(text));
    }
}

impl Drop for Task {
    /// Frames of the interpreter have to be left in order: the run is ended, and resumed until it is.
    fn drop(&mut self) {
        let Some(mut fiber) = self.fiber.take() else { return };
        self.kill("ERR The script was abandoned.");
        while let Step::Suspended(next) = fiber.resume() {
            fiber = next;
        }
    }
}

fn progress(step: Step<Finished>, state: &Rc<State>) -> Progress {
    match step {
        Step::Done(finished) => Progress::Done(finished),
        Step::Suspended(fiber) => Progress::Suspended(Task { fiber: Some(fiber), state: state.clone() }),
    }
}

/// Why text is not code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompileError(pub String);

impl Engine {
    /// An interpreter with nothing loaded. `memory_bytes` is what its values may take up; 0 is no limit.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(kind: Kind, version: &Version, memory_bytes: usize) -> mlua::Result<Engine> {
        let state = Rc::new(State {
            host: RefCell::new(None),
            protocol: Cell::new(Protocol::Resp2),
            words: RefCell::default(),
            reply: RefCell::default(),
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
        host.raw_get::<Function>("watch")?.call::<()>((watch, WATCH_PERIOD))?;
        let (run, compile) = (host.raw_get("run")?, host.raw_get("compile")?);
        Ok(Engine { sandbox, state, run, compile })
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
            (None, text) => Err(CompileError(text.map_or_else(String::new, |text| text.to_string_lossy()))),
        }
    }

    /// Bytes that the interpreter's values take up, garbage included.
    pub fn used_memory_bytes(&self) -> usize {
        self.sandbox.lua.used_memory()
    }

    /// Whether code is running, or waits to be resumed.
    pub fn is_busy(&self) -> bool {
        self.state.host.try_borrow().is_err() || self.state.host.borrow().is_some()
    }

    /// Runs code. The engine must not be busy.
    pub fn start(self: &Rc<Self>, invocation: Invocation) -> Progress {
        self.prepare();
        let engine = self.clone();
        progress(fiber::start(move || engine.run(invocation)), &self.state)
    }

    fn run(&self, invocation: Invocation) -> Finished {
        let Invocation { code, name, parameters, protocol, host, mut reply } = invocation;
        reply.clear();
        let (failure, host) =
            self.with_host(host, || self.call(&code.function, &name, &parameters, protocol, &mut reply));
        Finished { reply, failure, host }
    }

    /// Lets `visit` run code that reaches `host`.
    pub(crate) fn with_host<T>(&self, host: Box<dyn Host>, visit: impl FnOnce() -> T) -> (T, Box<dyn Host>) {
        *self.state.host.borrow_mut() = Some(host);
        let result = visit();
        (result, self.state.host.borrow_mut().take().expect("nobody else takes it"))
    }

    /// Forgets what the code before has left behind.
    pub(crate) fn prepare(&self) {
        assert!(!self.is_busy(), "an engine runs one thing at a time");
        self.state.protocol.set(Protocol::Resp2);
        self.state.killed.set(None);
    }

    fn call(
        &self,
        function: &Function,
        name: &str,
        parameters: &Parameters,
        protocol: Protocol,
        reply: &mut Vec<u8>,
    ) -> Option<Failure> {
        let (keys, arguments) = (i64::from(parameters.keys()), parameters.arguments());
        match self.enter(function, keys, arguments, parameters.packed()) {
            Ok((0, packed)) => {
                let packed = packed.as_bytes();
                let spelling = Spelling { client: protocol, script: self.state.protocol.get() };
                to_resp::write(Reader::new(&packed).next().unwrap_or(Value::Nil), spelling, reply);
                None
            }
            Ok((_, packed)) => {
                let error = ScriptError::read(Reader::new(&packed.as_bytes()));
                Reply::new(reply, protocol).error(&error.line(Some(name)));
                Some(Failure { counted: error.counted })
            }
            Err(error) => {
                let text = format!("ERR {} script: {name}", reason(&error));
                Reply::new(reply, protocol).error(text.as_bytes());
                Some(Failure { counted: false })
            }
        }
    }

    /// Calls `function` under protection, with so many keys and arguments; fewer than no keys are no parameters at all.
    pub(crate) fn enter(
        &self,
        function: &Function,
        keys: i64,
        arguments: u32,
        packed: &[u8],
    ) -> mlua::Result<(i64, LuaString)> {
        let words = self.sandbox.lua.create_string(packed)?;
        let global = self.sandbox.kind == Kind::Scripts;
        self.run.call((function, &self.sandbox.error_handler, global, keys, arguments, words, to_resp::DEPTH))
    }
}

fn internal(error: mlua::Error) -> CompileError {
    CompileError(reason(&error))
}

/// The first line of what the interpreter says about an error outside of any script.
pub(crate) fn reason(error: &mlua::Error) -> String {
    match error {
        mlua::Error::MemoryError(_) => "not enough memory".into(),
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
        let text = values.next().and_then(|value| crate::redis::text(value, &mut buf).map(<[u8]>::to_vec));
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

    /// The error with the name of what ran, and the place.
    pub(crate) fn line(&self, name: Option<&str>) -> Vec<u8> {
        let mut line = self.text.clone();
        if let Some(name) = name {
            line.extend_from_slice(format!(" script: {name}").as_bytes());
            if let Some((source, number)) = &self.place {
                line.extend_from_slice(b", on ");
                line.extend_from_slice(source);
                line.extend_from_slice(format!(":{number}.").as_bytes());
            }
        }
        line
    }
}
