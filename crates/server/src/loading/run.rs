//! One load.

use super::insert::Batch;
use super::replay::Commands;
use super::{Done, Failure, Options, Reader};
use crate::server::Server;
use kinovar_command::keyspace::{Db, Env, Locked};
use kinovar_io::clock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use std::sync::atomic::{AtomicI64, Ordering::Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that may wait for one reactor: enough for it to have work while the reader waits for the disk.
const FEED_BYTES_MAX: usize = 2 << 20;
/// Empty batches that are kept to be filled again.
const SPARE_BATCHES: usize = 16;
/// How often somebody who waits looks whether the server is stopping.
const PATIENCE: Duration = Duration::from_millis(50);

/// A load from its beginning to its end.
pub struct Run {
    /// Which load it is: the first one is 1.
    pub number: u64,
    /// What the log calls the file.
    pub name: String,
    /// What becomes of the data that is there.
    pub options: Options,
    /// When it started, Unix ms: what expires before that is left out.
    pub started_ms: u64,
    /// How many bytes there are to be read; 0 if nobody knows.
    pub total_bytes: AtomicU64,
    /// How many have been read.
    pub read_bytes: AtomicU64,
    /// What the data took up where the file was written, bytes.
    pub used_memory: AtomicI64,
    /// Keys that were left out as there was nothing in them.
    pub keys_empty: AtomicU64,
    feeds: Box<[Feed]>,
    arriving: AtomicUsize,
    leaving: AtomicUsize,
    cancelled: AtomicBool,
    ending: Mutex<Ending>,
    spare: Mutex<Vec<Batch>>,
    /// Portions that are not done.
    open: Mutex<usize>,
    /// There is none.
    settled: Condvar,
}

/// What is needed once.
struct Ending {
    reader: Option<Reader>,
    done: Option<Done>,
    failure: Option<Failure>,
    /// Texts of libraries, in the order of the file.
    libraries: Vec<Box<[u8]>>,
}

/// What waits for one reactor.
#[derive(Default)]
struct Feed {
    queue: Mutex<Queue>,
    /// There is room again.
    room: Condvar,
}

#[derive(Default)]
struct Queue {
    portions: VecDeque<Portion>,
    bytes: usize,
    is_closed: bool,
}

/// Work for a reactor.
pub enum Portion {
    /// Make room for so many keys in each of its partitions.
    Reserve {
        /// The database.
        db: u32,
        /// Keys of one partition.
        keys: usize,
    },
    /// Put these in.
    Batch(Batch),
    /// Register these libraries of functions, given as texts.
    Functions(Vec<Box<[u8]>>),
    /// Run these, one after the other.
    Commands(Commands),
    /// Do this, nothing locked.
    Work(Work),
}

/// What else a reactor is to do for a load.
pub type Work = Box<dyn FnOnce(&'static Server, Env<'_>) -> Result<(), Failure> + Send>;

/// What a reactor finds when it looks for work.
pub enum Next {
    /// This.
    Portion(Portion),
    /// Nothing yet; it will be woken.
    Later,
    /// Nothing any more.
    End,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    /// A load that no reactor has arrived for yet.
    pub fn new(
        server: &Server,
        number: u64,
        name: String,
        total_bytes: u64,
        options: Options,
        reader: Reader,
        done: Done,
    ) -> Run {
        let reactors = server.reactors.len();
        Run {
            number,
            name,
            options,
            started_ms: clock::unix_ms(),
            total_bytes: AtomicU64::new(total_bytes),
            read_bytes: AtomicU64::new(0),
            used_memory: AtomicI64::new(0),
            keys_empty: AtomicU64::new(0),
            feeds: (0..reactors).map(|_| Feed::default()).collect(),
            arriving: AtomicUsize::new(reactors),
            leaving: AtomicUsize::new(reactors),
            cancelled: AtomicBool::new(false),
            ending: Mutex::new(Ending { reader: Some(reader), done: Some(done), failure: None, libraries: Vec::new() }),
            spare: Mutex::default(),
            open: Mutex::new(0),
            settled: Condvar::new(),
        }
    }

    /// Whether it has failed.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Acquire)
    }

    /// Ends it early. What goes wrong first counts.
    pub fn fail(&self, failure: Failure) {
        locked(&self.ending).failure.get_or_insert(failure);
        self.cancelled.store(true, Release);
        self.feeds.iter().for_each(|feed| feed.room.notify_all());
    }

    /// A reactor is between two commands. The last one to say so has the load begin.
    pub fn arrive(self: &Arc<Self>, server: &'static Server) {
        if self.arriving.fetch_sub(1, AcqRel) > 1 {
            return;
        }
        let reader = locked(&self.ending).reader.take();
        let run = self.clone();
        let work = move || {
            let mut feeder = Feeder { server, run: run.clone() };
            let read = reader.map_or(Ok(()), |reader| reader(&mut feeder));
            if let Err(failure) = read {
                run.fail(failure);
            }
            run.close(server);
        };
        if let Err(error) = std::thread::Builder::new().name("load".into()).spawn(work) {
            self.fail(Failure::NoThread(error));
            self.close(server);
        }
    }

    /// There will be nothing more.
    fn close(&self, server: &Server) {
        for (reactor, feed) in self.feeds.iter().enumerate() {
            locked(&feed.queue).is_closed = true;
            server.mailbox(reactor).wake();
        }
    }

    /// The next portion for a reactor.
    pub fn next(&self, reactor: usize) -> Next {
        let feed = &self.feeds[reactor];
        let mut queue = locked(&feed.queue);
        if self.is_cancelled() {
            queue.bytes = 0;
            queue.portions.drain(..).for_each(|_| self.portion_done());
        }
        match queue.portions.pop_front() {
            Some(portion) => {
                queue.bytes -= portion.bytes();
                drop(queue);
                feed.room.notify_one();
                Next::Portion(portion)
            }
            None if queue.is_closed => Next::End,
            None => Next::Later,
        }
    }

    /// One of the portions has been worked off.
    pub fn portion_done(&self) {
        let mut open = locked(&self.open);
        *open -= 1;
        if *open == 0 {
            self.settled.notify_all();
        }
    }

    /// Takes an empty batch back.
    pub fn recycle(&self, mut batch: Batch) {
        batch.clear();
        let mut spare = locked(&self.spare);
        if spare.len() < SPARE_BATCHES {
            spare.push(batch);
        }
    }

    /// A reactor has nothing more to do. The last one to say so ends the load.
    pub fn leave(&self, server: &'static Server) {
        if self.leaving.fetch_sub(1, AcqRel) > 1 {
            return;
        }
        let (failure, libraries, done) = {
            let mut ending = locked(&self.ending);
            (ending.failure.take(), std::mem::take(&mut ending.libraries), ending.done.take())
        };
        let result = match failure {
            Some(failure) => Err(failure),
            None => {
                crate::commands::function::restore(server, &libraries, self.options.merge).map_err(Failure::Library)
            }
        };
        match &result {
            Ok(()) if self.options.replay => {}
            Ok(()) => self.report(server),
            Err(failure) => failure.lines(&self.name).iter().for_each(|line| crate::log::warning(line)),
        }
        let loading = &server.loading;
        // The reactor that ends it is not always the one that knows of them.
        loading.has_waiters.store(true, Relaxed);
        let after = done.and_then(|done| done(server, result));
        // What is in the memory of a server that ends for this is for nobody.
        if server.failed.get().is_some() {
            return;
        }
        *locked(&loading.run) = None;
        loading.is_on.store(false, Release);
        server.look_for_alerts();
        server.mailbox(0).wake();
        if let Some(after) = after {
            after(server);
        }
    }

    /// Tells the log what was loaded from an RDB file.
    pub fn report(&self, server: &Server) {
        let loading = &server.loading;
        let (loaded, expired) = (loading.keys_loaded.load(Relaxed), loading.keys_expired.load(Relaxed));
        let empty = match self.keys_empty.load(Relaxed) {
            0 => String::new(),
            empty => format!(", empty keys skipped: {empty}"),
        };
        crate::log::notice(&format!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{empty}."));
    }
}

impl Portion {
    fn bytes(&self) -> usize {
        match self {
            Portion::Reserve { .. } | Portion::Functions(_) | Portion::Work(_) => 0,
            Portion::Batch(batch) => batch.bytes(),
            Portion::Commands(commands) => commands.bytes(),
        }
    }
}

/// The reader's side of a load.
pub struct Feeder {
    /// The server.
    pub server: &'static Server,
    /// The load.
    pub run: Arc<Run>,
}

impl Feeder {
    /// Number of reactors that are fed.
    pub fn reactors(&self) -> usize {
        self.run.feeds.len()
    }

    /// The load has failed elsewhere, or the server is stopping.
    pub fn is_over(&self) -> bool {
        self.run.is_cancelled() || self.server.stopping.load(Relaxed)
    }

    /// Hands a reactor work; waits while it has enough.
    ///
    /// # Errors
    /// The load is over.
    pub fn feed(&self, reactor: usize, portion: Portion) -> Result<(), Failure> {
        let feed = &self.run.feeds[reactor];
        let mut queue = locked(&feed.queue);
        while queue.bytes > FEED_BYTES_MAX && !self.is_over() {
            queue = feed.room.wait_timeout(queue, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        if self.is_over() {
            return Err(Failure::Stopped);
        }
        let was_empty = queue.portions.is_empty();
        *locked(&self.run.open) += 1;
        queue.bytes += portion.bytes();
        queue.portions.push_back(portion);
        drop(queue);
        // Else it was woken for what was there, and has not come to the end of it.
        if was_empty {
            self.server.mailbox(reactor).wake();
        }
        Ok(())
    }

    /// Waits until everything is done that was handed over.
    ///
    /// # Errors
    /// The load is over.
    pub fn settle(&self) -> Result<(), Failure> {
        let mut open = locked(&self.run.open);
        while *open > 0 && !self.is_over() {
            open = self.run.settled.wait_timeout(open, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(open);
        if self.is_over() { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Has the first reactor do something, when everything is done that was handed over, and waits for that.
    ///
    /// # Errors
    /// The load is over, perhaps since that has failed.
    pub fn have_done(&self, work: Work) -> Result<(), Failure> {
        self.settle()?;
        self.feed(0, Portion::Work(work))?;
        self.settle()
    }

    /// Has the libraries that were kept registered before anything that follows.
    ///
    /// # Errors
    /// The load is over.
    pub fn load_libraries(&self) -> Result<(), Failure> {
        let texts = std::mem::take(&mut locked(&self.run.ending).libraries);
        if texts.is_empty() { Ok(()) } else { self.feed(0, Portion::Functions(texts)) }
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        locked(&self.run.spare).pop().unwrap_or_default()
    }

    /// Keeps the text of a library, to be loaded at the end.
    pub fn library(&self, text: &[u8]) {
        locked(&self.run.ending).libraries.push(text.into());
    }

    /// The parameter `key-load-delay`.
    pub fn key_delay(&self) -> KeyDelay {
        KeyDelay { generation: self.server.config.generation(), us: self.server.config().key_load_delay_us }
    }

    /// So many us, or 1 us for one of so many keys if it is negative.
    fn delay(&self, delay_us: i32) {
        let mut left = match delay_us {
            0 => return,
            1.. => Duration::from_micros(delay_us.unsigned_abs().into()),
            _ if fastrand::u32(..delay_us.unsigned_abs()) == 0 => Duration::from_micros(1),
            _ => return,
        };
        while !left.is_zero() && !self.is_over() {
            let step = left.min(PATIENCE);
            std::thread::sleep(step);
            left -= step;
        }
    }
}

/// What is waited for each key, as the configuration has it at the time.
pub struct KeyDelay {
    generation: u64,
    us: i32,
}

impl KeyDelay {
    /// Waits for one key.
    ///
    /// # Errors
    /// The load is over.
    pub fn wait(&mut self, feeder: &Feeder) -> Result<(), Failure> {
        if self.generation != feeder.server.config.generation() {
            *self = feeder.key_delay();
        }
        if self.us != 0 {
            feeder.delay(self.us);
            if feeder.is_over() {
                return Err(Failure::Stopped);
            }
        }
        Ok(())
    }
}

/// Nothing is locked.
pub fn no_locks<'a>(server: &'a Server, env: Env<'a>) -> Db<'a> {
    Db::new(&server.keyspace, Locked::None, 0, env)
}
