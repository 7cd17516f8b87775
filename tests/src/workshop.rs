//! The workshop's commands, replayed through both servers in order; what a newcomer types must answer as in the text's
//! reference. `tests/workshop.txt` is the list, in the format of the scripts.

use anyhow::Result;

use crate::known::Known;
use crate::pair::Sides;
use crate::report::Report;
use crate::script::{self, Script};

/// Runs the list in both protocols.
pub fn run(sides: &Sides) -> Result<Report> {
    let script = Script::load(&crate::tests_dir().join("workshop.txt"))?;
    script::run(&script, sides, &Known::load()?)
}
