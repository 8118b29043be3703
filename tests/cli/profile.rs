use insta::assert_snapshot;

use crate::env::TestEnv;

#[test]
fn a_profile_is_tried_on_a_folder() {
    let env = TestEnv::new();
    env.write("pbx/sip.conf", "[1001]\nsecret=s3cr3t-canary\nport=5060\n");
    env.write("pbx/odd.xyz", "token 9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c\n");
    let run = env.cv(&["profile", "test", "pbx", "--profile", "asterisk"]);
    assert!(!format!("{run}").contains("canary"));
    assert_snapshot!(run, @"
    release    not found; declare it with `confvault device set --release`
    files      system 1, voip 1; 0 links

    SIZE  SYNTAX  VOLATILE  SECRETS  SUSPECTS  FILE
    39 B  plain   -         -        1         system/odd.xyz
    38 B  ini     -         1        -         voip/sip.conf

    secrets in voip/sip.conf
      general/secret: line 2

    no rule claims (kept in scope system)
      odd.xyz
    ");
    assert_snapshot!(env.cv(&["profile", "test", "pbx", "--profile", "asterisk", "--json"]), @r#"
    {
      "version": 1,
      "command": "profile test",
      "profile": "asterisk",
      "release": null,
      "files": [
        {
          "scope": "system",
          "path": "odd.xyz",
          "size_bytes": 39,
          "syntax": "plain",
          "volatile_lines": [],
          "secrets": [],
          "suspect_lines": [
            1
          ]
        },
        {
          "scope": "voip",
          "path": "sip.conf",
          "size_bytes": 38,
          "syntax": "ini",
          "volatile_lines": [],
          "secrets": [
            {
              "line": 2,
              "rule": "general/secret"
            }
          ],
          "suspect_lines": []
        }
      ],
      "links_count": 0,
      "unclaimed": [
        "odd.xyz"
      ],
      "skipped": []
    }
    "#);
    assert_snapshot!(env.cv(&["profile", "test", "nowhere", "--profile", "asterisk"]), @"
    --- stderr
    error: Source is missing: $TEST/work/nowhere
    hint: mount or export the folder, or correct it with `confvault device set NAME --source URL`
    --- exit 1
    ");
    assert_snapshot!(env.cv(&["profile", "test", "pbx", "--profile", "astrisk"]), @"
    --- stderr
    error: No such profile: astrisk
    hint: `confvault profile list` shows all profiles
    --- exit 2
    ");
}

#[test]
fn a_profile_of_ones_own_stands_over_the_built_in_one() {
    let env = TestEnv::new();
    env.write("confvault.toml", "collector = \"c\"\n");
    let built_in = env.cv(&["profile", "show", "generic"]).succeeded();
    env.write("profiles/mine.toml", "name = \"mine\"\ntitle = \"Ours\"\nextends = \"generic\"\n");
    let list = env.cv(&["profile", "list", "-v"]).succeeded();
    // What was never seen on a device stands below the profile: reasons of the profile, and each rule.
    let below = |name: &str| -> Vec<String> {
        let lines = list.lines().skip_while(|line| line.split_whitespace().next() != Some(name)).skip(1);
        lines.map_while(|line| line.trim().strip_prefix("unverified  ").map(str::to_owned)).collect()
    };
    let mediant = below("audiocodes-mediant");
    assert!(mediant.contains(&"restoring was never tried on a device".to_owned()), "{mediant:?}");
    assert!(below("arista-eos").contains(&"command: show version".to_owned()) && below("generic").is_empty(), "{list}");
    assert!(list.contains("mine.toml") && list.contains("Ours") && list.contains("generic"), "{list}");
    assert!(env.cv(&["profile", "show", "mine"]).succeeded().contains("Ours"));
    assert!(built_in.contains("generic"));
    env.write("profiles/mine.toml", "name = \"mine\"\ncolour = 1\n");
    assert_snapshot!(env.cv(&["profile", "list"]), @"
    --- stderr
    error: Profile is not in the language: $TEST/work/profiles/mine.toml
    caused by: TOML parse error at line 2, column 1: unknown field `colour`, expected one of `name`, `title`, `extends`, `file`, `release`, `volatile`, `secret`, `clear`, `collect`, `session`, `command`, `backup`, `restore`, `health`, `module`, `unverified`
    --- exit 2
    ");
}
