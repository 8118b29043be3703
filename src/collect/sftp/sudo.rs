//! Reading what the login may not read: `find` and `tar` of GNU under `sudo -n`.

use std::io::Read as _;

use super::{IDLE, Roots, known};
use crate::collect::session::SessionError;
use crate::collect::spool::{MEMORY, Sink};
use crate::collect::ssh::exec::{ExecError, Output, stream};
use crate::collect::ssh::{Link, plain};
use crate::collect::tree::{Node, Plan};
use crate::collect::{CollectError, Context, Skipped};
use crate::inventory::Device;
use crate::model::{ConfigPath, Content, Kind, Owner, Stamp};

/// Bytes of a listing.
const LISTING_LIMIT: u64 = 256 << 20;
/// Paths of one call of `tar`, in bytes: far below what a kernel takes as arguments.
const ARGUMENTS: usize = 60_000;

/// What `find` is to tell of each thing.
const FORM: &[u8] = br" -printf '%y %m %U %G %s %T@ %p\0'";

/// What is told of a name that is not there is read, and a name that is not text is given as it is.
const ENGLISH: &[u8] = b"LC_ALL=C; export LC_ALL; ";

/// A word that a shell takes as it is.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &b in bytes {
        if b == b'\'' { out.extend_from_slice(b"'\\''") } else { out.push(b) }
    }
    out.push(b'\'');
    out
}

fn failed(what: &str, output: &Output) -> CollectError {
    let phrase = output.stderr.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let phrase = plain(&String::from_utf8_lossy(phrase.unwrap_or_default()));
    SessionError::Status { command: what.to_owned(), status: output.status, phrase }.into()
}

fn exec_error(what: &str, error: ExecError) -> CollectError {
    match error {
        ExecError::Connect(error) => error.into(),
        ExecError::Silent { bytes, seconds } => SessionError::Silent { command: what.to_owned(), bytes, seconds }.into(),
        ExecError::Flood { limit } => CollectError::TooLarge { limit },
        ExecError::Refused(error) => *error,
        ExecError::Input(source) => CollectError::Read { path: "the input of a command".into(), source },
    }
}

/// Lists everything below the roots into the plan.
pub(super) fn list(link: &Link<'_>, roots: &Roots, plan: &mut Plan<'_>) -> Result<(), CollectError> {
    const WHAT: &str = "sudo -n find";
    let mut command = ENGLISH.to_vec();
    command.extend_from_slice(b"cd ");
    command.extend(quoted(&roots.absolute(None)));
    command.extend_from_slice(b" && ");
    // The folders above a root are part of the set, so that it can be put back as it was.
    let mut above: Vec<ConfigPath> = Vec::new();
    for start in &roots.starts {
        let mut parent = start.parent();
        while let Some(path) = parent.filter(|path| !above.contains(path)) {
            parent = path.parent();
            above.push(path);
        }
    }
    if !above.is_empty() {
        command.extend_from_slice(b"sudo -n find -P");
        for path in &above {
            command.push(b' ');
            command.extend(quoted(&[b"./", path.as_bytes()].concat()));
        }
        command.extend_from_slice(b" -maxdepth 0");
        command.extend_from_slice(FORM);
        command.extend_from_slice(b" 2>/dev/null; ");
    }
    command.extend_from_slice(b"sudo -n find -P");
    if roots.starts.is_empty() {
        command.extend_from_slice(b" . -mindepth 1");
    }
    for start in &roots.starts {
        command.push(b' ');
        command.extend(quoted(&[b"./", start.as_bytes()].concat()));
    }
    command.extend_from_slice(FORM);
    let command = String::from_utf8_lossy(&command).into_owned();
    let mut bytes = Vec::new();
    let output = stream(link, &command, IDLE, LISTING_LIMIT, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .map_err(|error| exec_error(WHAT, error))?;
    // Roots that are not there are told as an error; everything else that fails is one.
    let told = String::from_utf8_lossy(&output.stderr);
    let only_missing = told.lines().all(|line| line.contains("No such file or directory"));
    if output.status != Some(0) && (!only_missing || (bytes.is_empty() && !plan.partial)) {
        return Err(failed(WHAT, &output));
    }
    let mut dropped: Vec<ConfigPath> = Vec::new();
    for line in bytes.split(|b| *b == 0).filter(|line| !line.is_empty()) {
        let bad = || SessionError::Lacks { command: WHAT.to_owned(), what: "a line of the form that was asked for" };
        let (kind, path, node) = parse(line).ok_or_else(bad)?;
        let path = ConfigPath::new(path).map_err(|source| CollectError::Path { folder: roots.base.clone().into(), source })?;
        let below = |outer: &ConfigPath| path.as_bytes().strip_prefix(outer.as_bytes()).is_some_and(|r| r.first() == Some(&b'/'));
        if dropped.iter().any(below) {
            continue;
        }
        let node = Node { path: path.clone(), ..node };
        match kind {
            b'd' => {
                if !plan.folder(node)? {
                    dropped.push(path);
                }
            }
            b'f' | b'l' => plan.leaf(node)?,
            _ if plan.leaves_out(&path) => {}
            b's' => plan.skipped.push(Skipped { path, what: "socket" }),
            b'p' => plan.skipped.push(Skipped { path, what: "FIFO" }),
            _ => plan.skipped.push(Skipped { path, what: "device" }),
        }
    }
    Ok(())
}

/// Reads `kind mode uid gid size mtime ./path`.
fn parse(line: &[u8]) -> Option<(u8, &[u8], Node)> {
    let mut fields = line.splitn(7, |b| *b == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let kind = *text()?.as_bytes().first()?;
    let mode = u32::from_str_radix(text()?, 8).ok()?;
    let (uid, gid) = (text()?.parse().ok()?, text()?.parse().ok()?);
    let size = text()?.parse().ok()?;
    let time = text()?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let nanos: i64 = format!("{:0<9}", fraction.get(..9.min(fraction.len()))?).parse().ok()?;
    let mtime_ns = seconds.parse::<i64>().ok()?.saturating_mul(1_000_000_000).saturating_add(nanos);
    let path = fields.next()?.strip_prefix(b"./")?;
    let kind_of = match kind {
        b'd' => Kind::Directory,
        b'l' => Kind::Link,
        _ => Kind::File,
    };
    let stamp = Stamp { mtime_ns, ctime_ns: 0, inode: 0, size };
    let place = ConfigPath::new(&b"x"[..]).ok()?;
    Some((kind, path, Node { path: place, kind: kind_of, mode, owner: Some(Owner { uid, gid }), stamp }))
}

/// Fetches what the plan asks for, in its order; nothing for files that are gone.
pub(super) fn fetch(
    link: &Link<'_>,
    roots: &Roots,
    plan: &Plan<'_>,
    device: &Device,
    context: &Context<'_>,
    read_bytes: &mut u64,
) -> Result<Vec<Option<Content>>, CollectError> {
    let mut contents: Vec<Option<Content>> = plan.planned.iter().map(|planned| known(planned.same)).collect();
    let wanted: Vec<usize> = (0..contents.len()).filter(|&index| contents[index].is_none()).collect();
    let mut rest = wanted.as_slice();
    let mut in_memory = 0;
    while !rest.is_empty() {
        let mut length = 0;
        let count = rest
            .iter()
            .take_while(|&&index| {
                length += plan.planned[index].node.path.as_bytes().len() * 2 + 8;
                length < ARGUMENTS
            })
            .count()
            .max(1);
        let (batch, behind) = rest.split_at(count);
        fetch_batch(link, roots, plan, batch, device, context, read_bytes, &mut in_memory, &mut contents)?;
        rest = behind;
    }
    Ok(contents)
}

#[allow(clippy::too_many_arguments, reason = "one call site")]
fn fetch_batch(
    link: &Link<'_>,
    roots: &Roots,
    plan: &Plan<'_>,
    batch: &[usize],
    device: &Device,
    context: &Context<'_>,
    read_bytes: &mut u64,
    in_memory: &mut u64,
    contents: &mut [Option<Content>],
) -> Result<(), CollectError> {
    const WHAT: &str = "sudo -n tar";
    let mut command = ENGLISH.to_vec();
    command.extend_from_slice(b"cd ");
    command.extend(quoted(&roots.absolute(None)));
    command.extend_from_slice(b" && sudo -n tar -cf - --format=gnu --no-recursion --ignore-failed-read --numeric-owner --");
    for &index in batch {
        command.push(b' ');
        command.extend(quoted(&[b"./", plan.planned[index].node.path.as_bytes()].concat()));
    }
    let Ok(command) = String::from_utf8(command) else {
        return Err(CollectError::NotText { what: "a path that sudo's tar is asked for" });
    };
    let limit: u64 = batch.iter().map(|&index| plan.planned[index].node.stamp.size + 8192).sum::<u64>() * 2 + (1 << 20);
    // The archive goes to the spool and is read from there: its reader wants to pull, the channel pushes.
    let mut sink = Sink::new(context.spool, &device.name, limit / 2, context.policy.large_over.0)?;
    let output = stream(link, &command, IDLE, limit, |piece| {
        *read_bytes += piece.len() as u64;
        sink.put(piece).map_err(|error| ExecError::Refused(Box::new(error)))
    })
    .map_err(|error| exec_error(WHAT, error))?;
    // 1: a file changed or vanished while it was read, which the sizes below tell apart.
    if !matches!(output.status, Some(0 | 1)) {
        sink.discard();
        return Err(failed(WHAT, &output));
    }
    let archive = sink.finish()?;
    let result = unpack(&archive, plan, batch, device, context, in_memory, contents);
    if let Content::Spooled { file, .. } = &archive {
        crate::fsio::unlink(file).ok();
    }
    result
}

fn unpack(
    archive: &Content,
    plan: &Plan<'_>,
    batch: &[usize],
    device: &Device,
    context: &Context<'_>,
    in_memory: &mut u64,
    contents: &mut [Option<Content>],
) -> Result<(), CollectError> {
    let broken = |source| CollectError::Read { path: "the archive of sudo's tar".into(), source };
    let reader: Box<dyn std::io::Read> = match archive {
        Content::Bytes(bytes) => Box::new(bytes.as_slice()),
        Content::Spooled { file, .. } => Box::new(std::io::BufReader::new(std::fs::File::open(file).map_err(broken)?)),
        Content::Same(_) => return Ok(()),
    };
    let by_path: std::collections::HashMap<&[u8], usize> =
        batch.iter().map(|&index| (plan.planned[index].node.path.as_bytes(), index)).collect();
    let mut links: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut archive = tar::Archive::new(reader);
    let mut buffer = vec![0; 64 << 10];
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path_bytes().into_owned();
        let Some(&index) = path.strip_prefix(b"./").and_then(|path| by_path.get(path)) else { continue };
        let listed = &plan.planned[index].node;
        match (entry.header().entry_type(), listed.kind) {
            (tar::EntryType::Symlink, Kind::Link) => {
                contents[index] = entry.link_name_bytes().map(|target| Content::Bytes(target.into_owned()));
            }
            // Files with one inode are in the archive once; the others point to it.
            (tar::EntryType::Link, Kind::File) => {
                let target = entry.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
                links.push((index, target.strip_prefix(b"./").unwrap_or(&target).to_vec()));
            }
            (tar::EntryType::Regular | tar::EntryType::Continuous, Kind::File) => {
                let mtime = i64::try_from(entry.header().mtime().map_err(broken)?).unwrap_or(0);
                let size = entry.header().size().map_err(broken)?;
                if size != listed.stamp.size || mtime != listed.stamp.mtime_ns.div_euclid(1_000_000_000) {
                    return Err(CollectError::Changing(listed.path.clone()));
                }
                let large_over = context.policy.large_over.0.min(MEMORY.saturating_sub(*in_memory));
                let mut sink = Sink::new(context.spool, &device.name, size, large_over)?;
                loop {
                    match entry.read(&mut buffer).map_err(broken)? {
                        0 => break,
                        count => sink.put(&buffer[..count])?,
                    }
                }
                if sink.len() != size {
                    return Err(CollectError::Changing(listed.path.clone()));
                }
                if let Sink::Memory(bytes) = &sink {
                    *in_memory += bytes.len() as u64;
                }
                contents[index] = Some(sink.finish()?);
            }
            _ => return Err(CollectError::Changing(listed.path.clone())),
        }
    }
    for (index, target) in links {
        let Some(there) = by_path.get(target.as_slice()).and_then(|&other| contents[other].as_ref()) else { continue };
        let content = Sink::again(there, context.spool, &device.name, MEMORY.saturating_sub(*in_memory))?;
        if let Content::Bytes(bytes) = &content {
            *in_memory += bytes.len() as u64;
        }
        contents[index] = Some(content);
    }
    // What tar could not read is missing here; what is gone would be told by the next run.
    match batch.iter().find(|&&index| contents[index].is_none()) {
        Some(&index) => Err(CollectError::Changing(plan.planned[index].node.path.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_find_is_taken_apart() {
        let (kind, path, node) = parse(b"f 4750 0 101 12 1700000000.0500000000 ./etc/a b").unwrap();
        assert_eq!((kind, path, node.mode), (b'f', &b"etc/a b"[..], 0o4750));
        assert_eq!(node.owner, Some(Owner { uid: 0, gid: 101 }));
        assert_eq!(node.stamp.mtime_ns, 1_700_000_000_050_000_000);
        for bad in [&b"f 4750 0 101 12 1700000000.05 /etc/a"[..], b"f x 0 0 1 1 ./a", b"", b"f 1 2"] {
            assert!(parse(bad).is_none());
        }
    }

    #[test]
    fn a_quote_stays_in_its_word() {
        assert_eq!(quoted(b"a'; rm -rf /; '"), b"'a'\\''; rm -rf /; '\\'''");
        assert_eq!(quoted(b"\xff"), b"'\xff'");
    }
}
