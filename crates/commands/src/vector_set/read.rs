//! Looking at elements and at the set itself.

use super::{READONLY, SHARED, check_count, name_of};
use kinovar_command::keyspace::VectorSet;
use kinovar_command::keyspace::vector_set::Quantization;
use kinovar_command::*;

pub(super) const VCARD: Command = Command {
    name: "VCARD",
    flags: READONLY.or(Flags::FAST),
    args: &[Arg::key("key", 0)],
    summary: "Counts the elements of a vector set.",
    handler: vcard,
    ..SHARED
};

pub(super) const VDIM: Command = Command {
    name: "VDIM",
    flags: READONLY.or(Flags::FAST),
    args: &[Arg::key("key", 0)],
    summary: "Tells the dimension of a vector set's vectors.",
    handler: vdim,
    ..SHARED
};

pub(super) const VEMB: Command = Command {
    name: "VEMB",
    flags: READONLY.or(Flags::FAST),
    args: &[Arg::key("key", 0), Arg::string("element"), Arg::word("raw", "RAW").optional()],
    summary: "Shows the vector of an element, as it is stored or about as it was given.",
    complexity: "O(N) in the dimension",
    handler: vemb,
    ..SHARED
};

pub(super) const VGETATTR: Command = Command {
    name: "VGETATTR",
    flags: READONLY.or(Flags::FAST),
    args: &[Arg::key("key", 0), Arg::string("element")],
    summary: "Shows the attributes of an element.",
    handler: vgetattr,
    ..SHARED
};

pub(super) const VINFO: Command = Command {
    name: "VINFO",
    flags: READONLY.or(Flags::FAST),
    args: &[Arg::key("key", 0)],
    summary: "Tells how a vector set is stored.",
    handler: vinfo,
    ..SHARED
};

pub(super) const VISMEMBER: Command = Command {
    name: "VISMEMBER",
    flags: READONLY,
    args: &[Arg::key("key", 0), Arg::string("element")],
    summary: "Tells whether an element is in a vector set.",
    since: "8.2.0",
    handler: vismember,
    ..SHARED
};

pub(super) const VLINKS: Command = Command {
    name: "VLINKS",
    flags: READONLY.or(Flags::FAST),
    args: &[Arg::key("key", 0), Arg::string("element"), Arg::word("withscores", "WITHSCORES").optional()],
    summary: "Shows the neighbours of an element on each layer of the graph.",
    complexity: "O(N) in the number of neighbours",
    handler: vlinks,
    ..SHARED
};

pub(super) const VRANDMEMBER: Command = Command {
    name: "VRANDMEMBER",
    flags: READONLY,
    args: &[Arg::key("key", 0), Arg::integer("count").optional()],
    summary: "Shows random elements of a vector set.",
    complexity: "O(N) for N elements shown",
    handler: vrandmember,
    ..SHARED
};

/// A similarity from 0 to 1, from a distance from 0 to 2.
pub(super) fn similarity(distance: f32) -> f64 {
    1.0 - f64::from(distance) / 2.0
}

fn vcard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VCARD", 2..=2)?;
    let set = ctx.db.read_value::<VectorSet>(&args.key()?)?;
    ctx.reply.count(set.map_or(0, VectorSet::len));
    Ok(())
}

fn vdim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VDIM", 2..=2)?;
    let set = ctx.db.read_value::<VectorSet>(&args.key()?)?;
    let set = set.ok_or(CommandError::text("ERR key does not exist"))?;
    ctx.reply.count(set.index().dim());
    Ok(())
}

fn vemb(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VEMB", 3..=usize::MAX)?;
    let (key, element) = (args.key()?, args.take()?);
    let is_raw = !args.is_empty();
    if args.rest().any(|word| !word.eq_ignore_ascii_case(b"RAW")) {
        return Err(CommandError::text("ERR invalid option"));
    }
    let found = ctx.db.read_value::<VectorSet>(&key)?.and_then(|set| Some((set.index(), set.find(element)?)));
    let Some((index, node)) = found else {
        ctx.reply.null();
        return Ok(());
    };
    if !is_raw {
        ctx.reply.array(index.dim());
        index.vector(node).iter().for_each(|&x| ctx.reply.double(f64::from(x)));
        return Ok(());
    }
    let has_range = index.quantization() == Quantization::Q8;
    ctx.reply.array(3 + usize::from(has_range));
    ctx.reply.simple(name_of(index.quantization()));
    ctx.reply.bulk(index.stored(node));
    ctx.reply.double(f64::from(index.l2(node)));
    if has_range {
        ctx.reply.double(f64::from(index.range(node)));
    }
    Ok(())
}

fn vgetattr(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VGETATTR", 3..=3)?;
    let (key, element) = (args.key()?, args.take()?);
    let set = ctx.db.read_value::<VectorSet>(&key)?;
    match set.and_then(|set| set.attributes(set.find(element)?)) {
        Some(attributes) => ctx.reply.bulk(attributes),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn vinfo(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VINFO", 2..=2)?;
    let Some(set) = ctx.db.read_value::<VectorSet>(&args.key()?)? else {
        ctx.reply.null_array();
        return Ok(());
    };
    let index = set.index();
    let numbers = [
        ("hnsw-m", index.m() as i64),
        ("vector-dim", index.dim() as i64),
        ("projection-input-dim", set.projection().map_or(0, |projection| projection.input_dim() as i64)),
        ("size", set.len() as i64),
        ("max-level", index.top() as i64),
        ("attributes-count", set.attributes_count() as i64),
        ("vset-uid", set.id() as i64),
        ("hnsw-max-node-uid", index.last_uid() as i64),
    ];
    ctx.reply.map(1 + numbers.len());
    ctx.reply.simple("quant-type");
    ctx.reply.simple(name_of(index.quantization()));
    for (name, value) in numbers {
        ctx.reply.simple(name);
        ctx.reply.integer(value);
    }
    Ok(())
}

fn vismember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VISMEMBER", 3..=3)?;
    let (key, element) = (args.key()?, args.take()?);
    let set = ctx.db.read_value::<VectorSet>(&key)?;
    ctx.reply.boolean(set.is_some_and(|set| set.find(element).is_some()));
    Ok(())
}

fn vlinks(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VLINKS", 3..=4)?;
    let (key, element) = (args.key()?, args.take()?);
    let with_scores = args.accept("WITHSCORES");
    if !args.is_empty() {
        return Err(CommandError::WrongArity("VLINKS".into()));
    }
    let found = ctx.db.read_value::<VectorSet>(&key)?.and_then(|set| Some((set, set.find(element)?)));
    let Some((set, node)) = found else {
        ctx.reply.null();
        return Ok(());
    };
    let index = set.index();
    let level = index.level(node);
    ctx.reply.array(level + 1);
    for layer in (0..=level).rev() {
        let (count, _) = index.degree(node, layer);
        if with_scores {
            ctx.reply.map(count);
        } else {
            ctx.reply.array(count);
        }
        for neighbour in index.neighbours(node, layer) {
            ctx.reply.bulk(set.name(neighbour.node));
            if with_scores {
                // Rounded to single precision here, unlike in searches.
                ctx.reply.double(f64::from(similarity(neighbour.distance) as f32));
            }
        }
    }
    Ok(())
}

fn vrandmember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VRANDMEMBER", 2..=3)?;
    let key = args.key()?;
    let count = match args.is_empty() {
        true => None,
        false => Some(args.integer().map_err(|_| CommandError::text("ERR COUNT value is not an integer"))?),
    };
    if count == Some(0) {
        ctx.reply.array(0);
        return Ok(());
    }
    let rng = &ctx.db.env().work.rng;
    let set = ctx.db.read_value::<VectorSet>(&key)?;
    let rng = &mut rng.borrow_mut();
    let (Some(set), Some(count)) = (set, count) else {
        match (count, set.and_then(|set| Some(set.name(set.random(rng)?)))) {
            (Some(_), _) => ctx.reply.array(0),
            (None, Some(name)) => ctx.reply.bulk(name),
            (None, None) => ctx.reply.null(),
        }
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 {
        let nodes = set.sample(wanted, rng);
        ctx.reply.array(nodes.len());
        nodes.into_iter().for_each(|node| ctx.reply.bulk(set.name(node)));
        return Ok(());
    }
    ctx.reply.array(wanted);
    for _ in 0..wanted {
        let node = set.random(rng).expect("a stored set is not empty");
        ctx.reply.bulk(set.name(node));
        check_reply_size(&ctx.reply)?;
    }
    Ok(())
}
