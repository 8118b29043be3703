//! What DRS says when it fails, and what helps: phrases of its own messages, each with its remedy.

/// Another backup runs.
pub(super) const REMEDY_RUNNING: &str =
    "wait for its end (`utils disaster_recovery status backup`), or end it with `utils disaster_recovery cancel_backup`";

/// Phrases in lower case, the more special ones first.
const PHRASES: [(&str, &str); 16] = [
    ("bad certificate", CERTIFICATES),
    ("unable to contact server", CERTIFICATES),
    ("local agent could be down", CERTIFICATES),
    (
        "unable to connect to master agent",
        "start the agents on the publisher, then on the subscribers (`utils service restart Cisco DRF Master`, then \
         `Cisco DRF Local`), and let TCP 4040 pass between the nodes",
    ),
    ("another backup is still running", REMEDY_RUNNING),
    ("backup is already in progress", REMEDY_RUNNING),
    (
        "network request timed out",
        "wait for a job that runs (`utils disaster_recovery status backup`); if there is none, restart Cisco DRF Master and Local",
    ),
    ("message: connection refused", CERTIFICATES),
    ("drftruststoremissing", CERTIFICATES),
    (
        "drfunknownclient",
        "the node is not one of the cluster: compare `show network cluster`, its name and address, and DNS on all nodes; then back up again",
    ),
    ("sub backup failed", REGISTRATION),
    ("sub data not found", REGISTRATION),
    ("unable to access sftp server", SFTP),
    ("drfsftpfailure", SFTP),
    ("drfbackupdeviceerror", SFTP),
    ("invalid backup device", "`utils disaster_recovery device list` shows the names; --target must be one of them"),
];

const CERTIFICATES: &str = "compare the serial number of the publisher's ipsec certificate with ipsec-trust on each subscriber and replace what \
     differs or has expired; then restart Cisco DRF Master, and Cisco DRF Local on the publisher first";
const REGISTRATION: &str = "compare the components of the node (`utils disaster_recovery show_registration SERVER`) with those of a node that is well; \
     what is missing on an IM and Presence node is registered again by Cisco's support";
const SFTP: &str = "check the backup device in DRS: host, path, password, right to write, space, and ciphers (from 12.0 on DRS knows only \
     aes128-ctr, aes192-ctr and aes256-ctr)";

/// Gives the remedy for a line of DRS; nothing if the line tells of no fault that is known.
pub(super) fn remedy(line: &str) -> Option<&'static str> {
    let line = line.to_lowercase();
    PHRASES.iter().find(|(phrase, _)| line.contains(phrase)).map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drs_says_leads_to_what_helps() {
        let master =
            "Unable to connect to Master Agent host: PUB-1, Port: 4040. This may be due to Master or Local Agent being down.";
        assert!(remedy(master).unwrap().contains("4040"));
        assert_eq!(remedy("Unable to contact server. Master or Local Agent could be down"), Some(CERTIFICATES));
        assert!(remedy("Result String : ERROR; Sub Backup failed.").unwrap().contains("show_registration"));
        let refused = "drfNetServerClient:Reconnect, Unable to connect to host: [PUB-1], message: Connection refused";
        assert_eq!(remedy(refused), Some(CERTIFICATES));
        assert!(remedy("DRFUnknownClient").unwrap().contains("show network cluster"));
        assert_eq!(remedy("drfCliMsg: Backup initiated successfully."), None);
    }
}
