//! The `kinovar` binary.
#![forbid(unsafe_code)]

use kinovar_server::config::{self, ConfigHandle, ProcessDir, Sources};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|word| word == "server") {
        args.remove(0);
    }
    let file = args.first().filter(|word| !word.starts_with('-')).map(std::path::PathBuf::from);
    if file.is_some() {
        args.remove(0);
    }
    let mut options = Vec::new();
    for word in &args {
        match word.strip_prefix("--") {
            Some(name) => options.extend_from_slice(format!("\n{name}").as_bytes()),
            None => {
                options.push(b' ');
                config::quote_into(&mut options, word.as_bytes());
            }
        }
    }
    let sources = Sources { file, stdin: None, options };
    let loaded = match config::load(&sources, Box::new(ProcessDir), &|_| true) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    let renames = loaded.renames.clone();
    let server = std::sync::Arc::new(kinovar_server::start::build(ConfigHandle::new(loaded), &renames).expect("build"));
    if let Err(error) = kinovar_server::start::serve(server) {
        kinovar_server::log::warning(&error);
        std::process::exit(1);
    }
}
