//! A backup that a call manager is told to make: it is followed, waited for, and its set is taken.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use confvault::collect::CollectError;
use confvault::collect::drs::Order;
use confvault::ops::Error;
use confvault::ops::drs::{Taken, backup_and_take};
use confvault::ops::snapshot::World;

use crate::env::{Run, TestEnv};
use crate::play::{Exchange, Play};
use crate::simulator::{Device, Simulator};

pub const STATUS: &str = "utils disaster_recovery status backup";
const OLD: &str = "2026-01-10-02-00-00";
pub const NEW: &str = "2026-01-17-10-11-23";

pub fn status(percent: u32, tftp: &str) -> String {
    let words = match percent {
        100 => "SUCCESS :Backup Completed...",
        _ => "Backup operation in progress for server [PUB-1], please wait...",
    };
    format!(
        "\nStatus: {words}\nTar Filename: {NEW}.tar\nStorage Location: NETWORK\nOperation: BACKUP\nPercentage Complete: {percent}\n\
         UCM     PUB-1   CCMDB   SUCCESS  Sat Jan 17 10:11:24 CET 2026  activelog/x.log\n\
         UCM     PUB-1   TFTP   {tftp}  Sat Jan 17 10:11:58 CET 2026\n\n"
    )
}

pub fn exchange(command: &str, output: &str) -> Exchange {
    Exchange { command: command.into(), output: output.into(), ..Exchange::default() }
}

pub fn none_yet() -> Exchange {
    exchange(STATUS, "drfCliMsg: No backup status available\n")
}

/// A store with a backup folder, and the call manager that writes to it.
pub struct Lab {
    pub env: TestEnv,
    pub simulator: Simulator,
}

impl Lab {
    fn new(exchanges: Vec<Exchange>) -> Self {
        Self::with_password(exchanges, "lab")
    }

    pub fn with_password(exchanges: Vec<Exchange>, password: &str) -> Self {
        let mut play = Play::gateway("x", "");
        play.prompt = "admin:".into();
        play.remembers = true;
        play.delay_ms = 300;
        play.banner = "Command Line Interface is starting up, please wait ...\n".into();
        play.unknown = "No valid command entered\n".into();
        play.exchange = exchanges;
        play.exchange.push(exchange("set cli pagination off", ""));
        play.exchange
            .push(exchange("utils disaster_recovery backup network UCM NAS", "drfCliMsg: Backup initiated successfully.\n"));
        let simulator = Simulator::one("gw", Device { keyboard: true, password: password.into(), ..Device::new(play) });
        let env = TestEnv::with_store();
        let source = format!("ssh://gw@{}", simulator.address);
        env.cv(&["device", "add", "pub", "--source", &source, "--profile", "cucm", "--credential", "env:PW"]).succeeded();
        env.cv(&["device", "add", "cucm", "--source", "drs:drs", "--profile", "cucm"]).succeeded();
        env.cv(&["device", "trust", "--all", "--accept-new"]).succeeded();
        fs::create_dir(env.path("drs")).unwrap();
        Self { env, simulator }
    }

    /// Writes the archives of a set, and gives its list.
    fn archives(&self, stamp: &str, status: &str) -> String {
        let component = |name: &str| {
            self.env.write(&format!("drs/{stamp}_PUB-1_UCM_{name}.tar"), "archive");
            format!("<ComponentObject><ComponentName>{name}</ComponentName><Status>{status}</Status></ComponentObject>")
        };
        format!(
            "<list><FeatureObject><Version>15.0.1.12900-234</Version><FeatureName>UCM</FeatureName><Status>SUCCESS</Status><vServerObject>\
             <ServerObj><ServerName>PUB-1</ServerName><Status>SUCCESS</Status><vComponentObject>{}{}</vComponentObject></ServerObj>\
             </vServerObject></FeatureObject></list>",
            component("CCMDB"),
            component("TFTP")
        )
    }

    pub fn set(&self, stamp: &str, status: &str) {
        let list = self.archives(stamp, status);
        self.env.write(&format!("drs/{stamp}_PUB-1_drfComponent.xml"), list);
    }

    /// Waits until the progress was asked for so often.
    pub fn wait_for_looks(&self, looks: usize) {
        let begun = std::time::Instant::now();
        while self.simulator.counts.times.lock().unwrap().get(STATUS).is_none_or(|times| *times < looks) {
            assert!(begun.elapsed() < Duration::from_secs(120), "fewer than {looks} looks");
            sleep(Duration::from_millis(50));
        }
    }

    fn command(&self, target: &str) -> Run {
        let mut command = self.env.command(&["drs", "backup", "cucm", "--via", "pub", "--target", target]);
        self.env.run(command.env("PW", "lab"))
    }

    /// As the library does it, with short pauses.
    fn backup(&self, device: &str, patience: Duration) -> Result<Taken, Error> {
        let pause = Some(Duration::from_millis(50));
        let order = Order { features: "UCM".into(), target: "NAS".into(), pause, patience: Some(patience) };
        let password = |name: &str| (name == "PW").then(|| "lab".to_owned());
        let world = World { env: &password, home: None, cancel: &AtomicBool::new(false) };
        let (device, node) = (device.parse().unwrap(), "pub".parse().unwrap());
        backup_and_take(&self.env.path("."), &device, &node, &order, &world, &mut |_| {})
    }

    /// The outcomes of the snapshots in the journal, oldest first.
    fn snapshots(&self) -> Vec<String> {
        let journal = String::from_utf8(self.env.cv(&["journal", "--json"]).stdout).unwrap();
        let records = journal.lines().rev().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let snapshots = records.filter(|record| record["action"] == "snapshot");
        snapshots.map(|record| record["outcome"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_call_manager_is_told_to_back_up_and_its_set_is_taken() {
    let lab = Lab::new(vec![
        none_yet(),
        // The command line is lost on the way, and the backup goes on.
        Exchange { close: true, ..exchange(STATUS, &status(50, "Active")) },
        exchange(STATUS, &status(70, "Active")),
        exchange(STATUS, &status(100, "SUCCESS")),
        exchange(
            "utils disaster_recovery backup network UCM AWAY",
            "Unable to contact server. Master or Local Agent could be down\n",
        ),
    ]);
    // A set that was taken before does not end the wait.
    lab.set(OLD, "SUCCESS");
    lab.env.cv(&["snapshot", "cucm"]).succeeded();
    let before = lab.snapshots().len();
    // The list comes last, a moment after the end, and is half there for a while.
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            lab.wait_for_looks(2);
            let list = lab.archives(NEW, "SUCCESS");
            lab.wait_for_looks(4);
            sleep(Duration::from_secs(2));
            let place = format!("drs/{NEW}_PUB-1_drfComponent.xml");
            lab.env.write(&place, &list[..list.len() / 2]);
            sleep(Duration::from_secs(3));
            lab.env.write(&place, list);
        });
        lab.command("NAS")
    });
    assert!(run.stderr.contains("UCM/CCMDB on PUB-1: SUCCESS"), "{run}");
    assert!(run.succeeded().contains("generation 2"));
    // The wait left no trace.
    assert_eq!(lab.snapshots().len(), before + 1, "{:?}", lab.snapshots());
    let counts = &lab.simulator.counts;
    let sent = counts.commands.lock().unwrap().iter().filter(|line| line.contains("backup network")).count();
    assert_eq!(sent, 1, "the backup was begun {sent} times");
    assert_eq!(counts.connections.load(Ordering::SeqCst), 3);
    // What DRS says of a fault comes with its remedy.
    let refused = lab.command("AWAY").failed(1);
    assert!(
        refused.contains("Backup failed: DRS: Unable to contact server. Master or Local Agent could be down")
            && refused.contains("hint: compare the serial number"),
        "{refused}"
    );
}

#[test]
fn a_set_that_never_comes_is_waited_for_without_a_trace() {
    let lab = Lab::new(vec![none_yet(), exchange(STATUS, &status(100, "SUCCESS"))]);
    // Neither an older set nor one that is being written is the one.
    lab.set(OLD, "SUCCESS");
    let taken = std::thread::scope(|scope| {
        let backup = scope.spawn(|| lab.backup("cucm", Duration::from_secs(8)));
        lab.wait_for_looks(2);
        lab.archives(NEW, "SUCCESS");
        backup.join().unwrap().unwrap()
    });
    assert_eq!(taken.generations, [0; 0]);
    assert_eq!(lab.snapshots(), [""; 0]);
}

#[test]
fn a_set_that_comes_late_is_taken_after_the_older_ones() {
    let lab = Lab::new(vec![none_yet(), exchange(STATUS, &status(100, "SUCCESS"))]);
    lab.set(OLD, "SUCCESS");
    let taken = std::thread::scope(|scope| {
        let backup = scope.spawn(|| lab.backup("cucm", Duration::from_secs(60)));
        lab.wait_for_looks(2);
        sleep(Duration::from_secs(1));
        lab.set(NEW, "SUCCESS");
        backup.join().unwrap()
    });
    assert_eq!(taken.unwrap().generations, [1, 2]);
    assert_eq!(lab.snapshots(), ["generation", "generation"]);
}

#[test]
fn a_set_that_comes_and_is_not_whole_is_one_failure() {
    let lab = Lab::new(vec![none_yet(), exchange(STATUS, &status(100, "SUCCESS"))]);
    lab.set(OLD, "SUCCESS");
    lab.env.cv(&["snapshot", "cucm"]).succeeded();
    let before = lab.snapshots().len();
    let failed = std::thread::scope(|scope| {
        let backup = scope.spawn(|| lab.backup("cucm", Duration::from_secs(60)));
        lab.wait_for_looks(2);
        sleep(Duration::from_secs(1));
        lab.set(NEW, "ERROR");
        backup.join().unwrap()
    });
    let error = failed.unwrap_err().to_string();
    assert_eq!(error, format!("Backup set {NEW} is not whole: UCM/CCMDB on PUB-1: status ERROR"));
    assert_eq!(lab.snapshots()[before..], ["failed"]);
}

/// What the status says until the new one begins is of the backup before.
#[test]
fn a_backup_that_failed_before_stops_none() {
    let failed = "Status: ERROR: Unable to access SFTP server\nTar Filename: TAR file not created\nPercentage Complete: 100\n";
    let lab = Lab::new(vec![exchange(STATUS, failed), exchange(STATUS, failed), exchange(STATUS, &status(100, "SUCCESS"))]);
    let taken = std::thread::scope(|scope| {
        let backup = scope.spawn(|| lab.backup("cucm", Duration::from_secs(60)));
        lab.wait_for_looks(3);
        lab.set(NEW, "SUCCESS");
        backup.join().unwrap()
    });
    assert_eq!(taken.unwrap().generations, [1]);
}

#[test]
fn what_drs_does_not_do_is_a_backup_that_failed() {
    let said = |exchanges: Vec<Exchange>| {
        let error = Lab::new(exchanges).backup("cucm", Duration::ZERO).unwrap_err();
        assert!(matches!(error, Error::Collect(CollectError::Backup { .. })), "{error:?}");
        error.to_string()
    };
    assert_eq!(
        said(vec![exchange(STATUS, &status(50, "Active"))]),
        format!("Backup failed: DRS: another backup is in progress: {NEW}.tar")
    );
    assert_eq!(said(vec![none_yet()]), "Backup failed: DRS: the backup did not begin");
    assert_eq!(said(vec![none_yet(), exchange(STATUS, &status(70, "ERROR"))]), "Backup failed: UCM/TFTP on PUB-1: status ERROR");
    let broken = status(70, "Active") + "DRFSftpFailure\n";
    assert_eq!(said(vec![none_yet(), exchange(STATUS, &broken)]), "Backup failed: DRS: DRFSftpFailure");
}

#[test]
fn what_is_no_backup_folder_is_refused_before_anything_is_begun() {
    let lab = Lab::new(vec![none_yet()]);
    let error = lab.backup("pub", Duration::ZERO).unwrap_err();
    assert!(error.to_string().starts_with("Source is no backup folder of DRS: ssh://"), "{error}");
    fs::remove_dir(lab.env.path("drs")).unwrap();
    assert!(matches!(lab.backup("cucm", Duration::ZERO).unwrap_err(), Error::Collect(CollectError::Missing(_))));
    assert_eq!(lab.simulator.credentials(), 0);
}
