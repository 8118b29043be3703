//! Digests, tokens and masking: exactly reversible, by us and by the real `sed`.
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

use std::io::Write;
use std::process::{Command, Stdio};

use confvault::model::DeviceName;
use confvault::seal::{DeviceKeys, Error, OPENING, StoreKey, StoreKeys, Token, mask, script, unmask};
use proptest::prelude::*;

fn device() -> DeviceName {
    "gw-0042".parse().unwrap()
}

fn keys() -> DeviceKeys {
    DeviceKeys::derive(&StoreKey::from_hex(&"07".repeat(32)).unwrap(), &device())
}

/// Runs the `sed` of this machine, as docs/format.md shows it.
fn sed(script: &[u8], masked: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.sed");
    std::fs::write(&path, script).unwrap();
    let mut child =
        Command::new("sed").env("LC_ALL", "C").arg("-f").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let masked = masked.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&masked));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn digests_are_those_of_the_format() {
    // Derived by hand with the `blake3` crate as docs/format.md says, so that a change of a context string shows.
    let store = [7u8; 32];
    let device_key = blake3::derive_key("confvault 1 device", &[&store[..], b"gw-0042"].concat());
    let digest_key = blake3::derive_key("confvault 1 digest", &device_key);
    let token_key = blake3::derive_key("confvault 1 token", &device_key);
    assert_eq!(keys().digest(b"text").0, *blake3::keyed_hash(&digest_key, b"text").as_bytes());
    let hash = blake3::keyed_hash(&token_key, b"hunter2").to_hex();
    assert_eq!(keys().token(b"hunter2").to_string(), format!("{{{{sealed:{}}}}}", &hash[..32]));
    let mut writer = keys().digest_writer();
    writer.write_all(b"te").unwrap();
    writer.write_all(b"xt").unwrap();
    assert_eq!(writer.finish(), keys().digest(b"text"));
}

#[test]
fn devices_and_stores_share_nothing() {
    let other = DeviceKeys::derive(&StoreKey::from_hex(&"07".repeat(32)).unwrap(), &"gw-0043".parse().unwrap());
    assert_ne!(other.digest(b"same"), keys().digest(b"same"));
    assert_ne!(other.token(b"same"), keys().token(b"same"));
    let other = DeviceKeys::derive(&StoreKey::generate(), &device());
    assert_ne!(other.digest(b"same"), keys().digest(b"same"));
    assert_ne!(StoreKey::generate(), StoreKey::generate());
}

#[test]
fn a_store_key_is_written_as_it_is_read_and_shows_nothing() {
    let key = StoreKey::generate();
    assert_eq!(StoreKey::from_hex(&key.to_hex()).unwrap(), key);
    for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"G".repeat(64), &format!("{}\n\n", "0".repeat(64))] {
        assert!(StoreKey::from_hex(bad).is_err(), "{bad}");
    }
    let list = StoreKeys::new(vec![key.clone(), StoreKey::generate()]);
    assert_eq!(StoreKeys::parse(list.to_text().as_bytes()).unwrap(), list);
    assert_eq!((list.epoch(0), list.epoch(1), list.epoch(3)), (None, Some(&key), None));
    let shown = format!("{key:?} {list:?} {:?} {:?}", keys(), keys().digest_writer());
    assert!(!shown.contains(key.to_hex().trim_end()), "{shown}");
}

#[test]
fn a_token_has_one_form() {
    let token = keys().token(b"x");
    assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
    assert_eq!(Token::at_start(format!("{token} rest").as_bytes()), Some(token));
    let text = token.to_string();
    for bad in [
        text.to_uppercase(),
        text.replace("}}", "} "),
        format!("{text} "),
        format!(" {text}"),
        text[..text.len() - 1].to_owned(),
        text.replace("sealed", "Sealed"),
        String::new(),
    ] {
        assert!(bad.parse::<Token>().is_err(), "{bad}");
    }
}

// ---------------------------------------------------------------- masking

/// Masks, checks what every masked text must hold, and gives the text back by `unmask` and by `sed`.
fn there_and_back(text: &[u8], spans: &[std::ops::Range<usize>], with_sed: bool) {
    let masked = mask(text, spans, &keys()).unwrap();
    for at in memchr::memmem::find_iter(&masked.text, OPENING) {
        assert!(Token::at_start(&masked.text[at..]).is_some_and(|t| masked.secrets.contains_key(&t)));
    }
    assert_eq!(unmask(&masked.text, &masked.secrets).unwrap(), text);
    let script = script::write(&device(), &masked.secrets);
    assert_eq!(script::parse(&device(), &script).unwrap(), masked.secrets);
    if with_sed {
        let plain = sed(&script, &masked.text);
        assert_eq!(plain, text, "sed gave {:?}", String::from_utf8_lossy(&plain));
    }
}

#[test]
fn sed_gives_back_what_is_hard_to_give_back() {
    let values: [&[u8]; 14] = [
        b"a/b&c\\d",
        b"\\n\\1&&//",
        b"-----BEGIN KEY-----\nAAAA\nBBBB\n-----END KEY-----",
        b"line\r\nwith cr\r",
        b"\xff\xfe\x80 not UTF-8 \xc3\x28",
        b"{{sealed:",
        b"a{{sealed:b{{sealed:0123456789abcdef0123456789abcdef}}c",
        b"{{{{sealed:}}",
        b"\n",
        b"\n\n",
        b"*.[]^$",
        b"\x01\x1b[31m\x7f",
        b"#n",
        b"}}",
    ];
    let mut text = Vec::new();
    let mut spans = Vec::new();
    for value in values {
        text.extend_from_slice(b"key=");
        spans.push(text.len()..text.len() + value.len());
        text.extend_from_slice(value);
        text.extend_from_slice(b" tail {{sealed:x\n");
    }
    there_and_back(&text, &spans, true);
    text.extend_from_slice(b"no end of line");
    there_and_back(&text, &spans, true);
}

#[test]
fn secrets_beside_each_other_and_openings_across_spans_come_back() {
    there_and_back(b"abcdef", &[0..2, 2..4, 4..6], true);
    // A span that begins, or ends, in the middle of an opening.
    for start in 0..12 {
        for end in start..=14 {
            there_and_back(b"xx{{sealed:yyy", std::slice::from_ref(&(start..end)), start == 4);
        }
    }
    // What is left after cutting never makes an opening of its own with what stands beside it.
    there_and_back(b"{{sea{{sealed:led:zz", &[5..14, 14..20], true);
    there_and_back(b"{{sealed:{{sealed:", std::slice::from_ref(&(3..15)), true);
    there_and_back(b"", &[], true);
}

#[test]
fn a_literal_token_in_the_plain_text_comes_back() {
    let token = keys().token(b"hunter2").to_string();
    let text = format!("secret=hunter2\ncomment={token}\n");
    there_and_back(text.as_bytes(), std::slice::from_ref(&(7..14)), true);
}

#[test]
fn spans_out_of_order_are_refused() {
    let spans: [&[std::ops::Range<usize>]; 4] = [&[2..4, 1..3], &[0..2, 1..3], &[0..9], &[std::ops::Range { start: 3, end: 2 }]];
    for spans in spans {
        assert!(matches!(mask(b"abcdef", spans, &keys()), Err(Error::Span { .. })), "{spans:?}");
    }
}

#[test]
fn a_masked_text_without_its_secret_is_refused() {
    let masked = mask(b"x=hunter2", std::slice::from_ref(&(2..9)), &keys()).unwrap();
    assert!(matches!(unmask(&masked.text, &Default::default()), Err(Error::TokenUnknown(_))));
    assert!(matches!(unmask(&masked.text[..20], &masked.secrets), Err(Error::TokenBroken { at: 2 })));
    assert!(!format!("{masked:?}").contains("hunter2"));
}

#[test]
fn a_script_that_we_would_not_write_is_refused() {
    let secrets = mask(b"a=one b=two {{sealed:", &[2..5, 8..11], &keys()).unwrap().secrets;
    let good = script::write(&device(), &secrets);
    let good = std::str::from_utf8(&good).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    assert_eq!(lines.len(), 4);
    let join = |lines: &[&str]| lines.iter().map(|l| format!("{l}\n")).collect::<String>();
    let bad = [
        String::new(),
        good.trim_end().to_owned(),
        good.replace("secrets 1", "secrets 2"),
        join(&[lines[0], lines[2], lines[1], lines[3]]),
        join(&[lines[0], lines[3], lines[1], lines[2]]),
        join(&[lines[0], lines[1], lines[1]]),
        format!("{good}\n"),
        format!("{good}w /tmp/x\n"),
        format!("{good}e reboot\n"),
        good.replace("/one/g", "/on&e/g"),
        good.replace("/one/g", "/on\\qe/g"),
        good.replace("/one/g", "/one\\/g"),
        good.replace("/one/g", "//g"),
        good.replace("/one/g", "/x{{sealed:/g"),
        good.replace("/one/g", "/one/ge"),
        good.replace("/one/g", "/one/gw x"),
    ];
    for bad in bad {
        assert!(script::parse(&device(), bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(matches!(script::parse(&"other".parse().unwrap(), good.as_bytes()), Err(Error::ScriptDevice)));
}

fn hard_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{{sealed:".to_vec()),
        Just(b"{".to_vec()),
        Just(b"sealed:".to_vec()),
        Just(b"}}".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"/&".to_vec()),
        Just(b"{{sealed:00000000000000000000000000000000}}".to_vec()),
        proptest::collection::vec(1u8..=255, 0..6),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn with_spans() -> impl Strategy<Value = (Vec<u8>, Vec<std::ops::Range<usize>>)> {
    (hard_text(), proptest::collection::vec(any::<proptest::sample::Index>(), 0..12)).prop_map(|(text, cuts)| {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let spans = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        (text, spans)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn masking_is_exactly_reversible((text, spans) in with_spans()) {
        there_and_back(&text, &spans, false);
    }

    #[test]
    fn hostile_masked_texts_and_scripts_never_panic(text in hard_text(), script in hard_text()) {
        drop(unmask(&text, &Default::default()));
        drop(script::parse(&device(), &script));
        let mut headed = b"# confvault-secrets 1 gw-0042\ns/".to_vec();
        headed.extend_from_slice(&script);
        headed.extend_from_slice(b"/g\n");
        let _ = script::parse(&device(), &headed);
        let _ = String::from_utf8_lossy(&script).parse::<Token>();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sed_agrees_with_unmask((text, spans) in with_spans()) {
        there_and_back(&text, &spans, true);
    }
}
