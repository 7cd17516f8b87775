//! Publish and subscribe.

use crate::pubsub::Kind;
use crate::pubsub::inbox::Post;
use crate::server::Server;
use crate::session::{Replies, Session};
use kinovar_command::*;
use std::sync::atomic::Ordering::Relaxed;

/// The commands of this group.
pub const COMMANDS: &[Command] =
    &[PSUBSCRIBE, PUBLISH, PUBSUB, PUNSUBSCRIBE, SPUBLISH, SSUBSCRIBE, SUBSCRIBE, SUNSUBSCRIBE, UNSUBSCRIBE];

/// What all commands that begin or end subscriptions have in common.
const SUBSCRIPTION: Command = Command {
    group: Group::PubSub,
    flags: Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    while_subscribed: true,
    lock: Lock::None,
    ..Command::DEFAULT
};

const PSUBSCRIBE: Command = Command {
    name: "psubscribe",
    arity: Arity::AtLeast(2),
    args: &[Arg::pattern("pattern").multiple()],
    channels: Channels::Patterns,
    summary: "Listens to the channels that match patterns.",
    complexity: "O(N) in the number of patterns",
    since: "2.0.0",
    handler: |ctx, args| subscribe(ctx, args, Kind::Pattern),
    ..SUBSCRIPTION
};

const PUBLISH: Command = Command {
    name: "publish",
    group: Group::PubSub,
    arity: Arity::Exactly(3),
    flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::MAY_REPLICATE),
    args: &[Arg::string("channel"), Arg::string("message")],
    channels: Channels::First,
    summary: "Sends a message to those who listen to a channel.",
    complexity: "O(N+M) in the number N of listeners and the number M of patterns anybody listens to",
    since: "2.0.0",
    lock: Lock::None,
    handler: |ctx, args| publish(ctx, args, false),
    ..Command::DEFAULT
};

const PUBSUB: Command = Command {
    name: "pubsub",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    summary: "Commands that tell who listens.",
    complexity: "As the subcommand",
    since: "2.8.0",
    subcommands: &[
        PUBSUB_SHARDNUMSUB,
        PUBSUB_SHARDCHANNELS,
        PUBSUB_HELP,
        PUBSUB_NUMSUB,
        PUBSUB_CHANNELS,
        PUBSUB_NUMPAT,
    ],
    ..Command::DEFAULT
};

/// What the subcommands have in common.
const INSPECTION: Command = Command {
    group: Group::PubSub,
    flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE),
    lock: Lock::None,
    ..Command::DEFAULT
};

const PUBSUB_SHARDNUMSUB: Command = Command {
    name: "shardnumsub",
    arity: Arity::AtLeast(2),
    args: &[Arg::string("shardchannel").optional().multiple()],
    summary: "Tells how many listen to shard channels.",
    complexity: "O(N) in the number of channels",
    since: "7.0.0",
    handler: |ctx, args| pubsub_numsub(ctx, args, true),
    ..INSPECTION
};

const PUBSUB_SHARDCHANNELS: Command = Command {
    name: "shardchannels",
    arity: Arity::AtLeast(2),
    args: &[Arg::pattern("pattern").optional()],
    summary: "Lists the shard channels that somebody listens to.",
    complexity: "O(N) in the number of these channels",
    since: "7.0.0",
    handler: |ctx, args| pubsub_channels(ctx, args, true),
    ..INSPECTION
};

const PUBSUB_HELP: Command = Command {
    name: "help",
    group: Group::PubSub,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "6.2.0",
    lock: Lock::None,
    handler: |ctx, _| help::container(ctx, "pubsub"),
    ..Command::DEFAULT
};

const PUBSUB_NUMSUB: Command = Command {
    name: "numsub",
    arity: Arity::AtLeast(2),
    args: &[Arg::string("channel").optional().multiple()],
    summary: "Tells how many listen to channels, patterns aside.",
    complexity: "O(N) in the number of channels",
    since: "2.8.0",
    handler: |ctx, args| pubsub_numsub(ctx, args, false),
    ..INSPECTION
};

const PUBSUB_CHANNELS: Command = Command {
    name: "channels",
    arity: Arity::AtLeast(2),
    args: &[Arg::pattern("pattern").optional()],
    summary: "Lists the channels that somebody listens to.",
    complexity: "O(N) in the number of these channels",
    since: "2.8.0",
    handler: |ctx, args| pubsub_channels(ctx, args, false),
    ..INSPECTION
};

const PUBSUB_NUMPAT: Command = Command {
    name: "numpat",
    arity: Arity::Exactly(2),
    summary: "Tells how many patterns somebody listens to.",
    complexity: "O(1)",
    since: "2.8.0",
    handler: pubsub_numpat,
    ..INSPECTION
};

const PUNSUBSCRIBE: Command = Command {
    name: "punsubscribe",
    arity: Arity::AtLeast(1),
    args: &[Arg::pattern("pattern").optional().multiple()],
    summary: "Stops listening to the channels that match patterns; without a pattern, of all of them.",
    complexity: "O(N) in the number of patterns",
    since: "2.0.0",
    handler: |ctx, args| unsubscribe(ctx, args, Kind::Pattern),
    ..SUBSCRIPTION
};

const SPUBLISH: Command = Command {
    name: "spublish",
    keys: &[KeySpec::first(Access::NOT_KEY)],
    args: &[Arg::string("shardchannel"), Arg::string("message")],
    summary: "Sends a message to those who listen to a shard channel.",
    complexity: "O(N) in the number of listeners",
    since: "7.0.0",
    handler: |ctx, args| publish(ctx, args, true),
    ..PUBLISH
};

const SSUBSCRIBE: Command = Command {
    name: "ssubscribe",
    arity: Arity::AtLeast(2),
    keys: &[KeySpec::range(1, -1, 1, Access::NOT_KEY)],
    args: &[Arg::string("shardchannel").multiple()],
    channels: Channels::All,
    summary: "Listens to shard channels.",
    complexity: "O(N) in the number of channels",
    since: "7.0.0",
    handler: |ctx, args| subscribe(ctx, args, Kind::ShardChannel),
    ..SUBSCRIPTION
};

const SUBSCRIBE: Command = Command {
    name: "subscribe",
    arity: Arity::AtLeast(2),
    args: &[Arg::string("channel").multiple()],
    channels: Channels::All,
    summary: "Listens to channels.",
    complexity: "O(N) in the number of channels",
    since: "2.0.0",
    handler: |ctx, args| subscribe(ctx, args, Kind::Channel),
    ..SUBSCRIPTION
};

const SUNSUBSCRIBE: Command = Command {
    name: "sunsubscribe",
    arity: Arity::AtLeast(1),
    keys: &[KeySpec::range(1, -1, 1, Access::NOT_KEY)],
    args: &[Arg::string("shardchannel").optional().multiple()],
    summary: "Stops listening to shard channels; without a channel, to all of them.",
    complexity: "O(N) in the number of channels",
    since: "7.0.0",
    handler: |ctx, args| unsubscribe(ctx, args, Kind::ShardChannel),
    ..SUBSCRIPTION
};

const UNSUBSCRIBE: Command = Command {
    name: "unsubscribe",
    arity: Arity::AtLeast(1),
    args: &[Arg::string("channel").optional().multiple()],
    summary: "Stops listening to channels; without a channel, to all of them.",
    complexity: "O(N) in the number of channels",
    since: "2.0.0",
    handler: |ctx, args| unsubscribe(ctx, args, Kind::Channel),
    ..SUBSCRIPTION
};

fn publish(ctx: &mut Ctx<'_>, mut args: Args<'_>, shard: bool) -> Outcome {
    let (channel, message) = (args.take()?, args.take()?);
    let reached = Server::of(ctx).publish(shard, channel, message);
    ctx.reply.count(reached);
    Ok(())
}

/// Tells the client that a subscription has begun or ended. Not a reply but a message, which also comes where replies are
/// not wanted.
fn confirm(ctx: &mut Ctx<'_>, word: &[u8], kind: Kind, name: Option<&[u8]>) {
    let server = Server::of(ctx);
    let (protocol, is_alone) = (ctx.reply.protocol(), ctx.may_wait);
    let session = Session::of(ctx);
    let count = session.subscription_count(kind);
    let mut text = Vec::new();
    let mut reply = Reply::new(&mut text, protocol);
    reply.push(3);
    reply.bulk(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.count(count);
    let is_on = session.replies == Replies::On;
    let is_behind = session.has_mail && is_alone;
    if is_behind {
        // Behind what was published before.
        server.pubsub.inbox(session.info.reactor).post(Post::Bytes {
            conn: session.info.conn.load(Relaxed),
            client: session.info.id,
            bytes: text.into(),
        });
    } else if is_on {
        ctx.reply.raw(&text);
    } else {
        session.pushes.extend_from_slice(&text);
    }
}

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Outcome {
    let server = Server::of(ctx);
    let word: &[u8] = match kind {
        Kind::Channel => b"subscribe",
        Kind::Pattern => b"psubscribe",
        // 8.2.3 makes an exception for transactions in the other two only.
        Kind::ShardChannel if !ctx.may_wait => {
            return Err(CommandError::text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
        }
        Kind::ShardChannel => b"ssubscribe",
    };
    for name in args.rest() {
        Session::of(ctx).subscribe(&server.pubsub, kind, name);
        confirm(ctx, word, kind, Some(name));
    }
    Ok(())
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Outcome {
    let server = Server::of(ctx);
    let word: &[u8] = match kind {
        Kind::Channel => b"unsubscribe",
        Kind::Pattern => b"punsubscribe",
        Kind::ShardChannel => b"sunsubscribe",
    };
    let all = if args.is_empty() { Session::of(ctx).subscribed_names(kind) } else { Vec::new() };
    if args.is_empty() && all.is_empty() {
        confirm(ctx, word, kind, None);
    }
    for name in args.rest().chain(all.iter().map(|name| &**name)) {
        let session = Session::of(ctx);
        session.unsubscribe(&server.pubsub, kind, name);
        session.has_mail |= server.pubsub.inbox(session.info.reactor).waiting() > 0;
        confirm(ctx, word, kind, Some(name));
    }
    Ok(())
}

fn pubsub_channels(ctx: &mut Ctx<'_>, mut args: Args<'_>, shard: bool) -> Outcome {
    if args.left() > 1 {
        return Err(CommandError::wrong_subcommand_arguments("PUBSUB", args.at(1)));
    }
    let pattern = args.next();
    let wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let names = Server::of(ctx).pubsub.channels(shard).names(wanted);
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name));
    Ok(())
}

fn pubsub_numsub(ctx: &mut Ctx<'_>, args: Args<'_>, shard: bool) -> Outcome {
    let channels = Server::of(ctx).pubsub.channels(shard);
    ctx.reply.array(2 * args.left());
    for name in args.rest() {
        ctx.reply.bulk(name);
        ctx.reply.count(channels.subscribers(name));
    }
    Ok(())
}

fn pubsub_numpat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let patterns = Server::of(ctx).pubsub.patterns().len();
    ctx.reply.count(patterns);
    Ok(())
}
