//! Commands that can be left in the middle: those that run code, and transactions that contain one.
//!
//! Such a command runs in a fiber of its own. The fiber owns all that it needs: a copy of the request, and the session, which is
//! moved there. If it is left in the middle, the connection has a [`Task`] instead, and executes nothing; its reactor goes on
//! with the task in every turn.

use super::runtime::{self, Surroundings};
use crate::notify::Notifier;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::keyspace::{Db, Env, Locked, Observer};
use kinovar_command::{Args, Ctx, Outcome, Reply};
use kinovar_io::clock::Ticks;
use kinovar_io::fiber::{self, Fiber, Step};
use kinovar_resp::Span;
use std::rc::Rc;
use std::sync::Arc;

/// What a command does in its fiber.
pub type Body = fn(&mut Ctx<'_>, Args<'_>) -> Outcome;

/// A command that was left in the middle.
pub struct Task {
    fiber: Option<Fiber<Box<Done>>>,
    left: Left,
}

/// What is known of such a command.
#[derive(Clone, Copy)]
pub struct Left {
    /// Its registry id.
    pub command: usize,
    /// When it began.
    pub started: Ticks,
    /// Its client did not want its reply when it began.
    pub was_silent: bool,
}

/// What a command has in its fiber, and what comes of it. One that is done with is used for the next command.
pub struct Done {
    /// The connection's session; while the connection has it, one that stands in for it.
    pub session: Session,
    /// The reply, unless the outcome is an error.
    pub reply: Vec<u8>,
    /// Whether it failed.
    pub outcome: Outcome,
    /// The request.
    words: Words,
}

/// A request that is owned.
#[derive(Default)]
struct Words {
    buf: Vec<u8>,
    spans: Vec<Span>,
    passed: usize,
}

impl Words {
    fn set(&mut self, args: &Args<'_>) {
        let words = (0..args.argc()).map(|index| args.at(index));
        self.buf.clear();
        self.buf.reserve(words.clone().map(<[u8]>::len).sum());
        self.spans.clear();
        for word in words {
            self.spans.push(Span { start: self.buf.len() as u32, len: word.len() as u32 });
            self.buf.extend_from_slice(word);
        }
        self.passed = args.index();
    }

    fn args(&self) -> Args<'_> {
        Args::new(&self.buf, &self.spans, self.passed)
    }
}

impl Done {
    /// Takes over a connection's session, and what it is to do.
    fn begin(spare: Option<Box<Done>>, own: &mut Session, args: &Args<'_>) -> Box<Done> {
        let mut done = spare.unwrap_or_else(|| {
            let session = Session::new(own.info.clone());
            Box::new(Done { session, reply: Vec::new(), outcome: Ok(()), words: Words::default() })
        });
        // Nothing but these two of the one that stands in for it is looked at.
        if !Arc::ptr_eq(&done.session.info, &own.info) {
            done.session.info = own.info.clone();
        }
        done.session.needs_auth = own.needs_auth;
        std::mem::swap(&mut done.session, own);
        done.words.set(args);
        done.reply.clear();
        done
    }

    /// Whether it is small enough to be kept for the next command.
    fn is_handy(&self) -> bool {
        const BYTES_MAX: usize = 64 << 10;
        let spans = self.words.spans.capacity() * size_of::<Span>();
        self.reply.capacity().max(self.words.buf.capacity()).max(spans) <= BYTES_MAX
    }

    /// The request.
    pub fn args(&self) -> Args<'_> {
        self.words.args()
    }
}

/// How far a task has come.
pub enum Progress {
    /// It is done.
    Done(Left, Box<Done>),
    /// It has been left once more.
    Left(Task),
}

/// Does `work` in a fiber; in the one that the caller runs in, if it does.
pub fn enter(ctx: &mut Ctx<'_>, args: Args<'_>, work: Body) -> Outcome {
    if fiber::is_active() {
        let outcome = work(ctx, args);
        ctx.effects().none();
        return outcome;
    }
    // What runs in the fiber says itself what it does.
    ctx.effects().none();
    let own = Session::of(ctx);
    let was_silent = own.replies.is_silent();
    let done = Done::begin(runtime::spare_fiber(), own, &args);
    let (now_ms, expiry_ms, db) = (ctx.now_ms(), ctx.expiry_ms(), ctx.db.index());
    let started = Ticks::now();
    match fiber::start(move || run(done, db, now_ms, expiry_ms, work)) {
        Step::Done(mut done) => {
            let own = Session::of(ctx);
            std::mem::swap(own, &mut done.session);
            let protocol = own.protocol;
            ctx.reply.raw(&done.reply);
            ctx.reply.set_protocol(protocol);
            let outcome = std::mem::replace(&mut done.outcome, Ok(()));
            if done.is_handy() {
                runtime::recycle_fiber(done);
            }
            outcome
        }
        Step::Suspended(fiber) => {
            let command = Server::of(ctx).registry.resolve(&args).map_or(0, |entry| entry.id);
            Session::of(ctx).task =
                Some(Box::new(Task { fiber: Some(fiber), left: Left { command, started, was_silent } }));
            Ok(())
        }
    }
}

/// The life of the fiber.
fn run(mut done: Box<Done>, db: u32, now_ms: u64, expiry_ms: u64, work: Body) -> Box<Done> {
    let Done { session, reply, words, .. } = &mut *done;
    done.outcome = perform(session, reply, words.args(), db, (now_ms, expiry_ms), work);
    done
}

/// `times`: see [`Env::now_ms`] and [`Env::expiry_ms`].
fn perform(
    session: &mut Session,
    reply: &mut Vec<u8>,
    args: Args<'_>,
    db: u32,
    times: (u64, u64),
    work: Body,
) -> Outcome {
    let (now_ms, expiry_ms) = times;
    let (server, reactor) = runtime::whose();
    let surroundings: Rc<Surroundings> = runtime::surroundings();
    let notifier = Notifier::new(server, &surroundings.config);
    let env = Env {
        now_ms,
        expiry_ms,
        settings: &surroundings.settings,
        stats: &server.reactors[reactor].keyspace,
        work: &surroundings.work,
        observer: notifier.as_ref().map(|notifier| notifier as &dyn Observer),
        no_touch: session.no_touch,
    };
    let protocol = session.protocol;
    let mut ctx = Ctx {
        db: Db::new(&server.keyspace, Locked::None, db, env),
        reply: Reply::new(reply, protocol),
        registry: &server.registry,
        session,
        server,
        may_wait: false,
        reaches_every_key: true,
        waiting: None,
    };
    let outcome = work(&mut ctx, args);
    ctx.hand_effects_over();
    // Those who wait for what has changed are served under the locks that are held.
    if surroundings.work.ready.borrow().is_empty() {
        drop(ctx);
    } else {
        crate::waiting::serve(server, ctx.db, &env);
    }
    if !surroundings.work.trash.borrow().is_empty() {
        server.free(surroundings.work.trash.take());
    }
    outcome
}

impl Task {
    /// Goes on with it.
    pub fn resume(mut self) -> Progress {
        let fiber = self.fiber.take().expect("only `resume` takes it, and consumes the task");
        match fiber.resume() {
            Step::Done(done) => Progress::Done(self.left, done),
            Step::Suspended(fiber) => {
                self.fiber = Some(fiber);
                Progress::Left(self)
            }
        }
    }
}
