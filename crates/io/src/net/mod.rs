//! Sockets: listening, options of accepted connections, and addresses as Redis prints them.
//!
//! Everything hands out and takes [`OwnedFd`] or a borrow, so that a socket may be registered with
//! any engine, sent to another thread, or wrapped in a `std` type.

mod endpoint;
mod listen;
mod options;

pub use endpoint::{Endpoint, local_endpoint, peer_endpoint};
pub use listen::{listen_tcp, listen_unix, stop_listening};
pub use options::{OpenFiles, raise_open_files, set_keepalive, set_mark, set_nodelay, socket_error};

use std::io;

/// The system's text for an error (`Address already in use`), without the number that
/// `io::Error` adds: the form in which Redis logs it.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) if error.raw_os_error().is_some() => text[..end].to_owned(),
        _ => text,
    }
}
