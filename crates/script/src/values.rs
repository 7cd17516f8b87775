//! Lua values as bytes, the way they cross the border between Lua and us: in one step, however many they are.
//!
//! The layout is described in `crates/lua/host/values.c`. [`Reader`] takes apart what comes from Lua; [`Writer`] makes
//! what is to become values there.

/// Tags of `values.c`.
mod tag {
    pub const NIL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const NUMBER: u8 = 3;
    pub const STRING: u8 = 4;
    pub const TABLE: u8 = 5;
    pub const END: u8 = 6;
    pub const NULL: u8 = 7;
    pub const OTHER: u8 = 8;
    pub const DEEP: u8 = 9;
    pub const SIZED: u8 = 10;
    pub const LIST: u8 = 11;
}

/// A value from Lua.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Nil,
    Boolean(bool),
    /// The light userdata of address 0, which stands for null in the libraries.
    Null,
    Number(f64),
    String(&'a [u8]),
    /// Its keys and values in turn.
    Table(Reader<'a>),
    /// A function, userdata or coroutine, or a table that was left out.
    Other(&'static str),
    /// A table that lies too deep. Nothing follows it.
    Deep,
}

impl Value<'_> {
    /// The type's name in Lua.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Boolean(_) => "boolean",
            Value::Null => "userdata",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Table(_) | Value::Deep => "table",
            Value::Other(name) => name,
        }
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// What is read was written by `values.c`.
const WELL_FORMED: &str = "packed values are complete";

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// All that is left, as it is.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).expect(WELL_FORMED);
        self.rest = rest;
        taken
    }

    fn count(&mut self) -> usize {
        u32::from_ne_bytes(self.take(4).try_into().expect("four bytes")) as usize
    }

    /// The next key and value of a table.
    #[inline]
    pub(crate) fn entry(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        let key = self.next()?;
        let value = self.next().unwrap_or(Value::Deep);
        Some((key, value))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match tag {
            tag::NIL => Value::Nil,
            tag::FALSE => Value::Boolean(false),
            tag::TRUE => Value::Boolean(true),
            tag::NULL => Value::Null,
            tag::NUMBER => Value::Number(f64::from_ne_bytes(self.take(8).try_into().expect("eight bytes"))),
            tag::STRING => {
                let len = self.count();
                Value::String(self.take(len))
            }
            tag::TABLE => {
                let len = self.count();
                // The length of a table that is cut short by one that lies too deep was never filled in.
                let inner = if len == 0 { std::mem::take(&mut self.rest) } else { self.take(len) };
                Value::Table(Reader { rest: inner.strip_suffix(&[tag::END]).unwrap_or(inner) })
            }
            tag::OTHER => Value::Other(match self.take(1)[0] {
                5 => "table",
                6 => "function",
                8 => "thread",
                _ => "userdata",
            }),
            tag::DEEP => {
                self.rest = &[];
                Value::Deep
            }
            _ => unreachable!("{WELL_FORMED}"),
        })
    }
}

/// Writes values one after the other.
#[derive(Default, Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

/// Where the sizes of a table stand.
pub(crate) struct Sizes(usize);

impl Writer {
    pub(crate) fn new(mut bytes: Vec<u8>) -> Writer {
        bytes.clear();
        Writer { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds bytes that stand for themselves.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes what `bytes` has in the place of what it has.
    pub(crate) fn swap(&mut self, bytes: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, bytes);
    }

    /// Adds the values that another one has written.
    pub(crate) fn append(&mut self, other: &Writer) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    pub(crate) fn nil(&mut self) {
        self.bytes.push(tag::NIL);
    }

    pub(crate) fn null(&mut self) {
        self.bytes.push(tag::NULL);
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.bytes.push(if value { tag::TRUE } else { tag::FALSE });
    }

    pub(crate) fn number(&mut self, value: f64) {
        self.bytes.push(tag::NUMBER);
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    /// # Panics
    /// When `text` has 4 GiB or more.
    pub(crate) fn string(&mut self, text: &[u8]) {
        self.bytes.push(tag::STRING);
        self.count(text.len());
        self.bytes.extend_from_slice(text);
    }

    fn count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("sizes fit into four bytes");
        self.bytes.extend_from_slice(&count.to_ne_bytes());
    }

    /// A table of the next `count` values.
    pub(crate) fn list(&mut self, count: usize) {
        self.bytes.push(tag::LIST);
        self.count(count);
    }

    /// A table of the keys and values that follow, up to [`Writer::end`], made with room for as many.
    pub(crate) fn table(&mut self, list: usize, hash: usize) {
        self.bytes.push(tag::SIZED);
        self.count(list);
        self.count(hash);
    }

    /// The end of a [`Writer::table`].
    pub(crate) fn end(&mut self) {
        self.bytes.push(tag::END);
    }

    /// Begins a list whose length is not known yet.
    pub(crate) fn open_list(&mut self) -> Sizes {
        self.list(0);
        Sizes(self.bytes.len() - 4)
    }

    /// Says how long the list is.
    pub(crate) fn close_list(&mut self, sizes: Sizes, count: usize) {
        let count = u32::try_from(count).expect("sizes fit into four bytes");
        self.bytes[sizes.0..sizes.0 + 4].copy_from_slice(&count.to_ne_bytes());
    }
}
