//! A review of real change notes against a list that was made by hand.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::release::{corpus, pbx};

/// A device of six modules.
const FILES: &[(&str, &str)] = &[
    (
        "confbridge.conf",
        "[general]\n[default_bridge]\ntype=bridge\nmax_members=50\nvideo_mode=follow_talker\n[default_user]\ntype=user\nend_marked=yes\nmusic_on_hold_when_empty=yes\n",
    ),
    ("iax.conf", "[general]\nbindport=4569\nbandwidth=low\nencryption=yes\n[peer]\ntype=friend\nauth=rsa\nhost=192.0.2.7\n"),
    (
        "modules.conf",
        "[modules]\nautoload = no\nload = app_queue.so\nload = app_voicemail.so\nload = app_confbridge.so\nload = chan_iax2.so\nload = res_pjsip.so\nload = res_musiconhold.so\n",
    ),
    ("musiconhold.conf", "[default]\nmode=files\ndirectory=moh\n"),
    (
        "pjsip.conf",
        "[global]\ntype=global\nuser_agent=pbx\n[transport-udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0\nasync_operations=1\n[100]\ntype=endpoint\ncontext=internal\ndisallow=all\nallow=ulaw\naors=100\nstir_shaken=no\ndirect_media=no\n[100]\ntype=aor\nmax_contacts=2\nqualify_frequency=60\n",
    ),
    (
        "queues.conf",
        "[general]\npersistentmembers = yes\nshared_lastcall = no\nautofill = yes\n[sales]\nmusicclass = default\nstrategy = rrmemory\nperiodic-announce-frequency = 60\nmember => PJSIP/100\n",
    ),
    (
        "voicemail.conf",
        "[general]\nformat = wav49|gsm|wav\nattach = yes\npollmailboxes = yes\nsipmaxsilence=3\n[default]\n1234 => 4242,Eva,eva@example.com\n",
    ),
];

/// The passages of Asterisk's notes behind 18.26.4, up to 20.20.1, that are about these modules, their files and
/// options, found by reading all that stand near one of their words. The last ones that the review does not find:
/// `res_musiconhold_answeredonly`, `pjsip_configuration.c` and "the STIR/SHAKEN option" are names for what is used.
const BY_HAND: &[(&str, &[u64])] = &[
    (
        "CHANGES-20.0.0.txt",
        &[
            36, 104, 109, 168, 175, 231, 237, 245, 249, 253, 266, 272, 276, 278, 294, 300, 304, 370, 373, 521, 559, 688, 696,
            715, 720, 724, 831, 834, 838,
        ],
    ),
    ("ChangeLog-20.10.0.md", &[27, 45]),
    ("ChangeLog-20.11.0.md", &[20]),
    ("ChangeLog-20.12.0.md", &[33, 38, 64]),
    ("ChangeLog-20.14.0.md", &[31]),
    ("ChangeLog-20.15.0.md", &[41]),
    ("ChangeLog-20.16.0.md", &[20]),
    ("ChangeLog-20.18.0.md", &[71, 114]),
    ("ChangeLog-20.19.0.md", &[53, 70]),
    ("ChangeLog-20.20.0.md", &[65, 78, 97]),
    ("ChangeLog-20.4.0.md", &[84, 101, 110]),
    ("ChangeLog-20.5.0.md", &[89, 94, 101, 109]),
    ("ChangeLog-20.5.1.md", &[67]),
    ("ChangeLog-20.6.0.md", &[129, 141, 172, 194, 202, 206]),
    ("ChangeLog-20.7.0.md", &[61]),
    ("ChangeLog-20.9.0.md", &[20, 28, 48]),
    ("ChangeLog-20.9.2.md", &[59]),
    ("UPGRADE-20.txt", &[58, 66, 92]),
];

/// Passages, by file and line.
pub type Places = &'static [(&'static str, &'static [u64])];

/// How a review compares with a list made by hand.
pub struct Measured {
    /// Items of the review.
    pub items: usize,
    /// Those that are on the list.
    pub right: usize,
    /// Those that are not.
    pub noise: Vec<(String, u64)>,
    /// Passages of the list that the review has not.
    pub missed: Vec<(String, u64)>,
    /// Passages of the list.
    pub wanted: usize,
}

impl Measured {
    pub fn precision(&self) -> f64 {
        self.right as f64 / (self.right + self.noise.len()) as f64
    }

    pub fn recall(&self) -> f64 {
        (self.wanted - self.missed.len()) as f64 / self.wanted as f64
    }
}

/// Reviews all notes for a device of these files. An item that is on the list by any of its
/// places is right; one that is in `either` counts neither way.
pub fn measure(files: &[(&str, &str)], by_hand: Places, either: Places) -> Measured {
    let corpus = corpus();
    let env = pbx("18.26.4", files);
    let folder = corpus.join("asterisk/notes");
    let mut notes: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    notes.sort();
    let mut args = vec!["release", "review", "pbx", "20.20.1", "--json", "--notes"];
    args.extend(notes.iter().map(|file| file.to_str().unwrap()));
    let review = env.cv(&args).json();
    let set = |places: Places| -> BTreeSet<(String, u64)> {
        places.iter().flat_map(|(file, lines)| lines.iter().map(|line| ((*file).to_owned(), *line))).collect()
    };
    let (wanted, either) = (set(by_hand), set(either));
    let items = review["items"].as_array().unwrap();
    let (mut right, mut noise, mut found) = (0, Vec::new(), BTreeSet::new());
    for item in items {
        let place = |p: &serde_json::Value| (p["file"].as_str().unwrap().to_owned(), p["line"].as_u64().unwrap());
        let places: Vec<_> = item["places"].as_array().unwrap().iter().map(place).collect();
        let on: Vec<_> = places.iter().filter(|place| wanted.contains(place)).cloned().collect();
        match on.is_empty() {
            false => right += 1,
            true if places.iter().any(|place| either.contains(place)) => {}
            true => noise.push(places[0].clone()),
        }
        found.extend(on);
    }
    let missed = wanted.difference(&found).cloned().collect();
    Measured { items: items.len(), right, noise, missed, wanted: wanted.len() }
}

#[test]
#[ignore = "needs CONFVAULT_CORPUS, see docs/testing.md"]
fn real_notes_are_found_with_few_misses_and_little_noise() {
    let measured = measure(FILES, BY_HAND, &[]);
    let Measured { noise, missed, .. } = &measured;
    println!("precision {:.3}, recall {:.3}", measured.precision(), measured.recall());
    assert!(measured.precision() >= 0.95 && measured.recall() >= 0.95, "noise {noise:?}\nmissed {missed:?}");
}
