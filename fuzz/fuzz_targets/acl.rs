//! Rules of users, and files of users: refused in words, or a user whose lines make the same user again.
#![no_main]

use kinovar_resp::Span;
use kinovar_server::acl::User;
use kinovar_server::acl::catalog;
use kinovar_server::acl::check::{Denial, Reason, check};
use kinovar_server::acl::file::parse;
use kinovar_server::acl::start::Declared;
use kinovar_server::config::split_words;
use libfuzzer_sys::fuzz_target;

// Words end at zero bytes, but for those that follow a byte 1.
fuzz_target!(|input: (bool, &[u8], &[u8])| {
    let (all_channels, rules, text) = input;
    let words: Vec<Vec<u8>> = rules
        .split(|&byte| byte == 0)
        .map(|word| word.iter().map(|&byte| if byte == 1 { 0 } else { byte }).collect())
        .collect();
    let mut user = User::new(b"u", all_channels);
    match user.apply_all(words.iter().map(Vec::as_slice), all_channels) {
        Err(text) => assert!(text.starts_with(b"Error in ACL") || text.starts_with(b"Unmatched")),
        Ok(()) => round_trips(&user),
    }
    request(&user, text);
    let declared: Vec<Vec<u8>> = [vec![b"u".to_vec()], words].concat();
    if let Ok(declared) = Declared::parse(&declared, &[]) {
        assert_eq!(declared.name, b"u");
    }
    match parse(b"users.acl", text, all_channels) {
        Err(errors) => assert!(errors.ends_with(b"no change to the previously active ACL rules was performed")),
        Ok(users) => users.values().for_each(round_trips),
    }
});

/// Its lines make the same user again.
fn round_trips(user: &User) {
    let line = user.line();
    let again = parse(b"f", &user.file_line(), true).expect("a line of ours");
    assert_eq!(again[&user.name].line(), line);
    let words = split_words(&user.config_line()).expect("a line of ours");
    let mut again = User::new(&words[1], true);
    again.apply_all(words[2..].iter().map(Vec::as_slice), true).expect("a line of ours");
    assert_eq!(again.line(), line);
}

/// Any request is allowed, or refused because of one of its words.
fn request(user: &User, text: &[u8]) {
    let Some((&which, rest)) = text.split_first() else { return };
    let entry = &catalog::entries()[usize::from(which) % catalog::entries().len()];
    let mut buf = entry.full_name.replace('|', " ").into_bytes();
    buf.push(b' ');
    buf.extend_from_slice(rest);
    let mut spans = Vec::new();
    let mut start = 0;
    for word in buf.split(|&byte| byte == b' ') {
        spans.push(Span { start, len: word.len() as u32 });
        start += word.len() as u32 + 1;
    }
    let args = kinovar_command::Args::new(&buf, &spans, 1);
    match check(user, entry, &args) {
        Ok(()) => assert!(user.selectors().iter().any(|selector| selector.allows_command(entry, &args))),
        Err(denial @ Denial { reason, at }) => {
            assert!(at < args.argc());
            assert_eq!(reason == Reason::Command, at == 0);
            assert!(!user.is_unrestricted());
            assert!(!denial.full_text(user, entry, &args).is_empty());
        }
    }
}
