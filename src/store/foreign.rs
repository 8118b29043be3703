//! A repository of somebody else, read only.
//!
//! Nothing of it is run, followed or believed: of its settings only the formats of objects and refs are
//! looked at, objects elsewhere (alternates) are refused, every object is compared with its id, and sizes
//! are known before anything is inflated. So it may belong to another user, and it may be hostile.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gix::ObjectId;
use gix::objs::Kind;

use super::error::Error;
use super::object::{self, Ident, TREE, TreeEntry};
use super::objects::Objects;
use super::refs::Refs;

/// The largest commit and the largest tree that are read, in bytes.
const COMMIT_LIMIT: u64 = 1 << 20;
const TREE_LIMIT: u64 = 64 << 20;
/// The largest file beside the objects that is read, in bytes.
const FILE_LIMIT: u64 = 16 << 20;

/// Says why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// There is none.
    #[error("No git repository here: {}", .0.display())]
    NotThere(PathBuf),
    /// It has something that this reader does not follow or know.
    #[error("Repository is not read ({what}): {}", path.display())]
    Unsupported {
        /// What it has.
        what: &'static str,
        /// The repository.
        path: PathBuf,
    },
    /// The branch is not there, or nothing was ever committed.
    #[error("Repository has no branch {name}: {}", path.display())]
    NoBranch {
        /// The branch.
        name: String,
        /// The repository.
        path: PathBuf,
    },
    /// An object or a file of it is missing, damaged or hostile.
    #[error("Repository is damaged: {}", path.display())]
    Damaged {
        /// The repository.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Box<Error>,
    },
}

/// A commit of a foreign history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignCommit {
    /// Its id.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Its first parent.
    pub parent: Option<ObjectId>,
    /// Name and address of the author, without control characters; shared by all commits of the author.
    pub author: Arc<(String, String)>,
    /// When the author wrote it; where the commit does not say, when it was committed, or 1970.
    pub time: DateTime<Utc>,
}

/// An open foreign repository; all methods work from many threads.
#[derive(Debug)]
pub struct Foreign {
    dir: PathBuf,
    objects: Objects,
    /// Commits whose parents were never fetched.
    shallow: HashSet<ObjectId>,
}

impl Foreign {
    /// Opens the repository at a path: a bare one, or the `.git` of a working tree.
    ///
    /// # Errors
    /// [`ForeignError::NotThere`], `Unsupported`, `Damaged`.
    pub fn open(path: &Path) -> Result<Self, ForeignError> {
        let dir = git_dir(path)?;
        let unsupported = |what| ForeignError::Unsupported { what, path: dir.clone() };
        for file in ["objects/info/alternates", "objects/info/http-alternates", "commondir"] {
            if fs::symlink_metadata(dir.join(file)).is_ok() {
                return Err(unsupported("it takes objects from another repository"));
            }
        }
        check_formats(&dir)?;
        let text = read_small(&dir, "shallow")?.unwrap_or_default();
        let shallow = text.split(|b| *b == b'\n').filter_map(|line| ObjectId::from_hex(line).ok()).collect();
        Ok(Self { objects: Objects::open(&dir.join("objects")), dir, shallow })
    }

    /// Tells whether the beginning of the history was never fetched.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        !self.shallow.is_empty()
    }

    fn damaged(&self, source: Error) -> ForeignError {
        ForeignError::Damaged { path: self.dir.clone(), source: Box::new(source) }
    }

    /// Finds the newest commit of a branch, or of the one that `HEAD` names.
    ///
    /// # Errors
    /// [`ForeignError::NoBranch`], `Damaged`.
    pub fn head(&self, branch: Option<&str>) -> Result<ObjectId, ForeignError> {
        let refs = Refs::read(&self.dir, &|_| None).map_err(|e| self.damaged(e))?;
        let name = match branch {
            Some(name) => format!("refs/heads/{}", name.strip_prefix("refs/heads/").unwrap_or(name)),
            None => {
                let head = read_small(&self.dir, "HEAD")?.unwrap_or_default();
                let head = String::from_utf8_lossy(&head).trim().to_owned();
                match head.strip_prefix("ref:") {
                    Some(name) => name.trim().to_owned(),
                    None => return ObjectId::from_hex(head.as_bytes()).map_err(|_| self.no_branch("HEAD")),
                }
            }
        };
        refs.get(&name).map(|r| r.id).ok_or_else(|| self.no_branch(name.strip_prefix("refs/heads/").unwrap_or(&name)))
    }

    fn no_branch(&self, name: &str) -> ForeignError {
        ForeignError::NoBranch { name: name.chars().flat_map(char::escape_default).take(200).collect(), path: self.dir.clone() }
    }

    /// Reads the line of first parents that ends in a commit, oldest first.
    ///
    /// # Errors
    /// [`ForeignError::Damaged`].
    pub fn line(&self, head: ObjectId) -> Result<Vec<ForeignCommit>, ForeignError> {
        let mut authors: HashMap<(String, String), Arc<(String, String)>> = HashMap::new();
        let (mut line, mut next) = (Vec::new(), Some(head));
        while let Some(id) = next {
            let data = self.object(&id, Kind::Commit, COMMIT_LIMIT)?;
            let mut commit = parse_commit(id, &data).map_err(|what| self.corrupt(what, id))?;
            let shared = authors.entry((*commit.author).clone()).or_insert_with(|| Arc::clone(&commit.author));
            commit.author = Arc::clone(shared);
            next = commit.parent.filter(|_| !self.shallow.contains(&id));
            line.push(commit);
        }
        line.reverse();
        Ok(line)
    }

    /// Reads the message of a commit.
    ///
    /// # Errors
    /// [`ForeignError::Damaged`].
    pub fn message(&self, id: &ObjectId) -> Result<String, ForeignError> {
        let data = self.object(id, Kind::Commit, COMMIT_LIMIT)?;
        let at = memchr::memmem::find(&data, b"\n\n").map_or(data.len(), |at| at + 2);
        Ok(String::from_utf8_lossy(&data[at..]).into_owned())
    }

    /// Reads a tree, sorted by name; every name stands in it once and is one component.
    ///
    /// # Errors
    /// [`ForeignError::Damaged`], also for a hostile tree.
    pub fn tree(&self, id: &ObjectId) -> Result<Vec<TreeEntry>, ForeignError> {
        let data = self.object(id, Kind::Tree, TREE_LIMIT)?;
        let mut entries = object::parse_tree(&data).map_err(|e| self.corrupt(e.0, *id))?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if entries.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err(self.corrupt("a tree with one name twice", *id));
        }
        let bad = |name: &[u8]| name.is_empty() || name == b"." || name == b".." || name.contains(&b'/');
        if entries.iter().any(|entry| bad(&entry.name)) {
            return Err(self.corrupt("a tree with a name that leads elsewhere", *id));
        }
        // Old programs wrote the mode of a tree in another way.
        entries.iter_mut().filter(|e| e.mode & 0o170_000 == TREE).for_each(|e| e.mode = TREE);
        Ok(entries)
    }

    /// Reads a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ForeignError::Damaged`].
    pub fn blob(&self, id: &ObjectId, limit: u64) -> Result<Vec<u8>, ForeignError> {
        self.object(id, Kind::Blob, limit)
    }

    fn object(&self, id: &ObjectId, wanted: Kind, limit: u64) -> Result<Vec<u8>, ForeignError> {
        let object = self.objects.object(id, limit, true).map_err(|e| self.damaged(e))?;
        match object.kind == wanted {
            true => Ok(object.data),
            false => Err(self.damaged(Error::ObjectKind { wanted, found: object.kind, id: *id })),
        }
    }

    fn corrupt(&self, what: &str, id: ObjectId) -> ForeignError {
        self.damaged(Error::ObjectCorrupt { what: what.to_owned(), id })
    }
}

/// Finds the directory of a repository.
fn git_dir(path: &Path) -> Result<PathBuf, ForeignError> {
    let is_one = |dir: &Path| dir.join("HEAD").is_file() && dir.join("objects").is_dir();
    let inner = path.join(".git");
    if is_one(path) {
        Ok(path.to_owned())
    } else if is_one(&inner) {
        Ok(inner)
    } else if inner.is_file() {
        Err(ForeignError::Unsupported { what: "a working tree whose repository lies elsewhere", path: path.to_owned() })
    } else {
        Err(ForeignError::NotThere(path.to_owned()))
    }
}

/// Refuses formats of objects and refs that this reader does not know; no other setting counts.
fn check_formats(dir: &Path) -> Result<(), ForeignError> {
    let unsupported = |what| Err(ForeignError::Unsupported { what, path: dir.to_owned() });
    let Some(text) = read_small(dir, "config")? else { return Ok(()) };
    let meta = gix::config::file::Metadata::api();
    let Ok(config) = gix::config::File::from_bytes_no_includes(&text, meta, gix::config::file::init::Options::default()) else {
        return unsupported("its settings do not parse");
    };
    for section in config.sections().filter(|s| s.header().name().eq_ignore_ascii_case(b"extensions")) {
        let is = |key: &str, known: &str| {
            let values = section.body().values(key);
            values.iter().all(|value| value.eq_ignore_ascii_case(known.as_bytes()))
        };
        if !is("objectformat", "sha1") {
            return unsupported("its objects have other names than SHA-1");
        }
        if !is("refstorage", "files") {
            return unsupported("its refs are not files");
        }
    }
    Ok(())
}

/// Reads a small file of the repository; nothing if it is not there.
fn read_small(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, ForeignError> {
    let path = dir.join(name);
    let damaged = |source| ForeignError::Damaged { path: dir.to_owned(), source: Box::new(source) };
    match fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(damaged(Error::Read { path, source })),
        Ok(meta) if !meta.is_file() || meta.len() > FILE_LIMIT => {
            return Err(damaged(Error::CorruptFile { what: "no file, or too large".into(), path }));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(&path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(source) => Err(damaged(Error::Read { path, source })),
    }
}

/// Reads a commit; who wrote it may be written in any way.
fn parse_commit(id: ObjectId, data: &[u8]) -> Result<ForeignCommit, &'static str> {
    let (mut tree, mut parent, mut author, mut committer) = (None, None, None, None);
    for line in data.split(|b| *b == b'\n').take_while(|line| !line.is_empty()) {
        if let Some(hex) = line.strip_prefix(b"tree ") {
            tree = tree.or(ObjectId::from_hex(hex).ok());
        } else if let Some(hex) = line.strip_prefix(b"parent ") {
            parent = parent.or(Some(ObjectId::from_hex(hex).map_err(|_| "a commit with a parent that is no id")?));
        } else if let Some(text) = line.strip_prefix(b"author ") {
            author = author.or(Ident::parse(text));
        } else if let Some(text) = line.strip_prefix(b"committer ") {
            committer = committer.or(Ident::parse(text));
        }
    }
    let time = author.as_ref().or(committer.as_ref()).map_or(DateTime::UNIX_EPOCH, |ident| ident.time);
    let ident = author.or(committer).map(|ident| Ident::new(&ident.name, &ident.email, time));
    let author = ident.map_or_else(|| ("unknown".to_owned(), "unknown".to_owned()), |ident| (ident.name, ident.email));
    Ok(ForeignCommit { id, tree: tree.ok_or("a commit without a tree")?, parent, author: Arc::new(author), time })
}
