//! How a command is declared.
//!
//! ```text
//! const GETDEL: Command = Command {
//!     name: "getdel",
//!     group: Group::String,
//!     arity: Arity::Exactly(2),
//!     flags: Flags::WRITE.or(Flags::FAST),
//!     keys: &[KeySpec::first(Access::RW.access().delete())],
//!     args: &[Arg::key("key", 0)],
//!     summary: "Reads a string and deletes its key.",
//!     complexity: "O(1)",
//!     since: "6.2.0",
//!     handler: getdel,
//!     ..Command::DEFAULT
//! };
//! ```

use crate::{Args, Ctx, Outcome};

/// The function that runs a command: parse every argument, operate, reply.
pub type Handler = fn(&mut Ctx<'_>, Args<'_>) -> Outcome;

/// One command, or one subcommand of a container command.
pub struct Command {
    /// Lowercase name; for a subcommand without its container's.
    pub name: &'static str,
    /// The group it is documented in.
    pub group: Group,
    /// Number of arguments, the name itself (and the container's) included.
    pub arity: Arity,
    /// What it does and when it may run.
    pub flags: Flags,
    /// ACL categories that do not follow from the flags.
    pub acl: Acl,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Finds keys that the specifications cannot describe.
    pub key_finder: Option<KeyFinder>,
    /// Which of its arguments are channels that its client needs a permission for.
    pub channels: Channels,
    /// Hints for clients and proxies, as `COMMAND INFO` lists them.
    pub tips: &'static [&'static str],
    /// Its arguments.
    pub args: &'static [Arg],
    /// One sentence.
    pub summary: &'static str,
    /// Cost.
    pub complexity: &'static str,
    /// First Redis version that has it.
    pub since: &'static str,
    /// Whether and why it should not be used any more.
    pub deprecated: Option<Deprecated>,
    /// Versions that changed it, and how.
    pub history: &'static [(&'static str, &'static str)],
    /// Subcommands of a container.
    pub subcommands: &'static [Command],
    /// Which partitions it needs locked.
    pub lock: Lock,
    /// Whether a RESP2 connection may call it although it listens to channels.
    pub while_subscribed: bool,
    /// Index of the argument that names a field or a member of the key's value, where it usually is; 0 for none. Only a
    /// hint: what it names is loaded ahead of time.
    pub member: u16,
    /// Finds the arguments that nobody is to read in the slow log or with `MONITOR`.
    pub secrets: Option<SecretFinder>,
    /// Runs at once inside a transaction, where others are queued.
    pub is_never_queued: bool,
    /// For the server's own needs and for those who look into it: `COMMAND DOCS` calls it a `syscmd`.
    pub is_internal: bool,
    /// The module that it belongs to in the reference; empty for none.
    pub module: &'static str,
    /// Runs it.
    pub handler: Handler,
}

impl Command {
    /// What a declaration need not say.
    pub const DEFAULT: Command = Command {
        name: "",
        group: Group::Generic,
        arity: Arity::AtLeast(1),
        flags: Flags::NONE,
        acl: Acl::NONE,
        keys: &[],
        key_finder: None,
        channels: Channels::None,
        tips: &[],
        args: &[],
        summary: "",
        complexity: "O(1)",
        since: "1.0.0",
        deprecated: None,
        history: &[],
        subcommands: &[],
        lock: Lock::Keys,
        while_subscribed: false,
        member: 0,
        secrets: None,
        is_never_queued: false,
        is_internal: false,
        module: "",
        handler: container_without_subcommand,
    };

    /// The command's words, as others may see them.
    pub fn shown<'a>(&self, args: &Args<'a>) -> Vec<&'a [u8]> {
        let mut words: Vec<&[u8]> = (0..args.argc()).map(|index| args.at(index)).collect();
        if let Some(find) = self.secrets {
            find(*args, &mut |index| {
                if let Some(word) = words.get_mut(index) {
                    *word = b"(redacted)";
                }
            });
        }
        words
    }

    /// ACL categories: the declared ones and those that follow from group and flags. A module declares all of its own.
    pub const fn acl_categories(&self) -> Acl {
        if self.flags.has(Flags::MODULE) {
            return self.acl;
        }
        // A container is no command of a data type: its subcommands are.
        let group = if self.subcommands.is_empty() { self.group.implied_acl() } else { Acl::NONE };
        let flags = self.flags.implied_acl();
        // Code that may not write is no read as others are.
        let flags = if self.acl.has(Acl::SCRIPTING) { flags.without(Acl::READ) } else { flags };
        self.acl.or(flags).or(group)
    }
}

/// A container is never run by itself: the registry resolves its subcommand or answers with an error.
fn container_without_subcommand(_: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Err(crate::CommandError::Syntax)
}

/// Which arguments are channels that a permission is needed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    /// None.
    None,
    /// The first.
    First,
    /// All.
    All,
    /// All, and they are patterns.
    Patterns,
}

/// Which partitions are locked while a command runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// Those of its keys; none when it has no keys.
    Keys,
    /// All of them.
    All,
    /// None: it does not touch the data.
    None,
    /// None: the handler locks one partition after the other ([`crate::Db::visit`]). All of them inside a transaction or a script.
    Walk,
}

/// How many arguments a command takes, its own name included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// Exactly so many.
    Exactly(u16),
    /// So many or more.
    AtLeast(u16),
}

impl Arity {
    /// Whether `argc` arguments are right.
    #[inline]
    pub const fn accepts(self, argc: usize) -> bool {
        match self {
            Arity::Exactly(n) => argc == n as usize,
            Arity::AtLeast(n) => argc >= n as usize,
        }
    }

    /// As `COMMAND` reports it: negative for a minimum.
    pub const fn as_reported(self) -> i64 {
        match self {
            Arity::Exactly(n) => n as i64,
            Arity::AtLeast(n) => -(n as i64),
        }
    }
}

macro_rules! bit_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$item_meta:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $name(u32);

        impl $name {
            /// Nothing.
            pub const NONE: $name = $name(0);
            bit_set!(@consts $name, 0u32; $($(#[$item_meta])* $item,)*);
            /// Every member with the word it is reported as.
            pub const ALL: &'static [($name, &'static str)] = &[$(($name::$item, $text),)*];

            /// Union.
            pub const fn or(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// Difference.
            pub const fn without(self, other: $name) -> $name {
                $name(self.0 & !other.0)
            }

            /// Whether every member of `other` is here.
            #[inline]
            pub const fn has(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// The members' words, in order of declaration.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                $name::ALL.iter().filter(move |(item, _)| self.has(*item)).map(|(_, word)| *word)
            }
        }
    };
    (@consts $name:ident, $index:expr; $(#[$meta:meta])* $item:ident, $($rest:tt)*) => {
        $(#[$meta])*
        pub const $item: $name = $name(1 << $index);
        bit_set!(@consts $name, $index + 1; $($rest)*);
    };
    (@consts $name:ident, $index:expr;) => {};
}

bit_set! {
    /// What a command does and when it may run. The order is the one `COMMAND` reports.
    Flags {
        /// May change data.
        WRITE = "write",
        /// Only reads data.
        READONLY = "readonly",
        /// May use more memory, so it is refused when none is left.
        DENYOOM = "denyoom",
        /// Calls into a module.
        MODULE = "module",
        /// Administers the server.
        ADMIN = "admin",
        /// Concerns publish and subscribe.
        PUBSUB = "pubsub",
        /// Not from a script.
        NOSCRIPT = "noscript",
        /// May block its client.
        BLOCKING = "blocking",
        /// Allowed while a data set is loaded.
        LOADING = "loading",
        /// Allowed on a replica whose data is stale.
        STALE = "stale",
        /// Not shown to `MONITOR`.
        SKIP_MONITOR = "skip_monitor",
        /// Not recorded in the slow log.
        SKIP_SLOWLOG = "skip_slowlog",
        /// Accepted in cluster mode while a slot is imported.
        ASKING = "asking",
        /// Takes constant or logarithmic time.
        FAST = "fast",
        /// Allowed before authentication.
        NO_AUTH = "no_auth",
        /// May replicate although it does not write data. `COMMAND` keeps it to itself.
        MAY_REPLICATE = "may_replicate",
        /// May be called without a key.
        NO_MANDATORY_KEYS = "no_mandatory_keys",
        /// Refused while a data set is loaded in the background.
        NO_ASYNC_LOADING = "no_async_loading",
        /// Not inside a transaction.
        NO_MULTI = "no_multi",
        /// Keys cannot all be found by position alone.
        MOVABLEKEYS = "movablekeys",
        /// Allowed while a script keeps the server busy.
        ALLOW_BUSY = "allow_busy",
    }
}

impl Flags {
    /// ACL categories that follow from the flags.
    pub const fn implied_acl(self) -> Acl {
        let mut acl = if self.has(Flags::FAST) { Acl::FAST } else { Acl::SLOW };
        if self.has(Flags::WRITE) {
            acl = acl.or(Acl::WRITE);
        }
        if self.has(Flags::READONLY) {
            acl = acl.or(Acl::READ);
        }
        if self.has(Flags::ADMIN) {
            acl = acl.or(Acl::ADMIN).or(Acl::DANGEROUS);
        }
        if self.has(Flags::PUBSUB) {
            acl = acl.or(Acl::PUBSUB);
        }
        if self.has(Flags::BLOCKING) {
            acl = acl.or(Acl::BLOCKING);
        }
        acl
    }
}

bit_set! {
    /// ACL categories. The order is the one `COMMAND` reports.
    Acl {
        /// Keys of any type.
        KEYSPACE = "@keyspace",
        /// Reads data.
        READ = "@read",
        /// Writes data.
        WRITE = "@write",
        /// Sets.
        SET = "@set",
        /// Sorted sets.
        SORTEDSET = "@sortedset",
        /// Lists.
        LIST = "@list",
        /// Hashes.
        HASH = "@hash",
        /// Strings.
        STRING = "@string",
        /// Bitmaps.
        BITMAP = "@bitmap",
        /// HyperLogLogs.
        HYPERLOGLOG = "@hyperloglog",
        /// Geospatial indexes.
        GEO = "@geo",
        /// Streams.
        STREAM = "@stream",
        /// Publish and subscribe.
        PUBSUB = "@pubsub",
        /// Administration.
        ADMIN = "@admin",
        /// Fast commands.
        FAST = "@fast",
        /// All others.
        SLOW = "@slow",
        /// May block.
        BLOCKING = "@blocking",
        /// To be granted with thought.
        DANGEROUS = "@dangerous",
        /// The connection itself.
        CONNECTION = "@connection",
        /// Transactions.
        TRANSACTION = "@transaction",
        /// Scripts and functions.
        SCRIPTING = "@scripting",
    }
}

/// Documentation group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the groups' names")]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    PubSub,
    Transactions,
    Connection,
    Server,
    Scripting,
    HyperLogLog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
    Module,
}

impl Group {
    /// As `COMMAND DOCS` reports it.
    pub const fn as_reported(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Module => "module",
        }
    }

    /// The ACL category of a data type's group; the other groups declare theirs per command.
    pub const fn implied_acl(self) -> Acl {
        match self {
            Group::String => Acl::STRING,
            Group::List => Acl::LIST,
            Group::Set => Acl::SET,
            Group::SortedSet => Acl::SORTEDSET,
            Group::Hash => Acl::HASH,
            Group::HyperLogLog => Acl::HYPERLOGLOG,
            Group::Geo => Acl::GEO,
            Group::Stream => Acl::STREAM,
            Group::Bitmap => Acl::BITMAP,
            _ => Acl::NONE,
        }
    }
}

/// Why a command should not be used any more.
#[derive(Clone, Copy, Debug)]
pub struct Deprecated {
    /// Version since which.
    pub since: &'static str,
    /// What to use instead, in Markdown.
    pub replaced_by: &'static str,
}

/// Finds the keys of a command whose specifications are incomplete: appends the positions to `keys`.
pub type KeyFinder = fn(args: Args<'_>, keys: &mut Vec<KeyAt>);

/// Calls back with the index of each argument that is a secret.
pub type SecretFinder = fn(args: Args<'_>, found: &mut dyn FnMut(usize));

/// A key's position among the arguments (0 is the command's name) and what is done to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyAt {
    /// Index of the argument.
    pub index: u32,
    /// What the command does to it.
    pub access: Access,
}

/// Where some keys of a command are, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What the command does to these keys.
    pub access: Access,
    /// Where to begin.
    pub begin: Begin,
    /// Which arguments from there on are keys.
    pub find: Find,
    /// A remark that `COMMAND INFO` shows.
    pub notes: &'static str,
}

impl KeySpec {
    /// One key, the first argument.
    pub const fn first(access: Access) -> KeySpec {
        KeySpec::at(1, access)
    }

    /// One key, at `index`.
    pub const fn at(index: u16, access: Access) -> KeySpec {
        KeySpec::range(index, 0, 1, access)
    }

    /// From `index` to the argument `last` steps after it, or, when negative, to that place from the end.
    pub const fn range(index: u16, last: i16, step: u16, access: Access) -> KeySpec {
        KeySpec { access, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, notes: "" }
    }

    /// As many keys as the number at `index` says, right after it.
    pub const fn counted(index: u16, access: Access) -> KeySpec {
        let find = Find::KeyNum { num_index: 0, first: 1, step: 1 };
        KeySpec { access, begin: Begin::Index(index), find, notes: "" }
    }

    /// Keys that no rule describes; see [`Command::key_finder`].
    pub const fn unknown(access: Access, notes: &'static str) -> KeySpec {
        KeySpec { access, begin: Begin::Unknown, find: Find::Unknown, notes }
    }

    /// The same with a remark.
    pub const fn with_notes(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }
}

/// Where a key specification begins.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this argument.
    Index(u16),
    /// After this keyword, searched from `start_from` (from the end when negative).
    Keyword {
        /// The word.
        keyword: &'static str,
        /// Where the search starts.
        start_from: i16,
    },
    /// Not describable.
    Unknown,
}

/// Which arguments are keys, relative to the beginning.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// A range.
    Range {
        /// Last key, relative to the first, or to the end when negative.
        last: i16,
        /// Distance from key to key.
        step: u16,
        /// With `last == -1`: take only one in `limit` parts of the rest (0 and 1: all).
        limit: u16,
    },
    /// A counted list.
    KeyNum {
        /// Where the count is.
        num_index: u16,
        /// Where the first key is.
        first: u16,
        /// Distance from key to key.
        step: u16,
    },
    /// Not describable.
    Unknown,
}

bit_set! {
    /// What a command does to a key. The order is the one `COMMAND INFO` reports.
    Access {
        /// Read only.
        RO = "RO",
        /// Read and written.
        RW = "RW",
        /// Overwritten whatever it was.
        OW = "OW",
        /// Removed.
        RM = "RM",
        /// Data of the value may be returned or copied.
        ACCESS = "access",
        /// Data of the value may be changed.
        UPDATE = "update",
        /// Data may be added to the value.
        INSERT = "insert",
        /// Data may be removed from the value.
        DELETE = "delete",
        /// Not a key but routed like one.
        NOT_KEY = "not_key",
        /// Other keys may be touched as well.
        INCOMPLETE = "incomplete",
        /// Depends on the arguments.
        VARIABLE_FLAGS = "variable_flags",
    }
}

impl Access {
    /// With [`Access::ACCESS`].
    pub const fn access(self) -> Access {
        self.or(Access::ACCESS)
    }

    /// With [`Access::UPDATE`].
    pub const fn update(self) -> Access {
        self.or(Access::UPDATE)
    }

    /// With [`Access::INSERT`].
    pub const fn insert(self) -> Access {
        self.or(Access::INSERT)
    }

    /// With [`Access::DELETE`].
    pub const fn delete(self) -> Access {
        self.or(Access::DELETE)
    }
}

/// One argument, as `COMMAND DOCS` describes it.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Name.
    pub name: &'static str,
    /// Kind of value.
    pub kind: ArgKind,
    /// The word that introduces it, or is it.
    pub token: Option<&'static str>,
    /// What to show instead of the name.
    pub display: Option<&'static str>,
    /// Index of its key specification.
    pub key_spec: Option<u16>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Repeated with its token.
    pub multiple_token: bool,
    /// Version that added it; empty when as old as the command.
    pub since: &'static str,
    /// Version that deprecated it; empty when none did.
    pub deprecated_since: &'static str,
    /// One sentence; mostly empty.
    pub summary: &'static str,
}

/// Kind of an argument.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names are the reported types")]
pub enum ArgKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    /// One of these.
    OneOf(&'static [Arg]),
    /// All of these, in order.
    Block(&'static [Arg]),
}

impl Arg {
    /// An argument of `kind`.
    pub const fn new(name: &'static str, kind: ArgKind) -> Arg {
        Arg {
            name,
            kind,
            token: None,
            display: None,
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: "",
            deprecated_since: "",
            summary: "",
        }
    }

    /// A key, found by the `spec`th key specification.
    pub const fn key(name: &'static str, spec: u16) -> Arg {
        Arg { key_spec: Some(spec), ..Arg::new(name, ArgKind::Key) }
    }

    /// A string.
    pub const fn string(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Integer)
    }

    /// A double.
    pub const fn double(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Double)
    }

    /// A glob pattern.
    pub const fn pattern(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::Pattern)
    }

    /// A point in time.
    pub const fn unix_time(name: &'static str) -> Arg {
        Arg::new(name, ArgKind::UnixTime)
    }

    /// A word by itself.
    pub const fn word(name: &'static str, token: &'static str) -> Arg {
        Arg { token: Some(token), ..Arg::new(name, ArgKind::PureToken) }
    }

    /// One of several.
    pub const fn one_of(name: &'static str, of: &'static [Arg]) -> Arg {
        Arg::new(name, ArgKind::OneOf(of))
    }

    /// Several in a row.
    pub const fn block(name: &'static str, of: &'static [Arg]) -> Arg {
        Arg::new(name, ArgKind::Block(of))
    }

    /// Introduced by a word.
    pub const fn token(self, token: &'static str) -> Arg {
        Arg { token: Some(token), ..self }
    }

    /// May be left out.
    pub const fn optional(self) -> Arg {
        Arg { optional: true, ..self }
    }

    /// May be repeated.
    pub const fn multiple(self) -> Arg {
        Arg { multiple: true, ..self }
    }

    /// Repeated with its token.
    pub const fn multiple_token(self) -> Arg {
        Arg { multiple: true, multiple_token: true, ..self }
    }

    /// Added in this version.
    pub const fn since(self, version: &'static str) -> Arg {
        Arg { since: version, ..self }
    }

    /// Deprecated in this version.
    pub const fn deprecated_since(self, version: &'static str) -> Arg {
        Arg { deprecated_since: version, ..self }
    }

    /// Shown under another name.
    pub const fn display(self, display: &'static str) -> Arg {
        Arg { display: Some(display), ..self }
    }

    /// Explained.
    pub const fn summary(self, summary: &'static str) -> Arg {
        Arg { summary, ..self }
    }
}
