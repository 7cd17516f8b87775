//! Loading data before a measurement, the same for both sides: commands in pipelines over one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kinovar_tests::server::Server;

use super::load::count_replies;

/// Commands under way at a time.
const PIPELINE: usize = 200;

/// A key of sixteen bytes.
pub fn key(n: usize) -> String {
    format!("key:{n:012}")
}

/// A member, field or element of sixteen bytes, as redis-benchmark names them.
pub fn element(n: usize) -> String {
    format!("ele:{n:012}")
}

/// A number that goes with `n` and looks random, below `bound`: the same in every run.
pub fn scattered(n: usize, bound: usize) -> usize {
    let mut x = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) % bound as u64) as usize
}

/// Appends one request.
pub fn request(out: &mut Vec<u8>, args: &[&str]) {
    write!(out, "*{}\r\n", args.len()).expect("writing to memory does not fail");
    for arg in args {
        write!(out, "${}\r\n{arg}\r\n", arg.len()).expect("writing to memory does not fail");
    }
}

/// Sends `count` requests; `render` appends the n-th.
pub fn fill(port: u16, count: usize, mut render: impl FnMut(usize, &mut Vec<u8>)) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect to load data")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut out = Vec::new();
    let mut replies = Replies { buf: vec![0; 256 * 1024], filled: 0 };
    let mut n = 0;
    while n < count {
        let batch = PIPELINE.min(count - n);
        out.clear();
        (n..n + batch).for_each(|i| render(i, &mut out));
        stream.write_all(&out)?;
        replies.wait(&mut stream, batch)?;
        n += batch;
    }
    Ok(())
}

struct Replies {
    buf: Vec<u8>,
    filled: usize,
}

impl Replies {
    fn wait(&mut self, stream: &mut TcpStream, mut due: usize) -> Result<()> {
        while due > 0 {
            let got = stream.read(&mut self.buf[self.filled..]).context("replies while loading data")?;
            ensure!(got > 0, "the server closed the connection while data was loaded");
            self.filled += got;
            let (replies, used) = count_replies(&self.buf[..self.filled])?;
            self.buf.copy_within(used..self.filled, 0);
            self.filled -= used;
            due = due.checked_sub(replies).context("more replies than requests")?;
        }
        Ok(())
    }
}

/// Resident bytes once they have stopped changing: background freeing and rehashing are over.
pub fn settled_rss(server: &Server) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut last = server.rss_bytes()?;
    let mut steady = 0;
    while steady < 6 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
        let now = server.rss_bytes()?;
        steady = if now.abs_diff(last) < 64 * 1024 { steady + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}
