//! A router of Juniper's: candidate, check, commit that must be confirmed.

use std::time::{Duration, Instant};

use crate::junos::Junos;
use crate::lab::{CHANGED, Lab, ROUTER};

#[test]
fn a_configuration_is_checked_committed_compared_and_confirmed() {
    let lab = Lab::router();
    lab.live.world().done.clear();
    let run = lab.restore(&["--ticket", "CHG-1"]);
    assert_eq!(run.code, 0, "{run}");
    let world = &mut lab.live.world();
    assert_eq!(world.family.active(), ROUTER);
    assert!(!world.family.waits() && world.family.files.is_empty());
    let at = |what: &str| world.done.iter().position(|one| one == what).unwrap_or_else(|| panic!("{what}: {:?}", world.done));
    let (checked, applied, confirmed) = (at("commit check"), at("commit confirmed 10"), at("commit and-quit"));
    assert!(checked < applied && applied < confirmed, "{:?}", world.done);
    assert!(world.done[applied..confirmed].iter().any(|one| one.starts_with("show configuration")), "{:?}", world.done);
}

#[test]
fn what_does_not_check_never_becomes_active() {
    for wrong in ["    bogus;\n", "    dangling;\n"] {
        let lab = Lab::new(Junos::new(&ROUTER.replace("    host-name edge;\n", wrong)), "junos", None);
        lab.live.world().family.set(CHANGED);
        let before = lab.live.world().family.committed.len();
        let run = lab.restore(&[]);
        assert_eq!(run.code, 1, "{run}");
        let world = &mut lab.live.world();
        assert_eq!(world.family.active(), CHANGED);
        assert!(!world.done.iter().any(|one| one.starts_with("commit confirmed")), "{:?}", world.done);
        assert_eq!(world.family.committed.len(), before, "{wrong}");
    }
}

#[test]
fn a_killed_restore_is_taken_back_by_the_device_itself() {
    let lab = Lab::router();
    lab.live.world().family.minute = Duration::from_millis(100);
    // Killed between the commit and its confirmation, however fast it comes from the one to the other.
    let at = lab.steps().iter().position(|step| step.starts_with("commit confirmed")).unwrap();
    lab.live.world().family.set(CHANGED);
    let before = lab.live.world().family.committed.len();
    let child = lab.begin_killed(at);
    assert_eq!(lab.env.ended(child.wait_with_output().unwrap()).code, -1);
    let begun = Instant::now();
    while lab.live.world().family.waits() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not go back");
        std::thread::sleep(Duration::from_millis(10));
    }
    lab.live.world().disarm();
    assert_eq!(lab.live.world().family.active(), CHANGED);
    assert_eq!(lab.live.world().family.committed.len(), before + 2, "it was never active");
    // `rollback 1` would now be the wrong one; the way back is what was kept.
    let undone = lab.cv(&["restore", "--undo", "gw"]);
    assert_eq!(undone.code, 0, "{undone}");
    assert_eq!(lab.live.world().family.active(), CHANGED);
}

#[test]
fn a_commit_that_was_not_confirmed_in_time_is_not_called_done() {
    let lab = Lab::router();
    // The device goes back before the confirmation comes.
    lab.live.world().family.minute = Duration::from_nanos(1);
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!(lab.live.world().family.active(), CHANGED);
}

#[test]
fn a_configuration_that_somebody_else_has_locked_is_left_alone() {
    let lab = Lab::router();
    lab.live.world().family.locked_by_another(true);
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Device is busy: configure exclusive") && run.stderr.contains("hint: somebody"), "{run}");
    let world = &mut lab.live.world();
    assert_eq!(world.family.active(), CHANGED);
    assert!(!world.done.iter().any(|step| step.starts_with("load ")), "{:?}", world.done);
}
