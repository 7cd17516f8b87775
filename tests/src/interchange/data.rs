//! Values of every type, encoding and size.

use crate::quote::words;
use crate::rng::Rng;

/// A value and how it is made.
pub struct Value {
    /// Its key.
    pub key: String,
    /// What makes it.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// Whether the payload is known to the byte, unless it is of a hash table.
    pub exact: bool,
    /// Whether nothing in it depends on the moment.
    pub timeless: bool,
    /// Commands about `KEY` that answer the same before and after.
    pub reads: Vec<String>,
}

struct Values(Vec<Value>);

impl Values {
    fn add(&mut self, key: &str, commands: Vec<Vec<Vec<u8>>>, reads: &[&str]) -> &mut Value {
        let reads = reads.iter().map(|line| line.to_string()).collect();
        let key = key.to_string();
        self.0.push(Value { key, commands, exact: true, timeless: true, reads });
        self.0.last_mut().expect("added just now")
    }

    fn lines(&mut self, key: &str, lines: &[&str], reads: &[&str]) -> &mut Value {
        let commands = lines.iter().map(|line| words(&line.replace("KEY", key))).collect();
        self.add(key, commands, reads)
    }

    fn string(&mut self, name: &str, bytes: Vec<u8>) {
        let key = format!("string:{name}");
        let command = vec![b"SET".to_vec(), key.clone().into_bytes(), bytes];
        self.add(&key, vec![command], &["GET KEY", "OBJECT ENCODING KEY"]);
    }

    /// A command with these elements, a few thousand at a time.
    fn elements(&mut self, key: &str, name: &str, elements: Vec<Vec<u8>>, reads: &[&str]) {
        let commands = elements.chunks(1000).map(|some| {
            let head = [name.as_bytes().to_vec(), key.as_bytes().to_vec()];
            head.into_iter().chain(some.iter().cloned()).collect()
        });
        self.add(key, commands.collect(), reads);
    }
}

fn texts(count: usize, make: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
    (0..count).map(|index| make(index).into_bytes()).collect()
}

fn pairs(count: usize, make: impl Fn(usize) -> [String; 2]) -> Vec<Vec<u8>> {
    (0..count).flat_map(make).map(String::into_bytes).collect()
}

/// All values, the same at each call.
pub fn values() -> Vec<Value> {
    let mut values = Values(Vec::new());
    strings(&mut values);
    lists(&mut values);
    sets(&mut values);
    zsets(&mut values);
    hashes(&mut values);
    streams(&mut values);
    vector_sets(&mut values);
    values.0
}

/// Their links are left to chance, so no payload is known to the byte.
fn vector_sets(values: &mut Values) {
    let reads =
        ["VCARD KEY", "VDIM KEY", "VEMB KEY e1", "VEMB KEY e1 RAW", "VGETATTR KEY e3", "DEBUG DIGEST-VALUE KEY"];
    for (name, options) in [("q8", "Q8"), ("none", "NOQUANT M 4"), ("bin", "BIN M 8")] {
        for reduced in [false, true] {
            for count in [2usize, 300] {
                let key = format!("vectors:{name}{reduced}{count}");
                let mut rng = Rng::new(count as u64);
                let mut commands = Vec::new();
                for at in 0..count {
                    let vector = (0..20).flat_map(|_| (rng.below(2001) as f32 - 1000.0).to_le_bytes()).collect();
                    let mut command = words(&format!("VADD {key}{}", if reduced { " REDUCE 7" } else { "" }));
                    command.extend([b"FP32".to_vec(), vector, format!("e{at}").into_bytes()]);
                    command.extend(words(options));
                    if at % 3 == 0 {
                        command.extend([b"SETATTR".to_vec(), format!("{{\"n\":{at}}}").into_bytes()]);
                    }
                    commands.push(command);
                }
                let gone = (2..count).step_by(7);
                commands.extend(gone.map(|at| words(&format!("VREM {key} e{at}"))));
                values.add(&key, commands, &reads).exact = false;
            }
        }
    }
}

fn strings(values: &mut Values) {
    for (index, text) in [
        "0",
        "-1",
        "127",
        "128",
        "-128",
        "-129",
        "32767",
        "32768",
        "-32769",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "01",
        "-0",
        "+1",
        "1.5",
        "",
        "a",
        "1234567890",
        "12345678901",
        "123456789012",
        "-2147483648a",
    ]
    .iter()
    .enumerate()
    {
        values.string(&format!("int{index}"), text.as_bytes().to_vec());
    }
    for len in
        [19, 20, 21, 22, 44, 45, 63, 64, 65, 100, 263, 264, 265, 300, 1024, 1025, 16383, 16384, 100_000, 3_000_000]
    {
        values.string(&format!("same{len}"), vec![b'a'; len]);
        let mut rng = Rng::new(len as u64);
        values.string(&format!("random{len}"), (0..len).map(|_| rng.below(256) as u8).collect());
        values.string(&format!("four{len}"), (0..len).map(|_| b"acgt"[rng.below(4)]).collect());
        let text = |at: usize| format!("{{\"id\":{at},\"name\":\"user{}\",\"on\":true}},", at * 7919 % 1000);
        values.string(&format!("json{len}"), (0..).flat_map(|at| text(at).into_bytes()).take(len).collect());
        // Far repetitions, near the reach of a copy.
        let block: Vec<u8> = (0..8000 + len % 400).map(|_| rng.below(256) as u8).collect();
        values.string(&format!("far{len}"), block.iter().cycle().take(len).copied().collect());
        // Runs of one byte between others, whose lengths differ.
        let runs = (0..len).map(|at| if at % (3 + at / 50) == 0 { rng.below(256) as u8 } else { b'-' });
        values.string(&format!("runs{len}"), runs.collect());
    }
    values.lines("string:appended", &["APPEND KEY abc", "APPEND KEY def"], &["GET KEY"]);
    values.lines("string:counter", &["SET KEY 10", "INCRBY KEY 5"], &["GET KEY"]);
}

fn lists(values: &mut Values) {
    let reads = ["LLEN KEY", "LRANGE KEY 0 -1"];
    for count in [1, 2, 4, 5, 9, 100, 128, 129, 1000, 5000] {
        values.elements(&format!("list:ints{count}"), "RPUSH", texts(count, |at| (at * 37 % 9999).to_string()), &reads);
        values.elements(&format!("list:texts{count}"), "RPUSH", texts(count, |at| format!("element {at}")), &reads);
        values.elements(&format!("list:head{count}"), "LPUSH", texts(count, |at| format!("e{at}")), &reads);
    }
    values.lines("list:one", &["RPUSH KEY \"\""], &reads);
    for (count, len) in [(3, 3000), (2, 9000), (3, 100_000), (1, 3_000_000)] {
        let long = texts(count, |at| at.to_string().repeat(len));
        values.elements(&format!("list:long{len}"), "RPUSH", long, &reads);
    }
    let edges = [63usize, 64, 4095, 4096].map(|len| "x".repeat(len));
    let edges = texts(40, |at| match at % 5 {
        4 => (1i64 << (at + 8)).wrapping_neg().to_string(),
        index => edges[index].clone(),
    });
    values.elements("list:edges", "RPUSH", edges, &reads);
}

fn sets(values: &mut Values) {
    let reads = ["SCARD KEY", "OBJECT ENCODING KEY"];
    for count in [1, 4, 5, 128, 129, 512, 513, 3000] {
        for (name, scale) in [("small", 3i64), ("medium", 70_001), ("large", 5_000_000_017)] {
            let members = texts(count, |at| ((at as i64 - 2) * scale).to_string());
            let key = format!("set:{name}{count}");
            values.elements(&key, "SADD", members, &reads);
        }
        values.elements(&format!("set:texts{count}"), "SADD", texts(count, |at| format!("m{at}")), &reads);
        let mixed = texts(count, |at| if at % 2 == 0 { at.to_string() } else { format!("m{at}") });
        values.elements(&format!("set:mixed{count}"), "SADD", mixed, &reads);
        let long = texts(count, |at| format!("{at:0>70}"));
        values.elements(&format!("set:long{count}"), "SADD", long, &reads);
    }
}

fn zsets(values: &mut Values) {
    let reads = ["ZRANGE KEY 0 -1 WITHSCORES", "OBJECT ENCODING KEY"];
    for count in [1, 4, 5, 128, 129, 3000] {
        let ints = pairs(count, |at| [(at as i64 - 3).to_string(), format!("m{at}")]);
        values.elements(&format!("zset:ints{count}"), "ZADD", ints, &reads);
        let fractions = pairs(count, |at| [(at as f64 / 7.0 - 2.0).to_string(), (at * 3).to_string()]);
        values.elements(&format!("zset:fractions{count}"), "ZADD", fractions, &reads);
        let same = pairs(count, |at| ["5".to_string(), format!("m{}", at * 7919 % count)]);
        values.elements(&format!("zset:same{count}"), "ZADD", same, &reads);
        let long = pairs(count, |at| [(at % 10).to_string(), format!("{at:0>70}")]);
        values.elements(&format!("zset:long{count}"), "ZADD", long, &reads);
    }
    let line = "ZADD KEY inf a -inf b 0 c 1e300 d 1e-300 e -1e17 f 123456789012345678 g 0.1 h 3.0 i 9007199254740993 j";
    values.lines("zset:edges", &[line], &reads);
}

fn hashes(values: &mut Values) {
    let reads = ["HLEN KEY", "OBJECT ENCODING KEY"];
    for count in [1, 4, 5, 512, 513, 3000] {
        let fields = pairs(count, |at| [format!("f{at}"), (at * at).to_string()]);
        values.elements(&format!("hash:ints{count}"), "HSET", fields, &reads);
        let fields = pairs(count, |at| [at.to_string(), format!("v{at}")]);
        values.elements(&format!("hash:texts{count}"), "HSET", fields, &reads);
        let fields = pairs(count, |at| [format!("f{at}"), "long ".repeat(20 + at % 3)]);
        values.elements(&format!("hash:long{count}"), "HSET", fields, &reads);
    }
    // Times far away, so that nothing expires.
    for count in [1, 4, 5, 100, 512, 513, 2000] {
        let key = format!("hash:expiring{count}");
        let mut command: Vec<Vec<u8>> = words(&format!("HSET {key}"));
        command.extend(pairs(count, |at| [format!("f{at}"), format!("v{at}")]));
        let mut commands = vec![command];
        for at in (0..count).step_by(3) {
            let time_ms = 33_177_117_420_123u64 + (at as u64 * 7919) % 1000 * 1_000_000;
            commands.push(words(&format!("HPEXPIREAT {key} {time_ms} FIELDS 1 f{at}")));
        }
        values.add(&key, commands, &reads);
    }
    // The reference still names the time that is gone as the earliest of all.
    values
        .lines(
            "hash:persisted",
            &["HSET KEY a 1 b 2", "HPEXPIREAT KEY 33177117420123 FIELDS 1 a", "HPERSIST KEY FIELDS 1 a"],
            &["HGETALL KEY", "OBJECT ENCODING KEY"],
        )
        .exact = false;
}

fn streams(values: &mut Values) {
    let reads = ["XLEN KEY", "XRANGE KEY - +", "XINFO STREAM KEY FULL COUNT 0"];
    for count in [1, 5, 6, 99, 100, 101, 1000] {
        let entry = |key: &str, at: usize, fields: &str| {
            words(&format!("XADD {key} {}-{} {fields}", 1000 + at / 3, at % 3 + 1))
        };
        let key = format!("stream:same{count}");
        let commands = (0..count).map(|at| entry(&key, at, &format!("name n{at} value {}", at * 31))).collect();
        values.add(&key, commands, &reads);
        let key = format!("stream:other{count}");
        let fields = |at: usize| if at.is_multiple_of(2) { format!("a {at}") } else { format!("b x{at} c \"\"") };
        let commands = (0..count).map(|at| entry(&key, at, &fields(at))).collect();
        values.add(&key, commands, &reads);
        let key = format!("stream:deleted{count}");
        let mut commands: Vec<_> = (0..count).map(|at| entry(&key, at, "f v")).collect();
        for at in (0..count).step_by(2) {
            commands.push(words(&format!("XDEL {key} {}-{}", 1000 + at / 3, at % 3 + 1)));
        }
        values.add(&key, commands, &reads);
        let key = format!("stream:groups{count}");
        let mut commands: Vec<_> = (0..count).map(|at| entry(&key, at, "f v g w")).collect();
        for line in [
            "XGROUP CREATE KEY g1 0",
            "XGROUP CREATE KEY g2 $",
            "XGROUP CREATE KEY \"third group\" 1000-1 ENTRIESREAD 1",
            "XGROUP CREATECONSUMER KEY g1 idle",
            "XREADGROUP GROUP g1 alice COUNT 7 STREAMS KEY >",
            "XREADGROUP GROUP g1 bob COUNT 70 STREAMS KEY >",
            "XACK KEY g1 1000-2",
            "XREADGROUP GROUP g1 alice COUNT 2 STREAMS KEY 0",
            "XCLAIM KEY g1 carol 0 1000-1 JUSTID",
        ] {
            commands.push(words(&line.replace("KEY", &key)));
        }
        let value = values.add(&key, commands, &reads[..2]);
        value.timeless = false;
    }
    values.lines("stream:empty", &["XGROUP CREATE KEY g $ MKSTREAM"], &reads);
    let lines = ["XADD KEY 5-1 a 1", "XADD KEY 18446744073709551615-5 b 2", "XDEL KEY 5-1"];
    values.lines("stream:far", &lines, &reads);
    let lines = ["XADD KEY 5-1 a 1", "XADD KEY 6-1 a 1", "XTRIM KEY MAXLEN 0", "XADD KEY 7-1 a 1"];
    values.lines("stream:trimmed", &lines, &reads);
    let lines = [
        "XADD KEY 5-1 a 1",
        "XADD KEY 6-1 a 1",
        "XTRIM KEY MAXLEN 1",
        "XSETID KEY 9-9 ENTRIESADDED 50 MAXDELETEDID 8-8",
    ];
    values.lines("stream:set", &lines, &reads);
}
