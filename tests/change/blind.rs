//! A review of real change notes for another device, against a list made before the program had seen it.

use crate::notes::{Measured, Places, measure};

/// A device of six modules other than those that the rules were tried on.
const FILES: &[(&str, &str)] = &[
    (
        "chan_dahdi.conf",
        "[trunkgroups]\n[channels]\nusecallerid=yes\nhidecallerid=no\ncallwaiting=yes\nthreewaycalling=yes\ntransfer=yes\nechocancel=yes\nechocancelwhenbridged=yes\nfaxdetect=incoming\nbusydetect=yes\nrxgain=0.0\nsignalling=fxo_ks\ncontext=internal\ngroup=1\ncallgroup=1\npickupgroup=1\nchannel => 1-4\n",
    ),
    (
        "modules.conf",
        "[modules]\nautoload = no\nload = app_dial.so\nload = app_mixmonitor.so\nload = chan_dahdi.so\nload = res_rtp_asterisk.so\nload = res_parking.so\nload = res_agi.so\n",
    ),
    (
        "res_parking.conf",
        "[general]\nparkeddynamic=no\n[default]\nparkext=700\nparkpos=701-720\ncontext=parkedcalls\nparkingtime=45\ncomebacktoorigin=yes\nparkedplay=caller\n",
    ),
    (
        "rtp.conf",
        "[general]\nrtpstart=10000\nrtpend=20000\nrtpchecksums=no\ndtmftimeout=3000\nstrictrtp=yes\nicesupport=yes\nstunaddr=stun.example.com:3478\n",
    ),
];

/// The passages of Asterisk's notes behind 18.26.4, up to 20.20.1, that are about these modules and their files, found by
/// reading all notes; made and committed before the review was run on this device. Where a log has no chapters of
/// notes, the heading of the commit.
const BY_HAND: Places = &[
    ("CHANGES-20.0.0.txt", &[189, 357, 364, 485, 507, 577, 703, 709, 858, 867]),
    ("ChangeLog-20.11.0.md", &[25]),
    ("ChangeLog-20.12.0.md", &[20]),
    ("ChangeLog-20.15.0.md", &[78]),
    ("ChangeLog-20.17.0.md", &[42, 46]),
    ("ChangeLog-20.18.0.md", &[53, 64]),
    ("ChangeLog-20.19.0.md", &[28]),
    ("ChangeLog-20.20.0.md", &[40, 53, 65]),
    ("ChangeLog-20.20.1.md", &[216]),
    ("ChangeLog-20.3.0.md", &[60, 108, 121]),
    ("ChangeLog-20.4.0.md", &[81, 91]),
    ("ChangeLog-20.5.0.md", &[62, 78, 85, 121]),
    ("ChangeLog-20.5.1.md", &[76]),
    ("ChangeLog-20.5.2.md", &[43]),
    ("ChangeLog-20.6.0.md", &[114]),
    ("ChangeLog-20.7.0.md", &[56, 89]),
    ("ChangeLog-20.8.0.md", &[62]),
];

/// Passages of which a reader may think either way: they count neither as found nor as noise.
const EITHER: Places = &[("ChangeLog-20.16.0.md", &[43]), ("ChangeLog-20.9.0.md", &[38])];

#[test]
#[ignore = "needs CONFVAULT_CORPUS, see docs/testing.md"]
fn notes_about_other_modules_are_found() {
    let measured = measure(FILES, BY_HAND, EITHER);
    let Measured { noise, missed, .. } = &measured;
    println!("precision {:.3}, recall {:.3}; noise {noise:?}; missed {missed:?}", measured.precision(), measured.recall());
    assert!(measured.precision() >= 0.9 && measured.recall() >= 0.9, "noise {noise:?}\nmissed {missed:?}");
}
