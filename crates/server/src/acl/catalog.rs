//! Commands and categories as rules name them.
//!
//! Rules speak of commands by their own names, whatever `rename-command` calls them for clients; so that a file of users means
//! the same everywhere. What is declared never changes, so that the names can be looked up before there is a server: while the
//! configuration is read.

use kinovar_command::registry::Entry;
use kinovar_command::{Acl, Registry};
use std::sync::LazyLock;

/// Every command by its own name. Ids are those of any other registry, renamed or not.
static DECLARED: LazyLock<Registry> = LazyLock::new(|| crate::start::registry(&[]));

/// Commands and subcommands by id.
pub fn entries() -> &'static [Entry] {
    DECLARED.entries()
}

/// The command called `name` or `container|sub`, in any case. Nothing may follow the bar of a command that has no subcommands.
pub fn command(name: &[u8]) -> Option<&'static Entry> {
    let mut parts = name.split(|&byte| byte == b'|');
    let (first, second) = (parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let entry = DECLARED.find(first)?;
    match second {
        None => Some(entry),
        Some(_) if entry.subcommands.is_empty() => None,
        Some(subcommand) => DECLARED.find_subcommand(entry, subcommand),
    }
}

/// The category called `name`, without its at sign, in any case.
pub fn category(name: &[u8]) -> Option<Acl> {
    Acl::ALL.iter().find(|(_, word)| word.as_bytes()[1..].eq_ignore_ascii_case(name)).map(|&(category, _)| category)
}

/// The commands and subcommands of a category.
pub fn of_category(category: Acl) -> impl Iterator<Item = &'static Entry> {
    entries().iter().filter(move |entry| entry.command.acl_categories().has(category))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |name: &str| command(name.as_bytes()).map(|entry| entry.full_name.as_str());
        assert_eq!(name("GET"), Some("get"));
        assert_eq!(name("Config|Get"), Some("config|get"));
        assert_eq!(name("config"), Some("config"));
        for unknown in ["", "|", "get|", "get|x", "config|", "config|get|x", "nosuch", "get\0"] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
        assert_eq!(category(b"READ"), Some(Acl::READ));
        assert_eq!(category(b"all"), None);
        assert!(of_category(Acl::GEO).all(|entry| entry.full_name.starts_with("geo")));
    }
}
