//! The server as a whole: its time, its end, what it is doing just now.

use crate::scripting::runtime;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[LASTSAVE, LOLWUT, MONITOR, SHUTDOWN, TIME];

const LASTSAVE: Command = Command {
    name: "lastsave",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    acl: Acl::ADMIN.or(Acl::DANGEROUS),
    tips: &["nondeterministic_output"],
    summary: "Tells when the data was last saved.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: lastsave,
    ..Command::DEFAULT
};

const LOLWUT: Command = Command {
    name: "lolwut",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.or(Flags::FAST),
    args: &[Arg::integer("version").token("VERSION").optional()],
    summary: "Draws something, and says which version it is.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: lolwut,
    ..Command::DEFAULT
};

const MONITOR: Command = Command {
    name: "monitor",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    summary: "Shows every command the server processes, as it comes.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: monitor,
    ..Command::DEFAULT
};

const SHUTDOWN: Command = Command {
    name: "shutdown",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::NO_MULTI)
        .or(Flags::ALLOW_BUSY),
    args: &[
        Arg::one_of("save-selector", &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")]).optional(),
        Arg::word("now", "NOW").optional().since("7.0.0"),
        Arg::word("force", "FORCE").optional().since("7.0.0"),
        Arg::word("abort", "ABORT").optional().since("7.0.0"),
    ],
    summary: "Stops the server.",
    complexity: "O(N) when it saves, O(1) otherwise",
    since: "1.0.0",
    history: &[("7.0.0", "Takes `NOW`, `FORCE` and `ABORT`.")],
    handler: shutdown,
    ..Command::DEFAULT
};

const TIME: Command = Command {
    name: "time",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    tips: &["nondeterministic_output"],
    summary: "Tells the server's time.",
    complexity: "O(1)",
    since: "2.6.0",
    handler: time,
    ..Command::DEFAULT
};

fn lastsave(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let at_s = Server::of(ctx).last_save_s();
    ctx.reply.integer(at_s as i64);
    Ok(())
}

fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let now_us = kinovar_io::clock::unix_us();
    ctx.reply.array(2);
    ctx.reply.bulk_integer((now_us / 1_000_000) as i64);
    ctx.reply.bulk_integer((now_us % 1_000_000) as i64);
    Ok(())
}

fn monitor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if !ctx.may_wait {
        return Err(CommandError::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    let info = Session::of(ctx).info.clone();
    let server = Server::of(ctx);
    server.monitors.insert(info);
    server.look_for_alerts();
    ctx.reply.ok();
    Ok(())
}

fn shutdown(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (mut save, mut nosave, mut abort, mut now, mut force) = (false, false, false, false, false);
    while !args.is_empty() {
        if args.accept("SAVE") {
            save = true;
        } else if args.accept("NOSAVE") {
            nosave = true;
        } else if args.accept("ABORT") {
            abort = true;
        } else if args.accept("NOW") {
            // There are no replicas to wait for.
            now = true;
        } else if args.accept("FORCE") {
            force = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if save && nosave || abort && (save || nosave || now || force) {
        return Err(CommandError::Syntax);
    }
    if abort {
        return Err(CommandError::text("ERR No shutdown in progress."));
    }
    if !nosave && Server::of(ctx).busy.is_on() {
        return Err(Server::of(ctx).busy.error());
    }
    let (server, _) = runtime::whose();
    crate::log::warning("User requested shutdown...");
    // What is there while data is loaded is a part of it, which must not take the place of the whole.
    let saves = !server.loading.is_on() && (save || !nosave && !server.config().save.is_empty());
    if saves && !crate::lifecycle::save_at_the_end(server, &mut ctx.db) && !force {
        crate::log::warning("Error trying to save the DB, can't exit.");
        return Err(CommandError::text("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    Session::of(ctx).close_after_reply = true;
    Server::of(ctx).stop();
    Ok(())
}

/// Widest and highest drawing, in characters.
const DRAWING_MAX: i64 = 160;

fn lolwut(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() >= 2 && args.accept("VERSION") {
        // Older versions drew other things; here there is one drawing.
        args.integer()?;
    }
    let mut size = |default: i64| match args.is_empty() {
        true => Ok(default),
        false => args.integer().map(|value| value.clamp(1, DRAWING_MAX)),
    };
    let (columns, rows) = (size(66)?, size(12)?);
    let mut text = String::new();
    draw_hills(&mut text, columns, rows, |bound| ctx.db.random_below(bound) as i64);
    text.push_str("\nHills at night, different each time. Kinovar ver. ");
    text.push_str(env!("CARGO_PKG_VERSION"));
    text.push_str(" (Redis ver. ");
    text.push_str(crate::REDIS_VERSION);
    text.push_str(")\n");
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// A few stars over a ridge that rises and falls at random.
fn draw_hills(text: &mut String, columns: i64, rows: i64, mut random: impl FnMut(u64) -> i64) {
    let mut heights = Vec::new();
    let mut height = rows / 2;
    for _ in 0..columns {
        height = (height + random(3) - 1).clamp(1, rows);
        heights.push(height);
    }
    for row in 0..rows {
        for &height in &heights {
            let above = rows - row - height;
            text.push(match above {
                0 => '^',
                ..0 => '#',
                _ if random(40) == 0 => '*',
                _ => ' ',
            });
        }
        text.push('\n');
    }
}
