//! Running out of descriptors, in a process of its own because the limit is the whole process's.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Mode, Server, each_engine};
use kinovar_io::net::raise_open_files;

fn set_soft_limit(files: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a live structure.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = files;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

#[test]
fn accepting_rests_without_descriptors_and_goes_on_with_them() {
    each_engine(|kind| {
        // Twenty connections wait while the reactor is held; then there is room for a few of them. The
        // limit is set first: a ring's accept goes by the one that was in force when it was armed.
        set_soft_limit(open_files() + 30);
        let server = Server::start(kind, Mode::Echo);
        let hold = server.hold();
        let mut streams: Vec<_> = (0..20).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        drop(hold);
        server.until(|_, state| state.accept_failures > 0);
        let turns = server.run(|_, state| state.turns);
        let failures = server.run(|_, state| state.accept_failures);
        server.until(move |_, state| state.accept_failures >= failures + 2);
        // Each of the loop's rounds that asks for state is a turn; resting adds a few per 100 ms.
        let (now, asked) = server.run(|_, state| (state.turns, state.woken));
        assert!(now - turns <= asked + 50, "the loop spun: {} turns, woken {asked} times", now - turns);

        set_soft_limit(1024);
        let count = streams.len();
        server.until(move |_, state| state.conns.len() == count);
        for stream in &mut streams {
            stream.write_all(b"hello").unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
        }
    });
    raising_the_limit();
}

/// Part of the same test because it, too, changes the process's limit.
fn raising_the_limit() {
    set_soft_limit(256);
    let raised = raise_open_files(512).unwrap();
    assert_eq!((raised.before, raised.now), (256, 512));
    assert!(raised.refusal.is_none());
    let kept = raise_open_files(100).unwrap();
    assert_eq!((kept.before, kept.now), (512, 512));
    // Beyond what any system allows: as near as can be.
    let refused = raise_open_files(u64::MAX - 1).unwrap();
    assert!(refused.refusal.is_some());
    assert!(refused.now >= 512);
}
