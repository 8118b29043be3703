use crate::env::TestEnv;

/// The tour compares by itself, with diff(1), what it puts back; here counts that it came to its end by the real steps.
#[test]
fn it_walks_the_whole_main_job() {
    let env = TestEnv::new();
    // Whatever store the user has at hand is none of its business.
    let run = env.run(env.command(&["tour", "tour"]).env("CONFVAULT_DIR", "/nonexistent").env("CONFVAULT_ADMIN", "/nonexistent"));
    let said = run.succeeded();
    for step in [
        "pbx        generation 1  18.26.4    first  +5 ~0 -0",
        "pbx@before-change",
        "gw-berlin  1  ->  1  nothing differs",
        "$ confvault -C vault diff pbx@pre/CHG-7 @post/CHG-7",
        "# voip/pjsip.conf: 1 secret changed",
        "3   [TIME]  20.20.1  release     +0 ~3 -1",
        "$ confvault -C vault diff pbx:18.26.4 pbx:20.20.1 --stat",
        "$ diff -r devices/taken-over restored",
        "offsite  has everything",
        "3 pbx 20.20.1 generation 3",
        "$ confvault init rebuilt --from offsite.git --admin vault-admin",
        "$ confvault -C rebuilt check --read-data\nclean",
        "== That was the main job",
    ] {
        assert!(said.contains(step), "{step} is missing in\n{said}");
    }
    assert!(!said.contains("Tz6yQ1sDf0Wb") && !said.contains("vN4hB8zKc3Rd"), "{said}");
    assert_eq!(env.read("tour/again/sip.conf"), env.read("tour/devices/taken-over/sip.conf"));
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let env = TestEnv::new();
    env.write("mine/file", "x");
    let said = env.cv(&["tour", "mine"]).failed(2);
    assert!(said.contains("must be new or empty"), "{said}");
    assert_eq!(std::fs::read_dir(env.path("mine")).unwrap().count(), 1);
}

#[test]
fn its_steps_are_told_as_json() {
    let env = TestEnv::new();
    let told = env.cv(&["tour", "tour", "--json"]).json();
    let steps = told["steps"].as_array().unwrap();
    assert!(steps.len() > 20 && steps.iter().all(|step| step["exit_code"].is_i64() && step["took_ms"].is_u64()), "{told}");
    let check = steps.iter().find(|step| step["command"] == "confvault -C rebuilt check --read-data").unwrap();
    assert!(check["output"].as_str().unwrap().starts_with("clean"), "{check}");
    assert!(told["dir"].as_str().unwrap().ends_with("/tour"), "{told}");
}
