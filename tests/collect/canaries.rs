//! Passwords on their way to a device: never an argument, never in an environment but the user's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::backup::{Lab, NEW, STATUS, exchange, none_yet, status};
use crate::env::{Run, TestEnv};
use crate::http::{Server, ok};
use crate::play::{Exchange, Play};
use crate::simulator::{Device, Simulator};
use crate::sshd_server::{Sshd, available};

/// What is looked for by each test; the processes of another may have its own, and those of another run of the tests.
static PASSWORDS: LazyLock<[String; 2]> = LazyLock::new(|| ["pw", "en"].map(own));
static PASSPHRASES: LazyLock<[String; 1]> = LazyLock::new(|| ["ph"].map(own));
static DRS: LazyLock<[String; 1]> = LazyLock::new(|| ["drs"].map(own));
static TOKENS: LazyLock<[String; 1]> = LazyLock::new(|| ["tk"].map(own));
static CONTROL: LazyLock<[String; 1]> = LazyLock::new(|| ["ct"].map(own));

fn own(kind: &str) -> String {
    format!("{kind}-canary-{:06x}", std::process::id())
}

/// Reads the arguments and the environment of every process of the machine, over and over.
struct Sampler {
    stop: Arc<AtomicBool>,
    /// Whether something was found so far.
    met: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Sampler {
    fn start(canaries: &'static [String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, met) = (stop.clone(), Arc::new(AtomicBool::new(false)));
        let meets = met.clone();
        let thread = std::thread::spawn(move || {
            let (mut rounds, mut found) = (0, Vec::new());
            while !ended.load(Ordering::SeqCst) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
                    // One that ends or becomes another program meanwhile says nothing; what lasts is seen in another round.
                    let program = || fs::read_link(entry.path().join("exe")).ok();
                    let Some(before) = program() else { continue };
                    for file in ["cmdline", "environ"] {
                        let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
                        let leaks = |canary: &&String| memchr::memmem::find(&bytes, canary.as_bytes()).is_some();
                        let leak = canaries.iter().find(leaks);
                        if let Some(canary) = leak.filter(|_| program().as_ref() == Some(&before)) {
                            meets.store(true, Ordering::SeqCst);
                            found.push(format!("{canary} in {file} of {id} {}", before.display()));
                        }
                    }
                }
                rounds += 1;
            }
            found.sort();
            found.dedup();
            (rounds, found)
        });
        Self { stop, met, thread }
    }

    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let (rounds, found) = self.thread.join().unwrap();
        assert!(rounds > 0, "nothing was looked at");
        found
    }
}

fn private(env: &TestEnv, name: &str, text: &str) {
    env.write(name, text);
    fs::set_permissions(env.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs a command under the eyes of the sampler. What it prints has no canary either.
fn watched(env: &TestEnv, canaries: &'static [String], args: &[&str], stdin: Option<&str>, user: bool) -> Run {
    let sampler = Sampler::start(canaries);
    let mut command = env.command(args);
    if user {
        command.env("GW_PASSWORD", &PASSWORDS[0]).env("GW_ENABLE", &PASSWORDS[1]);
    }
    if let Some(name) = stdin {
        command.stdin(fs::File::open(env.path(name)).unwrap());
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let run = env.ended(child.wait_with_output().unwrap());
    let mut found = sampler.finish();
    // Its own environment is as the user gave it, also in the moment between the fork of a child and its program.
    found.retain(|place| !user || !place.contains(" in environ of ") || !place.ends_with("/confvault"));
    assert!(found.is_empty(), "{args:?}: {found:?}");
    let said = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
    assert!(!canaries.iter().any(|canary| said.contains(canary.as_str())), "{args:?}: {said}");
    run
}

#[test]
fn the_sampler_sees_what_it_looks_for() {
    for (arguments, environment) in [(true, false), (false, true)] {
        let sampler = Sampler::start(&*CONTROL);
        let mut command = Command::new("sh");
        command.args(["-c", "read line; true"]).stdin(Stdio::piped());
        if arguments {
            command.arg(format!("x{}x", CONTROL[0]));
        }
        if environment {
            command.env("X", &CONTROL[0]);
        }
        // It stands there until it was seen.
        let (mut child, begun) = (command.spawn().unwrap(), Instant::now());
        while !sampler.met.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert!(!sampler.finish().is_empty());
    }
}

fn gateway() -> Device {
    let mut play = Play::gateway("gw", "!\nhostname gw\n!\n!\n!\n!\n!\n!\n!\n!\n!\nend\n");
    play.prompt = "gw>".into();
    play.exchange[1].output =
        "Cisco IOS Software, C2900 Software (C2900-K9-M), Version 15.7(3)M6, RELEASE SOFTWARE (fc1)\ngw uptime is 1 day\nSystem image file is \"x\"\n".into();
    play.exchange.push(Exchange {
        command: "enable".into(),
        asks: Some("Password: ".into()),
        answer: Some("{enable}".into()),
        refused: "% Access denied\n".into(),
        prompt: Some("gw#".into()),
        ..Exchange::default()
    });
    Device { password: PASSWORDS[0].clone(), enable: PASSWORDS[1].clone(), ..Device::new(play) }
}

#[test]
fn no_password_is_an_argument_or_in_the_environment_of_a_child() {
    let simulator = Simulator::one("gw", gateway());
    let env = TestEnv::with_store();
    private(&env, "password", &format!("{}\n", PASSWORDS[0]));
    private(&env, "enable", &format!("{}\n", PASSWORDS[1]));
    // The way to the device leads through a child that notes what it was given.
    let config = format!(
        "Host gw\n  HostName 127.0.0.1\n  Port {}\n  ProxyCommand sh -c 'env >> proxy-env; exec nc %h %p'\n",
        simulator.address.port()
    );
    env.write("../home/.ssh/config", config);
    env.cv(&["device", "add", "gw", "--source", "ssh://gw@gw", "--profile", "cisco-ios"]).succeeded();
    watched(&env, &*PASSWORDS, &["device", "trust", "--all", "--accept-new"], None, true).succeeded();

    let commands: [&[&str]; 4] =
        [&["snapshot", "-vvv"], &["snapshot", "--full"], &["device", "test", "gw"], &["diff", "gw", "now"]];
    let kinds = [
        ("file:password", "file:enable", false),
        ("command:env >> command-env; sleep 0.3; cat password", "command:sleep 0.3; cat enable", false),
        ("env:GW_PASSWORD", "env:GW_ENABLE", true),
        ("store", "store", false),
    ];
    for (first, second, user) in kinds {
        env.cv(&["device", "set", "gw", "--credential", first, "--credential2", second]).succeeded();
        if first == "store" {
            watched(&env, &*PASSWORDS, &["credential", "set", "gw"], Some("password"), false).succeeded();
            watched(&env, &*PASSWORDS, &["credential", "set", "gw", "--second"], Some("enable"), false).succeeded();
        }
        for args in commands {
            let run = watched(&env, &*PASSWORDS, args, None, user);
            assert_eq!(run.code, 0, "{first} {args:?}: {run}");
        }
        // A password that is refused is not shown either, in any way of saying it.
        for name in ["password", "enable"] {
            let good = env.read(name);
            private(&env, name, &format!("{}-wrong\n", good.trim()));
            if first == "store" {
                let second: &[&str] = if name == "enable" { &["--second"] } else { &[] };
                watched(&env, &*PASSWORDS, &[&["credential", "set", "gw"], second].concat(), Some(name), false).succeeded();
            }
            let run = watched(&env, &*PASSWORDS, &["snapshot", "-vvv"], None, user);
            assert!(user || run.code == 3, "{first} {name}: {run}");
            private(&env, name, &good);
        }
    }
    for file in ["proxy-env", "command-env"] {
        let text = env.read(file);
        assert!(text.contains("PATH=") && !PASSWORDS.iter().any(|canary| text.contains(canary.as_str())), "{file}: {text}");
        assert!(!text.contains("GW_PASSWORD"), "{file}: {text}");
    }
    let journal = env.cv(&["journal", "--json"]).succeeded();
    assert!(!PASSWORDS.iter().any(|canary| journal.contains(canary.as_str())));
}

#[test]
fn no_passphrase_is_an_argument_or_in_an_environment() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("");
    let env = TestEnv::with_store();
    crate::sshd_server::keygen(&env.path("key"), &PASSPHRASES[0]);
    let mut keys = fs::read_to_string(sshd.path("authorized_keys")).unwrap();
    keys.push_str(&env.read("key.pub"));
    sshd.write("authorized_keys", keys);
    private(&env, "passphrase", &format!("{}\n", PASSPHRASES[0]));
    sshd.write("tree/a.conf", "alpha\n");
    let source = format!("sftp://{}@127.0.0.1:{}{}", sshd.user, sshd.port, sshd.path("tree").display());
    let add = ["device", "add", "host", "--source", &source, "--profile", "generic", "--release", "1"];
    env.cv(&[&add[..], &["--credential", "key:key", "--credential2", "file:passphrase"]].concat()).succeeded();
    env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
    let run = watched(&env, &*PASSPHRASES, &["snapshot", "-vvv"], None, false);
    assert!(run.stderr.contains("1 new"), "{run}");
    // Files with credentials that others may read are refused, whatever they hold.
    for name in ["key", "passphrase"] {
        fs::set_permissions(env.path(name), fs::Permissions::from_mode(0o644)).unwrap();
        let said = watched(&env, &*PASSPHRASES, &["snapshot"], None, false).failed(3);
        assert!(said.contains("can be read by others (mode 0644)"), "{said}");
        fs::set_permissions(env.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn no_password_is_seen_while_a_call_manager_makes_a_backup() {
    let lab = Lab::with_password(vec![none_yet(), exchange(STATUS, &status(100, "SUCCESS"))], &DRS[0]);
    private(&lab.env, "password", &format!("{}\n", DRS[0]));
    lab.env.cv(&["device", "set", "pub", "--credential", "command:sleep 0.3; cat password"]).succeeded();
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            lab.wait_for_looks(2);
            lab.set(NEW, "SUCCESS");
        });
        let args = ["drs", "backup", "cucm", "--via", "pub", "--target", "NAS", "-vvv"];
        watched(&lab.env, &*DRS, &args, None, false)
    });
    assert!(run.succeeded().contains("generation 1"));
}

#[test]
fn no_token_is_seen_while_an_inventory_is_fetched() {
    let env = TestEnv::with_store();
    private(&env, "token", &format!("{}\n", TOKENS[0]));
    let server = Server::new(|_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        ok(r#"{"count": 0, "next": null, "previous": null, "results": []}"#)
    });
    let args = ["device", "import", "--netbox", &server.url, "--token", "file:token", "--user", "backup", "-vvv"];
    watched(&env, &*TOKENS, &args, None, false).succeeded();
    // It was sent, so the sampler had something to miss.
    assert!(server.asked().iter().all(|head| head.contains(TOKENS[0].as_str())) && server.asked().len() == 1);
}
