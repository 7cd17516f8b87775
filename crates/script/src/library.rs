//! Function libraries: code that registers functions when it is loaded.

use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Result, Table, Value};

use crate::flags::Flags;
use crate::host::Host;
use crate::native::{Answer, Natives, Raise};
use crate::run::{Code, Engine, ScriptError, State, reason};
use crate::shebang::{WRONG_NAME, is_name};
use crate::values::Reader;

/// A function that a library has registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What it is called by; letters, digits and underscores.
    pub name: String,
    /// What its author says about it.
    pub description: Option<Vec<u8>>,
    /// What it promises.
    pub flags: Flags,
    /// The function itself.
    pub code: Rc<Code>,
}

impl Engine {
    /// Runs the code of a library, which registers its functions. While it runs there are no commands to call.
    ///
    /// # Errors
    /// A text for the client.
    pub fn load(&self, code: &[u8], host: &mut dyn Host) -> std::result::Result<Vec<Registered>, Vec<u8>> {
        let function = self
            .compile_as(code, "@user_function")
            .map_err(|error| [b"ERR Error compiling function: ", &error.0[..]].concat())?;
        *self.state.loading.borrow_mut() = Some(Vec::new());
        let outcome = self.with_host(host, || {
            self.sandbox.set_loading(true)?;
            let outcome = self.enter(&function, -1, 0, &[]);
            self.sandbox.set_loading(false)?;
            outcome
        });
        let registered = self.state.loading.take().unwrap_or_default();
        match outcome {
            Ok(0) if registered.is_empty() => Err(b"ERR No functions registered".into()),
            Ok(0) => Ok(registered),
            Ok(_) => {
                let error = ScriptError::read(Reader::new(&self.state.result.borrow()));
                Err([b"ERR Error registering functions: ", &error.text[..]].concat())
            }
            Err(error) => Err(format!("ERR Error registering functions: ERR {}", reason(&error)).into_bytes()),
        }
    }
}

/// `redis.register_function`.
pub(crate) fn register_function(natives: &Natives<'_>, state: &Rc<State>) -> Result<Function> {
    let state = state.clone();
    natives.plain(move |lua, _, args: MultiValue| {
        let mut loading = state.loading.borrow_mut();
        let Some(functions) = loading.as_mut() else {
            return fail("ERR redis.register_function can only be called on FUNCTION LOAD command");
        };
        let function = match args.len() {
            1 => named_arguments(lua, &args[0])?,
            2 => two_arguments(lua, &args[0], &args[1])?,
            _ => return fail("ERR wrong number of arguments to redis.register_function"),
        };
        if !is_name(function.name.as_bytes()) {
            return Err(Raise::error(format!("ERR {WRONG_NAME}")));
        }
        if functions.iter().any(|other| other.name == function.name) {
            return fail("ERR Function already exists in the library");
        }
        functions.push(function);
        Ok(Value::Nil)
    })
}

fn fail<T>(text: &'static str) -> Answer<T> {
    Err(Raise::error(text))
}

fn two_arguments(lua: &Lua, name: &Value, callback: &Value) -> Answer<Registered> {
    let Some(name) = text(lua, name) else {
        return fail("ERR first argument to redis.register_function must be a string");
    };
    let Value::Function(callback) = callback else {
        return fail("ERR second argument to redis.register_function must be a function");
    };
    Ok(registered(&name, None, Flags::NONE, callback.clone()))
}

fn registered(name: &[u8], description: Option<Vec<u8>>, flags: Flags, callback: Function) -> Registered {
    // A name that is no text has characters that names do not have.
    let name = String::from_utf8_lossy(name).into_owned();
    Registered { name, description, flags, code: Rc::new(Code { function: callback }) }
}

fn named_arguments(lua: &Lua, table: &Value) -> Answer<Registered> {
    let Value::Table(table) = table else {
        return fail(
            "ERR calling redis.register_function with a single argument is only applicable to Lua table (representing \
             named arguments).",
        );
    };
    let (mut name, mut description, mut callback, mut flags) = (None, None, None, Flags::NONE);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(mut key) = text(lua, &key) else {
            return fail("ERR named argument key given to redis.register_function is not a string");
        };
        key.make_ascii_lowercase();
        match &key[..] {
            b"function_name" => match text(lua, &value) {
                Some(text) => name = Some(text),
                None => return fail("ERR function_name argument given to redis.register_function must be a string"),
            },
            b"description" => match text(lua, &value) {
                Some(text) => description = Some(text),
                None => return fail("ERR description argument given to redis.register_function must be a string"),
            },
            b"callback" => match value {
                Value::Function(function) => callback = Some(function),
                _ => return fail("ERR callback argument given to redis.register_function must be a function"),
            },
            b"flags" => match value {
                Value::Table(list) => flags = read_flags(lua, &list)?,
                _ => {
                    return fail(
                        "ERR flags argument to redis.register_function must be a table representing function flags",
                    );
                }
            },
            _ => return fail("ERR unknown argument given to redis.register_function"),
        }
    }
    let Some(name) = name else { return fail("ERR redis.register_function must get a function name argument") };
    let Some(callback) = callback else { return fail("ERR redis.register_function must get a callback argument") };
    Ok(registered(&name, description, flags, callback))
}

fn read_flags(lua: &Lua, list: &Table) -> Answer<Flags> {
    let mut flags = Flags::NONE;
    for index in 1.. {
        let value: Value = list.raw_get(index)?;
        if value == Value::Nil {
            break;
        }
        let flag = text(lua, &value).and_then(|name| Flags::named(&name.to_ascii_lowercase()));
        flags = flags.or(flag.ok_or_else(|| Raise::error("ERR unknown flag given"))?);
    }
    Ok(flags)
}

/// The bytes of a string, or of a number as one.
fn text(lua: &Lua, value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(value.clone()).ok()??;
            Some(text.as_bytes().to_vec())
        }
        _ => None,
    }
}
