//! Files that are right.

use super::*;

/// Commands that make keys of every type and encoding. The last word of some lines is repeated, see [`expanded`].
pub(crate) const LINES: &[&str] = &[
    "SET int 12345",
    "SET negative -9223372036854775808",
    "SET embedded \"short text\"",
    "SET raw {a*100}",
    "SET compressible {ab*2000}",
    "SET binary \"\\x00\\xff\\r\\n\"",
    "SET empty \"\"",
    "SET \"\" \"the empty key\"",
    "SET {tag}one 1",
    "SET {tag}two 2",
    "SET lasting v EX 100000",
    "APPEND appended abc",
    "APPEND appended def",
    "SETRANGE holes 100 x",
    "SETBIT bits 70 1",
    "PFADD hll a b c d e",
    "RPUSH list:packed a b c 1 2 3",
    "RPUSH list:nodes {n#1000}",
    "RPUSH list:large {x*10000}",
    "SADD set:ints 1 2 3 100000 -5 9999999999",
    "SADD set:packed a b c 1",
    "SADD set:table {n#1000}",
    "SADD set:ints:many {i#1000}",
    "ZADD zset:packed 1 a 2.5 b -inf c inf d 1 e",
    "ZADD zset:tree {z#500}",
    "HSET hash:packed f v g 1",
    "HSET hash:table {p#600}",
    "HSET hash:ttl a 1 b 2 c 3",
    "HPEXPIRE hash:ttl 100000000 FIELDS 2 a b",
    "HSET hash:ttl:table {p#600}",
    "HPEXPIRE hash:ttl:table 100000000 FIELDS 2 n1 n2",
    "PEXPIRE hash:ttl:table 100000000",
    "XADD stream 1-1 a 1 b 2",
    "XADD stream 1-2 a 3 b 4",
    "XADD stream 5-0 c 5",
    "XDEL stream 1-2",
    "XGROUP CREATE stream group 0",
    "XGROUP CREATECONSUMER stream group idle",
    "XREADGROUP GROUP group reader COUNT 2 STREAMS stream >",
    "XGROUP CREATE stream:empty g $ MKSTREAM",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "SELECT 1",
    "SET int 1",
    "RPUSH list:packed other",
    "SELECT 15",
    "SET last database",
    "SELECT 0",
    "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 42 end)\"",
    "FUNCTION LOAD \"#!lua name=other\\nredis.register_function{function_name='g', callback=function() return 1 end, \
     flags={'no-writes'}, description='says 1'}\"",
];

/// Replaces `{…}`: `{text*N}` by text N times, `{n#N}` by n0 … nN, `{i#N}` by integers, `{z#N}` by scores and members, `{p#N}` by
/// pairs.
pub(crate) fn expanded(line: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for word in words(line) {
        let text = String::from_utf8_lossy(&word).into_owned();
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if let Some((text, count)) = inner.and_then(|inner| inner.split_once('*')) {
            out.push(text.repeat(count.parse().expect("a number")).into_bytes());
        } else if let Some((kind, count)) = inner.and_then(|inner| inner.split_once('#')) {
            for n in 0..count.parse().expect("a number") {
                let n: usize = n;
                match kind {
                    "i" => out.push((n * 7).to_string().into_bytes()),
                    "z" => out.extend([format!("{}", n as f64 / 3.0).into_bytes(), format!("m{n}").into_bytes()]),
                    "p" => out.extend([format!("n{n}").into_bytes(), format!("value {n}").into_bytes()]),
                    _ => out.push(format!("n{n}").into_bytes()),
                }
            }
        } else {
            out.push(word);
        }
    }
    out
}

/// A file with keys of every type and encoding.
pub fn every_type(sides: &Sides, folder: &Folder, name: &str) -> Result<PathBuf> {
    saved(sides, folder, name, |conn| {
        for line in LINES {
            let reply = conn.call(&expanded(line))?;
            ensure!(!reply.is_error(), "{line}: {}", show(&reply));
        }
        Ok(())
    })
}

/// What clients see of all the data.
pub fn seen(conn: &mut Conn) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for db in 0..16 {
        conn.must(&format!("SELECT {db}"))?;
        let keys = conn.must("KEYS *")?;
        let keys = keys.items().context("KEYS gives an array")?;
        let mut keys: Vec<Vec<u8>> = keys.iter().filter_map(|key| key.bytes().map(<[u8]>::to_vec)).collect();
        keys.sort();
        lines.push(format!("{db}: {} keys", keys.len()));
        for key in keys {
            let mut ask = |words: &[&str]| -> Result<Reply> {
                let (name, more) = words.split_first().context("a command")?;
                let (before, after) = if *name == "OBJECT" { more.split_at(1) } else { more.split_at(0) };
                let mut call = vec![name.as_bytes().to_vec()];
                call.extend(before.iter().map(|word| word.as_bytes().to_vec()));
                call.push(key.clone());
                call.extend(after.iter().map(|word| word.as_bytes().to_vec()));
                conn.call(&call)
            };
            let kind = ask(&["TYPE"])?.text();
            let encoding = show(&ask(&["OBJECT", "ENCODING"])?);
            let expiry = show(&ask(&["PEXPIRETIME"])?);
            let value = match kind.as_str() {
                "string" => ask(&["GET"])?,
                "list" => ask(&["LRANGE", "0", "-1"])?,
                "set" => ask(&["SMEMBERS"])?,
                "zset" => ask(&["ZRANGE", "0", "-1", "WITHSCORES"])?,
                "hash" => ask(&["HGETALL"])?,
                _ => ask(&["XRANGE", "-", "+"])?,
            };
            let value = match (kind.as_str(), value.items()) {
                // Tables have no order.
                ("set", Some(items)) => sorted(items, 1),
                ("hash", Some(items)) => sorted(items, 2),
                _ => format!("{value:?}"),
            };
            let name = String::from_utf8_lossy(&key).into_owned();
            lines.push(format!("{db} {name:?}: {kind} {encoding} {expiry} {value}"));
        }
    }
    conn.must("SELECT 0")?;
    for line in LOOKS {
        let text = show(&conn.line(line)?);
        // Mean times to live are estimates.
        lines.push(format!("{line}: {}", text.split("avg_ttl").next().unwrap_or_default()));
    }
    Ok(lines)
}

/// What is looked at beside the keys.
const LOOKS: &[&str] = &[
    "FUNCTION LIST WITHCODE LIBRARYNAME lib",
    "FUNCTION LIST WITHCODE LIBRARYNAME other",
    "FCALL f 0",
    "FCALL_RO g 0",
    "XINFO STREAM stream FULL",
    "XINFO STREAM stream:empty FULL",
    "HPEXPIRETIME hash:ttl FIELDS 3 a b c",
    "HPEXPIRETIME hash:ttl:table FIELDS 3 n1 n2 n3",
    "INFO keyspace",
];

/// Elements in groups, in some order that does not depend on theirs.
fn sorted(items: &[Reply], group: usize) -> String {
    let mut groups: Vec<String> = items.chunks(group).map(|items| format!("{items:?}")).collect();
    groups.sort();
    groups.join(" ")
}

pub(crate) fn same(expected: &[String], seen: &[String]) -> Result<()> {
    let differing = expected.iter().zip(seen).find(|(expected, seen)| expected != seen);
    if let Some((expected, seen)) = differing {
        anyhow::bail!("the oracle has\n  {expected}\nthe subject\n  {seen}");
    }
    ensure!(expected.len() == seen.len(), "the oracle has {} lines, the subject {}", expected.len(), seen.len());
    Ok(())
}

/// A key of every kind is what it was.
pub fn same_data(sides: &Sides, folder: &Folder) -> Result<()> {
    let path = every_type(sides, folder, "types.rdb")?;
    let expected = {
        let server = sides.oracle.start(&folder.load(&path)?)?;
        seen(&mut loaded(&server)?)?
    };
    for options in variants(&sides.subject) {
        let server = sides.subject.start(&[&folder.load(&path)?, *options].concat())?;
        let mut conn = loaded(&server)?;
        same(&expected, &seen(&mut conn)?).with_context(|| options.join(" "))?;
        let log = server.output();
        for line in [
            "Loading RDB produced by version 8.2.3",
            "RDB age ",
            "RDB memory usage when created ",
            "Done loading RDB, keys loaded: ",
            "DB loaded from disk: ",
            "Ready to accept connections tcp",
        ] {
            ensure!(log.contains(line), "{line:?} is missing in {log}");
        }
    }
    Ok(())
}

/// Every key of a larger file is there, with its value.
pub fn many_keys(sides: &Sides, folder: &Folder) -> Result<()> {
    let path = saved(sides, folder, "many.rdb", |conn| {
        conn.must(&format!("DEBUG POPULATE {MANY_KEYS} key 40"))?;
        conn.must("SELECT 3")?;
        conn.must("DEBUG POPULATE 1000 other 10")?;
        Ok(())
    })?;
    for options in variants(&sides.subject) {
        let server = sides.subject.start(&[&folder.load(&path)?, *options].concat())?;
        let mut conn = loaded(&server)?;
        ensure!(conn.must("DBSIZE")?.int() == Some(MANY_KEYS as i64), "keys are missing");
        ensure!(info(&mut conn, "persistence", "rdb_last_load_keys_loaded")? == MANY_KEYS as i64 + 1000);
        for first in (0..MANY_KEYS).step_by(1000) {
            let gets: Vec<_> = (first..first + 1000).map(|n| words(&format!("GET key:{n}"))).collect();
            for (n, reply) in (first..).zip(conn.pipeline(&gets)?) {
                let mut expected = format!("value:{n}").into_bytes();
                expected.resize(40, 0);
                ensure!(reply.bytes() == Some(&expected), "key:{n} has {}", show(&reply));
            }
        }
        conn.must("SELECT 3")?;
        ensure!(conn.must("DBSIZE")?.int() == Some(1000), "keys of the other database are missing");
    }
    Ok(())
}

/// What a file says about its size is not believed.
pub fn lying_hints(sides: &Sides, folder: &Folder) -> Result<()> {
    for digits in [[0xFF; 8], [0, 0, 0, 1, 0, 0, 0, 0]] {
        let mut bytes = b"REDIS0012\xFE\x00\xFB\x81".to_vec();
        bytes.extend(digits);
        bytes.push(0x81);
        bytes.extend(digits);
        bytes.extend(b"\x00\x01k\x01v\xFF");
        bytes.extend([0; 8]);
        let path = folder.file("hints.rdb", &bytes)?;
        for options in variants(&sides.subject) {
            let server = sides.subject.start(&[&folder.load(&path)?, *options].concat())?;
            let mut conn = loaded(&server)?;
            ensure!(conn.must("GET k")?.bytes() == Some(b"v"), "the key is there");
            let peak = server.rss_peak_bytes()?;
            ensure!(peak < 256 << 20, "{peak} bytes were resident");
        }
    }
    Ok(())
}

/// Without a file the server is empty.
pub fn no_file(sides: &Sides) -> Result<()> {
    let server = sides.subject.start(&[])?;
    let mut conn = loaded(&server)?;
    ensure!(conn.must("DBSIZE")?.int() == Some(0));
    ensure!(!server.output().contains("loaded from disk"), "nothing was loaded");
    Ok(())
}

/// Keys whose time has come are left out and counted; how keys were used stays.
pub fn expired(sides: &Sides, folder: &Folder) -> Result<()> {
    let record = |expiry_ms: u64, name: &str| {
        [&[0xFC][..], &expiry_ms.to_le_bytes(), b"\x00", &[name.len() as u8], name.as_bytes(), b"\x01v"].concat()
    };
    let mut bytes = b"REDIS0012\xFE\x00".to_vec();
    bytes.extend(record(1, "old"));
    bytes.extend(record(4_000_000_000_000, "new"));
    bytes.extend(b"\xFD\x01\x00\x00\x00\x00\x06second\x01v");
    bytes.extend(b"\xF8\x40\xC8\x00\x04idle\x01v\xF9\x64\x00\x04freq\x01v\x01\x06hollow\x00\xFF");
    bytes.extend([0; 8]);
    let path = folder.file("expired.rdb", &bytes)?;
    let ask = |server: &Server, policy: &str| -> Result<Vec<String>> {
        let mut conn = loaded(server)?;
        let mut lines = Vec::new();
        for line in ["KEYS *", "EXISTS old", "PEXPIRETIME new", "OBJECT IDLETIME idle", "OBJECT FREQ freq"] {
            let mut reply = conn.line(line)?;
            if let Reply::Array(items) = &mut reply {
                items.sort_by_key(show);
            }
            lines.push(format!("{policy} {line}: {}", show(&reply)));
        }
        for name in ["rdb_last_load_keys_loaded", "rdb_last_load_keys_expired"] {
            lines.push(format!("{name} {}", info(&mut conn, "persistence", name)?));
        }
        for line in server.output().lines().filter(|line| line.contains("skipping") || line.contains("Done")) {
            lines.push(line.split_once(" * ").context("a line of the log")?.1.to_owned());
        }
        Ok(lines)
    };
    for policy in ["noeviction", "allkeys-lfu"] {
        let load = [folder.load(&path)?, vec!["--maxmemory-policy", policy]].concat();
        let expected = ask(&sides.oracle.start(&load)?, policy)?;
        for options in variants(&sides.subject) {
            same(&expected, &ask(&sides.subject.start(&[&load, *options].concat())?, policy)?)?;
        }
    }
    Ok(())
}

/// A relative folder counts from where the server was started, and CONFIG SET does not matter any more.
pub fn names(sides: &Sides, folder: &Folder) -> Result<()> {
    let path = folder.file("a name.rdb", b"REDIS0003\xFE\x00\x00\x01k\x01v\xFF")?;
    let server = sides.subject.start(&folder.load(&path)?)?;
    let mut conn = loaded(&server)?;
    ensure!(conn.must("GET k")?.bytes() == Some(b"v"), "a file of version 3");
    Ok(())
}
