//! Finding what is similar.

use super::filter::Filter;
use super::{INVALID_VECTOR, READONLY, SHARED, check_count, dimension_mismatch, input_mismatch, take_vector};
use kinovar_command::keyspace::VectorSet;
use kinovar_command::keyspace::vector_set::{Found, Prepared};
use kinovar_command::*;

pub(super) const VSIM: Command = Command {
    name: "VSIM",
    flags: READONLY,
    args: &[
        Arg::key("key", 0),
        Arg::one_of("format", &[Arg::word("ele", "ELE"), Arg::word("fp32", "FP32"), Arg::word("values", "VALUES")]),
        Arg::string("vector_or_element"),
        Arg::word("withscores", "WITHSCORES").optional(),
        Arg::word("withattribs", "WITHATTRIBS").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::double("max_distance").token("EPSILON").optional(),
        Arg::integer("search-exploration-factor").token("EF").optional(),
        Arg::string("expression").token("FILTER").optional(),
        Arg::integer("max-filtering-effort").token("FILTER-EF").optional(),
        Arg::word("truth", "TRUTH").optional(),
        Arg::word("nothread", "NOTHREAD").optional(),
    ],
    summary: "Finds the elements whose vectors are most similar to a vector, or to that of an element.",
    complexity: "O(log N) in the number of elements",
    handler: vsim,
    ..SHARED
};

const COUNT_DEFAULT: usize = 10;
const EF_DEFAULT: usize = 100;
/// With a filter, a search goes on from so many nodes for each element that is wanted.
const VISITS_FACTOR: usize = 100;

/// What stands behind the vector.
struct Options<'a> {
    with_scores: bool,
    with_attributes: bool,
    is_exact: bool,
    count: usize,
    /// Half of the greatest distance.
    epsilon: f32,
    ef: usize,
    filter: Option<Filter<'a>>,
    visits: Option<usize>,
}

impl<'a> Options<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options {
            with_scores: false,
            with_attributes: false,
            is_exact: false,
            count: COUNT_DEFAULT,
            epsilon: 2.0,
            ef: EF_DEFAULT,
            filter: None,
            visits: None,
        };
        let number = |args: &mut Args<'_>, max: i64, error: &'static str| {
            let value = args.integer().ok().filter(|value| (1..=max).contains(value));
            value.map(|value| value as usize).ok_or(CommandError::text(error))
        };
        while !args.is_empty() {
            if args.accept("WITHSCORES") {
                options.with_scores = true;
            } else if args.accept("WITHATTRIBS") {
                options.with_attributes = true;
            } else if args.accept("TRUTH") {
                options.is_exact = true;
            } else if args.accept("NOTHREAD") {
                // It never has a thread of its own.
            } else if args.left() < 2 {
                return Err(CommandError::text("ERR syntax error in VSIM command"));
            } else if args.accept("COUNT") {
                options.count = number(args, i64::MAX, "ERR invalid COUNT")?;
            } else if args.accept("EPSILON") {
                let epsilon = args.double().ok().filter(|&epsilon| epsilon > 0.0);
                options.epsilon = epsilon.ok_or(CommandError::text("ERR invalid EPSILON"))? as f32;
            } else if args.accept("EF") {
                options.ef = number(args, i64::MAX, "ERR invalid EF")?;
            } else if args.accept("FILTER-EF") {
                options.visits = Some(number(args, i64::MAX, "ERR invalid FILTER-EF")?);
            } else if args.accept("FILTER") {
                let expression = args.take()?;
                options.filter =
                    Some(Filter::compile(expression).map_err(|error| no_filter(expression, error.offset))?);
            } else {
                return Err(CommandError::text("ERR syntax error in VSIM command"));
            }
        }
        Ok(options)
    }
}

/// Says where an expression is none.
fn no_filter(expression: &[u8], offset: usize) -> CommandError {
    let mut text = b"ERR syntax error in FILTER expression near: ".to_vec();
    text.extend_from_slice(until_nul(expression.get(offset..).filter(|rest| !rest.is_empty()).unwrap_or(expression)));
    CommandError::Bytes(text)
}

fn vsim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    check_count(&args, "VSIM", 4..=usize::MAX)?;
    let key = args.key()?;
    let Some(set) = ctx.db.read_value::<VectorSet>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let query = take_query(set, &mut args)?;
    let options = Options::parse(&mut args)?;
    let mut found = search(set, &query, &options);
    let is_far = |found: &Found| found.distance / 2.0 > options.epsilon;
    found.truncate(found.iter().take(options.count).position(is_far).unwrap_or(options.count));
    reply(&mut ctx.reply, set, &found, &options);
    Ok(())
}

/// Takes what is looked for: an element's vector, or one of its own.
fn take_query(set: &VectorSet, args: &mut Args<'_>) -> Result<Prepared, CommandError> {
    let index = set.index();
    if args.accept("ELE") {
        let node = set.find(args.take()?).ok_or(CommandError::text("ERR element not found in set"))?;
        return Ok(index.prepare(&index.vector(node)));
    }
    let vector = take_vector(args).map_err(|_| INVALID_VECTOR)?;
    match set.projection() {
        _ if vector.len() == index.dim() => Ok(index.prepare(&vector)),
        Some(projection) if vector.len() == projection.input_dim() => Ok(index.prepare(&projection.apply(&vector))),
        Some(projection) => Err(input_mismatch(vector.len(), projection.input_dim())),
        None => Err(dimension_mismatch(vector.len(), index.dim())),
    }
}

fn search(set: &VectorSet, query: &Prepared, options: &Options<'_>) -> Vec<Found> {
    let index = set.index();
    let ef = options.ef.max(options.count).min(set.len());
    let visits = options.visits.unwrap_or(options.count.saturating_mul(VISITS_FACTOR));
    let accepts = |node: u32| match &options.filter {
        Some(filter) => set.attributes(node).is_some_and(|attributes| filter.accepts(attributes)),
        None => true,
    };
    // Where all elements may be looked at anyway, the graph is of no use.
    let looks_at_all = ef == set.len() && (options.filter.is_none() || visits >= set.len());
    if options.is_exact || looks_at_all {
        index.scan(query, options.count.min(set.len()), &mut { accepts })
    } else if options.filter.is_some() {
        index.search_filtered(query, ef, visits, &mut { accepts })
    } else {
        index.search(query, ef)
    }
}

/// RESP3 has a map if there is more than names: with values that are lists if there are both scores and attributes.
fn reply(reply: &mut Reply<'_>, set: &VectorSet, found: &[Found], options: &Options<'_>) {
    let values = usize::from(options.with_scores) + usize::from(options.with_attributes);
    if values > 0 && reply.is_resp3() {
        reply.map(found.len());
    } else {
        reply.array(found.len() * (1 + values));
    }
    for found in found {
        reply.bulk(set.name(found.node));
        if values == 2 && reply.is_resp3() {
            reply.array(2);
        }
        if options.with_scores {
            reply.double(super::read::similarity(found.distance));
        }
        if options.with_attributes {
            match set.attributes(found.node) {
                Some(attributes) => reply.bulk(attributes),
                None => reply.null(),
            }
        }
    }
}
