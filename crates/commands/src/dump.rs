//! Values as payloads: DUMP and RESTORE.

use kinovar_command::keyspace::{Entry, Settings, access};
use kinovar_command::{
    Access, Acl, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome, number,
};
use kinovar_rdb::dump::{self, Refusal};
use kinovar_rdb::encode::{Encoder, Options};
use std::cell::RefCell;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[DUMP, RESTORE];

const DUMP: Command = Command {
    name: "dump",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Returns a value in a form that RESTORE takes.",
    complexity: "O(N) in the size of the value.",
    since: "2.6.0",
    handler: dump,
    ..Command::DEFAULT
};

thread_local! {
    /// Encoders are kept: one that compresses has a large table.
    static PLAIN: RefCell<Encoder> = RefCell::new(encoder(false));
    static COMPRESSING: RefCell<Encoder> = RefCell::new(encoder(true));
}

fn encoder(compress: bool) -> Encoder {
    Encoder::new(Options { compress, ..Options::default() })
}

/// A value as a payload.
pub fn serialized(entry: &Entry, settings: &Settings) -> Vec<u8> {
    let encoder = if settings.rdb_compression { &COMPRESSING } else { &PLAIN };
    encoder.with_borrow_mut(|encoder| dump::payload(entry, encoder))
}

fn dump(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let settings = ctx.db.settings();
    match ctx.db.read(&args.key()?) {
        Some(entry) => ctx.reply.bulk(&serialized(entry, settings)),
        None => ctx.reply.null(),
    }
    Ok(())
}

const RESTORE: Command = Command {
    name: "restore",
    group: Group::Generic,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    keys: &[KeySpec::first(Access::OW.update())],
    args: &[
        Arg::key("key", 0),
        Arg::integer("ttl"),
        Arg::string("serialized-value"),
        Arg::word("replace", "REPLACE").optional().since("3.0.0"),
        Arg::word("absttl", "ABSTTL").optional().since("5.0.0"),
        Arg::integer("seconds").token("IDLETIME").optional().since("5.0.0"),
        Arg::integer("frequency").token("FREQ").optional().since("5.0.0"),
    ],
    summary: "Makes a key of what DUMP has returned.",
    complexity: "O(N) in the size of the value; O(N*log(N)) for sorted sets.",
    since: "2.6.0",
    history: &[("3.0.0", "Takes REPLACE."), ("5.0.0", "Takes ABSTTL."), ("5.0.0", "Takes IDLETIME and FREQ.")],
    handler: restore,
    ..Command::DEFAULT
};

const BUSY_KEY: CommandError = CommandError::text("BUSYKEY Target key name already exists.");
const INVALID_TTL: CommandError = CommandError::text("ERR Invalid TTL value, must be >= 0");
const INVALID_IDLETIME: CommandError = CommandError::text("ERR Invalid IDLETIME value, must be >= 0");
const INVALID_FREQ: CommandError = CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255");

/// What follows the payload.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute_ttl: bool,
    idle_s: Option<i64>,
    freq: Option<u8>,
}

impl RestoreOptions {
    fn parse(args: &mut Args<'_>) -> Result<RestoreOptions, CommandError> {
        let mut options = RestoreOptions::default();
        while !args.is_empty() {
            if args.accept("REPLACE") {
                options.replace = true;
            } else if args.accept("ABSTTL") {
                options.absolute_ttl = true;
            } else if options.freq.is_none() && args.left() > 1 && args.accept("IDLETIME") {
                let idle_s = args.integer()?;
                options.idle_s = Some(idle_s);
                if idle_s < 0 {
                    return Err(INVALID_IDLETIME);
                }
            } else if options.idle_s.is_none() && args.left() > 1 && args.accept("FREQ") {
                options.freq = Some(u8::try_from(args.integer()?).map_err(|_| INVALID_FREQ)?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// The access clock of the new key.
    fn meta(&self, now_ms: u64, settings: &Settings) -> u32 {
        match (self.freq, self.idle_s) {
            (Some(freq), _) if settings.lfu => access::with_freq(freq, now_ms),
            (_, Some(idle_s)) if !settings.lfu => access::with_idle(idle_s, now_ms),
            _ => access::initial(now_ms, settings),
        }
    }
}

fn restore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (ttl, payload) = (args.take()?, args.take()?);
    let options = RestoreOptions::parse(&mut args)?;
    if !options.replace && ctx.db.exists(&key) {
        return Err(BUSY_KEY);
    }
    let ttl = number::parse_i64(ttl).ok_or(CommandError::NotInteger)?;
    if ttl < 0 {
        return Err(INVALID_TTL);
    }
    let (now_ms, settings) = (ctx.now_ms(), ctx.db.settings());
    let value = dump::parse(payload, settings).map_err(|refusal| match refusal {
        Refusal::Seal => CommandError::text("ERR DUMP payload version or checksum are wrong"),
        Refusal::Value(_) => CommandError::text("ERR Bad data format"),
    })?;
    let expire_at_ms = match ttl {
        0 => None,
        at_ms if options.absolute_ttl => Some(at_ms),
        // A sum that is too large has passed, as in the reference.
        ttl => Some(ttl.wrapping_add(now_ms as i64)),
    };
    if expire_at_ms.is_some_and(|at_ms| at_ms <= ctx.expiry_ms() as i64) {
        if ctx.db.delete(&key) {
            let word = if settings.lazyfree_lazy_server_del { &b"UNLINK"[..] } else { b"DEL" };
            ctx.effects().instead(&[word, key.name]);
        }
    } else {
        if let Some(at_ms) = expire_at_ms
            && !options.absolute_ttl
            && ctx.effects().is_on()
        {
            tell_restored(ctx, &args, at_ms);
        }

        let meta = options.meta(now_ms, settings);
        value.with_payload(|payload| {
            ctx.db.put_restored(&key, payload, expire_at_ms.map(|at_ms| at_ms as u64), meta);
        });
    }
    ctx.reply.ok();
    Ok(())
}

/// Says what a time to live means at any time.
#[cold]
fn tell_restored(ctx: &Ctx<'_>, args: &Args<'_>, at_ms: i64) {
    let time = at_ms.to_string();
    let mut words: Vec<&[u8]> = (0..args.argc()).map(|index| args.at(index)).collect();
    words[2] = time.as_bytes();
    words.push(b"ABSTTL");
    ctx.effects().instead(&words);
}

#[cfg(test)]
mod tests;
