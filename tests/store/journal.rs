//! The journal, what it carries along, logs, and the collector's own files.

use confvault::model::{Content, Scope};
use confvault::store::{JournalQuery, Open, Record};

use super::lab::{Lab, RULES, at, file, set, voip};

#[test]
fn each_commit_records_what_it_commits() {
    let lab = Lab::clear();
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    lab.put("gw-1", "1", vec![voip("a", "1")]);
    let transaction = lab.begin();
    transaction.record(Record::new("snapshot", "failed").with("device", "gw-2").with("reason", "no answer"));
    transaction.commit().unwrap();
    let refs = lab.store.refs().unwrap();
    let all = lab.store.journal(&refs, &JournalQuery::default()).unwrap();
    let told: Vec<_> = all.iter().map(|r| (r.action.as_str(), r.outcome.as_str())).collect();
    assert_eq!(told, [("snapshot", "failed"), ("snapshot", "unchanged"), ("snapshot", "generation")]);
    assert_eq!(all[1].more["devices"], serde_json::json!(["gw-1"]));
    assert_eq!((all[2].more["generation"].as_u64(), all[2].v, all[2].collector.as_str()), (Some(1), 1, "central"));
    assert!(all[0].run > all[2].run && all[0].time > all[2].time);
    let of = |query: JournalQuery| lab.store.journal(&refs, &query).unwrap().len();
    assert_eq!(of(JournalQuery { device: Some("gw-1".parse().unwrap()), ..Default::default() }), 2);
    assert_eq!(of(JournalQuery { since: Some(all[1].time), ..Default::default() }), 2);
    assert_eq!(of(JournalQuery { limit: Some(1), ..Default::default() }), 1);
    assert_eq!(of(JournalQuery { collector: Some("other".parse().unwrap()), ..Default::default() }), 0);
    lab.fsck();
}

#[test]
fn months_follow_each_other_and_since_reads_no_further() {
    let lab = Lab::clear();
    for month in 0..3 {
        lab.set_now(1_700_000_000 + month * 31 * 86_400);
        lab.put("gw-1", "1", vec![voip("a", &month.to_string())]);
    }
    let months = lab.git(&["for-each-ref", "--format=%(refname:lstrip=4)", "refs/heads/_journal"]);
    assert_eq!(months, "2023-11\n2023-12\n2024-01\n");
    assert_eq!(lab.git(&["rev-list", "--count", "_journal/central/2024-01"]), "3\n");
    let refs = lab.store.refs().unwrap();
    assert_eq!(lab.store.journal(&refs, &JournalQuery::default()).unwrap().len(), 3);
    // The records of the first month are gone; a reader that goes so far fails, one with `since` does not.
    let first = lab.git(&["rev-parse", "_journal/central/2023-11:records.jsonl"]);
    let packs = std::fs::read_dir(lab.git_dir().join("objects/pack")).unwrap().map(|e| e.unwrap().path());
    let index = packs
        .filter(|p| p.extension().is_some_and(|e| e == "idx"))
        .find(|p| lab.git(&["verify-pack", "-v", p.to_str().unwrap()]).contains(first.trim()));
    let index = index.unwrap();
    std::fs::remove_file(index.with_extension("pack")).unwrap();
    std::fs::remove_file(index).unwrap();
    let store = confvault::store::Store::open(&lab.git_dir());
    // `_store` lies in a pack of its own.
    let store = store.unwrap();
    assert!(store.journal(&refs, &JournalQuery::default()).is_err());
    let since = JournalQuery { since: Some(at(1_700_000_000 + 61 * 86_400)), ..Default::default() };
    assert_eq!(store.journal(&refs, &since).unwrap().len(), 1);
}

#[test]
fn what_is_open_is_carried_along_until_it_is_closed() {
    let lab = Lab::clear();
    let change = |ticket: &str| Open::Change(ticket.parse().unwrap());
    let set_open = |what: Vec<(Open, Option<&str>)>| {
        let transaction = lab.begin();
        what.into_iter().for_each(|(what, text)| transaction.set_open(what, text.map(|t| t.as_bytes().to_vec())));
        transaction.commit().unwrap();
    };
    set_open(vec![(change("T-1"), Some("one")), (change("T-2"), Some("two")), (Open::Drill("d".parse().unwrap()), Some("x"))]);
    lab.made("gw-1", "1", vec![voip("a", "1")]);
    set_open(vec![(change("T-1"), None), (change("T-2"), Some("again"))]);
    let open = lab.store.open_items(&lab.store.refs().unwrap()).unwrap();
    let expected = [(change("T-2"), b"again".to_vec()), (Open::Drill("d".parse().unwrap()), b"x".to_vec())];
    assert_eq!(open, expected);
    set_open(vec![(change("T-2"), None), (Open::Drill("d".parse().unwrap()), None)]);
    assert_eq!(lab.store.open_items(&lab.store.refs().unwrap()).unwrap(), []);
    lab.fsck();
}

#[test]
fn logs_are_filed_apart_and_only_when_they_differ() {
    for lab in [Lab::clear(), Lab::sealed()] {
        let with = |log: &str| vec![voip("a", "1"), file(Scope::Logs, b"messages", log.as_bytes())];
        let generation = lab.made("gw-1", "1", with("CANARY one"));
        assert_eq!(lab.store.manifest(&generation).unwrap().lines.len(), 1);
        lab.put("gw-1", "1", with("CANARY one"));
        let line = "_logs/central/2023-11";
        assert_eq!(lab.git(&["rev-list", "--count", line]), "1\n");
        lab.put("gw-1", "1", with("CANARY two"));
        assert_eq!(lab.git(&["rev-list", "--count", line]), "2\n");
        let files = lab.git(&["ls-tree", "-r", "--name-only", line]);
        assert_eq!(files, "gw-1/.confvault/manifest\ngw-1/logs/messages\n");
        let manifest = lab.git(&["show", &format!("{line}:gw-1/.confvault/manifest")]);
        assert!(manifest.contains(if lab.sealer.is_some() { " packed,sealed " } else { " packed " }), "{manifest}");
        assert_eq!(lab.at("gw-1").unwrap().number, 1);
        lab.fsck();
    }
}

#[test]
fn the_files_of_the_collector_are_committed_when_they_differ() {
    let lab = Lab::clear();
    for text in ["one", "one", "two"] {
        let transaction = lab.begin();
        transaction.collector_files([("confvault.toml".to_owned(), text.as_bytes().to_vec())].into());
        transaction.record(Record::new("maintain", "done"));
        transaction.commit().unwrap();
    }
    assert_eq!(lab.git(&["rev-list", "--count", "_collector/central"]), "2\n");
    assert_eq!(lab.git(&["show", "_collector/central:confvault.toml"]), "two");
}

#[test]
fn a_transaction_with_nothing_in_it_writes_nothing() {
    let lab = Lab::clear();
    let before = lab.git(&["for-each-ref"]);
    lab.begin().commit().unwrap();
    let transaction = lab.begin();
    let mut entry = voip("a", "1");
    entry.content = Content::Bytes(b"2".to_vec());
    lab.encode_in(&transaction, "gw-1", set("1", vec![entry]), lab.meta(), &RULES).unwrap();
    transaction.withdraw(&"gw-1".parse().unwrap());
    transaction.commit().unwrap();
    assert_eq!(lab.git(&["for-each-ref"]), before);
}
