use super::*;
use crate::encode::{Encoder, Options, Usage};
use crate::error::ErrorKind;
use crate::testing::{contents, object, tight};
use crate::wire::VERSION;
use kinovar_keyspace::{Entry, Object, Settings};
use proptest::prelude::*;
use std::io::{self, Read};

/// Gives a few bytes at a time, and an interruption now and then.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buf.len().min(self.1 % 7 + 1).min(self.0.len());
        let (now, later) = self.0.split_at(count);
        buf[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// What a file says, one line an event.
fn told(source: impl Read) -> Result<Vec<String>, crate::Error> {
    let mut reader = Reader::new(source, true)?;
    let mut lines = Vec::new();
    loop {
        lines.push(match reader.next_event()? {
            Event::Aux { name, value } => format!("aux {} {}", name.escape_ascii(), value.escape_ascii()),
            Event::SelectDb(db) => format!("db {db}"),
            Event::ResizeDb { keys, expires } => format!("size {keys} {expires}"),
            Event::SlotInfo { slot, keys, expires } => format!("slot {slot} {keys} {expires}"),
            Event::Function(text) => format!("function {}", text.escape_ascii()),
            Event::ModuleAux { name } => format!("module {name}"),
            Event::Record(record) => {
                let value = record.decode(&Settings::default())?;
                let entry = value.into_entry(&record.key, record.expire_at_ms, 0);
                let held = match entry.payload() {
                    kinovar_ds::entry::Payload::Object(object) => contents(object),
                    other => vec![format!("{other:?}")],
                };
                let (db, kind, at, usage) = (record.db, record.kind, record.expire_at_ms, record.usage);
                format!("{db} {} {kind} {at:?} {usage:?} {held:?}", record.key.escape_ascii())
            }
            Event::Eof => return Ok(lines),
        });
    }
}

/// A file with something of everything, and what it says.
fn example() -> (Vec<u8>, Vec<&'static str>) {
    let mut writer = Writer::new(Vec::new(), VERSION, true, true);
    let facts = Facts { created_s: 1_700_000_000, used_memory: 12345, ..Facts::default() };
    writer.facts(&facts).unwrap();
    writer.function(b"#!lua name=l").unwrap();
    writer.select_db(0).unwrap();
    writer.resize_db(2, 1).unwrap();
    let mut encoder = Encoder::new(Options::default());
    let entry =
        |key: &[u8], text: &[u8], at_ms| Entry::new(key, kinovar_keyspace::string::payload(text), at_ms, Some(0));
    writer.entry(&entry(b"a", b"5", None), Usage::IdleS(300), &mut encoder).unwrap();
    writer.entry(&entry(b"12", b"text", Some(1_800_000_000_000)), Usage::Freq(7), &mut encoder).unwrap();
    writer.select_db(3).unwrap();
    writer.slot_info(77, 1, 0).unwrap();
    let mut record = Vec::new();
    encoder.record(&entry(b"b", &[b'x'; 100], None), Usage::None, &mut record);
    writer.bytes(&record).unwrap();
    let lines = vec![
        "aux redis-ver 8.2.3",
        "aux redis-bits 64",
        "aux ctime 1700000000",
        "aux used-mem 12345",
        "aux aof-base 0",
        "function #!lua name=l",
        "db 0",
        "size 2 1",
        "0 a 0 None IdleS(300) [\"Int(5)\"]",
        "0 12 0 Some(1800000000000) Freq(7) [\"Bytes([116, 101, 120, 116])\"]",
        "db 3",
        "slot 77 1 0",
    ];
    (writer.finish().unwrap(), lines)
}

#[test]
fn files_are_written_and_read() {
    let (file, expected) = example();
    let lines = told(&file[..]).unwrap();
    assert_eq!(lines[..expected.len()], expected);
    assert!(lines[expected.len()].starts_with("3 b 0 None None [\"Bytes([120, 120,"));
    assert_eq!(told(Trickle(&file, 0)).unwrap(), lines);
    // Without a checksum, and with a wrong one.
    let end = file.len() - 8;
    let without = [&file[..end], &[0; 8]].concat();
    assert_eq!(told(&without[..]).unwrap(), lines);
    let mut wrong = file.clone();
    wrong[end] ^= 1;
    let error = told(&wrong[..]).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Checksum { .. }) && error.offset == end as u64, "{error}");
    let mut reader = Reader::new(&wrong[..], false).unwrap();
    while !matches!(reader.next_event().unwrap(), Event::Eof) {}
    // What follows is left alone.
    let more = [&file[..], b"*1\r\n"].concat();
    let mut reader = Reader::new(&more[..], true).unwrap();
    while !matches!(reader.next_event().unwrap(), Event::Eof) {}
    assert_eq!(reader.offset(), file.len() as u64);
    assert_eq!(reader.into_rest().0, b"*1\r\n");
}

#[test]
fn every_cut_is_noticed() {
    let (file, _) = example();
    for cut in 0..file.len() {
        let error = told(&file[..cut]).unwrap_err();
        let (kind, at) = (&error.kind, error.offset);
        match cut {
            ..9 => assert!(matches!(kind, ErrorKind::NotRdb), "{cut}: {error}"),
            _ => assert!(matches!(kind, ErrorKind::Truncated) && at == cut as u64, "{cut}: {error}"),
        }
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let (file, _) = example();
    for at in 0..file.len() - 8 {
        let mut file = file.clone();
        file[at] ^= 0x11;
        assert!(told(&file[..]).is_err(), "{at}");
    }
}

#[test]
fn old_files_are_read() {
    // Version 3: seconds, no checksum. Version 9 with what a module wrote.
    let file = b"REDIS0003\xfe\x00\xfd\x00\x00\x00\x01\x00\x01a\xc0\x05\xff";
    let lines = ["db 0", "0 a 0 Some(16777216000) None [\"Int(5)\"]"];
    assert_eq!(told(&file[..]).unwrap(), lines);
    let file = b"REDIS0009\xf7\x81vectorse\x02\x02\x05\x02hi\x01\x07\x00\xfe\x01\xff\0\0\0\0\0\0\0\0";
    assert_eq!(told(&file[..]).unwrap(), ["module dmVjdG9yc", "db 1"]);
}

#[test]
fn other_files_are_refused() {
    for (file, text) in [
        (&b""[..], "not an RDB file at offset 0"),
        (b"REDIS0", "not an RDB file at offset 0"),
        (b"REDIS00x2\xff", "not an RDB file at offset 0"),
        (b"VALKEY080\xff", "not an RDB file at offset 0"),
        (b"REDIS0000\xff", "RDB version 0 cannot be read at offset 5"),
        (b"REDIS0013\xff", "RDB version 13 cannot be read at offset 5"),
        (b"REDIS0012\x1a\x01a\x01b", "unknown type of value 26 at offset 9"),
        (b"REDIS0012\xf6\x01b", "a function from before functions were released at offset 9"),
        (b"REDIS0012\xfe\x81\xff\xff\xff\xff\xff\xff\xff\xff", "a database's number is out of range at offset 9"),
        (b"REDIS0012\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff", "unexpected end at offset 19"),
    ] {
        assert_eq!(told(file).unwrap_err().to_string(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn all_values_are_delimited(objects in prop::collection::vec(object(), 1..12), compress: bool) {
        let mut encoder = Encoder::new(Options { compress, version: VERSION });
        let mut writer = Writer::new(Vec::new(), VERSION, true, compress);
        let mut expected = Vec::new();
        for (index, object) in objects.iter().enumerate() {
            let key = format!("key:{index}").into_bytes();
            let payload = match object {
                Object::Raw(bytes) => kinovar_keyspace::string::payload(bytes),
                object => kinovar_ds::entry::NewPayload::Object(object.deep_copy()),
            };
            let entry = Entry::new(&key, payload, Some(index as u64), Some(0));
            writer.entry(&entry, Usage::None, &mut encoder).unwrap();
            let mut value = Vec::new();
            encoder.value(&entry, &mut value);
            let hashed = matches!(encoder.kind(&entry), 2 | 4 | 24);
            expected.push((key, encoder.kind(&entry), (!hashed).then_some(value)));
        }
        let file = writer.finish().unwrap();
        let mut reader = Reader::new(Trickle(&file, 0), true).unwrap();
        for (key, kind, value) in expected {
            let Event::Record(record) = reader.next_event().unwrap() else { panic!("a record") };
            prop_assert_eq!((&record.key[..], record.kind), (&key[..], kind));
            prop_assert_eq!(&file[record.offset as usize..][..record.value.len()], record.value);
            if let Some(value) = value {
                prop_assert_eq!(record.value, &value[..]);
            }
            record.decode(&tight()).unwrap();
        }
        prop_assert!(matches!(reader.next_event().unwrap(), Event::Eof));
    }
}
