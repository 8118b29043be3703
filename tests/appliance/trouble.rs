//! Refusals, cut connections, restarts and kills at every step: the device ends as before or as the point, or the error says
//! what stands where and one command takes it back.

use std::sync::atomic::{AtomicI32, Ordering};

use crate::ios::{Ios, body};
use crate::junos::Junos;
use crate::lab::{BROKEN, CHANGED, GATEWAY, Lab, ROUTER};
use crate::live::{Family, Trouble};

/// How a device can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Point,
    Between,
}

trait Device: Family + Sized {
    fn lab() -> Lab<Self>;
    /// Somebody changes the device again, as it was when the restore began.
    fn again(lab: &Lab<Self>);
    fn state(lab: &Lab<Self>) -> State;
}

impl Device for Ios {
    fn lab() -> Lab<Self> {
        Lab::<Self>::small()
    }
    fn again(lab: &Lab<Self>) {
        lab.broken();
        lab.live.world().family.flash.clear();
    }
    fn state(lab: &Lab<Self>) -> State {
        let ios = &lab.live.world().family;
        match (&ios.running, &ios.startup) {
            (running, startup) if *running == body(GATEWAY) && *startup == body(GATEWAY) => State::Point,
            (running, startup) if *running == body(BROKEN) && *startup == body(BROKEN) => State::Before,
            _ => State::Between,
        }
    }
}

impl Device for Junos {
    fn lab() -> Lab<Self> {
        Lab::<Self>::small()
    }
    fn again(lab: &Lab<Self>) {
        let junos = &mut lab.live.world().family;
        junos.set(CHANGED);
        junos.files.clear();
    }
    fn state(lab: &Lab<Self>) -> State {
        while lab.live.world().family.works() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let junos = &mut lab.live.world().family;
        // What waits to be confirmed is neither.
        match (junos.waits(), junos.active()) {
            (false, ROUTER) => State::Point,
            (false, CHANGED) => State::Before,
            _ => State::Between,
        }
    }
}

/// Some threads share the steps, each with a device of its own: most of the time is waited.
const WORKERS: usize = 4;

/// Does something at every step from a first one on, each time with a device as it was.
fn at_steps<D: Device>(from_first_file: bool, work: impl Fn(&Lab<D>, usize, &[String]) + Sync) {
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let work = &work;
            scope.spawn(move || {
                let lab = D::lab();
                let steps = lab.steps();
                assert_eq!(D::state(&lab), State::Point);
                assert!(steps.len() > 15, "{steps:?}");
                let first = steps.iter().position(|step| step.starts_with("put ")).unwrap();
                for at in (if from_first_file { first } else { 0 }..steps.len()).filter(|at| at % WORKERS == worker) {
                    D::again(&lab);
                    work(&lab, at, &steps);
                }
            });
        }
    });
}

fn every_step<D: Device>(trouble: Trouble) {
    // What goes wrong before the device is touched goes wrong in one way.
    let late = !matches!(trouble, Trouble::Refuse | Trouble::CutInside);
    let (before, point) = (AtomicI32::new(0), AtomicI32::new(0));
    at_steps::<D>(late, |lab, at, steps| {
        lab.live.world().arm(at, trouble);
        let run = lab.restore(&[]);
        let struck = lab.live.world().struck.clone();
        lab.live.world().disarm();
        let told = format!("{trouble:?} at {at} ({}): {run}", steps[at]);
        assert_eq!(struck.as_deref(), Some(&*steps[at]), "{told}");
        let state = D::state(lab);
        if state == State::Before { &before } else { &point }.fetch_add(1, Ordering::SeqCst);
        match (run.code, state) {
            (_, State::Between) => panic!("{told}"),
            (0, state) => assert_eq!(state, State::Point, "{told}"),
            // Behind the restore itself: the snapshot after it, or what was sent is not taken away.
            (3, state) => assert_eq!(state, State::Point, "{told}"),
            (_, state) => assert_eq!(state, State::Before, "{told}"),
        }
        // Nothing is left to be taken up.
        let left = lab.cv(&["restore", "--undo"]);
        assert!(left.code == 1 && left.stderr.contains("No restore is unfinished"), "{told}\n{left}");
    });
    let (before, point) = (before.into_inner(), point.into_inner());
    println!("{trouble:?}: {before} times as before, {point} times as the point");
    assert!(before > 0 && point > 0, "{before} {point}");
}

#[test]
fn a_gateway_that_refuses() {
    every_step::<Ios>(Trouble::Refuse);
}

#[test]
fn a_gateway_that_goes_before() {
    every_step::<Ios>(Trouble::CutBefore);
}

#[test]
fn a_gateway_that_goes_in_the_middle() {
    every_step::<Ios>(Trouble::CutInside);
}

#[test]
fn a_gateway_that_goes_after() {
    every_step::<Ios>(Trouble::CutAfter);
}

#[test]
fn a_gateway_that_restarts_before() {
    every_step::<Ios>(Trouble::RestartBefore);
}

#[test]
fn a_gateway_that_restarts_after() {
    every_step::<Ios>(Trouble::RestartAfter);
}

#[test]
fn a_router_that_refuses() {
    every_step::<Junos>(Trouble::Refuse);
}

#[test]
fn a_router_that_goes() {
    for trouble in [Trouble::CutBefore, Trouble::CutInside, Trouble::CutAfter] {
        every_step::<Junos>(trouble);
    }
}

#[test]
fn a_router_that_restarts() {
    for trouble in [Trouble::RestartBefore, Trouble::RestartAfter] {
        every_step::<Junos>(trouble);
    }
}

/// The process is killed at every step; one command finishes the restore, or takes it back.
fn killed<D: Device>(command: &str, ends: State) {
    at_steps::<D>(false, |lab, at, steps| {
        let child = lab.begin_killed(at);
        let run = lab.env.ended(child.wait_with_output().unwrap());
        lab.live.world().disarm();
        let told = format!("killed at {at} ({}): {run}", steps[at]);
        assert_eq!(run.code, -1, "{told}");
        let before = D::state(lab);
        let run = lab.cv(&["restore", command, "--wait", "30"]);
        match run.code {
            0 => assert_eq!(D::state(lab), ends, "{told}\n{run}"),
            // It was killed before it was begun, or when it had ended.
            1 => {
                assert!(run.stderr.contains("No restore is unfinished"), "{told}\n{run}");
                assert!(before == D::state(lab) && before != State::Between, "{told}");
            }
            _ => panic!("{told}\n{run}"),
        }
        // A restore that was killed before it was begun has its change open still.
        for change in lab.cv(&["change", "list", "--json"]).json()["changes"].as_array().unwrap() {
            drop(lab.cv(&["change", "abort", change["change"].as_str().unwrap()]));
        }
    });
}

#[test]
fn a_killed_restore_of_a_gateway_is_finished() {
    killed::<Ios>("--resume", State::Point);
}

#[test]
fn a_killed_restore_of_a_gateway_is_taken_back() {
    killed::<Ios>("--undo", State::Before);
}

#[test]
fn a_killed_restore_of_a_router_is_finished() {
    killed::<Junos>("--resume", State::Point);
}

#[test]
fn a_killed_restore_of_a_router_is_taken_back() {
    killed::<Junos>("--undo", State::Before);
}
