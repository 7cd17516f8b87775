//! Users, against what the reference shows after the same rules.

use super::*;

fn user(rules: &str) -> User {
    let mut user = User::new(b"u", false);
    apply(&mut user, rules).unwrap();
    user
}

fn apply(user: &mut User, rules: &str) -> Result<(), String> {
    let words: Vec<&[u8]> = rules.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes).collect();
    user.apply_all(words, false).map_err(|text| String::from_utf8(text).unwrap())
}

fn rules(user: &User) -> String {
    String::from_utf8(user.rules()).unwrap()
}

const P: &str = "148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940";

#[test]
fn shown_as_by_the_reference() {
    for (given, expected) in [
        ("", "off sanitize-payload resetchannels -@all"),
        ("on >p >p", &format!("on sanitize-payload #{P} resetchannels -@all")),
        ("on >p nopass", "on nopass sanitize-payload resetchannels -@all"),
        ("nopass >p", &format!("off sanitize-payload #{P} resetchannels -@all")),
        ("ON skip-sanitize-payload", "on skip-sanitize-payload resetchannels -@all"),
        ("on ~x (+get ~y &z)", "on sanitize-payload ~x resetchannels -@all (~y resetchannels &z -@all +get)"),
        ("(+get) () clearselectors (-@all)", "off sanitize-payload resetchannels -@all (resetchannels -@all)"),
        ("on >p ~* &* +@all (+get) reset", "off sanitize-payload resetchannels -@all"),
        ("(+get 'x)", "off sanitize-payload resetchannels -@all (resetchannels -@all)"),
        ("(+get \"~\\x41\")", "off sanitize-payload resetchannels -@all (~A resetchannels -@all +get)"),
    ] {
        assert_eq!(rules(&user(given)), expected, "{given}");
    }
    assert_eq!(User::default_user().line(), b"user default on nopass sanitize-payload ~* &* +@all");
    let all_channels = User::new(b"u", true);
    assert_eq!(rules(&all_channels), "off sanitize-payload &* -@all");
}

#[test]
fn refusals_in_words() {
    let hash = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    let absent = "The password you are trying to remove from the user does not exist";
    for (rules, what, why) in [
        ("on foo", "foo", "Syntax error"),
        ("<x", "<x", absent),
        ("#12", "#12", hash),
        (&format!("#{}", P.to_uppercase()), &format!("#{}", P.to_uppercase()), hash),
        (&format!("!{P}"), &format!("!{P}"), absent),
        ("(+get +foo)", "(+get +foo)", "Unknown command or category name in ACL"),
        ("(reset)", "(reset)", "Syntax error"),
        (")", ")", "Syntax error"),
    ] {
        let expected = format!("Error in ACL SETUSER modifier '{what}': {why}");
        assert_eq!(apply(&mut User::new(b"u", false), rules), Err(expected), "{rules}");
    }
    let open = apply(&mut User::new(b"u", false), "on (+get ~x");
    assert_eq!(open, Err("Unmatched parenthesis in acl selector starting at '(+get'.".into()));
}

#[test]
fn passwords() {
    let mut user = user("on >p >q");
    assert!(user.lets_in(b"p") && user.lets_in(b"q") && !user.lets_in(b"") && !user.lets_in(b"P"));
    apply(&mut user, &format!("<q !{P}")).unwrap();
    assert!(!user.lets_in(b"p") && !user.lets_in(b"q"));
    apply(&mut user, "nopass").unwrap();
    assert!(user.lets_in(b"anything"));
    apply(&mut user, "off").unwrap();
    assert!(!user.lets_in(b"anything"));
    user.require_password(b"new");
    apply(&mut user, "on").unwrap();
    assert!(user.lets_in(b"new") && !user.lets_in(b"anything"));
    user.require_password(b"");
    assert!(user.lets_in(b"anything"));
}

#[test]
fn channels_that_are_left() {
    let left = |old: &str, new: &str| {
        let left = user(new).channels_left(&user(old));
        left.map(|left| {
            left.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(left("&a", "&a &b"), None);
    assert_eq!(left("&a &b", "&a"), Some("a".into()));
    assert_eq!(left("&*", "&a"), Some("a".into()));
    assert_eq!(left("&*", "(&*)"), None);
    assert_eq!(left("&a (&b)", "&b (&a)"), None);
    assert_eq!(left("&a", ""), Some(String::new()));
    assert_eq!(left("", ""), None);
}

#[test]
fn lines_of_files_are_read_back() {
    let mut user = User::new(b"q\"'\\", false);
    for rule in
        ["on", ">p", "~a'b", "~a\"b", "&c\\d", "(~x +get)", "(~y) +set)", "(\"~a'b\" '&\"' \"~\\x01\\xff\" +@read)"]
    {
        user.apply(rule.as_bytes(), false).unwrap();
    }
    let in_file = super::super::file::parse(b"f", &user.file_line(), false).unwrap();
    assert_eq!(in_file[&user.name].line(), user.line());
    let words = crate::config::split_words(&user.config_line()).unwrap();
    let mut again = User::new(&words[1], false);
    again.apply_all(words[2..].iter().map(Vec::as_slice), false).unwrap();
    assert_eq!(again.line(), user.line());
    // Nothing is quoted that need not be.
    assert_eq!(User::default_user().config_line(), User::default_user().line());
}
