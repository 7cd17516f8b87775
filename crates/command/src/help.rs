//! `HELP` of container commands and the syntax of arguments, derived from the declarations.

use crate::{Arg, ArgKind, Command, Ctx, Outcome};

/// Replies with what the container `name` can do: a line per subcommand with its arguments, and its summary.
pub fn container(ctx: &mut Ctx<'_>, name: &str) -> Outcome {
    let entry = ctx.registry.top_level().find(|entry| entry.command.name == name).expect("a container's own name");
    let mut lines =
        vec![format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name.to_ascii_uppercase())];
    for subcommand in entry.command.subcommands.iter().filter(|subcommand| subcommand.name != "help") {
        lines.push(usage(subcommand));
        lines.push(format!("    {}", subcommand.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Print this help.".to_owned());
    ctx.reply.array(lines.len());
    for line in &lines {
        ctx.reply.simple(line);
    }
    Ok(())
}

/// `NAME key [EX seconds]`: a command's name and the syntax of its arguments.
pub fn usage(command: &Command) -> String {
    let mut text = command.name.to_ascii_uppercase();
    for arg in command.args {
        text.push(' ');
        text.push_str(&syntax(arg));
    }
    text
}

/// The syntax of one argument, options in brackets, repetition by an ellipsis.
pub fn syntax(arg: &Arg) -> String {
    let name = arg.display.unwrap_or(arg.name);
    let body = match arg.kind {
        ArgKind::PureToken => String::new(),
        ArgKind::OneOf(choices) => {
            let choices: Vec<String> = choices.iter().map(syntax).collect();
            if arg.optional { choices.join("|") } else { format!("<{}>", choices.join("|")) }
        }
        ArgKind::Block(parts) => parts.iter().map(syntax).collect::<Vec<_>>().join(" "),
        _ => name.to_owned(),
    };
    let one = match arg.token {
        Some(token) if body.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {body}"),
        None => body.clone(),
    };
    let repeated = match (arg.multiple, arg.multiple_token) {
        (true, true) => format!("{one} [{one} ...]"),
        (true, false) => format!("{one} [{body} ...]"),
        _ => one,
    };
    if arg.optional { format!("[{repeated}]") } else { repeated }
}
