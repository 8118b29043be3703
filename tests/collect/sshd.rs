//! Sources against a real OpenSSH server: SFTP, exec, keys, agent, password, ways through other hosts.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use confvault::collect::Collected;
use confvault::model::{Content, Digest, Kind, Look, LookEntry};

use crate::rig::{Rig, file, whole};
use crate::sshd_server::{Sshd, available};

const HOST: &str = r#"
[[file]]
paths = ["tmp/**", "*.bak"]
skip = true
[[file]]
paths = ["**"]
scope = "system"
[session]
mode = "exec"
refusals = ['^permission denied']
[[command]]
run = "echo state of $((40+2))"
path = "state"
scope = "logs"
[[command]]
run = "no-such-program"
or = ["printf 'second\\n'"]
path = "second"
scope = "logs"
[[command]]
run = "no-such-program-at-all"
path = "third"
scope = "logs"
"#;

fn rig(sshd: &Sshd) -> Rig {
    let rig = Rig::new();
    rig.profile("host", HOST);
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    rig
}

fn table(sshd: &Sshd, scheme: &str, path: &str) -> String {
    format!("{}profile = \"host\"\nrelease = \"12\"\n", sshd.table(scheme, path))
}

fn tree(sshd: &Sshd) {
    sshd.write("tree/a.conf", "alpha\n");
    let b = sshd.write("tree/sub/b.conf", "beta\n");
    fs::set_permissions(&b, fs::Permissions::from_mode(0o750)).unwrap();
    sshd.write("tree/tmp/x", "no\n");
    sshd.write("tree/a.bak", "no\n");
    fs::create_dir_all(sshd.path("tree/empty")).unwrap();
    symlink("../elsewhere", sshd.path("tree/link")).unwrap();
    symlink("nowhere\u{202e}", sshd.path("tree/loop")).unwrap();
    let status = Command::new("mkfifo").arg(sshd.path("tree/fifo")).status().unwrap();
    assert!(status.success());
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(|i| i.to_le_bytes()).collect();
    sshd.write("tree/big.bin", big);
    for i in 0..40 {
        sshd.write(&format!("tree/many/{i}"), format!("{i}\n").repeat(i * 50));
    }
    // Older than any look, so that what is unchanged is seen to be.
    let status = Command::new("find")
        .arg(sshd.path("tree"))
        .args(["-type", "f", "-exec", "touch", "-d", "2001-01-01", "{}", "+"])
        .status();
    assert!(status.unwrap().success());
}

fn check_tree(collected: &Collected) {
    assert_eq!(file(collected, "a.conf"), b"alpha\n");
    assert_eq!(file(collected, "many/7"), "7\n".repeat(350).as_bytes());
    let entry =
        |path: &str| collected.set.entries().iter().find(|e| e.path.to_string() == path && e.scope.as_str() == "system").cloned();
    assert_eq!(entry("sub/b.conf").unwrap().mode, 0o750);
    assert_eq!(entry("empty").unwrap().kind, Kind::Directory);
    assert_eq!(entry("link").unwrap().content, Content::Bytes(b"../elsewhere".to_vec()));
    assert_eq!(entry("loop").unwrap().kind, Kind::Link);
    assert!(entry("tmp/x").is_none() && entry("a.bak").is_none() && entry("fifo").is_none());
    assert_eq!(collected.skipped.len(), 1);
    let Content::Spooled { file, size } = entry("big.bin").unwrap().content else { panic!("big.bin is in memory") };
    assert_eq!(size, 12_000_000);
    let bytes = fs::read(file).unwrap();
    assert!(bytes.chunks_exact(4).enumerate().all(|(i, b)| b == (i as u32).to_le_bytes()));
}

/// What would be remembered of a set.
fn look(collected: &Collected) -> Look {
    let digest = |content: &Content| match content {
        Content::Bytes(bytes) => Digest(*blake3::hash(bytes).as_bytes()),
        Content::Same(digest) => *digest,
        Content::Spooled { .. } => Digest([7; 32]),
    };
    Look {
        head: String::new(),
        release: collected.set.release.clone().unwrap(),
        rules: collected.rules,
        taken_ns: collected.taken_ns,
        root: collected.root,
        entries: collected
            .set
            .entries()
            .iter()
            .filter(|e| e.scope.as_str() != "logs")
            .map(|e| LookEntry {
                scope: e.scope,
                path: e.path.clone(),
                kind: e.kind,
                mode: e.mode,
                owner: e.owner,
                stamp: e.stamp,
                plain: digest(&e.content),
            })
            .collect(),
    }
}

#[test]
fn sftp_gives_a_tree_and_then_only_what_changed() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("");
    tree(&sshd);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(sshd.path("tree/sub/b.conf"), None, Some(4343)).unwrap();
    }
    let rig = rig(&sshd);
    let table = table(&sshd, "sftp", &sshd.path("tree").display().to_string());
    let first = rig.collect(&table).unwrap_or_else(|e| panic!("{}\n{}", whole(&e), sshd.log()));
    check_tree(&first);
    for path in ["a.conf", "sub/b.conf", "empty"] {
        let there = fs::metadata(sshd.path("tree").join(path)).unwrap();
        let entry = first.set.entries().iter().find(|e| e.path.to_string() == path).unwrap();
        assert_eq!(entry.owner.map(|o| (o.uid, o.gid)), Some((there.uid(), there.gid())), "{path}");
    }
    assert_eq!(file(&first, "state"), b"state of 42\n");
    assert_eq!(file(&first, "second"), b"second\n");

    // As young as any look, however long it takes to come to it.
    let young = sshd.write("tree/a.conf", "ALPHA\n");
    assert!(Command::new("touch").args(["-d", "2035-01-01"]).arg(young).status().unwrap().success());
    let second = rig.collect_with(&table, Some(&look(&first))).unwrap();
    assert_eq!(file(&second, "a.conf"), b"ALPHA\n");
    let same = second.set.entries().iter().filter(|e| matches!(e.content, Content::Same(_))).count();
    assert!(same >= 42, "{same} files were known");
    assert!(second.read_bytes < 100, "{} bytes were read", second.read_bytes);

    // A file as young as the look is not believed, however equal its stamp.
    let third = rig.collect_with(&table, Some(&look(&second))).unwrap();
    assert_eq!(file(&third, "a.conf"), b"ALPHA\n");
}

#[test]
fn what_cannot_be_read_fails_the_device_unless_sudo_reads_it() {
    if !available() || !rustix::process::geteuid().is_root() {
        return;
    }
    let sshd = Sshd::start("");
    tree(&sshd);
    let secret = sshd.path("tree/sub/secret.conf");
    fs::write(&secret, "root's\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let rig = rig(&sshd);
    let path = sshd.path("tree").display().to_string();
    let error = rig.collect(&table(&sshd, "sftp", &path)).unwrap_err();
    assert!(whole(&error).contains("sub/secret.conf: permission denied"), "{}", whole(&error));

    // The stand-in for sudo takes its options and notes the call; the login is root's.
    // What is told of roots that are not there is read, so it must be English.
    let sudo = sshd.write("bin/sudo", "#!/bin/sh\n[ \"$LC_ALL\" = C ] || { echo 'Datei nicht gefunden' >&2; exit 1; }\nprintf '%s ' \"$@\" >> \"$(dirname \"$0\")/called\"\n[ \"$1\" = -n ] && shift\n[ \"$1\" = -- ] && shift\nexec \"$@\"\n");
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
    let table = table(&sshd, "sftp", &path).replace("cv@", "root@") + "become = \"sudo\"\n";
    let first = rig.collect(&table).unwrap_or_else(|e| panic!("{}\n{}", whole(&e), sshd.log()));
    check_tree(&first);
    assert_eq!(file(&first, "sub/secret.conf"), b"root's\n");
    let entry = first.set.entries().iter().find(|e| e.path.to_string() == "sub/secret.conf").unwrap();
    assert_eq!(entry.owner.map(|o| o.uid), Some(0));
    assert!(fs::read_to_string(sshd.path("bin/called")).unwrap().contains("-n tar -cf -"));
    let second = rig.collect_with(&table, Some(&look(&first))).unwrap();
    assert!(second.set.entries().iter().any(|e| matches!(e.content, Content::Same(_))));
}

#[test]
fn sudo_of_debian_reads_what_the_login_may_not() {
    if !available() || !rustix::process::geteuid().is_root() {
        return;
    }
    assert!(std::path::Path::new("/usr/bin/sudo").exists(), "no sudo: `sh tests/all.sh` installs what the tests need");
    let sshd = Sshd::start("");
    tree(&sshd);
    let closed = sshd.path("tree/closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("secret.conf"), "root's\n").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let rig = rig(&sshd);
    // Its commands are not among what sudo allows.
    rig.profile("host", &HOST[..HOST.find("[session]").unwrap()]);
    let path = sshd.path("tree").display().to_string();
    let table = table(&sshd, "sftp", &path);
    let error = rig.collect(&table).unwrap_err();
    assert!(whole(&error).contains("closed: permission denied"), "{}", whole(&error));
    let table = table + "become = \"sudo\"\n";
    let first = rig.collect(&table).unwrap_or_else(|e| panic!("{}\n{}", whole(&e), sshd.log()));
    check_tree(&first);
    assert_eq!(file(&first, "closed/secret.conf"), b"root's\n");
    let owner = |path: &str| first.set.entries().iter().find(|e| e.path.to_string() == path).unwrap().owner.unwrap().uid;
    assert_eq!((owner("closed/secret.conf"), owner("a.conf")), (0, 4242));
    let second = rig.collect_with(&table, Some(&look(&first))).unwrap();
    assert!(second.set.entries().iter().any(|e| matches!(e.content, Content::Same(_))));
    // Where sudo does not let the login, it asks nobody and says so.
    fs::write(sshd.path("sudoers"), "").unwrap();
    let error = rig.collect(&table).unwrap_err();
    assert!(whole(&error).contains("sudo"), "{}", whole(&error));
}

/// A login that could run what the set has, and cannot any more, gives no set without it.
#[test]
fn a_right_that_was_lost_is_no_smaller_set() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("");
    sshd.write("tree/a.conf", "alpha\n");
    let mut rig = rig(&sshd);
    let facts = || {
        let program = sshd.write("bin/facts", "#!/bin/sh\necho facts\n");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    };
    let program = facts();
    let head = &HOST[..HOST.find("[[command]]").unwrap()];
    rig.profile("host", &format!("{head}[[command]]\nrun = \"facts\"\npath = \"facts\"\nscope = \"voip\"\nrequired = true\n"));
    let table = table(&sshd, "sftp", &sshd.path("tree").display().to_string());
    let first = rig.collect(&table).unwrap();
    assert_eq!(file(&first, "facts"), b"facts\n");
    fs::remove_file(&program).unwrap();
    let error = rig.collect_with(&table, Some(&look(&first))).unwrap_err();
    assert!(whole(&error).contains("The command failed with exit status 127"), "{}", whole(&error));
    // A login that never could has a warning.
    let never = rig.collect(&table).unwrap();
    assert!(never.warnings.iter().any(|w| w == "The login may not run `facts`"), "{:?}", never.warnings);

    // The same for a command that need not be there: beside files, and alone.
    let optional = "[[command]]\nrun = \"facts\"\npath = \"facts\"\nscope = \"voip\"\n";
    rig.profile("host", &format!("{head}{optional}[[command]]\nrun = \"echo 1\"\npath = \"one\"\nscope = \"voip\"\n"));
    for table in [table, self::table(&sshd, "ssh", "")] {
        facts();
        let first = rig.collect(&table).unwrap();
        assert_eq!(file(&first, "facts"), b"facts\n");
        fs::remove_file(&program).unwrap();
        let error = rig.collect_with(&table, Some(&look(&first))).unwrap_err();
        let words = "Answer of the last generation is refused now: facts: The command failed with exit status 127";
        assert!(whole(&error).contains(words), "{}", whole(&error));
        assert!(rig.collect(&table).unwrap().without.is_empty());
        rig.accept = true;
        let taken = rig.collect_with(&table, Some(&look(&first))).unwrap();
        assert!(taken.without[0].starts_with("Set without facts: The command failed"), "{:?}", taken.without);
        rig.accept = false;
    }
}

#[test]
fn exec_runs_commands_and_tells_a_failure_by_its_status() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("");
    let rig = rig(&sshd);
    let table = table(&sshd, "ssh", "");
    let collected = rig.collect(&table).unwrap();
    assert_eq!(file(&collected, "state"), b"state of 42\n");
    assert!(!collected.set.entries().iter().any(|e| e.path.to_string() == "third"));
    for (command, words) in [
        ("echo half; exit 3", "The command failed with exit status 3: "),
        ("echo permission denied", "The device refused with \"permission denied\""),
        ("true", "The answer has 0 bytes, fewer than 1: true"),
        ("echo half; kill -9 $$", "The command failed with no exit status: "),
    ] {
        let required =
            HOST.replace("echo state of $((40+2))", command).replacen("scope = \"logs\"", "scope = \"voip\"\nrequired = true", 1);
        rig.profile("host", &required);
        let error = rig.collect(&table).unwrap_err();
        assert!(whole(&error).contains(words), "{command}: {}", whole(&error));
    }
}

#[test]
fn a_password_a_locked_key_and_an_open_key_file() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("");
    let mut rig = rig(&sshd);
    rig.env.insert("PASS".into(), "open sesame".into());
    let with =
        |credential: &str| table(&sshd, "ssh", "").replace(&format!("key:{}", sshd.path("login_key").display()), credential);
    if sshd.with_password {
        assert!(rig.collect(&with("env:PW")).is_ok());
        fs::write(rig.path("secret"), "lab\n").unwrap();
        fs::set_permissions(rig.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(rig.collect(&with("file:secret")).is_ok());
        assert!(rig.collect(&with("command:echo lab; echo more")).is_ok());
        let slow = rig.collect(&with("command:exit 4")).unwrap_err();
        assert!(whole(&slow).contains("Credential command failed: exit status: 4"), "{}", whole(&slow));
        fs::set_permissions(rig.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
        let open = rig.collect(&with("file:secret")).unwrap_err();
        assert!(whole(&open).contains("can be read by others (mode 0644)"), "{}", whole(&open));
    }
    let locked = format!("key:{}", sshd.path("locked_key").display());
    assert!(rig.collect(&(with(&locked) + "credential2 = \"env:PASS\"\n")).is_ok());
    let error = rig.collect(&with(&locked)).unwrap_err();
    assert!(whole(&error).contains("Key file cannot be used"), "{}", whole(&error));
    fs::set_permissions(sshd.path("login_key"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = rig.collect(&table(&sshd, "ssh", "")).unwrap_err();
    assert!(whole(&error).contains("can be read by others (mode 0640)"), "{}", whole(&error));
    let error = rig.collect(&with("env:NOT_SET")).unwrap_err();
    assert!(whole(&error).contains("Variable of the credential is not set: NOT_SET"), "{}", whole(&error));
}

#[test]
fn the_way_leads_through_other_hosts() {
    if !available() {
        return;
    }
    let (near, far) = (Sshd::start(""), Sshd::start(""));
    let rig = Rig::new();
    rig.profile("host", HOST);
    // The device's own name leads nowhere: the configuration says where it is.
    let config = format!(
        "Host device\n  HostName 127.0.0.1\n  Port {}\n  ProxyJump jump\n  IdentityFile {}\n\
         Host jump\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n\
         Host command\n  HostName 127.0.0.1\n  Port {}\n  ProxyCommand nc %h %p\n",
        far.port,
        far.path("login_key").display(),
        near.port,
        near.user,
        near.path("login_key").display(),
        far.port
    );
    fs::write(rig.path("home/.ssh/config"), config).unwrap();
    let known = format!("[127.0.0.1]:{} {}\n[127.0.0.1]:{} {}\n", near.port, near.public_key(), far.port, far.public_key());
    fs::write(rig.path("home/.ssh/known_hosts"), &known).unwrap();
    let table = format!("source = \"ssh://{}@device\"\nprofile = \"host\"\nrelease = \"12\"\n", far.user);
    let collected = rig.collect(&table).unwrap_or_else(|e| panic!("{}\n{}\n{}", whole(&e), near.log(), far.log()));
    assert_eq!(file(&collected, "state"), b"state of 42\n");
    assert!(near.log().contains("direct-tcpip"), "the way did not lead through the first host");

    // An unknown key of the host on the way stops there.
    let only_far = known.lines().nth(1).unwrap().to_owned() + "\n";
    fs::write(rig.path("home/.ssh/known_hosts"), only_far).unwrap();
    let rig = Rig { network: confvault::collect::Network::new(), ..rig };
    let error = rig.collect(&table).unwrap_err();
    assert!(whole(&error).contains("Host on the way could not be passed: jump: Host key is not known"), "{}", whole(&error));
    if std::path::Path::new("/bin/nc").exists() {
        let key = format!("credential = \"key:{}\"\n", far.path("login_key").display());
        let collected = rig.collect(&(table.replace("@device", "@command") + &key)).unwrap_or_else(|e| panic!("{}", whole(&e)));
        assert_eq!(file(&collected, "state"), b"state of 42\n");
    }
}

/// Runs in a process of its own, as libssh2 looks for the agent in the environment.
#[test]
fn an_agent_logs_in() {
    if !available() {
        return;
    }
    if std::env::var_os("CONFVAULT_TEST_AGENT_CHILD").is_some() {
        return agent_child();
    }
    let sshd = Sshd::start("");
    let socket = sshd.path("agent");
    let mut agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let added = Command::new("ssh-add").arg("-q").arg(sshd.path("login_key")).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["sshd::an_agent_logs_in", "--exact", "--nocapture"])
        .env("SSH_AUTH_SOCK", &socket)
        .env("CONFVAULT_TEST_AGENT_CHILD", format!("{} {} {}", sshd.user, sshd.port, sshd.public_key()))
        .output()
        .unwrap();
    drop(agent.kill());
    drop(agent.wait());
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("the agent logged in"), "{said}\n{}", sshd.log());
}

fn agent_child() {
    let given = std::env::var("CONFVAULT_TEST_AGENT_CHILD").unwrap();
    let mut words = given.splitn(3, ' ');
    let (user, port, key) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let rig = Rig::new();
    rig.profile("host", HOST);
    fs::write(rig.path("known_hosts"), format!("gw {key}\n")).unwrap();
    let table = format!("source = \"ssh://{user}@127.0.0.1:{port}\"\nprofile = \"host\"\nrelease = \"1\"\n");
    for credential in ["credential = \"agent\"\n", ""] {
        rig.collect(&(table.clone() + credential)).unwrap_or_else(|e| panic!("{}", whole(&e)));
    }
    println!("the agent logged in");
}

#[test]
fn host_keys_of_every_kind_are_known_again() {
    assert!(available());
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let sshd = Sshd::with_host_key(kind);
        sshd.write("tree/a.conf", "alpha\n");
        let table = table(&sshd, "sftp", &sshd.path("tree").display().to_string());
        let collected = rig(&sshd).collect(&table).unwrap();
        assert_eq!(file(&collected, "a.conf"), b"alpha\n", "{kind}");
        // Another one of the same kind is another one.
        let other = Sshd::with_host_key(kind);
        let rig = rig(&sshd);
        fs::write(rig.path("known_hosts"), format!("gw {}\n", other.public_key())).unwrap();
        let error = whole(&rig.collect(&table).unwrap_err());
        assert!(error.contains("Host key") && error.contains("changed"), "{kind}: {error}");
    }
}
