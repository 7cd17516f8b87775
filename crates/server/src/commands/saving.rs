//! Saving the data.

use crate::journal::rewrite::{self, Begun};
use crate::log;
use crate::saving::{self, Refusal};
use crate::scripting::runtime;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[BGREWRITEAOF, BGSAVE, SAVE];

const BGREWRITEAOF: Command = Command {
    name: "bgrewriteaof",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING),
    summary: "Writes the append-only file anew, as short as can be, while the server goes on.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: bgrewriteaof,
    ..Command::DEFAULT
};

const BGSAVE: Command = Command {
    name: "bgsave",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING),
    args: &[Arg::word("schedule", "SCHEDULE").optional().since("3.2.2")],
    summary: "Saves the data to a file, while the server goes on.",
    complexity: "O(1)",
    since: "1.0.0",
    history: &[("3.2.2", "Takes `SCHEDULE`.")],
    lock: Lock::All,
    handler: bgsave,
    ..Command::DEFAULT
};

const SAVE: Command = Command {
    name: "save",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING).or(Flags::NO_MULTI),
    summary: "Saves the data to a file, and answers when that is done.",
    complexity: "O(N) in the number of keys of all databases",
    since: "1.0.0",
    handler: save,
    ..Command::DEFAULT
};

const RUNNING: CommandError = CommandError::text("ERR Background save already in progress");

fn bgrewriteaof(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let (server, _) = runtime::whose();
    match rewrite::begin(server) {
        Begun::Started => ctx.reply.simple("Background append only file rewriting started"),
        Begun::Scheduled => ctx.reply.simple("Background append only file rewriting scheduled"),
        Begun::Running => {
            return Err(CommandError::text("ERR Background append only file rewriting already in progress"));
        }
    }
    Ok(())
}

fn bgsave(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let schedules = args.accept("SCHEDULE");
    if !args.is_empty() {
        return Err(CommandError::Syntax);
    }
    let (server, _) = runtime::whose();
    match saving::begin(server, &mut ctx.db, false) {
        Ok(()) => {
            log::notice(&format!("Background saving started by pid {}", std::process::id()));
            ctx.reply.simple("Background saving started");
            Ok(())
        }
        Err(Refusal::Running) if !server.saving.is_rewriting() => Err(RUNNING),
        Err(Refusal::Running) if schedules => {
            server.saving.schedule();
            ctx.reply.simple("Background saving scheduled");
            Ok(())
        }
        Err(Refusal::Running) => Err(CommandError::text(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a \
             BGSAVE whenever possible.",
        )),
        Err(Refusal::Failed) => Err(CommandError::text("ERR")),
    }
}

fn save(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let (server, _) = runtime::whose();
    match saving::save(server, &mut ctx.db) {
        Ok(true) => {
            ctx.reply.ok();
            Ok(())
        }
        Err(Refusal::Running) => Err(RUNNING),
        Ok(false) | Err(Refusal::Failed) => Err(CommandError::text("ERR")),
    }
}
