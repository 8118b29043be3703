//! What is masked is no secret any more: rules that are applied to a stored text find nothing new in it.

use confvault::model::ConfigPath;
use confvault::ops::secrets::{InStored, in_stored};
use confvault::profile::{MaskOverrides, MaskRule, Profile, Profiles};
use confvault::seal::{DeviceKeys, StoreKey, Token, mask, tokens};

fn keys() -> DeviceKeys {
    DeviceKeys::derive(&StoreKey::generate(), &"pbx".parse().unwrap())
}

fn masked(profile: &Profile, path: &ConfigPath, text: &[u8]) -> Vec<u8> {
    let spans: Vec<_> = profile.secrets(path, text, &MaskOverrides::default()).into_iter().map(|span| span.range).collect();
    mask(text, &spans, &keys()).unwrap().text
}

#[test]
fn what_is_masked_is_not_found_again() {
    let profiles = Profiles::load(None).unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (shown, family, path, text) in super::fixtures::texts(&profiles).into_iter().chain(super::blind::texts()) {
        let profile = profiles.get(&family).unwrap();
        let masked = masked(&profile, &path, &text);
        let InStored { clear, masked: found } = in_stored(&profile, &path, &masked, &MaskOverrides::default());
        seen += found.len();
        assert_eq!(found.len(), tokens(&masked).len());
        wrong.extend(
            clear.into_iter().map(|span| format!("{shown}: {}: {}", span.rule, String::from_utf8_lossy(&masked[span.range]))),
        );
    }
    assert!(seen > 500, "{seen}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_became_a_secret_later_is_found_beside_what_is_masked() {
    let profile = Profiles::load(None).unwrap().get("asterisk").unwrap();
    let path = ConfigPath::new("etc/asterisk/sip.conf").unwrap();
    let text = b"[general]\nregister => user:reg-wort@host/100\nsecret=one two ; door 4711\n";
    let masked = masked(&profile, &path, text);
    let found = |rules: &MaskOverrides| {
        let found = in_stored(&profile, &path, &masked, rules);
        let clear: Vec<String> = found
            .clear
            .into_iter()
            .map(|span| format!("{} {}", span.rule, String::from_utf8_lossy(&masked[span.range])))
            .collect();
        (clear, found.masked)
    };
    let (clear, tokens) = found(&MaskOverrides::default());
    assert_eq!(clear, Vec::<String>::new());
    assert_eq!((tokens.len(), tokens[0].2.as_deref()), (2, Some("asterisk/register")));
    assert!(tokens.iter().all(|(at, token, _)| Token::at_start(&masked[*at..]) == Some(*token)));

    let line = toml::from_str::<MaskRule>("regex = '^(?:secret|register).*'").unwrap();
    let (clear, tokens) = found(&MaskOverrides::new(&[], &[line]).unwrap());
    assert_eq!(
        clear,
        ["always-mask register => user:", "always-mask @host/100", "always-mask secret=", "always-mask  ; door 4711"]
    );
    assert_eq!(tokens.len(), 2);
}
