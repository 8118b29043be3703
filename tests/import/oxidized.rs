//! Repositories of Oxidized.

use crate::repo::{Commit, World, commit, git_ok, of, oxidized, oxidized_head, running};

const DAY: i64 = 86_400;
const T0: i64 = 1_600_000_000;

fn state(name: &str, release: &str, marker: &str) -> String {
    oxidized_head(release) + &running(name, marker, &format!("CANARY{name}{marker}"))
}

/// Two devices in groups: an upgrade, a change that is volatile only, a truncated and an empty state, one deleted.
fn history(world: &World) -> std::path::PathBuf {
    let repo = world.env.path("default.git");
    let gw = |release: &str, marker: &str| state("gw1", release, marker);
    let whole = gw("15.7(3)M6", "two");
    let volatile = gw("15.7(3)M6", "one").replace("clock-period 17173", "clock-period 17999");
    commit(
        &repo,
        &[
            oxidized(T0, &[("voice/gw1", &gw("15.7(3)M6", "one"))]),
            oxidized(T0 + 1, &[("core/sw1", &state("sw1", "15.2(4)M7", "a"))]),
            oxidized(T0 + DAY, &[("voice/gw1", &volatile)]),
            oxidized(T0 + 2 * DAY, &[("voice/gw1", &whole[..whole.len() / 2])]),
            oxidized(T0 + 3 * DAY, &[("voice/gw1", &oxidized_head("15.7(3)M6"))]),
            oxidized(T0 + 4 * DAY, &[("voice/gw1", &whole)]),
            oxidized(T0 + 5 * DAY, &[("voice/gw1", &gw("15.8(1)M", "two"))]),
            Commit { files: vec![("core/sw1".into(), None)], ..oxidized(T0 + 6 * DAY, &[]) },
        ],
    );
    repo
}

#[test]
fn each_state_is_a_generation_with_its_time_and_author() {
    let world = World::new();
    let repo = history(&world);
    let report = world.import(&["oxidized", "default.git", "--profile", "cisco-ios"]);
    let gw = of(&report, "gw1");
    assert_eq!(
        (&gw["first"], &gw["last"], &gw["unchanged_count"], &gw["empty_count"]),
        (&1.into(), &3.into(), &1.into(), &1.into())
    );
    let skipped = gw["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1);
    assert!(skipped[0]["reason"].as_str().unwrap().contains("cut off"), "{}", skipped[0]);
    assert_eq!(skipped[0]["commit"], git_ok(&repo, &["rev-parse", "HEAD~4"]).trim());
    assert_eq!(skipped[0]["time"], "2020-09-15T12:26:40Z");
    assert_eq!(of(&report, "sw1")["gone"], "2020-09-19T12:26:40Z");

    let id = |n: u32| git_ok(&repo, &["rev-parse", &format!("HEAD~{n}")]).trim().to_owned();
    let author = "Oxidized <oxidized@example.org>";
    let line = |number: &str, release: &str, time: i64, commit: String| {
        [number.to_owned(), release.to_owned(), "imported".to_owned(), time.to_string(), author.to_owned(), commit]
    };
    let wanted = [
        line("3", "15.8(1)M", T0 + 5 * DAY, id(1)),
        line("2", "15.7(3)M6", T0 + 4 * DAY, id(2)),
        line("1", "15.7(3)M6", T0, id(7)),
    ];
    assert_eq!(world.log("gw1"), wanted);
    assert_eq!(world.log("sw1"), [line("1", "15.2(4)M7", T0 + 1, id(6))]);
    // It comes back as it was, and in the store no secret of it is readable.
    assert_eq!(world.show("gw1@2", "running-config"), state("gw1", "15.7(3)M6", "two"));
    assert!(git_ok(&world.store(), &["show", "gw1/15.8(1)M:voip/running-config"]).contains("enable secret 5 {{sealed:"));
    world.clean();
    // The store knows by what time it held what.
    assert!(world.cv(&["show", "gw1@2020-09-14"]).succeeded().contains("15.7(3)M6"));
}

#[test]
fn twice_adds_nothing_and_later_only_what_came_since() {
    let world = World::new();
    let repo = history(&world);
    world.import(&["oxidized", "default.git", "--profile", "cisco-ios"]);
    let before = world.refs();
    let again = world.import(&["oxidized", "default.git", "--profile", "cisco-ios"]);
    assert_eq!((&again["generation_count"], &again["added_bytes"]), (&0.into(), &0.into()));
    assert_eq!(world.refs(), before);

    let (gw, sw) = (state("gw1", "15.8(1)M", "three"), state("sw1", "15.2(4)M7", "back"));
    commit(&repo, &[oxidized(T0 + 7 * DAY, &[("voice/gw1", &gw), ("core/sw1", &sw)])]);
    let report = world.import(&["oxidized", "default.git", "--profile", "cisco-ios"]);
    assert_eq!((&of(&report, "gw1")["first"], &of(&report, "gw1")["last"]), (&4.into(), &4.into()));
    assert_eq!((&of(&report, "sw1")["first"], &of(&report, "sw1")["gone"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(world.show("gw1", "running-config"), gw);
    world.clean();
}

#[test]
fn what_cannot_be_told_is_left_out_and_named_with_the_next_step() {
    let world = World::new();
    history(&world);
    // Without a model nobody knows where the secrets stand.
    let run = world.cv(&["import", "oxidized", "default.git"]);
    let said = run.failed(3);
    assert!(said.contains("error: Device gw1: Profile is not known\nhint: name one with `--profile PROFILE`"), "{said}");
    assert_eq!(world.refs().matches("gw1").count(), 0);
    // A list of models helps; a model that nobody knows is mapped by hand.
    world.env.write("router.db", "gw1:ios\nsw1:vendorx\n");
    let run = world.cv(&["import", "oxidized", "default.git", "--list", "router.db"]);
    let said = run.failed(3);
    assert!(
        said.contains(
            "Device sw1: Profile is not known, and none is for the model vendorx\nhint: name one with `--map vendorx=PROFILE`"
        ),
        "{said}"
    );
    let args = ["oxidized", "default.git", "--list", "router.db", "--map", "VendorX=cisco-ios"];
    assert_eq!(of(&world.import(&args), "sw1")["first"], 1);

    // A state without a release, and none before it.
    let bare = running("r9", "x", "c").replace("version 15.7\n", "");
    commit(&world.env.path("bare.git"), &[oxidized(T0, &[("r9", &bare)])]);
    let said = world.cv(&["import", "oxidized", "bare.git", "--profile", "cisco-ios"]).failed(3);
    assert!(said.contains("Device r9: Release of its first state is not known, of commit [ID]"), "{said}");
    assert!(said.contains("hint: name it with `--release RELEASE`"), "{said}");
    world.import(&["oxidized", "bare.git", "--profile", "cisco-ios", "--release", "15.1(4)M"]);
    assert_eq!(world.log("r9")[0][1], "15.1(4)M");
    // The next one has that of the one before.
    commit(&world.env.path("bare.git"), &[oxidized(T0 + 9, &[("r9", &bare.replace("hostname r9", "hostname r10"))])]);
    world.import(&["oxidized", "bare.git", "--profile", "cisco-ios"]);
    assert_eq!(world.log("r9")[0][..2], ["2".to_owned(), "15.1(4)M".to_owned()]);
    world.clean();
}

#[test]
fn what_is_cut_off_is_taken_only_on_purpose() {
    let world = World::new();
    let repo = history(&world);
    let report = world.import(&["oxidized", "default.git", "--profile", "cisco-ios", "--accept=nobody has another copy"]);
    let gw = of(&report, "gw1");
    assert_eq!((&gw["accepted_count"], &gw["last"], &gw["empty_count"]), (&1.into(), &4.into(), &1.into()));
    let accepted = git_ok(&world.store(), &["log", "--format=%(trailers:key=Accepted,valueonly)", "gw1/15.8(1)M"]);
    assert!(accepted.contains("cut off") && accepted.contains("nobody has another copy"), "{accepted}");
    let half = git_ok(&repo, &["show", "HEAD~4:voice/gw1"]);
    assert_eq!(world.show("gw1@2", "running-config"), half);
    world.clean();
}

#[test]
fn a_plan_does_everything_but_commit() {
    let world = World::new();
    history(&world);
    let before = world.refs();
    let plan = world.import(&["oxidized", "default.git", "--profile", "cisco-ios", "--plan"]);
    assert_eq!((&plan["generation_count"], &plan["plan"]), (&4.into(), &true.into()));
    assert_eq!(world.refs(), before);
    let packs = std::fs::read_dir(world.store().join("objects/pack")).unwrap();
    assert!(packs.filter_map(Result::ok).all(|f| !f.file_name().to_string_lossy().contains("tmp")));
    let only = world.import(&["oxidized", "default.git", "--profile", "cisco-ios", "--only", "sw1"]);
    assert_eq!((only["devices"].as_array().unwrap().len(), &only["generation_count"]), (1, &1.into()));
    let said = world.cv(&["import", "oxidized", "default.git", "--only", "sw2"]).failed(2);
    assert!(said.contains("History has no such device: sw2"), "{said}");
}

#[test]
fn a_device_that_confvault_collects_is_refused_by_name_once_the_other_program_went_on() {
    let world = World::new();
    let repo = history(&world);
    let args = ["oxidized", "default.git", "--profile", "cisco-ios"];
    world.import(&args);
    world.env.write("gw1/running-config", state("gw1", "15.8(1)M", "ours"));
    world.cv(&["device", "add", "gw1", "--source", "dir:../gw1", "--profile", "cisco-ios"]).succeeded();
    world.cv(&["snapshot", "gw1"]).succeeded();
    assert_eq!(world.log("gw1")[0][..3], ["4".to_owned(), "15.8(1)M".to_owned(), "unannounced".to_owned()]);
    // Nothing new over there: nothing to refuse.
    assert_eq!(world.import(&args)["generation_count"], 0);
    commit(&repo, &[oxidized(T0 + 8 * DAY, &[("voice/gw1", &state("gw1", "15.8(1)M", "theirs"))])]);
    let said = world.cv(&["import", "oxidized", "default.git", "--profile", "cisco-ios"]).failed(3);
    assert!(said.contains("Device gw1: Device has generations of its own by now (4 is the newest)"), "{said}");
    assert!(said.contains("hint: go on with `confvault snapshot gw1`"), "{said}");

    // A device that confvault had first, and one from another history.
    world.env.write("sw9/running-config", state("sw9", "15.8(1)M", "ours"));
    world.cv(&["device", "add", "sw9", "--source", "dir:../sw9", "--profile", "cisco-ios"]).succeeded();
    world.cv(&["snapshot", "sw9"]).succeeded();
    let other = [("sw9", state("sw9", "15.8(1)M", "x")), ("sw1", state("sw1", "15.2(4)M7", "x"))];
    let files: Vec<(&str, &str)> = other.iter().map(|(path, text)| (*path, text.as_str())).collect();
    commit(&world.env.path("other.git"), &[oxidized(T0, &files)]);
    let report = world.import_ends(3, &["oxidized", "other.git", "--profile", "cisco-ios"]);
    assert!(of(&report, "sw9")["reason"].as_str().unwrap().contains("generations of its own"));
    assert!(of(&report, "sw1")["reason"].as_str().unwrap().contains("imported from another history"));
    world.clean();
}

#[test]
fn a_device_that_moved_to_another_group_is_one_device() {
    let world = World::new();
    let s = |marker: &str| state("sw1", "15.2(4)M7", marker);
    // Oxidized leaves the old file where it was.
    commit(
        &world.env.path("moved.git"),
        &[
            oxidized(T0, &[("old/sw1", &s("1"))]),
            oxidized(T0 + 1, &[("old/sw1", &s("2"))]),
            oxidized(T0 + 2, &[("new/sw1", &s("3"))]),
            oxidized(T0 + 3, &[("old/sw1", &s("5")), ("new/sw1", &s("4"))]),
        ],
    );
    let said = world.cv(&["import", "oxidized", "moved.git", "--profile", "cisco-ios"]).failed(3);
    assert!(said.contains("Device sw1: Two files are one file of the device at the same time: old/sw1, new/sw1"), "{said}");
    assert!(said.contains("hint: choose one of the folders with `--below FOLDER`"), "{said}");

    commit(
        &world.env.path("apart.git"),
        &[
            oxidized(T0, &[("old/sw2", &state("sw2", "15.2(4)M7", "1"))]),
            oxidized(T0 + 1, &[("new/sw2", &state("sw2", "15.2(4)M7", "2"))]),
            // What is cleaned up later takes nothing away.
            Commit { files: vec![("old/sw2".into(), None)], ..oxidized(T0 + 2, &[]) },
            oxidized(T0 + 3, &[("new/sw2", &state("sw2", "15.2(4)M7", "3"))]),
        ],
    );
    let report = world.import(&["oxidized", "apart.git", "--profile", "cisco-ios"]);
    assert_eq!((world.log("sw2").len(), &of(&report, "sw2")["gone"]), (3, &serde_json::Value::Null));
    let below = world.import(&["oxidized", "moved.git", "--profile", "cisco-ios", "--below", "new"]);
    assert_eq!(of(&below, "sw1")["last"], 2);
    world.clean();
}

#[test]
fn a_fleet_is_one_pack_and_no_secret_of_it_shows() {
    let world = World::new();
    let repo = world.env.path("fleet.git");
    let (mut commits, mut canaries) = (Vec::new(), Vec::new());
    for round in 0..12 {
        for device in 0..40 {
            let marker = format!("d{device}r{round}");
            let canary = format!("CaNaRy{marker}z");
            let text = oxidized_head("15.7(3)M6") + &running(&format!("r{device}"), &marker, &canary);
            canaries.push(canary);
            commits.push((format!("g{}/r{device}", device % 3), text));
        }
    }
    let commits: Vec<Commit<'_>> =
        commits.iter().enumerate().map(|(n, (path, text))| oxidized(T0 + n as i64, &[(path, text)])).collect();
    commit(&repo, &commits);
    let packs = || std::fs::read_dir(world.store().join("objects/pack")).unwrap().count();
    let before = packs();
    let run = world.cv(&["-vvv", "import", "oxidized", "fleet.git", "--profile", "cisco-ios"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(!format!("{run}").contains("CaNaRy"));
    assert_eq!(packs() - before, 2, "one pack and its index");
    assert!((0..40).all(|d| world.log(&format!("r{d}")).len() == 12));
    world.clean();

    let objects = crate::lab::objects(&world.store());
    let shown: Vec<_> =
        objects.iter().filter(|(_, data)| memchr::memmem::find(data, b"CaNaRy").is_some()).map(|o| &o.0).collect();
    assert!(shown.is_empty(), "{shown:?}");
    for (name, data) in crate::lab::walk(&world.env.path("cv")) {
        assert!(memchr::memmem::find(&data, b"CaNaRy").is_none(), "{name}");
    }
    // Each state opens with its own secrets.
    for (n, canary) in canaries.iter().enumerate().step_by(97) {
        let text = world.show(&format!("r{}@{}", n % 40, n / 40 + 1), "running-config");
        assert_eq!(text.matches(canary.as_str()).count(), 4);
    }
}

#[test]
fn the_configuration_of_oxidized_gives_models_and_places() {
    let world = World::new();
    history(&world);
    let config = "---\nusername: oxi\npassword: hunter2\nmodel: ios\ngroups:\n  core:\n    username: coreuser\nsource:\n  default: csv\n  csv:\n\
                  \x20   file: ~/.config/oxidized/router.db\n    delimiter: !ruby/regexp /:/\n    map:\n      name: 0\n      model: 1\n      ip: 2\n      group: 3\n\
                  \x20     password: 4\n";
    world.env.write("oxi/config", config);
    world.env.write("oxi/router.db", "gw1:ios:10.0.0.1:voice:hunter3\nsw1::10.0.0.2:core\nsw7::10.0.0.7:core\n");
    let run = world.cv(&["import", "oxidized", "default.git", "--config", "oxi/config", "--add"]);
    assert_eq!(run.code, 0, "{run}");
    let said = run.to_string();
    assert!(said.contains("the list has passwords of 1 of the added devices") && !said.contains("hunter"), "{said}");
    // The device that is gone stays out, and so does one without a history.
    let listed = world.cv(&["--json", "device", "list"]).json();
    let listed: Vec<_> = listed["devices"].as_array().unwrap().iter().map(|d| (&d["name"], &d["source"])).collect();
    assert_eq!(listed, [(&"gw1".into(), &"ssh://oxi@10.0.0.1".into())]);
    assert_eq!((world.log("gw1").len(), world.log("sw1").len()), (3, 1));
    assert!(!world.env.read("cv/confvault.toml").contains("hunter"));
}

#[test]
fn devices_without_a_list_are_taken_in_disabled() {
    let world = World::new();
    history(&world);
    world.import(&["oxidized", "default.git", "--profile", "cisco-ios", "--add"]);
    let shown = world.cv(&["--json", "device", "show", "gw1"]).json();
    assert_eq!((&shown["device"]["source"], &shown["device"]["enabled"]), (&"push:".into(), &false.into()));
    world.cv(&["device", "set", "gw1", "--source", "dir:../gw1", "--enable"]).succeeded();
    world.env.write("gw1/running-config", state("gw1", "15.8(1)M", "two"));
    // What it is now is what the other program had last, but for what a folder tells beside the content.
    world.cv(&["snapshot", "gw1"]).succeeded();
    let changed = git_ok(&world.store(), &["log", "-1", "--format=%(trailers:key=Changed,valueonly)", "gw1/15.8(1)M"]);
    assert_eq!((world.log("gw1").len(), changed.trim()), (4, "+0 ~1 -0"));
    world.clean();
}

#[test]
fn a_long_history_is_committed_in_parts() {
    use confvault::ops::Vault;
    use confvault::ops::import::{Layout, Options, import};

    let world = World::new();
    let repo = world.env.path("long.git");
    let texts: Vec<(String, String)> =
        (0..240).map(|n| (format!("r{}", n % 120), state(&format!("r{}", n % 120), "15.7(3)M6", &n.to_string()))).collect();
    let commits: Vec<Commit<'_>> = texts.iter().zip(T0..).map(|((path, text), time)| oxidized(time, &[(path, text)])).collect();
    commit(&repo, &commits);
    let options = Options {
        repo,
        layout: Layout::Oxidized,
        branch: None,
        below: None,
        only: Vec::new(),
        listed: Vec::new(),
        user: None,
        map: Default::default(),
        profile: Some("cisco-ios".parse().unwrap()),
        release: None,
        accept: None,
        messages: false,
        plan: false,
        commit_every: 8,
    };
    let packs = || std::fs::read_dir(world.store().join("objects/pack")).unwrap().count() / 2;
    let before = packs();
    let vault = Vault::open(&world.env.path("cv")).unwrap();
    let report = import(&vault, &options, &std::sync::atomic::AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!(report.counts(), (240, 120, 0));
    // Four devices at least wait for each part; those that were in work then come with them.
    assert!((2..=30).contains(&(packs() - before)), "{}", packs() - before);
    assert!((0..120).step_by(7).all(|n| world.log(&format!("r{n}")).len() == 2));
    world.clean();
}
