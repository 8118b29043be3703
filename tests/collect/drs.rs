//! The source `drs:`: only whole sets, each of them, in order.

use std::fs;
use std::path::Path;

use confvault::collect::drs::{ended, newest};
use confvault::collect::{CollectError, Collected};
use confvault::model::{Content, Look, LookEntry};

use crate::rig::{Rig, file, whole};
use crate::sshd_server::{Sshd, available};

/// Writes a set; no complete real list was at hand, so this one is made from the names public readers know.
fn write_set(folder: &Path, stamp: &str, version: &str, components: &[(&str, &str, Option<&str>)], with_list: bool) {
    fs::create_dir_all(folder).unwrap();
    let mut all = String::new();
    for (name, status, archive) in components {
        all.push_str(&format!(
            "<ComponentObject><ComponentName>{name}</ComponentName><Status>{status}</Status>\
             <LogLocation>activelog/{name}.log</LogLocation></ComponentObject>"
        ));
        if let Some(bytes) = archive {
            fs::write(folder.join(format!("{stamp}_pub-1_UCM_{name}.tar")), bytes).unwrap();
        }
    }
    let list = format!(
        "<list><FeatureObject><Version>{version}</Version><FeatureName>UCM</FeatureName><Status>SUCCESS</Status><vServerObject>\
         <ServerObj><ServerName>pub-1</ServerName><Status>SUCCESS</Status><vComponentObject>{all}</vComponentObject></ServerObj>\
         </vServerObject></FeatureObject></list>"
    );
    if with_list {
        fs::write(folder.join(format!("{stamp}_pub-1_drfComponent.xml")), list).unwrap();
    }
}

const GOOD: &[(&str, &str, Option<&str>)] = &[("CCMDB", "SUCCESS", Some("database")), ("TFTP", "SUCCESS", Some("files"))];
const ONE: &str = "2026-01-01-01-00-00";
const TWO: &str = "2026-01-02-01-00-00";
const THREE: &str = "2026-01-03-01-00-00";

fn look(collected: &Collected) -> Look {
    Look {
        head: String::new(),
        release: collected.set.release.clone().unwrap(),
        rules: collected.rules,
        taken_ns: collected.taken_ns,
        root: collected.root,
        entries: collected
            .set
            .entries()
            .iter()
            .map(|e| LookEntry {
                scope: e.scope,
                path: e.path.clone(),
                kind: e.kind,
                mode: e.mode,
                owner: e.owner,
                stamp: e.stamp,
                plain: confvault::model::Digest([1; 32]),
            })
            .collect(),
    }
}

fn old(folder: &Path) {
    let done = std::process::Command::new("find")
        .arg(folder)
        .args(["-type", "f", "-exec", "touch", "-d", "2026-01-05", "{}", "+"])
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn all_new_sets_are_taken_in_order_and_then_nothing() {
    let rig = Rig::new();
    let folder = rig.path("drs");
    write_set(&folder, ONE, "14.0.1.11900-132", GOOD, true);
    write_set(&folder, TWO, "15.0.1.12900-234", GOOD, true);
    fs::write(folder.join("pub-1_dUmmI_Drf"), "x").unwrap();
    old(&folder);
    let table = "source = \"drs:drs\"\nprofile = \"cucm\"\n";
    let first = rig.collect(table).unwrap();
    assert!(first.more);
    assert_eq!(first.set.release.as_ref().unwrap().as_str(), "14.0.1.11900-132");
    assert_eq!(first.set.entries().len(), 3);
    assert_eq!(file(&first, &format!("{ONE}_pub-1_UCM_CCMDB.tar")), b"database");
    let second = rig.collect_with(table, Some(&look(&first))).unwrap();
    assert!(!second.more);
    assert_eq!(second.set.release.as_ref().unwrap().as_str(), "15.0.1.12900-234");
    let third = rig.collect_with(table, Some(&look(&second))).unwrap();
    assert!(!third.more && third.set.entries().iter().all(|e| matches!(e.content, Content::Same(_))), "{:?}", third.set);

    // What is not whole is a failure from then on, named; what was taken stays taken.
    write_set(&folder, THREE, "15.0.1.12900-234", &[("CCMDB", "SUCCESS", Some("db")), ("TFTP", "ERROR", None)], true);
    let error = rig.collect_with(table, Some(&look(&second))).unwrap_err();
    assert_eq!(error.to_string(), format!("Backup set {THREE} is not whole: UCM/TFTP on pub-1: status ERROR"));
    let CollectError::BackupSet { remedy, .. } = error else { panic!() };
    assert!(remedy.contains("log"));
}

#[test]
fn what_lacks_something_is_never_a_set() {
    let cases: &[(&[(&str, &str, Option<&str>)], bool, &str)] = &[
        (&[("CCMDB", "SUCCESS", None)], true, "UCM/CCMDB on pub-1: its archive is missing"),
        (&[("CCMDB", "SUCCESS", Some(""))], true, "UCM/CCMDB on pub-1: its archive is empty"),
        (&[("CCMDB", "Active", Some("x"))], true, "UCM/CCMDB on pub-1: status Active"),
        (&[("CCMDB", "SUCCESS", Some("x"))], false, "the set: it has no drfComponent.xml"),
    ];
    for (components, with_list, words) in cases {
        let rig = Rig::new();
        write_set(&rig.path("drs"), ONE, "14.0.1.11900-132", components, *with_list);
        old(&rig.path("drs"));
        let error = rig.collect("source = \"drs:drs\"\nprofile = \"cucm\"\n").unwrap_err();
        assert!(whole(&error).contains(words), "{}", whole(&error));
    }
    let rig = Rig::new();
    fs::create_dir(rig.path("drs")).unwrap();
    let error = rig.collect("source = \"drs:drs\"\nprofile = \"cucm\"\n").unwrap_err();
    assert!(matches!(error, CollectError::NoBackupSet(_)));
}

#[test]
fn a_running_backup_is_left_alone() {
    let rig = Rig::new();
    let folder = rig.path("drs");
    write_set(&folder, ONE, "14.0.1.11900-132", GOOD, true);
    old(&folder);
    write_set(&folder, TWO, "14.0.1.11900-132", GOOD, false);
    let collected = rig.collect("source = \"drs:drs\"\nprofile = \"cucm\"\n").unwrap();
    assert!(!collected.more);
    assert!(collected.warnings.iter().any(|w| w == &format!("A backup is in progress: {TWO}")), "{:?}", collected.warnings);
    assert!(collected.set.entries().iter().all(|e| e.path.to_string().starts_with(ONE)));
}

#[test]
fn the_same_over_sftp() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("");
    let folder = sshd.path("drs");
    write_set(&folder, ONE, "14.0.1.11900-132", GOOD, true);
    write_set(&folder, TWO, "14.0.1.11900-132", &[("CCMDB", "FAILURE", Some("x"))], true);
    old(&folder);
    let rig = Rig::new();
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    let table = format!("{}profile = \"cucm\"\n", sshd.table("drs", &folder.display().to_string()));
    let first = rig.collect(&table).unwrap_or_else(|e| panic!("{}", whole(&e)));
    assert!(first.more, "the set that is not whole must still be told of");
    assert_eq!(file(&first, &format!("{ONE}_pub-1_UCM_TFTP.tar")), b"files");
    let error = rig.collect_with(&table, Some(&look(&first))).unwrap_err();
    assert!(whole(&error).contains("UCM/CCMDB on pub-1: status FAILURE"), "{}", whole(&error));

    // A look for a set that came takes nothing; one that is being written has not come.
    write_set(&folder, THREE, "14.0.1.11900-132", GOOD, false);
    let device = rig.device(&table);
    let ended = |than: &str, stamp: Option<&str>| {
        rig.with_context(&rig.network, |context| ended(&device, Some(than), stamp, context))
            .unwrap_or_else(|e| panic!("{}", whole(&e)))
    };
    let there = rig.with_context(&rig.network, |context| newest(&device, context)).unwrap_or_else(|e| panic!("{}", whole(&e)));
    assert_eq!(there.as_deref(), Some(THREE));
    assert_eq!((ended(ONE, None).as_deref(), ended(TWO, None)), (Some(TWO), None));
    assert_eq!((ended(ONE, Some(THREE)), ended(TWO, Some(TWO))), (None, None));
    write_set(&folder, THREE, "14.0.1.11900-132", GOOD, true);
    assert_eq!(ended(ONE, Some(THREE)).as_deref(), Some(THREE));
}

#[test]
fn two_sets_of_one_second_and_a_list_that_is_being_written() {
    let rig = Rig::new();
    let folder = rig.path("drs");
    let table = "source = \"drs:drs\"\nprofile = \"cucm\"\n";
    write_set(&folder, ONE, "14.0.1.11900-132", GOOD, true);
    fs::copy(folder.join(format!("{ONE}_pub-1_drfComponent.xml")), folder.join(format!("{ONE}_cuc-1_drfComponent.xml"))).unwrap();
    old(&folder);
    let error = rig.collect(table).unwrap_err();
    assert!(whole(&error).contains("the set: it has 2 lists"), "{}", whole(&error));
    fs::remove_file(folder.join(format!("{ONE}_cuc-1_drfComponent.xml"))).unwrap();
    // Half of a list that is young is not finished; an old one is broken.
    let list = folder.join(format!("{ONE}_pub-1_drfComponent.xml"));
    let whole_list = fs::read(&list).unwrap();
    fs::write(&list, &whole_list[..whole_list.len() / 2]).unwrap();
    let error = rig.collect(table).unwrap_err();
    assert!(matches!(&error, CollectError::BackupRunning(stamp) if stamp == ONE), "{}", whole(&error));
    old(&folder);
    let error = rig.collect(table).unwrap_err();
    assert!(whole(&error).contains("drfComponent.xml is no XML, or cut off"), "{}", whole(&error));
}
