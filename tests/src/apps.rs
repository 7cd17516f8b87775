//! Applications that keep their work in the server: job queues run real jobs, with many workers, failures and delays, and
//! redis-py's helpers for clients that work together do what their users rely on.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::report::Report;
use crate::server::Program;

/// How much is shown of what a program says beside its checks, characters.
const ERRORS_SHOWN: usize = 1500;
/// How long one suite may take: several times what it does take.
const LIMIT: Duration = Duration::from_secs(90);

/// redis-py in both protocols, Celery and RQ.
pub fn python(program: &Program, python: &Path) -> Result<Report> {
    let mut report = Report::default();
    let script = |name: &str| {
        let mut command = Command::new(python);
        command.arg("-B").arg(crate::tests_dir().join("clients").join(name));
        command
    };
    suite(program, "redis-py, RESP2", script("redis_py_together.py"), &["2"], &mut report)?;
    suite(program, "redis-py, RESP3", script("redis_py_together.py"), &["3"], &mut report)?;
    suite(program, "RQ", script("rq_suite.py"), &[], &mut report)?;
    suite(program, "Celery", script("celery_suite.py"), &[], &mut report)?;
    Ok(report)
}

/// BullMQ, whose modules lie in `modules`.
pub fn bullmq(program: &Program, node: &Path, modules: &Path) -> Result<Report> {
    let mut report = Report::default();
    let mut command = Command::new(node);
    command.env("NODE_PATH", modules).arg(crate::tests_dir().join("clients/bullmq/suite.cjs"));
    suite(program, "BullMQ", command, &[], &mut report)?;
    Ok(report)
}

/// Runs a program that prints `ok NAME` or `FAILED NAME: WHY` for each of its checks, against a server of its own. The port
/// is its first argument.
fn suite(program: &Program, name: &str, mut command: Command, rest: &[&str], report: &mut Report) -> Result<()> {
    let mut server = program.start(&[])?;
    command.arg(server.port().to_string()).args(rest);
    let start = Instant::now();
    let (text, errors, ended) = run(&mut command).with_context(|| format!("run {command:?}"))?;
    for line in text.lines() {
        report.check(line.starts_with("ok "), || format!("{name}: {line}"));
    }
    // The checks that failed are told of above; what else it says may be long.
    let last = errors.char_indices().rev().nth(ERRORS_SHOWN).map_or(0, |(at, _)| at);
    let errors = &errors[last..];
    report.check(ended, || format!("{name}: it failed, or did not end within {LIMIT:?}\n{errors}"));
    report.check(!text.is_empty(), || format!("{name}: nothing was checked\n{errors}"));
    report.check(server.alive(), || format!("{name}: the server died:\n{}", server.output()));
    println!("  {name}: {} checks, {:.1} s", text.lines().count(), start.elapsed().as_secs_f64());
    Ok(())
}

/// What it printed on either stream, and whether it ended by itself without an error.
fn run(command: &mut Command) -> Result<(String, String, bool)> {
    // A group of its own, so that the workers it has started end with it.
    let mut child =
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().context("its output is piped")?;
    let mut stderr = child.stderr.take().context("its errors are piped")?;
    thread::scope(|scope| {
        let text = scope.spawn(move || read(&mut stdout));
        let errors = scope.spawn(move || read(&mut stderr));
        let ended = wait(&mut child);
        let join =
            |handle: thread::ScopedJoinHandle<'_, String>| handle.join().expect("a reading thread does not panic");
        Ok((join(text), join(errors), ended?))
    })
}

fn read(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is still worth showing.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait(child: &mut Child) -> Result<bool> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > deadline {
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-s", "KILL", "--", &group]).status().context("run kill")?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
