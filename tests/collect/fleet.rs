//! A fleet in which devices fail in all ways at once, hang and break us, and a connection that is cut at
//! every message.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use confvault::collect::CollectError;
use confvault::collect::fleet::MayPass;
use confvault::model::Content;
use confvault::ops::Vault;
use confvault::ops::snapshot::{DeviceReport, Options, Report, Told, World, reason, snapshot, snapshot_telling};

use crate::env::TestEnv;
use crate::play::{Play, gateway_profile};
use crate::rig::{Rig, whole};
use crate::simulator::{Device, Fault, Simulator};

fn profile() -> String {
    gateway_profile(
        "refusals = ['^% Invalid input', '^% Authorization failed']\nstart-ms = 8000\nlogout = [\"exit\"]",
        "min-bytes = 40\ntimeout-s = 10",
    )
}

fn config(name: &str) -> String {
    format!("hostname {name}\n{}end\n", "interface x\n description y\n".repeat(40))
}

fn gateway(name: &str) -> Device {
    Device::new(Play::gateway(name, &config(name)))
}

/// A store whose devices `gw-0`, `gw-1`, … are those of a simulator, with `extra` for each in its table.
fn fleet(simulator: &Simulator, count: usize, policy: &str, extra: impl Fn(usize) -> Option<String>) -> TestEnv {
    let env = TestEnv::with_store();
    env.write("profiles/lab.toml", format!("name = \"lab\"\n{}", profile()));
    let mut inventory = format!("collector = \"central\"\n[policy]\n{policy}\n");
    let mut pins = String::new();
    for i in 0..count {
        inventory.push_str(&format!(
            "[devices.gw-{i}]\nsource = \"ssh://gw-{i}@{}\"\nprofile = \"lab\"\ncredential = \"env:PW\"\n{}",
            simulator.address,
            extra(i).unwrap_or_default()
        ));
        pins.push_str(&format!("gw-{i} {}\n", simulator.public_key()));
    }
    env.write("confvault.toml", inventory);
    env.write("known_hosts", pins);
    env
}

/// Takes the snapshot of all devices in this process.
fn run(env: &TestEnv, options: &Options, password: &(dyn Fn() -> String + Sync), told: &mut dyn FnMut(&DeviceReport)) -> Report {
    let vault = Vault::open(&env.path("")).unwrap();
    let variable = |name: &str| match name {
        "PW" => Some(password()),
        _ => None,
    };
    let world = World { env: &variable, home: None, cancel: &AtomicBool::new(false) };
    snapshot(&vault, options, &world, told).unwrap()
}

/// A run that only waits says for whom, and for nobody else.
#[test]
fn what_is_waited_for_is_told() {
    let endless = gateway("gw-1").fault(Fault::Trickle("show version"));
    let simulator = Simulator::start([("gw-0".to_owned(), gateway("gw-0")), ("gw-1".to_owned(), endless)].into());
    let env = fleet(&simulator, 2, "", |_| Some("timeout = \"300 s\"\n".to_owned()));
    let vault = Vault::open(&env.path("")).unwrap();
    let (variable, cancel) = (|_: &str| Some(lab()), AtomicBool::new(false));
    let world = World { env: &variable, home: None, cancel: &cancel };
    let options = Options { tell_after: Some(Duration::from_secs(1)), ..Options::default() };
    let (mut waited, mut ends, begun) = (Vec::new(), Vec::new(), Instant::now());
    snapshot_telling(&vault, &options, &world, &mut |told| match told {
        Told::Waiting(devices) => {
            let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
            // On a slow machine the other one is waited for at first, too.
            cancel.store(names == ["gw-1"] && waited.last() == Some(&names), Ordering::Relaxed);
            waited.push(names);
        }
        Told::Done(device) => ends.push((name(device), device.result.is_ok())),
    })
    .unwrap();
    assert_eq!(waited.last().unwrap(), &["gw-1"], "{waited:?}");
    assert!(waited.len() as u64 <= begun.elapsed().as_secs(), "told too often: {waited:?}");
    ends.sort();
    assert_eq!(ends, [("gw-0".to_owned(), true), ("gw-1".to_owned(), false)]);
}

fn lab() -> String {
    "lab".to_owned()
}

fn name(device: &DeviceReport) -> String {
    device.device.to_string()
}

#[test]
fn of_a_thousand_devices_ten_fail_in_ten_ways_and_990_are_stored() {
    const COUNT: usize = 1000;
    const RUN: &str = "show running-config";
    // Each with the words that must name it, and how often it may be tried.
    let faults: Vec<(Fault, &str, u32)> = vec![
        (Fault::Password, "Login refused for user gw-5 by password", 1),
        (Fault::NoPrompt, "No prompt within 8 s", 1),
        (Fault::Half(RUN), "The answer is cut off", 3),
        (Fault::Cut(RUN), "The device closed the session", 3),
        (Fault::Hang(RUN), "s of silence", 1),
        (Fault::Empty(RUN), "0 bytes, and no end marker", 3),
        (Fault::Refuse(RUN, "% Authorization failed."), "The device refused with", 1),
        (Fault::Flood(RUN), "The device sent more than 200000 bytes", 1),
        (Fault::Trickle("show version"), "used up its total time", 1),
        (Fault::None, "Host key is not known", 1),
    ];
    let at = |row: usize| row * 100 + 5;
    let mut devices = HashMap::new();
    for i in 0..COUNT {
        let device = gateway(&format!("gw-{i}"));
        let fault = faults.iter().enumerate().find(|(row, _)| at(*row) == i).map_or(Fault::None, |(_, f)| f.0.clone());
        devices.insert(format!("gw-{i}"), device.fault(fault));
    }
    let simulator = Simulator::start(devices);
    // The time of all but the one that sends a byte now and then is ample.
    let limits = |i| Some(if i == at(8) { "timeout = \"10 s\"\n" } else { "max_size = \"200000 B\"\n" }.to_owned());
    let env = fleet(&simulator, COUNT, "timeout = \"120 s\"", limits);
    let pins = env.read("known_hosts");
    env.write("known_hosts", pins.replace(&format!("gw-{} ", at(9)), "stranger "));
    let report = run(&env, &Options { jobs: Some(32), ..Options::default() }, &lab, &mut |_| {});
    let failed: BTreeMap<String, (String, u32)> = report
        .devices
        .iter()
        .filter_map(|device| Some((name(device), (reason(device.result.as_ref().err()?), device.tries))))
        .collect();
    assert_eq!((report.counts(), failed.len()), ((COUNT - 10, 0, 10), 10), "{failed:?}");
    for (row, (fault, words, tries)) in faults.iter().enumerate() {
        let (text, tried) = &failed[&format!("gw-{}", at(row))];
        assert!(text.contains(words), "{fault:?}: {text}");
        assert_eq!(tried, tries, "{fault:?}: {text}");
    }
    let mut reasons: Vec<&String> = failed.values().map(|f| &f.0).collect();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), 10, "ten failures have ten reasons");
    // A password that was refused was sent once, and none to the host with the unknown key.
    assert_eq!(simulator.credentials(), COUNT - 1 + 2 * 3);

    // What the store has is what the devices said, and nothing of the ten.
    let log = env.cv(&["log", "gw-7"]).succeeded();
    assert!(log.contains("15.7(3)M6"), "{log}");
    let kept = env.cv(&["show", "gw-999", "running-config"]);
    assert_eq!(String::from_utf8_lossy(&kept.stdout), config("gw-999"));
    for row in 0..faults.len() {
        env.cv(&["log", &format!("gw-{}", at(row))]).failed(1);
    }
    let journal = env.cv(&["journal"]).succeeded();
    assert_eq!(journal.lines().filter(|line| line.contains("failed")).count(), 10, "{journal}");
}

#[test]
fn one_that_breaks_us_and_one_that_hangs_cost_themselves() {
    const COUNT: usize = 1000;
    let hangs = gateway("gw-0").fault(Fault::Hang("show version"));
    let simulator = Simulator::start(HashMap::from([("gw-0".to_owned(), hangs), ("gw-1".to_owned(), gateway("gw-1"))]));
    let env = fleet(&simulator, 2, "", |i| Some(format!("timeout = \"{} s\"\n", if i == 0 { 3 } else { 60 })));
    let mut inventory = env.read("confvault.toml");
    for i in 2..COUNT {
        env.write(&format!("d/{i}/x.conf"), format!("{i}\n"));
        inventory.push_str(&format!("[devices.d-{i}]\nsource = \"dir:d/{i}\"\nprofile = \"generic\"\nrelease = \"1\"\n"));
    }
    env.write("confvault.toml", inventory);
    // The password of the first device is asked for first, as it stands first in the inventory.
    let asked = AtomicUsize::new(0);
    let password = || {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        if first { lab() } else { panic!("a bug of ours") }
    };
    let report = run(&env, &Options { jobs: Some(1), ..Options::default() }, &password, &mut |_| {});
    assert_eq!(report.counts(), (COUNT - 2, 0, 2));
    let failed: Vec<String> = report
        .devices
        .iter()
        .filter_map(|device| Some(format!("{}: {}", name(device), reason(device.result.as_ref().err()?))))
        .collect();
    // On a slow machine the shaking of hands takes it.
    let over = ["used up its total time", "Time of the device is over"].iter().any(|words| failed[0].contains(words));
    assert!(failed[0].starts_with("gw-0: ") && over, "{failed:?}");
    assert!(failed[1].starts_with("gw-1: ") && failed[1].contains("a bug of ours"), "{failed:?}");
}

#[test]
fn a_device_that_hangs_does_not_delay_the_commit_of_the_others() {
    const GOOD: usize = 6;
    let mut devices: HashMap<String, Device> = (0..GOOD)
        .map(|i| {
            let mut device = gateway(&format!("gw-{i}"));
            device.play.delay_ms = 300;
            (format!("gw-{i}"), device)
        })
        .collect();
    devices.insert(format!("gw-{GOOD}"), gateway("x").fault(Fault::Trickle("show version")));
    let simulator = Simulator::start(devices);
    let env = fleet(&simulator, GOOD + 1, "timeout = \"300 s\"", |_| None);
    // Two at a time: one place is the hanging device's from its turn on, commits come in between.
    let options = Options { jobs: Some(2), commit_every: Some(Duration::from_millis(400)), ..Options::default() };
    let vault = Vault::open(&env.path("")).unwrap();
    let (variable, cancel) = (|_: &str| Some(lab()), AtomicBool::new(false));
    let world = World { env: &variable, home: None, cancel: &cancel };
    let mut told = Vec::new();
    let result = snapshot(&vault, &options, &world, &mut |device: &DeviceReport| {
        let stored = Vault::open(&env.path("")).unwrap().store.refs().unwrap();
        let stored = stored.prefix(&format!("refs/heads/{}/", device.device)).next().is_some();
        told.push((name(device), stored));
        // Nothing but this ends the one that hangs before its time.
        cancel.store(told.len() >= GOOD, Ordering::Relaxed);
    });
    assert_eq!(result.unwrap().counts(), (GOOD, 0, 1));
    assert!(told[..GOOD].iter().all(|(_, stored)| *stored), "told of before it was committed: {told:?}");
    assert_eq!(told[GOOD..], [(format!("gw-{GOOD}"), false)], "{told:?}");
}

/// Hands bytes on until so many messages went through, then cuts both sides.
fn cutter(to: std::net::SocketAddr, messages: usize) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(messages));
    let shared = left.clone();
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let far = TcpStream::connect(to).unwrap();
            for (mut from, mut to) in
                [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far.try_clone().unwrap(), near.try_clone().unwrap())]
            {
                let left = shared.clone();
                let (a, b) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 << 10];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        let gone = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err();
                        if gone || to.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    drop(a.shutdown(Shutdown::Both));
                    drop(b.shutdown(Shutdown::Both));
                });
            }
        }
    });
    (address, left)
}

#[test]
fn a_connection_cut_at_any_message_gives_no_set() {
    let simulator = Simulator::one("gw", gateway("gw"));
    let rig = Rig::new();
    rig.profile("lab", &profile());
    rig.pin("gw", &simulator);
    let table =
        |address: std::net::SocketAddr| format!("source = \"ssh://gw@{address}\"\nprofile = \"lab\"\ncredential = \"env:PW\"\n");
    let mut cuts = 0;
    loop {
        let (address, left) = cutter(simulator.address, cuts);
        let begun = Instant::now();
        let result = rig.collect(&table(address));
        assert!(begun.elapsed() < Duration::from_secs(60), "cut {cuts} held on");
        match result {
            Err(error) => {
                assert!(error.may_pass(), "cut {cuts}: {}", whole(&error));
                assert!(!matches!(error, CollectError::NoRelease { .. }), "cut {cuts} gave half a set");
            }
            Ok(collected) => {
                let entry = collected.set.entries().iter().find(|e| e.path.to_string() == "running-config").unwrap();
                assert_eq!(entry.content, Content::Bytes(config("gw").into_bytes()));
                break;
            }
        }
        assert_eq!(left.load(Ordering::SeqCst), 0, "cut {cuts} failed before it was cut");
        cuts += 1;
        assert!(cuts < 200);
    }
    assert!(cuts > 10, "{cuts} messages are no session");
}
