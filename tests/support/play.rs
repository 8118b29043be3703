//! Recorded sessions, as `fixtures/devices/README.md` describes them.
#![allow(dead_code)]

use std::path::Path;

use serde::Deserialize;

/// A profile of the gateways that are played, but for its name: enough to tell its rules apart from those of the built-in ones.
/// `session` are more lines of its session, `config` of the command that gives the configuration, and what is to follow.
pub fn gateway_profile(session: &str, config: &str) -> String {
    format!(
        r#"
release = [{{ paths = ["version"], regex = 'Version (?<release>[^\s,]+),' }}]
[session]
mode = "terminal"
prompt = '^[\w.()-]+[>#]$'
setup = ["terminal length 0"]
{session}
[[command]]
run = "show version"
path = "version"
scope = "system"
required = true
[[command]]
run = "show running-config"
path = "running-config"
scope = "voip"
required = true
end = '^end$'
{config}
"#
    )
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Play {
    pub mode: String,
    /// Passwords are asked for by keyboard-interactive only.
    #[serde(default)]
    pub keyboard: bool,
    /// The n-th time counts over all connections.
    #[serde(default)]
    pub remembers: bool,
    #[serde(default)]
    pub banner: String,
    #[serde(default)]
    pub delay_ms: u64,
    #[serde(default)]
    pub prompt: String,
    #[serde(default = "yes")]
    pub echo: bool,
    #[serde(default = "crlf")]
    pub newline: String,
    #[serde(default)]
    pub width: usize,
    #[serde(default)]
    pub unknown: String,
    #[serde(default = "one")]
    pub unknown_status: u32,
    pub pager: Option<Pager>,
    #[serde(default)]
    pub exchange: Vec<Exchange>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pager {
    pub text: String,
    pub lines: usize,
    #[serde(default)]
    pub erase: String,
    #[serde(default)]
    pub off: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exchange {
    pub command: String,
    #[serde(default)]
    pub output: String,
    pub asks: Option<String>,
    pub answer: Option<String>,
    #[serde(default)]
    pub refused: String,
    pub prompt: Option<String>,
    #[serde(default)]
    pub raw: bool,
    /// The output goes out in ISO 8859-1.
    #[serde(default)]
    pub latin1: bool,
    #[serde(default)]
    pub status: u32,
    #[serde(default)]
    pub close: bool,
}

fn yes() -> bool {
    true
}
fn crlf() -> String {
    "\r\n".into()
}
fn one() -> u32 {
    1
}

impl Play {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    }

    /// A gateway with a configuration of its own.
    pub fn gateway(name: &str, config: &str) -> Self {
        let exchange =
            |command: &str, output: &str| Exchange { command: command.into(), output: output.into(), ..Exchange::default() };
        Self {
            mode: "terminal".into(),
            keyboard: false,
            remembers: false,
            banner: "\nWelcome\n".into(),
            delay_ms: 0,
            prompt: format!("{name}#"),
            echo: true,
            newline: crlf(),
            width: 0,
            unknown: "            ^\n% Invalid input detected at '^' marker.\n\n".into(),
            unknown_status: 1,
            pager: None,
            exchange: vec![
                exchange("terminal length 0", ""),
                exchange(
                    "show version",
                    "Cisco IOS Software, C2900 Software (C2900-K9-M), Version 15.7(3)M6, RELEASE SOFTWARE (fc1)\n",
                ),
                exchange("show running-config", config),
            ],
        }
    }
}

/// The bytes of an output as it goes out; with `as_it_is` its line ends are not replaced.
pub fn bytes(play: &Play, exchange: &Exchange, as_it_is: bool) -> Vec<u8> {
    let text = if as_it_is { exchange.output.clone().into_bytes() } else { lines(play, &exchange.output) };
    match exchange.latin1 {
        true => String::from_utf8(text).unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        false => text,
    }
}

/// A text with the line ends of the device, wrapped at its width.
pub fn lines(play: &Play, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, false), |body| (body, true));
        if play.width > 0 {
            let wrapped: Vec<&[u8]> = body.as_bytes().chunks(play.width).collect();
            out.extend_from_slice(&wrapped.join(&b"\r\n"[..]));
        } else {
            out.extend_from_slice(body.as_bytes());
        }
        if end {
            out.extend_from_slice(play.newline.as_bytes());
        }
    }
    out
}
