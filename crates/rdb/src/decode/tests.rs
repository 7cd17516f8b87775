use super::*;
use crate::encode::{Encoder, Options, Pieces, object_minimum_version};
use crate::skip;
use crate::testing::{contents, object, tight};
use crate::wire::{VERSION, VERSION_MIN};
use proptest::prelude::*;

/// The value in these bytes, all of them, as an object.
fn read(code: u8, bytes: &[u8]) -> Object {
    let mut reader = Reader::new(bytes, 0);
    let value = value(code, &mut reader, &tight()).expect("a value");
    assert!(reader.is_empty());
    match value {
        NewValue::Int(value) => Object::Raw(value.to_string().into_bytes()),
        NewValue::Bytes(bytes) => Object::Raw(bytes.into_owned()),
        NewValue::Object(object) => object,
    }
}

fn encoding(object: &Object) -> &'static str {
    match object {
        Object::Raw(_) => "raw",
        Object::List(list) => list.encoding(),
        Object::Set(set) => set.encoding(),
        Object::ZSet(zset) => zset.encoding(),
        Object::Hash(hash) => hash.encoding(),
        Object::Stream(_) => "stream",
        Object::VectorSet(_) => "raw",
    }
}

proptest! {
    /// Every version that can hold a value gives it back, in one piece or in many, and where it ends is found without reading it.
    #[test]
    fn values_come_back(object in object(), compress: bool, piece in 1usize..400) {
        for version in VERSION_MIN.max(object_minimum_version(&object))..=VERSION {
            let mut encoder = Encoder::new(Options { compress, version });
            let code = encoder.object_kind(&object);
            let mut whole = Vec::new();
            encoder.object(&object, &mut whole);
            let back = read(code, &whole);
            prop_assert_eq!(contents(&back), contents(&object), "version {} code {}", version, code);
            let mut reader = Reader::new(&whole, 0);
            skip::value(code, &mut reader).unwrap();
            prop_assert!(reader.is_empty());

            let (mut pieces, mut parts) = (Pieces::default(), Vec::new());
            while pieces.next(&object, piece, &mut encoder, &mut parts) {}
            prop_assert_eq!(contents(&read(code, &parts)), contents(&object));
            prop_assert_eq!(parts.len(), whole.len());
            if encoding(&object) != "hashtable" {
                prop_assert_eq!(&parts, &whole);
            }
            if version == VERSION && encoding(&object) != "hashtable" {
                let mut again = Vec::new();
                encoder.object(&back, &mut again);
                // A list may have become a listpack, which is the same node.
                prop_assert_eq!(encoder.object_kind(&back), code);
                prop_assert_eq!(&again, &whole);
            }
        }
    }

    /// Bytes that are cut off or changed give an error or another value, and no harm is done by using that.
    #[test]
    fn damage_does_no_harm(object in object(), at in any::<prop::sample::Index>(), change in 1u8..) {
        let mut encoder = Encoder::new(Options { compress: false, version: VERSION });
        let code = encoder.object_kind(&object);
        let mut bytes = Vec::new();
        encoder.object(&object, &mut bytes);
        let at = at.index(bytes.len());
        let mut reader = Reader::new(&bytes[..at], 0);
        let error = value(code, &mut reader, &tight()).unwrap_err();
        prop_assert!(error.offset <= at as u64);
        bytes[at] = bytes[at].wrapping_add(change);
        if let Ok(NewValue::Object(other)) = value(code, &mut Reader::new(&bytes, 0), &tight()) {
            let mut again = Vec::new();
            let kind = encoder.object_kind(&other);
            encoder.object(&other, &mut again);
            prop_assert_eq!(contents(&read(kind, &again)), contents(&other));
        }
        let _ = skip::value(code, &mut Reader::new(&bytes, 0));
    }

    /// Any bytes are a value of any type, or not.
    #[test]
    fn any_bytes_are_read_or_refused(code in 0u8..30, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(&bytes, 0);
        if value(code, &mut reader, &tight()).is_ok() {
            let mut skipped = Reader::new(&bytes, 0);
            skip::value(code, &mut skipped).unwrap();
            prop_assert_eq!(skipped.offset(), reader.offset());
        }
    }
}

/// The code and the value of payloads of Redis 8.2.3 and what is in them.
#[test]
fn values_of_the_reference_are_read() {
    for (bytes, encoded, expected) in [
        (&b"\x12\x01\x02\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff"[..], "listpack", &["a"][..]),
        (
            b"\x18\x5bjL\xa6,\x1e\x00\x00\x02\x01\x01a\xc0\x01\x00\x01b\xc0\x02",
            "listpackex",
            &["a 1 Some(33177117420123)", "b 2 None"],
        ),
        (b"\x02\x02\xc0\x05\x01a", "listpack", &["5", "a"]),
        (b"\x03\x02\x01a\x011\x01b\xfe", "listpack", &["1.0 a", "inf b"]),
        (b"\x09\x09\x01\x01a\x03\x00foo\xff", "listpack", &["a foo None"]),
    ] {
        let object = read(bytes[0], &bytes[1..]);
        assert_eq!((encoding(&object), &contents(&object)[..]), (encoded, &expected.map_strings()[..]));
    }
}

trait MapStrings {
    fn map_strings(&self) -> Vec<String>;
}

impl MapStrings for &[&str] {
    fn map_strings(&self) -> Vec<String> {
        self.iter().map(|text| text.to_string()).collect()
    }
}

fn refusal(code: u8, bytes: &[u8]) -> String {
    value(code, &mut Reader::new(bytes, 1000), &tight()).unwrap_err().to_string()
}

#[test]
fn errors_say_what_and_where() {
    assert_eq!(refusal(kind::LIST, b"\x02\x01a"), "unexpected end at offset 1003");
    assert_eq!(refusal(kind::SET, b"\x00"), "a collection without elements at offset 1000");
    assert_eq!(refusal(99, b""), "unknown type of value 99 at offset 1000");
    assert_eq!(refusal(kind::SET_LISTPACK, b"\x01x"), "invalid listpack at offset 1000");
    assert_eq!(refusal(kind::SET, b"\x80\xff\xff\xff\xff"), "unexpected end at offset 1005");
    assert_eq!(refusal(kind::MODULE_PRE_GA, b""), "data of a module from before modules were released at offset 1000");
}

#[test]
fn modules_can_be_skipped() {
    // "vectorset" in the six bits of each character, encoding version 1; an unsigned number, a string, the end.
    let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let id = b"vectorset"
        .iter()
        .fold(0u64, |id, name| id << 6 | characters.iter().position(|character| character == name).unwrap() as u64);
    let mut bytes = b"\x81".to_vec();
    bytes.extend((id << 10 | 1).to_be_bytes());
    bytes.extend(b"\x02\x05\x05\x03abc\x04\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x01\x07\x00");
    let mut reader = Reader::new(&bytes, 0);
    let error = value(kind::MODULE_2, &mut reader, &tight()).unwrap_err();
    assert!(error.may_skip_value() && reader.is_empty());
    assert_eq!(error.to_string(), "values of the module type 'vectorset' are not supported at offset 0");
    let error = value(kind::MODULE_2, &mut Reader::new(&bytes[..12], 0), &tight()).unwrap_err();
    assert!(!error.may_skip_value());
}

/// A stream of one node with these elements after the counters of entries, and the last id 9-9.
fn stream_of(live: i64, deleted: i64, elements: &[&[u8]]) -> Vec<u8> {
    let mut list = Vec::new();
    let mut writer = kinovar_ds::listpack::Writer::new(&mut list);
    [live, deleted].into_iter().for_each(|count| writer.push_int(count));
    for element in elements {
        writer.push(match parse_i64(element) {
            Some(value) => kinovar_ds::listpack::Item::Int(value),
            None => kinovar_ds::listpack::Item::Str(element),
        });
    }
    writer.finish();
    let mut bytes = b"\x01\x10\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01".to_vec();
    crate::wire::push_raw_string(&mut bytes, &list);
    bytes.extend(b"\x01\x09\x09\x05\x01\x00\x00\x05\x00");
    bytes
}

#[test]
fn nodes_of_streams_are_checked() {
    let read = |live, deleted, text: &str| {
        let elements: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        let bytes = stream_of(live, deleted, &elements);
        match value(kind::STREAM_LISTPACKS_2, &mut Reader::new(&bytes, 0), &tight()) {
            Ok(NewValue::Object(object)) => contents(&object)[0].clone(),
            other => other.unwrap_err().to_string(),
        }
    };
    assert_eq!(read(1, 0, "1 f 0 2 0 0 v 4"), "5-1 [\"f\", \"v\"]");
    assert_eq!(read(1, 1, "1 f 0 3 0 0 v 4 0 1 1 1 g w 6"), "6-2 [\"g\", \"w\"]");
    let broken = "invalid node of a stream at offset 18";
    // Counts that are wrong; an end in the middle; a length that is wrong; a terminator that is none.
    assert_eq!(read(2, 0, "1 f 0 2 0 0 v 4"), broken);
    assert_eq!(read(0, 1, "1 f 0 2 0 0 v 4"), broken);
    assert_eq!(read(1, 0, "1 f 0 2 0 0 v"), broken);
    assert_eq!(read(1, 0, "1 f 0 2 0 0 v 5"), broken);
    assert_eq!(read(1, 0, "1 f 1 2 0 0 v 4"), broken);
    assert_eq!(read(1, 0, "5 f 0 2 0 0 v 4"), broken);
    // A first entry that does not have the node's names.
    assert_eq!(read(1, 0, "1 f 0 0 0 0 1 g v 6"), broken);
    let order = "the ids of a stream's entries do not ascend at offset 18";
    assert_eq!(read(2, 0, "1 f 0 2 0 0 v 4 2 0 0 v 4"), order);
    assert_eq!(read(2, 0, "1 f 0 2 0 0 v 4 2 -1 0 v 4"), order);
    assert_eq!(read(1, 0, "1 f 0 2 7 0 v 4"), "a stream's last id is below that of an entry at offset 18");
    // Deleted entries behind the last id, which was set back.
    assert_eq!(read(1, 1, "1 f 0 2 0 0 v 4 3 9 0 v 4"), "5-1 [\"f\", \"v\"]");
    assert_eq!(read(2, 1, "1 f 0 2 0 0 v 4 3 4 0 v 4 2 1 0 v 4"), "5-1 [\"f\", \"v\"]");
}

/// Long strings that are written in pieces: such that can be compressed, that cannot, and in part.
#[test]
fn long_strings_come_back() {
    let mut rng = fastrand::Rng::with_seed(7);
    for len in [65_536, 65_537, 100_000, 1_000_003] {
        let noise: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        let pattern: Vec<u8> = (0..len).map(|at| (at / 7 % 100) as u8).collect();
        let half = [&pattern[..len / 2], &noise[len / 2..]].concat();
        for (text, shrinks) in [(noise, false), (pattern, true), (half, true)] {
            for compress in [false, true] {
                let object = Object::Raw(text.clone());
                let mut encoder = Encoder::new(Options { compress, version: VERSION });
                for piece in [1000, 16 << 10, 100_000] {
                    let (mut pieces, mut parts, mut most, mut steps) = (Pieces::default(), Vec::new(), 0, 1);
                    loop {
                        let before = parts.len();
                        let more = pieces.next(&object, piece, &mut encoder, &mut parts);
                        most = most.max(parts.len() - before);
                        if !more {
                            break;
                        }
                        steps += 1;
                    }
                    assert!(len <= 65_536 || most <= piece + 40_000, "{most} bytes at once");
                    assert!(len <= 65_536 || steps > 1 || piece >= len, "all at once");
                    assert_eq!(parts.len() < len, shrinks && compress);
                    assert!(
                        contents(&read(encoder.object_kind(&object), &parts)) == contents(&object),
                        "{len} bytes, {piece} at a time"
                    );
                }
            }
        }
    }
}
