//! stub
use crate::{report::Report, server::Program};
/// x
pub struct Plan {
    /// x
    pub connections: usize,
    /// x
    pub duration: std::time::Duration,
    /// x
    pub file_limit: u64,
}
/// x
pub fn run(_: &Program, _: &Plan) -> anyhow::Result<Report> {
    Ok(Report::default())
}
