//! Compiles Lua and what the server adds to it. Needs a C compiler and nothing else.

use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut build = cc::Build::new();
    build.include(root.join("lua-5.1.5")).warnings(false);
    // The default of the C library's `longjmp` is kept: frames of the host are never jumped over.
    build.flag_if_supported("-fno-common").define("LUA_USE_ULONGJMP", None);
    for dir in ["lua-5.1.5", "host"] {
        for file in c_files(&root.join(dir)) {
            build.file(file);
        }
        println!("cargo::rerun-if-changed={dir}");
    }
    // A script that loops must not cost more than elsewhere because the server is built for debugging.
    build.opt_level(2).compile("kinovar_lua");
    println!("cargo::rustc-link-lib=m");
}

fn c_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    files.sort();
    files
}
