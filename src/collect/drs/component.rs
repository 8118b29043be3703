//! `drfComponent.xml`: what a backup set says of itself.
//!
//! Element names are those that public readers of the file use; no order of elements is assumed, and a
//! field counts only for the object in which it stands.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Nested elements at most.
const DEPTH: usize = 64;

/// One component of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// The feature it belongs to, such as `UCM`.
    pub feature: String,
    /// The node it was backed up on.
    pub server: String,
    /// Its name, such as `CCMDB`.
    pub name: String,
    /// Its status; `SUCCESS` is the only good one.
    pub status: String,
    /// Where its log is on the node.
    pub log: String,
}

/// Something above a component that has a status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Its name: of a feature, or `FEATURE on SERVER`.
    pub name: String,
    /// Its status.
    pub status: String,
}

/// What a set says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Versions of the features; all are the same in a good set.
    pub versions: Vec<String>,
    /// Features and servers.
    pub parts: Vec<Part>,
    /// Components.
    pub components: Vec<Component>,
}

/// Says that a file is not what DRS writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("drfComponent.xml is {0}")]
pub struct NotComponents(pub(super) &'static str);

#[derive(Default)]
struct Open {
    element: String,
    text: String,
    name: String,
    status: String,
    version: String,
    log: String,
    /// Where the parts of this object begin in the list.
    first: usize,
}

/// Reads the file.
///
/// # Errors
/// [`NotComponents`].
pub fn parse(bytes: &[u8]) -> Result<Contents, NotComponents> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotComponents("not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    let mut contents = Contents::default();
    let mut stack: Vec<Open> = Vec::new();
    let (mut begun, mut ended) = (false, false);
    loop {
        match reader.read_event().map_err(|_| NotComponents("no XML, or cut off"))? {
            Event::Start(start) => {
                if stack.len() >= DEPTH {
                    return Err(NotComponents("nested too deeply"));
                }
                begun = true;
                stack.push(Open {
                    element: start.local_name().as_ref().to_owned(),
                    first: contents.components.len(),
                    ..Open::default()
                });
            }
            Event::Text(text) => {
                if let Some(open) = stack.last_mut() {
                    open.text.push_str(&text);
                }
            }
            Event::End(_) => {
                let Some(open) = stack.pop() else { break };
                close(open, &mut stack, &mut contents);
                ended = stack.is_empty();
            }
            Event::DocType(_) => return Err(NotComponents("not plain: it has a document type")),
            Event::Eof => break,
            _ => {}
        }
    }
    if !begun || !ended || !stack.is_empty() {
        return Err(NotComponents("no XML, or cut off"));
    }
    if contents.components.is_empty() {
        return Err(NotComponents("without any component"));
    }
    Ok(contents)
}

fn close(open: Open, stack: &mut [Open], contents: &mut Contents) {
    let text = || open.text.trim().to_owned();
    match open.element.as_str() {
        "FeatureObject" => {
            for component in &mut contents.components[open.first..] {
                component.feature.clone_from(&open.name);
            }
            contents.versions.push(open.version);
            contents.parts.push(Part { name: open.name, status: open.status });
        }
        "ServerObj" => {
            for component in &mut contents.components[open.first..] {
                component.server.clone_from(&open.name);
            }
            contents.parts.push(Part { name: format!("server {}", open.name), status: open.status });
        }
        "ComponentObject" => {
            contents.components.push(Component { name: open.name, status: open.status, log: open.log, ..Component::default() })
        }
        field => {
            let Some(object) = stack.last_mut() else { return };
            let is = |object: &Open, kind: &str| object.element == kind;
            match field {
                "Status" => object.status = text(),
                "Version" => object.version = text(),
                "LogLocation" => object.log = text(),
                "FeatureName" if is(object, "FeatureObject") => object.name = text(),
                "ServerName" if is(object, "ServerObj") => object.name = text(),
                "ComponentName" if is(object, "ComponentObject") => object.name = text(),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file made up from the names that the public readers know; no complete real one was at hand.
    pub(in crate::collect) fn sample(version: &str, components: &[(&str, &str, &str)]) -> String {
        let component = |(server, name, status): &(&str, &str, &str)| {
            format!(
                "<ServerObj><ServerName>{server}</ServerName><Status>{status}</Status><vComponentObject><ComponentObject>\
                 <LogLocation>activelog/platform/drf/log/{name}.log</LogLocation><ComponentName>{name}</ComponentName>\
                 <Version>1</Version><Status>{status}</Status><EncryptKey>c2VjcmV0</EncryptKey></ComponentObject>\
                 </vComponentObject></ServerObj>"
            )
        };
        let all: String = components.iter().map(component).collect();
        format!(
            "<?xml version=\"1.0\"?><list><FeatureObject><vServerObject>{all}</vServerObject>\
             <FeatureName>UCM</FeatureName><Status>SUCCESS</Status><Version>{version}</Version></FeatureObject></list>"
        )
    }

    #[test]
    fn fields_belong_to_the_object_in_which_they_stand() {
        let text = sample("11.5.1.10000-6", &[("pub", "CCMDB", "SUCCESS"), ("sub-1", "TFTP", "ERROR")]);
        let contents = parse(text.as_bytes()).unwrap();
        assert_eq!(contents.versions, ["11.5.1.10000-6"]);
        let tftp = &contents.components[1];
        let expected = ("UCM", "sub-1", "TFTP", "ERROR");
        assert_eq!((tftp.feature.as_str(), tftp.server.as_str(), tftp.name.as_str(), tftp.status.as_str()), expected);
        assert!(tftp.log.ends_with("TFTP.log"));
        assert_eq!(contents.parts.len(), 3);
    }

    #[test]
    fn what_is_cut_off_or_hostile_is_refused() {
        let text = sample("11.5.1.10000-6", &[("pub", "CCMDB", "SUCCESS")]);
        for at in 0..text.len() {
            assert!(parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
        let bomb = "<!DOCTYPE l [<!ENTITY a \"b\">]><list/>";
        assert!(parse(bomb.as_bytes()).is_err());
        assert!(parse("<a>".repeat(100_000).as_bytes()).is_err());
        assert!(parse(b"<list/>").is_err());
        assert!(parse(b"").is_err());
    }
}
