//! `device import`, through the program: every form of list, twice, hostile ones, and a NetBox over HTTP.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::env::TestEnv;
use crate::http::{Server, ok};

fn source(env: &TestEnv, device: &str) -> Value {
    env.cv(&["--json", "device", "show", device]).json()["device"].clone()
}

/// Imports twice: the second time nothing changes.
#[track_caller]
fn import(env: &TestEnv, args: &[&str]) -> Value {
    let args = [&["--json", "device", "import"][..], args].concat();
    let run = env.cv(&args);
    assert_eq!(run.code, 0, "{run}");
    let text = env.read("confvault.toml");
    let again = env.cv(&args);
    assert_eq!(again.code, 0, "{again}");
    assert_eq!((again.json()["added"].as_array().unwrap().len(), env.read("confvault.toml")), (0, text));
    run.json()
}

#[test]
fn a_table_is_taken_over_and_what_left_it_is_named() {
    let env = TestEnv::with_store();
    env.write(
        "fleet.csv",
        "Name,Host,User,Profile,Release,Site,Floor,Password,enabled\r\ngw-1,10.0.0.1,backup,cisco-ios,,berlin,3,hunter2,yes\r\n\
         gw-2,2001:db8::1,,,15.2(4)M7,,,,no\r\n\"gw-3\",\"gw-3.example\",backup,asterisk,,,\"third, left\",,\r\n",
    );
    assert_snapshot!(env.cv(&["device", "import", "fleet.csv", "--profile", "linux"]), @"
    added gw-1
    added gw-2
    added gw-3
    --- stderr
    3 added, 0 were there already
    warning: the list has passwords of 1 of the added devices; they were not taken over: `confvault device set gw-1 --credential store`, then `confvault credential set gw-1`, or another --credential
    ");
    let text = env.read("confvault.toml");
    assert!(!text.contains("hunter2") && !text.to_lowercase().contains("password"), "{text}");
    let gw = source(&env, "gw-1");
    assert_eq!(
        (&gw["source"], &gw["profile"], &gw["site"], &gw["labels"]["floor"]),
        (&"ssh://backup@10.0.0.1".into(), &"cisco-ios".into(), &"berlin".into(), &"3".into())
    );
    let gw = source(&env, "gw-2");
    assert_eq!(
        (&gw["source"], &gw["profile"], &gw["release"], &gw["enabled"]),
        (&"ssh://[2001:db8::1]".into(), &"linux".into(), &"15.2(4)M7".into(), &false.into())
    );
    assert_eq!(source(&env, "gw-3")["labels"]["floor"], "third, left");

    // Later: one device came, one went, one moved, one stands there twice.
    env.write("fleet.csv", "name,host\ngw-1,10.9.9.9\ngw-2,2001:db8::1\ngw-4,h\ngw-4,i\n");
    let kept = source(&env, "gw-1");
    assert_snapshot!(env.cv(&["device", "import", "fleet.csv"]), @"
    added gw-4
    --- stderr
    1 added, 2 were there already
    warning: another source in the list: gw-1
    warning: more than once in the list, the first counts: gw-4
    warning: not in the list: gw-3
    ");
    assert_eq!((source(&env, "gw-1"), source(&env, "gw-4")["source"].clone()), (kept, "ssh://h".into()));
    import(&env, &["fleet.csv"]);
}

#[test]
fn a_device_that_left_the_list_keeps_its_history() {
    let env = TestEnv::with_history();
    env.write("fleet.csv", "name,source\nother,dir:other\n");
    let report = import(&env, &["fleet.csv"]);
    assert_eq!((&report["added"], &report["not_listed"]), (&json!(["other"]), &json!(["pbx"])));
    env.cv(&["device", "remove", "pbx"]).succeeded();
    assert!(env.cv(&["log", "pbx"]).succeeded().contains("upgrade"));
}

#[test]
fn lists_of_rancid_and_oxidized_are_taken_over() {
    let env = TestEnv::with_store();
    env.write("rancid.db", "# core\nr1;cisco;up\nr2;juniper;down;broken\nr3;foundry;up\n");
    let run = env.cv(&["device", "import", "rancid.db", "--user", "backup", "--credential", "env:PW"]);
    assert!(run.stderr.contains("warning: no profile for foundry: these devices have the generic one"), "{run}");
    run.succeeded();
    let seen = |name: &str| {
        let d = source(&env, name);
        (d["source"].as_str().unwrap().to_owned(), d["profile"].as_str().unwrap().to_owned(), d["enabled"] == false)
    };
    assert_eq!(seen("r1"), ("ssh://backup@r1".into(), "cisco-ios".into(), false));
    assert_eq!(seen("r2"), ("ssh://backup@r2".into(), "junos".into(), true));
    assert_eq!(seen("r3").1, "generic");
    assert_eq!(source(&env, "r1")["credential"], "env:PW");
    import(&env, &["rancid.db"]);

    env.write("oxidized.db", "sw1.example:ios:admin:hunter2\nsw2.example:vyos\n");
    let report = import(&env, &["oxidized.db", "--map", "vyos=linux"]);
    assert_eq!((&report["added"], &report["unknown_models"]), (&json!(["sw1.example", "sw2.example"]), &json!([])));
    assert_eq!(seen("sw2.example").1, "linux");
    assert!(!env.read("confvault.toml").contains("hunter2"));
}

#[test]
fn the_configuration_of_oxidized_is_taken_over_with_its_list() {
    let env = TestEnv::with_store();
    let config = "---\nusername: oxi\npassword: hunter2\nmodel: junos\nvars:\n  enable: hunter3\ngroups:\n  voice:\n    username: voip\nsource:\n  default: csv\n\
                  \x20 csv:\n    file: ~/.config/oxidized/router.db\n    delimiter: !ruby/regexp /:/\n    map:\n      name: 0\n      ip: 1\n      model: 2\n      group: 3\n\
                  \x20     password: 4\n    vars_map:\n      ssh_port: 5\nmodel_map:\n  cisco: ios\n";
    env.write("../home/.config/oxidized/config", config);
    env.write("../home/.config/oxidized/router.db", "gw1:10.0.0.1:cisco:voice:hunter4:2022\nsw1:10.0.0.2::core::\n");
    let run = env.cv(&["device", "import", "../home/.config/oxidized/config"]);
    let said = run.to_string();
    assert!(said.contains("warning: the list has passwords of 2 of the added devices") && !said.contains("hunter"), "{said}");
    assert_eq!(run.code, 0, "{run}");
    let gw = source(&env, "gw1");
    assert_eq!(
        (&gw["source"], &gw["profile"], &gw["labels"]["group"]),
        (&"ssh://voip@10.0.0.1:2022".into(), &"cisco-ios".into(), &"voice".into())
    );
    assert_eq!(
        (&source(&env, "sw1")["source"], &source(&env, "sw1")["profile"]),
        (&"ssh://oxi@10.0.0.2".into(), &"junos".into())
    );
    assert!(!env.read("confvault.toml").contains("hunter"));
    import(&env, &["../home/.config/oxidized/config"]);
    // A copy of both files elsewhere does as well.
    for file in ["config", "router.db"] {
        env.write(&format!("copy/{file}"), env.read(&format!("../home/.config/oxidized/{file}")));
    }
    std::fs::remove_dir_all(env.path("../home/.config")).unwrap();
    assert_eq!(import(&env, &["copy/config"])["known_count"], 2);
    std::fs::remove_file(env.path("copy/router.db")).unwrap();
    let said = env.cv(&["device", "import", "copy/config"]).failed(1);
    assert!(said.contains("List cannot be read: $TEST/home/.config/oxidized/router.db"), "{said}");
    env.write("copy/config", config.replace("default: csv", "default: sql"));
    let said = env.cv(&["device", "import", "copy/config"]).failed(1);
    assert!(
        said.contains("Oxidized has its list where it is not read from: source sql\nhint: write the devices into a table"),
        "{said}"
    );
}

#[test]
fn hostile_lists_are_refused_with_their_line_and_change_nothing() {
    let env = TestEnv::with_store();
    let before = env.read("confvault.toml");
    let long = format!("name,host\n{},h\n", "x".repeat(300));
    let cases: &[(&[u8], &str)] = &[
        (b"name,host\nok,h\n../x,h\n", "Line 3"),
        (b"name,host\nok,-oProxyCommand=touch pwned\n", "Line 2"),
        (b"name,host,user\nok,h,-l\n", "Line 2"),
        (b"name,source\nok,ssh://u:hunter2@h\n", "Line 2"),
        (b"name,source\nok,ext::sh -c x\n", "Line 2"),
        (b"name,host\nCON,h\n", "Line 2"),
        (b"name,host\nx\x1b[2J,h\n", "Line 2"),
        (b"name,host\nok,h,too,many\n", "Line 2"),
        (b"name,host\n\"ok,h\n", "Line 2"),
        (b"name,host\n\xff\xfe,h\n", "Line 2"),
        (b"name,host,credential\nok,h,hunter2\n", "Line 2"),
        (b"name,host,profile\nok,h,../../etc\n", "Line 2"),
        (b"name,user\nok,u\n", "List has no column source"),
        (b"-oProxyCommand=x;cisco;up\n", "Line 1"),
        (b"a\0b:ios\n", "Line 1"),
        (b"r1 r2 r3\n", "Line 1"),
        (long.as_bytes(), "Line 2"),
        (b"source: [\n", "Not the configuration of Oxidized"),
        (b"source:\n  csv: &a [*a, *a]\n", "Not the configuration of Oxidized"),
    ];
    for (text, wanted) in cases {
        env.write("list", text);
        let run = env.cv(&["device", "import", "list"]);
        let said = run.failed(1);
        assert!(said.contains(wanted) && !said.contains(['\x1b', '\0']) && !said.contains("hunter2"), "{text:?}: {said}");
        assert_eq!(env.read("confvault.toml"), before, "{said}");
    }
    let said = env.cv(&["device", "import", "nowhere.csv"]).failed(1);
    assert!(said.contains("error: List cannot be read: $TEST/work/nowhere.csv\ncaused by: No such file"), "{said}");
    env.write("list", "name,host,profile\ngw,h,no-such\n");
    assert!(env.cv(&["device", "import", "list"]).failed(2).contains("No such profile"));
    // What a spreadsheet would run is a label like any other; an empty list adds nothing.
    env.write("list", "name,host,note\ngw,h,=cmd|' /C calc'!A0\n");
    import(&env, &["list"]);
    env.write("list", "\n\n");
    assert_eq!(import(&env, &["list"])["not_listed"], json!(["gw"]));
}

fn device(n: usize, more: Value) -> Value {
    let mut device = json!({
        "id": n, "name": format!("gw-{n}"), "primary_ip": {"address": format!("10.0.{}.{}/24", n / 250, n % 250)},
        "platform": {"slug": "ios"}, "site": {"slug": "berlin"}, "role": {"slug": "gateway"}, "status": {"value": "active"},
    });
    device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    device
}

#[test]
fn all_pages_of_a_netbox_are_taken_over_with_the_token() {
    let env = TestEnv::with_store();
    let server = Server::new(|path| {
        let offset: usize = path.split("offset=").nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut results: Vec<Value> = (offset..(offset + 500).min(1203)).map(|n| device(n, json!({}))).collect();
        if offset == 0 {
            results[1] = device(1, json!({"status": {"value": "offline"}, "platform": null}));
            results[2] = device(2, json!({"primary_ip": null}));
            results[3] = device(3, json!({"name": null}));
        }
        // Behind a proxy it does not know its own name.
        let next = (offset + 500 < 1203).then(|| format!("http://internal/api/dcim/devices/?limit=500&offset={}", offset + 500));
        ok(json!({"count": 1203, "next": next, "previous": null, "results": results}).to_string())
    });
    env.write("token", "CaNaRyToken\n");
    std::fs::set_permissions(env.path("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let report = import(&env, &["--netbox", &format!("{}/", server.url), "--token", "file:token", "--user", "backup"]);
    assert_eq!(report["added"].as_array().unwrap().len(), 1201);
    let gw = source(&env, "gw-1202");
    assert_eq!(
        (&gw["source"], &gw["profile"], &gw["site"], &gw["labels"]["role"]),
        (&"ssh://backup@10.0.4.202".into(), &"cisco-ios".into(), &"berlin".into(), &"gateway".into())
    );
    assert_eq!(source(&env, "gw-1")["enabled"], false);
    let asked = server.asked();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|head| head.to_lowercase().contains("authorization: token canarytoken\r\n")));
    assert!(!env.read("confvault.toml").contains("CaNaRy"));
}

#[test]
fn a_netbox_that_misbehaves_changes_nothing_and_gets_no_token_elsewhere() {
    let env = TestEnv::with_store();
    let before = env.read("confvault.toml");
    let elsewhere = Server::new(|_| ok(json!({"next": null, "results": []}).to_string()));
    let to = elsewhere.url.clone();
    let server = Server::new(move |path| {
        let answer = |status: &str, body: &str| (status.to_owned(), Vec::new(), body.as_bytes().to_vec());
        let page = |next: Value, results: Value| ok(json!({"next": next, "results": results}).to_string());
        match path.split('/').nth(1).unwrap_or_default() {
            "redirect" => {
                ("302 Found".into(), vec![("Location".into(), format!("{to}/api/dcim/devices/?limit=500"))], Vec::new())
            }
            "next" => page(json!(format!("{to}/other/place")), json!([device(1, json!({}))])),
            "forbidden" => answer("403 Forbidden", "{\"detail\":\"Invalid token\"}"),
            "broken" => answer("500 Internal Server Error", "oops"),
            "html" => answer("200 OK", "<html>\x1b[2J</html>"),
            "list" => answer("200 OK", "[]"),
            "name" => page(Value::Null, json!([device(1, json!({"name": "../x"}))])),
            "host" => page(Value::Null, json!([device(1, json!({"primary_ip": {"address": "-oProxyCommand=x/24"}}))])),
            "cut" => ("200 OK".into(), vec![("Content-Length".into(), "100000".into())], b"{\"results\":[".to_vec()),
            "loop" => page(json!("/api/dcim/devices/?limit=500"), json!([])),
            _ => answer("404 Not Found", ""),
        }
    });
    let cases = [
        ("redirect", "List cannot be fetched"),
        ("next", "a page elsewhere"),
        ("forbidden", "List cannot be fetched: http status: 403"),
        ("broken", "List cannot be fetched: http status: 500"),
        ("html", "Answer is no list of devices of NetBox: not JSON"),
        ("list", "Answer is no list of devices of NetBox: no results"),
        ("name", "Line 1 is no device"),
        ("host", "Line 1 is no device"),
        ("cut", "List cannot be fetched"),
        ("nowhere", "List cannot be fetched: http status: 404"),
        ("loop", "pages without end"),
    ];
    for (path, wanted) in cases {
        let url = format!("{}/{path}", server.url);
        let mut command = env.command(&["device", "import", "--netbox", &url, "--token", "env:TOKEN"]);
        let run = env.run(command.env("TOKEN", "CaNaRyToken"));
        let said = run.failed(1);
        assert!(said.contains(wanted) && !said.contains("CaNaRy") && !said.contains('\x1b'), "{path}: {said}");
        assert_eq!(env.read("confvault.toml"), before);
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
    let said = env.cv(&["device", "import", "--netbox", "ftp://x"]).failed(2);
    assert!(said.contains("--netbox takes the URL of a server"), "{said}");
    let said = env.cv(&["device", "import", "--netbox", &server.url, "--token", "env:NOT_SET"]).failed(1);
    assert!(said.contains("Variable is not set: NOT_SET"), "{said}");
}
