//! Expressions, with what the reference makes of them.

use super::*;

const ATTRIBUTES: &[u8] =
    br#"{"n":3,"s":"x3","b":true,"z":null,"a":[1,"q",2],"o":{"n":99},"e":"a\"b\nc","neg":-1.5e1,"d":[[1],2]}"#;

fn check(expressions: &[(&str, bool)]) {
    for (expression, expected) in expressions {
        let filter = Filter::compile(expression.as_bytes()).unwrap_or_else(|_| panic!("{expression} is one"));
        assert_eq!(filter.accepts(ATTRIBUTES), *expected, "{expression}");
    }
}

#[test]
fn operators() {
    check(&[
        (".n > 2", true),
        (".n >= 3 and .n <= 3", true),
        (".n < 3 or .n != 3", false),
        ("2 ** 3 ** 2 == 512", true),
        ("7 % 4 * 2 + 1 - 3 / 2 == 5.5", true),
        ("!(.n > 3) && not .z", true),
        ("10 !", false),
        ("3 not", false),
        ("1 == 1 == 1", true),
        (".n==1or.n==3", true),
        ("(1) -1 == 0", true),
        (".n - 1 == 2", true),
        (".n-1 == 2", false),
        (".n -1 == 2", true),
        (".n*-1 == -3", true),
        (".n >= 0 -1", true),
        ("5 / 0", true),
        ("0/0 == 0/0", false),
        ("1e3==1000", true),
        ("-1 < .n", true),
        (".neg == -15", true),
    ]);
}

#[test]
fn values() {
    check(&[
        ("'x3' == .s", true),
        (".s > 1", false),
        ("\"5\" > 4", true),
        ("\" 5\" == 5", true),
        ("\"0x10\" == 16", true),
        ("\"5 \" == 5", false),
        ("\"\" == 0", true),
        ("\"abc\"", true),
        ("\"\"", false),
        (".z == null", true),
        (".z != 1", true),
        ("null", false),
        (".b == 1", true),
        (".a", true),
        ("[] ", true),
        ("[ 1 , 2 ] == [3]", true),
        ("[-1,-2] == 1", false),
        (".s in [\"x1\",\"x3\"]", true),
        (".n in[1,3]", true),
        ("\"q\" in .a and 2 in .a", true),
        (".s in \"x1x3\"", true),
        ("\"\" in \"x\"", true),
        ("1 in \"123\"", false),
        (".o", false),
        (".missing == 1 or 1", false),
        (".e == \"a\\\"b\\nc\"", false),
        (".d", true),
    ]);
}

#[test]
fn what_is_no_expression() {
    let errors: &[(&str, usize)] = &[
        ("", 0),
        ("  ", 2),
        ("1 +", 0),
        ("(1 + 2", 0),
        ("1 ~ 2", 2),
        ("()", 0),
        (".n .n", 0),
        ("not not .n", 0),
        ("!!.n", 0),
        ("[1,", 3),
        (".n in [null]", 7),
        (".n in [1 2]", 9),
        (".b == true", 10),
        ("truea", 5),
        (".n == 3)", 0),
        (".n=3", 3),
        (". n", 0),
        (".a[0] ~", 6),
        (".n in (1,2)", 8),
        ("1.5.5", 5),
        ("\"open", 5),
        (".n AND 1", 6),
        (".n == 1e", 8),
        ("- 1", 0),
        ("-.n == -1", 0),
        ("1 + + 1", 0),
        ("1 not 2", 0),
    ];
    for (expression, offset) in errors {
        match Filter::compile(expression.as_bytes()) {
            Err(error) => assert!(error.offset == *offset || *expression == "  ", "{expression}: {}", error.offset),
            Ok(_) => panic!("{expression} is none"),
        }
    }
}

#[test]
fn attributes_may_be_anything() {
    let filter = |expression: &'static str| Filter::compile(expression.as_bytes()).unwrap();
    let n = filter(".n == 10");
    for (attributes, expected) in [
        (r#"{"n":10"#, true),
        (r#" { "x" : [{]} , "n" : 10 } "#, false),
        (r#" { "x" : [{}] , "n" : 10 } "#, true),
        (r#"{"x":"\"","n":10,"n":11}"#, true),
        (r#"{"x":tru,"n":10}"#, false),
        (r#"{"x":nulln,"n":10}"#, false),
        ("n:10", false),
        ("", false),
        ("{", false),
        (r#"{"n":"#, false),
        (r#"{"n":10x}"#, true),
        (r#"{"n":+10}"#, true),
        (r#"{"n":1-0}"#, false),
        (r#"{"n":"10"}"#, true),
        (r#"{"n\":10"#, false),
        ("{\"n\":\"\\", false),
    ] {
        assert_eq!(n.accepts(attributes.as_bytes()), expected, "{attributes}");
    }
    assert!(!filter(".t").accepts(br#"{"t":truex}"#) && filter(".t").accepts(br#"{"t":true"#));
    assert!(!filter(".a").accepts(br#"{"a":[1,{}]}"#) && filter(".a").accepts(br#"{"a":[1,[]]}"#));
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(!filter(".a").accepts(deep.as_bytes()));
    assert!(Filter::compile("(".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn an_expression_ends_at_a_zero_byte() {
    assert!(Filter::compile(b"1\0~").is_ok());
    assert_eq!(Filter::compile(b"\0").unwrap_err(), SyntaxError { offset: 0 });
}
