//! Recipients, epochs and collectors of a store, as values: who opens what, and when no more.
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

use confvault::model::CollectorName;
use confvault::seal::{
    AllowedSigner, Cut, EpochIdentity, Error, Identities, Recipient, SigningKey, StoreKeys, Trust, TrustFiles, principal,
};

fn recipient(identity: &EpochIdentity) -> Recipient {
    identity.recipient().to_string().parse().unwrap()
}

fn central() -> CollectorName {
    "central".parse().unwrap()
}

struct Made {
    trust: Trust,
    admin: EpochIdentity,
    collector: EpochIdentity,
    keys: StoreKeys,
}

/// A store of one administrator and one collector, in its first epoch.
fn made() -> Made {
    let (admin, collector) = (EpochIdentity::generate(), EpochIdentity::generate());
    let mut trust = Trust::default();
    trust.recipients.add(recipient(&admin)).unwrap();
    let signing = SigningKey::generate("admin").unwrap();
    trust.administrators.push(AllowedSigner { principal: "administrator".into(), key: signing.public() });
    let mut keys = StoreKeys::default();
    trust.admit(&central(), collector.recipient(), SigningKey::generate("c").unwrap().public(), &keys).unwrap();
    trust.begin_epoch(&mut keys).unwrap();
    Made { trust, admin, collector, keys }
}

fn through_files(trust: &Trust) -> Trust {
    let mut files = TrustFiles::from([("README.md".to_owned(), b"x".to_vec()), ("epochs/9/recipient".to_owned(), b"x".to_vec())]);
    trust.write(&mut files);
    assert!(files.contains_key("README.md") && !files.contains_key("epochs/9/recipient"));
    let read = Trust::parse(&files).unwrap();
    assert_eq!(read, *trust);
    read
}

#[test]
fn everything_comes_back_from_the_files() {
    let mut made = made();
    made.trust.begin_epoch(&mut made.keys).unwrap();
    let key = made.trust.signers[0].key.fingerprint();
    made.trust.revoked.push(Cut { key: key.clone(), reference: "refs/heads/gw-1/16.9.5".into(), commit: "0".repeat(40) });
    let read = through_files(&made.trust);
    assert!(read.is_revoked(&key));
    assert_eq!((read.newest(), read.sealer().unwrap().epoch()), (2, 2));
    assert_eq!(read.signers[0].principal, principal(&central()));
}

#[test]
fn a_collector_gets_the_store_keys_and_opens_nothing_else() {
    let made = made();
    let own = Identities::from(&made.collector);
    assert_eq!(made.trust.collector_keys(&central(), &own).unwrap(), made.keys);
    assert!(matches!(made.trust.unlock(&own), Err(Error::Key)));
    assert!(matches!(made.trust.store_keys(&own), Err(Error::Key)));
    let sealed = made.trust.sealer().unwrap().seal(b"CANARY").unwrap();
    assert!(matches!(own.open(&sealed, 100), Err(Error::Key)));
    let stranger = Identities::from(&EpochIdentity::generate());
    assert!(matches!(made.trust.collector_keys(&central(), &stranger), Err(Error::Key)));
    assert!(matches!(made.trust.collector_keys(&"other".parse().unwrap(), &own), Err(Error::Key)));
}

#[test]
fn who_is_added_opens_all_and_who_is_removed_opens_nothing_after_the_rotation() {
    let mut made = made();
    let admin = Identities::from(&made.admin);
    let before = made.trust.sealer().unwrap().seal(b"before").unwrap();

    let second = EpochIdentity::generate();
    made.trust.recipients.add(recipient(&second)).unwrap();
    let opener = made.trust.unlock(&admin).unwrap();
    made.trust.rewrap(&opener, &made.keys).unwrap();
    made.trust.begin_epoch(&mut made.keys).unwrap();
    let between = made.trust.sealer().unwrap().seal(b"between").unwrap();
    let trust = through_files(&made.trust);
    let second = Identities::from(&second);
    let opener = trust.unlock(&second).unwrap();
    assert_eq!(opener.open(1, &before, 99).unwrap().expose(), b"before");
    assert_eq!(opener.open(2, &between, 99).unwrap().expose(), b"between");
    assert_eq!(trust.store_keys(&second).unwrap(), made.keys);

    let gone = made.trust.recipients.remove(&recipient(&made.admin).to_string());
    assert_eq!(gone.len(), 1);
    made.trust.rewrap(&opener, &made.keys).unwrap();
    made.trust.begin_epoch(&mut made.keys).unwrap();
    let after = made.trust.sealer().unwrap().seal(b"after").unwrap();
    let trust = through_files(&made.trust);
    assert!(matches!(trust.unlock(&admin), Err(Error::Key)));
    assert!(matches!(trust.store_keys(&admin), Err(Error::Key)));
    assert!(matches!(admin.open(&after, 99), Err(Error::Key)));
    let opener = trust.unlock(&second).unwrap();
    for (epoch, sealed, plain) in [(1, &before, "before"), (2, &between, "between"), (3, &after, "after")] {
        assert_eq!(opener.open(epoch, sealed, 99).unwrap().expose(), plain.as_bytes());
    }
    // The collector got the store keys of every epoch, and the old ones are what they were.
    let keys = trust.collector_keys(&central(), &Identities::from(&made.collector)).unwrap();
    assert_eq!(keys, made.keys);
    assert_eq!(keys.newest(), 3);
}

#[test]
fn a_store_without_recipients_is_in_clear_until_it_gets_some() {
    let (mut trust, mut keys) = (Trust::default(), StoreKeys::default());
    trust.begin_epoch(&mut keys).unwrap();
    let mut files = TrustFiles::new();
    trust.write(&mut files);
    assert!(files.contains_key("epochs/1/store-key") && trust.sealer().is_none());
    assert_eq!(trust.store_keys(&Identities::default()).unwrap(), keys);
    let admin = EpochIdentity::generate();
    trust.recipients.add(recipient(&admin)).unwrap();
    trust.begin_epoch(&mut keys).unwrap();
    let trust = through_files(&trust);
    assert_eq!(trust.sealer().unwrap().epoch(), 2);
    assert_eq!(trust.store_keys(&Identities::from(&admin)).unwrap(), keys);
    assert!(matches!(trust.store_keys(&Identities::default()), Err(Error::Key)));
}

#[test]
fn broken_files_are_refused() {
    let made = made();
    let mut good = TrustFiles::new();
    made.trust.write(&mut good);
    let with = |path: &str, content: Option<&str>| {
        let mut files = good.clone();
        match content {
            Some(content) => files.insert(path.to_owned(), content.as_bytes().to_vec()),
            None => files.remove(path),
        };
        Trust::parse(&files)
    };
    assert!(Trust::parse(&good).is_ok());
    assert!(with("epochs/1/identity.age", None).is_err());
    assert!(with("epochs/1/store-key.age", None).is_err());
    assert!(with("epochs/1/store-key", Some(&"0".repeat(64))).is_err());
    assert!(with("epochs/3/store-key", Some(&"0".repeat(64))).is_err());
    assert!(with("epochs/0/recipient", Some("x")).is_err());
    assert!(with("epochs/1/recipient", Some("age1x")).is_err());
    assert!(with("recipients", Some("age1yubikey1qqq")).is_err());
    assert!(with("signers", Some("* ssh-ed25519 AAAA")).is_err());
    assert!(with("revoked", Some("SHA256:x refs/heads/a 0")).is_err());
    assert!(with("collectors/../recipient", Some("age1x")).is_err());
}
