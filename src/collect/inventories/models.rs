//! What other programs call a family, and the profile for it.

use crate::inventory::ProfileName;

/// The profile for a type of RANCID, a model of Oxidized or a platform of NetBox; also that of its own name.
#[must_use]
pub fn profile_for(word: &str) -> Option<ProfileName> {
    let word = word.to_ascii_lowercase();
    let profile = match word.as_str() {
        "cisco" | "ios" | "iosxe" | "ios-xe" | "cisco-ios-xe" => "cisco-ios",
        "cisco-nx" | "nxos" | "cisco-nxos" | "nx-os" => "nxos",
        "juniper" | "juniper-junos" | "junos-evo" | "juniper-srx" => "junos",
        "arista" | "eos" => "arista-eos",
        "audiocodes" | "audiocodesmp" => "audiocodes-mediant",
        "acme" | "acmepacket" => "oracle-sbc",
        "linuxgeneric" | "debian" | "ubuntu" => "linux",
        "arista-eos" | "asterisk" | "audiocodes-mediant" | "cisco-ios" | "cisco-phone" | "cube" | "cucm" | "freepbx"
        | "freeswitch" | "frr" | "generic" | "grandstream" | "junos" | "kamailio" | "linux" | "opensips" | "oracle-sbc"
        | "poly" | "snom" | "yealink" => &word,
        _ => return None,
    };
    profile.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    #[test]
    fn every_built_in_profile_is_one_by_its_own_name() {
        for name in Profiles::load(None).unwrap().names() {
            assert_eq!(profile_for(name).unwrap().as_str(), name);
        }
        assert_eq!(profile_for("IOS").unwrap().as_str(), "cisco-ios");
        assert_eq!(profile_for("foundry"), None);
    }
}
