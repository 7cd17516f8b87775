//! The text that Prometheus reads (exposition format 0.0.4), from a page of INFO and the counters of commands.
//!
//! Every field of INFO that is a number is a metric of its own name behind `kinovar_`, so that a field which is added to INFO is a
//! metric as well. Fields that are lists (`db0:keys=1,expires=0`) become metrics with a label.

use crate::cmdstats::{CommandStats, Latencies};
use crate::server::Server;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper ends of the buckets of command latencies: powers of two from 1 us to 16 s.
const BUCKETS_US: std::ops::RangeInclusive<u32> = 0..=24;

/// Fields of INFO that only grow, until CONFIG RESETSTAT or the end of the process; the others go up and down.
fn is_counter(field: &str) -> bool {
    const STARTS: [&str; 9] = [
        "total_net_",
        "used_cpu_",
        "evicted_",
        "acl_access_denied_",
        "io_threaded_",
        "eventloop_",
        "keyspace_",
        "active_defrag_",
        "sync_",
    ];
    const ENDS: [&str; 8] = [
        "_processed",
        "_disconnections",
        "_error_replies",
        "_received",
        "_exceeded_time",
        "_saves",
        "_rewrites",
        "_shrinks",
    ];
    const NAMES: [&str; 14] = [
        "uptime_in_seconds",
        "rejected_connections",
        "expired_keys",
        "expired_subkeys",
        "expired_time_cap_reached_count",
        "expire_cycle_cpu_milliseconds",
        "total_forks",
        "total_active_defrag_time",
        "lazyfreed_objects",
        "reply_buffer_expands",
        "aof_delayed_fsync",
        "dump_payload_sanitizations",
        "total_eviction_exceeded_time",
        "master_repl_offset",
    ];
    const NOT: [&str; 3] = ["current_eviction_exceeded_time", "active_defrag_running", "uptime_in_seconds"];
    let is_meant = STARTS.iter().any(|start| field.starts_with(start))
        || ENDS.iter().any(|end| field.ends_with(end))
        || NAMES.contains(&field);
    is_meant && !NOT.contains(&field)
}

/// Texts of INFO that are labels of `kinovar_info`.
const INFO_LABELS: [&str; 7] =
    ["kinovar_version", "redis_version", "redis_mode", "role", "multiplexing_api", "maxmemory_policy", "mem_allocator"];

/// All metrics by name, so that those of one name stand together, as the format wants it.
#[derive(Default)]
struct Families(BTreeMap<String, Family>);

struct Family {
    kind: &'static str,
    help: String,
    samples: String,
}

impl Families {
    fn family(&mut self, name: &str, kind: &'static str, help: impl FnOnce() -> String) -> &mut String {
        let family = self.0.entry(format!("kinovar_{name}")).or_insert_with(|| Family {
            kind,
            help: help(),
            samples: String::new(),
        });
        &mut family.samples
    }

    /// One sample; `suffix` and `labels` may be empty.
    fn add(
        &mut self,
        name: &str,
        kind: &'static str,
        help: impl FnOnce() -> String,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        let samples = self.family(name, kind, help);
        write_sample(samples, &format!("kinovar_{name}"), labels, value);
    }

    fn text(self) -> String {
        let mut text = String::new();
        for (name, family) in self.0 {
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n{}", family.kind, family.samples);
        }
        text
    }
}

fn write_sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    out.push_str(name);
    for (n, (label, text)) in labels.iter().enumerate() {
        out.push(if n == 0 { '{' } else { ',' });
        let _ = write!(out, "{label}=\"");
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

/// Everything there is to tell. `page` is a page of INFO; none could be had while a script keeps everybody waiting.
pub fn text(server: &Server, page: Option<&str>) -> String {
    let mut families = Families::default();
    let available = u8::from(page.is_some());
    families.add("info_available", "gauge", || "Whether a reactor could write a page of INFO.".into(), &[], available);
    if let Some(page) = page {
        add_page(&mut families, page);
    }
    add_commands(&mut families, server);
    families.text()
}

fn add_page(families: &mut Families, page: &str) {
    let mut section = "";
    let mut texts: Vec<(&str, &str)> = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            section = name;
        } else if let Some((field, value)) = line.split_once(':') {
            if INFO_LABELS.contains(&field) {
                texts.push((field, value));
            } else if field == "worst_pause_cause" {
                let help = || "What the longest turn of an event loop was spent on.".into();
                families.add("worst_pause_info", "gauge", help, &[("cause", value)], 1);
            } else {
                add_field(families, section, field, value);
            }
        }
    }
    families.add("info", "gauge", || "What this server is.".into(), &texts, 1);
}

fn add_field(families: &mut Families, section: &str, field: &str, value: &str) {
    let help = || format!("{field} of INFO {}.", section.to_lowercase());
    let numbered =
        |start: &str| field.strip_prefix(start).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let family = match field {
        _ if section == "Keyspace" => numbered("db").map(|number| ("db", "db", number)),
        _ if section == "Threads" => numbered("io_thread_").map(|number| ("io_thread", "thread", number)),
        _ if section == "Errorstats" => field.strip_prefix("errorstat_").map(|code| ("errors", "error", code)),
        _ => None,
    };
    if let Some((name, label, which)) = family {
        for (key, number) in value.split(',').filter_map(|pair| pair.split_once('=')) {
            if number.parse::<f64>().is_ok() {
                let kind = if matches!(key, "reads" | "writes" | "count") { "counter" } else { "gauge" };
                let help = || format!("{key} of each {label}, from INFO {}.", section.to_lowercase());
                families.add(&format!("{name}_{}", metric_name(key)), kind, help, &[(label, which)], number);
            }
        }
        return;
    }
    let number = match value.strip_suffix('%').unwrap_or(value) {
        "ok" if field.ends_with("_status") => "1",
        "err" if field.ends_with("_status") => "0",
        number if number.parse::<f64>().is_ok_and(f64::is_finite) => number,
        _ => return,
    };
    let kind = if is_counter(field) { "counter" } else { "gauge" };
    families.add(&metric_name(field), kind, help, &[], number);
}

/// A name as the format allows it.
fn metric_name(field: &str) -> String {
    field.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn add_commands(families: &mut Families, server: &Server) {
    for entry in server.registry.entries() {
        let sum = |counter: fn(&CommandStats) -> &AtomicU64| -> u64 {
            server.reactors.iter().map(|reactor| counter(&reactor.commands[entry.id]).load(Relaxed)).sum()
        };
        let (calls, ns) = (sum(|stats| &stats.calls), sum(|stats| &stats.ns));
        let (rejected, failed) = (sum(|stats| &stats.rejected), sum(|stats| &stats.failed));
        if calls + rejected + failed == 0 {
            continue;
        }
        let labels = [("command", entry.full_name.as_str())];
        let mut add = |name: &str, help: &str, value: &dyn std::fmt::Display| {
            families.add(name, "counter", || help.into(), &labels, value);
        };
        add("command_calls_total", "Calls of each command.", &calls);
        add("command_seconds_total", "Time that calls of each command took.", &(ns as f64 / 1e9));
        add("command_rejected_calls_total", "Calls that were refused before they ran.", &rejected);
        add("command_failed_calls_total", "Calls that ended with an error.", &failed);
        add_histogram(families, &entry.full_name, &server.latencies(entry.id), ns);
    }
}

fn add_histogram(families: &mut Families, command: &str, latencies: &Latencies, ns: u64) {
    let total = latencies.total();
    if total == 0 {
        return;
    }
    let help = || "How long calls of each command took, as LATENCY HISTOGRAM has it.".to_owned();
    let samples = families.family("command_duration_seconds", "histogram", help);
    let bucket = "kinovar_command_duration_seconds_bucket";
    for power in BUCKETS_US {
        let us = 1u64 << power;
        let end = (us as f64 / 1e6).to_string();
        write_sample(samples, bucket, &[("command", command), ("le", &end)], latencies.within_us(us));
    }
    write_sample(samples, bucket, &[("command", command), ("le", "+Inf")], total);
    let labels = [("command", command)];
    write_sample(samples, "kinovar_command_duration_seconds_sum", &labels, ns as f64 / 1e9);
    write_sample(samples, "kinovar_command_duration_seconds_count", &labels, total);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_page(page: &str) -> String {
        let mut families = Families::default();
        add_page(&mut families, page);
        families.text()
    }

    #[test]
    fn fields_become_metrics() {
        let text = of_page(
            "# Server\r\nredis_version:8.2.3\r\nprocess_id:7\r\nos:Linux\r\n\r\n# Memory\r\nused_memory:12\r\n\
             used_memory_human:12B\r\nused_memory_peak_perc:99.50%\r\n# Persistence\r\naof_last_write_status:ok\r\n\
             rdb_last_bgsave_status:err\r\n# Stats\r\nkeyspace_hits:3\r\nworst_pause_cause:command:keys\r\n",
        );
        for line in [
            "# HELP kinovar_used_memory used_memory of INFO memory.",
            "# TYPE kinovar_used_memory gauge",
            "kinovar_used_memory 12",
            "kinovar_used_memory_peak_perc 99.50",
            "kinovar_aof_last_write_status 1",
            "kinovar_rdb_last_bgsave_status 0",
            "# TYPE kinovar_keyspace_hits counter",
            "kinovar_keyspace_hits 3",
            "kinovar_worst_pause_info{cause=\"command:keys\"} 1",
            "kinovar_info{redis_version=\"8.2.3\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("human") && !text.contains("Linux"), "{text}");
    }

    #[test]
    fn lists_become_labels_and_families_stand_together() {
        let text = of_page(
            "# Threads\r\nio_thread_0:clients=1,reads=2,writes=3\r\nio_thread_1:clients=4,reads=5,writes=6\r\n\
             # Errorstats\r\nerrorstat_A\"\\B:count=9\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\ndb12:keys=2,expires=1\r\n",
        );
        assert!(
            text.contains("kinovar_io_thread_reads{thread=\"0\"} 2\nkinovar_io_thread_reads{thread=\"1\"} 5\n"),
            "{text}"
        );
        assert!(text.contains("kinovar_db_keys{db=\"0\"} 1\nkinovar_db_keys{db=\"12\"} 2\n"), "{text}");
        assert!(text.contains("kinovar_errors_count{error=\"A\\\"\\\\B\"} 9\n"), "{text}");
        assert_eq!(text.matches("# TYPE kinovar_io_thread_reads counter").count(), 1);
    }

    #[test]
    fn histograms_are_cumulative() {
        let stats = CommandStats::default();
        for us in [1u64, 100, 100, 5_000_000] {
            stats.record(us * 1000, true);
        }
        let mut latencies = Latencies::default();
        stats.histogram().unwrap().add_to(&mut latencies);
        let mut families = Families::default();
        add_histogram(&mut families, "get", &latencies, 5_000_201_000);
        let text = families.text();
        for line in [
            "# TYPE kinovar_command_duration_seconds histogram",
            "kinovar_command_duration_seconds_bucket{command=\"get\",le=\"0.000064\"} 1",
            "kinovar_command_duration_seconds_bucket{command=\"get\",le=\"0.000128\"} 3",
            "kinovar_command_duration_seconds_bucket{command=\"get\",le=\"16.777216\"} 4",
            "kinovar_command_duration_seconds_bucket{command=\"get\",le=\"+Inf\"} 4",
            "kinovar_command_duration_seconds_sum{command=\"get\"} 5.000201",
            "kinovar_command_duration_seconds_count{command=\"get\"} 4",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }
}
