//! The program where there is little: no terminal, no home, odd umasks, few open files, no room for
//! temporary files. It works or says why, asks nobody, and comes to an end.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::env::{Run, TestEnv};
use crate::play::{Play, gateway_profile};
use crate::simulator::{Device, Simulator};

fn profile() -> String {
    gateway_profile("logout = [\"exit\"]", "")
}

fn fleet(count: usize) -> Simulator {
    let name = |i| format!("gw-{i}");
    let device = |i| Device::new(Play::gateway(&name(i), &format!("hostname {}\nend\n", name(i))));
    Simulator::start((0..count).map(|i| (name(i), device(i))).collect::<HashMap<_, _>>())
}

/// The program, started by a shell that sets its surroundings, without a terminal and with no other variable
/// than these.
fn run(env: &TestEnv, shell: &str, variables: &[(&str, &str)], args: &[&str]) -> Run {
    let mut command = Command::new("setsid");
    command.args(["--wait", "sh", "-c", &format!("{shell}\nexec \"$0\" \"$@\"")]).arg(env!("CARGO_BIN_EXE_confvault")).args(args);
    command.current_dir(env.path("")).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PW", "lab");
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    let begun = Instant::now();
    let run = env.ended(command.output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(120), "{args:?} took {:?}", begun.elapsed());
    assert!(!run.stderr.contains("panicked"), "{args:?}: {run}");
    run
}

/// From nothing to a fleet that is kept and looked at.
fn job(simulator: &Simulator, count: usize, shell: &str, variables: &[(&str, &str)]) -> TestEnv {
    let env = TestEnv::new();
    run(&env, shell, variables, &["init", "--collector", "central", "--no-sealing"]).succeeded();
    env.write("profiles/lab.toml", format!("name = \"lab\"\n{}", profile()));
    let list: String = (0..count).map(|i| format!("gw-{i},ssh://gw-{i}@{},lab\n", simulator.address)).collect();
    env.write("fleet.csv", format!("name,source,profile\n{list}"));
    run(&env, shell, variables, &["device", "import", "fleet.csv", "--credential", "env:PW"]).succeeded();
    run(&env, shell, variables, &["device", "trust", "--all", "--accept-new"]).succeeded();
    let taken = run(&env, shell, variables, &["-v", "snapshot", "--jobs", "40"]);
    assert!(!taken.stderr.contains("another follows"), "a device could not be begun at once: {taken}");
    assert!(taken.stderr.contains(&format!("{count} new, 0 unchanged, 0 failed")), "{taken}");
    for args in [
        &["device", "test", "gw-0"][..],
        &["snapshot"],
        &["log", "gw-0"],
        &["show", "gw-0", "running-config"],
        &["diff", "gw-0", "now"],
        &["restore", "gw-0", "--to", "out"],
        &["journal"],
        &["check", "--read-data"],
        &["maintain"],
    ] {
        run(&env, shell, variables, args).succeeded();
    }
    // What needs somebody who answers says so.
    env.cv(&["device", "set", "gw-0", "--credential", "store"]).succeeded();
    let asked = run(&env, shell, variables, &["credential", "set", "gw-0"]);
    assert_ne!(asked.code, 0, "{asked}");
    let missing = run(&env, shell, variables, &["snapshot", "gw-0"]).failed(3);
    assert!(missing.contains("confvault credential set gw-0"), "{missing}");
    env
}

#[test]
fn without_terminal_home_and_variables() {
    job(&fleet(4), 4, "", &[]);
    job(&fleet(4), 4, "", &[("LANG", "C"), ("LC_ALL", "C"), ("HOME", ""), ("TERM", "")]);
    job(&fleet(4), 4, "", &[("LANG", "de_DE.ISO-8859-1"), ("HOME", "/nonexistent/home"), ("TERM", "xterm")]);
}

/// Modes of all files and folders, by path.
fn modes(folder: &Path, found: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        found.push((entry.path().display().to_string(), meta.permissions().mode() & 0o7777));
        if meta.is_dir() {
            modes(&entry.path(), found);
        }
    }
}

#[test]
fn under_any_umask() {
    for umask in ["000", "077"] {
        let env = job(&fleet(4), 4, &format!("umask {umask}"), &[]);
        let set = env.path("secret");
        fs::write(&set, "lab\n").unwrap();
        run(&env, &format!("umask {umask}; exec < secret"), &[], &["credential", "set", "gw-0"]).succeeded();
        let mut found = Vec::new();
        modes(&env.path("store.git"), &mut found);
        modes(&env.path("keys"), &mut found);
        modes(&env.path("credentials"), &mut found);
        assert!(found.len() > 10);
        for (path, mode) in &found {
            assert_eq!(mode & 0o022, 0, "umask {umask}: {path} has {mode:04o}");
            if path.contains("/keys/") || path.contains("/credentials/") {
                assert_eq!(mode & 0o077, 0, "umask {umask}: {path} has {mode:04o}");
            }
        }
        let pins = fs::metadata(env.path("known_hosts")).unwrap().permissions().mode();
        assert_eq!(pins & 0o022, 0, "umask {umask}: known_hosts has {pins:04o}");
    }
}

#[test]
fn with_sixty_four_open_files() {
    // Neither limit can be raised: forty at a time is more than fit.
    job(&fleet(48), 48, "ulimit -n 64", &[]);
    // Here the program may take what it needs.
    job(&fleet(48), 48, "ulimit -S -n 64", &[]);
}

#[test]
fn without_room_for_temporary_files() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let full = place.path().join("full");
    fs::create_dir(&full).unwrap();
    let text = full.display().to_string();
    // In a namespace of its own; the folder has no byte and no name left.
    let shell = format!(
        "[ -n \"$IN\" ] || IN=1 exec unshare -m sh -c 'mount -t tmpfs -o size=4k,nr_inodes=3 none {text}; head -c 9000 /dev/zero > {text}/x 2>/dev/null; touch {text}/y 2>/dev/null; \
         TMPDIR={text} exec \"$0\" \"$@\"' \"$0\" \"$@\""
    );
    job(&fleet(4), 4, &shell, &[("TMPDIR", &text)]);
}
