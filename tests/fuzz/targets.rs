//! What each target does with any bytes: nothing may panic, hang or take memory without bound, and what
//! is read must be written as it was read.
//!
//! `tests/fuzzing.rs` replays `seeds/TARGET` and small changes of it; cargo-fuzz goes on from there.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use confvault::collect::session::{Limits, Read, Replies, Session, Wire, WireError};
use confvault::collect::{Context, Network, collect, drs, hostkeys, inventories};
use confvault::diff::{Body, BodyDiff, File, Options, Render, Side, compare, render};
use confvault::inventory::{ByteSize, Inventory, MirrorUrl, Policy, Seconds, SourceUrl};
use confvault::mirror::GitUrl;
use confvault::model::{ConfigPath, DeviceName, Digest, Kind, Point, Release, Scope};
use confvault::profile::{MaskOverrides, Profile, Profiles, Syntax, sections};
use confvault::seal::{
    DeviceKeys, EpochIdentity, Opener, Recipients, Sealer, StoreKey, StoreKeys, Token, Trust, mask, parse_signers, script,
    signer_of, unmask,
};
use confvault::store::object::{Commit, Tag, parse_tree, split_commit, split_tag, write_tree};
use confvault::store::{Generation, Manifest, ObjectId, Record, place};

/// Takes any bytes and does no harm.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("manifest", manifest),
    ("script", secrets_script),
    ("mask", masked),
    ("point", point),
    ("token", token),
    ("generation", generation),
    ("objects", objects),
    ("keys", keys),
    ("age", age),
    ("profile", profile),
    ("secrets", secrets),
    ("diff", diff),
    ("session", session),
    ("tar", tar),
    ("drs", drs_set),
    ("known_hosts", known_hosts),
    ("inventory", inventory),
    ("lists", lists),
    ("journal", journal),
    ("notes", notes),
];

/// Runs a target.
///
/// # Panics
/// There is no such target, or it found something.
pub fn run(target: &str, data: &[u8]) {
    TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name").1(data);
}

fn device() -> DeviceName {
    "gw-1".parse().expect("a name")
}

/// Parts the input at a byte that may stand in no text.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|b| *b == 0xff) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => data.split_at(data.len() / 2),
    }
}

/// Parts the first byte from the rest.
fn first(data: &[u8]) -> (usize, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}

const SYNTAXES: [Syntax; 10] = [
    Syntax::Ini,
    Syntax::Ios,
    Syntax::Xml,
    Syntax::Json,
    Syntax::Yaml,
    Syntax::Braces,
    Syntax::KeyValue,
    Syntax::Audiocodes,
    Syntax::Kamailio,
    Syntax::Plain,
];

fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        assert_eq!(manifest.write().expect("what was read can be written").as_bytes(), data);
    }
}

fn secrets_script(data: &[u8]) {
    if let Ok(map) = script::parse(&device(), data) {
        assert_eq!(script::write(&device(), &map).as_slice(), data);
    }
}

fn masked(data: &[u8]) {
    static KEY: OnceLock<StoreKey> = OnceLock::new();
    let keys = DeviceKeys::derive(KEY.get_or_init(StoreKey::generate), &device());
    let (places, text) = halves(data);
    // Pairs of numbers: how far to the next span, how long it is.
    let (mut at, mut spans) = (0_usize, Vec::new());
    for pair in places.chunks_exact(2) {
        let start = at + usize::from(pair[0]);
        let end = start + usize::from(pair[1]);
        if end <= text.len() && start < end {
            spans.push(start..end);
            at = end;
        }
    }
    if let Ok(masked) = mask(text, &spans, &keys) {
        assert_eq!(unmask(&masked.text, &masked.secrets).expect("what was masked opens"), text);
    }
    drop(unmask(text, &confvault::seal::SecretMap::default()));
}

fn point(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(point) = text.parse::<Point>() {
        let shown = point.to_string();
        assert_eq!(shown.parse::<Point>().map_err(|e| e.to_string()).as_ref(), Ok(&point), "{shown:?}");
    }
    if let Ok(release) = Release::from_ref(text) {
        assert_eq!(release.to_ref(), text);
    }
    if let Ok(release) = text.parse::<Release>() {
        assert_eq!(Release::from_ref(&release.to_ref()).ok(), Some(release));
    }
    if let Ok(path) = ConfigPath::new(data) {
        for component in path.as_bytes().split(|b| *b == b'/') {
            let name = place::encode(component);
            assert!(!name.to_ascii_lowercase().starts_with(b".git"));
            assert_eq!(place::decode(&name).as_deref(), Some(component));
        }
    }
}

fn token(data: &[u8]) {
    if let Some(token) = Token::at_start(data) {
        let shown = token.to_string();
        assert!(data.starts_with(shown.as_bytes()));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = text.parse::<Token>()
    {
        assert_eq!(token.to_string().parse::<Token>().ok(), Some(token));
    }
}

fn generation(data: &[u8]) {
    let id = ObjectId::from_hex(&[b'0'; 40]).expect("forty digits");
    if let Ok(generation) = Generation::parse(id, data) {
        let again = Generation::parse(id, &generation.commit().write()).expect("what was read can be read again");
        assert_eq!(again.message(), generation.message());
    }
}

fn objects(data: &[u8]) {
    if let Ok(commit) = Commit::parse(data) {
        drop(commit.write());
    }
    drop(Tag::parse(data));
    if let Ok(mut entries) = parse_tree(data) {
        // Sorted, and without zeros in front of modes.
        let written = write_tree(&mut entries);
        assert!(written.len() <= data.len());
        assert_eq!(write_tree(&mut parse_tree(&written).expect("what was written is read")), written);
    }
    drop(split_commit(data));
    let _ = split_tag(data);
}

fn keys(data: &[u8]) {
    drop(Recipients::parse(data));
    drop(parse_signers(data));
    drop(EpochIdentity::parse(data));
    drop(StoreKeys::parse(data));
    if let Ok(text) = std::str::from_utf8(data) {
        drop(signer_of(text));
        drop(text.parse::<confvault::ops::keys::JoinRequest>());
        drop(text.parse::<confvault::seal::Fingerprint>());
    }
    // `name LF content 0xff name LF …`, as the files of `_store`.
    let mut files = confvault::seal::TrustFiles::new();
    for part in data.split(|b| *b == 0xff) {
        let end = part.iter().position(|b| *b == b'\n').unwrap_or(part.len());
        let name = String::from_utf8_lossy(&part[..end]).into_owned();
        files.insert(name, part.get(end + 1..).unwrap_or_default().to_vec());
    }
    if let Ok(trust) = Trust::parse(&files) {
        let mut out = confvault::seal::TrustFiles::new();
        trust.write(&mut out);
        Trust::parse(&out).expect("what was written is read");
    }
}

fn age(data: &[u8]) {
    static EPOCH: OnceLock<Opener> = OnceLock::new();
    let opener = EPOCH.get_or_init(|| {
        let identity =
            EpochIdentity::parse(b"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX").expect("a key");
        let mut opener = Opener::default();
        opener.insert(1, identity);
        opener
    });
    // A genuine file that is altered goes deeper than any bytes do.
    let (kind, rest) = first(data);
    if kind % 2 == 0 {
        drop(opener.open(1, rest, 1 << 20));
        return;
    }
    let identity = opener.identity(1).expect("the epoch");
    let mut sealed = Sealer::new(1, identity.recipient()).seal(b"what was sealed").expect("sealing in memory");
    let mut altered = false;
    for pair in rest.chunks_exact(3) {
        let at = (usize::from(pair[0]) << 8 | usize::from(pair[1])) % sealed.len();
        altered |= pair[2] != 0;
        sealed[at] ^= pair[2];
    }
    if let Ok(plain) = opener.open(1, &sealed, 1 << 20) {
        // Two changes may take each other back.
        assert!(plain.expose() == b"what was sealed" || !altered);
    }
}

thread_local! {
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().expect("a folder"));
}

fn in_folder<T>(work: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with_borrow(|folder| work(folder.path()))
}

/// Asks a profile everything about a text.
fn ask(profile: &Profile, path: &ConfigPath, text: &[u8]) {
    let spans = profile.secrets(path, text, &MaskOverrides::default());
    for span in &spans {
        assert!(span.range.start < span.range.end && span.range.end <= text.len());
    }
    for pair in spans.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start);
    }
    let volatile: usize = profile.volatile(path, text).into_iter().map(|range| range.len()).sum();
    assert_eq!(profile.normalise(path, text).len() + volatile, text.len());
    let syntax = profile.syntax(path, text);
    let _ = sections(syntax, text).len();
    let _ = profile.suspects(path, text, &spans);
    drop(confvault::diff::settings(syntax, text));
    let paths = [path.clone()];
    let _ = profile.release(&paths, &mut |_| Some(text.to_vec()));
    drop(confvault::collect::session::judge_file(profile, path, text));
}

fn profile(data: &[u8]) {
    let (file, text) = halves(data);
    in_folder(|folder| {
        fs::write(folder.join("x.toml"), file).expect("a file");
        let Ok(profiles) = Profiles::load(Some(folder)) else { return };
        if let Ok(profile) = profiles.get("x") {
            for path in ["etc/x.conf", "running-config", "a.xml"] {
                ask(&profile, &ConfigPath::new(path).expect("a path"), text);
            }
        }
        drop(profiles.list());
    });
}

fn secrets(data: &[u8]) {
    static PROFILES: OnceLock<Profiles> = OnceLock::new();
    const PATHS: &[&str] = &[
        "etc/asterisk/sip.conf",
        "etc/asterisk/voicemail.conf",
        "etc/asterisk/extensions.conf",
        "running-config",
        "board.ini",
        "astdb.txt",
        "phone.xml",
        "001565112233.cfg",
        "etc/shadow",
        "etc/ppp/chap-secrets",
        "users.csv",
        "dump.sql",
        "x.json",
        "x.yaml",
        "etc/kamailio/kamailio.cfg",
        "configs/juniper.conf",
        "drfComponent.xml",
        "cfg.txt",
        "modulejson/Core.json",
        "etc/snmp/snmpd.conf",
    ];
    let profiles = PROFILES.get_or_init(|| Profiles::load(None).expect("the built-in ones"));
    let names: Vec<&str> = profiles.names().collect();
    let (which, rest) = first(data);
    let (place, text) = first(rest);
    let profile = profiles.get(names[which % names.len()]).expect("a built-in one");
    ask(&profile, &ConfigPath::new(PATHS[place % PATHS.len()]).expect("a path"), text);
}

fn diff(data: &[u8]) {
    let (kind, rest) = first(data);
    let (old, new) = halves(rest);
    let syntax = SYNTAXES[kind % SYNTAXES.len()];
    let side = |bytes: &[u8]| {
        let path = ConfigPath::new("etc/x.conf").expect("a path");
        let body = Body::Bytes(bytes.to_vec());
        Side::new(vec![File { scope: Scope::Voip, path, kind: Kind::File, mode: 0o644, owner: None, digest: None, body, syntax }])
    };
    let (Ok(before), Ok(after)) = (side(old), side(new)) else { return };
    let result = compare(&before, &after, &Options { limit: Duration::from_millis(200), ..Options::default() });
    if let Some(BodyDiff::Lines(lines)) = result.files.first().map(|file| &file.body) {
        assert!(lines.added + lines.removed > 0);
    }
    let mut out = Vec::new();
    render::unified(&result, &Render::default(), &mut out).expect("memory");
    drop(confvault::diff::settings(syntax, old));
    let _ = sections(syntax, new);
    let shown = confvault::diff::visible::text(new);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
}

/// A device that says what stands in the input, whatever it is sent.
struct Said<'a>(std::slice::Chunks<'a, u8>);

impl Wire for Said<'_> {
    fn read(&mut self, buffer: &mut [u8], _wait: Duration) -> Result<Read, WireError> {
        let Some(piece) = self.0.next() else { return Ok(Read::End) };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        Ok(Read::Data(length))
    }

    fn write(&mut self, _bytes: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

impl Replies for Said<'_> {
    fn reply(&self, what: &str) -> Option<String> {
        Some(what.to_owned())
    }
}

fn session(data: &[u8]) {
    static PROFILES: OnceLock<Profiles> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| Profiles::load(None).expect("the built-in ones"));
    let (which, rest) = first(data);
    let (size, rest) = first(rest);
    let profile = profiles.get(["cisco-ios", "junos", "audiocodes-mediant"][which % 3]).expect("a built-in one");
    let script = profile.session().expect("a session");
    let millisecond = Duration::from_millis(1);
    let limits = Limits { idle: millisecond, settle: millisecond, total_bytes: 1 << 20, line_bytes: 1 << 16 };
    let replies = Said([].chunks(1));
    let Ok(mut session) = Session::open(Said(rest.chunks(size + 1)), script, limits, &replies) else { return };
    for command in profile.commands() {
        match session.run(command) {
            Ok(answer) => assert!(answer.bytes.len() <= rest.len()),
            Err(_) => break,
        }
    }
}

fn tar(data: &[u8]) {
    static PROFILES: OnceLock<Profiles> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| Profiles::load(None).expect("the built-in ones"));
    in_folder(|folder| {
        let (archive, spool) = (folder.join("pushed.tar"), folder.join("spool"));
        fs::create_dir_all(&spool).expect("a folder");
        fs::write(&archive, data).expect("a file");
        let text =
            "collector = \"c\"\n[devices.gw]\nsource = \"push:\"\nprofile = \"generic\"\nrelease = \"1\"\nmax_size = \"1 MiB\"\n";
        let inventory = Inventory::parse(folder, text).expect("an inventory");
        let device = inventory.device(&"gw".parse().expect("a name")).expect("the device");
        let (policy, cancel, network) = (Policy::default(), AtomicBool::new(false), Network::new());
        let context =
            Context { pushed: Some(&archive), ..Context::new(folder, &spool, &policy, &|_| None, None, &cancel, &network) };
        if let Ok(collected) = collect(device, &profiles.get("generic").expect("it is built in"), None, &context) {
            for entry in collected.set.entries() {
                let path = entry.path.as_bytes();
                assert!(!path.starts_with(b"/") && !path.split(|b| *b == b'/').any(|part| part == b".."));
            }
        }
    });
}

fn drs_set(data: &[u8]) {
    drop(drs::parse(data));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = drs::Progress::parse(text);
    }
}

fn known_hosts(data: &[u8]) {
    drop(hostkeys::HostKey::from_wire(data));
    in_folder(|folder| {
        let file = folder.join("known_hosts");
        fs::write(&file, data).expect("a file");
        for strict in [true, false] {
            if let Ok(known) = hostkeys::KnownHosts::read(&file, strict) {
                let _ = known.keys("gw-1");
                let _ = known.keys("[192.0.2.1]:2222");
            }
        }
    });
}

fn inventory(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(inventory) = Inventory::parse(Path::new("/nowhere"), text) {
        drop(MaskOverrides::new(&inventory.never_mask, &inventory.always_mask));
        for device in inventory.devices() {
            // A file cannot say what the language of sources cannot.
            let shown = device.source.to_string();
            assert_eq!(shown.parse::<SourceUrl>().ok().as_ref(), Some(&device.source), "{shown}");
        }
    }
    if let Ok(url) = text.parse::<SourceUrl>() {
        assert_eq!(url.to_string().parse::<SourceUrl>().ok(), Some(url));
    }
    drop(text.parse::<MirrorUrl>());
    drop(text.parse::<ByteSize>());
    drop(text.parse::<Seconds>());
    drop(text.parse::<Digest>());
    if let Ok(url) = text.parse::<GitUrl>() {
        // Neither an option nor a remote helper.
        let scheme = url.expose().split("::").next().unwrap_or_default();
        let helper =
            scheme.len() < url.expose().len() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        assert!(!url.expose().starts_with('-') && !helper, "{:?}", url.expose());
    }
}

fn lists(data: &[u8]) {
    drop(inventories::of_file(data, None));
    drop(inventories::table(data));
    // Of a configuration, its list is not there.
    assert!(inventories::oxidized(data, Path::new("/nonexistent/config"), None).is_err());
    if let Ok(text) = std::str::from_utf8(data) {
        drop(inventories::router_db(text, Some("admin")));
    }
}

fn journal(data: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(data) {
        let text = serde_json::to_string(&record).expect("what was read can be written");
        serde_json::from_str::<Record>(&text).expect("and read again");
    }
    drop(serde_json::from_slice::<confvault::store::ChangeItem>(data));
}

fn notes(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        for all in [true, false] {
            for passage in confvault::ops::review::passages("UPGRADE-20.txt", text, all) {
                let _ = passage.title();
            }
        }
    }
}
