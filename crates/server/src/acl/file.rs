//! The file of users (`aclfile`): a line for each, `user NAME RULE…`, words separated by single blanks, without quotes.

use super::rules::{RuleError, has_blanks, join_selectors};
use super::user::User;
use crate::config::os_reason;
use crate::log;
use kinovar_command::until_nul;
use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Users by name.
pub type ByName = std::collections::BTreeMap<Box<[u8]>, User>;

/// Reads the users of a file, called `shown` in what is said about it.
///
/// # Errors
/// All that is wrong, each with the number of its line.
pub fn load(shown: &[u8], all_channels: bool) -> Result<ByName, Vec<u8>> {
    let text = fs::read(crate::config::bytes_path(shown)).map_err(|error| {
        let (head, middle): (&[u8], &[u8]) = (b"Error loading ACLs, opening file '", b"': ");
        [head, shown, middle, os_reason(error).as_bytes()].concat()
    })?;
    parse(shown, &text, all_channels)
}

/// A text as the reference sees it: a zero byte takes the rest of its line away, the line's end included. So what is behind it
/// is not lost without a complaint.
fn without_zeros(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&0) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive(|&byte| byte == b'\n').flat_map(until_nul).copied().collect())
}

/// Reads users from the text of a file.
///
/// # Errors
/// As [`load`].
pub fn parse(shown: &[u8], text: &[u8], all_channels: bool) -> Result<ByName, Vec<u8>> {
    /// What is wrong is told up to about here, bytes.
    const ERRORS_MAX: usize = 64 << 10;
    let mut users = ByName::new();
    let mut errors = Vec::new();
    for (index, line) in without_zeros(text).split(|&byte| byte == b'\n').enumerate() {
        let line = trim(line, b" \t\r\n");
        if !line.is_empty() && errors.len() < ERRORS_MAX {
            parse_line(line, all_channels, &mut users, &mut |complaint| {
                let place = [shown, format!(":{}", index + 1).as_bytes()].concat();
                let number = (index + 1).to_string();
                errors.extend(complaint.words(&place, number.as_bytes()));
            });
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors
        .extend_from_slice(b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
    Err(errors)
}

/// A complaint about a line.
enum Complaint<'a> {
    NoUser,
    BadName(&'a [u8]),
    Duplicate(&'a [u8]),
    OpenSelector,
    BadRule(RuleError),
    Unknown(&'a [u8]),
}

impl Complaint<'_> {
    /// In words. `place` is the file and the number of the line.
    fn words(&self, place: &[u8], number: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 6] = match self {
            Complaint::NoUser => {
                [place, b" should start with user keyword followed by the username. ", b"", b"", b"", b""]
            }
            Complaint::BadName(name) => [b"'", place, b": username '", name, b"' contains invalid characters. ", b""],
            Complaint::Duplicate(name) => [b"WARNING: Duplicate user '", name, b"' found on line ", number, b". ", b""],
            Complaint::OpenSelector => [place, b": Unmatched parenthesis in selector definition.", b"", b"", b"", b""],
            Complaint::BadRule(error) => [place, b": ", error.text().as_bytes(), b". ", b"", b""],
            Complaint::Unknown(rule) => {
                let error = RuleError::Unknown.text().as_bytes();
                [place, b": Error in applying operation '", until_nul(rule), b"': ", error, b". "]
            }
        };
        parts.concat()
    }
}

fn parse_line(line: &[u8], all_channels: bool, users: &mut ByName, complain: &mut dyn FnMut(Complaint<'_>)) {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else { return complain(Complaint::NoUser) };
    if has_blanks(name) {
        return complain(Complaint::BadName(name));
    }
    if users.contains_key(name) {
        return complain(Complaint::Duplicate(name));
    }
    let mut user = User::new(name, all_channels);
    match join_selectors(words) {
        Err(_) => complain(Complaint::OpenSelector),
        Ok(rules) => {
            let mut is_wrong = false;
            for rule in &rules {
                let rule = trim(rule, b"\t\r\n");
                match user.apply(rule, all_channels) {
                    Ok(()) => {}
                    // There may be more commands that this version does not have; of other mistakes the first may
                    // lead to the rest.
                    Err(RuleError::Unknown) => complain(Complaint::Unknown(rule)),
                    Err(error) if !is_wrong => {
                        complain(Complaint::BadRule(error));
                        is_wrong = true;
                    }
                    Err(_) => {}
                }
            }
        }
    }
    users.insert(name.into(), user);
}

fn trim<'a>(text: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    let is_text = |byte: &u8| !blanks.contains(byte);
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Writes the lines of all users into a file, in one step that survives a crash. Whether it could be; the log says why not.
pub fn save(path: &Path, lines: impl Iterator<Item = Vec<u8>>) -> bool {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".tmp-{}-{}", std::process::id(), kinovar_io::clock::unix_ms()));
    let temporary = Path::new(&name);
    let saved = write_and_rename(&text, temporary, path);
    if let Err((what, error)) = &saved {
        log::warning(&format!("{what} for ACL SAVE: {error}"));
        // Nothing more can be done about a file that cannot even be removed.
        let _ = fs::remove_file(temporary);
    }
    saved.is_ok()
}

fn write_and_rename(text: &[u8], temporary: &Path, path: &Path) -> Result<(), (&'static str, String)> {
    let failed = |what: &'static str| move |error| (what, os_reason(error));
    // It holds digests of passwords, so nobody else may read it; an existing file keeps its permissions.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(failed("Opening temp ACL file"))?;
    file.write_all(text).map_err(failed("Writing ACL file"))?;
    if let Ok(old) = fs::metadata(path) {
        fs::set_permissions(temporary, old.permissions()).map_err(failed("Writing ACL file"))?;
    }
    file.sync_all().map_err(failed("Syncing ACL file"))?;
    fs::rename(temporary, path).map_err(failed("Renaming ACL file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("Syncing ACL directory"))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
