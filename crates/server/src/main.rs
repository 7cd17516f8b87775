//! The `kinovar` binary.
#![forbid(unsafe_code)]

use kinovar_server::cli_args::{self, Invocation};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: kinovar_io::allocator::Jemalloc = kinovar_io::allocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match cli_args::parse(&arguments, &mut std::io::stdin()) {
        Invocation::Serve(server) => kinovar_server::lifecycle::run(&server),
        Invocation::Tool(tool) => ExitCode::from(tool.run()),
        Invocation::Print { text, to_stderr, code } => {
            // Whoever closed the stream does not want to read it.
            let _ = if to_stderr {
                std::io::stderr().write_all(text.as_bytes())
            } else {
                std::io::stdout().write_all(text.as_bytes())
            };
            ExitCode::from(code)
        }
    }
}
