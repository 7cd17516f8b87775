//! Command lines: whatever the words are, the server gets a configuration, an answer or a refusal.
#![no_main]

mod pretend_dir;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use kinovar_server::cli_args::{Invocation, parse};
use kinovar_server::config::{Sources, load};
use libfuzzer_sys::fuzz_target;
use pretend_dir::{PretendDir, names_files};

const STDIN: &[u8] = b"hz 9\nmaxclients 50\n";

// Words end at zero bytes, as they do in memory.
fuzz_target!(|line: &[u8]| {
    let arguments: Vec<OsString> = line.split(|&b| b == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    match parse(&arguments, &mut &*STDIN) {
        Invocation::Print { text, .. } => assert!(text.ends_with('\n')),
        Invocation::Tool(_) => {}
        Invocation::Serve(args) => {
            let Sources { stdin, options, .. } = args.sources;
            assert!(stdin.as_deref().is_none_or(|read| read == STDIN));
            if names_files(&options) {
                return;
            }
            let dir = Box::new(PretendDir(std::env::temp_dir()));
            if let Err(error) = load(&Sources { file: None, stdin, options }, dir, &|_| true) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
});
