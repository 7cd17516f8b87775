//! Vector sets, as the reference's module writes them: `docs/formats/vector_set.md`.

use super::corrupt;
use crate::encode::{HAS_ATTRIBUTES, HAS_PROJECTION};
use crate::error::Result;
use crate::wire::{Reader, module_opcode};
use kinovar_keyspace::VectorSet;
use kinovar_keyspace::vector_set::hnsw::{Invalid, Loader, M_MAX};
use kinovar_keyspace::vector_set::{DIM_MAX, Projection, Quantization, seed};
use std::borrow::Cow;

/// Links of files that do not say how many.
const M_DEFAULT: usize = 16;
/// An element takes more bytes.
const ELEMENT_BYTES_MIN: usize = 8;
/// The newest form of a node.
const NODE_VERSION: u64 = 1;

fn opcode(reader: &mut Reader<'_>, expected: u64) -> Result<()> {
    let at = reader.offset();
    if reader.number()? == expected { Ok(()) } else { corrupt("not what a vector set has here", at) }
}

fn unsigned(reader: &mut Reader<'_>) -> Result<u64> {
    opcode(reader, module_opcode::UINT)?;
    reader.number()
}

fn string<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, [u8]>> {
    opcode(reader, module_opcode::STRING)?;
    reader.string()
}

fn dimension(reader: &mut Reader<'_>) -> Result<usize> {
    let at = reader.offset();
    match unsigned(reader)? {
        dim if (1..=DIM_MAX as u64).contains(&dim) => Ok(dim as usize),
        _ => corrupt("a dimension that a vector cannot have", at),
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<VectorSet> {
    // What it is.
    reader.number()?;
    let dim = dimension(reader)?;
    let at = reader.offset();
    let elements = unsigned(reader)?;
    if elements > (reader.rest().len() / ELEMENT_BYTES_MIN) as u64 {
        return corrupt("more elements than there are bytes for", at);
    }
    let at = reader.offset();
    let config = unsigned(reader)?;
    let quantization = match config & 0xff {
        0 => Quantization::None,
        1 => Quantization::Q8,
        2 => Quantization::Bin,
        _ => return corrupt("an unknown quantisation", at),
    };
    let m = match (config >> 8 & 0xffff) as usize {
        0 => M_DEFAULT,
        m => m.min(M_MAX),
    };
    let flags = unsigned(reader)?;
    let projection = if flags & HAS_PROJECTION != 0 { Some(read_projection(reader, dim)?) } else { None };
    let mut loader = Loader::new(dim, quantization, m, seed());
    let mut names = Vec::new();
    for _ in 0..elements {
        names.push(read_element(reader, flags & HAS_ATTRIBUTES != 0, &mut loader)?);
    }
    let at = reader.offset();
    let Ok(index) = loader.finish() else { return corrupt("links of a vector set that do not fit together", at) };
    let mut set = VectorSet::of(index, projection);
    for (node, (name, attributes)) in names.into_iter().enumerate() {
        if !set.name_node(node as u32, name, attributes) {
            return corrupt("two elements of one name", at);
        }
    }
    opcode(reader, module_opcode::EOF)?;
    Ok(set)
}

fn read_projection(reader: &mut Reader<'_>, dim: usize) -> Result<Projection> {
    let input_dim = dimension(reader)?;
    let at = reader.offset();
    let bytes = string(reader)?;
    if bytes.len() != 4 * input_dim * dim {
        return corrupt("a projection of another size", at);
    }
    let (floats, _) = bytes.as_chunks::<4>();
    let matrix = floats.iter().map(|&float| f32::from_le_bytes(float)).collect();
    match Projection::from_matrix(input_dim, dim, matrix) {
        Some(projection) => Ok(projection),
        None => corrupt("a projection of another size", at),
    }
}

/// An element's name and attributes.
type Texts = (Box<[u8]>, Option<Box<[u8]>>);

/// Reads an element into the loader.
fn read_element(reader: &mut Reader<'_>, has_attributes: bool, loader: &mut Loader) -> Result<Texts> {
    let name = string(reader)?;
    let attributes = if has_attributes { string(reader)? } else { Cow::Borrowed(&[][..]) };
    let attributes = (!attributes.is_empty()).then(|| attributes.into());
    let vector = string(reader)?;
    let at = reader.offset();
    let count = unsigned(reader)?;
    // Each takes two bytes at least.
    if count > (reader.rest().len() / 2) as u64 {
        return corrupt("more of a node than there are bytes for", at);
    }
    let mut parameters = Vec::with_capacity(count as usize);
    for _ in 0..count {
        parameters.push(unsigned(reader)?);
    }
    match add_node(&vector, &parameters, loader) {
        Ok(()) => Ok((name.into(), attributes)),
        Err(Invalid(what)) => corrupt(what, at),
    }
}

const SHORT: Invalid = Invalid("a node that ends too early");

fn add_node(vector: &[u8], parameters: &[u64], loader: &mut Loader) -> Result<(), Invalid> {
    let [uid, form, layers @ ..] = parameters else { return Err(SHORT) };
    let version = form >> 24 & 0xff;
    if version > NODE_VERSION {
        return Err(Invalid("a node of a newer form"));
    }
    let level = (form & 0xff) as usize;
    // What follows the layers has to be known first.
    let mut rest = layers;
    for _ in 0..=level {
        rest = split_layer(rest, version)?.1;
    }
    let lengths = *rest.first().ok_or(SHORT)?;
    let (l2, range) = (f32::from_bits(lengths as u32), f32::from_bits((lengths >> 32) as u32));
    let vector = loader.vector(vector, range, l2)?;
    loader.node(&vector, *uid, level)?;
    let mut rest = layers;
    for layer in 0..=level {
        let ((uids, max), after) = split_layer(rest, version)?;
        loader.links(layer, uids, max)?;
        rest = after;
    }
    Ok(())
}

/// The uids of a layer's links and how many there may be; then what follows.
#[allow(clippy::type_complexity, reason = "it is taken apart at once")]
fn split_layer(parameters: &[u64], version: u64) -> Result<((&[u64], usize), &[u64]), Invalid> {
    let [count, max, rest @ ..] = parameters else { return Err(SHORT) };
    let count = usize::try_from(*count).map_err(|_| SHORT)?;
    let (uids, rest) = rest.split_at_checked(count).ok_or(SHORT)?;
    // Which link is the farthest is computed anew.
    let rest = if version > 0 { rest.get(1..).ok_or(SHORT)? } else { rest };
    Ok(((uids, usize::try_from(*max).unwrap_or(usize::MAX)), rest))
}
