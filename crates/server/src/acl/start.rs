//! The users of the configuration: `user` lines are looked at while it is read, and become users when the server starts.

use super::rules::{RuleError, join_selectors};
use super::user::User;
use super::users::{DEFAULT, Users};
use super::{Acl, file, rules};
use crate::config::Config;
use crate::log;
use kinovar_command::until_nul;

/// A `user` line: its words after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The name.
    pub name: Vec<u8>,
    /// The rules, those of a selector in one.
    pub rules: Vec<Vec<u8>>,
}

impl Declared {
    /// Looks at the words of a line, `user` itself not among them; `known` are those before it. That a command does not exist is
    /// nothing to complain about yet.
    ///
    /// # Errors
    /// What is wrong, and with what: the word that the reference names, which is two before the one that it is about.
    pub fn parse(words: &[Vec<u8>], known: &[Declared]) -> Result<Declared, (RuleError, Vec<u8>)> {
        let (name, rest) = words.split_first().expect("the caller has looked");
        if known.iter().any(|user| user.name == *name) {
            return Err((RuleError::DuplicateUser, name.clone()));
        }
        let blamed = |index: usize| match index {
            0 => b"user".to_vec(),
            index => words[index - 1].clone(),
        };
        let rules = join_selectors(rest.iter().map(Vec::as_slice));
        let rules = rules.map_err(|index| (RuleError::OpenSelector, blamed(index)))?;
        let mut user = User::new(name, false);
        for (index, rule) in rules.iter().enumerate() {
            match user.apply(rule, false) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(error) => return Err((error, blamed(index))),
            }
        }
        Ok(Declared { name: name.clone(), rules: rules.into_iter().map(|rule| rule.into_owned()).collect() })
    }

    /// The user that the line makes.
    fn user(&self, users: &Users, all_channels: bool) -> Result<User, String> {
        if rules::has_blanks(&self.name) {
            return Err("Spaces not allowed in ACL usernames".into());
        }
        let shown = |text: &[u8]| String::from_utf8_lossy(until_nul(text)).into_owned();
        let mut user = User::new(&self.name, all_channels);
        if self.name == DEFAULT {
            // Connections that have begun with him are still his.
            user.id = users.default_user().id;
        }
        for rule in &self.rules {
            user.apply(rule, all_channels).map_err(|error| {
                let (rule, name) = (shown(rule), shown(&self.name));
                format!("Error loading ACL rule '{rule}' for the user named '{name}': {}", error.text())
            })?;
        }
        if !user.is_on() {
            log::notice(&format!(
                "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a \
                 configuration error.",
                shown(&self.name)
            ));
        }
        Ok(user)
    }
}

impl Acl {
    /// Makes the users that the configuration asks for.
    ///
    /// # Errors
    /// Why the server cannot start; more may have been logged.
    pub fn start(&self, config: &Config, declared: &[Declared]) -> Result<(), String> {
        if !config.aclfile.is_empty() && !declared.is_empty() {
            return Err(
                "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is \
                        invalid. This setup is very likely to lead to configuration errors and security holes, please \
                        define either an ACL file or declare users directly in your redis.conf, but not both."
                    .into(),
            );
        }
        self.require_password(&config.requirepass);
        let change = self.change();
        for declared in declared {
            let user = declared.user(&change.users(), config.acl_all_channels).map_err(|reason| {
                log::warning(&reason);
                "Critical error while loading ACLs. Exiting."
            })?;
            change.make(|users| users.put(user));
        }
        if !config.aclfile.is_empty() {
            let users = file::load(&config.aclfile, config.acl_all_channels).map_err(|errors| {
                format!("Aborting Redis startup because of ACL errors: {}", String::from_utf8_lossy(&errors))
            })?;
            change.make(|all| all.replace(users));
        }
        Ok(())
    }

    /// `requirepass` has changed.
    pub fn require_password(&self, password: &[u8]) {
        let change = self.change();
        let mut user = User::clone(change.users().default_user());
        user.require_password(password);
        change.make(|users| users.put(user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let known = [Declared { name: b"known".to_vec(), rules: Vec::new() }];
        match Declared::parse(&words, &known) {
            Ok(declared) => format!("{} rules", declared.rules.len()),
            Err((error, blamed)) => format!("{}: {}", String::from_utf8_lossy(&blamed), error.text()),
        }
    }

    #[test]
    fn lines_are_refused_as_by_the_reference() {
        assert_eq!(refusal("a"), "0 rules");
        assert_eq!(refusal("a on (+get ~x) +nosuch"), "3 rules");
        assert_eq!(refusal("known on"), format!("known: {}", RuleError::DuplicateUser.text()));
        assert_eq!(refusal("a foo"), "user: Syntax error");
        assert_eq!(refusal("a on (+get"), "a: Wrong format");
        assert_eq!(refusal("a on +get foo"), "on: Syntax error");
        assert_eq!(refusal("a on <x"), format!("a: {}", RuleError::NoSuchPassword.text()));
    }
}
