//! How well a device is, before and after.

use crate::lab::{Lab, records};
use crate::play::{Exchange, Play};
use crate::simulator::{Device, Fault};

/// A gateway on which so many of two trunks are up; it knows no cards.
fn gateway(up: usize, calls: &str) -> Device {
    let mut play = Play::gateway("gw", "hostname gw\nend\n");
    let trunks: String = (0..5).map(|at| format!("trunk-{at} {}\n", if at < up { "up" } else { "down" })).collect();
    for (command, output) in [("show registrations", trunks), ("show calls", calls.to_owned())] {
        play.exchange.push(Exchange { command: command.into(), output, ..Exchange::default() });
    }
    Device::new(play)
}

#[test]
fn a_change_says_how_well_the_device_is_before_and_after() {
    let mut lab = Lab::new(gateway(5, "Total: 7\n"));
    lab.open_change();
    let shown = lab.cv(&["change", "show", "T"]).text();
    assert!(
        shown.contains("gw-1  registrations  5\ngw-1  calls          7\ngw-1  cards          not known (The device refused with"),
        "{shown}"
    );
    lab.becomes(gateway(3, "Total: 0\n"));
    let closed = lab.cv(&["change", "close", "T"]);
    assert_eq!(closed.code, 0, "{closed}");
    assert!(closed.text().contains("gw-1  registrations  5 -> 3\ngw-1  calls          7 -> 0\n"), "{closed}");
    assert!(!closed.stderr.contains("must come back"), "{closed}");
    let health = &lab.cv(&["change", "show", "T", "--json"]).json()["devices"][0]["health"];
    let verdicts: Vec<_> = health.as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["well", "shown", "shown"], "{health}");
    assert_eq!((&health[0]["before"], &health[0]["after"], &health[0]["at_least"]), (&5.into(), &3.into(), &60.into()));
}

#[test]
fn what_is_worse_is_told_and_the_change_is_closed() {
    let mut lab = Lab::new(gateway(5, "Total: 7\n"));
    lab.open_change();
    lab.becomes(gateway(2, "nothing\n"));
    let closed = lab.cv(&["change", "close", "T"]);
    assert_eq!(closed.code, 0, "{closed}");
    assert!(closed.stderr.contains("warning: gw-1: registrations: 5 -> 2, 60 % must come back\n"), "{closed}");
    assert!(closed.text().contains("gw-1  calls          7 -> not known (the answer has not what is looked for)"), "{closed}");
    assert_eq!(records(&lab.env, "change")[0]["outcome"], "closed");
}

#[test]
fn a_device_that_goes_silent_while_it_is_asked_is_worse_and_stops_nothing() {
    let mut lab = Lab::new(gateway(5, "Total: 7\n"));
    lab.open_change();
    lab.becomes(gateway(5, "Total: 7\n").fault(Fault::Cut("show calls")));
    let closed = lab.cv(&["change", "close", "T"]);
    assert_eq!(closed.code, 0, "{closed}");
    let text = closed.text();
    assert!(text.contains("registrations  5 -> 5\n"), "{text}");
    assert!(text.contains("calls          7 -> not known (The device closed the session"), "{text}");
    assert!(text.contains("cards          not known (the session was over before)"), "{text}");
}

#[test]
fn a_folder_has_no_health() {
    let env = crate::lab::two();
    env.cv(&["change", "open", "gw-1", "--ticket", "T", "--why", "w"]).succeeded();
    let shown = env.cv(&["change", "show", "T", "--json"]).json();
    assert_eq!(shown["devices"][0]["health"], serde_json::json!([]));
}
