//! From a command's arguments to its script or function, and running it.

use super::host::{LoadHost, RunInfo, ScriptHost};
use super::{cache, runtime};
use crate::busy::Runs as What;
use crate::cmdstats::bump;
use crate::server::Server;
use crate::session::{Replies, Session};
use kinovar_command::{Args, CommandError, Ctx, Outcome, number};
use kinovar_script::{Code, Engine, Flags, Invocation};

/// Which of the arguments are keys: from the first to before the second.
type Keys = (usize, usize);

/// Where the count of keys stands, counted from the command's name.
const COUNT_AT: usize = 2;

/// What is to be run.
struct Call<'a> {
    what: What,
    name: &'a str,
    /// `None` for a script that says nothing about itself.
    flags: Option<Flags>,
    code: &'a Code,
    engine: &'a Engine,
}

/// `EVAL`, `EVAL_RO`.
pub fn eval(ctx: &mut Ctx<'_>, args: Args<'_>, read_only: bool) -> Outcome {
    tell_monitors(ctx, &args);
    let keys = keys(&args, CommandError::NotInteger)?;
    let compiled = runtime::script(args.at(1), false)?;
    run_script(ctx, args, keys, &compiled, read_only)
}

/// `EVALSHA`, `EVALSHA_RO`.
pub fn evalsha(ctx: &mut Ctx<'_>, args: Args<'_>, read_only: bool) -> Outcome {
    const NO_SCRIPT: CommandError = CommandError::text("NOSCRIPT No matching script. Please use EVAL.");
    tell_monitors(ctx, &args);
    if args.at(1).len() != 40 {
        return Err(NO_SCRIPT);
    }
    let keys = keys(&args, CommandError::NotInteger)?;
    let digest = parse_digest(args.at(1)).ok_or(NO_SCRIPT)?;
    let compiled = runtime::script_of(&digest)?.ok_or(NO_SCRIPT)?;
    run_script(ctx, args, keys, &compiled, read_only)
}

fn run_script(ctx: &mut Ctx<'_>, args: Args<'_>, keys: Keys, compiled: &runtime::Compiled, read_only: bool) -> Outcome {
    let call = Call {
        what: What::Script,
        name: &compiled.script.name,
        flags: compiled.script.flags,
        code: &compiled.code,
        engine: &compiled.engine,
    };
    run(ctx, args, keys, &call, read_only)
}

/// `FCALL`, `FCALL_RO`.
pub fn fcall(ctx: &mut Ctx<'_>, args: Args<'_>, read_only: bool) -> Outcome {
    const NOT_FOUND: CommandError = CommandError::text("ERR Function not found");
    tell_monitors(ctx, &args);
    const BAD_COUNT: CommandError = CommandError::text("ERR Bad number of keys provided");
    let (keys, loaded) = match runtime::called_function(args.at(1)) {
        Some(loaded) => (keys(&args, BAD_COUNT)?, loaded),
        None => {
            let shelf = Server::of(ctx).scripting.libraries.shelf();
            let (library, function) = shelf.function(args.at(1)).ok_or(NOT_FOUND)?;
            (keys(&args, BAD_COUNT)?, runtime::function(library, function, &mut LoadHost::new())?)
        }
    };
    let call = Call {
        what: What::Function,
        name: &loaded.name,
        flags: Some(loaded.flags),
        code: &loaded.code,
        engine: &loaded.engine,
    };
    run(ctx, args, keys, &call, read_only)
}

/// The command is shown before those that it calls.
fn tell_monitors(ctx: &mut Ctx<'_>, args: &Args<'_>) {
    let server = Server::of(ctx);
    if server.monitors.any() {
        let info = Session::of(ctx).info.clone();
        server.feed_monitors(&info, ctx.db.index(), args);
    }
}

fn keys(args: &Args<'_>, no_number: CommandError) -> Result<Keys, CommandError> {
    let count = number::parse_i64(args.at(COUNT_AT)).ok_or(no_number)?;
    let first = COUNT_AT + 1;
    if count > (args.argc() - first) as i64 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| CommandError::text("ERR Number of keys can't be negative"))?;
    Ok((first, first + count))
}

/// A digest of forty hexadecimal digits, in any case.
pub fn parse_digest(text: &[u8]) -> Option<cache::Digest> {
    let mut digest = [0; 20];
    if text.len() != 40 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(digest)
}

/// Locks, runs, replies.
fn run(ctx: &mut Ctx<'_>, args: Args<'_>, keys: Keys, call: &Call<'_>, read_only: bool) -> Outcome {
    let (server, reactor) = runtime::whose();
    // Without flags it is known only when the script comes to a command that writes.
    let writes = call.flags.is_some_and(|flags| !flags.has(Flags::NO_WRITES));
    if read_only && writes {
        return Err(CommandError::text("ERR Can not execute a script with write flag using *_ro command."));
    }
    let flags = call.flags.unwrap_or_default();
    let declared = flags.has(Flags::DECLARED_KEYS_ONLY).then_some(keys);
    lock(ctx, &args, declared).map_err(|_| server.busy.error())?;
    let words = |from: usize, to: usize| (from..to).map(move |index| args.at(index));
    let mut parameters = runtime::parameters();
    parameters.set(words(keys.0, keys.1), words(keys.1, args.argc()));
    let session = Session::of(ctx);
    // Commands of the script have a session of their own, as far as they can change it.
    let (protocol, db, replies) = (session.protocol, session.db, session.replies);
    session.replies = Replies::On;
    let run = RunInfo {
        what: call.what,
        name: call.name,
        args,
        allow_oom: flags.has(Flags::ALLOW_OOM),
        read_only: read_only || flags.has(Flags::NO_WRITES),
        declared,
    };
    let invocation = Invocation { code: call.code, name: call.name, parameters: &parameters, protocol };
    let mut reply = runtime::buffer();
    let mut host = ScriptHost::new(ctx, server, reactor, run);
    let failure = call.engine.run(&invocation, &mut host, &mut reply);
    host.end();
    runtime::recycle_parameters(parameters);
    let session = Session::of(ctx);
    (session.protocol, session.replies) = (protocol, replies);
    if session.db != db {
        session.select(db);
    }
    ctx.db.select(db);
    ctx.reply.set_protocol(protocol);
    ctx.reply.raw(&reply);
    if let Some(failure) = failure {
        let stats = &server.reactors[reactor];
        if let Ok(entry) = server.registry.resolve(&args) {
            bump(&stats.commands[entry.id].failed, 1);
        }
        if !failure.counted {
            server.count_error(stats, &code_of(&reply));
        }
    }
    runtime::recycle(reply);
    Ok(())
}

/// Locks what the code may touch, unless the caller holds everything.
fn lock(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    declared: Option<Keys>,
) -> Result<(), kinovar_command::keyspace::Unavailable> {
    if ctx.db.has_locked_all() {
        return Ok(());
    }
    match declared {
        None => ctx.db.lock_all_or_give_up(),
        Some((first, end)) => {
            let keyspace = ctx.db.keyspace();
            let mut partitions: Vec<usize> =
                (first..end).map(|index| keyspace.partition_of(&args.key_at(index))).collect();
            ctx.db.lock_or_give_up(&mut partitions)
        }
    }
}

/// The code of an error reply: its first word.
fn code_of(reply: &[u8]) -> String {
    let line = reply.strip_prefix(b"-").unwrap_or(reply);
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\r')).unwrap_or(line.len());
    String::from_utf8_lossy(&line[..end]).into_owned()
}
