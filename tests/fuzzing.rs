//! Every parser that reads what others wrote, with the seeds of `tests/fuzz` and many small changes of them.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands between words of configurations, and what should not.
const ODD: &[u8] = b"0199 \n\t\r\"'\\<>{}[]()=:;,/@#!|-\0\x1b\xc3\xff";

/// Changes that are tried for each seed.
fn changes() -> u64 {
    if std::env::var_os("CONFVAULT_THOROUGH").is_some() { 20_000 } else { 60 }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// Always the same numbers: a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }
}

/// Changes a few bytes: flips, cuts, repeats, digits, and what stands between words of configurations.
fn change(data: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(data.len() + 1);
        let to = (at + dice.roll(16)).min(data.len());
        match dice.roll(6) {
            0 if at < data.len() => data[at] ^= 1 << dice.roll(8),
            1 => drop(data.drain(at..to)),
            2 => {
                let piece = data[at..to].to_vec();
                let again = dice.roll(data.len() + 1);
                data.splice(again..again, piece);
            }
            3 if at < data.len() => data[at] = ODD[dice.roll(ODD.len())],
            4 => data.truncate(at),
            _ => {
                data.insert(at, ODD[dice.roll(ODD.len())]);
            }
        }
    }
}

#[test]
fn seeds_and_what_is_near_them_do_no_harm() {
    for (target, run) in targets::TARGETS {
        let seeds = folder().join("seeds").join(target);
        let mut files: Vec<PathBuf> = fs::read_dir(&seeds).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{target} has no seed");
        for file in files {
            let seed = fs::read(&file).unwrap();
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed.len() as u64);
            for n in 0..=changes() {
                let mut data = seed.clone();
                if n > 0 {
                    change(&mut data, &mut dice);
                }
                let outcome = std::panic::catch_unwind(|| run(&data));
                assert!(outcome.is_ok(), "{target}: {} after change {n}: {}", file.display(), String::from_utf8_lossy(&data));
            }
        }
    }
}

#[test]
fn every_target_is_built_by_cargo_fuzz_and_has_its_seeds() {
    let manifest: toml::Value = toml::from_str(&fs::read_to_string(folder().join("Cargo.toml")).unwrap()).unwrap();
    let built: BTreeSet<&str> = manifest["bin"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    let known: BTreeSet<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(built, known);
    let seeds = fs::read_dir(folder().join("seeds")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(seeds.collect::<BTreeSet<_>>(), known.iter().map(|n| (*n).to_owned()).collect());
}
