//! The built-in profiles, as files of the profile language.

/// The rules for secrets that hold for every profile.
pub(super) const GENERAL: &str = include_str!("general.toml");

/// Name and text of each.
pub(super) const BUILTIN: &[(&str, &str)] = &[
    ("arista-eos", include_str!("arista-eos.toml")),
    ("asterisk", include_str!("asterisk.toml")),
    ("audiocodes-mediant", include_str!("audiocodes-mediant.toml")),
    ("cisco-ios", include_str!("cisco-ios.toml")),
    ("cisco-phone", include_str!("cisco-phone.toml")),
    ("cube", include_str!("cube.toml")),
    ("cucm", include_str!("cucm.toml")),
    ("freepbx", include_str!("freepbx.toml")),
    ("freeswitch", include_str!("freeswitch.toml")),
    ("frr", include_str!("frr.toml")),
    ("generic", include_str!("generic.toml")),
    ("grandstream", include_str!("grandstream.toml")),
    ("junos", include_str!("junos.toml")),
    ("kamailio", include_str!("kamailio.toml")),
    ("linux", include_str!("linux.toml")),
    ("nxos", include_str!("nxos.toml")),
    ("opensips", include_str!("opensips.toml")),
    ("oracle-sbc", include_str!("oracle-sbc.toml")),
    ("poly", include_str!("poly.toml")),
    ("snom", include_str!("snom.toml")),
    ("yealink", include_str!("yealink.toml")),
];
