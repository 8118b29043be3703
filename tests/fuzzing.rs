//! Every parser that reads what others wrote, with the seeds of `tests/fuzz` and many small changes of them: no panic,
//! no input that computes for more than a second, none that takes more than 512 MiB.
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What one input may compute. Of the clock of its thread, as the machine has other things to do, too.
const COMPUTES: Duration = Duration::from_secs(5);
/// What one input may take in all, before it is called hanging.
const HANGS: Duration = Duration::from_secs(300);
/// Memory of the whole process, in KiB.
const MEMORY: u64 = 512 << 10;

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

/// How long this thread has computed.
fn computed() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// A line of `/proc/self/status`, in KiB.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    found.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// Ends the process when an input hangs or takes memory without bound, and says which; a panic could not reach it.
struct Guard {
    at: Arc<Mutex<(Instant, String, Vec<u8>)>>,
    end: Arc<AtomicBool>,
}

impl Guard {
    fn begin() -> Self {
        let at = Arc::new(Mutex::new((Instant::now(), String::new(), Vec::new())));
        let end = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (at.clone(), end.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                let takes = memory("VmRSS:");
                let now = seen.lock().unwrap();
                if takes > MEMORY || now.0.elapsed() > HANGS {
                    let shown = String::from_utf8_lossy(&now.2);
                    eprintln!("{} runs for {:?} and has {takes} KiB: {shown}", now.1, now.0.elapsed());
                    std::process::abort();
                }
            }
        });
        Self { at, end }
    }

    fn now(&self, target: &str, data: &[u8]) {
        let mut at = self.at.lock().unwrap();
        at.0 = Instant::now();
        at.1.clear();
        at.1.push_str(target);
        at.2.clear();
        at.2.extend_from_slice(data);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// What came of a target.
#[derive(Default)]
struct Tried {
    inputs: u64,
    slowest: Duration,
}

/// Runs a target with each of its seeds and so many changes of each; `round` says which changes.
fn replay(guard: &Guard, target: &str, run: targets::Target, round: u64, changes: u64) -> Tried {
    let mut tried = Tried::default();
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("seeds").join(target)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no seed");
    for file in files {
        let seed = fs::read(&file).unwrap();
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed.len() as u64 ^ round.wrapping_mul(0xd134_2543_de82_ef95));
        for n in 0..=changes {
            let mut data = seed.clone();
            if n > 0 {
                change(&mut data, &mut dice);
            }
            guard.now(target, &data);
            let begin = computed();
            let outcome = std::panic::catch_unwind(|| run(&data));
            let took = computed() - begin;
            let which = || format!("{target}: {}, round {round}, change {n}: {}", file.display(), String::from_utf8_lossy(&data));
            assert!(outcome.is_ok(), "{}", which());
            assert!(took < COMPUTES, "{took:?}: {}", which());
            tried.inputs += 1;
            tried.slowest = tried.slowest.max(took);
        }
    }
    tried
}

#[test]
fn seeds_and_what_is_near_them_do_no_harm() {
    let guard = Guard::begin();
    for (target, run) in targets::TARGETS {
        replay(&guard, target, *run, 0, changes());
    }
}

/// Other changes in every round, each target for an equal share of the time, and a table of what was tried.
#[test]
#[ignore = "a campaign: CONFVAULT_FUZZ_SECONDS says how long"]
fn a_campaign_of_changes_does_no_harm() {
    let seconds: u64 = std::env::var("CONFVAULT_FUZZ_SECONDS").expect("CONFVAULT_FUZZ_SECONDS").parse().unwrap();
    let first: u64 = std::env::var("CONFVAULT_FUZZ_ROUND").map_or(1, |round| round.parse().unwrap());
    let only = std::env::var("CONFVAULT_FUZZ_TARGETS").unwrap_or_default();
    let chosen = targets::TARGETS.iter().filter(|(name, _)| only.is_empty() || only.split(',').any(|o| o == *name));
    let share = Duration::from_secs(seconds) / u32::try_from(chosen.clone().count()).unwrap();
    let guard = Guard::begin();
    println!("| target | inputs | slowest |\n|---|---|---|");
    let mut all = 0;
    for (target, run) in chosen {
        let begin = Instant::now();
        let mut tried = Tried::default();
        for round in first.. {
            let some = replay(&guard, target, *run, round, 100);
            tried = Tried { inputs: tried.inputs + some.inputs, slowest: tried.slowest.max(some.slowest) };
            if begin.elapsed() > share {
                break;
            }
        }
        all += tried.inputs;
        println!("| `{target}` | {} | {} ms |", tried.inputs, tried.slowest.as_millis());
    }
    println!("{all} inputs, at most {} MiB", memory("VmHWM:") >> 10);
}

/// The bounds bite: what hangs or takes memory without end would end the run.
#[test]
fn what_computes_too_long_is_found() {
    fn slow(_: &[u8]) {
        let begin = computed();
        while computed() - begin < COMPUTES {}
    }
    let guard = Guard::begin();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| replay(&guard, "point", slow, 0, 0)));
    assert!(found.is_err());
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
