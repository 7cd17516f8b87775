//! Adding members by position.

use super::cell::{Cell, STEPS_MAX};
use super::parse_position;
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::keyspace::{Inserted, Settings};
use kinovar_command::*;

pub(super) const GEOADD: Command = Command {
    name: "geoadd",
    group: Group::Geo,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[
        Arg::key("key", 0),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional().since("6.2.0"),
        Arg::word("change", "CH").optional().since("6.2.0"),
        Arg::block("data", &[Arg::double("longitude"), Arg::double("latitude"), Arg::string("member")]).multiple(),
    ],
    summary: "Adds members with their positions to a geospatial index, or moves them.",
    complexity: "O(log N) for each member",
    since: "3.2.0",
    history: &[("6.2.0", "Takes `NX`, `XX` and `CH`.")],
    member: 4,
    handler: geoadd,
    ..Command::DEFAULT
};

/// The options of GEOADD.
#[derive(Clone, Copy, Default)]
struct Options {
    /// Only new members.
    nx: bool,
    /// Only members that are there.
    xx: bool,
    /// Count moved members too.
    ch: bool,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Options {
        let mut options = Options::default();
        loop {
            let flag = match () {
                () if args.accept("NX") => &mut options.nx,
                () if args.accept("XX") => &mut options.xx,
                () if args.accept("CH") => &mut options.ch,
                () => return options,
            };
            *flag = true;
        }
    }
}

/// A member to be added and its score.
type Member<'a> = (&'a [u8], u64);

fn geoadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let options = Options::parse(&mut args);
    let first = args.index();
    let count = args.left() / 3;
    if !args.left().is_multiple_of(3) || count == 0 || options.nx && options.xx {
        return Err(CommandError::Syntax);
    }
    let mut members = Vec::with_capacity(count);
    while !args.is_empty() {
        let cell = Cell::at(parse_position(&mut args)?, STEPS_MAX);
        members.push((args.take()?, cell.first_score()));
    }
    let (added, updated) = add(&mut ctx.db, &key, options, &members)?;
    if added + updated > 0 && ctx.effects().is_on() {
        tell(ctx, &args, first, &members);
    }
    ctx.reply.count(if options.ch { added + updated } else { added });
    Ok(())
}

/// How many members were new, and how many were elsewhere before.
fn add(
    db: &mut Db<'_>,
    key: &Key<'_>,
    options: Options,
    members: &[Member<'_>],
) -> Result<(usize, usize), CommandError> {
    let settings = db.settings();
    let zset = match options.xx {
        true => db.update::<ZSet>(key)?,
        // Like the reference, which looks at the first member only.
        false => Some(db.upsert(key, || ZSet::for_members(members.len(), members[0].0.len(), settings))?),
    };
    let Some(mut zset) = zset else { return Ok((0, 0)) };
    zset.expect_members(members.len(), settings);
    let (mut added, mut updated) = (0, 0);
    for &member in members {
        match apply(&mut zset, member, options, settings) {
            Inserted::Added => added += 1,
            Inserted::Updated => updated += 1,
            Inserted::Unchanged => {}
        }
    }
    if added + updated > 0 {
        zset.changed("zadd", added + updated);
    } else {
        zset.unchanged();
    }
    Ok((added, updated))
}

fn apply(zset: &mut ZSet, (member, score): Member<'_>, options: Options, settings: &Settings) -> Inserted {
    if (options.nx || options.xx) && zset.score(member).is_some() == options.nx {
        return Inserted::Unchanged;
    }
    zset.insert(member, score as f64, settings)
}

/// Says what it comes to: positions are rounded once, not by everyone who hears of them.
#[cold]
fn tell(ctx: &Ctx<'_>, args: &Args<'_>, first: usize, members: &[Member<'_>]) {
    let scores: Vec<String> = members.iter().map(|(_, score)| score.to_string()).collect();
    let mut words: Vec<&[u8]> = vec![b"zadd"];
    words.extend((1..first).map(|index| args.at(index)));
    for ((member, _), score) in members.iter().zip(&scores) {
        words.extend([score.as_bytes(), *member]);
    }
    ctx.effects().instead(&words);
}
