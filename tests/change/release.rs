//! One release against another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::env::TestEnv;

/// A PBX that is the folder `pbx`, under a release, with a snapshot of it.
pub fn pbx(release: &str, files: &[(&str, &str)]) -> TestEnv {
    let env = TestEnv::with_store();
    lay(&env, files);
    let add = ["device", "add", "pbx", "--source", "dir:pbx", "--profile", "asterisk", "--release", release];
    env.cv(&add).succeeded();
    env.cv(&["snapshot"]).succeeded();
    env
}

/// Makes the folder `pbx` hold these files and no others.
pub fn lay(env: &TestEnv, files: &[(&str, &str)]) {
    drop(fs::remove_dir_all(env.path("pbx")));
    files.iter().for_each(|(name, text)| env.write(&format!("pbx/{name}"), text));
}

/// Gives the PBX another release.
pub fn declare(env: &TestEnv, old: &str, new: &str) {
    let text = env.read("confvault.toml").replace(&format!("release = \"{old}\""), &format!("release = \"{new}\""));
    env.write("confvault.toml", text);
}

const OLD: &[(&str, &str)] = &[
    (
        "queues.conf",
        "[general]\nautofill = yes\n;shared_lastcall=no\n;persistentmembers = yes\n[sales]\nmusicclass = default\nannounce-to-caller = yes\n",
    ),
    ("misdn.conf", "[general]\nbridging = no\n"),
    ("logger.conf", "[logfiles]\nconsole = notice\n"),
    ("moh.conf", "[default]\nmode=files\ndirectory=moh\nsort=random\nannouncement=x\n"),
    ("dial.ael", "context a { 1 => Dial(x); };\n"),
];
const NEW: &[(&str, &str)] = &[
    (
        "queues.conf",
        "[general]\nautofill = yes\n;shared_lastcall=yes\n[sales]\nmusicclass = jazz\nannounce_to_caller = yes\n;log-restricted=no\n",
    ),
    ("websocket.conf", "[general]\nenabled = no\n"),
    ("logger.conf", "[logfiles]\nconsole = notice\n"),
    ("musiconhold.conf", "[default]\nmode=files\ndirectory=moh\nsort=random\nannouncement=y\n"),
    ("dial.ael", "context a { 1 => Dial(y); };\n"),
];

fn upgraded() -> TestEnv {
    let env = pbx("18.0.0", OLD);
    lay(&env, NEW);
    declare(&env, "18.0.0", "20.0.0");
    env.cv(&["snapshot"]).succeeded();
    env
}

#[test]
fn files_and_settings_that_came_and_went() {
    let env = upgraded();
    let list = env.cv(&["release", "list", "pbx", "--json"]).json();
    let releases: Vec<_> =
        list["releases"].as_array().unwrap().iter().map(|r| (r["release"].as_str().unwrap(), &r["current"])).collect();
    assert_eq!(releases, [("20.0.0", &true.into()), ("18.0.0", &false.into())]);
    assert!(list["releases"].as_array().unwrap().iter().all(|r| r["generations_count"].as_u64() > Some(0)), "{list}");
    let run = env.cv(&["release", "diff", "pbx", "18.0.0", "20.0.0", "--json"]);
    assert_eq!(run.code, 1);
    let found = run.json();
    let files: Vec<String> = found["diff"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| format!("{} {} {} {}", f["change"], f["path"], f["to"], f["set_count"]).replace('"', ""))
        .collect();
    assert_eq!(
        files,
        ["gone voip/misdn.conf null 1", "renamed voip/moh.conf voip/musiconhold.conf 4", "new voip/websocket.conf null 0",]
    );
    let settings: Vec<String> = found["diff"]["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| format!("{} {} {} {} {} {}", s["change"], s["section"], s["key"], s["old"], s["new"], s["set"]).replace('"', ""))
        .collect();
    assert_eq!(
        settings,
        [
            "changed default announcement x y true",
            "default general shared_lastcall no yes false",
            "gone general persistentmembers yes null false",
            "changed sales musicclass default jazz true",
            "renamed sales announce-to-caller yes yes true",
            "new sales log-restricted null no false",
        ]
    );
    assert_eq!(found["diff"]["not_compared"], serde_json::json!(["voip/dial.ael"]));
    let text = env.cv(&["release", "diff", "pbx", "18.0.0", "20.0.0"]).text();
    assert!(text.starts_with("gone     voip/misdn.conf      1 setting that it sets\n"), "{text}");
    assert!(text.contains("  default  ;shared_lastcall: no -> yes  [general] line 3\n"), "{text}");
    let same = env.cv(&["release", "diff", "pbx", "18.0.0", "18.0.0"]);
    assert_eq!((same.code, &same.stderr[..]), (0, "nothing differs\n"));
    assert_eq!(env.cv(&["release", "diff", "pbx", "18.0.0", "19.0.0"]).code, 2);
}

#[test]
fn an_upgrade_is_reviewed_named_checked_and_has_a_way_back() {
    let env = pbx("18.0.0", OLD);
    let why = ["--why", "end of support"];
    let begin = |more: &[&str]| env.cv(&[&["release", "begin", "pbx", "20.0.0"], &why[..], more].concat());
    let refused = begin(&[]).failed(1);
    assert!(
        refused.starts_with("error: All of the vendor's notes are not decided for device pbx and release 20.0.0\n"),
        "{refused}"
    );
    assert_eq!(begin(&["--unreviewed", "a test bench"]).succeeded(), "pbx@before-20.0.0  generation 1 under 18.0.0\n");
    assert!(begin(&["--unreviewed", "x"]).failed(1).contains("was begun already"));
    let early = env.cv(&["release", "finish", "pbx"]).failed(1);
    assert!(early.starts_with("error: Device pbx still has the old release: 18.0.0\n"), "{early}");

    lay(&env, NEW);
    declare(&env, "18.0.0", "20.0.0");
    let lacking = env.cv(&["release", "finish", "pbx"]);
    assert_eq!(lacking.code, 1, "{lacking}");
    assert!(lacking.text().contains("gone     voip/misdn.conf") && lacking.text().contains("announce-to-caller"), "{lacking}");
    assert!(!lacking.text().contains("persistentmembers") || lacking.text().contains(";persistentmembers"), "{lacking}");
    assert!(lacking.stderr.contains("1 file and 1 setting of the old set are missing"), "{lacking}");

    let way = env.cv(&["release", "rollback", "pbx"]).succeeded();
    assert!(way.starts_with("pbx goes back from 20.0.0 (generation 2) to 18.0.0 (generation 1)\n"), "{way}");
    assert!(way.contains("confvault restore pbx@before-20.0.0 --device --plan"), "{way}");
    let not_back = env.cv(&["release", "rollback", "pbx", "--done"]).failed(1);
    assert!(not_back.contains("does not have the old release 18.0.0, but 20.0.0"), "{not_back}");
    assert_eq!(env.cv(&["release", "finish", "pbx", "--accept", "no ISDN any more"]).code, 0);
    assert!(env.cv(&["release", "finish", "pbx"]).failed(1).contains("No upgrade was begun of device pbx"));
    let outcomes: Vec<_> =
        crate::lab::records(&env, "release").iter().map(|r| r["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["finished", "lacking", "begun"]);
}

#[test]
fn back_under_the_old_release_the_upgrade_is_over() {
    let env = pbx("18.0.0", OLD);
    env.cv(&["release", "begin", "pbx", "20.0.0", "--why", "w", "--unreviewed", "u"]).succeeded();
    lay(&env, NEW);
    declare(&env, "18.0.0", "20.0.0");
    env.cv(&["snapshot"]).succeeded();
    lay(&env, OLD);
    declare(&env, "20.0.0", "18.0.0");
    env.cv(&["release", "rollback", "pbx", "--done"]).succeeded();
    let last = &crate::lab::records(&env, "release")[0];
    assert_eq!((&last["outcome"], &last["as_before"]), (&"rolled-back".into(), &true.into()));
    // The name is taken: the next one has a number, if it stands elsewhere.
    lay(&env, &[("queues.conf", "[general]\nautofill = no\n")]);
    env.cv(&["snapshot", "--accept=w"]).succeeded();
    let again = env.cv(&["release", "begin", "pbx", "20.0.0", "--why", "w", "--unreviewed", "u"]).succeeded();
    assert!(again.starts_with("pbx@before-20.0.0-2  "), "{again}");
}

#[test]
fn an_upgrade_that_changes_nothing_says_so() {
    let env = pbx("18.0.0", OLD);
    declare(&env, "18.0.0", "20.0.0");
    env.cv(&["snapshot"]).succeeded();
    assert_eq!(env.cv(&["release", "diff", "pbx", "18.0.0", "20.0.0"]).stderr, "nothing differs\n");
    assert!(env.cv(&["release", "rollback", "pbx"]).succeeded().ends_with("From now to then:\nnothing differs\n"));
}

/// The folder of the corpus.
pub fn corpus() -> PathBuf {
    let dir = PathBuf::from(std::env::var_os("CONFVAULT_CORPUS").expect("CONFVAULT_CORPUS names the corpus"));
    assert!(dir.join("asterisk/18.26.4").is_dir(), "no corpus in {}", dir.display());
    dir
}

/// The keys of a sample as a simple reader finds them: a word at the beginning of a line, before `=`.
fn keys(file: &Path) -> BTreeSet<String> {
    let word = regex::Regex::new(r"^;?([a-z][\w.-]*) *=>?[ \t]*\S").unwrap();
    let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    text.lines().filter_map(|line| Some(word.captures(line)?[1].to_lowercase())).collect()
}

#[test]
#[ignore = "needs CONFVAULT_CORPUS, see docs/testing.md"]
fn the_samples_of_asterisk_that_went_are_all_found() {
    let corpus = corpus();
    let samples = |release: &str| corpus.join("asterisk").join(release).join("configs/samples");
    let take = |env: &TestEnv, release: &str| {
        drop(fs::remove_dir_all(env.path("pbx")));
        for entry in fs::read_dir(samples(release)).unwrap() {
            let entry = entry.unwrap();
            env.write(&format!("pbx/{}", entry.file_name().to_str().unwrap()), fs::read(entry.path()).unwrap());
        }
    };
    let env = pbx("18.26.4", &[("x.conf", "")]);
    take(&env, "18.26.4");
    env.cv(&["snapshot", "--full", "--accept"]).succeeded();
    take(&env, "20.20.1");
    declare(&env, "18.26.4", "20.20.1");
    env.cv(&["snapshot", "--full"]).succeeded();
    let found = env.cv(&["release", "diff", "pbx", "18.26.4", "20.20.1", "--json"]).json();
    let names = |change: &str| -> Vec<String> {
        let files = found["diff"]["files"].as_array().unwrap().iter().filter(|f| f["change"] == change);
        files.map(|f| f["path"].as_str().unwrap().replace("voip/", "").replace(".conf.sample", "")).collect()
    };
    let gone = ["app_mysql", "cdr_mysql", "cdr_syslog", "misdn", "muted", "oss", "phone", "res_config_sqlite", "vpb"];
    assert_eq!(names("gone"), gone);
    assert_eq!(names("new"), ["chan_websocket", "websocket_client"]);

    let settings = found["diff"]["settings"].as_array().unwrap();
    let (mut missed, mut went) = (Vec::new(), 0);
    for entry in fs::read_dir(samples("20.20.1")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let old = samples("18.26.4").join(&name);
        if !old.exists() || !name.ends_with(".conf.sample") {
            continue;
        }
        for key in keys(&old).difference(&keys(&samples("20.20.1").join(&name))) {
            went += 1;
            let same = |s: &&serde_json::Value| {
                s["file"] == format!("voip/{name}") && s["key"].as_str().is_some_and(|k| k.eq_ignore_ascii_case(key))
            };
            let told = settings.iter().filter(same).any(|s| s["change"] == "gone" || s["change"] == "renamed");
            if !told {
                missed.push(format!("{name}: {key}"));
            }
        }
    }
    assert!(went > 0 && missed.is_empty(), "{} of {went} not found:\n{}", missed.len(), missed.join("\n"));
}
