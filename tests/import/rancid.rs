//! Repositories of RANCID, made as `rancid-cvs` and `control_rancid` make them: a bare repository for each group, its
//! clone, `router.db` and `configs/` in it, an empty file for a new router.

use std::fs;
use std::path::PathBuf;

use crate::repo::{World, git, git_ok, of, rancid_head, running};

/// A group of RANCID: its working tree, which pushes to the bare repository.
struct Group {
    tree: PathBuf,
    time: i64,
}

impl Group {
    fn new(world: &World) -> Self {
        let (bare, tree) = (world.env.path("CVS/core"), world.env.path("rancid/core"));
        fs::create_dir_all(&bare).unwrap();
        git_ok(&bare, &["init", "-q", "--bare", "-b", "master"]);
        git_ok(&world.env.path(""), &["clone", "-q", "CVS/core", "rancid/core"]);
        git_ok(&tree, &["config", "user.name", "RANCiD"]);
        git_ok(&tree, &["config", "user.email", "rancid@example.org"]);
        git_ok(&tree, &["config", "push.default", "current"]);
        let mut group = Self { tree, time: 1_600_000_000 };
        group.write("configs/.gitignore", "*.old\n");
        group.write(".gitignore", "/routers.all\n/routers.up\n");
        group.write("router.db", "");
        group.commit("new");
        group
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&mut self, message: &str) {
        git_ok(&self.tree, &["add", "-A"]);
        self.time += 3600;
        let date = format!("{} +0000", self.time);
        let mut commit = git(&self.tree);
        commit.args(["commit", "-q", "-m", message]).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        assert!(commit.status().unwrap().success());
        git_ok(&self.tree, &["push", "-q"]);
    }

    /// What `control_rancid` does when a router stands in `router.db` for the first time.
    fn new_router(&mut self, name: &str, list: &str) {
        self.write("router.db", list);
        self.write(&format!("configs/{name}"), "");
        self.commit("new router");
    }
}

fn junos(release: &str, marker: &str) -> String {
    format!(
        "#RANCID-CONTENT-TYPE: junos\n#\n# Chassis                                ABC123            SRX340\n#\n# Junos: {release}\n#\n\
         version {release};\nsystem {{\n    host-name j1;\n    root-authentication {{\n        encrypted-password \"$6$CaNaRy{marker}\"; ## SECRET-DATA\n    }}\n\
         \x20   services {{\n        ssh;\n    }}\n}}\ninterfaces {{\n    ge-0/0/0 {{\n        description {marker};\n    }}\n}}\n"
    )
}

fn group(world: &World) -> Group {
    let mut group = Group::new(world);
    let r1 = |release: &str, marker: &str| rancid_head(release) + &running("r1", marker, &format!("CaNaRy{marker}"));
    group.new_router("r1", "r1;cisco;up\n");
    group.write("configs/r1", &r1("15.7(3)M6", "one"));
    group.commit("updates of group core");
    group.new_router("j1", "r1;cisco;up\nj1;juniper;up\nold;foundry;down\n");
    group.write("configs/j1", &junos("18.4R2.7", "one"));
    group.write("configs/r1", &r1("15.7(3)M6", "two"));
    group.commit("updates of group core");
    group.write("configs/r1", &r1("15.8(1)M", "two"));
    group.write("configs/j1", &junos("18.4R2.7", "two"));
    group.commit("updates of group core");
    group.write("router.db", "r1;cisco;up\n");
    git_ok(&group.tree, &["rm", "-q", "configs/j1"]);
    group.commit("deleted router j1");
    group
}

#[test]
fn a_group_is_taken_with_its_models_and_releases() {
    let world = World::new();
    let group = group(&world);
    let report = world.import(&["rancid", "CVS/core", "--add", "--user", "backup", "--credential", "env:PW"]);
    // The new router was empty at first, and no model was given by hand.
    let r1 = of(&report, "r1");
    assert_eq!(
        (&r1["first"], &r1["last"], &r1["empty_count"], &r1["profile"]),
        (&1.into(), &3.into(), &1.into(), &"cisco-ios".into())
    );
    let j1 = of(&report, "j1");
    assert_eq!((&j1["last"], &j1["profile"], &j1["gone"]), (&2.into(), &"junos".into(), &"2020-09-13T19:26:40Z".into()));
    let log = world.log("r1");
    let short: Vec<_> = log.iter().map(|l| (l[1].as_str(), l[2].as_str(), l[4].as_str())).collect();
    let by = "RANCiD <rancid@example.org>";
    assert_eq!(short, [("15.8(1)M", "imported", by), ("15.7(3)M6", "imported", by), ("15.7(3)M6", "imported", by)]);
    assert_eq!(log[0][5], git_ok(&group.tree, &["rev-parse", "HEAD~1"]).trim());
    assert_eq!(world.log("j1")[0][1], "18.4R2.7");
    let newest = git_ok(&group.tree, &["show", "HEAD:configs/r1"]);
    assert_eq!(world.show("r1", "running-config"), newest);

    // What is still there came into the inventory, with where it is reached.
    assert_eq!(report["added"], serde_json::json!(["r1"]));
    let shown = world.cv(&["--json", "device", "show", "r1"]).json();
    assert_eq!(
        (&shown["device"]["source"], &shown["device"]["profile"], &shown["device"]["credential"]),
        (&"ssh://backup@r1".into(), &"cisco-ios".into(), &"env:PW".into())
    );
    let objects = crate::lab::objects(&world.store());
    assert!(objects.iter().all(|(_, data)| memchr::memmem::find(data, b"CaNaRy").is_none()));
    world.clean();
}

#[test]
fn the_working_tree_is_as_good_and_later_runs_add_what_came_since() {
    let world = World::new();
    let mut group = group(&world);
    world.import(&["rancid", "rancid/core"]);
    let before = world.refs();
    assert_eq!(world.import(&["rancid", "CVS/core"])["generation_count"], 0);
    assert_eq!(world.refs(), before);
    let text = rancid_head("15.8(1)M") + &running("r1", "three", "c");
    group.write("configs/r1", &text);
    group.commit("updates of group core");
    let report = world.import(&["rancid", "rancid/core"]);
    assert_eq!((&report["generation_count"], &of(&report, "r1")["last"]), (&1.into(), &4.into()));
    world.clean();
}

#[test]
fn a_device_whose_history_is_not_rancids_folder_is_no_device() {
    let world = World::new();
    group(&world);
    let said = world.cv(&["import", "git", "CVS/core"]).failed(3);
    // `configs` would be a device.
    assert!(said.contains("Device configs: Profile is not known"), "{said}");
    let said = world.cv(&["import", "rancid", "CVS/core", "--below", "configs"]).failed(1);
    assert!(said.contains("No file of the history is one of a device"), "{said}");
}
