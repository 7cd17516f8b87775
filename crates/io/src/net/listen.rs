//! Opening listening sockets.

use std::ffi::CString;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::options::{set_int, set_nodelay};
use crate::sys::{check, own};

/// Listens on one address: an IPv4 or IPv6 address or a host name; `*` is every IPv4 address, `::*`
/// every IPv6 address. The socket has `SO_REUSEADDR` but not `SO_REUSEPORT`, so that a second server
/// on the port is refused; IPv6 sockets take IPv6 only; connections inherit `TCP_NODELAY`.
///
/// # Errors
/// The resolver's or the kernel's, such as `Address already in use`.
pub fn listen_tcp(address: &str, port: u16, backlog: u32) -> io::Result<OwnedFd> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address found for the name");
    for candidate in resolve(address, port)? {
        match listen_at(&candidate, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn resolve(address: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(match address {
        "*" => vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))],
        "::*" => vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))],
        // A name without a colon stands for its IPv4 addresses, as in the reference.
        _ => {
            let wants_v6 = address.contains(':');
            let found = (address, port).to_socket_addrs()?;
            found.filter(|candidate| candidate.is_ipv6() == wants_v6).collect()
        }
    })
}

fn listen_at(address: &SocketAddr, backlog: u32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = open_socket(family)?;
    set_int(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    set_nodelay(socket.as_fd(), true)?;
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: all zeroes is a valid value of this plain structure.
            let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
            raw.sin_family = libc::AF_INET as libc::sa_family_t;
            raw.sin_port = v4.port().to_be();
            raw.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            bind(&socket, &raw)?;
        }
        SocketAddr::V6(v6) => {
            set_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
            // SAFETY: all zeroes is a valid value of this plain structure.
            let mut raw: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = v6.port().to_be();
            raw.sin6_addr.s6_addr = v6.ip().octets();
            raw.sin6_scope_id = v6.scope_id();
            bind(&socket, &raw)?;
        }
    }
    start_listening(&socket, backlog)?;
    Ok(socket)
}

/// Listens on a Unix socket, replacing a file of that name. `permissions` (such as `0o770`) are set
/// before the first connection can come in; `None` leaves them to the umask.
///
/// # Errors
/// `InvalidInput` for a path too long for a socket (107 bytes) or with a zero byte; the kernel's.
pub fn listen_unix(path: &Path, permissions: Option<u32>, backlog: u32) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let bytes = name.as_bytes_with_nul();
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut raw: libc::sockaddr_un = unsafe { mem::zeroed() };
    if bytes.len() > raw.sun_path.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "unix socket path is too long"));
    }
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = open_socket(libc::AF_UNIX)?;
    bind(&socket, &raw)?;
    if let Some(mode) = permissions {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    start_listening(&socket, backlog)?;
    Ok(socket)
}

/// Stops listening at once, whoever else holds the socket (an io_uring does until its accept is cancelled): the address is
/// free for another listener, and waiting accepts fail.
///
/// # Errors
/// The kernel's, such as `NotConnected` when it does not listen any more.
pub fn stop_listening(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) })?;
    Ok(())
}

fn open_socket(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the call creates a descriptor or fails.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// The socket address structures that `bind` may be given.
trait RawAddress {}
impl RawAddress for libc::sockaddr_in {}
impl RawAddress for libc::sockaddr_in6 {}
impl RawAddress for libc::sockaddr_un {}

fn bind<A: RawAddress>(socket: &OwnedFd, address: &A) -> io::Result<()> {
    // SAFETY: pointer and size describe a live socket address structure (sealed by the trait).
    check(unsafe {
        libc::bind(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), size_of::<A>() as libc::socklen_t)
    })?;
    Ok(())
}

fn start_listening(socket: &OwnedFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(())
}
