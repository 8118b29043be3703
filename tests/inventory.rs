//! The inventory as a library sees it.
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

use std::fs;
use std::path::Path;

use confvault::inventory::{DeviceChange, Editor, FILE_NAME, Inventory, InventoryError, devices_in, locate};

const TEXT: &str = r#"# ours
collector = "central"   # not to be changed

[policy]
jobs = 4

# The old one.
[devices.pbx]
source = "dir:/etc/asterisk" # local
labels = { site = "berlin" }

[devices.gw-1]   # a gateway
source = "ssh://admin@gw-1"
profile = "cisco-ios"
"#;

fn rig() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), TEXT).unwrap();
    dir
}

fn text(dir: &Path) -> String {
    fs::read_to_string(dir.join(FILE_NAME)).unwrap()
}

/// The error with its causes, as the command line shows it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(&format!(": {cause}"));
        at = cause.source();
    }
    text
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_line() {
    for (text, line, key, word) in [
        ("collector = \"c\"\n\n[policy]\njob = 4\n", 4, "policy.job", "unknown field"),
        ("collector = \"c\"\n[policy]\nlarge_over = \"8 MB\"\n", 3, "policy.large_over", "a size"),
        ("collector = \"c\"\n[devices.x]\nsource = \"dir:a\"\ncolour = 1\n", 4, "devices.x.colour", "unknown field"),
        ("collector = \"c\"\n[devices.x]\nsource = \"gopher:x\"\n", 3, "devices.x.source", "a source"),
        ("collector = \"c\"\n[devices.x]\nsource = \"dir:a\"\nrelease = \"a@b\"\n", 4, "devices.x.release", "release"),
        ("collector = \"c\"\n[devices.\"../x\"]\nsource = \"dir:a\"\n", 2, "devices.\"../x\"", "device name"),
        ("collector = \"../c\"\n", 1, "collector", "collector name"),
        ("collector = \"c\"\n[mirrors.x]\nurl = \"ext::sh\"\n", 3, "mirrors.x.url", "a mirror"),
    ] {
        let error = Inventory::parse(Path::new("/cv"), text).unwrap_err();
        let InventoryError::Syntax { line: at, key: named, .. } = &error else { panic!("{error:?}") };
        let shown = chain(&error);
        assert_eq!((*at, named.as_deref()), (line, Some(key)), "{shown}");
        assert!(shown.to_lowercase().contains(word), "{shown}");
        assert!(!shown.contains('\n'), "{shown}");
    }
    assert!(matches!(Inventory::parse(Path::new("/cv"), "collector = "), Err(InventoryError::Syntax { line: 1, .. })));
    assert!(Inventory::parse(Path::new("/cv"), "[devices]\n").is_err(), "a collector is required");
}

#[test]
fn a_password_in_the_file_is_refused_without_being_shown() {
    let text = "collector = \"c\"\n[devices.x]\nsource = \"ssh://admin:hunter2@gw\"\n";
    let error = Inventory::parse(Path::new("/cv"), text).unwrap_err();
    assert!(chain(&error).contains("password"));
    assert!(!format!("{} {error:?}", chain(&error)).contains("hunter2"));
    let text = "collector = \"c\"\n[devices.x]\nsource = \"dir:a\"\ncredential = \"hunter2\"\n";
    let error = Inventory::parse(Path::new("/cv"), text).unwrap_err();
    assert!(!format!("{} {error:?}", chain(&error)).contains("hunter2"));
}

#[test]
fn hostile_device_names_are_refused_by_the_file() {
    for name in ["../x", "/etc/x", ".git", "a/../b", "-oProxyCommand=x", "CON", "a\\u0000b", "a\\nb", "_x", &"x".repeat(300)] {
        let text = format!("collector = \"c\"\n[devices.\"{name}\"]\nsource = \"dir:a\"\n");
        assert!(Inventory::parse(Path::new("/cv"), &text).is_err(), "{name}");
    }
}

#[test]
fn devices_are_chosen_by_name_and_label() {
    let text = format!("{TEXT}\n[devices.off]\nsource = \"dir:x\"\nenabled = false\nsite = \"berlin\"\n");
    let inventory = Inventory::parse(Path::new("/cv"), &text).unwrap();
    let names = |names: &[&str], labels: &[&str]| {
        let names: Vec<_> = names.iter().map(|n| n.parse().unwrap()).collect();
        let labels: Vec<_> = labels.iter().map(|l| l.parse().unwrap()).collect();
        inventory.select(&names, &labels).map(|d| d.iter().map(|d| d.name.to_string()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(&[], &[]).unwrap(), "gw-1 pbx");
    assert_eq!(names(&[], &["site=berlin"]).unwrap(), "pbx");
    assert_eq!(names(&["off", "gw-1", "off"], &[]).unwrap(), "gw-1 off");
    assert_eq!(names(&["off", "gw-1"], &["site=berlin"]).unwrap(), "off");
    assert!(matches!(names(&["nobody"], &[]), Err(InventoryError::NoDevice(_))));
}

#[test]
fn changes_keep_comments_order_and_layout() {
    let dir = rig();
    let mut editor = Editor::open(dir.path()).unwrap();
    let label = DeviceChange::Label("role".parse().unwrap(), "pbx".into());
    editor.change_device(&"pbx".parse().unwrap(), &[DeviceChange::Set("source", "dir:/srv/pbx".into()), label.clone()]).unwrap();
    editor.add_device(&"new".parse().unwrap(), &"dir:new".parse().unwrap(), &[label]).unwrap();
    editor.add_mirror(&"offsite".parse().unwrap(), &"git@host:cv.git".parse().unwrap()).unwrap();
    editor.save().unwrap();
    let expected = TEXT
        .replace("dir:/etc/asterisk", "dir:/srv/pbx")
        .replace("{ site = \"berlin\" }", "{ site = \"berlin\", role = \"pbx\" }")
        + "\n[devices.new]\nsource = \"dir:new\"\nlabels = { role = \"pbx\" }\n\n[mirrors.offsite]\nurl = \"git@host:cv.git\"\n";
    assert_eq!(text(dir.path()), expected);

    let mut editor = Editor::open(dir.path()).unwrap();
    let name = "pbx".parse().unwrap();
    let changes = [DeviceChange::Unlabel("role".parse().unwrap()), DeviceChange::Unlabel("site".parse().unwrap())];
    editor.change_device(&name, &changes).unwrap();
    editor.remove_device(&"gw-1".parse().unwrap()).unwrap();
    editor.remove_mirror(&"offsite".parse().unwrap()).unwrap();
    let inventory = editor.save().unwrap();
    assert!(inventory.device(&name).unwrap().labels.is_empty());
    assert_eq!(inventory.devices().count(), 2);
    assert!(text(dir.path()).starts_with("# ours\n") && text(dir.path()).contains("# The old one."));
}

#[test]
fn a_change_that_makes_the_file_wrong_is_not_written() {
    let dir = rig();
    let mut editor = Editor::open(dir.path()).unwrap();
    editor.change_device(&"pbx".parse().unwrap(), &[DeviceChange::Set("release", "a@b".into())]).unwrap();
    assert!(matches!(editor.save(), Err(InventoryError::Syntax { .. })));
    assert_eq!(text(dir.path()), TEXT);
    let mut editor = Editor::open(dir.path()).unwrap();
    let name = "pbx".parse().unwrap();
    assert!(matches!(editor.add_device(&name, &"dir:x".parse().unwrap(), &[]), Err(InventoryError::Exists(_))));
    let nobody = "nobody".parse().unwrap();
    assert!(matches!(editor.remove_device(&nobody), Err(InventoryError::NoDevice(_))));
    assert!(matches!(editor.change_device(&nobody, &[]), Err(InventoryError::NoDevice(_))));
}

#[test]
fn devices_written_inline_are_changed_too() {
    let dir = tempfile::tempdir().unwrap();
    let inline = "collector = \"c\"\ndevices = { pbx = { source = \"dir:x\" } }\n";
    fs::write(dir.path().join(FILE_NAME), inline).unwrap();
    let mut editor = Editor::open(dir.path()).unwrap();
    editor.change_device(&"pbx".parse().unwrap(), &[DeviceChange::Set("release", "1".into())]).unwrap();
    editor.add_device(&"b".parse().unwrap(), &"dir:b".parse().unwrap(), &[]).unwrap();
    assert_eq!(editor.save().unwrap().devices().count(), 2);
}

#[test]
fn folders_become_devices() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(devices_in(dir.path()), Err(InventoryError::NoFolders(_))));
    for name in ["gw-2", "gw-1", ".hidden"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("README"), "").unwrap();
    let found: Vec<_> = devices_in(dir.path()).unwrap().into_iter().map(|(name, url)| format!("{name} {url}")).collect();
    let at = dir.path().display();
    assert_eq!(found, [format!("gw-1 dir:{at}/gw-1"), format!("gw-2 dir:{at}/gw-2")]);
    fs::create_dir(dir.path().join("-oProxyCommand=x")).unwrap();
    assert!(matches!(devices_in(dir.path()), Err(InventoryError::Folder(_))));
}

#[test]
fn the_folder_of_a_store_is_found_from_below() {
    let dir = rig();
    let deep = dir.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(locate(&deep, true).unwrap(), dir.path());
    assert!(matches!(locate(&deep, false), Err(InventoryError::NotFound(_))));
    assert_eq!(locate(dir.path(), false).unwrap(), dir.path());
}

#[test]
fn comments_of_the_file_stay_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let begin = confvault::inventory::template(&"central".parse().unwrap());
    fs::write(dir.path().join(FILE_NAME), &begin).unwrap();
    let add = |name: &str| {
        let mut editor = Editor::open(dir.path()).unwrap();
        editor.add_device(&name.parse().unwrap(), &"dir:x".parse().unwrap(), &[]).unwrap();
        editor.save().unwrap();
    };
    let remove = |name: &str| {
        let mut editor = Editor::open(dir.path()).unwrap();
        editor.remove_device(&name.parse().unwrap()).unwrap();
        editor.save().unwrap();
    };
    add("a");
    assert_eq!(text(dir.path()), format!("{begin}\n[devices.a]\nsource = \"dir:x\"\n"));
    add("b");
    fs::write(dir.path().join(FILE_NAME), text(dir.path()).replace("[devices.b]", "# About b.\n[devices.b]")).unwrap();
    // A policy that is taken out of its comment is a policy.
    fs::write(dir.path().join(FILE_NAME), text(dir.path()).replace("#full_every = 0", "full_every = 7")).unwrap();
    assert_eq!(Inventory::load(dir.path()).unwrap().policy.full_every, 7);
    fs::write(dir.path().join(FILE_NAME), text(dir.path()).replace("full_every = 7", "#full_every = 0")).unwrap();
    remove("a");
    assert_eq!(text(dir.path()), format!("{begin}\n# About b.\n[devices.b]\nsource = \"dir:x\"\n"));
    remove("b");
    assert_eq!(text(dir.path()).trim_end(), begin.trim_end());
    add("c");
    assert_eq!(text(dir.path()).matches("# The values shown").count(), 1);
}
