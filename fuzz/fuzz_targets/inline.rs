//! The two readers of quoted words (requests and configuration lines) agree, and quoting is undone by reading.
#![no_main]

use kinovar_resp::parser::next_word;
use kinovar_server::config::{quote_into, split_words};
use libfuzzer_sys::fuzz_target;

fn request_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut rest) = (Vec::new(), line);
    loop {
        let mut word = Vec::new();
        match next_word(rest, &mut word) {
            Ok(Some(next)) => {
                assert!(next.len() < rest.len(), "a word takes bytes");
                words.push(word);
                rest = next;
            }
            Ok(None) => return Some(words),
            Err(_) => return None,
        }
    }
}

fuzz_target!(|line: &[u8]| {
    let words = request_words(line);
    assert_eq!(words, split_words(line));
    let Some(words) = words else { return };
    assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
    let mut quoted = Vec::new();
    for word in &words {
        quote_into(&mut quoted, word);
        quoted.push(b' ');
    }
    assert_eq!(request_words(&quoted), Some(words));
});
