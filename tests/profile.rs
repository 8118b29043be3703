//! Holds every built-in profile to its fixtures, and the language to its documentation.
#![allow(missing_docs, clippy::unwrap_used)]

use confvault::profile::Profiles;

#[test]
fn built_in_profiles_are_in_the_language() {
    if let Err(error) = Profiles::check_builtin() {
        panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
    }
    let profiles = Profiles::load(None).unwrap();
    assert!(profiles.list().unwrap().len() >= 21);
}
