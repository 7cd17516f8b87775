//! The command line: which part the binary plays, and what the server is told.
//!
//! `kinovar` alone is the server, and so is `kinovar server`. Called by the name of one of Redis's programs (through a link), the
//! binary plays that program's part. The server's options are those of redis-server: `--name value …` pairs become lines of a
//! configuration file and follow the file named first; a lone `-` in first or last place reads further lines from standard input.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::{COMPATIBLE_VERSION, Sources, quote_into, split_words};
use crate::tools::{Terminal, check_aof, check_rdb, restore};

/// A part that the binary can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server.
    Server,
    /// The command line client.
    Cli,
    /// The load generator.
    Benchmark,
    /// The watcher that promotes replicas.
    Sentinel,
    /// The checker of snapshot files.
    CheckRdb,
    /// The checker of append-only files.
    CheckAof,
    /// What brings back the state of a moment.
    Restore,
}

const ROLES: [(&str, Role); 7] = [
    ("server", Role::Server),
    ("cli", Role::Cli),
    ("benchmark", Role::Benchmark),
    ("sentinel", Role::Sentinel),
    ("check-rdb", Role::CheckRdb),
    ("check-aof", Role::CheckAof),
    ("restore", Role::Restore),
];

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Start the server.
    Serve(ServerArgs),
    /// Check a file.
    Tool(Tool),
    /// Print and end.
    Print {
        /// The text, with its line ends.
        text: String,
        /// Whether it goes to standard error.
        to_stderr: bool,
        /// Exit code.
        code: u8,
    },
}

/// One of the programs that look at files, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The name the binary was called by.
    pub program: String,
    /// Whether a summary is printed: Redis's programs print none.
    pub summary: bool,
    /// What it is to do.
    pub order: ToolOrder,
}

/// What one of these programs is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolOrder {
    /// See [`check_rdb`].
    CheckRdb(check_rdb::Order),
    /// See [`check_aof`].
    CheckAof(check_aof::Order),
    /// See [`restore`].
    Restore(restore::Order),
}

impl Tool {
    /// Runs it; the exit code.
    pub fn run(&self) -> u8 {
        let mut out = std::io::LineWriter::new(std::io::stdout());
        let mut input = std::io::stdin().lock();
        let mut terminal =
            Terminal { out: &mut out, err: &mut std::io::stderr(), input: &mut input, summary: self.summary };
        match &self.order {
            ToolOrder::CheckRdb(order) => check_rdb::run(&self.program, order, &mut terminal),
            ToolOrder::CheckAof(order) => check_aof::run(&self.program, order, &mut terminal),
            ToolOrder::Restore(order) => restore::run(order, &mut terminal),
        }
    }
}

/// The server's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerArgs {
    /// Configuration to read.
    pub sources: Sources,
    /// The name the binary was called by, for messages.
    pub program: String,
}

/// Reads the arguments, the program's name first. Standard input is read to its end if `-` asks for it.
pub fn parse(arguments: &[OsString], stdin: &mut dyn Read) -> Invocation {
    let program = arguments.first().map_or("kinovar".into(), |name| name.to_string_lossy().into_owned());
    let (role, rest) = role_of(&program, arguments.get(1..).unwrap_or_default());
    let asks_for_sentinel = role == Role::Server && rest.iter().any(|a| a == "--sentinel");
    let role = if asks_for_sentinel { Role::Sentinel } else { role };
    match role {
        Role::Server => parse_server(program, rest, stdin),
        Role::CheckRdb | Role::CheckAof => parse_tool(program, arguments.len() == rest.len() + 1, role, rest),
        Role::Restore => parse_restore(program, rest),
        other => not_in_this_version(other),
    }
}

fn role_of<'a>(program: &str, rest: &'a [OsString]) -> (Role, &'a [OsString]) {
    let name = Path::new(program).file_name().map_or("", |name| name.to_str().unwrap_or(""));
    let by_name = ROLES.iter().find(|(role, _)| name.strip_prefix("redis-") == Some(*role));
    if let Some((_, role)) = by_name {
        return (*role, rest);
    }
    match rest.first().and_then(|word| ROLES.iter().find(|(role, _)| word == *role)) {
        Some((_, role)) => (*role, &rest[1..]),
        None => (Role::Server, rest),
    }
}

fn not_in_this_version(role: Role) -> Invocation {
    let name = ROLES.iter().find(|(_, r)| *r == role).map_or("", |(name, _)| name);
    let version = env!("CARGO_PKG_VERSION");
    print_error(format!("kinovar: the role '{name}' is not part of Kinovar {version} yet; only 'server' is\n"))
}

/// `by_name`: the binary was called by the name of Redis's program.
fn parse_tool(program: String, by_name: bool, role: Role, rest: &[OsString]) -> Invocation {
    let name = if role == Role::CheckRdb { "check-rdb" } else { "check-aof" };
    if let [word] = rest
        && (word == "-v" || word == "--version")
    {
        return Invocation::Print { text: tool_version_line(&format!("redis-{name}")), to_stderr: false, code: 0 };
    }
    let program = if by_name { program } else { format!("{program} {name}") };
    let path = |word: &OsString| PathBuf::from(word);
    let order = match (role, rest) {
        (Role::CheckRdb, [file]) => ToolOrder::CheckRdb(check_rdb::Order::Check(path(file))),
        (Role::CheckRdb, _) => ToolOrder::CheckRdb(check_rdb::Order::Misused),
        (_, [file]) => ToolOrder::CheckAof(check_aof::Order::Check(path(file))),
        (_, [option, file]) if option == "--fix" => ToolOrder::CheckAof(check_aof::Order::Fix(path(file))),
        (_, [option, time, file]) if option == "--truncate-to-timestamp" => {
            let time = time.to_str().and_then(|time| time.parse().ok());
            ToolOrder::CheckAof(
                time.map_or(check_aof::Order::BadTime, |time| check_aof::Order::Until(time, path(file))),
            )
        }
        _ => ToolOrder::CheckAof(check_aof::Order::Misused),
    };
    Invocation::Tool(Tool { program, summary: !by_name, order })
}

fn parse_restore(program: String, rest: &[OsString]) -> Invocation {
    if let [word] = rest
        && (word == "-h" || word == "--help")
    {
        return Invocation::Print { text: restore::USAGE.into(), to_stderr: false, code: 0 };
    }
    let order = restore_wish(rest).map_or_else(restore::Order::Misused, restore::Order::Restore);
    Invocation::Tool(Tool { program, summary: true, order: ToolOrder::Restore(order) })
}

fn restore_wish(rest: &[OsString]) -> Result<restore::Wish, String> {
    let (mut until, mut from, mut to, mut config) = (None, None, None, None);
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let slot = match word.as_bytes() {
            b"--until" => &mut until,
            b"--from" => &mut from,
            b"--to" => &mut to,
            option if option.starts_with(b"-") => return Err(format!("there is no option {}", word.display())),
            _ if config.is_some() => return Err(format!("what is {} for?", word.display())),
            _ => {
                config = Some(PathBuf::from(word));
                continue;
            }
        };
        let value = words.next().ok_or_else(|| format!("{} is to be followed by a value", word.display()))?;
        if slot.replace(value).is_some() {
            return Err(format!("{} is there twice", word.display()));
        }
    }
    let until = until.ok_or("--until TIME is missing")?;
    Ok(restore::Wish {
        until_s: restore::parse_time(&until.to_string_lossy())?,
        from: from.map(PathBuf::from),
        to: to.map(PathBuf::from).ok_or("--to DIR is missing")?,
        config,
    })
}

fn print_error(text: String) -> Invocation {
    Invocation::Print { text, to_stderr: true, code: 1 }
}

fn parse_server(program: String, arguments: &[OsString], stdin: &mut dyn Read) -> Invocation {
    if let Some(answer) = arguments.first().and_then(|first| answer_at_once(first.as_bytes(), arguments)) {
        return answer;
    }
    let (file, options) = match arguments.split_first() {
        Some((first, rest)) if !first.as_bytes().starts_with(b"-") => (Some(PathBuf::from(first)), rest),
        _ => (None, arguments),
    };
    let (options, wants_stdin) = option_lines(options, file.is_none());
    let mut sources = Sources { file, stdin: None, options };
    if wants_stdin {
        let mut text = Vec::new();
        if let Err(error) = stdin.read_to_end(&mut text) {
            return print_error(format!("kinovar: can't read the configuration from standard input: {error}\n"));
        }
        sources.stdin = Some(text);
    }
    Invocation::Serve(ServerArgs { sources, program })
}

/// Questions that are answered without a server. They count only as the first argument.
fn answer_at_once(first: &[u8], arguments: &[OsString]) -> Option<Invocation> {
    match first {
        b"-v" | b"--version" => Some(Invocation::Print { text: version_line(), to_stderr: false, code: 0 }),
        b"-h" | b"--help" => Some(print_error(USAGE.into())),
        b"--test-memory" if arguments.len() == 2 => Some(print_error(
            "Kinovar does not test memory: a process sees too little of the machine's. Boot a memory tester instead.\n"
                .into(),
        )),
        b"--test-memory" => Some(print_error(
            "Please specify the amount of memory to test in megabytes.\nExample: kinovar server --test-memory 4096\n"
                .into(),
        )),
        b"--check-system" => {
            let (text, healthy) = check_system(Path::new("/"));
            Some(Invocation::Print { text, to_stderr: false, code: u8::from(!healthy) })
        }
        _ => None,
    }
}

/// What `--version` prints: the line that tools parse, with the truth about the server at its end.
pub fn version_line() -> String {
    format!("Redis server {}", version_facts())
}

/// What the programs that look at files print.
fn tool_version_line(name: &str) -> String {
    format!("{name} {}", version_facts())
}

fn version_facts() -> String {
    let revision = option_env!("KINOVAR_REVISION").unwrap_or("00000000");
    let allocator = tikv_jemalloc_ctl::version::read().ok();
    let allocator = allocator.and_then(|v| v.split('-').next()).unwrap_or("unknown");
    format!(
        "v={COMPATIBLE_VERSION} sha={revision}:0 malloc=jemalloc-{allocator} bits={} build={revision} \
         server=kinovar-{}\n",
        usize::BITS,
        env!("CARGO_PKG_VERSION")
    )
}

const USAGE: &str = "\
Usage: kinovar [server] [/path/to/redis.conf] [options] [-]
       kinovar server -                        more configuration from standard input
       kinovar server -v | --version
       kinovar server -h | --help
       kinovar server --check-system
       kinovar check-rdb FILE                  look at a snapshot
       kinovar check-aof [--fix] FILE          look at an append-only file
       kinovar restore --until TIME [--from DIR] --to DIR
                                               bring back the state of a moment

An option is --NAME VALUE..., any parameter of the configuration file; options win over the file.

Examples:
       kinovar
       kinovar server /etc/redis/6379.conf --loglevel verbose
       kinovar server --port 7000 --bind 127.0.0.1 ::1 --save ''
       echo 'maxmemory 128mb' | kinovar server -

A link named redis-server to this binary is the server, too.
";

/// Turns options into lines of a configuration file; also tells whether `-` asked for standard input.
///
/// The rules are the reference's: a word that starts with `--` opens a line, unless it follows a name that still has no value,
/// so that a value may start with `--` too. `--save` alone stands for `--save ''`.
fn option_lines(arguments: &[OsString], may_start_with_stdin: bool) -> (Vec<u8>, bool) {
    let mut lines = Vec::new();
    let mut wants_stdin = false;
    let mut value_may_follow_as_name = true;
    let last = arguments.len().saturating_sub(1);
    for (at, argument) in arguments.iter().enumerate() {
        let argument = argument.as_bytes();
        if argument == b"-" && (at == last || at == 0 && may_start_with_stdin) {
            wants_stdin = true;
        } else if let Some(name) = argument.strip_prefix(b"--").filter(|_| value_may_follow_as_name) {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend(name);
            lines.push(b' ');
            value_may_follow_as_name = split_words(argument).is_none_or(|words| words.len() != 1);
            if argument.eq_ignore_ascii_case(b"--save") {
                let next_is_name = arguments.get(at + 1).is_some_and(|next| next.as_bytes().starts_with(b"--"));
                if next_is_name || at == last {
                    lines.extend(b"\"\"");
                    value_may_follow_as_name = true;
                }
            }
        } else {
            quote_into(&mut lines, argument);
            lines.push(b' ');
            value_may_follow_as_name = true;
        }
    }
    (lines, wants_stdin)
}

/// Looks at what commonly slows a server down. Returns the report, and whether all is well.
fn check_system(root: &Path) -> (String, bool) {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok().map(|text| text.trim().to_owned());
    let clock = read("sys/devices/system/clocksource/clocksource0/current_clocksource");
    let backlog = read("proc/sys/net/core/somaxconn").and_then(|text| text.parse::<u32>().ok());
    let io_uring = read("proc/sys/kernel/io_uring_disabled");
    let slow_clock = clock.filter(|name| {
        !["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"].contains(&name.as_str())
    });
    let findings = [
        (
            "slow-clocksource",
            slow_clock.map(|name| format!("the clock source '{name}' makes reading the time slow; 'tsc' is fast")),
        ),
        (
            "tcp-backlog",
            backlog.filter(|limit| *limit < 511).map(|limit| {
                format!("net.core.somaxconn is {limit}: bursts of more new connections than that are dropped")
            }),
        ),
        (
            "io-uring",
            io_uring
                .filter(|mode| mode != "0")
                .map(|mode| format!("kernel.io_uring_disabled is {mode}: the epoll engine will be used, at some cost")),
        ),
    ];
    let mut report = String::new();
    let mut healthy = true;
    for (name, finding) in findings {
        healthy &= finding.is_none();
        let verdict = finding.map_or("OK".into(), |finding| format!("WARNING:\n{finding}"));
        report.push_str(&format!("[{name}]...{verdict}\n"));
    }
    (report, healthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(line: &[&str]) -> Invocation {
        let arguments: Vec<OsString> = line.iter().map(OsString::from).collect();
        parse(&arguments, &mut &b"hz 9\n"[..])
    }

    fn served(line: &[&str]) -> Sources {
        match invoke(line) {
            Invocation::Serve(args) => args.sources,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    fn printed(line: &[&str]) -> (String, u8) {
        match invoke(line) {
            Invocation::Print { text, code, .. } => (text, code),
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn the_name_or_the_first_word_chooses_the_role() {
        for line in [&["kinovar", "a.conf"][..], &["kinovar", "server", "a.conf"], &["/usr/bin/redis-server", "a.conf"]]
        {
            assert_eq!(served(line).file, Some(PathBuf::from("a.conf")), "{line:?}");
        }
        assert_eq!(served(&["redis-server", "server"]).file, Some(PathBuf::from("server")));
        for line in [
            &["kinovar", "cli"][..],
            &["redis-cli"],
            &["redis-benchmark", "-n", "1"],
            &["kinovar", "sentinel"],
            &["redis-server", "s.conf", "--sentinel"],
        ] {
            let (text, code) = printed(line);
            assert!(text.contains("is not part of Kinovar") && code == 1, "{line:?}: {text}");
        }
    }

    #[test]
    fn programs_that_look_at_files_are_told_what_to_do() {
        let tool = |line: &[&str]| match invoke(line) {
            Invocation::Tool(tool) => tool,
            other => panic!("{line:?}: {other:?}"),
        };
        let aof = |line: &[&str]| match tool(line).order {
            ToolOrder::CheckAof(order) => order,
            other => panic!("{line:?}: {other:?}"),
        };
        use check_aof::Order;
        assert_eq!(aof(&["redis-check-aof"]), Order::Misused);
        assert_eq!(aof(&["redis-check-aof", "a"]), Order::Check("a".into()));
        assert_eq!(aof(&["k", "check-aof", "--fix", "a"]), Order::Fix("a".into()));
        assert_eq!(aof(&["k", "check-aof", "--truncate-to-timestamp", "5", "a"]), Order::Until(5, "a".into()));
        assert_eq!(aof(&["k", "check-aof", "--truncate-to-timestamp", "5x", "a"]), Order::BadTime);
        assert_eq!(aof(&["k", "check-aof", "--other", "a"]), Order::Misused);
        let rdb = tool(&["k", "check-rdb", "a"]);
        assert_eq!(rdb.order, ToolOrder::CheckRdb(check_rdb::Order::Check("a".into())));
        assert_eq!((rdb.program.as_str(), rdb.summary), ("k check-rdb", true));
        assert!(!tool(&["/bin/redis-check-rdb", "a"]).summary);
        assert!(printed(&["redis-check-rdb", "-v"]).0.starts_with("redis-check-rdb v=8.2.3 "));
    }

    #[test]
    fn a_moment_can_be_asked_for() {
        let restored = |line: &[&str]| match invoke(&[&["kinovar", "restore"], line].concat()) {
            Invocation::Tool(Tool { order: ToolOrder::Restore(order), .. }) => order,
            other => panic!("{line:?}: {other:?}"),
        };
        let wish = restore::Wish { until_s: 5, from: Some("a".into()), to: "b".into(), config: None };
        assert_eq!(restored(&["--from", "a", "--until", "5", "--to", "b"]), restore::Order::Restore(wish.clone()));
        let wish = restore::Wish { from: None, config: Some("c.conf".into()), ..wish };
        assert_eq!(restored(&["--until", "5", "c.conf", "--to", "b"]), restore::Order::Restore(wish));
        for line in [
            &[][..],
            &["--until", "5"],
            &["--to", "b"],
            &["--until", "x", "--to", "b"],
            &["--until", "5", "--to"],
            &["--until", "5", "--until", "5", "--to", "b"],
            &["--until", "5", "--to", "b", "--other"],
            &["--until", "5", "--to", "b", "c", "d"],
        ] {
            assert!(matches!(restored(line), restore::Order::Misused(_)), "{line:?}");
        }
        assert_eq!(printed(&["kinovar", "restore", "--help"]).1, 0);
    }

    #[test]
    fn options_become_lines() {
        let options = |line: &[&str]| {
            let line = [&["kinovar"], line].concat();
            String::from_utf8(served(&line).options).unwrap()
        };
        assert_eq!(options(&["--port", "1", "--bind", "a", "b"]), "port \"1\" \nbind \"a\" \"b\" ");
        assert_eq!(options(&["--save", "--hz", "5"]), "save \"\"\nhz \"5\" ");
        assert_eq!(options(&["--requirepass", "--hz", "--port", "1"]), "requirepass \"--hz\" \nport \"1\" ");
        assert_eq!(options(&["--port 7", "--hz", "5"]), "port 7 \nhz \"5\" ");
    }

    #[test]
    fn a_dash_in_first_or_last_place_reads_standard_input() {
        for line in [&["k", "-"][..], &["k", "-", "--hz", "5"], &["k", "--hz", "5", "-"], &["k", "a.conf", "-"]] {
            assert_eq!(served(line).stdin.as_deref(), Some(&b"hz 9\n"[..]), "{line:?}");
        }
        assert_eq!(served(&["k", "--hz", "-", "--port", "1"]).stdin, None);
    }

    #[test]
    fn questions_are_answered() {
        let (text, code) = printed(&["kinovar", "--version"]);
        assert!(text.starts_with("Redis server v=8.2.3 sha=") && text.contains(" malloc=jemalloc-5"), "{text}");
        assert!(text.ends_with(&format!(" server=kinovar-{}\n", env!("CARGO_PKG_VERSION"))), "{text}");
        assert_eq!(code, 0);
        assert_eq!(printed(&["kinovar", "server", "-h"]).1, 1);
        assert!(printed(&["kinovar", "--test-memory"]).0.contains("megabytes"));
        assert_eq!(printed(&["kinovar", "--test-memory", "5"]).1, 1);
    }

    #[test]
    fn an_unknown_system_is_a_healthy_one() {
        let (report, healthy) = check_system(Path::new("/nonexistent"));
        assert!(healthy);
        assert_eq!(report.lines().count(), 3);
    }
}
