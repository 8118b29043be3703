//! A folder of this machine.

use crate::lab::{CANARY, Lab};

#[test]
fn everything_that_differs_is_put_back_and_nothing_else() {
    let lab =
        Lab::new("[[restore.check]]\nrun = \"cat {root}/main.conf {root}/deep/er/gone.conf {root}/same.conf > ../seen; true\"\n");
    let plan = lab.cv(&["restore", "pbx@1", "--device", "--plan"]);
    insta::assert_snapshot!(plan, @"
    pbx@1 (1) onto pbx (1)
    create   deep/
    create   deep/er/
    create   deep/er/gone.conf
    adjust   empty/             mode 0700 to 0750
    remove   extra/
    remove   extra/new.conf
    create   gone.conf
    replace  link               target
    replace  main.conf          content, mode 0644 to 0640
    adjust   mode.conf          mode 0666 to 0600
    replace  users.db           content
    replace  was-link           kind
    cannot   making it active   the profile names no command for it: what has read its files goes on with the old ones
    check  cat {root}/main.conf {root}/deep/er/gone.conf {root}/same.conf > ../seen; true
    --- stderr
    12 to do, 4 the same as at the point
    --- exit 1
    ");
    let run = lab.restore(&["--ticket", "T-1", "-vvv"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.point());
    lab.assert_tidy();
    assert_eq!(lab.outcomes(), ["begun", "done"]);
    // The check saw the set as it would be.
    let seen = lab.env.read("seen");
    assert!(seen.contains("port=5060") && seen.ends_with("[gone]\n[same]\n"), "{seen}");
    // What stood before and after are generations of a change; that it was broken, nobody had announced.
    assert!(run.stderr.contains("warning: pbx: generation 2 is an unannounced change"), "{run}");
    let kind = |at: &str| lab.cv(&["show", at, "--json"]).json()["generation"]["kind"].clone();
    assert_eq!((kind("pbx@pre/T-1"), kind("pbx@post/T-1")), ("unannounced".into(), "post".into()));
    let diff = lab.cv(&["diff", "pbx@pre/T-1", "@post/T-1", "--stat"]);
    assert_eq!(diff.code, 1, "{diff}");
    assert_eq!(lab.cv(&["diff", "pbx@1", "@post/T-1"]).code, 0);
    assert_eq!(lab.cv(&["restore", "pbx@1", "--device", "--plan"]).code, 0);
    let again = lab.restore(&[]);
    assert!(again.code == 0 && again.text().contains("nothing was done"), "{again}");
    // And the way back is a restore like any other.
    let back = lab.cv(&["restore", "pbx@pre/T-1", "--device", "--yes"]);
    assert_eq!(back.code, 0, "{back}");
    assert!(!back.stderr.contains("unannounced"), "{back}");
    assert_eq!(lab.tree(), lab.broken);
    assert!(!format!("{run}{back}{plan}").contains(CANARY));
}

#[test]
fn a_store_that_seals_nothing_keeps_the_way_back_sealed_all_the_same() {
    let lab = Lab::without_sealing("[[restore.apply]]\nrun = \"kill -9 $PPID\"\n");
    let without = |args: &[&str]| lab.env.run(lab.command(args).env_remove("CONFVAULT_IDENTITY"));
    let killed = without(&["restore", "pbx@1", "--device", "--yes"]);
    assert_eq!(killed.code, -1, "{killed}");
    assert_eq!(lab.tree(), lab.point());
    let found = std::process::Command::new("grep").args(["-rl", CANARY, "store/restores"]).current_dir(lab.env.path("")).output();
    assert!(found.unwrap().stdout.is_empty(), "the way back lies in clear");
    let profile = lab.env.read("store/profiles/pb.toml").replace("kill -9 $PPID", "true");
    lab.env.write("store/profiles/pb.toml", profile);
    let undone = without(&["restore", "--undo"]);
    assert_eq!(undone.code, 0, "{undone}");
    assert_eq!(lab.tree(), lab.broken);
    lab.assert_tidy();
}
