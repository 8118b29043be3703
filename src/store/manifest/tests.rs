use proptest::prelude::*;

use super::*;

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

fn sample() -> Manifest {
    let file = |path: &[u8], form, n| Line {
        scope: Scope::Voip,
        path: ConfigPath::new(path).unwrap(),
        kind: Kind::File,
        mode: 0o4755,
        owner: Some(Owner { uid: 0, gid: 12 }),
        body: Some(Body { size: 7, form, plain: digest(n), normal: digest(n), stored: digest(3) }),
    };
    let dir = Line {
        scope: Scope::System,
        path: "etc/x y%0A".parse().unwrap(),
        kind: Kind::Directory,
        mode: 0o700,
        owner: None,
        body: None,
    };
    let mut other = file(b"b", Form::Masked, 1);
    other.body.as_mut().unwrap().normal = digest(9);
    Manifest {
        epoch: 1,
        rules: RulesId(0x5c9f),
        masks: Some(RulesId(1)),
        secrets: Some(Secrets { plain: digest(1), stored: digest(2), count: 3 }),
        lines: vec![dir, file(b"a\xff", Form::Packed { chunked: true, sealed: true }, 1), other],
    }
}

#[test]
fn a_manifest_comes_back() {
    let text = sample().write().unwrap();
    assert!(text.starts_with("confvault-manifest 1\nepoch 1\nrules 0000000000005c9f\nmasks 0000000000000001\nsecrets 0101"));
    assert!(text.contains("\nd 0700 - - - - - - system/etc/x y%0A\n"), "{text}");
    assert!(text.contains(" 7 packed,chunked,sealed "), "{text}");
    assert!(text.contains(" = "), "{text}");
    assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), sample());
}

#[test]
fn a_wrong_manifest_is_refused_by_line() {
    let good = sample().write().unwrap();
    let cases: [(&str, &str, usize); 12] = [
        ("manifest 1", "manifest 2", 1),
        ("epoch 1", "epoch 01", 2),
        ("epoch 1", "epoch 0", 2),
        ("rules 0", "rules A", 3),
        ("masks 0000000000000001", "masks 1", 4),
        (" 3\nd", " 0\nd", 5),
        ("d 0700", "d 700", 6),
        ("d 0700 -", "x 0700 -", 6),
        ("f 4755 0:12", "f 4755 0:012", 7),
        ("packed,chunked,sealed", "packed,sealed,chunked", 7),
        ("voip/a", "voip/../a", 7),
        ("voip/b", "voip/%62", 8),
    ];
    for (from, to, line) in cases {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let error = Manifest::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{from} -> {to}: {error}");
    }
    for bad in ["", "\n", "confvault-manifest 1", "confvault-manifest 1\n", good.trim_end(), &format!("{good}\n")] {
        assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn order_doubles_and_files_as_directories_are_refused() {
    let mut twice = sample();
    twice.lines[1] = twice.lines[2].clone();
    assert!(Manifest::parse(twice.write().unwrap().as_bytes()).unwrap_err().what.contains("order"));
    let mut below = sample();
    below.lines[1].path = "b.c".parse().unwrap();
    below.lines[1].path = "b".parse().unwrap();
    below.lines[2].path = "b/c".parse().unwrap();
    let error = Manifest::parse(below.write().unwrap().as_bytes()).unwrap_err();
    assert_eq!((error.line, error.what), (8, "below a file or link"));
    let mut unmasked = sample();
    unmasked.secrets = None;
    assert!(Manifest::parse(unmasked.write().unwrap().as_bytes()).is_err());
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..900, with in any::<u8>()) {
        drop(Manifest::parse(&bytes));
        let mut text = sample().write().unwrap().into_bytes();
        let at = at % text.len();
        text[at] = with;
        // Whatever still parses is written back byte for byte: there is one text for one manifest.
        if let Ok(manifest) = Manifest::parse(&text) {
            prop_assert_eq!(manifest.write().unwrap().into_bytes(), text);
        }
    }
}
