//! The language: what is refused, and with which words; `extends`; a user's folder.

use std::fs;

use confvault::model::ConfigPath;
use confvault::profile::{Claim, MaskOverrides, MaskRule, Origin, ProfileError, Profiles};

fn path(text: &str) -> ConfigPath {
    ConfigPath::new(text).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn refused(text: &str) -> String {
    let dir = folder(&[("mine.toml", text)]);
    let error = Profiles::load(Some(dir.path())).unwrap_err();
    let mut shown = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        shown = format!("{shown}\n{source}");
        cause = source.source();
    }
    shown
}

#[test]
fn built_in_profiles_are_in_the_language() {
    Profiles::check_builtin().unwrap();
    let profiles = Profiles::load(None).unwrap();
    let list = profiles.list().unwrap();
    assert!(list.len() >= 21);
    assert!(list.iter().all(|profile| profile.title.len() > 10 && profile.origin == Origin::Builtin));
}

#[test]
fn a_wrong_file_is_refused_with_its_key_and_line() {
    let cases = [
        ("name = \"mine\"\ntitel = \"x\"\n", &["mine.toml", "titel", "line 2"][..]),
        ("name = \"other\"\n", &["mine.toml:1", "`name`", "`mine`"]),
        ("name = \"mine\"\n\n[[file]]\npaths = [\"a[\"]\nscope = \"voip\"\n", &["mine.toml:4", "file.paths"]),
        ("name = \"mine\"\n\n[[file]]\npaths = [\"a\"]\nscope = \"void\"\n", &["mine.toml", "line 5", "void"]),
        ("name = \"mine\"\n[[file]]\npaths = [\"a\"]\n", &["mine.toml:3", "scope"]),
        ("name = \"mine\"\n[[volatile]]\nregex = '('\n", &["mine.toml:3", "volatile.regex"]),
        ("name = \"mine\"\n[[volatile]]\nregex = 'x*'\n", &["mine.toml:3", "empty"]),
        ("name = \"mine\"\n[[release]]\npaths = [\"v\"]\nregex = '(\\d+)'\n", &["mine.toml:4", "no group `release`"]),
        ("name = \"mine\"\n[[secret]]\nid = \"a\"\nregex = '(?<secret>x)'\n", &["mine.toml:4", "secret (a)", "words"]),
        ("name = \"mine\"\n[[secret]]\nid = \"a\"\nwords = [\"xy\"]\nregex = 'xy'\n", &["mine.toml:5", "no group `secret`"]),
        ("name = \"mine\"\n[[secret]]\nid = \"a\"\nkeys = [\"*\"]\n", &["mine.toml", "secret (a)", "two letters"]),
        (
            "name = \"mine\"\n[[secret]]\nid = \"a\"\nkeys = [\"aa\"]\n[[secret]]\nid = \"a\"\nkeys = [\"bb\"]\n",
            &["secret.id (a)", "twice"],
        ),
        ("name = \"mine\"\n[restore]\nmethod = \"commands\"\n", &["restore.config"]),
        (
            "name = \"mine\"\n[restore]\nmethod = \"commands\"\nconfig = \"c\"\n[[restore.apply]]\nrun = \"replace\"\n",
            &["restore.upload", "{lines}"],
        ),
        (
            "name = \"mine\"\n[[health]]\nwhat = \"w\"\nrun = \"r\"\nregex = '(?<count>\\d+) up'\n",
            &["mine.toml:5", "health.regex", "has a group `count`; `value` is"],
        ),
        ("name = \"mine\"\nextends = \"nobody\"\n", &["No such profile: nobody"]),
        ("name = \"mine\"\nextends = \"mine\"\n", &["No such profile: mine"]),
        ("name = \"mine\"\n[[command]]\nrun = \"x\"\npath = \"../x\"\nscope = \"voip\"\n", &["mine.toml", "line 4"]),
    ];
    for (text, wanted) in cases {
        let shown = refused(text);
        for word in wanted {
            assert!(shown.contains(word), "{word:?} is missing in:\n{shown}\nof\n{text}");
        }
    }
}

#[test]
fn the_general_rules_can_be_read_and_not_replaced() {
    let dir = folder(&[("general.toml", "name = \"general\"\n")]);
    assert!(matches!(Profiles::load(Some(dir.path())), Err(ProfileError::Value { .. })));
    assert!(Profiles::load(None).unwrap().text("general").unwrap().contains("[[secret]]"));
}

#[test]
fn circles_are_refused() {
    let dir = folder(&[("a.toml", "name = \"a\"\nextends = \"b\"\n"), ("b.toml", "name = \"b\"\nextends = \"a\"\n")]);
    assert!(matches!(Profiles::load(Some(dir.path())), Err(ProfileError::Circle(_))));
}

#[test]
fn a_file_of_the_user_stands_over_the_built_in_one_and_may_extend_it() {
    let text = "name = \"asterisk\"\ntitle = \"ours, with a folder of its own\"\nextends = \"asterisk\"\n\
                [[file]]\npaths = [\"ours/**\"]\nscope = \"user\"\n[[secret]]\nid = \"ours\"\nkeys = [\"door_word\"]\n";
    let dir = folder(&[("asterisk.toml", text), ("notes.txt", "no profile")]);
    let profiles = Profiles::load(Some(dir.path())).unwrap();
    let own = profiles.get("asterisk").unwrap();
    assert_eq!(own.claim(&path("ours/x")), Claim::Scope("user".parse().unwrap()));
    assert_eq!(own.claim(&path("pjsip.conf")), Claim::Scope("voip".parse().unwrap()));
    assert!(matches!(profiles.list().unwrap().iter().find(|s| s.name == "asterisk").unwrap().origin, Origin::File(_)));
    let spans = own.secrets(&path("pjsip.conf"), b"[a]\ndoor_word=swordfish\npassword=hunter2\n", &MaskOverrides::default());
    let rules: Vec<&str> = spans.iter().map(|s| &*s.rule).collect();
    assert_eq!(rules, ["asterisk/ours", "general/password"]);
    let built_in = Profiles::load(None).unwrap().get("asterisk").unwrap();
    assert_ne!(own.masks_id(&MaskOverrides::default()), built_in.masks_id(&MaskOverrides::default()));
    assert_eq!(own.rules_id(), built_in.rules_id());
    assert!(matches!(profiles.get("nobody"), Err(ProfileError::Unknown(_))));
    assert!(Profiles::load(Some(&dir.path().join("missing"))).is_ok());
}

#[test]
fn a_mask_rule_of_the_user_wins() {
    let profile = Profiles::load(None).unwrap().get("generic").unwrap();
    let rule = |regex: &str| MaskRule { regex: regex.into(), profile: None, paths: Vec::new(), why: String::new() };
    let text = b"password = public\nnote site-77 x\npassword = hunter2\n";
    let found = |overrides: &MaskOverrides, at: &str| -> Vec<String> {
        let spans = profile.secrets(&path(at), text, overrides);
        spans.iter().map(|s| format!("{} {}", s.rule, String::from_utf8_lossy(&text[s.range.clone()]))).collect()
    };
    let both = MaskOverrides::new(&[rule("^password = public$")], &[rule("site-(?<secret>[0-9]+)")]).unwrap();
    assert_eq!(found(&both, "a.txt"), ["always-mask 77", "general/password hunter2"]);
    assert_ne!(profile.masks_id(&both), profile.masks_id(&MaskOverrides::default()));

    let elsewhere = MaskRule { profile: Some("cisco-*".into()), ..rule("site-(?<secret>[0-9]+)") };
    let other_file = MaskRule { paths: vec!["*.cfg".into()], ..rule("password.*") };
    let limited = MaskOverrides::new(&[other_file], &[elsewhere]).unwrap();
    assert_eq!(found(&limited, "a.txt"), ["general/password public", "general/password hunter2"]);
    assert!(found(&limited, "b/a.cfg").is_empty());
    assert!(MaskOverrides::new(&[rule("(")], &[]).is_err());
    assert!(toml::from_str::<MaskRule>("regex = 'a'\nprofil = 'x'\n").is_err());
}

#[test]
fn a_file_that_is_no_text_is_left_alone() {
    let profile = Profiles::load(None).unwrap().get("cisco-ios").unwrap();
    let bytes = b"ntp clock-period 1\n\0password 7 02050D480809\n";
    assert_eq!(profile.normalise(&path("running-config"), bytes).as_ref(), bytes);
    assert!(profile.secrets(&path("running-config"), bytes, &MaskOverrides::default()).is_empty());
}

#[test]
fn a_release_that_two_files_tell_differently_is_not_found() {
    let profile = Profiles::load(None).unwrap().get("cisco-phone").unwrap();
    let paths = [path("SEP001122334455.cnf.xml"), path("SEP001122334466.cnf.xml")];
    let load = |n: u8| Some(format!("<loadInformation>sip88xx.14-2-{n}</loadInformation>").into_bytes());
    assert_eq!(profile.release(&paths, &mut |_| load(1)).unwrap().as_str(), "sip88xx.14-2-1");
    assert_eq!(profile.release(&paths, &mut |p| load(p.as_bytes()[14])), None);
}

/// The reference must have every key: the fields of the types are the keys.
#[test]
fn every_key_of_the_language_is_documented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/profile/language.rs")).unwrap();
    let docs = fs::read_to_string(root.join("docs/profiles.md")).unwrap();
    let mut keys = 0;
    for line in source.lines() {
        let field = line.trim().strip_prefix("pub(crate) ").or_else(|| line.trim().strip_prefix("pub "));
        let Some((name, _)) = field.and_then(|f| f.split_once(": ")) else { continue };
        if name == "home" || name.contains(' ') {
            continue;
        }
        keys += 1;
        let key = name.replace('_', "-");
        let shown = [format!("`{key}`"), format!("[[{key}]]"), format!("[{key}]")];
        assert!(shown.iter().any(|s| docs.contains(s)), "docs/profiles.md does not have `{key}`");
    }
    assert!(keys > 60, "the reader of fields found {keys}: it is broken");
    let syntaxes = ["ini", "ios", "xml", "json", "yaml", "braces", "kamailio", "audiocodes", "key-value", "plain"];
    assert!(syntaxes.iter().all(|s| docs.contains(&format!("| `{s}` |"))));
    for name in Profiles::load(None).unwrap().names() {
        assert!(docs.contains(&format!("`{name}`")), "docs/profiles.md does not name {name}");
    }
}
