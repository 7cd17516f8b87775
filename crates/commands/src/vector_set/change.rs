//! Removing elements, and changing their attributes.

use super::{SHARED, WRITE, check_count};
use kinovar_command::keyspace::VectorSet;
use kinovar_command::*;

pub(super) const VREM: Command = Command {
    name: "VREM",
    flags: WRITE,
    args: &[Arg::key("key", 0), Arg::string("element")],
    summary: "Removes an element from a vector set.",
    complexity: "O(log N) in the number of elements",
    handler: vrem,
    ..SHARED
};

pub(super) const VSETATTR: Command = Command {
    name: "VSETATTR",
    flags: WRITE.or(Flags::FAST),
    args: &[Arg::key("key", 0), Arg::string("element"), Arg::string("json")],
    summary: "Sets the attributes of an element, or removes them.",
    handler: vsetattr,
    ..SHARED
};

fn vrem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VREM", 3..=3)?;
    let (key, element) = (args.key()?, args.take()?);
    change(ctx, &key, |set| set.remove(element))
}

fn vsetattr(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VSETATTR", 4..=4)?;
    let (key, element, attributes) = (args.key()?, args.take()?, args.take()?);
    change(ctx, &key, |set| {
        let node = set.find(element);
        if let Some(node) = node {
            set.set_attributes(node, attributes);
        }
        node.is_some()
    })
}

/// Replies whether `change` found something to change.
fn change(ctx: &mut Ctx<'_>, key: &Key<'_>, change: impl FnOnce(&mut VectorSet) -> bool) -> Outcome {
    ctx.db.tell_opened(key);
    let Some(mut set) = ctx.db.update::<VectorSet>(key)? else {
        ctx.reply.boolean(false);
        return Ok(());
    };
    let is_changed = change(&mut set);
    if is_changed {
        set.changed("vset", 1);
    } else {
        set.unchanged();
    }
    drop(set);
    ctx.reply.boolean(is_changed);
    Ok(())
}
