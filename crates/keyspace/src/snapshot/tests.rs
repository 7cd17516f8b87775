use super::*;
use crate::list::{End, List};
use crate::{Env, Event, Key, Settings, Stats, Ttl, Work, object};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

type Contents = BTreeMap<(u32, String), String>;

/// Puts pieces together as text.
#[derive(Default)]
struct Lines {
    pieces: Mutex<Vec<Vec<u8>>>,
    keys: AtomicUsize,
    done: AtomicUsize,
    large: AtomicUsize,
}

/// A line in three parts.
struct Slowly(usize);

impl LargeEntry for Slowly {
    fn write(&mut self, entry: &Entry, _: usize, out: &mut Vec<u8>) -> bool {
        let line = line(entry);
        let third = line.len() / 3;
        let end = if self.0 == 2 { line.len() } else { (self.0 + 1) * third };
        out.extend_from_slice(&line.as_bytes()[self.0 * third..end]);
        self.0 += 1;
        self.0 < 3
    }
}

impl Sink for Lines {
    fn begin_large(&self, entry: &Entry) -> Option<Box<dyn LargeEntry>> {
        self.large.fetch_add(1, Relaxed);
        entry.key().ends_with(b"1").then(|| Box::new(Slowly(0)) as Box<dyn LargeEntry>)
    }

    fn select(&self, db: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("db {db}\n").as_bytes());
    }

    fn write(&self, entry: &Entry, out: &mut Vec<u8>) {
        out.extend_from_slice(line(entry).as_bytes());
    }

    fn take(&self, pieces: Vec<Vec<u8>>, keys: usize) {
        self.keys.fetch_add(keys, Relaxed);
        self.pieces.lock().unwrap().push(pieces.concat());
    }

    fn partition_done(&self) {
        self.done.fetch_add(1, Relaxed);
    }
}

fn line(entry: &Entry) -> String {
    format!("{} {}\n", String::from_utf8_lossy(entry.key()), describe(entry))
}

fn describe(entry: &Entry) -> String {
    let value = match object::text(entry) {
        Ok(text) => String::from_utf8_lossy(&text.to_vec()).into_owned(),
        Err(_) => format!("list of {}", object::value::<List>(entry).map_or(0, |list| list.len())),
    };
    format!("{value} {:?}", entry.expire_at_ms())
}

impl Lines {
    /// What was written; every key once.
    fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for piece in self.pieces.lock().unwrap().iter() {
            let mut db = None;
            for line in String::from_utf8_lossy(piece).lines() {
                let (key, value) = line.split_once(' ').unwrap();
                match key {
                    "db" => db = Some(value.parse().unwrap()),
                    _ => {
                        let before = contents.insert((db.unwrap(), key.to_owned()), value.to_owned());
                        assert_eq!(before, None, "{key} was written twice");
                    }
                }
            }
        }
        contents
    }
}

fn contents_of(keyspace: &Keyspace) -> Contents {
    let mut contents = Contents::new();
    for index in 0..keyspace.partitions() {
        keyspace.read(index, |partition| {
            for number in partition.databases() {
                for entry in partition.db(number).unwrap().table().iter() {
                    let key = String::from_utf8_lossy(entry.key()).into_owned();
                    contents.insert((number, key), describe(entry));
                }
            }
        });
    }
    contents
}

/// Anything that changes something, in any database.
fn change(db: &mut Db<'_>, rng: &mut fastrand::Rng) {
    db.select(rng.u32(0..3));
    let (name, other) = (format!("key{}", rng.u32(0..400)), format!("key{}", rng.u32(0..400)));
    let (key, other) = (Key::new(name.as_bytes()), Key::new(other.as_bytes()));
    match rng.u32(0..1000) {
        0..300 => {
            let value = format!("{}", rng.u64(..));
            let ttl = if rng.bool() { Ttl::At(1_000_000 + rng.u64(0..1000)) } else { Ttl::Clear };
            db.set_text(&key, value.as_bytes(), ttl);
        }
        300..450 => drop(db.delete(&key)),
        450..550 => drop(db.set_expiry(&key, Some(1_000_000 + rng.u64(0..1000)))),
        550..650 => {
            if let Some(entry) = db.take(&key, Event::generic("rename_from")) {
                db.put_moved(&other, entry, Event::generic("rename_to"));
            }
        }
        650..900 => {
            if let Ok(mut list) = db.upsert::<List>(&key, List::default) {
                list.push(End::Right, b"element");
                list.changed("rpush", 1);
            }
        }
        900..920 => {
            if let Ok(Some(mut text)) = db.update_text(&key) {
                text.set_int(7, "incrby");
            }
        }
        920..950 => {
            let mut list = List::of_nodes(&Settings::default());
            (0..100).for_each(|_| list.push_plain_node(b"large"));
            db.store(&key, list, "rpush");
        }
        950..955 => drop(db.clear(db.index())),
        965..1000 => {
            let mut list = List::of_nodes(&Settings::default());
            (0..rng.usize(1..4)).for_each(|_| list.push_plain_node(&[b'v'; 300_000]));
            db.store(&key, list, "rpush");
        }
        955..965 => {
            let first = rng.u32(0..3);
            db.swap(first, (first + rng.u32(1..3)) % 3);
        }
        _ => {}
    }
}

/// Asks, as a command does, whether it should wait to change a value, and maybe goes on with it. The partition, if so.
fn hurry(db: &mut Db<'_>, rng: &mut fastrand::Rng) -> Option<usize> {
    db.select(rng.u32(0..3));
    let name = format!("key{}", rng.u32(0..400));
    let key = Key::new(name.as_bytes());
    db.hurry_snapshot(&key).then(|| db.keyspace().partition_of(&key))
}

fn env<'a>(settings: &'a Settings, stats: &'a Stats, work: &'a Work) -> Env<'a> {
    Env { now_ms: 1000, expiry_ms: 1000, settings, stats, work, observer: None, no_touch: false }
}

#[test]
fn a_snapshot_is_what_was_there_at_its_cut() {
    let (settings, stats, work) = (Settings::default(), Stats::default(), Work::default());
    let mut rng = fastrand::Rng::with_seed(5);
    let keyspace = Keyspace::new(16, 3);
    let env = env(&settings, &stats, &work);
    let trash = RefCell::new(Vec::new());
    let (mut sizes, mut large, mut urgent) = (HashMap::new(), 0, 0);
    for round in 0..40 {
        let mut db = Db::new(&keyspace, keyspace.lock_all(), 0, env);
        for _ in 0..rng.u32(0..2000) {
            change(&mut db, &mut rng);
        }
        db.unlock();
        let expected = contents_of(&keyspace);
        let lines = Arc::new(Lines::default());
        let sink: Arc<dyn Sink> = lines.clone();
        let mut db = Db::new(&keyspace, keyspace.lock_all(), 0, env);
        let walks = db.begin_snapshot(&sink);
        let mut left: Vec<usize> = (0..keyspace.partitions()).collect();
        while !left.is_empty() {
            for _ in 0..rng.u32(0..60) {
                change(&mut db, &mut rng);
            }
            let waits: Vec<usize> = (0..200).filter_map(|_| hurry(&mut db, &mut rng)).collect();
            if rng.bool() {
                change(&mut db, &mut rng);
            }
            db.unlock();
            urgent += waits.len();
            for index in waits {
                while rng.u32(0..4) > 0 && keyspace.hurry_step(index, rng.usize(0..400)) != Step::Done {}
            }
            left.retain(|&index| keyspace.snapshot_step(index, rng.usize(0..400), &trash) != Step::Done);
            db = Db::new(&keyspace, keyspace.lock_all(), 0, env);
        }
        drop(db);
        assert_eq!(lines.done.load(Relaxed), walks, "round {round}");
        assert_eq!(lines.contents(), expected, "round {round}");
        assert_eq!(lines.keys.load(Relaxed), expected.len(), "round {round}");
        assert!((0..keyspace.partitions()).all(|index| !keyspace.may_be_walked(index)));
        large += lines.large.load(Relaxed);
        *sizes.entry(expected.len() / 100).or_insert(0) += 1;
    }
    assert!(sizes.len() > 1, "rounds differ");
    assert!(large > 100, "{large} large entries");
    assert!(urgent > 100, "{urgent} urgent entries");
}

/// A sink whose large entries take so many steps.
#[derive(Default)]
struct Steps {
    texts: Mutex<Vec<String>>,
    steps: AtomicUsize,
}

struct Stepwise(usize);

impl LargeEntry for Stepwise {
    fn write(&mut self, entry: &Entry, _: usize, out: &mut Vec<u8>) -> bool {
        self.0 -= 1;
        out.extend_from_slice(if self.0 == 0 { entry.key() } else { b"." });
        self.0 > 0
    }
}

impl Sink for Steps {
    fn begin_large(&self, _: &Entry) -> Option<Box<dyn LargeEntry>> {
        Some(Box::new(Stepwise(self.steps.load(Relaxed))))
    }

    fn select(&self, db: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{db}").as_bytes());
    }

    fn write(&self, entry: &Entry, out: &mut Vec<u8>) {
        out.extend_from_slice(entry.key());
    }

    fn take(&self, pieces: Vec<Vec<u8>>, _: usize) {
        self.texts.lock().unwrap().push(String::from_utf8(pieces.concat()).unwrap());
    }

    fn partition_done(&self) {}
}

/// A keyspace of one partition with two vast values and a small one, under a snapshot that has begun.
fn with_vast(test: impl FnOnce(&Keyspace, Env<'_>, &Steps)) {
    let (settings, stats, work) = (Settings::default(), Stats::default(), Work::default());
    let (keyspace, env) = (Keyspace::new(1, 2), env(&settings, &stats, &work));
    let mut db = Db::new(&keyspace, keyspace.lock_all(), 0, env);
    for name in ["a", "b"] {
        let mut list = List::of_nodes(&settings);
        list.push_plain_node(&[b'v'; 300_000]);
        db.store(&Key::new(name.as_bytes()), list, "rpush");
    }
    db.set_text(&Key::new(b"small"), b"value", Ttl::Clear);
    let steps = Arc::new(Steps { steps: AtomicUsize::new(4), ..Steps::default() });
    let sink: Arc<dyn Sink> = steps.clone();
    db.begin_snapshot(&sink);
    drop(db);
    test(&keyspace, env, &steps);
}

/// Somebody waits for a value, of which a part is written.
fn begin_writing(keyspace: &Keyspace, env: Env<'_>, name: &[u8]) {
    let mut db = Db::new(keyspace, keyspace.lock_all(), 0, env);
    assert!(db.hurry_snapshot(&Key::new(name)));
    drop(db);
    assert_eq!(keyspace.hurry_step(0, 1), Step::More);
}

fn finish(keyspace: &Keyspace) {
    while keyspace.snapshot_step(0, 1, &RefCell::new(Vec::new())) != Step::Done {}
}

fn sorted(steps: &Steps) -> Vec<String> {
    let mut texts = steps.texts.lock().unwrap().clone();
    texts.sort();
    texts
}

#[test]
fn what_somebody_waits_for_is_written_next() {
    with_vast(|keyspace, env, steps| {
        let mut db = Db::new(keyspace, keyspace.lock_all(), 0, env);
        assert!(!db.hurry_snapshot(&Key::new(b"small")));
        assert!(!db.hurry_snapshot(&Key::new(b"absent")));
        assert!(db.hurry_snapshot(&Key::new(b"b")) && db.hurry_snapshot(&Key::new(b"b")));
        db.select(1);
        assert!(!db.hurry_snapshot(&Key::new(b"b")), "another database");
        drop(db);
        assert_eq!(keyspace.hurry_step(0, 0), Step::More);
        (0..3).for_each(|_| assert_eq!(keyspace.hurry_step(0, 1), Step::More));
        assert_eq!(keyspace.hurry_step(0, 1), Step::Done);
        assert_eq!(sorted(steps), ["0...b"]);
        let mut db = Db::new(keyspace, keyspace.lock_all(), 0, env);
        assert!(!db.hurry_snapshot(&Key::new(b"b")), "it is written");
        // An ordinary step does what is urgent first, too.
        assert!(db.hurry_snapshot(&Key::new(b"a")));
        drop(db);
        (0..4).for_each(|_| _ = keyspace.snapshot_step(0, 1, &RefCell::new(Vec::new())));
        assert_eq!(sorted(steps), ["0...a", "0...b"]);
        assert_eq!(keyspace.hurry_step(0, 0), Step::Done);
        finish(keyspace);
        assert_eq!(sorted(steps), ["0...a", "0...b", "0small"]);
        assert_eq!(keyspace.hurry_step(0, 0), Step::Done, "nothing is under way");
    });
}

#[test]
fn what_is_removed_goes_to_the_snapshot_unwritten() {
    with_vast(|keyspace, env, steps| {
        begin_writing(keyspace, env, b"a");
        let mut db = Db::new(keyspace, keyspace.lock_all(), 0, env);
        assert!(db.delete(&Key::new(b"a")));
        db.set_text(&Key::new(b"b"), b"text", Ttl::Clear);
        drop(db);
        assert!(steps.texts.lock().unwrap().is_empty());
        assert!(env.work.trash.borrow().is_empty());
        assert_eq!(keyspace.hurry_step(0, 0), Step::Done, "nobody needs to wait for what is gone");
        let trash = RefCell::new(Vec::new());
        while keyspace.snapshot_step(0, 1, &trash) != Step::Done {}
        assert_eq!(sorted(steps), ["0...a", "0...b", "0small"]);
        assert_eq!(trash.borrow().len(), 2);
    });
}

#[test]
fn what_nobody_has_waited_for_is_finished_at_once() {
    with_vast(|keyspace, env, steps| {
        begin_writing(keyspace, env, b"a");
        let mut db = Db::new(keyspace, keyspace.lock_all(), 0, env);
        for name in ["a", "b"] {
            let mut list = db.update::<List>(&Key::new(name.as_bytes())).unwrap().unwrap();
            list.push(End::Right, b"element");
            list.changed("rpush", 1);
        }
        drop(db);
        assert_eq!(sorted(steps), ["0...a", "0...b"]);
        assert_eq!(keyspace.hurry_step(0, 0), Step::Done);
        finish(keyspace);
    });
}

#[test]
fn what_is_urgent_stays_so_in_an_emptied_database() {
    with_vast(|keyspace, env, steps| {
        let mut db = Db::new(keyspace, keyspace.lock_all(), 0, env);
        assert!(db.hurry_snapshot(&Key::new(b"a")));
        db.swap(0, 1);
        db.clear(1);
        drop(db);
        assert_eq!(keyspace.hurry_step(0, 1), Step::More);
        while keyspace.hurry_step(0, 1) != Step::Done {}
        assert_eq!(sorted(steps), ["0...a"]);
        finish(keyspace);
        assert_eq!(sorted(steps), ["0...a", "0...b", "0small"]);
    });
}
