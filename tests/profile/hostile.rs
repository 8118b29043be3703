//! Text of any kind: nothing panics, spans are sound, one pass is linear enough to end.

use confvault::model::ConfigPath;
use confvault::profile::{MaskOverrides, Profiles, Syntax, sections};
use proptest::prelude::*;

const SYNTAXES: [Syntax; 10] = [
    Syntax::Ini,
    Syntax::Ios,
    Syntax::Xml,
    Syntax::Json,
    Syntax::Yaml,
    Syntax::Braces,
    Syntax::KeyValue,
    Syntax::Audiocodes,
    Syntax::Kamailio,
    Syntax::Plain,
];

/// Pieces from which texts are made that look like configurations and are none.
const PIECES: &[&str] = &[
    "password",
    "secret",
    "=",
    ":",
    "=>",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\"",
    "'",
    "\\",
    "<",
    ">",
    "</",
    "/>",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ";",
    "#",
    "!",
    "${",
    "}",
    "|",
    ",",
    "FORMAT ",
    "value=",
    "name=",
    "<![CDATA[",
    "]]>",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    " 7 ",
    "key",
    "register",
    "://",
    "user:",
    "@",
    "community",
    "modparam(",
    "route",
    "\u{fc}",
    "x",
    "0123456789ABCDEF",
    "end",
    "ntp clock-period 1",
    "%",
    "\u{1b}[31m",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..120).prop_map(|p| p.concat().into_bytes());
    prop_oneof![4 => pieces, 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

fn names() -> Vec<&'static str> {
    vec![
        "a.conf",
        "running-config",
        "a.xml",
        "a.json",
        "a.yaml",
        "a.cfg",
        "a.ini",
        "voicemail.conf",
        "shadow",
        "kamailio.cfg",
        "x",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_harm(text in text(), name in prop::sample::select(names()), which in 0usize..100) {
        let profiles = Profiles::load(None).unwrap();
        let all: Vec<&str> = profiles.names().collect();
        let profile = profiles.get(all[which % all.len()]).unwrap();
        let path = ConfigPath::new(name).unwrap();

        let spans = profile.secrets(&path, &text, &MaskOverrides::default());
        let mut last = 0;
        for span in &spans {
            prop_assert!(last <= span.range.start && span.range.start < span.range.end && span.range.end <= text.len());
            last = span.range.end;
        }
        let suspects = profile.suspects(&path, &text, &spans);
        for span in &suspects {
            prop_assert!(spans.iter().all(|s| s.range.end <= span.range.start || span.range.end <= s.range.start));
        }
        let volatile = profile.volatile(&path, &text);
        let mut kept = Vec::new();
        let mut at = 0;
        for part in &volatile {
            prop_assert!(at <= part.start && part.start < part.end && part.end <= text.len());
            kept.extend_from_slice(&text[at..part.start]);
            at = part.end;
        }
        kept.extend_from_slice(&text[at..]);
        prop_assert_eq!(profile.normalise(&path, &text).into_owned(), kept);
        for syntax in SYNTAXES {
            let lines = text.split(|b| *b == b'\n').count() - usize::from(text.ends_with(b"\n") || text.is_empty());
            prop_assert_eq!(sections(syntax, &text).len(), lines);
        }
    }
}

/// One line of megabytes, with a key every few bytes: each key may look only around itself.
#[test]
fn a_line_of_megabytes_ends() {
    let profiles = Profiles::load(None).unwrap();
    let rows: [&str; 8] = [
        "{\"password\": \"abc\", \"name\": \"secret\", \"value\": \"xyz\"},",
        "password=\"password='password: ",
        "<password><param name=\"password\" ",
        "password ",
        "name=\"password\" ",
        "register => user:",
        "modparam(\"a\", \"password\", ",
        "'password', 'secret', ",
    ];
    for row in rows {
        let text = row.repeat(600_000 / row.len()).into_bytes();
        for (profile, name) in
            [("generic", "a.json"), ("freeswitch", "a.xml"), ("asterisk", "a.conf"), ("kamailio", "a.cfg"), ("junos", "a.conf")]
        {
            let profile = profiles.get(profile).unwrap();
            let spans = profile.secrets(&ConfigPath::new(name).unwrap(), &text, &MaskOverrides::default());
            assert!(spans.len() <= text.len());
        }
    }
}
