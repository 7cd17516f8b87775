//! The conversation with a target.

use super::link::{Link, NoLink};
use super::{Item, Request, Trouble, keep_link};
use crate::server::Server;
use kinovar_io::clock;
use std::io::ErrorKind;

/// Commands gather until there are so many bytes.
const GATHER: usize = 64 << 10;

/// How an attempt ended early.
struct Broken {
    /// What was being done.
    what: &'static str,
    /// It took too long.
    is_late: bool,
}

/// Sends the keys, and marks those that the target has acknowledged. What went wrong first.
pub fn exchange(server: &'static Server, request: &Request, items: &mut [Item]) -> Option<Trouble> {
    items.iter_mut().for_each(|item| item.is_acknowledged = false);
    let mut may_try_again = true;
    loop {
        let link = match server.migrating.take_link(request) {
            Some(link) => Ok(link),
            None => Link::open(request),
        };
        let mut link = match link {
            Ok(link) => link,
            Err(NoLink::Refused) => return Some(Trouble::Broken("writing")),
            Err(NoLink::Other) => return Some(Trouble::NotConnected),
        };
        let mut refused = None;
        let end = converse(&mut link, request, items, &mut refused);
        match end {
            Ok(()) => {
                link.db = if refused.is_none() { Some(request.db) } else { None };
                link.used_at = std::time::Instant::now();
                if link.is_in_step() {
                    keep_link(server, link);
                }
                return refused.map(Trouble::Refused);
            }
            Err(broken) => {
                // A connection that was kept may have been closed at the other end.
                let is_begun = refused.is_some() || items.iter().any(|item| item.is_acknowledged);
                if may_try_again && !broken.is_late && !is_begun {
                    may_try_again = false;
                    continue;
                }
                return Some(refused.map_or(Trouble::Broken(broken.what), Trouble::Refused));
            }
        }
    }
}

fn converse(
    link: &mut Link,
    request: &Request,
    items: &mut [Item],
    refused: &mut Option<Vec<u8>>,
) -> Result<(), Broken> {
    let selects = link.db != Some(request.db);
    say(link, request, items, selects).map_err(|error| Broken::new("writing", &error))?;
    let mut hear = || link.read_line(request.timeout).map_err(|error| Broken::new("reading", &error));
    let mut refusal = None;
    if request.auth.is_some() {
        refusal = refusal_of(hear()?)?;
    }
    if selects {
        let other = refusal_of(hear()?)?;
        refusal = refusal.or(other);
    }
    for item in items {
        let reply = hear()?;
        let is_removed = item.payload.is_none() && reply.first() == Some(&b':');
        let other = if is_removed { None } else { refusal_of(reply)? };
        match refusal.as_ref().or(other.as_ref()) {
            None => item.is_acknowledged = true,
            Some(text) => {
                refused.get_or_insert_with(|| text.clone());
            }
        }
    }
    Ok(())
}

impl Broken {
    fn new(what: &'static str, error: &std::io::Error) -> Broken {
        let is_late = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
        Broken { what, is_late }
    }
}

/// The text of an error that a target answers with. What is neither that nor a status is no acknowledgement of anything.
fn refusal_of(mut reply: Vec<u8>) -> Result<Option<Vec<u8>>, Broken> {
    match reply.first() {
        Some(b'+') => Ok(None),
        Some(b'-') => {
            reply.remove(0);
            Ok(Some(reply))
        }
        // To try again would not help.
        _ => Err(Broken { what: "reading", is_late: true }),
    }
}

/// Sends all commands.
fn say(link: &mut Link, request: &Request, items: &[Item], selects: bool) -> std::io::Result<()> {
    let mut out = Vec::new();
    if let Some((user, password)) = &request.auth {
        let words: Vec<&[u8]> =
            [b"AUTH"].map(|word| &word[..]).into_iter().chain(user.as_deref()).chain([&password[..]]).collect();
        command(&mut out, &words);
    }
    if selects {
        command(&mut out, &[b"SELECT", request.db.to_string().as_bytes()]);
    }
    for item in items {
        match &item.payload {
            Some(payload) => {
                let ttl_ms = item.expire_at_ms.map_or(0, |at_ms| at_ms.saturating_sub(clock::unix_ms()).max(1));
                let ttl_ms = ttl_ms.to_string();
                let mut words: Vec<&[u8]> = vec![b"RESTORE", &item.name, ttl_ms.as_bytes(), payload];
                if request.replaces || item.is_known {
                    words.push(b"REPLACE");
                }
                command(&mut out, &words);
            }
            None => command(&mut out, &[b"DEL", &item.name]),
        }
        if out.len() >= GATHER {
            link.write(&out, request.timeout)?;
            out.clear();
        }
    }
    link.write(&out, request.timeout)
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}
