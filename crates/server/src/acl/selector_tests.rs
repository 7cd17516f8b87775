//! Selectors, against what the reference shows after the same rules.

use super::*;
use kinovar_resp::Span;

/// What is shown after these rules; expected texts are the reference's.
fn shown(rules: &str) -> String {
    let mut selector = Selector::new(false);
    for rule in rules.split(' ').filter(|rule| !rule.is_empty()) {
        selector.apply(rule.as_bytes()).unwrap_or_else(|error| panic!("{rule}: {error:?}"));
    }
    String::from_utf8(selector.rules()).unwrap()
}

fn refusal(before: &str, rule: &str) -> Option<RuleError> {
    let mut selector = Selector::new(false);
    before.split(' ').filter(|rule| !rule.is_empty()).for_each(|rule| selector.apply(rule.as_bytes()).unwrap());
    let text = selector.rules();
    let refused = selector.apply(rule.as_bytes()).err();
    assert!(refused.is_none() || selector.rules() == text, "a rule that is refused changes nothing");
    refused
}

#[test]
fn later_rules_replace_earlier_ones() {
    for (rules, expected) in [
        ("", "resetchannels -@all"),
        ("+get +set -get", "resetchannels -@all +set -get"),
        ("+GET +get +Config|Set -config", "resetchannels -@all +get -config"),
        ("+config|get +config|set -config|set", "resetchannels -@all +config|get -config|set"),
        ("+config|get +config +client|id", "resetchannels -@all +config +client|id"),
        ("+select|1 +select|1 +SELECT|2 -get +get", "resetchannels -@all +select|1 +select|2 +get"),
        ("+select|1 +select", "resetchannels -@all +select"),
        ("+@read -@READ +@write", "resetchannels -@all -@read +@write"),
        ("+@read +get +@all -debug", "resetchannels +@all -debug"),
        ("-debug allcommands nocommands", "resetchannels -@all"),
        ("+getex +get -getex", "resetchannels -@all +get -getex"),
    ] {
        assert_eq!(shown(rules), expected, "{rules}");
    }
}

#[test]
fn keys_and_channels() {
    for (rules, expected) in [
        ("~x %R~y %W~x %r~x", "~x %R~y resetchannels -@all"),
        ("%W~y %R~y", "~y resetchannels -@all"),
        ("%R %w %rw~x %RW", "~ ~x resetchannels -@all"),
        ("~x ~*", "~* resetchannels -@all"),
        ("%RW~* ~x", "~* ~x resetchannels -@all"),
        ("~* resetkeys ~y", "~y resetchannels -@all"),
        ("&x &y &x", "resetchannels &x &y -@all"),
        ("&x &*", "&* -@all"),
        ("allchannels resetchannels &z", "resetchannels &z -@all"),
        ("allkeys allchannels allcommands", "~* &* +@all"),
    ] {
        assert_eq!(shown(rules), expected, "{rules}");
    }
}

#[test]
fn refusals() {
    for (before, rule, error) in [
        ("", "foo", RuleError::Syntax),
        ("", "", RuleError::Syntax),
        ("", "on", RuleError::Syntax),
        ("", "@read", RuleError::Syntax),
        ("", "+foo", RuleError::Unknown),
        ("", "+", RuleError::Unknown),
        ("", "-select|0", RuleError::Unknown),
        ("", "+config|foo", RuleError::Unknown),
        ("", "+a|b|c", RuleError::Unknown),
        ("", "+|x", RuleError::Unknown),
        ("", "+@foo", RuleError::Unknown),
        ("", "+select|", RuleError::Syntax),
        ("", "+select|a b", RuleError::Syntax),
        ("", "+config|", RuleError::Syntax),
        ("", "+config|get|x", RuleError::ArgumentOfSubcommand),
        ("~*", "~x", RuleError::KeysBesideAll),
        ("~*", "%Q", RuleError::KeysBesideAll),
        ("&*", "&x", RuleError::ChannelsBesideAll),
        ("", "~a b", RuleError::Syntax),
        ("", "~a\0", RuleError::Syntax),
        ("", "&a\t", RuleError::Syntax),
        ("", "%RR~x", RuleError::Syntax),
        ("", "%~x", RuleError::Syntax),
        ("", "%", RuleError::Syntax),
        ("", "%Rx", RuleError::Syntax),
    ] {
        assert_eq!(refusal(before, rule), Some(error), "{before} {rule}");
    }
    for accepted in ["+get\0foo", "~*\0q", "~", "&", "+select|q\0r", "~a\\*b"] {
        assert_eq!(refusal("", accepted), None, "{accepted}");
    }
}

#[test]
fn what_is_shown_makes_the_same_again() {
    let names = ["get", "config", "config|get", "select", "@read", "@admin", "acl|log"];
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..500 {
        let mut selector = Selector::new(rng.bool());
        for _ in 0..rng.usize(..12) {
            let name = names[rng.usize(..names.len())];
            let rule = match rng.usize(..8) {
                0 => "+@all".to_owned(),
                1 => "-@all".to_owned(),
                2 => "+select|1".to_owned(),
                3 => format!("%{}~{}", ["R", "W", "RW"][rng.usize(..3)], rng.u8(..3)),
                4 => format!("&{}", rng.u8(..3)),
                5 => ["allkeys", "resetkeys", "allchannels", "resetchannels"][rng.usize(..4)].to_owned(),
                6 => format!("-{name}"),
                _ => format!("+{name}"),
            };
            // Some do not fit what is there.
            let _ = selector.apply(rule.as_bytes());
        }
        let text = selector.rules();
        let again = Selector::parse(&[b"(", &*text, b")"].concat(), true).unwrap();
        assert_eq!(again.rules(), text);
        let used = |selector: &Selector| -> Vec<bool> {
            let args = Args::new(b"xx", &[Span { start: 0, len: 1 }], 1);
            catalog::entries().iter().map(|entry| selector.allows_command(entry, &args)).collect()
        };
        assert_eq!(used(&again), used(&selector), "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn first_arguments() {
    let mut selector = Selector::new(false);
    selector.apply(b"+select|One").unwrap();
    let entry = catalog::command(b"select").unwrap();
    let allows = |selector: &Selector, word: &str| {
        let text = format!("select{word}");
        let spans = [Span { start: 0, len: 6 }, Span { start: 6, len: word.len() as u32 }];
        let count = if word.is_empty() { 1 } else { 2 };
        selector.allows_command(entry, &Args::new(text.as_bytes(), &spans[..count], 1))
    };
    assert!(allows(&selector, "ONE") && !allows(&selector, "two") && !allows(&selector, ""));
    selector.apply(b"-select").unwrap();
    assert!(!allows(&selector, "one"));
}

#[test]
fn permissions() {
    let mut selector = Selector::new(false);
    for rule in ["%R~r*", "%W~w*", "~rw*"] {
        selector.apply(rule.as_bytes()).unwrap();
    }
    let cases = [
        (Access::RO.access(), [true, false, true]),
        (Access::OW.update(), [false, true, true]),
        (Access::RW.insert(), [false, true, true]),
        (Access::RM.delete(), [false, true, true]),
        (Access::RW.access().update(), [false, false, true]),
        // Only whether it is there.
        (Access::RO, [true, true, true]),
    ];
    for (access, expected) in cases {
        assert_eq!(["r1", "w1", "rw1"].map(|key| selector.allows_key(key.as_bytes(), access)), expected, "{access:?}");
        assert!(!selector.allows_key(b"x", access));
    }
    assert!(!selector.allows_every_key(Access::RO.access()));
    selector.apply(b"%R~*").unwrap();
    assert!(selector.allows_every_key(Access::RO.access()) && !selector.allows_every_key(Access::OW.update()));
}
