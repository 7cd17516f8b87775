//! What scripts find in their global table: the standard library without what reaches beyond the interpreter, and our
//! own libraries. All of it is read-only.

use std::rc::Rc;

use mlua::{Function, Lua, LuaOptions, LuaString, Result, StdLib, Table, Value};

use crate::native::{Answer, Natives, Raise};
use crate::run::State;
use crate::{Version, bit, cjson, cmsgpack, redis, structs};

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
    /// The globals of code that runs.
    pub(crate) globals: Table,
    pub(crate) kind: Kind,
    /// Makes a table read-only.
    readonly: Function,
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
        let sandbox = Sandbox { lua, host, error_handler, globals, kind, readonly };
        sandbox.fill(kind, version, state)?;
        Ok(sandbox)
    }

    fn fill(&self, kind: Kind, version: &Version, state: &Rc<State>) -> Result<()> {
        let (lua, globals) = (&self.lua, &self.globals);
        let natives = Natives::new(lua, &self.host)?;
        globals.raw_set("pcall", self.host.raw_get::<Function>("pcall")?)?;
        let math: Table = globals.raw_get("math")?;
        for name in ["random", "randomseed"] {
            math.raw_set(name, self.host.raw_get::<Function>(name)?)?;
        }
        globals.raw_set("bit", bit::library(&natives)?)?;
        globals.raw_set("struct", structs::library(&natives)?)?;
        globals.raw_set("cjson", cjson::library(&natives)?)?;
        globals.raw_set("cmsgpack", cmsgpack::library(&natives)?)?;
        globals.raw_set("redis", redis::library(&natives, kind, version, state)?)?;
        if kind == Kind::Scripts {
            globals.raw_set("__redis__err__handler", &self.error_handler)?;
        }
        self.protect(globals)?;
        if let Value::Table(strings) = lua.load("return getmetatable('')").eval()? {
            self.freeze(&strings)?;
        }
        Ok(())
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
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    Err(Raise::text([b"Script attempted to access nonexistent global variable '", &name[..end], b"'"].concat()))
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
