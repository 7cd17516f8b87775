//! `MIGRATE`: see [`crate::migrating`].

use crate::errand::Errand;
use crate::migrating::{self, Item, Job, Request, Trouble, settle};
use crate::scripting::runtime;
use crate::server::Server;
use kinovar_command::*;
use std::time::Duration;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[MIGRATE];

const MIGRATE: Command = Command {
    name: "migrate",
    group: Group::Generic,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::MOVABLEKEYS),
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    keys: &[
        KeySpec::at(3, ACCESS),
        KeySpec {
            access: ACCESS.or(Access::INCOMPLETE),
            begin: Begin::Keyword { keyword: "KEYS", start_from: -2 },
            find: Find::Range { last: -1, step: 1, limit: 0 },
            notes: "",
        },
    ],
    key_finder: Some(find_keys),
    tips: &["nondeterministic_output"],
    args: &[
        Arg::string("host"),
        Arg::integer("port"),
        Arg::one_of("key-selector", &[Arg::key("key", 0), Arg::word("empty-string", "")]),
        Arg::integer("destination-db"),
        Arg::integer("timeout"),
        Arg::word("copy", "COPY").optional().since("3.0.0"),
        Arg::word("replace", "REPLACE").optional().since("3.0.0"),
        Arg::one_of(
            "authentication",
            &[
                Arg::string("auth").display("password").token("AUTH").since("4.0.7"),
                Arg::block("auth2", &[Arg::string("username"), Arg::string("password")]).token("AUTH2").since("6.0.0"),
            ],
        )
        .optional(),
        Arg::key("keys", 1).display("key").token("KEYS").optional().multiple().since("3.0.6"),
    ],
    summary: "Moves keys to another server.",
    complexity: "O(N) in the size of the values, here and there.",
    since: "2.6.0",
    history: &[
        ("3.0.0", "Takes COPY and REPLACE."),
        ("3.0.6", "Takes KEYS."),
        ("4.0.7", "Takes AUTH."),
        ("6.0.0", "Takes AUTH2."),
    ],
    secrets: Some(find_secrets),
    handler: migrate,
    ..Command::DEFAULT
};

const ACCESS: Access = Access::RW.access().delete();

/// How many words belong to the option at `index`, itself included.
fn words_of_option(word: &[u8]) -> usize {
    let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
    if is(b"AUTH") {
        2
    } else if is(b"AUTH2") {
        3
    } else {
        1
    }
}

/// Where the options begin.
const OPTIONS: usize = 6;

fn find_secrets(args: Args<'_>, found: &mut dyn FnMut(usize)) {
    let mut index = OPTIONS;
    while index < args.argc() && !args.at(index).eq_ignore_ascii_case(b"KEYS") {
        let end = index + words_of_option(args.at(index));
        (index + 1..end).for_each(&mut *found);
        index = end;
    }
}

fn find_keys(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    let mut push = |index: usize| keys.push(KeyAt { index: index as u32, access: ACCESS });
    let mut index = OPTIONS;
    while index < args.argc() {
        if args.at(index).eq_ignore_ascii_case(b"KEYS") {
            // Else it is an error.
            if args.at(3).is_empty() {
                (index + 1..args.argc()).for_each(push);
            }
            return;
        }
        index += words_of_option(args.at(index));
    }
    push(3);
}

/// A number as C's `atoi` reads it, cut to the width of a port.
fn port(text: &[u8]) -> u16 {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0u32, |port, &byte| port.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'))) as u16
}

/// The request, and the keys that are asked for.
fn parse<'a>(mut args: Args<'a>) -> Result<(Request, Vec<&'a [u8]>), CommandError> {
    /// How long each step may take if nothing is said.
    const TIMEOUT_MS: u64 = 1000;
    let host = String::from_utf8_lossy(args.take()?).into_owned();
    let port = port(args.take()?);
    let mut names = vec![args.take()?];
    let (db, timeout) = (args.take()?, args.take()?);
    let (mut copies, mut replaces) = (false, false);
    let (mut user, mut password) = (None, None);
    while !args.is_empty() {
        if args.accept("COPY") {
            copies = true;
        } else if args.accept("REPLACE") {
            replaces = true;
        } else if args.left() > 1 && args.accept("AUTH") {
            password = Some(args.take()?.to_vec());
        } else if args.left() > 2 && args.accept("AUTH2") {
            user = Some(args.take()?.to_vec());
            password = Some(args.take()?.to_vec());
        } else if args.accept("KEYS") {
            if !names[0].is_empty() {
                return Err(CommandError::text(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            names = args.rest().collect();
            break;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let integer = |text| number::parse_i64(text).ok_or(CommandError::NotInteger);
    let (timeout_ms, db) = (integer(timeout)?, integer(db)?);
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).ok().filter(|&ms| ms > 0).unwrap_or(TIMEOUT_MS));
    let auth = password.map(|password| (user, password));
    Ok((Request { host, port, db, timeout, copies, replaces, auth }, names))
}

fn migrate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (request, names) = parse(args)?;
    ctx.effects().none();
    let mut items: Vec<Item> = names.into_iter().map(|name| settle::item(&mut ctx.db, name)).collect();
    items.retain(|item| item.payload.is_some());
    if items.is_empty() {
        ctx.reply.simple("NOKEY");
        return Ok(());
    }
    if !ctx.may_wait {
        return at_once(ctx, &request, &mut items);
    }
    if !request.copies {
        items.iter().for_each(|item| ctx.db.watch(&Key::new(&item.name), &item.watch));
    }
    let db = ctx.db.index();
    let start = move |server: &'static Server, origin| {
        let job = Job { request, items, db, origin, trouble: None, rounds: 0, pauses: false, position: 0 };
        migrating::submit(server, Box::new(job));
    };
    Errand::leave(ctx, Box::new(start));
    Ok(())
}

/// Does everything while the locks are held.
fn at_once(ctx: &mut Ctx<'_>, request: &Request, items: &mut [Item]) -> Outcome {
    let (server, _) = runtime::whose();
    let trouble = migrating::exchange(server, request, items);
    if !request.copies {
        settle::remove(&mut ctx.db, items);
    }
    match trouble.as_ref().map(Trouble::error) {
        None => {
            ctx.reply.ok();
            Ok(())
        }
        Some(error) => Err(error),
    }
}
