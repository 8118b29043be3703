use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn everything_is_recorded_once() {
    let env = TestEnv::with_history();
    env.cv(&["snapshot"]).succeeded();
    env.cv(&["name", "pbx", "golden"]).succeeded();
    env.cv(&["unname", "pbx", "golden"]).succeeded();
    env.cv(&["restore", "pbx", "--to", "out"]).succeeded();
    env.cv(&["check"]).succeeded();
    env.cv(&["maintain"]).succeeded();
    assert_snapshot!(env.cv(&["journal"]), @"
    TIME                 COLLECTOR  ACTION    OUTCOME     WHAT
    [TIME]  central    maintain  done        packs_before=12 packs_after=1 =[N] =[N]
    [TIME]  central    check     done        findings=0 read_data=false generations=3
    [TIME]  central    restore   done        pbx generation=3 files=3 bytes=80 skipped=0
    [TIME]  central    unname    done        pbx generation=3 name=golden
    [TIME]  central    name      done        pbx generation=3 name=golden
    [TIME]  central    snapshot  unchanged   devices=pbx
    [TIME]  central    snapshot  generation  pbx generation=3 release=20.2 kind=unannounced changed=+1 ~0 -2
    [TIME]  central    device    set         pbx keys=release
    [TIME]  central    snapshot  generation  pbx generation=2 release=18.1 kind=unannounced changed=+0 ~1 -0
    [TIME]  central    snapshot  generation  pbx generation=1 release=18.1 kind=first changed=+4 ~0 -0
    [TIME]  central    device    added       pbx
    [TIME]  central    init      done        sealing=false
    ");
    assert_snapshot!(env.cv(&["journal", "--json", "--device", "pbx", "-n", "2"]), @r#"
    {"v":1,"time":"[TIME]","run":"[RUN]","action":"restore","collector":"central","version":"0.1.0","outcome":"done","device":"pbx","generation":3,"files":3,"bytes":80,"skipped":0}
    {"v":1,"time":"[TIME]","run":"[RUN]","action":"unname","collector":"central","version":"0.1.0","outcome":"done","device":"pbx","generation":3,"name":"golden"}
    "#);
    assert!(env.cv(&["journal", "--since", "1h", "--json"]).succeeded().lines().count() > 5);
    assert_eq!(env.cv(&["journal", "--since", "2100-01-01", "--json"]).succeeded(), "");
    env.cv(&["journal", "--since", "yesterday"]).failed(2);
}

#[test]
fn who_looks_after_the_installation_is_recorded_too_and_no_value() {
    let env = TestEnv::with_history();
    env.write("list.csv", "name,source\ngw-1,dir:pbx\ngw-2,dir:pbx\n");
    env.write("secret", "canary\n");
    let git = |args: &[&str]| assert!(std::process::Command::new("git").args(args).output().unwrap().status.success());
    git(&["init", "--bare", "-q", &env.path("mirror.git").display().to_string()]);
    env.cv(&["device", "import", "list.csv"]).succeeded();
    env.cv(&["device", "set", "gw-1", "--profile", "cisco-ios", "--label", "site=vault", "--credential", "file:secret"])
        .succeeded();
    env.cv(&["device", "remove", "gw-2"]).succeeded();
    env.cv(&["mirror", "add", "offsite", &env.path("mirror.git").display().to_string()]).succeeded();
    env.cv(&["mirror", "status", "offsite", "--prove"]).failed(3);
    env.cv(&["mirror", "remove", "offsite"]).succeeded();
    env.cv(&["restore", "pbx", "--to", "taken"]).succeeded();
    env.cv(&["restore", "pbx", "--to", "taken"]).failed(1);
    let all = env.cv(&["journal", "-n", "8"]).succeeded();
    let words: Vec<String> =
        all.lines().skip(1).map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")).collect();
    assert!(words[0].starts_with("restore failed pbx generation=3 reason="), "{all}");
    assert!(words[1].starts_with("restore done pbx generation=3 "), "{all}");
    let rest = [
        "mirror removed mirror=offsite",
        "mirror-prove open mirror=offsite",
        "mirror added mirror=offsite",
        "device removed gw-2",
        "device set gw-1 keys=credential,labels,profile",
        "device added devices=gw-1,gw-2",
    ];
    assert_eq!(words[2..], rest, "{all}");
    assert_eq!(env.cv(&["journal", "--device", "gw-1", "--json"]).succeeded().lines().count(), 2);
}
