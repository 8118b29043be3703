//! What is put in comes out.

use confvault::model::{Content, Scope};
use confvault::store::{Error, Outcome};

use super::lab::{Lab, directory, file, link, set, voip};

fn everything() -> Vec<confvault::model::Entry> {
    let mut entries = vec![
        voip("etc/asterisk/sip.conf", "[general]\nsecret=hunter2\n"),
        voip("etc/asterisk/empty.conf", ""),
        voip("no-end-of-line", "x"),
        file(Scope::System, b"etc/shadow", b"root:secret=abc\nuser:secret=abc\n"),
        file(Scope::User, b"spool/greeting.wav", b"RIFF\0\0\x01binary"),
        file(Scope::User, b"phone-book.csv", b"Alice,123\n"),
        file(Scope::Voip, b"firmware.bin", &[0; 5000]),
        directory(Scope::Voip, b"etc"),
        directory(Scope::Voip, b"etc/asterisk"),
        directory(Scope::Voip, b"empty/below/empty"),
        link(Scope::Voip, b"link", b"../outside/\xff"),
        link(Scope::System, b"etc/alternatives/x", b"/etc/shadow"),
    ];
    entries[0].mode = 0o4755;
    entries[1].mode = 0o1000;
    entries[2].owner = None;
    entries
}

#[test]
fn a_set_comes_back_with_modes_owners_directories_and_links() {
    for lab in [Lab::clear(), Lab::sealed()] {
        let generation = lab.made("gw-1", "16.9.5", everything());
        assert_eq!((generation.number, generation.changed.added), (1, 12));
        lab.assert_holds(&generation, &everything());
        assert!(matches!(lab.put("gw-1", "16.9.5", everything()), Outcome::Unchanged { number: 1 }));
        lab.fsck();
    }
}

#[test]
fn hostile_names_come_back_and_trouble_neither_git_nor_a_checkout() {
    let long = [b'x'; 255];
    let mut names: Vec<Vec<u8>> = [
        &b".git"[..],
        b".git/config",
        b".GIT",
        b".Git/hooks/post-checkout",
        b"git~1",
        b"GIT~1",
        b".gitmodules",
        b"a/.gitmodules",
        b".gitattributes",
        b"GITMOD~1",
        b"gi7eba~1",
        b".mailmap",
        b"a\nb",
        b"a\rb",
        b"tab\there",
        b"esc\x1b[31m",
        b"back\\slash",
        b"100%",
        b"%2Egit",
        b"ends.",
        b"ends ",
        b" ",
        b"-oProxyCommand=x",
        b"CON",
        b"not-utf8-\xff\xfe",
        b"file:/etc/passwd",
        &long,
    ]
    .iter()
    .map(|n| n.to_vec())
    .collect();
    names.push("g\u{200c}it/.g\u{200c}it".into());
    names.push("rtl-\u{202e}cod.exe".into());
    names.retain(|n| n != b".git");
    let mut entries: Vec<_> = names.iter().map(|n| file(Scope::Voip, n, n)).collect();
    entries.push(link(Scope::System, b".gitmodules", b"/etc/passwd"));
    entries.push(link(Scope::System, b".mailmap", b"/etc/passwd"));
    entries.push(link(Scope::System, b"gi7eba~2", b"/etc/passwd"));
    entries.push(file(Scope::System, b".git", b"gitdir: /tmp"));
    let lab = Lab::clear();
    let generation = lab.made("gw-1", "1", entries.clone());
    lab.assert_holds(&generation, &entries);
    lab.fsck();
    let out = lab.dir.path().join("checkout");
    lab.git(&["clone", "-q", "-b", "gw-1/1", ".", out.to_str().unwrap()]);
    assert!(out.join(".git/HEAD").exists());
    assert_eq!(std::fs::read(out.join("voip/%2Egit/config")).unwrap(), b".git/config");
}

#[test]
fn what_no_tree_can_hold_is_refused_and_nothing_is_written() {
    let lab = Lab::clear();
    let transaction = lab.begin();
    let deep = vec![b"d".to_vec(); 700].join(&b'/');
    let error =
        lab.encode_in(&transaction, "gw-1", set("1", vec![file(Scope::Voip, &deep, b"x")]), lab.meta(), &super::lab::RULES);
    assert!(matches!(error, Err(Error::Refused { .. })), "{error:?}");
    let none = confvault::model::ConfigSet::new(vec![voip("a", "b")], None, vec![]).unwrap();
    let error = lab.encode_in(&transaction, "gw-1", none, lab.meta(), &super::lab::RULES);
    assert!(matches!(error, Err(Error::NoRelease { .. })), "{error:?}");
    let mut same = voip("a", "b");
    same.content = Content::Same(super::lab::SEED);
    let error = lab.encode_in(&transaction, "gw-1", set("1", vec![same]), lab.meta(), &super::lab::RULES);
    assert!(matches!(error, Err(Error::ContentNeeded { .. })), "{error:?}");
    assert!(confvault::model::ConfigPath::new(*b"a\0b").is_err());
    transaction.commit().unwrap();
    assert!(lab.store.devices(&lab.store.refs().unwrap()).is_empty());
}
