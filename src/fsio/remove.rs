//! Removing a folder with all that is in it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::fault::{self, Step};
use super::{Error, PRIVATE_DIR, Result, unlink};

/// Removes a folder of ours with everything in it, also what is in folders that nobody may write to. One that is not
/// there is no error; of a link only the link goes.
///
/// A test may stop the world before each entry of the folder, and before the folder itself.
///
/// # Errors
/// The disk refused; something is left.
pub fn remove_all(dir: &Path) -> Result<()> {
    let failed = |error| Error::new("remove", dir, error);
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(meta) if !meta.is_dir() => return unlink(dir),
        _ => {}
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        fault::step(Step::Unlink, &path).map_err(|error| Error::new("remove", &path, error))?;
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // What cannot be removed so is tried again below, and its error told there.
        drop(if is_dir { tree(&path) } else { fs::remove_file(&path) });
    }
    fault::step(Step::Unlink, dir).and_then(|_| tree(dir)).map_err(failed)
}

fn tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        done => return done,
    }
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(PRIVATE_DIR))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_goes_whole_and_what_links_lead_to_stays() {
        let above = tempfile::tempdir().unwrap();
        let (dir, other) = (above.path().join("dir"), above.path().join("other"));
        remove_all(&dir).unwrap();
        for folder in [dir.join("a/b"), dir.join("empty"), other.clone()] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in [dir.join("file"), dir.join("a/file"), dir.join("a/b/file"), other.join("kept")] {
            fs::write(file, "x").unwrap();
        }
        symlink(&other, dir.join("link")).unwrap();
        symlink(&other, dir.join("a/link")).unwrap();
        for closed in [dir.join("a/b"), dir.join("empty"), dir.clone()] {
            fs::set_permissions(closed, Permissions::from_mode(0o500)).unwrap();
        }
        remove_all(&dir).unwrap();
        assert!(!dir.exists() && other.join("kept").exists());
        symlink(&other, &dir).unwrap();
        remove_all(&dir).unwrap();
        assert!(dir.symlink_metadata().is_err() && other.join("kept").exists());
    }
}
