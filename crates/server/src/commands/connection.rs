//! The connection itself: PING, ECHO, SELECT, QUIT and the like.

use crate::session::Session;
use kinovar_command::*;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[PING];

const PING: Command = Command {
    name: "ping",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::FAST,
    acl: Acl::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::string("message").optional()],
    summary: "Answers, to show that the server lives.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: ping,
    ..Command::DEFAULT
};

fn ping(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.argc() > 2 {
        return Err(CommandError::WrongArity("ping".into()));
    }
    match args.next() {
        None => ctx.reply.simple("PONG"),
        Some(message) => ctx.reply.bulk(message),
    }
    let _ = Session::of(ctx);
    Ok(())
}
