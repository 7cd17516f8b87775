//! `LATENCY DOCTOR`: what the samples of events say, and what can be done about it.

use crate::latency::Series;
use crate::server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The report.
pub fn report(server: &Server, now_ms: u64) -> String {
    let config = server.config();
    let (threshold_ms, events) = (config.latency_monitor_threshold_ms, server.latency.all());
    let mut text = about_events(threshold_ms, &events, now_ms / 1000);
    if threshold_ms > 0 && !events.is_empty() {
        let pause = server.worst_pause();
        let (ms, ago_s) = (pause.ns / 1_000_000, now_ms.saturating_sub(pause.at_ms) / 1000);
        let cause = server.cause_name(pause.cause);
        let _ = writeln!(text, "\nThe longest turn of an event loop took {ms}ms, {ago_s} sec ago, for {cause}.");
    }
    text
}

fn about_events(threshold_ms: u64, events: &BTreeMap<&'static str, Series>, now_s: u64) -> String {
    if threshold_ms == 0 {
        return "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n".into();
    }
    if events.is_empty() {
        // Tools compare this one with the reference's.
        return "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. \
                I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n"
            .into();
    }
    let mut text = String::from("Some events took longer than the threshold allows:\n\n");
    let mut advice = BTreeSet::new();
    for (n, (name, series)) in events.iter().enumerate() {
        let spikes = Spikes::of(series, now_s);
        let _ = writeln!(
            text,
            "{}. {name}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time event {}ms.",
            n + 1,
            series.samples.len(),
            spikes.average_ms,
            spikes.deviation_ms,
            spikes.period_s,
            series.max_ms
        );
        advice.extend(advice_about(name, threshold_ms));
        if spikes.deviation_ms * 2 > spikes.average_ms {
            advice.insert(Advice::Uneven);
        }
    }
    text.push_str("\nWhat can be done:\n\n");
    advice.into_iter().for_each(|advice| {
        let _ = writeln!(text, "- {}", advice.text());
    });
    text
}

/// What the samples of an event come to, in whole ms.
struct Spikes {
    average_ms: u64,
    /// Mean distance from the average.
    deviation_ms: u64,
    /// Mean time between two of them, up to now.
    period_s: f64,
}

impl Spikes {
    fn of(series: &Series, now_s: u64) -> Spikes {
        let count = series.samples.len().max(1) as u64;
        let average_ms = series.samples.iter().map(|&(_, ms)| ms).sum::<u64>() / count;
        let deviation_ms = series.samples.iter().map(|&(_, ms)| ms.abs_diff(average_ms)).sum::<u64>() / count;
        let first_s = series.samples.front().map_or(now_s, |&(at_s, _)| at_s);
        Spikes { average_ms, deviation_ms, period_s: now_s.saturating_sub(first_s) as f64 / count as f64 }
    }
}

/// A piece of advice; the more particular ones come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Advice {
    SlowLog,
    LargeValues,
    LowThreshold,
    Host,
    Disk,
    Expiry,
    Eviction,
    Uneven,
    Unknown,
}

impl Advice {
    fn text(self) -> &'static str {
        match self {
            Advice::SlowLog => {
                "SLOWLOG GET names the commands that took long. Look for those that go through whole collections: KEYS, SMEMBERS, \
                 HGETALL, LRANGE and SORT of large values, and scripts. SCAN and its relatives, ranges and COUNT take less at a time."
            }
            Advice::LargeValues => {
                "MEMORY USAGE and 'redis-cli --bigkeys' find large values. Several smaller ones let others be served in between."
            }
            Advice::LowThreshold => {
                "The threshold is below 10 ms, where a busy machine alone causes samples; CONFIG SET latency-monitor-threshold \
                 raises it."
            }
            Advice::Host => {
                "Even commands that look at a few elements took long. So it is the process that did not get on: look for swapping \
                 (vmstat, si and so), for other programs on the same cores, and for a host that takes the processor away (vmstat, st)."
            }
            Advice::Disk => {
                "The disk is slow to take what is written. 'appendfsync everysec' does not wait for it, 'no-appendfsync-on-rewrite yes' \
                 spares it during rewrites, and a faster or less shared disk helps always."
            }
            Advice::Expiry => {
                "Many keys expire at the same time. Times to live with some chance in them spread that out."
            }
            Advice::Eviction => {
                "Much has to be evicted at once. A larger maxmemory, smaller values or fewer writes at a time take less."
            }
            Advice::Uneven => {
                "The samples differ much from each other, so that more than one thing may be behind them: LATENCY HISTORY lists them \
                 with their times."
            }
            Advice::Unknown => "LATENCY HISTORY lists the samples with their times.",
        }
    }
}

fn advice_about(event: &str, threshold_ms: u64) -> Vec<Advice> {
    match event {
        "command" => vec![Advice::SlowLog, Advice::LargeValues],
        "fast-command" if threshold_ms < 10 => vec![Advice::LowThreshold, Advice::Host],
        "fast-command" => vec![Advice::Host],
        "expire-cycle" => vec![Advice::Expiry, Advice::LargeValues],
        _ if event.starts_with("aof-") => vec![Advice::Disk],
        _ if event.starts_with("eviction-") => vec![Advice::Eviction, Advice::LargeValues],
        _ => vec![Advice::Unknown],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_added_up_as_by_the_reference() {
        // Two samples of 50 and 31 ms, three seconds after the first one.
        let series = Series { samples: [(100, 50), (101, 31)].into(), max_ms: 50 };
        let text = about_events(10, &[("command", series)].into(), 103);
        let line = "1. command: 2 latency spikes (average 40ms, mean deviation 9ms, period 1.50 sec). Worst all time event 50ms.";
        assert!(text.lines().any(|shown| shown == line), "{text}");
        assert!(text.contains("- SLOWLOG GET") && !text.contains("differ much"), "{text}");
    }

    #[test]
    fn advice_fits_the_event() {
        let series = Series { samples: [(100, 200), (101, 1)].into(), max_ms: 200 };
        let about = |name: &'static str| about_events(1, &[(name, series.clone())].into(), 101);
        for (name, word) in [
            ("fast-command", "vmstat"),
            ("fast-command", "below 10 ms"),
            ("fast-command", "differ much"),
            ("aof-fsync-always", "disk"),
            ("expire-cycle", "expire at the same time"),
            ("eviction-cycle", "maxmemory"),
            ("another", "LATENCY HISTORY"),
        ] {
            assert!(about(name).contains(word), "{name}: {}", about(name));
        }
        assert!(about_events(0, &BTreeMap::new(), 0).contains("is off"));
    }
}
