//! The log: one line per event, `PID:ROLE DD Mon YYYY HH:MM:SS.mmm LEVEL message`, in local time.
//!
//! The log file is opened for each line, so that it may be renamed or removed under a running server. Levels print as `.` debug,
//! `-` verbose, `*` notice, `#` warning; the role is `M` for a primary, `S` for a replica, `C` before the server runs or in a
//! child, `X` for Sentinel. Tools wait for some lines; those have functions here and keep their wording.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::config::{COMPATIBLE_VERSION, Config, LogLevel};

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever debugs the server.
    Debug,
    /// Rarely useful.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What is wrong.
    Warning,
}

impl Level {
    fn mark(self) -> char {
        match self {
            Level::Debug => '.',
            Level::Verbose => '-',
            Level::Notice => '*',
            Level::Warning => '#',
        }
    }
}

/// Takes lines for the system log: level and message.
pub type SyslogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Where lines go.
#[derive(Clone, Default)]
struct Target {
    /// Absolute; standard output when there is none.
    file: Option<PathBuf>,
    syslog: Option<SyslogSink>,
    /// Nothing reads standard output any more.
    detached: bool,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(b'C');

fn target() -> &'static ArcSwap<Target> {
    static TARGET: OnceLock<ArcSwap<Target>> = OnceLock::new();
    TARGET.get_or_init(ArcSwap::default)
}

fn change_target(change: impl Fn(&mut Target)) {
    target().rcu(|old| {
        let mut new = Target::clone(old);
        change(&mut new);
        new
    });
}

/// Takes level and file from the configuration. A relative file name counts from the working directory of this moment.
pub fn configure(config: &Config) {
    LEVEL.store(config.loglevel as u8, Ordering::Relaxed);
    let file = config.logfile.as_ref().map(|file| config.dir.join(file));
    change_target(|target| target.file.clone_from(&file));
}

/// Sends lines to the system log too.
pub fn set_syslog(sink: SyslogSink) {
    change_target(|target| target.syslog = Some(sink.clone()));
}

/// Stops writing to standard output: the server has gone to the background.
pub fn detach() {
    change_target(|target| target.detached = true);
}

/// Sets the letter of the server's role: `M`, `S`, `C` or `X`.
pub fn set_role(letter: u8) {
    debug_assert!(letter.is_ascii_uppercase());
    ROLE.store(letter, Ordering::Relaxed);
}

/// Whether a line of this level is written at all.
pub fn enabled(level: Level) -> bool {
    const _: () =
        assert!(Level::Warning as u8 == LogLevel::Warning as u8 && Level::Debug as u8 == LogLevel::Debug as u8);
    level as u8 >= LEVEL.load(Ordering::Relaxed)
}

/// Writes a line; [`log!`](crate::log!) is the usual way to call this. A log that cannot be written is left alone: there is nobody to
/// tell.
pub fn write(level: Level, message: std::fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let message = message.to_string();
    let target = target().load();
    let role = char::from(ROLE.load(Ordering::Relaxed));
    let line = format_line(std::process::id(), role, &now(), level, &message);
    put(&target, line.as_bytes());
    if let Some(syslog) = &target.syslog {
        syslog(level, &message);
    }
}

/// Writes a line of the log.
#[macro_export]
macro_rules! log {
    ($level:expr, $($message:tt)+) => {
        if $crate::log::enabled($level) {
            $crate::log::write($level, ::std::format_args!($($message)+));
        }
    };
}

/// Writes a line of what an operator wants to know.
pub fn notice(message: &str) {
    write(Level::Notice, format_args!("{message}"));
}

/// Writes a line of what is wrong.
pub fn warning(message: &str) {
    write(Level::Warning, format_args!("{message}"));
}

/// Writes a line that is rarely useful.
pub fn verbose(message: &str) {
    write(Level::Verbose, format_args!("{message}"));
}

/// Writes a text as it is, several lines perhaps.
pub fn write_raw(text: &str) {
    put(&target().load(), text.as_bytes());
}

/// One system call per line, so that lines of several threads do not mix.
fn put(target: &Target, line: &[u8]) {
    let _ = match &target.file {
        Some(path) => OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| file.write_all(line)),
        None if target.detached => Ok(()),
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(line).and_then(|()| out.flush())
        }
    };
}

fn now() -> Zoned {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    Timestamp::now().to_zoned(ZONE.get_or_init(TimeZone::system).clone())
}

fn format_line(pid: u32, role: char, time: &Zoned, level: Level, message: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[usize::from(time.month().unsigned_abs()) - 1];
    let mut line = String::with_capacity(message.len() + 48);
    let _ = writeln!(
        line,
        "{pid}:{role} {:02} {month} {} {:02}:{:02}:{:02}.{:03} {} {message}",
        time.day(),
        time.year(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
        level.mark()
    );
    line
}

/// The first lines of a start.
pub fn starting(program: &str, config_file: Option<&std::path::Path>) {
    let version = env!("CARGO_PKG_VERSION");
    log!(Level::Notice, "oO0OoO0OoO0Oo Kinovar is starting oO0OoO0OoO0Oo");
    log!(
        Level::Notice,
        "Redis version={COMPATIBLE_VERSION}, bits={}, kinovar={version}, pid={}, just started",
        usize::BITS,
        std::process::id()
    );
    match config_file {
        Some(_) => log!(Level::Notice, "Configuration loaded"),
        None => log!(
            Level::Warning,
            "Warning: no config file specified, using the defaults; {program} /path/to/redis.conf gives one"
        ),
    }
}

/// Shows the logo, or the line that stands for it when no terminal would show it. `addresses` are those listened on.
pub fn banner(config: &Config, addresses: &[String]) {
    let mode = if config.cluster_enabled { "cluster" } else { "standalone" };
    let on_terminal = config.logfile.is_none() && !config.syslog_enabled && std::io::stdout().is_terminal();
    if on_terminal || config.always_show_logo {
        write_raw(&logo(mode, config.main_port(), addresses));
    } else {
        log!(Level::Notice, "Running mode={mode}, port={}.", config.main_port());
    }
}

fn logo(mode: &str, port: u16, addresses: &[String]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let text = [
        format!("Kinovar {version}  (speaks Redis {COMPATIBLE_VERSION}) {} bit", usize::BITS),
        format!("Running in {mode} mode"),
        format!("Port: {port}"),
        format!("PID: {}", std::process::id()),
        format!("Listening on {}", if addresses.is_empty() { "nothing".into() } else { addresses.join(", ") }),
    ];
    const ART: [&str; 5] = [r"   | / / /  ", r"   |/ / /   ", r"   |\ \ \   ", r"   | \ \ \  ", r"   |  \ \ \ "];
    let mut out = String::from("\n");
    for (art, line) in ART.iter().zip(&text) {
        let _ = writeln!(out, "{art}    {line}");
    }
    out.push('\n');
    out
}

/// The server has its threads and tables.
pub fn initialized() {
    log!(Level::Notice, "Server initialized");
}

/// Clients may connect; `how` is `tcp`, `tls` or `unix`. Tools wait for this line.
pub fn ready(how: &str) {
    log!(Level::Notice, "Ready to accept connections {how}");
}

/// A signal has arrived that ends the server.
pub fn signal_received(name: &str) {
    log!(Level::Warning, "Received {name} scheduling shutdown...");
}

/// The shutdown begins.
pub fn shutdown_requested() {
    log!(Level::Notice, "User requested shutdown...");
}

/// The last line.
pub fn bye() {
    log!(Level::Warning, "Kinovar is now ready to exit, bye bye...");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_format_that_tools_parse() {
        let time: Zoned = "2026-03-05T07:08:09.042[UTC]".parse().unwrap();
        let line = |level| format_line(12, 'M', &time, level, "hello");
        assert_eq!(line(Level::Notice), "12:M 05 Mar 2026 07:08:09.042 * hello\n");
        assert_eq!(line(Level::Debug), "12:M 05 Mar 2026 07:08:09.042 . hello\n");
        assert_eq!(line(Level::Verbose), "12:M 05 Mar 2026 07:08:09.042 - hello\n");
        assert_eq!(line(Level::Warning), "12:M 05 Mar 2026 07:08:09.042 # hello\n");
    }

    #[test]
    fn a_file_is_appended_to_and_may_be_moved_away() {
        let dir = std::env::temp_dir().join(format!("kinovar-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        let target = Target { file: Some(path.clone()), ..Target::default() };
        put(&target, b"one\n");
        put(&target, b"two\n");
        std::fs::rename(&path, dir.join("old")).unwrap();
        put(&target, b"three\n");
        assert_eq!(std::fs::read_to_string(dir.join("old")).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_logo_tells_where_to_connect() {
        let logo = logo("standalone", 7000, &["127.0.0.1:7000".into()]);
        for part in ["Port: 7000", "standalone", "127.0.0.1:7000", &format!("PID: {}", std::process::id())] {
            assert!(logo.contains(part), "{part}");
        }
    }
}
