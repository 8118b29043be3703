//! A restore that is stopped at every step on disk: of its record, of the store, of the device where that is a folder.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use crate::env::Run;
use crate::lab::{CANARY, Lab, thorough};

/// A restore with all that a profile can ask for.
const RESTORE: &str = r#"
[[restore.check]]
run = "grep -q port {root}/main.conf"
[[restore.apply]]
run = "echo applied >> ../applied"
"#;

/// Counts the steps of a restore, by what they are about.
fn steps(lab: &Lab) -> Vec<String> {
    let lab = lab.copy();
    let trace = lab.env.path("trace");
    let run = lab.env.run(lab.restore_command(&[]).env("CONFVAULT_FAULT", format!("count:{}", trace.display())));
    assert_eq!(run.code, 0, "{run}");
    fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect()
}

/// The steps that are tried: of the record and the device all where all are asked for, else some; and fewer of the store,
/// whose own tests try all of its.
fn chosen(steps: &[String]) -> Vec<usize> {
    let of_store = |step: &String| step.contains("/store.git/") || step.contains("/keys/");
    let (usual, of_stores) = if thorough() { (1, 2) } else { (5, 25) };
    (1..=steps.len()).filter(|n| n % if of_store(&steps[n - 1]) { of_stores } else { usual } == 0).collect()
}

/// Nothing of a content lies in clear, neither in the record nor beside it.
#[track_caller]
fn assert_sealed(lab: &Lab) {
    let found = std::process::Command::new("grep").args(["-rl", CANARY, "store"]).current_dir(lab.env.path("")).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}

/// After a restore was killed, one command goes on or back; where nothing was begun, there is nothing to go back from.
fn take_up(lab: &Lab, how: &str) -> Option<Run> {
    let run = lab.cv(&["restore", how, "--wait", "3"]);
    match run.code {
        1 if run.stderr.contains("No restore is unfinished") => None,
        _ => Some(run),
    }
}

#[test]
fn a_kill_at_any_step_is_followed_by_one_command() {
    let lab = Lab::new(RESTORE);
    let steps = steps(&lab);
    let ways = ["--resume", "--undo"];
    let tried = chosen(&steps).into_iter().flat_map(|n| {
        let of_step = if thorough() { &ways[..] } else { &ways[n % 2..=n % 2] };
        of_step.iter().map(move |way| (n, *way))
    });
    for (n, way) in tried {
        let at = format!("killed at step {n} of {} ({}), then {way}", steps.len(), steps[n - 1]);
        let lab = lab.copy();
        let status = lab.restore_command(&[]).env("CONFVAULT_FAULT", format!("kill:{n}")).output().unwrap().status;
        assert_eq!(status.signal(), Some(9), "{at}");
        assert_sealed(&lab);
        match take_up(&lab, way) {
            Some(run) => {
                assert_eq!(run.code, 0, "{at}: {run}");
                let wanted = if way == "--undo" { &lab.broken } else { &lab.point() };
                assert_eq!(lab.tree(), *wanted, "{at}: {run}");
                lab.assert_tidy();
            }
            // Killed before it had begun, or after it had ended.
            None => assert!([&lab.broken, &lab.point()].contains(&&lab.tree()), "{at}"),
        }
        let open = lab.cv(&["change", "list", "--json"]).json();
        assert!(open["changes"].as_array().unwrap().is_empty(), "{at}: {open}");
        // The next restore needs nobody to tidy up.
        let run = lab.restore(&[]);
        assert_eq!(run.code, 0, "{at}: {run}");
        assert_eq!(lab.tree(), lab.point(), "{at}");
        lab.assert_tidy();
        let check = lab.cv(&["check", "--read-data"]);
        assert_eq!(check.code, 0, "{at}: {check}");
        assert_sealed(&lab);
    }
}
