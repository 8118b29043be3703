//! The other shapes.

use confvault::diff::render::Style;
use confvault::diff::{Body, File, Options, Render, SetDiff, Side, Syntax, Why, compare, render};
use confvault::model::{Digest, Kind, Owner};

use crate::support::{diff, file, one, run, side, text, unified, write};

fn token(digit: char) -> String {
    format!("{{{{sealed:{}}}}}", digit.to_string().repeat(32))
}

fn wide(diff: &SetDiff, width: usize) -> String {
    text(|out| render::side_by_side(diff, &Render { width, ..Render::default() }, out))
}

fn words(diff: &SetDiff) -> String {
    text(|out| render::word(diff, &Render::default(), out))
}

/// Everything that can go wrong in a name and in a line.
fn hostile() -> (Side, Side) {
    let name = "<img src=x onerror=alert(1)>\u{202e}\x1b[2J\"'&";
    let make = |value: &str| {
        let content = format!("a=</td><script>{value}</script>\x1b]0;x\x07\r\u{9b}31m\u{202e}\n\x1b[8mhidden\n{value}");
        side(vec![file(name, content.as_bytes()), file(&format!("{name}.{value}"), b"x")])
    };
    (make("1"), make("2"))
}

#[test]
fn nothing_from_a_device_reaches_a_terminal_raw() {
    let (old, new) = hostile();
    let result = compare(&old, &new, &Options { renames: false, ..Options::default() });
    let options = Render { escape_control: true, ..Render::default() };
    let settings = confvault::diff::semantic::compare_settings(&old, &new, &Options::default());
    for shown in [
        text(|out| render::unified(&result, &options, out)),
        text(|out| render::word(&result, &options, out)),
        text(|out| render::side_by_side(&result, &options, out)),
        text(|out| render::stat(&result, &options, out)),
        text(|out| render::settings(&settings, &options, out)),
        text(|out| render::html(&result, "t\x1b", out)),
    ] {
        let bad = shown.chars().find(|c| (c.is_control() && !"\n\t".contains(*c)) || *c == '\u{202e}');
        assert_eq!(bad, None, "{shown}");
        assert!(!shown.is_empty());
    }
    // For `patch` the bytes are as they are.
    assert!(unified(&result).windows(4).any(|w| w == b"\x1b[8m"));
}

#[test]
fn html_has_nothing_active_and_nothing_from_outside() {
    let (old, new) = hostile();
    let page = text(|out| render::html(&compare(&old, &new, &Options::default()), "<b>&\"'", out));
    let lower = page.to_lowercase();
    for bad in ["<script", "<img", "<link", "javascript:", "http://", "https://", "url(", "@import", " onload", " src=", "<b>"] {
        // Names of devices are there as text, so only what opens a tag or an attribute counts.
        let found = lower.match_indices(bad).any(|(at, _)| !lower[..at].ends_with("&lt;img"));
        assert!(!found, "{bad}");
    }
    assert!(page.contains("default-src 'none'") && page.contains("&lt;script&gt;"));
    // Each tag that opens is closed, so that no text of a device lies outside of its cell.
    let checked = page.replacen("<!DOCTYPE html>", "", 1).replace("<meta charset=\"utf-8\">", "");
    let body = &checked[checked.find("<body>").unwrap()..checked.find("</html>").unwrap()];
    let mut reader = quick_xml::Reader::from_str(body);
    loop {
        if let quick_xml::events::Event::Eof = reader.read_event().unwrap() {
            break;
        }
    }
    assert!(page.contains("<a href=\"#f0\">") && page.contains("<section id=\"f0\">"));
}

#[test]
fn a_changed_secret_is_told_in_every_shape() {
    let make = |digit| side(vec![file("etc/pjsip.conf", format!("user=a\npassword={}\n", token(digit)).as_bytes())]);
    let result = diff(&make('1'), &make('2'));
    assert_eq!(result.stats.changed_secrets, 1);
    let patch = String::from_utf8(unified(&result)).unwrap();
    assert!(patch.contains("1 secret changed") && patch.contains(&token('2')), "{patch}");
    let shown = words(&result);
    assert!(shown.contains("password=[-{{sealed:11111111}}-]{+{{sealed:22222222}}+}{{secret changed}}\n"), "{shown}");
    let shown = wide(&result, 120);
    assert!(shown.contains(" * ") && shown.contains("{{secret changed}}"), "{shown}");
    let shown = text(|out| render::html(&result, "t", out));
    assert!(shown.contains("<span class=\"sec\">secret changed</span>"), "{shown}");
    assert!(text(|out| render::stat(&result, &Render::default(), out)).contains("1 secret changed"));
    let json = render::json(&result);
    assert_eq!(json["stats"]["changed_secrets"], 1);
    assert_eq!(json["files"][0]["lines"]["hunks"][0]["lines"][2]["secret_changed"], true);
    // The same token in another line is no changed secret.
    let moved = side(vec![file("etc/pjsip.conf", format!("user=b\npassword={} \n", token('1')).as_bytes())]);
    assert_eq!(diff(&make('1'), &moved).stats.changed_secrets, 0);
}

#[test]
fn words_in_gits_shape() {
    let result =
        diff(&side(vec![file("x", b"a\nhost=10.0.0.1 on\nb\ngone\n")]), &side(vec![file("x", b"a\nhost=10.0.0.2 on\nb\n")]));
    let shown = words(&result);
    assert!(shown.ends_with("@@ -1,4 +1,3 @@\na\nhost=[-10.0.0.1-]{+10.0.0.2+} on\nb\n[-gone-]\n"), "{shown}");
    let colours = text(|out| render::word(&result, &Render { style: Style::Ansi, ..Render::default() }, out));
    assert!(colours.contains("\x1b[31m[-10.0.0.1-]\x1b[m\x1b[32m{+10.0.0.2+}\x1b[m"), "{colours:?}");
}

#[test]
fn words_of_a_last_line_without_newline() {
    let result = diff(&side(vec![file("x", b"a\nb")]), &side(vec![file("x", b"a\nb\nc\n")]));
    let shown = words(&result);
    assert!(shown.ends_with("a\nb\n{+c+}\n"), "{shown:?}");
}

#[test]
fn two_columns_keep_their_width() {
    let long = "x".repeat(100);
    let old = side(vec![file("x", format!("名前=電話\n\ttab\n{long}\nsame\ngone\n").as_bytes())]);
    let new = side(vec![file("x", format!("名前=電話機\n\ttab\n{long}y\nsame\n").as_bytes())]);
    let result = diff(&old, &new);
    for width in [60, 80, 131] {
        let shown = wide(&result, width);
        for line in shown.lines().skip(2) {
            assert!(confvault::diff::visible::width(line) <= width, "{width}: {line}");
        }
        assert!(shown.contains('<') && shown.contains('|'), "{shown}");
    }
    // Nothing is cut off: the long line is there, in pieces.
    assert_eq!(wide(&result, 60).matches('x').count(), 201);
}

#[test]
fn stat_is_that_of_git() {
    let many = |n: usize, word: &str| -> Vec<u8> { (0..n).flat_map(|i| format!("{word}{i}\n").into_bytes()).collect() };
    let old = side(vec![
        file("etc/asterisk/sip.conf", &many(300, "a")),
        file("etc/a/x.conf", b"moved\n1\n2\n"),
        file("bin.wav", b"\0\0\0"),
        file("small", b"1\n2\n"),
        file("gone", b"1\n"),
        file("empty", b""),
        File { mode: 0o755, ..file("mode", b"#!\n") },
        file(&format!("very/{}long/name.conf", "deep/".repeat(30)), b"a\n"),
    ]);
    let new = side(vec![
        file("etc/asterisk/sip.conf", &many(20, "b")),
        file("etc/b/x.conf", b"moved\n1\n2\n"),
        file("bin.wav", b"\0\0\0\0\0"),
        file("small", b"1\n3\n"),
        file("added", b"1\n"),
        file("mode", b"#!\n"),
        file(&format!("very/{}long/name.conf", "deep/".repeat(30)), b"b\n"),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("r");
    std::fs::create_dir(&root).unwrap();
    let git = |args: &[&str]| {
        let config = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.abbrev=7"];
        run("git", &[&config[..], args].concat(), &root, b"")
    };
    git(&["init", "-q"]);
    write(&old, &root);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "1"]);
    std::fs::remove_dir_all(root.join("voip")).unwrap();
    write(&new, &root);
    git(&["add", "-A"]);
    for width in [60, 80, 120] {
        let shown = text(|out| render::stat(&diff(&old, &new), &Render { width, ..Render::default() }, out));
        assert_eq!(shown, git(&["diff", "--cached", "-M100%", &format!("--stat={width}")]), "{shown}");
    }
    // The patch itself, but for git's names of blobs, as no other line may differ.
    let without_index = |text: &str| -> String {
        text.lines().filter(|l| !l.starts_with("index ") && !l.starts_with("# ")).map(|l| format!("{l}\n")).collect()
    };
    let ours = String::from_utf8(unified(&diff(&old, &new))).unwrap();
    assert_eq!(without_index(&ours), without_index(&git(&["diff", "--cached", "-M100%", "--histogram"])));
}

#[test]
fn json_tells_all() {
    let old = side(vec![
        File { mode: 0o640, owner: Some(Owner { uid: 0, gid: 7 }), ..file("a b", b"1\n\xff\n3") },
        File { kind: Kind::Link, mode: 0o777, ..file("l", b"t") },
        File { digest: Some(Digest([1; 32])), body: Body::Closed { why: Why::Sealed, size: None }, ..file("s", b"") },
    ]);
    let new = side(vec![
        File { mode: 0o640, owner: Some(Owner { uid: 0, gid: 7 }), ..file("a b", b"1\n2\n3") },
        file("l", b"text\n"),
        File { digest: Some(Digest([2; 32])), body: Body::Closed { why: Why::Sealed, size: None }, ..file("s", b"") },
    ]);
    let json = render::json(&diff(&old, &new));
    assert_eq!((json["format"].as_str(), json["version"].as_u64()), (Some("confvault-diff"), Some(1)));
    let first = &json["files"][0];
    assert_eq!((first["path"].as_str(), first["status"].as_str()), (Some("voip/a b"), Some("changed")));
    assert_eq!(first["old"]["owner"]["gid"], 7);
    assert_eq!(first["old"]["mode"], "0640");
    let lines = first["lines"]["hunks"][0]["lines"].as_array().unwrap();
    assert_eq!(lines[1]["hex"], "ff");
    assert_eq!(lines[2]["text"], "2");
    assert_eq!(lines[3]["no_newline"], true);
    assert_eq!(json["files"][1]["status"], "type-changed");
    assert_eq!(json["files"][1]["replaced_new"]["content"], "lines");
    assert_eq!(json["files"][2]["content"], "sealed");
    assert_eq!(render::json(&diff(&old, &old))["equal"], true);
}

#[test]
fn no_debug_print_holds_text_of_a_configuration() {
    let secret = "hunter2-very-secret";
    let (old, new) = (one(&format!("a={secret}\n"), Syntax::Ini), one(&format!("a={secret}x\n"), Syntax::Ini));
    let semantic = confvault::diff::semantic::compare_settings(&old, &new, &Options::default());
    let settings = confvault::diff::settings(Syntax::Ini, b"a=hunter2-very-secret\n");
    for shown in [format!("{old:?}"), format!("{:?}", diff(&old, &new)), format!("{semantic:?}"), format!("{settings:?}")] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
