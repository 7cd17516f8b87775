use super::Pieces;
use crate::testing::Fixture;
use kinovar_command::keyspace::Entry;
use proptest::prelude::*;

/// The words of commands, each command a line.
fn lines(bytes: &[u8]) -> Vec<String> {
    Fixture::split(bytes).iter().map(|words| words.join(" ")).collect()
}

/// A key in pieces of about so many bytes, and how many they are.
fn written(entry: &Entry, piece: usize) -> (Vec<u8>, usize) {
    let (mut out, mut pieces, mut count) = (Vec::new(), Pieces::default(), 1);
    while pieces.next(entry, piece, &mut out) {
        count += 1;
    }
    (out, count)
}

/// What a fixture's keys come to, in the order of their names.
fn rebuilt(fixture: &mut Fixture, piece: usize) -> Vec<u8> {
    let mut keys: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    fixture.each_entry(&mut |entry| keys.push((entry.key().to_vec(), written(entry, piece).0)));
    keys.sort();
    keys.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn made(commands: &[&str]) -> Fixture {
    let mut fixture = Fixture::new();
    for command in commands {
        let reply = fixture.run(command);
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    fixture
}

/// As Redis 8.2.3 writes them.
#[test]
fn small_values_have_the_commands_of_the_reference() {
    let mut fixture = made(&[
        "SET big 9223372036854775808",
        "SET e '' PXAT 1795710552012",
        "HSET h f v g 1",
        "HSET hx f v g w h 5",
        "HPEXPIREAT hx 33177117420123 FIELDS 2 f g",
        "RPUSH l a b c 1 2 3",
        "SET n 12",
        "SADD si 3 1 2 -5",
        "SADD ss a b c 1",
        "XADD st 1-1 a 1 b 2",
        "XADD st 2-1 a 1 b 2",
        "XADD st 3-0 c 1",
        "XDEL st 3-0",
        "XGROUP CREATE st g 0",
        "XGROUP CREATECONSUMER st g bob",
        "XREADGROUP GROUP g al COUNT 1 STREAMS st >",
        "XGROUP CREATE st g2 1-1 ENTRIESREAD 1",
        "XADD su 5-5 a b",
        "XTRIM su MAXLEN 0",
        "XGROUP CREATE sv g $ MKSTREAM",
        "ZADD z 1 a 2.5 b -inf c 3e100 d 0.1 e",
    ]);
    let expected = [
        "SET big 9223372036854775808",
        "SET e ",
        "PEXPIREAT e 1795710552012",
        "HMSET h f v g 1",
        "HMSET hx g w",
        "HPEXPIREAT hx 33177117420123 FIELDS 1 g",
        "HMSET hx f v",
        "HPEXPIREAT hx 33177117420123 FIELDS 1 f",
        "HMSET hx h 5",
        "RPUSH l a b c 1 2 3",
        "SET n 12",
        "SADD si -5 1 2 3",
        "SADD ss a b c 1",
        "XADD st 1-1 a 1 b 2",
        "XADD st 2-1 a 1 b 2",
        "XSETID st 3-0 ENTRIESADDED 3 MAXDELETEDID 3-0",
        "XGROUP CREATE st g 1-1 ENTRIESREAD -1",
        "XCLAIM st g al 0 1-1 TIME 1700000000000 RETRYCOUNT 1 JUSTID FORCE",
        "XGROUP CREATECONSUMER st g bob",
        "XGROUP CREATE st g2 1-1 ENTRIESREAD 1",
        "XADD su MAXLEN 0 0-1 x y",
        "XSETID su 5-5 ENTRIESADDED 1 MAXDELETEDID 0-0",
        "XADD sv MAXLEN 0 0-1 x y",
        "XSETID sv 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0",
        "XGROUP CREATE sv g 0-0 ENTRIESREAD -1",
        "ZADD z -inf c 0.1 e 1 a 2.5 b 3e+100 d",
    ];
    assert_eq!(lines(&rebuilt(&mut fixture, usize::MAX)), expected);
}

#[test]
fn databases_and_libraries_are_commands_too() {
    let mut out = Vec::new();
    super::select(3, &mut out);
    super::library(b"#!lua name=a\n", &mut out);
    assert_eq!(
        out,
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$13\r\n#!lua name=a\n\r\n"
    );
}

/// Values that are too large for packed encodings, of about so many elements.
fn large(count: usize) -> Fixture {
    let mut fixture = Fixture::new();
    let run = |fixture: &mut Fixture, line: String| {
        let reply = fixture.run(&line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    };
    for at in 0..count {
        run(&mut fixture, format!("RPUSH list element{at} {at}"));
        run(&mut fixture, format!("SADD set m{at} {at}"));
        run(&mut fixture, format!("SADD ints {at}"));
        run(&mut fixture, format!("ZADD zset {}.5 m{at}", at * 7919 % 1000));
        run(&mut fixture, format!("HSET hash f{at} v{at}"));
        run(&mut fixture, format!("HSETEX expiring PXAT {} FIELDS 1 f{at} v{at}", 1_800_000_000_000 + at));
        run(&mut fixture, format!("XADD stream {}-1 f{} v{at} g {at}", at + 1, at % 3));
    }
    run(&mut fixture, "XGROUP CREATE stream g 0".into());
    run(&mut fixture, "XGROUP CREATE stream h 5-1".into());
    for at in 0..count / 4 {
        run(&mut fixture, format!("XREADGROUP GROUP g c{} COUNT 2 STREAMS stream >", at % 5));
        run(&mut fixture, format!("XGROUP CREATECONSUMER stream h idle{at}"));
    }
    run(&mut fixture, "RPUSH expired a".into());
    run(&mut fixture, "PEXPIREAT expired 1700000000001".into());
    fixture.now_ms += 10;
    fixture
}

#[test]
fn the_commands_make_the_same_values() {
    let mut fixture = large(700);
    let bytes = rebuilt(&mut fixture, usize::MAX);
    let lines = lines(&bytes);
    let longest = lines.iter().map(|line| line.split(' ').count()).max();
    assert_eq!(longest, Some(2 + 2 * super::ITEMS_MAX));
    // The node of a list has 8 KB.
    fixture.each_entry(&mut |entry| {
        let (bytes, pieces) = written(entry, 500);
        assert!(pieces > bytes.len() / 12_000, "{pieces} pieces of {} bytes", bytes.len());
    });
    let mut other = Fixture::new();
    other.now_ms = fixture.now_ms;
    other.replays = true;
    for words in Fixture::split(&bytes) {
        let reply = other.run_words(&words);
        assert!(!reply.starts_with('-'), "{words:?}: {reply}");
    }
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    let words = |lines: &[String]| lines.iter().flat_map(|line| line.split(' ').map(String::from)).collect();
    let again = self::lines(&rebuilt(&mut other, usize::MAX));
    assert_eq!(sorted(words(&again)), sorted(words(&lines)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn pieces_make_up_the_whole(count in 1usize..400, piece in prop::sample::select(vec![1, 50, 999, 20_000])) {
        let mut fixture = large(count);
        prop_assert_eq!(rebuilt(&mut fixture, piece), rebuilt(&mut fixture, usize::MAX));
    }
}

#[test]
fn vector_sets_are_elements_one_by_one() {
    // Numbers whose bytes are text.
    let commands = ["VADD v VALUES 2 2 0 a NOQUANT M 8 SETATTR {}", "VADD v VALUES 2 0 8 b NOQUANT M 8"];
    let mut fixture = made(&[commands[0], commands[1], "PEXPIREAT v 33177117420123"]);
    let bytes = rebuilt(&mut fixture, 1);
    assert_eq!(bytes, rebuilt(&mut fixture, usize::MAX));
    let expected = [
        "VADD v FP32 \0\0\0@\0\0\0\0 a NOQUANT M 8 SETATTR {}",
        "VADD v FP32 \0\0\0\0\0\0\0A b NOQUANT M 8",
        "PEXPIREAT v 33177117420123",
    ];
    assert_eq!(lines(&bytes), expected);
    let mut again = Fixture::new();
    Fixture::split(&bytes).iter().for_each(|words| assert_eq!(again.run_words(words), ":1"));
    again.check(&[("VEMB v a", "*2 $1 2 $1 0"), ("VGETATTR v a", "$2 {}"), ("VCARD v", ":2")]);
}
