//! Functions that scripts can call.
//!
//! A function of ours never raises an error by itself: it would jump over frames of Rust. It returns what is to be
//! raised, and a small C function around it does that (`crates/lua/host/khost.c`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use kinovar_ds::port::{self, Port};
use mlua::{FromLuaMulti, Function, LightUserData, Lua, LuaString, Result, Table, Value};

use crate::host::KEPT_BYTES;
use crate::values::{Reader, Writer};

/// What a function answers.
pub(crate) type Answer<T> = std::result::Result<T, Raise>;

/// An error to raise in the script.
pub(crate) enum Raise {
    /// The value that the function has written.
    Written,
    /// A text, with the place of the call before it.
    Text(Cow<'static, [u8]>),
    /// A table with this text as `err`.
    Error(Cow<'static, [u8]>),
    /// What is wrong with an argument.
    Argument(u32, Cow<'static, [u8]>),
    /// Something went wrong in the interpreter itself.
    Lua(mlua::Error),
}

impl From<mlua::Error> for Raise {
    fn from(error: mlua::Error) -> Raise {
        Raise::Lua(error)
    }
}

/// Codes of `khost.c`. The number of a wrong argument stands above the lowest byte.
mod code {
    pub const RETURN: i64 = 0;
    pub const RETURN_PACKED: i64 = 1;
    pub const RAISE_PACKED: i64 = 2;
    pub const RAISE_TEXT: i64 = 3;
    pub const RAISE_ARGUMENT: i64 = 4;
}

/// A function behind a port: it is given its arguments packed.
type Ported = dyn Fn(Reader<'_>, &mut Writer) -> Answer<()>;

/// The functions of an interpreter that its C code calls without a detour. They stay as long as the interpreter does.
pub(crate) struct Switchboard {
    port: Port,
    functions: Rc<RefCell<Vec<Box<Ported>>>>,
}

impl Switchboard {
    /// One without functions.
    pub(crate) fn new() -> Switchboard {
        let functions: Rc<RefCell<Vec<Box<Ported>>>> = Rc::default();
        let known = functions.clone();
        let port = Port::open(Box::new(move |function, arguments, out| {
            let known = known.borrow();
            let Some(function) = known.get(function as usize) else { return -1 };
            let mut results = Writer::new(std::mem::take(out));
            let code = match function(Reader::new(arguments), &mut results) {
                Ok(()) => code::RETURN_PACKED,
                Err(raise) => raise.written(&mut results),
            };
            *out = results.into_bytes();
            code as i32
        }));
        Switchboard { port, functions }
    }

    /// Adds a function: its number.
    pub(crate) fn add(&self, function: impl Fn(Reader<'_>, &mut Writer) -> Answer<()> + 'static) -> usize {
        let mut functions = self.functions.borrow_mut();
        functions.push(Box::new(function));
        functions.len() - 1
    }

    /// How C code finds it: the function to call, and the number to call.
    pub(crate) fn place(&self) -> (LightUserData, u32) {
        (LightUserData(port::entry()), self.port.number())
    }
}

/// Makes functions for scripts.
pub(crate) struct Natives<'l> {
    pub(crate) lua: &'l Lua,
    pub(crate) parts: Rc<Parts>,
}

/// What functions are made of.
pub(crate) struct Parts {
    native: Function,
    packed: Function,
    ported: Function,
    /// Where results are written before they cross the border.
    scratch: RefCell<Vec<u8>>,
}

/// How deep the tables may nest that a function is given.
#[derive(Clone)]
pub(crate) struct Depth(Table);

impl Depth {
    /// A deeper table is the last thing that the function sees.
    pub(crate) fn set(&self, levels: u32) -> Result<()> {
        self.0.raw_set(1, levels)
    }
}

impl<'l> Natives<'l> {
    /// `host` is the table of functions of `khost.c`.
    pub(crate) fn new(lua: &'l Lua, host: &Table) -> Result<Natives<'l>> {
        let (native, packed, ported) = (host.raw_get("native")?, host.raw_get("packed")?, host.raw_get("ported")?);
        Ok(Natives { lua, parts: Rc::new(Parts { native, packed, ported, scratch: RefCell::default() }) })
    }

    /// For functions that nest tables this deep: see [`Depth::set`].
    pub(crate) fn depth(&self, levels: u32) -> Result<Depth> {
        let depth = Depth(self.lua.create_table()?);
        depth.set(levels)?;
        Ok(depth)
    }

    /// For functions that see of deeper tables only that they are there.
    pub(crate) fn cut(&self, levels: u32) -> Result<Depth> {
        Ok(Depth(self.lua.create_sequence_from([-1 - i64::from(levels)])?))
    }

    /// A function with one result. It is given the number of its arguments, and then those.
    pub(crate) fn plain<A, F>(&self, function: F) -> Result<Function>
    where
        A: FromLuaMulti,
        F: Fn(&Lua, usize, A) -> Answer<Value> + 'static,
    {
        self.parts.native.call(self.lua.create_function(move |lua, (count, arguments): (usize, A)| {
            match function(lua, count, arguments) {
                Ok(value) => Ok((code::RETURN, value)),
                Err(raise) => raise.returned(lua, &[]),
            }
        })?)
    }

    /// A function that takes and returns any values, by way of their packed form.
    pub(crate) fn packed<F>(&self, depth: &Depth, function: F) -> Result<Function>
    where
        F: Fn(Reader<'_>, &mut Writer) -> Answer<()> + 'static,
    {
        let parts = self.parts.clone();
        let function = self.lua.create_function(move |lua, arguments: LuaString| {
            let mut results = Writer::new(parts.scratch.take());
            let answer = function(Reader::new(&arguments.as_bytes()), &mut results);
            let returned = match answer {
                Ok(()) => Ok((code::RETURN_PACKED, Value::String(lua.create_string(results.bytes())?))),
                Err(raise) => raise.returned(lua, results.bytes()),
            };
            let mut bytes = results.into_bytes();
            if bytes.capacity() > KEPT_BYTES {
                bytes = Vec::new();
            }
            parts.scratch.replace(bytes);
            returned
        })?;
        self.parts.packed.call((function, &depth.0))
    }

    /// The same for one that is there as long as the interpreter is, and sees of tables only that they are there.
    pub(crate) fn ported<F>(&self, board: &Switchboard, levels: u32, function: F) -> Result<Function>
    where
        F: Fn(Reader<'_>, &mut Writer) -> Answer<()> + 'static,
    {
        let (entry, port) = board.place();
        self.parts.ported.call((entry, port, board.add(function), -1 - i64::from(levels)))
    }
}

impl Raise {
    /// What the C function makes the error of.
    #[cold]
    fn returned(self, lua: &Lua, written: &[u8]) -> Result<(i64, Value)> {
        let mut table = Writer::default();
        let (code, bytes) = match &self {
            Raise::Error(text) => {
                crate::redis::write_error(text, &mut table);
                (code::RAISE_PACKED, table.bytes())
            }
            Raise::Written => (code::RAISE_PACKED, written),
            Raise::Text(text) => (code::RAISE_TEXT, &text[..]),
            Raise::Argument(number, text) => (code::RAISE_ARGUMENT | i64::from(*number) << 8, &text[..]),
            Raise::Lua(error) => return Err(error.clone()),
        };
        Ok((code, Value::String(lua.create_string(bytes)?)))
    }

    /// The same behind a port, where what the C function needs is to be written.
    #[cold]
    fn written(self, out: &mut Writer) -> i64 {
        let (code, bytes) = match self {
            Raise::Written => return code::RAISE_PACKED,
            Raise::Error(text) => {
                out.clear();
                crate::redis::write_error(&text, out);
                return code::RAISE_PACKED;
            }
            Raise::Text(text) => (code::RAISE_TEXT, text),
            Raise::Argument(number, text) => (code::RAISE_ARGUMENT | i64::from(number) << 8, text),
            Raise::Lua(error) => (code::RAISE_TEXT, Cow::Owned(crate::run::reason(&error).into_bytes())),
        };
        out.clear();
        out.raw(&bytes);
        code
    }

    /// An error text with the place of the call before it.
    pub(crate) fn text(text: impl Text) -> Raise {
        Raise::Text(text.bytes())
    }

    /// An error table with this text.
    pub(crate) fn error(text: impl Text) -> Raise {
        Raise::Error(text.bytes())
    }

    /// `bad argument #1 to 'function' (text)`.
    pub(crate) fn argument(number: u32, text: impl Text) -> Raise {
        Raise::Argument(number, text.bytes())
    }
}

/// What an error text can be made of.
pub(crate) trait Text {
    fn bytes(self) -> Cow<'static, [u8]>;
}

impl Text for &'static str {
    fn bytes(self) -> Cow<'static, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

impl Text for String {
    fn bytes(self) -> Cow<'static, [u8]> {
        Cow::Owned(self.into_bytes())
    }
}

impl Text for Vec<u8> {
    fn bytes(self) -> Cow<'static, [u8]> {
        Cow::Owned(self)
    }
}
