//! SORT: the elements of a list, set or sorted set in another order, or what other keys say about them.
//!
//! Keys named by `BY` and `GET` follow from the elements, so all partitions are locked. Elements that compare equal keep
//! their order (with `ALPHA` and `BY`; otherwise the elements themselves decide). A sorted set keeps its encoding, which
//! the reference turns into a skiplist.

use kinovar_command::keyspace::list::{End, List};
use kinovar_command::keyspace::set::Set;
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::keyspace::{Db, Text, ValueType, hash::Hash, object};
use kinovar_command::{
    Access, Acl, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeyAt, KeySpec, Lock, Outcome,
    until_nul,
};
use std::cmp::Ordering;
use std::ops::Range;

const ACL: Acl = Acl::SET.or(Acl::SORTEDSET).or(Acl::LIST).or(Acl::DANGEROUS);
const PATTERN_NOTES: &str = "Keys of BY and GET: their names depend on the elements that are sorted";
const STORE_NOTES: &str = "The key of STORE, which may stand anywhere among the options";

const BY: Arg = Arg { key_spec: Some(1), ..Arg::pattern("by-pattern").token("BY").optional().display("pattern") };
const LIMIT: Arg = Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).token("LIMIT").optional();
const GET: Arg = Arg {
    key_spec: Some(1),
    ..Arg::pattern("get-pattern").token("GET").optional().multiple_token().display("pattern")
};
const ORDER: Arg = Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
const ALPHA: Arg = Arg::word("sorting", "ALPHA").optional();

pub(super) const SORT: Command = Command {
    name: "sort",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    acl: ACL,
    keys: &[
        KeySpec::first(Access::RO.access()),
        KeySpec::unknown(Access::RO.access(), PATTERN_NOTES),
        KeySpec::unknown(Access::OW.update(), STORE_NOTES),
    ],
    key_finder: Some(find_keys),
    args: &[Arg::key("key", 0), BY, LIMIT, GET, ORDER, ALPHA, Arg::key("destination", 2).token("STORE").optional()],
    summary: "Sorts the elements of a list, set or sorted set, and stores them if asked to.",
    complexity: "O(N+M*log(M)) for M of N elements, O(N) when nothing is compared.",
    since: "1.0.0",
    lock: Lock::All,
    handler: sort,
    ..Command::DEFAULT
};

fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    run(ctx, args, true)
}

pub(super) const SORT_RO: Command = Command {
    name: "sort_ro",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    acl: ACL,
    keys: &[KeySpec::first(Access::RO.access()), KeySpec::unknown(Access::RO.access(), PATTERN_NOTES)],
    key_finder: Some(find_first_key),
    args: &[Arg::key("key", 0), BY, LIMIT, GET, ORDER, ALPHA],
    summary: "Sorts the elements of a list, set or sorted set.",
    complexity: "O(N+M*log(M)) for M of N elements, O(N) when nothing is compared.",
    since: "7.0.0",
    lock: Lock::All,
    handler: sort_ro,
    ..Command::DEFAULT
};

fn sort_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    run(ctx, args, false)
}

fn find_first_key(_: Args<'_>, keys: &mut Vec<KeyAt>) {
    keys.push(KeyAt { index: 1, access: Access::RO.access() });
}

/// The key that is sorted and the last one named by `STORE`.
fn find_keys(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    find_first_key(args, keys);
    let mut store = None;
    let mut index = 2;
    while index < args.argc() {
        let is = |word: &[u8]| args.at(index).eq_ignore_ascii_case(word);
        if is(b"LIMIT") {
            index += 2;
        } else if is(b"BY") || is(b"GET") {
            index += 1;
        } else if is(b"STORE") && index + 1 < args.argc() {
            index += 1;
            store = Some(index);
        }
        index += 1;
    }
    keys.extend(store.map(|index| KeyAt { index: index as u32, access: Access::OW.update() }));
}

/// Something in the name of which an element stands for a star.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No star: no key.
    Nothing,
    /// A string, or a field of a hash.
    Key { before: &'a [u8], after: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    fn parse(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else { return Pattern::Nothing };
        let (before, after) = (&text[..star], &text[star + 1..]);
        match after.windows(2).position(|pair| pair == b"->") {
            Some(arrow) if arrow + 2 < after.len() => {
                Pattern::Key { before, after: &after[..arrow], field: Some(&after[arrow + 2..]) }
            }
            _ => Pattern::Key { before, after, field: None },
        }
    }

    /// Shows `read` the value for `element`; `None` if there is none or it has the wrong type. `name` is scratch memory.
    fn look_up<R>(
        self,
        db: &mut Db<'_>,
        element: &[u8],
        name: &mut Vec<u8>,
        read: impl FnOnce(Option<Text<'_>>) -> R,
    ) -> R {
        let Pattern::Key { before, after, field } = self else {
            return read(matches!(self, Pattern::Element).then_some(Text::Bytes(element)));
        };
        name.clear();
        for part in [before, element, after] {
            name.extend_from_slice(part);
        }
        let now_ms = db.expiry_ms();
        let entry = db.read(&Key::new(name));
        read(entry.and_then(|entry| match field {
            None => object::text(entry).ok(),
            Some(field) => object::value::<Hash>(entry).ok()?.get(field, now_ms),
        }))
    }
}

struct Options<'a> {
    descending: bool,
    alpha: bool,
    /// First element wanted and how many, negative for all.
    limit: (i64, i64),
    by: Option<&'a [u8]>,
    get: Vec<Pattern<'a>>,
    store: Option<Key<'a>>,
}

impl<'a> Options<'a> {
    /// `reaches_every_key`: patterns may name keys; see [`Ctx::reaches_every_key`].
    fn parse(mut args: Args<'a>, may_store: bool, reaches_every_key: bool) -> Result<Options<'a>, CommandError> {
        let denied = |option: &str| {
            let text = format!("ERR {option} option of SORT denied due to insufficient ACL permissions.");
            Err(CommandError::owned(text))
        };
        let mut options =
            Options { descending: false, alpha: false, limit: (0, -1), by: None, get: Vec::new(), store: None };
        while !args.is_empty() {
            if args.accept("ASC") {
                options.descending = false;
            } else if args.accept("DESC") {
                options.descending = true;
            } else if args.accept("ALPHA") {
                options.alpha = true;
            } else if args.left() > 2 && args.accept("LIMIT") {
                options.limit = (args.integer()?, args.integer()?);
            } else if may_store && args.accept("STORE") {
                options.store = Some(args.key()?);
            } else if args.accept("BY") {
                let pattern = args.take()?;
                if pattern.contains(&b'*') && !reaches_every_key {
                    return denied("BY");
                }
                options.by = Some(pattern);
            } else if args.accept("GET") {
                let pattern = args.take()?;
                if !reaches_every_key {
                    return denied("GET");
                }
                options.get.push(Pattern::parse(pattern));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Which of `len` elements are wanted.
    fn window(&self, len: usize) -> Range<usize> {
        let clamp = |value: i64, low: i64| value.clamp(low, len as i64);
        let start = clamp(self.limit.0, 0) as usize;
        match usize::try_from(clamp(self.limit.1, -1)) {
            Ok(count) => start..(start + count).min(len),
            Err(_) => start..len,
        }
    }
}

/// The elements of a value in the order in which they are kept.
fn elements(db: &mut Db<'_>, key: &Key<'_>) -> Result<(Option<ValueType>, Vec<Vec<u8>>), CommandError> {
    let Some(entry) = db.read(key) else { return Ok((None, Vec::new())) };
    let kind = object::value_type(entry);
    let mut elements = Vec::new();
    match kind {
        ValueType::List => {
            let list = object::value::<List>(entry)?;
            list.visit(0..list.len(), false, |element| {
                elements.push(element.to_vec());
                true
            });
        }
        ValueType::Set => {
            let members = object::value::<Set>(entry)?.iter();
            elements.extend(members.map(|member| member.bytes(&mut [0; 24]).to_vec()));
        }
        ValueType::ZSet => {
            let zset = object::value::<ZSet>(entry)?;
            zset.for_each(0..zset.len(), false, |member, _| elements.push(member.to_vec()));
        }
        ValueType::String | ValueType::Hash | ValueType::Stream | ValueType::VectorSet => {
            return Err(CommandError::WrongType);
        }
    }
    Ok((Some(kind), elements))
}

fn run(ctx: &mut Ctx<'_>, mut args: Args<'_>, may_store: bool) -> Outcome {
    let key = args.key()?;
    let mut options = Options::parse(args, may_store, ctx.reaches_every_key)?;
    let (kind, mut elements) = elements(&mut ctx.db, &key)?;
    // Without a star all weights would be the same, which says that the order does not matter.
    let mut unsorted = options.by.is_some_and(|pattern| !pattern.contains(&b'*'));
    if unsorted && kind == Some(ValueType::Set) && options.store.is_some() {
        // A set has no order that could be stored.
        (unsorted, options.alpha, options.by) = (false, true, None);
    }
    let window = options.window(elements.len());
    if unsorted {
        if options.descending && kind != Some(ValueType::Set) {
            elements.reverse();
        }
    } else {
        elements = sorted(&mut ctx.db, elements, &options)?;
    }
    let wanted = &elements[window];
    match options.store {
        Some(to) => store(ctx, &to, wanted, &options.get),
        None => reply(ctx, wanted, &options.get),
    }
    Ok(())
}

fn reply(ctx: &mut Ctx<'_>, elements: &[Vec<u8>], get: &[Pattern<'_>]) {
    ctx.reply.array(elements.len() * get.len().max(1));
    let (reply, mut name) = (&mut ctx.reply, Vec::new());
    for element in elements {
        if get.is_empty() {
            reply.bulk(element);
        }
        for pattern in get {
            pattern.look_up(&mut ctx.db, element, &mut name, |found| match found {
                Some(text) => text.with(|bytes| reply.bulk(bytes)),
                None => reply.null(),
            });
        }
    }
}

fn store(ctx: &mut Ctx<'_>, to: &Key<'_>, elements: &[Vec<u8>], get: &[Pattern<'_>]) {
    let settings = ctx.db.settings();
    let (mut list, mut name) = (List::default(), Vec::new());
    let mut push = |element: &[u8]| {
        list.make_room(0, 0, settings);
        list.push(End::Right, element);
    };
    for element in elements {
        if get.is_empty() {
            push(element);
        }
        for pattern in get {
            // What does not exist is stored as an empty string.
            pattern.look_up(&mut ctx.db, element, &mut name, |found| match found {
                Some(text) => text.with(&mut push),
                None => push(b""),
            });
        }
    }
    list.make_room(0, 0, settings);
    let len = list.len();
    ctx.db.store(to, list, "sortstore");
    ctx.reply.count(len);
}

/// What an element is compared by.
enum Weight {
    Number(f64),
    Text(Option<Vec<u8>>),
    /// The element itself.
    Element,
}

const NOT_A_WEIGHT: CommandError = CommandError::text("ERR One or more scores can't be converted into double");

fn sorted(db: &mut Db<'_>, elements: Vec<Vec<u8>>, options: &Options<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    let pattern = options.by.map(Pattern::parse);
    let mut name = Vec::new();
    let mut weigh = |element: &[u8]| match (pattern, options.alpha) {
        (None, true) => Some(Weight::Element),
        (None, false) => parse_weight(element).map(Weight::Number),
        (Some(pattern), true) => {
            Some(pattern.look_up(db, element, &mut name, |text| Weight::Text(text.map(Text::to_vec))))
        }
        (Some(pattern), false) => {
            let weight = |text: Option<Text<'_>>| text.map_or(Some(0.0), |text| text.with(parse_weight));
            pattern.look_up(db, element, &mut name, weight).map(Weight::Number)
        }
    };
    let mut weighed = Vec::with_capacity(elements.len());
    let mut failed = false;
    for element in elements {
        let weight = weigh(&element);
        failed |= weight.is_none();
        weighed.push((weight.unwrap_or(Weight::Element), element));
    }
    if failed {
        return Err(NOT_A_WEIGHT);
    }
    weighed.sort_by(|a, b| {
        let order = compare(a, b, options.store.is_some());
        if options.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// Which of two comes first. As in the reference, texts are whole when the result is stored; when it is only shown, they end at
/// a NUL, and what is equal then stays in its order.
fn compare(a: &(Weight, Vec<u8>), b: &(Weight, Vec<u8>), whole: bool) -> Ordering {
    let texts = |x: &[u8], y: &[u8]| if whole { x.cmp(y) } else { until_nul(x).cmp(until_nul(y)) };
    match (&a.0, &b.0) {
        (Weight::Number(x), Weight::Number(y)) => {
            x.partial_cmp(y).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
        }
        (Weight::Text(Some(x)), Weight::Text(Some(y))) => texts(x, y),
        (Weight::Text(x), Weight::Text(y)) => x.cmp(y),
        _ => texts(&a.1, &b.1),
    }
}

/// A number as the reference reads it, up to the first NUL; nothing is 0, what is too large infinite.
fn parse_weight(text: &[u8]) -> Option<f64> {
    let text = until_nul(text);
    if text.is_empty() {
        return Some(0.0);
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| !value.is_nan())
}
