//! Nanoseconds per operation of the table, as a server uses it: 16-byte keys with 3-byte values, a million of them, in 256
//! partitions or in one table, looked up in random order one by one or in prefetched batches.
//!
//! `cargo bench -p kinovar-ds --bench table [keys]`

use std::hint::black_box;
use std::time::Instant;

use kinovar_ds::elem::{Elem, ElemKey};
use kinovar_ds::entry::{Entry, NewPayload, Payload};
use kinovar_ds::hash::hash;
use kinovar_ds::lock::PartitionLock;
use kinovar_ds::table::Table;

type Keyspace = Vec<PartitionLock<Table<Entry<Box<u8>>>>>;
type Key = [u8; 16];

fn key(i: usize) -> Key {
    format!("key:{i:012}").as_bytes().try_into().expect("16 bytes")
}

/// A pseudo-random order of `0..n`, written out so that making it costs nothing in the measured loop.
fn shuffled(n: usize, offset: usize) -> Vec<Key> {
    let mut state = 88172645463325252u64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            key(offset + (state % n as u64) as usize)
        })
        .collect()
}

/// Nanoseconds that this thread has run: other work on the machine disturbs that less than the wall clock.
fn cpu_ns() -> u128 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .expect("Linux with scheduler statistics")
}

fn measure(name: &str, count: usize, run: impl FnOnce()) {
    let start = cpu_ns();
    run();
    let ns = (cpu_ns() - start) as f64 / count as f64;
    println!("{name:<44} {ns:7.1} ns");
}

fn partition(keyspace: &Keyspace, key: &Key) -> usize {
    // Stands for CRC16, which costs about as much.
    (u64::from_ne_bytes(key[8..].try_into().expect("8 bytes")).wrapping_mul(0x9e3779b97f4a7c15) >> 56) as usize
        & (keyspace.len() - 1)
}

fn value_of(entry: &Entry<Box<u8>>) -> u64 {
    entry.set_meta(7);
    match entry.payload() {
        Payload::Bytes(bytes) => u64::from(bytes[0]),
        _ => 0,
    }
}

fn keyspaces(partitions: usize, n: usize) {
    println!("\n{n} keys in {partitions} partition(s)");
    let keyspace: Keyspace = (0..partitions).map(|_| PartitionLock::new(Table::new())).collect();
    measure("insert, new key", n, || {
        for i in 0..n {
            let key = key(i);
            let hash = hash(&key);
            let mut table = keyspace[partition(&keyspace, &key)].lock();
            table.find_or_insert_with(
                hash,
                |entry| entry.key_eq(&key),
                || Entry::new(&key, NewPayload::Bytes(b"xxx"), None, Some(1)),
            );
        }
    });
    let bytes: usize = keyspace.iter().map(|lock| lock.lock().memory_bytes()).sum();
    println!("{:<44} {:7.2} B", "table per key", bytes as f64 / n as f64);
    let keys = shuffled(n, 0);
    measure("get, hit", n, || {
        for key in &keys {
            let table = keyspace[partition(&keyspace, key)].lock();
            black_box(table.find(hash(key), |entry| entry.key_eq(key)).map(value_of));
        }
    });
    measure("get, miss", n, || {
        for key in &shuffled(n, n) {
            let table = keyspace[partition(&keyspace, key)].lock();
            black_box(table.find(hash(key), |entry| entry.key_eq(key)).map(value_of));
        }
    });
    for depth in [16, 64] {
        measure(&format!("get, hit, batches of {depth} prefetched"), n, || {
            let mut prepared = Vec::with_capacity(depth);
            for batch in keys.chunks(depth) {
                prepared.clear();
                for key in batch {
                    let (hash, partition) = (hash(key), partition(&keyspace, key));
                    keyspace[partition].lock().prefetch(hash);
                    prepared.push((hash, partition));
                }
                for &(hash, partition) in &prepared {
                    keyspace[partition].lock().prefetch_slots(hash);
                }
                for (key, &(hash, partition)) in batch.iter().zip(&prepared) {
                    let table = keyspace[partition].lock();
                    black_box(table.find(hash, |entry| entry.key_eq(key)).map(value_of));
                }
            }
        });
    }
    measure("set, same size", n, || {
        for key in &keys {
            let mut table = keyspace[partition(&keyspace, key)].lock();
            if let Some(entry) = table.find_mut(hash(key), |entry| entry.key_eq(key)) {
                entry.set_bytes(b"yyy");
            }
        }
    });
    measure("scan", n, || {
        for lock in &keyspace {
            let (table, mut cursor) = (lock.lock(), 0);
            loop {
                cursor = table.scan(cursor, &mut |entry| {
                    black_box(entry);
                });
                if cursor == 0 {
                    break;
                }
            }
        }
    });
    measure("remove", n, || {
        for i in 0..n {
            let key = key(i);
            let mut table = keyspace[partition(&keyspace, &key)].lock();
            black_box(table.remove(hash(&key), |entry| entry.key_eq(&key)));
        }
    });
}

fn sets(n: usize) {
    println!("\n{n} integers in one set");
    let mut set: Table<Elem> = Table::new();
    let mut slowest = 0;
    measure("add, new", n, || {
        for i in 0..n {
            let text = i.to_string();
            let key = ElemKey::new(text.as_bytes());
            let start = Instant::now();
            set.find_or_insert_with(key.hash(), |elem| key.matches(elem), || key.to_elem());
            slowest = slowest.max(start.elapsed().as_nanos());
        }
    });
    println!("{:<44} {:7.1} us", "slowest add", slowest as f64 / 1000.0);
    println!("{:<44} {:7.2} B", "table per element", set.memory_bytes() as f64 / n as f64);
    let texts: Vec<String> = (0..n).map(|i| (i * 7919 % n).to_string()).collect();
    measure("contains, hit", n, || {
        for text in &texts {
            let key = ElemKey::new(text.as_bytes());
            black_box(set.find(key.hash(), |elem| key.matches(elem)).is_some());
        }
    });
    let mut state = 1u64;
    measure("random", n, || {
        for _ in 0..n {
            black_box(set.random(|| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                state
            }));
        }
    });
}

fn main() {
    let n = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let single = std::env::args().any(|arg| arg == "single");
    assert!(kinovar_ds::lock::set_single_threaded(single));
    keyspaces(256, n);
    keyspaces(1, n);
    sets(n);
}
