//! `DEBUG`: for those who test or repair the server.
//!
//! One command that looks at its first word itself, as in Redis: its subcommands are not declared one by one, nor
//! documented to clients. Only those are here that test suites use and that have a meaning in this server.

use crate::errand::Errand;
use crate::loading::reload::{self, Wanted};
use crate::server::Server;
use crate::session::Session;
use kinovar_command::keyspace::object::{self, Object};
use kinovar_command::keyspace::{Payload, Ttl};
use kinovar_command::*;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[DEBUG];

const DEBUG: Command = Command {
    name: "debug",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    summary: "Commands for those who test or repair the server.",
    complexity: "As the subcommand",
    since: "1.0.0",
    lock: Lock::Walk,
    is_internal: true,
    handler: debug,
    ..Command::DEFAULT
};

/// What runs a subcommand; the cursor stands after its name.
type Run = fn(&mut Ctx<'_>, Args<'_>) -> Outcome;

/// Subcommands: name, fewest and most arguments, what runs it, usage and explanation.
const SUBCOMMANDS: &[(&str, usize, usize, Run, &str, &str)] = &[
    ("change-repl-id", 0, 0, accepted, "CHANGE-REPL-ID", "Accepted; there is no replication yet."),
    (
        "dict-resizing",
        1,
        1,
        accepted,
        "DICT-RESIZING <0|1>",
        "Accepted; tables resize in small steps and need no switch.",
    ),
    ("digest", 0, 0, super::digest::digest, "DIGEST", "Tell a fingerprint of all data."),
    (
        "digest-value",
        0,
        usize::MAX,
        super::digest::digest_value,
        "DIGEST-VALUE [<key> ...]",
        "Tell a fingerprint of the values of some keys.",
    ),
    ("error", 1, 1, error, "ERROR <text>", "Reply with an error of this text."),
    ("help", 0, 0, debug_help, "HELP", "Print this help."),
    ("htstats", 1, 2, htstats, "HTSTATS <db>", "Tell how the table of keys of a database is filled."),
    ("jmap", 0, 0, accepted, "JMAP", "Accepted; nothing to show."),
    ("listpack", 1, 1, listpack, "LISTPACK <key>", "Tell the size of a value that is a listpack."),
    (
        "loadaof",
        0,
        usize::MAX,
        loadaof,
        "LOADAOF",
        "Write what the append-only file does not have yet, and load it in place of all data.",
    ),
    ("log", 1, 1, log, "LOG <text>", "Write the text to the log."),
    ("object", 1, 2, object, "OBJECT <key>", "Tell how a value is stored."),
    ("pause-cron", 1, 1, accepted, "PAUSE-CRON <0|1>", "Accepted; housekeeping does not disturb tests."),
    (
        "populate",
        1,
        3,
        populate,
        "POPULATE <count> [<prefix>] [<size>]",
        "Set keys <prefix>:0, <prefix>:1 … that are absent.",
    ),
    ("protocol", 1, 1, protocol, "PROTOCOL <type>", "Reply with a value of this type."),
    (
        "quicklist-packed-threshold",
        1,
        1,
        packed_threshold,
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "Elements of lists from this size on have a node of their own.",
    ),
    (
        "reload",
        0,
        usize::MAX,
        reload,
        "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
        "Save all data, forget it and load it again; or add what is in the file to it (NOSAVE NOFLUSH MERGE).",
    ),
    (
        "replybuffer",
        2,
        2,
        accepted,
        "REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>",
        "Accepted; buffers are lent per turn.",
    ),
    ("sdslen", 1, 1, sdslen, "SDSLEN <key>", "Tell the lengths of a key and its string."),
    (
        "set-active-expire",
        1,
        1,
        set_active_expire,
        "SET-ACTIVE-EXPIRE <0|1>",
        "Whether keys expire before they are accessed.",
    ),
    ("sleep", 1, 1, sleep, "SLEEP <seconds>", "Stop this thread for a while; decimals are fine."),
    (
        "stringmatch-len",
        2,
        2,
        stringmatch_len,
        "STRINGMATCH-LEN <len> <pattern>",
        "Match a pattern against <len> times 'a'.",
    ),
];

fn debug(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_allowed(ctx)?;
    let name = args.take()?;
    let found = SUBCOMMANDS.iter().find(|(word, least, most, ..)| {
        word.as_bytes().eq_ignore_ascii_case(name) && (*least..=*most).contains(&args.left())
    });
    match found {
        Some((_, _, _, run, ..)) => run(ctx, args),
        None => Err(CommandError::wrong_subcommand_arguments("DEBUG", name)),
    }
}

/// `enable-debug-command`: no, yes, or to connections of this machine.
fn check_allowed(ctx: &mut Ctx<'_>) -> Outcome {
    let who = Server::of(ctx).config().enable_debug_command;
    if who.allows(Session::of(ctx).info.is_local()) {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

fn debug_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.array(1 + 2 * SUBCOMMANDS.len());
    ctx.reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (.., usage, explanation) in SUBCOMMANDS {
        ctx.reply.simple(usage);
        ctx.reply.simple(&format!("    {explanation}"));
    }
    Ok(())
}

fn accepted(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.ok();
    Ok(())
}

fn sleep(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    /// Longest sleep, seconds: a day.
    const MAX_S: f64 = 86400.0;
    let text = args.take()?;
    let seconds: f64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    if seconds > 0.0 {
        std::thread::sleep(Duration::from_secs_f64(seconds.min(MAX_S)));
    }
    ctx.reply.ok();
    Ok(())
}

fn error(_: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    Err(CommandError::Bytes(args.take()?.to_vec()))
}

fn log(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    crate::log::warning(&format!("DEBUG LOG: {}", String::from_utf8_lossy(args.take()?)));
    ctx.reply.ok();
    Ok(())
}

/// Whether data can be loaded now. Inside a transaction it cannot: that would have to wait for other threads, its locks held.
fn check_may_load(ctx: &Ctx<'_>) -> Outcome {
    if !ctx.may_wait {
        return Err(CommandError::text("ERR Data cannot be loaded inside a transaction"));
    }
    if Server::of(ctx).loading.is_on() { Err(CommandError::Loading) } else { Ok(()) }
}

fn reload(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let mut wanted = Wanted { saves: true, flushes: true, merges: false };
    while !args.is_empty() {
        if args.accept("MERGE") {
            wanted.merges = true;
        } else if args.accept("NOFLUSH") {
            wanted.flushes = false;
        } else if args.accept("NOSAVE") {
            wanted.saves = false;
        } else {
            return Err(CommandError::text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
        }
    }
    check_may_load(ctx)?;
    Errand::leave(ctx, Box::new(move |server, origin| reload::from_rdb(server, wanted, origin)));
    Ok(())
}

fn loadaof(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    check_may_load(ctx)?;
    Errand::leave(ctx, Box::new(reload::from_aof));
    Ok(())
}

fn set_active_expire(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    // Whatever is not a number counts as 0, as with C's atoi.
    let on = number::parse_i64(args.take()?).unwrap_or(0) != 0;
    Server::of(ctx).active_expire.store(on, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn stringmatch_len(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    /// Longest text, bytes.
    const LEN_MAX: i64 = 1 << 20;
    let len = args.integer()?.clamp(0, LEN_MAX) as usize;
    let pattern = args.take()?;
    ctx.reply.flag(glob::matches(pattern, &vec![b'a'; len]));
    Ok(())
}

fn packed_threshold(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let error = CommandError::text("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
    let size = crate::config::memory_bytes(args.take()?).ok_or(error.clone())?;
    // 0 brings the built-in threshold back.
    if size == 1 || size >= 4 << 30 {
        return Err(error);
    }
    keyspace::list::set_packed_threshold(size as usize);
    ctx.reply.ok();
    Ok(())
}

/// The first argument as a key, its partition locked.
fn lock_key<'a>(ctx: &mut Ctx<'_>, args: &mut Args<'a>) -> Result<Key<'a>, CommandError> {
    let key = args.key()?;
    let partition = ctx.db.keyspace().partition_of(&key);
    ctx.db.visit(partition)?;
    Ok(key)
}

fn object(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = lock_key(ctx, &mut args)?;
    let now_ms = ctx.now_ms();
    let entry = ctx.db.peek(&key).ok_or(CommandError::NoSuchKey)?;
    let bytes = match entry.payload() {
        Payload::Object(object) => object.memory_bytes(0),
        Payload::Bytes(bytes) => bytes.len(),
        Payload::Int(value) => value.to_string().len(),
        Payload::None => 0,
    };
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{bytes} lru:{} lru_seconds_idle:{}",
        entry.as_ptr().as_ptr(),
        object::encoding(entry),
        entry.meta(),
        keyspace::access::idle_s(entry.meta(), now_ms),
    );
    if let Payload::Object(Object::List(list)) = entry.payload() {
        text.push_str(&list.debug_details());
    }
    ctx.reply.simple(&text);
    Ok(())
}

fn sdslen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = lock_key(ctx, &mut args)?;
    let entry = ctx.db.peek(&key).ok_or(CommandError::NoSuchKey)?;
    let value = object::text(entry).map_err(|_| CommandError::text("ERR Not an sds encoded string."))?;
    let text = format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{}, val_sds_avail:0, val_zmalloc: 0",
        key.name.len(),
        entry.allocated_size(),
        value.len(),
    );
    ctx.reply.simple(&text);
    Ok(())
}

fn listpack(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = lock_key(ctx, &mut args)?;
    let entry = ctx.db.peek(&key).ok_or(CommandError::NoSuchKey)?;
    if object::encoding(entry) != "listpack" {
        return Err(CommandError::text("ERR Not a listpack encoded object."));
    }
    ctx.reply.simple("Listpack structure printed on stdout");
    Ok(())
}

fn htstats(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let index = args.integer().map_err(|_| CommandError::text("ERR Out of range database"))?;
    let index = super::connection::database(ctx, index).map_err(|_| CommandError::text("ERR Out of range database"))?;
    let server = Server::of(ctx);
    let (mut keys, mut expires, mut bytes, mut migrating) = (0, 0, 0, 0);
    for partition in 0..server.keyspace.partitions() {
        ctx.db.look(partition, |partition| {
            let Some(db) = partition.db(index) else { return };
            keys += db.len();
            expires += db.expires_len();
            bytes += db.table().memory_bytes();
            migrating += usize::from(db.table().is_migrating());
        });
    }
    let text = format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n partitions: {}\n bytes: {bytes}\n resizing: {migrating}\n \
         number of elements: {keys}\n[Expires HT]\n number of elements: {expires}\n",
        server.keyspace.partitions(),
    );
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn populate(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = args.integer()?;
    if count < 0 {
        return Err(CommandError::MustBePositive);
    }
    let prefix = args.next().unwrap_or(b"key");
    let size = match args.is_empty() {
        true => None,
        false => Some(usize::try_from(args.integer()?).map_err(|_| CommandError::MustBePositive)?),
    };
    if size.is_some_and(|size| size as u64 > ctx.db.settings().proto_max_bulk_len) {
        return Err(CommandError::StringTooLong);
    }
    for number in 0..count {
        let mut name = prefix.to_vec();
        name.extend_from_slice(format!(":{number}").as_bytes());
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        let key = Key::new(&name);
        let partition = ctx.db.keyspace().partition_of(&key);
        ctx.db.visit(partition)?;
        if !ctx.db.exists(&key) {
            ctx.db.set_text(&key, &value, Ttl::Clear);
        }
    }
    ctx.reply.ok();
    Ok(())
}

fn protocol(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let reply = &mut ctx.reply;
    match args.take()?.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        #[expect(clippy::approx_constant, reason = "the number that clients' tests wait for")]
        b"double" => reply.double(3.141),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        _ => {
            return Err(CommandError::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
