//! The reader's side for RDB files.

use super::insert::Batch;
use super::run::{Feeder, Portion, Run};
use super::{Failure, Source};
use crate::log;
use kinovar_command::keyspace::key::slot;
use kinovar_io::clock;
use kinovar_rdb::file::{Event, Reader};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A batch is handed over when it has so many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// Keys after which a batch is handed over in any case.
const BATCH_KEYS: usize = 4096;
/// Bytes of the shortest record.
const RECORD_BYTES_MIN: u64 = 3;
/// How often the log tells how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What is left of a file behind its snapshot.
pub struct Rest {
    /// Where it begins in the file.
    pub offset: u64,
    /// What was read of it already.
    pub bytes: Vec<u8>,
    /// What is still to be read, and counted.
    pub from: Counting,
}

/// Reads a file and feeds the reactors with its records. Returns what is behind its end.
///
/// # Errors
/// What is wrong with it.
pub fn read(feeder: &mut Feeder, source: Source) -> Result<Rest, Failure> {
    let server = feeder.server;
    let counting = Counting { run: feeder.run.clone(), from: source.from };
    let mut reader = Reader::new(counting, server.config().rdb_checksum)?;
    let mut batches: Vec<Batch> = (0..feeder.reactors()).map(|_| feeder.batch()).collect();
    let mut key_delay = feeder.key_delay();
    let mut selected = 0;
    let (mut reported, mut offset, mut keys_left) = (Instant::now(), 0, source.bytes / RECORD_BYTES_MIN);
    loop {
        match reader.next_event()? {
            Event::Record(record) => {
                if record.db >= server.keyspace.databases() {
                    return Err(Failure::Databases { here: server.keyspace.databases(), offset });
                }
                let partition = server.keyspace.partition_of_slot(slot(&record.key));
                let reactor = partition % batches.len();
                let batch = &mut batches[reactor];
                batch.push(partition, &record);
                if batch.bytes() >= BATCH_BYTES || batch.len() >= BATCH_KEYS {
                    let full = std::mem::replace(batch, feeder.batch());
                    feeder.feed(reactor, Portion::Batch(full))?;
                    if reported.elapsed() >= REPORT_EVERY {
                        reported = Instant::now();
                        report(feeder);
                    }
                }
                key_delay.wait(feeder)?;
            }
            Event::Aux { name, value } => note_aux(&feeder.run, &name, &value),
            Event::SelectDb(db) if db >= server.keyspace.databases() => {
                return Err(Failure::Databases { here: server.keyspace.databases(), offset });
            }
            Event::SelectDb(db) => selected = db,
            Event::ResizeDb { keys, .. } => {
                // A hint that is more than the file can hold is none.
                let keys = keys.min(keys_left);
                keys_left -= keys;
                let each = share(keys, server.keyspace.partitions());
                if each > 0 {
                    for reactor in 0..feeder.reactors() {
                        feeder.feed(reactor, Portion::Reserve { db: selected, keys: each })?;
                    }
                }
            }
            Event::SlotInfo { .. } => {}
            Event::Function(text) => feeder.library(&text),
            Event::ModuleAux { name } => return Err(Failure::ModuleAux { name, offset }),
            Event::Eof => break,
        }
        offset = reader.offset();
    }
    for (reactor, batch) in batches.into_iter().enumerate() {
        if !batch.is_empty() {
            feeder.feed(reactor, Portion::Batch(batch))?;
        }
    }
    if reader.lacks_checksum() {
        log::notice("RDB file was saved with checksum disabled: no check performed.");
    }
    let offset = reader.offset();
    let (bytes, from) = reader.into_rest();
    Ok(Rest { offset, bytes, from })
}

/// Keys of one partition when so many are spread over all: as many as there will hardly be more.
fn share(keys: u64, partitions: usize) -> usize {
    /// Fewer than these are not worth a table of their own size.
    const WORTH: u64 = 64;
    let mean = keys / partitions as u64;
    if mean < WORTH {
        return 0;
    }
    // Four standard deviations.
    usize::try_from(mean.saturating_add(4 * mean.isqrt())).unwrap_or(usize::MAX)
}

/// Notes what a file says about itself.
fn note_aux(run: &Run, name: &[u8], value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    let number = || leading_integer(value);
    match name {
        [b'%', ..] => log::notice(&format!("RDB '{}': {text}", String::from_utf8_lossy(name))),
        b"redis-ver" => log::notice(&format!("Loading RDB produced by version {text}")),
        b"ctime" => {
            let age_s = ((clock::unix_ms() / 1000) as i64).saturating_sub(number()).max(0);
            log::notice(&format!("RDB age {age_s} seconds"));
        }
        b"used-mem" => {
            let bytes = number();
            log::notice(&format!("RDB memory usage when created {:.2} Mb", bytes as f64 / f64::from(1 << 20)));
            run.used_memory.store(bytes, Relaxed);
        }
        b"aof-preamble" if number() != 0 => log::notice("RDB has an AOF tail"),
        b"aof-base" if number() != 0 => log::notice("RDB is base AOF"),
        b"repl-stream-db" | b"repl-id" | b"repl-offset" | b"lua" | b"aof-preamble" | b"aof-base" | b"redis-bits" => {}
        _ => crate::log!(log::Level::Debug, "Unrecognized RDB AUX field: '{}'", String::from_utf8_lossy(name)),
    }
}

/// The integer at the beginning of a text; 0 if there is none.
fn leading_integer(text: &[u8]) -> i64 {
    let digits = text.iter().enumerate().take_while(|(at, byte)| byte.is_ascii_digit() || *at == 0 && **byte == b'-');
    let len = digits.count();
    std::str::from_utf8(&text[..len]).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Tells the log how far it is.
fn report(feeder: &Feeder) {
    let run = &feeder.run;
    let (read, keys) = (run.read_bytes.load(Relaxed), feeder.server.loading.keys_loaded.load(Relaxed));
    let part = match run.total_bytes.load(Relaxed) {
        0 => String::new(),
        total => format!(" ({:.1}%)", read as f64 / total as f64 * 100.0),
    };
    log::notice(&format!("Loading {}: {read} bytes read{part}, {keys} keys loaded", run.name));
}

/// Counts what is read.
pub struct Counting {
    /// The load that it is read for.
    pub run: Arc<Run>,
    /// Where it comes from.
    pub from: Box<dyn Read + Send>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.run.read_bytes.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{leading_integer, share};

    #[test]
    fn integers_at_the_beginning() {
        let cases: [(&[u8], i64); 6] = [(b"12", 12), (b"-3x", -3), (b"", 0), (b"x", 0), (b"-", 0), (b"1-2", 1)];
        for (text, expected) in cases {
            assert_eq!(leading_integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_partition_gets_a_little_more_than_its_share() {
        assert_eq!(share(63 * 256, 256), 0);
        assert_eq!(share(100 * 256, 256), 140);
        assert!(share(u64::MAX, 1) > 0);
    }
}
