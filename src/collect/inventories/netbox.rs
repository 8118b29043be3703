//! The devices of a NetBox, over its API.

use std::time::Duration;

use serde_json::Value;

use super::{LIMIT, ListError, Listed};
use crate::collect::ssh::plain;
use crate::seal::Secret;

/// Pages of a list at most.
const PAGES: usize = 10_000;

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
        let mut answer = request.call().map_err(|error| ListError::Fetch(plain(&error.to_string())))?;
        if answer.status().is_redirection() {
            return Err(ListError::Fetch("it is somewhere else, and a token goes nowhere but to the URL that was named".into()));
        }
        let bytes = answer.body_mut().with_config().limit(LIMIT).read_to_vec();
        let bytes = bytes.map_err(|error| ListError::Fetch(plain(&error.to_string())))?;
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
    let mut device = Listed::at(name, user, host, None)?;
    device.set_model(text("/platform/slug").unwrap_or_default());
    device.site = text("/site/slug").and_then(|site| site.parse().ok());
    device.enabled = text("/status/value").is_none_or(|status| status == "active");
    for (key, path) in [("role", "/role/slug"), ("tenant", "/tenant/slug")] {
        device.set_label(key, text(path).unwrap_or_default());
    }
    Ok(Some(device))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

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
