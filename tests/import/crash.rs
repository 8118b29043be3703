//! An import is there or it is not, wherever it is stopped; the next one ends it.
// Release builds have no faults to test with.
#![cfg(debug_assertions)]

use std::process::Command;

use crate::repo::{World, commit, oxidized, oxidized_head, running};

#[test]
fn an_import_that_is_stopped_anywhere_leaves_the_old_or_the_new_and_the_next_needs_nobody() {
    let world = World::new();
    let state = |name: &str, n: u32| oxidized_head("15.7(3)M6") + &running(name, &format!("m{n}"), &format!("CaNaRy{n}"));
    let states: Vec<(String, String)> = (0..4).map(|n| (state("r1", n), state("r2", n))).collect();
    let commits: Vec<_> = states.iter().zip(1_500_000_000..).map(|((a, b), t)| oxidized(t, &[("r1", a), ("r2", b)])).collect();
    commit(&world.env.path("r.git"), &commits);
    let copy = |from: &str, to: &str| {
        let mut cp = Command::new("cp");
        assert!(cp.arg("-a").args([from, to]).current_dir(world.env.path("")).status().unwrap().success());
    };
    for folder in ["cv", "cv-admin"] {
        copy(folder, &format!("{folder}.base"));
    }
    let before = world.refs();
    let args = ["-C", "cv", "import", "oxidized", "r.git", "--profile", "cisco-ios"];
    let trace = world.env.path("steps");
    world.env.run(world.env.command(&args).env("CONFVAULT_FAULT", format!("count:{}", trace.display()))).succeeded();
    let steps = std::fs::read_to_string(&trace).unwrap().lines().count();
    assert!(steps > 15, "{steps}");
    for (fault, every) in [("kill", 1), ("enospc", 3), ("eio", 4), ("short", 2)] {
        let mut stopped = 0;
        for n in (1..=steps).step_by(every) {
            for folder in ["cv", "cv-admin"] {
                std::fs::remove_dir_all(world.env.path(folder)).unwrap();
                copy(&format!("{folder}.base"), folder);
            }
            let run = world.env.run(world.env.command(&args).env("CONFVAULT_FAULT", format!("{fault}:{n}")));
            let done = world.refs();
            let lines = done.matches("refs/heads/r").count();
            assert!(done == before || lines == 2, "{fault}:{n}: {done}");
            assert!(!run.stderr.contains("CaNaRy"), "{fault}:{n}: {run}");
            if run.code != 0 {
                stopped += 1;
                assert!(fault == "kill" || run.stderr.starts_with("error: "), "{fault}:{n}: {run}");
            }
            // Nobody tidies up; what was there is not taken twice.
            let again = world.import(&args[3..]);
            let devices = again["devices"].as_array().unwrap();
            assert!(devices.iter().all(|d| d["outcome"] == "done"), "{fault}:{n}: {again}");
            assert_eq!((world.log("r1").len(), world.log("r2").len()), (4, 4), "{fault}:{n}");
            if n % 5 == 0 {
                world.clean();
            }
        }
        world.clean();
        // Caches may fail, and a short write is one of a write only.
        assert!(stopped >= 3, "{fault} stopped {stopped} of {steps} times");
    }
}
