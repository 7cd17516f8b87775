//! Replies in words, as redis-cli prints them on a terminal; the wire type is always visible.

use crate::quote::quoted_text;
use crate::resp::Reply;

/// Replies longer than this are cut in reports.
const SHOWN_MAX: usize = 2000;

/// The reply over as many lines as it needs, without a final line feed.
pub fn show(reply: &Reply) -> String {
    let mut text = render(reply, "");
    if text.len() > SHOWN_MAX {
        let cut = (0..=SHOWN_MAX).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(cut);
        text.push_str("… (cut)");
    }
    text
}

fn render(reply: &Reply, indent: &str) -> String {
    match reply {
        Reply::Simple(s) => String::from_utf8_lossy(s).into_owned(),
        Reply::Error(s) => format!("(error) {}", String::from_utf8_lossy(s)),
        Reply::BlobError(s) => format!("(blob error) {}", quoted_text(s)),
        Reply::Int(n) => format!("(integer) {n}"),
        Reply::Bulk(s) => quoted_text(s),
        Reply::NilBulk => "(nil)".into(),
        Reply::NilArray => "(nil array)".into(),
        Reply::Null => "(null)".into(),
        Reply::Double(s) => format!("(double) {}", String::from_utf8_lossy(s)),
        Reply::Bool(b) => format!("({b})"),
        Reply::BigNumber(s) => format!("(big number) {}", String::from_utf8_lossy(s)),
        Reply::Verbatim(format, s) => format!("(verbatim {}) {}", String::from_utf8_lossy(format), quoted_text(s)),
        Reply::Array(items) => list("array", ')', items, indent),
        Reply::Set(items) => list("set", '~', items, indent),
        Reply::Push(items) => list("push", '>', items, indent),
        Reply::Map(pairs) => map(pairs, indent),
    }
}

fn list(kind: &str, mark: char, items: &[Reply], indent: &str) -> String {
    if items.is_empty() {
        return format!("(empty {kind})");
    }
    let width = items.len().to_string().len();
    let deeper = format!("{indent}{}", " ".repeat(width + 2));
    let line = |(i, item): (usize, &Reply)| format!("{:>width$}{mark} {}", i + 1, render(item, &deeper));
    let lines: Vec<String> = items.iter().enumerate().map(line).collect();
    lines.join(&format!("\n{indent}"))
}

fn map(pairs: &[(Reply, Reply)], indent: &str) -> String {
    if pairs.is_empty() {
        return "(empty map)".into();
    }
    let width = pairs.len().to_string().len();
    let deeper = format!("{indent}{}", " ".repeat(width + 2));
    let line = |(i, (key, value)): (usize, &(Reply, Reply))| {
        format!("{:>width$}# {} => {}", i + 1, render(key, &deeper), render(value, &deeper))
    };
    let lines: Vec<String> = pairs.iter().enumerate().map(line).collect();
    lines.join(&format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_arrays_are_indented() {
        let inner = Reply::Array(vec![Reply::Int(1), Reply::NilBulk]);
        let outer = Reply::Array(vec![Reply::Bulk(b"a\n".to_vec()), inner]);
        assert_eq!(show(&outer), "1) \"a\\n\"\n2) 1) (integer) 1\n   2) (nil)");
    }
}
