//! stub
use crate::args::Args;
pub fn run(_: &Args) -> anyhow::Result<()> {
    Ok(())
}
