//! Targets that misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{start, wait_unlinked, words_of};
use crate::conn::Conn;
use crate::control::client_id;
use crate::pair::Sides;
use crate::quote::words;
use crate::report::Report;
use crate::resp::Reply;
use crate::show::show;

/// A target that says what it was told to say, to every connection, when it has heard something, and closes then if it is to.
struct Target {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Target {
    fn new(says: &[u8], closes: bool) -> Result<Target> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let ended = Arc::new(AtomicBool::new(false));
        let (says, stop) = (says.to_vec(), ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Relaxed) {
                    return;
                }
                let (says, stop) = (says.clone(), stop.clone());
                std::thread::spawn(move || serve(stream, &says, closes, &stop));
            }
        });
        Ok(Target { port, ended })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut stream: TcpStream, says: &[u8], closes: bool, ended: &AtomicBool) {
    let mut buffer = [0; 4096];
    if !matches!(stream.read(&mut buffer), Ok(1..)) || stream.write_all(says).is_err() || closes {
        return;
    }
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    while !ended.load(Relaxed) {
        if matches!(stream.read(&mut buffer), Ok(0)) {
            return;
        }
    }
}

/// What a target says, whether it closes then, and whether the reference takes it as we do.
const CASES: &[(&str, &[u8], bool, bool)] = &[
    ("nothing", b"", false, true),
    ("nothing, and closes", b"", true, true),
    ("SELECT alone", b"+OK\r\n", true, true),
    ("one of three", b"+OK\r\n+OK\r\n", true, true),
    ("one of three, and waits", b"+OK\r\n+OK\r\n", false, true),
    ("an error and no more", b"+OK\r\n+OK\r\n-ERR second\r\n", true, true),
    ("an error in the middle", b"+OK\r\n+OK\r\n-ERR second\r\n+OK\r\n", false, true),
    ("two errors", b"+OK\r\n-BUSYKEY first\r\n-ERR second\r\n+OK\r\n", false, true),
    ("SELECT fails", b"-ERR no such database\r\n+OK\r\n+OK\r\n+OK\r\n", false, true),
    ("lines without their carriage returns", b"+OK\n+OK\n+OK\n-ERR third\n", false, true),
    ("an error without a text", b"+OK\r\n-\r\n+OK\r\n+OK\r\n", false, true),
    ("half a line", b"+OK\r\n+O", false, true),
    ("numbers", b":1\r\n:1\r\n:1\r\n:1\r\n", false, false),
    ("empty lines", b"\r\n\r\n\r\n\r\n", false, false),
];

/// Runs the checks that compare with the reference.
pub fn run(sides: &Sides, report: &mut Report) {
    for (name, says, closes, is_same) in CASES {
        report.step(&format!("a target that says: {name}"), case(sides, says, *closes, *is_same));
    }
    for (name, line) in [("a line that does not end", vec![b'+'; 1 << 20]), ("zeros", vec![0; 1 << 20])] {
        report.step(&format!("a target that says: {name}"), case(sides, &line, false, false));
    }
    report.step("a connection closed by the target", closed_meanwhile(sides));
}

fn case(sides: &Sides, says: &[u8], closes: bool, is_same: bool) -> Result<()> {
    let sources = sides.start(&["--save", ""])?;
    let target = Target::new(says, closes)?;
    let mut conn = sources.conn()?;
    conn.must("MSET a 1 b 2 c 3")?;
    let line = words_of("MIGRATE 127.0.0.1 PORT '' 0 200 KEYS a b c", target.port);
    let replies = conn.call(&line)?;
    let left = conn.call(&words("MGET a b c"))?;
    if is_same {
        ensure!(replies.subject == replies.oracle, "{} here, {} there", show(&replies.subject), show(&replies.oracle));
        ensure!(left.subject == left.oracle, "left: {} here, {} there", show(&left.subject), show(&left.oracle));
        return Ok(());
    }
    let text = show(&replies.subject);
    ensure!(text.contains("IOERR error or timeout reading to target instance"), "{text}");
    let kept = left.subject.items().context("MGET")?.iter().filter(|item| !item.is_nil()).count();
    ensure!(kept == 3, "{kept} keys are left");
    Ok(())
}

/// A connection that was kept is found to be closed: another one is made.
fn closed_meanwhile(sides: &Sides) -> Result<()> {
    let sources = sides.start(&["--save", ""])?;
    let mut conn = sources.conn()?;
    for program in [&sides.subject, &sides.oracle] {
        let target = start(program, &[])?;
        conn.must("SET a 1")?;
        let line = words_of("MIGRATE 127.0.0.1 PORT a 0 1000 REPLACE", target.port());
        let replies = conn.call(&line)?;
        ensure!(replies.subject.is_ok() && replies.oracle.is_ok(), "{}", show(&replies.subject));
        target.conn()?.must("CLIENT KILL TYPE normal SKIPME yes")?;
        conn.must("SET a 1")?;
        let replies = conn.call(&line)?;
        ensure!(replies.subject.is_ok() && replies.oracle.is_ok(), "again: {}", show(&replies.subject));
    }
    wait_unlinked(&mut conn.subject)
}

/// While one client waits for a target that says nothing, others are served, on the same thread and elsewhere.
pub fn others_meanwhile(sides: &Sides, threads: &str) -> Result<()> {
    let server = start(&sides.subject, &["--io-threads", threads])?;
    let target = Target::new(b"", false)?;
    let (mut first, mut others) = (server.conn()?, Vec::new());
    for _ in 0..4 {
        others.push(server.conn()?);
    }
    first.must("SET a 1")?;
    let id = client_id(&mut first)?;
    let started = Instant::now();
    first.send(&words_of("MIGRATE 127.0.0.1 PORT a 0 1500", target.port))?;
    // Behind it, and not to be run before.
    first.send(&words("GET a"))?;
    while started.elapsed() < Duration::from_millis(1000) {
        for conn in &mut others {
            let asked = Instant::now();
            conn.must("SET b 1")?;
            conn.must("GET a")?;
            ensure!(asked.elapsed() < Duration::from_millis(500), "others wait: {:?}", asked.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let reply = others[0].must(&format!("CLIENT UNBLOCK {id}"))?;
    ensure!(reply == Reply::Int(0), "CLIENT UNBLOCK: {}", show(&reply));
    let reply = first.read()?;
    ensure!(show(&reply).contains("IOERR error or timeout reading"), "{}", show(&reply));
    ensure!(started.elapsed() >= Duration::from_millis(1500), "after {:?}", started.elapsed());
    ensure!(first.read()?.text() == "1", "the key is gone");
    Ok(())
}

/// A client that goes, or is killed, before the answer: the migration goes on.
pub fn clients_that_go(sides: &Sides, threads: &str) -> Result<()> {
    let mut server = start(&sides.subject, &["--io-threads", threads])?;
    let target = start(&sides.subject, &["--io-threads", threads])?;
    let (mut control, mut there) = (server.conn()?, target.conn()?);
    for round in 0..20 {
        let mut conn = server.conn()?;
        let id = client_id(&mut conn)?;
        control.must(&format!("SET key:{round} value"))?;
        conn.send(&words_of(&format!("MIGRATE 127.0.0.1 PORT key:{round} 0 5000"), target.port()))?;
        if round % 2 == 0 {
            drop(conn);
        } else {
            control.line(&format!("CLIENT KILL ID {id}"))?;
        }
        // Either it was not read any more, or it is moved.
        let is_at =
            |conn: &mut Conn| -> Result<bool> { Ok(conn.must(&format!("EXISTS key:{round}"))? == Reply::Int(1)) };
        let (mut here, mut moved) = (true, false);
        for _ in 0..50 {
            moved = is_at(&mut there)?;
            here = is_at(&mut control)?;
            if moved && !here {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        ensure!(
            moved != here,
            "key:{round} is {} and {}",
            if here { "here" } else { "not here" },
            if moved { "there" } else { "not there" }
        );
    }
    // The end of the server does not wait for a target.
    let silent = Target::new(b"", false)?;
    control.must("SET last 1")?;
    let mut conn = server.conn()?;
    conn.send(&words_of("MIGRATE 127.0.0.1 PORT last 0 60000", silent.port))?;
    std::thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    server.end("TERM")?;
    ensure!(started.elapsed() < Duration::from_secs(5), "it took {:?} to end", started.elapsed());
    Ok(())
}
