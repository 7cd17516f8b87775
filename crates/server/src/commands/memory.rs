//! `MEMORY`: what memory is used for.

use crate::memory::{self, Usage};
use crate::server::Server;
use kinovar_command::keyspace::Entry;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[MEMORY];

const MEMORY: Command = Command {
    name: "memory",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    summary: "Commands about memory.",
    complexity: "As the subcommand",
    since: "4.0.0",
    subcommands: &[MEMORY_MALLOC_STATS, MEMORY_USAGE, MEMORY_DOCTOR, MEMORY_HELP, MEMORY_STATS, MEMORY_PURGE],
    ..Command::DEFAULT
};

const MEMORY_MALLOC_STATS: Command = Command {
    name: "malloc-stats",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    summary: "Shows the allocator's own statistics.",
    complexity: "Depends on the memory in use",
    since: "4.0.0",
    handler: memory_malloc_stats,
    ..Command::DEFAULT
};

const MEMORY_USAGE: Command = Command {
    name: "usage",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::RO)],
    args: &[Arg::key("key", 0), Arg::integer("count").token("SAMPLES").optional()],
    summary: "Tells how many bytes a key and its value take.",
    complexity: "O(N) in the number of elements looked at",
    since: "4.0.0",
    handler: memory_usage,
    ..Command::DEFAULT
};

const MEMORY_DOCTOR: Command = Command {
    name: "doctor",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    summary: "Reports on memory in words.",
    complexity: "O(1)",
    since: "4.0.0",
    handler: memory_doctor,
    ..Command::DEFAULT
};

const MEMORY_HELP: Command = Command {
    name: "help",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "4.0.0",
    handler: memory_help,
    ..Command::DEFAULT
};

const MEMORY_STATS: Command = Command {
    name: "stats",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    summary: "Tells what memory is used for.",
    complexity: "O(1)",
    since: "4.0.0",
    lock: Lock::Walk,
    handler: memory_stats,
    ..Command::DEFAULT
};

const MEMORY_PURGE: Command = Command {
    name: "purge",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    summary: "Gives unused memory back to the operating system.",
    complexity: "Depends on the memory in use",
    since: "4.0.0",
    handler: memory_purge,
    ..Command::DEFAULT
};

fn memory_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "memory")
}

/// Elements of a collection that are looked at unless the caller says how many.
const SAMPLES: i64 = 5;

fn memory_usage(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut samples = SAMPLES;
    while !args.is_empty() {
        if args.left() < 2 || !args.accept("SAMPLES") {
            return Err(CommandError::Syntax);
        }
        samples = args.integer()?;
        if samples < 0 {
            return Err(CommandError::Syntax);
        }
    }
    match ctx.db.peek(&key) {
        None => ctx.reply.null(),
        Some(entry) => ctx.reply.count(entry_bytes(entry, samples as usize)),
    }
    Ok(())
}

/// Bytes of an entry, its value and its place in the table.
fn entry_bytes(entry: &Entry, samples: usize) -> usize {
    /// A slot and its tag, at the average load of a table.
    const SLOT: usize = 12;
    let value = match entry.payload() {
        keyspace::Payload::Object(object) => object.memory_bytes(samples),
        _ => 0,
    };
    SLOT + entry.allocated_size() + value
}

fn memory_purge(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    memory::purge();
    ctx.reply.ok();
    Ok(())
}

fn memory_malloc_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let text = memory::allocator_report();
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Below this many bytes nothing can be said about ratios.
const SMALL: u64 = 5 << 20;

fn memory_doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let usage = Usage::of(server, &ctx.db);
    let mut text = String::new();
    if usage.used < SMALL {
        text.push_str("The server holds next to nothing: there is nothing to say about its memory yet.\n");
    } else {
        for (applies, advice) in advice(server, &usage) {
            if applies {
                text.push_str(" * ");
                text.push_str(advice);
                text.push('\n');
            }
        }
        if text.is_empty() {
            text.push_str("Nothing unusual about memory was found.\n");
        }
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn advice(server: &Server, usage: &Usage) -> [(bool, &'static str); 7] {
    /// Waste below this is none, bytes.
    const WASTE: u64 = 10 << 20;
    /// What a connection may take up on the average, bytes.
    const CLIENT: u64 = 200 << 10;
    /// Scripts that somebody may have written.
    const SCRIPTS: usize = 1000;
    let figures = usage.figures;
    let is_waste = |more: u64, than: u64, tenths: u64| more * 10 > than * tenths && more - than > WASTE;
    let limit = server.config().maxmemory_bytes;
    [
        (
            usage.peak * 10 > usage.used * 15,
            "Peak: memory use was once more than half as much again. The allocator keeps some of it for later; MEMORY PURGE \
             gives back what it can.",
        ),
        (
            is_waste(figures.active, figures.allocated, 14),
            "Fragmentation: pages are less than three quarters full, after many deletions or changes of size. They fill again as \
             values of such sizes are added; a restart packs them.",
        ),
        (
            is_waste(figures.resident, figures.active, 11),
            "Unused pages: the allocator holds more than it uses. It gives them back after a moment with jemalloc-bg-thread, at \
             once with MEMORY PURGE, and whenever there are many with activedefrag.",
        ),
        (
            is_waste(usage.rss, figures.resident, 11),
            "Other memory: the process has more in physical memory than its allocator, the program itself and stacks of threads \
             among it.",
        ),
        (
            limit > 0 && usage.used > limit,
            "Limit: more is in use than maxmemory allows. Either no key may give way (maxmemory-policy), or connections and \
             scripts take up the rest.",
        ),
        (
            usage.clients / server.clients.len().max(1) as u64 > CLIENT,
            "Clients: connections take up more than 200 KB each. CLIENT LIST tells which (tot-mem); they send faster than they \
             read, or in very large requests. maxmemory-clients closes the largest.",
        ),
        (
            server.scripting.cache.len() > SCRIPTS,
            "Scripts: more than a thousand are kept. Clients may put values into the text of scripts instead of passing them as \
             arguments.",
        ),
    ]
}

fn memory_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let usage = Usage::of(server, &ctx.db);
    let figures = usage.figures;
    let databases = usage.tables.clone();
    let keys: usize = databases.iter().map(|table| table.keys).sum();
    let integer = |reply: &mut Reply<'_>, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    let double = |reply: &mut Reply<'_>, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
    };
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let server = Server::of(ctx);
    let scripts = server.scripting.cache.memory_bytes() as u64;
    let functions = server.scripting.libraries.memory_bytes() as u64;
    let interpreters = crate::server::sum(&server.reactors, |reactor| &reactor.script_memory)
        + crate::server::sum(&server.reactors, |reactor| &reactor.function_memory);
    let reply = &mut ctx.reply;
    reply.map(33 + databases.len());
    integer(reply, "peak.allocated", usage.peak);
    integer(reply, "total.allocated", usage.used);
    integer(reply, "startup.allocated", usage.startup);
    for name in ["replication.backlog", "replica.fullsync.buffer", "clients.slaves"] {
        integer(reply, name, 0);
    }
    integer(reply, "clients.normal", usage.clients);
    integer(reply, "cluster.links", 0);
    integer(reply, "aof.buffer", crate::eviction::room::not_counted(server));
    integer(reply, "lua.caches", scripts);
    integer(reply, "functions.caches", functions);
    integer(reply, "script.VMs", interpreters);
    for table in &databases {
        reply.bulk(format!("db.{}", table.index).as_bytes());
        reply.map(2);
        integer(reply, "overhead.hashtable.main", table.bytes);
        integer(reply, "overhead.hashtable.expires", table.expires_bytes);
    }
    integer(reply, "overhead.db.hashtable.lut", databases.iter().map(|table| table.bytes).sum());
    integer(reply, "overhead.db.hashtable.rehashing", databases.iter().map(|table| table.migrating_bytes).sum());
    integer(reply, "overhead.total", usage.overhead);
    integer(reply, "db.dict.rehashing.count", databases.iter().map(|table| table.migrating).sum());
    integer(reply, "keys.count", keys as u64);
    integer(
        reply,
        "keys.bytes-per-key",
        usage.used.saturating_sub(usage.startup).checked_div(keys as u64).unwrap_or(0),
    );
    integer(reply, "dataset.bytes", usage.dataset);
    double(reply, "dataset.percentage", usage.dataset_percentage());
    double(reply, "peak.percentage", ratio(usage.used, usage.peak) * 100.0);
    integer(reply, "allocator.allocated", figures.allocated);
    integer(reply, "allocator.active", figures.active);
    integer(reply, "allocator.resident", figures.resident);
    integer(reply, "allocator.muzzy", 0);
    double(reply, "allocator-fragmentation.ratio", ratio(figures.active, figures.allocated));
    integer(reply, "allocator-fragmentation.bytes", figures.active.saturating_sub(figures.allocated));
    double(reply, "allocator-rss.ratio", ratio(figures.resident, figures.active));
    integer(reply, "allocator-rss.bytes", figures.resident.saturating_sub(figures.active));
    double(reply, "rss-overhead.ratio", ratio(usage.rss, figures.resident));
    integer(reply, "rss-overhead.bytes", usage.rss.wrapping_sub(figures.resident));
    double(reply, "fragmentation", ratio(usage.rss, usage.used));
    integer(reply, "fragmentation.bytes", usage.rss.wrapping_sub(usage.used));
    Ok(())
}
