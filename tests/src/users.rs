//! Users beyond what a script can show: the file of users on both servers, starts that are refused, and changes that hold on
//! all threads as soon as they are answered.

use std::fmt::Write;
use std::fs;

use anyhow::{Result, ensure};

use crate::conn::Conn;
use crate::pair::Sides;
use crate::report::Report;
use crate::resp::Reply;
use crate::server::{Program, Server};
use crate::show::show;

/// Changes of a user's rules while other threads look.
const CHANGES: usize = 2000;

/// Runs every check.
pub fn run(sides: &Sides) -> Result<Report> {
    let mut report = Report::default();
    for (name, transcript) in [
        ("files that are loaded and saved", files as fn(&Program) -> Result<String>),
        ("clients when a file is loaded", clients),
        ("a file that cannot be saved", no_folder),
        ("starts that are refused", refused_starts),
    ] {
        report.step(name, same(sides, transcript));
    }
    report.step("changes on all threads", everywhere_at_once(&sides.subject));
    Ok(report)
}

/// What both servers did must read the same.
fn same(sides: &Sides, transcript: fn(&Program) -> Result<String>) -> Result<()> {
    let (subject, oracle) = (transcript(&sides.subject)?, transcript(&sides.oracle)?);
    ensure!(subject == oracle, "--- subject\n{subject}--- oracle\n{oracle}");
    Ok(())
}

const FILE: &str = "user default on nopass ~* &* +@all\nuser bob on >p ~b* +@read (+set ~k)\n";

/// A server with that file.
fn with_file(program: &Program, text: &str) -> Result<Server> {
    program.start_filled(&["--aclfile", "users.acl"], |dir| Ok(fs::write(dir.join("users.acl"), text)?))
}

fn tell(out: &mut String, conn: &mut Conn, line: &str) -> Result<()> {
    writeln!(out, "> {line}\n{}", show(&conn.line(line)?))?;
    Ok(())
}

fn files(program: &Program) -> Result<String> {
    let mut out = String::new();
    // A selector that does not end is not among them: the reference ends when it reads one.
    for text in [
        b"".as_slice(),
        b"\n\n   \n\t\r\n",
        b"user a on nopass +@all\n",
        b"user a on\nuser a off\n",
        b"user a on +nosuch +@nosuch\nuser b foo bar\n",
        b"foo\n",
        b"# a comment\nuser a on\n",
        b"user\n",
        b"user a on (+get ~x) ( +set ) ()\n",
        b"user a  on   ~x\t\r\nuser b\r\n",
        b"user a\tb on\n",
        b"user \"a\" on '+get'\n",
        b"user a on >p #f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a\n",
        b"user a on #xyz\n",
        b"user a on <p\n",
        b"user a ~* ~x &* &y\n",
        b"user default off\n",
        b"user default on nopass +@all ~*\nuser \x01\x7f on ~\x02*\n",
        b"user default on nopass ~* &* +@all\nuser a on\0 +get\nuser b on\n",
        b"user default on nopass ~* &* +@all\nuser \xff\xfe on ~\xc3*\n",
    ] {
        let server = with_file(program, FILE)?;
        let (mut conn, path) = (server.conn()?, server.dir().join("users.acl"));
        fs::write(&path, text)?;
        writeln!(out, "--- {}", text.escape_ascii())?;
        for line in ["ACL LOAD", "ACL LIST", "ACL SAVE", "CONFIG REWRITE"] {
            tell(&mut out, &mut conn, line)?;
        }
        writeln!(out, "{}", fs::read(&path)?.escape_ascii())?;
    }
    let server = with_file(program, FILE)?;
    let (mut conn, path) = (server.conn()?, server.dir().join("users.acl"));
    fs::remove_file(&path)?;
    tell(&mut out, &mut conn, "ACL LOAD")?;
    tell(&mut out, &mut conn, "ACL SAVE")?;
    writeln!(out, "{}", fs::read(&path)?.escape_ascii())?;
    Ok(out)
}

/// Who stays connected.
fn clients(program: &Program) -> Result<String> {
    let users = |lines: &str| format!("user default on nopass ~* &* +@all\n{lines}");
    let server = with_file(
        program,
        &users("user gone on nopass +@all\nuser stays on nopass ~* +@all &*\nuser listens on nopass +@all &ch* &x\n"),
    )?;
    let (mut admin, mut out) = (server.conn()?, String::new());
    let open = |user: &str, line: &str| -> Result<Conn> {
        let mut conn = server.conn()?;
        conn.must(&format!("AUTH {user} x"))?;
        conn.line(line)?;
        Ok(conn)
    };
    let mut all = [
        ("gone", open("gone", "PING")?),
        ("stays", open("stays", "SUBSCRIBE any")?),
        ("listens to what is left", open("listens", "PSUBSCRIBE ch*")?),
        ("listens to what is lost", open("listens", "SUBSCRIBE x")?),
        ("listens to nothing", open("listens", "PING")?),
        ("listens as the default user", open("default", "SUBSCRIBE any")?),
    ];
    fs::write(
        server.dir().join("users.acl"),
        "user default on nopass ~* resetchannels +@all\nuser stays on nopass ~* &* +@all\nuser listens on nopass +@all &ch*\n",
    )?;
    tell(&mut out, &mut admin, "ACL LOAD")?;
    for (name, conn) in &mut all {
        let ping = conn.line("PING");
        writeln!(out, "{name}: {}", ping.map_or("closed".to_owned(), |reply| show(&reply)))?;
    }
    Ok(out)
}

fn no_folder(program: &Program) -> Result<String> {
    let server = program.start_filled(&["--aclfile", "sub/users.acl"], |dir| {
        fs::create_dir(dir.join("sub"))?;
        Ok(fs::write(dir.join("sub/users.acl"), FILE)?)
    })?;
    let (mut conn, mut out) = (server.conn()?, String::new());
    fs::remove_dir_all(server.dir().join("sub"))?;
    tell(&mut out, &mut conn, "ACL SAVE")?;
    tell(&mut out, &mut conn, "ACL LOAD")?;
    tell(&mut out, &mut conn, "ACL LIST")?;
    let logged = server.output();
    let line = logged.lines().find_map(|line| line.split_once("Opening temp ACL file").map(|(_, rest)| rest));
    writeln!(out, "{line:?}")?;
    Ok(out)
}

fn refused_starts(program: &Program) -> Result<String> {
    let mut out = String::new();
    for arguments in [
        &["--aclfile", "nosuch.acl"][..],
        &["--aclfile", "nosuch.acl", "--user", "a", "on"],
        &["--user", "a", "+nosuch"],
        &["--user", "a b", "on"],
        &["--user", "a", "on", "(+get", "+nosuch)"],
    ] {
        let (code, printed) = program.end_of(arguments)?;
        writeln!(out, "{arguments:?} {code:?}")?;
        // Warnings, without process, time and what only one of the two says.
        let warnings = printed.lines().filter_map(|line| line.split_once(" # ")).map(|(_, text)| text);
        for text in warnings.filter(|text| text.contains("ACL")) {
            writeln!(out, "{text}")?;
        }
    }
    Ok(out)
}

/// What is answered holds: for every connection, whichever thread it belongs to, and for the rest of a pipeline.
fn everywhere_at_once(program: &Program) -> Result<()> {
    for threads in ["1", "2", "4"] {
        let server = program.start(&["--io-threads", threads])?;
        let mut admin = server.conn()?;
        admin.must("ACL SETUSER u on nopass ~* +@all")?;
        let mut clients = (0..8).map(|_| server.conn()).collect::<Result<Vec<_>>>()?;
        for client in &mut clients {
            client.must("AUTH u x")?;
        }
        // Among them is one of whoever nobody has restricted yet.
        clients.push(server.conn()?);
        clients[8].must("ACL SETUSER w on nopass ~* +@all &*")?;
        clients[8].must("AUTH w x")?;
        for round in 0..CHANGES {
            let forbidden = round % 2 == 0;
            let sign = if forbidden { '-' } else { '+' };
            admin.must(&format!("ACL SETUSER u {sign}get"))?;
            admin.must(&format!("ACL SETUSER w {sign}get"))?;
            let count = clients.len();
            let client = &mut clients[(round / 2) % count];
            let reply = client.line("GET k")?;
            let refused = matches!(&reply, Reply::Error(text) if text.starts_with(b"NOPERM"));
            ensure!(refused == forbidden, "{threads} threads, round {round}: {}", show(&reply));
        }
        // The commands behind a change in a pipeline are checked by the new rules.
        let mut own = server.conn()?;
        own.must("AUTH u x")?;
        let batch = ["ACL SETUSER u +get", "GET k", "ACL SETUSER u -get", "GET k", "ACL SETUSER u +@all", "GET k"];
        let batch: Vec<Vec<Vec<u8>>> = batch.iter().map(|line| crate::quote::words(line)).collect();
        let refused: Vec<bool> = own.pipeline(&batch)?.iter().map(Reply::is_error).collect();
        ensure!(refused == [false, false, false, true, false, false], "{threads} threads: {refused:?}");
        // A user who is gone is gone at once, also one who comes back under the same name.
        for round in 0..50 {
            let mut client = server.conn()?;
            admin.must("ACL SETUSER gone on nopass ~* +@all")?;
            client.must("AUTH gone x")?;
            admin.must("ACL DELUSER gone")?;
            if round % 2 == 0 {
                admin.must("ACL SETUSER gone on nopass ~* +@all")?;
            }
            let reply = client.line("PING");
            ensure!(reply.is_err(), "{threads} threads, round {round}: a user who is gone is answered");
        }
    }
    Ok(())
}
