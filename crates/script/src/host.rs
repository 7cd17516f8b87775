//! What a script needs of the world around it, and what it is given to start with.

use kinovar_ds::loan::Lent;
use kinovar_resp::{Protocol, Span};

/// What a script reaches through `redis.*`.
pub trait Host {
    /// Runs a command and shows `reader` its reply, as `protocol` spells it. What goes wrong is an error reply.
    fn call(&mut self, command: &Words, protocol: Protocol, reader: &mut dyn FnMut(&[u8]));

    /// Whether the user may run `command`; `None` if there is no such command or its arguments are too few.
    fn is_allowed(&mut self, command: &Words) -> Option<bool>;

    /// Writes to the server's log.
    fn log(&mut self, level: LogLevel, text: &[u8]);

    /// Says where effects of the commands that follow go: bit 0 to the append-only file, bit 1 to replicas.
    fn set_replication(&mut self, targets: u8);

    /// Asked again and again while the script runs, every [`WATCH_PERIOD`] instructions. It may take its time to answer: what
    /// asks can be left in the middle, with its whole fiber. With a text, the script ends with that error.
    fn watch(&mut self) -> Option<&'static str>;
}

/// Instructions of the interpreter between two questions to [`Host::watch`].
pub const WATCH_PERIOD: u32 = 100_000;

/// [`Host`] as something to be lent.
pub(crate) struct Hosts;

impl Lent for Hosts {
    type With<'a> = &'a mut (dyn Host + 'a);
}

/// Importance of a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the names of `loglevel`")]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// Words of a command, end to end in one buffer that is used again.
#[derive(Default, Debug)]
pub struct Words {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Room that a buffer keeps between two calls.
pub(crate) const KEPT_BYTES: usize = 64 << 10;

impl Words {
    /// No words.
    pub fn new() -> Words {
        Words::default()
    }

    /// Forgets the words, keeps a modest amount of memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.spans.clear();
        self.spans.shrink_to(KEPT_BYTES / 8);
    }

    /// Adds a word.
    ///
    /// # Errors
    /// When the words together exceed 4 GiB.
    pub fn push(&mut self, word: &[u8]) -> Result<(), TooLong> {
        let (start, len) = (u32::try_from(self.bytes.len()), u32::try_from(word.len()));
        let (Ok(start), Ok(len)) = (start, len) else { return Err(TooLong) };
        self.bytes.extend_from_slice(word);
        self.spans.push(Span { start, len });
        Ok(())
    }

    /// The buffer that the spans refer to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each word is.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The words in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|span| span.of(&self.bytes))
    }
}

/// More bytes than a command can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

/// Keys and arguments that a script is started with.
#[derive(Default, Debug)]
pub struct Parameters {
    /// Each word as its length in four bytes and then itself.
    packed: Vec<u8>,
    keys: u32,
    arguments: u32,
}

impl Parameters {
    /// Copies what the client sent.
    ///
    /// # Panics
    /// When a word is longer than 4 GiB.
    pub fn new<'a>(keys: impl Iterator<Item = &'a [u8]>, arguments: impl Iterator<Item = &'a [u8]>) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.set(keys, arguments);
        parameters
    }

    /// Replaces what is there; keeps a modest amount of memory.
    ///
    /// # Panics
    /// When a word is longer than 4 GiB.
    pub fn set<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>, arguments: impl Iterator<Item = &'a [u8]>) {
        let parameters = self;
        parameters.packed.clear();
        parameters.packed.shrink_to(KEPT_BYTES);
        (parameters.keys, parameters.arguments) = (0, 0);
        keys.for_each(|key| {
            parameters.pack(key);
            parameters.keys += 1;
        });
        arguments.for_each(|argument| {
            parameters.pack(argument);
            parameters.arguments += 1;
        });
    }

    fn pack(&mut self, word: &[u8]) {
        let len = u32::try_from(word.len()).expect("a word of a request has less than 4 GiB");
        self.packed.extend_from_slice(&len.to_ne_bytes());
        self.packed.extend_from_slice(word);
    }

    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    pub(crate) fn keys(&self) -> u32 {
        self.keys
    }

    pub(crate) fn arguments(&self) -> u32 {
        self.arguments
    }
}
