//! Daemon, signals and title, each in a child process: this binary started again with a role.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kinovar_io::engine::{ConnId, Engine, EngineKind, Handler, Net, io_uring_refusal};
use kinovar_io::process::{daemonize, signal, stop_for_upstart, title};

const ROLE: &str = "KINOVAR_TEST_ROLE";
const FILE: &str = "KINOVAR_TEST_FILE";
const DEADLINE: Duration = Duration::from_secs(20);

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("signals") => play_signals(),
        Ok("title") => play_title(),
        Ok("daemon") => play_daemon(),
        Ok("threads") => play_threads(),
        Ok("upstart") => play_upstart(),
        Ok(role) => panic!("unknown role {role}"),
        Err(_) => run_tests(),
    }
}

fn run_tests() {
    let tests: &[(&str, fn())] = &[
        ("signals_wake_the_reactor", signals_wake_the_reactor),
        ("a_second_interrupt_ends_the_process", a_second_interrupt_ends_the_process),
        ("a_failed_shutdown_can_be_asked_for_again", a_failed_shutdown_can_be_asked_for_again),
        ("the_title_is_what_ps_shows", the_title_is_what_ps_shows),
        ("a_daemon_is_detached", a_daemon_is_detached),
        ("threads_are_too_late", threads_are_too_late),
        ("upstart_continues_a_stopped_process", upstart_continues_a_stopped_process),
    ];
    let filters: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut passed = 0;
    for (name, test) in tests {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
            test();
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

// ---- the parent's side ---------------------------------------------------------------------------

struct Role {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Role {
    fn start(role: &str, more: &[(&str, &str)]) -> Role {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROLE, role).envs(more.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Role { child, lines }
    }

    /// The next line that the child prints; empty at its end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: no pointers; the child was not waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().unwrap()
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}");
        std::thread::yield_now();
    }
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("kinovar-{name}-{}", std::process::id()))
}

fn engines() -> Vec<&'static str> {
    let mut kinds = vec!["epoll"];
    match io_uring_refusal() {
        None => kinds.push("io_uring"),
        Some(reason) => eprintln!("SKIPPED with io_uring, which does not work here: {reason}"),
    }
    kinds
}

fn signals_wake_the_reactor() {
    for engine in engines() {
        for (signal, name) in [(libc::SIGTERM, "Terminate"), (libc::SIGINT, "Interrupt")] {
            let mut role = Role::start("signals", &[("ENGINE", engine)]);
            assert_eq!(role.line(), "ready");
            role.signal(libc::SIGHUP);
            role.signal(libc::SIGPIPE);
            role.signal(signal);
            assert_eq!(role.line(), name);
            role.child.stdin.as_mut().unwrap().write_all(b"stop\n").unwrap();
            assert_eq!(role.end().code(), Some(0));
        }
    }
}

fn a_second_interrupt_ends_the_process() {
    let file = scratch("removed");
    std::fs::write(&file, "half a snapshot").unwrap();
    let mut role = Role::start("signals", &[(FILE, file.to_str().unwrap())]);
    assert_eq!(role.line(), "ready");
    role.signal(libc::SIGTERM);
    assert_eq!(role.line(), "Terminate");
    role.signal(libc::SIGTERM);
    role.signal(libc::SIGINT);
    assert_eq!(role.line(), "enough");
    assert_eq!(role.end().code(), Some(1));
    assert!(!file.exists(), "the file it named is removed");
}

fn a_failed_shutdown_can_be_asked_for_again() {
    let mut role = Role::start("signals", &[]);
    assert_eq!(role.line(), "ready");
    for _ in 0..3 {
        role.signal(libc::SIGINT);
        assert_eq!(role.line(), "Interrupt");
        role.child.stdin.as_mut().unwrap().write_all(b"again\n").unwrap();
        assert_eq!(role.line(), "cleared");
    }
    role.signal(libc::SIGTERM);
    assert_eq!(role.line(), "Terminate");
    role.child.stdin.as_mut().unwrap().write_all(b"stop\n").unwrap();
    assert_eq!(role.end().code(), Some(0));
}

fn the_title_is_what_ps_shows() {
    let mut role = Role::start("title", &[("KINOVAR_KEPT", "kept value")]);
    let cmdline = format!("/proc/{}/cmdline", role.child.id());
    let long = "a title that is longer than the arguments were /".repeat(3);
    for title in ["short", long.as_str(), "kinovar *:6379", ""] {
        writeln!(role.child.stdin.as_mut().unwrap(), "{title}").unwrap();
        assert_eq!(role.line(), "KINOVAR_KEPT=kept value");
        let shown = std::fs::read(&cmdline).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown.trim_end_matches('\0'), title);
    }
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", role.child.id())).unwrap();
    assert_eq!(comm, "kinovar-name\n");
    assert!(role.end().success());
}

fn a_daemon_is_detached() {
    let file = scratch("daemon");
    let _ = std::fs::remove_file(&file);
    let role = Role::start("daemon", &[(FILE, file.to_str().unwrap())]);
    let starter = role.child.id();
    assert_eq!(role.end().code(), Some(0), "the process that was started exits");
    until("the daemon reports", || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with("end\n")));
    let report = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let fields: Vec<_> = report.lines().collect();
    assert_eq!(fields[2..], ["/dev/null", "/dev/null", "/dev/null", "end"]);
    let (pid, session): (u32, u32) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
    assert!(pid != starter && session != pid, "{report}");
    // SAFETY: no pointers.
    assert_ne!(session as i32, unsafe { libc::getsid(0) }, "it left this session");
}

fn threads_are_too_late() {
    assert!(Role::start("threads", &[]).end().success());
}

fn upstart_continues_a_stopped_process() {
    let mut role = Role::start("upstart", &[("UPSTART_JOB", "kinovar")]);
    until("the process stops", || role.state() == 'T');
    role.signal(libc::SIGCONT);
    assert_eq!(role.line(), "true");
    assert!(role.end().success());
    let mut role = Role::start("upstart", &[]);
    assert_eq!(role.line(), "false");
    assert!(role.end().success());
}

// ---- the children's side -------------------------------------------------------------------------

/// Says which signal came, once each time; obeys `again` and `stop` from standard input.
struct Listening {
    told: bool,
    stop: bool,
}

impl Handler for Listening {
    fn accepted(&mut self, _: &mut Net, _: usize, _: OwnedFd) {}
    fn data(&mut self, _: &mut Net, _: ConnId, _: &[u8]) {}
    fn closed(&mut self, _: &mut Net, _: ConnId, _: Option<io::Error>) {}

    fn woken(&mut self, _: &mut Net) {
        let Some(request) = signal::shutdown_request().filter(|_| !self.told) else { return };
        self.told = true;
        println!("{request:?}");
    }
}

fn play_signals() {
    let kind = match std::env::var("ENGINE").as_deref() {
        Ok("io_uring") => EngineKind::IoUring,
        _ => EngineKind::Epoll,
    };
    let mut engine = Engine::new(kind).unwrap();
    let log = std::fs::OpenOptions::new().append(true).open("/proc/self/fd/1").unwrap();
    signal::install(&engine.waker(), "enough\n".to_owned(), log).unwrap();
    if let Ok(file) = std::env::var(FILE) {
        signal::set_removed_on_insistence(Some(Path::new(&file))).unwrap();
    }
    println!("ready");
    let mut listening = Listening { told: false, stop: false };
    while !listening.stop {
        engine.turn(None, &mut listening).unwrap();
        if listening.told {
            obey(&mut listening);
        }
    }
}

fn obey(listening: &mut Listening) {
    let mut order = String::new();
    io::stdin().read_line(&mut order).unwrap();
    match order.trim() {
        "again" => {
            signal::clear_shutdown_request();
            listening.told = false;
            println!("cleared");
        }
        _ => listening.stop = true,
    }
}

fn play_title() {
    title::set("ignored before it is prepared");
    title::prepare().unwrap();
    title::prepare().unwrap();
    title::set_thread_name("kinovar-name").unwrap();
    for line in io::stdin().lines() {
        title::set(&line.unwrap());
        println!("KINOVAR_KEPT={}", std::env::var("KINOVAR_KEPT").unwrap());
    }
}

fn play_daemon() {
    daemonize().unwrap();
    let link = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap().display().to_string();
    // SAFETY: no pointers.
    let session = unsafe { libc::getsid(0) };
    let report = format!("{}\n{session}\n{}\n{}\n{}\nend\n", std::process::id(), link(0), link(1), link(2));
    std::fs::write(std::env::var(FILE).unwrap(), report).unwrap();
}

fn play_threads() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || receiver.recv());
    assert!(daemonize().is_err());
    assert!(title::prepare().is_err());
    drop(sender);
    let _ = thread.join().unwrap();
}

fn play_upstart() {
    println!("{}", stop_for_upstart().unwrap());
}
