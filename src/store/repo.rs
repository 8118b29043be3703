//! The repository: making it, opening it, reading its objects and refs.
//!
//! No file of a repository can make this process, or a `git` that it starts, run a program: [`Repo::open`]
//! refuses what could, and what would hide refs or objects. See "The repository" in `docs/format.md`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gix::ObjectId;
use gix::objs::Kind;

use super::error::{Error, Result};
use super::lock::Lock;
use super::objects::Objects;
use super::refs::Refs;
use crate::fsio::{self, PRIVATE_DIR, PRIVATE_FILE};

/// The largest tree, commit or tag that is read, in bytes.
pub(super) const SMALL_LIMIT: u64 = 256 << 20;

const CONFIG: &str = "[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogallrefupdates = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
";

/// An object, decoded and checked against its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Blob, tree, commit or tag.
    pub kind: Kind,
    /// Its bytes, without git's header.
    pub data: Vec<u8>,
}

/// An open repository. Clones are cheap and share everything; all methods work from many threads.
#[derive(Debug, Clone)]
pub struct Repo {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    cache: PathBuf,
    objects: Objects,
}

impl Repo {
    /// Makes a bare repository at `dir`, which must not exist, be empty, or hold what an earlier call
    /// left that was killed. `HEAD` points to `refs/heads/_store`.
    ///
    /// # Errors
    /// [`Error::Exists`], or the disk refused.
    pub fn create(dir: &Path) -> Result<Self> {
        refuse_foreign_content(dir)?;
        fsio::create_dir_all(dir, PRIVATE_DIR)?;
        for folder in ["objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags", "confvault"] {
            fsio::create_dir_all(&dir.join(folder), PRIVATE_DIR)?;
        }
        fsio::write_file(&dir.join("config"), CONFIG.as_bytes(), PRIVATE_FILE)?;
        // `HEAD` comes last: without it this is no repository, and the next call begins anew.
        fsio::write_file(&dir.join("HEAD"), b"ref: refs/heads/_store\n", PRIVATE_FILE)?;
        Self::open(dir)
    }

    /// Opens a repository and refuses what could run a program or hide refs and objects.
    ///
    /// # Errors
    /// [`Error::NoStore`], `Read`, `ForeignOwner`, `RefusedSetting`, `CorruptFile` also where `HEAD` or `config` is gone.
    pub fn open(dir: &Path) -> Result<Self> {
        let no_store = || Error::NoStore { path: dir.to_owned() };
        // A folder that nobody may look into is not an empty one.
        let closed = |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => Error::Read { path: dir.to_owned(), source },
            _ => no_store(),
        };
        check_small_files(dir)?;
        std::fs::metadata(dir.join("HEAD")).map_err(closed)?;
        let dir = dir.canonicalize().map_err(closed)?;
        let (objects, refs) = (dir.join("objects"), dir.join("refs"));
        if !dir.join("HEAD").is_file() || !objects.join("pack").is_dir() || !refs.is_dir() {
            return Err(no_store());
        }
        super::guard::check(&dir)?;
        let cache = dir.join("confvault");
        Ok(Self { inner: Arc::new(Inner { objects: Objects::open(&objects), dir, cache }) })
    }

    /// Gives the directory of the repository, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Gives the directory for locks and caches, `confvault/`. It may be missing: see [`Repo::make_cache_dir`].
    #[must_use]
    pub fn cache_dir(&self) -> &Path {
        &self.inner.cache
    }

    /// Makes the directory for locks and caches, if someone removed it, and gives it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn make_cache_dir(&self) -> Result<&Path> {
        fsio::create_dir_all(&self.inner.cache, PRIVATE_DIR)?;
        Ok(&self.inner.cache)
    }

    pub(super) fn pack_dir(&self) -> PathBuf {
        self.inner.dir.join("objects/pack")
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.inner.objects
    }

    /// Reads all refs.
    ///
    /// # Errors
    /// A ref or `packed-refs` cannot be read or is corrupt.
    pub fn refs(&self) -> Result<Refs> {
        Refs::read(&self.inner.dir, &|id| self.peel(id).ok().flatten())
    }

    /// Takes the writers' lock, waiting at most `wait`. For changes beside a [`Batch`](super::Batch), which
    /// takes it itself.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub fn lock(&self, wait: Duration) -> Result<Lock> {
        Lock::take(&self.make_cache_dir()?.join("lock"), wait)
    }

    /// Gives the object that an annotated tag stands for at last; none where the object is no tag.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`], `ObjectCorrupt`.
    pub fn peel(&self, id: &ObjectId) -> Result<Option<ObjectId>> {
        let (mut at, mut peeled) = (*id, None);
        for _ in 0..32 {
            if self.header(&at)?.0 != Kind::Tag {
                return Ok(peeled);
            }
            at = tag_target(&self.tag(&at)?, &at)?.0;
            peeled = Some(at);
        }
        Err(Error::ObjectCorrupt { what: "tags upon tags".into(), id: *id })
    }

    /// Gives kind and size in bytes of an object without decoding it.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`], `ObjectCorrupt`, `CorruptFile`.
    pub fn header(&self, id: &ObjectId) -> Result<(Kind, u64)> {
        self.inner.objects.header(id)
    }

    /// Reads an object of at most `limit` bytes and checks it against its id.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`], `ObjectCorrupt`, `ObjectTooLarge`, `CorruptFile`.
    pub fn object(&self, id: &ObjectId, limit: u64) -> Result<Object> {
        self.inner.objects.object(id, limit, true)
    }

    /// Reads a blob of at most `limit` bytes, *without* comparing it with its id: the caller has its
    /// `stored` digest from the manifest and checks that.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn blob(&self, id: &ObjectId, limit: u64) -> Result<Vec<u8>> {
        of_kind(self.inner.objects.object(id, limit, false)?, Kind::Blob, id)
    }

    /// Reads a tree, checked against its id, to be parsed with `gix::objs::TreeRefIter::from_bytes`.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn tree(&self, id: &ObjectId) -> Result<Vec<u8>> {
        of_kind(self.object(id, SMALL_LIMIT)?, Kind::Tree, id)
    }

    /// Reads a commit, checked against its id, to be parsed with `gix::objs::CommitRef::from_bytes`.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn commit(&self, id: &ObjectId) -> Result<Vec<u8>> {
        of_kind(self.object(id, SMALL_LIMIT)?, Kind::Commit, id)
    }

    /// Reads an annotated tag, checked against its id, to be parsed with `gix::objs::TagRef::from_bytes`.
    ///
    /// # Errors
    /// As [`Repo::object`], and `ObjectKind`.
    pub fn tag(&self, id: &ObjectId) -> Result<Vec<u8>> {
        of_kind(self.object(id, SMALL_LIMIT)?, Kind::Tag, id)
    }
}

/// Tells a repository that lost `HEAD` or `config`, which hold nothing of the store, from a folder that is none.
fn check_small_files(dir: &Path) -> Result<()> {
    let has_packs = || std::fs::read_dir(dir.join("objects/pack")).is_ok_and(|mut packs| packs.next().is_some());
    let is_gone = |name: &str| matches!(std::fs::symlink_metadata(dir.join(name)), Err(e) if e.kind() == io::ErrorKind::NotFound);
    match ["HEAD", "config"].into_iter().find(|name| is_gone(name)) {
        Some(name) if dir.join("packed-refs").is_file() && has_packs() => {
            Err(Error::CorruptFile { what: "it is gone".into(), path: dir.join(name) })
        }
        _ => Ok(()),
    }
}

fn of_kind(object: Object, wanted: Kind, id: &ObjectId) -> Result<Vec<u8>> {
    if object.kind == wanted {
        return Ok(object.data);
    }
    Err(Error::ObjectKind { wanted, found: object.kind, id: *id })
}

/// Gives what a tag points to, and whether that is a tag again.
pub(super) fn tag_target(tag: &[u8], id: &ObjectId) -> Result<(ObjectId, bool)> {
    let target = || {
        let rest = tag.strip_prefix(b"object ")?;
        let (hex, rest) = rest.split_at_checked(40)?;
        let is_tag = rest.strip_prefix(b"\ntype ")?.starts_with(b"tag\n");
        Some((ObjectId::from_hex(hex).ok()?, is_tag))
    };
    target().ok_or_else(|| Error::ObjectCorrupt { what: "a tag without an object".into(), id: *id })
}

/// Refuses a directory that holds anything but parts of an unfinished repository.
fn refuse_foreign_content(dir: &Path) -> Result<()> {
    let exists = || Error::Exists { path: dir.to_owned() };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Err(exists()),
        Err(source) => return Err(Error::Read { path: dir.to_owned(), source }),
    };
    for entry in entries {
        let name = entry.map_err(|source| Error::Read { path: dir.to_owned(), source })?.file_name();
        let name = name.to_string_lossy();
        let ours = matches!(&*name, "objects" | "refs" | "confvault" | "config");
        if !ours && !name.starts_with(".config.tmp") && !name.starts_with(".HEAD.tmp") {
            return Err(exists());
        }
    }
    let has_object = |folder: &str| std::fs::read_dir(dir.join(folder)).is_ok_and(|mut d| d.next().is_some());
    if has_object("objects/pack") || has_object("refs/heads") || has_object("refs/tags") {
        return Err(exists());
    }
    Ok(())
}

/// Gives the number of the user of this process, and of the owner of a file.
pub(super) fn owner(path: &Path) -> io::Result<(u32, u32)> {
    Ok((rustix::process::geteuid().as_raw(), std::fs::metadata(path)?.uid()))
}
