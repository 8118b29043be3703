//! The source `ssh://` against a server that speaks real SSH.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use confvault::collect::CollectError;
use confvault::profile::Profiles;

use crate::play::{Play, gateway_profile};
use crate::rig::{Rig, file, ssh, whole};
use crate::simulator::{Device, Fault, Simulator};

const CONFIG: &str = "Building configuration...\n\nCurrent configuration : 99 bytes\n!\nhostname gw\nbanner motd ^C\ngw#\nexit\n --More-- \n\
                      ^C\nenable secret 5 $1$canary$canary7f3a\nend\n\n";

fn gateway() -> Device {
    Device::new(Play::gateway("gw", CONFIG))
}

fn profile() -> String {
    gateway_profile(
        "pager = '^ ?--More--'\nrefusals = ['^% Invalid input', '^% Authorization failed', '^% Incomplete command']\nlogout = [\"exit\"]",
        "min-bytes = 40",
    )
}

fn rig(simulator: &Simulator) -> Rig {
    let rig = Rig::new();
    rig.profile("lab", &profile());
    rig.pin("gw", simulator);
    rig
}

#[test]
fn a_terminal_session_gives_the_set_and_the_release() {
    let simulator = Simulator::one("gw", gateway());
    let rig = rig(&simulator);
    let collected = rig.collect(&ssh(&simulator, "lab")).unwrap();
    assert_eq!(file(&collected, "running-config"), CONFIG.as_bytes());
    assert_eq!(collected.set.release.as_ref().unwrap().as_str(), "15.7(3)M6");
    assert_eq!(simulator.credentials(), 1);
}

#[test]
fn an_unknown_or_changed_host_key_stops_before_any_credential() {
    let simulator = Simulator::one("gw", gateway());
    let rig = Rig::new();
    rig.profile("lab", &profile());
    let unknown = rig.collect(&ssh(&simulator, "lab")).unwrap_err();
    assert!(whole(&unknown).contains("Host key is not known: ssh-ed25519 SHA256:"), "{}", whole(&unknown));
    let other = Simulator::one("gw", gateway());
    rig.pin("gw", &other);
    let rig = Rig { network: confvault::collect::Network::new(), ..rig };
    let changed = rig.collect(&ssh(&simulator, "lab")).unwrap_err();
    assert!(whole(&changed).contains("Host key changed: expected SHA256:"), "{}", whole(&changed));
    assert_eq!(simulator.credentials(), 0, "a credential was sent");
    assert_eq!(simulator.counts.connections.load(Ordering::SeqCst), 2);
    assert!(!confvault::collect::fleet::MayPass::may_pass(&changed));
}

#[test]
fn a_refused_password_is_sent_once() {
    for keyboard in [false, true] {
        let device = Device { keyboard, ..gateway() };
        let simulator = Simulator::one("gw", device.fault(Fault::Password));
        let error = rig(&simulator).collect(&ssh(&simulator, "lab")).unwrap_err();
        assert!(whole(&error).contains("Login refused for user gw by "), "{}", whole(&error));
        assert!(!whole(&error).contains("lab"), "{}", whole(&error));
        assert_eq!(simulator.credentials(), 1);
        assert!(!confvault::collect::fleet::MayPass::may_pass(&error));
    }
}

#[test]
fn keyboard_interactive_is_a_password() {
    let simulator = Simulator::one("gw", Device { keyboard: true, ..gateway() });
    assert!(rig(&simulator).collect(&ssh(&simulator, "lab")).is_ok());
}

/// Every way to fail, and the words that must name it.
#[test]
fn no_half_answer_is_ever_a_set() {
    const RUN: &str = "show running-config";
    let faults: Vec<(Fault, &str)> = vec![
        (Fault::Half(RUN), "The answer is cut off: 6 lines"),
        (Fault::Cut(RUN), "The device closed the session after"),
        (Fault::Empty(RUN), "The answer is cut off: 0 lines"),
        (
            Fault::Refuse(RUN, "% Authorization failed."),
            "The device refused with \"% Authorization failed\": show running-config",
        ),
        (
            Fault::Refuse("show version", "% Incomplete command."),
            "The device refused with \"% Incomplete command\": show version",
        ),
        (Fault::Flood(RUN), "The device sent more than 100000 bytes"),
        (Fault::LongLine(RUN), "The device sent more than 100000 bytes"),
        (Fault::Trickle(RUN), "Time of the device is over|The device used up its total time"),
        (Fault::NoPrompt, "No prompt within 1 s after the terminal opened; the last line was \"Please wait\""),
        (Fault::Mute, "Time of the device is over while shaking hands"),
        (Fault::BannerFlood, "Device sends without end while shaking hands|Time of the device is over while shaking hands"),
    ];
    for (fault, words) in faults {
        let simulator = Simulator::one("gw", gateway().fault(fault.clone()));
        // The others come to their end by themselves, however slow the machine is.
        let by_time = matches!(fault, Fault::Trickle(_) | Fault::Mute | Fault::BannerFlood);
        let rig = Rig { timeout: Duration::from_secs(if by_time { 3 } else { 300 }), ..rig(&simulator) };
        let start = if fault == Fault::NoPrompt { 1_000 } else { 60_000 };
        rig.profile("lab", &profile().replace("mode =", &format!("start-ms = {start}\nmode =")));
        let begun = Instant::now();
        let error = rig.collect(&format!("{}max_size = \"100000 B\"\n", ssh(&simulator, "lab"))).unwrap_err();
        let text = whole(&error);
        assert!(words.split('|').any(|words| text.contains(words)), "{fault:?}: {text}");
        assert!(!text.contains("canary"), "{fault:?}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(250), "{fault:?} held on for {:?}", begun.elapsed());
    }
}

#[test]
fn a_silent_device_is_given_up() {
    let simulator = Simulator::one("gw", gateway().fault(Fault::Hang("show running-config")));
    let rig = rig(&simulator);
    rig.profile("lab", &profile().replace("end = '^end$'", "end = '^end$'\ntimeout-s = 1"));
    let error = rig.collect(&ssh(&simulator, "lab")).unwrap_err();
    assert!(whole(&error).contains("and 1 s of silence: show running-config"), "{}", whole(&error));
    assert!(!confvault::collect::fleet::MayPass::may_pass(&error), "a hanging device would hold the run up again");
}

#[test]
fn text_that_looks_like_the_prompt_is_collected_whole() {
    let pauses = vec!["banner motd ^C\r\ngw#".to_owned(), "--More-- ".to_owned(), "canary7f3a\r\nend".to_owned()];
    let simulator = Simulator::one("gw", gateway().fault(Fault::Pause("show running-config", pauses)));
    let collected = rig(&simulator).collect(&ssh(&simulator, "lab")).unwrap();
    assert_eq!(file(&collected, "running-config"), CONFIG.as_bytes());
}

#[test]
fn a_prompt_that_changes_in_mid_session_is_followed() {
    let simulator = Simulator::one("gw", gateway().fault(Fault::Rename("show version", "renamed(config)#")));
    let collected = rig(&simulator).collect(&ssh(&simulator, "lab")).unwrap();
    assert_eq!(file(&collected, "running-config"), CONFIG.as_bytes());
}

#[test]
fn a_cancelled_run_ends_in_mid_answer() {
    let simulator = Simulator::one("gw", gateway().fault(Fault::Trickle("show running-config")));
    let rig = rig(&simulator);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(400));
            rig.cancel.store(true, Ordering::Relaxed);
        });
        let error = rig.collect(&ssh(&simulator, "lab")).unwrap_err();
        assert!(whole(&error).contains("cancelled") || matches!(error, CollectError::Cancelled), "{}", whole(&error));
    });
}

#[test]
fn bytes_come_as_they_were_sent() {
    let hostile = "hostname gw\n\u{1b}[31mred\u{1b}[0m \u{202e}rtl\u{7}\tx\r\nend\n".replace("\r\n", " \r mid\n");
    let simulator = Simulator::one("gw", Device::new(Play::gateway("gw", &hostile)));
    let collected = rig(&simulator).collect(&ssh(&simulator, "lab")).unwrap();
    assert_eq!(String::from_utf8_lossy(file(&collected, "running-config")), hostile);
}

/// Old gateways keep descriptions in ISO 8859-1, which is no UTF-8; in a terminal and by exec.
#[test]
fn bytes_that_are_no_text_come_as_they_were_sent() {
    let config = "hostname gw\ninterface x\n description Z\u{fc}rich \u{ff}\u{fe}\u{c3}\u{80}\u{9f}\nend\n";
    let bytes: Vec<u8> = config.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(std::str::from_utf8(&bytes).is_err());
    for mode in ["terminal", "exec"] {
        let mut play = Play { mode: mode.into(), ..Play::gateway("gw", config) };
        play.exchange.iter_mut().find(|e| e.output == config).unwrap().latin1 = true;
        let simulator = Simulator::one("gw", Device::new(play));
        let rig = rig(&simulator);
        rig.profile("lab", &profile().replace("mode = \"terminal\"", &format!("mode = \"{mode}\"")));
        let collected = rig.collect(&ssh(&simulator, "lab")).unwrap_or_else(|e| panic!("{mode}: {}", whole(&e)));
        assert_eq!(file(&collected, "running-config"), bytes, "{mode}");
    }
}

/// The recorded sessions of the fixtures, each with its own built-in profile: the set has what the fixture expects of
/// the session and nothing else, each answer as it was recorded.
#[test]
fn recorded_sessions_are_collected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/devices");
    let profiles = Profiles::load(None).unwrap();
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let session = folder.join("session.toml");
        if !session.exists() {
            continue;
        }
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let expected: toml::Table = std::fs::read_to_string(folder.join("expected.toml")).unwrap().parse().unwrap();
        let profile = expected.get("profile").and_then(|p| p.as_str()).unwrap_or_else(|| name.split('#').next().unwrap());
        let profile = profiles.get(profile).unwrap();
        seen.insert(profile.name().to_owned());
        let play = Play::read(&session);
        let simulator = Simulator::one("gw", Device { keyboard: play.keyboard, ..Device::new(play.clone()) });
        let rig = Rig::new();
        rig.pin("gw", &simulator);
        let release = expected.get("release").and_then(|r| r.as_str());
        let mut table = ssh(&simulator, profile.name());
        if release.is_none() {
            table.push_str("release = \"1\"\n");
        }
        let collected = rig.collect(&table).unwrap_or_else(|error| panic!("{name}: {}", whole(&error)));
        if let Some(release) = release {
            assert_eq!(collected.set.release.as_ref().unwrap().as_str(), release, "{name}");
        }
        let listed = expected["file"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().to_owned());
        let of_session = |path: &String| {
            profile.commands().iter().any(|c| c.path.to_string() == *path) && !folder.join("tree").join(path).exists()
        };
        let listed: BTreeSet<String> = listed.filter(of_session).collect();
        let found: BTreeSet<String> = collected.set.entries().iter().map(|e| e.path.to_string()).collect();
        assert_eq!(found, listed, "{name}");
        for file in collected.set.entries() {
            let confvault::model::Content::Bytes(bytes) = &file.content else { panic!("{name}: {}", file.path) };
            let text = String::from_utf8_lossy(bytes);
            let command = profile.commands().iter().find(|c| c.path == file.path).unwrap();
            let spellings: Vec<&String> = std::iter::once(&command.run).chain(&command.or).collect();
            // Line ends are the terminal's, and a device may wrap; a head may go. All else is as it was recorded.
            let flat = |text: &str| text.replace(['\r', '\n'], "");
            let recorded = play.exchange.iter().filter(|e| spellings.contains(&&e.command)).map(|e| flat(&e.output));
            let recorded: Vec<String> = recorded.collect();
            assert!(
                recorded.iter().any(|output| output.trim_end().ends_with(flat(&text).trim_end())),
                "{name}: {} is not what was recorded: {text:?}",
                file.path
            );
            if let Some(pager) = &play.pager {
                assert!(!text.contains(pager.text.trim()), "{name}: {} has the pager's text", file.path);
            }
            let prompted = !play.prompt.is_empty() && text.contains(&play.prompt);
            assert!(!prompted, "{name}: {} has the prompt", file.path);
        }
    }
    for name in profiles.names() {
        let asked = !profiles.get(name).unwrap().commands().is_empty();
        assert!(!asked || seen.contains(name), "{name} has commands and no recorded session");
    }
}
