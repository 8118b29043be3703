//! The room `seal` against the real `age`, `ssh-keygen` and `git`, and against hostile input.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use confvault::seal::{
    AllowedSigner, EpochIdentity, Error, Identities, Opener, Recipients, Sealer, Secret, SigningKey, parse_signers, protect,
    signer_of, verify, write_signers,
};

fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    output
}

fn ok(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let output = run(command, input);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn file(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn never(_: confvault::seal::PassphraseFor) -> Option<Secret> {
    panic!("a passphrase was asked for")
}

// ---------------------------------------------------------------- age

#[test]
fn age_opens_the_epoch_and_what_was_sealed_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let own = EpochIdentity::generate();
    let own_file = file(dir.path(), "own.txt", own.to_text().as_bytes(), 0o600);
    let epoch = EpochIdentity::generate();
    let recipients = Recipients::parse(own.recipient().to_string().as_bytes()).unwrap();
    let identity_age = recipients.seal(epoch.to_text().as_bytes()).unwrap();
    let sealed = Sealer::new(1, epoch.recipient()).seal(b"the plain text").unwrap();

    // Two steps of the `age` program, as docs/format.md shows them.
    let opened = ok(Command::new("age").arg("-d").arg("-i").arg(&own_file), &identity_age);
    let epoch_file = file(dir.path(), "epoch.txt", &opened, 0o600);
    assert_eq!(ok(Command::new("age").arg("-d").arg("-i").arg(&epoch_file), &sealed), b"the plain text");

    // And back: what `age` sealed, we open.
    let theirs = ok(Command::new("age").arg("-r").arg(epoch.recipient().to_string()), b"from age");
    let identities = Identities::read(&own_file, &mut never).unwrap();
    let opener = Opener::unlock(&identities, [(1, identity_age)]).unwrap();
    assert_eq!(opener.open(1, &theirs, 100).unwrap().expose(), b"from age");
    assert_eq!(opener.open(1, &sealed, 100).unwrap().expose(), b"the plain text");
    assert!(matches!(opener.open(1, &sealed, 5), Err(Error::TooLarge { limit: 5 })));
    assert!(matches!(opener.open(2, &sealed, 100), Err(Error::EpochUnknown(2))));
    assert_ne!(Sealer::new(1, epoch.recipient()).seal(b"x").unwrap(), Sealer::new(1, epoch.recipient()).seal(b"x").unwrap());
}

fn ssh_key(dir: &Path, name: &str, passphrase: &str, kind: &str) -> PathBuf {
    let path = dir.join(name);
    ok(
        Command::new("ssh-keygen").args(["-q", "-t", kind, "-a", "16", "-N", passphrase, "-C", "admin@example", "-f"]).arg(&path),
        b"",
    );
    path
}

#[test]
fn ssh_keys_open_encrypted_or_not() {
    let dir = tempfile::tempdir().unwrap();
    for (name, passphrase) in [("plain", ""), ("locked", "correct horse")] {
        let path = ssh_key(dir.path(), name, passphrase, "ed25519");
        let public = path.with_extension("pub");
        let recipients = Recipients::from_argument(public.to_str().unwrap()).unwrap();
        assert_eq!(recipients.iter().next().unwrap().comment(), "admin@example");
        let sealed = recipients.seal(b"for ssh").unwrap();
        let mut asked = 0;
        let mut ask = |_| {
            asked += 1;
            Some(Secret::new(passphrase))
        };
        let identities = Identities::read(&path, &mut ask).unwrap();
        assert_eq!(asked, usize::from(!passphrase.is_empty()));
        assert_eq!(identities.open(&sealed, 100).unwrap().expose(), b"for ssh");
        assert_eq!(identities.open(&sealed, 100).unwrap().expose(), b"for ssh");
    }
    let path = dir.path().join("locked");
    assert!(matches!(Identities::read(&path, &mut |_| Some(Secret::new("wrong"))), Err(Error::Key)));
    assert!(matches!(Identities::read(&path, &mut |_| None), Err(Error::Key)));
    let rsa = ssh_key(dir.path(), "rsa", "", "rsa");
    assert!(matches!(Identities::read(&rsa, &mut never), Err(Error::NotAKey { .. })));
}

#[test]
fn an_identity_behind_a_passphrase_opens() {
    let dir = tempfile::tempdir().unwrap();
    let own = EpochIdentity::generate();
    let sealed = own.recipient().seal(b"x").unwrap();
    let locked = protect(&own.to_text(), &Secret::new("correct horse")).unwrap();
    assert!(locked.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let path = file(dir.path(), "locked.age", &locked, 0o600);
    let identities = Identities::read(&path, &mut |_| Some(Secret::new("correct horse"))).unwrap();
    assert_eq!(identities.open(&sealed, 100).unwrap().expose(), b"x");
    assert!(matches!(Identities::read(&path, &mut |_| Some(Secret::new("wrong"))), Err(Error::Key)));
    assert!(matches!(Identities::read(&path, &mut |_| None), Err(Error::Key)));
    assert!(protect("x", &Secret::new("")).is_err());
}

#[test]
fn wrong_missing_and_forgotten_keys_are_one_error() {
    let sealed = EpochIdentity::generate().recipient().seal(b"x").unwrap();
    let wrong = Identities::from(&EpochIdentity::generate()).open(&sealed, 100).unwrap_err();
    let missing = Identities::default().open(&sealed, 100).unwrap_err();
    assert!(matches!((&wrong, &missing), (Error::Key, Error::Key)));
    assert_eq!(wrong.to_string(), missing.to_string());
}

#[test]
fn any_flipped_bit_and_any_cut_is_noticed() {
    let epoch = EpochIdentity::generate();
    let mut opener = Opener::default();
    opener.insert(1, epoch.clone());
    let sealed = Sealer::new(1, epoch.recipient()).seal(b"some plain text").unwrap();
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(opener.open(1, &flipped, 100).is_err(), "byte {at}");
        assert!(opener.open(1, &sealed[..at], 100).is_err(), "cut at {at}");
    }
    let large = Sealer::new(1, epoch.recipient()).seal(&vec![7; 200_000]).unwrap();
    for cut in [65_536, 131_072 + 300, large.len() - 16, large.len() - 1] {
        let mut out = Vec::new();
        let mut reader = opener.reader(1, &large[..cut]).unwrap();
        assert!(reader.read_to_end(&mut out).is_err(), "cut at {cut}");
    }
}

#[test]
fn key_files_that_others_can_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = EpochIdentity::generate().to_text();
    for mode in [0o640, 0o604, 0o644, 0o660, 0o666, 0o601] {
        let path = file(dir.path(), "own.txt", text.as_bytes(), mode);
        assert!(matches!(Identities::read(&path, &mut never), Err(Error::KeyFileOpen { .. })), "{mode:o}");
        let key = SigningKey::generate("c").unwrap();
        let path = file(dir.path(), "key", key.to_openssh().as_bytes(), mode);
        assert!(matches!(SigningKey::load(&path), Err(Error::KeyFileOpen { .. })), "{mode:o}");
    }
    let path = file(dir.path(), "own.txt", text.as_bytes(), 0o400);
    assert_eq!(format!("{:?}", Identities::read(&path, &mut never).unwrap()), "Identities(1)");
}

#[test]
fn hostile_key_material_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let big = file(dir.path(), "big", &vec![b'#'; 17 << 20], 0o600);
    assert!(matches!(Recipients::from_argument(big.to_str().unwrap()), Err(Error::KeyFileSize { .. })));
    assert!(matches!(Identities::read(&big, &mut never), Err(Error::KeyFileSize { .. })));
    for bad in [
        "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
        "age1../../x1qqqqqqqq",
        "age1a/b1qqqq",
        "age1",
        "age1qqqq",
        "AGE1YUBIKEY1QQQ",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256 AAAA",
        "sk-ssh-ed25519@openssh.com AAAA",
        "AGE-PLUGIN-YUBIKEY-1QQQ",
        "age1tag1qqqq",
        "age1pq1qqqq",
    ] {
        assert!(Recipients::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let secret = EpochIdentity::generate().to_text();
    let line = secret.lines().last().unwrap();
    let error = Recipients::parse(line.as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&line[16..24]), "{error}");
    for bad in
        ["AGE-PLUGIN-X-1QQQ", "AGE-SECRET-KEY-1QQQ", "", "# nothing\n", "../../bin/sh", "-----BEGIN OPENSSH PRIVATE KEY-----\n"]
    {
        let path = file(dir.path(), "bad", bad.as_bytes(), 0o600);
        let error = Identities::read(&path, &mut never).unwrap_err();
        assert!(matches!(error, Error::NotAKey { .. }), "{bad}: {error:?}");
    }
    // A work factor of 2^30 and a bcrypt of a million rounds would take hours.
    let locked = protect("x", &Secret::new("p")).unwrap();
    let text = String::from_utf8_lossy(&locked).into_owned();
    let salt = text.lines().nth(1).unwrap().split(' ').nth(2).unwrap().to_owned();
    let at = memchr::memmem::find(&locked, salt.as_bytes()).unwrap() + salt.len();
    let mut hard = locked.clone();
    hard.splice(at + 1..at + 3, *b"30");
    let path = file(dir.path(), "hard", &hard, 0o600);
    assert!(matches!(Identities::read(&path, &mut |_| Some(Secret::new("p"))), Err(Error::Work { .. })));
    let path = ssh_key(dir.path(), "rounds", "pass", "ed25519");
    let key = ssh_key::PrivateKey::read_openssh_file(&path).unwrap();
    let ssh_key::Kdf::Bcrypt { salt, .. } = key.kdf().clone() else { panic!("not bcrypt") };
    // Only the number is changed; whether it opens does not matter, as it must not be tried.
    let pem = key.to_openssh(ssh_key::LineEnding::LF).unwrap();
    let body: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
    let mut raw = base64_decode(&body);
    let at = memchr::memmem::find(&raw, &salt).unwrap() + salt.len();
    raw[at..at + 4].copy_from_slice(&1_000_000u32.to_be_bytes());
    let mut pem = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in base64_encode(&raw).as_bytes().chunks(70) {
        pem.push_str(std::str::from_utf8(line).unwrap());
        pem.push('\n');
    }
    pem.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    let path = file(dir.path(), "rounds2", pem.as_bytes(), 0o600);
    assert!(matches!(Identities::read(&path, &mut |_| Some(Secret::new("pass"))), Err(Error::Work { .. })));
}

const B64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_decode(text: &str) -> Vec<u8> {
    let bits = text.bytes().filter_map(|b| B64.iter().position(|c| *c == b));
    let (mut out, mut acc, mut n) = (Vec::new(), 0u32, 0);
    for value in bits {
        acc = acc << 6 | u32::try_from(value).unwrap();
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push(u8::try_from(acc >> n & 255).unwrap());
        }
    }
    out
}

fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let c = char::from(B64[(n >> (18 - 6 * i) & 63) as usize]);
            out.push(if i <= chunk.len() { c } else { '=' });
        }
    }
    out
}

#[test]
fn recipients_are_written_as_they_are_read() {
    let (a, b) = (EpochIdentity::generate().recipient(), EpochIdentity::generate().recipient());
    let text = format!("# who may read\n\n{a} alice on call\n{b}\n{a} twice\n");
    let mut list = Recipients::parse(text.as_bytes()).unwrap();
    assert_eq!(list.to_text(), format!("{a} alice on call\n{b}\n"));
    assert_eq!(Recipients::parse(list.to_text().as_bytes()).unwrap(), list);
    assert!(list.remove("nobody").is_empty() && list.remove("").is_empty());
    assert_eq!(list.remove("alice on call").len(), 1);
    assert_eq!(list.remove(&b.to_string()).len(), 1);
    assert!(matches!(list.seal(b"x"), Err(Error::NoRecipient)));
}

/// Counts what passes through, so that a stream of 1 GiB needs no disk.
#[derive(Default)]
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn sealing_streams() {
    // The stream keeps no more than a piece: a sink that fails after 1 MiB stops the writer at once.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sealer = Sealer::new(1, EpochIdentity::generate().recipient());
    let mut writer = sealer.writer(Full(1 << 20)).unwrap();
    let piece = vec![1u8; 65_536];
    let written = (0..64).take_while(|_| writer.write_all(&piece).is_ok()).count();
    assert!((15..=16).contains(&written), "{written} pieces were taken");
    let mut writer = sealer.writer(Count::default()).unwrap();
    for _ in 0..64 {
        writer.write_all(&piece).unwrap();
    }
    assert!(writer.finish().unwrap().0 > 4 << 20);
}

// ---------------------------------------------------------------- signatures

#[test]
fn ssh_keygen_and_git_accept_our_signatures() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing.key");
    let key = SigningKey::create(&path, "central").unwrap();
    assert!(SigningKey::create(&path, "central").is_err(), "an existing key was overwritten");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let loaded = SigningKey::load(&path).unwrap();
    assert_eq!(loaded.public(), key.public());

    // The fingerprint is OpenSSH's.
    let shown = ok(Command::new("ssh-keygen").arg("-lf").arg(&path), b"");
    assert!(String::from_utf8_lossy(&shown).contains(&key.fingerprint().to_string()));

    let signer = AllowedSigner { principal: "central@confvault".into(), key: key.public() };
    let signers = file(dir.path(), "signers", write_signers(std::slice::from_ref(&signer)).as_bytes(), 0o644);
    assert_eq!(parse_signers(&std::fs::read(&signers).unwrap()).unwrap(), [signer]);
    let sig = file(dir.path(), "sig", key.sign(b"payload").unwrap().as_bytes(), 0o644);
    let mut verify = Command::new("ssh-keygen");
    verify.args(["-Y", "verify", "-n", "git", "-I", "central@confvault", "-f"]).arg(&signers).arg("-s").arg(&sig);
    ok(&mut verify, b"payload");
    assert!(!run(&mut verify, b"another").status.success());

    let repo = dir.path().join("repo");
    let git = |args: &[&str], input: &[u8]| {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", dir.path()).arg("-C").arg(&repo).args(args);
        run(&mut git, input)
    };
    std::fs::create_dir(&repo).unwrap();
    assert!(git(&["init", "-q"], b"").status.success());
    let tree = String::from_utf8(git(&["mktree"], b"").stdout).unwrap();
    let who = "central <central@confvault> 1700000000 +0000";
    let head = format!("tree {}\nauthor {who}\ncommitter {who}\n", tree.trim());
    let payload = format!("{head}\nmessage\n");
    let armour = key.sign(payload.as_bytes()).unwrap();
    let header = armour.trim_end().replace('\n', "\n ");
    let commit = format!("{head}gpgsig {header}\n\nmessage\n");
    let id = git(&["hash-object", "-t", "commit", "-w", "--stdin"], commit.as_bytes());
    let id = String::from_utf8(id.stdout).unwrap();
    let config = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    let verified = git(&["-c", "gpg.format=ssh", "-c", &config, "verify-commit", id.trim()], b"");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let altered = git(&["hash-object", "-t", "commit", "-w", "--stdin"], commit.replace("message", "other").as_bytes());
    let altered = String::from_utf8(altered.stdout).unwrap();
    assert!(!git(&["-c", "gpg.format=ssh", "-c", &config, "verify-commit", altered.trim()], b"").status.success());
}

#[test]
fn only_our_namespace_by_known_keys_counts() {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::create(&dir.path().join("key"), "c").unwrap();
    let signers = [AllowedSigner { principal: "central@confvault".into(), key: key.public() }];
    let good = key.sign(b"payload").unwrap();
    assert_eq!(verify(b"payload", &good, &signers).unwrap().principal, "central@confvault");
    assert_eq!(signer_of(&good).unwrap(), key.fingerprint());
    assert!(matches!(verify(b"payloae", &good, &signers), Err(Error::Signature)));
    assert!(matches!(verify(b"payload", &good, &[]), Err(Error::SignerUnknown(print)) if print == key.fingerprint()));
    let other = SigningKey::generate("other").unwrap().sign(b"payload").unwrap();
    assert!(matches!(verify(b"payload", &other, &signers), Err(Error::SignerUnknown(_))));
    for (namespace, hash) in [("file", "sha512"), ("git", "sha256")] {
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-Y", "sign", "-n", namespace, "-O", &format!("hashalg={hash}"), "-f"]).arg(dir.path().join("key"));
        let sig = String::from_utf8(ok(&mut sign, b"payload")).unwrap();
        assert!(matches!(verify(b"payload", &sig, &signers), Err(Error::Signature)), "{namespace} {hash}");
    }
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-n", "git", "-f"]).arg(dir.path().join("key"));
    assert!(verify(b"payload", &String::from_utf8(ok(&mut sign, b"payload")).unwrap(), &signers).is_ok());
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

#[test]
fn a_list_of_signers_has_one_form() {
    let key = SigningKey::generate("x").unwrap().public();
    for bad in [
        format!("* namespaces=\"git\" {key}\n"),
        format!("central@confvault {key}\n"),
        format!("central@confvault cert-authority,namespaces=\"git\" {key}\n"),
        format!("a,b namespaces=\"git\" {key}\n"),
        "central@confvault namespaces=\"git\" ssh-rsa AAAA\n".to_owned(),
        "central@confvault\n".to_owned(),
    ] {
        assert!(matches!(parse_signers(bad.as_bytes()), Err(Error::Signers { line: 1 })), "{bad}");
    }
    assert_eq!(parse_signers(format!("# c\n\ncentral@confvault namespaces=\"git\" {key}\n").as_bytes()).unwrap().len(), 1);
}
