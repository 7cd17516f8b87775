//! stub
use crate::{pair::Sides, report::Report, server::Program};
use std::path::Path;
/// x
pub fn redis_py(_: &Program, _: &Path) -> anyhow::Result<Report> {
    Ok(Report::default())
}
/// x
pub fn redis_benchmark(_: &Program, _: &Path) -> anyhow::Result<Report> {
    Ok(Report::default())
}
/// x
pub fn redis_cli(_: &Sides, _: &Path) -> anyhow::Result<Report> {
    Ok(Report::default())
}
