//! The configuration of Oxidized, with the list that its CSV source names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::yaml::{self, Value};
use super::{LIMIT, ListError, Listed};

/// Where a list is, as a configuration says it.
struct Source {
    file: String,
    delimiter: Regex,
    /// Columns by the name of what stands in them.
    columns: BTreeMap<String, usize>,
    /// Columns of variables.
    variables: BTreeMap<String, usize>,
}

/// Tells whether bytes are those of a configuration of Oxidized: YAML with a `source`.
#[must_use]
pub fn is_config(bytes: &[u8]) -> bool {
    // A `router.db` with a device of that name has its model right behind the colon.
    bytes.split(|b| *b == b'\n').any(|line| line.trim_ascii_end() == b"source:" || line.starts_with(b"source: "))
}

/// Reads the devices of a configuration of Oxidized, whose file is `config`. A list that is not where the
/// configuration says is looked for beside it, as configurations are copied. `home` is that of `~`.
///
/// User names are taken over, passwords never.
///
/// # Errors
/// [`ListError::Config`], [`ListError::Elsewhere`], [`ListError::Read`], [`ListError::Line`].
pub fn oxidized(bytes: &[u8], config: &Path, home: Option<&Path>) -> Result<Vec<Listed>, ListError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ListError::Config("no text".into()))?;
    let config_value = yaml::parse(text).map_err(ListError::Config)?;
    let source = source(&config_value)?;
    let path = find(&source.file, config, home);
    let mut list = String::new();
    let read = File::open(&path).and_then(|file| file.take(LIMIT).read_to_string(&mut list));
    read.map_err(|source| ListError::Read { path, source })?;
    devices(&list, &source, &config_value)
}

fn source(config: &Value) -> Result<Source, ListError> {
    let bad = |what: &str| ListError::Config(what.to_owned());
    let sources = config.get("source").ok_or_else(|| bad("it has no source"))?;
    let kind = sources.get("default").and_then(Value::text).unwrap_or("csv");
    if kind != "csv" {
        return Err(ListError::Elsewhere(format!("source {}", kind.escape_default())));
    }
    let csv = sources.get("csv").ok_or_else(|| bad("it has no source csv"))?;
    if csv.get("gpg").and_then(Value::text) == Some("true") {
        return Err(ListError::Elsewhere("a file encrypted with GPG".into()));
    }
    let columns = |key: &str| -> Result<BTreeMap<String, usize>, ListError> {
        let entries = csv.get(key).map(Value::entries).unwrap_or_default();
        let column = |value: &Value| value.text().and_then(|text| text.parse().ok()).filter(|n| *n < 1000);
        let entry = |(name, value): &(String, Value)| Some((name.clone(), column(value)?));
        entries.iter().map(|e| entry(e).ok_or_else(|| bad("a column of its list that is no number"))).collect()
    };
    let mut map = columns("map")?;
    if map.is_empty() {
        map = BTreeMap::from([("name".to_owned(), 0), ("model".to_owned(), 1)]);
    }
    if !map.contains_key("name") {
        return Err(bad("its list has no column for the name"));
    }
    let delimiter = csv.get("delimiter").and_then(Value::text).unwrap_or("/:/");
    // `/:/` is an expression; a text is itself.
    let expression = match delimiter.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) {
        Some((inner, _)) if !inner.is_empty() => inner.to_owned(),
        _ => regex::escape(delimiter),
    };
    let delimiter = Regex::new(&expression).map_err(|_| bad("the delimiter of its list is no expression"))?;
    let file = csv.get("file").and_then(Value::text).unwrap_or("~/.config/oxidized/router.db").to_owned();
    Ok(Source { file, delimiter, columns: map, variables: columns("vars_map")? })
}

fn find(file: &str, config: &Path, home: Option<&Path>) -> PathBuf {
    let folder = config.parent().unwrap_or(Path::new(""));
    let named = match (file.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(file),
    };
    let beside = named.file_name().map(|name| folder.join(name));
    match beside {
        Some(beside) if !named.is_file() && beside.is_file() => beside,
        _ => named,
    }
}

fn devices(list: &str, source: &Source, config: &Value) -> Result<Vec<Listed>, ListError> {
    let mut devices = Vec::new();
    for (at, line) in list.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = source.delimiter.split(line).map(str::trim).collect();
        let cell = |columns: &BTreeMap<String, usize>, name: &str| {
            columns.get(name).and_then(|at| cells.get(*at)).copied().filter(|cell| !cell.is_empty() && *cell != "nil")
        };
        let device = device(&|name| cell(&source.columns, name), &|name| cell(&source.variables, name), config);
        devices.push(device.map_err(|reason| ListError::Line { line: at as u64 + 1, reason })?);
    }
    Ok(devices)
}

/// Makes a device of a line: `cell` gives what is mapped, `variable` what is mapped as a variable.
fn device<'a>(
    cell: &dyn Fn(&str) -> Option<&'a str>,
    variable: &dyn Fn(&str) -> Option<&'a str>,
    config: &'a Value,
) -> Result<Listed, String> {
    let name = cell("name").ok_or("it has no name")?;
    let top = |key: &str| config.get(key).and_then(Value::text);
    let group = cell("group");
    let group = group.map(|group| config.at(&["group_map", group]).and_then(Value::text).unwrap_or(group));
    let of_group = |keys: &[&str]| config.at(&[&["groups", group?], keys].concat()).and_then(Value::text);
    let model = cell("model").or_else(|| of_group(&["model"])).or_else(|| top("model")).unwrap_or_default();
    let model = config.at(&["model_map", model]).and_then(Value::text).unwrap_or(model);
    let of_model = |keys: &[&str]| config.at(&[&["models", model], keys].concat()).and_then(Value::text);
    // The nearest word counts, as Oxidized reads it.
    let near = |keys: &[&str]| of_model(keys).or_else(|| of_group(keys)).or_else(|| config.at(keys).and_then(Value::text));
    let port = variable("ssh_port").or_else(|| near(&["vars", "ssh_port"]));
    let port = port.map(|text| text.parse().map_err(|_| "its port is no number")).transpose()?;
    let user = cell("username").or_else(|| near(&["username"]));
    let mut device = Listed::at(name, user, cell("ip").unwrap_or(name), port)?;
    device.set_model(model);
    device.set_label("group", group.unwrap_or_default());
    let known = cell("password").or_else(|| near(&["password"])).or_else(|| variable("enable"));
    device.has_password = known.or_else(|| near(&["vars", "enable"])).is_some();
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "---\nusername: oxi\npassword: hunter2\nmodel: junos\nprompt: !ruby/regexp /^([\\w.@-]+[#>]\\s?)$/\nvars:\n  enable: hunter3\n\
        groups:\n  voice:\n    username: voiceuser\n    password: hunter4\nmodels:\n  eos:\n    username: eosuser\n    vars:\n      ssh_port: 2222\n\
        source:\n  default: csv\n  csv:\n    file: \"~/.config/oxidized/router.db\"\n    delimiter: !ruby/regexp /:/\n    map:\n      name: 0\n      model: 1\n\
        \x20     group: 2\n      ip: 3\n      username: 4\n      password: 5\n    vars_map:\n      enable: 6\n      ssh_port: 7\nmodel_map:\n  cisco: ios\n  juniper: junos\n";

    fn read(list: &str) -> Result<Vec<Listed>, ListError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("router.db"), list).unwrap();
        assert!(is_config(CONFIG.as_bytes()) && !is_config(list.as_bytes()));
        oxidized(CONFIG.as_bytes(), &dir.path().join("config"), None)
    }

    #[test]
    fn models_groups_users_and_ports_are_taken_and_no_password() {
        let list = "# fleet\n\ngw1:cisco:voice:10.0.0.1\nsw1::core\nsw2:arista:core:10.0.0.9:me:hunter5:nil:22022\nsw3:eos:::\n";
        let devices = read(list).unwrap();
        let seen: Vec<_> = devices.iter().map(|d| (d.source.to_string(), d.model.clone().unwrap(), d.labels.len())).collect();
        let wanted = [
            ("ssh://voiceuser@10.0.0.1", "ios", 1),
            ("ssh://oxi@sw1", "junos", 1),
            ("ssh://me@10.0.0.9:22022", "arista", 1),
            ("ssh://eosuser@sw3:2222", "eos", 0),
        ];
        assert_eq!(seen, wanted.map(|(s, m, l)| (s.to_owned(), m.to_owned(), l)));
        assert!(devices.iter().all(|d| d.has_password && d.profile.is_some() && d.credential.is_none()));
        assert!(!format!("{devices:?}").contains("hunter"));
    }

    #[test]
    fn what_is_not_read_is_said_and_no_error_tells_a_password() {
        assert!(matches!(read("gw1:ios\n../x:ios\n"), Err(ListError::Line { line: 2, .. })));
        assert!(matches!(read("gw1:ios::::hunter:x:port\n"), Err(ListError::Line { line: 1, .. })));
        let with = |from: &str, to: &str| {
            let text = CONFIG.replace(from, to);
            oxidized(text.as_bytes(), Path::new("/nonexistent/config"), None).unwrap_err()
        };
        assert!(matches!(with("x", "x"), ListError::Read { .. }));
        assert!(matches!(with("default: csv", "default: sql"), ListError::Elsewhere(_)));
        assert!(matches!(with("delimiter: !ruby/regexp /:/", "gpg: true"), ListError::Elsewhere(_)));
        for (from, to) in [
            ("name: 0", "nome: 0"),
            ("name: 0", "name: x"),
            ("/:/", "/(/"),
            ("source:", "sauce:"),
            ("password: hunter2", "password: [hunter2"),
        ] {
            let error = with(from, to);
            assert!(matches!(error, ListError::Config(_)) && !error.to_string().contains("hunter"), "{error}");
        }
    }
}
