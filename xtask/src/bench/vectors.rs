//! Vector sets: server CPU of additions and searches at equal recall. Vectors of 384 floats, the defaults of both servers (eight bits,
//! M 16, EF 200 to add).
//!
//! Two kinds of vectors: *mixtures* of a few directions with some noise, as embeddings are, and *noise* alone, the hardest case. What
//! there is to be found is what `TRUTH` finds on the same server.

use anyhow::{Context, Result, ensure};
use kinovar_tests::conn::Conn;
use kinovar_tests::resp::Reply;
use kinovar_tests::rng::Rng;
use kinovar_tests::server::Server;

use super::table::{Table, verdict};
use super::{Plan, cpu, process};

const DIM: usize = 384;
const QUERIES: usize = 200;
const WANTED: usize = 10;
/// What DESIGN.md asks of commands that the processor bounds.
const TARGET: f64 = 0.65;
/// Commands under way at a time.
const PIPELINE: usize = 100;
const EFS: [usize; 3] = [50, 100, 200];

/// About normally distributed.
fn normal(rng: &mut Rng) -> f32 {
    let sum: f32 = (0..6).map(|_| rng.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5).sum();
    sum * std::f32::consts::SQRT_2
}

fn vector(rng: &mut Rng) -> Vec<f32> {
    (0..DIM).map(|_| normal(rng)).collect()
}

fn noise(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| bytes(&vector(rng))).collect()
}

fn mixtures(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    let centres: Vec<Vec<f32>> = (0..200).map(|_| vector(rng)).collect();
    let mut mix = || {
        let mut sum: Vec<f32> = (0..DIM).map(|_| 0.25 * normal(rng)).collect();
        for _ in 0..3 {
            let (centre, share) = (&centres[rng.below(200)], rng.below(1000) as f32 / 1000.0);
            sum.iter_mut().zip(centre).for_each(|(sum, x)| *sum += share * x);
        }
        bytes(&sum)
    };
    (0..count).map(|_| mix()).collect()
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Makes vectors, each as its bytes.
type Maker = fn(&mut Rng, usize) -> Vec<Vec<u8>>;

/// Measures both servers.
pub fn run(plan: &Plan) -> Result<Table> {
    let columns =
        ["server CPU us/request", "Redis 8.2.3", "Kinovar", "ratio", "target", "", "Redis recall", "Kinovar recall"];
    let mut table = Table::new("Vector sets, one thread against one, vectors of 384 floats", &columns);
    let one = vec!["--io-threads".to_string(), "1".to_string()];
    let subject = cpu::start_pinned(&plan.sides.subject, &[one.clone(), plan.subject_args.clone()].concat())?;
    let oracle = cpu::start_pinned(&plan.sides.oracle, &one)?;
    let kinds: [(&str, Maker); 2] = [("mixtures", mixtures), ("noise", noise)];
    let sizes = if plan.quick { &[10_000][..] } else { &[10_000, 100_000] };
    for &size in sizes {
        for (kind, make) in kinds {
            if !plan.wants(kind) && !plan.wants(&size.to_string()) {
                continue;
            }
            let vectors = make(&mut Rng::new(1), size + QUERIES);
            let theirs = side(&oracle, &vectors, size).context("the reference")?;
            let ours = side(&subject, &vectors, size).context("ours")?;
            for (theirs, ours) in theirs.iter().zip(&ours) {
                let mut cells = vec![format!("{}, {size} {kind}", ours.name)];
                cells.extend([theirs.us, ours.us].map(|us| format!("{us:.0}")));
                cells.extend(verdict(ours.us / theirs.us, TARGET));
                cells.extend(
                    [theirs.recall, ours.recall].map(|recall| recall.map_or(String::new(), |r| format!("{r:.3}"))),
                );
                table.push(cells);
            }
        }
    }
    Ok(table)
}

/// A figure of one server.
struct Figure {
    name: String,
    us: f64,
    recall: Option<f64>,
}

fn side(server: &Server, vectors: &[Vec<u8>], size: usize) -> Result<Vec<Figure>> {
    let mut conn = server.conn()?;
    conn.must("FLUSHALL")?;
    let words = |words: &[&[u8]]| -> Vec<Vec<u8>> { words.iter().map(|word| word.to_vec()).collect() };
    let add = |index: usize| words(&[b"VADD", b"k", b"FP32", &vectors[index], format!("element{index}").as_bytes()]);
    let (us, _) = timed(server, &mut conn, &(0..size).map(add).collect::<Vec<_>>())?;
    let mut figures = vec![Figure { name: "VADD".into(), us, recall: None }];
    let search = |options: &str| -> Vec<Vec<Vec<u8>>> {
        let query = |vector: &Vec<u8>| {
            let mut command = words(&[b"VSIM", b"k", b"FP32", vector, b"COUNT", WANTED.to_string().as_bytes()]);
            command.extend(options.split(' ').map(|word| word.as_bytes().to_vec()));
            command
        };
        vectors[size..].iter().map(query).collect()
    };
    let (us, truth) = timed(server, &mut conn, &search("TRUTH NOTHREAD"))?;
    for ef in EFS {
        let commands = search(&format!("EF {ef} NOTHREAD"));
        let (us, found) = timed(server, &mut conn, &commands)?;
        let hits: usize = found.iter().zip(&truth).map(|(found, truth)| common(found, truth)).sum();
        let recall = Some(hits as f64 / (QUERIES * WANTED) as f64);
        figures.push(Figure { name: format!("VSIM EF {ef}"), us, recall });
    }
    figures.push(Figure { name: "VSIM TRUTH".into(), us, recall: None });
    Ok(figures)
}

/// Elements of both replies.
fn common(a: &Reply, b: &Reply) -> usize {
    let (a, b) = (a.items().unwrap_or_default(), b.items().unwrap_or_default());
    a.iter().filter(|item| b.contains(item)).count()
}

/// Runs commands in pipelines; CPU time of the server for each, us, and the replies.
fn timed(server: &Server, conn: &mut Conn, commands: &[Vec<Vec<u8>>]) -> Result<(f64, Vec<Reply>)> {
    let pid = server.pid();
    let before = process::cpu_ns(pid)?;
    let mut replies = Vec::with_capacity(commands.len());
    for batch in commands.chunks(PIPELINE) {
        replies.extend(conn.pipeline(batch)?);
    }
    let us = (process::cpu_ns(pid)? - before) as f64 / 1000.0 / commands.len() as f64;
    ensure!(!replies.iter().any(Reply::is_error), "a command failed");
    Ok((us, replies))
}
