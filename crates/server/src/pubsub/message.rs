//! A message as subscribers read it.

use kinovar_command::{Protocol, Reply};

/// A message to a channel, in RESP2. In RESP3 only the first byte differs: it is a push, not an array.
pub struct Encoded {
    bytes: Box<[u8]>,
    /// Where the channel and the payload begin, which follow the pattern where one matched.
    tail: usize,
}

/// The first byte of a push in RESP3.
pub const PUSH: u8 = b'>';

impl Encoded {
    /// `message CHANNEL PAYLOAD`, or `smessage`.
    pub fn new(shard: bool, channel: &[u8], payload: &[u8]) -> Encoded {
        let mut bytes = Vec::with_capacity(64 + channel.len() + payload.len());
        let mut reply = Reply::new(&mut bytes, Protocol::Resp2);
        reply.push(3);
        reply.bulk(if shard { b"smessage" } else { b"message" });
        let tail = reply.position();
        reply.bulk(channel);
        reply.bulk(payload);
        Encoded { bytes: bytes.into(), tail }
    }

    /// For subscribers of the channel.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For subscribers of a pattern, behind the pattern's [`pattern_head`].
    pub fn tail(&self) -> &[u8] {
        &self.bytes[self.tail..]
    }
}

/// `pmessage PATTERN`, in RESP2: what stands in front of the [tail](Encoded::tail) of a message.
pub fn pattern_head(pattern: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::new();
    let mut reply = Reply::new(&mut bytes, Protocol::Resp2);
    reply.push(4);
    reply.bulk(b"pmessage");
    reply.bulk(pattern);
    bytes.into()
}
