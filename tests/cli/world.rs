//! The program in a poor world of a service: no home, no terminal, odd umasks, few descriptors.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::env::TestEnv;

/// Runs a script of the shell in the working folder, with the program as `$CV`.
fn shell(env: &TestEnv, script: &str) -> crate::env::Run {
    let program = env.command(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(env.path("")).env_clear();
    command.env("CV", program).env("PATH", std::env::var_os("PATH").unwrap()).process_group(0);
    command.stdin(std::process::Stdio::null());
    env.run(&mut command)
}

/// Says that a test cannot be done here; where all that a release must pass is asked for, it has to be.
fn nothing_is_seen(why: &str) {
    assert!(std::env::var_os("CONFVAULT_THOROUGH").is_none(), "{why}");
    eprintln!("not tested: {why}");
}

#[test]
fn it_works_with_64_descriptors_and_no_home() {
    let env = TestEnv::new();
    for device in 0..80 {
        env.write(&format!("fleet/d{device}/a.conf"), format!("a={device}\n"));
    }
    let script = "ulimit -n 64; $CV -q init --collector c && $CV -q device add --from fleet --release 1 && \
        $CV -q snapshot --jobs 16 && $CV -q restore --all --masked --to out && $CV -q check --read-data && $CV -q log d7";
    shell(&env, script).succeeded();
    assert_eq!(env.read("out/d79/a.conf"), "a=79\n");
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    for umask in ["000", "077"] {
        let env = TestEnv::new();
        env.write("pbx/a.conf", "x");
        std::fs::set_permissions(env.path("pbx/a.conf"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let script = format!(
            "umask {umask}; $CV -q init vault --collector c && cd vault && $CV -q device add pbx --source dir:../pbx --release 1 && \
             $CV -q snapshot && $CV -q restore pbx --to ../out"
        );
        shell(&env, &script).succeeded();
        let mode = |path: &str| std::fs::metadata(env.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("out/a.conf"), 0o644, "{umask}");
        assert_eq!((mode("vault-admin/identity.txt"), mode("vault/keys")), (0o600, 0o700), "{umask}");
    }
}

#[test]
fn a_folder_of_somebody_else_is_not_called_empty() {
    let env = TestEnv::new();
    // As root nothing is closed, so another user tries.
    let script = "$CV -q init vault --collector c && chmod 700 vault && cp $CV ./cv && chmod 755 . cv && \
        if [ $(id -u) = 0 ]; then as='setpriv --reuid=65534 --regid=65534 --clear-groups'; else chmod 0 vault; fi; \
        $as ./cv -C vault log pbx; echo $?; $as ./cv -C vault snapshot; echo $?; chmod 700 vault";
    let run = shell(&env, script);
    assert!(run.text().ends_with("\n1\n1\n"), "{run}");
    assert!(run.stderr.contains("Permission denied") && !run.stderr.contains("confvault init"), "{run}");
}

#[test]
fn a_file_that_may_not_be_read_fails_its_device_and_is_named() {
    let env = TestEnv::new();
    env.write("gw/other.conf", "x");
    env.write("gw/closed.conf", "x");
    // As root nothing is closed, so another user takes the snapshot.
    let script = "cp $CV ./cv && chmod 755 .. . cv && chmod 0 gw/closed.conf && as=; if [ $(id -u) = 0 ]; then \
        as='setpriv --reuid=65534 --regid=65534 --clear-groups'; chown -R 65534 .; fi; \
        $as ./cv -q init vault --no-sealing --collector c && cd vault && $as ../cv -q device add gw --source dir:../gw --release 1 && $as ../cv snapshot";
    let said = shell(&env, script).failed(3);
    assert!(said.contains("gw/closed.conf") && said.contains("Permission denied"), "{said}");
}

/// Calls of the system that are interrupted, or take half of what they are given, are no errors.
#[test]
fn interrupted_calls_are_taken_up_again() {
    let env = TestEnv::new();
    let library = env.path("interrupt.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/interrupt.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()));
    let noise = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes();
    let large: Vec<u8> = (0..2_500_000).flat_map(noise).collect();
    for (name, text) in [("a.conf", "a=1\n".repeat(5000).into_bytes()), ("b.conf", Vec::new()), ("large.bin", large)] {
        env.write(&format!("gw/{name}"), text);
    }
    let steps: [&[&str]; 8] = [
        &["init", "vault", "--collector", "c"],
        &["-C", "vault", "device", "add", "gw", "--source", "dir:../gw", "--release", "1"],
        &["-C", "vault", "snapshot"],
        &["-C", "vault", "check", "--read-data"],
        &["-C", "vault", "name", "gw", "golden"],
        &["-C", "vault", "restore", "gw@golden", "--to", "out", "--identity", "vault-admin/identity.txt"],
        &["-C", "vault", "restore", "gw", "--tar", "out.tar", "--identity", "vault-admin/identity.txt"],
        &["-C", "vault", "maintain"],
    ];
    for step in steps {
        let mut command = env.command(step);
        env.run(command.env("LD_PRELOAD", &library).env("INTERRUPTED", env.path("count"))).succeeded();
    }
    for name in ["a.conf", "b.conf", "large.bin"] {
        let read = |folder: &str| std::fs::read(env.path(folder).join(name)).unwrap();
        assert!(read("gw") == read("out"), "{name}");
    }
    env.cv(&["-C", "vault", "check", "--read-data"]).succeeded();
    let calls: Vec<u32> = env.read("count").lines().map(|line| line.parse().unwrap()).collect();
    assert!(calls.len() >= steps.len() && calls.iter().sum::<u32>() > 500, "{calls:?}");
}

#[test]
fn a_bar_is_drawn_on_a_terminal_only() {
    let env = TestEnv::with_history();
    let (code, shown) = crate::pty::Terminal::start(env.command(&["snapshot", "--full"]).env("TERM", "xterm")).end();
    assert!(code == 0 && shown.contains("collecting"), "{code} {shown}");
    let run = env.cv(&["snapshot", "--full"]);
    assert!(run.code == 0 && !run.stderr.contains("collecting"), "{run}");
}

#[test]
fn a_current_folder_that_is_gone_is_said() {
    let env = TestEnv::new();
    let run = shell(&env, "mkdir gone && cd gone && rmdir ../gone && $CV log pbx");
    let said = run.failed(1);
    assert!(said.contains("current folder"), "{said}");
}

#[test]
fn nothing_is_asked_without_a_terminal() {
    let env = TestEnv::new();
    env.cv(&["init", "vault"]).succeeded();
    // An identity behind a passphrase: nobody can type it here.
    let key = env.path("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "secret", "-f"]).arg(&key).status();
    if made.is_ok_and(|status| status.success()) {
        let said = env.cv(&["-C", "vault", "show", "pbx", "a", "--identity", "key"]).failed(12);
        assert!(!said.contains("secret\n"), "{said}");
    }
}

#[test]
fn a_read_only_store_can_be_read() {
    let env = TestEnv::with_history();
    let read = "$CV log pbx && $CV show pbx sip.conf && $CV ls pbx && $CV search allow && $CV journal && $CV restore pbx --to out && \
        $CV check --read-data && $CV diff pbx now; code=$?";
    // The superuser writes wherever the disk lets him.
    let script = if rustix::process::geteuid().is_root() {
        format!("unshare -m sh -c 'mount --bind store.git store.git && mount -o remount,ro,bind store.git && {read}; exit $code'")
    } else {
        format!("chmod -R a-w store.git; {read}; chmod -R u+w store.git; exit $code")
    };
    let run = shell(&env, &script);
    if run.stderr.contains("unshare") || run.stderr.contains("mount") {
        return nothing_is_seen("this container may not make mounts");
    }
    let said = run.stderr.clone();
    run.succeeded();
    assert!(said.contains("Not recorded in the journal"), "{said}");
    assert!(env.read("out/sip.conf").contains("canary"));
}

#[test]
fn a_copy_of_a_store_without_keys_and_inventory_can_be_read() {
    let env = TestEnv::with_history();
    let script = "mkdir copy && cp -r store.git copy/ && cd copy && $CV log pbx && $CV show pbx sip.conf && \
        $CV restore pbx --to ../out && $CV diff pbx@1 @2 --stat; test $? = 1";
    shell(&env, script).succeeded();
    assert!(env.read("out/sip.conf").contains("canary"));
    // The repository itself is not the folder that holds one; under the name of a link it is found.
    shell(&env, "mkdir linked && mv copy/store.git copy.git && ln -s ../copy.git linked/store.git").succeeded();
    env.cv(&["-C", "linked", "log", "pbx"]).succeeded();
    let said = env.cv(&["-C", "copy.git", "log", "pbx"]).failed(10);
    assert!(said.contains("and not the folder that holds one") && said.contains("under the name `store.git`"), "{said}");
}

/// A snapshot on a disk that is too small says which disk, and what was not kept.
#[test]
fn a_full_disk_is_said() {
    if !rustix::process::geteuid().is_root() {
        return nothing_is_seen("only the superuser mounts a disk");
    }
    let env = TestEnv::new();
    env.write("few/a.conf", "a=1\n");
    // Bytes that do not compress.
    let noise = |seed: u32| -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()
        };
        (0..100_000).flat_map(|_| next()).collect()
    };
    env.write("much/a.bin", noise(1));
    let begin = "mount -t tmpfs -o size=700k none disk && cd disk && $CV -q init --no-sealing --collector c --admin ../adm && \
        $CV -q device add few --source dir:../few --release 1 && $CV -q device add much --source dir:../much --release 1 && \
        $CV -q snapshot";
    let script = format!(
        "unshare -m sh -c '({begin}) >/dev/null && cd disk && cp ../again ../much/a.bin && echo a=2 >../few/a.conf && $CV snapshot; code=$?; \
         $CV snapshot --json 2>/dev/null >../told; echo $? >>../told; $CV -q check --read-data >/dev/null && $CV log few --json | grep -c \"number\"; exit $code'"
    );
    env.write("again", noise(2));
    std::fs::create_dir(env.path("disk")).unwrap();
    let run = shell(&env, &script);
    if run.stderr.contains("unshare") || run.stderr.contains("mount:") {
        return nothing_is_seen("this container may not make mounts");
    }
    assert_eq!(run.text().trim(), "1", "{run}");
    let told = env.read("told");
    let document = told.strip_suffix("1\n").expect("it fails with --json, too");
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert!(document["error"].as_str().unwrap().contains("No space left on device"), "{document}");
    let devices = document["devices"].as_array().unwrap();
    assert!(devices.len() == 2 && devices.iter().all(|device| device["outcome"] == "failed"), "{document}");
    let said = run.failed(1);
    assert!(said.contains("Nothing could be kept of few, much") || said.contains("Nothing could be kept of much, few"), "{said}");
    assert!(said.contains("disk/store.git/objects/pack/") && said.contains("No space left on device"), "{said}");
    assert!(said.contains("hint: make room on the disk"), "{said}");
}

/// What this machine remembers of the heads is less than the store: without it everything can be put back.
#[test]
fn heads_that_do_not_read_stop_no_restore() {
    let env = TestEnv::with_history();
    let whole = env.read("keys/seen");
    for (at, damage) in [String::new(), whole[..whole.len() / 2].to_owned()].into_iter().enumerate() {
        env.write("keys/seen", &damage);
        let out = format!("out{at}");
        let run = env.cv(&["restore", "pbx@1", "--to", &out]);
        assert!(run.stderr.contains("do not read") && run.stderr.contains("confvault key heads --accept"), "{run}");
        run.succeeded();
        assert!(env.read(&format!("{out}/sip.conf")).contains("canary"));
        assert_eq!(env.cv(&["diff", "pbx@1", "@2"]).code, 1);
        let said = env.cv(&["check"]);
        assert!(said.code == 13 && said.text().contains("keys/seen"), "{said}");
        // Who writes is stopped, until somebody has looked.
        assert!(env.cv(&["snapshot"]).failed(13).contains("confvault key heads --accept"));
        env.cv(&["key", "heads", "--accept"]).succeeded();
        env.cv(&["snapshot"]).succeeded();
        let run = env.cv(&["check"]);
        assert!(!run.stderr.contains("heads"), "{run}");
        run.succeeded();
        assert_eq!(env.read("keys/seen").lines().count(), whole.lines().count());
    }
    std::fs::remove_file(env.path("keys/seen")).unwrap();
    let run = env.cv(&["restore", "pbx", "--to", "last"]);
    assert!(run.stderr.contains("are gone, and are remembered anew"), "{run}");
    run.succeeded();
}

/// `HEAD` and `config` hold nothing of the store: without them it is damaged, and the way back is one line.
#[test]
fn a_lost_head_or_config_is_damage_with_a_way_back() {
    for file in ["HEAD", "config"] {
        let env = TestEnv::with_history();
        std::fs::remove_file(env.path("store.git").join(file)).unwrap();
        let run = env.cv(&["check"]);
        assert!(run.stderr.contains(&format!("store.git/{file}")), "{run}");
        let hint = run.stderr.split_once("was in it: `").unwrap().1.rsplit_once('`').unwrap().0.to_owned();
        run.failed(13);
        shell(&env, &hint).succeeded();
        env.cv(&["check", "--read-data"]).succeeded();
        env.cv(&["snapshot"]).succeeded();
    }
}
