//! `router.db`, the list of RANCID and of Oxidized.

use super::{ListError, Listed};

/// Reads a `router.db`: `name;type;state` of RANCID, or `name:model` of Oxidized's CSV source as it is shipped. What
/// follows behind that with Oxidized are credentials as a rule, and is not taken over.
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
        let rancid = line.contains(';');
        let cells: Vec<&str> = line.split(if rancid { ';' } else { ':' }).map(str::trim).collect();
        let device = Listed::at(cells[0], user, cells[0], None);
        let mut device = device.map_err(|reason| ListError::Line { line: at as u64 + 1, reason })?;
        device.set_model(cells.get(1).copied().unwrap_or_default());
        match rancid {
            true => device.enabled = cells.get(2).is_none_or(|state| *state == "up"),
            false => device.has_password = cells.iter().skip(2).any(|cell| !cell.is_empty()),
        }
        devices.push(device);
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::ProfileName;

    #[test]
    fn lists_of_rancid_and_oxidized_are_read() {
        let devices = router_db("# fleet\nr1;cisco;up\nr2;juniper;down\nr3;foundry;up\n", Some("backup")).unwrap();
        let seen: Vec<_> = devices.iter().map(|d| (d.profile.as_ref().map(ProfileName::as_str), d.enabled)).collect();
        assert_eq!(seen, [(Some("cisco-ios"), true), (Some("junos"), false), (None, true)]);
        let devices = router_db("sw1.example:ios:admin:pw\n", None).unwrap();
        assert_eq!((devices[0].source.to_string().as_str(), devices[0].enabled), ("ssh://sw1.example", true));
        assert!(router_db("-oProxyCommand=x;cisco;up", None).is_err());
    }
}
