//! `confvault tour`

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::Outcome;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::{Exit, exit_codes};
use crate::cli::ui::{Look, Ui};
use crate::fsio;

/// Run the main job on an example fleet, each step with the real command
///
/// A telephone system goes through a change and an upgrade beside a voice gateway; the tour shows what
/// changed, puts a named generation back and proves it equal, mirrors the store to a second repository, reads
/// it there with plain git, and rebuilds the store from it. Everything happens below DIR and stays there to
/// look around in.
#[derive(Debug, clap::Args)]
#[command(after_long_help = concat!("Examples:\n  confvault tour\n  confvault tour /tmp/tour\n", exit_codes!()))]
pub(crate) struct TourArgs {
    /// The folder to work in; must not exist or be empty (default: a new one for temporary files)
    dir: Option<PathBuf>,
}

/// The example fleet: folder, file, content.
const FLEET: &[(&str, &str, &str)] = &[
    ("pbx-18", "version", include_str!("../../../fixtures/tour/pbx-18/asterisk/version")),
    ("pbx-18", "pjsip.conf", include_str!("../../../fixtures/tour/pbx-18/asterisk/pjsip.conf")),
    ("pbx-18", "sip.conf", include_str!("../../../fixtures/tour/pbx-18/asterisk/sip.conf")),
    ("pbx-18", "extensions.conf", include_str!("../../../fixtures/tour/pbx-18/asterisk/extensions.conf")),
    ("pbx-18", "voicemail.conf", include_str!("../../../fixtures/tour/pbx-18/asterisk/voicemail.conf")),
    ("pbx-20", "version", include_str!("../../../fixtures/tour/pbx-20/asterisk/version")),
    ("pbx-20", "pjsip.conf", include_str!("../../../fixtures/tour/pbx-20/asterisk/pjsip.conf")),
    ("pbx-20", "extensions.conf", include_str!("../../../fixtures/tour/pbx-20/asterisk/extensions.conf")),
    ("pbx-20", "voicemail.conf", include_str!("../../../fixtures/tour/pbx-20/asterisk/voicemail.conf")),
    ("gateway", "running-config", include_str!("../../../fixtures/tour/gateway/running-config")),
    ("gateway", "show-version.txt", include_str!("../../../fixtures/tour/gateway/show-version.txt")),
];

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &TourArgs) -> Outcome {
    let dir = match &args.dir {
        Some(dir) => context.absolute(dir)?,
        None => tempfile::Builder::new().prefix("confvault-tour-").tempdir()?.keep(),
    };
    if dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CommandError::usage(format!("The folder of a tour must be new or empty: {}", dir.display())));
    }
    let program = std::env::current_exe()?;
    let steps = ui.json_wished().then(Vec::new);
    let mut tour = Tour { ui, program, dir, steps };
    tour.walk()?;
    if let Some(steps) = tour.steps.take() {
        let dir = tour.dir.display().to_string();
        ui.json("tour", &json!({ "dir": dir, "steps": steps }))?;
    }
    Ok(Exit::Done)
}

struct Tour<'a> {
    ui: &'a mut Ui,
    program: PathBuf,
    dir: PathBuf,
    /// What was done, where JSON is wished in place of showing it.
    steps: Option<Vec<Value>>,
}

impl Tour<'_> {
    fn walk(&mut self) -> Result<(), CommandError> {
        self.title("A telephone system and a gateway, and a store for them")?;
        self.install("pbx-18", "pbx")?;
        self.install("gateway", "gateway")?;
        self.confvault(&["init", "vault"], &[0])?;
        self.confvault(
            &["-C", "vault", "device", "add", "pbx", "--source", "dir:../devices/pbx", "--profile", "asterisk"],
            &[0],
        )?;
        let gateway =
            ["-C", "vault", "device", "add", "gw-berlin", "--source", "dir:../devices/gateway", "--profile", "cisco-ios"];
        self.confvault(&gateway, &[0])?;
        self.confvault(&["-C", "vault", "snapshot", "--note", "as taken over"], &[0])?;
        self.confvault(&["-C", "vault", "ls", "pbx"], &[0])?;

        self.title("A change: a name and a snapshot before it, a snapshot after it, what it did")?;
        self.confvault(&["-C", "vault", "name", "pbx", "before-change"], &[0])?;
        let why = "ring longer; new password for 1002";
        self.confvault(&["-C", "vault", "change", "open", "pbx", "gw-berlin", "--ticket", "CHG-7", "--why", why], &[0])?;
        self.edit("pbx", "extensions.conf", "Dial(PJSIP/${EXTEN},25)", "Dial(PJSIP/${EXTEN},40)")?;
        self.edit("pbx", "pjsip.conf", "password=vN4hB8zKc3Rd", "password=Tz6yQ1sDf0Wb")?;
        self.edit("gateway", "running-config", "ntp clock-period 17179862", "ntp clock-period 17179901")?;
        self.confvault(&["-C", "vault", "change", "close", "CHG-7"], &[0])?;
        self.say("The gateway only counted its clock, so it has no new generation. What changed on the telephone system:")?;
        self.confvault(&["-C", "vault", "diff", "pbx@pre/CHG-7", "@post/CHG-7"], &[1])?;

        self.title("An upgrade: another release is another line")?;
        let begin = ["-C", "vault", "release", "begin", "pbx", "20.20.1", "--why", "18 has reached its end", "--unreviewed"];
        self.confvault(&[&begin[..], &["a tour has no change notes"]].concat(), &[0])?;
        fsio::remove_all(&self.dir.join("devices/pbx")).map_err(disk)?;
        self.install("pbx-20", "pbx")?;
        self.confvault(&["-C", "vault", "release", "finish", "pbx", "--accept", "chan_sip is gone, and its file"], &[0])?;
        self.confvault(&["-C", "vault", "log", "pbx"], &[0])?;
        self.confvault(&["-C", "vault", "diff", "pbx:18.26.4", "pbx:20.20.1", "--stat"], &[1])?;

        self.title("The named generation, put back and proven equal")?;
        let restore =
            ["-C", "vault", "restore", "pbx@before-change", "--to", "restored", "--identity", "vault-admin/identity.txt"];
        self.confvault(&restore, &[0])?;
        self.install("pbx-18", "taken-over")?;
        self.program("diff", &["-r", "devices/taken-over", "restored"], &[0])?;
        self.say("diff(1) has nothing to say: the set is back, byte for byte, with its secrets.")?;

        self.title("The store, mirrored")?;
        self.program("git", &["init", "--quiet", "--bare", "offsite.git"], &[0])?;
        self.confvault(&["-C", "vault", "mirror", "add", "offsite", "../offsite.git"], &[0])?;
        self.confvault(&["-C", "vault", "mirror", "push", "offsite"], &[0])?;
        self.confvault(&["-C", "vault", "mirror", "status", "offsite"], &[0, 3])?;
        self.say("Read there with plain git; what is secret is sealed:")?;
        let format = "--format=%h %(trailers:key=Generation,valueonly,separator=) %s";
        self.program("git", &["-C", "offsite.git", "log", format, "pbx/20.20.1", "--"], &[0])?;
        self.program("git", &["-C", "offsite.git", "show", "pbx/18.26.4:voip/voicemail.conf"], &[0])?;

        self.title("The machine is lost: the store, rebuilt from its mirror")?;
        self.confvault(&["init", "rebuilt", "--from", "offsite.git", "--admin", "vault-admin"], &[0])?;
        self.confvault(&["-C", "rebuilt", "check", "--read-data"], &[0])?;
        let again = ["-C", "rebuilt", "restore", "pbx@before-change", "--to", "again", "--identity", "vault-admin/identity.txt"];
        self.confvault(&again, &[0])?;
        self.program("diff", &["-r", "restored", "again"], &[0])?;
        self.title("That was the main job")?;
        self.say(&format!("Everything is still there to look around in: {}", self.dir.display()))?;
        self.say("Begin your own: confvault init DIR, then confvault device add --help")
    }

    /// Puts an example device in its place.
    fn install(&self, from: &str, to: &str) -> Result<(), CommandError> {
        let folder = self.dir.join("devices").join(to);
        fsio::create_dir_all(&folder, 0o755).map_err(disk)?;
        for (_, name, text) in FLEET.iter().filter(|(device, _, _)| *device == from) {
            fsio::write_file(&folder.join(name), text.as_bytes(), 0o640).map_err(disk)?;
        }
        Ok(())
    }

    /// Changes a line on a device, as its administrator would.
    fn edit(&mut self, device: &str, file: &str, old: &str, new: &str) -> Result<(), CommandError> {
        let path = self.dir.join("devices").join(device).join(file);
        let text = fs::read_to_string(&path)?.replace(old, new);
        fsio::write_file(&path, text.as_bytes(), 0o640).map_err(disk)?;
        let text = format!("# on {device}, {file} is edited");
        self.show(&[(Look::Dim, &text)])
    }

    fn title(&mut self, text: &str) -> Result<(), CommandError> {
        self.show(&[])?;
        self.show(&[(Look::Strong, &format!("== {text}"))])
    }

    fn say(&mut self, text: &str) -> Result<(), CommandError> {
        self.show(&[(Look::Plain, text)])
    }

    /// Shows a line, unless all is told at the end.
    fn show(&mut self, pieces: &[(Look, &str)]) -> Result<(), CommandError> {
        if self.steps.is_some() { Ok(()) } else { self.ui.row(pieces) }
    }

    fn confvault(&mut self, args: &[&str], accept: &[i32]) -> Result<(), CommandError> {
        let program = self.program.clone();
        self.call(&program, "confvault", args, accept)
    }

    fn program(&mut self, program: &str, args: &[&str], accept: &[i32]) -> Result<(), CommandError> {
        self.call(Path::new(program), program, args, accept)
    }

    /// Shows a command and runs it; an exit code that the step does not expect ends the tour.
    fn call(&mut self, program: &Path, shown: &str, args: &[&str], accept: &[i32]) -> Result<(), CommandError> {
        let words: Vec<String> = std::iter::once(shown).chain(args.iter().copied()).map(quoted).collect();
        self.show(&[(Look::Strong, &format!("$ {}", words.join(" ")))])?;
        self.ui.flush()?;
        let mut command = Command::new(program);
        command.args(args.iter().map(OsStr::new)).current_dir(&self.dir).stdin(Stdio::null());
        // The tour shows this store, whatever store the user has at hand.
        command.env_remove("CONFVAULT_DIR").env_remove("CONFVAULT_IDENTITY").env_remove("CONFVAULT_ADMIN");
        command.env("GIT_PAGER", "cat");
        let cannot =
            |error| CommandError::failed(format!("Cannot run {shown}: {error}")).hint(format!("Install {shown} and begin again"));
        let status = match &mut self.steps {
            None => command.status().map_err(cannot)?,
            Some(steps) => {
                let begun = Instant::now();
                let out = command.stderr(Stdio::inherit()).output().map_err(cannot)?;
                let text = String::from_utf8_lossy(&out.stdout);
                let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                steps.push(json!({
                    "command": words.join(" "),
                    "exit_code": out.status.code(),
                    "took_ms": took,
                    "output": text,
                }));
                out.status
            }
        };
        match status.code() {
            Some(code) if accept.contains(&code) => Ok(()),
            _ => Err(CommandError::failed(format!("A step of the tour ended with {status}: {}", words.join(" ")))),
        }
    }
}

fn disk(error: fsio::Error) -> CommandError {
    CommandError::new(Exit::Failed, error, Vec::new())
}

/// A word as a shell would have to read it.
fn quoted(word: &str) -> String {
    if word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:@,=+~".contains(&b)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
