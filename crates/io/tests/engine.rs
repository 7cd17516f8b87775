//! What every engine must do, checked with every engine that works on this machine.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{DEADLINE, Mode, Server, each_engine};
use kinovar_io::engine::{Close, Engine, EngineKind};
use kinovar_io::net::peer_endpoint;

const MIB: usize = 1 << 20;

fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn reads_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    bytes
}

#[test]
fn echo_with_pipelines() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Echo);
        let mut stream = server.connect();
        for round in 1..200 {
            let message = pattern(round * 13);
            stream.write_all(&message).unwrap();
            assert_eq!(read_exactly(&mut stream, message.len()), message);
        }
        drop(stream);
        server.until(|_, state| state.closed.len() == 1);
        assert_eq!(server.run(|net, state| (net.connection_count(), state.closed[0].1)), (0, None));
    });
}

#[test]
fn a_thousand_connections() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Echo);
        let mut streams: Vec<_> = (0..1000).map(|_| server.connect()).collect();
        for round in 0..3u8 {
            for (i, stream) in streams.iter_mut().enumerate() {
                stream.write_all(&[round, i as u8, (i >> 8) as u8]).unwrap();
            }
            for (i, stream) in streams.iter_mut().enumerate() {
                assert_eq!(read_exactly(stream, 3), [round, i as u8, (i >> 8) as u8]);
            }
        }
        assert_eq!(server.run(|net, _| net.connection_count()), 1000);
        streams.truncate(1);
        server.until(|net, _| net.connection_count() == 1);
        // Slots are used again, and their ids are new ones.
        let old = server.run(|_, state| state.conns.clone());
        streams.extend((0..100).map(|_| server.connect()));
        server.until(|net, _| net.connection_count() == 101);
        let new = server.run(|_, state| state.conns[1000..].to_vec());
        assert!(new.iter().all(|id| id.index() < 1000 && !old.contains(id)));
    });
}

#[test]
fn large_messages_both_ways_to_a_slow_reader() {
    const SIZE: usize = 64 * MIB;
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Keep);
        let (mut stream, id) = server.connect_known();
        let message = pattern(SIZE);
        stream.write_all(&message).unwrap();
        server.until(|_, state| state.received == SIZE);
        server.run(move |net, state| {
            let bytes = state.kept.remove(&id).unwrap();
            net.send(id, bytes);
            assert_eq!(net.pending_bytes(id), SIZE);
            net.send(id, b"the end".to_vec());
            assert_eq!(net.pending_bytes(id), SIZE + 7);
        });
        // The socket takes a part and no more until somebody reads.
        server.until(move |net, _| net.pending_bytes(id) < SIZE);
        assert!(server.run(move |net, _| net.pending_bytes(id)) > SIZE / 2);
        assert_eq!(server.run(|_, state| state.sent_buffers), 0);
        assert!(read_exactly(&mut stream, SIZE) == message, "the message came back changed");
        assert_eq!(read_exactly(&mut stream, 7), b"the end");
        server.until(move |net, state| state.sent_buffers == 2 && net.pending_bytes(id) == 0);
    });
}

#[test]
fn an_idle_engine_does_not_spin_while_a_reader_is_slow() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (_stream, id) = server.connect_known();
        server.run(move |net, _| net.send(id, vec![1; 64 * MIB]));
        // Until the socket takes no more.
        let pending = || server.run(move |net, _| net.pending_bytes(id));
        let start = Instant::now();
        let mut last = usize::MAX;
        while last == 64 * MIB || last != pending() {
            last = pending();
            assert!(start.elapsed() < DEADLINE);
        }
        let before = server.run(|_, state| state.turns);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let turns = server.run(|_, state| state.turns) - before;
        assert!(turns < 20, "{turns} turns without a reason");
    });
}

#[test]
fn many_small_sends_keep_their_order() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (mut stream, id) = server.connect_known();
        for start in (0..20_000u32).step_by(500) {
            server.run(move |net, _| {
                for number in start..start + 500 {
                    net.send(id, number.to_le_bytes().to_vec());
                }
            });
        }
        let bytes = read_exactly(&mut stream, 80_000);
        let numbers = bytes.chunks_exact(4).map(|chunk| u32::from_le_bytes(chunk.try_into().unwrap()));
        assert!(numbers.eq(0..20_000));
    });
}

#[test]
fn close_after_send_writes_everything_first() {
    // More than socket buffers hold, so that the close waits for this side to read.
    const SIZE: usize = 32 * MIB;
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (mut stream, id) = server.connect_known();
        server.run(move |net, _| {
            net.send(id, pattern(SIZE));
            net.send(id, b"bye".to_vec());
            net.close(id, Close::AfterSend);
            net.send(id, b"too late".to_vec());
            assert!(!net.is_open(id));
        });
        // What the peer says meanwhile is discarded and does not cost it the reply.
        stream.write_all(&pattern(MIB)).unwrap();
        let bytes = reads_to_end(&mut stream);
        assert_eq!(bytes.len(), SIZE + 3);
        assert!(bytes.ends_with(b"bye"));
        server.until(|_, state| state.closed.len() == 1);
        assert_eq!(server.run(|_, state| (state.received, state.closed[0].1)), (0, None));
    });
}

#[test]
fn close_now_drops_what_is_queued() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (mut stream, id) = server.connect_known();
        server.run(move |net, _| {
            net.send(id, pattern(64 * MIB));
            net.close(id, Close::Now);
            net.close(id, Close::Now);
            net.close(id, Close::AfterSend);
        });
        assert!(reads_to_end(&mut stream).len() < 64 * MIB);
        server.until(|_, state| state.closed.len() == 1);
        // The same while a send is under way.
        let (mut stream, id) = server.connect_known();
        server.run(move |net, _| net.send(id, pattern(64 * MIB)));
        server.until(move |net, _| net.pending_bytes(id) < 64 * MIB);
        server.run(move |net, _| net.close(id, Close::Now));
        assert!(reads_to_end(&mut stream).len() < 64 * MIB);
        server.until(|net, state| state.closed.len() == 2 && net.connection_count() == 0);
    });
}

#[test]
fn close_after_an_attempt_writes_what_goes_in_at_once() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (mut stream, id) = server.connect_known();
        server.run(move |net, _| {
            net.send(id, b"bye".to_vec());
            net.close(id, Close::AfterAttempt);
            net.send(id, b"too late".to_vec());
        });
        assert_eq!(reads_to_end(&mut stream), b"bye");
        server.until(|_, state| state.closed.len() == 1);
        // A peer that does not read is not waited for.
        let (mut stream, id) = server.connect_known();
        server.run(move |net, _| {
            net.send(id, pattern(64 * MIB));
            net.close(id, Close::AfterAttempt);
        });
        server.until(|net, state| state.closed.len() == 2 && net.connection_count() == 0);
        assert!(reads_to_end(&mut stream).len() < 64 * MIB);
    });
}

#[test]
fn peer_vanishes_mid_send() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (stream, id) = server.connect_known();
        server.run(move |net, _| {
            net.send(id, pattern(32 * MIB));
            net.send(id, pattern(32 * MIB));
        });
        server.until(move |net, _| net.pending_bytes(id) < 64 * MIB);
        drop(stream); // With unread data in its buffer: a reset.
        server.until(|net, state| state.closed.len() == 1 && net.connection_count() == 0);
        let error = server.run(|_, state| state.closed[0].1);
        assert!(matches!(error, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{error:?}");
        // The engine goes on, with the same slot.
        let (mut stream, id) = server.connect_known();
        assert_eq!(id.index(), 0);
        server.run(move |net, _| net.send(id, b"hello".to_vec()));
        assert_eq!(read_exactly(&mut stream, 5), b"hello");
    });
}

#[test]
fn a_half_closed_peer_still_gets_its_replies() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Echo);
        for _ in 0..50 {
            let mut stream = server.connect();
            stream.write_all(b"last words").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(reads_to_end(&mut stream), b"last words");
        }
        server.until(|_, state| state.closed.len() == 50);
        assert!(server.run(|_, state| state.closed.iter().all(|(_, error)| error.is_none())));
    });
}

#[test]
fn a_half_closed_peer_that_does_not_read_is_not_kept() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (stream, id) = server.connect_known();
        server.run(move |net, _| net.send(id, pattern(64 * MIB)));
        server.until(move |net, _| net.pending_bytes(id) < 64 * MIB);
        stream.shutdown(Shutdown::Write).unwrap();
        server.until(|net, state| state.closed.len() == 1 && net.connection_count() == 0);
        drop(stream);
    });
}

#[test]
fn paused_reading_delivers_nothing_and_loses_nothing() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Keep);
        let (mut stream, id) = server.connect_known();
        for round in 0..30 {
            server.run(|_, state| state.received = 0);
            let message = pattern(50_000 + round);
            // Pausing in the middle of data: part of it may be in our buffers already.
            server.run(move |_, state| state.on_data = Some(|net, conn, _| net.pause_read(conn)));
            stream.write_all(&message).unwrap();
            server.until(|_, state| state.received > 0);
            let received = server.run(|_, state| state.received);
            for _ in 0..20 {
                assert_eq!(server.run(|_, state| state.received), received, "data while paused");
            }
            server.run(move |net, state| {
                state.on_data = None;
                net.resume_read(id);
            });
            let expected = message.len();
            server.until(move |_, state| state.received == expected);
            assert_eq!(server.run(move |_, state| state.kept.remove(&id)), Some(message));
        }
    });
}

#[test]
fn resuming_at_once_and_pausing_twice_is_harmless() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Echo);
        let (mut stream, id) = server.connect_known();
        for round in 0..200u32 {
            server.run(move |net, _| {
                net.pause_read(id);
                net.pause_read(id);
                net.resume_read(id);
                net.resume_read(id);
            });
            stream.write_all(&round.to_le_bytes()).unwrap();
            server.run(move |net, _| net.pause_read(id));
            server.run(move |net, _| net.resume_read(id));
            assert_eq!(read_exactly(&mut stream, 4), round.to_le_bytes());
        }
    });
}

#[test]
fn the_end_of_a_paused_stream_comes_after_its_data() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Keep);
        let (mut stream, id) = server.connect_known();
        server.run(|_, state| state.on_data = Some(|net, conn, _| net.pause_read(conn)));
        stream.write_all(&pattern(100_000)).unwrap();
        drop(stream);
        server.until(|_, state| state.received > 0);
        assert!(server.run(|_, state| state.closed.is_empty()));
        server.run(move |net, state| {
            state.on_data = None;
            net.resume_read(id);
        });
        server.until(|_, state| state.closed.len() == 1);
        assert_eq!(server.run(move |_, state| state.kept.remove(&id)), Some(pattern(100_000)));
    });
}

#[test]
fn wakes_from_other_threads_are_not_lost() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let counted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..2000).map(|_| server.run(|_, _| 1)).sum::<usize>())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(counted, 8000);
        assert!(server.run(|_, state| state.woken) <= 8001);
    });
}

#[test]
fn a_timeout_ends_the_turn() {
    each_engine(|kind| {
        let mut engine = Engine::new(kind).unwrap();
        let mut turns = Turns(0);
        let start = Instant::now();
        engine.turn(Some(Duration::from_millis(30)), &mut turns).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(29), "{:?}", start.elapsed());
        engine.turn(Some(Duration::ZERO), &mut turns).unwrap();
        assert!(start.elapsed() < DEADLINE);
        assert_eq!(turns.0, 2);
    });
}

struct Turns(usize);

impl kinovar_io::engine::Handler for Turns {
    fn accepted(&mut self, _: &mut kinovar_io::engine::Net, _: usize, _: std::os::fd::OwnedFd) {}
    fn data(&mut self, _: &mut kinovar_io::engine::Net, _: kinovar_io::engine::ConnId, _: &[u8]) {}
    fn closed(&mut self, _: &mut kinovar_io::engine::Net, _: kinovar_io::engine::ConnId, _: Option<std::io::Error>) {}
    fn turn_end(&mut self, _: &mut kinovar_io::engine::Net) {
        self.0 += 1;
    }
}

#[test]
fn a_flush_sends_without_a_further_turn() {
    each_engine(|kind| {
        let mut engine = Engine::new(kind).unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(DEADLINE)).unwrap();
        let id = engine.net().register(ours.into());
        engine.net().send(id, b"going down".to_vec());
        engine.flush(&mut Turns(0)).unwrap();
        let mut bytes = [0; 10];
        theirs.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"going down");
    });
}

#[test]
fn an_engine_with_work_under_way_can_be_dropped() {
    each_engine(|kind| {
        for foreign in [false, true] {
            let mut engine = Engine::new(kind).unwrap();
            let (ours, theirs) = UnixStream::pair().unwrap();
            let id = engine.net().register(ours.into());
            engine.net().send(id, pattern(4 * MIB));
            engine.turn(Some(Duration::from_millis(1)), &mut Turns(0)).unwrap();
            assert!(engine.net().pending_bytes(id) > 0);
            if foreign {
                std::thread::spawn(move || drop(engine)).join().unwrap();
            } else {
                drop(engine);
            }
            // The socket is closed: its peer reads what was sent and then the end.
            let mut theirs = theirs;
            theirs.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).unwrap();
            assert!(!bytes.is_empty() && bytes.len() < 4 * MIB);
        }
    });
}

#[test]
fn accept_storm() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Echo);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..300u32 {
                        let mut stream = server.connect();
                        if i % 3 != 0 {
                            stream.write_all(&i.to_le_bytes()).unwrap();
                            assert_eq!(read_exactly(&mut stream, 4), i.to_le_bytes());
                        }
                    }
                });
            }
        });
        server.until(|net, state| state.closed.len() == 1200 && net.connection_count() == 0);
    });
}

#[test]
fn unlisten_closes_the_port() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Echo);
        let (mut stream, id) = server.connect_known();
        server.run(|net, _| net.unlisten(7));
        let start = Instant::now();
        while TcpStream::connect(server.address).is_ok() {
            assert!(start.elapsed() < DEADLINE, "the port is closed");
        }
        // Established connections stay.
        stream.write_all(b"still here").unwrap();
        assert_eq!(read_exactly(&mut stream, 10), b"still here");
        // And the port can be listened on again.
        let port = server.address.port();
        server.run(move |net, _| net.listen(kinovar_io::net::listen_tcp("127.0.0.1", port, 16).unwrap(), 7));
        let mut second = server.connect();
        second.write_all(b"again").unwrap();
        assert_eq!(read_exactly(&mut second, 5), b"again");
        assert!(server.run(move |net, _| net.is_open(id)));
    });
}

#[test]
fn the_socket_of_a_connection_can_be_asked() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let (stream, id) = server.connect_known();
        let peer = server.run(move |net, _| peer_endpoint(net.socket(id).unwrap()).unwrap().to_string());
        assert_eq!(peer, stream.local_addr().unwrap().to_string());
        server.run(move |net, _| net.close(id, Close::Now));
        server.until(move |_, state| state.is_closed(id));
        assert!(server.run(move |net, _| net.socket(id).is_none()));
    });
}

#[test]
fn a_descriptor_that_is_no_socket_is_reported_closed() {
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Sink);
        let file = std::fs::File::open("/dev/null").unwrap();
        let id = server.run(move |net, _| net.register(file.into()));
        server.until(move |_, state| state.is_closed(id));
        assert!(server.run(|_, state| state.closed[0].1.is_some()));
    });
}

#[test]
fn buffers_that_run_out_do_not_lose_data() {
    // More ready connections than the ring has buffers, all at once.
    each_engine(|kind| {
        let server = Server::start(kind, Mode::Keep);
        let mut streams: Vec<_> = (0..800).map(|_| server.connect()).collect();
        server.until(|_, state| state.conns.len() == 800);
        // Hold the reactor while everybody writes.
        let hold = server.hold();
        for stream in &mut streams {
            stream.write_all(&pattern(20_000)).unwrap();
        }
        drop(hold);
        server.until(|_, state| state.received == 800 * 20_000);
        assert!(server.run(|_, state| state.kept.values().all(|bytes| *bytes == pattern(20_000))));
    });
}

#[test]
fn auto_picks_what_works() {
    let engine = Engine::new(EngineKind::Auto).unwrap();
    let expected = match kinovar_io::engine::io_uring_refusal() {
        None => EngineKind::IoUring,
        Some(_) => EngineKind::Epoll,
    };
    assert_eq!(engine.kind(), expected);
}
