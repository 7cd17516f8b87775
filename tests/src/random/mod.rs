//! stub
use crate::{pair::Sides, report::Report};
/// x
pub const GROUPS: &[&str] = &["string"];
/// x
pub struct Plan {
    /// x
    pub group: String,
    /// x
    pub count: usize,
    /// x
    pub seed: u64,
}
/// x
pub fn run(_: &Plan, _: &Sides) -> anyhow::Result<Report> {
    Ok(Report::default())
}
