//! A reactor on its own thread that tests drive by sending it closures.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kinovar_io::engine::{ConnId, Engine, EngineKind, Handler, Net, Waker, io_uring_refusal};
use kinovar_io::net::{Endpoint, listen_tcp, local_endpoint};

pub const DEADLINE: Duration = Duration::from_secs(20);

/// What a server does with data.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mode {
    Echo,
    /// Count bytes only.
    Sink,
    /// Keep the bytes for the test to read.
    Keep,
}

pub struct State {
    pub mode: Mode,
    pub conns: Vec<ConnId>,
    pub closed: Vec<(ConnId, Option<io::ErrorKind>)>,
    pub received: usize,
    pub kept: HashMap<ConnId, Vec<u8>>,
    pub sent_buffers: usize,
    pub woken: usize,
    pub turns: usize,
    pub accept_failures: usize,
    /// Called with each piece of data before the mode's own action.
    pub on_data: Option<fn(&mut Net, ConnId, &[u8])>,
    jobs: Jobs,
}

type Job = Box<dyn FnOnce(&mut Net, &mut State) + Send>;
type Jobs = Arc<Mutex<VecDeque<Job>>>;

impl State {
    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.iter().any(|(closed, _)| *closed == conn)
    }
}

impl Handler for State {
    fn accepted(&mut self, net: &mut Net, listener: usize, socket: OwnedFd) {
        assert_eq!(listener, 7);
        let id = net.register(socket);
        self.conns.push(id);
    }

    fn accept_failed(&mut self, _: &mut Net, listener: usize, _: io::Error) {
        assert_eq!(listener, 7);
        self.accept_failures += 1;
    }

    fn data(&mut self, net: &mut Net, conn: ConnId, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        assert!(!self.is_closed(conn), "data after closed");
        self.received += bytes.len();
        if let Some(hook) = self.on_data {
            hook(net, conn, bytes);
        }
        match self.mode {
            Mode::Echo => net.send(conn, bytes.to_vec()),
            Mode::Sink => {}
            Mode::Keep => self.kept.entry(conn).or_default().extend_from_slice(bytes),
        }
    }

    fn sent(&mut self, _: &mut Net, conn: ConnId, buffer: Vec<u8>) {
        assert!(!buffer.is_empty());
        assert!(!self.is_closed(conn), "sent after closed");
        self.sent_buffers += 1;
    }

    fn closed(&mut self, net: &mut Net, conn: ConnId, error: Option<io::Error>) {
        assert!(!self.is_closed(conn), "closed twice");
        assert!(!net.is_open(conn), "the id is stale");
        assert_eq!(net.pending_bytes(conn), 0);
        self.closed.push((conn, error.map(|error| error.kind())));
    }

    fn woken(&mut self, net: &mut Net) {
        self.woken += 1;
        loop {
            let job = self.jobs.lock().unwrap().pop_front();
            let Some(job) = job else { return };
            job(net, self);
        }
    }

    fn turn_end(&mut self, _: &mut Net) {
        self.turns += 1;
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub waker: Waker,
    jobs: Jobs,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(kind: EngineKind, mode: Mode) -> Server {
        let listener = listen_tcp("127.0.0.1", 0, 1024).unwrap();
        let Endpoint::Tcp(address) = local_endpoint(listener.as_fd()).unwrap() else { panic!() };
        let mut engine = Engine::new(kind).unwrap();
        assert_eq!(engine.kind(), kind);
        let waker = engine.waker();
        let jobs = Jobs::default();
        let stop = Arc::new(AtomicBool::new(false));
        let mut state = State {
            mode,
            conns: Vec::new(),
            closed: Vec::new(),
            received: 0,
            kept: HashMap::new(),
            sent_buffers: 0,
            woken: 0,
            turns: 0,
            accept_failures: 0,
            on_data: None,
            jobs: jobs.clone(),
        };
        engine.net().listen(listener, 7);
        let stopping = stop.clone();
        // Created here and run there: engines may move before their first turn.
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Acquire) {
                engine.turn(None, &mut state).unwrap();
            }
        });
        Server { address, waker, jobs, stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Connects and waits until the reactor has the connection.
    pub fn connect_known(&self) -> (TcpStream, ConnId) {
        let before = self.run(|_, state| state.conns.len());
        let stream = self.connect();
        self.until(move |_, state| state.conns.len() > before);
        (stream, self.run(move |_, state| state.conns[before]))
    }

    /// Runs a closure on the reactor and returns its result.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce(&mut Net, &mut State) -> T + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        let job: Job = Box::new(move |net, state| {
            let _ = sender.send(job(net, state));
        });
        self.jobs.lock().unwrap().push_back(job);
        self.waker.wake();
        receiver.recv_timeout(DEADLINE).expect("the reactor answers")
    }

    /// Stops the reactor inside a turn until the returned guard is dropped.
    pub fn hold(&self) -> mpsc::Sender<()> {
        let (holding, started) = mpsc::channel();
        let (guard, dropped) = mpsc::channel();
        let job: Job = Box::new(move |_, _| {
            let _ = holding.send(());
            let _ = dropped.recv_timeout(DEADLINE);
        });
        self.jobs.lock().unwrap().push_back(job);
        self.waker.wake();
        started.recv_timeout(DEADLINE).expect("the reactor answers");
        guard
    }

    /// Waits until a condition holds on the reactor.
    pub fn until(&self, condition: impl Fn(&mut Net, &mut State) -> bool + Send + Copy + 'static) {
        let start = Instant::now();
        while !self.run(move |net, state| condition(net, state)) {
            assert!(start.elapsed() < DEADLINE, "the condition came true in time");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the reactor panicked");
        }
    }
}

/// Runs a check with every engine that works here; loud about one that does not.
pub fn each_engine(check: impl Fn(EngineKind)) {
    check(EngineKind::Epoll);
    match io_uring_refusal() {
        None => check(EngineKind::IoUring),
        Some(reason) => eprintln!("SKIPPED with io_uring, which does not work here: {reason}"),
    }
}
