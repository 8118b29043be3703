//! Holds the sources to the rules of the house: rooms to their floors, files to their size.
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
use std::path::{Path, PathBuf};

/// The rooms, highest first. A room may import only what stands below it; `seal` and `diff` stand
/// side by side and may not see each other.
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["ops"],
    &["mirror"],
    &["store"],
    &["collect"],
    &["inventory"],
    &["seal", "diff"],
    &["profile"],
    &["fsio"],
    &["model"],
];

/// Pairs that the floors would allow but the design does not: (room, what it must not import).
const FORBIDDEN: &[(&str, &str)] = &[("store", "collect"), ("store", "inventory"), ("store", "diff")];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn all(dir: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut out);
    out.sort();
    out
}

/// What changes a disk, and where alone it may stand: every write passes a step at which a test can stop the world.
#[test]
fn only_fsio_changes_what_is_on_disk() {
    const CHANGES: &[&str] = &[
        "fs::remove_",
        "fs::rename",
        "fs::write(",
        "fs::hard_link",
        "fs::copy(",
        "fs::create_dir",
        "set_permissions",
        "File::create",
    ];
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fsio");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in all("src") {
        let text = fs::read_to_string(&file).unwrap();
        // Modules of tests stand at the end of a file.
        let shipped = text.split("#[cfg(test)]\n").next().unwrap();
        for (at, line) in shipped.lines().enumerate().filter(|(_, line)| CHANGES.iter().any(|change| line.contains(change))) {
            seen += 1;
            if !file.starts_with(&room) {
                wrong.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(seen > 5, "{seen}");
    assert!(wrong.is_empty(), "past fsio:\n{}", wrong.join("\n"));
}

#[test]
fn a_room_imports_only_lower_floors() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in all("src") {
        let inside = file.strip_prefix(&src).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        let Some(own) = floor(&room) else {
            assert!(room.ends_with(".rs"), "room {room} stands on no floor: add it to FLOORS");
            continue;
        };
        for (at, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for part in line.split("crate::").skip(1) {
                let target: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(other) = floor(&target) else { continue };
                seen += 1;
                let allowed = target == room || (other > own && !FORBIDDEN.contains(&(room.as_str(), target.as_str())));
                if !allowed {
                    wrong.push(format!("{}:{}: {room} imports {target}", file.display(), at + 1));
                }
            }
        }
    }
    assert!(seen > 0, "the reader of imports found none: it is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|dir| all(dir))
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, file)| format!("{} has {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn only_the_user_interface_prints() {
    let wrong: Vec<String> = all("src")
        .into_iter()
        .filter(|file| !file.ends_with("cli/ui.rs"))
        .filter(|file| {
            let text = fs::read_to_string(file).unwrap();
            ["println!", "eprintln!", "print!(", "eprint!("].iter().any(|word| text.contains(word))
        })
        .map(|file| file.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
