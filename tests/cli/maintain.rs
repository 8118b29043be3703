use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn packs_become_one_and_nothing_is_lost() {
    let env = TestEnv::with_history();
    let before = env.cv(&["log", "pbx"]).succeeded();
    let run = env.cv(&["maintain"]).succeeded();
    assert!(run.contains("packs of") && run.contains("now 1 of"), "{run}");
    assert_eq!(env.cv(&["log", "pbx"]).succeeded(), before);
    env.cv(&["check", "--read-data"]).succeeded();
    assert_snapshot!(env.cv(&["maintain", "--quick", "--json"]), @r#"
    {
      "version": 1,
      "command": "maintain",
      "packs_before_count": 3,
      "packs_after_count": 2,
      "before_bytes": [N],
      "after_bytes": [N]
    }
    "#);
}

#[test]
fn a_lost_index_of_a_whole_pack_is_made_anew() {
    use std::fs;
    for act in ["delete", "cut", "junk", "empty"] {
        let env = TestEnv::with_history();
        let before = env.cv(&["log", "pbx", "--json"]).json();
        let packs = env.path("store.git/objects/pack");
        for path in fs::read_dir(&packs).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "idx"))
        {
            let mut bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            match act {
                "delete" => continue,
                "cut" => bytes.truncate(bytes.len() / 2),
                "junk" => bytes.fill(7),
                _ => bytes.clear(),
            }
            fs::write(&path, bytes).unwrap();
        }
        let said = env.cv(&["snapshot"]).failed(13);
        assert!(said.contains("`confvault maintain`"), "{act}: {said}");
        let run = env.cv(&["maintain"]);
        assert!(run.stderr.contains("was lost or damaged, and is made anew"), "{act}: {run}");
        run.succeeded();
        env.cv(&["check", "--read-data"]).succeeded();
        env.cv(&["snapshot"]).succeeded();
        assert_eq!(env.cv(&["log", "pbx", "--json"]).json()["generations"], before["generations"], "{act}");
    }
}

#[test]
fn a_pack_that_is_not_whole_gets_no_index() {
    use std::fs;
    let env = TestEnv::with_history();
    let packs = env.path("store.git/objects/pack");
    let index = fs::read_dir(&packs).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "idx"));
    let index = index.unwrap();
    let pack = index.with_extension("pack");
    let bytes = fs::read(&pack).unwrap();
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, &bytes[..bytes.len() - 30]).unwrap();
    fs::remove_file(&index).unwrap();
    let run = env.cv(&["maintain"]);
    assert!(run.code != 0 && !index.exists(), "{run}");
}

#[test]
fn a_pack_of_which_only_the_ends_are_damaged_is_written_anew() {
    use std::fs;
    // What is done to a pack, and whether its objects are whole.
    type Act = fn(&mut Vec<u8>);
    let acts: [(&str, bool, Act); 7] = [
        ("last byte cut", true, |b| b.truncate(b.len() - 1)),
        ("trailer cut", true, |b| b.truncate(b.len() - 20)),
        ("trailer wrong", true, |b| *b.last_mut().unwrap() ^= 1),
        ("magic wrong", true, |b| b[0] ^= 1),
        ("count wrong", true, |b| b[11] ^= 1),
        ("object cut", false, |b| b.truncate(b.len() - 21)),
        ("object wrong", false, |b| b[20] ^= 1),
    ];
    for (name, whole, act) in acts {
        let env = TestEnv::with_history();
        let before = env.cv(&["log", "pbx", "--json"]).json();
        let packs = env.path("store.git/objects/pack");
        for path in fs::read_dir(packs).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "pack"))
        {
            let mut bytes = fs::read(&path).unwrap();
            act(&mut bytes);
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(env.cv(&["check", "--read-data"]).code, 13, "{name}");
        let run = env.cv(&["maintain"]);
        assert_eq!((run.code == 0, run.stderr.contains("are written anew")), (whole, whole), "{name}: {run}");
        if whole {
            env.cv(&["check", "--read-data"]).succeeded();
            env.cv(&["snapshot"]).succeeded();
            assert_eq!(env.cv(&["log", "pbx", "--json"]).json()["generations"], before["generations"], "{name}");
        }
    }
}
