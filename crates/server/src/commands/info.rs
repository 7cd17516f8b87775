//! `INFO`: how the server is doing.
//!
//! A section is a function that appends its lines. Fields of subsystems that this version lacks (persistence, replication,
//! scripts) are present where tools wait for them and say what is the case: nothing is loading, there are no replicas.

use crate::acl::check::Reason;
use crate::config::Config;
use crate::keysizes;
use crate::server::{ReactorStats, Server, sum};
use kinovar_command::*;
use kinovar_io::process::{self, UsageOf};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[INFO];

const INFO: Command = Command {
    name: "info",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::DANGEROUS,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    args: &[Arg::string("section").optional().multiple()],
    summary: "Tells how the server is doing.",
    complexity: "O(1)",
    since: "1.0.0",
    history: &[("7.0.0", "Takes several sections.")],
    lock: Lock::Walk,
    handler: info,
    ..Command::DEFAULT
};

/// A section: its name, whether it is shown unless asked for, and what writes it.
type Section = (&'static str, bool, fn(&mut Page<'_>));

/// All sections, in the order in which they are shown.
const SECTIONS: &[Section] = &[
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Persistence", true, persistence),
    ("Threads", true, threads),
    ("Stats", true, stats),
    ("Replication", true, replication),
    ("CPU", true, cpu),
    ("Modules", true, modules),
    ("Commandstats", false, commandstats),
    ("Errorstats", true, errorstats),
    ("Latencystats", false, latencystats),
    ("Cluster", true, cluster),
    ("Keyspace", true, keyspace),
    ("Keysizes", true, keysizes),
];

/// Names of the sections that are shown unless others are asked for.
pub fn default_sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().filter(|(_, by_default, _)| *by_default).map(|(name, ..)| *name)
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let wanted: BTreeSet<String> = args.rest().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    let text = page(Server::of(ctx), &ctx.db, ctx.now_ms(), &wanted);
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The sections that `wanted` names; the default ones when it names none.
pub fn page(server: &Server, db: &Db<'_>, now_ms: u64, wanted: &BTreeSet<String>) -> String {
    let config = server.config();
    let keysizes_max = if wanted.contains("keysizes") { usize::MAX } else { KEYSIZES_MAX };
    let mut page = Page { server, db, config: &config, now_ms, keysizes_max, text: String::new() };
    let all = wanted.contains("all") || wanted.contains("everything");
    let default = wanted.is_empty() || wanted.contains("default");
    for &(name, by_default, write) in SECTIONS {
        if all || default && by_default || wanted.contains(&name.to_ascii_lowercase()) {
            if !page.text.is_empty() {
                page.text.push_str("\r\n");
            }
            let _ = write!(page.text, "# {name}\r\n");
            write(&mut page);
        }
    }
    page.text
}

/// What a section writes to and reads from.
struct Page<'a> {
    server: &'a Server,
    db: &'a Db<'a>,
    config: &'a Config,
    now_ms: u64,
    /// Keys of a database that are looked at to tell how large values are.
    keysizes_max: usize,
    text: String,
}

impl Page<'_> {
    /// One line.
    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Several lines of the value 0: things that cannot happen in this version.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }

    /// A number of bytes, and the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }

    fn sum(&self, counter: fn(&ReactorStats) -> &std::sync::atomic::AtomicU64) -> u64 {
        sum(&self.server.reactors, counter)
    }

    /// A parameter as CONFIG GET shows it.
    fn parameter(&self, name: &str) -> String {
        let found = self.server.config.get(&[name.as_bytes()]);
        found.first().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    fn keyspace_sum(&self, counter: fn(&keyspace::Stats) -> &keyspace::stats::Counter) -> u64 {
        self.server.reactors.iter().map(|reactor| counter(&reactor.keyspace).get()).sum()
    }
}

/// Bytes with two decimals and a unit: `1.08M`.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// Name and release of the system, and the processor's architecture: `Linux 6.1.0 x86_64`.
fn os() -> String {
    process::system_name()
        .map_or_else(|_| String::new(), |name| format!("{} {} {}", name.system, name.release, name.machine))
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

fn server(page: &mut Page<'_>) {
    let (server, config) = (page.server, page.config);
    let uptime_s = page.now_ms.saturating_sub(server.started_ms) / 1000;
    page.field("redis_version", crate::REDIS_VERSION);
    page.field("redis_git_sha1", "00000000");
    page.field("redis_git_dirty", 0);
    page.field("redis_build_id", "0000000000000000");
    page.field("server_name", "kinovar");
    page.field("kinovar_version", env!("CARGO_PKG_VERSION"));
    page.field("redis_mode", "standalone");
    page.field("os", os());
    page.field("arch_bits", usize::BITS);
    page.field("monotonic_clock", "X86 TSC or POSIX clock_gettime");
    page.field("multiplexing_api", server.io_engine.get().copied().unwrap_or("none"));
    page.field("atomicvar_api", "rust-std");
    page.field("process_id", std::process::id());
    page.field("process_supervised", page.parameter("supervised"));
    page.field("run_id", &server.run_id);
    page.field("tcp_port", config.main_port());
    page.field("server_time_usec", kinovar_io::clock::unix_us());
    page.field("uptime_in_seconds", uptime_s);
    page.field("uptime_in_days", uptime_s / 86400);
    page.field("hz", config.hz);
    page.field("configured_hz", config.hz);
    page.field("lru_clock", keyspace::access::lru_clock(page.now_ms));
    let executable = std::env::current_exe().unwrap_or_default();
    page.field("executable", executable.display());
    page.field("config_file", server.config.file().unwrap_or_default().display());
    page.field("io_threads_active", u8::from(server.reactors.len() > 1));
    let bind: String = config.bind.iter().map(|address| format!(",bind={address}")).collect();
    let ports = [("tcp", config.port), ("tls", config.tls_port)];
    for (at, (name, port)) in ports.into_iter().filter(|(_, port)| *port != 0).enumerate() {
        page.field(&format!("listener{at}"), format!("name={name}{bind},port={port}"));
    }
}

fn clients(page: &mut Page<'_>) {
    let clients = page.server.clients.all();
    let input = clients.iter().map(|client| client.query_buffer_capacity.load(Relaxed)).max().unwrap_or(0);
    let output = clients.iter().map(|client| client.output_pending.load(Relaxed)).max().unwrap_or(0);
    page.field("connected_clients", clients.len());
    page.field("cluster_connections", 0);
    page.field("maxclients", page.config.maxclients);
    page.field("client_recent_max_input_buffer", input);
    page.field("client_recent_max_output_buffer", output);
    let waits = &page.server.waits;
    let (waited, heeding) = page.db.waited_keys();
    page.field("blocked_clients", waits.clients.load(Relaxed));
    page.field("tracking_clients", page.server.tracking.clients());
    page.field("pubsub_clients", clients.iter().filter(|client| client.is_subscribed()).count());
    page.field("watching_clients", clients.iter().filter(|client| client.watched_keys() > 0).count());
    page.field("clients_in_timeout_table", waits.with_timeout.load(Relaxed));
    page.field("total_watched_keys", page.db.watched_keys());
    page.field("total_blocking_keys", waited);
    page.field("total_blocking_keys_on_nokey", heeding);
}

fn scripting_memory(page: &mut Page<'_>) {
    let scripting = &page.server.scripting;
    let shelf = scripting.libraries.shelf();
    let (vm_eval, vm_functions) =
        (page.sum(|reactor| &reactor.script_memory), page.sum(|reactor| &reactor.function_memory));
    let (scripts, functions) = (scripting.cache.memory_bytes() as u64, scripting.libraries.memory_bytes() as u64);
    page.field("used_memory_lua", vm_eval);
    page.field("used_memory_vm_eval", vm_eval);
    page.field("used_memory_lua_human", human(vm_eval));
    page.field("used_memory_scripts_eval", scripts);
    page.field("number_of_cached_scripts", page.server.scripting.cache.len());
    page.field("number_of_functions", shelf.function_count());
    page.field("number_of_libraries", shelf.libraries().len());
    page.field("used_memory_vm_functions", vm_functions);
    page.bytes("used_memory_vm_total", vm_eval + vm_functions);
    page.field("used_memory_functions", functions);
    page.bytes("used_memory_scripts", scripts + functions);
}

fn memory(page: &mut Page<'_>) {
    let usage = crate::memory::Usage::of(page.server, page.db);
    let figures = usage.figures;
    page.bytes("used_memory", usage.used);
    page.bytes("used_memory_rss", usage.rss);
    page.bytes("used_memory_peak", usage.peak);
    page.field("used_memory_peak_time", usage.peak_at_s);
    page.field("used_memory_peak_perc", format!("{:.2}%", ratio(usage.used, usage.peak) * 100.0));
    page.field("used_memory_overhead", usage.overhead);
    page.field("used_memory_startup", usage.startup);
    page.field("used_memory_dataset", usage.dataset);
    page.field("used_memory_dataset_perc", format!("{:.2}%", usage.dataset_percentage()));
    page.field("allocator_allocated", figures.allocated);
    page.field("allocator_active", figures.active);
    page.field("allocator_resident", figures.resident);
    page.field("allocator_muzzy", 0);
    page.bytes("total_system_memory", process::total_memory_bytes());
    scripting_memory(page);
    page.bytes("maxmemory", page.config.maxmemory_bytes);
    page.field("maxmemory_policy", page.parameter("maxmemory-policy"));
    page.field("allocator_frag_ratio", format!("{:.2}", ratio(figures.active, figures.allocated)));
    page.field("allocator_frag_bytes", figures.active.saturating_sub(figures.allocated));
    page.field("allocator_rss_ratio", format!("{:.2}", ratio(figures.resident, figures.active)));
    page.field("allocator_rss_bytes", figures.resident.saturating_sub(figures.active));
    page.field("rss_overhead_ratio", format!("{:.2}", ratio(usage.rss, figures.resident)));
    page.field("rss_overhead_bytes", usage.rss as i64 - figures.resident as i64);
    page.field("mem_fragmentation_ratio", format!("{:.2}", ratio(usage.rss, usage.used)));
    page.field("mem_fragmentation_bytes", usage.rss as i64 - usage.used as i64);
    let not_written = crate::eviction::room::not_counted(page.server);
    page.field("mem_not_counted_for_evict", not_written);
    page.zeros(&[
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_replica_full_sync_buffer",
        "mem_clients_slaves",
    ]);
    page.field("mem_clients_normal", usage.clients);
    page.field("mem_cluster_links", 0);
    page.field("mem_aof_buffer", not_written);
    page.field("mem_allocator", "jemalloc-5.3.0");
    let rehashing: u64 = usage.tables.iter().map(|table| table.migrating_bytes).sum();
    page.field("mem_overhead_db_hashtable_rehashing", rehashing);
    let (defrag_share, ..) = page.server.defrag.report(kinovar_io::clock::unix_us());
    page.field("active_defrag_running", defrag_share);
    page.field("lazyfree_pending_objects", page.server.background.pending());
    page.field("lazyfreed_objects", page.server.background.freed());
}

fn persistence(page: &mut Page<'_>) {
    let loading = &page.server.loading;
    let run = loading.run();
    page.field("loading", u8::from(run.is_some()));
    page.zeros(&["async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    page.field("current_fork_perc", "0.00");
    let saving = page.server.saving.report();
    page.field("current_save_keys_processed", saving.keys.0);
    page.field("current_save_keys_total", saving.keys.1);
    let changes = page.server.dirty().saturating_sub(page.server.dirty_at_last_save.load(Relaxed));
    page.field("rdb_changes_since_last_save", changes);
    page.field("rdb_bgsave_in_progress", u8::from(saving.in_progress));
    page.field("rdb_last_save_time", page.server.last_save_s());
    page.field("rdb_last_bgsave_status", if saving.last_ok { "ok" } else { "err" });
    page.field("rdb_last_bgsave_time_sec", saving.last_duration_s);
    let since_s = |at_ms: u64| (kinovar_io::clock::unix_ms().saturating_sub(at_ms) / 1000) as i64;
    page.field("rdb_current_bgsave_time_sec", saving.started_ms.map_or(-1, since_s));
    page.field("rdb_saves", saving.saves);
    page.zeros(&["rdb_last_cow_size"]);
    page.field("rdb_last_load_keys_expired", loading.keys_expired.load(Relaxed));
    page.field("rdb_last_load_keys_loaded", loading.keys_loaded.load(Relaxed));
    let journal = &page.server.journal;
    let rewrites = journal.rewrites();
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    page.field("aof_enabled", u8::from(journal.is_wanted()));
    page.field("aof_rewrite_in_progress", u8::from(rewrites.in_progress));
    page.field("aof_rewrite_scheduled", u8::from(rewrites.is_scheduled));
    page.field("aof_last_rewrite_time_sec", seconds(rewrites.last_s));
    page.field("aof_current_rewrite_time_sec", seconds(rewrites.current_s));
    page.field("aof_last_bgrewrite_status", if rewrites.last_failed { "err" } else { "ok" });
    page.field("aof_rewrites", rewrites.count);
    page.field("aof_rewrites_consecutive_failures", rewrites.failures_in_a_row);
    page.field("aof_last_write_status", if journal.refuses_writes() { "err" } else { "ok" });
    page.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    // Or will be, when what there is was loaded.
    if journal.is_wanted() || run.is_some() && page.server.config().appendonly {
        page.field("aof_current_size", journal.size());
        page.field("aof_base_size", journal.sizes.base.load(Relaxed));
        page.field("aof_pending_rewrite", u8::from(rewrites.is_scheduled));
        page.field("aof_buffer_length", journal.behind());
        page.field("aof_pending_bio_fsync", u8::from(journal.is_syncing()));
        page.field("aof_delayed_fsync", journal.slow_syncs());
    }
    if let Some(run) = run {
        load_under_way(page, &run);
    }
}

/// How far a load is.
fn load_under_way(page: &mut Page<'_>, run: &crate::loading::run::Run) {
    let (loaded, memory) = (run.read_bytes.load(Relaxed), run.used_memory.load(Relaxed));
    // How much memory the data took is a bad estimate of the size of a file, and better than none.
    let total_bytes = run.total_bytes.load(Relaxed);
    let total = if total_bytes > 0 { total_bytes } else { u64::try_from(memory).unwrap_or(0) };
    let elapsed_s = (page.now_ms / 1000).saturating_sub(run.started_ms / 1000);
    let left = if total > 0 { total.saturating_sub(loaded) } else { 1 };
    page.field("loading_start_time", run.started_ms / 1000);
    page.field("loading_total_bytes", total_bytes);
    page.field("loading_rdb_used_mem", memory);
    page.field("loading_loaded_bytes", loaded);
    page.field("loading_loaded_perc", format!("{:.2}", ratio(loaded, total) * 100.0));
    // In the first second nobody can tell.
    let eta_s = if elapsed_s == 0 { 1 } else { elapsed_s.saturating_mul(left) / (loaded + 1) };
    page.field("loading_eta_seconds", eta_s);
}

fn threads(page: &mut Page<'_>) {
    let clients = page.server.clients.all();
    for (index, reactor) in page.server.reactors.iter().enumerate() {
        let connected = clients.iter().filter(|client| client.reactor == index).count();
        let (reads, writes) = (reactor.reads.load(Relaxed), reactor.writes.load(Relaxed));
        page.field(&format!("io_thread_{index}"), format!("clients={connected},reads={reads},writes={writes}"));
    }
}

fn stats(page: &mut Page<'_>) {
    let samples = page.server.samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    page.field("total_connections_received", page.sum(|reactor| &reactor.connections));
    page.field("total_commands_processed", page.sum(|reactor| &reactor.processed));
    page.field("instantaneous_ops_per_sec", samples.commands.per_second());
    page.field("total_net_input_bytes", page.sum(|reactor| &reactor.net_in));
    page.field("total_net_output_bytes", page.sum(|reactor| &reactor.net_out));
    page.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    page.field("instantaneous_input_kbps", kilobytes(samples.net_in.per_second()));
    page.field("instantaneous_output_kbps", kilobytes(samples.net_out.per_second()));
    page.field("instantaneous_input_repl_kbps", "0.00");
    page.field("instantaneous_output_repl_kbps", "0.00");
    page.field("rejected_connections", page.sum(|reactor| &reactor.rejected_connections));
    page.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    page.field("expired_subkeys", page.keyspace_sum(|stats| &stats.expired_fields));
    page.field("expired_keys", page.keyspace_sum(|stats| &stats.expired_keys));
    // Expiry is exact: no key is stale for longer than a slice of the loop.
    page.field("expired_stale_perc", "0.00");
    page.field("expired_time_cap_reached_count", 0);
    page.field("expire_cycle_cpu_milliseconds", page.sum(|reactor| &reactor.expire_ns) / 1_000_000);
    page.field("evicted_keys", page.keyspace_sum(|stats| &stats.evicted_keys));
    page.field("evicted_clients", page.server.eviction.evicted_clients());
    page.field("evicted_scripts", page.server.scripting.cache.evicted());
    let (exceeded_ms, total_exceeded_ms) = page.server.eviction.exceeded_ms();
    page.field("total_eviction_exceeded_time", total_exceeded_ms);
    page.field("current_eviction_exceeded_time", exceeded_ms);
    page.field("keyspace_hits", page.keyspace_sum(|stats| &stats.hits));
    page.field("keyspace_misses", page.keyspace_sum(|stats| &stats.misses));
    page.field("pubsub_channels", page.server.pubsub.channels(false).len());
    page.field("pubsub_patterns", page.server.pubsub.patterns().len());
    page.field("pubsubshard_channels", page.server.pubsub.channels(true).len());
    page.zeros(&["latest_fork_usec", "total_forks"]);
    page.field("migrate_cached_sockets", page.server.migrating.links());
    page.zeros(&[
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
    ]);
    let (_, defrag_ms, total_defrag_ms) = page.server.defrag.report(kinovar_io::clock::unix_us());
    page.field("total_active_defrag_time", total_defrag_ms);
    page.field("current_active_defrag_time", defrag_ms);
    let (keys, items) = page.server.keyspace.read_counts();
    page.field("tracking_total_keys", keys);
    page.field("tracking_total_items", items);
    page.field("tracking_total_prefixes", page.server.tracking.prefixes.len());
    page.field("unexpected_error_replies", 0);
    page.field("total_error_replies", page.sum(|reactor| &reactor.error_replies));
    page.field("dump_payload_sanitizations", 0);
    page.field("total_reads_processed", page.sum(|reactor| &reactor.reads));
    page.field("total_writes_processed", page.sum(|reactor| &reactor.writes));
    let beyond_first =
        |counter: fn(&ReactorStats) -> &std::sync::atomic::AtomicU64| sum(&page.server.reactors[1..], counter);
    let (reads, writes) = (beyond_first(|reactor| &reactor.reads), beyond_first(|reactor| &reactor.writes));
    page.field("io_threaded_reads_processed", reads);
    page.field("io_threaded_writes_processed", writes);
    page.field("io_threaded_total_prefetch_batches", page.sum(|reactor| &reactor.prefetch_batches));
    page.field("io_threaded_total_prefetch_entries", page.sum(|reactor| &reactor.prefetch_entries));
    page.field("client_query_buffer_limit_disconnections", page.sum(|reactor| &reactor.query_limit_disconnections));
    page.field("client_output_buffer_limit_disconnections", page.sum(|reactor| &reactor.output_limit_disconnections));
    page.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    page.field("eventloop_cycles", page.sum(|reactor| &reactor.turns));
    page.field("eventloop_duration_sum", page.sum(|reactor| &reactor.busy_ns) / 1000);
    let commands_us: u64 = page.server.reactors.iter().map(commands_us).sum();
    page.field("eventloop_duration_cmd_sum", commands_us);
    let turns = samples.turns.per_second();
    page.field("instantaneous_eventloop_cycles_per_sec", turns);
    page.field("instantaneous_eventloop_duration_usec", samples.busy_ns.per_second() / turns.max(1) / 1000);
    let acl = &page.server.acl;
    page.field("acl_access_denied_auth", acl.refusals(Reason::Auth));
    page.field("acl_access_denied_cmd", acl.refusals(Reason::Command));
    page.field("acl_access_denied_key", acl.refusals(Reason::Key));
    page.field("acl_access_denied_channel", acl.refusals(Reason::Channel));
    let pause = page.server.worst_pause();
    page.field("worst_pause_usec", pause.ns / 1000);
    page.field("worst_pause_cause", page.server.cause_name(pause.cause));
    page.field("worst_pause_at", pause.at_ms / 1000);
}

/// Time that a reactor has spent in commands, us.
fn commands_us(reactor: &ReactorStats) -> u64 {
    reactor.commands.iter().map(|command| command.ns.load(Relaxed)).sum::<u64>() / 1000
}

fn replication(page: &mut Page<'_>) {
    page.field("role", "master");
    page.field("connected_slaves", 0);
    page.field("master_failover_state", "no-failover");
    page.field("master_replid", &page.server.run_id);
    page.field("master_replid2", "0".repeat(40));
    page.field("master_repl_offset", 0);
    page.field("second_repl_offset", -1);
    page.field("repl_backlog_active", 0);
    page.field("repl_backlog_size", 1 << 20);
    page.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

fn cpu(page: &mut Page<'_>) {
    let whose = [("", UsageOf::Process), ("_children", UsageOf::Children), ("_main_thread", UsageOf::MainThread)];
    for (name, of) in whose {
        let used = process::cpu_usage(of).unwrap_or_default();
        page.field(&format!("used_cpu_sys{name}"), format!("{:.6}", used.system.as_secs_f64()));
        page.field(&format!("used_cpu_user{name}"), format!("{:.6}", used.user.as_secs_f64()));
    }
}

/// There are no modules but the one whose commands came with the reference.
fn modules(page: &mut Page<'_>) {
    let options = "[handle-io-errors|handle-repl-async-load]";
    page.field("module", format!("name=vectorset,ver=1,api=1,filters=0,usedby=[],using=[],options={options}"));
}

fn commandstats(page: &mut Page<'_>) {
    for entry in page.server.registry.entries() {
        let sum = |counter: fn(&crate::cmdstats::CommandStats) -> &std::sync::atomic::AtomicU64| -> u64 {
            page.server.reactors.iter().map(|reactor| counter(&reactor.commands[entry.id]).load(Relaxed)).sum()
        };
        let (calls, ns) = (sum(|stats| &stats.calls), sum(|stats| &stats.ns));
        let (rejected, failed) = (sum(|stats| &stats.rejected), sum(|stats| &stats.failed));
        if calls + rejected + failed == 0 {
            continue;
        }
        let us = ns / 1000;
        let per_call = if calls == 0 { 0.0 } else { ns as f64 / 1000.0 / calls as f64 };
        page.field(
            &format!("cmdstat_{}", entry.full_name),
            format!(
                "calls={calls},usec={us},usec_per_call={per_call:.2},rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

fn errorstats(page: &mut Page<'_>) {
    let errors = page.server.errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (code, count) in errors {
        page.field(&format!("errorstat_{code}"), format!("count={count}"));
    }
}

fn latencystats(page: &mut Page<'_>) {
    if !page.config.latency_tracking {
        return;
    }
    for entry in page.server.registry.entries() {
        let latencies = page.server.latencies(entry.id);
        if latencies.total() == 0 {
            continue;
        }
        let percentiles: Vec<String> = page
            .config
            .latency_tracking_info_percentiles
            .iter()
            .map(|&percentile| format!("p{percentile}={:.3}", latencies.percentile_ns(percentile) as f64 / 1000.0))
            .collect();
        page.field(&format!("latency_percentiles_usec_{}", entry.full_name), percentiles.join(","));
    }
}

fn cluster(page: &mut Page<'_>) {
    page.field("cluster_enabled", 0);
}

fn keyspace(page: &mut Page<'_>) {
    let (db, keyspace) = (page.db, page.db.keyspace());
    let now_ms = page.now_ms;
    for index in 0..keyspace.databases() {
        let (mut keys, mut expires, mut field_expires, mut ttl, mut with_ttl) = (0, 0, 0, 0u64, 0u64);
        for partition in 0..keyspace.partitions() {
            db.look(partition, |partition| {
                let Some(db) = partition.db(index) else { return };
                keys += db.len();
                expires += db.expires_len();
                field_expires += db.field_expires_len();
                if db.expires_len() > 0 {
                    ttl += db.mean_ttl_ms(now_ms);
                    with_ttl += 1;
                }
            });
        }
        if keys > 0 {
            let mean_ttl = ttl.checked_div(with_ttl).unwrap_or(0);
            page.field(
                &format!("db{index}"),
                format!("keys={keys},expires={expires},avg_ttl={mean_ttl},subexpiry={field_expires}"),
            );
        }
    }
}

/// Keys that the sizes of a database are told from when nobody asks for them by name: about a millisecond's worth, so that
/// a whole page can be asked for every second. The rest is estimated.
const KEYSIZES_MAX: usize = 16_384;

fn keysizes(page: &mut Page<'_>) {
    for index in 0..page.server.keyspace.databases() {
        for (name, sizes) in keysizes::lines(page.db, index, page.keysizes_max) {
            page.field(&name, sizes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(424), "424B");
        assert_eq!(human(1_135_592), "1.08M");
        assert_eq!(human(25_276_514_304), "23.54G");
    }
}
