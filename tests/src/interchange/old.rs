//! Payloads as old versions have written them, put together by hand.

use anyhow::Result;

use super::{same_restored, start};
use crate::pair::Sides;
use crate::report::Report;

const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_REDIS);

/// A payload of a type's code, a value, and the version that has it.
fn payload(code: u8, value: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = vec![code];
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(&version.to_le_bytes());
    let checksum = CRC.checksum(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn len(len: usize) -> Vec<u8> {
    match len {
        0..64 => vec![len as u8],
        64..0x4000 => vec![0x40 | (len >> 8) as u8, len as u8],
        _ => [&[0x80][..], &(len as u32).to_be_bytes()].concat(),
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&len(bytes.len())[..], bytes].concat()
}

fn strings<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    texts.into_iter().flat_map(string).collect()
}

/// An element of a ziplist, in the encoding that the reference would choose.
fn ziplist_element(text: &[u8]) -> Vec<u8> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    match number.filter(|number| number.to_string().as_bytes() == text) {
        Some(number @ 0..=12) => vec![0xF1 + number as u8],
        Some(number) => {
            let bytes = number.to_le_bytes();
            let (code, width) = match number {
                -0x80..=0x7F => (0xFE, 1),
                -0x8000..=0x7FFF => (0xC0, 2),
                -0x80_0000..=0x7F_FFFF => (0xF0, 3),
                -0x8000_0000..=0x7FFF_FFFF => (0xD0, 4),
                _ => (0xE0, 8),
            };
            [&[code][..], &bytes[..width]].concat()
        }
        None => {
            let head = match text.len() {
                len @ ..64 => vec![len as u8],
                len @ ..0x4000 => vec![0x40 | (len >> 8) as u8, len as u8],
                len => [&[0x80][..], &(len as u32).to_be_bytes()].concat(),
            };
            [&head[..], text].concat()
        }
    }
}

fn ziplist<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    let (mut before, mut last, mut count) = (0usize, 10, 0u16);
    for text in texts {
        last = bytes.len();
        match before {
            ..254 => bytes.push(before as u8),
            _ => bytes.extend([&[254][..], &(before as u32).to_le_bytes()].concat()),
        }
        bytes.extend(ziplist_element(text));
        before = bytes.len() - last;
        count += 1;
    }
    bytes.push(0xFF);
    let total = bytes.len() as u32;
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
    bytes[8..10].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn zipmap(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![pairs.len().min(254) as u8];
    for (name, value) in pairs {
        for (text, unused) in [(name, None), (value, Some(3u8))] {
            match text.len() {
                len @ ..254 => bytes.push(len as u8),
                len => bytes.extend([&[254][..], &(len as u32).to_le_bytes()].concat()),
            }
            bytes.extend(unused);
            bytes.extend(text);
            bytes.extend(std::iter::repeat_n(b'!', unused.unwrap_or(0).into()));
        }
    }
    bytes.push(0xFF);
    bytes
}

/// A listpack of short texts and small numbers.
fn listpack<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut body, mut count) = (Vec::new(), 0u16);
    for text in texts {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        let entry = match number.filter(|number| number.to_string().as_bytes() == text) {
            Some(number @ 0..=127) => vec![number as u8],
            Some(number) => [&[0xF4][..], &number.to_le_bytes()].concat(),
            None => [&[0x80 | text.len() as u8][..], text].concat(),
        };
        assert!(text.len() < 64 && entry.len() < 128, "for short ones");
        body.push(entry.len() as u8);
        body.splice(body.len() - 1..body.len() - 1, entry);
        count += 1;
    }
    let total = body.len() as u32 + 7;
    [&total.to_le_bytes()[..], &count.to_le_bytes(), &body, &[0xFF]].concat()
}

/// A number of pairs that are different.
fn pairs(count: usize, long: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let value = |at: usize| if long { "x".repeat(100 + at) } else { format!("{}", at * 1000) };
    (0..count).map(|at| (format!("f{at}").into_bytes(), value(at).into_bytes())).collect()
}

fn flat(pairs: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = &[u8]> {
    pairs.iter().flat_map(|(name, value)| [&name[..], &value[..]])
}

/// A payload and its name.
struct Case(String, Vec<u8>);

pub fn run(sides: &Sides, settings: &[&str], report: &mut Report) -> Result<()> {
    let (mut pair, mut conn) = start(sides, settings)?;
    let mut cases = Vec::new();
    for count in [0, 1, 3, 4, 5, 128, 129, 513, 700] {
        for long in [false, true] {
            collections(&mut cases, count, long);
        }
    }
    expiring(&mut cases);
    streams(&mut cases);
    wrong(&mut cases);
    for Case(name, payload) in cases {
        report.step(&format!("{name} with {settings:?}"), same_restored(&mut conn, &payload, true));
        report.check(pair.alive(), || format!("{name}: a server is gone"));
    }
    Ok(())
}

fn collections(cases: &mut Vec<Case>, count: usize, long: bool) {
    let some = pairs(count, long);
    let name = |what: &str| format!("{what} of {count}{}", if long { " long" } else { "" });
    let values = || some.iter().map(|(_, value)| &value[..]);
    let add = |cases: &mut Vec<Case>, what: &str, code: u8, value: &[u8], version: u16| {
        cases.push(Case(name(what), payload(code, value, version)));
    };
    add(cases, "list", 1, &[len(count), strings(values())].concat(), 6);
    add(cases, "set", 2, &[len(count), strings(values())].concat(), 6);
    let members: Vec<(Vec<u8>, Vec<u8>)> = some
        .iter()
        .enumerate()
        .map(|(at, (name, _))| (name.clone(), (at * 7919 % 100).to_string().into_bytes()))
        .collect();
    let scored =
        members.iter().flat_map(|(name, score)| [string(name), [&[score.len() as u8][..], score].concat()].concat());
    add(cases, "zset", 3, &len(count).into_iter().chain(scored).collect::<Vec<u8>>(), 6);
    add(cases, "hash", 4, &[len(count), strings(flat(&some))].concat(), 6);
    let binary = members.iter().rev().flat_map(|(name, score)| {
        let score: f64 = std::str::from_utf8(score).expect("digits").parse().expect("a number");
        [string(name), (score / 3.0).to_le_bytes().to_vec()].concat()
    });
    add(cases, "zset 2", 5, &len(count).into_iter().chain(binary).collect::<Vec<u8>>(), 8);
    add(cases, "zipmap", 9, &string(&zipmap(&some)), 3);
    add(cases, "list ziplist", 10, &string(&ziplist(values())), 6);
    let mut sorted = members.clone();
    sorted.sort_by_key(|(name, score)| (score.len(), score.clone(), name.clone()));
    add(cases, "zset ziplist", 12, &string(&ziplist(flat(&sorted))), 6);
    add(cases, "hash ziplist", 13, &string(&ziplist(flat(&some))), 6);
    let nodes: Vec<Vec<u8>> = some.chunks(3).map(|some| string(&ziplist(flat(some)))).collect();
    add(cases, "quicklist", 14, &[len(nodes.len()), nodes.concat()].concat(), 9);
    let ints: Vec<u8> = (0..count as u32).flat_map(|value| (value * 1000).to_le_bytes()).collect();
    let intset = [&4u32.to_le_bytes()[..], &(count as u32).to_le_bytes(), &ints].concat();
    add(cases, "intset", 11, &string(&intset), 6);
    if !long {
        add(cases, "set listpack", 20, &string(&listpack(values())), 11);
        add(cases, "hash listpack", 16, &string(&listpack(flat(&some))), 10);
        add(cases, "zset listpack", 17, &string(&listpack(flat(&sorted))), 10);
        let packed = [&[1u8, 2][..], &string(&listpack(values()))].concat();
        add(cases, "list listpack", 18, &packed, 10);
    }
}

const FAR_MS: u64 = 33_177_117_420_123;

fn expiring(cases: &mut Vec<Case>) {
    for count in [1usize, 3, 5, 100, 600] {
        let some = pairs(count, false);
        // Before the release, times were absolute; after it they count from the earliest.
        for (code, version) in [(22u8, 12u16), (24, 12)] {
            let mut value = if code == 24 { FAR_MS.to_le_bytes().to_vec() } else { Vec::new() };
            value.extend(len(count));
            for (at, (name, text)) in some.iter().enumerate() {
                let ttl = if at % 2 == 1 {
                    0
                } else if code == 24 {
                    at as u64 * 1000 + 1
                } else {
                    FAR_MS + at as u64
                };
                value.extend([&[0x81][..], &ttl.to_be_bytes()].concat());
                value.extend([string(name), string(text)].concat());
            }
            cases.push(Case(format!("expiring hash {code} of {count}"), payload(code, &value, version)));
        }
        let digits: Vec<Vec<u8>> = (0..count).map(|at| (FAR_MS + at as u64).to_string().into_bytes()).collect();
        let triples = some.iter().zip(&digits).flat_map(|((name, text), at)| [&name[..], &text[..], &at[..]]);
        let packed = string(&listpack(triples));
        cases.push(Case(format!("expiring listpack 23 of {count}"), payload(23, &packed, 12)));
        let packed = [&FAR_MS.to_le_bytes()[..], &packed].concat();
        cases.push(Case(format!("expiring listpack 25 of {count}"), payload(25, &packed, 12)));
    }
}

fn streams(cases: &mut Vec<Case>) {
    let node = |count: usize| {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut push = |text: &str| texts.push(text.as_bytes().to_vec());
        push(&count.to_string());
        ["0", "1", "f", "0"].iter().for_each(|text| push(text));
        for at in 0..count {
            ["2", &at.to_string(), "0", &format!("v{at}"), "4"].iter().for_each(|text| push(text));
        }
        listpack(texts.iter().map(|text| &text[..]))
    };
    let id = |ms: u64, seq: u64| [ms.to_be_bytes(), seq.to_be_bytes()].concat();
    for count in [1usize, 3, 30] {
        for code in [15u8, 19, 21] {
            let mut value = [&[1u8][..], &string(&id(5, 0)), &string(&node(count))].concat();
            value.push(count as u8);
            value.extend([5 + count as u8 - 1, 0]);
            if code > 15 {
                // First id, highest deleted id, entries ever.
                value.extend([5, 0, 0, 0, count as u8]);
            }
            // One group that has received one entry, which is pending for one of two consumers.
            value.push(1);
            value.extend([&string(b"g")[..], &[5, 0]].concat());
            if code > 15 {
                value.push(1);
            }
            let time = 1_700_000_000_000u64.to_le_bytes();
            value.push(1);
            value.extend([&id(5, 0)[..], &time, &[3]].concat());
            value.push(2);
            for (name, has) in [("alice", true), ("bob", false)] {
                value.extend([&string(name.as_bytes())[..], &time].concat());
                if code > 19 {
                    value.extend(if has { time } else { [0xFF; 8] });
                }
                value.push(u8::from(has));
                if has {
                    value.extend(id(5, 0));
                }
            }
            cases.push(Case(format!("stream {code} of {count}"), payload(code, &value, 9)));
        }
    }
}

/// What both refuse.
fn wrong(cases: &mut Vec<Case>) {
    let twice = [(b"f".to_vec(), b"1".to_vec()), (b"f".to_vec(), b"2".to_vec())];
    for (name, code, value) in [
        ("no value", 0, Vec::new()),
        ("a string cut short", 0, b"\x1fabc".to_vec()),
        ("a set with the same twice", 2, [len(2), strings([&b"a"[..], b"a"])].concat()),
        ("a set of integers with the same twice", 2, [len(2), strings([&b"1"[..], b"1"])].concat()),
        ("a hash with the same twice", 4, [len(2), strings(flat(&twice))].concat()),
        ("a ziplist with the same twice", 13, string(&ziplist(flat(&twice)))),
        ("a listpack with the same twice", 16, string(&listpack(flat(&twice)))),
        ("a packed set with the same twice", 20, string(&listpack([&b"a"[..], b"a"]))),
        ("a hash of three texts", 16, string(&listpack([&b"a"[..], b"b", b"c"]))),
        ("a score that is none", 5, [len(1), string(b"m"), f64::NAN.to_le_bytes().to_vec()].concat()),
        ("a listpack cut short", 16, string(&listpack(flat(&twice))[..10])),
        ("a node of an unknown kind", 18, [&[1u8, 3][..], &string(&listpack([&b"a"[..]]))].concat()),
        ("a list of empty nodes", 18, [&[1u8, 2][..], &string(&listpack([]))].concat()),
        ("an unknown type", 26, string(b"x")),
        ("a module's type", 6, string(b"x")),
        ("compressed rubbish", 0, b"\xc3\x02\x05\x20\x00".to_vec()),
        ("a number in the place of a text", 2, [len(1), vec![0xC4]].concat()),
        ("junk behind", 0, [string(b"x"), b"junk".to_vec()].concat()),
    ] {
        cases.push(Case(name.to_string(), payload(code, &value, 12)));
    }
    let mut newer = payload(0, &string(b"x"), 13);
    cases.push(Case("a later version".to_string(), newer.clone()));
    newer[1] ^= 1;
    cases.push(Case("a wrong checksum".to_string(), newer));
}
