//! Configuration files: refused in words or read; and what CONFIG REWRITE writes is read back to the same values.
#![no_main]

mod pretend_dir;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use kinovar_server::acl::Acl;
use kinovar_server::config::{ConfigHandle, LoadError, Loaded, Sources, load};
use libfuzzer_sys::fuzz_target;
use pretend_dir::{PretendDir, names_files};

static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("kinovar-fuzz-{}", std::process::id()));
    fs::create_dir_all(&path).expect("a scratch folder");
    path
});

fn read(sources: &Sources) -> Result<Loaded, LoadError> {
    load(sources, Box::new(PretendDir(SCRATCH.clone())), &|name| ["get", "set", "config"].contains(&name))
}

fuzz_target!(|text: &[u8]| {
    if names_files(text) {
        return;
    }
    let from_stdin = read(&Sources { file: None, stdin: Some(text.to_vec()), options: Vec::new() });
    let loaded = match from_stdin {
        Err(error) => return assert!(!error.to_string().is_empty()),
        Ok(loaded) => loaded,
    };
    let users = loaded.users.clone();
    let values = ConfigHandle::new(loaded).get(&[b"*"]);
    assert!(values.len() > 100);

    let file = SCRATCH.join("kinovar.conf");
    fs::write(&file, text).expect("write the file");
    let sources = Sources { file: Some(file), stdin: None, options: Vec::new() };
    let handle = ConfigHandle::new(read(&sources).unwrap_or_else(|error| panic!("refused as a file: {error}")));
    assert_eq!(handle.get(&[b"*"]), values);
    let acl = Acl::default();
    let refused = acl.start(&handle.load(), &users).is_err();
    let lines: Vec<Vec<u8>> = acl.users().all().map(|user| user.config_line()).collect();
    handle.rewrite(&lines, text.len() % 2 == 0).expect("rewritten");
    let again = read(&sources).unwrap_or_else(|error| panic!("our own file is refused: {error}"));
    let same = Acl::default();
    // Other directives do not say which users there are, but for the file of users.
    if !refused && same.start(&handle.load(), &again.users).is_ok() {
        assert_eq!(same.users().all().map(|user| user.config_line()).collect::<Vec<_>>(), lines);
    }
    assert_eq!(ConfigHandle::new(again).get(&[b"*"]), values);
});
