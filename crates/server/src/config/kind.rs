//! What a parameter's value may be: how it is read from words, checked, printed, and written back to a file.
//!
//! The ranges and the wording of refusals are those of Redis 8.2.3, as recorded in `oracle/`. Its quirks are kept on purpose
//! where a client can see them: a size is parsed as 64 unsigned bits and judged as a signed number, the unit `k` is a thousand
//! and `kb` 1024, no digits are zero bytes, a negative share of memory is read as a percentage.

use std::fmt::Write as _;

use kinovar_command::until_nul;

use super::events;

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Bool(bool),
    /// A number; a percentage is stored as its negative.
    Int(i64),
    /// The number of an enumerated name, or the union of several for a set of flags.
    Enum(i64),
    /// Any bytes.
    Text(Vec<u8>),
    /// `bind`: addresses in order.
    Words(Vec<Vec<u8>>),
    /// `save`.
    Save(Vec<SaveRule>),
    /// `client-output-buffer-limit`, in the order of [`CLIENT_CLASSES`].
    OutputLimits([OutputLimit; 3]),
    /// `latency-tracking-info-percentiles`.
    Percentiles(Vec<f64>),
    /// `oom-score-adj-values`: primary, replica, background child.
    OomScores([i32; 3]),
    /// `replicaof`: host and port of the primary.
    Primary(Option<(Vec<u8>, u16)>),
    /// `notify-keyspace-events`: the set of [`events`] flags.
    Events(u32),
}

/// One `save SECONDS CHANGES` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveRule {
    /// At least this many seconds after the last save, 1 or more.
    pub seconds: i64,
    /// With at least this many changes.
    pub changes: i32,
}

/// Limits of the output buffers of one class of clients; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once.
    pub hard_bytes: u64,
    /// Bytes that must not be exceeded for longer than `soft_seconds`.
    pub soft_bytes: u64,
    /// How long `soft_bytes` may be exceeded.
    pub soft_seconds: i64,
}

/// Names of the client classes of [`Value::OutputLimits`] as CONFIG GET prints them.
pub const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// At most this many addresses in `bind`.
const BIND_ADDRESSES_MAX: usize = 16;

/// How a number is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Decimal digits.
    Plain,
    /// Bytes with an optional unit.
    Memory,
    /// Bytes with an optional unit, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// Octal digits.
    Octal,
}

/// The shape of a number.
#[derive(Clone, Copy, Debug)]
pub struct IntSpec {
    /// Smallest allowed value.
    pub min: i64,
    /// Largest allowed value.
    pub max: i64,
    /// Whether a negative number is refused as such, before the range is looked at.
    pub unsigned: bool,
    /// Spelling.
    pub form: Form,
}

/// A check of a text: the refusal, or nothing when the text will do.
pub type TextCheck = fn(&[u8]) -> Result<(), String>;

/// Everything known about the values of one parameter.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`, with the default.
    Bool(bool),
    /// A number, with the default.
    Int(i64, IntSpec),
    /// As many as there are cores, within the range.
    Cores(IntSpec),
    /// One of some names, with the default's number.
    Enum(i64, &'static [(&'static str, i64)]),
    /// Any number of some names; the one with number 0 stands for none. With the default.
    Flags(i64, &'static [(&'static str, i64)]),
    /// Any bytes, with the default.
    Text {
        /// Value when nothing is said.
        default: &'static str,
        /// Whether an empty value is left out of a rewritten file.
        empty_is_unset: bool,
        /// What the text must be.
        check: TextCheck,
    },
    /// The working directory; has no value of its own.
    Dir,
    /// See [`Value::Words`].
    Bind,
    /// See [`Value::Save`].
    Save,
    /// See [`Value::OutputLimits`].
    OutputLimits,
    /// See [`Value::Percentiles`].
    Percentiles,
    /// See [`Value::OomScores`].
    OomScores,
    /// See [`Value::Primary`].
    Primary,
    /// See [`Value::Events`].
    Events,
}

/// Where words come from; it decides what a repeated `save` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A directive of the file or the command line, which adds to the earlier ones of the same name.
    Directive {
        /// Whether this is the first directive of this name.
        first: bool,
    },
    /// `CONFIG SET`, which replaces.
    Set,
}

const MIB: u64 = 1 << 20;

/// Output limits of a fresh server.
const OUTPUT_LIMITS: [OutputLimit; 3] = [
    OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
    OutputLimit { hard_bytes: 256 * MIB, soft_bytes: 64 * MIB, soft_seconds: 60 },
    OutputLimit { hard_bytes: 32 * MIB, soft_bytes: 8 * MIB, soft_seconds: 60 },
];

/// Save rules of a fresh server.
const SAVE_RULES: [SaveRule; 3] = [
    SaveRule { seconds: 3600, changes: 1 },
    SaveRule { seconds: 300, changes: 100 },
    SaveRule { seconds: 60, changes: 10_000 },
];

const WRONG_NUMBER: &str = "wrong number of arguments";

impl Kind {
    /// The value of a server that was told nothing.
    pub fn default_value(&self) -> Value {
        match *self {
            Kind::Bool(value) => Value::Bool(value),
            Kind::Int(value, _) => Value::Int(value),
            Kind::Cores(spec) => {
                let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
                Value::Int((cores as i64).clamp(spec.min, spec.max))
            }
            Kind::Enum(value, _) | Kind::Flags(value, _) => Value::Enum(value),
            Kind::Text { default, .. } => Value::Text(default.as_bytes().to_vec()),
            Kind::Dir => Value::Text(Vec::new()),
            Kind::Bind => Value::Words(vec![b"*".to_vec(), b"-::*".to_vec()]),
            Kind::Save => Value::Save(SAVE_RULES.to_vec()),
            Kind::OutputLimits => Value::OutputLimits(OUTPUT_LIMITS),
            Kind::Percentiles => Value::Percentiles(vec![50.0, 99.0, 99.9]),
            Kind::OomScores => Value::OomScores([0, 200, 800]),
            Kind::Primary => Value::Primary(None),
            Kind::Events => Value::Events(0),
        }
    }

    /// Whether the value is a list of words, so that one quoted argument stands for all of them.
    pub fn takes_many(&self) -> bool {
        matches!(
            self,
            Kind::Flags(..)
                | Kind::Bind
                | Kind::Save
                | Kind::OutputLimits
                | Kind::Percentiles
                | Kind::OomScores
                | Kind::Primary
        )
    }

    /// Whether the reference reads the words as texts of C, which end at a NUL.
    fn ends_at_nul(&self) -> bool {
        match self {
            Kind::Text { .. } | Kind::Dir | Kind::Bind | Kind::Percentiles => false,
            Kind::Int(_, spec) | Kind::Cores(spec) => spec.form != Form::Plain,
            _ => true,
        }
    }

    /// Reads a value from its words; `old` is the value so far, which some kinds change only in part.
    ///
    /// # Errors
    /// The reason for a refusal, worded for the user.
    pub fn parse(&self, words: &[Vec<u8>], old: &Value, origin: Origin) -> Result<Value, String> {
        if !self.takes_many() && words.len() != 1 {
            return Err(WRONG_NUMBER.into());
        }
        let cut: Vec<Vec<u8>>;
        let words = if self.ends_at_nul() {
            cut = words.iter().map(|word| until_nul(word).to_vec()).collect();
            cut.as_slice()
        } else {
            words
        };
        match self {
            Kind::Bool(_) => parse_bool(&words[0]).map(Value::Bool),
            Kind::Int(_, spec) | Kind::Cores(spec) => spec.parse(&words[0]).map(Value::Int),
            Kind::Enum(_, names) => parse_names(words, names).map(Value::Enum),
            Kind::Flags(_, names) => parse_flags(words, names).map(Value::Enum),
            Kind::Text { check, .. } => check(&words[0]).map(|()| Value::Text(words[0].clone())),
            Kind::Dir => Ok(Value::Text(words[0].clone())),
            Kind::Bind => parse_bind(words).map(Value::Words),
            Kind::Save => parse_save(words, old, origin).map(Value::Save),
            Kind::OutputLimits => parse_output_limits(words, old).map(Value::OutputLimits),
            Kind::Percentiles => parse_percentiles(words).map(Value::Percentiles),
            Kind::OomScores => parse_oom_scores(words).map(Value::OomScores),
            Kind::Primary => parse_primary(words).map(Value::Primary),
            Kind::Events => match std::str::from_utf8(&words[0]).ok().and_then(events::parse) {
                Some(flags) => Ok(Value::Events(flags)),
                None => Err(format!("Invalid event class character. Use '{}'.", events::LETTERS)),
            },
        }
    }

    /// The value as CONFIG GET shows it.
    pub fn show(&self, value: &Value) -> Vec<u8> {
        match value {
            Value::Bool(value) => yes_no(*value).as_bytes().to_vec(),
            Value::Int(value) => self.show_int(*value).into_bytes(),
            Value::Enum(value) => self.show_names(*value).into_bytes(),
            Value::Text(text) => text.clone(),
            Value::Words(words) => words.join(&b' '),
            Value::Save(rules) => {
                let rules: Vec<String> = rules.iter().map(|r| format!("{} {}", r.seconds, r.changes)).collect();
                rules.join(" ").into_bytes()
            }
            Value::OutputLimits(limits) => {
                let each = CLIENT_CLASSES.iter().zip(limits);
                let each: Vec<String> = each
                    .map(|(class, l)| format!("{class} {} {} {}", l.hard_bytes, l.soft_bytes, l.soft_seconds))
                    .collect();
                each.join(" ").into_bytes()
            }
            Value::Percentiles(list) => show_percentiles(list).into_bytes(),
            Value::OomScores([a, b, c]) => format!("{a} {b} {c}").into_bytes(),
            Value::Primary(None) => Vec::new(),
            Value::Primary(Some((host, port))) => [host, format!(" {port}").as_bytes()].concat(),
            Value::Events(flags) => events::show(*flags).into_bytes(),
        }
    }

    fn show_int(&self, value: i64) -> String {
        match self.form() {
            Form::Octal => format!("{value:o}"),
            Form::MemoryOrPercent if value < 0 => format!("{}%", -value),
            _ => value.to_string(),
        }
    }

    /// How the numbers of this kind are spelled.
    pub fn form(&self) -> Form {
        match self {
            Kind::Int(_, spec) => spec.form,
            _ => Form::Plain,
        }
    }

    fn show_names(&self, value: i64) -> String {
        match self {
            Kind::Flags(_, names) if value != 0 => {
                let set: Vec<&str> = names.iter().filter(|(_, bit)| bit & value != 0).map(|(name, _)| *name).collect();
                set.join(" ")
            }
            Kind::Enum(_, names) | Kind::Flags(_, names) => {
                names.iter().find(|(_, number)| *number == value).map_or("unknown", |(name, _)| name).to_owned()
            }
            _ => String::new(),
        }
    }
}

/// `yes` or `no`.
pub fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn parse_bool(word: &[u8]) -> Result<bool, String> {
    if word.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".into())
    }
}

impl IntSpec {
    fn parse(&self, word: &[u8]) -> Result<i64, String> {
        let value = self.read(word)?;
        if self.unsigned && value < 0 {
            return Err("argument must be greater or equal to 0".into());
        }
        if self.form == Form::MemoryOrPercent && value < 0 {
            return if value >= self.min {
                Ok(value)
            } else {
                Err(format!("percentage argument must be less or equal to {}", -self.min))
            };
        }
        if (self.min..=self.max).contains(&value) {
            return Ok(value);
        }
        let (min, max) = (self.min, self.max);
        Err(match self.form {
            Form::Octal => format!("argument must be between {min:o} and {max:o} inclusive"),
            _ => format!("argument must be between {min} and {max} inclusive"),
        })
    }

    fn read(&self, word: &[u8]) -> Result<i64, String> {
        match self.form {
            Form::Plain => strict_int(word).ok_or_else(|| "argument couldn't be parsed into an integer".into()),
            Form::Octal => octal(word).ok_or_else(|| "argument couldn't be parsed as an octal number".into()),
            Form::Memory => {
                memory_bytes(word).map(|n| n as i64).ok_or_else(|| "argument must be a memory value".into())
            }
            Form::MemoryOrPercent => percentage(word)
                .or_else(|| memory_bytes(word).map(|n| n as i64))
                .ok_or_else(|| "argument must be a memory or percent value".into()),
        }
    }
}

/// A decimal number in its only spelling: no sign but `-`, no leading zero, no blank.
fn strict_int(word: &[u8]) -> Option<i64> {
    let value: i64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == word).then_some(value)
}

fn percentage(word: &[u8]) -> Option<i64> {
    let value = strict_int(word.strip_suffix(b"%")?)?;
    (value >= 0).then_some(-value)
}

/// A C number of the given base as `strtoll` reads it: blanks and a sign may come first, and no digits are zero.
fn c_number(word: &[u8], radix: u32) -> Option<i64> {
    let start = word.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(word.len());
    let text = std::str::from_utf8(&word[start..]).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if word.is_empty() {
        return Some(0);
    }
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    // Out of range saturates, as it does in C.
    Some(match i64::from_str_radix(digits, radix) {
        Ok(value) if negative => -value,
        Ok(value) => value,
        Err(_) if negative => i64::MIN,
        Err(_) => i64::MAX,
    })
}

fn octal(word: &[u8]) -> Option<i64> {
    c_number(word, 8)
}

/// Bytes with an optional unit: `b`, `k`/`m`/`g` in powers of 1000, `kb`/`mb`/`gb` in powers of 1024, any case.
pub fn memory_bytes(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
    let unit: u64 = match word[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = if digits == 0 { 0 } else { std::str::from_utf8(&word[..digits]).ok()?.parse().unwrap_or(u64::MAX) };
    Some(number.wrapping_mul(unit))
}

fn one_of(names: &[(&str, i64)]) -> String {
    let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    format!("argument(s) must be one of the following: {}", names.join(", "))
}

fn parse_names(words: &[Vec<u8>], names: &[(&str, i64)]) -> Result<i64, String> {
    if words.is_empty() {
        return Err(one_of(names));
    }
    let number =
        |word: &Vec<u8>| names.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, n)| *n);
    words.iter().try_fold(0, |all, word| number(word).map(|n| all | n)).ok_or_else(|| one_of(names))
}

/// Numbers of the names of `shutdown-on-sigterm` and `shutdown-on-sigint`.
pub mod shutdown {
    /// Save when save rules exist.
    pub const DEFAULT: i64 = 0;
    /// Save in any case.
    pub const SAVE: i64 = 1;
    /// Do not save.
    pub const NOSAVE: i64 = 2;
    /// Do not wait for replicas.
    pub const NOW: i64 = 4;
    /// End even when saving fails.
    pub const FORCE: i64 = 8;
}

fn parse_flags(words: &[Vec<u8>], names: &[(&str, i64)]) -> Result<i64, String> {
    let flags = parse_names(words, names)?;
    let both = shutdown::SAVE | shutdown::NOSAVE;
    if flags & both == both {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(flags)
}

fn parse_bind(words: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    if words.len() > BIND_ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    // One empty word means to listen nowhere.
    Ok(if words.len() == 1 && words[0].is_empty() { Vec::new() } else { words.to_vec() })
}

fn parse_save(words: &[Vec<u8>], old: &Value, origin: Origin) -> Result<Vec<SaveRule>, String> {
    let words = if words.len() == 1 && words[0].is_empty() { &[] } else { words };
    let rule = |pair: &[Vec<u8>]| {
        let seconds = c_number(&pair[0], 10).filter(|n| *n >= 1)?;
        let changes = c_number(&pair[1], 10).filter(|n| *n >= 0)?;
        Some(SaveRule { seconds, changes: changes as i32 })
    };
    let mut rules = match (old, origin) {
        (Value::Save(rules), Origin::Directive { first: false }) if !words.is_empty() => rules.clone(),
        _ => Vec::new(),
    };
    if !words.len().is_multiple_of(2) {
        return Err("Invalid save parameters".into());
    }
    for pair in words.chunks(2) {
        rules.push(rule(pair).ok_or("Invalid save parameters")?);
    }
    Ok(rules)
}

fn parse_output_limits(words: &[Vec<u8>], old: &Value) -> Result<[OutputLimit; 3], String> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut limits = match old {
        Value::OutputLimits(limits) => *limits,
        _ => OUTPUT_LIMITS,
    };
    for group in words.chunks(4) {
        let class = client_class(&group[0]).ok_or("Invalid client class specified in buffer limit configuration.")?;
        let limit = (|| {
            Some(OutputLimit {
                hard_bytes: memory_bytes(&group[1])?,
                soft_bytes: memory_bytes(&group[2])?,
                soft_seconds: c_number(&group[3], 10).filter(|s| *s >= 0)?,
            })
        })();
        limits[class] = limit.ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    Ok(limits)
}

fn client_class(word: &[u8]) -> Option<usize> {
    let lower = word.to_ascii_lowercase();
    match lower.as_slice() {
        b"normal" => Some(0),
        b"slave" | b"replica" => Some(1),
        b"pubsub" => Some(2),
        _ => None,
    }
}

fn parse_percentiles(words: &[Vec<u8>]) -> Result<Vec<f64>, String> {
    let words = if words.len() == 1 && words[0].is_empty() { &[] } else { words };
    let mut list = Vec::with_capacity(words.len());
    for word in words {
        let number = std::str::from_utf8(word).ok().and_then(|w| w.parse::<f64>().ok()).filter(|n| !n.is_nan());
        let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        list.push(number);
    }
    Ok(list)
}

fn show_percentiles(list: &[f64]) -> String {
    let mut out = String::new();
    for number in list {
        let digits = format!("{number:.6}");
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let gap = if out.is_empty() { "" } else { " " };
        let _ = write!(out, "{gap}{digits}");
    }
    out
}

fn parse_oom_scores(words: &[Vec<u8>]) -> Result<[i32; 3], String> {
    let [a, b, c] = words else { return Err(WRONG_NUMBER.into()) };
    let score = |word: &[u8]| c_number(word, 10).filter(|n| (-2000..=2000).contains(n)).map(|n| n as i32);
    match (score(a), score(b), score(c)) {
        (Some(a), Some(b), Some(c)) => Ok([a, b, c]),
        _ => Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into()),
    }
}

fn parse_primary(words: &[Vec<u8>]) -> Result<Option<(Vec<u8>, u16)>, String> {
    let [host, port] = words else { return Err(WRONG_NUMBER.into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(None);
    }
    let port = c_number(port, 10).and_then(|n| u16::try_from(n).ok()).ok_or("Invalid master port")?;
    Ok(Some((host.clone(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("", 0),
            ("7", 7),
            ("7b", 7),
            ("2k", 2000),
            ("2KB", 2048),
            ("3m", 3_000_000),
            ("3Mb", 3 << 20),
            ("1g", 1_000_000_000),
            ("kb", 0),
        ] {
            assert_eq!(memory_bytes(text.as_bytes()), Some(bytes), "{text}");
        }
        for text in ["-1", "+1", " 1", "1 ", "1.5", "1tb", "1%", "x"] {
            assert_eq!(memory_bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(strict_int(b"-12"), Some(-12));
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "1e3", "9223372036854775808"] {
            assert_eq!(strict_int(text.as_bytes()), None, "{text}");
        }
    }
}
