//! The C2SP vectors of the age format (`fixtures/age/testkit.tar`).

use std::io::{BufReader, Read};

use age::secrecy::SecretString;

use super::age_file::{armoured, open_with};
use super::{Error, Secret};

struct Vector {
    name: String,
    expect: String,
    identities: Vec<age::x25519::Identity>,
    passphrases: Vec<String>,
    payload: Option<String>,
    file: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/age/testkit.tar");
    let mut archive = tar::Archive::new(std::fs::File::open(file).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let cut = memchr::memmem::find(&bytes, b"\n\n").unwrap();
        let head = std::str::from_utf8(&bytes[..cut]).unwrap();
        let all = |key: &str| head.lines().filter_map(|l| l.strip_prefix(key)?.strip_prefix(": ")).collect::<Vec<_>>();
        Vector {
            expect: all("expect")[0].to_owned(),
            identities: all("identity").into_iter().map(|text| text.parse().unwrap()).collect(),
            passphrases: all("passphrase").into_iter().map(str::to_owned).collect(),
            payload: all("payload").first().map(|text| (*text).to_owned()),
            file: match all("compressed")[..] {
                [] => bytes[cut + 2..].to_vec(),
                ["zlib"] => inflate(&bytes[cut + 2..]),
                _ => panic!("{name}: compressed in an unknown way"),
            },
            name,
        }
    };
    archive.entries().unwrap().map(read).collect()
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

fn sha256(bytes: &[u8]) -> String {
    ssh_key::HashAlg::Sha256.digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn open(vector: &Vector) -> Result<Secret, Error> {
    let size = vector.file.len();
    let input = BufReader::new(armoured(&vector.file));
    let passphrases = vector.passphrases.iter().map(|text| {
        let mut identity = age::scrypt::Identity::new(SecretString::from(text.as_str()));
        // No vector needs more to succeed, and one would take a minute.
        identity.set_max_work_factor(16);
        identity
    });
    let passphrases: Vec<_> = passphrases.collect();
    let own = vector.identities.iter().map(|i| i as &dyn age::Identity);
    let all = own.chain(passphrases.iter().map(|i| i as &dyn age::Identity));
    open_with(input, size, all, 64 << 20)
}

#[test]
fn every_verdict_of_the_vectors_is_ours() {
    let vectors = vectors();
    assert!(vectors.len() > 100, "{}", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        let got = open(vector);
        let right = match (&got, vector.expect.as_str()) {
            (Ok(plain), "success") => vector.payload.as_deref() == Some(&sha256(plain.expose())),
            (Ok(_), _) => false,
            (Err(Error::Key), "no match") => true,
            (Err(_), expect) => expect != "success" && expect != "no match",
        };
        if !right {
            wrong.push(format!("{}: expected {}, got {got:?}", vector.name, vector.expect));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
