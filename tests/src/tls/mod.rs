//! TLS: handshakes good and bad, what is refused and how, new certificates while the server runs, and data of all sizes, with
//! both engines.

pub mod certs;
pub mod client;
mod handshakes;
mod reload;
mod traffic;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::report::Report;
use crate::server::{Program, Server};
use certs::{Authority, Files};
use client::Client;

/// Everything that a server and its clients may show each other.
pub struct Papers {
    dir: PathBuf,
    /// Whom both sides trust.
    pub authority: Authority,
    /// Whom nobody trusts.
    stranger: Authority,
    /// The server's certificate.
    pub server: Files,
    /// A client's.
    pub client: Files,
}

impl Papers {
    /// New ones, in a folder of their own.
    pub fn new(name: &str) -> Result<Papers> {
        let dir = std::env::temp_dir().join(format!("kinovar-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let authority = Authority::new(&dir, "authority")?;
        let stranger = Authority::new(&dir, "stranger")?;
        let (server, client) = (authority.issue("server")?, authority.issue("client")?);
        Ok(Papers { dir, authority, stranger, server, client })
    }

    /// A client with a good certificate.
    pub fn trusted(&self) -> Result<Client> {
        Client::new(&self.authority.cert, Some(&self.client))
    }

    /// A client without one.
    pub fn anonymous(&self) -> Result<Client> {
        Client::new(&self.authority.cert, None)
    }

    /// The authority, and the client's certificate and key.
    pub fn of_client(&self) -> [&Path; 3] {
        [&self.authority.cert, &self.client.cert, &self.client.key]
    }

    /// The same as redis-cli and redis-benchmark want it.
    pub fn options(&self) -> [&str; 7] {
        let [authority, cert, key] = self.of_client().map(text);
        ["--tls", "--cacert", authority, "--cert", cert, "--key", key]
    }

    /// Starts a server with a TLS port beside its other one.
    pub fn start(&self, program: &Program, extra: &[&str]) -> Result<Secure> {
        let port = crate::server::free_port()?;
        let (port_text, cert, key) = (port.to_string(), text(&self.server.cert), text(&self.server.key));
        let authority = text(&self.authority.cert);
        let own = ["--tls-port", &port_text, "--tls-cert-file", cert, "--tls-key-file", key];
        let all = [&own[..], &["--tls-ca-cert-file", authority], extra].concat();
        Ok(Secure { server: program.start(&all)?, port })
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A server with a TLS port.
pub struct Secure {
    /// The server.
    pub server: Server,
    /// The TLS port.
    pub port: u16,
}

impl Secure {
    /// Waits until the log has `wanted`.
    fn expect_logged(&self, wanted: &str) -> Result<()> {
        crate::control::poll(|| wanted.to_owned(), || Ok(self.server.output().contains(wanted)))
            .with_context(|| format!("the log:\n{}", self.server.output()))
    }

    /// The value of a field of INFO.
    fn info(&self, field: &str) -> Result<String> {
        let reply = self.server.conn()?.must("INFO everything")?;
        let crate::resp::Reply::Bulk(text) = reply else { anyhow::bail!("INFO is no bulk") };
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).map(str::to_owned);
        line.with_context(|| format!("INFO has no {field}"))
    }
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// An error is wanted, whatever it says.
fn must_fail<T>(what: &str, outcome: Result<T>) -> Result<()> {
    ensure!(outcome.is_err(), "{what}: it was let in");
    Ok(())
}

/// The suite.
pub fn run(program: &Program) -> Result<Report> {
    let mut report = Report::default();
    let papers = Papers::new("suite")?;
    for engine in ["io_uring", "epoll"] {
        if engine == "io_uring" && !has_io_uring(program)? {
            println!("io_uring does not work here: TLS is tested with epoll alone");
            continue;
        }
        let options = ["--io-engine", engine, "--io-threads", "2"];
        handshakes::run(program, &papers, &options, &mut report);
        traffic::run(program, &papers, &options, &mut report);
    }
    reload::run(program, &papers, &mut report);
    Ok(report)
}

fn has_io_uring(program: &Program) -> Result<bool> {
    Ok(program.start(&["--io-engine", "io_uring"]).is_ok())
}
