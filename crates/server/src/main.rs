//! The `kinovar` binary.
#![forbid(unsafe_code)]

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let server = std::sync::Arc::new(kinovar_server::start::build(kinovar_server::config::from_args()).expect("build"));
    kinovar_server::start::serve(server).expect("serve");
}
