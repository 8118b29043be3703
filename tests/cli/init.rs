use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use crate::env::TestEnv;
use crate::pty::Terminal;

#[test]
fn a_store_is_made_with_its_keys_apart() {
    let env = TestEnv::new();
    assert_snapshot!(env.cv(&["init", "vault", "--collector", "central"]), @"
    store             $TEST/work/vault/store.git
    inventory         $TEST/work/vault/confvault.toml
    administrator     $TEST/work/vault-admin
    collector         central
    administrator key SHA256:[KEY]
    --- stderr
    Only the identity in $TEST/work/vault-admin/identity.txt opens what is sealed, and only the key beside it decides who may. Take the folder away from this machine and keep a copy: without it no secret comes back.
    It is behind no passphrase: `confvault init --passphrase` asks for one, `age -p -o identity.age identity.txt` adds one later.
    Next: `confvault device add NAME --source dir:FOLDER`, then `confvault snapshot`
    ");
    let mode = |path: &str| fs::metadata(env.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("vault-admin"), mode("vault-admin/identity.txt"), mode("vault")), (0o700, 0o600, 0o700));
    assert!(env.read("vault/confvault.toml").contains("collector = \"central\""));
    assert_snapshot!(env.cv(&["init", "vault"]), @"
    --- stderr
    error: A store is there already: $TEST/work/vault
    hint: choose an empty folder
    --- exit 1
    ");
    env.cv(&["-C", "vault", "check", "--read-data"]).succeeded();
}

#[test]
fn what_init_says_as_json() {
    let env = TestEnv::new();
    assert_snapshot!(env.cv(&["init", "--json", "vault", "--collector", "central", "--admin", "keys"]), @r#"
    {
      "version": 1,
      "command": "init",
      "store": "$TEST/work/vault/store.git",
      "inventory": "$TEST/work/vault/confvault.toml",
      "collector": "central",
      "admin": "$TEST/work/keys",
      "identity": "$TEST/work/keys/identity.txt",
      "recipient": "age1[KEY]",
      "collector_key": "SHA256:[KEY]",
      "administrator_key": "SHA256:[KEY]"
    }
    "#);
    let own = fs::read_to_string(env.path("keys/identity.txt")).unwrap();
    assert!(own.contains("AGE-SECRET-KEY-"));
    let run = env.cv(&["init", "other", "--recipient", "age1nonsense"]);
    assert_snapshot!(run, @"
    --- stderr
    error: Not a recipient (a damaged age recipient): age1nonsense
    --- exit 2
    ");
    assert!(!env.path("other").join("store.git").exists());
}

#[test]
fn a_store_without_sealing_says_so_loudly() {
    let env = TestEnv::new();
    assert_snapshot!(env.cv(&["init", "--no-sealing", "--collector", "central"]), @"
    store             $TEST/work/store.git
    inventory         $TEST/work/confvault.toml
    administrator     $TEST/work-admin
    collector         central
    administrator key SHA256:[KEY]
    --- stderr
    warning: secrets are kept in clear: whoever can read this store or a mirror can read them
    Next: `confvault device add NAME --source dir:FOLDER`, then `confvault snapshot`
    ");
    env.write("pbx/a", "x");
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--release", "1"]).succeeded();
    assert!(env.cv(&["snapshot"]).stderr.contains("warning: secrets are kept in clear"));
}

#[test]
fn a_passphrase_is_never_asked_for_without_a_terminal() {
    let env = TestEnv::new();
    assert_snapshot!(env.cv(&["init", "vault", "--passphrase"]), @"
    --- stderr
    error: A passphrase is asked for at a terminal, and none was typed
    --- exit 2
    ");
    assert!(!env.path("vault").join("store.git").exists());
}

#[test]
fn at_a_terminal_a_passphrase_is_offered() {
    let env = TestEnv::new();
    let at_terminal = |args: &[&str]| Terminal::start(&env.command(args));
    // Nothing is typed: no passphrase.
    let mut terminal = at_terminal(&["init", "open", "--collector", "central"]);
    terminal.expect("(nothing: none): ");
    terminal.types_unseen("");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(env.path("open-admin/identity.txt").exists() && shown.contains("behind no passphrase"), "{shown}");

    // One is typed, differently at first.
    let mut terminal = at_terminal(&["init", "closed", "--collector", "central"]);
    for (question, answer) in [
        ("(nothing: none): ", "correct horse"),
        ("Again: ", "correct hose"),
        ("These differ", ""),
        ("(nothing: none): ", "correct horse"),
        ("Again: ", "correct horse"),
    ] {
        terminal.expect(question);
        if !answer.is_empty() {
            terminal.types_unseen(answer);
        }
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("correct"), "a passphrase is not shown: {shown}");
    assert!(env.path("closed-admin/identity.age").exists() && !env.path("closed-admin/identity.txt").exists());

    // It opens what is sealed, and nothing else does.
    env.write("pbx/sip.conf", "[100]\nsecret=terminal-canary\n");
    let add = ["-C", "closed", "device", "add", "pbx", "--source", "dir:../pbx", "--release", "1", "--profile", "asterisk"];
    env.cv(&add).succeeded();
    env.cv(&["-C", "closed", "snapshot"]).succeeded();
    let restore = |to| ["-C", "closed", "restore", "pbx", "--to", to, "--identity", "closed-admin/identity.age"];
    env.cv(&restore("nobody")).failed(12);
    for (passphrase, expected) in [("wrong", 12), ("correct horse", 0)] {
        let mut terminal = at_terminal(&restore("out"));
        terminal.expect("Passphrase of the identity");
        terminal.types_unseen(passphrase);
        let (code, shown) = terminal.end();
        assert_eq!(code, expected, "{shown}");
        assert_eq!(env.path("out").exists(), expected == 0);
    }
    assert_eq!(env.read("out/sip.conf"), "[100]\nsecret=terminal-canary\n");

    // A pipe is never waited for.
    let mut piped = env.command(&["init", "piped", "--collector", "central"]);
    env.run(&mut piped).succeeded();
    let mut asked = at_terminal(&["init", "asked", "--passphrase"]);
    asked.expect("new identity: ");
    asked.types_unseen("");
    assert_eq!(asked.end().0, 2);
    assert!(!env.path("asked").join("store.git").exists());
}

/// Everything that an installation and its administrator have.
fn works(env: &TestEnv, dir: &str, admin: &str) {
    env.write("pbx/sip.conf", "[100]\nsecret=killed-canary\n");
    let cv = |args: &[&str]| env.cv(&[&["-C", dir], args].concat());
    if cv(&["device", "list", "--json"]).json()["devices"].as_array().unwrap().is_empty() {
        let source = format!("dir:{}", env.path("pbx").display());
        cv(&["device", "add", "pbx", "--source", &source, "--release", "1", "--profile", "asterisk"]).succeeded();
    }
    cv(&["snapshot"]).succeeded();
    cv(&["key", "rotate", "--admin", admin]).succeeded();
    cv(&["check", "--read-data", "--identity", &format!("{admin}/identity.txt")]).succeeded();
    assert!(!env.path(dir).join("unfinished").exists());
}

#[test]
fn a_killed_init_is_begun_anew_by_the_next() {
    let env = TestEnv::new();
    let args = |n: u32| ["init".to_owned(), format!("v{n}"), "--collector".into(), "central".into()];
    for n in 1.. {
        let args = args(n);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let run = env.run(env.command(&args).env("CONFVAULT_FAULT", format!("kill:{n}")));
        if run.code == 0 {
            assert!(n > 20, "only {n} steps");
            break;
        }
        let again = env.cv(&args);
        assert_eq!(again.code, 0, "step {n}: {again}");
        assert!(!env.path(format!("v{n}")).join("unfinished").exists());
        if n % 12 == 1 {
            works(&env, &format!("v{n}"), &format!("v{n}-admin"));
            let refused = env.cv(&args).failed(1);
            assert!(refused.contains("A store is there already"), "{refused}");
            env.cv(&["-C", &format!("v{n}"), "check"]).succeeded();
        }
    }
}

#[test]
fn keys_of_another_store_outlive_a_killed_init() {
    let env = TestEnv::new();
    let init = |dir| ["init", dir, "--collector", "central", "--admin", "admin"];
    let mut others = 0;
    for n in 1..48 {
        let env = TestEnv::new();
        let run = env.run(env.command(&init("killed")).env("CONFVAULT_FAULT", format!("kill:{n}")));
        assert_ne!(run.code, 0, "only {n} steps");
        // The same folder is used for another store, if the killed one left no keys in it.
        let other = env.cv(&init("other")).code == 0;
        let keys = |env: &TestEnv| ["administrator.key", "identity.txt"].map(|key| fs::read(env.path("admin").join(key)).ok());
        let before = keys(&env);
        let again = env.cv(&init("killed"));
        if other {
            others += 1;
            assert_eq!((again.code, keys(&env)), (1, before), "step {n}: {again}");
            works(&env, "other", "admin");
        } else {
            assert_eq!(again.code, 0, "step {n}: {again}");
        }
    }
    assert!((5..40).contains(&others), "{others}");
    // Nothing but what that very init wrote is taken away.
    env.cv(&init("made")).succeeded();
    works(&env, "made", "admin");
    env.write("made/unfinished", "confvault-unfinished 1 make\n");
    fs::rename(env.path("made/confvault.toml"), env.path("made/kept")).unwrap();
    env.cv(&init("made")).failed(1);
    assert!(env.path("made/store.git/HEAD").exists() && env.path("made/keys/signing.key").exists());
}

#[test]
fn a_killed_rebuild_is_begun_anew_by_the_next() {
    let env = TestEnv::new();
    env.cv(&["init", "vault", "--collector", "central"]).succeeded();
    works(&env, "vault", "vault-admin");
    let git = |args: &[&str]| {
        assert!(std::process::Command::new("git").args(args).current_dir(env.path("")).status().unwrap().success())
    };
    git(&["init", "-q", "--bare", "mirror.git"]);
    env.cv(&["-C", "vault", "mirror", "add", "offsite", "../mirror.git"]).succeeded();
    env.cv(&["-C", "vault", "mirror", "push"]).succeeded();
    let mut last = 0;
    for n in (1..).step_by(5) {
        let dir = format!("r{n}");
        let args = ["init", &dir, "--from", "mirror.git", "--admin", "vault-admin"];
        let run = env.run(env.command(&args).env("CONFVAULT_FAULT", format!("kill:{n}")));
        if run.code == 0 {
            last = n;
            break;
        }
        let again = env.cv(&args);
        assert_eq!(again.code, 0, "step {n}: {again}");
        assert!(env.cv(&["-C", &dir, "snapshot"]).succeeded().contains("unchanged 1"), "step {n}");
        assert!(!env.path(&dir).join("unfinished").exists());
    }
    assert!(last > 20, "only {last} steps");
}

/// A recipient is an age key, an SSH key, or a file of them; each of them opens, and nobody else is let in.
#[test]
fn recipients_are_given_in_three_ways() {
    let env = TestEnv::new();
    let tool = |program: &str, args: &[&str]| {
        let out = std::process::Command::new(program).args(args).current_dir(env.path("")).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8([out.stdout, out.stderr].concat()).unwrap()
    };
    let age = tool("age-keygen", &["-o", "age.txt"]).trim().rsplit(' ').next().unwrap().to_owned();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", "ssh"]);
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "open sesame", "-C", "bob", "-f", "locked"]);
    let filed = tool("age-keygen", &["-o", "filed.txt"]).trim().rsplit(' ').next().unwrap().to_owned();
    env.write("team.txt", format!("# the team\n{filed}\n{}", env.read("locked.pub")));
    let ssh = env.read("ssh.pub");
    let init =
        ["init", "vault", "--recipient", &age, "--recipient", ssh.trim(), "--recipient", "team.txt", "--collector", "central"];
    let said = env.cv(&init);
    assert_eq!(said.code, 0, "{said}");
    // No identity is made where one was given, and the key that decides is still said to be kept apart.
    assert!(!env.path("vault-admin/identity.txt").exists() && env.path("vault-admin/administrator.key").exists());
    let listed = env.cv(&["-C", "vault", "key", "list", "--json"]).json();
    assert_eq!(listed["recipients"].as_array().unwrap().len(), 4, "{listed}");

    env.write("pbx/sip.conf", "[100]\nsecret=three-ways-canary\n");
    let add = ["-C", "vault", "device", "add", "pbx", "--source", "dir:../pbx", "--release", "1", "--profile", "asterisk"];
    env.cv(&add).succeeded();
    env.cv(&["-C", "vault", "snapshot"]).succeeded();
    for identity in ["age.txt", "ssh", "filed.txt"] {
        let out = format!("out-{identity}");
        env.cv(&["-C", "vault", "restore", "pbx", "--to", &out, "--identity", identity]).succeeded();
        assert!(env.read(&format!("{out}/sip.conf")).contains("three-ways-canary"));
    }
    let restore = ["-C", "vault", "restore", "pbx", "--to", "out", "--identity", "locked"];
    env.cv(&restore).failed(12);
    let mut terminal = Terminal::start(&env.command(&restore));
    terminal.expect("Passphrase of the SSH key");
    terminal.types_unseen("open sesame");
    let (code, shown) = terminal.end();
    assert!(code == 0 && !shown.contains("sesame"), "{shown}");
    // The environment names one as the option does.
    let mut command = env.command(&["-C", "vault", "restore", "pbx", "--to", "by-environment"]);
    env.run(command.env("CONFVAULT_IDENTITY", env.path("ssh"))).succeeded();
    tool("age-keygen", &["-o", "stranger.txt"]);
    env.cv(&["-C", "vault", "restore", "pbx", "--to", "no", "--identity", "stranger.txt"]).failed(12);
}
