//! What code promises or asks for, as its first line or its registration says.

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u8);

impl Flags {
    /// It writes nothing.
    pub const NO_WRITES: Flags = Flags(1);
    /// It may run when memory is short, and must see to it by itself.
    pub const ALLOW_OOM: Flags = Flags(2);
    /// It may run on a replica that has lost its primary.
    pub const ALLOW_STALE: Flags = Flags(4);
    /// It must not run in a cluster.
    pub const NO_CLUSTER: Flags = Flags(8);
    /// Its keys may be of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Flags = Flags(16);
    /// It touches no keys but those it is given, so that only these are locked. This one is ours.
    pub const DECLARED_KEYS_ONLY: Flags = Flags(32);

    /// No flag.
    pub const NONE: Flags = Flags(0);

    /// The flag of that name.
    pub fn named(name: &[u8]) -> Option<Flags> {
        NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|&(_, flag)| flag)
    }

    /// Names of the flags that are set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |&&(_, flag)| self.has(flag)).map(|&(name, _)| name)
    }

    /// Whether all flags of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// With those of `other`.
    #[must_use]
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Names, in the order in which they are listed.
const NAMES: &[(&str, Flags)] = &[
    ("no-writes", Flags::NO_WRITES),
    ("allow-oom", Flags::ALLOW_OOM),
    ("allow-stale", Flags::ALLOW_STALE),
    ("no-cluster", Flags::NO_CLUSTER),
    ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT_KEYS),
    ("declared-keys-only", Flags::DECLARED_KEYS_ONLY),
];
