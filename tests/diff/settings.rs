//! Comparison by setting.

use confvault::diff::semantic::{Change, SettingsDiff, compare_settings};
use confvault::diff::{File, Options, Render, Side, Syntax, render, settings};
use proptest::prelude::*;

use crate::support::{file, one, side, text};

fn told(old: &Side, new: &Side) -> String {
    let diff = compare_settings(old, new, &Options::default());
    text(|out| render::settings(&diff, &Render::default(), out))
}

/// What is told of one file, without the line that names it.
fn lines(syntax: Syntax, old: &str, new: &str) -> Vec<String> {
    told(&one(old, syntax), &one(new, syntax)).lines().skip(1).map(|l| l.trim().to_owned()).collect()
}

#[test]
fn ini() {
    let old = "[general]\nbind = 0.0.0.0\nallow=alaw\nallow=ulaw\nold=1\n\n[gone]\na=1\n";
    let new = "; a comment\n[new]\nb=2\n[general]\n   old=1\nbind=127.0.0.1 ; here\nallow=ulaw\nallow=alaw\nadded=yes\n";
    assert_eq!(
        lines(Syntax::Ini, old, new),
        [
            "general",
            "~ bind: 0.0.0.0 -> 127.0.0.1",
            "^ allow: order changed: alaw | ulaw -> ulaw | alaw",
            "+ added: yes",
            "- gone",
            "- a: 1",
            "+ new",
            "+ b: 2"
        ]
    );
}

#[test]
fn order_that_counts_among_keys() {
    let old = "[a]\ndeny=0.0.0.0/0\npermit=10.0.0.0/8\n[b]\ndisallow=all\nallow=ulaw\n";
    let new = "[a]\npermit=10.0.0.0/8\ndeny=0.0.0.0/0\n[b]\ndisallow=all\nallow=ulaw\n";
    let found = lines(Syntax::Ini, old, new);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].starts_with("^ deny, permit: order changed: deny = 0.0.0.0/0 | permit"), "{found:?}");
}

#[test]
fn ios() {
    let old = "hostname a\ninterface Gi0/1\n ip address 10.0.0.1 255.0.0.0\n shutdown\ninterface Gi0/2\n no ip address\nip access-list extended A\n permit tcp any any\n deny ip any any\nip route 1.0.0.0 255.0.0.0 10.0.0.9\ninterface Vlan1\n";
    let new = "interface Gi0/2\n no ip address\ninterface Gi0/1\n shutdown\n ip address 10.0.0.2 255.0.0.0\nhostname b\nip http server\nip route 1.0.0.0 255.0.0.0 10.0.0.8\nip access-list extended A\n deny ip any any\n permit tcp any any\ninterface Vlan1\n description x\n";
    assert_eq!(
        lines(Syntax::Ios, old, new),
        [
            "~ hostname: a -> b",
            "+ ip http server",
            "~ ip route 1.0.0.0 255.0.0.0: 10.0.0.9 -> 10.0.0.8",
            "interface Gi0/1",
            "~ ip address: 10.0.0.1 255.0.0.0 -> 10.0.0.2 255.0.0.0",
            "ip access-list extended A",
            "^ permit, deny: order changed: permit tcp any any | deny ip any any -> deny ip any any | permit tcp any any",
            "interface Vlan1",
            "+ description x",
        ]
    );
}

#[test]
fn an_entry_put_into_an_access_list() {
    let list = |extra: &str| format!("access-list 10 permit 10.0.0.1\n{extra}access-list 10 deny any\n");
    assert_eq!(lines(Syntax::Ios, &list(""), &list("access-list 10 permit 10.0.0.2\n")), ["+ access-list 10 permit 10.0.0.2"]);
}

#[test]
fn xml() {
    let old = "<configuration name=\"sofia.conf\"><profile name=\"internal\"><settings><param name=\"port\" value=\"5060\"/><param name=\"a\" value=\"1\"/></settings></profile></configuration>";
    let new = "<configuration name='sofia.conf'>\n <!-- x -->\n <profile name='internal'>\n  <settings>\n   <param value='1' name='a'/>\n   <param value='5080' name='port'/>\n  </settings>\n </profile>\n</configuration>\n";
    let found = lines(Syntax::Xml, old, new);
    assert_eq!(found[1..], ["~ param port: 5060 -> 5080"]);
    assert!(found[0].ends_with("/ settings"), "{found:?}");
    let plan = |a: &str, b: &str| {
        format!("<c><extension name=\"x\"><action application=\"{a}\"/><action application=\"{b}\"/></extension></c>")
    };
    let found = lines(Syntax::Xml, &plan("answer", "bridge"), &plan("bridge", "answer"));
    assert!(found[1].contains("order changed"), "{found:?}");
}

#[test]
fn json_and_braces() {
    assert_eq!(
        lines(Syntax::Json, "{\"a\":1,\"b\":[1,2],\"c\":{\"d\":true}}", "{\n \"c\": {\"d\": false},\n \"b\": [2, 1], \"a\": 1}"),
        ["^ b[]: order changed: 1 | 2 -> 2 | 1", "c", "~ d: true -> false"]
    );
    assert_eq!(lines(Syntax::Braces, "system {\n a 1;\n b 2;\n}\n", "system { b 2; a 3; }\n"), ["system", "~ a: 1 -> 3"]);
}

#[test]
fn what_means_nothing_is_no_difference() {
    for (syntax, old, new) in [
        (Syntax::Ini, "[a]\nx=1\ny=2\n[b]\nz=3\n", "; c\n[b]\nz = 3\n\n[a]\ny=>2 ; d\nx=1"),
        (Syntax::Ios, "interface A\n x\n y\n!\nhostname h\n", "hostname h\ninterface A\n  y\n  x\nend\n"),
        (Syntax::Xml, "<a b='1' c='2'><d/></a>", "<?xml version='1.0'?>\n<a c=\"2\" b=\"1\">\n  <d></d>\n</a>\n"),
        (Syntax::Json, "{\"a\":1,\"b\":2}", "{ \"b\": 2,\n\"a\": 1 }\n"),
        (Syntax::Braces, "a { b; }\nc 1;\n", "c   1;\na\n{\n  b ;\n}\n"),
        (Syntax::KeyValue, "a=1\nb=2\n", "b = 2\n# x\na = 1\n"),
    ] {
        assert_eq!(told(&one(old, syntax), &one(new, syntax)), "", "{syntax:?}");
    }
}

#[test]
fn a_text_that_is_not_what_it_should_be_is_compared_by_line_and_says_so() {
    for (syntax, old, new, reason) in [
        (Syntax::Xml, "<a>\n", "<a/>\n", "Not readable as XML, line 2: an element has no end; compared by line"),
        (Syntax::Json, "{\"a\":1}\n", "{\"a\":1,}\n", "Not readable as JSON, line 1: a key was expected; compared by line"),
    ] {
        let found = told(&one(old, syntax), &one(new, syntax));
        assert!(found.contains(reason), "{found}");
        assert!(found.contains(&format!("\n-{old}")) && found.contains(&format!("\n+{new}")), "{found}");
    }
    // Where there never are settings there is nothing to tell.
    let found = told(&one("a\n", Syntax::Yaml), &one("b\n", Syntax::Yaml));
    assert!(found.contains("\n-a\n+b\n") && !found.contains("Not readable"), "{found}");
}

#[test]
fn a_changed_secret_is_told_and_never_shown() {
    let conf = |digit: char| format!("[a]\nsecret={{{{sealed:{}}}}}\n", digit.to_string().repeat(32));
    let (old, new) = (one(&conf('1'), Syntax::Ini), one(&conf('2'), Syntax::Ini));
    let diff = compare_settings(&old, &new, &Options::default());
    let SettingsDiff::Settings(changes) = &diff.files[0].body else { panic!() };
    assert!(changes[0].secret && matches!(changes[0].change, Change::Changed { .. }));
    let shown = told(&old, &new);
    assert!(shown.contains("~ secret: {{sealed:11111111}} -> {{sealed:22222222}}  {{secret changed}}"), "{shown}");
    assert_eq!(render::json_settings(&diff)["files"][0]["settings"][0]["secret_changed"], true);
}

#[test]
fn json_and_html_of_settings() {
    let old = side(vec![File { syntax: Syntax::Ini, ..file("a<b>.conf", b"[s]\nx=<script>1</script>\n") }]);
    let new = side(vec![File { syntax: Syntax::Ini, ..file("a<b>.conf", b"[s]\nx=2\n") }]);
    let diff = compare_settings(&old, &new, &Options::default());
    let json = render::json_settings(&diff);
    assert_eq!(json["format"], "confvault-settings-diff");
    assert_eq!(json["files"][0]["settings"][0]["key"], "x");
    let page = text(|out| render::html_settings(&diff, "a & b", out));
    assert!(page.contains("&lt;script&gt;1&lt;/script&gt;") && !page.contains("<script"), "{page}");
}

#[test]
fn very_many_settings() {
    let make = |from: usize| -> String {
        let mut out = String::from("[s]\n");
        (from..from + 40_000).for_each(|n| out.push_str(&format!("k{n}=v\n")));
        out
    };
    let diff = compare_settings(&one(&make(0), Syntax::Ini), &one(&make(20_000), Syntax::Ini), &Options::default());
    let SettingsDiff::Settings(changes) = &diff.files[0].body else { panic!() };
    assert_eq!(changes.len(), 40_000);
    // One key with very many values, and one line with very many likes.
    let many = |word: &str, from: usize| -> String { (from..from + 20_000).map(|n| format!("{word} {n} x\n")).collect() };
    let diff = compare_settings(&one(&many("ip", 0), Syntax::Ios), &one(&many("ip", 20_000), Syntax::Ios), &Options::default());
    assert!(matches!(&diff.files[0].body, SettingsDiff::Settings(_)));
    // Names that grow with depth.
    let deep: String = (0..100_000).map(|n| format!("{}line {n}\n", " ".repeat(n % 2_000))).collect();
    assert!(settings(Syntax::Ios, deep.as_bytes()).is_ok());
}

/// Sections with keys, no key twice in a section.
fn sections() -> impl Strategy<Value = Vec<(String, Vec<(String, String)>)>> {
    let keys = proptest::collection::btree_map("[a-z]{1,3}", "[a-z0-9 ]{0,6}", 0..6);
    proptest::collection::btree_map("[A-Z]{1,2}", keys, 0..6)
        .prop_map(|map| map.into_iter().map(|(name, keys)| (name, keys.into_iter().collect())).collect())
}

fn written(sections: &[(String, Vec<(String, String)>)], around: &str) -> String {
    let mut out = String::new();
    for (name, keys) in sections {
        out.push_str(&format!("[{name}]\n"));
        keys.iter().for_each(|(key, value)| out.push_str(&format!("{around}{key}{around}={around}{value}\n")));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shuffled_ini_does_not_differ(
        (sections, shuffled) in sections().prop_flat_map(|all| {
            let inner: Vec<_> = all.iter().map(|(n, k)| (Just(n.clone()), Just(k.clone()).prop_shuffle())).collect();
            (Just(all), inner.prop_shuffle())
        })
    ) {
        let (old, new) = (one(&written(&sections, ""), Syntax::Ini), one(&written(&shuffled, "  "), Syntax::Ini));
        prop_assert!(compare_settings(&old, &new, &Options::default()).files.is_empty());
    }

    #[test]
    fn one_changed_value_is_one_change(sections in sections(), at in any::<prop::sample::Index>()) {
        let all: Vec<(usize, usize)> =
            sections.iter().enumerate().flat_map(|(i, (_, k))| (0..k.len()).map(move |j| (i, j))).collect();
        prop_assume!(!all.is_empty());
        let (i, j) = all[at.index(all.len())];
        let mut changed = sections.clone();
        changed[i].1[j].1 = "CHANGED".to_owned();
        let (old, new) = (one(&written(&sections, ""), Syntax::Ini), one(&written(&changed, ""), Syntax::Ini));
        let diff = compare_settings(&old, &new, &Options::default());
        let SettingsDiff::Settings(changes) = &diff.files[0].body else { panic!() };
        prop_assert_eq!(changes.len(), 1);
        prop_assert_eq!((&changes[0].section, &changes[0].key), (&sections[i].0, &sections[i].1[j].0));
    }

    #[test]
    fn no_bytes_make_a_reader_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for syntax in [Syntax::Ini, Syntax::Ios, Syntax::Xml, Syntax::Json, Syntax::Braces, Syntax::KeyValue, Syntax::Audiocodes] {
            // An error is an answer; a panic is none.
            drop(settings(syntax, &bytes));
        }
    }

    #[test]
    fn no_text_of_signs_makes_a_reader_fail(text in "[<>/a=\"'{};#\\[\\]\\\\ \n,:!&ü0-]{0,80}") {
        for syntax in [Syntax::Ini, Syntax::Ios, Syntax::Xml, Syntax::Json, Syntax::Braces, Syntax::KeyValue, Syntax::Audiocodes] {
            drop(settings(syntax, text.as_bytes()));
        }
    }
}
