//! The program from the first look at a device to its generations.

use std::fs;

use crate::env::TestEnv;
use crate::play::{Exchange, Pager, Play};
use crate::simulator::{Device, Fault, Simulator};

const CONFIG: &str = "Building configuration...\n\nCurrent configuration : 99 bytes\n!\nhostname gw\n!\nenable secret 5 $1$canary$canary7f3aaaaaaaaaaa\n!\n\
                      interface x\n description y\n!\nline vty 0 4\n";

fn device() -> Device {
    let mut play = Play::gateway("gw", &format!("{CONFIG}{}end\n", " transport input ssh\n".repeat(80)));
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
        unknown.contains("error: Device gw: Host key of the device is not accepted\ncaused by: Host key is not known")
            && unknown.contains("confvault device trust gw --fingerprint"),
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
    assert!(missing.contains("Device gw: Login is not set up") && missing.contains("confvault credential set gw"), "{missing}");
    let mut set = env.command(&["credential", "set", "gw"]);
    fs::write(env.path("secret"), "lab\n").unwrap();
    set.stdin(fs::File::open(env.path("secret")).unwrap());
    env.run(&mut set).succeeded();
    let tested = env.cv(&["device", "test", "gw"]).succeeded();
    assert!(tested.contains("host key ssh-ed25519 SHA256:") && tested.contains("logged in as gw"), "{tested}");
    assert!(tested.contains("running-config"), "{tested}");
    assert!(!tested.contains("canary"), "{tested}");

    let mut broken = env.command(&["device", "set", "gw", "--credential", "env:PW"]);
    env.run(&mut broken).succeeded();
    let mut refused = env.command(&["device", "test", "gw"]);
    let refused = env.run(refused.env("PW", "wrong"));
    assert!(refused.text().lines().last().unwrap().contains("s  failed after host key ssh-ed25519 "), "{refused}");
    assert!(
        refused.stderr.starts_with("error: Login failed\ncaused by: Login refused") && !refused.stderr.contains("NAME"),
        "{refused}"
    );
    assert!(!refused.stderr.contains("device test"), "{refused}");
    // A profile that does not fit, and a port where nothing is: what to mend is said, not only to look.
    env.cv(&["device", "set", "gw", "--credential", "store", "--profile", "junos"]).succeeded();
    let other = env.cv(&["device", "test", "gw"]).failed(1);
    assert!(other.contains("the profile is not that of the device") && other.contains("device set gw --profile"), "{other}");
    env.cv(&["device", "set", "gw", "--profile", "cisco-ios"]).succeeded();
    let nobody = Place::new();
    env.cv(&["device", "set", "gw", "--source", &format!("ssh://gw@{}", nobody.address)]).succeeded();
    let closed = env.cv(&["device", "test", "gw"]).failed(1);
    assert!(
        closed.contains("Device cannot be reached")
            && closed.contains("has SSH on at that port")
            && !closed.contains("device test"),
        "{closed}"
    );
    env.cv(&["device", "set", "gw", "--source", &format!("ssh://gw@{}", simulator.address)]).succeeded();

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

/// An address that one simulator after the other has, and nobody in between.
struct Place {
    address: String,
    /// Holds the port: bound, and never listening, so that who reuses an address can listen there.
    _held: std::os::fd::OwnedFd,
}

impl Place {
    fn new() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt::set_socket_reuseaddr};
        let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        set_socket_reuseaddr(&held, true).unwrap();
        bind(&held, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = std::net::SocketAddr::try_from(getsockname(&held).unwrap()).unwrap();
        Self { address: address.to_string(), _held: held }
    }
}

/// A store with a device that had one good snapshot, and what a simulator needs to take its place.
fn once_good(device: Device) -> (TestEnv, russh::keys::PrivateKey, Place) {
    let env = TestEnv::with_store();
    let (key, place) = once_good_in(&env, device);
    (env, key, place)
}

fn once_good_in(env: &TestEnv, device: Device) -> (russh::keys::PrivateKey, Place) {
    let (place, key) = (Place::new(), Simulator::one("x", device.clone()).key.clone());
    let good = again(device, &key, &place);
    add(env, &good, "env:PW");
    env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
    let mut command = env.command(&["snapshot"]);
    env.run(command.env("PW", "lab")).succeeded();
    (key, place)
}

/// The device again, at its address and with its key.
fn again(device: Device, key: &russh::keys::PrivateKey, place: &Place) -> Simulator {
    Simulator::with_key([("gw".to_owned(), device)].into(), key.clone(), &place.address)
}

/// A device whose pager does not wipe out what it draws.
fn paged() -> Device {
    let mut device = device();
    device.play.pager = Some(Pager { text: " --More-- ".into(), lines: 3, erase: String::new(), off: "nothing".into() });
    device
}

#[test]
fn nothing_partial_makes_a_generation_and_each_failure_is_recorded() {
    const RUN: &str = "show running-config";
    let (env, key, place) = once_good(device());
    let refuse = |text| device().fault(Fault::Refuse(RUN, text));
    let mut shrunk = device();
    shrunk.play.exchange.retain(|e| e.command != RUN);
    let short = "Building configuration...\n\nCurrent configuration : 9 bytes\n!\nhostname gw\n!\n!\n!\n!\n!\nend\n";
    shrunk.play.exchange.push(Exchange { command: RUN.into(), output: short.into(), ..Exchange::default() });
    let cases = [
        ("cut off", device().fault(Fault::Half(RUN))),
        ("closed the session", device().fault(Fault::Cut(RUN))),
        ("permission denied", refuse("% Permission denied")),
        ("Authorization failed", refuse("% Authorization failed.")),
        ("Invalid input", refuse("% Invalid input detected at '^' marker.")),
        ("cut off: 0 lines", device().fault(Fault::Empty(RUN))),
        ("The answer is paged", paged()),
        ("Set shrank by", shrunk),
    ];
    // A connection that broke gave no answer that could be taken.
    let never = ["closed the session"];
    let count = cases.len() + never.len();
    let mut device_file = env.read("confvault.toml");
    device_file = device_file.replace("[policy]\n", "[policy]\nmax_shrink = \"20 %\"\n");
    env.write("confvault.toml", device_file);
    for (words, device) in cases {
        let _simulator = again(device, &key, &place);
        let mut command = env.command(&["snapshot"]);
        let said = env.run(command.env("PW", "lab")).failed(3);
        assert!(said.to_lowercase().contains(&words.to_lowercase()), "{words}: {said}");
        if never.contains(&words) {
            let mut command = env.command(&["snapshot", "--accept=so be it"]);
            env.run(command.env("PW", "lab")).failed(3);
        }
        assert_eq!(env.cv(&["log", "gw", "--json"]).json()["generations"].as_array().unwrap().len(), 1, "{words}");
    }
    let journal = env.cv(&["journal"]).succeeded();
    assert_eq!(journal.lines().filter(|line| line.contains("failed")).count(), count, "{journal}");
    let _good = again(device(), &key, &place);
    let mut command = env.command(&["snapshot"]);
    assert!(env.run(command.env("PW", "lab")).succeeded().contains("unchanged 1"));
}

/// What came to its end and is not whole, as the administrator may know better.
#[test]
fn an_answer_that_is_not_whole_is_taken_on_purpose_and_once() {
    const RUN: &str = "show running-config";
    let (env, key, place) = once_good(device());
    let snapshot = |more: &[&str]| {
        let mut command = env.command(&["snapshot", "gw"]);
        env.run(command.args(more).env("PW", "lab"))
    };
    let cases = [
        ("The answer is cut off: ", device().fault(Fault::Half(RUN))),
        ("The device refused with ", device().fault(Fault::Refuse(RUN, "% Authorization failed."))),
        ("The answer is cut off: 0 lines", device().fault(Fault::Empty(RUN))),
        ("The answer is paged: ", paged()),
    ];
    for (at, (words, device)) in cases.into_iter().enumerate() {
        let _simulator = again(device, &key, &place);
        let said = snapshot(&[]).failed(3);
        assert!(words.contains("paged") || said.contains("`confvault snapshot gw --accept=WHY`"), "{said}");
        snapshot(&["--accept=it is all that we get"]).succeeded();
        let point = format!("gw@{}", at + 2);
        let taken = format!("Answer of running-config is not whole: {words}");
        let shown = env.cv(&["show", &point]).succeeded();
        assert!(shown.contains(&taken) && shown.contains(": it is all that we get"), "{shown}");
        // Whoever restores it is told, and once is not for ever.
        let restored = env.cv(&["restore", &point, "--plan", "--to", "out"]);
        assert!(restored.stderr.contains(&taken), "{restored}");
        assert!(snapshot(&["--full"]).failed(3).contains(words));
    }
    let _good = again(device(), &key, &place);
    snapshot(&[]).succeeded();
    assert_eq!(env.cv(&["diff", "gw@1", "gw"]).code, 0);
}

/// The first generation says what it is made of, too.
#[test]
fn a_first_set_that_is_not_whole_says_so() {
    let simulator = Simulator::one("gw", device().fault(Fault::Half("show running-config")));
    let env = TestEnv::with_store();
    add(&env, &simulator, "env:PW");
    env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
    let mut command = env.command(&["snapshot", "gw", "--accept=so it is"]);
    env.run(command.env("PW", "lab")).succeeded();
    let shown = env.cv(&["show", "gw@1"]).succeeded();
    assert!(shown.contains("Answer of running-config is not whole: The answer is cut off: "), "{shown}");
}

/// What confvault itself accepts is a set that is smaller, and nothing that is not whole.
#[test]
fn only_who_names_the_device_takes_what_is_not_whole() {
    let (env, key, place) = once_good(device());
    let run = |args: &[&str]| env.run(env.command(args).env("PW", "lab"));
    let good = again(device(), &key, &place);
    run(&["release", "begin", "gw", "15.8(1)M", "--why", "x", "--unreviewed", "x"]).succeeded();
    drop(good);
    let half = again(device().fault(Fault::Half("show running-config")), &key, &place);
    let before = env.cv(&["log", "gw", "--json"]).json()["generations"].as_array().unwrap().len();
    for args in
        [&["snapshot", "--accept=so it is"][..], &["snapshot", "--accept=so it is", "--full"], &["release", "finish", "gw"]]
    {
        let said = run(args);
        assert!(said.code != 0 && said.stderr.contains("cut off"), "{args:?}: {said}");
    }
    drop(half);
    let other = Simulator::one("gw", device().fault(Fault::Half("show running-config")));
    let source = format!("ssh://gw@{}", other.address);
    let said = run(&["device", "replace", "gw", "--source", &source, "--accept-key", "--why", "RMA"]).failed(3);
    assert!(said.contains("cut off"), "{said}");
    assert_eq!(env.cv(&["log", "gw", "--json"]).json()["generations"].as_array().unwrap().len(), before);
}

/// A command that the profile does not require, once it has answered.
#[test]
fn an_answer_that_is_refused_later_is_no_smaller_generation() {
    const RUN: &str = "show startup-config";
    let saved = || {
        let mut device = device();
        let output = format!("Using 99 out of 999 bytes\n!\n{}end\n", " description y\n".repeat(9));
        device.play.exchange.push(Exchange { command: RUN.into(), output, ..Exchange::default() });
        device
    };
    let (env, key, place) = once_good(saved());
    let snapshot = |more: &[&str]| {
        let mut command = env.command(&["snapshot", "gw"]);
        env.run(command.args(more).env("PW", "lab"))
    };
    let refusing = again(saved().fault(Fault::Refuse(RUN, "% Authorization failed.")), &key, &place);
    for more in [&[][..], &["--full"]] {
        let said = snapshot(more).failed(3);
        let words = "is refused now: startup-config";
        assert!(said.contains(words) && said.contains("Authorization failed") && said.contains("--accept"), "{said}");
    }
    assert_eq!(env.cv(&["log", "gw", "--json"]).json()["generations"].as_array().unwrap().len(), 1);
    snapshot(&["--accept=it was taken out"]).succeeded();
    let shown = env.cv(&["show", "gw@2"]).succeeded();
    assert!(shown.contains("Set without startup-config: ") && shown.contains(": it was taken out"), "{shown}");
    // It is not in the last generation any more, so it may be missing; and when it is back, it is taken.
    snapshot(&[]).succeeded();
    drop(refusing);
    let _simulator = again(saved(), &key, &place);
    let said = snapshot(&[]).succeeded();
    assert!(said.contains("generation 3"), "{said}");
}

/// A configuration that is no UTF-8 is masked, kept and given back like any other.
#[test]
fn a_configuration_in_latin_1_is_masked_and_given_back() {
    let mut device = device();
    let run = device.play.exchange.iter_mut().find(|e| e.command == "show running-config").unwrap();
    let user = "username m\u{fc}ller password 0 canary-lat1n\n! Z\u{fc}rich \u{c3}\u{28}\n";
    run.output = run.output.replace("line vty 0 4\n", &format!("{user}line vty 0 4\n"));
    run.latin1 = true;
    let env = TestEnv::new();
    env.cv(&["init", ".", "--collector", "central"]).succeeded();
    once_good_in(&env, device);
    let shown = env.cv(&["show", "gw@1", "running-config"]);
    let has = |bytes: &[u8]| shown.stdout.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"username m\xfcller password 0 ") && has(b"! Z\xfcrich \xc3\x28\n"), "{}", shown.text());
    assert!(!has(b"canary"), "{}", shown.text());
}

/// Nothing on the command line, in the inventory or in the ssh configuration makes a changed key a good one.
#[test]
fn no_switch_makes_a_changed_host_key_good() {
    let (env, key, place) = once_good(device());
    let other = Simulator::one("x", device()).key.clone();
    assert_ne!(other.public_key(), key.public_key());
    let imposter = again(device(), &other, &place);
    fs::create_dir(env.path("sets")).unwrap();
    env.cv(&["device", "add", "sets", "--source", "drs:sets", "--profile", "cucm"]).succeeded();
    env.write("../home/.ssh/config", "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n");
    for args in [
        &["snapshot"][..],
        &["snapshot", "gw", "--accept=yes", "--full"],
        &["device", "test", "gw"],
        &["diff", "gw", "now"],
        &["device", "trust", "gw"],
        &["device", "trust", "--all", "--accept-new"],
        &["drs", "backup", "sets", "--via", "gw", "--target", "NAS"],
    ] {
        let mut command = env.command(args);
        let run = env.run(command.env("PW", "lab"));
        let text = format!("{run}");
        assert!(text.contains("changed"), "{args:?}: {run}");
        // `device trust` only shows; the others fail.
        assert_eq!(run.code == 0, args.starts_with(&["device", "trust"]), "{args:?}: {run}");
    }
    assert_eq!(imposter.credentials(), 0, "a credential was sent");
    let helps = [&["--help"][..], &["snapshot", "--help"], &["device", "--help"], &["device", "test", "--help"]];
    for args in helps {
        let help = env.cv(args).succeeded();
        for word in ["insecure", "no-check", "host-key", "known-hosts"] {
            assert!(!help.contains(word), "{args:?} has {word}");
        }
    }
    // The key of before is still the one that counts.
    drop(imposter);
    env.cv(&["device", "remove", "sets"]).succeeded();
    let _good = again(device(), &key, &place);
    let mut command = env.command(&["snapshot"]);
    assert!(env.run(command.env("PW", "lab")).succeeded().contains("unchanged 1"));
}

#[test]
fn the_keys_of_a_whole_fleet_are_pinned_at_once() {
    let simulator = Simulator::start((0..40).map(|i| (format!("gw-{i}"), device())).collect());
    let mute = Simulator::one("mute", device().fault(Fault::Password));
    let gone = mute.address;
    drop(mute);
    let env = TestEnv::with_store();
    let list: String = (0..40).map(|i| format!("gw-{i},ssh://gw-{i}@{},cisco-ios\n", simulator.address)).collect();
    env.write("fleet.csv", format!("name,source,profile\n{list}gone,ssh://x@{gone},cisco-ios\nfolder,dir:x,generic\n"));
    env.cv(&["device", "import", "fleet.csv"]).succeeded();
    // One has a key already, and another one than it shows.
    let other = Simulator::one("x", device());
    env.write("known_hosts", format!("# of the site\ngw-7 {}\n", other.public_key()));
    let run = env.cv(&["device", "trust", "--all", "--accept-new"]);
    assert_eq!(run.code, 3, "{run}");
    assert!(run.stderr.contains("Device gone: ") && run.stderr.contains("without comparison"), "{run}");
    let shown = run.text();
    assert_eq!(shown.lines().filter(|line| line.ends_with("pinned")).count(), 39, "{run}");
    assert!(shown.lines().any(|line| line.starts_with("gw-7 ") && line.contains("changed, expected SHA256:")), "{run}");
    let pins = env.read("known_hosts");
    assert!(pins.starts_with("# of the site\ngw-7 "), "{pins}");
    assert_eq!(pins.lines().filter(|line| line.contains(&simulator.public_key()[..60])).count(), 39, "{pins}");
    assert!(pins.contains("accepted without comparison"), "{pins}");
    let journal = env.cv(&["journal"]).succeeded();
    assert_eq!(journal.lines().filter(|line| line.contains("trust")).count(), 39, "{journal}");
    assert_eq!(simulator.credentials(), 0);
    // All are in one commit of the journal.
    let again = env.cv(&["device", "trust", "--all", "--accept-new"]);
    assert_eq!(again.text().lines().filter(|line| line.ends_with("known")).count(), 39, "{again}");
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
fn every_backup_set_is_a_generation_in_its_order() {
    let env = TestEnv::with_store();
    env.cv(&["device", "add", "cucm", "--source", "drs:drs", "--profile", "cucm"]).succeeded();
    let set = |stamp: &str, version: &str, status: &str| {
        env.write(&format!("drs/{stamp}_PUB-1_UCM_CCMDB.tar"), format!("archive of {stamp}"));
        env.write(
            &format!("drs/{stamp}_PUB-1_drfComponent.xml"),
            format!(
                "<list><FeatureObject><Version>{version}</Version><FeatureName>UCM</FeatureName><Status>{status}</Status><vServerObject>\
                 <ServerObj><ServerName>PUB-1</ServerName><Status>{status}</Status><vComponentObject><ComponentObject>\
                 <ComponentName>CCMDB</ComponentName><Status>{status}</Status></ComponentObject></vComponentObject></ServerObj>\
                 </vServerObject></FeatureObject></list>"
            ),
        );
    };
    let none = env.cv(&["snapshot"]).failed(3);
    assert!(none.contains("Source is missing"), "{none}");
    set("2026-01-01-02-00-00", "14.0.1.11900-132", "SUCCESS");
    set("2026-01-02-02-00-00", "14.0.1.11900-132", "SUCCESS");
    set("2026-01-03-02-00-00", "14.0.1.11900-132", "ERROR");
    set("2026-01-04-02-00-00", "15.0.1.12900-234", "SUCCESS");
    let run = env.cv(&["snapshot"]);
    assert!(run.stderr.contains("3 new"), "{run}");
    // The one that is not whole is told of, and is no generation.
    assert!(run.stderr.contains("2026-01-03-02-00-00 is not whole: UCM/CCMDB on PUB-1: status ERROR"), "{run}");
    let numbers = |run: &crate::env::Run| -> Vec<(u64, String)> {
        let log = run.json();
        let list = log["generations"].as_array().unwrap().clone();
        list.iter().map(|g| (g["number"].as_u64().unwrap(), g["release"].as_str().unwrap().to_owned())).collect()
    };
    let log = env.cv(&["log", "cucm", "--json"]);
    let (old, new) = ("14.0.1.11900-132".to_owned(), "15.0.1.12900-234".to_owned());
    assert_eq!(numbers(&log), [(3, new.clone()), (2, old.clone()), (1, old.clone())]);
    for (number, stamp) in [(1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-04")] {
        let listed = String::from_utf8(env.cv(&["ls", &format!("cucm@{number}")]).stdout).unwrap();
        assert!(listed.lines().filter(|line| line.contains(stamp)).count() == 2, "{number}: {listed}");
    }
    // DRS removes the old ones; nothing is taken twice, and what comes is taken.
    for file in std::fs::read_dir(env.path("drs")).unwrap() {
        let path = file.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("2026-01-04") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(env.cv(&["snapshot"]).succeeded().contains("unchanged 3"));
    assert!(env.cv(&["snapshot", "--full"]).succeeded().contains("unchanged 3"));
    set("2026-01-05-02-00-00", "15.0.1.12900-234", "ERROR");
    let failed = env.cv(&["snapshot"]).failed(3);
    assert!(failed.contains("UCM/CCMDB on PUB-1: status ERROR") && failed.contains("hint: read the component's log"), "{failed}");
    set("2026-01-06-02-00-00", "15.0.1.12900-234", "SUCCESS");
    env.cv(&["snapshot"]).succeeded();
    assert_eq!(numbers(&env.cv(&["log", "cucm", "--json"]))[0], (4, new));
    // It comes back byte for byte.
    let shown = env.cv(&["show", "cucm@2", "2026-01-02-02-00-00_PUB-1_UCM_CCMDB.tar"]);
    assert_eq!(shown.stdout, b"archive of 2026-01-02-02-00-00");
}

#[test]
fn an_archive_over_the_limit_is_a_large_file_and_the_list_is_masked() {
    const KEY: &str = "00112233445566778899aabbccddeeff";
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    let cv = |args: &[&str]| env.cv(&[&["-C", "cv"], args].concat());
    cv(&["device", "add", "cucm", "--source", "drs:../drs", "--profile", "cucm"]).succeeded();
    let archive: Vec<u8> = (0_u32..3_000_000).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (tar, list) = ("2026-01-01-02-00-00_PUB-1_UCM_CCMDB.tar", "2026-01-01-02-00-00_PUB-1_drfComponent.xml");
    env.write(&format!("drs/{tar}"), &archive);
    env.write(
        &format!("drs/{list}"),
        format!(
            "<list><FeatureObject><Version>15.0.1.12900-234</Version><FeatureName>UCM</FeatureName><Status>SUCCESS</Status>\n\
             <EncryptKey>{KEY}</EncryptKey>\n<vServerObject><ServerObj><ServerName>PUB-1</ServerName><Status>SUCCESS</Status>\n\
             <vComponentObject><ComponentObject><ComponentName>CCMDB</ComponentName><Status>SUCCESS</Status></ComponentObject>\
             </vComponentObject></ServerObj></vServerObject></FeatureObject></list>\n"
        ),
    );
    cv(&["snapshot"]).succeeded();
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(env.path("cv/store.git")).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(git(&["for-each-ref", "--format=%(refname)", "refs/large"]), "refs/large/cucm/1\n");
    let line = git(&["for-each-ref", "--format=%(refname)", "refs/heads/cucm"]);
    let in_clear = |word: &str| !git(&["grep", "-a", word, line.trim()]).is_empty();
    assert!(in_clear("EncryptKey") && !in_clear(KEY));
    // Both come back as they were.
    let opened = |path: &str| cv(&["show", "cucm@1", path, "--identity", "cv-admin/identity.txt"]).stdout;
    assert!(opened(tar) == archive, "the archive is another one");
    assert!(String::from_utf8(opened(list)).unwrap().contains(&format!("<EncryptKey>{KEY}</EncryptKey>")));
}
