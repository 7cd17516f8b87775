//! The first line of a script or library, if it starts with `#!`: the engine, and options as `name=value`.
//!
//! Scripts have `flags=no-writes,allow-oom`; libraries have `name=mylib`.

use kinovar_resp::parser::next_word;

use crate::flags::Flags;

/// What the first line of a script says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Flags; `None` without such a line, when nothing is known about the script.
    pub flags: Option<Flags>,
    /// Where the code begins: at the end of that line, so that the lines keep their numbers.
    pub code: usize,
}

/// Reads the first line of a script.
///
/// # Errors
/// A text for the client.
pub fn of_script(text: &[u8]) -> Result<Header, Vec<u8>> {
    if !text.starts_with(b"#!") {
        return Ok(Header { flags: None, code: 0 });
    }
    let end = text.iter().position(|&byte| byte == b'\n').ok_or(b"ERR Invalid script shebang")?;
    let words = words(&text[..end]).ok_or(b"ERR Invalid engine in script shebang")?;
    let engine = &words[0];
    if engine != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", &engine[..]].concat());
    }
    let mut flags = Flags::NONE;
    for word in &words[1..] {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", &word[..]].concat());
        };
        if list.is_empty() {
            continue;
        }
        for name in list.split(|&byte| byte == b',') {
            let flag = Flags::named(name);
            flags = flags.or(flag.ok_or_else(|| [b"ERR Unexpected flag in script shebang: ", name].concat())?);
        }
    }
    Ok(Header { flags: Some(flags), code: end })
}

/// What the first line of a library says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LibraryHeader {
    /// The name of the library.
    pub name: String,
    /// Where the code begins.
    pub code: usize,
}

/// Reads the first line of a library.
///
/// # Errors
/// A text for the client.
pub fn of_library(text: &[u8]) -> Result<LibraryHeader, Vec<u8>> {
    if !text.starts_with(b"#!") {
        return Err(b"ERR Missing library metadata".into());
    }
    let invalid = || b"ERR Invalid library metadata".to_vec();
    let end = text.iter().position(|&byte| byte == b'\n').ok_or_else(invalid)?;
    let words = words(&text[..end]).ok_or_else(invalid)?;
    let engine = &words[0][2..];
    let mut name = None;
    for word in &words[1..] {
        let Some(value) = word.get(..5).filter(|start| start.eq_ignore_ascii_case(b"name=")).map(|_| &word[5..]) else {
            return Err([b"ERR Invalid metadata value given: ", &word[..]].concat());
        };
        if name.replace(value).is_some() {
            return Err(b"ERR Invalid metadata value, name argument was given multiple times".into());
        }
    }
    let name = name.ok_or(b"ERR Library name was not given")?;
    if !is_name(name) {
        return Err(format!("ERR {WRONG_NAME}").into_bytes());
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"ERR Engine '", engine, b"' not found"].concat());
    }
    Ok(LibraryHeader { name: String::from_utf8_lossy(name).into_owned(), code: end })
}

/// What is wrong with a name that [`is_name`] refuses.
pub(crate) const WRONG_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// Whether a library or function may be called this.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The words of a line; `None` when its quotes do not match.
fn words(mut line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    while let Some(rest) = next_word(line, &mut word).ok()? {
        words.push(std::mem::take(&mut word));
        line = rest;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Result<Option<Flags>, String> {
        of_script(text.as_bytes()).map(|header| header.flags).map_err(|text| String::from_utf8(text).unwrap())
    }

    fn library(text: &str) -> Result<String, String> {
        of_library(text.as_bytes()).map(|header| header.name).map_err(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn flags_of_scripts() {
        assert_eq!(script("return 1"), Ok(None));
        assert_eq!(script("\n#!lua"), Ok(None));
        assert_eq!(script("#!lua\nreturn 1"), Ok(Some(Flags::NONE)));
        assert_eq!(script("#!lua flags=\nreturn 1"), Ok(Some(Flags::NONE)));
        let both = Flags::NO_WRITES.or(Flags::ALLOW_OOM);
        assert_eq!(script("#!lua flags=no-writes,allow-oom\nreturn 1"), Ok(Some(both)));
        assert_eq!(script("#!lua  flags=no-writes  'flags=allow-oom' \nreturn 1"), Ok(Some(both)));
        assert_eq!(script("#!lua\r\nreturn 1"), Ok(Some(Flags::NONE)));
    }

    #[test]
    fn errors_of_scripts() {
        for (text, expected) in [
            ("#!lua", "ERR Invalid script shebang"),
            ("#!lua 'flags=no-writes\n", "ERR Invalid engine in script shebang"),
            ("#! lua\n", "ERR Unexpected engine in script shebang: #!"),
            ("#!LUA\n", "ERR Unexpected engine in script shebang: #!LUA"),
            ("#!lua name=x\n", "ERR Unknown lua shebang option: name=x"),
            ("#!lua FLAGS=no-writes\n", "ERR Unknown lua shebang option: FLAGS=no-writes"),
            ("#!lua flags=foo\n", "ERR Unexpected flag in script shebang: foo"),
            ("#!lua flags=no-writes,\n", "ERR Unexpected flag in script shebang: "),
        ] {
            assert_eq!(script(text), Err(expected.to_string()), "{text:?}");
        }
    }

    #[test]
    fn names_of_libraries() {
        assert_eq!(library("#!lua name=l2\n"), Ok("l2".to_string()));
        assert_eq!(library("#!LUA NAME=\"l_2\"\r\n"), Ok("l_2".to_string()));
        for (text, expected) in [
            ("return 1", "ERR Missing library metadata"),
            ("#!", "ERR Invalid library metadata"),
            ("#!lua name=l2", "ERR Invalid library metadata"),
            ("#!lua name='l2\n", "ERR Invalid library metadata"),
            ("#!lua\n", "ERR Library name was not given"),
            ("#! lua name=l2\n", "ERR Invalid metadata value given: lua"),
            ("#!lua name=l2 flags=no-writes\n", "ERR Invalid metadata value given: flags=no-writes"),
            ("#!lua name=a name=b\n", "ERR Invalid metadata value, name argument was given multiple times"),
            ("#!js name=l2\n", "ERR Engine 'js' not found"),
        ] {
            assert_eq!(library(text), Err(expected.to_string()), "{text:?}");
        }
        assert_eq!(library("#!js name=l-2\n"), Err(format!("ERR {WRONG_NAME}")));
    }
}
