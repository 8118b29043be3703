//! A seeded generator of fleets: the same seed gives the same bytes on every machine.
//!
//! ```text
//! cargo run --release --example fleet -- DIR --devices 1000 [--files 20] [--seed 1]
//! cargo run --release --example fleet -- DIR --devices 1000 --change 7 [--every 50]   one round of changes
//! cargo run --release --example fleet -- DIR --touch                        new time stamps only
//! ```
//!
//! Every device is a folder `DIR/dNNNNN` of a PBX: SIP accounts, dial plans, voice mail boxes, queues,
//! and the system files around them; 20 files of 6 KB on average. Round K changes one line in one file of
//! every fiftieth device, another fiftieth each round, and of device 0 in every round; with `--every N` of every
//! N-th device.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
    fn word(&mut self, len: usize) -> String {
        const ABC: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        (0..len).map(|_| char::from(ABC[usize::try_from(self.below(ABC.len() as u64)).unwrap()])).collect()
    }
}

const FIRST: &[&str] =
    &["Anna", "Bernd", "Clara", "David", "Eva", "Frank", "Greta", "Hans", "Ida", "Jonas", "Karin", "Lars", "Maria"];
const LAST: &[&str] =
    &["Albers", "Brandt", "Conrad", "Dietz", "Ebert", "Fuchs", "Graf", "Hahn", "Irmer", "Jung", "Kraus", "Lorenz"];
const SITES: &[&str] = &["berlin", "hamburg", "koeln", "leipzig", "muenchen", "stuttgart", "dresden", "bremen"];
const CODECS: &[&str] = &["alaw,ulaw", "g722,alaw", "opus,g722,alaw", "alaw"];

/// Writes one paragraph of a file.
type Paragraph = fn(&mut Rng, &mut String);

/// The files of a device, in turn: name and how a paragraph of it is written.
const FILES: &[(&str, Paragraph)] = &[
    ("asterisk/pjsip.conf", endpoint),
    ("asterisk/pjsip_trunks.conf", endpoint),
    ("asterisk/pjsip_phones.conf", endpoint),
    ("asterisk/extensions.conf", dialplan),
    ("asterisk/extensions_ivr.conf", dialplan),
    ("asterisk/extensions_local.conf", dialplan),
    ("asterisk/voicemail.conf", mailbox),
    ("asterisk/queues.conf", queue),
    ("asterisk/queuerules.conf", queue),
    ("asterisk/confbridge.conf", setting),
    ("asterisk/features.conf", setting),
    ("asterisk/modules.conf", setting),
    ("asterisk/manager.conf", account),
    ("asterisk/ari.conf", account),
    ("asterisk/iax.conf", account),
    ("asterisk/musiconhold.conf", setting),
    ("asterisk/rtp.conf", setting),
    ("asterisk/http.conf", setting),
    ("asterisk/cdr.conf", setting),
    ("asterisk/logger.conf", setting),
];

fn endpoint(rng: &mut Rng, out: &mut String) {
    let ext = 1000 + rng.below(8999);
    let (first, last, site) = (rng.pick(FIRST), rng.pick(LAST), rng.pick(SITES));
    writeln!(out, "[{ext}]\ntype=endpoint\ncontext=from-{site}\ndisallow=all\nallow={}", rng.pick(CODECS)).unwrap();
    writeln!(out, "auth=auth{ext}\naors={ext}\ncallerid=\"{first} {last}\" <{ext}>\nmailboxes={ext}@default\ndirect_media=no")
        .unwrap();
    writeln!(out, "\n[auth{ext}]\ntype=auth\nauth_type=userpass\nusername={ext}\npassword={}\n", rng.word(16)).unwrap();
    writeln!(out, "[{ext}]\ntype=aor\nmax_contacts={}\nqualify_frequency={}\n", 1 + rng.below(3), 30 * (1 + rng.below(4)))
        .unwrap();
}

fn dialplan(rng: &mut Rng, out: &mut String) {
    let ext = 1000 + rng.below(8999);
    writeln!(out, "; {} {}, {}", rng.pick(FIRST), rng.pick(LAST), rng.pick(SITES)).unwrap();
    writeln!(out, "exten => {ext},1,NoOp(call to ${{EXTEN}} from ${{CALLERID(num)}})").unwrap();
    writeln!(out, " same => n,Set(CHANNEL(language)=de)\n same => n,Dial(PJSIP/{ext},{},tTkK)", 15 + rng.below(30)).unwrap();
    writeln!(
        out,
        " same => n,GotoIf($[\"${{DIALSTATUS}}\" = \"BUSY\"]?busy:unavail)\n same => n(unavail),VoiceMail({ext}@default,u)"
    )
    .unwrap();
    writeln!(out, " same => n,Hangup()\n same => n(busy),VoiceMail({ext}@default,b)\n same => n,Hangup()\n").unwrap();
}

fn mailbox(rng: &mut Rng, out: &mut String) {
    let (first, last) = (rng.pick(FIRST), rng.pick(LAST));
    let (ext, pin) = (1000 + rng.below(8999), 1000 + rng.below(8999));
    writeln!(out, "{ext} => {pin},{first} {last},{first}.{last}@example.org,,tz=european|attach=yes|delete=no").unwrap();
}

fn queue(rng: &mut Rng, out: &mut String) {
    writeln!(out, "[support-{}]\nstrategy={}", rng.below(99), rng.pick(&["ringall", "rrmemory", "leastrecent", "fewestcalls"]))
        .unwrap();
    writeln!(out, "timeout={}\nretry=5\nwrapuptime={}\nmaxlen=0\nannounce-frequency=60", 10 + rng.below(20), rng.below(30))
        .unwrap();
    for _ in 0..2 + rng.below(5) {
        writeln!(out, "member => PJSIP/{},{}", 1000 + rng.below(8999), rng.below(5)).unwrap();
    }
    out.push('\n');
}

fn setting(rng: &mut Rng, out: &mut String) {
    let key = rng.pick(&[
        "timeout",
        "bindaddr",
        "enabled",
        "prefix",
        "loglevel",
        "jitterbuffer",
        "dtmfmode",
        "preload",
        "load",
        "noload",
    ]);
    let what =
        rng.pick(&["how long to wait", "where to listen", "kept for old phones", "see the manual", "asked for by the site"]);
    writeln!(out, "; {key}: {what}, set for {}\n{key}-{} = {}", rng.pick(SITES), rng.below(200), rng.below(5000)).unwrap();
}

fn account(rng: &mut Rng, out: &mut String) {
    writeln!(out, "[{}-{}]\nsecret = {}", rng.pick(SITES), rng.below(999), rng.word(20)).unwrap();
    writeln!(out, "deny=0.0.0.0/0.0.0.0\npermit=10.{}.{}.0/255.255.255.0", rng.below(255), rng.below(255)).unwrap();
    writeln!(out, "read = system,call,log,verbose\nwrite = system,call,command\nwritetimeout = {}\n", 1000 + rng.below(4000))
        .unwrap();
}

fn text(seed: u64, device: u64, file: usize) -> String {
    let mut rng = Rng(seed ^ (device << 20) ^ (file as u64 + 1));
    let size = 2500 + usize::try_from(rng.below(7400)).unwrap();
    let mut out = format!("; revision 0\n; {} of device {device}\n\n", FILES[file % FILES.len()].0);
    while out.len() < size {
        FILES[file % FILES.len()].1(&mut rng, &mut out);
    }
    out
}

fn path_of(dir: &Path, device: u64, file: usize) -> std::path::PathBuf {
    let (name, _) = FILES[file % FILES.len()];
    let more = file / FILES.len();
    let name = if more == 0 { name.to_owned() } else { name.replace(".conf", &format!("_{more}.conf")) };
    dir.join(format!("d{device:05}")).join(name)
}

fn walk(dir: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, each) } else { each(&path) }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value =
        |name: &str, default: u64| args.iter().position(|a| a == name).map_or(default, |at| args[at + 1].parse().unwrap());
    let dir = Path::new(
        args.first().expect("usage: fleet DIR [--devices N] [--files N] [--seed N] [--change ROUND [--every N] | --touch]"),
    );
    let (devices, files, seed) = (value("--devices", 1000), usize::try_from(value("--files", 20)).unwrap(), value("--seed", 1));
    if args.iter().any(|a| a == "--touch") {
        let now = SystemTime::now() - Duration::from_secs(60);
        walk(dir, &mut |path| fs::File::options().write(true).open(path).unwrap().set_modified(now).unwrap());
        return;
    }
    let (round, every) = (value("--change", 0), value("--every", 50).max(1));
    let (mut bytes, mut count) = (0, 0);
    for device in 0..devices {
        if round == 0 {
            for file in 0..files {
                let path = path_of(dir, device, file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let text = text(seed, device, file);
                bytes += text.len();
                count += 1;
                fs::write(path, text).unwrap();
            }
        } else if device == 0 || (device + round) % every == 0 {
            let path = path_of(dir, device, usize::try_from((device + round) % files as u64).unwrap());
            let old = fs::read_to_string(&path).unwrap();
            let rest = old.split_once('\n').unwrap().1;
            fs::write(&path, format!("; revision {round}\n{rest}")).unwrap();
            count += 1;
        }
    }
    println!("{count} files written, {bytes} bytes");
}
