//! Devices that lie: about names and sizes over SFTP, and with control characters in whatever they say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use confvault::model::Content;

use crate::env::TestEnv;
use crate::liar::Lie;
use crate::play::Play;
use crate::rig::{Rig, file, whole};
use crate::simulator::{Device, Fault, Simulator};

const FILES: &str = "[[file]]\npaths = [\"**\"]\nscope = \"system\"\n";

fn liar(lie: Lie) -> Simulator {
    Simulator::one("gw", Device { lie: Some(lie), ..Device::new(Play::gateway("gw", "")) })
}

fn rig(simulator: &Simulator) -> (Rig, String) {
    let mut rig = Rig::new();
    rig.policy.max_files = 5000;
    rig.profile("host", FILES);
    rig.pin("gw", simulator);
    let table = format!(
        "source = \"sftp://gw@{}/data\"\nprofile = \"host\"\nrelease = \"1\"\ncredential = \"env:PW\"\nmax_size = \"1 MiB\"\n",
        simulator.address
    );
    (rig, table)
}

/// All files below a folder with their sizes.
fn tree(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(tree(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().unwrap().len());
        }
    }
    found
}

#[test]
fn the_server_of_the_tests_tells_the_truth_too() {
    let simulator = liar(Lie::None);
    let (rig, table) = rig(&simulator);
    assert_eq!(file(&rig.collect(&table).unwrap(), "a.conf"), b"alpha");
}

#[test]
fn several_files_are_fetched_at_once() {
    let simulator = liar(Lie::Files(40));
    let (rig, table) = rig(&simulator);
    let collected = rig.collect(&table).unwrap_or_else(|error| panic!("{}", whole(&error)));
    assert!(collected.set.entries().iter().all(|entry| entry.content == Content::Bytes(b"alpha".to_vec())));
    assert_eq!(collected.set.entries().len(), 40);
    assert_eq!(simulator.counts.flights.most.load(Ordering::SeqCst), 6);
}

#[test]
fn names_from_a_device_never_lead_out_of_its_set() {
    let long = vec![b'n'; 300];
    let names: [&[u8]; 9] = [
        b"../x.conf",
        b"/etc/x.conf",
        b"a/../b.conf",
        b".git/hooks/x.conf",
        b"sub/x.conf",
        b"../../../../../../tmp/confvault-lie.conf",
        b"x\0y.conf",
        b"a.conf",
        &long,
    ];
    for name in names {
        let simulator = liar(Lie::Name(name.to_vec()));
        let (rig, table) = rig(&simulator);
        let before = tree(rig.dir.path());
        let shown = String::from_utf8_lossy(name).into_owned();
        match rig.collect(&table) {
            Err(error) => {
                let text = whole(&error);
                assert!(!text.contains(|c: char| c.is_control()), "{shown:?}: {text:?}");
                assert!(text.contains("name") || text.contains("have one path"), "{shown:?}: {text}");
            }
            Ok(collected) => panic!("{shown:?} is part of a set: {:?}", collected.set),
        }
        assert_eq!(tree(rig.dir.path()), before, "{shown:?}: something was written");
        assert!(!Path::new("/tmp/confvault-lie.conf").exists());
    }
}

/// What git or a terminal would act on is a name like any other.
#[test]
fn odd_names_are_kept_as_they_are() {
    for name in [&b".gitattributes"[..], b".git", b"-oProxyCommand=x", b"CON", b"a\nb", b"e\x1b[31m", b"\xff\xfe"] {
        let simulator = liar(Lie::Name(name.to_vec()));
        let (rig, table) = rig(&simulator);
        let collected = rig.collect(&table).unwrap_or_else(|error| panic!("{name:?}: {}", whole(&error)));
        assert!(collected.set.entries().iter().any(|entry| entry.path.as_bytes() == name), "{name:?}");
    }
}

#[test]
fn a_server_without_end_is_ended() {
    for (lie, words) in [
        (Lie::EndlessListing, "more than 5000 files"),
        (Lie::EndlessDepth, "name that cannot be kept"),
        (Lie::EndlessFile, "changes while it is read|more than 1048576 bytes"),
        (Lie::ShortFile, "changes while it is read"),
        (Lie::Silent, "is over while|No answer within"),
        (Lie::HugePacket, ""),
        (Lie::Noise, ""),
    ] {
        let simulator = liar(lie.clone());
        let (rig, table) = rig(&simulator);
        // The others come to their end by themselves, however slow the machine is.
        let by_time = matches!(lie, Lie::Silent | Lie::HugePacket | Lie::Noise);
        let rig = Rig { timeout: Duration::from_secs(if by_time { 6 } else { 300 }), ..rig };
        let before = tree(&rig.path("spool"));
        let begun = Instant::now();
        let text = whole(&rig.collect(&table).unwrap_err());
        assert!(words.split('|').any(|words| text.contains(words)), "{lie:?}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(250), "{lie:?} held on for {:?}", begun.elapsed());
        assert_eq!(tree(&rig.path("spool")), before, "{lie:?} left something");
    }
}

const EVIL: &str = "\u{1b}]0;title\u{7}\u{1b}[31m\u{202e}evil\u{0}\u{8}";

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// The profile of the built-in one that does not wait long for a prompt.
fn impatient() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profile/builtin/cisco-ios.toml");
    let profile: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let mut session = profile["session"].as_table().unwrap().clone();
    session.insert("start-ms".to_owned(), 2000.into());
    let own = toml::Table::from_iter([("session".to_owned(), session.into())]);
    format!("name = \"impatient\"\nextends = \"cisco-ios\"\n{own}")
}

#[test]
fn no_control_character_of_a_device_reaches_the_terminal_or_a_log() {
    let config = format!(
        "Building configuration...\n\nCurrent configuration : 99 bytes\n!\nhostname gw{EVIL}\n!\n{}end\n",
        "!\n".repeat(12)
    );
    let mut play = Play::gateway("gw", &config);
    play.banner = format!("Welcome {EVIL}\n");
    play.exchange[1].output = format!(
        "Cisco IOS Software, C2900 Software (C2900-K9-M), Version 15.7(3)M6, RELEASE SOFTWARE (fc1)\n{EVIL}\nSystem image file is \"x\"\n"
    );
    let good = Device::new(play);
    let mut no_prompt = good.clone();
    no_prompt.play.prompt = format!("gw{EVIL}#");
    for device in [
        good.clone(),
        no_prompt,
        good.clone().fault(Fault::Refuse("show version", "% Invalid input detected \u{1b}[31m\u{202e}\u{7}")),
        good.clone().fault(Fault::Half("show running-config")),
    ] {
        let whole = device == good;
        let profile = if device.play.prompt == good.play.prompt { "cisco-ios" } else { "impatient" };
        let shown = format!("{} {:?}", device.play.prompt.escape_debug(), device.fault);
        let simulator = Simulator::one("gw", device);
        let env = TestEnv::with_store();
        env.write("profiles/impatient.toml", impatient());
        let source = format!("ssh://gw@{}", simulator.address);
        env.cv(&["device", "add", "gw", "--source", &source, "--profile", profile, "--credential", "env:PW"]).succeeded();
        env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
        for args in [&["device", "test", "gw", "-vvv"][..], &["snapshot", "-vvv"], &["journal"], &["log", "gw"], &["ls", "gw"]] {
            let mut command = env.command(args);
            let run = env.run(command.env("PW", "lab"));
            let stdout = String::from_utf8_lossy(&run.stdout);
            assert!(is_plain(&run.stderr) && is_plain(&stdout), "{shown} {args:?}: {:?}{stdout:?}", run.stderr);
            assert!(!whole || run.code == 0, "{args:?}: {run}");
        }
        if whole {
            // Kept, to the byte.
            let shown = env.cv(&["show", "gw", "running-config"]);
            assert!(shown.stdout.windows(EVIL.len()).any(|window| window == EVIL.as_bytes()), "{shown}");
        }
    }
}
