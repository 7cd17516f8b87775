//! Running a command inside another one: in a transaction, or for a script.

use crate::cmdstats::bump;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Ctx, Flags};
use kinovar_io::clock::Ticks;
use std::sync::atomic::Ordering::Relaxed;

/// Runs a command under the locks that are held in `ctx`, which must be those it needs; its reply, or its error, is appended.
/// `args` is all of its words. Whether it succeeded.
pub fn call(server: &Server, ctx: &mut Ctx<'_>, entry: &Entry, args: Args<'_>) -> bool {
    let info = Session::of(ctx).info.clone();
    let stats = &server.reactors[info.reactor];
    info.command.store(entry.id + 1, Relaxed);
    if server.monitors.any() && !entry.command.flags.has(Flags::SKIP_MONITOR) && !entry.command.flags.has(Flags::ADMIN)
    {
        server.feed_monitors(&info, ctx.db.index(), &args);
    }
    let (start, position) = (Ticks::now(), ctx.reply.position());
    ctx.reaches_every_key = crate::acl::enforce::reaches_every_key(Session::of(ctx), entry, &args);
    let begun = ctx.begin_effect();
    let outcome = (entry.command.handler)(ctx, Args::skipping(args, entry.name_words()));
    ctx.note_effect(begun, &args);
    if Session::of(ctx).tracks_reads && entry.command.flags.has(Flags::READONLY) {
        crate::tracking::remember(ctx, entry, &Args::skipping(args, entry.name_words()));
    }
    let ns = Ticks::now().ns_since(start);
    let config = server.config();
    stats.commands[entry.id].record(ns, config.latency_tracking);
    crate::exec::note_slow(server, &config, &info, &args, entry, ns);
    let (db, protocol, silent) = {
        let session = Session::of(ctx);
        (session.db, session.protocol, session.replies.is_silent())
    };
    if let Err(error) = &outcome {
        bump(&stats.commands[entry.id].failed, 1);
        ctx.reply.truncate(position);
        ctx.reply.error(&error.message());
        server.count_error(stats, &error.code());
    }
    if silent {
        ctx.reply.truncate(position);
    }
    // What SELECT and HELLO have changed holds for the commands that follow.
    ctx.db.select(db);
    ctx.reply.set_protocol(protocol);
    outcome.is_ok()
}
