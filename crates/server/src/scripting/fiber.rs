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

/// What a command does in its fiber.
pub type Body = fn(&mut Ctx<'_>, Args<'_>) -> Outcome;

/// A command that was left in the middle.
pub struct Task {
    fiber: Option<Fiber<Done>>,
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

/// What comes of a command.
pub struct Done {
    /// The connection's session.
    pub session: Session,
    /// The reply, unless the outcome is an error.
    pub reply: Vec<u8>,
    /// Whether it failed.
    pub outcome: Outcome,
    /// The request.
    words: Words,
}

/// A request that is owned.
struct Words {
    buf: Vec<u8>,
    spans: Vec<Span>,
    passed: usize,
}

impl Words {
    fn of(args: &Args<'_>) -> Words {
        let (mut buf, mut spans) = (Vec::new(), Vec::with_capacity(args.argc()));
        for index in 0..args.argc() {
            let word = args.at(index);
            spans.push(Span { start: buf.len() as u32, len: word.len() as u32 });
            buf.extend_from_slice(word);
        }
        Words { buf, spans, passed: args.index() }
    }

    fn args(&self) -> Args<'_> {
        Args::new(&self.buf, &self.spans, self.passed)
    }
}

impl Done {
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
        return work(ctx, args);
    }
    let own = Session::of(ctx);
    let was_silent = own.replies.is_silent();
    let placeholder = Session::new(own.info.clone(), own.authenticated);
    let session = std::mem::replace(own, placeholder);
    let words = Words::of(&args);
    let (now_ms, db) = (ctx.now_ms(), ctx.db.index());
    let started = Ticks::now();
    match fiber::start(move || run(session, words, db, now_ms, work)) {
        Step::Done(done) => {
            *Session::of(ctx) = done.session;
            ctx.reply.raw(&done.reply);
            runtime::recycle(done.reply);
            let protocol = Session::of(ctx).protocol;
            ctx.reply.set_protocol(protocol);
            done.outcome
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
fn run(mut session: Session, words: Words, db: u32, now_ms: u64, work: Body) -> Done {
    let mut reply = runtime::buffer();
    let outcome = perform(&mut session, &mut reply, words.args(), db, now_ms, work);
    Done { session, reply, outcome, words }
}

fn perform(session: &mut Session, reply: &mut Vec<u8>, args: Args<'_>, db: u32, now_ms: u64, work: Body) -> Outcome {
    let (server, reactor) = runtime::whose();
    let surroundings: Rc<Surroundings> = runtime::surroundings();
    let notifier = Notifier::new(server, &surroundings.config);
    let env = Env {
        now_ms,
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
        waiting: None,
    };
    let outcome = work(&mut ctx, args);
    // Those who wait for what has changed are served under the locks that are held.
    if surroundings.work.ready.borrow().is_empty() {
        drop(ctx);
    } else {
        crate::waiting::serve(server, ctx.db, &env);
    }
    if !surroundings.work.trash.borrow().is_empty() {
        server.background.free(surroundings.work.trash.take());
    }
    outcome
}

impl Task {
    /// Goes on with it.
    pub fn resume(mut self) -> Progress {
        let fiber = self.fiber.take().expect("only `resume` takes it, and consumes the task");
        match fiber.resume() {
            Step::Done(done) => Progress::Done(self.left, Box::new(done)),
            Step::Suspended(fiber) => {
                self.fiber = Some(fiber);
                Progress::Left(self)
            }
        }
    }
}
