//! Where requests are checked: as they come, when a transaction runs, in scripts, and when a client has waited.

use super::Changed;
use super::check::{self, Denial, Reason};
use super::log::{Context, Refused};
use super::user::User;
use crate::clients::ClientInfo;
use crate::message::Message;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::registry::Entry;
use kinovar_command::{Args, CommandError, until_nul};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Whether the client of a session may make this request now. What is refused is counted and logged.
///
/// # Errors
/// What to tell the client.
pub fn admit(server: &Server, session: &Session, entry: &Entry, args: &Args<'_>) -> Result<(), CommandError> {
    let Some(user) = &session.user else { return Ok(()) };
    check::check(user, entry, args).map_err(|denial| {
        session.info.command.store(entry.id + 1, Relaxed);
        let context = if session.queue.is_some() { Context::Multi } else { Context::TopLevel };
        note(server, &session.info, user, denial, context, entry, args);
        denial.error(user, entry)
    })
}

/// The same for a command of a transaction that runs.
///
/// # Errors
/// What stands in the place of its reply.
pub fn admit_queued(
    server: &Server,
    session: &mut Session,
    entry: &Entry,
    args: &Args<'_>,
) -> Result<(), CommandError> {
    admit_inside(server, session, entry, args, Context::Multi, |denial, _| denial.error_in_transaction())
}

/// The same for a command of a script.
///
/// # Errors
/// What the script is told.
pub fn admit_in_script(
    server: &Server,
    session: &mut Session,
    entry: &Entry,
    args: &Args<'_>,
) -> Result<(), Cow<'static, [u8]>> {
    admit_inside(server, session, entry, args, Context::Lua, |denial, user| {
        [b"ERR ACL failure in script: ", &*denial.text(user, entry)].concat().into()
    })
}

/// What both have in common; `error` says what is told of a refusal.
fn admit_inside<E>(
    server: &Server,
    session: &mut Session,
    entry: &Entry,
    args: &Args<'_>,
    context: Context,
    error: impl FnOnce(Denial, &User) -> E,
) -> Result<(), E> {
    session.follow_users(&server.acl);
    if session.is_unrestricted {
        return Ok(());
    }
    let Some(user) = &session.user else { return Ok(()) };
    check::check(user, entry, args).map_err(|denial| {
        note(server, &session.info, user, denial, context, entry, args);
        error(denial, user)
    })
}

/// The same for the command of a client that has waited, whose user may have changed meanwhile.
///
/// # Errors
/// What the client is told.
pub fn admit_waiting(
    server: &Server,
    client: &ClientInfo,
    user: &User,
    entry: &Entry,
    args: &Args<'_>,
) -> Result<(), CommandError> {
    let users = server.acl.users();
    // One who is gone may do nothing; his connection is being closed.
    let Some(user) = users.now(user).cloned() else { return Err(CommandError::NoAuth) };
    drop(users);
    check::check(&user, entry, args).map_err(|denial| {
        note(server, client, &user, denial, Context::TopLevel, entry, args);
        denial.error(&user, entry)
    })
}

/// Whether the client of a session may do this, without a trace.
pub fn is_allowed(server: &Server, session: &mut Session, entry: &Entry, args: &Args<'_>) -> bool {
    session.follow_users(&server.acl);
    session.is_unrestricted || session.user.as_ref().is_none_or(|user| check::check(user, entry, args).is_ok())
}

/// Whether the client of a session may read whatever keys a command may come to.
#[inline]
pub fn reaches_every_key(session: &Session, entry: &Entry, args: &Args<'_>) -> bool {
    session.is_unrestricted
        || !check::names_keys_by_pattern(entry)
        || session.user.as_ref().is_none_or(|user| check::reaches_every_key(user, entry, args))
}

/// Lets a client in as this user, if the pair is right.
///
/// # Errors
/// It is not: counted, logged, and always told in the same words.
pub fn authenticate(
    server: &Server,
    session: &mut Session,
    name: &[u8],
    password: &[u8],
    args: &Args<'_>,
) -> Result<(), CommandError> {
    const WRONG_PASSWORD: CommandError =
        CommandError::text("WRONGPASS invalid username-password pair or user is disabled.");
    let users = server.acl.users();
    let user = users.get(name).filter(|user| user.lets_in(password)).cloned();
    match user {
        Some(user) => {
            session.enter_as(&users, user, true);
            Ok(())
        }
        None => {
            drop(users);
            server.acl.count(Reason::Auth);
            let context = if session.queue.is_some() { Context::Multi } else { Context::TopLevel };
            let object = until_nul(args.at(0)).to_vec();
            add_to_log(server, &session.info, (Reason::Auth, context), object, name, args);
            Err(WRONG_PASSWORD)
        }
    }
}

/// Counts and logs a refusal.
fn note(
    server: &Server,
    client: &ClientInfo,
    user: &User,
    denial: Denial,
    context: Context,
    entry: &Entry,
    args: &Args<'_>,
) {
    server.acl.count(denial.reason);
    let object = denial.object(entry, args).to_vec();
    add_to_log(server, client, (denial.reason, context), object, &user.name, args);
}

fn add_to_log(
    server: &Server,
    client: &ClientInfo,
    (reason, context): (Reason, Context),
    object: Vec<u8>,
    user: &[u8],
    args: &Args<'_>,
) {
    let now_ms = kinovar_io::clock::unix_ms();
    let bytes = (0..args.argc()).map(|index| args.at(index).len()).sum();
    let mut line = Vec::new();
    crate::commands::client::describe(&server.registry, now_ms, client, bytes, &mut line);
    line.pop();
    let len_max = server.config().acllog_max_len;
    let refused = Refused { reason, context, object, user: user.to_vec(), client: line };
    server.acl.log.add(refused, now_ms, len_max);
}

/// Closes the connections of users who are gone, and those that listen to channels they may not listen to any more. `own` is the
/// session that has made the change: it gets its reply first.
pub fn expel(server: &Server, own: &mut Session, changes: &[Changed]) {
    let mut gone = HashSet::new();
    for (old, now) in changes {
        let channels = match now {
            None => None,
            Some(now) => match now.channels_left(old) {
                None => continue,
                left => left,
            },
        };
        let expelled = Arc::new(Expelled { user: old.id, channels });
        if own.is_of(&expelled) && own.loses_by(&expelled) {
            own.close_after_reply = true;
            let users = server.acl.users();
            own.enter_as(&users, users.default_user().clone(), false);
        }
        if expelled.channels.is_none() {
            gone.insert(expelled.user);
        } else {
            for reactor in 0..server.reactors.len() {
                server.mailbox(reactor).send(Message::Expel(expelled.clone()));
            }
        }
    }
    if !gone.is_empty() {
        let clients = server.clients.all();
        let is_theirs = |client: &&Arc<ClientInfo>| gone.contains(&client.user.load(Relaxed));
        clients.iter().filter(is_theirs).for_each(|client| crate::commands::client::kill(server, client));
    }
}

/// A user who is gone, or who lost channels.
pub struct Expelled {
    /// His number.
    pub user: u64,
    /// The patterns of channels that he has left; `None` when he is gone.
    pub channels: Option<Vec<Box<[u8]>>>,
}
