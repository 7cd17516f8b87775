//! Adding elements, and giving them other vectors.

use super::{INVALID_VECTOR, SHARED, WRITE, dimension_mismatch, input_mismatch, take_vector};
use kinovar_command::keyspace::vector_set::{DIM_MAX, Projection, Quantization, VectorSet};
use kinovar_command::*;
use std::borrow::Cow;

pub(super) const VADD: Command = Command {
    name: "VADD",
    flags: WRITE.or(Flags::DENYOOM),
    args: &[
        Arg::key("key", 0),
        Arg::block("reduce", &[Arg::integer("dim")]).token("REDUCE").optional(),
        Arg::one_of("format", &[Arg::word("fp32", "FP32"), Arg::word("values", "VALUES")]),
        Arg::string("vector"),
        Arg::string("element"),
        Arg::word("cas", "CAS").optional(),
        Arg::one_of("quant_type", &[Arg::word("noquant", "NOQUANT"), Arg::word("bin", "BIN"), Arg::word("q8", "Q8")])
            .optional(),
        Arg::integer("build-exploration-factor").token("EF").optional(),
        Arg::string("attributes").token("SETATTR").optional(),
        Arg::integer("numlinks").token("M").optional(),
    ],
    summary: "Adds an element with a vector to a vector set, or gives it another vector.",
    complexity: "O(log N) in the number of elements",
    handler: vadd,
    ..SHARED
};

/// Candidates looked at for the links of a new element.
const EF_DEFAULT: usize = 200;
/// The most that may be asked for.
const EF_MAX: i64 = 1_000_000;
const M_DEFAULT: usize = 16;
const M_RANGE: std::ops::RangeInclusive<i64> = 4..=4096;

/// What stands behind the element.
struct Options<'a> {
    ef: usize,
    m: usize,
    quantization: Quantization,
    attributes: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options { ef: EF_DEFAULT, m: M_DEFAULT, quantization: Quantization::Q8, attributes: None };
        while !args.is_empty() {
            // Every addition is one step here, so `CAS` asks for nothing more: it lets the reference look for links in the background.
            if args.accept("CAS") {
            } else if args.accept("NOQUANT") {
                options.quantization = Quantization::None;
            } else if args.accept("BIN") {
                options.quantization = Quantization::Bin;
            } else if args.accept("Q8") {
                options.quantization = Quantization::Q8;
            } else if args.left() < 2 {
                return Err(CommandError::text("ERR invalid option after element"));
            } else if args.accept("EF") {
                options.ef = number(args, 1..=EF_MAX).ok_or(CommandError::text("ERR invalid EF"))?;
            } else if args.accept("M") {
                options.m = number(args, M_RANGE).ok_or(CommandError::text("ERR invalid M"))?;
            } else if args.accept("SETATTR") {
                options.attributes = Some(args.take()?);
            } else {
                return Err(CommandError::text("ERR invalid option after element"));
            }
        }
        Ok(options)
    }
}

/// Takes an integer of a range.
fn number(args: &mut Args<'_>, range: std::ops::RangeInclusive<i64>) -> Option<usize> {
    args.integer().ok().filter(|value| range.contains(value)).map(|value| value as usize)
}

/// Takes `REDUCE dim`, if it is there.
fn take_reduction(args: &mut Args<'_>) -> Result<Option<usize>, CommandError> {
    if args.left() < 3 || !args.accept("REDUCE") {
        return Ok(None);
    }
    number(args, 1..=DIM_MAX as i64).map(Some).ok_or(INVALID_VECTOR)
}

fn vadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    super::check_count(&args, "VADD", 5..=usize::MAX)?;
    let key = args.key()?;
    let reduced = take_reduction(&mut args)?;
    let vector = take_vector(&mut args)?;
    let element = args.next().ok_or_else(|| CommandError::WrongArity("VADD".into()))?;
    let options = Options::parse(&mut args)?;
    ctx.db.tell_opened(&key);
    let make = || {
        let projection = reduced.map(|dim| Projection::new(vector.len(), dim));
        VectorSet::new(reduced.unwrap_or(vector.len()), options.quantization, options.m, projection)
    };
    let mut set = ctx.db.upsert(&key, make)?;
    let vector = match fitting(&set, &vector, reduced, &options) {
        Ok(vector) => vector,
        Err(error) => {
            set.unchanged();
            return Err(error);
        }
    };
    let is_new = set.add(element, &vector, options.ef, options.attributes);
    set.changed("vadd", 1);
    drop(set);
    ctx.reply.boolean(is_new);
    Ok(())
}

/// The vector as it goes into the set, if the set takes it.
fn fitting<'v>(
    set: &VectorSet,
    vector: &'v [f32],
    reduced: Option<usize>,
    options: &Options<'_>,
) -> Result<Cow<'v, [f32]>, CommandError> {
    let (index, dim) = (set.index(), set.index().dim());
    if index.quantization() != options.quantization {
        return Err(CommandError::text("ERR asked quantization mismatch with existing vector set"));
    }
    if index.m() != options.m {
        return Err(CommandError::text("ERR asked M value mismatch with existing vector set"));
    }
    let Some(projection) = set.projection() else {
        return match (vector.len() == dim, reduced) {
            (false, _) => Err(dimension_mismatch(vector.len(), dim)),
            (true, Some(_)) => Err(CommandError::text("ERR cannot add projection to existing set without projection")),
            (true, None) => Ok(Cow::Borrowed(vector)),
        };
    };
    if reduced != Some(dim) {
        return Err(dimension_mismatch(vector.len(), dim));
    }
    if projection.input_dim() != vector.len() {
        return Err(input_mismatch(vector.len(), projection.input_dim()));
    }
    Ok(Cow::Owned(projection.apply(vector)))
}
