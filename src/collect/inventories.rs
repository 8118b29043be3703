//! Lists of devices as other programs have them: CSV, `router.db` of RANCID and Oxidized, NetBox.
//!
//! A list is parsed whole or refused with its line; nothing is changed here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::inventory::{Credential, LabelKey, ProfileName, SourceUrl};
use crate::model::{DeviceName, Release};
use crate::seal::Secret;

/// The largest list, or page of one, in bytes.
const LIMIT: u64 = 64 << 20;
/// Pages of a list at most.
const PAGES: usize = 10_000;

/// Says why a list of devices cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// A line is not a device.
    #[error("Line {line} is no device: {reason}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The list lacks a column.
    #[error("List has no column {0}")]
    Column(&'static str),
    /// The server did not give the list.
    #[error("List cannot be fetched: {0}")]
    Fetch(String),
    /// The answer of the server is not what NetBox gives.
    #[error("Answer is no list of devices of NetBox: {0}")]
    Answer(&'static str),
}

/// A device of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: DeviceName,
    /// Its source.
    pub source: SourceUrl,
    /// Its profile.
    pub profile: Option<ProfileName>,
    /// The word of the program whose list it is for what the device is: `ios`, `cisco`.
    pub model: Option<String>,
    /// Its release.
    pub release: Option<Release>,
    /// Its site.
    pub site: Option<LabelKey>,
    /// Its labels.
    pub labels: BTreeMap<LabelKey, String>,
    /// Where its credential is.
    pub credential: Option<Credential>,
    /// Whether it is collected where none is named.
    pub enabled: bool,
}

impl Listed {
    fn new(name: DeviceName, source: SourceUrl) -> Self {
        let (labels, enabled) = (BTreeMap::new(), true);
        Self { name, source, profile: None, model: None, release: None, site: None, labels, credential: None, enabled }
    }
}

/// The profile for a type of RANCID, a model of Oxidized or a platform of NetBox.
#[must_use]
pub fn profile_for(word: &str) -> Option<ProfileName> {
    let profile = match word.to_ascii_lowercase().as_str() {
        "cisco" | "ios" | "cisco-ios" | "iosxe" | "ios-xe" | "cisco-ios-xe" => "cisco-ios",
        "cisco-nx" | "nxos" | "cisco-nxos" | "nx-os" => "nxos",
        "juniper" | "junos" | "juniper-junos" | "juniper-srx" => "junos",
        "arista" | "eos" | "arista-eos" => "arista-eos",
        "audiocodes" | "audiocodesmp" => "audiocodes-mediant",
        "acmepacket" | "oracle-sbc" => "oracle-sbc",
        "linuxgeneric" | "linux" | "debian" => "linux",
        "frr" | "asterisk" | "freepbx" | "freeswitch" | "kamailio" | "opensips" | "cucm" => word,
        _ => return None,
    };
    profile.parse().ok()
}

/// Reads a list from a file: a table if its first line has a column `name`, else a `router.db`.
///
/// # Errors
/// As [`csv`] and [`router_db`].
pub fn of_file(bytes: &[u8], user: Option<&str>) -> Result<Vec<Listed>, ListError> {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default().to_ascii_lowercase();
    match first.split(|b| *b == b',').any(|cell| cell.trim_ascii() == b"name") {
        true => csv(bytes),
        false => router_db(&String::from_utf8_lossy(bytes), user),
    }
}

/// Reads a table with a header: `name`, `source` (or `host` and `user`), `profile`, `release`, `site`,
/// `credential`; every other column is a label.
///
/// # Errors
/// [`ListError::Column`], [`ListError::Line`].
pub fn csv(bytes: &[u8]) -> Result<Vec<Listed>, ListError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(bytes);
    let broken = |error: csv::Error| ListError::Line {
        line: error.position().map_or(1, csv::Position::line),
        reason: "not a row of the table".into(),
    };
    let columns: Vec<String> = reader.headers().map_err(broken)?.iter().map(str::to_ascii_lowercase).collect();
    let has = |name: &str| columns.iter().any(|column| column == name);
    if !has("name") {
        return Err(ListError::Column("name"));
    }
    if !has("source") && !has("host") {
        return Err(ListError::Column("source"));
    }
    let mut devices = Vec::new();
    for row in reader.records() {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(0, csv::Position::line);
        let cells: BTreeMap<&str, &str> =
            columns.iter().map(String::as_str).zip(row.iter()).filter(|(_, cell)| !cell.is_empty()).collect();
        devices.push(listed(&cells).map_err(|reason| ListError::Line { line, reason })?);
    }
    Ok(devices)
}

fn listed(cells: &BTreeMap<&str, &str>) -> Result<Listed, String> {
    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
        text.parse().map_err(|error: T::Err| error.to_string())
    }
    let name = parse(cells.get("name").ok_or("it has no name")?)?;
    let source = match (cells.get("source"), cells.get("host")) {
        (Some(source), _) => (*source).to_owned(),
        (None, Some(host)) => ssh(cells.get("user").copied(), host),
        (None, None) => return Err("it has no source".into()),
    };
    let mut device = Listed::new(name, parse(&source)?);
    for (column, cell) in cells {
        match *column {
            "name" | "source" | "host" | "user" => {}
            "profile" => device.profile = Some(parse(cell)?),
            "release" => device.release = Some(parse(cell)?),
            "site" => device.site = Some(parse(cell)?),
            "credential" => device.credential = Some(parse(cell)?),
            "enabled" => device.enabled = !matches!(cell.to_ascii_lowercase().as_str(), "no" | "false" | "0" | "down"),
            label => drop(device.labels.insert(parse(label)?, (*cell).to_owned())),
        }
    }
    Ok(device)
}

fn ssh(user: Option<&str>, host: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    user.map_or_else(|| format!("ssh://{host}"), |user| format!("ssh://{user}@{host}"))
}

/// Reads a `router.db`: `name;type;state` of RANCID, or `name:model` of Oxidized's CSV source. Devices whose
/// type has no profile are given the generic one.
///
/// # Errors
/// [`ListError::Line`].
pub fn router_db(text: &str, user: Option<&str>) -> Result<Vec<Listed>, ListError> {
    let mut devices = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |reason: String| ListError::Line { line: at as u64 + 1, reason };
        let cells: Vec<&str> = line.split(if line.contains(';') { ';' } else { ':' }).map(str::trim).collect();
        let name: DeviceName = cells[0].parse().map_err(|error: crate::model::NameError| wrong(error.to_string()))?;
        let source = ssh(user, cells[0]).parse().map_err(|error: crate::inventory::UrlError| wrong(error.to_string()))?;
        let mut device = Listed::new(name, source);
        device.model = cells.get(1).filter(|word| !word.is_empty()).map(|word| (*word).to_owned());
        device.profile = cells.get(1).and_then(|word| profile_for(word));
        device.enabled = cells.get(2).is_none_or(|state| line.contains(':') && !line.contains(';') || *state == "up");
        devices.push(device);
    }
    Ok(devices)
}

/// Fetches the devices of a NetBox, all pages; `url` is that of the server, `token` its API token.
///
/// The token goes to no other server than the one in `url`, whatever its answers say.
///
/// # Errors
/// [`ListError::Fetch`], [`ListError::Answer`].
pub fn netbox(url: &str, token: Option<&Secret>, user: Option<&str>) -> Result<Vec<Listed>, ListError> {
    let base = url.trim_end_matches('/').to_owned();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(120)))
        .max_redirects(0)
        .user_agent("confvault")
        .build()
        .into();
    let header = match token {
        Some(token) => {
            let token = std::str::from_utf8(token.expose()).map_err(|_| ListError::Fetch("the token is no text".into()))?;
            Some(zeroize::Zeroizing::new(format!("Token {}", token.trim())))
        }
        None => None,
    };
    let mut next = Some(format!("{base}/api/dcim/devices/?limit=500"));
    let mut devices = Vec::new();
    for _ in 0..PAGES {
        let Some(page) = next.take() else { return Ok(devices) };
        // Behind a proxy NetBox may write its own scheme; the path is all that is taken from it.
        let rest = page.split_once("/api/dcim/devices/").map(|(_, rest)| rest).ok_or(ListError::Answer("a page elsewhere"))?;
        let mut request = agent.get(format!("{base}/api/dcim/devices/{rest}")).header("Accept", "application/json");
        if let Some(header) = &header {
            request = request.header("Authorization", header.as_str());
        }
        let mut answer = request.call().map_err(|error| ListError::Fetch(super::ssh::plain(&error.to_string())))?;
        let bytes = answer.body_mut().with_config().limit(LIMIT).read_to_vec();
        let bytes = bytes.map_err(|error| ListError::Fetch(super::ssh::plain(&error.to_string())))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|_| ListError::Answer("not JSON"))?;
        let results = document.get("results").and_then(Value::as_array).ok_or(ListError::Answer("no results"))?;
        for (at, result) in results.iter().enumerate() {
            if let Some(device) = of_netbox(result, user).map_err(|reason| ListError::Line { line: at as u64 + 1, reason })? {
                devices.push(device);
            }
        }
        next = document.get("next").and_then(Value::as_str).map(str::to_owned);
    }
    Err(ListError::Answer("pages without end"))
}

/// Reads a device; nothing for one without a name or an address, which cannot be collected.
fn of_netbox(result: &Value, user: Option<&str>) -> Result<Option<Listed>, String> {
    let text = |path: &str| result.pointer(path).and_then(Value::as_str);
    let (Some(name), Some(address)) = (text("/name"), text("/primary_ip/address")) else { return Ok(None) };
    let host = address.split('/').next().unwrap_or(address);
    let name = name.parse().map_err(|error: crate::model::NameError| error.to_string())?;
    let source = ssh(user, host).parse().map_err(|error: crate::inventory::UrlError| error.to_string())?;
    let mut device = Listed::new(name, source);
    device.model = text("/platform/slug").map(str::to_owned);
    device.profile = device.model.as_deref().and_then(profile_for);
    device.site = text("/site/slug").and_then(|site| site.parse().ok());
    device.enabled = text("/status/value").is_none_or(|status| status == "active");
    for (key, path) in [("role", "/role/slug"), ("tenant", "/tenant/slug")] {
        if let (Ok(key), Some(value)) = (key.parse(), text(path)) {
            device.labels.insert(key, value.to_owned());
        }
    }
    Ok(Some(device))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_table_has_sources_or_hosts_and_the_rest_are_labels() {
        let table = b"Name,host,user,profile,site,floor\ngw-1, 10.0.0.1,backup,cisco-ios,berlin,3\ngw-2,2001:db8::1,,,,\n";
        let devices = csv(table).unwrap();
        assert_eq!(devices[0].source.to_string(), "ssh://backup@10.0.0.1");
        assert_eq!(devices[0].labels.values().next().unwrap(), "3");
        assert_eq!(devices[1].source.to_string(), "ssh://[2001:db8::1]");
        assert!(devices[1].profile.is_none() && devices[1].labels.is_empty());
        assert!(matches!(csv(b"host\nx\n"), Err(ListError::Column("name"))));
        assert!(matches!(csv(b"name,host\n../x,h\n"), Err(ListError::Line { line: 2, .. })));
        let secret = csv(b"name,source\ngw,ssh://u:hunter2@h\n").unwrap_err();
        assert!(!secret.to_string().contains("hunter2"), "{secret}");
    }

    #[test]
    fn lists_of_rancid_and_oxidized_are_read() {
        let devices = router_db("# fleet\nr1;cisco;up\nr2;juniper;down\nr3;foundry;up\n", Some("backup")).unwrap();
        let seen: Vec<_> = devices.iter().map(|d| (d.profile.as_ref().map(ProfileName::as_str), d.enabled)).collect();
        assert_eq!(seen, [(Some("cisco-ios"), true), (Some("junos"), false), (None, true)]);
        let devices = router_db("sw1.example:ios:admin:pw\n", None).unwrap();
        assert_eq!((devices[0].source.to_string().as_str(), devices[0].enabled), ("ssh://sw1.example", true));
        assert!(router_db("-oProxyCommand=x;cisco;up", None).is_err());
    }

    #[test]
    fn all_pages_of_netbox_are_fetched_and_the_token_stays_at_home() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for page in 0..2 {
                let (mut socket, _) = listener.accept().unwrap();
                let mut bytes = vec![0; 8192];
                let mut length = 0;
                while !bytes[..length].windows(4).any(|w| w == b"\r\n\r\n") {
                    length += socket.read(&mut bytes[length..]).unwrap();
                }
                asked.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                let next = if page == 0 { "\"http://evil.example/api/dcim/devices/?limit=500&offset=500\"" } else { "null" };
                let body = format!(
                    "{{\"next\":{next},\"results\":[{{\"name\":\"gw-{page}\",\"primary_ip\":{{\"address\":\"10.0.0.{page}/24\"}},\
                     \"platform\":{{\"slug\":\"ios\"}},\"site\":{{\"slug\":\"berlin\"}},\"status\":{{\"value\":\"offline\"}}}},{{\"name\":null}}]}}"
                );
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                socket.write_all((head + &body).as_bytes()).unwrap();
            }
            asked
        });
        let devices = netbox(&format!("http://{address}/"), Some(&Secret::new("canary\n")), Some("backup")).unwrap();
        assert_eq!(
            devices.iter().map(|d| d.source.to_string()).collect::<Vec<_>>(),
            ["ssh://backup@10.0.0.0", "ssh://backup@10.0.0.1"]
        );
        assert!(devices.iter().all(|d| !d.enabled && d.profile.is_some() && d.site.is_some()));
        let asked = server.join().unwrap();
        assert!(
            asked.iter().all(|request| request.to_ascii_lowercase().contains("authorization: token canary\r\n")),
            "{asked:?}"
        );
        assert!(asked[1].starts_with("GET /api/dcim/devices/?limit=500&offset=500 "), "{}", asked[1]);
    }
}
