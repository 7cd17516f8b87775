//! One parameter as the table declares it.

use super::kind::{Form, IntSpec, Kind, TextCheck};

/// When a parameter may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// Only in the file or on the command line.
    Immutable,
    /// At any time.
    Mutable,
    /// At run time only where `enable-protected-configs` allows it.
    Protected,
}

/// What a parameter does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It does what it says.
    Live,
    /// Accepted, kept and reported, but there is nothing here for it to change; the text says why.
    Inert(&'static str),
    /// Accepted, kept and reported; what it controls is not built yet.
    Later,
}

/// A parameter: everything about it that is not its present value.
#[derive(Clone, Copy)]
pub struct Param {
    /// Lower-case name.
    pub name: &'static str,
    /// Its second name, if any; both are reported.
    pub alias: Option<&'static str>,
    /// Values, default and range.
    pub kind: Kind,
    /// When it may be changed.
    pub mutability: Mutability,
    /// Whether only CONFIG GET with its exact name shows it.
    pub hidden: bool,
    /// Whether its value names something else, such as a file, so that setting it anew applies it even if it stays the same.
    pub is_reference: bool,
    /// What it does here.
    pub meaning: Meaning,
    /// Some numbers are accepted and then moved into a range without an error.
    pub settle: fn(i64) -> i64,
    /// The same, only for CONFIG SET.
    pub settle_on_set: fn(i64) -> i64,
    /// One phrase for the help text.
    pub about: &'static str,
}

impl Param {
    const fn new(name: &'static str, kind: Kind, about: &'static str) -> Param {
        Param {
            name,
            alias: None,
            kind,
            mutability: Mutability::Mutable,
            hidden: false,
            is_reference: false,
            meaning: Meaning::Live,
            settle: unchanged,
            settle_on_set: unchanged,
            about,
        }
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> Param {
        self.alias = Some(alias);
        self
    }

    pub(super) const fn immutable(mut self) -> Param {
        self.mutability = Mutability::Immutable;
        self
    }

    pub(super) const fn protected(mut self) -> Param {
        self.mutability = Mutability::Protected;
        self
    }

    pub(super) const fn hidden(mut self) -> Param {
        self.hidden = true;
        self
    }

    pub(super) const fn reference(mut self) -> Param {
        self.is_reference = true;
        self
    }

    pub(super) const fn inert(mut self, why: &'static str) -> Param {
        self.meaning = Meaning::Inert(why);
        self
    }

    pub(super) const fn later(mut self) -> Param {
        self.meaning = Meaning::Later;
        self
    }

    pub(super) const fn settles(mut self, settle: fn(i64) -> i64) -> Param {
        self.settle = settle;
        self
    }

    pub(super) const fn settles_on_set(mut self, settle: fn(i64) -> i64) -> Param {
        self.settle_on_set = settle;
        self
    }

    /// For a checked text: a rewritten file leaves it out when it is empty.
    pub(super) const fn unset_when_empty(mut self) -> Param {
        if let Kind::Text { default, check, .. } = self.kind {
            self.kind = Kind::Text { default, empty_is_unset: true, check };
        }
        self
    }
}

fn unchanged(value: i64) -> i64 {
    value
}

pub(super) const fn boolean(name: &'static str, default: bool, about: &'static str) -> Param {
    Param::new(name, Kind::Bool(default), about)
}

/// A signed number in plain digits.
pub(super) const fn int(name: &'static str, default: i64, min: i64, max: i64, about: &'static str) -> Param {
    Param::new(name, Kind::Int(default, IntSpec { min, max, unsigned: false, form: Form::Plain }), about)
}

/// A number in plain digits of which a negative one is refused as such.
pub(super) const fn uint(name: &'static str, default: i64, min: i64, max: i64, about: &'static str) -> Param {
    Param::new(name, Kind::Int(default, IntSpec { min, max, unsigned: true, form: Form::Plain }), about)
}

/// Bytes, kept unsigned.
pub(super) const fn bytes(name: &'static str, default: i64, min: i64, about: &'static str) -> Param {
    Param::new(name, Kind::Int(default, IntSpec { min, max: i64::MAX, unsigned: true, form: Form::Memory }), about)
}

/// Bytes, kept signed: a size that does not fit is out of range rather than negative.
pub(super) const fn signed_bytes(name: &'static str, default: i64, min: i64, about: &'static str) -> Param {
    Param::new(name, Kind::Int(default, IntSpec { min, max: i64::MAX, unsigned: false, form: Form::Memory }), about)
}

/// Bytes or a percentage.
pub(super) const fn share(name: &'static str, about: &'static str) -> Param {
    let spec = IntSpec { min: -100, max: i64::MAX, unsigned: false, form: Form::MemoryOrPercent };
    Param::new(name, Kind::Int(0, spec), about)
}

pub(super) const fn octal(name: &'static str, max: i64, about: &'static str) -> Param {
    Param::new(name, Kind::Int(0, IntSpec { min: 0, max, unsigned: true, form: Form::Octal }), about)
}

pub(super) const fn names(
    name: &'static str,
    default: i64,
    names: &'static [(&'static str, i64)],
    about: &'static str,
) -> Param {
    Param::new(name, Kind::Enum(default, names), about)
}

/// A text that a rewritten file leaves out when it is empty.
pub(super) const fn text(name: &'static str, default: &'static str, about: &'static str) -> Param {
    Param::new(name, Kind::Text { default, empty_is_unset: true, check: any_text }, about)
}

/// A text that may be empty on purpose, so that a rewritten file says so.
pub(super) const fn text_or_empty(name: &'static str, default: &'static str, about: &'static str) -> Param {
    Param::new(name, Kind::Text { default, empty_is_unset: false, check: any_text }, about)
}

pub(super) const fn checked(name: &'static str, default: &'static str, check: TextCheck, about: &'static str) -> Param {
    Param::new(name, Kind::Text { default, empty_is_unset: false, check }, about)
}

pub(super) const fn special(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param::new(name, kind, about)
}

fn any_text(_: &[u8]) -> Result<(), String> {
    Ok(())
}
