//! What every role has done, to be added up when all is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use super::roles::{ACCOUNTS, COUNTERS, ELEMENTS, OPENING, QUEUES, RING};
use crate::conn::Conn;
use crate::control::poll;
use crate::report::Report;
use crate::resp::Reply;
use crate::show::show;

/// The records.
#[derive(Default)]
pub struct Books {
    /// Elements that were pushed for sure, and those whose producer was killed before it knew.
    pub pushed: Mutex<BTreeSet<String>>,
    pub maybe_pushed: Mutex<BTreeSet<String>>,
    /// Elements and how often a consumer got them.
    pub received: Mutex<BTreeMap<String, usize>>,
    /// Elements that may have gone to a consumer that was killed.
    pub astray_max: AtomicUsize,
    /// Lists that killed consumers were moving elements to.
    pub taken: Mutex<BTreeSet<String>>,
    /// Increments that succeeded, and those whose outcome is not known.
    pub counted: [AtomicI64; COUNTERS],
    pub maybe_counted: [AtomicI64; COUNTERS],
    /// Ids of entries that were added for sure, and how often a consumer got each.
    pub added: Mutex<BTreeSet<String>>,
    pub delivered: Mutex<BTreeMap<String, usize>>,
    /// Moves, transfers, audits, messages: what there is no other record of.
    pub deeds: AtomicUsize,
}

impl Books {
    /// Sets up the data.
    pub fn open(control: &mut Conn) -> Result<Books> {
        control.must("FLUSHALL")?;
        for i in 0..ELEMENTS {
            control.must(&format!("RPUSH ring:{} element-{i}", i % RING))?;
        }
        for i in 0..ACCOUNTS {
            control.must(&format!("SET account:{i} {OPENING}"))?;
        }
        // An error where there are no streams yet: nobody will use it then.
        control.line("XGROUP CREATE stream group 0 MKSTREAM")?;
        Ok(Books::default())
    }

    /// One more deed.
    pub fn deed(&self) {
        self.deeds.fetch_add(1, Ordering::Relaxed);
    }

    /// After the producers have stopped, consumers that wait for ever must have taken everything.
    pub fn wait_queues_dry(&self, control: &mut Conn) -> Result<()> {
        let queues: Vec<String> = (0..QUEUES).map(|q| format!("queue:{q}")).collect();
        let text = || "somebody waits for a queue that is not empty: nobody woke him".to_string();
        poll(text, || {
            // Only those who have not yet noticed the end may still push, so this comes true and stays so.
            let left = control.must(&format!("EXISTS {}", queues.join(" ")))?;
            Ok(left == Reply::Int(0))
        })
    }

    /// Adds up.
    pub fn settle(&self, control: &mut Conn, name: &str, report: &mut Report) {
        report.step(&format!("{name}: no element of the chain is lost or doubled"), self.chain(control));
        report.step(&format!("{name}: an element of a queue reaches one consumer"), self.queues(control));
        report.step(&format!("{name}: the accounts add up"), accounts(control));
        report.step(&format!("{name}: no update of a counter is lost"), self.counters(control));
        report.step(&format!("{name}: an entry goes to one consumer"), self.stream(control));
    }

    /// Figures for people.
    pub fn summary(&self) -> String {
        let of = |n: &Mutex<BTreeMap<String, usize>>| n.lock().expect("all clients have ended").len();
        let counted: i64 = self.counted.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        format!(
            "{} elements (at most {} astray) and {} entries received, {counted} counted, {} other deeds",
            of(&self.received),
            self.astray_max.load(Ordering::Relaxed),
            of(&self.delivered),
            self.deeds.load(Ordering::Relaxed)
        )
    }

    fn chain(&self, control: &mut Conn) -> Result<()> {
        let mut found = Vec::new();
        for i in 0..RING {
            found.extend(list(control, &format!("ring:{i}"))?);
        }
        let count = found.len();
        let distinct: BTreeSet<String> = found.into_iter().collect();
        ensure!(count == ELEMENTS && distinct.len() == ELEMENTS, "{count} elements, {} different", distinct.len());
        Ok(())
    }

    fn queues(&self, control: &mut Conn) -> Result<()> {
        let lock = "all clients have ended";
        let mut seen = self.received.lock().expect(lock).clone();
        let mut places: Vec<String> = (0..QUEUES).map(|q| format!("queue:{q}")).collect();
        places.extend(self.taken.lock().expect(lock).iter().cloned());
        for place in places {
            for element in list(control, &place)? {
                *seen.entry(element).or_default() += 1;
            }
        }
        let doubled: Vec<&String> = seen.iter().filter(|(_, times)| **times > 1).map(|(element, _)| element).collect();
        ensure!(doubled.is_empty(), "{} elements were seen twice: {:?}…", doubled.len(), &doubled[0]);
        let (pushed, maybe) = (self.pushed.lock().expect(lock), self.maybe_pushed.lock().expect(lock));
        let unknown = seen.keys().find(|element| !pushed.contains(*element) && !maybe.contains(*element));
        ensure!(unknown.is_none(), "{unknown:?} was never pushed");
        let astray = pushed.iter().filter(|element| !seen.contains_key(*element)).count();
        let max = self.astray_max.load(Ordering::Relaxed);
        ensure!(astray <= max, "{astray} elements are gone, {max} consumers were killed while they asked");
        ensure!(pushed.is_empty() || !seen.is_empty(), "nothing was received");
        Ok(())
    }

    fn counters(&self, control: &mut Conn) -> Result<()> {
        for i in 0..COUNTERS {
            let value: i64 = control.must(&format!("GET counter:{i}"))?.text().parse().unwrap_or(0);
            let (least, maybe) =
                (self.counted[i].load(Ordering::Relaxed), self.maybe_counted[i].load(Ordering::Relaxed));
            ensure!((least..=least + maybe).contains(&value), "counter:{i} is {value}, not {least} (+{maybe})");
        }
        Ok(())
    }

    /// Each entry was delivered once, or is pending for one that was killed, or was never asked for.
    fn stream(&self, control: &mut Conn) -> Result<()> {
        let lock = "all clients have ended";
        let (added, delivered) = (self.added.lock().expect(lock), self.delivered.lock().expect(lock));
        if added.is_empty() {
            return Ok(());
        }
        let doubled: Vec<_> = delivered.iter().filter(|(_, times)| **times > 1).collect();
        ensure!(doubled.is_empty(), "entries were delivered more than once: {doubled:?}");
        let pending = control.must("XPENDING stream group - + 1000000")?;
        let id_of = |entry: &Reply| Some(entry.items()?.first()?.text());
        let pending: BTreeSet<String> = pending.items().unwrap_or_default().iter().filter_map(id_of).collect();
        // What was never delivered comes now.
        let rest = control.must("XREADGROUP GROUP group rest COUNT 1000000 STREAMS stream >")?;
        let rest: BTreeSet<String> = entry_ids(&rest).into_iter().collect();
        for id in added.iter() {
            let places = [delivered.contains_key(id) || pending.contains(id), rest.contains(id)];
            ensure!(places.iter().filter(|here| **here).count() == 1, "entry {id} is lost or doubled: {places:?}");
        }
        Ok(())
    }
}

/// The ids in a reply of XREADGROUP for one stream.
pub fn entry_ids(reply: &Reply) -> Vec<String> {
    let entries = match reply {
        Reply::Map(streams) => streams.first().map(|(_, entries)| entries),
        _ => reply.items().and_then(|streams| streams.first()?.items()?.get(1)),
    };
    let entries = entries.and_then(Reply::items).unwrap_or_default();
    entries.iter().filter_map(|entry| Some(entry.items()?.first()?.text())).collect()
}

fn list(control: &mut Conn, key: &str) -> Result<Vec<String>> {
    let reply = control.must(&format!("LRANGE {key} 0 -1"))?;
    Ok(reply.items().with_context(|| format!("{key}: {}", show(&reply)))?.iter().map(Reply::text).collect())
}

fn accounts(control: &mut Conn) -> Result<()> {
    let mut sum = 0;
    for i in 0..ACCOUNTS {
        sum += control.must(&format!("GET account:{i}"))?.text().parse::<i64>().context("an account is a number")?;
    }
    let expected = OPENING * ACCOUNTS as i64;
    ensure!(sum == expected, "the accounts hold {sum}, not {expected}");
    Ok(())
}
