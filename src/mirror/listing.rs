//! The refs of a remote, as `git ls-remote` gives them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use super::git::Call;
use super::{MirrorError, Remote, refname};
use crate::store::ObjectId;

/// A ref of a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RemoteRef {
    pub(super) id: ObjectId,
    /// What an annotated tag stands for.
    pub(super) peeled: Option<ObjectId>,
}

/// Lists the refs of a store that a mirror has, with their values. Nothing is fetched, and nothing said of whether they are
/// genuine.
///
/// # Errors
/// [`MirrorError`] if the mirror cannot be talked to.
pub fn heads(remote: Remote<'_>) -> Result<Vec<(String, ObjectId)>, MirrorError> {
    let ours = list(remote)?.into_iter().filter(|(name, _)| refname::parse(name).is_some());
    Ok(ours.map(|(name, theirs)| (name, theirs.id)).collect())
}

/// How much a remote may list, in bytes: some millions of refs.
const MOST: u64 = 512 << 20;

/// Lists the refs of a remote, by name.
pub(super) fn list(remote: Remote<'_>) -> Result<BTreeMap<String, RemoteRef>, MirrorError> {
    let call = Call::networked(remote, "ls-remote", None).arg("--").arg(remote.url.expose()).guarded(None);
    let (refs, ended) = call.run(parse)?;
    ended.good("ls-remote")?;
    Ok(refs)
}

fn parse(out: &mut dyn BufRead) -> io::Result<BTreeMap<String, RemoteRef>> {
    let mut refs: BTreeMap<String, RemoteRef> = BTreeMap::new();
    let mut out = out.take(MOST);
    let mut line = Vec::new();
    loop {
        line.clear();
        if out.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "A line of the remote's refs does not read");
        let text = std::str::from_utf8(&line).map_err(|_| odd())?;
        let (id, name) = text.trim_end_matches('\n').split_once('\t').ok_or_else(odd)?;
        let id = ObjectId::from_hex(id.as_bytes()).map_err(|_| odd())?;
        match name.strip_suffix("^{}") {
            Some(name) => {
                if let Some(tag) = refs.get_mut(name) {
                    tag.peeled = Some(id);
                }
            }
            None => {
                refs.insert(name.to_owned(), RemoteRef { id, peeled: None });
            }
        }
    }
    if out.limit() == 0 {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "The remote lists too many refs"));
    }
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_strictly() {
        let a = "a".repeat(40);
        let b = "b".repeat(40);
        let good = format!("{a}\tHEAD\n{a}\trefs/tags/gw/x\n{b}\trefs/tags/gw/x^{{}}\n");
        let refs = parse(&mut good.as_bytes()).unwrap();
        assert_eq!(refs["refs/tags/gw/x"].peeled.unwrap().to_string(), b);
        for bad in ["x\tHEAD\n", "no tab\n", &format!("{a} HEAD\n"), "\u{fffd}"] {
            assert!(parse(&mut bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
