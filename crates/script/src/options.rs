//! Arguments of library functions: what they are taken for, and those that change a setting, all of them optional.

use std::ops::RangeInclusive;

use crate::native::{Answer, Raise};
use crate::values::{Reader, Value};

/// Arguments that may be left out, or be nil.
pub(crate) struct Options<'a> {
    values: Vec<Value<'a>>,
}

impl<'a> Options<'a> {
    /// At most `max` of them.
    pub(crate) fn new(args: Reader<'a>, max: usize) -> Answer<Options<'a>> {
        let values: Vec<_> = args.collect();
        if values.len() > max {
            return Err(Raise::argument(max as u32 + 1, "found too many arguments"));
        }
        Ok(Options { values })
    }

    fn given(&self, number: u32) -> Option<Value<'a>> {
        self.values.get(number as usize - 1).copied().filter(|&value| value != Value::Nil)
    }

    /// An integer. That it is out of range is always said of the first argument.
    pub(crate) fn integer(&self, number: u32, setting: &mut u32, range: RangeInclusive<i64>) -> Answer<()> {
        let Some(value) = self.given(number) else { return Ok(()) };
        let Some(integer) = as_number(value) else {
            return Err(Raise::argument(number, format!("number expected, got {}", value.type_name())));
        };
        let integer = integer as i64;
        if !range.contains(&integer) {
            return Err(Raise::argument(1, format!("expected integer between {} and {}", range.start(), range.end())));
        }
        *setting = integer as u32;
        Ok(())
    }

    /// A boolean, or `off` and `on`.
    pub(crate) fn switch(&self, number: u32, setting: &mut bool) -> Answer<()> {
        if let Some(choice) = self.choice(number, &["off", "on"])? {
            *setting = choice == 1;
        }
        Ok(())
    }

    /// One of `names`, of which false and true stand for the first two.
    pub(crate) fn choice(&self, number: u32, names: &[&str]) -> Answer<Option<usize>> {
        let Some(value) = self.given(number) else { return Ok(None) };
        if let Value::Boolean(truth) = value {
            return Ok(Some(usize::from(truth)));
        }
        let mut digits = Vec::new();
        let Some(text) = crate::redis::text(value, &mut digits) else {
            return Err(Raise::argument(number, format!("string expected, got {}", value.type_name())));
        };
        let found = names.iter().position(|name| name.as_bytes() == text);
        found.map(Some).ok_or_else(|| Raise::argument(number, [b"invalid option '", text, b"'"].concat()))
    }
}

/// A number, or a text that reads as one.
pub(crate) fn as_number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Number(number) => Some(number),
        Value::String(text) => crate::strtod::whole(text),
        _ => None,
    }
}

/// What C sees of a text: the bytes before the first NUL.
pub(crate) fn until_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte == 0);
    &text[..end.unwrap_or(text.len())]
}
