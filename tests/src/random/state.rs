//! The whole keyspace of both sides, compared: which keys there are, and of each the type, encoding, expiry and content.

use anyhow::Result;

use crate::compare::{Rule, agree};
use crate::pair::{PairConn, Replies};
use crate::quote::join;

/// Databases that random commands may reach.
const DATABASES: usize = 3;
/// Absolute expiry times set relative to two clocks read one after the other may differ by this.
const EXPIRY_SKEW_MS: i64 = 5000;
/// Times noted by a command, which the two sides run one after the other.
const TIME_SKEW_MS: i64 = 5000;

/// The first command whose replies differ when everything is read, or nothing.
pub fn compare(conn: &mut PairConn) -> Result<Option<(String, Replies)>> {
    compare_all(conn, true)
}

/// The same but for encodings: these may tell of commands that have changed nothing else, which nobody is told of.
pub fn compare_content(conn: &mut PairConn) -> Result<Option<(String, Replies)>> {
    compare_all(conn, false)
}

fn compare_all(conn: &mut PairConn, encodings: bool) -> Result<Option<(String, Replies)>> {
    for db in 0..DATABASES {
        conn.must(&format!("SELECT {db}"))?;
        if let Some(found) = compare_database(conn, encodings)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn compare_database(conn: &mut PairConn, encodings: bool) -> Result<Option<(String, Replies)>> {
    let all = conn.call(&[b"KEYS".to_vec(), b"*".to_vec()])?;
    if !agree(Rule::Unordered, &all.subject, &all.oracle) {
        return Ok(Some(("KEYS *".into(), all)));
    }
    let keys: Vec<Vec<u8>> =
        all.oracle.items().unwrap_or_default().iter().filter_map(|k| Some(k.bytes()?.to_vec())).collect();
    for key in keys {
        if let Some(found) = compare_key(conn, &key, encodings)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn compare_key(conn: &mut PairConn, key: &[u8], encodings: bool) -> Result<Option<(String, Replies)>> {
    let kind = conn.call(&[b"TYPE".to_vec(), key.to_vec()])?;
    let mut checks =
        vec![(Rule::Exact, vec!["TYPE", "=key"]), (Rule::Near(EXPIRY_SKEW_MS), vec!["PEXPIRETIME", "=key"])];
    if encodings {
        checks.push((Rule::Exact, vec!["OBJECT", "ENCODING", "=key"]));
    }
    checks.extend(match kind.oracle.text().as_str() {
        "string" => vec![(Rule::Exact, vec!["GET", "=key"]), (Rule::Exact, vec!["STRLEN", "=key"])],
        "list" => vec![(Rule::Exact, vec!["LRANGE", "=key", "0", "-1"]), (Rule::Exact, vec!["LLEN", "=key"])],
        "set" => vec![(Rule::Unordered, vec!["SMEMBERS", "=key"]), (Rule::Exact, vec!["SCARD", "=key"])],
        "zset" => vec![
            (Rule::Exact, vec!["ZRANGE", "=key", "0", "-1", "WITHSCORES"]),
            (Rule::Exact, vec!["ZCARD", "=key"]),
            (Rule::ScanPairs, vec!["ZSCAN", "=key", "0", "COUNT", "100000"]),
        ],
        "stream" => vec![
            (Rule::Clock(TIME_SKEW_MS), vec!["XINFO", "STREAM", "=key", "FULL", "COUNT", "0"]),
            (Rule::Exact, vec!["XINFO", "STREAM", "=key"]),
            (Rule::Exact, vec!["XINFO", "GROUPS", "=key"]),
            (Rule::Exact, vec!["XREVRANGE", "=key", "+", "-"]),
            (Rule::Exact, vec!["XLEN", "=key"]),
        ],
        "hash" => vec![(Rule::Pairs, vec!["HGETALL", "=key"]), (Rule::Exact, vec!["HLEN", "=key"])],
        // Of everything in it: vectors, names and attributes.
        "vectorset" => vec![(Rule::Exact, vec!["DEBUG", "DIGEST-VALUE", "=key"]), (Rule::Exact, vec!["VCARD", "=key"])],
        _ => vec![],
    });
    for (rule, words) in checks {
        let args: Vec<Vec<u8>> =
            words.iter().map(|w| if *w == "=key" { key.to_vec() } else { w.as_bytes().to_vec() }).collect();
        let replies = conn.call(&args)?;
        if !agree(rule, &replies.subject, &replies.oracle) {
            return Ok(Some((join(&args), replies)));
        }
    }
    if kind.oracle.text() == "hash" { compare_field_expiry(conn, key) } else { Ok(None) }
}

fn compare_field_expiry(conn: &mut PairConn, key: &[u8]) -> Result<Option<(String, Replies)>> {
    let fields = conn.call(&[b"HKEYS".to_vec(), key.to_vec()])?.oracle;
    let fields: Vec<Vec<u8>> =
        fields.items().unwrap_or_default().iter().filter_map(|f| Some(f.bytes()?.to_vec())).collect();
    let mut args =
        vec![b"HPEXPIRETIME".to_vec(), key.to_vec(), b"FIELDS".to_vec(), fields.len().to_string().into_bytes()];
    args.extend(fields);
    let replies = conn.call(&args)?;
    let same = agree(Rule::Near(EXPIRY_SKEW_MS), &replies.subject, &replies.oracle);
    Ok((!same).then(|| (join(&args), replies)))
}
