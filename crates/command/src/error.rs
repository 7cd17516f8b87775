//! Error replies. Their texts are a contract with clients: shared ones live here, those of a single command beside it.

use std::borrow::Cow;

/// A command's failure: the error reply to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// Options that do not exist, contradict each other or lack their value.
    Syntax,
    /// Not a canonical integer in range.
    NotInteger,
    /// Not a finite or infinite double.
    NotFloat,
    /// The key must exist.
    NoSuchKey,
    /// A list or database index that does not exist.
    IndexOutOfRange,
    /// The sum does not fit a 64-bit integer.
    Overflow,
    /// The sum is not a number, or infinite.
    NanOrInfinity,
    /// The value would be longer than `proto-max-bulk-len`.
    StringTooLong,
    /// An expiry that is zero, negative or beyond the calendar, in this command.
    InvalidExpire(&'static str),
    /// The command, as `name` or `container|sub`, takes another number of arguments.
    WrongArity(Box<str>),
    /// Source and destination are the same object.
    SameObject,
    /// The database index is not one.
    InvalidDbIndex,
    /// A cursor that is not a number.
    InvalidCursor,
    /// An integer that must be positive.
    MustBePositive,
    /// The connection must authenticate first.
    NoAuth,
    /// A script keeps everybody waiting.
    Busy,
    /// The data is being loaded.
    Loading,
    /// The reply would take more memory than one client may cost the server.
    ReplyTooLarge,
    /// Any other text, with its code in front.
    Text(Cow<'static, str>),
    /// Any other bytes, with their code in front: the text quotes what the client sent.
    Bytes(Vec<u8>),
}

impl CommandError {
    /// An error of one command: `text` starts with its code.
    pub const fn text(text: &'static str) -> CommandError {
        CommandError::Text(Cow::Borrowed(text))
    }

    /// An error whose text is put together; starts with its code.
    pub fn owned(text: String) -> CommandError {
        CommandError::Text(Cow::Owned(text))
    }

    /// A container's subcommand `name` does not exist or takes other arguments.
    pub fn wrong_subcommand_arguments(container: &str, name: &[u8]) -> CommandError {
        let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
        text.extend_from_slice(crate::until_nul(&name[..name.len().min(128)]));
        text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
        CommandError::Bytes(text)
    }

    /// The bytes after `-` and before the line end.
    pub fn message(&self) -> Cow<'_, [u8]> {
        let text: &'static str = match self {
            CommandError::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            CommandError::Syntax => "ERR syntax error",
            CommandError::NotInteger => "ERR value is not an integer or out of range",
            CommandError::NotFloat => "ERR value is not a valid float",
            CommandError::NoSuchKey => "ERR no such key",
            CommandError::IndexOutOfRange => "ERR index out of range",
            CommandError::Overflow => "ERR increment or decrement would overflow",
            CommandError::NanOrInfinity => "ERR increment would produce NaN or Infinity",
            CommandError::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            CommandError::SameObject => "ERR source and destination objects are the same",
            CommandError::InvalidDbIndex => "ERR invalid DB index",
            CommandError::InvalidCursor => "ERR invalid cursor",
            CommandError::MustBePositive => "ERR value is out of range, must be positive",
            CommandError::ReplyTooLarge => "ERR value is out of range, the reply would be too large",
            CommandError::Busy => {
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
            }
            CommandError::Loading => "LOADING Redis is loading the dataset in memory",
            CommandError::NoAuth => "NOAUTH Authentication required.",
            CommandError::InvalidExpire(command) => {
                return Cow::Owned(format!("ERR invalid expire time in '{command}' command").into_bytes());
            }
            CommandError::WrongArity(command) => {
                return Cow::Owned(format!("ERR wrong number of arguments for '{command}' command").into_bytes());
            }
            CommandError::Text(text) => return Cow::Borrowed(text.as_bytes()),
            CommandError::Bytes(bytes) => return Cow::Borrowed(bytes),
        };
        Cow::Borrowed(text.as_bytes())
    }

    /// The error's code: the first word of its message, as `INFO errorstats` counts it.
    pub fn code(&self) -> String {
        let message = self.message();
        let word = message.split(|&byte| byte == b' ').next().unwrap_or(b"ERR");
        String::from_utf8_lossy(word).into_owned()
    }
}

impl From<kinovar_keyspace::Unavailable> for CommandError {
    fn from(_: kinovar_keyspace::Unavailable) -> Self {
        CommandError::Busy
    }
}

impl From<kinovar_keyspace::WrongType> for CommandError {
    fn from(_: kinovar_keyspace::WrongType) -> Self {
        CommandError::WrongType
    }
}
