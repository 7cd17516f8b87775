//! Temporary.
#![allow(missing_docs)]
pub fn warning(t: &str) {
    eprintln!("# {t}")
}
pub fn notice(t: &str) {
    eprintln!("* {t}")
}
pub fn verbose(t: &str) {
    eprintln!("- {t}")
}
