//! Volatile lines are left out, and the patch still applies to the real old file.

use std::borrow::Cow;

use confvault::diff::{Options, SetDiff, Side, compare};
use confvault::model::ConfigPath;
use proptest::prelude::*;

use crate::support::{GIT, GNU, applied, file, side, unified};

/// Leaves out lines that begin with `! Last`, blanks the number behind `clock-period`.
fn normalise<'t>(_: &ConfigPath, text: &'t [u8]) -> Cow<'t, [u8]> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b"! Last") {
            continue;
        }
        if line.starts_with(b"clock-period ") {
            out.extend_from_slice(b"clock-period ");
            out.extend_from_slice(if line.ends_with(b"\n") { b"\n" } else { b"" });
            continue;
        }
        out.extend_from_slice(line);
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

fn quiet(old: &Side, new: &Side) -> SetDiff {
    compare(old, new, &Options { normalise: Some(&normalise), ..Options::default() })
}

fn text(text: &str) -> Side {
    side(vec![file("run", text.as_bytes())])
}

#[test]
fn hunks_of_volatile_lines_alone_are_left_out() {
    let old = text("! Last change 1\nhostname a\nclock-period 17\nend\n");
    let new = text("! Last change 2\n! Last saved 2\nhostname a\nclock-period 18\nend\n");
    assert!(quiet(&old, &new).is_empty());
    assert!(!compare(&old, &new, &Options::default()).is_empty());
}

#[test]
fn in_other_hunks_they_are_context_of_the_old_side() {
    let old = text("one\n! Last change 1\nhostname a\nclock-period 17\nend\n");
    let new = text("one\n! Last change 2\n! Last saved 2\nhostname b\nclock-period 18\nend\n");
    let result = quiet(&old, &new);
    let patch = String::from_utf8(unified(&result)).unwrap();
    assert!(patch.contains(" ! Last change 1\n-hostname a\n+hostname b\n clock-period 17\n"), "{patch}");
    assert!(!patch.contains("18") && !patch.contains("saved"), "{patch}");
    let hunk = match &result.files[0].body {
        confvault::diff::BodyDiff::Lines(lines) => &lines.hunks[0],
        other => panic!("{other:?}"),
    };
    // Numbers are those of the real files.
    assert_eq!(hunk.lines.iter().find(|l| l.text == b"hostname b\n").unwrap().new, Some(4));
    assert_eq!(hunk.lines.iter().filter(|l| l.volatile).count(), 2);
    for program in [GIT, GNU] {
        let (found, said) = applied(&old, patch.as_bytes(), program);
        assert_eq!(found[0].2, b"one\n! Last change 1\nhostname b\nclock-period 17\nend\n", "{said}");
    }
}

#[test]
fn a_changed_line_stays_on_its_side_of_a_volatile_one() {
    let (gone, came) = ("access-list 1 permit 10.0.0.1\n", "access-list 1 permit 10.0.0.2\n");
    let old = text(&format!("! Last change 1\n{gone}! Last saved 1\nend\n"));
    let new = text(&format!("! Last change 2\n{came}! Last saved 2\nend\n"));
    let patch = String::from_utf8(unified(&quiet(&old, &new))).unwrap();
    assert!(patch.contains(&format!(" ! Last change 1\n-{gone}+{came} ! Last saved 1\n end\n")), "{patch}");
    // Also where the old side has none of them, or the line really went to the other side.
    let new = text(&format!("{came}end\n"));
    let patch = String::from_utf8(unified(&quiet(&old, &new))).unwrap();
    assert!(patch.contains(&format!("-{gone}+{came} ! Last saved 1\n end\n")), "{patch}");
    let new = text(&format!("! Last change 2\n! Last saved 2\n{came}end\n"));
    let patch = String::from_utf8(unified(&quiet(&old, &new))).unwrap();
    assert!(patch.contains(&format!("-{gone} ! Last saved 1\n+{came} end\n")), "{patch}");
}

#[test]
fn a_real_profile() {
    let profile = confvault::profile::Profiles::load(None).unwrap().get("cisco-ios").unwrap();
    let config = |when: &str, period: u32, name: &str| {
        let text =
            format!("!\n! Last configuration change at {when} by admin\n!\nhostname {name}\n!\nntp clock-period {period}\nend\n");
        side(vec![file("running-config", text.as_bytes())])
    };
    let old = config("10:00:00 UTC Mon Nov 2 2026", 17179863, "gw");
    let call: confvault::diff::Normalise<'_> = &|path, text| profile.normalise(path, text);
    let options = Options { normalise: Some(call), ..Options::default() };
    assert!(compare(&old, &config("11:00:00 UTC Tue Nov 3 2026", 17179871, "gw"), &options).is_empty());
    let patch = unified(&compare(&old, &config("11:00:00 UTC Tue Nov 3 2026", 17179871, "gw2"), &options));
    let (found, said) = applied(&old, &patch, GNU);
    assert!(
        String::from_utf8_lossy(&found[0].2).contains("10:00:00") && found[0].2.windows(12).any(|w| w == b"hostname gw2"),
        "{said}"
    );
}

fn texts() -> impl Strategy<Value = String> {
    let line = prop_oneof![Just("a\n".to_owned()), Just("b\n".to_owned()), "c[0-9]\n", "! Last [0-9]\n", "clock-period [0-9]\n",];
    (proptest::collection::vec(line, 0..30), any::<bool>()).prop_map(|(lines, cut)| {
        let mut text = lines.concat();
        if cut {
            text.pop();
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_patch_applies_to_the_real_old_file(old in texts(), new in texts()) {
        let (a, b) = (text(&old), text(&new));
        let result = quiet(&a, &b);
        let path = ConfigPath::new("run").unwrap();
        let norm = |t: &[u8]| normalise(&path, t).into_owned();
        // What makes no generation shows no difference. The other way round only how a file ends may be told.
        if norm(old.as_bytes()) == norm(new.as_bytes()) {
            prop_assert!(result.is_empty());
        } else if old.ends_with('\n') == new.ends_with('\n') {
            prop_assert!(!result.is_empty());
        }
        if result.is_empty() {
            return Ok(());
        }
        let patch = unified(&result);
        for program in [GIT, GNU] {
            let (found, said) = applied(&a, &patch, program);
            prop_assert!(!said.contains("offset") && !said.contains("fuzz"), "{}", said);
            let made = found.first().map(|f| f.2.clone()).unwrap_or_default();
            // What was made is the new file but for volatile lines, and has no volatile line of the new file.
            if old.ends_with('\n') == new.ends_with('\n') {
                prop_assert_eq!(norm(&made), norm(new.as_bytes()));
            }
            for line in made.split_inclusive(|&b| b == b'\n').filter(|l| l.starts_with(b"! Last") && l.ends_with(b"\n")) {
                prop_assert!(old.as_bytes().split_inclusive(|&b| b == b'\n').any(|l| l == line));
            }
        }
    }
}
