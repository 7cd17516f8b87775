//! Expressions over the attributes of a vector set's elements: `VSIM … FILTER '.year > 1980 and .genre in ["drama"]'`.
//!
//! | what | how |
//! |---|---|
//! | numbers, texts | `1.5e3`, `"text"`, `'text'`; a backslash keeps the next character from ending a text, and stays |
//! | nothing | `null` |
//! | lists | `[1, "two"]`, of numbers and texts |
//! | fields | `.name`: of the attributes, which are a JSON object |
//! | operators | `or ||`, `and &&`, then `> >= < <= == != in`, then `+ -`, `* / %`, `**`, and `not !` |
//!
//! An expression is *compiled* once to a sequence of values and operators, each behind its operands, and *run* for each element on a
//! stack. A field that is not there, or holds what no value here can, makes the whole expression false, wherever it stands.
//! True is any number but 0, any text that is not empty, any list.
//!
//! The rules, their oddities included, are the reference's. Two operators `not` cannot follow each other, `10 !` is one, and a minus
//! belongs to the number behind it where there cannot be another operator. All of it is bounded by the length of the expression
//! and of the attributes.

mod json;
#[cfg(test)]
mod tests;
mod value;

use value::Value;

/// A compiled expression.
#[derive(Debug)]
pub struct Filter<'e> {
    program: Vec<Step<'e>>,
}

/// An expression is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// Where it was noticed, in bytes from the beginning; 0 if only the whole does not fit together.
    pub offset: usize,
}

/// What is done with the stack.
#[derive(Clone, Debug)]
enum Step<'e> {
    Push(Value<'e>),
    /// Push the value of a field.
    Field(&'e [u8]),
    Apply(Operator),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Open,
    Close,
    Not,
    Power,
    Times,
    Divide,
    Modulo,
    Plus,
    Minus,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
    In,
    And,
    Or,
}

/// Operators by their names.
const OPERATORS: &[(&[u8], Operator)] = &[
    (b"(", Operator::Open),
    (b")", Operator::Close),
    (b"!", Operator::Not),
    (b"not", Operator::Not),
    (b"**", Operator::Power),
    (b"*", Operator::Times),
    (b"/", Operator::Divide),
    (b"%", Operator::Modulo),
    (b"+", Operator::Plus),
    (b"-", Operator::Minus),
    (b">", Operator::Greater),
    (b">=", Operator::GreaterEqual),
    (b"<", Operator::Less),
    (b"<=", Operator::LessEqual),
    (b"==", Operator::Equal),
    (b"!=", Operator::NotEqual),
    (b"in", Operator::In),
    (b"and", Operator::And),
    (b"&&", Operator::And),
    (b"or", Operator::Or),
    (b"||", Operator::Or),
];

impl Operator {
    /// What binds more tightly has more.
    fn precedence(self) -> u8 {
        match self {
            Operator::Open | Operator::Close => 7,
            Operator::Not => 6,
            Operator::Power => 5,
            Operator::Times | Operator::Divide | Operator::Modulo => 4,
            Operator::Plus | Operator::Minus => 3,
            Operator::And => 1,
            Operator::Or => 0,
            _ => 2,
        }
    }

    fn operands(self) -> usize {
        match self {
            Operator::Open | Operator::Close => 0,
            Operator::Not => 1,
            _ => 2,
        }
    }
}

/// White space as C has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

impl<'e> Filter<'e> {
    /// Compiles an expression, which ends at the first zero byte. O(length).
    pub fn compile(expression: &'e [u8]) -> Result<Filter<'e>, SyntaxError> {
        let text = expression.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut compiler = Compiler::default();
        let mut lexer = Lexer { text, at: 0 };
        let mut last = None;
        while let Some(token) = lexer.next(last)? {
            last = Some(match token {
                Step::Apply(operator) => {
                    compiler.operator(operator)?;
                    Last::Operator(operator)
                }
                value => {
                    compiler.value(value);
                    Last::Value
                }
            });
        }
        compiler.finish()
    }

    /// Whether attributes pass. Attributes that are no JSON object have no fields.
    pub fn accepts(&self, attributes: &[u8]) -> bool {
        let mut stack: Vec<Value<'_>> = Vec::with_capacity(8);
        for step in &self.program {
            match step {
                Step::Push(value) => stack.push(value.borrowed()),
                Step::Field(name) => match json::field(attributes, name) {
                    Some(value) => stack.push(value),
                    None => return false,
                },
                Step::Apply(operator) => {
                    let b = stack.pop().unwrap_or(Value::Null);
                    let a = if operator.operands() == 2 { stack.pop().unwrap_or(Value::Null) } else { Value::Null };
                    stack.push(Value::Number(value::apply(*operator, &a, &b)));
                }
            }
        }
        stack.pop().is_some_and(|value| value.is_true())
    }
}

/// Puts operators behind their operands.
#[derive(Default)]
struct Compiler<'e> {
    program: Vec<Step<'e>>,
    /// Operators that wait for their second operand.
    waiting: Vec<Operator>,
    /// How high the stack will be.
    height: usize,
}

/// What does not fit together is not said where.
const MISFIT: SyntaxError = SyntaxError { offset: 0 };

impl<'e> Compiler<'e> {
    fn value(&mut self, value: Step<'e>) {
        self.program.push(value);
        self.height += 1;
    }

    fn apply(&mut self, operator: Operator) -> Result<(), SyntaxError> {
        let operands = operator.operands();
        if self.height < operands {
            return Err(MISFIT);
        }
        self.program.push(Step::Apply(operator));
        self.height = self.height + 1 - operands;
        Ok(())
    }

    fn operator(&mut self, operator: Operator) -> Result<(), SyntaxError> {
        match operator {
            Operator::Open => self.waiting.push(operator),
            Operator::Close => loop {
                match self.waiting.pop() {
                    None => return Err(MISFIT),
                    Some(Operator::Open) => break,
                    Some(inner) => self.apply(inner)?,
                }
            },
            _ => {
                let binds = |top: Operator| match operator {
                    // From right to left.
                    Operator::Power => top.precedence() > operator.precedence(),
                    _ => top.precedence() >= operator.precedence(),
                };
                while let Some(top) = self.waiting.pop_if(|top| *top != Operator::Open && binds(*top)) {
                    self.apply(top)?;
                }
                self.waiting.push(operator);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Filter<'e>, SyntaxError> {
        while let Some(operator) = self.waiting.pop() {
            if operator == Operator::Open {
                return Err(MISFIT);
            }
            self.apply(operator)?;
        }
        if self.height == 1 { Ok(Filter { program: self.program }) } else { Err(MISFIT) }
    }
}

/// What stood before.
#[derive(Clone, Copy)]
enum Last {
    Value,
    Operator(Operator),
}

struct Lexer<'e> {
    text: &'e [u8],
    at: usize,
}

/// A number has fewer characters.
const NUMBER_MAX: usize = 255;

impl<'e> Lexer<'e> {
    /// The byte at a distance; 0 at the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error<T>(&self) -> Result<T, SyntaxError> {
        Err(SyntaxError { offset: self.at })
    }

    /// Passes over what `is_part` accepts.
    fn run(&mut self, is_part: impl Fn(u8) -> bool) -> &'e [u8] {
        let start = self.at;
        while self.at < self.text.len() && is_part(self.text[self.at]) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn next(&mut self, last: Option<Last>) -> Result<Option<Step<'e>>, SyntaxError> {
        self.run(is_space);
        let takes_sign = match last {
            None => true,
            Some(Last::Value) => false,
            Some(Last::Operator(operator)) => operator != Operator::Close,
        };
        Ok(Some(match self.peek(0) {
            0 => return Ok(None),
            b'0'..=b'9' => self.number()?,
            b'-' if takes_sign && self.peek(1).is_ascii_digit() => self.number()?,
            b'"' | b'\'' => Step::Push(self.string()?),
            b'.' if is_of_name(self.peek(1)) => {
                self.at += 1;
                Step::Field(self.run(is_of_name))
            }
            b'[' => Step::Push(self.list()?),
            byte if is_of_operator(byte) => self.operator()?,
            _ => return self.error(),
        }))
    }

    fn operator(&mut self) -> Result<Step<'e>, SyntaxError> {
        let start = self.at;
        let word = self.run(is_of_operator);
        if word == b"null" {
            return Ok(Step::Push(Value::Null));
        }
        let longest = OPERATORS.iter().filter(|(name, _)| word.starts_with(name)).max_by_key(|(name, _)| name.len());
        let Some((name, operator)) = longest else { return self.error() };
        self.at = start + name.len();
        Ok(Step::Apply(*operator))
    }

    fn number(&mut self) -> Result<Step<'e>, SyntaxError> {
        let start = self.at;
        self.at += usize::from(self.peek(0) == b'-');
        self.run(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E'));
        if self.at - start > NUMBER_MAX {
            self.at = start + NUMBER_MAX;
            return self.error();
        }
        match value::decimal(&self.text[start..self.at]) {
            Some(number) => Ok(Step::Push(Value::Number(number))),
            None => self.error(),
        }
    }

    fn string(&mut self) -> Result<Value<'e>, SyntaxError> {
        let quote = self.peek(0);
        self.at += 1;
        let start = self.at;
        while self.at < self.text.len() {
            match self.peek(0) {
                b'\\' if self.at + 1 < self.text.len() => self.at += 2,
                byte if byte == quote => {
                    self.at += 1;
                    return Ok(Value::Text(self.text[start..self.at - 1].into()));
                }
                _ => self.at += 1,
            }
        }
        self.error()
    }

    fn list(&mut self) -> Result<Value<'e>, SyntaxError> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.run(is_space);
            match self.peek(0) {
                b']' => break,
                b'0'..=b'9' | b'-' => match self.number()? {
                    Step::Push(value) => items.push(value),
                    _ => return self.error(),
                },
                b'"' | b'\'' => items.push(self.string()?),
                _ => return self.error(),
            }
            self.run(is_space);
            match self.peek(0) {
                b']' => break,
                b',' => self.at += 1,
                _ => return self.error(),
            }
        }
        self.at += 1;
        Ok(Value::List(items))
    }
}

fn is_of_operator(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || b"+-*%/!()<>=|&".contains(&byte)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
