//! What a vendor says of a new release, and what is decided of it.

use crate::env::TestEnv;
use crate::lab::records;
use crate::release::pbx;

const NOTES: &str = "\
------------------------------------------------------------------------------
--- Functionality changes from Asterisk 19.0.0 to Asterisk 20.0.0 ------------
------------------------------------------------------------------------------

app_queue
------------------
 * Members are told
   what happens.

Core
------------------
 * Nothing of this device.
 * A new option in queues.conf.
 * The autofill-mode setting is gone.

chan_iax2
------------------
 * The autofill-mode setting was never here.

------------------------------------------------------------------------------
--- New functionality introduced in Asterisk 17.0.0 --------------------------
------------------------------------------------------------------------------

app_queue
------------------
 * Too old to matter.
";
const LOG: &str = "\
## Change Log for Release asterisk-20.1.0
### Summary:
- app_queue: a commit
### Upgrade Notes:

- #### app_queue: QUEUE_LENGTH counts otherwise
  It does.

- #### app_meetme: Not loaded here
  Nor is it used.

### Developer Notes:

- #### app_queue: an API
  For others.
";

fn device() -> TestEnv {
    let files: &[(&str, &str)] = &[
        ("modules.conf", "[modules]\nautoload = no\nload = app_queue.so\nload => pbx_config.so\nnoload = app_meetme.so\n"),
        ("queues.conf", "[general]\nautofill-mode = yes\n"),
        ("meetme.conf", "; nothing is set here\n"),
    ];
    let env = pbx("18.0.0", files);
    env.write("UPGRADE.txt", NOTES);
    env.write("ChangeLog.md", LOG);
    env
}

#[test]
fn passages_about_what_the_device_uses_with_their_places() {
    let env = device();
    let args = ["release", "review", "pbx", "20.1.0", "--notes", "UPGRADE.txt", "ChangeLog.md", "--json"];
    let found = env.cv(&args).json();
    let items: Vec<String> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let hits: Vec<String> = item["names"]
                .as_array()
                .unwrap()
                .iter()
                .map(|hit| format!("{} {} {}:{}", hit["kind"], hit["name"], hit["file"], hit["line"]).replace('"', ""))
                .collect();
            let place = &item["places"][0];
            format!("{}:{} {}", place["file"].as_str().unwrap(), place["line"], hits.join(", "))
        })
        .collect();
    assert_eq!(
        items,
        [
            "UPGRADE.txt:7 module app_queue voip/modules.conf:3",
            "UPGRADE.txt:13 file queues.conf voip/queues.conf:0",
            "UPGRADE.txt:14 option autofill-mode voip/queues.conf:2",
            "ChangeLog.md:6 module app_queue voip/modules.conf:3",
        ]
    );
    assert_eq!((&found["passages_count"], &found["undecided_count"]), (&7.into(), &4.into()));
    let all = env.cv(&[&args[..], &["--all"]].concat()).json();
    assert_eq!(all["items_count"], 6);
}

#[test]
fn decisions_are_kept_and_the_upgrade_waits_for_them() {
    let env = device();
    let review = |more: &[&str]| env.cv(&[&["release", "review", "pbx", "20.1.0", "--notes", "UPGRADE.txt"], more].concat());
    assert!(review(&["--decide", "1=adapt"]).failed(2).contains("A decision needs a reason"));
    assert!(review(&["--decide", "9=adapt", "--why", "w"]).failed(2).contains("No such item in the review: 9"));
    let run = review(&["--decide", "1=adapt", "--why", "members.conf is to be written"]);
    assert!(run.text().contains("adapt: members.conf is to be written"), "{run}");
    assert!(run.stderr.contains("2 not decided"), "{run}");
    let begin = || env.cv(&["release", "begin", "pbx", "20.1.0", "--why", "w"]);
    assert!(begin().failed(1).starts_with("error: 2 of the vendor's notes are not decided"));
    // The same passage keeps its decision, wherever it stands next time.
    env.write("UPGRADE.txt", format!("\n\n{NOTES}"));
    let shown = review(&["--undecided", "--json"]).json();
    assert_eq!((shown["items"].as_array().unwrap().len(), &shown["items"][0]["number"]), (2, &2.into()));
    assert_eq!(review(&["--decide", "rest=ignore", "--why", "not used"]).code, 0);
    let all = records(&env, "review");
    let told: Vec<_> = all.iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    assert_eq!(told, ["done", "ignore", "ignore", "open", "adapt"]);
    assert_eq!((&all[4]["notes"], &all[4]["line"], &all[4]["topic"]), (&"UPGRADE.txt".into(), &7.into(), &"app_queue".into()));
    assert_eq!(begin().code, 0);
    let missing = env.cv(&["release", "review", "pbx", "20.1.0", "--notes", "nowhere.txt"]).failed(1);
    assert!(missing.starts_with("error: Change notes cannot be read: $TEST/work/nowhere.txt\n"), "{missing}");
}

#[test]
fn a_section_that_is_named_as_one_is_found_at_its_line() {
    let files: &[(&str, &str)] = &[
        ("modules.conf", "[modules]\nautoload = no\nload = app_queue.so\n"),
        ("queues.conf", "[general]\nautofill = yes\n\n[sales]\nstrategy = ringall\n"),
    ];
    let env = pbx("18.0.0", files);
    let head = "-----\n--- Functionality changes from Asterisk 19.0.0 to Asterisk 20.0.0 ---\n-----\n\nCore\n-----\n";
    let notes = " * What stands in [sales] counts otherwise.\n * The word sales alone is any word.\n * In [support] something went.\n \
                 * In [general] something went that may be anywhere.\n";
    env.write("UPGRADE.txt", format!("{head}{notes}"));
    let found = env.cv(&["release", "review", "pbx", "20.0.0", "--notes", "UPGRADE.txt", "--json"]).json();
    let items = found["items"].as_array().unwrap();
    assert_eq!((items.len(), &found["passages_count"]), (1, &4.into()), "{found}");
    assert_eq!((&items[0]["places"][0]["line"], items[0]["names"].as_array().unwrap().len()), (&7.into(), 1), "{found}");
    let name = &items[0]["names"][0];
    let told = (&name["kind"], &name["name"], &name["file"], &name["line"]);
    assert_eq!(told, (&"section".into(), &"sales".into(), &"voip/queues.conf".into(), &4.into()), "{found}");
}
