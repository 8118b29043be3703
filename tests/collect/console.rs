//! Working on a device with a command line of its own, as its built-in profile says, against simulated devices that are
//! what their configuration makes of them.

use std::fs;

use confvault::collect::act::{ActError, Target};
use confvault::profile::{Action, Profiles, Restore};

use crate::ios::Ios;
use crate::junos::Junos;
use crate::live::{Family, Live, Trouble};
use crate::rig::{Rig, whole};
use crate::sshd_server::{Sshd, available};

const GATEWAY: &str = "version 15.7\nhostname gw\n!\nusername gw privilege 15 secret 5 $1$aaaa\nusername eva secret 5 $1$bbbb\n!\n\
                       interface GigabitEthernet0/0\n ip address 192.0.2.1 255.255.255.0\n!\nip scp server enable\n!\nline vty 0 4\nend\n";
const ROUTER: &str =
    "version 21.4R3-S5.4;\nsystem {\n    host-name edge;\n}\ninterfaces {\n    ge-0/0/0 {\n        unit 0;\n    }\n}\n";

/// A device and the folder from which it is worked on.
struct Lab<F: Family> {
    rig: Rig,
    live: Live<F>,
    table: String,
    restore: Restore,
}

impl<F: Family> Lab<F> {
    fn new(profile: &str, family: F) -> Self {
        let live = Live::start(family);
        let rig = Rig::new();
        fs::write(rig.path("known_hosts"), format!("gw {}\n", live.public_key())).unwrap();
        let table = format!("source = \"ssh://gw@{}\"\nprofile = \"{profile}\"\ncredential = \"env:PW\"\n", live.address);
        let restore = Profiles::load(None).unwrap().get(profile).unwrap().restore().unwrap().clone();
        Self { rig, live, table, restore }
    }

    fn work<T>(&self, job: impl FnOnce(&mut dyn Target) -> Result<T, ActError>) -> Result<T, ActError> {
        self.rig.work(&self.table, job)
    }

    /// Sends a file and makes it what the device runs on, or saves that.
    fn put(&self, text: &str, actions: &[Action]) -> Result<(), ActError> {
        let path = self.restore.upload.clone().unwrap();
        self.work(|target| {
            target.upload(&path, text.as_bytes())?;
            actions.iter().try_for_each(|action| target.run(action, &action.run.replace("{file}", &path)))
        })
    }
}

#[test]
fn a_gateway_takes_a_file_replaces_its_configuration_and_saves_it() {
    let lab = Lab::new("cisco-ios", Ios::new(GATEWAY));
    // A user goes, which the device asks about, and so does the name that its prompt has.
    let new = GATEWAY.replace("username eva secret 5 $1$bbbb\n", "").replace("hostname gw", "hostname other");
    lab.put(&new, &lab.restore.apply).unwrap();
    {
        let ios = &lab.live.world().family;
        assert_eq!(ios.running, crate::ios::body(&new));
        assert_eq!(ios.startup, crate::ios::body(GATEWAY));
        assert_eq!(ios.flash["flash:confvault-restore.cfg"], new.as_bytes());
    }
    let actions: Vec<Action> = lab.restore.save.iter().chain(&lab.restore.clean).cloned().collect();
    lab.put(&new, &actions).unwrap();
    let ios = &lab.live.world().family;
    assert_eq!(ios.startup, crate::ios::body(&new));
    assert!(ios.flash.is_empty());
}

#[test]
fn what_a_gateway_refuses_is_an_error_that_shows_no_configuration() {
    let lab = Lab::new("cisco-ios", Ios::new(GATEWAY));
    let partly = lab.put(&GATEWAY.replace("!\nline", "bogus CANARY\nline"), &lab.restore.apply).unwrap_err();
    assert!(matches!(&partly, ActError::Fails { said, .. } if said.expose().windows(6).any(|w| w == b"CANARY")), "{partly:?}");
    assert!(!format!("{partly:?} {}", whole(&partly)).contains("CANARY"));
    // What another program put before the configuration is no line of one.
    let headed = format!("Building configuration...\n{GATEWAY}");
    assert!(lab.put(&headed, &lab.restore.apply).is_err());
    let cut = lab.put("version 15.7\nhostname gw\n", &lab.restore.apply).unwrap_err();
    assert!(matches!(cut, ActError::Fails { .. }), "{cut:?}");
    lab.live.world().family.set(&GATEWAY.replace("ip scp server enable\n", ""));
    let closed = lab.put(GATEWAY, &[]).unwrap_err();
    assert!(matches!(&closed, ActError::Refused { doing: "take a file", .. }), "{closed:?}");
    assert!(whole(&closed).contains("SCP: Administratively disabled."), "{}", whole(&closed));
}

#[test]
fn a_router_checks_commits_and_is_confirmed() {
    let lab = Lab::new("junos", Junos::new(ROUTER));
    let new = ROUTER.replace("host-name edge", "host-name core");
    lab.put(&new, &lab.restore.check).unwrap();
    assert_eq!(lab.live.world().family.active(), ROUTER);
    lab.put(&new, &lab.restore.apply).unwrap();
    assert!(lab.live.world().family.active() == new && lab.live.world().family.waits());
    lab.put(&new, &lab.restore.save).unwrap();
    assert!(!lab.live.world().family.waits());
    lab.put(ROUTER, &lab.restore.undo).unwrap();
    assert_eq!(lab.live.world().family.active(), ROUTER);
    lab.put(ROUTER, &lab.restore.clean).unwrap();
    assert!(lab.live.world().family.files.is_empty());
}

#[test]
fn a_router_goes_back_by_itself_and_a_check_leaves_nothing() {
    let mut junos = Junos::new(ROUTER);
    junos.minute = std::time::Duration::from_millis(30);
    let lab = Lab::new("junos", junos);
    let new = ROUTER.replace("host-name edge", "host-name core");
    lab.put(&new, &lab.restore.apply).unwrap();
    let begun = std::time::Instant::now();
    while lab.live.world().family.active() != ROUTER {
        assert!(begun.elapsed().as_secs() < 60, "it does not go back");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    for wrong in ["    bogus;\n", "    dangling;\n"] {
        let text = ROUTER.replace("    host-name edge;\n", wrong);
        let error = lab.put(&text, &lab.restore.check).unwrap_err();
        assert!(error.said().is_some(), "{error:?}");
        // The lock went with the session.
        lab.put(ROUTER, &lab.restore.check).unwrap();
        assert_eq!(lab.live.world().family.active(), ROUTER);
    }
}

#[test]
fn a_connection_that_goes_is_told_from_a_refusal() {
    let lab = Lab::new("cisco-ios", Ios::new(GATEWAY));
    for trouble in Trouble::ALL {
        for at in 0..2 {
            lab.live.world().family.set(GATEWAY);
            lab.live.world().arm(at, trouble);
            let error = lab.put(GATEWAY, &lab.restore.apply).unwrap_err();
            assert_eq!(error.broke(), trouble != Trouble::Refuse, "{trouble:?} at {at}: {}", whole(&error));
            lab.live.world().disarm();
            std::thread::sleep(std::time::Duration::from_millis(400));
        }
    }
}

#[test]
fn lines_are_typed_where_a_profile_says_so_and_stand_in_no_error() {
    let live = Live::start(Ios::new(GATEWAY));
    let rig = Rig::new();
    fs::write(rig.path("known_hosts"), format!("gw {}\n", live.public_key())).unwrap();
    let text = "extends = \"cisco-ios\"\n[restore]\nmethod = \"commands\"\nconfig = \"running-config\"\n[[restore.apply]]\nrun = \"{lines}\"\n";
    rig.profile("typed", text);
    let table = format!("source = \"ssh://gw@{}\"\nprofile = \"typed\"\ncredential = \"env:PW\"\n", live.address);
    let action: Action = toml::from_str("run = \"{lines}\"").unwrap();
    rig.work(&table, |target| target.run(&action, "write memory\nshow version")).unwrap();
    assert_eq!(live.world().done, ["write memory", "show version"]);
    let error = rig.work(&table, |target| target.run(&action, "show version\nCANARY\nwrite memory")).unwrap_err();
    assert!(!format!("{error:?} {}", whole(&error)).contains("CANARY"), "{error:?}");
    assert_eq!(live.world().done.last().unwrap(), "CANARY");
}

#[test]
fn a_file_goes_up_by_sftp_where_that_is_all_there_is() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("ForceCommand internal-sftp");
    let rig = Rig::new();
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    let table = sshd.table("ssh", "") + "profile = \"cisco-ios\"\n";
    let at = sshd.write("home/new file.cfg", "old and longer");
    rig.work(&table, |target| target.upload(&at.display().to_string(), b"new")).unwrap();
    assert_eq!(fs::read(&at).unwrap(), b"new");
    let nowhere = rig.work(&table, |target| target.upload("/no/such/folder/file", b"x")).unwrap_err();
    assert!(matches!(nowhere, ActError::Refused { .. }), "{nowhere:?}");
}

#[test]
fn a_file_goes_up_by_scp_where_that_is_all_there_is() {
    if !available() {
        return;
    }
    let sshd = Sshd::without_sftp();
    let rig = Rig::new();
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    let table = sshd.table("ssh", "") + "profile = \"cisco-ios\"\n";
    let at = sshd.path("home/plain.cfg").display().to_string();
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    rig.work(&table, |target| target.upload(&at, &content)).unwrap();
    assert_eq!(fs::read(&at).unwrap(), content);
}
