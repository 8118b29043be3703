//! Sides in memory and on disk.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use confvault::diff::{Body, File, Options, Render, SetDiff, Side, Syntax, compare, render};
use confvault::model::{ConfigPath, Kind, Scope};

pub(crate) fn file(path: &str, bytes: &[u8]) -> File {
    File {
        scope: Scope::Voip,
        path: ConfigPath::new(path.as_bytes()).unwrap(),
        kind: Kind::File,
        mode: 0o644,
        owner: None,
        digest: None,
        body: Body::Bytes(bytes.to_vec()),
        syntax: Syntax::Plain,
    }
}

pub(crate) fn side(files: Vec<File>) -> Side {
    Side::new(files).unwrap()
}

pub(crate) fn one(text: &str, syntax: Syntax) -> Side {
    side(vec![File { syntax, ..file("etc/x.conf", text.as_bytes()) }])
}

pub(crate) fn diff(old: &Side, new: &Side) -> SetDiff {
    compare(old, new, &Options::default())
}

pub(crate) fn unified(diff: &SetDiff) -> Vec<u8> {
    let mut out = Vec::new();
    render::unified(diff, &Render::default(), &mut out).unwrap();
    out
}

pub(crate) fn text(run: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Writes a side below a directory, as a checkout has it: `voip/...`.
pub(crate) fn write(side: &Side, dir: &Path) {
    for file in side.files() {
        let place = dir.join(file.scope.as_str()).join(std::ffi::OsStr::from_bytes(file.path.as_bytes()));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let Body::Bytes(bytes) = &file.body else { panic!("no bytes") };
        match file.kind {
            Kind::Directory => fs::create_dir_all(place).unwrap(),
            Kind::Link => symlink(std::ffi::OsStr::from_bytes(bytes), place).unwrap(),
            Kind::File => {
                fs::write(&place, bytes).unwrap();
                fs::set_permissions(place, fs::Permissions::from_mode(file.mode)).unwrap();
            }
        }
    }
}

/// Path, kind (`x` may execute, `l` link) and content of what lies in a directory.
pub(crate) type Found = Vec<(Vec<u8>, char, Vec<u8>)>;

/// All files and links below a directory: path, "x" where executable or "l" for a link, content.
pub(crate) fn read(dir: &Path) -> Found {
    fn walk(dir: &Path, root: &Path, out: &mut Found) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                walk(&path, root, out);
            } else if meta.is_symlink() {
                out.push((name, 'l', fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()));
            } else {
                let kind = if meta.permissions().mode() & 0o100 != 0 { 'x' } else { '-' };
                out.push((name, kind, fs::read(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    walk(dir, dir, &mut out);
    out.sort();
    out
}

/// Runs a program in a directory with a patch on its standard input; gives its output, panics if it fails.
pub(crate) fn run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {all}\n{}", String::from_utf8_lossy(input));
    all
}

pub(crate) const GNU: (&str, &[&str]) = ("patch", &["-p1", "--fuzz=0", "--no-backup-if-mismatch"]);
pub(crate) const GIT: (&str, &[&str]) = ("git", &["apply", "--whitespace=nowarn", "-"]);

/// Applies the patch to the old side by a program and says what is there then.
pub(crate) fn applied(old: &Side, patch: &[u8], (program, args): (&str, &[&str])) -> (Found, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    write(old, &root);
    let said = run(program, args, &root, patch);
    (read(&root), said)
}

/// Demands that the patch makes the new side of the old one, without offset or fuzz.
pub(crate) fn assert_makes(old: &Side, new: &Side, patch: &[u8], program: (&str, &[&str])) {
    let dir = tempfile::tempdir().unwrap();
    write(new, dir.path());
    let (found, said) = applied(old, patch, program);
    assert_eq!(found, read(dir.path()), "{} said: {said}\n{}", program.0, String::from_utf8_lossy(patch));
    assert!(!said.contains("offset") && !said.contains("fuzz"), "{said}");
}
