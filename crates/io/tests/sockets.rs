//! Listeners, options and addresses.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use kinovar_io::net::*;

fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> i32 {
    let (mut value, mut size) = (0i32, 4);
    // SAFETY: the pointers are to a live integer and its size.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut size) };
    assert_eq!(result, 0);
    value
}

fn has_ipv6() -> bool {
    let works = TcpListener::bind("[::1]:0").is_ok();
    if !works {
        eprintln!("SKIPPED for IPv6, which this machine does not have");
    }
    works
}

#[test]
fn a_second_server_is_refused() {
    let first = listen_tcp("127.0.0.1", 0, 16).unwrap();
    let port = local_endpoint(first.as_fd()).unwrap().port();
    for address in ["127.0.0.1", "*"] {
        let error = listen_tcp(address, port, 16).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(error_text(&error), "Address already in use");
    }
    drop(first);
    listen_tcp("127.0.0.1", port, 16).unwrap();
}

#[test]
fn addresses_that_do_not_exist() {
    assert_eq!(listen_tcp("203.0.113.7", 0, 16).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    assert!(listen_tcp("", 0, 16).is_err());
    assert!(listen_tcp("no such host", 0, 16).is_err());
}

#[test]
fn tcp_endpoints_and_inherited_options() {
    let listener = TcpListener::from(listen_tcp("*", 0, 16).unwrap());
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (accepted, from) = listener.accept().unwrap();
    let (near, far) = (local_endpoint(accepted.as_fd()).unwrap(), peer_endpoint(accepted.as_fd()).unwrap());
    assert_eq!(near.to_string(), format!("127.0.0.1:{port}"));
    assert_eq!(far.to_string(), from.to_string());
    assert_eq!((far.host().as_str(), far.port()), ("127.0.0.1", client.local_addr().unwrap().port()));
    assert!(far.is_loopback() && far.ip().is_some());
    assert_eq!(option(accepted.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY), 1);
    set_nodelay(accepted.as_fd(), false).unwrap();
    assert_eq!(option(accepted.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY), 0);
}

#[test]
fn ipv6_is_bracketed_and_apart_from_ipv4() {
    if !has_ipv6() {
        return;
    }
    let six = TcpListener::from(listen_tcp("::*", 0, 16).unwrap());
    let port = six.local_addr().unwrap().port();
    // The same port on IPv4 is still to be had.
    let _four = listen_tcp("*", port, 16).unwrap();
    let client = TcpStream::connect(("::1", port)).unwrap();
    let far = peer_endpoint(client.as_fd()).unwrap();
    assert_eq!(far.to_string(), format!("[::1]:{port}"));
    assert_eq!(far.host(), "::1");
    assert!(far.is_loopback());
}

#[test]
fn keepalive_is_split_in_thirds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let tcp = |name| option(client.as_fd(), libc::IPPROTO_TCP, name);
    set_keepalive(client.as_fd(), 0).unwrap();
    assert_eq!(option(client.as_fd(), libc::SOL_SOCKET, libc::SO_KEEPALIVE), 0);
    for (interval, probe) in [(300, 100), (2, 1)] {
        set_keepalive(client.as_fd(), interval).unwrap();
        assert_eq!(option(client.as_fd(), libc::SOL_SOCKET, libc::SO_KEEPALIVE), 1);
        assert_eq!(tcp(libc::TCP_KEEPIDLE), interval as i32);
        assert_eq!((tcp(libc::TCP_KEEPINTVL), tcp(libc::TCP_KEEPCNT)), (probe, 3));
    }
    assert!(socket_error(client.as_fd()).unwrap().is_none());
}

#[test]
fn a_mark_needs_a_privilege() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    set_mark(listener.as_fd(), 0).unwrap();
    match set_mark(listener.as_fd(), 0x8000_0001) {
        Ok(()) => {
            assert_eq!(option(listener.as_fd(), libc::SOL_SOCKET, libc::SO_MARK).cast_unsigned(), 0x8000_0001)
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
    }
}

#[test]
fn unix_sockets() {
    let path = std::env::temp_dir().join(format!("kinovar-sockets-{}", std::process::id()));
    std::fs::write(&path, "left by a crashed server").unwrap();
    let listener = UnixListener::from(listen_unix(&path, Some(0o740), 16).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o740);
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let expected = format!("{}:0", path.display());
    for end in [
        local_endpoint(accepted.as_fd()).unwrap(),
        peer_endpoint(accepted.as_fd()).unwrap(),
        peer_endpoint(client.as_fd()).unwrap(),
    ] {
        assert_eq!(end.to_string(), expected);
        assert!(end.is_loopback() && end.ip().is_none());
        assert_eq!((end.host(), end.port()), (path.display().to_string(), 0));
    }
    std::fs::remove_file(&path).unwrap();
    let long = std::env::temp_dir().join("x".repeat(120));
    assert_eq!(listen_unix(&long, None, 16).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(listen_unix("/nonexistent-directory/socket".as_ref(), None, 16).is_err());
}
