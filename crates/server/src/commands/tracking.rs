//! `CLIENT TRACKING` and its relatives: client-side caching.

use crate::server::Server;
use crate::session::Session;
use crate::tracking::session::{Opt, Wanted};
use kinovar_command::*;
use std::sync::atomic::Ordering::Relaxed;

/// `CLIENT TRACKING`.
pub const CLIENT_TRACKING: Command = Command {
    name: "tracking",
    arity: Arity::AtLeast(3),
    args: &[
        Arg::one_of("status", &[Arg::word("on", "ON"), Arg::word("off", "OFF")]),
        Arg::integer("client-id").token("REDIRECT").optional(),
        Arg::string("prefix").token("PREFIX").optional().multiple().multiple_token(),
        Arg::word("bcast", "BCAST").optional(),
        Arg::word("optin", "OPTIN").optional(),
        Arg::word("optout", "OPTOUT").optional(),
        Arg::word("noloop", "NOLOOP").optional(),
    ],
    summary: "Says whether the connection is told of changes to the keys that it has read.",
    complexity: "O(1), with prefixes O(N) in their number and that of the partitions",
    since: "6.0.0",
    lock: Lock::Walk,
    handler: client_tracking,
    ..SUBCOMMAND
};

/// `CLIENT TRACKINGINFO`.
pub const CLIENT_TRACKINGINFO: Command = Command {
    name: "trackinginfo",
    arity: Arity::Exactly(2),
    summary: "Tells how keys are tracked for the connection.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: client_trackinginfo,
    ..SUBCOMMAND
};

/// `CLIENT CACHING`.
pub const CLIENT_CACHING: Command = Command {
    name: "caching",
    arity: Arity::Exactly(3),
    args: &[Arg::one_of("mode", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])],
    summary: "Says whether the keys that the next command reads are tracked.",
    complexity: "O(1)",
    since: "6.0.0",
    handler: client_caching,
    ..SUBCOMMAND
};

/// `CLIENT GETREDIR`.
pub const CLIENT_GETREDIR: Command = Command {
    name: "getredir",
    arity: Arity::Exactly(2),
    summary: "Tells the number of the connection that is told of changes instead of this one.",
    complexity: "O(1)",
    since: "6.0.0",
    handler: client_getredir,
    ..SUBCOMMAND
};

/// What all of them have in common.
const SUBCOMMAND: Command = Command {
    group: Group::Connection,
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    lock: Lock::None,
    ..Command::DEFAULT
};

/// Options as they were given.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<std::sync::Arc<crate::clients::ClientInfo>>,
    prefixes: Vec<&'a [u8]>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    noloop: bool,
}

impl<'a> Options<'a> {
    fn parse(server: &Server, args: &mut Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        while !args.is_empty() {
            if args.left() >= 2 && args.accept("REDIRECT") {
                if options.redirect.is_some() {
                    return Err(CommandError::text("ERR A client can only redirect to a single other client"));
                }
                let id = args.integer()?;
                let found = u64::try_from(id).ok().and_then(|id| server.clients.get(id));
                options.redirect =
                    Some(found.ok_or(CommandError::text("ERR The client ID you want redirect to does not exist"))?);
            } else if args.left() >= 2 && args.accept("PREFIX") {
                options.prefixes.push(args.take()?);
            } else if args.accept("BCAST") {
                options.broadcast = true;
            } else if args.accept("OPTIN") {
                options.opt_in = true;
            } else if args.accept("OPTOUT") {
                options.opt_out = true;
            } else if args.accept("NOLOOP") {
                options.noloop = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// An error unless the options fit each other and what the connection has asked for before.
    fn check(&self, session: &Session) -> Outcome {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(CommandError::text("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        let shown = &session.info.tracking;
        if shown.on.load(Relaxed) && shown.broadcast.load(Relaxed) != self.broadcast {
            return Err(CommandError::text(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
                 with a different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(CommandError::text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.opt_in && self.opt_out {
            return Err(CommandError::text("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        let before = session.tracked.as_ref().map(|tracked| tracked.opt);
        if self.opt_in && before == Some(Opt::Out) || self.opt_out && before == Some(Opt::In) {
            return Err(CommandError::text(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
                 with a different mode.",
            ));
        }
        self.check_prefixes(session)
    }

    /// No prefix may begin with another one.
    fn check_prefixes(&self, session: &Session) -> Outcome {
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        let refuse = |prefix: &[u8], which: &str, other: &[u8]| {
            let (prefix, other) = (until_nul(prefix), until_nul(other));
            let end = b"'. Prefixes for a single client must not overlap.";
            let which = which.as_bytes();
            Err(CommandError::Bytes(
                [b"ERR Prefix '", prefix, b"' overlaps with ", which, b" prefix '", other, end].concat(),
            ))
        };
        for (index, prefix) in self.prefixes.iter().enumerate() {
            let existing = session.tracked.iter().flat_map(|tracked| &tracked.prefixes);
            if let Some(other) = existing.into_iter().find(|other| overlap(prefix, other)) {
                return refuse(prefix, "an existing", other);
            }
            if let Some(other) = self.prefixes[index + 1..].iter().find(|other| overlap(prefix, other)) {
                return refuse(prefix, "another provided", other);
            }
        }
        Ok(())
    }
}

fn client_tracking(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let status = args.take()?;
    let options = Options::parse(server, &mut args)?;
    let session: &mut Session = ctx.session.downcast_mut().expect("connections alone call this");
    if status.eq_ignore_ascii_case(b"ON") {
        options.check(session)?;
        let everything = if options.prefixes.is_empty() { vec![&b""[..]] } else { options.prefixes };
        let opt = match (options.opt_in, options.opt_out) {
            (true, _) => Opt::In,
            (_, true) => Opt::Out,
            _ => Opt::All,
        };
        let wanted = Wanted {
            redirect: options.redirect,
            broadcast: options.broadcast.then_some(everything),
            opt,
            noloop: options.noloop,
        };
        session.track(server, &mut ctx.db, wanted).map_err(|_| server.busy.error())?;
    } else if status.eq_ignore_ascii_case(b"OFF") {
        session.stop_tracking(server);
    } else {
        return Err(CommandError::Syntax);
    }
    ctx.reply.ok();
    Ok(())
}

fn client_trackinginfo(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let session: &mut Session = ctx.session.downcast_mut().expect("connections alone call this");
    let shown = &session.info.tracking;
    let on = shown.on.load(Relaxed);
    let opt = session.tracked.as_ref().filter(|_| on).map(|tracked| tracked.opt);
    let flags = [
        (!on, "off"),
        (on, "on"),
        (shown.broadcast.load(Relaxed), "bcast"),
        (opt == Some(Opt::In), "optin"),
        (opt == Some(Opt::In) && session.caching, "caching-yes"),
        (opt == Some(Opt::Out), "optout"),
        (opt == Some(Opt::Out) && session.caching, "caching-no"),
        (shown.noloop.load(Relaxed), "noloop"),
        (shown.broken.load(Relaxed), "broken_redirect"),
    ];
    let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|&(_, word)| word).collect();
    let reply = &mut ctx.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirection(session));
    reply.bulk(b"prefixes");
    let prefixes: Vec<&[u8]> = session.tracked.iter().flat_map(|tracked| &tracked.prefixes).map(|one| &**one).collect();
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

/// The client that is told instead; 0 for none, -1 when nobody is.
fn redirection(session: &Session) -> i64 {
    let shown = &session.info.tracking;
    if shown.on.load(Relaxed) { shown.redirect.load(Relaxed) as i64 } else { -1 }
}

fn client_getredir(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let redirection = redirection(Session::of(ctx));
    ctx.reply.integer(redirection);
    Ok(())
}

fn client_caching(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let session = Session::of(ctx);
    if !session.is_tracking() {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    }
    let opt = session.tracked.as_ref().map(|tracked| tracked.opt);
    let (needed, error) = if args.accept("YES") {
        (Opt::In, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if args.accept("NO") {
        (Opt::Out, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(CommandError::Syntax);
    };
    if opt != Some(needed) {
        return Err(CommandError::text(error));
    }
    session.set_caching(true);
    ctx.reply.ok();
    Ok(())
}
