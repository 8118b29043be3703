//! What plain git says of a store.

use confvault::seal::{AllowedSigner, write_signers};

use super::lab::{Lab, voip};

#[test]
fn git_reads_trailers_log_files_and_signatures() {
    let lab = Lab::clear();
    lab.made("gw-1", "16.9.5 (b)", vec![voip("sip.conf", "a\n")]);
    let second = lab.made("gw-1", "16.9.5 (b)", vec![voip("sip.conf", "b\n"), voip("etc/x.conf", "x\n")]);
    lab.fsck();
    let line = "gw-1/16.9.5%20(b)";
    assert_eq!(lab.git(&["log", "--format=%(trailers:key=Generation,valueonly,separator=)", line]), "2\n1\n");
    assert_eq!(lab.git(&["log", "-1", "--format=%(trailers:key=Release,valueonly,separator=)", line]), "16.9.5 (b)\n");
    assert_eq!(lab.git(&["log", "-1", "--format=%(trailers:key=Changed,valueonly,separator=)", line]), "+1 ~1 -0\n");
    assert_eq!(lab.git(&["show", &format!("{line}:voip/sip.conf")]), "b\n");
    assert_eq!(lab.git(&["rev-parse", line]).trim(), second.id.to_string());
    let out = lab.dir.path().join("out");
    lab.git(&["clone", "-q", "-b", line, ".", out.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(out.join("voip/etc/x.conf")).unwrap(), "x\n");

    let signers = lab.dir.path().join("signers");
    let signer = AllowedSigner { principal: "central@confvault".to_owned(), key: lab.signing.public() };
    std::fs::write(&signers, write_signers(&[signer])).unwrap();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    let transaction = lab.begin();
    transaction.name(&second, &"golden".parse().unwrap(), Some("The good one\n\nReally.")).unwrap();
    transaction.commit().unwrap();
    let journal = lab.git(&["for-each-ref", "--format=%(refname)", "refs/heads/_journal"]);
    for commit in [line, "_store", journal.trim()] {
        let said = lab.git(&["-c", &allowed, "verify-commit", commit]);
        assert!(said.contains("Good \"git\" signature for central@confvault"), "{said}");
    }
    let said = lab.git(&["-c", &allowed, "verify-tag", "gw-1/golden"]);
    assert!(said.contains("Good \"git\" signature"), "{said}");
    assert_eq!(lab.git(&["tag", "-l", "--format=%(contents:subject)", "gw-1/*"]), "The good one\n");
    assert_eq!(lab.git(&["tag", "-l", "--format=%(trailers:key=Generation,valueonly,separator=)", "gw-1/*"]), "2\n");
    lab.fsck();
}
