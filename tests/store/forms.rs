//! Masked, packed, sealed, in chunks; and what is used again.

use std::io::Write;

use confvault::model::{Content, Entry, Scope};
use confvault::store::{Access, Decoded, Error, Form, GenerationKind, Outcome};

use super::lab::{Lab, PlainRules, file, voip};

/// Bytes that neither repeat nor compress.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(step).flatten().take(count).collect()
}

#[test]
fn each_file_takes_the_form_of_the_table() {
    for (mut lab, sealing) in [(Lab::clear(), false), (Lab::sealed(), true)] {
        lab.large_over = 1 << 20;
        let entries = vec![
            voip("text", "plain\n"),
            voip("secret", "secret=CANARY\n"),
            voip("nul", "a\0b"),
            file(Scope::System, b"text", b"plain\n"),
            file(Scope::User, b"book", b"Alice\n"),
            file(Scope::User, b"large", &noise(1, 3 << 20)),
        ];
        let generation = lab.made("gw-1", "1", entries.clone());
        let manifest = lab.store.manifest(&generation).unwrap();
        let forms: Vec<_> = manifest.lines.iter().map(|l| (l.shown(), l.body.unwrap().form.as_str())).collect();
        let (packed, chunked, masked) = match sealing {
            true => ("packed,sealed", "packed,chunked,sealed", "masked"),
            false => ("packed", "packed,chunked", "plain"),
        };
        let expected = [
            ("system/text", "plain"),
            ("user/book", packed),
            ("user/large", chunked),
            ("voip/nul", packed),
            ("voip/secret", masked),
            ("voip/text", "plain"),
        ];
        assert_eq!(forms, expected.map(|(p, f)| (p.to_owned(), f)));
        assert_eq!((manifest.secrets.is_some(), manifest.masks.is_some()), (sealing, sealing));
        lab.assert_holds(&generation, &entries);
        assert_eq!(lab.git(&["for-each-ref", "--format=%(refname)", "refs/large"]), "refs/large/gw-1/1\n");
        lab.fsck();
    }
}

#[test]
fn without_an_identity_text_is_masked_and_the_rest_is_named() {
    let lab = Lab::sealed();
    let entries = vec![voip("a", "user=x\nsecret=CANARY\n{{sealed:not a token}}\n"), file(Scope::User, b"book", b"Alice")];
    let generation = lab.made("gw-1", "1", entries.clone());
    lab.assert_holds(&generation, &entries);
    let refs = lab.store.refs().unwrap();
    let reader = lab.store.read_set(&refs, &generation, Access { keys: Some(&lab.keys), opener: None }).unwrap();
    let lines = &reader.manifest().lines;
    assert!(matches!(reader.read(&lines[0]), Err(Error::Sealed { epoch: 1, .. })));
    let Decoded::Masked(text) = reader.read(&lines[1]).unwrap() else { panic!() };
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("user=x\nsecret={{sealed:") && !text.contains("CANARY"), "{text}");
    assert_eq!(text, lab.git(&["show", "gw-1/1:voip/a"]));
}

#[test]
fn what_is_sealed_is_not_sealed_anew() {
    let mut lab = Lab::sealed();
    lab.large_over = 1 << 20;
    // So large that no key cuts it into fewer than three.
    let large = noise(3, 9 << 20);
    let mut entries =
        vec![voip("a", "secret=1\n"), file(Scope::User, b"book", b"Alice"), file(Scope::User, b"large", &large), voip("z", "1")];
    lab.made("gw-1", "1", entries.clone());
    // Everything is read again, one file differs, one moves, the large one grows at its end.
    entries[3] = voip("z", "2");
    entries[1] = file(Scope::User, b"moved/book", b"Alice");
    let mut more = large.clone();
    more.extend_from_slice(b"more");
    entries[2] = file(Scope::User, b"large", &more);
    let second = lab.made("gw-1", "1", entries.clone());
    lab.assert_holds(&second, &entries);
    let id = |point: &str, path: &str| lab.git(&["rev-parse", &format!("{}:{path}", lab.at(point).unwrap().id)]);
    assert_eq!(id("gw-1@1", "user/book"), id("gw-1@2", "user/moved/book"));
    assert_eq!(id("gw-1@1", ".confvault/secrets.age"), id("gw-1@2", ".confvault/secrets.age"));
    let chunks = |n: u64| -> Vec<String> {
        lab.git(&["ls-tree", "--name-only", &format!("refs/large/gw-1/{n}")]).lines().map(str::to_owned).collect()
    };
    let (one, two) = (chunks(1), chunks(2));
    assert!(one.len() > 2 && two.len() >= one.len());
    assert_eq!(two.iter().filter(|c| !one.contains(c)).count(), 1);
    // Unchanged: the chunks are carried on, so that the first generation's can be dropped.
    entries[3] = voip("z", "3");
    let third = lab.made("gw-1", "1", entries.clone());
    assert_eq!(chunks(3), two);
    lab.assert_holds(&third, &entries);
    lab.fsck();
}

#[test]
fn a_spooled_file_streams_in_and_out() {
    let mut lab = Lab::clear();
    lab.large_over = 1 << 20;
    let bytes = noise(5, 9 << 20);
    let spool = lab.dir.path().join("spool");
    std::fs::File::create(&spool).unwrap().write_all(&bytes).unwrap();
    let mut entry = file(Scope::User, b"firmware", b"");
    entry.content = Content::Spooled { file: spool.clone(), size: bytes.len() as u64 };
    let generation = lab.made("gw-1", "1", vec![entry.clone()]);
    let back = lab.read(&generation).unwrap();
    assert!(back[0].content == Content::Bytes(bytes));
    assert_eq!(lab.put("gw-1", "1", vec![entry.clone()]), Outcome::Unchanged { number: 1 });
    // A small one that was spooled is stored like any other.
    std::fs::write(&spool, "small").unwrap();
    entry.content = Content::Spooled { file: spool, size: 5 };
    let second = lab.made("gw-1", "1", vec![entry]);
    assert_eq!(lab.store.manifest(&second).unwrap().lines[0].body.unwrap().form, Form::Packed { chunked: false, sealed: false });
    lab.fsck();
}

#[test]
fn other_mask_rules_make_a_generation_only_where_a_stored_form_differs() {
    let lab = Lab::sealed();
    let entries = vec![voip("a", "secret=1\npin=2\n")];
    lab.made("gw-1", "1", entries.clone());
    let put = |word, masks| {
        lab.set_now(lab.now().timestamp() + 60);
        lab.put_with("gw-1", "1", entries.clone(), lab.meta(), &PlainRules { word, masks })
    };
    // The look vouches for the bytes, not for the masks: its rules would differ. Here it is taken away.
    std::fs::remove_dir_all(lab.git_dir().join("confvault/looks")).unwrap();
    assert_eq!(put("secret=", 2), Outcome::Unchanged { number: 1 });
    std::fs::remove_dir_all(lab.git_dir().join("confvault/looks")).unwrap();
    let Outcome::Generation(second) = put("pin=", 3) else { panic!() };
    assert_eq!((second.kind, second.changed.to_string()), (GenerationKind::Remask, "+0 ~0 -0".to_owned()));
    assert!(lab.git(&["show", "gw-1/1:voip/a"]).starts_with("secret=1\npin={{sealed:"));
    lab.assert_holds(&second, &entries);
}

#[test]
fn what_is_in_no_object_is_no_secret() {
    let lab = Lab::sealed();
    let entries: Vec<Entry> =
        vec![voip("a", "secret=CANARY-1\n"), file(Scope::User, b"book", b"CANARY-2"), voip("bin", "\0CANARY-3")];
    lab.made("gw-1", "1", entries);
    let all = lab.git(&["cat-file", "--batch-all-objects", "--batch", "--unordered"]);
    assert!(all.contains("gw-1 1 generation 1") && !all.contains("CANARY"), "a secret stands in clear");
}
