use crate::testing::check;

/// Payloads of Redis 8.2.3: the integer 1, a list of `a`, the same list with a wrong checksum.
const ONE: &str = r#""\x00\xc0\x01\x0c\x00\xed\x0e\xd3v++\x8f\xb5""#;
const LIST: &str = r#""\x12\x01\x02\n\n\x00\x00\x00\x01\x00\x81a\x02\xff\x0c\x00\xc2\xcf\xd95n\xf4G\xdc""#;
const BROKEN: &str = r#""\x12\x01\x02\n\n\x00\x00\x00\x01\x00\x81a\x02\xff\x0c\x00\xc2\xcf\xd95n\xf4G\xdd""#;

#[test]
fn restores() {
    let line = |line: &str| line.replace("ONE", ONE).replace("LIST", LIST).replace("BROKEN", BROKEN);
    let lines: Vec<(String, &str)> = [
        ("RESTORE a 0 ONE", "+OK"),
        ("GET a", "$1 1"),
        ("RESTORE a 0 LIST", "-BUSYKEY Target key name already exists."),
        ("RESTORE a 0 LIST replace", "+OK"),
        ("LRANGE a 0 -1", "*1 $1 a"),
        ("RESTORE b 1000 ONE", "+OK"),
        ("PTTL b", ":1000"),
        ("RESTORE b 1 ONE", "-BUSYKEY Target key name already exists."),
        ("RESTORE b 1 ONE REPLACE ABSTTL", "+OK"),
        ("EXISTS b", ":0"),
        ("RESTORE b -1 ONE", "-ERR Invalid TTL value, must be >= 0"),
        ("RESTORE b x ONE", "-ERR value is not an integer or out of range"),
        ("RESTORE b 0 BROKEN", "-ERR DUMP payload version or checksum are wrong"),
        ("RESTORE b 0 ONE IDLETIME 100", "+OK"),
        ("OBJECT IDLETIME b", ":100"),
        ("RESTORE b 0 ONE IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
        ("RESTORE b 0 ONE FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
        ("RESTORE b 0 ONE FREQ 1 IDLETIME 1", "-ERR syntax error"),
        ("RESTORE b 0 ONE IDLETIME", "-ERR syntax error"),
        ("DUMP nosuch", "$-1"),
    ]
    .map(|(command, reply)| (line(command), reply))
    .into();
    let steps: Vec<(&str, &str)> = lines.iter().map(|(command, reply)| (&command[..], *reply)).collect();
    check(&steps);
}
