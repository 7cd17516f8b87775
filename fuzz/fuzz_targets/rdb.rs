//! Any bytes as an RDB file: read to its end or refused at an offset inside it. What was read is written again, in one piece and
//! in many, by every version that can hold it, and comes back the same.
#![no_main]

use kinovar_keyspace::{Object, Settings};
use kinovar_rdb::encode::{Encoder, Options, Pieces, object_minimum_version};
use kinovar_rdb::file::{Event, Reader};
use kinovar_rdb::wire::{self, VERSION, VERSION_MIN};
use kinovar_rdb::{NewValue, decode};
use libfuzzer_sys::fuzz_target;

fn settings(small: bool) -> Settings {
    if !small {
        return Settings::default();
    }
    Settings {
        hash_max_listpack_entries: 3,
        set_max_intset_entries: 3,
        set_max_listpack_entries: 4,
        zset_max_listpack_entries: 3,
        list_max_listpack_size: 3,
        ..Settings::default()
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The checksum would hide nearly everything.
    let mut reader = match Reader::new(bytes, false) {
        Ok(reader) => reader,
        Err(error) => return assert!(error.offset <= bytes.len() as u64),
    };
    loop {
        match reader.next_event() {
            Ok(Event::Record(record)) => {
                for small in [false, true] {
                    match record.decode(&settings(small)) {
                        Ok(NewValue::Object(object)) => check(&object, &settings(small)),
                        Ok(_) => {}
                        Err(error) => {
                            let end = record.offset + record.value.len() as u64;
                            assert!((record.offset..=end).contains(&error.offset), "{error}");
                        }
                    }
                }
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(error.offset <= bytes.len() as u64, "{error}");
                break;
            }
        }
    }
});

/// The value again, from what a version writes.
fn back(code: u8, bytes: &[u8], settings: &Settings) -> Object {
    let mut reader = wire::Reader::new(bytes, 0);
    let value = decode::value(code, &mut reader, settings).expect("what was written is read");
    assert!(reader.is_empty());
    match value {
        NewValue::Object(object) => object,
        other => panic!("{other:?}"),
    }
}

fn check(object: &Object, settings: &Settings) {
    let bytes_of = |object: &Object, version: u32| {
        let mut encoder = Encoder::new(Options { compress: false, version });
        let mut out = Vec::new();
        encoder.object(object, &mut out);
        (encoder.object_kind(object), out)
    };
    let length = |object: &Object| bytes_of(object, VERSION).1.len();
    for version in VERSION_MIN.max(object_minimum_version(object))..=VERSION {
        let (code, whole) = bytes_of(object, version);
        let other = back(code, &whole, settings);
        assert_eq!(bytes_of(&other, version).1.len(), whole.len());
        if version == VERSION {
            assert_eq!(length(&other), length(object));
        }
        let mut encoder = Encoder::new(Options { compress: false, version });
        let (mut pieces, mut parts) = (Pieces::default(), Vec::new());
        while pieces.next(object, 10, &mut encoder, &mut parts) {}
        assert_eq!(parts.len(), whole.len());
        back(code, &parts, settings);
    }
}
