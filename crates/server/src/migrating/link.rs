//! A connection to another server.

use super::Request;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Longest line that is read of a reply; the reference reads no more of it either.
const LINE_MAX: usize = 1023;
/// So much is written before the time begins anew.
const CHUNK: usize = 64 << 10;
/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// A connection.
pub struct Link {
    host: String,
    port: u16,
    stream: TcpStream,
    /// What has come and was not looked at.
    input: Vec<u8>,
    /// The first byte of it.
    at: usize,
    /// The database that is selected there.
    pub db: Option<i64>,
    /// When it was last used.
    pub used_at: Instant,
}

/// Why there is no connection.
pub enum NoLink {
    /// The target wants none, which the reference finds out when it writes.
    Refused,
    /// Any other reason.
    Other,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// It is not possible in time.
    pub fn open(request: &Request) -> Result<Link, NoLink> {
        let addresses = (request.host.as_str(), request.port).to_socket_addrs().map_err(|_| NoLink::Other)?;
        let mut failure = NoLink::Other;
        for address in addresses {
            match connect(&address, request.timeout) {
                Ok(stream) => {
                    // Failing to set an option must not cost the connection.
                    let _ = stream.set_nodelay(true);
                    return Ok(Link {
                        host: request.host.clone(),
                        port: request.port,
                        stream,
                        input: Vec::new(),
                        at: 0,
                        db: None,
                        used_at: Instant::now(),
                    });
                }
                Err(error) => {
                    let kind = error.kind();
                    let is_refused = matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset);
                    failure = if is_refused { NoLink::Refused } else { NoLink::Other };
                }
            }
        }
        Err(failure)
    }

    /// Whether it is one to the target of a request.
    pub fn leads_to(&self, request: &Request) -> bool {
        self.port == request.port && self.host == request.host
    }

    /// Whether it can be used again: what was said was answered, and nothing else.
    pub fn is_in_step(&self) -> bool {
        self.at == self.input.len()
    }

    /// Writes.
    ///
    /// # Errors
    /// The connection is broken, or the time was over for some piece.
    pub fn write(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            let deadline = Instant::now().checked_add(timeout);
            let mut left = chunk;
            while !left.is_empty() {
                self.stream.set_write_timeout(time_left(deadline)?)?;
                match self.stream.write(left) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => left = &left[count..],
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Reads a line, without its end: up to [`LINE_MAX`] bytes.
    ///
    /// # Errors
    /// The connection is broken or too much comes before the line ends, or the time was over.
    pub fn read_line(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut line = Vec::new();
        loop {
            let rest = &self.input[self.at..];
            let end = rest.iter().position(|&byte| byte == b'\n');
            let part = &rest[..end.unwrap_or(rest.len())];
            if line.len() + part.len() > LINE_MAX {
                return Err(ErrorKind::InvalidData.into());
            }
            line.extend_from_slice(part);
            self.at += part.len();
            if end.is_some() {
                self.at += 1;
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            self.input.resize(READ_BYTES, 0);
            self.at = self.input.len();
            self.stream.set_read_timeout(time_left(deadline)?)?;
            match self.stream.read(&mut self.input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.input.truncate(count);
                    self.at = 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn connect(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(address, timeout)
}

/// What is left until a deadline, if there is one.
fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(Some(left)),
    }
}
