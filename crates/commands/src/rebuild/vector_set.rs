//! Vector sets as commands.
//!
//! Each element has a `VADD` of its own, so the graph is made anew. What a projection has left of vectors no command could add,
//! so there it is one `RESTORE` with everything. (The reference has nothing to go by: 8.2.3 ends when it has to write one.)

use kinovar_command::keyspace::Object;
use kinovar_command::keyspace::vector_set::{Quantization, VectorSet};
use kinovar_command::{Protocol, Reply};
use kinovar_rdb::dump;
use kinovar_rdb::encode::{Encoder, Options};

/// Appends the commands for the elements from a node on; where to go on, if there are more.
pub(super) fn write(key: &[u8], object: &Object, node: u32, limit: usize, out: &mut Vec<u8>) -> Option<u32> {
    let Object::VectorSet(set) = object else { return None };
    if set.projection().is_some() {
        restore(key, object, out);
        return None;
    }
    for node in set.nodes_from(node) {
        element(key, set, node, out);
        if out.len() >= limit {
            return Some(node + 1);
        }
    }
    None
}

fn element(key: &[u8], set: &VectorSet, node: u32, out: &mut Vec<u8>) {
    let index = set.index();
    let attributes = set.attributes(node);
    let mut words = Reply::new(out, Protocol::Resp2);
    words.array(if attributes.is_some() { 10 } else { 8 });
    words.bulk(b"VADD");
    words.bulk(key);
    words.bulk(b"FP32");
    let vector: Vec<u8> = index.vector(node).iter().flat_map(|x| x.to_le_bytes()).collect();
    words.bulk(&vector);
    words.bulk(set.name(node));
    words.bulk(match index.quantization() {
        Quantization::None => b"NOQUANT",
        Quantization::Q8 => b"Q8",
        Quantization::Bin => b"BIN",
    });
    words.bulk(b"M");
    words.bulk_integer(index.m() as i64);
    if let Some(attributes) = attributes {
        words.bulk(b"SETATTR");
        words.bulk(attributes);
    }
}

fn restore(key: &[u8], object: &Object, out: &mut Vec<u8>) {
    let mut encoder = Encoder::new(Options { compress: false, ..Options::default() });
    let mut payload = vec![encoder.object_kind(object)];
    encoder.object(object, &mut payload);
    dump::seal(&mut payload);
    let mut words = Reply::new(out, Protocol::Resp2);
    words.array(4);
    words.bulk(b"RESTORE");
    words.bulk(key);
    words.bulk(b"0");
    words.bulk(&payload);
}
