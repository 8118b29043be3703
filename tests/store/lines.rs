//! The lines of a device: releases, parents, and two writers at once.

use std::sync::Arc;

use confvault::store::{GenerationKind, Outcome};

use super::lab::{Lab, RULES, set, voip};

#[test]
fn a_release_begins_a_line_and_a_return_continues_the_old_one() {
    let lab = Lab::clear();
    let one = lab.made("gw-1", "1.0", vec![voip("a", "1")]);
    // The same content under another release is another generation.
    let two = lab.made("gw-1", "2.0", vec![voip("a", "1")]);
    assert_eq!((one.kind, two.kind), (GenerationKind::First, GenerationKind::Release));
    assert_eq!(two.parents, [one.id]);
    let three = lab.made("gw-1", "2.0", vec![voip("a", "2")]);
    assert_eq!((three.kind, three.parents.clone()), (GenerationKind::Snapshot, vec![two.id]));
    let back = lab.made("gw-1", "1.0", vec![voip("a", "2")]);
    assert_eq!((back.number, back.kind, back.parents.clone()), (4, GenerationKind::Snapshot, vec![one.id, three.id]));
    let on = lab.made("gw-1", "1.0", vec![voip("a", "4")]);
    assert_eq!(on.parents, [back.id]);
    let refs = lab.store.refs().unwrap();
    let history: Vec<_> = lab.store.history(&refs, &"gw-1".parse().unwrap()).unwrap().map(Result::unwrap).collect();
    assert_eq!(history.iter().map(|g| g.number).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!(history.iter().map(|g| g.release.as_str()).collect::<Vec<_>>(), ["1.0", "1.0", "2.0", "2.0", "1.0"]);
    assert_eq!(lab.git(&["rev-list", "--count", "gw-1/1.0"]), "5\n");
    assert_eq!(lab.git(&["rev-list", "--count", "--first-parent", "gw-1/1.0"]), "3\n");
    lab.assert_holds(&history[2], &[voip("a", "2")]);
    lab.fsck();
}

#[test]
fn what_is_volatile_makes_no_generation_and_is_stored_as_it_came() {
    let lab = Lab::clear();
    lab.made("gw-1", "1", vec![voip("a", "x\n! 10:00\ny\n")]);
    assert_eq!(lab.put("gw-1", "1", vec![voip("a", "x\n! 11:00\ny\n")]), Outcome::Unchanged { number: 1 });
    let mut moded = voip("a", "x\n! 11:00\ny\n");
    moded.mode = 0o600;
    let second = lab.made("gw-1", "1", vec![moded.clone()]);
    assert_eq!(second.changed.to_string(), "+0 ~1 -0");
    lab.assert_holds(&second, &[moded]);
    lab.assert_holds(&lab.at("gw-1@1").unwrap(), &[voip("a", "x\n! 10:00\ny\n")]);
}

#[test]
fn of_two_writers_of_one_device_the_second_is_told_and_nothing_is_lost() {
    let lab = Lab::clear();
    lab.made("gw-1", "1", vec![voip("a", "0")]);
    let (first, second) = (lab.begin(), lab.begin());
    let put = |transaction: &_, device: &str, content: &str| {
        lab.encode_in(transaction, device, set("1", vec![voip("a", content)]), lab.meta(), &RULES).unwrap()
    };
    put(&first, "gw-1", "1");
    put(&second, "gw-1", "2");
    put(&second, "gw-2", "2");
    assert_eq!(first.commit().unwrap().moved, []);
    let done = second.commit().unwrap();
    assert_eq!(done.moved, ["gw-1".parse().unwrap()]);
    assert_eq!(lab.at("gw-1").unwrap().number, 2);
    assert_eq!(lab.at("gw-2").unwrap().number, 1);
    let refs = lab.store.refs().unwrap();
    let told = lab.store.journal(&refs, &Default::default()).unwrap();
    assert_eq!(told.iter().filter(|r| r.device() == Some("gw-1")).count(), 2);
    lab.assert_holds(&lab.at("gw-1").unwrap(), &[voip("a", "1")]);
    // In a new transaction it goes through.
    assert_eq!(lab.made("gw-1", "1", vec![voip("a", "2")]).number, 3);
    lab.fsck();
}

#[test]
fn many_threads_fill_one_transaction() {
    let lab = Lab::sealed();
    let transaction = lab.begin();
    let (store, keys, sealer) = (lab.store.clone(), Arc::new(lab.keys.clone()), lab.sealer.clone());
    let meta = lab.meta();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (transaction, keys, sealer, meta) = (&transaction, &keys, sealer.as_ref(), meta.clone());
            scope.spawn(move || {
                for m in 0..10 {
                    let device = format!("gw-{n}-{m}").parse().unwrap();
                    let content = format!("x\nsecret=s{n}{m}\n");
                    let context =
                        confvault::store::EncodeContext { device: &device, keys, rules: &RULES, sealer, large_over: 1 << 20 };
                    transaction.snapshot(&context, set("1", vec![voip("a", &content), voip("b", "same")]), meta.clone()).unwrap();
                }
            });
        }
    });
    assert_eq!(transaction.commit().unwrap().committed.refs, 81);
    let refs = store.refs().unwrap();
    assert_eq!(store.devices(&refs).len(), 80);
    lab.assert_holds(&lab.at("gw-7-9").unwrap(), &[voip("a", "x\nsecret=s79\n"), voip("b", "same")]);
    lab.fsck();
}
