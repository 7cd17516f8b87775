//! Append-only files: whatever the bytes are, they are found to be commands, notes, cut off or wrong; and a manifest that is read
//! says the same when it is written and read again.
#![no_main]

use kinovar_server::journal::manifest::Manifest;
use kinovar_server::loading::commands::{Step, step};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut at, mut spans) = (0, Vec::new());
    loop {
        let first = spans.len();
        match step(bytes, at, &mut spans) {
            Ok(Step::Command(end)) => {
                assert!(end > at && end <= bytes.len() && spans.len() > first);
                // Each word lies behind the one before.
                for span in &spans[first..] {
                    assert!(span.start as usize > at);
                    at = span.start as usize + span.of(bytes).len();
                }
                assert!(at < end);
                at = end;
            }
            Ok(Step::Note(end)) => {
                assert!(end > at && end <= bytes.len());
                at = end;
            }
            Ok(Step::Incomplete) | Err(_) => {
                assert_eq!(spans.len(), first);
                break;
            }
        }
    }
    if let Ok(manifest) = Manifest::parse(bytes)
        && !manifest.is_empty()
        && manifest.history.is_empty()
        // Longer names no file has.
        && manifest.parts().all(|part| part.name.as_os_str().len() <= 255)
    {
        assert_eq!(Manifest::parse(&manifest.format()), Ok(manifest));
    }
});
