//! `COMMAND`: what the table of declarations says, to clients.

use kinovar_command::dispatch::EntryKeys;
use kinovar_command::registry::Entry;
use kinovar_command::*;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[COMMAND];

const COMMAND: Command = Command {
    name: "command",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output_order"],
    summary: "Describes every command.",
    complexity: "O(N) in the number of commands",
    since: "2.8.13",
    subcommands: &[
        COMMAND_GETKEYS,
        COMMAND_COUNT,
        COMMAND_LIST,
        COMMAND_INFO,
        COMMAND_HELP,
        COMMAND_DOCS,
        COMMAND_GETKEYSANDFLAGS,
    ],
    handler: command_all,
    ..Command::DEFAULT
};

const COMMAND_GETKEYS: Command = Command {
    name: "getkeys",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[Arg::string("command"), Arg::string("arg").optional().multiple()],
    summary: "Finds the keys among the arguments of a command.",
    complexity: "O(N) in the number of arguments",
    since: "2.8.13",
    handler: command_getkeys,
    ..Command::DEFAULT
};

const COMMAND_COUNT: Command = Command {
    name: "count",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    summary: "Counts the commands.",
    complexity: "O(1)",
    since: "2.8.13",
    handler: command_count,
    ..Command::DEFAULT
};

const COMMAND_LIST: Command = Command {
    name: "list",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output_order"],
    args: &[Arg::one_of(
        "filterby",
        &[
            Arg::string("module-name").token("MODULE"),
            Arg::string("category").token("ACLCAT"),
            Arg::pattern("pattern").token("PATTERN"),
        ],
    )
    .token("FILTERBY")
    .optional()],
    summary: "Lists the names of commands, all or by a filter.",
    complexity: "O(N) in the number of commands",
    since: "7.0.0",
    handler: command_list,
    ..Command::DEFAULT
};

const COMMAND_INFO: Command = Command {
    name: "info",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output_order"],
    args: &[Arg::string("command-name").optional().multiple()],
    summary: "Describes the named commands, or all.",
    complexity: "O(N) in the number of commands asked for",
    since: "2.8.13",
    history: &[
        ("7.0.0", ""), /* own words; reference says: Allowed to be called with no argument to get info on all commands. */
    ],
    handler: command_info,
    ..Command::DEFAULT
};

const COMMAND_HELP: Command = Command {
    name: "help",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: command_help,
    ..Command::DEFAULT
};

const COMMAND_DOCS: Command = Command {
    name: "docs",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output_order"],
    args: &[Arg::string("command-name").optional().multiple()],
    summary: "Documents the named commands, or all.",
    complexity: "O(N) in the number of commands asked for",
    since: "7.0.0",
    handler: command_docs,
    ..Command::DEFAULT
};

const COMMAND_GETKEYSANDFLAGS: Command = Command {
    name: "getkeysandflags",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[Arg::string("command"), Arg::string("arg").optional().multiple()],
    summary: "Finds the keys among the arguments of a command and what it does to each.",
    complexity: "O(N) in the number of arguments",
    since: "7.0.0",
    handler: command_getkeysandflags,
    ..Command::DEFAULT
};

fn command_all(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let registry = ctx.registry;
    ctx.reply.array(registry.top_level().len());
    for entry in registry.top_level() {
        describe(&mut ctx.reply, registry, entry);
    }
    Ok(())
}

fn command_count(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.count(ctx.registry.top_level().len());
    Ok(())
}

fn command_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "command")
}

fn command_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.is_empty() {
        return command_all(ctx, args);
    }
    ctx.reply.array(args.left());
    for name in args.rest() {
        match ctx.registry.find_full(name) {
            Some(entry) => describe(&mut ctx.reply, ctx.registry, entry),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// Which commands `COMMAND LIST` names.
enum Filter<'a> {
    All,
    /// Of this module: there are no modules.
    Module,
    Category(Option<Acl>),
    Pattern(&'a [u8]),
}

fn command_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let filter = match args.left() {
        0 => Filter::All,
        3 if args.accept("FILTERBY") => match (args.take()?, args.take()?) {
            (kind, _) if kind.eq_ignore_ascii_case(b"MODULE") => Filter::Module,
            (kind, name) if kind.eq_ignore_ascii_case(b"ACLCAT") => Filter::Category(category(name)),
            (kind, pattern) if kind.eq_ignore_ascii_case(b"PATTERN") => Filter::Pattern(pattern),
            _ => return Err(CommandError::Syntax),
        },
        _ => return Err(CommandError::Syntax),
    };
    let listed = |entry: &&Entry| match filter {
        Filter::All => true,
        Filter::Module => false,
        Filter::Category(category) => category.is_some_and(|acl| entry.command.acl_categories().has(acl)),
        Filter::Pattern(pattern) => glob::matches_ignore_case(pattern, entry.full_name.as_bytes()),
    };
    let names: Vec<&str> = ctx.registry.entries().iter().filter(listed).map(|entry| entry.full_name.as_str()).collect();
    ctx.reply.array(names.len());
    for name in names {
        ctx.reply.bulk(name.as_bytes());
    }
    Ok(())
}

/// The ACL category called `name`, without its at sign.
fn category(name: &[u8]) -> Option<Acl> {
    Acl::ALL.iter().find(|(_, word)| word.as_bytes()[1..].eq_ignore_ascii_case(name)).map(|&(acl, _)| acl)
}

fn command_docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let registry = ctx.registry;
    let entries: Vec<&Entry> = match args.left() {
        0 => registry.top_level().collect(),
        _ => args.rest().filter_map(|name| registry.find_full(name)).collect(),
    };
    ctx.reply.map(entries.len());
    for entry in entries {
        ctx.reply.bulk(entry.full_name.as_bytes());
        document(&mut ctx.reply, registry, entry);
    }
    Ok(())
}

fn command_getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = keys_of(ctx.registry, args)?;
    ctx.reply.array(found.len());
    for (key, _) in found {
        ctx.reply.bulk(key);
    }
    Ok(())
}

fn command_getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let found = keys_of(ctx.registry, args)?;
    ctx.reply.array(found.len());
    for (key, access) in found {
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        words(&mut ctx.reply, access.words());
    }
    Ok(())
}

/// The keys of the command that the rest of `args` is.
fn keys_of<'a>(registry: &Registry, args: Args<'a>) -> Result<Vec<(&'a [u8], Access)>, CommandError> {
    let call = args.tail();
    let entry = registry.resolve(&call).map_err(|_| CommandError::text("ERR Invalid command specified"))?;
    if !entry.has_keys() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !entry.command.arity.accepts(call.argc()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    match EntryKeys::of(entry, &call) {
        EntryKeys::Invalid => Err(CommandError::text("ERR Invalid arguments specified for command")),
        EntryKeys::Found(keys) => Ok(keys.iter().map(|key| (call.at(key.index as usize), key.access)).collect()),
    }
}

/// What `COMMAND INFO` says of a command.
fn describe(reply: &mut Reply<'_>, registry: &Registry, entry: &Entry) {
    let command = entry.command;
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.integer(command.arity.as_reported());
    words(reply, command.flags.without(Flags::MAY_REPLICATE).words());
    let (first, last, step) = entry.legacy_range();
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    words(reply, command.acl_categories().words());
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| describe_keys(reply, spec));
    reply.set(entry.subcommands.len());
    for &id in &entry.subcommands {
        describe(reply, registry, &registry.entries()[id]);
    }
}

/// A set of words as simple strings.
fn words(reply: &mut Reply<'_>, words: impl Iterator<Item = &'static str>) {
    let words: Vec<&str> = words.collect();
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

fn describe_keys(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(!spec.notes.is_empty()));
    if !spec.notes.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(spec.notes.as_bytes());
    }
    reply.bulk(b"flags");
    words(reply, spec.access.words());
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Unknown => typed(reply, "unknown", &[]),
        Begin::Index(index) => typed(reply, "index", &[("index", i64::from(index))]),
        Begin::Keyword { keyword, start_from } => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(keyword.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(i64::from(start_from));
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Unknown => typed(reply, "unknown", &[]),
        Find::Range { last, step, limit } => {
            typed(reply, "range", &[("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())]);
        }
        Find::KeyNum { num_index, first, step } => {
            let fields = [("keynumidx", num_index.into()), ("firstkey", first.into()), ("keystep", step.into())];
            typed(reply, "keynum", &fields);
        }
    }
}

/// `{type: kind, spec: {field: number …}}`
fn typed(reply: &mut Reply<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

/// What `COMMAND DOCS` says of a command.
fn document(reply: &mut Reply<'_>, registry: &Registry, entry: &Entry) {
    let command = entry.command;
    let text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    reply.map_of(|reply| {
        let mut fields = 4;
        text(reply, "summary", command.summary);
        text(reply, "since", command.since);
        text(reply, "group", command.group.as_reported());
        text(reply, "complexity", command.complexity);
        if command.is_internal {
            reply.bulk(b"doc_flags");
            reply.set(1);
            reply.simple("syscmd");
            fields += 1;
        }
        if let Some(deprecated) = command.deprecated {
            reply.bulk(b"doc_flags");
            reply.set(1);
            reply.simple("deprecated");
            text(reply, "deprecated_since", deprecated.since);
            text(reply, "replaced_by", deprecated.replaced_by);
            fields += 3;
        }
        if !command.history.is_empty() {
            reply.bulk(b"history");
            reply.set(command.history.len());
            for (version, change) in command.history {
                reply.array(2);
                reply.bulk(version.as_bytes());
                reply.bulk(change.as_bytes());
            }
            fields += 1;
        }
        if !command.args.is_empty() {
            reply.bulk(b"arguments");
            document_args(reply, command.args);
            fields += 1;
        }
        if !entry.subcommands.is_empty() {
            reply.bulk(b"subcommands");
            reply.map(entry.subcommands.len());
            for &id in &entry.subcommands {
                let subcommand = &registry.entries()[id];
                reply.bulk(subcommand.full_name.as_bytes());
                document(reply, registry, subcommand);
            }
            fields += 1;
        }
        fields
    });
}

fn document_args(reply: &mut Reply<'_>, args: &[Arg]) {
    reply.array(args.len());
    for arg in args {
        reply.map_of(|reply| document_arg(reply, arg));
    }
}

/// The fields of one argument; how many.
fn document_arg(reply: &mut Reply<'_>, arg: &Arg) -> usize {
    let mut fields = 0;
    let mut text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
        fields += 1;
    };
    text(reply, "name", arg.name);
    let (kind, nested) = match arg.kind {
        ArgKind::String => ("string", None),
        ArgKind::Integer => ("integer", None),
        ArgKind::Double => ("double", None),
        ArgKind::Key => ("key", None),
        ArgKind::Pattern => ("pattern", None),
        ArgKind::UnixTime => ("unix-time", None),
        ArgKind::PureToken => ("pure-token", None),
        ArgKind::OneOf(of) => ("oneof", Some(of)),
        ArgKind::Block(of) => ("block", Some(of)),
    };
    text(reply, "type", kind);
    if nested.is_none() {
        text(reply, "display_text", arg.display.unwrap_or(arg.name));
    }
    if let Some(token) = arg.token {
        text(reply, "token", token);
    }
    for (name, value) in [("summary", arg.summary), ("since", arg.since), ("deprecated_since", arg.deprecated_since)] {
        if !value.is_empty() {
            text(reply, name, value);
        }
    }
    if let Some(spec) = arg.key_spec {
        reply.bulk(b"key_spec_index");
        reply.integer(i64::from(spec));
        fields += 1;
    }
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
    if flags.iter().any(|(set, _)| *set) {
        reply.bulk(b"flags");
        words(reply, flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word));
        fields += 1;
    }
    if let Some(nested) = nested {
        reply.bulk(b"arguments");
        document_args(reply, nested);
        fields += 1;
    }
    fields
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn keys_and_errors() {
        check(&[
            ("COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command"),
            ("COMMAND GETKEYS nosuch a", "-ERR Invalid command specified"),
            ("COMMAND GETKEYS command count", "-ERR The command has no key arguments"),
            ("COMMAND LIST FOO", "-ERR syntax error"),
            ("COMMAND LIST FILTERBY FOO x", "-ERR syntax error"),
            ("COMMAND LIST FILTERBY MODULE x", "*0"),
            ("COMMAND LIST FILTERBY ACLCAT nosuch", "*0"),
            ("COMMAND LIST FILTERBY PATTERN command|co*", "*1 $13 command|count"),
            ("COMMAND COUNT 1", "-ERR wrong number of arguments for 'command|count' command"),
            ("COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP."),
            ("COMMAND DOCS nosuch", "*0"),
            ("COMMAND INFO nosuch", "*1 $-1"),
        ]);
    }
}
