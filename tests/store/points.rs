//! Points and names.

use confvault::store::{Error, GenerationKind, Outcome};

use super::lab::{Lab, at, voip};

fn three(lab: &Lab) {
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    lab.made("gw-1", "1", vec![voip("a", "2")]);
    lab.made("gw-1", "2", vec![voip("a", "3")]);
}

#[test]
fn each_form_of_a_point_finds_its_generation() {
    let lab = Lab::clear();
    three(&lab);
    let number = |point: &str| lab.at(point).map(|g| g.number).map_err(|e| e.to_string());
    assert_eq!(number("gw-1"), Ok(3));
    assert_eq!(number("gw-1@2"), Ok(2));
    assert_eq!(number("gw-1@~1"), Ok(2));
    assert_eq!(number("gw-1@~2"), Ok(1));
    assert_eq!(number("gw-1:1"), Ok(2));
    assert_eq!(number("gw-1:1@~1"), Ok(1));
    assert_eq!(number("gw-1:2"), Ok(3));
    let second = lab.at("gw-1@2").unwrap().time.format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(number(&format!("gw-1@{second}")), Ok(2));
    assert_eq!(number("gw-1@4"), Err("Device gw-1 has no generation @4; it has generations 1 to 3".into()));
    assert_eq!(
        number("gw-1:2@1"),
        Err("Device gw-1 has no generation @1 under release 2; it has generations 1 to 3 under 1, 2".into())
    );
    assert!(number("gw-1:9").unwrap_err().contains("under 1, 2"));
    assert!(number("gw-1@~3").unwrap_err().contains("3 before the newest"));
    assert!(number("gw-1@2001-01-01").unwrap_err().contains("as early as 2001"));
    assert!(matches!(lab.at("gw-1@now"), Err(Error::NotStored { .. })));
    lab.made("gw-2", "1", vec![voip("a", "1")]);
    lab.made("pbx", "1", vec![voip("a", "1")]);
    let Err(Error::NoDevice { near, .. }) = lab.at("gw1@3") else { panic!() };
    assert_eq!(near, ["gw-1", "gw-2"]);
}

#[test]
fn a_name_is_given_once_and_never_to_another_generation() {
    let lab = Lab::clear();
    three(&lab);
    let give = |point: &str| {
        let transaction = lab.begin();
        transaction.name(&lab.at(point).unwrap(), &"golden".parse().unwrap(), None)?;
        transaction.commit().map(drop)
    };
    let take = || {
        let transaction = lab.begin();
        transaction.unname(&"gw-1".parse().unwrap(), &"golden".parse().unwrap())?;
        transaction.commit().map(drop)
    };
    give("gw-1@2").unwrap();
    assert_eq!(lab.at("gw-1@golden").unwrap().number, 2);
    assert!(matches!(give("gw-1@3"), Err(Error::NameTaken { number: 2, .. })));
    let names = lab.store.names(&lab.store.refs().unwrap(), &"gw-1".parse().unwrap()).unwrap();
    assert_eq!((names.len(), names[0].number, names[0].note.clone()), (1, 2, None));
    take().unwrap();
    assert!(matches!(take(), Err(Error::NoName { .. })));
    let Err(Error::NoName { there, .. }) = lab.at("gw-1@golden") else { panic!() };
    assert!(there.is_empty());
    // Carried along in the journal, whatever is committed meanwhile.
    lab.made("gw-2", "1", vec![voip("a", "1")]);
    assert!(matches!(give("gw-1@3"), Err(Error::NameUsed { number: 2, .. })));
    give("gw-1@2").unwrap();
    assert_eq!(lab.at("gw-1@golden").unwrap().number, 2);
    lab.fsck();
}

#[test]
fn a_generation_can_be_named_in_the_transaction_that_makes_it() {
    let lab = Lab::clear();
    let transaction = lab.begin();
    let set = super::lab::set("1", vec![voip("a", "1")]);
    let made = lab.encode_in(&transaction, "gw-1", set, lab.meta(), &super::lab::RULES).unwrap();
    let Outcome::Generation(generation) = made else { panic!() };
    transaction.name(&generation, &"first-day".parse().unwrap(), None).unwrap();
    transaction.commit().unwrap();
    assert_eq!(lab.at("gw-1@first-day").unwrap(), *generation);
}

#[test]
fn the_snapshots_of_a_change_are_found_also_where_they_found_nothing_new() {
    let lab = Lab::clear();
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    assert!(matches!(lab.change("gw-1", GenerationKind::Pre, "T-9", vec![voip("a", "1")]), Outcome::Unchanged { number: 1 }));
    assert!(matches!(lab.change("gw-1", GenerationKind::Post, "T-9", vec![voip("a", "2")]), Outcome::Generation(_)));
    lab.change("gw-1", GenerationKind::Pre, "T-9/2", vec![voip("a", "3")]);
    assert_eq!(lab.at("gw-1@pre/T-9").unwrap().number, 1);
    assert_eq!(lab.at("gw-1@post/T-9").unwrap().number, 2);
    assert_eq!(lab.at("gw-1@pre/T-9/2").unwrap().number, 3);
    assert!(lab.at("gw-1@post/T-9/2").is_err());
    assert_eq!(lab.at("gw-1@post/T-9").unwrap().kind, GenerationKind::Post);
}

#[test]
fn history_is_ordered_by_numbers_though_the_clock_went_back() {
    let lab = Lab::clear();
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    lab.set_now(1_600_000_000);
    let early = lab.made("gw-1", "1", vec![voip("a", "2")]);
    assert!(early.time < at(1_650_000_000));
    lab.made("gw-1", "1", vec![voip("a", "3")]);
    assert_eq!(lab.at("gw-1").unwrap().number, 3);
    assert_eq!(lab.at("gw-1@~1").unwrap(), early);
    let refs = lab.store.refs().unwrap();
    let numbers: Vec<u64> = lab.store.history(&refs, &"gw-1".parse().unwrap()).unwrap().map(|g| g.unwrap().number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    // The journal goes on in the newest month; none begins behind it.
    assert_eq!(lab.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/_journal"]), "_journal/central/2023-11\n");
    assert_eq!(lab.store.journal(&refs, &Default::default()).unwrap().len(), 3);
    lab.fsck();
}

#[test]
fn generations_of_one_moment_keep_their_order() {
    let lab = Lab::clear();
    for text in ["1", "2", "3"] {
        lab.set_now(1_700_000_000);
        lab.made("gw-1", "1", vec![voip("a", text)]);
    }
    let times: Vec<_> = ["gw-1@1", "gw-1@2", "gw-1@3"].map(|point| lab.at(point).unwrap().time).into();
    assert_eq!(times, [times[0]; 3]);
    assert_eq!(lab.at("gw-1").unwrap().number, 3);
    assert_eq!(lab.at("gw-1@~1").unwrap().number, 2);
    let day = times[0].format("%Y-%m-%d");
    assert_eq!(lab.at(&format!("gw-1@{day}")).unwrap().number, 3);
    assert!(lab.store.check(&lab.store.refs().unwrap(), &Default::default(), &|_, _| {}).unwrap().is_clean());
}
