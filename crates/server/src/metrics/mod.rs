//! The metrics endpoint: what INFO tells, and what is counted for each command, for Prometheus.
//!
//! ```text
//!   metrics thread:  HTTP ── a scrape ──> text <── counters of commands, read where reactors count them
//!                             │             ^
//!                          mailbox          │ a page of INFO
//!                             v             │
//!   first reactor:  ......... at the end of a turn ...
//! ```
//!
//! The thread never locks a partition: a page of INFO, which looks at all of them, is written by the first reactor, as if a client
//! had asked for it. While a script keeps everybody waiting there is none, and the rest is told without it.

mod exposition;
mod http;

use crate::commands::info;
use crate::config::{ApplyHook, Config};
use crate::message::Message;
use crate::reactor::Reactor;
use crate::server::Server;
use kinovar_command::Db;
use kinovar_command::keyspace::Locked;
use kinovar_io::clock;
use std::collections::BTreeSet;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What a reactor is to write a page of INFO into.
pub type Scrape = oneshot::Sender<String>;

/// The endpoint, if there is one.
#[derive(Default)]
pub struct Metrics {
    running: Mutex<Option<Running>>,
}

/// Its thread; it ends when this is dropped.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens the endpoint that the configuration asks for, if it does.
fn listen(config: &Config) -> Result<Option<TcpListener>, String> {
    if config.metrics_port == 0 {
        return Ok(None);
    }
    let (host, port) = (config.metrics_bind.as_str(), config.metrics_port);
    let host = if host == "*" { "0.0.0.0" } else { host };
    let open = || -> io::Result<TcpListener> {
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let listener = TcpListener::bind(&addresses[..])?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map(Some).map_err(|error| {
        let error = kinovar_io::net::error_text(&error);
        format!("Could not open the metrics endpoint at {host}:{port}: {error}")
    })
}

/// Opens the endpoint at the start.
///
/// # Errors
/// What the log should say before the process ends.
pub fn start(server: &'static Server, config: &Config) -> Result<(), String> {
    let listener = listen(config)?;
    server.metrics.replace(server, listener).map_err(|error| format!("Can't start a thread: {error}"))
}

impl Metrics {
    fn replace(&self, server: &'static Server, listener: Option<TcpListener>) -> io::Result<()> {
        let running = match listener {
            None => None,
            Some(listener) => {
                let (stop, stopped) = oneshot::channel();
                let thread = std::thread::Builder::new()
                    .name("metrics".to_owned())
                    .spawn(move || http::serve(server, listener, stopped))?;
                Some(Running { stop: Some(stop), thread: Some(thread) })
            }
        };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
        Ok(())
    }

    fn stop(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The parameters of the endpoint.
pub const PARAMETERS: &[&str] = &["metrics-port", "metrics-bind"];

/// Follows changes of the parameters.
pub struct Follow(pub &'static Server);

impl ApplyHook for Follow {
    fn applied(&self, changed: &[&'static str], new: &Config) -> Result<(), String> {
        let server = self.0;
        if server.mailboxes.get().is_none() {
            return Ok(());
        }
        let old = server.config();
        // Another port can be tried before the old one is given up, another address of the same port cannot.
        if !changed.contains(&"metrics-port") {
            server.metrics.stop();
        }
        let listener = listen(new);
        let outcome = match listener {
            Ok(listener) => server.metrics.replace(server, listener).map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        outcome.map_err(|reason| {
            crate::log::warning(&reason);
            if !changed.contains(&"metrics-port") {
                // It was there a moment ago.
                let _ = listen(&old).map(|listener| server.metrics.replace(server, listener));
            }
            "Unable to listen on this port. Check server logs.".to_owned()
        })
    }
}

impl Reactor {
    /// Is asked for a page of INFO; it is written at the end of the turn.
    pub(crate) fn note_scrape(&mut self, scrape: Scrape) {
        self.scrapes.push(scrape);
    }

    /// Writes the page that was asked for, unless a script is in the middle of something.
    #[cold]
    pub(crate) fn answer_scrapes(&mut self) {
        self.scrapes.retain(|scrape| !scrape.is_closed());
        if self.scrapes.is_empty() || self.server.busy.is_on() {
            return;
        }
        let now_ms = clock::unix_ms();
        let db = Db::new(&self.server.keyspace, Locked::None, 0, self.executor.env(self.server, now_ms));
        // Sizes of values are counted anew each time, and commands are told from their counters.
        let sections = info::default_sections().filter(|&name| name != "Keysizes").map(str::to_lowercase);
        let page = info::page(self.server, &db, now_ms, &sections.collect::<BTreeSet<String>>());
        for scrape in self.scrapes.drain(..) {
            // Who has given up meanwhile does not want it.
            let _ = scrape.send(page.clone());
        }
    }
}

/// Asks the first reactor for a page of INFO.
fn ask(server: &Server) -> oneshot::Receiver<String> {
    let (scrape, page) = oneshot::channel();
    server.mailbox(0).send(Message::Scrape(scrape));
    page
}
