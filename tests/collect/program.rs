//! The program from the first look at a device to its generations.

use std::fs;

use crate::env::TestEnv;
use crate::play::{Exchange, Play};
use crate::simulator::{Device, Fault, Simulator};

const CONFIG: &str = "Building configuration...\n\nCurrent configuration : 99 bytes\n!\nhostname gw\n!\nenable secret 5 $1$canary$canary7f3aaaaaaaaaaa\n!\n\
                      interface x\n description y\n!\nline vty 0 4\nend\n";

fn device() -> Device {
    let mut play = Play::gateway("gw", CONFIG);
    let first = "Cisco IOS Software, C2900 Software (C2900-K9-M), Version 15.7(3)M6, RELEASE SOFTWARE (fc1)\n";
    play.exchange.retain(|e| e.command != "show version");
    play.exchange.push(Exchange {
        command: "show version".into(),
        output: format!("{first}gw uptime is 1 day\nSystem image file is \"x\"\n"),
        ..Exchange::default()
    });
    Device::new(play)
}

fn add(env: &TestEnv, simulator: &Simulator, credential: &str) {
    let source = format!("ssh://gw@{}", simulator.address);
    env.cv(&["device", "add", "gw", "--source", &source, "--profile", "cisco-ios", "--credential", credential]).succeeded();
}

#[test]
fn a_device_is_trusted_tested_and_kept() {
    let simulator = Simulator::one("gw", device());
    let env = TestEnv::with_store();
    add(&env, &simulator, "store");

    let unknown = env.cv(&["snapshot"]).failed(3);
    assert!(
        unknown.contains("Host key is not known") && unknown.contains("confvault device trust gw --fingerprint"),
        "{unknown}"
    );
    assert_eq!(simulator.credentials(), 0);
    let shown = String::from_utf8(env.cv(&["device", "trust", "gw"]).stdout).unwrap();
    assert!(shown.contains("not known"), "{shown}");
    let wrong = env.cv(&["device", "trust", "gw", "--fingerprint", "SHA256:nonsense"]).failed(1);
    assert!(wrong.contains("another fingerprint"), "{wrong}");
    let fingerprint = shown.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap();
    assert!(env.cv(&["device", "trust", "gw", "--fingerprint", fingerprint]).succeeded().contains("pinned"));
    assert!(env.cv(&["device", "trust", "gw"]).succeeded().contains("known"));
    assert_eq!(simulator.credentials(), 0);

    let missing = env.cv(&["snapshot", "gw"]).failed(3);
    assert!(missing.contains("confvault credential set gw"), "{missing}");
    let mut set = env.command(&["credential", "set", "gw"]);
    fs::write(env.path("secret"), "lab\n").unwrap();
    set.stdin(fs::File::open(env.path("secret")).unwrap());
    env.run(&mut set).succeeded();
    let tested = env.cv(&["device", "test", "gw"]).succeeded();
    assert!(tested.contains("host key ssh-ed25519 SHA256:") && tested.contains("logged in as gw"), "{tested}");
    assert!(tested.contains("running-config"), "{tested}");
    assert!(!tested.contains("canary"), "{tested}");

    let first = env.cv(&["snapshot"]).succeeded();
    assert!(first.contains("generation 1") && first.contains("15.7(3)M6"), "{first}");
    assert!(env.cv(&["snapshot"]).succeeded().contains("unchanged 1"));
}

#[test]
fn a_first_contact_is_accepted_loudly_and_recorded() {
    let simulator = Simulator::one("gw", device());
    let env = TestEnv::with_store();
    add(&env, &simulator, "env:PW");
    let run = env.cv(&["device", "trust", "--all", "--accept-new"]);
    assert!(run.stderr.contains("without comparison"), "{}", run.stderr);
    run.succeeded();
    let journal = env.cv(&["journal"]).succeeded();
    assert!(journal.contains("trust"), "{journal}");
    let mut command = env.command(&["snapshot"]);
    command.env("PW", "lab");
    env.run(&mut command).succeeded();
}

#[test]
fn a_truncated_answer_makes_no_generation() {
    let good = Simulator::one("gw", device());
    let env = TestEnv::with_store();
    add(&env, &good, "env:PW");
    env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
    let mut command = env.command(&["snapshot"]);
    env.run(command.env("PW", "lab")).succeeded();
    let address = good.address.to_string();
    let key = good.key.clone();
    drop(good);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let bad = device().fault(Fault::Half("show running-config"));
    let _bad = Simulator::with_key([("gw".to_owned(), bad)].into(), key, &address);
    let mut command = env.command(&["snapshot"]);
    let said = env.run(command.env("PW", "lab")).failed(3);
    assert!(said.contains("cut off"), "{said}");
    assert!(!env.cv(&["log", "gw"]).succeeded().contains("generation 2"));
}

#[test]
fn an_archive_is_handed_in() {
    let env = TestEnv::with_store();
    env.cv(&["device", "add", "inside", "--source", "push:", "--profile", "generic", "--release", "1"]).succeeded();
    let refused = env.cv(&["snapshot", "inside"]).failed(3);
    assert!(refused.contains("--from FILE.tar"), "{refused}");
    env.write("t/a.conf", "alpha\n");
    let tar = |name: &str| {
        let done =
            std::process::Command::new("tar").arg("-cf").arg(env.path(name)).arg("-C").arg(env.path("t")).arg(".").status();
        assert!(done.unwrap().success());
    };
    tar("one.tar");
    assert!(env.cv(&["snapshot", "inside", "--from", "one.tar"]).succeeded().contains("generation 1"));
    env.write("t/a.conf", "beta\n");
    tar("two.tar");
    let mut command = env.command(&["snapshot", "inside", "--from", "-"]);
    command.stdin(fs::File::open(env.path("two.tar")).unwrap());
    assert!(env.run(&mut command).succeeded().contains("generation 2"));
    assert!(env.cv(&["snapshot", "inside", "--from", "two.tar"]).succeeded().contains("unchanged 2"));
    env.cv(&["snapshot", "--from", "two.tar"]).failed(2);
}

#[test]
fn a_call_manager_is_told_to_back_up_and_its_set_is_taken() {
    let status = |percent: u32, name: &str, tftp: &str| {
        format!(
            "\nStatus: {}\nTar Filename: {name}.tar\nStorage Location: NETWORK\nOperation: BACKUP\nPercentage Complete: {percent}\n\
             UCM     PUB-1   CCMDB   SUCCESS  Sat Jan 17 10:11:24 CET 2026  activelog/x.log\n\
             UCM     PUB-1   TFTP   {tftp}  Sat Jan 17 10:11:58 CET 2026\n\n",
            if percent < 100 {
                "Backup operation in progress for server [PUB-1], please wait..."
            } else {
                "SUCCESS :Backup Completed..."
            }
        )
    };
    let exchange = |command: &str, output: String| Exchange { command: command.into(), output, ..Exchange::default() };
    const STATUS: &str = "utils disaster_recovery status backup";
    let mut play = Play::gateway("x", "");
    play.prompt = "admin:".into();
    play.delay_ms = 1200;
    play.banner = "Command Line Interface is starting up, please wait ...\n".into();
    play.unknown = "No valid command entered\n".into();
    play.exchange = vec![
        exchange("set cli pagination off", String::new()),
        exchange(STATUS, "drfCliMsg: No backup status available\n".into()),
        exchange(STATUS, status(50, "2026-01-17-10-11-23", "Active")),
        exchange(STATUS, status(100, "2026-01-17-10-11-23", "SUCCESS")),
        exchange("utils disaster_recovery backup network UCM NAS", "drfCliMsg: Backup initiated successfully.\n".into()),
    ];
    let simulator = Simulator::one("gw", Device { keyboard: true, ..Device::new(play) });
    let env = TestEnv::with_store();
    let source = format!("ssh://gw@{}", simulator.address);
    env.cv(&["device", "add", "pub", "--source", &source, "--profile", "cucm", "--credential", "env:PW"]).succeeded();
    env.cv(&["device", "add", "cucm", "--source", "drs:drs", "--profile", "cucm"]).succeeded();
    env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
    let component = |name: &str| {
        env.write(&format!("drs/2026-01-17-10-11-23_PUB-1_UCM_{name}.tar"), "archive");
        format!("<ComponentObject><ComponentName>{name}</ComponentName><Status>SUCCESS</Status></ComponentObject>")
    };
    let list = format!(
        "<list><FeatureObject><Version>15.0.1.12900-234</Version><FeatureName>UCM</FeatureName><Status>SUCCESS</Status><vServerObject>\
         <ServerObj><ServerName>PUB-1</ServerName><Status>SUCCESS</Status><vComponentObject>{}{}</vComponentObject></ServerObj>\
         </vServerObject></FeatureObject></list>",
        component("CCMDB"),
        component("TFTP")
    );
    env.write("drs/2026-01-17-10-11-23_PUB-1_drfComponent.xml", list);
    let mut command = env.command(&["drs", "backup", "cucm", "--via", "pub", "--target", "NAS"]);
    let run = env.run(command.env("PW", "lab"));
    assert!(run.stderr.contains("UCM/CCMDB on PUB-1: SUCCESS"), "{run}");
    assert!(run.succeeded().contains("generation 1"));
}
