//! `FUNCTION` and `FCALL`; see [`crate::scripting`].

use super::scripting::{FLUSH_TYPE, READ, RUNS_CODE, WORST_RO, WORST_RW, WRITTEN, kill};
use crate::busy::Runs as What;
use crate::scripting::host::LoadHost;
use crate::scripting::libraries::{Function, Library, Shelf};
use crate::scripting::{call, fiber, payload, runtime};
use crate::server::Server;
use kinovar_command::*;
use kinovar_script::shebang;
use std::sync::Arc;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[FCALL, FCALL_RO, FUNCTION];

const FCALL: Command = Command {
    name: "fcall",
    group: Group::Scripting,
    arity: Arity::AtLeast(3),
    flags: RUNS_CODE,
    acl: Acl::SCRIPTING,
    keys: &[KeySpec::counted(2, WRITTEN).with_notes(WORST_RW)],
    args: &[
        Arg::string("function"),
        Arg::integer("numkeys"),
        Arg::key("key", 0).optional().multiple(),
        Arg::string("arg").optional().multiple(),
    ],
    summary: "Calls a function of a library.",
    complexity: "That of the function",
    since: "7.0.0",
    lock: Lock::Walk,
    handler: |ctx, args| fiber::enter(ctx, args, |ctx, args| call::fcall(ctx, args, false)),
    ..Command::DEFAULT
};

const FCALL_RO: Command = Command {
    name: "fcall_ro",
    flags: RUNS_CODE.or(Flags::READONLY),
    keys: &[KeySpec::counted(2, READ).with_notes(WORST_RO)],
    summary: "Calls a function of a library that may not write.",
    handler: |ctx, args| fiber::enter(ctx, args, |ctx, args| call::fcall(ctx, args, true)),
    ..FCALL
};

const FUNCTION: Command = Command {
    name: "function",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    summary: "Commands about function libraries.",
    complexity: "As the subcommand",
    since: "7.0.0",
    subcommands: &[
        FUNCTION_DELETE,
        FUNCTION_DUMP,
        FUNCTION_FLUSH,
        FUNCTION_HELP,
        FUNCTION_KILL,
        FUNCTION_LIST,
        FUNCTION_LOAD,
        FUNCTION_RESTORE,
        FUNCTION_STATS,
    ],
    ..Command::DEFAULT
};

/// How requests and replies of most subcommands are spread over a cluster.
const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FUNCTION_DELETE: Command = Command {
    name: "delete",
    group: Group::Scripting,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::NOSCRIPT),
    acl: Acl::SCRIPTING,
    tips: EVERYWHERE,
    args: &[Arg::string("library-name")],
    summary: "Removes a library and its functions.",
    since: "7.0.0",
    lock: Lock::All,
    handler: function_delete,
    ..Command::DEFAULT
};

const FUNCTION_DUMP: Command = Command {
    name: "dump",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT,
    acl: Acl::SCRIPTING,
    summary: "Serialises all libraries.",
    complexity: "O(N) in the number of functions",
    since: "7.0.0",
    // What it shows is in the journal when whoever has changed it lets go of the locks.
    lock: Lock::All,
    handler: function_dump,
    ..Command::DEFAULT
};

const FUNCTION_FLUSH: Command = Command {
    name: "flush",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::NOSCRIPT),
    acl: Acl::SCRIPTING,
    tips: EVERYWHERE,
    args: &[FLUSH_TYPE],
    summary: "Removes all libraries.",
    complexity: "O(N) in the number of functions",
    since: "7.0.0",
    lock: Lock::All,
    handler: function_flush,
    ..Command::DEFAULT
};

const FUNCTION_HELP: Command = Command {
    name: "help",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::SCRIPTING,
    summary: "Explains the subcommands.",
    since: "7.0.0",
    lock: Lock::None,
    handler: function_help,
    ..Command::DEFAULT
};

const FUNCTION_KILL: Command = Command {
    name: "kill",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    acl: Acl::SCRIPTING,
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    summary: "Ends the function that is running.",
    since: "7.0.0",
    lock: Lock::None,
    handler: function_kill,
    ..Command::DEFAULT
};

const FUNCTION_LIST: Command = Command {
    name: "list",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT,
    acl: Acl::SCRIPTING,
    tips: &["nondeterministic_output_order"],
    args: &[
        Arg::string("library-name-pattern").token("LIBRARYNAME").optional(),
        Arg::word("withcode", "WITHCODE").optional(),
    ],
    summary: "Describes the libraries.",
    complexity: "O(N) in the number of functions",
    since: "7.0.0",
    // What it shows is in the journal when whoever has changed it lets go of the locks.
    lock: Lock::All,
    handler: function_list,
    ..Command::DEFAULT
};

const FUNCTION_LOAD: Command = Command {
    name: "load",
    group: Group::Scripting,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::NOSCRIPT),
    acl: Acl::SCRIPTING,
    tips: EVERYWHERE,
    args: &[Arg::word("replace", "REPLACE").optional(), Arg::string("function-code")],
    summary: "Adds a library.",
    complexity: "O(1), compiling aside",
    since: "7.0.0",
    lock: Lock::All,
    handler: function_load,
    ..Command::DEFAULT
};

const FUNCTION_RESTORE: Command = Command {
    name: "restore",
    group: Group::Scripting,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::NOSCRIPT),
    acl: Acl::SCRIPTING,
    tips: EVERYWHERE,
    args: &[
        Arg::string("serialized-value"),
        Arg::one_of(
            "policy",
            &[Arg::word("flush", "FLUSH"), Arg::word("append", "APPEND"), Arg::word("replace", "REPLACE")],
        )
        .optional(),
    ],
    summary: "Adds the libraries of a serialised value.",
    complexity: "O(N) in the number of functions",
    since: "7.0.0",
    lock: Lock::All,
    handler: function_restore,
    ..Command::DEFAULT
};

const FUNCTION_STATS: Command = Command {
    name: "stats",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    acl: Acl::SCRIPTING,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    summary: "Tells which function is running.",
    since: "7.0.0",
    lock: Lock::None,
    handler: function_stats,
    ..Command::DEFAULT
};

fn function_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "function")
}

fn function_kill(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    kill(ctx, What::Function)
}

/// Counts a change to the libraries. All partitions are locked: for whoever keeps what this server holds, libraries change in one
/// order with the data.
fn changed(ctx: &Ctx<'_>) {
    ctx.db.env().stats.dirty.add(1);
}

fn function_delete(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = String::from_utf8_lossy(args.at(2));
    let removed = Server::of(ctx).scripting.libraries.change(|shelf| shelf.remove(&name).then_some(()).ok_or(()));
    removed.map_err(|()| CommandError::text("ERR Library not found"))?;
    changed(ctx);
    ctx.reply.ok();
    Ok(())
}

fn function_flush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CommandError::wrong_subcommand_arguments("FUNCTION", args.at(1)));
    }
    if !args.is_empty() && !args.accept("sync") && !args.accept("async") {
        return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    forget_all(Server::of(ctx));
    changed(ctx);
    ctx.reply.ok();
    Ok(())
}

fn function_load(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let mut replace = false;
    while args.left() > 1 {
        if !args.accept("replace") {
            let option = args.take()?;
            return Err(CommandError::Bytes([b"ERR Unknown option given: ", until_nul(option)].concat()));
        }
        replace = true;
    }
    let text = args.take()?;
    let libraries = &Server::of(ctx).scripting.libraries;
    let (library, registered) = compile(text, &libraries.shelf(), replace)?;
    libraries.change(|shelf| shelf.add(library.clone(), replace)).map_err(clash)?;
    changed(ctx);
    ctx.reply.bulk(library.name.as_bytes());
    runtime::keep(&library, registered);
    Ok(())
}

fn clash(text: String) -> CommandError {
    CommandError::owned(format!("ERR {text}"))
}

/// A library with what it has registered in this thread's interpreter.
type Loaded = (Arc<Library>, Vec<kinovar_script::library::Registered>);

/// Loads a library, unless there is one of its name that it may not replace.
fn compile(text: &[u8], shelf: &Shelf, replace: bool) -> Result<Loaded, CommandError> {
    let header = shebang::of_library(text).map_err(CommandError::Bytes)?;
    if !replace && shelf.library(&header.name).is_some() {
        return Err(CommandError::owned(format!("ERR Library '{}' already exists", header.name)));
    }
    let registered = runtime::load(&text[header.code..], &mut LoadHost::new())?;
    let functions = registered.iter().map(Function::from).collect();
    Ok((Arc::new(Library { name: header.name, text: text.into(), code: header.code, functions }), registered))
}

fn function_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    while let Some(option) = args.peek() {
        if !with_code && args.accept("withcode") {
            with_code = true;
        } else if pattern.is_none() && args.accept("libraryname") {
            let given = args.next().ok_or(CommandError::text("ERR library name argument was not given"))?;
            pattern = Some(given);
        } else {
            return Err(CommandError::Bytes([b"ERR Unknown argument ", until_nul(option)].concat()));
        }
    }
    let shelf = Server::of(ctx).scripting.libraries.shelf();
    let matches = |library: &&Arc<Library>| {
        pattern.is_none_or(|pattern| glob::matches_ignore_case(pattern, library.name.as_bytes()))
    };
    let found: Vec<_> = shelf.libraries().filter(matches).collect();
    ctx.reply.array(found.len());
    for library in found {
        describe(&mut ctx.reply, library, with_code);
    }
    Ok(())
}

fn describe(reply: &mut Reply<'_>, library: &Library, with_code: bool) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        match &function.description {
            Some(description) => reply.bulk(description),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        reply.set(function.flags.names().count());
        function.flags.names().for_each(|flag| reply.simple(flag));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.text);
    }
}

fn function_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let scripting = &Server::of(ctx).scripting;
    let slow = scripting.runs.slow(kinovar_io::clock::unix_ms());
    if Server::of(ctx).busy.is_on() && !Server::of(ctx).busy.runs_function() {
        return Err(Server::of(ctx).busy.error());
    }
    let shelf = scripting.libraries.shelf();
    let reply = &mut ctx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match slow {
        None => reply.null(),
        Some((details, duration_ms)) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(details.name.as_bytes());
            reply.bulk(b"command");
            reply.array(details.command.len());
            details.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer(duration_ms as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(shelf.libraries().len());
    reply.bulk(b"functions_count");
    reply.count(shelf.function_count());
    Ok(())
}

fn function_dump(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let shelf = Server::of(ctx).scripting.libraries.shelf();
    ctx.reply.bulk(&payload::write(shelf.libraries().map(|library| &library.text[..])));
    Ok(())
}

/// What becomes of the libraries that are there when others are restored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Flush,
    Append,
    Replace,
}

fn function_restore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 2 {
        return Err(CommandError::wrong_subcommand_arguments("FUNCTION", args.at(1)));
    }
    let value = args.take()?;
    let policy = if args.is_empty() || args.accept("append") {
        Policy::Append
    } else if args.accept("replace") {
        Policy::Replace
    } else if args.accept("flush") {
        Policy::Flush
    } else {
        return Err(CommandError::text(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    };
    let texts = payload::read(value).map_err(CommandError::text)?;
    let mut new = Shelf::default();
    let mut loaded = Vec::new();
    for text in &texts {
        let (library, registered) = compile(text, &new, false)?;
        new.add(library.clone(), false).map_err(clash)?;
        loaded.push((library, registered));
    }
    Server::of(ctx)
        .scripting
        .libraries
        .change(|shelf| {
            if policy == Policy::Flush {
                *shelf = new;
                return Ok(());
            }
            merge(shelf, &loaded, policy == Policy::Replace)
        })
        .map_err(clash)?;
    loaded.into_iter().for_each(|(library, registered)| runtime::keep(&library, registered));
    changed(ctx);
    ctx.reply.ok();
    Ok(())
}

/// Loads the libraries of a file, in the place of those of the same name if `replace` is set. Called by a reactor when no command
/// runs.
///
/// # Errors
/// What is wrong with one of them; none has been loaded then.
pub fn restore(server: &Server, texts: &[Box<[u8]>], replace: bool) -> Result<(), Vec<u8>> {
    if texts.is_empty() {
        return Ok(());
    }
    let without_code = |error: CommandError| {
        let message = error.message();
        message.strip_prefix(b"ERR ").unwrap_or(&message).to_vec()
    };
    let mut new = Shelf::default();
    let mut loaded = Vec::new();
    for text in texts {
        let (library, registered) = compile(text, &new, replace).map_err(without_code)?;
        new.add(library.clone(), replace).map_err(String::into_bytes)?;
        loaded.retain(|(old, _): &Loaded| old.name != library.name);
        loaded.push((library, registered));
    }
    server.scripting.libraries.change(|shelf| merge(shelf, &loaded, replace)).map_err(String::into_bytes)?;
    loaded.into_iter().for_each(|(library, registered)| runtime::keep(&library, registered));
    Ok(())
}

/// Forgets all libraries.
pub fn forget_all(server: &Server) {
    let cleared: Result<(), ()> = server.scripting.libraries.change(|shelf| {
        *shelf = Shelf::default();
        Ok(())
    });
    debug_assert!(cleared.is_ok());
    runtime::forget_functions();
}

/// Adds libraries to those that are there. All that are replaced make room first.
fn merge(shelf: &mut Shelf, loaded: &[Loaded], replace: bool) -> Result<(), String> {
    for (library, _) in loaded {
        if shelf.library(&library.name).is_some() {
            if !replace {
                return Err(format!("Library {} already exists", library.name));
            }
            shelf.remove(&library.name);
        }
    }
    loaded.iter().try_for_each(|(library, _)| shelf.add(library.clone(), false))
}
