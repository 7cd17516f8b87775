//! `WAITAOF`: waiting until what was written is on disk.

use crate::server::Server;
use crate::session::Session;
use kinovar_command::*;
use kinovar_io::clock;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[WAITAOF];

const WAITAOF: Command = Command {
    name: "waitaof",
    group: Group::Generic,
    arity: Arity::Exactly(4),
    flags: Flags::BLOCKING,
    acl: Acl::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: &[Arg::integer("numlocal"), Arg::integer("numreplicas"), Arg::integer("timeout")],
    summary: "Answers when all that this connection has written is synced to the append-only file.",
    complexity: "O(1)",
    since: "7.2.0",
    lock: Lock::None,
    handler: waitaof,
    ..Command::DEFAULT
};

/// The error where there is no file to wait for.
pub const NO_FILE: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The position in the journal that must be synced.
    pub position: u64,
    /// It is to be synced here.
    pub local: bool,
    /// So many replicas are to have synced it.
    pub replicas: i64,
}

impl Wanted {
    /// The reply as things stand, and whether everything is as wanted.
    pub fn now(&self, server: &Server) -> (i64, bool) {
        let local = i64::from(server.journal.is_durable(self.position));
        (local, local >= i64::from(self.local) && self.replicas == 0)
    }

    /// Writes the reply.
    pub fn write(&self, server: &Server, reply: &mut Reply<'_>) {
        reply.array(2);
        reply.integer(self.now(server).0);
        reply.integer(0);
    }
}

fn waitaof(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let local = args.integer()?;
    if !(0..=1).contains(&local) {
        return Err(CommandError::text("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = args.take().map(number::parse_i64)?;
    let Some(replicas) = replicas.filter(|replicas| *replicas >= 0) else {
        return Err(CommandError::text("ERR value is out of range, must be positive"));
    };
    let Some(timeout_ms) = number::parse_i64(args.take()?) else {
        return Err(CommandError::text("ERR timeout is not an integer or out of range"));
    };
    if timeout_ms < 0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    if i64::checked_add(timeout_ms, clock::unix_ms() as i64).is_none() {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    let server = Server::of(ctx);
    if local == 1 && !server.journal.is_wanted() {
        return Err(CommandError::text(NO_FILE));
    }
    let position = Session::of(ctx).position;
    let wanted = Wanted { position, local: local == 1, replicas };
    if wanted.now(server).1 || !ctx.may_wait {
        wanted.write(server, &mut ctx.reply);
        return Ok(());
    }
    Session::of(ctx).awaits_sync = Some(wanted);
    ctx.wait(Wait {
        keys: Vec::new(),
        timeout_ms: timeout_ms as u64,
        absent: Absent::NullArray,
        heeds_loss: false,
        resolved: Vec::new(),
    });
    Ok(())
}
