//! TLS for clients, by rustls.
//!
//! | module | what it is |
//! |---|---|
//! | `configure` | from parameters to what rustls makes connections of |
//! | `files` | certificates and private keys from their files |
//! | `suites` | cipher suites by the names that OpenSSL has for them |
//! | `sessions` | sessions that clients may resume |
//! | `link` | one connection, without a socket |
//! | `serve` | what a reactor does with such connections |

mod configure;
mod files;
pub mod link;
mod serve;
mod sessions;
mod suites;

use crate::clients::ClientInfo;
use crate::config::Config;
use rustls::ServerConfig;
use std::sync::{Arc, Mutex, PoisonError};

use link::Link;
pub use serve::Handshakes;

/// The parameters whose change makes another configuration.
pub const PARAMETERS: &[&str] = &[
    "tls-port",
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-auth-clients",
    "tls-protocols",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
    "tls-session-cache-size",
    "tls-session-cache-timeout",
];

impl Config {
    /// Whether protected mode keeps a client out that has no part of this machine.
    pub fn protects_from(&self, client: &ClientInfo) -> bool {
        self.protected_mode && !client.is_unix && !client.is_loopback
    }
}

/// What CONFIG SET answers when the new configuration is not to be had.
pub const REFUSED: &str = "Unable to update TLS configuration. Check server logs.";

/// What new connections are made of.
#[derive(Default)]
pub struct Tls {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<ServerConfig>>,
    /// What it was before, for a CONFIG SET that is undone: the files may have changed.
    previous: Option<Arc<ServerConfig>>,
}

/// A configuration that is ready to be used, and not in use yet.
pub struct Prepared(Arc<ServerConfig>);

impl Tls {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection.
    ///
    /// # Errors
    /// TLS was never configured, which a TLS port rules out; or those of rustls.
    pub fn link(&self) -> Result<Link, rustls::Error> {
        let current = self.state().current.clone();
        Link::new(current.ok_or_else(|| rustls::Error::General("there is no TLS configuration".to_owned()))?)
    }

    /// Builds what the parameters ask for; nothing if there is no TLS port.
    ///
    /// # Errors
    /// They cannot be met; the log says why.
    pub fn prepare(config: &Config) -> Result<Option<Prepared>, &'static str> {
        if config.tls_port == 0 {
            return Ok(None);
        }
        match configure::build(&config.tls) {
            Ok(built) => Ok(Some(Prepared(Arc::new(built)))),
            Err(reason) => {
                crate::log::warning(&reason);
                Err(REFUSED)
            }
        }
    }

    /// Has new connections made of this.
    pub fn adopt(&self, prepared: Prepared) {
        let mut state = self.state();
        state.previous = state.current.replace(prepared.0);
    }

    /// Goes back to what it was before [`Tls::adopt`]. (The files may have changed since that was built.)
    pub fn go_back(&self) {
        let mut state = self.state();
        if let Some(previous) = state.previous.take() {
            state.current = Some(previous);
        }
    }
}
