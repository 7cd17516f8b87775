//! Searching: which members lie in an area, how far from its centre.

use super::area::{Area, Filter};
use super::cell::{Cell, to_i64};
use super::order::sort_first;
use super::query::{Family, Order, Query};
use super::{UNIT, write_distance, write_position};
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::keyspace::{Settings, Text};
use kinovar_command::*;

const COMPLEXITY: &str = "O(N+log M) for N members in the cells around the area, of M in the index";
const WITH_COORD: Arg = Arg::word("withcoord", "WITHCOORD").optional();
const WITH_DIST: Arg = Arg::word("withdist", "WITHDIST").optional();
const WITH_HASH: Arg = Arg::word("withhash", "WITHHASH").optional();
const COUNT: Arg =
    Arg::block("count-block", &[Arg::integer("count").token("COUNT"), Arg::word("any", "ANY").optional()]).optional();
const COUNT_OF_RADIUS: Arg = Arg::block(
    "count-block",
    &[Arg::integer("count").token("COUNT"), Arg::word("any", "ANY").optional().since("6.2.0")],
)
.optional();
const ORDER: Arg = Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
const STORE: Arg = Arg::one_of(
    "store",
    &[
        Arg::key("storekey", 1).token("STORE").display("key"),
        Arg::key("storedistkey", 2).token("STOREDIST").display("key"),
    ],
)
.optional();
const FROM: Arg = Arg::one_of(
    "from",
    &[
        Arg::string("member").token("FROMMEMBER"),
        Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")]).token("FROMLONLAT"),
    ],
);
const BY: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[Arg::double("radius").token("BYRADIUS"), UNIT]),
        Arg::block("box", &[Arg::double("width").token("BYBOX"), Arg::double("height"), UNIT]),
    ],
);
const HISTORY_OF_RADIUS: &[(&str, &str)] =
    &[("6.2.0", "Takes `ANY` after `COUNT`."), ("7.0.0", "Units may be in upper case.")];
const HISTORY: &[(&str, &str)] = &[("7.0.0", "Units may be in upper case.")];

/// The keys of a search that may store: the index, and what `STORE` or `STOREDIST` names from `start_from` on.
const fn store_keys(start_from: i16) -> [KeySpec; 3] {
    const fn after(keyword: &'static str, start_from: i16) -> KeySpec {
        KeySpec { begin: Begin::Keyword { keyword, start_from }, ..KeySpec::first(Access::OW.update()) }
    }
    [KeySpec::first(Access::RO.access()), after("STORE", start_from), after("STOREDIST", start_from)]
}

pub(super) const GEORADIUS: Command = Command {
    name: "georadius",
    group: Group::Geo,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &store_keys(6),
    key_finder: Some(find_keys),
    args: &[
        Arg::key("key", 0),
        Arg::double("longitude"),
        Arg::double("latitude"),
        Arg::double("radius"),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT_OF_RADIUS,
        ORDER,
        STORE,
    ],
    summary: "Finds members of a geospatial index in a circle around a position, and stores them if asked to.",
    complexity: COMPLEXITY,
    since: "3.2.0",
    deprecated: Some(Deprecated {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    }),
    history: HISTORY_OF_RADIUS,
    handler: georadius,
    ..Command::DEFAULT
};

fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Family::Radius { may_store: true })
}

pub(super) const GEORADIUS_RO: Command = Command {
    name: "georadius_ro",
    group: Group::Geo,
    arity: Arity::AtLeast(6),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::double("longitude"),
        Arg::double("latitude"),
        Arg::double("radius"),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT_OF_RADIUS,
        ORDER,
    ],
    summary: "Finds members of a geospatial index in a circle around a position.",
    complexity: COMPLEXITY,
    since: "3.2.10",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument" }),
    history: HISTORY_OF_RADIUS,
    handler: georadius_ro,
    ..Command::DEFAULT
};

fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Family::Radius { may_store: false })
}

pub(super) const GEORADIUSBYMEMBER: Command = Command {
    name: "georadiusbymember",
    group: Group::Geo,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &store_keys(5),
    key_finder: Some(find_keys),
    args: &[
        Arg::key("key", 0),
        Arg::string("member"),
        Arg::double("radius"),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT,
        ORDER,
        STORE,
    ],
    summary: "Finds members of a geospatial index in a circle around one of them, and stores them if asked to.",
    complexity: COMPLEXITY,
    since: "3.2.0",
    deprecated: Some(Deprecated {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    }),
    history: HISTORY_OF_RADIUS,
    handler: georadiusbymember,
    ..Command::DEFAULT
};

fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Family::RadiusByMember { may_store: true })
}

pub(super) const GEORADIUSBYMEMBER_RO: Command = Command {
    name: "georadiusbymember_ro",
    group: Group::Geo,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::string("member"),
        Arg::double("radius"),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT,
        ORDER,
    ],
    summary: "Finds members of a geospatial index in a circle around one of them.",
    complexity: COMPLEXITY,
    since: "3.2.10",
    deprecated: Some(Deprecated {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    }),
    history: HISTORY_OF_RADIUS,
    handler: georadiusbymember_ro,
    ..Command::DEFAULT
};

fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Family::RadiusByMember { may_store: false })
}

pub(super) const GEOSEARCH: Command = Command {
    name: "geosearch",
    group: Group::Geo,
    arity: Arity::AtLeast(7),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), FROM, BY, ORDER, COUNT, WITH_COORD, WITH_DIST, WITH_HASH],
    summary: "Finds members of a geospatial index in a circle or a box.",
    complexity: COMPLEXITY,
    since: "6.2.0",
    history: HISTORY,
    handler: geosearch,
    ..Command::DEFAULT
};

fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Family::Search)
}

pub(super) const GEOSEARCHSTORE: Command = Command {
    name: "geosearchstore",
    group: Group::Geo,
    arity: Arity::AtLeast(8),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::at(2, Access::RO.access())],
    args: &[
        Arg::key("destination", 0),
        Arg::key("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT,
        Arg::word("storedist", "STOREDIST").optional(),
    ],
    summary: "Stores the members of a geospatial index that lie in a circle or a box.",
    complexity: COMPLEXITY,
    since: "6.2.0",
    history: HISTORY,
    handler: geosearchstore,
    ..Command::DEFAULT
};

fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Family::SearchStore)
}

/// The index and, where the result is stored, the last key named by an option.
fn find_keys(args: Args<'_>, keys: &mut Vec<KeyAt>) {
    keys.push(KeyAt { index: 1, access: Access::RO.access() });
    let mut store = None;
    let mut index = 5;
    while index + 1 < args.argc() {
        let word = args.at(index);
        if word.eq_ignore_ascii_case(b"STORE") || word.eq_ignore_ascii_case(b"STOREDIST") {
            index += 1;
            store = Some(index);
        }
        index += 1;
    }
    keys.extend(store.map(|index| KeyAt { index: index as u32, access: Access::OW.update() }));
}

/// A member in the area.
struct Found<'a> {
    member: Text<'a>,
    score: f64,
    /// From the centre, metres; 0 if nobody asked for it.
    distance_m: f64,
}

fn search(ctx: &mut Ctx<'_>, mut args: Args<'_>, family: Family) -> Outcome {
    let destination = if family == Family::SearchStore { Some(args.key()?) } else { None };
    let key = args.key()?;
    let settings = ctx.db.settings();
    let zset = ctx.db.read_value::<ZSet>(&key)?;
    let query = Query::parse(&mut args, family, zset)?;
    let found = match (zset, query.area) {
        (Some(zset), Some(area)) => find(zset, &area, &query),
        _ => Vec::new(),
    };
    let unit_m = query.area.map_or(1.0, |area| area.unit_m);
    let Some(destination) = destination.or(query.store) else {
        reply(&mut ctx.reply, &found, &query, unit_m);
        return Ok(());
    };
    let count = found.len();
    let result = collect(&found, &query, unit_m, settings);
    let searches = family == Family::SearchStore;
    ctx.db.store(&destination, result, if searches { "geosearchstore" } else { "georadiusstore" });
    ctx.reply.count(count);
    Ok(())
}

/// The members wanted, in the order wanted.
fn find<'z>(zset: &'z ZSet, area: &Area, query: &Query<'_>) -> Vec<Found<'z>> {
    let filter = Filter::new(area);
    // Only some uses of a member need its distance, which costs more than to find out that it is near enough.
    let measures = query.shown.distance || query.store_distance || query.order != Order::None;
    let enough = query.count.filter(|_| query.any).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let wants = |score: f64| {
        let position = Cell::of_score(score).middle();
        if measures { filter.distance_m(position) } else { filter.holds(position).then_some(0.0) }
    };
    for cell in area.cells() {
        if found.len() >= enough {
            break;
        }
        zset.select(cell.scores(), wants, |member, score, distance_m| {
            found.push(Found { member, score, distance_m });
            found.len() < enough
        });
    }
    let wanted = query.count.map_or(found.len(), |count| count.min(found.len()));
    let nearer = |a: &Found<'_>, b: &Found<'_>| a.distance_m.total_cmp(&b.distance_m);
    match query.order {
        Order::None => {}
        Order::Ascending => sort_first(&mut found, wanted, nearer),
        Order::Descending => sort_first(&mut found, wanted, |a, b| nearer(b, a)),
    }
    found.truncate(wanted);
    found
}

fn reply(reply: &mut Reply<'_>, found: &[Found<'_>], query: &Query<'_>, unit_m: f64) {
    let shown = query.shown;
    let parts = 1 + usize::from(shown.distance) + usize::from(shown.hash) + usize::from(shown.position);
    reply.array(found.len());
    for Found { member, score, distance_m } in found {
        if parts > 1 {
            reply.array(parts);
        }
        member.with(|bytes| reply.bulk(bytes));
        if shown.distance {
            write_distance(reply, distance_m / unit_m);
        }
        if shown.hash {
            reply.integer(to_i64(*score));
        }
        if shown.position {
            write_position(reply, Cell::of_score(*score).middle());
        }
    }
}

/// A sorted set of what was found.
fn collect(found: &[Found<'_>], query: &Query<'_>, unit_m: f64, settings: &Settings) -> ZSet {
    let longest = found.iter().map(|found| found.member.with(<[u8]>::len)).max().unwrap_or(0);
    let mut set = ZSet::for_members(found.len(), longest, settings);
    for Found { member, score, distance_m } in found {
        let score = if query.store_distance { distance_m / unit_m } else { *score };
        member.with(|bytes| set.insert(bytes, score, settings));
    }
    set
}
