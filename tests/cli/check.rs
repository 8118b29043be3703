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
    let said = env.cv(&["check", "pbxx"]).failed(1);
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
