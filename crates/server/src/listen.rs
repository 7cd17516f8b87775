//! Opening the listeners that the configuration asks for.

use crate::config::Config;
use kinovar_io::engine::Net;
use kinovar_io::net;
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Token of the TCP listeners.
pub const TCP_TOKEN: usize = 0;
/// Token of the Unix socket.
pub const UNIX_TOKEN: usize = 1;

/// How long a starting server waits for its port. The kernel takes an io_uring apart after its process has ended, and what
/// the ring listened on stays in use until then: milliseconds, more with thousands of connections.
const PORT_WAIT: Duration = Duration::from_millis(500);

/// Opens every listener of the configuration.
///
/// # Errors
/// An address of `bind` that is not available and not marked optional by `-`; the text is what the log says.
pub fn open(config: &Config) -> Result<Vec<(OwnedFd, usize)>, String> {
    open_until(config, Instant::now())
}

/// [`open`] for a server that starts: a port that another one has just left may still be in use for a moment.
///
/// # Errors
/// As [`open`].
pub fn open_at_start(config: &Config) -> Result<Vec<(OwnedFd, usize)>, String> {
    open_until(config, Instant::now() + PORT_WAIT)
}

fn open_until(config: &Config, deadline: Instant) -> Result<Vec<(OwnedFd, usize)>, String> {
    let mut listeners = Vec::new();
    if config.port != 0 {
        listeners.extend(open_tcp(config, deadline)?.into_iter().map(|socket| (socket, TCP_TOKEN)));
    }
    if let Some(path) = &config.unixsocket {
        // A socket left behind by an earlier run would be in the way.
        let _ = std::fs::remove_file(path);
        let permissions = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
        let socket = net::listen_unix(path, permissions, config.tcp_backlog as u32)
            .map_err(|error| format!("Failed opening Unix socket: bind: {}", net::error_text(&error)))?;
        listeners.push((socket, UNIX_TOKEN));
    }
    Ok(listeners)
}

fn open_tcp(config: &Config, deadline: Instant) -> Result<Vec<OwnedFd>, String> {
    let mut sockets = Vec::new();
    for address in &config.bind {
        let (optional, address) = match address.strip_prefix('-') {
            Some(address) => (true, address),
            None => (false, address.as_str()),
        };
        match listen_until(address, config, deadline) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                let text = format!(
                    "Warning: Could not create server TCP listening socket {address}:{}: bind: {}",
                    config.port,
                    net::error_text(&error)
                );
                crate::log::warning(&text);
                let unsupported = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
                    || error.raw_os_error() == Some(libc::EAFNOSUPPORT);
                if !(optional && unsupported) {
                    return Err(format!("Failed listening on port {} (tcp), aborting.", config.port));
                }
            }
        }
    }
    if sockets.is_empty() {
        return Err(format!("Failed listening on port {} (tcp), aborting.", config.port));
    }
    Ok(sockets)
}

/// Listens on one address as soon as the port is free, until `deadline` at the latest.
fn listen_until(address: &str, config: &Config, deadline: Instant) -> io::Result<OwnedFd> {
    loop {
        match net::listen_tcp(address, config.port, config.tcp_backlog as u32) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

thread_local! {
    /// The listeners of this thread's engine, held once more. The engine closes what it gives up a turn later, and io_uring lets
    /// go of it later still: without [`release`] their addresses would not be free for those that follow.
    static LISTENING: RefCell<Vec<OwnedFd>> = const { RefCell::new(Vec::new()) };
}

/// Gives listeners to the engine of this thread.
///
/// # Errors
/// When descriptors run out.
pub fn hand_over(net: &mut Net, listeners: Vec<(OwnedFd, usize)>) -> io::Result<()> {
    for (socket, token) in listeners {
        LISTENING.with_borrow_mut(|listening| socket.try_clone().map(|copy| listening.push(copy)))?;
        net.listen(socket, token);
    }
    Ok(())
}

/// Stops listening; the addresses are free when it returns.
pub fn release() {
    for socket in LISTENING.take() {
        // What does not listen any more need not be stopped.
        let _ = net::stop_listening(socket.as_fd());
    }
}

/// Replaces the listeners of an engine.
pub fn replace(net: &mut Net, listeners: Vec<(OwnedFd, usize)>) {
    release();
    net.unlisten(TCP_TOKEN);
    net.unlisten(UNIX_TOKEN);
    if let Err(error) = hand_over(net, listeners) {
        crate::log::warning(&format!("Not all addresses are listened on: {error}"));
    }
}
