//! Sealing end to end: what lies in a store, who opens it, and what changes of keys do.
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

#[path = "sealing/lab.rs"]
mod lab;

use std::process::Command;

use chrono::Utc;
use confvault::ops::init::Sealing;
use confvault::ops::keys::{KeyChange, KeyError, apply};
use confvault::ops::secrets;
use confvault::seal::{EpochIdentity, Error as SealError, Identities, Recipients};
use confvault::store::decode::Decoded;
use confvault::store::{Error as StoreError, GenerationKind, Outcome, Store};
use lab::{CANARY, Lab, PIN, canaries, objects, private};

fn change(lab: &Lab, change: &KeyChange, own: &Identities) -> Result<confvault::ops::keys::Change, KeyError> {
    let mut store = Store::open(&lab.store_dir()).unwrap();
    let ring = lab.vault().ring;
    apply(&mut store, &ring, change, own, &lab.admin().key().unwrap(), Utc::now())
}

#[test]
fn a_sealed_snapshot_shows_nothing_and_comes_back_exactly() {
    let lab = Lab::sealed();
    lab.pbx();
    assert!(matches!(lab.snapshot("pbx"), Outcome::Generation(_)));
    let found = canaries(&[lab.store_dir()], &[lab.root()]);
    assert!(found.is_empty(), "{found:#?}");
    lab.equals_source("pbx");

    // Without an identity: masked text and nothing of what is sealed.
    let files = lab.files("pbx", None);
    let masked = &files["voip/etc/asterisk/sip.conf"];
    let Ok(Decoded::Masked(text)) = masked else { panic!("{masked:?}") };
    let text = String::from_utf8_lossy(text);
    assert!(text.contains("bindport=5060\n") && text.contains("secret={{sealed:"), "{text}");
    assert!(files.values().any(|f| matches!(f, Err(StoreError::Sealed { epoch: 1, .. }))), "nothing was sealed whole");

    // A stranger's identity opens nothing.
    let stranger = Identities::from(&EpochIdentity::generate());
    assert!(matches!(lab.vault().trusted.trust.unlock(&stranger), Err(SealError::Key)));
}

#[test]
fn an_unchanged_set_is_not_sealed_anew_and_a_changed_secret_shows() {
    let lab = Lab::sealed();
    lab.pbx();
    lab.snapshot("pbx");
    let sealed = |lab: &Lab| {
        let is_age = |data: &[u8]| data.starts_with(b"age-encryption.org/v1");
        objects(&lab.store_dir()).into_iter().filter(|(_, d)| is_age(d)).map(|(id, _)| id).collect::<Vec<_>>()
    };
    let before = sealed(&lab);
    assert!(matches!(lab.snapshot("pbx"), Outcome::Unchanged { number: 1 }));
    // A line that is no secret: the ciphertext of everything is used again.
    let sip = lab.source("pbx").join("etc/asterisk/sip.conf");
    let text = std::fs::read_to_string(&sip).unwrap();
    std::fs::write(&sip, text.replace("5060", "5070")).unwrap();
    assert!(matches!(lab.snapshot("pbx"), Outcome::Generation(g) if g.number == 2));
    assert_eq!(sealed(&lab), before);
    // A secret: its token changes, and the secrets of the generation are sealed anew.
    std::fs::write(&sip, text.replace("5060", "5070").replace("one\n", "uno\n")).unwrap();
    assert!(matches!(lab.snapshot("pbx"), Outcome::Generation(g) if g.number == 3));
    assert_eq!(sealed(&lab).len(), before.len() + 1);
    let text = |point| match &lab.files(point, None)["voip/etc/asterisk/sip.conf"] {
        Ok(Decoded::Masked(text)) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    let (two, three) = (text("pbx@2"), text("pbx@3"));
    let differ: Vec<_> = two.lines().zip(three.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(differ.len(), 1);
    assert!(differ[0].0.starts_with("secret={{sealed:") && differ[0].1.starts_with("secret={{sealed:"));
}

#[test]
fn recipients_come_and_go_without_a_generation() {
    let lab = Lab::sealed();
    lab.pbx();
    lab.snapshot("pbx");
    let second = EpochIdentity::generate();
    let recipient = |i: &EpochIdentity| i.recipient().to_string().parse().unwrap();
    change(&lab, &KeyChange::AddRecipient(recipient(&second)), &lab.identities()).unwrap();
    assert!(matches!(lab.snapshot("pbx"), Outcome::Unchanged { number: 1 }));
    assert!(matches!(change(&lab, &KeyChange::AddRecipient(recipient(&second)), &lab.identities()), Err(KeyError::Already(_))));
    let second = Identities::from(&second);
    let opener = lab.vault().trusted.trust.unlock(&second).unwrap();
    assert!(lab.files("pbx@1", Some(&opener)).values().all(Result::is_ok));

    // The first one goes: it opens nothing after the rotation, and still everything of before that it kept.
    let first = lab.made.identity.clone().unwrap().1.to_string();
    let kept = lab.opener();
    let done = change(&lab, &KeyChange::RemoveRecipient(first), &second).unwrap();
    assert_eq!(done.removed.len(), 1);
    assert_eq!(change(&lab, &KeyChange::Rotate, &second).unwrap().epoch, 2);
    assert!(matches!(lab.snapshot("pbx"), Outcome::Unchanged { number: 1 }), "a rotation made a generation");
    assert!(matches!(lab.vault().trusted.trust.unlock(&lab.identities()), Err(SealError::Key)));
    lab.write("pbx", "etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}new\n"));
    assert!(matches!(lab.snapshot("pbx"), Outcome::Generation(g) if g.number == 2));
    assert!(lab.files("pbx@2", Some(&kept)).values().any(Result::is_err));
    assert!(lab.files("pbx@1", Some(&kept)).values().all(Result::is_ok));
    let opener = lab.vault().trusted.trust.unlock(&second).unwrap();
    for point in ["pbx@1", "pbx@2"] {
        assert!(lab.files(point, Some(&opener)).values().all(Result::is_ok), "{point}");
    }
    assert!(canaries(&[lab.store_dir()], &[lab.root()]).is_empty());
    // Nobody may be left out in the cold, and a stranger changes nothing.
    let last = lab.vault().trusted.trust.recipients.iter().next().unwrap().to_string();
    assert!(matches!(change(&lab, &KeyChange::RemoveRecipient(last), &second), Err(KeyError::Nobody(_))));
    assert!(matches!(change(&lab, &KeyChange::Rotate, &lab.identities()), Err(KeyError::Seal(SealError::Key))));
}

#[test]
fn a_collector_opens_nothing_with_all_that_it_has() {
    let lab = Lab::sealed();
    lab.pbx();
    lab.snapshot("pbx");
    change(&lab, &KeyChange::Rotate, &lab.identities()).unwrap();
    lab.write("pbx", "etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}new\n"));
    lab.snapshot("pbx");
    // The administrator goes away with the administrator's folder.
    std::fs::rename(lab.admin().dir(), lab.dir.path().join("elsewhere")).unwrap();
    let mut identities = Vec::new();
    for (name, bytes) in lab::walk(&lab.root()) {
        let path = lab.dir.path().join("try.key");
        std::fs::remove_file(&path).ok();
        private(&path, &bytes);
        if Identities::read(&path, &mut |_| None).is_ok() {
            identities.push((name, bytes));
        }
    }
    // Its own identity and its signing key are all that could open anything.
    let names: Vec<_> = identities.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["keys/identity.txt", "keys/signing.key"]);
    let mut opened = Vec::new();
    let mut tried = 0;
    for (id, data) in objects(&lab.store_dir()).into_iter().filter(|(_, d)| d.starts_with(b"age-encryption.org/v1")) {
        for (name, bytes) in &identities {
            let path = lab.dir.path().join("try.key");
            std::fs::remove_file(&path).ok();
            private(&path, bytes);
            tried += 1;
            let file = lab.dir.path().join("sealed.age");
            std::fs::write(&file, &data).unwrap();
            let age = Command::new("age").arg("-d").arg("-i").arg(&path).arg(&file).output().unwrap();
            if age.status.success() {
                opened.push((name.clone(), id.clone(), age.stdout));
            }
        }
    }
    assert!(tried > 10, "{tried}");
    // The store keys, in clear digits, and nothing else: one of each state of `_store`.
    for (name, id, plain) in &opened {
        let text = String::from_utf8_lossy(plain);
        assert_eq!(name, "keys/identity.txt");
        assert!(text.lines().all(|l| l.len() == 64 && l.bytes().all(|b| b.is_ascii_hexdigit())), "{id} was opened");
    }
    assert_eq!(opened.len(), 2);
    // And it works on: snapshots, changes by keyed digests, names of what changed.
    lab.write("pbx", "etc/asterisk/sip.conf", format!("[100]\nsecret={CANARY}newer\n"));
    assert!(matches!(lab.snapshot("pbx"), Outcome::Generation(g) if g.number == 3));
    assert!(matches!(lab.snapshot("pbx"), Outcome::Unchanged { number: 3 }));
}

#[test]
fn a_new_rule_masks_anew_and_what_was_in_clear_is_named() {
    let lab = Lab::sealed();
    lab.add("pbx", "asterisk");
    lab.write("pbx", "etc/asterisk/extensions.conf", "[globals]\nSITECODE => 48151623\nOFFICE => 100\n");
    lab.snapshot("pbx");
    assert_eq!(secrets::exposed(&lab.vault(), &[]).unwrap(), []);
    let mut inventory = std::fs::read_to_string(lab.root().join("confvault.toml")).unwrap();
    inventory.push_str("\n[[always-mask]]\nregex = '^SITECODE => (?<secret>\\d+)'\n");
    std::fs::write(lab.root().join("confvault.toml"), inventory).unwrap();
    let Outcome::Generation(second) = lab.snapshot("pbx") else { panic!("masked by new rules, and no generation") };
    assert_eq!((second.number, second.kind), (2, GenerationKind::Remask));
    lab.equals_source("pbx@2");
    assert!(matches!(lab.snapshot("pbx"), Outcome::Unchanged { number: 2 }));
    let exposed = secrets::exposed(&lab.vault(), &[]).unwrap();
    assert_eq!(exposed.len(), 1, "{exposed:?}");
    assert_eq!((exposed[0].path.as_str(), &exposed[0].generations[..]), ("voip/etc/asterisk/extensions.conf", &[1][..]));
    assert!(!format!("{exposed:?}").contains("48151623"));
    // The listing of both generations, with and without an identity.
    let opener = lab.opener();
    for (point, clear) in [("pbx@1", true), ("pbx@2", false)] {
        for opener in [None, Some(&opener)] {
            let listing = secrets::list(&lab.vault(), &lab.generation(point), None, opener, true).unwrap();
            assert_eq!(listing.places.len(), 1, "{point}: {listing:?}");
            let place = &listing.places[0];
            assert_eq!((place.line, place.clear), (2, clear), "{point} {place:?}");
            // A rule that wants digits cannot be told from the masked text.
            let untold = opener.is_none() && !clear;
            assert!(if untold { place.rule == "-" } else { place.rule.contains("always-mask") }, "{place:?}");
            assert!(!format!("{listing:?}").contains("48151623"));
        }
    }
}

#[test]
fn a_store_in_clear_is_turned_to_sealing_and_says_what_it_still_shows() {
    let lab = Lab::new(Sealing::Off);
    lab.pbx();
    lab.snapshot("pbx");
    assert!(!canaries(&[lab.store_dir()], &[]).is_empty());
    lab.files("pbx", None).into_values().for_each(|f| assert!(matches!(f, Ok(Decoded::Plain(_)))));
    let own = EpochIdentity::generate();
    let recipients = Recipients::parse(own.recipient().to_string().as_bytes()).unwrap();
    let recipient = recipients.iter().next().unwrap().clone();
    let done = change(&lab, &KeyChange::AddRecipient(recipient), &Identities::default()).unwrap();
    assert_eq!(done.epoch, 2);
    let Outcome::Generation(second) = lab.snapshot("pbx") else { panic!("nothing was sealed") };
    assert_eq!((second.number, second.kind), (2, GenerationKind::Remask));
    let opener = lab.vault().trusted.trust.unlock(&Identities::from(&own)).unwrap();
    let files = lab.files("pbx@2", Some(&opener));
    assert!(files.values().all(|f| matches!(f, Ok(Decoded::Plain(_)))));
    for (path, decoded) in lab.files("pbx@2", None) {
        if let Ok(decoded) = decoded {
            let shows = [CANARY, PIN].iter().any(|c| memchr::memmem::find(decoded.bytes(), c.as_bytes()).is_some());
            assert!(!shows, "{path}");
        }
    }
    let exposed = secrets::exposed(&lab.vault(), &[]).unwrap();
    assert!(exposed.iter().any(|e| e.path.ends_with("sip.conf") && e.generations == [1]), "{exposed:?}");
    assert!(exposed.iter().all(|e| e.generations == [1]), "{exposed:?}");
}

#[test]
fn two_stores_of_one_configuration_share_nothing_that_is_keyed() {
    let (a, b) = (Lab::sealed(), Lab::sealed());
    for lab in [&a, &b] {
        lab.pbx();
        lab.add("twin", "asterisk");
        lab.write("twin", "etc/asterisk/sip.conf", std::fs::read(lab.source("pbx").join("etc/asterisk/sip.conf")).unwrap());
        lab.snapshot("pbx");
    }
    let ids = |lab: &Lab| objects(&lab.store_dir()).into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let (of_a, of_b) = (ids(&a), ids(&b));
    for (id, data) in of_a.iter().filter(|(id, _)| of_b.contains_key(*id)) {
        // The documented exception: text without secrets, and trees of nothing else.
        let text = String::from_utf8_lossy(data);
        if text.starts_with("# A store of device configurations") {
            continue;
        }
        assert!(!text.contains("{{sealed:") && !text.contains("age-encryption") && !id.contains(" commit "), "{id}: {text}");
    }
    // Equal secrets of two devices are not visible as equal.
    let text = |point| match &a.files(point, None)["voip/etc/asterisk/sip.conf"] {
        Ok(Decoded::Masked(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_ne!(text("pbx"), text("twin"));
}
