//! BITOP: strings combined bit by bit.

use kinovar_command::keyspace::bits::{self, Operation};
use kinovar_command::keyspace::{Text, object};
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome};
use std::borrow::Cow;

pub(super) const BITOP: Command = Command {
    name: "bitop",
    group: Group::Bitmap,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(2, Access::OW.update()), KeySpec::range(3, -1, 1, Access::RO.access())],
    args: &[
        Arg::one_of(
            "operation",
            &[
                Arg::word("and", "AND"),
                Arg::word("or", "OR"),
                Arg::word("xor", "XOR"),
                Arg::word("not", "NOT"),
                Arg::word("diff", "DIFF"),
                Arg::word("diff1", "DIFF1"),
                Arg::word("andor", "ANDOR"),
                Arg::word("one", "ONE"),
            ],
        ),
        Arg::key("destkey", 0),
        Arg::key("key", 1).multiple(),
    ],
    summary: "Combines strings bit by bit and stores the result.",
    complexity: "O(N) in the length of all strings.",
    since: "2.6.0",
    handler: bitop,
    ..Command::DEFAULT
};

const NOT_OF_ONE: CommandError = CommandError::text("ERR BITOP NOT must be called with a single source key.");

fn operation(args: &mut Args<'_>) -> Result<Operation, CommandError> {
    const OPERATIONS: [(&str, Operation); 8] = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
        ("DIFF", Operation::Diff),
        ("DIFF1", Operation::Diff1),
        ("ANDOR", Operation::AndOr),
        ("ONE", Operation::One),
    ];
    let found = OPERATIONS.into_iter().find(|(word, _)| args.accept(word));
    let (word, operation) = found.ok_or(CommandError::Syntax)?;
    let sources = args.left() - 1;
    match operation {
        Operation::Not if sources != 1 => Err(NOT_OF_ONE),
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources < 2 => {
            Err(CommandError::owned(format!("ERR BITOP {word} must be called with at least two source keys.")))
        }
        _ => Ok(operation),
    }
}

fn bitop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let operation = operation(&mut args)?;
    let destination = args.key()?;
    let mut keys = Vec::with_capacity(args.left());
    while !args.is_empty() {
        let key = args.key()?;
        ctx.db.read_text(&key)?;
        keys.push(key);
    }
    let result = {
        let texts = keys.iter().map(|key| peek(ctx, key)).collect::<Result<Vec<_>, _>>()?;
        bits::combine(operation, &texts.iter().map(|text| &text[..]).collect::<Vec<_>>())
    };
    let len = result.len();
    if len == 0 {
        ctx.db.delete(&destination);
    } else {
        ctx.db.put_computed(&destination, result, "set");
    }
    ctx.reply.count(len);
    Ok(())
}

/// A string that was read already; empty if it is missing.
fn peek<'c>(ctx: &'c Ctx<'_>, key: &Key<'_>) -> Result<Cow<'c, [u8]>, CommandError> {
    Ok(match ctx.db.peek(key).map(object::text).transpose()? {
        None => Cow::Borrowed(b""),
        Some(Text::Bytes(bytes)) => Cow::Borrowed(bytes),
        Some(text @ Text::Int(_)) => Cow::Owned(text.to_vec()),
    })
}
