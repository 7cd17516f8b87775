//! What the journal is told of changes: commands in deterministic form, to be run again elsewhere or later.
//!
//! While a command runs, its *effects* gather here: the removal of keys and fields whose time had come, told by the write door,
//! and what the command itself comes to. That is the command's own words where it changed something and said nothing; or what
//! its handler says instead, where those words would mean something else at another time (a time to live, a random member, a
//! key that happened to have something). When the outermost command is over, and before any lock is released, all of it goes to
//! the journal as one [`Unit`]: a transaction's or a script's effects together.
//!
//! Where no journal is kept nothing is gathered.

use crate::newest::Touched;
use kinovar_ds::number::push_i64;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whoever keeps the effects.
pub trait Journal: Sync {
    /// Takes a unit, which must be kept as a whole. The partitions that it is about are locked: must not wait. Returns the
    /// position in the journal behind it; positions rise.
    fn record(&self, unit: &Unit) -> u64;
}

static OFF: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The newest position in the journal that what this thread has read or written depends on.
    static DEPENDS: Cell<u64> = const { Cell::new(0) };
}

/// What this thread has read or written since the last call depends on the journal up to this position; 0 for on nothing.
#[inline]
pub fn take_dependency() -> u64 {
    DEPENDS.replace(0)
}

/// The same, without forgetting it.
pub fn dependency() -> u64 {
    DEPENDS.get()
}

/// What this thread has seen depends on the journal up to `position`.
#[inline]
pub(crate) fn depend(position: u64) {
    if position > DEPENDS.get() {
        DEPENDS.set(position);
    }
}

/// Effects that happened as one, in order.
#[derive(Default, Debug)]
pub struct Unit {
    bytes: Vec<u8>,
    effects: Vec<Effect>,
}

/// Where an effect is among the bytes of its unit.
#[derive(Clone, Copy, Debug)]
struct Effect {
    db: u32,
    end: usize,
}

impl Unit {
    /// How many effects there are.
    pub fn len(&self) -> usize {
        self.effects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Each effect: the database that it is about, and a command as an array of bulk strings.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.effects.iter().enumerate().map(|(index, effect)| (effect.db, &self.bytes[self.range(index)]))
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.effects[before].end);
        start..self.effects[index].end
    }

    /// Appends the unit as commands to be run one after the other: several effects within a transaction, and each in its
    /// database. `selected` is the database that is selected where the commands go, if one is.
    pub fn write(&self, selected: &mut Option<u32>, out: &mut Vec<u8>) {
        let is_transaction = self.len() > 1;
        if is_transaction {
            push_command(out, 1, [&b"MULTI"[..]]);
        }
        for (db, effect) in self.iter() {
            if selected.replace(db) != Some(db) {
                push_command(out, 2, [&b"SELECT"[..], db.to_string().as_bytes()]);
            }
            out.extend_from_slice(effect);
        }
        if is_transaction {
            push_command(out, 1, [&b"EXEC"[..]]);
        }
    }

    fn push<'w>(&mut self, db: u32, count: usize, words: impl IntoIterator<Item = &'w [u8]>) {
        push_command(&mut self.bytes, count, words);
        self.effects.push(Effect { db, end: self.bytes.len() });
    }

    /// Keeps some of its memory for the next one.
    fn clear(&mut self) {
        /// Capacity kept, bytes and effects.
        const KEPT: usize = 64 << 10;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.effects.clear();
        self.effects.shrink_to(KEPT / size_of::<Effect>());
    }
}

/// Appends a command as an array of bulk strings.
fn push_command<'w>(out: &mut Vec<u8>, count: usize, words: impl IntoIterator<Item = &'w [u8]>) {
    push_length(out, b'*', count);
    for word in words {
        push_length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    push_i64(out, length as i64);
    out.extend_from_slice(b"\r\n");
}

/// Whether the words of the command that runs are its effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Own {
    /// If it changes something.
    IfChanged,
    /// In any case.
    Anyway,
    /// They are not.
    No,
}

/// The effects of the command that a thread is running.
pub struct Effects {
    /// Whether anybody keeps them. Looked at under the locks of what is changed.
    is_on: &'static AtomicBool,
    journal: Option<&'static dyn Journal>,
    own: Cell<Own>,
    /// What commands do themselves is not told (a script may ask for that).
    muted: Cell<bool>,
    unit: RefCell<Unit>,
    /// The position of the last unit, until the partitions that it is about know of it.
    newest: Cell<Option<u64>>,
    /// The keys that it is about.
    pub(crate) touched: Touched,
}

impl Default for Effects {
    fn default() -> Self {
        Effects {
            is_on: &OFF,
            journal: None,
            own: Cell::new(Own::IfChanged),
            muted: Cell::new(false),
            unit: RefCell::default(),
            newest: Cell::new(None),
            touched: Touched::default(),
        }
    }
}

impl Effects {
    /// Effects that go to `journal` while `is_on` says so.
    pub fn to(journal: &'static dyn Journal, is_on: &'static AtomicBool) -> Effects {
        Effects { is_on, journal: Some(journal), ..Effects::default() }
    }

    /// Whether effects are kept.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// A command begins.
    #[inline]
    pub fn begin(&self) {
        self.own.set(Own::IfChanged);
    }

    /// A command of database `db` is over: its own words are added if they are its effect. `changed`: it has changed something.
    #[inline(never)]
    pub fn end<'w>(&self, db: u32, changed: bool, count: usize, words: impl IntoIterator<Item = &'w [u8]>) {
        let own = self.own.replace(Own::IfChanged);
        if (own == Own::Anyway || own == Own::IfChanged && changed) && !self.muted.get() {
            self.unit.borrow_mut().push(db, count, words);
        }
    }

    /// Hands over what has gathered, while the locks are still held. See [`Db::tell_journal`](crate::Db::tell_journal).
    pub(crate) fn hand_over(&self) {
        let mut unit = self.unit.borrow_mut();
        if unit.is_empty() {
            return;
        }
        if let Some(journal) = self.journal {
            let position = journal.record(&unit);
            self.newest.set(Some(position));
            depend(position);
        }
        unit.clear();
    }

    /// The newest position of what was handed over since the last call.
    pub(crate) fn take_newest(&self) -> Option<u64> {
        self.newest.take()
    }

    /// From now on commands do not tell what they do themselves, or do so again; what it was before.
    pub fn mute(&self, muted: bool) -> bool {
        self.muted.replace(muted)
    }

    /// Tells of a command in database `db`, `words`, whatever is running.
    #[cold]
    pub(crate) fn note(&self, db: u32, words: &[&[u8]]) {
        if self.is_on() {
            self.unit.borrow_mut().push(db, words.len(), words.iter().copied());
        }
    }

    /// To say what the command does that is running in database `db`.
    #[inline]
    pub fn teller(&self, db: u32) -> Teller<'_> {
        Teller { effects: self, db }
    }
}

/// By which a handler says what its command comes to. Whatever it says, the command's own words are not its effect, except after
/// [`Teller::anyway`].
#[derive(Clone, Copy)]
pub struct Teller<'e> {
    effects: &'e Effects,
    db: u32,
}

impl Teller<'_> {
    /// Whether effects are kept: if not, there is no need to find out what they are.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.effects.is_on()
    }

    /// These words stand for the command.
    pub fn instead(&self, words: &[&[u8]]) {
        self.none();
        if self.is_on() && !self.effects.muted.get() {
            self.effects.note(self.db, words);
        }
    }

    /// These words are a part of what it does. (It is told even where the command's own words would not be, as in the
    /// reference.)
    pub fn part(&self, words: &[&[u8]]) {
        self.none();
        self.effects.note(self.db, words);
    }

    /// The command has no effect beyond what was said.
    #[inline]
    pub fn none(&self) {
        self.effects.own.set(Own::No);
    }

    /// Its words are its effect although nothing may have changed.
    pub fn anyway(&self) {
        self.effects.own.set(Own::Anyway);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Kept(Mutex<Vec<u8>>);

    impl Journal for Kept {
        fn record(&self, unit: &Unit) -> u64 {
            let mut kept = self.0.lock().unwrap();
            unit.write(&mut None, &mut kept);
            kept.len() as u64
        }
    }

    fn with_journal() -> (&'static Kept, Effects) {
        static ON: AtomicBool = AtomicBool::new(true);
        let kept: &'static Kept = Box::leak(Box::default());
        (kept, Effects::to(kept, &ON))
    }

    fn taken(kept: &Kept) -> String {
        String::from_utf8(std::mem::take(&mut kept.0.lock().unwrap())).unwrap().replace("\r\n", " ")
    }

    const WORDS: [&[u8]; 2] = [b"INCR", b"a"];

    #[test]
    fn one_effect_stands_alone_and_several_are_a_transaction() {
        let (kept, effects) = with_journal();
        effects.begin();
        effects.end(0, true, 2, WORDS);
        effects.hand_over();
        assert_eq!(taken(kept), "*2 $6 SELECT $1 0 *2 $4 INCR $1 a ");
        effects.note(0, &[b"DEL", b"b"]);
        effects.end(11, true, 2, WORDS);
        effects.hand_over();
        assert_eq!(
            taken(kept),
            "*1 $5 MULTI *2 $6 SELECT $1 0 *2 $3 DEL $1 b *2 $6 SELECT $2 11 *2 $4 INCR $1 a *1 $4 EXEC "
        );
        effects.hand_over();
        assert_eq!(taken(kept), "");
    }

    #[test]
    fn own_words_are_an_effect_unless_something_else_was_said() {
        let (kept, effects) = with_journal();
        effects.end(0, false, 2, WORDS);
        effects.hand_over();
        assert_eq!(taken(kept), "", "nothing has changed");
        effects.teller(0).none();
        effects.end(0, true, 2, WORDS);
        effects.teller(0).instead(&[b"X"]);
        effects.end(0, true, 2, WORDS);
        effects.hand_over();
        assert_eq!(taken(kept), "*2 $6 SELECT $1 0 *1 $1 X ");
        effects.teller(0).anyway();
        effects.end(0, false, 2, WORDS);
        effects.hand_over();
        assert_eq!(taken(kept), "*2 $6 SELECT $1 0 *2 $4 INCR $1 a ");
    }

    #[test]
    fn a_muted_command_tells_only_its_parts() {
        let (kept, effects) = with_journal();
        assert!(!effects.mute(true));
        effects.end(0, true, 2, WORDS);
        effects.teller(0).instead(&[b"X"]);
        effects.teller(0).part(&[b"Y"]);
        effects.end(0, true, 2, WORDS);
        effects.hand_over();
        assert_eq!(taken(kept), "*2 $6 SELECT $1 0 *1 $1 Y ");
    }

    #[test]
    fn nothing_gathers_without_a_journal() {
        let effects = Effects::default();
        effects.note(0, &[b"DEL", b"b"]);
        effects.teller(0).part(&[b"Y"]);
        assert!(effects.unit.borrow().is_empty());
    }
}
