//! Devices and policies: the file `confvault.toml`.
