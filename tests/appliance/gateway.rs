//! A gateway of Cisco's: `configure replace`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

use crate::ios::{Ios, body};
use crate::lab::{BROKEN, GATEWAY, Lab};
use crate::live::Trouble;

fn state(lab: &Lab<Ios>) -> (Vec<String>, Vec<String>) {
    let ios = &lab.live.world().family;
    (ios.running.clone(), ios.startup.clone())
}

#[test]
fn a_configuration_is_replaced_compared_and_saved() {
    let lab = Lab::gateway();
    let planned = lab.cv(&["restore", "gw@1", "--device", "--plan", "--json"]);
    assert_eq!(planned.code, 1, "{planned}");
    let plan = &planned.json()["plan"];
    assert_eq!(plan["items"].as_array().map(Vec::len), Some(1), "{plan}");
    assert!(lab.live.world().family.flash.is_empty());
    lab.live.world().done.clear();
    let run = lab.restore(&["--ticket", "CHG-1", "--why", "back to the old trunk"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(state(&lab), (body(GATEWAY), body(GATEWAY)));
    assert!(lab.live.world().family.flash.is_empty(), "what was sent was taken away again");
    // The way back goes up before what is put back, and nothing is saved before it was looked at.
    let done = lab.live.world().done.clone();
    let at = |what: &str| done.iter().position(|one| one == what).unwrap_or_else(|| panic!("{what}: {done:?}"));
    let back = at("put flash:confvault-restore-before.cfg");
    let put = at("put flash:confvault-restore.cfg");
    let replaced = at("configure replace flash:confvault-restore.cfg force");
    let saved = at("write memory");
    assert!(back < put && put < replaced && replaced < saved, "{done:?}");
    assert!(done[replaced..saved].iter().any(|one| one.starts_with("show running-config")), "{done:?}");
    assert!(done[saved..].iter().any(|one| one.starts_with("show running-config")), "{done:?}");
    let diff = lab.cv(&["diff", "gw@1", "@post/CHG-1", "running-config"]);
    assert_eq!(diff.code, 0, "{diff}");
    assert_eq!(lab.cv(&["diff", "gw@pre/CHG-1", "@post/CHG-1"]).code, 1);
    let record = lab.records("restore").remove(0);
    assert_eq!((&record["outcome"], &record["generation"]), (&"done".into(), &1.into()), "{record}");
    // No word of the configuration is in what was printed.
    assert!(!run.text().contains("$1$") && !run.stderr.contains("$1$"), "{run}");
    let again = lab.restore(&[]);
    assert_eq!(again.code, 0, "{again}");
}

#[test]
fn a_configuration_that_the_device_does_not_take_whole_leads_back() {
    let lab = Lab::new(Ios::new(&GATEWAY.replace("dial-peer", "bogus-peer CANARY")), "cisco-ios", None);
    // The line was one that the device knew when the generation was taken.
    lab.broken();
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(state(&lab), (body(BROKEN), body(BROKEN)));
    assert!(lab.live.world().family.flash.is_empty());
    assert!(run.text().contains("stands as before the restore, as compared"), "{run}");
    assert!(run.stderr.contains("was taken back, as a step failed") && !run.stderr.contains("CANARY"), "{run}");
    assert_eq!(lab.records("restore")[0]["outcome"], "went-back");
}

#[test]
fn a_gateway_that_takes_no_files_is_left_as_it_is_and_says_why() {
    let lab = Lab::gateway();
    lab.live.world().family.set(&BROKEN.replace("ip scp server enable\n", ""));
    let before = state(&lab);
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Administratively disabled"), "{run}");
    assert!(run.stderr.contains("hint: ") && run.stderr.contains("ip scp server enable"), "{run}");
    assert_eq!(state(&lab), before);
}

#[test]
fn a_point_that_closes_the_way_up_can_still_be_taken_back() {
    // At the point the device takes no files: what is needed for the way back is there before.
    let closed = GATEWAY.replace("ip scp server enable\n", "bogus\n");
    let lab = Lab::new(Ios::new(&closed), "cisco-ios", None);
    lab.broken();
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(state(&lab), (body(BROKEN), body(BROKEN)));
}

#[test]
fn health_that_does_not_come_back_is_told_or_leads_back() {
    let down = GATEWAY.replace(" ip address 198.51.100.1 255.255.255.0\n", " shutdown\n");
    for (more, code, running) in [(&[][..], 3, &down[..]), (&["--require-health"][..], 1, BROKEN)] {
        let lab = Lab::new(Ios::new(&down), "cisco-ios", None);
        lab.broken();
        let args: Vec<&str> = ["--wait", "1"].iter().chain(more).copied().collect();
        let run = lab.cv(&[&["restore", "gw@1", "--device", "--yes"][..], &args[..]].concat());
        assert_eq!(run.code, code, "{run}");
        assert_eq!(state(&lab).0, body(running), "{run}");
        assert!(format!("{run}").contains("interfaces that are up"), "{run}");
    }
}

#[test]
fn an_interrupt_while_the_health_is_waited_for_takes_the_device_back() {
    let down = GATEWAY.replace(" ip address 198.51.100.1 255.255.255.0\n", " shutdown\n");
    let lab = Lab::new(Ios::new(&down), "cisco-ios", None);
    lab.broken();
    let mut command = lab.command(&["restore", "gw@1", "--device", "--yes", "--wait", "60"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Waiting for the health") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended before");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("Stopped before it was done"), "{rest}");
    assert_eq!(state(&lab).0, body(BROKEN), "{rest}");
}

#[test]
fn another_release_is_refused_and_a_replacement_is_put_back_across_them() {
    let lab = Lab::gateway();
    lab.live.world().family.release = "15.9(1)";
    let refused = lab.restore(&[]);
    assert_eq!(refused.code, 1, "{refused}");
    assert_eq!(state(&lab).0, body(BROKEN));
    let across = lab.restore(&["--across-releases"]);
    assert_eq!(across.code, 0, "{across}");
    assert_eq!(state(&lab).0, body(GATEWAY));
}

/// A running restore of a gateway that is away when it should be taken back.
fn stuck(lab: &Lab<Ios>) -> crate::env::Run {
    let replace = "configure replace flash:confvault-restore.cfg force";
    let at = lab.steps().iter().position(|step| step == replace).unwrap();
    lab.broken();
    lab.live.world().arm(at, Trouble::CutInside);
    lab.live.world().down_for = Some(Duration::from_secs(600));
    let run = lab.cv(&["restore", "gw@1", "--device", "--yes", "--wait", "1"]);
    lab.live.world().disarm();
    run
}

#[test]
fn a_device_that_stays_away_is_called_between_and_one_command_takes_it_back() {
    let lab = Lab::<Ios>::small();
    let run = stuck(&lab);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.text().contains("gw  stands between") && run.text().contains("not known: it was about to change"), "{run}");
    assert!(run.stderr.contains("could not be taken back") && run.stderr.contains("confvault restore --undo gw"), "{run}");
    assert_ne!(state(&lab).0, body(BROKEN));
    // Nothing of the configuration lies in clear on this machine, and the way back on the device.
    let restores = lab.env.path("restores/gw");
    let mut kept = 0;
    for entry in std::fs::read_dir(restores.join("back")).unwrap().chain(std::fs::read_dir(&restores).unwrap()) {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(12).any(|at| at == b"dial-peer vo" || at == b"$1$cccc$dddd"), "{}", path.display());
        kept += usize::from(bytes.starts_with(b"age-encryption.org/v1"));
    }
    assert_eq!(kept, 1);
    let away = lab.cv(&["restore", "--undo", "--wait", "1"]);
    assert_eq!(away.code, 1, "{away}");
    lab.live.world().comes_back();
    // Another restore is not begun over it.
    assert!(lab.restore(&[]).stderr.contains("A restore of the device did not end"));
    let no_identity = lab.env.run(lab.env.command(&["restore", "--undo"]).env("PW", "lab"));
    assert_eq!(no_identity.code, 12, "{no_identity}");
    let back = lab.cv(&["restore", "--undo"]);
    assert_eq!(back.code, 0, "{back}");
    assert_eq!(state(&lab), (body(BROKEN), body(BROKEN)));
    assert!(lab.live.world().family.flash.is_empty() && !restores.exists());
}

#[test]
fn a_device_that_stays_away_can_be_finished_too() {
    let lab = Lab::<Ios>::small();
    assert_eq!(stuck(&lab).code, 1);
    lab.live.world().comes_back();
    let done = lab.cv(&["restore", "--resume", "gw"]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(state(&lab), (body(GATEWAY), body(GATEWAY)));
}

#[test]
fn without_an_identity_nothing_is_begun() {
    let lab = Lab::gateway();
    lab.live.world().done.clear();
    let mut command = lab.env.command(&["restore", "gw@1", "--device", "--yes"]);
    let run = lab.env.run(command.env("PW", "lab"));
    assert_eq!(run.code, 12, "{run}");
    assert_eq!(state(&lab).0, body(BROKEN));
    assert!(!lab.live.world().done.iter().any(|step| step.starts_with("put ") || step.starts_with("conf")));
}

#[test]
fn a_point_whose_volatile_lines_were_others_is_compared_by_those_of_today() {
    let lab = Lab::<Ios>::small();
    let own = lab.env.read("profiles/small.toml");
    lab.env.write("profiles/small.toml", format!("{own}\n[[volatile]]\nregex = '^! never seen before'\n"));
    let run = lab.restore(&[]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(state(&lab), (body(GATEWAY), body(GATEWAY)));
}

#[test]
fn what_another_program_put_before_a_configuration_is_not_sent() {
    let lab = Lab::gateway();
    let text = format!("Building configuration...\n\nCurrent configuration : 99 bytes\n{GATEWAY}");
    lab.env.write("handed/running-config", text);
    lab.env.write(
        "handed/show-version.txt",
        "Cisco IOS Software, C2900 Software (C2900-K9-M), Version 15.7(3)M6, RELEASE SOFTWARE (fc1)\n",
    );
    let tar = |args: &[&str]| std::process::Command::new("tar").args(args).current_dir(lab.env.path("")).status().unwrap();
    assert!(tar(&["-C", "handed", "-cf", "handed.tar", "."]).success());
    lab.cv(&["snapshot", "gw", "--from", "handed.tar", "--accept=from another program"]).succeeded();
    let run = lab.cv(&["restore", "gw@2", "--device", "--yes", "--wait", "2"]);
    assert_eq!(state(&lab).0, body(GATEWAY), "{run}");
}

#[test]
fn a_change_that_is_given_up_is_put_back() {
    let lab = Lab::<Ios>::small();
    lab.cv(&["change", "open", "gw", "--ticket", "CHG-9", "--why", "new trunk"]).succeeded();
    // Nothing of it was saved.
    lab.live.world().family.set(GATEWAY);
    let given_up = lab.cv(&["change", "abort", "CHG-9", "--restore", "--yes"]);
    assert_eq!(given_up.code, 0, "{given_up}");
    assert_eq!(state(&lab), (body(BROKEN), body(BROKEN)));
    let shown = lab.cv(&["change", "show", "CHG-9", "--json"]).json();
    assert_eq!(shown["state"], "aborted", "{shown}");
    let health = &shown["devices"][0]["health"][0];
    assert_eq!((&health["before"], &health["after"], &health["verdict"]), (&2.into(), &2.into(), &"well".into()), "{shown}");
}

#[test]
fn a_replaced_gateway_gets_what_the_old_one_had() {
    let lab = Lab::gateway();
    // Out of the box it has an address and takes files; the rest is to come.
    let fresh = "version 15.7\nhostname Router\n!\nusername gw privilege 15 secret 5 $1$eeee$ffffffffffffffffffffff\n!\nip scp server \
                 enable\n!\nline vty 0 4\n login local\nend\n";
    let replacement = crate::live::Live::start(Ios::new(fresh));
    let source = format!("ssh://gw@{}", replacement.address);
    let shown = lab.cv(&["device", "replace", "gw", "--source", &source, "--json"]).json();
    let key = shown["new"]["fingerprint"].as_str().unwrap();
    let taken = lab.cv(&["device", "replace", "gw", "--source", &source, "--fingerprint", key, "--why", "RMA 4711"]);
    assert_eq!(taken.code, 0, "{taken}");
    assert!(taken.stderr.contains("confvault restore gw@1 --device --plan"), "{taken}");
    let run = lab.restore(&["--why", "RMA 4711"]);
    assert_eq!(run.code, 0, "{run}");
    let ios = &replacement.world().family;
    assert_eq!((&ios.running, &ios.startup), (&body(GATEWAY), &body(GATEWAY)));
}
