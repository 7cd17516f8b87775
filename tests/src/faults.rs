//! A disk that fails and forgets, below a real server: what it has acknowledged or shown is there after a power loss, and what
//! cannot be written is reported, refused, and taken up again when the disk works.

pub mod disk;
pub mod live;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::aof::{compare_loaded, first_difference};
use crate::conn::Conn;
use crate::control::{info, poll_for};
use crate::crash::{self, Books, Promise};
use crate::pair::Sides;
use crate::report::Report;
use crate::rng::Rng;
use crate::server::Server;
use disk::{Disk, Fault, Loss};

const DEADLINE: Duration = Duration::from_secs(60);

/// A check with so many threads of the server.
type Check = fn(&Sides, &str) -> Result<()>;

/// Checks that spend most of their time waiting, and therefore run side by side.
const CHECKS: &[(&str, Check)] = &[
    ("refused writes", live::refused),
    ("the end with always", live::ended),
    ("doubt after a failed sync", live::doubtful),
    ("failed rewrites", live::failed_rewrites),
    ("failed saves", live::failed_saves),
    ("changed policies", live::changed_policies),
    ("turned on", live::turned_on),
    ("turned off", live::turned_off),
    ("kept back", live::kept_back),
    ("cut anywhere", live::cut_anywhere),
];

/// Runs every check, or those with `only` in their names; `rounds` power losses with `always`, a third of that with `everysec`:
/// half of each with one thread.
pub fn run(sides: &Sides, rounds: u64, seed: u64, only: Option<&str>) -> Result<Report> {
    let mut report = Report::default();
    for threads in ["1", "2"] {
        let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
        let title = |name: &str| format!("{threads} threads: {name}");
        std::thread::scope(|scope| {
            let wanted = CHECKS.iter().filter(|(name, _)| is_wanted(name));
            let running: Vec<_> =
                wanted.map(|(name, check)| (name, scope.spawn(move || check(sides, threads)))).collect();
            for (name, check) in running {
                report.step(&title(name), check.join().expect("no panic"));
            }
        });
        if is_wanted("slow syncs") {
            report.step(&title("slow syncs"), live::slow_syncs(sides, threads));
        }
        for (policy, rounds) in [("always", rounds.div_ceil(2)), ("everysec", rounds.div_ceil(6))] {
            let name = format!("{rounds} power losses with {policy}");
            if is_wanted(&name) {
                let outcome = (0..rounds).try_for_each(|round| {
                    power_loss(sides, threads, policy, seed + round).with_context(|| format!("seed {}", seed + round))
                });
                report.step(&title(&name), outcome);
            }
        }
    }
    Ok(report)
}

fn start(disk: &Disk, sides: &Sides, threads: &str, extra: &[&str]) -> Result<Server> {
    disk.start(&sides.subject, &[&["--io-threads", threads, "--appendonly", "yes"], extra].concat())
}

/// A server on a disk that forgets, which is killed while clients write.
fn power_loss(sides: &Sides, threads: &str, policy: &str, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let disk = Disk::new(true)?;
    disk.set(Fault::SyncUs, *rng.pick(&[0, 0, 300, 3000]))?;
    let mut server = start(&disk, sides, threads, &["--appendfsync", policy])?;
    let books = Books::default();
    let (run_ms, promise) = match policy {
        "always" => (30 + rng.below(250), Promise::Everything),
        _ => (2200 + rng.below(800), Promise::Older),
    };
    let half = Duration::from_millis(run_ms as u64 / 2);
    let what = rng.below(4);
    let ended = crash::work(&server, &books, seed, || {
        std::thread::sleep(half);
        match what {
            0 => drop(server.conn()?.must("BGREWRITEAOF")?),
            1 => turn_off_and_on(&server)?,
            _ => {}
        }
        std::thread::sleep(half);
        crash::kill(&server)
    })?;
    server.wait_end()?;
    ensure!(books.acknowledged() > 0 || run_ms < 100, "nothing was acknowledged in {run_ms} ms");
    let check = |conn: &mut Conn| crash::check(conn, &books, promise, ended);
    for loss in [Loss::All, Loss::Some] {
        let dir = disk.lose_power(loss, &mut rng)?;
        compare_loaded(sides, &dir, threads, check).with_context(|| format!("{loss:?} is lost"))?;
    }
    if rng.chance(30) {
        shown_again(&disk, sides, threads, check)?;
    }
    Ok(())
}

fn turn_off_and_on(server: &Server) -> Result<()> {
    let mut conn = server.conn()?;
    let before = info(&mut conn, "persistence", "aof_rewrites")?;
    conn.must("CONFIG SET appendonly no")?;
    conn.must("CONFIG SET appendonly yes")?;
    crate::aof::await_rewrite(&mut conn, before + 1)
}

/// A server on the files of one that has died: the power may be lost any moment, and what it has shown must stay.
fn shown_again(disk: &Disk, sides: &Sides, threads: &str, check: impl Fn(&mut Conn) -> Result<String>) -> Result<()> {
    let mut server = start(disk, sides, threads, &["--appendfsync", "always"])?;
    let mut conn = server.conn()?;
    poll_for(DEADLINE, || "it is loading".into(), || Ok(!conn.line("PING")?.is_error()))?;
    let shown = check(&mut conn).context("after a restart")?;
    crash::kill(&server)?;
    server.wait_end()?;
    let dir = disk.lose_power(Loss::All, &mut Rng::new(1))?;
    let left = compare_loaded(sides, &dir, threads, check).context("a restart, and the power is lost")?;
    ensure!(left == shown, "a restart has shown what is lost: {}", first_difference(&left, &shown));
    Ok(())
}
