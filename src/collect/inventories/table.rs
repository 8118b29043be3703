//! A table with a header, as CSV.

use std::collections::BTreeMap;

use super::{ListError, Listed, ssh};

/// Parts of names of columns that hold secrets, whose cells are never taken over.
const SECRETS: [&str; 8] = ["pass", "secret", "enable", "community", "token", "psk", "private", "credentials"];

/// Reads a table with a header: `name`, `source` (or `host` and `user`), `profile`, `model`, `release`, `site`,
/// `credential`, `enabled`; every other column is a label, but one whose name is that of a secret.
///
/// # Errors
/// [`ListError::Column`], [`ListError::Line`].
pub fn table(bytes: &[u8]) -> Result<Vec<Listed>, ListError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
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
        (None, Some(host)) => ssh(cells.get("user").copied(), host, None),
        (None, None) => return Err("it has no source".into()),
    };
    let mut device = Listed::new(name, parse(&source)?);
    for (column, cell) in cells {
        match *column {
            "name" | "source" | "host" | "user" => {}
            "model" => device.model = Some((*cell).to_owned()),
            "profile" => device.profile = Some(parse(cell)?),
            "release" => device.release = Some(parse(cell)?),
            "site" => device.site = Some(parse(cell)?),
            "credential" => device.credential = Some(parse(cell)?),
            "enabled" => device.enabled = !matches!(cell.to_ascii_lowercase().as_str(), "no" | "false" | "0" | "down"),
            secret if SECRETS.iter().any(|part| secret.contains(part)) => device.has_password = true,
            label => drop(device.labels.insert(parse(label)?, (*cell).to_owned())),
        }
    }
    if device.profile.is_none() {
        device.profile = device.model.as_deref().and_then(super::profile_for);
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_sources_or_hosts_and_the_rest_are_labels() {
        let text = b"Name,host,user,profile,site,floor\ngw-1, 10.0.0.1,backup,cisco-ios,berlin,3\ngw-2,2001:db8::1,,,,\n";
        let devices = table(text).unwrap();
        assert_eq!(devices[0].source.to_string(), "ssh://backup@10.0.0.1");
        assert_eq!(devices[0].labels.values().next().unwrap(), "3");
        assert_eq!(devices[1].source.to_string(), "ssh://[2001:db8::1]");
        assert!(devices[1].profile.is_none() && devices[1].labels.is_empty());
        assert!(matches!(table(b"host\nx\n"), Err(ListError::Column("name"))));
        assert!(matches!(table(b"name,host\n../x,h\n"), Err(ListError::Line { line: 2, .. })));
        let secret = table(b"name,source\ngw,ssh://u:hunter2@h\n").unwrap_err();
        assert!(!secret.to_string().contains("hunter2"), "{secret}");
    }

    #[test]
    fn a_password_in_a_table_is_not_taken_over() {
        let devices = table(b"name,host,model,password,Enable_Secret,rack\ngw,h,ios,hunter2,hunter3,7\nsw,h,,,,\n").unwrap();
        assert!(devices[0].has_password && !devices[1].has_password);
        assert_eq!(devices[0].labels.len(), 1);
        assert_eq!(devices[0].profile.as_ref().unwrap().as_str(), "cisco-ios");
        assert!(!format!("{devices:?}").contains("hunter"));
    }
}
