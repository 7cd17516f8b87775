//! The latency monitor: named events that took at least `latency-monitor-threshold` ms, and a short history of each.

use crate::server::Server;
use kinovar_io::clock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Samples kept per event.
const HISTORY_MAX: usize = 160;

/// Events by name.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

/// What is known of one event.
#[derive(Default, Clone)]
pub struct Series {
    /// Pairs of (Unix seconds, ms), oldest first, one per second at most.
    pub samples: VecDeque<(u64, u64)>,
    /// The longest ever, ms.
    pub max_ms: u64,
}

impl Server {
    /// Records an event that is no command, if it took long.
    pub fn note_latency(&self, event: &'static str, took: Duration) {
        let (ms, threshold_ms) = (took.as_millis() as u64, self.config.load().latency_monitor_threshold_ms);
        if threshold_ms > 0 && ms >= threshold_ms {
            self.latency.record(event, clock::unix_ms() / 1000, ms);
        }
    }
}

impl LatencyMonitor {
    /// Records an event that took `ms`.
    pub fn record(&self, event: &'static str, now_s: u64, ms: u64) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let series = events.entry(event).or_default();
        series.max_ms = series.max_ms.max(ms);
        match series.samples.back_mut() {
            Some((at_s, longest)) if *at_s == now_s => *longest = (*longest).max(ms),
            _ => {
                if series.samples.len() == HISTORY_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back((now_s, ms));
            }
        }
    }

    /// All events.
    pub fn all(&self) -> BTreeMap<&'static str, Series> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the events that `which` names; how many there were.
    pub fn reset(&self, which: impl Fn(&str) -> bool) -> usize {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let before = events.len();
        events.retain(|name, _| !which(name));
        before - events.len()
    }
}
