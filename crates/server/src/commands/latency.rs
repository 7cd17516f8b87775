//! `LATENCY`: what made clients wait.

use crate::cmdstats::Latencies;
use crate::latency::Series;
use crate::server::Server;
use kinovar_command::registry::Entry;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[LATENCY];

const LATENCY: Command = Command {
    name: "latency",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    summary: "Commands about what made clients wait.",
    complexity: "As the subcommand",
    since: "2.8.13",
    subcommands: &[
        LATENCY_HISTORY,
        LATENCY_HISTOGRAM,
        LATENCY_LATEST,
        LATENCY_GRAPH,
        LATENCY_DOCTOR,
        LATENCY_HELP,
        LATENCY_RESET,
    ],
    ..Command::DEFAULT
};

const LATENCY_HISTORY: Command = Command {
    name: "history",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    args: &[Arg::string("event")],
    summary: "Lists the samples of an event.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: latency_history,
    ..Command::DEFAULT
};

const LATENCY_HISTOGRAM: Command = Command {
    name: "histogram",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    args: &[Arg::string("command").optional().multiple()],
    summary: "Tells how the latencies of commands are distributed.",
    complexity: "O(N) in the number of commands with latencies",
    since: "7.0.0",
    handler: latency_histogram,
    ..Command::DEFAULT
};

const LATENCY_LATEST: Command = Command {
    name: "latest",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    summary: "Lists the latest sample of every event.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: latency_latest,
    ..Command::DEFAULT
};

const LATENCY_GRAPH: Command = Command {
    name: "graph",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    args: &[Arg::string("event")],
    summary: "Draws the samples of an event.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: latency_graph,
    ..Command::DEFAULT
};

const LATENCY_DOCTOR: Command = Command {
    name: "doctor",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    summary: "Reports on latency in words.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: latency_doctor,
    ..Command::DEFAULT
};

const LATENCY_HELP: Command = Command {
    name: "help",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: latency_help,
    ..Command::DEFAULT
};

const LATENCY_RESET: Command = Command {
    name: "reset",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    args: &[Arg::string("event").optional().multiple()],
    summary: "Forgets the samples of some or all events.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: latency_reset,
    ..Command::DEFAULT
};

fn latency_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "latency")
}

fn latency_latest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let events = Server::of(ctx).latency.all();
    ctx.reply.array(events.len());
    for (name, series) in events {
        let &(at_s, ms) = series.samples.back().expect("a series has a sample");
        ctx.reply.array(4);
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(at_s as i64);
        ctx.reply.integer(ms as i64);
        ctx.reply.integer(series.max_ms as i64);
    }
    Ok(())
}

fn latency_history(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let event = args.take()?;
    let events = Server::of(ctx).latency.all();
    let series = events.iter().find(|(name, _)| name.as_bytes() == event).map(|(_, series)| series);
    ctx.reply.array(series.map_or(0, |series| series.samples.len()));
    for &(at_s, ms) in series.iter().flat_map(|series| &series.samples) {
        ctx.reply.array(2);
        ctx.reply.integer(at_s as i64);
        ctx.reply.integer(ms as i64);
    }
    Ok(())
}

fn latency_reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let monitor = &Server::of(ctx).latency;
    let count = match args.is_empty() {
        true => monitor.reset(|_| true),
        false => args.rest().map(|event| monitor.reset(|name| name.as_bytes() == event)).sum(),
    };
    ctx.reply.count(count);
    Ok(())
}

/// Height of the drawing, in characters.
const GRAPH_ROWS: u64 = 4;

fn latency_graph(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let event = args.take()?;
    let events = Server::of(ctx).latency.all();
    let Some((name, series)) = events.iter().find(|(name, _)| name.as_bytes() == event) else {
        let mut text = b"ERR No samples available for event '".to_vec();
        text.extend_from_slice(event);
        text.push(b'\'');
        return Err(CommandError::Bytes(text));
    };
    let text = graph(name, series, ctx.now_ms() / 1000);
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// One column per sample, as high as the sample is long, over its age.
fn graph(name: &str, series: &Series, now_s: u64) -> String {
    let high = series.samples.iter().map(|&(_, ms)| ms).max().unwrap_or(0);
    let low = series.samples.iter().map(|&(_, ms)| ms).min().unwrap_or(0);
    let mut text =
        format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n", series.max_ms, "-".repeat(80));
    for row in (1..=GRAPH_ROWS).rev() {
        for &(_, ms) in &series.samples {
            // Rounded up, so that every sample is seen.
            let height = (ms * GRAPH_ROWS).div_ceil(high.max(1));
            text.push(if height >= row { '#' } else { ' ' });
        }
        text.push('\n');
    }
    let ages: Vec<String> = series.samples.iter().map(|&(at_s, _)| age(now_s.saturating_sub(at_s))).collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        text.extend(ages.iter().map(|age| age.chars().nth(row).unwrap_or(' ')));
        text.push('\n');
    }
    text
}

fn age(s: u64) -> String {
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..86400 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86400),
    }
}

fn latency_doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let text = report(server.config().latency_monitor_threshold_ms, &server.latency.all());
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn report(threshold_ms: u64, events: &std::collections::BTreeMap<&'static str, Series>) -> String {
    if threshold_ms == 0 {
        return "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n".into();
    }
    if events.is_empty() {
        return format!("Nothing took {threshold_ms} ms or longer since monitoring was turned on.\n");
    }
    let mut text = String::from("These events took long:\n\n");
    for (name, series) in events {
        let count = series.samples.len() as u64;
        let mean = series.samples.iter().map(|&(_, ms)| ms).sum::<u64>() / count.max(1);
        text.push_str(&format!(
            "- {name}: {count} samples, {mean} ms on average, worst {} ms.\n  {}\n",
            series.max_ms,
            advice(name)
        ));
    }
    text
}

fn advice(event: &str) -> &'static str {
    match event {
        "command" => "A command looked at many elements. SLOWLOG GET names it; SCAN, ranges or smaller values help.",
        "fast-command" => {
            "Even commands of constant time waited: look for swapping, other processes on these cores, or a host that takes \
             the processor away."
        }
        "eviction-cycle" => {
            "A request waited for keys to be evicted: maxmemory is too small for what is written, or was lowered. A lower \
             maxmemory-eviction-tenacity has requests wait less, and memory exceed its limit for longer."
        }
        "eviction-del" => "Evicting one key took long. Large values go faster with lazyfree-lazy-eviction.",
        _ => "See the documentation of the event.",
    }
}

fn latency_histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let entries: Vec<&Entry> = if args.is_empty() {
        server.registry.entries().iter().collect()
    } else {
        args.rest()
            .filter_map(|name| server.registry.find_full(name))
            .flat_map(|entry| with_subcommands(server, entry))
            .collect()
    };
    ctx.reply.map_of(|reply| {
        let mut shown = 0;
        for entry in entries {
            let latencies = server.latencies(entry.id);
            if latencies.total() > 0 {
                write_histogram(reply, &entry.full_name, &latencies);
                shown += 1;
            }
        }
        shown
    });
    Ok(())
}

/// A command; for a container its subcommands.
fn with_subcommands<'s>(server: &'s Server, entry: &'s Entry) -> Vec<&'s Entry> {
    let subcommands = entry.subcommands.iter().map(|&id| &server.registry.entries()[id]);
    std::iter::once(entry).chain(subcommands).collect()
}

fn write_histogram(reply: &mut Reply<'_>, name: &str, latencies: &Latencies) {
    reply.bulk(name.as_bytes());
    reply.map(2);
    reply.bulk(b"calls");
    reply.integer(latencies.total() as i64);
    reply.bulk(b"histogram_usec");
    let pairs = latencies.cumulative_us();
    reply.map(pairs.len());
    for (us, count) in pairs {
        reply.integer(us as i64);
        reply.integer(count as i64);
    }
}

impl Server {
    /// The latencies of a command, over all reactors.
    pub fn latencies(&self, id: usize) -> Latencies {
        let mut latencies = Latencies::default();
        for reactor in &self.reactors {
            if let Some(histogram) = reactor.commands[id].histogram() {
                histogram.add_to(&mut latencies);
            }
        }
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_and_reports() {
        let series = Series { samples: [(100, 1), (160, 4)].into(), max_ms: 9 };
        let drawn = graph("command", &series, 170);
        assert!(drawn.starts_with("command - high 4 ms, low 1 ms (all time high 9 ms)\n"), "{drawn}");
        assert!(drawn.ends_with(" #\n #\n #\n##\n11\nm0\n s\n"), "{drawn}");
        let events = [("command", series)].into();
        assert!(report(10, &events).contains("2 samples, 2 ms on average, worst 9 ms"));
        assert!(report(0, &events).contains("is off"));
    }
}
