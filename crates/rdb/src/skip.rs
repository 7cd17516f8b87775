//! Where a value ends, without decoding it: so that values of a file can be decoded by other threads than the one that reads it.

use crate::error::{ErrorKind, Result};
use crate::wire::{Input, container, kind, module_opcode};

/// Whether `code` is that of a type of values.
pub fn is_known(code: u8) -> bool {
    matches!(code, kind::STRING..=kind::MODULE_2 | kind::HASH_ZIPMAP..=kind::HASH_LISTPACK_EX)
}

/// Passes over a value of the type `code`. What it holds is not looked at, beyond what tells its length.
pub fn value(code: u8, input: &mut impl Input) -> Result<()> {
    match code {
        kind::STRING
        | kind::HASH_ZIPMAP
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::ZSET_ZIPLIST
        | kind::HASH_ZIPLIST
        | kind::HASH_LISTPACK
        | kind::ZSET_LISTPACK
        | kind::SET_LISTPACK
        | kind::HASH_LISTPACK_EX_PRE_GA => input.pass_string(),
        kind::HASH_LISTPACK_EX => {
            input.pass(8)?;
            input.pass_string()
        }
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => strings(input, 1),
        kind::HASH => strings(input, 2),
        kind::ZSET => zset(input),
        kind::ZSET_2 => repeat(input, |input| {
            input.pass_string()?;
            input.pass(8)
        }),
        kind::LIST_QUICKLIST_2 => repeat(input, |input| {
            let at = input.offset();
            match input.number()? {
                container::PLAIN | container::PACKED => input.pass_string(),
                _ => Err(ErrorKind::Corrupt("unknown kind of node in a list").at(at)),
            }
        }),
        kind::HASH_METADATA_PRE_GA | kind::HASH_METADATA => {
            if code == kind::HASH_METADATA {
                input.pass(8)?;
            }
            repeat(input, |input| {
                input.number()?;
                input.pass_string()?;
                input.pass_string()
            })
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => stream(code, input),
        kind::MODULE_2 => {
            input.number()?;
            module_items(input)
        }
        kind::MODULE_PRE_GA => Err(ErrorKind::PreReleaseModule.at(input.offset())),
        _ => Err(ErrorKind::UnknownType(code).at(input.offset())),
    }
}

/// Passes over what a number says how many there are of. Each takes a byte at least, so a number that was made up ends with the
/// input.
fn repeat<I: Input>(input: &mut I, mut pass: impl FnMut(&mut I) -> Result<()>) -> Result<()> {
    for _ in 0..input.number()? {
        pass(input)?;
    }
    Ok(())
}

fn strings(input: &mut impl Input, each: usize) -> Result<()> {
    repeat(input, |input| {
        for _ in 0..each {
            input.pass_string()?;
        }
        Ok(())
    })
}

fn zset(input: &mut impl Input) -> Result<()> {
    repeat(input, |input| {
        input.pass_string()?;
        match input.byte()? {
            253..=255 => Ok(()),
            len => input.pass(u64::from(len)),
        }
    })
}

fn numbers(input: &mut impl Input, count: usize) -> Result<()> {
    for _ in 0..count {
        input.number()?;
    }
    Ok(())
}

fn stream(code: u8, input: &mut impl Input) -> Result<()> {
    strings(input, 2)?;
    // Number of entries, last id; first id, highest id deleted, number of entries ever.
    numbers(input, if code == kind::STREAM_LISTPACKS { 3 } else { 8 })?;
    repeat(input, |input| {
        input.pass_string()?;
        numbers(input, if code == kind::STREAM_LISTPACKS { 2 } else { 3 })?;
        repeat(input, |input| {
            input.pass(16)?;
            input.pass(8)?;
            input.number().map(drop)
        })?;
        repeat(input, |input| {
            input.pass_string()?;
            for _ in 0..if code == kind::STREAM_LISTPACKS_3 { 2 } else { 1 } {
                input.pass(8)?;
            }
            repeat(input, |input| input.pass(16))
        })
    })
}

/// Passes over what a module wrote, up to the mark behind it.
pub fn module_items(input: &mut impl Input) -> Result<()> {
    loop {
        let at = input.offset();
        match input.number()? {
            module_opcode::EOF => return Ok(()),
            module_opcode::SINT | module_opcode::UINT => input.number().map(drop)?,
            module_opcode::FLOAT => input.pass(4)?,
            module_opcode::DOUBLE => input.pass(8)?,
            module_opcode::STRING => input.pass_string()?,
            _ => return Err(ErrorKind::Corrupt("unknown code in what a module wrote").at(at)),
        }
    }
}
