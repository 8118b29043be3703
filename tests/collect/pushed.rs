//! Pushed archives: the honest ones, and those that attack.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use confvault::collect::{CollectError, Collected, Context, Network, collect};
use confvault::inventory::ByteSize;
use confvault::model::Content;
use confvault::profile::Profiles;

use crate::env::TestEnv;
use crate::limits::watched;
use crate::rig::{Rig, file, whole};

fn push(rig: &Rig, archive: &Path) -> Result<Collected, CollectError> {
    let device = rig.device("source = \"push:\"\nprofile = \"generic\"\nrelease = \"1\"\n");
    let profile = Profiles::load(None).unwrap().get("generic").unwrap();
    let spool = rig.path("spool");
    let network = Network::new();
    let context = Context::new(rig.dir.path(), &spool, &rig.policy, &|_| None, None, &rig.cancel, &network);
    let context = Context { pushed: Some(archive), ..context };
    collect(&device, &profile, None, &context)
}

/// Headers written by hand, as no honest program writes such names.
fn raw(name: &[u8], kind: u8, link: &[u8], body: &[u8], size: usize) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut out = header;
    out.extend_from_slice(body);
    out.resize(out.len().div_ceil(512) * 512, 0);
    out
}

fn archive(rig: &Rig, parts: &[Vec<u8>]) -> PathBuf {
    let file = rig.path("pushed.tar");
    fs::write(&file, [parts.concat(), vec![0; 1024]].concat()).unwrap();
    file
}

fn plain(name: &str, body: &[u8]) -> Vec<u8> {
    raw(name.as_bytes(), b'0', b"", body, body.len())
}

#[test]
fn hard_links_count_as_what_they_give() {
    let mut rig = Rig::new();
    let links = (0..100).map(|i| raw(format!("l{i}").as_bytes(), b'1', b"a", b"", 0));
    let parts: Vec<_> = std::iter::once(plain("a", &vec![b'x'; 1 << 20])).chain(links).collect();
    let pushed = archive(&rig, &parts);
    // All names of one content: what is beyond 32 MiB is not held in memory.
    let collected = push(&rig, &pushed).unwrap();
    let held: usize = collected.set.entries().iter().map(|e| if let Content::Bytes(b) = &e.content { b.len() } else { 0 }).sum();
    assert_eq!((collected.set.entries().len(), held), (101, 32 << 20));
    rig.policy.max_size = ByteSize(50 << 20);
    assert!(matches!(push(&rig, &pushed), Err(CollectError::TooLarge { .. })));
}

#[test]
fn an_archive_of_tar_is_a_set() {
    let rig = Rig::new();
    fs::create_dir_all(rig.path("t/sub/empty")).unwrap();
    fs::write(rig.path("t/a.conf"), "alpha\n").unwrap();
    fs::hard_link(rig.path("t/a.conf"), rig.path("t/sub/b.conf")).unwrap();
    std::os::unix::fs::symlink("../../etc/passwd", rig.path("t/link")).unwrap();
    let long = "n".repeat(150);
    fs::write(rig.path("t").join(&long), "long\n").unwrap();
    let tar = rig.path("x.tar");
    let done = std::process::Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(rig.path("t")).arg(".").status();
    assert!(done.unwrap().success());
    let collected = push(&rig, &tar).unwrap_or_else(|e| panic!("{}", whole(&e)));
    assert_eq!(file(&collected, "a.conf"), b"alpha\n");
    assert_eq!(file(&collected, "sub/b.conf"), b"alpha\n");
    assert_eq!(file(&collected, "link"), b"../../etc/passwd");
    assert_eq!(file(&collected, &long), b"long\n");
    assert!(collected.set.entries().iter().any(|e| e.path.to_string() == "sub/empty"));

    // Cut anywhere, it is refused: also between two files, and without its end.
    let bytes = fs::read(&tar).unwrap();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap() / 512 * 512 + 512;
    for cut in (0..=end).step_by(256) {
        fs::write(rig.path("cut.tar"), &bytes[..cut]).unwrap();
        assert!(push(&rig, &rig.path("cut.tar")).is_err(), "cut at {cut} of {}", bytes.len());
    }
}

#[test]
fn hostile_archives_are_refused_and_touch_nothing() {
    let rig = Rig::new();
    let outside = rig.path("outside");
    fs::write(&outside, "untouched").unwrap();
    let good = plain("ok", b"x");
    let huge_pax = b"19 size=1073741824\n";
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("..", vec![plain("../outside", b"evil")]),
        ("absolute", vec![plain("/etc/passwd", b"evil")]),
        ("in the middle", vec![plain("a/../../outside", b"evil")]),
        ("dot in the middle", vec![plain("a/./b", b"evil")]),
        ("twice", vec![good.clone(), good.clone()]),
        ("twice with a dot", vec![good.clone(), plain("./ok", b"y")]),
        ("link then file below", vec![raw(b"d", b'2', b"/etc", b"", 0), plain("d/passwd", b"evil")]),
        ("link then folder", vec![raw(b"d", b'2', b"/etc", b"", 0), raw(b"d/", b'5', b"", b"", 0)]),
        ("file then folder", vec![plain("d", b"x"), raw(b"d/", b'5', b"", b"", 0)]),
        ("hard link out", vec![raw(b"h", b'1', b"../outside", b"", 0)]),
        ("hard link to nothing", vec![raw(b"h", b'1', b"nothing", b"", 0)]),
        ("device", vec![raw(b"null", b'3', b"", b"", 0)]),
        ("FIFO", vec![raw(b"fifo", b'6', b"", b"", 0)]),
        ("two sizes", vec![raw(b"PaxHeaders", b'x', b"", huge_pax, huge_pax.len()), plain("f", b"1234")]),
        ("cut in a file", vec![raw(b"f", b'0', b"", b"12", 100_000)]),
        ("nothing", vec![]),
    ];
    for (what, parts) in cases {
        let parts: Vec<Vec<u8>> = parts;
        let error = push(&rig, &archive(&rig, &parts));
        assert!(error.is_err(), "{what} was taken: {:?}", error.unwrap().set);
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
}

#[test]
fn bombs_stop_at_the_limits() {
    let mut rig = Rig::new();
    rig.policy.max_files = 1000;
    rig.policy.max_size = ByteSize(1 << 20);
    let many: Vec<Vec<u8>> = (0..1100).map(|i| plain(&format!("f{i}"), b"")).collect();
    assert!(matches!(push(&rig, &archive(&rig, &many)), Err(CollectError::TooMany { limit: 1000 })));
    let large = [raw(b"big", b'0', b"", &vec![0; 2 << 20], 2 << 20)];
    assert!(matches!(push(&rig, &archive(&rig, &large)), Err(CollectError::TooLarge { .. })));
    let claims = [raw(b"big", b'0', b"", b"x", 7 << 30)];
    assert!(matches!(push(&rig, &archive(&rig, &claims)), Err(CollectError::TooLarge { .. })));
    let deep = format!("{}x", "d/".repeat(48));
    assert!(push(&rig, &archive(&rig, &[plain(&deep, b"x")])).is_ok());
}

/// Feeds an archive to the program, and gives its exit code, what it said, and the peak of its memory in KiB.
fn fed(env: &TestEnv, parts: impl Iterator<Item = Vec<u8>> + Send) -> (i32, String, u64) {
    let mut command = env.command(&["snapshot", "p", "--from", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    std::thread::scope(|scope| {
        // It may stop reading at any time.
        scope.spawn(move || parts.map(|part| input.write_all(&part)).find(Result::is_err));
        watched(child)
    })
}

#[test]
fn bombs_cost_little_memory() {
    let env = TestEnv::with_store();
    env.cv(&["device", "add", "p", "--source", "push:", "--profile", "generic", "--release", "1"]).succeeded();
    let limits = env.read("confvault.toml").replace("[policy]\n", "[policy]\nmax_size = \"128 MiB\"\n");
    env.write("confvault.toml", limits);
    let zeros = vec![0; 8 << 20];
    let deep = format!("{}x", "d/".repeat(10_000));
    let long = raw(b"././@LongLink", b'L', b"", deep.as_bytes(), deep.len());
    let claims = raw(b"big", b'0', b"", b"", 7 << 30);
    let zeros = &zeros;
    let bombs: [(&str, &str, Box<dyn Iterator<Item = Vec<u8>> + Send>); 4] = [
        ("10^6 entries", "more than 200000", Box::new((0..1_000_000).map(|n| plain(&format!("f{n}"), b"")))),
        ("10^4 levels", "name that cannot be kept", Box::new([long, plain("x", b"")].into_iter())),
        ("10 GiB of zeros", "more than 134217728 bytes", Box::new((0..1280).map(|n| plain(&format!("f{n}"), zeros)))),
        (
            "a file that says 7 GiB",
            "more than 134217728 bytes",
            Box::new(std::iter::once(claims).chain((0..1024).map(|_| zeros.clone()))),
        ),
    ];
    for (what, says, parts) in bombs {
        let (code, said, peak) = fed(&env, parts);
        assert!(code == 3 && said.contains(says), "{what}: exit code {code}: {said}");
        assert!(peak > 1 << 10 && peak < 256 << 10, "{what}: {peak} KiB");
    }
}

/// What is sealed of a large file, and what is read back of it, is a few pieces at a time.
#[test]
fn a_large_file_is_sealed_in_little_memory() {
    let env = TestEnv::new();
    env.cv(&["init", ".", "--collector", "central"]).succeeded();
    fs::create_dir_all(env.path("d")).unwrap();
    let made = "head -c 201326592 /dev/urandom > \"$1\"";
    assert!(Command::new("sh").args(["-c", made, "sh"]).arg(env.path("d/core.bin")).status().unwrap().success());
    env.cv(&["device", "add", "d", "--source", "dir:d", "--profile", "generic", "--release", "1"]).succeeded();
    let child = env.command(&["snapshot"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (code, said, peak) = watched(child);
    assert!(code == 0 && said.contains("1 new"), "exit code {code}: {said}");
    assert!(peak > 1 << 10 && peak < 96 << 10, "{peak} KiB");
    let listed = env.cv(&["ls", "d", "--json"]).json();
    assert!(listed["entries"][0]["form"].as_str().unwrap().contains("sealed"), "{listed}");
}

#[test]
fn setuid_is_a_mode_like_others_in_a_set_and_does_not_come_out_by_itself() {
    let env = TestEnv::with_store();
    env.cv(&["device", "add", "p", "--source", "push:", "--profile", "generic", "--release", "1"]).succeeded();
    let mut header = plain("tool", b"#!/bin/sh\n");
    header[100..107].copy_from_slice(b"0006755");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header[..512].iter().map(|b| u32::from(*b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    fs::write(env.path("p.tar"), [header, vec![0; 1024]].concat()).unwrap();
    env.cv(&["snapshot", "p", "--from", "p.tar"]).succeeded();
    let mode = |dir: &str| fs::metadata(env.path(dir).join("tool")).unwrap().permissions().mode() & 0o7777;
    env.cv(&["restore", "p", "--to", "usual"]).succeeded();
    assert_eq!(mode("usual"), 0o755);
    env.cv(&["restore", "p", "--to", "asked", "--special-bits"]).succeeded();
    // Whose owner could not be set gets none of it either way.
    let wanted = if rustix::process::geteuid().is_root() { 0o6755 } else { mode("asked") & 0o755 };
    assert_eq!(mode("asked"), wanted);
}
