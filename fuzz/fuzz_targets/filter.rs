//! Filter expressions and the attributes that they are about: any bytes. What is accepted does not depend on what stands around it in
//! parentheses.
#![no_main]

use kinovar_commands::vector_set::filter::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (expression, attributes) = input;
    let filter = match Filter::compile(expression) {
        Ok(filter) => filter,
        Err(error) => return assert!(error.offset <= expression.len()),
    };
    let accepted = filter.accepts(attributes);
    assert_eq!(accepted, filter.accepts(attributes));
    if !expression.contains(&0) {
        let inside = [b"(", expression, b")"].concat();
        let inside = Filter::compile(&inside).expect("an expression in parentheses is one");
        assert_eq!(accepted, inside.accepts(attributes));
        let double = [b"!(!(", expression, b"))"].concat();
        let double = Filter::compile(&double).expect("so is its negation");
        // A field that is not there makes all false.
        assert!(!accepted || double.accepts(attributes));
    }
});
