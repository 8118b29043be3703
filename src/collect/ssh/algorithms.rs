//! Which SSH algorithms are used: today's, and old ones only where the device's entry allows them by name.

use ssh2::{MethodType, Session};

use super::ConnectError;

/// Today's algorithms, in order of preference. The cheap ones of equal strength come first.
const MODERN: [(MethodType, &[&str]); 4] = [
    (
        MethodType::Kex,
        &[
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "mlkem768x25519-sha256",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group-exchange-sha256",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group14-sha256",
        ],
    ),
    (MethodType::HostKey, &HOST_KEYS),
    (
        MethodType::CryptCs,
        &[
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
            "aes128-ctr",
            "aes192-ctr",
            "aes256-ctr",
        ],
    ),
    (MethodType::MacCs, &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]),
];

const HOST_KEYS: [&str; 6] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"];

const RSA_SHA2: &str = "rsa-sha2-512,rsa-sha2-256";
const RSA_SHA1: &str = "rsa-sha2-512,rsa-sha2-256,ssh-rsa";

/// What a list of algorithms in a key exchange is for, in the order in which they stand there.
const PURPOSES: [(&str, usize, MethodType); 6] = [
    ("key exchange", 0, MethodType::Kex),
    ("host key", 1, MethodType::HostKey),
    ("cipher", 2, MethodType::CryptCs),
    ("cipher", 2, MethodType::CryptSc),
    ("MAC", 3, MethodType::MacCs),
    ("MAC", 3, MethodType::MacSc),
];

/// Says what a device offers for which there is nothing in common, and what of it could be allowed. Nothing, if
/// there is something in common for everything.
pub(super) fn missing(session: &Session, allowed: &[String], offer: &[Vec<String>]) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    for ((what, row, method), offered) in PURPOSES.into_iter().zip(offer) {
        let ours = |name: &String| MODERN[row].1.contains(&name.as_str()) || allowed.contains(name);
        if offered.iter().any(ours) {
            continue;
        }
        let known = session.supported_algs(method).unwrap_or_default();
        let could: Vec<&str> = offered.iter().map(String::as_str).filter(|name| known.contains(name)).collect();
        let text = match could.as_slice() {
            [] => format!("{what}: {} (none of them can be used)", offered.join(", ")),
            could => format!("{what}: {}", could.join(", ")),
        };
        if !out.contains(&text) {
            out.push(text);
        }
    }
    (!out.is_empty()).then(|| out.join("; "))
}

fn kind_of(name: &str) -> MethodType {
    if name.starts_with("diffie-") || name.starts_with("ecdh-") || name.starts_with("curve") || name.starts_with("mlkem") {
        MethodType::Kex
    } else if name.starts_with("ssh-") || name.starts_with("ecdsa-") || name.starts_with("rsa-") {
        MethodType::HostKey
    } else if name.starts_with("hmac-") {
        MethodType::MacCs
    } else {
        MethodType::CryptCs
    }
}

/// Sets what a connection may use. `expected` are the kinds of the host keys that are known, which are asked
/// for first: a host with several keys is to show one that is known.
pub(super) fn prefer(session: &Session, allowed: &[String], expected: &[String]) -> Result<(), ConnectError> {
    // What a login by an RSA key is signed with, where the device says what it takes.
    let signs = if allowed.iter().any(|name| name == "ssh-rsa") { RSA_SHA1 } else { RSA_SHA2 };
    session.method_pref(MethodType::SignAlgo, signs).map_err(|error| ConnectError::NoAlgorithm(error.message().to_owned()))?;
    for name in allowed {
        let known = session.supported_algs(kind_of(name)).unwrap_or_default();
        if !known.contains(&name.as_str()) {
            return Err(ConnectError::UnknownAlgorithm(name.clone()));
        }
    }
    for (method, names) in MODERN {
        let same_kind = |name: &&str| std::mem::discriminant(&kind_of(name)) == std::mem::discriminant(&method);
        let mut list: Vec<&str> = names.to_vec();
        list.extend(allowed.iter().map(String::as_str).filter(same_kind));
        if matches!(method, MethodType::HostKey) && !expected.is_empty() {
            let family = |name: &str| if name.starts_with("rsa-sha2") { "ssh-rsa".to_owned() } else { name.to_owned() };
            list.sort_by_key(|name| !expected.contains(&family(name)));
        }
        let list = list.join(",");
        let pairs: &[MethodType] = match method {
            MethodType::CryptCs => &[MethodType::CryptCs, MethodType::CryptSc],
            MethodType::MacCs => &[MethodType::MacCs, MethodType::MacSc],
            MethodType::HostKey => &[MethodType::HostKey],
            _ => &[MethodType::Kex],
        };
        for pair in pairs {
            session.method_pref(*pair, &list).map_err(|error| ConnectError::NoAlgorithm(error.message().to_owned()))?;
        }
    }
    Ok(())
}

/// The algorithms of a connection that are not today's.
pub(super) fn old_ones(session: &Session) -> Vec<String> {
    let used = [
        (MethodType::Kex, 0),
        (MethodType::HostKey, 1),
        (MethodType::CryptCs, 2),
        (MethodType::CryptSc, 2),
        (MethodType::MacCs, 3),
        (MethodType::MacSc, 3),
    ];
    let mut old = Vec::new();
    for (method, row) in used {
        let Some(name) = session.methods(method) else { continue };
        let modern = MODERN[row].1.contains(&name) || name.is_empty() || name.starts_with("INTEGRATED");
        if !modern && !old.iter().any(|o| o == name) {
            old.push(name.to_owned());
        }
    }
    old
}
