//! Looking into HyperLogLogs, and trying whether they work here: PFDEBUG, PFSELFTEST.

use super::{corrupted, hyperloglog};
use kinovar_command::keyspace::hyperloglog::{self as hll, Hit, REGISTERS};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Lock, Outcome, until_nul,
};
use std::io::Write;

pub(super) const PFDEBUG: Command = Command {
    name: "pfdebug",
    group: Group::HyperLogLog,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ADMIN),
    keys: &[KeySpec::at(2, Access::RW.access())],
    args: &[Arg::string("subcommand"), Arg::key("key", 0)],
    summary: "Shows what a HyperLogLog is made of.",
    complexity: "N/A",
    since: "2.8.9",
    is_internal: true,
    handler: pfdebug,
    ..Command::DEFAULT
};

const NO_KEY: CommandError = CommandError::text("ERR The specified key does not exist");
const NOT_SPARSE: CommandError = CommandError::text("ERR HLL encoding is not sparse");
const NEITHER: CommandError = CommandError::text("ERR Argument must be ON or OFF");

fn pfdebug(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.accept("SIMD") {
        let on = match args.accept("ON") {
            true => true,
            false if args.accept("OFF") => false,
            false => return Err(NEITHER),
        };
        hll::use_vectors(on);
        ctx.reply.simple(if on { "enabled" } else { "disabled" });
        return Ok(());
    }
    let subcommand = args.take()?;
    let is = |word: &str| subcommand.eq_ignore_ascii_case(word.as_bytes());
    let mut update = ctx.db.update_text(&args.key()?)?.ok_or(NO_KEY)?;
    let is_sparse = !hll::is_dense(hyperloglog(update.text())?);
    update.bytes_mut(0);
    if is_sparse && (is("GETREG") || is("TODENSE")) {
        update.edit(hll::make_dense).map_err(corrupted)?;
        update.noted();
    }
    let bytes = hyperloglog(update.text())?;
    let reply = &mut ctx.reply;
    if is("GETREG") {
        let mut registers = [0; REGISTERS];
        hll::merge(&mut registers, bytes).map_err(corrupted)?;
        reply.array(REGISTERS);
        registers.iter().for_each(|&register| reply.integer(i64::from(register)));
    } else if is("DECODE") {
        if !is_sparse {
            return Err(NOT_SPARSE);
        }
        reply.bulk(&decoded(bytes));
    } else if is("ENCODING") {
        reply.simple(if is_sparse { "sparse" } else { "dense" });
    } else if is("TODENSE") {
        reply.integer(i64::from(is_sparse));
    } else {
        let mut text = b"ERR Unknown PFDEBUG subcommand '".to_vec();
        text.extend_from_slice(until_nul(subcommand));
        text.push(b'\'');
        return Err(CommandError::Bytes(text));
    }
    Ok(())
}

/// The runs of a sparse HyperLogLog as text: `z:` or `Z:` and how many zeros, in one byte or two; `v:`, a value and how often.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 6);
    hll::each_run(bytes, |run| {
        let result = match (run.value, run.size) {
            (0, 1) => write!(text, "z:{} ", run.len),
            (0, _) => write!(text, "Z:{} ", run.len),
            (value, _) => write!(text, "v:{value},{} ", run.len),
        };
        result.expect("writing to memory does not fail");
    });
    text.pop();
    text
}

pub(super) const PFSELFTEST: Command = Command {
    name: "pfselftest",
    group: Group::HyperLogLog,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN,
    summary: "Tries whether HyperLogLogs work on this machine.",
    complexity: "N/A",
    since: "2.8.9",
    is_internal: true,
    lock: Lock::None,
    handler: pfselftest,
    ..Command::DEFAULT
};

fn pfselftest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    self_test().map_err(|failure| CommandError::owned(format!("TESTFAILED {failure}")))?;
    ctx.reply.ok();
    Ok(())
}

/// Adds numbers to a sparse, a dense and a plain set of registers, which must agree all along and be near the truth.
fn self_test() -> Result<(), String> {
    const ELEMENTS: u64 = 300_000;
    /// Standard errors, of 1.04 over the root of the number of registers, within which an estimate is nearly always.
    const ERRORS_MAX: f64 = 5.0;
    let (mut sparse, mut dense) = (hll::EMPTY.to_vec(), hll::EMPTY.to_vec());
    let mut plain = [0; REGISTERS];
    let invalid = |_| "what was just made is not valid".to_string();
    hll::make_dense(&mut dense).map_err(invalid)?;
    let mut checkpoint = 1;
    for n in 1..=ELEMENTS {
        let hit = Hit::of(&n.to_le_bytes());
        let raised = [
            plain[hit.index] < hit.value,
            hll::raise(&mut sparse, hit, 3000).map_err(invalid)?,
            hll::raise(&mut dense, hit, 3000).map_err(invalid)?,
        ];
        plain[hit.index] = hit.value.max(plain[hit.index]);
        if raised != [raised[0]; 3] {
            return Err(format!("element {n}: registers disagree on whether it is new"));
        }
        if n != checkpoint && n != ELEMENTS {
            continue;
        }
        checkpoint *= 10;
        for (name, bytes) in [("sparse", &sparse), ("dense", &dense)] {
            let mut registers = [0; REGISTERS];
            hll::merge(&mut registers, bytes).map_err(invalid)?;
            if registers != plain {
                return Err(format!("{name} registers differ after {n} elements"));
            }
            let estimate = hll::estimate(bytes).map_err(invalid)?;
            if estimate != hll::estimate_of(&plain) {
                return Err(format!("{name} registers give another estimate of {n} elements"));
            }
            let error_max = ERRORS_MAX * 1.04 / (REGISTERS as f64).sqrt() * n as f64;
            if estimate.abs_diff(n) as f64 > error_max.max(1.0) {
                return Err(format!("the estimate of {n} elements is {estimate}"));
            }
        }
    }
    Ok(())
}
