//! What a reactor's thread has to run code with: an interpreter for scripts, one for functions, and what is compiled in them.

use super::cache::{Digest, Script};
use super::fiber::Done;
use super::libraries::{Function, Library};
use super::{MEMORY_BYTES, VERSION};
use crate::config::Config;
use crate::server::Server;
use kinovar_command::CommandError;
use kinovar_command::keyspace::{Settings, Work};
use kinovar_script::library::Registered;
use kinovar_script::{Code, Engine, Flags, Host, Kind, Parameters, sha1};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

struct Runtime {
    server: &'static Server,
    reactor: usize,
    surroundings: Rc<Surroundings>,
    config_generation: u64,
    scripts: Option<Scripts>,
    functions: Option<Functions>,
    /// A buffer for replies.
    spare: Vec<u8>,
    /// Keys and arguments of the last run, whose memory is used again.
    parameters: Parameters,
    /// What the last fiber had.
    fiber: Option<Box<Done>>,
}

/// What surrounds work on the data in a fiber. Those of the reactor are borrowed while it executes requests.
pub struct Surroundings {
    /// The parameters.
    pub config: Arc<Config>,
    /// Their part that concerns data.
    pub settings: Settings,
    /// What it needs and leaves behind.
    pub work: Work,
}

impl Surroundings {
    fn new(server: &'static Server, config: Arc<Config>) -> Rc<Surroundings> {
        Rc::new(Surroundings { settings: config.data_settings(), config, work: server.work() })
    }
}

/// The interpreter for scripts.
struct Scripts {
    engine: Rc<Engine>,
    /// The version of the cache that it belongs to.
    version: u64,
    by_digest: HashMap<Digest, Rc<Compiled>>,
    by_body: HashMap<Body, Rc<Compiled>, foldhash::fast::RandomState>,
}

/// A script that this thread has compiled.
pub struct Compiled {
    /// The script.
    pub script: Arc<Script>,
    /// Its code.
    pub code: Code,
    /// Where it runs.
    pub engine: Rc<Engine>,
}

/// A script found by its text.
struct Body(Arc<Script>);

impl Borrow<[u8]> for Body {
    fn borrow(&self) -> &[u8] {
        &self.0.body
    }
}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.body.hash(state);
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        self.0.body == other.0.body
    }
}

impl Eq for Body {}

/// Compiled scripts beyond which those are looked for that the cache has forgotten.
const COMPILED_MAX: usize = 1024;

/// The interpreter for functions.
struct Functions {
    engine: Rc<Engine>,
    /// The version of the libraries that it belongs to.
    version: u64,
    /// What each library has registered here; the address of a library that is loaded stands for it.
    loaded: HashMap<*const Library, Loaded>,
    /// Functions that have been called, by their names.
    called: HashMap<Box<[u8]>, Rc<LoadedFunction>, foldhash::fast::RandomState>,
}

struct Loaded {
    library: Arc<Library>,
    functions: Vec<Registered>,
}

/// A function that this thread has loaded.
pub struct LoadedFunction {
    /// Its name.
    pub name: String,
    /// What it promises.
    pub flags: Flags,
    /// Its code.
    pub code: Rc<Code>,
    /// Where it runs.
    pub engine: Rc<Engine>,
}

/// Says whose thread this is. To be called once, before the first command.
pub fn begin(server: &'static Server, reactor: usize) {
    RUNTIME.set(Some(Runtime {
        server,
        reactor,
        surroundings: Surroundings::new(server, server.config()),
        config_generation: server.config.generation(),
        scripts: None,
        functions: None,
        spare: Vec::new(),
        parameters: Parameters::default(),
        fiber: None,
    }));
}

fn with<R>(work: impl FnOnce(&mut Runtime) -> R) -> R {
    RUNTIME.with_borrow_mut(|runtime| work(runtime.as_mut().expect("reactors begin before they run commands")))
}

/// The server, and which reactor this thread is.
pub fn whose() -> (&'static Server, usize) {
    with(|runtime| (runtime.server, runtime.reactor))
}

/// What surrounds work on the data, for the parameters as of now.
pub fn surroundings() -> Rc<Surroundings> {
    with(|runtime| {
        let generation = runtime.server.config.generation();
        if generation != runtime.config_generation {
            runtime.config_generation = generation;
            runtime.surroundings = Surroundings::new(runtime.server, runtime.server.config());
        }
        runtime.surroundings.clone()
    })
}

/// An empty buffer.
pub fn buffer() -> Vec<u8> {
    with(|runtime| std::mem::take(&mut runtime.spare))
}

/// Takes a buffer back.
pub fn recycle(mut buffer: Vec<u8>) {
    /// A larger one is not kept, bytes.
    const KEPT: usize = 64 << 10;
    if buffer.capacity() <= KEPT {
        buffer.clear();
        with(|runtime| runtime.spare = buffer);
    }
}

/// Keys and arguments of a run that is over, or none.
pub fn parameters() -> Parameters {
    with(|runtime| std::mem::take(&mut runtime.parameters))
}

/// Takes them back.
pub fn recycle_parameters(parameters: Parameters) {
    with(|runtime| runtime.parameters = parameters);
}

/// What a fiber had that is over.
pub fn spare_fiber() -> Option<Box<Done>> {
    with(|runtime| runtime.fiber.take())
}

/// Takes it back.
pub fn recycle_fiber(done: Box<Done>) {
    with(|runtime| runtime.fiber = Some(done));
}

/// Bytes that the interpreters of this thread take: for scripts, for functions.
fn note_memory(runtime: &Runtime) {
    let used = |engine: Option<&Rc<Engine>>| engine.map_or(0, |engine| engine.used_memory_bytes() as u64);
    let stats = &runtime.server.reactors[runtime.reactor];
    let scripts = used(runtime.scripts.as_ref().map(|scripts| &scripts.engine));
    let functions = used(runtime.functions.as_ref().map(|functions| &functions.engine));
    stats.script_memory.store(scripts, std::sync::atomic::Ordering::Relaxed);
    stats.function_memory.store(functions, std::sync::atomic::Ordering::Relaxed);
}

/// Publishes what the interpreters of this thread take up.
pub fn publish_memory() {
    with(|runtime| note_memory(runtime));
}

/// The script of `EVAL`: compiles it unless it has been compiled here.
///
/// # Errors
/// What is wrong with it.
pub fn script(body: &[u8], keep: bool) -> Result<Rc<Compiled>, CommandError> {
    with(|runtime| {
        let cache = &runtime.server.scripting.cache;
        let scripts = runtime.scripts()?;
        if let Some(compiled) = scripts.by_body.get(body)
            && !compiled.script.is_gone()
            && !keep
        {
            cache.touch(&compiled.script);
            return Ok(compiled.clone());
        }
        let digest = sha1::digest(body);
        let script = match cache.find(&digest) {
            Some(script) if !keep => {
                cache.touch(&script);
                script
            }
            _ => {
                let script = Script::new(digest, body).map_err(CommandError::Bytes)?;
                // Code that does not compile is not kept.
                compile(&scripts.engine, &script)?;
                cache.insert(script, keep)
            }
        };
        scripts.compiled(script)
    })
}

/// The script of `EVALSHA`; `None` if there is none.
///
/// # Errors
/// What is wrong with it, which has been found right before.
pub fn script_of(digest: &Digest) -> Result<Option<Rc<Compiled>>, CommandError> {
    with(|runtime| {
        let cache = &runtime.server.scripting.cache;
        let scripts = runtime.scripts()?;
        if let Some(compiled) = scripts.by_digest.get(digest)
            && !compiled.script.is_gone()
        {
            cache.touch(&compiled.script);
            return Ok(Some(compiled.clone()));
        }
        let Some(script) = cache.find(digest) else { return Ok(None) };
        cache.touch(&script);
        scripts.compiled(script).map(Some)
    })
}

fn compile(engine: &Engine, script: &Script) -> Result<Code, CommandError> {
    let code = engine.compile(&script.body[script.code..]);
    code.map_err(|error| CommandError::Bytes([b"ERR Error compiling script (new function): ", &error.0[..]].concat()))
}

fn no_memory(error: kinovar_script::NoEngine) -> CommandError {
    CommandError::owned(format!("ERR {error}"))
}

impl Runtime {
    /// The interpreter for scripts; a new one when the cache has been flushed.
    fn scripts(&mut self) -> Result<&mut Scripts, CommandError> {
        let version = self.server.scripting.cache.version();
        if self.scripts.as_ref().is_none_or(|scripts| scripts.version != version && !scripts.engine.is_busy()) {
            let engine = Rc::new(Engine::new(Kind::Scripts, &VERSION, MEMORY_BYTES).map_err(no_memory)?);
            self.scripts = Some(Scripts { engine, version, by_digest: HashMap::new(), by_body: HashMap::default() });
        }
        Ok(self.scripts.as_mut().expect("made a moment ago"))
    }

    fn functions(&mut self) -> Result<&mut Functions, CommandError> {
        if self.functions.is_none() {
            let engine = Rc::new(Engine::new(Kind::Functions, &VERSION, MEMORY_BYTES).map_err(no_memory)?);
            self.functions = Some(Functions { engine, version: 0, loaded: HashMap::new(), called: HashMap::default() });
        }
        Ok(self.functions.as_mut().expect("made a moment ago"))
    }
}

impl Scripts {
    /// A script, compiled.
    fn compiled(&mut self, script: Arc<Script>) -> Result<Rc<Compiled>, CommandError> {
        if let Some(compiled) = self.by_digest.get(&script.digest)
            && !compiled.script.is_gone()
        {
            return Ok(compiled.clone());
        }
        if self.by_digest.len() >= COMPILED_MAX {
            self.by_digest.retain(|_, compiled| !compiled.script.is_gone());
            self.by_body.retain(|body, _| !body.0.is_gone());
        }
        let code = compile(&self.engine, &script)?;
        let compiled = Rc::new(Compiled { script: script.clone(), code, engine: self.engine.clone() });
        self.by_digest.insert(script.digest, compiled.clone());
        // An equal text of before stands for a script that is gone.
        let body = Body(script);
        self.by_body.remove(&body);
        self.by_body.insert(body, compiled.clone());
        Ok(compiled)
    }
}

/// A function that has been called here by this name and is the same still.
pub fn called_function(name: &[u8]) -> Option<Rc<LoadedFunction>> {
    with(|runtime| {
        let functions = runtime.functions.as_ref()?;
        let is_current = functions.version == runtime.server.scripting.libraries.version();
        is_current.then(|| functions.called.get(name).cloned()).flatten()
    })
}

/// A function of a library as it was registered; loads the library unless it has been loaded here.
///
/// # Errors
/// Why it cannot be loaded, which it could before.
pub fn function(
    library: &Arc<Library>,
    function: &Function,
    host: &mut dyn Host,
) -> Result<Rc<LoadedFunction>, CommandError> {
    with(|runtime| {
        let scripting = &runtime.server.scripting;
        let functions = runtime.functions()?;
        let version = scripting.libraries.version();
        if functions.version != version {
            let shelf = scripting.libraries.shelf();
            functions.loaded.retain(|_, loaded| {
                shelf.library(&loaded.library.name).is_some_and(|library| Arc::ptr_eq(library, &loaded.library))
            });
            functions.called.clear();
            functions.version = version;
        }
        let address = Arc::as_ptr(library);
        if !functions.loaded.contains_key(&address) {
            let registered = functions.engine.load(&library.text[library.code..], host).map_err(CommandError::Bytes)?;
            functions.loaded.insert(address, Loaded { library: library.clone(), functions: registered });
        }
        let name = &function.name;
        let found = functions.loaded[&address].functions.iter().find(|function| function.name == *name);
        let code = found.ok_or(CommandError::text("ERR Function not found"))?.code.clone();
        let engine = functions.engine.clone();
        let loaded = Rc::new(LoadedFunction { name: name.clone(), flags: function.flags, code, engine });
        // The library that this one was looked up in may have been replaced since.
        if functions.version == version
            && scripting
                .libraries
                .shelf()
                .function(name.as_bytes())
                .is_some_and(|(current, _)| Arc::ptr_eq(current, library))
        {
            functions.called.insert(name.as_bytes().into(), loaded.clone());
        }
        Ok(loaded)
    })
}

/// Loads a library for the first time: its functions.
///
/// # Errors
/// What is wrong with it.
pub fn load(code: &[u8], host: &mut dyn Host) -> Result<Vec<Registered>, CommandError> {
    with(|runtime| runtime.functions()?.engine.load(code, host).map_err(CommandError::Bytes))
}

/// Keeps what a library has registered when it was loaded for the first time.
pub fn keep(library: &Arc<Library>, functions: Vec<Registered>) {
    with(|runtime| {
        if let Some(own) = &mut runtime.functions {
            own.loaded.insert(Arc::as_ptr(library), Loaded { library: library.clone(), functions });
        }
    });
}

/// Forgets the interpreter for functions.
pub fn forget_functions() {
    with(|runtime| runtime.functions = None);
}
