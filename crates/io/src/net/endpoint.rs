//! Addresses of sockets, printed as clients see them in `CLIENT LIST`.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::sys::check;

/// One end of a connection. Displayed as `127.0.0.1:6379`, `[::1]:6379` or `/path/to/socket:0`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// TCP over either version of IP.
    Tcp(SocketAddr),
    /// A Unix socket; the path is empty for the unnamed end of a connection.
    Unix(PathBuf),
}

impl Endpoint {
    /// Whether the other end can only be on this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Endpoint::Tcp(address) => address.ip().is_loopback(),
            Endpoint::Unix(_) => true,
        }
    }

    /// The address alone; the path for a Unix socket.
    pub fn host(&self) -> String {
        match self {
            Endpoint::Tcp(address) => address.ip().to_string(),
            Endpoint::Unix(path) => path.display().to_string(),
        }
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Tcp(address) => address.port(),
            Endpoint::Unix(_) => 0,
        }
    }

    /// The IP address, if any.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Tcp(address) => Some(address.ip()),
            Endpoint::Unix(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(SocketAddr::V6(v6)) => write!(f, "[{}]:{}", v6.ip(), v6.port()),
            Endpoint::Tcp(v4) => v4.fmt(f),
            Endpoint::Unix(path) => write!(f, "{}:0", path.display()),
        }
    }
}

/// The far end. For a connection accepted on a Unix socket, whose far end has no name, the path that
/// it connected to.
///
/// # Errors
/// The kernel's; `NotConnected` once the peer is gone.
pub fn peer_endpoint(socket: BorrowedFd<'_>) -> io::Result<Endpoint> {
    match endpoint(socket, libc::getpeername)? {
        Endpoint::Unix(path) if path.as_os_str().is_empty() => local_endpoint(socket),
        far => Ok(far),
    }
}

/// The near end: the address that the client connected to, or that a listener is bound to.
///
/// # Errors
/// The kernel's.
pub fn local_endpoint(socket: BorrowedFd<'_>) -> io::Result<Endpoint> {
    endpoint(socket, libc::getsockname)
}

type NameCall = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

fn endpoint(socket: BorrowedFd<'_>, call: NameCall) -> io::Result<Endpoint> {
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut raw: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut size = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the structure is large enough for every address and its size is passed along.
    check(unsafe { call(socket.as_raw_fd(), (&raw mut raw).cast(), &raw mut size) })?;
    match i32::from(raw.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure it is; the storage is aligned for it.
            let v4 = unsafe { &*(&raw const raw).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Ok(Endpoint::Tcp(SocketAddr::from((ip, u16::from_be(v4.sin_port)))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const raw).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Ok(Endpoint::Tcp(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into()))
        }
        libc::AF_UNIX => {
            // SAFETY: as above.
            let unix = unsafe { &*(&raw const raw).cast::<libc::sockaddr_un>() };
            Ok(Endpoint::Unix(unix_path(unix)))
        }
        family => {
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("address family {family} is neither IP nor Unix")))
        }
    }
}

/// The path up to its terminating zero. The structure was zeroed, so an unnamed socket (for which
/// the kernel writes the family only) gives an empty path.
fn unix_path(raw: &libc::sockaddr_un) -> PathBuf {
    let bytes: Vec<u8> = raw.sun_path.iter().map(|&c| c.cast_unsigned()).take_while(|&byte| byte != 0).collect();
    PathBuf::from(OsStr::from_bytes(&bytes))
}
