//! Many generations of one device in one transaction.

use confvault::model::{ConfigSet, DeviceName, Scope};
use confvault::store::{Access, Chain, CheckOptions, EncodeContext, Error, Generation, GenerationKind, Meta, Outcome, Store};

use super::lab::{Lab, RULES, file, set, voip};

fn add(lab: &Lab, chain: &mut Chain<'_, '_>, set: ConfigSet, meta: &Meta) -> Result<Outcome, Error> {
    let device: DeviceName = "gw-1".parse().unwrap();
    let (keys, sealer) = (&lab.keys, lab.sealer.as_ref());
    chain.add(&EncodeContext { device: &device, keys, rules: &RULES, sealer, large_over: lab.large_over }, set, meta)
}

fn made(outcome: Result<Outcome, Error>) -> Generation {
    match outcome.unwrap() {
        Outcome::Generation(generation) => *generation,
        unchanged => panic!("{unchanged:?}"),
    }
}

fn meta(lab: &Lab, n: i64) -> Meta {
    let imported = Some(format!("{n:040x}"));
    let author = Some(("Ada".to_owned(), "ada@example.org".to_owned()));
    Meta { kind: Some(GenerationKind::Imported), imported, author, time: super::lab::at(1_500_000_000 + n), ..lab.meta() }
}

/// Packs of the store.
fn packs(lab: &Lab) -> usize {
    let files = std::fs::read_dir(lab.git_dir().join("objects/pack")).unwrap();
    files.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().ends_with(".pack")).count()
}

fn clean(lab: &Lab) {
    lab.fsck();
    let opener = lab.opener();
    let access = Access { keys: Some(&lab.keys), opener: opener.as_ref() };
    let options = CheckOptions { read_data: true, access, threads: 2, ..CheckOptions::default() };
    let store = Store::open(&lab.git_dir()).unwrap();
    let report = store.check(&store.refs().unwrap(), &options, &|_, _| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_history_of_a_device_is_one_pack_and_reads_back() {
    for mut lab in [Lab::clear(), Lab::sealed()] {
        lab.large_over = 1 << 20;
        let before = packs(&lab);
        let transaction = lab.begin();
        let mut chain = transaction.chain(&"gw-1".parse().unwrap()).unwrap();
        let large = |n: u32| {
            (0..3 << 18).flat_map(|i: u32| (i.wrapping_mul(2_654_435_761) ^ (n << 8)).to_le_bytes()).collect::<Vec<u8>>()
        };
        let mut wanted = Vec::new();
        for n in 0..30_u32 {
            let mut entries = vec![
                voip("a", &format!("line\nsecret=one{}\n", n / 7)),
                voip("b", &format!("secret=two\nn={n}\n")),
                voip("sub/c", "same\nsecret=three\n"),
            ];
            if n >= 10 {
                entries.push(file(Scope::User, b"book", format!("\0{}", n / 3).as_bytes()));
            }
            if n % 10 >= 8 {
                entries.push(file(Scope::System, b"image", &large(n / 10)));
            }
            let release = ["1.0", "2.0", "1.0"][n as usize / 10];
            let generation = made(add(&lab, &mut chain, set(release, entries.clone()), &meta(&lab, n.into())));
            assert_eq!((generation.number, generation.kind), (u64::from(n) + 1, GenerationKind::Imported));
            wanted.push((generation, entries));
        }
        chain.finish();
        let done = transaction.commit().unwrap();
        assert_eq!((done.moved.len(), packs(&lab) - before), (0, 1));
        for (generation, entries) in &wanted {
            let stored = lab.at(&format!("gw-1@{}", generation.number)).unwrap();
            assert_eq!(stored, *generation);
            assert_eq!(stored.author.0, "Ada");
            lab.assert_holds(&stored, entries);
        }
        // A return to a release goes on with its line.
        assert_eq!(wanted[20].0.parents, [wanted[9].0.id, wanted[19].0.id]);
        assert_eq!(wanted[10].0.parents, [wanted[9].0.id]);
        clean(&lab);
        // What comes later is built on it as on any other.
        let next = lab.made("gw-1", "1.0", wanted[29].1[..2].to_vec());
        assert_eq!((next.number, next.changed.to_string().as_str()), (31, "+0 ~0 -3"));
        clean(&lab);
    }
}

#[test]
fn what_does_not_differ_makes_no_generation_also_within_a_chain() {
    let lab = Lab::sealed();
    lab.made("gw-1", "1", vec![voip("a", "x\n! 1\nsecret=s\n")]);
    let transaction = lab.begin();
    let mut chain = transaction.chain(&"gw-1".parse().unwrap()).unwrap();
    let mut put = |text: &str, n| add(&lab, &mut chain, set("1", vec![voip("a", text)]), &meta(&lab, n)).unwrap();
    assert_eq!(put("x\n! 2\nsecret=s\n", 1), Outcome::Unchanged { number: 1 });
    assert!(matches!(put("y\nsecret=s\n", 2), Outcome::Generation(g) if g.number == 2));
    assert_eq!(put("y\n! 3\nsecret=s\n", 3), Outcome::Unchanged { number: 2 });
    assert!(matches!(put("x\nsecret=s\n", 4), Outcome::Generation(g) if g.number == 3));
    chain.finish();
    transaction.commit().unwrap();
    assert_eq!(lab.at("gw-1").unwrap().number, 3);
    clean(&lab);
}

#[test]
fn a_chain_that_is_dropped_or_fails_leaves_nothing_of_that() {
    let lab = Lab::sealed();
    let transaction = lab.begin();
    let mut chain = transaction.chain(&"gw-1".parse().unwrap()).unwrap();
    made(add(&lab, &mut chain, set("1", vec![voip("a", "1")]), &meta(&lab, 1)));
    drop(chain);
    let mut chain = transaction.chain(&"gw-1".parse().unwrap()).unwrap();
    let deep = vec!["d"; 501].join("/");
    let refused = add(&lab, &mut chain, set("2", vec![voip(&deep, "x")]), &meta(&lab, 2));
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let first = made(add(&lab, &mut chain, set("1", vec![voip("a", "2")]), &meta(&lab, 3)));
    let refused = add(&lab, &mut chain, set("2", vec![voip(&deep, "x")]), &meta(&lab, 4));
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let second = made(add(&lab, &mut chain, set("1", vec![voip("a", "3")]), &meta(&lab, 5)));
    assert_eq!((first.number, second.number, second.parents.as_slice()), (1, 2, &[first.id][..]));
    chain.finish();
    // The device has its sets now.
    assert!(matches!(transaction.chain(&"gw-1".parse().unwrap()), Err(Error::Refused { .. })));
    transaction.commit().unwrap();
    let lines: Vec<_> = lab.store.refs().unwrap().prefix("refs/heads/gw-1/").map(|r| r.name.to_owned()).collect();
    assert_eq!(lines, ["refs/heads/gw-1/1"]);
    clean(&lab);
}

#[test]
fn a_chain_on_a_device_that_moved_is_left_out() {
    let lab = Lab::clear();
    let transaction = lab.begin();
    let mut chain = transaction.chain(&"gw-1".parse().unwrap()).unwrap();
    made(add(&lab, &mut chain, set("1", vec![voip("a", "1")]), &meta(&lab, 1)));
    made(add(&lab, &mut chain, set("1", vec![voip("a", "2")]), &meta(&lab, 2)));
    chain.finish();
    lab.made("gw-1", "1", vec![voip("a", "by another")]);
    assert_eq!(transaction.commit().unwrap().moved, ["gw-1".parse().unwrap()]);
    assert_eq!(lab.at("gw-1").unwrap().number, 1);
    clean(&lab);
}
