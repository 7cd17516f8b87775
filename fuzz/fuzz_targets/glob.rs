//! Patterns against a matcher that is short and slow.
#![no_main]

use kinovar_command::glob::{matches, matches_ignore_case};
use libfuzzer_sys::fuzz_target;

/// What the model may try: its stars backtrack without bound.
const STEPS_MAX: usize = 100_000;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (pattern, text) = input;
    let plain = matches(pattern, text);
    let folded = matches_ignore_case(pattern, text);
    for (ignore_case, got) in [(false, plain), (true, folded)] {
        let mut steps = STEPS_MAX;
        // Stars stand for nothing only beside something.
        let expected = if text.is_empty() {
            Some(pattern.is_empty())
        } else {
            model(pattern, text, ignore_case, &mut steps)
        };
        if let Some(expected) = expected {
            assert_eq!(got, expected, "{} {}", pattern.escape_ascii(), text.escape_ascii());
        }
    }
});

/// `None` when it would take too long.
fn model(pattern: &[u8], text: &[u8], ignore_case: bool, steps: &mut usize) -> Option<bool> {
    *steps = steps.checked_sub(1)?;
    match pattern {
        [] => Some(text.is_empty()),
        [b'*', rest @ ..] => {
            for from in 0..=text.len() {
                if model(rest, &text[from..], ignore_case, steps)? {
                    return Some(true);
                }
            }
            Some(false)
        }
        _ => {
            let Some((&byte, after)) = text.split_first() else { return Some(false) };
            match one(pattern, byte, ignore_case) {
                (true, rest) => model(rest, after, ignore_case, steps),
                (false, _) => Some(false),
            }
        }
    }
}

/// Whether the head of the pattern takes this byte, and what follows the head.
fn one(pattern: &[u8], byte: u8, ignore_case: bool) -> (bool, &[u8]) {
    let fold = |b: u8| if ignore_case { b.to_ascii_lowercase() } else { b };
    match pattern {
        [b'?', rest @ ..] => (true, rest),
        [b'\\', escaped, rest @ ..] => (fold(*escaped) == fold(byte), rest),
        [b'[', class @ ..] => {
            let (negated, mut class) = match class {
                [b'^', class @ ..] => (true, class),
                _ => (false, class),
            };
            let mut found = false;
            loop {
                class = match class {
                    [] => return (found != negated, class),
                    [b']', rest @ ..] => return (found != negated, rest),
                    [b'\\', escaped, rest @ ..] => {
                        found |= fold(*escaped) == fold(byte);
                        rest
                    }
                    [from, b'-', to, rest @ ..] => {
                        let range = *from.min(to)..=*from.max(to);
                        found |= range.contains(&byte);
                        let (lower, upper) = (byte.to_ascii_lowercase(), byte.to_ascii_uppercase());
                        found |= ignore_case && (range.contains(&lower) || range.contains(&upper));
                        rest
                    }
                    [literal, rest @ ..] => {
                        found |= fold(*literal) == fold(byte);
                        rest
                    }
                };
            }
        }
        [literal, rest @ ..] => (fold(*literal) == fold(byte), rest),
        [] => (false, pattern),
    }
}
