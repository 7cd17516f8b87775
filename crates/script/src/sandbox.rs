//! What scripts find in their global table: the standard library without what reaches beyond the interpreter, and our
//! own libraries. All of it is read-only.

use std::rc::Rc;

use mlua::{Function, Lua, LuaOptions, LuaString, Result, StdLib, Table, Value};

use crate::native::{Answer, Natives, Raise, Switchboard};
use crate::options::until_nul;
use crate::run::State;
use crate::{Version, bit, cjson, cmsgpack, library, redis, structs};

/// Kinds of interpreters. What they show of the world differs a little.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// For `EVAL` and its relatives.
    Scripts,
    /// For function libraries.
    Functions,
}

/// Of the base library, what scripts do not get.
const WITHHELD: &[&str] =
    &["dofile", "getfenv", "io", "loadfile", "module", "newproxy", "package", "print", "require", "setfenv"];

/// An interpreter with nothing loaded.
pub(crate) struct Sandbox {
    pub(crate) lua: Lua,
    /// Functions of `khost.c`.
    pub(crate) host: Table,
    /// Gives an error what its reply needs.
    pub(crate) error_handler: Function,
    /// Functions of ours that its C code calls.
    pub(crate) board: Switchboard,
    /// The globals of code that runs.
    pub(crate) globals: Table,
    pub(crate) kind: Kind,
    /// For libraries: what code finds while it is loaded, and afterwards.
    stages: Option<Stages>,
    /// Makes a table read-only.
    readonly: Function,
}

/// Two sets of globals, of which one is in force. The table that functions have as their environment is empty; where it
/// looks for what it does not have is what changes.
struct Stages {
    metatable: Table,
    loading: Table,
    running: Table,
}

impl Sandbox {
    /// Everything that `kind` has.
    pub(crate) fn new(kind: Kind, version: &Version, state: &Rc<State>) -> Result<Sandbox> {
        // `io` is where the host's functions are; see `khost.c`.
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS | StdLib::IO;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let globals = lua.globals();
        let host: Table = globals.raw_get("io")?;
        for name in WITHHELD {
            globals.raw_set(*name, Value::Nil)?;
        }
        let readonly = host.raw_get("readonly")?;
        let error_handler = error_handler(&lua, &host)?;
        let mut sandbox =
            Sandbox { lua, host, error_handler, board: Switchboard::new(), globals, kind, stages: None, readonly };
        sandbox.fill(kind, version, state)?;
        if kind == Kind::Functions {
            sandbox.stages = Some(sandbox.stages(version, state)?);
        }
        Ok(sandbox)
    }

    fn fill(&self, kind: Kind, version: &Version, state: &Rc<State>) -> Result<()> {
        let (lua, globals, board) = (&self.lua, &self.globals, &self.board);
        let natives = Natives::new(lua, &self.host)?;
        globals.raw_set("pcall", self.host.raw_get::<Function>("pcall")?)?;
        let math: Table = globals.raw_get("math")?;
        for name in ["random", "randomseed"] {
            math.raw_set(name, self.host.raw_get::<Function>(name)?)?;
        }
        globals.raw_set("bit", bit::library(&natives)?)?;
        globals.raw_set("struct", structs::library(&natives, board)?)?;
        globals.raw_set("cjson", cjson::library(&natives)?)?;
        globals.raw_set("cmsgpack", cmsgpack::library(&natives, board)?)?;
        globals.raw_set("redis", redis::library(&natives, board, kind, version, state)?)?;
        if kind == Kind::Scripts {
            globals.raw_set("__redis__err__handler", &self.error_handler)?;
        }
        self.protect(globals)?;
        if let Value::Table(strings) = lua.load("return getmetatable('')").eval()? {
            self.freeze(&strings)?;
        }
        Ok(())
    }

    fn stages(&self, version: &Version, state: &Rc<State>) -> Result<Stages> {
        let natives = Natives::new(&self.lua, &self.host)?;
        let loading = self.lua.create_table()?;
        let api = redis::log_and_version(&natives, &self.board, version, state)?;
        api.raw_set("register_function", library::register_function(&natives, state)?)?;
        self.protect(&api)?;
        loading.raw_set("redis", api)?;
        self.protect(&loading)?;
        let (environment, metatable) = (self.lua.create_table()?, self.lua.create_table()?);
        metatable.raw_set("__index", &self.globals)?;
        environment.set_metatable(Some(metatable.clone()))?;
        self.lua.set_globals(environment.clone())?;
        self.freeze(&environment)?;
        Ok(Stages { metatable, loading, running: self.globals.clone() })
    }

    /// Puts the globals for loading a library in force, or those for running its functions.
    pub(crate) fn set_loading(&self, loading: bool) -> Result<()> {
        let Some(stages) = &self.stages else { return Ok(()) };
        self.readonly.call::<()>((&stages.metatable, false))?;
        stages.metatable.raw_set("__index", if loading { &stages.loading } else { &stages.running })?;
        self.readonly.call::<()>((&stages.metatable, true))
    }

    /// Has `table` fail where it is asked for what it does not have, and makes it read-only with all it leads to.
    pub(crate) fn protect(&self, table: &Table) -> Result<()> {
        let natives = Natives::new(&self.lua, &self.host)?;
        let metatable = self.lua.create_table()?;
        metatable.raw_set("__index", natives.plain(missing)?)?;
        table.set_metatable(Some(metatable))?;
        self.freeze(table)
    }

    /// Makes `table` read-only, and all tables that it leads to.
    pub(crate) fn freeze(&self, table: &Table) -> Result<()> {
        let mut open = vec![table.clone()];
        let mut done: Vec<*const std::ffi::c_void> = Vec::new();
        while let Some(table) = open.pop() {
            if done.contains(&table.to_pointer()) {
                continue;
            }
            done.push(table.to_pointer());
            self.readonly.call::<()>((&table, true))?;
            open.extend(table.metatable());
            table.for_each(|_: Value, value: Value| {
                if let Value::Table(inner) = value {
                    open.push(inner);
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// `__index` of a protected table.
fn missing(lua: &Lua, count: usize, (_, name): (Value, Value)) -> Answer<Value> {
    if count != 2 {
        return Err(Raise::text("Wrong number of arguments to luaProtectedTableError"));
    }
    let name: Option<LuaString> = match &name {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => lua.coerce_string(name)?,
        _ => None,
    };
    let Some(name) = name else {
        return Err(Raise::text("Second argument to luaProtectedTableError must be a string or number"));
    };
    let name = name.as_bytes();
    Err(Raise::text([b"Script attempted to access nonexistent global variable '", until_nul(&name), b"'"].concat()))
}

/// Gets an error into shape: a table with the text and the place it comes from. Its name and lines show up in errors that
/// it raises itself, for a table that is read-only: the tenth line is the one that sets a field.
const ERROR_HANDLER: &str = "local where, type, tostring = ...
return function(err)
  local what, source, line = where(2)
  if what == 'C' then
    what, source, line = where(3)
  end
  if type(err) ~= 'table' then
    err = {err = 'ERR ' .. tostring(err)}
  end
  if what then err.source = source
    err.line = line
  end
  return err
end";

fn error_handler(lua: &Lua, host: &Table) -> Result<Function> {
    let globals = lua.globals();
    let place: Function = host.raw_get("where")?;
    let (kind, text): (Function, Function) = (globals.raw_get("type")?, globals.raw_get("tostring")?);
    lua.load(ERROR_HANDLER).set_name("@err_handler_def").call((place, kind, text))
}
