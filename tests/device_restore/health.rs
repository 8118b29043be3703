//! The health of a device around a restore, counted on this machine and over a real sshd.

use std::fs;
use std::path::Path;

use crate::host::Host;
use crate::lab::{CANARY, Lab};

/// Two phones leave with the configuration of the point, and come back with the other one.
fn profile(beside: &Path) -> String {
    let phones = beside.join("phones").display().to_string();
    format!(
        "[[restore.apply]]\nrun = \"grep -q 5060 {{root}}/main.conf && echo 3 > {phones} || echo 5 > {phones}\"\n\
         [[health]]\nwhat = \"phones\"\nrun = \"echo noise 9 >&2; sed 's/^/phones: /' {phones}\"\nregex = 'phones: (?<value>\\d+)'\nat-least = 90\n\
         [[health]]\nwhat = \"cards\"\nrun = \"no-such-program\"\nregex = 'card'\n"
    )
}

/// Health that falls is told, and with `--require-health` the device is taken back.
fn falls(lab: &Lab, phones: &Path) {
    let run = lab.restore(&["--require-health"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Health of the device did not come back within 3 s: phones"), "{run}");
    assert!(run.text().contains("phones  5 -> 5"), "after it was taken back: {run}");
    assert_eq!((lab.tree(), fs::read_to_string(phones).unwrap().as_str()), (lab.broken.clone(), "5\n"), "{run}");
    lab.assert_tidy();
    let run = lab.restore(&["--json"]);
    assert_eq!(run.code, 3, "{run}");
    assert!(run.stderr.contains("the health of pbx is worse than before") && !format!("{run}").contains(CANARY), "{run}");
    let health = &run.json()["health"];
    assert_eq!((&health[0]["before"], &health[0]["after"]), (&5.into(), &3.into()), "{health}");
    assert_eq!((&health[0]["verdict"], &health[1]["verdict"]), (&"worse".into(), &"shown".into()), "{health}");
    assert!(health[1]["failed"].as_str().unwrap().contains("127"), "{health}");
    assert_eq!(lab.tree(), lab.point());
    lab.assert_tidy();
}

#[test]
fn a_folder_of_this_machine_is_asked_on_this_machine() {
    let beside = tempfile::tempdir().unwrap();
    let phones = beside.path().join("phones");
    fs::write(&phones, "5\n").unwrap();
    falls(&Lab::new(&profile(beside.path())), &phones);
}

#[test]
fn a_host_is_asked_over_its_login() {
    assert!(crate::sshd::available());
    let host = Host::start();
    let phones = host.sshd.path("home/phones");
    host.becomes(&profile(&host.sshd.path("home")));
    host.sshd.write("home/phones", "5\n");
    falls(&host.lab, &phones);
}

#[test]
fn what_is_not_known_cannot_be_required() {
    let unknown = "[[health]]\nwhat = \"phones\"\nrun = \"false\"\nregex = 'phone'\n";
    for (more, outcomes) in [("", &[][..]), (unknown, &["failed"])] {
        let lab = Lab::new(more);
        let run = lab.restore(&["--require-health"]);
        assert_eq!(run.code, 1, "{run}");
        assert!(run.stderr.contains("Nothing is known of the health of the device, so that none can be required: pbx"), "{run}");
        assert_eq!(lab.tree(), lab.broken, "{run}");
        lab.assert_tidy();
        assert_eq!(&lab.outcomes()[lab.outcomes().len() - outcomes.len()..], outcomes, "{run}");
        lab.restore(&[]).succeeded();
    }
}
