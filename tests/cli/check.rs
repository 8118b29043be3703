use std::fs;

use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn a_whole_store_is_clean() {
    let env = TestEnv::with_history();
    assert_snapshot!(env.cv(&["check"]), @"
    clean
    --- stderr
    3 generations of 1 device; structure only; --read-data reads every byte
    ");
    assert!(env.cv(&["check", "--read-data"]).succeeded().contains("clean"));
    assert!(env.cv(&["check", "pbx", "--json"]).json()["clean"].as_bool().unwrap());
}

#[test]
fn damage_is_named_with_what_it_touches() {
    let env = TestEnv::with_history();
    // So large and so random that the middle of the pack is a part of it.
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    env.write("pbx/noise.bin", noise.take(500_000).collect::<Vec<u8>>());
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["maintain"]).succeeded();
    let packs = env.path("store.git/objects/pack");
    let all = fs::read_dir(&packs).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "pack"));
    let pack = all.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    let mut mode = fs::metadata(&pack).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    fs::set_permissions(&pack, mode).unwrap();
    fs::write(&pack, bytes).unwrap();
    let run = env.cv(&["check", "--read-data"]);
    assert_eq!(run.code, 13, "{run}");
    assert!(run.text().contains("NOT clean") && run.text().contains("touches pbx@4"), "{run}");
    let document = env.cv(&["check", "--read-data", "--json"]).json();
    assert_eq!(document["clean"], false);
    assert!(!document["data"]["findings"].as_array().unwrap().is_empty());
}

#[test]
fn a_name_that_no_device_has_is_no_damage() {
    let env = TestEnv::with_history();
    let said = env.cv(&["check", "pbxx"]).failed(2);
    assert!(said.contains("No such device: pbxx") && said.contains("near: pbx"), "{said}");
    assert!(!env.cv(&["journal"]).text().contains("damage"));
}

#[test]
fn a_lost_head_touches_all_that_nobody_knows_of() {
    let env = TestEnv::with_history();
    let packs = || -> std::collections::BTreeSet<_> {
        fs::read_dir(env.path("store.git/objects/pack")).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let before = packs();
    env.write("pbx/new.conf", "[new]\nx=2\n");
    env.cv(&["snapshot"]).succeeded();
    packs().difference(&before).for_each(|file| fs::remove_file(file).unwrap());
    // The line of the older release is whole.
    let run = env.cv(&["check"]);
    assert!(run.text().contains("touches pbx@3 and all after it"), "{run}");
    let document = env.cv(&["check", "--json"]).json();
    let findings = document["data"]["findings"].as_array().unwrap();
    let open = findings.iter().flat_map(|f| f["touches"].as_array().unwrap()).any(|t| t["first"] == 3 && t["last"].is_null());
    assert!(open, "{document}");
}

#[test]
fn a_lost_branch_of_the_store_hides_nothing_of_the_rest() {
    let env = TestEnv::with_history();
    env.lose("_store");
    let run = env.cv(&["check", "--read-data"]);
    assert_eq!(run.code, 13, "{run}");
    assert!(run.text().contains("an object is missing: refs/heads/_store: "), "{run}");
    // One thing is wrong, and touches no generation.
    assert!(run.stderr.contains("3 generations of 1 device") && !run.text().contains("touches"), "{run}");
    assert_eq!(run.text().lines().count(), 2, "{run}");
    let document = env.cv(&["check", "--json"]).json();
    assert_eq!((&document["store_branch_read"], &document["data"]["generations"]), (&false.into(), &3.into()));
    // Other damage is found beside it.
    env.lose("refs/heads/pbx/20.2:voip/new.conf");
    let run = env.cv(&["check"]);
    assert!(run.text().contains("touches pbx@3"), "{run}");
    // The ref is gone, and all objects are there.
    let env = TestEnv::with_history();
    let refs = env.read("store.git/packed-refs");
    let others = refs.lines().filter(|l| !l.ends_with("/_store")).map(|l| format!("{l}\n"));
    env.write("store.git/packed-refs", others.collect::<String>());
    let run = env.cv(&["check"]);
    assert!(run.code == 13 && run.text().contains("refs/heads/_store"), "{run}");
    assert!(run.stderr.contains("3 generations of 1 device"), "{run}");
}
