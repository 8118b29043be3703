//! A fleet in which ten devices fail in ten ways, and a connection that is cut at every message.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use confvault::collect::CollectError;
use confvault::collect::fleet::{self, Attempt, Item, MayPass, Options, Outcome};
use confvault::model::Content;

use crate::play::Play;
use crate::rig::{Rig, whole};
use crate::simulator::{Device, Fault, Simulator};

const PROFILE: &str = r#"
release = [{ paths = ["version"], regex = 'Version (?<release>\S+),' }]
[session]
mode = "terminal"
prompt = '^[\w.()-]+[>#]$'
setup = ["terminal length 0"]
refusals = ['^% Invalid input', '^% Authorization failed']
start-ms = 1500
logout = ["exit"]
[[command]]
run = "show version"
path = "version"
scope = "system"
required = true
[[command]]
run = "show running-config"
path = "running-config"
scope = "voip"
required = true
end = '^end$'
min-bytes = 40
timeout-s = 2
"#;

struct One {
    device: confvault::inventory::Device,
}
impl Item for One {}

fn config(name: &str) -> String {
    format!("hostname {name}\n{}end\n", "interface x\n description y\n".repeat(40))
}

fn gateway(name: &str) -> Device {
    Device::new(Play::gateway(name, &config(name)))
}

#[test]
fn ten_devices_fail_in_ten_ways_and_the_others_do_not_notice() {
    const COUNT: usize = 200;
    const RUN: &str = "show running-config";
    let faults: Vec<(Fault, &str)> = vec![
        (Fault::Password, "Login refused for user"),
        (Fault::NoPrompt, "No prompt within 1 s"),
        (Fault::Half(RUN), "The answer is cut off"),
        (Fault::Cut(RUN), "The device closed the session"),
        (Fault::Hang(RUN), "s of silence"),
        (Fault::Empty(RUN), "0 bytes, and no end marker"),
        (Fault::Refuse(RUN, "% Authorization failed."), "The device refused with"),
        (Fault::Flood(RUN), "The device sent more than"),
        (Fault::Trickle("show version"), "used up its total time"),
    ];
    let mut devices = HashMap::new();
    for i in 0..COUNT {
        let mut device = gateway(&format!("gw-{i}"));
        if i % 20 == 5
            && let Some((fault, _)) = faults.get(i / 20)
        {
            device.fault = fault.clone();
        }
        devices.insert(format!("gw-{i}"), device);
    }
    let simulator = Simulator::start(devices);
    let rig = Rig::new();
    rig.profile("lab", PROFILE);
    let pins: String = (0..COUNT).filter(|i| *i != 185).map(|i| format!("gw-{i} {}\n", simulator.public_key())).collect();
    std::fs::write(rig.path("known_hosts"), pins).unwrap();
    let fleet: Vec<One> = (0..COUNT)
        .map(|i| {
            let text = format!(
                "collector = \"c\"\n[devices.gw-{i}]\nsource = \"ssh://gw-{i}@{}\"\nprofile = \"lab\"\ncredential = \"env:PW\"\n\
                 max_size = \"200000 B\"\n",
                simulator.address
            );
            let inventory = confvault::inventory::Inventory::parse(rig.dir.path(), &text).unwrap();
            One { device: inventory.device(&format!("gw-{i}").parse().unwrap()).unwrap().clone() }
        })
        .collect();
    let options = Options {
        jobs: 24,
        tries: 2,
        back_off: Duration::from_millis(50),
        timeout: Duration::from_secs(5),
        ..Options::default()
    };
    let rig = Rig { timeout: Duration::from_secs(5), ..rig };
    let work = |one: &One, _: Attempt| rig.collect_device(&one.device, None, &rig.network);
    let mut good = 0;
    let mut failed: HashMap<usize, (String, u32)> = HashMap::new();
    fleet::run(&fleet, &options, &rig.cancel, work, |finished| match finished.outcome {
        Outcome::Done(collected) => {
            let entry = collected.set.entries().iter().find(|e| e.path.to_string() == "running-config").unwrap();
            assert_eq!(entry.content, Content::Bytes(config(&format!("gw-{}", finished.index)).into_bytes()));
            good += 1;
        }
        Outcome::Failed(error) => drop(failed.insert(finished.index, (whole(&error), finished.tries))),
        other => panic!("{}: {other:?}", finished.index),
    });
    assert_eq!((good, failed.len()), (COUNT - 10, 10), "{failed:?}");
    for (row, (fault, words)) in faults.iter().enumerate() {
        let (text, tries) = &failed[&(row * 20 + 5)];
        assert!(text.contains(words), "{fault:?}: {text}");
        if matches!(fault, Fault::Password | Fault::Refuse(..)) {
            assert_eq!(*tries, 1, "{fault:?} was tried again");
        }
    }
    assert!(failed[&185].0.contains("Host key is not known"), "{}", failed[&185].0);
    let mut reasons: Vec<&String> = failed.values().map(|f| &f.0).collect();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), 10, "ten failures have ten reasons");
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
    rig.profile("lab", PROFILE);
    rig.pin("gw", &simulator);
    let table =
        |address: std::net::SocketAddr| format!("source = \"ssh://gw@{address}\"\nprofile = \"lab\"\ncredential = \"env:PW\"\n");
    let mut cuts = 0;
    loop {
        let (address, left) = cutter(simulator.address, cuts);
        let begun = Instant::now();
        let result = rig.collect(&table(address));
        assert!(begun.elapsed() < Duration::from_secs(15), "cut {cuts} held on");
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
