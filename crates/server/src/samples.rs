//! Rates: what the counters gained per second, over the last sixteen samples.

/// Samples kept; one is taken every 100 ms.
const SAMPLES: usize = 16;

/// One rate.
#[derive(Default, Clone)]
pub struct Rate {
    last: Option<(u64, u64)>,
    recent: [u64; SAMPLES],
    next: usize,
}

impl Rate {
    /// Takes a sample of a counter.
    pub fn sample(&mut self, now_ms: u64, counter: u64) {
        if let Some((before_ms, before)) = self.last
            && now_ms > before_ms
        {
            self.recent[self.next] = counter.saturating_sub(before) * 1000 / (now_ms - before_ms);
            self.next = (self.next + 1) % SAMPLES;
        }
        self.last = Some((now_ms, counter));
    }

    /// Mean of the recent samples, per second.
    pub fn per_second(&self) -> u64 {
        self.recent.iter().sum::<u64>() / SAMPLES as u64
    }
}

/// The rates that INFO shows.
#[derive(Default, Clone)]
pub struct Samples {
    /// Commands.
    pub commands: Rate,
    /// Bytes in.
    pub net_in: Rate,
    /// Bytes out.
    pub net_out: Rate,
    /// Turns of the event loops.
    pub turns: Rate,
    /// Nanoseconds spent in turns.
    pub busy_ns: Rate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_counter() {
        let mut rate = Rate::default();
        for tick in 0..=16 {
            rate.sample(tick * 100, tick * 50);
        }
        assert_eq!(rate.per_second(), 500);
        for tick in 17..=33 {
            rate.sample(tick * 100, 16 * 50);
        }
        assert_eq!(rate.per_second(), 0);
    }
}
