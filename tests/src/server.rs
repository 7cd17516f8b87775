//! Server processes for the suites: start on a free port in a folder of their own, wait until they answer, stop.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::conn::Conn;

/// How long a server may take to answer its first PING.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A program that is a Redis server and how to call it.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The name in reports.
    pub name: String,
    /// Arguments before the redis-server style ones.
    pub prefix: Vec<String>,
}

impl Program {
    /// `kinovar` wants the `server` subcommand first, everything else is called like redis-server.
    pub fn new(name: &str, path: &Path) -> Program {
        let is_kinovar = path.file_name().is_some_and(|f| f.to_string_lossy().starts_with("kinovar"));
        let prefix = if is_kinovar { vec!["server".to_string()] } else { Vec::new() };
        Program { path: path.to_path_buf(), name: name.to_string(), prefix }
    }

    /// Starts it with `extra` redis-server arguments and waits until it answers.
    pub fn start(&self, extra: &[&str]) -> Result<Server> {
        Server::start(self, free_port()?, extra, &[])
    }

    /// [`Program::start`] in a folder that `fill` has put files into.
    pub fn start_filled(&self, extra: &[&str], fill: impl FnOnce(&Path) -> Result<()>) -> Result<Server> {
        let port = free_port()?;
        let dir = fresh_dir(port)?;
        fill(&dir)?;
        let mut server = Server::spawn_in(dir, self, port, extra, &[])?;
        server.wait_ready()?;
        Ok(server)
    }

    /// [`Program::start`] on this port.
    pub fn start_on(&self, port: u16, extra: &[&str]) -> Result<Server> {
        Server::start(self, port, extra, &[])
    }

    /// Starts it with `extra` arguments with which it cannot run: its exit code, and what it prints until it ends.
    pub fn end_of(&self, extra: &[&str]) -> Result<(Option<i32>, String)> {
        let mut server = Server::spawn(self, free_port()?, extra, &[])?;
        server.wait_end()?;
        Ok((server.exit_code()?, server.output()))
    }

    /// Starts it on a port where it cannot; what it prints until it ends.
    pub fn fail_on(&self, port: u16) -> Result<String> {
        let mut server = Server::spawn(self, port, &[], &[])?;
        server.wait_end()?;
        Ok(server.output())
    }

    /// [`Program::start`] with this text as its configuration file.
    pub fn start_with_file(&self, text: &str) -> Result<Server> {
        let port = free_port()?;
        let dir = fresh_dir(port)?;
        let file = dir.join("redis.conf");
        fs::write(&file, text)?;
        let program =
            Program { prefix: [&self.prefix[..], &[file.to_string_lossy().into_owned()]].concat(), ..self.clone() };
        let server = Server::start(&program, port, &[], &[]);
        fs::remove_dir_all(&dir)?;
        server
    }

    /// [`Program::start`] below a wrapper such as `taskset -c 0`.
    pub fn start_under(&self, wrapper: &[&str], extra: &[&str]) -> Result<Server> {
        Server::start(self, free_port()?, extra, wrapper)
    }
}

/// A running server; dropping it kills the process and removes its folder.
pub struct Server {
    child: Child,
    port: u16,
    dir: PathBuf,
    name: String,
}

impl Server {
    fn start(program: &Program, port: u16, extra: &[&str], wrapper: &[&str]) -> Result<Server> {
        let mut server = Server::spawn(program, port, extra, wrapper)?;
        server.wait_ready()?;
        Ok(server)
    }

    fn spawn(program: &Program, port: u16, extra: &[&str], wrapper: &[&str]) -> Result<Server> {
        Server::spawn_in(fresh_dir(port)?, program, port, extra, wrapper)
    }

    fn spawn_in(dir: PathBuf, program: &Program, port: u16, extra: &[&str], wrapper: &[&str]) -> Result<Server> {
        let log = File::create(dir.join("stdout.log"))?;
        let mut words: Vec<String> = wrapper.iter().map(|w| w.to_string()).collect();
        words.push(program.path.to_string_lossy().into_owned());
        words.extend(program.prefix.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.args(["--enable-debug-command", "yes", "--dir"]).arg(&dir).args(extra);
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        let child = command.spawn().with_context(|| format!("start {}", words.join(" ")))?;
        Ok(Server { child, port, dir, name: program.name.clone() })
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that it works in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of the program it runs, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new connection.
    pub fn conn(&self) -> Result<Conn> {
        Conn::open(self.port)
    }

    /// Sends a signal, such as `TERM`, and waits for the end of the process.
    pub fn end(&mut self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status().context("run kill")?;
        ensure!(sent.success(), "kill failed");
        self.wait_end()
    }

    /// Waits for the end of the process.
    pub fn wait_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while self.alive() {
            ensure!(Instant::now() < deadline, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The exit code of the process, which has ended; `None` if a signal ended it.
    pub fn exit_code(&mut self) -> Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }

    /// False once the process has ended.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in bytes.
    pub fn rss_bytes(&self) -> Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).context("read statm")?;
        let pages: u64 = statm.split(' ').nth(1).context("statm has two columns")?.parse()?;
        Ok(pages * 4096)
    }

    /// The most memory that was ever resident, in bytes.
    pub fn rss_peak_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).context("read status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("status has a peak")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// What the process has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.join("stdout.log")).unwrap_or_default()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if self.answers() {
                return Ok(());
            }
            if !self.alive() {
                bail!("{} ended at start:\n{}", self.name, self.output());
            }
            if Instant::now() > deadline {
                bail!("{} did not answer within {START_TIMEOUT:?}:\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Any reply to PING will do: a password may be required.
    fn answers(&self) -> bool {
        self.conn().is_ok_and(|mut conn| conn.line("PING").is_ok())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?.port())
}

fn fresh_dir(port: u16) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("kinovar-test-{}-{port}-{n}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}
