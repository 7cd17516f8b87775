//! One blocking connection to a server: commands out, decoded replies in, every wait bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::quote::words;
use crate::resp::{Reply, decode, encode};
use crate::tls;

/// How long a reply may take before the server counts as hung.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection is made of.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tls::client::Stream>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(bytes),
            Stream::Tls(stream) => stream.read(bytes),
        }
    }
}

/// A connection with its own read buffer.
pub struct Conn {
    stream: Stream,
    buf: Vec<u8>,
    at: usize,
}

impl Conn {
    /// Connects to a port of this machine.
    pub fn open(port: u16) -> Result<Conn> {
        let stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connect to port {port}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Conn { stream: Stream::Plain(stream), buf: Vec::new(), at: 0 })
    }

    /// A connection over TLS.
    pub fn over_tls(stream: tls::client::Stream) -> Conn {
        Conn { stream: Stream::Tls(Box::new(stream)), buf: Vec::new(), at: 0 }
    }

    /// What is below TLS; nothing for a plain connection.
    pub fn tls(&mut self) -> Option<&mut tls::client::Stream> {
        match &mut self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(stream),
        }
    }

    /// Changes how long a reply may take.
    pub fn set_timeout(&self, limit: Duration) -> Result<()> {
        self.stream.socket().set_read_timeout(Some(limit))?;
        Ok(self.stream.socket().set_write_timeout(Some(limit))?)
    }

    /// Switches to RESP `version` with HELLO.
    pub fn hello(&mut self, version: u8) -> Result<()> {
        let reply = self.call(&words(&format!("HELLO {version}")))?;
        if reply.is_error() { bail!("HELLO {version}: {}", crate::show::show(&reply)) } else { Ok(()) }
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("send")
    }

    /// Sends a command without waiting for its reply.
    pub fn send(&mut self, args: &[Vec<u8>]) -> Result<()> {
        let mut out = Vec::new();
        encode(&mut out, args);
        self.send_raw(&out)
    }

    /// Sends a command and waits for its reply.
    pub fn call(&mut self, args: &[Vec<u8>]) -> Result<Reply> {
        self.send(args)?;
        self.read().with_context(|| format!("reply to {}", crate::quote::join(args)))
    }

    /// [`Conn::call`] with the command as a line.
    pub fn line(&mut self, line: &str) -> Result<Reply> {
        self.call(&words(line))
    }

    /// [`Conn::line`] where an error reply is an error here too.
    pub fn must(&mut self, line: &str) -> Result<Reply> {
        let reply = self.line(line)?;
        if reply.is_error() { bail!("{line}: {}", crate::show::show(&reply)) } else { Ok(reply) }
    }

    /// Sends all commands, then reads all replies. Keep a batch well under a socket buffer, since nothing is read
    /// while it is being sent.
    pub fn pipeline(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>> {
        self.send_all(commands)?;
        commands
            .iter()
            .map(|args| self.read().with_context(|| format!("reply to {}", crate::quote::join(args))))
            .collect()
    }

    /// Sends commands together.
    pub fn send_all(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<()> {
        let mut out = Vec::new();
        commands.iter().for_each(|args| encode(&mut out, args));
        self.send_raw(&out)
    }

    /// The next reply.
    pub fn read(&mut self) -> Result<Reply> {
        loop {
            if let Some((reply, used)) = decode(&self.buf[self.at..])? {
                self.at += used;
                self.compact();
                return Ok(reply);
            }
            if self.fill()? == 0 {
                bail!("the server closed the connection");
            }
        }
    }

    /// A reply that is here already; nothing when there is none, however soon it may come.
    pub fn try_read(&mut self) -> Result<Option<Reply>> {
        loop {
            if let Some((reply, used)) = decode(&self.buf[self.at..])? {
                self.at += used;
                self.compact();
                return Ok(Some(reply));
            }
            self.stream.socket().set_nonblocking(true)?;
            let got = self.fill();
            self.stream.socket().set_nonblocking(false)?;
            match got {
                Ok(0) => bail!("the server closed the connection"),
                Ok(_) => {}
                Err(error) => match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                    Some(ErrorKind::WouldBlock) => return Ok(None),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Waits until the server closes the connection; whatever it still sends is dropped.
    pub fn wait_closed(&mut self) -> Result<()> {
        loop {
            match self.fill() {
                Ok(0) => return Ok(()),
                Ok(_) => self.at = self.buf.len(),
                Err(error) => match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                    Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return Ok(()),
                    _ => return Err(error),
                },
            }
        }
    }

    fn compact(&mut self) {
        if self.at == self.buf.len() {
            self.buf.clear();
            self.at = 0;
        } else if self.at > 1 << 20 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
    }

    fn fill(&mut self) -> Result<usize> {
        let old = self.buf.len();
        // Grows with what is pending, so that a reply of n bytes is decoded O(log n) times.
        self.buf.resize(old + (old - self.at).max(64 * 1024), 0);
        let got = self.stream.read(&mut self.buf[old..]);
        self.buf.truncate(old + *got.as_ref().unwrap_or(&0));
        Ok(got?)
    }
}
