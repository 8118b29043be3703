//! Lines whose indentation tells what they belong to: IOS, EOS, FRR, NX-OS.
//!
//! Order: none, but within access lists, policy maps, certificates, server groups, and for lines of which the
//! device takes the first that fits or answers (numbered access lists, prefix lists without numbers, name servers).

use super::lines::lines;
use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

/// Blocks whose lines count in order, by how their first line begins.
const ORDERED: &[&str] = &[
    "ip access-list",
    "ipv4 access-list",
    "ipv6 access-list",
    "mac access-list",
    "policy-map",
    "certificate",
    "aaa group server",
    "event manager applet",
    "ip prefix-list",
    "route-policy",
    "template",
];

/// Blocks that lie deeper belong to the last one above them.
const MOST_DEPTH: usize = 32;

/// Parts of a block are joined by this in the name of a section.
pub(super) const JOINT: &str = " / ";

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let all = lines(bytes, false);
    let mut out = Sink::new(bytes.len());
    // The blocks that are open: indentation, and the name of the section that they make.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let (number, line) = (all[at].0, all[at].1.trim_end());
        at += 1;
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('!') || text == "exit" || text.starts_with("exit-") || line == "end" {
            continue;
        }
        let indent = indent(line);
        while open.last().is_some_and(|(above, _)| *above >= indent) {
            open.pop();
        }
        let section = open.last().map_or("", |(_, name)| name.as_str()).to_owned();
        if let Some((kind, delimiter, rest)) = banner(text) {
            let mut value = rest.to_owned();
            if !rest.contains(delimiter) {
                while at < all.len() {
                    let more = &all[at].1;
                    at += 1;
                    value.push('\n');
                    value.push_str(more);
                    if more.contains(delimiter) {
                        break;
                    }
                }
            }
            out.push(Setting::new(&section, kind, value, number, Order::Key));
            continue;
        }
        let next = all[at..].iter().map(|(_, l)| l.trim_end()).find(|l| !l.is_empty() && !l.trim_start().starts_with('!'));
        let name = join(&section, text);
        if next.is_some_and(|next| self::indent(next) > indent && next.trim() != "exit") {
            let order = group(&section, text).map_or(Order::Free, Order::Group);
            out.push(Setting::new(&name, "", "", number, order));
        } else {
            let (key, value) = text.split_once(' ').unwrap_or((text, ""));
            let order = group(&section, text).map_or(Order::Free, Order::Group);
            out.push(Setting::new(&section, key, value.trim_start(), number, order));
        }
        // Names grow with depth: a staircase of a hundred thousand steps must not fill the memory.
        if open.len() < MOST_DEPTH {
            open.push((indent, name));
        }
    }
    out.done("blocks")
}

pub(super) fn join(section: &str, line: &str) -> String {
    if section.is_empty() { line.to_owned() } else { format!("{section}{JOINT}{line}") }
}

fn indent(line: &str) -> usize {
    line.bytes().map_while(|b| if b == b' ' { Some(1) } else { (b == b'\t').then_some(8) }).sum()
}

/// The list that a line belongs to, where its place counts.
fn group(section: &str, line: &str) -> Option<String> {
    let parent = section.rsplit(JOINT).next().unwrap_or("");
    if ORDERED.iter().any(|begin| parent.starts_with(begin)) {
        return Some(section.to_owned());
    }
    let words: Vec<&str> = line.split_whitespace().take(4).collect();
    let list = match words.as_slice() {
        ["access-list", list, ..] => format!("access-list {list}"),
        ["ip" | "ipv6", "prefix-list", list, next] if *next != "seq" => format!("prefix-list {list}"),
        ["ip" | "bgp", "as-path", "access-list", list] => format!("as-path access-list {list}"),
        ["ip" | "bgp", kind @ ("community-list" | "extcommunity-list" | "large-community-list"), ..] => (*kind).to_owned(),
        ["ip", "name-server", ..] => "name servers".to_owned(),
        [kind @ ("radius-server" | "tacacs-server"), "host", ..] => (*kind).to_owned(),
        _ => return None,
    };
    Some(format!("{section}{JOINT}{list}"))
}

/// Reads the first line of a banner: its kind, its delimiter, what follows.
fn banner(line: &str) -> Option<(String, &str, &str)> {
    let mut words = line.splitn(3, ' ');
    let (first, kind, rest) = (words.next()?, words.next()?, words.next()?.trim_start());
    if first != "banner" || rest.is_empty() {
        return None;
    }
    // `^C` is how IOS writes the byte 0x03.
    let width = if rest.starts_with('^') { 2 } else { rest.chars().next()?.len_utf8() };
    let (delimiter, rest) = rest.split_at_checked(width)?;
    Some((format!("banner {kind}"), delimiter, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_lists() {
        let text = "hostname gw\n!\ninterface Gi0/1\n ip address 10.0.0.1 255.0.0.0\n shutdown\n!\nrouter bgp 1\n address-family ipv4\n  network 10.0.0.0\n exit-address-family\n!\nip access-list extended A\n permit ip any any\n!\naccess-list 10 permit any\nend\n";
        let found = settings(text.as_bytes()).unwrap();
        let shown: Vec<_> = found.iter().map(|s| (&*s.section, &*s.key, &*s.value)).collect();
        assert_eq!(
            shown,
            [
                ("", "hostname", "gw"),
                ("interface Gi0/1", "", ""),
                ("interface Gi0/1", "ip", "address 10.0.0.1 255.0.0.0"),
                ("interface Gi0/1", "shutdown", ""),
                ("router bgp 1", "", ""),
                ("router bgp 1 / address-family ipv4", "", ""),
                ("router bgp 1 / address-family ipv4", "network", "10.0.0.0"),
                ("ip access-list extended A", "", ""),
                ("ip access-list extended A", "permit", "ip any any"),
                ("", "access-list", "10 permit any"),
            ]
        );
        let ordered: Vec<_> = found.iter().filter(|s| s.order != Order::Free).map(|s| &*s.key).collect();
        assert_eq!(ordered, ["permit", "access-list"]);
    }

    #[test]
    fn a_banner_is_one_value() {
        let found = settings(b"banner motd ^C\n  Keep out!\n!\n ^C\nhostname x\n").unwrap();
        assert_eq!(found[0].value, "\n  Keep out!\n!\n ^C");
        assert_eq!(found[1].key, "hostname");
        assert_eq!(settings(b"banner exec #hi#\nx\n").unwrap().len(), 2);
    }
}
