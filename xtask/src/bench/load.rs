//! The load generator: one thread, one epoll instance, requests rendered before the clock starts.
//!
//! Every connection has one batch of `pipeline` requests under way; when its last reply is in, the next batch goes out.
//! Replies are counted by a scanner that knows just enough RESP2, so that the generator costs a fraction of the server
//! and the server stays saturated.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::histogram::Histogram;
use crate::sys::Poll;

/// Requests rendered beforehand: as many as there are keys, so that the server's caches see all of them.
const RENDERED: usize = 1_000_000;
/// Bytes that rendering may take.
const RENDERED_BYTES: usize = 192 << 20;
/// A server that is silent for so long is hung.
const SILENCE: Duration = Duration::from_secs(30);

/// Batches of requests, ready to send.
pub struct Batches {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    pipeline: usize,
}

impl Batches {
    /// Renders batches of `pipeline` requests; `request` appends the n-th.
    pub fn render(pipeline: usize, mut request: impl FnMut(usize, &mut Vec<u8>)) -> Batches {
        let mut batches = Batches { bytes: Vec::new(), ends: Vec::new(), pipeline };
        let mut n = 0;
        while n < RENDERED && batches.bytes.len() < RENDERED_BYTES {
            for _ in 0..pipeline {
                request(n, &mut batches.bytes);
                n += 1;
            }
            batches.ends.push(batches.bytes.len());
        }
        batches
    }

    fn get(&self, i: usize) -> &[u8] {
        let i = i % self.ends.len();
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }
}

/// What a round of load came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests answered.
    pub requests: u64,
    /// How long it took.
    pub seconds: f64,
    /// Time from sending a batch to its last reply.
    pub latency: Histogram,
}

struct Lane {
    stream: TcpStream,
    pending: usize,
    tail: Vec<u8>,
    sent: Instant,
}

/// Connections with batches under way.
pub struct Generator<'a> {
    lanes: Vec<Lane>,
    poll: Poll,
    batches: &'a Batches,
    next: usize,
    /// No batch from this one on is sent.
    limit: usize,
    listeners: Vec<TcpStream>,
    heard_bytes: u64,
    buf: Vec<u8>,
}

impl<'a> Generator<'a> {
    /// Opens `connections`, dealt out to the ports in turn.
    pub fn new(ports: &[u16], connections: usize, batches: &'a Batches) -> Result<Generator<'a>> {
        let poll = Poll::new()?;
        let mut lanes = Vec::new();
        for i in 0..connections {
            let stream =
                TcpStream::connect(("127.0.0.1", ports[i % ports.len()])).context("connect the load generator")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            poll.add(stream.as_raw_fd(), i as u64)?;
            lanes.push(Lane { stream, pending: 0, tail: Vec::new(), sent: Instant::now() });
        }
        // Every server starts elsewhere in the batches, so that two runs do not follow the same path.
        let (listeners, buf) = (Vec::new(), vec![0; 256 * 1024]);
        Ok(Generator { lanes, poll, batches, next: 0, limit: usize::MAX, listeners, heard_bytes: 0, buf })
    }

    /// Sends each batch once at most; a round ends early when all are sent.
    pub fn once(mut self) -> Generator<'a> {
        self.limit = self.batches.ends.len();
        self
    }

    /// Opens `count` more connections that send `request`, get `reply_bytes` for it and then whatever the server sends.
    pub fn listen(&mut self, port: u16, count: usize, request: &[u8], reply_bytes: usize) -> Result<()> {
        for _ in 0..count {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect a listener")?;
            stream.write_all(request)?;
            stream.set_read_timeout(Some(SILENCE))?;
            stream.read_exact(&mut self.buf[..reply_bytes]).context("the reply to a listener")?;
            stream.set_nonblocking(true)?;
            self.poll.add(stream.as_raw_fd(), (self.lanes.len() + self.listeners.len()) as u64)?;
            self.listeners.push(stream);
        }
        Ok(())
    }

    /// Reads on until listeners have received so many bytes in all since they were opened.
    pub fn hear_out(&mut self, bytes: u64) -> Result<()> {
        let (mut ready, end) = (Vec::new(), Instant::now() + SILENCE);
        while self.heard_bytes < bytes {
            ensure!(Instant::now() < end, "listeners got {} bytes, not {bytes}", self.heard_bytes);
            self.poll.wait(100, &mut ready)?;
            for &token in &ready {
                self.hear(token as usize - self.lanes.len())?;
            }
        }
        ensure!(self.heard_bytes == bytes, "listeners got {} bytes, not {bytes}", self.heard_bytes);
        Ok(())
    }

    fn hear(&mut self, listener: usize) -> Result<()> {
        match self.listeners[listener].read(&mut self.buf) {
            Ok(0) => bail!("the server closed a listener's connection"),
            Ok(n) => self.heard_bytes += n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("read messages"),
        }
        Ok(())
    }

    /// Keeps all connections busy for `duration`, then waits for the replies still due.
    pub fn run(&mut self, duration: Duration) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let start = Instant::now();
        let end = start + duration;
        let mut busy = 0;
        while busy < self.lanes.len() && self.next < self.limit {
            self.send(busy)?;
            busy += 1;
        }
        let mut ready = Vec::new();
        let mut heard = Instant::now();
        while busy > 0 {
            self.poll.wait(1000, &mut ready)?;
            let now = Instant::now();
            if !ready.is_empty() {
                heard = now;
            }
            ensure!(now - heard < SILENCE, "no reply for {SILENCE:?}");
            for &token in &ready {
                let lane = token as usize;
                if lane >= self.lanes.len() {
                    self.hear(lane - self.lanes.len())?;
                    continue;
                }
                if !self.receive(lane)? {
                    continue;
                }
                let now = Instant::now();
                outcome.latency.record((now - self.lanes[lane].sent).as_nanos() as u64);
                outcome.requests += self.batches.pipeline as u64;
                if now < end && self.next < self.limit {
                    self.send(lane)?;
                } else {
                    busy -= 1;
                }
            }
        }
        outcome.seconds = start.elapsed().as_secs_f64();
        Ok(outcome)
    }

    fn send(&mut self, lane: usize) -> Result<()> {
        let batch = self.batches.get(self.next);
        self.next += 1;
        let lane = &mut self.lanes[lane];
        lane.pending = self.batches.pipeline;
        lane.sent = Instant::now();
        let mut rest = batch;
        // The server has read all that was sent before, so the socket has room; a retry is the exception.
        while !rest.is_empty() {
            match lane.stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(error).context("send a batch"),
            }
        }
        Ok(())
    }

    /// Reads what is there; true when the lane's last reply is in.
    fn receive(&mut self, lane: usize) -> Result<bool> {
        let lane = &mut self.lanes[lane];
        let kept = lane.tail.len();
        self.buf[..kept].copy_from_slice(&lane.tail);
        let got = match lane.stream.read(&mut self.buf[kept..]) {
            Ok(0) => bail!("the server closed a connection of the load generator"),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("read replies"),
        };
        let (replies, used) = count_replies(&self.buf[..kept + got])?;
        lane.tail.clear();
        lane.tail.extend_from_slice(&self.buf[used..kept + got]);
        ensure!(replies <= lane.pending, "more replies than requests");
        lane.pending -= replies;
        Ok(replies > 0 && lane.pending == 0)
    }
}

/// Whole replies at the start of `buf` and the bytes they take. Errors fail the bench: they would be fast.
pub fn count_replies(buf: &[u8]) -> Result<(usize, usize)> {
    let (mut replies, mut used) = (0, 0);
    while let Some(end) = skip(buf, used)? {
        used = end;
        replies += 1;
    }
    Ok((replies, used))
}

/// The position behind the reply at `at`, or nothing while it is incomplete.
fn skip(buf: &[u8], at: usize) -> Result<Option<usize>> {
    let Some(&kind) = buf.get(at) else { return Ok(None) };
    let Some(len) = buf[at..].iter().position(|&b| b == b'\n') else { return Ok(None) };
    let (head, next) = (&buf[at + 1..(at + len).saturating_sub(1).max(at + 1)], at + len + 1);
    match kind {
        b'+' | b':' => Ok(Some(next)),
        b'$' => {
            let n = number(head);
            let end = if n < 0 { next } else { next + n as usize + 2 };
            Ok((end <= buf.len()).then_some(end))
        }
        b'*' => {
            let mut end = next;
            for _ in 0..number(head) {
                match skip(buf, end)? {
                    Some(after) => end = after,
                    None => return Ok(None),
                }
            }
            Ok(Some(end))
        }
        _ => bail!("the server answered {:?}", String::from_utf8_lossy(&buf[at..at + len])),
    }
}

fn number(text: &[u8]) -> i64 {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let value = digits.iter().fold(0i64, |n, d| n * 10 + i64::from(d - b'0'));
    if digits.len() < text.len() { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_whole() {
        let all = b"+OK\r\n$3\r\nabc\r\n$-1\r\n:12\r\n*2\r\n$1\r\na\r\n:1\r\n";
        assert_eq!(count_replies(all).unwrap(), (5, all.len()));
        for cut in 0..all.len() {
            let (replies, used) = count_replies(&all[..cut]).unwrap();
            assert!(replies < 5 && used <= cut);
        }
        assert!(count_replies(b"-ERR no\r\n").is_err());
    }

    #[test]
    fn batches_come_round() {
        let batches = Batches::render(2, |n, out| out.push(n as u8));
        assert_eq!(batches.get(1), [2, 3]);
        assert_eq!(batches.get(batches.ends.len()), [0, 1]);
    }
}
