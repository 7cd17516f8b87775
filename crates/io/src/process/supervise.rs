//! Telling a supervisor that the server is ready.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::sys::check;

/// Sends a status such as `READY=1\n` to systemd (sd_notify(3)). False if `NOTIFY_SOCKET` is not set,
/// that is, nobody wants to know.
///
/// # Errors
/// `InvalidInput` for a socket name that is neither a path nor abstract (`@…`); the kernel's.
pub fn notify_systemd(status: &str) -> io::Result<bool> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(name) => notify(&name, status).map(|()| true),
        None => Ok(false),
    }
}

fn notify(name: &OsStr, status: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] if !rest.is_empty() => SocketAddr::from_abstract_name(rest)?,
        [b'/', _, ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is not an address")),
    };
    let sent = UnixDatagram::unbound()?.send_to_addr(status.as_bytes(), &address)?;
    if sent == status.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Stops the process until upstart, which takes this for readiness, continues it. False if
/// `UPSTART_JOB` is not set; it is removed from what children would see by the caller if it cares.
///
/// # Errors
/// The kernel's.
pub fn stop_for_upstart() -> io::Result<bool> {
    if std::env::var_os("UPSTART_JOB").is_none() {
        return Ok(false);
    }
    // SAFETY: no pointers.
    check(unsafe { libc::raise(libc::SIGSTOP) })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_gets_the_status_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("kinovar-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("kinovar-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&abstract_address).unwrap();
        for (socket, address) in [(by_path, path.as_os_str().to_owned()), (by_name, format!("@{name}").into())] {
            notify(&address, "READY=1\n").unwrap();
            let mut bytes = [0; 32];
            let count = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..count], b"READY=1\n");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(notify(&path.into_os_string(), "READY=1").is_err());
        for wrong in ["", "@", "/", "relative"] {
            assert_eq!(notify(OsStr::new(wrong), "x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
