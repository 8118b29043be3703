//! A device whose hardware was replaced.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use crate::lab::{Lab, number, records};
use crate::play::Play;
use crate::simulator::{Device, Fault, Simulator};

const OLD: &str = "hostname gw\ninterface Gi0/1\n description uplink to the core\n no shutdown\ndial-peer voice 1 voip\nend\n";

/// A gateway under a release.
fn gateway(release: &str, config: &str) -> Device {
    let mut play = Play::gateway("gw", config);
    let version = play.exchange.iter_mut().find(|exchange| exchange.command == "show version").unwrap();
    version.output = version.output.replace("15.7(3)M6", release);
    Device::new(play)
}

fn fingerprint(simulator: &Simulator) -> String {
    simulator.key.public_key().fingerprint(russh::keys::HashAlg::Sha256).to_string()
}

/// A gateway with one generation, and the box with another key that stands in its place.
fn replaced(box_: Device) -> (Lab, Simulator, String) {
    let lab = Lab::new(gateway("15.7(3)M6", OLD));
    lab.cv(&["snapshot"]).succeeded();
    let new = Simulator::start(HashMap::from([("gw".to_owned(), box_)]));
    let source = format!("ssh://gw@{}", new.address);
    (lab, new, source)
}

#[test]
fn without_its_key_a_replacement_is_only_shown() {
    let (lab, new, source) = replaced(gateway("15.7(3)M6", "hostname Router\nend\n"));
    let (pins, inventory) = (lab.env.read("known_hosts"), lab.env.read("confvault.toml"));
    let old = fingerprint(&lab.simulator);
    let shown = lab.cv(&["device", "replace", "gw-1", "--source", &source, "--json"]);
    let value = shown.json();
    assert_eq!((shown.code, &value["done"]), (0, &false.into()), "{shown}");
    assert_eq!((&value["old"]["keys"][0], &value["new"]["fingerprint"]), (&old.into(), &fingerprint(&new).into()));
    assert_eq!((&value["old"]["generation"], &value["old"]["release"]), (&1.into(), &"15.7(3)M6".into()));
    let wrong = lab.cv(&["device", "replace", "gw-1", "--source", &source, "--fingerprint", &fingerprint(&lab.simulator)]);
    let text = wrong.failed(1);
    assert!(text.starts_with("error: Replacement shows another host key: ssh-ed25519 SHA256:[KEY]\nhint: "), "{text}");
    assert_eq!((lab.env.read("known_hosts"), lab.env.read("confvault.toml")), (pins, inventory));
    assert_eq!(new.credentials(), 0, "a credential was sent");
    assert_eq!(records(&lab.env, "replace").len(), 0);
}

#[test]
fn a_replacement_of_another_release_begins_its_line_and_keeps_the_history() {
    let (lab, new, source) = replaced(gateway("15.9(1)", "hostname Router\nend\n"));
    let key = fingerprint(&new);
    let done = lab.cv(&["device", "replace", "gw-1", "--source", &source, "--fingerprint", &key, "--why", "RMA 4711"]);
    assert_eq!(done.code, 0, "{done}");
    assert!(done.text().contains("release     15.7(3)M6") && done.text().contains("->  15.9(1)"), "{done}");
    assert!(done.stderr.contains("confvault release diff gw-1 '15.7(3)M6' '15.9(1)'"), "{done}");
    assert!(done.stderr.contains("confvault restore gw-1@1 --device --across-releases --plan"), "{done}");
    // A set this small is refused of any device that was not replaced; here it is neither that nor unannounced.
    assert_eq!((number(&lab.env, "gw-1"), number(&lab.env, "gw-1:15.7(3)M6")), (2, 1));
    let shown = lab.cv(&["show", "gw-1", "--json"]).json();
    assert_eq!(
        (&shown["generation"]["kind"], &shown["generation"]["note"]),
        (&"release".into(), &"replacement: RMA 4711".into()),
        "{shown}"
    );
    let record = records(&lab.env, "replace").remove(0);
    assert_eq!((&record["generation"], &record["new_key"]), (&1.into(), &format!("ssh-ed25519 {key}").into()));
    assert_eq!((&record["old_keys"][0], &record["why"]), (&fingerprint(&lab.simulator).into(), &"RMA 4711".into()));
    assert_eq!((&record["reason"], &record["new_source"]), (&"host key compared".into(), &source.into()));
    // From here on it is a device like any other.
    lab.cv(&["snapshot"]).succeeded();
}

#[test]
fn a_replacement_of_the_same_release_is_put_back_at_once() {
    let (lab, _new, source) = replaced(gateway("15.7(3)M6", "hostname Router\nend\n"));
    let done = lab.cv(&["device", "replace", "gw-1", "--source", &source, "--accept-key"]);
    assert_eq!(done.code, 0, "{done}");
    assert!(done.stderr.contains("without comparison; you take the responsibility"), "{done}");
    assert!(done.stderr.contains("confvault restore gw-1@1 --device --plan"), "{done}");
    assert_eq!(records(&lab.env, "replace")[0]["reason"], "host key accepted without comparison");
}

#[test]
fn what_failed_is_done_by_the_same_command_again() {
    let (lab, new, source) = replaced(gateway("15.9(1)", "hostname Router\nend\n").fault(Fault::Password));
    let key = fingerprint(&new);
    let refused = lab.cv(&["device", "replace", "gw-1", "--source", &source, "--fingerprint", &key]);
    let text = refused.failed(3);
    assert!(text.contains("error: Device gw-1: Login failed\ncaused by: Login refused"), "{text}");
    assert_eq!((number(&lab.env, "gw-1"), new.counts.credentials.load(Ordering::SeqCst)), (1, 1));
    // The login was set up.
    let device = gateway("15.9(1)", "hostname Router\nend\n");
    let ready = Simulator::with_key(HashMap::from([("gw".to_owned(), device)]), new.key.clone(), "127.0.0.1:0");
    let source = format!("ssh://gw@{}", ready.address);
    let done = lab.cv(&["device", "replace", "gw-1", "--source", &source, "--fingerprint", &key]);
    assert_eq!((done.code, number(&lab.env, "gw-1")), (0, 2), "{done}");
}

#[test]
fn a_device_without_history_or_host_key_is_not_replaced() {
    let env = crate::lab::two();
    let folder = env.cv(&["device", "replace", "gw-1"]).failed(1);
    assert!(folder.starts_with("error: Device gw-1 is reached by something without host keys: dir:gw-1\nhint: "), "{folder}");
    let lab = Lab::new(gateway("1", OLD));
    let nothing = lab.cv(&["device", "replace", "gw-1"]).failed(1);
    assert!(
        nothing.starts_with("error: Device has no generation that a replacement could go on from: gw-1\nhint: "),
        "{nothing}"
    );
}
