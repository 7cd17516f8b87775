//! The words of random commands: small pools, so that commands meet on the same keys, and odd values among plain ones.

use crate::rng::Rng;

/// Draws words; the seed decides all of them.
pub struct Words {
    /// The source of every choice of a run.
    pub rng: Rng,
    /// How many different members, fields and values there are: small pools stay below the encoding thresholds,
    /// large ones cross them.
    pool: usize,
    first_key: Option<Vec<u8>>,
    /// How many ids for new entries were drawn.
    new_ids: usize,
}

const GENERATORS: &[&str] = &[
    "key",
    "own-key",
    "wrong-key",
    "lex-key",
    "member",
    "field",
    "value",
    "int",
    "index",
    "count",
    "random-count",
    "number",
    "score",
    "score-min",
    "score-max",
    "lex-min",
    "lex-max",
    "float",
    "ttl",
    "ttl-ms",
    "abs",
    "abs-ms",
    "lua",
    "pattern",
    "offset",
    "db",
    "junk",
    "numkeys",
    "entry-id",
    "new-id",
    "longitude",
    "latitude",
    "length",
    "acl-rule",
    "acl-command",
    "acl-word",
    "=",
];

/// Values that parsers get wrong. None of them is a number that would allocate much memory somewhere.
const ODD: &[&[u8]] = &[
    b"",
    b"0",
    b"-0",
    b"+1",
    b"01",
    b" 1",
    b"1 ",
    b"1.5",
    b"-1",
    b"abc",
    b"nan",
    b"inf",
    b"-inf",
    b"1e5",
    b"0x10",
    b"\x00",
    b"\xff\xfe",
    b"\r\n",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551616",
    b"*",
    b"NX",
    b"LIMIT",
    b"COUNT",
    b"(",
    b"[",
    b"-",
    b"+",
    b"(1",
    b"[a",
    b"WITHSCORES",
    b"FIELDS",
];

const INTS: &[&[u8]] = &[
    b"127",
    b"128",
    b"-129",
    b"32768",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"-2147483649",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775806",
    b"4294967296",
];

const SCORES: &[&[u8]] = &[
    b"inf",
    b"-inf",
    b"+inf",
    b"1e300",
    b"-1e300",
    b"1e-5",
    b"0.1",
    b"3.14159265358979",
    b"1e17",
    b"123456789012345678",
    b"-0",
    b"0",
    b"1.0",
    b"5e-324",
    b"1.7976931348623157e308",
    b"9007199254740993",
    b"100000000000000000000000",
];

/// Ids that parsers get wrong, and edges.
const STREAM_IDS: &[&[u8]] = &[
    b"-",
    b"+",
    b"$",
    b">",
    b"*",
    b"0-0",
    b"0-1",
    b"5-",
    b"-5",
    b"5--5",
    b"5-+3",
    b" 5-3",
    b"5 -3",
    b"007-01",
    b"5-1-1",
    b"1-18446744073709551616",
    b"5-0\x00junk",
];

const PATTERNS: &[&[u8]] =
    &[b"*", b"k*", b"m1*", b"f?", b"[kw]?", b"*[^0-4]", b"", b"nosuch", b"v*1", b"\\*", b"[", b"[a-", b"*1*", b"1?"];

/// Degrees around which places gather: the date line, cells' borders, and places in between.
const LONGITUDES: &[f64] = &[-180.0, -90.0, 0.0, 2.8125, 13.361389, 90.0, 179.99, 180.0];
/// The same for latitudes; the last ones are out of range.
const LATITUDES: &[f64] = &[-85.05112878, -80.5, -66.0, 0.0, 38.115556, 42.5, 66.1, 80.0, 85.05112878, 90.0];

impl Words {
    /// A generator of words with pools of `pool` members.
    pub fn new(seed: u64, pool: usize) -> Words {
        Words { rng: Rng::new(seed), pool, first_key: None, new_ids: 0 }
    }

    /// True for a name that [`Words::generate`] takes.
    pub fn knows(name: &str) -> bool {
        GENERATORS.contains(&name)
    }

    /// Starts a new template: `<=>` will mean its first key.
    pub fn forget_key(&mut self) {
        self.first_key = None;
    }

    /// How often a repeated part comes: mostly a few, now and then as many as the pool, to cross thresholds.
    pub fn repetitions(&mut self) -> usize {
        if self.rng.chance(3) { 1 + self.rng.below(self.pool) } else { 1 + self.rng.below(4) }
    }

    /// A word of the kind named.
    pub fn generate(&mut self, name: &str) -> Vec<u8> {
        match name {
            "key" => self.key(),
            "own-key" => self.numbered("k", 6),
            "wrong-key" => self.numbered("w", 3),
            "lex-key" => self.numbered("l", 2),
            "=" => self.first_key.clone().unwrap_or_default(),
            "member" => self.member(),
            "field" => self.field(),
            "value" => self.value(),
            "int" => self.int(),
            "index" => self.ranged(-12, 12, 3),
            "count" => self.ranged(0, 10, 4),
            "random-count" => self.ranged(-20, 20, 0),
            "numkeys" => self.ranged(1, 3, 6),
            "entry-id" => self.entry_id(),
            "new-id" => self.new_id(),
            "number" => self.ranged(-5, 40, 0),
            "offset" => self.offset(),
            "db" => self.ranged(0, 2, 3),
            "score" | "float" => self.score(),
            "score-min" | "score-max" => self.score_bound(name == "score-min"),
            "lex-min" | "lex-max" => self.lex_bound(name == "lex-min"),
            "ttl" => self.time(&["100", "1000", "10000", "100000"]),
            "ttl-ms" => self.time(&["100000", "1000000", "10000000"]),
            "abs" => self.time(&["33177117420", "33177117421", "33177117425", "33177117430"]),
            "abs-ms" => self.time(&["33177117420000", "33177117420001", "33177117425123"]),
            "longitude" => self.degrees(LONGITUDES),
            "latitude" => self.degrees(LATITUDES),
            "length" => self.length(),
            "lua" => super::lua::script(&mut self.rng),
            "acl-rule" => super::acl::rule(&mut self.rng),
            "acl-command" => super::acl::command(&mut self.rng),
            "acl-word" => super::acl::word(&mut self.rng),
            "pattern" => self.rng.pick(PATTERNS).to_vec(),
            _ => self.junk(),
        }
    }

    fn numbered(&mut self, prefix: &str, count: usize) -> Vec<u8> {
        format!("{prefix}{}", self.rng.below(count)).into_bytes()
    }

    fn key(&mut self) -> Vec<u8> {
        let key = match self.rng.below(100) {
            0..90 => self.numbered("k", 6),
            90..97 => self.numbered("w", 3),
            97 => Vec::new(),
            98 => b"\x00\xff\r\n".to_vec(),
            _ => b"nosuch".to_vec(),
        };
        self.first_key.get_or_insert_with(|| key.clone());
        key
    }

    fn member(&mut self) -> Vec<u8> {
        match self.rng.below(100) {
            0..55 => self.numbered("m", self.pool),
            55..90 => self.rng.below(self.pool).to_string().into_bytes(),
            90..94 => self.rng.pick(INTS).to_vec(),
            94..97 => self.rng.pick(ODD).to_vec(),
            _ => self.long(),
        }
    }

    fn field(&mut self) -> Vec<u8> {
        match self.rng.below(100) {
            0..94 => self.numbered("f", self.pool),
            94..96 => self.rng.pick(INTS).to_vec(),
            96..98 => self.rng.pick(ODD).to_vec(),
            _ => self.long(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(100) {
            0..40 => self.numbered("v", self.pool),
            40..70 => self.ranged(-20, 200, 0),
            70..76 => self.rng.pick(INTS).to_vec(),
            76..82 => self.score(),
            82..88 => self.rng.pick(ODD).to_vec(),
            _ => self.long(),
        }
    }

    /// Around the length limits of encodings, sometimes far beyond.
    fn long(&mut self) -> Vec<u8> {
        let lengths = [19, 20, 21, 43, 44, 45, 63, 64, 65, 100, 253, 254, 255, 300, 4096, 5000];
        let length = *self.rng.pick(&lengths);
        let letter = b'a' + self.rng.below(4) as u8;
        vec![letter; length]
    }

    fn int(&mut self) -> Vec<u8> {
        match self.rng.below(100) {
            0..80 => self.ranged(-10, 100, 0),
            80..92 => self.rng.pick(INTS).to_vec(),
            _ => self.rng.pick(ODD).to_vec(),
        }
    }

    /// A number in the range, in `odd` percent of all cases something else.
    fn ranged(&mut self, low: i64, high: i64, odd: usize) -> Vec<u8> {
        if self.rng.chance(odd) {
            return self.rng.pick(ODD).to_vec();
        }
        (low + self.rng.below((high - low + 1) as usize) as i64).to_string().into_bytes()
    }

    /// For SETRANGE: short, or beyond the limit, never a valid gigabyte.
    fn offset(&mut self) -> Vec<u8> {
        let far: [&[u8]; 5] = [b"-1", b"536870912", b"9223372036854775807", b"abc", b"4000"];
        if self.rng.chance(10) { self.rng.pick(&far).to_vec() } else { self.ranged(0, 60, 0) }
    }

    fn score(&mut self) -> Vec<u8> {
        match self.rng.below(100) {
            0..60 => self.ranged(-10, 30, 0),
            60..75 => format!("{}.{}", self.rng.below(20), self.rng.below(1000)).into_bytes(),
            75..96 => self.rng.pick(SCORES).to_vec(),
            _ => self.rng.pick(ODD).to_vec(),
        }
    }

    fn score_bound(&mut self, is_min: bool) -> Vec<u8> {
        match self.rng.below(10) {
            0..2 => {
                if is_min {
                    b"-inf".to_vec()
                } else {
                    b"+inf".to_vec()
                }
            }
            2..4 => [b"(".to_vec(), self.score()].concat(),
            4 => self.score(),
            _ if is_min => self.ranged(-10, 10, 0),
            _ => self.ranged(5, 30, 0),
        }
    }

    fn lex_bound(&mut self, is_min: bool) -> Vec<u8> {
        match self.rng.below(10) {
            0..3 => {
                if is_min {
                    b"-".to_vec()
                } else {
                    b"+".to_vec()
                }
            }
            3..6 => [b"[".to_vec(), self.member()].concat(),
            6..9 => [b"(".to_vec(), self.member()].concat(),
            _ => self.rng.pick(ODD).to_vec(),
        }
    }

    /// An id that entries of [`Words::new_id`] may have: mostly a recent one, which several streams may have.
    fn entry_id(&mut self) -> Vec<u8> {
        let ms = (self.new_ids / 4).saturating_sub(self.rng.below(12));
        match self.rng.below(100) {
            0..84 => format!("{ms}-{}", 1 + self.rng.below(2)).into_bytes(),
            84..90 => ms.to_string().into_bytes(),
            90..94 => self.rng.below(self.new_ids / 4 + 2).to_string().into_bytes(),
            94..97 => self.rng.pick(STREAM_IDS).to_vec(),
            _ => self.rng.pick(ODD).to_vec(),
        }
    }

    /// Mostly above those of the same stream before it. Never the clock's.
    fn new_id(&mut self) -> Vec<u8> {
        self.new_ids += 1;
        let (ms, seq) = (self.new_ids / 4, self.new_ids / 2 % 2 + 1);
        match self.rng.below(100) {
            0..94 => format!("{ms}-{seq}").into_bytes(),
            94..97 => format!("{ms}-*").into_bytes(),
            _ => Some(self.entry_id()).filter(|id| id != b"*").unwrap_or_default(),
        }
    }

    /// One of few places, so that distances are equal now and then; something near one; or anywhere.
    fn degrees(&mut self, around: &[f64]) -> Vec<u8> {
        let place = *self.rng.pick(around);
        let offset =
            |words: &mut Words, parts: usize| (words.rng.below(2 * parts + 1) as f64 - parts as f64) / parts as f64;
        let degrees = match self.rng.below(100) {
            0..30 => place,
            30..55 => place + offset(self, 2) / 1000.0,
            55..75 => place + offset(self, 1_000_000) / 10.0,
            75..97 => offset(self, 1_000_000_000) * around.last().copied().unwrap_or_default(),
            _ => return self.rng.pick(ODD).to_vec(),
        };
        degrees.to_string().into_bytes()
    }

    /// From nothing to more than the earth has.
    fn length(&mut self) -> Vec<u8> {
        let whole = [0.0, 1.0, 20.0, 100.0, 500.0, 1000.0, 5000.0, 20000.0, 40000.0];
        let length = match self.rng.below(100) {
            0..50 => *self.rng.pick(&whole),
            50..96 => 10f64.powf(self.rng.below(8000) as f64 / 1000.0 - 0.5),
            _ => return self.rng.pick(ODD).to_vec(),
        };
        length.to_string().into_bytes()
    }

    /// Far away or already over: a run must not depend on when it happens.
    fn time(&mut self, plain: &[&str]) -> Vec<u8> {
        let edge: [&[u8]; 6] = [b"0", b"-1", b"abc", b"1.5", b"9223372036854775807", b"-9223372036854775808"];
        if self.rng.chance(12) { self.rng.pick(&edge).to_vec() } else { self.rng.pick(plain).as_bytes().to_vec() }
    }

    fn junk(&mut self) -> Vec<u8> {
        if self.rng.chance(50) { self.rng.pick(ODD).to_vec() } else { self.value() }
    }

    /// Makes a command wrong, or at least unusual.
    pub fn mutate(&mut self, args: &mut Vec<Vec<u8>>, tail_only: bool) {
        let choices = if tail_only { 3 } else { 6 };
        match self.rng.below(choices) {
            0 if args.len() > 1 => {
                args.pop();
            }
            1 => {
                let junk = self.junk();
                args.push(if tail_only { b"junk".to_vec() } else { junk });
            }
            3 if args.len() > 2 => {
                let (a, b) = (1 + self.rng.below(args.len() - 1), 1 + self.rng.below(args.len() - 1));
                args.swap(a, b);
            }
            4 if args.len() > 1 => {
                let at = 1 + self.rng.below(args.len() - 1);
                args[at] = self.junk();
            }
            5 if args.len() > 1 => {
                let at = 1 + self.rng.below(args.len() - 1);
                let copy = args[at].clone();
                args.insert(at, copy);
            }
            _ => args[0].make_ascii_lowercase(),
        }
    }
}
