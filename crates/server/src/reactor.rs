//! A reactor: a thread with its event loop and the connections that it accepted, from accept to close.

use crate::clients::{ClientInfo, Names, add};
use crate::cmdstats::bump;
use crate::commands::waitaof;
use crate::connection::{Connection, Unsynced};
use crate::delivery::Delivery;
use crate::errand::Answer;
use crate::exec::{Executor, OUTPUT_PIECE, Progress, STALL_BYTES};
use crate::loading::insert::Part;
use crate::message::{Accepted, Message};
use crate::pause::Held;
use crate::scripting::fiber::{self, Task};
use crate::scripting::runtime;
use crate::server::{ReactorStats, Server};
use crate::session::Session;
use crate::waiting;
use kinovar_command::{Protocol, Reply};
use kinovar_io::clock::{self, Ticks};
use kinovar_io::engine::{Close, ConnId, Engine, Handler, Net};
use kinovar_io::net;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Time between two rounds of housekeeping, ms.
const TICK_MS: u64 = 100;
/// Time that expiry may take before the sockets are looked at again, us.
const EXPIRE_SLICE_US: u64 = 500;
/// Time that resizing may take of a turn without requests, us.
const TABLES_SLICE_US: u64 = 100;
/// The same for a snapshot, us: of a turn with requests, and of one without.
const SNAPSHOT_SLICE_US: u64 = 100;
const SNAPSHOT_IDLE_SLICE_US: u64 = 200;
/// The pause after a slice, as a multiple of what that took: while there are requests, and while there are none. (On a machine with
/// few cores, clients need them too.)
const SNAPSHOT_PAUSES: u32 = 4;
const SNAPSHOT_IDLE_PAUSES: u32 = 1;
/// Bounds of such a pause: it is no shorter where a slice has ended early, and no longer where it was interrupted.
const SNAPSHOT_PAUSE_MIN: Duration = Duration::from_micros(150);
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_millis(2);
/// Time that loading may take before the sockets are looked at again, us.
const LOADING_SLICE_US: u64 = 1500;
/// Output buffers kept for reuse, and the largest kept, bytes.
const SPARE_BUFFERS: usize = 64;
const SPARE_BYTES: usize = 64 << 10;

/// One reactor.
pub struct Reactor {
    pub(crate) server: &'static Server,
    pub(crate) index: usize,
    executor: Executor,
    pub(crate) connections: Vec<Option<Box<Connection>>>,
    /// What delivers messages.
    pub(crate) delivery: Delivery,
    /// Output buffers for reuse.
    pub(crate) spare: Vec<Vec<u8>>,
    next_reactor: usize,
    next_tick_ms: u64,
    /// More keys are due than the last slice could remove.
    expire_due: bool,
    /// Tables of this reactor's partitions may be changing their size.
    tables_due: bool,
    /// The snapshot that was last walked through here: its number, and how many of the partitions are done.
    snapshot: (u64, usize),
    /// A snapshot is not done here.
    snapshot_due: bool,
    /// There were requests since its last slice.
    snapshot_beside_requests: bool,
    /// When its last slice ended, and how long it pauses after that.
    snapshot_slice_ended: Instant,
    snapshot_pause: Duration,
    /// Data has come in this turn.
    busy: bool,
    /// When this turn's events came.
    turn_started: Ticks,
    /// Waits that end by themselves: when, Unix ms, and whose, as the engine's id in bits.
    deadlines: BTreeSet<(u64, u64)>,
    /// Number of connections that a pause holds up.
    held: usize,
    /// Connections that wait for a snapshot to write a large value, and its partition.
    parked: Vec<(ConnId, usize)>,
    /// Connections whose request runs code that takes long.
    tasks: Vec<ConnId>,
    /// Its part in loading data.
    loading: Part,
    /// There are keys to be loaded.
    load_due: bool,
    /// Such requests of connections that are gone.
    orphans: Vec<Task>,
    /// Connections whose output is kept back until the journal is synced.
    unsynced: Vec<ConnId>,
    /// Connections that wait for a sync (`WAITAOF`).
    sync_waits: Vec<ConnId>,
    /// Connections that are not served until more of the journal is written.
    behind: Vec<ConnId>,
    /// Where the engine-specific work of cron starts its walk over the connections.
    next_checked: usize,
}

impl Reactor {
    /// Reactor `index` of `server`.
    pub fn new(server: &'static Server, index: usize) -> Reactor {
        Reactor {
            executor: Executor::new(index, server),
            server,
            index,
            connections: Vec::new(),
            delivery: Delivery::default(),
            spare: Vec::new(),
            next_reactor: 0,
            next_tick_ms: 0,
            expire_due: false,
            tables_due: false,
            snapshot: (0, 0),
            snapshot_due: false,
            snapshot_beside_requests: false,
            snapshot_slice_ended: Instant::now(),
            snapshot_pause: Duration::ZERO,
            busy: false,
            turn_started: Ticks::now(),
            deadlines: BTreeSet::new(),
            held: 0,
            parked: Vec::new(),
            tasks: Vec::new(),
            loading: Part::default(),
            load_due: false,
            orphans: Vec::new(),
            unsynced: Vec::new(),
            sync_waits: Vec::new(),
            behind: Vec::new(),
            next_checked: 0,
        }
    }

    /// Runs until the server stops.
    pub fn run(mut self, engine: &mut Engine) -> io::Result<()> {
        runtime::begin(self.server, self.index);
        crate::message::begin_reactor(self.index);
        while !self.server.stopping.load(Relaxed) {
            let now_ms = clock::unix_ms();
            let wait_until_ms =
                self.deadlines.first().map_or(u64::MAX, |&(deadline_ms, _)| deadline_ms.saturating_add(1));
            let held_until_ms = if self.held == 0 { u64::MAX } else { self.server.pause.until_ms() };
            let next_ms = wait_until_ms.min(held_until_ms).min(self.next_tick_ms);
            let has_work = self.expire_due
                || self.tables_due
                || self.load_due
                || !self.parked.is_empty()
                || !self.tasks.is_empty()
                || !self.orphans.is_empty();
            let wait_ms = if has_work { 0 } else { next_ms.saturating_sub(now_ms) };
            let mut wait = Duration::from_millis(wait_ms.min(TICK_MS));
            if self.snapshot_due {
                wait = wait.min(self.snapshot_pause.saturating_sub(self.snapshot_slice_ended.elapsed()));
            }
            engine.turn(Some(wait), &mut self)?;
        }
        if !self.unsynced.is_empty() && self.server.journal.settle() {
            self.release_synced(engine.net());
        }
        // Replies of the last turn, to SHUTDOWN's neighbours among others.
        engine.flush(&mut self)
    }

    fn stats(&self) -> &ReactorStats {
        &self.server.reactors[self.index]
    }

    /// Registers a socket accepted here or handed over.
    fn adopt(&mut self, net: &mut Net, accepted: Accepted) {
        let Accepted { socket, listener, client } = accepted;
        let is_unix = listener == crate::listen::UNIX_TOKEN;
        // Not this turn's copy: what one connection has set holds for the next one, whichever reactor takes it.
        let config = self.server.config();
        let peer = net::peer_endpoint(socket.as_fd()).ok();
        if self.server.clients.len() >= config.maxclients as usize {
            bump(&self.stats().rejected_connections, 1);
            refuse(net, socket, b"-ERR max number of clients reached\r\n");
            return;
        }
        bump(&self.stats().connections, 1);
        let from_outside = peer.as_ref().is_some_and(|peer| !peer.is_loopback());
        let users = self.server.acl.users();
        if config.protected_mode && users.default_user().needs_no_password() && !is_unix && from_outside {
            refuse(net, socket, PROTECTED_MODE_DENIAL.as_bytes());
            return;
        }
        if !is_unix {
            // Failing to set an option must not cost the client its connection.
            let _ = net::set_nodelay(socket.as_fd(), true);
            if config.tcp_keepalive_s > 0 {
                let _ = net::set_keepalive(socket.as_fd(), config.tcp_keepalive_s);
            }
        }
        let local = net::local_endpoint(socket.as_fd()).map(|local| local.to_string()).unwrap_or_default();
        let path = format!("{}:0", config.unixsocket.clone().unwrap_or_default().display());
        let (addr, laddr) = match peer {
            _ if is_unix => (path.clone(), path),
            Some(peer) => (peer.to_string(), local),
            None => ("?:0".to_owned(), local),
        };
        let fd = socket.as_raw_fd();
        let id = net.register(socket);
        let now_ms = clock::unix_ms();
        let info = Arc::new(ClientInfo {
            id: client,
            addr,
            laddr,
            fd,
            is_unix,
            is_loopback: !from_outside,
            reactor: self.index,
            conn: AtomicU64::new(id.to_bits()),
            created_ms: now_ms,
            active_ms: AtomicU64::new(now_ms),
            db: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            command: AtomicUsize::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            query_buffer: AtomicUsize::new(0),
            query_buffer_capacity: AtomicUsize::new(0),
            output_pending: AtomicUsize::new(0),
            monitor: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            held: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            tracking: Default::default(),
            gone: AtomicBool::new(false),
            subscriptions: Default::default(),
            queued: AtomicI64::new(-1),
            watched: AtomicUsize::new(0),
            watch: Mutex::new(None),
            waiter: Mutex::new(None),
            user: AtomicU64::new(0),
            names: Mutex::new(Names::default()),
        });
        let mut session = Session::new(info.clone());
        session.begin_as_default(&users);
        self.server.clients.insert(info);
        if self.connections.len() <= id.index() {
            self.connections.resize_with(id.index() + 1, || None);
        }
        self.connections[id.index()] = Some(Box::new(Connection::new(session, id)));
    }

    /// Executes what is in `bytes`, which continues the connection's input.
    fn feed(&mut self, net: &mut Net, conn: &mut Connection, bytes: &[u8]) {
        let now_ms = clock::unix_ms();
        conn.session.info.active_ms.store(now_ms, Relaxed);
        if conn.stalled || conn.session.waits() {
            conn.input.extend_from_slice(bytes);
        } else if conn.input.is_empty() {
            self.execute(net, conn, bytes, now_ms);
        } else {
            let mut input = std::mem::take(&mut conn.input);
            reserve(&mut input, conn.parser.wanted_bytes(), bytes.len());
            input.extend_from_slice(bytes);
            // A request known to be unfinished is not looked at before it may be complete.
            if input.len() < conn.parser.wanted_bytes() {
                conn.input = input;
            } else {
                self.execute(net, conn, &input, now_ms);
                recycle_input(conn, input);
            }
        }
        self.check_query_buffer(net, conn);
    }

    /// Executes the requests in `buf` and hands the replies to the engine; the unconsumed rest becomes the connection's
    /// input.
    fn execute(&mut self, net: &mut Net, conn: &mut Connection, buf: &[u8], now_ms: u64) {
        let mut at = 0;
        if conn.session.takes_pushes {
            self.deliver(net, Some(conn), u64::MAX);
        }
        loop {
            if conn.output.capacity() == 0 {
                conn.output = self.spare.pop().unwrap_or_default();
            }
            let mut more = false;
            match self.executor.run(self.server, conn, &buf[at..], now_ms) {
                Progress::Consumed(len) => at += len,
                Progress::More(len) => {
                    at += len;
                    more = true;
                }
                Progress::Messages(len) => {
                    at += len;
                    self.deliver(net, Some(conn), u64::MAX);
                    if conn.output.len() < OUTPUT_PIECE {
                        continue;
                    }
                    more = true;
                }
                Progress::Broken(error) => {
                    let text = format!("ERR Protocol error: {}", error.text());
                    Reply::new(&mut conn.output, Protocol::Resp2).error(text.as_bytes());
                    self.server.count_error(self.stats(), "ERR");
                    conn.session.close_after_reply = true;
                }
            }
            let keeps_up = self.send_output(net, conn, now_ms);
            if conn.session.close_after_reply {
                conn.session.info.closing.store(true, Relaxed);
                // Else when what is kept back is sent.
                if conn.unsynced.is_empty() {
                    net.close(conn.id, Close::AfterSend);
                }
                return;
            }
            conn.stalled = !keeps_up;
            if self.server.journal.is_behind() {
                conn.stalled = true;
                self.behind.push(conn.id);
            }
            if let Some(pending) = &conn.session.pending {
                if conn.session.awaits_sync.is_some() {
                    self.sync_waits.push(conn.id);
                }
                if pending.deadline_ms != u64::MAX {
                    self.deadlines.insert((pending.deadline_ms, conn.id.to_bits()));
                }
                break;
            }
            if let Some(errand) = &mut conn.session.errand {
                errand.begin(self.server);
                break;
            }
            if conn.session.held {
                self.hold(conn);
                break;
            }
            if let Some(partition) = conn.session.parked {
                self.count_held(conn);
                self.parked.push((conn.id, partition));
                break;
            }
            if conn.session.task.is_some() {
                self.tasks.push(conn.id);
                break;
            }
            if !more || conn.stalled {
                break;
            }
        }
        conn.input.extend_from_slice(&buf[at..]);
    }

    /// Hands replies to the engine. Whether the peer keeps up with them.
    pub(crate) fn send_output(&mut self, net: &mut Net, conn: &mut Connection, now_ms: u64) -> bool {
        if !net.is_open(conn.id) {
            conn.output.clear();
            return true;
        }
        let info = conn.session.info.clone();
        if !conn.output.is_empty() {
            let stats = self.stats();
            add(&stats.net_out, conn.output.len() as u64);
            bump(&stats.writes, 1);
            add(&info.net_out, conn.output.len() as u64);
            let output = std::mem::take(&mut conn.output);
            let is_free = conn.unsynced.is_empty() && conn.unclear.is_none();
            if is_free && !self.server.journal.holds(conn.session.position) {
                net.send(conn.id, output);
            } else {
                self.keep_back(conn, output);
            }
        }
        let pending = net.pending_bytes(conn.id) + conn.unsynced_bytes;
        info.output_pending.store(pending, Relaxed);
        self.check_output_limit(net, conn, now_ms);
        pending < STALL_BYTES
    }

    /// Keeps output back until the journal is synced far enough.
    #[cold]
    fn keep_back(&mut self, conn: &mut Connection, output: Vec<u8>) {
        if conn.unsynced.is_empty() {
            self.unsynced.push(conn.id);
        }
        conn.unsynced_bytes += output.len();
        let (position, unclear) = (conn.session.position, conn.unclear.take());
        match conn.unsynced.back_mut() {
            // Pieces of one turn, often.
            Some(last) if last.position == position && last.unclear.is_none() && unclear.is_none() => {
                last.bytes.extend_from_slice(&output);
            }
            _ => conn.unsynced.push_back(Unsynced { position, unclear, bytes: output }),
        }
    }

    /// Sends the output that was kept back as far as the journal is synced.
    fn release_synced(&mut self, net: &mut Net) {
        let server = self.server;
        // First, so that no progress is missed after this.
        server.journal.expect_progress(self.index);
        for id in std::mem::take(&mut self.unsynced) {
            self.with(id, |reactor, conn| {
                while let Some(first) = conn.unsynced.front_mut() {
                    if let Some(open) = &first.unclear {
                        if server.journal.waits_for_units(reactor.index, open) {
                            break;
                        }
                        first.unclear = None;
                        first.position = first.position.max(server.journal.recorded());
                    }
                    if server.journal.holds(first.position) {
                        break;
                    }
                    let Unsynced { bytes, .. } = conn.unsynced.pop_front().expect("it was looked at a moment ago");
                    conn.unsynced_bytes -= bytes.len();
                    if net.is_open(id) {
                        net.send(id, bytes);
                    }
                }
                if !conn.unsynced.is_empty() {
                    reactor.unsynced.push(id);
                } else if conn.session.close_after_reply {
                    net.close(id, Close::AfterSend);
                } else if conn.stalled && net.pending_bytes(id) == 0 {
                    reactor.unstall(net, conn);
                }
            });
        }
    }

    /// Ends waits for a sync.
    fn end_sync_waits(&mut self, net: &mut Net) {
        let server = self.server;
        server.journal.expect_progress(self.index);
        for id in std::mem::take(&mut self.sync_waits) {
            self.with(id, |reactor, conn| {
                let (Some(wanted), Some(pending)) = (conn.session.awaits_sync, &conn.session.pending) else { return };
                let is_without_file = wanted.local && !server.journal.is_wanted();
                if !wanted.now(server).1 && !is_without_file {
                    reactor.sync_waits.push(id);
                } else if waiting::give_up(&pending.waiter) {
                    let mut reply = reactor.sync_reply(conn, Vec::new());
                    if is_without_file && !reply.is_empty() {
                        reply.clear();
                        Reply::new(&mut reply, conn.session.protocol).error(waitaof::NO_FILE.as_bytes());
                    }
                    reactor.deliver(net, Some(conn), u64::MAX);
                    reactor.end_wait(net, conn, &reply);
                }
            });
        }
    }

    /// The reply at the end of a connection's wait: where it has waited for a sync, how far that is. An error stays.
    fn sync_reply(&self, conn: &mut Connection, reply: Vec<u8>) -> Vec<u8> {
        match conn.session.awaits_sync.take() {
            Some(wanted) if !reply.starts_with(b"-") && !conn.session.replies.is_silent() => {
                let mut bytes = Vec::new();
                wanted.write(self.server, &mut Reply::new(&mut bytes, conn.session.protocol));
                bytes
            }
            _ => reply,
        }
    }

    /// Goes on with connections that have waited for the journal to be written.
    fn go_on_when_written(&mut self, net: &mut Net) {
        self.server.journal.expect_progress(self.index);
        if self.server.journal.is_behind() {
            return;
        }
        for id in std::mem::take(&mut self.behind) {
            self.with(id, |reactor, conn| {
                if conn.stalled && net.pending_bytes(id) + conn.unsynced_bytes < STALL_BYTES {
                    reactor.unstall(net, conn);
                }
            });
        }
    }

    /// Closes a connection that has let too much output gather.
    fn check_output_limit(&mut self, net: &mut Net, conn: &mut Connection, now_ms: u64) {
        let pending = net.pending_bytes(conn.id) + conn.unsynced_bytes;
        let limit = self.executor.config.client_output_buffer_limits[conn.limit_class()];
        if limit.hard_bytes > 0 && pending as u64 >= limit.hard_bytes || self.soft_limit_passed(conn, pending, now_ms) {
            bump(&self.stats().output_limit_disconnections, 1);
            let mut line = Vec::new();
            crate::commands::client::describe(&self.server.registry, now_ms, &conn.session.info, 0, &mut line);
            let line = String::from_utf8_lossy(line.trim_ascii_end());
            crate::log::warning(&format!(
                "Client {line} scheduled to be closed ASAP for overcoming of output buffer limits."
            ));
            net.close(conn.id, Close::Now);
        }
    }

    fn soft_limit_passed(&self, conn: &mut Connection, pending: usize, now_ms: u64) -> bool {
        let limit = self.executor.config.client_output_buffer_limits[conn.limit_class()];
        if limit.soft_bytes == 0 || (pending as u64) < limit.soft_bytes {
            conn.soft_limit_since_ms = 0;
            return false;
        }
        if conn.soft_limit_since_ms == 0 {
            conn.soft_limit_since_ms = now_ms;
        }
        now_ms - conn.soft_limit_since_ms > limit.soft_seconds as u64 * 1000
    }

    /// Holds the query buffer to its limit.
    fn check_query_buffer(&mut self, net: &mut Net, conn: &mut Connection) {
        let info = &conn.session.info;
        info.query_buffer.store(conn.input.len(), Relaxed);
        info.query_buffer_capacity.store(conn.input.capacity(), Relaxed);
        if conn.input.len() as u64 <= self.executor.config.client_query_buffer_limit_bytes {
            return;
        }
        if conn.stalled {
            // It sends without reading: its requests are complete and will be executed, so let it wait instead.
            conn.paused = true;
            net.pause_read(conn.id);
            return;
        }
        bump(&self.stats().query_limit_disconnections, 1);
        crate::log::warning(&format!(
            "Closing client that reached max query buffer length: id={} addr={}",
            info.id, info.addr
        ));
        net.close(conn.id, Close::Now);
    }

    /// Goes on with a connection that has read enough of its replies.
    fn unstall(&mut self, net: &mut Net, conn: &mut Connection) {
        conn.stalled = false;
        if conn.session.waits() {
            return;
        }
        let input = std::mem::take(&mut conn.input);
        self.execute(net, conn, &input, clock::unix_ms());
        if conn.paused && !conn.stalled {
            conn.paused = false;
            net.resume_read(conn.id);
        }
    }

    /// Ends a connection's wait, with a reply, and goes on with its requests.
    fn end_wait(&mut self, net: &mut Net, conn: &mut Connection, reply: &[u8]) {
        let now_ms = clock::unix_ms();
        if let Some(pending) = &conn.session.pending {
            self.deadlines.remove(&(pending.deadline_ms, conn.id.to_bits()));
        }
        waiting::leave(self.server, &mut conn.session, self.executor.env(self.server, now_ms));
        conn.output.extend_from_slice(reply);
        if conn.stalled {
            self.send_output(net, conn, now_ms);
            return;
        }
        let input = std::mem::take(&mut conn.input);
        self.execute(net, conn, &input, now_ms);
        recycle_input(conn, input);
        self.check_query_buffer(net, conn);
    }

    /// Ends a connection's errand, and goes on with its requests.
    fn end_errand(&mut self, net: &mut Net, answer: Answer) {
        if let Some(code) = &answer.error {
            bump(&self.stats().commands[answer.command].failed, 1);
            self.server.count_error(self.stats(), code);
        }
        self.with(ConnId::from_bits(answer.client.conn.load(Relaxed)), |reactor, conn| {
            if conn.session.info.id == answer.client.id && conn.session.errand.take().is_some() {
                reactor.deliver(net, Some(conn), answer.after);
                conn.session.position = conn.session.position.max(answer.position);
                reactor.end_wait(net, conn, &answer.reply);
            }
        });
    }

    /// Goes on with requests that run code which takes long.
    fn go_on(&mut self, net: &mut Net) {
        for id in std::mem::take(&mut self.tasks) {
            self.with(id, |reactor, conn| {
                let Some(task) = conn.session.task.take() else { return };
                match task.resume() {
                    fiber::Progress::Left(task) => {
                        conn.session.task = Some(Box::new(task));
                        reactor.tasks.push(id);
                    }
                    fiber::Progress::Done(left, done) => {
                        reactor.executor.finish(reactor.server, &mut conn.session, &mut conn.output, left, *done);
                        if conn.stalled {
                            reactor.send_output(net, conn, clock::unix_ms());
                            return;
                        }
                        let input = std::mem::take(&mut conn.input);
                        reactor.execute(net, conn, &input, clock::unix_ms());
                        recycle_input(conn, input);
                        reactor.check_query_buffer(net, conn);
                    }
                }
            });
        }
        for task in std::mem::take(&mut self.orphans) {
            match task.resume() {
                fiber::Progress::Left(task) => self.orphans.push(task),
                fiber::Progress::Done(_, mut done) => self.forget_session(&mut done.session),
            }
        }
    }

    /// Leaves nothing behind of a session whose connection is gone.
    fn forget_session(&mut self, session: &mut Session) {
        session.unsubscribe_all(&self.server.pubsub);
        let env = self.executor.env(self.server, clock::unix_ms());
        crate::transaction::abandon(self.server, session, env);
    }

    /// Keeps a connection's requests until the pause is over.
    fn hold(&mut self, conn: &Connection) {
        self.count_held(conn);
        self.server.pause.hold(Held { reactor: self.index, conn: conn.id });
        self.held += 1;
    }

    /// Goes on with the connections that a pause has held up.
    fn release_held(&mut self, net: &mut Net) {
        // One of their requests may begin the next pause, which holds up the others again.
        while self.server.pause.now().is_none() {
            let id = match self.server.pause.next_held(self.index) {
                Ok(id) => id,
                Err(next) => {
                    if let Some(reactor) = next {
                        self.server.mailbox(reactor).wake();
                    }
                    return;
                }
            };
            self.held -= 1;
            self.release(net, id);
            self.server.pause.went_on();
        }
    }

    /// Goes on with what parked connections wait for, and with those for which nothing is left to wait for.
    fn release_parked(&mut self, net: &mut Net) {
        let start = Ticks::now();
        for (id, partition) in std::mem::take(&mut self.parked) {
            if self.executor.hurry_snapshot(self.server, partition, start) {
                self.release(net, id);
            } else {
                self.parked.push((id, partition));
            }
        }
    }

    /// Goes on with a connection that was held up.
    fn release(&mut self, net: &mut Net, id: ConnId) {
        self.with(id, |reactor, conn| {
            reactor.let_go(conn);
            if !conn.stalled {
                let input = std::mem::take(&mut conn.input);
                reactor.execute(net, conn, &input, clock::unix_ms());
                recycle_input(conn, input);
                reactor.check_query_buffer(net, conn);
            }
        });
    }

    fn count_held(&self, conn: &Connection) {
        conn.session.info.held.store(true, Relaxed);
        self.server.waits.clients.fetch_add(1, Relaxed);
    }

    fn let_go(&self, conn: &mut Connection) {
        let was_parked = conn.session.parked.take().is_some();
        if std::mem::take(&mut conn.session.held) || was_parked {
            conn.session.info.held.store(false, Relaxed);
            self.server.waits.clients.fetch_sub(1, Relaxed);
        }
    }

    /// Ends waits whose time is over.
    fn end_waits_in_time(&mut self, net: &mut Net) {
        let now_ms = clock::unix_ms();
        while let Some(&(deadline_ms, id)) = self.deadlines.first()
            && deadline_ms < now_ms
        {
            self.deadlines.pop_first();
            self.with(ConnId::from_bits(id), |reactor, conn| {
                let Some(pending) = &conn.session.pending else { return };
                // Else its reply is on the way.
                if pending.deadline_ms == deadline_ms && waiting::give_up(&pending.waiter) {
                    let reply = waiting::reply_without(&pending.waiter, waiting::End::TimeOut);
                    let reply = reactor.sync_reply(conn, reply);
                    reactor.deliver(net, Some(conn), u64::MAX);
                    reactor.end_wait(net, conn, &reply);
                }
            });
        }
    }

    /// Wakes the reactors that were sent something under locks, and reads the own mail. No command is running here.
    fn read_own_mail(&mut self, net: &mut Net) {
        if self.tasks.is_empty() && self.orphans.is_empty() {
            self.server.journal.close_unit(self.server, self.index);
        }
        while self.server.wake_posted(self.index) {
            for message in self.server.mailbox(self.index).take() {
                self.handle(net, message);
            }
        }
    }

    /// Runs `work` on a connection of this reactor, if it is there.
    fn with(&mut self, id: ConnId, work: impl FnOnce(&mut Self, &mut Connection)) {
        let Some(slot) = self.connections.get_mut(id.index()) else { return };
        if slot.as_ref().is_none_or(|conn| conn.id != id) {
            return;
        }
        if let Some(mut conn) = slot.take() {
            work(self, &mut conn);
            self.connections[id.index()] = Some(conn);
        }
    }

    fn handle(&mut self, net: &mut Net, message: Message) {
        match message {
            Message::Adopt(accepted) => self.adopt(net, accepted),
            Message::Kill { conn, client } => self.with(ConnId::from_bits(conn), |_, conn| {
                if conn.session.info.id == client {
                    net.close(conn.id, Close::Now);
                }
            }),
            Message::Expel(expelled) => {
                let of_whom = |session: &Session| session.is_of(&expelled) && session.loses_by(&expelled);
                let connections = self.connections.iter().flatten();
                let expelled: Vec<ConnId> =
                    connections.filter(|conn| of_whom(&conn.session)).map(|conn| conn.id).collect();
                expelled.into_iter().for_each(|id| net.close(id, Close::Now));
            }
            Message::Deliver { conn, client, bytes } => self.with(ConnId::from_bits(conn), |reactor, conn| {
                if conn.session.info.id == client {
                    if reactor.server.journal.is_always() {
                        // The command may be that of a script, and tell what it has read.
                        conn.session.position = conn.session.position.max(reactor.server.journal.recorded());
                    }
                    conn.output.extend_from_slice(&bytes);
                    reactor.send_output(net, conn, clock::unix_ms());
                }
            }),
            Message::Unblock { client, waiter, reply, position, after } => {
                self.with(ConnId::from_bits(client.conn.load(Relaxed)), |reactor, conn| {
                    let is_on = conn.session.pending.as_ref().is_some_and(|own| Arc::ptr_eq(&own.waiter, &waiter));
                    if is_on {
                        reactor.deliver(net, Some(conn), after);
                        conn.session.position = conn.session.position.max(position);
                        let reply = reactor.sync_reply(conn, reply);
                        reactor.end_wait(net, conn, &reply);
                    }
                })
            }
            Message::Answer(answer) => self.end_errand(net, *answer),
            Message::Migrated(job) => self.executor.settle_migration(self.server, job),
            Message::Listen(listeners) => crate::listen::replace(net, listeners),
            Message::Relisten => {
                crate::listen::replace(net, Vec::new());
                match crate::listen::open(&self.server.config()) {
                    Ok(listeners) => crate::listen::replace(net, listeners),
                    Err(reason) => crate::log::warning(&reason),
                }
            }
        }
    }

    /// Housekeeping, every [`TICK_MS`].
    fn tick(&mut self, net: &mut Net, now_ms: u64) {
        self.next_tick_ms = now_ms + TICK_MS;
        let timeout_ms = self.executor.config.timeout_s as u64 * 1000;
        self.check_some_connections(net, now_ms, timeout_ms);
        runtime::publish_memory();
        if self.index == 0 {
            self.server.sample(now_ms);
            self.server.look_for_alerts();
            self.server.tracking.prefixes.settle(self.server, self.executor.env(self.server, now_ms));
            self.server.busy.clean_up(self.server, self.executor.env(self.server, now_ms));
            if !self.server.busy.is_on() {
                self.executor.look_at_save_rules(self.server, now_ms);
                crate::journal::rewrite::look_at_growth(self.server, &self.executor.config, now_ms);
            }
        }
    }

    /// Goes on with the snapshot that is under way, if one is.
    fn go_on_with_snapshot(&mut self) {
        let Some(number) = self.server.saving.current() else {
            self.snapshot_due = false;
            return;
        };
        if self.snapshot.0 != number {
            self.snapshot = (number, 0);
            self.snapshot_due = true;
        }
        self.snapshot_beside_requests |= self.busy;
        if !self.snapshot_due || self.snapshot_slice_ended.elapsed() < self.snapshot_pause {
            return;
        }
        let (budget_us, pauses) = if std::mem::take(&mut self.snapshot_beside_requests) {
            (SNAPSHOT_SLICE_US, SNAPSHOT_PAUSES)
        } else {
            (SNAPSHOT_IDLE_SLICE_US, SNAPSHOT_IDLE_PAUSES)
        };
        let begun = Instant::now();
        if !crate::saving::is_behind(self.server) {
            self.snapshot_due = self.executor.snapshot(self.server, &mut self.snapshot.1, budget_us);
        }
        self.snapshot_slice_ended = Instant::now();
        let took = self.snapshot_slice_ended - begun;
        self.snapshot_pause = (took * pauses).clamp(SNAPSHOT_PAUSE_MIN, SNAPSHOT_PAUSE_MAX);
    }

    /// Looks at a part of the connections: idle ones are closed, large empty buffers given back. Every connection's turn
    /// comes within a second or so.
    fn check_some_connections(&mut self, net: &mut Net, now_ms: u64, timeout_ms: u64) {
        let count = self.connections.len();
        for _ in 0..count.div_ceil(10).max(50).min(count) {
            self.next_checked = (self.next_checked + 1) % count;
            let Some(mut conn) = self.connections[self.next_checked].take() else { continue };
            let info = &conn.session.info;
            let idle_ms = now_ms.saturating_sub(info.active_ms.load(Relaxed));
            let may_idle = info.monitor.load(Relaxed) || info.is_subscribed() || conn.session.waits();
            if timeout_ms > 0 && idle_ms > timeout_ms && !may_idle {
                crate::log::verbose("Closing idle client");
                net.close(conn.id, Close::Now);
            }
            if conn.input.is_empty() && idle_ms > 2000 && conn.input.capacity() > 0 {
                conn.input = Vec::new();
                conn.session.info.query_buffer_capacity.store(0, Relaxed);
            }
            if conn.soft_limit_since_ms > 0 && net.is_open(conn.id) {
                self.check_output_limit(net, &mut conn, now_ms);
            }
            self.connections[self.next_checked] = Some(conn);
        }
    }
}

/// Makes room for the request that is being received: all of it when it is large and half here, so that a long bulk is not
/// moved again and again, but never more than twice what has really come.
fn reserve(input: &mut Vec<u8>, wanted: usize, coming: usize) {
    let have = input.len() + coming;
    // Only when it is full: the target grows with each piece, and moving everything for each would be quadratic.
    if have > input.capacity() {
        let target = wanted.clamp(have, have.saturating_mul(2).max(64 << 10));
        input.reserve_exact(target - input.len());
    }
}

/// Gives a connection its emptied input buffer back when it is of a reasonable size.
fn recycle_input(conn: &mut Connection, mut input: Vec<u8>) {
    const KEEP: usize = 64 << 10;
    if conn.input.is_empty() && input.capacity() <= KEEP {
        input.clear();
        conn.input = input;
    }
}

fn refuse(net: &mut Net, socket: OwnedFd, reply: &[u8]) {
    let id = net.register(socket);
    net.send(id, reply.to_vec());
    net.close(id, Close::AfterSend);
}

/// What a stranger is told while nobody has decided whether the server is for the outside.
const PROTECTED_MODE_DENIAL: &str = "-DENIED Kinovar is running in protected mode: it has no password for the default \
    user, so it only serves clients of this machine. To let others in, (1) run 'CONFIG SET protected-mode no' on the \
    loopback interface (and CONFIG REWRITE to keep it) if the network is trusted; or (2) set 'protected-mode no' in the \
    configuration file and restart; or (3) start with '--protected-mode no'; or (4) set a password with 'requirepass'. \
    One of these is enough.\r\n";

impl Handler for Reactor {
    fn accepted(&mut self, net: &mut Net, listener: usize, socket: OwnedFd) {
        let reactors = self.server.reactors.len();
        let target = self.next_reactor;
        self.next_reactor = (target + 1) % reactors;
        let accepted = Accepted { socket, listener, client: self.server.clients.next_id() };
        if target == self.index {
            self.adopt(net, accepted);
        } else {
            self.server.mailbox(target).send(Message::Adopt(accepted));
        }
    }

    fn accept_failed(&mut self, _net: &mut Net, _listener: usize, error: io::Error) {
        crate::log::warning(&format!("Accepting client connection: {}", net::error_text(&error)));
    }

    fn turn_start(&mut self) {
        self.turn_started = Ticks::now();
    }

    fn preview(&mut self, bytes: &[u8]) {
        self.executor.preview(self.server, bytes);
    }

    fn previewed(&mut self) {
        self.executor.previewed(self.server);
    }

    fn data(&mut self, net: &mut Net, id: ConnId, bytes: &[u8]) {
        self.busy = true;
        // What was set on another reactor holds for whatever has come in since.
        self.executor.refresh(self.server);
        let stats = self.stats();
        add(&stats.net_in, bytes.len() as u64);
        bump(&stats.reads, 1);
        self.with(id, |reactor, conn| {
            add(&conn.session.info.net_in, bytes.len() as u64);
            reactor.feed(net, conn, bytes);
        });
        self.read_own_mail(net);
    }

    fn sent(&mut self, net: &mut Net, id: ConnId, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            self.spare.push(buffer);
        }
        let sent_pending = net.pending_bytes(id);
        self.with(id, |reactor, conn| {
            let pending = sent_pending + conn.unsynced_bytes;
            conn.session.info.output_pending.store(pending, Relaxed);
            if conn.stalled && pending < STALL_BYTES / 2 && !reactor.server.journal.is_behind() {
                reactor.unstall(net, conn);
            }
        });
        self.read_own_mail(net);
    }

    fn closed(&mut self, _net: &mut Net, id: ConnId, _error: Option<io::Error>) {
        let Some(slot) = self.connections.get_mut(id.index()) else { return };
        if slot.as_ref().is_some_and(|conn| conn.id == id)
            && let Some(mut conn) = slot.take()
        {
            conn.session.info.gone.store(true, Relaxed);
            conn.session.stop_tracking(self.server);
            if let Some(pending) = &conn.session.pending {
                waiting::give_up(&pending.waiter);
                self.deadlines.remove(&(pending.deadline_ms, conn.id.to_bits()));
                waiting::leave(self.server, &mut conn.session, self.executor.env(self.server, clock::unix_ms()));
            }
            self.let_go(&mut conn);
            self.forget_session(&mut conn.session);
            self.orphans.extend(conn.session.task.take().map(|task| *task));
            let client = conn.session.info.id;
            self.server.clients.remove(client);
            if conn.session.info.monitor.load(Relaxed) {
                self.server.monitors.remove(client);
            }
        }
    }

    fn woken(&mut self, net: &mut Net) {
        for message in self.server.mailbox(self.index).take() {
            self.handle(net, message);
        }
        self.read_own_mail(net);
    }

    fn turn_end(&mut self, net: &mut Net) {
        self.executor.refresh(self.server);
        if self.executor.has_too_many_readers(self.server) {
            self.executor.limit_readers(self.server);
        }
        if self.index == 0 {
            self.executor.obey_signals(self.server);
            if self.server.journal.is_cut_due() {
                self.executor.cut_journal(self.server);
            }
        }
        if !self.unsynced.is_empty() {
            self.release_synced(net);
        }
        if !self.sync_waits.is_empty() {
            self.end_sync_waits(net);
        }
        if !self.behind.is_empty() {
            self.go_on_when_written(net);
        }
        if !self.deadlines.is_empty() {
            self.end_waits_in_time(net);
        }
        if self.held > 0 && self.server.pause.now().is_none() {
            self.release_held(net);
        }
        if !self.parked.is_empty() {
            self.release_parked(net);
        }
        if !self.tasks.is_empty() || !self.orphans.is_empty() {
            self.go_on(net);
        }
        let now_ms = clock::unix_ms();
        let is_loading = self.server.loading.is_on();
        if is_loading {
            let env = self.executor.env(self.server, now_ms);
            self.load_due = self.loading.work(self.server, self.index, env, LOADING_SLICE_US);
            self.executor.free_trash(self.server);
        }
        if self.index == 0 && self.server.loading.take_waiters() {
            self.executor.serve_after_load(self.server, now_ms);
        }
        if now_ms >= self.next_tick_ms {
            self.tick(net, now_ms);
            self.expire_due = true;
            self.tables_due = self.executor.config.activerehashing;
        }
        if is_loading {
            // Both can wait until the end, and would keep this thread busy while the reader needs the processor.
            (self.expire_due, self.tables_due) = (false, false);
        }
        if self.expire_due {
            let reactors = self.server.reactors.len();
            self.expire_due = self.server.active_expire.load(Relaxed)
                && !(self.server.pause.is_on() && self.server.pause.now().is_some())
                && self.executor.expire(self.server, now_ms, EXPIRE_SLICE_US, reactors);
        }
        crate::saving::launch(self.server);
        self.go_on_with_snapshot();
        if self.tables_due && !self.busy {
            self.tables_due = self.executor.resize_tables(self.server, TABLES_SLICE_US);
        }
        loop {
            self.server.tracking.prefixes.tell(self.server);
            self.read_own_mail(net);
            self.deliver_and_send(net);
            if !self.server.has_posted() && self.server.pubsub.inbox(self.index).waiting() == 0 {
                break;
            }
        }
        self.server.journal.nudge();
        if !self.unsynced.is_empty() {
            self.release_synced(net);
        }
        self.busy = false;
        bump(&self.stats().busy_ns, Ticks::now().ns_since(self.turn_started));
        bump(&self.stats().turns, 1);
    }
}
