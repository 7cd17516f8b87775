//! Opening the listeners that the configuration asks for.

use crate::config::{ApplyHook, Config};
use crate::message::Message;
use crate::server::Server;
use crate::tls::{self, Tls};
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
/// Token of the TCP listeners for TLS.
pub const TLS_TOKEN: usize = 2;
/// All of them.
pub const TOKENS: &[usize] = &[TCP_TOKEN, UNIX_TOKEN, TLS_TOKEN];

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

/// Opens the listeners with one of the tokens of TCP ports.
fn open_ports(config: &Config, token: usize, deadline: Instant) -> Result<Vec<(OwnedFd, usize)>, String> {
    let (port, kind) = if token == TLS_TOKEN { (config.tls_port, "tls") } else { (config.port, "tcp") };
    if port == 0 {
        return Ok(Vec::new());
    }
    let sockets = open_tcp(config, port, deadline)
        .ok_or_else(|| format!("Failed listening on port {port} ({kind}), aborting."))?;
    Ok(sockets.into_iter().map(|socket| (socket, token)).collect())
}

fn open_until(config: &Config, deadline: Instant) -> Result<Vec<(OwnedFd, usize)>, String> {
    let mut listeners = Vec::new();
    listeners.extend(open_ports(config, TCP_TOKEN, deadline)?);
    listeners.extend(open_ports(config, TLS_TOKEN, deadline)?);
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

/// Listens on all addresses; nothing if one of them that must be there is not.
fn open_tcp(config: &Config, port: u16, deadline: Instant) -> Option<Vec<OwnedFd>> {
    let mut sockets = Vec::new();
    for address in &config.bind {
        let (optional, address) = match address.strip_prefix('-') {
            Some(address) => (true, address),
            None => (false, address.as_str()),
        };
        match listen_until(address, port, config, deadline) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                crate::log::warning(&format!(
                    "Warning: Could not create server TCP listening socket {address}:{port}: bind: {}",
                    net::error_text(&error)
                ));
                let unsupported = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
                    || error.raw_os_error() == Some(libc::EAFNOSUPPORT);
                if !(optional && unsupported) {
                    return None;
                }
            }
        }
    }
    (!sockets.is_empty()).then_some(sockets)
}

/// Listens on one address as soon as the port is free, until `deadline` at the latest.
fn listen_until(address: &str, port: u16, config: &Config, deadline: Instant) -> io::Result<OwnedFd> {
    loop {
        match net::listen_tcp(address, port, config.tcp_backlog as u32) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

impl Config {
    /// The port that the server is known by: the TLS port if there is no other.
    pub fn main_port(&self) -> u16 {
        if self.port != 0 { self.port } else { self.tls_port }
    }
}

/// Follows changes of the parameters that say where and how clients come in.
pub struct Follow(pub &'static Server);

impl ApplyHook for Follow {
    fn applied(&self, changed: &[&'static str], new: &Config) -> Result<(), String> {
        let server = self.0;
        if server.mailboxes.get().is_none() {
            return Ok(());
        }
        let concerns_tls = changed.iter().any(|name| tls::PARAMETERS.contains(name));
        let prepared = if concerns_tls { Tls::prepare(new)? } else { None };
        let has_moved = |name: &str| changed.contains(&name);
        let mut fresh = Vec::new();
        // Other ports can be tried before the old ones are given up. The old ones at other addresses cannot.
        if !has_moved("bind") || new.tls_port == 0 && has_moved("port") {
            for (name, token) in [("port", TCP_TOKEN), ("tls-port", TLS_TOKEN)] {
                if has_moved(name) {
                    fresh.push((token, open_anew(new, token)?));
                }
            }
        } else {
            server.mailbox(0).send(Message::Relisten(Box::new(new.clone())));
        }
        if let Some(prepared) = prepared {
            server.tls.adopt(prepared);
        }
        for (token, listeners) in fresh {
            server.mailbox(0).send(Message::Listen(token, listeners));
        }
        Ok(())
    }

    fn undone(&self, changed: &[&'static str], old: &Config) {
        if changed.iter().any(|name| tls::PARAMETERS.contains(name)) {
            self.0.tls.go_back();
        }
        if ["port", "bind", "tls-port"].iter().any(|name| changed.contains(name)) {
            self.0.mailbox(0).send(Message::Relisten(Box::new(old.clone())));
        }
    }
}

/// Listens on a port in addition to those that there are.
fn open_anew(config: &Config, token: usize) -> Result<Vec<(OwnedFd, usize)>, String> {
    open_ports(config, token, Instant::now()).map_err(|reason| {
        crate::log::warning(&reason);
        "Unable to listen on this port. Check server logs.".to_owned()
    })
}

thread_local! {
    /// The listeners of this thread's engine with their tokens, held once more. The engine closes what it gives up a turn later, and
    /// io_uring lets go of it later still: without [`release`] their addresses would not be free for those that follow.
    static LISTENING: RefCell<Vec<(OwnedFd, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Gives listeners to the engine of this thread.
///
/// # Errors
/// When descriptors run out.
pub fn hand_over(net: &mut Net, listeners: Vec<(OwnedFd, usize)>) -> io::Result<()> {
    for (socket, token) in listeners {
        LISTENING.with_borrow_mut(|listening| socket.try_clone().map(|copy| listening.push((copy, token))))?;
        net.listen(socket, token);
    }
    Ok(())
}

/// Stops listening with these tokens; the addresses are free when it returns.
pub fn release(tokens: &[usize]) {
    LISTENING.with_borrow_mut(|listening| {
        listening.retain(|(socket, token)| {
            let stays = !tokens.contains(token);
            if !stays {
                // What does not listen any more need not be stopped.
                let _ = net::stop_listening(socket.as_fd());
            }
            stays
        });
    });
}

/// Replaces the listeners of an engine that have these tokens.
pub fn replace(net: &mut Net, tokens: &[usize], listeners: Vec<(OwnedFd, usize)>) {
    release(tokens);
    tokens.iter().for_each(|&token| net.unlisten(token));
    if let Err(error) = hand_over(net, listeners) {
        crate::log::warning(&format!("Not all addresses are listened on: {error}"));
    }
}

/// Replaces all listeners of an engine by those of a configuration.
pub fn relisten(net: &mut Net, config: &Config) {
    replace(net, TOKENS, Vec::new());
    match open(config) {
        Ok(listeners) => replace(net, TOKENS, listeners),
        Err(reason) => crate::log::warning(&reason),
    }
}
