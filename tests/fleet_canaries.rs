//! A thousand devices, each with secrets of its own, short ones among them: none is found in the store, its caches,
//! its mirror, or what was written meanwhile.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "support/env.rs"]
mod env;
#[path = "sealing/lab.rs"]
mod lab;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use aho_corasick::AhoCorasick;
use env::{Run, TestEnv};

/// Always the same numbers for a device.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn word(&mut self) -> String {
        const ABC: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        (0..12).map(|_| char::from(ABC[usize::try_from(self.roll() % 56).unwrap()])).collect()
    }

    /// A secret as IOS hides it: type 7.
    fn type_7(&mut self) -> String {
        let digits: String = (0..11).fold(String::new(), |mut out, _| {
            write!(out, "{:02X}", self.roll() % 256).unwrap();
            out
        });
        format!("{:02}{digits}", self.roll() % 16)
    }

    fn pin(&mut self) -> String {
        format!("{:04}", self.roll() % 10_000)
    }
}

/// The files of a device, and what must be found nowhere. A PIN is looked for with what stands beside it: four digits
/// alone stand in every digest.
struct Device {
    profile: &'static str,
    files: Vec<(&'static str, String)>,
    secrets: Vec<String>,
}

/// A voice gateway with an account for each dial-peer, and one for all: what others leave in clear.
fn gateway(dice: &mut Dice, peers: u64) -> Device {
    let mut secrets = Vec::new();
    let mut secret = |text: String| {
        secrets.push(text.clone());
        text
    };
    let mut out = String::from("version 16.9\nservice password-encryption\nhostname gw\n!\n");
    writeln!(out, "enable secret 9 {}", secret(format!("$9${}$x", dice.word()))).unwrap();
    writeln!(out, "username admin privilege 15 password 7 {}", secret(dice.type_7())).unwrap();
    writeln!(out, "snmp-server community {} RO 10", secret(dice.word())).unwrap();
    writeln!(out, "crypto isakmp key {} address 192.0.2.9", secret(dice.word())).unwrap();
    for peer in 1..=peers {
        let hidden = secret(dice.type_7());
        writeln!(out, "dial-peer voice {peer} voip\n description trunk {peer}\n session protocol sipv2").unwrap();
        match peer % 4 {
            0 => writeln!(out, " authentication username u{peer} password 7 {hidden} realm carrier.example"),
            1 => writeln!(out, " authentication username u{peer} password 7 {hidden}"),
            2 => writeln!(out, " authentication username \"u{peer}\" password 6 {hidden}"),
            _ => writeln!(out, " authentication username u{peer} challenge password 0 {hidden} realm \"a b\""),
        }
        .unwrap();
        writeln!(out, " codec g711alaw\n!").unwrap();
    }
    let hidden = [secret(dice.type_7()), secret(dice.type_7())];
    writeln!(out, "sip-ua\n authentication username trunk password 7 {}", hidden[0]).unwrap();
    writeln!(out, " credentials username trunk password 7 {} realm carrier.example\n retry invite 2\n!\nend", hidden[1]).unwrap();
    Device { profile: "cisco-ios", files: vec![("running-config", out)], secrets }
}

fn pbx(dice: &mut Dice, number: u64) -> Device {
    let mut secrets = Vec::new();
    let (mut sip, mut voicemail, mut dialplan) =
        (String::from("[general]\nbindport=5060\n"), String::from("[default]\n"), String::new());
    for n in 0..6 {
        // Numbers that no other device has.
        let ext = 1_000_000 + number * 10 + n;
        let (word, pin, room) = (dice.word(), dice.pin(), dice.pin());
        writeln!(sip, "[{ext}]\ntype=friend\nsecret={word}\ncontext=internal").unwrap();
        writeln!(voicemail, "{ext} => {pin},Name {n},n{n}@example.org").unwrap();
        writeln!(dialplan, "exten => {ext},1,Authenticate({room},a)\n same => n,Dial(SIP/{ext})").unwrap();
        secrets.extend([word, format!("{ext} => {pin}"), format!("{ext},1,Authenticate({room}")]);
    }
    let word = dice.word();
    writeln!(sip, "register => trunk{number}:{word}@carrier.example/100").unwrap();
    secrets.push(word);
    let greeting = format!("\0RIFF of {}", dice.word());
    secrets.push(greeting[1..].to_owned());
    let files = vec![
        ("etc/asterisk/sip.conf", sip),
        ("etc/asterisk/voicemail.conf", voicemail),
        ("etc/asterisk/extensions.conf", format!("[internal]\n{dialplan}")),
        ("var/lib/asterisk/sounds/custom/hello.wav", greeting),
    ];
    Device { profile: "asterisk", files, secrets }
}

fn phone(dice: &mut Dice, number: u64) -> Device {
    let (word, admin, pin) = (dice.word(), dice.word(), dice.pin());
    let text = format!(
        "#!version:1.0.0.1\naccount.1.user_name = {number}\naccount.1.password = {word}\nsecurity.user_password = admin:{admin}\n\
         phone_setting.phone_lock.unlock_pin = {pin}\nphone_setting.phone_lock.of = {number}\n"
    );
    Device {
        profile: "yealink",
        files: vec![("001565112233.cfg", text)],
        secrets: vec![word, admin, format!("unlock_pin = {pin}")],
    }
}

fn host(dice: &mut Dice, number: u64) -> Device {
    let (hash, psk, word) = (dice.word() + &dice.word(), dice.word(), dice.word());
    let files = vec![
        ("etc/shadow", format!("root:$6$salt{number}${hash}:19700:0:99999:7:::\n")),
        ("etc/ppp/chap-secrets", format!("\"gw{number}\" * \"{word}\" *\n")),
        (
            "etc/netplan/01.yaml",
            format!("network:\n  wifis:\n    w:\n      access-points:\n        \"v\":\n          password: \"{psk}\"\n"),
        ),
        ("etc/os-release", "VERSION_ID=\"12\"\n".to_owned()),
    ];
    Device { profile: "linux", files, secrets: vec![hash, psk, word] }
}

fn cv(env: &TestEnv, args: &[&str]) -> Run {
    let mut command = env.command(&[&["-C", "cv", "-vvv"], args].concat());
    env.run(command.env("TMPDIR", env.path("tmp")))
}

fn lay_out(env: &TestEnv, name: &str, device: &Device) {
    for (path, text) in &device.files {
        env.write(&format!("devices/{name}/{path}"), text);
    }
}

/// Looks for all of them at once; gives what was found and where.
fn found(secrets: &[String], places: impl IntoIterator<Item = (String, Vec<u8>)>) -> BTreeSet<String> {
    let all = AhoCorasick::new(secrets).unwrap();
    let mut found = BTreeSet::new();
    for (place, bytes) in places {
        for hit in all.find_iter(&bytes) {
            found.insert(format!("{} in {place}", secrets[hit.pattern().as_usize()]));
        }
    }
    found
}

#[test]
fn a_thousand_devices_leave_no_secret_anywhere() {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    fs::create_dir(env.path("tmp")).unwrap();
    let (mut secrets, mut inventory) = (Vec::new(), env.read("cv/confvault.toml"));
    for number in 0..1000 {
        let dice = &mut Dice(number * 7919 + 1);
        let device = match number % 4 {
            0 => gateway(dice, 4),
            1 => pbx(dice, number),
            2 => phone(dice, number),
            _ => host(dice, number),
        };
        let name = format!("d{number:04}");
        lay_out(&env, &name, &device);
        writeln!(
            inventory,
            "\n[devices.{name}]\nsource = \"dir:../devices/{name}\"\nprofile = \"{}\"\nrelease = \"1\"",
            device.profile
        )
        .unwrap();
        secrets.extend(device.secrets);
    }
    env.write("cv/confvault.toml", inventory);
    assert!(secrets.len() > 8_000, "{}", secrets.len());
    // What is looked for is there to be found.
    let sources = || lab::walk(&env.path("devices"));
    assert_eq!(found(&secrets, sources()).len(), secrets.len(), "a secret that stands nowhere proves nothing");

    let mut said = Vec::new();
    let run = cv(&env, &["snapshot"]);
    assert_eq!(run.code, 0, "{}", run.stderr.lines().last().unwrap_or_default());
    said.push(("snapshot".to_owned(), [run.stdout, run.stderr.into_bytes()].concat()));
    // A tenth changes its secrets, and some fail.
    for number in (0..1000).step_by(10) {
        let dice = &mut Dice(number * 7919 + 77);
        let device = if number % 4 == 0 { gateway(dice, 4) } else { phone(dice, number) };
        lay_out(&env, &format!("d{number:04}"), &device);
        secrets.extend(device.secrets);
    }
    for number in [3, 7, 11] {
        fs::remove_dir_all(env.path(format!("devices/d{number:04}"))).unwrap();
    }
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(env.path("mirror.git")).status().unwrap();
    assert!(made.success());
    cv(&env, &["mirror", "add", "offsite", "../mirror.git"]).succeeded();
    for (args, codes) in [
        (&["snapshot"][..], &[3][..]),
        (&["mirror", "push"], &[0]),
        (&["search", "password"], &[0, 1]),
        (&["diff", "d0000@1", "d0000@2"], &[1]),
        (&["maintain"], &[0]),
        (&["check", "--read-data"], &[0]),
        (&["journal"], &[0]),
    ] {
        let run = cv(&env, args);
        assert!(codes.contains(&run.code), "{args:?}: {}", run.stderr.lines().last().unwrap_or_default());
        said.push((args.join(" "), [run.stdout, run.stderr.into_bytes()].concat()));
    }
    let (store, mirror) = (env.path("cv/store.git"), env.path("mirror.git"));
    let mut shows = found(&secrets, said);
    for repo in [&store, &mirror] {
        shows.extend(found(&secrets, lab::objects(repo)));
    }
    for folder in [env.path("cv"), env.path("cv-admin"), env.path("tmp"), env.path("../home"), mirror] {
        shows.extend(found(&secrets, lab::walk(&folder)));
    }
    assert!(shows.is_empty(), "{} of {} show: {:#?}", shows.len(), secrets.len(), shows.iter().take(20).collect::<Vec<_>>());
}

/// Two tools that are in wide use leave each of these in clear; type 7 is no more than a disguise.
#[test]
fn no_sip_credential_of_a_gateway_is_left() {
    let env = TestEnv::new();
    env.cv(&["init", "cv", "--collector", "central"]).succeeded();
    fs::create_dir(env.path("tmp")).unwrap();
    let device = gateway(&mut Dice(1), 22);
    lay_out(&env, "r00001", &device);
    let text = &device.files[0].1;
    let credentials: Vec<&str> = text.lines().filter(|l| l.contains("authentication username")).collect();
    assert_eq!(credentials.len(), 23);
    for profile in ["cisco-ios", "cube"] {
        let add = ["device", "add", profile, "--source", "dir:../devices/r00001", "--profile", profile, "--release", "16.9.5"];
        cv(&env, &add).succeeded();
    }
    cv(&env, &["snapshot"]).succeeded();
    for profile in ["cisco-ios", "cube"] {
        let stored = String::from_utf8(cv(&env, &["show", profile, "running-config"]).stdout).unwrap();
        let masked: Vec<&str> = stored.lines().filter(|l| l.contains("authentication username")).collect();
        assert_eq!(masked.len(), 23);
        for (was, is) in credentials.iter().zip(&masked) {
            let secret = device.secrets.iter().find(|secret| was.contains(secret.as_str())).unwrap();
            let (before, after) = was.split_once(secret.as_str()).unwrap();
            // The secret went, all of it and nothing else.
            assert!(is.starts_with(before) && is.ends_with(after) && is.contains("{{sealed:"), "{is}");
        }
        assert_eq!(stored.matches("{{sealed:").count(), device.secrets.len(), "{stored}");
    }
    let shows = found(&device.secrets, lab::objects(&env.path("cv/store.git")));
    assert!(shows.is_empty(), "{shows:#?}");
    cv(&env, &["restore", "cube", "--to", "out", "--identity", "cv-admin/identity.txt"]).succeeded();
    assert_eq!(&env.read("out/running-config"), text);
}
