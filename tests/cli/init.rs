use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use crate::env::TestEnv;

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
