//! The targets of `fuzz/` without a fuzzer: a bounded number of mutated inputs for each, from a seed that is printed.
//! `LOCKBRIDGE_FULL=1` tries a hundred times as many, `LOCKBRIDGE_SEED` another seed.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use targets::{TARGETS, Target};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn mutate(input: &mut Vec<u8>, all: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=input.len());
        match rng.random_range(0..6) {
            0 => input.truncate(at),
            1 => input.insert(at, rng.random()),
            2 if at < input.len() => input[at] = rng.random(),
            3 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            4 => {
                let mut noise = vec![0; rng.random_range(0..64)];
                rng.fill_bytes(&mut noise);
                input.splice(at..at, noise);
            }
            _ => {
                let other = &all[rng.random_range(0..all.len())];
                input.truncate(at);
                input.extend(&other[rng.random_range(0..=other.len())..]);
            }
        }
    }
}

fn run((name, target): Target) {
    let seed = std::env::var("LOCKBRIDGE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let rounds = match std::env::var_os("LOCKBRIDGE_FULL") {
        Some(_) => 2_000_000,
        None => 20_000,
    };
    println!("{name}: {rounds} inputs from seed {seed}");
    let corpus = corpus(name);
    for input in &corpus {
        target(input);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..rounds {
        let mut input = corpus[rng.random_range(0..corpus.len())].clone();
        mutate(&mut input, &corpus, &mut rng);
        let kept = input.clone();
        if std::panic::catch_unwind(|| target(&input)).is_err() {
            panic!("{name}, seed {seed}: {kept:02x?}");
        }
    }
}

#[test]
fn no_mutated_input_breaks_a_target() {
    TARGETS.into_iter().for_each(run);
}
