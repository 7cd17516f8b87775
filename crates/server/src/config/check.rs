//! What texts of some parameters must look like.

/// A name inside a directory, not a path.
fn plain_name(what: &str, noun: &str, text: &[u8]) -> Result<(), String> {
    if text.contains(&b'/') {
        return Err(format!("{what} can't be a path, just a {noun}"));
    }
    Ok(())
}

pub(super) fn dbfilename(text: &[u8]) -> Result<(), String> {
    plain_name("dbfilename", "filename", text)
}

pub(super) fn appendfilename(text: &[u8]) -> Result<(), String> {
    if text.is_empty() {
        return Err("appendfilename can't be empty".into());
    }
    plain_name("appendfilename", "filename", text)
}

pub(super) fn appenddirname(text: &[u8]) -> Result<(), String> {
    if text.is_empty() {
        return Err("appenddirname can't be empty".into());
    }
    plain_name("appenddirname", "dirname", text)
}

pub(super) fn hostname(text: &[u8]) -> Result<(), String> {
    if text.len() >= 256 {
        return Err("Hostnames must be less than 256 characters".into());
    }
    if !text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
        return Err("Hostnames may only contain alphanumeric characters, hyphens or dots".into());
    }
    Ok(())
}

pub(super) fn node_name(text: &[u8]) -> Result<(), String> {
    if text.iter().any(|b| b"!#$%&()*+:;<>?@[]^{|}~".contains(b)) {
        return Err("Announced human node name contained invalid character".into());
    }
    Ok(())
}

/// Variables that `proc-title-template` may name.
pub const TITLE_VARIABLES: [&str; 7] =
    ["title", "listen-addr", "server-mode", "port", "tls-port", "config-file", "unixsocket"];

pub(super) fn title_template(text: &[u8]) -> Result<(), String> {
    let valid = std::str::from_utf8(text).ok().and_then(|t| expand_title(t, |_| String::from("x")));
    match valid {
        Some(title) if !title.is_empty() => Ok(()),
        _ => Err("template format is invalid or contains unknown variables".into()),
    }
}

/// The title that a template makes, or `None` when it names an unknown variable or leaves a brace open.
pub fn expand_title(template: &str, value: impl Fn(&str) -> String) -> Option<String> {
    let mut title = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let name = TITLE_VARIABLES.iter().find(|known| known.eq_ignore_ascii_case(name))?;
        title.push_str(before);
        title.push_str(&value(name));
        rest = after;
    }
    title.push_str(rest);
    Some(title.trim_end().to_owned())
}

/// Strings are compared byte by byte here, which is what these locales mean; another one would be a promise not kept.
pub(super) fn locale(text: &[u8]) -> Result<(), String> {
    let known: [&[u8]; 5] = [b"", b"C", b"POSIX", b"C.UTF-8", b"C.utf8"];
    if known.contains(&text) { Ok(()) } else { Err("Invalid locale name".into()) }
}
