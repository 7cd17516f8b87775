//! When two replies count as equal: byte for byte, unless the reference leaves something undefined.

use crate::resp::Reply;

/// How far the replies of one command may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Not at all.
    Exact,
    /// The elements of the outer array, set or map have no order.
    Unordered,
    /// A flat array of pairs (or a map) whose pairs have no order.
    Pairs,
    /// `[cursor, elements]`: the elements have no order and may repeat.
    Scan,
    /// The same with elements in pairs.
    ScanPairs,
    /// Random choice: the same wire types and lengths, whatever the strings are.
    Shape,
    /// Only the outer wire type.
    Type,
    /// Integers may be this far apart (times read at slightly different moments).
    Near(i64),
    /// Unix times in ms may be this far apart; all else is equal.
    Clock(i64),
    /// Anything goes; the reply must only be well-formed.
    Ignore,
}

/// True when `subject` may stand in for `oracle` under the rule.
pub fn agree(rule: Rule, subject: &Reply, oracle: &Reply) -> bool {
    if subject == oracle {
        return true;
    }
    match rule {
        Rule::Exact => same_but_for_addresses(subject, oracle),
        Rule::Unordered => same_members(false, subject, oracle),
        Rule::Pairs => same_members(true, subject, oracle),
        Rule::Scan | Rule::ScanPairs => scan(rule, subject, oracle),
        Rule::Shape => shape(subject, oracle),
        Rule::Type => same_kind(subject, oracle),
        Rule::Near(tolerance) => near(0, tolerance, subject, oracle),
        Rule::Clock(tolerance) => near(UNIX_MS_MIN, tolerance, subject, oracle),
        Rule::Ignore => true,
    }
}

/// Errors of scripts may name a value by its address (`function: 0x7f…`), which means nothing anywhere else.
fn same_but_for_addresses(a: &Reply, b: &Reply) -> bool {
    match (a, b) {
        (Reply::Error(a), Reply::Error(b)) => {
            let hides = a.windows(4).any(|part| part == b": 0x");
            hides && without_addresses(a) == without_addresses(b)
        }
        _ => false,
    }
}

fn without_addresses(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split(": 0x");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(": 0x");
        kept.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    kept
}

/// The same wire type.
fn same_kind(a: &Reply, b: &Reply) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn same_members(pairs: bool, a: &Reply, b: &Reply) -> bool {
    match (multiset(a, pairs), multiset(b, pairs)) {
        (Some(x), Some(y)) => same_kind(a, b) && x == y,
        _ => false,
    }
}

/// The elements in sorted order: `None` when the reply has none, in which case only equality counts.
fn multiset(reply: &Reply, pairs: bool) -> Option<Vec<Vec<Reply>>> {
    let mut groups: Vec<Vec<Reply>> = match reply {
        Reply::Map(entries) => entries.iter().map(|(k, v)| vec![k.clone(), v.clone()]).collect(),
        _ => {
            let items = reply.items()?;
            let nested = items.iter().any(|item| item.items().is_some());
            let width = if pairs && !nested { 2 } else { 1 };
            items.chunks(width).map(<[Reply]>::to_vec).collect()
        }
    };
    groups.sort();
    Some(groups)
}

fn scan(rule: Rule, subject: &Reply, oracle: &Reply) -> bool {
    let elements = |reply: &Reply| match reply.items() {
        Some([cursor, found]) => {
            let mut groups = multiset(found, rule == Rule::ScanPairs)?;
            groups.dedup();
            Some((cursor.clone(), groups))
        }
        _ => None,
    };
    elements(subject).is_some() && elements(subject) == elements(oracle)
}

fn shape(a: &Reply, b: &Reply) -> bool {
    match (a, b) {
        (Reply::Error(x), Reply::Error(y)) => x == y,
        (Reply::Map(x), Reply::Map(y)) => x.len() == y.len(),
        _ => match (a.items(), b.items()) {
            (Some(x), Some(y)) => same_kind(a, b) && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| shape(x, y)),
            _ => same_kind(a, b),
        },
    }
}

/// No count in a test is as high as a Unix time in ms.
const UNIX_MS_MIN: i64 = 1_000_000_000_000;

/// Whether integers from `low` on are at most `tolerance` apart, and all else is equal.
fn near(low: i64, tolerance: i64, a: &Reply, b: &Reply) -> bool {
    match (a, b) {
        // Negative values are codes (-1 no expiry, -2 no key), never times.
        (Reply::Int(x), Reply::Int(y)) => x == y || (*x >= low && *y >= low && x.abs_diff(*y) <= tolerance as u64),
        (Reply::Map(x), Reply::Map(y)) => {
            let same = |((k, v), (l, w)): (&(Reply, Reply), &(Reply, Reply))| k == l && near(low, tolerance, v, w);
            x.len() == y.len() && x.iter().zip(y).all(same)
        }
        _ => match (a.items(), b.items()) {
            (Some(x), Some(y)) => {
                same_kind(a, b) && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| near(low, tolerance, x, y))
            }
            _ => a == b,
        },
    }
}

/// Replaces, in every string of the reply, each match of each pattern by the pattern itself. In a pattern `*` stands
/// for a run of characters other than blanks, commas and control characters; everything else for itself.
pub fn normalize(reply: &Reply, patterns: &[Vec<u8>]) -> Reply {
    let text = |bytes: &Vec<u8>| patterns.iter().fold(bytes.clone(), |b, p| replace(&b, p));
    let each = |items: &Vec<Reply>| items.iter().map(|item| normalize(item, patterns)).collect();
    match reply {
        Reply::Simple(s) => Reply::Simple(text(s)),
        Reply::Error(s) => Reply::Error(text(s)),
        Reply::Bulk(s) => Reply::Bulk(text(s)),
        Reply::Verbatim(f, s) => Reply::Verbatim(f.clone(), text(s)),
        Reply::Array(v) => Reply::Array(each(v)),
        Reply::Set(v) => Reply::Set(each(v)),
        Reply::Push(v) => Reply::Push(each(v)),
        Reply::Map(v) => Reply::Map(v.iter().map(|(k, v)| (normalize(k, patterns), normalize(v, patterns))).collect()),
        other => other.clone(),
    }
}

fn replace(bytes: &[u8], pattern: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match match_at(&bytes[at..], pattern) {
            Some(len) if len > 0 => {
                out.extend_from_slice(pattern);
                at += len;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// The length of the match at the start of `bytes`; a star takes all it can.
fn match_at(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    let Some((&first, rest)) = pattern.split_first() else {
        return Some(0);
    };
    if first != b'*' {
        return (bytes.first() == Some(&first)).then(|| match_at(&bytes[1..], rest)).flatten().map(|n| n + 1);
    }
    let stops = |b: &u8| *b <= b' ' || *b == b',';
    let run = bytes.iter().position(stops).unwrap_or(bytes.len());
    (0..=run).rev().find_map(|taken| match_at(&bytes[taken..], rest).map(|n| n + taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulks(words: &[&str]) -> Reply {
        Reply::Array(words.iter().map(|w| Reply::Bulk(w.as_bytes().to_vec())).collect())
    }

    #[test]
    fn order_matters_only_where_it_is_defined() {
        let (a, b) = (bulks(&["x", "1", "y", "2"]), bulks(&["y", "2", "x", "1"]));
        assert!(!agree(Rule::Exact, &a, &b));
        assert!(agree(Rule::Unordered, &a, &b));
        assert!(agree(Rule::Pairs, &a, &b));
        assert!(!agree(Rule::Pairs, &a, &bulks(&["y", "1", "x", "2"])));
        assert!(!agree(Rule::Unordered, &a, &bulks(&["x"])));
    }

    #[test]
    fn addresses_in_errors_mean_nothing() {
        let error = |text: &str| Reply::Error(text.into());
        let (a, b) = (error("ERR function: 0x7f01 script: ab"), error("ERR function: 0x55aa99 script: ab"));
        assert!(agree(Rule::Exact, &a, &b));
        assert!(!agree(Rule::Exact, &a, &error("ERR function: 0x7f01 script: cd")));
        assert!(!agree(Rule::Exact, &error("ERR no 0x01"), &error("ERR no 0x02")));
    }

    #[test]
    fn loose_rules_still_see_types_and_codes() {
        assert!(agree(Rule::Near(2), &Reply::Int(99), &Reply::Int(100)));
        assert!(!agree(Rule::Near(2), &Reply::Int(-1), &Reply::Int(0)));
        assert!(agree(Rule::Clock(2), &Reply::Int(UNIX_MS_MIN), &Reply::Int(UNIX_MS_MIN + 2)));
        assert!(!agree(Rule::Clock(2), &Reply::Int(5), &Reply::Int(6)));
        assert!(!agree(Rule::Unordered, &Reply::Int(1), &Reply::Int(2)));
        assert!(!agree(Rule::Shape, &Reply::NilBulk, &Reply::Null));
        assert!(!agree(Rule::Shape, &bulks(&["a"]), &bulks(&["a", "b"])));
        assert!(!agree(Rule::Type, &Reply::Set(vec![]), &Reply::Array(vec![])));
    }

    #[test]
    fn patterns_hide_what_may_vary() {
        let reply = Reply::Bulk(b"id=12 addr=127.0.0.1:5 age=3".to_vec());
        let hidden = normalize(&reply, &[b"id=*".to_vec(), b"addr=*".to_vec()]);
        assert_eq!(hidden, Reply::Bulk(b"id=* addr=* age=3".to_vec()));
    }
}
