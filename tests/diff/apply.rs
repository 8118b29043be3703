//! `git apply` and `patch` make the new side of the old one.

use confvault::diff::{Body, BodyDiff, File, Options, Side, Status, Syntax, Why, compare};
use confvault::model::{Digest, Kind, Owner};
use proptest::prelude::*;

use crate::support::{GIT, GNU, assert_makes, diff, file, side, unified};

fn both_ways(old: &Side, new: &Side) {
    for (a, b) in [(old, new), (new, old)] {
        let patch = unified(&diff(a, b));
        assert_makes(a, b, &patch, GIT);
        assert_makes(a, b, &patch, GNU);
    }
}

#[test]
fn lines_with_and_without_a_newline_at_the_end() {
    for (old, new) in [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a\nb\nc", "a\nb\nc\n"),
        ("a\nb\nc", "a\nb\nd"),
        ("a", "b"),
        ("a", "a\nb"),
        ("a\r\nb\r\n", "a\r\nc\r\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("\n\n\n", "\n\n"),
        ("x\n", "--- x\n+++ y\n@@ -1 +1 @@\n"),
        ("-- x\n++ y\n", "x\n"),
    ] {
        both_ways(&side(vec![file("etc/a.conf", old.as_bytes())]), &side(vec![file("etc/a.conf", new.as_bytes())]));
    }
}

#[test]
fn bytes_that_are_not_utf8() {
    both_ways(
        &side(vec![file("etc/latin", b"name=M\xfcller\nx\n\x1b[31m\x07\n")]),
        &side(vec![file("etc/latin", b"name=Sch\xf6n\nx\n\x1b[32m\x0b\n")]),
    );
}

#[test]
fn files_that_come_and_go_and_empty_ones() {
    both_ways(
        &side(vec![file("etc/gone", b"1\n2\n"), file("etc/empty-gone", b""), file("k", b"k\n")]),
        &side(vec![file("etc/new/deep", b"1\n"), file("etc/empty-new", b""), file("etc/bare", b"no newline"), file("k", b"k\n")]),
    );
}

#[test]
fn a_file_that_becomes_empty_stays() {
    both_ways(&side(vec![file("etc/a", b"x\n")]), &side(vec![file("etc/a", b"")]));
}

#[test]
fn names_that_git_quotes() {
    let names = ["etc/my file.conf", "etc/a\"b", "etc/back\\slash", "etc/umläut", "etc/tab\there", "etc/new\nline", "etc/end "];
    let make = |text: &[u8]| side(names.iter().map(|name| file(name, text)).collect());
    both_ways(&make(b"a\nb\n"), &make(b"a\nc\n"));
    both_ways(&make(b""), &side(vec![]));
    both_ways(&make(b"x\n"), &side(vec![]));
    // Bytes that are no UTF-8 at all.
    let raw = |text: &[u8]| {
        let path = confvault::model::ConfigPath::new(&b"etc/\xff\xfe x"[..]).unwrap();
        side(vec![File { path, ..file("x", text) }])
    };
    both_ways(&raw(b"1\n"), &raw(b"2\n"));
}

#[test]
fn modes_links_and_types() {
    let script = |mode| File { mode, ..file("bin/x", b"#!/bin/sh\n") };
    both_ways(&side(vec![script(0o644)]), &side(vec![script(0o755)]));
    let link = |target: &[u8]| File { kind: Kind::Link, mode: 0o777, ..file("etc/link", target) };
    let patch = |a: &Side, b: &Side| unified(&diff(a, b));
    let cases = [
        (side(vec![link(b"a")]), side(vec![link(b"../b")])),
        (side(vec![link(b"a")]), side(vec![])),
        (side(vec![link(b"a")]), side(vec![file("etc/link", b"text\n")])),
    ];
    for (old, new) in &cases {
        assert_makes(old, new, &patch(old, new), GIT);
        assert_makes(new, old, &patch(new, old), GIT);
    }
}

#[test]
fn of_many_equal_files_each_finds_the_one_of_its_name() {
    let names = |folder: &str, order: &[usize]| -> Side {
        side(order.iter().map(|n| file(&format!("{folder}/{}{n}", ["x", "a", "m"][n % 3]), b"equal\n")).collect())
    };
    let all: Vec<usize> = (0..3000).collect();
    let moved = diff(&names("old", &all), &names("new", &all));
    assert_eq!(moved.files.len(), all.len());
    for file in &moved.files {
        let (old, new) = (file.old.as_ref().unwrap().place(), file.new.as_ref().unwrap().place());
        assert_eq!(file.status, Status::Renamed);
        assert_eq!(old.rsplit(|b| *b == b'/').next(), new.rsplit(|b| *b == b'/').next());
    }
    // One comes that has no partner, and one goes.
    let (old, new) =
        (names("old", &[0, 1]), side(vec![file("new/x0", b"equal\n"), file("new/other", b"equal\n"), file("z", b"y\n")]));
    let statuses: Vec<Status> = diff(&old, &new).files.iter().map(|f| f.status).collect();
    assert_eq!(statuses, [Status::Renamed, Status::Renamed, Status::Added]);
}

#[test]
fn a_moved_file_is_a_rename() {
    let old = side(vec![file("etc/a/x.conf", b"1\n2\n"), file("etc/b", b"1\n2\n")]);
    let new = side(vec![file("etc/b", b"1\n2\n"), file("etc/c d/x.conf", b"1\n2\n")]);
    let result = diff(&old, &new);
    assert_eq!(result.files.len(), 1);
    assert_eq!(result.files[0].status, Status::Renamed);
    both_ways(&old, &new);
    let plain = compare(&old, &new, &Options { renames: false, ..Options::default() });
    assert_eq!(plain.files.len(), 2);
    assert_makes(&old, &new, &unified(&plain), GIT);
}

#[test]
fn what_git_cannot_say_is_in_notes_that_patch_passes_over() {
    let old_file = File { mode: 0o640, owner: Some(Owner { uid: 0, gid: 0 }), ..file("etc/a", b"1\n") };
    let new_file = File { mode: 0o600, owner: Some(Owner { uid: 5060, gid: 0 }), ..file("etc/a", b"2\n") };
    let dir = File { kind: Kind::Directory, mode: 0o755, ..file("etc/spool", b"") };
    let (old, new) = (side(vec![old_file.clone()]), side(vec![new_file, dir.clone()]));
    let patch = String::from_utf8(unified(&diff(&old, &new))).unwrap();
    for note in ["# voip/etc/a: mode: 0640 -> 0600", "# voip/etc/a: owner: 0:0 -> 5060:0", "# voip/etc/spool: directory added"] {
        assert!(patch.contains(note), "{patch}");
    }
    let both = side(vec![File { mode: 0o640, ..file("etc/a", b"2\n") }]);
    assert_makes(&side(vec![old_file.clone()]), &both, patch.as_bytes(), GIT);
    // A source that knows no owner does not make every file differ.
    assert!(diff(&side(vec![old_file.clone()]), &side(vec![File { owner: None, ..old_file }])).is_empty());
}

#[test]
fn binary_and_sealed_files_are_named_with_their_sizes() {
    let old = side(vec![file("a.wav", b"RIFF\0\0")]);
    let new = side(vec![file("a.wav", b"RIFF\0\0\0\0")]);
    let patch = String::from_utf8(unified(&diff(&old, &new))).unwrap();
    assert!(patch.contains("Binary files a/voip/a.wav and b/voip/a.wav differ\n"), "{patch}");
    assert!(patch.contains("binary: 6 -> 8 bytes"), "{patch}");
    let sealed = |digest: u8| File {
        digest: Some(Digest([digest; 32])),
        body: Body::Closed { why: Why::Sealed, size: Some(9) },
        ..file("u", b"")
    };
    assert!(diff(&side(vec![sealed(1)]), &side(vec![sealed(1)])).is_empty());
    let result = diff(&side(vec![sealed(1)]), &side(vec![sealed(2)]));
    assert_eq!(result.files[0].body, BodyDiff::Closed(Why::Sealed));
    assert!(String::from_utf8(unified(&result)).unwrap().contains("sealed: 9 -> 9 bytes"));
}

#[test]
fn a_hunk_names_its_section() {
    let text = |codec: &str| format!("[general]\na=1\nb=2\nc=3\nd=4\n[trunk]\nx=1\ny=2\nz=3\nw=4\nallow={codec}\n");
    let make = |codec| side(vec![File { syntax: Syntax::Ini, ..file("sip.conf", text(codec).as_bytes()) }]);
    let patch = String::from_utf8(unified(&diff(&make("alaw"), &make("ulaw")))).unwrap();
    assert!(patch.lines().any(|l| l.starts_with("@@ ") && l.ends_with("trunk]") || l.ends_with("@@ trunk")), "{patch}");
    both_ways(&make("alaw"), &make("ulaw"));
}

/// Texts of few different lines, so that blocks repeat and could be aligned in many ways.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(&b"\n"[..]),
        Just(&b"!\n"[..]),
        Just(&b"interface\n"[..]),
        Just(&b" ip address\n"[..]),
        Just(&b"[a]\n"[..]),
        Just(&b"x=\xff\r\n"[..]),
        Just(&b"- y\n"[..]),
        Just(&b"}\n"[..]),
    ];
    (proptest::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, cut)| {
        let mut text = lines.concat();
        if cut {
            text.pop();
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_two_texts(old in texts(), new in texts(), context in 0usize..5) {
        let (a, b) = (side(vec![file("etc/x y", &old)]), side(vec![file("etc/x y", &new)]));
        let result = compare(&a, &b, &Options { context, ..Options::default() });
        prop_assert_eq!(result.is_empty(), old == new);
        if old != new {
            let patch = unified(&result);
            let unidiff: &[&str] = if context == 0 { &["apply", "--unidiff-zero", "-"] } else { &["apply", "-"] };
            assert_makes(&a, &b, &patch, ("git", unidiff));
            assert_makes(&a, &b, &patch, GNU);
        }
    }

    #[test]
    fn equal_sides_do_not_differ(text in texts()) {
        let a = side(vec![file("etc/x", &text)]);
        prop_assert!(diff(&a, &a.clone()).is_empty());
    }
}
