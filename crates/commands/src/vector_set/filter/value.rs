//! What expressions are about, and what operators do with it.

use super::Operator;
use std::borrow::Cow;

/// A value on the stack.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value<'a> {
    Number(f64),
    Text(Cow<'a, [u8]>),
    List(Vec<Value<'a>>),
    Null,
}

/// A longer text is never taken for a number.
const NUMERIC_MAX: usize = 255;

/// The number that a text is, all of it, in decimal digits.
pub(super) fn decimal(text: &[u8]) -> Option<f64> {
    if !text.iter().any(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Value<'_> {
    /// The same without an allocation, unless it is a list.
    pub(super) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Number(number) => Value::Number(*number),
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::List(items) => Value::List(items.iter().map(Value::borrowed).collect()),
            Value::Null => Value::Null,
        }
    }

    fn to_number(&self) -> f64 {
        match self {
            Value::Number(number) => *number,
            Value::Text(text) if text.len() <= NUMERIC_MAX => number_of(text),
            _ => 0.0,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(_) => true,
            Value::Null => false,
        }
    }

    fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Null, b) => *b == Value::Null,
            (a, Value::Null) => *a == Value::Null,
            (a, b) => a.to_number() == b.to_number(),
        }
    }

    fn is_in(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (_, Value::List(items)) => items.iter().any(|item| self.equals(item)),
            (Value::Text(a), Value::Text(b)) => a.is_empty() || b.windows(a.len()).any(|part| part == &**a),
            _ => false,
        }
    }
}

/// The number that a text stands for as C reads it; 0 if it is none, or more than one.
fn number_of(text: &[u8]) -> f64 {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let start = text.iter().position(|&byte| !super::is_space(byte)).unwrap_or(text.len());
    let text = &text[start..];
    // A decimal number that is too large is infinite here.
    let number = kinovar_command::number::parse_f64(text).or_else(|| decimal(text));
    number.unwrap_or(if is_nan(text) { f64::NAN } else { 0.0 })
}

fn is_nan(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    digits.eq_ignore_ascii_case(b"nan")
}

/// The result of an operator, whose only operand is `b` if it has one.
pub(super) fn apply(operator: Operator, a: &Value<'_>, b: &Value<'_>) -> f64 {
    let numbers = || (a.to_number(), b.to_number());
    let both = |f: fn(f64, f64) -> f64| {
        let (a, b) = numbers();
        f(a, b)
    };
    let test = |f: fn(&f64, &f64) -> bool| {
        let (a, b) = numbers();
        f64::from(u8::from(f(&a, &b)))
    };
    let flag = |is: bool| f64::from(u8::from(is));
    match operator {
        Operator::Not => flag(!b.is_true()),
        Operator::Power => both(f64::powf),
        Operator::Times => both(|a, b| a * b),
        Operator::Divide => both(|a, b| a / b),
        Operator::Modulo => both(|a, b| a % b),
        Operator::Plus => both(|a, b| a + b),
        Operator::Minus => both(|a, b| a - b),
        Operator::Greater => test(f64::gt),
        Operator::GreaterEqual => test(f64::ge),
        Operator::Less => test(f64::lt),
        Operator::LessEqual => test(f64::le),
        Operator::Equal => flag(a.equals(b)),
        Operator::NotEqual => flag(!a.equals(b)),
        Operator::In => flag(a.is_in(b)),
        Operator::And => flag(a.is_true() && b.is_true()),
        Operator::Or => flag(a.is_true() || b.is_true()),
        Operator::Open | Operator::Close => 0.0,
    }
}
