//! All declarations together: lookup by name and key extraction.

use crate::{Access, Args, Begin, Command, CommandError, Find, Flags, KeyAt, KeySpec};

/// A command with what is derived from its declaration.
pub struct Entry {
    /// The declaration.
    pub command: &'static Command,
    /// The container it belongs to.
    pub container: Option<&'static Command>,
    /// `get`, or `config|get`.
    pub full_name: String,
    /// Dense number, in order of declaration: an index for per-command statistics.
    pub id: usize,
    /// Ids of the subcommands.
    pub subcommands: Vec<usize>,
    /// How to find its keys quickly.
    plan: KeyPlan,
}

/// The key specifications of a command, boiled down.
#[derive(Clone, Copy, Debug)]
enum KeyPlan {
    None,
    /// One key at this place.
    One(u16, Access),
    /// Anything else.
    General,
}

/// Why a name was not resolved.
#[derive(Debug)]
pub enum Unresolved {
    /// No such command.
    Command,
    /// The container has no such subcommand.
    Subcommand(usize),
}

/// Every command, by name.
pub struct Registry {
    entries: Vec<Entry>,
    names: NameTable,
    /// Entry ids of the top-level commands, sorted by name.
    top_level: Vec<usize>,
}

impl Registry {
    /// All commands of `tables`. `renames` gives other names to top-level commands; an empty one removes the command.
    ///
    /// # Panics
    /// When two commands have the same name: a mistake in the declarations.
    pub fn new(tables: &[&'static [Command]], renames: &[(String, String)]) -> Registry {
        let mut entries: Vec<Entry> = Vec::new();
        let mut named: Vec<(String, usize)> = Vec::new();
        for command in tables.iter().copied().flatten() {
            let id = entries.len();
            let renamed = renames.iter().rev().find(|(from, _)| from.eq_ignore_ascii_case(command.name));
            let name = renamed.map_or(command.name, |(_, to)| to).to_ascii_lowercase();
            entries.push(Entry::new(command, None, id));
            for subcommand in command.subcommands {
                let sub_id = entries.len();
                entries.push(Entry::new(subcommand, Some(command), sub_id));
                entries[id].subcommands.push(sub_id);
            }
            if !name.is_empty() {
                named.push((name, id));
            }
        }
        named.sort();
        let names = NameTable::new(&named);
        Registry { entries, names, top_level: named.into_iter().map(|(_, id)| id).collect() }
    }

    /// Commands and subcommands, by id.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The top-level commands, by name.
    pub fn top_level(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.top_level.iter().map(|&id| &self.entries[id])
    }

    /// The top-level command called `name`, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        self.names.find(name).map(|id| &self.entries[id])
    }

    /// The subcommand of `container` called `name`, in any case.
    pub fn find_subcommand(&self, container: &Entry, name: &[u8]) -> Option<&Entry> {
        let same = |id: &&usize| self.entries[**id].command.name.as_bytes().eq_ignore_ascii_case(name);
        container.subcommands.iter().find(same).map(|&id| &self.entries[id])
    }

    /// The command that `args` calls: the subcommand where the name is a container's and a second word follows.
    #[inline]
    pub fn resolve(&self, args: &Args<'_>) -> Result<&Entry, Unresolved> {
        let entry = self.find(args.at(0)).ok_or(Unresolved::Command)?;
        if entry.subcommands.is_empty() || args.argc() < 2 {
            return Ok(entry);
        }
        self.find_subcommand(entry, args.at(1)).ok_or(Unresolved::Subcommand(entry.id))
    }

    /// Looks a name up that may be `container|sub`.
    pub fn find_full(&self, name: &[u8]) -> Option<&Entry> {
        let mut parts = name.splitn(2, |&byte| byte == b'|');
        let entry = self.find(parts.next()?)?;
        match parts.next() {
            None => Some(entry),
            Some(subcommand) => self.find_subcommand(entry, subcommand),
        }
    }
}

impl Entry {
    fn new(command: &'static Command, container: Option<&'static Command>, id: usize) -> Entry {
        let full_name = match container {
            Some(container) => format!("{}|{}", container.name, command.name),
            None => command.name.to_owned(),
        };
        Entry { command, container, full_name, id, subcommands: Vec::new(), plan: KeyPlan::of(command) }
    }

    /// How many leading arguments are names: 2 for a subcommand.
    #[inline]
    pub fn name_words(&self) -> usize {
        1 + usize::from(self.container.is_some())
    }

    /// An error when the number of arguments is wrong.
    #[inline]
    pub fn check_arity(&self, argc: usize) -> Result<(), CommandError> {
        if self.command.arity.accepts(argc) {
            return Ok(());
        }
        Err(CommandError::WrongArity(self.full_name.as_str().into()))
    }

    /// The place of the command's only key, if that is how its keys are declared.
    #[inline]
    pub fn single_key(&self) -> Option<(usize, Access)> {
        match self.plan {
            KeyPlan::One(index, access) => Some((index as usize, access)),
            KeyPlan::None | KeyPlan::General => None,
        }
    }

    /// Whether the command has keys at all.
    pub fn has_keys(&self) -> bool {
        !matches!(self.plan, KeyPlan::None)
    }

    /// First and last key and their distance, as the legacy fields of `COMMAND` report them; zeros when no range covers the
    /// keys.
    pub fn legacy_range(&self) -> (i64, i64, i64) {
        // The specifications that are plain ranges must join up.
        let mut ranges = self.command.keys.iter().filter_map(KeySpec::as_legacy_range);
        let Some((first, mut last, step)) = ranges.next() else { return (0, 0, 0) };
        for (next_first, next_last, _) in ranges {
            if last >= 0 && next_first == last + 1 {
                last = next_last;
            }
        }
        (first, last, step)
    }

    /// Whether every count of keys among the arguments is the number of keys there are.
    pub fn counts_are_valid(&self, args: &Args<'_>) -> bool {
        self.command.keys.iter().all(|spec| match (spec.begin, spec.find) {
            (Begin::Index(index), Find::KeyNum { num_index, first, step }) => {
                let begin = usize::from(index);
                let at = begin + usize::from(num_index);
                let count = (at < args.argc()).then(|| count_of_keys(args.at(at))).flatten();
                count.is_some_and(|count| {
                    let needed = (count.max(0) as u64).saturating_mul(step.into());
                    let least = i64::from(!self.command.flags.has(Flags::NO_MANDATORY_KEYS));
                    count >= least && begin as u64 + u64::from(first) + needed <= args.argc() as u64
                })
            }
            _ => true,
        })
    }

    /// Appends the places of the keys that permissions are about, and what is done to them, as the reference finds them: where
    /// the arguments do not say where one of the keys is, there are none, and the handler will refuse the arguments.
    pub fn guarded_keys(&self, args: Args<'_>, keys: &mut Vec<KeyAt>) {
        let specs = || self.command.keys.iter().filter(|spec| !spec.access.has(Access::NOT_KEY));
        let start = keys.len();
        if specs().next().is_some() && specs().all(|spec| spec.is_complete() && spec.find_strictly(args, keys)) {
            return;
        }
        keys.truncate(start);
        match self.command.key_finder {
            Some(finder) => finder(args, keys),
            None if specs().any(KeySpec::has_count) => {
                // A count that is read leniently says nothing of what is done to the keys.
                let (counted, others) = specs().partition::<Vec<&KeySpec>, _>(|spec| spec.has_count());
                counted.iter().chain(&others).for_each(|spec| spec.find(args, keys));
                if !self.counts_are_valid(&args) {
                    keys.truncate(start);
                }
                keys[start..].iter_mut().for_each(|key| key.access = Access::NONE);
            }
            None if specs().all(|spec| !spec.is_complete()) => specs().for_each(|spec| spec.find(args, keys)),
            None => {}
        }
    }

    /// Appends the places of all keys to `keys`. Places named by malformed arguments (a count that is not one, or is too
    /// large) are left out: the handler will refuse the arguments.
    pub fn keys(&self, args: Args<'_>, keys: &mut Vec<KeyAt>) {
        match (self.plan, self.command.key_finder) {
            (KeyPlan::None, None) => {}
            (_, Some(finder)) => finder(args, keys),
            (KeyPlan::One(index, access), None) => {
                if usize::from(index) < args.argc() {
                    keys.push(KeyAt { index: u32::from(index), access });
                }
            }
            (_, None) => {
                for spec in self.command.keys {
                    spec.find(args, keys);
                }
            }
        }
    }
}

impl KeyPlan {
    fn of(command: &Command) -> KeyPlan {
        match command.keys {
            // Routed like keys in a cluster, but no data.
            [KeySpec { access, .. }] if access.has(Access::NOT_KEY) => KeyPlan::None,
            [] if command.key_finder.is_none() => KeyPlan::None,
            // A key finder beside a complete specification only refines what is done to the key.
            [KeySpec { access, begin: Begin::Index(index), find: Find::Range { last: 0, .. }, .. }] => {
                KeyPlan::One(*index, *access)
            }
            _ => KeyPlan::General,
        }
    }
}

impl KeySpec {
    /// First, last and step, as the legacy fields of `COMMAND` report them; `None` when not a plain range from an index.
    pub fn as_legacy_range(&self) -> Option<(i64, i64, i64)> {
        match (self.begin, self.find) {
            (Begin::Index(index), Find::Range { last, step, .. }) => {
                let first = i64::from(index);
                let last = if last < 0 { i64::from(last) } else { first + i64::from(last) };
                Some((first, last, i64::from(step)))
            }
            _ => None,
        }
    }

    /// Whether it tells all there is to know of its keys.
    pub fn is_complete(&self) -> bool {
        let (begin, find) = (self.begin, self.find);
        let is_known = !matches!(begin, Begin::Unknown) && !matches!(find, Find::Unknown);
        is_known && !self.access.has(Access::INCOMPLETE) && !self.access.has(Access::VARIABLE_FLAGS)
    }

    /// Whether it counts its keys.
    fn has_count(&self) -> bool {
        matches!(self.find, Find::KeyNum { .. })
    }

    /// Like [`KeySpec::find`]; whether there are some, and all of them among the arguments.
    fn find_strictly(&self, args: Args<'_>, keys: &mut Vec<KeyAt>) -> bool {
        let before = keys.len();
        if let Find::KeyNum { num_index, .. } = self.find {
            let count = self.begin(args).map(|begin| begin + usize::from(num_index)).filter(|&at| at < args.argc());
            if count.is_none_or(|at| kinovar_resp::number::parse_i64(args.at(at)).is_none()) {
                return false;
            }
        }
        if let Find::Range { last: last @ 0.., .. } = self.find
            && self.begin(args).is_some_and(|begin| begin + last as usize >= args.argc())
        {
            return false;
        }
        self.find(args, keys);
        keys.len() > before
    }

    /// Appends the places of the keys that it describes.
    pub fn find(&self, args: Args<'_>, keys: &mut Vec<KeyAt>) {
        let Some(begin) = self.begin(args) else { return };
        let mut push = |from: usize, to: usize, step: u16| {
            let places = (from..=to.min(args.argc().saturating_sub(1))).step_by(usize::from(step.max(1)));
            keys.extend(places.map(|index| KeyAt { index: index as u32, access: self.access }));
        };
        match self.find {
            Find::Unknown => {}
            Find::Range { last, step, limit } if last < 0 => {
                let argc = args.argc() as i64;
                let parts = i64::from(limit.max(1));
                // `limit` 2 takes the first half of what follows, and so on.
                let end = begin as i64 + (argc - begin as i64) / parts + i64::from(last);
                let end = if limit <= 1 { argc + i64::from(last) } else { end };
                if end >= begin as i64 {
                    push(begin, end as usize, step);
                }
            }
            Find::Range { last, step, .. } => push(begin, begin + last as usize, step),
            Find::KeyNum { num_index, first, step } => {
                let at = begin + usize::from(num_index);
                let count = (at < args.argc()).then(|| count_of_keys(args.at(at))).flatten();
                let first = begin + usize::from(first);
                if let Some(count) = count
                    && count > 0
                    && let Some(end) = first.checked_add((count as usize - 1).saturating_mul(usize::from(step)))
                    && end < args.argc()
                {
                    push(first, end, step);
                }
            }
        }
    }

    fn begin(&self, args: Args<'_>) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => Some(usize::from(index)),
            Begin::Unknown => None,
            Begin::Keyword { keyword, start_from } => {
                let is_keyword = |index: &usize| args.at(*index).eq_ignore_ascii_case(keyword.as_bytes());
                let found = if start_from >= 0 {
                    (start_from as usize..args.argc()).find(is_keyword)
                } else {
                    (1..=args.argc().saturating_sub(start_from.unsigned_abs() as usize)).rev().find(is_keyword)
                };
                found.map(|index| index + 1)
            }
        }
    }
}

/// A count of keys as C's `atoi` reads it: blanks and a sign may stand in front, anything behind. What is too lenient here
/// is refused by the command itself.
fn count_of_keys(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut value = 0i64;
    for &byte in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
    }
    Some(if negative { -value } else { value })
}

/// Command names in an open-addressed table of fixed-size words: a lookup compares three integers and no bytes.
struct NameTable {
    slots: Vec<Option<(Name, u32)>>,
    /// Names too long for a slot. No command has one, unless it was renamed to something nobody can guess.
    long: Vec<(String, u32)>,
}

/// A lowercase name of up to 23 bytes, zero padded, and its length.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name([u64; 3]);

impl Name {
    #[inline]
    fn new(name: &[u8]) -> Option<Name> {
        if name.len() > 23 {
            return None;
        }
        let mut bytes = [0u8; 24];
        bytes[23] = name.len() as u8;
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Some(Name([word(0), word(8), word(16)]))
    }

    #[inline]
    fn slot(self, mask: usize) -> usize {
        let mixed =
            (self.0[0] ^ self.0[1].rotate_left(23) ^ self.0[2].rotate_left(41)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as usize & mask
    }
}

impl NameTable {
    fn new(names: &[(String, usize)]) -> NameTable {
        let size = (names.len() * 4).next_power_of_two().max(16);
        let (mut slots, mut long) = (vec![None; size], Vec::new());
        for (text, id) in names {
            let Some(name) = Name::new(text.as_bytes()) else {
                long.push((text.clone(), *id as u32));
                continue;
            };
            let mut at = name.slot(size - 1);
            while let Some((other, _)) = slots[at] {
                assert!(other != name, "two commands are called {text}");
                at = (at + 1) & (size - 1);
            }
            slots[at] = Some((name, *id as u32));
        }
        NameTable { slots, long }
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        let Some(name) = Name::new(name) else { return self.find_long(name) };
        let mask = self.slots.len() - 1;
        let mut at = name.slot(mask);
        while let Some((candidate, id)) = self.slots[at] {
            if candidate == name {
                return Some(id as usize);
            }
            at = (at + 1) & mask;
        }
        None
    }

    #[cold]
    fn find_long(&self, name: &[u8]) -> Option<usize> {
        let found = self.long.iter().find(|(text, _)| text.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(_, id)| *id as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Command] =
        &[Command { name: "get", ..Command::DEFAULT }, Command { name: "set", ..Command::DEFAULT }];

    #[test]
    fn names_of_any_length() {
        let long = "b840fc02d524045429941cc15f59e41cb7be6c52";
        let rename = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        for name in [long, &long[..22], &long[..23], &long[..24]] {
            let registry = Registry::new(&[TABLE], &[rename("GET", name), rename("set", "")]);
            assert_eq!(registry.find(name.to_uppercase().as_bytes()).map(|entry| entry.id), Some(0));
            for other in [&name[1..], &name[..name.len() - 1], "get", "set", "", "x"] {
                assert!(registry.find(other.as_bytes()).is_none(), "{other}");
            }
        }
    }

    #[test]
    fn a_nul_is_part_of_a_name() {
        let registry = Registry::new(&[TABLE], &[]);
        assert!(registry.find(b"GET").is_some());
        assert!(registry.find(b"GET\0").is_none());
    }
}
