//! Vector sets: elements found by the direction of their vectors.
//!
//! | module | commands |
//! |---|---|
//! | [`add`] | VADD |
//! | [`change`] | VREM, VSETATTR |
//! | [`search`] | VSIM |
//! | [`filter`] | the expressions of VSIM's FILTER |
//! | [`read`] | everything else |
//!
//! In the reference these are the commands of a module that comes with the server, which shows: their names are in upper case, they
//! have no ACL categories, check the number of their arguments themselves, and tell no events of changes.

mod add;
mod change;
pub mod filter;
mod read;
mod search;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::vector_set::{DIM_MAX, Quantization};
use kinovar_command::{Access, Args, Command, CommandError, Flags, Group, KeySpec};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    add::VADD,
    read::VCARD,
    read::VDIM,
    read::VEMB,
    read::VGETATTR,
    read::VINFO,
    read::VISMEMBER,
    read::VLINKS,
    read::VRANDMEMBER,
    change::VREM,
    change::VSETATTR,
    search::VSIM,
];

/// What all of them have in common.
const SHARED: Command = Command {
    group: Group::Module,
    flags: Flags::MODULE,
    keys: &[KeySpec::first(Access::RW.access().update())],
    since: "8.0.0",
    module: "vectorset",
    ..Command::DEFAULT
};

const READONLY: Flags = Flags::MODULE.or(Flags::READONLY);
const WRITE: Flags = Flags::MODULE.or(Flags::WRITE);

const INVALID_VECTOR: CommandError = CommandError::text("ERR invalid vector specification");

/// An error if there are fewer or more arguments, the name included.
fn check_count(args: &Args<'_>, name: &str, counts: std::ops::RangeInclusive<usize>) -> Result<(), CommandError> {
    if counts.contains(&args.argc()) { Ok(()) } else { Err(CommandError::WrongArity(name.into())) }
}

/// Takes a vector, `FP32 blob` or `VALUES count value …`.
fn take_vector(args: &mut Args<'_>) -> Result<Vec<f32>, CommandError> {
    match args.next() {
        Some(word) if word.eq_ignore_ascii_case(b"FP32") => {
            let (floats, rest) = args.next().ok_or(INVALID_VECTOR)?.as_chunks::<4>();
            if !rest.is_empty() || !(1..=DIM_MAX).contains(&floats.len()) {
                return Err(INVALID_VECTOR);
            }
            Ok(floats.iter().map(|&float| f32::from_le_bytes(float)).collect())
        }
        Some(word) if word.eq_ignore_ascii_case(b"VALUES") => {
            let count = args.integer().ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            if !(1..=DIM_MAX).contains(&count) || count > args.left() {
                return Err(INVALID_VECTOR);
            }
            let values = (0..count).map(|_| args.double().map(|value| value as f32));
            values.collect::<Result<_, _>>().map_err(|_| INVALID_VECTOR)
        }
        _ => Err(INVALID_VECTOR),
    }
}

/// The number of a set's dimension that a vector does not have.
fn dimension_mismatch(got: usize, expected: usize) -> CommandError {
    CommandError::owned(format!("ERR Vector dimension mismatch - got {got} but set has {expected}"))
}

fn input_mismatch(got: usize, expected: usize) -> CommandError {
    CommandError::owned(format!(
        "ERR Input dimension mismatch for projection - got {got} but projection expects {expected}"
    ))
}

/// A quantisation's name in replies.
fn name_of(quantization: Quantization) -> &'static str {
    match quantization {
        Quantization::None => "f32",
        Quantization::Q8 => "int8",
        Quantization::Bin => "bin",
    }
}
