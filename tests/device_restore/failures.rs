//! What fails takes the device back; what must not be done is not begun.

use std::fs;

use crate::lab::{CANARY, Lab};
use crate::pty::Terminal;

/// Checks that a restore failed with these words, that the device stands as before, and that nothing is left.
#[track_caller]
fn went_back(lab: &Lab, run: &crate::env::Run, words: &[&str]) {
    assert_eq!(run.code, 1, "{run}");
    for word in words {
        assert!(run.stderr.contains(word), "{word}: {run}");
    }
    assert!(!format!("{run}").contains(CANARY), "a secret is shown: {run}");
    assert_eq!(lab.tree(), lab.broken, "{run}");
    lab.assert_tidy();
}

#[test]
fn a_check_that_fails_leaves_everything_as_it_was_and_says_why_without_a_secret() {
    // The check says what it read, as some programs do.
    let check = "[[restore.check]]\nrun = \"cat {root}/main.conf; grep password {root}/main.conf | sed 's/^/line 4: bad setting /' >&2; false\"\n";
    let lab = Lab::new(&format!("{check}[[restore.apply]]\nrun = \"touch ../applied\"\n"));
    let run = lab.restore(&["--ticket", "T-1"]);
    went_back(&lab, &run, &["Device pbx was taken back", "exit status 1", "line 4: bad setting password=[secret]"]);
    assert!(!lab.env.path("applied").exists(), "something became active");
    assert_eq!(lab.outcomes(), ["begun", "went-back"]);
    let change = lab.cv(&["change", "show", "T-1", "--json"]).json();
    assert_eq!(change["state"], "aborted");
    assert!(change["note"].as_str().unwrap().starts_with("went back: "), "{change}");
}

#[test]
fn who_names_only_the_device_after_a_restore_that_went_back_is_told_what_that_is() {
    let lab = Lab::new("[[restore.check]]\nrun = \"false\"\n");
    let device = |more: &[&str]| lab.cv(&[&["restore", "pbx", "--device", "--wait", "3"], more].concat());
    let run = device(&["--yes"]);
    let hint = "hint: once that is mended: `confvault restore pbx@1 --device`; pbx alone is what stands there now\n";
    went_back(&lab, &run, &["Device pbx was taken back", hint]);
    let says = "warning: nothing differs: pbx@2 is the newest generation of pbx and what stands on pbx; the generation before it is pbx@1";
    for more in [&["--yes"][..], &["--plan"]] {
        let again = device(more);
        assert!(again.code == 0 && again.stderr.contains(says), "{again}");
    }
    assert_eq!(device(&["--plan", "--json"]).json()["plan"]["generation_before"], 1);
    // Who names a generation knows which one it is.
    let named = lab.cv(&["restore", "pbx@2", "--device", "--plan"]);
    assert!(named.code == 0 && !named.stderr.contains("warning"), "{named}");
    assert_eq!(lab.tree(), lab.broken);
}

#[test]
fn a_program_that_is_not_there_is_in_the_plan() {
    let lab = Lab::new(
        "[[restore.check]]\nrun = \"no-such-checker -c {root}/main.conf\"\n[[restore.apply]]\nrun = \"no-such-checker reload\"\n\
         [[restore.apply]]\nrun = \"test -e {root}/main.conf\"\n[[restore.apply]]\nrun = \"X=1 no-such-either\"\n",
    );
    let plan = lab.cv(&["restore", "pbx@1", "--device", "--plan"]);
    assert_eq!(plan.text().matches("needs ").count(), 1, "{plan}");
    let needs =
        "needs    no-such-checker    it is not on the PATH of this machine, where `no-such-checker -c {root}/main.conf` runs\n";
    assert!(plan.text().contains(needs), "{plan}");
    // It is not begun: what runs behind the files would be missed when they were moved already.
    let before = lab.tree();
    let run = lab.restore(&[]);
    let refused =
        "error: Program is not on the PATH of this machine: no-such-checker, where `no-such-checker -c {root}/main.conf` runs";
    assert!(run.code == 1 && run.stderr.contains(refused) && run.stderr.contains("hint: install it here"), "{run}");
    assert_eq!(lab.tree(), before);
    assert!(!lab.cv(&["log", "pbx", "--json"]).text().contains("\"pre\""), "a restore was begun");
}

#[test]
fn all_that_a_check_says_is_shown_when_more_is_asked_for() {
    let check =
        "[[restore.check]]\nrun = \"for n in 1 2 3 4 5; do echo error $n; done; grep password {root}/main.conf; false\"\n";
    let lab = Lab::new(check);
    let run = lab.restore(&[]);
    went_back(&lab, &run, &["which said: error 1", "hint: `restore -v` shows all that the command says"]);
    assert!(!run.stderr.contains("error 2"), "{run}");
    let run = lab.restore(&["-v"]);
    went_back(&lab, &run, &["said: error 2\n", "said: error 5\n", "said: password=[secret]\n"]);
}

#[test]
fn a_command_that_fails_takes_the_files_back_and_runs_again_with_the_old_ones() {
    let apply = "[[restore.apply]]\nrun = \"cat {root}/main.conf >> ../applied; grep -q 5061 {root}/main.conf\"\n";
    let lab = Lab::new(apply);
    let run = lab.restore(&[]);
    went_back(&lab, &run, &["Command failed with exit status 1"]);
    let applied = lab.env.read("applied");
    assert!(applied.find("port=5060") < applied.find("port=5061"), "{applied}");
}

#[test]
fn a_command_that_fails_both_ways_is_told_and_the_files_are_as_before() {
    let lab = Lab::new("[[restore.apply]]\nrun = \"echo unable to reload >&2; false\"\n");
    let run = lab.restore(&[]);
    went_back(&lab, &run, &["Device pbx has its files as before, and a command failed", "unable to reload"]);
    assert_eq!(run.stderr.matches("hint: `restore -v`").count(), 1, "{run}");
}

#[test]
fn a_device_that_writes_its_own_files_is_found_out() {
    let apply = "[[restore.apply]]\nrun = \"grep -q 5060 {root}/main.conf && echo x=1 >> {root}/same2.conf; echo y >> {root}/gone.conf; true\"\n";
    let lab = Lab::new(apply);
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Device is not as it should be after the restore, 1 differ, the first: gone.conf"), "{run}");
    // It does so on the way back, too: the record stays, and what stands where is told.
    assert!(run.stderr.contains("could not be taken back") && run.stderr.contains("restore --undo pbx"), "{run}");
    let text = run.text();
    assert!(text.contains("gone.conf          as neither before nor at the point"), "{text}");
    assert!(text.contains("main.conf          as before"), "{text}");
    assert_eq!(lab.outcomes(), ["begun", "stuck"]);
    let snapshot = lab.cv(&["snapshot"]);
    assert!(snapshot.stderr.contains("a restore of pbx did not end: `confvault restore --undo pbx`"), "{snapshot}");
    let refused = lab.restore(&[]);
    assert!(refused.code == 1 && refused.stderr.contains("A restore of the device did not end: pbx"), "{refused}");
    // Once the device behaves, one command goes back.
    let profile = lab.env.read("store/profiles/pb.toml").replace("echo y >> {root}/gone.conf; ", "");
    lab.env.write("store/profiles/pb.toml", profile);
    let undone = lab.cv(&["restore", "--undo", "--wait", "3"]);
    assert_eq!(undone.code, 0, "{undone}");
    let mut tree = lab.tree();
    assert!(tree.remove("same2.conf").is_some(), "it is no part of the restore");
    assert_eq!(tree, lab.broken);
    assert_eq!(lab.outcomes(), ["begun", "stuck", "went-back"]);
}

#[test]
fn a_disk_that_fails_once_takes_the_device_back_or_nothing_is_begun() {
    let lab = Lab::new("[[restore.apply]]\nrun = \"true\"\n");
    let trace = lab.env.path("trace");
    let counted = lab.copy();
    let counted = counted.env.run(counted.restore_command(&[]).env("CONFVAULT_FAULT", format!("count:{}", trace.display())));
    assert_eq!(counted.code, 0, "{counted}");
    let steps: Vec<String> = fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect();
    let of_device = |step: &String| step.contains("/pbx/") && !step.contains("/restores/");
    let chosen: Vec<usize> = (1..=steps.len()).filter(|n| of_device(&steps[n - 1])).collect();
    assert!(chosen.len() > 20, "{}", chosen.len());
    for n in chosen {
        for fault in ["eio", "short"] {
            let at = format!("{fault} at {}", steps[n - 1]);
            let lab = lab.copy();
            let run = lab.env.run(lab.restore_command(&[]).env("CONFVAULT_FAULT", format!("{fault}:{n}")));
            // Half of a write is only for writes.
            if fault == "short" && !(steps[n - 1].starts_with("Write") && steps[n - 1].contains(".confvault")) {
                assert_eq!(run.code, 0, "{at}: {run}");
                continue;
            }
            assert_eq!(run.code, 1, "{at}: {run}");
            assert_eq!(lab.tree(), lab.broken, "{at}: {run}");
            lab.assert_tidy();
        }
    }
}

#[test]
fn without_an_identity_nothing_is_begun_and_the_plan_is_there_all_the_same() {
    let lab = Lab::new("");
    let without = |args: &[&str]| lab.env.run(lab.command(args).env_remove("CONFVAULT_IDENTITY"));
    let plan = without(&["restore", "pbx@1", "--device", "--plan"]);
    let words = plan.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let needs =
        "needs an identity 2 entries at the point are sealed or with secrets, and what stands on the device is kept sealed";
    assert!(plan.code == 1 && words.contains(needs), "{plan}");
    for line in ["cannot a check before anything becomes active", "cannot making it active"] {
        assert!(words.contains(line), "{plan}");
    }
    let plan = without(&["restore", "pbx@1", "gone.conf", "--device", "--plan", "--json"]).json();
    assert_eq!(plan["plan"]["needs"][0]["what"], "an identity");
    // Nobody is asked a question that leads nowhere.
    let mut asking = lab.command(&["restore", "pbx@1", "--device"]);
    let (code, text) = Terminal::start(asking.env_remove("CONFVAULT_IDENTITY")).end();
    assert!(code == 12 && text.contains("An identity is needed") && !text.contains("[yes/no]"), "{text}");
    let run = without(&["restore", "pbx@1", "--device", "--yes"]);
    assert_eq!(run.code, 12, "{run}");
    assert_eq!(lab.tree(), lab.broken);
    assert!(lab.outcomes().is_empty());
    // Also for what is in clear: the way back is sealed.
    let run = without(&["restore", "pbx@1", "gone.conf", "--device", "--yes"]);
    assert_eq!(run.code, 12, "{run}");
}

#[test]
fn nothing_is_asked_without_a_terminal_and_only_yes_is_yes() {
    let lab = Lab::new("");
    let run = lab.cv(&["restore", "pbx@1", "--device"]);
    assert!(run.code == 2 && run.stderr.contains("Nothing is asked without a terminal, and nothing was done"), "{run}");
    for (answer, code) in [("y", 1), ("no", 1), ("", 1), ("yes", 0)] {
        let mut terminal = Terminal::start(&lab.command(&["restore", "pbx@1", "--device", "--wait", "1"]));
        terminal.expect("[yes/no]");
        terminal.types(answer);
        let (ended, text) = terminal.end();
        assert_eq!(ended, code, "{answer:?}: {text}");
        let wanted = if code == 0 { lab.point() } else { lab.broken.clone() };
        assert_eq!(lab.tree(), wanted, "{answer:?}");
    }
}

#[test]
fn what_changed_since_the_plan_was_shown_is_not_written_over() {
    let lab = Lab::new("");
    let file = lab.env.path("pbx/main.conf");
    let mut terminal = Terminal::start(&lab.command(&["restore", "pbx@1", "--device"]));
    terminal.expect("[yes/no]");
    fs::write(&file, "[general]\nport=7\n").unwrap();
    terminal.types("yes");
    let (code, text) = terminal.end();
    assert!(code == 1 && text.contains("Device changed since the plan was shown"), "{text}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "[general]\nport=7\n");
    lab.assert_tidy();
    assert_eq!(lab.outcomes(), ["begun", "failed"]);
}

#[test]
fn what_stands_in_the_way_is_named_and_nothing_is_done() {
    let lab = Lab::new("");
    fs::create_dir(lab.env.path("pbx/gone.conf")).unwrap();
    fs::write(lab.env.path("pbx/deep"), "a file").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(lab.env.path("pbx/main.conf2")).status().unwrap().success());
    fs::remove_file(lab.env.path("pbx/users.db")).unwrap();
    fs::rename(lab.env.path("pbx/main.conf2"), lab.env.path("pbx/users.db")).unwrap();
    let before = lab.tree();
    let plan = lab.cv(&["restore", "pbx@1", "--device", "--plan"]).text();
    for line in
        ["blocked  deep", "a file: a folder belongs there", "blocked  gone.conf", "a folder: a file belongs there", "a FIFO"]
    {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    let run = lab.restore(&[]);
    assert!(run.code == 1 && run.stderr.contains("In the way stands a file, 3 in all: deep"), "{run}");
    assert_eq!(lab.tree(), before);
    // The rest can be chosen.
    let run = lab.restore(&["main.conf"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree()["main.conf"], lab.good["main.conf"]);
}

#[test]
fn two_at_a_time_are_refused() {
    let lab = Lab::new("[[restore.apply]]\nrun = \"touch ../applying; while [ ! -e ../go ]; do sleep 0.1; done\"\n");
    let mut first =
        lab.restore_command(&[]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    while !lab.env.path("applying").exists() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for args in [&["restore", "pbx@1", "--device", "--yes"][..], &["restore", "--undo"], &["restore", "--resume", "pbx"]] {
        let run = lab.cv(args);
        assert!(run.code == 11 && run.stderr.contains("Another process puts a set back to the device: pbx"), "{run}");
    }
    fs::write(lab.env.path("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(lab.tree(), lab.point());
    lab.assert_tidy();
}

#[test]
fn an_interrupt_takes_the_device_back() {
    let lab = Lab::new("[[restore.apply]]\nrun = \"grep -q 5061 {root}/main.conf || { touch ../applying; sleep 120; }\"\n");
    let first =
        lab.restore_command(&[]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !lab.env.path("applying").exists() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&first), rustix::process::Signal::INT).unwrap();
    let run = lab.env.ended(first.wait_with_output().unwrap());
    went_back(&lab, &run, &["Stopped before it was done"]);
}
