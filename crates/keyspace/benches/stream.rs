//! Bytes per entry and nanoseconds per operation of streams.
//!
//! `cargo bench -p kinovar-keyspace --bench stream [entries]`

use kinovar_keyspace::stream::{NewId, StreamEntry, StreamId};
use kinovar_keyspace::{Settings, Stream, Text};
use std::hint::black_box;

/// Unix ms of the first entry.
const START_MS: u64 = 1_700_000_000_000;

/// Nanoseconds that this thread has run: other work on the machine disturbs that less than the wall clock.
fn cpu_ns() -> u128 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .expect("Linux with scheduler statistics")
}

/// Nanoseconds for each of `count` operations.
fn time(count: u64, work: impl FnOnce()) -> f64 {
    let start = cpu_ns();
    work();
    (cpu_ns() - start) as f64 / count as f64
}

/// Names and values of the n-th entry.
type Make = fn(u64) -> Vec<String>;

const ENTRIES: &[(&str, Make)] = &[
    ("f v", |_| vec!["f".into(), "v".into()]),
    ("1 field, 10 bytes", |n| vec!["field".into(), format!("val:{n:06}")]),
    ("number, decimal", |n| {
        let decimal = format!("{:.2}", 20.0 + n as f64 / 100.0);
        vec!["sensor".into(), (n * 7919 % 100_000).to_string(), "temp".into(), decimal]
    }),
    ("time, number", |n| {
        vec!["ts".into(), (START_MS + n).to_string(), "user".into(), (n * 7919 % 100_000).to_string()]
    }),
    ("3 fields, 10 bytes", |n| {
        ["val", "xyz", "abc"].iter().flat_map(|v| [format!("field{v}"), format!("{v}:{n:06}")]).collect()
    }),
    ("1 field, 100 bytes", |_| vec!["data".into(), "x".repeat(100)]),
];

fn fill(entries: u64, make: Make, per_ms: u64) -> (Box<Stream>, f64) {
    let settings = Settings::default();
    let samples: Vec<Vec<String>> = (0..1000).map(make).collect();
    let mut stream = Box::new(Stream::new());
    let ns = time(entries, || {
        for n in 0..entries {
            let fields = samples[(n % 1000) as usize].iter().map(String::as_bytes);
            stream.append(NewId::Auto, START_MS + n / per_ms, fields, &settings).expect("the clock goes forward");
        }
    });
    (stream, ns)
}

fn read(entries: impl Iterator<Item = StreamEntry<'static>>) {
    for entry in entries {
        for text in entry.texts() {
            match text {
                Text::Bytes(bytes) => black_box(bytes.len()),
                Text::Int(value) => black_box(value as usize),
            };
        }
    }
}

fn entries(count: u64) {
    println!("{:20} {:>8} {:>8} {:>8} {:>8} {:>8}", "entry", "bytes", "append", "forward", "backward", "find");
    for (name, make) in ENTRIES {
        let (stream, append) = fill(count, *make, 1);
        let stream: &'static Stream = Box::leak(stream);
        let forward = time(count, || read(stream.range(StreamId::MIN, StreamId::MAX)));
        let backward = time(count, || read(stream.range_rev(StreamId::MIN, StreamId::MAX)));
        let finds = count.min(100_000);
        let find = time(finds, || {
            for n in 0..finds {
                black_box(stream.contains(StreamId::new(START_MS + n * 7919 % count, 0)));
            }
        });
        let bytes = stream.memory_bytes(0) as f64 / count as f64;
        println!("{name:20} {bytes:8.2} {append:8.0} {forward:8.0} {backward:8.0} {find:8.0}");
    }
}

fn pending(count: u64) {
    let (mut stream, _) = fill(count, ENTRIES[0].1, 3);
    stream.create_group(b"group", StreamId::MIN, None);
    let group = stream.group_mut(b"group").expect("it was just made");
    let consumers: Vec<_> = (0..3).map(|n| group.create_consumer(&[n], START_MS).0).collect();
    let before = stream.memory_bytes(0);
    let deliver = time(count, || {
        let mut turn = 0;
        while stream.read_new(b"group", consumers[turn % 3], 10, false, START_MS + turn as u64, &mut |_| {}) > 0 {
            turn += 1;
        }
    });
    let bytes = (stream.memory_bytes(0) - before) as f64 / count as f64;
    let ids: Vec<StreamId> = stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    let group = stream.group_mut(b"group").expect("it is there");
    let (first, second) = ids.split_at(ids.len() / 2);
    let in_order = time(first.len() as u64, || first.iter().for_each(|id| assert!(group.acknowledge(*id))));
    let scattered = time(second.len() as u64, || {
        for n in 0..second.len() {
            black_box(group.acknowledge(second[n * 7919 % second.len()]));
        }
    });
    println!(
        "pending: {bytes:.1} bytes, deliver {deliver:.0}, acknowledge in order {in_order:.0}, scattered {scattered:.0}"
    );
}

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    entries(count);
    pending(count);
}
