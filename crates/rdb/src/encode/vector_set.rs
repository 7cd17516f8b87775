//! Vector sets, as the reference's module writes them: `docs/formats/vector_set.md`.

use super::Encoder;
use crate::wire::{VECTOR_SET, module_opcode, push_len, push_raw_string};
use kinovar_keyspace::VectorSet;
use kinovar_keyspace::vector_set::{Projection, Quantization};

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum At {
    #[default]
    Start,
    /// The element of the projection's matrix with this index.
    Matrix(usize),
    /// The nodes from this number on.
    Node(u32),
}

/// The set has a projection.
pub(crate) const HAS_PROJECTION: u64 = 1;
/// Each element has a text of attributes, which may be empty.
pub(crate) const HAS_ATTRIBUTES: u64 = 2;
/// Version of the form of a node.
const NODE_VERSION: u64 = 1;

/// The number of a quantisation.
fn code(quantization: Quantization) -> u64 {
    match quantization {
        Quantization::None => 0,
        Quantization::Q8 => 1,
        Quantization::Bin => 2,
    }
}

fn unsigned(out: &mut Vec<u8>, value: u64) {
    push_len(out, module_opcode::UINT);
    push_len(out, value);
}

/// Appends the next piece; what comes then, if anything.
pub(super) fn write(set: &VectorSet, at: At, limit: usize, encoder: &mut Encoder, out: &mut Vec<u8>) -> Option<At> {
    let first = match at {
        At::Node(node) => node,
        At::Matrix(index) => match set.projection().and_then(|projection| matrix(projection, index, limit, out)) {
            Some(next) => return Some(next),
            None => 0,
        },
        At::Start => {
            head(set, out);
            match set.projection().and_then(|projection| matrix(projection, 0, limit, out)) {
                Some(next) => return Some(next),
                None => 0,
            }
        }
    };
    for node in set.nodes_from(first) {
        element(set, node, encoder, out);
        if out.len() >= limit {
            return Some(At::Node(node + 1));
        }
    }
    push_len(out, module_opcode::EOF);
    None
}

fn head(set: &VectorSet, out: &mut Vec<u8>) {
    let index = set.index();
    push_len(out, VECTOR_SET);
    unsigned(out, index.dim() as u64);
    unsigned(out, index.len() as u64);
    unsigned(out, code(index.quantization()) | (index.m() as u64) << 8);
    let projection = if set.projection().is_some() { HAS_PROJECTION } else { 0 };
    let attributes = if set.attributes_count() > 0 { HAS_ATTRIBUTES } else { 0 };
    unsigned(out, projection | attributes);
    if let Some(projection) = set.projection() {
        unsigned(out, projection.input_dim() as u64);
        push_len(out, module_opcode::STRING);
        push_len(out, 4 * (projection.input_dim() * projection.output_dim()) as u64);
    }
}

/// The matrix from an index on, row by row.
fn matrix(projection: &Projection, index: usize, limit: usize, out: &mut Vec<u8>) -> Option<At> {
    /// Elements between two looks at how much was written.
    const STEP: usize = 1024;
    let len = projection.input_dim() * projection.output_dim();
    for start in (index..len).step_by(STEP) {
        let end = len.min(start + STEP);
        (start..end).for_each(|at| out.extend_from_slice(&projection.at(at).to_le_bytes()));
        if out.len() >= limit && end < len {
            return Some(At::Matrix(end));
        }
    }
    None
}

fn element(set: &VectorSet, node: u32, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let index = set.index();
    push_len(out, module_opcode::STRING);
    encoder.string(set.name(node), out);
    if set.attributes_count() > 0 {
        push_len(out, module_opcode::STRING);
        encoder.string(set.attributes(node).unwrap_or_default(), out);
    }
    push_len(out, module_opcode::STRING);
    push_raw_string(out, index.stored(node));
    let level = index.level(node);
    let links: usize = (0..=level).map(|layer| index.degree(node, layer).0).sum();
    unsigned(out, (2 + 3 * (level + 1) + links + 1) as u64);
    unsigned(out, index.uid(node));
    unsigned(out, level as u64 | NODE_VERSION << 24);
    for layer in 0..=level {
        let (len, max) = index.degree(node, layer);
        unsigned(out, len as u64);
        unsigned(out, max as u64);
        index.neighbours(node, layer).for_each(|found| unsigned(out, index.uid(found.node)));
        let (at, distance) = index.farthest(node, layer);
        unsigned(out, at as u64 | u64::from(distance.to_bits()) << 32);
    }
    unsigned(out, u64::from(index.l2(node).to_bits()) | u64::from(index.range(node).to_bits()) << 32);
}
