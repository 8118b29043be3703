//! A program at a terminal: a pseudo-terminal that it is the session leader of, with somebody who types.
#![allow(dead_code, unreachable_pub)]

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::LocalModes;

/// How long a text is waited for.
const WAIT: Duration = Duration::from_secs(60);

pub struct Terminal {
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
    seen: usize,
    child: Child,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts a program in a session of its own at a new terminal.
    pub fn start(program: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args()).env_clear();
        command.current_dir(program.get_current_dir().unwrap());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let side = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("setsid is installed");
        let keys = File::from(master);
        let (mut screen, shown) = (keys.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let to = shown.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { keys, shown, seen: 0, child, reader }
    }

    /// Waits for a text that was not waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let begin = Instant::now();
        loop {
            let shown = self.shown.lock().unwrap();
            if let Some(at) = memchr::memmem::find(&shown[self.seen..], text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            assert!(begin.elapsed() < WAIT, "no {text:?} in {:?}", String::from_utf8_lossy(&shown));
            drop(shown);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Types what the terminal does not show, once the program has told it so: a person is not so fast.
    #[track_caller]
    pub fn types_unseen(&mut self, line: &str) {
        let begin = Instant::now();
        while rustix::termios::tcgetattr(&self.keys).unwrap().local_modes.contains(LocalModes::ECHO) {
            assert!(begin.elapsed() < WAIT, "what is typed is shown");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.types(line);
    }

    /// Waits for the end; gives the exit code and all that was shown.
    pub fn end(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        // What the program wrote last may be on its way still; the terminal ends when nobody holds its other side.
        let begin = Instant::now();
        while !self.reader.is_finished() && begin.elapsed() < WAIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        let shown = self.shown.lock().unwrap();
        (code, String::from_utf8_lossy(&shown).into_owned())
    }
}
