//! A gateway of Cisco's: `configure replace`.

use crate::ios::{Ios, body};
use crate::lab::{BROKEN, GATEWAY, Lab};

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
        let run =
            lab.env.run(lab.env.command(&[&["restore", "gw@1", "--device", "--yes"][..], &args[..]].concat()).env("PW", "lab"));
        assert_eq!(run.code, code, "{run}");
        assert_eq!(state(&lab).0, body(running), "{run}");
        assert!(format!("{run}").contains("interfaces that are up"), "{run}");
    }
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
