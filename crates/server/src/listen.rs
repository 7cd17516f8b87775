//! Opening the listeners that the configuration asks for.

use crate::config::Config;
use kinovar_io::engine::Net;
use kinovar_io::net;
use std::io;
use std::os::fd::OwnedFd;

/// Token of the TCP listeners.
pub const TCP_TOKEN: usize = 0;
/// Token of the Unix socket.
pub const UNIX_TOKEN: usize = 1;

/// Opens every listener of the configuration.
///
/// # Errors
/// An address of `bind` that is not available and not marked optional by `-`; the text is what the log says.
pub fn open(config: &Config) -> Result<Vec<(OwnedFd, usize)>, String> {
    let mut listeners = Vec::new();
    if config.port != 0 {
        listeners.extend(open_tcp(config)?.into_iter().map(|socket| (socket, TCP_TOKEN)));
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

fn open_tcp(config: &Config) -> Result<Vec<OwnedFd>, String> {
    let mut sockets = Vec::new();
    for address in &config.bind {
        let (optional, address) = match address.strip_prefix('-') {
            Some(address) => (true, address),
            None => (false, address.as_str()),
        };
        match net::listen_tcp(address, config.port, config.tcp_backlog as u32) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                let text = format!(
                    "Could not create server TCP listening socket {address}:{}: bind: {}",
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

/// Replaces the listeners of an engine.
pub fn replace(net: &mut Net, listeners: Vec<(OwnedFd, usize)>) {
    net.unlisten(TCP_TOKEN);
    net.unlisten(UNIX_TOKEN);
    for (socket, token) in listeners {
        net.listen(socket, token);
    }
}
