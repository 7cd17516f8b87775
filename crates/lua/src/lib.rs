//! The C library of Lua 5.1.5 as the server needs it, linked statically. There is nothing to call here: `mlua` has the
//! bindings, and finds the symbols in this crate. `README.md` beside the manifest lists what differs from the original.
#![forbid(unsafe_code)]
