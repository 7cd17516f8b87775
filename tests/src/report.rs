//! What a suite hands back: how many checks passed, and the text of each that did not.

/// The outcome of a suite; reports add up.
#[derive(Debug, Default)]
pub struct Report {
    /// Checks that held.
    pub passed: usize,
    /// One entry per check that did not, ready to print.
    pub failures: Vec<String>,
    /// Differences that `tests/diff/known.txt` lists and justifies.
    pub known: usize,
}

impl Report {
    /// Counts a check; the text is made only for a failure.
    pub fn check(&mut self, held: bool, failure: impl FnOnce() -> String) {
        if held {
            self.passed += 1;
        } else {
            self.failures.push(failure());
        }
    }

    /// Counts a fallible step as one check.
    pub fn step(&mut self, name: &str, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => self.failures.push(format!("{name}: {error:#}")),
        }
    }

    /// Adds another suite's outcome.
    pub fn merge(&mut self, other: Report) {
        self.passed += other.passed;
        self.known += other.known;
        self.failures.extend(other.failures);
    }
}
