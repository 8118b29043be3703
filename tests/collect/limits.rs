//! How much a fleet takes: addresses, places per site, tries, memory, and a run that is ended.

use std::collections::HashMap;
use std::io::{BufRead as _, Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::env::TestEnv;
use crate::play::{Play, gateway_profile};
use crate::rig::{Rig, ssh, whole};
use crate::simulator::{Device, Fault, Simulator};

fn profile() -> String {
    gateway_profile("refusals = ['^% Invalid input']\nlogout = [\"exit\"]", "")
}

fn config(name: &str) -> String {
    format!("hostname {name}\n{}end\n", "interface x\n description y\n".repeat(40))
}

fn gateway(name: &str) -> Device {
    Device::new(Play::gateway(name, &config(name)))
}

fn fleet(names: &[String]) -> HashMap<String, Device> {
    names.iter().map(|name| (name.clone(), gateway(name))).collect()
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}-{i}")).collect()
}

/// A store with the devices of simulators; each with lines for the tables of its devices.
fn store(policy: &str, parts: &[(&Simulator, &[String], &str)]) -> TestEnv {
    let env = TestEnv::with_store();
    env.write("profiles/lab.toml", format!("name = \"lab\"\n{}", profile()));
    let mut inventory = format!("collector = \"central\"\n[policy]\n{policy}\n");
    let mut pins = String::new();
    for (simulator, names, more) in parts {
        for name in *names {
            let address = simulator.address;
            inventory.push_str(&format!(
                "[devices.{name}]\nsource = \"ssh://{name}@{address}\"\nprofile = \"lab\"\ncredential = \"env:PW\"\n{more}\n"
            ));
            pins.push_str(&format!("{name} {}\n", simulator.public_key()));
        }
    }
    env.write("confvault.toml", inventory);
    env.write("known_hosts", pins);
    env
}

#[test]
fn connections_come_from_the_address_that_the_entry_names() {
    let simulator = Simulator::one("gw", gateway("gw"));
    let rig = Rig::new();
    rig.profile("lab", &profile());
    rig.pin("gw", &simulator);
    let table = ssh(&simulator, "lab");
    rig.collect(&table).unwrap();
    rig.collect(&format!("{table}bind_address = \"127.0.0.2\"\n")).unwrap();
    let peers: Vec<String> = simulator.counts.peers.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["127.0.0.1", "127.0.0.2"]);
    // As the ssh configuration says, where the entry does not.
    std::fs::write(rig.path("home/.ssh/config"), "Host *\n  BindAddress 127.0.0.3\n").unwrap();
    let rig = Rig { network: confvault::collect::Network::new(), ..rig };
    rig.collect(&table).unwrap();
    assert!(simulator.counts.peers.lock().unwrap().contains(&"127.0.0.3".parse().unwrap()));
    // An address that is none of ours is no way around it.
    let before = simulator.counts.connections.load(Ordering::SeqCst);
    let error = rig.collect(&format!("{table}bind_address = \"203.0.113.7\"\n")).unwrap_err();
    assert!(whole(&error).contains("No connection to 127.0.0.1"), "{}", whole(&error));
    assert_eq!(simulator.counts.connections.load(Ordering::SeqCst), before);
}

#[test]
fn a_site_has_no_more_connections_than_its_limit() {
    let (far, near) = (names("far", 24), names("near", 24));
    let slow = |names: &[String]| {
        let mut devices = fleet(names);
        devices.values_mut().for_each(|device| device.play.delay_ms = 60);
        Simulator::start(devices)
    };
    let (behind_a_thin_line, on_the_spot) = (slow(&far), slow(&near));
    let env = store("jobs_per_site = 3", &[(&behind_a_thin_line, &far, "site = \"far\""), (&on_the_spot, &near, "")]);
    let mut command = env.command(&["snapshot", "--jobs", "24"]);
    let said = env.run(command.env("PW", "lab"));
    assert!(said.stderr.contains("48 new, 0 unchanged, 0 failed"), "{said}");
    let peak = |simulator: &Simulator| simulator.counts.peak.load(Ordering::SeqCst);
    assert!(peak(&behind_a_thin_line) <= 3, "{} connections to one site", peak(&behind_a_thin_line));
    assert!(peak(&on_the_spot) > 3, "devices without a site wait for one: {}", peak(&on_the_spot));
}

#[test]
fn what_can_pass_is_tried_again_after_a_pause_and_a_refused_password_is_not() {
    let name = names("gw", 1);
    let simulator = Simulator::start(fleet(&name));
    let env = store("", &[(&simulator, &name, "")]);
    let run = |password: &str| {
        let mut command = env.command(&["snapshot", "--json"]);
        env.run(command.env("PW", password))
    };
    // Twice turned away, then let in: 2 s and 4 s later.
    simulator.counts.turn_away.store(2, Ordering::SeqCst);
    let begun = Instant::now();
    let good = run("lab");
    assert_eq!(good.json()["new_count"], 1, "{good}");
    assert_eq!(simulator.counts.connections.load(Ordering::SeqCst), 3);
    assert!(begun.elapsed() >= Duration::from_secs(6), "tried again after {:?}", begun.elapsed());
    // Turned away each time: three tries are enough.
    simulator.counts.turn_away.store(100, Ordering::SeqCst);
    assert_eq!(run("lab").json()["failed_count"], 1);
    assert_eq!(simulator.counts.connections.load(Ordering::SeqCst), 6);
    simulator.counts.turn_away.store(0, Ordering::SeqCst);

    let credentials = simulator.credentials();
    let refused = run("wrong");
    assert_eq!(refused.json()["failed_count"], 1, "{refused}");
    assert!(refused.stderr.contains("Login refused") && !refused.stderr.contains("wrong"), "{refused}");
    assert_eq!(simulator.credentials(), credentials + 1, "a refused password was sent again");
    assert_eq!(simulator.counts.connections.load(Ordering::SeqCst), 7);
}

/// Waits for the end and gives what it said, with the peak of its memory in KiB.
pub fn watched(mut child: Child) -> (i32, String, u64) {
    let status = format!("/proc/{}/status", child.id());
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut peak = 0;
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
    };
    (code, reader.join().unwrap(), peak)
}

/// A host that never comes to the exchange of keys: it sends banners of a log-in, for ever, a thousand and then a pause.
fn banners(pause: Duration) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            std::thread::spawn(move || {
                let packet = [&[0, 0, 0, 20, 9, 53, 0, 0, 0, 1, b'x', 0, 0, 0, 0][..], &[0; 9]].concat().repeat(1000);
                let mut sent = socket.write_all(b"SSH-2.0-x\r\n");
                while sent.is_ok() {
                    sent = socket.write_all(&packet);
                    std::thread::sleep(pause);
                }
            });
        }
    });
    address
}

#[test]
fn a_host_of_nothing_but_banners_is_ended() {
    nothing_but_banners(Duration::ZERO);
}

/// Each read of them comes to an end, so that no single one is too long or brings too much.
#[test]
fn a_host_of_banners_that_takes_breath_is_ended() {
    nothing_but_banners(Duration::from_millis(4));
}

fn nothing_but_banners(pause: Duration) {
    let env = TestEnv::with_store();
    let source = format!("ssh://x@{}", banners(pause));
    env.cv(&["device", "add", "x", "--source", &source, "--profile", "cisco-ios", "--credential", "env:PW"]).succeeded();
    env.write("confvault.toml", env.read("confvault.toml") + "timeout = \"600 s\"\n");
    let mut command = env.command(&["snapshot"]);
    command.env("PW", "lab").stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let (code, said, peak) = watched(command.spawn().unwrap());
    assert_eq!(code, 3, "{said}");
    assert!(begun.elapsed() < Duration::from_secs(300), "it held on for {:?}: {said}", begun.elapsed());
    assert!(said.contains("Device sends without end while shaking hands"), "{said}");
    // The whole time would bring gigabytes.
    assert!(peak < 64 << 10, "{peak} KiB: {said}");
}

/// A real server that is not ours, as what it sends is encrypted: the exchange of keys is behind it.
struct Flooder(Child);

impl Drop for Flooder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn banners_behind_the_exchange_of_keys_are_ended_too() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/banners.py");
    let server = std::process::Command::new("/usr/bin/python3").arg(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Flooder(server);
    let mut line = String::new();
    std::io::BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (port, key) = line.trim().split_once(' ').expect("python3-paramiko is there");
    let env = TestEnv::with_store();
    env.write("known_hosts", format!("x {key}\n"));
    let source = format!("ssh://x@127.0.0.1:{port}");
    env.cv(&["device", "add", "x", "--source", &source, "--profile", "cisco-ios", "--credential", "env:PW"]).succeeded();
    env.write("confvault.toml", env.read("confvault.toml") + "timeout = \"600 s\"\n");
    let mut command = env.command(&["snapshot"]);
    command.env("PW", "lab").stdout(Stdio::null()).stderr(Stdio::piped());
    let (code, said, peak) = watched(command.spawn().unwrap());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("Device sends without end while asking how to log in"), "{said}");
    assert!(peak < 64 << 10, "{peak} KiB: {said}");
}

#[test]
fn floods_cost_little_memory_and_nobody_else() {
    let good = names("gw", 20);
    let bad = names("bad", 3);
    let mut devices = fleet(&good);
    for (name, fault) in bad.iter().zip([
        Fault::Flood("show running-config"),
        Fault::LongLine("show running-config"),
        Fault::Trickle("show version"),
    ]) {
        devices.insert(name.clone(), gateway(name).fault(fault));
    }
    let simulator = Simulator::start(devices);
    let banners = names("banner", 1);
    let flood = Simulator::start(HashMap::from([(banners[0].clone(), gateway("x").fault(Fault::BannerFlood))]));
    let run = |parts: &[(&Simulator, &[String], &str)]| {
        let env = store("", parts);
        let mut command = env.command(&["snapshot"]);
        command.env("PW", "lab").stdout(Stdio::null()).stderr(Stdio::piped());
        let result = watched(command.spawn().unwrap());
        (env, result)
    };
    let (_, (code, said, least)) = run(&[(&simulator, &good, "")]);
    assert!(code == 0 && least > 0, "{said}");
    // What floods is ended by how much it sends; what trickles by its time.
    let parts: [(&Simulator, &[String], &str); 4] = [
        (&simulator, &good, ""),
        (&simulator, &bad[..2], "timeout = \"300 s\""),
        (&simulator, &bad[2..], "timeout = \"15 s\""),
        (&flood, &banners, "timeout = \"5 s\""),
    ];
    let (env, (code, said, most)) = run(&parts);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("20 new, 0 unchanged, 4 failed"), "{said}");
    for words in [
        "The device sent more than 50331648 bytes",
        "The device sent a line longer than 1048576 bytes",
        "used up its total time",
        "Device banner-0: ",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(most.saturating_sub(least) < 64 << 10, "memory grew from {least} to {most} KiB");
    for name in bad.iter().chain(&banners) {
        env.cv(&["log", name]).failed(1);
    }
}

#[test]
fn the_first_ctrl_c_keeps_what_is_there_and_names_the_rest() {
    let (good, hangs, queue) = (names("a", 4), names("b", 3), names("c", 10));
    let mut devices = fleet(&good);
    devices.extend(hangs.iter().map(|name| (name.clone(), gateway(name).fault(Fault::Hang("show running-config")))));
    devices.extend(fleet(&queue));
    let simulator = Simulator::start(devices);
    let env = store("", &[(&simulator, &good, ""), (&simulator, &hangs, ""), (&simulator, &queue, "")]);
    let mut command = env.command(&["snapshot", "--jobs", "3"]);
    command.env("PW", "lab").stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    // Three jobs: once the three that hang have been asked, all before them are done and none behind is begun.
    let asked = || simulator.counts.commands.lock().unwrap().iter().filter(|line| *line == "show running-config").count();
    let begun = Instant::now();
    while asked() < good.len() + hangs.len() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} were asked", asked());
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let begun = Instant::now();
    let (code, said, _) = watched(child);
    assert!(begun.elapsed() < Duration::from_secs(60), "the end took {:?}", begun.elapsed());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("4 new, 0 unchanged, 13 failed"), "{said}");
    for name in hangs.iter().chain(&queue) {
        assert!(said.contains(&format!("Device {name}: ")), "{name}: {said}");
    }
    assert_eq!(asked(), 7, "a device was begun after the end was asked for");
    let left = crate::support::garbage(&env.path("store.git"));
    assert!(left.is_empty(), "{left:?}");
    assert!(
        !env.path("store.git/confvault").read_dir().unwrap().any(|e| e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("spool"))
    );
    // The next run needs nobody.
    let mut command = env.command(&["snapshot", "a-0", "c-9"]);
    let next = env.run(command.env("PW", "lab"));
    assert!(next.stderr.contains("1 new, 1 unchanged, 0 failed"), "{next}");
}
